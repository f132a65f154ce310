-- Settle: what an answer to a call of seat changes does to the team. Called by the worker with the
-- lane locked, in the transaction that moves the call to the history.

-- Stripe did it, but asks for a payment that has not come (only where the seat type allows that).
CREATE OR REPLACE FUNCTION seats_internal.alert_unpaid(
    team  seats_internal.team,
    call  bigint,
    facts jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.raise_alert(
        'unpaid:' || team.id, 'warning', 'confirmed_unpaid',
        format('team %s has seats that are not paid for: its subscription is %s', team.name, facts ->> 'status'),
        jsonb_strip_nulls(jsonb_build_object('team', team.name, 'invoice', facts #>> '{invoice,id}',
                                             'invoice_url', facts #>> '{invoice,url}')),
        'The seat type allows it (allow_unpaid). See seats.teams, status; the invoice is open: see that it is '
        'paid.', call);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.alert_unpaid(seats_internal.team, bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.alert_unpaid(seats_internal.team, bigint, jsonb) IS
    'the alert that seats were given out unpaid';

-- A call was executed, whoever proves it: its answer, a replay, an event, or a read that somebody else has
-- asked for. What it really changed is told by its event (stripe_events/own_events.sql); Stripe may ask for a payment. (What was
-- paid later was applied later, and not by an event of the call; what somebody changes meanwhile drops it.)
CREATE OR REPLACE FUNCTION seats_internal.apply_execution(
    team  seats_internal.team,
    call  seats_internal.outbox_history,
    facts jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text := seats_internal.idempotency_key(call.installation, call.uuid, call.generation);
BEGIN
    IF NOT call.clean AND EXISTS (SELECT FROM seats_internal.attempt AS a
                                   WHERE a.call_id = call.id AND a.verdict = 'awaiting') THEN
        RETURN;
    END IF;
    IF call.base IS NOT NULL THEN
        INSERT INTO seats_internal.expected_event
            (idempotency_key, destination, team_id, call_id, base, target, sent_at)
        VALUES (key, call.destination,
                call.team_id, call.id, call.base, call.target,
                coalesce(call.first_sent_at, call.created_at))
        ON CONFLICT ON CONSTRAINT expected_event_pkey DO NOTHING;
        PERFORM seats_internal.match_earlier_events(ARRAY[key]);
    END IF;
    IF seats_internal.is_past_due(facts ->> 'status')
       AND facts #>> '{invoice,status}' = 'open' THEN
        PERFORM seats_internal.alert_unpaid(team, call.id, facts);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.apply_execution(seats_internal.team, seats_internal.outbox_history, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.apply_execution(seats_internal.team, seats_internal.outbox_history, jsonb) IS
    'what follows from the fact that a call was executed, beside the quantities: its event is to show what it really changed, and it may be unpaid';

-- Those that a call carries stand directly behind its first change, which is in the history already.
CREATE OR REPLACE FUNCTION seats_internal.end_of_carried(head seats_internal.outbox_history) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
    SELECT max(o.id) FROM seats_internal.outbox AS o
     WHERE o.lane_id = head.lane_id AND o.id > head.id AND o.state = 'carried'
       AND o.id < coalesce((SELECT min(n.id) FROM seats_internal.outbox AS n
                             WHERE n.lane_id = head.lane_id AND n.id > head.id AND n.kind = 'change'
                               AND n.state <> 'carried'), 9223372036854775807));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_of_carried(seats_internal.outbox_history) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_of_carried(seats_internal.outbox_history) IS
    'the last change that a settled call carried along and that is still open; null: none';

-- One call, which is in the history already. `facts` are null where there are none (a refusal, a
-- person's word): then a read is to tell what is there now. (Long because it is the order of these steps that counts,
-- and each needs what the ones before it have found. Who adds one makes it a reason for plain_settlements to leave a call
-- to this function.)
CREATE OR REPLACE FUNCTION seats_internal.settle_change(
    call      bigint,
    facts     jsonb,
    proven_at timestamptz,
    run       uuid
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head       seats_internal.outbox_history;
    team       seats_internal.team;
    is_target  boolean := true;
    carried_id bigint;
    is_split   boolean;
    found_it   text;
    proven     record;
    expected   jsonb;
BEGIN
    -- It went into the partition that is being written, in this transaction. (Where a person's verb has
    -- moved it there, the worker may have turned the ring since.)
    SELECT h.* INTO head FROM seats_internal.outbox_history AS h
     WHERE h.ring = (SELECT r.slot FROM seats_internal.ring AS r) AND h.id = call;
    IF NOT FOUND THEN
        head := seats_internal.settled_call(call);
    END IF;
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = head.team_id;
    INSERT INTO seats_internal.journal (ring, kind, role, actor, call_id, lane_id, reason, detail)
    SELECT ring.slot, seats_internal.journal_kind(head.result), coalesce(head.settled_by, 'pg_seats'),
           CASE WHEN head.result <> 'cancelled' THEN head.actor END, head.id, head.lane_id, head.reason,
           jsonb_strip_nulls(jsonb_build_object('change', head.id, 'team', team.name, 'lines', head.lines))
           || seats_internal.error_detail(head.result, head.reason, head.error, head.error_code,
                                          head.decline_code)
           || seats_internal.invoice_detail(head.invoice) || seats_internal.person_detail(coalesce(head.settled_by, 'pg_seats'))
      FROM seats_internal.ring;
    carried_id := seats_internal.end_of_carried(head);
    IF carried_id IS NOT NULL THEN
        PERFORM seats_internal.finish_run(head.lane_id, head.id, carried_id, head.result, head.reason,
                                              head.settled_by, head.id);
    END IF;
    is_split := head.settled_by IS NULL AND seats_internal.settle_split(
        head.lane_id, CASE head.result WHEN 'refused' THEN head.reason END);
    IF head.result = 'done' AND head.target IS NOT NULL THEN
        SELECT seats_internal.apply_call(coalesce(jsonb_object_agg(s.seat_type, s.confirmed), '{}'),
                                         head.base, head.target) INTO expected
          FROM seats_internal.seat_line AS s WHERE s.team_id = team.id;
    END IF;
    -- A replay, or an event, proves this call; what is there now may tell of others that were lost.
    IF seats_internal.first_of_marker(facts ->> 'marker') <> head.uuid THEN
        proven := seats_internal.apply_marker(team, facts, expected);
        expected := proven.expected;
        is_target := false;
    END IF;
    IF seats_internal.first_of_marker(facts #>> '{pending_update,marker}') <> head.uuid THEN
        PERFORM seats_internal.apply_pending_update(team, facts);
    END IF;
    IF facts IS NOT NULL THEN
        found_it := seats_internal.apply_facts(team, facts, proven_at, run, expected, head.id);
    ELSIF head.result = 'done' THEN
        -- Until the read below tells: what the call asked for, or what the change is about.
        UPDATE seats_internal.seat_line AS s
           SET confirmed = coalesce((expected ->> s.seat_type)::integer, (
                   SELECT seats_internal.fold_step(s.confirmed, s.confirmed, l.operation, l.quantity)
                     FROM jsonb_to_recordset(head.lines)
                          AS l (seat_type text, operation text, quantity integer)
                    WHERE l.seat_type = s.seat_type), s.confirmed)
         WHERE s.team_id = team.id;
    END IF;
    IF head.result = 'done' THEN
        PERFORM seats_internal.apply_execution(team, head, facts);
    END IF;
    IF facts IS NULL AND (head.result = 'done' OR head.result = 'refused' AND head.settled_by IS NOT NULL
                          OR head.reason = 'object_is_terminal') THEN
        PERFORM seats_internal.queue_read(team, 'pg_seats', 'settled without an answer');
    ELSIF seats_internal.is_terminal(facts ->> 'status') THEN
        PERFORM seats_internal.end_team(team.id, team.lane_id, team.status);
    END IF;
    IF head.clean AND head.result = 'done' AND is_target AND NOT is_split AND head.target IS NOT NULL
       AND found_it IN ('as before', 'as expected')
       AND NOT seats_internal.is_terminal(facts ->> 'status')
       AND NOT EXISTS (SELECT FROM seats_internal.seat_line AS s
                        WHERE s.team_id = team.id AND s.awaiting > 0)
       -- (As an array: joined by hash, all open alerts would be read.)
       AND NOT EXISTS (SELECT FROM seats_internal.alert AS a
                        WHERE a.fingerprint = ANY (ARRAY(
                                  SELECT format('over_allocated:%s:%s', s.team_id, s.seat_type)
                                    FROM seats_internal.seat_line AS s WHERE s.team_id = team.id))
                          AND a.resolved_at IS NULL) THEN
        -- What was folded in is confirmed now, and the sum is the same.
        PERFORM seats_internal.settle_invites(team.id, team.lane_id);
        RETURN;
    END IF;
    PERFORM seats_internal.refold(team.id, team.lane_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.settle_change(bigint, jsonb, timestamptz, uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.settle_change(bigint, jsonb, timestamptz, uuid) IS
    'what the end of a call of seat changes does to its team';

-- A batch: of settled calls of changes, and, where the call is 0, of reads that were made for one. The plain ones at once,
-- each of the others by itself. `journal_seen`: see settle_plain_changes. has_numbered: entries of the journal have got their
-- numbers. all_plain: nothing was left in the outbox, nor taken back.
CREATE OR REPLACE FUNCTION seats_internal.changes_settled(
    calls            bigint[],
    teams            bigint[],
    facts            text[],
    proven_at        timestamptz[],
    run              uuid,
    journal_seen     pg_snapshot,
    OUT has_numbered boolean,
    OUT all_plain    boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plain bigint[];
    one   record;
BEGIN
    SELECT p.places, p.has_numbered INTO plain, has_numbered
      FROM seats_internal.settle_plain_changes(calls, teams, facts, proven_at, run, journal_seen) AS p;
    all_plain := cardinality(plain) = cardinality(calls);
    IF all_plain THEN
        RETURN;
    END IF;
    FOR one IN
        SELECT b.* FROM unnest(calls, teams, facts, proven_at) WITH ORDINALITY AS b (call, team, facts, proven_at, place)
         WHERE b.place <> ALL (plain)
         ORDER BY b.place
    LOOP
        IF one.call <> 0 THEN
            PERFORM seats_internal.settle_change(one.call, one.facts::jsonb, one.proven_at, run);
        ELSE
            PERFORM seats_internal.read_settled(one.team, one.facts::jsonb, one.proven_at, run);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.changes_settled(bigint[], bigint[], text[], timestamptz[], uuid, pg_snapshot) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.changes_settled(bigint[], bigint[], text[], timestamptz[], uuid, pg_snapshot) IS
    'what the ends of calls of seat changes, and reads for them, do to their teams; called by the worker';

-- Stripe has taken the change and waits for its payment.
CREATE OR REPLACE FUNCTION seats_internal.await_payment(
    call      bigint,
    facts     jsonb,
    proven_at timestamptz,
    run       uuid
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head seats_internal.outbox;
    team seats_internal.team;
    is_new boolean;
BEGIN
    SELECT o.* INTO head FROM seats_internal.outbox AS o WHERE o.id = call AND o.state = 'awaiting';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    is_new := head.payment IS NULL;
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = head.team_id;
    UPDATE seats_internal.outbox AS o
       -- The invoice is that of the call's own answer: the latest one may be another's by now.
       SET payment = seats_internal.payment_of(facts) || coalesce(o.payment - 'expires_at', '{}'),
           -- The next look is not later than a minute after it has expired.
           due_at = least(o.due_at, to_timestamp((facts #>> '{pending_update,expires_at}')::double precision)
                                    + interval '1 minute')
     WHERE o.id = head.id;
    PERFORM seats_internal.apply_facts(team, facts, proven_at, run, call_id => head.id);
    IF is_new THEN
        INSERT INTO seats_internal.journal (ring, kind, role, actor, call_id, lane_id, reason, detail)
        SELECT ring.slot, 'change.awaiting_payment', 'pg_seats', o.actor, o.id, o.lane_id, 'awaiting_payment',
               seats_internal.change_detail(o.id, o.team_id, o.lines) || seats_internal.payment_of(facts)
                   || seats_internal.error_detail('awaiting', NULL, NULL, NULL, NULL)
          FROM seats_internal.outbox AS o CROSS JOIN seats_internal.ring
         WHERE o.lane_id = head.lane_id AND o.id BETWEEN head.id AND coalesce(head.last_id, head.id);
    END IF;
    PERFORM seats_internal.refold(team.id, team.lane_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.await_payment(bigint, jsonb, timestamptz, uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.await_payment(bigint, jsonb, timestamptz, uuid) IS
    'a change waits for its payment: until when, and where it can be paid';

-- A call of enqueue_call has changed a subscription that belongs to a team.
CREATE OR REPLACE FUNCTION seats_internal.call_settled(lanes bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.queue_read(t, 'pg_seats', 'changed by a call')
       FROM seats_internal.team AS t WHERE t.lane_id = ANY (lanes);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.call_settled(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.call_settled(bigint[]) IS
    'reads the subscriptions of the teams of these lanes; called by the worker';

-- The invoice was voided, or could not be: the subscription tells whether the change is gone.
CREATE OR REPLACE FUNCTION seats_internal.void_settled(call bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    void seats_internal.outbox_history := seats_internal.settled_call(void_settled.call);
BEGIN
    -- If it could not be voided it can be tried again, and what becomes of it is not our doing.
    UPDATE seats_internal.outbox AS o
       SET due_at = clock_timestamp(), eligible_xid = pg_current_xact_id(),
           cancelled_by = CASE void.result WHEN 'done' THEN o.cancelled_by END
     WHERE o.id = (void.context ->> 'change')::bigint AND o.state = 'awaiting';
    PERFORM seats_internal.page_changed(void.team_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.void_settled(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.void_settled(bigint) IS
    'looks at a change whose invoice was voided';
