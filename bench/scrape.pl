# What does a look at metrics and health cost, with few rows and with many? Pages that it reads, and milliseconds; and how
# long the worker takes to count what is too much to be counted at each look.
use strict;
use warnings;
use utf8;
use JSON::PP qw(decode_json);
use PgSeats::Bench;
use Time::HiRes qw(time);

my $many = sized(1_000_000, 100_000);
my $rounds = sized(30, 10);

my %looks = (
	'seats.metrics' => 'SELECT * FROM seats.metrics',
	'seats.metrics_text()' => 'SELECT seats.metrics_text()',
	'seats.health' => 'SELECT * FROM seats.health');

my $simulator = light_simulator();
my $server = bench_server('scrape', $simulator, configuration => "pg_seats.reconcile = off\npg_seats.safety_poll = '1s'");
my $session = $server->{bench_session};
$session->sql(q{SELECT seats.pause('stripe', 'its calls are there to be counted')});
$session->sql(q{INSERT INTO seats_internal.seat_type SELECT 'team', 50, NULL, NULL, 'create_prorations',
	'allow_incomplete', 'create_prorations', true, now(), current_user});

my @rows = ([ 'rows of each', 'look', 'pages', 'ms', 'ms at most', 'counted after s' ]);
my $filled = 0;
foreach my $count (1_000, $many)
{
	fill($count - $filled);
	$filled = $count;
	my $seconds = await_counted($count);
	foreach my $look (sort keys %looks)
	{
		my @times = map { time_of($looks{$look}) } 1 .. $rounds;
		push @rows,
		  [
			$count, $look, pages_of($looks{$look}), number(median(@times), 1), number(percentile(0.95, @times), 1),
			number($seconds, 1)
		  ];
	}
}
title('a look, with so many open calls, handlers, teams, seat lines and members');
print_table(@rows);

sub fill
{
	my ($count) = @_;
	$session->sql(<<"END");
INSERT INTO seats_internal.lane (destination, name) SELECT 'stripe', 'filled ' || $filled + n FROM generate_series(1, $count) AS n;
INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, created_at)
SELECT l.id, i.uuid, 'stripe', 'POST', '/v1/customers', 'name=x', '$filled', now() - interval '2 minutes'
  FROM seats_internal.lane AS l CROSS JOIN seats_internal.installation AS i
 WHERE NOT EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.lane_id = l.id);
INSERT INTO seats_internal.handler (call_id, installation, lane_id, role, role_oid, on_done)
SELECT o.id, o.installation, o.lane_id, current_user, current_user::regrole, 'public.noted'
  FROM seats_internal.outbox AS o WHERE o.enqueued_by = '$filled';
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, registered_by, status)
SELECT 'team ' || o.lane_id, 'stripe', 'sub_' || o.lane_id, o.lane_id, '$filled', 'active'
  FROM seats_internal.outbox AS o WHERE o.enqueued_by = '$filled';
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity)
SELECT t.id, 'team', 5, 5 FROM seats_internal.team AS t WHERE t.registered_by = '$filled';
INSERT INTO seats_internal.member (team_id, user_id, seat_type, role)
SELECT t.id, 'ada', 'team', 'owner' FROM seats_internal.team AS t WHERE t.registered_by = '$filled';
END
	return;
}

# How long after the rows were there all of them are counted.
sub await_counted
{
	my ($count) = @_;
	my $began = time;
	wait_until(
		sub {
			return $session->sql(<<'END') eq "$count $count $count";
SELECT string_agg(m.value::text, ' ') FROM seats.metrics AS m
 WHERE m.name = 'pg_seats_outbox_calls' AND m.labels @> '{"destination": "stripe", "state": "pending"}'
    OR m.name = 'pg_seats_handlers' AND m.labels @> '{"state": "open"}'
    OR m.name = 'pg_seats_seats' AND m.labels @> '{"state": "used"}'
END
		},
		'all rows to be counted', timeout => 300, pause => 0.2);
	return time - $began;
}

sub time_of
{
	my ($sql) = @_;
	my $began = time;
	$session->sql($sql);
	return 1_000 * (time - $began);
}

sub pages_of
{
	my ($sql) = @_;
	my ($plan) = @{ decode_json($session->sql("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) $sql")) };
	return $plan->{Plan}{'Shared Hit Blocks'} + $plan->{Plan}{'Shared Read Blocks'};
}
