# Applications' handlers run as the role that has named them, and as nobody else, whatever they try; within limits of
# time and memory; and they leave nothing behind for the next one.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Handlers;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '600s'
pg_seats.handler_memory = '48MB'
max_worker_processes = 16
END
$server->wait_for_worker;
set_up_handlers($server, { app => 'LOGIN', helper => 'NOLOGIN' });
# It can create, but not what it needs to become more than it is.
$server->sql('GRANT CREATE ON SCHEMA app TO app, helper; CREATE ROLE other LOGIN; GRANT other TO app');

my @roles = qw(app helper);
my $superuser = $server->sql('SELECT current_user');

# ---- as whom

subtest 'as the role, with its settings and those that are kept' => sub {
	define_handler($server, 'who', q{
BEGIN
    INSERT INTO app.told (call, what) VALUES (who.call, concat_ws(' ', current_user, session_user,
        current_setting('app.of_role'), current_setting('app.tenant'), who.outcome ->> 'result', who.context ->> 'n'));
END}, owner => 'CURRENT_USER');
	foreach my $role (@roles)
	{
		$server->sql("ALTER ROLE $role SET app.of_role = 'for other databases'; "
			  . "ALTER ROLE $role IN DATABASE postgres SET app.of_role = 'set for $role'");
		my $call = ended_call($server, 'who', role => $role, before => q{SET app.tenant = '7'},
			keep_settings => '{app.tenant}', context => '{"n": 5}');
		await_handled($server, $call);
		is(told($server, $call), "$role $role set for $role 7 cancelled 5", "$role");
		my $next = ended_call($server, 'who', role => $role, before => q{SET app.tenant = 'eight'},
			keep_settings => '{app.tenant}', context => '{"n": 6}');
		await_handled($server, $next);
		is(told($server, $next), "$role $role set for $role eight cancelled 6", '… and the next one has its own');
	}
};

subtest 'no way leads to another role' => sub {
	my @ways = (
		'RESET ROLE', 'SET ROLE NONE', "SET ROLE $superuser", "SET LOCAL ROLE $superuser",
		'RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION DEFAULT', "SET SESSION AUTHORIZATION $superuser",
		qq{SELECT set_config('role', '$superuser', false)},
		qq{SELECT set_config('session_authorization', '$superuser', false)},
		'RESET ALL', 'DISCARD ALL', 'ALTER ROLE CURRENT_USER SUPERUSER', 'ALTER ROLE CURRENT_USER CREATEROLE',
		q{SELECT seats_internal.take_handler(1)}, qq{UPDATE seats_internal.handler SET role = '$superuser'},
		'SET session_replication_role = replica', 'SET temp_file_limit = -1', 'SET deadlock_timeout = 1',
		q{COPY app.told (what) FROM PROGRAM 'id'}, 'LISTEN x', 'COMMIT', 'ROLLBACK',
		q{PREPARE TRANSACTION 'x'});
	my $list = join ', ', map { PgSeats::Server::quote($_) } @ways;
	foreach my $role (@roles)
	{
		define_handler($server, "ways_of_$role", qq{
DECLARE
    way text;
BEGIN
    FOREACH way IN ARRAY ARRAY[$list] LOOP
        BEGIN
            EXECUTE way;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
        IF (current_user, session_user) <> ('$role', '$role') OR current_setting('is_superuser') = 'on' THEN
            INSERT INTO app.told (call, what) VALUES (ways_of_$role.call, way || ' makes ' || current_user);
        END IF;
    END LOOP;
END}, owner => $role);
		my $call = ended_call($server, "ways_of_$role", role => $role);
		await_handled($server, $call);
		is(told($server, $call), '', "$role tried them all");
	}
	is($server->sql(q{SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolsuper OR rolcreaterole}), $superuser,
		'nobody has risen');
};

# (A session that began as a superuser's may become anybody until PostgreSQL 16.)
subtest 'who is no superuser any more is none in his process either' => sub {
	define_handler($server, 'quiet', 'BEGIN END', owner => 'CURRENT_USER');
	define_handler($server, 'rise', "BEGIN SET SESSION AUTHORIZATION $superuser; ALTER ROLE app CREATEROLE; END");
	$server->sql('ALTER ROLE app SUPERUSER');
	await_handled($server, ended_call($server, 'quiet'));
	$server->sql('ALTER ROLE app NOSUPERUSER');
	my $call = ended_call($server, 'rise');
	await_handler($server, $call, q{tries = 1 AND error_code = '42501'});
	is($server->sql(q{SELECT rolcreaterole FROM pg_roles WHERE rolname = 'app'}), 'f', 'it has not risen');
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
};

