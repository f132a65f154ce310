# Teams and their seats, as the database and the simulator tell of them.
#
#   my $team = new_team($server, $stripe, 'acme', seats => { team => 5, owner => 1 });
#   my $change = add_seats($server, $team, 3);              # of type 'team', by its owner
#   await_change($server, $change, 'confirmed');
#   assert_in_step($server, $stripe, $team, { team => 8 });
#   assert_ledger($server, $stripe);                         # at the end of a scenario
package PgSeats::Seats;

use strict;
use warnings;
use Carp qw(croak);
use Exporter 'import';
use JSON::PP;
use PgSeats::Server;
use PgSeats::Waiting;
use Test::More;

our @EXPORT = qw(
  define_seat_type new_team subscription_of customer_of item_of owner_of
  add_seats add_seats_many remove_seats set_seats change_seats cancel_change
  state_of_change await_change await_reason await_seats look_now reconcile age_calls
  seats_of seats_at_stripe assert_seats assert_in_step assert_folded assert_ledger
  set_up_types fault_for resolve_changes
  seat_posts seat_reads await_posts form_of open_changes journal_kinds hold_worker);

my $json = JSON::PP->new->canonical;
my %prices = ();

# ---- setting up

# define_seat_type($server, 'team', prices => ['price_team'], largest_change => 100, …): the price is
# price_<type> unless told otherwise. At Stripe there is such a price then.
sub define_seat_type
{
	my ($server, $type, %rules) = @_;
	my $prices = delete $rules{prices} // ["price_$type"];
	# The simulator makes a price when a subscription that has it is put there.
	$server->simulator->control(
		'POST',
		'/subscriptions',
		{
			id => "sub_prices_$_",
			items => [ { id => "si_prices_$_", price => $_, unit_amount => 1000, quantity => 1 } ]
		}) foreach grep { !$prices{ $server->simulator }{$_}++ } @$prices;
	my $list = join ', ', map { PgSeats::Server::quote($_) } @$prices;
	my $rest = join '', map {", $_ => " . PgSeats::Server::quote($rules{$_}) } sort keys %rules;
	$server->sql("SELECT seats.define_seat_type('$type', ARRAY[$list]$rest)");
	return;
}

# new_team($server, $stripe, 'acme', seats => { team => 5 }): a subscription sub_acme of customer
# cus_acme with an item si_acme_team of the price price_team for each, registered, read, and with an
# owner. Instead of seats: items => [ { id, price, quantity } ]. Others: card => 'declined',
# unit_amount => 1000.
sub new_team
{
	my ($server, $stripe, $team, %options) = @_;
	my $amount = $options{unit_amount} // 1000;
	my $seats = $options{seats} // { team => 5 };
	my $items = $options{items}
	  // [ map { { id => item_of($team, $_), price => "price_$_", quantity => $seats->{$_} } }
		  sort keys %$seats ];
	$stripe->control(
		'POST',
		'/subscriptions',
		{
			id => subscription_of($team),
			customer => customer_of($team),
			card => $options{card} // 'ok',
			items => [ map { { unit_amount => $amount, %$_ } } @$items ]
		});
	$server->sql("SELECT seats.register_team('$team', '@{[ subscription_of($team) ]}')");
	$server->wait_for_sql(
		"SELECT count(*) FROM (SELECT FROM seats.teams WHERE team = '$team' AND status IS NOT NULL LIMIT 1) AS t",
		'1');
	$server->sql("SELECT seats.add_member('$team', '@{[ owner_of($team) ]}', role => 'owner')");
	return $team;
}

# Two types, of which increases of 'later' may wait for their payment.
sub set_up_types
{
	my ($server) = @_;
	define_seat_type($server, 'team');
	define_seat_type($server, 'later', increase_payment_behavior => 'pending_if_incomplete');
	return;
}

sub subscription_of { return "sub_$_[0]" }
sub customer_of { return "cus_$_[0]" }
sub item_of { my ($team, $type) = @_; return "si_${team}_$type" }
sub owner_of { return "owner of $_[0]" }

