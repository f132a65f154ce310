# Copies of a server: standbys, clones and restores, and how one sees that a copy is fenced.
package PgSeats::Copies;

use strict;
use warnings;
use Exporter 'import';
use PgSeats::Calls;
use PgSeats::Server;
use PgSeats::Waiting;
use PostgreSQL::Test::Utils ();
use Test::More;

our @EXPORT = qw(copy_of_server disconnect_standby restore_to_point keep_copy go_back_to_copy promote_copy assert_fenced contents_of silence_of);

# copy_of_server($server, 'standby', backup => 'name', …): a server from a base backup, not started.
# streaming => 1, restoring => 1 (without it: whatever the backup holds), standby => 0 (recovery that
# ends), configuration => text.
# secrets => 'shared' (the original's directory), 'empty' or 'key' (one of its own, with the API key).
sub copy_of_server
{
	my ($original, $name, %options) = @_;
	my $copy = PgSeats::Server->new($name);
	$copy->{_pg_seats_database} = $original->database;
	$copy->{_pg_seats_simulator} = $original->simulator;
	$copy->init_from_backup(
		$original, $options{backup},
		has_streaming => $options{streaming},
		has_restoring => $options{restoring},
		standby => $options{standby});
	my $secrets = $options{secrets} // 'shared';
	if ($secrets eq 'shared')
	{
		$copy->{_pg_seats_secrets_directory} = $original->secrets_directory;
	}
	else
	{
		$copy->make_secrets_directory;
		unlink $copy->secrets_directory . '/stripe_key' if $secrets eq 'empty';
		$copy->append_conf('postgresql.conf',
			"pg_seats.secrets_directory = '" . $copy->secrets_directory . "'");
	}
	$copy->append_conf('postgresql.conf', $options{configuration}) if $options{configuration};
	return $copy;
}

# From here on the standby gets nothing more: what the primary does is lost at a failover.
sub disconnect_standby
{
	my ($primary, $standby) = @_;
	$primary->wait_for_catchup($standby);
	$standby->safe_psql('postgres', q{ALTER SYSTEM SET primary_conninfo = ''});
	$standby->safe_psql('postgres', 'SELECT pg_reload_conf()');
	wait_until(
		sub { $standby->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_wal_receiver') eq '0' },
		'the standby to leave its primary');
	return;
}

# Point-in-time recovery into a new server, started, on a timeline of its own.
sub restore_to_point
{
	my ($original, $name, $point, %options) = @_;
	my $restored = copy_of_server($original, $name,
		%options, restoring => 1, standby => 0,
		configuration => ($options{configuration} // '') . <<"END");

recovery_target_name = '$point'
recovery_target_action = 'promote'
recovery_target_timeline = 'current'
archive_mode = off
END
	$restored->start;
	wait_until(
		sub { $restored->safe_psql('postgres', 'SELECT pg_is_in_recovery()') eq 'f' },
		"server $name to reach $point");
	return $restored;
}

# What a running server has just now, for go_back_to_copy.
sub keep_copy
{
	my ($server, $name) = @_;
	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', $server->backup_dir . "/$name");
	return $server->backup($name, backup_options => [ '--wal-method', 'stream' ]);
}

# The server ends, and is started with what it had when the copy was made: all that came since is forgotten. standby => 1: as a standby that was
# left behind, until promote_copy. So it stays the same server for whoever uses it, at the same port.
sub go_back_to_copy
{
	my ($server, $name, %options) = @_;
	$server->stop('immediate');
	my ($copy, $data) = ($server->backup_dir . "/$name", $server->data_dir);
	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', $data);
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $copy, $data);
	$server->set_standby_mode if $options{standby};
	$server->start;
	return;
}

# On a timeline of its own.
sub promote_copy
{
	my ($server) = @_;
	$server->promote;
	wait_until(sub { $server->safe_psql('postgres', 'SELECT pg_is_in_recovery()') eq 'f' }, 'the copy to be promoted');
	return;
}

# The database says in every place that it may not send, and why. alert => 0: it was loaded from a dump
# that may still be coming in, so that nothing may be written, the alert included.
sub assert_fenced
{
	my ($server, $database, $why, $name, %options) = @_;
	my $alert = $options{alert} // 1;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $sql = sub { $server->safe_psql($database, $_[0]) };
	wait_until(
		sub { $sql->(q{SELECT state FROM seats_internal.worker_state()}) eq 'fenced' },
		"the worker of $database in " . $server->name . ' to be fenced');
	my $alerts = q{FROM seats.alerts WHERE kind = 'fenced' AND state = 'open'};
	wait_until(sub { $sql->("SELECT count(*) $alerts") eq '1' }, 'an alert about the fence') if $alert;
	my ($status, $message) = split /\|/,
	  $sql->(q{SELECT status, message FROM seats.health WHERE check_name = 'installation'});
	is($status, 'critical', "$name: health is critical");
	like($message, $why, '… and says why');
	my $summary = $sql->("SELECT summary $alerts");
	$alert ? like($summary, $why, '… so does the alert') : is($summary, '', '… no table does');
	my $pid = $sql->('SELECT pid FROM seats_internal.worker_state()');
	my @lines = grep {/\[$pid\].*nothing is sent from this database/} split /\n/, $server->log_text;
	ok(@lines && $lines[0] =~ $why, '… and the log');
	return;
}

# What each table and sequence of a database holds, and what pg_restore would bring.
sub contents_of
{
	my ($server, $database) = @_;
	my %contents = ();
	foreach my $name (split /\n/, $server->safe_psql($database, <<'END'))
SELECT relname FROM pg_class
 WHERE oid = ANY ((SELECT extconfig FROM pg_extension WHERE extname = 'pg_seats')::oid[])
END
	{
		$contents{$name} = $server->safe_psql($database,
			"SELECT coalesce(string_agg(row, E'\\n' ORDER BY row), '')
			   FROM (SELECT (to_jsonb(t) - 'log_cnt')::text FROM (SELECT * FROM seats_internal.$name) AS t) AS r (row)");
	}
	return \%contents;
}

# silence_of($stripe, sub { … }): the requests that arrived during the sub, the scenario's own left
# out; empty if nobody sent anything.
sub silence_of
{
	my ($stripe, $during) = @_;
	my $before = $stripe->requests;
	my $last = @$before ? $before->[-1]{number} : 0;
	$during->();
	return [ map {"$_->{method} $_->{path}"}
		  grep { ($_->{key} // '') !~ /^scenario-/ } @{ $stripe->requests(after => $last) } ];
}

1;
