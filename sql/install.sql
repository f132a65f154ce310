-- What CREATE EXTENSION makes, and the rules that all of it must keep.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on

-- The user interface: functions and procedures, then views with their columns.
SELECT p.oid::regprocedure, CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
       CASE p.provolatile WHEN 'v' THEN 'volatile' WHEN 's' THEN 'stable' ELSE 'immutable' END
  FROM pg_proc AS p
 WHERE p.pronamespace = 'seats'::regnamespace
 ORDER BY p.proname COLLATE "C", p.pronargs;

SELECT c.relname, string_agg(a.attname, ' ' ORDER BY a.attnum)
  FROM pg_class AS c
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = 'seats'::regnamespace AND c.relkind = 'v'
 GROUP BY c.relname
 ORDER BY c.relname COLLATE "C";

-- Nothing of it returns void, over which some drivers stumble after the commit, and no argument and no
-- column has a name that wants quotes.
SELECT p.oid::regprocedure FROM pg_proc AS p
 WHERE p.pronamespace = 'seats'::regnamespace AND p.prokind = 'f' AND p.prorettype = 'void'::regtype;
SELECT p.oid::regprocedure, n.name
  FROM pg_proc AS p CROSS JOIN unnest(p.proargnames) AS n (name)
 WHERE p.pronamespace = 'seats'::regnamespace AND quote_ident(n.name) <> n.name;
SELECT a.attrelid::regclass, a.attname
  FROM pg_class AS c
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = 'seats'::regnamespace AND c.relkind = 'v' AND quote_ident(a.attname) <> a.attname;

-- Tables and constraints, all with names of ours.
SELECT c.relname, string_agg(k.conname, ' ' ORDER BY k.conname COLLATE "C")
  FROM pg_class AS c
  LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype <> 'n'
 WHERE c.relnamespace = 'seats_internal'::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT c.relispartition
 GROUP BY c.relname
 ORDER BY c.relname COLLATE "C";

-- From here on every query lists what breaks a rule: nothing.
CREATE TEMP TABLE ours AS
SELECT 'pg_proc'::regclass AS catalog, oid, oid::regprocedure::text AS name, proacl AS acl,
       acldefault('f', proowner) AS default_acl
  FROM pg_proc WHERE pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
UNION ALL
SELECT 'pg_class', oid, oid::regclass::text, relacl,
       acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)
  FROM pg_class
 WHERE relnamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
   AND relkind IN ('r', 'p', 'v', 'S')
UNION ALL
SELECT 'pg_type', oid, oid::regtype::text, typacl, acldefault('T', typowner)
  FROM pg_type
 WHERE typnamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace) AND typelem = 0
   AND typrelid = 0
UNION ALL
SELECT 'pg_namespace', oid, nspname, nspacl, acldefault('n', nspowner)
  FROM pg_namespace WHERE nspname IN ('seats', 'seats_internal');

-- Everything in the two schemas belongs to the extension (identity sequences to their columns, and
-- row types to their tables).
SELECT o.name FROM ours AS o
 WHERE NOT EXISTS (SELECT FROM pg_depend AS d
                    WHERE d.classid = o.catalog AND d.objid = o.oid AND d.deptype IN ('e', 'i', 'P'));

-- PUBLIC has nothing.
SELECT o.name, a.privilege_type
  FROM ours AS o, aclexplode(coalesce(o.acl, o.default_acl)) AS a
 WHERE a.grantee = 0;

-- Every function that is not C has a pinned search_path; C functions name their schemas. (An
-- aggregate cannot have one, and needs none: it only names its functions. Nor does a single expression,
-- whose names were resolved when it was made, and which is inlined for want of the path.)
SELECT p.oid::regprocedure
  FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
 WHERE p.pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
   AND l.lanname <> 'c' AND p.prokind <> 'a' AND p.prosqlbody IS NULL
   AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false);

