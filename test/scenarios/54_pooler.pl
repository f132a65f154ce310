# Behind pgbouncer, in transaction mode: everything works, and whoever waits holds a connection of the
# pool. So waits are short by default, and long ones want a pool of their own.
use strict;
use warnings;
use IPC::Run ();
use PgSeats::Scenario;
use PgSeats::Seats;

my $pgbouncer = $ENV{PGBOUNCER};
plan skip_all => 'there is no pgbouncer (PGBOUNCER names none)' if !$pgbouncer;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.default_wait = '500ms'
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');
new_team($server, $stripe, 'acme', seats => { team => 1 });

my $pool_size = 2;
my ($pooler, $pooler_port) = start_pgbouncer();

sub start_pgbouncer
{
	my $directory = $server->basedir;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $target = sprintf 'host=%s port=%s dbname=%s', $server->host, $server->port, $server->database;
	my $user = getpwuid($>);
	open my $file, '>', "$directory/pgbouncer.ini" or die "pgbouncer.ini: $!";
	print $file <<"END";
[databases]
app = $target user=$user pool_size=$pool_size
waiting = $target user=$user pool_size=10
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
logfile = $directory/pgbouncer.log
END
	close $file or die "pgbouncer.ini: $!";
	my $process = IPC::Run::start([ $pgbouncer, '-q', "$directory/pgbouncer.ini" ],
		'<', \undef, '>', "$directory/pgbouncer.out", '2>&1');
	wait_until(sub { `psql -XAtq -d '@{[ address_of('app', $port) ]}' -c 'SELECT 1' 2>&1` eq "1\n" },
		'pgbouncer to answer');
	return ($process, $port);
}

END { local $?; $pooler->kill_kill if $pooler }

sub address_of
{
	my ($pool, $port) = @_;
	return "host=127.0.0.1 port=" . ($port // $pooler_port) . " dbname=$pool user=app";
}

# A psql that runs one statement over a pool.
sub begin
{
	my ($pool, $sql) = @_;
	my %session = (out => '');
	$session{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', address_of($pool), '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>&1');
	return \%session;
}

sub finish
{
	my ($session) = @_;
	IPC::Run::finish($session->{run});
	chomp $session->{out};
	return $session->{out};
}

sub through { my ($pool, $sql) = @_; return finish(begin($pool, $sql)) }

sub await_waiters
{
	my ($count) = @_;
	$server->wait_for_sql(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL seats.wait_for_change%'
	    AND wait_event_type = 'Extension'}, $count);
	return;
}

my $add = q{SELECT change FROM seats.add_seats('acme', 'team', 1, actor => 'owner of acme')};

subtest 'a change and the wait for it' => sub {
	my $change = through('app', $add);
	like($change, qr/^\d+$/, 'it is made');
	is(through('app', "CALL seats.wait_for_change($change, '30 s')"), 'confirmed|', 'it is waited for');
	is(through('app', "SELECT state FROM seats.await_change($change)"), 'confirmed', '… by the function, too');
	is(through('app', q{CALL seats.change_seats_and_wait('acme', '{"team": {"add": 1}}', 'owner of acme',
	    timeout => '30 s')}) =~ s/^\d+//r, '|confirmed||f', '… and in one');
};

subtest 'Stripe is away: waits that are as long as the default says give their connections back' => sub {
	$stripe->outage('hang');
	my $change = through('app', $add);
	my @waits = map { begin('app', "CALL seats.wait_for_change($change)") } 1 .. $pool_size;
	is(through('app', 'SELECT 1'), '1', 'a page that is asked for meanwhile is served');
	is(finish($_), 'pending|', 'who waited is told that it is pending') foreach @waits;
	$stripe->outage('none');
	is(through('waiting', "CALL seats.wait_for_change($change, '60 s')"), 'confirmed|', 'and it is done in the end');
};

subtest 'long waits in a pool of their own' => sub {
	$stripe->outage('hang');
	my $change = through('app', $add);
	my @waits = map { begin('waiting', "CALL seats.wait_for_change($change, '60 s')") } 1 .. $pool_size + 1;
	await_waiters($pool_size + 1);
	is(through('app', 'SELECT 1'), '1', 'a page is served while they wait');
	await_waiters($pool_size + 1);
	$stripe->outage('none');
	is(finish($_), 'confirmed|', 'and they learn what became of it') foreach @waits;
};

done_testing();
