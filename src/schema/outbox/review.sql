-- Reviews. What may be decided depends on what can still be true:
--   executed      a person has proof that Stripe did it: settled as done
--   not_executed  a person has proof that Stripe did not: a new generation, with a key of its own
--   same_key      unknown, but Stripe still knows the key: sent again, at worst a replay
--   refuse        given up: settled as refused, which is the compensation

-- Reads no table, so that a view can ask it for somebody who may not read any.
CREATE OR REPLACE FUNCTION seats_internal.allowed_decisions(
    reason        text,
    first_sent_at timestamptz,
    is_foreign    boolean
) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN array_remove(ARRAY[
    'executed',
    CASE WHEN NOT is_foreign THEN 'not_executed' END,
    -- An adopted copy has an identity of its own, and with it another key than its original.
    CASE WHEN NOT is_foreign AND reason IS DISTINCT FROM 'adopted_copy'
              AND coalesce(first_sent_at > clock_timestamp() - seats_internal.key_lifetime(), true)
         THEN 'same_key' END,
    'refuse'], NULL);
REVOKE ALL ON FUNCTION seats_internal.allowed_decisions(text, timestamptz, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.allowed_decisions(text, timestamptz, boolean) IS
    'the decisions that resolve_review takes for a call in review';

CREATE OR REPLACE FUNCTION seats_internal.require_decision(call seats_internal.outbox, decision text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    allowed text[] := seats_internal.allowed_decisions(call.reason, call.first_sent_at,
                                                       seats_internal.is_foreign(call));
BEGIN
    IF decision = ANY (allowed) THEN
        RETURN;
    ELSIF decision IS NULL OR decision NOT IN ('executed', 'not_executed', 'same_key', 'refuse') THEN
        RAISE EXCEPTION 'unknown decision'
            USING ERRCODE = 'PS403',
                  HINT = 'One of: ' || array_to_string(allowed, ', ') || '.';
    ELSIF decision = 'not_executed' OR seats_internal.is_foreign(call) THEN
        PERFORM seats_internal.require_own(call);
    END IF;
    RAISE EXCEPTION 'call % can no longer be sent under the same key', call.id
        USING ERRCODE = 'PS404',
              DETAIL = CASE call.reason WHEN 'adopted_copy'
                       THEN 'It came with a copy that was adopted, which has keys of its own.'
                       ELSE format('Its key was first used at %s, and a key is trusted for %s.',
                                   call.first_sent_at, seats_internal.key_lifetime()) END,
              HINT = 'Find out in Stripe''s Dashboard what happened, then decide: '
                     || array_to_string(allowed, ', ') || '.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_decision(seats_internal.outbox, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_decision(seats_internal.outbox, text) IS
    'an error unless the decision is one that this call in review allows';

-- A new generation: nothing of the last one counts, and the destination's API version is taken anew.
CREATE OR REPLACE FUNCTION seats_internal.begin_new_generation(call bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox AS o
       SET state = 'pending', state_since = clock_timestamp(), generation = o.generation + 1,
           tries = 0, verifications = 0, row_errors = 0, interrupted = 0, alone = false,
           doubt = false, first_sent_at = NULL, last_sent_at = NULL, key_final_at = NULL,
           marker = NULL, api_version = NULL, reason = NULL, due_at = NULL,
           eligible_xid = pg_current_xact_id()
     WHERE o.id = call;
    -- People err: before it is sent anew, the subscription is read, and its marker may prove the contrary.
    UPDATE seats_internal.team AS t SET base_proven_at = NULL
      FROM seats_internal.outbox AS o
     WHERE o.id = call AND o.kind = ANY (seats_internal.planned_kinds()) AND t.lane_id = o.lane_id;
    -- What a person has found out about the call holds for all that it carries.
    UPDATE seats_internal.outbox AS o
       SET doubt = false, first_sent_at = NULL
      FROM seats_internal.outbox AS head
     WHERE head.id = call AND o.lane_id = head.lane_id AND o.id > head.id AND o.id <= head.last_id
       AND o.state = 'carried';
    PERFORM seats_internal.dissolve_calls(ARRAY[call], '{}');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.begin_new_generation(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.begin_new_generation(bigint) IS
    'makes a call pending again, under a new key';

CREATE OR REPLACE FUNCTION seats_internal.send_same_key(call bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox AS o
       SET state = CASE WHEN o.first_sent_at IS NULL
                             OR o.kind = ANY (seats_internal.planned_kinds()) AND o.body = ''
                        THEN 'pending' ELSE 'waiting' END
                   ::seats_internal.outbox_state,
           state_since = clock_timestamp(), row_errors = 0, interrupted = 0, alone = false,
           verifications = 0, reason = NULL, due_at = NULL, eligible_xid = pg_current_xact_id()
     WHERE o.id = call;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.send_same_key(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.send_same_key(bigint) IS
    'makes a call wait for its next try, same key';

CREATE OR REPLACE FUNCTION seats_internal.resolve_review(
    caller     text,
    INOUT call bigint,
    decision   text,
    reason     text,
    function   text,
    OUT state  text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.outbox;
BEGIN
    -- (Running another function goes through another door, see handlers/deciding.sql.)
    IF function IS NOT NULL THEN
        RAISE EXCEPTION 'a function goes with the decision run only'
            USING ERRCODE = 'PS403',
                  HINT = 'Leave it out, or decide run: that function runs then, instead of the handler.';
    END IF;
    -- (Its call has ended, then.)
    IF EXISTS (SELECT FROM seats_internal.handler AS h
                WHERE h.call_id = call AND h.outcome IS NOT NULL
                  AND (h.review_since IS NOT NULL OR decision IN ('retry', 'skip'))) THEN
        state := seats_internal.decide_handler(caller, call, decision, resolve_review.reason);
        RETURN;
    END IF;
    locked := seats_internal.begin_verb(call, resolve_review.reason, 'resolve_review', '{review}');
    PERFORM seats_internal.require_decision(locked, decision);
    CASE decision
        WHEN 'executed' THEN
            -- The next call's verification asks which call changed the object last.
            INSERT INTO seats_internal.lane_marker AS m (lane_id, marker)
            SELECT locked.lane_id, locked.marker
             WHERE locked.lane_id IS NOT NULL AND locked.marker IS NOT NULL
            ON CONFLICT ON CONSTRAINT lane_marker_pkey DO UPDATE SET marker = excluded.marker;
            PERFORM seats_internal.settle_by_hand(caller, call, 'done', 'executed_by_operator', 'person');
        WHEN 'refuse' THEN
            PERFORM seats_internal.settle_by_hand(caller, call, 'refused', 'refused_by_operator', 'person');
        WHEN 'not_executed' THEN
            PERFORM seats_internal.begin_new_generation(call);
        WHEN 'same_key' THEN
            PERFORM seats_internal.send_same_key(call);
    END CASE;
    state := seats_internal.finish_verb(
        caller, locked, 'operator.resolve_review', resolve_review.reason,
        jsonb_build_object('decision', decision, 'was', locked.reason,
                           'generation', locked.generation));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.resolve_review(text, bigint, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resolve_review(text, bigint, text, text, text) IS
    'behind seats.resolve_review';

CREATE OR REPLACE FUNCTION seats.resolve_review(
    INOUT call bigint,
    decision   text,
    reason     text,
    function   text DEFAULT NULL,
    OUT state  text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_resolve_review';
REVOKE ALL ON FUNCTION seats.resolve_review(bigint, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.resolve_review(bigint, text, text, text) IS
    'decides a call in review: executed (proof: done), not_executed (proof: send under a new '
    'key), same_key (send again while Stripe knows the key), refuse (give up: refused). Or its handler in review: '
    'retry, skip, or run (function, instead of it, now and as you)';

CREATE OR REPLACE FUNCTION seats_internal.review_call(
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
        call, review_call.reason, 'review_call', '{pending,waiting,verifying}');
BEGIN
    IF NOT locked.doubt THEN
        RAISE EXCEPTION 'call % was not executed', call
            USING ERRCODE = 'PS402',
                  HINT = seats_internal.verb_for(locked.state, locked.doubt);
    END IF;
    PERFORM seats_internal.require_own(locked);
    UPDATE seats_internal.outbox AS o
       SET state = 'review', state_since = clock_timestamp(), due_at = NULL,
           reason = 'review_wanted_by_operator'
     WHERE o.id = locked.id;
    PERFORM seats_internal.raise_alert(
        'review:' || locked.id, 'critical', 'review',
        format('%s %s (call %s) needs a person: %I wants it decided', locked.method, locked.path,
               locked.id, caller),
        hint => format('SELECT seats.explain_call(%s) tells more; seats.resolve_review settles it.',
                       locked.id),
        call_id => locked.id, destination => locked.destination);
    state := seats_internal.finish_verb(caller, locked, 'operator.review', review_call.reason,
                                        jsonb_build_object('state', locked.state));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_call(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_call(text, bigint, text) IS 'behind seats.review_call';

CREATE OR REPLACE FUNCTION seats.review_call(INOUT call bigint, reason text, OUT state text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.review_call(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.review_call(bigint, text) IS
    'puts a call that may have been executed, and is not on the wire, into review: it is not sent or '
    'verified again, and resolve_review decides it';

-- Calls that went to review one by one, before it showed that the mistake is in all of them, wait
-- like the others. Seat changes are planned anew then, so that what was put right meanwhile counts.
CREATE OR REPLACE FUNCTION seats_internal.take_back_from_review(destination text, calls bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Who holds a team keeps up its change alone: that one is sent once more as it is.
    lanes bigint[] := seats_internal.take_lanes(
        ARRAY(SELECT o.lane_id FROM seats_internal.outbox AS o
               WHERE o.id = ANY (calls) AND o.state = 'review' AND o.lane_id IS NOT NULL), NULL);
    thawed bigint[];
    shown  bigint[];
BEGIN
    WITH taken AS (
        UPDATE seats_internal.outbox AS o
           SET state = 'waiting', state_since = clock_timestamp(), due_at = NULL,
               eligible_xid = pg_current_xact_id(),
               tries = greatest(o.tries - 1, 0), attempts = greatest(o.attempts - 1, 0)
         WHERE o.id = ANY (calls) AND o.state = 'review'
        RETURNING o.lane_id)
    SELECT array_agg(taken.lane_id) INTO shown FROM taken;
    PERFORM seats_internal.calls_of_pages_changed(shown);
    WITH free AS (
        UPDATE seats_internal.outbox AS o
           SET state = 'pending', first_sent_at = NULL, api_version = NULL
         WHERE o.id = ANY (calls) AND o.state = 'waiting' AND NOT o.doubt
           AND (o.lane_id IS NULL OR o.lane_id = ANY (lanes))
           AND (o.kind = ANY (seats_internal.planned_kinds()) OR o.tries = 0)
        RETURNING o.id)
    SELECT array_agg(free.id) INTO thawed FROM free;
    PERFORM seats_internal.dissolve_calls(coalesce(thawed, '{}'), '{}');
    PERFORM seats_internal.resolve_alert('review:' || c.id, 'the destination is halted for it')
       FROM unnest(calls) AS c (id);
    -- (There may be others, of longer ago.)
    PERFORM seats_internal.resolve_shared_alerts(destination, 'the destination is halted for it');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_back_from_review(text, bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_back_from_review(text, bigint[]) IS
    'ends reviews whose cause turned out to be the same everywhere; called by the worker';

-- Some alerts speak of several calls (a copy that was adopted, one mistake in many requests): they are
-- resolved with the last of them. Whoever puts a call into review raises its alert in the same transaction.
-- So the alerts are locked first: a statement that begins then sees every review that they speak of, and who
-- comes later waits, and opens another alert.
CREATE OR REPLACE FUNCTION seats_internal.resolve_shared_alerts(destination text, resolution text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked bigint[];
BEGIN
    SELECT array_agg(l.id) INTO locked
      FROM (SELECT a.id FROM seats_internal.alert AS a
             WHERE a.resolved_at IS NULL
               AND (a.fingerprint = 'adopted_copy'
                    OR starts_with(a.fingerprint, 'form:' || resolve_shared_alerts.destination || ':'))
             ORDER BY a.id FOR NO KEY UPDATE) AS l;
    PERFORM seats_internal.resolve_alert(a.fingerprint, resolve_shared_alerts.resolution)
       FROM seats_internal.alert AS a
      WHERE a.id = ANY (locked)
        AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                         WHERE o.standing = 'review'
                           AND (o.reason = 'adopted_copy'
                                OR a.fingerprint <> 'adopted_copy'
                                   AND o.destination = resolve_shared_alerts.destination));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.resolve_shared_alerts(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resolve_shared_alerts(text, text) IS
    'closes the alerts about several reviews, if none of these is open any more';

CREATE OR REPLACE FUNCTION seats_internal.resolve_review_alerts(caller text, call seats_internal.outbox)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    resolution text := format('decided by %I', caller);
BEGIN
    PERFORM seats_internal.resolve_alert('review:' || call.id, resolution);
    PERFORM seats_internal.resolve_alert('settling:' || call.id, resolution);
    PERFORM seats_internal.resolve_shared_alerts(call.destination, resolution);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.resolve_review_alerts(text, seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resolve_review_alerts(text, seats_internal.outbox) IS
    'closes the alerts about a review that was decided';
