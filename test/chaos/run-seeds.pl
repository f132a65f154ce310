# Runs seeds, two at once, and prints a line for each; of one that fails, what it has found, in words.
# Called by scripts/check:
#   run-seeds.pl RESULT-FILE DIRECTORY-OF-POSTGRESQL'S-TEST-MODULES SEED…     (17, or 1-500)
# The result file gets one line: passed failed (promises).
# From the environment: CHAOS_JOBS, CHAOS_LIMIT (seconds for each seed), CHAOS_UNTIL (a pattern: no more seeds are
# begun once one has found something like that); CHAOS_SECONDS is for seed.pl.
use strict;
use warnings;
use File::Basename qw(dirname);
use POSIX ();
use Time::HiRes qw(time);

my ($result_file, $postgres_modules, @seeds) = @ARGV;
@seeds = map { /^(\d+)-(\d+)$/ ? ($1 .. $2) : $_ } @seeds;
my $jobs = $ENV{CHAOS_JOBS} // 2;
my $limit = $ENV{CHAOS_LIMIT} // 120 + 4 * ($ENV{CHAOS_SECONDS} // 20);
my ($passed, $failed, @failed_seeds) = (0, 0);
my (%running, %times);    # pid => { seed, name, began }; how often a seed was begun

$| = 1;
while (@seeds || %running)
{
	start(shift @seeds) while @seeds && keys %running < $jobs;
	my $pid = waitpid -1, 0;
	report(delete $running{$pid}, $?) if $running{$pid};
}
print "  seeds that failed: @failed_seeds; scripts/check chaos SEED… runs them again\n" if @failed_seeds;

open my $result, '>', $result_file or die "$result_file: $!\n";
print $result "$passed $failed\n";
close $result or die "$result_file: $!\n";
exit($failed ? 1 : 0);

sub start
{
	my ($seed) = @_;
	my $name = "seed$seed" . ($times{$seed}++ ? "-$times{$seed}" : '');
	my $pid = fork;
	die "fork: $!\n" unless defined $pid;
	if (!$pid)
	{
		open STDOUT, '>', "$name.tap";
		open STDERR, '>&', \*STDOUT;
		exec 'timeout', '--kill-after=15', $limit, $^X, "-I$postgres_modules", dirname(__FILE__) . '/seed.pl', $seed, $name
		  or POSIX::_exit(127);
	}
	$running{$pid} = { seed => $seed, name => $name, began => time };
	return;
}

sub report
{
	my ($run, $status) = @_;
	my @lines = lines_of("$run->{name}.tap");
	my $ok = grep {/^ok /} @lines;
	my $broken = grep {/^not ok /} @lines;
	my ($summary) = map { /^# seed \d+: (.*)/ ? $1 : () } @lines;
	$passed += $ok;
	# One that ends early is one failure more than its tests show.
	$failed += $status ? $broken || 1 : $broken;
	my $seconds = sprintf '%.0f s', time - $run->{began};
	if (!$status && !$broken)
	{
		print "  ok      seed $run->{seed}, $seconds: $summary\n";
		return;
	}
	push @failed_seeds, $run->{seed};
	@seeds = () if ($ENV{CHAOS_UNTIL} // '') ne '' && grep {/$ENV{CHAOS_UNTIL}/} @lines;
	my $why = !defined $summary ? ($status >> 8 == 124 ? "stopped after $limit s" : 'it ended early') : $summary;
	print "  FAILED  seed $run->{seed}, $seconds: $why\n";
	# What it dies of is told in its log.
	my @telling = grep { /^(not ok |#  (?!(?:  )?(?:Failed test| at )))/ } @lines;
	@telling = lines_of("$ENV{TESTLOGDIR}/regress_log_$run->{name}") unless defined $summary;
	splice @telling, 0, -25 unless defined $summary;
	print map {"          $_"} @telling;
	return;
}

sub lines_of
{
	my ($file) = @_;
	open my $handle, '<', $file or return ("$file: $!\n");
	return <$handle>;
}
