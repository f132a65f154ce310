-- Events that no webhook has brought: where they are silent for too long, or when a person wants it,
-- the worker reads Stripe's list of events since the last that it knows of. They go the way of all
-- others, with the endpoint 'list:<destination>'.

-- The worker's setting, as an interval; its default where the library is not loaded.
CREATE OR REPLACE FUNCTION seats_internal.webhook_silence() RETURNS interval
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN coalesce(current_setting('pg_seats.webhook_silence', true), '1h')::interval;
REVOKE ALL ON FUNCTION seats_internal.webhook_silence() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.webhook_silence() IS
    'the setting pg_seats.webhook_silence; 0: silence means nothing';

-- When the last webhook of a destination came; null if none is to come.
CREATE OR REPLACE FUNCTION seats_internal.last_webhook(destination text) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT max(greatest(e.defined_at,
                        (SELECT w.received_at FROM seats_internal.webhook_event AS w
                          WHERE w.endpoint = e.name ORDER BY w.received_at DESC LIMIT 1)))
      FROM seats_internal.webhook_endpoint AS e
     WHERE e.destination = last_webhook.destination;
END;
REVOKE ALL ON FUNCTION seats_internal.last_webhook(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.last_webhook(text) IS
    'since when webhooks of a destination are silent; null: it has no endpoint';

-- A list begins where the last one ended, however many webhooks have come since: one may be missing
-- among others. So that it stays short there is one a day, silence or not.
-- Five minutes more than needed: clocks differ, and an event may appear in the list later than a
-- younger one. Where webhooks come, the list ends five minutes ago (`until`): theirs may be on the way.
CREATE OR REPLACE FUNCTION seats_internal.missed_events_to_list(
    OUT destination text,
    OUT since       bigint,
    OUT until       bigint,
    OUT types       text[]
) RETURNS SETOF record
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.name,
           coalesce(c.since, floor(extract(epoch FROM l.defined))::bigint,
                    floor(extract(epoch FROM c.requested_at))::bigint - 86400) - 300,
           CASE WHEN NOT s.is_silent AND c.requested_at IS NULL
                THEN floor(extract(epoch FROM clock_timestamp()))::bigint - 300 END,
           ARRAY(SELECT w.type FROM seats_internal.webhook_types() AS w)
      FROM seats_internal.destination AS d
      LEFT JOIN seats_internal.event_cursor AS c ON c.destination = d.name
     CROSS JOIN LATERAL (
           SELECT seats_internal.last_webhook(d.name) AS last_webhook,
                  (SELECT min(e.defined_at) FROM seats_internal.webhook_endpoint AS e
                    WHERE e.destination = d.name) AS defined,
                  clock_timestamp() - seats_internal.webhook_silence() AS silence) AS l
     CROSS JOIN LATERAL (
           SELECT coalesce(greatest(l.last_webhook, c.listed_at) < l.silence, false) AS is_silent) AS s
     WHERE d.kind = 'stripe'
       AND (c.requested_at IS NOT NULL
            OR seats_internal.webhook_silence() > interval '0' AND l.defined IS NOT NULL
               AND (s.is_silent
                    OR coalesce(c.listed_at, l.defined) < clock_timestamp() - interval '1 day'));
END;
REVOKE ALL ON FUNCTION seats_internal.missed_events_to_list() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.missed_events_to_list() IS
    'destinations whose list of events is to be read now, from when on and (null: now) to when, and '
    'of which types; called by the worker';

-- A page of the list. What is known already, over whichever endpoint it came, is left out.
CREATE OR REPLACE FUNCTION seats_internal.take_listed_events(destination text, events text[])
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken bigint;
    ids   text[];
    known text[];
BEGIN
    SELECT array_agg(e::jsonb ->> 'id') INTO ids FROM unnest(events) AS e;
    -- By their ids, through the index: joined with a page, the table would be read as a whole.
    SELECT coalesce(array_agg(w.event_id), '{}') INTO known
      FROM seats_internal.webhook_event AS w
     WHERE w.event_id = ANY (ids) AND w.destination = take_listed_events.destination;
    INSERT INTO seats_internal.webhook_event
        (endpoint, event_id, destination, type, created, livemode, object_id, subscription,
         idempotency_key, facts, retry_at)
    SELECT 'list:' || take_listed_events.destination, l.facts ->> 'id', take_listed_events.destination,
           l.facts ->> 'type', to_timestamp((l.facts ->> 'created')::double precision),
           (l.facts ->> 'livemode')::boolean, l.facts ->> 'object_id', l.facts ->> 'subscription_id',
           l.facts ->> 'idempotency_key', l.facts, clock_timestamp()
      FROM (SELECT e::jsonb AS facts FROM unnest(events) AS e) AS l
     WHERE l.facts ->> 'id' <> ALL (known)
    ON CONFLICT ON CONSTRAINT webhook_event_pkey DO NOTHING;
    GET DIAGNOSTICS taken = ROW_COUNT;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_listed_events(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_listed_events(text, text[]) IS
    'stores those events of a page of Stripe''s list that did not come by themselves; called by the worker';

-- The list was read: to its end, or as much of it as is read at once. Only now is it known up to
-- `newest`: the first page holds that one, and a later page may have failed.
CREATE OR REPLACE FUNCTION seats_internal.missed_events_were_listed(
    destination text,
    missed      bigint,
    was_cut     boolean,
    newest      bigint
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.event_cursor AS c (destination, since, listed_at)
    VALUES (missed_events_were_listed.destination, newest, clock_timestamp())
    ON CONFLICT ON CONSTRAINT event_cursor_pkey DO UPDATE
       SET since = greatest(c.since, excluded.since), listed_at = excluded.listed_at,
           requested_at = NULL;
    IF was_cut THEN
        PERFORM seats_internal.raise_alert(
            'events_cut:' || destination, 'critical', 'too_many_missed_events',
            format('more events of destination %s were missed than are read at once; the oldest were not read', destination),
            jsonb_build_object('destination', destination),
            'An event is a hint only: seats.reconcile(team, reason) reads what is so now. Then '
            'acknowledge this alert.', destination => destination);
    END IF;
    IF missed = 0 THEN
        PERFORM seats_internal.resolve_alert('webhooks_silent:' || destination,
                                             'no event was missed since');
    ELSIF seats_internal.last_webhook(destination) IS NOT NULL THEN
        PERFORM seats_internal.raise_alert(
            'webhooks_silent:' || destination, 'warning', 'webhooks_silent',
            format('%s event(s) of destination %s were found that no webhook has brought', missed, destination),
            jsonb_build_object('destination', destination, 'events', missed,
                               'last_webhook', seats_internal.last_webhook(destination)),
            'Is the endpoint enabled in Stripe''s Dashboard, does it send these types, and does your '
            'application pass them to seats.receive_webhook? They are looked for meanwhile.',
            destination => destination);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.missed_events_were_listed(text, bigint, boolean, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.missed_events_were_listed(text, bigint, boolean, bigint) IS
    'notes that a destination''s missed events were listed; called by the worker';

-- The worker has been refused the list several times in a row.
CREATE OR REPLACE FUNCTION seats_internal.events_are_unreadable(destination text, problem text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.raise_alert(
        'events_unreadable:' || destination, 'warning', 'events_unreadable',
        format('Stripe''s list of events of destination %s cannot be read: %s', destination, problem),
        jsonb_build_object('destination', destination),
        'Without it, events that no webhook brings are not found, nor what our own calls have '
        'overwritten. A restricted key needs the permission Events: Read. It is tried on.',
        destination => destination);
END;
REVOKE ALL ON FUNCTION seats_internal.events_are_unreadable(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.events_are_unreadable(text, text) IS
    'the alert that the list of events is refused; called by the worker';

-- (Who has the row wants a list himself, or has just read one.)
CREATE OR REPLACE FUNCTION seats_internal.ask_for_missed_events(destination text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
BEGIN
    INSERT INTO seats_internal.event_cursor AS c (destination, requested_at)
    VALUES (ask_for_missed_events.destination, clock_timestamp())
    ON CONFLICT ON CONSTRAINT event_cursor_pkey DO UPDATE SET requested_at = excluded.requested_at;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.ask_for_missed_events(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.ask_for_missed_events(text) IS
    'has the list of events read that a destination''s webhooks may not have brought; waits for nobody';

CREATE OR REPLACE FUNCTION seats_internal.list_events(caller text, INOUT destination text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.require_reason(reason);
    destination := seats_internal.only_destination(destination);
    INSERT INTO seats_internal.event_cursor AS c (destination, requested_at)
    VALUES (list_events.destination, clock_timestamp())
    ON CONFLICT ON CONSTRAINT event_cursor_pkey DO UPDATE SET requested_at = excluded.requested_at;
    PERFORM seats_internal.write_journal('operator.list_events', caller, NULL, NULL, reason,
                                         jsonb_build_object('destination', destination));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.list_events(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.list_events(text, text, text) IS 'behind seats.list_events';

CREATE OR REPLACE FUNCTION seats.list_events(INOUT destination text, reason text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.list_events(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.list_events(text, text) IS
    'has the worker read Stripe''s list of events since the last that it knows of, and process those '
    'that no webhook has brought; destination null: the only one';
