# Stripe is away for a while, in several ways. What waits is sent when it is back: each call once, in
# the order of its lane; and while it is away nothing is spent on it.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.request_timeout = '1s'
pg_seats.connect_timeout = '1s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;

my $lanes = 60;
my $round = 0;

# So many calls in every lane, their names numbered: 'round 1 lane 7 number 3'. The lanes are mixed,
# as many customers would.
sub enqueue_over_lanes
{
	my ($per_lane) = @_;
	++$round;
	$server->sql(<<"END");
SELECT count(seats.enqueue_call('stripe', 'POST', '/v1/customers',
           jsonb_build_object('name', format('round %s lane %s number %s', $round, lane, number)),
           lane => 'lane ' || lane))
  FROM (SELECT lane, number FROM generate_series(1, $per_lane) AS number,
               generate_series(1, $lanes) AS lane ORDER BY number, lane) AS wanted
END
	return $lanes * $per_lane;
}

# Of this round: so many were executed, each once, and in every lane in order. The ledger is in the
# order of execution.
sub assert_round
{
	my ($calls) = @_;
	my (%next, @out_of_order);
	my $rows = $stripe->worker_ledger;
	my $found = 0;
	foreach my $row (@$rows)
	{
		my ($lane, $number) = $row->{parameters}{name} =~ /^round $round lane (\d+) number (\d+)$/
		  or next;
		$found++;
		push @out_of_order, $row->{parameters}{name} if ++$next{$lane} != $number;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($found, $calls, "all $calls calls were executed");
	is("@out_of_order", '', 'in every lane one after the other, in the order of their ids');
	assert_nothing_twice($stripe);
	return is($server->sql(q{SELECT count(*) FROM seats.calls WHERE state <> 'done'}),
		'0', 'and all are settled as done');
}

sub spent
{
	return $server->sql(q{SELECT coalesce(sum(attempts), 0), coalesce(sum(tries), 0),
	    count(*) FILTER (WHERE state <> 'pending'), count(first_sent_at) FROM seats_internal.outbox});
}

# ---- connections are refused

subtest 'Stripe refuses connections' => sub {
	$stripe->outage('refuse');
	my $calls = enqueue_over_lanes(5);
	await_breaker($server, 'open');
	wait_until(sub { spent() eq '0|0|0|0' }, 'every call to be pending again, with nothing spent');
	is($server->sql('SELECT state FROM seats.destinations'), 'interrupted', 'one can see that it is away');
	# While probes come and go.
	my $sent = $server->sql('SELECT sent FROM seats.worker_status');
	wait_until(sub { $server->sql('SELECT sent FROM seats.worker_status') > $sent + 1 }, 'two probes');
	is(spent(), '0|0|0|0', 'nor is anything spent by the probes');
	is($server->sql(q{SELECT bool_and(held > 0) FROM seats.destinations}), 't', 'the calls are held');
	$stripe->outage(undef);
	await_all_settled($server);
	assert_round($calls);
	# (What is shown may be a tenth of a second old.)
	await_breaker($server, 'closed');
	is(open_alerts($server), '', 'an outage leaves no alert');
};

# ---- connections are accepted, and nobody answers

subtest 'Stripe accepts connections and says nothing' => sub {
	$stripe->outage('hang');
	my $calls = enqueue_over_lanes(3);
	await_breaker($server, 'open');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.outbox WHERE state = 'sending'}, '0');
	is($server->sql(q{SELECT bool_and(doubt) FROM seats.outbox WHERE attempts > 0}),
		't', 'whatever was sent is in doubt');
	is($server->sql(q{SELECT count(*) FROM seats.outbox AS o WHERE attempts > 0 AND EXISTS
		   (SELECT FROM seats.outbox AS b WHERE b.lane = o.lane AND b.call < o.call)}),
		'0', 'of each lane only the first call was sent');
	my $before = spent();
	my $sent = $server->sql('SELECT sent FROM seats.worker_status');
	wait_until(sub { $server->sql('SELECT sent FROM seats.worker_status') > $sent + 1 }, 'two probes');
	is(spent(), $before, 'while it is away no attempt is spent');
	$stripe->outage(undef);
	await_all_settled($server);
	assert_round($calls);
};

# ---- every answer is a 503

subtest 'every answer is 503: what is sent meanwhile is a read' => sub {
	$stripe->fault({ match => {}, fault => 'html_502', status => 503, times => -1 });
	my $calls = enqueue_over_lanes(3);
	await_breaker($server, 'open');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.outbox WHERE state = 'sending'}, '0');
	my $before = spent();
	my $last = $stripe->requests->[-1]{number};
	my $probes = sub { return $stripe->requests(after => $last) };
	wait_until(sub { @{ $probes->() } >= 2 }, 'two probes');
	is_deeply([ grep { $_ ne 'GET /v1/account' } map {"$_->{method} $_->{path}"} @{ $probes->() } ],
		[], 'the half-open breaker tries it with a read');
	is(spent(), $before, 'and no attempt is spent');
	$stripe->clear_faults;
	await_all_settled($server);
	assert_round($calls);
};

# ---- too fast for Stripe

subtest '429: it slows down, and nothing is lost' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'let them gather')});
	$server->define_destination('stripe', requests_per_second => 100);
	my $calls = enqueue_over_lanes(2);
	$stripe->control('POST', '/limits', { requests_per_second => 20 });
	my $limited = $stripe->counters->{by_status}{429} // 0;
	$server->sql(q{SELECT seats.resume('stripe', 'off we go')});
	$server->wait_for_sql(
		'SELECT requests_per_second < requests_per_second_limit FROM seats.destinations', 't');
	await_all_settled($server);
	assert_round($calls);
	my $refused = ($stripe->counters->{by_status}{429} // 0) - $limited;
	cmp_ok($refused, '>', 0, 'Stripe had said 429');
	diag("$refused times 429 for $calls calls at 20 a second");
	is(breaker_of($server), 'closed', 'that is no outage');
	$stripe->control('POST', '/limits', { requests_per_second => 0 });
	$server->define_destination('stripe', requests_per_second => 500);
};

# ---- the worker or the server ends meanwhile

subtest 'a restart during an outage' => sub {
	$stripe->outage('refuse');
	my $calls = enqueue_over_lanes(2);
	await_breaker($server, 'open');
	$server->restart;
	$server->wait_for_worker;
	$calls += $lanes;
	$server->sql(<<"END");
SELECT count(seats.enqueue_call('stripe', 'POST', '/v1/customers',
           jsonb_build_object('name', format('round %s lane %s number 3', $round, lane)),
           lane => 'lane ' || lane)) FROM generate_series(1, $lanes) AS lane
END
	$stripe->outage(undef);
	await_all_settled($server);
	assert_round($calls);
};

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
