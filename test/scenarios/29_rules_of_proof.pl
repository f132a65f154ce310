# The rules by which doubt is settled, each by itself: what would go wrong without it is made to happen,
# and other layers (a replay, the marker, the same key) are kept from covering for it.
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
pg_seats.safety_poll = '600s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');

my %plain_400 = (
	fault => 'answer',
	status => 400,
	body => { error => { type => 'invalid_request_error', message => 'No.', param => 'name' } });

sub not_found
{
	my ($what, $param) = @_;
	return (fault => 'answer', status => 404, body => { error => {
				type => 'invalid_request_error', code => 'resource_missing', message => "No such $what", param => $param } });
}

sub generation_of
{
	my ($call) = @_;
	return $server->sql("SELECT generation FROM seats.calls WHERE call = $call");
}

sub settle_review
{
	my ($call, $decision) = @_;
	$server->sql("SELECT seats.resolve_review($call, '$decision', 'seen in the Dashboard')");
	return;
}

subtest 'what was on the wire when its worker was killed is in doubt: a refusal then refuses nothing' => sub {
	my ($call, $name) = struck_call($server, $stripe, [ { fault => 'hang_after' }, {%plain_400} ]);
	wait_until(sub { executed_with($stripe, key_of($server, $call)) == 1 }, 'it to be executed');
	my $killed = $server->kill_worker('KILL');
	$server->wait_for_worker(another_than => $killed);
	is(settled_as($server, $call), 'done replayed', 'it was executed, and is done');
	ok((grep {/refused_after_doubt 400/} @{ attempts_of($server, $call) }), 'the refusal was heard, and not believed');
	$stripe->clear_faults;
};

subtest 'after a failover, what may have been sent at any time has no new key' => sub {
	seed_subscription($stripe, 'sub_day', 1);
	$server->sql(q{SELECT seats.pause('stripe', 'the failover comes first')});
	my $call = change_quantity($server, 'sub_day', 4);
	my ($never_sent) = named_call($server);
	# Left, and sent for all that the table knows, more than a day ago; and the server is on another
	# timeline than the one that is known.
	$server->sql("UPDATE seats_internal.outbox SET created_at = a.day_ago, first_sent_at = a.day_ago,
	        last_sent_at = a.day_ago
	    FROM (SELECT now() - interval '25 hours' AS day_ago) AS a WHERE id = $call");
	$server->sql("UPDATE seats_internal.outbox SET created_at = now() - interval '25 hours' WHERE id = $never_sent");
	$server->sql('UPDATE seats_internal.installation SET timeline = timeline + 100');
	my $worker = $server->worker_pid;
	$server->sql("SELECT pg_terminate_backend($worker)");
	$server->wait_for_worker(another_than => $worker);
	$server->wait_for_sql('SELECT timeline < 100 FROM seats_internal.installation', 't');
	is($server->sql("SELECT doubt FROM seats.outbox WHERE call = $_"), 't', "call $_ is in doubt")
	  foreach $call, $never_sent;
	is($server->sql("SELECT first_sent_at = created_at FROM seats_internal.outbox WHERE id = $never_sent"), 't',
		'… and its key may be as old as itself') or return;
	$server->sql(q{SELECT seats.resume('stripe', 'it is over')});
	is(settled_as($server, $call), 'review not_proven', 'a person decides');
	is(generation_of($call), '1', 'its key may have been used a moment ago');
	is(settled_as($server, $never_sent), 'review not_proven', 'so it is with one that the table knows as never sent');
	settle_review($never_sent, 'refuse');
	settle_review($call, 'not_executed');
	is(settled_as($server, $call), 'done', 'then it goes');
	is(quantity_of($stripe, 'sub_day'), 4, 'once');
};

subtest 'another marker than the last of the lane proves nothing' => sub {
	seed_subscription($stripe, 'sub_foreign', 1);
	$stripe->edit_subscription('sub_foreign', metadata => { pg_seats => 'somebody-elses-1' });
	$stripe->fault({
			match => { method => 'POST', path => '/v1/subscriptions/sub_foreign' },
			fault => 'error_500', store => \1 });
	my $call = change_quantity($server, 'sub_foreign', 4);
	is(settled_as($server, $call), 'review not_proven', 'a person decides');
	is(generation_of($call), '1', 'no new key, though the old one is final');
	settle_review($call, 'not_executed');
	is(settled_as($server, $call), 'done', 'then it goes');
};

subtest 'a call in doubt about an object that is over: its events are asked, not its end' => sub {
	seed_subscription($stripe, 'sub_over', 1);
	my $before = $stripe->requests->[-1]{number};
	my %path = (path => '/v1/subscriptions/sub_over');
	$stripe->fault({ match => { method => 'POST', %path }, fault => 'execute_and_drop' });
	$stripe->fault({ match => { method => 'POST', %path }, not_found('subscription: sub_over', 'id') });
	$stripe->fault({ match => { method => 'GET', %path }, fault => 'hang' });
	my $call = change_quantity($server, 'sub_over', 4);
	$stripe->await_held(method => 'GET', %path);
	$stripe->cancel_subscription('sub_over');
	$stripe->release(method => 'GET', %path);
	is(settled_as($server, $call), 'done proven_by_event', 'it was executed before the end came');
	is(join(' ', grep { !/\btype=customer\.subscription\.updated\b/ }
			map { $_->{query} } @{ $stripe->requests(path => '/v1/events', after => $before) }),
		'', 'and of a busy account only the events are read that may tell it');
	$stripe->clear_faults;
};

subtest 'reads that fail are no verifications' => sub {
	# (Refused by a lock that is taken: neither an outage nor a limit.)
	$stripe->fault({ match => { method => 'GET', path => '/v1/events' }, fault => 'lock_timeout', times => 8 });
	my ($call, $name) = struck_call($server, $stripe, [ ({ fault => 'error_500' }) x 4 ]);
	is(settled_as($server, $call), 'done', 'it goes on under its key');
	is(scalar(grep {/^search events: again/} @{ attempts_of($server, $call) }), 8, 'after eight reads in vain');
	$stripe->clear_faults;
};

subtest 'a change in doubt is not planned anew, whatever is missing now' => sub {
	new_team($server, $stripe, 'doubt');
	my %match = (match => { method => 'POST', path => '/v1/subscriptions/sub_doubt' });
	$stripe->fault({ %match, fault => 'execute_and_drop' });
	$stripe->fault({ %match, not_found('subscription_item: si_doubt_team', 'items[0][id]') });
	my $change = add_seats($server, 'doubt', 3);
	is(settled_as($server, $change), 'review item_missing', 'a person decides');
	is(generation_of($change), '1', 'under the same key');
	settle_review($change, 'same_key');
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, 'doubt', { team => 8 });
	is(scalar(@{ $stripe->worker_ledger(object => 'sub_doubt') }), 1, 'and was executed once');
};

