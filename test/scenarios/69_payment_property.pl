# Nobody pays twice, nobody's money is left unrecorded, whatever happens meanwhile. Groups share bills at random: several
# sessions start the same members' payments at once, cancel them, change amounts, settle members by hand, refund in part
# or all; payers confirm, are declined, sent through 3-D Secure, or wait for their bank;
# somebody refunds in the Dashboard, banks dispute; answers are lost, events are lost, come twice or disordered. In each
# round the worker stands at one of its debug points and is killed there, or a backend is, or the server stops at once.
# No member can ever pay by two intents. In the end everything is drained, days pass, and what Stripe has is compared
# with the tables, to the cent, and with what handlers were told.
#
# SEED=n repeats a run; ROUNDS=n makes it longer or shorter.
use strict;
use warnings;
use List::Util qw(shuffle);
use PgSeats::Scenario;
use PgSeats::Clients;
use PgSeats::Faults;
use PgSeats::PaymentDeeds;
use PgSeats::PaymentModel;
use PgSeats::Seats;
use PgSeats::Webhooks;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} // int(rand(1_000_000));
srand $seed;
diag "the seed is $seed";

my @points = shuffle(qw(before_freeze_commit after_freeze before_send before_answered before_decision before_judgement
	after_judgement after_effects after_answer before_settle_commit after_settle));
my $rounds = $ENV{ROUNDS} // 2 * @points;

my $stripe = new_simulator(arguments => [ '--seed', $seed ]);
my $server = new_server('main', simulator => $stripe, configuration => <<'END_OF_CONFIGURATION');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.final_answer_gap = '200ms'
pg_seats.verify_after_silence = '2s'
pg_seats.request_timeout = '1s'
pg_seats.safety_poll = '300ms'
pg_seats.event_check_after = '1s'
END_OF_CONFIGURATION
$server->define_destination('stripe', requests_per_second => 500);
set_up_payments($server, 'shop');
my $relay = start_relay($server);
define_endpoint($server, 'main');

my @story = ();
my %met = ();    # what has happened, how often

sub recount { my ($text) = @_; push @story, sprintf('%.3f %s', time - $^T, $text); note $text; return }
sub one_of { return $_[ rand @_ ] }
sub happens { return rand() < $_[0] }

# As they should, but for one in three that is lost, or comes twice, late, in another order.
sub set_events
{
	my (%trouble) = @_;
	send_webhooks($stripe, $relay, 'main', events => ['*'], retry_ms => [ 100, 300, 1000 ], %trouble);
	return;
}

