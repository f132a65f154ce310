# Stripe does not accept the form of a request, so that a person decides whether it was executed. Whatever he says, right or
# wrong, nobody can pay twice in the end, and what was given back counts.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::PaymentModel;
use PgSeats::Payments;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => in_a_hurry());
open_shop($server);

# (Alike in five lanes it would be our mistake, and stop all of them: each is turned away for another word.)
my @words = qw(amber azure beige black blue brown coral cyan gold green grey indigo ivory jade lilac lime);

sub turn_away
{
	my ($is_executed, %match) = @_;
	return $stripe->fault({ match => { method => 'POST', %match }, fault => 'unknown_parameter', param => shift @words,
			$is_executed ? (execute => \1) : () });
}

sub decide
{
	my ($call, $decision) = @_;
	await_state($server, $call, 'review');
	return $server->sql("SELECT seats.resolve_review($call, '$decision', 'seen in the Dashboard')");
}

sub statuses_of { my ($hash) = @_; return join ' ', sort map { $_->{status} } intents_of($stripe, $hash) }

# What was so, what is said, what becomes of the payment, and of the intents at Stripe.
foreach my $case (
	[ 'not executed, as is said', 0, 'not_executed', 'payable', 'requires_payment_method' ],
	[ 'not executed, and sent again', 0, 'same_key', 'payable', 'requires_payment_method' ],
	[ 'not executed, and given up', 0, 'refuse', 'refused', '' ],
	[ 'not executed, but believed to be', 0, 'executed', 'refused', '' ],
	[ 'executed, as is said', 1, 'executed', 'payable', 'requires_payment_method' ],
	[ 'executed, but believed not to be', 1, 'not_executed', 'payable', 'canceled requires_payment_method' ],
	[ 'executed, and given up', 1, 'refuse', 'refused', 'canceled' ])
{
	my ($name, $is_executed, $decision, $state, $statuses) = @$case;
	subtest "a create: $name" => sub {
		share_bill($server, $name, { ada => 1000 });
		my $hash = hash_of($server, $name, 'ada');
		turn_away($is_executed, path => '/v1/payment_intents', body => "*$hash*");
		my $payment = start_payment($server, $name, 'ada');
		my $call = $server->sql("SELECT call FROM seats.payments WHERE payment = $payment");
		await_state($server, $call, 'review');
		is(start_payment($server, $name, 'ada'), $payment, 'another click begins nothing else');
		decide($call, $decision);
		list_intents($server);
		$server->wait_for_sql('SELECT count(*) FROM seats.outbox', '0');
		# (What was made a moment ago a list may not show, so it proves nothing about it: a quarter of an hour later one does.)
		$server->sql("UPDATE seats_internal.payment SET created_at = created_at - interval '20 minutes' WHERE id = $payment");
		$server->sql("UPDATE seats_internal.payment_listing_wish SET due_at = due_at - interval '20 minutes'");
		await_payment($server, $payment, $state);
		is(statuses_of($hash), $statuses, 'intents at Stripe');
		my $last = start_payment($server, $name, 'ada');
		my $intent = await_payment($server, $last, 'payable');
		is(join(' ', map { $_->{id} } live_intents_of($stripe, $hash)), $intent, 'who clicks has the one that can be paid');
		at_stripe($stripe, $intent, 'succeed');
		read_payment($server, $last);
		await_member($server, $name, 'ada', 'paid');
	};
}

subtest 'cancelled while a person is to decide' => sub {
	share_bill($server, 'cancelled', { ada => 1000 });
	turn_away(0, path => '/v1/payment_intents');
	my $payment = start_payment($server, 'cancelled', 'ada');
	my $call = $server->sql("SELECT call FROM seats.payments WHERE payment = $payment");
	await_state($server, $call, 'review');
	is(shop($server, "SELECT state FROM seats.cancel_payment($payment)"), 'canceling', 'nobody knows yet whether it was made');
	decide($call, 'not_executed');
	await_payment($server, $payment, 'canceled');
	await_member($server, 'cancelled', 'ada', 'unpaid');
};

# What a person decides, what is given back then.
foreach my $case (
	[ 'not executed, as is said', 0, 'not_executed', '1000 300 0 0' ],
	[ 'not executed, and given up', 0, 'refuse', '1000 0 0 0' ],
	[ 'not executed, but believed to be', 0, 'executed', '1000 0 0 0' ],
	[ 'executed, as is said', 1, 'executed', '1000 300 0 0' ],
	[ 'executed, and given up', 1, 'refuse', '1000 300 0 0' ])
{
	my ($name, $is_executed, $decision, $sums) = @$case;
	subtest "a refund: $name" => sub {
		share_bill($server, "refund, $name", { ada => 1000 });
		my $payment = start_payment($server, "refund, $name", 'ada');
		my $intent = await_payment($server, $payment, 'payable');
		at_stripe($stripe, $intent, 'succeed');
		read_payment($server, $payment);
		turn_away($is_executed, path => '/v1/refunds', body => "*$intent*");
		my $refund = refund($server, $payment, '300');
		my $call = $server->sql("SELECT call FROM seats.refunds WHERE refund = $refund");
		await_state($server, $call, 'review');
		is(sums_of($server, $payment), '1000 0 300 0', 'it stays reserved');
		decide($call, $decision);
		$server->wait_for_sql('SELECT count(*) FROM seats.outbox', '0');
		read_payment($server, $payment);
		await_sums($server, $payment, $sums, 'what was given back');
	};
}

# (It is no mistake of ours, and no matter of a person's.)
subtest 'a customer that Stripe does not know' => sub {
	share_bill($server, 'customers', { map { ("payer $_" => 1000) } 1 .. 6 });
	my @payments = map { start_payment($server, 'customers', "payer $_", q{'{"customer": "cus_nobody"}'}) } 1 .. 6;
	await_payment($server, $_, 'refused') foreach @payments;
	is($server->sql('SELECT state FROM seats.destinations'), 'open', 'is refused by itself');
	is($server->sql('SELECT count(*) FROM seats.reviews'), '0', 'and nobody is asked');
	await_payment($server, start_payment($server, 'customers', 'payer 1'), 'payable');
};

assert_judged($server, $stripe, 'in the end');
$server->assert_log_clean;
$server->stop;
done_testing();
