-- What a call of seat changes asks Stripe for: items, how they are billed, and whether Stripe's limits
-- for a subscription allow one more now.

-- What a call asks for, as parameters of POST /v1/subscriptions/{id}. A type may have several prices
-- (monthly and yearly, an old one): what rises is the first listed price that the subscription has, or
-- the one that was chosen for a new item (`prices`, see choose_prices); what falls is taken from the last
-- listed one first. (Stripe takes no deletion with a pending update.)
CREATE OR REPLACE FUNCTION seats_internal.item_parameters(
    items      jsonb,
    base       jsonb,
    target     jsonb,
    prices     jsonb,
    may_delete boolean
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    line       record;
    item       record;
    difference integer;
    quantity   integer;
    items_left integer := jsonb_array_length(items);
    parameters jsonb := '[]';
BEGIN
    FOR line IN
        SELECT t.key AS seat_type, t.value::integer AS wanted,
               coalesce((base ->> t.key)::integer, 0) AS had, s.delete_at_zero
          FROM jsonb_each_text(target) AS t
          JOIN seats_internal.seat_type AS s ON s.name = t.key
         WHERE t.value::integer IS DISTINCT FROM coalesce((base ->> t.key)::integer, 0)
         ORDER BY t.key
    LOOP
        difference := line.wanted - line.had;
        FOR item IN
            SELECT i.id, least(i.quantity, 1000000000)::integer AS quantity
              FROM jsonb_to_recordset(items) AS i (id text, price text, quantity numeric, metered boolean)
             CROSS JOIN LATERAL (SELECT l.seat_type, l.position FROM seats_internal.seat_price AS l
                                  WHERE l.price = i.price OFFSET 0) AS p
             WHERE p.seat_type = line.seat_type AND i.quantity IS NOT NULL AND i.metered IS NOT TRUE
             ORDER BY CASE WHEN difference > 0 THEN p.position ELSE -p.position END, i.id
        LOOP
            EXIT WHEN difference = 0;
            quantity := greatest(item.quantity + difference, 0);
            CONTINUE WHEN quantity = item.quantity;
            -- Stripe wants one item at least: the last one stays, with nothing.
            items_left := items_left - CASE WHEN quantity = 0 THEN 1 ELSE 0 END;
            parameters := parameters || CASE
                WHEN quantity = 0 AND line.delete_at_zero AND may_delete AND items_left > 0
                    THEN jsonb_build_object('id', item.id, 'deleted', true)
                ELSE jsonb_build_object('id', item.id, 'quantity', quantity) END;
            difference := difference - (quantity - item.quantity);
        END LOOP;
        IF difference > 0 THEN
            -- (Without a price Stripe would refuse it: nobody else chooses one.)
            parameters := parameters || jsonb_build_object(
                'price', prices ->> line.seat_type, 'quantity', difference);
        END IF;
    END LOOP;
    RETURN parameters;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.item_parameters(jsonb, jsonb, jsonb, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.item_parameters(jsonb, jsonb, jsonb, jsonb, boolean) IS
    'the items[] of a subscription''s update that leads from base to target';

-- An increase is paid for as one, whatever it was when it was asked for: the direction is that from
-- base to target. Stripe may not be asked for pending updates where invoices are sent.
CREATE OR REPLACE FUNCTION seats_internal.billing_parameters(
    team           seats_internal.team,
    seat_type      text,
    rises          boolean,
    proration_date bigint
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
    SELECT jsonb_strip_nulls(jsonb_build_object(
               'proration_behavior', CASE WHEN rises THEN s.increase_proration_behavior
                                          ELSE s.decrease_proration_behavior END,
               'payment_behavior', CASE WHEN rises AND coalesce(team.collection_method, '')
                                                       <> 'send_invoice'
                                        THEN s.increase_payment_behavior END,
               'proration_date', CASE WHEN s.increase_proration_behavior <> 'none' AND rises
                                          OR s.decrease_proration_behavior <> 'none' AND NOT rises THEN proration_date END,
               'expand', jsonb_build_array('latest_invoice')))
      FROM seats_internal.seat_type AS s
     WHERE s.name = billing_parameters.seat_type);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.billing_parameters(seats_internal.team, text, boolean, bigint) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.billing_parameters(seats_internal.team, text, boolean, bigint) IS
    'how a subscription''s update is billed';

CREATE OR REPLACE FUNCTION seats_internal.apply_lines(totals jsonb, lines jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
    SELECT totals || coalesce(jsonb_object_agg(
               l.seat_type,
               seats_internal.fold_step(coalesce((totals ->> l.seat_type)::integer, 0), 0,
                                        l.operation, l.quantity)), '{}')
      FROM jsonb_to_recordset(lines) AS l (seat_type text, operation text, quantity integer));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_lines(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_lines(jsonb, jsonb) IS
    '{seat type: quantity} after a change';

-- What a call does not touch stays what it is, and not what it was when the call was computed: somebody may
-- have changed it since.
CREATE OR REPLACE FUNCTION seats_internal.apply_call(totals jsonb, base jsonb, target jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
    SELECT totals || coalesce(jsonb_object_agg(t.key, t.value), '{}')
      FROM jsonb_each(target) AS t
     WHERE t.value <> coalesce(base -> t.key, '0'));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_call(jsonb, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_call(jsonb, jsonb, jsonb) IS
    '{seat type: quantity} after a call that was computed on base and asked for target';

-- The type whose rules bill the way from one set of totals to another: of what rises, or else falls.
CREATE OR REPLACE FUNCTION seats_internal.billed_type(
    before        jsonb,
    after         jsonb,
    OUT rises     boolean,
    OUT seat_type text,
    OUT rules     text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    SELECT d.rises, d.name,
           CASE WHEN d.rises THEN d.increase_proration_behavior || ' ' || d.increase_payment_behavior
                ELSE d.decrease_proration_behavior END
      INTO rises, seat_type, rules
      FROM (SELECT s.*, a.value::integer > coalesce((before ->> a.key)::integer, 0) AS rises
              FROM jsonb_each_text(after) AS a
              JOIN seats_internal.seat_type AS s ON s.name = a.key
             WHERE a.value::integer <> coalesce((before ->> a.key)::integer, 0)) AS d
     ORDER BY d.rises DESC, d.name
     LIMIT 1;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.billed_type(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.billed_type(jsonb, jsonb) IS
    'whether totals rise, and by whose billing rules; null if nothing changes';

-- One call is prorated in one way, that of what rises. Where what falls is not prorated and what rises is (or
-- the other way round), it would credit what is not to be credited (or not what is).
CREATE OR REPLACE FUNCTION seats_internal.mixes_billing(before jsonb, after jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
    SELECT count(DISTINCT d.is_prorated) > 1 AND bool_or(d.rises) AND NOT bool_and(d.rises)
      FROM (SELECT a.value::integer > coalesce((before ->> a.key)::integer, 0) AS rises,
                   CASE WHEN a.value::integer > coalesce((before ->> a.key)::integer, 0)
                        THEN s.increase_proration_behavior
                        ELSE s.decrease_proration_behavior END <> 'none' AS is_prorated
              FROM jsonb_each_text(after) AS a
              JOIN seats_internal.seat_type AS s ON s.name = a.key
             WHERE a.value::integer <> coalesce((before ->> a.key)::integer, 0)) AS d);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.mixes_billing(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.mixes_billing(jsonb, jsonb) IS
    'whether one call would have to prorate what rises and not what falls, or the other way round';

-- Stripe allows 20 invoices a day, 10 a minute and 200 changes of quantity an hour for a
-- subscription, and counts refused ones too. A key counts once, however often it was sent: Stripe
-- executes it once. What Stripe turned away unexecuted does not count, and what was not invoiced at
-- once is no invoice. Null: one more may be sent now.
CREATE OR REPLACE FUNCTION seats_internal.budget_wait(team_id bigint, lane_id bigint, makes_invoice boolean)
RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A day lies in the partition that is being written and the one before it.
    rings smallint[] := (SELECT ARRAY[r.slot, seats_internal.ring_slot_beside(r.slot, -1)] FROM seats_internal.ring AS r);
BEGIN
    RETURN (
    WITH sent AS MATERIALIZED (
        SELECT h.settled_at AS at, h.body LIKE '%proration_behavior=always_invoice%' AS invoiced
          FROM seats_internal.outbox_history AS h
         WHERE h.ring = ANY (rings)
           AND h.team_id = budget_wait.team_id AND h.kind = 'change' AND h.clean
           AND h.settled_at > clock_timestamp() - interval '1 day'
        UNION ALL
        -- (The body of a call that was split is gone; it was an increase.)
        SELECT k.at, coalesce((SELECT h.body LIKE '%proration_behavior=always_invoice%'
                                 FROM seats_internal.outbox_history AS h
                                WHERE h.ring = ANY (rings)
                                  AND h.id = k.call_id AND h.generation = k.generation), true)
          FROM (SELECT a.call_id, a.generation, max(a.answered_at) AS at
                  FROM seats_internal.attempt AS a
                 WHERE a.ring = ANY (rings) AND a.lane_id = budget_wait.lane_id
                   AND a.purpose = 'send' AND a.sent AND a.verdict NOT IN ('again', 'halted')
                   -- Turned away for their key: nothing was tried.
                   AND coalesce(a.reason, '') <> ALL ('{idempotency_mismatch,key_in_use}')
                   AND a.answered_at > clock_timestamp() - interval '1 day'
                 GROUP BY a.call_id, a.generation) AS k),
    -- (plain_plans asks for the same, a little earlier.)
    budget (allowed, span, of_invoices) AS (VALUES
        (20, interval '1 day', true),
        (10, interval '1 minute', true),
        (200, interval '1 hour', false))
    SELECT max(b.span + (SELECT s.at FROM sent AS s
                          WHERE s.at > clock_timestamp() - b.span AND (s.invoiced OR NOT b.of_invoices)
                          ORDER BY s.at DESC OFFSET b.allowed - 1 LIMIT 1))
      FROM budget AS b
     WHERE makes_invoice OR NOT b.of_invoices);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.budget_wait(bigint, bigint, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.budget_wait(bigint, bigint, boolean) IS
    'until when Stripe''s limits for a subscription are used up, counted from what was sent; null: they are not';
