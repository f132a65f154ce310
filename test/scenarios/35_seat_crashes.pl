# The worker ends at the worst moments while changes of seats are under way: merged calls, splits,
# calls that wait for their payment, reads of what quantities are computed on. Nothing is bought twice
# and nothing is lost. And the database refuses to take what Stripe has answered: the alert says how bad
# that is, and each of them has a way out that leaves the quantities right.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Crowds;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.base_lifetime = '10min'
END
$server->define_destination('stripe', requests_per_second => 500);
define_seat_type($server, 'team');
define_seat_type($server, 'later', increase_payment_behavior => 'pending_if_incomplete');

my @points = qw(before_freeze_commit after_freeze after_answer before_settle_commit after_settle);
my @rounds = ((map { ("cold $_", "warm $_") } @points), 'lost answer');
my %teams_of = map { my $round = $_ =~ s/ /_/gr; $_ => { map { $_ => "${_}_$round" } qw(merged split later) } } @rounds;
new_teams($server, $stripe, [ map { values %$_ } values %teams_of ], seats => { team => 5, later => 5 });
foreach my $teams (values %teams_of)
{
	# Two at once can be paid for, four cannot, and forty never.
	$stripe->set_card(customer_of($teams->{split}), 'insufficient_over:5000');
	$stripe->set_card(customer_of($teams->{later}), 'declined');
}

# Three teams' changes in one transaction, so that they are claimed together.
sub make_changes
{
	my ($teams) = @_;
	my @changes = change_together(
		$server,
		(map { [ 'add', $teams->{merged}, $_ ] } 1, 2, 3),
		(map { [ 'add', $teams->{split}, $_ ] } 2, 2, 2, 40),
		(map { [ 'add', $teams->{later}, $_, 'later' ] } 1, 2));
	return { merged => [ @changes[ 0 .. 2 ] ], split => [ @changes[ 3 .. 6 ] ], later => [ @changes[ 7, 8 ] ] };
}

sub assert_all_is_well
{
	my ($teams, $changes) = @_;
	assert_judged($server, $stripe, $teams->{merged}, 11, 1, 'merged changes: one call');
	assert_judged($server, $stripe, $teams->{split}, 11, 2, 'a split: each of its calls once');
	is($server->sql("SELECT string_agg(state, ' ' ORDER BY change) FROM seats.changes
	     WHERE team = '$teams->{split}'"),
		'confirmed confirmed confirmed reverted', '… and only what cannot be paid for is undone');
	await_change($server, $_, 'awaiting_payment') foreach @{ $changes->{later} };
	is(seats_of($server, $teams->{later}, 'later'), '5|8|3', 'what waits for its payment waits');
	is(join(' ', map { $_->{outcome} } @{ $stripe->worker_ledger(object => subscription_of($teams->{later})) }),
		'pending', '… and was asked for once');
	pay_for($server, $stripe, $teams->{later});
	look_now($server, $changes->{later}[0]);
	assert_judged($server, $stripe, $teams->{later}, 8, 0, '… until it is paid', type => 'later');
	return;
}

foreach my $point (@points)
{
	foreach my $base (qw(cold warm))
	{
		subtest "kill -9 at $point, base $base" => sub {
			my $teams = $teams_of{"$base $point"};
			# A worker that was just started has proved nothing: reads come first, and it ends in one.
			if ($base eq 'warm')
			{
				$server->sql(join "\n", map {"SELECT seats.reconcile('$_', 'warm');"} values %$teams);
				await_all_settled($server);
			}
			debug_point_from_now_on($server, $point);
			my $changes = make_changes($teams);
			$server->wait_at_debug_point($point);
			my $worker = $server->worker_pid;
			kill_at_debug_point($server);
			$server->wait_for_worker(another_than => $worker);
			assert_all_is_well($teams, $changes);
		};
	}
}

subtest 'kill -9 with calls on the wire, all of them executed' => sub {
	my $teams = $teams_of{'lost answer'};
	$stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/' . subscription_of($_) },
			fault => 'hang_after' }) foreach values %$teams;
	my $changes = make_changes($teams);
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } == 3 }, 'three calls to hang');
	my $worker = stop_worker($server);
	kill_stopped_worker($server, $worker);
	$server->wait_for_worker(another_than => $worker);
	assert_all_is_well($teams, $changes);
};

assert_folded($server);
assert_ledger($server, $stripe);
is(open_alerts($server), '', 'nobody is alarmed');

# ---- what Stripe has answered cannot be stored

may_raise($server);

# Raises when a change of these teams is settled, or frozen.
sub trouble
{
	my ($where, @teams) = @_;
	raise_for($server, $where, 'change /v1/subscriptions/' . subscription_of($_) . ' ', '22P04') foreach @teams;
	return;
}

sub no_trouble { $server->sql('DELETE FROM public.trouble'); return }

sub alert_of
{
	my ($change) = @_;
	return $server->sql("SELECT string_agg(severity || ' ' || kind, ', ' ORDER BY alert) FROM seats.alerts
	     WHERE call = $change AND state = 'open'");
}

sub resolve
{
	my ($decision, $change) = @_;
	$server->sql("SELECT seats.resolve_review($change, '$decision', 'the cause is gone')");
	return;
}

my @decided = qw(executed same_key refuse);
my %unstorable = map { $_ => "unstorable_$_" } @decided;
new_teams($server, $stripe, [ qw(refused soon unfrozen malformed wrong_word proven), values %unstorable ]);
my %changes = ();

sub make_two
{
	my (@teams) = @_;
	my @made = change_together($server, map { my $team = $_; map { [ 'add', $team, $_ ] } 1, 2 } @teams);
	$changes{$_} = [ splice @made, 0, 2 ] foreach @teams;
	return;
}

$stripe->set_card(customer_of('refused'), 'declined');
trouble('settle', qw(refused soon wrong_word proven), values %unstorable);
trouble('freeze', 'unfrozen');
$stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/' . subscription_of('malformed') },
		fault => 'unknown_parameter', param => 'items' });
