# A copy of yesterday is adopted in the place of its original, which has gone on: members have paid since, have secrets in
# their browsers, got money back. Whoever clicks again has the intent that he had; nobody pays twice, and no money is
# forgotten. What nobody asks for again is cancelled, if that is set.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Faults;
use PgSeats::PaymentModel;
use PgSeats::Payments;
use PgSeats::Webhooks;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, database => 'shop', configuration => in_a_hurry());
open_shop($server);
define_endpoint($server, 'main');

my (%payment, %intent) = ();

sub starts
{
	my ($key, $name) = @_;
	$payment{$name} = start_payment($server, $key, $name);
	return $intent{$name} = await_payment($server, $payment{$name}, 'payable');
}

sub pays
{
	my ($name) = @_;
	at_stripe($stripe, $intent{$name}, 'succeed');
	read_payment($server, $payment{$name});
	await_payment($server, $payment{$name}, 'succeeded');
	return;
}

sub made { return scalar @{ $stripe->control('GET', '/payment_intents')->{payment_intents} } }
sub sees { my ($hash) = @_; return join ' ', map {"$_->{status} $_->{amount}"} intents_of($stripe, $hash) }

my @dinner = qw(pays_later pays_since starts_since starts_and_pays refunded refunded_too tries_again hesitates other_amount pays_other_amount
  create_open create_open_and_pays cancel_open refund_open);
share_bill($server, 'dinner', { map { $_ => 1000 } @dinner });
starts('dinner', $_) foreach qw(pays_later pays_since refunded refunded_too tries_again cancel_open refund_open);
pays($_) foreach qw(refunded refunded_too refund_open);
# What is open in the copy is done by the original.
$server->sql(q{SELECT seats.pause('stripe', 'the copy is made')});
$payment{$_} = start_payment($server, 'dinner', $_) foreach qw(create_open create_open_and_pays);
shop($server, "SELECT seats.cancel_payment($payment{cancel_open})");
refund($server, $payment{refund_open}, '400');
$server->safe_psql('postgres', 'CREATE DATABASE yesterday TEMPLATE shop');

# What the copy does not know.
$server->sql(q{SELECT seats.resume('stripe', 'the copy is made')});
$intent{$_} = await_payment($server, $payment{$_}, 'payable') foreach qw(create_open create_open_and_pays);
pays('create_open_and_pays');
await_payment($server, $payment{cancel_open}, 'canceled');
await_sums($server, $payment{refund_open}, '1000 400 0 0', 'what was open is done');
pays('pays_since');
starts('dinner', $_) foreach qw(starts_since starts_and_pays);
pays('starts_and_pays');
refund($server, $payment{refunded}, q{300, request_key => 'complaint'});
await_sums($server, $payment{refunded}, '1000 300 0 0', 'somebody gets money back');
refund($server, $payment{refunded_too}, q{200, request_key => 'complaint'});
await_sums($server, $payment{refunded_too}, '1000 200 0 0', 'and somebody else');
shop($server, "SELECT seats.cancel_payment($payment{tries_again})");
await_payment($server, $payment{tries_again}, 'canceled');
starts('dinner', 'tries_again');
# (His first start is taken back before it has left: of it Stripe has nothing.)
$server->sql(q{SELECT seats.pause('stripe', 'somebody hesitates')});
shop($server, 'SELECT seats.cancel_payment(' . start_payment($server, 'dinner', 'hesitates') . ')');
$server->sql(q{SELECT seats.resume('stripe', 'somebody hesitates')});
starts('dinner', 'hesitates');
foreach my $name (qw(other_amount pays_other_amount))
{
	shop($server, 'SELECT seats.change_amount(' . member_of($server, 'dinner', $name) . ', 1200)');
	starts('dinner', $name);
}
pays('pays_other_amount');
share_bill($server, 'brunch', { payer => 500, paid => 500 });
starts('brunch', $_) foreach qw(payer paid);
pays('paid');
my @picnic = qw(nobody nobody_else somebody);
share_bill($server, 'picnic', { map { $_ => 700 } @picnic });
starts('picnic', $_) foreach @picnic;
my %hash = map { $_ => hash_of($server, 'dinner', $_) } @dinner;
$hash{$_} = hash_of($server, 'brunch', $_) foreach qw(payer paid);
$hash{$_} = hash_of($server, 'picnic', $_) foreach @picnic;
my $made = made();

