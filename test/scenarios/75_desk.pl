# An operator's desk in front of a worker: what an outage has left is listed, counted and tried at once, each call once at
# Stripe; and a review's page has what the person decides by.
use strict;
use warnings;
use JSON::PP;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '60s'
pg_seats.retry_delay_limit = '1h'
pg_seats.final_answer_gap = '0'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;

# Calls that Stripe has not taken, and that are tried again in an hour. (The pause is drawn by lot, so that some may be tried
# meanwhile.)
sub put_off
{
	my (@calls) = @_;
	my $ids = join ', ', @calls;
	wait_until(
		sub {
			$server->sql("UPDATE seats_internal.outbox SET due_at = now() + interval '1 hour' WHERE id IN ($ids) AND state = 'waiting'");
			return $server->sql("SELECT count(*) FROM seats.outbox WHERE call IN ($ids) AND state = 'waiting'
				AND reason = 'rate_limited' AND due_at > now() + interval '30 minutes'") == @calls;
		},
		'all calls to wait');
	return;
}

subtest 'what waits is tried at once, if it is as much as was counted' => sub {
	my @calls = map { [ struck_call($server, $stripe, [ { fault => 'rate_limit_429', times => 50 } ]) ] } 1 .. 4;
	put_off(map { $_->[0] } @calls);
	my $filter = '{"state": "waiting", "destination": "stripe", "reason": "rate_limited"}';
	is($server->sql("SELECT string_agg(call::text, ' ') FROM seats.list_calls('$filter')"), join(' ', map { $_->[0] } @calls), 'they are listed');
	is($server->sql(q{SELECT count, is_more FROM seats.counts() WHERE what = 'calls_waiting'}), '4|f', '… and among the numbers on the desk');
	my ($up_to, $count) = split /\|/, $server->sql("SELECT up_to_id, calls FROM seats.count_retryable('$filter')");
	is($count, 4, 'and counted');
	my ($late) = struck_call($server, $stripe, [ { fault => 'rate_limit_429', times => 50 } ]);
	put_off($late);
	my $error;
	$server->psql('postgres', "SELECT seats.retry_all('$filter', $late, $count, 'too early')", stderr => \$error);
	like($error, qr/5 calls can be changed now, not 4/, 'with one that came later it is another number');
	$stripe->clear_faults;
	is($server->sql("BEGIN; SET LOCAL pg_seats.person = 'Olga'; SELECT seats.retry_all('$filter', $up_to, $count, 'ticket 40'); COMMIT"), 4,
		'those that were counted are tried');
	await_state($server, $_->[0], 'done') foreach @calls;
	assert_once_under_any_key($server, $stripe, $_->[0]) foreach @calls;
	is(state_of($server, $late), 'waiting', 'the one that came later waits');
	$server->wait_for_sql(q{SELECT count(*), min(person), min(reason) FROM seats.search_journal('{"kind": "operator.retry"}') WHERE number IS NOT NULL},
		'4|Olga|ticket 40');
	pass('the journal has an entry for each, with who it was');
	$server->sql("SELECT seats.retry($late, 'now this one')");
	await_state($server, $late, 'done');
};

subtest 'a review on its page' => sub {
	set_configuration($server, 'pg_seats.retry_delay' => '20ms');
	set_configuration($server, 'pg_seats.retry_delay_limit' => '100ms');
	my ($call) = struck_call($server, $stripe, [ { fault => 'error_500', store => \1 } ]);
	await_state($server, $call, 'review');
	my $page = decode_json($server->sql("SELECT seats.review_page($call)"));
	is($page->{in_review}, 'call', 'it says what is in review');
	is_deeply([ map { $_->{decision} } @{ $page->{decisions} } ], [qw(executed not_executed same_key refuse)], '… and how it may be decided');
	is(scalar(grep { $_->{verdict} eq 'unknown' && $_->{http_status} == 500 } @{ $page->{attempts} }) > 0, 1, '… what Stripe said');
	is($page->{attempts}[-1]{purpose}, 'search events', '… what was looked for last');
	is($page->{evidence}{alerts}[0]{kind}, 'review', '… and what a person was told');
	is_deeply($page->{verbs}, ['resolve_review'], '… and one verb');
	$server->sql("SELECT seats.resolve_review($call, 'refuse', 'not wanted any more')");
	my $after = decode_json($server->sql("SELECT seats.review_page($call)"));
	is($after->{in_review}, undef, 'then nobody has to decide any more');
	is_deeply([ $after->{state}, $after->{decisions}, $after->{verbs} ], [ 'refused', [], [] ], '… as the page says');
};

subtest 'events that wait are processed at once' => sub {
	$server->sql(<<'END');
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, retry_at, error, tries, facts)
SELECT 'main', 'evt_desk' || n, 'stripe', 'x', now() + interval '1 hour', 'an error', 3, '{"id": "evt_desk", "type": "x"}'
  FROM generate_series(1, 3) AS n
END
	is($server->sql('SELECT error, events FROM seats.list_webhook_problems()'), 'an error|3', 'they are listed by what they failed of');
	my ($up_to, $events) = split /\|/, $server->sql(q{SELECT * FROM seats.count_replayable('{"error": "an error"}')});
	is($server->sql(qq{SELECT seats.replay_webhooks_all('{"error": "an error"}', '$up_to', $events, 'the cause is gone')}), 3, 'all of them');
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.webhook_event WHERE processed_at IS NOT NULL AND event_id LIKE 'evt_desk%'}, 3);
	is($server->sql('SELECT count(*) FROM seats.list_webhook_problems()'), 0, 'none is left');
};

assert_nothing_twice($stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
