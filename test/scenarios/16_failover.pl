# What a failover to an asynchronous standby, or a restore to a point in time, takes away: an enqueue,
# a freeze, a settlement, and each of them exactly. Nothing is executed twice, no key stands for two
# things, and what Stripe did is found out before anything else is done.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;

my %pace = (configuration => "pg_seats.safety_poll = '300ms'\npg_seats.retry_delay = '50ms'\n"
	  . "pg_seats.retry_delay_limit = '200ms'\n");

sub customers
{
	my ($server, $name, $count) = @_;
	return map { $server->enqueue('/v1/customers', { name => "$name $_" }) } 1 .. $count;
}

sub await_all_done { my ($server, @calls) = @_; await_state($server, $_, 'done') foreach @calls; return; }

# ---- failover to an asynchronous standby

{
	my $stripe = new_simulator();
	my $primary = new_server('primary', simulator => $stripe, allows_streaming => 1, %pace);
	seed_subscription($stripe, $_, 1) foreach qw(sub_lane sub_quiet);
	my $before = $primary->enqueue('/v1/customers', { name => 'long before' });
	await_state($primary, $before, 'done');

	$primary->backup('base');
	my $standby = copy_of_server($primary, 'standby', backup => 'base', streaming => 1);
	$standby->start;
	$primary->wait_for_catchup($standby);
	is($standby->safe_psql('postgres',
			q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_seats%'}),
		'0', 'a standby has no launcher and no worker');
	is($standby->sql(q{SELECT status FROM seats.health WHERE check_name = 'worker'}),
		'ok', 'and its health says that this is right');

	# One on the wire, which Stripe executes only after the primary is dead. Two are executed, and the
	# worker stands before it stores their answers: on the wire, says the standby.
	$primary->set_debug_point('before_settle_commit');
	$stripe->fault({ match => { method => 'POST', body => '*late*' }, fault => 'hang',
			on_gone => 'execute' });
	$stripe->fault({ match => { method => 'POST' }, fault => 'hang', times => 2 });
	my $on_the_wire = $primary->enqueue('/v1/customers', { name => 'late' });
	my ($lane_first, $lane_second) = map { change_quantity($primary, 'sub_lane', $_) } 5, 7;
	my $settlement = $primary->enqueue('/v1/customers', { name => 'settlement' });
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } == 3 }, 'three requests to hang');
	$stripe->release(key => key_of($primary, $_)) foreach $lane_first, $settlement;
	$primary->wait_at_debug_point('before_settle_commit');
	is(@{ $stripe->worker_ledger }, 3, 'both are executed');
	my @freeze = ($primary->enqueue('/v1/customers', { name => 'freeze' }),
		change_quantity($primary, 'sub_quiet', 9));

	disconnect_standby($primary, $standby);
	is(state_of($standby, $settlement), 'sending', 'the standby knows a call as on the wire');
	is(state_of($standby, $_), 'pending', 'and another as never sent') foreach @freeze, $lane_second;

	# All this is lost.
	$primary->release_debug_point;
	await_all_done($primary, $settlement, @freeze, $lane_first, $lane_second);
	my @lost = customers($primary, 'lost', 60);
	await_all_done($primary, @lost);
	my %known = %{ keys_of($primary, $on_the_wire, $settlement, @freeze, $lane_first, $lane_second) };
	my %lost_keys = %{ keys_of($primary, @lost) };
	my $executed = @{ $stripe->worker_ledger };
	is($executed, 1 + 5 + 60, 'what the standby has not heard of was executed');
	$primary->stop('immediate');
	wait_until(sub { @{ $stripe->worker_ledger } == $executed + 1 }, 'the late one to be executed');

	my $offset = -s $standby->logfile;
	$standby->promote;
	my @open = sort { $a <=> $b } keys %known;
	await_all_done($standby, @open);

	is_deeply(keys_of($standby, @open), \%known, 'a lost freeze or settlement: the same keys again');
	foreach (@open)
	{
		assert_executed_once_by($stripe, $known{$_}, "call $_ was executed once");
		ok(@{ posts_of($stripe, $known{$_}) } >= 2, '… and was asked for by both servers');
	}
	is($standby->sql("SELECT reason FROM seats.outbox_history WHERE call = $settlement"),
		'replayed', 'a lost settlement is replayed');
	is(quantity_of($stripe, 'sub_lane'), 7, 'a lane ends with its last change');
	is_deeply(
		[ map { $_->{parameters}{'items[0][quantity]'} } @{ $stripe->ledger(object => 'sub_lane') } ],
		[ 5, 7 ], 'which had no other effects, in no other order');
	is($standby->sql(q{SELECT timeline FROM seats_internal.installation}),
		'2', 'the installation knows its new timeline');
	is($standby->sql(q{SELECT detail->>'calls' > '0' FROM seats.journal
		 WHERE kind = 'worker.new_timeline'}), 't', 'the journal tells that open calls are in doubt');
	like($standby->log_text($offset), qr/new timeline: \d+ open calls are in doubt/, 'so does the log');
	is($standby->sql('SELECT count(*) FROM seats.reviews'), '0', 'and no person was needed');

	# Sequences go back; keys do not.
	my @new = customers($standby, 'new', 60);
	await_all_done($standby, @new);
	my %new_keys = %{ keys_of($standby, @new) };
	my @reused = grep { exists $lost_keys{$_} } @new;
	cmp_ok(scalar @reused, '>', 0, 'ids are handed out a second time: ' . @reused);
	my @same = grep { $lost_keys{$_} eq $new_keys{$_} } @reused;
	is("@same", '', 'no key is');
	assert_each_executed_once($stripe, [ values %known, values %lost_keys, values %new_keys,
			key_of($standby, $before) ]);
	is_deeply($stripe->control('GET', '/ledger')->{executed_twice},
		[], 'the simulator saw no key executed twice');
	$standby->assert_log_clean;
	$standby->stop;
	$stripe->stop;
}

