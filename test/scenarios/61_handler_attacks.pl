# What a hostile application role does with handlers to become somebody else, or to make our own code, which runs in the
# same process as the extension's owner, do its work: names of its own before ours, operators, casts, temporary tables
# called as ours are, settings of the role, functions that change whom they run as. And what it says when it fails.
# Nothing of that gives it a right, and none of it hurts another role's handlers.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '300ms'
pg_seats.handler_timeout = '1s'
END
$server->define_destination('stripe', requests_per_second => 500);

# mallory may log in, mute may not (and has a connection of another kind on 15 and 16), shop is who must not be hurt.
$server->sql(<<'END');
CREATE SCHEMA seen;
GRANT USAGE ON SCHEMA seen TO PUBLIC;
CREATE TABLE seen.ran (call bigint, who text, note text);
CREATE TABLE seen.risen (who text, session_role text, what text);
GRANT INSERT, SELECT ON seen.ran, seen.risen TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE ROLE mallory LOGIN;
CREATE ROLE mute NOLOGIN;
CREATE ROLE shop LOGIN;
CREATE SCHEMA mallory AUTHORIZATION mallory;
CREATE SCHEMA mute AUTHORIZATION mute;
CREATE SCHEMA shop AUTHORIZATION shop;
SELECT seats.grant_application(r), seats.grant_call(r, 'stripe', '{POST}', '/v1/**') FROM unnest('{mallory,mute,shop}'::text[]) AS r;
END
foreach my $role (qw(mallory mute shop))
{
	$server->sql(<<"END");
SET ROLE $role;
CREATE FUNCTION $role.plain(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql
AS 'INSERT INTO seen.ran VALUES (\$1, session_user || '' '' || current_user, \$2 ->> ''result'')';
END
}

sub as { my ($role, $sql) = @_; return $server->sql("SET ROLE $role;\n$sql") }

# A handler with this body, in plpgsql; gives its name.
my $bodies = 0;

sub handler
{
	my ($role, $body, $attributes) = @_;
	my $name = "$role.f" . ++$bodies;
	$attributes //= '';
	as($role, "CREATE FUNCTION $name(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE plpgsql $attributes AS \$body\$\n$body\n\$body\$");
	return $name;
}

# A call of the role's that ends in this handler.
sub call_of
{
	my ($role, $function, $more, $before) = @_;
	$more //= '';
	return as($role, ($before // '')
		  . "SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{}', on_done => '$function'$more)");
}

# What has become of it: 'ran', or the error of its last run, or the reason of its review.
sub fate_of
{
	my ($call) = @_;
	await_state($server, $call, 'done');
	my $fate = '';
	wait_until(
		sub {
			$fate = $server->sql(<<"END");
SELECT coalesce((SELECT coalesce(h.error_code || ' ' || h.error, h.review_reason, '')
                   FROM seats_internal.handler AS h WHERE h.call_id = $call), 'ran')
END
			return $fate ne '';
		},
		"the handler of $call to have run, or to have failed");
	return $fate;
}

# Nobody is more than he was, and shop's handlers go on.
sub assert_nobody_has_risen
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return subtest "$name: nobody has risen" => sub {
		is($server->sql('SELECT string_agg(DISTINCT r::text, E\'\n\') FROM seen.risen AS r'), '', 'no code of theirs ran as somebody else');
		is($server->sql(q{SELECT string_agg(r.rolname, ' ') FROM pg_roles AS r WHERE r.rolname IN ('mallory', 'mute', 'shop')
			AND (r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolbypassrls)}),
			'', 'no role has a new attribute');
		is($server->sql(q{SELECT count(*) FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
			WHERE r.rolname IN ('mallory', 'mute', 'shop')}),
			'0', 'or a new membership');
		is(fate_of(call_of('shop', 'shop.plain')), 'ran', "shop's handler runs");
	};
}

# Whoever runs this as somebody else than its owner has risen, and makes use of it.
sub trap
{
	my ($role) = @_;
	return "IF current_user <> '$role' THEN INSERT INTO seen.risen VALUES (current_user, session_user, 'a trap'); "
	  . "EXECUTE 'ALTER ROLE $role SUPERUSER'; END IF;";
}

is(fate_of(call_of($_, "$_.plain")), 'ran', "$_\'s plain handler runs") foreach qw(mallory mute shop);
is($server->sql(q{SELECT string_agg(DISTINCT who, ', ' ORDER BY who) FROM seen.ran}), 'mallory mallory, mute mute, shop shop', 'each as itself');

# ---- names before ours

subtest 'functions, operators and tables named as what our statements use' => sub {
	foreach my $role (qw(mallory mute))
	{
		my $trap = trap($role);
		# All functions that our code in these processes calls, and more, with the arguments of ours.
		my @functions = split /\n/, $server->sql(<<'END');
SELECT DISTINCT format('%I(%s) RETURNS %s', p.proname, pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid))
  FROM pg_proc AS p
 WHERE p.pronamespace = 'seats_internal'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.prorettype <> 'trigger'::regtype
   AND (p.proname ~ 'handler|write_journal|raise_alert|resolve_alert|count_starts|forget_starts') AND p.proargmodes IS NULL
END
		push @functions, 'now() RETURNS timestamptz', 'clock_timestamp() RETURNS timestamptz', 'format(text, VARIADIC "any") RETURNS text',
		  'quote_ident(text) RETURNS text', 'current_setting(text) RETURNS text', 'cardinality(anyarray) RETURNS integer',
		  'jsonb_build_object(VARIADIC "any") RETURNS jsonb', 'left(text, integer) RETURNS text',
		  'pg_notify(text, text) RETURNS void', 'unnest(bigint[]) RETURNS bigint';
		my $made = 0;
		foreach my $function (@functions)
		{
			my ($status) = $server->try_sql("SET ROLE $role; CREATE FUNCTION $role.$function LANGUAGE plpgsql AS \$\$ BEGIN $trap RETURN NULL; END \$\$");
			($status) = $server->try_sql("SET ROLE $role; CREATE FUNCTION $role.$function LANGUAGE plpgsql AS \$\$ BEGIN $trap END \$\$") if $status;
			$made++ unless $status;
		}
		cmp_ok($made, '>', 10, "$role has $made functions named as ours");
		# Operators that fit better than the system's where types differ, and as well where they do not.
		foreach my $operator (
			[ '=', 'bigint', 'bigint' ], [ '=', 'bigint', 'integer' ], [ '=', 'oid', 'oid' ], [ '=', 'text', 'text' ],
			[ '<', 'bigint', 'bigint' ], [ '+', 'smallint', 'integer' ], [ '+', 'integer', 'integer' ], [ '>', 'smallint', 'integer' ],
			[ '->>', 'jsonb', 'text' ], [ '->', 'jsonb', 'text' ], [ '||', 'jsonb', 'jsonb' ], [ '||', 'text', 'text' ])
		{
			my ($sign, $left, $right) = @$operator;
			my %result = ('=' => 'boolean', '<' => 'boolean', '>' => 'boolean', '+' => 'integer', '->>' => 'text');
			my $result = $result{$sign} // $left;
			my $number = ++$bodies;
			as($role, "CREATE FUNCTION public.op$number($left, $right) RETURNS $result LANGUAGE plpgsql AS \$\$ BEGIN $trap RETURN NULL; END \$\$;
				CREATE OPERATOR $role.$sign (LEFTARG = $left, RIGHTARG = $right, FUNCTION = public.op$number);
				GRANT EXECUTE ON FUNCTION public.op$number TO PUBLIC");
			$server->try_sql("SET ROLE $role; CREATE OPERATOR public.$sign (LEFTARG = $left, RIGHTARG = $right, FUNCTION = public.op$number)");
		}
		as($role, "CREATE TABLE $role.handler (LIKE seen.ran); CREATE TABLE $role.pg_roles (rolname name, oid oid); CREATE TABLE $role.outbox (id bigint)");
		$server->sql("ALTER ROLE $role SET search_path = $role, public, pg_temp, pg_catalog");
	}
	end_processes();
	# Each way through our code: it is asked for, runs, fails, is not there any more.
	foreach my $role (qw(mallory mute))
	{
		my $path = "SET search_path = $role, public, pg_temp, pg_catalog;";
		like(fate_of(call_of($role, handler($role, q{BEGIN RAISE EXCEPTION 'no'; END}), '', $path)), qr/^P0001 no/, "$role: one fails");
		$server->sql(q{SELECT seats.pause('stripe', 'the function goes first')});
		my ($last, $gone) = (handler($role, 'BEGIN NULL; END'), handler($role, 'BEGIN NULL; END'));
		my $call = call_of($role, $gone, ", on_refused => '$last', context => '{}'", $path);
		as($role, "DROP FUNCTION $gone(bigint, jsonb, jsonb)");
		$server->sql(q{SELECT seats.resume('stripe', 'it is gone')});
		is(fate_of($call), 'function_missing', "$role: one is gone");
		$server->sql("$path SELECT seats.resolve_review($call, 'run', 'instead', function => '$last')");
		is(fate_of(call_of($role, "$role.plain", '', $path)), 'ran', "$role: one runs");
	}
	assert_nobody_has_risen('names before ours');
	$server->sql("ALTER ROLE $_ RESET search_path") foreach qw(mallory mute shop);
	$server->sql($server->sql(q{SELECT string_agg(format('DROP OPERATOR public.%s (%s, %s);', o.oprname, o.oprleft::regtype,
		o.oprright::regtype), ' ') FROM pg_operator AS o WHERE o.oprnamespace = 'public'::regnamespace}));
};

# So that the next handler meets a new process, with the settings of its role as they are now.
sub end_processes
{
	$server->sql(q{SELECT pg_terminate_backend(a.pid, 10000) FROM pg_stat_activity AS a WHERE a.backend_type = 'pg_seats handler'});
	return;
}

subtest 'temporary tables and types named as ours, left for the next handler of the process' => sub {
	foreach my $role (qw(mallory mute))
	{
		my $trap = trap($role);
		my $first = handler($role, <<"SQL");
BEGIN
    CREATE TEMPORARY TABLE handler (call_id bigint, outcome jsonb);
    CREATE TEMPORARY TABLE outbox (id bigint);
    CREATE TEMPORARY TABLE pg_roles (rolname name, oid oid);
    CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE plpgsql AS \$\$ BEGIN $trap RETURN NULL; END \$\$;
    PERFORM pg_catalog.set_config('search_path', 'pg_temp, pg_catalog', false);
    INSERT INTO seen.ran VALUES (call, session_user || ' ' || current_user, 'temporary');
END
SQL
		my @calls = map { call_of($role, $_) } $first, "$role.plain", $first, "$role.plain";
		is(join(', ', map { fate_of($_) } @calls), 'ran, ran, ran, ran', "$role: all run");
	}
	assert_nobody_has_risen('temporary tables');
};

# ---- settings

subtest 'settings of the role' => sub {
	my %settings = (
		default_transaction_isolation => 'serializable', default_transaction_read_only => 'on', default_transaction_deferrable => 'on',
		statement_timeout => '1ms', idle_in_transaction_session_timeout => '1ms', lock_timeout => '1ms', tcp_user_timeout => '1',
		row_security => 'off', quote_all_identifiers => 'on', standard_conforming_strings => 'off', bytea_output => 'escape',
		DateStyle => 'German', IntervalStyle => 'sql_standard', TimeZone => 'Asia/Kathmandu', extra_float_digits => '-15',
		transform_null_equals => 'on', array_nulls => 'off', xmloption => 'document', client_encoding => 'SQL_ASCII',
		default_tablespace => '', temp_tablespaces => '', default_toast_compression => 'pglz', check_function_bodies => 'off',
		work_mem => '64kB', hash_mem_multiplier => '1', enable_indexscan => 'off', enable_seqscan => 'off', enable_bitmapscan => 'off',
		plan_cache_mode => 'force_custom_plan', client_min_messages => 'debug5', synchronous_commit => 'off', geqo_threshold => '2',
		gin_fuzzy_search_limit => '1', join_collapse_limit => '1', from_collapse_limit => '1', jit_above_cost => '0',
		parallel_setup_cost => '0', min_parallel_table_scan_size => '0', max_parallel_workers_per_gather => '8',
		'plpgsql.extra_errors' => 'all', 'plpgsql.extra_warnings' => 'all', role => 'shop', 'mallory.x' => 'y',
		escape_string_warning => 'on', exit_on_error => 'on', application_name => 'pg_seats worker');
	foreach my $role (qw(mallory mute))
	{
		my @set = ();
		foreach my $name (sort keys %settings)
		{
			my $owner = $name eq 'role' || $name =~ /^plpgsql/ ? '' : "SET ROLE $role; ";
			my ($status) = $server->try_sql("${owner}ALTER ROLE $role SET $name = '$settings{$name}'");
			push @set, $name unless $status;
		}
		cmp_ok(scalar @set, '>', 30, "$role has " . scalar @set . ' settings');
	}
	end_processes();
	foreach my $role (qw(mallory mute))
	{
		my $call = call_of($role, "$role.plain", q{, keep_settings => '{}'});
		is(fate_of($call), 'ran', "$role: a handler runs under all of them");
		is($server->sql("SELECT who FROM seen.ran WHERE call = $call"), "$role $role", '… as itself');
		like(fate_of(call_of($role, handler($role, q{BEGIN RAISE EXCEPTION 'no'; END}))), qr/^P0001 no/, "$role: one that fails is charged");
	}
	assert_nobody_has_risen('settings of the role');
	$server->sql("ALTER ROLE $_ RESET ALL") foreach qw(mallory mute);
	end_processes();
};

# ---- whom it runs as

subtest 'functions that change whom they run as' => sub {
	foreach my $role (qw(mallory mute))
	{
		my %bodies = (
			'SET SESSION AUTHORIZATION' => q{EXECUTE 'SET SESSION AUTHORIZATION postgres'},
			'RESET SESSION AUTHORIZATION' => q{EXECUTE 'RESET SESSION AUTHORIZATION'},
			'SET LOCAL SESSION AUTHORIZATION DEFAULT' => q{EXECUTE 'SET LOCAL SESSION AUTHORIZATION DEFAULT'},
			'SET ROLE' => q{EXECUTE 'SET ROLE shop'},
			'RESET ROLE' => q{EXECUTE 'RESET ROLE'},
			'SET ROLE NONE' => q{EXECUTE 'SET LOCAL ROLE NONE'},
			'set_config(role)' => q{PERFORM set_config('role', 'postgres', false)},
			'set_config(session_authorization)' => q{PERFORM set_config('session_authorization', 'postgres', false)},
			'set_config(is_superuser)' => q{PERFORM set_config('is_superuser', 'on', false)},
			'RESET ALL' => q{EXECUTE 'RESET ALL'},
			'DISCARD ALL' => q{EXECUTE 'DISCARD ALL'},
			'a subtransaction' => q{BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN EXECUTE 'RESET SESSION AUTHORIZATION'; END});
		foreach my $what (sort keys %bodies)
		{
			my $function = handler($role, "BEGIN BEGIN $bodies{$what}; EXCEPTION WHEN OTHERS THEN NULL; END; "
				  . "INSERT INTO seen.ran VALUES (call, session_user || ' ' || current_user, \$w\$$what\$w\$); @{[ trap($role) ]} END");
			my $call = call_of($role, $function);
			my $fate = fate_of($call);
			is($server->sql("SELECT who FROM seen.ran WHERE call = $call"), "$role $role", "$role, $what: $fate");
		}
		# Where it is written on the function itself.
		foreach my $attribute ('SECURITY DEFINER', 'SECURITY DEFINER SET search_path = pg_temp', "SET search_path = $role",
			'SET lock_timeout = 0', 'PARALLEL SAFE STABLE')
		{
			is(fate_of(call_of($role, handler($role, "BEGIN @{[ trap($role) ]} END", $attribute))), 'ran', "$role, $attribute: runs");
		}
		foreach my $attribute ('SET role = postgres', 'SET session_authorization = postgres', 'SET role = shop')
		{
			my $name = handler($role, "BEGIN @{[ trap($role) ]} END");
			my ($status) = $server->try_sql("SET ROLE $role; ALTER FUNCTION $name $attribute");
			# (Said by a superuser it is written down; that does not let anybody do it.)
			$server->try_sql("ALTER FUNCTION $name $attribute") if $status;
			isnt(fate_of(call_of($role, $name)), 'ran', "$role, $attribute: does not run");
		}
	}
	assert_nobody_has_risen('whom it runs as');
};

subtest 'code that runs at the commit, and when the process ends' => sub {
	foreach my $role (qw(mallory mute))
	{
		my $trap = trap($role);
		as($role, <<"SQL");
CREATE TABLE $role.ledger (n integer);
CREATE FUNCTION $role.deferred() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
    BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'SET ROLE NONE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    $trap
    INSERT INTO seen.ran VALUES (NEW.n, session_user || ' ' || current_user, 'deferred');
    IF NEW.n < 3 THEN
        INSERT INTO $role.ledger VALUES (NEW.n + 1);
    END IF;
    RETURN NULL;
END \$\$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON $role.ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION $role.deferred();
SQL
		as($role, "CREATE FUNCTION $role.late() RETURNS integer LANGUAGE plpgsql AS \$\$ BEGIN $trap RETURN 1; END \$\$");
		my $held = handler($role, "BEGIN INSERT INTO $role.ledger VALUES (1); EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT $role.late()'; END");
		is(fate_of(call_of($role, $held)), 'ran', "$role: a trigger that defers again, a cursor that is held");
		is($server->sql("SELECT count(*), string_agg(DISTINCT who, ', ') FROM seen.ran WHERE note = 'deferred' AND who LIKE '$role%'"),
			"3|$role $role", '… three times, as itself');
	}
	assert_nobody_has_risen('code at the commit');
};

# ---- what they say when they fail

subtest 'errors of every kind' => sub {
	my %errors = (
		'a huge message' => q{RAISE EXCEPTION '%', repeat('x', 30000000)},
		'a huge detail and hint' => q{RAISE EXCEPTION 'huge' USING DETAIL = repeat('d', 30000000), HINT = repeat('h', 30000000)},
		'all memory' => q{RAISE EXCEPTION '%', repeat('x', 200000000)},
		'no message' => q{RAISE EXCEPTION USING MESSAGE = ''},
		'characters of control' => q{RAISE EXCEPTION '%', E'\x01\x02\x1b[31m\r\n\t%s%n \U0001F4A3 \uFFFD'},
		'characters cut in two' => q{RAISE EXCEPTION '%', repeat('é', 9999) || repeat('漢', 99999)},
		'57014, a cancel that is none' => q{RAISE EXCEPTION 'cancelled' USING ERRCODE = '57014'},
		'57P01, an end that is none' => q{RAISE EXCEPTION 'the end' USING ERRCODE = '57P01'},
		'57P02' => q{RAISE EXCEPTION 'the end' USING ERRCODE = '57P02'},
		'XX000' => q{RAISE EXCEPTION 'internal' USING ERRCODE = 'XX000'},
		'XX001, corrupted data' => q{RAISE EXCEPTION 'corrupt' USING ERRCODE = 'XX001'},
		'53200, no memory' => q{RAISE EXCEPTION 'memory' USING ERRCODE = '53200'},
		'53100, disk full' => q{RAISE EXCEPTION 'disk' USING ERRCODE = '53100'},
		'42704, the extension is gone' => q{RAISE EXCEPTION 'the extension is gone' USING ERRCODE = '42704'},
		'55000' => q{RAISE EXCEPTION 'the handler''s role has become another one' USING ERRCODE = '55000'},
		'PS401, one of ours' => q{RAISE EXCEPTION 'ours' USING ERRCODE = 'PS401'},
		'00000, success' => q{RAISE EXCEPTION 'fine' USING ERRCODE = '00000'},
		'01000, a warning' => q{RAISE EXCEPTION 'a warning' USING ERRCODE = '01000'},
		'a stack that is deep' => q{EXECUTE 'SELECT ' || repeat('(', 50000) || '1' || repeat(')', 50000)},
		'an assertion' => q{ASSERT false, 'no'},
		'a subtransaction too many' => q{FOR i IN 1..200 LOOP BEGIN PERFORM 1/0; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; RAISE EXCEPTION 'now'});
	my %call = map { $_ => call_of('mallory', handler('mallory', "BEGIN $errors{$_}; END")) } sort keys %errors;
	foreach my $what (sort keys %errors)
	{
		my $fate = fate_of($call{$what});
		isnt($fate, 'ran', "$what: " . substr($fate, 0, 60) =~ s/[^ -~]/?/gr);
		cmp_ok($server->sql("SELECT length(concat(h.error, h.error_context)) FROM seats_internal.handler AS h WHERE h.call_id = $call{$what}"),
			'<', 10_000, '… what is kept of it is bounded');
	}
	is($server->sql(q{SELECT count(*) FROM seats_internal.handler AS h WHERE h.role = 'mallory' AND h.tries + h.retries = 0}), '0', 'each is charged');
	assert_nobody_has_risen('errors');
	# They would be tried again for a minute.
	$server->sql(join ' ', map {"DELETE FROM seats_internal.handler WHERE call_id = $_;"} values %call);
};

# Tried again and again it would never come before a person.
subtest 'a failure that its process cannot store' => sub {
	debug_point_from_now_on($server, 'raise 1 handler_before_failure');
	my $call = call_of('mallory', handler('mallory', q{BEGIN RAISE EXCEPTION 'no'; END}));
	like(fate_of($call), qr/^57P01 its process was ended/, 'is stored by the worker, as the end of the process');
	$server->release_debug_point;
	$server->wait_for_sql("SELECT h.error_code FROM seats_internal.handler AS h WHERE h.call_id = $call", 'P0001');
	pass('… and the next one by its own process');
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $call");
};

# ---- ends of processes

subtest 'handlers that end their process, or take away what they need' => sub {
	my %bodies = (
		'ends its own process' => q{PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5)},
		'cancels itself' => q{PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(0.1)},
		'ends all others of its role' =>
		  q{PERFORM pg_terminate_backend(a.pid) FROM pg_stat_activity AS a WHERE a.usename = current_user AND a.pid <> pg_backend_pid()},
		'tries to end the worker' => q{PERFORM pg_terminate_backend(a.pid) FROM pg_stat_activity AS a WHERE a.pid <> pg_backend_pid()},
		'waits for a call within' => q{PERFORM seats.await_call(call, '1s')},
		'notifies' => q{PERFORM pg_notify('x', repeat('y', 7000)) FROM generate_series(1, 100)},
		'listens' => q{LISTEN everything},
		'prepares' => q{EXECUTE 'PREPARE TRANSACTION ''mine'''},
		'commits' => q{COMMIT},
		'takes advisory locks' => q{PERFORM pg_advisory_lock(g), pg_advisory_lock(g, g) FROM generate_series(1, 500) AS g},
		'reads our tables' => q{DELETE FROM seats_internal.handler});
	my %calls = ();
	foreach my $what (sort keys %bodies)
	{
		$calls{$what} = call_of('mallory', handler('mallory', "BEGIN $bodies{$what}; END"));
	}
	my %fate = map { $_ => fate_of($calls{$_}) } sort keys %bodies;
	diag "$_: $fate{$_}" foreach sort keys %fate;
	like($fate{'reads our tables'}, qr/^42501/, 'our tables are not theirs');
	like($fate{'tries to end the worker'}, qr/^42501/, 'nor is the worker');
	isnt($fate{'ends its own process'}, 'ran', 'who ends his process has not run');
	is($server->sql(q{SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND a.backend_type = 'pg_seats handler'}), '0', 'no advisory lock is left');
	assert_nobody_has_risen('ends of processes');
	$server->sql(join ' ', map {"DELETE FROM seats_internal.handler WHERE call_id = $_;"} values %calls);
};

