-- What may be asked for, a rule in a function each. What makes a change asks them (those that are an expression are inlined
-- there, and cost no call), and so does the page that says what may be asked for (pages/team_page_seats.sql). What is wrong,
-- if not, says rules.sql.

CREATE OR REPLACE FUNCTION seats_internal.may_change_seats(team_id bigint, actor text, caller text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM seats_internal.member AS m
                    WHERE m.team_id = may_change_seats.team_id AND m.user_id = actor AND m.role = 'owner'
                      AND m.status = 'active')
           OR seats_internal.is_operator(caller);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.may_change_seats(bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.may_change_seats(bigint, text, text) IS
    'whether this member, or this role, may change a team''s seats';

CREATE OR REPLACE FUNCTION seats_internal.team_is_open(team seats_internal.team) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN team.items IS NOT NULL
           AND NOT (seats_internal.is_terminal(team.status) OR coalesce(team.status = 'incomplete', false));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.team_is_open(seats_internal.team) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.team_is_open(seats_internal.team) IS
    'whether a team''s seats are known and can be changed';

-- (What team_is_open, breaks_a_limit and is_purchase_to_check say, src/functions/plain_change.cpp looks at by itself where
-- nothing is special.)

-- `asked`: how many more or fewer; `used`: seats in use, where there will be fewer than before, else null.
CREATE OR REPLACE FUNCTION seats_internal.breaks_a_limit(
    asked          integer,
    previous       integer,
    resulting      integer,
    used           integer,
    largest_change integer,
    largest_total  integer
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN abs(asked) > largest_change OR resulting > previous AND resulting > largest_total OR resulting < used;
REVOKE ALL ON FUNCTION seats_internal.breaks_a_limit(integer, integer, integer, integer, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.breaks_a_limit(integer, integer, integer, integer, integer, integer) IS
    'whether a line of a change asks for more, or leaves fewer, than its seat type allows';

-- (Of a line that is held nothing can be given back either.)
CREATE OR REPLACE FUNCTION seats_internal.is_purchase_to_check(
    held                boolean,
    previous            integer,
    resulting           integer,
    count_problem       text,
    largest_unconfirmed integer,
    confirmed           integer
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN held OR resulting > previous AND (count_problem IS NOT NULL OR largest_unconfirmed IS NOT NULL
                                         OR coalesce(confirmed, 0) = 0);
REVOKE ALL ON FUNCTION
    seats_internal.is_purchase_to_check(boolean, integer, integer, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_purchase_to_check(boolean, integer, integer, text, integer, integer) IS
    'whether a line of a change needs what check_purchase looks at';

CREATE OR REPLACE FUNCTION seats_internal.is_too_unconfirmed(
    resulting           integer,
    confirmed           integer,
    largest_unconfirmed integer
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN resulting - confirmed > largest_unconfirmed;
REVOKE ALL ON FUNCTION seats_internal.is_too_unconfirmed(integer, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_too_unconfirmed(integer, integer, integer) IS
    'whether more seats would wait for Stripe''s word than the type allows';

CREATE OR REPLACE FUNCTION seats_internal.why_no_price(
    team      seats_internal.team,
    seat_type text,
    resulting integer,
    confirmed integer
) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN confirmed = 0 THEN
        (SELECT c.why_not FROM seats_internal.choose_prices(team, '{}', jsonb_build_object(seat_type, resulting),
                                                            interval '1 day') AS c) END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.why_no_price(seats_internal.team, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.why_no_price(seats_internal.team, text, integer, integer) IS
    'why a first seat of a type can have no listed price, if so';
