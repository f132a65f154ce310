# Changes that are settled many at once, and whose entries in the journal have their numbers with them, while applications
# write entries of their own: who reads by number skips nothing, sees what was written before a settlement before it, and is
# told of all.
use strict;
use warnings;
use IPC::Run ();
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $teams = 30;
my $rounds = 8;
my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe);
$server->define_destination('stripe', requests_per_second => 1000);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
define_seat_type($server, 'team', largest_change => 1000);
$stripe->control('POST', '/subscriptions', { id => 'sub', customer => 'cus', count => $teams,
	items => [ { id => 'si', price => 'price_team', unit_amount => 1000, quantity => 5 } ] });
$server->sql(<<"SQL");
SELECT count(seats.register_team('team-' || g, 'sub_' || g)) FROM generate_series(1, $teams) AS g;
INSERT INTO seats_internal.member (team_id, user_id, role) SELECT t.id, 'ada', 'owner' FROM seats_internal.team AS t;
CREATE TABLE seen (number bigint PRIMARY KEY, place bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE over (yes boolean);
-- Reads on by number, as fast as it can, until it is told that all is over.
CREATE PROCEDURE follow() LANGUAGE plpgsql AS \$\$
DECLARE
    last boolean := false;
BEGIN
    LOOP
        INSERT INTO seen SELECT j.number FROM seats_internal.journal AS j
         WHERE j.number > (SELECT coalesce(max(s.number), 0) FROM seen AS s) ORDER BY j.number;
        COMMIT;
        EXIT WHEN last;
        last := EXISTS (SELECT FROM over);
    END LOOP;
END
\$\$;
-- Some of those who buy leave an entry of the journal about it, in the same transaction.
CREATE PROCEDURE buy(first integer, every integer) LANGUAGE plpgsql AS \$\$
DECLARE
    bought bigint;
BEGIN
    FOR g IN 1 .. $rounds * $teams / every LOOP
        SELECT a.change INTO bought FROM seats.add_seats('team-' || 1 + (g * every + first) % $teams, 'team', 1, 'ada') AS a;
        IF g % 4 = 0 THEN
            PERFORM seats_internal.write_journal('bought.test', 'shop', bought, NULL, NULL);
        END IF;
        COMMIT;
        IF g % 10 = 0 THEN
            PERFORM pg_sleep(random() * 0.05);
        END IF;
    END LOOP;
END
\$\$;
SQL
$server->wait_for_sql('SELECT count(*) FROM seats_internal.team WHERE items IS NULL', '0');
my $listener = $server->background_psql('postgres');
$listener->query_safe('LISTEN pg_seats_journal');

sub start
{
	my ($call) = @_;
	my $output = '';
	return IPC::Run::start([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $server->connstr('postgres'), '-c', $call ],
		'<', \undef, '>', \$output, '2>', \$output);
}

sub await_settled
{
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.outbox WHERE kind = 'change'}, '0', timeout => 120);
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.journal WHERE number IS NULL}, '0');
	return;
}

# One who writes, and commits when all others are done.
my $late = $server->background_psql('postgres');
$late->query_safe(q{BEGIN; SELECT seats_internal.write_journal('late.test', 'shop', NULL, NULL, NULL)});
my $follower = start('CALL follow()');
my @buyers = map { start("CALL buy($_, 3)") } 0 .. 2;
is(scalar(grep { !$_->finish } @buyers), 0, 'all have bought');
# And once more for everybody, with nothing else for the journal.
await_settled();
hold_worker($server, sub { $server->sql("SELECT count(seats.add_seats('team-' || g, 'team', 1, 'ada')) FROM generate_series(1, $teams) AS g") });
await_settled();
$late->query_safe('COMMIT');
$late->quit;
$server->wait_for_sql(q{SELECT count(number) FROM seats_internal.journal WHERE kind = 'late.test'}, '1');
$server->sql('INSERT INTO over VALUES (true)');
$follower->finish;

is($server->sql(q{SELECT count(*) - max(number), count(DISTINCT number) - max(number), max(number) - (SELECT last_journal_number FROM seats_internal.ring)
	FROM seats_internal.journal}), '0|0|0', 'there is no gap, nothing is there twice, and the last number is the last one');
is($server->sql('SELECT count(*) - max(number) FROM seen'), '0', 'who has read on by number all the while has skipped nothing');
is($server->sql(<<'SQL'), '', 'what a change was bought with comes before its confirmation');
SELECT b.call_id FROM seats_internal.journal AS b JOIN seats_internal.journal AS c ON c.call_id = b.call_id
 WHERE b.kind = 'bought.test' AND c.kind = 'change.confirmed' AND c.number < b.number
