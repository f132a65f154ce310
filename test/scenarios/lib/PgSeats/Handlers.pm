# Applications' handlers: functions that run when a call has ended.
package PgSeats::Handlers;

use strict;
use warnings;
use Exporter 'import';
use PgSeats::Waiting;

our @EXPORT = qw(
  set_up_handlers define_handler name_handler ended_call await_handled await_handler handler_of
  handler_processes await_handler_at told);

# Schema app with the table `told`, into which handlers write; roles that may enqueue calls, and have
# the settings that are given: ({ app => 'LOGIN', helper => 'NOLOGIN' }). The destination 'stripe' is paused, so that
# calls end when the scenario says so.
sub set_up_handlers
{
	my ($server, $roles) = @_;
	$server->sql(<<'END');
CREATE SCHEMA app;
CREATE TABLE app.told (number bigint GENERATED ALWAYS AS IDENTITY, call bigint, what text);
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT ALL ON app.told TO PUBLIC;
END
	foreach my $role (sort keys %$roles)
	{
		$server->sql(<<"END");
CREATE ROLE $role $roles->{$role};
SELECT seats.grant_application('$role');
SELECT seats.grant_call('$role', 'stripe', '{POST}', '/v1/x');
END
	}
	$server->sql(q{SELECT seats.pause('stripe', 'calls end when the scenario says so')});
	return;
}

# A plpgsql function app.NAME with this body, that belongs to whoever is said: (owner => 'app').
sub define_handler
{
	my ($server, $name, $body, %options) = @_;
	my $owner = $options{owner} // 'app';
	$server->sql(<<"END");
CREATE OR REPLACE FUNCTION app.$name(call bigint, outcome jsonb, context jsonb) RETURNS void
LANGUAGE plpgsql AS \$body\$ $body \$body\$;
ALTER FUNCTION app.$name OWNER TO $owner;
GRANT EXECUTE ON FUNCTION app.$name TO PUBLIC;
END
	return;
}

# A call that names it, enqueued as a role: (role => 'app', lane => 'x', on_done => 'app.other', before =>
# 'SET app.tenant = …', …: arguments of enqueue_call).
sub name_handler
{
	my ($server, $name, %options) = @_;
	my $role = delete $options{role} // 'app';
	my $before = delete $options{before} // '';
	my $statement = PgSeats::Server::enqueue_statement('/v1/x', {}, on_refused => "app.$name", %options);
	return $server->sql("$before; SET ROLE $role; $statement");
}

# The same, cancelled: its handler is to run at once.
sub ended_call
{
	my ($server, $name, %options) = @_;
	my $call = name_handler($server, $name, %options);
	$server->sql("SELECT seats.cancel_call($call, 'as the scenario says')");
	return $call;
}

# Until nothing is left of it: it has run, once.
sub await_handled
{
	my ($server, @calls) = @_;
	my $list = join ',', @calls;
	$server->wait_for_sql("SELECT count(*) FROM seats_internal.handler WHERE call_id IN ($list)", '0');
	return;
}

# Until a condition on its row of seats_internal.handler holds.
sub await_handler
{
	my ($server, $call, $condition) = @_;
	$server->wait_for_sql(
		"SELECT coalesce(bool_and($condition), false) FROM seats_internal.handler WHERE call_id = $call", 't');
	return;
}

# Some columns of its row, as psql prints them.
sub handler_of
{
	my ($server, $call, $columns) = @_;
	return $server->sql("SELECT $columns FROM seats_internal.handler WHERE call_id = $call");
}

# The pids of a database's processes; of a role's, if one is given.
sub handler_processes
{
	my ($server, $role) = @_;
	my $of = defined $role ? "AND role_oid = '$role'::regrole" : '';
	return split /\n/, $server->sql("SELECT pid FROM seats_internal.handler_state() WHERE pid IS NOT NULL $of ORDER BY pid");
}

# Until a process stands at a debug point (see PgSeats::Server::set_debug_point); its pid.
sub await_handler_at
{
	my ($server, $point) = @_;
	my $pid;
	wait_until(
		sub {
			$pid = $server->sql("SELECT min(pid) FROM seats_internal.handler_state() WHERE debug_point = '$point'");
			$pid ne '';
		},
		"a process of handlers to stand at $point");
	return $pid;
}

# What handlers wrote into app.told about these calls, in order.
sub told
{
	my ($server, @calls) = @_;
	my $of = @calls ? 'WHERE call IN (' . join(',', @calls) . ')' : '';
	return $server->sql("SELECT what FROM app.told $of ORDER BY number");
}

1;
