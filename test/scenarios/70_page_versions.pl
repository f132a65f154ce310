# The version of a team's page: whenever the page shows something else it has risen, whoever has changed that, and of two
# looks the later one never shows less. What the worker does is told here, step by step, and then under fire, while
# a session looks all the time.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Crowds;
use PgSeats::Faults;
use PgSeats::Seats;
use PgSeats::Waiting;

my $stripe = new_simulator();
# (No base is read again, as that raises the version, too.)
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.base_lifetime = '10min'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => \0 });
set_up_types($server);

# What a page shows, but for the time, and what is in no table: what is next is said to be doing what it does when Stripe
# answers. Everything of a look is of one snapshot.
$server->sql(<<'SQL');
CREATE FUNCTION shown(name text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT p.page - '{version,as_of,stripe,open_changes}'::text[] || jsonb_build_object(
               'open_changes', (SELECT jsonb_agg(c - 'phase' ORDER BY c -> 'change')
                                  FROM jsonb_array_elements(p.page -> 'open_changes') AS c),
               'phases', (SELECT jsonb_agg(jsonb_build_array(c.change, (
                                     SELECT seats_internal.change_phase(
                                                o.state::text, c.call = head.id, o.reason, o.attempts > 0, 'up')
                                       FROM seats_internal.outbox AS o WHERE o.id = c.call)) ORDER BY c.change)
                            FROM seats.changes AS c
                           CROSS JOIN LATERAL (
                               SELECT min(h.id) AS id FROM seats_internal.outbox AS h
                                WHERE h.lane_id = (SELECT t.lane_id FROM seats_internal.team AS t
                                                    WHERE t.kind = 'team' AND t.name = shown.name)) AS head
                           WHERE c.team = shown.name AND c.settled_at IS NULL))
      FROM (SELECT seats.team_page(name) AS page) AS p
$$;
CREATE TABLE seen (number bigint GENERATED ALWAYS AS IDENTITY, team text, version bigint, page jsonb);
CREATE INDEX ON seen (team, number);
CREATE TABLE enough ();
-- (Only what is new is kept.)
CREATE PROCEDURE watch() LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT EXISTS (SELECT FROM enough) LOOP
        INSERT INTO seen (team, version, page)
        SELECT t.name, v.version, s.page
          FROM seats_internal.team AS t
         CROSS JOIN LATERAL seats.team_versions(ARRAY[t.name]) AS v
         CROSS JOIN LATERAL (SELECT shown(t.name) AS page) AS s
         WHERE jsonb_build_array(v.version, s.page) IS DISTINCT FROM (
               SELECT jsonb_build_array(l.version, l.page) FROM seen AS l
                WHERE l.team = t.name ORDER BY l.number DESC LIMIT 1);
        COMMIT;
        PERFORM pg_sleep(0.005);
    END LOOP;
END
$$;
SQL

sub look
{
	my ($team) = @_;
	my ($version, $page) = split /\|/,
	  $server->sql("SELECT v.version, shown(v.team) FROM seats.team_versions(ARRAY['$team']) AS v"), 2;
	return { version => $version, page => $page };
}

# risen('acme', $before, 'what has happened'): the page shows something else than $before, and says so. Gives what it
# shows now, for the next step.
sub risen
{
	my ($team, $before, $what) = @_;
	my $now = look($team);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	isnt($now->{page}, $before->{page}, "$what: the page shows it");
	cmp_ok($now->{version}, '>', $before->{version}, '… and its version has risen');
	return $now;
}

sub await_outbox
{
	my ($change, $state) = @_;
	$server->wait_for_sql("SELECT state FROM seats_internal.outbox WHERE id = $change", $state);
	return;
}

sub path_of { return '/v1/subscriptions/' . subscription_of($_[0]) }

# While the destination is paused, what waits stays as it is; that raises nothing.
sub pause
{
	$server->sql(q{SELECT seats.pause('stripe', 'to look at it')});
	await_another_loop($server);
	return;
}

sub resume { $server->sql(q{SELECT seats.resume('stripe', 'to go on')}); return }

# A change that hangs at Stripe.
sub hanging_change
{
	my ($team, @options) = @_;
	# (On a kept connection curl would send it again by itself.)
	fresh_connections($stripe);
	fault_for($stripe, $team, fault => 'hang');
	my $change = add_seats($server, $team, 1, @options);
	$stripe->await_held(method => 'POST', path => path_of($team));
	return $change;
}

sub warm_team
{
	my ($team, %options) = @_;
	new_team($server, $stripe, $team, %options);
	reconcile($server, $team);
	return;
}

subtest 'queued, sent, confirmed' => sub {
	warm_team('acme');
	pause();
	my $change = add_seats($server, 'acme', 1);
	my $page = look('acme');
	fault_for($stripe, 'acme', fault => 'hang');
	resume();
	$stripe->await_held(method => 'POST', path => path_of('acme'));
	$page = risen('acme', $page, 'it is sent');
	$stripe->release(method => 'POST');
	await_change($server, $change, 'confirmed');
	risen('acme', $page, 'it is confirmed');
};

subtest 'its answer is lost, and it is sent again' => sub {
	warm_team('lost');
	my $change = hanging_change('lost');
	my $page = look('lost');
	pause();
	$stripe->release(action => 'drop');
	await_outbox($change, 'waiting');
	$page = risen('lost', $page, 'it is to be sent again');
	fault_for($stripe, 'lost', fault => 'hang');
	resume();
	$stripe->await_held(method => 'POST', path => path_of('lost'));
	$page = risen('lost', $page, 'it is sent again');
	$stripe->release(method => 'POST');
	await_change($server, $change, 'confirmed');
	risen('lost', $page, 'it is confirmed');
};

subtest 'refused' => sub {
	warm_team('poor', card => 'declined');
	my $change = hanging_change('poor');
	my $page = look('poor');
	$stripe->release(method => 'POST');
	await_change($server, $change, 'reverted');
	risen('poor', $page, 'it is reverted');
};

subtest 'it waits for its payment, and is paid' => sub {
	warm_team('late', card => 'declined', seats => { later => 5 });
	my $change = hanging_change('late', type => 'later');
	my $page = look('late');
	$stripe->release(method => 'POST');
	await_change($server, $change, 'awaiting_payment');
	risen('late', $page, 'it waits');
	pay_for($server, $stripe, 'late');
	$stripe->fault({ match => { method => 'GET', path => path_of('late') }, fault => 'hang_after' });
	look_now($server, $change);
	$stripe->await_held(method => 'GET', path => path_of('late'));
	$page = look('late');
	$stripe->release(method => 'GET');
	await_change($server, $change, 'confirmed');
	risen('late', $page, 'it is paid');
};

subtest 'what is read anew' => sub {
	warm_team('read');
	my $page = look('read');
	$stripe->control('POST', '/subscriptions/' . subscription_of('read'), { cancel_at_period_end => \1 });
	reconcile($server, 'read');
	risen('read', $page, 'it is cancelled at the end of its period');
};

subtest 'a worker ends' => sub {
	warm_team('crash');
	my $change = hanging_change('crash');
	my $page = look('crash');
	pause();
	$server->kill_worker;
	await_outbox($change, 'waiting');
	risen('crash', $page, 'nobody knows what became of it');
	$stripe->release(method => 'POST', action => 'drop');
	resume();
	await_change($server, $change, 'confirmed');
};

# A call of the application's own that concerns the subscription is in the team's lane.
subtest 'behind another call of its lane' => sub {
	warm_team('behind');
	fresh_connections($stripe);
	fault_for($stripe, 'behind', fault => 'hang');
	my $call = $server->sql(q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/subscriptions/sub_behind', '{"metadata": {"x": "y"}}')});
	$stripe->await_held(method => 'POST', path => path_of('behind'));
	my $change = add_seats($server, 'behind', 1);
	my $page = look('behind');
	pause();
	$stripe->release(action => 'drop');
	await_outbox($call, 'waiting');
	$page = risen('behind', $page, 'what is before it is tried again later');
	fault_for($stripe, 'behind', fault => 'hang');
	resume();
	$stripe->await_held(method => 'POST', path => path_of('behind'));
	$page = risen('behind', $page, 'it is tried again');
	$stripe->release(method => 'POST');
	await_change($server, $change, 'confirmed');
	risen('behind', $page, 'it is confirmed');
};

# A superuser's trigger stands for a full disk, corrupt pages and the like.
subtest 'an answer that cannot be stored' => sub {
	warm_team('stuck');
	$server->sql(<<'END');
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'trouble'; END $$;
CREATE TRIGGER trouble BEFORE INSERT ON seats_internal.outbox_history FOR EACH ROW
    WHEN (new.path = '/v1/subscriptions/sub_stuck' AND new.kind = 'change') EXECUTE FUNCTION trouble();
END
	my $change = hanging_change('stuck');
	my $page = look('stuck');
	pause();
	$stripe->release(method => 'POST');
	await_outbox($change, 'waiting');
	risen('stuck', $page, 'it is tried again');
	$server->sql('DROP FUNCTION trouble CASCADE');
	resume();
	await_change($server, $change, 'confirmed');
};

subtest 'looked at all the time' => sub {
	my @teams = map {"crowd$_"} 1 .. 4;
	new_teams($server, $stripe, \@teams, seats => { team => 5, later => 5 });
	$stripe->set_card(customer_of($teams[0]), 'declined');
	$stripe->set_card(customer_of($teams[1]), 'insufficient_over:5000');
	$stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/sub_crowd*' }, fault => $_->[0],
		times => -1, probability => 0.15, seed => $_->[1] })
	  foreach [ 'execute_and_drop', 1 ], [ 'rate_limit_429', 2 ], [ 'close_before', 3 ];
	my $watcher = $server->background_psql('postgres');
	$watcher->query_until(qr/looks/, "\\echo looks\nCALL watch();\n");
	foreach my $round (1 .. 12)
	{
		change_together($server, map { my $team = $_; map { [ 'add', $team, $_ ] } 1, 2, 1 } @teams);
		add_seats($server, $teams[0], 1, type => 'later') if $round == 2;
		remove_seats($server, $_, 1) foreach @teams[ 2, 3 ];
		$server->sql("SELECT seats.invite('$teams[2]', 'guest $round', 'team', buy => true, actor => '@{[ owner_of($teams[2]) ]}')");
	}
	$stripe->clear_faults;
	# (What waits for its payment, or until Stripe's limits let it go, and what is behind that, is not waited for.)
	$server->wait_for_sql("SELECT count(*) FROM seats_internal.outbox WHERE state IN ('sending', 'waiting', 'verifying')", '0');
	$server->sql('INSERT INTO enough DEFAULT VALUES');
	$watcher->quit;
	cmp_ok($server->sql('SELECT count(*) FROM seen'), '>', 60, 'much was seen');
	is($server->sql('SELECT team, version FROM seen GROUP BY team, version HAVING count(DISTINCT page) > 1'),
		'', 'no two pages have the same version');
	is($server->sql('SELECT count(*) FROM (SELECT version < lag(version) OVER (PARTITION BY team ORDER BY number) AS less FROM seen) AS s WHERE less'),
		'0', 'none goes back');
};

assert_folded($server);
$server->assert_log_clean;
done_testing();