SQL
is($server->sql(<<'SQL'), '', 'the entries of a lane have their numbers in the order in which they were written');
SELECT j.lane_id FROM (SELECT e.lane_id, e.number, lag(e.number) OVER (PARTITION BY e.lane_id ORDER BY e.id) AS former
                         FROM seats_internal.journal AS e WHERE e.lane_id IS NOT NULL) AS j
 WHERE j.former > j.number
SQL
is($server->sql(q{SELECT l.number = max(j.number) FROM seats_internal.journal AS j, seats_internal.journal AS l
	WHERE l.kind = 'late.test' GROUP BY l.number}), 't', 'what was committed last comes last, however early it was written');
is($server->sql(q{SELECT count(*) FROM seats_internal.outbox_history WHERE kind = 'change' AND result = 'done'}), ($rounds + 1) * $teams,
	'every change was confirmed');
is($server->sql(q{SELECT count(*) FROM seats_internal.journal WHERE kind = 'change.confirmed'}), ($rounds + 1) * $teams,
	'and the journal tells of each, once');
# (Whose row is still the one that was inserted has its number from there.)
cmp_ok($server->sql(q{SELECT count(*) FROM seats_internal.journal AS j
	WHERE j.kind = 'change.confirmed' AND j.xmin::text::bigint = j.written_xid::text::bigint % 4294967296}), '>', 10,
	'many were numbered with their entry');
my $last = $server->sql('SELECT last_journal_number FROM seats_internal.ring');
my $told = '';
wait_until(sub { $told .= $listener->query('SELECT 1'); $told =~ /with payload "$last"/ }, 'the last number to be told');
pass('whoever listens is told of the last number');
# A worker may end between the numbers that it has given and its telling of them.
my $worker = $server->worker_pid;
kill 'TERM', $worker;
$server->wait_for_worker(another_than => $worker);
$told = '';
wait_until(sub { $told .= $listener->query('SELECT 1'); $told =~ /with payload "$last"/ }, 'the last number to be told by the next worker');
pass('the next worker tells of it, too');
$listener->quit;
assert_folded($server);
is($server->sql(q{SELECT count(*) FROM seats_internal.seat_line AS s WHERE s.confirmed <> 6 + } . $rounds), '0',
	'every team has what it has bought');

# One more for each of some teams, answered all at once while `during` runs.
sub answered_at_once
{
	my ($during) = @_;
	age_calls($server);
	$stripe->fault({ match => { method => 'POST', path => "/v1/subscriptions/sub_$_" }, fault => 'hang' }) foreach 1 .. 6;
	$server->sql("SELECT count(seats.add_seats('team-' || g, 'team', 1, 'ada')) FROM generate_series(1, 6) AS g");
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } == 6 }, 'six calls to hang');
	$during->();
	await_settled();
	return;
}

subtest 'what others write of a team meanwhile stays' => sub {
	# (He commits as soon as the worker waits for him.)
	answered_at_once(sub {
		my $session = $server->background_psql('postgres');
		$session->query_safe(q{BEGIN; UPDATE seats_internal.team SET swept_at = 'infinity', changes = changes + 1000 WHERE name IN ('team-2', 'team-5');
			UPDATE seats_internal.seat_line AS s SET last_price = 'price_of_his' FROM seats_internal.team AS t WHERE t.id = s.team_id AND t.name = 'team-4'});
		$stripe->release;
		$session->query_safe(q{DO $$ BEGIN FOR n IN 1 .. 5000 LOOP
			EXIT WHEN EXISTS (SELECT FROM pg_locks AS l WHERE NOT l.granted);
			PERFORM pg_sleep(0.001); END LOOP; END $$; COMMIT});
		$session->quit;
	});
	is($server->sql(q{SELECT count(*) FROM seats_internal.team WHERE swept_at = 'infinity'}), '2', 'of the team');
	is($server->sql(q{SELECT count(*) FROM seats_internal.seat_line WHERE last_price = 'price_of_his'}), '1', 'of its line');
};

subtest 'numbers of a settlement that is not committed are given again' => sub {
	answered_at_once(sub {
		debug_point_from_now_on($server, 'before_settle_commit');
		$stripe->release;
		$server->wait_at_debug_point('before_settle_commit');
		kill_at_debug_point($server);
		wait_until(sub { eval { $server->sql('SELECT 1'); 1 } }, 'the server to be back');
		$server->wait_for_worker;
	});
	is($server->sql(q{SELECT count(*) - max(number), count(DISTINCT number) - max(number), max(number) - (SELECT last_journal_number FROM seats_internal.ring)
		FROM seats_internal.journal}), '0|0|0', 'there is no gap');
	is($server->sql(q{SELECT count(*) - count(DISTINCT call_id) FROM seats_internal.journal WHERE kind = 'change.confirmed'}), '0',
		'and each change is told of once');
};
assert_folded($server);
assert_ledger($server, $stripe);
is($server->sql(q{SELECT count(*) FROM seats_internal.journal WHERE kind = 'seats.changed_outside'}), '0', 'nobody has changed anything outside');

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
