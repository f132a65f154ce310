-- When an event is processed, tried again, and forgotten.

CREATE OR REPLACE FUNCTION seats_internal.most_event_tries() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 8;
REVOKE ALL ON FUNCTION seats_internal.most_event_tries() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.most_event_tries() IS
    'how often an event may fail before a person is told; it is tried on, every hour';

CREATE OR REPLACE FUNCTION seats_internal.event_failed(event seats_internal.webhook_event, error text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.webhook_event AS w
       SET outcome = 'stored', tries = event.tries + 1, error = left(event_failed.error, 500),
           retry_at = clock_timestamp()
                      + least(0.25 * 2 ^ least(event.tries, 20), 3600) * interval '1 second'
     WHERE w.event_id = event.event_id AND (w.endpoint = event.endpoint) IS TRUE;
    IF event.tries + 1 < seats_internal.most_event_tries() THEN
        RETURN;
    END IF;
    BEGIN
        PERFORM seats_internal.raise_alert(
            format('webhook:%s:%s', event.endpoint, event.event_id), 'critical', 'webhook_failed',
            format('event %s (%s) of endpoint %s cannot be processed: %s', event.event_id, event.type,
                   event.endpoint, error),
            jsonb_build_object('endpoint', event.endpoint, 'event', event.event_id, 'type', event.type,
                               'error', error),
            'See seats.webhook_events, column error. It is tried on, every hour. '
            'seats.replay_webhook(endpoint, event_id, reason) tries it at once; seats.reconcile(team, reason) reads the subscription without it.',
            destination => event.destination);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        NULL;  -- somebody has the alert; it is told at the next try
    END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.event_failed(seats_internal.webhook_event, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.event_failed(seats_internal.webhook_event, text) IS
    'plans another try of an event, and tells a person when there were too many';

-- One event, if nobody else has it in hand. What cannot be done now is left to the worker.
CREATE OR REPLACE FUNCTION seats_internal.process_event(endpoint text, event_id text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
DECLARE
    event  seats_internal.webhook_event;
    result text;
BEGIN
    SELECT w.* INTO event FROM seats_internal.webhook_event AS w
     WHERE w.event_id = process_event.event_id AND (w.endpoint = process_event.endpoint) IS TRUE
       FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 'stored';
    ELSIF event.processed_at IS NOT NULL THEN
        RETURN 'duplicate';
    END IF;
    BEGIN
        result := seats_internal.apply_event(event);
        UPDATE seats_internal.webhook_event AS w
           SET processed_at = clock_timestamp(), outcome = result, error = NULL, retry_at = NULL,
               tries = w.tries + 1
         WHERE w.event_id = event.event_id AND (w.endpoint = event.endpoint) IS TRUE;
        IF event.tries >= seats_internal.most_event_tries() THEN
            PERFORM seats_internal.resolve_alert(format('webhook:%s:%s', event.endpoint, event.event_id),
                                                 'it was processed');
        END IF;
        RETURN result;
    EXCEPTION WHEN OTHERS THEN
        result := concat_ws(' ', SQLERRM, '(' || SQLSTATE || ')');
    END;
    PERFORM seats_internal.event_failed(event, result);
    RETURN 'stored';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.process_event(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.process_event(text, text) IS
    'processes a stored event, unless somebody else does; gives the outcome';

-- An event that has just come. It is written once, behind what follows from it and with what has come of that: most of
-- it is its payload, which is not kept where nothing follows. If somebody else brings the same one at this moment, all that
-- followed is undone: his counts, or is tried again. What cannot be done now is left to the worker. Gives the outcome; busy:
-- nobody can tell now.
CREATE OR REPLACE FUNCTION seats_internal.process_new_event(event seats_internal.webhook_event) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    arrived    CONSTANT seats_internal.webhook_event := event;
    is_applied boolean := false;
    error_code text;
    problem    text;
BEGIN
    BEGIN
        event.outcome := seats_internal.apply_event(event);
        is_applied := true;
        event.processed_at := clock_timestamp();
        event.tries := 1;
        IF event.outcome = 'ignored' THEN
            event.payload := NULL;
        END IF;
        INSERT INTO seats_internal.webhook_event SELECT event.*
        ON CONFLICT ON CONSTRAINT webhook_event_pkey DO NOTHING;
        IF FOUND THEN
            RETURN event.outcome;
        END IF;
        RAISE EXCEPTION 'somebody else has brought it' USING ERRCODE = 'unique_violation';
    EXCEPTION WHEN OTHERS THEN
        error_code := SQLSTATE;
        problem := concat_ws(' ', SQLERRM, '(' || SQLSTATE || ')');
    END;
    IF is_applied AND error_code IN ('55P03', '40P01') THEN  -- lock_not_available, deadlock_detected
        RETURN 'busy';
    END IF;
    BEGIN
        INSERT INTO seats_internal.webhook_event SELECT arrived.*
        ON CONFLICT ON CONSTRAINT webhook_event_pkey DO NOTHING;
        IF FOUND THEN
            PERFORM seats_internal.event_failed(arrived, problem);
            RETURN 'stored';
        END IF;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        RETURN 'busy';
    END;
    RETURN seats_internal.process_event(event.endpoint, event.event_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.process_new_event(seats_internal.webhook_event) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.process_new_event(seats_internal.webhook_event) IS
    'processes an event that has just come, and writes it with its outcome';

-- The worker's step: some of the events that are due, and how long it is to the next one.
CREATE OR REPLACE FUNCTION seats_internal.retry_events(most integer, OUT tried integer, OUT next_in_ms bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at_now CONSTANT timestamptz := clock_timestamp();
    due    record;
BEGIN
    tried := 0;
    FOR due IN
        SELECT w.endpoint, w.event_id FROM seats_internal.webhook_event AS w
         WHERE w.retry_at <= at_now
         ORDER BY w.retry_at LIMIT most
           FOR UPDATE SKIP LOCKED  -- or the same ones would keep all others waiting
    LOOP
        PERFORM seats_internal.process_event(due.endpoint, due.event_id);
        tried := tried + 1;
    END LOOP;
    -- One that somebody else has locked is not looked at again and again meanwhile. (Where there is none,
    -- there is no row: greatest() would pass over a null and say that the next one is due at once.)
    SELECT greatest(extract(epoch FROM w.retry_at - clock_timestamp()) * 1000,
                    CASE WHEN tried < most THEN 100 ELSE 10 END)::bigint
      INTO next_in_ms
      FROM seats_internal.webhook_event AS w
     WHERE w.retry_at IS NOT NULL
     ORDER BY w.retry_at LIMIT 1;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.retry_events(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.retry_events(integer) IS
    'processes events that could not be processed when they came; called by the worker';

-- True: there are more. What is found is deleted by its place: a join would read the whole table.
CREATE OR REPLACE FUNCTION seats_internal.forget_events(history_days integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most    CONSTANT integer     := 1000;
    too_old CONSTANT timestamptz := clock_timestamp() - history_days * interval '1 day';
    source  text;
    deleted integer;
    is_more boolean := false;
BEGIN
    FOR source IN
        SELECT e.name FROM seats_internal.webhook_endpoint AS e
        UNION ALL
        SELECT 'list:' || d.name FROM seats_internal.destination AS d WHERE d.kind = 'stripe'
    LOOP
        DELETE FROM seats_internal.webhook_event AS w
         WHERE w.ctid = ANY (ARRAY(
            SELECT a.ctid FROM seats_internal.webhook_event AS a
             WHERE a.endpoint = source AND a.processed_at IS NOT NULL AND a.received_at < too_old
             ORDER BY a.received_at LIMIT most
               FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS deleted = ROW_COUNT;
        is_more := is_more OR deleted >= most;
    END LOOP;
    DELETE FROM seats_internal.unknown_type AS u WHERE u.told_at < too_old;
    RETURN is_more;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_events(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_events(integer) IS
    'deletes events that are older than the history, some at a time: true if there are more';
