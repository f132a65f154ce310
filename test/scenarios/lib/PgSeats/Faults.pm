# What scenarios with faults share: calls whose faults strike nobody else, what is known of their
# attempts, and a worker that is killed at a certain place.
package PgSeats::Faults;

use strict;
use warnings;
use Exporter 'import';
use PgSeats::Calls;
use PgSeats::Server;
use PgSeats::Waiting;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(
  named_call fault_of struck_call attempts_of await_attempt uuid_of assert_once_under_any_key
  assert_nothing_twice assert_settled_once open_alerts breaker_of await_breaker fresh_connections
  settled_as may_raise raise_for
  debug_point_from_now_on stop_worker kill_stopped_worker kill_at_debug_point kill_noticed await_all_settled set_configuration);

my $names = 0;

# 'review not_proven', 'done replayed', …: as what a call ends, or comes before a person, and why.
sub settled_as
{
	my ($server, $call) = @_;
	await_state($server, $call, 'done', 'refused', 'review');
	return $server->sql("SELECT concat_ws(' ', state, reason) FROM seats.calls WHERE call = $call");
}

# A call that creates a customer with a name of its own: (id, name).
sub named_call
{
	my ($server, %options) = @_;
	my $name = sprintf 'case-%03d', ++$names;
	return ($server->enqueue('/v1/customers', { name => $name }, %options), $name);
}

