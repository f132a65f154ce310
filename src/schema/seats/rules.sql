-- The rules of changing seats: who may, how many, and what is wrong if not. They are looked at in the
-- caller's transaction, with the team locked; each error says what happened and what to do.

-- Buying is for owners: judged when it is asked for, and not again later.
CREATE OR REPLACE FUNCTION seats_internal.check_actor(team seats_internal.team, actor text, caller text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF actor IS NOT NULL THEN
        PERFORM seats_internal.check_id('actor', actor);
    END IF;
    IF seats_internal.may_change_seats(team.id, actor, caller) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION '%', CASE WHEN actor IS NULL
                         THEN format('it is not said who changes the seats of team %s', team.name)
                         ELSE format('%L may not change the seats of team %s', actor, team.name) END
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

CREATE OR REPLACE FUNCTION seats_internal.check_team_is_open(team seats_internal.team) RETURNS void
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
    ELSIF NOT seats_internal.team_is_open(team) THEN
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
CREATE OR REPLACE FUNCTION seats_internal.read_changes(
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

CREATE OR REPLACE FUNCTION seats_internal.require_seat_type(seat_type text) RETURNS seats_internal.seat_type
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

-- What is wrong with a line of a change; the caller has seen that something is. (An application may word it anew:
-- CONSTRAINT names the limit, and DETAIL ends with name=value; docs/drivers.md.)
CREATE OR REPLACE FUNCTION seats_internal.raise_wrong_line(
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
            USING ERRCODE = 'PS506', CONSTRAINT = 'largest_change',
                  DETAIL = format('At most %s at once are allowed (seat_type=%s largest_change=%s requested=%s).',
                                  rules.largest_change, rules.name, rules.largest_change, abs(resulting - previous)),
                  HINT = 'Is it a mistake? Make several smaller changes, or raise largest_change with '
                         'seats.define_seat_type.';
    ELSIF resulting > previous AND resulting > rules.largest_total THEN
        RAISE EXCEPTION 'team % would have % seats of type %', team.name, resulting, rules.name
            USING ERRCODE = 'PS507', CONSTRAINT = 'largest_total',
                  DETAIL = format('At most %s are allowed; it has %s (seat_type=%s largest_total=%s quantity=%s).',
                                  rules.largest_total, previous, rules.name, rules.largest_total, previous),
                  HINT = 'Raise largest_total with seats.define_seat_type.';
    ELSIF resulting < 0 THEN
        RAISE EXCEPTION 'team % has only % seats of type %', team.name, previous, rules.name
            USING ERRCODE = 'PS508', CONSTRAINT = 'seats_in_use',
                  DETAIL = format('%s are to be removed, and %s are in use (seat_type=%s quantity=%s in_use=%s requested=%s).',
                                  previous - resulting, used, rules.name, previous, used, previous - resulting),
                  HINT = 'Remove fewer.';
    END IF;
    RAISE EXCEPTION 'team % would have % seats of type %, and % are in use',
        team.name, resulting, rules.name, used
        USING ERRCODE = 'PS508', CONSTRAINT = 'seats_in_use',
              DETAIL = format('It has %s.', previous)
                       || CASE WHEN reserved > 0 THEN format(' %s are reserved by open invites.', reserved)
                               ELSE '' END
                       || format(' (seat_type=%s quantity=%s in_use=%s reserved=%s resulting=%s)',
                                 rules.name, previous, used, reserved, resulting),
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

CREATE OR REPLACE FUNCTION seats_internal.raise_no_price(team seats_internal.team, why_not text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'no listed price fits the subscription of team %', team.name
        USING ERRCODE = 'PS527',
              DETAIL = format('%s.', upper(left(why_not, 1)) || substr(why_not, 2)),
              HINT = 'An operator lists a price of its interval and currency with seats.define_seat_type; '
                     'the view seats.prices shows what is known of each.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_no_price(seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_no_price(seats_internal.team, text) IS
    'the error for a first seat of a type that a subscription can have no listed price for';

-- Seats that the team has and that Stripe has not confirmed: whoever adds some, or takes back that some are
-- given back, must not have more of them than the type allows.
CREATE OR REPLACE FUNCTION seats_internal.check_unconfirmed(
    team      seats_internal.team,
    rules     seats_internal.seat_type,
    resulting integer,
    confirmed integer
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head seats_internal.outbox;
BEGIN
    IF seats_internal.is_too_unconfirmed(resulting, confirmed, rules.largest_unconfirmed) THEN
        SELECT o.* INTO head FROM seats_internal.outbox AS o
         WHERE o.lane_id = team.lane_id ORDER BY o.id LIMIT 1;
        RAISE EXCEPTION 'team % would have % seats of type % that Stripe has not confirmed',
                team.name, resulting - confirmed, rules.name
            USING ERRCODE = 'PS528', CONSTRAINT = 'largest_unconfirmed',
                  DETAIL = format('At most %s are allowed; Stripe has confirmed %s.', rules.largest_unconfirmed, confirmed)
                      || CASE
                         WHEN head.id IS NULL THEN ''
                         WHEN head.state = 'awaiting'
                         THEN format(' There is room when change %s is paid for (until %s).', head.id,
                                     coalesce(head.payment ->> 'expires_at', 'it expires'))
                         WHEN head.due_at > clock_timestamp()
                         THEN format(' There is room from %s on, when change %s is due (%s).', head.due_at,
                                     head.id, coalesce(head.reason, head.state::text))
                         ELSE format(' There is room when Stripe has answered to change %s.', head.id) END
                      || format(' (seat_type=%s largest_unconfirmed=%s confirmed=%s requested=%s%s)',
                                rules.name, rules.largest_unconfirmed, confirmed, resulting - confirmed,
                                CASE WHEN head.due_at > clock_timestamp() AND head.state <> 'awaiting'
                                     THEN to_char(head.due_at AT TIME ZONE 'UTC',
                                                  '" room_at="YYYY-MM-DD"T"HH24:MI:SS"+00:00"') END),
                  HINT = 'Wait for the changes that are open (seats.changes shows due_at), or raise '
                         'largest_unconfirmed with seats.define_seat_type.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_unconfirmed(
    seats_internal.team, seats_internal.seat_type, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_unconfirmed(
    seats_internal.team, seats_internal.seat_type, integer, integer) IS
    'an error if more seats would wait for Stripe''s word than the type allows';

CREATE OR REPLACE FUNCTION seats_internal.raise_not_counted(team seats_internal.team) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the seats of team % cannot be changed: its subscription cannot be counted', team.name
        USING ERRCODE = 'PS526',
              DETAIL = format('%s%s.', upper(left(team.count_problem, 1)), substr(team.count_problem, 2)),
              HINT = 'An operator lists a price that is one of seats with seats.define_seat_type, or says '
                     'with seats.ignore_prices that it is none. A wrong quantity is put right at Stripe.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_not_counted(seats_internal.team) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_not_counted(seats_internal.team) IS
    'the error that a team''s subscription has what cannot be counted';

-- What a purchase needs beside that.
CREATE OR REPLACE FUNCTION seats_internal.check_purchase(
    team      seats_internal.team,
    rules     seats_internal.seat_type,
    resulting integer,
    confirmed integer
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    why_not text := seats_internal.why_no_price(team, rules.name, resulting, confirmed);
BEGIN
    IF team.count_problem IS NOT NULL THEN
        PERFORM seats_internal.raise_not_counted(team);
    ELSIF why_not IS NOT NULL THEN
        PERFORM seats_internal.raise_no_price(team, why_not);
    END IF;
    PERFORM seats_internal.check_unconfirmed(team, rules, resulting, confirmed);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_purchase(
    seats_internal.team, seats_internal.seat_type, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_purchase(
    seats_internal.team, seats_internal.seat_type, integer, integer) IS
    'an error unless the team''s seats can be counted, a price fits, and few enough wait for Stripe''s word';

CREATE OR REPLACE FUNCTION seats_internal.raise_unexpected(
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
        USING ERRCODE = 'PS510', CONSTRAINT = 'expected_quantity',
              DETAIL = format('Somebody has changed them since the caller looked (seat_type=%s quantity=%s expected=%s).',
                              seat_type, actual, expected),
              HINT = 'Show the new quantity, and ask again.';
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.raise_unexpected(text, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_unexpected(text, text, integer, integer) IS
    'the error for a caller who saw another quantity than there is';

-- A guard that nobody looks at would be worse than none.
CREATE OR REPLACE FUNCTION seats_internal.check_expected_quantities(expected jsonb, changes jsonb) RETURNS void
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
CREATE OR REPLACE FUNCTION seats_internal.known_request(
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

-- A change that only removes is never billed as an increase, and one that only adds never as a decrease;
-- what a type is set to may turn out to be either.
CREATE OR REPLACE FUNCTION seats_internal.check_one_rule(lines jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rules record;
BEGIN
    SELECT bool_or(l.operation = 'set' OR l.quantity > 0)
               AND count(DISTINCT (s.increase_proration_behavior, s.increase_payment_behavior)) > 1
           OR bool_or(l.operation = 'set' OR l.quantity < 0)
               AND count(DISTINCT s.decrease_proration_behavior) > 1 AS differ,
           string_agg(format('%s: %s, %s, %s', s.name, s.increase_proration_behavior,
                             s.increase_payment_behavior, s.decrease_proration_behavior),
                      '; ' ORDER BY s.name) AS in_words
      INTO rules
      FROM jsonb_to_recordset(lines) AS l (seat_type text, operation text, quantity integer)
      JOIN seats_internal.seat_type AS s ON s.name = l.seat_type;
    IF rules.differ THEN
        RAISE EXCEPTION 'these seat types are billed by different rules'
            USING ERRCODE = 'PS523', DETAIL = rules.in_words,
                  HINT = 'One call can follow one rule only: change them one by one.';
    -- (Before its call is made this is asked again: what a type is set to may have become another direction.)
    ELSIF (SELECT seats_internal.mixes_billing(jsonb_object_agg(l.seat_type, l.previous_quantity),
                                               jsonb_object_agg(l.seat_type, l.new_quantity))
             FROM jsonb_to_recordset(lines) AS l (seat_type text, previous_quantity integer,
                                                  new_quantity integer)) THEN
        RAISE EXCEPTION 'seats that are added are prorated, and seats that are removed are not, or the other way round'
            USING ERRCODE = 'PS523', DETAIL = rules.in_words,
                  HINT = 'One call can follow one rule only: make two changes, one that adds and one that removes.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_one_rule(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_one_rule(jsonb) IS
    'an error unless a change''s seat types are billed alike';
