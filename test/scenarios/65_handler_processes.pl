# Processes that run applications' handlers: who ends them, and who gets their places. Whatever ends one, what it ran
# runs once in effect.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Handlers;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '600s'
max_worker_processes = 16
END
$server->wait_for_worker;
set_up_handlers($server, { app => 'LOGIN' });

# ---- whoever wants the database, or the extension, for himself

sub new_shop
{
	$server->safe_psql('postgres', 'CREATE DATABASE shop');
	my $shop = bless { %$server, _pg_seats_database => 'shop' }, ref $server;
	$shop->sql('CREATE EXTENSION pg_seats; SELECT seats.create_installation()');
	$shop->define_destination('stripe');
	$shop->sql(q{SELECT seats.pause('stripe', 'calls end when the scenario says so'); CREATE SCHEMA app;
		GRANT USAGE ON SCHEMA app TO PUBLIC; CREATE TABLE app.told (number bigint GENERATED ALWAYS AS IDENTITY, call bigint, what text);
		GRANT ALL ON app.told TO PUBLIC; SELECT seats.grant_application('app');
		SELECT seats.grant_call('app', 'stripe', '{POST}', '/v1/x')});
	$shop->wait_for_worker(database => 'shop');
	define_handler($shop, 'mine', q{BEGIN INSERT INTO app.told (call, what) VALUES (mine.call, 'ran'); END});
	return $shop;
}

subtest 'DROP DATABASE ends those that are busy' => sub {
	my $shop = new_shop();
	$server->set_debug_point('handler_before_commit');
	my $call = ended_call($shop, 'mine');
	await_handler_at($shop, 'handler_before_commit');
	# In vain, because somebody is there.
	my $guest = $shop->background_psql('shop');
	$guest->query_safe('SELECT 1');
	my $error;
	$server->psql('postgres', 'ALTER DATABASE shop RENAME TO shop2', stderr => \$error);
	like($error, qr/being accessed by other users/, 'in vain');
	await_handler_at($shop, 'handler_before_commit');
	is(handler_of($shop, $call, 'tries'), '0', 'it runs again, and is not charged');
	$server->release_debug_point;
	await_handled($shop, $call);
	is(told($shop, $call), 'ran', 'it ran once in effect');
	$guest->quit;

	$server->set_debug_point('handler_before_commit');
	$call = ended_call($shop, 'mine');
	await_handler_at($shop, 'handler_before_commit');
	$server->safe_psql('postgres', 'DROP DATABASE shop');
	pass('dropped');
	$server->release_debug_point;
};

subtest 'DROP EXTENSION waits for the handler of the moment, and no idle process hinders it' => sub {
	my $shop = new_shop();
	$server->set_debug_point('handler_before_commit');
	my $call = ended_call($shop, 'mine');
	my $pid = await_handler_at($shop, 'handler_before_commit');
	my $dropper = $shop->background_psql('shop');
	$dropper->query_until(qr/asked/, "SET client_min_messages = error;\n\\echo asked\nDROP EXTENSION pg_seats CASCADE;\n");
	$shop->wait_for_sql(q{SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'object'
		AND classid = 'pg_extension'::regclass}, '1');
	$server->release_debug_point;
	is($dropper->query_safe('SELECT count(*) FROM pg_extension WHERE extname = $$pg_seats$$'), '0', 'dropped');
	is(told($shop, $call), 'ran', 'behind the handler');
	$dropper->quit;
	wait_until(sub { !kill 0, $pid }, 'its process to end');
	$server->safe_psql('postgres', 'DROP DATABASE shop');
	pass('and the database');
};

# ---- ends of processes

subtest 'a process that is terminated is charged to what it ran, which runs again' => sub {
	foreach my $point (qw(handler_before_take handler_before_function handler_before_commit handler_after_commit))
	{
		define_handler($server, 'once', q{BEGIN INSERT INTO app.told (call, what) VALUES (once.call, 'ran'); END});
		$server->set_debug_point($point);
		my @calls = map { ended_call($server, 'once') } 1 .. 3;
		my $pid = await_handler_at($server, $point);
		$server->sql("SELECT pg_terminate_backend($pid)");
		wait_until(sub { !kill 0, $pid }, "process $pid to end");
		$server->release_debug_point;
		await_handled($server, @calls);
		is(told($server, @calls), "ran\nran\nran", "at $point: each ran once in effect");
	}
};

