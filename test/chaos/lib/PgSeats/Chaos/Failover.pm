# What takes away what was committed last, in the middle of everything: a failover to an asynchronous standby, or a dump
# that is restored and adopted in place of the original. Meanwhile payers have client secrets of it in their browsers, and
# go on with them.
package PgSeats::Chaos::Failover;

use strict;
use warnings;
use PgSeats::Chaos::Copy;
use PgSeats::Chaos::House;
use PgSeats::Chaos::Payments;
use PgSeats::Copies qw(copy_of_server disconnect_standby);
use PgSeats::Waiting;
use PgSeats::Webhooks;

# A standby that follows, from before the storm on; null: in this seed it is a dump.
sub standby_of
{
	my ($server, $dice) = @_;
	return undef if $dice->happens(0.4);
	$server->backup('base');
	my $standby = copy_of_server($server, 'standby', backup => 'base', streaming => 1);
	$standby->start;
	return $standby;
}

sub start
{
	my ($storm) = @_;
	$storm->in($storm->dice('failover')->seconds(0.2, 0.45) * $storm->seconds, sub { fall_behind($storm) });
	return;
}

# What is committed from here on is lost. (A server that is just starting anew has neither.)
sub fall_behind
{
	my ($storm) = @_;
	if (!eval { $storm->{standby} ? disconnect_standby($storm->server, $storm->{standby}) : dump_it($storm); 1 })
	{
		$storm->in(0.3, sub { fall_behind($storm) });
		return;
	}
	$storm->tell($storm->{standby} ? 'the standby gets nothing any more' : 'the database was dumped');
	$storm->{paying}{known} = { %{ $storm->{paying}{secret} } };
	my $dice = $storm->dice('failover at last');
	my $most = $dice->between(1, 5);
	# (Which takes a while, if Stripe is away just then.)
	$storm->until(sub { forgotten($storm) >= $most }, 0.1, 3, sub { $storm->in($dice->seconds(0, 0.5), sub { fail_over($storm) }) });
	return;
}

# A storm on a slow machine is over before enough has happened.
sub at_the_latest
{
	my ($storm) = @_;
	return if $storm->{forgotten};
	fall_behind($storm) until $storm->{paying}{known};
	fail_over($storm);
	return;
}

# Intents whose secrets have come into browsers since then.
sub forgotten { my ($storm) = @_; return grep { !$storm->{paying}{known}{$_} } @{ $storm->{paying}{intents} } }

sub fail_over
{
	my ($storm) = @_;
	PgSeats::Chaos::House::let_go($storm);
	delay_lists($storm);
	stop_relay($storm->{relay});
	$storm->{standby} ? promote($storm) : restore($storm);
	$storm->{relay} = start_relay($storm->server);
	$storm->set_webhooks;
	$storm->{forgotten} = [ forgotten($storm) ];
	PgSeats::Chaos::Payments::come_back($storm, @{ $storm->{forgotten} });
	$storm->tell('it goes on; secrets in browsers that it may never have heard of: ' . @{ $storm->{forgotten} });
	return;
}

# Payers click before what was forgotten is found.
sub delay_lists
{
	my ($storm) = @_;
	my $dice = $storm->dice('lists');
	my $times = $dice->happens(0.8) ? $dice->between(1, 3) : 0;
	$storm->stripe->fault({ match => { method => 'GET', path => '/v1/payment_intents' }, fault => 'hang', seconds => 1, times => $times }) if $times;
	$storm->tell("$times lists of intents hang");
	return;
}

sub promote
{
	my ($storm) = @_;
	my ($old, $standby) = ($storm->server, delete $storm->{standby});
	$storm->tell('the server is gone for ever, and the standby takes its place');
	$old->stop('immediate');
	push @{ $storm->{written} }, $old->logfile;
	forget_keys($storm, $standby);
	$standby->promote;
	$storm->{server} = $standby;
	return;
}

sub dump_it { my ($storm) = @_; return PgSeats::Chaos::Copy::dump_to($storm->server, $storm->{dump} = $storm->server->basedir . '/lost.sql') }

sub restore
{
	my ($storm) = @_;
	my ($server, $name) = ($storm->server, $storm->server->database);
	$storm->tell('the database is gone, and is made again from the dump');
	# (Its worker may have come back just then.)
	wait_until(sub { $server->safe_psql('postgres', "DROP DATABASE IF EXISTS $name WITH (FORCE)"); 1 }, 'the database to be dropped');
	PgSeats::Chaos::Copy::restore_from($server, delete $storm->{dump}, $name);
	forget_keys($storm, $server);
	$server->sql(q{SELECT seats.adopt_database('the original is gone', true)});
	return;
}

# As if a day had passed until somebody clicks again: Stripe has forgotten the keys of the starts that are forgotten here.
# Only a list can find them then.
sub forget_keys
{
	my ($storm, $server) = @_;
	return unless $storm->dice('keys')->happens(0.8);
	my %known = map { $_ => 1 } split /\n/, $server->sql('SELECT p.uuid FROM seats_internal.payment AS p');
	my $count = 0;
	foreach my $row (@{ $storm->stripe->worker_ledger(path => '/v1/payment_intents', limit => 100_000) })
	{
		my ($uuid) = ($row->{key} // '') =~ /^.{37}(.{36})-\d+$/ or next;
		# (Nothing is on its way for a day.)
		next if $known{$uuid} || PgSeats::Chaos::House::is_held($storm, $row->{key});
		$count += $storm->stripe->control('POST', '/idempotency_keys', { forget => $row->{key} })->{forgotten};
	}
	$storm->tell("Stripe has forgotten $count keys of starts that are forgotten");
	return;
}

1;
