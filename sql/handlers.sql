-- Handlers: functions of the application's own that run when a call has ended. What runs them are scenarios
-- 57_handlers and 58_handler_dispatch; here is what stands in the database.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.register_team('acme', 'sub_acme');
SELECT pg_temp.read('acme', '{"price_team": 5}');
CREATE ROLE regress_seats_app;
CREATE ROLE regress_seats_other;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO regress_seats_app;
CREATE FUNCTION app.paid(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION app.undo(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION app."Of another"(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION app.rows(call bigint, outcome jsonb, context jsonb) RETURNS SETOF integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.short(call bigint, outcome jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE PROCEDURE app.done(call bigint, outcome jsonb, context jsonb) LANGUAGE sql AS 'SELECT';
ALTER FUNCTION app."Of another" OWNER TO regress_seats_other;
REVOKE ALL ON FUNCTION app.undo FROM PUBLIC;

-- An open call, with handlers.
CREATE FUNCTION pg_temp.call(on_done text, on_refused text DEFAULT NULL, context jsonb DEFAULT NULL,
                             keep_settings text[] DEFAULT NULL, caller text DEFAULT 'regress_seats_app')
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    call bigint;
    lane bigint := (SELECT t.lane_id FROM seats_internal.team AS t WHERE t.name = 'acme');
BEGIN
    INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by)
    SELECT lane, i.uuid, 'stripe', 'POST', '/v1/path', 'a=1', call.caller FROM seats_internal.installation AS i
    RETURNING id INTO call;
    PERFORM seats_internal.make_handler(caller, call, lane, i.uuid, on_done, on_refused, call.context, keep_settings)
       FROM seats_internal.installation AS i;
    RETURN call;
END
$$;

-- What can be named.
SELECT pg_temp.try($$SELECT pg_temp.call('paid')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.paid(bigint, jsonb, jsonb)')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.missing')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.short')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.rows')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.done')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.paid', 'app.undo')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app."Of another"')$$);

-- The rest is the superuser's, whose functions may be anybody's handlers.
ALTER FUNCTION app.undo OWNER TO CURRENT_USER;
GRANT EXECUTE ON FUNCTION app.undo TO regress_seats_app;
SELECT pg_temp.try($$SELECT pg_temp.call('app."Of another"', caller => 'regress_seats_other')$$);
GRANT USAGE ON SCHEMA app TO regress_seats_other;
SELECT pg_temp.try($$SELECT pg_temp.call('app."Of another"', caller => 'regress_seats_other')$$);
SELECT pg_temp.try($$SELECT pg_temp.call(NULL, NULL, keep_settings => '{app.tenant}')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.paid', keep_settings => '{search_path}')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.paid', keep_settings => '{pg_seats.key_lifetime}')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app.paid', keep_settings => ARRAY(SELECT 'app.s' || i FROM generate_series(1, 21) AS i))$$);
DELETE FROM seats_internal.outbox;
DELETE FROM seats_internal.handler;
ALTER SEQUENCE seats_internal.outbox_id_seq RESTART;

CREATE VIEW pg_temp.handlers AS
SELECT h.call_id AS call, h.on_done, h.on_refused, h.settings, h.context, h.outcome
  FROM seats_internal.handler AS h ORDER BY h.call_id;
SET app.tenant = '7';
SELECT pg_temp.call('app.paid', 'App . undo', '{"order": 1}', '{app.tenant,app.unknown}');
SELECT pg_temp.call('app.paid');
SELECT pg_temp.call('app.paid', 'app.undo');
SELECT pg_temp.call('app.paid', 'app.undo');
SELECT pg_temp.call(NULL, NULL);
SELECT * FROM pg_temp.handlers;

-- Ends: told where there is a function for the result, forgotten where there is none.
SELECT seats_internal.settle_by_hand('operator', 1, 'done', 'executed_by_operator', 'person');
SELECT seats_internal.settle_by_hand('operator', 2, 'refused', 'refused_by_operator', 'person');
SELECT seats_internal.settle_by_hand('operator', 3, 'cancelled', 'cancelled_by_operator', 'none needed');
SELECT * FROM pg_temp.handlers;
SELECT call_id, role_is_same, starts FROM seats_internal.waiting_handlers(0, 10);
SELECT call_id, role_is_same, starts FROM seats_internal.handed_handlers('{3,4}');

-- In the order of the lane.
SELECT * FROM seats_internal.take_handler(3);
SELECT * FROM seats_internal.take_handler(4);
SELECT * FROM seats_internal.take_handler(1);
SELECT * FROM seats_internal.take_handler(1);
SELECT * FROM seats_internal.take_handler(3);
ROLLBACK;
