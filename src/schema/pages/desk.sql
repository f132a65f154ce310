-- A call's page, for an operator's console: what explain_call says, and the facts as keys. No body, no answer, no
-- context, as in the views; of seats and money what is known of them.

-- ---- parts of a page

-- Which verbs do not refuse an open call now. (cancel_change is the application's, but operators are asked for it.)
CREATE OR REPLACE FUNCTION seats_internal.verbs_now(call seats_internal.outbox) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_foreign boolean := seats_internal.is_foreign(call);
BEGIN
    RETURN array_remove(ARRAY[
        CASE WHEN seats_internal.can_be_retried(call.state) AND NOT is_foreign THEN 'retry' END,
        CASE WHEN call.state IN ('pending', 'waiting') AND NOT call.doubt THEN 'cancel_call' END,
        CASE WHEN call.lines IS NOT NULL AND seats_internal.may_be_cancelled(call) THEN 'cancel_change' END,
        CASE WHEN call.state IN ('pending', 'waiting', 'verifying') AND call.doubt AND NOT is_foreign THEN 'review_call' END,
        CASE WHEN call.state = 'review' THEN 'resolve_review' END], NULL);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.verbs_now(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.verbs_now(seats_internal.outbox) IS 'which verbs take this open call as it is';

-- The newest hundred, in their order; of a call that went through at once, that.
CREATE OR REPLACE FUNCTION seats_internal.desk_attempts(call bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY t.answered_at, t.number), '[]')
          FROM (SELECT a.answered_at, a.purpose, a.generation, a.number, a.verdict, a.reason, a.http_status, a.request_id,
                       a.error, a.sent, a.replayed,
                       round((extract(epoch FROM a.duration) * 1000)::double precision) AS duration_ms
                  FROM seats.attempts AS a
                 WHERE a.call = desk_attempts.call
                 ORDER BY a.answered_at DESC LIMIT 100) AS t);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.desk_attempts(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_attempts(bigint) IS 'the requests that were made for a call, in their order';

CREATE OR REPLACE FUNCTION seats_internal.desk_handler(call bigint) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_build_object(
               'role', h.role, 'on_done', h.on_done, 'on_refused', h.on_refused,
               'function', CASE WHEN h.outcome IS NOT NULL THEN seats_internal.function_to_run(h) END,
               'state', seats_internal.state_of_handler(h),
               'tries', h.tries + h.retries, 'next_try_at', h.due_at, 'failed_at', h.failed_at, 'error', h.error,
               'error_code', h.error_code, 'error_context', left(h.error_context, 1000), 'review_since', h.review_since,
               'review_reason', h.review_reason,
               'why', CASE WHEN h.review_since IS NOT NULL THEN seats_internal.review_in_words(h, h.review_reason) END)
      FROM seats_internal.handler AS h WHERE h.call_id = call;
END;
REVOKE ALL ON FUNCTION seats_internal.desk_handler(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_handler(bigint) IS
    'what is to run, or has not run yet, because a call has ended; null: nothing';

-- The changes that go, or went, along with a call, at most a hundred. (Those of one call are settled together.)
CREATE OR REPLACE FUNCTION seats_internal.desk_carried(open_call seats_internal.outbox, settled seats_internal.outbox_history)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(jsonb_build_object('change', c.id, 'actor', c.actor, 'person', c.acting_person,
                                                 'enqueued_by', c.enqueued_by, 'lines', c.lines, 'created_at', c.created_at)
                              ORDER BY c.id), '[]')
      FROM ((SELECT o.id, o.actor, o.acting_person, o.enqueued_by, o.lines, o.created_at
               FROM seats_internal.outbox AS o
              WHERE o.lane_id = open_call.lane_id AND o.id > open_call.id AND o.id <= open_call.last_id
                AND o.state = 'carried'
              ORDER BY o.id LIMIT 100)
            UNION ALL
            (SELECT h.id, h.actor, h.acting_person, h.enqueued_by, h.lines, h.created_at
               FROM seats_internal.outbox_history AS h
              WHERE h.team_id = settled.team_id AND seats_internal.is_change(h.kind) AND h.carrier_id = settled.id
                AND h.settled_at BETWEEN settled.settled_at - interval '1 minute' AND settled.settled_at + interval '1 minute'
              ORDER BY h.id LIMIT 100)) AS c;
END;
REVOKE ALL ON FUNCTION seats_internal.desk_carried(seats_internal.outbox, seats_internal.outbox_history) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_carried(seats_internal.outbox, seats_internal.outbox_history) IS
    'the changes of seats that a call takes along, or took';

CREATE OR REPLACE FUNCTION seats_internal.desk_payment(payment bigint) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_build_object(
               'payment', p.id, 'member', p.member_id, 'reference', m.reference, 'request', m.request_id, 'intent', p.intent,
               'amount', p.amount, 'currency', p.currency, 'currency_decimals', seats_internal.currency_decimals(p.currency),
               'state', seats_internal.payment_state(p.state, p.cancel_requested_at), 'received', p.received,
               'refunded', p.refunded, 'refund_reserved', p.refund_reserved, 'disputed', p.disputed,
               'member_owes', m.amount, 'member_state', m.state,
               'review_since', p.review_since, 'review_reason', p.review_reason)
      FROM seats_internal.payment AS p
      JOIN seats_internal.payment_member AS m ON m.id = p.member_id
     WHERE p.id = desk_payment.payment;
END;
REVOKE ALL ON FUNCTION seats_internal.desk_payment(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_payment(bigint) IS 'the money of a payment; null: there is none of this number';

-- The money of a change is what Stripe makes of it, and that is known when its invoice is. Before that there is a bound: the
-- seats that it adds, by the prices that the subscription has for them. Null where one of these is not known, or counts in
-- another currency than the subscription's.
CREATE OR REPLACE FUNCTION seats_internal.desk_cost(team_id bigint, seats jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_build_object(
               'amount', sum(s.added * p.unit_amount), 'currency', t.currency,
               'currency_decimals', seats_internal.currency_decimals(t.currency))
      FROM seats_internal.team AS t
     CROSS JOIN LATERAL (
        SELECT s.key AS seat_type, (s.value ->> 'new_quantity')::bigint - (s.value ->> 'previous_quantity')::bigint AS added
          FROM jsonb_each(desk_cost.seats) AS s) AS s
      LEFT JOIN seats_internal.seat_line AS l ON l.team_id = t.id AND l.seat_type = s.seat_type
      LEFT JOIN seats_internal.stripe_price AS p
             ON p.destination = t.destination AND p.price = l.last_price AND p.currency = t.currency
     WHERE t.id = desk_cost.team_id AND s.added > 0
     GROUP BY t.currency HAVING count(*) = count(p.unit_amount);
END;
REVOKE ALL ON FUNCTION seats_internal.desk_cost(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_cost(bigint, jsonb) IS
    'what the seats that a change adds cost at most: for a whole period, before taxes; null: it adds none, or that is not known';

-- ---- a call's page

CREATE OR REPLACE FUNCTION seats_internal.desk_open_call(call seats_internal.outbox) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_build_object(
        'state', call.state, 'is_open', true, 'state_since', call.state_since, 'due_at', call.due_at,
        'destination', call.destination, 'method', call.method, 'path', call.path, 'generation', call.generation,
        'tries', call.tries, 'requests', call.attempts, 'verifications', call.verifications, 'doubt', call.doubt,
        'created_at', call.created_at, 'enqueued_by', call.enqueued_by, 'actor', call.actor, 'person', call.acting_person,
        'first_sent_at', call.first_sent_at, 'last_sent_at', call.last_sent_at, 'reason', call.reason,
        'error', call.last_error, 'error_code', call.error_code, 'decline_code', call.decline_code,
        'request_id', call.request_id,
        'idempotency_key', seats_internal.idempotency_key(call.installation, call.uuid, call.generation),
        'is_foreign', seats_internal.is_foreign(call), 'invoice', seats_internal.page_payment(call.payment),
        'held_back', CASE WHEN call.state IN ('sending', 'review') THEN '[]'::jsonb
                          ELSE (SELECT coalesce(jsonb_agg(o), '[]') FROM seats_internal.obstacles(call) AS o) END,
        'verbs', seats_internal.verbs_now(call));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.desk_open_call(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_open_call(seats_internal.outbox) IS 'an open call, as its page has it';

CREATE OR REPLACE FUNCTION seats_internal.desk_settled_call(call seats_internal.outbox_history) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_build_object(
        'state', call.result, 'is_open', false, 'settled_at', call.settled_at, 'settled_by', call.settled_by,
        'proof', call.proof, 'carrier', call.carrier_id, 'http_status', nullif(call.http_status, 0),
        'destination', call.destination, 'method', call.method, 'path', call.path, 'generation', call.generation,
        'requests', call.attempts, 'created_at', call.created_at, 'enqueued_by', call.enqueued_by, 'actor', call.actor,
        'person', call.acting_person, 'first_sent_at', call.first_sent_at, 'reason', call.reason, 'error', call.error,
        'error_code', call.error_code, 'decline_code', call.decline_code, 'request_id', call.request_id,
        'idempotency_key', seats_internal.idempotency_key(call.installation, call.uuid, call.generation),
        'invoice', seats_internal.page_invoice(call.invoice), 'verbs', '[]'::jsonb);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.desk_settled_call(seats_internal.outbox_history) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_settled_call(seats_internal.outbox_history) IS 'a settled call, as its page has it';

-- Null: there is neither such a call nor anything else of this number.
CREATE OR REPLACE FUNCTION seats_internal.desk_call(number bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_call seats_internal.outbox;
    settled   seats_internal.outbox_history;
    lane      bigint;
    facts     jsonb;
BEGIN
    SELECT o.* INTO open_call FROM seats_internal.outbox AS o WHERE o.id = number;
    IF NOT FOUND THEN
        settled := seats_internal.settled_call(number);
    END IF;
    IF open_call.id IS NULL AND settled.id IS NULL THEN
        RETURN NULL;
    END IF;
    lane := coalesce(open_call.lane_id, settled.lane_id);
    facts := coalesce(seats_internal.facts_of_change(number), '{}');
    RETURN jsonb_build_object(
               'call', number,
               'lane', (SELECT l.name FROM seats_internal.lane AS l WHERE l.id = lane),
               'team', (SELECT t.name FROM seats_internal.team AS t WHERE t.lane_id = lane AND t.kind = 'team'),
               'seats', facts -> 'seats', 'asked_for_by', facts -> 'actor',
               'costs_at_most', seats_internal.desk_cost(coalesce(open_call.team_id, settled.team_id), facts -> 'seats'),
               'carried', seats_internal.desk_carried(open_call, settled),
               'payment', seats_internal.desk_payment(coalesce(open_call.payment_id, settled.payment_id)),
               'handler', seats_internal.desk_handler(number),
               'attempts', seats_internal.desk_attempts(number))
           || CASE WHEN open_call.id IS NOT NULL THEN seats_internal.desk_open_call(open_call)
                   ELSE seats_internal.desk_settled_call(settled) END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.desk_call(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_call(bigint) IS 'the facts of a call, open or settled; null: there is none';

-- (Numbers of calls, payments, refunds and what has happened are of one kind, as for explain_call.)
CREATE OR REPLACE FUNCTION seats_internal.call_page(caller text, call bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    facts   jsonb := seats_internal.desk_call(call);
    payment jsonb := CASE WHEN facts IS NULL THEN seats_internal.desk_payment(call) END;
    other   text  := CASE WHEN facts IS NULL AND payment IS NULL
                          THEN coalesce(seats_internal.explain_transaction(call), seats_internal.explain_refund(call),
                                        seats_internal.explain_member(call), seats_internal.explain_handler(call)) END;
BEGIN
    IF facts IS NULL AND payment IS NULL AND other IS NULL THEN
        PERFORM seats_internal.raise_not_open(call);
    END IF;
    RETURN jsonb_build_object(
               'call', call,
               'what', CASE WHEN facts IS NOT NULL THEN 'call' WHEN payment IS NOT NULL THEN 'payment' ELSE 'other' END,
               'as_of', seats_internal.time_of_snapshot(),
               'explained', to_jsonb(string_to_array(seats_internal.explain_call(caller, call), E'\n')))
           || coalesce(facts, jsonb_build_object('payment', payment, 'handler', seats_internal.desk_handler(call)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.call_page(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.call_page(text, bigint) IS 'behind seats.call_page';

CREATE OR REPLACE FUNCTION seats.call_page(call bigint) RETURNS jsonb
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.call_page(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.call_page(bigint) IS
    'all of a call, open or settled, that an operator''s page shows: what explain_call says, its state and keys, team, seats and '
    'money, its requests, its handler, and the verbs that take it now; without bodies and answers. Times are UTC';
