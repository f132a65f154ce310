# Retention: history, attempts and journal live in rings of eight partitions, of which the oldest is
# emptied. Journal numbers rise without a gap through turns, restarts, dump and restore.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;
use PostgreSQL::Test::Utils qw(system_or_bail);

my $configuration = "pg_seats.safety_poll = '300ms'\npg_seats.history_days = 8\n";
my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => $configuration);

sub call
{
	my ($name) = @_;
	my $call = $server->enqueue('/v1/customers', { name => $name });
	await_state($server, $call, 'done');
	return $call;
}

sub slot { return $server->sql('SELECT slot FROM seats_internal.ring') }

# The worker turns the ring when it starts and every ten minutes; so it is asked to start.
sub let_time_pass
{
	my ($days) = @_;
	$server->sql("UPDATE seats_internal.ring SET since = since - $days * interval '1 day'");
	return;
}

sub new_worker
{
	$server->restart;
	$server->wait_for_worker;
	await_another_loop($server);
	return;
}

# The same without ending anybody's session.
sub another_worker
{
	my $worker = $server->worker_pid;
	kill 'TERM', $worker;
	$server->wait_for_worker(another_than => $worker);
	await_another_loop($server);
	return;
}

sub turn
{
	my ($expected) = @_;
	let_time_pass(2);
	new_worker();
	$server->wait_for_sql('SELECT slot FROM seats_internal.ring', $expected);
	return;
}

# Every entry has a number, and there is none missing from the least to the greatest.
sub assert_numbers
{
	my ($which, $database, $name) = @_;
	wait_until(
		sub { $which->safe_psql($database, 'SELECT count(*) FROM seats.journal WHERE number IS NULL') eq '0' },
		'all entries to have their numbers');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		$which->safe_psql($database, <<'END'), 't', $name);
SELECT count(*) = count(DISTINCT number) AND count(*) = max(number) - min(number) + 1
       AND max(number) = (SELECT last_journal_number FROM seats_internal.ring)
  FROM seats.journal
END
}

sub greatest { return $server->sql('SELECT max(number) FROM seats.journal') }

# Two entries for the journal.
sub write_note
{
	my ($text) = @_;
	$server->sql("SELECT seats.pause('stripe', '$text')");
	$server->sql("SELECT seats.resume('stripe', '$text')");
	return;
}

# ---- the ring turns

my $kept = call('kept');
$stripe->fault({ match => { body => '*twice*' }, fault => 'rate_limit_429' });
call('twice');
write_note('slot 0');
is($server->sql(q{SELECT count(*) > 0 FROM seats.attempts WHERE verdict = 'again'}),
	't', 'an attempt is there');
assert_numbers($server, 'postgres', 'the journal is numbered without a gap');
let_time_pass(1);
new_worker();
is(slot(), '0', 'a slot that is younger than a seventh of what is to be kept stays');

my @of_slot = ($kept);
foreach my $slot (1 .. 7)
{
	my $before = greatest();
	turn($slot);
	push @of_slot, call("slot $slot");
	write_note("slot $slot");
	assert_numbers($server, 'postgres', "numbers go on without a gap in slot $slot");
	cmp_ok(greatest(), '>', $before, '… and rise');
}
is(state_of($server, $_), 'done', "call $_ is still there") foreach @of_slot;
is($server->sql('SELECT count(DISTINCT ring) FROM seats_internal.outbox_history'),
	'8', 'the whole ring is in use');

# ---- a reader holds up the eighth turn, and nothing else

my $reader = $server->background_psql('postgres');
$reader->query_safe("BEGIN; SELECT count(*) FROM seats_internal.outbox_history_0");
let_time_pass(2);
another_worker();
my $settled = call('while somebody reads');
is(slot(), '7', 'a reader of the oldest partition delays its end');
is(state_of($server, $settled), 'done', 'and does no harm to the worker');
is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE state = 'open'}), '0', 'nobody is alarmed');
is($reader->query_safe("SELECT count(*) > 0 FROM seats_internal.outbox_history_0"),
	't', 'the reader sees it until it is done');
$reader->query_safe('COMMIT');
my $greatest = greatest();
another_worker();
$server->wait_for_sql('SELECT slot FROM seats_internal.ring', '0');
pass('then the turn takes place');
$reader->quit;

is(state_of($server, $kept), '', 'what was in the oldest partition is gone');
is(state_of($server, $_), 'done', "call $_ is still there") foreach @of_slot[ 1 .. 7 ], $settled;
is($server->sql("SELECT count(*) FROM seats.attempts WHERE verdict = 'again'"), '0', 'so are its attempts');
is($server->sql(q{SELECT count(*) FROM seats.journal WHERE reason = 'slot 0'}), '0', 'and its entries');
is(greatest(), $greatest, 'numbers that were given stay');
write_note('again in slot 0');
assert_numbers($server, 'postgres', 'and go on after the turn, without a gap');
cmp_ok(greatest(), '>', $greatest, '… rising');
my ($status, undef, $stderr) = $server->try_sql('DELETE FROM seats_internal.journal');
like($stderr, qr/the journal is append-only/, 'retention empties partitions; nobody deletes entries');

# ---- dump and restore

# Written, but not numbered when the dump is made.
$server->set_debug_point('after_answer');
$server->enqueue('/v1/customers', { name => 'the worker stands' });
$server->wait_at_debug_point('after_answer');
write_note('not yet numbered');
is($server->sql(q{SELECT count(*) FROM seats.journal WHERE number IS NULL}), '2', 'two have no number yet');
my $numbers = q{SELECT string_agg(number || ' ' || kind, ',' ORDER BY number) FROM seats.journal};
my $before = $server->sql($numbers);
my $ring = $server->sql('SELECT slot, since, last_journal_number FROM seats_internal.ring');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
system_or_bail('pg_dump', '-Fc', '-f', $dump, $server->connstr('postgres'));

# Into a cluster whose transactions have lower numbers, and into one where they have higher ones.
my $young = new_server('young', extension => 0, configuration => $configuration);
$young->safe_psql('postgres', 'CREATE DATABASE restored');
$server->sql(
	"DO 'BEGIN FOR i IN 1 .. 500 LOOP COMMIT; PERFORM pg_current_xact_id(); END LOOP; END'");
$server->safe_psql('postgres', 'CREATE DATABASE restored');
foreach my $cluster ($young, $server)
{
	my $name = 'restored into ' . $cluster->name;
	system_or_bail('pg_restore', '-j2', '--exit-on-error', '-d', $cluster->connstr('restored'), $dump);
	$cluster->wait_for_worker(database => 'restored');
	is($cluster->safe_psql('restored', $numbers), $before, "$name: entries keep their numbers");
	is($cluster->safe_psql('restored', 'SELECT slot, since, last_journal_number FROM seats_internal.ring'),
		$ring, '… and the ring its place');
	$cluster->safe_psql('restored', q{SELECT seats.adopt_database('a copy', false)});
	assert_numbers($cluster, 'restored', '… all have one after the adoption, and there is no gap');
	my $last = (split /\|/, $ring)[2];
	is($cluster->safe_psql('restored', "$numbers WHERE number <= $last"),
		$before, '… those of before are the same');
	my $id = $cluster->safe_psql('restored', 'SELECT max(id) FROM seats_internal.outbox_history');
	cmp_ok($cluster->safe_psql('restored',
			q{SELECT nextval(pg_get_serial_sequence('seats_internal.outbox', 'id'))}),
		'>', $id, '… and ids go on');
}
$server->release_debug_point;
$server->assert_log_clean;
$_->stop foreach $server, $young;
done_testing();
