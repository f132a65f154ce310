# The subscription is cancelled in Stripe's Dashboard. Whatever the team's changes wait for at that
# moment: its members are out at once, each told with what the application has to take away, and
# nothing is lost.
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
pg_seats.request_timeout = '1s'
pg_seats.safety_poll = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => \0 });
define_seat_type($server, 'team');

# Five seats; an owner without one, two members on seats, of whom one has an external id, one invited.
sub make_team
{
	my ($team, %options) = @_;
	new_team($server, $stripe, $team, %options);
	$server->sql(<<"END");
SELECT seats.add_member('$team', 'ann', 'team', external_id => 'chat-$team-ann');
SELECT seats.add_member('$team', 'bea', 'team');
SELECT invite FROM seats.invite('$team', 'cem\@example.com', 'team');
END
	return $team;
}

sub status_of { return $server->sql("SELECT DISTINCT status FROM seats.teams WHERE team = '$_[0]'") }

sub active_members
{
	return $server->sql("SELECT count(*) FROM seats.members WHERE team = '$_[0]' AND status = 'active'");
}

# Everybody is out, everything is told, and nothing more can be done.
sub assert_ended
{
	my ($team) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(status_of($team), 'canceled', 'the team is cancelled');
	is(active_members($team), 0, 'its members are out');
	is($server->sql("SELECT DISTINCT status FROM seats.members WHERE team = '$team'"), 'cancelled',
		'… marked as cancelled');
	is($server->sql("SELECT status, reason FROM seats.invites WHERE team = '$team'"),
		'cancelled|subscription_ended', 'its invites are void');
	$server->wait_for_sql('SELECT count(*) FROM seats.journal WHERE number IS NULL', '0');
	is( $server->sql(<<"END"), "ann|chat-$team-ann\nbea|\nowner of $team|", 'each is told, with the external id');
SELECT detail ->> 'user_id', detail ->> 'external_id' FROM seats.journal
 WHERE kind = 'member.removed' AND detail ->> 'team' = '$team' AND reason = 'subscription_ended' ORDER BY 1
END
	is($server->sql(<<"END"), '3|1', 'and how many they were');
SELECT detail ->> 'members', detail ->> 'invites' FROM seats.journal
 WHERE kind = 'team.cancelled' AND detail ->> 'team' = '$team'
END
	like($server->log_text, qr/the subscription of team $team has ended: 3 members removed, 1 invites void/,
		'… also in the log');
	foreach my $refused ("SELECT seats.add_seats('$team', 'team', 1)",
		"SELECT seats.invite('$team', 'dan\@example.com', 'team')",
		"SELECT seats.add_member('$team', 'dan')")
	{
		my (undef, undef, $error) = $server->try_sql("\\set VERBOSITY verbose\n$refused");
		like($error, qr/PS512: the subscription of team $team is canceled/, $refused . ' is refused');
	}
	return;
}

sub cancel_and_look
{
	my ($team) = @_;
	$stripe->cancel_subscription(subscription_of($team));
	return $server->sql("SELECT seats.reconcile('$team', 'a webhook, say')");
}

sub await_out
{
	my ($team) = @_;
	$server->wait_for_sql("SELECT count(*) FROM seats.members WHERE team = '$team' AND status = 'active'", '0');
	return;
}

subtest 'nothing is under way' => sub {
	make_team('idle');
	cancel_and_look('idle');
	await_out('idle');
	assert_ended('idle');
	# Looking again tells nothing new.
	reconcile($server, 'idle');
	is($server->sql(q{SELECT count(*) FROM seats.journal WHERE kind = 'team.cancelled' AND detail ->> 'team' = 'idle'}),
		1, 'it is told once');
};

subtest 'a change was not sent yet' => sub {
	make_team('unsent');
	my $change = hold_worker($server, sub {
		my $made = add_seats($server, 'unsent', 2);
		$stripe->cancel_subscription(subscription_of('unsent'));
		return $made;
	});
	await_out('unsent');
	is(await_change($server, $change, 'reverted', 'confirmed', 'in_review'), 'reverted', 'the change is undone');
	assert_ended('unsent');
};

