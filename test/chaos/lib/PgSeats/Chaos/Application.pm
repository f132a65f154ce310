# What applications do, all at once: sessions that add, remove, set, change, cancel, invite, accept, leave and
# wait, in transactions of every kind, and die in the middle of them. Half of what they ask for has handlers
# (PgSeats::HandlerModel); they are no superusers, so that these run as somebody.
package PgSeats::Chaos::Application;

use strict;
use warnings;
use PgSeats::Chaos::Session;
use PgSeats::Seats qw(owner_of);

# What an application may be told. Everything else is a finding: a deadlock, an error nobody has documented.
my %expected = map { $_ => 1 } qw(
  PS503 PS505 PS506 PS507 PS508 PS509 PS510 PS512 PS513 PS514 PS515 PS516 PS517 PS518 PS519 PS523 PS525 PS526 PS527 PS529 PS531 PS532 PS533 PS534 PS538 PS539
  PS702
  PS121 PS122 PS123 40001 25P02 3B001
  57P01 57P02 57P03 08006);

my %deeds = (
	add => 24, remove => 20, set => 8, mixed => 8, again => 4, previewed => 2, preview => 2, shown => 10, cancel => 10,
	invite => 6, accept => 5, leave => 6, sit => 6, call => 6, read_journal => 4, wait => 4);

my %manners = (
	plain => 50, several => 12, savepoint => 10, rollback => 8, prepared => 6, snapshot => 8, killed => 6);

sub start
{
	my ($storm, $count) = @_;
	foreach my $number (1 .. $count)
	{
		my $self = bless {
			storm => $storm, name => "session $number", dice => $storm->dice("session $number"), step => 0,
			kept => {}, undone => {}, session => $storm->open_session("chaos session $number", 'shop'),
		}, __PACKAGE__;
		push @{ $storm->{applications} }, $self;
		$storm->in($self->{dice}->seconds(0, 1), sub { $self->next_step });
	}
	return;
}

# ---- deeds: one statement each, which tells chaos.told what it has made

# handlers: what of the change's own is to run, see HandlerModel.pm; none, if not told.
sub told
{
	my ($tag, $team, $from, $handlers) = @_;
	my $named = $handlers ? $handlers->{named} : 'NULL, NULL';
	return "WITH made AS MATERIALIZED (SELECT t.change FROM $from AS t),"
	  . " asked AS (INSERT INTO proof.asked (on_done, on_refused, kind, call) SELECT $named, 'change', m.change"
	  . ' FROM made AS m WHERE m.change IS NOT NULL ON CONFLICT DO NOTHING)'
	  . " INSERT INTO chaos.told SELECT '$tag', '$team', m.change FROM made AS m";
}

# For both ends, for one, or none; now and then one that makes another call.
sub handlers
{
	my ($dice, $tag) = @_;
	my ($done, $refused) = $dice->happens(0.5) ? @{ $dice->one_of([ 1, 1 ], [ 1, 1 ], [ 1, 0 ], [ 0, 1 ]) } : (0, 0);
	return { named => 'NULL, NULL', arguments => '' } unless $done || $refused;
	my ($on_done, $on_refused) = ($done ? q('shop.paid') : 'NULL', $refused ? q('shop.undone') : 'NULL');
	my $context = $dice->happens(0.1) ? qq(, context => '{"next": "after $tag"}') : '';
	return { named => "$on_done, $on_refused", arguments => ", on_done => $on_done, on_refused => $on_refused$context" };
}

