# Nobody pays twice, nobody's money is left unrecorded, whatever happens meanwhile. Groups share bills at random: several
# sessions start the same members' payments at once, cancel them, change amounts, settle members by hand, refund in part
# or all; payers go on with the client secrets that they were given, also long ago: they confirm, are declined, sent through
# 3-D Secure, or wait for their bank; somebody refunds in the Dashboard, banks dispute; answers are lost, events are lost, come
# twice or disordered. In each round the worker stands at one of its debug points and is killed there, or a backend is, or the
# server stops at once; or a standby takes over that knows nothing of the last minute, in which starts were made whose secrets
# are in browsers. At no moment can a member pay by two intents. In the end everything is drained, days pass, and what Stripe
# has is compared with the tables, to the cent, and with what handlers were told.
#
# SEED=n repeats a run; SEEDS=1-20 makes others, ROUNDS=n longer or shorter ones.
use strict;
use warnings;
use JSON::PP ();
use List::Util qw(sum0);
use PgSeats::Scenario;
use PgSeats::Copies;
use PgSeats::Faults;
use PgSeats::PaymentModel;
use PgSeats::PaymentRun;
use PgSeats::Webhooks;
use Time::HiRes qw(time);

my $some = int rand 1_000_000;
my ($first, $last) = split /-/, $ENV{SEEDS} // $ENV{SEED} // $some . '-' . ($some + 9);
my @seeds = $first .. $last // $first;
my $rounds = $ENV{ROUNDS} // 3;
my @points = qw(before_freeze_commit after_freeze before_send before_answered before_decision before_judgement
  after_judgement after_effects after_answer before_settle_commit after_settle);
my @mishaps = ('who stands there is killed', 'an application is killed', 'the worker is ended', 'who stands there is killed', 'the server stops at once');
my %met = ();    # what has happened in all of them, how often

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, allows_streaming => 1, configuration => <<'END_OF_CONFIGURATION');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.final_answer_gap = '200ms'
pg_seats.verify_after_silence = '2s'
pg_seats.request_timeout = '1s'
pg_seats.safety_poll = '300ms'
pg_seats.event_check_after = '1s'
wal_init_zero = off
wal_recycle = off
END_OF_CONFIGURATION
$server->define_destination('stripe', requests_per_second => 500);
set_up_payments($server, 'shop');
define_endpoint($server, 'main');
# Each seed begins with this. (What is small is copied fast.)
$server->sql($_) foreach 'UPDATE pg_database SET datistemplate = false', map {"DROP DATABASE template$_"} 0, 1;
keep_copy($server, 'fresh');

# ---- what goes wrong on the way

my @faults = (
	[ 'execute_and_drop', 0.12 ], [ 'close_before', 0.05 ], [ 'error_500', 0.05 ], [ 'execute_and_500', 0.05 ],
	[ 'delay', 0.06, ms => 300 ], [ 'rate_limit_429', 0.05 ], [ 'conflict_409', 0.05 ], [ 'cut_body', 0.06 ],
	[ 'hang_after', 0.05, seconds => 2 ]);
my @faults_of_reads = qw(error_500 close_before html_502);

