-- Counting: which seats the items of a subscription are. What cannot be counted is a problem that is
-- shown, and never a number: an item of a price that no seat type lists (a price rise, a yearly switch,
-- something new in the Dashboard), or a quantity that cannot be one. Until somebody says what it is, the
-- team keeps what it had, and buys nothing.

-- {seat type: quantity} of the items; which of their prices nobody has declared (of none of them there is
-- nothing to declare); and of which types the
-- quantities are missing, below zero, or more than we count (a thousand million). Metered items have no
-- quantity. Each price is looked up by itself, however many there are.
CREATE OR REPLACE FUNCTION seats_internal.counted_items(
    items          jsonb,
    OUT counted    jsonb,
    OUT unlisted   text[],
    OUT impossible text[]
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT coalesce(jsonb_object_agg(g.seat_type, g.quantity) FILTER (WHERE g.is_possible), '{}'),
           array_agg(g.price ORDER BY g.price) FILTER (WHERE g.seat_type IS NULL),
           array_agg(g.seat_type ORDER BY g.seat_type) FILTER (WHERE g.seat_type IS NOT NULL AND NOT g.is_possible)
      INTO counted, unlisted, impossible
      FROM (SELECT i.seat_type, i.price, sum(i.quantity) AS quantity,
                   i.seat_type IS NOT NULL
                   AND bool_and(coalesce(i.quantity BETWEEN 0 AND 1000000000, false))
                   AND sum(i.quantity) <= 1000000000 AS is_possible
              FROM (SELECT p.seat_type, CASE WHEN p.seat_type IS NULL THEN coalesce(l.price, '?') END AS price,
                           l.quantity
                      FROM jsonb_to_recordset(items) AS l (price text, quantity numeric, metered boolean)
                     CROSS JOIN LATERAL (
                           SELECT (SELECT s.seat_type FROM seats_internal.seat_price AS s
                                    WHERE s.price = l.price)) AS p (seat_type)
                     WHERE l.metered IS NOT TRUE) AS i
             WHERE i.seat_type IS NOT NULL
                OR i.quantity IS DISTINCT FROM 0
                   AND NOT EXISTS (SELECT FROM seats_internal.ignored_price AS g WHERE g.price = i.price)
             GROUP BY i.seat_type, i.price) AS g;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.counted_items(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.counted_items(jsonb) IS
    '{seat type: quantity} of a subscription''s items, and what of them cannot be counted';

CREATE OR REPLACE FUNCTION seats_internal.count_items(items jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT c.counted FROM seats_internal.counted_items(items) AS c);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.count_items(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_items(jsonb) IS
    '{seat type: quantity} of a subscription''s items, as far as they can be counted';

-- What a team has when its subscription has these items. Lines that cannot be counted are held: those of
-- impossible quantities, and, while there is an unlisted price, those that have lost an item, as that may
-- be what it is called now. A held line stays what it was, or becomes what our own call has just made it
-- (`expected`). `former` says of prices that are no longer listed as what they were, {price: seat type}.
CREATE OR REPLACE FUNCTION seats_internal.count_team(
    team           seats_internal.team,
    items          jsonb,
    expected       jsonb,
    former         jsonb DEFAULT '{}',
    OUT counted    jsonb,
    OUT held       text[],
    OUT unlisted   text[],
    OUT impossible text[]
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    count record;
BEGIN
    count := seats_internal.counted_items(items);
    counted := count.counted;
    unlisted := count.unlisted;
    impossible := count.impossible;
    -- (What is known of a former subscription says nothing about this one.)
    IF unlisted IS NULL AND impossible IS NULL OR team.items IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(s.seat_type),
           counted - coalesce(array_agg(s.seat_type), '{}')
           || coalesce(jsonb_object_agg(s.seat_type,
                  coalesce((expected ->> s.seat_type)::integer, s.confirmed)), '{}')
      INTO held, counted
      FROM seats_internal.seat_line AS s
     WHERE s.team_id = team.id
       AND (s.seat_type = ANY (impossible)
            OR unlisted IS NOT NULL
               AND (s.held OR EXISTS (
                    SELECT FROM jsonb_to_recordset(team.items) AS f (id text, price text, metered boolean)
                     WHERE coalesce((SELECT p.seat_type FROM seats_internal.seat_price AS p
                                      WHERE p.price = f.price), former ->> f.price) = s.seat_type
                       AND f.metered IS NOT TRUE
                       AND NOT EXISTS (
                           SELECT FROM jsonb_to_recordset(items) AS n (id text, price text, metered boolean)
                             JOIN seats_internal.seat_price AS q ON q.price = n.price
                            WHERE n.id = f.id AND q.seat_type = s.seat_type AND n.metered IS NOT TRUE))));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.count_team(seats_internal.team, jsonb, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_team(seats_internal.team, jsonb, jsonb, jsonb) IS
    '{seat type: quantity} of a team whose subscription has these items; lines that cannot be counted are held as they were';

CREATE OR REPLACE FUNCTION seats_internal.count_problem(unlisted text[], impossible text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN nullif(concat_ws('; ',
    'no seat type lists ' || CASE cardinality(unlisted) WHEN 1 THEN 'the price ' ELSE 'the prices ' END
        || array_to_string(unlisted, ', '),
    'the quantity of ' || array_to_string(impossible, ', ') || ' cannot be one'), '');
REVOKE ALL ON FUNCTION seats_internal.count_problem(text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_problem(text[], text[]) IS
    'in words, what of a subscription''s items cannot be counted; null: nothing';

-- The problem is there, another one, or over. (The caller stores it with the team.)
CREATE OR REPLACE FUNCTION seats_internal.apply_count_problem(
    team        seats_internal.team,
    held        text[],
    new_problem text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.seat_line AS s
       SET held = coalesce(s.seat_type = ANY (apply_count_problem.held), false)
     WHERE s.team_id = team.id AND s.held <> coalesce(s.seat_type = ANY (apply_count_problem.held), false);
    IF new_problem IS NULL THEN
        PERFORM seats_internal.resolve_alert('uncounted:' || team.id, 'all items can be counted');
        PERFORM seats_internal.offer_held_changes(team.lane_id);
    ELSIF new_problem IS DISTINCT FROM team.count_problem THEN
        PERFORM seats_internal.raise_alert(
            'uncounted:' || team.id, 'critical', 'seats_not_counted',
            format('the subscription of team %s cannot be counted: %s', team.name, new_problem),
            jsonb_build_object('team', team.name, 'subscription', team.subscription,
                               'problem', new_problem, 'held', coalesce(to_jsonb(held), '[]')),
            'The team keeps the seats that it had, and can buy none meanwhile. If the price is one of '
            'seats, list it with seats.define_seat_type; if it is not (an add-on, say): '
            'seats.ignore_prices(prices, reason). A quantity is put right at Stripe.',
            destination => team.destination);
        PERFORM seats_internal.write_journal(
            'seats.not_counted', 'stripe', NULL, team.lane_id, NULL,
            jsonb_build_object('team', team.name, 'problem', new_problem));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_count_problem(seats_internal.team, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_count_problem(seats_internal.team, text[], text) IS
    'marks the lines that are held, and tells a person why, or that it is over';

-- Changes that wait for somebody to say what is what (see what_hinders) are planned again.
CREATE OR REPLACE FUNCTION seats_internal.offer_held_changes(lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox AS o
       SET due_at = NULL, reason = NULL, eligible_xid = pg_current_xact_id()
     WHERE o.id = (SELECT h.id FROM seats_internal.outbox AS h
                    WHERE h.lane_id = offer_held_changes.lane_id ORDER BY h.id LIMIT 1)
       AND o.kind = 'change' AND o.state = 'pending'
       AND o.reason = ANY (ARRAY['seats_not_counted', 'no_price_fits', 'price_not_known']);
    IF FOUND THEN
        PERFORM seats_internal.page_of_lane_changed(offer_held_changes.lane_id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.offer_held_changes(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.offer_held_changes(bigint) IS
    'has a change that waits for what is known of prices looked at now';

-- Whether the head of a lane must wait because what Stripe has cannot be counted: null, or the reason.
CREATE OR REPLACE FUNCTION seats_internal.what_hinders(
    team   seats_internal.team,
    head   seats_internal.outbox,
    base   jsonb,
    target jsonb,
    rises  boolean
) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF team.count_problem IS NOT NULL
       AND (rises
            OR EXISTS (SELECT FROM seats_internal.seat_line AS s
                        WHERE s.team_id = team.id AND s.held
                          AND (base -> s.seat_type IS DISTINCT FROM target -> s.seat_type
                               OR EXISTS (SELECT FROM jsonb_to_recordset(head.lines) AS l (seat_type text)
                                           WHERE l.seat_type = s.seat_type)))) THEN
        RETURN 'seats_not_counted';
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.what_hinders(
    seats_internal.team, seats_internal.outbox, jsonb, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.what_hinders(
    seats_internal.team, seats_internal.outbox, jsonb, jsonb, boolean) IS
    'why a change cannot be sent as long as the team''s items cannot be counted; null: it can';
