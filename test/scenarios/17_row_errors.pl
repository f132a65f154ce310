# What the database does to the worker: locks that others hold, rows that raise, deadlocks, a full
# disk, read-only sessions, cancels. Each harms what it concerns and nothing else, an answer that was
# given is not lost, and nothing is executed twice.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '300ms'
pg_seats.retry_delay = '50ms'
pg_seats.retry_delay_limit = '200ms'
END

# All that this scenario enqueues, to be judged in the end.
my @all = ();

sub call
{
	my ($name, %options) = @_;
	my $call = $server->enqueue('/v1/customers', { name => $name }, %options);
	push @all, $call;
	return $call;
}

# Several in one transaction, so that they are claimed and settled together.
sub calls
{
	my @names = @_;
	my @calls = split /\n/, $server->sql(join '', 'BEGIN;',
		(map { PgSeats::Server::enqueue_statement('/v1/customers', { name => $_ }) . ';' } @names),
		'COMMIT');
	push @all, @calls;
	return @calls;
}

# Others are served: one more call goes its whole way.
sub others_flow
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(await_state($server, call('another'), 'done'), 'done', $name);
}

sub hang
{
	my ($body) = @_;
	$stripe->fault({ match => { method => 'POST', body => "*$body*" }, fault => 'hang' });
	return;
}

sub await_hanging
{
	my ($count) = @_;
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } == $count }, "$count requests to hang");
	return;
}

