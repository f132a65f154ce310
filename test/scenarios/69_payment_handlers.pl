# The application's functions for what happens to payments run once for each transaction, as its role, in the order of
# the member's lane; one that fails goes to review like any handler, and holds up the member's later ones only. (Facts are
# given by hand: what Stripe says is a matter of 69_payment_property.)
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Handlers;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '600s'
END
$server->wait_for_worker;
set_up_handlers($server, { app => 'LOGIN' });

define_handler($server, 'happened', q{
BEGIN
    INSERT INTO app.told (call, what)
    VALUES ((outcome ->> 'payment')::bigint,
            concat_ws(' ', current_user, current_setting('app.tenant'), context ->> 'table', outcome ->> 'transaction',
                      outcome ->> 'reference', outcome ->> 'amount', outcome ->> 'currency', outcome ->> 'charge',
                      outcome ->> 'refund', outcome ->> 'reason'));
END});
define_handler($server, 'fails', q{BEGIN RAISE EXCEPTION 'not now'; END});

my $request = $server->sql(<<'END');
SET app.tenant = '7';
SELECT request FROM seats_internal.create_payment_request(
    'app', 'dinner', 'eur', '[{"reference": "ada", "amount": 1000}, {"reference": "bob", "amount": 1000}]',
    NULL, 'stripe', 'refund', NULL, on_paid => 'app.happened', on_failed => 'app.fails', on_cancelled => 'app.happened',
    on_refunded => 'app.happened', on_disputed => 'app.happened', context => '{"table": 4}',
    keep_settings => '{app.tenant}');
END

sub start
{
	my ($reference) = @_;
	return $server->sql(<<"END");
SELECT s.payment FROM seats_internal.payment_member AS m
 CROSS JOIN LATERAL seats_internal.start_payment('app', m.id, '{}', false) AS s WHERE m.reference = '$reference'
END
}

# What a read has shown, as the worker settles it.
sub applies
{
	my ($payment, $more) = @_;
	$server->sql(<<"END");
SELECT seats_internal.apply_intent($payment, '{"id": "pi_$payment", "amount": 1000, "currency": "eur"}' || '{$more}'::jsonb,
                                   clock_timestamp())
END
	return;
}

# Until the functions for all that has happened to a payment have run.
sub await_told
{
	my ($payment) = @_;
	$server->wait_for_sql(<<"END", '0');
SELECT count(*) FROM seats_internal.handler AS h
  JOIN seats_internal.payment_transaction AS t ON t.id = h.call_id WHERE t.payment_id = $payment
END
	return told($server, $payment);
}

subtest 'once for each' => sub {
	my $payment = start('ada');
	applies($payment, '"status": "requires_payment_method"');
	is(await_told($payment), '', 'that there is an intent is nobody told');
	applies($payment, '"status": "succeeded", "amount_received": 1000, "charge": "ch_1"') foreach 1 .. 2;
	is(await_told($payment), 'app 7 4 succeeded ada 1000 eur ch_1', 'paid');
	my $refunds = sub {
		$server->sql(<<"END");
SELECT seats_internal.apply_refunds($payment, jsonb_build_object('complete', true, 'refunds', jsonb_build_array(
    jsonb_build_object('id', 're_1', 'amount', 300, 'currency', 'eur', 'charge', 'ch_1', 'status', '$_[0]'))), NULL)
END
	};
	$refunds->($_) foreach qw(pending succeeded succeeded);
	$refunds->('failed');
	is(await_told($payment), <<'END' =~ s/\n\z//r, 'given back, and come back');
app 7 4 succeeded ada 1000 eur ch_1
app 7 4 refunded ada 300 eur ch_1 re_1
app 7 4 refund_failed ada 300 eur ch_1 re_1 failed
END
};

subtest 'one that fails' => sub {
	my $payment = start('bob');
	applies($payment, '"status": "requires_payment_method", "error_code": "card_declined", "failed_charge": "ch_2"');
	my $failed = $server->sql("SELECT id FROM seats_internal.payment_transaction WHERE payment_id = $payment");
	await_handler($server, $failed, 'tries > 0');
	applies($payment, '"status": "succeeded", "amount_received": 1000, "charge": "ch_3"');
	$server->sql("SELECT seats_internal.review_handlers(ARRAY[$failed]::bigint[], 'failed')");
	is($server->sql('SELECT handler FROM seats.reviews WHERE call = ' . $failed), 'app.fails', 'a person has to decide');
	like($server->sql("SELECT seats.explain_call($failed)"), qr/failed 1000 eur.*resolve_review/s, '… and can read what');
	is(told($server, $payment), '', 'what has happened since waits');
	$server->sql("SELECT seats.resolve_review($failed, 'skip', 'as the scenario says')");
	is(await_told($payment), 'app 7 4 succeeded bob 1000 eur ch_3', 'then it is told');
};

done_testing();
