# Webhooks: what is refused, what is stored, what follows; and that nothing of it waits for anybody.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;
use IPC::Run;
use PgSeats::Webhooks;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.event_check_after = '5s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
define_seat_type($server, 'team');
define_endpoint($server, 'main');
my $relay = start_relay($server);

subtest 'the functions have no mistake that shows only when they run' => sub {
	plan skip_all => 'plpgsql_check is not installed'
	  unless $server->sql(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'plpgsql_check'});
	$server->sql('CREATE EXTENSION plpgsql_check');
	is($server->sql(<<'END'), '', 'plpgsql_check finds none');
SELECT p.oid::regprocedure, c.lineno, c.message
  FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql',
       plpgsql_check_function_tb(p.oid, fatal_errors => false) AS c
 WHERE p.pronamespace = 'seats_internal'::regnamespace AND p.prorettype <> 'trigger'::regtype
   AND c.level = 'error'
END
};

my $team = new_team($server, $stripe, 'acme', seats => { team => 5 });
my $subscription = subscription_of($team);
my %object = (object => 'subscription', id => $subscription, status => 'active');

sub reads { return scalar @{ $stripe->requests(method => 'GET', path => "/v1/subscriptions/$subscription") } }

# ---- what is refused

subtest 'a signature that is not good' => sub {
	my $body = event_body('customer.subscription.updated', {%object});
	my $good = signature_of($body, endpoint_secret('main'));
	my $before = $server->sql('SELECT count(*) FROM seats.webhook_events');
	is(receive($server, 'main', $body, signature => undef), '400 signature_malformed', 'none');
	is(receive($server, 'main', $body, signature => 'x'), '400 signature_malformed', 'no signature');
	is(receive($server, 'main', $body, signature => 'v1=' . 'a' x 9000), '400 signature_malformed',
		'an endless one');
	is(receive($server, 'main', $body, secret => 'whsec_other'), '400 signature_mismatch', 'another secret');
	is(receive($server, 'main', "$body ", signature => $good), '400 signature_mismatch', 'another body');
	is(receive($server, 'main', $body, at => time - 400), '400 signature_too_old', 'an old one');
	is(receive($server, 'main', $body, at => time + 400), '400 signature_too_new', 'one of the future');
	(my $v0 = $good) =~ s/v1=/v0=/;
	is(receive($server, 'main', $body, signature => $v0), '400 signature_malformed', 'a scheme for tests');
	is(receive($server, 'main', $body, signature => $good . ',v1=' . 'ab' x 32) =~ s/ evt.*//r,
		'200 processed', 'one of several is enough');
	is($server->sql('SELECT count(*) FROM seats.webhook_events') - $before, 1, 'only that one is stored');
};

subtest 'a body that is no event' => sub {
	foreach my $body ('', 'garbage', '[]', '{}', '{"object":"event"}', "\0\xff\xfe", '{"object":"event","id":"evt_1"',
		'{"object":"list","id":"x","type":"y"}')
	{
		is(receive($server, 'main', $body), '400 not_an_event', 'length ' . length $body);
	}
	is(receive($server, 'main', 'x' x (1024 * 1024 + 1)), '413 too_large', 'more than a megabyte');
	is(receive($server, 'main', 'x' x (1024 * 1024)), '400 not_an_event', 'a megabyte is read');
	my ($status, undef, $error) =
	  $server->try_sql(q{SELECT seats.receive_webhook('{}', 't=1,v1=x', 'nowhere')});
	isnt($status, 0, 'an endpoint that is not defined is a mistake of the application');
	like($error, qr/there is no webhook endpoint "nowhere"/, 'and is told as one');
	$server->sql(q{CREATE ROLE stranger; CREATE ROLE app LOGIN; SELECT seats.grant_application('app')});
	($status, undef, $error) =
	  $server->try_sql(q{SET ROLE stranger; SELECT seats.receive_webhook('{}', 't=1,v1=x', 'main')});
	like($error, qr/permission denied/, 'who was not granted it may not call it');
	is($server->sql('SET ROLE app; ' . receive_sql('main', '{}', signature_of('{}', endpoint_secret('main')))),
		'400|not_an_event|', 'an application may, and needs no other privilege');
};

