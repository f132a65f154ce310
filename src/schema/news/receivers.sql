-- Receivers: where alerts and chosen entries of the journal are sent over HTTP. A receiver is a
-- destination of kind 'receiver' and has a lane of its own, so its deliveries keep their order and
-- hold up nobody else's calls. What is sent, and when: deliveries.sql. docs/alerts.md has examples.

CREATE OR REPLACE FUNCTION seats_internal.check_receiver(
    r      seats_internal.receiver,
    url    text,
    secret text
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text := CASE
        WHEN r.name IS NULL OR r.name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'
            THEN 'The name must be 1 to 63 letters, digits, ".", "_" or "-".'
        WHEN url IS NULL
            THEN 'A URL is needed.'
        WHEN r.format IS NULL OR r.format NOT IN ('standard_webhook', 'slack', 'sentry')
            THEN 'The format must be standard_webhook, slack or sentry.'
        WHEN r.format = 'standard_webhook' AND secret IS NULL
            THEN 'A standard webhook is signed: name the file with the secret (whsec_…).'
        WHEN r.format = 'sentry' AND secret IS NULL
            THEN 'Sentry needs a secret: name the file with the DSN.'
        -- Who knows the path may post: Slack's (also of workflows), Mattermost's and Rocket.Chat's, which
        -- may stand below a path of their own, Discord's.
        WHEN r.format = 'slack'
             AND url ~* '^[a-z]+://[^/]+/(.*/)?(services|workflows|triggers|hooks|api/+(v[0-9]+/+)?webhooks)/+[^/]'
            THEN 'The URL of such a webhook is a secret, and would stand in views and in the journal: write the '
                 'whole of it into a file, name the file as the secret, and give only https://host as the URL.'
        WHEN r.minimum_severity NOT IN ('info', 'warning', 'critical', 'fatal')
            THEN 'The least severity must be info, warning, critical or fatal, or NULL for no alerts.'
        WHEN r.journal_kinds IS NULL OR EXISTS (
                SELECT FROM unnest(r.journal_kinds) AS k (kind)
                 WHERE k.kind IS NULL OR k.kind !~ '^([a-z_]+[.]([a-z_]+|[*])|[*])$')
            THEN 'The kinds of the journal must look like member.removed, change.* or *.'
        WHEN r.minimum_severity IS NULL AND r.journal_kinds = '{}'
            THEN 'It would be told nothing: give a least severity, or kinds of the journal.'
    END;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'invalid receiver'
            USING ERRCODE = 'PS546', DETAIL = wrong, HINT = E'See \\df+ seats.define_receiver.';
    END IF;
    PERFORM seats_internal.check_secret_name(secret);
    IF EXISTS (SELECT FROM seats_internal.destination AS d WHERE d.name = r.name AND d.kind <> 'receiver') THEN
        RAISE EXCEPTION 'destination % is not a receiver', r.name
            USING ERRCODE = 'PS548', HINT = 'Give the receiver another name.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_receiver(seats_internal.receiver, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_receiver(seats_internal.receiver, text, text) IS
    'an error that says what is wrong with a receiver';

-- What waits was made for another URL, or in another format: it is to be made anew. (Also what is on the
-- wire: if it is not taken, it must not come again. If it is, the new URL is told what the old one was.)
CREATE OR REPLACE FUNCTION seats_internal.take_back_deliveries(name text, lane bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken_back bigint[];
    first_entry bigint;
BEGIN
    WITH gone AS (
        DELETE FROM seats_internal.outbox AS o WHERE o.lane_id = lane AND o.kind = 'delivery'
        RETURNING o.id, (o.context ->> 'journal_number')::bigint AS number)
    SELECT array_agg(g.id), min(g.number) INTO taken_back, first_entry FROM gone AS g;
    DELETE FROM seats_internal.alert_told AS t
     WHERE t.receiver = take_back_deliveries.name AND t.delivery_id = ANY (taken_back);
    -- It was told of these before: their end is still to be told.
    UPDATE seats_internal.alert_told AS t
       SET resolved_told_at = NULL, resolved_delivery_id = NULL, due_at = '-infinity'
     WHERE t.receiver = take_back_deliveries.name AND t.resolved_delivery_id = ANY (taken_back);
    UPDATE seats_internal.receiver AS r
       SET journal_number = least(r.journal_number, first_entry - 1)
     WHERE r.name = take_back_deliveries.name;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_back_deliveries(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_back_deliveries(text, bigint) IS
    'deletes what a receiver has not taken yet, so that it is made anew';

CREATE OR REPLACE FUNCTION seats_internal.define_receiver(
    caller                    text,
    INOUT name                text,
    INOUT url                 text,
    INOUT format              text,
    INOUT secret              text,
    INOUT minimum_severity    text,
    INOUT journal_kinds       text[],
    INOUT requests_per_second double precision
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r       seats_internal.receiver;
    former  seats_internal.receiver;
    place   seats_internal.destination;
    checked text;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'define_receiver');
    r.name             := define_receiver.name;
    r.format           := define_receiver.format;
    r.minimum_severity := define_receiver.minimum_severity;
    r.journal_kinds    := define_receiver.journal_kinds;
    PERFORM seats_internal.check_receiver(r, url, secret);
    checked := seats_internal.checked_base_url(url);
    -- A slash at the end means something to some receivers.
    r.path := concat(substring(checked FROM '^[a-z]+://[^/]+(/.*)$'), CASE WHEN url ~ '/$' THEN '/' END);
    r.path := coalesce(nullif(r.path, ''), '/');

    -- The receiver first, as the worker does: what it is told meanwhile is seen below.
    SELECT known.* INTO former FROM seats_internal.receiver AS known
     WHERE known.name = r.name FOR NO KEY UPDATE;
    SELECT d.* INTO place FROM seats_internal.destination AS d WHERE d.name = r.name;
    INSERT INTO seats_internal.destination AS d
        (name, kind, base_url, secret, requests_per_second, created_by)
    VALUES (r.name, 'receiver', substring(checked FROM '^[a-z]+://[^/]+'), secret,
            coalesce(define_receiver.requests_per_second, 5), caller)
    ON CONFLICT ON CONSTRAINT destination_pkey DO UPDATE
       SET base_url = excluded.base_url, secret = excluded.secret,
           requests_per_second = excluded.requests_per_second;
    INSERT INTO seats_internal.lane AS l (destination, name)
    VALUES (r.name, 'deliveries')
    ON CONFLICT ON CONSTRAINT lane_is_unique_by_destination DO UPDATE SET version = l.version + 1
    RETURNING l.id INTO r.lane_id;
    -- Of the journal it is told what comes from now on; of alerts, those that are open, too.
    INSERT INTO seats_internal.receiver AS known
        (name, format, path, minimum_severity, journal_kinds, lane_id, journal_number, resolved_number,
         defined_by)
    SELECT r.name, r.format, r.path, r.minimum_severity, r.journal_kinds, r.lane_id,
           ring.last_journal_number, ring.last_alert_number, caller
      FROM seats_internal.ring
    ON CONFLICT ON CONSTRAINT receiver_pkey DO UPDATE
       SET format = excluded.format, path = excluded.path,
           minimum_severity = excluded.minimum_severity, journal_kinds = excluded.journal_kinds,
           -- Who was told nothing of the journal so far is told what comes from now on.
           journal_number = CASE WHEN known.journal_kinds = '{}' THEN excluded.journal_number
                                 ELSE known.journal_number END,
           -- It may be another severity: all that is open is looked at anew, and what was told is known.
           alert_numbers = '{0,0,0,0}',
           defined_at = excluded.defined_at, defined_by = excluded.defined_by;
    IF (former.format, former.path, place.base_url)
       IS DISTINCT FROM (r.format, r.path, substring(checked FROM '^[a-z]+://[^/]+')) THEN
        PERFORM seats_internal.take_back_deliveries(r.name, r.lane_id);
    END IF;
    PERFORM seats_internal.write_journal(
        CASE WHEN former.name IS NULL THEN 'receiver.defined' ELSE 'receiver.redefined' END, caller, NULL, NULL, NULL,
        jsonb_build_object('receiver', r.name, 'format', r.format, 'url', checked, 'secret_file', secret,
                           'minimum_severity', r.minimum_severity, 'journal_kinds', r.journal_kinds));
    url := checked;
    requests_per_second := coalesce(requests_per_second, 5);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.define_receiver(
    text, text, text, text, text, text, text[], double precision) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.define_receiver(
    text, text, text, text, text, text, text[], double precision) IS 'behind seats.define_receiver';

CREATE OR REPLACE FUNCTION seats.define_receiver(
    INOUT name                text,
    INOUT url                 text,
    INOUT format              text,
    INOUT secret              text             DEFAULT NULL,
    INOUT minimum_severity    text             DEFAULT 'warning',
    INOUT journal_kinds       text[]           DEFAULT '{}',
    INOUT requests_per_second double precision DEFAULT 5
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.define_receiver(
    text, text, text, text, text, text[], double precision) FROM PUBLIC;
COMMENT ON FUNCTION seats.define_receiver(
    text, text, text, text, text, text[], double precision) IS
    'defines or redefines who is told of alerts (from minimum_severity on; NULL: none) and of entries of '
    'the journal (kinds like member.removed or change.*) over HTTP. format: standard_webhook (secret: file '
    'with whsec_…), slack (secret: file with the webhook''s whole URL, or none) or sentry (secret: file with '
    'the DSN). secret is the name of a file in pg_seats.secrets_directory; superusers only';

CREATE OR REPLACE FUNCTION seats_internal.drop_receiver(
    caller         text,
    INOUT name     text,
    reason         text,
    OUT deliveries bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lane bigint;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'drop_receiver');
    PERFORM seats_internal.require_reason(drop_receiver.reason);
    DELETE FROM seats_internal.receiver AS r WHERE r.name = drop_receiver.name RETURNING r.lane_id INTO lane;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no receiver %', coalesce(quote_ident(drop_receiver.name), 'NULL')
            USING ERRCODE = 'PS547', HINT = 'seats.receivers lists them.';
    END IF;
    -- The answer to what is on the wire finds nothing that it could settle.
    DELETE FROM seats_internal.outbox AS o WHERE o.lane_id = lane AND o.kind = 'delivery';
    GET DIAGNOSTICS deliveries = ROW_COUNT;
    DELETE FROM seats_internal.alert_told AS t WHERE t.receiver = drop_receiver.name;
    DELETE FROM seats_internal.destination AS d WHERE d.name = drop_receiver.name;
    PERFORM seats_internal.resolve_alert('receiver:' || drop_receiver.name, 'the receiver was dropped');
    PERFORM seats_internal.write_journal(
        'receiver.dropped', caller, NULL, NULL, drop_receiver.reason,
        jsonb_build_object('receiver', drop_receiver.name, 'deliveries', deliveries));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.drop_receiver(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.drop_receiver(text, text, text) IS 'behind seats.drop_receiver';

CREATE OR REPLACE FUNCTION seats.drop_receiver(INOUT name text, reason text, OUT deliveries bigint)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.drop_receiver(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.drop_receiver(text, text) IS
    'forgets a receiver and what it was still to be told; superusers only';
