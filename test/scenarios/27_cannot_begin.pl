# What keeps a worker from beginning says so: in the log, in seats.destinations, in seats.health, and
# after a while in an alert. What a database's owner sets for its sessions is none of it.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe);
my $well = q{SELECT string_agg(check_name, ' ') FROM seats.health WHERE status <> 'ok'};

# ---- a destination that cannot be reached when it is defined first

my $port = $stripe->port;
my $cases = 0;
foreach my $case (
	[ 'nobody listens there', 'http://127.0.0.1:1', qr/could not connect: Connection refused/ ],
	[ 'no TLS where TLS is expected', "https://127.0.0.1:$port", qr/TLS|SSL|certificate/i ],
	[ 'no such name', 'https://nobody.invalid', qr/resolv/ ])
{
	my ($what, $url, $pattern) = @$case;
	subtest $what => sub {
		my $name = 'far' . ++$cases;
		$server->define_destination($name, base_url => "'$url'", account => 'NULL');
		my $call = $server->enqueue('/v1/customers', { name => $what }, destination => $name);
		wait_until(sub { $server->sql("SELECT trouble FROM seats.destinations WHERE name = '$name'") =~ $pattern },
			'seats.destinations to say why', timeout => 60);
		is($server->sql("SELECT state FROM seats.destinations WHERE name = '$name'"), 'unproven', 'it is unproven');
		my $health = $server->sql("SELECT status, message, hint FROM seats.health WHERE check_name = 'destination $name'");
		like($health, qr/^warning\|its key was not proven yet: .*$pattern/, 'health says why');
		like($health, qr/base_url.*certificate/, 'and what to look at');
		like($server->log_text, qr/destination $name cannot be used yet: GET \Q$url\E\/v1\/account: .*$pattern/, 'the log, too');
		$server->wait_for_sql(
			"SELECT count(*) FROM seats.alerts WHERE kind = 'destination_unreachable' AND state = 'open' AND destination = '$name'",
			'1', timeout => 60);
		like($server->sql("SELECT summary FROM seats.alerts WHERE destination = '$name'"), $pattern, 'and an alert');
		is(state_of($server, $call), 'pending', 'its call waits');
		$server->define_destination($name);
		await_state($server, $call, 'done');
		$server->wait_for_sql("SELECT count(*) FROM seats.alerts WHERE destination = '$name' AND state = 'open'", '0');
		$server->wait_for_sql("SELECT state, trouble FROM seats.destinations WHERE name = '$name'", 'open|');
		pass('put right, it goes on, and says nothing more');
	};
}

# ---- settings of the database that are meant for its sessions

$server->define_destination('stripe');
$server->sql(q{CREATE ROLE nobody_here});

foreach my $setting ('role', 'session_authorization')
{
	subtest "the database has a $setting of its own" => sub {
		# Sessions of the test would have it, too.
		my $myself = 'SET SESSION AUTHORIZATION DEFAULT; SET ROLE NONE;';
		$server->sql("ALTER DATABASE postgres SET $setting = 'nobody_here'");
		my $pid = $server->sql("$myself SELECT pid FROM seats.worker_status");
		$server->sql("$myself SELECT pg_terminate_backend($pid)");
		my $state = "$myself SELECT state, trouble FROM seats.worker_status WHERE pid <> $pid";
		wait_until(sub { $server->sql($state) eq 'running|' }, 'another worker to run', timeout => 60);
		my $call = $server->sql("$myself SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers')");
		wait_until(sub { $server->sql("$myself SELECT state FROM seats.calls WHERE call = $call") eq 'done' }, 'its call to be done');
		pass('the worker is who it is');
		$server->sql("$myself ALTER DATABASE postgres RESET $setting");
	};
}

subtest 'only a copy is told to be adopted' => sub {
	my $hint = q{SELECT status, message, hint FROM seats.health WHERE check_name = 'installation'};
	like($server->sql($hint), qr/^ok\|/, 'all is well');
	# Somebody holds what the worker wants to read first.
	my $session = $server->background_psql('postgres');
	$session->query_safe('BEGIN; LOCK TABLE seats_internal.destination IN ACCESS EXCLUSIVE MODE');
	my $pid = $server->worker_pid;
	$server->sql("SELECT pg_terminate_backend($pid)");
	my $state = 'SELECT state, trouble FROM seats_internal.worker_state() WHERE pid <> ' . $pid;
	wait_until(sub { $server->sql($state) =~ /cannot read its configuration/ }, 'the worker to say so', timeout => 60);
	# It looks at the file that gives the right to send once a second.
	sleep 3;
	like($server->sql($state), qr/^running\|cannot read its configuration/, 'it is not called a copy');
	$session->query_safe('COMMIT');
	$session->quit;
	wait_until(sub { $server->sql($state) eq 'running|' }, 'the worker to go on', timeout => 30);

	chmod 0770, $server->secrets_directory or die $!;
	wait_until(sub { $server->sql($hint) =~ /^critical/ }, 'the directory to be refused', timeout => 30);
	like($server->sql($hint), qr/may be changed by others\|Put right what the message says/, 'a directory with a wrong mode');
	chmod 0700, $server->secrets_directory or die $!;
	wait_until(sub { $server->sql($hint) =~ /^ok/ }, 'it to be taken again', timeout => 30);

	my ($file) = glob $server->secrets_directory . '/installation.*';
	rename $file, "$file.away" or die $!;
	wait_until(sub { $server->sql($hint) =~ /^critical/ }, 'the file to be missed', timeout => 30);
	like($server->sql($hint), qr/does not exist\|.*seats\.adopt_database/, 'without the file it may be a copy');
	rename "$file.away", $file or die $!;
	wait_until(sub { $server->sql($hint) =~ /^ok/ }, 'it to be found again', timeout => 30);
};

is($server->sql($well) // '', '', 'in the end all is well');
$server->stop;
$stripe->stop;
done_testing();
