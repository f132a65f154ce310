# The journal as a feed: consumers read and acknowledge while many write, transactions roll back, one
# stays open for long, and workers end or crash in between. Nothing is skipped, nothing comes twice.
use strict;
use warnings;
use IPC::Run ();
use PgSeats::Scenario;

# So long a poll that whatever is numbered was asked for by a commit.
my $server = new_server('main', configuration => "pg_seats.safety_poll = '10min'\n");
$server->wait_for_worker;
$server->sql(<<'SQL');
CREATE TABLE seen (consumer text, number bigint, writer text, n bigint, PRIMARY KEY (consumer, number));
-- Every fifth transaction is rolled back, every third writes two entries.
CREATE PROCEDURE write_many(writer text, transactions integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. transactions LOOP
        PERFORM seats_internal.write_journal('feed.test', writer, NULL, NULL, NULL,
                    jsonb_build_object('n', 2 * i));
        IF i % 3 = 0 THEN
            PERFORM seats_internal.write_journal('feed.test', writer, NULL, NULL, NULL,
                        jsonb_build_object('n', 2 * i + 1));
        END IF;
        IF i % 10 = 0 THEN
            PERFORM pg_sleep(random() * 0.02);
        END IF;
        IF i % 5 = 0 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
    END LOOP;
END
$$;
-- What a consumer does in the transaction in which it acknowledges, is done once.
CREATE PROCEDURE consume(consumer text, most integer) LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    WITH entry AS MATERIALIZED (SELECT * FROM seats.read_journal(consumer, most)),
    kept AS (
        INSERT INTO seen SELECT consumer, e.number, e.role, (e.detail ->> 'n')::bigint FROM entry AS e)
    SELECT max(e.number) INTO last FROM entry AS e;
    IF last IS NOT NULL THEN
        PERFORM seats.acknowledge_journal(consumer, last);
    END IF;
END
$$;
SQL

my $transactions = 300;
# Of 15 transactions 3 are rolled back, and of the 12 others 4 write two entries.
my $per_writer = $transactions / 15 * 16;

sub start_writer
{
	my ($name) = @_;
	my $output = '';
	return IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $server->connstr($server->database),
			'-c', "CALL write_many('$name', $transactions)" ],
		'<', \undef, '>', \$output, '2>', \$output);
}