sub sent_once
{
	my ($call, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(@{ posts_of($stripe, key_of($server, $call)) }, 1, $name);
}

# ---- locks of the application

{
	seed_subscription($stripe, 'sub_long', 1);
	hang('si_sub_long');
	my $first = change_quantity($server, 'sub_long', 2);
	await_hanging(1);
	my $session = $server->background_psql('postgres');
	$session->query_safe('BEGIN');
	my $second = $session->query_safe(PgSeats::Server::enqueue_statement('/v1/subscriptions/sub_long',
		{ items => [ { id => 'si_sub_long', quantity => 3 } ] }, verifier => 'object'));
	push @all, $first, $second;

	# The answer to the lane's first call comes while the application holds the lane.
	$stripe->release;
	wait_until(sub { executed_with($stripe, key_of($server, $first)) == 1 }, 'the first to be executed');
	others_flow('a long application transaction holds up no other lane');
	others_flow('… nor any later call');
	$session->query_safe('COMMIT');
	await_state($server, $_, 'done') foreach $first, $second;
	is(quantity_of($stripe, 'sub_long'), 3, 'its own lane goes on afterwards, in order');
	sent_once($first, 'and what was answered meanwhile was not asked again');

	$session->query_safe('BEGIN');
	my $rolled_back = $session->query_safe(
		PgSeats::Server::enqueue_statement('/v1/customers', { name => 'no' }, lane => 'held'));
	others_flow('a lane that is new and uncommitted holds up nobody');
	$session->query_safe('ROLLBACK');
	is(state_of($server, $rolled_back), '', 'what is rolled back is not there');
	$session->quit;
}

# ---- locks of an operator

{
	my $enqueue = PgSeats::Server::enqueue_statement('/v1/customers', { name => 'x' }, lane => 'p');
	$server->sql("BEGIN; $enqueue; SELECT seats.pause('stripe', 'a test', 'p'); COMMIT");
	my $call = $server->sql(q{SELECT call FROM seats.outbox WHERE lane = 'p'});
	my $session = $server->background_psql('postgres');
	$session->query_safe("BEGIN; SELECT seats.cancel_call($call, 'not wanted')");
	others_flow('an operator\'s verb in an open transaction holds up nobody');
	$session->query_safe('COMMIT');
	is(state_of($server, $call), 'cancelled', 'and has its effect');

	# A row that somebody holds while its answer comes, and while others of its batch are settled.
	hang('batch');
	hang('batch');
	my ($held, $free) = calls('batch held', 'batch free');
	await_hanging(2);
	$session->query_safe("BEGIN; SELECT FROM seats_internal.outbox WHERE id = $held FOR UPDATE");
	$stripe->release;
	await_state($server, $free, 'done');
	others_flow('a row that is locked while it is settled holds up nobody');
	is(state_of($server, $held), 'sending', '… and waits itself');
	is($server->sql(q{SELECT count(*) FROM seats.alerts}), '0', 'nobody is alarmed');
	$session->query_safe('COMMIT');
	await_state($server, $held, 'done');
	sent_once($held, 'its answer was kept');

	# One that is to be sent again.
	set_configuration($server, 'pg_seats.retry_delay_limit' => '2s');
	$server->wait_for_sql('SHOW pg_seats.retry_delay_limit', '2s');
	$stripe->fault({ match => { body => '*again*' }, fault => 'rate_limit_429', retry_after => 2 });
	my $again = call('again');
	await_state($server, $again, 'waiting');
	$session->query_safe("BEGIN; SELECT seats.retry($again, 'now')");
	$server->wait_for_sql("SELECT due_at < clock_timestamp() FROM seats_internal.outbox WHERE id = $again", 't');
	others_flow('a row that is locked when it is to be sent holds up nobody');
	$session->query_safe('COMMIT');
	await_state($server, $again, 'done');
	$session->quit;
	set_configuration($server, 'pg_seats.retry_delay_limit' => '200ms');
}

# ---- rows that raise

may_raise($server);
sub trouble { raise_for($server, @_); return }
sub no_trouble { $server->sql('DELETE FROM public.trouble'); return }

sub alerts_of
{
	my ($call) = @_;
	return $server->sql("SELECT string_agg(severity || ' ' || kind, ', ' ORDER BY alert) FROM seats.alerts
		 WHERE call = $call AND state = 'open'");
}

{
	trouble('freeze', 'freezes', '22P04');
	my @good = map {"fine $_"} 1 .. 5;
	my ($before, $poison, @after) = calls($good[0], 'never freezes', @good[ 1 .. 4 ]);
	await_state($server, $_, 'done') foreach $before, @after;
	pass('a row that raises at the freeze harms none that are claimed with it');
	others_flow('… nor later ones');
	await_state($server, $poison, 'review');
	is(alerts_of($poison), 'critical review', 'after a few tries it goes to review, with an alert');
	is(@{ posts_of($stripe, key_of($server, $poison)) }, 0, 'it was never sent');
	like($server->sql("SELECT error FROM seats.reviews WHERE call = $poison"),
		qr/trouble of the test \(SQLSTATE 22P04\)/, 'and says what it raised');
	no_trouble();
	$server->sql("SELECT seats.resolve_review($poison, 'same_key', 'the trigger is gone')");
	await_state($server, $poison, 'done');
	is(alerts_of($poison), '', 'and the alert is resolved');
}

{
	hang('settle');
	hang('settle');
	trouble('settle', 'unstorable', '22P04');
	my ($poison, $good) = calls('unstorable settle', 'settle');
	await_hanging(2);
	$stripe->release;
	await_state($server, $good, 'done');
	sent_once($good, 'a row that raises when it is settled harms none of its batch');
	wait_until(sub { alerts_of($poison) eq 'critical settling_failed' }, 'an alert');
	pass('what Stripe has executed and cannot be stored is a critical alert at once');
	others_flow('… which holds up nobody');
	await_state($server, $poison, 'review');
	cmp_ok(@{ posts_of($stripe, key_of($server, $poison)) }, '>', 1, 'it was tried again, and then reviewed');
	assert_executed_once_by($stripe, key_of($server, $poison), 'Stripe has replayed its answer');
	no_trouble();
	$server->sql("SELECT seats.resolve_review($poison, 'same_key', 'the trigger is gone')");
	await_state($server, $poison, 'done');
	is(alerts_of($poison), '', 'and the alert is resolved');
}

{
	hang('settle');
	trouble('settle', 'unstorable', '22P04');
	my ($late) = calls('unstorable settle, for a while');
	await_hanging(1);
	$stripe->release;
	wait_until(sub { alerts_of($late) eq 'critical settling_failed' }, 'an alert');
	no_trouble();
	is(await_state($server, $late, 'done', 'review'), 'done', 'what can be stored a little later is');
	is(alerts_of($late), '', 'and nobody is alarmed any longer');
}

# ---- deadlocks and serialisation failures are nobody's fault

sub charged { return $server->sql('SELECT row_errors FROM seats.worker_status') }

my $charged = charged();
{
	seed_subscription($stripe, 'sub_knot', 1);
	hang('si_sub_knot');
	my $call = change_quantity($server, 'sub_knot', 2);
	push @all, $call;
	await_hanging(1);
	# The worker settles the row and then the lane's marker; this one has the lane, and wants the row.
	my $session = $server->background_psql('postgres', on_error_stop => 0);
	$session->query("SET deadlock_timeout = '1min'; SET lock_timeout = '20s'; BEGIN");
	$session->query(q{UPDATE seats_internal.lane SET version = version + 1
		 WHERE name = '/v1/subscriptions/sub_knot'});
	$stripe->release;
	wait_until(sub { executed_with($stripe, key_of($server, $call)) == 1 }, 'the call to be executed');
	$session->query("SELECT FROM seats_internal.outbox WHERE id = $call FOR UPDATE");
	$session->query('COMMIT');
	$session->quit;
	await_state($server, $call, 'done');
	sent_once($call, 'locks in the other order: the settlement is done again, from the answer that was kept');

	foreach my $state (qw(40001 40P01))
	{
		trouble('settle', $state, $state);
		my $conflict = call($state);
		wait_until(sub { $server->sql('SELECT trouble FROM seats.worker_status') =~ /SQLSTATE $state/ },
			'a conflict');
		assert_executed_once_by($stripe, key_of($server, $conflict), 'its settlement fails');
		no_trouble();
		await_state($server, $conflict, 'done');
		sent_once($conflict, "$state: it is tried again, from the answer that was kept");
	}
	is(charged(), $charged, 'and no row is charged with any');
}
is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE state = 'open'}), '0', 'nobody is alarmed');

