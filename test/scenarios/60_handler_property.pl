# Handlers run once, with the right outcome, in the lane's order, whatever happens meanwhile. Applications make
# calls and changes of seats at random, with and without lanes, merged and split, refused, cancelled, undone, some of
# them in vain; some handlers fail, some make further calls. In each round a process stands at one of the debug points
# and is killed there, or another one is, or a backend, or the server stops at once; functions are gone for a while;
# operators decide what is in review either way. In the end the handlers' own table has exactly one row for each call
# whose outcome has a handler, nothing waits, and Stripe has executed nothing twice.
#
# SEED=n repeats a run; ROUNDS=n makes it longer or shorter (each debug point is met three times, in about a minute).
use strict;
use warnings;
use List::Util qw(shuffle sum0);
use PgSeats::Scenario;
use PgSeats::Clients;
use PgSeats::Crowds;
use PgSeats::Faults;
use PgSeats::HandlerModel;
use PgSeats::Seats;
use Time::HiRes qw(time sleep);

my $seed = $ENV{SEED} // int(rand(1_000_000));
srand $seed;
diag "the seed is $seed";

my @worker_points = qw(before_freeze_commit after_freeze before_send before_answered before_decision before_judgement
  after_judgement after_effects after_answer before_settle_commit after_settle);
my @handler_points = map {"handler_$_"} qw(before_idle before_take before_function before_commit after_commit);
my @points = shuffle(@worker_points, @handler_points);
my $rounds = $ENV{ROUNDS} // 3 * @points;
my @roles = qw(shop club);
my @teams = qw(t1 t2 t3);

my $stripe = new_simulator(arguments => [ '--seed', $seed ]);
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false() });
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.final_answer_gap = '200ms'
pg_seats.verify_after_silence = '2s'
pg_seats.request_timeout = '1s'
pg_seats.safety_poll = '300ms'
END
$server->define_destination('stripe', requests_per_second => 500);
define_seat_type($server, 'team');
define_seat_type($server, 'owner', delete_at_zero => 'false');
define_seat_type($server, 'later', delete_at_zero => 'false', increase_payment_behavior => 'pending_if_incomplete');
new_teams($server, $stripe, \@teams, seats => { team => 10, owner => 3, later => 4 });
# Two at once can be paid for by one team, more cannot; what waits for its payment waits in another.
$stripe->set_card(customer_of('t2'), 'insufficient_over:2500');
$stripe->set_card(customer_of('t3'), 'declined');
# Who may take back a change of any team.
$server->sql("SELECT seats.add_member('$_', 'the owner', role => 'owner')") foreach @teams;
set_up_model($server, @roles);
set_trouble($server, 0.04);

my @story = ();
my %met = ();    # what has happened, how often

sub recount { my ($text) = @_; push @story, $text; note $text; return }
sub one_of { return $_[ rand @_ ] }
sub happens { return rand() < $_[0] }

# ---- what applications do: the SQL of one transaction each

my $names = 0;

# What becomes of a call is in its name.
my @fates = ((qw(ok) x 10), (qw(declined) x 3), (qw(lost) x 2), (qw(shaky) x 2), qw(doomed slow));
my %faults = (
	declined => [ 'declined_402', times => -1 ],
	lost => [ 'execute_and_drop', times => -1, probability => 0.6 ],
	shaky => [ 'error_500', times => -1, probability => 0.6 ],
	doomed => [ 'error_500', times => -1, store => JSON::PP::true() ],
	slow => [ 'delay', times => -1, ms => 200 ]);

sub set_faults
{
	foreach my $fate (sort keys %faults)
	{
		my ($fault, %options) = @{ $faults{$fate} };
		$stripe->fault({ match => { method => 'POST', path => '/v1/customers', body => "*is-$fate-*" }, fault => $fault, %options });
	}
	return;
}

# Functions for both ends, one, or none: (columns of proof.asked, arguments).
sub handlers_of
{
	my ($role, $tenant, %context) = @_;
	my ($done, $refused) = @{ one_of(([1, 1]) x 6, [ 1, 0 ], [ 0, 1 ], [ 0, 0 ]) };
	my ($on_done, $on_refused) = ($done ? "'$role.paid'" : 'NULL', $refused ? "'$role.undone'" : 'NULL');
	return ('NULL, NULL, NULL', '') unless $done || $refused;
	my $arguments = ", on_done => $on_done, on_refused => $on_refused";
	$arguments .= ", context => '{\"next\": \"$context{next}\"}'" if $context{next};
	my $keeps = happens(0.5);
	$arguments .= ", keep_settings => '{app.tenant}'" if $keeps;
	return ("$on_done, $on_refused, " . ($keeps ? "'$tenant'" : 'NULL'), $arguments);
}

