# What a webhook of Stripe's costs the database: seats.receive_webhook, one transaction each, beside an INSERT of
# the same body into a table of its own. The destination is paused, so nothing that follows is done meanwhile.
use strict;
use warnings;
use utf8;
use JSON::PP;
use PgSeats::Bench;
use PgSeats::Webhooks qw(define_endpoint endpoint_secret);

my %events = (1 => sized(3_000, 500), 4 => sized(8_000, 1_000), 16 => sized(16_000, 1_600));
my $rounds = sized(5, 1);
my $teams = $events{16};

# (An autovacuum that ends meanwhile would be counted along: it is a child of the server's, as the clients' backends are.)
my $simulator = light_simulator();
my $server = bench_server('webhooks', $simulator, configuration => 'autovacuum = off');
my $session = $server->{bench_session};
$simulator->control('POST', '/subscriptions', { id => 'sub_first', items => [ { id => 'si', price => 'price_team', quantity => 5 } ] });
$session->sql(q{SELECT seats.define_seat_type('team', '{price_team}')});
define_endpoint($server, 'main');
$session->sql(q{SELECT seats.pause('stripe', 'only what comes in is measured')});
create_teams();

my $script = PostgreSQL::Test::Utils::tempdir('scripts') . '/deliver.sql';
my $update = 'customer.subscription.updated';
my $receive = 'SELECT w.http_status, w.outcome FROM bench.delivery AS d,'
  . q{ LATERAL seats.receive_webhook(d.body, d.signature, 'main') AS w WHERE d.id = :id;};
my @kinds = (
	{ name => 'INSERT alone', type => $update,
		sql => 'INSERT INTO bench.plain SELECT d.event_id, d.body FROM bench.delivery AS d WHERE d.id = :id ON CONFLICT DO NOTHING;' },
	{ name => 'of a call of ours', type => $update, is_own => 1, outcome => 'processed' },
	{ name => '… once more', outcome => 'processed' },
	{ name => 'of somebody\'s change', type => $update, outcome => 'processed' },
	{ name => 'of an ignored type', type => 'charge.succeeded', outcome => 'ignored' });

say_line('webhooks: ' . length(template($update)) . ' bytes each, destination paused');
my %results;
my $done = 0;
while ($done < $rounds && ($done < 1 || seconds_left() > 90))
{
	foreach my $clients (1, 4, 16)
	{
		push @{ $results{ $_->{name} }{$clients} }, measure($_, $clients) foreach @kinds;
	}
	$done++;
}

sub middle
{
	my ($name, $clients, $field) = @_;
	return median(map { $_->{$field} } @{ $results{$name}{$clients} });
}

title("medians of $done rounds; ratios to the INSERT; µs of the backends' processor time, WAL for each");
my @rows = ([ 'events', (map { ("/s at $_", 'spread', 'ratio', 'µs') } (1, 4, 16)), 'WAL bytes', 'records' ]);
foreach my $name (map { $_->{name} } @kinds)
{
	my @cells = map {
		my $rate = middle($name, $_, 'rate');
		(
			number($rate), spread(map { $_->{rate} } @{ $results{$name}{$_} }),
			ratio($rate, middle('INSERT alone', $_, 'rate')), number(middle($name, $_, 'cpu')))
	} (1, 4, 16);
	push @rows, [ $name, @cells, number(middle($name, 16, 'bytes')), number(middle($name, 16, 'records'), 1) ];
}
print_table(@rows);

# Teams that nobody reads: one for each event, so that each has a read of its own queued.
sub create_teams
{
	$session->sql(<<"END");
CREATE SCHEMA bench;
CREATE TABLE bench.delivery (id integer PRIMARY KEY, event_id text, body bytea, signature text);
-- (It is short to look up.)
ALTER TABLE bench.delivery ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE bench.plain (event_id text PRIMARY KEY, body bytea);
WITH lane AS (
    INSERT INTO seats_internal.lane (destination, name)
    SELECT 'stripe', '/v1/subscriptions/sub_' || n FROM generate_series(1, $teams) AS n RETURNING id, name)
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, status, swept_at, registered_by)
SELECT 'team-' || lane.id, 'stripe', substr(lane.name, 19), lane.id, 'active', 'infinity', 'bench' FROM lane;
END
	$session->sql('VACUUM ANALYZE');
	return;
}