subtest 'live and test mode are kept apart' => sub {
	my $body = event_body('customer.subscription.updated', {%object}, livemode => JSON::PP::true);
	like(receive($server, 'main', $body), qr/^400 wrong_mode/, 'an event of the other mode is refused');
	like(open_alerts($server), qr/webhook_wrong_mode/, 'and a person is told');
	is($server->sql(q{SELECT count(*) FROM seats.webhook_events WHERE livemode}), '0', 'it is not stored');
	# Somebody has the alert's row.
	$server->sql(q{UPDATE seats_internal.alert SET last_seen_at = last_seen_at - interval '2 hours'
		WHERE kind = 'webhook_wrong_mode'});
	my ($in, $out, $error) = ('', '', '');
	my $holder = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $server->connstr($server->database) ], '<', \$in, '>', \$out, '2>', \$error);
	$in = "BEGIN; SELECT count(*) FROM (SELECT FROM seats_internal.alert FOR UPDATE) AS a;\n\\echo locked\n";
	wait_until(sub { $holder->pump_nb; $out =~ /locked/ }, 'a session to lock the alert');
	is($server->sql("SET statement_timeout = '1s'; "
			. receive_sql('main', $body, signature_of($body, endpoint_secret('main')))) =~ s/evt.*//r,
		'400|wrong_mode|', 'the next one does not wait for whoever has the alert');
	$in = "ROLLBACK;\n\\q\n";
	$holder->finish;
	$server->sql(q{UPDATE seats_internal.alert SET last_seen_at = last_seen_at - interval '2 days'
		WHERE kind = 'webhook_wrong_mode'});
	like(receive($server, 'main', event_body('charge.succeeded', {})), qr/^200 ignored/, 'a good event');
	unlike(open_alerts($server), qr/webhook_wrong_mode/, 'resolves the alert, a day after the last wrong one');
	$body = event_body('customer.subscription.updated', {%object}, account => 'acct_connected');
	like(receive($server, 'main', $body), qr/^200 other_account/, 'so are connected accounts');
};

subtest 'secrets are rolled, and may be missing' => sub {
	$server->write_secret('webhook_new', "whsec_new\n");
	$server->sql(q{SELECT seats.define_webhook_endpoint('main', 'stripe', '{webhook_main,webhook_new}')});
	my $type = 'charge.succeeded';
	like(receive($server, 'main', event_body($type, {})), qr/^200 ignored/, 'the former secret is good');
	like(receive($server, 'main', event_body($type, {}), secret => 'whsec_new'), qr/^200 ignored/,
		'so is the new one');
	unlink $server->secrets_directory . '/webhook_new';
	like(receive($server, 'main', event_body($type, {})), qr/^200 ignored/, 'one that is missing does not harm the other');
	is(receive($server, 'main', event_body($type, {}), secret => 'whsec_new'), '500 no_secret',
		'what was signed with it is to come again');
	like(open_alerts($server), qr/webhook_secret_unreadable/, 'a person is told');
	like(receive($server, 'main', event_body($type, {})), qr/^200 ignored/, 'another good one');
	like(open_alerts($server), qr/webhook_secret_unreadable/, 'does not end that');
	$server->write_secret('webhook_new', "whsec_new\n");
	like(receive($server, 'main', event_body($type, {})), qr/^200 ignored/, 'but when all can be read');
	unlike(open_alerts($server), qr/webhook_secret_unreadable/, 'it is over');
	$server->write_secret('webhook_new', " \n");
	is(receive($server, 'main', event_body($type, {}), secret => ''), '500 no_secret',
		'a blank secret verifies nothing');
	$server->sql(q{SELECT seats.define_webhook_endpoint('main', 'stripe', '{webhook_main}')});
	my ($status, undef, $error) = $server->try_sql(
		q{SELECT seats.define_webhook_endpoint('main', 'stripe', '{whsec_abcdefghijklmnopqrstuvwx}')});
	isnt($status, 0, 'a secret in the place of a file name is refused');
};

# ---- what is stored

