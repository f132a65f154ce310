# What a change has cost: the invoice that its call has made, to the cent as Stripe tells it; never somebody else's. And
# the invoice that a team has to pay while its subscription is past due.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;
use PgSeats::Webhooks;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.safety_poll = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => \0 });
define_seat_type($server, 'team', decrease_proration_behavior => 'always_invoice');
define_seat_type($server, 'later', increase_payment_behavior => 'pending_if_incomplete');
define_seat_type($server, 'quiet', increase_proration_behavior => 'none', decrease_proration_behavior => 'none');
define_seat_type($server, 'gathers', increase_proration_behavior => 'create_prorations');
define_seat_type($server, 'trusts', increase_payment_behavior => 'allow_incomplete', allow_unpaid => 't');

my $month = 31 * 24 * 3600;

# 'id|total|amount_due|paid|currency|decimals|status', as the database has it and as Stripe has it.
sub told
{
	my ($change) = @_;
	return $server->sql("SELECT invoice ->> 'id', invoice ->> 'total', invoice ->> 'amount_due', paid, currency,
		currency_decimals, invoice ->> 'status' FROM seats.changes WHERE change = $change");
}

sub at_stripe
{
	my ($id, $decimals) = @_;
	my $invoice = $stripe->invoice($id);
	return join '|', (map { $invoice->{$_} } qw(id total amount_due amount_paid currency)), $decimals // 2, $invoice->{status};
}

sub latest_of { my ($team) = @_; return $stripe->subscription(subscription_of($team))->{latest_invoice} }

sub confirmed
{
	my ($change) = @_;
	await_change($server, $change, 'confirmed');
	return $change;
}

sub is_its_own
{
	my ($team, $change, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $told = told($change);
	is($told, at_stripe(latest_of($team)), $what);
	my ($id, $total) = split /\|/, $told;
	my @ledger = grep { $_->{object} eq subscription_of($team) } @{ $stripe->ledger(key => key_of($server, $change)) };
	is($ledger[0]{money}{amount}, $total, '… and the ledger of what was executed says the same');
	return $id;
}

sub past_due { my ($team) = @_; return $server->sql("SELECT past_due_invoice ->> 'id', past_due_invoice ->> 'amount_due',
	past_due_invoice ->> 'currency', past_due_invoice ->> 'url' FROM seats_internal.team WHERE name = '$team'") }

sub to_pay
{
	my ($id) = @_;
	my $invoice = $stripe->invoice($id);
	return join '|', map { $invoice->{$_} } qw(id amount_due currency hosted_invoice_url);
}

subtest 'bought and given back' => sub {
	new_team($server, $stripe, 'buys', seats => { team => 5 }, unit_amount => 1337);
	my $change = confirmed(add_seats($server, 'buys', 3));
	my $id = is_its_own('buys', $change, 'what was paid');
	is($server->sql("SELECT detail ->> 'invoice', detail ->> 'total', detail ->> 'paid', detail ->> 'currency'
		FROM seats.journal WHERE kind = 'change.confirmed' AND call = $change"),
		join('|', $id, map { $stripe->invoice($id)->{$_} } qw(total amount_paid currency)), 'the journal tells it');
	my $credit = confirmed(remove_seats($server, 'buys', 2));
	isnt(is_its_own('buys', $credit, 'a credit'), $id, 'another one');
	cmp_ok($server->sql("SELECT invoice ->> 'total' FROM seats.changes WHERE change = $credit"), '<', 0, '… is below zero');
	is(told($change), at_stripe($id), 'the first one stays as it is');
};

subtest 'nothing is invoiced: no invoice, though the subscription has one' => sub {
	new_team($server, $stripe, 'none', seats => { team => 5 });
	confirmed(add_seats($server, 'none', 1));
	my $latest = latest_of('none');
	foreach my $type (qw(quiet gathers))
	{
		my $change = confirmed(add_seats($server, 'none', 1, type => $type));
		is(latest_of('none'), $latest, "$type: Stripe names the one of before");
		is(told($change), '||||||', '… which is not told as this change\'s');
	}
	my $gathered = confirmed(add_seats($server, 'none', 1));
	is_its_own('none', $gathered, 'what has gathered stands on the next one');
};

subtest 'declined' => sub {
	new_team($server, $stripe, 'declined', card => 'declined');
	my $change = add_seats($server, 'declined', 1);
	await_change($server, $change, 'reverted');
	is(told($change), '||||||', 'no invoice');
};

subtest 'changes that went together share one' => sub {
	new_team($server, $stripe, 'crowd');
	my @changes;
	hold_worker($server, sub { @changes = (add_seats($server, 'crowd', 1), add_seats($server, 'crowd', 2)) });
	confirmed($_) foreach @changes;
	is($server->sql("SELECT count(DISTINCT call) FROM seats.changes WHERE team = 'crowd'"), 1, 'one call');
	my $id = is_its_own('crowd', $changes[0], 'the first');
	is(told($changes[1]), at_stripe($id), 'the second');
	is($server->sql("SELECT string_agg(DISTINCT invoice ->> 'shared', ' ') FROM seats.changes WHERE team = 'crowd'
		AND change IN (" . join(', ', @changes) . ')'), 'true', 'and both say so');
};

subtest 'a payment that comes later' => sub {
	new_team($server, $stripe, 'waits', card => 'declined');
	my $change = add_seats($server, 'waits', 3, type => 'later');
	await_change($server, $change, 'awaiting_payment');
	my $id = latest_of('waits');
	is($server->sql("SELECT invoice ->> 'id', invoice ->> 'amount_due', paid, currency, currency_decimals
		FROM seats.changes WHERE change = $change"),
		join('|', $id, $stripe->invoice($id)->{amount_due}, '', 'usd', 2), 'while it waits: what is to be paid');
	is($server->sql("SELECT detail ->> 'amount_due', detail ->> 'currency' FROM seats.journal
		WHERE kind = 'change.awaiting_payment' AND call = $change"),
		$stripe->invoice($id)->{amount_due} . '|usd', 'the journal tells it');
	$stripe->set_card(customer_of('waits'), 'ok');
	$stripe->pay_invoice($id);
	look_now($server, $change);
	confirmed($change);
	is(told($change), at_stripe($id), 'then: what was paid');
};

subtest 'an answer that is lost, and given again' => sub {
	new_team($server, $stripe, 'again');
	fault_for($stripe, 'again', fault => 'execute_and_drop');
	my $change = confirmed(add_seats($server, 'again', 2));
	is($server->sql("SELECT proof FROM seats_internal.outbox_history WHERE id = $change"), 'replayed', 'its own answer, once more');
	is_its_own('again', $change, '… tells of its invoice');
};

subtest 'past due' => sub {
	define_endpoint($server, 'main');
	send_webhooks($stripe, start_relay($server), 'main');
	new_team($server, $stripe, 'due');
	is(past_due('due'), '|||', 'nothing is');
	$stripe->set_card(customer_of('due'), 'declined');
	$stripe->clock_advance($month);
	reconcile($server, 'due');
	$server->wait_for_sql("SELECT DISTINCT status FROM seats.teams WHERE team = 'due'", 'past_due');
	my $renewal = latest_of('due');
	is(past_due('due'), to_pay($renewal), 'the renewal is to be paid');
	my $change = confirmed(add_seats($server, 'due', 1, type => 'trusts'));
	my $latest = is_its_own('due', $change, 'bought unpaid: its invoice is open');
	is(past_due('due'), to_pay($latest), '… and is what is to be paid now');
	$stripe->set_card(customer_of('due'), 'ok');
	$stripe->pay_invoice($latest);
	$server->wait_for_sql("SELECT DISTINCT status FROM seats.teams WHERE team = 'due'", 'active');
	is(past_due('due'), '|||', 'paid: nothing is');
	is((split /\|/, told($change))[6], 'open', 'the change tells of its invoice as it was when it was settled');
};

assert_ledger($server, $stripe);
done_testing();
