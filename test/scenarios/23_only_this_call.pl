# An answer that speaks of the whole destination may be about one call alone; a proof of one key says
# nothing about the next; and what a read shows counts only if it shows the right thing.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use Time::HiRes qw(sleep);

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.request_timeout = '1s'
pg_seats.final_answer_gap = '0'
pg_seats.verify_after_silence = '1s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;

subtest 'one call that Stripe forbids stops nobody else' => sub {
	$stripe->fault({ match => { body => '*forbidden*' }, fault => 'forbidden_403', times => -1 });
	my $bad = $server->enqueue('/v1/customers', { name => 'forbidden' });
	is(await_state($server, $bad, 'review'), 'review', 'it goes to review');
	my ($good) = named_call($server);
	is(await_state($server, $good, 'done'), 'done', 'others go on');
	is($server->sql(q{SELECT count(*) FROM seats.journal WHERE kind = 'destination.halted'}),
		'0', 'the destination was not halted');
	is($server->sql('SELECT state FROM seats.destinations'), 'open', 'and is open');
};

subtest 'a key that may not read events is no reason to stop' => sub {
	$stripe->fault({ match => { path => '/v1/events*' }, fault => 'forbidden_403', times => -1 });
	$stripe->fault({ match => { body => '*doubtful*' }, fault => 'execute_and_500' });
	my $doubtful = $server->enqueue('/v1/customers', { name => 'doubtful' });
	is(await_state($server, $doubtful, 'review'), 'review', 'what cannot be proven goes to review');
	my ($good) = named_call($server);
	is(await_state($server, $good, 'done'), 'done', 'others go on');
	$stripe->clear_faults;
};

subtest 'the answer to a probe with the former key proves nothing' => sub {
	$stripe->control('POST', '/keys', { key => 'sk_test_other', account => 'acct_other' });
	# A new key of the right account, whose probe hangs; meanwhile a key of another account comes.
	$stripe->control('POST', '/keys', { key => 'sk_test_second', account => 'acct_simulator' });
	$stripe->fault({ match => { path => '/v1/account' }, fault => 'hang', times => 2 });
	# The worker looks at the file once a second.
	sleep 1.1;
	$server->write_secret('stripe_key', 'sk_test_second');
	my $call = $server->enqueue('/v1/customers', { name => 'for whom?' });
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } == 1 }, 'the probe to hang');
	my $former = $stripe->requests(state => 'hanging')->[0]{number};
	$server->write_secret('stripe_key', 'sk_test_other');
	wait_until(sub { $server->log_text =~ /read anew.*read anew/s }, 'the worker to see the file');
	$stripe->release(request => $former);
	$server->wait_for_sql(q{SELECT halted_reason FROM seats.destinations}, 'account_mismatch');
	is(scalar @{ $stripe->ledger(account => 'acct_other') }, 0, 'nothing happened in the other account');
	$server->write_secret('stripe_key', $PgSeats::Server::api_key);
	is(await_state($server, $call, 'done'), 'done', 'it happens in the right one');
	$stripe->clear_faults;
};

subtest 'a declined payment has events, too' => sub {
	my $customer = $stripe->create_customer(name => 'poor');
	my $method = $stripe->api('POST', '/v1/payment_methods/pm_card_chargeCustomerFail/attach',
		{ customer => $customer->{id} });
	my $intent = $stripe->api('POST', '/v1/payment_intents', { amount => 1000, currency => 'usd',
		customer => $customer->{id}, payment_method => $method->{id} });
	my $path = "/v1/payment_intents/$intent->{id}/confirm";
	$stripe->fault({ match => { path => $path }, fault => 'hang_after' });
	my $call = $server->enqueue($path, {});
	is(await_state($server, $call, 'done', 'refused', 'review'), 'refused', 'it is refused');
	is_deeply(attempts_of($server, $call),
		[ 'unknown timed_out', 'search events: unknown not_proven_yet 200',
			'refused payment_failed 402' ],
		'its events are no proof, the replay is')
	  or diag(explain(attempts_of($server, $call)));
};

assert_nothing_twice($stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
