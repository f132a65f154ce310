# Applications, several at once, each a psql that may end with the server: for tests that leave to chance what they do.
#
#   my $clients = PgSeats::Clients->new($server, expected => [qw(PS507 57P01)]);
#   $clients->start('BEGIN; …; COMMIT;', …);       a client for each text
#   $clients->are_done                             whether all have ended; looks at what they were told
#   $clients->unexpected                           the errors' lines that nobody need expect
#
# heed => sub { my ($text) = @_; … } is given what each client was told, once it has ended.
package PgSeats::Clients;

use strict;
use warnings;
use POSIX ();
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $server, %options) = @_;
	return bless {
		server => $server, expected => { map { $_ => 1 } @{ $options{expected} } }, heed => $options{heed},
		directory => PostgreSQL::Test::Utils::tempdir('clients'), started => 0, file_of => {}, unexpected => [], told => {},
	}, $class;
}

sub start
{
	my ($self, @scripts) = @_;
	my $server = $self->{server};
	foreach my $text (@scripts)
	{
		my $file = "$self->{directory}/" . ++$self->{started};
		open my $script, '>', "$file.sql" or die "$file.sql: $!\n";
		print $script $text;
		close $script or die "$file.sql: $!\n";
		my $pid = fork // die "fork: $!\n";
		if (!$pid)
		{
			open STDOUT, '>', "$file.out";
			open STDERR, '>&', \*STDOUT;
			exec 'psql', '-XAt', '-v', 'VERBOSITY=verbose', '-f', "$file.sql", '-d',
			  $server->connstr($server->database) . " application_name='a client'"
			  or POSIX::_exit(127);
		}
		$self->{file_of}{$pid} = $file;
	}
	return;
}

sub are_done
{
	my ($self) = @_;
	local $?;
	my $file_of = $self->{file_of};
	foreach my $pid (grep { waitpid($_, POSIX::WNOHANG()) == $_ } keys %$file_of)
	{
		my $text = PostgreSQL::Test::Utils::slurp_file(delete($file_of->{$pid}) . '.out');
		$self->{heed}->($text) if $self->{heed};
		foreach my $line (grep {/(?:ERROR|FATAL|PANIC): /} split /\n/, $text)
		{
			my ($code) = $line =~ /(?:ERROR|FATAL|PANIC):\s+(\w{5}):/ or next;
			$self->{told}{$code}++;
			push @{ $self->{unexpected} }, $line unless $self->{expected}{$code};
		}
	}
	return !%$file_of;
}

sub unexpected { my ($self) = @_; return @{ $self->{unexpected} } }

# Code of an error => how often somebody was told it.
sub told { my ($self) = @_; return %{ $self->{told} } }

1;
