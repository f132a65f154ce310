# A backlog of calls, and how fast and at what cost the worker takes it out; and the same by a client
# that does nothing else (reference_client.cpp).
package PgSeats::Drain;

use strict;
use warnings;
use utf8;
use Exporter 'import';
use PgSeats::Bench;

our @EXPORT = qw(drain hold_back create_reference_tables reference);

# Drains as many calls as were loaded, or the first of a larger backlog.
sub drain
{
	my ($from, $calls, %options) = @_;
	my $session = $from->{bench_session};
	if (!$options{loaded})
	{
		hold_back($from);
		load_calls($from, $calls - 1, undef, wake => 1);
	}
	$session->sql('CHECKPOINT');
	await_quiet($from);
	my $worker = $from->worker_pid;
	my $sent = sub { $session->sql('SELECT done FROM seats_internal.worker_state()') };
	my $done = $sent->();
	my $costs = watch_costs($from, [$worker], flushes => $options{flushes});
	my $start = $session->sql('SELECT clock_timestamp()');
	$session->sql(q{SELECT seats.resume('stripe', 'loaded')});
	wait_until(sub { $sent->() - $done >= $calls }, 'the backlog to be sent', timeout => 120, pause => 0.05);
	hold_back($from);
	await_quiet($from);
	my $used = $costs->($sent->() - $done);
	# From the first claim to the settlement of the last one that counts.
	my $seconds = $session->sql(<<"END");
SELECT extract(epoch FROM
         (SELECT settled_at FROM seats_internal.outbox_history WHERE ring = 0 AND settled_at > '$start'
           ORDER BY settled_at OFFSET $calls - 1 LIMIT 1)
         - (SELECT min(first_sent_at) FROM seats_internal.outbox_history
             WHERE ring = 0 AND settled_at > '$start'))
END
	$session->sql('TRUNCATE seats_internal.outbox_history') unless $options{loaded};
	return { rate => $calls / $seconds, %$used };
}

sub hold_back
{
	my ($from) = @_;
	$from->{bench_session}->sql(q{SELECT seats.pause(name, 'loading') FROM seats_internal.destination
		WHERE name = 'stripe' AND paused_at IS NULL});
	return;
}

# ---- the reference

sub create_reference_tables
{
	my ($in) = @_;
	$in->sql(<<'END');
CREATE SCHEMA bench;
CREATE TABLE bench.reference_outbox (
    id bigint PRIMARY KEY, key text NOT NULL, path text NOT NULL, body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE bench.reference_history (
    id bigint PRIMARY KEY, key text NOT NULL, path text NOT NULL, body text NOT NULL,
    created_at timestamptz NOT NULL, settled_at timestamptz NOT NULL, http_status integer NOT NULL,
    duration_us bigint NOT NULL, answer bytea NOT NULL);
END
	return;
}

sub reference
{
	my ($in, $url, $calls, $in_flight, $stores) = @_;
	my $session = $in->{bench_session};
	$session->sql('TRUNCATE bench.reference_outbox, bench.reference_history');
	$session->sql(<<"END");
INSERT INTO bench.reference_outbox (id, key, path, body)
SELECT g, gen_random_uuid() || '-' || gen_random_uuid() || '-1', '/v1/customers',
       'name=bench+' || g || '&description=a+customer+of+the+benchmark'
  FROM generate_series(1, $calls) AS g
END
	$session->sql('CHECKPOINT');
	my $costs = watch_costs($in, []);
	my ($line) = run_program('reference_client', connection_of($in), $url, simulator_key(), $in_flight, $stores);
	my ($made, $seconds, $own, $backend) = split / /, $line;
	die "the reference made $made calls of $calls\n" unless $made == $calls;
	return { rate => $calls / $seconds, wal => $costs->($calls)->{wal}, cpu => 1e6 * ($own + $backend) / $calls };
}

1;
