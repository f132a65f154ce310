-- Who may enqueue which calls. enqueue_call is the whole API key, so it is granted by destination,
-- method and path: a pattern in which * stands for one segment and a final ** for all that follow.

CREATE OR REPLACE FUNCTION seats_internal.check_call_grant(
    role         text,
    destination  text,
    methods      text[],
    path_pattern text
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.require_role(role);
    PERFORM seats_internal.require_destination(destination);
    IF coalesce(array_ndims(methods), 0) <> 1 OR array_position(methods, NULL) IS NOT NULL
       OR NOT methods <@ ARRAY['GET', 'POST', 'DELETE'] THEN
        RAISE EXCEPTION 'invalid methods'
            USING ERRCODE = 'PS103', HINT = 'Give some of {GET,POST,DELETE}.';
    ELSIF path_pattern IS NULL THEN
        RAISE EXCEPTION 'a path pattern is needed'
            USING ERRCODE = 'PS202', HINT = 'For example /v1/subscriptions/* or /v1/**.';
    END IF;
    PERFORM seats_internal.checked_path_pattern(path_pattern);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_call_grant(text, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_call_grant(text, text, text[], text) IS
    'an error that says what is wrong with a grant of calls';

-- Grants name their role, so that a dump takes them along; EXECUTE on enqueue_call, an ordinary grant, says
-- that it is this role. A dropped one has left its rows behind, and the next of that name must not get them.
CREATE OR REPLACE FUNCTION seats_internal.forget_dropped_grantee(role text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_proc AS p, aclexplode(p.proacl) AS a, pg_roles AS r
         WHERE p.pronamespace = 'seats'::regnamespace AND p.proname = 'enqueue_call'
           AND r.rolname = forget_dropped_grantee.role AND a.grantee = r.oid) THEN
        DELETE FROM seats_internal.call_grant AS g WHERE g.grantee = forget_dropped_grantee.role;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_dropped_grantee(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_dropped_grantee(text) IS
    'deletes the grants of calls that an earlier role of this name has left behind';

CREATE OR REPLACE FUNCTION seats_internal.grant_call(
    caller             text,
    INOUT role         text,
    INOUT destination  text,
    INOUT methods      text[],
    INOUT path_pattern text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'grant_call');
    PERFORM seats_internal.check_call_grant(role, grant_call.destination, methods, path_pattern);
    PERFORM seats_internal.forget_dropped_grantee(role);
    INSERT INTO seats_internal.call_grant (grantee, destination, method, path, granted_by)
    SELECT DISTINCT role, grant_call.destination, m, path_pattern, caller
      FROM unnest(methods) AS m
    ON CONFLICT (grantee, destination, method, path) DO NOTHING;
    PERFORM seats_internal.grant_routines('call', role);
    PERFORM seats_internal.write_journal(
        'privilege.granted', caller, NULL, NULL, NULL,
        jsonb_build_object('role', role, 'kind', 'call', 'destination', grant_call.destination,
                           'methods', methods, 'path', path_pattern));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.grant_call(text, text, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.grant_call(text, text, text, text[], text) IS
    'behind seats.grant_call';

CREATE OR REPLACE FUNCTION seats.grant_call(
    INOUT role         text,
    INOUT destination  text,
    INOUT methods      text[],
    INOUT path_pattern text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.grant_call(text, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats.grant_call(text, text, text[], text) IS
    'lets a role, and whoever has its rights, enqueue calls with these methods to paths of this '
    'pattern (/v1/subscriptions/*, /v1/**); superusers only';

CREATE OR REPLACE FUNCTION seats_internal.revoke_call(
    caller             text,
    INOUT role         text,
    INOUT destination  text,
    INOUT methods      text[],
    INOUT path_pattern text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'revoke_call');
    DELETE FROM seats_internal.call_grant AS g
     WHERE g.grantee = role AND g.destination = revoke_call.destination
       AND g.method = ANY (methods) AND g.path = path_pattern;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such grant'
            USING ERRCODE = 'PS203',
                  HINT = 'seats.call_grants lists them; a pattern is revoked as it was granted.';
    END IF;
    -- The role may be gone: its rows are not, because they name it.
    IF NOT EXISTS (SELECT FROM seats_internal.call_grant AS g WHERE g.grantee = role)
       AND EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        PERFORM seats_internal.revoke_routines('call', role);
    END IF;
    PERFORM seats_internal.write_journal(
        'privilege.revoked', caller, NULL, NULL, NULL,
        jsonb_build_object('role', role, 'kind', 'call', 'destination', revoke_call.destination,
                           'methods', methods, 'path', path_pattern));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.revoke_call(text, text, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.revoke_call(text, text, text, text[], text) IS
    'behind seats.revoke_call';

CREATE OR REPLACE FUNCTION seats.revoke_call(
    INOUT role         text,
    INOUT destination  text,
    INOUT methods      text[],
    INOUT path_pattern text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.revoke_call(text, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats.revoke_call(text, text, text[], text) IS
    'takes back what grant_call gave for these methods and this very pattern; superusers only';
