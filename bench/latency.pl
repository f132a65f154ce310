# From COMMIT returning to the first byte at the receiver. Both moments are of one process (probe.cpp),
# so of one clock. Beside it one WAL flush, because the claim is on disk before a byte leaves.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;

my $rounds = sized(5, 2);
my $samples = sized(400, 60);
my $flushes = sized(300, 60);
my @rates = (0, 200, 1_000);

# No destination is defined here: the probe is its own receiver.
my $server = bench_server('latency', undef);
my $connection = connection_of($server);
say_line('latency: from COMMIT to the wire');

my (%wire, @flush);
my $done = 0;
while ($done < $rounds && ($done < 2 || seconds_left() > 40))
{
	my @lines = run_program('probe', 'flush', $connection, $flushes);
	push @flush, { p50 => median(@lines), p99 => percentile(0.99, @lines) };
	foreach my $rate (@rates)
	{
		@lines = run_program('probe', 'wire', $connection, $samples, $rate);
		push @{ $wire{$rate} }, { p50 => median(@lines), p99 => percentile(0.99, @lines) };
	}
	$done++;
}

title("milliseconds; medians of $done rounds of $samples calls");
my $flush = median(map { $_->{p50} } @flush);
my @rows = ([ '', 'p50', 'spread', 'p99', 'p50 less a flush' ]);
push @rows, [ 'COMMIT of one row: a WAL flush', milliseconds($flush), spread(map { $_->{p50} } @flush),
	milliseconds(median(map { $_->{p99} } @flush)), '' ];
foreach my $rate (@rates)
{
	my $p50 = median(map { $_->{p50} } @{ $wire{$rate} });
	push @rows,
	  [
		$rate ? "COMMIT to the wire, $rate other calls a second" : 'COMMIT to the wire, idle',
		milliseconds($p50), spread(map { $_->{p50} } @{ $wire{$rate} }),
		milliseconds(median(map { $_->{p99} } @{ $wire{$rate} })),
		milliseconds($p50 - $flush)
	  ];
}
print_table(@rows);

sub milliseconds { return number($_[0] / 1e3, 2) }
