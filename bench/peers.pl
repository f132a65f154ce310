# The same calls through other queues that live in PostgreSQL and store each result (peers/peer.mjs).
# bench/run installs them; without a registry this is skipped.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Drain;
use PgSeats::Peers;

if (!have_peers())
{
	say_line('  skipped: the peers could not be installed by npm');
	exit 0;
}

my $on_wire = 256;
my $calls = sized(10_000, 2_000);
my $rounds = sized(5, 2);
my %peers = (graphile => 'graphile-worker', pgboss => 'pg-boss');

my $simulator = light_simulator();
my $server = bench_server('peers', $simulator);
create_peers_database($server);

say_line("peers: $calls calls, $on_wire on the wire, each result stored");
my @rows = ([ 'delay', 'rounds', '', '/s', 'spread', 'rate', 'µs/call', 'cpu', 'WAL bytes' ]);
set_pace($server, $on_wire);
foreach my $delay (0, 50, 150)
{
	last if seconds_left() < 60;
	delay_answers($simulator, $delay);
	my %results;
	my $done = 0;
	drain($server, sized(2_000, 500));
	while ($done < $rounds && ($done < 1 || seconds_left() > 60))
	{
		push @{ $results{pg_seats} }, drain($server, $calls);
		push @{ $results{$_} }, peer($_) foreach sort keys %peers;
		$done++;
	}
	my @base;
	foreach my $who ('pg_seats', sort keys %peers)
	{
		my @values = map {
			my $field = $_;
			median(map { $_->{$field} } @{ $results{$who} })
		} qw(rate cpu wal);
		@base = @values unless @base;
		push @rows,
		  [
			"$delay ms", $done, $peers{$who} // $who, number($values[0]),
			spread(map { $_->{rate} } @{ $results{$who} }), ratio($base[0], $values[0]),
			number($values[1]), ratio($base[1], $values[1]), number($values[2])
		  ];
	}
}
title('requests a second and processor time per call (node and its backends); ratios are pg_seats over the peer');
print_table(@rows);

sub peer
{
	my ($kind) = @_;
	return run_peer($server, 'peer.mjs', $kind, peers_connection($server), $simulator->url, simulator_key(), $calls,
		$on_wire);
}
