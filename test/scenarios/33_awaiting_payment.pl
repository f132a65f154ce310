# Seats that wait for their payment: Stripe has taken the change and applies it when its invoice is
# paid. Whatever comes meanwhile, in whatever order: the quantities are right, and no change waits for
# an invoice that is void.
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
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => \0 });
define_seat_type($server, $_, increase_payment_behavior => 'pending_if_incomplete') foreach qw(team owner);

my $day = 24 * 3600;

# A team of five whose card declines, and its change A that adds three and waits for its payment.
sub awaiting_team
{
	my ($team, %options) = @_;
	new_team($server, $stripe, $team, card => 'declined', %options);
	my $change = add_seats($server, $team, 3);
	await_change($server, $change, 'awaiting_payment');
	return $change;
}

sub invoice_of
{
	my ($change) = @_;
	return $server->sql("SELECT payment ->> 'invoice' FROM seats_internal.outbox WHERE id = $change");
}

sub pay
{
	my ($team, $change) = @_;
	my $invoice = invoice_of($change);
	$stripe->set_card(customer_of($team), 'ok');
	$stripe->pay_invoice($invoice);
	return $invoice;
}

sub hold_void
{
	my ($invoice, $fault) = @_;
	$stripe->fault({ match => { method => 'POST', path => "/v1/invoices/$invoice/void" }, fault => $fault });
	return;
}

# Stripe gives a pending update 23 hours.
sub expire { $stripe->clock_advance($day); return }

# Whether A's invoice is void, A must not wait for it, once Stripe was asked.
sub assert_no_dead_wait
{
	my ($change, $invoice) = @_;
	my $status = $stripe->invoice($invoice)->{status};
	my $state = state_of_change($server, $change);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(!($status eq 'void' && $state !~ /^(reverted|cancelled)$/) && !($status eq 'paid' && $state ne 'confirmed'),
		"the invoice is $status, and the change $state");
}

# ---- alone

