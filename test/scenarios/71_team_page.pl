# What a page shows of a team while things happen to it: every phase of a change as it really comes, what became of it, and
# what is to be paid.
use strict;
use warnings;
use JSON::PP;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '300ms'
pg_seats.retry_delay_limit = '500ms'
pg_seats.request_timeout = '2s'
pg_seats.connect_timeout = '1s'
pg_seats.safety_poll = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
set_up_types($server);

my $json = JSON::PP->new->utf8->canonical;
my ($last_version, %pages, @wrong) = (0);

# As its owner sees it. All that are looked at here are compared: what shows something else has another version, and the version
# only rises. (What follows from Stripe's state is in no version: a page that stays open looks at both.)
sub page
{
	my ($team) = @_;
	my $page = $json->decode($server->sql("SELECT seats.team_page('$team', '@{[ owner_of($team) ]}')"));
	my $as_of = delete $page->{as_of};
	my $text = $json->encode($page);
	my $before = $pages{"$page->{version} $page->{stripe}"} //= $text;
	push @wrong, "$text is of another version than $before" if $text ne $before;
	push @wrong, "$page->{version} came after $last_version" if $page->{version} < $last_version;
	$last_version = $page->{version};
	$page->{as_of} = $as_of;
	return $page;
}

sub open_change
{
	my ($team, $change) = @_;
	my ($found) = grep { $_->{change} == $change } @{ page($team)->{open_changes} };
	return $found;
}

sub last_change
{
	my ($team, $change) = @_;
	my ($found) = grep { $_->{change} == $change } @{ page($team)->{last_changes} };
	return $found;
}

# Gives the change as the page shows it then.
sub await_phase
{
	my ($team, $change, $phase) = @_;
	my $shown;
	wait_until(sub { $shown = open_change($team, $change); $shown && $shown->{phase} eq $phase }, "change $change to be $phase");
	return $shown;
}

sub await_end
{
	my ($team, $change) = @_;
	my $shown;
	wait_until(sub { $shown = last_change($team, $change) }, "change $change to be among the settled ones");
	return $shown;
}

# 'quantity confirmed awaiting pending' of a type.
sub seats_shown
{
	my ($team, $type) = @_;
	my ($seats) = grep { $_->{seat_type} eq ($type // 'team') } @{ page($team)->{seat_types} };
	return join ' ', @$seats{qw(quantity confirmed awaiting pending)};
}

sub hold_posts
{
	my ($team) = @_;
	return fault_for($stripe, $team, fault => 'hang', name => 'held');
}

new_team($server, $stripe, 'acme', seats => { team => 5, later => 1 });

subtest 'bought while calls are paused, sent, confirmed' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'a look at the page')});
	my $first = $server->sql("BEGIN; SET LOCAL pg_seats.person = 'Carol'; SELECT change FROM seats.add_seats('acme', 'team', 2, '@{[ owner_of('acme') ]}'); COMMIT");
	my $second = remove_seats($server, 'acme', 1);
	my $page = page('acme');
	is($page->{stripe}, 'paused', 'it says that nothing is sent');
	is(join(' ', map { "$_->{change} $_->{phase}" } @{ $page->{open_changes} }), "$first stripe_down $second queued", 'one is next, the other behind it');
	is(seats_shown('acme'), '6 5 0 1', 'what is there, and what is proved');
	is($server->sql("SELECT seats.call_page($first) -> 'costs_at_most'"), '{"amount": 2000, "currency": "usd", "currency_decimals": 2}',
		'what two seats cost at most, for whoever decides about them');
	hold_posts('acme');
	$server->sql(q{SELECT seats.resume('stripe', 'go on')});
	my $shown = await_phase('acme', $first, 'sent');
	ok(!$shown->{may_cancel}, 'it cannot be taken back any more');
	is(page('acme')->{stripe}, 'up', 'Stripe takes calls');
	ok(open_change('acme', $second)->{may_cancel}, 'the one behind it can');
	$stripe->release(fault => 'held', action => 'proceed');
	$shown = await_end('acme', $first);
	is("$shown->{state} $shown->{actor} $shown->{person}", 'confirmed ' . owner_of('acme') . ' Carol', 'it is confirmed, and whose it was');
	is(await_end('acme', $second)->{person}, undef, 'the other was nobody\'s');
	my $invoice = $stripe->invoice($shown->{invoice}{invoice});
	is(join(' ', @{ $shown->{invoice} }{qw(amount paid currency currency_decimals)}),
		join(' ', @$invoice{qw(total amount_paid currency)}, 2), 'what it has cost, and what was paid');
	await_change($server, $second, 'confirmed');
	is(seats_shown('acme'), '6 6 0 0', 'all of it is proved');
	is_deeply(page('acme')->{open_changes}, [], 'nothing is on its way');
};

