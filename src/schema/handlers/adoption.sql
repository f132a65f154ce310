-- Handlers of a database that was copied, moved or restored, and is adopted (ground/adoption.sql).

-- A restore gives roles other OIDs; that they are who they were is what the person says who adopts.
CREATE OR REPLACE FUNCTION seats_internal.resolve_handlers_anew() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    resolved bigint;
BEGIN
    UPDATE seats_internal.handler_grant AS g SET owner_oid = owner.oid, role_oid = role.oid
      FROM pg_roles AS owner, pg_roles AS role
     WHERE owner.rolname = g.owner AND role.rolname = g.role
       AND (g.owner_oid, g.role_oid) IS DISTINCT FROM (owner.oid, role.oid);
    UPDATE seats_internal.payment_request AS q SET role_oid = r.oid
      FROM pg_roles AS r WHERE r.rolname = q.role AND r.oid <> q.role_oid;
    UPDATE seats_internal.payment_handler AS f SET owner_oid = r.oid
      FROM pg_roles AS r WHERE r.rolname = f.owner AND r.oid <> f.owner_oid;
    UPDATE seats_internal.handler AS h
       SET role_oid = n.role_oid, on_done_owner_oid = n.on_done_owner_oid,
           on_refused_owner_oid = n.on_refused_owner_oid
      FROM (SELECT o.call_id,
                   coalesce((SELECT r.oid FROM pg_roles AS r WHERE r.rolname = o.role), o.role_oid) AS role_oid,
                   coalesce((SELECT r.oid FROM pg_roles AS r WHERE r.rolname = o.on_done_owner),
                            o.on_done_owner_oid) AS on_done_owner_oid,
                   coalesce((SELECT r.oid FROM pg_roles AS r WHERE r.rolname = o.on_refused_owner),
                            o.on_refused_owner_oid) AS on_refused_owner_oid
              FROM seats_internal.handler AS o) AS n
     WHERE n.call_id = h.call_id
       AND (h.role_oid, h.on_done_owner_oid, h.on_refused_owner_oid)
           IS DISTINCT FROM (n.role_oid, n.on_done_owner_oid, n.on_refused_owner_oid);
    GET DIAGNOSTICS resolved = ROW_COUNT;
    RETURN resolved;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.resolve_handlers_anew() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resolve_handlers_anew() IS
    'roles of handlers, and owners of their functions, are those of the same names; gives how many have changed';

-- The original runs what has ended.
CREATE OR REPLACE FUNCTION seats_internal.review_ended_handlers() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reviewed bigint;
BEGIN
    UPDATE seats_internal.handler AS h
       SET review_since = coalesce(h.review_since, clock_timestamp()), review_reason = 'adopted_copy', due_at = NULL,
           starts = 0
     WHERE h.outcome IS NOT NULL;
    GET DIAGNOSTICS reviewed = ROW_COUNT;
    IF reviewed > 0 THEN
        PERFORM seats_internal.raise_alert(
            'adopted_handlers', 'critical', 'handler_failed',
            format('%s handler(s) came with the copy that was adopted and wait for a decision', reviewed),
            jsonb_build_object('handlers', reviewed),
            'The original runs them. For each row of seats.reviews that names a handler call seats.resolve_review: '
            'retry if its work is wanted here as well, else skip.');
    END IF;
    RETURN reviewed;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_ended_handlers() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_ended_handlers() IS
    'handlers that have not run go to review in an adopted copy';

-- The alert is locked first: who decides another one of them waits, and sees then that this one is decided.
CREATE OR REPLACE FUNCTION seats_internal.resolve_adopted_handlers(resolution text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM seats_internal.alert AS a
      WHERE a.fingerprint = 'adopted_handlers' AND a.resolved_at IS NULL FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (SELECT FROM seats_internal.handler AS h WHERE h.review_reason = 'adopted_copy') THEN
        PERFORM seats_internal.resolve_alert('adopted_handlers', resolution);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.resolve_adopted_handlers(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resolve_adopted_handlers(text) IS
    'closes the alert about handlers of a copy with the last of them';

CREATE OR REPLACE FUNCTION seats_internal.adopt_handlers(replaces_original boolean, installation uuid) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    resolved bigint := seats_internal.resolve_handlers_anew();
BEGIN
    IF replaces_original THEN
        RETURN resolved;
    END IF;
    UPDATE seats_internal.handler AS h SET installation = adopt_handlers.installation;
    RETURN seats_internal.review_ended_handlers();
END
$$;
REVOKE ALL ON FUNCTION seats_internal.adopt_handlers(boolean, uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.adopt_handlers(boolean, uuid) IS
    'handlers in an adopted database: gives how many have another role or owner of the same name now, or went to review';
