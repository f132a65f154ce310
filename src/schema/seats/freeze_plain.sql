-- The plain ones among the changes that are to be frozen, all at once. What nearly every change is (seats of one type,
-- added or taken away, of a team of which nothing is unusual; alone in its lane, or all behind it want more of the same)
-- needs none of the questions that freeze_change asks one after the other: one statement plans a whole claim of them, and writes
-- nothing. The worker's own statement writes what it has planned, as it takes the rows.
--
-- What is plain is said narrowly, and whatever is not is left out: freeze_change looks at it then. Of what is in,
-- it gives what freeze_change would give, byte for byte (sql/seat_plain_plans.sql compares them).

-- Of `calls`, whose lanes are locked. The outcome, as freeze_change says it:
--   frozen   `body` can be sent; it leads from `base` to `target`, and carries the lane up to `last_id`, if that is not null
--   read     the base is not proven, or not lately (of every change, whatever else there is about it)
-- (Long because it is one statement for a whole claim: taken apart, it would be made once a row again. Subqueries with a
-- LIMIT are looked up row by row, by the index that is meant, whatever statistics say.)
CREATE OR REPLACE FUNCTION seats_internal.plain_plans(
    calls         bigint[],
    run           uuid,
    fresh_for     interval,
    OUT call      bigint,
    OUT outcome   text,
    OUT body      text,
    OUT base      jsonb,
    OUT target    jsonb,
    OUT last_id   bigint,
    OUT last_uuid uuid
) RETURNS SETOF record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- (Where there are more, one question more or less does not matter.)
    most_carried CONSTANT integer := 100;
    moment       timestamptz := clock_timestamp();
    -- A day lies in the partition that is being written and the one before it.
    slot         smallint := (SELECT r.slot FROM seats_internal.ring AS r);
    slot_before  smallint := seats_internal.ring_slot_beside(slot, -1);
    recounts     boolean := EXISTS (SELECT FROM seats_internal.recount);
