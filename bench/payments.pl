# Payments: members who click and get a client secret, beside a Node service that does the same with the official
# library and tables of its own (peers/pay.mjs). Both are clicked by the same Node program, with the same driver.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Peers;

if (!have_peers())
{
	say_line('  skipped: what clicks could not be installed by npm');
	exit 0;
}

my $clicks = sized(5_000, 400);
my $rounds = sized(5, 2);
my %what = (node => 'Node, own tables', pg_seats => 'pg_seats', two_steps => 'pg_seats, from COMMIT');

my $simulator = light_simulator();
my $server = bench_server('payments', $simulator);
set_pace($server, 256);
create_peers_database($server);
my $first = 1;
say_line("payments: $clicks clicks, each by another member, until the client secret is in the caller's hand");
compare($_) foreach 0, 50;

sub compare
{
	my ($delay) = @_;
	return if seconds_left() < 60;
	my @rows = ([ 'clients', 'rounds', '', 'clicks /s', 'rate', 'p50 ms', 'p99 ms', 'µs/click', 'cpu' ]);
	delay_answers($simulator, $delay);
	foreach my $clients (1, 16, 48)
	{
		last if seconds_left() < 60;
		my %results;
		my $done = 0;
		# One who clicks alone is not to take all the time.
		my $count = $clients == 1 ? int($clicks / 10) : $clicks;
		click($_, $clients, sized(200, 50)) foreach keys %what;
		while ($done < $rounds && ($done < 1 || seconds_left() > 60))
		{
			push @{ $results{$_} }, click($_, $clients, $count) foreach sort keys %what;
			$done++;
		}
		push @rows, row($clients, $done, $_, \%results) foreach qw(node pg_seats two_steps);
	}
	title("$delay ms at Stripe; p50 and p99 from the click, or from COMMIT, to the secret; ratios to Node; "
		  . 'processor time of Node, its backends and the worker');
	print_table(@rows);
	return;
}

sub row
{
	my ($clients, $done, $who, $results) = @_;
	my $of = sub {
		my ($kind, $field) = @_;
		return median(map { $_->{$field} } @{ $results->{$kind} });
	};
	return [
		$clients, $done, $what{$who}, number($of->($who, 'rate')), ratio($of->($who, 'rate'), $of->('node', 'rate')),
		number($of->($who, 'p50'), 2), number($of->($who, 'p99'), 2), number($of->($who, 'cpu')),
		ratio($of->($who, 'cpu'), $of->('node', 'cpu'))
	];
}

sub click
{
	my ($kind, $clients, $count) = @_;
	my $connection = peers_connection($server, $kind eq 'node' ? 'peers' : $server->database);
	my $worker = $server->worker_pid;
	my $before = processor_time($worker);
	my ($line) = run_command('node', "$ENV{BENCH_PEERS}/pay.mjs", $kind, $connection, $simulator->url,
		simulator_key(), $count, $clients, $first);
	my $spent = processor_time($worker) - $before;
	$first += $count;
	my ($made, $seconds, $own, $backends, $p50, $p99) = split / /, $line;
	return { rate => $made / $seconds, cpu => 1e6 * ($own + $backends + $spent) / $made, p50 => $p50, p99 => $p99 };
}
