# monitoring/: what it says is tried with the programs themselves. Debian's two exporters and an application ask a real
# database, a Prometheus scrapes them; whatever rules and board ask for is asked of it, and promtool judges the files.
use strict;
use warnings;
use IPC::Run ();
use PgSeats::Copies;
use PgSeats::Monitoring;
use PgSeats::Payments;
use PgSeats::Scenario;
use PgSeats::Seats;
use PgSeats::Webhooks;

my @missing = missing_programs();
plan skip_all => "not installed: @missing" if @missing;

# Takes some seconds, so it runs beside the rest.
my $rules_said = '';
my $rules_test = IPC::Run::start([ qw(promtool test rules), map { monitoring_file($_) } qw(alerts.test.yml alerts.days.test.yml) ],
	'<', \undef, '>', \$rules_said, '2>&1');

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, allows_streaming => 1, configuration => in_a_hurry());
open_shop($server);
$server->wait_for_worker;
define_seat_type($server, 'team');
new_team($server, $stripe, 'acme', seats => { team => 2 });
$server->sql(q{CREATE ROLE prometheus LOGIN; SELECT seats.grant_monitor('prometheus')});

# Something of everything that there can be.
define_endpoint($server, 'main');
$server->sql(q{SELECT FROM seats.read_journal('chat')});
share_bill($server, 'dinner', { ada => 1000 });
await_payment($server, start_payment($server, 'dinner', 'ada'), 'payable');
list_intents($server);
receive($server, 'main', event_body('charge.succeeded', { id => 'ch_1' }));

$server->backup('base');
my $standby = copy_of_server($server, 'standby', backup => 'base', streaming => 1);
$standby->start;

my %targets = (
	pg_seats => [ start_postgres_exporter($server, 'prometheus'), start_postgres_exporter($standby, 'prometheus') ],
	pg_seats_sql_exporter => [ start_sql_exporter($server, 'prometheus') ]);
my $pg = `node -p 'require("pg/package.json").version' 2>/dev/null` // '';
$targets{pg_seats_application} = [ start_application($server, 'prometheus') ] if $pg ne '';
my $instances = map {@$_} values %targets;
my $prometheus = start_prometheus(\%targets);
await_scrapes($prometheus, 1);
await_change($server, add_seats($server, 'acme', 1), 'confirmed') foreach 1 .. 3;
await_scrapes($prometheus, 2);

# ---- the same names and labels, whoever is asked

# 'name label=value …' of all series of the primary in a job, in order.
sub series_of
{
	my ($job) = @_;
	my @series = ();
	my $instance = address_of($targets{$job}[0]);
	foreach my $row (@{ ask_prometheus($prometheus, qq({job="$job", instance="$instance", __name__=~"pg_seats_.+"})) })
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
cmp_ok(scalar @$expected, '>', 100, 'there are metrics');
is_deeply(series_of($_), $expected, "$_: names and labels are those of seats.metrics") foreach sort keys %targets;

# What an exporter says beside them is as it was.
is(join(' ', map { join ' ', sort keys %{ $_->{metric} } } @{ ask_prometheus($prometheus, $_->[0]) }), $_->[1], 'left alone: ' . $_->[1])
  foreach [ 'pg_static{instance="' . address_of($targets{pg_seats}[0]) . '"}', '__name__ instance job server short_version version' ],
  [ 'sql_exporter_last_scrape_failed', '__name__ driver instance job query sql_job' ];

my ($status, $said) = run_promtool($server->sql('SELECT seats.metrics_text()') . "\n", qw(check metrics));
is("$status $said", '0 ', 'promtool has nothing to say about metrics_text');

# ---- the board

my @mistakes = ();
foreach my $query (board_queries())
{
	my ($title, $expression, $legend) = @$query;
	my $rows = eval { ask_prometheus($prometheus, $expression) };
	push @mistakes, "$title: $expression: " . ($@ || 'nothing') unless $rows && @$rows;
	push @mistakes, "$title: $expression: not all have what the legend names: @$legend"
	  if grep {
		my $row = $_;
		grep { !defined $row->{metric}{$_} } @$legend
	  } @{ $rows // [] };
	push @mistakes, "$title: $expression: no number"
	  if $expression =~ /histogram_quantile/ && grep { $_->{value} eq 'NaN' } @{ $rows // [] };
}
cmp_ok(scalar(board_queries()), '>', 50, 'the board asks for much');
is(join("\n", @mistakes), '', 'whatever the board asks for is there');
is(board_type_errors(), '', 'and it is a board') if -d grafana_types();
diag('the types of the board are not checked: node, or @grafana/schema, is not installed') unless -d grafana_types();

# ---- the rules

my @rules = prometheus_rules($prometheus);
cmp_ok(scalar @rules, '>', 20, 'there are rules');
is(join(' ', map { $_->{name} } grep { $_->{health} ne 'ok' } @rules), '', 'and all can be computed');
@mistakes = ();
foreach my $rule (@rules)
{
	# A rule that is silent says nothing: what it looks at must be there.
	push @mistakes, "$rule->{name}: $_" foreach grep { !@{ ask_prometheus($prometheus, $_) } } selectors_of($rule->{query});
}
is(join("\n", @mistakes), '', 'and whatever they look at is there');
my $without = ask_prometheus($prometheus, 'pg_seats_worker_up == 0');
is(join(' ', map { $_->{metric}{instance} } @$without), address_of($targets{pg_seats}[1]), 'there is no worker at the standby');
is(join(' ', sort keys %{ prometheus_alerts($prometheus) }), '', 'but all is well, and nothing is told');

# Our key is revoked: the real rule sees it.
$stripe->control('POST', '/keys', { key => 'sk_test_simulator', state => 'revoked' });
add_seats($server, 'acme', 1);
$server->wait_for_sql(q{SELECT state FROM seats.destinations WHERE name = 'stripe'}, 'halted');
my @told = qw(PgSeatsAlerts PgSeatsDestinationHalted);
wait_until(
	sub {
		my $alerts = prometheus_alerts($prometheus);
		return !grep { @{ $alerts->{$_} // [] } != $instances } @told;
	},
	'both rules to see the halt, at each instance');
is_deeply([ sort keys %{ prometheus_alerts($prometheus) } ], \@told, 'a halt, its alert, and nothing else is told');
$stripe->control('POST', '/keys', { key => 'sk_test_simulator', state => 'active' });

# ---- what stands in docs/on-call.md and in the files

my @statements = on_call_statements();
cmp_ok(scalar @statements, '>', 8, 'the page has statements');
foreach my $statement (@statements)
{
	my ($failed, undef, $error) = $server->try_sql("EXPLAIN $statement");
	is($error, '', "$statement") if $failed;
}

# ---- the database is away

$server->assert_log_clean;
$standby->assert_log_clean;
$_->stop foreach $standby, $server;
wait_until(
	sub {
		my $failing = ask_prometheus($prometheus, 'sql_exporter_last_scrape_failed{query="pg_seats"} == 1');
		my $gone = ask_prometheus($prometheus, 'absent(pg_seats_info{job="pg_seats"})');
		return @$failing && @$gone;
	},
	'both exporters to show that the database is away');
pass('what PgSeatsNoData asks for tells that the database is away');
$stripe->stop;

($status, $said) = run_promtool('', qw(check config), monitoring_file('prometheus.yml'));
is($status, 0, 'promtool: the configuration') or diag $said;
ok($rules_test->finish, 'promtool: the tests of the rules') or diag $rules_said;
done_testing();
