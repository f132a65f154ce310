# The life of launcher and workers: who is there when, through CREATE and DROP EXTENSION in several
# databases, ends of every kind, reload, shutdown, and a library that does not fit the extension.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use PgSeats::Scenario;
use Time::HiRes qw(time);

my $server = new_server('main', extension => 0, configuration => <<'END');
max_prepared_transactions = 5
max_worker_processes = 12
# Longer than anything here is waited for: what happens is what somebody was told.
pg_seats.safety_poll = '60s'
END

sub launcher_pid
{
	return $server->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_seats launcher'});
}

sub workers
{
	return $server->safe_psql('postgres',
		q{SELECT string_agg(datname, ' ' ORDER BY datname COLLATE "C") FROM pg_stat_activity
		   WHERE backend_type = 'pg_seats worker'});
}

sub await_workers
{
	my ($expected, $name) = @_;
	my $seen = '';
	eval { wait_until(sub { $seen = workers(); $seen eq $expected }, "workers: $expected") };
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($seen, $expected, $name);
}

# What has happened by now has happened: the launcher has looked at whatever it was asked. A
# database that is made after it and whose worker comes tells that the others were served, too.
my $round = 0;
sub let_the_launcher_look
{
	my $database = 'look_' . ++$round;
	$server->safe_psql('postgres', "CREATE DATABASE $database");
	$server->safe_psql($database, 'CREATE EXTENSION pg_seats');
	$server->wait_for_worker(database => $database);
	$server->safe_psql('postgres', "DROP DATABASE $database");
	return;
}

sub state_of
{
	my ($database, $column) = @_;
	return $server->safe_psql($database, "SELECT $column FROM seats_internal.worker_state()");
}

# ---- CREATE EXTENSION

wait_until(sub { launcher_pid() }, 'the launcher');
$server->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(a b c);
await_workers('', 'no worker where the extension is not');

my %session = map { $_ => $server->background_psql($_) } qw(a b c);
$_->query_safe('BEGIN; CREATE EXTENSION pg_seats') foreach values %session;
is(workers(), '', 'no worker before the commit');
$session{b}->query_safe('ROLLBACK');
$session{c}->query_safe('COMMIT');
$session{a}->query_safe('COMMIT');
await_workers('a c', 'workers after the commit, in several databases at once, none after a rollback');
is(state_of('a', 'state IN (\'running\', \'fenced\')'), 't', 'it says that it is there');
is(state_of('a', 'preloaded AND launcher_pid IS NOT NULL'), 't', 'and who its launcher is');

$session{b}->query_safe('BEGIN; SAVEPOINT s; CREATE EXTENSION pg_seats; ROLLBACK TO s; COMMIT');
let_the_launcher_look();
is(workers(), 'a c', 'none after a savepoint\'s rollback');
$session{b}->query_safe(q{BEGIN; CREATE EXTENSION pg_seats; PREPARE TRANSACTION 'two_phases'});
let_the_launcher_look();
is(workers(), 'a c', 'none after PREPARE TRANSACTION');
$session{b}->query_safe(q{COMMIT PREPARED 'two_phases'});
await_workers('a b c', 'one after COMMIT PREPARED');

# ---- DROP EXTENSION

my $worker = $server->worker_pid('a');
$session{a}->query_safe('BEGIN; DROP EXTENSION pg_seats');
$session{a}->query_safe('ROLLBACK');
let_the_launcher_look();
is($server->worker_pid('a'), $worker, 'a DROP EXTENSION that is rolled back leaves the worker');
$_->query_safe('DROP EXTENSION pg_seats') foreach @session{qw(b c)};
await_workers('a', 'DROP EXTENSION ends the worker');
$session{a}->query_safe('BEGIN; DROP EXTENSION pg_seats; CREATE EXTENSION pg_seats; COMMIT');
isnt($server->wait_for_worker(database => 'a', another_than => $worker),
	$worker, 'DROP and CREATE in one transaction: another worker');
$worker = $server->worker_pid('a');
$session{a}->query_safe('DROP EXTENSION pg_seats');
$session{a}->query_safe('CREATE EXTENSION pg_seats');
isnt($server->wait_for_worker(database => 'a', another_than => $worker),
	$worker, 'and in two, at once after each other');
$_->quit foreach values %session;

# ---- databases

$server->safe_psql('postgres', 'CREATE DATABASE d TEMPLATE a');
await_workers('a d', 'a copy of a database with the extension gets a worker');
$server->safe_psql('postgres', 'ALTER DATABASE d ALLOW_CONNECTIONS false');
$server->safe_psql('postgres',
	q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'd'});
