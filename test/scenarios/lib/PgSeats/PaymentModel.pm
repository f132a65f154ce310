# Payments that applications have asked for at random, and the judge: what Stripe has, by the simulator's objects and
# ledger, is compared with what the database says, and with what handlers were told.
#
#   set_up_payments($server, 'shop');          an application with functions for what happens to payments
#   set_payment_trouble($server, 0.05);        so large a share of their runs fails
# These give what is wrong, in words; a list:
#   live_twice($stripe)                        members that can pay twice: nobody, at any moment
#   live_twice_of(@intents)                    the same, of Stripe's intents
#   lived_twice($stripe)                       those that could once: by Stripe's events, in their order
#   wrong_just_now($server)                    what the database says at any moment
#   judge_payments($server, $stripe)           once everything is drained
#   judge_refunds_asked($server, $stripe, \%unkeyed, @keys)   … by how often refunds were asked for without a key (intent => number),
#                                              and under which keys
#   judge_tabs($stripe, @tabs)                 client secrets, by whom they were given to
package PgSeats::PaymentModel;

use strict;
use warnings;
use Exporter 'import';
use List::Util qw(sum0 uniq);
use JSON::PP ();

our @EXPORT = qw(
  set_up_payments set_payment_trouble handlers_of_facts
  live_twice live_twice_of lived_twice wrong_just_now judge_payments judge_refunds_asked judge_tabs);

my @facts = qw(paid failed cancelled refunded disputed);

# paying.asked: payments as start_payment has given them, in transactions that were committed, and which of them were said
# to be there before. paying.heard: what handlers were told. (Nothing is unique there: what comes twice is to be seen.)
my $tables = <<'END_OF_TABLES';
CREATE SCHEMA paying;
CREATE TABLE paying.asked (
    payment  bigint NOT NULL,
    member   bigint NOT NULL,
    repeated boolean NOT NULL);
CREATE TABLE paying.heard (
    transaction bigint NOT NULL,
    function    text   NOT NULL,
    role        text   NOT NULL,
    outcome     jsonb  NOT NULL,
    context     jsonb);
CREATE TABLE paying.trouble (share double precision NOT NULL);
INSERT INTO paying.trouble VALUES (0);
END_OF_TABLES

