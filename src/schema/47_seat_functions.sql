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
            USING ERRCODE = 'PS519', HINT = 'For example {"team": {"add": 3}, "owner": {"set": 1}}.';
    END IF;
    FOR seat_type, wanted IN SELECT c.key, c.value FROM jsonb_each(changes) AS c ORDER BY c.key LOOP
        IF jsonb_typeof(wanted) <> 'object'
           OR (SELECT count(*) FROM jsonb_object_keys(wanted)) <> 1 THEN
            RAISE EXCEPTION 'invalid change of %', quote_literal(seat_type)
                USING ERRCODE = 'PS519', HINT = 'One of {"add": n}, {"remove": n}, {"set": n}.';
        END IF;
        verb := (SELECT k FROM jsonb_object_keys(wanted) AS k);
        IF verb NOT IN ('add', 'remove', 'set') OR jsonb_typeof(wanted -> verb) <> 'number'
           OR (wanted ->> verb)::numeric <> trunc((wanted ->> verb)::numeric)
           OR (wanted ->> verb)::numeric NOT BETWEEN (CASE verb WHEN 'set' THEN 0 ELSE 1 END)
                                             AND 1000000 THEN
            RAISE EXCEPTION 'invalid quantity of %', quote_literal(seat_type)
                USING ERRCODE = 'PS505',
                      DETAIL = format('It is %s: %s.', verb, wanted ->> verb),
                      HINT = 'Give {"add": n} or {"remove": n} with a whole number from 1 on, or '
                             '{"set": n} with one from 0 on.';
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

-- One line of a change: the rules, and the new quantity. The team is locked.
CREATE FUNCTION seats_internal.change_line(
    team          seats_internal.team,
    seat_type     text,
    operation     text,
    quantity      integer,
    OUT previous  integer,
    OUT resulting integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rules  seats_internal.seat_type;
    used   integer;
BEGIN
    SELECT s.* INTO rules FROM seats_internal.seat_type AS s WHERE s.name = seat_type;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no seat type %', coalesce(quote_literal(seat_type), 'NULL')
            USING ERRCODE = 'PS504',
                  HINT = 'seats.define_seat_type makes one; the view seats.seat_types lists them.';
    END IF;
    SELECT s.quantity INTO previous FROM seats_internal.seat_line AS s
     WHERE s.team_id = team.id AND s.seat_type = change_line.seat_type;
    IF NOT FOUND THEN
        previous := 0;
        INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity)
        VALUES (team.id, seat_type, 0, 0);
    END IF;
    resulting := seats_internal.fold_step(previous, previous, operation, quantity);
    IF abs(resulting - previous) > rules.largest_change THEN
        RAISE EXCEPTION 'a change of % seats of type % is too large', abs(resulting - previous), seat_type
            USING ERRCODE = 'PS506',
                  DETAIL = format('At most %s at once are allowed.', rules.largest_change),
                  HINT = 'Is it a mistake? Make several smaller changes, or raise largest_change with '
                         'seats.define_seat_type.';
    ELSIF resulting > previous AND resulting > rules.largest_total THEN
        RAISE EXCEPTION 'team % would have % seats of type %', team.name, resulting, seat_type
            USING ERRCODE = 'PS507',
                  DETAIL = format('At most %s are allowed; it has %s.', rules.largest_total, previous),
                  HINT = 'Raise largest_total with seats.define_seat_type.';
    ELSIF resulting < previous THEN
        used := seats_internal.seats_in_use(team.id, seat_type);
        IF resulting < used THEN
            RAISE EXCEPTION 'team % would have % seats of type %, and % are in use',
                team.name, greatest(resulting, 0), seat_type, used
                USING ERRCODE = 'PS508',
                      DETAIL = format('It has %s.', previous),
                      HINT = 'Remove members first (seats.remove_member).';
        ELSIF resulting < 0 THEN
            RAISE EXCEPTION 'team % has only % seats of type %', team.name, previous, seat_type
                USING ERRCODE = 'PS508', HINT = 'Remove fewer.';
        END IF;
    END IF;
    UPDATE seats_internal.seat_line AS s SET quantity = resulting
     WHERE s.team_id = team.id AND s.seat_type = change_line.seat_type;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.change_line(seats_internal.team, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.change_line(seats_internal.team, text, text, integer) IS
    'changes the quantity of one seat type, or raises what is wrong with it';

CREATE FUNCTION seats_internal.check_expected(
    team      text,
    seat_type text,
    expected  integer,
    actual    integer
)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF expected <> actual THEN
        RAISE EXCEPTION 'team % has % seats of type %, not %', team, actual, seat_type, expected
            USING ERRCODE = 'PS510',
                  DETAIL = 'Somebody has changed them since the caller looked.',
                  HINT = 'Show the new quantity, and ask again.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.check_expected(text, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_expected(text, text, integer, integer) IS
    'an error if the caller saw another quantity than there is';

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
        RAISE EXCEPTION 'request_key must have 1 to 255 bytes' USING ERRCODE = 'PS520';
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
                  HINT = 'One call can follow one rule only: change them one by one.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_one_rule(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_one_rule(jsonb) IS
    'an error unless a change''s seat types are billed alike';

-- Every change goes through here. lines: [{seat_type, operation, quantity, expected}].
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
    installation uuid := seats_internal.require_installation();
    team         seats_internal.team := seats_internal.take_team(team_name);
    arguments    jsonb;
    result       jsonb;
    line         record;
    changed      record;
    lines        jsonb := '[]';
    change       bigint;
BEGIN
    IF request_key IS NOT NULL THEN
        arguments := jsonb_strip_nulls(jsonb_build_object(
            'changes', wanted, 'actor', actor, 'proration_date', proration_date));
        result := seats_internal.known_request(team, function_name, request_key, arguments);
        IF result IS NOT NULL THEN
            RETURN result;
        END IF;
    END IF;
    PERFORM seats_internal.check_team_is_open(team);
    PERFORM seats_internal.check_actor(team, actor, caller);
    FOR line IN
        SELECT w.* FROM jsonb_to_recordset(wanted)
               AS w (seat_type text, operation text, quantity integer, expected integer)
    LOOP
        changed := seats_internal.change_line(team, line.seat_type, line.operation, line.quantity);
        PERFORM seats_internal.check_expected(team.name, line.seat_type, line.expected, changed.previous);
        lines := lines || jsonb_build_object(
            'seat_type', line.seat_type, 'operation', line.operation, 'quantity', line.quantity,
            'previous', changed.previous, 'resulting', changed.resulting);
    END LOOP;
    IF jsonb_array_length(lines) > 1 THEN
        PERFORM seats_internal.check_one_rule(lines);
    END IF;
    INSERT INTO seats_internal.outbox
        (lane_id, installation, destination, method, path, body, verifier, enqueued_by, kind, team_id,
         actor, lines, proration_date)
    VALUES
        (team.lane_id, installation, team.destination, 'POST', '/v1/subscriptions/' || team.subscription,
         '', 'object', caller, 'change', team.id, actor, lines, proration_date)
    RETURNING id INTO change;
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
                  HINT = CASE operation WHEN 'set' THEN 'Give a whole number from 0 on.'
                         ELSE 'Give a whole number from 1 on.' END;
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
    IF jsonb_typeof(expected) <> 'object' THEN
        RAISE EXCEPTION 'invalid expected quantities'
            USING ERRCODE = 'PS519', HINT = 'For example {"team": 5}.';
    END IF;
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
