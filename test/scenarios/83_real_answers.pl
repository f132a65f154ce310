# Answers as large as Stripe's, indented, with an expanded invoice; and as many connections as there may be calls on
# the wire, also when that is changed while the worker runs.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Seats;

my $bytes = 12_000;
my $stripe = new_simulator(arguments => [ '--answer-bytes', $bytes ]);
my $server = new_server('main', simulator => $stripe);
$server->define_destination('stripe', requests_per_second => 1_000);
$server->wait_for_worker;

subtest 'a change of seats finds what it needs in it' => sub {
	define_seat_type($server, 'team');
	new_team($server, $stripe, 'acme', seats => { team => 5 });
	my $change = add_seats($server, 'acme', 2);
	await_change($server, $change, 'confirmed');
	is(seats_of($server, 'acme'), '7|7|0', 'confirmed');
	is(seats_at_stripe($stripe, 'acme'), 7, 'and at Stripe');
	is($server->sql("SELECT length(answer) > $bytes * 0.9 FROM seats_internal.outbox_history WHERE id = $change"),
		't', 'from an answer as large as Stripe\'s');
	is($server->sql("SELECT seats.call_answer($change) ->> 'id'"), 'sub_acme', 'which is kept');
	my $can = $server->sql(q{SELECT count(*) FROM pg_settings
		WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)});
	is($server->sql("SELECT pg_column_compression(answer) FROM seats_internal.outbox_history WHERE id = $change"),
		$can ? 'lz4' : 'pglz', 'compressed by lz4 where the server can');
};

subtest 'connections follow pg_seats.max_in_flight' => sub {
	my $most = sub { $stripe->control('GET', '/counters')->{connections} };
	my $under_way = sub { $server->sql('SELECT in_flight FROM seats_internal.worker_state()') };
	$stripe->fault({ match => { method => 'POST', path => '/v1/customers' }, fault => 'hang', times => -1 });
	$server->sql(q{SELECT count(seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "waits"}'))
		FROM generate_series(1, 700)});
	wait_until(sub { $under_way->() == 256 }, '256 calls to be on the wire');
	wait_until(sub { $most->() >= 256 }, 'each to have its connection');
	$server->sql('ALTER SYSTEM SET pg_seats.max_in_flight = 600');
	$server->reload;
	wait_until(sub { $under_way->() == 600 }, '600 calls to be on the wire');
	wait_until(sub { $most->() >= 600 }, 'each to have its connection');
	$stripe->clear_faults;
	$stripe->release;
	wait_until(sub { $server->sql(q{SELECT count(*) FROM seats_internal.outbox WHERE kind = 'call'}) == 0 },
		'all to be settled');
	is($server->sql(q{SELECT count(*) FROM seats_internal.outbox_history WHERE path = '/v1/customers' AND result = 'done'}),
		700, 'each was done');
};

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
