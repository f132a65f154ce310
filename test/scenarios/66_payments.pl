# What becomes of payments, from the click to the money and back, each story by itself: what payers, banks and people in
# the Dashboard do at Stripe comes as events, and what is read then is what the tables say and handlers are told.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::PaymentModel;
use PgSeats::Payments;
use PgSeats::Webhooks;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => in_a_hurry());
open_shop($server);
my $relay = start_relay($server);
define_endpoint($server, 'main');
# Each comes twice, and not in their order.
send_webhooks($stripe, $relay, 'main', events => ['*'], duplicate => \1, jitter_ms => 30);

my $bills = 0;

# Somebody owes 1000 of a bill of his own: what it is called, the payment, its intent.
sub payable
{
	my (%options) = @_;
	my $key = 'bill ' . ++$bills;
	share_bill($server, $key, { ada => 1000 }, %options);
	my $payment = start_payment($server, $key, 'ada');
	return ($key, $payment, await_payment($server, $payment, 'payable'));
}

sub paid
{
	my (%refunds) = @_;
	my ($key, $payment, $intent) = payable();
	at_stripe($stripe, $intent, 'succeed', %refunds ? (refunds => {%refunds}) : ());
	await_payment($server, $payment, 'succeeded');
	return ($key, $payment, $intent);
}

sub alerts_of
{
	my ($payment) = @_;
	return $server->sql(<<"END");
SELECT string_agg(kind, ' ' ORDER BY alert) FROM seats.alerts
 WHERE state <> 'resolved' AND detail ->> 'payment' = '$payment'
END
}

sub column_of { my ($payment, $column) = @_; return $server->sql("SELECT $column FROM seats.payments WHERE payment = $payment") }

sub cancels_of { my ($intent) = @_; return scalar @{ $stripe->requests(method => 'POST', path => "/v1/payment_intents/$intent/cancel") } }

subtest 'started, confirmed, paid' => sub {
	my ($key, $payment, $intent) = payable();
	is(start_payment($server, $key, 'ada'), $payment, 'a second click gets the same payment');
	at_stripe($stripe, $intent, 'succeed');
	await_happened($server, $payment, 'succeeded 1000', 'the money has come in');
	await_member($server, $key, 'ada', 'paid');
	is(sums_of($server, $payment), '1000 0 0 0', 'all of it');
	is(start_payment($server, $key, 'ada'), $payment, 'who clicks then is shown that he has paid');
	is(scalar(intents_of($stripe, hash_of($server, $key, 'ada'))), 1, 'one intent was made');
};

subtest 'declined, and then paid' => sub {
	my ($key, $payment, $intent) = payable();
	at_stripe($stripe, $intent, 'fail', decline_code => 'generic_decline');
	await_happened($server, $payment, 'failed 1000 generic_decline', 'a decline');
	at_stripe($stripe, $intent, 'fail', decline_code => 'insufficient_funds');
	await_happened($server, $payment, 'failed 1000 generic_decline, failed 1000 insufficient_funds', 'and another one');
	is(column_of($payment, 'state'), 'payable', 'he can go on');
	at_stripe($stripe, $intent, 'succeed');
	await_payment($server, $payment, 'succeeded');
	is(scalar(intents_of($stripe, hash_of($server, $key, 'ada'))), 1, 'with the same intent');
};

subtest '3-D Secure' => sub {
	my ($key, $payment, $intent) = payable();
	at_stripe($stripe, $intent, 'requires_action', return_url => 'https://shop.example/back');
	$server->wait_for_sql("SELECT state, next_action FROM seats.payments WHERE payment = $payment", 'payable|redirect_to_url');
	at_stripe($stripe, $intent, 'fail_authentication');
	await_happened($server, $payment, 'failed 1000 payment_intent_authentication_failure', 'not passed');
	at_stripe($stripe, $intent, $_) foreach qw(requires_action authenticate);
	await_happened($server, $payment, 'failed 1000 payment_intent_authentication_failure, succeeded 1000', 'passed');
	is(column_of($payment, 'next_action'), '', 'nothing is left to do');
};

