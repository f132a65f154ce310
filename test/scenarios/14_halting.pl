# What is our own mistake compensates nobody: a wrong key, a request whose form Stripe does not
# accept. The destination stops and says so, once; nothing is refused and no attempt is spent; and it
# goes on where it stood as soon as the mistake is put right. And pauses, which a person wants.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use Time::HiRes qw(time);

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;

my $good_key = $PgSeats::Server::api_key;
my $round = 0;
my $refused = 0;  # so many calls were to be refused

# So many calls, each in a lane of its own.
sub enqueue_over_lanes
{
	my ($count) = @_;
	++$round;
	return split /\n/, $server->sql(<<"END");
SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers',
           jsonb_build_object('name', format('round %s number %s', $round, number)),
           lane => 'lane ' || number)
  FROM generate_series(1, $count) AS number
END
}

sub await_halt
{
	my ($reason) = @_;
	$server->wait_for_sql('SELECT state, halted_reason FROM seats.destinations', "halted|$reason");
	return;
}

# Nothing is refused, nothing spent, nothing in doubt or in review; and one alert says so.
sub assert_halted
{
	my ($open) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	# Answers that were under way may still have to be stored.
	$server->wait_for_sql(<<"END", "$open|0|f");
SELECT count(*) FILTER (WHERE state IN ('pending', 'waiting')), sum(attempts), bool_or(doubt)
  FROM seats.outbox
END
	pass("all $open calls wait, and no attempt is spent");
	assert_refused($refused, 'nothing is refused');
	return is(open_alerts($server), 'destination_halted', 'exactly one alert is open');
}

