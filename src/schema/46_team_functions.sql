-- Teams and kinds of seats: what has to be there before seats can be bought.

CREATE FUNCTION seats_internal.is_operator(caller text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN has_function_privilege(caller, 'seats.retry(bigint, text)'::regprocedure, 'EXECUTE');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.is_operator(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_operator(text) IS
    'whether a role has been given what seats.grant_operator gives';

CREATE FUNCTION seats_internal.check_id(what text, id text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF id IS NULL OR id !~ '[^[:space:]]' OR octet_length(id) > 255 THEN
        RAISE EXCEPTION '% must have 1 to 255 bytes, and not only spaces', what
            USING ERRCODE = 'PS520',
                  DETAIL = CASE WHEN id IS NULL THEN 'It is NULL.'
                           ELSE format('It has %s bytes.', octet_length(id)) END,
                  HINT = 'Give the id that the application knows it by.';
    ELSIF id <> seats_internal.one_line(id) THEN
        RAISE EXCEPTION '% must not have line breaks or other control characters', what
            USING ERRCODE = 'PS520',
                  DETAIL = format('It is %s.', quote_literal(left(seats_internal.one_line(id), 60))),
                  HINT = 'It is shown to people, in messages of several lines.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_id(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_id(text, text) IS 'an error unless it can be an id';

-- Ids of Stripe's go into paths and bodies.
CREATE FUNCTION seats_internal.check_stripe_id(what text, id text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF id IS NULL OR id !~ '^[A-Za-z0-9_.:-]{1,255}$' OR id ~ '^[.]+$' THEN
        RAISE EXCEPTION 'that cannot be the id of a %', what
            USING ERRCODE = 'PS520',
                  DETAIL = format('It is %s.', coalesce(quote_literal(left(id, 60)), 'NULL')),
                  HINT = 'Copy it from Stripe''s Dashboard, or from an answer of its API.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_stripe_id(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_stripe_id(text, text) IS
    'an error unless it can be an id of Stripe''s';

CREATE FUNCTION seats_internal.only_destination(destination text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text;
BEGIN
    SELECT d.name INTO name FROM seats_internal.destination AS d
     WHERE d.kind = 'stripe' AND d.name = coalesce(destination, d.name)
     ORDER BY d.name LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no destination of kind stripe%', coalesce(' named ' || quote_literal(destination), '')
            USING ERRCODE = 'PS101',
                  HINT = 'seats.define_destination() makes one; the view seats.destinations lists them.';
    ELSIF destination IS NULL AND (SELECT count(*) FROM seats_internal.destination AS d
                                    WHERE d.kind = 'stripe') > 1 THEN
        RAISE EXCEPTION 'there are several destinations: say which one'
            USING ERRCODE = 'PS101', HINT = 'Give the argument destination.';
    END IF;
    RETURN name;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.only_destination(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.only_destination(text) IS
    'the destination of that name, or the only one; else an error';

CREATE FUNCTION seats_internal.require_installation() RETURNS uuid
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own uuid := (SELECT i.uuid FROM seats_internal.installation AS i);
BEGIN
    IF own IS NULL THEN
        RAISE EXCEPTION 'this database has no installation of pg_seats yet'
            USING ERRCODE = 'PS109',
                  HINT = 'A superuser must run seats.create_installation() once.';
    END IF;
    RETURN own;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_installation() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_installation() IS
    'the installation''s uuid, or an error if there is none';

-- The lane of a subscription is named like its path, as that of enqueue_call with verifier 'object'.
CREATE FUNCTION seats_internal.take_subscription_lane(destination text, subscription text)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO seats_internal.lane AS l (destination, name)
    VALUES (destination, '/v1/subscriptions/' || subscription)
    ON CONFLICT ON CONSTRAINT lane_is_unique_by_destination DO UPDATE SET version = l.version + 1
    RETURNING l.id;
END;
REVOKE ALL ON FUNCTION seats_internal.take_subscription_lane(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_subscription_lane(text, text) IS
    'locks the lane of a subscription, which is made if need be';

CREATE FUNCTION seats_internal.check_free_to_register(
    kind         text,
    name         text,
    subscription text,
    destination  text
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other seats_internal.team;
BEGIN
    SELECT t.* INTO other FROM seats_internal.team AS t
     WHERE t.destination = check_free_to_register.destination
       AND t.subscription = check_free_to_register.subscription
       AND (t.kind, t.name) <> (check_free_to_register.kind, check_free_to_register.name);
    IF FOUND THEN
        RAISE EXCEPTION 'subscription % belongs to another %', subscription, other.kind
            USING ERRCODE = 'PS502', DETAIL = format('It is registered for %s %L.', other.kind, other.name),
                  HINT = 'A subscription has one team: whose seats would its quantity be?';
    END IF;
    IF EXISTS (SELECT FROM seats_internal.team AS t
                 JOIN seats_internal.outbox AS o ON o.lane_id = t.lane_id
                WHERE t.kind = check_free_to_register.kind AND t.name = check_free_to_register.name
                  AND (t.destination, t.subscription)
                      <> (check_free_to_register.destination, check_free_to_register.subscription)) THEN
        RAISE EXCEPTION '% % still has open changes of its former subscription', kind, name
            USING ERRCODE = 'PS502',
                  HINT = 'Wait until they are settled (seats.changes, seats.blocked_lanes), or cancel '
                         'them with seats.cancel_change.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_free_to_register(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_free_to_register(text, text, text, text) IS
    'an error if the subscription is somebody else''s, or the team is not done with its former one';

CREATE FUNCTION seats_internal.register(
    caller       text,
    kind         text,
    name         text,
    subscription text,
    customer     text,
    destination  text,
    external_id  text
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former     seats_internal.team;
    registered seats_internal.team;
    lane       bigint;
BEGIN
    PERFORM seats_internal.require_installation();
    PERFORM seats_internal.check_stripe_id('subscription', subscription);
    IF customer IS NOT NULL THEN
        PERFORM seats_internal.check_stripe_id('customer', customer);
    END IF;
    destination := seats_internal.only_destination(destination);
    UPDATE seats_internal.lane AS l SET version = l.version + 1
      FROM seats_internal.team AS t
     WHERE t.kind = register.kind AND t.name = register.name AND l.id = t.lane_id;
    lane := seats_internal.take_subscription_lane(destination, subscription);
    -- Its events are nobody's until this commits: those that come meanwhile are tried again. Those that
    -- are being taken at this moment are not waited for (two relays that register would deadlock): the
    -- first read looks for them.
    PERFORM seats_internal.try_lock(seats_internal.registration_lock(destination, subscription), false);
    PERFORM seats_internal.check_free_to_register(kind, name, subscription, destination);
    SELECT t.* INTO former FROM seats_internal.team AS t
     WHERE t.kind = register.kind AND t.name = register.name;

    INSERT INTO seats_internal.team AS t
        (kind, name, destination, subscription, customer, lane_id, external_id, registered_by)
    VALUES (kind, name, destination, subscription, customer, lane, external_id, caller)
    ON CONFLICT ON CONSTRAINT team_is_unique_by_name DO UPDATE
       SET destination = excluded.destination, subscription = excluded.subscription,
           customer = coalesce(excluded.customer, t.customer), lane_id = excluded.lane_id,
           external_id = coalesce(excluded.external_id, t.external_id)
    RETURNING t.* INTO registered;
    IF former.id IS NULL OR former.lane_id <> lane THEN
        -- What the former subscription said does not hold for this one.
        UPDATE seats_internal.team AS t
           SET status = NULL, items = NULL, base_proven_at = NULL, base_run = NULL, problem = NULL,
               swept_at = clock_timestamp()
         WHERE t.id = registered.id;
        PERFORM seats_internal.resolve_alert('subscription:' || registered.id,
                                             'registered with another subscription');
        PERFORM seats_internal.resolve_alert('unpaid:' || registered.id,
                                             'registered with another subscription');
        PERFORM seats_internal.write_journal(
            kind || '.registered', caller, NULL, lane, NULL,
            jsonb_strip_nulls(jsonb_build_object(
                kind, name, 'subscription', subscription, 'customer', customer,
                'destination', destination, 'former_subscription', former.subscription)));
        PERFORM seats_internal.heed_unmatched(destination, subscription);
    END IF;
    RETURN seats_internal.queue_read(registered, caller, 'registered');
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.register(text, text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.register(text, text, text, text, text, text, text) IS
    'links a team or an individual with a subscription, and has that read';

CREATE FUNCTION seats_internal.register_team(
    caller       text,
    team         text,
    subscription text,
    customer     text,
    destination  text
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.check_id('team', team);
    RETURN seats_internal.register(caller, 'team', team, subscription, customer, destination, NULL);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.register_team(text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.register_team(text, text, text, text, text) IS
    'behind seats.register_team';

CREATE FUNCTION seats.register_team(
    team         text,
    subscription text,
    customer     text DEFAULT NULL,
    destination  text DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.register_team(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.register_team(text, text, text, text) IS
    'links a team of the application''s with its subscription at Stripe, which is read at once: gives '
    'that read''s id, for wait_for_call. Until it is done the team''s seats cannot be changed';

-- Kinds of seats.

CREATE FUNCTION seats_internal.check_seat_type(
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
BEGIN
    PERFORM seats_internal.check_id('seat_type', seat_type);
    wrong := CASE
        WHEN coalesce(cardinality(prices), 0) = 0
            THEN 'At least one price is needed: the first is bought, all are counted.'
        WHEN coalesce(rules.largest_change, 0) < 1 OR rules.largest_total < 1
            THEN 'largest_change and largest_total must be at least 1.'
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
    SELECT p.price INTO price FROM seats_internal.seat_price AS p
     WHERE p.price = ANY (prices) AND p.seat_type <> check_seat_type.seat_type LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'price % belongs to another seat type', price
            USING ERRCODE = 'PS522',
                  HINT = 'A price has one seat type, or its seats would be counted twice.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_seat_type(
    text, text[], seats_internal.seat_type, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_seat_type(
    text, text[], seats_internal.seat_type, boolean) IS
    'an error that says what is wrong with a seat type';

CREATE FUNCTION seats_internal.define_seat_type(
    caller                            text,
    INOUT seat_type                   text,
    INOUT prices                      text[],
    INOUT largest_change              integer,
    INOUT largest_total               integer,
    INOUT increase_proration_behavior text,
    INOUT increase_payment_behavior   text,
    INOUT decrease_proration_behavior text,
    allow_unpaid                      boolean,
    INOUT delete_at_zero              boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rules seats_internal.seat_type;
    team  seats_internal.team;
BEGIN
    rules.name := seat_type;
    rules.largest_change := largest_change;
    rules.largest_total := largest_total;
    rules.increase_proration_behavior := increase_proration_behavior;
    rules.increase_payment_behavior := increase_payment_behavior;
    rules.decrease_proration_behavior := decrease_proration_behavior;
    rules.delete_at_zero := delete_at_zero;
    rules.defined_at := clock_timestamp();
    rules.defined_by := caller;
    PERFORM seats_internal.check_seat_type(seat_type, prices, rules, allow_unpaid);
    INSERT INTO seats_internal.seat_type AS s SELECT (rules).*
    ON CONFLICT ON CONSTRAINT seat_type_pkey DO UPDATE
       SET largest_change = excluded.largest_change, largest_total = excluded.largest_total,
           increase_proration_behavior = excluded.increase_proration_behavior,
           increase_payment_behavior = excluded.increase_payment_behavior,
           decrease_proration_behavior = excluded.decrease_proration_behavior,
           delete_at_zero = excluded.delete_at_zero, defined_at = excluded.defined_at,
           defined_by = excluded.defined_by;
    DELETE FROM seats_internal.seat_price AS p WHERE p.seat_type = define_seat_type.seat_type;
    INSERT INTO seats_internal.seat_price (price, seat_type, position)
    SELECT p.price, define_seat_type.seat_type, p.position
      FROM unnest(prices) WITH ORDINALITY AS p (price, position);
    -- Other prices count now: in teams that have been read already, too.
    FOR team IN
        SELECT t.* FROM seats_internal.team AS t
         WHERE t.items IS NOT NULL AND t.kind = 'team' ORDER BY t.lane_id
    LOOP
        team := seats_internal.take_team(team.name);
        PERFORM seats_internal.confirm_quantities(
            team, seats_internal.count_items(team.items), seats_internal.count_items(team.items), NULL);
        PERFORM seats_internal.refold(team.id, team.lane_id);
    END LOOP;
    PERFORM seats_internal.write_journal('seat_type.defined', caller, NULL, NULL, NULL,
                                         to_jsonb(rules) || jsonb_build_object('prices', prices));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.define_seat_type(
    text, text, text[], integer, integer, text, text, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.define_seat_type(
    text, text, text[], integer, integer, text, text, text, boolean, boolean) IS
    'behind seats.define_seat_type';

CREATE FUNCTION seats.define_seat_type(
    INOUT seat_type                   text,
    INOUT prices                      text[],
    INOUT largest_change              integer DEFAULT 50,
    INOUT largest_total               integer DEFAULT NULL,
    INOUT increase_proration_behavior text    DEFAULT 'always_invoice',
    INOUT increase_payment_behavior   text    DEFAULT 'error_if_incomplete',
    INOUT decrease_proration_behavior text    DEFAULT 'create_prorations',
    allow_unpaid                      boolean DEFAULT false,
    INOUT delete_at_zero              boolean DEFAULT true
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.define_seat_type(
    text, text[], integer, integer, text, text, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.define_seat_type(
    text, text[], integer, integer, text, text, text, boolean, boolean) IS
    'defines or redefines a kind of seats: its prices at Stripe (the first is bought, all are '
    'counted; the first that a subscription has is what grows, the last is what shrinks first), the '
    'largest change and total, and how changes are billed. increase_payment_behavior is '
    'error_if_incomplete (no payment, no seats; reverts what needs 3-D Secure, too) or '
    'pending_if_incomplete (the seats wait for the payment); the others give seats out unpaid and want '
    'allow_unpaid. delete_at_zero: the item goes '
    'with its last seat';
