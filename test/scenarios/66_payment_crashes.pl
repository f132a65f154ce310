# The worker, or the server, ends at the worst moment: Stripe has executed what the database has not settled, or the other way
# round. Of each payment there is one intent all the same, it is cancelled, and its money is given back once.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Faults;
use PgSeats::PaymentModel;
use PgSeats::Payments;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => in_a_hurry());
open_shop($server);

my $bills = 0;

# A bill of 1000 that somebody begins to pay: its name and the payment.
sub started
{
	my $key = 'bill ' . ++$bills;
	share_bill($server, $key, { ada => 1000 });
	return ($key, start_payment($server, $key, 'ada'));
}

sub payable { my ($key, $payment) = started(); return ($key, $payment, await_payment($server, $payment, 'payable')) }

sub paid
{
	my ($key, $payment, $intent) = payable();
	at_stripe($stripe, $intent, 'succeed');
	read_payment($server, $payment);
	await_payment($server, $payment, 'succeeded');
	return ($key, $payment, $intent);
}

# What is asked for, as { prepare, ask, request (what of it a fault matches), assert }.
my %kinds = (
	create => {
		prepare => sub { my $key = 'bill ' . ++$bills; share_bill($server, $key, { ada => 1000 }); return { key => $key } },
		ask => sub { my ($case) = @_; $case->{payment} = start_payment($server, $case->{key}, 'ada') },
		request => sub { my ($case) = @_; return (path => '/v1/payment_intents', body => '*' . hash_of($server, $case->{key}, 'ada') . '*') },
		assert => sub {
			my ($case) = @_;
			my $intent = await_payment($server, $case->{payment}, 'payable');
			is(join(' ', map { $_->{id} } intents_of($stripe, hash_of($server, $case->{key}, 'ada'))), $intent, 'one intent was made');
		} },
	cancel => {
		prepare => sub { my %case = (); @case{qw(key payment intent)} = payable(); return \%case },
		ask => sub { my ($case) = @_; shop($server, "SELECT seats.cancel_payment($case->{payment})") },
		request => sub { my ($case) = @_; return (path => "/v1/payment_intents/$case->{intent}/cancel") },
		assert => sub {
			my ($case) = @_;
			await_happened($server, $case->{payment}, 'cancelled 1000 requested_by_customer', 'it was cancelled');
		} },
	refund => {
		prepare => sub { my %case = (); @case{qw(key payment intent)} = paid(); return \%case },
		ask => sub { my ($case) = @_; refund($server, $case->{payment}, '300') },
		request => sub { my ($case) = @_; return (path => '/v1/refunds', body => "*$case->{intent}*") },
		assert => sub {
			my ($case) = @_;
			await_happened($server, $case->{payment}, 'succeeded 1000, refunded 300', 'money was given back');
			is(join(' ', map { $_->{amount} } @{ $stripe->all_of('/v1/refunds', payment_intent => $case->{intent}) }), '300', '… once');
		} });

# How it ends, while the worker stands at a debug point, if it does.
my %ends = (
	'the worker is killed' => sub { kill_at_debug_point($server) },
	'the worker is told to end' => sub {
		my $worker = $server->kill_worker('TERM');
		$server->release_debug_point;
		$server->wait_for_worker(another_than => $worker);
	},
	'the server stops at once' => sub {
		$server->sql('ALTER SYSTEM RESET pg_seats.debug_point');
		$server->stop('immediate');
		$server->start;
	});

sub be_back { wait_until(sub { $server->sql('SELECT 1') }, 'the server to be there', timeout => 60); return $server->wait_for_worker(timeout => 60) }

foreach my $kind (sort keys %kinds)
{
	foreach my $end (sort keys %ends)
	{
		subtest "$kind: $end when Stripe has executed it, and nothing is settled" => sub {
			my $case = $kinds{$kind}{prepare}->();
			debug_point_from_now_on($server, 'before_settle_commit');
			$kinds{$kind}{ask}->($case);
			$server->wait_at_debug_point('before_settle_commit');
			$ends{$end}->();
			be_back();
			$kinds{$kind}{assert}->($case);
		};
	}
}

foreach my $point (qw(before_freeze_commit after_freeze before_send after_settle))
{
	subtest "all of them at once, at $point" => sub {
		my %cases = map { $_ => $kinds{$_}{prepare}->() } sort keys %kinds;
		debug_point_from_now_on($server, $point);
		$kinds{$_}{ask}->($cases{$_}) foreach sort keys %kinds;
		$server->wait_at_debug_point($point);
		$ends{'the worker is killed'}->();
		be_back();
		$kinds{$_}{assert}->($cases{$_}) foreach sort keys %kinds;
	};
}

foreach my $end (sort keys %ends)
{
	subtest "all of them on the wire, executed and not: $end" => sub {
		my @cases = map { my $kind = $_; map { { kind => $kind, fault => $_, %{ $kinds{$kind}{prepare}->() } } } qw(hang hang_after) } sort keys %kinds;
		foreach my $case (@cases)
		{
			$stripe->fault({ match => { method => 'POST', $kinds{ $case->{kind} }{request}->($case) }, fault => $case->{fault} });
			$kinds{ $case->{kind} }{ask}->($case);
		}
		wait_until(sub { @{ $stripe->requests(state => 'hanging') } == @cases }, 'all of them to be on the wire');
		$ends{$end}->();
		be_back();
		$kinds{ $_->{kind} }{assert}->($_) foreach @cases;
	};
}

assert_judged($server, $stripe, 'in the end');
$server->assert_log_clean;
$server->stop;
done_testing();
