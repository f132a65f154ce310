# Seats change: the application sees it at once, Stripe is told, and what Stripe refuses is undone,
# that alone.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
# Stripe's limits for a subscription are another scenario's (31_seat_bursts).
$stripe->control('POST', '/limits', { subscriptions => JSON::PP::false });
define_seat_type($server, $_) foreach qw(team owner);

# What left the outbox, for a look at the end at what the history says of it.
$server->sql(<<'END');
CREATE TABLE public.gone (words jsonb);
CREATE FUNCTION public.note_gone() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.gone VALUES (to_jsonb(OLD)); RETURN NULL; END $$;
CREATE TRIGGER note_gone AFTER DELETE ON seats_internal.outbox FOR EACH ROW EXECUTE FUNCTION public.note_gone();
END

# What the last call asked for, without the marker.
sub asked_for
{
	my ($team) = @_;
	my %form = %{ form_of($stripe, $team) };
	delete @form{ grep {/^(metadata|expand)\[/} keys %form };
	return \%form;
}

# ---- the normal way

my $acme = new_team($server, $stripe, 'acme', seats => { team => 5, owner => 1 });

subtest 'seats are added' => sub {
	assert_seats($server, $acme, [ 5, 5, 0 ], 'what Stripe has is known');
	my ($change) = hold_worker(
		$server,
		sub {
			my $row = $server->sql(q{SELECT * FROM seats.add_seats('acme', 'team', 3, 'owner of acme')});
			like($row, qr/^\d+\|5\|8\|f$/, 'the change, the previous and the new quantity');
			my ($id) = split /\|/, $row;
			assert_seats($server, $acme, [ 5, 8, 0 ], 'the application sees it at once');
			is(state_of_change($server, $id), 'pending', 'and that Stripe was not told yet');
			assert_folded($server);
			return $id;
		});
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, $acme, { team => 8, owner => 1 });
	is_deeply(
		asked_for($acme),
		{
			'items[0][id]' => item_of($acme, 'team'),
			'items[0][quantity]' => 8,
			proration_behavior => 'always_invoice',
			payment_behavior => 'error_if_incomplete'
		},
		'an increase is invoiced, and nothing happens unless it is paid');
	my $uuid = uuid_of($server, $change);
	is(form_of($stripe, $acme)->{'metadata[pg_seats]'}, "$uuid-$uuid-1", 'with the marker');
	is(journal_kinds($server, $acme, 'change'), 'change.confirmed', 'the feed tells of it');
};

subtest 'seats are given back' => sub {
	await_change($server, remove_seats($server, $acme, 2), 'confirmed');
	assert_in_step($server, $stripe, $acme, { team => 6, owner => 1 });
	is_deeply(
		asked_for($acme),
		{
			'items[0][id]' => item_of($acme, 'team'),
			'items[0][quantity]' => 6,
			proration_behavior => 'create_prorations'
		},
		'a decrease is credited');
};

subtest 'seats are set' => sub {
	await_change($server, set_seats($server, $acme, 10), 'confirmed');
	assert_in_step($server, $stripe, $acme, { team => 10, owner => 1 });
	is(asked_for($acme)->{payment_behavior}, 'error_if_incomplete', 'to more: paid for');
	await_change($server, set_seats($server, $acme, 7), 'confirmed');
	assert_in_step($server, $stripe, $acme, { team => 7, owner => 1 });
	is(asked_for($acme)->{payment_behavior}, undef, 'to fewer: not');
	my $posts = @{ seat_posts($stripe, $acme) };
	my $same = set_seats($server, $acme, 7);
	await_change($server, $same, 'confirmed');
	is($server->sql("SELECT reason FROM seats.changes WHERE change = $same"),
		'nothing_to_change', 'to what there is: confirmed');
	is(scalar @{ seat_posts($stripe, $acme) }, $posts, '… without a call');
};

