# The Stripe simulator (test/stripe) as a process of one scenario. It has two ports: Stripe's API,
# and a control endpoint over which it is told to misbehave and asked what it executed.
# See test/stripe/README.md for what the control endpoint understands.
package PgSeats::Simulator;

use strict;
use warnings;
use Carp qw(croak);
use File::Basename qw(basename);
use HTTP::Tiny;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use PgSeats::Waiting;

our $api_key = 'sk_test_simulator';
our $api_version = '2026-05-27.dahlia';
my $json = JSON::PP->new->utf8->canonical;
my $count = 0;
my @running = ();

# new(arguments => ['--seed', '1'], name => 'stripe'): not started yet.
sub new
{
	my ($class, %options) = @_;
	croak 'STRIPE_SIMULATOR does not name the simulator; scripts/check sets it'
	  unless $ENV{STRIPE_SIMULATOR};
	my $name = $options{name} // 'simulator' . (++$count > 1 ? $count : '');
	my $directory = PostgreSQL::Test::Utils::tempdir($name);
	my $log = $PostgreSQL::Test::Utils::log_path . '/' . basename($0, '.pl') . "_$name.log";
	return bless {
		name => $name,
		directory => $directory,
		log => $log,
		arguments => $options{arguments} // [],
		api_calls => 0,
		# Never through a proxy, whatever the environment says.
		http => HTTP::Tiny->new(
			timeout => 30, proxy => undef, http_proxy => undef, https_proxy => undef),
	}, $class;
}

# It chooses free ports at the first start. After stop they are the same again, so that the worker
# finds it.
sub start
{
	my ($self) = @_;
	croak 'the simulator runs already' if $self->{pid};
	my @files = map {"$self->{directory}/$_"} qw(port control-port);
	unlink @files;
	my @command = (
		$ENV{STRIPE_SIMULATOR},
		'--port', $self->{port} // 0, '--port-file', $files[0],
		'--control-port', $self->{control_port} // 0, '--control-port-file', $files[1],
		# A request that leaves its shape to an account's default is a mistake, wherever it is made.
		'--require-version',
		@{ $self->{arguments} });

	my $pid = fork;
	croak "fork: $!" unless defined $pid;
	if (!$pid)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $self->{log};
		open STDERR, '>&', \*STDOUT;
		# The parent's END blocks, which stop its servers, are not for this process.
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	push @running, $self;
	wait_until(
		sub {
			if (waitpid($pid, POSIX::WNOHANG()) == $pid)
			{
				delete $self->{pid};
				# Not an exception within wait_until, which would wait on.
				return 'ended';
			}
			$self->{port} = read_port($files[0]);
			$self->{control_port} = read_port($files[1]);
			return $self->{port} && $self->{control_port};
		},
		'the simulator to write its ports');
	croak "the simulator ended as soon as it was started; see $self->{log}" unless $self->{pid};
	return $self;
}

sub read_port
{
	my ($file) = @_;
	open my $handle, '<', $file or return 0;
	my $line = <$handle> // '';
	# Complete only with its end of line, or we might read half of it.
	return $line =~ /^(\d+)\s*$/ ? $1 : 0;
}

# stop('KILL'): ends it. What it kept in memory is gone.
sub stop
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} or return;
	@running = grep { $_ != $self } @running;
	kill $signal // 'TERM', $pid;
	my $ended = eval {
		wait_until(sub { waitpid($pid, POSIX::WNOHANG()) != 0 }, 'the simulator to end', timeout => 5);
	};
	if (!$ended)
	{
		kill 'KILL', $pid;
		waitpid $pid, 0;
	}
	return;
}

END
{
	# waitpid must not change the exit status of the scenario.
	local $?;
	$_->stop foreach @running;
}

sub url { return 'http://127.0.0.1:' . $_[0]->{port} }
sub port { return $_[0]->{port} }
sub log_file { return $_[0]->{log} }

# ---- control

# control('POST', '/faults', { … }): what the control endpoint answers, as Perl data.
sub control
{
	my ($self, $method, $path, $data, %query) = @_;
	my $url = "http://127.0.0.1:$self->{control_port}/_control$path";
	$url .= '?' . $self->{http}->www_form_urlencode(\%query) if %query;
	my %request = (headers => { 'Content-Type' => 'application/json' });
	$request{content} = $json->encode($data) if defined $data;
	my $answer = $self->{http}->request($method, $url, \%request);
	croak "simulator: $method $path answered $answer->{status}: $answer->{content}"
	  unless $answer->{success};
	return $answer->{content} =~ /\S/ ? $json->decode($answer->{content}) : undef;
}

# What was executed: a list of { key, path, operation, object, outcome, … }. Filters: key => 'glob',
# path => …, operation => ….
sub ledger
{
	my ($self, %filters) = @_;
	return $self->control('GET', '/ledger', undef, %filters)->{executed};
}

