# Client secrets: whoever waits for one gets it, once Stripe has said it, and nobody else; whichever way a session leaves,
# nothing of it stays in shared memory, and no table or log has ever had it.
use strict;
use warnings;
use IPC::Run ();
use PgSeats::Scenario;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.secret_slots = 3
log_statement = 'all'
END
$server->wait_for_worker;
$server->sql('CREATE ROLE shop LOGIN; CREATE ROLE stranger LOGIN');
$server->sql(q{SELECT seats.grant_payments('shop')});
$server->sql(<<'END');
CREATE FUNCTION public.secret_slots(OUT used boolean, OUT blank boolean, OUT pid integer, OUT payment bigint)
RETURNS SETOF record LANGUAGE c AS '$libdir/pg_seats', 'pg_seats_secret_slots';
END

my $secret = qr/pi_\w+_secret_\w+/;

# A session of its own for one statement, as the shop's.
sub in_background
{
	my ($sql, %options) = @_;
	my %session = (out => '', error => '');
	my $role = $options{role} // 'shop';
	$session{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d',
			$server->connstr($server->database) . " user=$role application_name='" . ($options{name} // 'payer') . "'",
			(map { ('-c', $_) } @{ $options{before} // [] }), '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{error});
	return \%session;
}

sub finish
{
	my ($session) = @_;
	IPC::Run::finish($session->{run});
	chomp $session->{out};
	return ($session->{out}, $session->{error});
}

sub at_once { return finish(in_background(@_)) }

# A bill with one member, ada; her number.
sub bill
{
	my ($key) = @_;
	$server->sql(<<"END");
SELECT request FROM seats.create_payment_request('$key', 'eur', '[{"reference": "ada", "amount": 1000}]')
END
	return $server->sql("SELECT seats.payment_member('$key', 'ada')");
}

sub start { my ($member, $timeout) = @_; return "CALL seats.start_payment_and_wait($member, 'ada', '$timeout')" }
sub fetch { my ($payment, $timeout) = @_; return "CALL seats.fetch_client_secret($payment, 'ada', '$timeout')" }

sub payment_of
{
	my ($member) = @_;
	return $server->sql("SELECT live_payment_id FROM seats_internal.payment_member WHERE id = $member");
}

sub wait_for_payers
{
	my ($count, $name) = @_;
	$name //= 'payer';
	return $server->wait_for_sql(<<"END", $count);
SELECT count(*) FROM pg_stat_activity WHERE application_name = '$name' AND state = 'active'
   AND wait_event_type = 'Extension'
END
}

sub hold_creates { return $stripe->fault({ match => { method => 'POST', path => '/v1/payment_intents' }, fault => 'hang' }) }

# The session of whoever waits: it stands still until it is sent on, whatever is laid into its slot meanwhile.
sub signal_payer
{
	my ($signal) = @_;
	my $pid = $server->sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'payer'});
	kill $signal, $pid or die "cannot signal $pid: $!";
	return;
}

sub release_creates { return $stripe->release(method => 'POST', path => '/v1/payment_intents') }

# Slots that somebody has, and those that nobody has and that are not blank.
my $slots = q{SELECT count(*) FILTER (WHERE used), count(*) FILTER (WHERE NOT used AND NOT blank)
                FROM public.secret_slots()};

sub nothing_stays
{
	my ($how) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($server->sql($slots), '0|0', "nothing stays in shared memory: $how");
}

subtest 'one who starts, and who comes back' => sub {
	my $member = bill('dinner');
	my ($first) = at_once(start($member, '20 s'));
	like($first, qr/^\d+\|payable\|$secret$/, 'the secret comes with the start');
	my ($again) = at_once(start($member, '20 s'));
	is($again, $first, 'a second click gets the same');
	my ($payment, undef, $given) = split /\|/, $first;
	my ($fetched) = at_once(fetch($payment, '20 s'));
	is($fetched, "payable|$given", 'and so does who comes back');
	nothing_stays('given');
};

subtest 'two who wait for one' => sub {
	my $member = bill('two');
	hold_creates();
	my $starts = in_background(start($member, '60 s'));
	$stripe->await_held(method => 'POST', path => '/v1/payment_intents');
	my $payment = payment_of($member);
	my @sessions = ($starts, in_background(fetch($payment, '60 s')), in_background(start($member, '60 s')));
	wait_for_payers(3);
	is($server->sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'payer'
	                     AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)}), '0',
		'who waits has no snapshot and no transaction id');
	my (undef, $error) = at_once(fetch($payment, '20 s'), name => 'fourth');
	like($error, qr/too many sessions wait for client secrets\n.*\(secret_slots=3\)/, 'a fourth finds no slot');
	my $other = bill('no slot');
	at_once(start($other, '20 s'));
	is(payment_of($other), '', 'and begins nothing');
	release_creates();
	my %secrets = map { ((finish($_))[0] =~ s/^.*\|//r => 1) } @sessions;
	is(scalar(keys %secrets), 1, 'all three get the same');
	like((keys %secrets)[0], qr/^$secret$/, 'secret');
	nothing_stays('three at once');
};

subtest 'whoever leaves' => sub {
	my $member = bill('leaves');
	hold_creates();
	my ($timed_out) = at_once(start($member, '100 ms'));
	my $payment = payment_of($member);
	is($timed_out, "$payment|creating|", 'the time is up: the state, and no secret');
	nothing_stays('timed out');
	my @sessions = map { in_background(fetch($payment, '60 s'), name => $_) } qw(cancelled terminated);
	wait_for_payers(1, $_) foreach qw(cancelled terminated);
	$server->sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'cancelled'});
	$server->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'terminated'});
	my @errors = map { (finish($_))[1] } @sessions;
	like($errors[0], qr/canceling statement/, 'one is cancelled');
	like($errors[1], qr/terminating connection/, 'one is terminated');
	$server->wait_for_sql($slots, '0|0');
	release_creates();
	like((at_once(fetch($payment, '20 s')))[0], qr/^payable\|$secret$/, 'who comes back gets it');
	nothing_stays('left');
};

