# Single calls, as the server and the simulator tell of them.
package PgSeats::Calls;

use strict;
use warnings;
use Exporter 'import';
use PgSeats::Waiting;
use Test::More;

our @EXPORT = qw(
  state_of await_state key_of keys_of posts_of executed_with assert_executed_once_by quantity_of
  await_another_loop seed_subscription change_quantity);

# state_of($server, 17): a state of the outbox, or the result.
sub state_of
{
	my ($server, $call) = @_;
	return $server->sql("SELECT state FROM seats.calls WHERE call = $call");
}

# await_state($server, 17, 'done', 'waiting'): until it is one of them; returns which.
sub await_state
{
	my ($server, $call, @states) = @_;
	my $state = eval {
		await_word(sub { state_of($server, $call) }, \@states, "call $call of server " . $server->name,
			ends => qr/^(?:done|refused|cancelled)$/, timeout => 30);
	};
	die "$@(" . $server->sql("SELECT concat_ws(', ', reason, error) FROM seats.calls WHERE call = $call") . ")\n"
	  unless defined $state;
	return $state;
}

# The idempotency key of its current generation.
sub key_of { my ($server, $call) = @_; return keys_of($server, $call)->{$call} }

# { id => key }
sub keys_of
{
	my ($server, @calls) = @_;
	my $list = join ',', @calls;
	return { map { split /\|/ }
		  split /\n/, $server->sql("SELECT call, idempotency_key FROM seats.calls WHERE call IN ($list)") };
}

# The requests, executed or not, that carried this key.
sub posts_of { my ($stripe, $key) = @_; return $stripe->requests(key => $key) }

# How often it was executed.
sub executed_with { my ($stripe, $key) = @_; return scalar @{ $stripe->ledger(key => $key) } }

sub assert_executed_once_by
{
	my ($stripe, $key, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(executed_with($stripe, $key), 1, $name);
}

# Until the worker has gone once more through everything that it does, after this moment. Whatever
# it was going to do about what is there now, it has done, or at least begun.
sub await_another_loop
{
	my ($server, $database) = @_;
	$database //= $server->database;
	my $now = $server->safe_psql($database, 'SELECT clock_timestamp()');
	foreach (1, 2)
	{
		# (It has nothing to do, perhaps, and would sleep until its next poll.)
		$server->safe_psql($database, 'SELECT pg_reload_conf()');
		wait_until(
			sub {
				$server->safe_psql($database,
					"SELECT last_loop_at > '$now' FROM seats_internal.worker_state()") eq 't';
			},
			'the worker to go through its loop');
		$now = $server->safe_psql($database, 'SELECT last_loop_at FROM seats_internal.worker_state()');
	}
	return;
}

# A subscription of one item, outside the ledger.
sub seed_subscription
{
	my ($stripe, $id, $quantity) = @_;
	$stripe->control('POST', '/subscriptions',
		{ id => $id, items => [ { id => "si_$id", price => "price_$id", quantity => $quantity } ] });
	return;
}

# A call that sets its quantity, in the subscription's lane.
sub change_quantity
{
	my ($server, $id, $quantity, %options) = @_;
	return $server->enqueue("/v1/subscriptions/$id",
		{ items => [ { id => "si_$id", quantity => $quantity } ] }, verifier => 'object', %options);
}

sub quantity_of
{
	my ($stripe, $id) = @_;
	return $stripe->subscription($id)->{items}{data}[0]{quantity};
}

1;