# The operator may be a superuser, and a library that is loaded later takes what it finds, as who has set it.
subtest 'what only superusers may set is not set by a superuser who decides' => sub {
	define_handler($server, 'fails', q{BEGIN RAISE EXCEPTION 'no'; END});
	define_handler($server, 'instead', q{BEGIN
    INSERT INTO app.told (call, what) VALUES (instead.call, current_setting('app.tenant')); END}, owner => 'CURRENT_USER');
	my @calls = map {
		ended_call($server, 'fails', before => q{SET auto_explain.log_min_duration = 17; SET app.tenant = '9'},
			keep_settings => '{auto_explain.log_min_duration,app.tenant}')
	} 1 .. 2;
	await_handler($server, $_, 'tries > 0') foreach @calls;
	$server->sql("SELECT seats_internal.review_handlers(ARRAY[$calls[0], $calls[1]]::bigint[], 'failed')");
	my $decide = sub { "SELECT seats.resolve_review($_[0], 'run', 'as the scenario says', function => 'app.instead');" };
	my ($status, $out, $error) = $server->try_sql("LOAD 'auto_explain'; " . $decide->($calls[0]));
	like($error, qr/permission denied to set parameter "auto_explain.log_min_duration"/, 'not where the library is loaded');
	is($server->sql("BEGIN; " . $decide->($calls[1]) . q{LOAD 'auto_explain'; SHOW auto_explain.log_min_duration; COMMIT}),
		"($calls[1],ran)\n-1", 'not for a library that is loaded later');
	is(told($server, $calls[1]), '9', 'what anybody may set is set');
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $calls[0]");
};

# (At the commit, where an identity that was given back before it would be the superuser's.)
subtest 'what is deferred runs as the role, and what that defers again' => sub {
	$server->sql(<<'SQL');
CREATE TABLE app.ledger (entry bigint, depth integer);
GRANT ALL ON app.ledger TO PUBLIC;
CREATE FUNCTION app.balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.told (call, what) VALUES (NEW.entry, format('%s %s', current_user, session_user));
    IF NEW.depth < 3 THEN
        INSERT INTO app.ledger VALUES (NEW.entry, NEW.depth + 1);
    ELSE
        BEGIN
            EXECUTE format('ALTER ROLE %I SUPERUSER', session_user);
        EXCEPTION WHEN insufficient_privilege THEN
            INSERT INTO app.told (call, what) VALUES (NEW.entry, 'refused');
        END;
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION app.balance() OWNER TO helper;
CREATE CONSTRAINT TRIGGER balance AFTER INSERT ON app.ledger DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION app.balance();
SQL
	foreach my $role (@roles)
	{
		define_handler($server, "book_of_$role", "BEGIN INSERT INTO app.ledger VALUES (book_of_$role.call, 1); END",
			owner => $role);
		my $call = ended_call($server, "book_of_$role", role => $role);
		await_handled($server, $call);
		is(told($server, $call), join("\n", ("$role $role") x 3, 'refused'), $role);
	}
	is($server->sql(q{SELECT count(*) FROM pg_roles WHERE rolsuper}), '1', 'nobody has risen');
	# A ledger that does not balance: the check at the commit takes the handler back, mark and all.
	$server->sql(q{ALTER TABLE app.ledger ADD UNIQUE (entry, depth) DEFERRABLE INITIALLY DEFERRED});
	define_handler($server, 'twice', q{BEGIN INSERT INTO app.ledger VALUES (twice.call, 3), (twice.call, 3); END});
	my $call = ended_call($server, 'twice');
	await_handler($server, $call, q{tries = 1 AND error_code = '23505'});
	is($server->sql("SELECT count(*) FROM app.ledger WHERE entry = $call"), '0', 'what fails at the commit is undone');
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
};

subtest 'who becomes another role that he may be does not stay it' => sub {
	define_handler($server, 'become_other', q{BEGIN SET ROLE other; SET work_mem = '1MB'; END});
	my ($process) = handler_processes($server, 'app');
	my $call = ended_call($server, 'become_other');
	await_handled($server, $call);
	my $next = ended_call($server, 'who', before => q{SET app.tenant = '1'}, keep_settings => '{app.tenant}');
	await_handled($server, $next);
	like(told($server, $next), qr/^app app/, 'the next one is the role again');
	ok(!(grep { $_ eq $process } handler_processes($server, 'app')), '… in another process');
};

