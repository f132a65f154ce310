-- What a person decides about a handler in review, with seats.resolve_review (outbox/review.sql):
--   retry  it runs again, as it was named
--   skip   it does not run: what it was to do is done, or nobody wants it
--   run    another function runs instead, once, here and now, as the person who decides
-- Calls are locked by nobody here, nor is their lane.

CREATE OR REPLACE FUNCTION seats_internal.take_handler_in_review(call bigint) RETURNS seats_internal.handler
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.handler;
BEGIN
    SELECT h.* INTO locked FROM seats_internal.handler AS h
     WHERE h.call_id = call AND h.review_since IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'call % has no handler in review', coalesce(call::text, 'NULL')
            USING ERRCODE = 'PS705',
                  HINT = 'seats.handlers lists those that have not run; one that waits, or is tried again, goes on by '
                         'itself.';
    END IF;
    RETURN locked;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_handler_in_review(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_handler_in_review(bigint) IS
    'locks a handler that a person must decide, and gives it, or an error';

CREATE OR REPLACE FUNCTION seats_internal.require_own_handler(handler seats_internal.handler) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF handler.installation IS DISTINCT FROM (SELECT i.uuid FROM seats_internal.installation AS i) THEN
        RAISE EXCEPTION 'the handler of call % belongs to another installation', handler.call_id
            USING ERRCODE = 'PS405',
                  DETAIL = format('It was named under %s.', handler.installation),
                  HINT = 'The original runs it. If this database takes over from it, call '
                         'seats.adopt_database(reason, replaces_original).';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_own_handler(seats_internal.handler) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_own_handler(seats_internal.handler) IS
    'an error if another installation runs the handler';

-- What was put right counts: the function may belong to somebody else by now, whom the role trusts. But that another
-- role has the name of the one that enqueued the call is not for an operator to look over.
CREATE OR REPLACE FUNCTION seats_internal.bind_handler_anew(caller text, handler seats_internal.handler) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function text := seats_internal.function_to_run(handler);
    is_done  boolean := handler.outcome ->> 'result' = 'done';
    now_oid  oid;
    judged   record;
BEGIN
    now_oid := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = handler.role);
    IF now_oid IS NULL THEN
        RAISE EXCEPTION 'role %, as which the handler of call % runs, is gone', quote_ident(handler.role),
            handler.call_id
            USING ERRCODE = 'PS201',
                  HINT = 'If it was renamed, give it its name back. If it was dropped, make it again, and a superuser '
                         'can have the handler tried. You can also skip it, or run a function yourself.';
    ELSIF now_oid <> handler.role_oid
       AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = caller AND r.rolsuper) THEN
        RAISE EXCEPTION 'role % is not the one that enqueued call %', quote_ident(handler.role), handler.call_id
            USING ERRCODE = 'PS706',
                  HINT = 'Only a superuser can have its handler run as the role that has this name now. You can skip '
                         'it, or run a function yourself.';
    END IF;
    SELECT j.* INTO judged FROM seats_internal.judge_handler(function, now_oid) AS j;
    IF judged.problem IS NOT NULL THEN
        PERFORM seats_internal.raise_no_handler(function, handler.role, judged.owner, judged.problem);
    END IF;
    UPDATE seats_internal.handler AS h
       SET role_oid = now_oid,
           on_done_owner = CASE WHEN is_done THEN judged.owner ELSE h.on_done_owner END,
           on_done_owner_oid = CASE WHEN is_done THEN judged.owner_oid ELSE h.on_done_owner_oid END,
           on_refused_owner = CASE WHEN is_done THEN h.on_refused_owner ELSE judged.owner END,
           on_refused_owner_oid = CASE WHEN is_done THEN h.on_refused_owner_oid ELSE judged.owner_oid END,
           review_since = NULL, review_reason = NULL, tries = 0, retries = 0, starts = 0, due_at = NULL,
           error = NULL, error_code = NULL, error_context = NULL, failed_at = NULL
     WHERE h.call_id = handler.call_id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.bind_handler_anew(text, seats_internal.handler) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.bind_handler_anew(text, seats_internal.handler) IS
    'lets a handler run again by what role and function are now, or an error';

