-- Functions that may run as a role although they belong to another one. Who owns a function can act as whoever runs it,
-- so only a superuser says that, for this owner.

CREATE OR REPLACE FUNCTION seats_internal.grant_handler(
    caller         text,
    INOUT function text,
    INOUT role     text,
    OUT owner      text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    name   text := seats_internal.handler_name('function', function);
    judged record;
    member record;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'grant_handler');
    PERFORM seats_internal.require_role(grant_handler.role);
    SELECT r.oid, r.rolsuper INTO member FROM pg_roles AS r WHERE r.rolname = grant_handler.role;
    SELECT j.* INTO judged FROM seats_internal.judge_handler(name, member.oid) AS j;
    IF judged.problem IS NOT NULL AND (judged.problem <> 'owner_not_trusted' OR member.rolsuper) THEN
        PERFORM seats_internal.raise_no_handler(name, grant_handler.role, judged.owner, judged.problem);
    END IF;
    function := name;
    owner := judged.owner;
    INSERT INTO seats_internal.handler_grant AS g (function, owner, owner_oid, role, role_oid, granted_by)
    VALUES (name, judged.owner, judged.owner_oid, grant_handler.role, member.oid, caller)
    ON CONFLICT ON CONSTRAINT handler_grant_pkey DO UPDATE
       SET owner = excluded.owner, owner_oid = excluded.owner_oid, role_oid = excluded.role_oid,
           granted_by = excluded.granted_by, granted_at = now();
    PERFORM seats_internal.write_journal(
        'privilege.granted', caller, NULL, NULL, NULL,
        jsonb_build_object('role', grant_handler.role, 'kind', 'handler', 'function', name, 'owner', judged.owner));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.grant_handler(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.grant_handler(text, text, text) IS 'behind seats.grant_handler';

CREATE OR REPLACE FUNCTION seats.grant_handler(INOUT function text, INOUT role text, OUT owner text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.grant_handler(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.grant_handler(text, text) IS
    'lets a role name another role''s function as its handler (on_done, on_refused), as long as that function has this '
    'owner, who can act as the role by it; superusers only';

CREATE OR REPLACE FUNCTION seats_internal.revoke_handler(
    caller         text,
    INOUT function text,
    INOUT role     text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'revoke_handler');
    function := seats_internal.handler_name('function', function);
    DELETE FROM seats_internal.handler_grant AS g
     WHERE g.function = revoke_handler.function AND g.role = revoke_handler.role;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such grant'
            USING ERRCODE = 'PS203', HINT = 'seats.handler_grants lists them.';
    END IF;
    PERFORM seats_internal.write_journal(
        'privilege.revoked', caller, NULL, NULL, NULL,
        jsonb_build_object('role', revoke_handler.role, 'kind', 'handler', 'function', revoke_handler.function));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.revoke_handler(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.revoke_handler(text, text, text) IS 'behind seats.revoke_handler';

CREATE OR REPLACE FUNCTION seats.revoke_handler(INOUT function text, INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.revoke_handler(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.revoke_handler(text, text) IS
    'takes back what grant_handler gave; what was named until then goes to review when it is due; superusers only';
