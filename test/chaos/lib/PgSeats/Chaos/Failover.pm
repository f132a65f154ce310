# A failover to an asynchronous standby, in the middle of everything: what was committed last is lost, while payers have
# client secrets of it in their browsers, and go on with them.
package PgSeats::Chaos::Failover;

use strict;
use warnings;
use PgSeats::Chaos::House;
use PgSeats::Copies qw(copy_of_server disconnect_standby);
use PgSeats::Webhooks;

# A standby that follows, from before the storm on.
sub standby_of
{
	my ($server) = @_;
	$server->backup('base');
	my $standby = copy_of_server($server, 'standby', backup => 'base', streaming => 1);
	$standby->start;
	return $standby;
}

sub start
{
	my ($storm) = @_;
	$storm->in($storm->dice('failover')->seconds(0.25, 0.6) * $storm->seconds, sub { fall_behind($storm) });
	return;
}

# What is committed from here on is lost. (A server that is just starting anew has no standby to take leave of.)
sub fall_behind
{
	my ($storm) = @_;
	if (!eval { disconnect_standby($storm->server, $storm->{standby}); 1 })
	{
		$storm->in(0.3, sub { fall_behind($storm) });
		return;
	}
	$storm->tell('the standby gets nothing any more');
	$storm->{paying}{known} = { %{ $storm->{paying}{secret} } };
	my $dice = $storm->dice('failover at last');
	my $most = $dice->between(1, 5);
	# (Which takes a while, if Stripe is away just then.)
	$storm->until(sub { forgotten($storm) >= $most }, 0.1, 3, sub { $storm->in($dice->seconds(0, 0.5), sub { fail_over($storm) }) });
	return;
}

# As if a day had passed until somebody clicks again: Stripe has forgotten the keys of the starts that the standby has
# never heard of. Only a list can find them then.
sub forget_keys
{
	my ($storm, $standby) = @_;
	my %known = map { $_ => 1 } split /\n/, $standby->sql('SELECT p.uuid FROM seats_internal.payment AS p');
	my $count = 0;
	foreach my $row (@{ $storm->stripe->worker_ledger(path => '/v1/payment_intents', limit => 100_000) })
	{
		my ($uuid) = ($row->{key} // '') =~ /^.{37}(.{36})-\d+$/ or next;
		$count += $storm->stripe->control('POST', '/idempotency_keys', { forget => $row->{key} })->{forgotten} unless $known{$uuid};
	}
	$storm->tell("Stripe has forgotten $count keys of starts that are forgotten");
	return;
}

# Intents whose secrets have come into browsers since then.
sub forgotten { my ($storm) = @_; return grep { !$storm->{paying}{known}{$_} } @{ $storm->{paying}{intents} } }

sub fail_over
{
	my ($storm) = @_;
	my ($old, $standby) = ($storm->server, delete $storm->{standby});
	PgSeats::Chaos::House::let_go($storm);
	$storm->tell('the server is gone for ever');
	$old->stop('immediate');
	push @{ $storm->{written} }, $old->logfile;
	forget_keys($storm, $standby) if $storm->dice('keys')->happens(0.7);
	$standby->promote;
	$storm->{server} = $standby;
	stop_relay($storm->{relay});
	$storm->{relay} = start_relay($standby);
	$storm->set_webhooks;
	$storm->{forgotten} = [ forgotten($storm) ];
	$storm->tell('the standby is the server now; secrets in browsers that it may never have heard of: ' . @{ $storm->{forgotten} });
	return;
}

1;
