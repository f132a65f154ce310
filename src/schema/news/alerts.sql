-- What a person must know (alerts) and who did what (journal). The worker's loop and the verbs
-- below write both through these functions, and through nothing else.

-- Entries and alerts that a session leaves are numbered and told by the worker, as soon as they are
-- committed.
CREATE FUNCTION seats_internal.wake_for_news() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_wake_for_news';
REVOKE ALL ON FUNCTION seats_internal.wake_for_news() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.wake_for_news() IS
    'wakes the worker at this transaction''s commit, to number the journal and to tell of alerts';

CREATE FUNCTION seats_internal.severity_rank(severity text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN array_position(ARRAY['info', 'warning', 'critical', 'fatal'], severity);
REVOKE ALL ON FUNCTION seats_internal.severity_rank(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.severity_rank(text) IS 'info 1, warning 2, critical 3, fatal 4';

-- What users of an application have written stands in messages of several lines: nobody may add a line of
-- his own, or turn the direction of writing. (The characters are those of safe_text() in C++.)
CREATE FUNCTION seats_internal.one_line(words text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
-- (No E'' with these: in a database of another encoding the script would not even be parsed, and nobody
-- told that UTF8 is what is missing.)
RETURN regexp_replace(words, '[[:cntrl:]\u2028\u2029\u202a-\u202e\u2066-\u2069]', ' ', 'g');
REVOKE ALL ON FUNCTION seats_internal.one_line(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.one_line(text) IS 'a text without line breaks and control characters';

CREATE FUNCTION seats_internal.raise_alert(
    fingerprint text,
    severity    text,
    kind        text,
    summary     text,
    detail      jsonb  DEFAULT '{}',
    hint        text   DEFAULT NULL,
    call_id     bigint DEFAULT NULL,
    destination text   DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    alert_id bigint;
    seen     bigint;
    former   text;
    change   jsonb;
    new_rank integer := seats_internal.severity_rank(raise_alert.severity);
BEGIN
    -- Whoever is to decide about seats is told whose and how many, whatever has found that he must.
    IF raise_alert.kind IN ('review', 'settling_failed', 'compensation_failed') THEN
        change := seats_internal.facts_of_change(raise_alert.call_id);
        summary := summary || coalesce(' (' || seats_internal.change_in_words(change) || ')', '');
        detail := detail || coalesce(change, '{}');
    END IF;
    SELECT alert.severity INTO former
      FROM seats_internal.alert
     WHERE alert.fingerprint = raise_alert.fingerprint AND alert.resolved_at IS NULL;

    -- A severity that rises is news: it is announced again, and nobody has acknowledged that yet.
    raise_alert.summary := seats_internal.one_line(raise_alert.summary);
    raise_alert.hint := seats_internal.one_line(raise_alert.hint);
    INSERT INTO seats_internal.alert AS known
        (fingerprint, severity, kind, summary, detail, hint, call_id, destination)
    VALUES
        (raise_alert.fingerprint, raise_alert.severity, raise_alert.kind, raise_alert.summary,
         coalesce(raise_alert.detail, '{}'), raise_alert.hint, raise_alert.call_id,
         raise_alert.destination)
    ON CONFLICT (fingerprint) WHERE resolved_at IS NULL DO UPDATE
       SET occurrences     = known.occurrences + 1,
           last_seen_at    = clock_timestamp(),
           summary         = excluded.summary,
           detail          = excluded.detail,
           hint            = excluded.hint,
           severity        = CASE WHEN new_rank > seats_internal.severity_rank(known.severity)
                                  THEN excluded.severity ELSE known.severity END,
           announced       = known.announced
                             AND new_rank <= seats_internal.severity_rank(known.severity),
           acknowledged_at = CASE WHEN new_rank <= seats_internal.severity_rank(known.severity)
                                  THEN known.acknowledged_at END,
           acknowledged_by = CASE WHEN new_rank <= seats_internal.severity_rank(known.severity)
                                  THEN known.acknowledged_by END
    RETURNING id, occurrences INTO alert_id, seen;

    IF seen = 1 OR new_rank > seats_internal.severity_rank(former) THEN
        RAISE LOG 'pg_seats alert % (%, %): %', alert_id, raise_alert.severity, raise_alert.kind,
            concat_ws('; ', raise_alert.summary, raise_alert.hint);
        PERFORM seats_internal.wake_for_news();
    END IF;
    RETURN alert_id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_alert(text, text, text, text, jsonb, text, bigint, text)
    FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.raise_alert(text, text, text, text, jsonb, text, bigint, text) IS
    'opens the alert of this fingerprint, or counts it once more; gives its id';

CREATE FUNCTION seats_internal.resolve_alert(fingerprint text, resolution text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.alert
       SET resolved_at = clock_timestamp(), resolution = resolve_alert.resolution
     WHERE alert.fingerprint = resolve_alert.fingerprint AND alert.resolved_at IS NULL;
    IF FOUND THEN
        PERFORM seats_internal.wake_for_news();
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.resolve_alert(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resolve_alert(text, text) IS
    'closes the open alert of this fingerprint, if there is one';

-- What has happened to an alert is looked at by receivers when it has a new number; whoever changes one
-- need not think of it.
CREATE FUNCTION seats_internal.take_alert_number() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.number := NULL;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_alert_number() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_alert_number() IS
    'trigger: an alert that has changed wants a new number';

CREATE TRIGGER alert_wants_a_new_number
    BEFORE UPDATE ON seats_internal.alert
    FOR EACH ROW
    WHEN (OLD.number IS NOT NULL
          AND (OLD.severity, OLD.occurrences, OLD.acknowledged_at, OLD.resolved_at)
              IS DISTINCT FROM (NEW.severity, NEW.occurrences, NEW.acknowledged_at, NEW.resolved_at))
    EXECUTE FUNCTION seats_internal.take_alert_number();

-- An entry counts when its transaction commits; the worker numbers it then. `role` is who acted, and comes
-- from the server; `actor` is an application's word for it. In one column, a user whose id is `stripe` would
-- pass for Stripe.
CREATE FUNCTION seats_internal.write_journal(
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
           write_journal.lane_id, write_journal.reason, coalesce(write_journal.detail, '{}')
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
CREATE FUNCTION seats_internal.refuse_journal_change() RETURNS trigger
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

CREATE TRIGGER journal_entries_are_kept
    BEFORE DELETE ON seats_internal.journal
    FOR EACH ROW EXECUTE FUNCTION seats_internal.refuse_journal_change();

CREATE TRIGGER journal_entries_are_only_numbered
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

-- The worker finds rows by the transaction that made them eligible, and remembers of a lane only
-- how far it has come. So whoever changes or removes a lane's first row shows it the lane anew. (The
-- lane is named by its bounds: with an equality the primary key would do for the order, and would be
-- read from its head.)
CREATE FUNCTION seats_internal.reoffer_lane(lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox
       SET eligible_xid = pg_current_xact_id()
     WHERE outbox.id = (SELECT head.id
                          FROM seats_internal.outbox AS head
                         WHERE head.lane_id BETWEEN reoffer_lane.lane_id AND reoffer_lane.lane_id
                         ORDER BY head.lane_id, head.id
                         LIMIT 1);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reoffer_lane(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reoffer_lane(bigint) IS
    'lets the worker see the first row of a lane as if it had just arrived';
