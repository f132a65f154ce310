# A change of seats in the plain case (src/functions/plain_change.cpp) beside other sessions: what happened while it
# waited for the team's lane counts, also if that makes it another case; an older snapshot fails; and in one session
# the plans that it keeps outlive whatever is made anew. That it does what the SQL does: sql/plain_changes.sql.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Plans;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => PgSeats::Plans::configuration());
$ENV{PGOPTIONS} = PgSeats::Plans::quiet_sessions();
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
define_seat_type($server, 'team');
define_seat_type($server, 'none');
my $acme = new_team($server, $stripe, 'acme', seats => { team => 5 });
$server->sql("CREATE ROLE app LOGIN; SELECT seats.grant_application('app')");
$server->sql(q{SELECT seats.pause('stripe', 'nothing is to move here')});

sub session { return $server->background_psql('postgres', on_error_stop => 0) }

# How often the team's lane was moved by what was done: once where the plain way went to its end, and twice where SQL
# had to do it.
sub steps
{
	my ($work, $team) = @_;
	my $version = sub { $server->sql(q{SELECT l.version FROM seats_internal.lane AS l JOIN seats_internal.team AS t ON t.lane_id = l.id
		WHERE t.name = '} . ($team // $acme) . q{'}) };
	my $before = $version->();
	$work->();
	return $version->() - $before;
}

