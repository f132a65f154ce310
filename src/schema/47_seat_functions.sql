-- Changing seats: the application's functions. Everything happens in the caller's transaction: the
-- team is locked, the rules are looked at, the change is left in the outbox, and the application
-- sees the new quantity at once. What Stripe says of it is the worker's business.

-- Buying is for owners: judged when it is asked for, and not again later.
CREATE FUNCTION seats_internal.check_actor(team seats_internal.team, actor text, caller text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF actor IS NOT NULL AND EXISTS (
        SELECT FROM seats_internal.member AS m
         WHERE m.team_id = team.id AND m.user_id = actor AND m.role = 'owner'
           AND m.status = 'active') THEN
        RETURN;
    END IF;
    IF seats_internal.is_operator(caller) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION '% may not change the seats of team %', coalesce(quote_literal(actor), 'nobody'), team.name
        USING ERRCODE = 'PS509',
              DETAIL = CASE WHEN actor IS NULL THEN 'The argument actor was not given.'
                       ELSE coalesce((SELECT format('%L is an active member with the role %s.', actor, m.role)
                                        FROM seats_internal.member AS m
                                       WHERE m.team_id = team.id AND m.user_id = actor
                                         AND m.status = 'active'),
                                     format('%L is no active member of the team.', actor)) END,
              HINT = 'actor must be an active member with the role owner (seats.add_member); a role '
                     'that was granted operator may act without one.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_actor(seats_internal.team, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_actor(seats_internal.team, text, text) IS
    'an error unless this member, or this role, may change the team''s seats';

CREATE FUNCTION seats_internal.check_team_is_open(team seats_internal.team) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF team.items IS NULL THEN
        RAISE EXCEPTION 'the subscription of team % was not read yet', team.name
            USING ERRCODE = 'PS503',
                  DETAIL = coalesce('It cannot be read: ' || team.problem || '.',
                                    'How many seats it has is known when Stripe has answered.'),
                  HINT = CASE WHEN team.problem IS NULL
                         THEN 'It takes a moment after seats.register_team, which gives the id of the '
                              'read for seats.wait_for_call; if it takes longer, see seats.health.'
                         ELSE 'Is the subscription''s id right, and of the destination''s account? '
                              'Register the team again, or let an operator call seats.reconcile(team, reason).' END;
    ELSIF seats_internal.is_terminal(team.status) OR team.status = 'incomplete' THEN
        RAISE EXCEPTION 'the subscription of team % is %', team.name, team.status
            USING ERRCODE = 'PS512',
                  DETAIL = 'Its seats can no longer be changed, or not before its first payment.',
                  HINT = 'Make a new subscription at Stripe, and register the team with it.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_team_is_open(seats_internal.team) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_team_is_open(seats_internal.team) IS
    'an error unless the team''s seats are known and can be changed';

-- What change_seats takes, {"team": {"add": 3}, "owner": {"set": 1}}, as rows.
CREATE FUNCTION seats_internal.read_changes(
    changes       jsonb,
    OUT seat_type text,
    OUT operation text,
    OUT quantity  integer
) RETURNS SETOF record
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted jsonb;
    verb   text;
BEGIN
    IF jsonb_typeof(changes) IS DISTINCT FROM 'object' OR changes = '{}' THEN
        RAISE EXCEPTION 'invalid changes'
            USING ERRCODE = 'PS519', DETAIL = 'They must be an object with a member for each seat type.',
                  HINT = 'For example {"team": {"add": 3}, "owner": {"set": 1}}.';
    END IF;
    FOR seat_type, wanted IN SELECT c.key, c.value FROM jsonb_each(changes) AS c ORDER BY c.key LOOP
        IF jsonb_typeof(wanted) <> 'object'
           OR (SELECT count(*) FROM jsonb_object_keys(wanted)) <> 1 THEN
            RAISE EXCEPTION 'invalid change of %', quote_literal(seat_type)
                USING ERRCODE = 'PS519', DETAIL = format('It is %s.', wanted), HINT = 'One of {"add": n}, {"remove": n}, {"set": n}.';
        END IF;
        verb := (SELECT k FROM jsonb_object_keys(wanted) AS k);
        IF verb NOT IN ('add', 'remove', 'set') THEN
            RAISE EXCEPTION 'invalid change of %', quote_literal(seat_type)
                USING ERRCODE = 'PS519', DETAIL = format('There is no operation %L.', verb),
                      HINT = 'One of {"add": n}, {"remove": n}, {"set": n}.';
        ELSIF jsonb_typeof(wanted -> verb) <> 'number'
           OR (wanted ->> verb)::numeric <> trunc((wanted ->> verb)::numeric)
           OR (wanted ->> verb)::numeric NOT BETWEEN (CASE verb WHEN 'set' THEN 0 ELSE 1 END)
                                             AND 1000000 THEN
            RAISE EXCEPTION 'invalid quantity of %', quote_literal(seat_type)
                USING ERRCODE = 'PS505',
                      DETAIL = format('It is %s: %s.', verb, wanted -> verb),
                      HINT = 'Give {"add": n} or {"remove": n} with a whole number from 1 to 1000000, '
                             'or {"set": n} with one from 0 to 1000000.';
        END IF;
        operation := CASE verb WHEN 'set' THEN 'set' ELSE 'add' END;
        quantity := (wanted ->> verb)::integer * CASE verb WHEN 'remove' THEN -1 ELSE 1 END;
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.read_changes(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.read_changes(jsonb) IS
    'changes as change_seats takes them, a row for each seat type';

CREATE FUNCTION seats_internal.require_seat_type(seat_type text) RETURNS seats_internal.seat_type
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rules seats_internal.seat_type;
BEGIN
    SELECT s.* INTO rules FROM seats_internal.seat_type AS s WHERE s.name = seat_type;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no seat type %', coalesce(quote_literal(seat_type), 'NULL')
            USING ERRCODE = 'PS504',
                  HINT = 'seats.define_seat_type makes one; the view seats.seat_types lists them.';
    END IF;
    RETURN rules;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_seat_type(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_seat_type(text) IS 'the seat type of that name, or an error';

-- What is wrong with a line of a change; the caller has seen that something is.
CREATE FUNCTION seats_internal.raise_wrong_line(
    team      seats_internal.team,
    rules     seats_internal.seat_type,
    previous  integer,
    resulting integer,
    used      integer
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reserved integer := seats_internal.seats_reserved(team.id, rules.name);
BEGIN
    IF abs(resulting - previous) > rules.largest_change THEN
        RAISE EXCEPTION 'a change of % seats of type % is too large', abs(resulting - previous), rules.name
            USING ERRCODE = 'PS506',
                  DETAIL = format('At most %s at once are allowed.', rules.largest_change),
                  HINT = 'Is it a mistake? Make several smaller changes, or raise largest_change with '
                         'seats.define_seat_type.';
    ELSIF resulting > previous THEN
        RAISE EXCEPTION 'team % would have % seats of type %', team.name, resulting, rules.name
            USING ERRCODE = 'PS507',
                  DETAIL = format('At most %s are allowed; it has %s.', rules.largest_total, previous),
                  HINT = 'Raise largest_total with seats.define_seat_type.';
    ELSIF resulting < 0 THEN
        RAISE EXCEPTION 'team % has only % seats of type %', team.name, previous, rules.name
            USING ERRCODE = 'PS508',
                  DETAIL = format('%s are to be removed, and %s are in use.', previous - resulting, used),
                  HINT = 'Remove fewer.';
    END IF;
    RAISE EXCEPTION 'team % would have % seats of type %, and % are in use',
        team.name, resulting, rules.name, used
        USING ERRCODE = 'PS508',
              DETAIL = format('It has %s.', previous)
                       || CASE WHEN reserved > 0 THEN format(' %s are reserved by open invites.', reserved)
                               ELSE '' END,
              HINT = CASE WHEN reserved > 0
                     THEN 'Remove members (seats.remove_member) or revoke invites '
                          '(seats.revoke_invite) first.'
                     ELSE 'Remove members first (seats.remove_member).' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_wrong_line(
    seats_internal.team, seats_internal.seat_type, integer, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_wrong_line(
    seats_internal.team, seats_internal.seat_type, integer, integer, integer) IS
    'the error for a change of one seat type that the rules do not allow';

CREATE FUNCTION seats_internal.raise_unexpected(
    team      text,
    seat_type text,
    expected  integer,
    actual    integer
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'team % has % seats of type %, not %', team, actual, seat_type, expected
        USING ERRCODE = 'PS510',
              DETAIL = 'Somebody has changed them since the caller looked.',
              HINT = 'Show the new quantity, and ask again.';
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.raise_unexpected(text, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_unexpected(text, text, integer, integer) IS
    'the error for a caller who saw another quantity than there is';

-- A guard that nobody looks at would be worse than none.
CREATE FUNCTION seats_internal.check_expected_quantities(expected jsonb, changes jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(expected) <> 'object' THEN
        wrong := 'They must be an object with numbers.';
    ELSIF expected IS NOT NULL THEN
        SELECT CASE WHEN changes ? e.key
                    THEN format('%L must be a whole number from 0 to 1000000, not %s.', e.key, e.value)
                    ELSE format('%L is not changed.', e.key) END
          INTO wrong
          FROM jsonb_each(expected) AS e
         WHERE NOT coalesce(changes ? e.key, false)
            OR NOT jsonb_path_exists(e.value, '$ ? (@.type() == "number" && @ >= 0 && @ <= 1000000 && '
                                              '@.floor() == @)')
         ORDER BY e.key LIMIT 1;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'invalid expected quantities'
            USING ERRCODE = 'PS519', DETAIL = wrong,
                  HINT = 'For example {"team": 5}: what the caller saw of the types that it changes.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_expected_quantities(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_expected_quantities(jsonb, jsonb) IS
    'an error unless they are quantities of the types that are changed';

-- The answer to a request that came before, or null. The team is locked, so nobody answers it twice.
CREATE FUNCTION seats_internal.known_request(
    team          seats_internal.team,
    function_name text,
    request_key   text,
    arguments     jsonb
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    IF request_key = '' OR octet_length(request_key) > 255 THEN
        RAISE EXCEPTION 'request_key must have 1 to 255 bytes'
            USING ERRCODE = 'PS520', DETAIL = format('It has %s.', octet_length(request_key)),
                  HINT = 'Draw a key for each request, a uuid say; or leave it out.';
    END IF;
    SELECT k.arguments, k.result, k.created_at INTO known
      FROM seats_internal.request_key AS k
     WHERE k.team_id = team.id AND k.function_name = known_request.function_name
       AND k.request_key = known_request.request_key;
    IF FOUND AND known.arguments <> arguments THEN
        RAISE EXCEPTION 'request_key % was used for another request', quote_literal(request_key)
            USING ERRCODE = 'PS511',
                  DETAIL = format('At %s, with %s.', known.created_at, known.arguments),
                  HINT = 'A key belongs to one request: draw a new one for each, and repeat it only '
                         'with the same arguments.';
    END IF;
    RETURN known.result;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.known_request(seats_internal.team, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.known_request(seats_internal.team, text, text, jsonb) IS
    'what was answered to the same request before; an error if it was another one';

CREATE FUNCTION seats_internal.check_one_rule(lines jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT count(DISTINCT (s.increase_proration_behavior, s.increase_payment_behavior)) > 1
               OR count(DISTINCT s.decrease_proration_behavior) > 1
          FROM jsonb_to_recordset(lines) AS l (seat_type text)
          JOIN seats_internal.seat_type AS s ON s.name = l.seat_type) THEN
        RAISE EXCEPTION 'these seat types are billed by different rules'
            USING ERRCODE = 'PS523',
                  DETAIL = (SELECT string_agg(format('%s: %s, %s, %s', s.name, s.increase_proration_behavior,
                                                     s.increase_payment_behavior,
                                                     s.decrease_proration_behavior), '; ' ORDER BY s.name)
                              FROM jsonb_to_recordset(lines) AS l (seat_type text)
                              JOIN seats_internal.seat_type AS s ON s.name = l.seat_type),
                  HINT = 'One call can follow one rule only: change them one by one.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_one_rule(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_one_rule(jsonb) IS
    'an error unless a change''s seat types are billed alike';

-- Every change goes through here: wanted is [{seat_type, operation, quantity, expected}]. This is the
-- application's path, so it is one function of few statements; what is wrong is told by others, which
-- are called only then.
CREATE FUNCTION seats_internal.make_change(
    caller         text,
    function_name  text,
    team_name      text,
    wanted         jsonb,
    actor          text,
    request_key    text,
    proration_date bigint
) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    team      seats_internal.team;
    rules     seats_internal.seat_type;
    arguments jsonb;
    result    jsonb;
    line      jsonb;
    lines     jsonb := '[]';
    previous  integer;
    resulting integer;
    used      integer;
    change    bigint;
    locked    bigint;
BEGIN
    UPDATE seats_internal.lane AS l
       SET version = l.version + 1
      FROM seats_internal.team AS t
     WHERE t.name = team_name AND t.kind = 'team' AND l.id = t.lane_id
    RETURNING l.id INTO locked;
    -- A second statement, and a new snapshot: the first one may have waited.
    SELECT t.* INTO team FROM seats_internal.team AS t
     WHERE t.name = team_name AND t.kind = 'team';
    IF team.id IS NULL OR team.lane_id <> locked THEN
        team := seats_internal.take_team(team_name);  -- raises, or the team was registered anew meanwhile
    END IF;
    IF request_key IS NOT NULL THEN
        arguments := jsonb_strip_nulls(jsonb_build_object(
            'changes', wanted, 'actor', actor, 'proration_date', proration_date));
        result := seats_internal.known_request(team, function_name, request_key, arguments);
        IF result IS NOT NULL THEN
            RETURN result;
        END IF;
    END IF;
    IF team.items IS NULL OR team.status NOT IN ('active', 'trialing', 'past_due') THEN
        PERFORM seats_internal.check_team_is_open(team);
    END IF;
    PERFORM FROM seats_internal.member AS m
      WHERE m.team_id = team.id AND m.user_id = actor AND m.role = 'owner' AND m.status = 'active';
    IF NOT FOUND THEN
        PERFORM seats_internal.check_actor(team, actor, caller);
    END IF;
    FOR number IN 0 .. jsonb_array_length(wanted) - 1 LOOP
        line := wanted -> number;
        SELECT s.* INTO rules FROM seats_internal.seat_type AS s WHERE s.name = line ->> 'seat_type';
        IF rules.name IS NULL THEN
            PERFORM seats_internal.require_seat_type(line ->> 'seat_type');  -- raises
        END IF;
        SELECT s.quantity INTO previous FROM seats_internal.seat_line AS s
         WHERE s.team_id = team.id AND s.seat_type = rules.name;
        previous := coalesce(previous, 0);
        resulting := (line ->> 'quantity')::integer
                     + CASE line ->> 'operation' WHEN 'set' THEN 0 ELSE previous END;
        used := CASE WHEN resulting < previous
                     THEN seats_internal.seats_in_use(team.id, rules.name) ELSE 0 END;
        IF abs(resulting - previous) > rules.largest_change
           OR resulting > previous AND resulting > rules.largest_total OR resulting < used THEN
            PERFORM seats_internal.raise_wrong_line(team, rules, previous, resulting, used);
        ELSIF (line ->> 'expected')::integer <> previous THEN
            PERFORM seats_internal.raise_unexpected(team.name, rules.name,
                                                    (line ->> 'expected')::integer, previous);
        END IF;
        UPDATE seats_internal.seat_line AS s SET quantity = resulting
         WHERE s.team_id = team.id AND s.seat_type = rules.name;
        IF NOT FOUND THEN
            INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity)
            VALUES (team.id, rules.name, 0, resulting);
        END IF;
        lines := lines || jsonb_build_object(
            'seat_type', rules.name, 'operation', line -> 'operation', 'quantity', line -> 'quantity',
            'previous', previous, 'resulting', resulting);
    END LOOP;
    IF jsonb_array_length(lines) > 1 THEN
        PERFORM seats_internal.check_one_rule(lines);
    END IF;
    INSERT INTO seats_internal.outbox
        (lane_id, installation, destination, method, path, body, verifier, enqueued_by, kind, team_id,
         actor, lines, proration_date)
    SELECT team.lane_id, i.uuid, team.destination, 'POST', '/v1/subscriptions/' || team.subscription,
           '', 'object', caller, 'change', team.id, actor, lines, proration_date
      FROM seats_internal.installation AS i
    RETURNING id INTO change;
    IF change IS NULL THEN
        PERFORM seats_internal.require_installation();  -- raises
    END IF;
    result := jsonb_build_object('change', change, 'lines', lines);
    IF request_key IS NOT NULL THEN
        INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result)
        VALUES (team.id, function_name, request_key, arguments, result);
    END IF;
    RETURN result;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.make_change(text, text, text, jsonb, text, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.make_change(text, text, text, jsonb, text, text, bigint) IS
    'changes a team''s seats and leaves the change in the outbox; gives {change, lines}';

CREATE FUNCTION seats_internal.make_simple_change(
    caller        text,
    function_name text,
    team          text,
    seat_type     text,
    operation     text,
    quantity      integer,
    actor         text,
    request_key   text,
    expected      integer
) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF quantity IS NULL OR abs(quantity) > 1000000
       OR quantity < (CASE operation WHEN 'set' THEN 0 ELSE 1 END) THEN
        RAISE EXCEPTION 'invalid quantity: %', coalesce(quantity::text, 'NULL')
            USING ERRCODE = 'PS505',
                  HINT = CASE operation WHEN 'set' THEN 'Give a whole number from 0 to 1000000.'
                         ELSE 'Give a whole number from 1 to 1000000.' END;
    END IF;
    RETURN seats_internal.make_change(
        caller, function_name, team,
        jsonb_build_array(jsonb_build_object(
            'seat_type', seat_type,
            'operation', CASE operation WHEN 'set' THEN 'set' ELSE 'add' END,
            'quantity', CASE operation WHEN 'remove' THEN -quantity ELSE quantity END,
            'expected', expected)),
        actor, request_key, NULL);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.make_simple_change(
    text, text, text, text, text, integer, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.make_simple_change(
    text, text, text, text, text, integer, text, text, integer) IS
    'make_change for one seat type';

CREATE FUNCTION seats_internal.add_seats(
    caller                text,
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text,
    request_key           text,
    expected_quantity     integer,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made jsonb := seats_internal.make_simple_change(caller, 'add_seats', team, seat_type, 'add', quantity,
                                                    actor, request_key, expected_quantity);
BEGIN
    change := (made ->> 'change')::bigint;
    previous_quantity := (made #>> '{lines,0,previous}')::integer;
    new_quantity := (made #>> '{lines,0,resulting}')::integer;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.add_seats(text, text, text, integer, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.add_seats(text, text, text, integer, text, text, integer) IS 'behind seats.add_seats';

CREATE FUNCTION seats.add_seats(
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text    DEFAULT NULL,
    request_key           text    DEFAULT NULL,
    expected_quantity     integer DEFAULT NULL,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.add_seats(text, text, integer, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.add_seats(text, text, integer, text, text, integer) IS
    'buys seats: the team has them when the transaction commits, and Stripe is told then. The change is confirmed, or undone, by what Stripe says; wait_for_change waits for that. actor is the member who buys. request_key makes a repeated click harmless, expected_quantity a stale screen';

CREATE FUNCTION seats_internal.remove_seats(
    caller                text,
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text,
    request_key           text,
    expected_quantity     integer,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made jsonb := seats_internal.make_simple_change(caller, 'remove_seats', team, seat_type, 'remove', quantity,
                                                    actor, request_key, expected_quantity);
BEGIN
    change := (made ->> 'change')::bigint;
    previous_quantity := (made #>> '{lines,0,previous}')::integer;
    new_quantity := (made #>> '{lines,0,resulting}')::integer;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.remove_seats(text, text, text, integer, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.remove_seats(text, text, text, integer, text, text, integer) IS 'behind seats.remove_seats';

CREATE FUNCTION seats.remove_seats(
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text    DEFAULT NULL,
    request_key           text    DEFAULT NULL,
    expected_quantity     integer DEFAULT NULL,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.remove_seats(text, text, integer, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.remove_seats(text, text, integer, text, text, integer) IS
    'gives seats back, never below what is in use; otherwise like add_seats';

CREATE FUNCTION seats_internal.set_seats(
    caller                text,
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text,
    request_key           text,
    expected_quantity     integer,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made jsonb := seats_internal.make_simple_change(caller, 'set_seats', team, seat_type, 'set', quantity,
                                                    actor, request_key, expected_quantity);
BEGIN
    change := (made ->> 'change')::bigint;
    previous_quantity := (made #>> '{lines,0,previous}')::integer;
    new_quantity := (made #>> '{lines,0,resulting}')::integer;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.set_seats(text, text, text, integer, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.set_seats(text, text, text, integer, text, text, integer) IS 'behind seats.set_seats';

CREATE FUNCTION seats.set_seats(
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text    DEFAULT NULL,
    request_key           text    DEFAULT NULL,
    expected_quantity     integer DEFAULT NULL,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.set_seats(text, text, integer, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.set_seats(text, text, integer, text, text, integer) IS
    'makes the team have exactly so many seats, whatever it has; otherwise like add_seats';

CREATE FUNCTION seats_internal.change_seats(
    caller         text,
    team           text,
    changes        jsonb,
    actor          text,
    request_key    text,
    expected       jsonb,
    proration_date bigint,
    OUT change     bigint,
    OUT seats      jsonb
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made jsonb;
BEGIN
    PERFORM seats_internal.check_expected_quantities(expected, changes);
    made := seats_internal.make_change(
        caller, 'change_seats', team,
        (SELECT jsonb_agg(jsonb_build_object(
                    'seat_type', c.seat_type, 'operation', c.operation, 'quantity', c.quantity,
                    'expected', (change_seats.expected ->> c.seat_type)::integer) ORDER BY c.seat_type)
           FROM seats_internal.read_changes(changes) AS c),
        actor, request_key, proration_date);
    change := (made ->> 'change')::bigint;
    SELECT jsonb_object_agg(l.seat_type, jsonb_build_object('previous', l.previous, 'new', l.resulting))
      INTO seats
      FROM jsonb_to_recordset(made -> 'lines') AS l (seat_type text, previous integer, resulting integer);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.change_seats(text, text, jsonb, text, text, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.change_seats(text, text, jsonb, text, text, jsonb, bigint) IS
    'behind seats.change_seats';

CREATE FUNCTION seats.change_seats(
    team           text,
    changes        jsonb,
    actor          text   DEFAULT NULL,
    request_key    text   DEFAULT NULL,
    expected       jsonb  DEFAULT NULL,
    proration_date bigint DEFAULT NULL,
    OUT change     bigint,
    OUT seats      jsonb
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.change_seats(text, jsonb, text, text, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.change_seats(text, jsonb, text, text, jsonb, bigint) IS
    'changes several seat types in one call of Stripe''s, all or none: {"team": {"add": 3}, "owner": '
    '{"set": 1}}. With the proration_date of a preview it costs what the preview said, or is undone '
    'because the seats were changed meanwhile';
