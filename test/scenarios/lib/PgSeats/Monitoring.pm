# Prometheus and the exporters of monitoring/README.md, as processes of one scenario, on ports of their own.
#
#   my @missing = missing_programs();
#   my $exporter = start_postgres_exporter($server);      # { name, port }
#   my $prometheus = start_prometheus({ pg_seats => [$exporter] });    # the job of that name in monitoring/prometheus.yml
#   my $rows = ask_prometheus($prometheus, 'pg_seats_worker_up');    # [ { metric => { … }, value => '1' } ]
#
# They end with the scenario, by their own process.
package PgSeats::Monitoring;

use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(basename dirname);
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PgSeats::Waiting;

our @EXPORT = qw(
  missing_programs monitoring_file start_postgres_exporter start_sql_exporter start_application start_prometheus
  address_of ask_prometheus prometheus_rules prometheus_alerts await_scrapes run_promtool
  board_queries grafana_types board_type_errors selectors_of on_call_statements);

my $pack = abs_path(dirname(__FILE__) . '/../../../../monitoring');
my $http = HTTP::Tiny->new(timeout => 10, proxy => undef, http_proxy => undef, https_proxy => undef);
my @running = ();

# Of those that Debian has.
sub missing_programs
{
	return grep { my $name = $_; !grep { -x "$_/$name" } split /:/, $ENV{PATH} }
	  qw(prometheus promtool prometheus-postgres-exporter prometheus-sql-exporter);
}

sub monitoring_file { return "$pack/$_[0]" }

sub read_monitoring_file { return slurp_file(monitoring_file($_[0])) }

