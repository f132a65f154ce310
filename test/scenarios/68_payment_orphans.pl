# A failover that forgets payments whose client secrets are in browsers. No intent is made before those are found: so
# nobody has two that he can pay, and what was paid meanwhile is his.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;
use PgSeats::PaymentModel;
use PgSeats::Payments;

my %pace = (configuration => "pg_seats.safety_poll = '300ms'\npg_seats.retry_delay = '50ms'\n"
	  . "pg_seats.retry_delay_limit = '200ms'\ntrack_functions = 'pl'\n");

# Those that could be paid.
sub live_intents
{
	my ($stripe) = @_;
	return sort map { $_->{id} } grep { $_->{status} !~ /^(succeeded|canceled)$/ }
	  @{ $stripe->control('GET', '/payment_intents')->{payment_intents} };
}

foreach my $hours (0, 25)
{
	my $stripe = new_simulator();
	my $primary = new_server("primary$hours", simulator => $stripe, allows_streaming => 1, %pace);
	set_up_payments($primary, 'shop');
	share_bill($primary, 'dinner', { map { $_ => 1000 } qw(ada bob cy) });
	# Who does not pay is not asked whether he is to be held.
	if ($hours == 0)
	{
		await_state($primary, $primary->enqueue('/v1/customers', { name => 'dan' }, lane => 'dan'), 'done');
		$primary->restart;
		is($primary->sql(q{SELECT string_agg(funcname, ' ') FROM pg_stat_user_functions
			 WHERE funcname IN ('plain_plans', 'freeze_changes', 'hold_creates')}), '', 'only changes are planned, and only payments held');
	}
	my $cy = await_payment($primary, start_payment($primary, 'dinner', 'cy'), 'payable');
	$primary->backup('base');
	my $standby = copy_of_server($primary, "standby$hours", backup => 'base', streaming => 1);
	$standby->start;
	$primary->wait_for_catchup($standby);
	disconnect_standby($primary, $standby);

	# All this is lost.
	my %lost = map { $_ => await_payment($primary, start_payment($primary, 'dinner', $_), 'payable') } qw(ada bob);
	share_bill($primary, 'brunch', { map { $_ => 1000 } qw(dora eve fay) });
	$lost{$_} = await_payment($primary, start_payment($primary, 'brunch', $_), 'payable') foreach qw(dora eve fay);
	at_stripe($stripe, $lost{$_}, 'succeed') foreach qw(bob eve);
	at_stripe($stripe, $lost{fay}, 'cancel');
	# A refund that comes back is in none of Stripe's sums.
	at_stripe($stripe, $lost{eve}, 'refund', amount => 300);
	$stripe->control('POST', "/refunds/$_->{id}", { action => 'fail' }) foreach @{ $stripe->all_of('/v1/refunds') };
	$primary->stop('immediate');
	$stripe->clock_advance($hours * 60 * 60) if $hours;
	$stripe->fault({ match => { method => 'GET', path => '/v1/payment_intents*' }, fault => 'hang' });
	$standby->promote;

	# They click again while nothing is known yet, and get the intents that they had.
	$standby->wait_for_sql(q{SELECT holds_creates FROM seats_internal.payment_listing}, 't');
	my $ada = start_payment($standby, 'dinner', 'ada');
	my $bob = start_payment($standby, 'dinner', 'bob');
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } > 0 }, 'the list to be asked for');
	is($standby->sql("SELECT state FROM seats.payments WHERE payment = $ada"), 'creating',
		"$hours hours: a create waits until what was forgotten is found");
	$stripe->release();
	is(await_payment($standby, $ada, 'payable'), $lost{ada}, 'who can pay has the intent that is in his browser');
	is(await_payment($standby, $bob, 'succeeded'), $lost{bob}, 'who has paid has paid');
	await_member($standby, 'dinner', 'bob', 'paid');
	is($standby->sql(q{SELECT string_agg(status, ' ' ORDER BY status) FROM seats.payment_drift}),
		'canceled requires_payment_method succeeded', 'intents of a request that is not known are told');

	# The application makes that request once more.
	share_bill($standby, 'brunch', { map { $_ => 1000 } qw(dora eve fay) });
	await_member($standby, 'brunch', 'eve', 'paid');
	is(await_payment($standby, start_payment($standby, 'brunch', 'dora'), 'payable'), $lost{dora}, 'a request that is made again has its intents');
	$standby->wait_for_sql(q{SELECT string_agg(t.kind || ' ' || t.amount, ', ' ORDER BY t.kind) FROM seats.payment_transactions AS t
		WHERE t.request_key = 'brunch' AND t.reference IN ('eve', 'fay')}, 'cancelled 1000, refund_failed 300, succeeded 1000');
	is($standby->sql('SELECT count(*) FROM seats.payment_drift'), '0', 'none is a stray any more');
	is_deeply([ live_intents($stripe) ], [ sort $cy, @lost{qw(ada dora)} ], 'nobody has two that he can pay');
	is(scalar @{ $stripe->control('GET', '/payment_intents')->{payment_intents} }, 6, 'none was made twice');
	is($standby->sql('SELECT count(*) FROM seats.reviews'), '0', 'no person was needed');
	$standby->stop;
	$stripe->stop;
}

done_testing();
