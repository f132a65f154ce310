# A copy of a database sends nothing until a person adopts it, whichever way the copy was made: dump
# and restore into another or the same cluster, CREATE DATABASE … TEMPLATE, a clone of the whole
# cluster. What moves with its secrets directory simply goes on: a standby that is promoted, pg_upgrade.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;
use PostgreSQL::Test::Utils qw(system_or_bail);

my $configuration = "pg_seats.safety_poll = '300ms'\npg_seats.retry_delay = '50ms'\n"
  . "pg_seats.retry_delay_limit = '200ms'\n";

my $stripe = new_simulator();
seed_subscription($stripe, 'sub_a', 1);
my $original = new_server('original', simulator => $stripe, database => 'shop',
	allows_streaming => 'logical', configuration => $configuration);
my $uuid = $original->sql('SELECT uuid FROM seats_internal.installation');

# What is open when the copies are made: one that Stripe executed, but its answer is lost; others that
# never reached it, among them one whose object can be read.
my $settled = $original->enqueue('/v1/customers', { name => 'settled' });
await_state($original, $settled, 'done');
$stripe->fault({ match => { body => '*lost*' }, fault => 'hang_after' });
my $lost = $original->enqueue('/v1/customers', { name => 'lost' });
wait_until(sub { @{ $stripe->requests(state => 'hanging') } == 1 }, 'a call to be executed');
$stripe->outage('refuse');
await_state($original, $lost, 'waiting');
my $pending = $original->enqueue('/v1/customers', { name => 'pending' });
my $change = change_quantity($original, 'sub_a', 6);
my @open = ($lost, $pending, $change);
my %keys = %{ keys_of($original, @open) };

# ---- the copies

$original->backup('base');
my $dump = PostgreSQL::Test::Utils::tempdir();
system_or_bail('pg_dump', '-Fp', '-f', "$dump/plain", $original->connstr('shop'));
system_or_bail('pg_dump', '-Fc', '-f', "$dump/custom", $original->connstr('shop'));
$original->safe_psql('postgres', 'CREATE DATABASE twin TEMPLATE shop');

my $elsewhere = new_server('elsewhere', simulator => $stripe, database => 'shop',
	configuration => $configuration);
# A database that had an installation of its own before: there is a file, of another uuid.
$elsewhere->sql('DROP EXTENSION pg_seats');
restore_plain($elsewhere, 'shop');
restore_custom($elsewhere, 'custom');
restore_custom($original, 'restored');
my $clone = copy_of_server($original, 'clone', backup => 'base', standby => 0, secrets => 'key');
my $keyless = copy_of_server($original, 'keyless', backup => 'base', standby => 0, secrets => 'empty');
$_->start foreach $clone, $keyless;

sub restore_plain
{
	my ($server, $database) = @_;
	system_or_bail('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$dump/plain",
		$server->connstr($database));
	return;
}

sub restore_custom
{
	my ($server, $database) = @_;
	$server->safe_psql('postgres', "CREATE DATABASE $database");
	system_or_bail('pg_restore', '-j2', '--exit-on-error', '-d', $server->connstr($database),
		"$dump/custom");
	return;
}

# From here on the original is quiet and Stripe is there: whatever arrives is from a copy.
$original->sql(q{SELECT seats.pause('stripe', 'the copies are looked at')});
await_another_loop($original);
$stripe->outage(undef);

my $file_is_missing = qr/installation\.\d+/;
my @copies = (
	[ 'plain dump into another cluster', $elsewhere, 'shop', qr/names another installation/ ],
	[ 'pg_restore -j2 into another cluster', $elsewhere, 'custom', $file_is_missing ],
	[ 'pg_restore into another database', $original, 'restored', $file_is_missing ],
	[ 'CREATE DATABASE … TEMPLATE', $original, 'twin', $file_is_missing ],
	[ 'clone with an API key', $clone, 'shop', $file_is_missing ],
	[ 'clone without secrets', $keyless, 'shop', $file_is_missing ]);