# As Stripe writes them: in lines, with much that nobody asked for. :event, :key and :subscription are replaced.
sub template
{
	my ($type) = @_;
	my $no = JSON::PP::false();
	my %nothing = map { $_ => undef }
	  qw(application application_fee_percent billing_thresholds cancel_at canceled_at days_until_due default_payment_method
	  default_source description ended_at next_pending_invoice_item_invoice on_behalf_of pause_collection
	  pending_setup_intent pending_update schedule test_clock transfer_data trial_end trial_start);
	my %object = (
		%nothing,
		id => ':subscription', object => $type =~ /subscription/ ? 'subscription' : 'charge', status => 'active',
		customer => 'cus_Tt3WvBwkdkbkYn', currency => 'usd', collection_method => 'charge_automatically',
		billing_cycle_anchor => 1_700_000_000, cancel_at_period_end => $no, livemode => $no, discounts => [],
		items => items(6), latest_invoice => 'in_1SvF2oLkdIwHu7ixOr4BmlLT', metadata => { pg_seats => 'x' },
		automatic_tax => { disabled_reason => undef, enabled => $no, liability => undef }, default_tax_rates => [],
		invoice_settings => { account_tax_ids => undef, issuer => { type => 'self' } },
		payment_settings => { payment_method_options => undef, payment_method_types => undef, save_default_payment_method => 'off' },
		trial_settings => { end_behavior => { missing_payment_method => 'create_invoice' } });
	return JSON::PP->new->utf8->canonical->pretty->indent_length(2)->encode({
		id => ':event', object => 'event', type => $type, api_version => '2026-05-27.dahlia', created => 1_700_000_000,
		livemode => $no, pending_webhooks => 1, request => { id => 'req_bench', idempotency_key => ':key' },
		data => { object => \%object, previous_attributes => { items => items(5) } } });
}

sub items
{
	my ($quantity) = @_;
	my $no = JSON::PP::false();
	my %price = (
		id => 'price_team', object => 'price', active => JSON::PP::true(), billing_scheme => 'per_unit', created => 1_700_000_000,
		currency => 'usd', livemode => $no, product => 'prod_Tt3VbY4sXbTQyR', type => 'recurring', unit_amount => 1000,
		unit_amount_decimal => '1000', metadata => {}, nickname => undef, lookup_key => undef, tax_behavior => 'unspecified',
		custom_unit_amount => undef, tiers_mode => undef, transform_quantity => undef,
		recurring => { interval => 'month', interval_count => 1, meter => undef, trial_period_days => undef, usage_type => 'licensed' });
	my %item = (
		id => 'si', object => 'subscription_item', created => 1_700_000_000, quantity => $quantity, price => \%price,
		plan => \%price, subscription => ':subscription', current_period_end => 1_702_592_000,
		current_period_start => 1_700_000_000, billing_thresholds => undef, discounts => [], metadata => {}, tax_rates => []);
	return { object => 'list', has_more => $no, total_count => 1, data => [ \%item ],
		url => '/v1/subscription_items?subscription=:subscription' };
}