subtest 'the head is in review' => sub {
	make_team('review');
	my ($head, $behind);
	hold_worker($server, sub {
		($head, $behind) = (add_seats($server, 'review', 2), add_seats($server, 'review', 1));
		$server->sql("SELECT seats_internal.review_change($head, 'not_proven', 'the scenario says so')");
	});
	is(state_of_change($server, $head), 'in_review', 'a person has to decide');
	cancel_and_look('review');
	await_out('review');
	assert_ended('review');
	is(state_of_change($server, $head), 'in_review', 'the change in review is still there to be decided');
	is(state_of_change($server, $behind), 'reverted', '… and what was behind it is undone');
	$server->sql("SELECT seats.resolve_review($head, 'refuse', 'it is over')");
	await_change($server, $head, 'reverted');
	is(status_of('review'), 'canceled', 'deciding it changes nothing more');
};

subtest 'the head waits for its payment' => sub {
	define_seat_type($server, 'team', increase_payment_behavior => 'pending_if_incomplete');
	make_team('awaiting', card => 'requires_action');
	my $change = add_seats($server, 'awaiting', 2);
	await_change($server, $change, 'awaiting_payment');
	cancel_and_look('awaiting');
	await_out('awaiting');
	assert_ended('awaiting');
	is(await_change($server, $change, 'reverted', 'confirmed', 'in_review'), 'reverted', 'the change is undone');
	define_seat_type($server, 'team', increase_payment_behavior => 'error_if_incomplete');
};

# The worker has read that the payment did not come, and before he stores that the event of the end is processed.
subtest 'the event of the end is faster than an answer' => sub {
	define_seat_type($server, 'team', increase_payment_behavior => 'pending_if_incomplete');
	make_team('faster', card => 'requires_action');
	my $change = add_seats($server, 'faster', 2);
	await_change($server, $change, 'awaiting_payment');
	$stripe->void_invoice($stripe->subscription('sub_faster')->{latest_invoice});
	debug_point_from_now_on($server, 'after_answer');
	look_now($server, $change);
	$server->wait_at_debug_point('after_answer');
	$stripe->cancel_subscription('sub_faster');
	define_endpoint($server, 'main');
	like(receive($server, 'main', event_body('customer.subscription.deleted', $stripe->subscription('sub_faster'))),
		qr/^200 processed/, 'the event is processed');
	is(state_of_change($server, $change), 'reverted', 'the change is undone');
	$server->release_debug_point;
	reconcile($server, 'faster');
	assert_ended('faster');
	is($server->sql("SELECT string_agg(kind || ' ' || reason, ', ' ORDER BY number) FROM seats.journal
			WHERE call = $change AND kind ~ '^change.(confirmed|reverted)'"),
		'change.reverted subscription_ended', 'and is told of once');
	define_seat_type($server, 'team', increase_payment_behavior => 'error_if_incomplete');
};

subtest 'what became of the head is unknown' => sub {
	make_team('unknown');
	# Nobody knows whether it arrived: no answer comes, however often it is asked for.
	my $fault = $stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/sub_unknown' },
			fault => 'hang', times => -1 })->{id};
	my $change = add_seats($server, 'unknown', 2);
	$server->wait_for_sql("SELECT doubt FROM seats_internal.outbox WHERE id = $change", 't');
	cancel_and_look('unknown');
	await_out('unknown');
	assert_ended('unknown');
	$stripe->control('DELETE', "/faults/$fault");
	$stripe->release(path => '/v1/subscriptions/sub_unknown', action => 'drop');
	like(await_change($server, $change, 'confirmed', 'reverted', 'in_review'), qr/^(reverted|in_review)$/,
		'the change is settled by its own proof, or put before a person');
	is($server->sql("SELECT new_quantity - previous_quantity FROM seats.changes WHERE change = $change"), 2, '… and nothing of it is lost');
	is(active_members('unknown'), 0, 'and brings nobody back');
};

