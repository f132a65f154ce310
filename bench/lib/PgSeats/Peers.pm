# Programs of bench/peers, beside pg_seats on the same server, in a database without the extension: nothing of ours runs
# in it. bench/run installs them; without a registry there are none.
package PgSeats::Peers;

use strict;
use warnings;
use utf8;
use Exporter 'import';
use PgSeats::Bench;

our @EXPORT = qw(have_peers create_peers_database peers_connection run_peer);

sub have_peers { return $ENV{BENCH_PEERS} ? 1 : 0 }

sub create_peers_database
{
	my ($server) = @_;
	$server->sql('CREATE DATABASE peers');
	return;
}

sub peers_connection
{
	my ($server, $database) = @_;
	$database //= 'peers';
	return 'postgresql://' . getpwuid($<) . "\@/$database?host=" . $server->host . '&port=' . $server->port;
}

# run_peer($server, 'peer.mjs', arguments …): what a program has used that prints 'count seconds cpu-of-node
# cpu-of-its-backends'.
sub run_peer
{
	my ($server, $program, @arguments) = @_;
	my $costs = watch_costs($server, []);
	my $flushes = $server->{bench_flushes} ? flushes($server) : undef;
	my ($line) = run_command('timeout', 300, 'node', "$ENV{BENCH_PEERS}/$program", @arguments);
	my ($made, $seconds, $own, $backends) = split / /, $line;
	return {
		rate => $made / $seconds,
		cpu => 1e6 * ($own + $backends) / $made,
		wal => $costs->($made)->{wal},
		flushes => defined $flushes ? (flushes($server) - $flushes) / $made : undef };
}

1;
