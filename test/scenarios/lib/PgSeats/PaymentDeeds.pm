# What groups that share bills do, and what payers, banks and people in the Dashboard do at Stripe, by chance: SQL for
# psql, and actions for the simulator.
#
#   my $deeds = PgSeats::PaymentDeeds->new(role => 'shop', chance => sub { rand });
#   $deeds->new_bill                     SQL that makes another bill
#   my ($name, @sql) = $deeds->deed      what somebody does with one
#   my ($name, @sql) = $deeds->click     a payer opens his page, and waits for his client secret: no transaction around it
#   $deeds->bill_again                   SQL that makes the last one's bill once more: nobody knew it
#   my ($name, %details) = $deeds->happening
#   script(@sql)                         a file for psql
package PgSeats::PaymentDeeds;

use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use Exporter 'import';
use JSON::PP ();
use PgSeats::PaymentModel qw(handlers_of_facts);

our @EXPORT_OK = qw(script);

my %largest = (usd => 2000, jpy => 5000, kwd => 20000, eur => 2000);

# (A bill that is cancelled is dull: that is rare. Who was given all back pays again; who cannot go on cancels.)
my %deeds = (
	start => 120, again => 60, cancel => 60, cancel_and_start => 30, cancel_all => 2, change => 60, refund => 100, settle => 10, add => 10, remove => 5, create => 12);
my %happenings = (
	succeed => 8, fail => 4, requires_action => 3, authenticate => 3, fail_authentication => 2, processing => 8, expire => 1,
	refund => 3, dispute => 2, dispute_won => 1, dispute_lost => 1);

# longest: so many seconds banks and refunds may take. bills: what is shared with others. repeatable: refunds
# that were asked for under a key, to be asked for once more when nobody knows what became of them.
sub new { my ($class, %options) = @_; return bless { bills => [], longest => 5 * 86400, %options, refund_keys => 0, repeatable => [] }, $class }

# (What ends in \gset, and psql's own words, have no semicolon.)
sub script { return join '', map { $_ =~ /gset$|^\\/ ? "$_\n" : "$_;\n" } @_ }

sub below { my ($self, $number) = @_; return int($self->{chance}->() * $number) }
sub happens { my ($self, $probability) = @_; return $self->{chance}->() < $probability }
sub one_of { my ($self, @choices) = @_; return $choices[ $self->below(scalar @choices) ] }

sub weighted
{
	my ($self, $weights) = @_;
	return $self->one_of(map { ($_) x $weights->{$_} } sort keys %$weights);
}

# (All currencies' smallest amounts lie below, and what has three decimals must end in 0.)
sub an_amount { my ($self, $currency) = @_; return 10 * (30 + $self->below($largest{$currency} / 10 - 30)) }

