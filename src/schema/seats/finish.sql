-- How changes end: moved to the history, told to the journal; and the rest of those that were refused together.

-- Moves changes to the history, all with the same end, and tells the application's feed what became
-- of them. Those other than the carrier went along with its call. Whatever a person was told about
-- them is over. `actor` is who has taken them back; of any other end, the entry names who asked for them.
CREATE OR REPLACE FUNCTION seats_internal.finish_change_set(
    changes    bigint[],
    result     text,
    reason     text,
    role       text,
    carrier    bigint DEFAULT NULL,
    settled_by text   DEFAULT NULL,
    actor      text   DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off  -- what was deleted and what was kept are joined: thousands, when a team ends
SET jit = off  -- what is switched off above counts as very dear, and would be compiled for seconds
AS $$
DECLARE
    -- What was said about a call was said to its carrier; what a change has of its own is older.
    carriers seats_internal.outbox_history;
    told     boolean;
BEGIN
    IF finish_change_set.carrier IS NOT NULL THEN
        carriers := seats_internal.settled_call(finish_change_set.carrier);
    END IF;
    WITH gone AS (
        DELETE FROM seats_internal.outbox AS o WHERE o.id = ANY (changes) RETURNING o.*),
    kept AS (
        INSERT INTO seats_internal.outbox_history
            (ring, id, lane_id, created_at, first_sent_at, settled_at, uuid, installation, result,
             generation, attempts, clean, destination, method, path, body, enqueued_by, reason,
             error, error_code, decline_code, request_id, settled_by, context, kind, team_id, carrier_id,
             actor, lines, base, target)
        SELECT ring.slot, g.id, g.lane_id, g.created_at, g.first_sent_at, clock_timestamp(), g.uuid,
               g.installation, finish_change_set.result, g.generation, g.attempts, false, g.destination,
               g.method, g.path, g.body, g.enqueued_by, finish_change_set.reason,
               CASE WHEN w.has_own THEN g.last_error WHEN w.has THEN carriers.error END,
               CASE WHEN w.has_own THEN g.error_code WHEN w.has THEN carriers.error_code END,
               CASE WHEN w.has_own THEN g.decline_code WHEN w.has THEN carriers.decline_code END,
               g.request_id, finish_change_set.settled_by, g.context, g.kind, g.team_id,
               nullif(finish_change_set.carrier, g.id), g.actor, g.lines, g.base, g.target
          FROM gone AS g CROSS JOIN seats_internal.ring
         CROSS JOIN LATERAL (
            SELECT finish_change_set.result <> 'done' AS has,
                   finish_change_set.result <> 'done'
                   AND (carriers.id IS NULL OR g.id = finish_change_set.carrier) AS has_own) AS w
         ORDER BY g.id
        RETURNING *),
    journal AS (
        INSERT INTO seats_internal.journal (ring, kind, role, actor, call_id, lane_id, reason, detail)
        SELECT k.ring, seats_internal.journal_kind(finish_change_set.result), finish_change_set.role,
               CASE WHEN finish_change_set.result = 'cancelled' THEN finish_change_set.actor ELSE g.actor END,
               g.id, g.lane_id, finish_change_set.reason,
               seats_internal.change_detail(g) || seats_internal.error_detail(
                   k.result, k.reason, k.error, k.error_code, k.decline_code)
          FROM gone AS g JOIN kept AS k ON k.id = g.id
         ORDER BY g.id)
    SELECT bool_or(g.state = 'review' OR g.row_errors > 0) INTO told FROM gone AS g;
    PERFORM seats_internal.wake_for_news();
    IF told THEN
        UPDATE seats_internal.alert AS a
           SET resolved_at = clock_timestamp(), resolution = finish_change_set.reason
         WHERE a.resolved_at IS NULL
           -- (As an array: joined by hash, all open alerts would be read.)
           AND a.fingerprint = ANY (ARRAY(SELECT kind || ':' || id FROM unnest(changes) AS id,
                                                 unnest('{review,settling}'::text[]) AS kind));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.finish_change_set(bigint[], text, text, text, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.finish_change_set(bigint[], text, text, text, bigint, text, text) IS
    'settles changes that need no answer of their own: moves them to the history, tells the journal';

CREATE OR REPLACE FUNCTION seats_internal.finish_change(
    change     bigint,
    result     text,
    reason     text,
    role       text,
    carrier    bigint DEFAULT NULL,
    settled_by text   DEFAULT NULL,
    actor      text   DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.finish_change_set(ARRAY[change], result, reason, role, carrier, settled_by, actor);
END
$$;

-- What the feed says of a change.
CREATE OR REPLACE FUNCTION seats_internal.journal_kind(result text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE result WHEN 'done' THEN 'change.confirmed' WHEN 'refused' THEN 'change.reverted'
                   ELSE 'change.cancelled' END;
REVOKE ALL ON FUNCTION seats_internal.journal_kind(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.journal_kind(text) IS 'a result in the words of the journal';

CREATE OR REPLACE FUNCTION seats_internal.change_detail(change seats_internal.outbox) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'change', change.id, 'team', (SELECT t.name FROM seats_internal.team AS t
                                       WHERE t.id = change.team_id),
        'lines', change.lines));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.change_detail(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_detail(seats_internal.outbox) IS
    'a change as the journal tells of it';

REVOKE ALL ON FUNCTION
    seats_internal.finish_change(bigint, text, text, text, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.finish_change(bigint, text, text, text, bigint, text, text) IS
    'settles a change that needs no answer of its own: moves it to the history, tells the journal';

-- A run of changes of a lane, from first to last. Of a call that went to Stripe the first one is the
-- carrier.
CREATE OR REPLACE FUNCTION seats_internal.finish_changes(
    lane_id    bigint,
    first_id   bigint,
    end_id     bigint,
    result     text,
    reason     text,
    settled_by text   DEFAULT NULL,
    carrier    bigint DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.finish_change_set(
        ARRAY(SELECT o.id FROM seats_internal.outbox AS o
               WHERE o.lane_id = finish_changes.lane_id AND o.id BETWEEN first_id AND end_id
                 AND o.kind = 'change'),
        result, finish_changes.reason, coalesce(settled_by, 'pg_seats'),
        coalesce(carrier, CASE WHEN first_id <> end_id THEN first_id END), settled_by);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.finish_changes(bigint, bigint, bigint, text, text, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.finish_changes(bigint, bigint, bigint, text, text, text, bigint) IS
    'settles a run of changes of a lane alike';

-- A call of changes that were refused together was answered: one call less is left for the rest, and
-- half as many of them go in it. (What is only sent again uses nothing up.)
CREATE OR REPLACE FUNCTION seats_internal.count_split(lane_id bigint, tried integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox AS o
       SET splits_left = o.splits_left - 1, split_size = greatest(tried / 2, 1)
     WHERE o.lane_id = count_split.lane_id AND o.kind = 'change' AND o.splits_left IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.count_split(bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_split(bigint, integer) IS
    'counts an answer to changes of a lane that were refused together';

-- The changes that were refused together and have no further call of their own: they share the last
-- refusal.
CREATE OR REPLACE FUNCTION seats_internal.refuse_rest_of_split(lane_id bigint, last_refusal text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changes bigint[];
    reason  text;
BEGIN
    SELECT array_agg(o.id), max(o.reason) INTO changes, reason
      FROM seats_internal.outbox AS o
     WHERE o.lane_id = refuse_rest_of_split.lane_id AND o.splits_left <= 0
       AND o.state = 'pending' AND o.kind = 'change';
    IF changes IS NOT NULL THEN
        PERFORM seats_internal.finish_change_set(
            changes, 'refused', coalesce(last_refusal, reason, 'payment_failed'), 'pg_seats');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refuse_rest_of_split(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refuse_rest_of_split(bigint, text) IS
    'reverts what is left of changes that were refused together, when no call is left for them';

-- A call of the lane was answered, or proven. False: no changes of the lane were refused together.
CREATE OR REPLACE FUNCTION seats_internal.settle_split(lane_id bigint, last_refusal text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tried integer := (SELECT min(o.split_size) FROM seats_internal.outbox AS o
                       WHERE o.lane_id = settle_split.lane_id AND o.splits_left IS NOT NULL);
BEGIN
    IF tried IS NULL THEN
        RETURN false;
    END IF;
    PERFORM seats_internal.count_split(settle_split.lane_id, tried);
    PERFORM seats_internal.refuse_rest_of_split(settle_split.lane_id, last_refusal);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.settle_split(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.settle_split(bigint, text) IS
    'counts a settled call of changes that were refused together, and reverts the rest when it was the last';
