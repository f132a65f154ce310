# Prices that no seat type lists, and which price a new item gets: by what Stripe says of them.
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
pg_seats.event_check_after = '300ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, $_) foreach qw(team owner);

sub problem_of { return $server->sql("SELECT DISTINCT problem FROM seats.teams WHERE team = '$_[0]'") }

sub no_recount_is_left
{
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.recount', '0');
	return;
}

subtest 'a subscription is moved to a price that nobody has listed' => sub {
	my $team = new_team($server, $stripe, 'moved', seats => { team => 5, owner => 1 });
	$server->sql("SELECT seats.invite('$team', 'bo\@example.com', 'team', actor => '@{[ owner_of($team) ]}')");
	# (As if it had been read long ago.)
	my $removal = hold_worker(
		$server,
		sub {
			my $change = remove_seats($server, $team, 2);
			$stripe->edit_subscription(subscription_of($team),
				remove => [ item_of($team, 'team') ],
				add => [ { id => "si_${team}_risen", price => 'price_risen', quantity => 5 } ]);
			$server->sql("UPDATE seats_internal.team SET base_proven_at = base_proven_at - interval '1 hour'
				WHERE name = '$team'");
			return $change;
		});
	wait_until(sub { problem_of($team) =~ /price_risen/ }, 'the team says so');
	await_reason($server, $removal, 'seats_not_counted');
	assert_seats($server, $team, [ 5, 3 ], 'it keeps what it had');
	is($server->sql("SELECT status FROM seats.invites WHERE team = '$team'"), 'open', '… its invite, too');
	like($server->sql("SELECT summary FROM seats.alerts WHERE kind = 'seats_not_counted'"),
		qr/team moved.*price_risen/, 'an alert names team and price');
	like(($server->try_sql("SELECT seats.add_seats('$team', 'team', 1, actor => '@{[ owner_of($team) ]}')"))[2],
		qr/cannot be counted/, 'nothing is bought');
	is(@{ seat_posts($stripe, $team) }, 0, 'nothing was sent');

	define_seat_type($server, 'team', prices => [ 'price_team', 'price_risen' ]);
	await_change($server, $removal, 'confirmed');
	assert_seats($server, $team, [ 3, 3, 0 ], 'listed, it goes on');
	is(seats_at_stripe($stripe, $team, 'team', 'price_risen'), 3, '… at Stripe, too');
	is(problem_of($team), '', 'no problem is left');
	is(open_alerts($server), '', 'and no alert');
	assert_folded($server);
};

subtest 'an add-on is declared as none of seats' => sub {
	my $team = new_team($server, $stripe, 'addon',
		items => [
			{ id => 'si_addon_team', price => 'price_team', quantity => 5 },
			{ id => 'si_addon_it', price => 'price_support', quantity => 1 } ]);
	like(problem_of($team), qr/price_support/, 'until it is, it is a problem');
	$server->sql(q{SELECT seats.ignore_prices('{price_support}', 'support is sold by the company')});
	no_recount_is_left();
	is(problem_of($team), '', 'then it is none');
	await_change($server, add_seats($server, $team, 1), 'confirmed');
	assert_in_step($server, $stripe, $team, { team => 6 }, 'seats are bought');
};

subtest 'listing prices waits for no team' => sub {
	new_team($server, $stripe, "crowd$_",
		items => [
			{ id => "si_crowd$_", price => 'price_team', quantity => 5 },
			{ id => "si_crowd_desk$_", price => 'price_desk', quantity => $_ } ])
	  foreach 1 .. 3;
	my $app = $server->background_psql('postgres');
	$app->query_safe('BEGIN');
	$app->query_safe("SELECT seats.remove_seats('crowd1', 'team', 1, actor => '@{[ owner_of('crowd1') ]}')");
	define_seat_type($server, 'desk', prices => ['price_desk']);
	await_seats($server, "crowd$_", "$_|$_|0", type => 'desk') foreach 2, 3;
	is($server->sql("SELECT count(*) FROM seats.teams WHERE team = 'crowd1' AND seat_type = 'desk'"), 0,
		'the team that is locked is left for later');
	$app->query_safe('COMMIT');
	$app->quit;
	no_recount_is_left();
	is($server->sql("SELECT confirmed FROM seats.teams WHERE team = 'crowd1' AND seat_type = 'desk'"), 1,
		'and counted then');
};

subtest 'prices are listed, and no longer, while seats are bought: nobody has changed anything at Stripe' => sub {
	$server->sql(q{SELECT seats.ignore_prices('{price_side}', 'not sold as seats')});
	my $team = new_team($server, $stripe, 'relisted',
		items => [
			{ id => item_of('relisted', 'team'), price => 'price_team', quantity => 5 },
			{ id => 'si_relisted_side', price => 'price_side', quantity => 3 } ]);
	foreach my $round (1 .. 8)
	{
		my $change = add_seats($server, $team, 1);
		my @prices = ('price_team', 'price_risen', $round % 2 ? ('price_side') : ());
		$server->sql("BEGIN;
			SELECT seats.define_seat_type('team', '{@{[ join ',', @prices ]}}');
			@{[ $round % 2 ? '' : q{SELECT seats.ignore_prices('{price_side}', 'not sold as seats');} ]}
			COMMIT;");
		await_change($server, $change, 'confirmed') if $round > 4;
	}
	$server->wait_for_sql("SELECT count(*) FROM seats.changes WHERE team = '$team' AND state <> 'confirmed'", '0');
	no_recount_is_left();
	$server->wait_for_sql('SELECT count(*) FROM seats_internal.expected_event', '0');
	assert_seats($server, $team, [ 13, 13, 0 ], 'bought, all of them');
	is($server->sql("SELECT count(*) FROM seats.journal WHERE kind LIKE 'seats.%outside%' AND detail ->> 'team' = '$team'"),
		'0', 'nothing is said of others');
	is(open_alerts($server), '', 'and nobody is told of anything');
	assert_folded($server);
};

# ---- which price a new item gets

# { name => [ currency, [ item's price => its interval ] ] }
sub team_of
{
	my ($team, %options) = @_;
	$stripe->control('POST', '/subscriptions',
		{ id => subscription_of($team), customer => customer_of($team), card => 'ok', %options });
	$server->sql("SELECT seats.register_team('$team', '@{[ subscription_of($team) ]}')");
	$server->wait_for_sql("SELECT count(*) FROM seats_internal.team WHERE name = '$team' AND items IS NOT NULL", '1');
	$server->sql("SELECT seats.add_member('$team', '@{[ owner_of($team) ]}', role => 'owner')");
	return $team;
}

# Prices by interval and currency, and the type that lists them. The dearest mistake comes first.
sub list_prices
{
	my ($type, %prices) = @_;
	foreach my $price (sort keys %prices)
	{
		my ($every, $currency, @more) = @{ $prices{$price} };
		my ($count, $interval) = split / /, $every;
		$stripe->control('POST', '/subscriptions',
			{ id => "sub_prices_$price", currency => $currency,
				items => [ { id => "si_prices_$price", price => $price, unit_amount => 1000, quantity => 1,
					interval => $interval, interval_count => $count, @more } ] });
	}
	my $list = join ',', sort keys %prices;
	$server->sql("SELECT seats.define_seat_type('$type', '{$list}')");
	return;
}

sub bought_at { my ($team) = @_; return form_of($stripe, $team)->{'items[0][price]'} }

subtest 'a new item has the interval and the currency of its subscription' => sub {
	list_prices('desk_more',
		desk1_month => [ '1 month', 'usd' ], desk2_year => [ '1 year', 'usd' ],
		desk3_month_eur => [ '1 month', 'eur' ], desk4_both => [ '1 month', 'usd', currencies => ['gbp'] ]);
	my @base = (quantity => 1, unit_amount => 1000);
	my $yearly = team_of('yearly', billing_mode => 'classic',
		items => [ { id => 'si_yearly', price => 'base_year', interval => 'year', @base } ]);
	my $euro = team_of('euro', currency => 'eur', items => [ { id => 'si_euro', price => 'base_eur', @base } ]);
	my $pound = team_of('pound', currency => 'gbp', items => [ { id => 'si_pound', price => 'base_gbp', @base } ]);
	my $weekly = team_of('weekly', items => [ { id => 'si_weekly', price => 'base_week', interval => 'week', @base } ]);
	$server->sql(q{SELECT seats.ignore_prices('{base_year,base_eur,base_gbp,base_week}', 'none of seats')});
	no_recount_is_left();
	my %wanted = ($yearly => 'desk2_year', $euro => 'desk3_month_eur', $pound => 'desk4_both');
	foreach my $team (sort keys %wanted)
	{
		await_change($server, add_seats($server, $team, 2, type => 'desk_more'), 'confirmed');
		is(bought_at($team), $wanted{$team}, "$team has $wanted{$team}");
	}
	my ($status, $out, $error) = $server->try_sql("SELECT seats.add_seats('$weekly', 'desk_more', 1, actor => '@{[ owner_of($weekly) ]}')");
	like($error, qr/no listed price fits/, 'where none fits there is an error');
	is(@{ seat_posts($stripe, $weekly) }, 0, '… and nothing is sent');
};

subtest 'a price that is archived meanwhile: the event has it read again' => sub {
	my $product = $stripe->create_product(name => 'seats')->{id};
	my ($first, $second) = map {
		$stripe->create_price(currency => 'usd', unit_amount => 1000, product => $product,
			recurring => { interval => 'month' })->{id}
	} 1 .. 2;
	$server->sql("SELECT seats.define_seat_type('sold', '{$first,$second}')");
	no_recount_is_left();
	$server->wait_for_sql(
		"SELECT count(*) FROM seats.prices WHERE seat_type = 'sold' AND known_at IS NOT NULL AND active", '2');
	$stripe->api('POST', "/v1/prices/$first", { active => 'false' });
	$server->sql("SELECT seats_internal.renew_price('stripe', '$first')");
	my $team = new_team($server, $stripe, 'buyer', seats => { team => 1 });
	await_change($server, add_seats($server, $team, 1, type => 'sold'), 'confirmed');
	is(bought_at($team), $second, 'the next one that fits is bought');
};

subtest 'a listed price that is not there, or may not be read, stops nobody' => sub {
	$stripe->fault({ match => { method => 'GET', path => '/v1/prices/price_secret' }, fault => 'forbidden_403', times => -1 });
	$server->sql("SELECT seats.define_seat_type('odd', '{price_nowhere,price_secret}')");
	no_recount_is_left();
	$server->wait_for_sql("SELECT count(*) FROM seats.prices WHERE seat_type = 'odd' AND problem IS NOT NULL", '2');
	is($server->sql('SELECT state FROM seats.destinations'), 'open', 'the destination takes calls');
	my ($status, $out, $error) = $server->try_sql("SELECT seats.add_seats('buyer', 'odd', 1, actor => '@{[ owner_of('buyer') ]}')");
	like($error, qr/no listed price fits/, 'who would buy at it is told');
	$stripe->clear_faults;
};

subtest 'a price that the key may not read is read when there is another key' => sub {
	my $price = $stripe->create_price(currency => 'usd', unit_amount => 1000,
		product => $stripe->create_product(name => 'seats')->{id}, recurring => { interval => 'month' })->{id};
	$stripe->fault({ match => { method => 'GET', path => "/v1/prices/$price" }, fault => 'forbidden_403', times => -1 });
	$server->sql("SELECT seats.define_seat_type('secret', '{$price}')");
	$server->wait_for_sql("SELECT count(*) FROM seats.prices WHERE price = '$price' AND problem IS NOT NULL", '1');
	$stripe->clear_faults;
	$stripe->control('POST', '/keys', { key => 'sk_test_with_more_rights', account => 'acct_simulator' });
	$server->write_secret('stripe_key', 'sk_test_with_more_rights');
	# (An idle worker looks at its files when it is woken, and with its safety poll.)
	my $known = "SELECT count(*) FROM seats.prices WHERE price = '$price' AND problem IS NULL AND known_at IS NOT NULL";
	wait_until(sub { await_another_loop($server); $server->sql($known) eq '1' }, 'the price to be read with the other key');
	await_change($server, add_seats($server, 'buyer', 1, type => 'secret'), 'confirmed');
	is(bought_at('buyer'), $price, 'it is bought, without anybody doing more');
};

subtest 'the last seat goes with its item, and comes back at its own price' => sub {
	define_seat_type($server, 'legacy', prices => [ 'price_legacy_new', 'price_legacy_old' ]);
	my $team = new_team($server, $stripe, 'loyal',
		items => [
			{ id => 'si_loyal_team', price => 'price_team', quantity => 1 },
			{ id => 'si_loyal_old', price => 'price_legacy_old', quantity => 2 } ]);
	await_change($server, set_seats($server, $team, 0, type => 'legacy'), 'confirmed');
	is(form_of($stripe, $team)->{'items[0][deleted]'}, 'true', 'the item is gone');
	await_change($server, add_seats($server, $team, 3, type => 'legacy'), 'confirmed');
	is(bought_at($team), 'price_legacy_old', 'it is bought back as it was');
};

assert_ledger($server, $stripe);
done_testing();
