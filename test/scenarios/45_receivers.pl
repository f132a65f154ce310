# Alerts and chosen entries of the journal reach their receivers: signed, in their format, in order, as
# often as they should and no oftener; and a receiver that is dead holds up nobody but itself.
use strict;
use warnings;
use utf8;
use Digest::SHA qw(hmac_sha256);
use JSON::PP;
use MIME::Base64 qw(decode_base64 encode_base64);
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Receiver;

my $json = JSON::PP->new->utf8(0);
my $key = pack 'C*', map { $_ * 7 % 256 } 1 .. 32;
my %secrets = (
	hook_secret => 'whsec_' . encode_base64($key, ''),
	slack_url => '',
	sentry_dsn => '');
my ($hook, $slack, $sentry) = map { PgSeats::Receiver->new } 1 .. 3;
$secrets{slack_url} = $slack->url('/services/T0/B0/VerySecretPath');
$secrets{sentry_dsn} = $sentry->url('/42') =~ s{//}{//0123456789abcdef\@}r;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'SQL');
log_min_messages = debug1
pg_seats.retry_delay = '20ms'
pg_seats.retry_delay_limit = '100ms'
pg_seats.safety_poll = '10min'
SQL
$server->wait_for_worker;
$server->write_secret($_, $secrets{$_}) foreach keys %secrets;

sub raise
{
	my ($fingerprint, $severity, $summary, %more) = @_;
	$summary =~ s/'/''/g;
	my $detail = $more{detail} // '{}';
	$server->sql("SELECT seats_internal.raise_alert('$fingerprint', '$severity', 'test', '$summary', '$detail', 'look')");
	return;
}

sub resolve { my ($fingerprint) = @_; $server->sql("SELECT seats_internal.resolve_alert('$fingerprint', 'it is gone')"); return }

# What was told counts as told earlier.
sub let_time_pass
{
	my ($interval) = @_;
	$server->sql("UPDATE seats_internal.alert_told SET told_at = told_at - interval '$interval', due_at = due_at - interval '$interval'");
	$server->sql('SELECT seats_internal.wake_for_news()');
	return;
}

sub new_minute { $server->sql(q{UPDATE seats_internal.receiver SET minute_began_at = '-infinity'}); return }

# Of the signed receiver: [type, fingerprint or summary].
sub told { return map { my $b = $json->decode($_->{body}); [ $b->{type}, $b->{data}{fingerprint} // '' ] } $hook->taken }
sub told_of { my ($fingerprint) = @_; return join ' ', map { $_->[0] } grep { $_->[1] eq $fingerprint } told() }

sub await_told
{
	my ($fingerprint, $types) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	eval { wait_until(sub { told_of($fingerprint) eq $types }, $types) };
	return is(told_of($fingerprint), $types, "$fingerprint: $types");
}

# A lane keeps its order: when this one has arrived, whatever was to be told before it has, too.
my $markers = 0;
sub await_everything
{
	my $name = 'marker:' . ++$markers;
	new_minute();
	raise($name, 'warning', 'a marker');
	wait_until(sub { told_of($name) ne '' }, 'the marker to arrive');
	resolve($name);
	wait_until(sub { told_of($name) eq 'alert.opened alert.resolved' }, 'its end to arrive');
	new_minute();
	return;
}

sub is_signed
{
	my ($request) = @_;
	my %headers = %{ $request->{headers} };
	my $body = $request->{body};
	utf8::encode($body);
	my $message = "$headers{'webhook-id'}.$headers{'webhook-timestamp'}.$body";
	return $headers{'webhook-signature'} eq 'v1,' . encode_base64(hmac_sha256($message, $key), '');
}

subtest 'a standard webhook' => sub {
	$server->sql(sprintf q{SELECT seats.define_receiver('hook', '%s', 'standard_webhook', 'hook_secret')},
		$hook->url('/hooks/seats/'));
	raise('first', 'critical', 'größer < & "quoted"', detail => '{"team": "acme"}');
	my $request = $hook->await_one('the first alert');
	is("$request->{method} $request->{path}", 'POST /hooks/seats/', 'method and path');
	is($request->{headers}{'content-type'}, 'application/json', 'content type');
	ok(is_signed($request), 'the signature is right');
	unlike($request->{headers}{'webhook-id'}, qr/[.]/, 'the id has no full stop');
	cmp_ok(abs(time - $request->{headers}{'webhook-timestamp'}), '<', 60, 'the time is of now');
	my $body = $json->decode($request->{body});
	is($body->{type}, 'alert.opened', 'type');
	like($body->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'timestamp');
	my $data = $body->{data};
	is_deeply({ map { $_ => $data->{$_} } qw(fingerprint severity kind summary hint detail database) },
		{ fingerprint => 'first', severity => 'critical', kind => 'test', summary => 'größer < & "quoted"',
			hint => 'look', detail => { team => 'acme' }, database => 'postgres' }, 'data');
	is($request->{headers}{'idempotency-key'}, undef, 'nothing of Stripe\'s');
	is($request->{headers}{authorization}, undef, 'nor its key');
};

subtest 'it is tried again until it is taken: the same id, signed anew' => sub {
	$hook->answer_with(503);
	raise('again', 'critical', 'again');
	my $of_it = sub { grep { $_->{body} =~ /"again"/ } $hook->requests };
	wait_until(sub { scalar($of_it->()) >= 3 }, 'three tries');
	$hook->answer_with(200);
	$hook->await_one('the same', sub { $_[0]{body} =~ /"again"/ });
	my @tries = $of_it->();
	is(scalar(grep { !is_signed($_) } @tries), 0, 'every try is signed');
	my %ids = map { $_->{headers}{'webhook-id'} => 1 } @tries;
	is(scalar(keys %ids), 1, 'under one id');
	is($server->sql(q{SELECT count(*) FROM seats.reviews}), '0', 'nothing goes to review');
};

subtest 'Slack' => sub {
	$server->sql(sprintf q{SELECT seats.define_receiver('slack', '%s', 'slack', 'slack_url', 'critical')}, $slack->url);
	# What is open is told to one that comes new.
	my $request = $slack->await_one('the first alert', sub { $_[0]{body} =~ /quoted/ });
	is($request->{path}, '/services/T0/B0/VerySecretPath', 'the path is the secret\'s');
	my $text = $json->decode($request->{body})->{text};
	like($text, qr/^CRITICAL: größer &lt; &amp; "quoted"\nlook\n/, 'the text, escaped');
	raise('minor', 'warning', 'a minor thing');
	raise('major', 'critical', 'a major thing');
	$slack->await_one('the major one', sub { $_[0]{body} =~ /major/ });
	is(scalar($slack->taken(sub { $_[0]{body} =~ /minor/ })), 0, 'what is below its severity is not told');
};

subtest 'Sentry' => sub {
	$server->sql(sprintf q{SELECT seats.define_receiver('sentry', '%s', 'sentry', 'sentry_dsn', 'critical')}, $sentry->url);
	my $request = $sentry->await_one('the first alert', sub { $_[0]{body} =~ /quoted/ });
	is($request->{path}, '/api/42/envelope/', 'path');
	is($request->{headers}{'content-type'}, 'application/x-sentry-envelope', 'content type');
	like($request->{headers}{'x-sentry-auth'},
		qr/^Sentry sentry_version=7, sentry_client=pg_seats\/[\d.]+, sentry_key=0123456789abcdef$/, 'authorization');
	my ($envelope, $item, $event, @rest) = split /\n/, $request->{body};
	is(scalar(@rest), 0, 'three lines');
	$envelope = $json->decode($envelope);
	like($envelope->{event_id}, qr/^[0-9a-f]{32}$/, 'event id');
	my $bytes = $event;
	utf8::encode($bytes);
	is_deeply($json->decode($item), { type => 'event', content_type => 'application/json', length => length $bytes }, 'item');
	$event = $json->decode($event);
	is($event->{event_id}, $envelope->{event_id}, 'the same id inside');
	is($event->{level}, 'error', 'critical is an error');
	is($event->{message}{formatted}, 'größer < & "quoted"', 'message');
	is_deeply([ @{ $event->{fingerprint} }[ 0, 2 ] ], [ 'pg_seats', 'first' ], 'fingerprint');
	unlike($request->{body}, qr/acme/, 'no detail');
	raise('fatal one', 'fatal', 'fatal');
	my $fatal = $sentry->await_one('a fatal one', sub { $_[0]{body} =~ /fatal one/ });
	is($json->decode((split /\n/, $fatal->{body})[2])->{level}, 'fatal', 'fatal is fatal');
};

subtest 'once per fingerprint and period, except that it gets worse' => sub {
	new_minute();
	raise('often', 'warning', 'once');
	await_told('often', 'alert.opened');
	raise('often', 'warning', 'twice') foreach 1 .. 3;
	await_everything();
	await_told('often', 'alert.opened');
	raise('often', 'critical', 'worse');
	await_told('often', 'alert.opened alert.severity_raised');
	let_time_pass('59 minutes');
	await_everything();
	raise('often', 'critical', 'and again');
	await_everything();
	await_told('often', 'alert.opened alert.severity_raised');
	let_time_pass('2 minutes');
	await_told('often', 'alert.opened alert.severity_raised alert.repeated');
	let_time_pass('2 hours');
	await_everything();
	await_told('often', 'alert.opened alert.severity_raised alert.repeated');
};

subtest 'what is resolved is told, if it was told of' => sub {
	resolve('often');
	await_told('often', 'alert.opened alert.severity_raised alert.repeated alert.resolved');
	my ($request) = $slack->taken(sub { $_[0]{body} =~ /RESOLVED CRITICAL: and again/ });
	wait_until(sub { ($request) = $slack->taken(sub { $_[0]{body} =~ /RESOLVED CRITICAL: and again/ }) }, 'Slack, too');
	like($request->{body}, qr/it is gone/, 'with its reason');
	raise('flaps', 'warning', 'flaps');
	await_told('flaps', 'alert.opened');
	resolve('flaps');
	await_told('flaps', 'alert.opened alert.resolved');
	raise('flaps', 'warning', 'flaps');
	await_everything();
	resolve('flaps');
	await_everything();
	await_told('flaps', 'alert.opened alert.resolved');
	raise('flaps', 'warning', 'flaps');
	await_everything();
	await_told('flaps', 'alert.opened alert.resolved');
	let_time_pass('2 hours');
	await_told('flaps', 'alert.opened alert.resolved alert.opened');
};

subtest 'a fatal alert is told again until somebody acknowledges it' => sub {
	await_everything();
	my $before = told_of('fatal one');
	let_time_pass('5 hours');
	await_told('fatal one', "$before alert.reminder");
	let_time_pass('5 hours');
	await_told('fatal one', "$before alert.reminder alert.reminder");
	$server->sql(q{SELECT seats.acknowledge(alert, 'on it') FROM seats.alerts WHERE state = 'open' AND summary = 'fatal'});
	let_time_pass('5 hours');
	await_everything();
	await_told('fatal one', "$before alert.reminder alert.reminder");
};

subtest 'no storms' => sub {
	await_everything();
	my $before = () = $hook->taken;
	$server->sql(q{SELECT count(seats_internal.raise_alert('storm:' || n, CASE n WHEN 200 THEN 'fatal' ELSE 'critical' END,
		'storm.test', 'storm ' || n)) FROM generate_series(1, 200) AS n});
	wait_until(sub { grep { $_->[0] eq 'alert.summary' } told() }, 'a summary');
	my @new = map { $json->decode($_->{body}) } ($hook->taken)[ $before .. scalar($hook->taken) - 1 ];
	is(scalar(@new), 11, 'ten one by one, and a summary');
	is($new[0]{data}{fingerprint}, 'storm:200', 'the worst first');
	is($new[10]{data}{alerts}, 190, 'all others in the summary');
	is_deeply($new[10]{data}{counts}, [ { type => 'alert.opened', severity => 'critical', kind => 'storm.test', count => 190 } ],
		'all are counted');
	raise('late', 'warning', 'late');
	wait_until(sub { $server->sql(q{SELECT count(*) FROM seats_internal.alert WHERE fingerprint = 'late' AND announced}) }, 'told');
	new_minute();
	$server->sql('SELECT seats_internal.wake_for_news()');
	await_told('late', 'alert.opened');
	$server->sql(q{SELECT seats_internal.resolve_alert('storm:' || n, 'over') FROM generate_series(1, 200) AS n});
	$server->wait_for_sql(q{SELECT count(*) FROM seats_internal.alert_told AS t JOIN seats_internal.alert AS a
		ON a.id = t.alert_id WHERE t.resolved_told_at IS NULL AND a.resolved_at IS NOT NULL}, '0');
	wait_until(sub { 2 == grep { $_->[0] eq 'alert.summary' } told() }, 'their end in one summary, too');
	new_minute();
};

subtest 'chosen entries of the journal' => sub {
	await_everything();
	$server->sql(sprintf q{SELECT seats.define_receiver('hook', '%s', 'standard_webhook', 'hook_secret',
		journal_kinds => '{member.*,change.confirmed}', requests_per_second => 200)}, $hook->url('/hooks/seats/'));
	$server->sql(<<'SQL');
SELECT seats_internal.write_journal(CASE n % 2 WHEN 0 THEN 'member.removed' ELSE 'other.test' END, 'stripe', NULL, NULL,
           'cancelled', jsonb_build_object('team', 'acme', 'external_id', 'chat-' || n))
  FROM generate_series(1, 300) AS n
SQL
	my $of_members = sub { grep { $_->{type} eq 'member.removed' } map { $json->decode($_->{body}) } $hook->taken };
	wait_until(sub { scalar($of_members->()) >= 150 }, 'all entries', timeout => 60);
	my @entries = $of_members->();
	is(join(' ', map { $_->{data}{detail}{external_id} } @entries), join(' ', map { 'chat-' . 2 * $_ } 1 .. 150),
		'each once, in their order');
	is($entries[0]{data}{team}, 'acme', 'with their team');
	is(scalar(grep { $_->{body} =~ /other\.thing/ } $hook->requests), 0, 'and no others');
};

subtest 'a receiver that is dead, or hangs, holds up nobody' => sub {
	await_everything();
	$hook->stop;
	$slack->answer_with('hang');
	raise('dead:1', 'critical', 'dead:1');
	raise('dead:2', 'critical', 'dead:2');
	my $hung = sub { scalar grep { $_->{body} =~ /dead:1/ } $slack->requests };
	wait_until(sub { $hung->() == 1 }, 'one to hang');
	# Also one that was on the wire when workers ended is not sent alone.
	foreach my $times (2, 3)
	{
		my $pid = $server->kill_worker('TERM');
		$server->wait_for_worker(another_than => $pid);
		wait_until(sub { $hung->() == $times }, 'it to hang again');
	}
	my @calls = map { $server->enqueue('/v1/customers', { name => "c$_" }) } 1 .. 20;
	is(await_state($server, $_, 'done'), 'done', "call $_") foreach @calls;
	$sentry->await_one('Sentry is told', sub { $_[0]{body} =~ /dead:2/ });
	is($server->sql(q{SELECT waiting > 0 FROM seats.receivers WHERE name = 'hook'}), 't', 'its deliveries wait');
	is($server->sql(q{SELECT status FROM seats.health WHERE check_name = 'oldest_call'}), 'ok', 'no call waits');
	is($server->sql(q{SELECT count(*) FROM seats.reviews}), '0', 'nothing is in review');
	$hook->start;
	await_told('dead:2', 'alert.opened');
	my @order = map { $_->[1] } grep { $_->[1] =~ /^dead/ } told();
	is_deeply(\@order, [ 'dead:1', 'dead:2' ], 'when it is back it is told, in order');
	$slack->stop;
	$slack->answer_with(200);
	$slack->start;
	wait_until(sub { $slack->taken(sub { $_[0]{body} =~ /dead:2/ }) }, 'Slack is told, too');
};

subtest 'what is refused is given up, and the others are told' => sub {
	await_everything();
	$slack->answer_with(410);
	raise('refused', 'critical', 'refused by Slack');
	await_told('receiver:slack', 'alert.opened');
	is($server->sql(q{SELECT state, reason FROM seats.calls WHERE destination = 'slack' ORDER BY call DESC LIMIT 1}),
		'refused|receiver_refused', 'the delivery is given up');
	is($server->sql(q{SELECT state FROM seats.alerts WHERE summary = 'refused by Slack'}), 'open', 'the alert stays open');
	like($server->log_text, qr/delivery \d+ to receiver slack is given up \(receiver_refused\): HTTP status 410/, 'the log says so');
	$slack->answer_with(200);
	raise('taken', 'critical', 'taken by Slack');
	await_told('receiver:slack', 'alert.opened alert.resolved');
	is(scalar(grep { $_->{body} =~ /receiver slack does not take/ } $slack->requests), 0, 'it is not told of itself');
};

subtest 'what is not taken in time is given up' => sub {
	$server->sql(q{ALTER SYSTEM SET pg_seats.delivery_lifetime = '1s'});
	$server->sql(q{SELECT pg_reload_conf()});
	$slack->answer_with(500);
	raise('in vain', 'critical', 'in vain');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.calls WHERE destination = 'slack' AND reason = 'given_up'}, '1');
	is($server->sql(q{SELECT state FROM seats.alerts WHERE summary = 'in vain'}), 'open', 'the alert stays open');
	$server->sql(q{ALTER SYSTEM RESET pg_seats.delivery_lifetime});
	$server->sql(q{SELECT pg_reload_conf()});
	$slack->answer_with(200);
};

subtest 'a secret that is missing or wrong' => sub {
	await_everything();
	$server->write_secret('hook_secret', 'no signing secret');
	# It looks at its files when it is awake anyway.
	wait_until(
		sub {
			$server->sql('SELECT seats_internal.wake_for_news()');
			$server->sql(q{SELECT state FROM seats.destinations WHERE name = 'hook'}) eq 'unproven';
		},
		'the worker to see it');
	raise('later', 'critical', 'later');
	$server->wait_for_sql(q{SELECT state FROM seats.alerts WHERE kind = 'receiver_fails' ORDER BY alert DESC LIMIT 1}, 'open');
	pass('an alert tells the others');
	like($server->sql(q{SELECT message, hint FROM seats.health WHERE check_name = 'destination hook'}),
		qr/^its secret cannot be used.*Is there a file hook_secret in/, 'health names the file');
	like($server->log_text, qr/receiver hook is told nothing for now: what file hook_secret holds is no secret/, 'the log says so');
	is(told_of('later'), '', 'nothing is sent');
	$server->write_secret('hook_secret', $secrets{hook_secret});
	await_told('later', 'alert.opened');
	$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'receiver_fails' AND state = 'open'}, '0');
	pass('and is over when it takes something');
};

