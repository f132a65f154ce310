# What goes wrong at Stripe and on the way there, and what others do there meanwhile. Each mishap is a small
# story: it knows what it waits for, and it ends by itself.
package PgSeats::Chaos::Mishaps;

use strict;
use warnings;
use JSON::PP ();
use PgSeats::Chaos::Application;
use PgSeats::Chaos::House;
use PgSeats::Seats qw(subscription_of customer_of item_of owner_of);

my %mishaps = (
	lose_answer => 16, lose_read => 5, fail_for_good => 8, edit => 6, edit_before_call => 8,
	edit_before_late_call => 4, card => 8, pay => 8,
	outage => 2, revoke_key => 1, wrong_key => 1, hold_webhooks => 2, webhook_again => 2, strange_request => 1,
	strange_requests => 1, change_price => 4, end => 0.5);

# In a house where bills are all that there is.
my %mishaps_of_bills = (
	lose_answer => 24, lose_read => 8, outage => 2, revoke_key => 0.5, wrong_key => 0.5, hold_webhooks => 3, webhook_again => 3);

my @paths_of_bills = ('/v1/payment_intents*', '/v1/payment_intents*', '/v1/payment_intents/*/cancel', '/v1/refunds');

# What Stripe, or the network, may do with a request; the options are those of test/stripe/README.md.
my @lossy = (
	[ 'execute_and_drop' ], [ 'execute_and_drop', reset => JSON::PP::true ], [ 'execute_and_500' ],
	[ 'close_before' ], [ 'error_500' ], [ 'error_424' ], [ 'conflict_409' ], [ 'lock_timeout' ],
	[ 'rate_limit_429' ], [ 'should_retry_true' ], [ 'html_200' ], [ 'html_502' ], [ 'cut_head' ],
	[ 'cut_body' ], [ 'short_content_length' ], [ 'garbage' ], [ 'slow_body' ],
	[ 'delay', ms => 700 ], [ 'hang', seconds => 1 ], [ 'hang', seconds => 1, on_gone => 'execute' ],
	[ 'hang_after', seconds => 1 ], [ 'execute_later', seconds => 1 ],
	[ 'execute_later', seconds => 1, holds_key => JSON::PP::false ], [ 'rate_limit_429', execute => JSON::PP::true ]);

sub start
{
	my ($storm, $per_second) = @_;
	my $dice = $storm->dice('mishaps');
	for (my $when = 0.5; $when < $storm->seconds; $when += $dice->seconds(0, 2 / $per_second))
	{
		my $number = $storm->next_number('mishap');
		$storm->at($when, sub { happen($storm, $number) });
	}
	return;
}

sub happen
{
	my ($storm, $number) = @_;
	my $dice = $storm->dice("mishap $number");
	my $mishap = $dice->weighted($storm->{fails_over} ? \%mishaps_of_bills : \%mishaps);
	my $team = $dice->one_of($storm->teams);
	# These ask Stripe for something themselves, and it is we who end an outage.
	return if $storm->{outage} && $mishap =~ /^(pay|webhook_again|change_price)$/;
	# What Stripe's simulator refuses (an invoice that is paid already, a subscription that is over) has not
	# happened.
	eval { __PACKAGE__->can($mishap)->($storm, $dice, $team); 1 }
	  or $storm->tell("mishap $number, $mishap of $team, did not happen: " . ($@ =~ s/\s+/ /gr));
	return;
}

sub path_of { my ($team) = @_; return '/v1/subscriptions/' . subscription_of($team) }

sub strike
{
	my ($storm, $match, $fault, %options) = @_;
	return $storm->stripe->fault({ match => $match, fault => $fault, %options })->{id};
}

# ---- calls

