# Somebody changes his mind while a request is on the wire, or while the money is at a bank; and Stripe's Dashboard, or the
# payer, is faster than what was asked for here. Nothing stays that can be paid and is not to be, and no money is lost.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::PaymentModel;
use PgSeats::Payments;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => in_a_hurry());
open_shop($server);

my $bills = 0;

sub bill
{
	my (%options) = @_;
	my $key = 'bill ' . ++$bills;
	return ($key, share_bill($server, $key, { ada => 1000, bob => 500 }, %options));
}

sub state_of_payment { my ($payment) = @_; return $server->sql("SELECT state FROM seats.payments WHERE payment = $payment") }

# Ways in which a payment is no longer wanted.
my %ways = (
	'the payment is cancelled' => sub { my ($request, $member, $payment) = @_; return "SELECT seats.cancel_payment($payment)" },
	'the bill is cancelled' => sub { my ($request) = @_; return "SELECT seats.cancel_payment_request($request, 'nobody comes')" },
	'the member is removed' => sub { my ($request, $member) = @_; return "SELECT seats.remove_payment_member($member)" });

foreach my $way (sort keys %ways)
{
	foreach my $fault (qw(hang hang_after))
	{
		subtest "$way while its intent is made ($fault)" => sub {
			my ($key, $request) = bill();
			my ($member, $hash) = (member_of($server, $key, 'ada'), hash_of($server, $key, 'ada'));
			my %create = (method => 'POST', path => '/v1/payment_intents');
			$stripe->fault({ match => { %create, body => "*$hash*" }, fault => $fault });
			my $payment = start_payment($server, $key, 'ada');
			$stripe->await_held(%create);
			shop($server, $ways{$way}->($request, $member, $payment));
			is(state_of_payment($payment), 'canceling', 'it cannot be taken back any more');
			is(start_payment($server, $key, 'ada'), $payment, 'and nothing else is begun');
			$stripe->release(%create);
			await_happened($server, $payment, 'cancelled 1000 requested_by_customer', 'once it was made, it is cancelled');
			is(join(' ', map { $_->{status} } intents_of($stripe, $hash)), 'canceled', 'one was made');
		};
	}

	foreach my $rule (qw(refund ask keep))
	{
		subtest "$way while it is at the bank, $rule" => sub {
			my ($key, $request) = bill(when_paid_after_cancel => $rule);
			my $member = member_of($server, $key, 'ada');
			my $payment = start_payment($server, $key, 'ada');
			my $intent = await_payment($server, $payment, 'payable');
			at_stripe($stripe, $intent, 'processing');
			read_payment($server, $payment);
			shop($server, $ways{$way}->($request, $member, $payment));
			is(state_of_payment($payment), 'canceling', 'the bank has the last word');
			my (undef, undef, $error) = $server->try_sql("SELECT seats.settle_member($member, 'waived', 'he said so')");
			like($error, qr/a payment that can still be paid/, 'nor can it be settled otherwise');
			at_stripe($stripe, $intent, 'succeed');
			read_payment($server, $payment);
			if ($rule eq 'ask')
			{
				await_happened($server, $payment, 'succeeded 1000', 'it was paid');
				is($server->sql("SELECT review_reason FROM seats.payments WHERE payment = $payment"), 'paid_after_cancel', 'a person is asked');
				$server->sql("SELECT seats.resolve_payment($payment, 'refund', 'we have talked')");
			}
			await_sums($server, $payment, $rule eq 'keep' ? '1000 0 0 0' : '1000 1000 0 0', 'what becomes of the money');
			is($server->sql("SELECT state FROM seats.payment_members WHERE member = $member"), $rule eq 'keep' ? 'paid' : 'refunded',
				'and of the member');
		};
	}
}

subtest 'the payer goes on while his payment is cancelled' => sub {
	my ($key) = bill();
	my $payment = start_payment($server, $key, 'ada');
	my $intent = await_payment($server, $payment, 'payable');
	my %cancel = (method => 'POST', path => "/v1/payment_intents/$intent/cancel");
	$stripe->fault({ match => {%cancel}, fault => 'hang' });
	shop($server, "SELECT seats.cancel_payment($payment)");
	$stripe->await_held(%cancel);
	at_stripe($stripe, $intent, 'processing');
	$stripe->release(%cancel);
	$server->wait_for_sql("SELECT status FROM seats.payments WHERE payment = $payment", 'processing');
	is(state_of_payment($payment), 'canceling', 'Stripe has refused it, and it stays wanted');
	at_stripe($stripe, $intent, 'fail', code => 'insufficient_funds');
	read_payment($server, $payment);
	await_happened($server, $payment, 'failed 1000 insufficient_funds, cancelled 1000 requested_by_customer', 'then it is done');
};

