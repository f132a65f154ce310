# The nine promises (docs/architecture.md), one by one, each by a sub of its name: what was not kept is found, in
# words. P2, P4 and P6 are looked at during the storm as well (look.sql).
package PgSeats::Chaos::Promises;

use strict;
use warnings;
use List::Util qw(max min sum0 uniq);
use PgSeats::Chaos::Payments;
use PgSeats::HandlerModel;
use PostgreSQL::Test::Utils qw(slurp_file);

my @promises = (
	[ P1 => 'atomic: what was committed is there, and nothing of what was rolled back', \&atomic ],
	[ P2 => 'complete: every change has ended', \&complete ],
	[ P3 => 'once: confirmed exactly once, refused never', \&once ],
	[ P4 => 'folded: quantities are confirmed seats and open changes; nobody\'s change is lost unseen', \&folded ],
	[ P5 => 'ordered: changes of a team took effect in the order of their commits', \&ordered ],
	[ P6 => 'unlocked: nobody waits for the network in a transaction', \&unlocked ],
	[ P7 => 'proven: what was undone, Stripe had refused', \&proven ],
	[ P8 => 'secret: no secret in logs and dumps', \&secret ],
	[ P9 => 'fenced: a copy sends nothing', \&fenced ],
	[ handlers => 'each ran once, with the right outcome, in its turn', \&handlers ],
	[ money => 'what was charged is what confirmed changes justify', \&money ],
	[ payments => 'nobody can pay twice, and money at Stripe is money in the tables', sub { PgSeats::Chaos::Payments::judge($_[0]) } ],
	[ journal => 'without a gap or a repetition', \&journal ],
	[ errors => 'applications were told only what is documented', sub { } ]);

sub all { return @promises }

sub check
{
	my ($storm, $evidence) = @_;
	$_->[2]->($storm, $evidence) foreach @promises;
	return;
}

sub atomic
{
	my ($storm, $e) = @_;
	my %told = map { $_->{tag} => $_ } @{ $e->{told} };
	foreach my $application (@{ $storm->{applications} })
	{
		$storm->find('P1', "$application->{name} has committed $_, and it is not there")
		  foreach grep { !$told{$_} } keys %{ $application->{kept} };
		$storm->find('P1', "$application->{name} has rolled $_ back, and it is there")
		  foreach grep { $told{$_} } keys %{ $application->{undone} };
	}
	my %asked_for = map { $_ => 1 } grep { defined } (map { $_->{change} } @{ $e->{told} }), (map { $_->{call} } @{ $e->{asked} });
	$storm->find('P1', "change $_ was committed, and there is no trace of it")
	  foreach grep { !$e->{call_of_id}{$_} } sort { $a <=> $b } keys %asked_for;
	$storm->find('P1', $e->name_of($_) . ' is there, and no committed transaction has asked for it')
	  foreach grep { $_->{kind} ne 'void' && !$asked_for{ $_->{id} } } $e->plain_calls;
	$storm->find('P1', "Stripe has executed $_->{key} ($_->{path}), which nobody has committed")
	  foreach $storm->{fails_over} ? () : grep { !$_->{call} } @{ $e->{ledger} };
	return;
}

sub complete
{
	my ($storm, $e) = @_;
	$storm->find('P2', $e->name_of($_) . " is still open: $_->{reason}")
	  foreach grep { $_->{result} eq 'open' } @{ $e->{calls} };
	return;
}

