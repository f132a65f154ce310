# What a call costs the application: the same UPDATE, with a row in a table of its own or with
# seats.enqueue_call, each in one transaction. The destination is paused, so nothing is sent.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;

my $rounds = sized(3, 1);
my $seconds = sized(4, 2);
my @clients = (1, 4, 16);

my $simulator = light_simulator();
my $server = bench_server('enqueue', $simulator);
my $session = $server->{bench_session};
$session->sql(q{SELECT seats.pause('stripe', 'only enqueueing is measured')});
$server->sql(<<'END');
CREATE SCHEMA bench;
CREATE TABLE bench.account (id integer PRIMARY KEY, plan integer NOT NULL) WITH (fillfactor = 50);
INSERT INTO bench.account SELECT g, 0 FROM generate_series(1, 100000) AS g;
-- The outbox's columns and defaults, with its primary key alone and with all its indexes.
CREATE TABLE bench.similar (LIKE seats_internal.outbox INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED,
                            PRIMARY KEY (id));
CREATE TABLE bench.twin (LIKE seats_internal.outbox INCLUDING DEFAULTS INCLUDING IDENTITY
                         INCLUDING GENERATED INCLUDING INDEXES);
VACUUM ANALYZE bench.account;
END

my $update = 'UPDATE bench.account SET plan = plan + 1 WHERE id = :account;';
my $columns = '(destination, method, path, body, enqueued_by)';
my $values = q{VALUES ('stripe', 'POST', '/v1/customers', 'name=Ada&plan=' || :account::integer, current_user);};
my $call = q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers',}
  . q{ jsonb_build_object('name', 'Ada', 'plan', :account::integer)};
my @kinds = (
	[ 'UPDATE alone', '' ],
	[ 'UPDATE + INSERT', "INSERT INTO bench.similar $columns $values" ],
	[ 'UPDATE + INSERT, the outbox\'s indexes', "INSERT INTO bench.twin $columns $values" ],
	[ 'UPDATE + enqueue_call', "$call);" ],
	[ '… in one of 100000 lanes', "$call, 'account-' || :account::integer);" ]);
my $scripts = 0;
my $directory = PostgreSQL::Test::Utils::tempdir('scripts');
foreach my $kind (@kinds)
{
	$kind->[2] = "$directory/" . ++$scripts . '.sql';
	open my $script, '>', $kind->[2] or die "$kind->[2]: $!\n";
	print $script join "\n", '\set account random(1, 100000)', 'BEGIN;', $update, $kind->[1], 'COMMIT;', '';
	close $script or die "$kind->[2]: $!\n";
}

say_line('enqueue: transactions a second of an application, destination paused');
my %results;
my $done = 0;
flushes($server);
while ($done < $rounds && ($done < 1 || seconds_left() > @kinds * @clients * ($seconds + 2)))
{
	foreach my $clients (@clients)
	{
		foreach my $kind (@kinds)
		{
			push @{ $results{$clients}{ $kind->[0] } }, pgbench_run($server, $clients, $seconds, $kind->[2]);
			# Its rows are not what the next one is to carry along.
			$session->sql('TRUNCATE seats_internal.outbox, bench.similar, bench.twin');
			$session->sql('CHECKPOINT');
		}
	}
	$done++;
}

foreach my $clients (@clients)
{
	my $of = sub {
		my ($kind, $field) = @_;
		return median(map { $_->{$field} } @{ $results{$clients}{ $kind->[0] } });
	};
	title("$clients clients: transactions a second, and what each costs: processor time of the backend, WAL; "
		  . "medians of $done rounds of $seconds s; ratios to UPDATE + INSERT");
	print_table(
		[ '', '/s', 'spread', 'ratio', 'µs', 'WAL bytes', 'flushes' ],
		map {
			my $kind = $_;
			my $rate = $of->($kind, 'rate');
			[
				$kind->[0], number($rate), spread(map { $_->{rate} } @{ $results{$clients}{ $kind->[0] } }),
				ratio($rate, $of->($kinds[1], 'rate')), number($of->($kind, 'cpu')), number($of->($kind, 'wal')),
				number($of->($kind, 'flushes'), 2) ]
		} @kinds);
}
