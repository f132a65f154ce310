# Does a claim cost the same, whatever else lies in the outbox?
#
# Servers with different outboxes stand side by side, and the same calls are measured on each in
# turn, round by round, so that the machine's moods strike all of them alike.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;

my $rounds = sized(7, 3);
my $singles = sized(60, 20);
my $batches = sized(20, 6);
my $batch = 20;
my $burst = sized(4_000, 1_000);
my $million = sized(1_000_000, 50_000);
my $servers = 0;

my $simulator = light_simulator();

my @outboxes = (
	{ name => 'empty', load => sub { } },
	{
		name => number_of($million) . ' rows not yet due',
		load => sub {
			load_calls($_[0], $million, { state => "'waiting'", due_at => "now() + interval '1 day'" });
		},
	},
	{ name => '10000 rows in one paused lane', load => \&load_paused_lane },
	{ name => number_of(sized(100_000, 20_000)) . ' lanes with a row each, due later', load => \&load_lanes },
	{ name => number_of(sized(200_000, 20_000)) . ' settled under an old snapshot', load => \&settle_under_snapshot },
	{ name => number_of($million) . ' rows ready for a paused destination', load => \&load_other_destination },
);

say_line('claim: what a call costs while the outbox holds …');
foreach my $outbox (@outboxes)
{
	my $server = bench_server("claim" . ++$servers, $simulator);
	$outbox->{server} = $server;
	$outbox->{load}->($server);
	$server->{bench_session}->sql('ANALYZE seats_internal.outbox');
	$server->{bench_session}->sql('CHECKPOINT');
	# The worker reads the new rows once, which is not what is measured here.
	load_calls($server, 0, undef, wake => 1);
	await_quiet($server);
	$outbox->{worker} = $server->worker_pid;
	measure_all($outbox, {});
}

my $done = 0;
while ($done < $rounds && ($done < 2 || seconds_left() > 30))
{
	measure_all($_, $_->{results} //= {}) foreach @outboxes;
	$done++;
}
report();

sub number_of
{
	my ($number) = @_;
	1 while $number =~ s/(\d)(\d{3})\b/$1 $2/;
	return $number;
}

# ---- loading

sub load_paused_lane
{
	my ($server) = @_;
	my $lane = $server->sql(
		q{INSERT INTO seats_internal.lane (destination, name, paused_at, paused_by, paused_reason)
		  VALUES ('stripe', 'paused', now(), 'bench', 'bench') RETURNING id});
	load_calls($server, 10_000, { lane_id => $lane });
	return;
}

sub load_lanes
{
	my ($server) = @_;
	my $lanes = sized(100_000, 20_000);
	$server->sql(qq{INSERT INTO seats_internal.lane (destination, name)
		SELECT 'stripe', 'lane ' || g FROM generate_series(1, $lanes) AS g});
	load_calls($server, $lanes, {
			lane_id => q{(SELECT id FROM seats_internal.lane WHERE name = 'lane ' || g)},
			state => "'waiting'", due_at => "now() + interval '1 day'" });
	return;
}

sub settle_under_snapshot
{
	my ($server) = @_;
	$server->{bench_end_snapshot} = hold_old_snapshot($server);
	load_calls($server, sized(200_000, 20_000), undef, wake => 1);
	wait_until(sub { count_open($server) == 0 }, 'all calls to be settled', timeout => 240, pause => 0.5);
	return;
}

sub load_other_destination
{
	my ($server) = @_;
	$server->define_destination('other');
	await_quiet($server);
	$server->sql(q{SELECT seats.pause('other', 'to be in the way')});
	load_calls($server, $million, { destination => "'other'" });
	return;
}

# ---- measuring

sub measure_all
{
	my ($outbox, $results) = @_;
	push @{ $results->{single} }, probe($outbox, $singles, 1);
	push @{ $results->{batch} }, probe($outbox, $batches, $batch);
	push @{ $results->{burst} }, burst($outbox);
	return;
}

# Milliseconds from COMMIT to settled, and microseconds of the worker's processor time per call.
sub probe
{
	my ($outbox, $count, $size) = @_;
	my $before = processor_time($outbox->{worker});
	my @lines =
	  run_program('probe', 'settle', connection_of($outbox->{server}), $count, $size);
	my $cpu = processor_time($outbox->{worker}) - $before;
	return { time => median(@lines) / 1e3, cpu => 1e6 * $cpu / ($count * $size) };
}

# Many at once: calls a second and processor time per call.
sub burst
{
	my ($outbox) = @_;
	my $server = $outbox->{server};
	my $session = $server->{bench_session};
	my $last = $session->sql('SELECT max(id) FROM seats_internal.outbox_history');
	my $before = processor_time($outbox->{worker});
	load_calls($server, $burst - 1, undef, wake => 1);
	my $settled = "FROM seats_internal.outbox_history WHERE ring = 0 AND id > $last";
	wait_until(sub { $session->sql("SELECT count(*) $settled") == $burst }, 'the burst to be settled', pause => 0.2);
	my $cpu = processor_time($outbox->{worker}) - $before;
	my $seconds =
	  $session->sql("SELECT extract(epoch FROM max(settled_at) - min(first_sent_at)) $settled");
	return { time => $burst / $seconds, cpu => 1e6 * $cpu / $burst };
}

# ---- the table

sub report
{
	title("from COMMIT to settled and processor time of the worker; medians of $done rounds");
	my @rows = (
		[ 'outbox', 'single ms', 'ratio', 'µs/call', 'ratio', "$batch ms", 'ratio', 'µs/call', 'ratio',
			'burst /s', 'ratio', 'µs/call', 'ratio' ]);
	my @base;
	foreach my $outbox (@outboxes)
	{
		my @cells = map {
			my $kind = $_;
			map {
				my $field = $_;
				median(map { $_->{$field} } @{ $outbox->{results}{$kind} });
			} qw(time cpu)
		} qw(single batch burst);
		@base = @cells unless @base;
		my @digits = (2, 0, 2, 0, 0, 0);
		push @rows,
		  [ $outbox->{name}, map { (number($cells[$_], $digits[$_]), ratio($cells[$_], $base[$_])) } 0 .. $#cells ];
	}
	print_table(@rows);
	return;
}