sub once
{
	my ($storm, $e) = @_;
	foreach my $call ($e->plain_calls)
	{
		my $carrier = $e->carrier_of($call);
		my ($done, $pending) = map { $e->times($carrier, $_) } qw(done pending);
		my $name = $e->name_of($call) . ($carrier == $call ? '' : ", in the call of $carrier->{id},");
		my $executed = "Stripe has executed it $done times" . ($pending ? ", and $pending times as a pending update" : '');
		my $is_right =
			$call->{result} eq 'open' ? $done <= 1
		  : $call->{result} ne 'done' ? $done == 0 && $pending <= 1
		  : ($call->{reason} // '') eq 'nothing_to_change' ? $done + $pending == 0
		  :                                                  $done + $pending == 1;
		$storm->find('P3', "$name is $call->{result} (" . ($call->{reason} // 'answered') . "), and $executed") if !$is_right;
	}
	return;
}

sub folded
{
	my ($storm, $e) = @_;
	compare_with_stripe($storm, $e);
	my %overwritten = ();
	foreach my $row (grep { $_->{call} && $_->{call}{kind} eq 'change' && $_->{outcome} eq 'done' } @{ $e->{ledger} })
	{
		judge_call($storm, $e, $row, \%overwritten);
	}
	$e->{overwritten} = \%overwritten;
	judge_alarms($storm, $e, \%overwritten);
	judge_sums($storm, $e, \%overwritten);
	return;
}

# In the end the application sees what is confirmed, and that is what Stripe has.
sub compare_with_stripe
{
	my ($storm, $e) = @_;
	my %stripe = ();
	foreach my $line (grep { $_->{status} ne 'canceled' } @{ $e->{lines} })
	{
		my $has = ($stripe{ $line->{team} } //= $e->at_stripe($line->{team}))->{ $line->{seat_type} } // 0;
		$storm->find('P4', "in the end $line->{team} sees $line->{quantity} seats of type $line->{seat_type}, "
			  . "$line->{confirmed} are confirmed, and Stripe has $has")
		  unless $line->{quantity} == $line->{confirmed} && $line->{confirmed} == $has;
	}
	return;
}

# One executed call: it asked for what its changes make of its base, and Stripe did just that. What it was
# computed on and what stood there differ where somebody has edited in between.
sub judge_call
{
	my ($storm, $e, $row, $overwritten) = @_;
	my $call = $row->{call};
	my ($base, $target) = @$call{qw(base target)};
	return unless $base && $target;
	my $name = name_of_call($e, $call);
	my $wanted = $e->folded($base, $e->carried_by($call));
	my ($before, $after) = map { $e->by_type($call->{team}, $row->{quantities}{$_}) } qw(before after);
	foreach my $type (sort keys %$target)
	{
		my ($from, $to) = ($base->{$type} // 0, $target->{$type});
		my ($stood, $stands) = ($before->{$type} // 0, $after->{$type} // 0);
		$storm->find('P4', "$name asked for $to seats of type $type on a base of $from")
		  if $to != ($wanted->{$type} // 0) || $to < 0;
		next if $to == $from;
		# (Where both have added an item of the type, neither has overwritten the other.)
		my $both = $stood != $from && $stands == $stood + $to - $from;
		$storm->find('P4', "$name asked for $to seats of type $type, and Stripe had $stood and has $stands")
		  if $to != $stands && !$both;
		next if $stood == $from;
		$overwritten->{ $call->{id} }{$type} =
		  { found => $stood, written => $stands, computed_on => $from, both => $both };
	}
	return;
}

sub name_of_call { my ($e, $call) = @_; return 'the call of ' . join ', ', map { $e->name_of($_) } $e->carried_by($call) }

# Every outside edit that a call of ours has overwritten is told, with both numbers; and no other is.
sub judge_alarms
{
	my ($storm, $e, $overwritten) = @_;
	my %told = ();
	foreach my $entry (grep { $_->{kind} eq 'seats.outside_change_overwritten' } @{ $e->{journal} })
	{
		$told{ $entry->{call} }{$_} = $entry->{detail}{seats}{$_} foreach keys %{ $entry->{detail}{seats} };
	}
	foreach my $call (uniq(sort { $a <=> $b } keys %told, keys %$overwritten))
	{
		my $name = $e->{call_of_id}{$call} ? $e->name_of($e->{call_of_id}{$call}) : "call $call";
		foreach my $type (uniq(sort(keys %{ $told{$call} // {} }, keys %{ $overwritten->{$call} // {} })))
		{
			my ($is, $said) = ($overwritten->{$call}{$type}, $told{$call}{$type});
			if ($is && !$said)
			{
				next if $is->{both};
				$storm->find('P4', "$name has overwritten somebody's $is->{found} seats of type $type with "
					  . "$is->{written} (it had read $is->{computed_on}), and nobody was told");
			}
			elsif (!$is)
			{
				$storm->find('P4', "a false alarm: $name is said to have overwritten $said->{found} seats of type $type");
			}
			elsif ($is->{found} != $said->{found})
			{
				$storm->find('P4', "$name has overwritten $is->{found} seats of type $type, and $said->{found} were told");
			}
		}
	}
	return;
}

# What was there at first, what our calls made of it, and what the journal says others did: in the end it
# comes to what is confirmed. (Not where an edit was overwritten: that may have been told of before. Nor where
# seats were counted anew because their price was listed: that is no change.)
sub judge_sums
{
	my ($storm, $e, $overwritten) = @_;
	my (%sum, %unclear);
	foreach my $row (grep { $_->{call} && $_->{call}{kind} eq 'change' && $_->{outcome} =~ /^(done|pending)$/ } @{ $e->{ledger} })
	{
		my $call = $row->{call};
		next unless $call->{result} eq 'done';
		my $target = $call->{target} // {};
		# (One that fell apart and was proven by its marker has no base any more.)
		$unclear{ $call->{team} }{ $_->{seat_type} } = 1 foreach $call->{target} ? () : map { @{ $_->{lines} } } $e->carried_by($call);
		$sum{ $call->{team} }{$_} += $target->{$_} - ($call->{base}{$_} // 0) foreach keys %$target;
		$unclear{ $call->{team} }{$_} = 1 foreach keys %{ $overwritten->{ $call->{id} } // {} };
	}
	foreach my $entry (grep { $_->{kind} eq 'seats.changed_outside' } @{ $e->{journal} })
	{
		my ($team, $seats) = @{ $entry->{detail} }{qw(team seats)};
		foreach my $type (keys %$seats)
		{
			$sum{$team}{$type} += $seats->{$type}{found} - $seats->{$type}{expected};
			$storm->find('P4', "the journal says that somebody has made it $seats->{$type}{found} seats of type $type "
				  . "for $team, and nobody has")
			  unless $storm->{edited}{$team}{$type};
		}
	}
	foreach my $line (grep { $_->{status} ne 'canceled' } @{ $e->{lines} })
	{
		my ($team, $type) = @$line{qw(team seat_type)};
		next if $unclear{$team}{$type} || $type eq 'team' && $storm->{recounted}{$team};
		my $comes_to = $storm->{at_first}{$type} + ($sum{$team}{$type} // 0);
		$storm->find('P4', "$team has $line->{confirmed} seats of type $type, but began with $storm->{at_first}{$type}, and "
			  . "our calls and the outside changes in the journal make that $comes_to")
		  unless $comes_to == $line->{confirmed};
	}
	return;
}

sub ordered
{
	my ($storm, $e) = @_;
	my %last = ();
	foreach my $row (grep { $_->{call} && $_->{call}{kind} eq 'change' && $_->{outcome} =~ /^(done|pending)$/ } @{ $e->{ledger} })
	{
		my $call = $row->{call};
		my $former = $last{ $call->{team} };
		$storm->find('P5', $e->name_of($call) . ' was executed after ' . $e->name_of($former))
		  if $former && $call->{id} < $former->{id};
		$last{ $call->{team} } = max($call->{id}, map { $_->{id} } $e->carried_by($call));
		$last{ $call->{team} } = $e->{call_of_id}{ $last{ $call->{team} } };
	}
	return;
}

sub unlocked
{
	my ($storm, $e) = @_;
	$storm->find('P6', 'nobody has looked') unless $storm->{looks};
	return;
}

# Stripe's refusals, and what makes a change impossible. Anything else would be our own mistake, for which
# nobody pays with his seats.
my %refusals = map { $_ => 1 } qw(payment_failed card_declined payment_did_not_come);
my %others = map { $_ => 1 } qw(
  no_longer_valid base_moved billed_by_different_rules subscription_ended refused_by_operator object_is_terminal);

sub proven
{
	my ($storm, $e) = @_;
	my %refused = map { $_->{path} => 1 } grep { $_->{outcome} ne 'done' } @{ $e->{ledger} };
	foreach my $change (grep { $_->{result} eq 'refused' } $e->changes)
	{
		my ($name, $reason) = ($e->name_of($change), $change->{reason} // 'no reason');
		next if $others{$reason};
		$storm->find('P7', "$name was undone for $reason" . (defined $change->{error} ? " ($change->{error})" : ''))
		  unless $refusals{$reason};
		$storm->find('P7', "$name was undone for $reason, and Stripe has refused nothing of $change->{team}")
		  if $refusals{$reason} && !$refused{"/v1/subscriptions/sub_$change->{team}"};
	}
	return;
}

sub secret
{
	my ($storm, $e) = @_;
	# (What follows the intent's id is secret, and is looked for alone, too.)
	my @given = map { /_secret_(.+)/ } values %{ $storm->{paying}{secret} };
	foreach my $file (@{ $storm->{written} })
	{
		my ($text, %seen) = (slurp_file($file));
		# (Answers are bytes, which a dump writes as digits.)
		$text =~ s/\\\\x((?:[0-9a-f]{2})+)/pack 'H*', $1/ge;
		$seen{$1}++ while $text =~ /(sk_test_\w+|whsec_\w+|_secret_[A-Za-z0-9]{12,})/g;
		$seen{$_}++ foreach grep { index($text, $_) >= 0 } @given;
		$storm->find('P8', "$file has " . join ', ', sort keys %seen) if %seen;
	}
	return;
}

sub fenced
{
	my ($storm, $e) = @_;
	my $copy = $storm->{copy} or return $storm->find('P9', 'no copy was made');
	my @requests = map {"$_->{method} $_->{path}"} @{ $copy->{stripe}->requests };
	$storm->find('P9', 'the copy has sent ' . join ', ', @requests[ 0 .. min(4, $#requests) ]) if @requests;
	my $open = $storm->server->safe_psql('copy', 'SELECT count(*) FROM seats_internal.outbox');
	$storm->find('P9', "the copy had $copy->{open} open calls, and has $open") if $open != $copy->{open};
	return;
}

sub handlers
{
	my ($storm, $e) = @_;
	$storm->find('handlers', $_) foreach judge_handlers($storm->server);
	my $copy = $storm->{copy} or return;
	my $ran = $storm->server->safe_psql('copy', 'SELECT count(*) FROM proof.ran');
	$storm->find('handlers', 'the copy has run ' . ($ran - $copy->{ran})) if $ran != $copy->{ran};
	return;
}

# A seat costs 10.00 a month and the month has just begun. Where what is given back is not credited, an executed
# call is charged for what it has raised: in the seeds that have it so. (One that has overwritten an edit was billed as what it was to be.)
sub money
{
	my ($storm, $e) = @_;
	shown_prices($storm, $e);
	return if $storm->{has_credits};
	foreach my $row (grep { $_->{call} && $_->{call}{kind} eq 'change' && $_->{outcome} eq 'done' } @{ $e->{ledger} })
	{
		next if $e->{overwritten}{ $row->{call}{id} };
		my ($before, $after) = map { $e->by_type($row->{call}{team}, $row->{quantities}{$_}) } qw(before after);
		my $rise = sum0(map { max(0, $after->{$_} - ($before->{$_} // 0)) } keys %$after);
		my $charged = $row->{money}{amount} // 0;
		$storm->find('money', name_of_call($e, $row->{call}) . " was charged $charged cents for $rise more seats")
		  if $charged < 990 * $rise - 5 || $charged > 1000 * $rise + 5;
	}
	return;
}

# What was bought at a price that was shown was charged that. (Of previews of one second any may have been shown.)
sub shown_prices
{
	my ($storm, $e) = @_;
	foreach my $line (split /\n/, $storm->server->sql(<<'END'))
SELECT concat_ws('|', h.id, h.invoice ->> 'total', string_agg(DISTINCT p.total::text, ' or '))
  FROM seats_internal.outbox_history AS h
  JOIN LATERAL (SELECT v.total
                  FROM seats_internal.outbox_history AS c CROSS JOIN LATERAL seats.preview(c.id) AS v
                 WHERE c.team_id = h.team_id AND c.kind = 'call' AND c.result = 'done'
                   AND jsonb_typeof(c.context -> 'preview') = 'object'
                   AND (c.context -> 'preview' ->> 'proration_date')::bigint = substring(h.body FROM 'proration_date=([0-9]+)')::bigint
                   AND c.settled_at < h.created_at) AS p ON true
 WHERE h.kind = 'change' AND h.result = 'done' AND h.invoice IS NOT NULL
 GROUP BY h.id, h.invoice HAVING bool_and((h.invoice ->> 'total')::bigint <> p.total)
END
	{
		my ($change, $charged, $shown) = split /\|/, $line;
		next if $e->{overwritten}{$change};
		$storm->find('money', "change $change was shown to cost $shown, and was charged $charged");
	}
	return;
}

sub journal
{
	my ($storm, $e) = @_;
	my @numbers = map { $_->{number} } grep { defined $_->{number} } @{ $e->{journal} };
	my %times = ();
	$times{$_}++ foreach @numbers;
	my @missing = grep { !$times{$_} } 1 .. max(0, @numbers);
	$storm->find('journal', "numbers @missing[0 .. min(9, $#missing)] are missing") if @missing;
	my %read = map { $_->{number} => 1 } @{ $e->{feed} };
	my @unread = grep { !$read{$_} } @numbers;
	$storm->find('journal', "an application that has read all has not seen @unread[0 .. min(9, $#unread)]") if @unread;

	my %ends = ();
	push @{ $ends{ $_->{call} // 'none' } }, $_->{kind}
	  foreach grep { $_->{kind} =~ /^change\.(confirmed|reverted|cancelled)$/ } @{ $e->{journal} };
	my %kind_of = (done => 'change.confirmed', refused => 'change.reverted', cancelled => 'change.cancelled');
	foreach my $change (grep { $_->{result} ne 'open' } $e->changes)
	{
		my $said = join ', ', @{ delete $ends{ $change->{id} } // ['nothing'] };
		$storm->find('journal', $e->name_of($change) . " is $change->{result}, and the journal says: $said")
		  if $said ne $kind_of{ $change->{result} };
	}
	$storm->find('journal', "it tells of the end of a change that there is not ($_: @{ $ends{$_} })") foreach sort keys %ends;
	return;
}

1;
