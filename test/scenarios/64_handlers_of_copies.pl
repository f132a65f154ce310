# A copy of a database runs no handler until a person adopts it. Beside its original it runs what a person wants there;
# in its place it runs what is left, as the roles that have the names now: a restore gives them other OIDs.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;
use PgSeats::Handlers;
use PostgreSQL::Test::Utils qw(system_or_bail);

my $configuration = "pg_seats.safety_poll = '300ms'\nmax_worker_processes = 24\n";
my $stripe = new_simulator();
my $original = new_server('original', simulator => $stripe, database => 'shop',
	configuration => "$configuration\npg_seats.handler_workers = 0\n");
set_up_handlers($original, { app => 'LOGIN', helper => 'NOLOGIN' });
my $tell = q{BEGIN INSERT INTO app.told (call, what) VALUES (tell.call, current_user || ' ' || (tell.outcome ->> 'result')); END};
define_handler($original, 'tell', $tell);
define_handler($original, 'of_another', $tell =~ s/tell\./of_another./gr, owner => 'helper');
$original->sql(q{SELECT seats.grant_handler('app.of_another', 'app')});

my $ended = ended_call($original, 'tell');
my $open = name_handler($original, 'tell');
my $granted = name_handler($original, 'of_another');

# ---- the copies

my $dump = PostgreSQL::Test::Utils::tempdir() . '/plain';
system_or_bail('pg_dump', '-Fp', '-f', $dump, $original->connstr('shop'));
$original->safe_psql('postgres', 'CREATE DATABASE twin TEMPLATE shop');

my $elsewhere = new_server('elsewhere', simulator => $stripe, database => 'shop', configuration => $configuration);
$elsewhere->sql('DROP EXTENSION pg_seats');
$elsewhere->sql("CREATE ROLE $_") foreach qw(helper of_no_interest app);
$elsewhere->sql('ALTER ROLE app LOGIN');
system_or_bail('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump, $elsewhere->connstr('shop'));
isnt($elsewhere->sql(q{SELECT 'app'::regrole::oid}), handler_of($elsewhere, $ended, 'role_oid'), 'the role has another OID');

$original->sql('ALTER SYSTEM SET pg_seats.handler_workers = 2');
$original->sql('SELECT pg_reload_conf()');
await_handled($original, $ended);
is(told($original, $ended), 'app cancelled', 'the original goes on');

my @copies = ([ $original, 'twin' ], [ $elsewhere, 'shop' ]);
foreach my $copy (@copies)
{
	my ($server, $database) = @$copy;
	$server->wait_for_worker(database => $database);
	wait_until(sub { $server->safe_psql($database, 'SELECT state FROM seats_internal.worker_state()') eq 'fenced' },
		"the worker of $database to be fenced");
	await_another_loop($server, $database);
	is($server->safe_psql($database, 'SELECT count(*) FROM app.told'), '0', "$database: a copy runs none");
	is($server->safe_psql($database, 'SELECT count(*) FROM seats_internal.handler'), '3', '… and keeps all');
}

# ---- beside the original

{
	local $original->{_pg_seats_database} = 'twin';
	$original->sql(q{SELECT seats.adopt_database('a test system', false)});
	$original->wait_for_sql('SELECT state FROM seats.worker_status', 'running');
	is($original->sql('SELECT call, reason, handler, decisions FROM seats.reviews WHERE handler IS NOT NULL'),
		"$ended|adopted_copy|app.tell|{retry,skip,run}", 'what has ended needs a person');
	is($original->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'handler_failed' AND state = 'open'}), '1',
		'… who is told');
	await_another_loop($original);
	is(told($original), '', '… and does not run by itself');
	$original->sql("SELECT seats.resolve_review($ended, 'retry', 'wanted here, too')");
	await_handled($original, $ended);
	$original->sql("SELECT seats.resolve_review($_, 'refuse', 'the original does it')") foreach $open, $granted;
	await_handled($original, $open, $granted);
	is(told($original, $_), $_ == $ended ? 'app cancelled' : 'app refused', "call $_: it runs in the copy")
	  foreach $ended, $open, $granted;
	is($original->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'handler_failed' AND state = 'open'}), '0',
		'the alert is over');
}
is(told($original), 'app cancelled', 'the original is not concerned');
is($original->sql('SELECT count(*) FROM seats_internal.handler'), '2', '… and has what it had');

# ---- in place of the original

$elsewhere->sql(q{SELECT seats.adopt_database('moved', true)});
is($elsewhere->sql(q{SELECT detail ->> 'handlers' FROM seats_internal.journal WHERE kind = 'installation.adopted'}), '3',
	'the journal says that roles were resolved anew');
await_handled($elsewhere, $ended);
foreach my $call ($open, $granted)
{
	$elsewhere->sql("SELECT seats.review_call($call, 'it was never sent')");
	$elsewhere->sql("SELECT seats.resolve_review($call, 'refuse', 'it was never sent')");
}
await_handled($elsewhere, $open, $granted);
is(told($elsewhere, $_), $_ == $ended ? 'app cancelled' : 'app refused', "call $_: it runs as the role of that name")
  foreach $ended, $open, $granted;

done_testing();
