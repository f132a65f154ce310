# The secrets directory: which files are read as keys and which are refused, with which words; the
# installation file; and that no key is ever told to anybody.
use strict;
use warnings;
use PgSeats::Scenario;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe, configuration => <<'END');
pg_seats.safety_poll = '200ms'
log_min_messages = debug1
END
$server->wait_for_worker;
my $directory = $server->secrets_directory;
my $key_file = "$directory/stripe_key";
my $key = 'sk_test_simulator';

sub write_file
{
	my ($file, $content, $mode) = @_;
	unlink $file;
	open my $handle, '>', $file or die "$file: $!";
	binmode $handle;
	print $handle $content;
	close $handle or die "$file: $!";
	chmod $mode // 0600, $file or die "$file: $!";
	return;
}

sub halted_message
{
	return $server->sql(
		q{SELECT coalesce(halted_message, '') FROM seats_internal.destination WHERE name = 'stripe'});
}

sub call_goes_through
{
	my ($name) = @_;
	my $id = $server->enqueue('/v1/customers', { name => $name });
	return $server->sql("CALL seats.wait_for_call($id, '20 seconds')") eq 'done|200|';
}

# The worker rereads the file when it has changed, in whatever way, and says what is wrong with it.
sub is_refused
{
	my ($pattern, $name) = @_;
	my $message = '';
	eval { wait_until(sub { ($message = halted_message()) =~ $pattern }, 'the refusal', timeout => 10) };
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($message, $pattern, $name);
}

ok(call_goes_through('first'), 'a key with mode 0600 is used');

# The worker tells a row's way at DEBUG1, a line a step.
my $row = $server->sql('SELECT max(call) FROM seats.outbox_history');
my $way = join '.*', map { "row $row: $_" } 'claimed, a call in generation 1', 'send, request \d+ under key ',
  'answered after \d+ ms, status 200, request_id req_', 'verdict done, is settled as done', 'stored';
wait_until(sub { $server->log_text =~ /$way/s }, 'the log to tell the way of a row');

my @refusals = (
	[ 'readable by the group', sub { chmod 0640, $key_file }, qr/may be read or changed by others/ ],
	[ 'readable by everybody', sub { chmod 0604, $key_file }, qr/may be read or changed by others/ ],
	[ 'missing', sub { unlink $key_file }, qr/does not exist/ ],
	[ 'a link', sub { rename $key_file, "$directory/real"; symlink "$directory/real", $key_file },
		qr/is a symbolic link/ ],
	[ 'a directory', sub { unlink $key_file; mkdir $key_file, 0700 }, qr/is not a regular file/ ],
	[ 'a pipe', sub { unlink $key_file; system('mkfifo', '-m', '0600', $key_file) }, qr/is not a regular file/ ],
	[ 'empty', sub { write_file($key_file, " \n\n") }, qr/is empty/ ],
	[ 'too large', sub { write_file($key_file, 'x' x 4097) }, qr/is larger than 4096 bytes/ ],
	[ 'of two lines', sub { write_file($key_file, "$key\nsecond\n") },
		qr/holds more than one line of printable ASCII/ ],
	[ 'binary', sub { write_file($key_file, "sk_test_\xff") }, qr/holds more than one line of printable/ ],
	[ 'in a directory that others may change',
		sub { write_file($key_file, $key); chmod 0770, $directory }, qr/secrets directory .* may be changed/ ],
	[ 'in a directory that others may enter', sub { chmod 0755, $directory }, qr/secrets directory .* may be entered/ ],
	[ 'in a directory that the group may enter', sub { chmod 0710, $directory }, qr/secrets directory .* may be entered/ ],
	[ 'in a directory that is gone', sub { rename $directory, "$directory.away" }, qr/does not exist/ ]);

foreach my $case (@refusals)
{
	my ($what, $break, $pattern) = @$case;
	$break->();
	is_refused($pattern, "a key that is $what is refused");
	# And put right again: noticed, too, even where only a mode has changed.
	rename "$directory.away", $directory if !-d $directory;
	chmod 0700, $directory;
	rmdir $key_file if -d $key_file && !-l $key_file;
	if ($what =~ /readable/)
	{
		chmod 0600, $key_file;
	}
	else
	{
		write_file($key_file, "$key\n");
	}
	wait_until(sub { halted_message() eq '' }, 'the destination to go on', timeout => 20);
}
ok(call_goes_through('last'), 'in the end calls go through again, and the newline is no part of the key');

