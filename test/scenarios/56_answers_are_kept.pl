# Whatever raises between a request and what is stored of its answer, the answer is not lost: each step
# is made to raise once, and what was asked is executed once and settled by the answer that came.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
# Every change begins with a read of its subscription: a conversation of two legs.
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.base_lifetime = 0
pg_seats.safety_poll = '600s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
set_up_types($server);
new_team($server, $stripe, 'acme');

# Several in one transaction, so that their answers come together.
sub calls
{
	my @names = @_;
	return split /\n/, $server->sql(join '', 'BEGIN;',
		(map { PgSeats::Server::enqueue_statement('/v1/customers', { name => $_ }) . ';' } @names),
		'COMMIT');
}

sub has_raised
{
	my ($point) = @_;
	return $server->log_text =~ /raised for a test at $point/;
}

my $worker = $server->worker_pid;

foreach my $point (qw(before_send before_answered before_decision before_judgement after_judgement
	after_effects after_answer before_settle_commit))
{
	subtest "something raises at $point" => sub {
		debug_point_from_now_on($server, "raise 1 $point");
		my @calls = calls(map {"$point-$_"} 1 .. 5);
		is(settled_as($server, $_), 'done', "call $_ is settled by its own answer") foreach @calls;
		is(scalar @{ posts_of($stripe, key_of($server, $_)) }, 1, "it was sent once") foreach @calls;
		# (A batch that raises is stored call by call, without a word.)
		ok(has_raised($point), 'it has raised') unless $point eq 'before_settle_commit';

		debug_point_from_now_on($server, "raise 01 $point");
		my $change = add_seats($server, 'acme', 1);
		is(settled_as($server, $change), 'done', 'a change with its reads is settled, too');
		assert_executed_once_by($stripe, key_of($server, $change), 'and was executed once');
	};
}

subtest 'an answer that raises again is charged to its row, and those behind it go on' => sub {
	debug_point_from_now_on($server, 'raise 2 after_judgement');
	my @calls = calls(map {"twice-$_"} 1 .. 3);
	is(join(', ', sort map { settled_as($server, $_) } @calls),
		'done, done, done replayed', 'one is done by a replay, the others by their answers');
	assert_executed_once_by($stripe, key_of($server, $_), "call $_ was executed once") foreach @calls;
	is($server->sql("SELECT count(*) FROM seats.alerts WHERE kind = 'settling_failed'"),
		1, 'an alert told of it');
	$server->wait_for_sql("SELECT count(*) FROM seats.alerts WHERE kind = 'settling_failed' AND state = 'open'",
		0);
};

is($server->worker_pid, $worker, 'the worker has gone on all the time');

done_testing();
