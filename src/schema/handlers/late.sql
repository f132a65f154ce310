-- A call that was refused, and whose compensation has run or is to run, and that Stripe has executed after all: its work
-- is done at Stripe and undone here. Nothing runs by itself then; a person must say what holds.

CREATE OR REPLACE FUNCTION seats_internal.tell_of_late_execution(calls bigint[], how text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    compensated record;
    waiting     seats_internal.handler;
BEGIN
    FOR compensated IN
        SELECT c.call_id, h.result, h.destination FROM seats_internal.compensated_call AS c
         CROSS JOIN LATERAL seats_internal.settled_call(c.call_id) AS h
         WHERE c.call_id = ANY (calls) ORDER BY c.call_id
    LOOP
        -- (What is running now is not waited for: somebody's function may take long.)
        SELECT h.* INTO waiting FROM seats_internal.handler AS h
         WHERE h.call_id = compensated.call_id AND h.outcome IS NOT NULL AND h.review_since IS NULL
           FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            PERFORM seats_internal.review_handler(waiting, 'executed_after_refusal');
        END IF;
        PERFORM seats_internal.raise_alert(
            'executed_after_refusal:' || compensated.call_id, 'critical', 'executed_after_refusal',
            format('Stripe has executed call %s, which is %s here, and whose on_refused %s: %s', compensated.call_id,
                   compensated.result, CASE WHEN waiting.call_id IS NULL THEN 'has run' ELSE 'is in review now' END,
                   how),
            hint => 'The application has taken back what Stripe has done. Decide which of both holds, make the other '
                    'like it (in the application, or in Stripe''s Dashboard), then acknowledge this alert.',
            call_id => compensated.call_id, destination => compensated.destination);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.tell_of_late_execution(bigint[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tell_of_late_execution(bigint[], text) IS
    'the alert that calls were executed whose on_refused has run; one that has not run yet does not run by itself';

-- The marker of a call of seat changes says which have gone along, from first to last.
CREATE OR REPLACE FUNCTION seats_internal.compensated_run_executed(team_id bigint, first_id bigint, last_uuid uuid)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.tell_of_late_execution(
        ARRAY(SELECT h.id FROM seats_internal.outbox_history AS h
               WHERE h.ring = ANY (seats_internal.ring_slots()) AND h.team_id = compensated_run_executed.team_id
                 AND h.result <> 'done' AND h.lines IS NOT NULL AND h.id >= first_id
                 AND h.id <= coalesce((SELECT max(l.id) FROM seats_internal.outbox_history AS l
                                        WHERE l.ring = ANY (seats_internal.ring_slots())
                                          AND l.team_id = compensated_run_executed.team_id AND l.uuid = last_uuid),
                                      first_id)),
        'its marker stands on the subscription');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.compensated_run_executed(bigint, bigint, uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.compensated_run_executed(bigint, bigint, uuid) IS
    'looks whether changes that a marker proves to be executed were compensated';

-- An event with the key of a call of enqueue_call. (A change of seats has its subscription read because of it, and there
-- its marker stands.) What Stripe has refused itself leaves events, too: of a declined payment, say. They tell only of
-- what was refused otherwise, by a person or a read, or of a key that was given up for another one.
CREATE OR REPLACE FUNCTION seats_internal.look_for_late_execution(key text, type text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settled seats_internal.outbox_history;
BEGIN
    SELECT h.* INTO settled
      FROM seats_internal.compensated_call AS c
     CROSS JOIN LATERAL seats_internal.settled_call(c.call_id) AS h
     WHERE c.uuid = substr(key, 38, 36)::uuid;
    IF settled.id IS NULL OR settled.lines IS NOT NULL OR right(type, 6) = 'failed'
       OR settled.proof IN ('answered', 'replayed') AND substr(key, 75)::integer = settled.generation
       OR EXISTS (SELECT FROM seats_internal.webhook_event AS w
                   WHERE w.idempotency_key = key AND right(w.type, 6) = 'failed') THEN
        RETURN;
    END IF;
    PERFORM seats_internal.tell_of_late_execution(ARRAY[settled.id], format('an event of type %s has its key', type));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.look_for_late_execution(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.look_for_late_execution(text, text) IS
    'looks whether an event tells that a compensated call was executed';