subtest 'an event is processed once' => sub {
	my $body = event_body('invoice.payment_failed',
		{ object => 'invoice', id => 'in_1', subscription => $subscription, amount_due => 500,
			currency => 'usd', hosted_invoice_url => 'https://invoice.example/1' });
	my ($event) = $body =~ /(evt_\w+)/;
	is(receive($server, 'main', $body), "200 processed $event", 'once');
	is(receive($server, 'main', $body), "200 duplicate $event", 'and not a second time');
	is($server->sql(q{SELECT count FROM seats_internal.webhook_counters() WHERE outcome = 'duplicate'}), 1, 'and is counted');
	my $replayed = $server->sql("SELECT seats.replay_webhook('main', '$event', 'to see')");
	is($replayed, 'processed', 'but when a person wants it');
	is($server->sql(<<"END"), '2|500|https://invoice.example/1', 'the journal tells of it');
SELECT count(*), min(detail ->> 'amount_due'), min(detail ->> 'invoice_url')
  FROM seats.journal WHERE kind = 'invoice.payment_failed' AND detail ->> 'event' = '$event'
END
	my ($status, undef, $error) = $server->try_sql(q{SELECT seats.replay_webhook('main', 'evt_none', 'x')});
	like($error, qr/there is no event/, 'there must be one to replay');
};

