-- Who may do what: exactly what each kind of user needs, and PUBLIC nothing.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
-- Where pg_seats is not preloaded, each session is warned once.
SET client_min_messages = error;
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET intervalstyle = 'postgres';
\pset format unaligned
\pset tuples_only on

-- Runs a statement and shows what it raised; times and uuids are of no interest here.
CREATE FUNCTION pg_temp.plain(words text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace($1,
        '\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d(:\d\d)?', '<time>', 'g'),
        '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', '<uuid>', 'g'),
        '\((\d+ days? ?)?[0-9:]{8}\)', '(<age>)', 'g')
$$;
CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; details text; hints text;
BEGIN
    EXECUTE command;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        details = PG_EXCEPTION_DETAIL, hints = PG_EXCEPTION_HINT;
    RETURN pg_temp.plain(concat_ws(E'\n  ', state || ': ' || message, nullif(details, ''),
                                   nullif(hints, '')));
END
$$;

-- In a transaction that is rolled back, roles and all.
BEGIN;
CREATE ROLE regress_seats_admin SUPERUSER;
CREATE ROLE regress_seats_nobody;
CREATE ROLE "Regress seats App";
CREATE ROLE regress_seats_monitor;
CREATE ROLE regress_seats_operator;
CREATE ROLE regress_seats_member IN ROLE "Regress seats App";
SET ROLE regress_seats_admin;
DELETE FROM seats_internal.installation;
INSERT INTO seats_internal.installation (uuid, timeline, created_by)
VALUES ('11111111-1111-4111-8111-111111111111', 1, 'regress');
INSERT INTO seats_internal.destination (name, base_url, secret, livemode, requests_per_second, created_by)
VALUES ('regress', 'http://127.0.0.1:9', 'key', false, 20, 'regress');

-- What a role can do, besides what PUBLIC can; columns: kind, name.
CREATE FUNCTION pg_temp.can(role name) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT 'schema ' || nspname || ' ' || p FROM pg_namespace, unnest('{USAGE,CREATE}'::text[]) AS p
     WHERE nspname IN ('seats', 'seats_internal') AND has_schema_privilege(role, oid, p)
    UNION ALL
    SELECT 'routine ' || pronamespace::regnamespace || '.' || proname FROM pg_proc
     WHERE pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
       AND has_function_privilege(role, oid, 'EXECUTE')
    UNION ALL
    SELECT 'relation ' || oid::regclass || ' ' || p
      FROM pg_class, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p
     WHERE relnamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
       AND CASE WHEN relkind IN ('r', 'p', 'v') THEN has_table_privilege(role, oid, p) END
    UNION ALL
    SELECT 'sequence ' || oid::regclass FROM pg_class
     WHERE relnamespace = 'seats_internal'::regnamespace
       AND CASE relkind WHEN 'S' THEN has_sequence_privilege(role, oid, 'USAGE,SELECT,UPDATE') END
    UNION ALL
    SELECT 'type ' || oid::regtype FROM pg_type
     WHERE typnamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
       AND typelem = 0 AND typrelid = 0 AND has_type_privilege(role, oid, 'USAGE')
    ORDER BY 1
$$;
SELECT * FROM pg_temp.can('regress_seats_nobody');

-- application: waiting and answers. Names are quoted.
SELECT seats.grant_application('Regress seats App');
SELECT * FROM pg_temp.can('Regress seats App');
SELECT seats.revoke_application('Regress seats App');
SELECT * FROM pg_temp.can('Regress seats App');

-- call: enqueueing, by destination, method and path.
SELECT seats.grant_call('Regress seats App', 'regress', '{POST,DELETE,POST}', '/v1/subscriptions/*');
SELECT seats.grant_call('Regress seats App', 'regress', '{POST}', '/v1/subscriptions/*');
SELECT seats.grant_call('Regress seats App', 'regress', '{GET}', '/v1/**');
SELECT * FROM pg_temp.can('Regress seats App');
SELECT grantee, destination, method, path, granted_by FROM seats_internal.call_grant
 WHERE destination = 'regress' ORDER BY path, method;