# The next call for a team, or any other, meets one of all those faults; perhaps somebody edits the
# subscription while the outcome is not known.
sub lose_answer
{
	my ($storm, $dice, $team) = @_;
	my ($fault, %options) = @{ $dice->one_of(@lossy) };
	my $path =
		$storm->{fails_over} ? $dice->one_of(@paths_of_bills)
	  : $dice->happens(0.6) ? path_of($team)
	  :                       $dice->one_of('/v1/customers*', '/v1/invoices/*', @paths_of_bills);
	my $times = $dice->happens(0.2) ? 3 : 1;
	strike($storm, { method => 'POST', path => $path }, $fault, %options, times => $times);
	$storm->tell("the next $times POST to $path: $fault " . join ' ', %options);
	later_edit($storm, $dice, $team, 0.5) unless $storm->{fails_over};
	return;
}

# What reads meet: of a subscription, of its items, of events.
sub lose_read
{
	my ($storm, $dice, $team) = @_;
	my @of_seats = $storm->{fails_over} ? () : (path_of($team), path_of($team));
	my $path = $dice->one_of(@of_seats, '/v1/events*', '/v1/account', '/v1/payment_intents*', '/v1/payment_intents', '/v1/refunds');
	# (Events are listed by this test, too, which would wait for minutes.)
	my $useless = $path =~ /events/ ? qr/^(execute|slow_body)/ : qr/^execute/;
	my ($fault, %options) = @{ $dice->one_of(grep { $_->[0] !~ $useless } @lossy) };
	strike($storm, { method => 'GET', path => $path }, $fault, %options, times => $dice->between(1, 3));
	$storm->tell("the next GET of $path: $fault " . join ' ', %options);
	return;
}

# Stripe fails, and says so for ever: the key is spent, and the removal was not made. Meanwhile there are fewer
# seats than it wants to take away.
sub fail_for_good
{
	my ($storm, $dice, $team) = @_;
	my $fault = strike($storm, { method => 'POST', path => path_of($team) }, 'error_500', store => JSON::PP::true);
	$storm->tell("the next POST for $team fails, and its key keeps the failure");
	my ($edit, $pause) = ($dice->between(0, 3), $dice->seconds(0, 0.5));
	order($storm, $team, 'remove', $dice->between(3, 5));
	await_then($storm,
		sub { $storm->stripe->control('GET', "/faults/$fault")->{applied} > 0 },
		sub { $storm->in($pause, sub { edit_seats($storm, $team, 'team', $edit) }) if $_[0] });
	return;
}

# Somebody edits a subscription after it was read and before our call comes, whose answer is often lost.
sub edit_before_call
{
	my ($storm, $dice, $team) = @_;
	my ($quantity, $is_lost) = ($dice->between(0, 12), $dice->happens(0.7));
	my %held = (method => 'GET', path => path_of($team));
	my $read = strike($storm, { %held, query => 'expand*' }, 'hang_after');
	strike($storm, { method => 'POST', path => path_of($team) }, 'execute_and_drop') if $is_lost;
	$storm->tell("somebody waits for the next read of $team" . ($is_lost ? '; the answer to its next POST is lost' : ''));
	order($storm, $team, 'add', $dice->between(1, 3));
	await_then($storm,
		sub { @{ $storm->stripe->requests(%held, state => 'hanging') } > 0 },
		sub {
			edit_seats($storm, $team, 'team', $quantity) if $_[0];
			$storm->stripe->control('DELETE', "/faults/$read");
			$storm->stripe->release(%held);
		});
	return;
}

# Our call is held up somewhere, its connection breaks, somebody edits, and only then Stripe executes it.
sub edit_before_late_call
{
	my ($storm, $dice, $team) = @_;
	my $quantity = $dice->between(0, 12);
	my %held = (method => 'POST', path => path_of($team));
	my $fault = strike($storm, {%held}, 'execute_later', until => 'release');
	$storm->tell("the next POST for $team is executed late");
	order($storm, $team, 'add', $dice->between(1, 3));
	await_then($storm,
		sub { $storm->stripe->control('GET', "/faults/$fault")->{applied} > 0 },
		sub {
			edit_seats($storm, $team, 'team', $quantity) if $_[0];
			$storm->stripe->control('DELETE', "/faults/$fault");
			$storm->stripe->release(%held);
		});
	return;
}

