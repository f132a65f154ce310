# What a call costs the application: the same UPDATE, with a row in a table of its own or with
# seats.enqueue_call, each in one transaction. The destination is paused, so nothing is sent.
use strict;
use warnings;
use utf8;
use PgSeats::Bench;
use PgSeats::Ways;

my $simulator = light_simulator();
my $server = bench_server('enqueue', $simulator);
my $session = $server->{bench_session};
$session->sql(q{SELECT seats.pause('stripe', 'only enqueueing is measured')});
$server->sql(<<'END');
CREATE SCHEMA bench;
CREATE TABLE bench.account (id integer PRIMARY KEY, plan integer NOT NULL) WITH (fillfactor = 50);
INSERT INTO bench.account SELECT g, 0 FROM generate_series(1, 100000) AS g;
-- The outbox's columns and defaults, with its primary key alone and with all its indexes.
CREATE TABLE bench.similar (LIKE seats_internal.outbox INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED,
                            PRIMARY KEY (id));
CREATE TABLE bench.twin (LIKE seats_internal.outbox INCLUDING DEFAULTS INCLUDING IDENTITY
                         INCLUDING GENERATED INCLUDING INDEXES);
VACUUM ANALYZE bench.account;
END

my $update = 'UPDATE bench.account SET plan = plan + 1 WHERE id = :account;';
my $columns = '(destination, method, path, body, enqueued_by)';
my $values = q{VALUES ('stripe', 'POST', '/v1/customers', 'name=Ada&plan=' || :account::integer, current_user);};
my $call = q{SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers',}
  . q{ jsonb_build_object('name', 'Ada', 'plan', :account::integer)};
my @kinds = (
	[ 'UPDATE alone' ],
	[ 'UPDATE + INSERT', "INSERT INTO bench.similar $columns $values" ],
	[ 'UPDATE + INSERT, the outbox\'s indexes', "INSERT INTO bench.twin $columns $values" ],
	[ 'UPDATE + enqueue_call', "$call);" ],
	[ '… in one of 100000 lanes', "$call, 'account-' || :account::integer);" ]);
compare_ways($server,
	ways => [ map { my ($name, @more) = @$_; { name => $name, statements => [ 'BEGIN;', $update, @more, 'COMMIT;' ] } } @kinds ],
	clients => [ 1, 4, 16 ],
	rounds => sized(3, 1),
	seconds => sized(4, 2),
	set => '\set account random(1, 100000)',
	forget => sub { $session->sql($_) foreach 'TRUNCATE seats_internal.outbox, bench.similar, bench.twin', 'CHECKPOINT' },
	ratios => [ [ ratio => 1 ] ]);
