# docs/payments.md: its SQL is run as it is printed there, one thing after the other, while payers, banks and a webhook
# relay do their part; and its two examples in JavaScript are run against each other (if node and its package pg are there:
# scripts/check fetches that with npm; NODE_PATH names another place where it is).
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP;
use PgSeats::Page;
use PgSeats::Scenario;
use PgSeats::Webhooks;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$server->sql('CREATE ROLE app LOGIN; CREATE ROLE on_call');
define_endpoint($server, 'main');
send_webhooks($stripe, start_relay($server), 'main', events => ['*']);

my $page = PgSeats::Page->read('payments.md');
my %sections = (
	'What you need' => 1, 'A request' => 1, 'Your server' => 1, 'What was paid' => 2,
	'Other amounts, other members' => 1, 'Cancelling' => 2, 'Refunds and disputes' => 2);
is(join('; ', $page->headings), join('; ', sort keys %sections), 'all SQL of the page is run here');
is(scalar $page->under($_), $sections{$_}, "$_: so many blocks") foreach sort keys %sections;

sub run
{
	my ($heading, $number) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $page->run($server, ($page->under($heading))[ $number // 0 ], 'app');
}

# Something happens to a payer's newest payment: at his bank, in his browser, in the Dashboard.
sub happens
{
	my ($bill, $payer, $action) = @_;
	my $intent = $server->sql(<<"END");
SELECT intent FROM seats.payments WHERE request_key = '$bill' AND reference = '$payer' ORDER BY payment DESC LIMIT 1
END
	$stripe->control('POST', "/payment_intents/$intent", { action => $action });
	return;
}

sub await_share
{
	my ($bill, $payer, $paid, $what) = @_;
	$server->wait_for_sql("SELECT paid FROM shop.share WHERE request_key = '$bill' AND payer = '$payer'", $paid);
	return pass($what);
}

sub start
{
	my ($bill, $payer) = @_;
	return $server->sql("CALL seats.start_payment_and_wait(seats.payment_member('$bill', '$payer'), '$payer')",
		extra_params => [ '-U', 'app' ]);
}

sub is_paid
{
	my ($bill) = @_;
	return $server->sql("SELECT paid_at IS NOT NULL FROM shop.bill WHERE request_key = '$bill'");
}

# A bill as the page makes them, which is not in its text.
sub new_bill
{
	my ($bill, @payers) = @_;
	my ($request) = $page->under('A request');
	my $shares = join ', ', map {"('$bill', '$_')"} @payers;
	my $members = join ', ', map {qq({"reference": "$_", "amount": 900})} @payers;
	$request =~ s/\('dinner-42', 'ann'\).*?;/$shares;/ and $request =~ s/'\[.*?\]'/'[$members]'/s or die 'another example';
	$request =~ s/dinner-42/$bill/g;
	return $page->run($server, $request, 'app');
}

run('What you need');
run('What was paid');
run('A request');
run('Your server');
happens('dinner-42', 'ann', 'succeed');
await_share('dinner-42', 'ann', 1250, 'Ann has paid');
run('What was paid', 1);

happens('dinner-42', 'ann', 'dispute');
await_share('dinner-42', 'ann', 0, 'what her bank takes back is not paid any more');
happens('dinner-42', 'ann', 'dispute_won');
await_share('dinner-42', 'ann', 1250, 'until the dispute is won');
is(is_paid('dinner-42'), 'f', 'the bill is not paid while others owe');

# ---- everybody, once

new_bill('supper', qw(ann bob cy));
start('supper', $_) foreach qw(ann bob);
happens('supper', $_, 'succeed') foreach qw(ann bob);
await_share('supper', $_, 900, "$_ has paid") foreach qw(ann bob);
is(is_paid('supper'), 'f', 'one owes yet');
$server->sql(<<'END', extra_params => [ '-U', 'app' ]);
SELECT seats.settle_member(seats.payment_member('supper', 'cy'), 'waived', 'it is his birthday');
SELECT shop.look_at_bill('supper')
END
is(is_paid('supper'), 't', 'who is let off needs a look by hand');
new_bill('drinks', qw(ann bob));
start('drinks', $_) foreach qw(ann bob);
happens('drinks', $_, 'succeed') foreach qw(ann bob);
$server->wait_for_sql(q{SELECT paid_at IS NOT NULL FROM shop.bill WHERE request_key = 'drinks'}, 't');
pass('of two who pay at once the last one is noticed');

# The last one pays while somebody who lets the other one off has not committed yet: neither sees the other's, at first.
new_bill('party', qw(ann bob));
start('party', 'ann');
my $host = $server->background_psql('postgres', on_error_stop => 1, extra_params => [ '-U', 'app' ]);
$host->query_safe(q{BEGIN; SELECT seats.settle_member(seats.payment_member('party', 'bob'), 'waived', 'he has cooked')});
$host->query_safe(q{SELECT shop.look_at_bill('party')});
happens('party', 'ann', 'succeed');
$server->wait_for_sql(<<'END', 't');
SELECT EXISTS (SELECT FROM shop.share WHERE request_key = 'party' AND paid > 0)
       OR EXISTS (SELECT FROM seats.handlers WHERE function = 'shop.share_has_changed' AND error_code = '55P03')
END
$host->query_safe('COMMIT');
$host->quit;
$server->wait_for_sql(q{SELECT paid_at IS NOT NULL FROM shop.bill WHERE request_key = 'party'}, 't');
pass('nor is the last one missed when somebody is let off just then');

# ---- the examples in JavaScript

SKIP:
{
	my $version = `node -p 'require("pg/package.json").version' 2>/dev/null` // '';
	chomp $version;
	skip 'node, or its package pg, is not installed (NODE_PATH names where)', 1 if $version eq '';
	note("pg $version");
	new_bill('lunch', qw(ann bob cy));
	new_bill('off', 'ann');
	$server->sql(<<'END');
SELECT seats.settle_member(seats.payment_member('lunch', 'bob'), 'paid_outside', 'in cash');
SELECT seats.cancel_payment_request(request, 'no appetite') FROM seats.payment_requests WHERE request_key = 'off'
END
	my ($route) = $page->under('Your server', 'js');
	my ($script) = join('', $page->under('The browser', 'html')) =~ /<script type="module">(.*)<\/script>/s;
	$script =~ s/dinner-42/lunch/;
	my $case = encode_json({
			route => $route, page => $script, control => "http://127.0.0.1:$stripe->{control_port}/_control",
			database => { host => $server->host, port => 0 + $server->port, database => $server->database, user => 'app' } });
	open my $node, '-|', 'node', abs_path(dirname(__FILE__)) . '/lib/payment-page.js', $case or die "node: $!";
	my $told = decode_json(join '', <$node>);
	close $node or die 'node failed';
	my $not_yet = 'Not yet: please click again in a moment. | button | -';
	is_deeply($told, {
			opened => [ '- | button | -', 0 ],
			clicked => [ '- | - | form', 'payment #element' ],
			declined => 'card: fail | - | form',
			paid => [ 'card: succeed | - | form', 'https://shop.example/bills/lunch' ],
			returned => [ 'You have paid. Thank you. | - | -', 'https://shop.example/bills/lunch' ],
			settled => 'There is nothing for you to pay. | - | -',
			stranger => 'No such bill. | - | -',
			away => $not_yet,
			answers => [
				'200 no-store payment,state,client_secret payable', '409 no-store state nothing_due',
				'404 no-store state unknown', '409 no-store state off', '500 no-store  22021' ] },
		'the page and its server do what they are to');
	await_share('lunch', 'cy', 900, 'and Cy has paid');
}

# ---- the rest of the page

run('Other amounts, other members');
start('dinner-42', 'bob');
run('Cancelling');
$server->wait_for_sql(q{SELECT state FROM seats.payments WHERE request_key = 'dinner-42' AND reference = 'bob'}, 'canceled');
is($server->sql(q{SELECT state FROM seats.payment_requests WHERE request_key = 'dinner-42'}), 'cancelled',
	'nobody can begin to pay any more');
run('Cancelling', 1);
start('taxi-43', 'ann');
happens('taxi-43', 'ann', 'succeed');
$server->wait_for_sql(q{SELECT state FROM seats.payment_members WHERE request_key = 'taxi-43'}, 'paid');
happens('taxi-43', 'ann', 'refund');
$server->wait_for_sql(q{SELECT state FROM seats.payment_members WHERE request_key = 'taxi-43'}, 'refunded');
run('Refunds and disputes');
await_share('dinner-42', 'ann', 0, 'what is given back is not paid any more');
run('Refunds and disputes', 1);
like(start('taxi-43', 'ann'), qr/^\d+\|payable\|pi_\w+$/, 'and then his click meets that payment');

$server->stop;
$stripe->stop;
done_testing();