# ---- changes: each gives the change's id. The type is 'team', the actor the team's owner, unless
# told otherwise (type => 'owner', actor => 'bo', request_key => 'x', …).

sub add_seats { my ($server, $team, @rest) = @_; return simple($server, 'add_seats', $team, @rest) }
sub remove_seats { my ($server, $team, @rest) = @_; return simple($server, 'remove_seats', $team, @rest) }
sub set_seats { my ($server, $team, @rest) = @_; return simple($server, 'set_seats', $team, @rest) }

sub simple
{
	my ($server, $function, $team, $quantity, %options) = @_;
	my $type = delete $options{type} // 'team';
	$options{actor} //= owner_of($team);
	my $rest = join '', map {", $_ => " . PgSeats::Server::quote($options{$_}) } sort keys %options;
	return $server->sql("SELECT change FROM seats.$function('$team', '$type', $quantity$rest)");
}

# So many changes, each of a transaction of its own, in one session; a list of ids.
sub add_seats_many
{
	my ($server, $team, $count, $quantity) = @_;
	$quantity //= 1;
	my $statement = "SELECT change FROM seats.add_seats('$team', 'team', $quantity, '"
	  . owner_of($team) . "');\n";
	return split /\n/, $server->sql($statement x $count);
}

# change_seats($server, 'acme', { team => { add => 3 }, owner => { set => 2 } })
sub change_seats
{
	my ($server, $team, $changes, %options) = @_;
	$options{actor} //= owner_of($team);
	my $rest = join '', map {", $_ => " . PgSeats::Server::quote($options{$_}) } sort keys %options;
	my $text = PgSeats::Server::quote($json->encode($changes));
	return $server->sql("SELECT change FROM seats.change_seats('$team', $text$rest)");
}

# What happens to the next calls that change this team's seats: see Simulator.pm's fault.
sub fault_for
{
	my ($stripe, $team, %fault) = @_;
	return $stripe->fault({
			match => { method => 'POST', path => '/v1/subscriptions/' . subscription_of($team) }, %fault });
}

# What a person decides about changes that are in review.
sub resolve_changes
{
	my ($server, $decision, @changes) = @_;
	$server->sql(join "\n",
		map {"SELECT seats.resolve_review($_, '$decision', 'seen in the Dashboard');"} @changes);
	return;
}

sub cancel_change
{
	my ($server, $change) = @_;
	return $server->sql("SELECT seats.cancel_change($change)");
}

sub state_of_change
{
	my ($server, $change) = @_;
	return $server->sql("SELECT DISTINCT state FROM seats.changes WHERE change = $change");
}

# await_change($server, 17, 'confirmed', 'reverted'): until it is one of them; returns which.
sub await_change
{
	my ($server, $change, @states) = @_;
	my $state = eval {
		await_word(sub { state_of_change($server, $change) }, \@states, "change $change of server " . $server->name,
			ends => qr/^(?:confirmed|reverted|cancelled)$/);
	};
	die "$@(" . why($server, $change) . ")\n" unless defined $state;
	return $state;
}

sub why
{
	my ($server, $change) = @_;
	return $server->sql(
		"SELECT concat_ws(', ', reason, error) FROM seats.changes WHERE change = $change LIMIT 1");
}

# Until the change's reason looks like that.
sub await_reason
{
	my ($server, $change, $pattern) = @_;
	return wait_until(sub { why($server, $change) =~ $pattern }, "change $change to say $pattern");
}

# What is planned for later, now: of a change that waits for its payment, the read.
sub look_now
{
	my ($server, $change) = @_;
	$server->sql("SELECT seats.retry(call, 'look now') FROM seats.changes WHERE change = $change LIMIT 1");
	return;
}

# Reads the subscription now; returns when that is done.
sub reconcile
{
	my ($server, $team) = @_;
	my $read = $server->sql("SELECT seats.reconcile('$team', 'look now')");
	$server->wait_for_sql("SELECT state FROM seats.calls WHERE call = $read", 'done');
	return;
}

