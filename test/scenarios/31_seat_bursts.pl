# Many changes of one team at once: while Stripe is away, on a card that declines, and beyond Stripe's
# limits for a subscription. What can go together does, what is refused is found with few calls, and
# what must wait waits visibly.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.safety_poll = '200ms'
pg_seats.request_timeout = '1s'
pg_seats.connect_timeout = '1s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');

sub limits { my ($on) = @_; $stripe->control('POST', '/limits', { subscriptions => $on ? \1 : \0 }); return }

# 'confirmed confirmed reverted …' of these changes, counted in their order: '2 confirmed, 1 reverted'.
sub fates
{
	my @changes = @_;
	my $list = join ',', @changes;
	my (@runs, $before);
	foreach my $state (split /\n/, $server->sql("SELECT state FROM seats.changes WHERE change IN ($list) ORDER BY change"))
	{
		push @runs, [ 0, $state ] unless defined $before && $before eq $state;
		$runs[-1][0]++;
		$before = $state;
	}
	return join ', ', map {"$_->[0] $_->[1]"} @runs;
}

sub posts_during
{
	my ($team, $during) = @_;
	my $before = @{ seat_posts($stripe, $team) };
	$during->();
	return @{ seat_posts($stripe, $team) } - $before;
}

sub executed_posts { my ($team) = @_; return scalar @{ $stripe->worker_ledger(object => subscription_of($team)) } }

limits(0);

# ---- Stripe is away

subtest 'a hundred additions while Stripe refuses connections' => sub {
	my $team = new_team($server, $stripe, 'away');
	await_change($server, add_seats($server, $team, 1), 'confirmed');  # its base is fresh
	$stripe->outage('refuse');
	my @changes = (add_seats($server, $team, 1));
	await_breaker($server, 'open');
	like(attempts_of($server, $changes[0])->[0], qr/not_sent/, 'the first one was tried');
	push @changes, add_seats_many($server, $team, 99);
	assert_seats($server, $team, [ 6, 106, 0 ], 'all are seen');
	is($server->sql("SELECT count(*) FROM seats.changes WHERE team = '$team' AND state = 'pending'"),
		'100', 'all are pending');
	is(
		posts_during(
			$team,
			sub {
				$stripe->outage(undef);
				assert_in_step($server, $stripe, $team, { team => 106 });
			}),
		1,
		'Stripe is back: one POST');
	is(fates(@changes), '100 confirmed', 'that carried all of them');
	is(open_alerts($server), '', 'no alert is left');
};

subtest 'a hundred in one call, which is lost' => sub {
	my $team = new_team($server, $stripe, 'lost');
	fresh_connections($stripe);
	$stripe->fault(
		{ match => { method => 'POST', path => '/v1/subscriptions/sub_lost' }, fault => 'execute_and_drop' });
	my @changes = hold_worker($server, sub { return add_seats_many($server, $team, 100) });
	assert_in_step($server, $stripe, $team, { team => 105 });
	is(executed_posts($team), 1, 'Stripe executed one');
	my @keys = do { my %seen; grep { !$seen{$_}++ } map { $_->{key} } @{ seat_posts($stripe, $team) } };
	is(scalar @keys, 1, 'it was sent again under the same key');
	is(fates(@changes), '100 confirmed', 'and confirmed all of them');
};

subtest 'the first was sent and lost, and then Stripe says nothing' => sub {
	my $team = new_team($server, $stripe, 'silent');
	await_change($server, add_seats($server, $team, 1), 'confirmed');
	$stripe->outage('hang');
	my @changes = (add_seats($server, $team, 1));
	$server->wait_for_sql("SELECT doubt FROM seats.outbox WHERE call = $changes[0]", 't');
	push @changes, add_seats_many($server, $team, 99);
	$stripe->outage(undef);
	assert_in_step($server, $stripe, $team, { team => 106 });
	# What may have been executed goes under its own key alone; the others together.
	is(executed_posts($team), 3, 'the first in its own call, all others in one');
	is(fates(@changes), '100 confirmed', 'all are confirmed');
};

# ---- a card that declines

