# What a preview shows in columns is what is charged: a change that is made with its proration_date makes an invoice of the
# same amounts, to the cent, whatever decides about it (proration, trial, balance, taxes, currency, how it is collected). And
# a price that is none any more is refused before anything is sent.
use strict;
use warnings;
use JSON::PP;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Faults;
use PgSeats::Seats;

my $json = JSON::PP->new->canonical;
my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '200ms'
END
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
$stripe->control('POST', '/limits', { subscriptions => \0 });

# Half of everybody's period is over: 15 of 30 days, wherever in a year this runs. (At such prices a cent is a quarter of an
# hour of it.)
my $half = 15 * 86400;
my $unit = 200;
$stripe->clock_advance(-$half);
new_items('prices', { team => 1, later => 1, free => 1 });
new_items("prices_$_", { team => 1 }, currency => $_, price => "price_$_") foreach qw(jpy kwd huf);
define_seat_type($server, 'team',
	prices => [ qw(price_team price_jpy price_kwd price_huf) ],
	increase_proration_behavior => 'always_invoice', decrease_proration_behavior => 'always_invoice');
define_seat_type($server, 'later',
	increase_proration_behavior => 'create_prorations', decrease_proration_behavior => 'create_prorations');
define_seat_type($server, 'free', increase_proration_behavior => 'none', decrease_proration_behavior => 'none');

# At Stripe only.
sub new_items
{
	my ($team, $seats, %options) = @_;
	my $price = delete $options{price};
	$stripe->control(
		'POST',
		'/subscriptions',
		{
			id => subscription_of($team),
			customer => customer_of($team),
			items => [
				map { { id => item_of($team, $_), price => $price // "price_$_", quantity => $seats->{$_}, unit_amount => $unit,
						interval => 'day', interval_count => 30 } } sort keys %$seats
			],
			%options
		});
	return;
}

# Each with its own price, where the currency is another one.
sub new_payer
{
	my ($team, %options) = @_;
	my $seats = delete $options{seats} // { team => 5 };
	my $balance = delete $options{balance};
	new_items($team, $seats, %options);
	$stripe->control('POST', '/customers/' . customer_of($team), { balance => $balance }) if defined $balance;
	$server->sql("SELECT seats.register_team('$team', '@{[ subscription_of($team) ]}')");
	$server->wait_for_sql("SELECT count(*) FROM seats.teams WHERE team = '$team' AND status IS NOT NULL", scalar keys %$seats);
	$server->sql("SELECT seats.add_member('$team', '@{[ owner_of($team) ]}', role => 'owner')");
	return $team;
}

