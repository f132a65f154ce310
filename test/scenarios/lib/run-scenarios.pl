# Runs scenario files, several at once, with Perl's own TAP::Harness (which is what prove uses), and
# prints a line when each of them ends. Called by scripts/check:
#   run-scenarios.pl RESULT-FILE DIRECTORY-OF-POSTGRESQL'S-TEST-MODULES FILE…
# The result file gets one line: passed failed skipped.
# From the environment: SCENARIO_JOBS, SCENARIO_LIMIT (seconds for each file).
use strict;
use warnings;
use File::Basename qw(basename dirname);
use TAP::Harness;
use Time::HiRes qw(time);

my ($result_file, $postgres_modules, @files) = @ARGV;
my $limit = $ENV{SCENARIO_LIMIT} // 300;
my %started;
my ($passed, $failed, $skipped) = (0, 0, 0);

$| = 1;

my $harness = TAP::Harness->new({
	jobs => $ENV{SCENARIO_JOBS} // 2,
	# Quiet: this script prints its own lines.
	verbosity => -3,
	# What a scenario writes to stderr belongs to its output.
	merge => 1,
	exec => sub {
		my ($harness, $file) = @_;
		return [
			'timeout', '--kill-after=15', $limit, $^X, "-I$postgres_modules",
			'-I' . dirname(__FILE__), $file ];
	},
});

$harness->callback(
	made_parser => sub {
		my ($parser, $test) = @_;
		$started{ $test->[0] } = time;
	});
$harness->callback(
	after_test => sub {
		my ($test, $parser) = @_;
		report($test->[0], $parser);
	});
$harness->runtests(@files);

open my $result, '>', $result_file or die "$result_file: $!\n";
print $result "$passed $failed $skipped\n";
close $result or die "$result_file: $!\n";
exit($failed ? 1 : 0);

sub report
{
	my ($file, $parser) = @_;
	my $name = basename($file, '.pl');
	my $seconds = sprintf('%.1f s', time - $started{$file});
	my $tests_skipped = () = $parser->skipped;
	my $tests_failed = () = $parser->failed;
	my $tests_passed = (() = $parser->passed) - $tests_skipped;

	$passed += $tests_passed;
	$skipped += $tests_skipped;

	if (defined $parser->skip_all && !$parser->exit)
	{
		$skipped++;
		print "  skipped $name: ", $parser->skip_all, "\n";
		return;
	}

	my @trouble = ();
	push @trouble, "$tests_failed failed" if $tests_failed;
	if (!$tests_failed || $parser->exit > 127)
	{
		push @trouble, "stopped after $limit s, its time limit" if $parser->exit == 124;
		push @trouble, 'exit status ' . $parser->exit
		  if $parser->exit && $parser->exit != 124;
		push @trouble, 'signal ' . ($parser->wait & 127) if $parser->wait & 127;
		push @trouble, $parser->parse_errors;
	}
	if (!@trouble)
	{
		printf "  ok      %-28s %4d tests %10s\n", $name, $tests_passed, $seconds;
		return;
	}

	# A file that ends early or breaks its plan counts as one failure more than its tests show.
	$failed += $tests_failed || 1;
	printf "  FAILED  %-28s %4d tests %10s: %s\n", $name, $tests_passed + $tests_failed, $seconds,
	  join('; ', @trouble);
	open my $mark, '>', "failed-$name";
	close $mark;
	print_what_it_said($file, $name);
	return;
}

# The tests' own words about what failed, and what came last, stand in the scenario's log; its output
# has little more than the names of its tests.
sub print_what_it_said
{
	my ($file, $name) = @_;
	my @output = lines_of("$ENV{PERL_TEST_HARNESS_DUMP_TAP}/$file");
	my @log = lines_of("$ENV{TESTLOGDIR}/regress_log_$name");

	s/^\[[0-9:.]+\]\([0-9.]+s\) // foreach @log;
	my @why = grep { /^\s*#\s+(?:Failed test|at |got:|expected:|died:)|^\s*#\s{15,}\'/ } @log;
	print_some('what failed', 40, @why ? @why : grep { /^not ok/ } @output);
	print_some('last in its log', 40, @log ? @log : @output);
	return;
}

sub lines_of
{
	my ($path) = @_;
	open my $handle, '<', $path or return;
	return <$handle>;
}

# The last of the lines, below a title.
sub print_some
{
	my ($title, $most, @lines) = @_;
	splice @lines, 0, -$most if @lines > $most;
	print "          $title:\n" if @lines;
	print "          | $_" foreach @lines;
	return;
}