subtest 'a hundred on a dead card' => sub {
	my $team = new_team($server, $stripe, 'dead', card => 'declined');
	my @changes;
	is(
		posts_during(
			$team,
			sub {
				@changes = hold_worker($server, sub { return add_seats_many($server, $team, 100) });
				assert_in_step($server, $stripe, $team, { team => 5 });
			}),
		1,
		'one call');
	is(fates(@changes), '100 reverted', 'all are undone');
	assert_folded($server);
};

# funds(name, card, calls, fates, seats): a hundred additions of a seat for 10.00 each.
sub funds
{
	my ($name, $team, $card, $calls, $fates, $seats) = @_;
	return subtest $name => sub {
		new_team($server, $stripe, $team, card => $card);
		my @changes;
		my $posts = posts_during(
			$team,
			sub {
				@changes = hold_worker($server, sub { return add_seats_many($server, $team, 100) });
				assert_in_step($server, $stripe, $team, { team => $seats });
			});
		is($posts, $calls, "$calls calls");
		cmp_ok($posts, '<=', 4, 'at most four');
		is(fates(@changes), $fates, 'in their order');
		assert_folded($server);
	};
}

funds('insufficient funds for anything', 'poor', 'insufficient_funds', 4, '100 reverted', 5);
funds('insufficient funds for the half', 'some', 'insufficient_over:30000', 4,
	'37 confirmed, 63 reverted', 42);
funds('sufficient funds for the half', 'half', 'insufficient_over:60000', 4,
	'87 confirmed, 13 reverted', 92);

subtest 'insufficient funds for one' => sub {
	my $team = new_team($server, $stripe, 'one', card => 'insufficient_funds');
	my $posts = posts_during($team, sub { await_change($server, add_seats($server, $team, 1), 'reverted') });
	is($posts, 1, 'there is nothing to be split: one call');
};

subtest 'what comes later keeps its place behind what is split' => sub {
	my $team = new_team($server, $stripe, 'later', card => 'insufficient_over:1500');
	my @changes = hold_worker(
		$server,
		sub {
			return (add_seats_many($server, $team, 4), remove_seats($server, $team, 2),
				add_seats_many($server, $team, 1));
		});
	assert_in_step($server, $stripe, $team, { team => 6 });
	is(fates(@changes), '2 confirmed, 2 reverted, 2 confirmed', 'each of the four by itself, then the others');
	my @executed = map { $_->{quantities}{after}{ item_of($team, 'team') } }
	  grep { $_->{outcome} eq 'done' } @{ $stripe->worker_ledger(object => subscription_of($team)) };
	is("@executed", '6 7 5 6', 'in this order');
};

# ---- a set that turns

subtest 'a set that was a decrease is an increase after a refusal' => sub {
	foreach my $case ([ 'turn', 'ok', 'confirmed', 10 ], [ 'turned', 'declined', 'reverted', 5 ])
	{
		my ($team, $card, $fate, $seats) = @$case;
		new_team($server, $stripe, $team, card => 'declined');
		$stripe->fault({ match => { method => 'POST', path => "/v1/subscriptions/sub_$team" }, fault => 'hang' });
		my $increase = add_seats($server, $team, 10);
		$stripe->await_held(method => 'POST');
		my $set = set_seats($server, $team, 10);
		is($server->sql("SELECT previous_quantity, new_quantity FROM seats.changes WHERE change = $set"),
			'15|10', 'when it is asked for it gives seats back');
		debug_point_from_now_on($server, 'after_answer');
		$stripe->release(method => 'POST');
		$server->wait_at_debug_point('after_answer');
		$stripe->set_card(customer_of($team), $card);
		$server->release_debug_point;
		await_change($server, $increase, 'reverted');
		await_change($server, $set, $fate);
		is(form_of($stripe, $team)->{payment_behavior}, 'error_if_incomplete', 'it is paid for as an increase');
		is(form_of($stripe, $team)->{proration_behavior}, 'always_invoice', 'and invoiced as one');
		assert_in_step($server, $stripe, $team, { team => $seats }, "its card is $card: $fate");
	}
};

# ---- Stripe's limits for a subscription: 10 invoices a minute, 20 a day

sub let_time_pass
{
	my ($seconds) = @_;
	age_calls($server, $seconds);
	$stripe->clock_advance($seconds);
	return;
}

