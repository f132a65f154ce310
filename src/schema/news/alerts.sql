-- What a person must know. The loop of the worker and the verbs raise and resolve alerts through these
-- functions, and through nothing else.

-- Entries and alerts that a session leaves are numbered and told by the worker, as soon as they are
-- committed.
CREATE OR REPLACE FUNCTION seats_internal.wake_for_news() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_wake_for_news';
REVOKE ALL ON FUNCTION seats_internal.wake_for_news() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.wake_for_news() IS
    'wakes the worker at this transaction''s commit, to number the journal and to tell of alerts';

CREATE OR REPLACE FUNCTION seats_internal.severity_rank(severity text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN array_position(ARRAY['info', 'warning', 'critical', 'fatal'], severity);
REVOKE ALL ON FUNCTION seats_internal.severity_rank(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.severity_rank(text) IS 'info 1, warning 2, critical 3, fatal 4';

CREATE OR REPLACE FUNCTION seats_internal.raise_alert(
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
    IF raise_alert.kind IN ('review', 'settling_failed', 'compensation_failed', 'handler_failed', 'compensation_given_up',
                            'executed_after_refusal') THEN
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

CREATE OR REPLACE FUNCTION seats_internal.resolve_alert(fingerprint text, resolution text) RETURNS void
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
CREATE OR REPLACE FUNCTION seats_internal.take_alert_number() RETURNS trigger
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

CREATE OR REPLACE TRIGGER alert_wants_a_new_number
    BEFORE UPDATE ON seats_internal.alert
    FOR EACH ROW
    WHEN (OLD.number IS NOT NULL
          AND (OLD.severity, OLD.occurrences, OLD.acknowledged_at, OLD.resolved_at)
              IS DISTINCT FROM (NEW.severity, NEW.occurrences, NEW.acknowledged_at, NEW.resolved_at))
    EXECUTE FUNCTION seats_internal.take_alert_number();

-- An alert that was acknowledged stays open until its cause is gone; health no longer counts it. What
-- tells of something that has happened has no cause that could go: it ends with being acknowledged,
-- so that the next one is told again.
CREATE OR REPLACE FUNCTION seats_internal.acknowledge(
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
    has_happened := EXISTS (SELECT FROM seats_internal.alert_kinds() AS k
                             WHERE k.kind = locked.kind AND k.has_happened);
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

CREATE OR REPLACE FUNCTION seats.acknowledge(INOUT alert bigint, reason text, OUT state text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.acknowledge(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.acknowledge(bigint, text) IS
    'somebody looks after an alert: health no longer counts it; it stays open until its cause is '
    'gone, or is resolved at once if it tells of something that has happened';