subtest 'who sees but one snapshot' => sub {
	my $member = bill('serializable');
	my ($first) = at_once(start($member, '20 s'), before => [q{SET default_transaction_isolation = 'serializable'}]);
	like($first, qr/^\d+\|payable\|$secret$/, 'waits like others');
	nothing_stays('serializable');
};

sub payers_behind_a_lock
{
	return $server->wait_for_sql(
		q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'payer' AND wait_event_type = 'Lock'}, $_[0]);
}

subtest 'who finds the bill locked' => sub {
	my $member = bill('locked');
	my $other = $server->background_psql($server->database);
	$other->query_safe(q{BEGIN; SELECT FROM seats_internal.payment_request WHERE request_key = 'locked' FOR UPDATE});
	my (undef, $error) = at_once(start($member, '100 ms'));
	like($error, qr/canceling statement due to lock timeout/, 'waits no longer than he would have for Stripe, or a second');
	is(payment_of($member), '', 'and has begun nothing');
	nothing_stays('locked');
	my @before = (q{SET default_transaction_isolation = 'serializable'});
	my @sessions = map { in_background(start($member, '60 s'), before => \@before) } 1 .. 3;
	payers_behind_a_lock(3);
	$other->query_safe('COMMIT');
	$other->quit;
	my @told = map { [finish($_)] } @sessions;
	is(join('', map { $_->[1] } @told), '', 'three who come behind one another: no error, whatever the site has as its default');
	my %answers = map { $_->[0] => 1 } @told;
	like(join("\n", keys %answers), qr/\A\d+\|payable\|$secret\z/, 'and one secret');
	nothing_stays('serializable, three at once');
};

subtest 'an answer that was lost' => sub {
	my $member = bill('lost');
	$stripe->fault(
		{ match => { method => 'POST', path => '/v1/payment_intents' }, fault => 'execute_and_drop' });
	like((at_once(start($member, '60 s')))[0], qr/^\d+\|payable\|$secret$/,
		'what Stripe has said once is not believed again: the secret comes with a fresh read');
	my $payment = payment_of($member);
	my $intent = $server->sql("SELECT intent FROM seats_internal.payment WHERE id = $payment");
	ok(scalar(@{ $stripe->requests(method => 'GET', path => "/v1/payment_intents/$intent") }), 'there was one');
	nothing_stays('lost');
};

