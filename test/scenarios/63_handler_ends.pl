# What ends in the middle: processes that run handlers, workers, servers; handlers that end all of it, or that never end.
# Each runs once all the same, or a person is told.
use strict;
use warnings;
use JSON::PP;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Handlers;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'CONF');
log_min_messages = debug1
CONF
$server->wait_for_worker;
set_up_handlers($server, { app => 'LOGIN' });

define_handler($server, 'notes', <<'BODY', owner => 'CURRENT_USER');
BEGIN
    PERFORM pg_advisory_xact_lock_shared((context ->> 'lock')::bigint);
    INSERT INTO app.told (call, what) VALUES (call, outcome ->> 'result');
END
BODY
define_handler($server, 'crashes', <<'BODY', owner => 'CURRENT_USER');
BEGIN
    EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid());
END
BODY
# The server waits for the program and looks at nothing meanwhile.
define_handler($server, 'sleeps', <<'BODY', owner => 'CURRENT_USER');
BEGIN
    COPY (SELECT 1) TO PROGRAM 'sleep 8';
END
BODY

# All of them in one transaction, so that they come in one batch. The superuser's, who may do the worst.
sub ended_together
{
	my (@names) = @_;
	my @calls = split /\n/,
	  $server->sql(join ';', map { PgSeats::Server::enqueue_statement('/v1/x', {}, on_refused => "app.$_") } @names);
	cancel(@calls);
	return @calls;
}
sub cancel { $server->sql(join ';', 'BEGIN', (map {"SELECT seats.cancel_call($_, 'as told')"} @_), 'COMMIT'); return }
sub once
{
	my ($name, @calls) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $list = join ',', @calls;
	await_handled($server, @calls);
	return is($server->sql("SELECT count(*), count(DISTINCT call) FROM app.told WHERE call IN ($list)"),
		join('|', scalar @calls, scalar @calls), $name);
}
# How many calls each batch had that was given to a process since then.
sub batches_since
{
	my ($offset) = @_;
	return join ' ', $server->log_text($offset) =~ /handlers: process \d+ is given (\d+) from/g;
}

subtest 'one that ends the server' => sub {
	my @before = ended_together('notes');
	once('a process is there', @before);
	my $offset = -s $server->logfile;
	$server->expect_signals(4, 9);
	my @calls = ended_together(qw(notes notes crashes notes notes));
	my ($crashes) = splice @calls, 2, 1;
	wait_until(sub { ($server->try_sql("SELECT review_reason FROM seats_internal.handler WHERE call_id = $crashes"))[1] eq 'ended_the_server' },
		'the one that ends the server to be found', timeout => 60);
	pass('once in its batch and three times alone: then a person must decide');
	once('those that were begun with it run once', @calls);
	like(batches_since($offset), qr/^5( 1)+$/, 'after the first crash, one at a time');
	like($server->sql("SELECT summary FROM seats.alerts WHERE call = $crashes"), qr/^app\.crashes of call $crashes.*it has ended the server/, 'it is named');
	my @after = ended_together('notes', 'notes', 'notes');
	once('and all goes on', @after);
	$server->sql("SELECT seats.resolve_review($crashes, 'skip', 'it is broken')");
};

# A batch of which the first stands at a place; then something happens.
sub stand_in_batch
{
	my ($point, $count) = @_;
	debug_point_from_now_on($server, $point);
	my @calls = ended_together(('notes') x $count);
	my $pid = await_handler_at($server, $point);
	return ($pid, @calls);
}

foreach my $point (qw(handler_before_take handler_before_function handler_before_commit handler_after_commit))
{
	subtest "the server ends at $point" => sub {
		my ($pid, @calls) = stand_in_batch($point, 5);
		$server->sql('ALTER SYSTEM RESET pg_seats.debug_point');
		$server->stop('immediate');
		$server->start;
		$server->wait_for_worker;
		once('each runs once', @calls);
	};
	subtest "the server ends in good order at $point" => sub {
		my ($pid, @calls) = stand_in_batch($point, 5);
		$server->sql('ALTER SYSTEM RESET pg_seats.debug_point');
		my $offset = -s $server->logfile;
		$server->restart;
		$server->wait_for_worker;
		once('each runs once', @calls);
		# (Who stood there may have been charged with his process's end before it: then he comes a second later, alone.)
		like(batches_since($offset), qr/^(?:[45]|4 1)$/, 'and nobody is suspected');
	};
	subtest "its process is terminated at $point" => sub {
		my ($pid, @calls) = stand_in_batch($point, 5);
		$server->release_debug_point;
		$server->sql("SELECT pg_terminate_backend($pid)");
		once('each runs once', @calls);
		is($server->sql('SELECT count(*) FROM seats.alerts WHERE state = \'open\''), '0', 'nobody is alarmed');
	};
}