# One that is enqueued in the copy: it would wake its worker, and only the copy knows its key.
my %own = ();
my $sent = silence_of(
	$stripe,
	sub {
		foreach my $copy (@copies)
		{
			my ($name, $server, $database, $why) = @$copy;
			$server->wait_for_worker(database => $database);
			assert_fenced($server, $database, $why, $name, alert => $name !~ /dump|pg_restore/);
			is($server->safe_psql($database, 'SELECT count(*) FROM seats.outbox'),
				@open, "$name: it holds the open calls");
			$own{$name} = $server->safe_psql($database,
				PgSeats::Server::enqueue_statement('/v1/customers', { name => $name }));
		}
		await_another_loop(@$_[ 1, 2 ]) foreach @copies;
	});
is_deeply($sent, [], 'no copy sends anything, nor even reads');
is($_->[1]->safe_psql($_->[2], 'SELECT count(*) FROM seats.outbox'), @open + 1,
	"$_->[0]: and keeps everything")
  foreach @copies;

# ---- adoption that does not come about

$sent = silence_of(
	$stripe,
	sub {
		my $why = q{'moving house', true};
		$clone->sql("BEGIN; SELECT seats.adopt_database($why); ROLLBACK");
		my ($status) = $clone->try_sql("SELECT seats.adopt_database($why), 1 / (random() * 0)::int");
		isnt($status, 0, 'an adoption that fails');
		$clone->enqueue('/v1/customers', { name => 'after the rollback' });
		await_look_at_file($clone);
	});
is_deeply($sent, [], 'an adoption that is rolled back lets nothing out');
is($clone->sql('SELECT state FROM seats.worker_status'), 'fenced', 'the copy is still fenced');

# The worker looks at the file once a second.
sub await_look_at_file
{
	my ($server) = @_;
	my $now = $server->sql('SELECT clock_timestamp()');
	$server->wait_for_sql(
		"SELECT last_loop_at > '$now'::timestamptz + interval '1.2 s' FROM seats.worker_status", 't');
	await_another_loop($server);
	return;
}

# ---- adoption in the original's place

sub executed { return scalar @{ $stripe->worker_ledger } }

my $executed = executed();
is($executed, 2, 'what was settled and what was lost is all that Stripe has executed');
is($clone->sql(q{SELECT installation FROM seats.adopt_database('the original is gone', true)}),
	$uuid, 'replaces_original keeps the uuid');
await_state($clone, $_, 'done') foreach @open, $own{'clone with an API key'};
assert_executed_once_by($stripe, $keys{$_}, "call $_ was executed once") foreach @open;
is(@{ posts_of($stripe, $keys{$lost}) }, 1, 'what was executed is not sent again');
is($clone->sql("SELECT reason FROM seats.outbox_history WHERE call = $lost"),
	'proven_by_event', '… its event proves it');
is($clone->sql("SELECT string_agg(DISTINCT call::text, ' ' ORDER BY call::text) FROM seats.attempts
	 WHERE call IN ($pending, $change) AND purpose = 'search events'"),
	"$pending $change", 'what is not proven to be executed was looked for first');
is($clone->sql("SELECT string_agg(DISTINCT reason, ' ') FROM seats.outbox_history
	 WHERE call = $change AND reason LIKE 'proven%'"),
	'', 'an object without a marker proves nothing');
is(quantity_of($stripe, 'sub_a'), 6, 'and is then sent');
is($clone->sql(q{SELECT status FROM seats.health WHERE check_name = 'installation'}),
	'ok', 'health is well again');
$clone->wait_for_sql(q{SELECT state FROM seats.alerts WHERE kind = 'fenced'}, 'resolved');
is($clone->sql(q{SELECT role = current_user AND reason = 'the original is gone'
	 FROM seats.journal WHERE kind = 'installation.adopted'}), 't', 'the journal tells who and why');

# A second one in the same place, which nobody should make: still nothing twice.
$executed = executed();
$elsewhere->safe_psql('custom', q{SELECT seats.adopt_database('by mistake', true)});
$elsewhere->{_pg_seats_database} = 'custom';
await_state($elsewhere, $_, 'done') foreach @open, $own{'pg_restore -j2 into another cluster'};
is(executed(), $executed + 1, 'a second adoption finds everything executed, and does its own only');

# Without an API key it halts; with one it goes on.
$keyless->sql(q{SELECT seats.adopt_database('the key comes later', true)});
$keyless->wait_for_sql(q{SELECT state, halted_reason FROM seats.destinations}, 'halted|no_key');
$keyless->write_secret('stripe_key', $PgSeats::Server::api_key);
await_state($keyless, $_, 'done') foreach @open, $own{'clone without secrets'};
$keyless->wait_for_sql(q{SELECT state FROM seats.destinations}, 'open');
pass('a key is all that it lacked');
$keyless->stop;

# ---- adoption beside the original

$original->{_pg_seats_database} = 'restored';
my $own = $own{'pg_restore into another database'};
$sent = silence_of(
	$stripe,
	sub {
		my $new = $original->sql(
			q{SELECT installation FROM seats.adopt_database('a test system', false)});
		isnt($new, $uuid, 'a copy beside its original gets a uuid of its own');
		$original->wait_for_sql('SELECT state FROM seats.worker_status', 'running');
		is($original->sql(q{SELECT string_agg(call::text, ' ' ORDER BY call) FROM seats.reviews
			 WHERE reason = 'adopted_copy' AND doubt}), "@open $own", 'every open call is in review');
		is($original->sql(q{SELECT DISTINCT decisions FROM seats.reviews}),
			'{executed,not_executed,refuse}', 'and cannot be sent under a key of the original');
		is($original->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'review' AND state = 'open'}),
			'1', 'one alert tells of all');
		$original->sql("SELECT seats.resolve_review($lost, 'executed', 'seen in the Dashboard')");
		$original->sql("SELECT seats.resolve_review($_, 'refuse', 'the original does it')")
		  foreach $pending, $change;
	});