SET ROLE regress_seats_member;
SELECT pg_temp.try($$SELECT seats.enqueue_call('regress', 'POST', '/v1/subscriptions/sub_1')$$);
SELECT pg_temp.try($$SELECT seats.enqueue_call('regress', 'POST', '/v1/refunds')$$) LIKE '42501%' AS refused;
RESET ROLE;
SELECT enqueued_by, method, path FROM seats_internal.outbox WHERE destination = 'regress';
SET ROLE regress_seats_admin;
SELECT seats.revoke_call('Regress seats App', 'regress', '{GET,POST}', '/v1/subscriptions/*');
SELECT pg_temp.try($$SELECT seats.revoke_call('Regress seats App', 'regress', '{POST}', '/v1/subscriptions/*')$$);
SELECT seats.revoke_call('Regress seats App', 'regress', '{DELETE}', '/v1/subscriptions/*');
SELECT has_function_privilege('Regress seats App',
    'seats.enqueue_call(text, text, text, jsonb, text, jsonb, text, text, text, text[])', 'EXECUTE');
SELECT seats.revoke_call('Regress seats App', 'regress', '{GET}', '/v1/**');
SELECT * FROM pg_temp.can('Regress seats App');
-- A role that is dropped takes its grants along: the next of its name gets them neither by itself, nor by being a
-- member of another that may enqueue, nor with a grant of its own.
CREATE ROLE regress_seats_short;
SELECT seats.grant_call('regress_seats_short', 'regress', '{POST}', '/v1/**');
SELECT seats.grant_call('Regress seats App', 'regress', '{GET}', '/v1/balance');
DROP OWNED BY regress_seats_short;
DROP ROLE regress_seats_short;
CREATE ROLE regress_seats_short IN ROLE "Regress seats App";
SET ROLE regress_seats_short;
SELECT pg_temp.try($$SELECT seats.enqueue_call('regress', 'GET', '/v1/balance')$$);
SELECT pg_temp.try($$SELECT seats.enqueue_call('regress', 'POST', '/v1/refunds')$$) LIKE '42501%' AS refused;
SET ROLE regress_seats_admin;
SELECT seats.grant_call('regress_seats_short', 'regress', '{POST}', '/v1/customers');
SELECT role, method, path_pattern FROM seats.call_grants WHERE role = 'regress_seats_short';
SET ROLE regress_seats_short;
SELECT pg_temp.try($$SELECT seats.enqueue_call('regress', 'POST', '/v1/customers')$$);
SELECT pg_temp.try($$SELECT seats.enqueue_call('regress', 'POST', '/v1/refunds')$$) LIKE '42501%' AS refused;
SET ROLE regress_seats_admin;
DELETE FROM seats_internal.outbox WHERE enqueued_by = 'regress_seats_short';
SELECT seats.revoke_call('regress_seats_short', 'regress', '{POST}', '/v1/customers');
SELECT seats.revoke_call('Regress seats App', 'regress', '{GET}', '/v1/balance');
SELECT pg_temp.try(format('SELECT seats.grant_call(%s)', arguments))
  FROM (VALUES (1, $$'nobody here', 'regress', '{GET}', '/v1/a'$$),
               (2, $$'public', 'regress', '{GET}', '/v1/a'$$),
               (3, $$'regress_seats_nobody', 'nowhere', '{GET}', '/v1/a'$$),
               (4, $$'regress_seats_nobody', 'regress', '{}', '/v1/a'$$),
               (5, $$'regress_seats_nobody', 'regress', '{{POST},{GET}}', '/v1/a'$$),
               (6, $$'regress_seats_nobody', 'regress', '{PUT}', '/v1/a'$$),
               (7, $$'regress_seats_nobody', 'regress', '{GET}', '/v1/a?b=c'$$),
               (8, $$'regress_seats_nobody', 'regress', '{GET}', NULL$$)) AS t (n, arguments)
 ORDER BY n;

-- monitor: every view can be read, and nothing else.
SELECT seats.grant_monitor('regress_seats_monitor');
SELECT * FROM pg_temp.can('regress_seats_monitor');
SET ROLE regress_seats_monitor;
SELECT relname, pg_temp.try('SELECT * FROM seats.' || relname) FROM pg_class
 WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'seats') AND relkind = 'v'
 ORDER BY relname COLLATE "C";
SELECT seats.explain_call(call) ~ '^Call' FROM seats.outbox WHERE destination = 'regress';
SELECT pg_temp.try('SELECT seats.pause($$regress$$, $$why$$)');
SELECT pg_temp.try('SELECT * FROM seats_internal.outbox');
RESET ROLE;