# ---- restores to a point in time

my $stripe = new_simulator();
my $server = new_server('archived', simulator => $stripe, allows_streaming => 1, has_archiving => 1,
	%pace);
seed_subscription($stripe, $_, 1) foreach qw(sub_moved sub_other sub_paused);
$server->backup('base');

# A call that waits in a paused lane and that nobody ever sends: a customer, and one whose outcome
# could be read from its object.
my @paused = grep {/^\d+$/} split /\n/, $server->sql(join ";\n",
	'BEGIN',
	PgSeats::Server::enqueue_statement('/v1/customers', { name => 'paused' }, lane => 'paused'),
	PgSeats::Server::enqueue_statement('/v1/subscriptions/sub_paused',
		{ items => [ { id => 'si_sub_paused', quantity => 4 } ] }, lane => 'paused',
		verifier => 'object'),
	q{SELECT seats.pause('stripe', 'not yet', 'paused')},
	'COMMIT');

# At the point: one on the wire, its answer not stored; others never sent.
$server->set_debug_point('before_settle_commit');
my $settlement = $server->enqueue('/v1/customers', { name => 'settlement' });
$server->wait_at_debug_point('before_settle_commit');
my @freeze = ($server->enqueue('/v1/customers', { name => 'freeze' }),
	$server->enqueue('/v1/customers', { name => 'listed' }, verifier => 'list'),
	change_quantity($server, 'sub_moved', 3));
$server->sql(q{SELECT pg_create_restore_point('the_point')});
my $created = time;

$server->release_debug_point;
await_all_done($server, $settlement, @freeze);
my @lost = customers($server, 'lost', 60);
await_all_done($server, @lost);
my @known = ($settlement, @freeze);
my %known_keys = %{ keys_of($server, @known) };
my %paused_keys = %{ keys_of($server, @paused) };
my %lost_keys = %{ keys_of($server, @lost) };
is(scalar @{ $stripe->worker_ledger }, @known + @lost, 'everything but what was paused is executed');
my $segment = $server->sql('SELECT pg_walfile_name(pg_current_wal_lsn())');
$server->sql('SELECT pg_switch_wal()');
wait_until(
	sub { $server->sql("SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver") eq 't' },
	'the archive to have everything');
$server->stop;