$server->safe_psql('postgres', 'DROP DATABASE shop');
$server->{_pg_seats_database} = 'yesterday';
$server->wait_for_sql('SELECT state FROM seats_internal.worker_state()', 'fenced');
# Stripe has forgotten the keys: no replay is in the way of what would be made or given back twice.
$stripe->clock_advance(25 * 3600);
# They click before anything is known.
$stripe->fault({ match => { method => 'GET', path => $_ }, fault => 'hang' }) foreach qw(/v1/payment_intents /v1/events);
$server->sql(q{SELECT seats.adopt_database('the original is gone', true)});
$server->sql(q{SELECT seats.resume('stripe', 'it is the original now')});
my %again = map { $_ => start_payment($server, 'dinner', $_) } grep { $_ ne 'cancel_open' } @dinner;
$stripe->await_held(method => 'GET', path => '/v1/payment_intents');
refund($server, $payment{refunded_too}, q{200, request_key => 'complaint'});
await_sums($server, $payment{refunded_too}, '1000 200 0 0', 'a refund that is asked for again is found');
is(await_payment($server, $again{$_}, 'creating'), '', "$_: nothing is made before the list was read") foreach qw(starts_since other_amount);
$stripe->release(method => 'GET');

subtest 'who clicks again has the intent that he had' => sub {
	is(await_payment($server, $again{$_}, 'payable'), $intent{$_}, $_) foreach qw(pays_later starts_since);
	is(await_payment($server, $again{$_}, 'succeeded'), $intent{$_}, $_) foreach qw(pays_since starts_and_pays refunded refunded_too);
	await_member($server, 'dinner', $_, 'paid') foreach qw(pays_since starts_and_pays refunded);
	is(made(), $made, 'none was made');
	# His first one was cancelled.
	$server->wait_for_sql(q{SELECT p.intent FROM seats.payment_members AS m JOIN seats.payments AS p USING (payment)
		WHERE m.reference = 'tries_again' AND p.state = 'payable'}, $intent{tries_again});
	pass('also one that is another attempt');
	# What he has begun just now would be a second one beside it: it gives way before it leaves.
	await_payment($server, $again{hesitates}, 'canceled');
	is(await_payment($server, start_payment($server, 'dinner', 'hesitates'), 'payable'), $intent{hesitates}, 'and one of which only the second start was sent');
	is(made(), $made, 'nothing was made beside it');
};

subtest 'what was open in the copy is not done twice' => sub {
	is(await_payment($server, $again{create_open}, 'payable'), $intent{create_open}, 'an intent that was to be made');
	is(await_payment($server, $again{create_open_and_pays}, 'succeeded'), $intent{create_open_and_pays}, 'one that was paid since');
	await_payment($server, $payment{cancel_open}, 'canceled');
	await_sums($server, $again{refund_open}, '1000 400 0 0', 'money that was to be given back');
	is(made(), $made, 'none was made');
};

subtest 'what was given back is known' => sub {
	await_sums($server, $again{refunded}, '1000 300 0 0', 'as Stripe says');
	my $refund = $server->sql("SELECT refund FROM seats.refunds WHERE payment = $again{refunded}");
	is(refund($server, $again{refunded}, q{300, request_key => 'complaint'}), $refund, 'asked for again it is the same');
	$server->wait_for_sql('SELECT count(*) FROM seats.outbox', '0');
	is(scalar @{ $stripe->all_of('/v1/refunds') }, 3, 'and is not made twice');
};

