# After the storm: nothing goes wrong any more, everybody finishes what he has begun, operators decide what is
# in review, customers pay, and every team is read once more. Then nothing may be open.
package PgSeats::Chaos::Calm;

use strict;
use warnings;
use PgSeats::Chaos::House;
use PgSeats::Chaos::Mishaps;
use PgSeats::Chaos::Payments;
use PgSeats::HandlerModel;
use PgSeats::PaymentModel;
use PgSeats::Seats qw(customer_of);
use PgSeats::Simulator;
use PgSeats::Waiting;
use Time::HiRes qw(time sleep);

sub come
{
	my ($storm) = @_;
	$storm->tell('---- the storm is over');
	$storm->forget_agenda;
	my ($server, $stripe) = ($storm->server, $storm->stripe);
	$stripe->outage(undef);
	$stripe->clear_faults;
	$stripe->release(action => 'proceed');
	$stripe->control('POST', '/keys', { key => $PgSeats::Simulator::api_key, state => 'active' });
	PgSeats::Chaos::Mishaps::right_key($storm);
	$stripe->set_card(customer_of($_), 'ok') foreach $storm->teams;
	# From now on every event comes.
	delete $storm->{webhooks}{lose};
	$storm->set_webhooks;
	$stripe->control('POST', '/webhooks/release', {});

	PgSeats::Chaos::House::let_go($storm);
	wait_until(sub { $server->sql('SELECT 1') }, 'the server to be there', timeout => 60);
	$server->release_debug_point;
	# First those that hold locks for which others wait.
	finish_prepared($storm);
	$storm->end_sessions(10);
	finish_prepared($storm);
	resume($storm);
	$server->sql("ALTER FUNCTION shop.away RENAME TO $_") foreach PgSeats::Chaos::House::missing_function($storm);
	set_trouble($server, 0);
	set_payment_trouble($server, 0);
	# (Now that nobody is in its way.)
	$server->sql(PgSeats::Chaos::Mishaps::with_raised_price($storm));
	$server->wait_for_worker(timeout => 60);

	drain($storm, 'what is open');
	# What nobody has told the database of: quantities that somebody has changed at Stripe.
	$server->sql("SELECT seats.reconcile('$_', 'after the storm')") foreach $storm->teams;
	PgSeats::Chaos::Payments::let_days_pass($storm);
	PgSeats::Chaos::Payments::look_again($storm);
	drain($storm, 'the last reads');
	# What was decided just now, banks have, too.
	PgSeats::Chaos::Payments::let_days_pass($storm);
	drain($storm, 'what banks had');
	settle_feed($storm);
	$storm->tell('---- calm');
	return;
}

# What was prepared and lost its session is ended, one way or the other.
sub finish_prepared
{
	my ($storm) = @_;
	my $dice = $storm->dice('prepared');
	foreach my $name (split /\n/, $storm->server->sql('SELECT gid FROM pg_prepared_xacts ORDER BY gid'))
	{
		my $end = $dice->one_of(qw(COMMIT ROLLBACK));
		$storm->server->sql("$end PREPARED '$name'");
		$storm->tell("$name was left prepared: $end");
	}
	return;
}

sub resume
{
	my ($storm) = @_;
	my $server = $storm->server;
	my @lanes = split /\n/, $server->sql('SELECT l.name FROM seats_internal.lane AS l WHERE l.paused_at IS NOT NULL');
	$server->sql("SELECT seats.resume('stripe', 'the storm is over', '$_')") foreach @lanes;
	$server->sql(q{SELECT seats.resume('stripe', 'the storm is over') FROM seats_internal.destination AS d
	    WHERE d.name = 'stripe' AND (d.paused_at IS NOT NULL OR d.halted_at IS NOT NULL)});
	return;
}

