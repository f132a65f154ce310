-- Locks. The order everywhere is: a lane, then rows of the outbox. The lane is taken before an id is drawn and before
-- what it orders is read, which a second statement does, with a new snapshot.

-- A team's lock: its lane. The server's own deadlock check and lock_timeout apply; whoever has an
-- old snapshot gets a serialisation failure instead of stale numbers.
CREATE OR REPLACE FUNCTION seats_internal.take_team(team text) RETURNS seats_internal.team
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken  seats_internal.team;
    locked bigint;
BEGIN
    LOOP
        UPDATE seats_internal.lane AS l
           SET version = l.version + 1, used_on = CURRENT_DATE
          FROM seats_internal.team AS t
         WHERE t.name = team AND t.kind = 'team' AND l.id = t.lane_id
        RETURNING l.id INTO locked;
        -- A second statement, and a new snapshot: the first one may have waited, and the team may have
        -- been registered with another subscription meanwhile.
        SELECT t.* INTO taken FROM seats_internal.team AS t WHERE t.name = team AND t.kind = 'team';
        EXIT WHEN taken.id IS NULL OR taken.lane_id = locked;
    END LOOP;
    IF taken.id IS NULL THEN
        PERFORM seats_internal.refuse_individual(team);
        RAISE EXCEPTION 'there is no team %', coalesce(quote_literal(team), 'NULL')
            USING ERRCODE = 'PS501',
                  HINT = 'seats.register_team links an application''s team with its subscription; '
                         'the view seats.teams lists them.';
    END IF;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_team(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_team(text) IS
    'locks a team until the end of the transaction, and gives it as it is then';

-- The worker, and an event, only lock the lane, and who has an older snapshot would not notice. Called where
-- there is less than he sees: he gets a serialisation failure instead of sitting somebody on a seat that is gone.
CREATE OR REPLACE FUNCTION seats_internal.fail_older_snapshots(lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.lane AS l SET version = l.version + 1 WHERE l.id = fail_older_snapshots.lane_id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.fail_older_snapshots(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.fail_older_snapshots(bigint) IS
    'raises the version of a lane that is locked already: transactions with an older snapshot cannot take it any more';

-- The lane of a subscription is named like its path, as that of enqueue_call with verifier 'object'.
CREATE OR REPLACE FUNCTION seats_internal.take_subscription_lane(destination text, subscription text)
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

-- Locks the lane.
CREATE OR REPLACE FUNCTION seats_internal.require_lane(destination text, name text) RETURNS seats_internal.lane
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_lane seats_internal.lane;
BEGIN
    UPDATE seats_internal.lane AS l SET version = l.version + 1
     WHERE l.destination = require_lane.destination AND l.name = require_lane.name
    RETURNING l.* INTO found_lane;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'destination % has no lane %', quote_ident(destination), quote_ident(name)
            USING ERRCODE = 'PS408',
                  HINT = 'A lane exists from its first call on; seats.calls shows them.';
    END IF;
    RETURN found_lane;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_lane(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_lane(text, text) IS
    'locks a lane and gives it, or an error';

-- Who holds a team keeps up that team alone.
CREATE OR REPLACE FUNCTION seats_internal.try_lane(lane_id bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM seats_internal.lane AS l WHERE l.id = try_lane.lane_id FOR NO KEY UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.try_lane(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.try_lane(bigint) IS 'locks a lane if nobody else holds it';

-- Queues up for the lock, once and shortly, for a team that somebody is always changing.
CREATE OR REPLACE FUNCTION seats_internal.wait_for_lane(lane_id bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former text := current_setting('lock_timeout');
    taken  boolean;
BEGIN
    PERFORM set_config('lock_timeout', '50ms', true);
    PERFORM FROM seats_internal.lane AS l WHERE l.id = wait_for_lane.lane_id FOR NO KEY UPDATE;
    taken := FOUND;
    PERFORM set_config('lock_timeout', former, true);
    RETURN taken;
EXCEPTION WHEN lock_not_available THEN  -- which undoes the setting, too
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.wait_for_lane(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.wait_for_lane(bigint) IS
    'locks a lane, and waits a moment for it; false: in vain';

-- Locks the lanes that nobody holds, in order, and gives them. What is about to be settled must be counted
-- by the prices that are listed now, and what was before, too: else the difference would be somebody's doing.
CREATE OR REPLACE FUNCTION seats_internal.take_lanes(lanes bigint[], queue_for_lane bigint) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken bigint[];
BEGIN
    SELECT coalesce(array_agg(l.id), '{}') INTO taken
      FROM (SELECT lane.id FROM seats_internal.lane
             WHERE lane.id = ANY (lanes)
             ORDER BY lane.id FOR NO KEY UPDATE SKIP LOCKED) AS l;
    IF queue_for_lane = ANY (lanes) AND queue_for_lane <> ALL (taken) THEN
        IF seats_internal.wait_for_lane(queue_for_lane) THEN
            taken := taken || queue_for_lane;
        END IF;
    END IF;
    IF EXISTS (SELECT FROM seats_internal.recount) THEN
        PERFORM seats_internal.recount_now(t.id) FROM seats_internal.team AS t
          WHERE t.lane_id = ANY (taken) AND t.kind = 'team' AND t.items IS NOT NULL;
    END IF;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_lanes(bigint[], bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_lanes(bigint[], bigint) IS
    'locks those of the lanes that nobody else holds (waits a moment for one of them), and counts their teams anew if need be';

-- Lane first, then the row: the order that everybody keeps.
CREATE OR REPLACE FUNCTION seats_internal.lock_call(call bigint) RETURNS seats_internal.outbox
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.outbox;
BEGIN
    UPDATE seats_internal.lane
       SET version = lane.version + 1
      FROM seats_internal.outbox AS o
     WHERE o.id = call AND lane.id = o.lane_id;
    SELECT o.* INTO locked FROM seats_internal.outbox AS o WHERE o.id = call FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_not_open(call);
    END IF;
    RETURN locked;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.lock_call(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.lock_call(bigint) IS
    'locks the lane and the row of an open call, and gives the row as it is then';

-- The worker finds rows by the transaction that made them eligible, and remembers of a lane only
-- how far it has come. So whoever changes or removes a lane's first row shows it the lane anew. (The
-- lane is named by its bounds: with an equality the primary key would do for the order, and would be
-- read from its head.)
CREATE OR REPLACE FUNCTION seats_internal.reoffer_lane(lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox
       SET eligible_xid = pg_current_xact_id()
     WHERE outbox.id = (SELECT head.id
                          FROM seats_internal.outbox AS head
                         WHERE head.lane_id BETWEEN reoffer_lane.lane_id AND reoffer_lane.lane_id
                         ORDER BY head.lane_id, head.id
                         LIMIT 1);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reoffer_lane(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reoffer_lane(bigint) IS
    'lets the worker see the first row of a lane as if it had just arrived';
