# What the worker costs when it has nothing to do, or may do nothing: next to nothing.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe);
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;

sub seconds_of_cpu
{
	my $pid = $server->worker_pid;
	open my $handle, '<', "/proc/$pid/stat" or die "stat: $!";
	my @fields = split / /, (<$handle> =~ s/^.*\) //sr);
	return ($fields[11] + $fields[12]) / 100;
}

sub is_idle
{
	my ($what) = @_;
	my $loops = $server->sql('SELECT claims FROM seats_internal.worker_state()');
	my $before = seconds_of_cpu();
	sleep 3;
	my $used = seconds_of_cpu() - $before;
	$loops = $server->sql('SELECT claims FROM seats_internal.worker_state()') - $loops;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($used, '<', 0.09, "$what: $used s of CPU in 3 s");
	cmp_ok($loops, '<=', 4, "… and $loops claims");
	return;
}

my ($first) = named_call($server);
await_state($server, $first, 'done');
is_idle('nothing to do');

$server->sql(q{SELECT seats.pause('stripe', 'test')});
$server->sql(q{SELECT count(seats.enqueue_call('stripe', 'POST', '/v1/customers', '{}', lane => n || ''))
	FROM generate_series(1, 2000) AS n});
is_idle('paused, with calls');

$stripe->control('POST', '/keys', { key => $PgSeats::Server::api_key, state => 'revoked' });
$server->sql(q{SELECT seats.resume('stripe', 'test')});
$server->wait_for_sql('SELECT state FROM seats.destinations', 'halted');
is_idle('halted');

$server->write_secret('stripe_key', '');
$server->wait_for_sql(q{SELECT in_flight FROM seats.destinations}, '0');
is_idle('without a key');

# A restart, so that the destination is not proven.
rename $server->secrets_directory, $server->secrets_directory . '.away' or die $!;
my $pid = $server->worker_pid;
$server->kill_worker('TERM');
$server->wait_for_worker(another_than => $pid);
$server->wait_for_sql('SELECT state FROM seats.worker_status', 'fenced');
is_idle('fenced, without a directory');
mkdir $server->secrets_directory, 0700 or die $!;
$server->write_secret('stripe_key', $PgSeats::Server::api_key);
is_idle('fenced, with a key');

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
