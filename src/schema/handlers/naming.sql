-- Which functions can be handlers, and of whom. A handler runs with the rights of the role that has enqueued its call,
-- so whoever can replace the function's body can act as that role: the owner must be somebody who can do that anyway,
-- or whom a superuser trusts with it. All of it is asked when the call is enqueued, and again when the function is to run.

CREATE OR REPLACE FUNCTION seats_internal.owner_is_trusted(
    function  text,
    owner     text,
    owner_oid oid,
    role_oid  oid
) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner_is_superuser boolean := (SELECT r.rolsuper FROM pg_roles AS r WHERE r.oid = owner_oid);
BEGIN
    IF (SELECT r.rolsuper FROM pg_roles AS r WHERE r.oid = owner_is_trusted.role_oid) THEN
        RETURN coalesce(owner_is_superuser, false);
    END IF;
    RETURN owner_oid = role_oid OR coalesce(owner_is_superuser, false)
        OR owner_oid = (SELECT e.extowner FROM pg_extension AS e WHERE e.extname = 'pg_seats')
        OR EXISTS (SELECT FROM seats_internal.handler_grant AS g
                    WHERE g.function = owner_is_trusted.function AND g.owner = owner_is_trusted.owner
                      AND g.owner_oid = owner_is_trusted.owner_oid AND g.role_oid = owner_is_trusted.role_oid
                      AND g.role = (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = owner_is_trusted.role_oid));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.owner_is_trusted(text, text, oid, oid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.owner_is_trusted(text, text, oid, oid) IS
    'whether a function of this owner may run as this role';

-- problem: function_missing, function_not_plain, not_permitted, owner_not_trusted; null: none.
CREATE OR REPLACE FUNCTION seats_internal.judge_handler(
    function      text,
    role_oid      oid,
    OUT owner     text,
    OUT owner_oid oid,
    OUT problem   text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names text[] := parse_ident(function);
    named record;
BEGIN
    SELECT p.oid, p.proowner, p.prokind, p.proretset, n.oid AS schema INTO named
      FROM pg_namespace AS n
      JOIN pg_proc AS p ON p.pronamespace = n.oid
     WHERE n.nspname = names[1] AND p.proname = names[2]
       AND p.proargtypes = '20 3802 3802'::oidvector;  -- bigint, jsonb, jsonb
    IF NOT FOUND OR starts_with(names[1], 'pg_temp') THEN
        problem := 'function_missing';
        RETURN;
    END IF;
    owner_oid := named.proowner;
    owner := (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = named.proowner);
    problem := CASE
        WHEN named.prokind <> 'f' OR named.proretset THEN 'function_not_plain'
        WHEN NOT has_schema_privilege(role_oid, named.schema, 'USAGE')
             OR NOT has_function_privilege(role_oid, named.oid, 'EXECUTE') THEN 'not_permitted'
        WHEN NOT seats_internal.owner_is_trusted(function, owner, owner_oid, role_oid) THEN 'owner_not_trusted' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.judge_handler(text, oid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.judge_handler(text, oid) IS
    'the owner of a function, and what keeps it from being a role''s handler';

-- A name as it is stored.
CREATE OR REPLACE FUNCTION seats_internal.handler_name(argument text, name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
-- (Names are compared as they are stored, those of grants with those of handlers.)
SET quote_all_identifiers = off
AS $$
DECLARE
    names text[];
BEGIN
    BEGIN
        names := parse_ident(name);
    EXCEPTION WHEN invalid_parameter_value THEN
        names := '{}';
    END;
    IF cardinality(names) <> 2 THEN
        RAISE EXCEPTION '% is no name of a function with its schema: %', argument, quote_literal(left(name, 200))
            USING ERRCODE = 'PS701',
                  HINT = 'Give schema.function, without arguments. Your search_path does not count: the function '
                         'runs later, in another session.';
    END IF;
    RETURN format('%I.%I', names[1], names[2]);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.handler_name(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.handler_name(text, text) IS
    'the name of a function, qualified and quoted, or an error';

CREATE OR REPLACE FUNCTION seats_internal.raise_no_handler(function text, role text, owner text, problem text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE problem
        WHEN 'function_missing' THEN
            RAISE EXCEPTION 'there is no function %(bigint, jsonb, jsonb)', function
                USING ERRCODE = 'PS702',
                      HINT = 'A handler takes the call''s id, its outcome and your context, and no other arguments.';
        WHEN 'function_not_plain' THEN
            RAISE EXCEPTION '%(bigint, jsonb, jsonb) is no plain function', function
                USING ERRCODE = 'PS702',
                      HINT = 'A handler is no procedure, aggregate or window function, and returns no set.';
        WHEN 'not_permitted' THEN
            RAISE EXCEPTION 'permission denied for function %', function
                USING ERRCODE = 'insufficient_privilege',
                      DETAIL = format('It is to run as %I, who needs EXECUTE on it and USAGE on its schema.', role);
        ELSE
            RAISE EXCEPTION 'function % belongs to another role', function
                USING ERRCODE = 'PS703',
                      DETAIL = format('It belongs to %I, and would run as %I.', owner, role),
                      HINT = CASE WHEN (SELECT r.rolsuper FROM pg_roles AS r
                                         WHERE r.rolname = raise_no_handler.role)
                          THEN 'What a superuser enqueues takes functions of superusers only: enqueue it as the role '
                               'of your application.'
                          ELSE 'Whoever owns it could act as that role. Give it to the role (ALTER FUNCTION … OWNER '
                               'TO), or have a superuser call seats.grant_handler(function, role).' END;
    END CASE;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_no_handler(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_no_handler(text, text, text, text) IS
    'the error for a function that cannot be this role''s handler';

CREATE OR REPLACE FUNCTION seats_internal.checked_handler(
    argument      text,
    name          text,
    role          text,
    role_oid      oid,
    OUT function  text,
    OUT owner     text,
    OUT owner_oid oid
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    IF name IS NULL THEN
        RETURN;
    END IF;
    function := seats_internal.handler_name(argument, name);
    SELECT j.owner, j.owner_oid, j.problem INTO owner, owner_oid, problem
      FROM seats_internal.judge_handler(function, role_oid) AS j;
    IF problem IS NOT NULL THEN
        PERFORM seats_internal.raise_no_handler(function, role, owner, problem);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.checked_handler(text, text, text, oid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_handler(text, text, text, oid) IS
    'a function that can be this role''s handler, and its owner, or an error';

-- What is no longer as it was when the call was enqueued, as a word; null: nothing.
CREATE OR REPLACE FUNCTION seats_internal.handler_problem(handler seats_internal.handler) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_done boolean := handler.outcome ->> 'result' = 'done';
    judged  record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = handler.role_oid AND r.rolname = handler.role) THEN
        RETURN 'role_changed';
    END IF;
    SELECT j.* INTO judged
      FROM seats_internal.judge_handler(seats_internal.function_to_run(handler), handler.role_oid) AS j;
    RETURN coalesce(
        judged.problem,
        CASE WHEN (judged.owner, judged.owner_oid) IS DISTINCT FROM
                  (CASE WHEN is_done THEN handler.on_done_owner ELSE handler.on_refused_owner END,
                   CASE WHEN is_done THEN handler.on_done_owner_oid ELSE handler.on_refused_owner_oid END)
             THEN 'function_changed' END);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.handler_problem(seats_internal.handler) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.handler_problem(seats_internal.handler) IS
    'why a handler may not run as it was named; null: it may';

CREATE OR REPLACE FUNCTION seats_internal.function_to_run(handler seats_internal.handler) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE handler.outcome ->> 'result' WHEN 'done' THEN handler.on_done ELSE handler.on_refused END;
REVOKE ALL ON FUNCTION seats_internal.function_to_run(seats_internal.handler) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.function_to_run(seats_internal.handler) IS
    'which of its two functions the outcome wants';

-- (An expression, inlined where all handlers are looked at. Whether one runs just now is in shared memory: handler_state.)
CREATE OR REPLACE FUNCTION seats_internal.state_of_handler(handler seats_internal.handler) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (handler).outcome IS NULL THEN 'open'
            WHEN (handler).review_since IS NOT NULL THEN 'review'
            WHEN (handler).failed_at IS NOT NULL THEN 'failed'
            ELSE 'waiting' END;
REVOKE ALL ON FUNCTION seats_internal.state_of_handler(seats_internal.handler) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.state_of_handler(seats_internal.handler) IS
    'open (its call has not ended), review, failed (waits for its next try), or waiting';