subtest 'a cancel is an error of the handler' => sub {
	define_handler($server, 'cancelled', q{BEGIN PERFORM pg_sleep(600); END});
	my $call = ended_call($server, 'cancelled');
	$server->wait_for_sql("SELECT count(*) FROM seats_internal.handler_state() WHERE call = $call", '1');
	$server->sql("SELECT pg_cancel_backend(pid) FROM seats_internal.handler_state() WHERE call = $call");
	await_handler($server, $call, q{tries = 1 AND NOT careful});
	is(handler_of($server, $call, 'error_code'), '57014', 'it is charged with it, and is tried again');
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
};

subtest 'the launcher may end meanwhile' => sub {
	my $launcher = $server->sql('SELECT launcher_pid FROM seats_internal.worker_state()');
	$server->set_debug_point('handler_before_commit');
	my $call = ended_call($server, 'once');
	my $pid = await_handler_at($server, 'handler_before_commit');
	$server->sql("SELECT pg_terminate_backend($launcher)");
	$server->wait_for_sql("SELECT launcher_pid <> $launcher FROM seats_internal.worker_state()", 't');
	$server->release_debug_point;
	await_handled($server, $call);
	is(told($server, $call), 'ran', 'what was under way has ended');
	$server->sql("SELECT pg_terminate_backend($pid)");
	$call = ended_call($server, 'once');
	await_handled($server, $call);
	is(told($server, $call), 'ran', 'and the next one finds a process');
};

subtest 'a process that crashes takes the server along, and what it ran runs once' => sub {
	foreach my $point (qw(handler_before_function handler_before_commit handler_after_commit))
	{
		$server->set_debug_point($point);
		my @calls = map { ended_call($server, 'once') } 1 .. 3;
		my $pid = await_handler_at($server, $point);
		my $worker = $server->worker_pid;
		$server->expect_signals(1, 9);
		kill 'KILL', $pid or die "process $pid: $!";
		$server->wait_for_worker(another_than => $worker);
		$server->release_debug_point;
		await_handled($server, @calls);
		is(told($server, @calls), "ran\nran\nran", "at $point: each ran once in effect");
	}
};

subtest 'an immediate stop' => sub {
	$server->set_debug_point('handler_before_commit');
	my @calls = map { ended_call($server, 'once') } 1 .. 3;
	await_handler_at($server, 'handler_before_commit');
	$server->stop('immediate');
	$server->start;
	$server->release_debug_point;
	await_handled($server, @calls);
	is(told($server, @calls), "ran\nran\nran", 'each ran once in effect');
};

is($server->sql('SELECT count(*) FROM seats_internal.handler WHERE review_since IS NULL'), '0', 'nothing is left');
$server->assert_log_clean;
$server->stop;

# ---- places in the server

# Launcher, one worker, and one more.
subtest 'handlers get what workers leave' => sub {
	my $small = new_server('small', simulator => $stripe, configuration => <<'END');
max_worker_processes = 3
max_logical_replication_workers = 0
END
	$small->wait_for_worker;
	$small->sql('CREATE ROLE app');
	set_up_handlers($small, { helper => 'LOGIN' });
	define_handler($small, 'mine', q{BEGIN INSERT INTO app.told (call, what) VALUES (mine.call, 'ran'); END});
	$small->sql('ALTER FUNCTION app.mine OWNER TO CURRENT_USER');
	await_handled($small, ended_call($small, 'mine', role => 'helper'));
	is(scalar(handler_processes($small)), 1, 'an idle process has the last place');
	$small->safe_psql('postgres', 'CREATE DATABASE another');
	$small->safe_psql('another', 'CREATE EXTENSION pg_seats');
	$small->wait_for_worker(database => 'another');
	is(scalar(handler_processes($small)), 0, 'a worker that needs it gets it');
	my $call = ended_call($small, 'mine', role => 'helper');
	wait_until(sub { $small->log_text =~ /no free worker slot for a process of handlers/ }, 'the log to tell of it');
	is(told($small, $call), '', 'the handler waits');
	like($small->sql("SELECT seats.explain_call($call)"), qr/Held back: no process can be started for it: no free worker slot/,
		'whoever asks is told why');
	$small->safe_psql('another', 'DROP EXTENSION pg_seats');
	await_handled($small, $call);
	is(told($small, $call), 'ran', 'until there is a place');
	$small->stop;
};
done_testing();
