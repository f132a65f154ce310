# A psql that stays open: starting one for each question would take more of a small machine's time
# than what is measured.
package PgSeats::Session;

use strict;
use warnings;
use Carp qw(croak);
use IPC::Open2 qw(open2);

my $end = '--end-of-answer--';

sub new
{
	my ($class, $server) = @_;
	my $pid = open2(my $out, my $in, 'psql', '-qXAt', '-v', 'ON_ERROR_STOP=1', '-F', '|',
		'-d', $server->connstr($server->database));
	$in->autoflush(1);
	return bless { pid => $pid, in => $in, out => $out }, $class;
}

# Runs one statement; returns what it prints, without the last end of line.
sub sql
{
	my ($self, $sql) = @_;
	print { $self->{in} } "$sql\n;\n\\echo $end\n";
	my $answer = '';
	while (defined(my $line = readline $self->{out}))
	{
		if ($line eq "$end\n")
		{
			chomp $answer;
			return $answer;
		}
		$answer .= $line;
	}
	croak "the session ended at: $sql (its message is in the log of this benchmark)";
}

sub end_session
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	close $self->{in};
	close $self->{out};
	local $?;
	waitpid $pid, 0;
	return;
}

# A session that is left open would hold up the server's fast shutdown no longer than that takes, but
# its psql would complain.
sub DESTROY { $_[0]->end_session; return }

1;
