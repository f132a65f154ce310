# Events that no webhook has brought: the list is read also where webhooks come, none is lost where reading it
# fails, and a list that cannot be read is told of. And what is too old is forgotten, however much it is.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;
use PgSeats::Webhooks;

# Its clock is put right below.
my $stripe = new_simulator(arguments => [ '--clock', time - 3600 ]);
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.event_check_after = '400ms'
pg_seats.webhook_silence = 0
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
define_seat_type($server, 'team');
define_endpoint($server, 'main');

sub list_events { return $server->sql(q{SELECT seats.list_events('stripe', 'the scenario wants it')}) }

sub await_listed
{
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.event_cursor WHERE requested_at IS NULL', '1');
	return;
}

sub found { return $server->sql(q{SELECT count(*) FROM seats.webhook_events WHERE endpoint = 'list:stripe'}) }

subtest 'one that is missing among others that come' => sub {
	new_team($server, $stripe, 'missed', seats => { team => 5 });
	new_team($server, $stripe, 'fresh', seats => { team => 5 });
	$stripe->edit_subscription(subscription_of('missed'), quantities => { item_of('missed', 'team') => 6 });
	$stripe->clock_advance(3600);
	$stripe->edit_subscription(subscription_of('fresh'), quantities => { item_of('fresh', 'team') => 6 });
	like(receive($server, 'main', event_body('charge.succeeded', {})), qr/^200 ignored/, 'a webhook comes');
	$server->sql(q{UPDATE seats_internal.webhook_endpoint SET defined_at = defined_at - interval '25 hours'});
	set_configuration($server, 'pg_seats.webhook_silence' => '1h', 'pg_seats.safety_poll' => '200ms');
	await_seats($server, 'missed', '6|6|0');
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.event_cursor WHERE listed_at IS NOT NULL', '1');
	is(found(), '1', 'it is found once a day; one whose webhook may be on the way is left alone');
	assert_seats($server, 'fresh', [ 5, 5, 0 ], 'which nothing was read for');
	set_configuration($server, 'pg_seats.webhook_silence' => '0', 'pg_seats.safety_poll' => '30s');
	list_events();
	await_seats($server, 'fresh', '6|6|0');
	is(found(), '2', 'when a person asks it is taken, too');
};

subtest 'a page that fails' => sub {
	new_team($server, $stripe, 'old', seats => { team => 5 });
	new_team($server, $stripe, 'busy', seats => { team => 5 });
	$stripe->cancel_subscription(subscription_of('old'));
	$stripe->clock_advance(1000);
	$stripe->edit_subscription(subscription_of('busy'), quantities => { item_of('busy', 'team') => 5 + $_ })
	  foreach 1 .. 150;
	$stripe->fault({ match => { method => 'GET', path => '/v1/events', query => '*starting_after*' },
			fault => 'error_500' });
	list_events();
	await_listed();
	cmp_ok(scalar @{ $stripe->requests(path => '/v1/events', status => 500) }, '>', 0, 'a page had failed');
	$server->wait_for_sql(q{SELECT status FROM seats.teams WHERE team = 'old'}, 'canceled');
	pass('what it would have held is found by the next list');
};

subtest 'a list that is larger than an answer may be' => sub {
	set_configuration($server, 'pg_seats.response_limit' => '64kB');
	$stripe->edit_subscription(subscription_of('busy'), quantities => { item_of('busy', 'team') => 7 });
	list_events();
	await_listed();
	await_seats($server, 'busy', '7|7|0');
	is(open_alerts($server) =~ /events_unreadable/, '', 'is asked for in smaller parts');
	set_configuration($server, 'pg_seats.response_limit' => '1MB');
};

subtest 'a list that is refused' => sub {
	my $words = qr/events of destination stripe cannot be listed: /;
	$stripe->fault({ match => { method => 'GET', path => '/v1/events' }, fault => 'forbidden_403', times => -1 });
	list_events();
	wait_until(sub { open_alerts($server) =~ /events_unreadable/ }, 'an alert');
	like($server->sql(q{SELECT hint FROM seats.alerts WHERE kind = 'events_unreadable'}), qr/Events: Read/,
		'it says what the key needs');
	wait_until(sub { @{ $stripe->requests(path => '/v1/events', status => 403) } > 4 }, 'it to be tried on');
	my @lines = $server->log_text =~ /$words/g;
	is(scalar @lines, 1, 'the log tells of it once');
	is($server->sql(q{SELECT occurrences FROM seats.alerts WHERE kind = 'events_unreadable'}), '1', 'so does the alert');
	$stripe->clear_faults;
	await_listed();
	unlike(open_alerts($server), qr/events_unreadable/, 'the alert is resolved when it can be read');
};

subtest 'forgetting' => sub {
	$server->sql(<<'END');
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, facts, received_at, processed_at)
SELECT 'main', 'evt_old_' || n, 'stripe', 'x', '{}', clock_timestamp() - interval '1 year', clock_timestamp()
  FROM generate_series(1, 3500) AS n
END
	# When it starts it looks; the next look would be in ten minutes.
	my $worker = $server->worker_pid;
	kill 'TERM', $worker;
	$server->wait_for_worker(another_than => $worker);
	$server->wait_for_sql(q{SELECT count(*) FROM seats.webhook_events WHERE event_id LIKE 'evt_old_%'}, '0');
	cmp_ok(found(), '>', 0, 'goes on until what is too old is gone, and nothing else is');
};

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