sub new_bill
{
	my ($self) = @_;
	my $currency = $self->one_of(sort keys %largest);
	my %members = map { ("payer $_" => $self->an_amount($currency)) } 1 .. 1 + $self->below(3);
	$members{'the guest'} = 0 if $self->happens(0.1);
	my $rest = "when_paid_after_cancel => '" . $self->one_of(qw(ask ask refund keep)) . q(')
	  . ($self->happens(0.2) ? ", abandon_after => '1 minute'" : '')
	  . ($self->happens(0.85) ? ', ' . handlers_of_facts($self->{role}) : '');
	my $bill = { key => 'bill ' . (@{ $self->{bills} } + 1), currency => $currency, members => {%members}, rest => $rest };
	$bill->{sql} = making_of($bill);
	push @{ $self->{bills} }, $bill;
	return $bill->{sql};
}

sub making_of
{
	my ($bill) = @_;
	my $list = join ', ', map {qq({"reference": "$_", "amount": $bill->{members}{$_}})} sort keys %{ $bill->{members} };
	return "SELECT seats.create_payment_request('$bill->{key}', '$bill->{currency}', '[$list]', $bill->{rest})";
}

# What an application does when its database has forgotten its last minutes: it makes again what is no longer there. A bill
# may be another one by now.
sub make_again
{
	my ($self, @keys_that_are_there) = @_;
	my %is_there = map { $_ => 1 } @keys_that_are_there;
	my @sql = ();
	foreach my $bill (@{ $self->{bills} })
	{
		if (!$is_there{ $bill->{key} })
		{
			$bill->{members}{$_} = $self->an_amount($bill->{currency})
			  foreach grep { $bill->{members}{$_} && $self->happens(0.5) } sort keys %{ $bill->{members} };
			$bill->{sql} = making_of($bill);
			push @sql, $bill->{sql};
		}
		push @sql, map {
			"SELECT seats.add_payment_member(@{[ request_of($bill) ]}, '$_', $bill->{members}{$_}) WHERE seats.payment_member('$bill->{key}', '$_') IS NULL"
		} sort keys %{ $bill->{members} };
	}
	return @sql;
}

sub bill_again { my ($self) = @_; return $self->{bill}{sql} }

# One of the newest, mostly: what several sessions meet in.
sub a_bill
{
	my ($self) = @_;
	my $bills = $self->{bills};
	return $bills->[ $self->happens(0.8) ? -1 - $self->below(@$bills > 3 ? 3 : scalar @$bills) : $self->below(scalar @$bills) ];
}

sub request_of { my ($bill) = @_; return "(SELECT r.request FROM seats.payment_requests AS r WHERE r.request_key = '$bill->{key}')" }

# psql's variables: who it is, and his newest payment that is like that; 0 if there is none.
my $nobody = "\\set member 0\n\\set payment 0\n\\unset state\n\\unset client_secret";

sub newest
{
	my ($states) = @_;
	return "SELECT coalesce(max(p.payment), 0) AS payment FROM seats.payments AS p WHERE p.member = :member AND p.state IN ($states) \\gset";
}

sub somebody
{
	my ($self) = @_;
	my $bill = $self->{bill} = $self->a_bill;
	my $payer = $self->one_of(sort keys %{ $bill->{members} });
	return ($bill, $payer, member_of($bill, $payer));
}

sub member_of { my ($bill, $payer) = @_; return "SELECT coalesce(seats.payment_member('$bill->{key}', '$payer'), 0) AS member \\gset" }

sub deed
{
	my ($self, $name) = @_;
	$name //= $self->weighted(\%deeds);
	my ($bill, $payer, $member) = $self->somebody;
	my $live = newest(q('creating', 'payable', 'processing'));
	my $start = 'INSERT INTO paying.asked SELECT s.payment, :member, s.repeated FROM seats.start_payment(:member) AS s';
	my %sql = (
		start => [ $member, $start ],
		cancel_and_start => [ $member, $live, 'SELECT seats.cancel_payment(:payment)', $start ],
		again => [ $member, 'INSERT INTO paying.asked SELECT s.payment, :member, s.repeated FROM seats.start_payment(:member, again => true) AS s' ],
		cancel => [ $member, $live, 'SELECT seats.cancel_payment(:payment)' ],
		cancel_all => [ "SELECT seats.cancel_payment_request(@{[ request_of($bill) ]}, 'nobody comes')" ],
		change => [ $member, "SELECT seats.change_amount(:member, @{[ $self->an_amount($bill->{currency}) ]})" ],
		refund => [ $member, newest(q('succeeded')), $name eq 'refund' ? $self->refund($bill) : () ],
		settle => [ $member, "SELECT seats.settle_member(:member, '@{[ $self->one_of(qw(paid_outside waived unpaid)) ]}', 'he said so')" ],
		remove => [ $member, 'SELECT seats.remove_payment_member(:member)' ],
		create => [ $bill->{sql} ]);
	my @said = ($nobody, @{ $sql{$name} // [] });
	push @{ $self->{repeatable} }, \@said if $name eq 'refund' && $said[-1] =~ /request_key/;
	return ($name, @said) if $name ne 'add';
	my $who = 'payer ' . (1 + $self->below(4));
	my $amount = $bill->{members}{$who} //= $self->an_amount($bill->{currency});
	return ($name, "SELECT seats.add_payment_member(@{[ request_of($bill) ]}, '$who', $amount)");
}

# For the first time, mostly; or the page is loaded again. What came of it is told in lines: "given HASH PAYMENT STATE SECRET",
# with what stands for the payer at Stripe, and "of PAYMENT AMOUNT CURRENCY": what he owes. (That a payment was given is noted once it was committed.)
sub click
{
	my ($self) = @_;
	return $self->click_by($self->somebody);
}

# Each payer of the newest bills does it: lists of statements.
sub clicks_of_all
{
	my ($self, $bills) = @_;
	my @clicks = ();
	foreach my $bill (@{ $self->{bills} }[ -$bills .. -1 ])
	{
		push @clicks, [ $self->click_by($bill, $_, member_of($bill, $_), '5 seconds') ] foreach sort keys %{ $bill->{members} };
	}
	return @clicks;
}

# Whose hash this is does it once more, and has patience.
sub click_of
{
	my ($self, $hash) = @_;
	return $self->click_by(@{ $self->{named}{$hash} }, '5 seconds');
}

sub click_by
{
	my ($self, $bill, $payer, $member, $timeout) = @_;
	my $is_patient = defined $timeout;
	$timeout //= $self->one_of('200 ms', '1 second');
	my $hash = hash_of($bill->{key}, $payer);
	$self->{named}{$hash} = [ $bill, $payer, $member ];
	my @tell = (
		"\\echo given $hash :payment :state :client_secret",
		"SELECT concat_ws(' ', 'of', p.payment, m.amount, m.currency) FROM seats.payments AS p JOIN seats.payment_members AS m ON m.member = p.member WHERE p.payment = :payment AND p.state = 'payable'");
	return ('fetch', $nobody, $member, newest(q('creating', 'payable')),
		"CALL seats.fetch_client_secret(:payment, '$payer', '$timeout') \\gset", @tell)
	  if !$is_patient && $self->happens(0.2);
	return ('click', $nobody, $member, "CALL seats.start_payment_and_wait(:member, '$payer', '$timeout') \\gset", @tell,
		'INSERT INTO paying.asked SELECT :payment, :member, false WHERE :payment > 0');
}

# What stands in metadata at Stripe.
sub hash_of
{
	my ($key, $reference) = @_;
	return substr sha256_hex(join ':', length $key, $key, length $reference, $reference), 0, 32;
}

# All, a part, too much; under a key, which may have been there before. One without is told: "refunding INTENT", and
# "refund_over NUMBER" (0: it was an error).
sub refund
{
	my ($self, $bill) = @_;
	my $amount = $self->one_of('NULL', 'NULL', 10 * (1 + $self->below(100)), $self->an_amount($bill->{currency}));
	my $begun = "SELECT refund FROM seats.refund_payment(:payment, $amount, 'requested_by_customer'";
	my $asking = q(SELECT 'refunding ' || p.intent FROM seats.payments AS p WHERE p.payment = :payment);
	return ('\set refund 0', $asking, "$begun) \\gset", '\echo refund_over :refund') if $self->happens(0.4);
	$self->{refund_keys}++ if $self->happens(0.7);
	return ("$begun, request_key => 'refund $self->{refund_keys}')");
}

# An action of the simulator's (test/stripe/README.md) with its details. Refunds may wait, or come back long after they
# seemed to be made, and a bank may take days: all of it ends by itself.
sub happening
{
	my ($self) = @_;
	my $name = $self->weighted(\%happenings);
	my ($true, $false) = (JSON::PP::true, JSON::PP::false);
	my %details = (
		succeed => [ refunds => $self->refund_plan ],
		fail => [ decline_code => $self->one_of(qw(generic_decline insufficient_funds lost_card)) ],
		processing => [ seconds => $self->one_of(0, 1, ($self->{longest}) x 2), then => $self->one_of(qw(succeed fail)), cancelable => $self->happens(0.2) ? $true : $false ],
		refund => [ $self->happens(0.5) ? () : (amount => 10 * (1 + $self->below(60))) ],
		dispute => [ inquiry => $self->happens(0.3) ? $true : $false ]);
	return ($name, @{ $details{$name} // [] });
}

sub refund_plan
{
	my ($self) = @_;
	my $seconds = $self->one_of(1, $self->{longest});
	return $self->one_of({ status => 'succeeded' }, { status => 'pending', then => $self->one_of(qw(succeeded succeeded failed canceled)), seconds => $seconds },
		{ status => 'succeeded', then => 'failed', seconds => $seconds });
}

1;
