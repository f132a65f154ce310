-- What really happened to a payment: once each, with the application's function for it, in one transaction with whatever
-- else it changes.

CREATE OR REPLACE FUNCTION seats_internal.payment_detail(payment seats_internal.payment) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- (Without the payer's name: the journal keeps what it has, and the member's number leads to it.)
    RETURN (SELECT jsonb_strip_nulls(jsonb_build_object(
                       'payment', payment.id, 'member', m.id, 'request', r.id, 'request_key', r.request_key,
                       'attempt', payment.attempt, 'intent', payment.intent, 'amount', payment.amount,
                       'currency', payment.currency))
              FROM seats_internal.payment_member AS m
             -- (One by one, as in why_unwanted.)
             CROSS JOIN LATERAL (SELECT q.id, q.request_key FROM seats_internal.payment_request AS q
                                  WHERE q.id = m.request_id LIMIT 1) AS r
             WHERE m.id = payment.member_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_detail(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_detail(seats_internal.payment) IS
    'a payment as journal and alerts tell of it';

-- Which of a request's functions a kind of transaction runs, and how the journal tells of it.
CREATE OR REPLACE FUNCTION seats_internal.transaction_kinds(
    OUT kind         text,
    OUT fact         text,
    OUT journal_kind text
) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('succeeded',     'paid',      'payment.succeeded'),
           ('failed',        'failed',    'payment.failed'),
           ('cancelled',     'cancelled', 'payment.cancelled'),
           ('refunded',      'refunded',  'payment.refunded'),
           ('refund_failed', 'refunded',  'payment.refund_failed'),
           ('disputed',      'disputed',  'payment.disputed'),
           ('dispute_won',   'disputed',  'payment.dispute_won'),
           ('dispute_lost',  'disputed',  'payment.dispute_lost');
END;
REVOKE ALL ON FUNCTION seats_internal.transaction_kinds() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.transaction_kinds() IS 'what can happen to a payment';

-- As calls_ended does it at the end of a call: the row has its outcome from the beginning.
CREATE OR REPLACE FUNCTION seats_internal.make_fact_handler(
    payment  seats_internal.payment,
    happened seats_internal.payment_transaction,
    detail   jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.handler
        (call_id, installation, lane_id, role, role_oid, on_done, on_done_owner, on_done_owner_oid, settings, context,
         outcome, ended_at)
    SELECT happened.id, i.uuid, m.lane_id, r.role, r.role_oid, f.function, f.owner, f.owner_oid, r.settings, r.context,
           jsonb_strip_nulls(
               jsonb_build_object(
                   'result', 'done', 'transaction', happened.kind, 'payment', payment.id, 'member', m.id,
                   'reference', m.reference, 'request_key', r.request_key, 'request', r.id, 'amount', happened.amount,
                   'currency', happened.currency, 'charge', happened.charge, 'reason', happened.reason)
               || detail),
           happened.happened_at
      FROM seats_internal.payment_member AS m
      JOIN seats_internal.payment_request AS r ON r.id = m.request_id
      JOIN seats_internal.transaction_kinds() AS k ON k.kind = happened.kind
      JOIN seats_internal.payment_handler AS f ON f.request_id = r.id AND f.fact = k.fact
     CROSS JOIN seats_internal.installation AS i
     WHERE m.id = payment.member_id;
    IF FOUND THEN
        PERFORM seats_internal.wake_for_handlers(ARRAY[happened.id]);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.make_fact_handler(seats_internal.payment, seats_internal.payment_transaction, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.make_fact_handler(seats_internal.payment, seats_internal.payment_transaction, jsonb) IS
    'lets the application''s function for what has happened run, if its request names one';

-- The one place that writes a transaction. False: it was known. `detail`: which refund or dispute it is about.
CREATE OR REPLACE FUNCTION seats_internal.note_transaction(
    payment    seats_internal.payment,
    kind       text,
    object     text,
    amount     bigint,
    currency   text,
    charge     text,
    event      text,
    reason     text  DEFAULT NULL,
    detail     jsonb DEFAULT '{}'
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted seats_internal.payment_transaction;
BEGIN
    INSERT INTO seats_internal.payment_transaction AS t
        (payment_id, kind, object, amount, currency, charge, event, reason)
    VALUES
        (payment.id, note_transaction.kind, note_transaction.object, note_transaction.amount,
         note_transaction.currency, note_transaction.charge, note_transaction.event, note_transaction.reason)
    ON CONFLICT ON CONSTRAINT payment_transaction_happens_once DO NOTHING
    RETURNING t.* INTO noted;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM seats_internal.make_fact_handler(payment, noted, detail);
    PERFORM seats_internal.write_journal(
        (SELECT k.journal_kind FROM seats_internal.transaction_kinds() AS k WHERE k.kind = noted.kind),
        -- (What was never sent is cancelled here.)
        CASE WHEN noted.kind = 'cancelled' AND payment.intent IS NULL THEN 'pg_seats' ELSE 'stripe' END,
        noted.id, payment.lane_id, noted.reason,
        seats_internal.payment_detail(payment) || detail
        || jsonb_strip_nulls(jsonb_build_object('amount', noted.amount, 'currency', noted.currency,
                                                'charge', noted.charge, 'event', noted.event)));
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.note_transaction(
    seats_internal.payment, text, text, bigint, text, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_transaction(
    seats_internal.payment, text, text, bigint, text, text, text, text, jsonb) IS
    'writes what really happened, once: transaction, journal, and the application''s function for it';

-- A member's state is what its payments make of it; only who has waived it, or was paid elsewhere, has said so himself,
-- and that stands until money is kept all the same. Called whenever a payment's state, or what it holds, has changed.
CREATE OR REPLACE FUNCTION seats_internal.settle_member_by_payments(member bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.payment_member AS m
       SET attempts = n.attempts, live_payment_id = n.live, state = n.state,
           state_since = CASE WHEN m.state = n.state THEN m.state_since ELSE clock_timestamp() END
      FROM seats_internal.payment_member AS o
     -- (As in why_unwanted.)
     CROSS JOIN LATERAL (SELECT q.currency FROM seats_internal.payment_request AS q WHERE q.id = o.request_id LIMIT 1) AS r
     CROSS JOIN LATERAL (
           SELECT max(p.attempt) AS attempts, count(t.id) AS succeeded,
                  count(t.id) FILTER (WHERE p.refunded < p.received) AS paid,
                  bool_or(t.id IS NOT NULL AND p.refunded < p.received AND p.review_reason IS NOT DISTINCT FROM 'kept')
                  AS kept,
                  bool_or(p.refunded < p.received AND t.amount = o.amount AND t.currency = r.currency) AS fits,
                  (array_agg(p.id ORDER BY p.id IS DISTINCT FROM o.live_payment_id, p.id)
                          FILTER (WHERE p.state IN ('creating', 'payable', 'processing')))[1] AS live
             FROM seats_internal.payment AS p
             LEFT JOIN seats_internal.payment_transaction AS t
               ON t.payment_id = p.id AND t.kind = 'succeeded' AND p.state = 'succeeded'
            WHERE p.member_id = o.id) AS held
     CROSS JOIN LATERAL (
           SELECT greatest(o.attempts, held.attempts) AS attempts, held.live,
                  CASE WHEN o.state IN ('waived', 'paid_outside') AND held.kept IS NOT TRUE THEN o.state
                       WHEN held.kept OR held.fits THEN 'paid'
                       WHEN held.paid > 0 THEN 'paid_other_amount'
                       WHEN held.live IS NOT NULL THEN 'paying'
                       WHEN o.amount = 0 THEN 'nothing_due'
                       WHEN held.succeeded > 0 THEN 'refunded'
                       ELSE 'unpaid' END AS state) AS n
     WHERE o.id = settle_member_by_payments.member AND m.id = o.id
       AND (m.attempts, m.live_payment_id, m.state) IS DISTINCT FROM (n.attempts, n.live, n.state);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.settle_member_by_payments(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.settle_member_by_payments(bigint) IS
    'makes of a member what its payments say';
