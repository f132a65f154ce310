-- What the worker, which gives handlers to processes (src/handlers/dispatch), shows, and tells people.

CREATE OR REPLACE FUNCTION seats_internal.handler_state(
    OUT pid           integer,
    OUT role_oid      oid,
    OUT state         text,
    OUT call          bigint,
    OUT running_since timestamptz,
    OUT since         timestamptz,
    OUT debug_point   text,
    OUT trouble       text
) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 2
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pg_seats_handler_state';
REVOKE ALL ON FUNCTION seats_internal.handler_state() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.handler_state() IS
    'the processes of this database''s handlers: state is wanted, starting, idle, working, finished or ended; call: whose '
    'handler runs';

-- What an earlier life of the worker has told of processes nobody knows any more; what is still so is told again.
CREATE OR REPLACE FUNCTION seats_internal.begin_dispatching() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.starts_after_crash();
    PERFORM seats_internal.resolve_alert(l.fingerprint, 'the worker has begun anew')
       FROM (SELECT a.fingerprint FROM seats_internal.alert AS a
              WHERE a.resolved_at IS NULL AND a.fingerprint > ''
                AND a.kind IN ('handler_stuck', 'handlers_not_started')) AS l;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.begin_dispatching() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.begin_dispatching() IS
    'called by the worker before it gives the first handler to a process';

-- A language or a C function that never looks whether it was interrupted can be neither cancelled nor ended.
CREATE OR REPLACE FUNCTION seats_internal.alert_stuck_handler(call bigint, pid integer, since timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.raise_alert(
        'handler_stuck:' || h.call_id, 'critical', 'handler_stuck',
        format('%s of call %s runs in process %s since %s and heeds neither a cancel nor its end',
               seats_internal.function_to_run(h), h.call_id, pid, since::timestamptz(0)),
        seats_internal.handler_detail(h) || jsonb_build_object('pid', pid),
        'It holds a process of pg_seats.handler_workers and what it has locked. What its function does must end by '
        'itself; if it never will, the server has to be restarted.', h.call_id)
       FROM seats_internal.handler AS h WHERE h.call_id = call;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.alert_stuck_handler(bigint, integer, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.alert_stuck_handler(bigint, integer, timestamptz) IS
    'a handler runs on although its time is over; called by the worker';

-- trouble: null: a process of this role works.
CREATE OR REPLACE FUNCTION seats_internal.alert_role_of_handlers(role_oid oid, trouble text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role        text := coalesce((SELECT r.rolname FROM pg_roles AS r WHERE r.oid = role_oid), role_oid::text);
    fingerprint text := 'handler_role:' || role;
BEGIN
    IF trouble IS NULL THEN
        PERFORM seats_internal.resolve_alert(fingerprint, 'its handlers run');
        RETURN;
    END IF;
    PERFORM seats_internal.raise_alert(
        fingerprint, 'critical', 'handlers_not_started',
        format('no process can be started for the handlers of role %I: %s', role, trouble),
        jsonb_build_object('role', role),
        'The server''s log says more: memory may be short, or a setting of the role''s (ALTER ROLE … SET) in the way. The '
        'worker tries again every minute.');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.alert_role_of_handlers(oid, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.alert_role_of_handlers(oid, text) IS
    'tells whether handlers of a role can be run at all; called by the worker';
