# The border between C++ exceptions and the server's longjmp (src/pg/error.hpp): errors come over it
# both ways with all that they say, every destructor runs, and the session goes on. And two rules of src/pg that
# show themselves nowhere else: what a failure after a commit means, and what is wiped of a secret.
#
# The module that does it is test/border, built by `make test-modules`.
use strict;
use warnings;
use Cwd qw(abs_path);
use FindBin;
use PgSeats::Scenario;

my $module = abs_path("$FindBin::Bin/../border/border.so");
BAIL_OUT('test/border/border.so is not there: make test-modules') unless $module && -e $module;

my $server = new_server('main', extension => 0);

my %signature = (
	border_alive => '() RETURNS integer',
	border_throw => '(text) RETURNS void',
	border_server => '(text) RETURNS void',
	border_catch => '() RETURNS text',
	border_throw_under_guard => '() RETURNS integer',
	border_commit => '(text) RETURNS void',
	border_wipes => '() RETURNS text',
	border_nested => '(integer) RETURNS void',
	border_in_pg_try => '() RETURNS text',
	border_through_pg_try => '() RETURNS void',
	border_quiet => '() RETURNS boolean');
$server->sql(join '', map {"CREATE FUNCTION $_$signature{$_} STRICT LANGUAGE c AS '$module';\n"}
	  sort keys %signature);

# What came of a statement, and whether any C++ object has outlived it. In one session each, with
# statements before and after, so that a session that was damaged shows it.
$server->sql(<<'SQL');
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text; message text; detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error, alive: ' || border_alive();
EXCEPTION WHEN OTHERS OR query_canceled THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', code, message, nullif(detail, ''), nullif(hint, ''),
                     'alive: ' || border_alive());
END
$$;
SQL

sub outcome
{
	my ($statement) = @_;
	$statement =~ s/'/''/g;
	# Twice in one session, and the second time must be as the first.
	my ($once, $again) = split /\n/, $server->sql("SELECT outcome('$statement');\n" x 2);
	return $once eq $again ? $once : "$once\nand then: $again";
}

sub gives
{
	my ($statement, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(outcome($statement), $expected, $statement);
}

# C++ to server
gives(q{SELECT border_throw('std::exception')}, 'XX000 | thrown by C++ | alive: 0');
gives(q{SELECT border_throw('bad_alloc')}, '53200 | out of memory | alive: 0');
gives(q{SELECT border_throw('int')}, 'XX000 | unknown C++ exception in pg_seats | alive: 0');
gives(q{SELECT border_throw('SqlError')},
	'PS007 | said by C++ | in detail | with a hint | alive: 0');
gives(q{SELECT border_throw('percent')}, 'P0001 | %s %n 100 % | %s%s | %d | alive: 0');
gives(q{SELECT border_throw('real bad_alloc')}, '53200 | out of memory | alive: 0');
like(outcome(q{SELECT border_throw('long')}), qr/^P0001 \| m{1023} \| d{1023} \| h{511} \| alive: 0$/,
	'what is too long is cut');

is($server->sql(<<'SQL'), 't', 'and not in the middle of a character');
SELECT starts_with(outcome($$SELECT border_throw('umlauts')$$),
    concat_ws(' | ', 'P0001', 'x' || repeat(U&'\00e4', 511), 'x' || repeat(U&'\00e4', 511),
              'x' || repeat(U&'\00e4', 255), 'alive: 0'))
SQL

# Server to C++ to server
my $everything = '23514 | raised by the server | with a detail | and a hint | alive: 0';
gives(q{SELECT border_server('everything')}, $everything);
gives(q{SELECT border_server('division')}, '22012 | division by zero | alive: 0');
like(outcome(q{SELECT border_server('memory')}),
	qr/^XX000 \| invalid memory alloc request size \d+ \| alive: 0$/, 'a palloc that is refused');
gives('SELECT border_catch()', 'no error, alive: 0');
is($server->sql('SELECT border_catch()'), 'raised by the server, 42', 'errors that are caught in C++');

gives('SELECT border_throw_under_guard()', $everything);

# A cancel and a time-out go the same way, and the session lives.
is($server->sql(<<'END'), '57014 | canceling statement due to statement timeout | alive: 0', 'a time-out');
SET statement_timeout = '200ms';
SELECT outcome($$SELECT border_server('sleep')$$);
END
my $session = $server->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query('SELECT pg_backend_pid()');
$session->query_until(qr/begun/, "\\echo begun\nSELECT border_server('sleep');\n");
$server->wait_for_sql(
	"SELECT state FROM pg_stat_activity WHERE pid = $pid AND query LIKE '%sleep%'", 'active');
$server->sql("SELECT pg_cancel_backend($pid)");
is($session->query('SELECT border_alive()'), '0', 'after a cancel no object is left');
is($session->query('SELECT pg_backend_pid()'), $pid, 'and the session is the same');
# Terminated inside C++ frames: the process ends there, and cleanly.
$session->query_until(qr/begun/, "\\echo begun\nSELECT border_server('sleep');\n");
$server->sql("SELECT pg_terminate_backend($pid)");
$server->wait_for_sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", '0');
eval { $session->quit };

# Nested, both kinds at the bottom
gives("SELECT border_nested($_)", 'PS007 | said by C++ | in detail | with a hint | alive: 0')
  foreach (0, 1, 20);
gives("SELECT border_nested($_)", $everything) foreach (-1, -2, -20);

# Inside and through the server's own PG_TRY
is($server->sql('SELECT border_in_pg_try()'), 'caught: said by C++', 'the server catches what C++ threw');
gives('SELECT border_in_pg_try()', 'no error, alive: 0');
gives('SELECT border_through_pg_try()',
	'PS007 | said by C++ | in detail | with a hint | alive: 0');
gives('SELECT border_quiet()', 'no error, alive: 0');

# Without anybody to catch it, the statement fails and the transaction is over, as with any error.
my ($status, $stdout, $stderr) =
  $server->try_sql("BEGIN; SELECT border_throw('SqlError');", on_error_stop => 1);
is($status, 3, 'an error that nobody catches ends the statement');
like($stderr, qr/ERROR:  said by C\+\+\nDETAIL:  in detail\nHINT:  with a hint/, 'and is told whole');

# A thousand of each kind in one transaction: nothing piles up.
is($server->sql(<<'END'), 'alive: 0', 'a thousand errors of each kind');
SELECT string_agg(DISTINCT substring(outcome(statement) FROM 'alive: .*'), ',')
  FROM generate_series(1, 1000),
       unnest(ARRAY[$$SELECT border_throw('SqlError')$$, $$SELECT border_server('everything')$$,
                    $$SELECT border_nested(4)$$, $$SELECT border_nested(-4)$$]) AS statement;
END

# What is committed is committed, though its statistics cannot be reported any more: the worker would do it
# all again.
$server->sql('CREATE TABLE written (what text)');
$server->sql("SELECT border_commit('$module')");
wait_until(sub { $server->sql('SELECT count(*) FROM written') eq '2' }, 'the process to say what it has done');
is($server->sql('SELECT what FROM written'), "the row\nit is committed",
	'an error after the commit is not told as a rollback');
like($server->log_text, qr/statistics could not be reported: there is no memory for statistics/,
	'… and stands in the log');

is($server->sql('SELECT border_wipes()'), 'second first ',
	'a secret is wiped where it was last, and nothing where there is none');

$server->assert_log_clean;
$server->stop;
done_testing();
