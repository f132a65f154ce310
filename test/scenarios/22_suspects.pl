# Rows that are suspected of ending workers go alone: which must not stop the others for longer than
# that, nor burn a processor while they wait for their turn.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $other = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '600s'
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.request_timeout = '10s'
END
$server->define_destination('stripe', requests_per_second => 500);
my $pid = $server->wait_for_worker;

sub seconds_of_cpu
{
	open my $handle, '<', "/proc/$pid/stat" or die "stat: $!";
	my @fields = split / /, (<$handle> =~ s/^.*\) //sr);
	return ($fields[11] + $fields[12]) / 100;
}

# A call that is suspected of having ended two workers.
sub suspect
{
	my ($name) = @_;
	my ($call) = $server->sql('BEGIN; '
		. PgSeats::Server::enqueue_statement('/v1/customers', { name => $name })
		. q{; UPDATE seats_internal.outbox SET interrupted = 2 WHERE state = 'pending'; COMMIT})
	  =~ /(\d+)/;
	return $call;
}

subtest 'waiting for its turn costs no processor' => sub {
	$stripe->fault({ match => { body => '*slow*' }, fault => 'hang', seconds => 4 });
	my $slow = $server->enqueue('/v1/customers', { name => 'slow' });
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } }, 'a slow call to be on the wire');
	my $suspect = suspect('suspect');
	my ($next) = named_call($server);
	my $before = seconds_of_cpu();
	await_state($server, $slow, 'done');
	my $used = seconds_of_cpu() - $before;
	cmp_ok($used, '<', 1, "the worker used $used s of CPU in about 4 s");
	await_state($server, $_, 'done') foreach $suspect, $next;
};

subtest 'a read and the change of the same team, both suspected' => sub {
	define_seat_type($server, 'team');
	new_team($server, $stripe, 'acme');
	$server->sql("SELECT seats.pause('stripe', 'both at once')");
	my $read = $server->sql(q{SELECT seats.reconcile('acme', 'look now')});
	my $change = add_seats($server, 'acme', 2);
	$server->sql('UPDATE seats_internal.outbox SET interrupted = 2');
	$server->sql("SELECT seats.resume('stripe', 'off they go')");
	await_change($server, $change, 'confirmed');
	await_all_settled($server);
	is(state_of($server, $read), 'done', 'both come to their end, one after the other');
	assert_in_step($server, $stripe, 'acme', { team => 7 });
	assert_nothing_twice($stripe);
};

subtest 'a probe of another destination is nobody to wait for' => sub {
	$server->write_secret('other_key', 'sk_test_simulator');
	$other->outage('hang');
	$server->define_destination('other', base_url => "'" . $other->url . "'", secret => "'other_key'");
	$server->wait_for_sql(q{SELECT in_flight FROM seats_internal.destination_state() WHERE destination = 'other'}, '1');
	my $suspect = suspect('suspect');
	my ($next) = named_call($server);
	my $started = time;
	await_state($server, $suspect, 'done');
	await_state($server, $next, 'done');
	cmp_ok(time - $started, '<', 5, 'nobody waited for the probe');
};

subtest 'after the suspect everybody goes on, even if a probe began meanwhile' => sub {
	# The suspect hangs; meanwhile a probe of the other destination goes out, and ends last.
	$other->outage(undef);
	$server->wait_for_sql(q{SELECT proven FROM seats_internal.destination_state() WHERE destination = 'other'}, 't');
	$stripe->fault({ match => { body => '*third-suspect*' }, fault => 'hang' });
	my $suspect = suspect('third-suspect');
	wait_until(sub { @{ $stripe->requests(state => 'hanging') } }, 'the suspect to be on the wire');
	$other->outage('hang');
	$server->write_secret('other_key', 'sk_test_another');
	$server->wait_for_sql(q{SELECT in_flight FROM seats_internal.destination_state() WHERE destination = 'other'}, '1');
	$stripe->release();
	await_state($server, $suspect, 'done');
	my ($next) = named_call($server);
	is(await_state($server, $next, 'done'), 'done', 'the next call goes out at once');
	$server->wait_for_sql(
		q{SELECT in_flight FROM seats_internal.destination_state() WHERE destination = 'other'}, '0');
	($next) = named_call($server);
	is(await_state($server, $next, 'done'), 'done', '… and so do those after the probe');
};

$server->stop;
$_->stop foreach $stripe, $other;
done_testing();
