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
    PERFORM seats_internal.make_handler(caller, call, lane, i.uuid, ROW(on_done, on_refused, call.context, keep_settings))
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
SELECT length(set_config('app.tenant', repeat('x', 1048576), false));
SELECT pg_temp.try($$SELECT pg_temp.call('app.paid', keep_settings => '{app.tenant}')$$);
RESET app.tenant;
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
SELECT * FROM pg_temp.handlers;

-- Ends: told where there is a function for the result, forgotten where there is none.
SELECT seats_internal.settle_by_hand('operator', 1, 'done', 'executed_by_operator', 'person');
SELECT seats_internal.settle_by_hand('operator', 2, 'refused', 'refused_by_operator', 'person');
SELECT seats_internal.settle_by_hand('operator', 3, 'cancelled', 'cancelled_by_operator', 'none needed');
SELECT * FROM pg_temp.handlers;
SELECT call_id, role_is_same, starts FROM seats_internal.waiting_handlers(0, 10);
SELECT call_id, role_is_same, starts FROM seats_internal.handed_handlers('{3,4}');

-- In the order of the lane.
SELECT state, function, outcome, context, settings FROM seats_internal.take_handler(3);
SELECT state, function, outcome, context, settings FROM seats_internal.take_handler(4);
SELECT state, function, outcome, context, settings FROM seats_internal.take_handler(1);
SELECT state, function, outcome, context, settings FROM seats_internal.take_handler(1);
SELECT state, function, outcome, context, settings FROM seats_internal.take_handler(3);

