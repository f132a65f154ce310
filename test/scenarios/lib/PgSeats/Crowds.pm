# Many teams at once, and changes that belong together: for scenarios in which every case has a team of
# its own, so that no fault and no limit of Stripe's strikes another case.
package PgSeats::Crowds;

use strict;
use warnings;
use Exporter 'import';
use PgSeats::Seats;
use PgSeats::Server;
use PgSeats::Waiting;
use Test::More;

our @EXPORT = qw(new_teams statement_of change_together reasons_of await_open executed_for pay_for
  assert_judged);

# new_teams($server, $stripe, [qw(a b)], seats => { team => 5 }, card => 'ok'): like new_team for
# each, but in three statements.
sub new_teams
{
	my ($server, $stripe, $teams, %options) = @_;
	my $seats = $options{seats} // { team => 5 };
	foreach my $team (@$teams)
	{
		$stripe->control(
			'POST',
			'/subscriptions',
			{
				id => subscription_of($team),
				customer => customer_of($team),
				card => $options{card} // 'ok',
				items => [
					map { {
							id => item_of($team, $_), price => "price_$_", unit_amount => 1000,
							quantity => $seats->{$_} } } sort keys %$seats ]
			});
	}
	$server->sql(join "\n", map {"SELECT seats.register_team('$_', '@{[ subscription_of($_) ]}');"} @$teams);
	$server->wait_for_sql('SELECT count(*) FROM seats.teams WHERE status IS NULL', '0');
	$server->sql(join "\n",
		map {"SELECT seats.add_member('$_', '@{[ owner_of($_) ]}', role => 'owner');"} @$teams);
	return;
}

# statement_of('add', 'acme', 3, 'team')
sub statement_of
{
	my ($verb, $team, $quantity, $type) = @_;
	$type //= 'team';
	return "SELECT change FROM seats.${verb}_seats('$team', '$type', $quantity, '"
	  . owner_of($team) . "')";
}

# change_together($server, [ 'add', 'acme', 3 ], …): in one transaction; the changes' ids.
sub change_together
{
	my ($server, @changes) = @_;
	return split /\n/, $server->sql(join ";\n", 'BEGIN', (map { statement_of(@$_) } @changes), 'COMMIT');
}

# 'confirmed proven_by_marker, …', one for each change.
sub reasons_of
{
	my ($server, @changes) = @_;
	return $server->sql("SELECT string_agg(concat_ws(' ', state, reason), ', ' ORDER BY change)
	    FROM seats.changes WHERE change IN (" . join(',', @changes) . ')');
}

# Until so many of the team's changes are not settled.
sub await_open
{
	my ($server, $team, $count) = @_;
	my $done = eval {
		wait_until(sub { open_changes($server, $team) eq $count },
			"team $team to have $count open changes", timeout => 30);
	};
	die "$@(it has: " . $server->sql("SELECT string_agg(concat_ws(' ', o.id, o.state, o.reason, o.last_error,
	        o.tries, o.verifications, o.due_at - clock_timestamp()), '; ' ORDER BY o.id)
	   FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.id = o.team_id
	  WHERE t.name = '$team'") . ")\n" unless $done;
	return;
}

# How many calls for the team Stripe has executed with success, as the ledger says.
sub executed_for
{
	my ($stripe, $team) = @_;
	return scalar grep { $_->{outcome} eq 'done' }
	  @{ $stripe->worker_ledger(object => subscription_of($team)) };
}

# The customer pays what a change waits for.
sub pay_for
{
	my ($server, $stripe, $team) = @_;
	$stripe->set_card(customer_of($team), 'ok');
	$stripe->pay_invoice($server->sql("SELECT payment ->> 'invoice' FROM seats_internal.outbox AS o
	    JOIN seats_internal.team AS t ON t.id = o.team_id
	   WHERE t.name = '$team' AND o.state = 'awaiting'"));
	return;
}

# assert_judged($server, $stripe, 'acme', 8, 1, 'what it is about'): nothing of the team is open, it
# has so many seats here and at Stripe, and so many calls of ours were executed for it.
sub assert_judged
{
	my ($server, $stripe, $team, $seats, $executed, $name, %options) = @_;
	my $type = $options{type} // 'team';
	await_open($server, $team, 0);
	await_seats($server, $team, "$seats|$seats|0", type => $type);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		seats_at_stripe($stripe, $team, $type) . ' seats, executed ' . executed_for($stripe, $team),
		"$seats seats, executed $executed", $name);
}

1;
