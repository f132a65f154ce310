-- How changes end: moved to the history, told to the journal; and the rest of those that were refused together.

-- Moves changes to the history, all with the same end, and tells the application's feed what became
-- of them. Those other than the carrier went along with its call. Whatever a person was told about
-- them is over. `actor` is who has taken them back; of any other end, the entry names who asked for them.
CREATE OR REPLACE FUNCTION seats_internal.finish_changes(
    changes    bigint[],
    result     text,
    reason     text,
    role       text,
    carrier    bigint DEFAULT NULL,
    settled_by text   DEFAULT NULL,
    actor      text   DEFAULT NULL,
    proof      text   DEFAULT NULL,
    invoice    jsonb  DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- As they are once they are ours: the worker may be putting one of them into review right now.
    told boolean := coalesce((SELECT bool_or(l.state = 'review' OR l.row_errors > 0)
                                FROM (SELECT o.state, o.row_errors FROM seats_internal.outbox AS o
                                       WHERE o.id = ANY (changes) ORDER BY o.id FOR UPDATE) AS l), false);
BEGIN
    INSERT INTO seats_internal.journal (ring, kind, role, actor, call_id, lane_id, reason, detail)
    SELECT k.ring, seats_internal.journal_kind(k.result), finish_changes.role,
           CASE WHEN k.result = 'cancelled' THEN finish_changes.actor ELSE k.actor END,
           k.id, k.lane_id, k.reason,
           seats_internal.change_detail(k.id, k.team_id, k.lines) || seats_internal.error_detail(
               k.result, k.reason, k.error, k.error_code, k.decline_code)
           || seats_internal.invoice_detail(k.invoice) || seats_internal.person_detail(finish_changes.role)
      FROM seats_internal.move_to_history(changes, finish_changes.result, finish_changes.reason,
                                          finish_changes.settled_by, finish_changes.carrier,
                                          finish_changes.result <> 'done', finish_changes.proof,
                                          finish_changes.invoice) AS k;
    PERFORM seats_internal.wake_for_news();
    IF told THEN
        UPDATE seats_internal.alert AS a
           SET resolved_at = clock_timestamp(), resolution = finish_changes.reason
         WHERE a.resolved_at IS NULL
           -- (As an array: joined by hash, all open alerts would be read.)
           AND a.fingerprint = ANY (ARRAY(SELECT kind || ':' || id FROM unnest(changes) AS id,
                                                 unnest('{review,settling}'::text[]) AS kind));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.finish_changes(bigint[], text, text, text, bigint, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.finish_changes(bigint[], text, text, text, bigint, text, text, text, jsonb) IS
    'settles changes that need no answer of their own: moves them to the history, tells the journal';

-- What the feed says of a change.
CREATE OR REPLACE FUNCTION seats_internal.journal_kind(result text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE result WHEN 'done' THEN 'change.confirmed' WHEN 'refused' THEN 'change.reverted'
                   ELSE 'change.cancelled' END;
REVOKE ALL ON FUNCTION seats_internal.journal_kind(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.journal_kind(text) IS 'a result in the words of the journal';

CREATE OR REPLACE FUNCTION seats_internal.change_detail(change bigint, team_id bigint, lines jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'change', change, 'team', (SELECT t.name FROM seats_internal.team AS t
                                    WHERE t.id = change_detail.team_id),
        'lines', lines));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.change_detail(bigint, bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_detail(bigint, bigint, jsonb) IS
    'a change as the journal tells of it';

-- A run of changes of a lane, from first to last. Of a call that went to Stripe the first one is the
-- carrier.
CREATE OR REPLACE FUNCTION seats_internal.finish_run(
    lane_id    bigint,
    first_id   bigint,
    end_id     bigint,
    result     text,
    reason     text,
    settled_by text   DEFAULT NULL,
    carrier    bigint DEFAULT NULL,
    proof      text   DEFAULT NULL,
    invoice    jsonb  DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.finish_changes(
        ARRAY(SELECT o.id FROM seats_internal.outbox AS o
               WHERE o.lane_id = finish_run.lane_id AND o.id BETWEEN first_id AND end_id
                 AND o.kind = 'change'),
        result, finish_run.reason, coalesce(settled_by, 'pg_seats'),
        coalesce(carrier, CASE WHEN first_id <> end_id THEN first_id END), settled_by,
        proof => finish_run.proof, invoice => finish_run.invoice);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.finish_run(bigint, bigint, bigint, text, text, text, bigint, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.finish_run(bigint, bigint, bigint, text, text, text, bigint, text, jsonb) IS
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
        PERFORM seats_internal.finish_changes(
            changes, 'refused', coalesce(last_refusal, reason, 'payment_failed'), 'pg_seats', proof => 'answered');
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
