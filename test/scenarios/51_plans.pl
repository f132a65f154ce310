# What the worker's statements read. Each is found by itself: those that it prepares in its library, and
# all that it runs, also within functions, in the server's log. While tables fill and empty, with
# statistics of other times and under an old snapshot, none reads what it has no business with.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Handlers;
use PgSeats::Plans;
use PgSeats::Receiver;
use PgSeats::Seats;
use PgSeats::Webhooks;

$ENV{PGOPTIONS} = PgSeats::Plans::quiet_sessions();

# Of everything there is far more than that, and a scan has no business with more.
my $many = 5_000;
my $most_rows = 500;
my $most_pages = 500;

my $hook = PgSeats::Receiver->new;
my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END' . PgSeats::Plans::configuration());
autovacuum = off
track_functions = all
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.request_timeout = '2s'
pg_seats.safety_poll = '200ms'
pg_seats.event_check_after = '300ms'
END
$server->write_secret('hook', 'whsec_' . 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=');
$server->define_destination('stripe', requests_per_second => 500);
# (A receiver: of Stripes there is one.)
$server->sql("SELECT seats.define_receiver('quiet', '@{[ $hook->url('/y') ]}', 'standard_webhook', 'hook', 'fatal')");
$server->sql(q{SELECT seats.pause('quiet', 'its calls are there to be passed by')});
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
set_up_types($server);
define_endpoint($server, 'main');
$server->sql("SELECT seats.define_receiver('hook', '@{[ $hook->url('/x') ]}', 'standard_webhook', 'hook', 'critical')");

my $plans = PgSeats::Plans->new($server);
my %statements = worker_statements($server);

# Some are needed once in a year, when something has gone wrong: that is no time to find out that they do not fit.
my @unfit = grep { $server->psql('postgres', "PREPARE one AS $statements{$_}") != 0 } sort keys %statements;
is("@unfit", '', 'every statement of the worker can be prepared');
my $round = 0;

is($server->sql(<<'END'), '', 'SQL and the library know the same kinds of rows');
CREATE FUNCTION pg_temp.library_kinds(OUT kind text, OUT can_be_in_doubt boolean, OUT is_planned boolean)
RETURNS SETOF record LANGUAGE c AS '$libdir/pg_seats', 'pg_seats_library_kinds';
(SELECT * FROM seats_internal.kinds() EXCEPT SELECT * FROM pg_temp.library_kinds())
UNION ALL
(SELECT * FROM pg_temp.library_kinds() EXCEPT SELECT * FROM seats_internal.kinds());
END

# ---- many of everything

sub fill
{
	$server->sql(<<"END");
INSERT INTO seats_internal.lane (destination, name)
SELECT 'quiet', 'filled ' || n FROM generate_series(1, $many) AS n;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, due_at)
SELECT l.id, i.uuid, 'quiet', 'POST', '/v1/customers', 'name=x', 'filled',
       CASE WHEN n = 2 THEN now() + interval '1 year' END
  FROM seats_internal.lane AS l CROSS JOIN seats_internal.installation AS i CROSS JOIN generate_series(1, 3) AS n
 WHERE l.name LIKE 'filled %';
INSERT INTO seats_internal.outbox (installation, destination, method, path, body, enqueued_by)
SELECT i.uuid, 'quiet', 'POST', '/v1/customers', 'name=x', 'filled'
  FROM seats_internal.installation AS i CROSS JOIN generate_series(1, $many) AS n;
-- Handlers whose calls are open, that a person must decide, and some that wait for their next try: these the worker
-- has in its memory, and may read again.
INSERT INTO seats_internal.handler (call_id, installation, lane_id, role, role_oid, on_done)
SELECT o.id, o.installation, o.lane_id, current_user, current_user::regrole, 'public.noted'
  FROM seats_internal.outbox AS o WHERE o.enqueued_by = 'filled' AND o.due_at IS NULL;
INSERT INTO seats_internal.handler (call_id, installation, lane_id, role, role_oid, on_done, outcome, review_since, due_at)
SELECT 1000000 * ($round + 1) + n, i.uuid, -n % ($many / 2), current_user, current_user::regrole, 'public.noted',
       '{"result": "done"}', CASE WHEN n > 50 THEN now() END, now() + interval '1 year'
  FROM seats_internal.installation AS i CROSS JOIN generate_series(1, $many) AS n;
INSERT INTO seats_internal.compensated_call (call_id, uuid, ended_at)
SELECT 1000000 * ($round + 1) + n, gen_random_uuid(), now() FROM generate_series(1, $many) AS n;
INSERT INTO seats_internal.outbox_history (ring, id, settled_at, created_at, uuid, result, generation, attempts, clean,
       destination, method, path, body, enqueued_by, kind, team_id, lines)
SELECT 0, 1000000 * ($round + 1) + n, now(), now(), gen_random_uuid(), 'done', 1, 1, true, 'quiet', 'POST', '/v1/x', '', 'filled',
       'change', 1000000 + n, '[]' FROM generate_series(1, $many) AS n;
INSERT INTO seats_internal.attempt (ring, call_id, lane_id, generation, number, purpose, verdict, sent, replayed)
SELECT 0, 1000000 * ($round + 1) + n, n, 1, 1, 'send', 'again', true, false FROM generate_series(1, $many) AS n;
INSERT INTO seats_internal.journal (ring, kind, role, detail)
SELECT r.slot, 'test', 'x', '{}' FROM seats_internal.ring AS r CROSS JOIN generate_series(1, $many) AS n;
INSERT INTO seats_internal.alert (fingerprint, severity, kind, summary)
SELECT 'filled:' || $round || ':' || n, 'info', 'test', 'one of many' FROM generate_series(1, 20000) AS n;
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, processed_at, outcome, facts)
SELECT 'main', 'evt_filled' || $round || '_' || n, 'stripe', 'x', now(), 'ignored', '{}' FROM generate_series(1, $many) AS n;
WITH lane AS (INSERT INTO seats_internal.lane (destination, name)
     SELECT 'quiet', 'crowd ' || n FROM generate_series(1, $many) AS n RETURNING id)
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, status, swept_at, registered_by)
SELECT 'crowd ' || lane.id, 'quiet', 'sub_crowd' || lane.id, lane.id, 'canceled', 'infinity', 'x' FROM lane;
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity)
SELECT t.id, 'team', 1, 1 FROM seats_internal.team AS t WHERE t.subscription LIKE 'sub_crowd%';
INSERT INTO seats_internal.member (team_id, user_id, seat_type, role)
SELECT t.id, 'x', 'team', 'owner' FROM seats_internal.team AS t WHERE t.subscription LIKE 'sub_crowd%';
INSERT INTO seats_internal.invite (team_id, address, role, invited_by, token_hash, expires_at)
SELECT t.id, 'x', 'member', 'x', sha256(t.id::text::bytea), now() + interval '1 year'
  FROM seats_internal.team AS t WHERE t.subscription LIKE 'sub_crowd%';
INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result)
SELECT n, 'add_seats', 'x', '{}', '{}' FROM generate_series(1, $many) AS n;
INSERT INTO seats_internal.expected_event (idempotency_key, destination, team_id, call_id, base, target, sent_at, look_at)
SELECT 'filled ' || n, 'quiet', n, n, '{}', '{}', now(), now() + interval '1 year' FROM generate_series(1, $many) AS n;
END
	$server->sql(<<"END") unless $round > 1;
INSERT INTO seats_internal.seat_price (price, seat_type, position)
SELECT 'price_crowd' || n, 'later', 10 + n FROM generate_series(1, $many) AS n;
END
	await_quiet();
	return;
}

# What gathered goes again, as after an outage.
sub drain
{
	$server->sql(<<'END');
DELETE FROM seats_internal.outbox WHERE enqueued_by = 'filled';
DELETE FROM seats_internal.handler;
DELETE FROM seats_internal.compensated_call;
DELETE FROM seats_internal.lane WHERE name LIKE 'filled %';
UPDATE seats_internal.alert SET resolved_at = now() WHERE fingerprint LIKE 'filled:%' AND resolved_at IS NULL;
DELETE FROM seats_internal.request_key WHERE request_key = 'x';
DELETE FROM seats_internal.expected_event WHERE destination = 'quiet';
DELETE FROM seats_internal.invite WHERE address = 'x';
DELETE FROM seats_internal.member WHERE user_id = 'x';
DELETE FROM seats_internal.seat_line AS s USING seats_internal.team AS t WHERE t.id = s.team_id AND t.destination = 'quiet';
DELETE FROM seats_internal.team WHERE destination = 'quiet';
DELETE FROM seats_internal.lane WHERE name LIKE 'crowd %';
DELETE FROM seats_internal.webhook_event WHERE type = 'x';
END
	await_quiet();
	return;
}

