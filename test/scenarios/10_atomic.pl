# What is owed to Stripe commits with its transaction, or not at all: a transaction that does not
# commit, for whatever reason and however late, reaches nobody.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, fsync => 1, configuration => <<'END');
max_prepared_transactions = 5
# Longer than anything here is waited for: what is sent was woken by its commit.
pg_seats.safety_poll = '600s'
# So that a commit that need not be on disk is not.
wal_writer_delay = '10s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$server->sql(<<'END');
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE doctor (name text PRIMARY KEY, on_call boolean);
INSERT INTO doctor VALUES ('Ada', true), ('Bo', true);
END

my @expected = ();

sub call { return PgSeats::Server::enqueue_statement('/v1/customers', { name => $_[0] }, @_[ 1 .. $#_ ]) }

# A call that is committed after all the others: when it was executed, so would have been every other
# one that is there at all. Then: exactly the expected ones have a row and were executed.
sub only
{
	my ($name, @committed) = @_;
	push @expected, @committed, "after: $name";
	my $last = $server->sql(call("after: $name"));
	await_state($server, $last, 'done');
	await_all_settled($server);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return subtest $name => sub {
		my @executed = sort map { $_->{parameters}{name} } @{ $stripe->worker_ledger };
		is(join("\n", @executed), join("\n", sort @expected), 'executed is what was committed');
		is($server->sql('SELECT count(*) FROM seats.calls'), scalar @expected, 'and nothing else has a row');
	};
}

# ---- rollbacks

$server->sql('BEGIN; ' . call('rolled back') . '; ROLLBACK');
only('a transaction that is rolled back');

$server->sql('BEGIN; '
	  . join('; ', call('outer'), 'SAVEPOINT s', call('inner'), 'ROLLBACK TO s', call('outer again'))
	  . '; COMMIT');
only('a savepoint that is rolled back takes its calls along, and no others', 'outer', 'outer again');

$server->sql('BEGIN; SAVEPOINT s; ' . call('released') . '; RELEASE s; COMMIT');
only('a savepoint that is released', 'released');

my ($status) = $server->try_sql('BEGIN; ' . call('failed') . '; SELECT 1/0; COMMIT');
isnt($status, 0, 'a statement fails');
only('a transaction in which a statement fails');

my $perform = call('caught') =~ s/^SELECT/PERFORM/r;
$server->sql("DO \$\$ BEGIN $perform; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END \$\$");
only('a PL/pgSQL block whose error is caught');

$server->sql('BEGIN; ' . join('; ', map { call("many $_", lane => 'a') } 1 .. 3) . '; ROLLBACK');
only('many calls of a lane that are rolled back, whose lane is then new', ());
$server->sql(call('first of its lane', lane => 'a'));
only('the lane works', 'first of its lane');

my $session = $server->background_psql('postgres', on_error_stop => 0);
$session->query('BEGIN; ' . call('terminated'));
my $pid = $server->sql(q{SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'});
$server->sql("SELECT pg_terminate_backend($pid)");
wait_until(sub { $server->sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' },
	'the session to end');
eval { $session->quit };
only('a session that is terminated before its commit');

# ---- the commit itself fails

($status, undef, my $error) =
  $server->try_sql('BEGIN; ' . call('deferred') . '; INSERT INTO child VALUES (1); COMMIT');
like($error, qr/violates foreign key constraint/, 'a deferred constraint fails at the commit');
only('a commit that fails by a deferred constraint');

# Each of two doctors leaves because the other one is there.
my @doctors = map { $server->background_psql('postgres', on_error_stop => 0) } 1, 2;
my @names = qw(Ada Bo);
foreach my $i (0, 1)
{
	$doctors[$i]->query('BEGIN ISOLATION LEVEL SERIALIZABLE');
	$doctors[$i]->query('SELECT count(*) FROM doctor WHERE on_call');
	$doctors[$i]->query("UPDATE doctor SET on_call = false WHERE name = '$names[$i]'");
	$doctors[$i]->query(call("$names[$i] leaves"));
}
$_->query('COMMIT') foreach @doctors;
$_->quit foreach @doctors;
is($server->sql('SELECT count(*) FROM doctor WHERE on_call'), '1', 'one of two must stay');
only('a commit that fails by serialisation', 'Ada leaves');

# Two in one lane, of which the later one has the older snapshot.
my $old = $server->background_psql('postgres', on_error_stop => 0);
$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$old->query('SELECT 1');
$server->sql(call('the lane moves on', lane => 'a'));
$old->query(call('with an old snapshot', lane => 'a'));
$old->query('COMMIT');
$old->quit;
only('a lane that has moved on is a serialisation failure', 'the lane moves on');

# ---- two phases

$server->sql('BEGIN; ' . call('rolled back in two phases') . q{; PREPARE TRANSACTION 'a'});
$server->sql(q{ROLLBACK PREPARED 'a'});
only('ROLLBACK PREPARED');

$server->sql('BEGIN; ' . call('in two phases') . q{; PREPARE TRANSACTION 'b'});
only('PREPARE alone sends nothing');
$server->restart;
$server->wait_for_worker;
only('nor does it after a restart');
$server->sql(q{COMMIT PREPARED 'b'});
push @expected, 'in two phases';
wait_until(sub { grep { $_->{parameters}{name} eq 'in two phases' } @{ $stripe->worker_ledger } },
	'COMMIT PREPARED to wake the worker', timeout => 15);
only('COMMIT PREPARED wakes the worker');

# ---- a commit that need not be on disk, and a crash

my $off = 'SET synchronous_commit = off; ';

# Whatever Stripe was told has a row.
sub assert_no_call_without_its_row
{
	my ($name) = @_;
	my %known = map { $_ => 1 } split /\n/, $server->sql('SELECT idempotency_key FROM seats.calls');
	my @unknown = grep { !$known{ $_->{key} } } @{ $stripe->worker_ledger };
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join(', ', map { $_->{parameters}{name} } @unknown), '', $name);
}

$server->sql($off . call('asynchronous'));
push @expected, 'asynchronous';
wait_until(sub { grep { $_->{parameters}{name} eq 'asynchronous' } @{ $stripe->worker_ledger } },
	'a call of an asynchronous commit');
$server->stop('immediate');
$server->start;
assert_no_call_without_its_row('synchronous_commit = off: what was sent was on disk first');
await_all_settled($server);
assert_nothing_twice($stripe);

# The worker has seen the row, and the server crashes before it is frozen.
$server->wait_for_worker;
debug_point_from_now_on($server, 'before_freeze_commit');
$server->sql($off . call('lost'));
$server->wait_at_debug_point('before_freeze_commit');
my $calls = $server->sql('SELECT count(*) FROM seats.calls');
$server->stop('immediate');
unlink $server->data_dir . '/postgresql.auto.conf';  # where the debug point is set
$server->start;
$server->wait_for_worker;
my $survived = $server->sql('SELECT count(*) FROM seats.calls') == $calls;
diag('the asynchronous commit ' . ($survived ? 'survived' : 'was lost with') . ' the crash');
await_all_settled($server);
assert_no_call_without_its_row('a commit that is lost before the freeze: nothing was sent');
assert_nothing_twice($stripe);

# At any moment.
foreach my $round (1 .. 3)
{
	my $client = $server->background_psql('postgres', on_error_stop => 0);
	$client->query($off . call("round $round, number $_")) foreach 1 .. 5 * $round;
	$server->stop('immediate');
	eval { $client->quit };
	$server->start;
	assert_no_call_without_its_row("a crash at any moment, $round");
}
$server->wait_for_worker;
await_all_settled($server);
assert_no_call_without_its_row('in the end every call has its row');
assert_nothing_twice($stripe);

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
