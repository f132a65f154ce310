# Webhooks: what an application does that passes them to the database, and a signer of its own.
#
#   my $relay = start_relay($server);                  # POST /<endpoint> -> seats.receive_webhook
#   define_endpoint($server, 'main');                  # with a secret of its own
#   send_webhooks($stripe, $relay, 'main');            # the simulator's events go there
#   my $answer = receive($server, 'main', $body);      # signed here: { status, outcome, event }
package PgSeats::Webhooks;

use strict;
use warnings;
use Carp qw(croak);
use Digest::SHA qw(hmac_sha256_hex);
use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use PgSeats::Server;
use PgSeats::Waiting;

our @EXPORT = qw(
  start_relay stop_relay define_endpoint send_webhooks receive receive_sql signature_of event_body
  outcome_of outcomes_of await_outcome endpoint_secret webhooks_are_quiet);

my $json = JSON::PP->new->utf8->canonical;
my $events = 0;
my @relays = ();

sub endpoint_secret { my ($name) = @_; return "whsec_scenario_$name" }

sub define_endpoint
{
	my ($server, $name, %options) = @_;
	my $destination = $options{destination} // 'stripe';
	$server->write_secret("webhook_$name", endpoint_secret($name) . "\n");
	$server->sql("SELECT seats.define_webhook_endpoint('$name', '$destination', '{webhook_$name}')");
	return;
}

# Options: hold, duplicate, reorder, jitter_ms, events, … (test/stripe/README.md).
sub send_webhooks
{
	my ($stripe, $relay, $name, %options) = @_;
	return $stripe->control('POST', '/webhooks',
		{
			id => "we_$name",
			url => "http://127.0.0.1:$relay->{port}/$name",
			secret => endpoint_secret($name),
			events => [ 'customer.subscription.*', 'invoice.*' ],
			%options
		});
}

# Until the simulator has nothing more to deliver.
sub webhooks_are_quiet
{
	my ($stripe) = @_;
	wait_until(sub { $stripe->control('GET', '/webhooks', undef, limit => 1)->{open} == 0 },
		'all webhooks to be delivered', timeout => 30);
	return;
}

# ---- without the simulator

sub signature_of
{
	my ($body, $secret, $at) = @_;
	$at //= time;
	return "t=$at,v1=" . hmac_sha256_hex("$at.$body", $secret);
}

# An event of Stripe's, as bytes. Everything given replaces what is there.
sub event_body
{
	my ($type, $object, %event) = @_;
	return $json->encode(
		{
			id => sprintf('evt_scenario%04d', ++$events),
			object => 'event',
			type => $type,
			created => time,
			livemode => JSON::PP::false,
			api_version => '2026-05-27.dahlia',
			request => { id => undef, idempotency_key => undef },
			data => { object => $object },
			%event
		});
}

sub receive_sql
{
	my ($endpoint, $body, $signature) = @_;
	my $header = defined $signature ? PgSeats::Server::quote($signature) : 'NULL';
	return "SELECT http_status, outcome, event_id FROM seats.receive_webhook(decode('"
	  . unpack('H*', $body) . "', 'hex'), $header, '$endpoint')";
}

