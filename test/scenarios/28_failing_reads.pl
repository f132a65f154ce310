# Reads that fail: refused, too large, or answered with something else. They say nothing, so nothing is
# decided by them: they are repeated, shown, and told to a person after a while. And a preview, which
# is a POST and changes nothing either.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
# Every change begins with a read of its subscription.
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.base_lifetime = 0
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.final_answer_gap = 0
pg_seats.response_limit = '64kB'
pg_seats.verify_after_silence = '1s'
pg_seats.safety_poll = '600s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
set_up_types($server);

sub problem_of
{
	my ($team) = @_;
	return $server->sql("SELECT DISTINCT problem FROM seats.teams WHERE team = '$team'");
}

sub alerts_about
{
	my ($team) = @_;
	return $server->sql("SELECT count(*) FROM seats.alerts
	    WHERE kind = 'subscription_unreadable' AND state = 'open' AND summary LIKE '%team $team %'");
}

sub state_in_outbox
{
	my ($call) = @_;
	return $server->sql("SELECT state FROM seats.outbox WHERE call = $call");
}

sub fail_reads
{
	my ($team, %fault) = @_;
	return $stripe->fault({
			match => { method => 'GET', path => '/v1/subscriptions/' . subscription_of($team) },
			times => -1, %fault });
}

# Until it is so, or so often was the base read that it never will be.
sub await_or_give_up
{
	my ($team, $condition, $what) = @_;
	my $path = '/v1/subscriptions/' . subscription_of($team);
	return wait_until(
		sub { $condition->() || @{ $stripe->requests(method => 'GET', path => $path) } > 30 }, $what);
}

# While its base cannot be read, a change waits, visibly; then it goes on by itself.
sub waits_and_goes_on
{
	my ($team, $problem, %fault) = @_;
	new_team($server, $stripe, $team);
	fail_reads($team, %fault);
	my $change = add_seats($server, $team, 3);
	await_or_give_up($team, sub { problem_of($team) ne '' }, "team $team to show a problem");
	like(problem_of($team), $problem, 'the team shows why') or return $stripe->clear_faults;
	await_or_give_up($team, sub { alerts_about($team) eq '1' }, "an alert about team $team");
	is(alerts_about($team), '1', 'somebody is told after a while');
	is(state_in_outbox($change), 'pending', 'what was never sent is in nobody\'s review');
	is(scalar @{ seat_posts($stripe, $team) }, 0, 'and was not sent');
	$stripe->clear_faults;
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, $team, { team => 8 });
	is(problem_of($team) . alerts_about($team), '0', 'the problem is gone, and the alert with it');
	return;
}

subtest 'the read before a change says which version it wants' => sub {
	new_team($server, $stripe, 'plain');
	my $change = add_seats($server, 'plain', 3);
	wait_until(sub { problem_of('plain') || state_of_change($server, $change) eq 'confirmed' }, 'an end, or a problem');
	is(problem_of('plain'), '', 'or Stripe would take the one of the account');
};

subtest 'a read before a change that is refused with 400' =>
  sub { waits_and_goes_on('refused', qr/unknown parameter/i, fault => 'unknown_parameter', param => 'expand') };

subtest '… with 404' => sub {
	waits_and_goes_on('missing', qr/No such subscription/, fault => 'answer', status => 404,
		body => { error => { type => 'invalid_request_error', code => 'resource_missing', param => 'id',
				message => 'No such subscription' } });
};

subtest '… answered with another object' => sub {
	waits_and_goes_on('another', qr/not the subscription/, fault => 'answer', status => 200,
		body => { object => 'customer', id => 'cus_another', livemode => JSON::PP::false });
};

subtest '… answered with another subscription' => sub {
	waits_and_goes_on('other', qr/not the subscription/, fault => 'answer', status => 200,
		body => { object => 'subscription', id => 'sub_of_others', status => 'active', livemode => JSON::PP::false,
			customer => 'cus_of_others', items => { object => 'list', data => [], has_more => JSON::PP::false } });
};

subtest '… larger than an answer may be' => sub {
	waits_and_goes_on('large', qr/larger|limit|answer_too_large/, fault => 'answer', status => 200,
		body => { object => 'subscription', padding => 'x' x 70_000 });
};

subtest 'a read by itself that is refused is repeated' => sub {
	new_team($server, $stripe, 'by_itself');
	fail_reads('by_itself', fault => 'unknown_parameter', param => 'expand');
	my $read = $server->sql(q{SELECT seats.reconcile('by_itself', 'look now')});
	wait_until(sub { alerts_about('by_itself') eq '1' }, 'an alert');
	like(state_in_outbox($read), qr/^(waiting|sending)$/, 'it is tried again');
	$stripe->clear_faults;
	await_state($server, $read, 'done');
	is(problem_of('by_itself'), '', 'and the problem is gone');
};