# A customer of the team orders something just now, or the mishap might meet nobody.
sub order
{
	my ($storm, $team, $verb, $quantity) = @_;
	my $tag = 'mishap-' . $storm->next_number('order');
	PgSeats::Chaos::House::ask($storm, 'customer of ' . $team,
		PgSeats::Chaos::Application::told($tag, $team, "seats.${verb}_seats('$team', 'team', $quantity, '@{[ owner_of($team) ]}')"),
		"a customer of $team: $verb $quantity ($tag)");
	return;
}

sub await_then { my ($storm, $condition, $then) = @_; return $storm->until($condition, 0.05, 2, $then) }

# Nobody can have sent this but a mistake of ours.
sub strange_request
{
	my ($storm, $dice, $team) = @_;
	strike($storm, { method => 'POST', path => path_of($team) }, 'unknown_parameter', param => 'items');
	$storm->tell("Stripe does not know a parameter of the next POST for $team");
	return;
}

# Of every team at once: the destination halts, until a person has looked.
sub strange_requests
{
	my ($storm, $dice) = @_;
	strange_request($storm, $dice, $_) foreach $storm->teams;
	return;
}

# Somebody puts another file where the key is, and the right one again.
sub wrong_key
{
	my ($storm, $dice) = @_;
	$storm->server->write_secret('stripe_key', $dice->one_of('sk_test_another', 'no key at all', ''));
	$storm->tell('another key is in the file');
	$storm->in($dice->seconds(0.3, 1.5), sub { right_key($storm) });
	return;
}

sub right_key
{
	my ($storm) = @_;
	$storm->server->write_secret('stripe_key', $PgSeats::Simulator::api_key);
	$storm->tell('the right key is in the file');
	return;
}

# ---- others

# A price rise: the team's item has a price now that no kind of seats lists. After a while it is put back, or
# somebody lists it.
sub change_price
{
	my ($storm, $dice, $team) = @_;
	move_price($storm, $team, 'price_team', 'price_team_raised') or return;
	my $is_listed = $dice->happens(0.5);
	$storm->in($dice->seconds(0.5, 3), sub {
		return list_raised_price($storm) if $is_listed;
		move_price($storm, $team, 'price_team_raised', 'price_team') unless $storm->{outage};
	});
	return;
}

# The same seats at another price. Gives whether there were any.
sub move_price
{
	my ($storm, $team, $from, $to) = @_;
	my $quantity = 0;
	foreach my $item (@{ $storm->stripe->subscription_items(subscription_of($team)) })
	{
		$quantity += $item->{quantity} if $item->{price}{id} eq $from;
	}
	return 0 if !$quantity;
	$storm->stripe->edit_subscription(subscription_of($team), remove => [$from],
		add => [ { id => item_of($team, 'team') . '_' . $storm->next_number('item'), price => $to,
				unit_amount => 1000, interval => 'month', quantity => $quantity } ]);
	$storm->{edited}{$team}{team}++;
	$storm->{recounted}{$team} = 1;
	$storm->tell("the $quantity seats of $team have the price $to now");
	return 1;
}

sub list_raised_price
{
	my ($storm) = @_;
	PgSeats::Chaos::House::ask($storm, 'definer', with_raised_price($storm), 'the raised price is listed');
	return;
}

sub with_raised_price
{
	my ($storm) = @_;
	$storm->{definition}{team} =~ s/\{price_team\}/{price_team, price_team_raised}/;
	return $storm->{definition}{team};
}

# The last team's subscription ends; nothing more can be bought for it.
sub end
{
	my ($storm, $dice) = @_;
	my $team = ($storm->teams)[-1];
	$storm->stripe->cancel_subscription(subscription_of($team));
	$storm->tell("the subscription of $team is cancelled at Stripe");
	return;
}

sub edit
{
	my ($storm, $dice, $team) = @_;
	return later_edit($storm, $dice, $team, 1);
}

