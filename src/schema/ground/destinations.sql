-- Destinations: where calls go.

-- Before this version Stripe takes no metadata with pending_if_incomplete: calls would have no marker.
CREATE OR REPLACE FUNCTION seats_internal.is_before_pending_metadata(d seats_internal.destination) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN (d).kind = 'stripe' AND coalesce(left((d).api_version, 10) < '2026-05-27', false);
REVOKE ALL ON FUNCTION seats_internal.is_before_pending_metadata(seats_internal.destination) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_before_pending_metadata(seats_internal.destination) IS
    'whether a destination''s API version takes no metadata with pending updates';

CREATE OR REPLACE FUNCTION seats_internal.check_destination(d seats_internal.destination) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text := CASE
        WHEN d.name IS NULL OR d.name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'
            THEN 'The name must be 1 to 63 letters, digits, ".", "_" or "-".'
        WHEN d.kind = 'receiver'
            THEN 'Receivers of alerts are defined with seats.define_receiver.'
        WHEN d.kind IS NULL OR d.kind <> 'stripe'
            THEN 'The kind must be stripe.'
        WHEN d.base_url IS NULL
            THEN 'A base URL is needed.'
        WHEN d.kind = 'stripe' AND d.secret IS NULL
            THEN 'Stripe needs a secret: the name of the file with the API key.'
        WHEN d.kind = 'stripe' AND d.livemode IS NULL
            THEN 'Say livemode => true or false: a key of the other mode is then refused.'
        WHEN d.account !~ '^[A-Za-z0-9_]{1,255}$'
            THEN 'The account must look like acct_1AbC.'
        WHEN d.kind = 'stripe' AND d.api_version IS NULL
             OR d.api_version !~ '^[A-Za-z0-9._-]{1,100}$'
            THEN 'The API version must look like 2026-05-27.dahlia.'
        WHEN seats_internal.is_before_pending_metadata(d) AND EXISTS (
                 SELECT FROM seats_internal.seat_type AS s
                  WHERE s.increase_payment_behavior = 'pending_if_incomplete')
            THEN 'There are seat types with pending_if_incomplete, which needs the API version '
                 '2026-05-27.dahlia or newer.'
        WHEN NOT (d.requests_per_second > 0 AND d.requests_per_second <= 1000000)
            THEN 'requests_per_second must be above 0 and at most 1000000.'
        WHEN d.probe_path IS NULL
            THEN 'A probe path is needed.'
    END;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'invalid destination'
            USING ERRCODE = 'PS006', DETAIL = wrong,
                  HINT = E'See \\df+ seats.define_destination.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_destination(seats_internal.destination) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_destination(seats_internal.destination) IS
    'an error that says what is wrong with a destination';