let_the_launcher_look();
is(workers(), 'a', 'none where nobody may connect');
$server->safe_psql('postgres', 'ALTER DATABASE d ALLOW_CONNECTIONS true');
await_workers('a d', 'but as soon as one may');
$server->safe_psql('postgres', 'DROP DATABASE d');
await_workers('a', 'DROP DATABASE ends the worker');

# ---- ends that nobody wanted

sub terminate_worker
{
	my ($pid) = @_;
	# (From before: on a busy machine the statement itself takes its time.)
	my $start = time;
	$server->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	my $next = $server->wait_for_worker(database => 'a', another_than => $pid);
	return ($next, time - $start);
}

$worker = $server->worker_pid('a');
my @pauses = ();
foreach (1 .. 3)
{
	($worker, my $pause) = terminate_worker($worker);
	push @pauses, $pause;
}
ok($pauses[0] > 0.8, "a worker that was terminated is back ($pauses[0] s)");
ok($pauses[1] > 1.8 && $pauses[2] > 3.8,
	"and each time later, if it happens again and again ($pauses[1] s, $pauses[2] s)");

my $launcher = launcher_pid();
$server->safe_psql('postgres', "SELECT pg_cancel_backend($launcher), pg_cancel_backend($worker)");
let_the_launcher_look();
is(launcher_pid(), $launcher, 'a cancel does not end the launcher');
is($server->worker_pid('a'), $worker, 'nor the worker');
$server->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
wait_until(sub { my $pid = launcher_pid(); $pid && $pid ne $launcher }, 'another launcher');
let_the_launcher_look();
is($server->worker_pid('a'), $worker, 'another launcher leaves the workers alone');
($worker) = terminate_worker($worker);
ok($worker, 'and starts those that end');

my $start = time;
$server->expect_signals(1, 9);
kill 'KILL', $worker;
my $next = $server->wait_for_worker(database => 'a', another_than => $worker);
my $pause = time - $start;
# A crash begins the pauses anew; otherwise it would be eight seconds.
ok($pause < 8, "a worker that was killed is back in $pause s");

# ---- library and extension

$server->safe_psql('postgres', q{ALTER SYSTEM SET pg_seats.safety_poll = '500ms'});
$server->reload;
unlike(state_of('a', 'trouble'), qr/version/, 'library and extension fit');
my $offset = -s $server->logfile;
$server->safe_psql('a', q{UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'pg_seats'});
wait_until(sub { state_of('a', 'trouble') =~ /version/ }, 'the mismatch to be seen');
like(state_of('a', 'trouble'), qr/extension in this database of version 0\.0\.1/,
	'an older extension is refused');
like($server->log_text($offset), qr/HINT:  Run ALTER EXTENSION pg_seats UPDATE/, 'with a hint');
$next = $server->worker_pid('a');
sleep 2;    # several polls
my @lines = $server->log_text($offset) =~ /(ALTER EXTENSION pg_seats UPDATE)/g;
is(scalar @lines, 1, 'which is said once');
is($server->worker_pid('a'), $next, 'and the worker does not end and start again and again');
$server->safe_psql('a', <<'END');
UPDATE pg_extension SET extversion =
    (SELECT default_version FROM pg_available_extensions WHERE name = 'pg_seats')
 WHERE extname = 'pg_seats'
END
wait_until(sub { state_of('a', 'trouble') !~ /version/ }, 'the trouble to be over');
is($server->worker_pid('a'), $next, 'when they fit again, it goes on');
$server->safe_psql('a', q{UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'pg_seats'});
wait_until(sub { state_of('a', 'trouble') =~ /version/ }, 'the mismatch to be seen again');
$server->safe_psql('a', 'DROP EXTENSION pg_seats');
await_workers('', 'a worker that waits for the update leaves with the extension');
$server->safe_psql('a', 'CREATE EXTENSION pg_seats');
await_workers('a', 'and a new one comes');

# ---- settings, reload, restart

my $changes = q{last_loop_at::text || '/' || claims || '/' || wakes};
$server->safe_psql('postgres', q{ALTER SYSTEM SET pg_seats.safety_poll = '100ms'});
$server->reload;
wait_until(sub { $server->safe_psql('postgres', 'SHOW pg_seats.safety_poll') eq '100ms' }, 'reload');
my $before = state_of('a', $changes);
wait_until(sub { state_of('a', $changes) ne $before }, 'the worker to follow the new setting',
	timeout => 5);
pass('a worker follows a reload');

