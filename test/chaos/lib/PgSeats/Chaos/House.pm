# What happens to the server itself: its processes are killed, it stops at once and comes back, the worker
# stands still at the worst places, the history's ring turns slowly. And what its people do: they pause and
# resume, look, and decide reviews rightly, by what Stripe has really done.
package PgSeats::Chaos::House;

use strict;
use warnings;
use PgSeats::Chaos::Application;
use PgSeats::Faults qw(kill_noticed);
use PgSeats::Seats qw(owner_of);
use PgSeats::Waiting;

my %events = (
	kill_worker => 2, end_worker => 2, kill_backend => 2, kill_handlers => 1, end_handlers => 2, lose_function => 2,
	immediate_stop => 1, stand_still => 4, stop_the_clock => 3,
	turn_ring => 5, pause => 2, define => 2, retry => 3, acknowledge => 2, reconcile => 2, let_hours_pass => 2, list_intents => 1);

# In a house where bills are all that there is.
my %events_of_bills = (
	kill_worker => 2, end_worker => 2, kill_backend => 2, kill_handlers => 1, end_handlers => 2, immediate_stop => 2,
	stand_still => 6, stop_the_clock => 3, turn_ring => 2, pause => 2, retry => 3, acknowledge => 2, let_hours_pass => 4,
	list_intents => 3, adopt => 2);

my @debug_points = qw(before_freeze_commit after_freeze after_answer before_settle_commit after_settle);

# A ring has eight slots: turned so often, nothing is forgotten yet that the promises are checked by.
my $most_turns = 6;

sub start
{
	my ($storm, $per_second) = @_;
	my $dice = $storm->dice('house');
	for (my $when = 1; $when < $storm->seconds - 1; $when += $dice->seconds(0, 2 / $per_second))
	{
		my $number = $storm->next_number('event');
		$storm->at($when, sub { happen($storm, $number) });
	}
	$storm->{operator} = $storm->open_session('chaos operator');
	$storm->{looker} = $storm->open_session('chaos looker');
	$storm->in(0.3, sub { look($storm) });
	$storm->in(0.5, sub { operate($storm) });
	return;
}

sub happen
{
	my ($storm, $number) = @_;
	my $dice = $storm->dice("event $number");
	my $event = $dice->weighted($storm->{fails_over} ? \%events_of_bills : \%events);
	eval { __PACKAGE__->can($event)->($storm, $dice); 1 }
	  or $storm->tell("event $number, $event, did not happen: " . ($@ =~ s/\s+/ /gr));
	return;
}

# ---- processes

sub kill_worker
{
	my ($storm, $dice) = @_;
	my $pid = $storm->server->worker_pid or return;
	kill_noticed($storm->server, $pid) or return;
	$storm->tell("the worker $pid is killed, and the server starts anew");
	return;
}

sub end_worker
{
	my ($storm, $dice) = @_;
	my $pid = $storm->server->worker_pid or return;
	kill 'TERM', $pid;
	$storm->tell("the worker $pid is asked to end");
	return;
}

# The processes that run applications' handlers: one is killed, or all are ended.
sub kill_handlers
{
	my ($storm, $dice) = @_;
	my ($pid) = handler_processes($storm) or return;
	kill_noticed($storm->server, $pid) or return;
	$storm->tell("handler process $pid is killed, and the server starts anew");
	return;
}

sub end_handlers
{
	my ($storm, $dice) = @_;
	my @pids = handler_processes($storm) or return;
	kill 'TERM', @pids;
	$storm->tell("handler processes @pids are asked to end");
	return;
}

sub handler_processes
{
	my ($storm) = @_;
	return split /\n/, $storm->server->sql(q{SELECT a.pid FROM pg_stat_activity AS a WHERE a.backend_type = 'pg_seats handler'});
}

# A function is gone for a while: what comes to run it meanwhile is a person's matter.
sub lose_function
{
	my ($storm, $dice) = @_;
	my $name = $dice->one_of(qw(paid undone));
	ask($storm, 'owner', "ALTER FUNCTION shop.$name RENAME TO away", "shop.$name is gone");
	$storm->in($dice->seconds(0.2, 1), sub { find_function($storm) });
	return;
}

# Whichever it was. (Tried again, because who renames it may be under way still, or have lost his session.)
sub find_function
{
	my ($storm) = @_;
	ask($storm, 'finder', "ALTER FUNCTION shop.away RENAME TO $_", "shop.$_ is back") foreach missing_function($storm);
	$storm->in(1, sub { find_function($storm) }) if missing_function($storm);
	return;
}