subtest 'several types in one call' => sub {
	my $posts = @{ seat_posts($stripe, $acme) };
	my $change = change_seats($server, $acme, { team => { add => 2 }, owner => { set => 3 } });
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, $acme, { team => 9, owner => 3 });
	is(scalar @{ seat_posts($stripe, $acme) }, $posts + 1, 'one call');
	$change = change_seats($server, $acme, { team => { add => 2 }, owner => { remove => 1 } });
	await_change($server, $change, 'confirmed');
	assert_in_step($server, $stripe, $acme, { team => 11, owner => 2 });
	is(asked_for($acme)->{payment_behavior}, 'error_if_incomplete',
		'one line that rises makes it an increase');
	$stripe->set_card(customer_of($acme), 'declined');
	$change = change_seats($server, $acme, { team => { add => 2 }, owner => { remove => 1 } });
	await_change($server, $change, 'reverted');
	assert_in_step($server, $stripe, $acme, { team => 11, owner => 2 }, 'refused: both are undone');
	$stripe->set_card(customer_of($acme), 'ok');
};

# ---- merging

# merged(name, sub { changes }, posts, { … }): what waits together goes in so few calls.
sub merged
{
	my ($name, $changes, $posts, $expected) = @_;
	return subtest $name => sub {
		age_calls($server);  # more calls than Stripe allows in a minute
		my $before = @{ seat_posts($stripe, $acme) };
		hold_worker($server, $changes);
		assert_in_step($server, $stripe, $acme, $expected);
		is(@{ seat_posts($stripe, $acme) } - $before, $posts, "$posts calls");
	};
}

merged('what rises goes together', sub { add_seats($server, $acme, $_) foreach 1, 2, 3 },
	1, { team => 17, owner => 2 });
merged(
	'also of several types',
	sub { add_seats($server, $acme, 1); add_seats($server, $acme, 1, type => 'owner') },
	1, { team => 18, owner => 3 });
merged(
	'what rises and what falls takes turns',
	sub {
		add_seats($server, $acme, 1);
		add_seats($server, $acme, 1);
		remove_seats($server, $acme, 4);
		remove_seats($server, $acme, 1);
		add_seats($server, $acme, 2);
	},
	3,
	{ team => 17, owner => 3 });
merged(
	'a change that is cancelled before it is sent was never there',
	sub {
		my ($first, $second, $third) = add_seats_many($server, $acme, 3);
		is(cancel_change($server, $second), 'cancelled', 'cancelled at once');
		assert_seats($server, $acme, [ 17, 19, 0 ]);
		assert_folded($server);
	},
	1,
	{ team => 19, owner => 3 });
merged(
	'all that there is is cancelled',
	sub { cancel_change($server, $_) foreach add_seats_many($server, $acme, 3) },
	0, { team => 19, owner => 3 });

