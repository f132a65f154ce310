# Changes of seats on their way to Stripe: how fast many teams' changes go out and at what cost, beside an outbox worker
# in Node with Stripe's library (peers/seat_worker.mjs) and a bare C++ client; and how many requests a burst for one
# team makes. (What a change costs the application: buying.pl.)
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Drain;
use PgSeats::Peers;
use PgSeats::Teams;

my $teams = sized(5_000, 500);
my $rounds = sized(5, 2);
my $on_wire = 256;

my $simulator = light_simulator();
my $server = bench_server('seats', $simulator);
my $session = $server->{bench_session};
create_reference_tables($server);
create_peers_database($server);
make_subscriptions($simulator, $_, $teams) foreach qw(own node);
register_teams($server, 'own', $teams);
set_pace($server, $on_wire);

my @ways = (
	[ 'pg_seats, a POST (base proved lately)', sub { changes_of(0) } ],
	[ 'pg_seats, a read and a POST', sub { changes_of(1) } ],
	have_peers() ? [ 'Node, Stripe\'s library: a read and a POST', \&node_worker ] : (),
	[ 'C++, storing nothing: a POST', sub { reference($server, $simulator->url, $teams, $on_wire, 'nothing') } ]);
compare($_) foreach 0, 50;
count_burst();

# Ratios are to the worker in Node: of rates ours over its, of costs too.
sub compare
{
	my ($delay) = @_;
	return if seconds_left() < 60;
	delay_answers($simulator, $delay);
	changes_of(0);
	my %results;
	my $done = 0;
	while ($done < $rounds && ($done < 1 || seconds_left() > sized(90, 20)))
	{
		push @{ $results{ $_->[0] } }, $_->[1]->() foreach @ways;
		$done++;
	}
	my ($peer) = map { $_->[0] } grep { $_->[0] =~ /^Node/ } @ways;
	my $of = sub {
		my ($who, $field) = @_;
		return 'nan' + 0 unless $who;
		my @values = grep { defined } map { $_->{$field} } @{ $results{$who} };
		return @values ? median(@values) : 'nan' + 0;
	};
	title("$teams teams, a change each, $on_wire on the wire, $delay ms at Stripe; medians of $done rounds; ratios to the worker "
		  . 'in Node; processor time of our worker, or of Node and its backends');
	print_table(
		[ '', '/s', 'spread', 'ratio', 'µs/change', 'ratio', 'WAL bytes', 'flushes per 1000' ],
		map {
			my $who = $_->[0];
			[
				$who, number($of->($who, 'rate')), spread(map { $_->{rate} } @{ $results{$who} }),
				ratio($of->($who, 'rate'), $of->($peer, 'rate')), number($of->($who, 'cpu')),
				ratio($of->($who, 'cpu'), $of->($peer, 'cpu')),
				$who =~ /nothing/ ? '-' : number($of->($who, 'wal')), number(1_000 * $of->($who, 'flushes')) ]
		} @ways);
	delay_answers($simulator, 0);
	return;
}

sub changes_of
{
	my ($is_read) = @_;
	read_first($server, $is_read);
	return drain_changes($server, $teams);
}

sub node_worker
{
	return run_peer($server, 'seat_worker.mjs', peers_connection($server), $simulator->url, simulator_key(), 'sub_node_',
		$teams, $on_wire);
}

sub count_burst
{
	$simulator->outage('refuse');
	my $before = executed_posts();
	$session->sql(q{SELECT seats.add_seats('team-1', 'team', 1, 'ada')}) foreach 1 .. 100;
	$simulator->outage(undef);
	await_changes($server);
	my $posts = executed_posts() - $before;
	title('a hundred additions to one team while Stripe is down');
	print_table([ 'changes', 'POSTs when it is back' ], [ 100, $posts ]);
	return;
}

sub executed_posts
{
	return $simulator->control('GET', '/counters')->{by_operation}{'POST /v1/subscriptions/{id}'} // 0;
}