is_deeply([ grep { !/account$/ } @$sent ], [], 'nothing is sent but the probe of the key');
$original->sql("SELECT seats.resolve_review($own, 'not_executed', 'ours alone')");
await_state($original, $own, 'done');
is(state_of($original, $lost), 'done', 'a review is settled by a person\'s word');
is(state_of($original, $_), 'refused', '… or refused') foreach $pending, $change;
$original->wait_for_sql(
	q{SELECT count(*) FROM seats.alerts WHERE kind = 'review' AND state = 'open'}, '0');
unlike(key_of($original, $own), qr/$uuid/, 'what goes out has a key of the new identity');

# The original is not concerned, whatever happened to its copies.
$original->{_pg_seats_database} = 'shop';
$original->safe_psql('postgres', 'DROP DATABASE twin');
is($original->sql('SELECT state FROM seats.worker_status'), 'running', 'the original may still send');
$executed = executed();
$original->sql(q{SELECT seats.resume('stripe', 'the copies were looked at')});
await_state($original, $_, 'done') foreach @open;
is(executed(), $executed, 'it comes to know what its replacements have done, and does nothing twice');
is($original->sql("SELECT reason FROM seats.outbox_history WHERE call = $pending"),
	'replayed', '… by replays');
is_deeply($stripe->control('GET', '/ledger')->{executed_twice}, [], 'no key was executed twice');

# ---- a logical subscriber

{
	my $subscriber = new_server('subscriber', simulator => $stripe, configuration => $configuration);
	# Ids are per database: a subscriber that has calls of its own must keep them apart.
	$subscriber->sql(q{SELECT setval(pg_get_serial_sequence('seats_internal.outbox', 'id'), 100000)});
	$original->sql(q{SELECT seats.pause('stripe', 'for the subscriber to get them')});
	my @calls = map { $original->enqueue('/v1/customers', { name => "published $_" }) } 1 .. 3;
	$original->sql('CREATE PUBLICATION p FOR TABLE seats_internal.outbox');
	my $connection = PgSeats::Server::quote($original->connstr('shop'));
	$subscriber->sql("CREATE SUBSCRIPTION s CONNECTION $connection PUBLICATION p");
	push @calls, $original->enqueue('/v1/customers', { name => 'published 4' });
	$subscriber->wait_for_sql('SELECT count(*) FROM seats.outbox', scalar @calls);
	my $of_them = keys_of($original, @calls);
	# A new worker reads the whole table.
	$subscriber->restart;
	my $mine = $subscriber->enqueue('/v1/customers', { name => 'the subscriber itself' });
	await_state($subscriber, $mine, 'done');
	await_another_loop($subscriber);
	is(state_of($subscriber, $_), 'pending', "the subscriber leaves call $_ alone") foreach @calls;
	is(@{ posts_of($stripe, $_) }, 0, 'nothing was sent') foreach values %$of_them;
	is($subscriber->sql(q{SELECT status || ': ' || message FROM seats.health
		 WHERE check_name = 'foreign_calls'}),
		'warning: 4 call(s) of another installation, which this one does not send', 'health says so');
	my (undef, undef, $stderr) = $subscriber->try_sql("SELECT seats.retry($calls[0], 'try')");
	like($stderr, qr/belongs to another installation/, 'nor can an operator make it send them');
	$original->sql(q{SELECT seats.resume('stripe', 'it has them')});
	await_state($original, $_, 'done') foreach @calls;
	assert_executed_once_by($stripe, $_, 'the publisher sends them, once') foreach values %$of_them;
	$subscriber->wait_for_sql('SELECT count(*) FROM seats.outbox', '0');
	$subscriber->sql('DROP SUBSCRIPTION s');
	$subscriber->stop;
}

