# The fold against a model: changes, refusals, cancels, edits by somebody else and lowerings at random,
# hundreds of steps. After each the database has what the model says: no quantity is ever negative, the
# newest unsent removals are taken back where there are not enough seats for them, and every quantity is
# the fold of its changes (P4, as the database itself checks it). In the end all is settled, and the
# database, Stripe and the model agree.
#
# SEED=n repeats a run.
use strict;
use warnings;
use JSON::PP ();
use List::Util qw(shuffle);
use PgSeats::Scenario;
use PgSeats::Crowds;
use PgSeats::Faults;
use PgSeats::Seats;

my $seed = $ENV{SEED} // int(rand(1_000_000));
srand $seed;
diag "the seed is $seed";

my $rounds = 12;
my $steps_per_round = 30;

my $stripe = new_simulator();
# So many calls for one subscription are too many for Stripe; that is another scenario's topic.
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.safety_poll = '300ms'
END
$server->define_destination('stripe', requests_per_second => 500);
# Whether a card is asked for money is to depend on nothing but whether seats are added: no credits.
define_seat_type(
	$server, $_,
	largest_change => 50,
	largest_total => 500,
	decrease_proration_behavior => 'none',
	delete_at_zero => 'false') foreach qw(team owner);
my @teams = map {"t$_"} 1 .. 3;
new_teams($server, $stripe, \@teams, seats => { team => 10, owner => 3 });

my $session = $server->background_psql('postgres', on_error_stop => 0);

# ---- the model: what is confirmed, and the open changes in order

my %model = map { $_ => { confirmed => { team => 10, owner => 3 }, open => [] } } @teams;
my %ended = ();    # change => how it must have ended

sub folded
{
	my ($team, $type, @changes) = @_;
	my $total = $model{$team}{confirmed}{$type};
	my $lowest = $total;
	foreach my $change (@changes)
	{
		next unless exists $change->{lines}{$type};
		my ($operation, $quantity) = @{ $change->{lines}{$type} };
		$total = $operation eq 'set' ? $quantity : $total + $quantity;
		$lowest = $total if $total < $lowest;
	}
	return ($total, $lowest);
}

sub quantity_in_model { my ($team, $type) = @_; return (folded($team, $type, @{ $model{$team}{open} }))[0] }

