# Settling and claiming in one transaction: what follows in a lane goes with the same commit that settles what was before
# it; and whatever raises there, the two are made one after the other, so that neither undoes the other.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Crowds;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END_OF_CONFIGURATION');
pg_seats.retry_delay = '50ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.base_lifetime = '10min'
END_OF_CONFIGURATION
$server->define_destination('stripe', requests_per_second => 500);
define_seat_type($server, 'team', largest_change => 100);
new_teams($server, $stripe, ['acme']);

may_raise($server);
sub trouble { raise_for($server, @_); return }
sub no_trouble { $server->sql('DELETE FROM public.trouble'); return }

my $lanes = 0;
my $worker = $server->worker_pid;

sub hang
{
	my ($name) = @_;
	$stripe->fault({ match => { method => 'POST', body => "*$name*" }, fault => 'hang' });
	return;
}

sub await_hanging
{
	my ($count) = @_;
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } == $count }, "$count requests to hang");
	return;
}

# Calls of one lane, the first of which is on the wire and not yet answered. A failed attempt keeps the two apart for a second.
sub calls_in_a_lane
{
	my (@names) = @_;
	sleep 1.1;
	my $lane = 'lane ' . ++$lanes;
	hang($names[0]);
	my @calls = map { $server->enqueue('/v1/customers', { name => $_ }, lane => $lane) } @names;
	await_hanging(1);
	return @calls;
}

sub transaction_of
{
	my ($call) = @_;
	return $server->sql("SELECT h.xmin FROM seats_internal.outbox_history AS h WHERE h.id = $call UNION ALL
		SELECT o.xmin FROM seats_internal.outbox AS o WHERE o.id = $call");
}

sub done_once
{
	my ($name, @calls) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join(' ', map { await_state($server, $_, 'done', 'review') } @calls), join(' ', ('done') x @calls), $name);
	is(join(' ', map { scalar @{ posts_of($stripe, key_of($server, $_)) } } @calls), join(' ', (1) x @calls), '… each sent once');
	return;
}

subtest 'what follows goes with the commit that settles' => sub {
	my ($first, $second) = calls_in_a_lane('one', 'two');
	hang('two');
	$stripe->release;
	await_state($server, $first, 'done');
	await_hanging(1);
	is(transaction_of($second), transaction_of($first), 'one transaction has settled the first and frozen the second');
	$stripe->release;
	done_once('both are done', $first, $second);
};

subtest 'a change whose base was read' => sub {
	set_configuration($server, 'pg_seats.base_lifetime' => '1ms');
	$server->wait_for_sql('SHOW pg_seats.base_lifetime', '1ms');
	sleep 0.1;
	fault_for($stripe, 'acme', method => 'POST', fault => 'hang');
	my $change = add_seats($server, 'acme', 1);
	await_hanging(1);
	is($server->sql("SELECT (SELECT t.xmin FROM seats_internal.team AS t WHERE t.name = 'acme')
			= (SELECT o.xmin FROM seats_internal.outbox AS o WHERE o.id = $change)"),
		't', 'its base is stored and it is frozen in one transaction');
	$stripe->release;
	is(await_change($server, $change, 'confirmed'), 'confirmed', 'it is confirmed');
	set_configuration($server, 'pg_seats.base_lifetime' => '10min');
	$server->wait_for_sql('SHOW pg_seats.base_lifetime', '10min');
};

subtest 'lanes take turns' => sub {
	set_configuration($server, 'pg_seats.max_in_flight' => 1);
	my ($first, $second) = calls_in_a_lane('turn_a1', 'turn_a2');
	my $other = $server->enqueue('/v1/customers', { name => 'turn_b' }, lane => 'other');
	my $without = $server->enqueue('/v1/customers', { name => 'turn_c' });
	$stripe->release;
	done_once('all are done', $first, $second, $other, $without);
	is($server->sql("SELECT string_agg(h.id::text, ' ' ORDER BY h.first_sent_at) FROM seats_internal.outbox_history AS h
			WHERE h.id IN ($first, $second, $other, $without)") =~ / $second$/ ? 'last' : 'too early',
		'last', 'a lane that goes on does so behind what waits');
	set_configuration($server, 'pg_seats.max_in_flight' => 64);
};

foreach my $point (qw(before_settle_commit before_freeze_commit))
{
	foreach my $times (1, 2)
	{
		subtest "$point raises $times times" => sub {
			my ($first, $second) = calls_in_a_lane("${point}_${times}_first", "${point}_${times}_second");
			debug_point_from_now_on($server, "raise $times $point");
			$stripe->release;
			done_once('both are done', $first, $second);
			$server->release_debug_point;
			$server->wait_for_sql('SHOW pg_seats.debug_point', '');
			is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE state = 'open'}), '0', 'nobody is alarmed');
			$server->sql('UPDATE seats_internal.outbox SET row_errors = 0');
		};
	}
}

