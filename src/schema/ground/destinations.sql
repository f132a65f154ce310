-- Setting up: the installation, its destinations, and taking over a copy. Public functions are
-- doors (src/functions/README.md); the rules stand in the function of the same name behind them.

-- What C++ knows.

CREATE FUNCTION seats_internal.current_timeline() RETURNS integer
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pg_seats_current_timeline';
REVOKE ALL ON FUNCTION seats_internal.current_timeline() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.current_timeline() IS
    'the timeline that this server writes on; an error on a standby';

CREATE FUNCTION seats_internal.checked_base_url(url text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_checked_base_url';
REVOKE ALL ON FUNCTION seats_internal.checked_base_url(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_base_url(text) IS
    'the URL as it is to be stored, or an error: https, or http to a loopback address';

CREATE FUNCTION seats_internal.encoded_form(parameters jsonb) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_encoded_form';
REVOKE ALL ON FUNCTION seats_internal.encoded_form(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.encoded_form(jsonb) IS
    'parameters as the body of a request to Stripe';

CREATE FUNCTION seats_internal.checked_path(path text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_checked_path';
REVOKE ALL ON FUNCTION seats_internal.checked_path(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_path(text) IS 'the same path, or an error';

CREATE FUNCTION seats_internal.checked_path_pattern(pattern text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_checked_path_pattern';
REVOKE ALL ON FUNCTION seats_internal.checked_path_pattern(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_path_pattern(text) IS 'the same pattern, or an error';

-- Checks that many verbs share.

CREATE FUNCTION seats_internal.require_superuser(caller text, verb text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = caller AND rolsuper) THEN
        RAISE EXCEPTION '% is for superusers', verb
            USING ERRCODE = 'PS001',
                  DETAIL = format('The current role is %I.', caller),
                  HINT = 'It decides where money is moved or who may move it. Ask a database '
                         'administrator to call it.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_superuser(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_superuser(text, text) IS
    'an error unless the caller is a superuser';

CREATE FUNCTION seats_internal.require_reason(reason text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF reason IS NULL OR reason !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'a reason is needed'
            USING ERRCODE = 'PS002',
                  HINT = 'Say why, for whoever reads the journal later: a ticket, or what was seen '
                         'in Stripe''s Dashboard.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_reason(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_reason(text) IS 'an error if the reason is blank';

-- The installation.

-- Two halves: the file tells a copy of the data directory from its original, the row a database that was
-- loaded from a dump from one that was not.
CREATE FUNCTION seats_internal.give_right_to_send(installation uuid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.adoption (uuid) VALUES (give_right_to_send.installation)
        ON CONFLICT (singleton) DO UPDATE SET uuid = excluded.uuid;
    -- Written at the commit, because a file cannot be rolled back.
    PERFORM seats_internal.write_installation_file(give_right_to_send.installation);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.give_right_to_send(uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.give_right_to_send(uuid) IS
    'makes this very database the one that may send for an installation; at a person''s word only';

CREATE FUNCTION seats_internal.create_installation(caller text) RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_uuid uuid;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'create_installation');
    INSERT INTO seats_internal.installation (uuid, timeline, created_by)
    VALUES (gen_random_uuid(), seats_internal.current_timeline(), caller)
    ON CONFLICT (singleton) DO NOTHING
    RETURNING installation.uuid INTO new_uuid;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this database has its installation already'
            USING ERRCODE = 'PS003',
                  DETAIL = (SELECT format('It was created by %I at %s.', i.created_by, i.created_at)
                              FROM seats_internal.installation AS i),
                  HINT = 'If this database is a copy, or was moved or restored, call '
                         'seats.adopt_database(reason, replaces_original).';
    END IF;
    PERFORM seats_internal.write_journal('installation.created', caller, NULL, NULL, NULL,
                                         jsonb_build_object('installation', new_uuid));
    PERFORM seats_internal.give_right_to_send(new_uuid);
    RETURN new_uuid;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.create_installation(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.create_installation(text) IS 'behind seats.create_installation';

CREATE FUNCTION seats.create_installation() RETURNS uuid
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.create_installation() FROM PUBLIC;
COMMENT ON FUNCTION seats.create_installation() IS
    'gives this database its identity and the right to send; once, by a superuser';

-- Destinations.

-- A name that can be a file's: the secrets directory also holds the right to send.
CREATE FUNCTION seats_internal.check_secret_name(secret text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF secret !~ '^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$' OR secret ~ '^installation[.]'
       OR secret ~ '^((sk|rk|pk)_(live|test)|whsec)_' THEN
        RAISE EXCEPTION 'invalid name of a secret''s file'
            USING ERRCODE = 'PS004',
                  HINT = 'Give the name of a file in pg_seats.secrets_directory that holds the secret, '
                         'not the secret itself and not a path: letters, digits, ".", "_" and "-", not '
                         'starting with "." or "installation.".';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_secret_name(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_secret_name(text) IS
    'an error unless it can be the name of a file in the secrets directory';

-- Before this version Stripe takes no metadata with pending_if_incomplete: calls would have no marker.
CREATE FUNCTION seats_internal.is_before_pending_metadata(d seats_internal.destination) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN (d).kind = 'stripe' AND coalesce(left((d).api_version, 10) < '2026-05-27', false);
REVOKE ALL ON FUNCTION seats_internal.is_before_pending_metadata(seats_internal.destination) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_before_pending_metadata(seats_internal.destination) IS
    'whether a destination''s API version takes no metadata with pending updates';

CREATE FUNCTION seats_internal.check_destination(d seats_internal.destination) RETURNS void
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
CREATE FUNCTION seats_internal.check_redefinition(
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

CREATE FUNCTION seats_internal.define_destination(
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

CREATE FUNCTION seats.define_destination(
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

-- Taking over a copy. Whatever was open may have been sent by the original since, or is
-- being sent by it now, so nothing is sent again before proof or a person's decision.

CREATE FUNCTION seats_internal.doubt_open_calls() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    doubted bigint;
BEGIN
    -- A seat change that was never planned has no body that could be sent again: the read before its
    -- planning, and its key, tell whether the original has sent it. Reads leave nothing behind.
    -- What receivers were told twice they know by its id.
    UPDATE seats_internal.outbox
       SET state         = CASE WHEN outbox.state = 'carried' THEN 'carried'
                                WHEN outbox.kind IN ('read', 'delivery') OR outbox.kind = 'change' AND outbox.body = ''
                                THEN 'pending'
                                ELSE 'verifying' END::seats_internal.outbox_state,
           state_since   = clock_timestamp(),
           doubt         = outbox.kind NOT IN ('read', 'delivery'),
           first_sent_at = coalesce(outbox.first_sent_at, outbox.created_at),
           last_sent_at  = clock_timestamp(),
           due_at        = NULL,
           eligible_xid  = pg_current_xact_id(),
           reason        = 'adopted'
     WHERE outbox.state <> 'review';
    GET DIAGNOSTICS doubted = ROW_COUNT;
    RETURN doubted;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.doubt_open_calls() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.doubt_open_calls() IS
    'every open call becomes unknown, and is verified before anything else happens to it';

CREATE FUNCTION seats_internal.review_open_calls(new_installation uuid) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reviewed bigint;
BEGIN
    -- The original tells its receivers by itself.
    DELETE FROM seats_internal.outbox WHERE outbox.kind = 'delivery';
    UPDATE seats_internal.outbox
       SET state        = CASE WHEN outbox.state = 'carried' THEN 'carried'
                               WHEN outbox.kind = 'read' THEN 'pending'
                               ELSE 'review' END::seats_internal.outbox_state,
           state_since  = clock_timestamp(),
           doubt        = outbox.kind <> 'read',
           due_at       = NULL,
           eligible_xid = pg_current_xact_id(),
           reason       = 'adopted_copy',
           installation = new_installation;
    GET DIAGNOSTICS reviewed = ROW_COUNT;
    IF reviewed > 0 THEN
        PERFORM seats_internal.raise_alert(
            'adopted_copy', 'critical', 'review',
            format('%s open call(s) came with the copy that was adopted and wait for a decision',
                   reviewed),
            jsonb_build_object('calls', reviewed),
            'The original may carry them out. For each row of seats.reviews call '
            'seats.resolve_review: refuse what is the original''s, not_executed only with proof.');
    END IF;
    RETURN reviewed;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_open_calls(uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_open_calls(uuid) IS
    'every open call goes to review, under the new identity of an adopted copy';

-- Logical replication brings rows and leaves sequences where they are.
CREATE FUNCTION seats_internal.raise_sequences() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    numbered record;
    last     bigint;
BEGIN
    FOR numbered IN
        SELECT c.relname, a.attname,
               pg_get_serial_sequence(format('seats_internal.%I', c.relname), a.attname) AS sequence
          FROM pg_class AS c
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attidentity <> ''
         WHERE c.relnamespace = 'seats_internal'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition
    LOOP
        EXECUTE format('SELECT max(t.%I) FROM seats_internal.%I AS t', numbered.attname, numbered.relname)
           INTO last;
        IF last > coalesce(pg_sequence_last_value(numbered.sequence::regclass), 0) THEN
            PERFORM setval(numbered.sequence::regclass, last);
        END IF;
    END LOOP;
    -- Settled calls have left the outbox, and keep their ids.
    SELECT max(h.id) INTO last FROM seats_internal.outbox_history AS h;
    IF last > coalesce(pg_sequence_last_value('seats_internal.outbox_id_seq'), 0) THEN
        PERFORM setval('seats_internal.outbox_id_seq', last);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_sequences() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_sequences() IS
    'no id is given twice in a database whose rows came without its sequences';

CREATE FUNCTION seats_internal.adopt_database(
    caller            text,
    reason            text,
    replaces_original boolean,
    OUT installation  uuid,
    OUT calls         bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former uuid;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'adopt_database');
    PERFORM seats_internal.require_reason(adopt_database.reason);
    SELECT i.uuid INTO former FROM seats_internal.installation AS i FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this database has no installation to adopt'
            USING ERRCODE = 'PS109', HINT = 'Call seats.create_installation().';
    ELSIF replaces_original IS NULL THEN
        RAISE EXCEPTION 'say whether this database replaces its original'
            USING ERRCODE = 'PS008',
                  HINT = 'true: the original is gone and never sends again; false: it lives on, and '
                         'this is a copy (a test system, say).';
    END IF;

    PERFORM seats_internal.raise_sequences();
    installation := CASE WHEN replaces_original THEN former ELSE gen_random_uuid() END;
    UPDATE seats_internal.installation AS i
       SET uuid = adopt_database.installation, timeline = seats_internal.current_timeline();
    calls := CASE WHEN replaces_original THEN seats_internal.doubt_open_calls()
                  ELSE seats_internal.review_open_calls(installation) END;
    PERFORM seats_internal.write_journal(
        'installation.adopted', caller, NULL, NULL, adopt_database.reason,
        jsonb_build_object('replaces_original', replaces_original, 'former', former,
                           'installation', installation, 'calls', calls));
    PERFORM seats_internal.give_right_to_send(installation);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.adopt_database(text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.adopt_database(text, text, boolean) IS
    'behind seats.adopt_database';

CREATE FUNCTION seats.adopt_database(
    reason            text,
    replaces_original boolean,
    OUT installation  uuid,
    OUT calls         bigint
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.adopt_database(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.adopt_database(text, boolean) IS
    'lets a copied, moved or restored database send: under its old identity if it replaces the '
    'original (open calls are verified), else under a new one (open calls go to review); '
    'superusers only';
