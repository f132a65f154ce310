# The harness itself: a server with pg_seats, its worker, the simulator, and one call on its whole
# way.
use strict;
use warnings;
use PgSeats::Scenario;

# Waiting: an answer is passed on, and a condition that never comes true is named.
is(wait_until(sub {'yes'}, 'an answer'), 'yes', 'wait_until returns the answer');
eval { wait_until(sub {0}, 'pigs to fly', timeout => 0.1) };
like($@, qr/in vain for: pigs to fly/, 'wait_until says what it waited for in vain');
eval { wait_until(sub { die "no wings\n" }, 'pigs to fly', timeout => 0.1) };
like($@, qr/no wings/, 'and names the last error');

# The simulator alone.
my $stripe = new_simulator();
my $customer = $stripe->create_customer(name => 'Ada');
like($customer->{id}, qr/^cus_/, 'the simulator creates a customer');
assert_executed($stripe, 0, "the scenario's own calls are told from the worker's");

# The server.
my $server = new_server('main', simulator => $stripe);
is($server->sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_seats'"),
	'1', 'the extension is there');
like($server->sql('SHOW shared_preload_libraries'), qr/pg_seats/, 'and preloaded');
is($server->sql('SHOW server_encoding'), 'UTF8', 'the database is UTF8');

my $worker = $server->wait_for_worker;
like($worker, qr/^\d+$/, 'a worker is there');

# One call on its whole way.
$server->enqueue('/v1/customers', { name => 'x' });
wait_until(sub { @{ $stripe->worker_ledger } > 0 }, 'the call to be executed');
assert_executed($stripe, 1);
is($stripe->worker_ledger->[0]{path}, '/v1/customers', 'and it is the right one');

# A worker that is killed is replaced, and the log's search knows that it was meant.
my $killed = $server->kill_worker('KILL');
my $next = $server->wait_for_worker(another_than => $killed);
isnt($next, $killed, 'after kill -9 there is another worker');
$server->assert_log_clean;
assert_executed($stripe, 1, 'and nothing was sent twice');

$server->stop;
$stripe->stop;
done_testing();
