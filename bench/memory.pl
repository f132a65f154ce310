# Does the worker keep anything of a call that is settled, or the outbox? Its own memory (without the server's shared
# buffers, which are counted with every process that has touched them) after more and more calls.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;

my @steps = $quick ? (1, 10_000, 30_000, 60_000) : (1, 100_000, 500_000, 1_000_000);
my $portion = sized(50_000, 10_000);

my $simulator = light_simulator();
my $server = bench_server('memory', $simulator);
my $session = $server->{bench_session};
my $worker = $server->worker_pid;

say_line('memory: of the worker');
my @rows = ([ 'calls', 'own MB', 'code MB', 'sum MB', 'most MB', 'ratio', 'outbox MB' ]);
my $base;
my $calls = 0;
foreach my $step (@steps)
{
	while ($calls < $step)
	{
		my $count = $step - $calls < $portion ? $step - $calls : $portion;
		load_calls($server, $count - 1, undef, wake => 1);
		$calls += $count;
		wait_until(
			sub { $session->sql('SELECT NOT EXISTS (SELECT FROM seats_internal.outbox)') eq 't' },
			'the calls to be settled', timeout => 120, pause => 0.1);
		last if seconds_left() < 20;
	}
	die "the worker was replaced\n" unless $server->worker_pid == $worker;
	my %kilobytes = memory_of($worker);
	my $sum = ($kilobytes{RssAnon} + $kilobytes{RssFile}) / 1024;
	$base //= $sum;
	push @rows,
	  [
		$calls, number($kilobytes{RssAnon} / 1024, 1), number($kilobytes{RssFile} / 1024, 1), number($sum, 1),
		# Peak of all, shared buffers included.
		number($kilobytes{VmHWM} / 1024, 1), ratio($sum, $base),
		# The table and its indexes, with what vacuum has not given back.
		number($session->sql(q{SELECT pg_total_relation_size('seats_internal.outbox')}) / 2**20, 1)
	  ];
	last if $calls < $step;
}
title('resident memory of the worker; most: the highest ever, with the shared buffers that it touched');
print_table(@rows);
say_line('  stopped early: the time was up') if $calls < $steps[-1];

sub memory_of
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/status" or die "process $pid: $!\n";
	return map { /^(\w+):\s+(\d+) kB/ ? ($1 => $2) : () } <$file>;
}
