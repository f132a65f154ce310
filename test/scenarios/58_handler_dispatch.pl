# Which handler runs when: by lanes, by roles, once, whoever has ended the call. (What a process does with one:
# 57_handlers. What ends processes and servers: 63_handler_ends.)
use strict;
use warnings;
use JSON::PP;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Handlers;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'CONF');
max_prepared_transactions = 4
pg_seats.safety_poll = '10min'
CONF
$server->wait_for_worker;
my @roles = qw(app_a app_b app_c app_d);
set_up_handlers($server, { map { $_ => 'LOGIN' } @roles });
$server->sql("SELECT seats.grant_call('$_', 'stripe', '{POST}', '/v1/customers')") foreach @roles;

# Each notes that it ran. It fails as long as app.fails has its word, sleeps as long as its context says, and waits while
# somebody holds its context's advisory lock.
$server->sql('CREATE TABLE app.fails (what text); GRANT SELECT ON app.fails TO PUBLIC');
foreach my $name (qw(done refused))
{
	define_handler($server, $name, <<"BODY", owner => 'CURRENT_USER');
BEGIN
    IF EXISTS (SELECT FROM app.fails AS f WHERE f.what = context ->> 'what') THEN
        RAISE EXCEPTION 'fails as told';
    END IF;
    PERFORM pg_sleep((context ->> 'sleep')::double precision);
    PERFORM pg_advisory_xact_lock_shared((context ->> 'lock')::bigint);
    INSERT INTO app.told (call, what)
    VALUES (call, concat_ws(' ', '$name', outcome ->> 'result', outcome ->> 'proof', current_user, context ->> 'what'));
END
BODY
}

# A call of a role's with both handlers: handled(role => 'app_b', lane => 'x', what => …, sleep => …, lock => …).
sub statement
{
	my (%options) = @_;
	my %arguments = (on_done => 'app.done', on_refused => 'app.refused');
	my $name = delete $options{name} // 'x';
	$arguments{lane} = delete $options{lane} if $options{lane};
	$arguments{context} = encode_json(\%options);
	return PgSeats::Server::enqueue_statement('/v1/customers', { name => $name }, %arguments);
}
sub handled
{
	my (%options) = @_;
	my $role = delete $options{role} // 'app_a';
	return $server->sql("SET ROLE $role; " . statement(%options));
}
sub cancel { $server->sql(join ';', 'BEGIN', (map {"SELECT seats.cancel_call($_, 'as the scenario says')"} @_), 'COMMIT'); return }
sub flows { $server->sql(q{SELECT seats.resume('stripe', 'calls go')}); return }
sub stands { $server->sql(q{SELECT seats.pause('stripe', 'calls stay')}); return }
sub await_told
{
	my (@calls) = @_;
	my $list = join ',', @calls;
	$server->wait_for_sql("SELECT count(*) FROM app.told WHERE call IN ($list)", scalar @calls);
	return;
}
# The calls among these that have run, in order.
sub order_of
{
	my (@calls) = @_;
	my $list = join ',', @calls;
	return $server->sql("SELECT string_agg(call::text, ' ' ORDER BY number) FROM app.told WHERE call IN ($list)");
}
sub once
{
	my ($name, @calls) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $list = join ',', @calls;
	return is($server->sql("SELECT count(*), count(DISTINCT call) FROM app.told WHERE call IN ($list)"),
		join('|', scalar @calls, scalar @calls), $name);
}

subtest 'each end has its handler' => sub {
	my $cancelled = handled(what => 1);
	cancel($cancelled);
	await_told($cancelled);
	is(told($server, $cancelled), 'refused cancelled none needed app_a 1', 'one that is cancelled, although its destination is paused');
	flows();
	$stripe->fault({ match => { body => '*declined*' }, fault => 'declined_402' });
	my $done = handled(what => 2);
	my $refused = handled(what => 3, name => 'declined');
	my $plain = $server->sql('SET ROLE app_a;' . PgSeats::Server::enqueue_statement('/v1/customers', { name => 'x' },
			on_refused => 'app.refused'));
	await_told($done, $refused);
	is(told($server, $done), 'done done answered app_a 2', 'one that is done');
	is(told($server, $refused), 'refused refused answered app_a 3', 'one that is refused');
	await_state($server, $plain, 'done');
	await_handled($server, $plain);
	is(told($server, $plain), '', 'one without a function for its end');
	# The answer is lost, and Stripe gives it again.
	$stripe->fault({ match => { body => '*replayed*' }, fault => 'execute_and_drop' });
	my $replayed = handled(what => 4, name => 'replayed');
	await_told($replayed);
	is(told($server, $replayed), 'done done replayed app_a 4', 'how the end is known is told');
	stands();
};

