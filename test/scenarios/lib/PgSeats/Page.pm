# The SQL that a page of docs prints, run as it stands there, so that the page cannot say what is not so.
#
#   my $page = PgSeats::Page->read('handlers.md');
#   my @blocks = $page->under('An order and its coupon');    # below that heading, up to the next one
#   $page->run($server, $_, 'shop') foreach @blocks;
#
# A block is what stands between ```sql and ```. One whose first line is "-- as a superuser" is run as one. Lines that
# begin with two minus signs and two spaces are what psql shows: the block must show exactly these (the line of dashes
# and blanks left out; … stands for anything). A block without them may show what it likes.
#
# Blocks of other languages are given as they are:  my ($route) = $page->under('Your server', 'js');
package PgSeats::Page;

use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use Test::More;

my $docs = abs_path(dirname(__FILE__) . '/../../../../docs');

sub read
{
	my ($class, $name) = @_;
	open my $handle, '<', "$docs/$name" or croak "$docs/$name: $!";
	my ($heading, $language, %blocks) = ('', undef);
	while (my $line = <$handle>)
	{
		if (defined $language)
		{
			if ($line =~ /^```/) { undef $language }
			else { $blocks{$language}{$heading}[-1] .= $line }
		}
		elsif ($line =~ /^```(\w*)/)
		{
			$language = $1;
			push @{ $blocks{$language}{$heading} }, '';
		}
		elsif ($line =~ /^#+ (.*)/) { $heading = $1 }
	}
	return bless { name => $name, blocks => \%blocks }, $class;
}

sub headings { return sort keys %{ $_[0]->{blocks}{sql} } }

sub under
{
	my ($self, $heading, $language) = @_;
	$language //= 'sql';
	return @{ $self->{blocks}{$language}{$heading} // croak "$self->{name} has no $language under '$heading'" };
}

# Fails if the block raises, or shows something else than the page says.
sub run
{
	my ($self, $server, $block, $role) = @_;
	my $connection = $server->connstr($server->database);
	$connection .= " user=$role" unless $block =~ /\A-- as a superuser\n/;
	my ($shown, $complaints) = ('', '');
	my $succeeded = IPC::Run::run(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off', '-d', $connection, '-f', '-' ],
		'<', \$block, '>', \$shown, '2>', \$complaints);
	my ($first) = $block =~ /^(?!-- as)(\S.*)/m;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return fail("$self->{name}: $first …") || diag $complaints unless $succeeded;
	my @promised = map { squeezed($_) } $block =~ /^--(  .*)$/mg;
	return pass("$self->{name}: $first …") unless @promised;
	my @lines = grep { $_ ne '' && !/^[-+]+$/ } map { squeezed($_) } split /\n/, $shown;
	foreach my $i (0 .. $#promised)
	{
		my $pattern = join '.*', map { quotemeta } split /…/, $promised[$i], -1;
		$lines[$i] = $promised[$i] if defined $lines[$i] && $lines[$i] =~ /^$pattern$/;
	}
	return is_deeply(\@lines, \@promised, "$self->{name}: $first … shows what the page says")
	  || diag $shown, $complaints;
}

sub squeezed
{
	my ($line) = @_;
	$line =~ s/\s+/ /g;
	$line =~ s/^ | $//g;
	return $line;
}

1;
