-- Handlers in words, for explain_call (outbox/explain.sql).

-- What keeps a handler from running that is due.
CREATE OR REPLACE FUNCTION seats_internal.handler_obstacles(handler seats_internal.handler) RETURNS SETOF text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    earlier seats_internal.handler;
    running record;
BEGIN
    IF seats_internal.worker_obstacle() IS NOT NULL THEN
        RETURN NEXT seats_internal.worker_obstacle();
    END IF;
    IF handler.installation IS DISTINCT FROM (SELECT i.uuid FROM seats_internal.installation AS i) THEN
        RETURN NEXT 'it belongs to another installation, and this one does not run it';
    END IF;
    IF current_setting('pg_seats.handler_workers', true) = '0' THEN
        RETURN NEXT 'pg_seats.handler_workers is 0: no handler runs in this server';
    END IF;
    SELECT h.* INTO earlier FROM seats_internal.handler AS h
     WHERE h.lane_id = handler.lane_id AND h.call_id < handler.call_id AND h.outcome IS NOT NULL
     ORDER BY h.call_id LIMIT 1;
    IF FOUND THEN
        RETURN NEXT format('the handler of call %s, of the same lane, comes first, and %s', earlier.call_id,
                           CASE WHEN earlier.review_since IS NOT NULL THEN 'is in review'
                                WHEN earlier.failed_at IS NOT NULL THEN 'has failed and is tried again'
                                ELSE 'has not run' END);
    ELSIF handler.due_at > clock_timestamp() THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT format('no process can be started for it: %s', s.trouble)
      FROM seats_internal.handler_state() AS s
     WHERE s.state = 'wanted' AND s.role_oid = handler.role_oid AND s.trouble IS NOT NULL LIMIT 1;
    RETURN QUERY SELECT a.summary FROM seats_internal.alert AS a
     WHERE a.fingerprint = 'handler_role:' || handler.role AND a.resolved_at IS NULL;
    SELECT count(*) AS number, string_agg(s.call::text, ', ' ORDER BY s.call) AS calls INTO running
      FROM seats_internal.handler_state() AS s WHERE s.call IS NOT NULL;
    IF running.number = 0 THEN
        RETURN;
    ELSIF handler.starts > 0 THEN
        RETURN NEXT format('it stands in one batch with others, in a process that comes to it next; handlers of calls '
                           '%s run', running.calls);
    ELSIF running.number >= current_setting('pg_seats.handler_workers', true)::integer THEN
        RETURN NEXT format('all processes are busy (pg_seats.handler_workers), with the handlers of calls %s',
                           running.calls);
    ELSIF handler.careful THEN
        RETURN NEXT format('it has timed out or waited for a lock before, so it does not get the last free process; '
                           'handlers of calls %s run', running.calls);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.handler_obstacles(seats_internal.handler) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.handler_obstacles(seats_internal.handler) IS
    'everything that holds a handler back now';

CREATE OR REPLACE FUNCTION seats_internal.explain_ended_handler(handler seats_internal.handler) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_review boolean := handler.review_since IS NOT NULL;
    run       record;
BEGIN
    SELECT s.pid, s.running_since INTO run
      FROM seats_internal.handler_state() AS s WHERE s.call = handler.call_id;
    RETURN concat_ws(E'\n',
        format('Its handler: %s, as role %s, %s.', seats_internal.function_to_run(handler), handler.role, CASE
            WHEN in_review THEN format('in review %s: %s', seats_internal.since(handler.review_since),
                                       CASE handler.review_reason WHEN 'failed' THEN 'it fails'
                                       ELSE seats_internal.review_in_words(handler, handler.review_reason) END)
            WHEN run.pid IS NOT NULL THEN format('runs %s in process %s', seats_internal.since(run.running_since),
                                                 run.pid)
            WHEN handler.due_at > clock_timestamp() THEN format('is tried again at %s',
                                                                date_trunc('second', handler.due_at))
            ELSE 'waits ' || seats_internal.since(handler.ended_at) END),
        CASE WHEN handler.failed_at IS NOT NULL
             THEN format('It has failed %s time(s), last at %s with %s: %s', handler.tries + handler.retries,
                         date_trunc('second', handler.failed_at), handler.error_code, handler.error) END,
        '  ' || replace(nullif(left(handler.error_context, 1000), ''), E'\n', E'\n  '),
        CASE WHEN NOT in_review AND run.pid IS NULL
             THEN (SELECT string_agg('Held back: ' || o || '.', E'\n')
                     FROM seats_internal.handler_obstacles(handler) AS o) END,
        CASE WHEN in_review
             THEN format('What you can do: seats.resolve_review(%s, decision, reason) with one of: retry, skip, run '
                         '(another function, which the argument function names).', handler.call_id) END);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.explain_ended_handler(seats_internal.handler) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_ended_handler(seats_internal.handler) IS
    'where the handler of a call that has ended stands, and what holds it back';

CREATE OR REPLACE FUNCTION seats_internal.explain_handler(call bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    handler seats_internal.handler;
BEGIN
    SELECT h.* INTO handler FROM seats_internal.handler AS h WHERE h.call_id = call;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF handler.outcome IS NOT NULL THEN
        RETURN seats_internal.explain_ended_handler(handler);
    END IF;
    RETURN format('When it ends, as role %s: %s.', handler.role,
                  concat_ws(', ', handler.on_done || ' if it is done',
                                  handler.on_refused || ' if it is refused or cancelled'));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.explain_handler(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_handler(bigint) IS
    'what is to run, or has not run yet, because a call has ended; null: nothing';
