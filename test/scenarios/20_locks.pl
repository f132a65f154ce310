# Somebody holds a lock for long: an application its lane, a person a row, a DBA a table. Only what
# needs that lock waits, and no wake-up is lost while the worker itself waits.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '600s'
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
seed_subscription($stripe, 'sub_a', 5);
seed_subscription($stripe, 'sub_b', 5);

sub session
{
	my $session = $server->background_psql($server->database, on_error_stop => 1);
	$session->query_safe('BEGIN');
	return $session;
}

sub held_request { return $_[0]->requests(state => 'hanging', path => $_[1]) }

subtest 'a commit while the worker waits for a lock wakes it all the same' => sub {
	my $dba = session();
	$dba->query_safe('LOCK TABLE seats_internal.outbox_history IN ACCESS EXCLUSIVE MODE');
	my ($first) = named_call($server);
	wait_until(sub { @{ $stripe->worker_ledger } == 1 }, 'the first call to be executed');
	wait_until(
		sub { $server->sql(q{SELECT count(*) FROM pg_locks WHERE NOT granted}) eq '1' },
		'the worker to wait for the lock');
	my ($second) = named_call($server);
	$dba->query_safe('COMMIT');
	await_state($server, $first, 'done');
	is(await_state($server, $second, 'done'), 'done', 'the second call is not forgotten');
	$dba->quit;
};

subtest 'an application that holds its lane holds up no other' => sub {
	# On the wire before the application comes, settled while it sits there.
	$stripe->fault({ match => { path => '/v1/subscriptions/sub_a', method => 'POST' }, fault => 'hang' });
	my $first = change_quantity($server, 'sub_a', 6);
	wait_until(sub { @{ held_request($stripe, '/v1/subscriptions/sub_a') } == 1 }, 'it to hang');
	my $application = session();
	my $next = $application->query_safe(PgSeats::Server::enqueue_statement('/v1/subscriptions/sub_a',
		{ items => [ { id => 'si_sub_a', quantity => 7 } ] }, verifier => 'object'));
	$stripe->release(path => '/v1/subscriptions/sub_a');
	wait_until(sub { quantity_of($stripe, 'sub_a') == 6 }, 'the first to be executed');
	my $other = change_quantity($server, 'sub_b', 9);
	is(await_state($server, $other, 'done'), 'done', 'the other lane goes on');
	is(await_state($server, $first, 'done'), 'done', '… and so does this one');
	$application->query_safe('COMMIT');
	is(await_state($server, $next, 'done'), 'done', 'what the application wanted comes after it');
	is(quantity_of($stripe, 'sub_a'), 7, '… and in order');
	$application->quit;
};

subtest 'a person who holds a row holds up no other' => sub {
	$stripe->fault({ match => { path => '/v1/subscriptions/sub_a', method => 'POST' }, fault => 'hang' });
	my $first = change_quantity($server, 'sub_a', 8);
	wait_until(sub { @{ held_request($stripe, '/v1/subscriptions/sub_a') } == 1 }, 'it to hang');
	my $person = session();
	$person->query_safe("SELECT id FROM seats_internal.outbox WHERE id = $first FOR UPDATE");
	$stripe->release(path => '/v1/subscriptions/sub_a');
	wait_until(sub { quantity_of($stripe, 'sub_a') == 8 }, 'it to be executed');
	foreach my $quantity (10 .. 15)
	{
		is(await_state($server, change_quantity($server, 'sub_b', $quantity), 'done'),
			'done', "another lane goes on ($quantity)");
	}
	is(state_of($server, $first), 'sending', 'the answer waits for the person');
	$person->query_safe('COMMIT');
	is(await_state($server, $first, 'done'), 'done', '… and is stored then');
	$person->quit;
};

subtest 'a person who holds a row that was not sent yet holds up no other either' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'the lock comes first')});
	my ($held) = named_call($server);
	my $person = session();
	$person->query_safe("SELECT id FROM seats_internal.outbox WHERE id = $held FOR UPDATE");
	my @others = map { (named_call($server))[0] } 1 .. 3;
	my $offset = -s $server->logfile;
	$server->sql(q{SELECT seats.resume('stripe', 'the lock is there')});
	foreach my $other (@others)
	{
		ok(eval { await_state($server, $other, 'done') }, 'another call goes') or diag($@);
	}
	is(state_of($server, $held), 'pending', 'it waits for the person');
	unlike($server->log_text($offset), qr/lock timeout/, '… and the worker does not');
	$person->query_safe('COMMIT');
	is(await_state($server, $held, 'done'), 'done', '… and goes then');
	$person->quit;
};

subtest 'answers that cannot be stored do not fill the memory' => sub {
	# A thousand are held if they are small.
	$stripe->fault({ match => { path => '/v1/customers', body => '*large*' }, fault => 'answer', times => -1,
			execute => \1, status => 200,
			body => { id => 'cus_large', object => 'customer', description => 'x' x 900_000 } });
	$server->sql(q{SELECT seats.pause('stripe', 'all of them go in one claim')});
	my @large = map { $server->enqueue('/v1/customers', { name => "large $_" }) } 1 .. 80;
	debug_point_from_now_on($server, 'before_decision');
	$server->sql(q{SELECT seats.resume('stripe', 'they are there')});
	$server->wait_at_debug_point('before_decision');
	my $person = session();
	is($person->query_safe(q{SELECT count(*) FROM (SELECT id FROM seats_internal.outbox
		WHERE state = 'sending' FOR UPDATE) AS sent}), 80, 'all of them are on the wire, and locked');
	$server->release_debug_point;
	await_another_loop($server);
	$server->wait_for_sql('SELECT in_flight FROM seats.worker_status', '0');
	my ($next) = named_call($server);
	await_another_loop($server);
	is(state_of($server, $next), 'pending', 'nothing new is sent while eighty answers of almost a megabyte are held');
	$person->query_safe('COMMIT');
	await_all_settled($server);
	is($server->sql(sprintf q{SELECT count(*) FROM seats.calls WHERE call IN (%s) AND state = 'done'}, join ',', @large),
		80, 'all are stored when the rows are free');
	is(await_state($server, $next, 'done'), 'done', '… and what waited goes then');
	$person->quit;
	$stripe->clear_faults;
};

subtest 'rows that are changed when they were found already: put off, and made another installation\'s' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'they are found first')});
	my ($later) = named_call($server);
	my ($foreign) = named_call($server);
	await_another_loop($server);
	$server->sql("UPDATE seats_internal.outbox SET due_at = now() + interval '1 hour' WHERE id = $later");
	$server->sql("UPDATE seats_internal.outbox SET installation = gen_random_uuid() WHERE id = $foreign");
	my ($other) = named_call($server);
	$server->sql(q{SELECT seats.resume('stripe', 'they are changed')});
	await_state($server, $other, 'done');
	await_another_loop($server);
	is(state_of($server, $later), 'pending', 'one waits for its time');
	is(state_of($server, $foreign), 'pending', '… the other one is not sent');
	$server->sql("UPDATE seats_internal.outbox SET installation = i.uuid
		FROM seats_internal.installation AS i WHERE outbox.id = $foreign");
	$server->sql("SELECT seats.retry($_, 'now')") foreach $later, $foreign;
	is(await_state($server, $_, 'done'), 'done', '… until that is over') foreach $later, $foreign;
};

assert_nothing_twice($stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