subtest 'several deliveries at the same moment' => sub {
	my $body = event_body('invoice.payment_action_required',
		{ object => 'invoice', id => 'in_2', subscription => $subscription });
	my ($event) = $body =~ /(evt_\w+)/;
	my $sql = receive_sql('main', $body, signature_of($body, endpoint_secret('main')));
	my @children = ();
	foreach (1 .. 4)
	{
		open my $psql, '-|', 'psql', '-XAtq', '-d', $server->connstr($server->database), '-c', $sql
		  or die "psql: $!";
		push @children, $psql;
	}
	my %seen = ();
	foreach my $psql (@children)
	{
		local $/;
		my $row = <$psql>;
		close $psql;
		$seen{$row}++;
	}
	# (One that meets another one, or at the row itself, says "stored"; where each has met one, the worker processes it.)
	cmp_ok($seen{"200|processed|$event\n"} // 0, '<=', 1, 'one processes it at most');
	is_deeply([ grep { !/^200\|(processed|duplicate|stored)\|$event\n$/ } keys %seen ], [], 'the others know')
	  or diag(explain(\%seen));
	$server->wait_for_sql("SELECT outcome FROM seats.webhook_events WHERE event_id = '$event'", 'processed');
	is($server->sql("SELECT count(*) FROM seats.journal WHERE detail ->> 'event' = '$event'"), '1',
		'the journal tells of it once');
};

subtest 'client secrets are not stored' => sub {
	my $body = event_body('customer.subscription.updated',
		{ object => 'subscription', id => 'sub_nobody', client_secret => 'pi_1_secret_hidden',
			next => { url => 'https://x.example/?payment_intent_client_secret=pi_1_secret_hidden' } });
	my ($event) = $body =~ /(evt_\w+)/;
	is(receive($server, 'main', $body), "200 unmatched $event", 'the event is');
	my $stored = $server->sql(<<"END");
SELECT encode(payload, 'escape'), facts FROM seats_internal.webhook_event WHERE event_id = '$event'
END
	like($stored, qr/sub_nobody.*\|/s, 'with its content');
	unlike($stored, qr/hidden/, 'without the secret');
	unlike($server->log_text, qr/hidden|whsec_scenario/, 'nor is it in the log');
};

subtest 'types that nothing follows from' => sub {
	my $before = reads();
	foreach (1, 2)
	{
		my $body = event_body('radar.early_fraud_warning.created', { object => 'x', id => "x_$_" });
		like(receive($server, 'main', $body), qr/^200 ignored/, 'are answered 200');
	}
	is($server->sql(q{SELECT count(*) FROM seats.journal WHERE kind = 'webhook.unknown_type'
		AND detail ->> 'type' = 'radar.early_fraud_warning.created'}), '1', 'the journal tells of each type once');
	is($server->sql(q{SELECT count(*) || ' ' || count(payload) FROM seats_internal.webhook_event
		WHERE type = 'radar.early_fraud_warning.created'}), '2 0', 'they are noted, without their content');
	my $body = event_body('customer.subscription.updated', { %object, id => 'sub_nobody' });
	my ($event) = $body =~ /(evt_\w+)/;
	is(receive($server, 'main', $body), "200 unmatched $event", 'nor from a subscription of nobody');
	await_another_loop($server);
	is(reads(), $before, 'nothing was read');
};

subtest 'thin events' => sub {
	my $thin = sub {
		my ($type, $id, $subscription_id) = @_;
		return JSON::PP->new->canonical->encode({
			object => 'v2.core.event', id => $id, type => $type, livemode => JSON::PP::false,
			created => '2026-11-24T12:00:00.000Z',
			related_object => { id => $subscription_id, type => 'subscription', url => "/v1/subscriptions/$subscription_id" },
			reason => { type => 'request', request => { id => 'req_1', idempotency_key => 'k' } } });
	};
	my $before = reads();
	is(receive($server, 'main', $thin->('v2.core.account.updated', 'evt_thin1', 'x')), '200 thin evt_thin1',
		'are recognised');
	is(receive($server, 'main', $thin->('v1.customer.subscription.updated', 'evt_thin2', $subscription)),
		'200 processed evt_thin2', 'and tell of subscriptions as others do');
	wait_until(sub { reads() > $before }, 'the subscription to be read');
	pass('it was read');
};

# ---- what follows

send_webhooks($stripe, $relay, 'main');

subtest 'a change in the Dashboard' => sub {
	my $before = reads();
	$stripe->edit_subscription($subscription, quantities => { item_of($team, 'team') => 9 });
	await_seats($server, $team, '9|9|0');
	webhooks_are_quiet($stripe);
	await_another_loop($server);
	is(reads() - $before, 1, 'is read, once');
	assert_in_step($server, $stripe, $team, { team => 9 });
};

subtest 'a change of our own' => sub {
	my $before = reads();
	my $change = add_seats($server, $team, 2);
	await_change($server, $change, 'confirmed');
	webhooks_are_quiet($stripe);
	wait_until(
		sub {
			$server->sql(q{SELECT count(*) FROM seats_internal.expected_event}) eq '0'
		},
		'its event to be compared');
	await_another_loop($server);
	cmp_ok(reads() - $before, '<=', 1, 'is not read after its events (before it, perhaps)');
	is(scalar @{ $stripe->requests(path => '/v1/events') }, 0, 'and nobody has to ask for its event');
	assert_in_step($server, $stripe, $team, { team => 11 });
};

subtest 'a call in doubt' => sub {
	# Without its event it would be sent again in a minute.
	set_configuration($server, 'pg_seats.retry_delay' => '60s', 'pg_seats.retry_delay_limit' => '60s');
	$server->wait_for_sql('SHOW pg_seats.retry_delay', '1min');
	$stripe->fault({ match => { method => 'POST', path => "/v1/subscriptions/$subscription" },
			fault => 'execute_and_500' });
	my $change = add_seats($server, $team, 1);
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, $team, { team => 12 });
	assert_executed_once_by($stripe, key_of($server, $change), 'it was executed once');
	is(scalar @{ posts_of($stripe, key_of($server, $change)) }, 1, 'and proven by a read, not sent again');
	# The other way round: its event is there before its answer is lost.
	webhooks_are_quiet($stripe);
	fresh_connections($stripe);  # or curl sends it again by itself
	fault_for($stripe, $team, fault => 'hang_after');
	my $next = add_seats($server, $team, 1);
	my $key = $stripe->await_held(method => 'POST')->{key};
	$server->wait_for_sql("SELECT count(*) > 0 FROM seats.webhook_events WHERE idempotency_key = '$key' AND outcome = 'processed'", 't');
	$stripe->release(method => 'POST', action => 'drop');
	await_attempt($server, $next, qr/connection_broken/);
	isnt(state_of($server, $next), 'waiting', 'what has been told before is not waited for') or return;
	await_change($server, $next, 'confirmed');
	is(scalar @{ posts_of($stripe, $key) }, 1, 'it is proven by a read, too');
	set_configuration($server, 'pg_seats.retry_delay' => '20ms', 'pg_seats.retry_delay_limit' => '200ms');
};

subtest 'a generation that was taken for dead' => sub {
	my $change = add_seats($server, $team, 1);
	await_change($server, $change, 'confirmed');
	webhooks_are_quiet($stripe);
	my $key = key_of($server, $change);
	# As if it had been proven not to be executed, and made again.
	$server->sql("UPDATE seats_internal.outbox_history SET generation = 2 WHERE id = $change");
	my $body = event_body('customer.subscription.updated', {%object},
		request => { id => 'req_x', idempotency_key => $key });
	like(receive($server, 'main', $body), qr/^200 processed/, 'its event comes');
	like(open_alerts($server), qr/superseded_call_executed/, 'a person is told');
	$server->sql(q{SELECT seats.acknowledge(alert, 'seen') FROM seats.alerts WHERE kind = 'superseded_call_executed'});
	is($server->sql(q{SELECT state FROM seats.alerts WHERE kind = 'superseded_call_executed'}), 'resolved',
		'acknowledging ends it: the next one is told again');
	$server->sql("UPDATE seats_internal.outbox_history SET generation = 1 WHERE id = $change");
};