# The row, and the call; the numbers are numbers. Of two of one second nobody knows which was shown, so each has its own.
my %last_date = ();
sub preview
{
	my ($team, $changes) = @_;
	$server->wait_for_sql('SELECT floor(extract(epoch FROM clock_timestamp())) > ' . ($last_date{$team} // 0), 't');
	my $call = $server->sql("SELECT call FROM seats.preview_change('$team', '@{[ $json->encode($changes) ]}')");
	$server->sql("CALL seats.wait_for_call($call, '30 s')");
	my $row = row_of($call);
	$last_date{$team} = $row->{proration_date};
	return { call => $call, %$row };
}

sub row_of { return $json->decode($server->sql("SELECT to_jsonb(p) FROM seats.preview($_[0]) AS p")) }

sub buy
{
	my ($team, $changes, $preview) = @_;
	return change_seats($server, $team, $changes, proration_date => $preview->{proration_date});
}

sub refusal
{
	my ($team, $changes, $preview, %more) = @_;
	my $rest = join '', map { sprintf q{, %s => '%s'}, $_, $more{$_} } sort keys %more;
	my ($status, undef, $error) = $server->try_sql("\\set VERBOSITY verbose\nSELECT seats.change_seats('$team', "
		. "'@{[ $json->encode($changes) ]}', '@{[ owner_of($team) ]}', proration_date => $preview->{proration_date}$rest)");
	return $error =~ /ERROR:\s+(PS\d+):/ ? $1 : $status == 0 ? 'taken' : $error;
}

sub balance_of { return $stripe->api('GET', '/v1/customers/' . customer_of($_[0]))->{balance} }

sub latest_invoice_of
{
	my $id = $stripe->subscription(subscription_of($_[0]))->{latest_invoice} or return;
	return $stripe->invoice($id);
}

# What was paid by all, in this currency.
sub paid
{
	my ($currency) = @_;
	return $stripe->control('GET', '/money')->{totals}{$currency}{paid} // 0;
}

sub tax_of { my $tax = 0; $tax += $_->{amount} foreach @{ $_[0]{total_taxes} }; return $tax }

my @cases = (
	{ name => 'more seats, invoiced at once', when => 'now', total => 300 },
	{ name => 'fewer seats, invoiced at once', change => { remove => 2 }, when => 'nothing', total => -200 },
	{ name => 'a balance that pays it', balance => -4000, when => 'nothing', total => 300, due => 0 },
	{ name => 'a balance that pays a part', balance => -40, when => 'now', total => 300, due => 260 },
	{ name => 'a balance that is owed', balance => 70, when => 'now', total => 300, due => 370 },
	{ name => 'with taxes', tax_percent => 19, when => 'now', total => 357 },
	{ name => 'fewer seats, with taxes', tax_percent => 19, change => { remove => 2 }, when => 'nothing', total => -238 },
	{ name => 'by an invoice that is sent', collection_method => 'send_invoice', when => 'by_invoice', total => 300 },
	{ name => 'yen', currency => 'jpy', decimals => 0, when => 'now', total => 300 },
	{ name => 'dinars', currency => 'kwd', decimals => 3, when => 'now', total => 300 },
	{ name => 'forints', currency => 'huf', decimals => 2, when => 'nothing', total => 300, due => 0, credit => 0 },  # too little to be charged
	{ name => 'invoiced with the next period', type => 'later', when => 'at_renewal', total => 1900 },
	{ name => 'fewer, with the next period', type => 'later', change => { remove => 2 }, when => 'at_renewal', total => 400 },
	{ name => 'next period, with taxes', type => 'later', tax_percent => 19, when => 'at_renewal', total => 2261 },
	{ name => 'without prorations', type => 'free', when => 'at_renewal', total => 1600 },
	{ name => 'in a trial', trial_days => 20, when => 'at_renewal', total => 1600 });

my $number = 0;
foreach my $case (@cases)
{
	$case->{team} = 'payer' . ++$number;
	$case->{type} //= 'team';
	my %other = $case->{currency} ? (currency => $case->{currency}, price => "price_$case->{currency}") : ();
	my %options = map { $_ => $case->{$_} } grep { defined $case->{$_} } qw(balance tax_percent collection_method trial_days);
	$case->{currency} //= 'usd';
	$case->{decimals} //= 2;
	$case->{change} //= { add => 3 };
	$case->{seats} = 5 + ($case->{change}{add} // 0) - ($case->{change}{remove} // 0);
	new_payer($case->{team}, seats => { $case->{type} => 5 }, %other, %options);
}
new_payer($_) foreach qw(crowd moved outside aged lone slow);
new_payer('ends', seats => { team => 5, free => 5 });
new_payer('beside', seats => { team => 5, later => 2 });
$stripe->clock_advance($half);

foreach my $case (@cases)
{
	subtest $case->{name} => sub {
		my ($team, $changes) = ($case->{team}, { $case->{type} => $case->{change} });
		my $is_at_once = $case->{when} ne 'at_renewal';
		my $shown = preview($team, $changes);
		my $due = $is_at_once ? $case->{due} // ($case->{total} > 0 ? $case->{total} : 0) : 0;
		is_deeply(
			[ @$shown{qw(state code total due_now charged_when currency currency_decimals)} ],
			[ 'ready', undef, $case->{total}, $due, @$case{qw(when currency decimals)} ],
			'it is shown');
		my $period = $unit * $case->{seats} * (1 + ($case->{tax_percent} // 0) / 100);
		is($shown->{next_renewal_total}, $period, 'and what a period costs');
		is($shown->{next_renewal_at}, $server->sql("SELECT to_jsonb(current_period_end) #>> '{}' FROM seats.teams WHERE team = '$team'"),
			'… and when it begins');
		my ($balance, $paid) = (balance_of($team), paid($case->{currency}));
		await_change($server, buy($team, $changes, $shown), 'confirmed');
		is(paid($case->{currency}) - $paid, $case->{when} eq 'now' ? $due : 0, 'so much is charged');
		my $invoice = latest_invoice_of($team);
		if ($is_at_once)
		{
			is_deeply([ @$invoice{qw(total amount_due)}, tax_of($invoice) ], [ @$shown{qw(total due_now tax)} ], 'by such an invoice');
			my $moved = $shown->{total} < 0 ? -$shown->{credit} : $shown->{total} - $shown->{due_now};
			is(balance_of($team) - $balance, $moved, 'and the balance moves by what is not charged');
			is($shown->{credit}, $case->{credit} // ($shown->{total} < 0 ? -$moved : $moved), 'which a credit pays, or is one');
		}
		else
		{
			is($invoice, undef, 'there is no invoice');
			$case->{shown} = $shown;
		}
	};
}

subtest 'a colleague\'s change that waits is priced, too, and there is no price of this change' => sub {
	$stripe->outage('refuse');
	my $other = add_seats($server, 'crowd', 1);
	my $call = $server->sql(q{SELECT call FROM seats.preview_change('crowd', '{"team": {"add": 2}}')});
	is_deeply([ @{ row_of($call) }{qw(state includes_pending due_now)} ], [ 'pending', JSON::PP::true, undef ], 'it waits');
	$stripe->outage(undef);
	await_change($server, $other, 'confirmed');
	await_state($server, $call, 'done', 'refused');
	my $shown = row_of($call);
	$last_date{crowd} = $shown->{proration_date};
	is_deeply([ @$shown{qw(state code includes_pending)} ], [ 'ready', 'changes_pending', JSON::PP::true ], 'it says so');
	is(refusal('crowd', { team => { add => 2 } }, $shown), 'PS539', 'and it is refused');
	my $new = preview('crowd', { team => { add => 2 } });
	is_deeply([ @$new{qw(code due_now includes_pending)} ], [ undef, 200, JSON::PP::false ], 'asked again, it is its own');
	await_change($server, buy('crowd', { team => { add => 2 } }, $new), 'confirmed');
};

subtest 'the seats have changed since' => sub {
	my $shown = preview('moved', { team => { add => 2 } });
	await_change($server, add_seats($server, 'moved', 1), 'confirmed');
	is_deeply([ @{ row_of($shown->{call}) }{qw(state code)} ], [ 'expired', 'base_moved' ], 'it says so');
	is(refusal('moved', { team => { add => 2 } }, $shown), 'PS513', 'and is refused before anything is sent');
	$shown = preview('moved', { team => { add => 2 } });
	is(refusal('moved', { team => { add => 2 } }, $shown, expected => '{"team": 5}'), 'PS510', 'a wrong expectation is another error');
	is(refusal('moved', { team => { add => 3 } }, $shown), 'PS525', 'and so is the price of something else');
};

subtest 'they have changed at Stripe, and nobody has told' => sub {
	my $shown = preview('outside', { team => { add => 2 } });
	$stripe->edit_subscription(subscription_of('outside'), quantities => { item_of('outside', 'team') => 7 });
	my $change = buy('outside', { team => { add => 2 } }, $shown);
	await_reason($server, $change, 'base_moved');
	is(state_of_change($server, $change), 'reverted', 'it is undone');
	is(seats_at_stripe($stripe, 'outside', 'team'), 7, '… and nothing was bought');
};

subtest 'what would be on the bill beside it has changed at Stripe, and nobody has told' => sub {
	my $shown = preview('beside', { team => { add => 2 } });
	$stripe->edit_subscription(
		subscription_of('beside'), quantities => { item_of('beside', 'later') => 7 }, proration_behavior => 'create_prorations');
	my $paid = paid('usd');
	await_reason($server, buy('beside', { team => { add => 2 } }, $shown), 'base_moved');
	is(paid('usd') - $paid, 0, 'nothing is charged');
	my $new = preview('beside', { team => { add => 2 } });
	is_deeply([ @{$new}{qw(code due_now)} ], [ undef, 700 ], 'asked again, it is in the price');
	await_change($server, buy('beside', { team => { add => 2 } }, $new), 'confirmed');
	is(paid('usd') - $paid, 700, 'and that is charged');
};

subtest 'a preview of yesterday' => sub {
	my $shown = preview('aged', { team => { add => 2 } });
	my $date = $shown->{proration_date} - 86400 - 5;
	$server->sql(<<"END");
UPDATE seats_internal.outbox_history SET context = jsonb_set(context, '{preview,proration_date}', '$date') WHERE id = $shown->{call}
END
	my $row = row_of($shown->{call});
	is_deeply([ @$row{qw(state code due_now)} ], [ 'expired', 'preview_expired', $shown->{due_now} ], 'it says so');
	is(refusal('aged', { team => { add => 2 } }, $row), 'PS538', 'and is refused');
};

subtest 'what a period costs cannot be had, and all else is shown' => sub {
	$stripe->fault({
			match => { path => '/v1/invoices/create_preview', body => '*preview_mode*' }, times => -1,
			fault => 'unknown_parameter', param => 'preview_mode' });
	my $shown = preview('lone', { team => { add => 2 } });
	is_deeply([ @$shown{qw(state due_now next_renewal_total)} ], [ 'ready', 200, undef ], 'refused');
	$stripe->clear_faults;
	is(preview('lone', { team => { add => 2 } })->{next_renewal_total}, 1400, 'asked again, it is there');
};

subtest 'whoever has waited for a preview finds it whole' => sub {
	$stripe->fault({
			match => { path => '/v1/invoices/create_preview', body => '*preview_mode*' }, fault => 'delay', ms => 700 });
	my $shown = preview('slow', { team => { add => 2 } });
	is_deeply([ @$shown{qw(state due_now next_renewal_total)} ], [ 'ready', 200, 1400 ], 'though the other call was late');
};

subtest 'a subscription that ends with its period' => sub {
	$stripe->edit_subscription(subscription_of('ends'), cancel_at_period_end => JSON::PP::true);
	reconcile($server, 'ends');
	my $shown = preview('ends', { team => { add => 2 } });
	is_deeply([ @$shown{qw(state due_now charged_when next_renewal_total next_renewal_at)} ], [ 'ready', 200, 'now', undef, undef ],
		'what is invoiced at once');
	$shown = preview('ends', { free => { add => 2 } });
	is_deeply([ @$shown{qw(state total due_now charged_when currency)} ], [ 'ready', 0, 0, 'nothing', 'usd' ], 'what never is');
};

subtest 'what was to come with the next period comes' => sub {
	$stripe->clock_advance(20 * 86400);
	foreach my $case (grep { $_->{shown} } @cases)
	{
		my $invoice = latest_invoice_of($case->{team});
		is_deeply([ @$invoice{qw(total amount_paid)}, tax_of($invoice) ], [ @{ $case->{shown} }{qw(total total tax)} ], $case->{name});
	}
};

is($server->sql('SELECT count(*) FROM seats.reviews'), '0', 'nothing is left for a person');
assert_folded($server);
$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