subtest 'an amount that is forgotten is not the one to be paid' => sub {
	await_happened($server, $again{other_amount}, 'cancelled 1000 duplicate', 'what is not owed is cancelled');
	my $second = start_payment($server, 'dinner', 'other_amount');
	await_payment($server, $second, 'payable');
	is(sees($hash{other_amount}), 'canceled 1200 requires_payment_method 1000', 'then he pays what he owes');
	await_member($server, 'dinner', 'pays_other_amount', 'paid_other_amount');
	is($server->sql("SELECT review_reason FROM seats.payments WHERE intent = '$intent{pays_other_amount}'"), 'paid_other_amount',
		'what was paid is not forgotten: a person is asked');
	$server->sql("SELECT seats.resolve_payment($again{pays_other_amount}, 'keep', 'it was 1200')");
	await_member($server, 'dinner', 'pays_other_amount', 'paid');
};

subtest 'a bill that is forgotten' => sub {
	$server->wait_for_sql('SELECT count(*) FROM seats.payment_drift', '5');
	$server->wait_for_sql(q{SELECT string_agg(kind, ' ' ORDER BY kind) FROM seats.alerts WHERE state <> 'resolved' AND kind LIKE '%stray%'},
		'payment_strays stray_paid');
	share_bill($server, 'brunch', { payer => 500, paid => 500 });
	await_member($server, 'brunch', 'paid', 'paid');
	is(await_payment($server, start_payment($server, 'brunch', 'payer'), 'payable'), $intent{payer}, 'made again, it has its intents');
	is($server->sql(q{SELECT count(*) FROM seats.payment_drift}), '3', 'those of another one are left');
};

subtest 'pg_seats.payment_sweep = cancel' => sub {
	set_configuration($server, 'pg_seats.payment_sweep' => 'cancel');
	list_intents($server);
	is(sees($hash{$_}), 'requires_payment_method 700', "$_: for an hour somebody may come") foreach @picnic;
	# The answer of one cancel is lost; the worker is killed while another one is on the wire; somebody pays at this moment.
	my %cancel = map { $_ => { method => 'POST', path => "/v1/payment_intents/$intent{$_}/cancel" } } @picnic;
	$stripe->fault({ match => $cancel{nobody}, fault => 'execute_and_drop' });
	$stripe->fault({ match => $cancel{nobody_else}, fault => 'hang_after' });
	$stripe->fault({ match => $cancel{somebody}, fault => 'hang' });
	$server->sql("UPDATE seats_internal.payment_stray SET first_seen = first_seen - interval '1 hour'");
	list_intents($server);
	$stripe->await_held(%{ $cancel{$_} }) foreach qw(nobody_else somebody);
	at_stripe($stripe, $intent{somebody}, 'succeed');
	kill_stopped_worker($server, stop_worker($server));
	wait_until(sub { $server->sql('SELECT 1') }, 'the server to be there', timeout => 60);
	$server->wait_for_sql(q{SELECT string_agg(status, ' ' ORDER BY status) FROM seats.payment_drift}, 'canceled canceled succeeded');
	$server->wait_for_sql('SELECT count(*) FROM seats.outbox', '0');
	is(sees($hash{$_}), 'canceled 700', "$_: then it is cancelled") foreach qw(nobody nobody_else);
	is($server->sql(q{SELECT count(*) FROM seats.journal WHERE kind = 'payment.stray_cancelled'}), '3', 'as the journal tells');
	list_intents($server);
	# That somebody has paid is told.
	$server->wait_for_sql(q{SELECT detail ->> 'intent' FROM seats.alerts WHERE kind = 'stray_paid' AND state <> 'resolved'}, $intent{somebody});
	share_bill($server, 'picnic', { map { $_ => 700 } @picnic });
	await_payment($server, start_payment($server, 'picnic', 'nobody'), 'payable');
	is(sees($hash{nobody}), 'canceled 700 requires_payment_method 700', 'who comes after that begins anew');
	await_member($server, 'picnic', 'somebody', 'paid');
	pass('and the money is his who has paid');
};

assert_judged($server, $stripe, 'in the end');
is($server->sql('SELECT count(*) FROM seats.reviews'), '0', 'no call needed a person');
$server->assert_log_clean;
$server->stop;
done_testing();
