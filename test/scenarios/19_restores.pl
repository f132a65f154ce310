# A dump that is loaded piece by piece, beside a worker that is awake: it must neither be in the way of
# what is still to come, nor change what is there, nor send anything, whichever table comes first and
# whatever is in the secrets directory. Whether a restore is over is known to the person who adopts.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Copies;
use PostgreSQL::Test::Utils qw(slurp_file system_or_bail run_command);

my $configuration = "pg_seats.safety_poll = '100ms'\npg_seats.retry_delay = '50ms'\n"
  . "pg_seats.retry_delay_limit = '200ms'\n";

my $stripe = new_simulator();
my $original = new_server('original', simulator => $stripe, database => 'shop',
	configuration => $configuration);
my $uuid = $original->sql('SELECT uuid FROM seats_internal.installation');

# What a dump brings: history, calls that are open, a journal, alerts. The worker stands still, so that
# some of both were not yet numbered and told.
await_state($original, $original->enqueue('/v1/customers', { name => 'settled' }), 'done');
raise_alerts($original, 1 .. 3);
$original->wait_for_sql(
	q{SELECT count(*) FROM seats_internal.alert WHERE NOT announced}, '0');
$original->set_debug_point('after_settle');
$original->enqueue('/v1/customers', { name => 'the last to be settled' });
$original->wait_at_debug_point('after_settle');
my $open = $original->enqueue('/v1/customers', { name => 'open' });
my $key = key_of($original, $open);
raise_alerts($original, 4 .. 6);
$original->sql("SELECT seats_internal.write_journal('test', 'test', NULL, NULL, 'not yet numbered')");
my $wanted = contents_of($original, 'shop');
isnt($wanted->{$_}, '', "the dump has rows of $_") foreach qw(alert destination installation journal_0 outbox ring);

my $directory = PostgreSQL::Test::Utils::tempdir();
my $dump = "$directory/dump";
system_or_bail('pg_dump', '-Fc', '-f', $dump, $original->connstr('shop'));
my ($list) = run_command([ 'pg_restore', '-l', $dump ]);

# The original takes up its work and finds nothing to do: whatever arrives from here on is a copy's.
$original->release_debug_point;
await_state($original, $open, 'done');
await_another_loop($original);

sub raise_alerts
{
	my ($server, @numbers) = @_;
	$server->sql("SELECT seats_internal.raise_alert('test:$_', 'warning', 'review', 'alert $_')")
	  foreach @numbers;
	return;
}

# The dump's entries in its own order, or with the tables the other way round, as parallel jobs may come
# to load them.
sub entries_of_dump
{
	my ($order) = @_;
	my @entries = grep { /^\d+;/ } split /\n/, $list;
	return @entries if $order eq 'forwards';
	my @data = grep {/ TABLE DATA /} @entries;
	my @after = grep {/ SEQUENCE SET /} @entries;
	my @before = grep { !/ (?:TABLE DATA|SEQUENCE SET) / } @entries;
	return (@before, reverse(@data), @after);
}

my $is_worth_a_look = join '|', ' EXTENSION - ',
  map {" TABLE DATA seats_internal $_ "}
  qw(alert destination installation journal_0 outbox ring);

# Loads it entry by entry; before the next one, the worker has had a look at what is there.
sub restore_in_steps
{
	my ($server, $database, $order) = @_;
	my @entries = entries_of_dump($order);
	my $failed = '';
	while (@entries && !$failed)
	{
		# After what the worker looks at or writes to; the rest goes along.
		my @part = ();
		do { push @part, shift @entries } while @entries && $part[-1] !~ $is_worth_a_look;
		open my $handle, '>', "$directory/part" or die $!;
		print $handle map {"$_\n"} @part;
		close $handle or die $!;
		my ($stdout, $stderr) = run_command([
			'pg_restore', '--exit-on-error', '-L', "$directory/part",
			'-d', $server->connstr($database), $dump ]);
		$failed = $stderr;
		next if $failed;
		$server->wait_for_worker(database => $database);
		await_another_loop($server, $database);
	}
	return $failed;
}

sub assert_restored
{
	my ($server, $database, $order, $why, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $sent = silence_of(
		$stripe,
		sub {
			is(restore_in_steps($server, $database, $order), '', "$name: it is restored");
			# What was open then and is settled since: sent again, it would be executed again as soon
			# as Stripe has forgotten the key.
			await_another_loop($server, $database);
		});
	is_deeply($sent, [], '… nothing is sent');
	assert_fenced($server, $database, $why, $name, alert => 0);
	is_deeply(contents_of($server, $database), $wanted, '… and it holds what the dump does, no more and no less');
	return;
}

my $elsewhere = new_server('elsewhere', extension => 0, configuration => $configuration);
unlink $elsewhere->secrets_directory . '/stripe_key' or die $!;
my $file_is_missing = qr/installation\.\d+/;

foreach my $order (qw(forwards backwards))
{
	foreach my $case (
		[ $elsewhere, 'in a cluster without an API key' ],
		[ $original, 'beside its original' ])
	{
		my ($server, $place) = @$case;
		subtest "$order, $place" => sub {
			$server->safe_psql('postgres', "CREATE DATABASE $order");
			assert_restored($server, $order, $order, $file_is_missing, $order);
			# Ids that the worker took would collide here: one of the alert, several of the journal.
			local $server->{_pg_seats_database} = $order;
			my ($status, undef, $stderr) =
			  $server->try_sql(q{SELECT seats.adopt_database('a test system', false)});
			is($stderr, '', 'it can be adopted') or return;
			$server->wait_for_sql('SELECT state FROM seats.worker_status', 'running');
			raise_alerts($server, 7 .. 9);
			is(state_of($server, $open), 'review', 'what was open waits for a person');
			$server->wait_for_sql(
				q{SELECT count(*) FROM seats_internal.alert WHERE NOT announced}, '0');
			$server->wait_for_sql(q{SELECT count(*) FROM seats.journal WHERE number IS NULL}, '0');
			$server->safe_psql('postgres', "DROP DATABASE $order");
		};
	}
}

# The secrets directory still has the very file of this database and this installation: that a dump
# was loaded into it is seen all the same.
subtest 'over the same database' => sub {
	my $before = $original->sql('SELECT oid FROM pg_database WHERE datname = current_database()');
	$original->sql('DROP EXTENSION pg_seats');
	assert_restored($original, 'shop', 'forwards', qr/restored from a dump/, 'in place');
	is($original->sql('SELECT oid FROM pg_database WHERE datname = current_database()'),
		$before, '… into the same database');
	is(slurp_file($original->secrets_directory . "/installation.$before") =~ s/\s+//gr, $uuid,
		'… whose file is there');
	my $pid = $original->worker_pid;
	$original->kill_worker('TERM');
	$original->wait_for_worker(another_than => $pid);
	$original->wait_for_sql('SELECT state FROM seats.worker_status', 'fenced');
	my $executed = @{ $stripe->worker_ledger };
	is($original->sql(q{SELECT installation FROM seats.adopt_database('restored', true)}), $uuid,
		'adopted, it has its identity again');
	await_state($original, $open, 'done');
	is($original->sql("SELECT reason FROM seats.outbox_history WHERE call = $open"),
		'proven_by_event', 'what the dump calls open is proven to be executed');
	is(@{ posts_of($stripe, $key) }, 1, '… and not sent again');
	is(scalar @{ $stripe->worker_ledger }, $executed, 'nothing was executed');
};

$_->assert_log_clean foreach $original, $elsewhere;
done_testing();
