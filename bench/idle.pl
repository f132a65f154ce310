# What nothing to do costs, and what one change costs that comes alone: transactions in an idle minute; flushes of the
# WAL, bytes of it, transactions and processor time of the worker for each thing that is done by itself.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Teams;
use Time::HiRes qw(sleep time);

my $teams = 100;
my $minute = sized(60, 12);
my $rounds = sized(5, 1);
my $singles = sized(20, 8);
my $pause = 0.25;

# (Autovacuum's transactions are nobody's here.)
my $simulator = light_simulator();
my $server = bench_server('idle', $simulator, configuration => 'autovacuum = off');
my $session = $server->{bench_session};
$server->sql('CREATE DATABASE beside');
make_subscriptions($simulator, 'own', $teams);
register_teams($server, 'own', $teams);
await_quiet($server);
my $calls = $session->sql(q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "first"}')});
$session->sql("CALL seats.wait_for_call($calls)");
$server->sql('CREATE SCHEMA bench; CREATE TABLE bench.plain (id integer); INSERT INTO bench.plain VALUES (0)');
await_quiet($server);
my @minutes = (watch_idle('nothing was done'));
read_first($server, 1);
add_changes($server, 1, $teams);
await_changes($server);
push @minutes, watch_idle("after $teams changes");
title("an idle minute, seen for $minute s, with $teams teams");
print_table([ '', 'transactions in the database', 'of the worker', 'wake-ups', 'WAL bytes', 'CPU ms' ], @minutes);
compare_singles();

# Seen from another database, so that looking is not seen.
sub watch_idle
{
	my ($what) = @_;
	# What was done before is told to the statistics, of a session that rests after ten seconds.
	sleep 12;
	my $look = sub {
		my ($loops, $transactions) = split /\|/, $session->sql('SELECT loops, transactions FROM seats_internal.worker_state()');
		my ($commits, $wal) = split /\|/, $server->safe_psql('beside', <<'END');
SELECT d.xact_commit + d.xact_rollback, pg_current_wal_insert_lsn() - '0/0'
  FROM pg_stat_database AS d WHERE d.datname = 'postgres'
END
		return (time, $commits, $transactions, $loops, $wal, 1e3 * processor_time($server->worker_pid));
	};
	my @before = $look->();
	sleep $minute;
	my @after = $look->();
	my ($passed, @used) = map { $after[$_] - $before[$_] } 0 .. $#before;
	# (Looking is a transaction or two of the database's.)
	return [ $what, map { number(60 * $_ / $passed) } @used ];
}

sub compare_singles
{
	my $team = 0;
	my $change = sub {
		$team = $team % $teams + 1;
		my $id = $session->sql("SELECT change FROM seats.add_seats('team-$team', 'team', 1, 'ada')");
		return "CALL seats.wait_for_change($id, '30 s')";
	};
	my @ways = (
		[ 'nothing', sub { return } ],
		[ 'an INSERT of the application\'s own', sub { $session->sql('INSERT INTO bench.plain VALUES (1)'); return } ],
		[
			'enqueue_call',
			sub {
				my $id = $session->sql(
					q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "alone"}')});
				return "CALL seats.wait_for_call($id)";
			}
		],
		[ 'add_seats, base proved lately: a POST', $change, sub { read_first($server, 0) } ],
		[ 'add_seats, a read and a POST', $change, sub { read_first($server, 1) } ]);
	my %results;
	my $done = 0;
	read_first($server, 1);
	$session->sql($change->()) foreach 1 .. $teams;
	while ($done < $rounds && ($done < 1 || seconds_left() > @ways * ($singles * ($pause + 0.05) + 5)))
	{
		push @{ $results{ $_->[0] } }, alone($_) foreach @ways;
		$done++;
	}
	my $of = sub {
		my ($way, $field) = @_;
		return median(map { $_->{$field} } @{ $results{ $way->[0] } });
	};
	title("one thing at a time, $singles of each, on a system that is idle otherwise; medians of $done rounds; what passes with "
		  . 'nothing is taken off');
	print_table(
		[ '', 'flushes', 'WAL bytes', 'transactions of the worker', 'µs of the worker', 'ms until settled' ],
		map {
			my $way = $_;
			my $net = sub { $of->($way, $_[0]) - $of->($ways[0], $_[0]) };
			[
				$way->[0], number($net->('flushes'), 2), number($net->('wal')), number($net->('transactions'), 1),
				number($net->('cpu')), $of->($way, 'ms') ? number($of->($way, 'ms'), 2) : '-' ]
		} @ways[ 1 .. $#ways ]);
	return;
}

sub alone
{
	my ($way) = @_;
	$way->[2]->() if $way->[2];
	# Stripe's limits for a subscription are not what is measured.
	$session->sql('DELETE FROM seats_internal.outbox_history WHERE ring = 0');
	await_quiet($server);
	# (What was before is told to the statistics.)
	flushes($server);
	my $transactions = sub { $session->sql('SELECT transactions FROM seats_internal.worker_state()') };
	my $costs = watch_costs($server, [ $server->worker_pid ], flushes => 1);
	my $before = $transactions->();
	my @ms;
	foreach (1 .. $singles)
	{
		my $began = time;
		my $wait = $way->[1]->();
		if ($wait)
		{
			$session->sql($wait);
			push @ms, 1e3 * (time - $began);
		}
		sleep $pause;
	}
	my $made = ($transactions->() - $before) / $singles;
	my $used = $costs->($singles);
	return { %$used, transactions => $made, ms => @ms ? median(@ms) : 0 };
}
