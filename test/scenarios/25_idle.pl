# What the worker costs when it has nothing to do, or may do nothing: next to nothing.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Handlers;
use Time::HiRes qw(sleep time);

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '600s'
autovacuum = off
checkpoint_timeout = '1h'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;

sub seconds_of_cpu
{
	my $pid = $server->worker_pid;
	open my $handle, '<', "/proc/$pid/stat" or die "stat: $!";
	my @fields = split / /, (<$handle> =~ s/^.*\) //sr);
	return ($fields[11] + $fields[12]) / 100;
}

# 'loops|transactions|claims|bytes of WAL' up to now.
sub efforts
{
	return [ split /\|/, $server->sql(q{SELECT loops, transactions, claims, pg_current_wal_insert_lsn() - '0/0'
	    FROM seats_internal.worker_state()}) ];
}

# Whatever was begun before has come to its end, and what is shown is what is. (A worker that never rests is
# looked at all the same: what it does is told then.)
sub await_rest
{
	my $before = '';
	foreach my $look (1 .. 10)
	{
		my $now = join ' ', @{ efforts() }[ 1, 2 ];
		return if $now eq $before;
		$before = $now;
		sleep 1.1;
	}
	return;
}

# `loops`: how often it may wake up to look at something that only a look can tell (a file, a probe).
sub is_idle
{
	my ($what, %may) = @_;
	await_rest();
	my $before = efforts();
	my $cpu = seconds_of_cpu();
	sleep 4;
	my $after = efforts();
	my $used = seconds_of_cpu() - $cpu;
	$server->wait_for_sql(q{SELECT state || ' ' || query LIKE 'idle waiting%' FROM pg_stat_activity
	 WHERE backend_type = 'pg_seats worker'}, 't');
	my ($loops, $transactions, $claims, $wal) = map { $after->[$_] - $before->[$_] } 0 .. 3;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($loops, '<=', $may{loops} // 1, "$what: $loops wake-ups in 4 s");
	is("$transactions transactions, $claims claims", '0 transactions, 0 claims', '… without a transaction');
	# (The server's own background writer tells standbys from time to time which transactions run.)
	cmp_ok($wal, '<=', 200, "… and $wal bytes of WAL");
	cmp_ok($used, '<', 0.09, "… $used s of CPU");
	return;
}

my ($first) = named_call($server);
await_state($server, $first, 'done');
is_idle('nothing to do');

set_up_handlers($server, { app => 'LOGIN' });  # … and the destination is paused
$server->sql(q{SELECT count(seats.enqueue_call('stripe', 'POST', '/v1/customers', '{}', lane => n || ''))
	FROM generate_series(1, 2000) AS n});
is_idle('paused, with calls');

# Handlers that cannot run now: one that is tried again in a minute, one behind another in review, and then all of them.
define_handler($server, 'fails', q{BEGIN RAISE EXCEPTION 'as told'; END});
my ($later, $reviewed, $behind) = map { ended_call($server, 'fails', lane => $_) } qw(later review review);
await_handler($server, $_, 'tries > 0') foreach $later, $reviewed;
$server->sql("UPDATE seats_internal.handler SET tries = CASE call_id WHEN $later THEN 3 ELSE 4 END WHERE call_id IN ($later, $reviewed)");
await_handler($server, $later, 'tries = 4');
await_handler($server, $reviewed, q{review_reason = 'failed'});
is_idle('with handlers that wait');
$server->sql('ALTER SYSTEM SET pg_seats.handler_workers = 0');
$server->sql('SELECT pg_reload_conf()');
$server->wait_for_sql('SELECT count(*) FROM seats_internal.handler_state()', '0');
ended_call($server, 'fails', lane => 'other');
is_idle('without processes for handlers');

$stripe->control('POST', '/keys', { key => $PgSeats::Server::api_key, state => 'revoked' });
$server->sql(q{SELECT seats.resume('stripe', 'test')});
$server->wait_for_sql('SELECT state FROM seats.destinations', 'halted');
is_idle('halted', loops => 8);

$server->write_secret('stripe_key', '');
$server->wait_for_sql(q{SELECT in_flight FROM seats.destinations}, '0');
is_idle('without a key', loops => 8);

# A restart, so that the destination is not proven.
rename $server->secrets_directory, $server->secrets_directory . '.away' or die $!;
my $pid = $server->worker_pid;
$server->kill_worker('TERM');
$server->wait_for_worker(another_than => $pid);
$server->wait_for_sql('SELECT state FROM seats.worker_status', 'fenced');
is_idle('fenced, without a directory', loops => 8);
mkdir $server->secrets_directory, 0700 or die $!;
$server->write_secret('stripe_key', $PgSeats::Server::api_key);
is_idle('fenced, with a key', loops => 8);

rename $server->secrets_directory, $server->secrets_directory . '.other' or die $!;
rename $server->secrets_directory . '.away', $server->secrets_directory or die $!;
$server->wait_for_sql('SELECT state FROM seats.worker_status', 'running');
# What an earlier worker left cannot be taken over while somebody holds it.
my $holder = $server->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE seats_internal.outbox');
my $before = $server->worker_pid;
$server->kill_worker('TERM');
$server->wait_for_worker(another_than => $before);
$server->wait_for_sql(q{SELECT trouble LIKE 'cannot take over%' FROM seats_internal.worker_state()}, 't');
my ($loops, $began) = (efforts()->[0], time);
sleep 2;
$loops = efforts()->[0] - $loops;
my $seconds = time - $began;  # more, where others need the processor
cmp_ok($loops / $seconds, '<=', 12, sprintf 'as long as it cannot take over: %d wake-ups in %.1f s', $loops, $seconds);
$holder->query_safe('COMMIT');
$holder->quit;

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
