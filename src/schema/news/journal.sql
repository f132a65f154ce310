-- Who did what. The loop of the worker and the verbs write it through this function, and through nothing else,
-- but for a few statements that write many entries at once.

-- Who shares a role of the database with others says who it is for a transaction: SET LOCAL pg_seats.person. (What
-- Stripe or the worker has done is nobody's, though it may be a session of an application that stores Stripe's event. A
-- single expression, which is inlined.)
CREATE OR REPLACE FUNCTION seats_internal.person_detail(role text) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN role IN ('pg_seats', 'stripe') OR coalesce(current_setting('pg_seats.person', true), '') = ''
            THEN '{}'::jsonb
            ELSE jsonb_build_object('person', current_setting('pg_seats.person', true)) END;
REVOKE ALL ON FUNCTION seats_internal.person_detail(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.person_detail(text) IS 'who acts, as the session says, for the detail of an entry of the journal';

-- An entry counts when its transaction commits; the worker numbers it then. `role` is who acted, and comes
-- from the server; `actor` is an application's word for it. In one column, a user whose id is `stripe` would
-- pass for Stripe.
CREATE OR REPLACE FUNCTION seats_internal.write_journal(
    kind    text,
    role    text,
    call_id bigint,
    lane_id bigint,
    reason  text,
    detail  jsonb DEFAULT '{}',
    actor   text  DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.journal (ring, kind, role, actor, call_id, lane_id, reason, detail)
    SELECT ring.slot, write_journal.kind, write_journal.role, write_journal.actor, write_journal.call_id,
           write_journal.lane_id, write_journal.reason,
           coalesce(write_journal.detail, '{}') || seats_internal.person_detail(write_journal.role)
      FROM seats_internal.ring;
    PERFORM seats_internal.wake_for_news();
END
$$;
REVOKE ALL ON FUNCTION seats_internal.write_journal(text, text, bigint, bigint, text, jsonb, text)
    FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.write_journal(text, text, bigint, bigint, text, jsonb, text) IS
    'adds an entry to the journal, in the current partition of its ring';

-- The journal is append-only: a row may be numbered, once, and nothing else may happen to it, but that a
-- person is erased from it.
-- TRUNCATE stays for retention. The condition stands in the trigger, so that numbering costs no
-- function call; a superuser who disables triggers is beyond our reach.
CREATE OR REPLACE FUNCTION seats_internal.refuse_journal_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only'
        USING ERRCODE = 'PS301',
              DETAIL = format('%s of journal entry %s was refused.', TG_OP, OLD.id),
              HINT = 'Write a new entry that corrects the old one. Old entries leave with their '
                     'partition, after pg_seats.history_days.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refuse_journal_change() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refuse_journal_change() IS
    'trigger: nobody changes or deletes a journal entry';

CREATE OR REPLACE TRIGGER journal_entries_are_kept
    BEFORE DELETE ON seats_internal.journal
    FOR EACH ROW EXECUTE FUNCTION seats_internal.refuse_journal_change();

CREATE OR REPLACE TRIGGER journal_entries_are_only_numbered
    BEFORE UPDATE ON seats_internal.journal
    FOR EACH ROW
    WHEN ((OLD.number IS NOT NULL OR NEW.number IS NULL
          OR (OLD.ring, OLD.id, OLD.written_xid, OLD.at, OLD.kind, OLD.role, OLD.actor,
              OLD.call_id, OLD.lane_id, OLD.reason, OLD.detail)
             IS DISTINCT FROM
             (NEW.ring, NEW.id, NEW.written_xid, NEW.at, NEW.kind, NEW.role, NEW.actor,
              NEW.call_id, NEW.lane_id, NEW.reason, NEW.detail))
          -- (erase_person, and nothing else, says that.)
          AND current_setting('seats_internal.erases', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION seats_internal.refuse_journal_change();