# What the site sets for its own sessions does not reach the worker: it would not even start.
$server->safe_psql('postgres', "ALTER DATABASE a SET $_")
  foreach ('default_transaction_read_only = on', 'default_transaction_isolation = serializable',
	"search_path = 'nowhere'", 'statement_timeout = 1', 'idle_in_transaction_session_timeout = 1');
$start = time;
$server->stop('fast');
$pause = time - $start;
ok($pause < 3, "a fast shutdown with a worker takes $pause s");
$server->start;
await_workers('a', 'after a restart the worker is back, whatever the site sets for its sessions');
is($server->safe_psql('postgres',
		q{SELECT string_agg(application_name, ', ' ORDER BY 1) FROM pg_stat_activity
		   WHERE backend_type LIKE 'pg_seats %'}),
	'pg_seats launcher, pg_seats worker', 'and says who it is');
$server->assert_log_clean;
$server->stop;

# ---- while Stripe does not answer

# Takes connections and requests, and never says a word.
my $silence = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') or die "listen: $!";
my $hanging = new_server('hanging', extension => 0, database => 'shop');
$hanging->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(shop other);
$hanging->sql('CREATE EXTENSION pg_seats');
$hanging->sql('SELECT seats.create_installation()');
$hanging->define_destination('stripe',
	base_url => q{'http://127.0.0.1:} . $silence->sockport . q{'});
$hanging->enqueue('/v1/customers', { name => 'x' });

sub await_request
{
	my $connection;
	wait_until(sub { IO::Select->new($silence)->can_read(0) && ($connection = $silence->accept) },
		'a connection');
	wait_until(sub { IO::Select->new($connection)->can_read(0) }, 'a request on it');
	return $connection;
}

sub takes_no_time
{
	my ($name, $action) = @_;
	my $begin = time;
	$action->();
	my $took = time - $begin;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok($took, '<', 3, "$name while a call hangs ($took s)");
}

my @connections = await_request();
$worker = $hanging->worker_pid;
takes_no_time('DROP of another database',
	sub { $hanging->safe_psql('postgres', 'DROP DATABASE other') });
takes_no_time('a reload', sub {
	my $looped = q{SELECT last_loop_at FROM seats_internal.worker_state()};
	my $last = $hanging->sql($looped);
	$hanging->reload;
	wait_until(sub { $hanging->sql($looped) ne $last }, 'the worker to go on');
});
is($hanging->worker_pid, $worker, 'none of which ends the worker');
takes_no_time('RENAME of its own database',
	sub { $hanging->safe_psql('postgres', 'ALTER DATABASE shop RENAME TO store') });
ok($hanging->wait_for_worker(database => 'store', another_than => $worker), 'a worker comes back');
push @connections, await_request();
takes_no_time('a fast shutdown', sub { $hanging->stop('fast') });
$hanging->start;
push @connections, await_request();
takes_no_time('DROP EXTENSION', sub {
	$hanging->safe_psql('store', 'DROP EXTENSION pg_seats');
	wait_until(sub { $hanging->worker_pid('store') eq '' }, 'its worker to end');
});
$hanging->assert_log_clean;
$hanging->stop;

# ---- no room for a worker

my $small = new_server('small', extension => 0, configuration => 'max_worker_processes = 2');
$small->safe_psql('postgres', 'CREATE EXTENSION pg_seats');
$small->wait_for_sql(
	q{SELECT trouble FROM seats_internal.worker_state()},
	'no free worker slot: raise max_worker_processes');
is($small->sql('SELECT state FROM seats_internal.worker_state()'), 'none', 'no free worker slot');
sleep 6;    # one more attempt
@lines = $small->log_text =~ /(no free worker slot for database)/g;
is(scalar @lines, 1, 'said once in the log');
$small->stop;

# ---- no preload

my $bare = new_server('bare', extension => 0);
$bare->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$bare->restart;
$bare->sql('CREATE EXTENSION pg_seats');
is($bare->sql('SELECT state, preloaded FROM seats_internal.worker_state()'),
	'not preloaded|f', 'without preload the functions work, and say so');
$bare->sql('SELECT seats.create_installation()');
$bare->define_destination('stripe', base_url => q{'http://127.0.0.1:9'});
my $enqueue = PgSeats::Server::enqueue_statement('/v1/customers', { name => 'x' });
my ($status, undef, $stderr) = $bare->try_sql("$enqueue;\n" x 3);
is($status, 0, 'rows wait');
my @warnings = $stderr =~ /(WARNING:  pg_seats has no worker in this server)/g;
is(scalar @warnings, 1, 'and each session is warned once');
$bare->assert_log_clean;
$bare->stop;

done_testing();
