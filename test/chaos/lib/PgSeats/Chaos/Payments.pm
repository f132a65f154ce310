# Groups that share bills: sessions of another application start payments, fetch client secrets, cancel, change amounts and
# give money back, while payers, banks and people in the Dashboard do what they do at Stripe. A payer has a secret for
# good, whatever the database has forgotten meanwhile. What they do is in PgSeats::PaymentDeeds, and who judges it is
# PgSeats::PaymentModel.
package PgSeats::Chaos::Payments;

use strict;
use warnings;
use PgSeats::Chaos::Session;
use PgSeats::PaymentDeeds qw(script);
use PgSeats::PaymentModel;

# What whoever takes payments may be told: that there is no such thing, that it comes too late, that the server goes. (A
# payer of nothing, as where a bill was rolled back, is told that he is not the payer.)
my %expected = map { $_ => 1 } qw(PS803 PS804 PS805 PS806 PS807 PS808 PS809 PS810 PS811 PS813
  25P02 57P01 57P02 57P03 08006);

my $coming_back = 'who had a secret comes back';

sub start
{
	my ($storm, $count) = @_;
	# bills: all that were made. secret: {intent => its client secret}, of those that are in browsers. intents: those,
	# in the order in which they came there. tabs: who has got which, for what.
	$storm->{paying} = { bills => [], secret => {}, intents => [], tabs => [] };
	foreach my $number (1 .. $count)
	{
		my $name = "till $number";
		my $self = bless { storm => $storm, name => $name, step => 0, session => $storm->open_session("chaos $name", 'till') }, __PACKAGE__;
		$self->{deeds} = deeds($storm, sub { $self->{dice}->chance });
		$storm->in($storm->dice($name)->seconds(0, 1), sub { $self->next_step });
	}
	$storm->{paying}{deeds} = deeds($storm, sub { $storm->{paying}{dice}->chance });
	$storm->in(1, sub { pay($storm, 1) });
	$storm->in(1, sub { watch($storm) });
	return;
}

# All sessions share the bills.
sub deeds
{
	my ($storm, $chance) = @_;
	return PgSeats::PaymentDeeds->new(role => 'till', chance => $chance, longest => 2, bills => $storm->{paying}{bills});
}

# ---- the application

sub next_step
{
	my ($self) = @_;
	my $storm = $self->{storm};
	return if $storm->now > $storm->seconds;
	my $dice = $self->{dice} = $storm->dice("$self->{name}, step " . ++$self->{step});
	$self->{session}->start if $self->{session}->is_gone;
	my ($name, $text) = $self->something_to_do;
	my $pause = $dice->seconds(0, 0.3);
	$self->{session}->ask($text, sub {
		my ($answer) = @_;
		shift @{ $self->{comes_back} } if $name eq $coming_back && defined $answer;
		$self->take($name, $answer);
		$storm->in($self->{session}->is_gone ? 0.5 : $pause, sub { $self->next_step });
	});
	return;
}