sub set_faults
{
	my @troubles = (
		[ 'execute_and_drop', 0.12 ], [ 'close_before', 0.06 ], [ 'error_500', 0.06 ], [ 'execute_and_500', 0.04 ],
		[ 'delay', 0.06, ms => 300 ], [ 'rate_limit_429', 0.03 ], [ 'conflict_409', 0.03 ], [ 'cut_body', 0.04 ],
		[ 'hang_after', 0.02, seconds => 2 ]);
	foreach my $path (qw(/v1/payment_intents* /v1/refunds* /v1/disputes*))
	{
		$stripe->fault({ match => { path => $path, key => '*-*-*-*-*-*' }, fault => $_->[0], times => -1, probability => $_->[1], @$_[ 2 .. $#$_ ] })
		  foreach @troubles;
		$stripe->fault({ match => { method => 'GET', path => $path }, fault => $_, times => -1, probability => 0.05 })
		  foreach qw(error_500 close_before html_502);
	}
	return;
}

# ---- what applications do

my $deeds = PgSeats::PaymentDeeds->new(role => 'shop', chance => sub { rand });

# (Two members in one transaction would be two lanes, which applications take in an order of their own.)
sub transaction
{
	my ($name, @statements) = $deeds->deed;
	my $text = join '', map { $_ =~ /gset$|^\\/ ? "$_\n" : "$_;\n" } @statements;
	return "SET ROLE shop;\n$text" if happens(0.5);
	return "SET ROLE shop;\nBEGIN;\n$text" . (happens(0.3) ? "SELECT pg_sleep(0.03);\n" : '') . (happens(0.85) ? "COMMIT;\n" : "ROLLBACK;\n");
}

# What an application may be told: that there is nothing like that, or that it comes too late; that the server goes.
my $clients = PgSeats::Clients->new($server,
	expected => [qw(PS803 PS804 PS805 PS806 PS807 PS808 PS809 PS810 PS813 25P02 57P01 57P02 57P03 08006)]);

# ---- what happens at Stripe: payers, banks, and people in the Dashboard

# To the newest intents mostly. (What cannot happen in an intent's state is refused.)
sub let_something_happen
{
	my @intents = @{ $stripe->control('GET', '/payment_intents')->{payment_intents} };
	my $intent = $intents[ happens(0.7) && @intents > 6 ? -1 - int rand 6 : rand @intents ] // return;
	my ($what, %details) = $deeds->happening;
	eval { $stripe->control('POST', "/payment_intents/$intent->{id}", { action => $what, client_secret => $intent->{client_secret}, %details }); 1 } or return;
	$met{"at Stripe: $what"}++;
	recount("… $what of $intent->{id}");
	return;
}

# ---- what happens to processes

sub kill_process
{
	my ($who, $pid) = @_;
	return unless kill_noticed($server, $pid);
	$met{"kill -9 of $who"}++;
	recount("… $who $pid is killed");
	return;
}

sub a_client { return (eval { split /\n/, $server->sql(q{SELECT a.pid FROM pg_stat_activity AS a WHERE a.application_name = 'a client' AND a.state <> 'idle'}) })[0] }

my %mishaps = (
	'who stands there is killed' => sub { kill_process('who stands there', $_[0]) },
	'an application is killed' => sub { kill_process('an application', a_client()) },
	'the worker is ended' => sub { kill 'TERM', $server->worker_pid || return; $met{'the worker ended'}++ },
	'nobody is' => sub { },
	'the server stops at once' => sub {
		$server->stop('immediate');
		$server->start;
		$met{'immediate stop'}++;
	});

sub standing_at
{
	my ($point) = @_;
	return eval { split /\n/, $server->sql("SELECT s.pid FROM seats.worker_status AS s WHERE s.debug_point = '$point'") };
}

sub be_back
{
	wait_until(sub { $server->sql('SELECT 1') }, 'the server to be there', timeout => 60);
	$server->release_debug_point;
	$server->wait_for_worker(timeout => 60);
	return;
}

# ---- operators

sub decide
{
	foreach my $payment (split /\n/, $server->sql('SELECT p.id FROM seats_internal.payment AS p WHERE p.review_since IS NOT NULL'))
	{
		my $decision = one_of(qw(keep refund));
		my ($status, undef, $error) = $server->try_sql("SELECT seats.resolve_payment($payment, '$decision', 'we have talked about it')");
		$met{"a payment in review: $decision" . ($status ? ', in vain' : '')}++;
		recount("… payment $payment was in review, decided: $decision" . ($status ? ", $error" : ''));
	}
	foreach my $handler (split /\n/, $server->sql('SELECT r.call_id FROM seats_internal.handler AS r WHERE r.review_since IS NOT NULL'))
	{
		$server->sql("SELECT seats.resolve_review($handler, 'retry', 'it works again')");
		$met{'a handler in review'}++;
	}
	decide_calls();
	return;
}

# By what Stripe has really done.
sub decide_calls
{
	foreach my $line (split /\n/, $server->sql(q{SELECT o.id, o.uuid FROM seats_internal.outbox AS o WHERE o.state = 'review'}))
	{
		my ($call, $uuid) = split /\|/, $line;
		my $decision = (grep { $_->{outcome} eq 'done' } @{ $stripe->ledger(key => "*-$uuid-*") }) ? 'executed' : 'not_executed';
		my ($status, undef, $error) = $server->try_sql("SELECT seats.resolve_review($call, '$decision', 'seen in the Dashboard')");
		$met{"a call in review: $decision"}++ unless $status;
		recount("… call $call was in review, decided: $decision" . ($status ? ", $error" : ''));
	}
	return;
}

# ---- rounds

# As if nobody had gone on with some payments for an hour. (Whoever has one just now is going on.)
sub let_time_pass
{
	$server->sql(q{UPDATE seats_internal.payment AS p SET touched_at = p.touched_at - interval '1 hour'
		WHERE p.id IN (SELECT o.id FROM seats_internal.payment AS o WHERE o.state IN ('creating', 'payable') FOR UPDATE SKIP LOCKED)});
	return;
}

sub assert_nobody_can_pay_twice
{
	my ($when) = @_;
	my @twice = live_twice($stripe) or return 1;
	is(join("\n", @twice), '', "nobody can pay twice, $when");
	return 0;
}

set_events(jitter_ms => 200, duplicate => 0.3, lose => 0.3);
set_faults();
set_payment_trouble($server, 0.05);
foreach my $round (1 .. $rounds)
{
	my $point = $points[ ($round - 1) % @points ];
	my $mishap = one_of((('who stands there is killed') x 3), sort keys %mishaps);
	recount("round $round: at $point $mishap");
	my @new = map { $deeds->new_bill } 1 .. one_of(1, 1, 2);
	# (A bill that only a server's end has kept from being made is made by whoever asks for it again.)
	$clients->start(map { join ";\n", 'SET ROLE shop', $_, '' } @new);
	wait_until(sub { $clients->are_done }, 'the bills to be made', timeout => 60);
	debug_point_from_now_on($server, $point);
	$clients->start(map { join '', map { transaction() } 1 .. 4 } 1 .. 4);
	my $until = time + 1.5;
	my @standing = ();
	wait_until(
		sub {
			let_something_happen();
			@standing = standing_at($point);
			return @standing || time > $until && $clients->are_done;
		}, "somebody to stand at $point", timeout => 20);
	$met{"stood at $point"}++ if @standing;
	$server->sql('ALTER SYSTEM RESET pg_seats.debug_point');
	$mishaps{$mishap}->(@standing);
	kill 'HUP', $server->{_pid};
	be_back();
	# Then for a while nobody is in anybody's way.
	$clients->start(map { join '', map { transaction() } 1 .. 6 } 1 .. 4);
	$until = time + 1;
	wait_until(sub { let_something_happen(); time > $until && $clients->are_done }, 'the applications to be done', timeout => 60);
	decide();
	let_time_pass() if $round % 5 == 0;
	last unless assert_nobody_can_pay_twice("round $round");
}

# ---- the end: nothing goes wrong any more, days pass, and everything is finished

my $open = '';
sub drain
{
	my ($what) = @_;
	my $is_done = eval {
		wait_until(
			sub {
				decide();
				# (What would be tried again in minutes is tried now.)
				$server->try_sql(q{SELECT seats.retry(o.id, 'the storm is over') FROM seats_internal.outbox AS o WHERE o.due_at > clock_timestamp() + interval '2 seconds'});
				$open = $server->sql(q{SELECT concat_ws(' ', (SELECT count(*) FROM seats_internal.outbox), (SELECT count(*) FROM seats_internal.handler),
					(SELECT count(*) FROM seats_internal.payment AS p WHERE p.state = 'creating'))});
				return $open eq '0 0 0';
			}, $what, timeout => 90, pause => 0.2);
	};
	is($open, '0 0 0', "$what: calls, handlers, and payments without an intent that are left") or diag $@;
	return;
}

$stripe->clear_faults;
set_events();
set_payment_trouble($server, 0);
drain('the storm is over');
# Banks and refunds take days.
$stripe->clock_advance(20 * 86_400);
$server->sql(q{SELECT seats.list_events('stripe', 'the scenario wants it')});
webhooks_are_quiet($stripe);
drain('days have passed, and what was missed was found');

is(join("\n", judge_payments($server, $stripe)), '', 'what Stripe has is what the tables have, and what handlers were told');
assert_nobody_can_pay_twice('in the end');
is(join("\n", $clients->unexpected), '', 'applications were told only what they must expect');
assert_nothing_twice($stripe);
unlike($server->log_text, qr/pi_\w+_secret_\w/, 'no client secret is in the log');
my %told = $clients->told;
$met{"an application was told $_"} = $told{$_} foreach keys %told;
diag 'met: ' . join ', ', map {"$_: $met{$_}"} sort keys %met;
diag 'transactions: ' . $server->sql(q{SELECT string_agg(concat_ws(' ', q.kind, q.many), ', ' ORDER BY q.kind)
	FROM (SELECT t.kind, count(*) AS many FROM seats_internal.payment_transaction AS t GROUP BY t.kind) AS q});
diag "seed $seed; the story:\n  " . join "\n  ", @story unless Test::More->builder->is_passing;
$server->assert_log_clean;
$server->stop;
done_testing();