sub quantity { return (split /\|/, $server->sql("SELECT quantity, confirmed FROM seats_internal.seat_line WHERE seat_type = 'team'
	AND team_id = (SELECT id FROM seats_internal.team WHERE name = '" . ($_[0] // $acme) . "')"))[0] }

my $add = q{SELECT previous_quantity || ' to ' || new_quantity FROM seats.add_seats('acme', 'team', 1, 'owner of acme')};

# One session has the lane and does something; the other one wants a change, and waits until that is committed (or
# undone). What the second one says.
sub after_waiting
{
	my ($first, $second, %options) = @_;
	my ($holder, $waiter) = (session(), session());
	$holder->query_safe('BEGIN');
	$holder->query_safe($first);
	$waiter->query_safe('SET ROLE app; ' . ($options{begin} // ''));
	$waiter->query_until(qr/asked/, "\\echo asked\n$second;\n");
	$server->wait_for_sql(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'client backend'}, '1');
	$holder->query_safe($options{end} // 'COMMIT');
	my $said = $waiter->query('SELECT');
	my $error = $waiter->{stderr};
	$waiter->{stderr} = '';
	$waiter->query($options{begin} ? 'ROLLBACK' : 'SELECT');
	$_->quit foreach $holder, $waiter;
	$said =~ s/^asked\n//;
	$said =~ s/\s+$//;
	return $error ne '' ? $error : $said;
}

subtest 'an application that has no privilege on any table' => sub {
	is(steps(sub {
		is($server->sql("SET ROLE app; $add"), '5 to 6', 'adds');
		is($server->sql(q{SET ROLE app; SELECT new_quantity FROM seats.remove_seats('acme', 'team', 2, 'owner of acme')}), '4', 'removes');
		is($server->sql(q{SET ROLE app; SELECT new_quantity FROM seats.set_seats('acme', 'team', 5, 'owner of acme')}), '5', 'sets');
		is($server->sql(q{SET ROLE app; SELECT seats FROM seats.change_seats('acme', '{"team": {"remove": 1}}', 'owner of acme')}),
			'{"team": {"new_quantity": 4, "previous_quantity": 5}}', 'changes one type');
		is($server->sql(q{SET ROLE app; SELECT seats FROM seats.change_seats('acme', '{"team": {"set": 5}}', 'owner of acme')}),
			'{"team": {"new_quantity": 5, "previous_quantity": 4}}', '… either way');
	}), 5, '… in the plain way');
	is($server->sql(q{SELECT DISTINCT enqueued_by || ' ' || actor FROM seats_internal.outbox WHERE kind = 'change'}), 'app owner of acme',
		'it is known who that was');
	like(($server->try_sql('SET ROLE app; SELECT FROM seats_internal.outbox'))[2], qr/permission denied/, 'it reads no table');
	like(($server->try_sql("CREATE ROLE stranger; SET ROLE stranger; $add"))[2], qr/permission denied/, 'another role may not ask');
	is($server->sql(qq{BEGIN; SET LOCAL pg_seats.person = 'bea'; $add; COMMIT;
		SELECT acting_person FROM seats_internal.outbox ORDER BY id DESC LIMIT 1}), "5 to 6\nbea", 'who shares a role with others is named');
	is($server->sql(qq{$add; SELECT acting_person IS NULL FROM seats_internal.outbox ORDER BY id DESC LIMIT 1}), "6 to 7\nt",
		'… and only where he says so');
};

subtest 'two buyers of one team: none is forgotten' => sub {
	my $before = quantity();
	is(steps(sub { is(after_waiting($add, $add), ($before + 1) . ' to ' . ($before + 2), 'the second sees the first') }), 2,
		'both in the plain way');
	is(after_waiting($add, $add, end => 'ROLLBACK'), ($before + 2) . ' to ' . ($before + 3), '… unless that was undone');
	is($server->sql(q{SELECT string_agg(id::text, ',' ORDER BY id) = string_agg(id::text, ',' ORDER BY eligible_xid::text::bigint, id)
		FROM seats_internal.outbox WHERE kind = 'change'}), 't', 'ids are in the order of commits');
};

subtest 'what is done to the team while it is waited for' => sub {
	my $before = quantity();
	like(after_waiting(q{SELECT seats.remove_member('acme', 'owner of acme', last_owner => true)}, $add),
		qr/PS509|may not change the seats/, 'who asks is removed');
	$server->sql(q{SELECT seats.add_member('acme', 'owner of acme', role => 'owner')});
	like(after_waiting(q{UPDATE seats_internal.lane SET version = version + 1 WHERE id = (SELECT lane_id FROM seats_internal.team
			WHERE name = 'acme'); UPDATE seats_internal.team SET status = 'canceled' WHERE name = 'acme'}, $add),
		qr/is canceled/, 'its subscription is cancelled');
	$server->sql(q{UPDATE seats_internal.team SET status = 'active' WHERE name = 'acme'});
	is(after_waiting(q{UPDATE seats_internal.lane SET version = version + 1 WHERE id = (SELECT lane_id FROM seats_internal.team
			WHERE name = 'acme'); SELECT seats.define_seat_type('team', '{price_team}', largest_change => 1)}, $add),
		$before . ' to ' . ($before + 1), 'a rule is made stricter, and still fits');
	like(after_waiting(q{UPDATE seats_internal.lane SET version = version + 1 WHERE id = (SELECT lane_id FROM seats_internal.team
			WHERE name = 'acme')}, q{SELECT seats.add_seats('acme', 'team', 2, 'owner of acme')}), qr/is too large/, '… and no longer fits');
	$server->sql(q{SELECT seats.define_seat_type('team', '{price_team}')});
	is(quantity(), $before + 1, 'what was refused left nothing');

	# (Another subscription: another lane. The team is known under the same id.)
	my $moved = $server->sql(q{INSERT INTO seats_internal.lane (destination, name) VALUES ('stripe', '/v1/subscriptions/moved') RETURNING id});
	my $lane = $server->sql(q{SELECT lane_id FROM seats_internal.team WHERE name = 'acme'});
	is(after_waiting(qq{UPDATE seats_internal.lane SET version = version + 1 WHERE id = $lane;
			UPDATE seats_internal.team SET lane_id = $moved, subscription = 'moved' WHERE name = 'acme'}, $add),
		($before + 1) . ' to ' . ($before + 2), 'it is registered with another subscription');
	is($server->sql(qq{SELECT lane_id = $moved AND path = '/v1/subscriptions/moved' FROM seats_internal.outbox ORDER BY id DESC LIMIT 1}), 't',
		'… which is the one that is changed');
	is($server->sql("SELECT version > 1 FROM seats_internal.lane WHERE id = $moved"), 't', '… with its lane locked');
	$server->sql(qq{UPDATE seats_internal.team SET lane_id = $lane, subscription = 'sub_acme' WHERE name = 'acme';
		DELETE FROM seats_internal.outbox WHERE lane_id = $moved; UPDATE seats_internal.seat_line SET quantity = quantity - 1 WHERE seat_type = 'team'});
};

subtest 'a session that reads no index as catalogs are read' => sub {
	my $before = quantity();
	$server->sql(q{SELECT seats.add_member('acme', 'former', role => 'owner'); SELECT seats.remove_member('acme', 'former')});
	local $ENV{PGOPTIONS} = "$ENV{PGOPTIONS} -c ignore_system_indexes=on";
	like(($server->try_sql('SET ROLE app; ' . $add =~ s/owner of acme/former/r))[2], qr/PS509|may not change the seats/, 'who was an owner is none');
	is($server->sql("SET ROLE app; $add"), $before . ' to ' . ($before + 1), '… and who is one can buy');
	$server->sql(q{SELECT seats.remove_seats('acme', 'team', 1, 'owner of acme')});
};

subtest 'a type of which nobody has seats is dropped' => sub {
	$server->sql(q{INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity) SELECT id, 'none', 0, 0 FROM seats_internal.team WHERE name = 'acme'});
	my $rows = $server->sql('SELECT count(*) FROM seats_internal.outbox');
	like(after_waiting(q{SELECT seats.drop_seat_type('none', 'nobody has any')}, q{SELECT seats.set_seats('acme', 'none', 0, 'owner of acme')}),
		qr/there is no seat type/, 'while somebody sets it to what he sees');
	is($server->sql('SELECT count(*) FROM seats_internal.outbox'), $rows, 'no change without a line');
};

subtest 'an older snapshot' => sub {
	my $before = quantity();
	foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
	{
		like(after_waiting($add, $add, begin => "BEGIN ISOLATION LEVEL $level; SELECT pg_catalog.count(*) FROM pg_catalog.pg_class"),
			qr/could not serialize access/, "$level: does not buy on what is no longer so");
		$before++;
		is(quantity(), $before, '… and leaves nothing');
		is($server->sql("BEGIN ISOLATION LEVEL $level; $add; $add; COMMIT"), join("\n", map { "$before to " . ++$before } 1, 2),
			'… and sees its own');
	}
	like(($server->try_sql("BEGIN READ ONLY; $add"))[2], qr/cannot execute UPDATE in a read-only transaction/, 'and whoever only reads cannot buy');
};

subtest 'savepoints, and errors that are caught' => sub {
	my $before = quantity();
	is($server->sql(<<"END"), $before . ' to ' . ($before + 1) . "\n" . $before . ' to ' . ($before + 1), 'what is rolled back has never been');
BEGIN;
SAVEPOINT one;
$add;
ROLLBACK TO one;
$add;
COMMIT;
END
	$before++;
	$server->sql(<<'SQL');
CREATE TABLE caught (what text);
GRANT ALL ON caught TO app;
DO $$
DECLARE
    codes text;
BEGIN
    FOR number IN 1 .. 3 LOOP
        PERFORM FROM seats.add_seats('acme', 'team', 1, 'owner of acme');
        BEGIN
            PERFORM FROM seats.add_seats('acme', 'team', 1, 'owner of acme');
            PERFORM FROM seats.add_seats('acme', 'team', 1000, 'owner of acme');
        EXCEPTION WHEN SQLSTATE 'PS506' THEN
            INSERT INTO caught VALUES (current_user);
        END;
    END LOOP;
END
$$;
SET ROLE app;
DO $$
BEGIN
    PERFORM FROM seats.add_seats('acme', 'team', 1, 'nobody');
EXCEPTION WHEN SQLSTATE 'PS509' THEN
    INSERT INTO caught VALUES (current_user);
END
$$;
SQL
	is(quantity(), $before + 3, 'what was made before an error in the same block is undone, and nothing else');
	is($server->sql(q{SELECT count(*) FILTER (WHERE what <> 'app') || ' ' || count(*) FILTER (WHERE what = 'app') FROM caught}), '3 1',
		'… and the caller is who he was');
};

subtest 'a repeated click' => sub {
	my $click = q{SELECT change, new_quantity, repeated FROM seats.add_seats('acme', 'team', 1, 'owner of acme', 'click')};
	my $before = quantity();
	my $first;
	is(steps(sub { $first = $server->sql($click) }), 1, 'the first is made in the plain way');
	(my $again = $first) =~ s/\|f$/|t/;
	is($server->sql($click), $again, 'the second is the first');
	is(quantity(), $before + 1, '… and changes nothing');
	my $other = $click =~ s/'click'/'click 2'/r;
	like(after_waiting($other, $other), qr/\|t$/, 'two at once are one');
	is(quantity(), $before + 2, '… change');
};

subtest 'plans that are kept' => sub {
	my $session = session();
	my $next = quantity();
	my $next_is = sub { return "$next to " . ++$next };
	is($session->query($add), $next_is->(), 'at first');
	foreach my $what (
		'SET search_path = pg_temp', 'RESET search_path',
		'ALTER TABLE seats_internal.outbox SET (fillfactor = 60)', 'ALTER TABLE seats_internal.outbox RESET (fillfactor)',
		'ALTER TABLE seats_internal.team ADD COLUMN more text', 'ALTER TABLE seats_internal.team DROP COLUMN more',
		'ALTER TABLE seats_internal.seat_line ADD COLUMN more text', 'REINDEX TABLE seats_internal.member', 'ANALYZE seats_internal.lane',
		'VACUUM FULL seats_internal.team', 'SET enable_indexscan = off', 'SET jit_above_cost = 0', 'DISCARD ALL')
	{
		$session->query_safe($what);
		is($session->query($add), $next_is->(), $what);
	}
	is($session->{stderr}, '', 'none of it raises');
	# Functions of the application's may each have a search_path of their own. (With somebody's trigger there are statements.)
	$session->query_safe('CREATE TRIGGER idle BEFORE UPDATE ON seats_internal.lane FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()');
	is($session->query($add), $next_is->(), 'planned once');
	is($session->query("SET search_path = pg_temp; $add"), $next_is->(), '… and once more, when there is a second one');
	$session->query('SET client_min_messages = log; SET log_planner_stats = on');
	foreach my $path ('public', 'pg_catalog', 'public', 'pg_temp')
	{
		$session->{stderr} = '';
		is($session->query("SET search_path = $path; $add"), $next_is->(), "search_path $path");
		cmp_ok(scalar(() = $session->{stderr} =~ /PLANNER STATISTICS/g), '<=', 1, '… plans the question, and nothing else');
	}
	$session->query('RESET log_planner_stats; RESET client_min_messages; RESET search_path');
	$session->{stderr} = '';
	$session->query_safe('DROP TRIGGER idle ON seats_internal.lane');
	# Everything is another one: tables, types, functions.
	$server->sql('DROP ROLE stranger; REVOKE ALL ON caught FROM app; DROP TABLE caught');
	my $dump = $server->sql(q{SELECT row_to_json(t) FROM seats_internal.team AS t WHERE name = 'acme'});
	my ($lane) = $dump =~ /"lane_id":(\d+)/;
	$session->query_safe('SET client_min_messages = error; DROP EXTENSION pg_seats CASCADE; CREATE EXTENSION pg_seats');
	$session->query_safe(<<"END");
SELECT seats.create_installation();
INSERT INTO seats_internal.destination (name, base_url, secret, requests_per_second, created_by, paused_at) VALUES ('stripe', 'http://127.0.0.1:1', 'x', 1, 'x', now());
SELECT setval('seats_internal.lane_id_seq', 100), setval('seats_internal.team_id_seq', 100);
INSERT INTO seats_internal.lane (id, destination, name) VALUES ($lane, 'stripe', '/v1/subscriptions/sub_acme');
INSERT INTO seats_internal.team SELECT (jsonb_populate_record(NULL::seats_internal.team, '$dump')).*;
INSERT INTO seats_internal.seat_type SELECT 'team', 50, NULL, NULL, 'always_invoice', 'error_if_incomplete', 'create_prorations', true, now(), 'x';
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity) SELECT id, 'team', 5, 5 FROM seats_internal.team;
INSERT INTO seats_internal.member (team_id, user_id, role) SELECT id, 'owner of acme', 'owner' FROM seats_internal.team;
END
	is(steps(sub { is($session->query($add), '5 to 6', 'the extension was dropped, and made anew') }), 1, '… in the plain way');
	is($session->{stderr}, '', '… without a word');
	$session->quit;
};

subtest 'nothing is read but what is needed, whatever there was when it was planned' => sub {
	$server->sql('DELETE FROM seats_internal.outbox');
	my $session = session();
	$session->query_safe('SET auto_explain.log_min_duration = 0');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	# Somebody's own triggers: only then there are statements.
	$server->sql("CREATE TRIGGER idle BEFORE UPDATE ON seats_internal.$_ FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()")
	  foreach 'lane', 'seat_line';
	is($session->query($add), '6 to 7', 'planned while there is nearly nothing');
	$server->sql(<<'END');
WITH lane AS (INSERT INTO seats_internal.lane (destination, name) SELECT 'stripe', 'crowd ' || n FROM generate_series(1, 3000) AS n RETURNING id, name)
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, status, swept_at, registered_by)
SELECT name, 'stripe', 'sub_' || name, id, 'active', 'infinity', 'x' FROM lane;
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity) SELECT id, 'team', 1, 1 FROM seats_internal.team WHERE name LIKE 'crowd%';
INSERT INTO seats_internal.member (team_id, user_id, role) SELECT id, 'x', 'owner' FROM seats_internal.team WHERE name LIKE 'crowd%';
INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result) SELECT id, 'add_seats', 'x', '{}', '{}' FROM seats_internal.team;
END
	my $plans = PgSeats::Plans->new($server);
	$plans->begin;
	is($session->query($add), '7 to 8', 'and there is much now');
	is($session->query(q{SELECT new_quantity FROM seats.remove_seats('acme', 'team', 1, 'owner of acme', 'key')}), '7', '… for a removal too');
	my $call = q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', lane => 'crowd 7') IS NULL};
	is($session->query($call), 'f', '… and for a call of a lane');
	my @scans = $plans->scans($pid);
	cmp_ok(scalar @scans, '>', 4, 'its plans were seen');
	is(join('; ', map {"$_->{how}: $_->{rows} rows"} grep { $_->{rows} > 10 } @scans), '', 'none of them reads more than a few rows');
	$server->sql("DROP TRIGGER idle ON seats_internal.$_") foreach 'lane', 'seat_line';
	$plans->begin;
	is($session->query($add), '7 to 8', 'without them …');
	is($session->query($call), 'f', '… and for a call of a lane that is there …');
	is(join('; ', map { $_->{query} } grep { $_->{relation} =~ /^(?:lane|seat_line|outbox)$/ } $plans->scans($pid)), '',
		'… rows are written without any statement');
	unlike(PostgreSQL::Test::Utils::slurp_file($server->logfile, $plans->{from}), qr/\[$pid\].*\n\tQuery Text: INSERT INTO seats_internal/, '… of either kind');
	$session->quit;
};

$server->stop;
$stripe->stop;
done_testing();
