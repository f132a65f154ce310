# Bills that a group shares, one step after the other: what an application asks for, what payers and banks do, and what is
# then to be seen. The application is the role "shop", as set_up_payments (PgSeats::PaymentModel) makes it.
#
#   share_bill($server, 'dinner', { ada => 1000 }, when_paid_after_cancel => 'refund');
#   my $payment = start_payment($server, 'dinner', 'ada');
#   my $intent = await_payment($server, $payment, 'payable');
#   at_stripe($stripe, $intent, 'fail', decline_code => 'lost_card');       an action of the simulator's
#   await_happened($server, $payment, 'failed 1000 lost_card');             what happened, and handlers were told
package PgSeats::Payments;

use strict;
use warnings;
use Exporter 'import';
use PgSeats::PaymentModel;
use PgSeats::Server;
use PgSeats::Waiting;
use Test::More;

our @EXPORT = qw(
  in_a_hurry open_shop shop share_bill member_of hash_of start_payment await_payment await_member at_stripe sums_of
  await_sums await_happened read_payment list_intents refund intents_of live_intents_of assert_judged);

# Settings with which nobody waits for long.
sub in_a_hurry
{
	return <<'END';
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.safety_poll = '300ms'
END
}

# A server that is not held back by Stripe's rate, and the application's role.
sub open_shop
{
	my ($server) = @_;
	$server->define_destination('stripe', requests_per_second => 500);
	set_up_payments($server, 'shop');
	return;
}

# As the application does it.
sub shop { my ($server, $sql) = @_; return $server->sql("SET ROLE shop; $sql") }

# Options: currency, and arguments of create_payment_request that are texts.
sub share_bill
{
	my ($server, $key, $members, %options) = @_;
	my $currency = delete $options{currency} // 'eur';
	my $list = join ', ', map {qq({"reference": "$_", "amount": $members->{$_}})} sort keys %$members;
	my $rest = join '', map { ", $_ => " . PgSeats::Server::quote($options{$_}) } sort keys %options;
	return shop($server, "SELECT request FROM seats.create_payment_request('$key', '$currency', '[$list]', "
		  . handlers_of_facts('shop') . "$rest)");
}

sub member_of { my ($server, $key, $name) = @_; return $server->sql("SELECT seats.payment_member('$key', '$name')") }

# What stands for the member at Stripe, and so in every create of his.
sub hash_of
{
	my ($server, $key, $name) = @_;
	return $server->sql("SELECT m.hash FROM seats_internal.payment_member AS m WHERE m.id = seats.payment_member('$key', '$name')");
}

sub start_payment
{
	my ($server, $key, $name, $more) = @_;
	$more = $more ? ", $more" : '';
	return shop($server, "SELECT payment FROM seats.start_payment(seats.payment_member('$key', '$name')$more)");
}

# Returns the intent.
sub await_payment
{
	my ($server, $payment, $state) = @_;
	await_word(sub { $server->sql("SELECT state FROM seats.payments WHERE payment = $payment") },
		[$state], "payment $payment", ends => qr/^(?:canceled|refused)$/, timeout => 30);
	return $server->sql("SELECT intent FROM seats.payments WHERE payment = $payment");
}

sub await_member
{
	my ($server, $key, $name, $state) = @_;
	return $server->wait_for_sql(
		"SELECT state FROM seats.payment_members WHERE request_key = '$key' AND reference = '$name'", $state);
}

sub at_stripe
{
	my ($stripe, $intent, $action, %details) = @_;
	return $stripe->control('POST', "/payment_intents/$intent", { action => $action, %details });
}

# received, refunded, reserved for refunds, disputed
my $sums = q{SELECT concat_ws(' ', received, refunded, refund_reserved, disputed) FROM seats.payments WHERE payment = };
sub sums_of { my ($server, $payment) = @_; return $server->sql("$sums$payment") }

sub await_sums
{
	my ($server, $payment, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$server->wait_for_sql("$sums$payment", $expected);
	return pass($name);
}

# Until this has happened to a payment, in this order, and each was told to its function once.
sub await_happened
{
	my ($server, $payment, $expected, $name) = @_;
	my $happened = sub {
		return $server->sql(<<"END");
SELECT string_agg(concat_ws(' ', t.kind, t.amount, t.reason), ', ' ORDER BY t.transaction)
  FROM seats.payment_transactions AS t WHERE t.payment = $payment
END
	};
	my $heard = sub {
		return $server->sql(<<"END");
SELECT string_agg(concat_ws(' ', h.outcome ->> 'transaction', h.outcome ->> 'amount', h.outcome ->> 'reason'), ', ' ORDER BY h.transaction)
  FROM paying.heard AS h WHERE h.outcome ->> 'payment' = '$payment'
END
	};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	eval { wait_until(sub { $happened->() eq $expected && $heard->() eq $expected }, $expected, timeout => 30); };
	is($happened->(), $expected, $name // 'what has happened') or return 0;
	return is($heard->(), $expected, '… and was told');
}

# As an operator has it read: the intent, its refunds and disputes.
sub read_payment
{
	my ($server, $payment) = @_;
	$server->sql("SELECT seats.reconcile_payment($payment, 'the scenario wants it')");
	$server->wait_for_sql(
		"SELECT count(*) FROM seats_internal.outbox AS o WHERE o.payment_id = $payment AND o.kind = 'payment_read'", '0');
	return;
}

# As an operator has them compared with what is known here: until all were listed.
sub list_intents
{
	my ($server) = @_;
	my $finished = 'SELECT finished_at FROM seats_internal.payment_listing WHERE NOT is_to_be_told';
	my $before = $server->sql($finished);
	$server->sql(q{SELECT seats.reconcile_payments('stripe', 'the scenario wants it')});
	wait_until(sub { $server->sql($finished) !~ /^(\Q$before\E)?$/ }, 'the list to be read, and told');
	return;
}

# refund($server, $payment, '300, request_key => …'): its number.
sub refund { my ($server, $payment, $rest) = @_; return shop($server, "SELECT refund FROM seats.refund_payment($payment" . ($rest ? ", $rest" : '') . ')') }

# A member's intents at Stripe, whatever the database knows, in the order in which they were made.
sub intents_of
{
	my ($stripe, $hash) = @_;
	return @{ $stripe->control('GET', '/payment_intents', undef, 'metadata[pg_seats_member]' => $hash)->{payment_intents} };
}

sub live_intents_of { my ($stripe, $hash) = @_; return grep { $_->{status} !~ /^(?:succeeded|canceled)$/ } intents_of($stripe, $hash) }

# Once nothing is open any more: Stripe has what the tables have, to the cent; handlers were told; nothing was executed twice.
sub assert_judged
{
	my ($server, $stripe, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$server->wait_for_sql('SELECT (SELECT count(*) FROM seats_internal.outbox) + (SELECT count(*) FROM seats_internal.handler)', '0',
		timeout => 60);
	is(join("\n", judge_payments($server, $stripe)), '', "$name: what Stripe has is what the tables have, and what handlers were told");
	is(join("\n", live_twice($stripe)), '', '… nobody can pay twice');
	my $ledger = $stripe->control('GET', '/ledger', undef, summary => 'true');
	return is("@{ $ledger->{executed_twice} }", '', '… and no key was executed twice');
}

1;