subtest 'nobody is paged for it, nor for what waits behind it' => sub {
	my $change = awaiting_team('quiet');
	my $behind = add_seats($server, 'quiet', 1);
	$server->sql("UPDATE seats_internal.outbox SET created_at = now() - interval '3 hours' WHERE id IN ($change, $behind)");
	is($server->sql(q{SELECT status FROM seats.health WHERE check_name = 'oldest_call'}), 'ok', 'health is');
	is($server->sql("SELECT call, waiting_behind, until > now() + interval '22 hours' FROM seats.blocked_lanes
		WHERE lane = '/v1/subscriptions/@{[ subscription_of('quiet') ]}'"), "$change|1|t",
		'whoever looks is told why, and until when');
	pay('quiet', $change);
	look_now($server, $change);
	await_change($server, $_, 'confirmed') foreach $change, $behind;
};

subtest 'it waits, and one can see for what' => sub {
	my $change = awaiting_team('waits');
	assert_seats($server, 'waits', [ 5, 8, 3 ], 'seen, not confirmed, and waiting');
	is(seats_at_stripe($stripe, 'waits'), 5, 'Stripe has not applied it');
	my ($state, $url, $expires) = split /\|/, $server->sql("SELECT state, invoice_url,
		payment_expires_at BETWEEN now() + interval '22 hours' AND now() + interval '24 hours'
		FROM seats.changes WHERE change = $change");
	is($state, 'awaiting_payment', 'the state');
	is($url, $stripe->invoice(invoice_of($change))->{hosted_invoice_url}, 'where it can be paid');
	is($expires, 't', 'until when');
	is($server->sql("SELECT next_step FROM seats.changes WHERE change = $change"), 'pay_invoice', 'what can be done');
	is($server->sql("CALL seats.wait_for_change($change)"), 'awaiting_payment|awaiting_payment', 'a waiter learns it');
	is(journal_kinds($server, 'waits', 'change'), 'change.awaiting_payment', 'the feed tells of it');
	assert_folded($server);
	my $reads = @{ seat_reads($stripe, 'waits') };
	look_now($server, $change);
	wait_until(sub { @{ seat_reads($stripe, 'waits') } > $reads }, 'a look');
	await_another_loop($server);
	assert_seats($server, 'waits', [ 5, 8, 3 ], 'still, when it is looked at');
	is(journal_kinds($server, 'waits', 'change'), 'change.awaiting_payment', 'the feed tells it once');
	my $invoice = pay('waits', $change);
	look_now($server, $change);
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, 'waits', { team => 8 });
	assert_no_dead_wait($change, $invoice);
	is(journal_kinds($server, 'waits', 'change'), 'change.awaiting_payment change.confirmed', 'the feed');
};

subtest 'it waits, whatever becomes of a look' => sub {
	$server->sql(q{SELECT seats.ignore_prices(array_agg('price_many_' || g), 'none of seats')
		FROM generate_series(10, 21) AS g});
	my $change = awaiting_team('looks',
		items => [
			(map { { id => "si_looks_$_", price => "price_many_$_", quantity => 1 } } 10 .. 21),
			{ id => item_of('looks', 'team'), price => 'price_team', quantity => 5 } ]);
	my $looks = sub {
		return $server->sql("SELECT count(*) FROM seats_internal.attempt WHERE call_id = $change
			AND purpose = 'read items' AND reason = 'server_error'");
	};
	# Not all of its items fit into one answer, and the rest of them does not come.
	$stripe->fault({ match => { method => 'GET', path => '/v1/subscription_items' }, fault => 'error_500', count => 1 });
	look_now($server, $change);
	wait_until(sub { $looks->() > 0 }, 'a look that fails half-way');
	await_change($server, $change, 'awaiting_payment');
	is(@{ seat_posts($stripe, 'looks') }, 1, 'it has waited all the time: its call has not fallen apart');
	my $invoice = pay('looks', $change);
	look_now($server, $change);
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, 'looks', { team => 8 });
	assert_no_dead_wait($change, $invoice);
};

subtest 'it expires' => sub {
	my $change = awaiting_team('expires');
	my $invoice = invoice_of($change);
	expire();
	look_now($server, $change);
	wait_until(sub { state_of_change($server, $change) eq 'reverted' || @{ seat_posts($stripe, 'expires') } > 1 },
		'it to be over');
	is(@{ seat_posts($stripe, 'expires') }, 1, 'it is not sent again') or return;
	await_change($server, $change, 'reverted');
	is($server->sql("SELECT reason FROM seats.changes WHERE change = $change"), 'payment_did_not_come', 'why');
	assert_in_step($server, $stripe, 'expires', { team => 5 });
	assert_no_dead_wait($change, $invoice);
};

subtest 'it is cancelled' => sub {
	my $change = awaiting_team('cancels');
	my $invoice = invoice_of($change);
	hold_void($invoice, 'hang');
	is(cancel_change($server, $change), 'awaiting_payment', 'asked for');
	is(cancel_change($server, $change), 'awaiting_payment', 'and once more');
	$stripe->await_held(path => "/v1/invoices/$invoice/void");
	$stripe->release(path => "/v1/invoices/$invoice/void");
	await_change($server, $change, 'cancelled');
	assert_in_step($server, $stripe, 'cancels', { team => 5 });
	assert_no_dead_wait($change, $invoice);
	is(scalar @{ $stripe->requests(path => "/v1/invoices/$invoice/void") }, 1, 'voided once, however often one asks');
};

subtest 'somebody voids its invoice at Stripe' => sub {
	my $change = awaiting_team('voids');
	my $invoice = invoice_of($change);
	$stripe->void_invoice($invoice);
	look_now($server, $change);
	await_change($server, $change, 'reverted');
	assert_in_step($server, $stripe, 'voids', { team => 5 });
	assert_no_dead_wait($change, $invoice);
};

subtest 'the worker ends meanwhile' => sub {
	my $change = awaiting_team('restart', card => 'requires_action');
	my $before = $server->kill_worker('TERM');
	$server->wait_for_worker(another_than => $before);
	await_another_loop($server);
	assert_seats($server, 'restart', [ 5, 8, 3 ], 'it still waits');
	pay('restart', $change);
	look_now($server, $change);
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, 'restart', { team => 8 });
};