-- ---- failing: five tries by its own fault, twenty more against others; then a person
DELETE FROM seats_internal.outbox;
DELETE FROM seats_internal.handler;
CREATE FUNCTION pg_temp.ended(on_done text, result text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    call bigint := pg_temp.call(on_done, 'app.undo', '{"order": 1}');
BEGIN
    PERFORM seats_internal.settle_by_hand('operator', call, result, result || '_by_operator', 'person');
    RETURN call;
END
$$;
CREATE FUNCTION pg_temp.fail(call bigint, code text, careful boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    -- (Between three and five quarters of it.)
    SELECT CASE WHEN f.retry_ms BETWEEN 750 AND 1250 THEN 'a second'
                WHEN f.retry_ms BETWEEN 3000 AND 5000 THEN 'four seconds'
                WHEN f.retry_ms BETWEEN 12000 AND 20000 THEN 'sixteen seconds'
                WHEN f.retry_ms BETWEEN 48000 AND 80000 THEN 'a minute'
                WHEN f.retry_ms < 750 THEN 'soon' ELSE coalesce(f.retry_ms::text, 'not by itself') END
      FROM seats_internal.handler_failed(call, code, 'no such coupon', 'Key (id)=(7).', 'SQL function "undo"', careful) AS f
$$;
CREATE FUNCTION pg_temp.state(call bigint) RETURNS text LANGUAGE sql AS $$
    SELECT format('tries %s, retries %s, starts %s%s%s, %s: %s (%s)', h.tries, h.retries, h.starts,
                  CASE WHEN h.careful THEN ', careful' END,
                  ', review: ' || h.review_reason, h.error_code, h.error, h.error_context)
      FROM seats_internal.handler AS h WHERE h.call_id = call
$$;
SELECT pg_temp.ended('app.paid', 'refused') AS a \gset
SELECT pg_temp.ended('app.paid', 'done') AS b \gset
SELECT count(*) > 0 FROM pg_temp.news();
SELECT pg_temp.fail(:a, '23503') FROM generate_series(1, 4);
SELECT pg_temp.state(:a);
SELECT pg_temp.fail(:a, NULL, true);
SELECT pg_temp.state(:a);
SELECT pg_temp.news();
SELECT pg_temp.alerts();
-- It holds up its lane until that is decided, and is offered no more, nor is what stands behind it.
SELECT call_id FROM seats_internal.waiting_handlers(0, 10);
SELECT state FROM seats_internal.take_handler(:a);
SELECT state FROM seats_internal.take_handler(:b);
SELECT pg_temp.fail(:a, '23503');
-- What people see.
SELECT pg_temp.call('app.paid', 'app.undo') AS open \gset
SELECT call - :a AS call, lane, role, on_done, on_refused, result, function, state, running_since, pid, tries, retries,
       next_try_at, error, error_code, error_context, failed_at IS NULL AS never_failed, review_since IS NULL AS no_review,
       review_reason, behind - :a AS behind, ended_at IS NULL AS not_ended
  FROM seats.handlers ORDER BY handlers.call;
DELETE FROM seats_internal.handler WHERE call_id IN (:a, :open);
DELETE FROM seats_internal.outbox;
SELECT pg_temp.fail(:b, '40P01', true);
SELECT pg_temp.state(:b);
SELECT state, next_try_at > now(), tries, retries, behind FROM seats.handlers;
SELECT count(pg_temp.fail(:b, '40001')) FROM generate_series(2, 20);
SELECT pg_temp.state(:b);
SELECT count(pg_temp.fail(:b, '55P03')) FROM generate_series(1, 4);
SELECT pg_temp.fail(:b, '55P03');
SELECT pg_temp.state(:b);
SELECT pg_temp.fail(:a, '23503');
SELECT pg_temp.alerts();

-- ---- starts: suspects run by themselves, and the third time it is a person's
SELECT pg_temp.ended(NULL, 'refused') AS c \gset
SELECT pg_temp.ended(NULL, 'refused') AS d \gset
DELETE FROM seats_internal.handler WHERE call_id = :b;
SELECT seats_internal.count_starts(ARRAY[:c, :d]);
SELECT pg_temp.state(:c), pg_temp.state(:d);
SELECT seats_internal.count_starts(ARRAY[:c]);
SELECT seats_internal.count_starts(ARRAY[:d]);
SELECT seats_internal.forget_starts(ARRAY[:d]);
SELECT pg_temp.state(:c), pg_temp.state(:d);
SELECT seats_internal.count_starts(ARRAY[:c]), seats_internal.count_starts(ARRAY[:c]);
SELECT seats_internal.starts_after_crash();
SELECT pg_temp.state(:c), pg_temp.state(:d);
DELETE FROM seats_internal.handler WHERE call_id = :c;

-- ---- what is no longer as it was
CREATE FUNCTION pg_temp.after(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    call bigint := (SELECT max(h.call_id) FROM seats_internal.handler AS h);
    took text;
    why  text;
BEGIN
    EXECUTE change;
    took := (seats_internal.take_handler(call)).state;
    why := (SELECT h.review_reason FROM seats_internal.handler AS h WHERE h.call_id = call);
    RAISE EXCEPTION USING MESSAGE = concat_ws(' ', took, why);
EXCEPTION WHEN raise_exception THEN
    RETURN SQLERRM;
END
$$;
SELECT pg_temp.after(c.change)
  FROM (VALUES (1, 'SELECT'),
               (2, 'DROP FUNCTION app.undo'),
               (3, 'ALTER FUNCTION app.undo OWNER TO regress_seats_other'),
               (4, 'ALTER FUNCTION app.undo OWNER TO regress_seats_app'),
               (5, 'REVOKE ALL ON FUNCTION app.undo FROM regress_seats_app'),
               (6, 'REVOKE USAGE ON SCHEMA app FROM regress_seats_app'),
               (7, 'ALTER ROLE regress_seats_app RENAME TO regress_seats_app_2'),
               (8, 'DROP OWNED BY regress_seats_app; DROP ROLE regress_seats_app; CREATE ROLE regress_seats_app'),
               (9, 'ALTER ROLE regress_seats_app SUPERUSER'),
               (10, 'ALTER SCHEMA app RENAME TO app_2'),
               (11, 'DROP FUNCTION app.undo; CREATE PROCEDURE app.undo(bigint, jsonb, jsonb) LANGUAGE sql AS $p$SELECT$p$'),
               (12, 'UPDATE seats_internal.installation SET uuid = gen_random_uuid()')) AS c (number, change)
 ORDER BY c.number;

-- ---- the application's own functions
DELETE FROM seats_internal.handler;
SELECT seats.grant_application('regress_seats_app');
SELECT seats.grant_call('regress_seats_app', 'stripe', '{POST}', '/v1/coupons');
SET ROLE regress_seats_app;
SELECT seats.enqueue_call('stripe', 'POST', '/v1/coupons', context => '{"coupon": 1}') AS e \gset
SELECT seats.enqueue_call('stripe', 'POST', '/v1/coupons', context => '{"coupon": 2}', on_done => 'app.paid',
                          keep_settings => '{app.tenant}') AS f \gset
SELECT seats.enqueue_call('stripe', 'POST', '/v1/coupons', lane => 'coupons', on_refused => 'app.undo') AS g \gset
SELECT pg_temp.try($$SELECT seats.enqueue_call('stripe', 'POST', '/v1/coupons', on_done => 'app."Of another"')$$);
SELECT pg_temp.try($$SELECT seats.enqueue_call('stripe', 'POST', '/v1/coupons', context => '1', keep_settings => '{app.tenant}')$$);
RESET ROLE;
SELECT h.call_id = :f AS f, h.call_id = :g AS g, h.role, l.name, h.settings, h.context, h.on_done, h.on_refused
  FROM seats_internal.handler AS h LEFT JOIN seats_internal.lane AS l ON l.id = h.lane_id ORDER BY h.call_id;
DELETE FROM seats_internal.handler;

SELECT seats.add_member('acme', 'ann', 'team', 'owner');
SET ROLE regress_seats_app;
SELECT change AS add FROM seats.add_seats('acme', 'team', 2, 'ann', 'click 1', on_done => 'app.paid', on_refused => 'app.undo',
                                          context => '{"order": 3, "note": null}', keep_settings => '{app.tenant}') \gset
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 2, 'ann', context => '1')$$);
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 2, 'ann', on_refused => 'app.missing')$$);
-- The same request once more makes nothing, and must name the same.
SELECT repeated, change = :add FROM seats.add_seats('acme', 'team', 2, 'ann', 'click 1', on_done => 'app.paid',
    on_refused => 'app.undo', context => '{"order": 3, "note": null}', keep_settings => '{app.tenant}');