sub consume
{
	my ($consumer, $most, $times) = @_;
	my ($status) = $server->try_sql("CALL consume('$consumer', $most);\n" x ($times // 1));
	return $status == 0;
}

# Until both have read all that there is.
sub consume_all
{
	wait_until(
		sub {
			consume('fast', 1000);
			# Starting psql takes longer than reading.
			consume('slow', 37, 20);
			$server->sql(q{SELECT (SELECT count(*) FROM seats.journal WHERE number IS NULL)
				+ (SELECT sum(behind) FROM seats.journal_consumers)}) eq '0';
		},
		'both consumers to have read everything', timeout => 60);
	return;
}

sub seen { my ($consumer, $what) = @_; return $server->sql("SELECT $what FROM seen WHERE consumer = '$consumer'") }

# Exactly what is in the table: no entry is missing, none has another number, and those of a writer
# come in the order of its commits.
sub assert_complete
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $consumer (qw(fast slow))
	{
		is($server->sql(<<"END"), '0', "$name: $consumer has seen each entry");
SELECT count(*)
  FROM seats.journal AS j
  FULL JOIN (SELECT * FROM seen WHERE consumer = '$consumer') AS s ON s.number = j.number
 WHERE s.number IS NULL OR j.number IS NULL OR s.writer <> j.role
END
		is($server->sql(<<"END"), '0', "… those of a writer in its order");
SELECT count(*) FROM (
    SELECT n <= lag(n) OVER (PARTITION BY writer ORDER BY number) AS is_wrong
      FROM seen WHERE consumer = '$consumer' AND n IS NOT NULL) AS s
 WHERE is_wrong
END
	}
	is($server->sql(q{SELECT count(*) = max(number) - min(number) + 1 FROM seats.journal}),
		't', '… and the numbers have no gap');
	return;
}

subtest 'an entry has its number as soon as it is committed, and listeners are told' => sub {
	my $listener = $server->background_psql($server->database);
	$listener->query_safe('LISTEN pg_seats_journal');
	$server->sql(q{SELECT seats_internal.write_journal('feed.test', 'first', NULL, NULL, NULL)});
	$server->wait_for_sql(q{SELECT count(*) FROM seats.read_journal('fast') WHERE role = 'first'}, '1', timeout => 5);
	my $told = '';
	wait_until(sub { $told .= $listener->query('SELECT 1'); $told =~ /"pg_seats_journal" with payload "\d+"/ },
		'a notification', timeout => 5);
	pass('told');
	$listener->quit;
};

my $long = $server->background_psql($server->database);
subtest 'many writers, one that stays open, and workers that end' => sub {
	$long->query_safe(q{BEGIN; SELECT seats_internal.write_journal('feed.test', 'long', NULL, NULL, NULL)});
	my @writers = map { start_writer("writer $_") } 1 .. 4;
	my $ended = 0;
	# (The writers may be faster than who reads.)
	while ($ended == 0 || grep { $_->pumpable } @writers)
	{
		$_->pump_nb foreach grep { $_->pumpable } @writers;
		consume('fast', 1000);
		consume('slow', 37);
		if ($ended < 2 && seen('slow', 'count(*)') > 100 * ($ended + 1))
		{
			my $pid = $server->kill_worker('TERM');
			$server->wait_for_worker(another_than => $pid);
			$ended++;
		}
	}
	ok($_->finish, 'a writer has come to its end') foreach @writers;
	consume_all();
	cmp_ok($ended, '>=', 1, "workers that ended in between: $ended");
	is(seen('fast', 'count(*)') - seen('fast', q{count(*) FILTER (WHERE writer NOT LIKE 'writer%')}),
		4 * $per_writer, 'a transaction that stays open stalls nobody');
	is(seen('fast', q{count(*) FILTER (WHERE writer = 'long')}), '0', '… and is not seen');
	assert_complete('with an open transaction') if $server->sql(
		q{SELECT count(*) FROM seats.journal WHERE number IS NULL}) eq '0';
};

subtest 'what was open for long comes when it is committed' => sub {
	my $before = $server->sql('SELECT max(number) FROM seats.journal');
	$long->query_safe('COMMIT');
	$server->wait_for_sql(q{SELECT number IS NOT NULL FROM seats.journal WHERE role = 'long'}, 't');
	consume_all();
	is(seen($_, q{min(number) FILTER (WHERE writer = 'long')}), $before + 1, "$_ sees it, behind the others")
	  foreach qw(fast slow);
	assert_complete('after it');
};
$long->quit;

subtest 'a crash in between' => sub {
	my @writers = map { start_writer("again $_") } 1 .. 2;
	wait_until(
		sub { consume('slow', 37); seen('slow', q{count(*) FILTER (WHERE writer LIKE 'again%')}) > 20 },
		'some to be read');
	$server->kill_worker('KILL');
	$_->finish foreach @writers;
	wait_until(sub { $server->sql('SELECT 1') eq '1' }, 'the server to come back');
	my @late = map { start_writer("late $_") } 1 .. 2;
	$_->finish foreach @late;
	consume_all();
	assert_complete('after the crash');
	is(seen('slow', q{count(*) FILTER (WHERE writer LIKE 'late%')}), 2 * $per_writer, 'and it goes on');
};

subtest 'two sessions of one consumer share the work' => sub {
	my $first = $server->background_psql($server->database);
	$server->sql(q{SELECT seats_internal.write_journal('feed.test', 'shared', NULL, NULL, NULL)});
	$server->wait_for_sql(q{SELECT behind > 0 FROM seats.journal_consumers WHERE consumer = 'fast'}, 't');
	$first->query_safe(q{BEGIN; SELECT seats.acknowledge_journal('fast', max(number)) FROM seats.read_journal('fast')});
	my ($output, $error) = ('', '');
	my $second = IPC::Run::start(
		[ 'psql', '-XqAt', '-d', $server->connstr($server->database),
			'-c', q{SELECT count(*) FROM seats.read_journal('fast')} ],
		'<', \undef, '>', \$output, '2>', \$error);
	$server->wait_for_sql(q{SELECT count(*) FROM pg_stat_activity
		WHERE query LIKE 'SELECT count(*) FROM seats.read_journal%' AND wait_event_type = 'Lock'}, '1');
	$first->query_safe('COMMIT');
	$second->finish;
	is($output, "0\n", 'the second finds what the first has left');
	is($error, '', 'without an error');
	$first->quit;
};

$server->assert_log_clean;
$server->stop;
done_testing();