sub statement
{
	my ($self, $deed, $team, $tag) = @_;
	my $dice = $self->{dice};
	my $owner = owner_of($team);
	my $type = $dice->weighted({ team => 6, owner => 2, later => 2 });
	my $user = 'user ' . $dice->between(1, 12);
	my $handlers = handlers($dice, $tag);
	my $more = $handlers->{arguments};
	my $simple = sub { told($tag, $team, "seats.$_[0]_seats('$team', '$type', $_[1], '$owner'$more)", $handlers) };
	return $simple->('add', $dice->between(1, 5)) if $deed eq 'add';
	return $simple->('remove', $dice->between(1, 5)) if $deed eq 'remove';
	return $simple->('set', $dice->between(0, 14)) if $deed eq 'set';
	if ($deed eq 'mixed')
	{
		my $verb = $dice->one_of(qw(add remove));
		my $other = $dice->happens(0.7) ? $verb : $dice->one_of(qw(add remove set));
		my $changes = sprintf '{"team": {"%s": %d}, "owner": {"%s": %d}}',
		  $verb, $dice->between(1, 4), $other, $dice->between(1, 4);
		return told($tag, $team, "seats.change_seats('$team', '$changes', '$owner'$more)", $handlers);
	}
	if ($deed eq 'again')
	{
		# The same request comes several times, and is one; its handlers belong to it.
		my $request = $dice->between(1, 4);
		return told($tag, $team, "seats.add_seats('$team', 'owner', $request, '$owner', request_key => 'request $request', "
			. q{on_done => 'shop.paid', on_refused => 'shop.undone')}, { named => q{'shop.paid', 'shop.undone'} });
	}
	if ($deed =~ /^(previewed|shown)$/)
	{
		# At the price of the newest preview of the team, if there is one; it may not be answered, or good, any more.
		return told($tag, $team, "seats.change_seats('$team', '{\"team\": {\"add\": 2}}', '$owner', proration_date => "
			. "(SELECT max(p.date) FROM chaos.preview AS p WHERE p.team = '$team')$more)", $handlers);
	}
	return previewing($team) if $deed eq 'preview';
	# Any of the newest changes that the application knows of. (Everything in a transaction is about one team, or
	# it could not complain of deadlocks.)
	my $newest = "SELECT t.change FROM chaos.told AS t WHERE t.team = '$team' AND t.change IS NOT NULL"
	  . ' ORDER BY t.change DESC OFFSET ' . $dice->between(0, 3) . ' LIMIT 1';
	return cancelling($newest, $owner, $dice->happens(0.3)) if $deed eq 'cancel';
	return "SELECT coalesce(max(n.change), 0) AS waited_for FROM ($newest) AS n \\gset\n"
	  . "CALL seats.wait_for_change(:waited_for, '300 ms')" if $deed eq 'wait';
	if ($deed eq 'invite')
	{
		my $buy = $dice->happens(0.6) ? 'true' : 'false';
		my $address = "$tag\@example.com";
		return "WITH i AS (SELECT * FROM seats.invite('$team', '$address', '$type', actor => '$owner', buy => $buy$more)),"
		  . " token AS (INSERT INTO chaos.token SELECT i.token, '$team' FROM i WHERE i.token IS NOT NULL), "
		  . (told($tag, $team, 'i', $handlers) =~ s/^WITH //r);
	}
	if ($deed eq 'accept')
	{
		my $token = "SELECT t.token FROM chaos.token AS t WHERE t.team = '$team' ORDER BY t.token OFFSET "
		  . $dice->between(0, 2) . ' LIMIT 1';
		return "SELECT FROM seats.accept_invite(($token), '$user of $tag')";
	}
	return "SELECT seats.add_member('$team', '$user', '$type')" if $deed eq 'sit';
	return "SELECT seats.remove_member('$team', '$user')" if $deed eq 'leave';
	return $self->generic_call($team, $tag, $handlers) if $deed eq 'call';
	return $self->reading if $deed eq 'read_journal';
	die "no deed is called $deed";
}

sub previewing
{
	my ($team) = @_;
	return "INSERT INTO chaos.preview SELECT '$team', p.proration_date, p.call"
	  . " FROM seats.preview_change('$team', '{\"team\": {\"add\": 2}}') AS p";
}

# Somebody looks what it costs, and buys it at once.
sub looking
{
	my ($team) = @_;
	return (previewing($team), "SELECT max(p.call) AS shown FROM chaos.preview AS p WHERE p.team = '$team' \\gset\n"
		. "CALL seats.wait_for_call(:shown, '1 s')");
}

# By somebody who undoes himself what hangs on it, or not.
sub cancelling
{
	my ($newest, $owner, $forgets) = @_;
	return "SELECT seats.cancel_change(($newest), '$owner')" unless $forgets;
	return "WITH forgotten AS (UPDATE proof.asked SET forgets = true WHERE call = ($newest))"
	  . " SELECT seats.cancel_change(($newest), '$owner', run_handler => false)";
}

# Any call of Stripe's, by each way of proof.
sub generic_call
{
	my ($self, $team, $tag, $handlers) = @_;
	my $dice = $self->{dice};
	my $made = $dice->one_of('none', 'list', 'object', 'object');
	my $lane = $dice->happens(0.5) ? ", lane => 'lane of $team'" : '';
	return told($tag, $team, "(SELECT seats.enqueue_call('stripe', 'POST', "
		. ( $made eq 'object'
			? "'/v1/customers/cus_$team', '{\"description\": \"$tag\"}', verifier => 'object'"
			: "'/v1/customers', '{\"name\": \"$tag\"}'" . ($made eq 'list' ? ", verifier => 'list'" : ''))
		. "$lane$handlers->{arguments}) AS change)", $handlers);
}