subtest 'an item on a later page that cannot be read is not a seat less' => sub {
	define_seat_type($server, 'many', prices => [ map {"price_many_$_"} 1 .. 12 ]);
	new_team($server, $stripe, 'paged', items => [
			map { { id => "si_paged_$_", price => "price_many_$_", quantity => 2 } } 1 .. 12 ]);
	is(seats_of($server, 'paged', 'many'), '24|24|0', 'all pages are counted');
	$stripe->fault({
			match => { method => 'GET', path => '/v1/subscription_items' }, times => -1,
			fault => 'answer', status => 200,
			body => { object => 'list', has_more => JSON::PP::false, data => [
					{ object => 'subscription_item', id => 'si_paged_1', quantity => 2,
						price => { object => 'price', id => 'price_many_1' } },
					{ object => 'subscription_item', quantity => 'two' } ] } });
	my $read = $server->sql(q{SELECT seats.reconcile('paged', 'look now')});
	wait_until(sub { problem_of('paged') || state_of($server, $read) eq 'done' }, 'the answer to be heeded');
	is(seats_of($server, 'paged', 'many'), '24|24|0', 'what is unknown is not zero');
	like(problem_of('paged'), qr/not all of its items/, 'and the team shows why');
	$stripe->clear_faults;
	await_state($server, $read, 'done');
};

# ---- verifications

# A call whose answer is a stored 500: only a read can tell.
sub call_in_doubt
{
	my ($call, $name) = struck_call($server, $stripe, [ { fault => 'execute_and_500' } ]);
	return $call;
}

sub last_request { my $seen = $stripe->requests; return @$seen ? $seen->[-1]{number} : 0 }

sub too_large
{
	my ($query) = @_;
	return $stripe->fault({
			match => { method => 'GET', path => '/v1/events', query => $query }, times => -1,
			fault => 'answer', status => 200, body => { object => 'list', padding => 'x' x 70_000 } });
}

# How the call stands when that is settled, or when so much was asked for that it never will be.
sub end_of_search
{
	my ($call, $before) = @_;
	wait_until(
		sub {
			state_of($server, $call) =~ /^(?:done|review)$/
			  || @{ $stripe->requests(path => '/v1/events', after => $before) } > 20;
		},
		"call $call to be settled");
	return state_of($server, $call);
}

subtest 'a page of events that is too large is asked for in parts' => sub {
	my $before = last_request();
	too_large($_) foreach 'limit=100&*', 'limit=50&*';
	my ($call) = struck_call($server, $stripe,
		[ { fault => 'execute_and_drop' }, { fault => 'error_500', times => -1 } ]);
	is(end_of_search($call, $before), 'done', 'and tells that the call was executed');
	is($server->sql("SELECT reason FROM seats.calls WHERE call = $call"), 'proven_by_event', '… by its event');
	$stripe->clear_faults;
};

subtest 'where even one event is too large, a person is asked, and told why' => sub {
	too_large('limit=*');
	my $before = last_request();
	my $call = call_in_doubt();
	is(end_of_search($call, $before), 'review', 'there is an end to asking') or return $stripe->clear_faults;
	like($server->sql("SELECT summary FROM seats.alerts WHERE call = $call AND kind = 'review'"),
		qr/larger than pg_seats\.response_limit/, 'the alert says why');
	my $asked = @{ $stripe->requests(path => '/v1/events', after => $before) };
	cmp_ok($asked, '<=', 7, "seven pages, each half as large as the last, not more ($asked)");
	$stripe->clear_faults;
	$server->sql("SELECT seats.resolve_review($call, 'executed', 'seen in the Dashboard')");
};

# ---- previews

sub preview
{
	my ($team) = @_;
	return $server->sql(qq{SELECT call FROM seats.preview_change('$team', '{"team": {"add": 2}}')});
}

subtest 'a preview that has no answer is asked for again, under another key' => sub {
	new_team($server, $stripe, 'preview');
	# Stored under its key, so that it would be said for ever.
	$stripe->fault({ match => { path => '/v1/invoices/create_preview' }, fault => 'execute_and_500' });
	my $call = preview('preview');
	is(await_state($server, $call, 'done', 'review', 'verifying'), 'done', 'until it is there');
};

subtest 'previews that Stripe refuses are refused, and stop nobody' => sub {
	$stripe->fault({
			match => { path => '/v1/invoices/create_preview' }, times => -1,
			fault => 'unknown_parameter', param => 'subscription_details' });
	my @calls = map { preview('preview') } 1 .. 6;
	is(await_state($server, $_, 'refused', 'review'), 'refused', "preview $_") foreach @calls;
	is($server->sql(q{SELECT state FROM seats.destinations WHERE name = 'stripe'}), 'open',
		'nobody else is stopped');
	$stripe->clear_faults;
};

subtest 'so is one for a subscription that has ended meanwhile' => sub {
	new_team($server, $stripe, 'over');
	# Nobody has told us yet.
	$stripe->cancel_subscription(subscription_of('over'));
	my $call = preview('over');
	is(await_state($server, $call, 'refused', 'review'), 'refused', 'it is refused');
	is($server->sql("SELECT reason FROM seats.outbox_history WHERE call = $call"), 'not_found', 'with the reason');
};

is($server->sql('SELECT count(*) FROM seats.reviews'), '0', 'nothing is left for a person');
assert_ledger($server, $stripe);
assert_folded($server);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