subtest 'tried again' => sub {
	fault_for($stripe, 'acme', fault => 'error_500', times => -1);
	my $change = add_seats($server, 'acme', 1);
	my $shown = await_phase('acme', $change, 'retrying');
	ok($shown->{next_try_at}, 'and when');
	# An operator wants to look at it.
	$server->sql(q{SELECT seats.pause('stripe', 'nothing is on the wire then')});
	wait_until(sub { state_of($server, $change) =~ /^(waiting|verifying)$/ }, 'it to be off the wire');
	$server->sql("SELECT seats.review_call($change, 'a look at the page')");
	$server->sql(q{SELECT seats.resume('stripe', 'go on')});
	$stripe->clear_faults;
	$shown = await_phase('acme', $change, 'in_review');
	ok(!$shown->{may_cancel} && !$shown->{next_try_at}, 'in review it is left to whoever looks at it');
	resolve_changes($server, 'not_executed', $change);
	is(await_end('acme', $change)->{state}, 'confirmed', 'it is sent once more');
};

subtest 'declined' => sub {
	$stripe->set_card(customer_of('acme'), 'declined');
	my $before = seats_shown('acme');
	my $change = add_seats($server, 'acme', 3);
	my $shown = await_end('acme', $change);
	is(join(' ', @$shown{qw(state reason code next_step)}), 'reverted payment_failed card_declined other_payment_method', 'why, and what can be done');
	ok($shown->{decline_code}, 'the bank\'s word');
	is($shown->{invoice}, undef, 'there is nothing to pay');
	is(seats_shown('acme'), $before, 'the seats are as they were');
};

subtest 'a payment is waited for' => sub {
	my $change = add_seats($server, 'acme', 2, type => 'later');
	my $shown = await_phase('acme', $change, 'awaiting_payment');
	my $invoice = $stripe->invoice($shown->{invoice}{invoice});
	is($shown->{invoice}{url}, $invoice->{hosted_invoice_url}, 'where it can be paid');
	is(join(' ', @{ $shown->{invoice} }{qw(amount currency currency_decimals)}), join(' ', @$invoice{qw(amount_due currency)}, 2), 'how much');
	ok($shown->{invoice}{expires_at}, 'and until when');
	is($shown->{next_step}, 'pay_invoice', 'what is to be done');
	ok($shown->{may_cancel}, 'or it is taken back');
	is(seats_shown('acme', 'later'), '3 1 2 0', 'seats that are not paid for');
	$stripe->set_card(customer_of('acme'), 'ok');
	$stripe->pay_invoice($invoice->{id});
	look_now($server, $change);
	is(await_end('acme', $change)->{state}, 'confirmed', 'paid');
	is(seats_shown('acme', 'later'), '3 3 0 0', 'and proved');
};

subtest 'Stripe is away' => sub {
	$stripe->outage('refuse');
	my $change = add_seats($server, 'acme', 1);
	await_breaker($server, 'open');
	await_phase('acme', $change, 'stripe_down');
	is(page('acme')->{stripe}, 'down', 'the page says so');
	ok(open_change('acme', $change)->{may_cancel}, 'nothing of it was sent');
	$stripe->outage(undef);
	await_end('acme', $change);
	wait_until(sub { page('acme')->{stripe} eq 'up' }, 'the page to say that it is back');
	pass('it is back');
};

subtest 'Stripe\'s limit of a subscription' => sub {
	my $limited;
	foreach (1 .. 12)
	{
		$limited = add_seats($server, 'acme', 1);
		my $shown;
		wait_until(sub { last_change('acme', $limited)
			|| ($shown = open_change('acme', $limited)) && $shown->{phase} eq 'limit_used_up' }, 'it is settled, or limited');
		last if $shown && $shown->{phase} eq 'limit_used_up';
	}
	my $shown = open_change('acme', $limited);
	is($shown->{phase}, 'limit_used_up', 'ten invoices in a minute are all there are');
	ok($shown->{next_try_at} gt page('acme')->{as_of}, 'until then');
	age_calls($server);
	%pages = ();  # (which no verb would do)
	look_now($server, $limited);
	is(await_end('acme', $limited)->{state}, 'confirmed', 'then it goes on');
};

subtest 'the end' => sub {
	$stripe->cancel_subscription(subscription_of('acme'));
	reconcile($server, 'acme');
	my $page = page('acme');
	is($page->{status}, 'canceled', 'its status');
	is_deeply([ @$page{qw(members open_changes)} ], [ [], [] ], 'nobody is left');
	ok(!(grep { $_ } @{ $page->{may} }{qw(buy invite manage_members)}), 'and nothing can be bought');
};

is(join("\n", @wrong), '', 'whenever the page has shown something else its version has risen');
assert_folded($server);
assert_ledger($server, $stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
