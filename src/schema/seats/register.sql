-- Teams: linked with their subscription, and taken away again. Individuals are registered by the same function.

CREATE OR REPLACE FUNCTION seats_internal.registration_lock(destination text, subscription text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN hashtextextended(destination || ' is registering ' || subscription, 0);
REVOKE ALL ON FUNCTION seats_internal.registration_lock(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.registration_lock(text, text) IS
    'the lock between registering a subscription and taking its events for nobody''s';

CREATE OR REPLACE FUNCTION seats_internal.check_free_to_register(
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

CREATE OR REPLACE FUNCTION seats_internal.register(
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
    changes_before bigint;
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
    -- The version of its page goes on, in another lane or after it was unregistered.
    changes_before := coalesce((SELECT p.own_changes FROM seats_internal.page_of_team AS p WHERE p.lane_id = former.lane_id),
                               seats_internal.page_start());

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
               count_problem = NULL, currency = NULL, latest_invoice = NULL, past_due_invoice = NULL,
               swept_at = clock_timestamp(), changes = changes_before
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
        PERFORM seats_internal.retry_unmatched(destination, subscription);
    END IF;
    RETURN seats_internal.queue_read(registered, caller, 'registered');
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.register(text, text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.register(text, text, text, text, text, text, text) IS
    'links a team or an individual with a subscription, and has that read';

CREATE OR REPLACE FUNCTION seats_internal.register_team(
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

CREATE OR REPLACE FUNCTION seats.register_team(
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

CREATE OR REPLACE FUNCTION seats_internal.unregister(caller text, gone seats_internal.team, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- First, so that the sweep, which holds the team while it wants it read, is over.
    DELETE FROM seats_internal.team AS t WHERE t.id = gone.id;
    -- A read leaves nothing behind; one that is on the wire finds no team.
    DELETE FROM seats_internal.outbox AS o
     WHERE o.team_id = gone.id AND o.kind = 'read' AND o.state IN ('pending', 'waiting');
    PERFORM seats_internal.require_unused(
        format('%s %L cannot be unregistered', gone.kind, gone.name),
        ARRAY[(SELECT count(*) FROM seats_internal.outbox AS o
                WHERE (o.lane_id = gone.lane_id OR o.team_id = gone.id) AND o.kind <> 'read'),
              (SELECT count(*) FROM seats_internal.handler AS h WHERE h.lane_id = gone.lane_id),
              (SELECT count(*) FROM seats_internal.member AS m
                WHERE m.team_id = gone.id AND m.status = 'active'),
              (SELECT count(*) FROM seats_internal.invite AS i
                WHERE i.team_id = gone.id AND i.status = 'open')],
        '{open call(s),handler(s) that have not run,member(s),open invite(s)}',
        'Let the calls be settled (seats.blocked_lanes) or cancel them, let handlers run (seats.handlers), remove the '
        'members (seats.members; '
        'the application then reads in the journal what to take away), revoke the invites (seats.invites).');
    DELETE FROM seats_internal.seat_line AS s WHERE s.team_id = gone.id;
    DELETE FROM seats_internal.member AS m WHERE m.team_id = gone.id;
    DELETE FROM seats_internal.invite AS i WHERE i.team_id = gone.id;
    DELETE FROM seats_internal.request_key AS k WHERE k.team_id = gone.id;
    DELETE FROM seats_internal.expected_event AS e WHERE e.team_id = gone.id;
    DELETE FROM seats_internal.drift AS d WHERE d.team_id = gone.id;
    PERFORM seats_internal.resolve_alert(a.fingerprint, gone.kind || ' unregistered')
       FROM seats_internal.alert AS a
      WHERE a.resolved_at IS NULL
        AND split_part(a.fingerprint, ':', 1) IN ('subscription', 'unpaid', 'drift', 'over_allocated',
                                                  'invites_failed', 'uncounted', 'no_price', 'unknown_marker')
        AND split_part(a.fingerprint, ':', 2) = gone.id::text;
    PERFORM seats_internal.write_journal(
        gone.kind || '.unregistered', caller, NULL, gone.lane_id, reason,
        jsonb_strip_nulls(jsonb_build_object(
            gone.kind, gone.name, 'subscription', gone.subscription, 'customer', gone.customer,
            'destination', gone.destination, 'status', gone.status)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.unregister(text, seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.unregister(text, seats_internal.team, text) IS
    'forgets a team or an individual, whose lane is locked';

CREATE OR REPLACE FUNCTION seats_internal.unregister_team(
    caller           text,
    INOUT team       text,
    reason           text,
    OUT subscription text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone seats_internal.team;
BEGIN
    PERFORM seats_internal.require_reason(unregister_team.reason);
    gone := seats_internal.take_team(team);
    PERFORM seats_internal.unregister(caller, gone, unregister_team.reason);
    subscription := gone.subscription;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.unregister_team(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.unregister_team(text, text, text) IS 'behind seats.unregister_team';

CREATE OR REPLACE FUNCTION seats.unregister_team(INOUT team text, reason text, OUT subscription text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.unregister_team(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.unregister_team(text, text) IS
    'forgets a team, its former members and invites; refused while it has open calls, members or open '
    'invites. Its subscription goes on at Stripe: cancel it there';
