# What every scenario begins with:
#
#   use strict;
#   use warnings;
#   use PgSeats::Scenario;
#
#   my $stripe = new_simulator();
#   my $server = new_server('main', simulator => $stripe);
#   $server->wait_for_worker;
#   …
#   done_testing();
#
# It brings Test::More, wait_until and the functions below. A server is a PgSeats::Server, which is a
# PostgreSQL::Test::Cluster; a simulator is a PgSeats::Simulator.
#
# scripts/check runs them: it puts a copy of PostgreSQL with pg_seats into PATH, and the simulator's
# program into STRIPE_SIMULATOR.
package PgSeats::Scenario;

use strict;
use warnings;

# Before initdb is called: databases are UTF8, whatever the machine's locale is.
BEGIN { $ENV{LANG} = 'C.UTF-8'; }

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use PgSeats::Server;
use PgSeats::Simulator;
use PgSeats::Waiting;

my @servers = ();

our @EXPORT = (
	qw(new_server new_simulator wait_until assert_each_executed_once assert_executed),
	@Test::More::EXPORT);

# new_server('main', simulator => $stripe, fsync => 1, database => 'shop',
#   configuration => "pg_seats.some_setting = 'x'"): a running server with the extension, its
# installation and, if a simulator is given, the destination 'stripe'. Other options: see
# PgSeats::Server::set_up.
sub new_server
{
	my ($name, %options) = @_;
	my $configuration = delete $options{configuration} // '';
	my $server = PgSeats::Server->new($name);
	push @servers, $server;
	return $server->set_up($configuration, %options);
}

# Whatever has failed, a wait above all, is understood by how things stood: that comes last in the log. (The
# servers are stopped after this: their END was compiled earlier.)
END
{
	my $status = $?;
	show_how_things_stand($_) foreach $status || !Test::More->builder->is_passing ? @servers : ();
	$? = $status;
}

sub show_how_things_stand
{
	my ($server) = @_;
	my ($stdout, $stderr) = ('', '');
	eval { $server->psql($server->database, <<'END', stdout => \$stdout, stderr => \$stderr, timeout => 20, on_error_stop => 0); };
SELECT 'worker', state, trouble, debug_point, in_flight, ready FROM seats.worker_status;
SELECT 'health', check_name, status, message FROM seats.health WHERE status <> 'ok';
SELECT 'alert', severity, kind, summary FROM seats.alerts WHERE state = 'open' ORDER BY alert LIMIT 10;
SELECT 'outbox', call, state, method, path, lane, reason, due_at, attempts, error FROM seats.outbox ORDER BY call LIMIT 20;
END
	note 'how things stand in server ', $server->name, ":\n$stdout$stderr";
	return;
}

# new_simulator(): a running Stripe simulator on ports of its own.
sub new_simulator
{
	return PgSeats::Simulator->new(@_)->start;
}

# The oracle of every scenario with faults: the simulator's ledger tells what was executed, however
# often it was asked for. What the scenario itself did at the simulator is left out of account.

# Each of these idempotency keys was executed exactly once, and nothing else was.
sub assert_each_executed_once
{
	my ($simulator, $keys, $name) = @_;
	my %expected = map { $_ => 1 } @$keys;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply(times_executed($simulator), \%expected,
		$name // 'each call was executed exactly once');
}

# So many calls were executed, and none of them twice.
sub assert_executed
{
	my ($simulator, $count, $name) = @_;
	my $times = times_executed($simulator);
	my @twice = grep { $times->{$_} > 1 } sort keys %$times;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(keys(%$times) . " executed, twice: @twice", "$count executed, twice: ",
		$name // "$count calls were executed, each once");
}

# idempotency key -> how often a call with it was executed
sub times_executed
{
	my ($simulator) = @_;
	my %times = ();
	$times{ $_->{key} // '(without a key)' }++ foreach @{ $simulator->worker_ledger };
	return \%times;
}

1;
