-- Nobody's search_path, operators, temporary objects or names get into what runs as the owner.
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

BEGIN;
CREATE ROLE regress_seats_admin SUPERUSER;
CREATE ROLE "regress'; SELECT 1/0; --" ;
SET ROLE regress_seats_admin;
DELETE FROM seats_internal.installation;
DELETE FROM seats_internal.outbox;
INSERT INTO seats_internal.installation (uuid, timeline, created_by)
VALUES ('11111111-1111-4111-8111-111111111111', 1, 'regress');
INSERT INTO seats_internal.destination (name, base_url, secret, livemode, requests_per_second, created_by)
VALUES ('regress', 'http://127.0.0.1:9', 'key', false, 20, 'regress');
SELECT seats.grant_operator('regress''; SELECT 1/0; --');
SELECT seats.grant_application('regress''; SELECT 1/0; --');
SELECT seats.grant_call('regress''; SELECT 1/0; --', 'regress', '{POST}', '/v1/**');

-- A schema of traps: whatever of it runs is seen, because each function notes who ran it.
CREATE SCHEMA regress_trap;
GRANT ALL ON SCHEMA regress_trap TO "regress'; SELECT 1/0; --";
CREATE TABLE regress_trap.sprung (what text, who name DEFAULT current_user);
GRANT ALL ON regress_trap.sprung TO PUBLIC;
SET ROLE "regress'; SELECT 1/0; --";
CREATE FUNCTION regress_trap.note(what text) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO regress_trap.sprung VALUES ($1) $$;
DO $$
DECLARE
    f record;
BEGIN
    -- The operators that our functions use, for exactly the types that they use them with.
    FOR f IN SELECT * FROM (VALUES
        ('=', 'text', 'text'), ('<>', 'text', 'text'), ('~', 'text', 'text'), ('!~', 'text', 'text'),
        ('=', 'bigint', 'bigint'), ('<', 'bigint', 'bigint'), ('=', 'integer', 'integer'),
        ('=', 'uuid', 'uuid'), ('=', 'boolean', 'boolean'), ('=', 'smallint', 'smallint'),
        ('>', 'timestamptz', 'timestamptz'), ('=', 'name', 'text'), ('=', 'name', 'name'), ('+', 'bigint', 'integer'))
        AS o (op, l, r)
    LOOP
        EXECUTE format('CREATE FUNCTION regress_trap.op_%s(%s, %s) RETURNS boolean LANGUAGE plpgsql '
            'AS $f$ BEGIN PERFORM regress_trap.note(%L); RETURN true; END $f$',
            md5(f.op || f.l || f.r), f.l, f.r, f.op || ' ' || f.l);
        EXECUTE format('CREATE OPERATOR regress_trap.%s (LEFTARG = %s, RIGHTARG = %s, '
            'FUNCTION = regress_trap.op_%s)', f.op, f.l, f.r, md5(f.op || f.l || f.r));
    END LOOP;
    -- Functions by the names that ours call.
    FOR f IN SELECT * FROM (VALUES
        ('format', 'text, text', 'text'), ('concat_ws', 'text, text', 'text'),
        ('clock_timestamp', '', 'timestamptz'), ('now', '', 'timestamptz'),
        ('gen_random_uuid', '', 'uuid'), ('pg_current_xact_id', '', 'xid8'),
        ('jsonb_build_object', 'text, text', 'jsonb'), ('quote_ident', 'text', 'text'),
        ('array_position', 'text[], text', 'integer'), ('current_setting', 'text, boolean', 'text'),
        ('date_trunc', 'text, timestamptz', 'timestamptz'), ('starts_with', 'text, text', 'boolean'),
        ('has_function_privilege', 'text, text', 'boolean'))
        AS o (name, arguments, result)
    LOOP
        EXECUTE format('CREATE FUNCTION regress_trap.%I(%s) RETURNS %s LANGUAGE plpgsql '
            'AS $f$ BEGIN PERFORM regress_trap.note(%L); RETURN NULL; END $f$',
            f.name, f.arguments, f.result, f.name);
    END LOOP;
END
$$;
-- Tables, in the search_path and temporary: a temporary one would come before everything.
CREATE TABLE regress_trap.pg_roles (rolname name, rolsuper boolean);
CREATE TEMP TABLE pg_roles (rolname name, rolsuper boolean);
CREATE TEMP TABLE pg_proc (oid oid, proname name, pronamespace oid, proacl aclitem[]);
CREATE TEMP TABLE ring (slot smallint);
CREATE TEMP TABLE alert (id bigint);
INSERT INTO pg_temp.pg_roles VALUES ('regress''; SELECT 1/0; --', true);
SET search_path = pg_temp, regress_trap, pg_catalog;
-- The trap works: this is what must not happen inside.
SELECT 'a'::text = 'b'::text;
SELECT what, who FROM sprung;
TRUNCATE sprung;