make_two(qw(refused soon unfrozen malformed wrong_word proven), values %unstorable);

subtest 'Stripe has executed it, and it cannot be stored' => sub {
	wait_until(sub { alert_of($changes{soon}[0]) eq 'critical settling_failed' }, 'an alert');
	$server->sql("DELETE FROM public.trouble WHERE about LIKE '%sub_soon %'");
	assert_judged($server, $stripe, 'soon', 8, 1, 'settled when the cause is gone, bought once');
	is(alert_of($changes{soon}[0]), '', 'and the alert is resolved');
};

subtest 'a compensation fails' => sub {
	wait_until(sub { alert_of($changes{refused}[0]) ne '' }, 'an alert');
	like(alert_of($changes{refused}[0]), qr/fatal compensation_failed/, 'a refusal that cannot be undone is a fatal alert');
	is(seats_of($server, 'refused'), '5|8|0', 'the application still has what was refused');
	await_state($server, $changes{refused}[0], 'review');
	is(reasons_of($server, @{ $changes{refused} }), 'in_review database_error, in_review database_error',
		'it goes to review, with all that the call carried');
	is($server->sql(q{SELECT status FROM seats.health WHERE check_name = 'reviews'}), 'critical', 'health says so');
	$server->sql("DELETE FROM public.trouble WHERE about LIKE '%sub_refused %'");
	resolve('same_key', $changes{refused}[0]);
	assert_judged($server, $stripe, 'refused', 5, 0, 'resolved: undone');
	is($server->sql("SELECT string_agg(state, ' ') FROM seats.changes WHERE team = 'refused'"),
		'reverted reverted', 'both are reverted');
	is(alert_of($changes{refused}[0]), '', 'and the alert is resolved');
};

subtest 'each decision about a review' => sub {
	await_state($server, $changes{$_}[0], 'review') foreach values %unstorable, qw(unfrozen malformed wrong_word proven);
	is(seats_of($server, $_), '5|8|0', "$_: the quantity is the fold") foreach values %unstorable, qw(unfrozen malformed);
	assert_folded($server);
	# Whoever decides is told about whose seats, whoever has found that he must: Stripe's answer, the database.
	my %told = map { $_ => "team $_, seats of type team from 5 to 8, asked for by owner of $_ in 2 changes" } qw(malformed proven);
	foreach my $team (sort keys %told)
	{
		my $head = $changes{$team}[0];
		is($server->sql("SELECT team, seats, actor, changes FROM seats.reviews WHERE call = $head"),
			qq($team|{"team": {"new_quantity": 8, "previous_quantity": 5}}|owner of $team|2), "$team: the review names it");
		is($server->sql("SELECT count(*) > 0 AND bool_and(strpos(summary, '$told{$team}') > 0 AND detail ->> 'team' = '$team')
			FROM seats.alerts WHERE call = $head AND state = 'open'"), 't', "$team: … and so does each alert");
		like($server->sql("SELECT seats.explain_call($head)"), qr/^It changes seats: $told{$team}\.$/m, "$team: … and explain_call");
	}
	no_trouble();
	# Reads go on in a lane in review, and what one of them proves needs nobody's decision.
	reconcile($server, 'proven');
	assert_judged($server, $stripe, 'proven', 8, 1, 'proven by a read meanwhile: settled, bought once');
	is(alert_of($changes{proven}[0]), '', '… and the alerts are resolved');
	resolve($_, $changes{ $unstorable{$_} }[0]) foreach @decided;
	assert_judged($server, $stripe, $unstorable{$_}, 8, 1, "$_: the seats are those at Stripe, bought once")
	  foreach @decided;
	is($server->sql("SELECT string_agg(state, ' ') FROM seats.changes WHERE team = '$unstorable{$_->[0]}'"),
		"$_->[1] $_->[1]", "$_->[0]: $_->[1], with what it carried")
	  foreach [ executed => 'confirmed' ], [ same_key => 'confirmed' ], [ refuse => 'reverted' ];

	resolve('not_executed', $changes{unfrozen}[0]);
	assert_judged($server, $stripe, 'unfrozen', 8, 1, 'not_executed, never frozen: sent, both together');
	resolve('not_executed', $changes{malformed}[0]);
	assert_judged($server, $stripe, 'malformed', 8, 1, 'not_executed, turned away: sent under a new key');
	like(key_of($server, $changes{malformed}[0]), qr/-2$/, '… of the next generation');

	# Somebody decides wrongly: the read that follows puts it right.
	resolve('not_executed', $changes{wrong_word}[0]);
	await_open($server, 'wrong_word', 0);
	is(seats_at_stripe($stripe, 'wrong_word') . ' ' . seats_of($server, 'wrong_word'), '8 8|8|0',
		'not_executed where it was: the read before it is sent again finds the marker');
	is(executed_for($stripe, 'wrong_word'), 1, '… bought once');
};

is($server->sql(q{SELECT count(*) FROM seats.reviews}), '0', 'no review is left');
is(open_alerts($server), 'unknown_marker', 'one alert is open');
is($server->sql(q{SELECT summary FROM seats.alerts WHERE state = 'open'}),
	"Stripe has executed change $changes{ $unstorable{refuse} }[0] of team $unstorable{refuse}, which is reverted here",
	'… because somebody has refused what Stripe had executed');
assert_folded($server);
assert_nothing_twice($stripe);
$server->assert_log_clean;
$server->stop;
done_testing();