subtest '3-D Secure that is abandoned' => sub {
	my ($key, $payment, $intent) = payable(abandon_after => '1 day');
	at_stripe($stripe, $intent, 'requires_action');
	$server->wait_for_sql("SELECT next_action FROM seats.payments WHERE payment = $payment", 'use_stripe_sdk');
	is(start_payment($server, $key, 'ada'), $payment, 'who comes back goes on with it');
	$server->sql("UPDATE seats_internal.payment SET touched_at = touched_at - interval '1 day' WHERE id = $payment");
	await_happened($server, $payment, 'cancelled 1000 abandoned', 'nobody comes back: it is cancelled');
	await_member($server, $key, 'ada', 'unpaid');
};

subtest 'days at the bank, and then the money' => sub {
	my ($key, $payment, $intent) = payable();
	at_stripe($stripe, $intent, 'processing', seconds => 60, then => 'succeed');
	await_payment($server, $payment, 'processing');
	is(start_payment($server, $key, 'ada'), $payment, 'nothing else is begun meanwhile');
	$stripe->clock_advance(61);
	await_happened($server, $payment, 'succeeded 1000', 'it has come in');
	await_member($server, $key, 'ada', 'paid');
};

subtest 'days at the bank, and then nothing' => sub {
	my ($key, $payment, $intent) = payable();
	at_stripe($stripe, $intent, 'processing', seconds => 60, then => 'fail', code => 'insufficient_funds');
	await_payment($server, $payment, 'processing');
	$stripe->clock_advance(61);
	await_payment($server, $payment, 'payable');
	webhooks_are_quiet($stripe);
	read_payment($server, $payment);
	like($server->sql("SELECT string_agg(kind, ' ') FROM seats.payment_transactions WHERE payment = $payment"), qr/^failed$/,
		'that the debit has failed has happened once');
	is($server->sql("SELECT count(*) FROM seats.journal WHERE kind = 'payment.failed' AND detail ->> 'payment' = '$payment'"), '1',
		'and stands in the journal');
	await_member($server, $key, 'ada', 'paying');
	at_stripe($stripe, $intent, 'succeed');
	await_payment($server, $payment, 'succeeded');
	is($server->sql("SELECT count(*) FROM paying.heard WHERE function = 'failed' AND outcome ->> 'payment' = '$payment'"), '1',
		'on_failed has run once');
};

subtest 'cancelled while he could pay' => sub {
	my ($key, $payment, $intent) = payable();
	is(shop($server, "SELECT state FROM seats.cancel_payment($payment)"), 'canceling', 'Stripe has the last word');
	await_happened($server, $payment, 'cancelled 1000 requested_by_customer', 'it is proven');
	await_member($server, $key, 'ada', 'unpaid');
	my $second = start_payment($server, $key, 'ada');
	my $other = await_payment($server, $second, 'payable');
	is(column_of($second, 'attempt'), '2', 'another click is another attempt');
	isnt($other, $intent, 'with an intent of its own');
	is(join(' ', map { $_->{status} } intents_of($stripe, hash_of($server, $key, 'ada'))), 'canceled requires_payment_method',
		'one of them can be paid');
};

# Whatever comes of it, it stays "canceling" until the bank has spoken. (Stripe is asked once, as it lets some go there.)
sub cancelled_at_the_bank
{
	my ($rule) = @_;
	my ($key, $payment, $intent) = payable(when_paid_after_cancel => $rule);
	at_stripe($stripe, $intent, 'processing');
	await_payment($server, $payment, 'processing');
	shop($server, "SELECT seats.cancel_payment($payment)");
	$server->wait_for_sql("SELECT count(*) FROM seats_internal.outbox WHERE payment_id = $payment", '0');
	read_payment($server, $payment);
	is(column_of($payment, 'state'), 'canceling', "$rule: it is at the bank, and to be cancelled");
	$server->wait_for_sql("SELECT count(*) FROM seats_internal.outbox WHERE payment_id = $payment", '0');
	is(cancels_of($intent), 1, 'what Stripe does not cancel there is not tried on');
	return ($key, $payment, $intent);
}

