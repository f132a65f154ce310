-- The operators' verbs on destinations: pause and resume. Those of single lanes are in outbox/lanes.sql.

CREATE OR REPLACE FUNCTION seats_internal.raise_already_paused(what text, since timestamptz, by_whom text, why text)
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

CREATE OR REPLACE FUNCTION seats_internal.pause(
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

CREATE OR REPLACE FUNCTION seats.pause(
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

CREATE OR REPLACE FUNCTION seats_internal.resume(
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

CREATE OR REPLACE FUNCTION seats.resume(
    INOUT destination text,
    reason            text,
    INOUT lane        text    DEFAULT NULL,
    OUT paused        boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.resume(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.resume(text, text, text) IS
    'ends the pause of a destination or lane, and the halt of a destination';