# (Then nobody tells the session anything; it looks by itself, and finds that nothing is under way.)
subtest 'the worker ends between its commit and the hand-over' => sub {
	my $member = bill('ended');
	$server->set_debug_point('before_hand_over');
	my $starts = in_background(start($member, '60 s'));
	$server->wait_at_debug_point('before_hand_over');
	my $payment = payment_of($member);
	is($server->sql("SELECT state FROM seats_internal.payment WHERE id = $payment"), 'payable', 'the intent is known');
	$server->sql('SELECT pg_terminate_backend(' . $server->worker_pid . ')');
	$server->release_debug_point;
	like((finish($starts))[0], qr/^$payment\|payable\|$secret$/, 'it is read again');
	nothing_stays('ended');
};

subtest 'who may not' => sub {
	my $member = bill('others');
	my (undef, $error) = at_once("CALL seats.start_payment_and_wait($member, 'bob', '5 s')");
	like($error, qr/nothing that 'bob' is to pay/, 'not the payer');
	is(payment_of($member), '', 'nothing is begun for him');
	(undef, $error) = at_once("CALL seats.start_payment_and_wait($member, NULL, '5 s')");
	like($error, qr/nothing that NULL is to pay/, 'nor for nobody');
	(undef, $error) = at_once(start($member, '5 s'), role => 'stranger');
	like($error, qr/permission denied/, 'nor for a role without the right');
	(undef, $error) = at_once(start($member, '5 s'), before => ['BEGIN']);
	like($error, qr/cannot be called inside a transaction/, 'nor inside a transaction');
	nothing_stays('refused');
};

subtest 'what can no longer be paid' => sub {
	my $member = bill('cancelled');
	my ($payment) = split /\|/, (at_once(start($member, '20 s')))[0];
	$server->sql("SELECT seats.cancel_payment($payment)");
	like((at_once(fetch($payment, '20 s')))[0], qr/^cancel(?:ing|ed)\|$/, 'has no secret');
	nothing_stays('cancelled');
};

subtest 'what is confirmed while its secret is on the way' => sub {
	my $member = bill('overtaken');
	hold_creates();
	my $starts = in_background(start($member, '60 s'));
	$stripe->await_held(method => 'POST', path => '/v1/payment_intents');
	my $payment = payment_of($member);
	wait_for_payers(1);
	signal_payer('STOP');
	release_creates();
	$server->wait_for_sql('SELECT count(*) FROM public.secret_slots() WHERE NOT blank', '1');
	my $intent = $server->sql("SELECT intent FROM seats_internal.payment WHERE id = $payment");
	$stripe->control('POST', "/payment_intents/$intent", { action => 'processing', seconds => 86400, then => 'succeed' });
	$server->sql("SELECT seats.reconcile_payment($payment, 'test')");
	$server->wait_for_sql("SELECT state FROM seats_internal.payment WHERE id = $payment", 'processing');
	signal_payer('CONT');
	is((finish($starts))[0], "$payment|processing|", 'is not to be paid once more: the state, and no secret');
	nothing_stays('overtaken');
};

subtest 'numbers of another thing' => sub {
	my $member = bill('numbers');
	my ($payment) = split /\|/, (at_once(start($member, '20 s')))[0];
	my (undef, $error) = at_once(fetch($member, '5 s'));
	like($error, qr/there is no payment $member\n.*start_payment_and_wait\($member, payer\) takes a member/s,
		'a member is no payment');
	(undef, $error) = at_once(start($payment, '5 s'));
	like($error, qr/there is no payment member $payment\n.*fetch_client_secret\($payment, payer\) takes a payment/s,
		'nor a payment a member');
	nothing_stays('another number');
};

# P8: no table and no log has had a secret. (What psql has sent has none, either.)
unlike($server->log_text, qr/_secret_\w{6}/, 'no secret in the log');
my $dump = '';
IPC::Run::run(['pg_dump', '-d', $server->connstr($server->database), '--data-only'], '>', \$dump);
unlike($dump, qr/_secret_\w{6}/, 'nor in a dump');
$server->assert_log_clean;
done_testing();