# Where a total on the way is negative, the newest changes that lower the line go: at once as many as make up for what is
# missing. (Not one after the other: with the first one gone, an absolute one behind it may lower the line that did not.)
sub void_removals
{
	my ($team) = @_;
	my $open = $model{$team}{open};
	my $again = 1;
	while ($again)
	{
		$again = 0;
		foreach my $type (qw(owner team))
		{
			my $missing = -(folded($team, $type, @$open))[1];
			next if $missing <= 0;
			my @totals = ($model{$team}{confirmed}{$type}, map { (folded($team, $type, @$open[ 0 .. $_ ]))[0] } 0 .. $#$open);
			foreach my $i (reverse 0 .. $#$open)
			{
				my $lowers = $totals[$i] - $totals[ $i + 1 ];
				next if $lowers <= 0 || $missing <= 0;
				$missing -= $lowers;
				my ($gone) = splice @$open, $i, 1;
				$ended{ $gone->{id} } = 'reverted no_longer_valid';
				$again = 1;
			}
			last;
		}
	}
	return;
}

# ---- steps; each gives what it did, in words

sub one_of { return $_[ rand @_ ] }

# Two types in one change rise together, or fall together.
sub change
{
	my ($team) = @_;
	my %lines = ();
	my $verb = one_of(qw(add add add remove remove remove set set));
	my @types = rand() < 0.25 && $verb ne 'set' ? qw(owner team) : one_of(qw(owner team team team));
	my %has = map { $_ => quantity_in_model($team, $_) } @types;
	$verb = 'add' if $verb eq 'remove' && grep { $_ == 0 } values %has;
	foreach (@types)
	{
		$lines{$_} =
			$verb eq 'set' ? [ 'set', int rand 21 ]
		  : $verb eq 'add' ? [ 'add', 1 + int rand 6 ]
		  :                  [ 'add', -(1 + int rand($has{$_} > 6 ? 6 : $has{$_})) ];
	}
	my $json = '{' . join(', ', map {
			my ($operation, $quantity) = @{ $lines{$_} };
			my $verb = $operation eq 'set' ? 'set' : $quantity < 0 ? 'remove' : 'add';
			sprintf '"%s": {"%s": %d}', $_, $verb, abs $quantity
		} sort keys %lines) . '}';
	my $id = $session->query(
		"SELECT change FROM seats.change_seats('$team', '$json', '" . owner_of($team) . "')");
	die "$json of $team: '$id'" unless $id =~ /^\d+$/;
	push @{ $model{$team}{open} }, { id => $id, lines => \%lines };
	return "$id: $json";
}

# What is below zero, or more than there is, is refused, and changes nothing.
sub too_much
{
	my ($team) = @_;
	my $many = 1 + quantity_in_model($team, 'team');
	my $answer = $session->query("SELECT seats.remove_seats('$team', 'team', $many, '" . owner_of($team) . "')");
	die "removing $many of $team was not refused: $answer" if $answer ne '';
	$session->{stderr} = '';
	return "refused to remove $many";
}

sub cancel
{
	my ($team) = @_;
	my $open = $model{$team}{open};
	return change($team) unless @$open;
	my ($gone) = splice @$open, int rand @$open, 1;
	my $state = $session->query("SELECT seats.cancel_change($gone->{id})");
	die "cancelling $gone->{id}: '$state'" unless $state eq 'cancelled';
	$ended{ $gone->{id} } = 'cancelled cancelled';
	void_removals($team);
	return "cancelled $gone->{id}";
}

# Somebody in the Dashboard; the database learns of it by the next read.
sub edit_outside
{
	my ($team, $type, $quantity) = @_;
	$type //= one_of(qw(owner team));
	$quantity //= one_of(0, int rand 12);
	$stripe->edit_subscription(subscription_of($team), quantities => { item_of($team, $type) => $quantity });
	return "Stripe has $quantity of $type now";
}

# What a webhook's read leads to, while nothing may be sent: the facts are put in as the worker does.
sub lower
{
	my ($team) = @_;
	my $type = one_of(qw(owner team team));
	my $quantity = int rand(1 + $model{$team}{confirmed}{$type});
	edit_outside($team, $type, $quantity);
	$model{$team}{confirmed}{$type} = $quantity;
	$session->query(<<"SQL");
BEGIN;
SELECT FROM seats_internal.take_team('$team');
SELECT FROM seats_internal.team AS t, LATERAL seats_internal.read_settled(t.id, jsonb_build_object(
        'id', t.subscription, 'status', t.status, 'items',
        (SELECT jsonb_agg(CASE WHEN i ->> 'id' = '@{[ item_of($team, $type) ]}'
                               THEN i || '{"quantity": $quantity}' ELSE i END)
           FROM jsonb_array_elements(t.items) AS i)),
    clock_timestamp(), NULL) AS read WHERE t.name = '$team';
COMMIT;
SQL
	void_removals($team);
	return "lowered to $quantity $type";
}

# ---- what is compared after each step

my $seen = q{SELECT string_agg(concat_ws(' ', s.team, s.seat_type, s.confirmed, s.quantity), ', '
        ORDER BY s.team, s.seat_type)
    || '; ' || coalesce((SELECT string_agg(o.id::text, ' ' ORDER BY o.id) FROM seats_internal.outbox AS o
                          WHERE o.kind = 'change'), '')
    || '; ' || (SELECT h.status FROM seats.health AS h WHERE h.check_name = 'seats')
    || '; negative: ' || (SELECT count(*) FROM seats.teams AS t WHERE t.quantity < 0)
  FROM seats.teams AS s};

sub expected
{
	my (@lines, @open);
	foreach my $team (@teams)
	{
		push @lines, "$team $_ $model{$team}{confirmed}{$_} " . quantity_in_model($team, $_)
		  foreach qw(owner team);
		push @open, map { $_->{id} } @{ $model{$team}{open} };
	}
	@open = sort { $a <=> $b } @open;
	return join(', ', @lines) . "; @open; ok; negative: 0";
}

my $agreed = 0;
my @story = ();

sub compare
{
	my ($team, $what) = @_;
	push @story, "$team $what";
	my $got = $session->query($seen);
	my $wanted = expected();
	if ($got ne $wanted)
	{
		diag "seed $seed; the last steps:\n  " . join "\n  ", @story > 15 ? @story[ -15 .. -1 ] : @story;
		is($got, $wanted, "step " . @story);
		die "the model and the database differ (seed $seed)\n";
	}
	$agreed++;
	return;
}

# ---- rounds: many steps while nothing may be sent, then everything goes through Stripe

my @steps = ((\&change) x 8, (\&cancel) x 2, \&too_much, (\&lower) x 2);

sub applied
{
	my ($totals, $change) = @_;
	my %after = %$totals;
	foreach my $type (keys %{ $change->{lines} })
	{
		my ($operation, $quantity) = @{ $change->{lines}{$type} };
		$after{$type} = $operation eq 'set' ? $quantity : $after{$type} + $quantity;
	}
	return \%after;
}

sub direction
{
	my ($before, $after) = @_;
	my $direction = 0;
	$direction ||= $after->{$_} <=> $before->{$_} foreach qw(owner team);
	return $direction;
}

# All that is open goes through Stripe, the longest run of the same direction in one call; a card that
# declines refuses all of a run that rises.
sub settle_in_model
{
	my ($team, $declined) = @_;
	my $now = $model{$team};
	while (@{ $now->{open} })
	{
		my ($run, $target, @carried) = (0, $now->{confirmed});
		while (my $change = $now->{open}[0])
		{
			my $after = applied($target, $change);
			my $direction = direction($target, $after);
			last if $run && $direction && $direction != $run;
			$run ||= $direction;
			$target = $after;
			push @carried, shift @{ $now->{open} };
		}
		if ($declined && direction($now->{confirmed}, $target) > 0)
		{
			$ended{ $_->{id} } = 'reverted payment_failed' foreach @carried;
			void_removals($team);
			next;
		}
		$now->{confirmed} = $target;
		$ended{ $_->{id} } = 'confirmed' foreach @carried;
	}
	return;
}

foreach my $round (1 .. $rounds)
{
	$server->sql(q{SELECT seats.pause('stripe', 'let them gather')});
	foreach (1 .. $steps_per_round)
	{
		my $team = one_of(@teams);
		compare($team, one_of(@steps)->($team));
	}
	# Through Stripe: one team's card declines, another is edited before anything is read.
	my ($declined, $edited) = shuffle(@teams);
	$stripe->set_card(customer_of($_), $_ eq $declined ? 'declined' : 'ok') foreach @teams;
	my $type = one_of(qw(owner team));
	my $quantity = int rand 12;
	push @story, "$edited " . edit_outside($edited, $type, $quantity);
	$model{$edited}{confirmed}{$type} = $quantity;
	void_removals($edited);
	# What is known of Stripe is old: every team is read before anything of it is sent.
	$server->sql('UPDATE seats_internal.team SET base_proven_at = NULL');
	settle_in_model($_, $_ eq $declined) foreach @teams;
	$server->sql(q{SELECT seats.resume('stripe', 'off they go')});
	await_all_settled($server);
	age_calls($server);
	reconcile($server, $edited);    # where it had nothing open, nobody has read it
	compare('all', "settled, the card of $declined declined");
	foreach my $team (@teams)
	{
		my %here = map { $_ => $model{$team}{confirmed}{$_} } qw(owner team);
		my %there = map { $_ => seats_at_stripe($stripe, $team, $_) } qw(owner team);
		is_deeply(\%there, \%here, "round $round, $team: Stripe has what the model has");
	}
}
is($agreed, $rounds * ($steps_per_round + 1), "model and database agreed after each of $agreed steps");

# How each change ended.
my %results = map { split /\|/ } split /\n/, $server->sql(
	q{SELECT DISTINCT change, CASE state WHEN 'confirmed' THEN state ELSE concat_ws(' ', state, reason) END
	    FROM seats.changes});
is_deeply(\%results, \%ended, 'every change ended as the model says');
my %kinds = ();
$kinds{$_}++ foreach values %ended;
cmp_ok($kinds{$_} // 0, '>', 0, "$_: " . ($kinds{$_} // 0))
  foreach 'confirmed', 'cancelled cancelled', 'reverted payment_failed', 'reverted no_longer_valid';

$session->quit;
assert_ledger($server, $stripe);
assert_nothing_twice($stripe);
is($server->sql('SELECT count(*) FROM seats.reviews'), '0', 'no person was needed');
$server->assert_log_clean;
$server->stop;
done_testing();
