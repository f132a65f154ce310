# Invites: Stripe up or down, a seat is kept at once; whether it is really bought is told later. What
# is refused releases the seat, and nobody who has come is sent away.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
pg_seats.safety_poll = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');

# An invite that may buy its seat: { invite, token, change, pending }.
sub invite
{
	my ($team, $address, %options) = @_;
	my $buy = exists $options{buy} ? $options{buy} : 'true';
	my ($invite, $token, $change, $pending) = split /\|/, $server->sql(<<"END");
SELECT * FROM seats.invite('$team', '$address', 'team', actor => '@{[ owner_of($team) ]}', buy => $buy)
END
	return { invite => $invite, token => $token, change => $change, pending => $pending };
}

sub accept_invite
{
	my ($invite, $user) = @_;
	return $server->sql("SELECT team FROM seats.accept_invite('$invite->{token}', '$user', 'chat-$user')");
}

# 'status|is it pending' as the view tells.
sub status_of
{
	my ($invite) = @_;
	return $server->sql("SELECT status, billing_pending FROM seats.invites WHERE invite = $invite->{invite}");
}

sub await_status
{
	my ($invite, $expected) = @_;
	$server->wait_for_sql("SELECT status, billing_pending FROM seats.invites WHERE invite = $invite->{invite}",
		$expected);
	return;
}

# quantity|used|reserved|free|pending
sub counts_of
{
	my ($team) = @_;
	return $server->sql(
		"SELECT quantity, used, reserved, free, billing_pending FROM seats.teams WHERE team = '$team' AND seat_type = 'team'");
}

# What the journal tells of an invite, in order.
sub told_of
{
	my ($invite) = @_;
	return $server->sql("SELECT string_agg(kind, ' ' ORDER BY number) FROM seats.journal
	    WHERE kind LIKE 'invite.%' AND detail ->> 'invite' = '$invite->{invite}'");
}

subtest 'while Stripe is away' => sub {
	new_team($server, $stripe, 'acme', seats => { team => 2 });
	$server->sql("SELECT seats.add_member('acme', 'ann', 'team')");
	$stripe->outage('refuse');
	my $free = invite('acme', 'bea@example.com');
	is("$free->{change}|$free->{pending}", '|f', 'a seat that is free is taken, and proven');
	my $first = invite('acme', 'cem@example.com');
	my $second = invite('acme', 'dan@example.com');
	isnt($first->{change}, '', 'where none is free one is bought');
	is("$first->{pending}|$second->{pending}", 't|t', '… and not proven yet');
	is(counts_of('acme'), '4|1|3|0|2', 'the team has the seats at once, and keeps them');
	is(accept_invite($first, 'cem'), 'acme', 'whoever is invited can come meanwhile');
	is(counts_of('acme'), '4|2|2|0|2', 'the seat is used');
	is(status_of($free), 'open|t', 'what is proven goes to members first, then to the oldest');
	# (The call itself was made; await that nothing of it has arrived.)
	await_breaker($server, 'open');
	is(seats_at_stripe($stripe, 'acme'), 2, 'Stripe knows nothing of it') if $stripe->outage(undef);
	await_status($second, 'open|f');
	is(status_of($free), 'open|f', 'when Stripe is back it settles itself, all of it');
	assert_in_step($server, $stripe, 'acme', { team => 4 });
	$server->wait_for_sql("SELECT count(*) FROM seats.journal WHERE number IS NULL", '0');
	is(told_of($second), 'invite.created invite.settled', 'the journal tells it once');
	is(told_of($free), 'invite.created', '… and nothing of what was never in doubt');
};

subtest 'a refused purchase' => sub {
	new_team($server, $stripe, 'bolt', seats => { team => 1 });
	$server->sql("SELECT seats.add_member('bolt', 'ann', 'team')");
	$stripe->set_card(customer_of('bolt'), 'declined');
	my $invite = invite('bolt', 'bea@example.com');
	await_status($invite, 'billing_failed|f');
	is(counts_of('bolt'), '1|1|0|0|0', 'its seat is released');
	assert_in_step($server, $stripe, 'bolt', { team => 1 });
	is( $server->sql("SELECT reason FROM seats.invites WHERE invite = $invite->{invite}"),
		$server->sql("SELECT reason FROM seats.changes WHERE change = $invite->{change}"),
		'for the reason that the change was undone for');
	$server->wait_for_sql("SELECT count(*) FROM seats.journal WHERE number IS NULL", '0');
	is(told_of($invite), 'invite.created invite.failed', 'the journal tells it');
	is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'invite_failed' AND state = 'open'
	    AND detail ->> 'team' = 'bolt'}), 1, 'so does an alert');
	my ($status, undef, $error) =
	  $server->try_sql("\\set VERBOSITY verbose\nSELECT seats.accept_invite('$invite->{token}', 'bea')");
	like($error, qr/PS534.*its seat could not be bought/, 'its token no longer holds');

	# Again, when there is money: another invite, another token.
	$stripe->set_card(customer_of('bolt'), 'ok');
	my $again = invite('bolt', 'bea@example.com');
	isnt($again->{invite}, $invite->{invite}, 'whoever is invited again has another invite');
	await_status($again, 'open|f');
	is(accept_invite($again, 'bea'), 'bolt', '… and can come');
	assert_in_step($server, $stripe, 'bolt', { team => 2 });
};

