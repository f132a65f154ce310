# The examples of docs/handlers.md, run as they are printed there, and what they come to in the database and at Stripe.
use strict;
use warnings;
use PgSeats::Page;
use PgSeats::Scenario;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');
new_team($server, $stripe, 'acme', seats => { team => 2 });
$server->sql(q{SELECT seats.add_member('acme', 'ada', role => 'owner', seat_type => 'team')});
$server->sql(q{SELECT seats.add_member('acme', 'ben', seat_type => 'team')});

my $page = PgSeats::Page->read('handlers.md');
is(join('; ', $page->headings),
	'A member who comes with a seat; An order and its coupon; Examples; Three calls or none',
	'all SQL of the page is run here');

sub run { my ($block) = @_; return $page->run($server, $block, 'shop') }
sub card { my ($word) = @_; return $stripe->control('POST', '/customers/cus_acme', { card => $word }) }

# 'outcome path' of all that was executed since the last time.
my $seen = 0;
sub executed
{
	my @rows = grep { $_->{sequence} > $seen } @{ $stripe->worker_ledger };
	$seen = $rows[-1]{sequence} if @rows;
	return [ map {"$_->{outcome} $_->{path}"} @rows ];
}

# Of those that have run, in order: 'function result'.
sub handlers_done
{
	return $server->sql(q{SELECT string_agg(concat_ws(' ', detail ->> 'function', detail ->> 'result'), '; ' ORDER BY id)
	    FROM seats_internal.journal WHERE kind = 'handler.done'});
}

run($_) foreach $page->under('Examples');

# ---- An order and its coupon

my @order = $page->under('An order and its coupon');
is(@order, 4, 'tables and functions, a function, a card that is declined, and one that is good');
run($_) foreach @order[ 0, 1 ];
card('declined');
run($order[2]);
is_deeply(executed(), ['refused /v1/payment_intents'], 'Stripe has refused the charge');
card('ok');
run($order[3]);
is_deeply(executed(), ['done /v1/payment_intents'], 'and then made one');
is(handlers_done(), 'shop.order_is_refused refused; shop.order_is_paid done', 'of each order one handler has run');
my ($status, undef, $error) = $server->try_sql(q{SELECT shop.place_order('SPRING', 2000)});
like($error, qr/violates check constraint/, 'a coupon that is used up buys nothing');
is($server->sql('SELECT count(*) FROM seats.handlers'), '0', 'and the order that was rolled back has no handler');

# (The worker counts what its processes have told it.)
$server->wait_for_sql(q{SELECT string_agg(value::text, ' ' ORDER BY name) FROM seats.metrics WHERE name ~ '^pg_seats_handlers_.*_total$'},
	'2 0');

# ---- A member who comes with a seat

my @member = $page->under('A member who comes with a seat');
is(@member, 2, 'table and function, and a card that is declined');
run($member[0]);
card('declined');
run($member[1]);
is_deeply(executed(), ['refused /v1/subscriptions/sub_acme'], 'Stripe has refused the seat');
assert_in_step($server, $stripe, 'acme', { team => 2 }, 'the seat is gone, and nobody else has lost his');
is($server->sql(q{SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM seats.members WHERE status = 'active' AND seat_type = 'team'}),
	'ada ben', 'those who were there are there');
is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'over_allocated' AND state = 'open'}),
	'0', 'and no more members sit on seats than there are');
# He is gone already, by himself: his account is closed all the same, and nothing fails.
card('ok');
my ($change) = split /\|/, hold_worker($server, sub {
	$server->sql(q{INSERT INTO shop.account (user_id) VALUES ('cleo')});
	my $made = $server->sql(<<'END', extra_params => [ '-U', 'shop' ]);
SELECT change FROM seats.add_seats('acme', 'team', 1, actor => 'ada', on_refused => 'shop.seat_is_refused',
                                   context => '{"team": "acme", "user_id": "cleo"}')
END
	$server->sql(q{SELECT seats.add_member('acme', 'cleo', seat_type => 'team')});
	$server->sql(q{SELECT seats.remove_member('acme', 'cleo')});
	card('declined');
	return $made;
});
is($server->sql("CALL seats.wait_for_change($change, handlers => true)"), 'reverted|payment_failed',
	'a seat of somebody who has left is refused');
is($server->sql(q{SELECT state FROM shop.account WHERE user_id = 'cleo'}), 'closed', 'and his account closed');
executed();

# ---- Three calls or none

my @trip = $page->under('Three calls or none');
is(@trip, 3, 'tables and functions, a trip, and what came of it');
run($trip[0]);
card('insufficient_over:5000');
run($trip[1]);
$server->wait_for_sql(q{SELECT state FROM shop.trip WHERE id = 1}, 'refused');
run($trip[2]);
my ($flight, $hotel) = split /\n/, $server->sql('SELECT payment FROM shop.step WHERE trip = 1 AND number < 3 ORDER BY number');
is_deeply(
	executed(),
	[
		'done /v1/payment_intents', 'done /v1/payment_intents', 'refused /v1/payment_intents',
		"done /v1/payment_intents/$hotel/cancel", "done /v1/payment_intents/$flight/cancel"
	],
	'three calls, and the two that were done undone, the last one first');

card('ok');
$server->sql(q{SELECT shop.book(4000, 3000, 9000)}, extra_params => [ '-U', 'shop' ]);
$server->wait_for_sql(q{SELECT state FROM shop.trip WHERE id = 2}, 'booked');
is($server->sql(q{SELECT string_agg(state, ' ') FROM shop.step WHERE trip = 2}), 'held held held', 'or all three are held');
is_deeply(executed(), [ ('done /v1/payment_intents') x 3 ], 'with three calls');

# What cannot be undone is shown, and tried again.
card('insufficient_over:5000');
$stripe->fault({ match => { path => '/v1/payment_intents/*/cancel' }, fault => 'answer', status => 400, times => -1,
	body => { error => { type => 'invalid_request_error', code => 'payment_intent_unexpected_state', message => 'It cannot be cancelled.' } } });
$server->sql(q{SELECT shop.book(4000, 3000, 9000)}, extra_params => [ '-U', 'shop' ]);
$server->wait_for_sql(q{SELECT state, error_code FROM seats.handlers WHERE function = 'shop.step_stays_held'}, 'failed|P0001');
my $stuck = $server->sql(q{SELECT call FROM seats.handlers WHERE function = 'shop.step_stays_held'});
is($server->sql("CALL seats.wait_for_call($stuck, '10 ms')"), 'refused|400|unexpected_state',
	'the call is refused, and who asks only for it is told so');
like($server->sql("CALL seats.wait_for_call($stuck, '10 ms', handlers => true)"), qr/^handler_waiting\|400\|/,
	'who also waits for its handler is told that this has not run');
like($server->sql("SELECT seats.explain_call($stuck)"), qr/shop\.step_stays_held.*step 2 of trip 3 could not be released/s,
	'explain_call tells of it');
is($server->sql(q{SELECT state FROM shop.step WHERE trip = 3 AND number = 2}), 'releasing', 'nothing of it is committed');
$server->wait_for_sql(q{SELECT handlers_failed > 0 FROM seats.worker_status}, 't');

$server->stop;
$stripe->stop;
done_testing();