SELECT left(pg_temp.try($$SELECT seats.add_seats('acme', 'team', 2, 'ann', 'click 1')$$), 7);
SELECT left(pg_temp.try($$SELECT seats.add_seats('acme', 'team', 2, 'ann', 'click 1', on_done => 'app.paid',
    on_refused => 'app.undo', context => '{"order": 4}', keep_settings => '{app.tenant}')$$), 7);
SELECT change AS remove FROM seats.remove_seats('acme', 'team', 1, 'ann', on_refused => 'app.undo') \gset
SELECT change AS set FROM seats.set_seats('acme', 'team', 8, 'ann', on_refused => 'app.undo') \gset
SELECT change AS many FROM seats.change_seats('acme', '{"team": {"add": 1}}', 'ann', on_done => 'app.paid') \gset
RESET ROLE;
SELECT h.call_id IN (:add, :remove, :set, :many), h.role, h.on_done, h.on_refused, h.context, h.settings
  FROM seats_internal.handler AS h ORDER BY h.call_id;

-- Taken back, with and without what hangs on it.
SET ROLE regress_seats_app;
SELECT * FROM seats.cancel_change(:many, 'ann');
SELECT * FROM seats.cancel_change(:set, 'ann');
SELECT * FROM seats.cancel_change(:remove, 'ann', run_handler => false);
RESET ROLE;
SELECT h.call_id = :add AS add, h.call_id = :set AS set, h.outcome FROM seats_internal.handler AS h ORDER BY h.call_id;
-- It waits for its payment, and may be paid yet.
UPDATE seats_internal.outbox SET state = 'awaiting', payment = '{"invoice": "in_1"}' WHERE id = :add;
SELECT * FROM seats.cancel_change(:add, 'ann', false);
SELECT h.on_done, h.on_refused, h.on_refused_owner FROM seats_internal.handler AS h WHERE h.call_id = :add;
DELETE FROM seats_internal.outbox;
DELETE FROM seats_internal.handler;
SELECT pg_temp.read('acme', '{"price_team": 5}');