# What the application reads, it stores in the transaction that acknowledges it.
sub reading
{
	return "WITH kept AS (INSERT INTO chaos.feed SELECT j.number, j.kind, j.call"
	  . " FROM seats.read_journal('chaos', 50) AS j RETURNING number)"
	  . " SELECT seats.acknowledge_journal('chaos', max(kept.number)) FROM kept HAVING count(*) > 0";
}

# ---- manners: the transaction around them

sub next_step
{
	my ($self) = @_;
	my $storm = $self->{storm};
	return if $storm->now > $storm->seconds;
	$self->{step}++;
	# Dice of its own: what this step does depends on nothing that an earlier one has met.
	$self->{dice} = $storm->dice("$self->{name}, step $self->{step}");
	if ($self->{session}->is_gone)
	{
		$self->{session}->start;
	}
	my $dice = $self->{dice};
	my $manner = $dice->weighted(\%manners);
	my $team = $dice->one_of($storm->teams);
	my @deeds = map { $dice->weighted(\%deeds) } 1 .. ($manner =~ /^(several|savepoint)$/ ? $dice->between(2, 3) : 1);
	# Waiting wants a transaction of its own, and a prepared one can have read no journal.
	@deeds = map { $_ =~ /^(wait|read_journal)$/ ? 'add' : $_ eq 'shown' ? 'previewed' : $_ } @deeds if $manner ne 'plain';
	# A team's lane before any other: applications keep an order, or deadlocks are their own doing.
	@deeds = sort { ($a eq 'call') <=> ($b eq 'call') } @deeds;
	my @made = map { my $tag = $self->next_tag; [ $tag, $self->statement($_, $team, $tag), $_ ] } @deeds;
	$self->{todo} = [ ($deeds[0] eq 'shown' ? looking($team) : ()), $self->transaction($manner, @made) ];
	$self->{manner} = $manner;
	$self->{in_words} = "$manner: " . join(', ', @deeds) . " for $team";
	# (The others write nothing by which they could be found again.)
	$self->{tags} = [ map { $_->[1] =~ /chaos\.told SELECT/ ? $_->[0] : undef } @made ];
	$self->{failed} = undef;
	# Nobody else would end it, and all that it has locked.
	unshift @{ $self->{todo} }, "ROLLBACK PREPARED '$self->{prepared}'" if $self->{prepared};
	$self->go_on;
	return;
}

sub next_tag
{
	my ($self) = @_;
	my ($number) = $self->{name} =~ /(\d+)/;
	return "s$number-" . $self->{storm}->next_number($self->{name});
}

# What is asked, one after the other; a number is a pause, and 'kill' the end of the client.
sub transaction
{
	my ($self, $manner, @made) = @_;
	my $dice = $self->{dice};
	my $pause = $dice->seconds(0, 0.15);
	my @statements = map { $_->[1] } @made;
	return @statements if $manner eq 'plain';
	return ('BEGIN', (map { ($_, $pause) } @statements), 'COMMIT') if $manner eq 'several';
	return ('BEGIN', @statements, $pause, 'ROLLBACK') if $manner eq 'rollback';
	if ($manner eq 'savepoint')
	{
		my ($first, @rest) = @statements;
		return ('BEGIN', $first, 'SAVEPOINT s', $pause, (map { ($_, 'ROLLBACK TO s') } @rest), 'COMMIT');
	}
	if ($manner eq 'snapshot')
	{
		my $level = $dice->one_of('REPEATABLE READ', 'SERIALIZABLE');
		return ("BEGIN ISOLATION LEVEL $level", 'SELECT count(*) FROM seats.teams', $pause, @statements, 'COMMIT');
	}
	if ($manner eq 'prepared')
	{
		my ($end, $name) = ($dice->happens(0.7) ? 'COMMIT' : 'ROLLBACK', $made[0][0]);
		$self->{name_of_prepared} = $name;
		return ('BEGIN', @statements, "PREPARE TRANSACTION '$name'", 2 * $pause, "$end PREPARED '$name'");
	}
	# Killed: before the commit, or with the commit on its way.
	return ('BEGIN', @statements, $pause, $dice->happens(0.5) ? 'kill' : 'COMMIT and kill');
}

