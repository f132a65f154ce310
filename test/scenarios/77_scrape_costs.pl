# What a look at metrics and health reads: the same with few rows and with 100,000 of everything. Whatever is counted anew
# at each look would be read then. And what is shown is true all the same: the worker has counted it.
use strict;
use warnings;
use IPC::Run ();
use JSON::PP qw(decode_json);
use PgSeats::Scenario;
use PgSeats::Seats;
use PgSeats::Webhooks;

my $many = 100_000;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '500ms'
pg_seats.reconcile = off
autovacuum = off
max_wal_size = '4GB'
fsync = off
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
set_up_types($server);
define_endpoint($server, 'main');
new_team($server, $stripe, 'acme', seats => { team => 2 });

# ---- what there is

# Rows as they would be after an outage, or a good year.
sub fill
{
	my ($name, $count) = @_;
	$server->sql(<<"END");
INSERT INTO seats_internal.lane (destination, name) SELECT 'stripe', '$name ' || n FROM generate_series(1, $count) AS n;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, created_at)
SELECT l.id, i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', '$name', now() - interval '2 minutes'
  FROM seats_internal.lane AS l CROSS JOIN seats_internal.installation AS i WHERE l.name LIKE '$name %';
INSERT INTO seats_internal.handler (call_id, installation, lane_id, role, role_oid, on_done)
SELECT o.id, o.installation, o.lane_id, current_user, current_user::regrole, 'public.noted'
  FROM seats_internal.outbox AS o WHERE o.enqueued_by = '$name';
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, registered_by, status)
SELECT l.name, 'stripe', 'sub ' || l.name, l.id, '$name', 'active' FROM seats_internal.lane AS l WHERE l.name LIKE '$name %';
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity)
SELECT t.id, 'team', 5, 5 FROM seats_internal.team AS t WHERE t.registered_by = '$name';
INSERT INTO seats_internal.member (team_id, user_id, seat_type, role)
SELECT t.id, 'ada', 'team', 'owner' FROM seats_internal.team AS t WHERE t.registered_by = '$name';
INSERT INTO seats_internal.invite (team_id, address, seat_type, role, invited_by, token_hash, expires_at)
SELECT t.id, 'bo\@example.com', 'team', 'member', '$name', sha256(t.name::bytea), now() + interval '1 day'
  FROM seats_internal.team AS t WHERE t.registered_by = '$name';
END
	return;
}

my $shown = q{SELECT string_agg(m.value::text, ' ' ORDER BY m.name, m.labels) FROM seats.metrics AS m
 WHERE m.name = 'pg_seats_outbox_calls' AND m.labels @> '{"destination": "stripe", "state": "pending"}'
    OR m.name = 'pg_seats_handlers' AND m.labels @> '{"state": "open"}'
    OR m.name = 'pg_seats_seats' AND m.labels ->> 'state' IN ('confirmed', 'used', 'reserved', 'billing_pending')
    OR m.name = 'pg_seats_teams' AND m.labels @> '{"status": "active"}'};

# As $shown gives it: handlers, calls, seats (billing_pending, confirmed, reserved, used), teams. Beside acme, with two seats.
sub expected
{
	my ($count) = @_;
	return join ' ', $count, $count, 0, 5 * $count + 2, $count, $count, $count + 1;
}

# ---- what it costs

my %looks = (
	metrics => 'SELECT * FROM seats.metrics',
	metrics_text => 'SELECT seats.metrics_text()',
	health => 'SELECT * FROM seats.health');

# Pages that the second of two looks of a session reads, wherever they are.
sub pages
{
	my ($sql) = @_;
	my $explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) $sql";
	return pages_in((split /^(?=\[)/m, $server->sql("$explain; $explain"))[-1]);
}

sub pages_in
{
	my ($plan) = @{ decode_json($_[0]) };
	return $plan->{Plan}{'Shared Hit Blocks'} + $plan->{Plan}{'Shared Read Blocks'};
}

sub costs { return map { $_ => pages($looks{$_}) } keys %looks }