-- Changes that went in one call: each is told its own numbers, and how that call ended.
SELECT change AS h FROM seats.add_seats('acme', 'team', 2, on_done => 'app.undo', on_refused => 'app.undo') \gset
SELECT change AS i FROM seats.add_seats('acme', 'team', 1, on_done => 'app.undo', on_refused => 'app.undo') \gset
CREATE FUNCTION pg_temp.settle_as(change bigint, result text, answer text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.settle(change, result, CASE result WHEN 'done' THEN pg_temp.facts('sub_acme', '{"price_team": 8}') END,
                           CASE result WHEN 'refused' THEN 'card_declined' END);
    UPDATE seats_internal.outbox_history SET answer = convert_to(settle_as.answer, 'UTF8'),
           decline_code = CASE settle_as.result WHEN 'refused' THEN 'insufficient_funds' END
     WHERE id = change;
    PERFORM seats_internal.calls_ended(ARRAY[change]);
END
$$;
SELECT pg_temp.freeze(:h);
SAVEPOINT frozen;
SELECT pg_temp.settle_as(:h, 'done', '{"id": "sub_acme", "schedule": null}');
SELECT h.call_id - :h AS number, jsonb_pretty(h.outcome) FROM seats_internal.handler AS h ORDER BY h.call_id;
-- What a read or an event has shown is no answer to it.
SELECT p.proof, seats_internal.outcome_of(jsonb_populate_record(h, jsonb_build_object('proof', p.proof))) -> 'answer' ->> 'id' AS answer
  FROM seats_internal.outbox_history AS h CROSS JOIN unnest('{answered,replayed,read,event,person}'::text[]) AS p (proof)
 WHERE h.id = :h;
ROLLBACK TO frozen;
SELECT pg_temp.settle_as(:h, 'refused', 'no JSON');
SELECT h.call_id - :h AS number, h.outcome FROM seats_internal.handler AS h ORDER BY h.call_id;
-- An answer that jsonb cannot hold is left out.
SELECT seats_internal.answer_as_jsonb(convert_to(a, 'UTF8'))
  FROM (VALUES ('{"a": "\u0000"}'), ('{"a": 1e1000000}'), (repeat('[', 100000)), (''), ('{"a": "\u00e4"}')) AS t (a);
SELECT seats_internal.answer_as_jsonb('\xff'), seats_internal.answer_as_jsonb(NULL);

-- An invite that buys; one that has not to buy has no call, but is checked.
DELETE FROM seats_internal.handler;
SELECT pg_temp.read('acme', '{"price_team": 1}');
SELECT change IS NOT NULL FROM seats.invite('acme', 'bob@example.com', 'team', actor => 'ann', buy => true, on_refused => 'app.undo',
                                            context => '{"invited": "bob"}');
SELECT h.call_id = (SELECT max(o.id) FROM seats_internal.outbox AS o), h.on_refused, h.context FROM seats_internal.handler AS h;
SELECT pg_temp.read('acme', '{"price_team": 9}');
SELECT change FROM seats.invite('acme', 'cy@example.com', 'team', actor => 'ann', buy => true, on_refused => 'app.undo');
SELECT pg_temp.try($$SELECT seats.invite('acme', 'dan@example.com', 'team', actor => 'ann', buy => true, on_refused => 'app.missing')$$);
SELECT count(*) FROM seats_internal.handler;

-- ---- functions of another role
DELETE FROM seats_internal.handler;
RESET ROLE;
CREATE ROLE regress_seats_admin SUPERUSER;
SELECT pg_temp.try($$SELECT seats.grant_handler('app.missing', 'regress_seats_app')$$);
SELECT pg_temp.try($$SELECT seats.grant_handler('app."Of another"', 'regress_seats_nobody')$$);
SELECT pg_temp.try($$SELECT seats.grant_handler('app."Of another"', 'regress_seats_admin')$$);
SET ROLE regress_seats_app;
SELECT pg_temp.try($$SELECT seats.grant_handler('app."Of another"', 'regress_seats_app')$$);
RESET ROLE;
SELECT * FROM seats.grant_handler(' app . "Of another" ', 'regress_seats_app');
SET quote_all_identifiers = on;
SELECT pg_temp.call('app."Of another"') AS j \gset
RESET quote_all_identifiers;
SELECT on_done FROM seats_internal.handler;
SELECT * FROM seats.revoke_handler('app."Of another"', 'regress_seats_app');
SELECT pg_temp.try($$SELECT seats.revoke_handler('app."Of another"', 'regress_seats_app')$$);
SELECT pg_temp.try($$SELECT pg_temp.call('app."Of another"')$$);
-- It was named while it was granted; that is asked again.
SELECT seats_internal.settle_by_hand('operator', :j, 'done', 'executed_by_operator', 'person');
SELECT state FROM seats_internal.take_handler(:j);
SELECT review_reason FROM seats_internal.handler;
SELECT pg_temp.try(format('SELECT seats.resolve_review(%s, %L, %L)', :j, 'retry', 'it is granted, I think'));
ALTER ROLE regress_seats_app RENAME TO regress_seats_renamed;
SELECT pg_temp.try(format('SELECT seats.resolve_review(%s, %L, %L)', :j, 'retry', 'once more'));
ALTER ROLE regress_seats_renamed RENAME TO regress_seats_app;
SELECT seats.grant_handler('app."Of another"', 'regress_seats_app');
-- It is bound to this owner.
SAVEPOINT granted;
ALTER FUNCTION app."Of another" OWNER TO regress_seats_app;
ALTER ROLE regress_seats_other RENAME TO regress_seats_other_2;
CREATE ROLE regress_seats_other;
GRANT USAGE, CREATE ON SCHEMA app TO regress_seats_other;
ALTER FUNCTION app."Of another" OWNER TO regress_seats_other;
SELECT left(pg_temp.try($$SELECT pg_temp.call('app."Of another"')$$), 5);
ROLLBACK TO granted;
-- What a superuser enqueues, superusers' functions do only.
SELECT left(pg_temp.try($$SELECT pg_temp.call('app."Of another"', caller => 'regress_seats_admin')$$), 5);
SELECT pg_temp.try($$SELECT pg_temp.call('app.paid', caller => 'regress_seats_admin')$$);
DELETE FROM seats_internal.handler WHERE call_id <> :j;

-- ---- a person decides
CREATE ROLE regress_seats_operator;
SELECT seats.grant_operator('regress_seats_operator');
CREATE TABLE app.done_by (who text, call bigint, outcome jsonb, context jsonb, tenant text, path text);
GRANT INSERT ON app.done_by TO regress_seats_operator, regress_seats_app;
GRANT USAGE ON SCHEMA app TO regress_seats_operator;
CREATE FUNCTION app.by_hand(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.done_by VALUES (current_user, call, outcome, context, current_setting('app.tenant', true),
                                    current_setting('search_path'))
$$;
CREATE FUNCTION app.fails(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM app.by_hand(call, outcome, context);
    RAISE EXCEPTION 'no order %', context -> 'order';
END
$$;
CREATE FUNCTION pg_temp.decide(call bigint, decision text, function text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(format('SELECT seats.resolve_review(%s, %L, %L, %L)', call, decision, 'ticket 17', function))
$$;
SELECT count(*) > 0 FROM pg_temp.news();
SELECT call - :j AS call, lane, method, path, reason, error, doubt, attempts, enqueued_by, waiting_behind, decisions, handler
  FROM seats.reviews;
SET ROLE regress_seats_operator;
SELECT pg_temp.decide(:j, 'executed');
SELECT pg_temp.decide(:j, NULL);
SELECT pg_temp.decide(:j, 'retry', 'app.by_hand');
SELECT pg_temp.try(format('SELECT seats.resolve_review(%s, %L, NULL)', :j, 'retry'));
SELECT pg_temp.try('SELECT seats.resolve_review(NULL, NULL, NULL)');
SELECT * FROM seats.resolve_review(:j, 'retry', 'it is granted now');
SELECT pg_temp.decide(:j, 'retry');
SELECT pg_temp.decide(:j, 'skip');
SELECT pg_temp.decide(:j, 'run', 'app.by_hand');
RESET ROLE;
SELECT state, function FROM seats_internal.take_handler(:j);
SELECT pg_temp.news();
SELECT pg_temp.alerts();

SELECT pg_temp.call('app.paid', 'app.undo', '{"order": 7}', '{app.tenant}') AS k \gset
SELECT pg_temp.call('app.paid', 'app.undo') AS l \gset
SELECT pg_temp.call('app.paid', 'app.undo') AS m \gset
SELECT seats_internal.settle_by_hand('operator', c, 'refused', 'refused_by_operator', 'person') FROM unnest(ARRAY[:k, :l, :m]) AS c;
SELECT seats_internal.review_handlers(ARRAY[:k, :l, :m], 'ended_the_server');
SELECT seats_internal.review_handlers(ARRAY[:k, :l, :m], 'ended_the_server');
SELECT pg_temp.alerts();
SET app.tenant = 'of another session';
SET search_path = app, public;
SET ROLE regress_seats_operator;
SELECT pg_temp.decide(:k, 'run');
SELECT pg_temp.decide(:k, 'run', 'by_hand');
SELECT pg_temp.decide(:k, 'run', 'app.missing');
SELECT pg_temp.decide(:k, 'run', 'app.undo');
SELECT pg_temp.decide(:k, 'run', 'app.fails');
SELECT pg_temp.decide(:l, 'run', 'app.by_hand');
SELECT * FROM seats.resolve_review(:k, 'run', 'the coupon was deleted', 'app.by_hand');
SELECT current_setting('app.tenant'), current_setting('search_path'), current_user;
SELECT pg_temp.decide(:k, 'run', 'app.by_hand');
SELECT * FROM seats.resolve_review(:l, 'skip', 'done by hand');
SELECT * FROM seats.resolve_review(:m, 'run', 'why not', 'app.by_hand');
RESET ROLE;
RESET search_path;
SELECT who, call - :k AS call, outcome, context, tenant, path FROM app.done_by;
SELECT pg_temp.news();
SELECT pg_temp.alerts();

-- Another role has the name of the one that enqueued the call: an operator cannot say that it may do.
SELECT pg_temp.ended('app.paid', 'refused') AS n \gset
UPDATE seats_internal.handler SET role_oid = 1;
SELECT state FROM seats_internal.take_handler(:n);
SET ROLE regress_seats_operator;
SELECT pg_temp.decide(:n, 'retry');
RESET ROLE;
SELECT pg_temp.decide(:n, 'retry');
SELECT state FROM seats_internal.take_handler(:n);

-- ---- executed after all
DELETE FROM seats_internal.alert;
DELETE FROM seats_internal.compensated_call;
CREATE FUNCTION pg_temp.event(call bigint, type text, generation integer DEFAULT 1) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM seats_internal.look_for_late_execution(
        seats_internal.idempotency_key(h.installation, h.uuid, event.generation), type)
       FROM seats_internal.settled_call(call) AS h;
    RETURN QUERY SELECT pg_temp.alerts();
END
$$;
SELECT pg_temp.ended('app.paid', 'done') AS o \gset
SELECT pg_temp.ended('app.paid', 'refused') AS p \gset
SELECT call_id - :o AS call FROM seats_internal.compensated_call;
-- Done, or it failed at Stripe: nothing to tell.
SELECT pg_temp.event(:o, 'coupon.created');
SELECT pg_temp.event(:p, 'charge.failed');
UPDATE seats_internal.outbox_history SET proof = 'answered' WHERE id = :p;
SELECT pg_temp.event(:p, 'charge.captured');
UPDATE seats_internal.outbox_history SET generation = 2 WHERE id = :p;
-- Its on_refused waits for the earlier one of the lane: it does not run by itself any more.
SELECT pg_temp.event(:p, 'charge.captured');
SELECT review_reason FROM seats_internal.handler WHERE call_id = :p;
DELETE FROM seats_internal.handler;
DELETE FROM seats_internal.alert;
UPDATE seats_internal.outbox_history SET proof = 'person' WHERE id = :p;
SELECT pg_temp.event(:p, 'charge.captured', 2);
DELETE FROM seats_internal.alert;
-- Changes of seats: the marker tells.
DELETE FROM seats_internal.compensated_call;
SELECT pg_temp.read('acme', '{"price_team": 9}');
SELECT change AS q FROM seats.add_seats('acme', 'team', 2, 'ann', on_refused => 'app.undo') \gset
SELECT change AS r FROM seats.add_seats('acme', 'team', 1, 'ann', on_refused => 'app.undo') \gset
SELECT change AS s FROM seats.add_seats('acme', 'team', 1, 'ann') \gset
SELECT pg_temp.freeze(:q);
SELECT seats_internal.marker_of(o.uuid, o.last_uuid, 1) AS marker FROM seats_internal.outbox AS o WHERE o.id = :q \gset
SELECT pg_temp.settle(:q, 'refused', NULL, 'card_declined');
SELECT seats_internal.calls_ended(ARRAY[:q]);
SELECT state FROM seats_internal.take_handler(:q);
SELECT pg_temp.read('acme', '{"price_team": 13}', jsonb_build_object('marker', :'marker'));
SELECT pg_temp.plain(a) FROM pg_temp.alerts() AS a;
SELECT h.call_id - :q AS call, h.review_reason FROM seats_internal.handler AS h;
DELETE FROM seats_internal.handler;
DELETE FROM seats_internal.alert;

-- ---- adopted
SELECT seats_internal.adopt_handlers(true, NULL);
SELECT pg_temp.ended('app.paid', 'refused') AS t \gset
SELECT pg_temp.ended('app.paid', 'refused') AS u \gset
SELECT pg_temp.call('app.paid', 'app.undo') AS v \gset
UPDATE seats_internal.handler SET role_oid = 1, on_done_owner_oid = 2, on_refused_owner_oid = 3;
UPDATE seats_internal.handler_grant SET owner_oid = 4, role_oid = 5;
SELECT seats_internal.adopt_handlers(true, NULL);
SELECT call_id - :t AS call, role_is_same FROM seats_internal.waiting_handlers(0, 10);
SELECT count(*) FROM seats_internal.handler_grant AS g JOIN pg_roles AS r ON r.oid = g.role_oid AND r.rolname = g.role
  JOIN pg_roles AS o ON o.oid = g.owner_oid AND o.rolname = g.owner;
SELECT seats_internal.adopt_handlers(false, '22222222-2222-4333-8444-555555555555');
SELECT h.call_id - :t AS call, h.review_reason, left(h.installation::text, 4) FROM seats_internal.handler AS h ORDER BY h.call_id;
SELECT pg_temp.alerts();
SELECT pg_temp.decide(:t, 'retry');
UPDATE seats_internal.installation SET uuid = '22222222-2222-4333-8444-555555555555';
SELECT pg_temp.decide(:t, 'retry');
SELECT state FROM seats_internal.take_handler(:t);
SELECT pg_temp.alerts();
SELECT pg_temp.decide(:u, 'skip');
SELECT pg_temp.alerts();

-- ---- what is not forgotten before it has run
UPDATE seats_internal.outbox_history SET actor = 'ann' WHERE id = :v;
DELETE FROM seats_internal.outbox;
UPDATE seats_internal.handler SET outcome = '{"result": "done"}';
INSERT INTO seats_internal.outbox_history (ring, id, created_at, settled_at, uuid, result, generation, attempts, clean, destination,
                                           method, path, body, enqueued_by, actor)
SELECT 0, :v, now(), now(), gen_random_uuid(), 'done', 1, 1, true, 'stripe', 'POST', '/v1/path', '', 'me', 'zoe';
SELECT pg_temp.try($$SELECT seats.erase_person('zoe', 'she asks for it')$$);
SELECT pg_temp.try($$SELECT seats.unregister_team('acme', 'over')$$);
UPDATE seats_internal.lane SET used_on = '2020-01-01';
SELECT seats_internal.forget_lanes('2021-01-01', 10);
SELECT count(*) FROM seats_internal.lane AS l JOIN seats_internal.handler AS h ON h.lane_id = l.id;
INSERT INTO seats_internal.compensated_call VALUES (1, gen_random_uuid(), '2020-01-01'), (2, gen_random_uuid(), now());
SELECT seats_internal.forget_ended('2021-01-01', 10);
SELECT call_id FROM seats_internal.compensated_call WHERE call_id < 3;
ROLLBACK;
