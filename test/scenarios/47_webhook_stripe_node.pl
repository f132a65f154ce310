# Webhooks that Stripe's own library for Node has signed. scripts/check fetches it with npm; NODE_PATH
# names another place where it is.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Webhooks;
use JSON::PP;

my $version = `node -p 'require("stripe").PACKAGE_VERSION' 2>/dev/null` // '';
chomp $version;
plan skip_all => 'node, or its package stripe, is not installed (NODE_PATH names where)' if $version eq '';
note("stripe $version");

my $server = new_server('main');
$server->define_destination('stripe', base_url => q{'http://127.0.0.1:9'});
define_endpoint($server, 'main');

# A line each: what the library made of a payload.
sub signed_by_stripe
{
	my (@cases) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir();
	my $file = "$directory/sign.js";
	open my $handle, '>', $file or die "$file: $!";
	print $handle <<'END';
const stripe = require('stripe')('sk_test_none');
for (const one of JSON.parse(process.argv[2])) {
  const header = stripe.webhooks.generateTestHeaderString(one);
  let own = 'refused';
  try { own = stripe.webhooks.constructEvent(one.payload, header, one.secret).id; } catch (e) { }
  console.log(JSON.stringify({ header, own, body: Buffer.from(one.payload).toString('hex') }));
}
END
	close $handle;
	open my $node, '-|', 'node', $file, JSON::PP->new->ascii->encode(\@cases) or die "node: $!";
	my @answers = map { decode_json($_) } <$node>;
	close $node or die 'node failed';
	return @answers;
}

my $secret = endpoint_secret('main');
my $event = sub { return qq({\n  "id": "$_[0]",\n  "object": "event",\n  "type": "charge.succeeded",\n  "livemode": false,\n  "data": {"object": {"name": "Zo\x{eb} \x{2013} \x{65e5}\x{672c}"}}\n}) };
my @answers = signed_by_stripe(
	{ payload => $event->('evt_1'), secret => $secret },
	{ payload => $event->('evt_2'), secret => $secret, timestamp => time - 290 },
	{ payload => $event->('evt_3'), secret => $secret, timestamp => time - 310 },
	{ payload => $event->('evt_4'), secret => $secret, scheme => 'v0' },
	{ payload => $event->('evt_5'), secret => 'whsec_other' });
my @expected = (
	'200 ignored evt_1', '200 ignored evt_2', '400 signature_too_old', '400 signature_malformed',
	'400 signature_mismatch');
my @names = ('as it comes', 'almost too old', 'too old', 'another scheme', 'another secret');
foreach my $i (0 .. $#expected)
{
	my $answer = $answers[$i];
	is(receive($server, 'main', pack('H*', $answer->{body}), signature => $answer->{header}),
		$expected[$i], $names[$i]);
	next if $i == 4;    # the library was given that secret
	is($answer->{own} eq 'refused' ? 400 : 200, substr($expected[$i], 0, 3), '… as the library says itself');
}

$server->assert_log_clean;
$server->stop;
done_testing();
