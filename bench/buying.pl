# What a change of seats costs the application: add_seats beside an UPDATE, an UPDATE with a row for an outbox, and an
# UPDATE with what other queues in PostgreSQL have their users run in the same transaction. The destination is paused, so
# nothing is sent.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Drain;
use PgSeats::Peers;
use PgSeats::Teams;

my $teams = sized(20_000, 1_000);
my $rounds = sized(5, 1);
my $seconds = sized(3, 2);
my @clients = $quick ? (1, 16) : (1, 4, 16);

my $simulator = light_simulator();
my $server = bench_server('buying', $simulator);
my $session = $server->{bench_session};
make_subscriptions($simulator, 'own', $teams);
register_teams($server, 'own', $teams);
# What the worker does with its own is not measured here: no chore of it is to fall into a round.
hold_back($server);
create_peers_database($server);
my $directory = PostgreSQL::Test::Utils::tempdir('scripts');

my $update = 'UPDATE bench.account SET plan = plan + 1 WHERE id = :team';
my $insert = q{INSERT INTO bench.twin (destination, method, path, body, enqueued_by)}
  . q{ VALUES ('stripe', 'POST', '/v1/customers', 'name=Ada', current_user)};
my $add = q{SELECT * FROM seats.add_seats('team-' || :team::integer, 'team', 1, 'ada'};
# name, statements, database: one statement is a transaction of its own.
my @ways = (
	[ 'UPDATE', ["$update;"] ],
	[ 'UPDATE and INSERT in one statement', ["WITH changed AS ($update) $insert;"] ],
	[ 'add_seats', ["$add);"] ],
	[ 'add_seats with a request_key', ["$add, request_key => gen_random_uuid()::text);"] ],
	in_transaction('INSERT', "$insert;"),
	in_transaction('add_seats', "$add);"),
	map { in_transaction($_->[0], statement_of($_->[1]), 'peers') } have_peers()
	? ([ 'pg-boss: send', 'pgboss' ], [ 'graphile-worker: add_job', 'graphile' ],
		[ 'graphile-worker: add_job, a queue a team', 'graphile_queue' ])
	: ());
create_tables($_) foreach $server->database, 'peers';
write_script($ways[$_], $_) foreach 0 .. $#ways;
measure();

sub in_transaction
{
	my ($name, $statement, $database) = @_;
	return [ "BEGIN, UPDATE, $name, COMMIT", [ 'BEGIN;', "$update;", $statement, 'COMMIT;' ], $database ];
}

sub statement_of
{
	my ($kind) = @_;
	my ($statement) = run_command('node', "$ENV{BENCH_PEERS}/statement.mjs", $kind, peers_connection($server));
	return $statement;
}

sub create_tables
{
	my ($database) = @_;
	$server->safe_psql($database, <<"END");
CREATE SCHEMA bench;
CREATE TABLE bench.account (id integer PRIMARY KEY, plan integer NOT NULL) WITH (fillfactor = 50);
INSERT INTO bench.account SELECT g, 0 FROM generate_series(1, $teams) AS g;
VACUUM ANALYZE bench.account;
END
	return if $database eq 'peers';
	$server->sql('CREATE TABLE bench.twin (LIKE seats_internal.outbox'
		  . ' INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED INCLUDING INDEXES)');
	return;
}

sub write_script
{
	my ($way, $number) = @_;
	$way->[3] = "$directory/$number.sql";
	open my $script, '>', $way->[3] or die "$way->[3]: $!\n";
	print $script join "\n", "\\set team random(1, $teams)", @{ $way->[1] }, '';
	close $script or die "$way->[3]: $!\n";
	return;
}

# Rows of one are not what the next is to carry along.
sub forget
{
	my ($way) = @_;
	if ($way->[2])
	{
		$server->safe_psql('peers', q{SELECT format('TRUNCATE %s CASCADE', c.oid::regclass) FROM pg_class AS c
			WHERE c.oid IN (to_regclass('pgboss.job'), to_regclass('graphile_worker._private_jobs'),
			                to_regclass('graphile_worker._private_job_queues')) \gexec});
	}
	$session->sql('TRUNCATE bench.twin');
	forget_changes($server);
	$session->sql('CHECKPOINT');
	return;
}

sub measure
{
	flushes($server);
	my %results;
	my $done = 0;
	while ($done < $rounds && ($done < 1 || seconds_left() > 30 + @ways * @clients * ($seconds + 1)))
	{
		foreach my $clients (@clients)
		{
			foreach my $way (@ways)
			{
				push @{ $results{$clients}{ $way->[0] } },
				  pgbench_run($server, $clients, $seconds, $way->[3], database => $way->[2]);
				forget($way);
			}
		}
		$done++;
	}
	foreach my $clients (@clients)
	{
		my $of = sub {
			my ($way, $field) = @_;
			return median(map { $_->{$field} } @{ $results{$clients}{ $way->[0] } });
		};
		title("$clients clients: transactions a second, and what each costs: processor time of the backend, WAL; "
			  . "medians of $done rounds of $seconds s; ratios of rates, to UPDATE and to UPDATE and INSERT");
		print_table(
			[ '', '/s', 'spread', 'UPDATE', 'INSERT', 'µs', 'WAL bytes', 'flushes' ],
			map {
				my $way = $_;
				my @rates = map { $_->{rate} } @{ $results{$clients}{ $way->[0] } };
				[
					$way->[0], number(median(@rates)), spread(@rates),
					map({ ratio(median(@rates), $of->($ways[$_], 'rate')) } 0, 1), number($of->($way, 'cpu')),
					number($of->($way, 'wal')), number($of->($way, 'flushes'), 2) ]
			} @ways);
	}
	return;
}
