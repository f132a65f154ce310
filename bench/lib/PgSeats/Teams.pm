# Teams whose subscriptions the simulator has, and their changes: what benchmarks of seats begin with.
package PgSeats::Teams;

use strict;
use warnings;
use utf8;
use Exporter 'import';
use JSON::PP ();
use PgSeats::Bench;
use PgSeats::Drain;

our @EXPORT = qw(make_subscriptions register_teams read_first add_changes await_changes drain_changes forget_changes);

# sub_PREFIX_1, sub_PREFIX_2 … with five seats each.
sub make_subscriptions
{
	my ($simulator, $prefix, $count) = @_;
	$simulator->control('POST', '/limits', { subscriptions => JSON::PP::false() });
	$simulator->control('POST', '/subscriptions',
		{ id => "sub_$prefix", customer => "cus_$prefix", count => $count,
			items => [ { id => "si_$prefix", price => 'price_team', unit_amount => 1000, quantity => 5 } ] });
	return;
}

# team-1, team-2 …, each with an owner, ada.
sub register_teams
{
	my ($server, $prefix, $count) = @_;
	my $session = $server->{bench_session};
	$session->sql(q{SELECT seats.define_seat_type('team', '{price_team}', largest_change => 1000000)});
	# (Each holds a lock until its transaction ends, and the server has room for some thousand.)
	for (my $first = 1; $first <= $count; $first += 2_000)
	{
		my $last = $first + 1_999 < $count ? $first + 1_999 : $count;
		$session->sql("SELECT count(seats.register_team('team-' || g, 'sub_${prefix}_' || g)) FROM generate_series($first, $last) AS g");
	}
	wait_until(sub { $session->sql('SELECT count(*) FROM seats_internal.team WHERE items IS NULL') == 0 },
		'all subscriptions to be read', timeout => 300, pause => 0.2);
	$session->sql(q{INSERT INTO seats_internal.member (team_id, user_id, role)
		SELECT t.id, 'ada', 'owner' FROM seats_internal.team AS t});
	$session->sql('VACUUM ANALYZE');
	return;
}

# Whether a subscription is read before each change, or its quantities as proved by the change before are good.
sub read_first
{
	my ($server, $is_read) = @_;
	return set_option($server, 'pg_seats.base_lifetime', $is_read ? '0' : '600s');
}

# One for each of the teams.
sub add_changes
{
	my ($server, $first, $last) = @_;
	return $server->{bench_session}->sql(
		"SELECT count(seats.add_seats('team-' || g, 'team', 1, 'ada')) FROM generate_series($first, $last) AS g");
}

sub await_changes
{
	my ($server) = @_;
	wait_until(
		sub {
			$server->{bench_session}->sql(q{SELECT NOT EXISTS (SELECT FROM seats_internal.outbox WHERE kind = 'change')}) eq 't';
		},
		'all changes to be settled', timeout => 300, pause => 0.1);
	return;
}

# A change of each team, held back until all are there; then how fast they go out, and at what cost.
sub drain_changes
{
	my ($server, $teams) = @_;
	my $session = $server->{bench_session};
	hold_back($server);
	add_changes($server, 1, $teams);
	$session->sql('CHECKPOINT');
	await_quiet($server);
	my $costs = watch_costs($server, [ $server->worker_pid ], flushes => 1);
	my $start = $session->sql('SELECT clock_timestamp()');
	$session->sql(q{SELECT seats.resume('stripe', 'loaded')});
	await_changes($server);
	my $used = $costs->($teams);
	my $spent = $session->sql(
		"SELECT extract(epoch FROM max(settled_at) - '$start') FROM seats_internal.outbox_history WHERE kind = 'change'");
	forget_settled($server);
	return { rate => $teams / $spent, %$used };
}

# What was settled counts for Stripe's limits (20 invoices a day), of which benchmarks know nothing.
sub forget_settled
{
	my ($server) = @_;
	$server->{bench_session}->sql('TRUNCATE seats_internal.outbox_history, seats_internal.journal, seats_internal.expected_event');
	return;
}

# What was only made to be measured is not sent.
sub forget_changes
{
	my ($server) = @_;
	my $session = $server->{bench_session};
	$session->sql('TRUNCATE seats_internal.outbox, seats_internal.request_key');
	$session->sql('UPDATE seats_internal.seat_line SET quantity = confirmed WHERE quantity <> confirmed');
	return;
}

1;