sub later_edit
{
	my ($storm, $dice, $team, $probability) = @_;
	my ($type, $quantity, $pause) = ($dice->one_of(qw(team team owner)), $dice->between(0, 14), $dice->seconds(0, 1.5));
	return unless $dice->happens($probability);
	$storm->in($pause, sub { eval { edit_seats($storm, $team, $type, $quantity) } });
	return;
}

sub edit_seats
{
	my ($storm, $team, $type, $quantity) = @_;
	# One team is never touched by anybody else: whatever the journal says of an outside change there is false.
	return if $team eq ($storm->teams)[0];
	my $price = "price_$type";
	my $edited = eval {
		$storm->stripe->edit_subscription(subscription_of($team), quantities => { $price => $quantity });
		1;
	};
	$storm->stripe->edit_subscription(subscription_of($team),
		add => [ { id => item_of($team, $type) . '_' . $storm->next_number('item'), price => $price, quantity => $quantity } ])
	  unless $edited;
	$storm->{edited}{$team}{$type}++;
	$storm->tell("somebody makes it $quantity seats of type $type at Stripe for $team");
	return;
}

sub card
{
	my ($storm, $dice, $team) = @_;
	my $card = $dice->one_of('declined', 'insufficient_over:2500', 'requires_action', 'expired_card');
	$storm->stripe->set_card(customer_of($team), $card);
	$storm->tell("the card of $team: $card");
	$storm->in($dice->seconds(0.5, 3), sub {
		$storm->stripe->set_card(customer_of($team), 'ok');
		$storm->tell("the card of $team is good again");
	});
	return;
}

# Whatever waits for a payment is paid, or voided by somebody's support.
sub pay
{
	my ($storm, $dice, $team) = @_;
	my $void = $dice->happens(0.3);
	my $invoices = $storm->stripe->all_of('/v1/invoices', customer => customer_of($team), status => 'open');
	foreach my $invoice (@$invoices)
	{
		$storm->stripe->set_card(customer_of($team), 'ok');
		$void ? $storm->stripe->void_invoice($invoice->{id}) : $storm->stripe->pay_invoice($invoice->{id});
		$storm->tell("invoice $invoice->{id} of $team is " . ($void ? 'voided' : 'paid'));
	}
	return;
}

sub outage
{
	my ($storm, $dice, $team) = @_;
	my $mode = $dice->one_of(qw(refuse hang));
	$storm->stripe->outage($mode);
	$storm->{outage} = 1;
	$storm->tell("Stripe does not answer: $mode");
	$storm->in($dice->seconds(0.3, 2), sub {
		$storm->stripe->outage(undef);
		delete $storm->{outage};
		$storm->tell('Stripe answers again');
	});
	return;
}

sub revoke_key
{
	my ($storm, $dice, $team) = @_;
	my $state = $dice->one_of(qw(revoked expired forbidden));
	$storm->stripe->control('POST', '/keys', { key => $PgSeats::Simulator::api_key, state => $state });
	$storm->tell("the API key is $state");
	$storm->in($dice->seconds(0.3, 1.5), sub {
		$storm->stripe->control('POST', '/keys', { key => $PgSeats::Simulator::api_key, state => 'active' });
		$storm->tell('the API key is good again');
	});
	return;
}

sub hold_webhooks
{
	my ($storm, $dice, $team) = @_;
	$storm->set_webhooks(hold => JSON::PP::true);
	$storm->tell('webhooks are held back');
	$storm->in($dice->seconds(0.5, 3), sub {
		$storm->set_webhooks();
		$storm->stripe->control('POST', '/webhooks/release', {});
		$storm->tell('webhooks come again');
	});
	return;
}

# An event of long ago comes once more.
sub webhook_again
{
	my ($storm, $dice, $team) = @_;
	my $events = $storm->stripe->api('GET', '/v1/events', { limit => 30 })->{data};
	return unless @$events;
	my $event = $dice->one_of(@$events);
	$storm->stripe->control('POST', '/webhooks/send', { event => $event->{id} });
	$storm->tell("event $event->{id} ($event->{type}) comes again");
	return;
}

1;