BEGIN
    RETURN QUERY
    WITH head AS MATERIALIZED (
        SELECT o.id, o.uuid, o.lane_id, o.team_id, o.splits_left, o.lines -> 0 ->> 'seat_type' AS seat_type,
               (o.lines -> 0 ->> 'quantity')::bigint AS quantity,
               NOT recounts AND o.last_uuid IS NULL
               AND seats_internal.adds_alike(o, o.lines -> 0 ->> 'seat_type', (o.lines -> 0 ->> 'quantity')::bigint)
               AND t.lane_id = o.lane_id AND t.count_problem IS NULL AND NOT t.waits_for_price AS is_plain,
               t.items, t.collection_method IS DISTINCT FROM 'send_invoice' AS may_be_pending,
               seats_internal.is_good_base(t.base_run, t.base_proven_at, o, run, fresh_for, moment)
               AND (SELECT true FROM seats_internal.outbox AS r
                     WHERE r.team_id = o.team_id AND r.kind = 'read' AND r.created_at > t.base_proven_at
                     LIMIT 1) IS NULL AS is_fresh
          FROM seats_internal.outbox AS o
          LEFT JOIN LATERAL (SELECT s.* FROM seats_internal.team AS s WHERE s.id = o.team_id LIMIT 1) AS t ON true
         WHERE o.id = ANY (calls) AND o.kind = 'change' AND o.state = 'pending' AND o.body = '')
    SELECT h.id, 'read', NULL, NULL::jsonb, NULL::jsonb, NULL::bigint, NULL::uuid FROM head AS h WHERE NOT h.is_fresh
     UNION ALL
    SELECT h.id, 'frozen', seats_internal.encoded_form(jsonb_strip_nulls(jsonb_build_object(
               'items', jsonb_build_array(jsonb_build_object('id', item.id, 'quantity', line.total)),
               'proration_behavior', CASE WHEN h.quantity > 0 THEN rules.increase_proration_behavior
                                          ELSE rules.decrease_proration_behavior END,
               'payment_behavior', CASE WHEN h.quantity > 0 AND h.may_be_pending
                                        THEN rules.increase_payment_behavior END,
               'expand', jsonb_build_array('latest_invoice')))),
           line.base, line.base || jsonb_build_object(h.seat_type, line.total), behind.last_id,
           coalesce(behind.last_uuid, h.uuid)
      FROM head AS h
      -- (By both columns: by the id alone it would be the primary key's order, past the rows of all other lanes.)
     CROSS JOIN LATERAL (
        SELECT bool_and(coalesce(r.is_like_it, false)) AS are_like_it, count(*) AS number,
               coalesce(sum(r.quantity), 0)::bigint AS quantity,
               max(r.id) AS last_id, (array_agg(r.uuid ORDER BY r.id DESC))[1] AS last_uuid
          FROM (SELECT b.id, b.uuid, (b.lines -> 0 ->> 'quantity')::bigint AS quantity,
                       b.splits_left IS NULL AND seats_internal.adds_alike(b, h.seat_type, h.quantity) AS is_like_it
                  FROM seats_internal.outbox AS b
                 WHERE (b.lane_id, b.id) > (h.lane_id, h.id) AND b.lane_id <= h.lane_id
                 ORDER BY b.lane_id, b.id LIMIT most_carried + 1) AS r) AS behind
     CROSS JOIN LATERAL (
        SELECT p.base, (p.base ->> h.seat_type)::bigint AS had,
               (p.base ->> h.seat_type)::bigint + h.quantity + behind.quantity AS total
          FROM (SELECT jsonb_object_agg(s.seat_type, s.confirmed) AS base
                  FROM seats_internal.seat_line AS s WHERE s.team_id = h.team_id) AS p) AS line
     CROSS JOIN LATERAL (SELECT s.* FROM seats_internal.seat_type AS s WHERE s.name = h.seat_type LIMIT 1) AS rules
      -- The items of the type: where there is one, and the team has what it says, there is nothing to choose.
     CROSS JOIN LATERAL (
        SELECT min(i.id) AS id, min(i.quantity) AS quantity, count(*) AS number
          FROM jsonb_to_recordset(h.items) AS i (id text, price text, quantity numeric, metered boolean)
         WHERE i.quantity IS NOT NULL AND i.metered IS NOT TRUE
           AND (SELECT p.seat_type FROM seats_internal.seat_price AS p
                 WHERE p.price = i.price LIMIT 1) = h.seat_type) AS item
      -- What was sent lately, or a little more: below each of Stripe's limits (see budget_wait).
     CROSS JOIN LATERAL (
        SELECT count(*) < 20 AND count(*) FILTER (WHERE s.at > moment - interval '1 minute') < 10 AS is_left
          FROM ((SELECT s.settled_at AS at FROM seats_internal.outbox_history AS s
                  WHERE s.ring = ANY (ARRAY[slot, slot_before])
                    AND s.team_id = h.team_id AND s.kind = 'change' AND s.clean
                    AND s.settled_at > moment - interval '1 day' LIMIT 20)
                 UNION ALL
                (SELECT a.answered_at FROM seats_internal.attempt AS a
                  WHERE a.ring = ANY (ARRAY[slot, slot_before])
                    AND a.lane_id = h.lane_id AND a.purpose = 'send' AND a.sent
                    AND a.answered_at > moment - interval '1 day' LIMIT 20)) AS s) AS budget
     WHERE h.is_fresh AND h.is_plain AND h.quantity <> 0 AND line.had > 0 AND line.total BETWEEN 1 AND 1000000000
       AND item.number = 1 AND item.id IS NOT NULL AND item.quantity = line.had AND budget.is_left
       AND (behind.number = 0 OR behind.number <= most_carried AND behind.are_like_it AND h.splits_left IS NULL);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.plain_plans(bigint[], uuid, interval) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.plain_plans(bigint[], uuid, interval) IS
    'plans the plain ones among these seat changes, and says of which the subscription must be read first; called by the worker';
