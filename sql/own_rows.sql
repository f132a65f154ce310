-- Rows that the library writes without a statement (src/functions/own_rows.cpp) are those that a statement writes, whatever
-- somebody has hung on their tables; and every index has them.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}', 100);
SELECT seats.register_team('acme', 'sub_1') \g /dev/null
SELECT seats.add_member('acme', 'ada', role => 'owner') \g /dev/null
SELECT pg_temp.read('acme', '{"price_team": 5}');
CREATE TABLE public.noted (what text);

-- After `change` a change of seats and a call of a lane are made, and the same again by statements. What the rows have
-- beside what is theirs alone, and `look`; or what was raised. All of it is undone.
CREATE FUNCTION pg_temp.after(change text, look text DEFAULT '1') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said    text;
    columns text := 'lane_id, installation, destination, method, path, body, verifier, enqueued_by, context, kind, team_id, actor, lines';
BEGIN
    EXECUTE change;
    SELECT previous_quantity || ' to ' || new_quantity INTO said FROM seats.add_seats('acme', 'team', 1, 'ada', request_key => 'one');
    PERFORM seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "Ada"}', lane => v.lane, context => '{"a": 1}')
       FROM (VALUES ('one'), ('one'), (NULL)) AS v (lane);
    EXECUTE format('INSERT INTO seats_internal.outbox (%1$s) SELECT %1$s FROM seats_internal.outbox AS o WHERE o.kind <> $1 ORDER BY o.id',
                   columns) USING 'read';
    SELECT concat_ws(', ', said,
        (SELECT CASE WHEN count(*) = 8 AND count(DISTINCT to_jsonb(o) - '{id,uuid}'::text[]) = 3 AND count(DISTINCT o.id) = 8
                      AND count(DISTINCT o.uuid) = 8 THEN 'same' ELSE jsonb_pretty(jsonb_agg(jsonb_strip_nulls(to_jsonb(o)))) END
           FROM seats_internal.outbox AS o WHERE o.kind <> 'read'),
        (SELECT l.quantity || ' seats' FROM seats_internal.seat_line AS l),
        (SELECT string_agg(l.version::text, ' ' ORDER BY l.id) FROM seats_internal.lane AS l))
      INTO said;
    SET LOCAL enable_seqscan = off;
    EXECUTE 'SELECT ' || look INTO look;
    RAISE EXCEPTION USING ERRCODE = 'ZZ001', MESSAGE = concat_ws(': ', said, look);
EXCEPTION
    WHEN SQLSTATE 'ZZ001' THEN
        RETURN SQLERRM;
    WHEN OTHERS THEN
        RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT pg_temp.after('SELECT');
-- Columns.
SELECT pg_temp.after($$ALTER TABLE seats_internal.outbox ADD COLUMN more text, ADD COLUMN at timestamptz;
    ALTER TABLE seats_internal.outbox ALTER more SET DEFAULT 'more', ALTER at SET DEFAULT now()$$,
    $$(SELECT string_agg(DISTINCT more || (at = now()), ', ') FROM seats_internal.outbox)$$);
SELECT pg_temp.after($$ALTER TABLE seats_internal.outbox ALTER state SET DEFAULT 'waiting', ALTER reason SET DEFAULT 'it stands'$$,
    $$(SELECT string_agg(DISTINCT concat_ws(' ', state, standing, reason), ', ') FROM seats_internal.outbox WHERE kind <> 'read')$$);
SELECT pg_temp.after($$CREATE FUNCTION public.size_of() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    ALTER TABLE seats_internal.outbox ALTER tries SET DEFAULT public.size_of();
    DO 'BEGIN PERFORM seats.enqueue_call(''stripe'', ''POST'', ''/v1/customers''); END'; DELETE FROM seats_internal.outbox WHERE tries = 1;
    CREATE OR REPLACE FUNCTION public.size_of() RETURNS integer LANGUAGE sql AS 'SELECT 2'$$,
    $$(SELECT string_agg(DISTINCT tries::text, ' ') FROM seats_internal.outbox WHERE kind <> 'read')$$);
-- (A default that makes calls itself.)
CREATE FUNCTION public.calling() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) < 3 FROM public.noted) THEN
        INSERT INTO public.noted VALUES ('a call');
        CREATE OR REPLACE FUNCTION public.size_of() RETURNS integer LANGUAGE sql AS 'SELECT 1';
        PERFORM seats.enqueue_call('stripe', 'POST', '/v1/customers', context => to_jsonb(repeat('x', 3000)));
    END IF;
    RETURN repeat('y', 2000);
