# Applications' handlers: what a call without one costs, beside one that has some; how long it takes from a call's
# settlement to its handler's commit; how many handlers a second run.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Drain;
use PgSeats::Session;
use PgSeats::Teams qw(make_subscriptions register_teams);
use Time::HiRes qw(sleep);

my $teams = sized(5_000, 500);
my $rounds = sized(3, 1);
my $seconds = sized(4, 2);
my $calls = sized(20_000, 3_000);
my $samples = sized(400, 80);

my $simulator = light_simulator();
# From commit to commit, by the server's own clock.
my $server = bench_server('handlers', $simulator, configuration => "track_commit_timestamp = on\n");
my $session = $server->{bench_session};
create_reference_tables($server);
set_up_application();
say_line('handlers: an application role that is no superuser, its functions insert one row');

compare_cost() if seconds_left() > 60;
compare_drain() if seconds_left() > 60;
measure_latency() if seconds_left() > 60;
measure_rate() if seconds_left() > 60;

# The handler is what the reference does by hand, too.
sub set_up_application
{
	$server->sql(<<"SQL");
CREATE ROLE shop LOGIN;
CREATE TABLE bench.account (id integer PRIMARY KEY, plan integer NOT NULL) WITH (fillfactor = 50);
INSERT INTO bench.account SELECT g, 0 FROM generate_series(1, 100000) AS g;
CREATE TABLE bench.twin (LIKE seats_internal.outbox INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED INCLUDING INDEXES);
CREATE TABLE bench.ran (call bigint NOT NULL, result text NOT NULL, at timestamptz NOT NULL);
CREATE TABLE bench.mark (id bigint PRIMARY KEY, outcome jsonb NOT NULL);
CREATE SEQUENCE bench.next;
CREATE FUNCTION bench.ended(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
    INSERT INTO bench.ran VALUES (call, outcome ->> 'result', clock_timestamp());
END \$\$;
ALTER FUNCTION bench.ended OWNER TO shop;
GRANT USAGE ON SCHEMA bench TO shop;
GRANT ALL ON ALL TABLES IN SCHEMA bench TO shop;
GRANT ALL ON ALL SEQUENCES IN SCHEMA bench TO shop;
SELECT seats.grant_application('shop');
SELECT seats.grant_call('shop', 'stripe', '{POST}', '/v1/**');
SQL
	make_subscriptions($simulator, 'shop', $teams);
	register_teams($server, 'shop', $teams);
	return;
}

sub with_handlers { return q{on_done => 'bench.ended', on_refused => 'bench.ended'} }

# How many processes may run handlers, from now on.
sub allow_processes
{
	my ($count) = @_;
	$session->sql("ALTER SYSTEM SET pg_seats.handler_workers = $count");
	$session->sql('SELECT pg_reload_conf()');
	wait_until(sub { $session->sql('SELECT count(*) FROM seats_internal.handler_state()') == 0 },
		'all processes of handlers to end', pause => 0.1) if $count == 0;
	return;
}

sub forget_all
{
	$session->sql('TRUNCATE seats_internal.outbox, seats_internal.handler, bench.twin, bench.ran');
	$session->sql('UPDATE seats_internal.seat_line SET quantity = confirmed WHERE quantity <> confirmed');
	$session->sql('TRUNCATE seats_internal.outbox_history, seats_internal.journal, seats_internal.expected_event');
	$session->sql('CHECKPOINT');
	return;
}

# ---- what the application pays

sub compare_cost
{
	my $update = 'UPDATE bench.account SET plan = plan + 1 WHERE id = :account;';
	my $insert = 'INSERT INTO bench.twin (destination, method, path, body, enqueued_by)'
	  . q{ VALUES ('stripe', 'POST', '/v1/customers', 'name=Ada', current_user);};
	my $call = q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "Ada"}'};
	my $add = q{SELECT * FROM seats.add_seats('team-' || :team::integer, 'team', 1, 'ada'};
	my $handlers = with_handlers();
	my @kinds = (
		[ 'UPDATE + INSERT', 'BEGIN;', $update, $insert, 'COMMIT;' ],
		[ 'UPDATE + enqueue_call', 'BEGIN;', $update, "$call);", 'COMMIT;' ],
		[ '… that names handlers', 'BEGIN;', $update, "$call, $handlers);", 'COMMIT;' ],
		[ 'add_seats', "$add);" ],
		[ '… that names handlers', "$add, $handlers);" ]);
	my $directory = PostgreSQL::Test::Utils::tempdir('scripts');
	my @clients = (1, 4, 16);
	hold_back($server);
	my (@script, @rate);
	foreach my $number (0 .. $#kinds)
	{
		my ($name, @lines) = @{ $kinds[$number] };
		$script[$number] = "$directory/$number.sql";
		open my $file, '>', $script[$number] or die "$script[$number]: $!\n";
		print $file join "\n", '\set account random(1, 100000)', "\\set team random(1, $teams)", @lines, '';
		close $file or die "$script[$number]: $!\n";
	}
	local $ENV{PGOPTIONS} = '-c role=shop';
	my $done = 0;
	while ($done < $rounds && ($done < 1 || seconds_left() > 400))
	{
		foreach my $clients (@clients)
		{
			foreach my $number (0 .. $#kinds)
			{
				push @{ $rate[$number]{$clients} }, pgbench_rate($server, $clients, $seconds, $script[$number]);
				forget_all();
			}
		}
		$done++;
	}
	title("an application's transactions a second, destination paused; medians of $done rounds of $seconds s; ratios to the first line");
	print_table(
		[ '', map { ("$_ clients", 'ratio') } @clients ],
		map {
			my $number = $_;
			[
				$kinds[$number][0],
				map { (number(median(@{ $rate[$number]{$_} })), ratio(median(@{ $rate[$number]{$_} }), median(@{ $rate[0]{$_} }))) } @clients
			]
		} 0 .. $#kinds);
	return;
}

# ---- what the worker pays

sub load_for_shop
{
	my ($count, $arguments) = @_;
	hold_back($server);
	$session->sql('SET ROLE shop');
	$session->sql("SELECT count(seats.enqueue_call('stripe', 'POST', '/v1/customers', "
		  . "jsonb_build_object('name', 'bench ' || g)$arguments)) FROM generate_series(1, $count) AS g");
	$session->sql('RESET ROLE');
	return;
}

sub compare_drain
{
	set_pace($server, 256);
	# [ name, processes that run handlers, what the calls name ]; without processes the worker alone is seen.
	my $handlers = ', ' . with_handlers();
	my @kinds = (
		[ 'calls without handlers', 0, '' ],
		[ '… while handlers of others wait', 0, '', sized(20_000, 3_000) ],
		[ 'calls with handlers, which wait', 0, $handlers ],
		[ '… which run meanwhile', 2, $handlers ]);
	my @results;
	my $done = 0;
	while ($done < $rounds && ($done < 1 || seconds_left() > 200))
	{
		foreach my $number (0 .. $#kinds)
		{
			my ($name, $processes, $arguments, $others) = @{ $kinds[$number] };
			allow_processes($processes);
			if ($others)
			{
				load_for_shop($others, $handlers);
				drain($server, $others, loaded => 1);
			}
			load_for_shop($calls, $arguments);
			push @{ $results[$number] }, drain($server, $calls, loaded => 1);
			end_handlers();
			forget_all();
		}
		$done++;
	}
	title("a backlog of $calls calls, no delay, 256 on the wire; medians of $done rounds; ratios to the first line");
	my @base = map { my $field = $_; median(map { $_->{$field} } @{ $results[0] }) } qw(rate cpu);
	print_table(
		[ '', 'calls /s', 'ratio', 'worker µs/call', 'ratio' ],
		map {
			my $number = $_;
			my ($rate, $cpu) = map { my $field = $_; median(map { $_->{$field} } @{ $results[$number] }) } qw(rate cpu);
			[ $kinds[$number][0], number($rate), ratio($rate, $base[0]), number($cpu, 1), ratio($cpu, $base[1]) ]
		} 0 .. $#kinds);
	return;
}

sub await_handlers
{
	my ($count) = @_;
	wait_until(sub { $session->sql('SELECT count(*) FROM bench.ran') >= $count }, "$count handlers to have run", timeout => 120, pause => 0.1);
	return;
}

# What one course leaves is not part of the next one.
sub end_handlers
{
	allow_processes(2);
	wait_until(sub { $session->sql('SELECT count(*) FROM seats_internal.handler') == 0 }, 'all handlers to have run', timeout => 120, pause => 0.1);
	return;
}

# ---- from settled to committed

sub measure_latency
{
	forget_all();
	allow_processes(2);
	set_pace($server, 256);
	hold_back($server);
	$session->sql(q{SELECT seats.resume('stripe', 'go on')});
	my $application = PgSeats::Session->new($server);
	$application->sql('SET ROLE shop');
	my $handlers = with_handlers();
	my %took;
	foreach my $rate (0, 200)
	{
		my $others = $rate ? other_calls($rate, $handlers) : sub { };
		my @ids;
		foreach my $round (1 .. $samples + 20)
		{
			my $call = $application->sql("SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{\"name\": \"measured\"}', $handlers)");
			wait_until(sub { $application->sql("SELECT count(*) FROM bench.ran WHERE call = $call") == 1 }, "the handler of $call", pause => 0.002);
			push @ids, $call if $round > 20;    # plans and caches before that
		}
		$others->();
		my $list = join ',', @ids;
		$took{$rate} = [ split /\n/, $session->sql(<<"SQL") ];
SELECT 1e3 * extract(epoch FROM pg_xact_commit_timestamp(r.xmin) - pg_xact_commit_timestamp(h.xmin))
  FROM bench.ran AS r JOIN seats_internal.outbox_history AS h ON h.id = r.call WHERE r.call = ANY ('{$list}')
SQL
	}
	$application->end_session;
	my @flush = run_program('probe', 'flush', connection_of($server), sized(300, 60));
	title("milliseconds from a call's settlement (its commit) to its handler's commit, warm; $samples calls");
	print_table(
		[ '', 'p50', 'p99' ],
		[ 'COMMIT of one row: a WAL flush', number(median(@flush) / 1e3, 2), number(percentile(0.99, @flush) / 1e3, 2) ],
		map {
			[
				$_ ? "settled to committed, $_ other calls with handlers a second" : 'settled to committed, idle',
				number(median(@{ $took{$_} }), 2), number(percentile(0.99, @{ $took{$_} }), 2)
			]
		} 0, 200);
	return;
}

# Other people's calls with handlers, so many a second; returns what ends them.
sub other_calls
{
	my ($rate, $handlers) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir('others') . '/others.sql';
	open my $script, '>', $file or die "$file: $!\n";
	print $script "SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{\"name\": \"other\"}', $handlers);\n";
	close $script or die "$file: $!\n";
	my $pid = fork // die "fork: $!\n";
	if (!$pid)
	{
		$ENV{PGOPTIONS} = '-c role=shop';
		open STDOUT, '>', '/dev/null';
		exec 'pgbench', '-n', '-c', 2, '-T', 300, '-R', $rate, '-f', $file, connection_of($server) or POSIX::_exit(127);
	}
	return sub { kill 'TERM', $pid; local $?; waitpid $pid, 0; return };
}

# ---- handlers a second

# A backlog of handlers, which nobody was there to run. Beside it: as many sessions that do by hand what a
# handler's transaction does.
sub measure_rate
{
	my @rows = ([ 'processes', 'rounds', 'handlers /s', 'process µs', 'worker µs', 'in 1,000 lanes /s', 'by hand /s', 'rate' ]);
	foreach my $processes (1, 2)
	{
		my (@alone, @in_lanes, @by_hand);
		for (my $done = 0; $done < $rounds && ($done < 1 || seconds_left() > 60); $done++)
		{
			push @alone, handlers_a_second($processes, '');
			push @in_lanes, handlers_a_second($processes, q{, lane => 'lane ' || g % 1000});
			push @by_hand, by_hand_a_second($processes);
		}
		my ($rate, $process, $worker) = map { my $field = $_; median(map { $_->{$field} } @alone) } qw(rate process worker);
		my $in_lanes = median(map { $_->{rate} } @in_lanes);
		push @rows,
		  [
			$processes, scalar @alone, number($rate), number($process), number($worker), number($in_lanes),
			number(median(@by_hand)), ratio($rate, median(@by_hand))
		  ];
	}
	title("a backlog of $calls settled calls whose handlers have not run; processor time of each handler");
	print_table(@rows);
	return;
}

sub handlers_a_second
{
	my ($processes, $lane) = @_;
	forget_all();
	allow_processes(0);
	load_for_shop($calls, ', ' . with_handlers() . $lane);
	$session->sql(q{SELECT seats.resume('stripe', 'loaded')});
	wait_until(sub { count_open($server) == 0 }, 'all calls to be settled', timeout => 120, pause => 0.1);
	$session->sql('CHECKPOINT');
	await_quiet($server);
	my $worker = $server->worker_pid;
	my $before = processor_time($worker);
	allow_processes($processes);
	await_handlers($calls);
	my @own = split /\n/, $session->sql('SELECT pid FROM seats_internal.handler_state()');
	return {
		rate => $session->sql("SELECT ($calls - 1) / extract(epoch FROM max(at) - min(at)) FROM bench.ran"),
		process => 1e6 * processor_time(@own) / $calls,
		worker => 1e6 * (processor_time($worker) - $before) / $calls };
}

# The mark that it ran is deleted, the function called, in one transaction.
sub by_hand_a_second
{
	my ($sessions) = @_;
	forget_all();
	$session->sql('TRUNCATE bench.mark');
	$session->sql('ALTER SEQUENCE bench.next RESTART');
	$session->sql(q{INSERT INTO bench.mark SELECT g, '{"result": "done"}' FROM generate_series(1, 500000) AS g});
	$session->sql('VACUUM ANALYZE bench.mark');
	$session->sql('CHECKPOINT');
	my $file = PostgreSQL::Test::Utils::tempdir('by_hand') . '/by_hand.sql';
	open my $script, '>', $file or die "$file: $!\n";
	print $script <<'SQL';
BEGIN;
WITH next AS MATERIALIZED (SELECT nextval('bench.next') AS id)
DELETE FROM bench.mark AS m USING next WHERE m.id = next.id RETURNING m.id, m.outcome \gset
SELECT bench.ended(:id::bigint, :outcome::jsonb, NULL);
COMMIT;
SQL
	close $script or die "$file: $!\n";
	local $ENV{PGOPTIONS} = '-c role=shop';
	return pgbench_rate($server, $sessions, $seconds, $file);
}