# receive($server, 'main', $body, signature => …, secret => …, at => …): "200 processed evt_…"
sub receive
{
	my ($server, $endpoint, $body, %options) = @_;
	my $signature =
	  exists $options{signature}
	  ? $options{signature}
	  : signature_of($body, $options{secret} // endpoint_secret($endpoint), $options{at});
	my $row = $server->sql(receive_sql($endpoint, $body, $signature));
	$row =~ tr/|/ /;
	$row =~ s/ $//;
	return $row;
}

sub outcome_of
{
	my ($server, $event) = @_;
	return $server->sql("SELECT outcome FROM seats.webhook_events WHERE event_id = '$event'");
}

sub await_outcome
{
	my ($server, $event, $outcome) = @_;
	$server->wait_for_sql("SELECT outcome FROM seats.webhook_events WHERE event_id = '$event'", $outcome);
	return;
}

# 'customer.subscription.updated processed', … of a team, in order of arrival.
sub outcomes_of
{
	my ($server, $team) = @_;
	return $server->sql(<<"END");
SELECT string_agg(type || ' ' || outcome, ', ' ORDER BY received_at)
  FROM seats.webhook_events WHERE team = '$team'
END
}

# ---- the relay: what an application does, as a process of its own

# It reads a request, passes body and header on with one psql for each of its workers, and answers
# what the function says. Ended by stop_relay, or with the scenario, or by itself after ten minutes.
sub start_relay
{
	my ($server, %options) = @_;
	my $listener = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, ReuseAddr => 1)
	  or croak "relay: $!";
	my $relay = { port => $listener->sockport, pids => [] };
	my $psql = 'psql -XAtq -v ON_ERROR_STOP=0 -d ' . quote_word($server->connstr($server->database));
	foreach (1 .. $options{workers} // 3)
	{
		my $pid = fork;
		croak "fork: $!" unless defined $pid;
		if (!$pid)
		{
			eval { relay($listener, $psql); };
			# The parent's END blocks are not for this process.
			POSIX::_exit(0);
		}
		push @{ $relay->{pids} }, $pid;
	}
	close $listener;
	push @relays, $relay;
	return $relay;
}

sub quote_word { my ($word) = @_; $word =~ s/'/'\\''/g; return "'$word'" }

sub stop_relay
{
	my ($relay) = @_;
	foreach my $pid (@{ delete $relay->{pids} // [] })
	{
		kill 'TERM', $pid;
		waitpid $pid, 0;
	}
	return;
}

END
{
	local $?;
	stop_relay($_) foreach @relays;
}

sub relay
{
	my ($listener, $psql) = @_;
	local $SIG{ALRM} = sub { POSIX::_exit(1) };
	local $SIG{TERM} = sub { POSIX::_exit(0) };
	local $SIG{PIPE} = 'IGNORE';
	alarm 600;
	require IPC::Open2;
	my $pid;
	my ($from, $to);
	while (my $client = $listener->accept)
	{
		my ($path, $signature, $body) = read_request($client) or next;
		if (!$pid || waitpid($pid, POSIX::WNOHANG()) == $pid)
		{
			open my $null, '>', '/dev/null';
			$pid = IPC::Open2::open2($from, $to, "$psql 2>/dev/null");
			$to->autoflush(1);
		}
		$path =~ s{^/}{};
		print $to receive_sql($path, $body, $signature), ";\n\\echo end\n";
		my $row = '';
		while (defined(my $line = <$from>))
		{
			chomp $line;
			last if $line eq 'end';
			$row = $line;
		}
		my ($status, $outcome) = split /\|/, $row;
		$status = 500 unless ($status // '') =~ /^\d{3}$/;
		$outcome //= 'error';
		print $client "HTTP/1.1 $status X\r\nContent-Length: "
		  . length($outcome) . "\r\nConnection: close\r\n\r\n$outcome";
		close $client;
	}
	return;
}

sub read_request
{
	my ($client) = @_;
	my $text = '';
	my $select = IO::Select->new($client);
	while ($text !~ /\r\n\r\n/ && $select->can_read(10))
	{
		sysread($client, $text, 65536, length $text) or return;
	}
	my ($head, $body) = split /\r\n\r\n/, $text, 2;
	my ($path) = $head =~ /^POST (\S+)/ or return;
	my ($length) = $head =~ /^content-length:\s*(\d+)/im;
	my ($signature) = $head =~ /^stripe-signature:\s*(.*?)\r?$/im;
	while (length($body) < ($length // 0) && $select->can_read(10))
	{
		sysread($client, $body, 65536, length $body) or return;
	}
	return ($path, $signature, $body);
}

1;
