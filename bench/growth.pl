# Does a change of seats cost the same, however much there is: ten teams, ten thousand, a million; a million rows of
# backlog; eight weeks of history; an old snapshot; one team with ten thousand changes pending?
#
# Servers stand side by side and are measured in turns, round by round. A subscription is read before each change, so that
# all of a change's way is in it. TEAMS=10,10000,1000000 and ROWS=1000000 (of backlog, of history) say how much is loaded; loading
# takes no more than half of the time there is, and what was really loaded is said.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Teams;
use Time::HiRes qw(sleep time);

my @sizes = split /,/, $ENV{TEAMS} // ($quick ? '10,1000,20000' : '10,10000,1000000');
my $many = $ENV{ROWS} // sized(1_000_000, 20_000);
my $usual = $sizes[1] // $sizes[0];
my $pending = sized(10_000, 1_000);
my $rounds = sized(7, 2);
# How many changes come at once, and how often.
my %portions = (1 => sized(30, 10), 10 => sized(40, 10), 1_000 => sized(2, 1));
# Teams that have a subscription at the simulator; they lie between the others.
my $measured = 20_000;
# A part of a table that is loaded at once, so that the time can be looked at in between.
my $piece = 50_000;
my $loading_ends = time + seconds_left() / 2;
my $servers = 0;

my $simulator = light_simulator();
my @cases = (
	(map { my $count = $_; { name => number_of($count) . ' teams', teams => $count, load => sub { '' } } } @sizes),
	{ name => 'rows of backlog', load => \&load_backlog },
	{ name => 'rows of history and of the journal, in eight rings', load => \&load_history },
	{ name => 'changes made under an old snapshot', load => \&change_under_snapshot },
	{ name => 'changes of one team pending', load => \&load_pending });
# The first that is measured is what all are compared with.
@cases = sort { ($b->{name} eq number_of($usual) . ' teams') <=> ($a->{name} eq number_of($usual) . ' teams') } @cases;

