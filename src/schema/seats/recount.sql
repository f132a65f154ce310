-- Counting teams anew when other prices are listed, and prices that are none of seats.

-- The items that a subscription has once a call has done what it asks for (see item_parameters).
CREATE OR REPLACE FUNCTION seats_internal.items_after_call(items jsonb, body text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
    WITH asked AS (
        SELECT jsonb_object_agg(m.part[2], m.part[3]) AS item
          FROM regexp_matches(body, '(?:^|&)items[[]([0-9]+)[]][[]([a-z]+)[]]=([^&]*)', 'g') AS m (part)
         GROUP BY m.part[1])
    SELECT coalesce(jsonb_agg(n.item), '[]')
      FROM (SELECT h.item || CASE WHEN a.item ? 'quantity'
                                  THEN jsonb_build_object('quantity', (a.item ->> 'quantity')::integer) ELSE '{}' END AS item
              FROM jsonb_array_elements(items) AS h (item)
              LEFT JOIN asked AS a ON a.item ->> 'id' = h.item ->> 'id'
             WHERE (a.item ? 'deleted') IS NOT TRUE
            UNION ALL
            -- (Ids are letters and digits, but for a colon that may be among them.)
            SELECT jsonb_build_object('price', replace(a.item ->> 'price', '%3A', ':'),
                                      'quantity', (a.item ->> 'quantity')::integer)
              FROM asked AS a WHERE a.item ? 'price') AS n);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.items_after_call(jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.items_after_call(jsonb, text) IS
    'the items of a subscription when what a call of ours asks for is done';

-- Calls that are on their way, and those whose event has not come yet, were computed on what the team was
-- counted as before. What they have found and asked for is counted otherwise, too. (What a call asks for, it asks for items:
-- where a price has gone to another seat type, the seats that are being bought go with it. Of one that was computed on
-- something else than the team has, and of one that is done, only what was there before it is known by its items.)
CREATE OR REPLACE FUNCTION seats_internal.shift_calls(team seats_internal.team, counted jsonb, former jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shift jsonb;
BEGIN
    SELECT jsonb_agg(jsonb_build_object('seat_type', d.seat_type, 'operation', 'add', 'quantity', d.quantity))
      INTO shift
      FROM (SELECT seat_type, coalesce((counted ->> seat_type)::integer, 0) - coalesce(s.confirmed, 0) AS quantity
              FROM (SELECT l.* FROM seats_internal.seat_line AS l WHERE l.team_id = team.id) AS s
              FULL JOIN jsonb_object_keys(counted) AS c (seat_type) USING (seat_type)) AS d
     WHERE d.quantity <> 0;
    IF shift IS NULL THEN
        RETURN;
    END IF;
    UPDATE seats_internal.outbox AS o
       SET base = seats_internal.apply_lines(o.base, shift),
           target = CASE
               WHEN team.items IS NULL
                    OR EXISTS (SELECT FROM seats_internal.seat_line AS s
                                WHERE s.team_id = team.id AND s.confirmed <> coalesce((o.base ->> s.seat_type)::integer, 0))
                   THEN seats_internal.apply_lines(o.target, shift)
               ELSE (SELECT jsonb_object_agg(k.seat_type, 0)
                       FROM jsonb_object_keys(seats_internal.apply_lines(o.target, shift)) AS k (seat_type))
                    || (SELECT c.counted FROM seats_internal.count_team(
                            team, seats_internal.items_after_call(team.items, o.body), o.target, former) AS c) END
     WHERE o.lane_id = team.lane_id AND o.kind = 'change' AND o.base IS NOT NULL;
    UPDATE seats_internal.expected_event AS e
       SET base = seats_internal.apply_lines(e.base, shift), target = seats_internal.apply_lines(e.target, shift)
     WHERE e.team_id = team.id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.shift_calls(seats_internal.team, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.shift_calls(seats_internal.team, jsonb, jsonb) IS
    'has the open calls of a team, and those whose event is waited for, follow another way of counting it';

-- One team, whose lane is locked: false if it counts as before. Nobody has changed anything at Stripe.
CREATE OR REPLACE FUNCTION seats_internal.recount_team(team_id bigint, former jsonb) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team    seats_internal.team;
    count   record;
    new_problem text;
BEGIN
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = recount_team.team_id;
    count := seats_internal.count_team(team, team.items, NULL, former);
    IF NOT seats_internal.is_terminal(team.status) THEN
        new_problem := seats_internal.count_problem(count.unlisted, count.impossible);
    END IF;
    IF new_problem IS NOT DISTINCT FROM team.count_problem
       AND count.counted = (SELECT coalesce(jsonb_object_agg(s.seat_type, s.confirmed), '{}')
                              FROM seats_internal.seat_line AS s
                             WHERE s.team_id = team.id AND (s.confirmed > 0 OR count.counted ? s.seat_type)) THEN
        RETURN false;
    END IF;
    -- (Whoever has an older snapshot must not go on with it.)
    UPDATE seats_internal.lane AS l SET version = l.version + 1 WHERE l.id = team.lane_id;
    UPDATE seats_internal.team AS t SET count_problem = new_problem WHERE t.id = team.id;
    PERFORM seats_internal.apply_count_problem(team, count.held, new_problem);
    PERFORM seats_internal.shift_calls(team, count.counted, former);
    PERFORM seats_internal.confirm_quantities(team, count.counted, count.counted, NULL);
    PERFORM seats_internal.note_prices(team, team.items, '[]', NULL);
    PERFORM seats_internal.refold(team.id, team.lane_id);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.recount_team(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.recount_team(bigint, jsonb) IS
    'counts a team''s items by the prices that are listed now; false: nothing is otherwise';

-- The same before the worker has come to it, if it is to be.
CREATE OR REPLACE FUNCTION seats_internal.recount_now(team_id bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM seats_internal.recount)
           AND seats_internal.recount_team(team_id, (
                   SELECT jsonb_object_agg(p.key, p.value)
                     FROM seats_internal.recount AS r CROSS JOIN LATERAL jsonb_each(r.prices) AS p));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.recount_now(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.recount_now(bigint) IS
    'counts a team anew if other prices were listed and that has changed its seats';

-- A few teams at a time, so that nobody waits for long; those that somebody has locked are tried again.
-- Gives how many milliseconds later to go on; null: all is counted.
CREATE OR REPLACE FUNCTION seats_internal.recount_teams() RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most_looked_at CONSTANT integer := 1000;
    most_counted   CONSTANT integer := 20;
    job     seats_internal.recount;
    team    record;
    still   bigint[] := '{}';
    looked  integer := 0;
    counted integer := 0;
BEGIN
    SELECT r.* INTO job FROM seats_internal.recount AS r ORDER BY r.id LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    FOR team IN
        SELECT t.id, t.lane_id, l.again,
               t.kind = 'team' AND EXISTS (
                   SELECT FROM jsonb_to_recordset(t.items) AS i (price text)
                    WHERE job.prices ? i.price) AS is_concerned
          FROM (SELECT true AS again, unnest(job.locked) AS id
                UNION ALL
                (SELECT false, n.id FROM seats_internal.team AS n
                  WHERE n.id > job.reached ORDER BY n.id LIMIT most_looked_at)) AS l
          JOIN seats_internal.team AS t ON t.id = l.id
         ORDER BY l.again DESC, l.id
    LOOP
        EXIT WHEN counted = most_counted AND NOT team.again;
        IF NOT team.again THEN
            looked := looked + 1;
            job.reached := team.id;
        END IF;
        CONTINUE WHEN NOT team.is_concerned;
        IF seats_internal.try_lane(team.lane_id) THEN
            PERFORM seats_internal.recount_team(team.id, job.prices);
            counted := counted + 1;
        ELSE
            still := still || team.id;
        END IF;
    END LOOP;
    IF looked < most_looked_at AND counted < most_counted AND still = '{}' THEN
        DELETE FROM seats_internal.recount AS r WHERE r.id = job.id;
        PERFORM seats_internal.want_prices(d.name) FROM seats_internal.destination AS d
          WHERE d.kind = 'stripe' AND EXISTS (SELECT FROM seats_internal.team AS t
                                               WHERE t.destination = d.name AND t.items IS NOT NULL);
        PERFORM seats_internal.offer_to_waiting(NULL);
        RETURN (SELECT 0 FROM seats_internal.recount LIMIT 1);
    END IF;
    UPDATE seats_internal.recount AS r SET reached = job.reached, locked = still WHERE r.id = job.id;
    RETURN CASE WHEN looked = most_looked_at OR counted > 0 THEN 0 ELSE 500 END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.recount_teams() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.recount_teams() IS
    'counts teams anew whose prices are listed otherwise than before, some at a time; called by the worker; gives the pause before the next ones in milliseconds, null when all is done';

-- ---- prices that are none of seats

CREATE OR REPLACE FUNCTION seats_internal.check_ignorable(prices text[]) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one   text;
    owner text;
BEGIN
    IF coalesce(cardinality(prices), 0) = 0 THEN
        RAISE EXCEPTION 'no price was given'
            USING ERRCODE = 'PS520', HINT = 'Give the ids of one or several prices: ARRAY[''price_1…''].';
    END IF;
    FOREACH one IN ARRAY prices LOOP
        PERFORM seats_internal.check_stripe_id('price', one);
        SELECT p.seat_type INTO owner FROM seats_internal.seat_price AS p WHERE p.price = one;
        IF FOUND THEN
            RAISE EXCEPTION 'price % belongs to a seat type', one
                USING ERRCODE = 'PS522', DETAIL = format('It is listed by %L.', owner),
                      HINT = 'Take it from that one first: seats.define_seat_type with the other prices.';
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_ignorable(text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_ignorable(text[]) IS
    'an error unless these are prices that no seat type lists';

CREATE OR REPLACE FUNCTION seats_internal.ignore_prices(
    caller       text,
    INOUT prices text[],
    INOUT reason text,
    INOUT ignore boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM seats_internal.require_reason(reason);
    PERFORM seats_internal.check_ignorable(prices);
    IF ignore IS NOT FALSE THEN
        INSERT INTO seats_internal.ignored_price AS i (price, reason, ignored_by)
        SELECT DISTINCT p.price, ignore_prices.reason, caller FROM unnest(prices) AS p (price)
        ON CONFLICT ON CONSTRAINT ignored_price_pkey DO UPDATE
           SET reason = excluded.reason, ignored_at = excluded.ignored_at, ignored_by = excluded.ignored_by;
    ELSE
        DELETE FROM seats_internal.ignored_price AS i WHERE i.price = ANY (prices);
    END IF;
    INSERT INTO seats_internal.recount (prices)
    SELECT jsonb_object_agg(p.price, NULL) FROM unnest(prices) AS p (price);
    PERFORM seats_internal.write_journal(
        CASE WHEN ignore IS NOT FALSE THEN 'price.ignored' ELSE 'price.no_longer_ignored' END, caller,
        NULL, NULL, reason, jsonb_build_object('prices', prices));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.ignore_prices(text, text[], text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.ignore_prices(text, text[], text, boolean) IS 'behind seats.ignore_prices';

CREATE OR REPLACE FUNCTION seats.ignore_prices(
    INOUT prices text[],
    INOUT reason text,
    INOUT ignore boolean DEFAULT true
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.ignore_prices(text[], text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.ignore_prices(text[], text, boolean) IS
    'says that prices at Stripe are none of seats (add-ons, say): their items are not counted, and keep '
    'nobody from buying. ignore => false takes that back';
