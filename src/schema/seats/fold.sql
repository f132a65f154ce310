-- The fold: what a team has is what Stripe has proved, and every open change applied to it in order.
-- Nobody ever writes an old value back; a change that is refused leaves the fold, and that is all
-- its compensation. So nobody else's change is lost, whatever comes in between.

CREATE OR REPLACE FUNCTION seats_internal.fold_step(
    total     integer,
    confirmed integer,
    operation text,
    quantity  integer
) RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_fold_step';
REVOKE ALL ON FUNCTION seats_internal.fold_step(integer, integer, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.fold_step(integer, integer, text, integer) IS
    'one change applied to a total, which begins with what is confirmed';

CREATE OR REPLACE AGGREGATE seats_internal.fold(confirmed integer, operation text, quantity integer) (
    SFUNC = seats_internal.fold_step,
    STYPE = integer
);
REVOKE ALL ON FUNCTION seats_internal.fold(integer, text, integer) FROM PUBLIC;
COMMENT ON AGGREGATE seats_internal.fold(integer, text, integer) IS
    'changes in order, applied to what is confirmed';

CREATE OR REPLACE FUNCTION seats_internal.seats_reserved(team_id bigint, seat_type text) RETURNS integer
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT count(*)
              FROM seats_internal.invite AS i
             WHERE i.team_id = seats_reserved.team_id AND i.seat_type = seats_reserved.seat_type
               AND i.status = 'open');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.seats_reserved(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.seats_reserved(bigint, text) IS
    'seats of a type that the team''s open invites keep free for somebody';

CREATE OR REPLACE FUNCTION seats_internal.seats_in_use(team_id bigint, seat_type text) RETURNS integer
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT count(*) FROM seats_internal.member AS m
             WHERE m.team_id = seats_in_use.team_id AND m.seat_type = seats_in_use.seat_type
               AND m.status = 'active')
           + (SELECT count(*) FROM seats_internal.invite AS i
               WHERE i.team_id = seats_in_use.team_id AND i.seat_type = seats_in_use.seat_type
                 AND i.status = 'open');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.seats_in_use(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.seats_in_use(bigint, text) IS
    'seats of a type that members sit on, or that open invites keep for somebody';

-- The fold of every line of a team, without the changes that are being settled. The lowest total on
-- the way shows whether a removal would go below zero.
CREATE OR REPLACE FUNCTION seats_internal.folded(
    team_id       bigint,
    lane_id       bigint,
    OUT seat_type text,
    OUT confirmed integer,
    OUT quantity  integer,
    OUT lowest    integer,
    OUT awaiting  integer
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH step AS (
        SELECT s.seat_type, s.confirmed, o.id,
               seats_internal.fold(s.confirmed, l.operation, l.quantity)
                   OVER (PARTITION BY s.seat_type ORDER BY o.id) AS total
          FROM seats_internal.outbox AS o
         CROSS JOIN LATERAL jsonb_to_recordset(o.lines)
               AS l (seat_type text, operation text, quantity integer)
          JOIN seats_internal.seat_line AS s
            ON s.team_id = folded.team_id AND s.seat_type = l.seat_type
         WHERE o.lane_id = folded.lane_id AND o.kind = 'change'),
    -- (Of a call: the change that carries it may be about another type than those that it carries.)
    unpaid AS (
        SELECT t.key AS seat_type,
               sum(greatest(t.value::integer - coalesce((o.base ->> t.key)::integer, 0), 0))::integer AS rise
          FROM seats_internal.outbox AS o
         CROSS JOIN LATERAL jsonb_each_text(o.target) AS t
         WHERE o.lane_id = folded.lane_id AND o.kind = 'change' AND o.state = 'awaiting'
         GROUP BY t.key)
    SELECT s.seat_type, s.confirmed,
           coalesce((array_agg(step.total ORDER BY step.id DESC))[1], s.confirmed),
           least(min(step.total), s.confirmed), coalesce(unpaid.rise, 0)
      FROM seats_internal.seat_line AS s
      LEFT JOIN step ON step.seat_type = s.seat_type
      LEFT JOIN unpaid ON unpaid.seat_type = s.seat_type
     WHERE s.team_id = folded.team_id
     GROUP BY s.seat_type, s.confirmed, unpaid.rise;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.folded(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.folded(bigint, bigint) IS
    'what a team''s open changes make of what is confirmed, line by line';

-- The newest changes that lower the line and of which nothing was sent: as few as can make up for what
-- is missing. (One that is taken back raises no total by more than it lowered it.)
CREATE OR REPLACE FUNCTION seats_internal.newest_unsent_removals(
    team_id   bigint,
    lane_id   bigint,
    seat_type text,
    missing   integer
) RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
    SELECT array_agg(r.id)
      FROM (SELECT step.id, sum(step.total_before - step.total) OVER (ORDER BY step.id DESC)
                            - (step.total_before - step.total) AS newer
              FROM (SELECT o.id, o.state, o.doubt,
                           seats_internal.fold(s.confirmed, l.operation, l.quantity)
                               OVER before_and_this AS total,
                           coalesce(seats_internal.fold(s.confirmed, l.operation, l.quantity) OVER before,
                                    s.confirmed) AS total_before
                      FROM seats_internal.outbox AS o
                     CROSS JOIN LATERAL jsonb_to_recordset(o.lines)
                           AS l (seat_type text, operation text, quantity integer)
                      JOIN seats_internal.seat_line AS s
                        ON s.team_id = newest_unsent_removals.team_id AND s.seat_type = l.seat_type
                     WHERE o.lane_id = newest_unsent_removals.lane_id AND o.kind = 'change'
                       AND l.seat_type = newest_unsent_removals.seat_type
                    WINDOW before_and_this AS (ORDER BY o.id),
                           before AS (ORDER BY o.id ROWS BETWEEN UNBOUNDED PRECEDING
                                                             AND 1 PRECEDING)) AS step
             WHERE step.total < step.total_before AND step.state = 'pending' AND NOT step.doubt) AS r
     WHERE r.newer < missing);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.newest_unsent_removals(bigint, bigint, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.newest_unsent_removals(bigint, bigint, text, integer) IS
    'the removals that are taken back first when there are not enough seats for all of them; null: there are none';

-- What the application sees of a line from now on, and what that means for those who sit on it.
CREATE OR REPLACE FUNCTION seats_internal.set_quantity(
    team_id   bigint,
    lane_id   bigint,
    seat_type text,
    total     integer,
    awaiting  integer,
    used      integer
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former_quantity integer;
    is_changed      boolean;
BEGIN
    UPDATE seats_internal.seat_line AS s
       SET quantity = greatest(total, 0), missing = greatest(-total, 0),
           awaiting = set_quantity.awaiting
      FROM seats_internal.seat_line AS former
     WHERE s.team_id = set_quantity.team_id AND s.seat_type = set_quantity.seat_type
       AND former.team_id = s.team_id AND former.seat_type = s.seat_type
       AND (s.quantity, s.missing, s.awaiting)
           IS DISTINCT FROM (greatest(total, 0), greatest(-total, 0), set_quantity.awaiting)
    RETURNING former.quantity INTO former_quantity;
    is_changed := FOUND;
    IF former_quantity > greatest(total, 0) THEN
        PERFORM seats_internal.fail_older_snapshots(lane_id);
    END IF;
    IF total < used THEN
        used := used - seats_internal.fail_invites(team_id, lane_id, seat_type,
                                                   used - greatest(total, 0));
    END IF;
    -- (The application may have changed the quantity itself: a purchase ends the alert.)
    IF used > 0 OR is_changed THEN
        PERFORM seats_internal.alert_over_allocation(team_id, seat_type, greatest(total, 0), used);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.set_quantity(bigint, bigint, text, integer, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.set_quantity(bigint, bigint, text, integer, integer, integer) IS
    'stores what a line folds to, and tells invites and people what it means for them';

CREATE OR REPLACE FUNCTION seats_internal.take_over_confirmed(team_id bigint, lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    line seats_internal.seat_line;
BEGIN
    FOR line IN
        SELECT s.* FROM seats_internal.seat_line AS s
         WHERE s.team_id = take_over_confirmed.team_id
         ORDER BY s.seat_type
    LOOP
        PERFORM seats_internal.set_quantity(team_id, lane_id, line.seat_type, line.confirmed, 0,
                                            seats_internal.seats_in_use(team_id, line.seat_type));
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_over_confirmed(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_over_confirmed(bigint, bigint) IS
    'the fold of a team that has no open change';

-- Called by whoever has changed what is confirmed or which changes are open, with the team's lane
-- locked. Where a total would fall below zero, or fewer seats would be left than are in use, unsent
-- removals are taken back, the newest first: they were asked for when there were more. Then open
-- invites lose their seats, the newest first. Members never do.
CREATE OR REPLACE FUNCTION seats_internal.refold(team_id bigint, lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    line     record;
    removals bigint[];
    voided   boolean := false;
BEGIN
    -- Nothing is open, as almost always when a call was settled.
    IF NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                    WHERE o.lane_id = refold.lane_id AND o.kind = 'change') THEN
        PERFORM seats_internal.take_over_confirmed(refold.team_id, refold.lane_id);
        -- (What has waited for a price was taken back.)
        PERFORM seats_internal.wait_for_price(t, NULL, NULL, NULL)
           FROM seats_internal.team AS t WHERE t.id = refold.team_id AND t.waits_for_price;
        PERFORM seats_internal.settle_invites(refold.team_id, refold.lane_id);
        RETURN;
    END IF;
    <<anew>>
    LOOP
        FOR line IN
            SELECT f.*, s.quantity AS former, s.awaiting AS former_awaiting,
                   seats_internal.seats_in_use(refold.team_id, f.seat_type) AS used
              FROM seats_internal.folded(refold.team_id, refold.lane_id) AS f
              JOIN seats_internal.seat_line AS s
                ON s.team_id = refold.team_id AND s.seat_type = f.seat_type
             ORDER BY f.seat_type  -- which removal goes first must not be left to the plan
        LOOP
            IF line.lowest < 0 OR line.quantity < line.used THEN
                removals := seats_internal.newest_unsent_removals(
                    refold.team_id, refold.lane_id, line.seat_type,
                    greatest(-line.lowest, line.used - line.quantity));
                IF removals IS NOT NULL THEN
                    PERFORM seats_internal.finish_changes(removals, 'refused', 'no_longer_valid',
                                                          'pg_seats', proof => 'none needed');
                    voided := true;
                    CONTINUE anew;
                END IF;
            END IF;
            PERFORM seats_internal.set_quantity(refold.team_id, refold.lane_id, line.seat_type,
                                                line.quantity, line.awaiting, line.used);
        END LOOP;
        EXIT;
    END LOOP;
    IF voided THEN
        PERFORM seats_internal.reoffer_lane(refold.lane_id);
    END IF;
    PERFORM seats_internal.settle_invites(refold.team_id, refold.lane_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refold(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refold(bigint, bigint) IS
    'computes a team''s quantities anew, takes back removals that have become impossible, and tells invites what it means for them';

-- Members are never removed because seats are: that is a person's decision.
CREATE OR REPLACE FUNCTION seats_internal.alert_over_allocation(
    team_id   bigint,
    seat_type text,
    quantity  integer,
    used      integer
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fingerprint text := format('over_allocated:%s:%s', team_id, seat_type);
    team        text;
BEGIN
    IF used <= quantity THEN
        PERFORM seats_internal.resolve_alert(fingerprint, 'there are enough seats again');
        RETURN;
    END IF;
    SELECT t.name INTO team FROM seats_internal.team AS t WHERE t.id = team_id;
    PERFORM seats_internal.raise_alert(
        fingerprint, 'warning', 'over_allocated',
        format('team %s uses %s seats of type %s and has %s', team, used, seat_type, quantity),
        jsonb_build_object('team', team, 'seat_type', seat_type, 'used', used, 'quantity', quantity),
        'See seats.teams (free is below zero) and seats.members. Nobody was removed: buy seats '
        '(seats.add_seats) or remove members (seats.remove_member).');
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.alert_over_allocation(bigint, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.alert_over_allocation(bigint, text, integer, integer) IS
    'raises or resolves the alert that more seats of a type are in use than the team has';