-- operator: a monitor with verbs, whose own name stands in the journal, not that of the session.
SET ROLE regress_seats_admin;
SELECT seats.grant_operator('regress_seats_operator');
SELECT * FROM pg_temp.can('regress_seats_operator')
EXCEPT SELECT * FROM pg_temp.can('regress_seats_monitor') ORDER BY 1;
SELECT * FROM pg_temp.can('regress_seats_monitor')
EXCEPT SELECT * FROM pg_temp.can('regress_seats_operator') ORDER BY 1;
SET ROLE regress_seats_operator;
SELECT seats.pause('regress', 'maintenance');
SELECT kind, role FROM seats.journal WHERE kind = 'destination.paused' AND reason = 'maintenance';
SELECT current_user;
SELECT pg_temp.try('SELECT seats.pause($$regress$$, $$again$$)') ~ '^PS406';
SELECT current_user;
RESET ROLE;

-- The superusers' functions refuse others even if somebody granted them.
GRANT USAGE ON SCHEMA seats TO regress_seats_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA seats TO regress_seats_nobody;
SET ROLE regress_seats_nobody;
SELECT pg_temp.try('SELECT ' || call)
  FROM (VALUES (1, 'seats.create_installation()'), (2, 'seats.adopt_database($$x$$, true)'),
               (3, 'seats.define_destination($$d$$, $$https://a.example$$, $$k$$, livemode => true)'),
               (4, 'seats.grant_operator($$regress_seats_nobody$$)'),
               (5, 'seats.revoke_operator($$regress_seats_operator$$)'),
               (6, 'seats.grant_call($$regress_seats_nobody$$, $$regress$$, $${POST}$$, $$/v1/**$$)'),
               (7, 'seats.revoke_call($$regress_seats_nobody$$, $$regress$$, $${POST}$$, $$/v1/**$$)'))
       AS t (n, call) ORDER BY n;
RESET ROLE;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA seats FROM regress_seats_nobody;
REVOKE ALL ON SCHEMA seats FROM regress_seats_nobody;

-- A role of two kinds keeps what the other kind needs; then nothing is left.
SET ROLE regress_seats_admin;
SELECT seats.grant_application('regress_seats_operator');
SELECT seats.revoke_operator('regress_seats_operator');
SELECT * FROM pg_temp.can('regress_seats_operator');
SELECT seats.revoke_application('regress_seats_operator');
CREATE TEMPORARY TABLE monitors_rights AS SELECT * FROM pg_temp.can('regress_seats_monitor') AS c (has);
SELECT seats.grant_application('regress_seats_monitor');
SELECT seats.revoke_application('regress_seats_monitor');
SELECT has FROM monitors_rights EXCEPT SELECT * FROM pg_temp.can('regress_seats_monitor') ORDER BY 1;
SELECT seats.revoke_monitor('regress_seats_monitor');
SELECT * FROM pg_temp.can('regress_seats_operator');
SELECT * FROM pg_temp.can('regress_seats_monitor');
SELECT pg_temp.try('SELECT seats.grant_monitor($$public$$)');
SELECT pg_temp.try('SELECT seats.grant_monitor(NULL)');
SELECT kind, reason, detail FROM seats_internal.journal
 WHERE written_xid = pg_current_xact_id() AND kind LIKE 'privilege.%' ORDER BY id;

-- Each kind of user can read each column of the views that it may read: functions in them run with his own rights.
CREATE FUNCTION pg_temp.cannot_read(role name) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    one regclass;
BEGIN
    FOR one IN SELECT c.oid::regclass FROM pg_class AS c
                WHERE c.relnamespace = 'seats'::regnamespace AND c.relkind = 'v' AND has_table_privilege(role, c.oid, 'SELECT')
                ORDER BY 1
    LOOP
        BEGIN
            EXECUTE format('SET LOCAL ROLE %I', role);
            EXECUTE format('SELECT v::text FROM %s AS v', one);
        EXCEPTION WHEN insufficient_privilege THEN
            RETURN NEXT concat_ws(': ', role, one, SQLERRM);
        END;
        SET LOCAL ROLE regress_seats_admin;
    END LOOP;
END
$$;
SELECT seats.grant_application('Regress seats App'), seats.grant_payments('regress_seats_member'),
       seats.grant_monitor('regress_seats_monitor'), seats.grant_operator('regress_seats_operator');
REVOKE "Regress seats App" FROM regress_seats_member;
SELECT pg_temp.cannot_read(r) FROM unnest('{Regress seats App,regress_seats_member,regress_seats_monitor,regress_seats_operator}'::name[]) AS r;
ROLLBACK;
