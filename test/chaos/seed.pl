# One seed: a server, a simulator, a storm over both, and what has become of the promises. README.md tells more.
#
#   seed.pl SEED [NAME]     CHAOS_SECONDS: how long the storm lasts (20). NAME: of its files, seedSEED
use strict;
use warnings;
use FindBin;

# PostgreSQL's test modules name files and directories by the program, and several of it run at once.
BEGIN { $0 = ($ARGV[1] // 'seed' . ($ARGV[0] // '')) . '.pl' }

use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../scenarios/lib";
use PgSeats::Scenario;
use PgSeats::Chaos::Application;
use PgSeats::Chaos::Calm;
use PgSeats::Chaos::Copy;
use PgSeats::Chaos::Dice;
use PgSeats::Chaos::Evidence;
use PgSeats::Chaos::Failover;
use PgSeats::Chaos::House;
use PgSeats::Chaos::Mishaps;
use PgSeats::Chaos::Payments;
use PgSeats::Chaos::Promises;
use PgSeats::Chaos::Storm;
use PgSeats::Crowds;
use PgSeats::HandlerModel;
use PgSeats::PaymentModel;
use PgSeats::Seats;
use PgSeats::Webhooks;

my ($seed, $name) = ($ARGV[0] // die("seed.pl needs a seed\n"), $0 =~ s/\.pl$//r);
my $seconds = $ENV{CHAOS_SECONDS} // 20;
my $dice = PgSeats::Chaos::Dice->new($seed, 'world');

# ---- the world of this seed

my %at_first = (team => 10, owner => 3, later => 4);
my @teams = map {"t$_"} 1 .. 5;
# Every third house (5, 8, …) has bills only, and fails over: what is lost of seats is no topic of this test.
my $fails_over = $seed % 3 == 2;
my $retry_delay = $dice->one_of(qw(20ms 200ms 1s));
my $base_lifetime = $dice->one_of(qw(0 300ms 60s));
my ($reconcile, $reconcile_interval) = ($dice->one_of(qw(off report repair)), $dice->one_of(qw(2s 7d)));
# Webhooks come late, twice, disordered, or not at all; sometimes as they should.
my %webhooks = (
	delay_ms => $dice->one_of(0, 0, 100), jitter_ms => $dice->one_of(0, 200), duplicate => $dice->one_of(0, 0.3),
	lose => $dice->one_of(0, 0, 0.3, 1),
	events => [qw(customer.subscription.* invoice.* payment_intent.* charge.* refund.*)], retry_ms => [ 100, 300, 500, 1000, 1000, 1000, 1000 ]);

my $stripe = PgSeats::Simulator->new(name => 'stripe', arguments => [ '--seed', $seed ])->start;
# Stripe's limits for one subscription have scenarios of their own.
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
my $server = new_server('main', simulator => $stripe, allows_streaming => $fails_over, database => 'house', configuration => <<"END");
pg_seats.retry_delay = '$retry_delay'
pg_seats.retry_delay_limit = '1s'
pg_seats.base_lifetime = '$base_lifetime'
pg_seats.final_answer_gap = '1s'
pg_seats.verify_after_silence = '3s'
pg_seats.request_timeout = '2s'
pg_seats.event_check_after = '1s'
pg_seats.safety_poll = '500ms'
pg_seats.history_days = 8
pg_seats.reconcile = $reconcile
pg_seats.reconcile_interval = '$reconcile_interval'
pg_seats.webhook_silence = '5s'
max_prepared_transactions = 20
max_connections = 60
END
$server->define_destination('stripe', requests_per_second => 500);
my $decrease = $dice->one_of(qw(none none create_prorations));
my %rules = (
	team => { decrease_proration_behavior => $decrease },
	owner => { decrease_proration_behavior => $decrease, delete_at_zero => 'false' },
	later => { decrease_proration_behavior => $decrease, delete_at_zero => 'false',
		increase_payment_behavior => 'pending_if_incomplete' });
define_seat_type($server, $_, %{ $rules{$_} }) foreach sort keys %rules;
my %definition = map {
	my $type = $_;
	my $list = join '', map {", $_ => '$rules{$type}{$_}'"} sort keys %{ $rules{$type} };
	$type => "SELECT seats.define_seat_type('$type', '{price_$type}'$list)"
} keys %rules;
new_teams($server, $stripe, \@teams, seats => \%at_first);
$server->safe_psql($server->database, PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/look.sql"));
set_up_model($server, 'shop');
# (Who may read the whole journal reads all of it.)
$server->sql('GRANT USAGE ON SCHEMA chaos TO shop; GRANT ALL ON ALL TABLES IN SCHEMA chaos TO shop; GRANT SELECT ON seats.journal TO shop');
set_trouble($server, $dice->one_of(0, 0.02, 0.1));
set_up_payments($server, 'till');
set_payment_trouble($server, $dice->one_of(0, 0.05));
my $relay = start_relay($server);
define_endpoint($server, 'main');

my $standby = $fails_over ? PgSeats::Chaos::Failover::standby_of($server, $dice) : undef;
my $storm = PgSeats::Chaos::Storm->new(
	seed => $seed, server => $server, stripe => $stripe, relay => $relay, webhooks => \%webhooks, teams => \@teams,
	at_first => \%at_first, definition => \%definition, has_credits => $decrease ne 'none',
	fails_over => $fails_over, standby => $standby, seconds => $seconds, patience => $ENV{CHAOS_PATIENCE} // 60,
	story => $PostgreSQL::Test::Utils::log_path . "/${name}_story.log");
$storm->set_webhooks;
$storm->tell("seed $seed: $seconds s, a retry after $retry_delay, a base is good for $base_lifetime, decreases: $decrease, sweep: $reconcile every "
	. "$reconcile_interval, webhooks: "
	. join ' ', map { "$_ " . (ref $webhooks{$_} ? 'some' : $webhooks{$_}) } sort keys %webhooks);

# ---- the storm, the calm, and the promises

if ($fails_over)
{
	PgSeats::Chaos::Payments::start($storm, 8);
	PgSeats::Chaos::Failover::start($storm);
}
else
{
	PgSeats::Chaos::Application::start($storm, 8);
	PgSeats::Chaos::Payments::start($storm, 3);
}
PgSeats::Chaos::Mishaps::start($storm, $fails_over ? 1.2 : 3);
PgSeats::Chaos::House::start($storm, 0.8);
$storm->run_until($seconds);
PgSeats::Chaos::Failover::at_the_latest($storm) if $fails_over;
PgSeats::Chaos::Copy::make($storm);
PgSeats::Chaos::Calm::come($storm);

my $evidence = PgSeats::Chaos::Evidence->gather($storm);
PgSeats::Chaos::Promises::check($storm, $evidence);
$evidence->save($storm->{story} =~ s/story/evidence/r);
my $executed = grep { $_->{outcome} eq 'done' } @{ $evidence->{ledger} };
my %ends = ();
$ends{ $_->{result} }++ foreach $evidence->changes;
diag sprintf "seed %d: %d changes (%s), Stripe has executed %d calls, %d secrets in browsers%s, %d looks", $seed, scalar $evidence->changes,
  join(', ', map {"$ends{$_} $_"} sort keys %ends), $executed, scalar @{ $storm->{paying}{intents} },
  $fails_over ? ' (a failover has come between ' . @{ $storm->{forgotten} // [] } . ')' : '', $storm->{looks};

foreach my $promise (PgSeats::Chaos::Promises::all())
{
	my ($name, $in_words) = @$promise;
	my @findings = $storm->findings($name);
	ok(!@findings, "$name $in_words") or tell_findings(@findings);
}

# What was found, and what happened around it to the team that the first finding is about: where the change
# was made that it names, or else where it was seen.
sub tell_findings
{
	my (@findings) = @_;
	diag "  $_" foreach @findings > 6 ? (@findings[ 0 .. 5 ], '… and ' . (@findings - 6) . ' more') : @findings;
	my ($team) = $findings[0] =~ /\b(t\d)\b/ or return;
	my ($change) = $findings[0] =~ /change (\d+)/;
	my ($tag) = map { $_->{tag} } grep { $change && $_->{change} && $_->{change} == $change } @{ $evidence->{told} };
	my $where = $tag ? qr/\b\Q$tag\E\b/ : qr/!! .*\Q$findings[0]\E/;
	diag "  what happened around it (the whole story: ${name}_story.log):";
	diag "    $_" foreach $storm->lines_around(
		$where, qr/\b$team\b|worker|server|Stripe does|Stripe answers|the ring|webhooks/, $tag ? (5, 9) : (12, 0));
	return;
}

$storm->server->stop;
done_testing();
