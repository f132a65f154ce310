-- Reconciliation: a slow sweep over all subscriptions, because events get lost. What it finds is
-- reported or taken over, as pg_seats.reconcile says. docs/reconciliation.md has the arithmetic.

-- Called by the worker when nothing else is to be done. Those whose last proof is the oldest come
-- first; who was read anyway, because seats were bought, is passed by. A destination that takes no
-- calls keeps up nobody else. `after` is what the last look gave: before that, nothing is due. (An
-- index that is read from its head gets slow under an old snapshot.)
CREATE OR REPLACE FUNCTION seats_internal.sweep(
    after          timestamptz,
    most           integer,
    round          interval,
    OUT queued     integer,
    OUT next_after timestamptz
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due_before timestamptz := clock_timestamp() - round;
    place      record;
    team       seats_internal.team;
    looked     integer;
    until      timestamptz;
BEGIN
    queued := 0;
    next_after := due_before;
    FOR place IN
        SELECT d.name, d.paused_at IS NULL AND d.halted_at IS NULL AS takes_calls
          FROM seats_internal.destination AS d WHERE d.kind = 'stripe'
    LOOP
        looked := 0;
        until := CASE WHEN place.takes_calls THEN due_before ELSE after END;
        FOR team IN
            SELECT t.* FROM seats_internal.team AS t
             WHERE t.destination = place.name AND t.swept_at >= after AND t.swept_at < due_before
               AND place.takes_calls
             ORDER BY t.swept_at LIMIT most FOR NO KEY UPDATE SKIP LOCKED
        LOOP
            looked := looked + 1;
            IF looked = most THEN
                until := team.swept_at;
            END IF;
            UPDATE seats_internal.team AS t
               SET swept_at = CASE WHEN seats_internal.is_terminal(t.status) THEN 'infinity'
                                   WHEN t.base_proven_at >= due_before THEN t.base_proven_at
                                   ELSE clock_timestamp() END
             WHERE t.id = team.id;
            CONTINUE WHEN seats_internal.is_terminal(team.status) OR team.base_proven_at >= due_before;
            PERFORM seats_internal.queue_read(team, 'pg_seats', 'sweep');
            queued := queued + 1;
        END LOOP;
        next_after := least(next_after, until);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.sweep(timestamptz, integer, interval) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.sweep(timestamptz, integer, interval) IS
    'has the subscriptions read whose last proof is the oldest; called by the worker';

-- What a read says and we do not.
CREATE OR REPLACE FUNCTION seats_internal.differences(
    team       seats_internal.team,
    facts      jsonb,
    OUT aspect text,
    OUT local  text,
    OUT stripe text
) RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'status', (team).status, facts ->> 'status'
     WHERE (team).status IS DISTINCT FROM facts ->> 'status'
    UNION ALL
    SELECT 'seats:' || seat_type, coalesce(s.confirmed, 0)::text, coalesce(c.quantity, '0')
      FROM (SELECT l.seat_type, l.confirmed FROM seats_internal.seat_line AS l
             WHERE l.team_id = (team).id) AS s
      FULL JOIN (SELECT j.key AS seat_type, j.value AS quantity
                   FROM jsonb_each_text((SELECT n.counted FROM seats_internal.count_team(team, facts -> 'items', NULL) AS n)) AS j) AS c
     USING (seat_type)
     WHERE (team).kind = 'team' AND coalesce(s.confirmed, 0)::text <> coalesce(c.quantity, '0');
END;
REVOKE ALL ON FUNCTION seats_internal.differences(seats_internal.team, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.differences(seats_internal.team, jsonb) IS
    'where a subscription is not as we believe it to be';

CREATE OR REPLACE FUNCTION seats_internal.cause_of_drift(team seats_internal.team, facts jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE
        WHEN EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.lane_id = (team).lane_id)
            THEN 'unsettled_change'
        WHEN facts ->> 'marker' IS DISTINCT FROM (
            SELECT m.marker FROM seats_internal.lane_marker AS m WHERE m.lane_id = (team).lane_id)
            THEN 'unknown_call'
        ELSE 'changed_at_stripe' END;
END;
REVOKE ALL ON FUNCTION seats_internal.cause_of_drift(seats_internal.team, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cause_of_drift(seats_internal.team, jsonb) IS
    'why a subscription is probably not as we believe it to be';

CREATE OR REPLACE FUNCTION seats_internal.alert_drift(
    team        seats_internal.team,
    cause       text,
    differences jsonb,
    taken_over  boolean
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_words text := (SELECT string_agg(format('%s is %s here and %s at Stripe', d ->> 'aspect',
                                               coalesce(d ->> 'local', 'unknown'), d ->> 'stripe'), '; '
                                        ORDER BY d ->> 'aspect')
                        FROM jsonb_array_elements(differences) AS d);
BEGIN
    PERFORM seats_internal.raise_alert(
        'drift:' || team.id, 'warning', 'drift',
        format('a sweep has found %s %s to be otherwise at Stripe: %s', team.kind, team.name, in_words),
        jsonb_build_object(team.kind, team.name, 'subscription', team.subscription, 'cause', cause,
                           'differences', differences, 'taken_over', taken_over),
        CASE WHEN taken_over THEN 'It was taken over.'
             ELSE format('It was left as it is. SELECT seats.reconcile(%L, reason, %L) takes over what '
                         'Stripe says; with pg_seats.reconcile = repair the sweep does.',
                         team.name, team.kind) END
        || CASE cause WHEN 'changed_at_stripe' THEN ' Do webhooks arrive? An event should have told.'
                      ELSE '' END,
        destination => team.destination);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.alert_drift(seats_internal.team, text, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.alert_drift(seats_internal.team, text, jsonb, boolean) IS
    'the alert that a sweep has found something else at Stripe than here';

-- What a sweep's read says: true if it is to be taken over. Repaired is only what nothing is under
-- way for: a lane with open changes reads the subscription itself before it sends.
CREATE OR REPLACE FUNCTION seats_internal.sweep_takes_over(team seats_internal.team, facts jsonb)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_ones jsonb;
    likely     text;
    is_news    boolean;
BEGIN
    IF team.items IS NULL THEN
        RETURN true;
    END IF;
    SELECT jsonb_agg(to_jsonb(d)) INTO found_ones
      FROM seats_internal.differences(team, facts) AS d;
    IF found_ones IS NULL THEN
        RETURN true;
    END IF;
    likely := seats_internal.cause_of_drift(team, facts);
    IF current_setting('pg_seats.reconcile') = 'repair' AND likely <> 'unsettled_change' THEN
        PERFORM seats_internal.alert_drift(team, likely, found_ones, true);
        PERFORM seats_internal.write_journal(
            'drift.repaired', 'pg_seats', NULL, team.lane_id, likely,
            jsonb_build_object(team.kind, team.name, 'differences', found_ones));
        PERFORM seats_internal.resolve_alert('drift:' || team.id, 'taken over from Stripe');
        RETURN true;
    END IF;
    is_news := NOT EXISTS (SELECT FROM seats_internal.drift AS d
                            WHERE d.team_id = team.id AND d.cause <> 'unsettled_change');
    DELETE FROM seats_internal.drift AS d
     WHERE d.team_id = team.id
       AND NOT EXISTS (SELECT FROM jsonb_array_elements(found_ones) AS f
                        WHERE f ->> 'aspect' = d.aspect);
    INSERT INTO seats_internal.drift AS d (team_id, aspect, local, stripe, cause)
    SELECT team.id, f ->> 'aspect', f ->> 'local', f ->> 'stripe', likely
      FROM jsonb_array_elements(found_ones) AS f
    ON CONFLICT ON CONSTRAINT drift_pkey DO UPDATE
       SET local = excluded.local, stripe = excluded.stripe, cause = excluded.cause,
           last_seen_at = clock_timestamp();
    -- No quantity may be computed on what we believe: the next change reads the subscription first.
    UPDATE seats_internal.team AS t SET drifts = true, base_proven_at = NULL WHERE t.id = team.id;
    IF likely <> 'unsettled_change' THEN
        PERFORM seats_internal.alert_drift(team, likely, found_ones, false);
        IF is_news THEN
            PERFORM seats_internal.write_journal(
                'drift.found', 'pg_seats', NULL, team.lane_id, likely,
                jsonb_build_object(team.kind, team.name, 'differences', found_ones));
        END IF;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.sweep_takes_over(seats_internal.team, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.sweep_takes_over(seats_internal.team, jsonb) IS
    'stores and reports what a sweep has found, or says that it is to be taken over';

-- Called when anything proves again what the subscription is.
CREATE OR REPLACE FUNCTION seats_internal.forget_drift(team_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM seats_internal.drift AS d WHERE d.team_id = forget_drift.team_id;
    UPDATE seats_internal.team AS t SET drifts = false WHERE t.id = forget_drift.team_id;
    PERFORM seats_internal.resolve_alert('drift:' || forget_drift.team_id,
                                         'what Stripe says was taken over, or is the same again');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_drift(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_drift(bigint) IS
    'a team is as Stripe says: no drift any more';
