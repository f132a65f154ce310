# A copy of the database as it is in the middle of everything: dumped, and restored beside the original. It has
# the same calls to send and handlers to run, and must do nothing of that.
package PgSeats::Chaos::Copy;

use strict;
use warnings;
use PgSeats::Simulator;
use PgSeats::Waiting;
use PostgreSQL::Test::Utils qw(slurp_file);

# What it sent would reach a Stripe of its own, where it is seen.
sub make
{
	my ($storm) = @_;
	my $server = $storm->server;
	wait_until(sub { $server->sql('SELECT 1') }, 'the server to be there', timeout => 60);
	my $dump = $server->basedir . '/dump.sql';
	dump_to($server, $dump);
	my $stripe = PgSeats::Simulator->new(name => 'copy')->start;
	restore_from($server, $dump, 'copy');
	$server->safe_psql('copy', "UPDATE seats_internal.destination SET base_url = '@{[ $stripe->url ]}'");
	my $open = $server->safe_psql('copy', 'SELECT count(*) FROM seats_internal.outbox');
	my $ran = $server->safe_psql('copy', 'SELECT count(*) FROM proof.ran');
	$storm->{copy} = { stripe => $stripe, open => $open, ran => $ran };
	push @{ $storm->{written} }, $dump, $server->logfile;
	$storm->tell("a copy of the database was made, with $open open calls");
	$server->wait_for_worker(database => 'copy', timeout => 60);
	return;
}

sub dump_to
{
	my ($server, $file) = @_;
	run('pg_dump', '-h', $server->host, '-p', $server->port, '-d', $server->database, '-f', $file);
	return;
}

sub restore_from
{
	my ($server, $file, $database) = @_;
	$server->safe_psql('postgres', "CREATE DATABASE $database");
	run('psql', '-XqAt', '-h', $server->host, '-p', $server->port, '-d', $database, '-v', 'ON_ERROR_STOP=1', '-f', $file);
	return;
}

sub run
{
	my (@command) = @_;
	my ($stdout, $stderr);
	IPC::Run::run([@command], '>', \$stdout, '2>', \$stderr) or die "$command[0]: $stderr";
	return;
}

1;
