# Events that no webhook has brought: none is lost where reading Stripe's list of them fails, and a list that
# cannot be read is told of.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;
use PgSeats::Webhooks;

my $stripe = new_simulator();
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

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