subtest 'who is charged for a process that was terminated' => sub {
	my ($pid, @calls) = stand_in_batch('handler_before_commit', 3);
	$server->sql('ALTER SYSTEM RESET pg_seats.debug_point');
	# (The setting is not reread before the process has ended.)
	$server->sql("SELECT pg_terminate_backend($pid)");
	await_handler($server, $calls[0], 'tries = 1');
	is(handler_of($server, $calls[0], 'error_code'), '57P01', 'the one that ran');
	$server->sql('SELECT pg_reload_conf()');
	once('all of them run', @calls);
};

subtest 'one that heeds nothing' => sub {
	set_configuration($server, 'pg_seats.handler_timeout' => '100ms');
	my ($call, @behind) = ended_together(qw(sleeps notes notes));
	$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'handler_stuck' AND state = 'open'}, '1');
	my $pid = $server->sql("SELECT s.pid FROM seats_internal.handler_state() AS s WHERE s.call = $call");
	like($server->sql(q{SELECT summary FROM seats.alerts WHERE kind = 'handler_stuck'}),
		qr/^app\.sleeps of call $call runs in process $pid since/, 'people are told which function and which process');
	once('what was given to its process is given to the other one', @behind);
	my @others = ended_together('notes', 'notes');
	once('the others go on there', @others);
	is($server->sql("SELECT count(*) FROM seats_internal.handler_state() AS s WHERE s.call = $call"), '1', 'all before it ends');
	await_handler($server, $call, 'tries = 1');
	is(handler_of($server, $call, 'error_code, careful'), '57014|t', 'when it has ended it is charged with it');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'handler_stuck' AND state = 'open'}, '0');
	pass('and the alert is resolved');
	$server->sql("UPDATE seats_internal.handler SET tries = 4 WHERE call_id = $call");
	set_configuration($server, 'pg_seats.handler_timeout' => '10s');
	define_handler($server, 'sleeps', 'BEGIN END', owner => 'CURRENT_USER');
	await_handled($server, $call);
};

subtest 'as many processes as the setting says' => sub {
	set_configuration($server, 'pg_seats.handler_workers' => '0');
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.handler_state()', '0');
	my @calls = ended_together(('notes') x 3);
	await_another_loop($server);
	is($server->sql('SELECT count(*) FROM seats_internal.handler'), '3', 'with none all of them wait');
	set_configuration($server, 'pg_seats.handler_workers' => '1');
	once('with one they run', @calls);
};

subtest 'two databases and one process' => sub {
	$server->safe_psql('postgres', 'CREATE DATABASE second');
	local $server->{_pg_seats_database} = 'second';
	$server->sql('CREATE EXTENSION pg_seats; SELECT seats.create_installation()');
	$server->define_destination('stripe');
	$server->wait_for_worker('second');
	$server->sql(<<'END');
CREATE SCHEMA app;
CREATE TABLE app.told (call bigint, what text);
SELECT seats.pause('stripe', 'as told');
END
	define_handler($server, 'notes', 'BEGIN INSERT INTO app.told VALUES (call, NULL); END', owner => 'CURRENT_USER');
	{
		local $server->{_pg_seats_database} = 'postgres';
		define_handler($server, 'slow', 'BEGIN PERFORM pg_sleep(0.1); END', owner => 'CURRENT_USER');
		ended_together(('slow') x 200);
		$server->wait_for_sql('SELECT count(*) FROM seats_internal.handler_state() AS s WHERE s.call IS NOT NULL', '1');
	}
	my @quick = ended_together('notes', 'notes');
	once('the other one has its turn', @quick);
	cmp_ok($server->safe_psql('postgres', 'SELECT count(*) FROM seats_internal.handler'), '>', 0, 'long before the first has nothing more');
	set_configuration($server, 'pg_seats.handler_workers' => '8');
	local $server->{_pg_seats_database} = 'postgres';
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.handler', '0', timeout => 60);
};

done_testing();