# Until nothing is open. What waits for long (a read in an hour, the limit's end) is looked at now.
sub drain
{
	my ($storm, $what) = @_;
	my $server = $storm->server;
	my $limit = $storm->{patience};
	# (What has hung once would hang again.)
	$limit = 5 if $storm->findings('P2');
	my ($end, $left) = (time + $limit, '');
	while (1)
	{
		$left = $server->sql(<<'END');
SELECT concat_ws(', ', (SELECT count(*) || ' in the outbox' FROM seats_internal.outbox HAVING count(*) > 0),
    (SELECT count(*) || ' handlers' FROM seats_internal.handler HAVING count(*) > 0),
    (SELECT count(*) || ' of our calls whose event has not come' FROM seats_internal.expected_event HAVING count(*) > 0),
    (SELECT count(*) || ' events that are not processed' FROM seats_internal.webhook_event AS e
      WHERE e.retry_at IS NOT NULL HAVING count(*) > 0),
    (SELECT 'intents are to be listed' WHERE EXISTS (SELECT FROM seats_internal.payment_listing_wish)
         OR EXISTS (SELECT FROM seats_internal.payment_listing AS l WHERE coalesce(l.wanted_since, l.listing_until) IS NOT NULL)),
    (SELECT count(*) || ' payments in review' FROM seats_internal.payment AS p WHERE p.review_since IS NOT NULL HAVING count(*) > 0),
    (SELECT count(*) || ' payments without an intent' FROM seats_internal.payment AS p WHERE p.state = 'creating' HAVING count(*) > 0),
    (SELECT count(*) || ' entries of the journal without a number' FROM seats_internal.journal AS j
      WHERE j.number IS NULL HAVING count(*) > 0))
END
		$left .= ', webhooks under way' if $storm->stripe->control('GET', '/webhooks', undef, limit => 1)->{open};
		last if $left eq '' || time > $end;
		$server->sql(PgSeats::Chaos::House::age_sql());
		my @verbs = PgSeats::Chaos::House::decide($storm, $server->sql(PgSeats::Chaos::House::work_sql()));
		foreach my $verb (@verbs)
		{
			# (It may have been proven meanwhile, or its lane be locked.)
			my ($status, $stdout, $stderr) = $server->try_sql($verb->[0]);
			$storm->tell("an operator: $verb->[1]" . ($status ? ": $stderr" : ''));
		}
		pay_and_look($storm);
		$server->try_sql(PgSeats::Chaos::Payments::try_now_sql());
		foreach my $line (split /\n/, $server->sql('SELECT * FROM chaos.look()'))
		{
			my ($promise, $words) = $line =~ /^(P[^6]|payments) (.*)/ or next;
			$storm->find($promise, $words);
		}
		sleep 0.3;
	}
	return if $left eq '';
	$storm->find('P2', "after $limit s of calm, $what: $left are left");
	foreach my $line (split /\n/, $server->sql(
		q{SELECT replace(seats.explain_call(o.id), E'\n', ' ')
		    FROM (SELECT o.id FROM seats_internal.outbox AS o UNION SELECT r.call_id FROM seats_internal.handler AS r ORDER BY 1 LIMIT 5) AS o}))
	{
		$storm->find('P2', "left: $line");
	}
	return;
}

# Customers pay for what waits for its payment; Stripe is asked about it now, not in an hour.
sub pay_and_look
{
	my ($storm) = @_;
	my $server = $storm->server;
	foreach my $line (split /\n/, $server->sql(
		q{SELECT concat_ws('|', o.id, o.payment ->> 'invoice') FROM seats_internal.outbox AS o WHERE o.state = 'awaiting'}))
	{
		my ($change, $invoice) = split /\|/, $line;
		if ($invoice && !$storm->{paid}{$invoice}++)
		{
			my $paid = eval { $storm->stripe->pay_invoice($invoice); 1 };
			$storm->tell("invoice $invoice of change $change is " . ($paid ? 'paid' : 'over'));
		}
		$server->try_sql("SELECT seats.retry($change, 'look now')");
	}
	return;
}

# The application reads the journal to its end.
sub settle_feed
{
	my ($storm) = @_;
	my $server = $storm->server;
	require PgSeats::Chaos::Application;
	my $read = -1;
	while ($read != (my $now = $server->sql('SELECT count(*) FROM chaos.feed')))
	{
		$read = $now;
		my ($status, $stdout, $stderr) = $server->try_sql(PgSeats::Chaos::Application::reading());
		$storm->find('journal', "reading it to its end: $stderr") if $status;
	}
	return;
}

1;
