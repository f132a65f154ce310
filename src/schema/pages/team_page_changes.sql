-- Of a team's page: what is on its way, and what became of what was asked for last. (What has lines is a change.)

-- Whoever takes a removal back has more seats again, of which not too many may be unconfirmed.
CREATE OR REPLACE FUNCTION seats_internal.may_take_back_removals(change seats_internal.outbox) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowered record;
    total   integer;
BEGIN
    FOR lowered IN
        SELECT l.seat_type, s.confirmed,
               (SELECT r.largest_unconfirmed FROM seats_internal.seat_type AS r WHERE r.name = l.seat_type) AS largest
          FROM jsonb_to_recordset(change.lines) AS l (seat_type text, previous_quantity integer, new_quantity integer)
         CROSS JOIN LATERAL (SELECT s.confirmed FROM seats_internal.seat_line AS s
                              WHERE s.team_id = change.team_id AND s.seat_type = l.seat_type LIMIT 1) AS s
         WHERE l.new_quantity < l.previous_quantity
    LOOP
        IF lowered.largest IS NOT NULL THEN
            SELECT seats_internal.fold(lowered.confirmed, w.operation, w.quantity ORDER BY o.id) INTO total
              FROM seats_internal.outbox AS o
             CROSS JOIN LATERAL jsonb_to_recordset(o.lines) AS w (seat_type text, operation text, quantity integer)
             WHERE o.lane_id = change.lane_id AND o.id <> change.id AND w.seat_type = lowered.seat_type;
            IF seats_internal.is_too_unconfirmed(greatest(coalesce(total, lowered.confirmed), 0), lowered.confirmed,
                                                 lowered.largest) THEN
                RETURN false;
            END IF;
        END IF;
    END LOOP;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.may_take_back_removals(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.may_take_back_removals(seats_internal.outbox) IS
    'whether a team may have the seats again that an open change gives back';

-- (One that is being taken back already needs no second click.)
CREATE OR REPLACE FUNCTION seats_internal.may_be_cancelled(change seats_internal.outbox) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE
        WHEN seats_internal.can_be_voided(change.state, change.last_id)
            THEN change.cancelled_by IS NULL AND change.payment ->> 'invoice' IS NOT NULL
        ELSE seats_internal.is_unsent(change.state, change.doubt)
             AND seats_internal.may_take_back_removals(change) END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.may_be_cancelled(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.may_be_cancelled(seats_internal.outbox) IS
    'whether an open change can be taken back now, by whoever may';

-- As seats.changes tells of them, an entry for each change: what the first of the lane waits for, those behind it do not, but
-- those that its call carries share its phase. The lane is read by its index, and no further than a thousand rows.
CREATE OR REPLACE FUNCTION seats_internal.page_open_changes(
    team        seats_internal.team,
    stripe      text,
    may_cancel  boolean,
    OUT changes jsonb,
    OUT total   integer
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change     seats_internal.outbox;
    head       seats_internal.outbox;
    -- (Of one that is behind it, what was said before it was left to wait.)
    teller     seats_internal.outbox;
    lane_stops boolean := (SELECT l.paused_at IS NOT NULL FROM seats_internal.lane AS l WHERE l.id = team.lane_id);
    with_head  boolean;
    phase      text;
BEGIN
    changes := '[]';
    SELECT o.* INTO head FROM seats_internal.outbox AS o WHERE o.lane_id = team.lane_id ORDER BY o.id LIMIT 1;
    SELECT count(*) INTO total
      FROM (SELECT o.lines FROM seats_internal.outbox AS o WHERE o.lane_id = team.lane_id ORDER BY o.id LIMIT 1000) AS l
     WHERE l.lines IS NOT NULL;
    IF total = 0 THEN
        RETURN;
    END IF;
    FOR change IN
        SELECT o.* FROM seats_internal.outbox AS o
         WHERE o.id = ANY (ARRAY(SELECT l.id FROM (SELECT c.id, c.lines FROM seats_internal.outbox AS c
                                                    WHERE c.lane_id = team.lane_id ORDER BY c.id LIMIT 1000) AS l
                                  WHERE l.lines IS NOT NULL ORDER BY l.id LIMIT 100))
         ORDER BY o.id
    LOOP
        with_head := change.id = head.id OR change.state = 'carried';
        teller := CASE WHEN with_head THEN head ELSE change END;
        phase := seats_internal.change_phase(
            teller.state::text, with_head, head.reason, head.attempts > 0 OR head.last_error IS NOT NULL,
            CASE WHEN lane_stops AND stripe <> 'halted' THEN 'paused' ELSE stripe END);
        changes := changes || jsonb_build_object(
            'change', change.id,
            'lines', change.lines,
            'phase', phase,
            'next_try_at', CASE WHEN head.state IN ('pending', 'waiting') THEN head.due_at END,
            'actor', change.actor,
            'person', change.acting_person,
            'created_at', change.created_at,
            'invoice', CASE WHEN phase = 'awaiting_payment'
                            THEN seats_internal.page_payment(teller.payment)
                                 || jsonb_build_object('shared', teller.last_id IS NOT NULL) END,
            'code', teller.error_code,
            'decline_code', teller.decline_code,
            'next_step', seats_internal.next_step(teller.state::text, NULL, NULL, NULL),
            'may_cancel', may_cancel AND seats_internal.may_be_cancelled(change));
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_open_changes(seats_internal.team, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_open_changes(seats_internal.team, text, boolean) IS
    'the first 100 open changes of a team, and how many there are, counted up to a thousand';

CREATE OR REPLACE FUNCTION seats_internal.page_last_changes(team_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'change', c.id, 'lines', c.lines, 'state', seats_internal.change_result(c.result),
               'reason', c.reason, 'code', c.error_code, 'decline_code', c.decline_code,
               'next_step', seats_internal.next_step(c.result, c.reason, c.error_code, c.decline_code),
               'actor', c.actor, 'person', c.acting_person, 'created_at', c.created_at, 'settled_at', c.settled_at,
               'invoice', seats_internal.page_invoice(c.invoice))
               ORDER BY c.settled_at DESC, c.id DESC), '[]')
      FROM (SELECT h.id, h.lines, h.result, h.reason, h.error_code, h.decline_code, h.actor, h.acting_person,
                   h.created_at, h.settled_at, h.invoice
              FROM seats_internal.outbox_history AS h
             WHERE h.team_id = page_last_changes.team_id AND seats_internal.is_change(h.kind) AND h.ring = ANY (seats_internal.ring_slots())
             ORDER BY h.settled_at DESC LIMIT 10) AS c);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_last_changes(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_last_changes(bigint) IS
    'the ten changes of a team that were settled last';