# ---- no room to write

{
	hang('roomless');
	my $call = call('roomless');
	await_hanging(1);
	trouble('settle', '', '53100');
	$stripe->release;
	wait_until(sub { $server->sql('SELECT trouble FROM seats.worker_status') =~ /SQLSTATE 53100/ },
		'the worker to say that it cannot settle');
	is(state_of($server, $call), 'sending', 'with a full disk the answer waits');
	like($server->sql(q{SELECT status || ': ' || message FROM seats.health WHERE check_name = 'worker'}),
		qr/^warning: .*cannot settle/, 'health says so');
	my $next = call('after it');
	await_another_loop($server);
	is(state_of($server, $next), 'pending', 'and nothing is claimed meanwhile');
	no_trouble();
	await_state($server, $_, 'done') foreach $call, $next;
	sent_once($_, 'with room again it is settled, from the answer that was kept') foreach $call, $next;
	is($server->sql("SELECT attempts || ' ' || (reason IS NULL OR reason = '') FROM seats.outbox_history
		 WHERE call = $call"), '1 true', 'as if nothing had been');
	is(charged(), $charged, 'no row is charged with it');
	$server->wait_for_sql(q{SELECT status FROM seats.health WHERE check_name = 'worker'}, 'ok');
	pass('health is well again');
}

sub read_write_call
{
	my ($name) = @_;
	my $call = $server->sql('BEGIN READ WRITE;'
		  . PgSeats::Server::enqueue_statement('/v1/customers', { name => $name }) . ';COMMIT');
	push @all, $call;
	return $call;
}

{
	my $worker = $server->worker_pid;
	$server->sql('ALTER SYSTEM SET default_transaction_read_only = on');
	$server->sql('SELECT pg_reload_conf()');
	await_state($server, read_write_call('read-only 1'), 'done');
	is($server->worker_pid, $worker, 'a server that is made read-only by default: the worker goes on');
	$server->sql('ALTER SYSTEM RESET default_transaction_read_only');
	$server->sql('SELECT pg_reload_conf()');
	$server->wait_for_sql('SHOW default_transaction_read_only', 'off');
	$server->sql('ALTER DATABASE postgres SET default_transaction_read_only = on');
	kill 'TERM', $worker;
	$server->wait_for_worker(another_than => $worker);
	await_state($server, read_write_call('read-only 2'), 'done');
	pass('so does one that starts in a database that is read-only by default');
	$server->sql('BEGIN READ WRITE; ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT');
}

# ---- cancels

{
	my $worker = $server->worker_pid;
	hang('cancelled');
	my $call = call('cancelled');
	await_hanging(1);
	$server->sql("SELECT pg_cancel_backend($worker)");
	await_another_loop($server);
	$stripe->release;
	await_state($server, $call, 'done');
	sent_once($call, 'a cancel while it waits changes nothing');

	foreach my $point (qw(before_freeze_commit before_settle_commit))
	{
		$server->set_debug_point($point);
		my $called = call($point);
		$server->wait_at_debug_point($point);
		$server->sql("SELECT pg_cancel_backend($worker)");
		wait_until(sub { $server->sql('SELECT trouble FROM seats.worker_status') =~ /SQLSTATE 57014/ },
			'the transaction to be cancelled');
		$server->release_debug_point;
		await_state($server, $called, 'done');
		sent_once($called, "cancelled $point: sent once");
	}
	foreach (1 .. 20)
	{
		call("under fire $_");
		$server->sql("SELECT pg_cancel_backend($worker)");
	}
	await_state($server, $_, 'done') foreach @all;
	is($server->worker_pid, $worker, 'the worker is the same one');
	is(charged(), $charged, 'no row is charged with a cancel');
}

assert_each_executed_once($stripe, [ values %{ keys_of($server, @all) } ]);
is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE state = 'open'}), '0', 'no alert is open');
$server->assert_log_clean;
$server->stop;
done_testing();
