# A create whose answer never came, and of which Stripe has forgotten the key meanwhile, as it does after 24 hours. It is
# looked for in the list of that time, however long that is; what is not there is given up, and another attempt may follow,
# as nobody has ever had its secret. Should it have been made all the same, it is cancelled. (What happens here has happened
# 25 hours ago: Stripe's clock is behind, and then it is not.)
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Faults;
use PgSeats::PaymentModel;
use PgSeats::Payments;

my $hours = 25;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => in_a_hurry());
open_shop($server);

sub set_clock { my ($hours_ago) = @_; return $stripe->control('POST', '/clock', { set => time - $hours_ago * 3600 }) }

# Others pay with the same account, too.
sub others_pay { my ($count) = @_; $stripe->api('POST', '/v1/payment_intents', { amount => 700, currency => 'eur' }) foreach 1 .. $count; return }

my %hash = ();

# Whose create meets what.
sub starts
{
	my ($name, %fault) = @_;
	$hash{$name} = hash_of($server, 'dinner', $name);
	$stripe->fault({ match => { method => 'POST', path => '/v1/payment_intents', body => "*$hash{$name}*" }, %fault });
	return start_payment($server, 'dinner', $name);
}

sub statuses_of { my ($name) = @_; return join ' ', map { $_->{status} } intents_of($stripe, $hash{$name}) }

share_bill($server, 'dinner', { map { $_ => 1000 } qw(executed lost late) });
set_clock($hours);
my %payment = (
	executed => starts('executed', fault => 'hang_after'),
	lost => starts('lost', fault => 'hang'),
	late => starts('late', fault => 'execute_later', connection => 'hang', until => 'release', holds_key => \0));
wait_until(sub { @{ $stripe->requests(path => '/v1/payment_intents', state => $_) } }, "one that is $_") foreach qw(hanging later);
wait_until(sub { statuses_of('executed') ne '' }, 'one to be executed');
$server->sql(q{SELECT seats.pause('stripe', 'a day passes')});
$stripe->outage('refuse');
$server->wait_for_sql(q{SELECT count(*) FROM seats.outbox WHERE state = 'waiting' AND doubt}, '3');
$stripe->outage(undef);
others_pay(230);
$server->sql("UPDATE seats_internal.$_ SET created_at = created_at - interval '$hours hours'") foreach qw(payment_request payment);
$server->sql("UPDATE seats_internal.outbox SET created_at = created_at - interval '$hours hours',
	first_sent_at = first_sent_at - interval '$hours hours', last_sent_at = last_sent_at - interval '$hours hours'");
set_clock(0);
others_pay(20);
$server->sql(q{SELECT seats.resume('stripe', 'a day has passed')});

is(await_payment($server, $payment{executed}, 'payable'), (intents_of($stripe, $hash{executed}))[0]{id},
	'what was executed is found, behind more than two pages of others');
is(settled_as($server, $server->sql("SELECT call FROM seats.payments WHERE payment = $payment{executed}")), 'done proven_by_list',
	'… in the list of that time');
foreach my $name (qw(lost late))
{
	await_payment($server, $payment{$name}, 'refused');
	is($server->sql("SELECT error_code FROM seats.payments WHERE payment = $payment{$name}"), 'not_proven', "$name: nothing proves it");
	await_member($server, 'dinner', $name, 'unpaid');
}
is($server->sql(q{SELECT count(*) FROM seats.reviews}), '0', 'no person is asked');
is($server->sql('SELECT count(*) FROM seats_internal.payment_transaction'), '0', 'and nothing is told: another start may follow');
is(scalar @{ $stripe->requests(method => 'POST', path => '/v1/payment_intents', key => '*-*-*-*-*-*') }, 3, 'none was sent again');

my %second = map { $_ => start_payment($server, 'dinner', $_) } qw(lost late);
await_payment($server, $second{$_}, 'payable') foreach qw(lost late);
is(statuses_of('lost'), 'requires_payment_method', 'the other attempt has an intent');
$server->wait_for_sql(q{SELECT count(*) FROM seats.outbox}, '0');

# It comes all the same. (Its secret was in nobody's hands.)
$stripe->release(path => '/v1/payment_intents');
wait_until(sub { statuses_of('late') =~ / / }, 'the late one to be executed');
$server->sql(q{SELECT seats.reconcile_payments('stripe', 'once a day')});
wait_until(sub { statuses_of('late') =~ /canceled/ }, 'the late one to be cancelled');
is(join(' ', sort split / /, statuses_of('late')), 'canceled requires_payment_method', 'the second one goes, and the first stays');
my ($live) = live_intents_of($stripe, $hash{late});
is($live->{metadata}{pg_seats_attempt}, '2', '… which is the one that he has');

foreach my $name (qw(executed lost late))
{
	my $payment = $second{$name} // $payment{$name};
	at_stripe($stripe, (live_intents_of($stripe, $hash{$name}))[0]{id}, 'succeed');
	read_payment($server, $payment);
	await_payment($server, $payment, 'succeeded');
	await_member($server, 'dinner', $name, 'paid');
}
assert_judged($server, $stripe, 'in the end');
$server->assert_log_clean;
$server->stop;
done_testing();
