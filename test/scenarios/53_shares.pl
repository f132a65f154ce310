# Of what may be on the wire, no destination takes so much that nothing is left for the others.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'CONF');
pg_seats.max_in_flight = 8
CONF
$stripe->control('POST', '/keys', { key => 'sk_test_other', account => 'acct_other' });
$server->write_secret('other_key', 'sk_test_other');
# The first by name is asked first.
$server->define_destination('a_hangs', secret => "'other_key'", account => "'acct_other'", requests_per_second => 500);
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$server->wait_for_sql(q{SELECT count(*) FROM seats.destinations WHERE state = 'open'}, '2');

my $hanging = sub { return scalar @{ $stripe->requests(state => 'hanging') } };

subtest 'one that hangs leaves room for the others' => sub {
	$stripe->fault({ match => { method => 'POST', account => 'acct_other' }, fault => 'hang', times => -1 });
	my @stuck = map { $server->enqueue('/v1/customers', { name => "stuck $_" }, destination => 'a_hangs') } 1 .. 20;
	wait_until(sub { $hanging->() >= 6 }, 'its share to hang');
	await_another_loop($server);
	is($hanging->(), 6, 'its share hangs, and no more');
	foreach my $round (1 .. 3)
	{
		my @calls = map { $server->enqueue('/v1/customers', { name => "round $round number $_" }) } 1 .. 5;
		await_state($server, $_, 'done') foreach @calls;
	}
	is($hanging->(), 6, 'the others go on meanwhile, and it keeps to its share');
	is($server->sql(q{SELECT in_flight FROM seats.destinations WHERE name = 'a_hangs'}), '6', 'as one can see');
	# It waits without looking for work all the time.
	await_another_loop($server);
	my $claims = $server->sql('SELECT claims FROM seats.worker_status');
	await_another_loop($server);
	await_another_loop($server);
	cmp_ok($server->sql('SELECT claims FROM seats.worker_status') - $claims, '<', 20, 'who has no room is not asked again and again');
	$stripe->clear_faults;
	$stripe->release;
	await_state($server, $_, 'done') foreach @stuck;
};

subtest 'one that is alone may have all of it' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'alone')});
	$stripe->fault({ match => { method => 'POST', account => 'acct_other' }, fault => 'hang', times => -1 });
	my @calls = map { $server->enqueue('/v1/customers', { name => "alone $_" }, destination => 'a_hangs') } 1 .. 10;
	wait_until(sub { $hanging->() >= 8 }, 'all that may be on the wire');
	await_another_loop($server);
	is($hanging->(), 8, 'and no more');
	$stripe->clear_faults;
	$stripe->release;
	await_state($server, $_, 'done') foreach @calls;
	$server->sql(q{SELECT seats.resume('stripe', 'no longer')});
};

subtest 'as many connections as requests' => sub {
	set_configuration($server, 'pg_seats.max_in_flight' => '300');
	$server->wait_for_sql('SHOW pg_seats.max_in_flight', '300');
	$server->sql(q{SELECT seats.pause('a_hangs', 'room')});
	$stripe->fault({ match => { method => 'POST' }, fault => 'hang', times => -1 });
	$server->sql(q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers') FROM generate_series(1, 300)});
	wait_until(sub { $hanging->() == 300 }, '300 requests to have reached Stripe', timeout => 60);
	pass('none waits inside curl');
	$stripe->clear_faults;
	$stripe->release;
	await_all_settled($server);
};

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