# Until the worker has taken in what was done to the tables.
sub await_quiet
{
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.journal WHERE number IS NULL', '0');
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.alert WHERE number IS NULL OR NOT announced', '0');
	$server->wait_for_sql('SELECT reading_backlog FROM seats_internal.worker_state()', 'f');
	await_another_loop($server);
	return;
}

sub another_worker
{
	my $worker = $server->worker_pid;
	kill 'TERM', $worker;
	$server->wait_for_worker(another_than => $worker);
	await_quiet();
	# From the last row that it has seen it reads on, now and then.
	await_state($server, $server->enqueue('/v1/customers', { name => 'the first' }), 'done');
	return;
}

# ---- something of everything that the worker does

# (A team's first read looks through the listed prices for those that are not known yet, once.)
sub new_teams
{
	++$round;
	new_team($server, $stripe, "team$round", seats => { team => 5, later => 1 });
	new_team($server, $stripe, "over$round", seats => { team => 5 });
	return;
}

sub work
{
	my $team = "team$round";
	my $path = '/v1/subscriptions/' . subscription_of($team);
	await_change($server, add_seats($server, $team, 2), 'confirmed');
	await_change($server, remove_seats($server, $team, 1), 'confirmed');

	# Refused, and in parts.
	$stripe->set_card(customer_of($team), 'declined');
	my @refused = hold_worker($server, sub { map { add_seats($server, $team, $_) } 1 .. 4 });
	await_change($server, $_, 'reverted') foreach @refused;

	# Waits for a payment, and is taken back.
	my $awaiting = add_seats($server, $team, 5, type => 'later');
	await_change($server, $awaiting, 'awaiting_payment');
	cancel_change($server, $awaiting);
	await_change($server, $awaiting, 'cancelled');
	$stripe->set_card(customer_of($team), 'ok');

	# Executed, and not answered.
	fault_for($stripe, $team, fault => 'execute_and_drop');
	await_change($server, add_seats($server, $team, 1), 'confirmed');

	# Over.
	my $over = "over$round";
	hold_worker($server, sub {
		add_seats($server, $over, 1) foreach 1 .. 3;
		$stripe->cancel_subscription(subscription_of($over)) });
	$server->wait_for_sql("SELECT status FROM seats.teams WHERE team = '$over'", 'canceled');

	# Calls: in lanes and out of them, again, in doubt, refused, in nobody's subscription.
	$stripe->fault({ match => { path => '/v1/customers', body => '*again*' }, fault => 'rate_limit_429' });
	$stripe->fault({ match => { path => '/v1/customers', body => '*drop*' }, fault => 'execute_and_drop' });
	my @calls = map { $server->enqueue('/v1/customers', { name => $_ }, lane => "lane $round") } qw(again a b c);
	push @calls, map { $server->enqueue('/v1/customers', { name => $_ }) } qw(again drop d e);
	push @calls, $server->enqueue($path, { metadata => { x => 'y' } });
	await_state($server, $_, 'done') foreach @calls;

	# Handlers, in a lane and without one; and what is no longer as it was.
	my @named = (on_done => 'public.noted', on_refused => 'public.noted');
	my @handled = map { $server->enqueue('/v1/customers', { name => $_ }, lane => "lane $round", @named) } 1 .. 5;
	push @handled, map { $server->enqueue('/v1/customers', { name => $_ }, @named) } 1 .. 5;
	push @handled, $server->sql("SELECT change FROM seats.add_seats('$team', 'team', 1, on_done => 'public.noted')");
	my $changed = $server->sql(join '; ', 'BEGIN',
		PgSeats::Server::enqueue_statement('/v1/customers', { name => 'changed' }, @named, lane => "lane $round"),
		q{UPDATE seats_internal.handler SET on_done_owner_oid = 1 WHERE on_done = 'public.noted' AND outcome IS NULL
		   AND call_id = (SELECT max(id) FROM seats_internal.outbox)}, 'COMMIT');
	await_handled($server, @handled);
	await_handler($server, $changed, 'review_since IS NOT NULL');
	$server->sql("SELECT seats.resolve_review($changed, 'skip', 'the scenario wants it')");

	# An event that nobody can process at once, and lists of events.
	my $holder = $server->background_psql('postgres');
	$holder->query_safe("BEGIN; UPDATE seats_internal.lane SET version = version WHERE name LIKE '%" . subscription_of($team) . "'");
	receive($server, 'main', event_body('customer.subscription.updated',
		{ id => subscription_of($team), object => 'subscription', status => 'active' }));
	await_another_loop($server);
	$holder->query_safe('COMMIT');
	$holder->quit;
	$server->sql(q{SELECT seats.list_events('stripe', 'the scenario wants it')});
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.event_cursor WHERE requested_at IS NOT NULL}, '0');

	# An invite that expires, and news for the receiver.
	$server->sql("SELECT seats.invite('$team', 'bo\@example.com', 'team', actor => '@{[ owner_of($team) ]}')");
	$server->sql("UPDATE seats_internal.invite SET expires_at = now() WHERE status = 'open' AND address LIKE 'bo%'");
	$server->sql("SELECT seats_internal.raise_alert('work', 'critical', 'test', 'it is bad')");
	$server->sql("SELECT seats_internal.resolve_alert('work', 'it is good')");
	reconcile($server, $team);
	await_settled();
	return;
}