subtest 'cancelled at the bank, and paid all the same' => sub {
	foreach my $decision (qw(keep refund))
	{
		my ($key, $payment, $intent) = cancelled_at_the_bank('ask');
		at_stripe($stripe, $intent, 'succeed');
		await_happened($server, $payment, 'succeeded 1000', 'money is recorded');
		is(column_of($payment, 'review_reason'), 'paid_after_cancel', 'a person is asked');
		is(alerts_of($payment), 'paid_after_cancel', 'by an alert');
		$server->sql("SELECT seats.resolve_payment($payment, '$decision', 'we have talked')");
		await_member($server, $key, 'ada', $decision eq 'keep' ? 'paid' : 'refunded');
		is(alerts_of($payment), '', "decided: $decision");
	}
	my ($key, $payment, $intent) = cancelled_at_the_bank('refund');
	at_stripe($stripe, $intent, 'succeed');
	await_happened($server, $payment, 'succeeded 1000, refunded 1000 requested_by_customer', 'it is given back by itself');
	await_member($server, $key, 'ada', 'refunded');
	($key, $payment, $intent) = cancelled_at_the_bank('keep');
	at_stripe($stripe, $intent, 'succeed');
	await_happened($server, $payment, 'succeeded 1000', 'it is kept');
	await_member($server, $key, 'ada', 'paid');
	is(column_of($payment, 'review_since') . alerts_of($payment), '', 'and nobody is asked');
};

subtest 'cancelled at the bank, and not paid' => sub {
	my ($key, $payment, $intent) = cancelled_at_the_bank('ask');
	at_stripe($stripe, $intent, 'fail', code => 'insufficient_funds');
	await_happened($server, $payment, 'failed 1000 insufficient_funds, cancelled 1000 requested_by_customer',
		'once it could be paid again, it was cancelled');
	is(cancels_of($intent), 2, 'with one more request');
	await_member($server, $key, 'ada', 'unpaid');
};

subtest 'he pays at the very moment' => sub {
	my ($key, $payment, $intent) = payable();
	$stripe->fault({ match => { method => 'POST', path => "/v1/payment_intents/$intent/cancel" }, fault => 'hang' });
	shop($server, "SELECT seats.cancel_payment($payment)");
	$stripe->await_held(path => "/v1/payment_intents/$intent/cancel");
	at_stripe($stripe, $intent, 'succeed');
	$stripe->release(path => "/v1/payment_intents/$intent/cancel");
	await_happened($server, $payment, 'succeeded 1000', 'he wins');
	is(column_of($payment, 'review_reason'), 'paid_after_cancel', 'and a person is asked');
	$server->sql("SELECT seats.resolve_payment($payment, 'keep', 'he wins')");
};

subtest 'given back, in parts and all of it' => sub {
	my ($key, $payment, $intent) = paid();
	refund($server, $payment, '300');
	await_happened($server, $payment, 'succeeded 1000, refunded 300', 'a part');
	await_sums($server, $payment, '1000 300 0 0', 'and it counts');
	await_member($server, $key, 'ada', 'paid');
	my ($status, undef, $error) = $server->try_sql("SELECT seats.refund_payment($payment, 701)");
	like($error, qr/700 of payment $payment can be refunded, not 701/, 'no more than is left');
	at_stripe($stripe, $intent, 'refund', amount => 200, reason => 'requested_by_customer');
	await_sums($server, $payment, '1000 500 0 0', 'what is given back in the Dashboard counts');
	refund($server, $payment);
	await_sums($server, $payment, '1000 1000 0 0', 'and the rest');
	await_member($server, $key, 'ada', 'refunded');
	my $again = start_payment($server, $key, 'ada', 'again => true');
	at_stripe($stripe, await_payment($server, $again, 'payable'), 'succeed');
	await_member($server, $key, 'ada', 'paid');
};

subtest 'a refund that waits, and then comes back' => sub {
	my ($key, $payment, $intent) = paid(status => 'pending');
	my $refund = refund($server, $payment, '400');
	$server->wait_for_sql("SELECT state FROM seats.refunds WHERE refund = $refund", 'pending');
	is(sums_of($server, $payment), '1000 0 400 0', 'while it waits it is reserved');
	my $there = $server->sql("SELECT stripe_refund FROM seats.refunds WHERE refund = $refund");
	$stripe->control('POST', "/refunds/$there", { action => 'succeed' });
	await_sums($server, $payment, '1000 400 0 0', 'it was made');
	$stripe->control('POST', "/refunds/$there", { action => 'fail', failure_reason => 'expired_or_canceled_card' });
	await_happened($server, $payment, 'succeeded 1000, refunded 400, refund_failed 400 expired_or_canceled_card', 'weeks later it was not');
	is(sums_of($server, $payment), '1000 0 0 0', 'its money is free again');
	is(alerts_of($payment), 'refund_failed', 'a person is told');
	my $canceled = refund($server, $payment, '1000');
	$server->wait_for_sql("SELECT state FROM seats.refunds WHERE refund = $canceled", 'pending');
	$stripe->control('POST', '/refunds/' . $server->sql("SELECT stripe_refund FROM seats.refunds WHERE refund = $canceled"), { action => 'cancel' });
	await_sums($server, $payment, '1000 0 0 0', 'one that is canceled while it waits is free, too');
	await_member($server, $key, 'ada', 'paid');
};

