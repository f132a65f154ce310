# Answers to payments' calls that are lost, late, cut or wrong: whatever Stripe has executed or not, of each payment there is
# one intent, of each refund one, and what Stripe knows comes to be known here. Nothing is told by events.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::PaymentModel;
use PgSeats::Payments;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.final_answer_gap = '200ms'
pg_seats.verify_after_silence = '2s'
pg_seats.request_timeout = '1s'
pg_seats.connect_timeout = '1s'
pg_seats.safety_poll = '300ms'
END
open_shop($server);

# What may become of a request of ours: the first one of each call meets it.
my %mishaps = (
	'the request is lost' => [ { fault => 'close_before' } ],
	'the answer is lost' => [ { fault => 'execute_and_drop' } ],
	'the answer is lost twice' => [ ({ fault => 'execute_and_drop' }) x 2 ],
	'no answer in time, not executed' => [ { fault => 'hang' } ],
	'no answer in time, executed' => [ { fault => 'hang_after' } ],
	'executed after the connection has ended' => [ { fault => 'execute_later', seconds => 1 } ],
	'executed behind its own repetition' => [ { fault => 'execute_later', seconds => 1, holds_key => \0 } ],
	'an answer that is cut' => [ { fault => 'cut_body' } ],
	'half an answer that looks whole' => [ { fault => 'short_content_length' } ],
	'bytes that are no answer' => [ { fault => 'garbage' } ],
	'a 500 that executes nothing' => [ { fault => 'error_500' } ],
	'a 500 that executes nothing, and stays' => [ { fault => 'error_500', store => \1 } ],
	'a 500 that has executed' => [ { fault => 'execute_and_500' } ],
	'a 502 that has executed' => [ { fault => 'error_500', status => 502, execute => \1 } ],
	'a 429 that has executed' => [ { fault => 'rate_limit_429', execute => \1 } ],
	'a lock that somebody has, after an answer was lost' => [ { fault => 'execute_and_drop' }, { fault => 'lock_timeout' } ]);
my @names = sort keys %mishaps;

# (Of what goes wrong everywhere at once the worker thinks that Stripe is away, and pauses.)
sub strike
{
	my ($name, %match) = @_;
	$stripe->fault({ match => {%match}, %$_ }) foreach @{ $mishaps{$name} };
	return;
}

share_bill($server, 'mishaps', { map { $_ => 1000 } @names });
my %hash = map { $_ => hash_of($server, 'mishaps', $_) } @names;
my (%payment, %intent) = ();

subtest 'intents are made' => sub {
	foreach my $name (@names)
	{
		strike($name, method => 'POST', path => '/v1/payment_intents', body => "*$hash{$name}*");
		$payment{$name} = start_payment($server, 'mishaps', $name);
	}
	foreach my $name (@names)
	{
		$intent{$name} = await_payment($server, $payment{$name}, 'payable');
		is(join(' ', map { "$_->{id} $_->{status}" } intents_of($stripe, $hash{$name})), "$intent{$name} requires_payment_method", $name);
	}
};

subtest 'intents are cancelled' => sub {
	foreach my $name (@names)
	{
		my $second = "$name, cancelled";
		share_bill($server, $second, { ada => 500 });
		$payment{$second} = start_payment($server, $second, 'ada');
		$intent{$second} = await_payment($server, $payment{$second}, 'payable');
		strike($name, method => 'POST', path => "/v1/payment_intents/$intent{$second}/cancel");
		shop($server, "SELECT seats.cancel_payment($payment{$second})");
	}
	foreach my $name (@names)
	{
		await_payment($server, $payment{"$name, cancelled"}, 'canceled');
		await_happened($server, $payment{"$name, cancelled"}, 'cancelled 500 requested_by_customer', $name);
	}
};

subtest 'what was paid is read' => sub {
	foreach my $name (@names)
	{
		strike($name, method => 'GET', path => "/v1/payment_intents/$intent{$name}");
		at_stripe($stripe, $intent{$name}, 'succeed');
		$server->sql("SELECT seats.reconcile_payment($payment{$name}, 'the scenario wants it')");
	}
	await_happened($server, $payment{$_}, 'succeeded 1000', $_) foreach @names;
};

subtest 'money is given back' => sub {
	foreach my $name (@names)
	{
		strike($name, method => 'POST', path => '/v1/refunds', body => "*$intent{$name}*");
		refund($server, $payment{$name}, '400');
		# (One that has a name is looked for first.)
		strike($name, method => 'POST', path => '/v1/refunds', body => "*amount=50*$intent{$name}*");
		refund($server, $payment{$name}, q{50, request_key => 'named'});
	}
	foreach my $name (@names)
	{
		await_sums($server, $payment{$name}, '1000 450 0 0', $name);
		is(join(' ', sort map { $_->{amount} } @{ $stripe->all_of('/v1/refunds', payment_intent => $intent{$name}) }), '400 50', '… once');
	}
};

