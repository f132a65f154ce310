# A PostgreSQL server with pg_seats, for one scenario: PostgreSQL::Test::Cluster plus what concerns
# the worker. Made by PgSeats::Scenario::new_server.
package PgSeats::Server;

use strict;
use warnings;
use parent -norequire, 'PostgreSQL::Test::Cluster';
use Carp qw(croak);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PgSeats::Waiting;

our $api_key = 'sk_test_simulator';

# Options: fsync => 1 (tests that crash the operating system's view of the data), database => name,
# simulator => the PgSeats::Simulator that destination 'stripe' is to lead to, without which there
# is no destination; extension => 0 for a bare server.
sub set_up
{
	my ($self, $configuration, %options) = @_;
	$self->{_pg_seats_database} = $options{database} // 'postgres';
	$self->{_pg_seats_simulator} = $options{simulator};

	$self->init(
		allows_streaming => $options{allows_streaming},
		has_archiving => $options{has_archiving});
	# Beside the data directory, as it must not lie within.
	$self->make_secrets_directory;
	my $fsync = $options{fsync} ? 'on' : 'off';
	$self->append_conf('postgresql.conf', <<"END");
shared_preload_libraries = 'pg_seats'
pg_seats.secrets_directory = '@{[ $self->secrets_directory ]}'
fsync = $fsync
# PostgreSQL's own tests switch it off; that the server comes back is what is to be seen here.
restart_after_crash = on
max_connections = 40
# A busy machine: what a test does not say is not to end it.
pg_seats.default_wait = '30s'
$configuration
END
	$self->start;
	return $self if defined $options{extension} && !$options{extension};

	my $database = $self->database;
	$self->safe_psql('postgres', qq{CREATE DATABASE "$database"}) if $database ne 'postgres';
	$self->sql('CREATE EXTENSION pg_seats');
	$self->sql('SELECT seats.create_installation()');
	$self->define_destination('stripe') if $options{simulator};
	return $self;
}