# As if what was sent had been sent so much earlier: Stripe's limits for a subscription (10 invoices a
# minute, 20 a day) are not used up. Nobody waits for a day in a test.
sub age_calls
{
	my ($server, $seconds) = @_;
	$seconds //= 100_000;
	$server->sql("UPDATE seats_internal.outbox_history SET settled_at = settled_at - $seconds * interval '1 second'");
	$server->sql("UPDATE seats_internal.attempt SET answered_at = answered_at - $seconds * interval '1 second'");
	return;
}

# ---- quantities

# 'confirmed|quantity|awaiting', 'quantity' being what the application sees.
sub seats_of
{
	my ($server, $team, $type) = @_;
	$type //= 'team';
	return $server->sql(
		"SELECT confirmed, quantity, awaiting FROM seats.teams WHERE team = '$team' AND seat_type = '$type'");
}

# What Stripe has of the type's price (or of several).
sub seats_at_stripe
{
	my ($stripe, $team, $type, @prices) = @_;
	$type //= 'team';
	my %wanted = map { $_ => 1 } @prices ? @prices : "price_$type";
	my $sum = 0;
	foreach my $item (@{ $stripe->subscription_items(subscription_of($team)) })
	{
		my $price = ref $item->{price} ? $item->{price}{id} : $item->{price};
		$sum += $item->{quantity} if $wanted{$price};
	}
	return $sum;
}

