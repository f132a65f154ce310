-- Money that has come in otherwise than it was to: when nobody was to pay, in another amount, twice. What becomes of it is the
-- request's rule, or a person's word: keep or refund. And payments that nobody goes on with.

CREATE OR REPLACE FUNCTION seats_internal.review_payment(
    payment  seats_internal.payment,
    severity text,
    reason   text,
    summary  text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    detail jsonb := seats_internal.payment_detail(payment) || jsonb_build_object('received', payment.received);
BEGIN
    UPDATE seats_internal.payment AS p
       SET review_since = clock_timestamp(), review_reason = review_payment.reason
     WHERE p.id = payment.id;
    PERFORM seats_internal.raise_alert(
        'payment:' || payment.id, severity, reason, summary, detail,
        format('SELECT seats.resolve_payment(%s, decision, reason) with one of: keep, refund.', payment.id),
        payment.id, payment.destination);
    PERFORM seats_internal.write_journal('payment.review', 'stripe', payment.id, payment.lane_id, reason, detail);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.review_payment(seats_internal.payment, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.review_payment(seats_internal.payment, text, text, text) IS
    'a person must decide about money that has come in: alert (whose kind is the reason) and journal';

-- `why`: nobody was to pay it any more, whoever has wanted that: the payment itself, its request, its member. Null: it was
-- to be paid. `rule`: what becomes of it then. (Who has said that a member has paid elsewhere, or need not, knows more than
-- a request's rule. Of what can still be paid why_unwanted says the like, in Stripe's words.)
CREATE OR REPLACE FUNCTION seats_internal.unwanted_money(
    payment  seats_internal.payment,
    OUT why  text,
    OUT rule text
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN m.state = 'paid_outside' THEN 'its member has paid elsewhere'
                WHEN m.state = 'waived' THEN 'its member need not pay'
                WHEN payment.cancel_requested_at IS NOT NULL THEN 'it was to be cancelled'
                WHEN m.removed_at IS NOT NULL THEN 'its member was removed'
                WHEN r.state = 'cancelled' THEN 'its request is cancelled' END,
           CASE WHEN m.state IN ('paid_outside', 'waived') THEN 'ask' ELSE r.when_paid_after_cancel END
      FROM seats_internal.payment_member AS m
     -- (One by one, as in why_unwanted.)
     CROSS JOIN LATERAL (SELECT q.state, q.when_paid_after_cancel FROM seats_internal.payment_request AS q
                          WHERE q.id = m.request_id LIMIT 1) AS r
     WHERE m.id = payment.member_id;
END;
REVOKE ALL ON FUNCTION seats_internal.unwanted_money(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.unwanted_money(seats_internal.payment) IS
    'why a payment that was paid was not to be, and what becomes of it';

-- Called when the transaction is written, so that a refund knows what came in. What was transferred to an account is not
-- given back without a word.
CREATE OR REPLACE FUNCTION seats_internal.judge_paid(payment seats_internal.payment, currency text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other    bigint;
    unwanted record;
    fits     boolean;
BEGIN
    SELECT p.* INTO payment FROM seats_internal.payment AS p WHERE p.id = payment.id;
    SELECT u.* INTO unwanted FROM seats_internal.unwanted_money(payment) AS u;
    SELECT (payment.received, judge_paid.currency) = ALL (VALUES (payment.amount, payment.currency),
                                                                 (m.amount, r.currency))
      INTO fits
      FROM seats_internal.payment_member AS m
     CROSS JOIN LATERAL (SELECT q.currency FROM seats_internal.payment_request AS q
                          WHERE q.id = m.request_id LIMIT 1) AS r
     WHERE m.id = payment.member_id;
    SELECT min(p.id) INTO other FROM seats_internal.payment AS p
     WHERE p.member_id = payment.member_id AND p.id <> payment.id AND p.state = 'succeeded'
       AND p.refunded < p.received;
    IF unwanted.why IS NOT NULL AND unwanted.rule = 'refund' AND NOT payment.has_transfer
       AND NOT seats_internal.is_of_original(payment) THEN
        PERFORM seats_internal.refund_rest('pg_seats', payment, 'requested_by_customer', 'after_cancel');
    ELSIF other IS NOT NULL THEN
        PERFORM seats_internal.review_payment(
            payment, 'critical', 'paid_twice',
            format('a member has paid twice: with payment %s, and with payment %s', other, payment.id));
    ELSIF NOT fits THEN
        PERFORM seats_internal.review_payment(
            payment, 'critical', 'paid_other_amount',
            format('payment %s is of %s %s, and %s %s came in', payment.id, payment.amount, payment.currency,
                   payment.received, judge_paid.currency));
    ELSIF unwanted.why IS NOT NULL AND unwanted.rule = 'keep' THEN
        UPDATE seats_internal.payment AS p SET review_reason = 'kept' WHERE p.id = payment.id;
    ELSIF unwanted.why IS NOT NULL THEN
        PERFORM seats_internal.review_payment(
            payment, 'critical', 'paid_after_cancel',
            format('payment %s was paid all the same: %s', payment.id, unwanted.why));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.judge_paid(seats_internal.payment, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.judge_paid(seats_internal.payment, text) IS
    'a payment was paid: is it as it was to be, and if not, what becomes of it?';

-- (Each name is used once: there is one end of a payment, and one review.)
CREATE OR REPLACE FUNCTION seats_internal.refund_rest(
    caller  text,
    payment seats_internal.payment,
    reason  text,
    name    text
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    remaining bigint := seats_internal.refundable(payment);
BEGIN
    IF remaining <= 0 THEN
        RETURN NULL;
    END IF;
    RETURN (seats_internal.begin_refund(caller, payment, remaining, reason, name)).id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refund_rest(text, seats_internal.payment, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refund_rest(text, seats_internal.payment, text, text) IS
    'gives back all that is left, if there is something; gives the refund';

CREATE OR REPLACE FUNCTION seats_internal.end_payment_review(
    payment    seats_internal.payment,
    result     text,
    resolution text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.payment AS p SET review_since = NULL, review_reason = result WHERE p.id = payment.id;
    PERFORM seats_internal.resolve_alert('payment:' || payment.id, resolution);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.end_payment_review(seats_internal.payment, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.end_payment_review(seats_internal.payment, text, text) IS
    'nobody has to decide about a payment any more';

-- Who refunds what was transferred says more than a decision does; what a bank holds nobody gives back.
CREATE OR REPLACE FUNCTION seats_internal.allowed_payment_decisions(payment bigint) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN p.review_since IS NULL THEN '{}'
                WHEN p.has_transfer OR p.disputed > 0 AND seats_internal.refundable(p) <= 0 THEN '{keep}'
                ELSE '{keep,refund}' END::text[]
      FROM seats_internal.payment AS p WHERE p.id = allowed_payment_decisions.payment;
END;
REVOKE ALL ON FUNCTION seats_internal.allowed_payment_decisions(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.allowed_payment_decisions(bigint) IS
    'the decisions that resolve_payment takes for a payment; none, if it is not in review; null: there is none';

CREATE OR REPLACE FUNCTION seats_internal.resolve_payment(
    caller           text,
    INOUT payment    bigint,
    decision         text,
    reason           text,
    OUT member_state text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.payment;
BEGIN
    PERFORM seats_internal.require_reason(reason);
    locked := seats_internal.take_payment(payment);
    IF locked.review_since IS NULL THEN
        RAISE EXCEPTION 'payment % is not in review', locked.id
            USING ERRCODE = 'PS816', HINT = format('SELECT seats.explain_call(%s) tells how it stands.', locked.id);
    ELSIF decision IS NULL OR decision NOT IN ('keep', 'refund') THEN
        RAISE EXCEPTION 'unknown decision' USING ERRCODE = 'PS403', HINT = 'One of: keep, refund.';
    ELSIF decision = 'refund' AND locked.has_transfer THEN
        RAISE EXCEPTION 'payment % was transferred to an account, and nothing says who gives it back', locked.id
            USING ERRCODE = 'PS814',
                  HINT = format('Refund it with SELECT * FROM seats.refund_payment(%s, reverse_transfer => …, '
                                'refund_application_fee => …): the review ends with that.', locked.id);
    ELSIF decision = 'refund' AND locked.disputed > 0 THEN
        -- (It is decided when the bank has: what there is to give back, nobody can say before.)
        PERFORM seats_internal.amount_to_refund(locked, NULL);
    END IF;
    PERFORM seats_internal.end_payment_review(
        locked, CASE decision WHEN 'keep' THEN 'kept' ELSE 'refunded' END, format('decided by %I', caller));
    IF decision = 'refund' THEN
        PERFORM seats_internal.require_own_payment(locked);
        PERFORM seats_internal.refund_rest(caller, locked, 'requested_by_customer', 'decided');
    END IF;
    PERFORM seats_internal.settle_member_by_payments(locked.member_id);
    PERFORM seats_internal.write_journal(
        'operator.resolve_payment', caller, locked.id, locked.lane_id, resolve_payment.reason,
        seats_internal.payment_detail(locked)
        || jsonb_build_object('decision', decision, 'was', locked.review_reason));
    member_state := (SELECT m.state FROM seats_internal.payment_member AS m WHERE m.id = locked.member_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.resolve_payment(text, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.resolve_payment(text, bigint, text, text) IS 'behind seats.resolve_payment';

CREATE OR REPLACE FUNCTION seats.resolve_payment(
    INOUT payment    bigint,
    decision         text,
    reason           text,
    OUT member_state text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.resolve_payment(bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.resolve_payment(bigint, text, text) IS
    'decides about money that nobody expected: keep (it counts as paid) or refund (all that is left)';

-- ---- payments that nobody goes on with

-- Somebody who has the member just now is going on with it.
CREATE OR REPLACE FUNCTION seats_internal.abandon_payments(most integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    idle       seats_internal.payment;
    found_some integer := 0;
BEGIN
    FOR idle IN
        SELECT p.* FROM seats_internal.payment AS p
         WHERE p.abandon_at < timezone('UTC', clock_timestamp())
           AND p.state IN ('creating', 'payable') AND p.cancel_requested_at IS NULL
         ORDER BY p.abandon_at LIMIT most
    LOOP
        found_some := found_some + 1;
        IF seats_internal.try_lane(idle.lane_id) THEN
            PERFORM seats_internal.abandon_payment(idle.id);
        END IF;
    END LOOP;
    RETURN found_some;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.abandon_payments(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.abandon_payments(integer) IS
    'cancels payments that nobody goes on with, at most so many: gives how many it has found; called by the worker';

CREATE OR REPLACE FUNCTION seats_internal.abandon_payment(payment bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    abandoned seats_internal.payment;
BEGIN
    UPDATE seats_internal.payment AS p
       SET cancel_requested_at = clock_timestamp(), cancel_reason = 'abandoned'
     WHERE p.id = abandon_payment.payment AND p.state IN ('creating', 'payable') AND p.cancel_requested_at IS NULL
       AND p.abandon_at < timezone('UTC', clock_timestamp())
    RETURNING p.* INTO abandoned;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF abandoned.state = 'payable' THEN
        PERFORM seats_internal.queue_payment_cancel(abandoned);
    ELSIF abandoned.intent IS NULL THEN
        PERFORM seats_internal.take_back_create('pg_seats', abandoned);
    END IF;
    PERFORM seats_internal.write_journal(
        'payment.abandoned', 'pg_seats', abandoned.id, abandoned.lane_id, NULL,
        seats_internal.payment_detail(abandoned));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.abandon_payment(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.abandon_payment(bigint) IS
    'a payment that nobody has gone on with for so long is to be cancelled';
