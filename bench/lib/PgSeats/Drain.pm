# A backlog of calls, and how fast and at what cost the worker takes it out.
package PgSeats::Drain;

use strict;
use warnings;
use utf8;
use Exporter 'import';
use PgSeats::Bench;

our @EXPORT = qw(drain hold_back);

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
	my ($done, $cpu) = ($sent->(), processor_time($worker));
	my $start = $session->sql('SELECT clock_timestamp()');
	$session->sql(q{SELECT seats.resume('stripe', 'loaded')});
	wait_until(sub { $sent->() - $done >= $calls }, 'the backlog to be sent', timeout => 120, pause => 0.05);
	hold_back($from);
	await_quiet($from);
	$cpu = processor_time($worker) - $cpu;
	$done = $sent->() - $done;
	# From the first claim to the settlement of the last one that counts.
	my $seconds = $session->sql(<<"END");
SELECT extract(epoch FROM
         (SELECT settled_at FROM seats_internal.outbox_history WHERE ring = 0 AND settled_at > '$start'
           ORDER BY settled_at OFFSET $calls - 1 LIMIT 1)
         - (SELECT min(first_sent_at) FROM seats_internal.outbox_history
             WHERE ring = 0 AND settled_at > '$start'))
END
	$session->sql('TRUNCATE seats_internal.outbox_history') unless $options{loaded};
	return { rate => $calls / $seconds, cpu => 1e6 * $cpu / $done };
}

sub hold_back
{
	my ($from) = @_;
	$from->{bench_session}->sql(q{SELECT seats.pause(name, 'loading') FROM seats_internal.destination
		WHERE name = 'stripe' AND paused_at IS NULL});
	return;
}

1;
