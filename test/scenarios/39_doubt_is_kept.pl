# What may have been executed stays in doubt until something proves it, and its key stays what it is: each
# subtest makes one thing happen that must not end the doubt, and shows what would go wrong if it did.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '50ms'
pg_seats.final_answer_gap = 0
# Rows are set to a state by hand here, which wakes nobody.
pg_seats.safety_poll = '500ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');

my %plain_400 = (
	fault => 'answer',
	status => 400,
	body => { error => { type => 'invalid_request_error', message => 'No.', param => 'name' } });
my %not_found = (
	fault => 'answer',
	status => 404,
	body => { error => {
			type => 'invalid_request_error', code => 'resource_missing', message => 'No such customer', param => 'customer' } });

sub generation_of { return $server->sql("SELECT generation FROM seats.calls WHERE call = $_[0]") }

sub decide { $server->sql("SELECT seats.resolve_review($_[0], '$_[1]', 'seen in the Dashboard')"); return }

subtest 'a key that was not used up yet: nothing is proven by what stood there before' => sub {
	# In a list, and by a marker. Stripe forgets what it has failed at, so the key may still do it.
	foreach my $verifier ('list', 'object')
	{
		my $id = "sub_early_$verifier";
		seed_subscription($stripe, $id, 1);
		my %match = $verifier eq 'list' ? (body => '*early*') : (path => "/v1/subscriptions/$id");
		$stripe->fault({ match => { method => 'POST', %match }, fault => 'error_500', times => 4 });
		my $call = $verifier eq 'list'
		  ? $server->enqueue('/v1/customers', { name => 'early' }, verifier => 'list')
		  : change_quantity($server, $id, 4);
		is(settled_as($server, $call), 'done', "$verifier: it is done in the end");
		is(generation_of($call), '1', '… under its first key');
		ok((grep {/^(?:read|search) /} @{ attempts_of($server, $call) }), '… after a look that proved nothing')
		  or diag(explain(attempts_of($server, $call)));
	}
};