sub await_settled
{
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.outbox WHERE destination = 'stripe'}, '0', timeout => 60);
	await_quiet();
	return;
}

# ---- what is looked at

sub assert_reads_little
{
	my ($name, $pid) = @_;
	my @scans = $plans->scans($pid);
	my %worst;
	foreach my $scan (@scans)
	{
		# (Rows are counted in slices that take little time, however many rows they have.)
		next if $scan->{query} =~ /c\.place >= \$1/;
		# (What is new about alerts is looked for at most once a second. A session may look up each of
		# what it asks for.)
		my $pages = $scan->{relation} =~ /^alert/ ? 3 * $most_pages : $most_pages;
		next unless $scan->{rows} > (defined $pid ? 2 * $most_rows : $most_rows)
		  || !defined $pid && $scan->{pages} > $pages;
		my $what = "$scan->{how} in: $scan->{query}";
		$worst{$what} = $scan if !$worst{$what} || $scan->{pages} > $worst{$what}{pages};
	}
	my $count = @scans;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($count, '>', defined $pid ? 1 : 300, "$name: $count scans were seen");
	return is(join("\n", map {"$worst{$_}{rows} rows, $worst{$_}{pages} pages: $_"} sort keys %worst), '',
		"$name: none read much");
}

# What nearly every change goes through is among what was looked at: had all been left to the rules of the unusual
# ones, nobody would see here what it reads.
sub assert_takes_plain_ways
{
	my ($name) = @_;
	my %way = (
		'plain_plans' => qr/WITH head AS MATERIALIZED/,
		'the freeze of what it has planned' => qr/AS plan \(id, body, base,/,
		'the carried ones of it' => qr/AS f \(lane_id, id, last_id\)/,
		'settle_plain_changes' => qr/WITH plain AS MATERIALIZED/,
		'news of lanes' => qr/WITH news AS MATERIALIZED/);
	my @queries = map { $_->{query} } $plans->scans;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join(', ', grep { my $way = $_; !grep { $_ =~ $way{$way} } @queries } sort keys %way), '',
		"$name: the plain ways were taken");
}

sub look
{
	my ($name) = @_;
	new_teams();
	$plans->begin;
	work();
	assert_takes_plain_ways($name);
	assert_reads_little($name);
	# (One may have been idle meanwhile, while another did all.)
	my @processes = grep { $plans->scans($_) > 1 } handler_processes($server);
	cmp_ok(scalar @processes, '>', 0, "$name: handlers were run");
	assert_reads_little("$name: a process of handlers", $_) foreach @processes;
	assert_bounded($name);
	return;
}

