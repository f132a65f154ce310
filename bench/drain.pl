# How fast a backlog goes out, and at what cost, beside a client that does nothing else
# (reference_client.cpp).
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Drain;

my $simulator = light_simulator();
my $url = $simulator->url;

my @courses = (
	# delay in ms, requests on the wire, calls, rounds
	[ 0, 64, sized(20_000, 4_000), sized(7, 3) ],
	[ 0, 256, sized(20_000, 4_000), sized(7, 3) ],
	[ 50, 256, sized(20_000, 4_000), sized(5, 2) ],
	[ 50, 512, sized(20_000, 4_000), sized(5, 2) ],
	[ 50, 1_000, sized(20_000, 4_000), sized(5, 2) ],
	[ 150, 256, sized(10_000, 2_000), sized(3, 2) ],
	[ 150, 2_000, sized(20_000, 4_000), sized(3, 2) ]);

my $server = bench_server('drain', $simulator);
create_reference_tables($server);
say_line('drain: a backlog of ready calls, pg_seats beside libpq and libcurl in one C++ loop');

my @rows = (
	[ 'delay', 'on wire', 'rounds', 'pg_seats /s', 'µs/call', 'storing /s', 'µs/call', 'rate', 'cpu',
		'bare /s', 'µs/call', 'rate', 'cpu' ]);
my @written = (
	[ 'delay', 'on wire', 'WAL bytes/call', 'flushes per 1000', 'storing: WAL bytes/call', 'spread of rates', 'storing' ]);
foreach my $course (@courses)
{
	my ($delay, $in_flight, $calls, $rounds) = @$course;
	last if seconds_left() < 120;
	set_pace($server, $in_flight);
	delay_answers($simulator, $delay);
	my (%rate, %cpu, %wal, @flushes);
	my $note = sub {
		my ($who, $result) = @_;
		push @{ $rate{$who} }, $result->{rate};
		push @{ $cpu{$who} }, $result->{cpu};
		push @{ $wal{$who} }, $result->{wal};
		push @flushes, 1_000 * $result->{flushes} if defined $result->{flushes};
		return;
	};
	drain($server, sized(2_000, 500));
	my $done = 0;
	while ($done < $rounds && ($done < 2 || seconds_left() > 120))
	{
		$note->('seats', drain($server, $calls, flushes => 1));
		$note->('results', reference($server, $url, $calls, $in_flight, 'results'));
		$note->('nothing', reference($server, $url, $calls, $in_flight, 'nothing'));
		$done++;
	}
	my ($rate, $cpu) = (median(@{ $rate{seats} }), median(@{ $cpu{seats} }));
	push @rows,
	  [
		"$delay ms", $in_flight, $done, number($rate), number($cpu),
		map {
			my ($other, $cost) = (median(@{ $rate{$_} }), median(@{ $cpu{$_} }));
			(number($other), number($cost), ratio($rate, $other), ratio($cpu, $cost))
		} qw(results nothing)
	  ];
	push @written,
	  [
		"$delay ms", $in_flight, number(median(@{ $wal{seats} })), number(median(@flushes)),
		number(median(@{ $wal{results} })), spread(@{ $rate{seats} }), spread(@{ $rate{results} })
	  ];
}
title('requests a second and processor time per call; ratios are pg_seats over the reference');
print_table(@rows);
title('what they write, and how far the rates of rounds lie apart');
print_table(@written);
delay_answers($simulator, 0);
compare_backlogs() if seconds_left() > 100;

# ---- large backlogs

sub compare_backlogs
{
	my $few = sized(20_000, 4_000);
	my $many = sized(1_000_000, 50_000);
	my $settled = sized(200_000, 20_000);
	my $big = bench_server('drain_big', $simulator);
	hold_back($big);
	load_calls($big, $many, undef, wake => 1);
	$big->{bench_session}->sql('ANALYZE seats_internal.outbox');
	my $old = bench_server('drain_old', $simulator);
	my $end_snapshot = hold_old_snapshot($old);
	load_calls($old, $settled, undef, wake => 1);
	wait_until(sub { count_open($old) == 0 }, 'all calls to be settled', timeout => 120, pause => 0.5);
	$server->sql('ALTER SYSTEM RESET pg_seats.max_in_flight');
	$server->reload;

	my @cases = (
		[ "backlog of $few", sub { drain($server, $few) } ],
		[ "… of $many, its first $few", sub { drain($big, $few, loaded => 1) } ],
		[ "… of $few, $settled settled under an old snapshot", sub { drain($old, $few) } ]);
	$_->[1]->() foreach @cases;
	my $rounds = 0;
	my %results;
	while ($rounds < sized(7, 3) && ($rounds < 2 || seconds_left() > 30))
	{
		push @{ $results{ $_->[0] } }, $_->[1]->() foreach @cases;
		$rounds++;
	}
	title("large backlogs, 256 on the wire, no delay; medians of $rounds rounds");
	my @table = ([ '', '/s', 'ratio', 'µs/call', 'ratio' ]);
	my @base;
	foreach my $case (@cases)
	{
		my @values = map {
			my $field = $_;
			median(map { $_->{$field} } @{ $results{ $case->[0] } })
		} qw(rate cpu);
		@base = @values unless @base;
		push @table,
		  [ $case->[0], map { (number($values[$_]), ratio($values[$_], $base[$_])) } 0, 1 ];
	}
	print_table(@table);
	$end_snapshot->();
	return;
}
