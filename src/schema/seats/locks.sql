-- Taking a team, or a subscription that is to be one's: its lock is its lane.

CREATE OR REPLACE FUNCTION seats_internal.raise_no_such_team(team text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.refuse_individual(team);
    RAISE EXCEPTION 'there is no team %', coalesce(quote_literal(team), 'NULL')
        USING ERRCODE = 'PS501',
              HINT = 'seats.register_team links an application''s team with its subscription; '
                     'the view seats.teams lists them.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_no_such_team(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_no_such_team(text) IS
    'the error for a name that is no team''s';

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
        PERFORM seats_internal.raise_no_such_team(team);
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
