# What a takeover makes of calls that were never sent, that are under way, or that are old: none is
# taken for executed, none is forgotten, none is passed by the next of its lane.
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
seed_subscription($stripe, "sub_$_", 5) foreach 'a' .. 'e';

subtest 'a call that was never sent is not taken for executed' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'test')});
	my $call = change_quantity($server, 'sub_a', 6);
	$server->sql(q{SELECT seats.adopt_database('test', true)});
	$server->sql(q{SELECT seats.resume('stripe', 'test')});
	is(await_state($server, $call, 'done', 'review'), 'done', 'it is done');
	is(quantity_of($stripe, 'sub_a'), 6, '… by being executed');
};

subtest 'an answer that comes after the takeover does not pass the call by' => sub {
	$server->set_debug_point('after_answer');
	my @calls = map { change_quantity($server, 'sub_b', $_) } 6 .. 8;
	$server->wait_at_debug_point('after_answer');
	$server->sql(q{SELECT seats.adopt_database('test', true)});
	$server->release_debug_point;
	is(await_state($server, $_, 'done', 'review'), 'done', 'done') foreach @calls;
	is_deeply([ map { $_->{quantities}{after}{si_sub_b} }
			@{ $stripe->ledger(path => '/v1/subscriptions/sub_b') } ],
		[ 6 .. 8 ], 'each was executed once and in order');
};

subtest 'after a failover an old call that was never sent stands where a person sees it' => sub {
	$server->sql(q{SELECT seats.pause('stripe', 'test')});
	my $call = change_quantity($server, 'sub_c', 6);
	my $young = change_quantity($server, 'sub_d', 6);
	$server->sql("UPDATE seats_internal.outbox SET created_at = now() - interval '21 h' WHERE id = $call");
	$server->sql('UPDATE seats_internal.installation SET timeline = timeline + 5');
	my $pid = $server->worker_pid;
	$server->kill_worker('TERM');
	$server->wait_for_worker(another_than => $pid);
	$server->sql(q{SELECT seats.resume('stripe', 'test')});
	is(await_state($server, $young, 'done', 'review'), 'done', 'a young one is sent under its key');
	is(await_state($server, $call, 'review'), 'review', 'an old one waits for a person');
};

subtest 'rows that come with another identity are found at once' => sub {
	$server->sql(q{SELECT seats.adopt_database('test', false)});
	my $call = change_quantity($server, 'sub_e', 6);
	is(await_state($server, $call, 'done'), 'done', 'done');
};

assert_nothing_twice($stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
