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
use PgSeats::Ways;

my $teams = sized(20_000, 1_000);

my $simulator = light_simulator();
my $server = bench_server('buying', $simulator);
my $session = $server->{bench_session};
make_subscriptions($simulator, 'own', $teams);
register_teams($server, 'own', $teams);
# What the worker does with its own is not measured here: no chore of it is to fall into a round.
hold_back($server);
create_peers_database($server);

my $update = 'UPDATE bench.account SET plan = plan + 1 WHERE id = :team';
my $insert = q{INSERT INTO bench.twin (destination, method, path, body, enqueued_by)}
  . q{ VALUES ('stripe', 'POST', '/v1/customers', 'name=Ada', current_user)};
my $add = q{SELECT * FROM seats.add_seats('team-' || :team::integer, 'team', 1, 'ada'};
my @ways = (
	{ name => 'UPDATE', statements => ["$update;"] },
	{ name => 'UPDATE and INSERT in one statement', statements => ["WITH changed AS ($update) $insert;"] },
	{ name => 'add_seats', statements => ["$add);"] },
	{ name => 'add_seats with a request_key', statements => ["$add, request_key => gen_random_uuid()::text);"] },
	in_transaction('INSERT', "$insert;"),
	in_transaction('add_seats', "$add);"),
	map { in_transaction($_->[0], statement_of($_->[1]), 'peers') } have_peers()
	? ([ 'pg-boss: send', 'pgboss' ], [ 'graphile-worker: add_job', 'graphile' ],
		[ 'graphile-worker: add_job, a queue a team', 'graphile_queue' ])
	: ());
create_tables($_) foreach $server->database, 'peers';
compare_ways($server,
	ways => \@ways,
	clients => $quick ? [ 1, 16 ] : [ 1, 4, 16 ],
	rounds => sized(5, 1),
	seconds => sized(3, 2),
	set => "\\set team random(1, $teams)",
	forget => \&forget,
	ratios => [ [ UPDATE => 0 ], [ INSERT => 1 ] ]);

sub in_transaction
{
	my ($name, $statement, $database) = @_;
	return { name => "BEGIN, UPDATE, $name, COMMIT", statements => [ 'BEGIN;', "$update;", $statement, 'COMMIT;' ], database => $database };
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

# Rows of one are not what the next is to carry along.
sub forget
{
	my ($way) = @_;
	if ($way->{database})
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