# ---- what goes on by itself

sub goes_on
{
	my ($server, $call, $key, $name) = @_;
	await_state($server, $call, 'done');
	is($server->sql('SELECT uuid FROM seats_internal.installation'), $uuid, "$name: the uuid stays");
	is(key_of($server, $call), $key, '… so does the key');
	assert_executed_once_by($stripe, $key, '… what was open is executed once');
	is($server->sql(q{SELECT status FROM seats.health WHERE check_name = 'installation'}),
		'ok', '… and health is well');
	unlike($server->log_text, qr/nothing is sent from this database/, '… nobody had to adopt it');
	return;
}

# Something that is open when the server goes.
sub leave_open
{
	my ($server) = @_;
	$stripe->outage('refuse');
	my $call = $server->enqueue('/v1/customers', { name => 'open' });
	return ($call, key_of($server, $call));
}

{
	$original->backup('for the standby');
	my $standby = copy_of_server($original, 'standby', backup => 'for the standby', streaming => 1);
	$standby->start;
	my ($call, $key) = leave_open($original);
	$original->wait_for_catchup($standby);
	is(state_of($standby, $call), 'pending', 'the standby has it');
	$original->stop('immediate');
	$stripe->outage(undef);
	$standby->promote;
	goes_on($standby, $call, $key, 'a standby with the directory');
	$standby->stop;
}

# pg_upgrade, from and to the same version: what it does to the catalogs is the same.
{
	my ($call, $key) = leave_open($clone);
	my $oid = $clone->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'shop'});
	$clone->stop;
	my $new = PgSeats::Server->new('upgraded');
	$new->{_pg_seats_database} = 'shop';
	$new->init;
	$new->append_conf('postgresql.conf', <<"END");
shared_preload_libraries = 'pg_seats'
pg_seats.secrets_directory = '@{[ $clone->secrets_directory ]}'
$configuration
END
	my $bin = $new->config_data('--bindir');
	chdir PostgreSQL::Test::Utils::tempdir();
	my @upgrade = ('pg_upgrade', '--no-sync', '-b', $bin, '-B', $bin, '-d', $clone->data_dir,
		'-D', $new->data_dir, '-p', $clone->port, '-P', $new->port, '-s', $new->host);
	foreach my $upgrade ([ @upgrade, '--check' ], \@upgrade)
	{
		my ($stdout, $stderr);
		ok(IPC::Run::run($upgrade, '>', \$stdout, '2>', \$stderr),
			$upgrade->[-1] eq '--check' ? 'pg_upgrade --check' : 'pg_upgrade')
		  or diag "$stdout$stderr";
	}
	$stripe->outage(undef);
	$new->start;
	is($new->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'shop'}),
		$oid, 'pg_upgrade keeps the database\'s OID');
	goes_on($new, $call, $key, 'after pg_upgrade');
	my $next = $new->enqueue('/v1/customers', { name => 'after pg_upgrade' });
	await_state($new, $next, 'done');
	$new->sql('DROP EXTENSION pg_seats');
	pass('and the extension can be dropped');
	$new->assert_log_clean;
	$new->stop;
}

is_deeply($stripe->control('GET', '/ledger')->{executed_twice}, [], 'nothing was ever executed twice');
done_testing();