subtest 'what the Dashboard has done is read' => sub {
	foreach my $name (@names)
	{
		strike($name, method => 'GET', path => "/v1/$_", query => "*$intent{$name}*") foreach qw(refunds disputes);
		at_stripe($stripe, $intent{$name}, 'refund', amount => 100);
		at_stripe($stripe, $intent{$name}, 'dispute', amount => 200);
		$server->sql("SELECT seats.reconcile_payment($payment{$name}, 'the scenario wants it')");
	}
	await_sums($server, $payment{$_}, '1000 550 0 200', $_) foreach @names;
};

# (Five lanes that are refused alike are our own mistake, and stop the destination. These are not.)
subtest 'an amount that Stripe does not take is refused by itself' => sub {
	my %answers = map { $_ => { fault => 'answer', status => 400, body => { error => {
					type => 'invalid_request_error', code => $_, param => 'amount', message => 'The amount is not right.' } } } }
	  qw(amount_too_small amount_too_large parameter_invalid_integer);
	my %wrong = (
		# It depends on more than the currency what Stripe takes at least, so nothing here knows it.
		'the least of a currency' => { currency => 'krw' },
		'a currency that there is not' => { currency => 'xyz' },
		(map { $_ => { answer => $answers{$_} } } keys %answers));
	foreach my $name (sort keys %wrong)
	{
		my %members = map { ("payer $_" => 100) } 1 .. 7;
		share_bill($server, $name, \%members, currency => $wrong{$name}{currency} // 'eur');
		my @payments = ();
		foreach my $payer (sort keys %members)
		{
			my $hash = hash_of($server, $name, $payer);
			$stripe->fault({ match => { method => 'POST', body => "*$hash*" }, %{ $wrong{$name}{answer} } }) if $wrong{$name}{answer};
			push @payments, start_payment($server, $name, $payer);
		}
		await_payment($server, $_, 'refused') foreach @payments;
		is($server->sql('SELECT state, halted_reason FROM seats.destinations'), 'open|', "$name: nobody else is stopped");
		is($server->sql("SELECT count(*) FROM seats_internal.payment_transaction WHERE kind = 'failed' AND payment_id IN ("
				  . join(', ', @payments) . ')'), scalar(@payments), '… each is told');
		await_member($server, $name, 'payer 7', 'unpaid');
	}
};

assert_judged($server, $stripe, 'in the end');

# Intents that were made with our metadata, and that the database has never known: two pages of them.
sub make_strays
{
	my ($name, $count) = @_;
	my $installation = $server->sql('SELECT uuid FROM seats_internal.installation');
	$stripe->api('POST', '/v1/payment_intents', {
			amount => 700, currency => 'eur',
			metadata => { pg_seats_installation => $installation, pg_seats_member => "$name$_", pg_seats_attempt => 1 } })
	  foreach 1 .. $count;
	return;
}

subtest 'all intents are listed' => sub {
	make_strays('first', 130);
	foreach my $name (@names)
	{
		strike($name, method => 'GET', path => '/v1/payment_intents');
	}
	$server->sql(q{SELECT seats.reconcile_payments('stripe', 'the scenario wants it')});
	$server->wait_for_sql('SELECT count(*) FROM seats.payment_drift', '130', timeout => 60);
	is(scalar(grep { $_->{times} > $_->{applied} } @{ $stripe->control('GET', '/faults')->{faults} }), 0, 'whatever the answers were');
};

# (As with a restricted key.)
subtest 'a list that we may not read' => sub {
	$stripe->clear_faults;
	make_strays('second', 1);
	my $forbidden = $stripe->fault({ match => { method => 'GET', path => '/v1/payment_intents' }, fault => 'forbidden_403', times => -1 })->{id};
	$server->sql(q{SELECT seats.reconcile_payments('stripe', 'the scenario wants it')});
	$server->wait_for_sql(q{SELECT severity FROM seats.alerts WHERE kind = 'payments_unlisted' AND state <> 'resolved'}, 'critical');
	share_bill($server, 'meanwhile', { ada => 1000 });
	await_payment($server, start_payment($server, 'meanwhile', 'ada'), 'payable');
	pass('a person is told, and payers go on');
	$stripe->control('DELETE', "/faults/$forbidden");
	$server->sql(q{SELECT seats.retry(o.id, 'the key is another one') FROM seats_internal.outbox AS o WHERE o.kind = 'payment_list'});
	$server->wait_for_sql('SELECT count(*) FROM seats.payment_drift', '131');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'payments_unlisted' AND state <> 'resolved'}, '0');
};

$server->assert_log_clean;
$server->stop;
done_testing();
