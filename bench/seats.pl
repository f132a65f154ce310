# Changes of seats: what one costs the application (destination paused, one statement each), how fast
# many teams' changes go out, and how many requests a burst for one team makes.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Drain;

my $teams = sized(20_000, 2_000);
my $rounds = sized(5, 2);
my $seconds = sized(4, 2);
my $on_wire = 256;

my $simulator = light_simulator();
my $url = $simulator->url;
my $server = bench_server('seats', $simulator);
my $session = $server->{bench_session};
create_reference_tables($server);
register_teams();
compare_cost();
compare_drain() if seconds_left() > 100;
count_burst();

sub register_teams
{
	$simulator->control('POST', '/subscriptions',
		{ id => 'sub', customer => 'cus', count => $teams, items => [ { id => 'si', price => 'price_team', unit_amount => 1000, quantity => 5 } ] });
	$simulator->control('POST', '/limits', { subscriptions => JSON::PP::false() });
	$session->sql(q{SELECT seats.define_seat_type('team', '{price_team}', largest_change => 1000000)});
	$session->sql("SELECT count(seats.register_team('team-' || g, 'sub_' || g)) FROM generate_series(1, $teams) AS g");
	wait_until(sub { $session->sql('SELECT count(*) FROM seats_internal.team WHERE items IS NULL') == 0 },
		'all subscriptions to be read', timeout => 120, pause => 0.2);
	$session->sql(q{INSERT INTO seats_internal.member (team_id, user_id, role)
		SELECT t.id, 'ada', 'owner' FROM seats_internal.team AS t});
	$session->sql('VACUUM ANALYZE');
	return;
}

sub compare_cost
{
	$server->sql(<<"END");
CREATE TABLE bench.account (id integer PRIMARY KEY, plan integer NOT NULL) WITH (fillfactor = 50);
INSERT INTO bench.account SELECT g, 0 FROM generate_series(1, $teams) AS g;
CREATE TABLE bench.twin (LIKE seats_internal.outbox INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED INCLUDING INDEXES);
VACUUM ANALYZE bench.account;
END
	my $directory = PostgreSQL::Test::Utils::tempdir('scripts');
	my %statement = (
		'UPDATE + INSERT' => 'WITH changed AS (UPDATE bench.account SET plan = plan + 1 WHERE id = :team)'
		  . ' INSERT INTO bench.twin (destination, method, path, body, enqueued_by)'
		  . q{ VALUES ('stripe', 'POST', '/v1/customers', 'name=Ada', current_user);},
		'add_seats' => q{SELECT * FROM seats.add_seats('team-' || :team::integer, 'team', 1, 'ada');});
	foreach my $what (keys %statement)
	{
		open my $script, '>', "$directory/$what.sql" or die "$what: $!\n";
		print $script "\\set team random(1, $teams)\n$statement{$what}\n";
		close $script or die "$what: $!\n";
	}
	hold_back($server);
	my %rate;
	my $done = 0;
	while ($done < $rounds && ($done < 1 || seconds_left() > 60))
	{
		foreach my $clients (1, 4, 16)
		{
			foreach my $what (sort keys %statement)
			{
				push @{ $rate{$clients}{$what} }, pgbench_rate($server, $clients, $seconds, "$directory/$what.sql");
				$session->sql('TRUNCATE bench.twin');
				forget_changes();
				$session->sql('CHECKPOINT');
			}
		}
		$done++;
	}
	title("an application's transactions a second; medians of $done rounds of $seconds s");
	print_table(
		[ 'clients', 'UPDATE + INSERT', 'add_seats', 'ratio' ],
		map {
			my ($base, $own) = map { median(@$_) } @{ $rate{$_} }{ 'UPDATE + INSERT', 'add_seats' };
			[ $_, number($base), number($own), ratio($own, $base) ]
		} (1, 4, 16));
	return;
}

# What was only made to be measured is not sent.
sub forget_changes
{
	$session->sql('TRUNCATE seats_internal.outbox');
	$session->sql('UPDATE seats_internal.seat_line SET quantity = confirmed WHERE quantity <> confirmed');
	return;
}

# One change for each team: a read and a POST each.
sub compare_drain
{
	set_pace($server, $on_wire);
	my @rows = ([ 'delay', 'rounds', 'changes /s', 'µs/change', 'bare client /s', 'rate' ]);
	foreach my $delay (0, 50)
	{
		last if seconds_left() < 60;
		delay_answers($simulator, $delay);
		my (@rate, @cpu, @bare);
		for (my $done = 0; $done < $rounds && ($done < 1 || seconds_left() > 60); $done++)
		{
			my $result = drain_changes();
			push @rate, $result->{rate};
			push @cpu, $result->{cpu};
			push @bare, reference($server, $url, $teams, $on_wire, 'nothing')->{rate};
		}
		push @rows,
		  [ "$delay ms", scalar @rate, number(median(@rate)), number(median(@cpu)), number(median(@bare)), ratio(median(@rate), median(@bare)) ];
	}
	title("$teams teams, a change each; the bare C++ client makes one POST each and stores nothing");
	print_table(@rows);
	delay_answers($simulator, 0);
	return;
}

sub drain_changes
{
	hold_back($server);
	$session->sql("SELECT count(seats.add_seats('team-' || g, 'team', 1, 'ada')) FROM generate_series(1, $teams) AS g");
	$session->sql('CHECKPOINT');
	await_quiet($server);
	my $worker = $server->worker_pid;
	my $cpu = processor_time($worker);
	my $start = $session->sql('SELECT clock_timestamp()');
	$session->sql(q{SELECT seats.resume('stripe', 'loaded')});
	wait_until(sub { $session->sql(q{SELECT count(*) FROM seats_internal.outbox WHERE kind = 'change'}) == 0 },
		'all changes to be settled', timeout => 240, pause => 0.1);
	$cpu = processor_time($worker) - $cpu;
	my $spent = $session->sql("SELECT extract(epoch FROM max(settled_at) - '$start') FROM seats_internal.outbox_history WHERE kind = 'change'");
	$session->sql('TRUNCATE seats_internal.outbox_history, seats_internal.journal, seats_internal.expected_event');
	return { rate => $teams / $spent, cpu => 1e6 * $cpu / $teams };
}

sub count_burst
{
	$simulator->outage('refuse');
	my $before = executed_posts();
	$session->sql(q{SELECT seats.add_seats('team-1', 'team', 1, 'ada')}) foreach 1 .. 100;
	$simulator->outage(undef);
	wait_until(sub { $session->sql(q{SELECT count(*) FROM seats_internal.outbox WHERE kind = 'change'}) == 0 },
		'the burst to be settled', timeout => 120, pause => 0.1);
	my $posts = executed_posts() - $before;
	title('a hundred additions to one team while Stripe is down');
	print_table([ 'changes', 'POSTs when it is back' ], [ 100, $posts ]);
	return;
}

sub executed_posts
{
	return $simulator->control('GET', '/counters')->{by_operation}{'POST /v1/subscriptions/{id}'} // 0;
}