set_up($_) foreach @cases;
my $done = 0;
while ($done < $rounds && ($done < 2 || seconds_left() > 60))
{
	# (Nobody is always the first, after a rest.)
	my @turns = map { $cases[ ($_ + $done) % @cases ] } 0 .. $#cases;
	measure_all($_, $_->{results} //= {}) foreach @turns;
	measure_rest();
	$done++;
}
report();
drain_pending($cases[-1]);

sub number_of
{
	my ($number) = @_;
	1 while $number =~ s/(\d)(\d{3})\b/$1 $2/;
	return $number;
}

# ---- loading

sub set_up
{
	my ($case) = @_;
	my $name = 'g' . ++$servers;
	# (One Stripe has what all servers have changed: each would list the events of all of them, a minute after, while others
	# are measured.)
	my $server = bench_server($name, $simulator, configuration => "pg_seats.reconcile = off\npg_seats.event_check_after = '1h'");
	$case->{server} = $server;
	$case->{own} = $server->{bench_session}->sql('SELECT pg_backend_pid()');
	$case->{teams} //= $usual;
	$case->{measured} = $case->{teams} < $measured ? $case->{teams} : $measured;
	load_teams($case, $name);
	my $loaded = $case->{load}->($case);
	$case->{name} = number_of($loaded) . " $case->{name}" if $loaded;
	$case->{name} .= sprintf ' (%s teams)', number_of($case->{teams}) if $loaded && $case->{teams} != $usual;
	set_option($server, 'pg_seats.base_lifetime', '0');
	$server->{bench_session}->sql('VACUUM ANALYZE');
	$server->{bench_session}->sql('CHECKPOINT');
	await_quiet($server);
	$case->{worker} = $server->worker_pid;
	$case->{next} = 0;
	measure_all($case, {});
	return;
}

# One team is registered and read; the others are like it. The measured ones lie at equal distances.
sub load_teams
{
	my ($case, $name) = @_;
	my $server = $case->{server};
	my $session = $server->{bench_session};
	make_subscriptions($simulator, "${name}t", 1);
	make_subscriptions($simulator, $name, $case->{measured});
	register_teams($server, "${name}t", 1);
	my $lane = $session->sql('SELECT lane_id FROM seats_internal.team');
	# (Its number is wanted.)
	$session->sql(q{UPDATE seats_internal.team SET name = 'template'});
	my $step = int $case->{teams} / $case->{measured};
	my ($id, $of) = ('(1000000 + g)', "CASE WHEN g % $step = 0 THEN '$name' || '_' || g / $step ELSE '${name}none_' || g END");
	my %like = (
		lane => { id => $id, name => "'/v1/subscriptions/sub_' || $of" },
		lane_marker => { lane_id => $id },
		team => {
			id => $id, lane_id => $id, name => "'team-' || CASE WHEN g % $step = 0 THEN g / $step || '' ELSE 'none-' || g END",
			subscription => "'sub_' || $of", customer => "'cus_' || $of",
			items => "replace(r.items::text, 'si_${name}t_1', 'si_' || $of)::jsonb" },
		seat_line => { team_id => $id },
		member => { id => $id, team_id => $id });
	my $count = in_pieces($case->{teams}, sub {
			my ($from, $to) = @_;
			foreach my $table (qw(lane lane_marker team seat_line member))
			{
				my $where = { lane => "id = $lane", lane_marker => "lane_id = $lane" }->{$table} // 'true';
				copy_rows($session, $table, "(SELECT * FROM seats_internal.$table WHERE $where ORDER BY 1 LIMIT 1)", $from, $to, $like{$table});
			}
		});
	return unless $count < $case->{teams};
	$case->{teams} = $count;
	$case->{measured} = int $count / $step;
	$case->{name} = number_of($count) . ' teams';
	return;
}

# Runs $load for parts of so many rows, until the time for loading is over. Returns how many were loaded.
sub in_pieces
{
	my ($count, $load) = @_;
	my $loaded = 0;
	while ($loaded < $count)
	{
		last if $loaded && time > $loading_ends;
		my $to = $loaded + $piece < $count ? $loaded + $piece : $count;
		$load->($loaded + 1, $to);
		$loaded = $to;
	}
	return $loaded;
}

# Rows from $from to $to, like that of $source but for some columns; `g` is the row's number.
sub copy_rows
{
	my ($session, $table, $source, $from, $to, $columns) = @_;
	my @names = split /\n/, $session->sql(<<"END");
SELECT attname FROM pg_attribute
 WHERE attrelid = 'seats_internal.$table'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
END
	$session->sql("INSERT INTO seats_internal.$table (" . join(', ', @names) . ') SELECT '
		  . join(', ', map { $columns->{$_} // "r.$_" } @names)
		  . " FROM $source AS r, generate_series($from, $to) AS g");
	return;
}

sub load_backlog
{
	my ($case) = @_;
	my $server = $case->{server};
	$server->define_destination('other');
	await_quiet($server);
	$server->sql(q{SELECT seats.pause('other', 'to be in the way')});
	return in_pieces($many, sub {
			my ($from, $to) = @_;
			load_calls($server, $to - $from + 1, { destination => "'other'" });
		});
}

# What a change and its read leave, in all partitions, of all teams; the newest is a day and a half old. (Of younger
# ones Stripe's limits are counted.)
sub load_history
{
	my ($case) = @_;
	my $session = $case->{server}{bench_session};
	add_changes($case->{server}, 1, 1);
	await_changes($case->{server});
	wait_until(sub { $session->sql('SELECT count(*) FROM seats_internal.journal WHERE number IS NOT NULL AND call_id IS NOT NULL') > 0 },
		'its end to be told');
	my $offset = $session->sql('SELECT max(id) FROM seats_internal.outbox_history');
	my $at = "now() - interval '36 hours' - (g % 8) * interval '7 days' - g * interval '0.1 second'";
	my ($team, $lane) = (("1000001 + g % $case->{teams}") x 2);
	my $from_history = q{(SELECT * FROM seats_internal.outbox_history WHERE kind = 'change' LIMIT 1)};
	my $from_journal = q{(SELECT * FROM seats_internal.journal WHERE number IS NOT NULL AND call_id IS NOT NULL LIMIT 1)};
	# (Slot 0 is written; the oldest is 1.)
	my $ring = '((8 - g % 8) % 8)::smallint';
	my $loaded = in_pieces($many, sub {
			my ($from, $to) = @_;
			copy_rows($session, 'outbox_history', $from_history, $from, $to,
				{ ring => $ring, id => "$offset + g", uuid => 'gen_random_uuid()', settled_at => $at, created_at => $at,
					first_sent_at => $at, team_id => $team, lane_id => $lane });
			copy_rows($session, 'journal', $from_journal, $from, $to,
				{ ring => $ring, id => "1000000 + g", number => "-g", at => $at, call_id => "$offset + g", lane_id => $lane });
		});
	$session->sql("SELECT setval(pg_get_serial_sequence('seats_internal.$_', 'id'), 10000000)") foreach qw(outbox journal);
	return $loaded;
}

sub change_under_snapshot
{
	my ($case) = @_;
	my $server = $case->{server};
	$server->{bench_end_snapshot} = hold_old_snapshot($server);
	my $count = $case->{measured};
	set_option($server, 'pg_seats.base_lifetime', '600s');
	my $changed = 0;
	foreach my $turn (1 .. sized(4, 1))
	{
		last if $changed && time > $loading_ends;
		add_changes($server, 1, $count);
		await_changes($server);
		$changed += $count;
	}
	return $changed;
}

# Its lane is paused, and each comes in a transaction of its own with the next hundred.
sub load_pending
{
	my ($case) = @_;
	my $session = $case->{server}{bench_session};
	$case->{lane} = $session->sql(q{SELECT l.name FROM seats_internal.team AS t JOIN seats_internal.lane AS l ON l.id = t.lane_id
		WHERE t.name = 'team-1'});
	$session->sql("SELECT seats.pause('stripe', 'to be in the way', '$case->{lane}')");
	my $made = 0;
	while ($made < $pending && (!$made || time < $loading_ends))
	{
		my $cpu = processor_time($case->{own});
		$session->sql(q{SELECT count(seats.add_seats('team-1', 'team', 1, 'ada')) FROM generate_series(1, 100)});
		$made += 100;
		push @{ $case->{adding} }, 1e4 * (processor_time($case->{own}) - $cpu);
	}
	$case->{pending} = $made;
	$case->{next_first} = 1;
	return $made;
}

# ---- measuring

# What the workers do by the clock while nobody does anything: all of them at once.
sub measure_rest
{
	my $seconds = sized(6, 3);
	my @before = map { processor_time($_->{worker}) } @cases;
	sleep $seconds;
	push @{ $cases[$_]{rest} }, 60e3 / $seconds * (processor_time($cases[$_]{worker}) - $before[$_]) foreach 0 .. $#cases;
	return;
}

sub measure_all
{
	my ($case, $results) = @_;
	foreach my $size (sort { $a <=> $b } keys %portions)
	{
		next if $size > $case->{measured} - ($case->{next_first} // 0);
		push @{ $results->{$size} }, portions($case, $size, $portions{$size});
	}
	return;
}

# Changes of so many teams at once, so often: what one costs the worker and the application, and ms until all are settled.
sub portions
{
	my ($case, $size, $times) = @_;
	my (@worker, @application, @ms);
	my $session = $case->{server}{bench_session};
	foreach (1 .. $times)
	{
		my ($first, $last) = next_teams($case, $size);
		my $before = $session->sql('SELECT last_value FROM seats_internal.outbox_id_seq');
		my ($cpu, $own) = map { processor_time($case->{$_}) } qw(worker own);
		my $began = time;
		add_changes($case->{server}, $first, $last);
		push @application, processor_time($case->{own}) - $own;
		my $left = "SELECT FROM seats_internal.outbox WHERE id > $before AND kind = 'change'";
		while ($session->sql("SELECT EXISTS ($left)") eq 't')
		{
			die "changes are not settled\n" if time - $began > 120;
			sleep $size > 10 ? 0.02 : 0.002;
		}
		push @ms, 1e3 * (time - $began);
		# What is done behind a settlement, numbering and telling, is part of it.
		sleep $size > 10 ? 0.3 : 0.03;
		push @worker, processor_time($case->{worker}) - $cpu;
	}
	# (Medians: what the worker does by the clock falls into one of many.)
	return { ms => median(@ms), map { $_->[0] => 1e6 * median(@{ $_->[1] }) / $size } [ worker => \@worker ], [ application => \@application ] };
}

# Each team in its turn. Where they are few, they come again sooner than Stripe's limits allow: what was settled is
# forgotten. (A million rows of history are not: there are enough teams.)
sub next_teams
{
	my ($case, $size) = @_;
	my $skipped = $case->{next_first} // 0;
	if ($case->{next} + $size > $case->{measured} - $skipped)
	{
		$case->{next} = 0;
		$case->{server}{bench_session}->sql(
			q{DELETE FROM seats_internal.outbox_history WHERE ring = 0 AND settled_at > now() - interval '1 day'});
	}
	my $first = $skipped + $case->{next} + 1;
	$case->{next} += $size;
	return ($first, $first + $size - 1);
}

# ---- the tables

sub report
{
	title("a change of seats, a read and a POST each: processor time of the worker for each, of the application's backend for "
		  . "each (add_seats), and ms from its statement until all are settled; medians of $done rounds. At rest: processor time of "
		  . 'the worker in a minute without changes');
	my @sizes = sort { $a <=> $b } keys %portions;
	my @fields = ([ worker => 'µs', 0 ], [ application => 'app µs', 0 ], [ ms => 'ms', 1 ]);
	my @rows = [ 'changes at once', map { my $size = $_; map { ("$size: $_->[1]", 'ratio') } @fields } @sizes ];
	push @{ $rows[0] }, 'at rest: ms';
	foreach my $case (@cases)
	{
		push @rows, [
			$case->{name},
			map {
				my $size = $_;
				map {
					my ($field, undef, $digits) = @$_;
					my ($value, $base) =
					  map { $_->{results}{$size} ? median(map { $_->{$field} } @{ $_->{results}{$size} }) : undef }
					  ($case, $cases[0]);
					(number($value, $digits), ratio($value, $base))
				} @fields
			} @sizes ];
		push @{ $rows[-1] }, number(mean(@{ $case->{rest} }));
	}
	print_table(@rows);
	return;
}

# One more for a team that has so many pending, and how they go out at last.
sub drain_pending
{
	my ($case) = @_;
	my $session = $case->{server}{bench_session};
	my @adding = @{ $case->{adding} };
	my @at = grep { $_ <= $#adding } (0, 1, 9, 49, 99);
	my $cpu = processor_time($case->{worker});
	my $began = time;
	$session->sql("SELECT seats.resume('stripe', 'enough', '$case->{lane}')");
	my $left = q{SELECT FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.lane_id = o.lane_id
		WHERE t.name = 'team-1' AND o.kind = 'change'};
	while ($session->sql("SELECT EXISTS ($left)") eq 't' && time - $began < 120) { sleep 0.05 }
	my $spent = time - $began;
	sleep 0.5;
	$cpu = processor_time($case->{worker}) - $cpu;
	title("one team with $case->{pending} changes pending");
	print_table(
		[ (map { 'one more behind ' . 100 * $_ . ', µs' } @at), 's until all are settled', 'µs of the worker for each' ],
		[ (map { number($adding[$_]) } @at), number($spent, 2), number(1e6 * $cpu / $case->{pending}, 1) ]);
	return;
}