subtest 'a change that waits for its payment' => sub {
	define_seat_type($server, 'guest', increase_payment_behavior => 'pending_if_incomplete');
	my $payer = new_team($server, $stripe, 'payer', seats => { guest => 1 }, card => 'declined');
	my $change = add_seats($server, $payer, 2, type => 'guest');
	await_change($server, $change, 'awaiting_payment');
	$stripe->set_card(customer_of($payer), 'ok');
	my ($invoice) = $server->sql(
		"SELECT detail ->> 'invoice' FROM seats.journal WHERE kind = 'change.awaiting_payment' AND call = $change");
	$stripe->pay_invoice($invoice);
	# The next look without an event would be in a minute.
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, $payer, { guest => 3 });
	webhooks_are_quiet($stripe);
	$server->wait_for_sql("SELECT count(*) FROM seats.journal WHERE kind = 'invoice.paid' AND detail ->> 'invoice' = '$invoice'", '1');
};

subtest 'every type' => sub {
	my @types = split /\n/, $server->sql(
		q{SELECT concat_ws(' ', type, journal_kind) FROM seats_internal.webhook_types() WHERE NOT of_price AND of_payment IS NULL});
	cmp_ok(scalar @types, '>', 10, 'there are some');
	foreach (@types) {
		my ($type, $kind) = split / /;
		my $object =
		  $type =~ /^invoice/
		  ? { object => 'invoice', id => "in_$type", customer => 'cus_acme', status => 'open',
			parent => { subscription_details => { subscription => $subscription } } }
		  : { %object, trial_end => 1_800_000_000 };
		my $before = reads();
		my $body = event_body($type, $object);
		my ($event) = $body =~ /(evt_\w+)/;
		is(receive($server, 'main', $body), "200 processed $event", "$type is processed");
		wait_until(sub { reads() > $before }, "the subscription to be read after $type");
		is($server->sql("SELECT kind FROM seats.journal WHERE detail ->> 'event' = '$event'"),
			$kind // '', $kind ? 'and told to the application' : 'and told by what is read');
	}
	assert_in_step($server, $stripe, $team, { team => 14 });
};

subtest 'nobody waits for a locked team' => sub {
	my ($in, $out, $error) = ('', '', '');
	my $holder = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $server->connstr($server->database) ], '<', \$in, '>', \$out, '2>', \$error);
	$in = "BEGIN; SELECT change FROM seats.add_seats('acme', 'team', 1, 'owner of acme');\n\\echo locked\n";
	wait_until(sub { $holder->pump_nb; $out =~ /locked/ }, 'a session to lock the team');
	my $body = event_body('customer.subscription.updated', {%object});
	my ($event) = $body =~ /(evt_\w+)/;
	is($server->sql("SET statement_timeout = '2s'; "
			. receive_sql('main', $body, signature_of($body, endpoint_secret('main')))),
		"200|processed|$event", 'it is answered at once');
	$stripe->edit_subscription($subscription, quantities => { item_of($team, 'team') => 20 });
	webhooks_are_quiet($stripe);
	$in = "ROLLBACK;\n\\q\n";
	$holder->finish;
	await_seats($server, $team, '20|20|0');
	assert_in_step($server, $stripe, $team, { team => 20 });
};

