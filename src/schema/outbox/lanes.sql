-- Pauses of single lanes, for seats.pause and seats.resume.

CREATE OR REPLACE FUNCTION seats_internal.pause_lane(caller text, destination text, reason text, lane text)
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

CREATE OR REPLACE FUNCTION seats_internal.resume_lane(caller text, destination text, reason text, lane text)
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