subtest 'disputes' => sub {
	my ($key, $payment, $intent) = paid();
	at_stripe($stripe, $intent, 'dispute', amount => 600, reason => 'fraudulent');
	await_sums($server, $payment, '1000 0 0 600', 'the bank takes the money');
	is(alerts_of($payment), 'payment_disputed', 'a person is told');
	at_stripe($stripe, $intent, 'dispute_won');
	await_happened($server, $payment, 'succeeded 1000, disputed 600 fraudulent, dispute_won 600 fraudulent', 'won');
	is(sums_of($server, $payment) . alerts_of($payment), '1000 0 0 0', 'the money is back, and nobody need look');
	at_stripe($stripe, $intent, 'dispute', amount => 400, inquiry => \1);
	$server->wait_for_sql("SELECT count(*) FROM seats.alerts WHERE kind = 'payment_disputed' AND state <> 'resolved'", '1');
	is(sums_of($server, $payment), '1000 0 0 0', 'an inquiry takes nothing');
	at_stripe($stripe, $intent, 'dispute_lost');
	$server->wait_for_sql("SELECT count(*) FROM seats.alerts WHERE kind = 'payment_disputed' AND state <> 'resolved'", '0');
	($key, $payment, $intent) = paid();
	at_stripe($stripe, $intent, $_) foreach qw(dispute dispute_lost);
	await_happened($server, $payment, 'succeeded 1000, disputed 1000 fraudulent, dispute_lost 1000 fraudulent', 'lost');
	is(sums_of($server, $payment) . alerts_of($payment), '1000 0 0 1000', 'the money is gone');
};

subtest 'Stripe lets it expire' => sub {
	my ($key, $payment, $intent) = payable();
	at_stripe($stripe, $intent, 'expire', seconds => 60);
	$stripe->clock_advance(61);
	await_happened($server, $payment, 'cancelled 1000 expired', 'nobody here has asked for it');
	my $second = start_payment($server, $key, 'ada');
	await_payment($server, $second, 'payable');
	is(column_of($second, 'attempt'), '2', 'who clicks then begins anew');
};

subtest 'another amount' => sub {
	my ($key, $payment, $intent) = payable();
	my $member = member_of($server, $key, 'ada');
	my (undef, undef, $error) = $server->try_sql("SELECT seats.change_amount($member, 1200)");
	like($error, qr{has a payment that can still be paid}, 'not while he could pay the old one');
	shop($server, "SELECT seats.cancel_payment($payment)");
	await_payment($server, $payment, 'canceled');
	shop($server, "SELECT seats.change_amount($member, 1200)");
	my $second = start_payment($server, $key, 'ada');
	at_stripe($stripe, await_payment($server, $second, 'payable'), 'succeed');
	await_happened($server, $second, 'succeeded 1200', 'what he owes now');
	await_member($server, $key, 'ada', 'paid');
	is(join(' ', map {"$_->{status} $_->{amount}"} intents_of($stripe, hash_of($server, $key, 'ada'))), 'canceled 1000 succeeded 1200',
		'what the old one was of nobody has paid');
};

subtest 'money that was passed on to another account' => sub {
	my $key = 'bill ' . ++$bills;
	share_bill($server, $key, { ada => 1000 });
	my $payment = start_payment($server, $key, 'ada', q{'{"transfer_data": {"destination": "acct_house"}}'});
	at_stripe($stripe, await_payment($server, $payment, 'payable'), 'succeed');
	await_payment($server, $payment, 'succeeded');
	like(($server->try_sql("SELECT seats.refund_payment($payment)"))[2], qr/nothing says who gives it back/, 'is not given back without a word');
	refund($server, $payment, 'reverse_transfer => true, refund_application_fee => false');
	await_sums($server, $payment, '1000 1000 0 0', 'with one it is');
};

webhooks_are_quiet($stripe);
assert_judged($server, $stripe, 'in the end');
$server->assert_log_clean;
$server->stop;
done_testing();
