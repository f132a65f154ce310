# Waiting for a call: whoever waits holds nothing back (no snapshot, no transaction id, no lock), is
# woken at once, and gives his place back however the waiting ends.
use strict;
use warnings;
use IPC::Run ();
use PgSeats::Scenario;
use Time::HiRes qw(time sleep);

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => 'pg_seats.max_waiters = 4');
$server->wait_for_worker;

# A psql of its own for one statement, and what came of it.
sub in_background
{
	my ($sql, %options) = @_;
	my %session = (out => '', error => '', begun => time);
	my @commands = map { ('-c', $_) } @{ $options{before} // [] };
	$session{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d',
			$server->connstr($server->database) . " application_name='" . ($options{name} // 'waiter') . "'",
			@commands, '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{error});
	return \%session;
}

# (what it printed, what it complained of); {took} holds the seconds from the start.
sub finish
{
	my ($session) = @_;
	IPC::Run::finish($session->{run});
	$session->{took} = time - $session->{begun};
	chomp $session->{out};
	return ($session->{out}, $session->{error});
}

sub waiters
{
	my ($name) = @_;
	return $server->sql(sprintf
		  q{SELECT count(*) FROM pg_stat_activity WHERE application_name = '%s' AND state = 'active'
		       AND wait_event_type = 'Extension'}, $name // 'waiter');
}

sub wait_for_waiters
{
	my ($count, $name) = @_;
	return wait_until(sub { waiters($name) == $count }, "$count sessions to wait");
}

# The number that the sessions themselves count, as the next one sees it.
sub places_taken
{
	my ($call) = @_;
	my $taken = 0;
	foreach my $limit (0 .. 5)
	{
		$server->sql("ALTER SYSTEM SET pg_seats.max_waiters = $limit");
		$server->sql('SELECT pg_reload_conf()');
		wait_until(sub { $server->sql('SHOW pg_seats.max_waiters') eq $limit }, 'the reload');
		my ($status) = $server->try_sql("CALL seats.wait_for_call($call, '1 millisecond')");
		$taken = $limit - 1;
		last if $status == 0;
	}
	$server->sql('ALTER SYSTEM RESET pg_seats.max_waiters');
	$server->sql('SELECT pg_reload_conf()');
	wait_until(sub { $server->sql('SHOW pg_seats.max_waiters') eq '4' }, 'the reload');
	return $taken;
}

sub hanging_call
{
	my (%options) = @_;
	my $id = $server->enqueue('/v1/customers', { name => 'hangs' }, %options);
	wait_until(
		sub {
			$server->sql("SELECT state FROM seats_internal.outbox WHERE id = $id") eq 'sending';
		},
		'the call to be on the wire');
	return $id;
}

my $what_it_holds = q{
SELECT backend_xmin IS NULL, backend_xid IS NULL,
       (SELECT string_agg(l.locktype || ' ' || coalesce(l.relation::regclass::text, ''), ', ')
          FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid')
  FROM pg_stat_activity AS a WHERE application_name = 'waiter' ORDER BY pid};

# ---- A settled call, and one that takes its time

my $quick = $server->enqueue('/v1/customers', { name => 'quick' });
is($server->sql("CALL seats.wait_for_call($quick)"), 'done|200|', 'a quick call is done');
like($server->sql("SELECT seats.call_answer($quick) ->> 'name'"), qr/^quick$/, 'and its answer is there');

$stripe->fault({ match => { path => '/v1/customers', body => '*hangs*' }, fault => 'hang', times => -1 });
my $slow = hanging_call();
my @sessions = map { in_background("CALL seats.wait_for_call($slow, '1 minute')") } 1 .. 3;
wait_for_waiters(3);
is($server->sql($what_it_holds), join("\n", ('t|t|') x 3),
	'who waits has no snapshot, no transaction id and no lock');
if ($server->sql(q{SELECT current_setting('server_version_num')::integer >= 170000}) eq 't')
{
	is($server->sql(q{SELECT DISTINCT wait_event FROM pg_stat_activity WHERE application_name = 'waiter'}),
		'PgSeatsCallSettled', 'and says what it waits for');
}

# It stays so over the looks that are made all the while, also for those who see but one snapshot.
my $stubborn = in_background("CALL seats.wait_for_call($slow, '1 minute')",
	before => [q{SET default_transaction_isolation = 'serializable'}], name => 'stubborn');
wait_for_waiters(1, 'stubborn');
my $until = time + 2.5;
my ($looks, $held) = (0, 0);
while (time < $until)
{
	$looks++;
	# A look that happens at this very moment is seen too; it lasts well under a millisecond.
	$held += $server->sql(q{SELECT count(*) FROM pg_stat_activity
		 WHERE application_name IN ('waiter', 'stubborn')
		   AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)});
	sleep 0.02;
}
cmp_ok($held, '<=', $looks / 10, "nothing is held for long ($held times in $looks looks at 4 sessions)");
is($server->sql(q{SELECT max(age(backend_xmin)) IS NULL FROM pg_stat_activity
	 WHERE application_name IN ('waiter', 'stubborn') AND wait_event_type = 'Extension'}), 't',
	'and nothing old');

# Others are not held up: VACUUM removes what is dead, and the tables can be locked.
$server->sql('CREATE TABLE dead AS SELECT generate_series(1, 100) AS n');
$server->sql('DELETE FROM dead');
my (undef, undef, $told) = $server->try_sql('VACUUM (VERBOSE) dead');
like($told, qr/\b100 removed|100 removed|removed 100/, 'VACUUM removes what was deleted after they began');
is($server->sql(q{BEGIN; SET LOCAL lock_timeout = '2s';
	LOCK TABLE seats_internal.outbox_history_0 IN ACCESS EXCLUSIVE MODE; COMMIT; SELECT 'locked'}),
	'locked', 'a table of history can be emptied');

# ---- Waking

$stripe->release;
foreach my $session (@sessions, $stubborn)
{
	my ($out, $error) = finish($session);
	is($out, 'done|200|', 'the waiter sees that the call is done') or diag $error;
}
# Without the wake-up the next look would come after up to a second; many rounds tell it apart.
my @delays = ();
foreach my $round (1 .. 8)
{
	my $call = hanging_call();
	my $session = in_background("CALL seats.wait_for_call($call, '1 minute')");
	wait_for_waiters(1);
	$stripe->release;
	finish($session);
	push @delays, $session->{begun} + $session->{took}
	  - $server->sql("SELECT extract(epoch FROM settled_at) FROM seats_internal.outbox_history WHERE id = $call");
}
@delays = sort { $a <=> $b } @delays;
note sprintf 'from the settlement to the end of psql: %s', join ' ', map { sprintf '%.3f s', $_ } @delays;
cmp_ok($delays[4], '<', 0.35, 'waiters are woken, they do not poll');

# ---- With handlers: over when what is to run at the call's end is committed, and not before

$server->sql('CREATE TABLE noted (call bigint, at timestamptz DEFAULT clock_timestamp())');
$server->sql(q{CREATE FUNCTION public.note(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql
	AS 'INSERT INTO public.noted VALUES (call)'});
$stripe->clear_faults;
$server->set_debug_point('handler_before_commit');
my $handled = $server->enqueue('/v1/customers', { name => 'handled' }, on_done => 'public.note');
my $patient = in_background("CALL seats.wait_for_call($handled, '1 minute', handlers => true)");
is($server->sql("CALL seats.wait_for_call($handled, '1 minute')"), 'done|200|', 'who does not ask for handlers is told of the call');
$server->wait_for_sql("SELECT state FROM seats.handlers WHERE call = $handled", 'running');
is($server->sql("CALL seats.wait_for_call($handled, '1 millisecond', handlers => true)"), 'handler_waiting|200|',
	'who asks for them is told that its handler is not committed');
is($server->sql("SELECT state FROM seats.await_call($handled, '1 millisecond', handlers => true)"), 'handler_waiting',
	'by the function, too');
wait_for_waiters(1);
is($server->sql($what_it_holds), 't|t|', 'who waits for a handler has no snapshot, no transaction id and no lock');
$server->release_debug_point;
is((finish($patient))[0], 'done|200|', 'and comes back when it is committed');
is($server->sql('SELECT count(*) FROM noted'), '1', 'which it is by then');

@delays = ();
$stripe->fault({ match => { path => '/v1/customers', body => '*hangs*' }, fault => 'hang', times => -1 });
foreach my $round (1 .. 8)
{
	my $call = hanging_call(on_done => 'public.note');
	my $session = in_background("CALL seats.wait_for_call($call, '1 minute', handlers => true)");
	wait_for_waiters(1);
	$stripe->release;
	finish($session);
	push @delays, $session->{begun} + $session->{took}
	  - $server->sql("SELECT extract(epoch FROM at) FROM noted WHERE call = $call");
}
@delays = sort { $a <=> $b } @delays;
note sprintf 'from the handler to the end of psql: %s', join ' ', map { sprintf '%.3f s', $_ } @delays;
cmp_ok($delays[4], '<', 0.35, 'who waits for handlers is woken, too');

# ---- Enqueue and wait in one block: its call must be committed by then, or it would never be sent

$stripe->clear_faults;
my (undef, undef, $complaints) = $server->try_sql(q{
DO $$
DECLARE
	call bigint; state text; http_status integer; reason text;
BEGIN
	call := seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "block"}');
	CALL seats.wait_for_call(call, '30 seconds', state, http_status, reason);
	CREATE TABLE told AS SELECT state || ' ' || http_status AS what;
END
$$});
is($complaints, '', 'a block may enqueue a call and wait for it');
is($server->sql('SELECT what FROM told'), 'done 200', 'it commits in between');

# ---- The function

$stripe->fault({ match => { path => '/v1/customers', body => '*hangs*' }, fault => 'hang', times => -1 });
$slow = hanging_call();
my $function = in_background("SELECT state, http_status FROM seats.await_call($slow, '30 seconds')");
wait_for_waiters(1);
is($server->sql(q{SELECT backend_xmin IS NOT NULL, backend_xid IS NULL FROM pg_stat_activity
	 WHERE application_name = 'waiter'}), 't|t',
	'the function cannot help holding the snapshot of its query, and nothing else');
$stripe->release;
is((finish($function))[0], 'done|200', 'and sees the call settled all the same');

$slow = hanging_call();
$function = in_background("SELECT state FROM seats.await_call($slow, '300 milliseconds')");
is((finish($function))[0], 'sending', 'when its time is up it says where the call stands');

# ---- Places

is(places_taken($slow), 0, 'everybody has given his place back');
@sessions = map { in_background("CALL seats.wait_for_call($slow, '1 minute')") } 1 .. 4;
wait_for_waiters(4);
my ($status, undef, $error) = $server->try_sql("\\set VERBOSITY verbose\nCALL seats.wait_for_call($slow)");
isnt($status, 0, 'one too many is refused');
like($error, qr/PS122: too many sessions wait for calls/, 'with an error of its own');
like($error, qr/pg_seats\.max_waiters allows 4/, 'that names the setting');
is($server->sql("CALL seats.wait_for_call($slow, '0')"), 'sending||', 'who only looks needs no place');

my @pids = split /\n/, $server->sql(
	q{SELECT pid FROM pg_stat_activity WHERE application_name = 'waiter' ORDER BY pid});
$server->sql("SELECT pg_cancel_backend($pids[0])");
$server->sql("SELECT pg_terminate_backend($pids[1])");
wait_for_waiters(2);
is(places_taken($slow), 2, 'cancelled and terminated sessions give their places back');
my $timed_out = in_background("CALL seats.wait_for_call($slow, '1 minute')",
	before => ["SET statement_timeout = '300ms'"], name => 'timed_out');
like((finish($timed_out))[1], qr/statement timeout/, 'statement_timeout ends the waiting');
is(places_taken($slow), 2, 'and gives the place back');
if ($server->sql(q{SELECT current_setting('server_version_num')::integer >= 170000}) eq 't')
{
	my $patient = in_background("CALL seats.wait_for_call($slow, '1500 milliseconds')",
		before => ["SET transaction_timeout = '400ms'"], name => 'patient');
	is((finish($patient))[0], 'sending||', 'transaction_timeout does not: no transaction lasts so long');
	cmp_ok($patient->{took}, '>', 1.4, 'though the waiting does');
}
# A client that goes away is noticed when the waiting is over, at the latest.
my $ended = in_background("CALL seats.wait_for_call($slow, '1 minute')", name => 'ended');
wait_for_waiters(1, 'ended');
IPC::Run::signal($ended->{run}, 'TERM');
IPC::Run::finish($ended->{run});

$stripe->release;
my @ends = map { join ' ', finish($_) } @sessions;
is(scalar(grep { /^done\|200\|/ } @ends), 2, 'the other two were served');
is(scalar(grep { /canceling statement due to user request/ } @ends), 1, 'one was cancelled');
is(scalar(grep { /terminating connection/ } @ends), 1, 'and one terminated');
wait_until(sub { $server->sql(q{SELECT count(*) FROM pg_stat_activity
	 WHERE application_name IN ('waiter', 'ended')}) eq '0' }, 'all of them to be gone');
is(places_taken($slow), 0, 'nobody holds a place any more');

# ---- A worker that dies between its commit and the broadcast: the next look finds out

$slow = hanging_call();
my $orphan = in_background("CALL seats.wait_for_call($slow, '1 minute')");
wait_for_waiters(1);
$server->sql("UPDATE seats_internal.outbox SET state = 'review', reason = 'by hand' WHERE id = $slow");
is((finish($orphan))[0], 'review||by hand', 'what a person must decide is not waited for');
cmp_ok($orphan->{took}, '<', 10, 'and that is noticed without being told');

# ---- Without the library being preloaded

$server->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$server->stop;
$server->start;
($status, undef, $error) = $server->try_sql("CALL seats.wait_for_call($quick)");
like($error, qr/has no worker in this server/, 'without a worker nobody can wait');
like($error, qr/shared_preload_libraries/, 'and the hint says why');
is($server->sql("SELECT seats.call_answer($quick) ->> 'object'"), 'customer', 'answers can be read');

$server->stop;
$stripe->stop;
done_testing();