subtest 'the destination is halted' => sub {
	make_team('halted');
	$stripe->control('POST', '/keys', { key => $PgSeats::Server::api_key, state => 'revoked' });
	my $change = add_seats($server, 'halted', 2);
	$server->wait_for_sql('SELECT state FROM seats.destinations', 'halted');
	$stripe->control('POST', '/keys', { key => $PgSeats::Server::api_key, state => 'active' });
	$stripe->cancel_subscription(subscription_of('halted'));
	$server->sql("SELECT seats.reconcile('halted', 'a webhook, say')");
	$server->sql("SELECT seats.resume('stripe', 'the key is right again')")
	  if $server->sql('SELECT state FROM seats.destinations') eq 'halted';
	await_out('halted');
	assert_ended('halted');
	is(await_change($server, $change, 'reverted', 'confirmed', 'in_review'), 'reverted', 'the change is undone');
};

subtest 'a former subscription is nobody\'s business' => sub {
	make_team('moved');
	$stripe->control('POST', '/subscriptions',
		{ id => 'sub_moved_2', customer => 'cus_moved_2', items => [ { id => 'si_moved_2', price => 'price_team', unit_amount => 1000, quantity => 6 } ] });
	# Its read is on the wire while the team moves on, and says that it is over.
	$stripe->cancel_subscription('sub_moved');
	my $fault = $stripe->fault({ match => { method => 'GET', path => '/v1/subscriptions/sub_moved' },
			fault => 'hang_after', times => 1 })->{id};
	$server->sql(q{SELECT seats.reconcile('moved', 'look')});
	$stripe->await_held(method => 'GET', path => '/v1/subscriptions/sub_moved');
	$server->sql(q{SELECT seats.register_team('moved', 'sub_moved_2')});
	$stripe->release(method => 'GET', path => '/v1/subscriptions/sub_moved');
	await_seats($server, 'moved', '6|6|0');
	is(status_of('moved'), 'active', 'the new subscription counts');
	is(active_members('moved'), 3, 'and everybody is still there');
	$stripe->cancel_subscription('sub_moved_2');
	reconcile($server, 'moved');
	is(active_members('moved'), 0, '… until that one is over');
};

subtest 'individuals' => sub {
	$stripe->control('POST', '/subscriptions',
		{ id => 'sub_ina', customer => 'cus_ina', items => [ { id => 'si_ina', price => 'price_single', unit_amount => 500, quantity => 1 } ] });
	$server->sql(q{SELECT seats.register_individual('ina', 'sub_ina', external_id => 'chat-ina')});
	$server->wait_for_sql(q{SELECT status FROM seats.individuals WHERE user_id = 'ina'}, 'active');
	define_endpoint($server, 'main');
	like(receive($server, 'main', event_body('invoice.payment_failed', {
			id => 'in_ina', object => 'invoice', parent => { type => 'subscription_details', subscription_details => { subscription => 'sub_ina' } } })),
		qr/^200 processed/, 'an invoice of theirs');
	is($server->sql(q{SELECT detail ->> 'individual', detail ? 'team' FROM seats.journal WHERE kind = 'invoice.payment_failed'}),
		'ina|f', 'is told as an individual\'s');
	$stripe->cancel_subscription('sub_ina');
	$server->sql(q{SELECT seats.reconcile('ina', 'look')});
	$server->wait_for_sql(q{SELECT status FROM seats.individuals WHERE user_id = 'ina'}, 'canceled');
	is($server->sql(q{SELECT detail ->> 'external_id' FROM seats.journal WHERE kind = 'individual.ended'}),
		'chat-ina', 'the end is told, with the external id');
	is($server->sql(q{SELECT count(*) FILTER (WHERE kind = 'individual.ended'), count(team) FROM seats.read_journal('feed', 10000) WHERE detail ? 'individual'}),
		'1|0', 'and no entry of an individual names a team');
};

assert_nothing_twice($stripe);
$server->assert_log_clean;
done_testing();