# Every statement that the worker prepares, planned as he does: nothing of which there is much is read
# without a bound in an index. (What is done once, when a worker starts, may read all.)
sub assert_bounded
{
	my ($name) = @_;
	my $large = join '|', split /\n/, $server->sql("SELECT relname FROM pg_class
		WHERE relnamespace = 'seats_internal'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 20 * 8192");
	my $script = worker_settings();
	foreach my $statement (sort grep { !/^recovery/ } keys %statements)
	{
		my $sql = $statements{$statement};
		next if $sql =~ /^SELECT EXISTS/;  # the first one will do
		my $parameters = (sort { $a <=> $b } 0, $sql =~ /\$(\d+)/g)[-1];
		my $nulls = $parameters ? '(' . join(', ', ('NULL') x $parameters) . ')' : '';
		$script .= "SELECT '== $statement'; PREPARE s AS $sql; EXPLAIN EXECUTE s$nulls; DEALLOCATE s;\n";
	}
	my ($statement, @unbounded, $open) = ('');
	foreach my $line (split(/\n/, $server->sql($script)), '== end')
	{
		if ($open && $line !~ /(?:Index|TID) Cond:/) { push @unbounded, "$statement: $open" }
		undef $open;
		if ($line =~ /^== (.*)/) { $statement = $1 }
		elsif ($line =~ /Scan.* on ($large)\b/) { ($open = $line) =~ s/^[\s>-]*// }
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join("\n", @unbounded), '', "$name: every statement that it prepares is bounded");
}

# The same of somebody else, who plans as everybody does.
sub look_at_session
{
	my ($name, $sql) = @_;
	$plans->begin;
	my ($pid) = split /\n/, $server->sql("SELECT pg_backend_pid(); SET auto_explain.log_min_duration = 0; $sql");
	assert_reads_little($name, $pid);
	return $pid;
}

$server->sql("CREATE FUNCTION noted(bigint, jsonb, jsonb) RETURNS void LANGUAGE sql AS 'SELECT'");
new_teams();
work();
fill();
look('planned while everything was empty');
another_worker();
look('full, without statistics');
$server->sql('ANALYZE');
another_worker();
look_at_session('changes of a team', q{SELECT FROM seats.changes WHERE team = 'team1'});
# With nothing of somebody's own on their tables these rows are written without statements (82_plain_changes).
$server->sql("CREATE TRIGGER idle BEFORE UPDATE ON seats_internal.$_ FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()")
  foreach 'lane', 'seat_line';
my $buyer = look_at_session('changes of an application', join ' ', map { <<"END" } 1 .. 2);
SELECT FROM seats.add_seats('team1', 'team', 1, '@{[ owner_of('team1') ]}', 'plain $_');
SELECT FROM seats.remove_seats('team1', 'team', 1, '@{[ owner_of('team1') ]}');
END
cmp_ok(scalar(grep { $_->{query} =~ /UPDATE seats_internal.seat_line AS l SET quantity = / } $plans->scans($buyer)), '>=', 4,
	'they take the plain way: what they read there was seen');
$server->sql("DROP TRIGGER idle ON seats_internal.$_") foreach 'lane', 'seat_line';
look_at_session('webhooks', join ' ', map { my $body = event_body(@$_);
	receive_sql('main', $body, signature_of($body, endpoint_secret('main'))) . ';' }
	['customer.subscription.updated', { id => subscription_of('team1'), object => 'subscription', status => 'active' }],
	['customer.subscription.updated', { id => 'sub_nobodys', object => 'subscription', status => 'active' }],
	['invoice.paid', { id => 'in_nobodys', object => 'invoice', subscription => subscription_of('team1') }],
	['radar.nothing', { id => 'x', object => 'radar' }]);
look_at_session('invites of a team', <<'END');
BEGIN;
INSERT INTO seats_internal.member (team_id, user_id, seat_type, role)
SELECT t.id, n, 'team', 'member' FROM seats_internal.team AS t CROSS JOIN generate_series(1, 300) AS n
 WHERE t.name = 'team1';
INSERT INTO seats_internal.invite (team_id, address, seat_type, role, invited_by, token_hash, expires_at)
SELECT t.id, n, 'team', 'member', 'x', sha256(('many' || n)::bytea), now() FROM seats_internal.team AS t
 CROSS JOIN generate_series(1, 300) AS n WHERE t.name = 'team1';
SELECT count(*) FILTER (WHERE billing_pending) FROM seats.invites WHERE team = 'team1';
ROLLBACK;
END
look_at_session('the end of a team with many changes', <<'END');
BEGIN;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, lines)
SELECT t.lane_id, i.uuid, 'stripe', 'POST', '/v1/x', '', 'x', 'change', t.id, '[]'
  FROM seats_internal.team AS t CROSS JOIN seats_internal.installation AS i CROSS JOIN generate_series(1, 400)
 WHERE t.name = 'team1';
SELECT seats_internal.end_team(t.id, t.lane_id) FROM seats_internal.team AS t WHERE t.name = 'team1';
ROLLBACK;
END
look('full, with statistics');

my $reader = $server->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM seats_internal.ring');
drain();
look('drained under an old snapshot');
another_worker();
look('drained under an old snapshot, planned then');
$reader->query_safe('COMMIT');
$reader->quit;

$server->sql('VACUUM ANALYZE');
$server->wait_for_sql(q{VACUUM seats_internal.outbox;
	SELECT pg_relation_size('seats_internal.outbox') < 100 * 8192}, 't');
pass('the outbox gives back what is empty, or all of it would be read whenever its rows are counted');
another_worker();
fill();
look('full, with statistics of nothing');

$server->assert_log_clean;
$server->stop;
$hook->stop;
$stripe->stop;
done_testing();