# fault_of($stripe, 'case-001', fault => 'hang', …): for the requests of that call alone. match => {}
# adds to what is matched. Returns the fault's id.
sub fault_of
{
	my ($stripe, $name, %fault) = @_;
	my %match = (method => 'POST', body => "*$name*", %{ delete $fault{match} // {} });
	return $stripe->fault({ match => \%match, %fault })->{id};
}

# A call with all its faults in place before anything of it is sent: (id, name).
sub struck_call
{
	my ($server, $stripe, $faults, %options) = @_;
	$server->sql(q{SELECT seats.pause('stripe', 'the faults come first')});
	my ($call, $name) = named_call($server, %options);
	fault_of($stripe, $name, %$_) foreach @$faults;
	$server->sql(q{SELECT seats.resume('stripe', 'the faults are there')});
	return ($call, $name);
}

# The call's attempts in order, each as 'verdict reason status'; reads begin with their purpose.
sub attempts_of
{
	my ($server, $call) = @_;
	return [ split /\n/, $server->sql(<<"END") ];
SELECT concat_ws(' ', CASE WHEN purpose <> 'send' THEN purpose || ':' END, verdict,
                 CASE WHEN reason <> verdict THEN reason END, http_status)
  FROM seats.attempts WHERE call = $call ORDER BY answered_at
END
}

# Until one of the call's attempts looks like that.
sub await_attempt
{
	my ($server, $call, $pattern) = @_;
	return wait_until(
		sub { scalar grep { $_ =~ $pattern } @{ attempts_of($server, $call) } },
		"an attempt of call $call like $pattern");
}

sub uuid_of
{
	my ($server, $call) = @_;
	my ($uuid) = key_of($server, $call) =~ /^.{37}(.{36})-\d+$/ or die "no key of call $call";
	return $uuid;
}

# The judge: whatever keys it was sent under, Stripe executed it that often.
sub assert_once_under_any_key
{
	my ($server, $stripe, $call, $times, $name) = @_;
	my $uuid = uuid_of($server, $call);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(scalar @{ $stripe->ledger(key => "*-$uuid-*") },
		$times // 1, $name // 'Stripe executed it exactly once');
}

sub assert_nothing_twice
{
	my ($stripe, $name) = @_;
	my $ledger = $stripe->control('GET', '/ledger', undef, summary => 'true');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is("$ledger->{executed_twice_count} @{ $ledger->{executed_twice} }",
		'0 ', $name // 'no key was executed twice');
}

# In the history once, and no longer in the outbox.
sub assert_settled_once
{
	my ($server, $call, $result, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($server->sql("SELECT string_agg(state, ' ') FROM seats.calls WHERE call = $call"),
		$result, $name // "it was settled exactly once, as $result");
}

# Kinds of the alerts that are open, in order of time.
sub open_alerts
{
	my ($server) = @_;
	return $server->sql(
		q{SELECT string_agg(kind, ' ' ORDER BY alert) FROM seats.alerts WHERE state <> 'resolved'});
}

sub breaker_of
{
	my ($server) = @_;
	return $server->sql(q{SELECT breaker FROM seats.destinations WHERE name = 'stripe'});
}

sub await_breaker
{
	my ($server, $state) = @_;
	$server->wait_for_sql(q{SELECT breaker FROM seats.destinations WHERE name = 'stripe'}, $state);
	return;
}

# The worker's kept connections end, so that its next request goes over a new one: curl repeats a
# request by itself where a kept connection breaks under it.
sub fresh_connections
{
	my ($stripe) = @_;
	$stripe->outage('refuse');
	wait_until(
		sub { $stripe->control('GET', '/counters')->{connections} == 0 }, 'all connections to end');
	$stripe->outage(undef);
	return;
}

sub set_configuration
{
	my ($server, %settings) = @_;
	$server->sql("ALTER SYSTEM SET $_ = " . PgSeats::Server::quote($settings{$_}))
	  foreach sort keys %settings;
	$server->sql('SELECT pg_reload_conf()');
	return;
}

# ---- a worker that is killed at a certain place

# Set, and heeded by the worker before it looks at anything that is enqueued from now on: a session
# that shows it was started after the worker had been told.
sub debug_point_from_now_on
{
	my ($server, $point) = @_;
	$server->set_debug_point($point);
	$server->wait_for_sql('SHOW pg_seats.debug_point', $point);
	return;
}

# The worker no longer moves. Returns its process id.
sub stop_worker
{
	my ($server) = @_;
	my $pid = $server->worker_pid or die 'there is no worker to stop';
	kill 'STOP', $pid or die "worker $pid: $!";
	return $pid;
}

# The server would come back with the debug point still set, so it is taken away first, while the
# worker stands still and cannot go on. Returns when it was killed.
sub kill_stopped_worker
{
	my ($server, $pid) = @_;
	$server->release_debug_point;
	$server->wait_for_sql('SHOW pg_seats.debug_point', '');
	$server->expect_signals(1, 9);
	my $killed = time;
	kill 'KILL', $pid or die "worker $pid: $!";
	return $killed;
}

# For a worker that stands at its debug point. Returns when it was killed.
sub kill_at_debug_point
{
	my ($server) = @_;
	return kill_stopped_worker($server, stop_worker($server));
}

# Kills a process of the server's, which may be ending by itself just then; whether the server says that it was killed.
# (Until it has noticed, it answers as if nothing had happened.)
sub kill_noticed
{
	my ($server, $pid) = @_;
	my $so_far = -s $server->logfile;
	return 0 unless $pid && kill 'KILL', $pid;
	my $is_noticed = sub { return $server->log_text($so_far) =~ /\(PID $pid\) was terminated by signal 9/ };
	wait_until(sub { $is_noticed->() || !kill 0, $pid }, "the end of $pid to be noticed");
	return 0 unless eval { wait_until($is_noticed, 'the log to tell', timeout => 1) };
	$server->expect_signals(1, 9);
	return 1;
}

# Until nothing is open; returns when.
sub await_all_settled
{
	my ($server, %options) = @_;
	my $open = '';
	my $done = eval {
		wait_until(sub { $open = $server->sql('SELECT count(*) FROM seats.outbox'); $open eq '0' },
			'all calls to be settled', timeout => $options{timeout} // 30);
	};
	die "$@(still open: "
	  . $server->sql(q{SELECT string_agg(concat_ws(' ', call, state, reason, error), '; ')
	      FROM (SELECT * FROM seats.outbox ORDER BY call LIMIT 10) AS o}) . ")\n"
	  unless $done;
	return time;
}

# From now on rows can raise (raise_for). A superuser's trigger stands for corrupt pages, a full index, whatever makes one
# row raise.
sub may_raise
{
	my ($server) = @_;
	$server->sql(<<'SQL');
CREATE TABLE public.trouble (about text, sqlstate text, operation text);
CREATE FUNCTION public.trouble() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state text := (SELECT t.sqlstate FROM public.trouble AS t
                   WHERE concat_ws(' ', NEW.kind, NEW.path, NEW.body) LIKE t.about AND t.operation = TG_OP LIMIT 1);
BEGIN
    IF state IS NOT NULL THEN
        RAISE EXCEPTION 'trouble of the test' USING ERRCODE = state;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trouble BEFORE UPDATE ON seats_internal.outbox FOR EACH ROW
    WHEN (NEW.state = 'sending') EXECUTE FUNCTION public.trouble();
CREATE TRIGGER trouble BEFORE INSERT ON seats_internal.outbox_history FOR EACH ROW
    EXECUTE FUNCTION public.trouble();
SQL
	return;
}

# Rows that have this in their kind, path and body (with a space between them) raise an error with that SQLSTATE when they
# are frozen ('freeze'), or settled ('settle'), until public.trouble is empty again.
sub raise_for
{
	my ($server, $where, $about, $state) = @_;
	my $operation = { freeze => 'UPDATE', settle => 'INSERT' }->{$where} // die "unknown: $where\n";
	$server->sql("INSERT INTO public.trouble VALUES ('%$about%', '$state', '$operation')");
	return;
}

1;
