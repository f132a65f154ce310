# Chance that repeats: what a pair of dice throws depends on the seed, on the name of whoever throws, and on
# how often he has thrown. So one actor's luck does not change with what another one was doing meanwhile.
package PgSeats::Chaos::Dice;

use strict;
use warnings;
use Digest::MD5 qw(md5);

# new(17, 'session 3'): those of session 3 under seed 17.
sub new
{
	my ($class, $seed, $name) = @_;
	return bless { name => "$seed/$name", thrown => 0 }, $class;
}

# 0 <= x < 1
sub chance
{
	my ($self) = @_;
	return unpack('N', md5("$self->{name}/" . $self->{thrown}++)) / 2**32;
}

# A whole number, both ends included.
sub between { my ($self, $least, $most) = @_; return $least + int($self->chance * ($most - $least + 1)) }

# A time in seconds.
sub seconds { my ($self, $least, $most) = @_; return $least + $self->chance * ($most - $least) }

sub happens { my ($self, $probability) = @_; return $self->chance < $probability }

sub one_of { my ($self, @choices) = @_; return $choices[ int($self->chance * @choices) ] }

# weighted({ often => 5, seldom => 1 }): a key, as often as its weight says.
sub weighted
{
	my ($self, $weights) = @_;
	my $sum = 0;
	$sum += $_ foreach values %$weights;
	my $left = $self->chance * $sum;
	my @keys = sort keys %$weights;
	foreach my $key (@keys)
	{
		$left -= $weights->{$key};
		return $key if $left < 0;
	}
	return $keys[-1];
}

1;