subtest 'some are cancelled at a bank' => sub {
	my ($key) = bill();
	my $payment = start_payment($server, $key, 'ada');
	my $intent = await_payment($server, $payment, 'payable');
	at_stripe($stripe, $intent, 'processing', cancelable => \1);
	read_payment($server, $payment);
	shop($server, "SELECT seats.cancel_payment($payment)");
	await_happened($server, $payment, 'cancelled 1000 requested_by_customer', 'Stripe lets it go');
};

subtest 'Stripe does not cancel it, and does not say why' => sub {
	my ($key) = bill();
	my $payment = start_payment($server, $key, 'ada');
	my $intent = await_payment($server, $payment, 'payable');
	my %cancel = (method => 'POST', path => "/v1/payment_intents/$intent/cancel");
	$stripe->fault({ match => {%cancel}, fault => 'answer', status => 400,
			body => { error => { type => 'invalid_request_error', message => 'not this one' } } });
	shop($server, "SELECT seats.cancel_payment($payment)");
	my $alert = q{SELECT concat_ws(' ', a.resolved_at IS NULL, a.summary) FROM seats_internal.alert AS a
	     WHERE a.kind = 'payment_not_cancelled'};
	$server->wait_for_sql($alert, "t payment $payment ($intent) is to be cancelled and can still be paid, as Stripe refuses that: not this one");
	my $call = $server->sql("SELECT cancel_call FROM seats.payments WHERE payment = $payment");
	is($server->sql("SELECT due_at > now() + interval '4 minutes' FROM seats_internal.outbox WHERE id = $call"), 't', 'it is tried again later');
	at_stripe($stripe, $intent, 'succeed');
	read_payment($server, $payment);
	await_happened($server, $payment, 'succeeded 1000', 'he has paid all the same');
	is($server->sql("SELECT count(*) FROM seats.alerts WHERE kind = 'payment_not_cancelled' AND resolved_at IS NULL"), '0', 'which is another matter');
	$server->sql("SELECT seats.resolve_payment($payment, 'refund', 'we have talked')");
	$server->wait_for_sql("SELECT refunded FROM seats.payments WHERE payment = $payment", '1000');
	pass('what follows does not wait for the next try of the cancel');
};

# (Each is refused by itself: five that are alike are no mistake of ours.)
subtest 'the Dashboard is faster' => sub {
	my %refunds = (method => 'POST', path => '/v1/refunds');
	my (@payments, @refunds) = ();
	$stripe->fault({ match => {%refunds}, fault => 'hang', times => 6 });
	foreach (1 .. 6)
	{
		my ($key) = bill();
		my $payment = start_payment($server, $key, 'ada');
		my $intent = await_payment($server, $payment, 'payable');
		at_stripe($stripe, $intent, 'succeed');
		read_payment($server, $payment);
		push @refunds, refund($server, $payment, $_ % 2 ? '600' : q{600, request_key => 'complaint'});
		push @payments, $payment;
	}
	wait_until(sub { @{ $stripe->requests(state => 'hanging', %refunds) } == 6 }, 'all refunds to be on the wire');
	# (What it has done is read when the lane is free.)
	at_stripe($stripe, $server->sql("SELECT intent FROM seats.payments WHERE payment = $_"), 'refund', amount => 700) foreach @payments;
	$server->sql("SELECT seats.reconcile_payment($_, 'the scenario wants it')") foreach @payments;
	$stripe->release(%refunds);
	$server->wait_for_sql("SELECT state FROM seats.refunds WHERE refund = $_", 'refused') foreach @refunds;
	await_sums($server, $_, '1000 700 0 0', 'what Stripe has refused is free') foreach @payments;
	is($server->sql('SELECT state FROM seats.destinations'), 'open', 'nobody else is stopped');
	refund($server, $payments[0]);
	await_sums($server, $payments[0], '1000 1000 0 0', 'the rest can be given back');
};

assert_judged($server, $stripe, 'in the end');
$server->assert_log_clean;
$server->stop;
done_testing();
