# What one role enqueues is its own business: whatever Stripe answers to it, nobody else's calls stop.
# A destination is halted where only we can have caused it; what the halt holds can be taken back or
# decided by an operator, and resuming does not repeat what caused it.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'CONF');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
CONF
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
set_up_types($server);
my @teams = map { new_team($server, $stripe, $_, seats => { team => 5 }) } qw(a b c d e f);

my $halts = q{SELECT count(*) FROM seats.journal WHERE kind = 'destination.halted'};
my $round = 0;

# All of them are decided one by one, by a person, and nothing was ever halted.
sub assert_own_business
{
	my ($reason, @calls) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $list = join ',', @calls;
	my $judged = "SELECT count(*) FROM seats.calls WHERE call IN ($list) AND state IN ('review', 'refused', 'waiting')";
	wait_until(sub { $server->sql($judged) == @calls || $server->sql($halts) ne '0' }, "calls $list to be judged");
	is($server->sql($halts), '0', "nothing is halted for $reason") or die;
	$server->wait_for_sql("SELECT string_agg(DISTINCT state || ' ' || reason, ', ') FROM seats.calls WHERE call IN ($list)",
		$reason);
	pass("each is its own row's business: $reason");
	is($server->sql($halts), '0', 'and nothing was halted');
	await_state($server, $server->enqueue('/v1/customers', { name => 'goes on ' . ++$round }), 'done');
	$server->sql("SELECT seats.resolve_review(call, 'refuse', 'a typing mistake') FROM seats.reviews");
	return is(open_alerts($server), '', 'the alerts are gone with the last of them');
}

subtest 'objects that do not exist, in many lanes and in none' => sub {
	my @calls = map { $server->enqueue("/v1/customers/cus_nobody_$_", { name => 'x' }, lane => "own $_") } 1 .. 6;
	push @calls, map { $server->enqueue("/v1/customers/cus_nowhere_$_", { name => 'x' }) } 1 .. 6;
	assert_own_business('review not_found', @calls);
};

subtest 'a mistyped parameter' => sub {
	my @calls = map { $server->enqueue('/v1/customers', { nonsense => 'x' }, lane => "own $_") } 1 .. 7;
	assert_own_business('review unknown_parameter', @calls);
};

subtest 'what Stripe refuses, sign-ups with a mistyped address, say' => sub {
	$stripe->fault({
		match => { method => 'POST', body => '*mistyped*' },
		fault => 'answer',
		status => 400,
		body => { error => { type => 'invalid_request_error', code => 'email_invalid', param => 'email', message => 'Invalid email' } },
		times => -1 });
	my @calls = map { $server->enqueue('/v1/customers', { email => "mistyped $_" }) } 1 .. 8;
	assert_own_business('refused invalid_request', @calls);
	$stripe->clear_faults;
};

subtest 'a path that the key may not use, objects of the other mode and of other accounts' => sub {
	my %answers = (
		forbidden => { status => 403, type => 'invalid_request_error', message => 'The provided key does not have the permission' },
		mode_mismatch => { status => 404, type => 'invalid_request_error', message => 'No such customer: a similar object exists in live mode' },
		account_mismatch => { status => 404, type => 'invalid_request_error', message => 'No such customer, but it exists on one of your connected accounts' });
	foreach my $reason (sort keys %answers)
	{
		my %error = %{ $answers{$reason} };
		my $status = delete $error{status};
		$stripe->fault({ match => { method => 'POST', body => "*$reason*" },
			fault => 'answer', status => $status, body => { error => \%error }, times => -1 });
		my @calls = map { $server->enqueue('/v1/customers', { name => "$reason $_" }, lane => "own $_") } 1 .. 6;
		assert_own_business("review $reason", @calls);
	}
	$stripe->clear_faults;
};

# ---- what only we can have caused