subtest 'secrets are nowhere' => sub {
	open my $dump, '-|', 'pg_dump', $server->connstr($server->database) or die "pg_dump: $!";
	my $dumped = do { local $/; <$dump> };
	ok(close $dump, 'a dump');
	like($dumped, qr/alert_told/, 'of what there is');
	my $bodies = join "\n", map { $_->{body} } map { $_->requests } $hook, $slack, $sentry;
	my $encoded = $secrets{hook_secret} =~ s/^whsec_//r;
	foreach my $secret ($encoded, 'VerySecretPath', '0123456789abcdef', 'sk_test_simulator')
	{
		ok(index($_->[1], $secret) < 0, "$secret is not in the $_->[0]")
		  foreach [ 'log', $server->log_text ], [ 'dump', $dumped ], [ 'bodies', $bodies ];
	}
};

subtest 'what waits when a receiver moves is made anew' => sub {
	my ($old, $new) = map { PgSeats::Receiver->new } 1 .. 2;
	await_everything();
	my $define = sub {
		my ($url, $format, $secret) = @_;
		$server->sql("SELECT seats.define_receiver('moved', '$url', '$format', $secret, 'fatal', '{move.*}')");
	};
	$define->($old->url('/old'), 'slack', 'NULL');
	my $entry = sub { $server->sql("SELECT seats_internal.write_journal('move.test', '$_[0]', NULL, NULL, NULL)") };
	$entry->('taken');
	$old->await_one('the first', sub { $_[0]{body} =~ /move\.test/ });
	# One hangs on the wire, one waits behind it.
	$old->answer_with('hang');
	raise('moving', 'fatal', 'moving');
	wait_until(sub { grep { $_->{body} =~ /moving/ } $old->requests }, 'one to hang');
	$entry->('waiting');
	$server->wait_for_sql(q{SELECT waiting FROM seats.receivers WHERE name = 'moved'}, '2');
	$define->($new->url('/new'), 'standard_webhook', q{'hook_secret'});
	# (stop ends what hangs: the worker would try it again.)
	$old->stop;
	my $actor = sub { my $b = $json->decode($_[0]{body}); $b->{data}{role} // $b->{data}{fingerprint} };
	wait_until(sub { grep { $actor->($_) eq 'waiting' } $new->taken }, 'what waited');
	# Fatal alerts of before are open, too, and new to nobody: it was told of them at the old URL.
	is(join(' ', map { $actor->($_) } $new->taken), 'moving waiting', 'all that was not taken, in order');
	is(scalar(grep { $_->{path} ne '/new' || !is_signed($_) } $new->requests), 0, 'at the new URL, in its format');
	is($server->sql(q{SELECT waiting FROM seats.receivers WHERE name = 'moved'}), '0', 'nothing is left');
	$server->sql(q{SELECT seats.drop_receiver('moved', 'no longer used')});
	resolve('moving');
	await_told('moving', 'alert.opened alert.resolved');
	$new->stop;
};

subtest 'one that is dropped is told nothing more' => sub {
	$slack->answer_with(500);
	raise('unheard', 'critical', 'unheard');
	$server->wait_for_sql(q{SELECT waiting > 0 FROM seats.receivers WHERE name = 'slack'}, 't');
	$server->sql(q{SELECT seats.drop_receiver('slack', 'no longer used')});
	is($server->sql(q{SELECT count(*) FROM seats.outbox WHERE destination = 'slack'}), '0', 'its deliveries are gone');
	$slack->answer_with(200);
	await_everything();
	is(scalar($slack->taken(sub { $_[0]{body} =~ /unheard/ })), 0, 'it has not heard of it');
};

$server->assert_log_clean;
$server->stop;
$stripe->stop;
$_->stop foreach $hook, $slack, $sentry;
done_testing();