sub refused_by_limits
{
	return scalar grep { ($_->{status} // 0) == 429 } @{ seat_posts($stripe, $_[0]) };
}

subtest 'ten invoices a minute, twenty a day' => sub {
	limits(1);
	my $team = new_team($server, $stripe, 'limits');
	await_change($server, add_seats($server, $team, 1), 'confirmed') foreach 1 .. 10;
	my @changes = (add_seats($server, $team, 1));
	await_reason($server, $changes[0], qr/stripes_limit_for_a_subscription/);
	is(state_of_change($server, $changes[0]), 'pending', 'the eleventh waits and says why');
	is($server->sql("SELECT due_at BETWEEN now() AND now() + interval '1 minute' FROM seats.outbox
		WHERE call = $changes[0]"), 't', 'not longer than a minute');
	push @changes, add_seats_many($server, $team, 20);
	$server->kill_worker('TERM');
	$server->wait_for_worker;
	push @changes, add_seats_many($server, $team, 20);
	await_another_loop($server);
	is(executed_posts($team), 10, 'nothing more was sent, also by another worker');
	is($server->sql("SELECT reason FROM seats.changes WHERE change = $changes[0]"),
		'stripes_limit_for_a_subscription', 'the reason is still there');
	like($server->sql("SELECT reason FROM seats.changes WHERE change = $changes[-1]"),
		qr/^behind call $changes[0]$/, 'and what stands behind it says that');
	assert_seats($server, $team, [ 15, 56, 0 ], 'all are seen');
	assert_folded($server);

	let_time_pass(61);
	look_now($server, $changes[0]);
	assert_in_step($server, $stripe, $team, { team => 56 });
	is(executed_posts($team), 11, 'a minute later: all of them in one call');

	foreach my $number (12 .. 20)
	{
		let_time_pass(61) if $number == 16;
		await_change($server, add_seats($server, $team, 1), 'confirmed');
	}
	let_time_pass(61);
	my $last = add_seats($server, $team, 1);
	await_reason($server, $last, qr/stripes_limit_for_a_subscription/);
	is($server->sql("SELECT due_at > now() + interval '20 hours' FROM seats.outbox WHERE call = $last"),
		't', 'the twenty-first waits for the next day');
	is(executed_posts($team), 20, 'and is not sent');
	$server->sql("UPDATE seats_internal.outbox SET created_at = now() - interval '3 hours'");
	is($server->sql(q{SELECT status FROM seats.health WHERE check_name = 'oldest_call'}), 'ok', 'nobody is paged for it');
	is($server->sql("SELECT call, reason, until > now() + interval '20 hours' FROM seats.blocked_lanes"),
		"$last|stripes_limit_for_a_subscription|t", '… but whoever looks is told why, and until when');
	is(refused_by_limits($team), 0, 'Stripe never had to say no');
	# Time passes, and nobody has to do anything.
	let_time_pass(86400);
	look_now($server, $last);
	assert_in_step($server, $stripe, $team, { team => 66 });
	is(open_alerts($server), '', 'no alert');
};

subtest 'seats that are given back make no invoice' => sub {
	my $team = new_team($server, $stripe, 'back', seats => { team => 40 });
	await_change($server, remove_seats($server, $team, 1), 'confirmed') foreach 1 .. 11;
	await_change($server, add_seats($server, $team, 1), 'confirmed');
	assert_in_step($server, $stripe, $team, { team => 30 }, 'they use up nothing of the limit for those');
};

subtest 'somebody else has used up the limit' => sub {
	my $team = new_team($server, $stripe, 'shared');
	$stripe->api(
		'POST',
		'/v1/subscriptions/sub_shared',
		{
			items => [ { id => item_of($team, 'team'), quantity => 5 + $_ } ],
			proration_behavior => 'always_invoice',
			payment_behavior => 'error_if_incomplete'
		}) foreach 1 .. 10;
	reconcile($server, $team);
	my $change = add_seats($server, $team, 1);
	await_reason($server, $change, qr/rate_limited/);
	is(state_of_change($server, $change), 'pending', 'it waits, and says why');
	# What Stripe turns away makes no invoice, however often: only its own clock is to be waited for.
	wait_until(sub { refused_by_limits($team) >= 12 }, 'Stripe to say no a dozen times');
	$stripe->clock_advance(61);
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, $team, { team => 16 });
};

assert_folded($server);
assert_ledger($server, $stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
