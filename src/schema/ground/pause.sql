-- The operators' verbs on destinations, lanes and alerts: pause, resume, acknowledge.

CREATE FUNCTION seats_internal.require_destination(destination text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM seats_internal.destination AS d
                    WHERE d.name = require_destination.destination) THEN
        RAISE EXCEPTION 'there is no destination %', coalesce(quote_ident(destination), 'NULL')
            USING ERRCODE = 'PS101',
                  HINT = 'seats.destinations lists them; seats.define_destination defines one.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_destination(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_destination(text) IS
    'an error unless the destination is defined';

-- Locks the lane.
CREATE FUNCTION seats_internal.require_lane(destination text, name text) RETURNS seats_internal.lane
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_lane seats_internal.lane;
BEGIN
    UPDATE seats_internal.lane AS l SET version = l.version + 1
     WHERE l.destination = require_lane.destination AND l.name = require_lane.name
    RETURNING l.* INTO found_lane;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'destination % has no lane %', quote_ident(destination), quote_ident(name)
            USING ERRCODE = 'PS408',
                  HINT = 'A lane exists from its first call on; seats.calls shows them.';
    END IF;
    RETURN found_lane;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_lane(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_lane(text, text) IS
    'locks a lane and gives it, or an error';

CREATE FUNCTION seats_internal.raise_already_paused(what text, since timestamptz, by_whom text, why text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% is paused already', what
        USING ERRCODE = 'PS406',
              DETAIL = format('Since %s by %s: %s', since, by_whom, why),
              HINT = 'seats.resume(destination, reason, lane) ends it.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_already_paused(text, timestamptz, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_already_paused(text, timestamptz, text, text) IS
    'the error for a second pause, which would hide the reason of the first';

CREATE FUNCTION seats_internal.pause_lane(caller text, destination text, reason text, lane text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.lane := seats_internal.require_lane(destination, lane);
BEGIN
    IF locked.paused_at IS NOT NULL THEN
        PERFORM seats_internal.raise_already_paused('the lane', locked.paused_at, locked.paused_by,
                                                    locked.paused_reason);
    END IF;
    UPDATE seats_internal.lane AS l
       SET paused_at = clock_timestamp(), paused_by = caller, paused_reason = pause_lane.reason
     WHERE l.id = locked.id;
    PERFORM seats_internal.write_journal(
        'lane.paused', caller, NULL, locked.id, pause_lane.reason,
        jsonb_build_object('destination', destination, 'lane', lane));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.pause_lane(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.pause_lane(text, text, text, text) IS 'seats.pause of a lane';

CREATE FUNCTION seats_internal.pause(
    caller            text,
    INOUT destination text,
    reason            text,
    INOUT lane        text,
    OUT paused        boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.destination;
BEGIN
    paused := true;
    PERFORM seats_internal.require_reason(pause.reason);
    PERFORM seats_internal.require_destination(pause.destination);
    IF lane IS NOT NULL THEN
        PERFORM seats_internal.pause_lane(caller, pause.destination, pause.reason, lane);
        RETURN;
    END IF;
    SELECT d.* INTO locked FROM seats_internal.destination AS d
     WHERE d.name = pause.destination FOR UPDATE;
    IF locked.paused_at IS NOT NULL THEN
        PERFORM seats_internal.raise_already_paused('the destination', locked.paused_at,
                                                    locked.paused_by, locked.paused_reason);
    END IF;
    UPDATE seats_internal.destination AS d
       SET paused_at = clock_timestamp(), paused_by = caller, paused_reason = pause.reason
     WHERE d.name = pause.destination;
    PERFORM seats_internal.write_journal('destination.paused', caller, NULL, NULL, pause.reason,
                                         jsonb_build_object('destination', pause.destination));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.pause(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.pause(text, text, text, text) IS 'behind seats.pause';

CREATE FUNCTION seats.pause(
    INOUT destination text,
    reason            text,
    INOUT lane        text    DEFAULT NULL,
    OUT paused        boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.pause(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.pause(text, text, text) IS
    'sends nothing more to a destination, or of one of its lanes, until resume; what is on the '
    'wire is settled';

-- Calls that went to review one by one, before it showed that the mistake is in all of them, wait
-- like the others. Seat changes are planned anew then, so that what was put right meanwhile counts.
CREATE FUNCTION seats_internal.take_back_from_review(destination text, calls bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Who holds a team keeps up its change alone: that one is sent once more as it is.
    lanes bigint[] := seats_internal.take_lanes(
        ARRAY(SELECT o.lane_id FROM seats_internal.outbox AS o
               WHERE o.id = ANY (calls) AND o.state = 'review' AND o.lane_id IS NOT NULL), NULL);
    thawed bigint[];
BEGIN
    UPDATE seats_internal.outbox AS o
       SET state = 'waiting', state_since = clock_timestamp(), due_at = NULL,
           eligible_xid = pg_current_xact_id(),
           tries = greatest(o.tries - 1, 0), attempts = greatest(o.attempts - 1, 0)
     WHERE o.id = ANY (calls) AND o.state = 'review';
    WITH free AS (
        UPDATE seats_internal.outbox AS o
           SET state = 'pending', first_sent_at = NULL, api_version = NULL
         WHERE o.id = ANY (calls) AND o.state = 'waiting' AND NOT o.doubt
           AND (o.lane_id IS NULL OR o.lane_id = ANY (lanes))
           AND (o.kind = 'change' OR o.tries = 0)
        RETURNING o.id)
    SELECT array_agg(free.id) INTO thawed FROM free;
    PERFORM seats_internal.dissolve_calls(coalesce(thawed, '{}'), '{}');
    PERFORM seats_internal.resolve_alert('review:' || c.id, 'the destination is halted for it')
       FROM unnest(calls) AS c (id);
    -- (There may be others, of longer ago.)
    PERFORM seats_internal.resolve_shared_alerts(destination, 'the destination is halted for it');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_back_from_review(text, bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_back_from_review(text, bigint[]) IS
    'ends reviews whose cause turned out to be the same everywhere; called by the worker';

CREATE FUNCTION seats_internal.resume_lane(caller text, destination text, reason text, lane text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.lane := seats_internal.require_lane(destination, lane);
BEGIN
    IF locked.paused_at IS NULL THEN
        RAISE EXCEPTION 'the lane is not paused' USING ERRCODE = 'PS407',
            HINT = 'seats.explain_call tells what holds a call back.';
    END IF;
    UPDATE seats_internal.lane AS l
       SET paused_at = NULL, paused_by = NULL, paused_reason = NULL
     WHERE l.id = locked.id;
    PERFORM seats_internal.reoffer_lane(locked.id);
    PERFORM seats_internal.write_journal(
        'lane.resumed', caller, NULL, locked.id, resume_lane.reason,
        jsonb_build_object('destination', destination, 'lane', lane));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.resume_lane(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resume_lane(text, text, text, text) IS 'seats.resume of a lane';

CREATE FUNCTION seats_internal.resume(
    caller            text,
    INOUT destination text,
    reason            text,
    INOUT lane        text,
    OUT paused        boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.destination;
BEGIN
    paused := false;
    PERFORM seats_internal.require_reason(resume.reason);
    PERFORM seats_internal.require_destination(resume.destination);
    IF lane IS NOT NULL THEN
        PERFORM seats_internal.resume_lane(caller, resume.destination, resume.reason, lane);
        RETURN;
    END IF;
    SELECT d.* INTO locked FROM seats_internal.destination AS d
     WHERE d.name = resume.destination FOR UPDATE;
    IF locked.paused_at IS NULL AND locked.halted_at IS NULL THEN
        RAISE EXCEPTION 'destination % is neither paused nor halted', quote_ident(locked.name)
            USING ERRCODE = 'PS407', HINT = 'seats.explain_call tells what holds a call back.';
    END IF;
    UPDATE seats_internal.destination AS d
       SET paused_at = NULL, paused_by = NULL, paused_reason = NULL, halted_at = NULL,
           halted_reason = NULL, halted_message = NULL, halted_needs_person = false
     WHERE d.name = resume.destination;
    PERFORM seats_internal.resolve_alert('halted:' || resume.destination,
                                         format('resumed by %I', caller));
    PERFORM seats_internal.write_journal(
        'destination.resumed', caller, NULL, NULL, resume.reason,
        jsonb_build_object('destination', resume.destination,
                           'was_paused', locked.paused_at IS NOT NULL,
                           'was_halted', locked.halted_at IS NOT NULL,
                           'halted_reason', locked.halted_reason));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.resume(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resume(text, text, text, text) IS 'behind seats.resume';

CREATE FUNCTION seats.resume(
    INOUT destination text,
    reason            text,
    INOUT lane        text    DEFAULT NULL,
    OUT paused        boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.resume(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.resume(text, text, text) IS
    'ends the pause of a destination or lane, and the halt of a destination';

-- An alert that was acknowledged stays open until its cause is gone; health no longer counts it. What
-- tells of something that has happened has no cause that could go: it ends with being acknowledged,
-- so that the next one is told again.
CREATE FUNCTION seats_internal.acknowledge(
    caller      text,
    INOUT alert bigint,
    reason      text,
    OUT state   text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked       seats_internal.alert;
    has_happened boolean;
BEGIN
    PERFORM seats_internal.require_reason(acknowledge.reason);
    SELECT a.* INTO locked FROM seats_internal.alert AS a
     WHERE a.id = acknowledge.alert FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no alert %', acknowledge.alert
            USING ERRCODE = 'PS409', HINT = 'seats.alerts lists them.';
    ELSIF coalesce(locked.resolved_at, locked.acknowledged_at) IS NOT NULL THEN
        RAISE EXCEPTION 'alert % is % already', locked.id,
            CASE WHEN locked.resolved_at IS NULL THEN 'acknowledged' ELSE 'resolved' END
            USING ERRCODE = 'PS410',
                  DETAIL = CASE WHEN locked.resolved_at IS NULL
                      THEN format('By %s at %s.', locked.acknowledged_by, locked.acknowledged_at)
                      ELSE format('At %s: %s.', locked.resolved_at, locked.resolution) END;
    END IF;
    has_happened := locked.kind IN
        ('outside_change_overwritten', 'unknown_marker', 'confirmed_unpaid', 'invite_failed',
         'superseded_call_executed', 'too_many_missed_events', 'webhook_wrong_mode',
         'webhook_secret_unreadable');
    UPDATE seats_internal.alert AS a
       SET acknowledged_at = clock_timestamp(), acknowledged_by = caller,
           resolved_at = CASE WHEN has_happened THEN clock_timestamp() END,
           resolution = CASE WHEN has_happened THEN format('acknowledged by %I', caller) END
     WHERE a.id = locked.id;
    PERFORM seats_internal.write_journal(
        'alert.acknowledged', caller, locked.call_id, NULL, acknowledge.reason,
        jsonb_build_object('alert', locked.id, 'fingerprint', locked.fingerprint));
    state := CASE WHEN has_happened THEN 'resolved' ELSE 'acknowledged' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.acknowledge(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.acknowledge(text, bigint, text) IS 'behind seats.acknowledge';

CREATE FUNCTION seats.acknowledge(INOUT alert bigint, reason text, OUT state text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.acknowledge(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.acknowledge(bigint, text) IS
    'somebody looks after an alert: health no longer counts it; it stays open until its cause is '
    'gone, or is resolved at once if it tells of something that has happened';
