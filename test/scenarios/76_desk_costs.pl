# What an operator's desk asks costs what it shows, whatever else is there: pages of memory that were touched are counted,
# with a handful of rows, with many others beside them before the server has statistics of the outbox (whose rows come and go
# faster than it looks at them), and then with statistics.
# Without the index that finds a list, the same bound is broken.
use strict;
use warnings;
use JSON::PP;
use PgSeats::Scenario;

my $many = 200_000;
my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
autovacuum = off
jit = off
shared_buffers = '256MB'
max_wal_size = '4GB'
END
$server->define_destination('stripe');
$server->sql(q{SELECT seats.pause('stripe', 'nothing is to move')});

# What stands, of each kind a few; behind one of them more than are counted.
$server->sql(<<'END');
INSERT INTO seats_internal.lane (id, destination, name) SELECT n, 'stripe', 'desk ' || n FROM generate_series(1, 12) AS n;
SELECT setval('seats_internal.lane_id_seq', 100);
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, state, reason, due_at)
SELECT n, i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', 'desk',
       (ARRAY['waiting', 'verifying', 'awaiting', 'review'])[1 + n % 4]::seats_internal.outbox_state, 'timeout',
       CASE WHEN n % 4 <> 3 THEN now() + interval '1 year' END
  FROM seats_internal.installation AS i CROSS JOIN generate_series(1, 8) AS n;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, reason, due_at)
SELECT n, i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', 'desk',
       CASE WHEN n = 9 THEN 'stripes_limit_for_a_subscription' END, CASE WHEN n = 9 THEN now() + interval '1 year' END
  FROM seats_internal.installation AS i CROSS JOIN generate_series(9, 12) AS n;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by)
SELECT 3, i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', 'desk'
  FROM seats_internal.installation AS i CROSS JOIN generate_series(1, 2000) AS n;
INSERT INTO seats_internal.receiver (name, format, path, lane_id, journal_number, resolved_number, defined_by)
VALUES ('stripe', 'standard_webhook', '/', 3, 0, 0, 'desk');
UPDATE seats_internal.lane SET paused_at = now(), paused_by = 'desk', paused_reason = 'test' WHERE id IN (10, 11);
INSERT INTO seats_internal.handler (call_id, installation, lane_id, role, role_oid, on_done, outcome, review_since, review_reason)
SELECT 900000000 + n, i.uuid, n, current_user, current_user::regrole, 'public.noted', '{"result": "done"}', now(), 'failed'
  FROM seats_internal.installation AS i CROSS JOIN generate_series(1, 3) AS n;
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, retry_at, error, facts)
SELECT 'main', 'evt_' || n, 'stripe', 'x', now() + interval '1 year', 'error ' || n, '{}' FROM generate_series(1, 2) AS n;
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, status, swept_at, registered_by)
SELECT 'desk ' || n, 'stripe', 'sub_desk' || n, n, 'active', 'infinity', 'desk' FROM generate_series(1, 2) AS n;
INSERT INTO seats_internal.journal (ring, number, kind, role) SELECT n % 8, 1000 + n, 'test', 'x' FROM generate_series(1, 20) AS n;
END

# Everything else there may be.
sub fill
{
	$server->sql(<<"END");
INSERT INTO seats_internal.lane (destination, name) SELECT 'stripe', 'other ' || n FROM generate_series(1, $many / 4) AS n;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by)
SELECT l.id, i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', 'other'
  FROM seats_internal.installation AS i CROSS JOIN generate_series(1, 3) AS n
 CROSS JOIN (SELECT id FROM seats_internal.lane WHERE name LIKE 'other %') AS l;
INSERT INTO seats_internal.outbox (installation, destination, method, path, body, enqueued_by)
SELECT i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', 'other'
  FROM seats_internal.installation AS i CROSS JOIN generate_series(1, $many / 4) AS n;
INSERT INTO seats_internal.handler (call_id, installation, role, role_oid, on_done)
SELECT o.id, o.installation, current_user, current_user::regrole, 'public.noted'
  FROM seats_internal.outbox AS o WHERE o.enqueued_by = 'other' AND o.lane_id IS NULL;
INSERT INTO seats_internal.outbox_history (ring, id, settled_at, created_at, uuid, result, generation, attempts, clean,
       destination, method, path, body, enqueued_by)
SELECT n % 8, 1000000000 + n, now(), now(), gen_random_uuid(), 'done', 1, 1, true, 'stripe', 'POST', '/v1/x', '', 'other'
  FROM generate_series(1, $many) AS n;
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, status, swept_at, registered_by)
SELECT 'crowd ' || l.id, 'stripe', 'sub_crowd' || l.id, l.id, 'active', 'infinity', 'other'
  FROM seats_internal.lane AS l WHERE l.name LIKE 'other %';
INSERT INTO seats_internal.journal (ring, number, kind, role, detail)
SELECT n % 8, 2000 + n, 'test', 'x', '{}' FROM generate_series(1, $many) AS n;
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, processed_at, outcome, facts)
SELECT 'main', 'evt_other' || n, 'stripe', 'x', now(), 'ignored', '{}' FROM generate_series(1, $many) AS n;
END
	return;
}

# Pages touched by a statement, and how many rows it gave; $before: what is to be undone behind it.
sub cost
{
	my ($statement, $before) = @_;
	my $explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) $statement";
	# (The first time the session reads the catalog.)
	my (undef, $told) = split /^=$/m, $server->sql("BEGIN; @{[ $before // '' ]}; $explain; SELECT '='; $explain; ROLLBACK");
	my $plan = decode_json($told)->[0]{Plan};
	return ($plan->{'Shared Hit Blocks'} + $plan->{'Shared Read Blocks'}, $plan->{'Actual Rows'});
}

