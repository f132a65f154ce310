# A client of the database that is not waited for: a psql to which statements are written, and whose
# answers are taken when they have come. One process conducts many of them, so a session may hang on a lock
# while the others go on.
package PgSeats::Chaos::Session;

use strict;
use warnings;
use Carp qw(croak);
use IO::Handle;
use POSIX qw(EAGAIN WNOHANG);

my @running = ();

# new(sub { $server }, 'name', 'role'): of the server that there is whenever it starts.
sub new
{
	my ($class, $server, $name, $role) = @_;
	my $self = bless { server => $server, name => $name, role => $role, asked => 0, read => '' }, $class;
	$self->start;
	return $self;
}

sub start
{
	my ($self) = @_;
	my $server = $self->{server}->();
	my @command = ('psql', '-XAt', '-v', 'ON_ERROR_STOP=0', '-v', 'VERBOSITY=verbose', '-d',
		$server->connstr($server->database) . " application_name='$self->{name}'" . ($self->{role} ? " user=$self->{role}" : ''));
	pipe my $psql_reads, my $we_write or croak "pipe: $!";
	pipe my $we_read, my $psql_writes or croak "pipe: $!";
	my $pid = fork;
	croak "fork: $!" unless defined $pid;
	if (!$pid)
	{
		open STDIN, '<&', $psql_reads;
		open STDOUT, '>&', $psql_writes;
		open STDERR, '>&', \*STDOUT;
		# The parent's END blocks, which stop its servers, are not for this process.
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	$we_read->blocking(0);
	$we_write->autoflush(1);
	@$self{qw(pid to from read done)} = ($pid, $we_write, $we_read, '', undef);
	push @running, $self;
	return;
}

sub name { return $_[0]->{name} }
sub handle { return $_[0]->{from} }
sub is_idle { return $_[0]->{pid} && !$_[0]->{done} }
sub is_gone { return !$_[0]->{pid} }

# ask($sql, sub { my ($text) = @_; … }): what psql prints, errors among it; undef if it has ended instead.
sub ask
{
	my ($self, $sql, $done) = @_;
	croak "session $self->{name} is busy" unless $self->is_idle;
	$self->{done} = $done;
	$self->{mark} = '=== answered ' . ++$self->{asked};
	local $SIG{PIPE} = 'IGNORE';
	print { $self->{to} } "$sql;\n\\echo $self->{mark}\n";
	return;
}

# Takes what has come; tells whoever asked.
sub take
{
	my ($self) = @_;
	while (1)
	{
		my $bytes = sysread $self->{from}, $self->{read}, 65536, length $self->{read};
		last if !defined $bytes && $! == EAGAIN;
		if (!$bytes)
		{
			$self->forget;
			return $self->answer(undef);
		}
	}
	my $mark = $self->{mark} // return;
	return unless $self->{read} =~ s/\A(.*?)^\Q$mark\E\n//ms;
	return $self->answer($1);
}

sub answer
{
	my ($self, $text) = @_;
	my $done = delete $self->{done} or return;
	$done->($text);
	return;
}

# The client is killed, whatever it was doing; the server finds out by itself.
sub kill_client
{
	my ($self) = @_;
	kill 'KILL', $self->{pid} if $self->{pid};
	return;
}

sub forget
{
	my ($self) = @_;
	close $self->{to};
	close $self->{from};
	waitpid $self->{pid}, 0;
	delete @$self{qw(pid mark)};
	@running = grep { $_ != $self } @running;
	return;
}

# The code and the words of the first error in what psql has printed: (undef) if there is none.
sub error_in
{
	my ($text) = @_;
	return $text =~ /^(?:ERROR|FATAL|PANIC):\s+(\w{5}): ([^\n]*)/m ? ($1, $2) : (undef);
}

END
{
	local $?;
	foreach my $session (@running)
	{
		kill 'KILL', $session->{pid};
		waitpid $session->{pid}, 0;
	}
}

1;
