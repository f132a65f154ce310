-- Of a team's page: its seats by type, and how many more or fewer of each may be asked for now.

-- How many seats of a type one change may add (direction 1) or remove (-1): by the rules that make_change goes by, and no
-- others. They get stricter with each seat, so the most that they accept is found by halves. `in_use`: by members and open
-- invites.
CREATE OR REPLACE FUNCTION seats_internal.most_to_change(
    team      seats_internal.team,
    rules     seats_internal.seat_type,
    line      seats_internal.seat_line,
    in_use    integer,
    direction integer
) RETURNS integer
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    previous  integer := coalesce(line.quantity, 0);
    missing   integer := coalesce(line.missing, 0);
    confirmed integer := coalesce(line.confirmed, 0);
    accepted  integer := 0;
    refused   integer := least(rules.largest_change, 1000000) + 1;
    tried     integer;
    resulting integer;
    hindered  boolean := team.count_problem IS NOT NULL
                         OR direction > 0 AND seats_internal.why_no_price(team, rules.name, 1, confirmed) IS NOT NULL;
BEGIN
    WHILE refused - accepted > 1 LOOP
        tried := accepted + (refused - accepted) / 2;
        resulting := previous - missing + direction * tried;
        IF seats_internal.breaks_a_limit(direction * tried, previous, resulting,
                                         CASE WHEN direction < 0 THEN in_use END,
                                         rules.largest_change, rules.largest_total)
           OR seats_internal.is_purchase_to_check(line.held, previous, resulting, team.count_problem,
                                                  rules.largest_unconfirmed, confirmed)
              AND (hindered OR seats_internal.is_too_unconfirmed(resulting, confirmed, rules.largest_unconfirmed)) THEN
            refused := tried;
        ELSE
            accepted := tried;
        END IF;
    END LOOP;
    RETURN accepted;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.most_to_change(
    seats_internal.team, seats_internal.seat_type, seats_internal.seat_line, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.most_to_change(
    seats_internal.team, seats_internal.seat_type, seats_internal.seat_line, integer, integer) IS
    'how many seats of a type one change of a team may add (direction 1) or remove (-1) now';

-- Of every type, so that a page can offer the first seat of one; those that the team has come first. `used` and `reserved`
-- are {seat type: number}.
CREATE OR REPLACE FUNCTION seats_internal.page_seat_types(
    team       seats_internal.team,
    used       jsonb,
    reserved   jsonb,
    may_change boolean
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rules  seats_internal.seat_type;
    line   seats_internal.seat_line;
    sits   integer;
    kept   integer;
    listed jsonb := '[]';
BEGIN
    FOR rules IN
        SELECT s.* FROM seats_internal.seat_type AS s
         ORDER BY EXISTS (SELECT FROM seats_internal.seat_line AS l
                           WHERE l.team_id = team.id AND l.seat_type = s.name) DESC, s.name
         LIMIT 100
    LOOP
        SELECT l.* INTO line FROM seats_internal.seat_line AS l
         WHERE l.team_id = team.id AND l.seat_type = rules.name;
        sits := coalesce((used ->> rules.name)::integer, 0);
        kept := coalesce((reserved ->> rules.name)::integer, 0);
        listed := listed || jsonb_build_object(
            'seat_type', rules.name,
            'confirmed', coalesce(line.confirmed, 0),
            'quantity', coalesce(line.quantity, 0),
            'used', sits,
            'reserved', kept,
            'free', coalesce(line.quantity, 0) - sits - kept,
            'pending', coalesce(line.quantity - line.confirmed - line.awaiting, 0),
            'awaiting', coalesce(line.awaiting, 0),
            'billing_pending', least(kept, greatest(sits + kept - coalesce(line.confirmed, 0), 0)),
            'limits', jsonb_build_object('largest_change', rules.largest_change, 'largest_total', rules.largest_total,
                                         'largest_unconfirmed', rules.largest_unconfirmed),
            'may_add', CASE WHEN may_change
                THEN seats_internal.most_to_change(team, rules, line, sits + kept, 1) ELSE 0 END,
            'may_remove', CASE WHEN may_change
                THEN seats_internal.most_to_change(team, rules, line, sits + kept, -1) ELSE 0 END);
    END LOOP;
    RETURN listed;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_seat_types(seats_internal.team, jsonb, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_seat_types(seats_internal.team, jsonb, jsonb, boolean) IS
    'a team''s seats by type, at most 100 types, with what may be added and removed';