END
$$;
SELECT pg_temp.after($$ALTER TABLE seats_internal.outbox ALTER reason SET DEFAULT public.calling();
    DO 'BEGIN PERFORM seats.enqueue_call(''stripe'', ''POST'', ''/v1/customers''); END';
    DO 'BEGIN PERFORM seats.enqueue_call(''stripe'', ''POST'', ''/v1/customers''); END';
    DELETE FROM public.noted; INSERT INTO public.noted SELECT count(DISTINCT o.uuid) FROM seats_internal.outbox AS o WHERE o.kind = 'call';
    ALTER TABLE seats_internal.outbox ALTER reason DROP DEFAULT; DELETE FROM seats_internal.outbox WHERE kind = 'call'$$,
    '(SELECT what FROM public.noted)');
SELECT pg_temp.after($$ALTER TABLE seats_internal.request_key ADD COLUMN size integer GENERATED ALWAYS AS (length(request_key)) STORED,
    DROP COLUMN created_at, ADD COLUMN more text DEFAULT 'more', ADD COLUMN created_at timestamptz DEFAULT now()$$,
    '(SELECT size || more || (created_at = now()) FROM seats_internal.request_key)');
SELECT pg_temp.after('ALTER TABLE seats_internal.request_key ADD COLUMN relation oid GENERATED ALWAYS AS (tableoid) STORED',
    '(SELECT relation::regclass FROM seats_internal.request_key)');
SELECT pg_temp.after('CREATE DOMAIN public.said AS text NOT NULL; ALTER TABLE seats_internal.request_key ADD COLUMN more public.said');
SELECT pg_temp.after('ALTER TABLE seats_internal.request_key ALTER request_key TYPE varchar(2)');
SELECT pg_temp.after('ALTER TABLE seats_internal.outbox ALTER reason SET NOT NULL');
SELECT pg_temp.after('ALTER TABLE seats_internal.seat_line ADD COLUMN twice integer GENERATED ALWAYS AS (2 * quantity) STORED',
    '(SELECT twice FROM seats_internal.seat_line)');
-- Checks.
SELECT pg_temp.after('ALTER TABLE seats_internal.outbox ADD CONSTRAINT no_calls CHECK (team_id IS NOT NULL)');
SELECT pg_temp.after('ALTER TABLE seats_internal.seat_line ADD CONSTRAINT few CHECK (quantity < 6)');
SELECT pg_temp.after('ALTER TABLE seats_internal.lane ADD CONSTRAINT young CHECK (version < 3)');
-- Triggers and rules.
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.noted VALUES (concat_ws(' ', tg_when, tg_op, tg_table_name));
    RETURN NEW;
END
$$;
SELECT pg_temp.after(format('CREATE TRIGGER noting %s ON seats_internal.%I FOR EACH ROW EXECUTE FUNCTION public.note()', t.fires, t.relation),
    '(SELECT string_agg(DISTINCT what || $$ $$ || count, $$, $$) FROM (SELECT what, count(*) FROM public.noted GROUP BY 1) AS n)')
  FROM (VALUES ('BEFORE INSERT', 'outbox'), ('AFTER INSERT', 'outbox'), ('BEFORE UPDATE', 'seat_line'), ('AFTER UPDATE', 'seat_line'),
               ('BEFORE UPDATE', 'lane'), ('AFTER UPDATE', 'lane'), ('AFTER INSERT', 'request_key')) AS t (fires, relation);
SELECT pg_temp.after('CREATE RULE noting AS ON INSERT TO seats_internal.outbox DO ALSO INSERT INTO public.noted VALUES (NEW.path)',
    '(SELECT count(*) FROM public.noted)');
SELECT pg_temp.after('CREATE RULE noting AS ON UPDATE TO seats_internal.seat_line DO ALSO INSERT INTO public.noted VALUES (NEW.seat_type)',
    '(SELECT count(*) FROM public.noted)');
CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SELECT pg_temp.after('CREATE TRIGGER swallowing BEFORE INSERT ON seats_internal.outbox FOR EACH ROW EXECUTE FUNCTION public.swallow()');
SELECT pg_temp.after('CREATE TRIGGER swallowing BEFORE INSERT ON seats_internal.outbox FOR EACH ROW WHEN (NEW.kind = $$call$$)
    EXECUTE FUNCTION public.swallow()');
-- Foreign keys of somebody's own.
SELECT pg_temp.after('CREATE TABLE public.mine AS SELECT l.id, l.version FROM seats_internal.lane AS l LIMIT 1;
    ALTER TABLE public.mine ADD FOREIGN KEY (id) REFERENCES seats_internal.lane (id)');
SELECT pg_temp.after('ALTER TABLE seats_internal.lane ADD UNIQUE (id, version); CREATE TABLE public.mine AS
    SELECT l.id, l.version FROM seats_internal.lane AS l LIMIT 1;
    ALTER TABLE public.mine ADD FOREIGN KEY (id, version) REFERENCES seats_internal.lane (id, version)');
-- Children have rows of the table, too.
SELECT pg_temp.after('CREATE TABLE public.child () INHERITS (seats_internal.seat_line); WITH gone AS (DELETE FROM seats_internal.seat_line
    RETURNING *) INSERT INTO public.child SELECT * FROM gone', '(SELECT count(*) FROM public.child)');
-- Publications.
SET client_min_messages = error;
SELECT pg_temp.after('CREATE PUBLICATION mine FOR TABLE seats_internal.lane, seats_internal.seat_line, seats_internal.outbox');
SELECT pg_temp.after('CREATE PUBLICATION mine FOR TABLE seats_internal.lane; ALTER TABLE seats_internal.lane REPLICA IDENTITY NOTHING');
SELECT pg_temp.after('CREATE PUBLICATION mine FOR TABLE seats_internal.seat_line; ALTER TABLE seats_internal.seat_line REPLICA IDENTITY NOTHING');

-- Indexes.
SELECT pg_temp.after('CREATE INDEX mine ON seats_internal.outbox (lower(path)) WHERE kind = $$call$$',
    '(SELECT count(*) FROM seats_internal.outbox WHERE lower(path) = $$/v1/customers$$ AND kind = $$call$$)');
SELECT pg_temp.after('CREATE INDEX mine ON seats_internal.outbox USING hash (path)',
    '(SELECT count(*) FROM seats_internal.outbox WHERE path = $$/v1/customers$$)');
SELECT pg_temp.after('CREATE INDEX mine ON seats_internal.outbox USING gin (context)',
    '(SELECT count(*) FROM seats_internal.outbox WHERE context @> $${"a": 1}$$)');
SELECT pg_temp.after('CREATE INDEX mine ON seats_internal.lane (version)', '(SELECT count(*) FROM seats_internal.lane WHERE version > 1)');
SELECT pg_temp.after('CREATE UNIQUE INDEX mine ON seats_internal.outbox (path) WHERE kind <> $$read$$');
SELECT pg_temp.after('ALTER TABLE seats_internal.outbox ADD CONSTRAINT mine UNIQUE (path, body) DEFERRABLE');
SELECT pg_temp.after('ALTER TABLE seats_internal.outbox ADD CONSTRAINT mine EXCLUDE (body WITH =)');
SELECT pg_temp.after('DROP INDEX seats_internal.outbox_by_lane');
SELECT pg_temp.after('SELECT');

-- Many versions of one row do not fit on its page: each index leads to the newest all the same.
SELECT pg_temp.after(
    $$DO 'BEGIN FOR number IN 1 .. 400 LOOP PERFORM FROM seats.add_seats(''acme'', ''team'', 1, ''ada'');
        PERFORM seats.enqueue_call(''stripe'', ''POST'', ''/v1/customers'', lane => ''one''); END LOOP; DELETE FROM seats_internal.outbox; END'$$,
    $$concat_ws(' ',
        (SELECT sum(l.version) FROM seats_internal.lane AS l WHERE l.id = ANY (ARRAY(SELECT i.id FROM seats_internal.lane AS i))),
        (SELECT sum(l.version) FROM seats_internal.lane AS l WHERE l.destination = 'stripe' AND l.name IN ('one', '/v1/subscriptions/sub_1')),
        (SELECT sum(l.version) FROM seats_internal.lane AS l WHERE l.used_on = CURRENT_DATE),
        (SELECT quantity FROM seats_internal.seat_line WHERE seat_type = 'team' AND team_id = (SELECT id FROM seats_internal.team)))$$);
ROLLBACK;