# Our own statements run in its session, as somebody who may do more.
subtest 'whatever a role has set for its sessions, its handlers run, and nothing of its own runs as somebody else' => sub {
	my $evil = 'CREATE SCHEMA evil; CREATE TABLE evil.caught (who text, what text); GRANT ALL ON SCHEMA evil TO PUBLIC; '
	  . 'GRANT ALL ON evil.caught TO PUBLIC; SET ROLE app; CREATE TABLE evil.pg_roles (rolname name, oid oid, rolsuper boolean); ';
	my $catch = sub { qq{LANGUAGE plpgsql AS 'BEGIN INSERT INTO evil.caught VALUES (current_user, ''$_[0]''); RETURN $_[1]; END'; } };
	foreach my $type (qw(bigint integer text oid name timestamptz smallint jsonb uuid))
	{
		my %names = ('=' => 'eq', '<' => 'lt', '>' => 'gt', '>=' => 'ge', '<>' => 'ne');
		foreach my $operator (sort keys %names)
		{
			$evil .= "CREATE FUNCTION evil.$names{$operator}($type, $type) RETURNS boolean " . $catch->("$operator of $type", 'true')
			  . "CREATE OPERATOR evil.$operator (LEFTARG = $type, RIGHTARG = $type, FUNCTION = evil.$names{$operator}); ";
		}
	}
	$evil .= 'CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz ' . $catch->('clock_timestamp', 'now()')
	  . 'CREATE FUNCTION evil.left(text, integer) RETURNS text ' . $catch->('left', '$1');
	$server->sql($evil);
	my @settings = (
		'search_path = evil, pg_catalog', q{plpgsql.extra_errors = 'all'}, 'quote_all_identifiers = on',
		'standard_conforming_strings = off', 'transform_null_equals = on', 'array_nulls = off', 'exit_on_error = on',
		'statement_timeout = 1', 'idle_in_transaction_session_timeout = 1', 'lock_timeout = 1', 'row_security = off',
		'default_transaction_isolation = serializable', 'default_transaction_read_only = on',
		'default_transaction_deferrable = on', 'max_parallel_workers_per_gather = 4', 'parallel_setup_cost = 0',
		q{DateStyle = 'German'}, 'bytea_output = escape', 'enable_indexscan = off', 'plan_cache_mode = force_custom_plan',
		q{default_tablespace = 'none_such'}, q{temp_tablespaces = 'none_such'}, q{role = 'other'},
		q{session_authorization = 'helper'}, 'jit = on', 'jit_above_cost = 0', q{work_mem = '64kB'});
	define_handler($server, 'evil_ok', q{
BEGIN
    INSERT INTO app.told (call, what) VALUES (evil_ok.call, pg_catalog.concat_ws(' ', current_user, session_user,
        pg_catalog.current_setting('search_path'), pg_catalog.current_setting('app.tenant')));
END}, owner => 'CURRENT_USER');
	define_handler($server, 'evil_fails', q{BEGIN RAISE EXCEPTION 'no'; END}, owner => 'CURRENT_USER');
	foreach my $role (@roles)
	{
		$server->sql(join ' ', map {"ALTER ROLE $role SET $_;"} @settings);
		$server->sql('SELECT pg_terminate_backend(pid) FROM seats_internal.handler_state() WHERE pid IS NOT NULL');
		my $lost = name_handler($server, 'evil_ok', role => $role);
		my $fails = ended_call($server, 'evil_fails', role => $role);
		my @calls = map { ended_call($server, 'evil_ok', role => $role, lane => "of $role",
				before => "SET app.tenant = '$_'", keep_settings => '{app.tenant}') } 1 .. 3;
		await_handled($server, @calls);
		is(told($server, @calls), join("\n", map {"$role $role evil, pg_catalog $_"} 1 .. 3), "$role: they run");
		await_handler($server, $fails, q{tries > 0 AND error = 'no' AND error_code = 'P0001'});
		$server->sql("REVOKE ALL ON FUNCTION app.evil_ok FROM PUBLIC; SELECT seats.cancel_call($lost, 'as the scenario says')");
		await_handler($server, $lost, q{review_reason = 'not_permitted'});
		$server->sql("GRANT ALL ON FUNCTION app.evil_ok TO PUBLIC; DELETE FROM seats_internal.handler WHERE call_id IN ($lost, $fails)");
		is($server->sql("SELECT * FROM evil.caught WHERE who <> '$role'"), '', '… and nothing was caught');
		$server->sql("DELETE FROM evil.caught; ALTER ROLE $role RESET ALL");
		$server->sql('SELECT pg_terminate_backend(pid) FROM seats_internal.handler_state() WHERE pid IS NOT NULL');
	}
};