# assert_seats($server, 'acme', [5, 8, 0], 'name'): confirmed, quantity and, if given, awaiting.
sub assert_seats
{
	my ($server, $team, $expected, $name, %options) = @_;
	my @seen = split /\|/, seats_of($server, $team, $options{type});
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply([ @seen[ 0 .. $#$expected ] ], $expected, $name // "team $team has @$expected");
}

# The same awaited, in seats_of's form: await_seats($server, 'acme', '5|8|0').
sub await_seats
{
	my ($server, $team, $expected, %options) = @_;
	my $type = $options{type} // 'team';
	$server->wait_for_sql(
		"SELECT confirmed, quantity, awaiting FROM seats.teams WHERE team = '$team' AND seat_type = '$type'",
		$expected);
	return;
}

# How many changes of the team are not settled.
sub open_changes
{
	my ($server, $team) = @_;
	return $server->sql("SELECT count(DISTINCT change) FROM seats.changes
	    WHERE team = '$team' AND state NOT IN ('confirmed', 'reverted', 'cancelled')");
}

# Waits until nothing of the team is open. Then: { team => 8, owner => 1 } is what the application
# sees, what is confirmed, and what Stripe has.
sub assert_in_step
{
	my ($server, $stripe, $team, $expected, $name) = @_;
	my $done = eval { wait_until(sub { open_changes($server, $team) eq '0' }, "all changes of $team to be settled") };
	croak "$@(open: " . $server->sql(
		"SELECT string_agg(concat_ws(' ', change, state, reason, error), '; ') FROM seats.changes
		  WHERE team = '$team' AND settled_at IS NULL") . ')' unless $done;
	my (%database, %stripe_has, %wanted);
	foreach my $type (sort keys %$expected)
	{
		$wanted{$type} = "$expected->{$type}|$expected->{$type}|0";
		$database{$type} = seats_of($server, $team, $type);
		$stripe_has{$type} = seats_at_stripe($stripe, $team, $type);
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return subtest $name // "team $team: database and Stripe are in step" => sub {
		is_deeply(\%database, \%wanted, 'confirmed and seen');
		is_deeply(\%stripe_has, $expected, 'what Stripe has');
	};
}

# ---- promises

# P4, as the database itself checks it.
sub assert_folded
{
	my ($server, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($server->sql(q{SELECT status FROM seats.health WHERE check_name = 'seats'}), 'ok', $name // 'every quantity is the fold of its changes');
}

# P3: Stripe executed no key twice, and under whatever keys: every confirmed change exactly once, and
# none that was reverted or cancelled. (Of a change that waited for its payment Stripe's first step is
# a pending update.) A change that another one's call took along stands and falls with that.
sub assert_ledger
{
	my ($server, $stripe, $name) = @_;
	my %executed;
	foreach my $row (@{ $stripe->worker_ledger })
	{
		next unless $row->{path} =~ m{^/v1/subscriptions/};
		next unless ($row->{key} // '') =~ /^.{37}(.{36})-\d+$/;
		push @{ $executed{$1} }, $row->{outcome};
	}
	my $twice = $stripe->control('GET', '/ledger', undef, summary => 'true')->{executed_twice_count};
	my @wrong = $twice == 0 ? () : ("$twice keys were executed twice");
	my $confirmed = 0;
	foreach my $line (split /\n/, $server->sql(<<'END'))
SELECT h.id, coalesce(c.uuid, h.uuid), h.result, coalesce(h.reason, ''),
       coalesce(c.body, h.body) <> ''
  FROM seats_internal.outbox_history AS h
  LEFT JOIN seats_internal.outbox_history AS c ON c.id = h.carrier_id
 WHERE h.kind = 'change'
END
	{
		my ($id, $uuid, $result, $reason, $sent) = split /\|/, $line, -1;
		my @outcomes = @{ $executed{$uuid} // [] };
		my $done = grep { $_ eq 'done' } @outcomes;
		my $pending = grep { $_ eq 'pending' } @outcomes;
		my $right =
			$result ne 'done' ? $done == 0 && $pending <= 1
		  : $reason eq 'nothing_to_change' || $sent eq 'f' ? $done + $pending == 0
		  : $done + $pending == 1;
		push @wrong, "change $id is $result ($reason), and Stripe executed it as '@outcomes'" unless $right;
		$confirmed++ if $result eq 'done';
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join("\n", @wrong), '',
		$name // "Stripe executed each of $confirmed confirmed changes once, and no other, says the ledger");
	return;
}

# ---- what was sent

# The POSTs that changed, or were to change, the team's subscription, the scenario's own left out.
sub seat_posts
{
	my ($stripe, $team, %filters) = @_;
	return [ grep { ($_->{key} // '') !~ /^scenario-/ } @{ $stripe->requests(
		method => 'POST', path => '/v1/subscriptions/' . subscription_of($team), %filters) } ];
}

sub seat_reads
{
	my ($stripe, $team, %filters) = @_;
	return $stripe->requests(method => 'GET', path => '/v1/subscriptions/' . subscription_of($team), %filters);
}

sub await_posts
{
	my ($stripe, $team, $count) = @_;
	return wait_until(sub { @{ seat_posts($stripe, $team) } >= $count }, "$count POSTs for $team");
}

# What the last call for the team asked for, by its form's names; from the ledger, so only of calls
# that were executed (also of those that were refused with a 402).
sub form_of
{
	my ($stripe, $team) = @_;
	my $rows = $stripe->worker_ledger(object => subscription_of($team));
	return @$rows ? $rows->[-1]{parameters} : {};
}

# Kinds of the journal's entries about the team, in order, those of calls left out.
sub journal_kinds
{
	my ($server, $team, $pattern) = @_;
	$pattern //= '.';
	return $server->sql("SELECT string_agg(kind, ' ' ORDER BY number) FROM seats.journal
	    WHERE detail ->> 'team' = '$team' AND kind ~ '$pattern'");
}

# hold_worker($server, sub { … }): nothing goes to Stripe until the sub is done; what it left then
# goes together.
sub hold_worker
{
	my ($server, $during) = @_;
	$server->sql(q{SELECT seats.pause('stripe', 'let them gather')});
	my @result = $during->();
	$server->sql(q{SELECT seats.resume('stripe', 'off they go')});
	return wantarray ? @result : $result[0];
}

1;