# ---- with others behind it, in every order

my %ends = (
	pay => [ 'confirmed', 3 ],
	expire => [ 'reverted', 0 ],
	cancel => [ 'cancelled', 0 ]);

foreach my $end (sort keys %ends)
{
	foreach my $behind ([ 1 => 'one more' ], [ -1 => 'one fewer' ], [ 'both' => 'one more and two fewer' ])
	{
		my ($kind, $words) = @$behind;
		my ($fate, $gain) = @{ $ends{$end} };
		subtest "$words behind it, and then: $end" => sub {
			my $team = "${end}_" . ($kind eq 'both' ? 'both' : $kind > 0 ? 'more' : 'fewer');
			my $change = awaiting_team($team);
			my $invoice = invoice_of($change);
			my @steps = $kind eq 'both' ? (1, -2) : ($kind);
			my @later = map { $_ > 0 ? add_seats($server, $team, $_) : remove_seats($server, $team, -$_) } @steps;
			my $sum = 0;
			$sum += $_ foreach @steps;
			assert_seats($server, $team, [ 5, 8 + $sum, 3 ], 'all are seen');
			await_another_loop($server) if $kind eq 'both';
			is(scalar @{ seat_posts($stripe, $team) }, 1, 'what is behind it waits');
			like($server->sql("SELECT reason FROM seats.changes WHERE change = $later[0]"),
				qr/^behind call $change$/, '… and says for what');
			assert_folded($server);
			# From here on the card is good, so that what is behind can be paid.
			if ($end eq 'pay')
			{
				pay($team, $change);
				look_now($server, $change);
			}
			elsif ($end eq 'expire')
			{
				expire();
				$stripe->set_card(customer_of($team), 'ok');
				look_now($server, $change);
			}
			else
			{
				$stripe->set_card(customer_of($team), 'ok');
				cancel_change($server, $change);
			}
			await_change($server, $change, $fate);
			assert_in_step($server, $stripe, $team, { team => 5 + $gain + $sum });
			is(join(' ', map { state_of_change($server, $_) } @later), join(' ', ('confirmed') x @later),
				'what was behind it is confirmed');
			assert_no_dead_wait($change, $invoice);
			assert_folded($server);
		};
	}
}

subtest 'what is behind it is cancelled, and it is paid' => sub {
	my $change = awaiting_team('behind');
	my $later = add_seats($server, 'behind', 1);
	is(cancel_change($server, $later), 'cancelled', 'at once: it was not sent');
	assert_seats($server, 'behind', [ 5, 8, 3 ]);
	pay('behind', $change);
	look_now($server, $change);
	assert_in_step($server, $stripe, 'behind', { team => 8 });
};

subtest 'one after the other waits' => sub {
	my $first = awaiting_team('queue');
	my $second = add_seats($server, 'queue', 2);
	cancel_change($server, $first);
	await_change($server, $second, 'awaiting_payment');
	is(state_of_change($server, $first), 'cancelled');
	assert_seats($server, 'queue', [ 5, 7, 2 ]);
	pay('queue', $second);
	look_now($server, $second);
	assert_in_step($server, $stripe, 'queue', { team => 7 });
};

# ---- cancelled and paid at the same moment

subtest 'it is paid before the invoice is void' => sub {
	my $change = awaiting_team('paid_first');
	my $later = add_seats($server, 'paid_first', 1);
	my $invoice = invoice_of($change);
	hold_void($invoice, 'hang');
	cancel_change($server, $change);
	$stripe->await_held(path => "/v1/invoices/$invoice/void");
	pay('paid_first', $change);
	$stripe->release(path => "/v1/invoices/$invoice/void");
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, 'paid_first', { team => 9 }, 'it holds, and so does what was behind it');
	assert_no_dead_wait($change, $invoice);
	is(open_alerts($server), '', 'and that is no alert');
};

