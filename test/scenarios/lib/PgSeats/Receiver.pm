# A receiver of webhooks on loopback, as a process of one scenario: it writes down every request and
# answers as it is told.
package PgSeats::Receiver;

use strict;
use warnings;
use Carp qw(croak);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use PgSeats::Waiting;

my $json = JSON::PP->new->utf8->canonical;
my @running = ();

# A running receiver on a free port.
sub new
{
	my ($class) = @_;
	my $self = bless { directory => PostgreSQL::Test::Utils::tempdir() }, $class;
	return $self->start;
}

sub start
{
	my ($self) = @_;
	my $socket = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1', LocalPort => $self->{port} // 0, Listen => 16, ReuseAddr => 1)
	  or croak "cannot listen: $!";
	$self->{port} = $socket->sockport;
	my $pid = fork;
	croak "fork: $!" unless defined $pid;
	if (!$pid)
	{
		$SIG{TERM} = 'DEFAULT';
		eval { serve($socket, $self->{directory}) };
		# The parent's END blocks, which stop its servers, are not for this process.
		POSIX::_exit(0);
	}
	close $socket;
	$self->{pid} = $pid;
	push @running, $self;
	return $self;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	@running = grep { $_ != $self } @running;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	return;
}

END
{
	local $?;
	# A copy: each takes itself out of the list.
	my @all = @running;
	$_->stop foreach @all;
}

sub url { my ($self, $path) = @_; return "http://127.0.0.1:$self->{port}" . ($path // '') }

# answer_with(503), answer_with('hang'), answer_with(200): from the next request on.
sub answer_with
{
	my ($self, $what) = @_;
	my $file = "$self->{directory}/answer";
	open my $handle, '>', "$file.new" or croak "$file: $!";
	print $handle $what;
	close $handle;
	rename "$file.new", $file or croak "$file: $!";
	return;
}

# What has come so far: { method, path, headers => { in lower case }, body, status }.
sub requests
{
	my ($self) = @_;
	open my $handle, '<', "$self->{directory}/requests" or return ();
	my @lines = <$handle>;
	return map { $json->decode($_) } grep {/\n$/} @lines;
}

# Those that were taken and to whose body the condition holds.
sub taken
{
	my ($self, $condition) = @_;
	return grep { $_->{status} == 200 && (!$condition || $condition->($_)) } $self->requests;
}

# Waits for the only one of these; dies if there are more.
sub await_one
{
	my ($self, $what, $condition) = @_;
	my @found = ();
	wait_until(sub { @found = $self->taken($condition); scalar @found }, "a delivery: $what");
	croak scalar(@found) . " deliveries instead of one: $what" if @found > 1;
	return $found[0];
}

# ---- in the process of its own

sub serve
{
	my ($listener, $directory) = @_;
	open my $log, '>>', "$directory/requests" or die "requests: $!";
	$log->autoflush(1);
	my @hanging = ();
	while (my $client = $listener->accept)
	{
		my $request = read_request($client) or next;
		my $answer = '200';
		if (open my $handle, '<', "$directory/answer")
		{
			$answer = <$handle> // '200';
		}
		$request->{status} = $answer eq 'hang' ? 0 : $answer;
		# In one write, so that nobody reads half of it.
		syswrite $log, $json->encode($request) . "\n";
		if ($answer eq 'hang')
		{
			push @hanging, $client;
			next;
		}
		my $location = $answer =~ /^3/ ? "Location: http://127.0.0.1:1/elsewhere\r\n" : '';
		print $client "HTTP/1.1 $answer Answer\r\n${location}Content-Length: 2\r\nConnection: close\r\n\r\nok";
		close $client;
	}
	return;
}

sub read_request
{
	my ($client) = @_;
	my $data = '';
	while ($data !~ /\r\n\r\n/)
	{
		sysread($client, $data, 65536, length $data) or return;
	}
	my ($head, $body) = split /\r\n\r\n/, $data, 2;
	my ($first, @lines) = split /\r\n/, $head;
	my ($method, $path) = split / /, $first;
	my %headers = map { my ($name, $value) = split /: */, $_, 2; (lc $name => $value) } @lines;
	while (length $body < ($headers{'content-length'} // 0))
	{
		sysread($client, $body, 65536, length $body) or return;
	}
	# As characters: the line's encoding makes bytes of them again.
	utf8::decode($body);
	return { method => $method, path => $path, headers => \%headers, body => $body };
}

1;
