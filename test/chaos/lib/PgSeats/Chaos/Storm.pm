# The one process that conducts everything: sessions that hang on locks, faults at Stripe, kills. It has an
# agenda of what is to happen when, and a story of what has happened.
#
# When something is planned for, and what, depends on the seed alone. What it meets depends on the machine:
# so a seed that has failed does not fail every time, but nearly always within a few.
package PgSeats::Chaos::Storm;

use strict;
use warnings;
use Carp qw(croak);
use IO::Select;
use List::Util qw(max min);
use PgSeats::Chaos::Dice;
use PgSeats::Chaos::Session;
use PgSeats::Webhooks ();
use Time::HiRes qw(time sleep);

# new(seed => 17, server => …, stripe => …, teams => [ … ], seconds => 20, story => 'file')
sub new
{
	my ($class, %options) = @_;
	open my $file, '>', $options{story} or croak "$options{story}: $!";
	$file->autoflush(1);
	return bless { %options, file => $file, began => time, agenda => [], sessions => [], findings => {},
		lines => [], edited => {}, numbers => {} }, $class;
}

sub server { return $_[0]->{server} }
sub stripe { return $_[0]->{stripe} }
sub teams { return @{ $_[0]->{teams} } }
sub seconds { return $_[0]->{seconds} }
sub now { return time - $_[0]->{began} }

sub dice { my ($self, $name) = @_; return PgSeats::Chaos::Dice->new($self->{seed}, $name) }

# A number of its own for each thing of a kind: next_number('edit').
sub next_number { my ($self, $kind) = @_; return ++$self->{numbers}{$kind} }

# ---- the story

sub tell
{
	my ($self, $text) = @_;
	my $line = sprintf '%8.3f  %s', $self->now, $text;
	push @{ $self->{lines} }, $line;
	print { $self->{file} } "$line\n";
	return;
}

# So many lines that a pattern fits, around the first one that another pattern fits.
sub lines_around
{
	my ($self, $where, $about, $before, $after) = @_;
	my @lines = grep { $_ =~ $about || $_ =~ $where } @{ $self->{lines} };
	my ($at) = grep { $lines[$_] =~ $where } 0 .. $#lines;
	$at //= $#lines;
	return @lines[ max(0, $at - $before) .. min($#lines, $at + $after) ];
}

# A promise that was not kept, in words. Told once, however often it is seen.
sub find
{
	my ($self, $promise, $text) = @_;
	return if $self->{findings}{$promise}{$text}++;
	$self->tell("!! $promise: $text");
	return;
}

sub findings { my ($self, $promise) = @_; return sort keys %{ $self->{findings}{$promise} // {} } }

# ---- the agenda

# In so many seconds, do that.
sub in
{
	my ($self, $seconds, $deed) = @_;
	return $self->at($self->now + $seconds, $deed);
}

sub at
{
	my ($self, $when, $deed) = @_;
	my $agenda = $self->{agenda};
	push @$agenda, [ $when, $deed ];
	@$agenda = sort { $a->[0] <=> $b->[0] } @$agenda;
	return;
}

# until($condition, 0.1, 3, $then): looks every tenth of a second, and gives up after three.
sub until
{
	my ($self, $condition, $pause, $limit, $then) = @_;
	return $then->(1) if $condition->();
	return $then->(0) if $limit <= 0;
	$self->in($pause, sub { $self->until($condition, $pause, $limit - $pause, $then) });
	return;
}

# How the simulator's webhooks come: as the seed has it, and those options.
sub set_webhooks
{
	my ($self, %options) = @_;
	PgSeats::Webhooks::send_webhooks($self->stripe, $self->{relay}, 'main', %{ $self->{webhooks} }, %options);
	return;
}

sub open_session
{
	my ($self, $name, $role) = @_;
	my $session = PgSeats::Chaos::Session->new(sub { $self->server }, $name, $role);
	push @{ $self->{sessions} }, $session;
	return $session;
}

# Everything that is planned up to then, and all answers that come meanwhile.
sub run_until
{
	my ($self, $end) = @_;
	while ((my $now = $self->now) < $end)
	{
		if (@{ $self->{agenda} } && $self->{agenda}[0][0] <= $now)
		{
			my $deed = (shift @{ $self->{agenda} })->[1];
			# (A server that is just starting anew refuses us, too.)
			eval { $deed->(); 1 } or $self->tell('something did not happen: ' . ($@ =~ s/\s+/ /gr));
			next;
		}
		my $next = @{ $self->{agenda} } ? min($self->{agenda}[0][0], $end) : $end;
		$self->take_answers($next - $now);
	}
	return;
}

sub take_answers
{
	my ($self, $seconds) = @_;
	my @busy = grep { !$_->is_gone && !$_->is_idle } @{ $self->{sessions} };
	my %session_of = map { fileno($_->handle) => $_ } @busy;
	my $select = IO::Select->new(map { $_->handle } @busy);
	if (!@busy)
	{
		sleep $seconds if $seconds > 0;
		return;
	}
	$session_of{ fileno $_ }->take foreach $select->can_read($seconds < 0 ? 0 : $seconds);
	return;
}

# No more of what was planned: the storm is over.
sub forget_agenda { my ($self) = @_; $self->{agenda} = []; return }

# Waits for all sessions to have their answers. Those that have not are killed.
sub end_sessions
{
	my ($self, $seconds) = @_;
	my $end = $self->now + $seconds;
	$self->take_answers(0.1) while $self->now < $end && grep { !$_->is_gone && !$_->is_idle } @{ $self->{sessions} };
	foreach my $session (grep { !$_->is_gone } @{ $self->{sessions} })
	{
		$self->tell($session->name . ' hangs, and is killed') unless $session->is_idle;
		$session->kill_client;
		$session->forget;
	}
	$self->{sessions} = [];
	return;
}

1;
