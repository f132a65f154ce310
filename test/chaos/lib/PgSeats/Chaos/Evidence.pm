# What there is to judge by once everything is calm: what Stripe has executed (the simulator's ledger), what the
# database says became of each call, and what the applications know they have committed.
package PgSeats::Chaos::Evidence;

use strict;
use warnings;
use JSON::PP;
use PgSeats::Seats qw(subscription_of);

my $json = JSON::PP->new;

sub gather
{
	my ($class, $storm) = @_;
	my $server = $storm->server;
	my $rows = sub {
		my ($query) = @_;
		return $json->decode($server->sql("SELECT coalesce(json_agg(r), '[]') FROM ($query) AS r"));
	};
	my $self = bless { storm => $storm }, $class;
	$self->{calls} = $rows->(<<'END');
SELECT h.id, h.uuid, h.generation, h.kind, t.name AS team, h.result, h.reason, h.error, h.carrier_id AS carrier,
       h.lines, h.base, h.target, h.settled_by
  FROM seats_internal.outbox_history AS h LEFT JOIN seats_internal.team AS t ON t.id = h.team_id
 WHERE h.method = 'POST' AND h.kind IN ('call', 'change', 'void', 'payment', 'payment_cancel', 'refund') AND h.path <> '/v1/invoices/create_preview'
 UNION ALL
SELECT o.id, o.uuid, o.generation, o.kind, t.name, 'open', concat_ws(' ', o.state, o.reason), o.last_error, NULL,
       o.lines, o.base, o.target, NULL
  FROM seats_internal.outbox AS o LEFT JOIN seats_internal.team AS t ON t.id = o.team_id
 WHERE o.method = 'POST' AND o.kind IN ('call', 'change', 'void', 'payment', 'payment_cancel', 'refund') AND o.path <> '/v1/invoices/create_preview'
 ORDER BY id
END
	$self->{told} = $rows->('SELECT t.tag, t.change FROM chaos.told AS t');
	# (What a handler has asked for, nobody else tells of.)
	$self->{asked} = $rows->('SELECT a.call FROM proof.asked AS a');
	$self->{journal} = $rows->('SELECT j.number, j.kind, j.call_id AS call, j.detail FROM seats_internal.journal AS j ORDER BY j.number');
	$self->{feed} = $rows->('SELECT f.number FROM chaos.feed AS f');
	$self->{lines} = $rows->(<<'END');
SELECT t.name AS team, t.status, s.seat_type, s.confirmed, s.quantity
  FROM seats_internal.seat_line AS s JOIN seats_internal.team AS t ON t.id = s.team_id ORDER BY t.name, s.seat_type
END
	$self->{call_of_id} = { map { $_->{id} => $_ } @{ $self->{calls} } };
	$self->{call_of_uuid} = { map { $_->{uuid} => $_ } @{ $self->{calls} } };
	$self->read_ledger($storm->stripe);
	return $self;
}

# The ledger's rows with what they are about: uuid and generation of the key.
sub read_ledger
{
	my ($self, $stripe) = @_;
	my @ledger = ();
	# (A preview changes nothing, however often it is made.)
	foreach my $row (grep { $_->{path} ne '/v1/invoices/create_preview' } @{ $stripe->worker_ledger(limit => 100_000) })
	{
		my ($uuid, $generation) = ($row->{key} // '') =~ /^.{37}(.{36})-(\d+)$/;
		$row->{uuid} = $uuid // '';
		$row->{generation} = $generation;
		$row->{call} = $self->{call_of_uuid}{ $row->{uuid} };
		push @{ $self->{executed}{ $row->{uuid} } }, $row;
		push @ledger, $row;
	}
	$self->{ledger} = \@ledger;
	return;
}

# For whoever wants to judge for himself: a line for each call of the ledger and each entry of the journal.
sub save
{
	my ($self, $file) = @_;
	my $lines = JSON::PP->new->canonical;
	open my $handle, '>', $file or die "$file: $!\n";
	foreach my $row (@{ $self->{ledger} })
	{
		my %told = map { $_ => $row->{$_} } qw(sequence path key outcome quantities money);
		my $call = $row->{call} // {};
		$told{call} = { map { $_ => $call->{$_} } qw(id result reason base target) };
		$told{changes} = [ map { $self->name_of($_) } $self->carried_by($call) ] if ($call->{kind} // '') eq 'change';
		print $handle 'executed ', $lines->encode(\%told), "\n";
	}
	print $handle 'journal ', $lines->encode($_), "\n" foreach @{ $self->{journal} };
	close $handle or die "$file: $!\n";
	return;
}

# How often it was executed with this outcome: done, pending, refused.
sub times
{
	my ($self, $call, $outcome) = @_;
	return scalar grep { $_->{outcome} eq $outcome } @{ $self->{executed}{ $call->{uuid} } // [] };
}

sub carrier_of { my ($self, $call) = @_; return $self->{call_of_id}{ $call->{carrier} // $call->{id} } // $call }

# Those of which the ledger alone tells whether they were executed once; payments are judged by what they are about.
sub plain_calls { my ($self) = @_; return grep { $_->{kind} =~ /^(?:call|change|void)$/ } @{ $self->{calls} } }

sub changes { my ($self) = @_; return grep { $_->{kind} eq 'change' } @{ $self->{calls} } }

# In words: "change 17 of t2 (add 3 team)"
sub name_of
{
	my ($self, $call) = @_;
	return "call $call->{id}" if $call->{kind} ne 'change';
	my $lines = join ', ', map {"$_->{operation} $_->{quantity} $_->{seat_type}"} @{ $call->{lines} };
	return "change $call->{id} of $call->{team} ($lines)";
}

# A ledger row's {item: quantity} as {seat type: quantity}. Items have the type in their id; those that our own
# calls have added are of the one type whose items go and come.
sub by_type
{
	my ($self, $team, $items) = @_;
	my %seats = ();
	foreach my $item (keys %$items)
	{
		my ($type) = $item =~ /^si_\Q$team\E_([a-z]+)/;
		$seats{ $type // 'team' } += $items->{$item};
	}
	return \%seats;
}

# What a base becomes by a call's changes, in order.
sub folded
{
	my ($self, $base, @changes) = @_;
	my %seats = %$base;
	foreach my $change (@changes)
	{
		foreach my $line (@{ $change->{lines} })
		{
			my $type = $line->{seat_type};
			$seats{$type} = $line->{operation} eq 'set' ? $line->{quantity} : ($seats{$type} // 0) + $line->{quantity};
		}
	}
	return \%seats;
}

# The changes that went in one call.
sub carried_by
{
	my ($self, $carrier) = @_;
	$self->{carried} //= do {
		my %carried;
		push @{ $carried{ $_->{carrier} // $_->{id} } }, $_ foreach $self->changes;
		\%carried;
	};
	return @{ $self->{carried}{ $carrier->{id} } // [$carrier] };
}

# {seat type: quantity} at Stripe now.
sub at_stripe
{
	my ($self, $team) = @_;
	my %seats = ();
	foreach my $item (@{ $self->{storm}->stripe->subscription_items(subscription_of($team)) })
	{
		my $price = ref $item->{price} ? $item->{price}{id} : $item->{price};
		$seats{ $price =~ /^price_([a-z]+)/ ? $1 : $price } += $item->{quantity};
	}
	return \%seats;
}

1;
