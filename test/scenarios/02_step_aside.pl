# Commands that want a database for themselves: the worker steps aside for them, and only for those
# who may run them, and it comes back however the command ends.
use strict;
use warnings;
use PgSeats::Scenario;
use Time::HiRes qw(time);

my $server = new_server('main', extension => 0, configuration => "allow_in_place_tablespaces = on\n");

$server->safe_psql('postgres', <<'END');
CREATE ROLE owner LOGIN CREATEDB;
CREATE ROLE stranger LOGIN CREATEDB;
END

# As somebody else than the superuser.
sub as
{
	my ($role, $sql) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $server->psql('postgres', $sql,
		stdout => \$stdout, stderr => \$stderr, extra_params => [ '-U', $role ]);
	return $status == 0 ? 'done' : $stderr;
}

# The server itself would wait five seconds for a worker that does not leave, and then refuse.
sub at_once
{
	my ($name, $sql) = @_;
	my $start = time;
	my $result = as('owner', $sql);
	my $took = time - $start;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($result, 'done', $name);
	cmp_ok($took, '<', 3, "… in $took s");
	return;
}

sub new_database
{
	my ($name) = @_;
	as('owner', "CREATE DATABASE $name");
	$server->safe_psql($name, 'CREATE EXTENSION pg_seats');
	return $server->wait_for_worker(database => $name);
}