-- All that has ended in the lane: whoever chooses has forgotten what stood behind it.
CREATE OR REPLACE FUNCTION seats_internal.finish_decision(
    caller   text,
    handler  seats_internal.handler,
    decision text,
    reason   text,
    function text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- (More than are handed over at once: the worker reads all of them then.)
    most CONSTANT integer := 2000;
    resolution text := format('decided by %I', caller);
BEGIN
    PERFORM seats_internal.write_journal(
        'operator.resolve_review', caller, handler.call_id, handler.lane_id, finish_decision.reason,
        jsonb_build_object('decision', decision, 'was', handler.review_reason, 'handler', function));
    PERFORM seats_internal.resolve_alert('handler:' || handler.call_id, resolution);
    IF handler.review_reason = 'adopted_copy' THEN
        PERFORM seats_internal.resolve_adopted_handlers(resolution);
    END IF;
    PERFORM seats_internal.wake_for_handlers(handler.call_id || ARRAY(
        SELECT h.call_id FROM seats_internal.handler AS h
         WHERE h.lane_id = handler.lane_id AND h.call_id <> handler.call_id AND h.outcome IS NOT NULL
         ORDER BY h.call_id LIMIT most));
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.finish_decision(text, seats_internal.handler, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.finish_decision(text, seats_internal.handler, text, text, text) IS
    'what follows from a decision about a handler: journal, alerts, and the lane goes on';

CREATE OR REPLACE FUNCTION seats_internal.decide_handler(
    caller   text,
    call     bigint,
    decision text,
    reason   text
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.handler;
BEGIN
    PERFORM seats_internal.require_reason(reason);
    IF coalesce(decision, '') NOT IN ('retry', 'skip') THEN
        RAISE EXCEPTION 'unknown decision'
            USING ERRCODE = 'PS403', DETAIL = format('Call %s has ended; this is about its handler.', call),
                  HINT = 'One of: retry, skip, run.';
    END IF;
    locked := seats_internal.take_handler_in_review(call);
    IF decision = 'retry' THEN
        PERFORM seats_internal.require_own_handler(locked);
        PERFORM seats_internal.bind_handler_anew(caller, locked);
    ELSE
        DELETE FROM seats_internal.handler AS h WHERE h.call_id = locked.call_id;
    END IF;
    PERFORM seats_internal.finish_decision(caller, locked, decision, reason, seats_internal.function_to_run(locked));
    RETURN CASE decision WHEN 'retry' THEN 'waiting' ELSE 'skipped' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.decide_handler(text, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.decide_handler(text, bigint, text, text) IS
    'resolve_review of a handler: retry or skip';

-- The door runs the function then, as the caller and in this transaction. (What is wrong with the function, or what it
-- may not do, the server says there.)
CREATE OR REPLACE FUNCTION seats_internal.take_handler_for_operator(
    caller         text,
    call           bigint,
    reason         text,
    INOUT function text,
    OUT outcome    jsonb,
    OUT context    jsonb,
    OUT settings   jsonb,
    OUT role_oid   oid
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.handler;
BEGIN
    PERFORM seats_internal.require_reason(take_handler_for_operator.reason);
    IF function IS NULL THEN
        RAISE EXCEPTION 'which function is to run?'
            USING ERRCODE = 'PS701', HINT = 'Name it in the argument function, with its schema.';
    END IF;
    function := seats_internal.handler_name('function', function);
    locked := seats_internal.take_handler_in_review(call);
    PERFORM seats_internal.require_own_handler(locked);
    IF EXISTS (SELECT FROM seats_internal.handler AS h
                WHERE h.lane_id = locked.lane_id AND h.call_id < locked.call_id AND h.outcome IS NOT NULL) THEN
        RAISE EXCEPTION 'an earlier handler of the lane has not run yet'
            USING ERRCODE = 'PS707',
                  DETAIL = (SELECT format('It is that of call %s.', min(h.call_id)) FROM seats_internal.handler AS h
                             WHERE h.lane_id = locked.lane_id AND h.outcome IS NOT NULL),
                  HINT = 'Let it run, or decide that one first: seats.handlers.';
    END IF;
    DELETE FROM seats_internal.handler AS h WHERE h.call_id = locked.call_id;
    PERFORM seats_internal.finish_decision(caller, locked, 'run', reason, function);
    outcome := locked.outcome;
    context := locked.context;
    settings := locked.settings;
    role_oid := locked.role_oid;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_handler_for_operator(text, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_handler_for_operator(text, bigint, text, text) IS
    'takes a handler in review for a person who runs another function instead, in this transaction';
