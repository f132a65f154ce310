# The two parts of the install script that an upgrade runs anew, on what is there: nothing is another thing
# afterwards, what was granted stays granted, and the worker goes on.
use strict;
use warnings;
use PgSeats::Scenario;
use PgSeats::Calls;
use PgSeats::Seats;

my $stripe = new_simulator();
my $server = new_server('main', simulator => $stripe);
$server->define_destination('stripe', requests_per_second => 500);
$server->wait_for_worker;
define_seat_type($server, 'team');
my $team = new_team($server, $stripe, 'acme', seats => { team => 5 });
await_change($server, add_seats($server, $team, 2), 'confirmed');
$server->sql(<<'END');
CREATE ROLE watcher;
CREATE ROLE app;
CREATE ROLE reader;
SELECT seats.grant_monitor('watcher');
SELECT seats.grant_application('app');
GRANT SELECT ON seats.outbox_history TO reader;
END

my $before = catalog();
$server->sql(q{ALTER EXTENSION pg_seats UPDATE TO 'again'});
my $after = catalog();
is(scalar grep({ $before->[$_] ne ($after->[$_] // '') } 0 .. $#$before), 0, 'nothing is another thing')
  or diag(join "\n", grep { my $line = $_; !grep { $_ eq $line } @$before } @$after);
is(scalar @$after, scalar @$before, 'and there is nothing else');
cmp_ok(scalar @$before, '>', 2000, 'it was looked at');

# (The library works for its own version only.)
$server->sql(q{UPDATE pg_extension SET extversion = default_version FROM pg_available_extensions
                WHERE extname = 'pg_seats' AND name = extname});
await_change($server, add_seats($server, $team, 3), 'confirmed');
assert_seats($server, $team, [ 10, 10, 0 ], 'the worker goes on');

$server->assert_log_clean;
$server->stop;
$stripe->stop;
done_testing();

# What there is of the extension, a line for each.
sub catalog
{
	return [ split /\n/, $server->sql(<<'END') ];
WITH ours AS MATERIALIZED (
    SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name, c.relacl::text AS acl, c.reloptions, c.relname
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('seats', 'seats_internal'))
SELECT translate(l.line, E'\n', ' ')
  FROM (SELECT concat_ws(' | ', 'function', p.oid::regprocedure, p.proacl, obj_description(p.oid, 'pg_proc'),
                         CASE WHEN p.prokind = 'a' THEN (SELECT to_jsonb(a)::text FROM pg_aggregate AS a WHERE a.aggfnoid = p.oid)
                              ELSE pg_get_functiondef(p.oid) END)
          FROM pg_proc AS p WHERE p.pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
        UNION ALL
        SELECT concat_ws(' | ', 'relation', o.name, o.relkind, o.acl, o.reloptions, obj_description(o.oid, 'pg_class'),
                         CASE WHEN o.relkind = 'v' THEN pg_get_viewdef(o.oid) END)
          FROM ours AS o WHERE o.relkind NOT IN ('i', 'I')
        UNION ALL
        SELECT concat_ws(' | ', 'column', o.name, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                         a.attidentity, a.attacl, pg_get_expr(d.adbin, d.adrelid), col_description(o.oid, a.attnum))
          FROM ours AS o JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef AS d ON d.adrelid = o.oid AND d.adnum = a.attnum
        UNION ALL
        SELECT concat_ws(' | ', 'constraint', o.name, k.conname, pg_get_constraintdef(k.oid))
          FROM ours AS o JOIN pg_constraint AS k ON k.conrelid = o.oid
        UNION ALL
        SELECT concat_ws(' | ', 'index', pg_get_indexdef(o.oid)) FROM ours AS o WHERE o.relkind IN ('i', 'I')
        UNION ALL
        SELECT concat_ws(' | ', 'trigger', o.name, t.tgenabled, pg_get_triggerdef(t.oid))
          FROM ours AS o JOIN pg_trigger AS t ON t.tgrelid = o.oid AND NOT t.tgisinternal
        UNION ALL
        SELECT concat_ws(' | ', 'event trigger', e.evtname, e.evtevent, e.evtenabled, e.evttags, e.evtfoid::regproc)
          FROM pg_event_trigger AS e
        UNION ALL
        SELECT concat_ws(' | ', 'dumped', c.relation::regclass, c.condition)
          FROM pg_extension AS e CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS c (relation, condition)
         WHERE e.extname = 'pg_seats'
        UNION ALL
        SELECT concat_ws(' | ', 'member', pg_describe_object(d.classid, d.objid, d.objsubid))
          FROM pg_depend AS d
         WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
           AND d.refobjid = (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'pg_seats')
        UNION ALL
        SELECT concat_ws(' | ', 'ring', r.*) FROM seats_internal.ring AS r) AS l (line)
 ORDER BY l.line COLLATE "C"
END
}