subtest 'a final answer that was seen a moment ago: nothing is proven by what stood there before' => sub {
	# An event may have it verified before the gap is over.
	set_configuration($server, 'pg_seats.final_answer_gap' => '1h');
	seed_subscription($stripe, 'sub_gap', 1);
	$stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/sub_gap' }, fault => 'error_500', store => \1 });
	my $call = change_quantity($server, 'sub_gap', 4);
	await_attempt($server, $call, qr/replayed_error/);
	await_state($server, $call, 'waiting');
	# Somebody is impatient.
	$server->sql("SELECT seats.retry($call, 'impatient')");
	wait_until(sub { 2 == grep {/replayed_error/} @{ attempts_of($server, $call) } }, 'another replay');
	await_state($server, $call, 'waiting', 'review', 'pending', 'done');
	is($server->sql("SELECT state, generation, verifications FROM seats_internal.outbox WHERE id = $call"), 'waiting|1|0',
		'seen again too early it proves nothing') or return;
	$server->sql("UPDATE seats_internal.outbox SET state = 'verifying', due_at = NULL, eligible_xid = pg_current_xact_id()
	     WHERE id = $call AND state = 'waiting'");
	is(settled_as($server, $call), 'review not_proven', 'a person decides');
	is(generation_of($call), '1', 'it has no new key');
	set_configuration($server, 'pg_seats.final_answer_gap' => '0');
	decide($call, 'not_executed');
	is(settled_as($server, $call), 'done', 'then it goes');
};

subtest 'after a failover, what was sent a day ago may have been sent a moment ago' => sub {
	seed_subscription($stripe, 'sub_again', 1);
	$server->sql(q{SELECT seats.pause('stripe', 'the failover comes first')});
	my $call = change_quantity($server, 'sub_again', 4);
	# What the primary has sent since, nobody knows; and the server is on another timeline than the known one.
	$server->sql("UPDATE seats_internal.outbox SET state = 'waiting', doubt = true, tries = 1, attempts = 1,
	     created_at = now() - interval '26 hours', first_sent_at = now() - interval '25 hours',
	     last_sent_at = now() - interval '25 hours' WHERE id = $call");
	$server->sql('UPDATE seats_internal.installation SET timeline = timeline + 100');
	my $worker = $server->worker_pid;
	$server->sql("SELECT pg_terminate_backend($worker)");
	$server->wait_for_worker(another_than => $worker);
	$server->sql(q{SELECT seats.resume('stripe', 'it is over')});
	is(settled_as($server, $call), 'review not_proven', 'a person decides');
	is(generation_of($call), '1', 'it has no new key');
	decide($call, 'not_executed');
	is(settled_as($server, $call), 'done', 'then it goes');
	is(quantity_of($stripe, 'sub_again'), 4, 'once');
};

subtest 'proven not to be executed: the next key begins without doubt' => sub {
	my ($call) = struck_call($server, $stripe,
		[ { fault => 'error_500', store => \1 }, { match => { nth => 3 }, %plain_400 } ], verifier => 'list');
	ok(eval { wait_until(sub { generation_of($call) eq '2' }, 'another key') }, 'it has another key') or return;
	isnt($server->sql("SELECT doubt FROM seats_internal.outbox WHERE id = $call"), 't', 'of which nothing is in doubt')
	  or return;
	is(settled_as($server, $call), 'refused invalid_request', 'what is refused then is refused');
	$stripe->clear_faults;
};

subtest 'a look that never proves anything ends before a person' => sub {
	$stripe->fault({ match => { method => 'GET', path => '/v1/events' }, times => -1, fault => 'answer', status => 200,
			body => { object => 'list', has_more => \0, data => [] } });
	my ($call) = struck_call($server, $stripe, [ { fault => 'execute_and_drop' }, { fault => 'error_500', times => -1 } ]);
	my $looks = sub { return scalar grep {/^search events/} @{ attempts_of($server, $call) } };
	wait_until(sub { $looks->() > 8 || state_of($server, $call) =~ /^(?:review|done|refused)$/ }, 'it to be looked at',
		timeout => 60);
	is(state_of($server, $call), 'review', 'it ends there') or diag(explain(attempts_of($server, $call)));
	is($looks->(), 6, 'after six looks');
	$stripe->clear_faults;
	decide($call, 'same_key');
	is(settled_as($server, $call), 'done replayed', 'who has it sent once more learns that it was executed');
};

subtest 'a 404 about what curl has sent twice, and the read about that fails: a refusal refuses nothing' => sub {
	# A kept connection breaks, and curl repeats by itself: the row does not know of any doubt yet.
	my ($warm) = named_call($server);
	await_state($server, $warm, 'done');
	$server->sql(q{SELECT seats.pause('stripe', 'the faults come first')});
	my $customer = $stripe->create_customer(name => 'twice');
	my $path = "/v1/customers/$customer->{id}";
	$stripe->fault({ match => { method => 'POST', path => $path }, fault => 'execute_and_drop' });
	$stripe->fault({ match => { method => 'POST', path => $path }, %not_found });
	$stripe->fault({ match => { method => 'GET', path => $path }, fault => 'lock_timeout' });
	$stripe->fault({ match => { method => 'POST', path => $path }, %plain_400 });
	my $call = $server->enqueue($path, { description => 'twice' });
	$server->sql(q{SELECT seats.resume('stripe', 'the faults are there')});
	is(settled_as($server, $call), 'done replayed', 'it was executed, and is done')
	  or diag(explain(attempts_of($server, $call)));
	$stripe->clear_faults;
};

subtest 'a change in doubt that is turned away keeps its call, whatever is known meanwhile' => sub {
	new_team($server, $stripe, 'kept');
	my %match = (match => { method => 'POST', path => '/v1/subscriptions/sub_kept' });
	fresh_connections($stripe);  # or curl sends it again by itself
	$stripe->fault({ %match, fault => 'close_before' });
	$stripe->fault({ %match, fault => 'lock_timeout', times => -1 });
	my $first = add_seats($server, 'kept', 1);
	await_attempt($server, $first, qr/lock_timeout/);
	# Planned anew, it would be another request under its key, which may have been executed.
	$stripe->edit_subscription('sub_kept', quantities => { si_kept_team => 9 });
	reconcile($server, 'kept');
	my $second = add_seats($server, 'kept', 2);
	my $turned_away = sub { return scalar grep {/lock_timeout/} @{ attempts_of($server, $first) } };
	my $before = $turned_away->();
	ok(eval { wait_until(sub { $turned_away->() > $before + 1 }, 'more answers') }, 'it is tried on') or diag($@);
	is($server->sql("SELECT base ->> 'team', target ->> 'team' FROM seats_internal.outbox WHERE id = $first"), '5|6',
		'it asks for what it has asked for');
	$stripe->clear_faults;
	is(await_change($server, $_, 'confirmed', 'reverted', 'in_review'), 'confirmed', "change $_ is confirmed")
	  foreach $first, $second;
	assert_in_step($server, $stripe, 'kept', { team => 8 });
};

subtest 'a call in doubt whose repetition never left is older than that' => sub {
	fresh_connections($stripe);
	my ($call, $name) = struck_call($server, $stripe, [ { fault => 'hang' } ]);
	$stripe->await_held(method => 'POST');
	my $first_sent = $server->sql("SELECT first_sent_at FROM seats_internal.outbox WHERE id = $call");
	$stripe->outage('refuse');
	await_attempt($server, $call, qr/not_sent/);
	is($server->sql("SELECT doubt, first_sent_at = '$first_sent' FROM seats_internal.outbox WHERE id = $call"), 't|t',
		'its key has lived since it was first sent');
	$stripe->outage(undef);
	is(settled_as($server, $call) =~ /^done/ ? 'done' : 'not done', 'done', 'and it goes on');
	$stripe->clear_faults;
};

subtest 'a key keeps the version that it was first used with' => sub {
	fresh_connections($stripe);  # or curl sends it again by itself
	my ($call) = struck_call($server, $stripe, [ { fault => 'hang' }, { fault => 'hang' } ]);
	$stripe->await_held(method => 'POST');
	my $version = $server->sql("SELECT api_version FROM seats_internal.outbox WHERE id = $call");
	$server->sql(q{UPDATE seats_internal.destination SET api_version = '2026-06-24.dahlia' WHERE name = 'stripe'});
	$stripe->release(method => 'POST', action => 'drop');
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } && @{ posts_of($stripe, key_of($server, $call)) } > 1 },
		'it to be sent again');
	is($server->sql("SELECT api_version FROM seats_internal.outbox WHERE id = $call"), $version, 'the same');
	$server->sql("UPDATE seats_internal.destination SET api_version = '$version' WHERE name = 'stripe'");
	$stripe->release(method => 'POST');
	is(settled_as($server, $call) =~ /^done/ ? 'done' : 'not done', 'done', 'it is done');
};

