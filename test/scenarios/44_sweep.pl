# The sweep: changes at Stripe that no event has told of are found, and reported or taken over.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.safety_poll = '100ms'
pg_seats.reconcile_interval = '1s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');
new_team($server, $stripe, $_) foreach qw(acme bolt cost);

# So many reads of it that were asked for by the sweep.
sub sweeps_of
{
	my ($team) = @_;
	return $server->sql(<<"END");
SELECT count(*) FROM seats_internal.outbox_history AS h JOIN seats_internal.team AS t ON t.id = h.team_id
 WHERE t.name = '$team' AND h.kind = 'read' AND h.context ->> 'because' = 'sweep'
END
}

sub await_another_sweep
{
	my ($team) = @_;
	my $before = sweeps_of($team);
	return wait_until(sub { sweeps_of($team) > $before + 1 }, "two sweeps of $team");
}

sub edit
{
	my ($team, $quantity) = @_;
	$stripe->edit_subscription(subscription_of($team), quantities => { item_of($team, 'team') => $quantity });
	return;
}

# aspect|local|stripe|cause
sub drift_of { return $server->sql("SELECT aspect, local, stripe, cause FROM seats.drift WHERE team = '$_[0]' ORDER BY 1") }

sub drift_alert
{
	return $server->sql("SELECT string_agg(state, ' ' ORDER BY alert) FROM seats.alerts
	    WHERE kind = 'drift' AND detail ->> 'team' = '$_[0]'");
}

subtest 'report' => sub {
	is($server->sql('SHOW pg_seats.reconcile'), 'report', 'is what it does unless told otherwise');
	await_another_sweep($_) foreach qw(acme bolt cost);
	is(drift_of('acme'), '', 'all is as it was');
	edit('acme', 8);
	$server->wait_for_sql(q{SELECT count(*) FROM seats.drift}, '1');
	is(drift_of('acme'), 'seats:team|5|8|changed_at_stripe', 'what differs is shown, with its likely cause');
	is(drift_alert('acme'), 'open', '… and told');
	my $since = $server->sql('SELECT since FROM seats.drift');
	await_another_sweep('acme');
	is($server->sql('SELECT since FROM seats.drift'), $since, 'since when is kept');
	is(drift_alert('acme'), 'open', '… and the alert stays one');
	assert_seats($server, 'acme', [ 5, 5, 0 ], 'nothing is taken over');
	reconcile($server, 'acme');
	assert_seats($server, 'acme', [ 8, 8, 0 ], 'until a person has it read');
	is(drift_of('acme') . drift_alert('acme'), 'resolved', '… and then there is no drift any more');
};

subtest 'bought meanwhile' => sub {
	edit('bolt', 9);
	$server->wait_for_sql(q{SELECT count(*) FROM seats.drift WHERE team = 'bolt'}, '1');
	# A change never goes by what a sweep has left alone.
	my $change = add_seats($server, 'bolt', 1);
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, 'bolt', { team => 10 });
	is(drift_of('bolt') . drift_alert('bolt'), 'resolved', 'its own read takes everything over');
};

subtest 'off' => sub {
	set_configuration($server, 'pg_seats.reconcile' => 'off');
	# What was queued before goes through.
	$server->wait_for_sql(q{SHOW pg_seats.reconcile}, 'off');
	await_another_loop($server);
	await_all_settled($server);
	my $before = sweeps_of('acme') + sweeps_of('bolt') + sweeps_of('cost');
	await_another_loop($server) foreach 1 .. 12;
	cmp_ok($server->sql(q{SELECT min(clock_timestamp() - swept_at) > '1 second' FROM seats_internal.team}),
		'eq', 't', 'all would be due');
	is(sweeps_of('acme') + sweeps_of('bolt') + sweeps_of('cost'), $before, 'nothing is read');
};

subtest 'a purchase does not queue behind reads' => sub {
	new_team($server, $stripe, "crowd$_") foreach 1 .. 30;
	await_all_settled($server);
	$server->define_destination('stripe', requests_per_second => 20);
	$server->sql("SELECT seats.pause('stripe', 'let them gather')");
	$server->sql(q{SELECT seats.reconcile(team, 'all of them') FROM seats.teams WHERE team LIKE 'crowd%'});
	my $change = add_seats($server, 'acme', 1);
	$server->sql("SELECT seats.resume('stripe', 'off they go')");
	await_change($server, $change, 'confirmed');
	await_all_settled($server);
	cmp_ok($server->sql("SELECT count(*) FROM seats.calls AS r JOIN seats.calls AS c ON c.call = $change
	    WHERE r.method = 'GET' AND r.call < c.call AND r.first_sent_at > c.first_sent_at"), '>=', 10,
		'of thirty reads that were asked for before it many leave after it');
	$server->define_destination('stripe', requests_per_second => 500);
};

subtest 'repair' => sub {
	edit('cost', 7);
	set_configuration($server, 'pg_seats.reconcile' => 'repair');
	await_seats($server, 'cost', '7|7|0');
	is(drift_of('cost'), '', 'there is no drift');
	is(drift_alert('cost'), 'resolved', 'but an alert that it was so: events are missing');
	is($server->sql(q{SELECT count(*) FROM seats.journal WHERE kind = 'drift.repaired' AND detail ->> 'team' = 'cost'}),
		1, '… and an entry in the journal');

	# Of a lane with open changes nothing is taken over behind their back.
	my $change;
	hold_worker($server, sub {
		$change = add_seats($server, 'cost', 2);
		$server->sql("SELECT seats_internal.review_change($change, 'not_proven', 'the scenario says so')");
	});
	edit('cost', 6);
	$server->wait_for_sql(q{SELECT cause FROM seats.drift WHERE team = 'cost'}, 'unsettled_change');
	assert_seats($server, 'cost', [ 7, 9, 0 ], 'a lane that is not idle is left alone');
	is(drift_alert('cost'), 'resolved', '… and nobody is alarmed');
	$server->sql("SELECT seats.resolve_review($change, 'refuse', 'it was not executed')");
	await_seats($server, 'cost', '6|6|0');
};

subtest 'a cancelled subscription' => sub {
	$server->sql("SELECT seats.add_member('acme', 'ann', 'team', external_id => 'chat-ann')");
	$stripe->cancel_subscription(subscription_of('acme'));
	$server->wait_for_sql(q{SELECT count(*) FROM seats.members WHERE team = 'acme' AND status = 'active'}, '0');
	is($server->sql(q{SELECT detail ->> 'external_id' FROM seats.journal WHERE kind = 'member.removed'
	    AND detail ->> 'user_id' = 'ann'}), 'chat-ann', 'is found, and its members are out');
	$server->wait_for_sql(q{SELECT swept_at FROM seats_internal.team WHERE name = 'acme'}, 'infinity');
	pass('and it is never read again');
};

subtest 'one that is gone' => sub {
	$server->sql(q{UPDATE seats_internal.team SET subscription = 'sub_gone' WHERE name = 'bolt'});
	$server->wait_for_sql(q{SELECT problem IS NOT NULL FROM seats.teams WHERE team = 'bolt'}, 't');
	is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'subscription_unreadable' AND state = 'open'}),
		1, 'is told');
	await_another_sweep('cost');
	pass('and keeps up nobody else');
};

assert_nothing_twice($stripe);
$server->assert_log_clean;
done_testing();
