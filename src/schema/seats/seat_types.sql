-- Kinds of seats: which prices are counted as what, how many may be bought, and how that is billed.

CREATE OR REPLACE FUNCTION seats_internal.check_seat_type(
    seat_type     text,
    prices        text[],
    rules         seats_internal.seat_type,
    allow_unpaid  boolean
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
    price text;
    other text;
BEGIN
    PERFORM seats_internal.check_id('seat_type', seat_type);
    wrong := CASE
        WHEN coalesce(cardinality(prices), 0) = 0
            THEN 'At least one price is needed: all are counted, and the first that fits a subscription is bought.'
        WHEN coalesce(rules.largest_change, 0) < 1 OR rules.largest_total < 1
             OR rules.largest_unconfirmed < 1
            THEN 'largest_change, largest_total and largest_unconfirmed must be at least 1.'
        WHEN coalesce(rules.increase_proration_behavior, '')
             NOT IN ('always_invoice', 'create_prorations', 'none')
            THEN 'increase_proration_behavior must be always_invoice, create_prorations or none.'
        WHEN coalesce(rules.decrease_proration_behavior, '')
             NOT IN ('always_invoice', 'create_prorations', 'none')
            THEN 'decrease_proration_behavior must be always_invoice, create_prorations or none.'
        WHEN rules.increase_payment_behavior IN ('allow_incomplete', 'default_incomplete')
             AND allow_unpaid IS NOT TRUE
            THEN 'This payment_behavior gives seats out before they are paid: say allow_unpaid => true '
                 'if that is what you want.'
        WHEN coalesce(rules.increase_payment_behavior, '') NOT IN
             ('error_if_incomplete', 'pending_if_incomplete', 'allow_incomplete', 'default_incomplete')
            THEN 'increase_payment_behavior must be error_if_incomplete or pending_if_incomplete.'
        WHEN rules.increase_payment_behavior = 'pending_if_incomplete' AND EXISTS (
                 SELECT FROM seats_internal.destination AS d WHERE seats_internal.is_before_pending_metadata(d))
            THEN 'pending_if_incomplete needs a destination with the API version 2026-05-27.dahlia or newer: '
                 'before, Stripe takes no metadata with it, and what became of a call could not be proven.'
        WHEN rules.delete_at_zero IS NULL
            THEN 'delete_at_zero must be true or false.'
        WHEN (SELECT count(DISTINCT p) <> count(*) FROM unnest(prices) AS p)
            THEN 'A price is listed twice, or is null.'
    END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'invalid seat type' USING ERRCODE = 'PS521', DETAIL = wrong,
            HINT = E'See \\df+ seats.define_seat_type.';
    END IF;
    FOREACH price IN ARRAY prices LOOP
        PERFORM seats_internal.check_stripe_id('price', price);
    END LOOP;
    SELECT p.price, p.seat_type INTO price, other FROM seats_internal.seat_price AS p
     WHERE p.price = ANY (prices) AND p.seat_type <> check_seat_type.seat_type
     ORDER BY p.price LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'price % belongs to another seat type', price
            USING ERRCODE = 'PS522', DETAIL = format('It is listed by %L.', other),
                  HINT = 'A price has one seat type, or its seats would be counted twice: define the other one '
                         'without it first.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_seat_type(
    text, text[], seats_internal.seat_type, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_seat_type(
    text, text[], seats_internal.seat_type, boolean) IS
    'an error that says what is wrong with a seat type';

-- The prices of a type, in order. Teams are not touched here: the worker counts those anew that have one
-- which counts otherwise now.
CREATE OR REPLACE FUNCTION seats_internal.list_prices(seat_type text, prices text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others jsonb;
BEGIN
    SELECT jsonb_object_agg(coalesce(o.price, n.price), o.seat_type) INTO others
      FROM (SELECT p.price, p.seat_type FROM seats_internal.seat_price AS p
             WHERE p.seat_type = list_prices.seat_type) AS o
      FULL JOIN unnest(prices) AS n (price) ON n.price = o.price
     WHERE o.price IS NULL OR n.price IS NULL;
    DELETE FROM seats_internal.seat_price AS p WHERE p.seat_type = list_prices.seat_type;
    INSERT INTO seats_internal.seat_price (price, seat_type, position)
    SELECT p.price, list_prices.seat_type, p.position
      FROM unnest(prices) WITH ORDINALITY AS p (price, position);
    DELETE FROM seats_internal.ignored_price AS i WHERE i.price = ANY (prices);
    IF others IS NOT NULL THEN
        INSERT INTO seats_internal.recount (prices) VALUES (others);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.list_prices(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.list_prices(text, text[]) IS
    'makes these the prices of a seat type, and has the teams that they concern counted anew';

CREATE OR REPLACE FUNCTION seats_internal.define_seat_type(
    caller                            text,
    INOUT seat_type                   text,
    INOUT prices                      text[],
    INOUT largest_change              integer,
    INOUT largest_total               integer,
    INOUT increase_proration_behavior text,
    INOUT increase_payment_behavior   text,
    INOUT decrease_proration_behavior text,
    allow_unpaid                      boolean,
    INOUT delete_at_zero              boolean,
    INOUT largest_unconfirmed         integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rules seats_internal.seat_type;
BEGIN
    rules.name := seat_type;
    rules.largest_change := largest_change;
    rules.largest_total := largest_total;
    rules.increase_proration_behavior := increase_proration_behavior;
    rules.increase_payment_behavior := increase_payment_behavior;
    rules.decrease_proration_behavior := decrease_proration_behavior;
    rules.delete_at_zero := delete_at_zero;
    rules.largest_unconfirmed := largest_unconfirmed;
    rules.defined_at := clock_timestamp();
    rules.defined_by := caller;
    PERFORM seats_internal.check_seat_type(seat_type, prices, rules, allow_unpaid);
    INSERT INTO seats_internal.seat_type AS s SELECT (rules).*
    ON CONFLICT ON CONSTRAINT seat_type_pkey DO UPDATE
       SET largest_change = excluded.largest_change, largest_total = excluded.largest_total,
           increase_proration_behavior = excluded.increase_proration_behavior,
           increase_payment_behavior = excluded.increase_payment_behavior,
           decrease_proration_behavior = excluded.decrease_proration_behavior,
           delete_at_zero = excluded.delete_at_zero,
           largest_unconfirmed = excluded.largest_unconfirmed, defined_at = excluded.defined_at,
           defined_by = excluded.defined_by;
    PERFORM seats_internal.list_prices(seat_type, prices);
    PERFORM seats_internal.all_pages_changed();
    PERFORM seats_internal.write_journal('seat_type.defined', caller, NULL, NULL, NULL,
        to_jsonb(rules) - '{name,defined_at,defined_by}'::text[]
        || jsonb_build_object('seat_type', seat_type, 'prices', prices));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.define_seat_type(
    text, text, text[], integer, integer, text, text, text, boolean, boolean, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.define_seat_type(
    text, text, text[], integer, integer, text, text, text, boolean, boolean, integer) IS
    'behind seats.define_seat_type';

CREATE OR REPLACE FUNCTION seats.define_seat_type(
    INOUT seat_type                   text,
    INOUT prices                      text[],
    INOUT largest_change              integer DEFAULT 50,
    INOUT largest_total               integer DEFAULT NULL,
    INOUT increase_proration_behavior text DEFAULT 'always_invoice',
    INOUT increase_payment_behavior   text DEFAULT 'error_if_incomplete',
    INOUT decrease_proration_behavior text DEFAULT 'create_prorations',
    allow_unpaid                      boolean DEFAULT false,
    INOUT delete_at_zero              boolean DEFAULT true,
    INOUT largest_unconfirmed         integer DEFAULT NULL
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.define_seat_type(
    text, text[], integer, integer, text, text, text, boolean, boolean, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.define_seat_type(
    text, text[], integer, integer, text, text, text, boolean, boolean, integer) IS
    'defines or redefines a kind of seats: its prices at Stripe (all are '
    'counted; the first that a subscription has is what grows, the last is what shrinks first; a new '
    'item gets the first that fits by interval and currency), the '
    'largest change and total, and how changes are billed. increase_payment_behavior is '
    'error_if_incomplete (no payment, no seats; reverts what needs 3-D Secure, too) or '
    'pending_if_incomplete (the seats wait for the payment); the others give seats out unpaid and want '
    'allow_unpaid. delete_at_zero: the item goes '
    'with its last seat. largest_unconfirmed: how many seats a team may have that Stripe has not '
    'confirmed, so that a run of purchases while Stripe takes none does not give out a hundred unpaid';

CREATE OR REPLACE FUNCTION seats_internal.drop_seat_type(caller text, INOUT seat_type text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    prices text[];
BEGIN
    PERFORM seats_internal.require_reason(drop_seat_type.reason);
    PERFORM seats_internal.require_seat_type(drop_seat_type.seat_type);
    PERFORM FROM seats_internal.seat_type AS s WHERE s.name = drop_seat_type.seat_type FOR UPDATE;
    -- Lines of zero seats go with it. (Who is just adding to one holds it: this waits, and then sees it. Who
    -- makes a new one is held up by the foreign key until this is over, and fails.)
    DELETE FROM seats_internal.seat_line AS s
     WHERE s.seat_type = drop_seat_type.seat_type
       AND (s.confirmed, s.quantity, s.awaiting, s.missing) = (0, 0, 0, 0);
    PERFORM seats_internal.require_unused(
        format('seat type %L cannot be dropped', drop_seat_type.seat_type),
        ARRAY[(SELECT count(*) FROM seats_internal.seat_line AS s
                WHERE s.seat_type = drop_seat_type.seat_type),
              (SELECT count(*) FROM seats_internal.outbox AS o
                WHERE o.kind = 'change' AND o.lines @> jsonb_build_array(jsonb_build_object(
                    'seat_type', drop_seat_type.seat_type))),
              (SELECT count(*) FROM seats_internal.member AS m
                WHERE m.seat_type = drop_seat_type.seat_type AND m.status = 'active'),
              (SELECT count(*) FROM seats_internal.invite AS i
                WHERE i.seat_type = drop_seat_type.seat_type AND i.status = 'open')],
        '{team(s) with such seats,open change(s),member(s) on such a seat,open invite(s)}',
        'See seats.teams, seats.changes, seats.members and seats.invites. Give the seats back '
        '(seats.set_seats), let the changes be settled.');
    PERFORM seats_internal.list_prices(drop_seat_type.seat_type, '{}');
    DELETE FROM seats_internal.seat_type AS s WHERE s.name = drop_seat_type.seat_type;
    PERFORM seats_internal.all_pages_changed();
    PERFORM seats_internal.write_journal(
        'seat_type.dropped', caller, NULL, NULL, drop_seat_type.reason,
        jsonb_build_object('seat_type', drop_seat_type.seat_type));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.drop_seat_type(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.drop_seat_type(text, text, text) IS 'behind seats.drop_seat_type';

CREATE OR REPLACE FUNCTION seats.drop_seat_type(INOUT seat_type text, reason text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.drop_seat_type(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.drop_seat_type(text, text) IS
    'forgets a kind of seats and its prices; refused while a team has such seats, or a change, a member or '
    'an open invite is about one';
