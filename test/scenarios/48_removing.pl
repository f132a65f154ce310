# Taking away what was set up, beside a worker that is at it: reads and sweeps go on, calls are on the wire,
# and what is gone is neither asked for nor missed. Then the same names begin anew.
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
my $worker = $server->worker_pid;

sub refused
{
	my ($call) = @_;
	my ($status, undef, $error) = $server->try_sql("SELECT seats.$call");
	return $error =~ /cannot be \w+ yet/ ? 'refused' : $status ? $error : 'done';
}

subtest 'a team, while the sweep reads it all the time' => sub {
	my $team = new_team($server, $stripe, 'acme');
	my $change = add_seats($server, $team, 2);
	await_change($server, $change, 'confirmed');
	is(refused("unregister_team('acme', 'why')"), 'refused', 'it has a member');
	$server->sql("SELECT seats.remove_member('acme', '@{[ owner_of('acme') ]}', last_owner => true)");
	$server->sql("SELECT seats.unregister_team('acme', 'why')");
	await_another_loop($server);
	is($server->sql("SELECT count(*) FROM seats.teams"), '0', 'it is gone');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.outbox}, '0');
	is(seats_at_stripe($stripe, 'acme'), 7, 'at Stripe it goes on');
};

subtest 'a team whose read is on the wire' => sub {
	new_team($server, $stripe, 'bolt');
	$server->sql("SELECT seats.remove_member('bolt', '@{[ owner_of('bolt') ]}', last_owner => true)");
	$stripe->fault({ match => { method => 'GET', path => '/v1/subscriptions/' . subscription_of('bolt') }, fault => 'hang' });
	$server->sql("SELECT seats.reconcile('bolt', 'why')");
	$stripe->await_held(method => 'GET');
	$server->sql("SELECT seats.unregister_team('bolt', 'why')");
	$stripe->release(method => 'GET');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.outbox}, '0');
	is($server->sql(q{SELECT count(*) FROM seats.reviews}), '0', 'its answer finds nobody, and nothing follows');
};

subtest 'a change on the wire is waited for' => sub {
	new_team($server, $stripe, 'cost');
	$stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/' . subscription_of('cost') }, fault => 'hang' });
	my $change = add_seats($server, 'cost', 1);
	$stripe->await_held(method => 'POST');
	$server->sql("SELECT seats.remove_member('cost', '@{[ owner_of('cost') ]}', last_owner => true)");
	is(refused($_), 'refused', "$_ is refused")
	  foreach "unregister_team('cost', 'why')", "drop_seat_type('team', 'why')", "drop_destination('stripe', 'why')";
	$stripe->release(method => 'POST');
	await_change($server, $change, 'confirmed');
	is(refused("drop_seat_type('team', 'why')"), 'refused', 'the team has such seats');
	$server->sql("SELECT seats.unregister_team('cost', 'why')");
	$server->sql("SELECT seats.drop_seat_type('team', 'not sold any more')");
	is($server->sql('SELECT count(*) FROM seats.seat_types'), '0', 'the kind of seats goes with the last of them');
};

subtest 'the destination' => sub {
	$server->sql("SELECT seats.drop_destination('stripe', 'moved')");
	await_another_loop($server);
	my $before = @{ $stripe->requests };
	await_another_loop($server) foreach 1 .. 3;
	is(scalar(@{ $stripe->requests }), $before, 'nothing is asked of it any more');
	is($server->sql(q{SELECT count(*) FROM seats.destinations}), '0', 'it is gone');
	is($server->worker_pid, $worker, 'the worker is the same');
};

subtest 'and all of it anew' => sub {
	$server->define_destination('stripe', requests_per_second => 500);
	define_seat_type($server, 'team');
	$server->sql("SELECT seats.register_team('acme', 'sub_acme')");
	await_seats($server, 'acme', '7|7|0');
	$server->sql(q{SELECT seats.add_member('acme', 'ada', role => 'owner')});
	my $change = $server->sql(q{SELECT change FROM seats.add_seats('acme', 'team', 1, 'ada')});
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, 'acme', { team => 8 }, 'it works');
};

subtest 'a person, once everybody has read of him' => sub {
	$server->sql(q{SELECT count(*) FROM seats.read_journal('chat')});
	$server->sql(q{SELECT seats.add_member('acme', 'eve', 'team', external_id => 'U7')});
	$server->sql(q{SELECT seats.remove_member('acme', 'eve')});
	$server->wait_for_sql(q{SELECT count(*) FROM seats.journal WHERE number IS NULL}, '0');
	is(refused("erase_person('eve', 'she asks')"), 'refused', 'the chat has not');
	$server->sql(q{SELECT seats.acknowledge_journal('chat', (SELECT max(number) FROM seats.journal))});
	is(refused("erase_person('eve', 'she asks')"), 'done', 'now it has');
	is($server->sql(q{SELECT count(*) FROM seats.journal WHERE detail::text ~ 'eve|U7'}), '0', 'the journal has forgotten her');
	is($server->sql(q{SELECT count(*) = max(number) - min(number) + 1 FROM seats.journal WHERE number IS NOT NULL}), 't',
		'… and no number');
};

subtest 'the extension' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'maintenance')});
	$server->sql(q{SELECT seats.add_seats('acme', 'team', 1, 'ada')});
	my ($status, $output, $error) = $server->psql($server->database, 'BEGIN; DROP EXTENSION pg_seats; ROLLBACK');
	like($error, qr/WARNING:  pg_seats is dropped while 1 call\(s\) are open/, 'it warns while a call is open');
	is($server->sql('SELECT count(*) FROM seats.changes WHERE state = $$pending$$'), '1', '… and a ROLLBACK brings it back');
	$server->sql(q{SELECT seats.cancel_change(max(change), 'ada') FROM seats.changes});
	$server->sql('CREATE FUNCTION undo(bigint, jsonb, jsonb) RETURNS void LANGUAGE sql AS $$SELECT$$');
	($status, $output, $error) = $server->psql($server->database, <<'END');
BEGIN;
SELECT change FROM seats.add_seats('acme', 'team', 1, 'ada', on_refused => 'public.undo') \gset
SELECT seats.cancel_change(:change, 'ada');
DROP EXTENSION pg_seats;
ROLLBACK;
END
	like($error, qr/WARNING:  pg_seats is dropped while 1 handler\(s\) have not run/, 'and while a handler waits');
	($status, $output, $error) = $server->psql($server->database, <<'END');
BEGIN;
SELECT r.request FROM seats.create_payment_request('dinner', 'eur', '[{"reference": "ada", "amount": 1000}]') AS r;
SELECT state FROM seats.start_payment(seats.payment_member('dinner', 'ada'));
DROP EXTENSION pg_seats;
ROLLBACK;
END
	like($error, qr/WARNING:  pg_seats is dropped while 1 payment\(s\) are not over/, 'and while somebody can pay');
	($status, $output, $error) = $server->psql($server->database, 'DROP EXTENSION pg_seats');
	unlike($error, qr/WARNING/, 'not when nothing is');
	is($server->sql(q{SELECT count(*) FROM pg_namespace WHERE nspname ~ '^seats'}), '0', 'nothing is left of it');
};

$server->assert_log_clean;
$server->stop;
done_testing();
