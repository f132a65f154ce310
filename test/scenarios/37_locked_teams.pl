# Teams that applications hold: a long transaction delays its own team only, and what Stripe has
# answered meanwhile is kept; a team that somebody is always changing gets its turn; and ten thousand
# changes in one lane are no more than one call.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Crowds;
use PgSeats::Faults;
use PgSeats::Seats;
use PostgreSQL::Test::Utils;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '50ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.base_lifetime = '10min'
END
$server->define_destination('stripe', requests_per_second => 500);
define_seat_type($server, 'team', largest_change => 100_000, largest_total => 1_000_000);
new_teams($server, $stripe, [qw(held other)]);
new_teams($server, $stripe, ['busy'], seats => { team => 50_000 });
new_teams($server, $stripe, ['crowded'], seats => { team => 5 });

sub others_flow
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(await_change($server, remove_seats($server, 'other', 1), 'confirmed'), 'confirmed', $name)
	  && is(await_change($server, add_seats($server, 'other', 1), 'confirmed'), 'confirmed', '… up and down');
}

subtest 'a team that is held while its answer comes' => sub {
	fault_for($stripe, 'held', fault => 'hang');
	my $first = add_seats($server, 'held', 1);
	$stripe->await_held(path => '/v1/subscriptions/' . subscription_of('held'));
	my $session = $server->background_psql('postgres');
	$session->query_safe('BEGIN');
	my $second = $session->query_safe(statement_of('add', 'held', 2));
	$stripe->release(path => '/v1/subscriptions/' . subscription_of('held'));
	wait_until(sub { executed_for($stripe, 'held') == 1 }, 'the first change to be executed');
	others_flow('others are settled meanwhile');
	is(state_of($server, $first), 'sending', 'the answer waits for the team');
	is(seats_of($server, 'held'), '5|6|0', 'and nothing is settled of it');
	is(open_alerts($server), '', 'nobody is alarmed');
	$session->query_safe('COMMIT');
	$session->quit;
	assert_judged($server, $stripe, 'held', 8, 2, 'then both changes are settled');
	is(scalar @{ seat_posts($stripe, 'held') }, 2, 'and the answer that was kept was not asked for again');
};

subtest 'a team that is held when its changes are to be frozen' => sub {
	my $session = $server->background_psql('postgres');
	$session->query_safe('BEGIN');
	$session->query_safe(statement_of('add', 'held', 1));
	# Committed by nobody yet; the lane has work that the worker knows of all the same.
	my $read = $server->sql(q{SELECT seats.reconcile('held', 'a read is to be settled')});
	wait_until(
		sub { @{ seat_reads($stripe, 'held', state => 'answered') } > 0 && state_of($server, $read) eq 'sending' },
		'the read to be answered');
	others_flow('others go on');
	is(state_of($server, $read), 'sending', 'what was read waits for the team');
	$session->query_safe('ROLLBACK');
	$session->quit;
	await_state($server, $read, 'done');
	assert_judged($server, $stripe, 'held', 8, 2, 'what was rolled back reaches nobody');
};

subtest 'a team that somebody is always changing' => sub {
	# Three sessions that hold the team nearly all the time, each for a moment.
	$server->sql(<<'SQL');
CREATE TABLE public.stop ();
CREATE PROCEDURE public.always(owner text) LANGUAGE plpgsql AS $$
DECLARE
    made bigint := 0;
BEGIN
    LOOP
        PERFORM seats.remove_seats('busy', 'team', 1, owner);
        made := made + 1;
        PERFORM pg_sleep(0.01);
        COMMIT;
        EXIT WHEN EXISTS (SELECT FROM public.stop) OR made >= 3000;
    END LOOP;
END $$;
SQL
	my $owner = owner_of('busy');
	my @sessions = map {
		my ($out, $err) = ('', '');
		{
			run => IPC::Run::start(
				[ 'psql', '-XAtq', '-d', $server->connstr('postgres'), '-c', "CALL public.always('$owner')" ],
				'<', \'', '>', \$out, '2>', \$err)
		}
	} 1 .. 3;
	my $settled = q{SELECT count(*) >= %d FROM (SELECT DISTINCT call FROM seats.changes
	    WHERE team = 'busy' AND state = 'confirmed') AS c};
	# Frozen and settled again and again, while they go on.
	$server->wait_for_sql(sprintf($settled, 3), 't');
	is($server->sql(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL public.always%'
	    AND state = 'active'}), '3', 'its changes are frozen and settled while three sessions hold it in turn');
	others_flow('others are not held up by it');
	$server->sql('INSERT INTO public.stop DEFAULT VALUES');
	$_->{run}->finish foreach @sessions;
	is(join(' ', map { $_->{run}->result(0) // 0 } @sessions), '0 0 0', 'none of them met an error');
	my $made = $server->sql(q{SELECT count(*) FROM seats.changes WHERE team = 'busy'});
	assert_in_step($server, $stripe, 'busy', { team => 50_000 - $made });
};

subtest 'ten thousand changes in one lane' => sub {
	my $owner = owner_of('crowded');
	my @some = hold_worker(
		$server,
		sub {
			$server->sql(<<"SQL");
DO \$\$ BEGIN
    FOR i IN 1..10000 LOOP PERFORM seats.add_seats('crowded', 'team', 1, '$owner'); END LOOP;
END \$\$
SQL
			return add_seats($server, 'crowded', 7);
		});
	is($server->sql(q{SELECT quantity FROM seats.teams WHERE team = 'crowded'}), '10012', 'the application has them all');
	wait_until(sub { open_changes($server, 'crowded') eq '0' }, 'all to be settled', timeout => 60);
	assert_judged($server, $stripe, 'crowded', 10_012, 2, 'they are settled in two calls');
	others_flow('and others go on');
};

assert_folded($server);
assert_ledger($server, $stripe);
assert_nothing_twice($stripe);
is(open_alerts($server), '', 'nobody is alarmed');
$server->assert_log_clean;
$server->stop;
done_testing();
