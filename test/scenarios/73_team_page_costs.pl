# What a team's page reads: the same few pages of tables, whatever lies in the outbox and the history of others, whatever the
# team itself has behind it, and whenever the session has planned it.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Plans;
use PgSeats::Seats;

$ENV{PGOPTIONS} = PgSeats::Plans::quiet_sessions();

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => "autovacuum = off\n" . PgSeats::Plans::configuration());
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
set_up_types($server);
new_team($server, $stripe, 'acme');
$server->sql("SELECT seats.add_member('acme', 'member ' || n, CASE WHEN n < 4 THEN 'team' END) FROM generate_series(1, 20) AS n;
	SELECT seats.invite('acme', 'guest ' || n, NULL) FROM generate_series(1, 5) AS n");
foreach (1 .. 6)
{
	await_change($server, add_seats($server, 'acme', 1), 'confirmed');
	await_change($server, remove_seats($server, 'acme', 1), 'confirmed');
}
$server->sql(q{SELECT seats.pause('stripe', 'what is open stays so')});
add_seats($server, 'acme', 1) foreach 1 .. 3;

my $plans = PgSeats::Plans->new($server);

sub session
{
	my $session = $server->background_psql('postgres');
	$session->query_safe('SET auto_explain.log_min_duration = 0');
	return $session;
}

# Pages of tables and indexes that one page reads, and in how many scans.
sub pages_read
{
	my ($session) = @_;
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$plans->begin;
	my $page = $session->query_safe(q{SELECT jsonb_array_length(p -> 'members'), jsonb_array_length(p -> 'open_changes'),
		jsonb_array_length(p -> 'last_changes') FROM seats.team_page('acme', 'owner of acme') AS p});
	is($page, '21|3|10', 'all of it is there');
	my ($pages, $scans) = (0, 0);
	my $found = wait_until(sub {
		my @scans = grep { $_->{relation} !~ /^p$/ } $plans->scans($pid);
		($pages, $scans) = (0, scalar @scans);
		$pages += $_->{pages} foreach @scans;
		# (The log is written before the answer comes.)
		return $scans > 20;
	}, 'the plans of the page');
	note("$pages pages in $scans scans");
	return $pages;
}

my $early = session();
my $alone = pages_read($early);
# (The second time, when all that is remembered is there.)
$alone = pages_read($early);
cmp_ok($alone, '<', 200, "alone, $alone pages");

$server->sql(<<'END');
WITH lane AS (
    INSERT INTO seats_internal.lane (destination, name) SELECT 'stripe', 'crowd ' || n FROM generate_series(1, 20000) AS n
    RETURNING id)
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, status, swept_at, registered_by)
SELECT 'crowd ' || lane.id, 'stripe', 'sub_crowd' || lane.id, lane.id, 'active', 'infinity', 'crowd' FROM lane;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, lines, due_at)
SELECT t.lane_id, i.uuid, 'stripe', 'POST', '/v1/x', '', 'crowd', 'change', t.id, '[]', now() + interval '1 year'
  FROM seats_internal.team AS t CROSS JOIN seats_internal.installation AS i CROSS JOIN generate_series(1, 10)
 WHERE t.registered_by = 'crowd';
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity)
SELECT t.id, 'team', 1, 1 FROM seats_internal.team AS t WHERE t.registered_by = 'crowd';
INSERT INTO seats_internal.member (team_id, user_id, seat_type, role)
SELECT t.id, 'owner of acme', 'team', 'owner' FROM seats_internal.team AS t WHERE t.registered_by = 'crowd';
INSERT INTO seats_internal.invite (team_id, address, role, invited_by, token_hash, expires_at)
SELECT t.id, 'x', 'member', 'x', sha256(t.id::text::bytea), now() + interval '1 year'
  FROM seats_internal.team AS t WHERE t.registered_by = 'crowd';
INSERT INTO seats_internal.outbox_history (ring, id, settled_at, created_at, uuid, result, generation, attempts, clean,
       destination, method, path, body, enqueued_by, kind, team_id, lines)
SELECT n % 8, 1000000 + n, now(), now(), gen_random_uuid(), 'done', 1, 1, true, 'stripe', 'POST', '/v1/x', '', 'x', 'change', 1000 + n % 9000, '[]'
  FROM generate_series(1, 50000) AS n;
END
is($server->sql(q{SELECT count(*) FROM seats_internal.outbox WHERE enqueued_by = 'crowd'}), '200000', 'others have a lot under way');

# An index of theirs may be one page deeper, for each scan.
sub assert_little
{
	my ($name, $session, $most) = @_;
	my $pages = pages_read($session);
	$pages = pages_read($session);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok($pages, '<=', $most, "$name: $pages pages");
}

my $most = $alone + 60;
assert_little('planned while there was nothing', $early, $most);
my $later = session();
assert_little('planned without statistics', $later, $most);
$server->sql('ANALYZE');
assert_little('that was planned anew', $early, $most);
my $last = session();
assert_little('planned with statistics', $last, $most);

# What the team itself has behind it.
$server->sql(<<'END');
INSERT INTO seats_internal.outbox_history (ring, id, settled_at, created_at, uuid, result, generation, attempts, clean,
       destination, method, path, body, enqueued_by, kind, team_id, lines)
SELECT n % 8, 2000000 + n, now() - interval '1 hour', now(), gen_random_uuid(), 'done', 1, 1, true, 'stripe', 'POST', '/v1/x', '', 'x', 'change', t.id, '[]'
  FROM seats_internal.team AS t CROSS JOIN generate_series(1, 50000) AS n WHERE t.name = 'acme';
INSERT INTO seats_internal.outbox_history (ring, id, settled_at, created_at, uuid, result, generation, attempts, clean,
       destination, method, path, body, enqueued_by, kind, team_id)
SELECT n % 8, 3000000 + n, now(), now(), gen_random_uuid(), 'done', 1, 1, true, 'stripe', 'POST', '/v1/invoices/create_preview', '',
       'x', 'call', t.id
  FROM seats_internal.team AS t CROSS JOIN generate_series(1, 5000) AS n WHERE t.name = 'acme';
INSERT INTO seats_internal.member (team_id, user_id, role, status, ended_at)
SELECT t.id, 'former ' || n, 'member', 'removed', now() FROM seats_internal.team AS t CROSS JOIN generate_series(1, 20000) AS n
 WHERE t.name = 'acme';
INSERT INTO seats_internal.invite (team_id, address, role, invited_by, token_hash, expires_at, status, ended_at)
SELECT t.id, 'x', 'member', 'x', sha256(('former ' || n)::bytea), now(), 'expired', now()
  FROM seats_internal.team AS t CROSS JOIN generate_series(1, 20000) AS n WHERE t.name = 'acme';
END
assert_little('a long history', $_, $most) foreach $early, session();
$server->sql('ANALYZE');
assert_little('a long history, with statistics', session(), $most);

# And everything that goes again leaves no more to read than its index has for it.
$server->sql(q{DELETE FROM seats_internal.outbox WHERE enqueued_by = 'crowd'});
assert_little('drained', $later, $most);

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
