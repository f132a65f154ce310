# What health says of tables that are large, whose rows the worker counts: the same as of small ones. Each bad state is made,
# seen, and ended again.
use strict;
use warnings;
use JSON::PP qw(decode_json);
use PgSeats::Scenario;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '500ms'
pg_seats.handler_workers = 0
pg_seats.reconcile = off
autovacuum = off
fsync = off
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$server->sql(q{SELECT seats.pause('stripe', 'its calls are there to be counted')});

# Calls and handlers that are in nobody's way (and never old), and payments that are over.
$server->sql(<<'END');
INSERT INTO seats_internal.lane (destination, name) SELECT 'stripe', n || '' FROM generate_series(1, 4000) AS n;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, created_at)
SELECT l.id, i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', 'filler', now() + interval '1 hour'
  FROM seats_internal.lane AS l CROSS JOIN seats_internal.installation AS i;
INSERT INTO seats_internal.handler (call_id, installation, lane_id, role, role_oid, on_done)
SELECT o.id, o.installation, o.lane_id, current_user, current_user::regrole, 'public.noted' FROM seats_internal.outbox AS o;
INSERT INTO seats_internal.payment_request (destination, request_key, currency, created_by, role, role_oid, arguments)
VALUES ('stripe', 'bill', 'eur', 'filler', current_user, current_user::regrole, '{}');
INSERT INTO seats_internal.payment_member (request_id, lane_id, reference, hash, amount, state)
SELECT r.id, (SELECT min(id) FROM seats_internal.lane), 'ada', 'x', 100, 'unpaid' FROM seats_internal.payment_request AS r;
INSERT INTO seats_internal.payment (member_id, lane_id, destination, installation, attempt, uuid, amount, currency, state)
SELECT m.id, m.lane_id, 'stripe', i.uuid, n, gen_random_uuid(), 100, 'eur', 'canceled'
  FROM seats_internal.payment_member AS m CROSS JOIN seats_internal.installation AS i CROSS JOIN generate_series(1, 4000) AS n;
END
$server->wait_for_sql(q{SELECT string_agg(m.labels ->> 'table', ' ' ORDER BY m.labels ->> 'table') FROM seats.metrics AS m
 WHERE m.name = 'pg_seats_counted_age_seconds' AND m.value > 0 AND m.labels ->> 'table' IN ('outbox', 'handler', 'payment')},
	'handler outbox payment');