sub a_name { return 'is-' . one_of(@fates) . '-' . ++$names }

sub call
{
	my ($role, $tenant) = @_;
	my ($columns, $arguments) = handlers_of($role, $tenant, next => happens(0.15) ? a_name() : undef);
	my $lane = happens(0.6) ? ", lane => 'lane " . int(rand 3) . q(') : '';
	return "INSERT INTO proof.asked (on_done, on_refused, tenant, kind, call) SELECT $columns, 'call', "
	  . "seats.enqueue_call('stripe', 'POST', '/v1/customers', '{\"name\": \"@{[ a_name() ]}\"}'$lane$arguments)";
}

sub change
{
	my ($role, $tenant, $team) = @_;
	my ($columns, $arguments) = handlers_of($role, $tenant);
	my $into = 'INSERT INTO proof.asked (on_done, on_refused, tenant, kind, call, seats) SELECT ' . "$columns, 'change', c.change, ";
	my $actor = q(') . owner_of($team) . q(');
	if (happens(0.15))
	{
		my $verb = one_of(qw(add add remove));
		my $lines = sprintf '{"team": {"%s": %d}, "owner": {"%s": 1}}', $verb, 1 + int rand 3, $verb;
		return $into
		  . q{(SELECT jsonb_object_agg(s.key, jsonb_build_array(s.value -> 'previous_quantity', s.value -> 'new_quantity'))}
		  . ' FROM jsonb_each(c.seats) AS s)'
		  . " FROM seats.change_seats('$team', '$lines', $actor$arguments) AS c";
	}
	my $verb = one_of(qw(add add add remove remove set));
	my $type = one_of(qw(team team owner), $team eq 't3' ? 'later' : 'team');
	my $quantity = $verb eq 'set' ? int rand 16 : 1 + int rand 4;
	return $into . "jsonb_build_object('$type', jsonb_build_array(c.previous_quantity, c.new_quantity))"
	  . " FROM seats.${verb}_seats('$team', '$type', $quantity, $actor$arguments) AS c";
}

# Somebody who is invited, for whom a seat is bought if there is none.
sub invite
{
	my ($role, $tenant, $team) = @_;
	my ($columns, $arguments) = handlers_of($role, $tenant);
	my $address = 'user' . ++$names . '@example.com';
	return "INSERT INTO proof.asked (on_done, on_refused, tenant, kind, call) SELECT $columns, 'change', i.change"
	  . " FROM seats.invite('$team', '$address', 'owner', actor => '@{[ owner_of($team) ]}', buy => true$arguments) AS i WHERE i.change IS NOT NULL";
}

# One of the newest, sometimes by a caller who undoes it himself.
sub cancel
{
	my ($role, $tenant, $team) = @_;
	my $forgets = happens(0.4);
	# (Where the transaction has failed before, there is nothing to set it to.)
	return ("\\set one 0\nSELECT coalesce(max(n.call), 0) AS one"
		  . " FROM (SELECT a.call FROM proof.asked AS a WHERE a.kind = 'change' ORDER BY a.call DESC"
		  . ' OFFSET ' . int(rand 4) . " LIMIT 1) AS n \\gset\n" . 'SELECT seats.cancel_change(:one, \'the owner\'' . ($forgets ? ', run_handler => false)' : ')'),
		$forgets ? 'UPDATE proof.asked SET forgets = true WHERE call = :one' : ());
}

# A team's lane before any other: applications keep an order, or deadlocks are their own doing.
sub transaction
{
	my $role = one_of(@roles);
	my ($team, $tenant) = (one_of(@teams), 'tenant ' . int rand 100);
	my @deeds = sort map { one_of(([ 2, \&call ]) x 5, ([ 1, \&change ]) x 5, [ 1, \&invite ], [ 1, \&cancel ]) } 1 .. one_of(1, 1, 1, 2, 3);
	@deeds = sort { $a->[0] <=> $b->[0] } @deeds;
	my @calls = grep { $_->[0] == 2 } @deeds;
	# (Two lanes of one transaction could meet those of another one in the other order.)
	@deeds = grep { $_->[0] == 1 || $_ == $calls[0] } @deeds;
	my @statements = map { $_->[1]->($role, $tenant, $team) } @deeds;
	my $pause = happens(0.3) ? "SELECT pg_sleep(0.03);\n" : '';
	return join "\n", "SET ROLE $role;", 'BEGIN;', "SET LOCAL app.tenant = '$tenant';", (map {"$_;"} @statements),
	  $pause . (happens(0.9) ? 'COMMIT;' : 'ROLLBACK;'), '';
}

# ---- applications, several at once

# What an application may be told: what does not fit its quantities, that it comes too late, that the server goes.
my $clients = PgSeats::Clients->new($server, expected => [qw(PS120 PS121 PS122 PS123 PS401 PS402 PS503 PS505 PS506 PS507 PS508 PS509
	PS510 PS512 PS514 PS515 PS516 PS517 PS518 PS519 PS523 PS526 PS527 PS529 PS531 PS532 PS533 PS534 PS702 25P02 57P01 57P02 57P03 08006)]);

sub start_clients
{
	my ($count, $transactions) = @_;
	$clients->start(map { join '', map { transaction() } 1 .. $transactions } 1 .. $count);
	return;
}

# ---- what happens to processes

sub pids_of
{
	my ($condition) = @_;
	return eval { split /\n/, $server->sql("SELECT a.pid FROM pg_stat_activity AS a WHERE $condition") };
}

sub handler_pids { return pids_of(q{a.backend_type = 'pg_seats handler'}) }

sub kill_process
{
	my ($who, $pid) = @_;
	return unless kill_noticed($server, $pid);
	$met{"kill -9 of $who"}++;
	recount("… $who $pid is killed");
	return;
}

my %mishaps = (
	'who stands there is killed' => sub { my ($who) = @_; kill_process('who stands there', $who) },
	'the worker is killed' => sub { kill_process('the worker', $server->worker_pid) },
	'a handler process is killed' => sub { kill_process('a handler process', one_of(handler_pids())) },
	'an application is killed' => sub { kill_process('an application', one_of(pids_of(q{a.application_name = 'a client' AND a.state <> 'idle'}))) },
	'the worker is ended' => sub { kill 'TERM', $server->worker_pid || return; $met{'the worker ended'}++ },
	'handler processes are ended' => sub { $met{'a handler process ended'} += kill 'TERM', handler_pids() },
	'the server stops at once' => sub {
		$server->stop('immediate');
		$server->start;
		$met{'immediate stop'}++;
	});

# A function is gone for a while: what comes to run it meanwhile is a person's matter.
my $gone;

sub let_function_go
{
	$gone = one_of(@roles) . '.' . one_of(qw(paid undone));
	$server->sql("ALTER FUNCTION $gone RENAME TO away");
	recount("… $gone is gone");
	return;
}

sub bring_function_back
{
	return unless $gone;
	my ($schema, $name) = split /\./, $gone;
	$server->sql("ALTER FUNCTION $schema.away RENAME TO $name");
	$gone = undef;
	return;
}

# ---- operators

sub decide
{
	age_calls($server);
	decide_calls();
	decide_handlers();
	return;
}

# By what Stripe has really done; of what it has not done, either way.
my %decided = ();

sub decide_calls
{
	foreach my $line (split /\n/, $server->sql(q{SELECT o.id, o.uuid, o.state, o.payment ->> 'invoice'
		FROM seats_internal.outbox AS o WHERE o.state IN ('review', 'awaiting')}))
	{
		my ($call, $uuid, $state, $invoice) = split /\|/, $line;
		if ($state eq 'awaiting')
		{
			end_waiting($call, $invoice);
			next;
		}
		my %outcomes = map { $_->{outcome} => 1 } @{ $stripe->ledger(key => "*-$uuid-*") };
		my $decision =
			$outcomes{done} ? 'executed'
		  : $outcomes{pending} ? 'same_key'
		  : $decided{$call}++ ? 'refuse'
		  :                     one_of(qw(refuse not_executed));
		# (It may have been proven meanwhile.)
		my ($status, undef, $error) = $server->try_sql("SELECT seats.resolve_review($call, '$decision', 'seen in the Dashboard')");
		$met{"decided $decision"}++ unless $status;
		recount("… call $call was in review, decided: $decision" . ($status ? ", $error" : ''));
	}
	return;
}

# What waits for its payment is paid or taken back, with its handler or without. (A call that carries several changes
# cannot be taken back.)
sub end_waiting
{
	my ($call, $invoice) = @_;
	my $is_new = !$decided{$invoice};
	my $how = $decided{$invoice} //= one_of(qw(paid cancelled forgotten));
	my ($argument, $note) = $how eq 'cancelled' ? ('true', '') : ('false', "UPDATE proof.asked SET forgets = true WHERE call = $call;");
	my ($failed) = $how eq 'paid' ? 0 : $server->try_sql("BEGIN; SELECT seats.cancel_change($call, run_handler => $argument); $note COMMIT");
	if ($failed || $how eq 'paid')
	{
		$decided{$invoice} = 'paid';
		$stripe->set_card(customer_of('t3'), 'ok');
		eval { $stripe->pay_invoice($invoice) };
		$stripe->set_card(customer_of('t3'), 'declined');
	}
	$server->try_sql("SELECT seats.retry($call, 'look now')");
	recount("… what waits for its payment, $call: $decided{$invoice}") if $is_new;
	$met{"waited for its payment: $decided{$invoice}"}++ if $is_new;
	return;
}

sub decide_handlers
{
	bring_function_back();
	foreach my $line (split /\n/, $server->sql(q{SELECT r.call_id, r.review_reason FROM seats_internal.handler AS r WHERE r.review_since IS NOT NULL}))
	{
		my ($call, $reason) = split /\|/, $line;
		my $decision = one_of(qw(retry retry skip run));
		my $function = $decision eq 'run' ? q{, function => 'proof.by_hand'} : '';
		my $note = $decision eq 'retry' ? '' : "UPDATE proof.asked SET decided = '$decision' WHERE call = $call; ";
		$server->sql("BEGIN; SELECT seats.resolve_review($call, '$decision', 'we have talked about it'$function); ${note}COMMIT");
		$met{"handler in review ($reason): $decision"}++;
		recount("… the handler of $call was in review ($reason), decided: $decision");
	}
	return;
}

# ---- rounds

# Processes that stand there.
sub standing_at
{
	my ($point) = @_;
	return eval {
		split /\n/, $server->sql($point =~ /^handler/
			? "SELECT s.pid FROM seats_internal.handler_state() AS s WHERE s.debug_point = '$point'"
			: "SELECT s.pid FROM seats.worker_status AS s WHERE s.debug_point = '$point'");
	};
}

sub be_back
{
	wait_until(sub { $server->sql('SELECT 1') }, 'the server to be there', timeout => 60);
	$server->release_debug_point;
	$server->wait_for_worker(timeout => 60);
	return;
}

set_faults();
# On a machine with much else to do nobody may come by a point in all of its rounds: then it gets more.
foreach my $round (1 .. 2 * $rounds)
{
	my ($missed) = grep { !$met{"stood at $_"} } @points;
	my $point = $round <= $rounds ? $points[ ($round - 1) % @points ] : $missed // last;
	my $mishap = one_of((('who stands there is killed') x 5), sort keys %mishaps);
	recount("round $round: at $point $mishap");
	debug_point_from_now_on($server, $point);
	let_function_go() if happens(0.3);
	start_clients(3, 6);
	my $until = time + 1.5;
	my @standing = ();
	wait_until(sub { @standing = standing_at($point); @standing || time > $until && $clients->are_done }, "somebody to stand at $point", timeout => 20);
	$met{"stood at $point"}++ if @standing;
	# Whoever stands there goes on standing; what is started after it does not.
	$server->sql('ALTER SYSTEM RESET pg_seats.debug_point');
	$mishaps{$mishap}->(@standing);
	kill 'HUP', $server->{_pid};
	be_back();
	wait_until(sub { $clients->are_done }, 'the applications to be done', timeout => 60);
	decide();
}

# ---- the end: nothing goes wrong any more, and everything is finished

set_trouble($server, 0);
$stripe->clear_faults;
my $left = '';
my $is_done = eval {
	wait_until(
		sub {
			decide();
			$left = $server->sql(q{SELECT (SELECT count(*) FROM seats_internal.outbox), (SELECT count(*) FROM seats_internal.handler)});
			return $left eq '0|0';
		},
		'all calls to have ended, and all handlers to have run', timeout => 90, pause => 0.2);
};
is($left, '0|0', 'nothing waits: rows of calls, rows of handlers') or diag $@;
is(join("\n", judge_handlers($server)), '', 'each handler ran once, with the right outcome, in its turn');
is(join("\n", $clients->unexpected), '', 'applications were told only what they must expect');
is($server->sql(q{SELECT string_agg(concat_ws(' ', call, state), ', ') FROM seats.handlers}), '', 'seats.handlers shows none');
is($server->sql(q{SELECT string_agg(concat_ws(' ', kind, summary), '; ') FROM seats.alerts 
	WHERE state <> 'resolved' AND kind <> 'invite_failed'}), '', 'no alert is open but about invites');
assert_ledger($server, $stripe);
assert_nothing_twice($stripe);
assert_folded($server);
cmp_ok($met{"stood at $_"} // 0, '>', 0, "somebody stood at $_") foreach $rounds >= @points ? @points : ();
my %told = $clients->told;
$met{"an application was told $_"} = $told{$_} foreach keys %told;
diag 'handlers run: ' . $server->sql('SELECT count(*) FROM proof.ran') . '; met: ' . join ', ', map {"$_: $met{$_}"} sort keys %met;
diag "seed $seed; the story:\n  " . join "\n  ", @story unless Test::More->builder->is_passing;
$server->assert_log_clean;
$server->stop;
done_testing();
