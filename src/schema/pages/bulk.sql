-- Verbs for many at once, for the morning after: what waits for its time is done now. Nothing here decides about money, and
-- nothing touches what is in review. Somebody has counted first (count_retryable, count_replayable) and says what he has seen: if
-- it is another number by then, nothing happens, and the error has the new one. Nobody is waited for, so that nobody waits behind
-- thousands of locks: what somebody else has in hand just now counts as changed. Per call or event there is the entry of the
-- journal that the single verb writes, with the filter in its detail.

CREATE OR REPLACE FUNCTION seats_internal.require_count(
    what     text,
    matching integer,
    free     integer,
    expected integer,
    look     text
) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF expected IS NULL THEN
        RAISE EXCEPTION 'how many % are to be changed, and up to which?', what USING ERRCODE = 'PS413',
            HINT = format('Look first: SELECT * FROM %s gives both.', look);
    ELSIF matching > seats_internal.most_looked_at() THEN
        RAISE EXCEPTION 'more than % % match', seats_internal.most_looked_at(), what USING ERRCODE = 'PS414',
            HINT = format('SELECT * FROM %s gives the number up to which there are so many: do these first.', look);
    ELSIF free <> expected THEN
        RAISE EXCEPTION '% % can be changed now, not %', free, what, expected USING ERRCODE = 'PS413',
            DETAIL = format('%s match now; of these somebody else, or the worker, has %s in hand just now. Nothing was changed.',
                            matching, matching - free),
            HINT = format('Look again (SELECT * FROM %s), then say the new number.', look);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_count(text, integer, integer, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_count(text, integer, integer, integer, text) IS
    'an error unless as many can be changed as somebody has counted';

-- ---- calls

-- What has its next try planned, as seats.retry takes it. (By the index of what is due, whatever the planner thinks of walking
-- the primary key to the first ones that fit.)
CREATE OR REPLACE FUNCTION seats_internal.retryable(filter jsonb, lane bigint, up_to_id bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        WITH due AS MATERIALIZED (
            SELECT o.id FROM seats_internal.outbox AS o
             WHERE o.due_at >= '-infinity' AND seats_internal.can_be_retried(o.state)
               AND o.id <= up_to_id AND seats_internal.call_fits(o, filter, retryable.lane))
        SELECT d.id FROM due AS d ORDER BY d.id LIMIT seats_internal.most_looked_at() + 1);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.retryable(jsonb, bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.retryable(jsonb, bigint, bigint) IS
    'calls whose next try is planned, by a filter, and one more than a bulk verb changes';

CREATE OR REPLACE FUNCTION seats_internal.retry_filter_lane(filter jsonb) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.require_filter(filter, '{state,destination,lane,team,reason,error_code}');
    IF NOT seats_internal.can_be_retried(seats_internal.filtered_state(filter)) THEN
        RAISE EXCEPTION 'calls in state % are not retried', filter ->> 'state' USING ERRCODE = 'PS411',
            HINT = 'States: pending, waiting, verifying, awaiting. What is in review is decided one by one: seats.resolve_review.';
    END IF;
    RETURN seats_internal.filtered_lane(filter);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.retry_filter_lane(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.retry_filter_lane(jsonb) IS
    'the lane that a filter of calls to be retried names, or an error if it is none';

CREATE OR REPLACE FUNCTION seats_internal.count_retryable(
    caller         text,
    filter         jsonb,
    INOUT up_to_id bigint,
    OUT calls      integer,
    OUT is_more    boolean
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lane  CONSTANT bigint := seats_internal.retry_filter_lane(filter);
    most  CONSTANT integer := seats_internal.most_looked_at();
    found bigint[];
BEGIN
    up_to_id := coalesce(up_to_id, (SELECT max(o.id) FROM seats_internal.outbox AS o), 0);
    found := seats_internal.retryable(filter, lane, up_to_id);
    is_more := cardinality(found) > most;
    calls := least(cardinality(found), most);
    up_to_id := CASE WHEN is_more THEN found[most] ELSE up_to_id END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.count_retryable(text, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_retryable(text, jsonb, bigint) IS 'behind seats.count_retryable';

CREATE OR REPLACE FUNCTION seats.count_retryable(
    filter         jsonb  DEFAULT '{}',
    INOUT up_to_id bigint DEFAULT NULL,
    OUT calls      integer,
    OUT is_more    boolean
)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.count_retryable(jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.count_retryable(jsonb, bigint) IS
    'how many calls have their next try planned for later, by a filter {state, destination, lane, team, reason, error_code}, and '
    'up to which call: what seats.retry_all wants to be told. is_more: behind that one there are others';

-- Lanes first, then rows, in order.
CREATE OR REPLACE FUNCTION seats_internal.take_for_retry(filter jsonb, lane bigint, calls bigint[]) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lanes bigint[];
BEGIN
    lanes := ARRAY(
        SELECT l.id FROM seats_internal.lane AS l
         WHERE l.id = ANY (ARRAY(SELECT DISTINCT o.lane_id FROM seats_internal.outbox AS o
                                  WHERE o.id = ANY (calls) AND o.lane_id IS NOT NULL))
         ORDER BY l.id FOR NO KEY UPDATE SKIP LOCKED);
    UPDATE seats_internal.lane AS l SET version = l.version + 1 WHERE l.id = ANY (lanes);
    RETURN ARRAY(
        SELECT o.id FROM seats_internal.outbox AS o
         WHERE o.id = ANY (calls) AND o.due_at IS NOT NULL AND seats_internal.can_be_retried(o.state)
           AND seats_internal.call_fits(o, filter, take_for_retry.lane)
           AND (o.lane_id IS NULL OR o.lane_id = ANY (lanes))
         ORDER BY o.id FOR UPDATE SKIP LOCKED);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_for_retry(jsonb, bigint, bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_for_retry(jsonb, bigint, bigint[]) IS
    'locks those of the calls that are still to be retried and that nobody else has in hand, and gives them';

CREATE OR REPLACE FUNCTION seats_internal.retry_all(
    caller         text,
    filter         jsonb,
    up_to_id       bigint,
    expected_count integer,
    reason         text
) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lane  CONSTANT bigint := seats_internal.retry_filter_lane(filter);
    calls bigint[];
    taken bigint[];
BEGIN
    PERFORM seats_internal.require_reason(retry_all.reason);
    calls := seats_internal.retryable(filter, lane, up_to_id);
    taken := CASE WHEN cardinality(calls) <= seats_internal.most_looked_at()
                  THEN seats_internal.take_for_retry(filter, lane, calls) END;
    PERFORM seats_internal.require_count('calls', cardinality(calls), cardinality(taken),
                                         CASE WHEN up_to_id IS NOT NULL THEN expected_count END,
                                         'seats.count_retryable(filter)');
    PERFORM seats_internal.require_own(o) FROM seats_internal.outbox AS o WHERE o.id = ANY (taken);
    PERFORM seats_internal.write_journal(
        'operator.retry', caller, o.id, o.lane_id, retry_all.reason,
        jsonb_build_object('state', o.state, 'filter', filter))
       FROM seats_internal.outbox AS o WHERE o.id = ANY (taken);
    -- (As the first of its lane each is seen anew by that; behind another one it waits for that one.)
    UPDATE seats_internal.outbox AS o
       SET due_at = NULL, eligible_xid = pg_current_xact_id()
     WHERE o.id = ANY (taken);
    RETURN cardinality(taken);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.retry_all(text, jsonb, bigint, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.retry_all(text, jsonb, bigint, integer, text) IS 'behind seats.retry_all';

CREATE OR REPLACE FUNCTION seats.retry_all(filter jsonb, up_to_id bigint, expected_count integer, reason text)
RETURNS integer
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.retry_all(jsonb, bigint, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.retry_all(jsonb, bigint, integer, text) IS
    'seats.retry for all calls that seats.count_retryable counts with this filter up to this call: gives how many. All of them or '
    'none: an error if it is another number than expected, or more than 10,000';

-- ---- webhook events

CREATE OR REPLACE FUNCTION seats_internal.event_fits(event seats_internal.webhook_event, filter jsonb, up_to timestamptz)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (event).received_at <= up_to
       AND seats_internal.value_fits(filter, 'endpoint', (event).endpoint)
       AND seats_internal.value_fits(filter, 'destination', (event).destination)
       AND seats_internal.value_fits(filter, 'type', (event).type)
       AND seats_internal.value_fits(filter, 'error', (event).error);
REVOKE ALL ON FUNCTION seats_internal.event_fits(seats_internal.webhook_event, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.event_fits(seats_internal.webhook_event, jsonb, timestamptz) IS
    'whether a filter lets an event through that was not processed yet';

CREATE OR REPLACE FUNCTION seats_internal.count_replayable(
    caller      text,
    filter      jsonb,
    INOUT up_to timestamptz,
    OUT events  integer,
    OUT is_more boolean
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most  CONSTANT integer := seats_internal.most_looked_at();
    found timestamptz[];
BEGIN
    PERFORM seats_internal.require_filter(filter, '{endpoint,destination,type,error}');
    -- (In whole milliseconds, as many a language knows times no better: the same must come back.)
    up_to := coalesce(up_to, date_trunc('milliseconds', clock_timestamp()));
    found := ARRAY(
        SELECT w.received_at FROM seats_internal.webhook_event AS w
         WHERE w.retry_at IS NOT NULL AND seats_internal.event_fits(w, filter, up_to)
         ORDER BY w.received_at LIMIT most + 1);
    is_more := cardinality(found) > most;
    -- (Of several that came in the same millisecond all count, or none.)
    IF is_more THEN
        up_to := date_trunc('milliseconds', found[most + 1] - interval '1 microsecond');
    END IF;
    events := (SELECT count(*) FROM unnest(found) AS f (at) WHERE f.at <= up_to);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.count_replayable(text, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_replayable(text, jsonb, timestamptz) IS 'behind seats.count_replayable';

CREATE OR REPLACE FUNCTION seats.count_replayable(
    filter      jsonb       DEFAULT '{}',
    INOUT up_to timestamptz DEFAULT NULL,
    OUT events  integer,
    OUT is_more boolean
)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.count_replayable(jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats.count_replayable(jsonb, timestamptz) IS
    'how many events could not be processed yet, by a filter {endpoint, destination, type, error}, and up to when they were '
    'received: what seats.replay_webhooks_all wants to be told. is_more: later ones are not counted';

CREATE OR REPLACE FUNCTION seats_internal.replay_webhooks_all(
    caller         text,
    filter         jsonb,
    up_to          timestamptz,
    expected_count integer,
    reason         text
) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most      CONSTANT integer := seats_internal.most_looked_at();
    found     integer;
    endpoints text[];
    events    text[];
BEGIN
    PERFORM seats_internal.require_filter(filter, '{endpoint,destination,type,error}');
    PERFORM seats_internal.require_reason(replay_webhooks_all.reason);
    SELECT count(*) INTO found
      FROM (SELECT FROM seats_internal.webhook_event AS w
             WHERE w.retry_at IS NOT NULL AND seats_internal.event_fits(w, filter, up_to) LIMIT most + 1) AS f;
    SELECT coalesce(array_agg(f.endpoint), '{}'), coalesce(array_agg(f.event_id), '{}') INTO endpoints, events
      FROM (SELECT w.endpoint, w.event_id FROM seats_internal.webhook_event AS w
             WHERE found <= most AND w.retry_at IS NOT NULL AND seats_internal.event_fits(w, filter, up_to)
             ORDER BY w.endpoint, w.event_id FOR UPDATE SKIP LOCKED) AS f;
    PERFORM seats_internal.require_count('events', found, cardinality(events),
                                         CASE WHEN up_to IS NOT NULL THEN expected_count END,
                                         'seats.count_replayable(filter)');
    PERFORM seats_internal.write_journal(
        'operator.replay_webhook', caller, NULL, NULL, replay_webhooks_all.reason,
        jsonb_build_object('endpoint', w.endpoint, 'event', w.event_id, 'type', w.type, 'filter', filter))
       FROM unnest(endpoints, events) AS f (endpoint, event_id)
       JOIN seats_internal.webhook_event AS w ON w.endpoint = f.endpoint AND w.event_id = f.event_id;
    UPDATE seats_internal.webhook_event AS w
       SET retry_at = clock_timestamp()
      FROM unnest(endpoints, events) AS f (endpoint, event_id)
     WHERE w.endpoint = f.endpoint AND w.event_id = f.event_id;
    PERFORM seats_internal.wake_for_webhooks();
    RETURN cardinality(events);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.replay_webhooks_all(text, jsonb, timestamptz, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.replay_webhooks_all(text, jsonb, timestamptz, integer, text) IS
    'behind seats.replay_webhooks_all';

CREATE OR REPLACE FUNCTION seats.replay_webhooks_all(
    filter         jsonb,
    up_to          timestamptz,
    expected_count integer,
    reason         text
) RETURNS integer
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.replay_webhooks_all(jsonb, timestamptz, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.replay_webhooks_all(jsonb, timestamptz, integer, text) IS
    'has the worker try all events now that seats.count_replayable counts with this filter up to this time: gives how many. All of '
    'them or none: an error if it is another number than expected, or more than 10,000';