sub assert_refused
{
	my ($count, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($server->sql(q{SELECT count(*) FROM seats.outbox_history WHERE result <> 'done'}),
		$count, $name);
}

sub assert_goes_on
{
	my (@calls) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $reviews = sub { $server->sql('SELECT count(*) FROM seats.reviews') };
	wait_until(sub { $reviews->() || $server->sql('SELECT count(*) FROM seats.outbox') eq '0' }, 'all calls to be settled',
		timeout => 30);
	is($reviews->(), '0', 'no person has to decide') or die "it does not go on\n";
	assert_refused($refused, 'it goes on, and all are done');
	assert_once_under_any_key($server, $stripe, $_) foreach @calls[ 0, -1 ];
	assert_nothing_twice($stripe);
	$server->wait_for_sql("SELECT state, halted_reason FROM seats.destinations", "open|");
	return is(open_alerts($server), '', 'and the alert is gone');
}

# ---- keys

subtest 'a single 401 while the key is good: nobody else is stopped' => sub {
	$stripe->fault({ match => { method => 'POST' }, fault => 'unauthorized_401' });
	my @calls = enqueue_over_lanes(10);
	assert_goes_on(@calls);
	is($server->sql('SELECT max(attempts) FROM seats.outbox_history'), '1', 'no attempt was spent');
	is($server->sql(q{SELECT count(*) FROM seats.journal WHERE kind = 'destination.halted'}),
		'0', 'a probe has shown that the key is good');
};

subtest 'halted again and again: the call that is held spends nothing' => sub {
	# The probe that the call's answer asks for fails, the next one succeeds.
	$stripe->fault({ match => { method => 'POST' }, fault => 'unauthorized_401', times => 6 });
	$stripe->fault({ match => { method => 'GET', path => '/v1/account', nth => [ 1, 3, 5, 7, 9, 11 ] },
		fault => 'unauthorized_401' });
	my $last = $stripe->requests->[-1]{number};
	my ($call) = enqueue_over_lanes(1);
	$server->wait_for_sql(q{SELECT count(*) FROM seats.journal WHERE kind = 'destination.halted'}, '6', timeout => 60);
	my $held = wait_until(sub { $server->sql(<<"END") }, 'the call to be held');
SELECT state, tries, attempts, first_sent_at, doubt, generation
  FROM seats_internal.outbox WHERE id = $call AND state IN ('pending', 'waiting')
END
	is($held, 'pending|0|0||f|1', 'no try, no attempt, no doubt, and its key has not begun to age');
	assert_goes_on($call);
	is(scalar(grep { $_->{method} eq 'POST' } @{ $stripe->requests(after => $last) }), 7, 'it was sent seven times');
	is($server->sql("SELECT attempts FROM seats.calls WHERE call = $call"), '1', 'and the last one counts');
	$stripe->clear_faults;
};

subtest 'the key is revoked in the middle; another file heals it' => sub {
	my @calls = enqueue_over_lanes(10);
	await_all_settled($server);
	$stripe->control('POST', '/keys', { key => $good_key, state => 'revoked' });
	push @calls, enqueue_over_lanes(10);
	await_halt('unauthorized');
	assert_halted(10);
	like($server->sql('SELECT summary FROM seats.alerts ORDER BY alert DESC LIMIT 1'),
		qr/^destination stripe is halted: \S/, 'the alert says why');
	# A failed probe is no second alert.
	my $sent = $server->sql('SELECT sent FROM seats.worker_status');
	wait_until(sub { $server->sql('SELECT sent FROM seats.worker_status') > $sent + 1 }, 'two probes');
	is(open_alerts($server), 'destination_halted', 'still one');
	$stripe->control('POST', '/keys', { key => 'sk_test_second', account => 'acct_simulator' });
	$server->write_secret('stripe_key', 'sk_test_second');
	assert_goes_on(@calls);
	$stripe->control('POST', '/keys', { key => $good_key, state => 'active' });
	$server->write_secret('stripe_key', $good_key);
};

# A file with a key that must not be used, until the right one is back.
sub wrong_key
{
	my ($what, $key, $reason, $requests_with_it) = @_;
	return subtest $what => sub {
		my $last = @{ $stripe->requests } ? $stripe->requests->[-1]{number} : 0;
		$server->write_secret('stripe_key', $key);
		await_halt($reason);
		my @calls = enqueue_over_lanes(5);
		await_another_loop($server);
		assert_halted(5);
		is(scalar(grep { $_->{method} ne 'GET' } @{ $stripe->requests(after => $last) }),
			0, 'no call was sent with it');
		$server->write_secret('stripe_key', $good_key);
		assert_goes_on(@calls);
		is(scalar @{ $stripe->ledger(account => 'acct_other') }, 0, 'nothing happened elsewhere');
	};
}

set_configuration($server, 'pg_seats.safety_poll' => '500ms');
$stripe->control('POST', '/keys', { key => 'sk_test_other', account => 'acct_other' });
$stripe->control('POST', '/keys', { key => 'sk_live_simulator', account => 'acct_simulator' });
wrong_key('a key of another account', 'sk_test_other', 'account_mismatch');
wrong_key('a live key for a test destination', 'sk_live_simulator', 'key_of_other_mode');
wrong_key('a key that Stripe does not know', 'sk_test_unknown', 'unauthorized');
wrong_key('an empty file', '', 'no_key');

subtest 'the key may do nothing any more: 403' => sub {
	$stripe->control('POST', '/keys', { key => $good_key, state => 'forbidden' });
	my @calls = enqueue_over_lanes(5);
	await_halt('forbidden');
	assert_halted(5);
	$stripe->control('POST', '/keys', { key => $good_key, state => 'active' });
	assert_goes_on(@calls);
};

subtest 'the words are those of what is wrong now' => sub {
	my $message = q{SELECT halted_reason || ': ' || halted_message FROM seats.destinations};
	my $summary = q{SELECT summary FROM seats.alerts WHERE kind = 'destination_halted' AND state = 'open'};
	my $says = sub {
		my ($reason, $pattern) = @_;
		# (What it says instead is told, and not that one has waited.)
		my $right = eval { wait_until(sub { $server->sql($message) =~ /^$reason: .*$pattern/ }, $reason, timeout => 10) };
		$right or return like($server->sql($message), qr/^$reason: .*$pattern/, "$reason: the destination says it");
		wait_until(sub { $server->sql($summary) =~ $pattern }, "the alert to say $reason");
		return like($server->sql(q{SELECT message FROM seats.health WHERE check_name = 'destination stripe'}),
			$pattern, "$reason: destination, alert and health");
	};
	$server->write_secret('stripe_key', 'sk_test_unknown');
	$says->('unauthorized', qr/Invalid API Key.*\(the key is in file stripe_key\)/);
	unlink $server->secrets_directory . '/stripe_key' or die $!;
	$says->('no_key', qr/stripe_key.*does not exist/);
	$server->write_secret('stripe_key', 'sk_live_simulator');
	$says->('key_of_other_mode', qr/file stripe_key is not a test mode key/);
	$server->write_secret('stripe_key', 'sk_test_other');
	$says->('account_mismatch', qr/file stripe_key is of account acct_other/);
	$server->write_secret('stripe_key', $good_key);
	assert_goes_on(enqueue_over_lanes(1));
};

# ---- the request's form

subtest 'a parameter that Stripe does not know, in one call: only that one goes to review' => sub {
	my $bad = $server->enqueue('/v1/customers', { nonsense => 'x' }, lane => 'lane 1');
	my @calls = enqueue_over_lanes(3);
	await_state($server, $bad, 'review', 'refused');
	is(state_of($server, $bad), 'review', 'it is in review');
	await_state($server, $_, 'done') foreach @calls[ 1, 2 ];
	is(state_of($server, $calls[0]), 'pending', 'its lane waits, the others flow');
	is($server->sql('SELECT state FROM seats.destinations'), 'open', 'the destination is open');
	is(open_alerts($server), 'review', 'an alert is open');
	is($server->sql('SELECT waiting_behind, reason FROM seats.reviews'),
		'1|unknown_parameter', 'and the review says why, and who waits');
	$server->sql("SELECT seats.resolve_review($bad, 'refuse', 'our mistake')");
	await_state($server, $calls[0], 'done');
	is(open_alerts($server), '', 'and the alert is gone');
	assert_refused(++$refused, 'one is refused');
};

subtest 'what Stripe refuses in many lanes is their business' => sub {
	$stripe->fault({
		match => { method => 'POST' },
		fault => 'answer',
		status => 400,
		body => { error => { type => 'invalid_request_error', message => 'No.', param => 'name' } },
		times => 20 });
	my @calls = enqueue_over_lanes(20);
	await_all_settled($server);
	assert_refused($refused += 20, 'each is refused');
	is($server->sql('SELECT state FROM seats.destinations'), 'open', 'the destination is open');
};

subtest 'cards that are declined in many lanes are nobody\'s mistake' => sub {
	$stripe->fault({ match => { method => 'POST' }, fault => 'declined_402', times => 12 });
	my @calls = enqueue_over_lanes(12);
	await_all_settled($server);
	assert_refused($refused += 12, 'each is refused');
	is($server->sql('SELECT state FROM seats.destinations'), 'open', 'the destination is open');
	is(open_alerts($server), '', 'and there is no alert');
};

# ---- pauses

subtest 'a pause of the destination, with a call on the wire' => sub {
	$stripe->fault({ match => { method => 'POST' }, fault => 'hang_after' });
	my ($sent) = enqueue_over_lanes(1);
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } }, 'the call to be on the wire');
	$server->sql(q{SELECT seats.pause('stripe', 'maintenance')});
	my @calls = enqueue_over_lanes(5);
	$stripe->release;
	await_state($server, $sent, 'done');
	pass('what is on the wire is settled');
	await_another_loop($server);
	is($server->sql('SELECT count(*), sum(attempts) FROM seats.outbox'), '5|0', 'the others wait');
	is($server->sql('SELECT state, paused_reason FROM seats.destinations'), 'paused|maintenance',
		'and one can see why');
	$server->restart;
	$server->wait_for_worker;
	await_another_loop($server);
	is($server->sql('SELECT count(*), sum(attempts) FROM seats.outbox'), '5|0', 'also after a restart');
	$server->sql(q{SELECT seats.resume('stripe', 'over')});
	assert_goes_on(@calls);
};