subtest 'what cannot be processed at once' => sub {
	my $body = event_body('invoice.paid',
		{ object => 'invoice', id => 'in_9', subscription => $subscription });
	my ($event) = $body =~ /(evt_\w+)/;
	# Something that is broken.
	$server->sql('ALTER FUNCTION seats_internal.journal_event(seats_internal.webhook_event, seats_internal.team, text) RENAME TO journal_event_broken');
	is(receive($server, 'main', $body), "200 stored $event", 'is stored, and answered 200');
	$server->wait_for_sql("SELECT tries > 1 FROM seats.webhook_events WHERE event_id = '$event'", 't');
	like($server->sql("SELECT error FROM seats.webhook_events WHERE event_id = '$event'"), qr/journal_event.*42883/,
		'tried again, and visible with its error');
	is($server->sql(q{SELECT status FROM seats.health WHERE check_name = 'webhooks'}), 'warning',
		'health tells of it');
	$server->sql(qq{UPDATE seats_internal.webhook_event SET tries = 7 WHERE event_id = '$event'});
	wait_until(sub { open_alerts($server) =~ /webhook_failed/ }, 'an alert after too many tries');
	$server->sql('ALTER FUNCTION seats_internal.journal_event_broken(seats_internal.webhook_event, seats_internal.team, text) RENAME TO journal_event');
	is($server->sql("SELECT seats.replay_webhook('main', '$event', 'mended')"), 'processed', 'a person has it processed');
	unlike(open_alerts($server), qr/webhook_failed/, 'the alert is gone');
	is($server->sql(q{SELECT status FROM seats.health WHERE check_name = 'webhooks'}), 'ok', 'all is well');
};

subtest 'a team that is registered later' => sub {
	$stripe->control('POST', '/subscriptions',
		{ id => 'sub_late', customer => 'cus_late', items => [ { id => 'si_late', price => 'price_team', quantity => 3 } ] });
	$stripe->edit_subscription('sub_late', quantities => { si_late => 4 });
	webhooks_are_quiet($stripe);
	is($server->sql(q{SELECT outcome FROM seats.webhook_events WHERE subscription = 'sub_late'}), 'unmatched',
		'its event belongs to nobody');
	my $body = event_body('invoice.payment_action_required',
		{ object => 'invoice', id => 'in_late', subscription => 'sub_late' });
	my ($event) = $body =~ /(evt_\w+)/;
	is(receive($server, 'main', $body), "200 unmatched $event", 'nor that of its invoice');
	$server->sql(q{SELECT seats.register_team('late', 'sub_late')});
	await_seats($server, 'late', '4|4|0');
	pass('it is read when it is registered');
	# Long before the worker would look by itself.
	$server->wait_for_sql("SELECT count(*) FROM seats.journal WHERE kind = 'invoice.payment_action_required' AND detail ->> 'event' = '$event'", '1');
	await_outcome($server, $event, 'processed');
	pass('and the application is told what had come before');
};

subtest 'two reads at the same time' => sub {
	$stripe->fault({ match => { method => 'GET', path => "/v1/subscriptions/$subscription" }, fault => 'hang_after' });
	my $body = event_body('customer.subscription.updated', {%object});
	like(receive($server, 'main', $body), qr/^200 processed/, 'one read is left');
	$stripe->await_held(method => 'GET');
	$stripe->edit_subscription($subscription, quantities => { item_of($team, 'team') => 25 });
	webhooks_are_quiet($stripe);
	is($server->sql(q{SELECT count(*) FROM seats_internal.outbox WHERE kind = 'read'}), '2',
		'another one while it is on the wire');
	$stripe->release(method => 'GET');
	await_seats($server, $team, '25|25|0');
	assert_in_step($server, $stripe, $team, { team => 25 });
};

subtest 'a subscription that is cancelled' => sub {
	$stripe->cancel_subscription($subscription);
	$server->wait_for_sql(q{SELECT DISTINCT status FROM seats.teams WHERE team = 'acme'}, 'canceled');
	pass('its event has it read');
};

subtest 'an endpoint that the caller does not see yet' => sub {
	my $session = $server->background_psql('postgres', on_error_stop => 0);
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_catalog.count(*) FROM pg_catalog.pg_class');
	define_endpoint($server, 'fresh');
	my $body = event_body('customer.subscription.updated', {%object});
	my $receive = receive_sql('fresh', $body, signature_of($body, endpoint_secret('fresh')));
	like($session->query($receive), qr/^500\|busy\|/, 'Stripe is to send it again');
	$session->query('COMMIT');
	is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'webhook_wrong_mode' AND summary LIKE '%fresh%'}), '0',
		'… and nobody is told that its mode is wrong');
	like($session->query("BEGIN; $receive; SELECT current_setting('lock_timeout'), current_setting('enable_seqscan'), current_setting('jit')"),
		qr/^200\|processed\|\w+\n0\|on\|on$/, 'it sees it later, and its settings are what they were');
	$session->query('COMMIT');
	$session->quit;
};

stop_relay($relay);
assert_nothing_twice($stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