sub await_health
{
	my ($check, $expected, $like, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $seen = q{SELECT concat(h.status, CASE WHEN h.message !~ '} . $like . q{' THEN ' ' || h.message END)
	 FROM seats.health AS h WHERE h.check_name = '} . $check . q{'};
	$server->wait_for_sql($seen, $expected, timeout => 60);
	pass($name);
	return;
}

sub some_call { return $server->sql('SELECT max(id) FROM seats_internal.outbox') }
my $call = some_call();

sub change { return $server->sql("UPDATE seats_internal.outbox SET $_[0] WHERE id = $call") }
sub change_first { return $server->sql("UPDATE seats_internal.outbox SET $_[0] WHERE id = $call - 1") }

await_health('oldest_call', 'ok', 'old', 'nothing waits for long');

change(q{created_at = now() - interval '10 minutes'});
await_health('oldest_call', 'warning', "call, $call, is 00:10", 'a call that waits for ten minutes');
# (And behind it another one.)
$server->sql("UPDATE seats_internal.outbox SET lane_id = (SELECT lane_id FROM seats_internal.outbox WHERE id = $call - 1),
	created_at = now() - interval '9 minutes' WHERE id = $call");
change_first(q{reason = 'stripes_limit_for_a_subscription', due_at = now() + interval '1 hour', created_at = now() - interval '10 minutes'});
await_health('oldest_call', 'ok', 'old', 'calls that wait for Stripe\'s limit wait as designed');
change_first(q{reason = NULL, due_at = NULL, state = 'awaiting'});
await_health('oldest_call', 'ok', 'old', '… for a payment');
change_first(q{state = 'pending'});
await_health('oldest_call', 'warning', "call, @{[$call - 1]}, is 00:10", '… for nothing');
change_first(q{created_at = now() + interval '1 hour'});
change(q{state = 'awaiting', created_at = now() - interval '2 days', lane_id = (SELECT max(lane_id) FROM seats_internal.outbox) + 1});
change(q{state_since = now() - interval '26 hours'});
await_health('oldest_call', 'critical', "call, $call, is 2 days", '… for a payment that has not come in time');

change(q{state = 'pending', kind = 'delivery', created_at = now() - interval '11 minutes'});
await_health('deliveries', 'warning', '11:', 'a delivery that nobody takes');
await_health('oldest_call', 'ok', 'old', '… is no call');
change(q{kind = 'call', installation = gen_random_uuid()});
await_health('foreign_calls', 'warning', '^1 call', 'a call of another installation');
await_health('deliveries', 'ok', 'taken everything', '… is no delivery');
change(q{created_at = now() + interval '1 hour', installation = (SELECT uuid FROM seats_internal.installation)});
await_health('foreign_calls', 'ok', '^0 call', 'none any more');

sub change_handler { return $server->sql("UPDATE seats_internal.handler SET $_[0] WHERE call_id = $call") }
change_handler(q{outcome = '{}', ended_at = now() - interval '2 minutes', error = 'as told', error_code = 'XX000',
	failed_at = now(), tries = 1});
await_health('handlers', 'warning', "of call $call, waits for 00:02.*as told", 'a handler that fails');
change_handler(q{review_since = now(), review_reason = 'failed'});
await_health('handlers', 'critical', '^1 handler', '… for good');
change_handler(q{outcome = NULL, ended_at = NULL, error = NULL, error_code = NULL, review_since = NULL,
	review_reason = NULL, failed_at = NULL, tries = 0});
await_health('handlers', 'ok', 'has run', '… no more');

$server->sql(q{UPDATE seats_internal.payment SET state = 'creating', created_at = now() - interval '6 minutes' WHERE attempt = 4000});
await_health('payments', 'warning', 'waits for 00:06', 'a payment that is not made');

# More of them than are told apart are counted all the same. (Stripe's destinations have no bound.)
$server->sql(q{UPDATE seats_internal.payment SET state = 'creating', destination = 'd' || attempt WHERE attempt > 3980});
$server->wait_for_sql(q{SELECT value FROM seats.metrics WHERE name = 'pg_seats_payments' AND labels ->> 'state' = 'creating'}, '20',
	timeout => 60);

# ---- what nobody tells the worker of

# Time alone: the call is designed to wait, and in some seconds is not any more. (A call of no such kind stays what it is:
# it is not counted again.)
sub silently { return $server->sql("SET track_counts = off; $_[0]") }
change(q{reason = 'stripes_limit_for_a_subscription', created_at = now() - interval '20 minutes',
	due_at = now() - interval '5 minutes' + interval '8 seconds'});
await_health('oldest_call', 'ok', 'old', 'a call waits for Stripe\'s limit');
await_health('oldest_call', 'warning', "call, $call, is 00:2", 'calls that wait are counted again though nothing moves');
change(q{created_at = now() + interval '1 hour', reason = NULL, due_at = NULL});
await_health('oldest_call', 'ok', 'old', 'it waits no more');

# A table that is written anew moves its rows while they are counted.
silently(qq{UPDATE seats_internal.handler SET outcome = '{}', ended_at = now() - interval '2 minutes' WHERE call_id = $call});
$server->sql('VACUUM FULL seats_internal.handler');
await_health('handlers', 'warning', "of call $call, waits", 'a table that was written anew is counted again');

# ---- between two counts

# What may have gone since does not grow older.
change(q{created_at = now() - interval '10 minutes'});
await_health('oldest_call', 'warning', "call, $call, is 00:10", 'a call waits');
my $worker = $server->worker_pid;
kill 'STOP', $worker;
my $age = q{SELECT value FROM seats.metrics WHERE name = 'pg_seats_oldest_waiting_seconds' AND labels ->> 'reason' = 'paused'};
my $before = $server->sql($age);
$server->sql("DELETE FROM seats_internal.outbox WHERE id = $call");
cmp_ok($before, '>=', 600, 'its age is that of the count');
is($server->sql($age), $before, '… and stays so until the next one');
kill 'CONT', $worker;
await_health('oldest_call', 'ok', 'old', '… which does not find it');

# ---- what has left a lane while somebody keeps an old snapshot

# Whoever looked past it for each call of the lane would read hundreds of thousands of pages.
my $reader = $server->background_psql($server->database);
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM seats_internal.outbox');
sub enqueue_in_one_lane
{
	my ($count) = @_;
	$server->sql(<<"END");
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, created_at)
SELECT -1, i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', 'one lane', now() - interval '2 minutes'
  FROM seats_internal.installation AS i CROSS JOIN generate_series(1, $count)
END
	return;
}
enqueue_in_one_lane(5_000);
$server->sql(q{DELETE FROM seats_internal.outbox WHERE enqueued_by = 'one lane'});
enqueue_in_one_lane(100);
my ($plan) = @{ decode_json($server->sql(q{EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
	SELECT c.reason, count(*) FROM seats_internal.counted_call AS c GROUP BY c.reason})) };
my $read = $plan->{Plan}{'Shared Hit Blocks'} + $plan->{Plan}{'Shared Read Blocks'};
cmp_ok($read, '<', 20_000, "what has left a lane is not read for each call of it: $read pages");
$reader->quit;

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
