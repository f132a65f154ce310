# What becomes of open changes of seats in a copy that is adopted: never sent, carried by another one's
# call, executed without our knowing, waiting for a payment. Beside its original a copy leaves all to a
# person; in its place it proves or sends each of them, once.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;
use PgSeats::Crowds;
use PgSeats::Seats;

my %pace = (configuration => <<'END');
pg_seats.safety_poll = '300ms'
pg_seats.retry_delay = '50ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.base_lifetime = '10min'
END

my $stripe = new_simulator();
my $original = new_server('original', simulator => $stripe, database => 'shop', %pace);
set_up_types($original);
my @teams = qw(pending carried unknown awaiting);
new_teams($original, $stripe, \@teams, seats => { team => 5, later => 5 });
my %of = ();

# One waits for its payment; one is executed, its answer lost; one was sent and is not executed.
$stripe->set_card(customer_of('awaiting'), 'declined');
$of{awaiting} = [ add_seats($original, 'awaiting', 2, type => 'later') ];
await_change($original, $of{awaiting}[0], 'awaiting_payment');
fault_for($stripe, 'unknown', fault => 'hang_after');
fault_for($stripe, 'carried', fault => 'hang');
(@{ $of{unknown} }[ 0, 1 ], @{ $of{carried} }[ 0, 1 ]) = change_together($original,
	map { my $team = $_; map { [ 'add', $team, $_ ] } 1, 2 } qw(unknown carried));
wait_until(sub { @{ $stripe->requests(state => 'hanging') } == 2 }, 'two calls to hang');
$original->sql(q{SELECT seats.pause('stripe', 'copies are made')});
$stripe->outage('refuse');
await_state($original, $of{$_}[0], 'waiting') foreach qw(unknown carried);
$of{pending} = [ change_together($original, [ 'add', 'pending', 1 ], [ 'add', 'pending', 2 ], [ 'remove', 'pending', 1 ]) ];
$original->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE shop") foreach qw(heir twin);
$stripe->outage(undef);

sub adopt
{
	my ($server, $database, $replaces) = @_;
	$server->{_pg_seats_database} = $database;
	$server->wait_for_sql('SELECT state FROM seats_internal.worker_state()', 'fenced');
	$server->sql("SELECT seats.adopt_database('a test', $replaces)");
	$server->wait_for_sql('SELECT state FROM seats_internal.worker_state()', 'running');
	return;
}

# A copy beside its original: a person decides about everything, and reads go on.
my $original_page = $original->sql("SELECT version FROM seats.team_versions('{pending}')");
adopt($original, 'twin', 'false');
cmp_ok($original->sql("SELECT version FROM seats.team_versions('{pending}')"), '>', $original_page + 1_000_000,
	'the versions of its pages are above all that its original had');
is($original->sql(q{SELECT string_agg(DISTINCT state || ' ' || reason, ', ') FROM seats.changes}),
	'in_review adopted_copy', 'an adopted copy: every open change is in review');
my $posts = @{ $stripe->requests(method => 'POST') };
$original->sql(q{SELECT seats.resume('stripe', 'go on')});
reconcile($original, $_) foreach @teams;
assert_folded($original, 'and what is read meanwhile keeps the fold');
is(seats_of($original, 'unknown') . ' ' . reasons_of($original, @{ $of{unknown} }),
	'8|8|0 confirmed proven_by_marker, confirmed proven_by_marker',
	'what a read proves to be executed is settled by that');
is(scalar @{ $stripe->requests(method => 'POST') }, $posts, 'nothing was sent');
my ($status, undef, $stderr) = $original->try_sql("SELECT seats.resolve_review($of{carried}[0], 'same_key', 'try')");
like($stderr, qr/can no longer be sent under the same key/, 'nobody can send under the original\'s keys');
resolve_changes($original, 'refuse', $of{carried}[0], reverse(@{ $of{pending} }), $of{awaiting}[0]);
await_open($original, $_, 0) foreach @teams;
await_seats($original, $_, '5|5|0') foreach qw(carried pending);
await_seats($original, 'awaiting', '5|5|0', type => 'later');
is(reasons_of($original, @{ $of{carried} }), 'reverted refused_by_operator, reverted refused_by_operator',
	'a decision holds for all that a call carries');
is(scalar @{ $stripe->requests(method => 'POST') }, $posts, 'nothing was sent');
$original->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'review' AND state = 'open'}, '0');
$original->sql(q{SELECT seats.pause('stripe', 'enough')});

# One that replaces it: everything is proven, or sent under its old key.
adopt($original, 'heir', 'true');
is($original->sql(q{SELECT string_agg(DISTINCT reason, ', ') FROM seats_internal.outbox
	  WHERE kind = 'change'}), 'adopted', 'a copy that replaces its original: every open change is in doubt');
$original->sql(q{SELECT seats.resume('stripe', 'go on')});
assert_judged($original, $stripe, 'unknown', 8, 1, 'what was executed is proven');
is(reasons_of($original, @{ $of{unknown} }), 'confirmed proven_by_marker, confirmed proven_by_marker',
	'… by its marker');
assert_judged($original, $stripe, 'carried', 8, 1, 'what was not, is executed under its old key, all of it');
assert_judged($original, $stripe, 'pending', 7, 3, 'what was never sent goes out, each alone and in order');
await_change($original, $of{awaiting}[0], 'awaiting_payment');
is(seats_of($original, 'awaiting', 'later'), '5|7|2', 'what waits for its payment goes on waiting');
pay_for($original, $stripe, 'awaiting');
look_now($original, $of{awaiting}[0]);
assert_judged($original, $stripe, 'awaiting', 7, 0, '… until it is paid', type => 'later');
assert_folded($original);
is($original->sql('SELECT count(*) FROM seats.reviews'), '0', 'no person was needed');
is_deeply($stripe->control('GET', '/ledger')->{executed_twice}, [], 'no key was executed twice');
$original->assert_log_clean;
$original->stop;

done_testing();
