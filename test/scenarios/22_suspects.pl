# What may have ended a worker is sent by itself, and its answer is looked at by itself: so one knows what
# it was, and nobody waits while it is only waited for. An orderly end makes nobody suspect. And a
# cancel loses nothing that is under way.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $other = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '600s'
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.request_timeout = '10s'
END
$server->define_destination('stripe', requests_per_second => 500);
my $pid = $server->wait_for_worker;

sub seconds_of_cpu
{
	open my $handle, '<', "/proc/$pid/stat" or die "stat: $!";
	my @fields = split / /, (<$handle> =~ s/^.*\) //sr);
	return ($fields[11] + $fields[12]) / 100;
}

# A call that is suspected of having ended two workers.
sub suspect
{
	my ($name) = @_;
	my ($call) = $server->sql('BEGIN; '
		. PgSeats::Server::enqueue_statement('/v1/customers', { name => $name })
		. q{; UPDATE seats_internal.outbox SET interrupted = 2 WHERE state = 'pending'; COMMIT})
	  =~ /(\d+)/;
	return $call;
}

# interrupted, for what is open.
sub interrupted
{
	my ($call) = @_;
	return $server->sql("SELECT interrupted FROM seats_internal.outbox WHERE id = $call");
}

# Killed where it stands; its successor finds the next point set.
sub crash_then
{
	my ($next) = @_;
	my $worker = stop_worker($server);
	$server->set_debug_point($next);
	$server->wait_for_sql('SHOW pg_seats.debug_point', $next);
	$server->expect_signals(1, 9);
	kill 'KILL', $worker or die "worker $worker: $!";
	$server->wait_for_worker(another_than => $worker);
	return;
}

subtest 'a call that hangs through orderly ends is innocent' => sub {
	$stripe->fault({ match => { body => '*innocent*' }, fault => 'hang', times => -1 });
	my $call = $server->enqueue('/v1/customers', { name => 'innocent' });
	foreach my $end (1 .. 3)
	{
		wait_until(sub { @{ $stripe->requests(state => 'hanging') } }, 'it to be on the wire');
		my $worker = $server->worker_pid;
		$server->sql("SELECT pg_terminate_backend($worker)");
		$server->wait_for_worker(another_than => $worker);
		# The simulator has seen that its client is gone.
		wait_until(sub { @{ $stripe->requests(state => 'gone') } >= $end }, "end $end to be seen");
	}
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } }, 'it to be on the wire');
	$server->restart;
	$server->wait_for_worker;
	wait_until(sub { @{ $stripe->requests(state => 'gone') } >= 4 }, 'the restart to be seen');
	is(interrupted($call), '0', 'three ends of the worker and one of the server made it no suspect');
	is(state_of($server, $call) =~ /^(waiting|sending)$/ ? 'goes on' : state_of($server, $call), 'goes on',
		'it goes on');
	$stripe->clear_faults;
	$stripe->release();
	await_state($server, $call, 'done');
	$pid = $server->worker_pid;
};

subtest 'while a suspect hangs everybody else goes' => sub {
	$stripe->fault({ match => { body => '*first-suspect*' }, fault => 'hang' });
	my $suspect = suspect('first-suspect');
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } }, 'the suspect to be on the wire');
	my $before = seconds_of_cpu();
	my @others = map { (named_call($server))[0] } 1 .. 3;
	is(await_state($server, $_, 'done'), 'done', "call $_ does not wait for it") foreach @others;
	is($server->sql("SELECT alone FROM seats_internal.outbox WHERE id = $suspect"), 'f',
		'it is blamed for nothing that happens meanwhile');
	my $used = seconds_of_cpu() - $before;
	cmp_ok($used, '<', 1, "and waiting costs no processor ($used s)");
	$stripe->release();
	await_state($server, $suspect, 'done');
};

subtest 'a read and the change of the same team, both suspected' => sub {
	define_seat_type($server, 'team');
	new_team($server, $stripe, 'acme');
	$server->sql("SELECT seats.pause('stripe', 'both at once')");
	my $read = $server->sql(q{SELECT seats.reconcile('acme', 'look now')});
	my $change = add_seats($server, 'acme', 2);
	$server->sql('UPDATE seats_internal.outbox SET interrupted = 2');
	$server->sql("SELECT seats.resume('stripe', 'off they go')");
	await_change($server, $change, 'confirmed');
	await_all_settled($server);
	is(state_of($server, $read), 'done', 'both come to their end, one after the other');
	assert_in_step($server, $stripe, 'acme', { team => 7 });
	assert_nothing_twice($stripe);
};

subtest 'a probe of another destination is nobody to wait for' => sub {
	$server->write_secret('other_key', 'sk_test_simulator');
	$other->outage('hang');
	$server->define_destination('other', base_url => "'" . $other->url . "'", secret => "'other_key'");
	$server->wait_for_sql(q{SELECT in_flight FROM seats_internal.destination_state() WHERE destination = 'other'}, '1');
	my $suspect = suspect('suspect');
	my ($next) = named_call($server);
	my $started = time;
	await_state($server, $suspect, 'done');
	await_state($server, $next, 'done');
	cmp_ok(time - $started, '<', 5, 'nobody waited for the probe');
};