subtest 'accepted before the purchase is refused' => sub {
	new_team($server, $stripe, 'cost', seats => { team => 1 });
	$server->sql("SELECT seats.add_member('cost', 'ann', 'team')");
	$stripe->set_card(customer_of('cost'), 'declined');
	my $invite;
	hold_worker($server, sub {
		$invite = invite('cost', 'bea@example.com');
		accept_invite($invite, 'bea');
	});
	await_change($server, $invite->{change}, 'reverted');
	is(counts_of('cost'), '1|2|0|-1|0', 'nobody is sent away: more seats are in use than there are');
	is(status_of($invite), 'accepted|f', 'the invite is as it was');
	is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'over_allocated' AND state = 'open'
	    AND detail ->> 'team' = 'cost'}), 1, 'an alert tells it');
	my (undef, undef, $error) = $server->try_sql("\\set VERBOSITY verbose\n"
		. "SELECT seats.invite('cost', 'cem\@example.com', 'team', buy => true, actor => 'owner of cost')");
	like($error, qr/PS518/, 'one more seat would not help, so none is bought');
	$server->sql("SELECT seats.remove_member('cost', 'bea', 'no seat')");
	is($server->sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'over_allocated' AND state = 'open'
	    AND detail ->> 'team' = 'cost'}), 0, '… until a person has seen to it');
};

subtest 'a purchase that waits for its payment' => sub {
	define_seat_type($server, 'team', increase_payment_behavior => 'pending_if_incomplete');
	new_team($server, $stripe, 'dusk', seats => { team => 1 }, card => 'requires_action');
	$server->sql("SELECT seats.add_member('dusk', 'ann', 'team')");
	my $invite = invite('dusk', 'bea@example.com');
	await_change($server, $invite->{change}, 'awaiting_payment');
	is(status_of($invite), 'open|t', 'the invite waits with it');
	cancel_change($server, $invite->{change});
	await_status($invite, 'billing_failed|f');
	is(counts_of('dusk'), '1|1|0|0|0', 'when it is called off, the seat is released');
	define_seat_type($server, 'team', increase_payment_behavior => 'error_if_incomplete');
};

subtest 'an invite expires' => sub {
	my $server_time = sub {
		$server->sql("UPDATE seats_internal.invite SET expires_at = clock_timestamp() WHERE invite.id = $_[0]{invite}");
	};
	new_team($server, $stripe, 'elm', seats => { team => 2 });
	my $due = invite('elm', 'bea@example.com', buy => 'false');
	my $other = invite('elm', 'cem@example.com', buy => 'false');
	is(counts_of('elm'), '2|0|2|0|0', 'two seats are kept');
	# Somebody holds the team: it is left for later, and holds up nothing else.
	my $session = $server->background_psql($server->database);
	$session->query_safe('BEGIN');
	$session->query_safe(q{SELECT FROM seats_internal.take_team('elm')});
	$server_time->($due);
	new_team($server, $stripe, 'fir', seats => { team => 1 });
	my $elsewhere = invite('fir', 'bea@example.com', buy => 'false');
	$server_time->($elsewhere);
	await_status($elsewhere, 'expired|f');
	is(status_of($due), 'open|f', 'whose team is locked waits');
	$session->query_safe('COMMIT');
	$session->quit;
	await_status($due, 'expired|f');
	is(counts_of('elm'), '2|0|1|1|0', 'one of them is free again');
	is(status_of($other), 'open|f', '… and the other is kept');
};

assert_ledger($server, $stripe);
$server->assert_log_clean;
done_testing();