sub naming
{
	my ($name) = @_;
	return "SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{}', on_done => " . PgSeats::Server::quote($name) . ')';
}

subtest 'names of functions' => sub {
	my @names = ('plain', 'mallory.plain; DROP TABLE seen.ran', 'mallory."plain', 'postgres.mallory.plain',
		'mallory.plain(bigint, jsonb, jsonb)', 'mallory.none', '', ' ', '.', 'mallory.', '"".""', 'pg_catalog.jsonb_set', 'mallory.' . 'x' x 100, "mallory.plain\\n", 'MALLORY.PLAIN; --', '"MALLORY"."plain"');
	foreach my $name (@names)
	{
		my ($status, undef, $error) = $server->try_sql('SET ROLE mallory; ' . naming($name));
		isnt($status, 0, "'$name': " . ($error =~ /ERROR:\s+([^\n]*)/ ? $1 : 'taken'));
	}
	# Quoted names that are as bad as they can be.
	my $schema = q("m ""' ; \\ $1 é");
	$server->sql("CREATE SCHEMA $schema AUTHORIZATION mallory");
	my $function = qq($schema."f "" ' % \$\$");
	as('mallory', "CREATE FUNCTION $function(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql"
		  . " AS 'INSERT INTO seen.ran VALUES (\$1, current_user, ''badly named'')'");
	is(fate_of(as('mallory', naming($function))), 'ran', 'a name that is as bad as can be runs');
	# What is called alike and takes something else.
	as('mallory', q{CREATE DOMAIN mallory.number AS bigint; CREATE DOMAIN mallory.json AS jsonb;
		CREATE FUNCTION mallory.plain(mallory.number, mallory.json, mallory.json) RETURNS void LANGUAGE sql AS 'SELECT 1/0';
		CREATE FUNCTION mallory.plain(numeric, jsonb, jsonb) RETURNS void LANGUAGE sql AS 'SELECT 1/0';
		CREATE FUNCTION mallory.plain(bigint, jsonb, VARIADIC jsonb[]) RETURNS void LANGUAGE sql AS 'SELECT 1/0'});
	is(fate_of(call_of('mallory', 'mallory.plain')), 'ran', 'functions that are called alike do not run instead');
	assert_nobody_has_risen('names of functions');
};

$server->assert_log_clean;
$server->stop;
done_testing();
