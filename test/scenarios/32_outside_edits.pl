# Somebody changes the seats at Stripe, in the Dashboard, at every moment of a change of ours. Either
# both changes hold, or a person is told which one was overwritten, with both numbers.
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
pg_seats.event_check_after = '200ms'
pg_seats.final_answer_gap = '1h'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => \0 });
define_seat_type($server, $_) foreach qw(team owner);

sub edit
{
	my ($team, $quantity) = @_;
	$stripe->edit_subscription(subscription_of($team), quantities => { item_of($team, 'team') => $quantity });
	return;
}

sub executed { return scalar @{ $stripe->worker_ledger(object => subscription_of($_[0])) } }

# As if what is known of the subscription had been proved long ago: it is read before the next call.
sub forget_base
{
	my ($team) = @_;
	$server->sql("UPDATE seats_internal.team SET base_proven_at = base_proven_at - interval '1 hour'
		WHERE name = '$team'");
	return;
}

sub held_request
{
	my ($team, $method, $fault) = @_;
	my %fault = ref $fault ? %$fault : (fault => $fault);
	$stripe->fault({ match => { method => $method, path => "/v1/subscriptions/sub_$team" }, %fault });
	return;
}

# Stripe has stored a failure under the change's key, so it will never be executed under it; that is proven
# only when it has been seen twice, some time apart, and a read shows what stood there before.
sub stored_failure
{
	my ($team, $change) = @_;
	held_request($team, 'POST', { fault => 'error_500', store => \1 });
	my $made = $change->();
	$server->wait_for_sql("SELECT state FROM seats_internal.outbox WHERE id = $made AND key_final_at IS NOT NULL",
		'waiting');
	return $made;
}

sub prove_not_executed
{
	my ($change) = @_;
	$server->sql("UPDATE seats_internal.outbox SET key_final_at = key_final_at - interval '2 hours' WHERE id = $change");
	look_now($server, $change);
	return;
}

sub alert_of
{
	my ($team) = @_;
	return $server->sql("SELECT string_agg(detail #>> '{seats,team}', ' ') FROM seats.alerts
		WHERE kind = 'outside_change_overwritten' AND detail ->> 'team' = '$team'");
}

# All calls' events were looked at, so that no alert is missing for want of time.
sub await_events
{
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.expected_event', '0');
	return;
}

# The change is +2 of 5 in a team of its own, the edit is to 9 unless it comes after our call: +4.
sub preserved
{
	my ($name, $team, $during, $expected) = @_;
	return subtest $name => sub {
		new_team($server, $stripe, $team);
		await_change($server, $during->($team), 'confirmed');
		# What came behind our call is known when the subscription is read again.
		reconcile($server, $team);
		assert_in_step($server, $stripe, $team, { team => 11 }, 'the sum is preserved');
		await_events();
		is(alert_of($team), '', 'nothing was overwritten');
		like(journal_kinds($server, $team, 'outside'), qr/^seats.changed_outside$/,
			'the journal tells of the outside change, once');
		assert_folded($server);
	};
}

sub alerted
{
	my ($name, $team, $during) = @_;
	return subtest $name => sub {
		new_team($server, $stripe, $team);
		await_change($server, $during->($team), 'confirmed');
		assert_in_step($server, $stripe, $team, { team => 7 }, 'our change holds');
		await_events();
		wait_until(sub { alert_of($team) ne '' }, 'an alert about what was overwritten');
		is_deeply(
			JSON::PP::decode_json(alert_of($team)),
			{ computed_on => 5, found => 9, written => 7 },
			'the alert has the numbers');
		like($server->sql("SELECT summary FROM seats.alerts WHERE detail ->> 'team' = '$team'"),
			qr/computed on 5, but it was 9, and 7 was written/, '… in words, too');
		assert_folded($server);
	};
}

# ---- before the claim

preserved(
	'before the claim, the base is old',
	'before_old',
	sub {
		my ($team) = @_;
		return hold_worker(
			$server,
			sub {
				my $change = add_seats($server, $team, 2);
				edit($team, 9);
				forget_base($team);
				return $change;
			});
	});
alerted(
	'before the claim, the base is fresh',
	'before_fresh',
	sub {
		my ($team) = @_;
		return hold_worker(
			$server,
			sub {
				my $change = add_seats($server, $team, 2);
				edit($team, 9);
				return $change;
			});
	});

# A site that wants none of that reads before every call, and once only.
set_configuration($server, 'pg_seats.base_lifetime' => '0');
preserved(
	'before the claim, and every base is too old',
	'before_any',
	sub {
		my ($team) = @_;
		# By now the worker has heard of the setting.
		await_change($server, add_seats($server, $team, 1), 'confirmed');
		await_change($server, remove_seats($server, $team, 1), 'confirmed');
		my $reads = @{ seat_reads($stripe, $team) };
		my $change = hold_worker(
			$server,
			sub {
				my $made = add_seats($server, $team, 2);
				edit($team, 9);
				return $made;
			});
		await_change($server, $change, 'confirmed');
		is(@{ seat_reads($stripe, $team) } - $reads, 1, 'one read');
		return $change;
	});
set_configuration($server, 'pg_seats.base_lifetime' => '1min');

# ---- round the read of the base

foreach my $case ([ 'read_before', 'hang', \&preserved ], [ 'read_after', 'hang_after', \&alerted ])
{
	my ($team, $fault, $outcome) = @$case;
	$outcome->(
		$fault eq 'hang' ? 'just before the read of the base' : 'between the read of the base and the call',
		$team,
		sub {
			forget_base($team);
			held_request($team, 'GET', $fault);
			my $change = add_seats($server, $team, 2);
			$stripe->await_held(method => 'GET');
			edit($team, 9);
			$stripe->release(method => 'GET', path => "/v1/subscriptions/sub_$team");
			return $change;
		});
}

# ---- round the call

foreach my $case ([ 'wire_before', 'hang', \&alerted, 9 ], [ 'wire_after', 'hang_after', \&preserved, 11 ])
{
	my ($team, $fault, $outcome, $quantity) = @$case;
	$outcome->(
		"on the wire, $fault",
		$team,
		sub {
			held_request($team, 'POST', $fault);
			my $change = add_seats($server, $team, 2);
			$stripe->await_held(method => 'POST');
			edit($team, $quantity);
			$stripe->release(method => 'POST', path => "/v1/subscriptions/sub_$team");
			return $change;
		});
}

foreach my $point (qw(after_answer before_settle_commit))
{
	preserved(
		"before it is settled: $point",
		$point,
		sub {
			my ($team) = @_;
			debug_point_from_now_on($server, $point);
			my $change = add_seats($server, $team, 2);
			$server->wait_at_debug_point($point);
			edit($team, 11);
			$server->release_debug_point;
			return $change;
		});
}

# An answer that was lost: what is there now is read, as the replay does not tell.
preserved(
	'between a lost answer and its replay',
	'replay',
	sub {
		my ($team) = @_;
		fresh_connections($stripe);
		held_request($team, 'POST', 'execute_and_drop');
		debug_point_from_now_on($server, 'after_answer');
		my $change = add_seats($server, $team, 2);
		$server->wait_at_debug_point('after_answer');
		edit($team, 11);
		$server->release_debug_point;
		return $change;
	});

# The read that the edit's webhook asks for finds our call executed before its answer is asked for again.
alerted(
	'a lost answer, and a read that somebody else has asked for proves the call',
	'lost',
	sub {
		my ($team) = @_;
		fresh_connections($stripe);
		held_request($team, 'POST', 'execute_and_drop');
		held_request($team, 'POST', { fault => 'conflict_409', times => -1 });
		my $change = hold_worker(
			$server,
			sub {
				my $made = add_seats($server, $team, 2);
				edit($team, 9);
				return $made;
			});
		$server->wait_for_sql("SELECT doubt FROM seats_internal.outbox WHERE id = $change", 't');
		reconcile($server, $team);
		is($server->sql("SELECT reason FROM seats.changes WHERE change = $change"), 'proven_by_marker',
			'the read has proved it');
		$stripe->clear_faults;
		return $change;
	});

# The read that proves that nothing was executed shows the edit, too: the next try is computed on that, however
# fresh the former base is.
preserved(
	'before the read that proves that our call was not executed',
	'not_executed',
	sub {
		my ($team) = @_;
		my $change = stored_failure($team, sub { add_seats($server, $team, 2) });
		edit($team, 9);
		my $reads = @{ seat_reads($stripe, $team) };
		prove_not_executed($change);
		await_change($server, $change, 'confirmed');
		is(@{ seat_reads($stripe, $team) } - $reads, 1, 'it is read once');
		return $change;
	});

# ---- fewer than what is asked for needs

# With these changes waiting, somebody makes it `quantity`: which of them remain?
sub lowered
{
	my ($name, $team, $quantity, $changes, $fates, $expected, $members) = @_;
	return subtest $name => sub {
		new_team($server, $stripe, $team, seats => { team => 10, owner => 1 });
		$server->sql("SELECT seats.add_member('$team', 'member $_', 'team')") foreach 1 .. $members // 0;
		my @changes = hold_worker(
			$server,
			sub {
				my @made = map { $_ > 0 ? add_seats($server, $team, $_) : remove_seats($server, $team, -$_) } @$changes;
				edit($team, $quantity);
				forget_base($team);
				return @made;
			});
		assert_in_step($server, $stripe, $team, { team => $expected });
		is_deeply([ map { state_of_change($server, $_) } @changes ], $fates, 'the newest removals are undone');
		my $reverted = join ',', map { $changes[$_] } grep { $fates->[$_] eq 'reverted' } 0 .. $#changes;
		is($server->sql("SELECT string_agg(DISTINCT reason, ' ') FROM seats.changes WHERE change IN (0,$reverted)"),
			$reverted eq '' ? '' : 'no_longer_valid', 'and say why')
		  if $reverted ne '';
		assert_folded($server);
	};
}

lowered('lowered: the last removals are void', 'lowered', 5, [ -3, -3, -3 ],
	[qw(confirmed reverted reverted)], 2);
lowered('lowered: an addition between them stays', 'between', 4, [ -3, 2, -3, -2 ],
	[qw(confirmed confirmed confirmed reverted)], 0);
lowered('lowered: below what is in use', 'in_use', 7, [ -2, -2 ], [qw(confirmed reverted)], 5, 4);
lowered('lowered: there is enough for all', 'enough', 9, [ -2, -2, -2 ],
	[qw(confirmed confirmed confirmed)], 3);

subtest 'lowered below what is in use, and nothing to undo' => sub {
	my $team = new_team($server, $stripe, 'over');
	$server->sql("SELECT seats.add_member('over', 'member $_', 'team')") foreach 1 .. 4;
	edit($team, 2);
	reconcile($server, $team);
	assert_in_step($server, $stripe, $team, { team => 2 });
	is($server->sql(q{SELECT count(*) FROM seats.members WHERE team = 'over' AND seat_type = 'team'
		AND status = 'active'}), '4', 'nobody is removed');
	is($server->sql(q{SELECT kind FROM seats.alerts WHERE state = 'open' AND detail ->> 'team' = 'over'}),
		'over_allocated', 'an alert tells of it');
	await_change($server, add_seats($server, $team, 2), 'confirmed');
	is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE state = 'open' AND detail ->> 'team' = 'over'}),
		'0', 'until there are enough again');
};

