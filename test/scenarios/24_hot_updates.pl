# A call that just goes through changes nothing in an index on its way: each of its updates stays on its page (HOT).
# Calls go one after the other, so that there is room beside each.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
autovacuum = off
pg_seats.safety_poll = '1s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
define_seat_type($server, 'team');
my $acme = new_team($server, $stripe, 'acme', seats => { team => 5 });

# 'updates|of them HOT' of the outbox, once the worker has told of its own.
sub updates
{
	$server->sql('SELECT pg_stat_force_next_flush()');
	return split /\|/, $server->sql(q{SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables
		WHERE relid = 'seats_internal.outbox'::regclass});
}

sub stay_on_their_page
{
	my ($what, $times, $one) = @_;
	my @before = updates();
	$one->($_) foreach 1 .. $times;
	my @after;
	# (The worker tells of them at most once a second, and when it is awake.)
	wait_until(
		sub {
			@after = updates();
			return $after[0] - $before[0] >= $times;
		},
		"the updates of $times $what to be counted");
	my ($all, $hot) = map { $after[$_] - $before[$_] } 0, 1;
	is($hot, $all, "$what: $hot of $all updates are HOT");
	return;
}

stay_on_their_page('calls', 30, sub { await_state($server, $server->enqueue('/v1/customers', {}), 'done') });
stay_on_their_page('calls of a lane', 30, sub { await_state($server, $server->enqueue('/v1/customers', {}, lane => 'one'), 'done') });
stay_on_their_page(
	'changes of seats',
	8,  # (Stripe takes few invoices of one subscription at a time.)
	sub {
		my ($change) = split /\|/, $server->sql(q{SELECT * FROM seats.add_seats('acme', 'team', 1, 'ada')});
		await_change($server, $change, 'confirmed');
	});

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
