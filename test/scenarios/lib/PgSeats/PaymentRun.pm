# A while in which groups share bills and all goes wrong: applications, payers, banks, operators, and what happens to processes.
# What of it is wrong is told by PgSeats::PaymentModel; what there is to do at all by PgSeats::PaymentDeeds.
#
#   my $run = PgSeats::PaymentRun->new(server => $server, stripe => $stripe, met => \%met);
#   $run->new_bills(2);
#   $run->applications_begin(4, 3);         so many of them, each with so many transactions
#   $run->let_something_happen              at Stripe: once
#   $run->mishap('a failover', @standing)   to processes
#   $run->decide                            operators
#   $run->wrong                             what was wrong so far, in words; a list
package PgSeats::PaymentRun;

use strict;
use warnings;
use PgSeats::Clients;
use PgSeats::Copies;
use PgSeats::Faults;
use PgSeats::PaymentDeeds qw(script);
use PgSeats::PaymentModel;
use PgSeats::Waiting;
use Test::More ();
use Time::HiRes qw(time);

# What an application may be told: that there is nothing like that, or that it comes too late; that the server goes. (PS811: what was
# the payer's payment before a failover is another one's.)
my @expected = qw(PS803 PS804 PS805 PS806 PS807 PS808 PS809 PS810 PS811 PS813 PS815 25P02 25006 57P01 57P02 57P03 08006);

# What only who has the client secret can do.
my %is_a_payers = map { $_ => 1 } qw(succeed fail requires_action authenticate fail_authentication processing);

# met: what has happened, how often. tabs: client secrets as payers have got them, oldest first, with the intent.
sub new
{
	my ($class, %options) = @_;
	my $self = bless { %options, begun => time, story => [], tabs => [], secrets => {}, wrong => [], unkeyed => {} }, $class;
	$self->{deeds} = PgSeats::PaymentDeeds->new(role => 'shop', chance => sub { rand });
	$self->{clients} = PgSeats::Clients->new($self->{server}, expected => \@expected, heed => sub { $self->heed($_[0]) });
	return $self;
}

sub one_of { return $_[ rand @_ ] }
sub happens { return rand() < $_[0] }

sub recount
{
	my ($self, $text) = @_;
	push @{ $self->{story} }, sprintf('%.3f %s', time - $self->{begun}, $text);
	Test::More::note($text);
	return;
}

# The server's sql in a lighter way: it is asked all the time.
sub ask
{
	my ($self, $query) = @_;
	my $server = $self->{server};
	local $?;
	open my $psql, '-|', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $server->connstr($server->database), '-c', $query or die "psql: $!\n";
	my @lines = <$psql>;
	close $psql or die "psql has failed\n";
	chomp @lines;
	return join "\n", @lines;
}