sub directory { our $directory //= PostgreSQL::Test::Utils::tempdir('monitoring'); return $directory }

sub write_file
{
	my ($name, $text) = @_;
	my $path = directory() . "/$name";
	open my $handle, '>', $path or croak "$path: $!";
	print $handle $text;
	close $handle or croak "$path: $!";
	return $path;
}

# A program, with its port where PORT stands in its command; waits until its page answers.
sub start
{
	my ($name, %options) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my @command = map {s/PORT/$port/r} @{ $options{command} };
	my $log = "$PostgreSQL::Test::Utils::log_path/" . basename($0, '.pl') . "_$name.log";
	local %ENV = (%ENV, %{ $options{environment} // {} });
	my $process = IPC::Run::start(\@command, '<', \undef, '>', $log, '2>&1');
	my $program = { name => $name, port => $port, process => $process, log => $log };
	push @running, $program;
	wait_until(sub { $http->get("http://127.0.0.1:$port$options{page}")->{success} }, "$name to answer (its log: $log)");
	return $program;
}

END
{
	local $?;
	$_->{process}->kill_kill(grace => 2) foreach @running;
}

sub start_postgres_exporter
{
	my ($server, $role) = @_;
	return start(
		'postgres_exporter_' . $server->name,
		page => '/',
		environment => { DATA_SOURCE_NAME => sprintf 'host=%s port=%s user=%s dbname=%s sslmode=disable',
			$server->host, $server->port, $role, $server->database },
		command => [
			qw(prometheus-postgres-exporter --web.listen-address=127.0.0.1:PORT),
			'--extend.query-path=' . monitoring_file('prometheus-postgres-exporter.yml') ]);
}

# As the file says, but for the interval.
sub start_sql_exporter
{
	my ($server, $role) = @_;
	my $text = read_monitoring_file('prometheus-sql-exporter.yml');
	$text =~ s/^(\s+interval:) '15s'$/$1 '500ms'/m or croak 'no interval in prometheus-sql-exporter.yml';
	my $file = write_file('sql_exporter.yml', $text);
	return start(
		'sql_exporter',
		page => '/metrics',
		environment => { PGHOST => $server->host, PGPORT => $server->port, PGUSER => $role, PGDATABASE => $server->database },
		command => [ 'prometheus-sql-exporter', '-config.file', $file, '-web.listen-address', '127.0.0.1:PORT' ]);
}

# The application of the page, as it is printed there: node, with pg.
sub start_application
{
	my ($server, $role) = @_;
	my ($route) = read_monitoring_file('README.md') =~ /^```js\n(.*?)^```$/ms or croak 'no JavaScript in README.md';
	my $case = encode_json({
			route => $route, port => 'PORT',
			database => { host => $server->host, port => 0 + $server->port, database => $server->database, user => $role } });
	return start(
		'application',
		page => '/metrics',
		command => [ 'node', abs_path(dirname(__FILE__) . '/../metrics-page.js'), $case ]);
}

# As Prometheus calls it: the label instance.
sub address_of { return "127.0.0.1:$_[0]{port}" }

# start_prometheus({ job => [ exporter, … ] }): the example's configuration and the rules, with these targets, and every
# half second instead of every quarter of a minute.
sub start_prometheus
{
	my ($targets) = @_;
	my $text = read_monitoring_file('prometheus.yml');
	$text =~ s/(scrape_interval|evaluation_interval): 15s/$1: 500ms/g == 2 or croak 'other intervals in prometheus.yml';
	$text =~ s/^  - alerts\.yml$/  - @{[ monitoring_file('alerts.yml') ]}/m or croak 'no alerts.yml in prometheus.yml';
	foreach my $job (sort keys %$targets)
	{
		my $list = join ', ', map { "'" . address_of($_) . "'" } @{ $targets->{$job} };
		$text =~ s/(- job_name: $job\n\s+static_configs:\n\s+- targets: )\['127\.0\.0\.1:\d+'\]/${1}[$list]/
		  or croak "no job $job in prometheus.yml";
	}
	# (The others would be somebody else's.)
	$text =~ s/\n  (?:# .*\n  )*- job_name: (\w+)\n(?:    .*\n)*/exists $targets->{$1} ? $& : "\n"/ge;
	my $file = write_file('prometheus.yml', $text);
	my $prometheus = start(
		'prometheus',
		page => '/-/ready',
		command => [
			'prometheus', "--config.file=$file", '--storage.tsdb.path=' . directory() . '/data',
			'--web.listen-address=127.0.0.1:PORT', '--log.level=warn' ]);
	$prometheus->{targets} = $targets;
	return $prometheus;
}

sub api
{
	my ($prometheus, $path, %query) = @_;
	my $url = "http://127.0.0.1:$prometheus->{port}/api/v1/$path";
	$url .= '?' . $http->www_form_urlencode(\%query) if %query;
	my $answer = $http->get($url);
	my $data = eval { decode_json($answer->{content}) } // {};
	return $data if ($data->{status} // '') eq 'success';
	croak "prometheus: $path: " . ($data->{error} // "$answer->{status} $answer->{content}");
}

# What an expression comes to now; dies if it is none.
sub ask_prometheus
{
	my ($prometheus, $expression) = @_;
	my $data = api($prometheus, 'query', query => $expression)->{data};
	return [ { metric => {}, value => $data->{result}[1] } ] if $data->{resultType} eq 'scalar';
	return [ map { { metric => $_->{metric}, value => $_->{value}[1] } } @{ $data->{result} } ];
}

# All rules, as it has read them: { name, query, health, annotations, … }.
sub prometheus_rules
{
	my ($prometheus) = @_;
	return map { @{ $_->{rules} } } @{ api($prometheus, 'rules')->{data}{groups} };
}

# name of the alert -> [ its labels with the state ], pending and firing ones.
sub prometheus_alerts
{
	my ($prometheus) = @_;
	my %alerts = ();
	push @{ $alerts{ $_->{labels}{alertname} } }, { %{ $_->{labels} }, state => $_->{state} }
	  foreach @{ api($prometheus, 'alerts')->{data}{alerts} };
	return \%alerts;
}

# Until each target was scraped so often from now on, without an error.
sub await_scrapes
{
	my ($prometheus, $count) = @_;
	my %before = scrapes($prometheus);
	my @jobs = sort keys %{ $prometheus->{targets} };
	wait_until(
		sub {
			my %now = scrapes($prometheus);
			return !grep { ($now{$_} // 0) < ($before{$_} // 0) + $count } @jobs;
		},
		"$count scrapes of @jobs");
	return;
}

sub scrapes
{
	my ($prometheus) = @_;
	return map { $_->{metric}{job} => $_->{value} } @{ ask_prometheus($prometheus, 'sum by (job) (sum_over_time(up[1h]))') };
}

# promtool's exit status and all that it says; input is a text for its standard input.
sub run_promtool
{
	my ($input, @arguments) = @_;
	my $said = '';
	IPC::Run::run([ 'promtool', @arguments ], '<', \$input, '>', \$said, '2>&1');
	return ($? >> 8, $said);
}

# ---- what the files say

# [ title of the panel, expression, [ labels in its legend ] ] of all panels, with what Grafana puts in for variables.
sub board_queries
{
	my $board = decode_json(read_monitoring_file('board.json'));
	my @queries = ();
	foreach my $panel (@{ $board->{panels} })
	{
		foreach my $target (@{ $panel->{targets} // [] })
		{
			my $expression = $target->{expr} =~ s/\$__rate_interval/1m/gr =~ s/\$instance/.*/gr;
			push @queries, [ $panel->{title}, $expression, [ $target->{legendFormat} =~ /\{\{(\w+)\}\}/g ] ];
		}
	}
	return @queries;
}

sub grafana_types { return ($ENV{NODE_PATH} // '/nowhere') . '/@grafana/schema' }

# What tsc says of the board as a literal of Grafana's types, and of nothing where they do not look at it: a word that is
# none of theirs must be found.
sub board_type_errors
{
	my $types = slurp_file(abs_path(dirname(__FILE__) . '/../../../node') . '/board.ts');
	my $board = read_monitoring_file('board.json');
	symlink $ENV{NODE_PATH}, directory() . '/node_modules' or croak "node_modules: $!";
	my $right = write_file('right.ts', "${types}export const board: Board = $board;\n");
	$board =~ s/"drawStyle": "line"/"drawStyle": "lines"/ or croak 'the board has no lines';
	my $wrong = write_file('wrong.ts', "${types}export const board: Board = $board;\n");
	my $said = '';
	IPC::Run::run(
		[ 'node', "$ENV{NODE_PATH}/typescript/bin/tsc",
			qw(--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler --target es2022), $right, $wrong ],
		'<', \undef, '>', \$said, '2>&1');
	return 'a wrong word was not found' if $said !~ /wrong\.ts.*: error/;
	return join "\n", grep { !/wrong\.ts|^\s/ } split /\n/, $said;
}

# What an expression looks at: each selector, and of "a|b" each.
sub selectors_of
{
	my ($expression) = @_;
	my @selectors = ();
	foreach my $selector ($expression =~ /((?:pg_seats|sql_exporter)_\w+(?:\{[^}]*\})?)/g)
	{
		my ($words) = $selector =~ /=~"([a-z_|]+)"/;
		push @selectors, $words ? map { $selector =~ s/=~"[a-z_|]+"/="$_"/r } split /\|/, $words : $selector;
	}
	return @selectors;
}

# Of "What Prometheus tells" in docs/on-call.md.
sub on_call_statements
{
	my ($page) = slurp_file("$pack/../docs/on-call.md") =~ /^## What Prometheus tells$(.*)/ms or croak 'on-call.md: no such section';
	return map {s/\s+/ /gr} $page =~ /`(SELECT [^`]*;)`/g;
}

1;