# (Who waits for a secret has no transaction around it; the others do, or do not.)
sub something_to_do
{
	my ($self) = @_;
	my ($dice, $deeds) = @$self{qw(dice deeds)};
	if (my ($hash) = @{ $self->{comes_back} // [] })
	{
		my (undef, @click) = $deeds->click_of($hash);
		return ($coming_back, script($deeds->{named}{$hash}[0]{sql}, @click));
	}
	return ('the bill again', script($deeds->bill_again)) if delete $self->{misses_bill};
	my $is_new = !@{ $self->{storm}{paying}{bills} } || $dice->happens(0.1);
	my $waits = !$is_new && $dice->happens(0.4);
	my ($name, @sql) = $is_new ? ('another bill', $deeds->new_bill) : $waits ? $deeds->click : $deeds->deed;
	@sql = ('BEGIN', @sql, $dice->happens(0.85) ? 'COMMIT' : 'ROLLBACK') if !$waits && $dice->happens(0.5);
	return ($name, script(@sql));
}

# Payers of these intents load their pages again: the first thing that happens, once a till has a server again.
sub come_back
{
	my ($storm, @intents) = @_;
	my %is = map { $_ => 1 } @intents;
	push @{ $_->{till}{comes_back} }, $_->{hash} foreach grep { $is{ $_->{intent} } } @{ $storm->{paying}{tabs} };
	return;
}

sub take
{
	my ($self, $name, $answer) = @_;
	my ($storm, $paying) = ($self->{storm}, $self->{storm}{paying});
	my ($code, $words) = defined $answer ? PgSeats::Chaos::Session::error_in($answer) : ('gone', '');
	my @secrets = ($answer // '') =~ /\b(pi_\w+_secret_\w+)/g;
	foreach my $secret (@secrets)
	{
		my ($intent) = $secret =~ /^(pi_.+)_secret_/;
		push @{ $paying->{intents} }, $intent unless $paying->{secret}{$intent};
		$paying->{secret}{$intent} = $secret;
	}
	push @{ $paying->{tabs} }, { till => $self, hash => $1, payment => $2, state => $3, intent => $4, secret => "$4$5" }
	  while ($answer // '') =~ /^given (\S+) (\d+) (\w+) (pi_\w+?)(_secret_\w+)/mg;
	# (The story is no place for secrets either.)
	my @intents = map { /^(pi_.+)_secret_/ } @secrets;
	$storm->tell("$self->{name}: $name" . (@intents ? " has the secret of @intents" : '') . (defined $code ? ": $code $words" : ''));
	# (Nobody knows it: it was rolled back, or a failover has forgotten it.)
	$self->{misses_bill} = defined $code && $code =~ /^PS8(?:04|05|11)$/;
	$storm->find('errors', "who takes payments was told $code ($words) by: $name")
	  if defined $answer && defined $code && !$expected{$code};
	return;
}

# ---- at Stripe

# Payers, with the newest secrets mostly, but also with old ones; banks; people in the Dashboard. (What an intent's state
# does not allow has not happened.)
sub pay
{
	my ($storm, $number) = @_;
	return if $storm->now > $storm->seconds;
	my $paying = $storm->{paying};
	my $dice = $paying->{dice} = $storm->dice("payers, step $number");
	$storm->in($dice->seconds(0, 0.2), sub { pay($storm, $number + 1) });
	my @intents = @{ $paying->{intents} } or return;
	my $intent = $dice->happens(0.7) && @intents > 6 ? $intents[ -$dice->between(1, 6) ] : $dice->one_of(@intents);
	my ($what, %details) = $paying->{deeds}->happening;
	my $has_happened = eval {
		$storm->stripe->control('POST', "/payment_intents/$intent", { action => $what, client_secret => $paying->{secret}{$intent}, %details });
		1;
	};
	$storm->tell("at Stripe: $what of $intent") if $has_happened;
	return;
}

# Can somebody pay twice just now? Do the tables fit? (A server that is just starting anew says nothing.)
sub watch
{
	my ($storm) = @_;
	$storm->in(1, sub { watch($storm) });
	$storm->find('payments', $_) foreach live_twice($storm->stripe), eval { wrong_just_now($storm->server) };
	return;
}

# ---- the calm

# Banks and refunds come to their end, and what would be tried again in minutes is tried now.
sub let_days_pass
{
	my ($storm) = @_;
	$storm->stripe->clock_advance(5);
	return;
}

sub try_now_sql
{
	return q{SELECT seats.retry(o.id, 'the storm is over') FROM seats_internal.outbox AS o
		WHERE o.kind LIKE 'payment%' AND o.state <> 'review' AND o.due_at > clock_timestamp() + interval '2 seconds'};
}

# What no event has told is looked for. Before that, the application makes its bills once more: what a failover has
# forgotten is somebody's then.
sub look_again
{
	my ($storm) = @_;
	my ($server, @again) = ($storm->server);
	foreach my $bill (@{ $storm->{paying}{bills} })
	{
		my $request = PgSeats::PaymentDeeds::request_of($bill);
		push @again, $bill->{sql},
		  map {"SELECT seats.add_payment_member($request, '$_', $bill->{members}{$_})"} sort keys %{ $bill->{members} };
	}
	# (Where somebody has changed an amount, or cancelled a bill, that is an error.)
	$server->try_sql(script('SET ROLE till', @again), on_error_stop => 0);
	$server->sql(q{SELECT seats.list_events('stripe', 'after the storm'); SELECT seats.reconcile_payments('stripe', 'after the storm')});
	return;
}

sub judge
{
	my ($storm) = @_;
	my $secrets = keys %{ $storm->{paying}{secret} };
	$storm->find('payments', 'no payer has ever got a client secret') if !$secrets;
	my ($server, $stripe) = ($storm->server, $storm->stripe);
	$storm->find('payments', $_) foreach judge_payments($server, $stripe), wrong_just_now($server), live_twice($stripe),
	  lived_twice($stripe), judge_tabs($stripe, @{ $storm->{paying}{tabs} });
	return;
}

1;
