-- Changing seats: the application's functions. Everything happens in the caller's transaction: the
-- team is locked, the rules are looked at, the change is left in the outbox, and the application
-- sees the new quantity at once. What Stripe says of it is the worker's business.

-- A team's first seats of a type.
CREATE OR REPLACE FUNCTION seats_internal.open_line(team_id bigint, seat_type text, quantity integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- (It may be dropped at this moment: then it is gone, and nobody says so in the words of a constraint.)
    PERFORM FROM seats_internal.seat_type AS s WHERE s.name = open_line.seat_type FOR KEY SHARE;
    IF NOT FOUND THEN
        PERFORM seats_internal.require_seat_type(open_line.seat_type);  -- raises
    END IF;
    INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity)
    VALUES (open_line.team_id, open_line.seat_type, 0, open_line.quantity);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.open_line(bigint, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.open_line(bigint, text, integer) IS
    'a line for a type of seats that the team never had';

-- Every change goes through here that has anything special about it: wanted is [{seat_type, operation,
-- quantity, expected}]. What has nothing is made by the library (src/functions/plain_change.cpp), to the byte as it
-- would be here: who adds a rule here adds it there, or makes it a reason to come here (sql/plain_changes.sql
-- compares). This too is the application's path, so it is one function of few statements, and a long one; what is
-- wrong is told by others, which are called only then.
CREATE OR REPLACE FUNCTION seats_internal.make_change(
    caller         text,
    function_name  text,
    team_name      text,
    wanted         jsonb,
    actor          text,
    request_key    text,
    proration_date bigint,
    handlers       seats_internal.named_handlers
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
    asked     integer;
    resulting integer;
    missing   integer;
    confirmed integer;
    held      boolean;
    used      integer;
    change    bigint;
    stamp     uuid;
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
    IF team.id IS NULL OR team.lane_id IS DISTINCT FROM locked THEN
        team := seats_internal.take_team(team_name);  -- raises, or the team was registered anew meanwhile
    END IF;
    IF request_key IS NOT NULL THEN
        arguments := jsonb_strip_nulls(jsonb_build_object(
            'changes', wanted, 'actor', actor, 'proration_date', proration_date)
            || seats_internal.handlers_of_request(handlers));
        result := seats_internal.known_request(team, function_name, request_key, arguments);
        IF result IS NOT NULL THEN
            RETURN result || '{"repeated": true}';
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
    IF proration_date IS NOT NULL THEN
        PERFORM seats_internal.check_preview(team, wanted, proration_date);
    END IF;
    FOR number IN 0 .. jsonb_array_length(wanted) - 1 LOOP
        line := wanted -> number;
        SELECT s.* INTO rules FROM seats_internal.seat_type AS s WHERE s.name = line ->> 'seat_type';
        IF rules.name IS NULL THEN
            PERFORM seats_internal.require_seat_type(line ->> 'seat_type');  -- raises
        END IF;
        SELECT s.quantity, s.missing, s.confirmed, s.held INTO previous, missing, confirmed, held
          FROM seats_internal.seat_line AS s
         WHERE s.team_id = team.id AND s.seat_type = rules.name;
        previous := coalesce(previous, 0);
        missing := coalesce(missing, 0);
        asked := (line ->> 'quantity')::integer;
        resulting := asked + CASE line ->> 'operation' WHEN 'set' THEN 0 ELSE previous - missing END;
        -- (Below zero, by a removal that is on its way and has become impossible, only what raises the sum is
        -- excused; what it is set to may turn out to be less than there is.)
        used := CASE WHEN resulting < previous AND (missing = 0 OR asked < 0)
                          OR missing > 0 AND line ->> 'operation' = 'set'
                     THEN seats_internal.seats_in_use(team.id, rules.name) END;
        IF seats_internal.breaks_a_limit(CASE line ->> 'operation' WHEN 'set' THEN asked - previous ELSE asked END,
                                         previous, resulting, used, rules.largest_change, rules.largest_total) THEN
            PERFORM seats_internal.raise_wrong_line(
                team, rules, previous,
                CASE line ->> 'operation' WHEN 'set' THEN asked ELSE previous + asked END, used);
        ELSIF (line ->> 'expected')::integer <> previous THEN
            PERFORM seats_internal.raise_unexpected(team.name, rules.name,
                                                    (line ->> 'expected')::integer, previous);
        END IF;
        IF seats_internal.is_purchase_to_check(held, previous, resulting, team.count_problem,
                                               rules.largest_unconfirmed, confirmed) THEN
            PERFORM seats_internal.check_purchase(team, rules, resulting, coalesce(confirmed, 0));
        END IF;
        UPDATE seats_internal.seat_line AS s
           SET quantity = greatest(resulting, 0), missing = greatest(-resulting, 0)
         WHERE s.team_id = team.id AND s.seat_type = rules.name;
        IF NOT FOUND THEN
            PERFORM seats_internal.open_line(team.id, rules.name, resulting);
        END IF;
        lines := lines || jsonb_build_object(
            'seat_type', rules.name, 'operation', line -> 'operation', 'quantity', line -> 'quantity',
            'previous_quantity', previous, 'new_quantity', greatest(resulting, 0));
    END LOOP;
    IF jsonb_array_length(lines) > 1 THEN
        PERFORM seats_internal.check_one_rule(lines);
    END IF;
    INSERT INTO seats_internal.outbox
        (lane_id, installation, destination, method, path, body, verifier, enqueued_by, kind, team_id,
         actor, lines, proration_date, context, acting_person)
    SELECT team.lane_id, i.uuid, team.destination, 'POST', '/v1/subscriptions/' || team.subscription,
           '', 'object', caller, 'change', team.id, actor, lines, proration_date,
           CASE WHEN proration_date IS NOT NULL
                THEN jsonb_build_object('items', seats_internal.hash_of_items(team.items)) END,
           nullif(current_setting('pg_seats.person', true), '')
      FROM seats_internal.installation AS i
    RETURNING id, installation INTO change, stamp;
    IF change IS NULL THEN
        PERFORM seats_internal.require_installation();  -- raises
    ELSIF NOT (handlers IS NULL) THEN
        PERFORM seats_internal.make_handler(caller, change, team.lane_id, stamp, handlers);
    END IF;
    result := jsonb_build_object('change', change, 'lines', lines);
    IF request_key IS NOT NULL THEN
        INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result)
        VALUES (team.id, function_name, request_key, arguments, result);
    END IF;
    RETURN result || '{"repeated": false}';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.make_change(
    text, text, text, jsonb, text, text, bigint, seats_internal.named_handlers) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.make_change(
    text, text, text, jsonb, text, text, bigint, seats_internal.named_handlers) IS
    'changes a team''s seats and leaves the change in the outbox; gives {change, lines, repeated}';

CREATE OR REPLACE FUNCTION seats_internal.make_simple_change(
    caller                text,
    function_name         text,
    team                  text,
    seat_type             text,
    operation             text,
    quantity              integer,
    actor                 text,
    request_key           text,
    expected              integer,
    handlers              seats_internal.named_handlers,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer,
    OUT repeated          boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made jsonb;
BEGIN
    IF quantity IS NULL OR quantity > 1000000
       OR quantity < (CASE operation WHEN 'set' THEN 0 ELSE 1 END) THEN
        RAISE EXCEPTION 'invalid quantity: %', coalesce(quantity::text, 'NULL')
            USING ERRCODE = 'PS505',
                  HINT = CASE operation WHEN 'set' THEN 'Give a whole number from 0 to 1000000.'
                         ELSE 'Give a whole number from 1 to 1000000.' END;
    END IF;
    made := seats_internal.make_change(
        caller, function_name, team,
        jsonb_build_array(jsonb_build_object(
            'seat_type', seat_type,
            'operation', CASE operation WHEN 'set' THEN 'set' ELSE 'add' END,
            'quantity', CASE operation WHEN 'remove' THEN -quantity ELSE quantity END,
            'expected', expected)),
        actor, request_key, NULL, handlers);
    change := (made ->> 'change')::bigint;
    previous_quantity := (made #>> '{lines,0,previous_quantity}')::integer;
    new_quantity := (made #>> '{lines,0,new_quantity}')::integer;
    repeated := (made ->> 'repeated')::boolean;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.make_simple_change(
    text, text, text, text, text, integer, text, text, integer, seats_internal.named_handlers) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.make_simple_change(
    text, text, text, text, text, integer, text, text, integer, seats_internal.named_handlers) IS
    'make_change for one seat type';

CREATE OR REPLACE FUNCTION seats_internal.add_seats(
    caller                text,
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text,
    request_key           text,
    expected_quantity     integer,
    on_done               text,
    on_refused            text,
    context               jsonb,
    keep_settings         text[],
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer,
    OUT repeated          boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT m.change, m.previous_quantity, m.new_quantity, m.repeated
      INTO change, previous_quantity, new_quantity, repeated
      FROM seats_internal.make_simple_change(caller, 'add_seats', team, seat_type, 'add', quantity, actor,
                                             request_key, expected_quantity,
                                             ROW(on_done, on_refused, context, keep_settings)) AS m;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.add_seats(
    text, text, text, integer, text, text, integer, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.add_seats(
    text, text, text, integer, text, text, integer, text, text, jsonb, text[]) IS 'behind seats.add_seats';

CREATE OR REPLACE FUNCTION seats.add_seats(
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text    DEFAULT NULL,
    request_key           text    DEFAULT NULL,
    expected_quantity     integer DEFAULT NULL,
    on_done               text    DEFAULT NULL,
    on_refused            text    DEFAULT NULL,
    context               jsonb   DEFAULT NULL,
    keep_settings         text[]  DEFAULT NULL,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer,
    OUT repeated          boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_add_seats';
REVOKE ALL ON FUNCTION seats.add_seats(
    text, text, integer, text, text, integer, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.add_seats(
    text, text, integer, text, text, integer, text, text, jsonb, text[]) IS
    'buys seats: the team has them when the transaction commits, and Stripe is told then. The change is confirmed, or undone, by what Stripe says; wait_for_change waits for that. actor is the member who buys. request_key makes a repeated click harmless (repeated then says true), expected_quantity a stale screen. on_done and on_refused name functions of yours, schema.function(bigint, jsonb, jsonb), that run as you when the change is confirmed, or reverted or cancelled: with its id, the outcome and your context, and with those of your settings set that keep_settings names';

CREATE OR REPLACE FUNCTION seats_internal.remove_seats(
    caller                text,
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text,
    request_key           text,
    expected_quantity     integer,
    on_done               text,
    on_refused            text,
    context               jsonb,
    keep_settings         text[],
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer,
    OUT repeated          boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT m.change, m.previous_quantity, m.new_quantity, m.repeated
      INTO change, previous_quantity, new_quantity, repeated
      FROM seats_internal.make_simple_change(caller, 'remove_seats', team, seat_type, 'remove', quantity, actor,
                                             request_key, expected_quantity,
                                             ROW(on_done, on_refused, context, keep_settings)) AS m;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.remove_seats(
    text, text, text, integer, text, text, integer, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.remove_seats(
    text, text, text, integer, text, text, integer, text, text, jsonb, text[]) IS 'behind seats.remove_seats';

CREATE OR REPLACE FUNCTION seats.remove_seats(
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text    DEFAULT NULL,
    request_key           text    DEFAULT NULL,
    expected_quantity     integer DEFAULT NULL,
    on_done               text    DEFAULT NULL,
    on_refused            text    DEFAULT NULL,
    context               jsonb   DEFAULT NULL,
    keep_settings         text[]  DEFAULT NULL,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer,
    OUT repeated          boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_remove_seats';
REVOKE ALL ON FUNCTION seats.remove_seats(
    text, text, integer, text, text, integer, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.remove_seats(
    text, text, integer, text, text, integer, text, text, jsonb, text[]) IS
    'gives seats back, never below what is in use; otherwise like add_seats';

CREATE OR REPLACE FUNCTION seats_internal.set_seats(
    caller                text,
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text,
    request_key           text,
    expected_quantity     integer,
    on_done               text,
    on_refused            text,
    context               jsonb,
    keep_settings         text[],
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer,
    OUT repeated          boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT m.change, m.previous_quantity, m.new_quantity, m.repeated
      INTO change, previous_quantity, new_quantity, repeated
      FROM seats_internal.make_simple_change(caller, 'set_seats', team, seat_type, 'set', quantity, actor,
                                             request_key, expected_quantity,
                                             ROW(on_done, on_refused, context, keep_settings)) AS m;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.set_seats(
    text, text, text, integer, text, text, integer, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.set_seats(
    text, text, text, integer, text, text, integer, text, text, jsonb, text[]) IS 'behind seats.set_seats';

CREATE OR REPLACE FUNCTION seats.set_seats(
    team                  text,
    seat_type             text,
    quantity              integer,
    actor                 text    DEFAULT NULL,
    request_key           text    DEFAULT NULL,
    expected_quantity     integer DEFAULT NULL,
    on_done               text    DEFAULT NULL,
    on_refused            text    DEFAULT NULL,
    context               jsonb   DEFAULT NULL,
    keep_settings         text[]  DEFAULT NULL,
    OUT change            bigint,
    OUT previous_quantity integer,
    OUT new_quantity      integer,
    OUT repeated          boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_set_seats';
REVOKE ALL ON FUNCTION seats.set_seats(
    text, text, integer, text, text, integer, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.set_seats(
    text, text, integer, text, text, integer, text, text, jsonb, text[]) IS
    'makes the team have exactly so many seats, whatever it has; otherwise like add_seats';

CREATE OR REPLACE FUNCTION seats_internal.change_seats(
    caller         text,
    team           text,
    changes        jsonb,
    actor          text,
    request_key    text,
    expected       jsonb,
    proration_date bigint,
    on_done        text,
    on_refused     text,
    context        jsonb,
    keep_settings  text[],
    OUT change     bigint,
    OUT seats      jsonb,
    OUT repeated   boolean
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
        actor, request_key, proration_date, ROW(on_done, on_refused, context, keep_settings));
    change := (made ->> 'change')::bigint;
    SELECT jsonb_object_agg(l ->> 'seat_type', jsonb_build_object(
               'previous_quantity', l -> 'previous_quantity', 'new_quantity', l -> 'new_quantity'))
      INTO seats
      FROM jsonb_array_elements(made -> 'lines') AS l;
    repeated := (made ->> 'repeated')::boolean;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.change_seats(
    text, text, jsonb, text, text, jsonb, bigint, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_seats(
    text, text, jsonb, text, text, jsonb, bigint, text, text, jsonb, text[]) IS
    'behind seats.change_seats';

CREATE OR REPLACE FUNCTION seats.change_seats(
    team           text,
    changes        jsonb,
    actor          text   DEFAULT NULL,
    request_key    text   DEFAULT NULL,
    expected       jsonb  DEFAULT NULL,
    proration_date bigint DEFAULT NULL,
    on_done        text   DEFAULT NULL,
    on_refused     text   DEFAULT NULL,
    context        jsonb  DEFAULT NULL,
    keep_settings  text[] DEFAULT NULL,
    OUT change     bigint,
    OUT seats      jsonb,
    OUT repeated   boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_change_seats';
REVOKE ALL ON FUNCTION seats.change_seats(
    text, jsonb, text, text, jsonb, bigint, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.change_seats(
    text, jsonb, text, text, jsonb, bigint, text, text, jsonb, text[]) IS
    'changes several seat types in one call of Stripe''s, all or none: {"team": {"add": 3}, "owner": '
    '{"set": 1}}. With the proration_date of a preview of the same change it costs what the preview said, or is refused, '
    'or undone because the seats were changed meanwhile. on_done, on_refused, context and keep_settings as in add_seats';