sub missing_function
{
	my ($storm) = @_;
	return split /\n/, $storm->server->sql(
		q{SELECT n FROM unnest('{paid,undone}'::text[]) AS n WHERE to_regprocedure('shop.' || n || '(bigint,jsonb,jsonb)') IS NULL});
}

# Only its own session: the others go on.
sub kill_backend
{
	my ($storm, $dice) = @_;
	my $ended = $storm->server->sql(q{SELECT application_name FROM (SELECT a.* FROM pg_stat_activity AS a
	    WHERE a.application_name ~ '^chaos (session|till)' AND a.state <> 'idle' ORDER BY a.pid LIMIT 1) AS a
	    WHERE pg_terminate_backend(a.pid)});
	$storm->tell("the backend of $ended is ended") if $ended ne '';
	return;
}

sub immediate_stop
{
	my ($storm, $dice) = @_;
	# (One that gets no time would have to be killed, after a while.)
	return if $storm->{stopped};
	$storm->tell('the server stops at once');
	$storm->server->stop('immediate');
	$storm->server->start;
	$storm->tell('the server is back');
	return;
}

# The worker stands at a place in its code for a while; sometimes it is killed there.
sub stand_still
{
	my ($storm, $dice) = @_;
	my ($point, $seconds, $is_killed) = ($dice->one_of(@debug_points), $dice->seconds(0.2, 1), $dice->happens(0.3));
	$storm->server->set_debug_point($point);
	$storm->tell("the worker is to stand still at $point" . ($is_killed ? ', and is killed there' : ''));
	$storm->in($seconds, sub {
		$storm->server->release_debug_point;
		kill_worker($storm, $dice) if $is_killed;
		$storm->tell("$point is released");
	});
	return;
}

sub stop_the_clock
{
	my ($storm, $dice) = @_;
	my $pid = $storm->server->worker_pid or return;
	kill 'STOP', $pid or return;
	$storm->{stopped} = $pid;
	$storm->tell("the worker $pid gets no time");
	$storm->in($dice->seconds(0.1, 0.8), sub { let_go($storm) });
	return;
}

sub let_go
{
	my ($storm) = @_;
	my $pid = delete $storm->{stopped} or return;
	kill 'CONT', $pid;
	$storm->tell("the worker $pid has time again");
	return;
}

# The history's ring turns, on a slow disk: as the worker does, but its transaction takes a while. An operator
# takes back a change that was not sent, just then.
sub turn_ring
{
	my ($storm, $dice) = @_;
	return if $storm->next_number('turn') > $most_turns;
	my $seconds = sprintf '%.2f', $dice->seconds(0.2, 0.6);
	my $team = $dice->one_of($storm->teams);
	ask($storm, 'turner',
		"UPDATE seats_internal.ring SET since = since - interval '2 days';\n"
		  . "BEGIN; SELECT seats_internal.turn_ring(8); SELECT pg_sleep($seconds); COMMIT",
		"the ring's turn has taken $seconds s");
	$storm->in(0.1, sub { take_back($storm, $team) }) unless $storm->{fails_over};
	return;
}

sub take_back
{
	my ($storm, $team) = @_;
	# In two transactions, so that the worker may be first.
	ask($storm, 'taker', <<"END", "an operator has taken back a change of $team");
@{[ PgSeats::Chaos::Application::told('taken ' . $storm->next_number('taken'), $team, "seats.add_seats('$team', 'team', 2, '" . owner_of($team) . "')") ]};
SELECT seats.cancel_call(max(o.id), 'a mistake')
  FROM seats_internal.outbox AS o JOIN seats_internal.team AS t ON t.id = o.team_id
 WHERE t.name = '$team' AND o.kind = 'change' AND o.state = 'pending' AND NOT o.doubt HAVING count(*) > 0
END
	return;
}

sub pause
{
	my ($storm, $dice) = @_;
	my $lane = $dice->happens(0.5) ? ", lane => '/v1/subscriptions/sub_" . $dice->one_of($storm->teams) . "'" : '';
	ask($storm, 'pauser', "SELECT seats.pause('stripe', 'let them gather'$lane)", "paused$lane");
	$storm->in($dice->seconds(0.3, 1.5), sub {
		ask($storm, 'resumer', "SELECT seats.resume('stripe', 'off they go'$lane)", "resumed$lane");
	});
	return;
}

# A kind of seats is defined anew, as it was.
sub define
{
	my ($storm, $dice) = @_;
	ask($storm, 'definer', $storm->{definition}{ $dice->one_of(qw(team owner later)) }, 'a seat type is defined anew');
	return;
}