# What the application does when it hears of something: it notes it, and fails now and then.
my $function = <<'END_OF_FUNCTION';
CREATE FUNCTION SCHEMA.on_FACT(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO paying.heard VALUES (call, 'FACT', session_user || ' ' || current_user, outcome, context);
    IF random() < (SELECT t.share FROM paying.trouble AS t) THEN
        RAISE EXCEPTION 'the application is not well'
            USING ERRCODE = (ARRAY['40001', '40P01', '55P03', 'P0001', '22012'])[1 + floor(random() * 5)::integer];
    END IF;
END $$;
END_OF_FUNCTION

sub set_up_payments
{
	my ($server, $role) = @_;
	$server->sql($tables);
	$server->sql("CREATE ROLE $role LOGIN; CREATE SCHEMA $role AUTHORIZATION $role;
		GRANT USAGE ON SCHEMA paying TO $role; GRANT ALL ON ALL TABLES IN SCHEMA paying TO $role;
		SELECT seats.grant_payments('$role');");
	$server->sql("SET ROLE $role; " . ($function =~ s/SCHEMA/$role/gr =~ s/FACT/$_/gr)) foreach @facts;
	return;
}

# So large a share of the functions' runs fails from now on.
sub set_payment_trouble { my ($server, $share) = @_; $server->sql("UPDATE paying.trouble SET share = $share"); return }

# The arguments of create_payment_request that have every function run.
sub handlers_of_facts { my ($role) = @_; return join ', ', map {"on_$_ => '$role.on_$_'"} @facts }

# ---- what Stripe has

sub intents { my ($stripe) = @_; return @{ $stripe->control('GET', '/payment_intents')->{payment_intents} } }

# Intents that were made for members: member's hash => list of intents.
sub intents_of_members
{
	my (@intents) = @_;
	my %of = ();
	push @{ $of{ $_->{metadata}{pg_seats_member} } }, $_ foreach grep { $_->{metadata}{pg_seats_member} } @intents;
	return \%of;
}

sub is_live { my ($intent) = @_; return $intent->{status} !~ /^(?:succeeded|canceled)$/ }

sub live_twice { my ($stripe) = @_; return live_twice_of(intents($stripe)) }

sub live_twice_of
{
	my $of = intents_of_members(@_);
	my @wrong = ();
	foreach my $hash (sort keys %$of)
	{
		my @live = grep { is_live($_) } @{ $of->{$hash} };
		push @wrong, "member $hash has the live intents " . join ', ', map {"$_->{id} ($_->{status})"} @live if @live > 1;
	}
	return @wrong;
}

sub lived_twice
{
	my ($stripe) = @_;
	my (%live, @wrong) = ();
	foreach my $event (reverse @{ $stripe->all_of('/v1/events', type => 'payment_intent.*') })
	{
		my $intent = $event->{data}{object};
		my $hash = $intent->{metadata}{pg_seats_member} // next;
		delete $live{$hash}{ $intent->{id} } if $event->{type} =~ /[.](?:canceled|succeeded)$/;
		next if $event->{type} ne 'payment_intent.created';
		push @wrong, map {"member $hash had the live intent $_ when $intent->{id} was made"} sort keys %{ $live{$hash} };
		$live{$hash}{ $intent->{id} } = 1;
	}
	return @wrong;
}

# ---- the judge

# What the database says, as lists of rows.
sub rows
{
	my ($server, $query) = @_;
	return @{ JSON::PP->new->decode($server->sql("SELECT coalesce(jsonb_agg(q.*), '[]') FROM ($query) AS q")) };
}

my %queries = (
	members => 'SELECT m.*, r.currency, r.state AS request_state FROM seats_internal.payment_member AS m JOIN seats_internal.payment_request AS r ON r.id = m.request_id',
	payments => 'SELECT p.*, m.hash, r.when_paid_after_cancel FROM seats_internal.payment AS p
		JOIN seats_internal.payment_member AS m ON m.id = p.member_id JOIN seats_internal.payment_request AS r ON r.id = m.request_id',
	transactions => 'SELECT t.*, p.intent FROM seats_internal.payment_transaction AS t JOIN seats_internal.payment AS p ON p.id = t.payment_id',
	refunds => 'SELECT r.*, p.intent FROM seats_internal.refund AS r JOIN seats_internal.payment AS p ON p.id = r.payment_id',
	heard => 'SELECT h.* FROM paying.heard AS h',
	asked => 'SELECT a.* FROM paying.asked AS a',
	functions => 'SELECT h.*, p.id AS payment FROM seats_internal.payment_handler AS h
		JOIN seats_internal.payment_member AS m ON m.request_id = h.request_id JOIN seats_internal.payment AS p ON p.member_id = m.id');

my %state_of = (requires_payment_method => 'payable', requires_confirmation => 'payable', requires_action => 'payable',
	processing => 'processing', requires_capture => 'processing', canceled => 'canceled', succeeded => 'succeeded');

sub judge_payments
{
	my ($server, $stripe) = @_;
	my %d = map { $_ => [ rows($server, $queries{$_}) ] } keys %queries;
	my $intents = intents_of_members(intents($stripe));
	$d{intents} = $intents;
	$d{intent} = { map { $_->{id} => $_ } map {@$_} values %$intents };
	$d{payment} = { map { $_->{id} => $_ } @{ $d{payments} } };
	$d{refunds_there} = [ grep { $d{intent}{ $_->{payment_intent} // '' } } @{ $stripe->all_of('/v1/refunds') } ];
	$d{disputes_there} = [ grep { $d{intent}{ $_->{payment_intent} // '' } } @{ $stripe->all_of('/v1/disputes') } ];
	$d{money} = $stripe->control('GET', '/money', undef, summary => 'true', of_invoice => 'false')->{totals};
	return (judge_intents(\%d), judge_members(\%d), judge_what_is_closed(\%d), judge_late_money(\%d), judge_refunds(\%d), judge_money(\%d), judge_heard(\%d));
}

# Each payment is what its intent is; each intent is somebody's; of a member at most one is live.
sub judge_intents
{
	my ($d) = @_;
	my @wrong = ();
	my %known = ();
	foreach my $payment (@{ $d->{payments} })
	{
		my $name = "payment $payment->{id} ($payment->{state})";
		my $intent = $d->{intent}{ $payment->{intent} // '' };
		$known{ $payment->{intent} } = 1 if $payment->{intent};
		push @wrong, "$name has intent $payment->{intent}, which is nobody's at Stripe" if $payment->{intent} && !$intent;
		push @wrong, "$name has no intent" if !$payment->{intent} && $payment->{state} !~ /^(?:refused|canceled)$/;
		next unless $intent;
		my $state = $state_of{ $intent->{status} };
		# (What was given up as not made, and was made, is cancelled.)
		push @wrong, "$name is $intent->{status} at Stripe"
		  if $payment->{state} ne $state && !($payment->{state} eq 'refused' && $state eq 'canceled');
		push @wrong, "$name has received $payment->{received}, and Stripe $intent->{amount_received}"
		  if $payment->{received} != $intent->{amount_received};
		push @wrong, "$name is of another member at Stripe" if $intent->{metadata}{pg_seats_member} ne $payment->{hash};
		push @wrong, "$name was asked to be cancelled, and is payable" if $payment->{state} eq 'payable' && $payment->{cancel_requested_at};
	}
	push @wrong, map {"intent $_ ($d->{intent}{$_}{status}) is no payment's"} grep { !$known{$_} } sort keys %{ $d->{intent} };
	push @wrong, map {"payment $_->{payment} was committed, and is not there"} grep { !$d->{payment}{ $_->{payment} } } @{ $d->{asked} };
	return @wrong;
}

# What a member is, by what Stripe has of him. (One that was settled by hand is what was said, and money that a person, or
# the request's rule, has kept makes a member paid.)
sub judge_members
{
	my ($d) = @_;
	my @wrong = ();
	my %decided_to_keep = map { $_->{intent} => 1 } grep { $_->{intent} && ($_->{review_reason} // '') eq 'kept' } @{ $d->{payments} };
	foreach my $member (@{ $d->{members} })
	{
		my @all = @{ $d->{intents}{ $member->{hash} } // [] };
		my @live = grep { is_live($_) } @all;
		my @paid = grep { $_->{status} eq 'succeeded' } @all;
		my @held = grep { refunded_of($d, $_) < $_->{amount_received} } @paid;
		my $name = "member $member->{id} ($member->{reference}, $member->{state})";
		push @wrong, "$name has " . (@live ? 'a live intent' : 'none') . ", and live_payment_id is " . ($member->{live_payment_id} // 'null')
		  if !@live != !$member->{live_payment_id};
		push @wrong, "$name has paid by " . join ', ', map { $_->{id} } @held if @held > 1 && !has_failed_refund($d, @paid);
		next if $member->{state} =~ /^(?:waived|paid_outside)$/ && !grep { $decided_to_keep{ $_->{id} } } @held;
		my $fits = grep { $decided_to_keep{ $_->{id} } || $_->{amount_received} == $member->{amount} && $_->{currency} eq $member->{currency} } @held;
		my $is =
			$fits ? 'paid'
		  : @held ? 'paid_other_amount'
		  : @live ? 'paying'
		  : $member->{amount} == 0 ? 'nothing_due'
		  : @paid ? 'refunded'
		  :                          'unpaid';
		push @wrong, "$name is to be $is" if $member->{state} ne $is;
	}
	return @wrong;
}

# Who has nothing to pay cannot pay.
sub judge_what_is_closed
{
	my ($d) = @_;
	my @wrong = ();
	foreach my $member (@{ $d->{members} })
	{
		# (At a bank hardly anything can be cancelled.)
		my @live = grep { $_->{status} =~ /^requires/ } @{ $d->{intents}{ $member->{hash} } // [] } or next;
		my $why = $member->{removed_at} ? 'removed' : $member->{request_state} eq 'cancelled' ? 'cancelled' : $member->{state};
		push @wrong, "member $member->{id} ($member->{reference}) is $why, and can pay with $live[0]{id}" if $why !~ /^(?:unpaid|paying)$/;
	}
	return @wrong;
}

# What has come in although it was to be cancelled is kept, or given back, or a person has decided.
sub judge_late_money
{
	my ($d) = @_;
	my @wrong = ();
	foreach my $payment (grep { $_->{state} eq 'succeeded' && $_->{cancel_requested_at} } @{ $d->{payments} })
	{
		my $is = $payment->{review_reason} // 'not decided';
		my $back = refunded_of($d, $d->{intent}{ $payment->{intent} }) + pending_of($d, $d->{intent}{ $payment->{intent} });
		my $is_disputed = grep { $_->{payment_intent} eq $payment->{intent} } @{ $d->{disputes_there} };
		my $is_well =
			$is =~ /^(?:kept|refunded)$/ ? 1
		  : $payment->{when_paid_after_cancel} eq 'refund' ? $back == $payment->{received} || $is_disputed || has_failed_refund($d, { id => $payment->{intent} })
		  :                                                  $back == $payment->{received};
		push @wrong, "payment $payment->{id} was paid after it was cancelled ($payment->{when_paid_after_cancel}), and is $is; $back of $payment->{received} went back"
		  unless $is_well;
	}
	return @wrong;
}

sub refunded_of { my ($d, $intent) = @_; return sum_of_refunds($d, $intent, qr/^succeeded$/) }
sub pending_of { my ($d, $intent) = @_; return sum_of_refunds($d, $intent, qr/^(?:pending|requires_action)$/) }

sub sum_of_refunds
{
	my ($d, $intent, $status) = @_;
	return sum0 map { $_->{amount} } grep { $_->{payment_intent} eq $intent->{id} && $_->{status} =~ $status } @{ $d->{refunds_there} };
}

sub has_failed_refund
{
	my ($d, @intents) = @_;
	my %is = map { $_->{id} => 1 } @intents;
	return scalar grep { $is{ $_->{payment_intent} } && $_->{status} =~ /^(?:failed|canceled)$/ } @{ $d->{refunds_there} };
}

# Each refund is there once, here and at Stripe, and they never come to more than was received.
sub judge_refunds
{
	my ($d) = @_;
	my @wrong = ();
	my (%here, %markers) = ();
	foreach my $refund (@{ $d->{refunds} })
	{
		push @wrong, "refund $refund->{id} is $refund->{state}, and has no id of Stripe's" if !$refund->{refund} && $refund->{state} ne 'refused';
		next unless $refund->{refund};
		push @wrong, "refund $refund->{refund} stands here twice" if $here{ $refund->{refund} }++;
		my ($there) = grep { $_->{id} eq $refund->{refund} } @{ $d->{refunds_there} };
		push @wrong, "refund $refund->{refund} is $refund->{state} of $refund->{amount}, and at Stripe "
		  . ($there ? "$there->{status} of $there->{amount}" : 'not there')
		  unless $there && $there->{status} eq $refund->{state} && $there->{amount} == $refund->{amount};
	}
	foreach my $there (@{ $d->{refunds_there} })
	{
		push @wrong, "refund $there->{id} ($there->{status}) of $there->{payment_intent} is not known here" unless $here{ $there->{id} };
		my $marker = $there->{metadata}{pg_seats} // next;
		push @wrong, "refund $there->{id} was made again, by another key" if $markers{ $marker =~ s/-\d+$//r }++;
	}
	foreach my $intent (values %{ $d->{intent} })
	{
		my $sum = sum0 map { $_->{amount} } grep { $_->{payment_intent} eq $intent->{id} && $_->{status} !~ /^(?:failed|canceled)$/ } @{ $d->{refunds_there} };
		push @wrong, "$intent->{id} has received $intent->{amount_received}, and $sum are refunded" if $sum > $intent->{amount_received};
	}
	foreach my $payment (grep { $_->{intent} && $d->{intent}{ $_->{intent} } } @{ $d->{payments} })
	{
		my ($sum, $pending) = map { $_->($d, $d->{intent}{ $payment->{intent} }) } \&refunded_of, \&pending_of;
		push @wrong, "payment $payment->{id} has refunded $payment->{refunded}, and $payment->{refund_reserved} reserved; Stripe has $sum, and $pending"
		  if $payment->{refunded} != $sum || $payment->{refund_reserved} != $pending;
	}
	return @wrong;
}

# A refund that has a name (the application's key for it, or ours) is made once; of others Stripe has no more than were asked for.
sub judge_refunds_asked
{
	my ($server, $stripe, $unkeyed, @keys) = @_;
	my $names = join ', ', map {"('$_')"} 'after_cancel', 'decided', map {"asked-$_"} @keys;
	my %name_of = map { $_->{uuid} => $_->{name} } rows($server, "SELECT seats_internal.refund_uuid(p.uuid, n.name) AS uuid, p.intent || ' ' || n.name AS name
		FROM seats_internal.payment AS p CROSS JOIN (VALUES $names) AS n (name) WHERE p.intent IS NOT NULL");
	my (%made, @wrong) = ();
	foreach my $refund (@{ $stripe->all_of('/v1/refunds') })
	{
		my ($uuid) = ($refund->{metadata}{pg_seats} // '') =~ /^(.{36})-/ or next;
		my $times = ++$made{ $name_of{$uuid} // $refund->{payment_intent} };
		my $asked = $name_of{$uuid} ? 1 : $unkeyed->{ $refund->{payment_intent} } // 0;
		push @wrong, "refund $refund->{id} of $refund->{payment_intent} (" . ($name_of{$uuid} // 'without a name') . ") is one of $times, and $asked were asked for"
		  if $times > $asked;
	}
	return @wrong;
}

# A secret is of the payer's own intent, of the amount that he was told, and is the real one.
sub judge_tabs
{
	my ($stripe, @tabs) = @_;
	my %intent = map { $_->{id} => $_ } intents($stripe);
	my @wrong = ();
	foreach my $tab (@tabs)
	{
		my $intent = $intent{ $tab->{intent} };
		my $name = "payment $tab->{payment}, $tab->{intent}";
		push @wrong, "$name: the secret is not its own" if !$intent || $intent->{client_secret} ne $tab->{secret};
		push @wrong, "$name: the secret was given to another payer" if $intent && $intent->{metadata}{pg_seats_member} ne $tab->{hash};
		push @wrong, "$name is $tab->{state}, and a secret was given" if $tab->{state} ne 'payable';
		push @wrong, "$name is of $tab->{amount} $tab->{currency}, and a secret of $intent->{amount} $intent->{currency} was given"
		  if $intent && $tab->{amount} && "$intent->{amount} $intent->{currency}" ne "$tab->{amount} $tab->{currency}";
	}
	return uniq @wrong;
}

# What must be so at any moment: no more is asked back than came in (what Stripe has refused was not to be asked for, either), and money that
# came in is one transaction.
sub wrong_just_now
{
	my ($server) = @_;
	return split /\n/, $server->sql(<<'END_OF_QUERY');
SELECT format('payment %s: %s was received, and refunds of %s are under way or made', p.id, p.received, r.sum)
  FROM seats_internal.payment AS p
 CROSS JOIN LATERAL (SELECT sum(r.amount) AS sum FROM seats_internal.refund AS r
        WHERE r.payment_id = p.id AND r.asked_by <> 'stripe' AND r.state IN ('reserved', 'pending', 'requires_action', 'succeeded')) AS r
 WHERE r.sum > p.received
UNION ALL
SELECT format('refund %s of payment %s: of %s so much was given back before that %s could not be asked for', r.id, p.id, p.received, r.amount)
  FROM seats_internal.payment AS p
  JOIN seats_internal.refund AS r ON r.payment_id = p.id AND r.state = 'refused'
 WHERE r.amount + (SELECT sum(b.amount) FROM seats_internal.refund AS b
                    WHERE b.payment_id = p.id AND b.id < r.id AND b.call_id IS NOT NULL AND b.state = 'succeeded') > p.received
UNION ALL
SELECT format('payment %s is succeeded with %s, and %s transactions of %s say so', p.id, p.received, count(t.id), sum(t.amount))
  FROM seats_internal.payment AS p
  LEFT JOIN seats_internal.payment_transaction AS t ON t.payment_id = p.id AND t.kind = 'succeeded'
 WHERE p.state = 'succeeded' GROUP BY p.id HAVING count(t.id) <> 1 OR sum(t.amount) <> p.received
END_OF_QUERY
}

# Money at Stripe is money in the transactions, by currency and kind.
sub judge_money
{
	my ($d) = @_;
	my (%here, %there) = ();
	$here{"$_->{currency} $_->{kind}"} += $_->{amount} foreach @{ $d->{transactions} };
	$there{"$_->{currency} succeeded"} += $_->{amount_received} foreach grep { $_->{status} eq 'succeeded' } values %{ $d->{intent} };
	$there{"$_->{currency} refunded"} += $_->{amount} foreach grep { $_->{status} eq 'succeeded' } @{ $d->{refunds_there} };
	# (An inquiry takes no money.)
	foreach my $dispute (grep { $_->{status} !~ /^warning_/ } @{ $d->{disputes_there} })
	{
		$there{"$dispute->{currency} disputed"} += $dispute->{amount};
		$there{"$dispute->{currency} dispute_$dispute->{status}"} += $dispute->{amount} if $dispute->{status} =~ /^(?:won|lost)$/;
	}
	$there{"$_->{currency} refund_failed"} += $_->{amount} foreach grep { $_->{status} =~ /^(?:failed|canceled)$/ } @{ $d->{refunds_there} };
	my @wrong = judge_ledger($d);
	# What failed once it had succeeded was refunded, and is no longer.
	my %has_failed = map { $_->{object} => 1 } grep { $_->{kind} eq 'refund_failed' } @{ $d->{transactions} };
	$here{"$_->{currency} refunded"} -= $_->{amount} foreach grep { $_->{kind} eq 'refunded' && $has_failed{ $_->{object} } } @{ $d->{transactions} };
	my @currencies = uniq map { (split / /)[0] } keys %here, keys %there;
	foreach my $currency (sort @currencies)
	{
		foreach my $kind (qw(succeeded refunded refund_failed disputed dispute_won dispute_lost))
		{
			my ($ours, $stripes) = map { $_->{"$currency $kind"} // 0 } \%here, \%there;
			push @wrong, "$kind in $currency: $ours here, $stripes at Stripe" if $ours != $stripes;
		}
	}
	# (What was taken back here before it was sent, by all that was known, may have been sent before a failover that has forgotten it.)
	my %told = map {; "$_->{payment_id} " . ($_->{object} eq ($_->{intent} // '') ? 'at Stripe' : 'here') => 1 } grep { $_->{kind} eq 'cancelled' } @{ $d->{transactions} };
	foreach my $payment (grep { $_->{intent} } @{ $d->{payments} })
	{
		my ($is_told_there, $is_told_here) = map { $told{"$payment->{id} $_"} } 'at Stripe', 'here';
		push @wrong, "payment $payment->{id} is canceled, and no transaction says so" if $payment->{state} eq 'canceled' && !$is_told_there && !$is_told_here;
		push @wrong, "payment $payment->{id} is $payment->{state}, and a transaction says that it was canceled" if $payment->{state} ne 'canceled' && $is_told_there;
	}
	return @wrong;
}

# The same by what has moved on the account at Stripe: it gives back a refund's money when it is asked for, we when it is made.
sub judge_ledger
{
	my ($d) = @_;
	my (%sum, @wrong) = ();
	$sum{ $_->{currency} }{ $_->{kind} } += $_->{amount} foreach @{ $d->{transactions} };
	my %back = map { $_->{object} => 1 } grep { $_->{kind} eq 'refunded' } @{ $d->{transactions} };
	$sum{ $_->{currency} }{came_back} += $_->{amount} foreach grep { $_->{kind} eq 'refund_failed' && $back{ $_->{object} } } @{ $d->{transactions} };
	$sum{ $_->{currency} }{pending} += $_->{amount} foreach grep { $_->{status} =~ /^(?:pending|requires_action)$/ } @{ $d->{refunds_there} };
	foreach my $currency (uniq sort keys %sum, keys %{ $d->{money} })
	{
		my ($here, $there) = ($sum{$currency} // {}, $d->{money}{$currency} // {});
		my %balance = (
			here => sum0(map { $_ // 0 } @$here{qw(succeeded dispute_won came_back)}) - sum0(map { $_ // 0 } @$here{qw(refunded pending disputed)}),
			there => $there->{balance} // 0);
		push @wrong, "the balance in $currency is $balance{here} here, $balance{there} at Stripe" if $balance{here} != $balance{there};
		my ($paid_here, $paid_there) = ($here->{succeeded} // 0, $there->{paid} // 0);
		push @wrong, "paid in $currency: $paid_here here, $paid_there at Stripe" if $paid_here != $paid_there;
	}
	return @wrong;
}

my %fact_of = (succeeded => 'paid', failed => 'failed', cancelled => 'cancelled', refunded => 'refunded', refund_failed => 'refunded',
	disputed => 'disputed', dispute_won => 'disputed', dispute_lost => 'disputed');

# Each transaction was told once, to the request's function for it, as what it is; nothing else was.
sub judge_heard
{
	my ($d) = @_;
	my @wrong = ();
	my %wants = map {; "$_->{payment} $_->{fact}" => 1 } @{ $d->{functions} };
	my %heard = ();
	push @{ $heard{ $_->{transaction} } }, $_ foreach @{ $d->{heard} };
	foreach my $transaction (@{ $d->{transactions} })
	{
		my $fact = $fact_of{ $transaction->{kind} };
		my $name = "transaction $transaction->{id} ($transaction->{kind} $transaction->{amount} $transaction->{currency} of payment $transaction->{payment_id})";
		my @said = @{ delete $heard{ $transaction->{id} } // [] };
		my $times = $wants{"$transaction->{payment_id} $fact"} ? 1 : 0;
		push @wrong, "$name was told " . @said . " times, not $times" if @said != $times;
		foreach my $heard (@said)
		{
			my $outcome = $heard->{outcome};
			push @wrong, "$name was told as " . JSON::PP->new->canonical->encode($outcome) . " to on_$heard->{function}"
			  unless $heard->{function} eq $fact && $outcome->{transaction} eq $transaction->{kind} && $outcome->{payment} == $transaction->{payment_id}
			  && $outcome->{amount} == $transaction->{amount} && $outcome->{currency} eq $transaction->{currency};
		}
	}
	push @wrong, map {"something was told about $_, which is no transaction"} sort keys %heard;
	return @wrong;
}

1;