subtest 'the invoice is void before it is paid' => sub {
	my $change = awaiting_team('void_first');
	my $invoice = invoice_of($change);
	hold_void($invoice, 'hang_after');
	cancel_change($server, $change);
	$stripe->await_held(path => "/v1/invoices/$invoice/void");
	$stripe->set_card(customer_of('void_first'), 'ok');
	ok(!eval { $stripe->pay_invoice($invoice); 1 }, 'Stripe takes no payment for it');
	# Somebody looks before we know that it was voided.
	look_now($server, $change);
	await_change($server, $change, 'cancelled');
	$stripe->release(path => "/v1/invoices/$invoice/void");
	await_all_settled($server);
	assert_in_step($server, $stripe, 'void_first', { team => 5 });
	assert_no_dead_wait($change, $invoice);
};

subtest 'the answer to the void is lost' => sub {
	my $change = awaiting_team('void_lost');
	my $invoice = invoice_of($change);
	fresh_connections($stripe);
	hold_void($invoice, 'execute_and_drop');
	cancel_change($server, $change);
	await_change($server, $change, 'cancelled');
	await_all_settled($server);
	assert_in_step($server, $stripe, 'void_lost', { team => 5 });
	assert_no_dead_wait($change, $invoice);
};

# ---- the subscription is looked at meanwhile

subtest 'reads while it waits see what somebody else does' => sub {
	my $change = awaiting_team('reads');
	$stripe->edit_subscription('sub_reads', cancel_at_period_end => \1);
	reconcile($server, 'reads');
	is($server->sql(q{SELECT DISTINCT cancel_at_period_end FROM seats.teams WHERE team = 'reads'}), 't', 'seen');
	assert_seats($server, 'reads', [ 5, 8, 3 ], 'it still waits');
	# A change of items makes Stripe drop what waits for a payment.
	my $invoice = invoice_of($change);
	$stripe->edit_subscription('sub_reads', quantities => { item_of('reads', 'team') => 11 });
	reconcile($server, 'reads');
	await_change($server, $change, 'reverted');
	assert_in_step($server, $stripe, 'reads', { team => 11 });
	assert_no_dead_wait($change, $invoice);
};

subtest 'paid, and found out by a read that somebody asked for' => sub {
	my $change = awaiting_team('found');
	my $later = add_seats($server, 'found', 1);
	pay('found', $change);
	reconcile($server, 'found');
	await_change($server, $change, 'confirmed');
	await_change($server, $later, 'confirmed');
	assert_in_step($server, $stripe, 'found', { team => 9 });
};

# ---- several in one call

sub merged_team
{
	my ($team) = @_;
	new_team($server, $stripe, $team, seats => { team => 5, owner => 1 }, card => 'declined');
	my @changes = hold_worker(
		$server,
		sub { return (add_seats_many($server, $team, 3), add_seats($server, $team, 1, type => 'owner')) });
	await_change($server, $_, 'awaiting_payment') foreach @changes;
	assert_seats($server, $team, [ 5, 8, 3 ]);
	assert_seats($server, $team, [ 1, 2, 1 ], undef, type => 'owner');
	return @changes;
}

subtest 'several that wait together expire together' => sub {
	my @changes = merged_team('merged');
	my ($status, undef, $error) = $server->try_sql("SELECT seats.cancel_change($changes[1])");
	like($error, qr/in one call with other changes/, 'none of them can be cancelled alone');
	is($server->sql("SELECT count(DISTINCT invoice_url) FROM seats.changes WHERE change IN ("
			. join(',', @changes) . ") AND invoice_url <> ''"), '1', 'they wait for one invoice');
	expire();
	look_now($server, $changes[0]);
	assert_in_step($server, $stripe, 'merged', { team => 5, owner => 1 });
	is(join(' ', map { state_of_change($server, $_) } @changes), join(' ', ('reverted') x 4), 'all are undone');
};

subtest 'several that wait together are paid together' => sub {
	my @changes = merged_team('together');
	pay('together', $changes[0]);
	look_now($server, $changes[2]);
	assert_in_step($server, $stripe, 'together', { team => 8, owner => 2 });
	is(join(' ', map { state_of_change($server, $_) } @changes), join(' ', ('confirmed') x 4), 'all are confirmed');
};

assert_folded($server);
assert_ledger($server, $stripe);
is(open_alerts($server), '', 'nothing of it is an alert');
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
