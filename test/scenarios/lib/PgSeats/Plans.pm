# What the worker's statements read: found by themselves, in its library and in the server's log.
#
#   my $plans = PgSeats::Plans->new($server);     # the server must log plans: see `configuration`
#   $plans->begin;
#   …                                             # the worker works
#   my @scans = $plans->scans;                    # every scan of a relation that it made meanwhile
#   my %statement = worker_statements($server);   # 'claim.cpp:80' => SQL
package PgSeats::Plans;

use strict;
use warnings;
use Exporter 'import';
use File::Basename qw(dirname);
use JSON::PP;

our @EXPORT = qw(worker_statements worker_settings);

my $sources = dirname(__FILE__) . '/../../../../src';

# Plans with what they really read, of the worker and of nobody else: other sessions switch it off
# ($ENV{PGOPTIONS}).
sub configuration
{
	return <<'END';
shared_preload_libraries = 'pg_seats, auto_explain'
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_timing = off
auto_explain.log_buffers = on
auto_explain.log_nested_statements = on
END
}

sub quiet_sessions { return '-c auto_explain.log_min_duration=-1' }

sub new
{
	my ($class, $server) = @_;
	return bless { server => $server, from => 0 }, $class;
}

sub begin { my ($self) = @_; $self->{from} = -s $self->{server}->logfile; return }

# Of the worker, or of another process. Of each: { relation, how (the node's line), rows, pages, query }. Rows are those that were looked at,
# in all loops; dead ones show in the pages only.
sub scans
{
	my ($self, $pid) = @_;
	$pid //= $self->{server}->worker_pid;
	open my $log, '<', $self->{server}->logfile or die "log: $!";
	seek $log, $self->{from}, 0;
	my (@scans, $is_plan, $query, $scan);
	while (my $line = <$log>)
	{
		if ($line =~ /^\d{4}-\d\d-\d\d \S+ \S+ \[(\d+)\]/)
		{
			$is_plan = $1 == $pid && $line =~ /duration: .* plan:$/;
			$query = '';
			undef $scan;
		}
		next unless $is_plan;
		if ($line =~ /(?:(?:Seq|Index|Index Only|Bitmap Heap|Tid|CTE) Scan .*)\(.*actual rows=(\S+) loops=(\d+)\)/)
		{
			my ($rows, $loops) = ($1, $2);
			my ($relation) = $line =~ / on (\w+)/;
			(my $how = $line) =~ s/^[\s>-]*|\s+$//g;
			push @scans, $scan = { relation => $relation // '', how => $how, loops => $loops,
				rows => $rows * $loops, pages => 0, query => $query };
		}
		elsif ($line =~ /\(.*(?:actual rows|never executed)/) { undef $scan }
		elsif ($scan && $line =~ /Rows Removed by (?:Filter|Index Recheck): (\d+)/) { $scan->{rows} += $1 * $scan->{loops} }
		elsif ($scan && $line =~ /Buffers: shared (.*)/)
		{
			my $buffers = $1;
			$scan->{pages} += $1 while $buffers =~ /(?:hit|read)=(\d+)/g;
		}
		elsif ($line =~ /cost=/) { }
		elsif ($line =~ /^\tQuery Text: (.*)/) { $query = $1 }
		elsif ($query ne '' && $line =~ /^\t(.*)/ && !$scan && $line !~ /^\t\s*(?:->|[A-Z][\w ]+:)/)
		{
			$query .= " $1";
		}
	}
	s/\s+/ /g foreach map { $_->{query} } @scans;
	return @scans;
}

# ---- the worker's statements, and its settings

# Every statement that the worker prepares, by its place in the sources: each makes itself known to the library.
sub worker_statements
{
	my ($server) = @_;
	my $rows = $server->sql(<<'END');
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.statements(OUT place text, OUT sql text) RETURNS SETOF record
LANGUAGE c AS '$libdir/pg_seats', 'pg_seats_statements';
SELECT jsonb_object_agg(place, sql) FROM pg_temp.statements();
END
	my $statements = JSON::PP::decode_json($rows);
	die 'the worker has no statements' unless keys %$statements > 50;
	return %$statements;
}

# SET statements for a session that is to plan as the worker does.
sub worker_settings
{
	my $code = slurp("$sources/process/life.cpp");
	my @settings;
	push @settings, "SET $1 = '$2';" while $code =~ /\bset\("((?:enable_|plan_|jit|max_parallel)\w*)", "(\w+)"\)/g;
	die 'the worker has no settings' unless @settings;
	return join ' ', @settings;
}

sub slurp
{
	my ($file) = @_;
	open my $handle, '<', $file or die "$file: $!";
	local $/ = undef;
	return <$handle>;
}

1;