# Nobody knows yet whether it was executed, so it cannot be taken back; once that is proven, it must be.
subtest 'lowered below a removal that is in doubt' => sub {
	my $team = new_team($server, $stripe, 'doubted');
	my $change = stored_failure($team, sub { remove_seats($server, $team, 3) });
	edit($team, 1);
	reconcile($server, $team);
	await_seats($server, $team, '1|0|0');
	prove_not_executed($change);
	await_change($server, $change, 'reverted');
	is($server->sql("SELECT reason FROM seats.changes WHERE change = $change"), 'no_longer_valid', 'and why');
	assert_in_step($server, $stripe, $team, { team => 1 }, 'what somebody else has left holds');
	is(executed($team), 0, 'Stripe executed nothing');
	assert_folded($server);
};

# ---- the item is gone

subtest 'somebody removes the item before the claim' => sub {
	my $team = new_team($server, $stripe, 'gone', seats => { team => 5, owner => 1 });
	my @changes = hold_worker(
		$server,
		sub {
			my @made = (add_seats($server, $team, 2), remove_seats($server, $team, 4));
			$stripe->edit_subscription(subscription_of($team), remove => [ item_of($team, 'team') ]);
			forget_base($team);
			return @made;
		});
	assert_in_step($server, $stripe, $team, { team => 2, owner => 1 });
	is_deeply([ map { state_of_change($server, $_) } @changes ], [qw(confirmed reverted)],
		'two seats are bought; four cannot be given back');
};