-- Nothing is SECURITY DEFINER, and everything public is C.
SELECT p.oid::regprocedure
  FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
 WHERE p.pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
   AND (p.prosecdef OR p.pronamespace = 'seats'::regnamespace AND l.lanname <> 'c');

-- Every door has its function behind it: same types, the caller's name in front.
SELECT door.oid::regprocedure
  FROM pg_proc AS door
 WHERE door.prosrc IN ('pg_seats_entry', 'pg_seats_application_entry',
                       'pg_seats_add_seats', 'pg_seats_remove_seats', 'pg_seats_set_seats', 'pg_seats_change_seats')
   AND NOT EXISTS (SELECT FROM pg_proc AS behind
                    WHERE behind.pronamespace = 'seats_internal'::regnamespace
                      AND behind.proname = door.proname
                      AND behind.proargtypes::text = concat_ws(' ', 'text'::regtype::oid,
                                                               nullif(door.proargtypes::text, ''))
                      AND behind.prorettype = door.prorettype
                      AND behind.proretset = door.proretset
                      AND behind.proowner = door.proowner
                      AND behind.provolatile = door.provolatile);

-- Everything has a comment: functions, views, tables.
SELECT o.name FROM ours AS o
  LEFT JOIN pg_class AS c ON o.catalog = 'pg_class'::regclass AND c.oid = o.oid
 WHERE obj_description(o.oid, o.catalog::text) IS NULL
   AND (o.catalog = 'pg_proc'::regclass OR c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition);

-- Every table has a primary key.
SELECT c.oid::regclass FROM pg_class AS c
 WHERE c.relnamespace = 'seats_internal'::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p');

-- Every table that has rows, and every sequence, is dumped; but not that somebody has adopted this very database.
SELECT c.oid::regclass FROM pg_class AS c
 WHERE c.relnamespace = 'seats_internal'::regnamespace AND c.relkind IN ('r', 'S')
   AND (c.relname <> 'adoption')
       IS DISTINCT FROM EXISTS (SELECT FROM pg_extension AS e
                    WHERE e.extname = 'pg_seats' AND c.oid = ANY (e.extconfig));

-- No function reads a backslash otherwise where somebody has switched standard_conforming_strings off.
SELECT p.oid::regprocedure FROM pg_proc AS p
 WHERE p.pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace) AND p.prolang <> 13
   AND strpos(regexp_replace(p.prosrc, $$\mE'[^']*'$$, '', 'g'), chr(92)) > 0;

-- No view shows a body, an answer, a context or a secret.
SELECT a.attrelid::regclass, a.attname
  FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'seats'::regnamespace
   AND a.attname ~ '^(body|answer|context|secret|.*client_secret)$';

-- No column is of a type that pg_upgrade refuses, or that means something else after a restore (but beside a name, where
-- both must be as they were).
SELECT a.attrelid::regclass, a.attname
  FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'seats_internal'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
   AND (a.atttypid::regtype::text ~ '^reg'
        OR a.atttypid = 'oid'::regtype
           AND NOT EXISTS (SELECT FROM pg_attribute AS n
                            WHERE n.attrelid = a.attrelid AND n.attname || '_oid' = a.attname));

-- The slots of the ring are the partitions that there are, and the views name all of them.
SELECT p.parent::regclass FROM (VALUES ('outbox_history'), ('attempt'), ('journal')) AS t (name)
 CROSS JOIN LATERAL (SELECT ('seats_internal.' || t.name)::regclass AS parent) AS p
 WHERE ARRAY(SELECT (p.parent || '_' || slot)::regclass FROM unnest(seats_internal.ring_slots()) AS slot)
       <> ARRAY(SELECT i.inhrelid::regclass FROM pg_inherits AS i WHERE i.inhparent = p.parent ORDER BY i.inhrelid);
SELECT v.viewname FROM pg_views AS v
 WHERE v.definition ~ '{[0-9,]+}.::smallint'
   AND strpos(v.definition, seats_internal.ring_slots()::text) = 0;