-- A call in doubt may have been executed under the account and mode that it was sent to: pointed at
-- others, its verification would look in the wrong place and find nothing.
CREATE OR REPLACE FUNCTION seats_internal.check_redefinition(
    before seats_internal.destination,
    after  seats_internal.destination
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (before.account <> after.account OR before.livemode <> after.livemode
        OR before.kind <> after.kind)
       AND EXISTS (SELECT FROM seats_internal.outbox
                    WHERE outbox.destination = before.name AND outbox.doubt) THEN
        RAISE EXCEPTION 'destination % has calls in doubt', before.name
            USING ERRCODE = 'PS007',
                  DETAIL = 'They may have been executed in the account and mode that it has now.',
                  HINT = 'Settle them first (seats.calls, seats.resolve_review), or define a '
                         'destination with another name.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.check_redefinition(seats_internal.destination, seats_internal.destination)
    FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.check_redefinition(seats_internal.destination, seats_internal.destination) IS
    'an error if calls in doubt would be verified against another account or mode';

CREATE OR REPLACE FUNCTION seats_internal.define_destination(
    caller                    text,
    INOUT name                text,
    INOUT base_url            text,
    INOUT secret              text,
    INOUT kind                text,
    INOUT account             text,
    INOUT livemode            boolean,
    INOUT api_version         text,
    INOUT requests_per_second double precision,
    INOUT probe_path          text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    before seats_internal.destination;
    after  seats_internal.destination;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'define_destination');
    after.name        := define_destination.name;
    after.kind        := define_destination.kind;
    after.base_url    := define_destination.base_url;
    after.secret      := define_destination.secret;
    after.account     := define_destination.account;
    after.livemode    := define_destination.livemode;
    after.api_version := CASE WHEN after.kind = 'stripe' THEN define_destination.api_version END;
    after.requests_per_second :=
        coalesce(define_destination.requests_per_second, CASE WHEN after.livemode THEN 80 ELSE 20 END);
    after.probe_path  := define_destination.probe_path;
    PERFORM seats_internal.check_secret_name(after.secret);
    PERFORM seats_internal.check_destination(after);
    after.base_url := seats_internal.checked_base_url(after.base_url);
    PERFORM seats_internal.checked_path(after.probe_path);

    -- Pauses and halts stay: a halt ends with a probe that succeeds, or by resume. So does the
    -- account that the worker has pinned, unless another one is named.
    SELECT * INTO before FROM seats_internal.destination AS d WHERE d.name = after.name FOR UPDATE;
    IF before.kind = 'receiver' THEN
        RAISE EXCEPTION 'destination % is a receiver of alerts', before.name
            USING ERRCODE = 'PS548', HINT = 'Give the destination another name.';
    END IF;
    after.account := coalesce(after.account, before.account);
    PERFORM seats_internal.check_redefinition(before, after);
    -- (Another account's prices are others.)
    DELETE FROM seats_internal.stripe_price AS p
     WHERE p.destination = after.name
       AND (before.account, before.livemode, before.base_url) IS DISTINCT FROM (after.account, after.livemode, after.base_url);
    IF FOUND THEN
        PERFORM seats_internal.all_pages_changed();
    END IF;

    INSERT INTO seats_internal.destination
        (name, kind, base_url, secret, account, livemode, api_version, requests_per_second,
         probe_path, created_by)
    VALUES
        (after.name, after.kind, after.base_url, after.secret, after.account, after.livemode,
         after.api_version, after.requests_per_second, after.probe_path, caller)
    ON CONFLICT (name) DO UPDATE
       SET kind = excluded.kind, base_url = excluded.base_url, secret = excluded.secret,
           account = excluded.account, livemode = excluded.livemode,
           api_version = excluded.api_version,
           requests_per_second = excluded.requests_per_second, probe_path = excluded.probe_path;
    IF before.name IS NULL THEN
        PERFORM seats_internal.doubt_new_destination(after.name);
    END IF;

    PERFORM seats_internal.write_journal(
        CASE WHEN before.name IS NULL THEN 'destination.defined' ELSE 'destination.redefined' END,
        caller, NULL, NULL, NULL,
        jsonb_build_object(
            'destination', after.name, 'kind', after.kind, 'base_url', after.base_url,
            'secret_file', after.secret, 'account', after.account, 'livemode', after.livemode,
            'api_version', after.api_version, 'requests_per_second', after.requests_per_second,
            'probe_path', after.probe_path));
    base_url := after.base_url;
    account := after.account;
    api_version := after.api_version;
    requests_per_second := after.requests_per_second;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.define_destination(
    text, text, text, text, text, text, boolean, text, double precision, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.define_destination(
    text, text, text, text, text, text, boolean, text, double precision, text) IS
    'behind seats.define_destination';

CREATE OR REPLACE FUNCTION seats.define_destination(
    INOUT name                text,
    INOUT base_url            text,
    INOUT secret              text,
    INOUT kind                text             DEFAULT 'stripe',
    INOUT account             text             DEFAULT NULL,
    INOUT livemode            boolean          DEFAULT NULL,
    INOUT api_version         text             DEFAULT '2026-05-27.dahlia',
    INOUT requests_per_second double precision DEFAULT NULL,
    INOUT probe_path          text             DEFAULT '/v1/account'
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.define_destination(
    text, text, text, text, text, boolean, text, double precision, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.define_destination(
    text, text, text, text, text, boolean, text, double precision, text) IS
    'defines or redefines where calls go; secret is the name of a file in '
    'pg_seats.secrets_directory; requests_per_second is 80 in live mode and 20 otherwise, if not '
    'given; superusers only';

CREATE OR REPLACE FUNCTION seats_internal.only_destination(destination text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text;
BEGIN
    SELECT d.name INTO name FROM seats_internal.destination AS d
     WHERE d.kind = 'stripe' AND d.name = coalesce(destination, d.name)
     ORDER BY d.name LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no destination of kind stripe%', coalesce(' named ' || quote_literal(destination), '')
            USING ERRCODE = 'PS101',
                  HINT = 'seats.define_destination() makes one; the view seats.destinations lists them.';
    ELSIF destination IS NULL AND (SELECT count(*) FROM seats_internal.destination AS d
                                    WHERE d.kind = 'stripe') > 1 THEN
        RAISE EXCEPTION 'there are several destinations: say which one'
            USING ERRCODE = 'PS101', HINT = 'Give the argument destination.';
    END IF;
    RETURN name;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.only_destination(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.only_destination(text) IS
    'the destination of that name, or the only one; else an error';

CREATE OR REPLACE FUNCTION seats_internal.require_destination(destination text) RETURNS void
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

CREATE OR REPLACE FUNCTION seats_internal.drop_destination(caller text, INOUT name text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place seats_internal.destination;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'drop_destination');
    PERFORM seats_internal.require_reason(drop_destination.reason);
    PERFORM seats_internal.require_destination(name);
    DELETE FROM seats_internal.destination AS d WHERE d.name = drop_destination.name
    RETURNING d.* INTO place;
    IF place.kind = 'receiver' THEN
        RAISE EXCEPTION 'destination % is a receiver of alerts', name
            USING ERRCODE = 'PS548', HINT = 'seats.drop_receiver(name, reason) forgets it.';
    END IF;
    PERFORM seats_internal.require_unused(
        format('destination %I cannot be dropped', name),
        ARRAY[(SELECT count(*) FROM seats_internal.outbox AS o WHERE o.destination = drop_destination.name),
              (SELECT count(*) FROM seats_internal.team AS t
                WHERE t.destination = drop_destination.name AND t.kind = 'team'),
              (SELECT count(*) FROM seats_internal.team AS t
                WHERE t.destination = drop_destination.name AND t.kind = 'individual'),
              (SELECT count(*) FROM seats_internal.payment AS p
                WHERE p.destination = drop_destination.name
                  AND (p.state IN ('creating', 'payable', 'processing') OR p.is_unfinished)),
              (SELECT count(*) FROM seats_internal.payment_request AS r
                WHERE r.destination = drop_destination.name AND r.state = 'open'
                  AND EXISTS (SELECT FROM seats_internal.payment_member AS m
                               WHERE m.request_id = r.id AND m.state = 'unpaid' AND m.removed_at IS NULL)),
              (SELECT count(*) FROM seats_internal.webhook_endpoint AS e WHERE e.destination = drop_destination.name),
              (SELECT count(*) FROM seats_internal.call_grant AS g WHERE g.destination = drop_destination.name)],
        '{open call(s),team(s),individual(s),payment(s) that are not over,payment request(s) with members who owe,webhook endpoint(s),grant(s) of calls}',
        'See seats.outbox, seats.teams, seats.individuals, seats.payments, seats.payment_requests, '
        'seats.webhook_endpoints and seats.call_grants.');
    DELETE FROM seats_internal.event_cursor AS c WHERE c.destination = drop_destination.name;
    DELETE FROM seats_internal.stripe_price AS p WHERE p.destination = drop_destination.name;
    DELETE FROM seats_internal.payment_listing AS l WHERE l.destination = drop_destination.name;
    DELETE FROM seats_internal.payment_listing_wish AS w WHERE w.destination = drop_destination.name;
    DELETE FROM seats_internal.payment_stray AS s WHERE s.destination = drop_destination.name;
    DELETE FROM seats_internal.destination_contact AS c WHERE c.destination = drop_destination.name;
    -- Whoever defines another one of this name begins with lanes that go.
    UPDATE seats_internal.lane AS l
       SET version = l.version + 1, paused_at = NULL, paused_by = NULL, paused_reason = NULL
     WHERE l.destination = drop_destination.name AND l.paused_at IS NOT NULL;
    PERFORM seats_internal.resolve_alert(a.fingerprint, 'the destination was dropped')
       FROM seats_internal.alert AS a WHERE a.destination = drop_destination.name AND a.resolved_at IS NULL;
    PERFORM seats_internal.write_journal(
        'destination.dropped', caller, NULL, NULL, drop_destination.reason,
        jsonb_build_object('destination', name, 'account', place.account, 'livemode', place.livemode));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.drop_destination(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.drop_destination(text, text, text) IS 'behind seats.drop_destination';

CREATE OR REPLACE FUNCTION seats.drop_destination(INOUT name text, reason text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.drop_destination(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.drop_destination(text, text) IS
    'forgets where calls went; refused while open calls, teams, individuals, webhook endpoints or grants of '
    'calls name it; superusers only';