subtest 'somebody removes the item while our call is on the wire' => sub {
	my $team = new_team($server, $stripe, 'gone_wire', seats => { team => 5, owner => 1 });
	held_request($team, 'POST', 'hang');
	my $change = add_seats($server, $team, 2);
	$stripe->await_held(method => 'POST');
	$stripe->edit_subscription(subscription_of($team), remove => [ item_of($team, 'team') ]);
	$stripe->release(method => 'POST');
	# Stripe refuses it as a whole, so it is planned anew on what is there now.
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, $team, { team => 2, owner => 1 }, 'it buys a new item');
	is(executed($team), 1, 'Stripe executed one call');
	unlike(open_alerts($server), qr/review/, 'nobody had to decide');
};

# ---- the subscription is over

sub assert_over
{
	my ($team, @changes) = @_;
	foreach my $change (@changes)
	{
		is(await_change($server, $change, 'reverted', 'confirmed', 'in_review'), 'reverted', 'all is undone') or return;
	}
	$server->wait_for_sql("SELECT DISTINCT status FROM seats.teams WHERE team = '$team'", 'canceled');
	my ($status, undef, $error) = $server->try_sql("SELECT seats.add_seats('$team', 'team', 1)");
	like($error, qr/is canceled/, 'and nothing more can be bought');
	assert_folded($server);
	return;
}

