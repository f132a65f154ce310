# What every benchmark begins with: servers that flush, a session that stays open, processor time of
# single processes, medians and tables.
#
# Built on the scenarios' harness (test/scenarios/lib), whose standard output goes to a log: results
# are printed with say_line and print_table.
package PgSeats::Bench;

use strict;
use warnings;
use utf8;

# The harness redirects STDOUT in an INIT block, so it is kept before that.
my $terminal;

BEGIN
{
	open $terminal, '>&', \*STDOUT or die "stdout: $!\n";
	binmode $terminal, ':encoding(UTF-8)';
	$terminal->autoflush(1);
	$ENV{LANG} = 'C.UTF-8';
}

use Carp qw(croak);
use Exporter 'import';
use IO::Handle;
use List::Util qw(max min sum);
use PgSeats::Scenario;
use PgSeats::Session;
use PgSeats::Waiting;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
  $quick sized say_line print_table title seconds_left
  median percentile mean spread ratio number
  processor_time load_average watch_costs flushes set_option
  bench_server light_simulator set_pace new_server new_simulator wait_until
  run_program run_command connection_of simulator_key
  load_calls pgbench_run pgbench_rate call_values await_quiet hold_old_snapshot count_open delay_answers);

# bench/run --quick: smaller tables, fewer rounds.
our $quick = $ENV{BENCH_QUICK} ? 1 : 0;
my $ends_at = time + ($ENV{BENCH_SECONDS} // 600);

# sized(20_000, 2_000): the first, or with --quick the second.
sub sized { return $quick ? $_[1] : $_[0] }

# How much of this benchmark's time is left. Rounds stop early rather than be cut off.
sub seconds_left { return $ends_at - time }

# ---- printing

sub say_line { print {$terminal} "@_\n"; return }

sub title
{
	my ($text) = @_;
	say_line('');
	say_line($text . ' (load average ' . load_average() . ')');
	return;
}

# print_table([headings], [cells], …): the first column to the left, numbers to the right.
sub print_table
{
	my @rows = @_;
	my @width;
	foreach my $row (@rows)
	{
		$width[$_] = max($width[$_] // 0, length $row->[$_]) foreach 0 .. $#$row;
	}
	foreach my $row (@rows)
	{
		say_line('  ' . join '  ',
			map { sprintf $_ ? "%$width[$_]s" : "%-$width[$_]s", $row->[$_] } 0 .. $#$row);
	}
	return;
}

# ---- numbers

sub percentile
{
	my ($share, @values) = @_;
	return 'nan' + 0 unless @values;
	my @sorted = sort { $a <=> $b } @values;
	my $at = $share * $#sorted;
	my $low = int $at;
	return $sorted[$low] if $low == $#sorted;
	return $sorted[$low] + ($at - $low) * ($sorted[ $low + 1 ] - $sorted[$low]);
}

sub median { return percentile(0.5, @_) }
sub mean { return @_ ? sum(@_) / @_ : 'nan' + 0 }

# How far apart the values lie, as a share of their median: '±4%' is half of the way from the least to the most.
sub spread
{
	my @values = @_;
	return '-' unless @values > 1 && median(@values);
	return sprintf '±%.0f%%', 50 * (max(@values) - min(@values)) / median(@values);
}

sub number
{
	my ($value, $digits) = @_;
	return '-' unless defined $value && $value == $value;
	return sprintf '%.' . ($digits // 0) . 'f', $value;
}

sub ratio
{
	my ($value, $base) = @_;
	return '-' unless defined $value && $base && $value == $value && $base == $base;
	return sprintf '%.2f', $value / $base;
}

# Seconds that these processes have been on a processor so far. schedstat counts nanoseconds of the
# main thread, which is all that counts here; where the kernel has none, stat's ticks do.
sub processor_time
{
	my @pids = @_;
	my $total = 0;
	foreach my $pid (@pids)
	{
		if (open my $file, '<', "/proc/$pid/schedstat")
		{
			my ($nanoseconds) = split / /, <$file> // '';
			if ($nanoseconds)
			{
				$total += $nanoseconds / 1e9;
				next;
			}
		}
		open my $file, '<', "/proc/$pid/stat" or croak "process $pid is gone";
		my $line = <$file>;
		$line =~ s/^.*\) //;
		my @fields = split / /, $line;
		$total += ($fields[11] + $fields[12]) / 100;
	}
	return $total;
}

# What is used from now on: watch_costs($server, pids …) returns a sub that gives, for each of `count`, µs of these
# processes' time and bytes of WAL, and, if options{flushes}, how often the WAL was flushed.
sub watch_costs
{
	my ($server, $pids, %options) = @_;
	my $session = $server->{bench_session};
	my $written = sub { $session->sql(q{SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn}) };
	my $flushed = $options{flushes} ? flushes($server) : 0;
	my ($cpu, $wal) = (processor_time(@$pids), $written->());
	return sub {
		my ($count) = @_;
		my %used = (cpu => 1e6 * (processor_time(@$pids) - $cpu) / $count, wal => ($written->() - $wal) / $count);
		$used{flushes} = (flushes($server) - $flushed) / $count if $options{flushes};
		return \%used;
	};
}

# How often the WAL was flushed since the server's start. A process tells the statistics what it has done when a
# transaction of its ends, and no more than once a second: so the worker is given something to look at after that.
sub flushes
{
	my ($server) = @_;
	my $session = $server->{bench_session};
	if (!$server->{bench_nudged})
	{
		$server->{bench_nudged} = 1;
		$server->define_destination('nudge');
		$session->sql(q{SELECT seats.pause('nudge', 'has the worker look')});
		$server->{bench_flushes} = $session->sql(q{SELECT current_setting('server_version_num')::integer >= 180000}) eq 't'
		  ? q{SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'}
		  : 'SELECT wal_sync FROM pg_stat_wal';
	}
	sleep 1.1;
	my $transactions = sub { $session->sql('SELECT transactions FROM seats_internal.worker_state()') };
	my $before = $transactions->();
	$session->sql(qq{SELECT seats.$_('nudge', 'has the worker look')}) foreach qw(resume pause);
	wait_until(sub { $transactions->() != $before }, 'the worker to look', timeout => 60, pause => 0.05);
	sleep 0.2;
	return $session->sql($server->{bench_flushes});
}

sub load_average
{
	open my $file, '<', '/proc/loadavg' or return '?';
	return (split / /, <$file>)[0];
}

# ---- servers

# The harness writes a configuration for tests: no flush, one megabyte of shared buffers, every
# statement in the log. This is what a small server would have, and it flushes.
sub bench_server
{
	my ($name, $simulator, %options) = @_;
	my $configuration = delete $options{configuration} // '';
	my $server = new_server($name, simulator => undef, fsync => 1, %options, configuration => <<"END");
log_statement = none
log_checkpoints = off
shared_buffers = 128MB
wal_level = replica
max_wal_size = 8GB
checkpoint_timeout = 30min
max_connections = 60
$configuration
END
	$server->{bench_session} = PgSeats::Session->new($server);
	if ($simulator)
	{
		$server->use_simulator($simulator);
		$server->define_destination('stripe', requests_per_second => 1_000_000);
		await_quiet($server);
	}
	return $server;
}

# A simulator that keeps little, so that it is not what is measured. With ANSWER_BYTES=12000 its answers are as long as
# Stripe's often are.
sub light_simulator
{
	my @length = $ENV{ANSWER_BYTES} ? ('--answer-bytes', $ENV{ANSWER_BYTES}) : ();
	return new_simulator(arguments => [ '--light', '--request-log', '1000', @length, @_ ]);
}

# How many requests may be on the wire.
sub set_pace { my ($server, $in_flight) = @_; return set_option($server, 'pg_seats.max_in_flight', $in_flight) }

# A setting that is taken over by a reload; undef: as it is by default.
sub set_option
{
	my ($server, $name, $value) = @_;
	my $session = $server->{bench_session};
	$session->sql(defined $value ? "ALTER SYSTEM SET $name = '$value'" : "ALTER SYSTEM RESET $name");
	$session->sql('SELECT pg_reload_conf()');
	# The worker takes it over before its next claim.
	sleep 0.3;
	return;
}

# Every matching request is answered so many milliseconds later; 0 takes the delay away.
sub delay_answers
{
	my ($simulator, $ms) = @_;
	$simulator->clear_faults;
	$simulator->fault({ match => { method => 'POST' }, fault => 'delay', ms => $ms, times => -1 })
	  if $ms;
	return;
}

# ---- programs

sub connection_of { my ($server) = @_; return $server->connstr($server->database) }
sub simulator_key { return $PgSeats::Simulator::api_key }

# What one of the programs of bench/ prints, as lines.
sub run_program
{
	my ($name, @arguments) = @_;
	croak 'BENCH_PROGRAMS does not name the programs; bench/run sets it' unless $ENV{BENCH_PROGRAMS};
	return run_command("$ENV{BENCH_PROGRAMS}/$name", @arguments);
}

sub run_command
{
	my ($name, @arguments) = @_;
	open my $output, '-|', $name, @arguments or croak "$name: $!";
	my @lines = <$output>;
	close $output or croak "$name failed; its message is in the log of this benchmark";
	chomp @lines;
	return @lines;
}

# ---- calls

# Columns and values of one call, for load_calls: { lane_id => 'g', due_at => '…' } replaces some. `g`
# is the number of the row.
sub call_values
{
	my (%columns) = @_;
	return {
		destination => "'stripe'",
		method => "'POST'",
		path => "'/v1/customers'",
		body => "'name=bench+' || g || '&description=a+customer+of+the+benchmark'",
		enqueued_by => 'current_user',
		installation => '(SELECT uuid FROM seats_internal.installation)',
		%columns };
}

# Straight into the table, as fast as it goes: the worker is told of it by the next enqueue_call, so
# one is added where wake => 1.
sub load_calls
{
	my ($server, $count, $columns, %options) = @_;
	$columns = call_values(%{ $columns // {} });
	my @names = sort keys %$columns;
	my $session = $server->{bench_session};
	$session->sql('BEGIN');
	if ($count > 0)
	{
		$session->sql('INSERT INTO seats_internal.outbox (' . join(', ', @names) . ') SELECT '
			  . join(', ', map { $columns->{$_} } @names) . " FROM generate_series(1, $count) AS g");
	}
	$session->sql(q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "wake"}')})
	  if $options{wake};
	$session->sql('COMMIT');
	return;
}

# pgbench with a script: {rate: transactions a second, cpu: µs of its backends for each, wal: bytes for each, flushes:
# of the WAL for each}. Options: database => another than the server's.
sub pgbench_run
{
	my ($server, $clients, $seconds, $script, %options) = @_;
	my $session = $server->{bench_session};
	my $jobs = $clients < 4 ? $clients : 4;
	my ($insert, $flushes) = (q{SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn}, $server->{bench_flushes} // '');
	my ($wal, $flushed) = ($session->sql($insert), $flushes && $session->sql($flushes));
	# (The harness gives all its sessions the name of its program.)
	local $ENV{PGAPPNAME} = 'pgbench';
	open my $output, '-|', 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', $jobs, '-T', $seconds, '-f',
	  $script, $server->connstr($options{database} // $server->database)
	  or die "pgbench: $!\n";
	# Backends are gone when it ends: what they use is seen while they run.
	sleep 0.3;
	my @backends = split /\n/,
	  $session->sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'});
	my ($cpu, $began) = (processor_time(@backends), time);
	sleep $seconds - 0.6;
	($cpu, my $watched) = (processor_time(@backends) - $cpu, time - $began);
	my $text = join '', <$output>;
	close $output or die "pgbench failed: $text\n";
	my ($rate) = $text =~ /^tps = ([\d.]+)/m or die "pgbench said: $text\n";
	my ($count) = $text =~ /actually processed: (\d+)/ or die "pgbench said: $text\n";
	return {
		rate => $rate,
		cpu => 1e6 * $cpu / $watched / $rate,
		wal => ($session->sql($insert) - $wal) / $count,
		flushes => $flushes ? ($session->sql($flushes) - $flushed) / $count : undef };
}

sub pgbench_rate { return pgbench_run(@_)->{rate} }

# Rows of the outbox, whatever their state.
sub count_open
{
	my ($server) = @_;
	return $server->{bench_session}->sql('SELECT count(*) FROM seats_internal.outbox');
}

# Until the worker runs, has read whatever backlog there is, and rests.
sub await_quiet
{
	my ($server) = @_;
	my $session = $server->{bench_session};
	my $quiet = 0;
	my $before = '';
	wait_until(
		sub {
			my $now = $session->sql(
				q{SELECT state = 'running' AND in_flight = 0 AND NOT reading_backlog, claims, sent, ready
					FROM seats_internal.worker_state()});
			$quiet = $now =~ /^t/ && $now eq $before ? $quiet + 1 : 0;
			$before = $now;
			return $quiet >= 5;
		},
		'the worker to rest',
		timeout => 120, pause => 0.1);
	return;
}

# A session that keeps an old snapshot, as pg_dump does. Returns the sub that ends it.
sub hold_old_snapshot
{
	my ($server) = @_;
	my $holder = PgSeats::Session->new($server);
	$holder->sql('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$holder->sql('SELECT count(*) FROM seats_internal.outbox');
	return sub { $holder->end_session; return };
}

1;
