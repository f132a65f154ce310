-- Running handlers: what the worker asks, which chooses (src/handlers/dispatch), and what a process that runs them asks
-- (src/handlers/run). The mark that a handler has run is that its row is gone, which commits with what it has done.

-- In order of their calls. What stands behind one in review of its lane is not shown: it is offered anew when that is
-- decided. (OFFSET: asked for each row by the index. Joined, all that are in review would be read. And functions, no
-- view: what is in them is planned anew at each call, while a statement of the worker's own that was planned when there
-- were no handlers goes by the wrong index for ever.)
CREATE OR REPLACE FUNCTION seats_internal.waiting_handlers(
    after_id         bigint,
    most             integer,
    OUT call_id      bigint,
    OUT lane_id      bigint,
    OUT role_oid     oid,
    OUT due_at       timestamptz,
    OUT careful      boolean,
    OUT starts       smallint,
    OUT role_is_same boolean
) RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.call_id, h.lane_id, h.role_oid, h.due_at, h.careful, h.starts,
           EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = h.role_oid AND r.rolname = h.role)
      FROM seats_internal.handler AS h
     WHERE h.call_id > after_id AND h.outcome IS NOT NULL AND h.review_since IS NULL
       AND h.installation = (SELECT i.uuid FROM seats_internal.installation AS i)
       AND NOT EXISTS (SELECT FROM seats_internal.handler AS before
                        WHERE before.lane_id = h.lane_id AND before.call_id < h.call_id
                          AND before.review_since IS NOT NULL OFFSET 0)
     ORDER BY h.call_id
     LIMIT most;
END;
REVOKE ALL ON FUNCTION seats_internal.waiting_handlers(bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.waiting_handlers(bigint, integer) IS
    'handlers that can run, or wait for their next try, behind this call; called by the worker';

CREATE OR REPLACE FUNCTION seats_internal.handed_handlers(
    calls            bigint[],
    OUT call_id      bigint,
    OUT lane_id      bigint,
    OUT role_oid     oid,
    OUT due_at       timestamptz,
    OUT careful      boolean,
    OUT starts       smallint,
    OUT role_is_same boolean
) RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.call_id, h.lane_id, h.role_oid, h.due_at, h.careful, h.starts,
           EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = h.role_oid AND r.rolname = h.role)
      FROM seats_internal.handler AS h
     WHERE h.call_id = ANY (calls) AND h.outcome IS NOT NULL AND h.review_since IS NULL
       AND h.installation = (SELECT i.uuid FROM seats_internal.installation AS i)
       AND NOT EXISTS (SELECT FROM seats_internal.handler AS before
                        WHERE before.lane_id = h.lane_id AND before.call_id < h.call_id
                          AND before.review_since IS NOT NULL OFFSET 0)
     ORDER BY h.call_id;