# What is asked, how many rows come (or with nothing else, and beside many), how many pages are enough, and the index that it
# cannot do without.
my @questions = (
	[ 'reviews', 'SELECT * FROM seats.reviews', 5, 600, 'outbox_standing' ],
	[ 'blocked lanes', 'SELECT * FROM seats.blocked_lanes', 11, 600, 'outbox_standing' ],
	[ 'receivers', 'SELECT * FROM seats.receivers', 1, 400, 'outbox_by_lane' ],
	[ 'open calls by state', q{SELECT * FROM seats.list_calls('{"state": "waiting"}')}, 2, 300, 'outbox_standing' ],
	[ 'open calls of a lane', q{SELECT * FROM seats.list_calls('{"destination": "stripe", "lane": "desk 3"}', most => 10)}, 11, 300, 'outbox_by_lane' ],
	[ 'open calls', q{SELECT * FROM seats.list_calls()}, 101, 900 ],
	[ 'open calls that nobody looks through', q{SELECT * FROM seats.list_calls('{"reason": "none"}', after_call => 2100)}, [ 0, 1 ], 2500 ],
	[ 'settled calls', 'SELECT * FROM seats.list_history(most => 10)', [ 0, 11 ], 900 ],
	[ 'entries', 'SELECT * FROM seats.search_journal(most => 10)', [ 11, 11 ], 600, 'journal_by_number' ],
	[ 'events that wait', 'SELECT * FROM seats.list_webhook_problems()', 2, 100, 'webhook_event_unprocessed' ],
	[ 'teams', q{SELECT * FROM seats.list_teams('desk')}, 2, 100, 'team_by_prefix' ],
	[ 'counts', 'SELECT * FROM seats.counts()', 14, 1200, 'outbox_standing' ],
	[ 'what can be retried', 'SELECT * FROM seats.count_retryable()', 1, 200, 'outbox_by_due_at' ],
	[ 'a call', 'SELECT seats.call_page(3)', 1, 700 ],
	[ 'a review', 'SELECT seats.review_page(3)', 1, 700 ],
	[ 'seats of a team', q{SELECT * FROM seats.teams WHERE team = 'desk 1'}, 1, 100 ],
	[ 'changes of a team', q{SELECT * FROM seats.changes WHERE team = 'desk 1' ORDER BY change DESC, seat_type LIMIT 21}, 0, 300 ],
	[ 'members of a team', q{SELECT * FROM seats.members WHERE team = 'desk 1' AND status = 'active' ORDER BY user_id LIMIT 101}, 0, 100 ],
	[ 'invites of a team', q{SELECT * FROM seats.invites WHERE team = 'desk 1' AND status = 'open' ORDER BY invite LIMIT 101}, 0, 100 ],
	[ 'destinations, with the oldest call of each', q{SELECT * FROM seats.destinations AS d
		LEFT JOIN LATERAL (SELECT * FROM seats.list_calls(jsonb_build_object('destination', d.name), most => 1)) AS o ON o.call IS NOT NULL}, 1, 900 ],
	[ 'handlers in review', 'SELECT * FROM seats.handlers WHERE review_since IS NOT NULL ORDER BY call LIMIT 101', 3, 300 ],
	[ 'newest events of an endpoint', q{SELECT * FROM seats.webhook_events WHERE endpoint = 'main' ORDER BY received_at DESC LIMIT 20}, [ 2, 20 ], 300 ],
	[ 'paused lanes', q{SELECT * FROM seats.blocked_lanes WHERE reason = 'paused'}, 2, 600, 'lane_paused' ],
);

sub all_are_cheap
{
	my ($when, $others) = @_;
	foreach my $question (@questions)
	{
		my ($what, $statement, $rows, $most) = @$question;
		my ($pages, $given) = cost($statement);
		my $expected = ref $rows ? $rows->[$others] : $rows;
		is($given, $expected, "$when, $what: $expected rows");
		cmp_ok($pages, '<=', $most, "… $pages pages");
	}
	return;
}

all_are_cheap('with nothing else', 0);
fill();
$server->sql("ANALYZE seats_internal.$_") foreach qw(lane handler team outbox_history journal webhook_event);
all_are_cheap('beside many, without statistics', 1);
$server->sql('VACUUM ANALYZE');
all_are_cheap('beside many, with statistics', 1);

foreach my $question (grep { $_->[4] } @questions)
{
	my ($what, $statement, undef, $most, $index) = @$question;
	my ($pages) = cost($statement, "DROP INDEX seats_internal.$index");
	cmp_ok($pages, '>', $most, "$what without $index: $pages pages");
}

is($server->sql(q{SELECT string_agg(count || ' ' || is_more, ', ') FROM seats.counts() WHERE what = 'reviews'}), '2 false', 'reviews are counted');
$server->wait_for_sql(q{SELECT count = (SELECT count(*) FROM seats_internal.outbox WHERE state = 'pending')
	FROM seats.counts() WHERE what = 'calls_pending'}, 't', timeout => 60);
pass('and the worker has counted the others');

is($server->sql('SELECT max(waiting_behind) FROM seats.blocked_lanes'), '1000', 'what waits behind a call is counted to a thousand');

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