# Of what cannot go, the worker is told from time to time, whatever is committed meanwhile.
subtest 'what arrives while nothing can go' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'maintenance')});
	await_another_loop($server);
	my $wakes = sub { $server->sql('SELECT wakes FROM seats_internal.worker_state()') };
	my ($before, $began) = ($wakes->(), time);
	$server->sql(<<'END');
DO $$
BEGIN
    FOR n IN 1..500 LOOP
        PERFORM seats.enqueue_call('stripe', 'POST', '/v1/customers', jsonb_build_object('name', 'held ' || n));
        COMMIT;
    END LOOP;
END $$
END
	my $looks = $wakes->() - $before;
	my $most = 2 + (time - $began) / 0.02;
	cmp_ok($looks, '<=', $most, 'is not looked at after each commit');
	$server->sql(q{SELECT seats.resume('stripe', 'over')});
	wait_until(sub { $server->sql('SELECT count(*) FROM seats.outbox') == 0 }, 'all of it to be sent');
	pass('all of it is sent afterwards');
};

subtest 'a pause of a lane' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'a dispute', 'lane 2')});
	my @first = enqueue_over_lanes(3);
	my @second = enqueue_over_lanes(3);
	await_state($server, $_, 'done') foreach @first[ 0, 2 ], @second[ 0, 2 ];
	await_another_loop($server);
	is(state_of($server, $_), 'pending', 'what is in the lane waits') foreach $first[1], $second[1];
	is($server->sql('SELECT lane, reason, error, waiting_behind FROM seats.blocked_lanes'),
		'lane 2|paused|a dispute|1', 'and one can see why');
	$server->sql(q{SELECT seats.resume('stripe', 'won', 'lane 2')});
	assert_goes_on(@first, @second);
	is(join(' ', map { $_->{parameters}{name} } (@{ $stripe->worker_ledger })[ -2, -1 ]),
		join(' ', map {"round $_ number 2"} $round - 1, $round), 'in their order');
};