# With a secrets directory of its own it is a copy.
{
	my $sent = silence_of(
		$stripe,
		sub {
			my $copy = restore_to_point($server, 'elsewhere', 'the_point', backup => 'base',
				secrets => 'key');
			assert_fenced($copy, 'postgres', qr/installation\.\d+/, 'restored elsewhere');
			$copy->enqueue('/v1/customers', { name => 'in the copy' });
			await_another_loop($copy);
			$copy->stop;
		});
	is_deeply($sent, [], 'a restore with a secrets directory of its own sends nothing');
}

# In the place of the original, while Stripe still knows the keys.
{
	my $restored = restore_to_point($server, 'restored', 'the_point', backup => 'base');
	await_all_done($restored, @known);
	is_deeply(keys_of($restored, @known), \%known_keys, 'restored: the same keys again');
	assert_executed_once_by($stripe, $known_keys{$_}, "call $_ was executed once") foreach @known;
	is($restored->sql("SELECT reason FROM seats.outbox_history WHERE call = $settlement"),
		'replayed', 'the lost settlement is replayed');
	my @new = customers($restored, 'new', 60);
	await_all_done($restored, @new);
	my @reused = grep { exists $lost_keys{$_} } @new;
	cmp_ok(scalar @reused, '>', 0, 'ids are handed out a second time: ' . @reused);
	is($restored->sql("SELECT count(*) FROM seats.reviews"), '0', 'and no person was needed');
	assert_each_executed_once($stripe,
		[ values %known_keys, values %lost_keys, values %{ keys_of($restored, @new) } ],
		'restored: each was executed exactly once, no key stands for two things');
	$restored->stop;
}

# Long after: Stripe has forgotten the keys, so sending again would execute again.
{
	my $executed = @{ $stripe->worker_ledger };
	$stripe->clock_advance(25 * 60 * 60);
	wait_until(sub { time > $created + 2 }, 'the calls to be older than a key lives');
	my $restored = restore_to_point($server, 'late', 'the_point', backup => 'base',
		configuration => "pg_seats.key_lifetime = '1s'");
	await_state($restored, $_, 'done') foreach $settlement, @freeze[ 0, 1 ];
	is(@{ $stripe->worker_ledger }, $executed, 'rows that are older than a key lives are not sent');
	is($restored->sql("SELECT string_agg(DISTINCT reason, ' ' ORDER BY reason)
		 FROM seats.outbox_history WHERE call IN ($settlement, $freeze[0], $freeze[1])"),
		'proven_by_event proven_by_list', 'but proven to have been executed');
	await_state($restored, $freeze[2], 'done');
	is($restored->sql("SELECT reason FROM seats.outbox_history WHERE call = $freeze[2]"),
		'proven_by_marker', 'by the marker, where there is one');

	# What was never sent, and could have been: a person decides, each for itself.
	$restored->sql(q{SELECT seats.resume('stripe', 'go on', 'paused')});
	await_state($restored, $paused[0], 'review');
	like($restored->sql("SELECT reason FROM seats.reviews WHERE call = $paused[0]"),
		qr/not_proven/, 'what cannot be proven goes to review');
	is($restored->sql("SELECT count(*) FROM seats.alerts WHERE call = $paused[0] AND state = 'open'"),
		'1', 'with an alert');
	$restored->sql("SELECT seats.resolve_review($paused[0], 'refuse', 'superseded')");
	await_state($restored, $paused[1], 'review');
	is(@{ posts_of($stripe, $paused_keys{$_}) }, 0, "call $_ was never sent") foreach @paused;
	my ($status, undef, $stderr) =
	  $restored->try_sql("SELECT seats.resolve_review($paused[1], 'same_key', 'try')");
	like($stderr, qr/can no longer be sent under the same key/, 'nobody can send it under its old key');
	$restored->sql("SELECT seats.resolve_review($paused[1], 'not_executed', 'seen in the Dashboard')");
	await_state($restored, $paused[1], 'done');
	is(quantity_of($stripe, 'sub_paused'), 4, 'with proof it is sent, under a new key');
	isnt(key_of($restored, $paused[1]), $paused_keys{ $paused[1] }, '… and not the old one');
	is_deeply($stripe->control('GET', '/ledger')->{executed_twice}, [], 'nothing was executed twice');
	$restored->assert_log_clean;
	$restored->stop;
}

done_testing();
