-- Where webhooks come in, and who may have one processed again.

CREATE OR REPLACE FUNCTION seats_internal.define_webhook_endpoint(
    caller            text,
    INOUT name        text,
    INOUT destination text,
    INOUT secrets     text[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    secret text;
    wrong  text := CASE
        WHEN name IS NULL OR name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'
            THEN 'The name must be 1 to 63 letters, digits, ".", "_" or "-".'
        WHEN coalesce(array_ndims(secrets), 0) <> 1 OR array_position(secrets, NULL) IS NOT NULL
            THEN 'At least one secret is needed: the name of a file that holds the signing secret.'
        WHEN cardinality(secrets) > 5
            THEN 'Give five secrets at most; while one is rolled there are two.'
    END;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'define_webhook_endpoint');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'invalid webhook endpoint' USING ERRCODE = 'PS602', DETAIL = wrong,
            HINT = E'See \\df+ seats.define_webhook_endpoint.';
    END IF;
    FOREACH secret IN ARRAY secrets LOOP
        PERFORM seats_internal.check_secret_name(secret);
    END LOOP;
    destination := seats_internal.only_destination(destination);
    INSERT INTO seats_internal.webhook_endpoint AS e (name, destination, secrets, defined_by)
    VALUES (name, destination, secrets, caller)
    ON CONFLICT ON CONSTRAINT webhook_endpoint_pkey DO UPDATE
       SET destination = excluded.destination, secrets = excluded.secrets,
           defined_at = excluded.defined_at, defined_by = excluded.defined_by;
    PERFORM seats_internal.resolve_alert(a.fingerprint, 'the endpoint was defined anew')
       FROM seats_internal.alert AS a
      WHERE a.fingerprint IN ('webhook_secret:' || name, 'webhook_mode:' || name)
        AND a.resolved_at IS NULL;
    PERFORM seats_internal.write_journal(
        'webhook_endpoint.defined', caller, NULL, NULL, NULL,
        jsonb_build_object('endpoint', name, 'destination', destination, 'secret_files', secrets));
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.define_webhook_endpoint(text, text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.define_webhook_endpoint(text, text, text, text[]) IS
    'behind seats.define_webhook_endpoint';

CREATE OR REPLACE FUNCTION seats.define_webhook_endpoint(
    INOUT name        text,
    INOUT destination text,
    INOUT secrets     text[]
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.define_webhook_endpoint(text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.define_webhook_endpoint(text, text, text[]) IS
    'defines or redefines where webhooks come in: of which destination (whose account and mode they '
    'must be of; null: the only one), and signed with which secrets: names of files in '
    'pg_seats.secrets_directory, never secrets; several while one is rolled; superusers only';

-- Told once an hour: all events of the endpoint would queue for the one alert.
CREATE OR REPLACE FUNCTION seats_internal.alert_wrong_mode(endpoint text, destination text, event_id text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM seats_internal.alert AS a
                    WHERE a.fingerprint = 'webhook_mode:' || endpoint AND a.resolved_at IS NULL
                      AND a.last_seen_at > clock_timestamp() - interval '1 hour') THEN
        PERFORM seats_internal.raise_alert(
            'webhook_mode:' || endpoint, 'critical', 'webhook_wrong_mode',
            format('endpoint %s gets events of another mode than its destination %s', endpoint, destination),
            jsonb_build_object('endpoint', endpoint, 'event', event_id),
            'Live and test mode have endpoints and signing secrets of their own: one of them is '
            'configured for the other. The events were refused, and Stripe sends them again for three days.',
            destination => destination);
    END IF;
EXCEPTION WHEN lock_not_available OR deadlock_detected OR unique_violation THEN
    NULL;  -- somebody else tells it at this moment
END
$$;
REVOKE ALL ON FUNCTION seats_internal.alert_wrong_mode(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.alert_wrong_mode(text, text, text) IS
    'the alert that test events come to a live endpoint, or the other way round';

-- Told once: whoever sends us anything could otherwise have it written again and again.
CREATE OR REPLACE FUNCTION seats_internal.webhook_secret_missing(endpoint text, problem text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM seats_internal.alert AS a
                    WHERE a.fingerprint = 'webhook_secret:' || endpoint AND a.resolved_at IS NULL) THEN
        PERFORM seats_internal.raise_alert(
            'webhook_secret:' || endpoint, 'critical', 'webhook_secret_unreadable',
            format('webhooks of endpoint %s cannot be checked: %s', endpoint, problem),
            jsonb_build_object('endpoint', endpoint),
            'Put the signing secret into that file, readable by the server only. Stripe sends the '
            'events again for three days.');
    END IF;
EXCEPTION WHEN lock_not_available OR deadlock_detected OR unique_violation THEN
    NULL;  -- somebody else tells it at this moment
END
$$;
REVOKE ALL ON FUNCTION seats_internal.webhook_secret_missing(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.webhook_secret_missing(text, text) IS
    'the alert that an endpoint''s signing secret cannot be read; called by receive_webhook';

-- A good event has come. All of the endpoint's secrets could be read, or not; and none of the wrong mode
-- has come for a day, although Stripe sends those again. Nobody's lock is waited for.
CREATE OR REPLACE FUNCTION seats_internal.webhook_is_good(endpoint text, all_secrets boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told text;
BEGIN
    FOR told IN
        SELECT a.fingerprint FROM seats_internal.alert AS a
         WHERE a.resolved_at IS NULL
           AND a.fingerprint IN ('webhook_secret:' || endpoint, 'webhook_mode:' || endpoint)
           AND CASE a.kind WHEN 'webhook_secret_unreadable' THEN all_secrets
                           ELSE a.last_seen_at < clock_timestamp() - interval '1 day' END
           FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM seats_internal.resolve_alert(told, 'good events come');
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.webhook_is_good(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.webhook_is_good(text, boolean) IS
    'resolves the alerts of an endpoint whose cause is gone; writes only where there is one';

-- An event whose signature is good. Called by receive_webhook (C++). Whatever is looked up here, and behind it, is one row
-- of an index: a session that has planned while a table was empty must not read it as a whole when it is full.
CREATE OR REPLACE FUNCTION seats_internal.take_event(
    endpoint        text,
    payload         bytea,
    facts           jsonb,
    all_secrets     boolean,
    OUT http_status integer,
    OUT outcome     text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    id    CONSTANT text := facts ->> 'id';
    known record;
BEGIN
    SELECT d.name AS destination, d.livemode, w.event_id, w.processed_at,
           EXISTS (SELECT FROM seats_internal.alert AS a
                    WHERE a.resolved_at IS NULL
                      AND a.fingerprint IN ('webhook_secret:' || e.name, 'webhook_mode:' || e.name)) AS is_alarmed
      INTO known
      FROM seats_internal.webhook_endpoint AS e
      JOIN seats_internal.destination AS d ON d.name = e.destination
      LEFT JOIN seats_internal.webhook_event AS w ON w.event_id = id AND (w.endpoint = e.name) IS TRUE
     WHERE e.name = take_event.endpoint;
    -- (It was there when its secrets were looked for: it is dropped at this moment, or the caller looks at an older
    -- snapshot. Stripe is to send it again; and nobody is told that its mode is wrong.)
    IF NOT FOUND THEN
        http_status := 500;
        outcome := 'busy';
        RETURN;
    END IF;
    -- (Also where it is missing: facts have null for what is no boolean.)
    IF (facts ->> 'livemode')::boolean IS DISTINCT FROM known.livemode THEN
        PERFORM seats_internal.alert_wrong_mode(endpoint, known.destination, id);
        http_status := 400;
        outcome := 'wrong_mode';
        RETURN;
    END IF;
    IF known.is_alarmed THEN
        PERFORM seats_internal.webhook_is_good(endpoint, all_secrets);
    END IF;
    outcome := CASE
        WHEN known.processed_at IS NOT NULL THEN 'duplicate'
        WHEN known.event_id IS NOT NULL THEN seats_internal.process_event(endpoint, id)
        -- The columns of the table. (retry_at stays null, and the index of what is to be tried again without it, unless
        -- it must be.)
        ELSE seats_internal.process_new_event(ROW(
            endpoint, id, known.destination, facts ->> 'type', clock_timestamp(), NULL, 'stored', 0, NULL, NULL,
            to_timestamp((facts ->> 'created')::double precision), known.livemode, facts ->> 'object_id',
            facts ->> 'subscription_id', facts ->> 'idempotency_key', facts, payload)::seats_internal.webhook_event)
        END;
    http_status := CASE outcome WHEN 'busy' THEN 500 ELSE 200 END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_event(text, bytea, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_event(text, bytea, jsonb, boolean) IS
    'stores an event once and processes it; called by receive_webhook';

CREATE OR REPLACE FUNCTION seats.receive_webhook(
    payload         bytea,
    signature       text,
    endpoint        text,
    OUT http_status integer,
    OUT outcome     text,
    OUT event_id    text
)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pg_seats_receive_webhook';
REVOKE ALL ON FUNCTION seats.receive_webhook(bytea, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.receive_webhook(bytea, text, text) IS
    'takes a webhook of Stripe''s: its body as the bytes that came, and its header Stripe-Signature. '
    'Answer the request with http_status when this is committed. Nothing that a stranger sends '
    'raises an error, and a locked team is not waited for';

CREATE OR REPLACE FUNCTION seats_internal.replay_webhook(
    caller   text,
    endpoint text,
    event_id text,
    reason   text
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event seats_internal.webhook_event;
BEGIN
    PERFORM seats_internal.require_reason(reason);
    UPDATE seats_internal.webhook_event AS w
       SET processed_at = NULL, outcome = 'stored', retry_at = clock_timestamp()
     WHERE w.event_id = replay_webhook.event_id AND (w.endpoint = replay_webhook.endpoint) IS TRUE
    RETURNING w.* INTO event;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no event % of endpoint %',
            coalesce(quote_literal(event_id), 'NULL'), coalesce(quote_literal(endpoint), 'NULL')
            USING ERRCODE = 'PS603',
                  HINT = 'seats.webhook_events lists them; they are kept for pg_seats.history_days.';
    END IF;
    PERFORM seats_internal.write_journal(
        'operator.replay_webhook', caller, NULL, NULL, reason,
        jsonb_build_object('endpoint', endpoint, 'event', event_id, 'type', event.type));
    RETURN seats_internal.process_event(endpoint, event_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.replay_webhook(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.replay_webhook(text, text, text, text) IS
    'behind seats.replay_webhook';

CREATE OR REPLACE FUNCTION seats.replay_webhook(endpoint text, event_id text, reason text) RETURNS text
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.replay_webhook(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.replay_webhook(text, text, text) IS
    'processes a stored event once more, also one that was processed; gives the outcome. Journal '
    'entries that it made are made again';

CREATE OR REPLACE FUNCTION seats_internal.drop_webhook_endpoint(
    caller          text,
    INOUT name      text,
    reason          text,
    OUT destination text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'drop_webhook_endpoint');
    PERFORM seats_internal.require_reason(drop_webhook_endpoint.reason);
    DELETE FROM seats_internal.webhook_endpoint AS e WHERE e.name = drop_webhook_endpoint.name
    RETURNING e.destination INTO destination;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no webhook endpoint %', coalesce(quote_literal(name), 'NULL')
            USING ERRCODE = 'PS601', HINT = 'seats.webhook_endpoints lists them.';
    END IF;
    PERFORM seats_internal.require_unused(
        format('webhook endpoint %L cannot be dropped', name),
        ARRAY[(SELECT count(*) FROM seats_internal.webhook_event AS w
                WHERE w.endpoint = name AND w.retry_at IS NOT NULL)],
        '{event(s) that came and were not processed yet}',
        'The column error of seats.webhook_events says why; the worker tries them again.');
    PERFORM seats_internal.resolve_alert(a.fingerprint, 'the endpoint was dropped')
       FROM seats_internal.alert AS a
      WHERE a.fingerprint IN ('webhook_secret:' || name, 'webhook_mode:' || name) AND a.resolved_at IS NULL;
    PERFORM seats_internal.write_journal(
        'webhook_endpoint.dropped', caller, NULL, NULL, drop_webhook_endpoint.reason,
        jsonb_build_object('endpoint', name, 'destination', destination));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.drop_webhook_endpoint(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.drop_webhook_endpoint(text, text, text) IS
    'behind seats.drop_webhook_endpoint';

CREATE OR REPLACE FUNCTION seats.drop_webhook_endpoint(INOUT name text, reason text, OUT destination text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.drop_webhook_endpoint(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.drop_webhook_endpoint(text, text) IS
    'webhooks come in there no longer; refused while events of it are not processed. What came stays, as '
    'long as the history; superusers only';