subtest 'the order of a lane' => sub {
	$server->sql(q{INSERT INTO app.fails VALUES ('first')});
	my @calls = map { handled(lane => 'ordered', what => $_) } qw(first second third);
	my $other = handled(lane => 'other', what => 'other');
	flows();
	await_state($server, $_, 'done') foreach @calls;
	pass('a handler that fails holds up no calls');
	await_told($other);
	pass('… nor handlers of other lanes');
	await_handler($server, $calls[0], 'tries > 0');
	is(order_of(@calls), '', 'those behind it wait');
	$server->sql('DELETE FROM app.fails');
	await_told(@calls);
	is(order_of(@calls), "@calls", '… and come in the order of their calls');
	stands();

	# What has not ended holds up nothing.
	@calls = map { handled(lane => 'ordered', what => $_) } qw(first second third);
	cancel($calls[1]);
	await_told($calls[1]);
	pass('a call that is still open holds up no handler of a later one');
	cancel(@calls[ 2, 0 ]);
	await_told(@calls);
	is(order_of(@calls[ 0, 2 ]), "@calls[0, 2]", 'of two that have ended the earlier one is first');
};

subtest 'many of a lane in one transaction, in its order' => sub {
	my @calls = split /\n/, $server->sql(join ';', 'SET ROLE app_a', map { statement(lane => 'many', what => $_) } 1 .. 60);
	$server->sql("SELECT count(seats.cancel_call(call, 'all')) FROM seats.outbox WHERE lane = 'many'");
	await_told(@calls);
	is(order_of(@calls), "@calls", 'all of them, in order');
};

subtest 'savepoints and prepared transactions' => sub {
	my ($rolled_back, $prepared, $aborted) = map { handled(what => $_) } 1 .. 3;
	$server->sql(<<"END");
BEGIN; SAVEPOINT s; SELECT seats.cancel_call($rolled_back, 'no'); ROLLBACK TO s; COMMIT;
BEGIN; SELECT seats.cancel_call($aborted, 'no'); ROLLBACK;
BEGIN; SELECT seats.cancel_call($prepared, 'yes'); PREPARE TRANSACTION 'p';
END
	my $after = handled(what => 'after');
	cancel($after);
	await_told($after);
	is(order_of($rolled_back, $prepared, $aborted), '', 'nothing runs of what is not committed');
	$server->sql(q{COMMIT PREPARED 'p'});
	await_told($prepared);
	pass('COMMIT PREPARED has its handler run at once');
	cancel($rolled_back, $aborted);
	await_told($rolled_back, $aborted);
	once('each of them once', $rolled_back, $prepared, $aborted);
};

subtest 'more than fits' => sub {
	# More than are handed over at a commit, and than the memory holds; lanes of their own order, two roles.
	foreach my $role (qw(app_a app_b))
	{
		$server->sql(<<"END");
SET ROLE $role;
SELECT count(seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "x"}',
                                lane => CASE WHEN n % 2 = 0 THEN 'big ' || n % 40 END,
                                on_refused => 'app.refused', context => jsonb_build_object('what', 'big')))
  FROM generate_series(1, 1700) AS n;
END
	}
	$server->sql(q{SELECT count(seats.cancel_call(o.call, 'all')) FROM seats.outbox AS o});
	my $few = handled(role => 'app_c', what => 'few');
	cancel($few);
	await_told($few);
	cmp_ok($server->sql('SELECT count(*) FROM seats_internal.handler'), '>', 200, 'a role with few is not behind all of them');
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.handler', '0', timeout => 120);
	is($server->sql(q{SELECT count(*), count(DISTINCT call) FROM app.told WHERE what LIKE '% big'}), '3400|3400', 'each of them once');
	is($server->sql(<<'END'), '0', 'and every lane in its order');
SELECT count(*)
  FROM (SELECT t.call, lag(t.call) OVER (PARTITION BY h.lane_id ORDER BY t.number) AS before
          FROM app.told AS t JOIN seats_internal.outbox_history AS h ON h.id = t.call
         WHERE t.what LIKE '% big' AND h.lane_id IS NOT NULL) AS l
 WHERE l.before > l.call
END
};

subtest 'another worker while a handler runs' => sub {
	my $session = $server->background_psql('postgres');
	$session->query_safe('BEGIN; SELECT pg_advisory_xact_lock(7)');
	my @calls = map { handled(lane => 'restart', what => $_, lock => 7) } 1 .. 3;
	$server->sql('SET ROLE app_a; ' . join ';', map { statement(what => "beside $_") } 1 .. 5);
	my @beside = split /\n/, $server->sql('SELECT call FROM seats.outbox WHERE lane IS NULL');
	cancel(@calls);
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.handler_state() AS s WHERE s.call IS NOT NULL', '1');
	$server->kill_worker('TERM');
	cancel(@beside);
	await_told(@beside);
	pass('the next worker gives others to other processes');
	is(order_of(@calls), '', '… and knows what runs');
	$session->query_safe('COMMIT');
	await_told(@calls);
	is(order_of(@calls), "@calls", 'it goes on behind what ran meanwhile');
	once('each of them once', @calls, @beside);
	$session->quit;
};

subtest 'another server' => sub {
	$server->sql(q{INSERT INTO app.fails VALUES ('stays')});
	my @calls = map { handled(lane => "again $_", what => 'stays') } 1 .. 3;
	cancel(@calls);
	await_handler($server, $_, 'tries > 0') foreach @calls;
	$server->restart;
	$server->wait_for_worker;
	$server->sql('DELETE FROM app.fails');
	await_told(@calls);
	once('what waited before a restart runs behind it', @calls);
};