# Operators do what may always be done.
sub retry
{
	my ($storm, $dice) = @_;
	ask($storm, 'retrier', q{SELECT seats.retry(max(o.id), 'now, please') FROM seats_internal.outbox AS o
	    WHERE o.state IN ('waiting', 'verifying', 'awaiting') HAVING count(*) > 0}, 'an operator has something tried now');
	return;
}

sub acknowledge
{
	my ($storm, $dice) = @_;
	ask($storm, 'acknowledger', q{SELECT seats.acknowledge(max(a.id), 'seen') FROM seats_internal.alert AS a
	    WHERE a.resolved_at IS NULL AND a.acknowledged_at IS NULL HAVING count(*) > 0}, 'an operator has seen an alert');
	return;
}

sub reconcile
{
	my ($storm, $dice) = @_;
	my $team = $dice->one_of($storm->teams);
	ask($storm, 'reconciler', "SELECT seats.reconcile('$team', 'a look')", "an operator has $team read");
	return;
}

# As if nobody had gone on with some payments for an hour. (Whoever has one just now is going on.)
sub let_hours_pass
{
	my ($storm, $dice) = @_;
	ask($storm, 'clockmaker', q{UPDATE seats_internal.payment AS p SET touched_at = p.touched_at - interval '1 hour'
	    WHERE p.id IN (SELECT o.id FROM seats_internal.payment AS o WHERE o.state IN ('creating', 'payable') FOR UPDATE SKIP LOCKED)},
		'nobody has gone on with payments for an hour');
	return;
}

sub list_intents
{
	my ($storm, $dice) = @_;
	ask($storm, 'lister', q{SELECT seats.reconcile_payments('stripe', 'a look')}, 'an operator has all intents listed');
	return;
}

# The database is where another one was, as a person says.
sub adopt
{
	my ($storm, $dice) = @_;
	ask($storm, 'adopter', q{SELECT seats.adopt_database('the original is gone', true)}, 'the database was adopted, in place of the original');
	return;
}

# In a session of its own, because it may hang on what the worker has locked, and the worker may stand still.
sub ask
{
	my ($storm, $who, $sql, $in_words) = @_;
	my $session = $storm->{people}{$who} //= $storm->open_session("chaos $who");
	$session->start if $session->is_gone;
	return unless $session->is_idle;
	$session->ask($sql, sub {
		my ($text) = @_;
		my ($code, $words) = defined $text ? PgSeats::Chaos::Session::error_in($text) : ('gone', '');
		$storm->tell($in_words . (defined $code ? ": $code $words" : ''));
	});
	return;
}

# ---- people

