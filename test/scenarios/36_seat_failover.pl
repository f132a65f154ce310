# What a failover to an asynchronous standby takes away from changes of seats: a freeze, a settlement,
# a split, an enqueue, each with a call that Stripe had executed, executes later, refused, or never
# got. Nothing is bought twice and nothing is lost: the simulator's ledger and the sum of the seats are
# the judges.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;
use PgSeats::Crowds;
use PgSeats::Seats;

my %pace = (configuration => <<'END');
pg_seats.safety_poll = '300ms'
pg_seats.retry_delay = '50ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.base_lifetime = '10min'
END

sub await_review
{
	my ($server, @changes) = @_;
	await_state($server, $_, 'review') foreach @changes;
	return;
}

sub alerts_about
{
	my ($server, $team) = @_;
	return $server->sql("SELECT string_agg(kind, ' ' ORDER BY alert) FROM seats.alerts
	    WHERE state = 'open' AND detail ->> 'team' = '$team'") // '';
}

# ---- failover to an asynchronous standby

{
	my $stripe = new_simulator();
	my $primary = new_server('primary', simulator => $stripe, allows_streaming => 1, %pace);
	set_up_types($primary);
	$primary->backup('base');
	my $standby = copy_of_server($primary, 'standby', backup => 'base', streaming => 1);
	$standby->start;
	new_teams($primary, $stripe,
		[ qw(settled split split_on executed late late_soon late_waiting paid refused refused_many never overtaken lost_enqueue
			  lost_end waiting waiting_one) ],
		seats => { team => 5, later => 5 });

	# Known as waiting for its payment, with another change behind it.
	my %of = ();
	$stripe->set_card(customer_of('paid'), 'declined');
	$of{paid} = [ add_seats($primary, 'paid', 1, type => 'later') ];
	await_change($primary, $of{paid}[0], 'awaiting_payment');
	push @{ $of{paid} }, remove_seats($primary, 'paid', 2, type => 'later');

	# Known as on the wire: the worker stands before it stores the first answer.
	$stripe->set_card(customer_of($_), 'insufficient_over:2500') foreach qw(split split_on);
	$primary->set_debug_point('before_settle_commit');
	(@{ $of{settled} }[ 0 .. 1 ], @{ $of{split} }[ 0 .. 3 ], @{ $of{split_on} }[ 0 .. 3 ]) =
	  change_together($primary, [ 'add', 'settled', 1 ], [ 'add', 'settled', 2 ],
		map { my $team = $_; map { [ 'add', $team, 1 ] } 1 .. 4 } qw(split split_on));
	$primary->wait_at_debug_point('before_settle_commit');

	# Known, and never sent.
	my @pending = (
		[ 'add', 'executed', 1 ], [ 'add', 'executed', 2 ], [ 'add', 'executed', 3 ],
		[ 'add', 'late', 1 ], [ 'add', 'late', 1 ],
		[ 'add', 'late_soon', 1 ], [ 'add', 'late_soon', 2 ],
		[ 'add', 'late_waiting', 1, 'later' ], [ 'add', 'late_waiting', 2, 'later' ],
		[ 'add', 'refused', 2 ],
		[ 'add', 'refused_many', 2 ], [ 'add', 'refused_many', 2 ],
		[ 'add', 'never', 1 ], [ 'add', 'never', 1 ],
		[ 'add', 'overtaken', 3 ], [ 'remove', 'overtaken', 1 ],
		[ 'add', 'lost_end', 1 ], [ 'add', 'lost_end', 1 ],
		[ 'add', 'waiting', 1, 'later' ], [ 'add', 'waiting', 2, 'later' ],
		[ 'add', 'waiting_one', 1, 'later' ]);
	my @ids = change_together($primary, @pending);
	push @{ $of{ $pending[$_][1] } }, $ids[$_] foreach 0 .. $#pending;
	disconnect_standby($primary, $standby);
	is(state_of($standby, $of{$_}[0]), 'sending', "the standby knows the call of $_ as on the wire")
	  foreach qw(settled split split_on);
	is(state_of($standby, $of{executed}[0]), 'pending', '… and others as never sent');

	# All this is lost.
	change_together($primary, [ 'add', 'lost_enqueue', 3 ], [ 'add', 'lost_end', 1 ]);
	fault_for($stripe, $_, fault => 'execute_later', until => 'release')
	  foreach qw(late late_soon late_waiting);
	fault_for($stripe, 'never', fault => 'hang');
	# Of the split, the first call goes through and the second one never arrives.
	fault_for($stripe, 'split', fault => 'hang', match => {
			method => 'POST', path => '/v1/subscriptions/' . subscription_of('split'), nth => 2 });
	$stripe->set_card(customer_of($_), 'declined') foreach qw(refused refused_many waiting waiting_one late_waiting);
	$primary->release_debug_point;
	await_open($primary, $_, 0)
	  foreach qw(settled split_on executed refused refused_many overtaken lost_enqueue lost_end);
	await_open($primary, 'split', 2);
	await_change($primary, $of{$_}[0], 'awaiting_payment') foreach qw(waiting waiting_one);
	$stripe->await_held(path => '/v1/subscriptions/' . subscription_of($_), state => 'hanging')
	  foreach qw(split never);
	wait_until(sub { @{ $stripe->requests(state => 'later') } == 3 }, 'calls to be left for later');
	pay_for($primary, $stripe, 'paid');
	look_now($primary, $of{paid}[0]);
	await_open($primary, 'paid', 0);
	is(reasons_of($primary, @{ $of{refused_many} }), 'reverted payment_failed, reverted payment_failed',
		'the primary has seen a refusal');
	my %executed = map { $_ => executed_for($stripe, $_) } keys %of, 'lost_enqueue';
	is($executed{split}, 1, 'half of the split is executed');
	is($executed{$_}, 1, "$_ is executed in one call") foreach qw(settled executed lost_enqueue lost_end);
	my $lost_page = $primary->sql("SELECT version FROM seats.team_versions('{executed}')");
	$primary->stop('immediate');

	# The standby's second read is the one by which it wants to prove what happened.
	$stripe->fault({
			match => { method => 'GET', path => '/v1/subscriptions/' . subscription_of($_), nth => 2 },
			fault => 'hang' }) foreach qw(late_soon late_waiting);
	$standby->promote;
	$standby->wait_for_sql("SELECT version > $lost_page + 1000000 FROM seats.team_versions('{executed}')", 't');

	# Executed while the standby tries to find out: that read shows it.
	foreach (qw(late_soon late_waiting))
	{
		my $path = '/v1/subscriptions/' . subscription_of($_);
		$stripe->await_held(method => 'GET', path => $path);
		$stripe->release(method => 'POST', path => $path);
		$stripe->release(method => 'GET', path => $path);
	}
	assert_judged($standby, $stripe, 'late_soon', 8, 1,
		'a lost freeze that is executed while its key is tried: once, with all that it carried');
	is(reasons_of($standby, @{ $of{late_soon} }),
		'confirmed proven_by_marker, confirmed proven_by_marker', '… which its marker proves');
	await_change($standby, $_, 'awaiting_payment') foreach @{ $of{late_waiting} };
	is(seats_of($standby, 'late_waiting', 'later'), '5|8|3', '… so it is with one that waits for its payment');

	# Paid, and followed by another one: not refused because it waits no longer.
	look_now($standby, $of{paid}[0]);
	assert_judged($standby, $stripe, 'paid', 4, 1, 'paid in the lost time, and followed by another one: each once',
		type => 'later');
	is(reasons_of($standby, @{ $of{paid} }), 'confirmed proven_by_event, confirmed proven_by_marker',
		'… both are proven');

	# The one that is still on its way: its key is in use for something else, and nothing can be read yet.
	await_review($standby, $of{late}[0]);
	is(reasons_of($standby, @{ $of{late} }), "in_review not_proven, pending behind call $of{late}[0]",
		'a lost freeze that is still on its way: a person is asked, and nothing is sent that it may carry');
	$stripe->release(path => '/v1/subscriptions/' . subscription_of('late'));
	wait_until(sub { executed_for($stripe, 'late') == 1 }, 'it to be executed after all');
	reconcile($standby, 'late');
	assert_judged($standby, $stripe, 'late', 7, 1, '… executed at last: once, with all that it carried');
	is(reasons_of($standby, @{ $of{late} }),
		'confirmed proven_by_marker, confirmed proven_by_marker', '… which the next read proves');

	assert_judged($standby, $stripe, 'settled', 8, 1, 'a lost settlement: once');
	is(reasons_of($standby, @{ $of{settled} }), 'confirmed replayed, confirmed replayed', '… by a replay');
	assert_judged($standby, $stripe, 'executed', 11, 1, 'a lost freeze, executed: once');
	is(reasons_of($standby, @{ $of{executed} }), join(', ', ('confirmed proven_by_marker') x 3),
		'… the marker proves all three');
	assert_judged($standby, $stripe, 'never', 7, 2, 'a lost freeze that was never executed: each once');
	assert_judged($standby, $stripe, 'refused', 5, 0, 'a lost freeze that was refused: reverted');
	assert_judged($standby, $stripe, 'split', 9, 3, 'a lost split: each part once');
	like(reasons_of($standby, @{ $of{split} }[ 0, 1 ]), qr/^(confirmed proven_by_marker(, )?){2}$/,
		'… its first call is proven by the marker');

	# A refused call of several: its key has been used for something else, and no read can tell.
	await_review($standby, $of{refused_many}[0]);
	is(executed_for($stripe, 'refused_many'), 0, 'several refused together: nothing is executed');
	await_seats($standby, 'refused_many', '5|9|0');
	$stripe->set_card(customer_of('refused_many'), 'ok');
	resolve_changes($standby, 'not_executed', $of{refused_many}[0]);
	assert_judged($standby, $stripe, 'refused_many', 9, 2, '… a person decides, and it goes on');

	# A later change was executed: what came before is not proven by that.
	await_review($standby, $of{overtaken}[0]);
	is(reasons_of($standby, @{ $of{overtaken} }), 'in_review overtaken, confirmed proven_by_marker',
		'an earlier change that is forgotten goes to review, the later one is done');
	await_seats($standby, 'overtaken', '7|10|0');
	resolve_changes($standby, 'executed', $of{overtaken}[0]);
	assert_judged($standby, $stripe, 'overtaken', 7, 2, '… and a person settles it: each once');
	await_review($standby, @{ $of{split_on} }[ 0 .. 2 ]);
	resolve_changes($standby, 'executed', @{ $of{split_on} }[ 0 .. 2 ]);
	assert_judged($standby, $stripe, 'split_on', 9, 3, 'so it is with a split that was gone through');

	# What was enqueued is lost, and executed.
	reconcile($standby, 'lost_enqueue');
	is(alerts_about($standby, 'lost_enqueue'), 'unknown_marker', 'an enqueue is lost: an alert tells');
	assert_judged($standby, $stripe, 'lost_enqueue', 8, 1, '… the seats are those that were bought');
	reconcile($standby, 'lost_enqueue');
	is($standby->sql(q{SELECT occurrences FROM seats.alerts WHERE kind = 'unknown_marker'
		  AND detail ->> 'team' = 'lost_enqueue'}), '1', '… it is told once');
	await_change($standby, add_seats($standby, 'lost_enqueue', 1), 'confirmed');
	assert_judged($standby, $stripe, 'lost_enqueue', 9, 2, '… and the team goes on');

	await_review($standby, $of{lost_end}[1]);
	is(reasons_of($standby, @{ $of{lost_end} }), 'confirmed proven_by_marker, in_review not_proven',
		'the last change of a call is lost: the first is proven, the next may have been carried');
	like(alerts_about($standby, 'lost_end'), qr/unknown_marker/, '… an alert tells');
	is(executed_for($stripe, 'lost_end'), 1, '… nothing is bought twice');
	resolve_changes($standby, 'executed', $of{lost_end}[1]);
	assert_judged($standby, $stripe, 'lost_end', 8, 1, '… and a person settles it');

	# Waits for its payment: the standby knew nothing of it.
	is(reasons_of($standby, @{ $of{waiting} }),
		'awaiting_payment awaiting_payment, awaiting_payment awaiting_payment',
		'a lost freeze that waits for its payment: with all that it carried');
	foreach my $case ([ 'waiting', 8 ], [ 'waiting_one', 6 ], [ 'late_waiting', 8 ])
	{
		my ($team, $seats) = @$case;
		is(seats_of($standby, $team, 'later'), '5|' . $seats . '|' . ($seats - 5), '… so much is awaited');
		is(@{ [ grep { $_->{outcome} eq 'pending' } @{ $stripe->worker_ledger(object => subscription_of($team)) } ] },
			1, '… Stripe was asked once');
		pay_for($standby, $stripe, $team);
		look_now($standby, $of{$team}[0]);
		assert_judged($standby, $stripe, $team, $seats, 0, "… and $team is confirmed once it is paid", type => 'later');
	}

	is($standby->sql('SELECT count(*) FROM seats.reviews'), '0', 'no review is left');
	is($standby->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'review' AND state = 'open'}),
		'0', '… nor an alert about one');
	assert_folded($standby);
	is_deeply($stripe->control('GET', '/ledger')->{executed_twice}, [], 'no key was executed twice');
	$standby->assert_log_clean;
	$standby->stop;
	$stripe->stop;
}

done_testing();