subtest 'three roles and two processes' => sub {
	# The first of them has far more than both processes can do in the meantime.
	my @slow = split /\n/,
	  $server->sql(join ';', 'SET ROLE app_a', map { statement(what => 'slow', sleep => 0.1) } 1 .. 200);
	cancel(@slow);
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.handler_state() AS s WHERE s.call IS NOT NULL', '2');
	my @others = map { handled(role => $_, what => 'quick') } qw(app_b app_c app_b app_c);
	cancel(@others);
	await_told(@others);
	cmp_ok($server->sql(q{SELECT count(*) FROM seats_internal.handler WHERE role = 'app_a'}), '>', 0,
		'the others are served while one role has more than enough');
	await_told(@slow);
	once('and all of its run, too', @slow);
	cmp_ok($server->sql('SELECT count(*) FROM seats_internal.handler_state()'), '<=', 2, 'never with more processes than are allowed');
};

subtest 'those that took too long never have the last process' => sub {
	set_configuration($server, 'pg_seats.handler_timeout' => '300ms');
	my @long = map { handled(what => 'long', sleep => 20) } 1 .. 4;
	cancel(@long);
	await_handler($server, $_, 'careful') foreach @long;
	# They all come to their next tries, and to their ends; the others go on in between.
	foreach my $round (1 .. 5)
	{
		my @others = map { handled(role => $_, what => "round $round") } qw(app_a app_b);
		cancel(@others);
		await_told(@others);
	}
	pass('the others go on');
	$server->sql('UPDATE seats_internal.handler SET tries = 4');
	await_handler($server, $_, 'review_since IS NOT NULL') foreach @long;
	is($server->sql("SELECT string_agg(DISTINCT error_code, ' ') FROM seats_internal.handler"), '57014', 'and they come before a person');
	set_configuration($server, 'pg_seats.handler_timeout' => '10s');
	$server->sql(join ';', map {"SELECT seats.resolve_review($_, 'skip', 'enough')"} @long);
};

subtest 'processes that do not come to work' => sub {
	# One that is there already goes on; and there is room for those that do not come.
	set_configuration($server, 'pg_seats.handler_workers' => '8');
	my $first = handled(what => 'first');
	cancel($first);
	await_told($first);
	debug_point_from_now_on($server, 'raise 1 handler_before_idle');
	my $stuck = handled(role => 'app_d', what => 'stuck');
	cancel($stuck);
	$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'handlers_not_started' AND state = 'open'}, '1');
	like($server->sql(q{SELECT summary FROM seats.alerts WHERE kind = 'handlers_not_started'}),
		qr/no process can be started for the handlers of role app_d/, 'people are told');
	my @others = map { handled(what => $_) } 1 .. 3;
	cancel(@others);
	await_told(@others);
	pass('that holds up nobody else');
	$server->release_debug_point;
	await_told($stuck);
	$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'handlers_not_started' AND state = 'open'}, '0');
	pass('when they come again, it runs and the alert is resolved');
};

subtest 'a role that is dropped' => sub {
	$server->sql('CREATE ROLE app_gone LOGIN');
	$server->sql(q{SELECT seats.grant_application('app_gone'); SELECT seats.grant_call('app_gone', 'stripe', '{POST}', '/v1/customers')});
	my $call = handled(role => 'app_gone', what => 'gone');
	$server->sql('DROP OWNED BY app_gone; DROP ROLE app_gone; CREATE ROLE app_gone LOGIN');
	cancel($call);
	await_handler($server, $call, 'review_since IS NOT NULL');
	is(handler_of($server, $call, 'review_reason'), 'role_changed', 'another role of its name does not run it');
	$server->sql("SELECT seats.resolve_review($call, 'skip', 'gone')");
};

# What its batch came to is known to the worker only when all of that has run.
subtest 'decided by a person while others of its batch still run' => sub {
	set_configuration($server, 'pg_seats.handler_workers' => '0');
	my $failing = handled(lane => 'decided', what => 'failing');
	my $long = handled(what => 'long', sleep => 2);
	my $behind = handled(lane => 'decided', what => 'behind');
	cancel($failing, $long, $behind);
	$server->sql(qq{INSERT INTO app.fails VALUES ('failing'); UPDATE seats_internal.handler SET tries = 4 WHERE call_id = $failing});
	set_configuration($server, 'pg_seats.handler_workers' => '1');
	await_handler($server, $failing, q{review_reason = 'failed'});
	$server->wait_for_sql("SELECT count(*) FROM seats_internal.handler_state() WHERE call = $long", '1');
	$server->sql(q{DELETE FROM app.fails WHERE what = 'failing'});
	$server->sql("SELECT seats.resolve_review($failing, 'retry', 'put right')");
	await_told($failing, $long, $behind);
	is($server->sql("SELECT string_agg(call::text, ' ' ORDER BY number) FROM app.told WHERE call IN ($failing, $behind)"),
		"$failing $behind", 'it runs, and what is behind it');
};

is($server->sql('SELECT count(*) FROM seats_internal.handler'), '0', 'nothing is left');
done_testing();