# Signed here, over the bytes, as RFC 2104 says, each time anew: after five minutes a signature is too old.
sub prepare
{
	my ($kind, $count) = @_;
	my $secret = endpoint_secret('main');
	my ($inner, $outer) = map { unpack 'H*', $secret . "\0" x (64 - length $secret) ^ chr($_) x 64 } (0x36, 0x5c);
	my $template = template($kind->{type});
	my $installation = $kind->{is_own} ? 'i.uuid' : q{'00000000-0000-0000-0000-000000000000'};
	my $at = time;
	$session->sql('TRUNCATE bench.delivery, bench.plain, seats_internal.webhook_event, seats_internal.expected_event, seats_internal.outbox');
	$session->sql(<<"END");
INSERT INTO bench.delivery
SELECT b.n, b.event_id, b.body,
       't=$at,v1=' || encode(sha256('\\x$outer'::bytea || sha256('\\x$inner'::bytea || '$at.'::bytea || b.body)), 'hex')
  FROM (SELECT n, e.id AS event_id,
               convert_to(replace(replace(replace(\$body\$$template\$body\$, ':event', e.id), ':key', e.key),
                                  ':subscription', 'sub_' || n), 'UTF8') AS body
          FROM generate_series(1, $count) AS n CROSS JOIN seats_internal.installation AS i
         CROSS JOIN LATERAL (SELECT 'evt_1SvF' || substr(md5(n::text), 1, 16) AS id,
                                    $installation || '-' || md5(n::text)::uuid || '-1' AS key) AS e) AS b;
END
	$session->sql(<<"END") if $kind->{is_own};
INSERT INTO seats_internal.expected_event (idempotency_key, destination, team_id, call_id, base, target, sent_at)
SELECT i.uuid || '-' || md5(n::text)::uuid || '-1', 'stripe', t.id, n, '{"team": 5}', '{"team": 6}', clock_timestamp()
  FROM generate_series(1, $count) AS n CROSS JOIN seats_internal.installation AS i
  JOIN seats_internal.team AS t ON t.subscription = 'sub_' || n
END
	$session->sql("VACUUM ANALYZE $_") foreach 'bench.delivery', 'seats_internal.expected_event';
	return;
}

# (Without a type: what was sent last, once more.)
sub measure
{
	my ($kind, $clients) = @_;
	my $each = int($events{$clients} / $clients);
	my $count = $each * $clients;
	prepare($kind, $count) if $kind->{type};
	open my $file, '>', $script or die "$script: $!\n";
	print $file "\\set n :n + 1\n\\set id :client_id * $each + :n\n", $kind->{sql} // $receive, "\n";
	close $file or die "$script: $!\n";
	my ($before, $cpu, $children) = (wal(), ended_children(), children());
	my $text = join "\n", run_command('pgbench', '-n', '-M', 'prepared', '-D', 'n=0', '-c', $clients,
		'-j', $clients < 4 ? $clients : 4, '-t', $each, '-f', $script, connection_of($server));
	wait_until(sub { children() <= $children }, 'the clients\' backends to end');
	$cpu = ended_children() - $cpu;
	my $after = wal();
	my ($rate) = $text =~ /^tps = ([\d.]+)/m or die "pgbench said: $text\n";
	if ($kind->{outcome})
	{
		my $taken = $session->sql("SELECT count(*) FROM seats_internal.webhook_event WHERE outcome = '$kind->{outcome}'");
		die "$kind->{name}: $taken of $count were $kind->{outcome}\n" if $taken != $count;
	}
	return { rate => $rate, cpu => 1e6 * $cpu / $count, map { $_ => ($after->{$_} - $before->{$_}) / $count } keys %$after };
}

# (Sessions that have ended have told what they wrote.)
sub wal
{
	my ($bytes, $records) = split /\|/, $session->sql(q{SELECT pg_current_wal_insert_lsn() - '0/0', wal_records FROM pg_stat_wal});
	return { bytes => $bytes, records => $records };
}

# Seconds on a processor of those children of the server that have ended.
sub ended_children { my @fields = stat_of(postmaster()); return ($fields[13] + $fields[14]) / 100 }

# How many there are.
sub children
{
	my $postmaster = postmaster();
	return scalar grep { ((stat_of($_))[1] // 0) == $postmaster } map { m{(\d+)} } glob '/proc/[0-9]*';
}

sub postmaster { return $session->sql(q{SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)}) }

# proc(5), from the state on.
sub stat_of
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/stat" or return;
	my $line = <$file> // return;
	$line =~ s/^.*\) //;
	return split / /, $line;
}
