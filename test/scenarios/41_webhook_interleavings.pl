# Own changes, changes in the Dashboard, events that are late, doubled, in disorder, lost, or faster than
# the answer to the call that caused them, mixed by chance: in the end the database has what Stripe
# has, and whoever's change was overwritten is told of. SEED=… repeats a run.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;
use PgSeats::Webhooks;

my $seed = $ENV{SEED} // time;
note("SEED=$seed");
srand $seed;

my $stripe = new_simulator(arguments => [ '--seed', $seed % 100_000 ]);
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.event_check_after = '2s'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
define_seat_type($server, 'team');
define_endpoint($server, 'main');
my $relay = start_relay($server, workers => 4);
send_webhooks($stripe, $relay, 'main', jitter_ms => 150, duplicate => 0.3);

my @teams = map { new_team($server, $stripe, $_, seats => { team => 50 }) } qw(one two three four five six);
my %path = map { $_ => '/v1/subscriptions/' . subscription_of($_) } @teams;

sub any_of { return $_[ int rand @_ ] }

sub own_change
{
	my ($team) = @_;
	my $count = 1 + int rand 4;
	return rand() < 0.6
	  ? add_seats($server, $team, $count)
	  : remove_seats($server, $team, $count);
}

# As somebody in the Dashboard does; sometimes twice in the same second, sometimes with a request.
sub outside_change
{
	my ($team) = @_;
	foreach (0 .. (rand() < 0.3 ? 1 : 0))
	{
		$stripe->edit_subscription(
			subscription_of($team),
			quantities => { item_of($team, 'team') => 40 + int rand 40 },
			request => rand() < 0.5 ? JSON::PP::true : JSON::PP::false);
	}
	return;
}

# The call is at Stripe and not executed, or executed and not answered.
sub change_while_on_the_wire
{
	my ($team, $fault, $meanwhile) = @_;
	wait_until(sub { open_changes($server, $team) eq '0' }, "the changes of $team to be settled");
	$stripe->fault({ match => { method => 'POST', path => $path{$team} }, fault => $fault });
	my $change = add_seats($server, $team, 1);
	my $held = $stripe->await_held(method => 'POST', path => $path{$team});
	$meanwhile->($held);
	$stripe->release(method => 'POST', path => $path{$team});
	return;
}

sub event_is_processed
{
	my ($held) = @_;
	my $key = $held->{key};
	$server->wait_for_sql(
		"SELECT count(*) > 0 FROM seats.webhook_events WHERE idempotency_key = '$key' AND outcome = 'processed'",
		't');
	return;
}

my %actions = (
	own => sub { own_change($_[0]) },
	outside => sub { outside_change($_[0]) },
	both => sub { own_change($_[0]); outside_change($_[0]); own_change($_[0]) },
	overtaken => sub { change_while_on_the_wire($_[0], 'hang_after', \&event_is_processed) },
	overwritten => sub {
		my ($team) = @_;
		change_while_on_the_wire($team, 'hang', sub { outside_change($team) });
	},
	lost_answer => sub {
		my ($team) = @_;
		$stripe->fault({ match => { method => 'POST', path => $path{$team} }, fault => 'execute_and_drop' });
		own_change($team);
	},
	settled => sub { my ($team) = @_; wait_until(sub { open_changes($server, $team) eq "0" }, "changes to be settled") });

# Each at least twice, in an order of chance.
my @plan = map { ($_) x 2 } sort keys %actions;
push @plan, any_of(qw(own outside both)) foreach 1 .. 16;
@plan = sort { rand() <=> 0.5 } @plan;
# Stripe takes ten invoices a minute of a subscription, and whoever has used them up waits.
my %calls = map { $_ => 0 } @teams;
my %most_calls = (own => 1, both => 2, overtaken => 1, overwritten => 1, lost_answer => 2);
foreach my $action (@plan)
{
	my $team = any_of(grep { $calls{$_} + ($most_calls{$action} // 0) <= 9 } @teams);
	$calls{$team} += $most_calls{$action} // 0;
	note("$action $team");
	$actions{$action}->($team);
}

sub at_rest
{
	webhooks_are_quiet($stripe);
	await_all_settled($server);
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.webhook_event WHERE processed_at IS NULL', '0');
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.expected_event', '0', timeout => 40);
	await_all_settled($server);
	return;
}

# Every call whose base was not what Stripe had when it executed it, and no other.
sub assert_overwritten_told
{
	my ($name) = @_;
	my @overwritten = ();
	foreach my $row (@{ $stripe->worker_ledger(path => '/v1/subscriptions/*') })
	{
		my ($uuid, $generation) = $row->{key} =~ /^.{37}(.{36})-(\d+)$/ or next;
		my ($call, $base, $target) = split /\|/, $server->sql(<<"END");
SELECT id, coalesce((base ->> 'team')::integer, 0), coalesce((target ->> 'team')::integer, 0)
  FROM seats_internal.outbox_history WHERE uuid = '$uuid' AND result = 'done'
END
		next unless defined $call;
		my ($team) = grep { $path{$_} eq $row->{path} } @teams;
		my $before = $row->{quantities}{before}{ item_of($team, 'team') } // 0;
		push @overwritten, "overwritten:$call" if $before != $base && $base != $target;
	}
	my $told = $server->sql(<<'END');
SELECT string_agg(fingerprint, ' ' ORDER BY fingerprint COLLATE "C") FROM seats_internal.alert
 WHERE kind = 'outside_change_overwritten'
END
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($told, join(' ', sort @overwritten), $name);
}

at_rest();
foreach my $team (@teams)
{
	my $quantity = $stripe->subscription(subscription_of($team))->{items}{data}[0]{quantity};
	assert_in_step($server, $stripe, $team, { team => $quantity }, "the database has what Stripe has of $team");
}
assert_overwritten_told('every change that was overwritten is told of, and no other');
cmp_ok($server->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'outside_change_overwritten'}),
	'>', 0, 'there were some');
is($server->sql(q{SELECT string_agg(DISTINCT kind, ' ') FROM seats.alerts
	WHERE kind NOT IN ('outside_change_overwritten')}), '', 'nothing else is alarming');
is($server->sql(q{SELECT count(*) FROM seats.health WHERE check_name = 'seats' AND status <> 'ok'}), '0',
	'every quantity is the fold of what is confirmed and open');

# (Numbers that chance has given to nobody before: an edit that changes nothing has no event.)
subtest 'webhooks that never come' => sub {
	$stripe->control('DELETE', '/webhooks');
	$stripe->edit_subscription(subscription_of('one'), quantities => { item_of('one', 'team') => 1077 });
	$server->sql(q{SELECT seats.list_events('stripe', 'the endpoint was disabled')});
	await_seats($server, 'one', '1077|1077|0');
	pass('are found in the list when a person asks');
	$server->wait_for_sql(
		q{SELECT count(*) FROM seats.webhook_events WHERE endpoint = 'list:stripe' AND outcome = 'processed'}, '1');
	is($server->sql(<<'END'), 'webhooks_silent', 'and a person is told');
SELECT string_agg(kind, ' ') FROM seats.alerts WHERE kind LIKE 'webhooks_%' AND state = 'open'
END
	set_configuration($server, 'pg_seats.webhook_silence' => '1s', 'pg_seats.safety_poll' => '200ms');
	$stripe->edit_subscription(subscription_of('two'), quantities => { item_of('two', 'team') => 1078 });
	await_seats($server, 'two', '1078|1078|0');
	pass('and by itself when it is silent for too long');
};

stop_relay($relay);
assert_nothing_twice($stripe);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
