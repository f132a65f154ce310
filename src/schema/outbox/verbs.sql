-- The operators' verbs on calls, and what they have in common. Each wants a reason, takes the lane and then the row,
-- looks at the state only then, and writes the journal. So each has its effect at most once, and one
-- that comes too late says what has happened instead. Those that decide something are in review.sql.

CREATE OR REPLACE FUNCTION seats_internal.raise_not_open(call bigint) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settled seats_internal.outbox_history := seats_internal.settled_call(call);
BEGIN
    IF settled.id IS NULL THEN
        RAISE EXCEPTION 'there is no call %', call
            USING ERRCODE = 'PS120',
                  HINT = 'seats.calls lists them; settled ones leave after pg_seats.history_days.';
    END IF;
    RAISE EXCEPTION 'call % is settled: %', call, settled.result
        USING ERRCODE = 'PS401',
              DETAIL = format('It was settled at %s by %s.', settled.settled_at,
                              coalesce(settled.settled_by, 'the worker')),
              HINT = format('SELECT seats.explain_call(%s) tells more.', call);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_not_open(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_not_open(bigint) IS
    'the error for a call that is settled or does not exist';

-- Which verb fits which state: the table of operators' verbs in one place.
CREATE OR REPLACE FUNCTION seats_internal.verb_for(state seats_internal.outbox_state, doubt boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE
    WHEN state = 'pending' AND NOT doubt
        THEN 'It was not sent: seats.cancel_call takes it back, seats.retry offers it now.'
    WHEN state = 'waiting' AND NOT doubt
        THEN 'It was not executed, and is sent again: seats.retry does that now, seats.cancel_call takes '
             'it back.'
    WHEN state IN ('pending', 'waiting')
        THEN 'It is sent again under the same key: seats.retry does that now, seats.review_call lets a '
             'person decide.'
    WHEN state = 'carried'
        THEN 'It goes along with the first call of its lane, and is settled with it.'
    WHEN state = 'sending'
        THEN 'It is on the wire: its answer, or the end of its worker, decides.'
    WHEN state = 'verifying'
        THEN 'A read is to prove whether it was executed: seats.retry reads now, seats.review_call lets '
             'a person decide.'
    WHEN state = 'awaiting'
        THEN 'It was executed and waits for its payment: seats.retry looks now.'
    WHEN state = 'review'
        THEN 'A person must decide: seats.resolve_review.'
END;
REVOKE ALL ON FUNCTION seats_internal.verb_for(seats_internal.outbox_state, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.verb_for(seats_internal.outbox_state, boolean) IS
    'what a person can do about a call in this state';

CREATE OR REPLACE FUNCTION seats_internal.require_state(
    call   seats_internal.outbox,
    verb   text,
    states seats_internal.outbox_state[]
) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF call.state <> ALL (states) THEN
        RAISE EXCEPTION '% does not fit call %, which is %', verb, call.id,
            CASE call.state WHEN 'review' THEN 'in review' ELSE call.state::text END
            USING ERRCODE = 'PS402', HINT = seats_internal.verb_for(call.state, call.doubt);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_state(
    seats_internal.outbox, text, seats_internal.outbox_state[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_state(
    seats_internal.outbox, text, seats_internal.outbox_state[]) IS
    'an error unless the call is in one of these states';

-- A row with another installation's stamp is that one's to send.
CREATE OR REPLACE FUNCTION seats_internal.is_foreign(call seats_internal.outbox) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN call.installation IS DISTINCT FROM
           (SELECT i.uuid FROM seats_internal.installation AS i);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.is_foreign(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_foreign(seats_internal.outbox) IS
    'true if another installation enqueued the call';

CREATE OR REPLACE FUNCTION seats_internal.require_own(call seats_internal.outbox) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF seats_internal.is_foreign(call) THEN
        RAISE EXCEPTION 'call % belongs to another installation', call.id
            USING ERRCODE = 'PS405',
                  DETAIL = format('It was enqueued under %s.', coalesce(call.installation::text,
                                                                        'no installation')),
                  HINT = 'This database may not send it. If it takes over from the original, call '
                         'seats.adopt_database(reason, replaces_original).';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_own(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_own(seats_internal.outbox) IS
    'an error if another installation enqueued the call';

-- How every verb on a call begins.
CREATE OR REPLACE FUNCTION seats_internal.begin_verb(
    call   bigint,
    reason text,
    verb   text,
    states seats_internal.outbox_state[]
) RETURNS seats_internal.outbox
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.outbox;
BEGIN
    PERFORM seats_internal.require_reason(reason);
    locked := seats_internal.lock_call(call);
    PERFORM seats_internal.require_state(locked, verb, states);
    RETURN locked;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.begin_verb(bigint, text, text, seats_internal.outbox_state[]) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.begin_verb(bigint, text, text, seats_internal.outbox_state[]) IS
    'the begin of every verb on a call: locked, and in one of these states, or an error';

-- What every verb does after its change: the reason is kept, what was said about the call is
-- settled, and the worker looks at the lane again.
CREATE OR REPLACE FUNCTION seats_internal.finish_verb(
    caller text,
    call   seats_internal.outbox,
    kind   text,
    reason text,
    detail jsonb
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.write_journal(finish_verb.kind, caller, call.id, call.lane_id,
                                         finish_verb.reason, finish_verb.detail);
    IF call.lane_id IS NOT NULL THEN
        PERFORM seats_internal.reoffer_lane(call.lane_id);
    END IF;
    IF call.state = 'review' THEN
        PERFORM seats_internal.resolve_review_alerts(caller, call);
    END IF;
    RETURN seats_internal.state_of(call.id);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.finish_verb(text, seats_internal.outbox, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.finish_verb(text, seats_internal.outbox, text, text, jsonb) IS
    'the end of every verb on a call: journal, alerts, and the lane is offered anew; gives its state';

CREATE OR REPLACE FUNCTION seats_internal.settle_by_hand(
    caller text,
    call   bigint,
    result text,
    reason text,
    proof  text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.row_was_settled(h)
       FROM seats_internal.move_to_history(ARRAY[call], result, reason, settled_by => caller,
                                           proof => settle_by_hand.proof) AS h;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.settle_by_hand(text, bigint, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.settle_by_hand(text, bigint, text, text, text) IS
    'settles a call by a person''s word: done, refused or cancelled';

-- (An expression, inlined where many calls are looked at.)
CREATE OR REPLACE FUNCTION seats_internal.can_be_retried(state seats_internal.outbox_state) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN state IN ('pending', 'waiting', 'verifying', 'awaiting');
REVOKE ALL ON FUNCTION seats_internal.can_be_retried(seats_internal.outbox_state) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.can_be_retried(seats_internal.outbox_state) IS
    'whether what is planned for a call in this state can be done now: what seats.retry takes';

CREATE OR REPLACE FUNCTION seats_internal.retry(caller text, INOUT call bigint, reason text, OUT state text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.outbox := seats_internal.begin_verb(
        call, retry.reason, 'retry', '{pending,waiting,verifying,awaiting}');
BEGIN
    PERFORM seats_internal.require_own(locked);
    UPDATE seats_internal.outbox
       SET due_at = NULL, eligible_xid = pg_current_xact_id()
     WHERE outbox.id = locked.id;
    state := seats_internal.finish_verb(caller, locked, 'operator.retry', retry.reason,
                                        jsonb_build_object('state', locked.state));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.retry(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.retry(text, bigint, text) IS 'behind seats.retry';

CREATE OR REPLACE FUNCTION seats.retry(INOUT call bigint, reason text, OUT state text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.retry(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.retry(bigint, text) IS
    'does now what is planned for later: sends again under the same key, or reads; changes '
    'neither key nor order';

-- What waits for its next try is taken back with cancel_call if it was provably not executed, and else
-- decided by a person, after review_call. So nothing that a halt holds has to wait for its end.
CREATE OR REPLACE FUNCTION seats_internal.cancel_call(
    caller     text,
    INOUT call bigint,
    reason     text,
    OUT state  text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.outbox := seats_internal.begin_verb(
        call, cancel_call.reason, 'cancel_call', '{pending,waiting}');
BEGIN
    IF locked.doubt THEN
        RAISE EXCEPTION 'call % may have been executed', call
            USING ERRCODE = 'PS402',
                  HINT = seats_internal.verb_for(locked.state, locked.doubt);
    END IF;
    -- Whatever it carries is planned anew.
    UPDATE seats_internal.outbox AS o SET state = 'pending'
     WHERE o.id = locked.id AND o.kind = ANY (seats_internal.planned_kinds()) AND o.state = 'waiting';
    PERFORM seats_internal.dissolve_calls(ARRAY[locked.id], '{}');
    PERFORM seats_internal.settle_by_hand(caller, call, 'cancelled', 'cancelled_by_operator', 'none needed');
    state := seats_internal.finish_verb(caller, locked, 'operator.cancel', cancel_call.reason, '{}');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.cancel_call(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cancel_call(text, bigint, text) IS 'behind seats.cancel_call';

CREATE OR REPLACE FUNCTION seats.cancel_call(INOUT call bigint, reason text, OUT state text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.cancel_call(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.cancel_call(bigint, text) IS
    'takes a call back that was never sent, or provably not executed: settled as cancelled';