sub go_on
{
	my ($self) = @_;
	my $next = shift @{ $self->{todo} };
	return $self->end_step unless defined $next;
	return $self->{storm}->in($next, sub { $self->go_on }) if $next =~ /^[\d.e-]+$/;
	# It has lost its session meanwhile; nothing is known of what it had committed.
	return $self->end_step('unknown') if $self->{session}->is_gone;
	if ($next =~ /kill$/)
	{
		$self->{session}->ask('COMMIT', sub { $self->end_step('unknown') }) if $next =~ /^COMMIT/;
		$self->{session}->kill_client;
		$self->{session}->ask('SELECT', sub { $self->end_step('undone') }) if $next eq 'kill';
		return;
	}
	$self->{last} = $next;
	$self->{session}->ask($next, sub { $self->answered($next, @_) });
	return;
}

sub answered
{
	my ($self, $statement, $text) = @_;
	if (!defined $text)
	{
		return $self->end_step($statement =~ /^(INSERT|WITH|COMMIT|PREPARE)/ ? 'unknown' : 'gone');
	}
	delete $self->{prepared} if $statement =~ /^ROLLBACK PREPARED/;
	my ($code, $words) = PgSeats::Chaos::Session::error_in($text);
	# (What is no longer prepared was ended by somebody else, or never got so far.)
	if (defined $code && !($code eq '42704' && $statement =~ /PREPARED/))
	{
		$self->{failed} //= "$code $words";
		$self->{storm}->find('errors', "an application was told $code ($words) by: $statement") unless $expected{$code};
		# (What was not shown is not bought.)
		$self->{todo} = [] if $self->{manner} eq 'plain';
	}
	$self->{outcome}{$statement} = $code // ($text =~ /^(COMMIT|ROLLBACK|COMMIT PREPARED|ROLLBACK PREPARED|PREPARE TRANSACTION|INSERT 0 1)$/m ? $1 : 'done');
	return $self->go_on;
}

# What is known of the tags now: that they must be there, or must not.
sub end_step
{
	my ($self, $known) = @_;
	my $storm = $self->{storm};
	my $outcome = delete $self->{outcome} // {};
	my ($first, @rest) = @{ $self->{tags} };
	my $manner = $self->{manner};
	if (!$known)
	{
		my $last = $self->{last};
		$known =
			$manner eq 'plain' ? ($self->{failed} ? 'undone' : $outcome->{$last} eq 'INSERT 0 1' ? 'kept' : 'done')
		  : $manner eq 'rollback' ? 'undone'
		  : $manner eq 'prepared' ? $self->fate_of_prepared($outcome)
		  : ($outcome->{COMMIT} // '') eq 'COMMIT' ? 'kept'
		  :                                          'undone';
	}
	$known = 'unknown' if $known eq 'gone' && $manner eq 'prepared';
	$known = 'undone' if $known eq 'gone' && $manner ne 'plain';
	$self->{prepared} = $self->{name_of_prepared} if $manner eq 'prepared' && $known eq 'unknown';
	if ($known eq 'kept' || $known eq 'undone')
	{
		$self->{$known}{$first} = 1 if defined $first;
		$self->{ $manner eq 'savepoint' ? 'undone' : $known }{$_} = 1 foreach grep { defined } @rest;
	}
	$storm->tell("$self->{name}: $self->{in_words} (" . join(' ', map { $_ // '-' } $first, @rest) . "): $known"
		. ($self->{failed} ? ", $self->{failed}" : ''));
	my $pause = $self->{session}->is_gone ? 0.5 : $self->{dice}->seconds(0, 0.25);
	$storm->in($pause, sub { $self->next_step });
	return;
}

sub fate_of_prepared
{
	my ($self, $outcome) = @_;
	my %by_verb = map { (/^(\w+ PREPARED|PREPARE)/ ? $1 : '') => $outcome->{$_} } keys %$outcome;
	return 'undone' if ($by_verb{PREPARE} // '') ne 'PREPARE TRANSACTION';
	return 'kept' if ($by_verb{'COMMIT PREPARED'} // '') eq 'COMMIT PREPARED';
	return 'undone' if ($by_verb{'ROLLBACK PREPARED'} // '') eq 'ROLLBACK PREPARED';
	return 'unknown';
}

1;
