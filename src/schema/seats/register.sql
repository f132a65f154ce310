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
    ON CONFLICT ON CONSTRAINT lane_is_unique_by_destination
        DO UPDATE SET version = l.version + 1, used_on = CURRENT_DATE
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
               count_problem = NULL, currency = NULL, swept_at = clock_timestamp()
         WHERE t.id = registered.id;
        UPDATE seats_internal.seat_line AS s SET held = false, last_price = NULL
         WHERE s.team_id = registered.id;
        PERFORM seats_internal.resolve_alert('subscription:' || registered.id,
                                             'registered with another subscription');
        PERFORM seats_internal.resolve_alert('uncounted:' || registered.id,
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
