-- What Stripe says about a subscription, and what follows from it. `facts` are the known fields of
-- its JSON, as C++ has read them (src/core/subscription.hpp).

-- Something may have changed at Stripe: read the subscription, once, whoever asks however often.
-- Waits for nobody, so that a webhook can do it while the team is locked.
CREATE FUNCTION seats_internal.queue_read(team seats_internal.team, caller text, reason text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    read bigint;
BEGIN
    -- A read that was not sent yet will see what we know of; created_at says since when it must.
    UPDATE seats_internal.outbox AS o
       SET created_at = clock_timestamp()
     WHERE o.id = (SELECT r.id FROM seats_internal.outbox AS r
                    WHERE r.team_id = team.id AND r.kind = 'read' AND r.state <> 'sending'
                    ORDER BY r.id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING o.id INTO read;
    IF read IS NULL THEN
        INSERT INTO seats_internal.outbox
            (installation, destination, method, path, body, enqueued_by, kind, team_id,
             beside_lane_id, context, created_at)
        SELECT i.uuid, team.destination, 'GET', '/v1/subscriptions/' || team.subscription, '', caller,
               'read', team.id, team.lane_id, jsonb_build_object('because', queue_read.reason),
               clock_timestamp()
          FROM seats_internal.installation AS i
        RETURNING id INTO read;
    END IF;
    RETURN read;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.queue_read(seats_internal.team, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.queue_read(seats_internal.team, text, text) IS
    'leaves a read of a team''s subscription in the outbox, unless one is waiting there';

CREATE FUNCTION seats_internal.is_terminal(status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN coalesce(status IN ('canceled', 'incomplete_expired'), false);
REVOKE ALL ON FUNCTION seats_internal.is_terminal(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_terminal(text) IS 'a subscription that never comes back';

-- Seats by type; a price that no type has is not ours to count.
CREATE FUNCTION seats_internal.count_items(items jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(c.seat_type, c.quantity), '{}')
      FROM (SELECT p.seat_type, sum(i.quantity) AS quantity
              FROM jsonb_to_recordset(items)
                   AS i (price text, quantity integer, metered boolean)
              JOIN seats_internal.seat_price AS p ON p.price = i.price
             WHERE i.quantity IS NOT NULL AND i.metered IS NOT TRUE
             GROUP BY p.seat_type) AS c;
END;
REVOKE ALL ON FUNCTION seats_internal.count_items(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_items(jsonb) IS '{seat type: quantity} of a subscription''s items';

-- Makes a team's confirmed quantities what Stripe has proved. `expected` is what we thought they
-- would be: what differs from it was changed by somebody else.
CREATE FUNCTION seats_internal.confirm_quantities(
    team     seats_internal.team,
    counted  jsonb,
    expected jsonb,
    call_id  bigint
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outside jsonb;
BEGIN
    SELECT jsonb_object_agg(e.key, jsonb_build_object(
               'expected', e.value::integer, 'found', coalesce((counted ->> e.key)::integer, 0)))
      INTO outside
      FROM jsonb_each_text(expected || (SELECT coalesce(jsonb_object_agg(c.key, coalesce(expected -> c.key, '0')), '{}')
                                          FROM jsonb_each(counted) AS c)) AS e
     WHERE e.value::integer <> coalesce((counted ->> e.key)::integer, 0);
    IF outside IS NOT NULL THEN
        PERFORM seats_internal.write_journal(
            'seats.changed_outside', 'stripe', call_id, team.lane_id, NULL,
            jsonb_build_object('team', team.name, 'seats', outside));
    END IF;
    INSERT INTO seats_internal.seat_line AS s (team_id, seat_type, confirmed, quantity)
    SELECT team.id, c.key, c.value::integer, c.value::integer
      FROM jsonb_each_text(counted) AS c
    ON CONFLICT ON CONSTRAINT seat_line_pkey DO UPDATE SET confirmed = excluded.confirmed
     WHERE s.confirmed <> excluded.confirmed;
    UPDATE seats_internal.seat_line AS s
       SET confirmed = 0
     WHERE s.team_id = team.id AND s.confirmed <> 0 AND NOT counted ? s.seat_type;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.confirm_quantities(seats_internal.team, jsonb, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.confirm_quantities(seats_internal.team, jsonb, jsonb, bigint) IS
    'stores what Stripe has proved, and tells the journal what somebody else has changed';

-- `proven_at`: the facts are at least as new as that. Without `expected`, everything that differs
-- from what was confirmed is news.
CREATE FUNCTION seats_internal.apply_facts(
    team      seats_internal.team,
    facts     jsonb,
    proven_at timestamptz,
    run       uuid,
    expected  jsonb  DEFAULT NULL,
    call_id   bigint DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_status text := facts ->> 'status';
BEGIN
    UPDATE seats_internal.team AS t
       SET status               = new_status,
           customer             = coalesce(facts ->> 'customer', t.customer),
           livemode             = (facts ->> 'livemode')::boolean,
           collection_method    = facts ->> 'collection_method',
           cancel_at_period_end = coalesce((facts ->> 'cancel_at_period_end')::boolean, false),
           cancel_at            = to_timestamp((facts ->> 'cancel_at')::double precision),
           current_period_end   = to_timestamp((facts ->> 'current_period_end')::double precision),
           trial_end            = to_timestamp((facts ->> 'trial_end')::double precision),
           ended_at             = to_timestamp((facts ->> 'ended_at')::double precision),
           schedule             = facts ->> 'schedule',
           paused               = coalesce((facts ->> 'paused')::boolean, false),
           items                = facts -> 'items',
           base_proven_at       = apply_facts.proven_at,
           base_run             = apply_facts.run,
           problem              = NULL
     WHERE t.id = team.id;
    IF team.problem IS NOT NULL THEN
        PERFORM seats_internal.resolve_alert('subscription:' || team.id, 'the subscription was read');
    END IF;
    IF team.status IS DISTINCT FROM new_status THEN
        PERFORM seats_internal.write_journal(
            'subscription.status', 'stripe', call_id, team.lane_id, NULL,
            jsonb_build_object('team', team.name, 'from', team.status, 'to', new_status));
    END IF;
    PERFORM seats_internal.confirm_quantities(
        team, seats_internal.count_items(facts -> 'items'),
        coalesce(expected, CASE WHEN team.items IS NULL THEN seats_internal.count_items(facts -> 'items')
                                ELSE (SELECT coalesce(jsonb_object_agg(s.seat_type, s.confirmed), '{}')
                                        FROM seats_internal.seat_line AS s
                                       WHERE s.team_id = team.id) END),
        call_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_facts(
    seats_internal.team, jsonb, timestamptz, uuid, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_facts(
    seats_internal.team, jsonb, timestamptz, uuid, jsonb, bigint) IS
    'makes a team what Stripe says of its subscription; the caller refolds';

-- The subscription is over: nothing of what is open can come true any more. What was sent and is in
-- doubt is left to its own proof.
CREATE FUNCTION seats_internal.end_team(team_id bigint, lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change record;
BEGIN
    FOR change IN
        SELECT o.id, o.last_id FROM seats_internal.outbox AS o
         WHERE o.lane_id = end_team.lane_id AND o.kind = 'change'
           AND (o.state = 'pending' AND NOT o.doubt OR o.state = 'awaiting')
         ORDER BY o.id
    LOOP
        PERFORM seats_internal.finish_changes(end_team.lane_id, change.id,
                                              coalesce(change.last_id, change.id), 'refused',
                                              'subscription_ended');
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_team(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_team(bigint, bigint) IS
    'reverts what can no longer come true, because the subscription is over';

-- ---- what a read proves about changes whose outcome we do not know, or have forgotten

CREATE FUNCTION seats_internal.first_of_marker(marker text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN marker ~ '^[0-9a-f-]{36}-[0-9a-f-]{36}-[0-9]+$' THEN left(marker, 36)::uuid END;
REVOKE ALL ON FUNCTION seats_internal.first_of_marker(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.first_of_marker(text) IS
    'the first change that a marker speaks of, or null';

CREATE FUNCTION seats_internal.last_of_marker(marker text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN marker ~ '^[0-9a-f-]{36}-[0-9a-f-]{36}-[0-9]+$' THEN substr(marker, 38, 36)::uuid END;
REVOKE ALL ON FUNCTION seats_internal.last_of_marker(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.last_of_marker(text) IS
    'the last change that a marker speaks of, or null';

-- The marker on the subscription names the changes that were executed last. If they are open here,
-- our table has forgotten it (a failover, a restore), or the answer never came.
CREATE FUNCTION seats_internal.heed_marker(team seats_internal.team, marker text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    first_id bigint;
    end_id   bigint;
    known    text;
    change   bigint;
BEGIN
    SELECT m.marker INTO known FROM seats_internal.lane_marker AS m WHERE m.lane_id = team.lane_id;
    IF marker IS NULL OR marker = known THEN
        RETURN;
    END IF;
    SELECT o.id INTO first_id FROM seats_internal.outbox AS o
     WHERE o.lane_id = team.lane_id AND o.uuid = seats_internal.first_of_marker(marker)
       AND o.kind = 'change';
    IF first_id IS NULL THEN
        -- Calls of enqueue_call in the lane carry markers as well, and are proved by themselves.
        IF NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                        WHERE o.lane_id = team.lane_id
                          AND o.uuid = seats_internal.first_of_marker(marker)) THEN
            PERFORM seats_internal.tell_unknown_marker(team, marker, known);
        END IF;
        RETURN;
    END IF;
    -- What stands before it in the lane was settled before it was sent, and we have forgotten how.
    FOR change IN
        SELECT o.id FROM seats_internal.outbox AS o
         WHERE o.lane_id = team.lane_id AND o.id < first_id AND o.kind = 'change'
           AND o.state IN ('pending', 'waiting', 'verifying')
         ORDER BY o.id
    LOOP
        PERFORM seats_internal.review_change(change, 'overtaken',
            'a later change of the same team was executed, so it was executed or refused before, and '
            'this database has forgotten which');
    END LOOP;
    SELECT coalesce(max(o.id), first_id) INTO end_id FROM seats_internal.outbox AS o
     WHERE o.lane_id = team.lane_id AND o.id >= first_id
       AND o.uuid = seats_internal.last_of_marker(marker);
    PERFORM seats_internal.finish_changes(team.lane_id, first_id, end_id, 'done', 'proven_by_marker');
    INSERT INTO seats_internal.lane_marker AS m (lane_id, marker) VALUES (team.lane_id, heed_marker.marker)
    ON CONFLICT ON CONSTRAINT lane_marker_pkey DO UPDATE SET marker = excluded.marker;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.heed_marker(seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.heed_marker(seats_internal.team, text) IS
    'settles open changes that a subscription''s marker proves to be executed';

CREATE FUNCTION seats_internal.tell_unknown_marker(
    team   seats_internal.team,
    marker text,
    known  text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.raise_alert(
        'unknown_marker:' || team.id, 'critical', 'unknown_marker',
        format('the subscription of team %s was changed by a call that this database does not know', team.name),
        jsonb_build_object('team', team.name, 'subscription', team.subscription, 'marker', marker,
                           'last_known_marker', known),
        'A failover or a restore has lost a change that was sent, or another database with '
        'pg_seats changes the same subscription. Compare the team''s seats with what it asked for, '
        'then acknowledge this alert.');
    -- Told once: from here on it is known.
    INSERT INTO seats_internal.lane_marker AS m (lane_id, marker) VALUES (team.lane_id, tell_unknown_marker.marker)
    ON CONFLICT ON CONSTRAINT lane_marker_pkey DO UPDATE SET marker = excluded.marker;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.tell_unknown_marker(seats_internal.team, text, text)
    FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tell_unknown_marker(seats_internal.team, text, text) IS
    'the alert that something was executed in our name that we do not know of';

-- The same for a change that waits for its payment at Stripe.
CREATE FUNCTION seats_internal.heed_pending_update(team seats_internal.team, facts jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pending_marker text := facts #>> '{pending_update,marker}';
    change seats_internal.outbox;
    end_id bigint;
BEGIN
    SELECT o.* INTO change FROM seats_internal.outbox AS o
     WHERE o.lane_id = team.lane_id AND o.kind = 'change'
       AND o.uuid = seats_internal.first_of_marker(pending_marker)
       AND o.state IN ('pending', 'waiting', 'verifying', 'awaiting');
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT coalesce(max(o.id), change.id) INTO end_id FROM seats_internal.outbox AS o
     WHERE o.lane_id = team.lane_id AND o.id >= change.id
       AND o.uuid = seats_internal.last_of_marker(pending_marker);
    UPDATE seats_internal.outbox AS o
       SET state = 'awaiting', payment = seats_internal.payment_of(facts), reason = 'awaiting_payment',
           state_since = CASE o.state WHEN 'awaiting' THEN o.state_since ELSE clock_timestamp() END,
           due_at = coalesce(o.due_at, clock_timestamp() + interval '1 minute'),
           first_sent_at = coalesce(o.first_sent_at, o.created_at),
           body = CASE o.body WHEN '' THEN 'forgotten' ELSE o.body END,
           base = coalesce(o.base, seats_internal.count_items(facts -> 'items')),
           target = coalesce(o.target, seats_internal.count_items(facts -> 'items')
               || seats_internal.count_items(facts #> '{pending_update,items}')),
           last_id = coalesce(o.last_id, nullif(end_id, change.id)),
           last_uuid = coalesce(o.last_uuid, seats_internal.last_of_marker(pending_marker))
     WHERE o.id = change.id;
    UPDATE seats_internal.outbox AS o
       SET state = 'carried', state_since = clock_timestamp()
     WHERE o.lane_id = team.lane_id AND o.id > change.id AND o.id <= end_id AND o.state = 'pending';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.heed_pending_update(seats_internal.team, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.heed_pending_update(seats_internal.team, jsonb) IS
    'an open change that Stripe holds as a pending update waits for its payment';

CREATE FUNCTION seats_internal.payment_of(facts jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_strip_nulls(jsonb_build_object(
    'expires_at', to_timestamp((facts #>> '{pending_update,expires_at}')::double precision),
    'invoice', facts #>> '{invoice,id}',
    'invoice_url', facts #>> '{invoice,url}'));
REVOKE ALL ON FUNCTION seats_internal.payment_of(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_of(jsonb) IS
    'what a change waits for: the invoice, where to pay it, and until when';

-- A read of the subscription that went through. The lane is locked, and nothing of it is on the wire.
CREATE FUNCTION seats_internal.settle_read(
    team_id   bigint,
    facts     jsonb,
    proven_at timestamptz,
    run       uuid
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team seats_internal.team;
BEGIN
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = settle_read.team_id;
    IF NOT FOUND OR facts ->> 'id' <> team.subscription THEN
        RETURN;
    END IF;
    PERFORM seats_internal.heed_marker(team, facts ->> 'marker');
    PERFORM seats_internal.heed_pending_update(team, facts);
    PERFORM seats_internal.apply_facts(team, facts, proven_at, run);
    IF seats_internal.is_terminal(facts ->> 'status') THEN
        PERFORM seats_internal.end_team(team.id, team.lane_id);
    END IF;
    PERFORM seats_internal.refold(team.id, team.lane_id);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.settle_read(bigint, jsonb, timestamptz, uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.settle_read(bigint, jsonb, timestamptz, uuid) IS
    'makes a team what a read of its subscription says';

CREATE FUNCTION seats_internal.read_failed(team_id bigint, problem text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team seats_internal.team;
BEGIN
    UPDATE seats_internal.team AS t
       SET problem = read_failed.problem
     WHERE t.id = read_failed.team_id
    RETURNING t.* INTO team;
    IF FOUND THEN
        PERFORM seats_internal.raise_alert(
            'subscription:' || team.id, 'critical', 'subscription_unreadable',
            format('the subscription of team %s cannot be read: %s', team.name, problem),
            jsonb_build_object('team', team.name, 'subscription', team.subscription),
            'Is it the right id, and of the account that the destination''s key belongs to? '
            'seats.reconcile(team, reason) reads it again.', destination => team.destination);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.read_failed(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.read_failed(bigint, text) IS
    'a team''s subscription is not there to be read';
