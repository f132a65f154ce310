# Whatever goes wrong between the worker and Stripe: each call is executed once, settled once with
# the right result, and every attempt can be seen. The simulator's ledger is the judge.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.final_answer_gap = '1s'
pg_seats.request_timeout = '1500ms'
pg_seats.connect_timeout = '1s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;

# What went wrong first, and that a second request went through.
my @lost_and_replayed = ('unknown connection_broken', 'done replayed 200');
my @cut_and_replayed = ('unknown connection_broken 200', 'done replayed 200');
my @two_500s = ('unknown server_error 500', ('unknown replayed_error 500') x 2);

# One call whose requests are struck by `faults`, in this order. `meanwhile` runs when it is on its
# way. It must end as `result` (done) after `attempts`, executed `executed` times (1). Attempts that
# are like `however_often` are not counted: their number depends on the moment.
sub strikes
{
	my ($what, %case) = @_;
	return subtest $what => sub {
		fresh_connections($stripe);
		my ($call, $name) = struck_call($server, $stripe, $case{faults}, %{ $case{options} // {} });
		$case{meanwhile}->($call, $name) if $case{meanwhile};
		my $result = $case{result} // 'done';
		await_state($server, $call, 'done', 'refused', 'review');
		assert_settled_once($server, $call, $result);
		assert_once_under_any_key($server, $stripe, $call, $case{executed});
		my $attempts = attempts_of($server, $call);
		my $uncounted = $case{however_often} // qr/^never$/;
		is_deeply([ grep { $_ !~ $uncounted } @$attempts ], $case{attempts},
			'its attempts tell what happened')
		  or diag(explain($attempts));
		$case{finally}->($call, $name) if $case{finally};
		$stripe->clear_faults;
	};
}

# ---- the answer is lost

strikes('the answer is lost after the execution',
	faults => [ { fault => 'execute_and_drop' } ],
	attempts => \@lost_and_replayed);
strikes('the answer is lost, with a reset',
	faults => [ { fault => 'execute_and_drop', reset => \1 } ],
	attempts => \@lost_and_replayed);
strikes('the request is lost',
	faults => [ { fault => 'close_before' } ],
	attempts => [ 'unknown connection_broken', 'done 200' ]);
strikes('no answer in time, and not executed',
	faults => [ { fault => 'hang' } ],
	attempts => [ 'unknown timed_out', 'done 200' ]);
strikes('no answer in time, though executed',
	faults => [ { fault => 'hang_after' } ],
	attempts => [ 'unknown timed_out', 'done replayed 200' ]);
strikes('no answer in time, executed when the client had left',
	faults => [ { fault => 'hang', on_gone => 'execute' } ],
	attempts => [ 'unknown timed_out', 'done replayed 200' ]);
strikes('the head is cut off after the status line',
	faults => [ { fault => 'cut_head' } ],
	attempts => \@cut_and_replayed);
strikes('the head is cut off after 60 bytes',
	faults => [ { fault => 'cut_head', bytes => 60 } ],
	attempts => \@cut_and_replayed);
strikes('the body is cut off',
	faults => [ { fault => 'cut_body' } ],
	attempts => \@cut_and_replayed);
strikes('the body is cut off by a wrong Content-Length',
	faults => [ { fault => 'short_content_length' } ],
	attempts => [ 'unknown answer_cut 200', 'done replayed 200' ]);
strikes('the body is cut off before its first byte',
	faults => [ { fault => 'short_content_length', bytes => 0 } ],
	attempts => [ 'unknown empty_answer 200', 'done replayed 200' ]);
strikes('the body comes slowly',
	faults => [ { fault => 'slow_body', bytes => 64, interval_ms => 10 } ],
	attempts => ['done 200']);
strikes('the body comes too slowly',
	faults => [ { fault => 'slow_body', bytes => 1, interval_ms => 50 } ],
	attempts => [ 'unknown timed_out 200', 'done replayed 200' ]);
strikes('the answer is not HTTP',
	faults => [ { fault => 'garbage' } ],
	attempts => \@lost_and_replayed);

# ---- the answer is an error

strikes('409: the key is in use',
	faults => [ { fault => 'conflict_409' } ],
	attempts => [ 'again key_in_use 409', 'done 200' ]);
strikes('429 with a reason',
	faults => [ { fault => 'rate_limit_429', reason => 'global-rate' } ],
	attempts => [ 'again rate_limited 429', 'done 200' ]);
strikes('429 without a reason',
	faults => [ { fault => 'rate_limit_429', times => 2 } ],
	attempts => [ ('again rate_limited 429') x 2, 'done 200' ]);
strikes('429 lock_timeout',
	faults => [ { fault => 'lock_timeout' } ],
	attempts => [ 'again lock_timeout 429', 'done 200' ]);
strikes('a 429 that lies: it was executed',
	faults => [ { fault => 'rate_limit_429', execute => \1 } ],
	attempts => [ 'again rate_limited 429', 'done replayed 200' ]);
strikes('424: something behind Stripe failed',
	faults => [ { fault => 'error_424' } ],
	attempts => [ 'unknown dependency_failed 424', 'done 200' ]);
strikes('500, not stored',
	faults => [ { fault => 'error_500' } ],
	attempts => [ 'unknown server_error 500', 'done 200' ]);
strikes('500 with Stripe-Should-Retry: true',
	faults => [ { fault => 'should_retry_true' } ],
	attempts => [ 'again server_error 500', 'done 200' ]);
strikes('502 from a gateway, in HTML',
	faults => [ { fault => 'html_502' } ],
	attempts => [ 'unknown server_error 502', 'done 200' ]);
strikes('502 from a gateway, though executed',
	faults => [ { fault => 'html_502', execute => \1 } ],
	attempts => [ 'unknown server_error 502', 'done replayed 200' ]);
strikes('402: refused',
	faults => [ { fault => 'declined_402' } ],
	result => 'refused',
	executed => 0,
	attempts => ['refused payment_failed 402']);

# ---- not Stripe's answer: our configuration or somebody in between, so the destination stops

sub resumed_by_itself
{
	my ($call) = @_;
	is($server->sql(q{SELECT state FROM seats.destinations}), 'open', 'the destination is open again');
	is(open_alerts($server), '', 'and no alert is left');
	is($server->sql("SELECT attempts FROM seats.calls WHERE call = $call"),
		'1', 'the halt spent no attempt');
	return;
}

strikes('a redirect is not followed',
	faults => [ { fault => 'redirect', location => $stripe->url . '/v1/customers' } ],
	attempts => [ 'halted redirect 302', 'done 200' ],
	finally => sub {
		my ($call) = @_;
		is(scalar @{ posts_of($stripe, key_of($server, $call)) }, 2, 'it was requested twice');
		resumed_by_itself($call);
	});
strikes('a page with status 200',
	faults => [ { fault => 'html_200' } ],
	attempts => [ 'halted not_stripe 200', 'done 200' ],
	finally => \&resumed_by_itself);
strikes('a page with status 200 in the place of a true answer',
	faults => [ { fault => 'html_200', execute => \1 } ],
	attempts => [ 'halted not_stripe 200', 'done replayed 200' ],
	finally => \&resumed_by_itself);

# ---- it is executed later

strikes('executed after the connection had closed, while we try again: 409, then a replay',
	faults => [ { fault => 'execute_later', until => 'release' } ],
	meanwhile => sub {
		my ($call) = @_;
		await_attempt($server, $call, qr/key_in_use 409/);
		is($server->sql("SELECT doubt FROM seats.outbox WHERE call = $call"), 't',
			'it is in doubt while its key is in use');
		# The destination stands still, so that the number of 409s does not depend on luck.
		$server->sql(q{SELECT seats.pause('stripe', 'until it is executed')});
		await_state($server, $call, 'waiting');
		is(executed_with($stripe, key_of($server, $call)), 0, 'not executed yet');
		$stripe->release;
		wait_until(sub { executed_with($stripe, key_of($server, $call)) }, 'the late execution');
		$server->sql(q{SELECT seats.resume('stripe', 'executed')});
	},
	however_often => qr/^again key_in_use 409$/,
	attempts => \@lost_and_replayed);
strikes('a request that is overtaken by its own repetition',
	faults => [ { fault => 'execute_later', until => 'release', holds_key => \0 } ],
	attempts => [ 'unknown connection_broken', 'done 200' ],
	finally => sub {
		my ($call) = @_;
		$stripe->release;
		wait_until(sub { $stripe->control('GET', '/counters')->{held} == 0 }, 'the late request');
		assert_once_under_any_key($server, $stripe, $call, 1, 'the late one changed nothing');
	});

# ---- Stripe has failed, and keeps saying so: the proof is a read

foreach my $case (
	[ undef, 'search events: done proven_by_event 200' ],
	[ 'list', 'search list: done proven_by_list 200' ])
{
	my ($verifier, $proof) = @$case;
	strikes('500, executed; ' . ($verifier ? "verifier $verifier" : 'no verifier') . ': proven done',
		options => $verifier ? { verifier => $verifier } : {},
		faults => [ { fault => 'execute_and_500' } ],
		attempts => [ @two_500s, $proof ]);
}
strikes('500, not executed, stored; verifier list: once more under a new key',
	options => { verifier => 'list' },
	faults => [ { fault => 'error_500', store => \1 } ],
	attempts => [ @two_500s, 'search list: again proven_not_executed 200', 'done 200' ],
	finally => sub {
		is($server->sql("SELECT generation FROM seats.calls WHERE call = $_[0]"), 2, 'generation 2');
	});
subtest 'a stored 500 that is seen again too early proves nothing yet' => sub {
	# The first request may still have been running behind the first replay.
	set_configuration($server, 'pg_seats.final_answer_gap' => '1h');
	my ($call) = struck_call($server, $stripe, [ { fault => 'error_500', store => \1 } ], verifier => 'list');
	my $due = q{SELECT state, generation, verifications, due_at - key_final_at BETWEEN interval '59 minutes 50 seconds' AND interval '1 hour 10 seconds'
	  FROM seats_internal.outbox WHERE id = } . $call;
	foreach my $replays (1 .. 4)
	{
		wait_until(sub { @{ [ grep {/replayed_error/} @{ attempts_of($server, $call) } ] } == $replays }, "replay $replays");
		$server->wait_for_sql($due, 'waiting|1|0|t');
		pass("replay $replays: it waits for the rest of the gap, without a read");
		$server->sql("SELECT seats.retry($call, 'impatient')") if $replays < 4;
	}
	set_configuration($server, 'pg_seats.final_answer_gap' => '0');
	$server->sql("SELECT seats.retry($call, 'patience')");
	await_state($server, $call, 'done');
	is($server->sql("SELECT generation FROM seats.calls WHERE call = $call"), 2, 'and then the proof counts');
	assert_once_under_any_key($server, $stripe, $call);
	set_configuration($server, 'pg_seats.final_answer_gap' => '1s');
};
strikes('500, not executed, stored; no verifier: a person must decide',
	faults => [ { fault => 'error_500', store => \1 } ],
	result => 'review',
	executed => 0,
	attempts => [ @two_500s, 'search events: unknown not_proven 200' ],
	finally => sub {
		my ($call) = @_;
		is(open_alerts($server), 'review', 'an alert calls for one');
		is($server->sql("SELECT generation FROM seats.calls WHERE call = $call"), 1, 'the key is the same');
		$server->sql("SELECT seats.resolve_review($call, 'not_executed', 'seen in the Dashboard')");
		await_state($server, $call, 'done');
		assert_once_under_any_key($server, $stripe, $call);
		is(open_alerts($server), '', 'and the alert is gone');
	});

# A subscription's quantity, twice in its lane: the second call's read finds the first one's marker.
foreach my $case (
	[ 'execute_and_500', 'read object: done proven_by_marker 200', 1 ],
	[ 'error_500', 'read object: again proven_not_executed 200', 2 ])
{
	my ($fault, $proof, $generation) = @$case;
	my $id = "sub_$fault";
	subtest "$fault, stored; verifier object: the marker decides" => sub {
		seed_subscription($stripe, $id, 5);
		foreach my $quantity (6, 7)
		{
			fresh_connections($stripe);
			$stripe->fault(
				{ match => { method => 'POST', path => "/v1/subscriptions/$id" }, fault => $fault, store => \1 });
			my $call = change_quantity($server, $id, $quantity);
			await_state($server, $call, 'done', 'refused', 'review');
			assert_settled_once($server, $call, 'done');
			assert_once_under_any_key($server, $stripe, $call);
			is($server->sql("SELECT generation FROM seats.calls WHERE call = $call"),
				$generation, "generation $generation");
			is(attempts_of($server, $call)->[3], $proof, "proof for quantity $quantity")
			  or diag(explain(attempts_of($server, $call)));
			is(quantity_of($stripe, $id), $quantity, 'the quantity is there');
		}
	};
}

# ---- doubt is kept

my %plain_400 = (
	fault => 'answer',
	status => 400,
	body => { error => { type => 'invalid_request_error', message => 'No.', param => 'name' } });

strikes('a time-out, then 429, then 400: not refused, for it was executed',
	faults => [ { fault => 'hang_after' }, { fault => 'rate_limit_429' }, {%plain_400} ],
	attempts => [
		'unknown timed_out',
		'again rate_limited 429',
		'unknown refused_after_doubt 400',
		'done replayed 200' ]);
strikes('a time-out, then 400 for ever: a person decides, nothing is compensated',
	faults => [ { fault => 'hang' }, { %plain_400, times => -1 } ],
	meanwhile => sub {
		my ($call) = @_;
		await_state($server, $call, 'review', 'done', 'refused');
		is($server->sql("SELECT doubt FROM seats.outbox WHERE call = $call"), 't', 'still in doubt');
	},
	result => 'review',
	executed => 0,
	however_often => qr/refused_after_doubt 400$|not_proven_yet 200$/,
	attempts => [ 'unknown timed_out', 'search events: unknown not_proven 200' ],
	finally => sub {
		$stripe->clear_faults;
		$server->sql("SELECT seats.resolve_review($_[0], 'same_key', 'it is put right')");
		await_state($server, $_[0], 'done');
	});
strikes('a time-out, then 402: refused, for that answers for the first request, too',
	faults => [ { fault => 'hang' }, { fault => 'declined_402' } ],
	result => 'refused',
	executed => 0,
	attempts => [ 'unknown timed_out', 'refused payment_failed 402' ]);
strikes('400 without any doubt: refused',
	faults => [ {%plain_400} ],
	result => 'refused',
	executed => 0,
	attempts => ['refused invalid_request 400']);

subtest 'a kept connection breaks, curl repeats by itself, and that is refused: in doubt' => sub {
	my ($warm) = named_call($server);
	await_state($server, $warm, 'done');
	my ($call) = struck_call($server, $stripe, [ { fault => 'execute_and_drop' }, \%plain_400 ]);
	await_state($server, $call, 'done', 'refused', 'review');
	is_deeply(attempts_of($server, $call), [ 'unknown refused_after_doubt 400', 'done replayed 200' ],
		'the 400 does not speak for the first request');
	assert_once_under_any_key($server, $stripe, $call);
	$stripe->clear_faults;
};

# ---- nothing was sent

subtest 'Stripe refuses connections: the call thaws, no attempt is spent' => sub {
	$stripe->outage('refuse');
	my ($call) = named_call($server);
	await_breaker($server, 'open');
	await_state($server, $call, 'pending', 'waiting');
	is($server->sql(<<"END"), 'pending|t|0|0|f', 'pending, as if it had never been claimed');
SELECT state, first_sent_at IS NULL, attempts, tries, doubt FROM seats_internal.outbox WHERE id = $call
END
	like(attempts_of($server, $call)->[0], qr/^again not_sent$/, 'but one can see that it was tried');
	$stripe->outage(undef);
	await_state($server, $call, 'done');
	assert_once_under_any_key($server, $stripe, $call);
};

# ---- a key is trusted for a time only

subtest 'past its lifetime a key is not sent again, whatever Stripe may remember' => sub {
	set_configuration($server, 'pg_seats.key_lifetime' => '2s', 'pg_seats.safety_poll' => '200ms');
	my ($call) = struck_call($server, $stripe, [ { fault => 'execute_later', until => 'release' } ]);
	await_state($server, $call, 'review', 'done');
	my $key = key_of($server, $call);
	my $requests = @{ posts_of($stripe, $key) };
	# Stripe forgets the key: sent once more, it would be a second customer.
	$stripe->clear_faults;
	$stripe->release;
	wait_until(sub { executed_with($stripe, $key) }, 'the late execution');
	$stripe->clock_advance(25 * 3600);
	await_another_loop($server);
	is(state_of($server, $call), 'review', 'it waits for a person');
	is(scalar @{ posts_of($stripe, $key) }, $requests, 'and nothing more was sent');
	my ($status, undef, $error) = $server->try_sql("SELECT seats.resolve_review($call, 'same_key', 'x')");
	like($error, qr/can no longer be sent under the same key/, 'a person cannot either');
	$server->sql("SELECT seats.resolve_review($call, 'executed', 'seen in the Dashboard')");
	assert_once_under_any_key($server, $stripe, $call);
};

assert_nothing_twice($stripe);
is($server->sql('SELECT count(*) FROM seats.outbox'), '0', 'nothing is left open');
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
