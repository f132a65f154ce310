# Ways of an application to do the same, side by side: pgbench runs each of them in turns, and a table compares them.
package PgSeats::Ways;

use strict;
use warnings;
use utf8;
use Exporter 'import';
use PgSeats::Bench;

our @EXPORT = qw(compare_ways);

# compare_ways($server, ways => [{name, statements, database}, …], …): statements of pgbench, one alone a transaction of its
# own; `database`: another than the server's. More of %options:
#   clients  [1, 4, 16]
#   rounds, seconds  so often, for so long each
#   set      what pgbench is told first
#   forget   called with each way after it was run: its rows are not what the next is to carry along
#   ratios   [[title, number of the way that rates are compared with], …]
sub compare_ways
{
	my ($server, %options) = @_;
	my ($rounds, $seconds) = @options{ qw(rounds seconds) };
	my @ways = @{ $options{ways} };
	my @clients = @{ $options{clients} };
	my $directory = PostgreSQL::Test::Utils::tempdir('scripts');
	my @scripts = map { write_script("$directory/$_.sql", $options{set}, @{ $ways[$_]{statements} }) } 0 .. $#ways;
	my (%results, $done);
	flushes($server);
	for ($done = 0; $done < $rounds && ($done < 1 || seconds_left() > 30 + @ways * @clients * ($seconds + 1)); $done++)
	{
		foreach my $clients (@clients)
		{
			foreach my $number (0 .. $#ways)
			{
				my $way = $ways[$number];
				push @{ $results{$clients}[$number] },
				  pgbench_run($server, $clients, $seconds, $scripts[$number], database => $way->{database});
				$options{forget}->($way);
			}
		}
	}
	foreach my $clients (@clients)
	{
		my @of = map { my $runs = $_; sub { my ($field) = @_; return map { $_->{$field} } @$runs } } @{ $results{$clients} };
		title("$clients clients: transactions a second, and what each costs: processor time of the backend, WAL; "
			  . "medians of $done rounds of $seconds s; ratios of rates, to " . join ' and to ', map { $ways[ $_->[1] ]{name} } @{ $options{ratios} });
		print_table(
			[ '', '/s', 'spread', map({ $_->[0] } @{ $options{ratios} }), 'µs', 'WAL bytes', 'flushes' ],
			map {
				my ($way, $of) = ($ways[$_], $of[$_]);
				my $rate = median($of->('rate'));
				[
					$way->{name}, number($rate), spread($of->('rate')),
					map({ ratio($rate, median($of[ $_->[1] ]->('rate'))) } @{ $options{ratios} }),
					number(median($of->('cpu'))), number(median($of->('wal'))), number(median($of->('flushes')), 2) ]
			} 0 .. $#ways);
	}
	return;
}

sub write_script
{
	my ($path, @lines) = @_;
	open my $script, '>', $path or die "$path: $!\n";
	print $script join "\n", @lines, '';
	close $script or die "$path: $!\n";
	return $path;
}

1;
