# Rows that come without a transaction of this worker's time, more rows than memory takes, several
# destinations of which some stand still: every row is found, and nobody waits for another's.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator(arguments => ['--light']);
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '1s'
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->define_destination('slow', requests_per_second => 1);
$server->wait_for_worker;

sub many
{
	my ($destination, $count, $lane) = @_;
	$server->sql("SELECT count(seats.enqueue_call('$destination', 'POST', '/v1/customers', '{}'"
		. ($lane ? ", lane => '$destination ' || n" : '') . ")) FROM generate_series(1, $count) AS n");
	return;
}

subtest 'a slow destination with more than memory takes holds up no other' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'test')});
	many('slow', 30_000);
	many('stripe', 200);
	many('slow', 25_000);
	many('stripe', 200);
	my $pid = $server->worker_pid;
	$server->kill_worker('TERM');
	$server->wait_for_worker(another_than => $pid);
	$server->sql(q{SELECT seats.resume('stripe', 'test')});
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.outbox WHERE destination = 'stripe'},
		'0', timeout => 30);
	pass('all of the other are sent');
};

subtest 'nor does one with more lanes than memory takes' => sub {
	$server->sql(q{SELECT seats.pause('slow', 'test')});
	many('slow', 45_000, 1);
	many('stripe', 100, 1);
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.outbox WHERE destination = 'stripe'},
		'0', timeout => 30);
	pass('all of the other are sent');
};

subtest 'rows that a restore brought are found' => sub {
	$server->sql(<<'END');
INSERT INTO seats_internal.outbox (eligible_xid, installation, destination, method, path, body, enqueued_by)
SELECT '100', i.uuid, 'stripe', 'POST', '/v1/customers', 'name=restored', 'x'
  FROM seats_internal.installation AS i
END
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.outbox WHERE destination = 'stripe'},
		'0', timeout => 10);
	pass('found');
};

subtest 'a lane whose ids went back' => sub {
	my $first = $server->enqueue('/v1/customers', {}, lane => 'back');
	await_state($server, $first, 'done');
	$server->sql(q{SELECT setval('seats_internal.outbox_id_seq', 500000)});
	my $second = $server->enqueue('/v1/customers', {}, lane => 'back');
	await_state($server, $second, 'done');
	$server->sql(q{SELECT setval('seats_internal.outbox_id_seq', 400000)});
	my $third = $server->enqueue('/v1/customers', {}, lane => 'back');
	is(await_state($server, $third, 'done'), 'done', 'it goes on');
};

assert_nothing_twice($stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