subtest 'a replayed answer proves its change, and not what is there by now' => sub {
	my $team = new_team($server, $stripe, 'replayed', seats => { team => 5 });
	fresh_connections($stripe);  # or curl sends it again by itself
	fault_for($stripe, $team, fault => 'hang_after');
	my $change = add_seats($server, $team, 3);
	$stripe->await_held(method => 'POST');
	$stripe->edit_subscription(subscription_of($team), quantities => { item_of($team, 'team') => 20 });
	$stripe->release(method => 'POST', action => 'drop');
	await_change($server, $change, 'confirmed');
	is($server->sql("SELECT count(*) FROM seats.attempts WHERE call = $change AND reason = 'replayed'"), '1',
		'its answer was a replay');
	is(seats_of($server, $team), '20|20|0', 'the team has what is there, not what the answer tells');
};

subtest 'an answer that settles nothing moves no call that stands before a person by now' => sub {
	fresh_connections($stripe);  # or curl sends it again by itself
	my ($call) = struck_call($server, $stripe, [ { fault => 'hang' } ]);
	$stripe->await_held(method => 'POST');
	$server->sql("UPDATE seats_internal.outbox SET state = 'review' WHERE id = $call");
	$stripe->release(method => 'POST', action => 'drop');
	await_attempt($server, $call, qr/connection_broken/);
	await_another_loop($server);
	is(state_of($server, $call), 'review', 'it stands there still');
	is($server->sql("SELECT doubt FROM seats_internal.outbox WHERE id = $call"), 'f', 'as it was');
	$stripe->clear_faults;
	decide($call, 'same_key');
	is(settled_as($server, $call) =~ /^done/ ? 'done' : 'not done', 'done', 'decided, it goes on');
};

