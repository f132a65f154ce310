# A logical subscriber that has the extension, too: all tables come across and stay in step, nothing is
# sent from there, and it can take over.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => "wal_level = logical\nmax_wal_senders = 10\nmax_replication_slots = 10\n");
$server->wait_for_worker;
define_seat_type($server, 'team');
new_team($server, $stripe, 'acme', seats => { team => 5 });
await_change($server, add_seats($server, 'acme', 2), 'confirmed');
# An alert, whose id a subscriber's own one would take.
$server->sql(q{SELECT seats_internal.raise_alert('before', 'critical', 'test', 'it is bad')});

my $subscriber = new_server('subscriber', extension => 0, configuration => "pg_seats.safety_poll = '200ms'\n");
$subscriber->use_simulator($stripe);
$subscriber->sql('CREATE EXTENSION pg_seats');
$subscriber->wait_for_worker;
$server->sql('CREATE PUBLICATION everything FOR ALL TABLES');
my $connection = PgSeats::Server::quote($server->connstr('postgres'));
$subscriber->sql("CREATE SUBSCRIPTION everything CONNECTION $connection PUBLICATION everything");

subtest 'every table comes across' => sub {
	$subscriber->wait_for_sql(q{SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'}, '0', timeout => 60);
	is($subscriber->sql('SELECT count(*) > 30 FROM pg_subscription_rel'), 't', 'all of them');
	is(seats_of($subscriber, 'acme'), '7|7|0', 'a team');
	is($subscriber->sql('SELECT slot, last_journal_number FROM seats_internal.ring'),
		$server->sql('SELECT slot, last_journal_number FROM seats_internal.ring'), 'and the ring\'s place');
};

subtest 'it stays in step, and sends nothing' => sub {
	$subscriber->wait_for_sql('SELECT state FROM seats_internal.worker_state()', 'fenced');
	is($subscriber->sql(q{SELECT status FROM seats.health WHERE check_name = 'installation'}), 'critical', 'it says so');
	my $sent = silence_of($stripe, sub {
		$server->sql(q{SELECT seats.pause('stripe', 'they are to be seen open')});
		add_seats($server, 'acme', 1);
		$server->sql(q{SELECT seats_internal.raise_alert('after', 'critical', 'test', 'it is worse')});
		$server->wait_for_catchup('everything');
		$subscriber->wait_for_sql(q{SELECT count(*) FROM seats.outbox WHERE state = 'pending'}, '1');
		await_another_loop($subscriber) });
	is_deeply($sent, [], 'nothing is sent from either');
	$server->sql(q{SELECT seats.resume('stripe', 'off they go')});
	await_seats($server, 'acme', '8|8|0');
	await_seats($subscriber, 'acme', '8|8|0');
	$subscriber->wait_for_sql('SELECT count(*) FROM seats.outbox', '0');
	is($subscriber->sql(q{SELECT string_agg(kind, ' ' ORDER BY alert) FROM seats.alerts}),
		'test test', 'its alerts are the original\'s');
};

subtest 'it takes over' => sub {
	$server->wait_for_catchup('everything');
	$server->stop;
	$subscriber->sql('ALTER SUBSCRIPTION everything DISABLE');
	$subscriber->sql('ALTER SUBSCRIPTION everything SET (slot_name = NONE)');
	$subscriber->sql('DROP SUBSCRIPTION everything');
	$subscriber->write_secret('stripe_key', $PgSeats::Server::api_key);
	$subscriber->sql(q{SELECT seats.adopt_database('the original is gone', true)});
	$subscriber->wait_for_sql('SELECT state FROM seats_internal.worker_state()', 'running');
	await_change($subscriber, add_seats($subscriber, 'acme', 1), 'confirmed');
	assert_in_step($subscriber, $stripe, 'acme', { team => 9 });
};

foreach my $log ($server, $subscriber)
{
	unlike($log->log_text, qr/duplicate key value/, 'nothing collides in ' . $log->name);
}
$subscriber->assert_log_clean;
$subscriber->stop;
$stripe->stop;
done_testing();