# ---- The installation file

my $file = "$directory/installation."
  . $server->sql('SELECT oid FROM pg_database WHERE datname = current_database()');
my $uuid = $server->sql('SELECT uuid FROM seats_internal.installation');
is(slurp($file), "$uuid\n", 'the installation file holds the uuid');
is(sprintf('%04o', (stat $file)[2] & 07777), '0600', 'and is for the server only');

sub slurp
{
	my ($name) = @_;
	open my $handle, '<', $name or return "$name: $!";
	local $/ = undef;
	return scalar <$handle>;
}

my $other = '99999999-2222-4333-8444-555555555555';
$server->sql("SELECT seats_internal.write_installation_file('$other')");
is(slurp($file), "$other\n", 'it is replaced as a whole');
is_deeply([ glob "$directory/*.new" ], [], 'and nothing is left beside it');

chmod 0500, $directory;
my ($status, undef, $error) =
  $server->try_sql("\\set VERBOSITY verbose\nSELECT seats_internal.write_installation_file('$uuid')");
like($error, qr/PS110: the installation file could not be written/, 'no file can be made: an error');
like($error, qr/Permission denied/, 'that says why');
chmod 0700, $directory;
is(slurp($file), "$other\n", 'and the old one is still there');
($status, undef, $error) = $server->try_sql('SELECT seats_internal.write_installation_file(NULL)');
like($error, qr/uuid must not be null/, 'NULL is refused');

# What the worker makes of a file that is not right.
sub is_fenced
{
	my ($name) = @_;
	# The worker looks at the file now and then, not before each call: it tells a copy from the
	# original, which does not change under way.
	wait_until(sub { $server->sql('SELECT state FROM seats.worker_status') eq 'fenced' }, 'the fence');
	my $id = $server->enqueue('/v1/customers', { name => $name });
	my $state = $server->sql("CALL seats.wait_for_call($id, '700 milliseconds')");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($state, 'pending||', $name);
}
is_fenced('another uuid in the file: nothing is sent');
write_file($file, "$uuid\n");
wait_until(sub { $server->sql(q{SELECT count(*) FROM seats_internal.outbox}) eq '0' },
	'the calls to be sent');
write_file($file, "not a uuid\n");
is_fenced('no uuid in the file: nothing is sent');
write_file($file, "$uuid\n", 0666);
is_fenced('a file that everybody may write: nothing is sent');
unlink $file;
is_fenced('no file: nothing is sent');
$server->sql("SELECT seats_internal.write_installation_file('$uuid')");
wait_until(sub { $server->sql(q{SELECT count(*) FROM seats_internal.outbox}) eq '0' },
	'all calls to be sent once the file is right');

# ---- The directory lies outside the data directory, whatever it is called

my $data = $server->data_dir;
symlink $data, "$directory/link" or die "symlink: $!";
foreach my $inside ("$data/secrets", "$directory/../" . ($data =~ s{.*/}{}r) . '/secrets',
	"$directory/link")
{
	my ($status, undef, $error) =
	  $server->try_sql("ALTER SYSTEM SET pg_seats.secrets_directory = '$inside'");
	isnt($status, 0, "refused: $inside");
	like($error, qr/outside the data directory/, 'and why');
}
unlink "$directory/link";

# ---- Nobody is told the key

unlike($server->log_text, qr/\Q$key\E/, 'the log does not tell the key');
is( $server->sql(
		"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%' || 'sk_test_' || 'sim%' AND pid <> pg_backend_pid()"),
	'0', 'nor does pg_stat_activity');
is($server->sql(q{SELECT (SELECT string_agg(d::text, '') FROM seats_internal.destination AS d)
	 || coalesce((SELECT string_agg(a::text, '') FROM seats_internal.alert AS a), '')
	 || coalesce((SELECT string_agg(j::text, '') FROM seats_internal.journal AS j), '') LIKE '%sk_test_simulator%'}),
	'f', 'nor do destinations, alerts and journal');

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();
