-- Naming handlers when a call is enqueued.

-- The values of an application's own settings, for the session in which the handler runs: row security that reads
-- app.tenant, say, would find no row otherwise.
CREATE OR REPLACE FUNCTION seats_internal.kept_settings(names text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 20;
    one  text;
    kept jsonb := '{}';
BEGIN
    IF cardinality(names) > most THEN
        RAISE EXCEPTION 'keep_settings names % settings', cardinality(names)
            USING ERRCODE = 'PS704', HINT = format('At most %s can be kept.', most);
    END IF;
    FOREACH one IN ARRAY coalesce(names, '{}') LOOP
        -- (What an extension has defined may be only for superusers to read or to set.)
        IF one IS NULL OR one !~ '^[A-Za-z_][A-Za-z0-9_$]*([.][A-Za-z_][A-Za-z0-9_$]*)+$'
           OR lower(one) ~ '^(pg_seats|seats_internal)[.]'
           OR 'NO_SHOW_ALL' <> ALL (pg_settings_get_flags(one))
              AND NOT EXISTS (SELECT FROM pg_settings AS s
                               WHERE lower(s.name) = lower(one) AND s.context = 'user') THEN
            RAISE EXCEPTION 'setting % cannot be kept', coalesce(quote_literal(left(one, 100)), 'NULL')
                USING ERRCODE = 'PS704',
                      HINT = 'Settings of your own can, which have a dot in their names: app.tenant, say.';
        END IF;
        IF current_setting(one, true) IS NOT NULL THEN
            kept := kept || jsonb_build_object(one, current_setting(one, true));
        END IF;
    END LOOP;
    RETURN kept;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.kept_settings(text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.kept_settings(text[]) IS
    'what these settings say now, those of which nothing is said left out; an error if one cannot be kept';

CREATE OR REPLACE FUNCTION seats_internal.checked_handlers(caller text, named seats_internal.named_handlers)
RETURNS seats_internal.handler
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    largest CONSTANT integer := 1048576;
    checked seats_internal.handler;
    done    record;
    refused record;
BEGIN
    IF named.on_done IS NULL AND named.on_refused IS NULL THEN
        RAISE EXCEPTION '% is given, and no handler',
            CASE WHEN named.keep_settings IS NULL THEN 'context' ELSE 'keep_settings' END
            USING ERRCODE = 'PS704', HINT = 'Name a function in on_done or on_refused.';
    ELSIF octet_length(named.context::text) > largest THEN
        RAISE EXCEPTION 'the context is larger than 1 MB' USING ERRCODE = 'PS106';
    END IF;
    checked.role := caller;
    checked.role_oid := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = caller);
    done := seats_internal.checked_handler('on_done', named.on_done, caller, checked.role_oid);
    refused := seats_internal.checked_handler('on_refused', named.on_refused, caller, checked.role_oid);
    checked.on_done := done.function;
    checked.on_done_owner := done.owner;
    checked.on_done_owner_oid := done.owner_oid;
    checked.on_refused := refused.function;
    checked.on_refused_owner := refused.owner;
    checked.on_refused_owner_oid := refused.owner_oid;
    checked.context := named.context;
    checked.settings := seats_internal.kept_settings(named.keep_settings);
    IF octet_length(checked.settings::text) > largest THEN
        RAISE EXCEPTION 'the settings that are to be kept are larger than 1 MB' USING ERRCODE = 'PS106';
    END IF;
    RETURN checked;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.checked_handlers(text, seats_internal.named_handlers) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.checked_handlers(text, seats_internal.named_handlers) IS
    'handlers as they are stored, without their call, or an error';

-- (Called only where something is named, or each change of seats would cost one more statement.)
CREATE OR REPLACE FUNCTION seats_internal.make_handler(
    caller       text,
    call         bigint,
    lane_id      bigint,
    installation uuid,
    named        seats_internal.named_handlers
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    checked seats_internal.handler := seats_internal.checked_handlers(caller, named);
BEGIN
    INSERT INTO seats_internal.handler
        (call_id, installation, lane_id, role, role_oid, on_done, on_done_owner, on_done_owner_oid, on_refused,
         on_refused_owner, on_refused_owner_oid, settings, context)
    VALUES
        (call, make_handler.installation, make_handler.lane_id, checked.role, checked.role_oid, checked.on_done,
         checked.on_done_owner, checked.on_done_owner_oid, checked.on_refused, checked.on_refused_owner,
         checked.on_refused_owner_oid, checked.settings, checked.context);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.make_handler(text, bigint, bigint, uuid, seats_internal.named_handlers) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.make_handler(text, bigint, bigint, uuid, seats_internal.named_handlers) IS
    'notes which functions are to run when this call has ended, as the caller';

-- The same request once more names the same handlers. (The context may be long, or somebody's: its hash will do.)
CREATE OR REPLACE FUNCTION seats_internal.handlers_of_request(named seats_internal.named_handlers) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN named IS NULL THEN '{}' ELSE jsonb_build_object(
    'on_done', (named).on_done, 'on_refused', (named).on_refused, 'keep_settings', (named).keep_settings,
    'context_hash', encode(sha256(convert_to((named).context::text, 'UTF8')), 'hex')) END;
REVOKE ALL ON FUNCTION seats_internal.handlers_of_request(seats_internal.named_handlers) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.handlers_of_request(seats_internal.named_handlers) IS
    'handlers among the arguments that the same request_key must repeat';

-- For whoever takes back himself what he has done for a change.
CREATE OR REPLACE FUNCTION seats_internal.forget_on_refused(call bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM seats_internal.handler AS h WHERE h.call_id = call AND h.on_done IS NULL;
    UPDATE seats_internal.handler AS h
       SET on_refused = NULL, on_refused_owner = NULL, on_refused_owner_oid = NULL
     WHERE h.call_id = call;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_on_refused(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_on_refused(bigint) IS
    'an open call has no compensation any more';
