# Refunds, of which nobody tells: what Stripe has given back is found, all of it, and what was asked for is given back
# once, also when Stripe has forgotten the key under which it was asked.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Faults;
use PgSeats::PaymentModel;
use PgSeats::Payments;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => in_a_hurry());
open_shop($server);

my $bills = 0;

sub paid
{
	my ($amount) = @_;
	my $key = 'bill ' . ++$bills;
	share_bill($server, $key, { ada => $amount });
	my $payment = start_payment($server, $key, 'ada');
	my $intent = await_payment($server, $payment, 'payable');
	at_stripe($stripe, $intent, 'succeed');
	read_payment($server, $payment);
	await_payment($server, $payment, 'succeeded');
	return ($payment, $intent);
}

sub refunds_of { my ($intent) = @_; return @{ $stripe->all_of('/v1/refunds', payment_intent => $intent) } }

# Nothing was heard of it since the day before yesterday.
sub a_day_passes
{
	my ($payment) = @_;
	$server->sql("UPDATE seats_internal.payment SET heard_at = heard_at - interval '2 days' WHERE id = $payment");
	return;
}

subtest 'more of them than one page holds' => sub {
	my ($payment, $intent) = paid(1500);
	at_stripe($stripe, $intent, 'refund', amount => 2) foreach 1 .. 150;
	read_payment($server, $payment);
	await_sums($server, $payment, '1500 300 0 0', 'all 150 count');
	refund($server, $payment);
	await_sums($server, $payment, '1500 1500 0 0', 'and what is left is what is left');
};

foreach my $case ([ 'execute_and_drop', 'done proven_by_list', 1 ], [ 'close_before', 'done', 2 ])
{
	my ($fault, $end, $generation) = @$case;
	subtest "no answer for a day, $fault" => sub {
		my ($payment, $intent) = paid(1000);
		my %refund = (method => 'POST', path => '/v1/refunds', body => "*payment_intent=$intent*");
		$stripe->fault({ match => {%refund}, fault => $fault });
		$stripe->fault({ match => {%refund}, fault => 'close_before', times => -1 });
		# (It is looked for before it is sent first.)
		$stripe->fault({ match => { method => 'GET', path => '/v1/refunds', skip => 1 }, fault => 'close_before', times => -1 });
		my $refund = refund($server, $payment, "400, request_key => 'late'");
		my $call = $server->sql("SELECT call FROM seats.refunds WHERE refund = $refund");
		$server->wait_for_sql("SELECT doubt AND tries > 1 FROM seats_internal.outbox WHERE id = $call", 't');
		$server->sql(q{SELECT seats.pause('stripe', 'a day passes')});
		$server->wait_for_sql("SELECT state <> 'sending' FROM seats_internal.outbox WHERE id = $call", 't');
		$stripe->clock_advance(25 * 3600);
		$server->sql("UPDATE seats_internal.outbox SET first_sent_at = first_sent_at - interval '25 hours',
		     last_sent_at = last_sent_at - interval '25 hours' WHERE id = $call");
		$stripe->clear_faults;
		$server->sql(q{SELECT seats.resume('stripe', 'the day is over')});
		is(settled_as($server, $call), $end, 'it is looked for before it is sent again');
		is($server->sql("SELECT generation FROM seats_internal.outbox_history WHERE id = $call"), $generation, 'under the key that this leaves');
		await_sums($server, $payment, '1000 400 0 0', 'the money is given back');
		is(scalar(refunds_of($intent)), 1, 'once');
		is(refund($server, $payment, "400, request_key => 'late'"), $refund, 'and asked for again it is the same');
		is(scalar(refunds_of($intent)), 1, 'still once');
	};
}

subtest 'the end of a refund, and of a dispute, of which no event comes' => sub {
	my ($payment, $intent) = paid(1000);
	at_stripe($stripe, $intent, 'refund', amount => 100, refunds => { status => 'pending' });
	read_payment($server, $payment);
	await_sums($server, $payment, '1000 0 100 0', 'it is on its way');
	$stripe->control('POST', '/refunds/' . (refunds_of($intent))[0]{id}, { action => 'fail', failure_reason => 'lost_or_stolen_card' });
	a_day_passes($payment);
	await_sums($server, $payment, '1000 0 0 0', 'it has failed');
	at_stripe($stripe, $intent, 'dispute', amount => 700);
	read_payment($server, $payment);
	await_sums($server, $payment, '1000 0 0 700', 'his bank wants money back');
	at_stripe($stripe, $intent, 'dispute_won');
	a_day_passes($payment);
	await_sums($server, $payment, '1000 0 0 0', 'and has not got it');
};

assert_judged($server, $stripe, 'refunds');
done_testing();