# ---- what is left behind

subtest 'settings, cursors, statements and locks are nobody else\'s' => sub {
	define_handler($server, 'litter', q{
BEGIN
    SET work_mem = '77MB';
    PERFORM set_config('app.left', 'behind', false);
    PERFORM pg_advisory_lock(77);
    EXECUTE 'PREPARE left_behind AS SELECT 1';
    EXECUTE 'DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1';
END});
	define_handler($server, 'look', q{
BEGIN
    INSERT INTO app.told (call, what) VALUES (look.call, concat_ws(' ', current_setting('work_mem'),
        nullif(current_setting('app.left', true), ''), nullif(current_setting('app.tenant', true), ''),
        current_setting('app.of_role'), (SELECT count(*) FROM pg_prepared_statements),
        (SELECT count(*) FROM pg_cursors WHERE is_holdable), current_setting('lock_timeout'), pg_backend_pid()));
END});
	my $call = ended_call($server, 'litter', before => q{SET app.tenant = '1'}, keep_settings => '{app.tenant}');
	await_handled($server, $call);
	my ($process) = handler_processes($server, 'app');
	is($server->sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77}), '0', 'no lock');
	my $next = ended_call($server, 'look');
	await_handled($server, $next);
	is(told($server, $next), "4MB set for app 0 0 500ms $process", 'and in the same process nothing of all that');
};

subtest 'temporary objects end their process' => sub {
	define_handler($server, 'hide', q{
BEGIN
    CREATE TEMPORARY TABLE told (call bigint, what text);
    INSERT INTO app.told (call, what) VALUES (hide.call, pg_backend_pid());
END});
	my $call = ended_call($server, 'hide');
	await_handled($server, $call);
	my $next = ended_call($server, 'hide');
	await_handled($server, $next);
	isnt(told($server, $next), told($server, $call), 'the next one ran in another process');
};

subtest 'what its author says in DETAIL and HINT is there for whoever looks' => sub {
	define_handler($server, 'hints', q{
BEGIN
    RAISE EXCEPTION 'its payment is not known' USING DETAIL = 'Order 7.', HINT = 'Enter it.';
END});
	my $call = ended_call($server, 'hints');
	await_handler($server, $call, 'tries = 1');
	is(handler_of($server, $call, 'error'), 'its payment is not known', 'the message');
	like(handler_of($server, $call, 'error_context'), qr/^Order 7\.\nHINT: Enter it\.\n.*hints/, 'and the rest');
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
};

# ---- time and memory

subtest 'who takes too long is cancelled, and is careful from then on' => sub {
	$server->sql(q{ALTER SYSTEM SET pg_seats.handler_timeout = '300ms'});
	$server->sql('SELECT pg_reload_conf()');
	$server->wait_for_sql('SHOW pg_seats.handler_timeout', '300ms');
	define_handler($server, 'sleep', q{BEGIN PERFORM pg_sleep(600); END});
	define_handler($server, 'turn', q{BEGIN LOOP END LOOP; END});
	foreach my $name (qw(sleep turn))
	{
		my $call = ended_call($server, $name);
		await_handler($server, $call, q{tries = 1 AND error_code = '57014' AND careful});
		like(handler_of($server, $call, 'error'), qr/longer than pg_seats\.handler_timeout \(300 ms\)/, $name);
		like(handler_of($server, $call, 'error_context'), qr/function app\.$name|function $name/, '… and where');
		$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
	}
};

subtest 'deferred triggers count' => sub {
	$server->sql(<<'END');
CREATE TABLE app.slow (entry bigint);
GRANT ALL ON app.slow TO PUBLIC;
CREATE FUNCTION app.slow_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON app.slow DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION app.slow_trigger();
END
	define_handler($server, 'defer_sleep', 'BEGIN INSERT INTO app.slow VALUES (defer_sleep.call); END');
	my $call = ended_call($server, 'defer_sleep');
	await_handler($server, $call, q{tries = 1 AND error_code = '57014' AND careful});
	is($server->sql('SELECT count(*) FROM app.slow'), '0', 'nothing of it is there');
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
};

