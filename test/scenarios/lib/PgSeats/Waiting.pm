# Waiting for a condition instead of for a time.
package PgSeats::Waiting;

use strict;
use warnings;
use Carp qw(croak);
use Exporter 'import';
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(wait_until await_word);

# wait_until(sub { … }, 'what we wait for', timeout => 20)
# Returns what the sub returned as soon as that is true. When the time is up the scenario dies with
# the description: going on would only produce failures that hide this one.
# An exception of the sub counts as "not yet" (a server that is starting refuses connections); the
# last one is named in the end.
sub wait_until
{
	my ($condition, $what, %options) = @_;
	croak 'wait_until needs to know what it waits for' unless $what;
	my $timeout = $options{timeout} // 20;
	my $pause = $options{pause} // 0.02;
	my $until = time + $timeout;
	my ($answer, $error);
	while (1)
	{
		$answer = eval { $condition->() };
		$error = $@;
		return $answer if $answer;
		last if time >= $until;
		sleep $pause;
		$pause = 0.05 if $pause < 0.05;
	}
	my $last = $error ? " (the last error: $error)" : '';
	$last =~ s/\s+\)$/)/;
	croak "waited $timeout s in vain for: $what$last";
}

# await_word(sub { … }, [ 'done', 'waiting' ], 'call 17', ends => qr/^(?:done|refused)$/, timeout => 20)
# Until the sub gives one of the words; returns which. If it gives another one that nothing ever leaves,
# that is told at once, as what came instead.
sub await_word
{
	my ($look, $wanted, $what, %options) = @_;
	my $ends = delete $options{ends};
	my $seen = '';
	my $is_wanted = sub { return scalar grep { $_ eq $seen } @$wanted };
	my $came = eval {
		wait_until(sub { $seen = $look->(); return $is_wanted->() || $seen =~ $ends }, "$what to be @$wanted", %options);
	};
	die $@ =~ s/\s*$/ (it was '$seen')\n/r unless $came;
	return $seen if $is_wanted->();
	local $Test::Builder::Level = $Test::Builder::Level + 2;
	is($seen, "@$wanted", "what becomes of $what");
	die "$what is '$seen' for good\n";
}

1;
