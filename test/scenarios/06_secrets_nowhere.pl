# No API key and no client secret appears anywhere: not in the log at DEBUG5, not in a table, view,
# setting or statistics view, not in a dump; whether calls are done, refused, or halted for a wrong key.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
log_min_messages = debug5
log_error_verbosity = verbose
pg_seats.safety_poll = '200ms'
pg_seats.retry_delay = '20ms'
END

# What Stripe answers holds a client secret, in a success as in a refusal.
my $intent = $server->enqueue('/v1/payment_intents', { amount => 2000, currency => 'usd' });
await_state($server, $intent, 'done');
$stripe->fault({
	match => { body => '*refuse*' }, fault => 'answer', status => 402, headers => { 'Content-Type' => 'application/json' },
	body => '{"error":{"type":"card_error","code":"card_declined","message":"pi_9_secret_Shhh says no",'
	  . '"payment_intent":{"id":"pi_9","client_secret":"pi_9_secret_Shhh"}}}' });
my $refused = $server->enqueue('/v1/payment_intents', { amount => 1, currency => 'usd', description => 'refuse' });
await_state($server, $refused, 'refused');
like($server->sql("SELECT seats.call_answer($intent)"), qr/"object": ?"payment_intent"/,
	'the answer itself is kept');

# What is asked with the key knows it: a server that gives it back, in an id, a body, or the words of an error; and
# one that answers with secrets of its own.
my $signing = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
my %json = ('Content-Type' => 'application/json', 'Request-Id' => 'sk_test_simulator');
$stripe->fault({
	match => { body => '*echo_done*' }, fault => 'answer', status => 200, headers => \%json,
	body => qq({"id":"we_9","object":"webhook_endpoint","livemode":false,"note":"asked with sk_test_simulator","secret":"$signing",)
	  . '"twice":"pi_9_secret_Shhh","twice":"","pi_9_secret_Shhh":1}' });
$stripe->fault({
	match => { body => '*echo_refused*' }, fault => 'answer', status => 402, headers => \%json,
	body => '{"error":{"type":"card_error","code":"sk_test_simulator","message":"sk_test_simulator may not"}}' });
my $echoed = $server->enqueue('/v1/webhook_endpoints', { description => 'echo_done' });
await_state($server, $echoed, 'done');
await_state($server, $server->enqueue('/v1/customers', { description => 'echo_refused' }), 'refused');
like($server->sql("SELECT seats.call_answer($echoed)"), qr/"secret": ?"\[removed\]"/, 'what was echoed is struck out');

# A wrong key, and a key file that is refused for its mode, are told without the key.
$server->write_secret('stripe_key', 'sk_test_wrong_and_secret');
$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'destination_halted' AND state = 'open'}, '1');
$server->write_secret('stripe_key', 'sk_test_simulator');
$server->wait_for_sql(q{SELECT count(*) FROM seats.alerts WHERE kind = 'destination_halted' AND state = 'open'}, '0');

my $secret = qr/sk_test_simulator|sk_test_wrong_and_secret|_secret_[A-Za-z0-9]|Bearer |$signing/;
open my $dump, '-|', 'pg_dump', $server->connstr($server->database) or die "pg_dump: $!";
my $dumped = do { local $/; <$dump> };
ok(close $dump, 'a dump');
like($dumped, qr/payment_intents/, '… of what there is');
my @places = (
	[ 'the log at DEBUG5', $server->log_text ],
	[ 'the dump', $dumped ],
	[ 'the answer', $server->sql("SELECT seats.call_answer($echoed)") ],
	[ 'the settings', $server->sql(q{SELECT string_agg(s::text, E'\n') FROM pg_settings AS s}) ],
	[ 'the activity of others', $server->sql(
			q{SELECT coalesce(string_agg(a::text, E'\n'), '') FROM pg_stat_activity AS a WHERE pid <> pg_backend_pid()}) ],
	map { [ "seats.$_", $server->sql("SELECT coalesce(string_agg(v::text, E'\\n'), '') FROM seats.$_ AS v") ] }
	  split ' ', $server->sql(q{SELECT string_agg(viewname, ' ') FROM pg_views WHERE schemaname = 'seats'}));
foreach my $place (@places)
{
	my ($name, $text) = @$place;
	# The fault above is written in this file, but never sent to the server.
	my ($found) = $text =~ /(.{0,60}$secret.{0,20})/;
	is($found, undef, "no secret in $name");
}

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