subtest 'somebody has locked a row that is to be verified: it is left for later, and holds up nobody' => sub {
	set_configuration($server, 'pg_seats.final_answer_gap' => '1h');
	my ($held) = struck_call($server, $stripe, [ { fault => 'execute_and_500' } ]);
	await_attempt($server, $held, qr/replayed_error/);
	await_state($server, $held, 'waiting');
	$server->sql(q{SELECT seats.pause('stripe', 'the lock comes first')});
	$server->sql("UPDATE seats_internal.outbox SET state = 'verifying', due_at = NULL, eligible_xid = pg_current_xact_id()
	     WHERE id = $held");
	my $session = $server->background_psql('postgres');
	$session->query_safe("BEGIN; SELECT FROM seats_internal.outbox WHERE id = $held FOR UPDATE");
	my ($other) = named_call($server);
	$server->sql(q{SELECT seats.resume('stripe', 'the lock is there')});
	ok(eval { await_state($server, $other, 'done') }, 'another call goes') or diag($@);
	is(state_of($server, $held), 'verifying', 'it waits for its time');
	$session->query_safe('COMMIT');
	$session->quit;
	is(settled_as($server, $held), 'done proven_by_event', 'when it is free, it is verified');
	set_configuration($server, 'pg_seats.final_answer_gap' => '0');
};

subtest 'the answer to a change that stands before a person by now does nothing to its team' => sub {
	new_team($server, $stripe, 'decided');
	$stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/sub_decided' }, fault => 'hang_after' });
	my $change = add_seats($server, 'decided', 1);
	$stripe->await_held(method => 'POST');
	$server->sql("UPDATE seats_internal.outbox SET state = 'review' WHERE id = $change");
	$stripe->release(method => 'POST');
	wait_until(sub { !@{ $stripe->requests(state => 'hanging') } }, 'the answer to be given');
	ok(eval { await_another_loop($server); 1 }, 'the worker goes on') or diag($@);
	is(state_of_change($server, $change), 'in_review', 'it stands there still');
	is($server->sql('SELECT trouble FROM seats.worker_status'), '', 'and the worker has no trouble with it');
	assert_seats($server, 'decided', [ 5, 6, 0 ]);
	decide($change, 'executed');
	assert_in_step($server, $stripe, 'decided', { team => 6 });
};

subtest 'the answer to a change that was settled by a person does nothing more to its team' => sub {
	my $team = new_team($server, $stripe, 'settled');
	fault_for($stripe, $team, fault => 'hang_after');
	my $change = add_seats($server, $team, 1);
	$stripe->await_held(method => 'POST');
	$server->sql("UPDATE seats_internal.outbox SET state = 'review' WHERE id = $change");
	decide($change, 'executed');
	assert_in_step($server, $stripe, $team, { team => 6 });
	$stripe->release(method => 'POST');
	wait_until(sub { !@{ $stripe->requests(state => 'hanging') } }, 'the answer to be given');
	await_another_loop($server);
	is(journal_kinds($server, $team, 'change'), 'change.confirmed', 'it is confirmed once');
	is($server->sql('SELECT trouble FROM seats.worker_status'), '', 'and the worker has no trouble with it');
	assert_seats($server, $team, [ 6, 6, 0 ]);
};

subtest 'an update that waits for its payment, of a call that nothing can follow, is an answer' => sub {
	$stripe->control('POST', '/subscriptions', {
			id => 'sub_plain', customer => 'cus_plain', card => 'declined',
			items => [ { id => 'si_plain', price => 'price_plain', unit_amount => 1000, quantity => 1 } ] });
	my $call = $server->enqueue('/v1/subscriptions/sub_plain', {
			items => [ { id => 'si_plain', quantity => 9 } ], payment_behavior => 'pending_if_incomplete',
			proration_behavior => 'always_invoice' });
	is(await_state($server, $call, 'done', 'refused', 'review', 'awaiting'), 'done', 'its caller makes of it what he wants');
};

is($server->sql('SELECT count(*) FROM seats.reviews'), '0', 'nothing is left for a person');
assert_nothing_twice($stripe);
assert_ledger($server, $stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