age_calls($server);
subtest 'what can no longer be cancelled' => sub {
	$stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/*' }, fault => 'hang' });
	my ($first, $second) = hold_worker($server, sub { return add_seats_many($server, $acme, 2) });
	$stripe->await_held(method => 'POST');
	foreach my $case ([ $first, qr/on its way to Stripe/ ], [ $second, qr/in one call with other changes/ ])
	{
		my ($change, $detail) = @$case;
		my ($status, undef, $error) = $server->try_sql("SELECT seats.cancel_change($change)");
		isnt($status, 0, 'refused');
		like($error, $detail, 'and says why');
	}
	$stripe->release(method => 'POST');
	await_change($server, $second, 'confirmed');
	my (undef, undef, $error) = $server->try_sql("SELECT seats.cancel_change($first)");
	like($error, qr/change $first is confirmed/, 'nor afterwards');
	assert_in_step($server, $stripe, $acme, { team => 21, owner => 3 });
};

# ---- the database fails: Stripe hears of nothing

subtest 'the database fails' => sub {
	$server->sql('CREATE TABLE parent (id int PRIMARY KEY);
		CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)');
	my $posts = @{ seat_posts($stripe, $acme) };
	my $add = sub { return "SELECT seats.add_seats('acme', 'team', $_[0], 'owner of acme')" };
	$server->sql('BEGIN; ' . $add->(20) . '; ROLLBACK');
	assert_seats($server, $acme, [ 21, 21, 0 ], 'rolled back');
	my ($status, undef, $error) =
	  $server->try_sql('BEGIN; ' . $add->(20) . '; INSERT INTO child VALUES (1); COMMIT');
	like($error, qr/violates foreign key constraint/, 'the commit fails');
	assert_seats($server, $acme, [ 21, 21, 0 ], '… and the change with it');
	($status) = $server->try_sql('BEGIN; ' . $add->(20) . '; SELECT 1/0; COMMIT');
	isnt($status, 0, 'a statement fails');
	assert_seats($server, $acme, [ 21, 21, 0 ], '… and the change with it');
	$server->sql(join '; ', 'BEGIN', $add->(1), 'SAVEPOINT s', $add->(20), 'ROLLBACK TO s', $add->(2),
		'COMMIT');
	assert_in_step($server, $stripe, $acme, { team => 24, owner => 3 }, 'a savepoint: only what is left');
	is(@{ seat_posts($stripe, $acme) } - $posts, 1, 'one call in all');
};

# ---- Stripe refuses: what it refuses is undone, and nothing else

subtest 'the refused change is undone, a later one stays' => sub {
	$stripe->set_card(customer_of($acme), 'declined');
	$stripe->fault({ match => { method => 'POST', path => '/v1/subscriptions/*' }, fault => 'hang' });
	my $refused = add_seats($server, $acme, 3);
	$stripe->await_held(method => 'POST');
	my @later = (remove_seats($server, $acme, 1), add_seats($server, $acme, 5));
	assert_seats($server, $acme, [ 24, 31, 0 ], 'all are seen');
	# It stands still before it settles, so that the card can be put right before what comes later.
	debug_point_from_now_on($server, 'after_answer');
	$stripe->release(method => 'POST');
	$server->wait_at_debug_point('after_answer');
	$stripe->set_card(customer_of($acme), 'ok');
	$server->release_debug_point;
	await_change($server, $refused, 'reverted');
	assert_in_step($server, $stripe, $acme, { team => 28, owner => 3 });
	is($server->sql("SELECT reason FROM seats.changes WHERE change = $refused"), 'payment_failed', 'why');
	is(state_of_change($server, $_), 'confirmed', 'a later one stays') foreach @later;
	is($server->sql("SELECT detail ->> 'error' <> '' FROM seats.journal
		WHERE kind = 'change.reverted' AND call = $refused"), 't', 'the feed tells what Stripe said');
};

subtest 'why it was refused, and what can be done, in words for a program' => sub {
	my @cases = (
		[ requires_action => 'subscription_payment_intent_requires_action||authenticate' ],
		[ insufficient_funds => 'card_declined|insufficient_funds|other_payment_method' ],
		[ processing_error => 'processing_error||try_later' ]);
	foreach my $case (@cases)
	{
		my ($card, $expected) = @$case;
		my $team = new_team($server, $stripe, $card, card => $card);
		# (Two that go together: of one that went along, too.)
		my @changes = hold_worker($server, sub { return add_seats_many($server, $team, 2) });
		await_change($server, $_, 'reverted') foreach @changes;
		is($server->sql("SELECT string_agg(DISTINCT concat_ws('|', code, coalesce(decline_code, ''), next_step), ' ')
			FROM seats.changes WHERE change IN (@{[ join ', ', @changes ]})"), $expected, "$card: in the view");
		is($server->sql("SELECT string_agg(DISTINCT concat_ws('|', detail ->> 'code', coalesce(detail ->> 'decline_code', ''),
			detail ->> 'next_step'), ' ') FROM seats.journal
			WHERE kind = 'change.reverted' AND call IN (@{[ join ', ', @changes ]})"), $expected, "$card: in the journal");
	}
	my $good = add_seats($server, new_team($server, $stripe, 'good_card'), 1);
	await_change($server, $good, 'confirmed');
	is($server->sql("SELECT num_nulls(code, decline_code, next_step, error) FROM seats.changes WHERE change = $good"), 4,
		'nothing is said of what went well');
};

# ---- prices

subtest 'a type with several prices' => sub {
	define_seat_type($server, 'desk', prices => [qw(price_new price_old price_older)]);
	$server->sql(q{SELECT seats.ignore_prices('{price_other}', 'none of seats')});
	my $team = new_team(
		$server, $stripe, 'prices',
		items => [
			{ id => 'si_other', price => 'price_other', quantity => 1 },
			{ id => 'si_older', price => 'price_older', quantity => 2 },
			{ id => 'si_old', price => 'price_old', quantity => 3 }
		]);
	my $items = sub {
		return { map { ($_->{price}{id} // $_->{price}) => $_->{quantity} }
			  @{ $stripe->subscription_items(subscription_of($team)) } };
	};
	assert_seats($server, $team, [ 5, 5, 0 ], 'all are counted', type => 'desk');
	await_change($server, add_seats($server, $team, 2, type => 'desk'), 'confirmed');
	is_deeply(
		$items->(),
		{ price_other => 1, price_old => 5, price_older => 2 },
		'what rises is the first one that is there');
	await_change($server, remove_seats($server, $team, 3, type => 'desk'), 'confirmed');
	is_deeply($items->(), { price_other => 1, price_old => 4 }, 'what falls is the last one first');
	assert_seats($server, $team, [ 4, 4, 0 ], undef, type => 'desk');
	await_change($server, remove_seats($server, $team, 4, type => 'desk'), 'confirmed');
	is_deeply($items->(), { price_other => 1 }, 'at zero the item is deleted');
	await_change($server, add_seats($server, $team, 1, type => 'desk'), 'confirmed');
	is_deeply($items->(), { price_other => 1, price_old => 1 }, 'where there is none: the price that it was');
	assert_seats($server, $team, [ 1, 1, 0 ], undef, type => 'desk');
};

subtest 'a type that keeps its item at zero' => sub {
	define_seat_type($server, 'kept', delete_at_zero => 'false');
	my $team = new_team($server, $stripe, 'kept', seats => { kept => 2, team => 1 });
	await_change($server, set_seats($server, $team, 0, type => 'kept'), 'confirmed');
	is($stripe->api('GET', '/v1/subscription_items/' . item_of($team, 'kept'))->{quantity}, 0, 'there, and 0');
	assert_in_step($server, $stripe, $team, { kept => 0, team => 1 });
	await_change($server, add_seats($server, $team, 4, type => 'kept'), 'confirmed');
	assert_in_step($server, $stripe, $team, { kept => 4, team => 1 });
	is(scalar @{ $stripe->subscription_items(subscription_of($team)) }, 2, 'the same items');
};

subtest 'items beyond the first page' => sub {
	$server->sql(q{SELECT seats.ignore_prices(array_agg('price_many_' || g), 'none of seats')
		FROM generate_series(10, 21) AS g});
	my $team = new_team(
		$server, $stripe, 'many',
		items => [
			(map { { id => "si_many_$_", price => "price_many_$_", quantity => $_ } } 10 .. 21),
			{ id => item_of('many', 'team'), price => 'price_team', quantity => 4 }
		]);
	ok($stripe->subscription(subscription_of($team))->{items}{has_more}, 'there is another page');
	assert_seats($server, $team, [ 4, 4, 0 ], 'the base is all of them');
	await_change($server, add_seats($server, $team, 2), 'confirmed');
	assert_in_step($server, $stripe, $team, { team => 6 });
	is(asked_for($team)->{'items[0][id]'}, item_of($team, 'team'), 'the item that is there is changed');
	await_change($server, remove_seats($server, $team, 6), 'confirmed');
	assert_in_step($server, $stripe, $team, { team => 0 }, 'gone is gone, not beyond the page');
	is($server->sql("SELECT count(*) FROM seats.journal WHERE kind = 'seats.changed_outside'
		AND detail ->> 'team' = 'many'"), '0', 'nobody else has changed anything');
};

# ---- waiting, and clicking twice

subtest 'waiting for a change' => sub {
	my $team = new_team($server, $stripe, 'wait');
	my $change = add_seats($server, $team, 1);
	is($server->sql("CALL seats.wait_for_change($change)"), 'confirmed|', 'CALL wait_for_change');
	is($server->sql("CALL seats.wait_for_change($change)"), 'confirmed|', 'and once more');
	like(
		$server->sql(q{CALL seats.change_seats_and_wait('wait', '{"team": {"add": 2}}', 'owner of wait')}),
		qr/^\d+\|confirmed\|\|f$/, 'CALL change_seats_and_wait');
	$stripe->set_card(customer_of($team), 'declined');
	like(
		$server->sql(q{CALL seats.change_seats_and_wait('wait', '{"team": {"add": 2}}', 'owner of wait')}),
		qr/^\d+\|reverted\|payment_failed\|f$/, 'it tells of a refusal');
	$stripe->set_card(customer_of($team), 'ok');
	my ($first, $second) = hold_worker(
		$server,
		sub {
			my @changes = add_seats_many($server, $team, 2);
			like($server->sql("CALL seats.wait_for_change($changes[1], '100ms')"),
				qr/^pending\|/, 'the time is up');
			return @changes;
		});
	is($server->sql("SELECT state FROM seats.await_change($second)"), 'confirmed',
		'the function, for a change that another one has taken along');
	assert_in_step($server, $stripe, $team, { team => 10 });
	my (undef, undef, $error) = $server->try_sql("BEGIN; CALL seats.wait_for_change($change); COMMIT");
	like($error, qr/transaction/, 'not inside a transaction');
};

subtest 'a click that comes twice' => sub {
	my $team = new_team($server, $stripe, 'click');
	my @clicks = map { add_seats($server, $team, 2, request_key => 'click 1') } 1, 2;
	is($clicks[1], $clicks[0], 'the same change');
	await_change($server, $clicks[0], 'confirmed');
	is(add_seats($server, $team, 2, request_key => 'click 1'), $clicks[0], 'also when it is settled');
	assert_in_step($server, $stripe, $team, { team => 7 });
	my ($status, undef, $error) = $server->try_sql(
		q{SELECT seats.add_seats('click', 'team', 3, 'owner of click', 'click 1')},
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($error, qr/PS511.*was used for another request/s, 'another request under the same key');
	isnt(remove_seats($server, $team, 2, request_key => 'click 1'), $clicks[0], 'another function is not it');
	# Two at the same moment: the second waits for the first, and gets its answer.
	my @sessions = map { $server->background_psql('postgres') } 1, 2;
	$sessions[0]->query('BEGIN');
	my $click = q{SELECT change FROM seats.add_seats('click', 'team', 5, 'owner of click', 'click 2')};
	my $first = $sessions[0]->query($click);
	$sessions[1]->query_until(qr/started/, "\\echo started\n$click;\n");
	$server->wait_for_sql(
		q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%click 2%'}, '1');
	$sessions[0]->query('COMMIT');
	like($sessions[1]->query('SELECT 1'), qr/\b$first\b/, 'two clicks at once are one change');
	$_->quit foreach @sessions;
	assert_in_step($server, $stripe, $team, { team => 10 });
};

assert_folded($server);
assert_ledger($server, $stripe);
is(open_alerts($server), '', 'nothing of it is an alert');
subtest 'the history says what the outbox said' => sub {
	is($server->sql(<<'END'), 'change,price,read', 'of rows of these kinds') or return;
SELECT string_agg(DISTINCT g.words ->> 'kind', ',' ORDER BY g.words ->> 'kind') FROM public.gone AS g
END
	# (Why, and in which words, is the answer's.)
	is($server->sql(<<'END'), '', 'in every column that both name alike');
SELECT string_agg(DISTINCT format('%s %s: %s', h.kind, k.key, k.value), '; ')
  FROM public.gone AS g
  JOIN seats_internal.outbox_history AS h ON h.id = (g.words ->> 'id')::bigint
 CROSS JOIN LATERAL jsonb_each(to_jsonb(h)) AS k
  JOIN LATERAL jsonb_each(g.words) AS o ON o.key = k.key
 WHERE o.value IS DISTINCT FROM k.value AND k.key NOT IN ('reason', 'error_code', 'decline_code', 'request_id')
END
};
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