sub set_faults
{
	foreach my $path (qw(/v1/payment_intents* /v1/refunds* /v1/disputes*))
	{
		$stripe->fault({ match => { path => $path, key => '*-*-*-*-*-*' }, fault => $_->[0], times => -1, probability => $_->[1], @$_[ 2 .. $#$_ ] })
		  foreach @faults;
		$stripe->fault({ match => { method => 'GET', path => $path }, fault => $_, times => -1, probability => 0.05 }) foreach @faults_of_reads;
	}
	return;
}

# How often each has happened; and none does any more.
sub end_faults
{
	my ($run) = @_;
	my $struck = $stripe->counters->{by_fault};
	$run->meet("fault $_", $struck->{$_}) foreach keys %$struck;
	my %number = ();
	my $deliveries = $stripe->control('GET', '/webhooks')->{deliveries};
	$run->meet('an event is lost', scalar grep { $_->{state} eq 'lost' } @$deliveries);
	$number{ $_->{event} } = $_->{number} foreach grep { $_->{state} eq 'delivered' } @$deliveries;
	$run->meet('an event comes twice', sum0(map { $_->{state} eq 'delivered' && $number{ $_->{event} } != $_->{number} } @$deliveries));
	my @as_they_came = grep { defined } @number{ split /\n/, $server->sql('SELECT w.event_id FROM seats.webhook_events AS w ORDER BY w.received_at') };
	$run->meet('an event comes after a later one', sum0(map { $as_they_came[$_] < $as_they_came[ $_ - 1 ] } 1 .. $#as_they_came));
	$stripe->clear_faults;
	return;
}

# ---- one run

sub begin
{
	my ($seed) = @_;
	srand $seed;
	$stripe->stop;
	$stripe->{arguments} = [ '--seed', $seed ];
	$stripe->start;
	go_back_to_copy($server, 'fresh');
	my $run = PgSeats::PaymentRun->new(server => $server, stripe => $stripe, met => \%met);
	my $relay = start_relay($server);
	# (Some are lost, come twice, late, in another order.)
	my $set_events = sub { send_webhooks($stripe, $relay, 'main', events => ['*'], retry_ms => [ 100, 300, 1000 ], @_) };
	$set_events->(jitter_ms => 200, duplicate => 0.3, lose => 0.3);
	set_faults();
	set_payment_trouble($server, 0.05);
	$run->be_back;
	return ($run, $relay, $set_events);
}

# The seeds take turns with where somebody stands and what happens to him: so the next ten see all of it. In one of the rounds a
# standby takes over, mostly, which has fallen behind in the one before; every other time long ago.
sub play
{
	my ($run, $seed) = @_;
	my $fails_over = $seed % 5 ? 2 + int rand($rounds - 1) : 0;
	foreach my $round (1 .. $rounds)
	{
		my $turn = $seed * $rounds + $round;
		my ($point, $mishap) = ($points[ $turn % @points ], $mishaps[ $turn % @mishaps ]);
		$mishap = $seed % 2 ? 'a failover' : 'a failover after a day' if $round == $fails_over;
		$run->recount("round $round: at $point $mishap");
		$run->new_bills($round == 1 ? 3 : 1);
		debug_point_from_now_on($server, $point);
		$run->applications_begin(4, 3);
		my @standing = await_standing($run, $point);
		$run->mishap($mishap, @standing);
		# Then for a while nobody is in anybody's way.
		$run->applications_begin(4, 4);
		be_busy($run, 4);
		if ($round + 1 == $fails_over)
		{
			$run->standby_falls_behind(!($seed % 2));
			be_busy($run, 2);
		}
		$run->decide;
		$run->let_time_pass if $turn % 5 == 0;
		$run->look_at_all_intents if $turn % 3 == 0;
		$run->find_wrong(wrong_just_now($server));
		last if $run->wrong;
	}
	return;
}

sub be_busy
{
	my ($run, $least) = @_;
	my $times = 0;
	return wait_until(sub { $run->let_something_happen; ++$times >= $least && $run->applications_are_done }, 'the applications to be done', timeout => 60);
}

# Who stands at the debug point, if somebody comes there.
sub await_standing
{
	my ($run, $point) = @_;
	my $until = time + 0.8;
	my @standing = ();
	wait_until(
		sub {
			$run->let_something_happen foreach 1 .. 2;
			@standing = eval { split /\n/, $run->ask("SELECT s.pid FROM seats.worker_status AS s WHERE s.debug_point = '$point'") };
			return @standing || time > $until && $run->applications_are_done;
		}, "somebody to stand at $point", timeout => 20);
	$run->meet("stood at $point") if @standing;
	return @standing;
}

sub drain
{
	my ($run, $what) = @_;
	my $open = '';
	my $is_done = eval {
		wait_until(
			sub {
				$run->decide;
				# (What would be tried again in minutes is tried now.)
				$run->ask(q{SELECT seats.retry(o.id, 'the storm is over') FROM seats_internal.outbox AS o WHERE o.due_at > clock_timestamp() + interval '2 seconds'});
				$open = $run->ask(q{SELECT concat_ws(' ', (SELECT count(*) FROM seats_internal.outbox), (SELECT count(*) FROM seats_internal.handler),
					(SELECT count(*) FROM seats_internal.payment AS p WHERE p.state = 'creating'))});
				return $open eq '0 0 0';
			}, $what, timeout => 60, pause => 0.05);
	};
	is($open, '0 0 0', "$what: calls, handlers, and payments without an intent that are left") or diag $@;
	return;
}

# Until all is done, and what no event has told is found.
sub finish
{
	my ($run, $what) = @_;
	# (Nothing new happens meanwhile.)
	$stripe->control('POST', '/clock', { freeze => JSON::PP::true() });
	$server->sql(q{SELECT seats.list_events('stripe', 'the scenario wants it')});
	webhooks_are_quiet($stripe);
	drain($run, $what);
	my @wrong = ($run->wrong, wrong_just_now($server), judge_payments($server, $stripe), live_twice($stripe));
	$stripe->control('POST', '/clock', { freeze => JSON::PP::false() });
	is(join("\n", @wrong), '', "$what: what Stripe has is what the tables have, and what handlers were told");
	return;
}

# What payers and applications were told, and have asked for.
sub judge_words
{
	my ($run) = @_;
	my @wrong = (judge_refunds_asked($server, $stripe, $run->{unkeyed}, $run->refund_keys), judge_tabs($stripe, @{ $run->{tabs} }));
	is(join("\n", @wrong), '', 'secrets are those of who was given them, and each refund was made once');
	$met{"an application was told $_->[0]"} += $_->[1] foreach pairs_of($run->{clients}->told);
	$met{"transactions: $_->[0]"} += $_->[1]
	  foreach pairs_of(split /[|\n]/, $server->sql('SELECT t.kind, count(*) FROM seats_internal.payment_transaction AS t GROUP BY t.kind'));
	return;
}

sub pairs_of { my (@list) = @_; return map { [ @list[ 2 * $_, 2 * $_ + 1 ] ] } 0 .. @list / 2 - 1 }

my $played = 0;
foreach my $seed (@seeds)
{
	# (A busy machine may be given fewer: not all that can happen need happen then.)
	last if !$ENV{SEEDS} && time - $^T > 200;
	$played++;
	my $is_well = subtest "seed $seed" => sub {
		my ($run, $relay, $set_events) = begin($seed);
		play($run, $seed);
		# Nothing goes wrong any more; banks and refunds take days; and everything is finished.
		end_faults($run);
		$set_events->();
		set_payment_trouble($server, 0);
		finish($run, 'the storm is over');
		$stripe->clock_advance(20 * 86_400);
		$run->banks_decide;
		finish($run, 'days have passed');
		judge_words($run);
		diag "seed $seed; the story:\n  " . join "\n  ", @{ $run->{story} } unless Test::More->builder->is_passing;
		stop_relay($relay);
		$server->stop;
	};
	last unless $is_well;
}

# ---- has it all happened?

diag 'met: ' . join ', ', map {"$_: $met{$_}"} sort keys %met;
my @must_happen = ((map {"fault $_->[0]"} @faults), (map {"fault $_"} @faults_of_reads), (map {"stood at $_"} @points),
	'an event is lost', 'an event comes twice', 'an event comes after a later one', 'a client secret was given',
	'… of a start that a failover had forgotten', '… to several who clicked at once', 'a start is lost whose secret is in a browser',
	'a payer has gone on with a start that a failover had forgotten', 'a failover', 'a failover after which Stripe has forgotten keys',
	'the worker ended', 'immediate stop', 'kill -9 of who stands there', 'kill -9 of an application', 'an hour has passed', 'all intents are listed',
	map {"transactions: $_"} qw(succeeded failed cancelled refunded refund_failed disputed dispute_won dispute_lost));
is(join(', ', grep { !$met{$_} } @must_happen), '', 'all that can happen has happened') if $played >= 10 && $rounds >= 3 && Test::More->builder->is_passing;
assert_nothing_twice($stripe);
unlike($server->log_text, qr/pi_\w+_secret_\w/, 'no client secret is in the log');
$server->assert_log_clean;
done_testing();