subtest 'a clock that is wrong, ours or theirs' => sub {
	my $are_open = q{SELECT coalesce(string_agg(kind, ' '), '') FROM seats.alerts WHERE state = 'open'};
	$stripe->date_offset(50);
	enqueue_over_lanes(4);
	await_all_settled($server);
	is(open_alerts($server), '', 'less than a minute is nothing');
	foreach my $seconds (300, -300)
	{
		my $words = $seconds > 0 ? 'behind' : 'ahead of';
		$stripe->date_offset($seconds);
		enqueue_over_lanes(2);
		await_all_settled($server);
		is(open_alerts($server), '', 'two answers may have lain about');
		enqueue_over_lanes(2);
		$server->wait_for_sql($are_open, 'clock_skew');
		like($server->sql(q{SELECT summary FROM seats.alerts ORDER BY alert DESC LIMIT 1}),
			qr/clock is (299|300|301) s $words destination stripe's/, "$words: told, and nothing is halted");
		await_all_settled($server);
		my $resolved = q{SELECT count(*) FROM seats.alerts WHERE kind = 'clock_skew' AND state = 'resolved'};
		my $before = $server->sql($resolved);
		$server->wait_for_worker(another_than => $server->kill_worker('TERM'));
		enqueue_over_lanes(4);
		await_all_settled($server);
		await_another_loop($server);
		is($server->sql($resolved), $before, 'a worker that has just begun does not take it back');
		$stripe->date_offset(0);
		enqueue_over_lanes(1);
		$server->wait_for_sql($are_open, '');
		pass('resolved by the first answer that agrees');
		await_all_settled($server);
	}
};

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