$server->sql(q{SELECT seats.pause('stripe', 'its calls are there to be counted')});
fill('few', 20);
$server->wait_for_sql($shown, expected(20));
my %few = costs();
# (An application's session stays, and with it the plan that it was made when there was little.)
my $kept = $server->background_psql('postgres');
$kept->query_safe($looks{metrics_text}) foreach 1 .. 7;

fill('many', $many);
$server->wait_for_sql($shown, expected($many + 20), timeout => 120);
ok(1, 'the worker has counted it all');
my %many = costs();
foreach my $look (sort keys %looks)
{
	# (A small table is read by whoever looks, a large one is not.)
	cmp_ok($many{$look}, '<=', $few{$look} + 300, "$look: $few{$look} pages with few rows, $many{$look} with many");
	cmp_ok($many{$look}, '<', 2_000, "$look: few pages");
}
my $again = pages_in($kept->query_safe("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) $looks{metrics_text}"));
cmp_ok($again, '<', 2_000, "metrics_text: $again pages in a session that was there before");
$kept->quit;
is($server->sql(q{SELECT count(*) FROM seats.metrics WHERE name = 'pg_seats_counted_age_seconds' AND value < 120}), '7',
	'how old each count is is shown');

# ---- that it is true

sub health { return $server->sql("SELECT status FROM seats.health WHERE check_name = '$_[0]'") }

is(health('oldest_call'), 'ok', 'nothing is too old');
is(health('seats'), 'ok', 'every quantity is its sum');
$server->sql(q{UPDATE seats_internal.outbox SET created_at = now() - interval '2 hours' WHERE id =
	(SELECT max(id) FROM seats_internal.outbox)});
$server->wait_for_sql(q{SELECT status || ' ' || (message LIKE '%' || (SELECT max(id) FROM seats_internal.outbox) || '%')
	FROM seats.health WHERE check_name = 'oldest_call'}, 'critical true', timeout => 60);
# (In a transaction of its own, so the worker cannot have counted it.)
is($server->sql(q{BEGIN;
INSERT INTO seats_internal.outbox (installation, destination, method, path, body, enqueued_by, state)
SELECT i.uuid, 'stripe', 'POST', '/v1/x', '', 'doubtful', 'review' FROM seats_internal.installation AS i;
SELECT message FROM seats.health WHERE check_name = 'reviews';
ROLLBACK}), "1 call(s) wait for a person's decision", 'what a person must decide is told of at once');
# Behind a call that waits for its payment it waits as designed.
$server->sql(q{INSERT INTO seats_internal.outbox (id, lane_id, installation, destination, method, path, body, enqueued_by,
	state) SELECT 1, o.lane_id, o.installation, o.destination, 'POST', '/v1/x', '', 'behind', 'awaiting'
	FROM seats_internal.outbox AS o ORDER BY o.id DESC LIMIT 1});
$server->wait_for_sql(q{SELECT status FROM seats.health WHERE check_name = 'oldest_call'}, 'ok', timeout => 60);
$server->sql(q{UPDATE seats_internal.seat_line SET quantity = quantity + 1 WHERE team_id =
	(SELECT id FROM seats_internal.team WHERE name = 'many 77')});
$server->wait_for_sql(q{SELECT status || ' ' || (message LIKE '%many 77%') FROM seats.health WHERE check_name = 'seats'},
	'critical true', timeout => 120);

# Another worker counts it all again.
my $worker = $server->worker_pid;
kill 'TERM', $worker;
$server->wait_for_worker(another_than => $worker);
$server->wait_for_sql($shown, expected($many + 20), timeout => 120);

# ---- as Prometheus reads it

SKIP:
{
	skip 'promtool is not installed', 2 unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};
	my $text = $server->sql('SELECT seats.metrics_text()') . "\n";
	my ($said, $complaints) = ('', '');
	ok(IPC::Run::run(['promtool', 'check', 'metrics'], '<', \$text, '>', \$said, '2>', \$complaints),
		'promtool has nothing against it');
	is($said . $complaints, '', '… not in the least');
}

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
