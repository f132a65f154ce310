# monitoring/: what it says is tried with the programs themselves. Both exporters of Debian's ask a real database, a
# Prometheus scrapes them, and promtool judges the files.
use strict;
use warnings;
use PgSeats::Monitoring;
use PgSeats::Scenario;
use PgSeats::Seats;

my @missing = missing_programs();
plan skip_all => "not installed: @missing" if @missing;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');
new_team($server, $stripe, 'acme', seats => { team => 2 });
$server->sql(q{CREATE ROLE prometheus LOGIN; SELECT seats.grant_monitor('prometheus')});

my %exporters = (
	pg_seats => start_postgres_exporter($server, 'prometheus'),
	pg_seats_sql_exporter => start_sql_exporter($server, 'prometheus'));
my $prometheus = start_prometheus(\%exporters);
await_scrapes($prometheus, 2);

# ---- the same names and labels out of both

# 'name label=value …' of all series of a job, in order.
sub series_of
{
	my ($job) = @_;
	my @series = ();
	foreach my $row (@{ ask_prometheus($prometheus, qq({job="$job", __name__=~"pg_seats_.+"})) })
	{
		my %labels = %{ $row->{metric} };
		my $name = delete $labels{__name__};
		delete @labels{qw(job instance)};
		push @series, join ' ', $name, map {"$_=$labels{$_}"} sort keys %labels;
	}
	return [ sort @series ];
}

my $expected = [ sort split /\n/, $server->sql(<<'END') ];
SELECT concat_ws(' ', m.name, (SELECT string_agg(l.key || '=' || l.value, ' ' ORDER BY l.key COLLATE "C")
                                 FROM jsonb_each_text(m.labels) AS l))
  FROM seats.metrics AS m
END
cmp_ok(scalar @$expected, '>', 30, 'there are metrics');
is_deeply(series_of($_), $expected, "$_: names and labels are those of seats.metrics") foreach sort keys %exporters;

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