sub workers
{
	return $server->safe_psql('postgres',
		q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_seats worker'});
}

# ---- whoever may

my $worker = new_database('a');
at_once('CREATE DATABASE … TEMPLATE', 'CREATE DATABASE b TEMPLATE a');
ok($server->wait_for_worker(database => 'a'), 'afterwards the worker is back');
ok($server->wait_for_worker(database => 'b'), 'and the copy has its own');

at_once('ALTER DATABASE … RENAME', 'ALTER DATABASE b RENAME TO c');
ok($server->wait_for_worker(database => 'c'), 'afterwards there is a worker under the new name');
at_once('a RENAME that is rolled back', 'BEGIN; ALTER DATABASE c RENAME TO d; ROLLBACK');
ok($server->wait_for_worker(database => 'c'), 'the worker is back');
at_once('two at once', 'BEGIN; ALTER DATABASE c RENAME TO d; ALTER DATABASE a RENAME TO aa; COMMIT');
ok($server->wait_for_worker(database => $_), "a worker in $_") foreach qw(d aa);
at_once('a RENAME that fails and is caught', <<'END');
DO $$ BEGIN
    BEGIN
        ALTER DATABASE d RENAME TO e;
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
END $$
END
ok($server->wait_for_worker(database => 'd'), 'the worker is back');

$server->safe_psql('postgres', q{SET allow_in_place_tablespaces = on; CREATE TABLESPACE elsewhere LOCATION ''});
$server->safe_psql('postgres', 'GRANT CREATE ON TABLESPACE elsewhere TO owner');
at_once('ALTER DATABASE … SET TABLESPACE', 'ALTER DATABASE d SET TABLESPACE elsewhere');
ok($server->wait_for_worker(database => 'd'), 'afterwards the worker is back');

at_once('DROP DATABASE', 'DROP DATABASE d');
new_database('f');
# Without stepping aside it would be refused: the worker is a superuser's process.
at_once('DROP DATABASE … WITH (FORCE) by an owner who is no superuser', 'DROP DATABASE f WITH (FORCE)');
wait_until(sub { workers() == 1 }, 'their workers to be gone');

my @copying = map { $server->background_psql('postgres') } 1 .. 3;
$copying[$_]->query_until(qr/begun/, "\\echo begun\nCREATE DATABASE copy_$_ TEMPLATE aa;\n")
  foreach 0 .. 2;
$server->wait_for_worker(database => "copy_$_") foreach 0 .. 2;
ok($server->wait_for_worker(database => 'aa'), 'several copies at once, and all have workers');
$_->quit foreach @copying;
$server->safe_psql('postgres', "DROP DATABASE copy_$_") foreach 0 .. 2;

# ---- whoever may not, or asks for what cannot be: the worker is not disturbed

$worker = $server->wait_for_worker(database => 'aa');
sub undisturbed
{
	my ($role, $sql, $error) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(as($role, $sql), $error, "$role: $sql");
	is($server->worker_pid('aa'), $worker, '… does not disturb the worker');
	return;
}

undisturbed('stranger', 'DROP DATABASE aa', qr/must be owner of database aa/);
undisturbed('stranger', 'DROP DATABASE aa WITH (FORCE)', qr/must be owner of database aa/);
undisturbed('stranger', 'ALTER DATABASE aa RENAME TO bb', qr/must be owner of database aa/);
undisturbed('stranger', 'ALTER DATABASE aa SET TABLESPACE elsewhere', qr/must be owner of database aa/);
undisturbed('stranger', 'CREATE DATABASE bb TEMPLATE aa', qr/permission denied to copy database "aa"/);
undisturbed('owner', 'CREATE DATABASE postgres TEMPLATE aa', qr/already exists/);
undisturbed('owner', 'ALTER DATABASE aa RENAME TO postgres', qr/already exists/);
undisturbed('owner', 'BEGIN; DROP DATABASE aa', qr/cannot run inside a transaction block/);
undisturbed('owner', 'BEGIN; CREATE DATABASE bb TEMPLATE aa', qr/cannot run inside a transaction block/);
undisturbed('owner', 'BEGIN; ALTER DATABASE aa SET TABLESPACE elsewhere',
	qr/cannot run inside a transaction block/);
undisturbed('owner', 'SET default_transaction_read_only = on; DROP DATABASE aa',
	qr/cannot execute DROP DATABASE in a read-only transaction/);
undisturbed('owner', 'DROP DATABASE IF EXISTS nowhere', qr/^done$/);
# (The setting is for the session that the scenario's own superuser has in this database.)
my ($status, undef, $stderr) = $server->psql('aa', 'DROP DATABASE aa');
like($stderr, qr/cannot drop the currently open database/, 'nor does dropping one\'s own database');
is($server->worker_pid('aa'), $worker, '… disturb it');

my $start = time;
$server->safe_psql('postgres', 'CREATE DATABASE other');
$server->safe_psql('postgres', 'DROP DATABASE other');
cmp_ok(time - $start, '<', 3, 'DROP of another database is not held up by the worker');
is($server->worker_pid('aa'), $worker, 'and does not disturb it');

# ---- however the command ends

# A session in the database makes DROP DATABASE wait for five seconds and then fail.
my $session = $server->background_psql('aa');
like(as('owner', 'DROP DATABASE aa'), qr/is being accessed by other users/, 'a command that fails');
ok($server->wait_for_worker(database => 'aa', timeout => 3), '… gives the worker back');

# While it waits, something happens to the session that wanted it.
sub interrupted_by
{
	my ($function) = @_;
	my $before = $server->wait_for_worker(database => 'aa');
	my $wanting = $server->background_psql('postgres', on_error_stop => 0);
	my $pid = $wanting->query_safe('SELECT pg_backend_pid()');
	$wanting->query_until(qr/begun/, "\\echo begun\nDROP DATABASE aa;\n");
	wait_until(sub { $server->worker_pid('aa') eq '' }, 'the worker to step aside');
	$server->safe_psql('postgres', "SELECT $function($pid)");
	my $next = $server->wait_for_worker(database => 'aa', timeout => 3);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	isnt($next, $before, "$function gives the worker back at once");
	eval { $wanting->quit };
	return;
}
interrupted_by('pg_cancel_backend');
interrupted_by('pg_terminate_backend');
$session->quit;

# ---- template1, which everybody copies without naming it

$server->safe_psql('template1', 'CREATE EXTENSION pg_seats');
$server->wait_for_worker(database => 'template1');
at_once('CREATE DATABASE when template1 has the extension', 'CREATE DATABASE h');
ok($server->wait_for_worker(database => $_), "a worker in $_") foreach qw(template1 h);
at_once('and the next', 'CREATE DATABASE i');
at_once('and its end, while its worker is just starting', 'DROP DATABASE i');

# ---- at the end nothing is held, and nothing was logged as going wrong

wait_until(sub { workers() == 3 }, 'a worker in aa, template1 and h');
my $log = $server->log_text;
unlike($log, qr/FATAL:  database .* does not exist/, 'no worker was started where nothing is');
unlike($log, qr/the launcher goes on after an error/, 'the launcher met no error');
$server->assert_log_clean;
$start = time;
$server->stop('fast');
cmp_ok(time - $start, '<', 3, 'a fast shutdown with three workers');

done_testing();