subtest 'who catches the cancel and goes on ends with his process, and the server lives' => sub {
	my $worker = $server->worker_pid;
	define_handler($server, 'stubborn', q{
BEGIN
    LOOP
        BEGIN
            PERFORM pg_sleep(600);
        EXCEPTION WHEN query_canceled THEN
            NULL;
        END;
    END LOOP;
END});
	my $call = ended_call($server, 'stubborn');
	await_handler($server, $call, 'tries = 1 AND careful');
	is(handler_of($server, $call, 'error_code'), '57014', 'it is charged with a time-out');
	is($server->worker_pid, $worker, 'the worker has noticed nothing');
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
	my $next = ended_call($server, 'look');
	await_handled($server, $next);
	ok(told($server, $next), 'the next one runs');
};

subtest 'who catches the cancel and ends is done' => sub {
	define_handler($server, 'polite', q{
BEGIN
    BEGIN
        PERFORM pg_sleep(600);
    EXCEPTION WHEN query_canceled THEN
        NULL;
    END;
    INSERT INTO app.told (call, what) VALUES (polite.call, 'caught');
END});
	my $call = ended_call($server, 'polite');
	await_handled($server, $call);
	is(told($server, $call), 'caught', 'it ran');
};
$server->sql(q{ALTER SYSTEM RESET pg_seats.handler_timeout});
$server->sql('SELECT pg_reload_conf()');

subtest 'too much memory, or disk, is an error like others' => sub {
	my ($process) = handler_processes($server, 'app');
	define_handler($server, 'hoard', q{
DECLARE
    hoard text[] := '{}';
BEGIN
    FOR number IN 1..1000 LOOP
        hoard := hoard || repeat('x', 1000000);
    END LOOP;
END});
	define_handler($server, 'sort', q{
BEGIN
    PERFORM count(*) FROM (SELECT repeat('x', 100) AS x, n FROM generate_series(1, 2000000) AS n ORDER BY 1, 2 DESC OFFSET 0) AS s;
END});
	my $hoard = ended_call($server, 'hoard');
	await_handler($server, $hoard, q{tries = 1 AND error_code = '53200'});
	my $sort = ended_call($server, 'sort');
	await_handler($server, $sort, q{tries = 1 AND error_code = '53400'});
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id IN ($hoard, $sort)");
	my $next = ended_call($server, 'look');
	await_handled($server, $next);
	like(told($server, $next), qr/ $process$/, 'the session lives');
};

subtest 'a lock that somebody holds is waited for half a second' => sub {
	my $holder = $server->background_psql('postgres');
	$holder->query_safe('BEGIN; LOCK TABLE app.ledger');
	define_handler($server, 'want_lock', q{BEGIN INSERT INTO app.ledger VALUES (want_lock.call, 3); END});
	my $call = ended_call($server, 'want_lock');
	await_handler($server, $call, q{retries = 1 AND tries = 0 AND error_code = '55P03' AND careful});
	$holder->query_safe('COMMIT');
	$holder->quit;
	await_handled($server, $call);
	is($server->sql("SELECT count(*) FROM app.ledger WHERE entry = $call"), '1', 'then it runs, once');
};

subtest 'two that always deadlock, and one that always says so, hold up nobody' => sub {
	$server->sql('CREATE TABLE app.two (n integer PRIMARY KEY, hits integer); INSERT INTO app.two VALUES (1, 0), (2, 0); '
		. 'GRANT ALL ON app.two TO PUBLIC');
	foreach my $order ([ 1, 2 ], [ 2, 1 ])
	{
		define_handler($server, "lock_$order->[0]", qq{
BEGIN
    UPDATE app.two SET hits = hits + 1 WHERE n = $order->[0];
    PERFORM pg_sleep(0.3);
    UPDATE app.two SET hits = hits + 1 WHERE n = $order->[1];
END}, owner => $order->[0] == 1 ? 'app' : 'helper');
	}
	define_handler($server, 'lose', q{BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '40001'; END});
	my $loser = ended_call($server, 'lose');
	my @calls = (ended_call($server, 'lock_1'), ended_call($server, 'lock_2', role => 'helper'));
	my $next = ended_call($server, 'look');
	await_handled($server, $next, @calls);
	is($server->sql('SELECT string_agg(hits::text, $$ $$) FROM app.two'), '2 2', 'each ran once in effect');
	await_handler($server, $loser, q{retries > 1 AND tries = 0 AND error = 'so it is'});
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $loser");
};

# ---- what is no longer as it was