sub database { return $_[0]->{_pg_seats_database} // 'postgres' }
sub simulator { return $_[0]->{_pg_seats_simulator} }
sub use_simulator { my ($self, $simulator) = @_; $self->{_pg_seats_simulator} = $simulator; return; }

# A session that stays. Its time counts for each query anew: the whole session may take longer, on a busy machine.
sub background_psql
{
	my ($self, @rest) = @_;
	my $session = $self->SUPER::background_psql(@rest);
	$session->set_query_timer_restart;
	return $session;
}

# Runs SQL in the scenario's database; dies if it fails. Returns what psql -At prints.
sub sql
{
	my ($self, $sql, %options) = @_;
	return $self->safe_psql($self->database, $sql, %options);
}

# The same for SQL that is expected to fail: (exit status, output, error message).
sub try_sql
{
	my ($self, $sql, %options) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $self->psql($self->database, $sql, stdout => \$stdout, stderr => \$stderr, %options);
	return ($status, $stdout, $stderr);
}

# Waits until a query answers with the expected text.
sub wait_for_sql
{
	my ($self, $sql, $expected, %options) = @_;
	my $seen = '';
	my $done = eval {
		wait_until(sub { $seen = $self->sql($sql); $seen eq $expected },
			"$sql to answer '$expected'", %options);
	};
	croak "$@(it last answered '$seen')" unless $done;
	return;
}

# An alert, or an entry of the journal, of a kind that no list names is found here, also one whose kind is put
# together at run time. (Those of tests are called test.)
sub stop
{
	my ($self, $mode, @rest) = @_;
	if (defined $self->{_pid} && ($mode // '') ne 'immediate')
	{
		my ($status, $unlisted) = $self->try_sql(<<'END');
SELECT string_agg(DISTINCT u.kind, ' ')
  FROM (SELECT a.kind FROM seats_internal.alert AS a
         WHERE a.kind <> ALL (ARRAY(SELECT k.kind FROM seats_internal.alert_kinds() AS k))
        UNION ALL
        SELECT j.kind FROM seats_internal.journal AS j
         WHERE j.kind <> ALL (ARRAY(SELECT k.kind FROM seats_internal.journal_kinds() AS k))) AS u
 WHERE u.kind !~ '^([a-z]+[.])?test$'
END
		Test::More::fail('of a kind that no list names: ' . $unlisted) if $status == 0 && $unlisted ne '';
	}
	return $self->SUPER::stop($mode, @rest);
}

sub secrets_directory { return $_[0]{_pg_seats_secrets_directory} // $_[0]->basedir . '/secrets' }

sub make_secrets_directory
{
	my ($self) = @_;
	my $directory = $self->secrets_directory;
	mkdir $directory, 0700 or croak "$directory: $!";
	# mkdir's mode passes through the umask.
	chmod 0700, $directory or croak "$directory: $!";
	$self->write_secret('stripe_key', $api_key);
	return;
}

sub write_secret
{
	my ($self, $name, $content) = @_;
	my $file = $self->secrets_directory . "/$name";
	# Written aside and renamed: the worker may read it at any moment.
	open my $handle, '>', "$file.new" or croak "$file.new: $!";
	chmod 0600, "$file.new" or croak "$file.new: $!";
	print $handle $content;
	close $handle or croak "$file.new: $!";
	rename "$file.new", $file or croak "$file: $!";
	return;
}

# The one place that knows how a destination is defined. Options replace the parameters.
sub define_destination
{
	my ($self, $name, %options) = @_;
	my %parameters = (
		base_url => $self->simulator ? "'" . $self->simulator->url . "'" : "''",
		secret => "'stripe_key'",
		account => "'acct_simulator'",
		livemode => 'false');
	$parameters{$_} = $options{$_} foreach keys %options;
	my $list = join ', ', map {"$_ => $parameters{$_}"} sort keys %parameters;
	return $self->sql("SELECT seats.define_destination('$name', $list)");
}

# enqueue('/v1/customers', { name => 'x' }, method => 'POST', destination => 'stripe',
#   lane => 'a', …): everything else goes to seats.enqueue_call by name, as an SQL text literal.
# Returns what the function returns.
sub enqueue
{
	my ($self, $path, $parameters, %options) = @_;
	return $self->sql(enqueue_statement($path, $parameters, %options));
}

# The statement alone, for scenarios that put it into a transaction of their own.
sub enqueue_statement
{
	my ($path, $parameters, %options) = @_;
	require JSON::PP;
	my $method = delete $options{method} // 'POST';
	my $destination = delete $options{destination} // 'stripe';
	my @arguments = map { quote($_) } ($destination, $method, $path,
		JSON::PP->new->canonical->encode($parameters // {}));
	push @arguments, map { "$_ => " . quote($options{$_}) } sort keys %options;
	return 'SELECT seats.enqueue_call(' . join(', ', @arguments) . ')';
}

sub quote
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

# ---- the worker

# Its process id, or an empty string.
sub worker_pid
{
	my ($self, $database) = @_;
	$database //= $self->database;
	return $self->safe_psql('postgres', <<"END");
SELECT pid FROM pg_stat_activity
 WHERE backend_type = 'pg_seats worker' AND datname = '$database'
END
}

# Waits until there is a worker, and where another_than is given, until that one has been replaced.
sub wait_for_worker
{
	my ($self, %options) = @_;
	my $before = $options{another_than} // '';
	my $database = $options{database} // $self->database;
	return wait_until(
		sub {
			my $pid = $self->worker_pid($database);
			return $pid ne '' && $pid ne $before ? $pid : 0;
		},
		"a worker in database $database" . ($before ? ", another than $before" : ''),
		timeout => $options{timeout} // 20);
}

# Sends a signal to the worker and returns its former process id. After KILL, SEGV, ABRT, BUS or
# QUIT the whole server restarts, which is declared to scripts/check.
sub kill_worker
{
	my ($self, $signal) = @_;
	$signal //= 'KILL';
	my $pid = $self->worker_pid or croak 'there is no worker to send a signal to';
	my %number = (KILL => 9, SEGV => 11, ABRT => 6, BUS => 7);
	$self->expect_signals(1, $number{$signal}) if $number{$signal};
	kill $signal, $pid or croak "worker $pid: $!";
	wait_until(sub { !kill 0, $pid }, "worker $pid to end after SIG$signal") if $number{$signal};
	return $pid;
}

# Makes the worker stop at a named place in its code, and waits until it stands there.
sub at_debug_point
{
	my ($self, $name, %options) = @_;
	$self->set_debug_point($name);
	$self->wait_at_debug_point($name, %options) unless $options{no_wait};
	return;
}

# The two halves of it, for scenarios that must do something in between.
sub set_debug_point
{
	my ($self, $name) = @_;
	# ALTER SYSTEM cannot run in a transaction, so these are two calls.
	$self->sql('ALTER SYSTEM SET pg_seats.debug_point = ' . quote($name));
	$self->sql('SELECT pg_reload_conf()');
	return;
}

sub wait_at_debug_point
{
	my ($self, $name, %options) = @_;
	wait_until(
		sub {
			my $seen = $self->sql(q{SELECT debug_point FROM seats.worker_status
				 WHERE debug_point IS NOT NULL});
			return $seen eq $name;
		},
		"the worker to stand at the debug point $name",
		timeout => $options{timeout} // 20);
	return;
}

sub release_debug_point
{
	my ($self) = @_;
	$self->sql('ALTER SYSTEM RESET pg_seats.debug_point');
	$self->sql('SELECT pg_reload_conf()');
	return;
}

# ---- the log

sub log_text
{
	my ($self, $offset) = @_;
	return slurp_file($self->logfile, $offset);
}

# scripts/check fails a run if a server's log tells of a process that was terminated by a signal.
# This declares that $count processes will be, by that signal (9, unless told otherwise); calls add
# up. Exactly so many must then be found.
sub expect_signals
{
	my ($self, $count, $signal) = @_;
	$self->{_expected_signals}{ $signal // 9 } += $count;
	my $expected = $self->{_expected_signals};
	my $file = $self->logfile . '.expected-signals';
	open my $handle, '>', $file or croak "$file: $!";
	print $handle "$_ $expected->{$_}\n" foreach sort keys %$expected;
	close $handle or croak "$file: $!";
	return;
}

# The same search that scripts/check makes at the end, as a test of the scenario: it tells at once
# and at the right place.
sub assert_log_clean
{
	my ($self, $name) = @_;
	my %left = %{ $self->{_expected_signals} // {} };
	my @alarming = ();
	foreach my $line (split /\n/, $self->log_text)
	{
		next
		  unless $line =~ /terminated by signal|PANIC|TRAP:|AddressSanitizer|runtime error:/;
		next if $line =~ /terminated by signal (\d+)/ && $left{$1} && $left{$1}-- > 0;
		push @alarming, $line;
	}
	foreach my $signal (sort keys %left)
	{
		push @alarming, "$left{$signal} more processes were to be terminated by signal $signal"
		  if $left{$signal} > 0;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::is(join("\n", @alarming), '',
		$name // 'the log of server ' . $self->name . ' tells of no crash');
}

1;