# The same without what the scenario did itself.
sub worker_ledger
{
	my ($self, %filters) = @_;
	return [ grep { ($_->{key} // '') !~ /^scenario-/ } @{ $self->ledger(%filters) } ];
}

# Every request that arrived, executed or not: a list of { method, path, key, status, state, … }.
sub requests
{
	my ($self, %filters) = @_;
	return $self->control('GET', '/requests', undef, %filters)->{requests};
}

# fault({ match => { path => "/v1/customers" }, fault => "hang", times => 1 }): such requests go wrong.
sub fault { my ($self, $rule) = @_; return $self->control('POST', '/faults', $rule) }
sub clear_faults { my ($self) = @_; return $self->control('DELETE', '/faults') }

# await_held(method => 'GET', path => …): the one request that a fault holds, once it does.
sub await_held
{
	my ($self, %filters) = @_;
	my $what = join ', ', map {"$_ $filters{$_}"} sort keys %filters;
	return wait_until(
		sub {
			my $held = $self->requests(state => 'hanging', %filters);
			return @$held == 1 && $held->[0];
		},
		"a request to hang ($what)");
}

# What hangs, goes on: release(method => 'GET', path => …, key => …, fault => …).
sub release { my ($self, %which) = @_; return $self->control('POST', '/release', \%which) }

# outage('refuse'), and outage(undef) when it is over.
sub outage
{
	my ($self, $mode) = @_;
	return $self->control('POST', '/outage', { mode => $mode // 'none' });
}

sub clock_advance
{
	my ($self, $seconds) = @_;
	return $self->control('POST', '/clock', { advance => $seconds });
}

# So far is the Date of its answers from the real time.
sub date_offset
{
	my ($self, $seconds) = @_;
	return $self->control('POST', '/clock', { date_offset => $seconds });
}

sub counters { my ($self) = @_; return $self->control('GET', '/counters') }

# edit_subscription('sub_x', quantities => { si_a => 7 }, add => [ … ], remove => [ … ],
# status => 'paused', metadata => { … }, …): as somebody in the Dashboard does; no worker has asked.
sub edit_subscription
{
	my ($self, $id, %change) = @_;
	return $self->control('POST', "/subscriptions/$id", \%change);
}

# At once, as in the Dashboard.
sub cancel_subscription
{
	my ($self, $id) = @_;
	return $self->edit_subscription($id, cancel => JSON::PP::true);
}

# What the customer's card does from now on: set_card('cus_x', 'declined'), 'ok',
# 'insufficient_over:5000', …
sub set_card
{
	my ($self, $customer, $card) = @_;
	return $self->control('POST', "/customers/$customer", { card => $card });
}

# ---- Stripe's API, as a client of its own

# api('POST', '/v1/customers', { name => 'x' }): the answer's object; dies unless it is a 200.
# Such calls carry idempotency keys that begin with "scenario-", by which assertions tell them from
# the worker's.
sub api
{
	my ($self, $method, $path, $form) = @_;
	my %headers = (Authorization => "Bearer $api_key", 'Stripe-Version' => $api_version);
	my $url = $self->url . $path;
	my %request = (headers => \%headers);
	my $encoded = $form ? $self->{http}->www_form_urlencode(flatten($form)) : '';
	if ($method eq 'GET')
	{
		$url .= "?$encoded" if $encoded ne '';
	}
	else
	{
		$headers{'Content-Type'} = 'application/x-www-form-urlencoded';
		$headers{'Idempotency-Key'} = sprintf 'scenario-%d-%d', $$, ++$self->{api_calls};
		$request{content} = $encoded;
	}
	my $answer = $self->{http}->request($method, $url, \%request);
	croak "simulator: $method $path answered $answer->{status}: $answer->{content}"
	  unless $answer->{success};
	return $json->decode($answer->{content});
}

# { items => [ { price => 'p' } ] } becomes { 'items[0][price]' => 'p' }, as Stripe wants it.
sub flatten
{
	my ($value, $prefix) = @_;
	my %flat = ();
	my @pairs =
	  ref $value eq 'ARRAY'
	  ? map { [ $_, $value->[$_] ] } 0 .. $#$value
	  : map { [ $_, $value->{$_} ] } sort keys %$value;
	foreach my $pair (@pairs)
	{
		my ($key, $inner) = @$pair;
		my $name = defined $prefix ? "${prefix}[$key]" : $key;
		if (ref $inner eq 'ARRAY' || ref $inner eq 'HASH')
		{
			%flat = (%flat, %{ flatten($inner, $name) });
		}
		else
		{
			$flat{$name} = $inner;
		}
	}
	return \%flat;
}

sub create_customer { my ($self, %form) = @_; return $self->api('POST', '/v1/customers', \%form) }
sub create_product { my ($self, %form) = @_; return $self->api('POST', '/v1/products', \%form) }
sub create_price { my ($self, %form) = @_; return $self->api('POST', '/v1/prices', \%form) }

sub create_subscription
{
	my ($self, %form) = @_;
	return $self->api('POST', '/v1/subscriptions', \%form);
}

sub subscription { my ($self, $id) = @_; return $self->api('GET', "/v1/subscriptions/$id") }
sub invoice { my ($self, $id) = @_; return $self->api('GET', "/v1/invoices/$id") }

# All items of a subscription, of which it shows ten itself.
sub subscription_items
{
	my ($self, $id) = @_;
	return $self->all_of('/v1/subscription_items', subscription => $id);
}

# events(type => 'customer.subscription.updated'), events(types => [ … ], 'created[gte]' => …):
# oldest first.
sub events
{
	my ($self, %filters) = @_;
	return [ reverse @{ $self->all_of('/v1/events', %filters) } ];
}

# Every page of a list.
sub all_of
{
	my ($self, $path, %filters) = @_;
	my @all = ();
	while (1)
	{
		my $page = $self->api('GET', $path, { limit => 100, %filters });
		push @all, @{ $page->{data} };
		return \@all unless $page->{has_more};
		$filters{starting_after} = $all[-1]{id};
	}
}

# What the customer does with an invoice on Stripe's page, and what support does in the Dashboard.
# Both die when Stripe refuses: a card that declines, an invoice that is paid.
sub pay_invoice
{
	my ($self, $id, %form) = @_;
	return $self->api('POST', "/v1/invoices/$id/pay", \%form);
}

sub void_invoice { my ($self, $id) = @_; return $self->api('POST', "/v1/invoices/$id/void") }

1;
