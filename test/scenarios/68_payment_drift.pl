# What the database does not know of intents, or knows differently, without a failover: a second intent of one attempt, a
# payment that no event has told of, what was made while nothing could be sent for long. Nothing is told by events.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::PaymentModel;
use PgSeats::Payments;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe,
	configuration => "pg_seats.safety_poll = '200ms'\npg_seats.retry_delay = '20ms'\n");
$server->define_destination('stripe', requests_per_second => 500);
set_up_payments($server, 'shop');
is($server->sql('SHOW pg_seats.payment_sweep'), 'report', 'nothing is set but what is always set');

# Of a first attempt, and nobody here has made it.
sub make_intent
{
	my ($name, $amount) = @_;
	return $stripe->api('POST', '/v1/payment_intents', {
			amount => $amount, currency => 'eur', metadata => {
				pg_seats_installation => $server->sql('SELECT uuid FROM seats_internal.installation'),
				pg_seats_member => hash_of($server, 'dinner', $name), pg_seats_attempt => 1 } })->{id};
}

share_bill($server, 'dinner', { map { $_ => 1000 } qw(ada bob cy dora) });
my %payment = map { $_ => start_payment($server, 'dinner', $_) } qw(ada bob cy);
my %intent = map { $_ => await_payment($server, $payment{$_}, 'payable') } sort keys %payment;
$server->wait_for_sql('SELECT finished_at IS NOT NULL FROM seats_internal.payment_listing', 't');
is($server->sql('SELECT count(*) FROM seats_internal.destination_contact'), '1', 'the worker notes that it can send');

# As if the create had been executed under two keys.
my %second = map { $_ => make_intent($_, 1000) } qw(ada bob);
at_stripe($stripe, $_, 'succeed') foreach $intent{bob}, $second{bob}, $intent{cy};
list_intents($server);
wait_until(sub { join(' ', map { $_->{id} } live_intents_of($stripe, hash_of($server, 'dinner', 'ada'))) eq $intent{ada} },
	'the second one of ada to be cancelled');
pass('who has two that he could pay keeps one');
is($server->sql("SELECT state FROM seats.payments WHERE payment = $payment{ada}"), 'payable', 'the one in his browser');
await_member($server, 'dinner', 'cy', 'paid');
$server->wait_for_sql(q{SELECT count(*) FROM seats.payments WHERE reference = 'bob' AND state = 'succeeded'}, '2');
is($server->sql(q{SELECT string_agg(kind, ' ') FROM seats.alerts WHERE state <> 'resolved'}), 'paid_twice',
	'who has paid both is told to a person');
my $twice = $server->sql(q{SELECT payment FROM seats.payments WHERE review_since IS NOT NULL});
$server->sql("SELECT seats.resolve_payment($twice, 'refund', 'he has paid twice')");
$server->wait_for_sql(q{SELECT count(*) FROM seats.payment_drift}, '0');
assert_judged($server, $stripe, 'seconds');

# ---- nothing could be sent for long

my $before = $server->sql('SELECT finished_at FROM seats_internal.payment_listing');
$server->sql(q{SELECT seats.pause('stripe', 'for long')});
my $stray = make_intent('dora', 700);
$server->sql(q{UPDATE seats_internal.destination_contact SET reached_at = reached_at - interval '1 hour'});
$server->restart;
$server->sql(q{SELECT seats.resume('stripe', 'it is over')});
$server->wait_for_sql("SELECT finished_at > '$before' FROM seats_internal.payment_listing", 't');
await_payment($server, $server->sql("SELECT payment FROM seats.payments WHERE intent = '$stray'"), 'canceled');
pass('after a long outage intents are listed: what is of another amount than is owed was found, and goes');
wait_until(sub { @{ $stripe->requests(method => 'GET', path => '/v1/events*') } > 0 }, 'events to be listed');
assert_judged($server, $stripe, 'after an outage');
$server->assert_log_clean;
$server->stop;
done_testing();