foreach my $base ('old', 'fresh')
{
	subtest "cancelled while changes are pending, the base is $base" => sub {
		my $team = new_team($server, $stripe, "over_$base");
		my @changes = hold_worker(
			$server,
			sub {
				my @made = (add_seats($server, $team, 2), remove_seats($server, $team, 1));
				$stripe->cancel_subscription(subscription_of($team));
				forget_base($team) if $base eq 'old';
				return @made;
			});
		assert_over($team, @changes);
		is(executed($team), 0, 'Stripe executed nothing');
	};
}

subtest 'cancelled while a call is on the wire' => sub {
	my $team = new_team($server, $stripe, 'over_wire');
	held_request($team, 'POST', 'hang');
	my @changes = (add_seats($server, $team, 2));
	$stripe->await_held(method => 'POST');
	push @changes, add_seats($server, $team, 1), remove_seats($server, $team, 1);
	$stripe->cancel_subscription(subscription_of($team));
	$stripe->release(method => 'POST');
	assert_over($team, @changes);
	is(executed($team), 0, 'Stripe executed nothing');
};

subtest 'cancelled when a call was executed, and not settled' => sub {
	my $team = new_team($server, $stripe, 'over_done');
	held_request($team, 'POST', 'hang_after');
	my $done = add_seats($server, $team, 2);
	$stripe->await_held(method => 'POST');
	my @later = (add_seats($server, $team, 1), remove_seats($server, $team, 1));
	$stripe->cancel_subscription(subscription_of($team));
	$stripe->release(method => 'POST');
	await_change($server, $done, 'confirmed');
	assert_over($team, @later);
};

subtest 'cancelled while a change waits for its payment' => sub {
	define_seat_type($server, 'team', increase_payment_behavior => 'pending_if_incomplete');
	my $team = new_team($server, $stripe, 'over_awaits', card => 'declined');
	my @changes = (add_seats($server, $team, 2));
	await_change($server, $changes[0], 'awaiting_payment');
	push @changes, add_seats($server, $team, 1), remove_seats($server, $team, 1);
	$stripe->cancel_subscription(subscription_of($team));
	reconcile($server, $team);
	assert_over($team, @changes);
};

# What an application sends to a team's subscription by itself is nobody's change of seats: a read tells what
# became of them.
subtest 'a call of the application that changes the seats itself' => sub {
	my $team = new_team($server, $stripe, 'by_call');
	my $call = $server->sql(PgSeats::Server::enqueue_statement('/v1/subscriptions/' . subscription_of($team),
		{ items => [ { id => item_of($team, 'team'), quantity => 9 } ] }));
	await_state($server, $call, 'done');
	is($server->sql("SELECT count(*) FROM (SELECT id, kind, team_id FROM seats_internal.outbox UNION ALL
			SELECT id, kind, team_id FROM seats_internal.outbox_history) AS r
		JOIN seats_internal.team AS t ON t.id = r.team_id
		WHERE t.name = '$team' AND r.kind = 'read' AND r.id > $call"), '1', 'has the subscription read');
	await_seats($server, $team, '9|9|0');
};

assert_folded($server);
assert_ledger($server, $stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
