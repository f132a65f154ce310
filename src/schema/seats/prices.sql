-- Prices: which one a subscription gets with its first seat of a type. Stripe's own words decide: a
-- subscription takes prices of its currency, and of its intervals. They come with the items of every
-- subscription that is read; a listed price that no subscription has brought is read by itself. What is
-- not known is waited for, and never guessed.

-- What is known of a price is to be read, once, whoever asks however often. (A read that somebody has
-- cancelled is forgotten after an hour.)
CREATE OR REPLACE FUNCTION seats_internal.queue_price_read(destination text, price text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.stripe_price AS s (destination, price, wanted_at)
    VALUES (queue_price_read.destination, queue_price_read.price, clock_timestamp())
    ON CONFLICT ON CONSTRAINT stripe_price_pkey DO UPDATE SET wanted_at = excluded.wanted_at
     WHERE s.wanted_at IS NULL OR s.wanted_at < excluded.wanted_at - interval '1 hour';
    IF FOUND THEN
        INSERT INTO seats_internal.outbox
            (installation, destination, method, path, body, enqueued_by, kind, created_at)
        SELECT i.uuid, queue_price_read.destination, 'GET', '/v1/prices/' || queue_price_read.price,
               'expand[0]=currency_options', 'pg_seats', 'price', clock_timestamp()
          FROM seats_internal.installation AS i;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.queue_price_read(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.queue_price_read(text, text) IS
    'leaves a read of a price in the outbox, unless one is under way';

-- An event tells that a price has changed. A read that is on the wire may have looked too early: settling
-- it, another one follows.
CREATE OR REPLACE FUNCTION seats_internal.renew_price(destination text, price text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.stripe_price AS s SET wanted_at = clock_timestamp()
     WHERE s.destination = renew_price.destination AND s.price = renew_price.price
       AND s.wanted_at IS NOT NULL;
    IF FOUND THEN
        RETURN true;
    ELSIF EXISTS (SELECT FROM seats_internal.seat_price AS p WHERE p.price = renew_price.price) THEN
        -- (Until it was read nobody knows whether it fits, and any page may offer the first seat of its type.)
        PERFORM seats_internal.queue_price_read(renew_price.destination, renew_price.price);
        PERFORM seats_internal.all_pages_changed();
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.renew_price(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.renew_price(text, text) IS
    'has a price read that has changed at Stripe; false: none that a seat type lists';

-- Listed prices that nothing is known of, some at a time: so that a purchase for which none fits is
-- refused at once, and others need not wait.
CREATE OR REPLACE FUNCTION seats_internal.want_prices(destination text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.queue_price_read(want_prices.destination, p.price)
       FROM (SELECT l.price FROM seats_internal.seat_price AS l
              WHERE NOT EXISTS (SELECT FROM seats_internal.stripe_price AS s
                                 WHERE s.destination = want_prices.destination AND s.price = l.price)
              ORDER BY l.seat_type, l.position LIMIT 20) AS p;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.want_prices(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.want_prices(text) IS
    'has listed prices read of which nothing is known';

-- Another key, or other rights of it, may read what could not be read.
CREATE OR REPLACE FUNCTION seats_internal.reread_prices(destination text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.queue_price_read(s.destination, s.price)
       FROM seats_internal.stripe_price AS s
      WHERE s.destination = reread_prices.destination AND s.problem IS NOT NULL
      ORDER BY s.price LIMIT 100;
    IF FOUND THEN
        PERFORM seats_internal.worker_changed_all_pages();
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reread_prices(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reread_prices(text) IS
    'has prices read again that could not be read; called by the worker when a key is proven';

-- What the items of a subscription tell of their prices, and which price each line has: it is the line's
-- own also when its last seat has gone, and comes back with the next one.
CREATE OR REPLACE FUNCTION seats_internal.note_prices(
    team      seats_internal.team,
    items     jsonb,
    prices    jsonb,
    proven_at timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- (Of listed ones: any page may offer the first seat of their type.)
    IF EXISTS (SELECT FROM jsonb_to_recordset(prices)
                      AS p (id text, "interval" text, interval_count bigint, currency text, active boolean, metered boolean)
                WHERE EXISTS (SELECT FROM seats_internal.seat_price AS l WHERE l.price = p.id)
                  AND NOT EXISTS (
                      SELECT FROM seats_internal.stripe_price AS s
                       WHERE s.destination = team.destination AND s.price = p.id AND s.known_at IS NOT NULL
                         AND (s.recurring_interval, s.interval_count, s.currency, s.active, s.metered, s.problem)
                             IS NOT DISTINCT FROM
                             (p."interval", p.interval_count, p.currency, p.active, p.metered, NULL))) THEN
        PERFORM seats_internal.worker_changed_all_pages();
    END IF;
    INSERT INTO seats_internal.stripe_price AS s
        (destination, price, recurring_interval, interval_count, currency, unit_amount, active, metered, known_at)
    SELECT DISTINCT ON (p.id) team.destination, p.id, p."interval", p.interval_count, p.currency, p.unit_amount, p.active,
           p.metered, note_prices.proven_at
      FROM jsonb_to_recordset(prices)
           AS p (id text, "interval" text, interval_count bigint, currency text, unit_amount bigint, active boolean,
                 metered boolean)
     WHERE p.id IS NOT NULL
     ORDER BY p.id
    ON CONFLICT ON CONSTRAINT stripe_price_pkey DO UPDATE
       SET recurring_interval = excluded.recurring_interval, interval_count = excluded.interval_count,
           currency = excluded.currency, unit_amount = excluded.unit_amount, active = excluded.active,
           metered = excluded.metered, known_at = excluded.known_at, problem = NULL
     WHERE s.known_at IS NULL OR s.known_at < excluded.known_at;
    UPDATE seats_internal.seat_line AS s
       SET last_price = l.price
      FROM (SELECT DISTINCT ON (p.seat_type) p.seat_type, i.price
              FROM jsonb_to_recordset(items) AS i (price text, metered boolean)
             CROSS JOIN LATERAL (SELECT q.seat_type, q.position FROM seats_internal.seat_price AS q
                                  WHERE q.price = i.price OFFSET 0) AS p  -- each is looked up
             WHERE i.metered IS NOT TRUE
             ORDER BY p.seat_type, p.position) AS l
     WHERE s.team_id = team.id AND s.seat_type = l.seat_type AND s.last_price IS DISTINCT FROM l.price;
    IF team.items IS NULL THEN
        PERFORM seats_internal.want_prices(team.destination);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.note_prices(seats_internal.team, jsonb, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_prices(seats_internal.team, jsonb, jsonb, timestamptz) IS
    'keeps what a subscription''s items tell of their prices';

-- Changes that wait for what is known of prices, or for other ones, are planned again.
CREATE OR REPLACE FUNCTION seats_internal.offer_to_waiting(destination text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.offer_held_changes(t.lane_id)
       FROM seats_internal.team AS t
      WHERE t.waits_for_price AND t.destination = coalesce(offer_to_waiting.destination, t.destination);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.offer_to_waiting(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.offer_to_waiting(text) IS
    'has changes that wait for a price looked at now; null: of all destinations';

-- A read of a price that was answered; without facts there is none to be read, and why.
CREATE OR REPLACE FUNCTION seats_internal.price_settled(
    destination text,
    path        text,
    facts       jsonb,
    as_of       timestamptz,
    problem     text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id       text := split_part(path, '/', 4);
    too_soon boolean;
BEGIN
    SELECT s.wanted_at > as_of INTO too_soon FROM seats_internal.stripe_price AS s
     WHERE s.destination = price_settled.destination AND s.price = id;
    INSERT INTO seats_internal.stripe_price AS s
        (destination, price, recurring_interval, interval_count, currency, currencies, unit_amount, active, metered,
         known_at, problem)
    VALUES (price_settled.destination, id, facts ->> 'interval',
            (facts ->> 'interval_count')::bigint, facts ->> 'currency',
            ARRAY(SELECT jsonb_array_elements_text(
                             CASE jsonb_typeof(facts -> 'currencies') WHEN 'array' THEN facts -> 'currencies'
                                                                      ELSE '[]' END)),
            (facts ->> 'unit_amount')::bigint, (facts ->> 'active')::boolean, (facts ->> 'metered')::boolean, as_of,
            CASE WHEN facts IS NULL THEN coalesce(nullif(problem, ''), 'it cannot be read') END)
    ON CONFLICT ON CONSTRAINT stripe_price_pkey DO UPDATE
       SET recurring_interval = excluded.recurring_interval, interval_count = excluded.interval_count,
           currency = excluded.currency, currencies = excluded.currencies, unit_amount = excluded.unit_amount,
           active = excluded.active, metered = excluded.metered, known_at = excluded.known_at, problem = excluded.problem,
           wanted_at = NULL;
    PERFORM seats_internal.worker_changed_all_pages();
    IF too_soon THEN
        PERFORM seats_internal.queue_price_read(price_settled.destination, id);
    ELSE
        PERFORM seats_internal.offer_to_waiting(price_settled.destination);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.price_settled(text, text, jsonb, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.price_settled(text, text, jsonb, timestamptz, text) IS
    'keeps what a read of a price has told; called by the worker';

-- The intervals that a new item of the type may have: that of the price that the line had, if the
-- subscription still has items of it; else those of its seats; else those of all its items. (A flexible
-- subscription may have several.)
CREATE OR REPLACE FUNCTION seats_internal.intervals_for(team seats_internal.team, last_price text) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_line  text;
    of_seats text[];
    of_all   text[];
BEGIN
    SELECT array_agg(DISTINCT i.every) FILTER (WHERE i.is_seat), array_agg(DISTINCT i.every)
      INTO of_seats, of_all
      FROM (SELECT s.interval_count || ' ' || s.recurring_interval AS every,
                   EXISTS (SELECT FROM seats_internal.seat_price AS p WHERE p.price = l.price) AS is_seat
              FROM jsonb_to_recordset(team.items) AS l (price text)
              JOIN seats_internal.stripe_price AS s ON s.destination = team.destination AND s.price = l.price) AS i
     WHERE i.every IS NOT NULL;
    SELECT s.interval_count || ' ' || s.recurring_interval INTO of_line
      FROM seats_internal.stripe_price AS s
     WHERE s.destination = team.destination AND s.price = intervals_for.last_price;
    RETURN CASE WHEN of_line = ANY (of_all) THEN ARRAY[of_line] ELSE coalesce(of_seats, of_all) END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.intervals_for(seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.intervals_for(seats_internal.team, text) IS
    'the intervals that a new item of a team''s subscription may have';

-- The price of a new item: the line's last one, else the first listed, of those that fit. As long as one
-- that would come first is not known, none is chosen (`not_known`: these are to be read); where none
-- fits, `why_not` says why of each. What can change at Stripe is trusted for `trusted_for`.
CREATE OR REPLACE FUNCTION seats_internal.choose_price(
    team          seats_internal.team,
    seat_type     text,
    trusted_for   interval,
    OUT price     text,
    OUT not_known text[],
    OUT why_not   text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_one  text := (SELECT s.last_price FROM seats_internal.seat_line AS s
                        WHERE s.team_id = team.id AND s.seat_type = choose_price.seat_type);
    wanted    text[] := seats_internal.intervals_for(team, last_one);
    one       record;
    is_known  boolean;
    misfit    text;
    misfits   text[] := '{}';
BEGIN
    IF wanted IS NULL AND jsonb_array_length(team.items) > 0 THEN
        SELECT array_agg(i.price) INTO not_known
          FROM jsonb_to_recordset(team.items) AS i (price text)
         WHERE i.price ~ '^[A-Za-z0-9_.:-]{1,255}$' AND i.price !~ '^[.]+$'
           AND NOT EXISTS (SELECT FROM seats_internal.stripe_price AS s
                            WHERE s.destination = team.destination AND s.price = i.price
                              AND s.known_at IS NOT NULL);
        IF not_known IS NULL THEN
            why_not := 'the intervals of the subscription''s items are not known';
        END IF;
        RETURN;
    END IF;
    FOR one IN
        SELECT p.price, s.recurring_interval, s.interval_count, s.currency, s.currencies, s.active, s.metered,
               s.known_at, s.problem, s.wanted_at, s.interval_count || ' ' || s.recurring_interval AS every
          FROM seats_internal.seat_price AS p
          LEFT JOIN seats_internal.stripe_price AS s ON s.destination = team.destination AND s.price = p.price
         WHERE p.seat_type = choose_price.seat_type
         ORDER BY coalesce(p.price = last_one, false) DESC, p.position
    LOOP
        is_known := coalesce(one.known_at >= clock_timestamp() - trusted_for AND one.wanted_at IS NULL, false);
        -- (What never changes of a price needs no new look.)
        misfit := CASE
            WHEN one.problem IS NULL AND one.known_at IS NOT NULL AND one.every IS NULL THEN 'is not bought again and again'
            WHEN one.problem IS NULL AND one.metered THEN 'is metered'
            WHEN one.problem IS NULL AND one.every <> ALL (wanted)
                THEN format('is for %s, and the subscription has %s', one.every, array_to_string(wanted, ', '))
            WHEN NOT is_known THEN NULL
            WHEN one.problem IS NOT NULL THEN format('cannot be had: %s', one.problem)
            WHEN one.active IS NOT TRUE THEN 'is archived'
            WHEN one.currency <> team.currency AND team.currency <> ALL (one.currencies)
                THEN format('is in %s, and the subscription in %s', one.currency, team.currency) END;
        IF misfit IS NOT NULL THEN
            misfits := misfits || format('%s %s', one.price, misfit);
        ELSIF NOT is_known OR one.currency <> team.currency AND one.currencies IS NULL THEN
            not_known := not_known || one.price;
        ELSIF not_known IS NULL THEN
            price := one.price;
            RETURN;
        END IF;
    END LOOP;
    IF not_known IS NULL THEN
        why_not := coalesce(nullif(array_to_string(misfits, '; '), ''), 'it lists none');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.choose_price(seats_internal.team, text, interval) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.choose_price(seats_internal.team, text, interval) IS
    'which of a seat type''s prices a new item of a team''s subscription gets; what must be read first; or why none fits';

-- {seat type: price} of the items that are added on the way from base to target.
CREATE OR REPLACE FUNCTION seats_internal.choose_prices(
    team          seats_internal.team,
    base          jsonb,
    target        jsonb,
    trusted_for   interval,
    OUT prices    jsonb,
    OUT not_known text[],
    OUT why_not   text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text;
    choice record;
BEGIN
    prices := '{}';
    FOR wanted IN
        SELECT t.key FROM jsonb_each_text(target) AS t
         WHERE t.value::integer > 0 AND coalesce((base ->> t.key)::integer, 0) = 0
           AND NOT EXISTS (SELECT FROM jsonb_to_recordset(team.items) AS i (price text, quantity numeric, metered boolean)
                            WHERE i.quantity IS NOT NULL AND i.metered IS NOT TRUE
                              AND (SELECT p.seat_type FROM seats_internal.seat_price AS p
                                    WHERE p.price = i.price) = t.key)
         ORDER BY t.key
    LOOP
        choice := seats_internal.choose_price(team, wanted, trusted_for);
        prices := prices || jsonb_build_object(wanted, choice.price);
        not_known := coalesce(not_known || choice.not_known, choice.not_known);
        IF choice.why_not IS NOT NULL THEN
            why_not := concat_ws('; ', why_not, format('of seat type %s: %s', wanted, choice.why_not));
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.choose_prices(seats_internal.team, jsonb, jsonb, interval) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.choose_prices(seats_internal.team, jsonb, jsonb, interval) IS
    'the prices of the items that a call adds; what must be read first; or why none fits';

-- A new item has no price yet: why a change must wait for that; null: it has one.
CREATE OR REPLACE FUNCTION seats_internal.wait_for_price(
    team      seats_internal.team,
    change    bigint,
    not_known text[],
    why_not   text
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason text;
BEGIN
    IF why_not IS NOT NULL THEN
        reason := 'no_price_fits';
        PERFORM seats_internal.raise_alert(
            'no_price:' || team.id, 'critical', 'no_price_fits',
            format('change %s of team %s waits: no listed price fits its subscription, %s', change, team.name,
                   why_not),
            jsonb_build_object('team', team.name, 'subscription', team.subscription),
            'List a price of its interval and currency with seats.define_seat_type: the change then goes on '
            'by itself. Or take it back with seats.cancel_change.', change, team.destination);
    ELSIF not_known IS NOT NULL THEN
        reason := 'price_not_known';
        PERFORM seats_internal.queue_price_read(team.destination, p.price) FROM unnest(not_known) AS p (price);
    ELSIF team.waits_for_price THEN
        PERFORM seats_internal.resolve_alert('no_price:' || team.id, 'a price fits');
    END IF;
    IF team.waits_for_price <> (reason IS NOT NULL) THEN
        UPDATE seats_internal.team AS t SET waits_for_price = reason IS NOT NULL WHERE t.id = team.id;
    END IF;
    RETURN reason;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.wait_for_price(seats_internal.team, bigint, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.wait_for_price(seats_internal.team, bigint, text[], text) IS
    'why a change waits until a price is known, or fits: it is read, or a person is told; null: it does not';

-- A call that is about to be made: the prices of its new items, or the reason why the head of the lane
-- must wait, visibly. It is offered anew when something has changed about that, and looked at now and then.
-- (What fitted a day ago is read once more.)
CREATE OR REPLACE FUNCTION seats_internal.prices_for_call(
    team       seats_internal.team,
    head       seats_internal.outbox,
    base       jsonb,
    target     jsonb,
    rises      boolean,
    OUT prices jsonb,
    OUT reason text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    choice record;
BEGIN
    reason := seats_internal.what_hinders(team, head, base, target, rises);
    IF reason IS NULL AND rises THEN
        choice := seats_internal.choose_prices(team, base, target, interval '1 day');
        prices := choice.prices;
        reason := seats_internal.wait_for_price(team, head.id, choice.not_known, choice.why_not);
    END IF;
    IF reason IS NOT NULL THEN
        UPDATE seats_internal.outbox AS o
           SET due_at = clock_timestamp() + interval '10 minutes', reason = prices_for_call.reason
         WHERE o.id = head.id;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.prices_for_call(
    seats_internal.team, seats_internal.outbox, jsonb, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.prices_for_call(
    seats_internal.team, seats_internal.outbox, jsonb, jsonb, boolean) IS
    'the prices of the items that a call adds, or why it must wait';