# An operator's verb, say, that was faster than the answer.
sub changed_meanwhile
{
	my ($what, $state, @faults) = @_;
	debug_point_from_now_on($server, 'before_decision');
	my ($call, $name) = struck_call($server, $stripe, \@faults);
	$server->wait_at_debug_point('before_decision');
	$server->sql("UPDATE seats_internal.outbox SET state = '$state' WHERE id = $call");
	$server->release_debug_point;
	await_another_loop($server);
	is(state_of($server, $call), $state, "$what leaves alone what is in state $state by now");
	$server->sql("UPDATE seats_internal.outbox SET state = 'review' WHERE id = $call");
	settle_review($call, 'same_key');
	is(settled_as($server, $call) =~ /^done/ ? 'done' : settled_as($server, $call), 'done', '… which goes on from there');
	return;
}

subtest 'an answer compares the state' => sub {
	changed_meanwhile('an answer that settles', 'review');
	changed_meanwhile('an answer that settles', 'awaiting');
	changed_meanwhile('an answer that does not settle', 'review', { fault => 'error_500' });
};

subtest 'a verification whose row somebody has locked holds up nobody' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'the lock comes first')});
	my ($held) = named_call($server);
	$server->sql("UPDATE seats_internal.outbox SET state = 'verifying', doubt = true, first_sent_at = now(),
	    last_sent_at = now() WHERE id = $held");
	my $session = $server->background_psql('postgres');
	$session->query_safe("BEGIN; SELECT FROM seats_internal.outbox WHERE id = $held FOR UPDATE");
	my $offset = -s $server->logfile;
	$server->sql(q{SELECT seats.resume('stripe', 'the lock is there')});
	my $claims = $server->sql('SELECT claims FROM seats.worker_status');
	wait_until(sub { $server->sql('SELECT claims FROM seats.worker_status') >= $claims + 3 },
		'three looks at the one that is locked');
	is($server->sql('SELECT trouble FROM seats.worker_status'), '', 'and the worker is not in trouble');
	unlike($server->log_text($offset), qr/cannot claim/, '… nor was it');
	my ($other) = named_call($server);
	is(await_state($server, $other, 'done'), 'done', 'another call goes');
	$session->query_safe('COMMIT');
	$session->quit;
	is(settled_as($server, $held), 'done', 'when it is free, it is verified, and goes on');
	is(scalar(grep {/^search events/} @{ attempts_of($server, $held) }), 1, '… by a look at the events');
};

is($server->sql('SELECT count(*) FROM seats.reviews'), '0', 'nothing is left for a person');
assert_nothing_twice($stripe);
assert_ledger($server, $stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