END;
REVOKE ALL ON FUNCTION seats_internal.handed_handlers(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.handed_handlers(bigint[]) IS
    'the same for calls of which somebody has said that their handlers can run; called by the worker';

-- ---- starts: counted on disk before a batch runs, because a function that crashes its process takes the server along

CREATE OR REPLACE FUNCTION seats_internal.count_starts(calls bigint[]) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE seats_internal.handler AS h SET starts = h.starts + 1 WHERE h.call_id = ANY (calls);
END;
REVOKE ALL ON FUNCTION seats_internal.count_starts(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_starts(bigint[]) IS
    'the handlers of these calls are about to run; called by their process';

CREATE OR REPLACE FUNCTION seats_internal.forget_starts(calls bigint[]) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE seats_internal.handler AS h SET starts = 0
     WHERE h.call_id = ANY (calls) AND h.starts > 0;
END;
REVOKE ALL ON FUNCTION seats_internal.forget_starts(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_starts(bigint[]) IS
    'the handlers of these calls have not run after all, and nothing speaks against them; called by the worker';

-- Once in a batch with others and three times by itself: it is the one.
CREATE OR REPLACE FUNCTION seats_internal.starts_after_crash() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.review_handlers(
        ARRAY(SELECT h.call_id FROM seats_internal.handler AS h
               WHERE h.call_id > 0 AND h.outcome IS NOT NULL AND h.review_since IS NULL AND h.starts >= 4
                 AND h.installation = (SELECT i.uuid FROM seats_internal.installation AS i)),
        'ended_the_server');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.starts_after_crash() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.starts_after_crash() IS
    'puts handlers before a person that have ended the server again and again; called by the worker at its start';

-- ---- one of them

CREATE OR REPLACE FUNCTION seats_internal.lock_handler(call bigint) RETURNS seats_internal.handler
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.handler;
BEGIN
    SELECT h.* INTO locked FROM seats_internal.handler AS h
     WHERE h.call_id = call AND h.outcome IS NOT NULL AND h.review_since IS NULL
       AND h.installation = (SELECT i.uuid FROM seats_internal.installation AS i)
       FOR UPDATE;
    RETURN locked;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.lock_handler(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.lock_handler(bigint) IS
    'locks a handler that can run, and gives it; null: there is none any more';

-- state:
--   run     it is to run now, in this transaction: its row is deleted
--   gone    it has run, or a person has to decide it, or has
--   held    an earlier one of its lane has not run yet
--   review  role or function are not what they were: a person has to decide now
-- The process compares role_oid with its own, and owner_oid once nobody can drop the function any more.
CREATE OR REPLACE FUNCTION seats_internal.take_handler(
    call          bigint,
    OUT state     text,
    OUT function  text,
    OUT outcome   jsonb,
    OUT context   jsonb,
    OUT settings  jsonb,
    OUT role_oid  oid,
    OUT owner_oid oid
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked  seats_internal.handler := seats_internal.lock_handler(call);
    problem text;
BEGIN
    IF locked.call_id IS NULL THEN
        state := 'gone';
        RETURN;
    ELSIF EXISTS (SELECT FROM seats_internal.handler AS h
                   WHERE h.lane_id = locked.lane_id AND h.call_id < locked.call_id AND h.outcome IS NOT NULL) THEN
        state := 'held';
        RETURN;
    END IF;
    problem := seats_internal.handler_problem(locked);
    IF problem IS NOT NULL THEN
        PERFORM seats_internal.review_handler(locked, problem);
        state := 'review';
        RETURN;
    END IF;
    DELETE FROM seats_internal.handler AS h WHERE h.call_id = locked.call_id;
    state := 'run';
    function := seats_internal.function_to_run(locked);
    outcome := locked.outcome;
    context := locked.context;
    settings := locked.settings;
    role_oid := locked.role_oid;
    owner_oid := CASE outcome ->> 'result' WHEN 'done' THEN locked.on_done_owner_oid
                                           ELSE locked.on_refused_owner_oid END;
    PERFORM seats_internal.write_journal(
        'handler.done', locked.role, locked.call_id, locked.lane_id, NULL,
        seats_internal.handler_detail(locked) || jsonb_build_object('tries', locked.tries + locked.retries));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_handler(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_handler(bigint) IS
    'takes a handler to run it in this transaction, or says why not; called by its process';

CREATE OR REPLACE FUNCTION seats_internal.handler_detail(handler seats_internal.handler) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('function', seats_internal.function_to_run(handler), 'result', handler.outcome -> 'result');
REVOKE ALL ON FUNCTION seats_internal.handler_detail(seats_internal.handler) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.handler_detail(seats_internal.handler) IS
    'a handler as the journal tells of it';

-- ---- what cannot go on by itself

CREATE OR REPLACE FUNCTION seats_internal.review_in_words(handler seats_internal.handler, reason text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE reason
    WHEN 'failed' THEN coalesce(handler.error, 'it has failed again and again')
    WHEN 'role_changed' THEN format('role %I is not the one any more that enqueued the call', handler.role)
    WHEN 'function_missing' THEN 'there is no such function any more'
    WHEN 'function_not_plain' THEN 'it is no plain function any more'
    WHEN 'function_changed' THEN 'it belongs to another role than when it was named'
    WHEN 'not_permitted' THEN format('role %I may not execute it any more', handler.role)
    WHEN 'owner_not_trusted' THEN
        format('its owner could act as role %I by it, which no superuser has granted', handler.role)
    WHEN 'ended_the_server' THEN 'it has ended the server again and again'
    WHEN 'executed_after_refusal' THEN 'Stripe has executed the call after all'
    WHEN 'adopted_copy' THEN 'it came with the copy that was adopted, and the original runs it'
    ELSE reason END;
REVOKE ALL ON FUNCTION seats_internal.review_in_words(seats_internal.handler, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_in_words(seats_internal.handler, text) IS
    'why a person must decide about a handler';

-- An on_refused that is given up is a compensation that is missing: nothing is worse.
CREATE OR REPLACE FUNCTION seats_internal.review_handler(handler seats_internal.handler, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function text := seats_internal.function_to_run(handler);
    is_done  boolean := handler.outcome ->> 'result' = 'done';
    summary  text;
    hint     text := format('SELECT seats.explain_call(%1$s) tells more. Remove the cause, then SELECT '
                            'seats.resolve_review(%1$s, ''retry'', reason); or decide skip, or run another function.',
                            handler.call_id);
BEGIN
    UPDATE seats_internal.handler AS h
       SET review_since = clock_timestamp(), review_reason = review_handler.reason, due_at = NULL, starts = 0
     WHERE h.call_id = handler.call_id;
    summary := format('%s of call %s, which is %s, needs a person: %s', function, handler.call_id,
                      handler.outcome ->> 'result', left(seats_internal.review_in_words(handler, reason), 500));
    IF is_done THEN
        PERFORM seats_internal.raise_alert('handler:' || handler.call_id, 'critical', 'handler_failed', summary,
                                           seats_internal.handler_detail(handler), hint, handler.call_id);
    ELSE
        PERFORM seats_internal.raise_alert('handler:' || handler.call_id, 'fatal', 'compensation_given_up', summary,
                                           seats_internal.handler_detail(handler), hint, handler.call_id);
    END IF;
    PERFORM seats_internal.write_journal(
        'handler.failed', handler.role, handler.call_id, handler.lane_id, review_handler.reason,
        jsonb_strip_nulls(seats_internal.handler_detail(handler)
                          || jsonb_build_object('error_code', handler.error_code)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_handler(seats_internal.handler, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_handler(seats_internal.handler, text) IS
    'a person must decide about a handler: alert and journal; the later ones of its lane wait for that';

-- (What runs just now is not waited for, as it may take long. If it fails it is looked at once more.)
CREATE OR REPLACE FUNCTION seats_internal.review_handlers(calls bigint[], reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.review_handler(l, reason)
       FROM (SELECT h.* FROM seats_internal.handler AS h
              WHERE h.call_id = ANY (calls) AND h.outcome IS NOT NULL AND h.review_since IS NULL
              ORDER BY h.call_id FOR UPDATE SKIP LOCKED) AS l;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_handlers(bigint[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_handlers(bigint[], text) IS
    'review_handler for several, those left out that have run, run just now or are in review; called by the worker';

-- Gives after how many milliseconds it may run again; null: not by itself. Who lost against others is not charged
-- before he has lost often. The error's detail often shows a row (Key (address)=(…)): it stands in the handler's own row
-- alone, while the message goes to whoever is told of alerts. The journal, which keeps what it has, gets neither.
CREATE OR REPLACE FUNCTION seats_internal.handler_failed(
    call          bigint,
    error_code    text,
    message       text,
    detail        text,
    error_context text,
    careful       boolean,
    OUT retry_ms  integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    most_tries   CONSTANT integer := 5;
    most_retries CONSTANT integer := 20;
    locked seats_internal.handler := seats_internal.lock_handler(call);
    has_lost boolean := coalesce(error_code IN ('40001', '40P01', '55P03'), false);
    pause    double precision;
BEGIN
    IF locked.call_id IS NULL THEN
        RETURN;
    END IF;
    UPDATE seats_internal.handler AS h
       SET retries = h.retries + has_lost::integer,
           tries = h.tries + (NOT has_lost OR h.retries >= most_retries)::integer,
           careful = h.careful OR coalesce(handler_failed.careful, false), starts = 0,
           error = left(handler_failed.message, 2000), error_code = handler_failed.error_code,
           error_context = left(concat_ws(E'\n', nullif(detail, ''), handler_failed.error_context), 4000),
           failed_at = clock_timestamp()
     WHERE h.call_id = locked.call_id
    RETURNING h.* INTO locked;
    IF locked.tries >= most_tries THEN
        PERFORM seats_internal.review_handler(locked, 'failed');
        RETURN;
    END IF;
    pause := CASE WHEN has_lost THEN least(100 * 2 ^ least(locked.retries, 10), 30000)
                  ELSE 1000 * 4 ^ (locked.tries - 1) END;
    retry_ms := ceil(pause * (0.75 + random() / 2));
    UPDATE seats_internal.handler AS h SET due_at = clock_timestamp() + retry_ms * interval '1 millisecond'
     WHERE h.call_id = locked.call_id;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.handler_failed(bigint, text, text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.handler_failed(bigint, text, text, text, text, boolean) IS
    'a handler has failed: it waits for its next try, or for a person; called by its process, or by the worker for one '
    'that has died';