sub refuse_our_changes
{
	my ($param) = @_;
	return $stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/*' },
		fault => 'unknown_parameter', param => $param, times => -1 });
}

subtest 'different mistakes in five lanes are not the same mistake' => sub {
	my @changes;
	foreach my $team (@teams[ 0 .. 4 ])
	{
		$stripe->fault({ match => { method => 'POST', path => "/v1/subscriptions/" . subscription_of($team) },
			fault => 'unknown_parameter', param => "mistake_$team", times => -1 });
		push @changes, add_seats($server, $team, 1);
	}
	my $judged = 'SELECT count(DISTINCT call) FROM seats.attempts WHERE call IN (' . join(',', @changes) . ')';
	wait_until(sub { $server->sql($judged) == 5 || $server->sql($halts) ne '0' }, 'all to be tried');
	await_another_loop($server);
	is($server->sql($halts), '0', 'nothing is halted') or die;
	await_change($server, $_, 'in_review') foreach @changes;
	$stripe->clear_faults;
	$server->sql("SELECT seats.resolve_review(call, 'same_key', 'put right') FROM seats.reviews");
	await_change($server, $_, 'confirmed') foreach @changes;
};

subtest 'one lane that makes the same mistake again and again is one lane' => sub {
	$stripe->fault({ match => { method => 'POST', path => "/v1/subscriptions/" . subscription_of($teams[0]) },
		fault => 'unknown_parameter', param => 'stubborn', times => 5 });
	my $change = add_seats($server, $teams[0], 1);
	foreach my $time (1 .. 5)
	{
		$server->wait_for_sql("SELECT count(*) FROM seats.attempts WHERE call = $change AND reason = 'unknown_parameter'", $time);
		await_change($server, $change, 'in_review', 'pending');
		is($server->sql($halts), '0', "time $time: nothing is halted") or last;
		$server->sql("SELECT seats.resolve_review($change, 'same_key', 'once more')");
	}
	$stripe->clear_faults;
	$server->sql(q{SELECT seats.resume('stripe', 'of the test')}) if $server->sql($halts) ne '0';
	await_change($server, $change, 'confirmed');
};

my @changes;
subtest 'the same mistake of ours in five lanes: halted, and what is held can be taken back' => sub {
	refuse_our_changes('nonsense');
	@changes = map { add_seats($server, $_, 1) } @teams;
	$server->wait_for_sql('SELECT state, halted_reason, halted_needs_person FROM seats.destinations',
		'halted|same_refusal_in_many_lanes|t');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.outbox WHERE state IN ('pending', 'review')}, '6');
	await_another_loop($server);
	is($server->sql(q{SELECT count(*) FILTER (WHERE state = 'pending'), sum(attempts), bool_or(doubt) FROM seats.outbox}),
		'6|0|f', 'all of them wait, and none has spent an attempt or is in doubt');
	is($server->sql('SELECT count(*) FROM seats.reviews'), '0', 'those in review are taken back');
	is(open_alerts($server), 'destination_halted', 'one alert');
	# Reads succeed, and prove nothing about the form of requests.
	my $last = $stripe->requests->[-1]{number};
	await_another_loop($server);
	is($server->sql('SELECT state FROM seats.destinations'), 'halted', 'it does not resume by itself');
	is(scalar(grep { $_->{method} eq 'POST' } @{ $stripe->requests(after => $last) }),
		0, 'and nothing more is sent');
	# What a person has to put right stays in his sight, whatever goes wrong besides.
	my $cause = $server->sql('SELECT halted_reason, halted_message FROM seats.destinations');
	$server->write_secret('stripe_key', 'sk_test_wrong');
	wait_until(sub { grep { $_->{status} == 401 } @{ $stripe->requests(after => $last) } }, 'the wrong key to be tried');
	await_another_loop($server);
	is($server->sql('SELECT halted_reason, halted_message FROM seats.destinations'), $cause,
		'it says what a person must put right, and not that the key is wrong as well');
	$server->write_secret('stripe_key', 'sk_test_simulator');
	wait_until(sub { $stripe->requests->[-1]{status} == 200 }, 'the right key to be tried');
	like(cancel_change($server, shift @changes), qr/^cancelled/, 'a change is taken back');
	my $change = shift @changes;
	$server->sql("SELECT seats.cancel_call($change, 'not wanted any more')");
	is(state_of_change($server, $change), 'cancelled', 'another one by an operator');
};

subtest 'resumed, and still wrong: halted at once, and nothing goes to review' => sub {
	my $reviews = q{SELECT count(*) FROM seats.journal WHERE kind = 'call.review'};
	my $before = $server->sql($reviews);
	foreach (1 .. 3)
	{
		my $halted = $server->sql($halts);
		$server->sql(q{SELECT seats.resume('stripe', 'let us see')});
		ok(eval { $server->wait_for_sql("SELECT count(*) > $halted FROM seats.journal WHERE kind = 'destination.halted'", 't'); 1 },
			'halted again') or diag($@);
		$server->wait_for_sql(q{SELECT count(*) FILTER (WHERE state = 'pending'), sum(attempts) FROM seats.outbox}, '4|0');
	}
	is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'review' AND state = 'open'}), '0', 'no review');
	is($server->sql($reviews), $before, 'and none was put there and taken back');
	is(open_alerts($server), 'destination_halted', 'one alert');
};

subtest 'a call in doubt that the halt holds is decided by a person' => sub {
	$stripe->clear_faults;
	$server->sql(q{SELECT seats.resume('stripe', 'deployed')});
	await_change($server, $_, 'confirmed') foreach @changes;
	assert_in_step($server, $stripe, $_) foreach @teams;
	is(open_alerts($server), '', 'and the alert is gone');

	# (On a kept connection curl would send it again by itself.)
	fresh_connections($stripe);
	$stripe->fault({ match => { method => 'POST', body => '*doubtful*' }, fault => 'hang_after' });
	my $call = $server->enqueue('/v1/customers', { name => 'doubtful' }, lane => 'doubtful');
	$stripe->await_held(method => 'POST');
	$server->sql(q{SELECT seats.pause('stripe', 'a look')});
	await_another_loop($server);
	$stripe->release(action => 'drop');
	await_state($server, $call, 'waiting');
	like(($server->try_sql("SELECT seats.cancel_call($call, 'away with it')"))[2], qr/may have been executed/,
		'what may have been executed is not cancelled');
	$server->sql("SELECT seats.review_call($call, 'its customer is gone')");
	is(state_of($server, $call), 'review', 'but put into review');
	is(open_alerts($server), 'review', 'with an alert');
	$server->sql("SELECT seats.resolve_review($call, 'executed', 'seen in the Dashboard')");
	is(state_of($server, $call), 'done', 'and decided');
	is(open_alerts($server), '', 'the alert is gone');
	$server->sql(q{SELECT seats.resume('stripe', 'seen')});
};

$server->assert_log_clean;
assert_ledger($server, $stripe);
$server->stop;
$stripe->stop;
done_testing();
