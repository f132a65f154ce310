-- What a read proves about changes whose outcome we do not know, or have forgotten (a failover to an
-- asynchronous standby, a restore). Each call leaves a marker at Stripe: the uuids of the first and of
-- the last change that it carried. Changes of a lane are executed in order, so a marker also says
-- something of those before and behind it.

-- A frozen call that a marker contradicts is no call any more: the run of changes that Stripe has
-- executed is another one than the run that we know. Its changes are pending again, in doubt.
CREATE OR REPLACE FUNCTION seats_internal.forget_frozen_run(head_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head seats_internal.outbox;
BEGIN
    UPDATE seats_internal.outbox AS o SET state = 'pending', due_at = NULL WHERE o.id = head_id
    RETURNING o.* INTO head;
    PERFORM seats_internal.dissolve_call(head_id, false);
    UPDATE seats_internal.outbox AS o
       SET doubt = true, first_sent_at = coalesce(o.first_sent_at, o.created_at)
     WHERE o.lane_id = head.lane_id AND o.id BETWEEN head_id AND coalesce(head.last_id, head_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_frozen_run(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_frozen_run(bigint) IS
    'takes a frozen call apart whose run of changes was not the one that was executed';

-- Stripe has executed the run from first_id to end_id. Makes what we know fit: frozen runs that cross
-- its borders fall apart, and what stands before it was settled before it was sent, and we have
-- forgotten how.
CREATE OR REPLACE FUNCTION seats_internal.make_room_for_run(lane_id bigint, first_id bigint, end_id bigint)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change bigint;
BEGIN
    FOR change IN
        SELECT o.id FROM seats_internal.outbox AS o
         WHERE o.lane_id = make_room_for_run.lane_id AND o.kind = 'change' AND o.body <> ''
           AND (o.id < first_id AND o.last_id >= first_id
                OR o.id BETWEEN first_id AND end_id AND o.last_id > end_id)
    LOOP
        PERFORM seats_internal.forget_frozen_run(change);
    END LOOP;
    FOR change IN
        SELECT o.id FROM seats_internal.outbox AS o
         WHERE o.lane_id = make_room_for_run.lane_id AND o.id < first_id AND o.kind = 'change'
           AND o.state IN ('pending', 'waiting', 'verifying', 'awaiting')
         ORDER BY o.id
    LOOP
        PERFORM seats_internal.review_change(change, 'overtaken',
            'a later change of the same team was executed, so it was executed or refused before, and '
            'this database has forgotten which');
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.make_room_for_run(bigint, bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.make_room_for_run(bigint, bigint, bigint) IS
    'what follows for other open changes from the fact that a run of them was executed';

-- The run's last change was lost here, so all that we know of and that stood behind its first one was
-- carried, too. But what came after the loss stands there as well, and cannot be told from it.
CREATE OR REPLACE FUNCTION seats_internal.review_rest_of_run(lane_id bigint, first_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change bigint;
BEGIN
    FOR change IN
        SELECT o.id FROM seats_internal.outbox AS o
         WHERE o.lane_id = review_rest_of_run.lane_id AND o.id > first_id AND o.kind = 'change'
           AND o.doubt AND o.state IN ('pending', 'waiting', 'verifying')
         ORDER BY o.id
    LOOP
        PERFORM seats_internal.review_change(change, 'not_proven',
            'an earlier change of the same team was executed together with others, and this database '
            'has lost the last of them: it may have been among them');
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_rest_of_run(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_rest_of_run(bigint, bigint) IS
    'changes that may have been carried by a call of which we do not know how far it went';

CREATE OR REPLACE FUNCTION seats_internal.remember_marker(lane_id bigint, marker text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO seats_internal.lane_marker AS m (lane_id, marker)
    VALUES (remember_marker.lane_id, remember_marker.marker)
    ON CONFLICT ON CONSTRAINT lane_marker_pkey DO UPDATE SET marker = excluded.marker;
END;
REVOKE ALL ON FUNCTION seats_internal.remember_marker(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.remember_marker(bigint, text) IS
    'which call was the last to leave its marker at Stripe';

-- Executed, says the marker; gives what is to be expected then, where `before` was before. What the call
-- asked for, if it is known: what was read between its freeze and its execution, it has overwritten.
CREATE OR REPLACE FUNCTION seats_internal.finish_proven_run(
    team     seats_internal.team,
    first_id bigint,
    end_id   bigint,
    facts    jsonb,
    before   jsonb
) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change   seats_internal.outbox;
    alarming seats_internal.outbox[] := '{}';
    expected jsonb := before;
    is_known boolean := false;
    executed seats_internal.outbox_history;
BEGIN
    FOR change IN
        SELECT o.* FROM seats_internal.outbox AS o
         WHERE o.lane_id = team.lane_id AND o.id BETWEEN first_id AND end_id AND o.kind = 'change'
         ORDER BY o.id
    LOOP
        -- (Not where this database has forgotten the call, or knows it under another key.)
        IF change.base IS NOT NULL
           AND facts ->> 'marker' = seats_internal.marker_of(change.uuid, change.last_uuid, change.generation) THEN
            is_known := true;
            expected := seats_internal.apply_call(expected, change.base, change.target);
        ELSIF NOT is_known THEN
            expected := seats_internal.apply_lines(expected, change.lines);
        END IF;
        IF change.state = 'review' OR change.row_errors > 0 THEN
            alarming := alarming || change;
        END IF;
    END LOOP;
    PERFORM seats_internal.finish_run(
        team.lane_id, first_id, end_id, 'done', 'proven_by_marker', proof => 'read',
        invoice => (SELECT seats_internal.invoice_of_call(facts -> 'invoice', o.payment, team.id, first_id <> end_id)
                      FROM seats_internal.outbox AS o WHERE o.id = first_id AND o.payment IS NOT NULL));
    PERFORM seats_internal.settle_split(team.lane_id, NULL);
    executed := seats_internal.settled_call(first_id);
    IF NOT is_known THEN
        executed.base := NULL;
    END IF;
    PERFORM seats_internal.apply_execution(team, executed, facts);
    FOREACH change IN ARRAY alarming LOOP
        PERFORM seats_internal.resolve_review_alerts('pg_seats', change);
    END LOOP;
    RETURN expected;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.finish_proven_run(
    seats_internal.team, bigint, bigint, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.finish_proven_run(
    seats_internal.team, bigint, bigint, jsonb, jsonb) IS
    'settles changes that a subscription''s marker proves to be executed';

-- The marker on the subscription names the changes that were executed last. If they are open here,
-- our table has forgotten it, or the answer never came. `before` is what was there before, as far as we
-- know; null: what is confirmed. Gives what is to be expected at Stripe; null: that is not known.
CREATE OR REPLACE FUNCTION seats_internal.apply_marker(
    team         seats_internal.team,
    facts        jsonb,
    before       jsonb,
    OUT expected jsonb,
    OUT is_news  boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    marker     text := facts ->> 'marker';
    first_uuid uuid := seats_internal.first_of_marker(marker);
    known      text;
    first_id   bigint;
    end_id     bigint;
    settled    record;
BEGIN
    is_news := false;
    SELECT m.marker INTO known FROM seats_internal.lane_marker AS m WHERE m.lane_id = team.lane_id;
    IF marker IS NULL OR marker = known THEN
        RETURN;
    END IF;
    SELECT o.id INTO first_id FROM seats_internal.outbox AS o
     WHERE o.lane_id = team.lane_id AND o.uuid = first_uuid AND o.kind = 'change';
    SELECT o.id INTO end_id FROM seats_internal.outbox AS o
     WHERE o.lane_id = team.lane_id AND o.uuid = seats_internal.last_of_marker(marker)
       AND o.kind = 'change';
    IF first_id IS NULL THEN
        -- Calls of enqueue_call in the lane carry markers as well, and are proved by themselves.
        IF EXISTS (SELECT FROM seats_internal.outbox AS o
                    WHERE o.lane_id = team.lane_id AND o.uuid = first_uuid) THEN
            RETURN;
        END IF;
        SELECT h.id, h.result INTO settled
          FROM seats_internal.outbox_history AS h
         WHERE h.ring = ANY (seats_internal.ring_slots()) AND h.team_id = team.id
           AND h.uuid = first_uuid;
        IF settled.result IS DISTINCT FROM 'done' THEN
            PERFORM seats_internal.alert_unknown_marker(team, marker, known, settled.id, settled.result);
            PERFORM seats_internal.compensated_run_executed(team.id, settled.id,
                                                            seats_internal.last_of_marker(marker));
        END IF;
        PERFORM seats_internal.remember_marker(team.lane_id, marker);
        IF end_id IS NULL THEN
            RETURN;  -- all of them are settled here
        END IF;
        -- Settled alone, by itself or by a person, but sent with others.
        first_id := coalesce(settled.id, end_id);
    END IF;
    is_news := true;
    IF before IS NULL THEN
        SELECT coalesce(jsonb_object_agg(s.seat_type, s.confirmed), '{}') INTO before
          FROM seats_internal.seat_line AS s WHERE s.team_id = team.id;
    END IF;
    PERFORM seats_internal.make_room_for_run(team.lane_id, first_id, coalesce(end_id, first_id));
    expected := seats_internal.finish_proven_run(team, first_id, coalesce(end_id, first_id), facts, before);
    IF end_id IS NULL THEN
        PERFORM seats_internal.review_rest_of_run(team.lane_id, first_id);
        PERFORM seats_internal.alert_unknown_marker(team, marker, known);
        expected := NULL;
    END IF;
    PERFORM seats_internal.remember_marker(team.lane_id, marker);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_marker(seats_internal.team, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_marker(seats_internal.team, jsonb, jsonb) IS
    'settles open changes that a subscription''s marker proves to be executed; is_news: there were some';

CREATE OR REPLACE FUNCTION seats_internal.alert_unknown_marker(
    team    seats_internal.team,
    marker  text,
    known   text,
    change  bigint DEFAULT NULL,
    result  text   DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- (One for each marker: what somebody has acknowledged is not to hide the next one.)
    PERFORM seats_internal.raise_alert(
        format('unknown_marker:%s:%s', team.id, left(marker, 100)), 'critical', 'unknown_marker',
        CASE WHEN change IS NULL
             THEN format('the subscription of team %s was changed by a call that this database does not '
                         'know', team.name)
             ELSE format('Stripe has executed change %s of team %s, which is %s here', change, team.name,
                         seats_internal.change_result(result)) END,
        jsonb_strip_nulls(jsonb_build_object(
            'team', team.name, 'subscription', team.subscription, 'marker', marker,
            'last_known_marker', known, 'change', change)),
        'A failover or a restore has lost a change that was sent, or another database with '
        'pg_seats changes the same subscription. Compare the team''s seats with what it asked for, '
        'then acknowledge this alert.');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.alert_unknown_marker(
    seats_internal.team, text, text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.alert_unknown_marker(
    seats_internal.team, text, text, bigint, text) IS
    'the alert that something was executed in our name that we do not know of';

-- The same for a change that waits for its payment at Stripe. How far its call goes is what the marker
-- says, whatever we had frozen.
CREATE OR REPLACE FUNCTION seats_internal.apply_pending_update(team seats_internal.team, facts jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pending_marker text := facts #>> '{pending_update,marker}';
    end_uuid       uuid := seats_internal.last_of_marker(pending_marker);
    change         seats_internal.outbox;
    end_id         bigint;
    is_news        boolean;
BEGIN
    -- What has waited and is not there any more was voided, has expired or was dropped: a read of its
    -- own, now, settles it.
    UPDATE seats_internal.outbox AS o
       SET due_at = clock_timestamp()
     WHERE o.lane_id = team.lane_id AND o.kind = 'change' AND o.state = 'awaiting'
       AND o.uuid IS DISTINCT FROM seats_internal.first_of_marker(pending_marker);
    SELECT o.* INTO change FROM seats_internal.outbox AS o
     WHERE o.lane_id = team.lane_id AND o.kind = 'change'
       AND o.uuid = seats_internal.first_of_marker(pending_marker);
    IF NOT FOUND OR change.state = 'review' THEN
        RETURN;
    END IF;
    is_news := change.state <> 'awaiting' OR change.last_uuid IS DISTINCT FROM end_uuid;
    IF is_news THEN
        SELECT o.id INTO end_id FROM seats_internal.outbox AS o
         WHERE o.lane_id = team.lane_id AND o.id >= change.id AND o.uuid = end_uuid;
        PERFORM seats_internal.make_room_for_run(team.lane_id, change.id, coalesce(end_id, change.id));
        IF end_id IS NULL THEN
            PERFORM seats_internal.review_rest_of_run(team.lane_id, change.id);
            PERFORM seats_internal.alert_unknown_marker(team, pending_marker, NULL);
        END IF;
        UPDATE seats_internal.outbox AS o
           SET state = 'carried', state_since = clock_timestamp()
         WHERE o.lane_id = team.lane_id AND o.id > change.id AND o.id <= end_id AND o.kind = 'change';
    END IF;
    UPDATE seats_internal.outbox AS o
       -- (Of one that is known to wait, the invoice is known: the latest one may be another's by now.)
       SET state = 'awaiting', reason = 'awaiting_payment',
           state_since = CASE o.state WHEN 'awaiting' THEN o.state_since ELSE clock_timestamp() END,
           due_at = coalesce(o.due_at, clock_timestamp() + interval '1 minute'),
           first_sent_at = coalesce(o.first_sent_at, o.created_at),
           payment = seats_internal.payment_of(facts)
                     || CASE WHEN is_news THEN '{}' ELSE coalesce(o.payment - 'expires_at', '{}') END,
           body = CASE o.body WHEN '' THEN 'forgotten' ELSE o.body END,
           base = CASE WHEN is_news THEN seats_internal.count_items(facts -> 'items') ELSE o.base END,
           target = CASE WHEN is_news THEN seats_internal.count_items(facts -> 'items')
                         || seats_internal.count_items(facts #> '{pending_update,items}')
                    ELSE o.target END,
           last_id = CASE WHEN is_news THEN nullif(end_id, o.id) ELSE o.last_id END,
           last_uuid = end_uuid
     WHERE o.id = change.id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_pending_update(seats_internal.team, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_pending_update(seats_internal.team, jsonb) IS
    'an open change that Stripe holds as a pending update waits for its payment';