subtest 'a call that cannot be frozen undoes no settlement' => sub {
	my ($first, $second) = calls_in_a_lane('before_it', 'never_freezes');
	trouble('freeze', 'never_freezes', '22P04');
	$stripe->release;
	done_once('the one before it is done', $first);
	await_state($server, $second, 'review');
	is(@{ posts_of($stripe, key_of($server, $second)) }, 0, '… which itself goes to review, and was never sent');
	no_trouble();
	$server->sql("SELECT seats.resolve_review($second, 'same_key', 'the trigger is gone')");
	done_once('… until it can be', $second);
};

subtest 'an answer that cannot be stored undoes no claim' => sub {
	set_configuration($server, 'pg_seats.max_in_flight' => 1);
	my ($answered, $behind) = calls_in_a_lane('unstorable', 'behind_it');
	trouble('settle', 'unstorable', '22P04');
	hang('meanwhile');
	# It waits for room, so it is claimed along with the settlement.
	my $other = $server->enqueue('/v1/customers', { name => 'meanwhile' });
	await_another_loop($server);
	$stripe->release;
	await_hanging(1);
	is(state_of($server, $other), 'sending', 'another call goes');
	wait_until(sub { open_alerts($server) =~ /settling_failed/ }, 'an alert');
	is(state_of($server, $behind), 'pending', 'what is behind it waits');
	no_trouble();
	$stripe->release;
	is(join(' ', map { await_state($server, $_, 'done') } $answered, $behind, $other), 'done done done', 'then all are done');
	assert_executed_once_by($stripe, key_of($server, $answered), 'what was answered twice');
	is(open_alerts($server), '', 'nobody is alarmed any longer');
	set_configuration($server, 'pg_seats.max_in_flight' => 64);
};

subtest 'somebody has locked the history' => sub {
	my ($first, $second) = calls_in_a_lane('locked', 'behind_the_lock');
	my $session = $server->background_psql('postgres');
	$session->query_safe('BEGIN; LOCK TABLE seats_internal.outbox_history IN SHARE MODE');
	$stripe->release;
	wait_until(sub { executed_with($stripe, key_of($server, $first)) == 1 }, 'the first to be executed');
	await_another_loop($server);
	$session->query_safe('COMMIT');
	$session->quit;
	done_once('both are done when he has gone', $first, $second);
};

subtest 'a cancel' => sub {
	my ($first, $second) = calls_in_a_lane('cancelled', 'behind_the_cancel');
	debug_point_from_now_on($server, 'before_freeze_commit');
	$stripe->release;
	$server->wait_at_debug_point('before_freeze_commit');
	is(state_of($server, $first), 'sending', 'nothing is settled yet');
	# (Not by releasing the point: the transaction must not go on.)
	$server->sql('ALTER SYSTEM RESET pg_seats.debug_point');
	$server->sql("SELECT pg_cancel_backend($worker)");
	$server->sql('SELECT pg_reload_conf()');
	done_once('both are done', $first, $second);
	is($server->worker_pid, $worker, 'by the same worker');
};

foreach my $point (qw(before_settle_commit before_freeze_commit after_freeze))
{
	subtest "the worker ends $point" => sub {
		my ($first, $second) = calls_in_a_lane("ends_${point}_first", "ends_${point}_second");
		debug_point_from_now_on($server, $point);
		$stripe->release;
		$server->wait_at_debug_point($point);
		is(state_of($server, $first), $point eq 'after_freeze' ? 'done' : 'sending', 'what is settled is what was committed');
		kill_at_debug_point($server);
		is(join(' ', map { await_state($server, $_, 'done') } $first, $second), 'done done', 'both are done');
		assert_executed_once_by($stripe, key_of($server, $_), 'one call') foreach $first, $second;
	};
}

assert_nothing_twice($stripe);
$server->stop;
$stripe->stop;
done_testing();