sub meet { my ($self, $what, $times) = @_; $self->{met}{$what} += $times // 1; return }

# (Once is enough: what is wrong at one moment is so at the next.)
sub find_wrong
{
	my ($self, @wrong) = @_;
	my %is_known = map { $_ => 1 } @{ $self->{wrong} };
	foreach my $text (grep { !$is_known{$_} } @wrong)
	{
		push @{ $self->{wrong} }, $text;
		$self->recount("WRONG: $text");
	}
	return;
}

sub wrong { my ($self) = @_; return (@{ $self->{wrong} }, $self->{clients}->unexpected) }

# ---- what applications do

# (A bill that only a server's end has kept from being made is made by whoever asks for it again.)
sub new_bills
{
	my ($self, $count) = @_;
	$self->{clients}->start(map { script('SET ROLE shop', $self->{deeds}->new_bill) } 1 .. $count);
	return $self->applications_end;
}

sub refund_keys { my ($self) = @_; return map {"refund $_"} 0 .. $self->{deeds}{refund_keys} }

# (Two members in one transaction would be two lanes, which applications take in an order of their own.)
sub transaction
{
	my ($self) = @_;
	my $is_click = happens(0.6);
	my (undef, @statements) = $is_click ? $self->{deeds}->click : $self->{deeds}->deed;
	return script(@statements) if $is_click || happens(0.5);
	return script('BEGIN', @statements, happens(0.3) ? 'SELECT pg_sleep(0.02)' : (), happens(0.85) ? 'COMMIT' : 'ROLLBACK');
}

# Several of them begin with the same, often: a click, or a refund.
sub applications_begin
{
	my ($self, $count, $transactions) = @_;
	my $deeds = $self->{deeds};
	my (undef, @same) = happens(0.5) ? $deeds->click : happens(0.6) ? $deeds->deed('refund') : ();
	my $same = script('SET ROLE shop', @same);
	$self->{click} = {};
	$self->{clients}->start(map { ($_ <= 3 ? $same : "SET ROLE shop;\n") . join '', map { $self->transaction } 1 .. $transactions } 1 .. $count);
	return;
}

sub begin_clicks
{
	my ($self, @clicks) = @_;
	$self->{clients}->start(map { my (undef, @statements) = @$_; script('SET ROLE shop', @statements) } @clicks);
	return;
}

sub applications_are_done { my ($self) = @_; return $self->{clients}->are_done }

sub applications_end
{
	my ($self) = @_;
	return wait_until(sub { $self->applications_are_done }, 'the applications to be done', timeout => 60);
}

# What one of them was told (PgSeats::PaymentDeeds says how).
sub heed
{
	my ($self, $text) = @_;
	my ($tab, $refunding);
	foreach (split /\n/, $text)
	{
		if (/^given (\w+) (\d+) (\w+) (pi_\w+?)_secret_(\w+)$/)
		{
			$tab = { hash => $1, payment => $2, state => $3, intent => $4, secret => "$4_secret_$5" };
			$self->secret_is_given($tab);
		}
		elsif (/^given/) { undef $tab }
		elsif (/^of (\d+) (\d+) (\w+)$/ && $tab && $tab->{payment} == $1) { @$tab{qw(amount currency)} = ($2, $3) }
		elsif (/^refunding (\w+)$/) { $self->{unkeyed}{ $refunding = $1 }++ }
		elsif (/^refund_over 0$/ && $refunding) { $self->{unkeyed}{$refunding}--; undef $refunding }
		elsif (/^refund_over/) { undef $refunding }
	}
	return;
}

sub secret_is_given
{
	my ($self, $tab) = @_;
	$self->meet('a client secret was given');
	$self->meet('… of a start that a failover had forgotten') if $self->{lost}{ $tab->{intent} };
	$self->meet('… to several who clicked at once') if $self->{click}{ $tab->{intent} }++ == 1;
	push @{ $self->{tabs} }, $tab;
	return;
}

# ---- what happens at Stripe: payers, banks, and people in the Dashboard

# Several times. (What cannot happen in an intent's state is refused.)
sub let_something_happen
{
	my ($self) = @_;
	foreach (1 .. 4)
	{
		my @intents = @{ $self->{stripe}->control('GET', '/payment_intents')->{payment_intents} };
		$self->find_wrong(live_twice_of(@intents));
		my ($what, %details) = $self->{deeds}->happening;
		my ($intent, $secret) = $is_a_payers{$what} ? $self->a_tab(@intents) : $self->a_paid_one($what, @intents);
		next unless $intent;
		my %allowed = $secret ? (client_secret => $secret) : ();
		eval { $self->{stripe}->control('POST', "/payment_intents/$intent", { action => $what, %allowed, %details }); 1 } or next;
		$self->meet("at Stripe: $what");
		$self->{disputed}{$intent} = 1 if $what eq 'dispute';
		$self->meet('a payer has gone on with a start that a failover had forgotten') if $self->{lost}{$intent} && $secret;
		$self->recount("… $what of $intent");
	}
	return;
}

# Payers have what they were given: something that they can go on with, mostly, or any tab of long ago.
sub a_tab
{
	my ($self, @intents) = @_;
	my %is_open = map { $_->{id} => 1 } grep { $_->{status} =~ /^requires/ } @intents;
	my @open = grep { $is_open{ $_->{intent} } } @{ $self->{tabs} };
	my @lost = grep { $self->{lost}{ $_->{intent} } } @open;
	@open = @lost if @lost && happens(0.3);
	my $tab = happens(0.8) && @open ? $open[ rand @open ] : $self->{tabs}[ rand @{ $self->{tabs} } ];
	return $tab ? @$tab{qw(intent secret)} : ();
}

# Banks, and people in the Dashboard, have to do with what was paid, mostly.
sub a_paid_one
{
	my ($self, $what, @intents) = @_;
	my @paid = grep { $_->{status} eq 'succeeded' } @intents;
	@paid = grep { $self->{disputed}{ $_->{id} } } @paid if $what =~ /^dispute_/;
	my $intent = happens(0.8) && @paid ? $paid[ rand @paid ] : $intents[ rand @intents ];
	return $intent ? $intent->{id} : ();
}

# Banks take weeks, but decide at last: what they have not yet is lost and won in turns.
sub banks_decide
{
	my ($self) = @_;
	my $lost = 0;
	foreach my $intent (sort keys %{ $self->{disputed} })
	{
		my $what = $lost ? 'dispute_won' : 'dispute_lost';
		eval { $self->{stripe}->control('POST', "/payment_intents/$intent", { action => $what }); 1 } or next;
		$lost = !$lost;
		$self->meet("at Stripe: $what");
		$self->recount("… $what of $intent");
	}
	return;
}

# ---- what happens to processes

sub kill_process
{
	my ($self, $who, $pid) = @_;
	return unless kill_noticed($self->{server}, $pid);
	$self->meet("kill -9 of $who");
	$self->recount("… $who $pid is killed");
	return;
}

sub a_client
{
	my ($self) = @_;
	return (eval { split /\n/, $self->ask(q{SELECT a.pid FROM pg_stat_activity AS a WHERE a.application_name = 'a client' AND a.state <> 'idle'}) })[0];
}

my %mishaps = (
	'who stands there is killed' => sub { my ($self, $pid) = @_; $self->kill_process('who stands there', $pid) },
	'an application is killed' => sub { my ($self) = @_; $self->kill_process('an application', $self->a_client) },
	'the worker is ended' => sub { my ($self) = @_; kill 'TERM', $self->{server}->worker_pid || return; $self->meet('the worker ended') },
	'nobody is' => sub { },
	'the server stops at once' => sub {
		my ($self) = @_;
		$self->{server}->stop('immediate');
		$self->{server}->start;
		$self->meet('immediate stop');
	},
	'a failover' => sub { my ($self) = @_; $self->fail_over(0) },
	'a failover after a day' => sub { my ($self) = @_; $self->fail_over(1) });

# The debug point is taken away meanwhile, so that whoever comes back does not stand there again.
sub mishap
{
	my ($self, $name, @standing) = @_;
	$self->{server}->sql('ALTER SYSTEM RESET pg_seats.debug_point');
	$mishaps{$name}->($self, @standing);
	kill 'HUP', $self->{server}{_pid};
	$self->be_back;
	return;
}

sub be_back
{
	my ($self) = @_;
	my $server = $self->{server};
	wait_until(sub { $self->ask('SELECT 1') }, 'the server to be there', timeout => 60);
	$server->release_debug_point;
	$server->wait_for_worker(timeout => 60);
	return;
}

# ---- a failover to a standby that is behind

# While applications are at work; and they go on for a while, of which it will know nothing. Before a long outage it has nothing that is
# on the wire: our clock does not show the day, so that would be taken for young.
sub standby_falls_behind
{
	my ($self, $is_long) = @_;
	if ($is_long)
	{
		my $on_the_wire = q{SELECT count(*) FROM seats_internal.outbox AS o WHERE o.method = 'POST' AND o.first_sent_at IS NOT NULL};
		wait_until(sub { $self->decide; $self->ask($on_the_wire) eq '0' }, 'nothing to be on the wire', timeout => 60);
	}
	else { $self->applications_begin(2, 3) }
	keep_copy($self->{server}, 'standby');
	$self->{deeds}{repeatable} = [];
	$self->recount('the standby gets nothing more');
	$self->new_bills(2);
	$self->begin_clicks($self->{deeds}->clicks_of_all(2));
	$self->applications_begin(2, 4);
	return;
}

# Whatever came since is forgotten, here; and by Stripe idempotency keys, if the outage was long.
sub fail_over
{
	my ($self, $is_long) = @_;
	my $server = $self->{server};
	go_back_to_copy($server, 'standby', standby => 1);
	$self->applications_end;
	my %is_known = map { $_ => 1 } split /\n/, $server->sql('SELECT p.intent FROM seats_internal.payment AS p WHERE p.intent IS NOT NULL');
	my %lost = map { $_->{intent} => $_ } grep { !$is_known{ $_->{intent} } } @{ $self->{tabs} };
	$self->{lost} = { %{ $self->{lost} // {} }, %lost };
	$self->meet('a start is lost whose secret is in a browser', scalar keys %lost);
	$self->meet($is_long ? 'a failover after which Stripe has forgotten keys' : 'a failover');
	$self->recount(($is_long ? 'a day later ' : '') . 'the standby takes over; lost: ' . join ' ', sort keys %lost);
	$self->a_day_passes if $is_long;
	# (Payers are faster than the list of what was forgotten.)
	$self->{stripe}->fault({ match => { method => 'GET', path => '/v1/payment_intents' }, fault => 'delay', ms => 700, times => 1 });
	promote_copy($server);
	$self->repeat_what_is_lost($is_long, values %lost);
	return;
}

# Stripe forgets its keys. (Nothing is on its way for a day: a request that was held would be executed under a key that is
# forgotten, behind the one that was made meanwhile.)
sub a_day_passes
{
	my ($self) = @_;
	my $stripe = $self->{stripe};
	$stripe->release;
	wait_until(sub { !grep { ($_->{state} // '') =~ /^(?:hanging|delayed|later)$/ } @{ $stripe->requests } }, 'nothing to be on its way', timeout => 30);
	$stripe->clock_advance($_) foreach 25 * 3600, -25 * 3600;
	return;
}

# The application makes what is no longer there, payers load their pages again. (Refunds that nobody has read for a day are to
# be looked at first.)
sub repeat_what_is_lost
{
	my ($self, $is_long, @tabs) = @_;
	my $deeds = $self->{deeds};
	my @keys = split /\n/, $self->{server}->sql('SELECT r.request_key FROM seats.payment_requests AS r');
	$self->{clients}->start(script('SET ROLE shop', $deeds->make_again(@keys)));
	$self->applications_end;
	$self->begin_clicks(map { [ $deeds->click_of($_->{hash}) ] } @tabs);
	$self->{clients}->start(map { script('SET ROLE shop', @$_) } $is_long ? () : @{ $deeds->{repeatable} });
	$deeds->{refund_keys}++ if $is_long;
	$deeds->{repeatable} = [];
	return;
}

# ---- operators

sub decide
{
	my ($self) = @_;
	my %decides = (payment => \&decide_payment, handler => \&decide_handler, call => \&decide_call);
	foreach my $line (split /\n/, $self->ask(<<'END_OF_QUERY'))
SELECT 'payment', p.id FROM seats_internal.payment AS p WHERE p.review_since IS NOT NULL
UNION ALL
SELECT 'handler', r.call_id FROM seats_internal.handler AS r WHERE r.review_since IS NOT NULL
UNION ALL
SELECT 'call', o.id FROM seats_internal.outbox AS o WHERE o.state = 'review'
END_OF_QUERY
	{
		my ($what, $number) = split /\|/, $line;
		my $decision = $decides{$what}->($self, $number);
		$self->meet("in review: a $what, decided: $decision");
		$self->recount("… $what $number was in review, decided: $decision");
	}
	return;
}

sub decide_payment
{
	my ($self, $payment) = @_;
	my $decision = one_of(qw(keep refund));
	my ($status, undef, $error) = $self->{server}->try_sql("SELECT seats.resolve_payment($payment, '$decision', 'we have talked about it')");
	$self->recount($error) if $status;
	return $decision . ($status ? ', in vain' : '');
}

sub decide_handler
{
	my ($self, $handler) = @_;
	$self->{server}->sql("SELECT seats.resolve_review($handler, 'retry', 'it works again')");
	return 'retry';
}

# By what Stripe has really done.
sub decide_call
{
	my ($self, $call) = @_;
	my $uuid = $self->ask("SELECT o.uuid FROM seats_internal.outbox AS o WHERE o.id = $call");
	my $decision = (grep { $_->{outcome} eq 'done' } @{ $self->{stripe}->ledger(key => "*-$uuid-*") }) ? 'executed' : 'not_executed';
	my ($status, undef, $error) = $self->{server}->try_sql("SELECT seats.resolve_review($call, '$decision', 'seen in the Dashboard')");
	$self->recount($error) if $status;
	return $decision . ($status ? ', in vain' : '');
}

sub look_at_all_intents
{
	my ($self) = @_;
	$self->{server}->sql(q{SELECT seats.reconcile_payments('stripe', 'somebody wants it')});
	$self->meet('all intents are listed');
	return;
}

# As if nobody had gone on with some payments for an hour. (Whoever has one just now is going on.)
sub let_time_pass
{
	my ($self) = @_;
	$self->{server}->sql(q{UPDATE seats_internal.payment AS p SET touched_at = p.touched_at - interval '1 hour'
		WHERE p.id IN (SELECT o.id FROM seats_internal.payment AS o WHERE o.state IN ('creating', 'payable') FOR UPDATE SKIP LOCKED)});
	$self->meet('an hour has passed');
	return;
}

1;
