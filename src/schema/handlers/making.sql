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

CREATE OR REPLACE FUNCTION seats_internal.make_handler(
    caller        text,
    call          bigint,
    lane_id       bigint,
    installation  uuid,
    on_done       text,
    on_refused    text,
    context       jsonb,
    keep_settings text[]
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    largest_context CONSTANT integer := 1048576;
    role_oid oid;
    done     record;
    refused  record;
BEGIN
    IF on_done IS NULL AND on_refused IS NULL THEN
        IF keep_settings IS NOT NULL THEN
            RAISE EXCEPTION 'keep_settings is given, and no handler'
                USING ERRCODE = 'PS704', HINT = 'Name a function in on_done or on_refused.';
        END IF;
        RETURN;
    END IF;
    IF octet_length(context::text) > largest_context THEN
        RAISE EXCEPTION 'the context is larger than 1 MB' USING ERRCODE = 'PS106';
    END IF;
    role_oid := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = caller);
    done := seats_internal.checked_handler('on_done', on_done, caller, role_oid);
    refused := seats_internal.checked_handler('on_refused', on_refused, caller, role_oid);
    INSERT INTO seats_internal.handler
        (call_id, installation, lane_id, role, role_oid, on_done, on_done_owner, on_done_owner_oid, on_refused,
         on_refused_owner, on_refused_owner_oid, settings, context)
    VALUES
        (call, installation, make_handler.lane_id, caller, role_oid, done.function, done.owner, done.owner_oid,
         refused.function, refused.owner, refused.owner_oid, seats_internal.kept_settings(keep_settings), context);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.make_handler(text, bigint, bigint, uuid, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.make_handler(text, bigint, bigint, uuid, text, text, jsonb, text[]) IS
    'notes which functions are to run when this call has ended, as the caller; nothing if none is named';
