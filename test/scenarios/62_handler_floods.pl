# Handlers that hurt by what they lock, by how long they take and by how many they are: pairs that always deadlock,
# with each other and with a web request that locks in the other order; loops that catch their cancel; thousands that
# fail at once; one that makes the next of its kind for ever. The victim is always the handler, other roles' handlers
# go on meanwhile, and what people are told is bounded.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use Time::HiRes qw(time);

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '300ms'
pg_seats.handler_timeout = '1s'
END
$server->define_destination('stripe', requests_per_second => 1000);
$server->sql(<<'END');
CREATE SCHEMA app;
GRANT USAGE, CREATE ON SCHEMA app TO PUBLIC;
CREATE TABLE app.ran (call bigint, who text DEFAULT current_user, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE app.account (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
INSERT INTO app.account SELECT g FROM generate_series(1, 10) AS g;
GRANT ALL ON app.ran, app.account TO PUBLIC;
CREATE ROLE shop LOGIN;
CREATE ROLE flood LOGIN;
SELECT seats.grant_application(r), seats.grant_call(r, 'stripe', '{POST}', '/v1/**') FROM unnest('{shop,flood}'::text[]) AS r;
END

sub as { my ($role, $sql) = @_; return $server->sql("SET ROLE $role;\n$sql") }

sub handler
{
	my ($role, $name, $body) = @_;
	as($role, "CREATE FUNCTION app.$name(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE plpgsql AS \$body\$
		BEGIN $body; END \$body\$");
	return "app.$name";
}

sub enqueue_many
{
	my ($role, $function, $count) = @_;
	return split /\n/, as($role, "SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{}', on_done => '$function')
		FROM generate_series(1, $count)");
}

sub await_handlers
{
	my ($what, @calls) = @_;
	my $list = join ',', @calls;
	$server->wait_for_sql("SELECT string_agg(concat_ws(' ', h.call_id, h.tries, h.retries, h.error), '; ')
		FROM seats_internal.handler AS h WHERE h.call_id = ANY ('{$list}')", '', timeout => 60);
	pass($what);
	return;
}

my $plain = handler('shop', 'plain', 'INSERT INTO app.ran (call) VALUES (call)');

# So long it takes one of shop's calls from its commit to its handler's, in seconds.
sub time_of_shop
{
	my $from = time;
	my ($call) = enqueue_many('shop', $plain, 1);
	wait_until(sub { $server->sql("SELECT count(*) FROM app.ran WHERE call = $call") eq '1' }, "shop's handler to run", timeout => 60);
	return time - $from;
}

time_of_shop();

# Two accounts, one after the other.
sub both
{
	my ($first, $second) = @_;
	return "UPDATE app.account SET n = n + 1 WHERE id = $first; PERFORM pg_sleep(0.04); UPDATE app.account SET n = n + 1 WHERE id = $second";
}

subtest 'two handlers that always deadlock' => sub {
	as('shop', 'CREATE SEQUENCE app.begun');
	my ($up, $down) = (handler('shop', 'up', q{PERFORM nextval('app.begun'); } . both(1, 2)),
		handler('shop', 'down', q{PERFORM nextval('app.begun'); } . both(2, 1)));
	my @calls = map { (enqueue_many('shop', $up, 1), enqueue_many('shop', $down, 1)) } 1 .. 10;
	await_handlers('all have run in the end', @calls);
	is($server->sql('SELECT string_agg(n::text, \' \' ORDER BY id) FROM app.account WHERE id < 3'), '20 20', 'each once');
	# (A sequence counts what was rolled back, too.)
	cmp_ok($server->sql(q{SELECT last_value FROM app.begun}), '>', 20, 'some had to begin again');
};

subtest 'a handler and an application that lock in the other order' => sub {
	my $ours = handler('shop', 'ours', both(3, 4));
	my @calls = enqueue_many('shop', $ours, 30);
	my ($failed, $slowest) = (0, 0);
	foreach my $round (1 .. 30)
	{
		my $from = time;
		my ($status, undef, $error) = $server->try_sql('SET ROLE shop; BEGIN; ' . (both(4, 3) =~ s/PERFORM/SELECT/r) . '; COMMIT');
		$failed++ if $status;
		diag $error if $status;
		$slowest = time - $from if time - $from > $slowest;
	}
	is($failed, 0, 'the web request is never the victim');
	await_handlers('the handlers have run in the end', @calls);
	is($server->sql('SELECT string_agg(n::text, \' \' ORDER BY id) FROM app.account WHERE id IN (3, 4)'), '60 60', 'each once');
	diag sprintf 'the slowest request took %.2f s', $slowest;
};

subtest 'loops that do not let themselves be cancelled' => sub {
	my $loop = handler('flood', 'loop', q{LOOP BEGIN PERFORM pg_sleep(0.01); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP});
	# At the commit, too.
	as('flood', <<'SQL');
CREATE TABLE app.ledger (n bigint);
CREATE FUNCTION app.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.ledger VALUES (NEW.n + 1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER again AFTER INSERT ON app.ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.again();
SQL
	my $deferred = handler('flood', 'deferred', q{INSERT INTO app.ledger VALUES (1)});
	my @calls = (enqueue_many('flood', $loop, 10), enqueue_many('flood', $deferred, 10));
	$server->wait_for_sql(q{SELECT count(*) > 0 FROM seats_internal.handler_state() AS s WHERE s.call IS NOT NULL}, 't');
	my @times = map { time_of_shop() } 1 .. 10;
	diag 'shop waits: ' . join ' ', map { sprintf '%.2f', $_ } @times;
	# One or two that have not yet timed out hold the processes; from then on one is always left for others.
	cmp_ok((sort { $a <=> $b } @times)[5], '<', 3, "others' handlers run meanwhile");
	foreach my $function ($loop, $deferred)
	{
		$server->wait_for_sql("SELECT count(*) > 0 FROM seats_internal.handler AS h
			WHERE h.on_done = '$function' AND h.careful AND h.tries > 0", 't', timeout => 60);
		pass("$function has been charged");
	}
	$server->sql("DELETE FROM seats_internal.handler WHERE call_id = $_") foreach @calls;
};

subtest 'thousands that fail at once' => sub {
	my $count = 3_000;
	my $bad = handler('flood', 'bad', q{RAISE EXCEPTION 'the application was deployed with a mistake'});
	enqueue_many('flood', $bad, $count);
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.outbox', '0', timeout => 120);
	my @times = map { time_of_shop() } 1 .. 10;
	diag 'shop waits: ' . join ' ', map { sprintf '%.2f', $_ } @times;
	cmp_ok((sort { $a <=> $b } @times)[5], '<', 3, "others' handlers run meanwhile");
	# What would take minutes: all before a person at once, as they are when their function is gone.
	as('flood', 'DROP FUNCTION app.bad(bigint, jsonb, jsonb)');
	my $from = time;
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.handler AS h WHERE h.role = 'flood' AND h.review_since IS NULL}, '0', timeout => 120);
	diag sprintf 'all in review after %.1f s', time - $from;
	my $alerts = $server->sql(q{SELECT count(*) FROM seats.alerts WHERE state = 'open' AND kind LIKE '%handler%'});
	my $journal = $server->sql(q{SELECT count(*) FROM seats_internal.journal WHERE kind = 'handler.failed'});
	diag "alerts: $alerts, entries of the journal: $journal";
	cmp_ok(time_of_shop(), '<', 3, 'shop goes on');
	$server->sql(q{DELETE FROM seats_internal.handler WHERE role = 'flood'});
};

subtest 'one that makes the next of its kind for ever' => sub {
	my $forever = handler('flood', 'forever', q{INSERT INTO app.ran (call) VALUES (call);
		PERFORM seats.enqueue_call('stripe', 'POST', '/v1/customers', '{}', on_done => 'app.forever')});
	enqueue_many('flood', $forever, 20);
	$server->wait_for_sql(q{SELECT count(*) > 200 FROM app.ran WHERE who = 'flood'}, 't', timeout => 60);
	my @times = map { time_of_shop() } 1 .. 20;
	diag 'shop waits: ' . join ' ', map { sprintf '%.2f', $_ } @times;
	cmp_ok((sort { $a <=> $b } @times)[10], '<', 3, "others' handlers run meanwhile");
	as('flood', 'CREATE OR REPLACE FUNCTION app.forever(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS \'SELECT NULL::void\'');
	$server->wait_for_sql(q{SELECT (SELECT count(*) FROM seats_internal.outbox) + (SELECT count(*) FROM seats_internal.handler)}, '0', timeout => 60);
	pass('it ends with its function');
};

$server->assert_log_clean;
$server->stop;
done_testing();