SELECT seats.enqueue_call('regress', 'POST', '/v1/customers', '{"name": "x"}', 'lane') AS call \gset
SELECT seats.enqueue_call('regress', 'POST', '/v1/customers') AS other \gset
SELECT paused FROM seats.pause('regress', 'why');
SELECT seats.pause('regress', 'why', 'lane') IS NOT NULL;
SELECT paused FROM seats.resume('regress', 'why');
SELECT seats.resume('regress', 'why', 'lane') IS NOT NULL;
SELECT seats.retry(:call, 'why') IS NOT NULL;
SELECT seats.explain_call(:call) IS NOT NULL;
SELECT seats.cancel_call(:call, 'why') IS NOT NULL;
SET search_path = pg_catalog;
RESET ROLE;
UPDATE seats_internal.outbox SET state = 'review' WHERE id = :other;
SELECT seats_internal.raise_alert('regress', 'critical', 'test', 'x') AS alert \gset
INSERT INTO seats_internal.seat_type SELECT 'regress', 50, NULL, NULL, 'none', 'error_if_incomplete', 'none', true, now(), 'x';
WITH lane AS (INSERT INTO seats_internal.lane (destination, name) VALUES ('regress', '/v1/subscriptions/sub_regress') RETURNING id),
team AS (INSERT INTO seats_internal.team (name, destination, subscription, lane_id, status, items, registered_by)
         SELECT 'regress', 'regress', 'sub_regress', id, 'active', '[]', 'x' FROM lane RETURNING id),
member AS (INSERT INTO seats_internal.member (team_id, user_id, role) SELECT id, 'ada', 'owner' FROM team)
INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity) SELECT id, 'regress', 5, 5 FROM team;
SET ROLE "regress'; SELECT 1/0; --";
SET search_path = pg_temp, regress_trap, pg_catalog;
SELECT seats.acknowledge(:alert, 'why') IS NOT NULL;
-- In the plain case, and where SQL has to do it.
SELECT new_quantity FROM seats.add_seats('regress', 'regress', 3, 'ada');
SELECT new_quantity FROM seats.remove_seats('regress', 'regress', 1, 'ada', 'click');
SELECT new_quantity FROM seats.set_seats('regress', 'regress', 6, 'ada');
SELECT new_quantity FROM seats.set_seats('regress', 'regress', 4);
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 5 FROM seats.health;
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 5 FROM seats.metrics;
SELECT pg_catalog.count(*) FROM seats.reviews;
SELECT pg_catalog.count(*) FROM seats.blocked_lanes;
SELECT pg_catalog.count(*) FROM seats.calls;
SELECT seats.resolve_review(:other, 'executed', 'why') IS NOT NULL;
-- None was sprung.
SELECT what, who FROM regress_trap.sprung;
-- Not a superuser, whatever pg_roles says here.
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA seats TO "regress'; SELECT 1/0; --";
SET ROLE "regress'; SELECT 1/0; --";
SELECT pg_temp.try('SELECT seats.grant_monitor($$regress_seats_admin$$)');
-- Nor may the internal functions be called from outside, not even by name.
SELECT pg_temp.try('SELECT seats_internal.grant_monitor($$regress_seats_admin$$, $$regress$$)');
SET search_path = pg_catalog;
RESET ROLE;
-- (pg_temp.try itself stepped into some, as its caller.)
SELECT DISTINCT who FROM regress_trap.sprung;
TRUNCATE regress_trap.sprung;
SELECT kind, role FROM seats_internal.journal
 WHERE written_xid = pg_current_xact_id() AND role <> 'regress_seats_admin' ORDER BY id;

-- A schema that somebody has prepared is not taken.
DROP EXTENSION pg_seats CASCADE;
CREATE SCHEMA seats;
SELECT pg_temp.try('CREATE EXTENSION pg_seats');
DROP SCHEMA seats;
CREATE SCHEMA seats_internal;
SELECT pg_temp.try('CREATE EXTENSION pg_seats');
DROP SCHEMA seats_internal;
-- Nor is anything of a hostile search_path used by the install script.
SET search_path = pg_temp, regress_trap, pg_catalog;
CREATE EXTENSION pg_seats;
SELECT what, who FROM regress_trap.sprung;
SELECT pg_temp.try('CREATE EXTENSION pg_seats SCHEMA regress_trap');
ROLLBACK;