subtest 'after the suspect everybody goes on, even if a probe began meanwhile' => sub {
	# The suspect hangs; meanwhile a probe of the other destination goes out, and ends last.
	$other->outage(undef);
	$server->wait_for_sql(q{SELECT proven FROM seats_internal.destination_state() WHERE destination = 'other'}, 't');
	$stripe->fault({ match => { body => '*third-suspect*' }, fault => 'hang' });
	my $suspect = suspect('third-suspect');
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } }, 'the suspect to be on the wire');
	$other->outage('hang');
	$server->write_secret('other_key', 'sk_test_another');
	$server->wait_for_sql(q{SELECT in_flight FROM seats_internal.destination_state() WHERE destination = 'other'}, '1');
	$stripe->release();
	await_state($server, $suspect, 'done');
	my ($next) = named_call($server);
	is(await_state($server, $next, 'done'), 'done', 'the next call goes out at once');
	$server->wait_for_sql(
		q{SELECT in_flight FROM seats_internal.destination_state() WHERE destination = 'other'}, '0');
	($next) = named_call($server);
	is(await_state($server, $next, 'done'), 'done', '… and so do those after the probe');
};

subtest 'who ends the worker when its answer is read is found, and nobody else is blamed' => sub {
	$stripe->fault({ match => { body => '*slow*' }, fault => 'hang', times => -1 });
	my $slow = $server->enqueue('/v1/customers', { name => 'slow' });
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } }, 'a slow call to be on the wire');
	debug_point_from_now_on($server, 'before_suspect');
	my $suspect = suspect('guilty');
	$server->wait_at_debug_point('before_suspect');
	crash_then('');
	is(await_state($server, $suspect, 'review', 'done'), 'review', 'it is in review');
	is($server->sql("SELECT reason FROM seats.reviews WHERE call = $suspect"), 'ends_the_worker', 'with the reason');
	is(interrupted($slow), '0', 'the one that was on the wire with it is no suspect');
	$stripe->clear_faults;
	$stripe->release();
	await_state($server, $slow, 'done');
	$server->sql("SELECT seats.resolve_review($suspect, 'same_key', 'the bug is fixed')");
	await_state($server, $suspect, 'done');
};

subtest 'the read before a change counts as well' => sub {
	$server->sql(q{UPDATE seats_internal.team SET base_proven_at = NULL});
	debug_point_from_now_on($server, 'after_freeze');
	my $change = add_seats($server, 'acme', 1);
	foreach (1, 2)
	{
		# What is sent here is the read; the next answer is its.
		$server->wait_at_debug_point('after_freeze', timeout => 60);
		$server->set_debug_point('before_decision');
		$server->wait_at_debug_point('before_decision');
		crash_then('after_freeze');
	}
	$server->wait_at_debug_point('after_freeze', timeout => 60);
	is(interrupted($change), '2', 'after two crashes it is suspected');
	$server->set_debug_point('before_suspect');
	$server->wait_at_debug_point('before_suspect');
	crash_then('');
	$server->wait_for_sql("SELECT reason FROM seats.reviews WHERE call = $change", 'ends_the_worker');
	is(scalar(grep { $_->{outcome} eq 'done' } @{ $stripe->worker_ledger(object => subscription_of('acme')) }), 1,
		'nothing of it was sent');
	$server->sql("SELECT seats.resolve_review($change, 'same_key', 'the bug is fixed')");
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, 'acme', { team => 8 });
};

# That would be a destination's, were the worker to end now.
sub crashes_of
{
	my ($destination) = @_;
	return $server->sql("SELECT crashes FROM seats_internal.destination WHERE name = '$destination'");
}

subtest 'so does a probe, which is nobody\'s: its destination is halted' => sub {
	$server->sql(q{SELECT seats.pause('other', 'it has probes of its own')});
	debug_point_from_now_on($server, 'before_suspect');
	my $worker = $server->kill_worker('KILL');
	$server->wait_for_worker(another_than => $worker);
	my $crash = 0;
	foreach my $next ('before_suspect', 'before_suspect', '')
	{
		$server->wait_at_debug_point('before_suspect', timeout => 60);
		is(crashes_of('stripe'), ++$crash, "crash $crash would be its");
		crash_then($next);
	}
	$server->wait_for_sql(q{SELECT halted_reason FROM seats_internal.destination WHERE name = 'stripe'},
		'ends_the_worker');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts
	     WHERE kind = 'destination_halted' AND destination = 'stripe' AND state = 'open'}, '1');
	$server->sql(q{SELECT seats.resume('stripe', 'the bug is fixed')});
	my ($next) = named_call($server);
	is(await_state($server, $next, 'done'), 'done', 'and goes on when a person says so');
};

subtest 'and so does a list of events, as long as the last crash is not explained' => sub {
	debug_point_from_now_on($server, 'before_suspect');
	$server->sql(q{SELECT seats.list_events('stripe', 'they are to be read alone')});
	my $stands = q{SELECT debug_point = 'before_suspect' FROM seats.worker_status};
	wait_until(
		sub {
			$server->sql($stands) eq 't'
			  || $server->sql('SELECT count(*) FROM seats_internal.event_cursor WHERE requested_at IS NULL') eq '1';
		},
		'the list to be read, or about to be');
	is($server->sql($stands), 't', 'it is about to be read by itself');
	is(crashes_of('stripe'), '1', '… and would be blamed');
	$server->release_debug_point;
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.event_cursor WHERE requested_at IS NULL}, '1');
	$server->wait_for_sql(q{SELECT crashes FROM seats_internal.destination WHERE name = 'stripe'}, '0');
};

subtest 'a cancel loses nothing that is under way' => sub {
	foreach my $point ('after_freeze', 'before_decision')
	{
		debug_point_from_now_on($server, $point);
		my $worker = $server->worker_pid;
		my ($call) = named_call($server);
		$server->wait_at_debug_point($point);
		$server->sql("SELECT pg_cancel_backend($worker)");
		$server->release_debug_point;
		is(await_state($server, $call, 'done'), 'done', "$point: it comes to its end");
		is($server->worker_pid, $worker, '… with the same worker');
	}
	assert_nothing_twice($stripe);
};

$server->stop;
$_->stop foreach $stripe, $other;
done_testing();