# Named while all is well, ended when it no longer is. Afterwards all is well again.
sub after
{
	my ($change, $back, $reason) = @_;
	define_handler($server, 'mine', q{BEGIN INSERT INTO app.told (call, what) VALUES (mine.call, current_user); END});
	my $call = name_handler($server, 'mine');
	$server->sql($change);
	$server->sql("SELECT seats.cancel_call($call, 'as the scenario says')");
	if ($reason)
	{
		await_handler($server, $call, "review_reason = '$reason'");
		is(told($server, $call), '', $change);
	}
	else
	{
		await_handled($server, $call);
		is(told($server, $call), 'app', "$change: it runs");
	}
	$server->sql($back);
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
	return;
}

subtest 'a function or a role that is another one is not run' => sub {
	after('DROP FUNCTION app.mine', 'SELECT', 'function_missing');
	after(q{ALTER FUNCTION app.mine OWNER TO other}, 'DROP FUNCTION app.mine', 'owner_not_trusted');
	after(q{ALTER FUNCTION app.mine OWNER TO CURRENT_USER}, 'DROP FUNCTION app.mine', 'function_changed');
	after('DROP FUNCTION app.mine; '
		  . q{CREATE FUNCTION app.mine(bigint, jsonb, jsonb) RETURNS void LANGUAGE sql AS 'ALTER ROLE app SUPERUSER'; }
		  . 'ALTER FUNCTION app.mine OWNER TO other', 'DROP FUNCTION app.mine', 'owner_not_trusted');
	after('REVOKE ALL ON FUNCTION app.mine FROM PUBLIC, app', 'DROP FUNCTION app.mine', 'not_permitted');
	after('ALTER ROLE app RENAME TO app_before', 'ALTER ROLE app_before RENAME TO app', 'role_changed');
	# (What a role replaces itself is its own.)
	after(q{CREATE OR REPLACE FUNCTION app.mine(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql
		    AS 'INSERT INTO app.told (call, what) VALUES (call, current_user)'}, 'DROP FUNCTION app.mine', '');
	after('ALTER ROLE app NOLOGIN', 'ALTER ROLE app LOGIN', '');
};

subtest 'a role that is dropped and made anew is another one' => sub {
	$server->sql(q{CREATE ROLE brief LOGIN; SELECT seats.grant_application('brief');
		SELECT seats.grant_call('brief', 'stripe', '{POST}', '/v1/x')});
	define_handler($server, 'of_brief', q{BEGIN INSERT INTO app.told (call, what) VALUES (of_brief.call, 'ran'); END},
		owner => 'CURRENT_USER');
	my $call = name_handler($server, 'of_brief', role => 'brief');
	$server->sql('DROP OWNED BY brief; DROP ROLE brief; CREATE ROLE brief LOGIN');
	$server->sql("SELECT seats.cancel_call($call, 'as the scenario says')");
	await_handler($server, $call, q{review_reason = 'role_changed'});
	is(told($server, $call), '', 'it has not run');
};

# The owner of the schema could drop the function between the look at whose it is and the call.
subtest 'a function is held while it is called' => sub {
	define_handler($server, 'held', q{BEGIN INSERT INTO app.told (call, what) VALUES (held.call, 'ran'); END});
	$server->set_debug_point('handler_before_commit');
	my $call = ended_call($server, 'held');
	await_handler_at($server, 'handler_before_commit');
	my ($status, $out, $error) = $server->try_sql(q{SET lock_timeout = '100ms'; DROP FUNCTION app.held});
	like($error, qr/lock timeout/, 'it cannot be dropped now');
	$server->sql("SET lock_timeout = '100ms'; SELECT seats_internal.review_handlers(ARRAY[$call]::bigint[], 'role_changed')");
	pass('the worker does not wait for it');
	$server->release_debug_point;
	await_handled($server, $call);

	define_handler($server, 'swapped', q{BEGIN INSERT INTO app.told (call, what) VALUES (swapped.call, 'ran'); END});
	$server->set_debug_point('handler_before_function');
	$call = ended_call($server, 'swapped');
	await_handler_at($server, 'handler_before_function');
	$server->sql(q{DROP FUNCTION app.swapped;
		CREATE FUNCTION app.swapped(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql
		    AS 'INSERT INTO app.told (call, what) VALUES (call, current_user)';
		ALTER FUNCTION app.swapped OWNER TO other});
	$server->release_debug_point;
	await_handler($server, $call, q{review_reason = 'owner_not_trusted'});
	is(told($server, $call), '', 'what took its place has not run');
};

is($server->sql('SELECT count(*) FROM seats_internal.handler WHERE review_since IS NULL'), '0', 'nothing is left');
$server->assert_log_clean;
$server->stop;
done_testing();