# Every quarter of a second: is everything as it must be at any moment?
sub look
{
	my ($storm) = @_;
	my $session = $storm->{looker};
	my $again = sub { $storm->in(0.25, sub { look($storm) }) };
	if ($session->is_gone || !$session->is_idle)
	{
		$session->start if $session->is_gone;
		return $again->();
	}
	$session->ask('SELECT * FROM chaos.look()', sub {
		my ($text) = @_;
		my %before = %{ delete $storm->{seen} // {} };
		if (defined $text && !defined PgSeats::Chaos::Session::error_in($text))
		{
			$storm->{looks}++;
			foreach my $line (grep { /^(?:P\d|payments) / } split /\n/, $text)
			{
				$storm->{seen}{$line} = 1;
				my ($promise, $words) = $line =~ /^(\S+) (.*)/;
				$storm->find($promise, $words) if $promise ne 'P6' || $before{$line};
			}
		}
		$again->();
	});
	return;
}

# Operators decide what is in review and send on what waits for Stripe's limits, which are not this test's
# topic: as if what was sent had been sent long ago.
sub operate
{
	my ($storm) = @_;
	my $session = $storm->{operator};
	my $again = sub { $storm->in(0.3, sub { operate($storm) }) };
	if ($session->is_gone || !$session->is_idle)
	{
		$session->start if $session->is_gone;
		return $again->();
	}
	$session->ask(age_sql() . work_sql(), sub {
		my ($text) = @_;
		my @verbs = defined $text ? decide($storm, $text) : ();
		return $again->() unless @verbs;
		$session->ask(join("\n", map { $_->[0] } @verbs), sub {
			$storm->tell("an operator: $_->[1]") foreach @verbs;
			$again->();
		});
	});
	return;
}

sub age_sql
{
	return <<'END';
UPDATE seats_internal.outbox_history SET settled_at = settled_at - interval '2 days'
 WHERE kind = 'change' AND settled_at > clock_timestamp() - interval '1 day';
UPDATE seats_internal.attempt SET answered_at = answered_at - interval '2 days'
 WHERE lane_id IS NOT NULL AND answered_at > clock_timestamp() - interval '1 day';
END
}

sub work_sql
{
	return <<'END';
SELECT concat_ws('|', 'review', r.id, r.uuid, r.first_sent_at IS NOT NULL, r.reason, r.kind) FROM seats_internal.outbox AS r
 WHERE r.state = 'review';
SELECT concat_ws('|', 'handler', r.call_id, r.review_reason,
              EXISTS (SELECT FROM seats_internal.payment_transaction AS t WHERE t.id = r.call_id))
  FROM seats_internal.handler AS r WHERE r.review_since IS NOT NULL;
SELECT concat_ws('|', 'payment', p.id, p.review_reason,
              array_to_string(seats_internal.allowed_payment_decisions(p.id), ' '))
  FROM seats_internal.payment AS p WHERE p.review_since IS NOT NULL;
SELECT concat_ws('|', 'limit', o.id) FROM seats_internal.outbox AS o
 WHERE o.state = 'pending' AND o.reason = 'stripes_limit_for_a_subscription' AND o.due_at > clock_timestamp();
SELECT concat_ws('|', 'halted', d.name, d.halted_reason) FROM seats_internal.destination AS d
 WHERE d.halted_needs_person;
END
}

# What is right to do: [ SQL, in words ] for each.
sub decide
{
	my ($storm, $text) = @_;
	my @verbs = ();
	foreach my $line (split /\n/, $text)
	{
		my ($what, $id, $uuid, $sent, $reason) = split /\|/, $line;
		next unless defined $id;
		if ($what eq 'review')
		{
			my $decision = decision_on($storm, $uuid) or next;
			push @verbs, [ "SELECT seats.resolve_review($id, '$decision', 'seen in the Dashboard');",
				"$id was in review ($reason), and is decided: $decision" ];
		}
		push @verbs, decision_on_handler($storm, $id, $uuid, $sent eq 't') if $what eq 'handler';
		push @verbs, decision_on_payment($storm, $id, $uuid, split / /, $sent) if $what eq 'payment';
		push @verbs, [ "SELECT seats.retry($id, 'the limit is not the topic');", "$id goes on" ] if $what eq 'limit';
		# (What a wrong key has halted goes on by itself.)
		push @verbs, [ "SELECT seats.resume('$id', 'the cause is gone');", "$id was halted ($uuid), and is resumed" ]
		  if $what eq 'halted';
	}
	return @verbs;
}

# Money that has come in otherwise than it was to. (What a bank holds by now cannot be given back.)
sub decision_on_payment
{
	my ($storm, $payment, $reason, @allowed) = @_;
	my $decision = $storm->dice("payment $payment")->one_of(@allowed);
	return [ "SELECT seats.resolve_payment($payment, '$decision', 'we have talked about it');",
		"payment $payment was in review ($reason), and is decided: $decision" ];
}

# What a person does about a handler; told to the judge where it is not to run. (Those of payments always are.)
sub decision_on_handler
{
	my ($storm, $call, $reason, $is_of_payment) = @_;
	my $decision = $is_of_payment ? 'retry' : $storm->dice("handler of $call")->one_of(qw(retry retry skip run));
	my $function = $decision eq 'run' ? q{, function => 'proof.by_hand'} : '';
	my $note = $decision eq 'retry' ? '' : "UPDATE proof.asked SET decided = '$decision' WHERE call = $call; ";
	return [ "BEGIN; SELECT seats.resolve_review($call, '$decision', 'we have talked about it'$function); ${note}COMMIT;",
		"the handler of $call was in review ($reason), and is decided: $decision" ];
}

# Stripe has not executed it yet, and may.
sub is_held
{
	my ($storm, $key) = @_;
	return scalar grep { ($_->{state} // '') =~ /^(hanging|delayed|later)$/ } @{ $storm->stripe->requests(key => $key) };
}

# By the ledger. While a request is still held somewhere, nobody can know.
sub decision_on
{
	my ($storm, $uuid) = @_;
	my $decision = eval {
		return undef if is_held($storm, "*-$uuid-*");
		my %outcomes = map { $_->{outcome} => 1 } @{ $storm->stripe->ledger(key => "*-$uuid-*") };
		return 'executed' if $outcomes{done};
		# It waits for its payment, and Stripe says so again when it is asked again.
		return 'same_key' if $outcomes{pending};
		# (What Stripe does not want at all is not asked for again and again.)
		return 'refuse' if $storm->next_number("review $uuid") > 2;
		return $storm->dice("review $uuid")->one_of(qw(not_executed refuse));
	};
	return $decision;
}

1;
