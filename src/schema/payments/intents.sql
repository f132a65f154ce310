-- The truth about a payment: what Stripe says of its intent, whoever has asked (its create, a cancel, a read, a list).
-- `facts` are the known fields of its JSON, as C++ has read them. Whoever calls this has the member's lane.

-- What is new at Stripe, and unknown here, can neither be paid nor given up: it waits for a read that says more.
CREATE OR REPLACE FUNCTION seats_internal.intent_state(status text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN status IN ('requires_payment_method', 'requires_confirmation', 'requires_action') THEN 'payable'
    WHEN status IN ('succeeded', 'canceled') THEN status
    ELSE 'processing' END;
REVOKE ALL ON FUNCTION seats_internal.intent_state(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.intent_state(text) IS 'what a status of Stripe''s means here';

-- Only what is over stays so, and money that has come in comes before all else. A payment that was refused, as Stripe had
-- made no intent, is not paid by one that shows up later.
CREATE OR REPLACE FUNCTION seats_internal.next_payment_state(state text, status text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN 'succeeded' IN (state, status) THEN 'succeeded'
    WHEN state IN ('canceled', 'refused') THEN state
    ELSE seats_internal.intent_state(status) END;
REVOKE ALL ON FUNCTION seats_internal.next_payment_state(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.next_payment_state(text, text) IS
    'the state of a payment of which Stripe says this now';

-- `touched_at`: the payer has gone on.
CREATE OR REPLACE FUNCTION seats_internal.store_intent(
    payment seats_internal.payment,
    facts   jsonb,
    as_of   timestamptz
) RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_state text := seats_internal.next_payment_state(payment.state, facts ->> 'status');
    stored    seats_internal.payment;
BEGIN
    UPDATE seats_internal.payment AS p
       SET intent = facts ->> 'id', status = facts ->> 'status', state = new_state,
           next_action = facts ->> 'next_action', error_code = facts ->> 'error_code',
           decline_code = facts ->> 'decline_code', charge = coalesce(facts ->> 'charge', p.charge),
           has_transfer = p.has_transfer OR coalesce((facts ->> 'has_transfer')::boolean, false),
           -- (What is known to be given back, or is about to be, was received.)
           received = greatest(
               coalesce((facts ->> 'amount_received')::bigint,
                        CASE WHEN new_state = 'succeeded' THEN (facts ->> 'amount')::bigint END,
                        CASE WHEN new_state = 'succeeded' THEN p.amount END, 0),
               p.refunded + p.refund_reserved, CASE WHEN p.state = 'succeeded' THEN p.received END),
           read_at = CASE WHEN p.read_at > clock_timestamp() THEN as_of ELSE greatest(p.read_at, as_of) END,
           heard_at = clock_timestamp(),
           touched_at = CASE WHEN (p.status, p.error_code, p.decline_code) IS NOT DISTINCT FROM
                                  (facts ->> 'status', facts ->> 'error_code', facts ->> 'decline_code')
                             THEN p.touched_at ELSE clock_timestamp() END,
           state_since = CASE WHEN p.state = new_state THEN p.state_since ELSE clock_timestamp() END
     WHERE p.id = payment.id
    RETURNING p.* INTO stored;
    RETURN stored;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.store_intent(seats_internal.payment, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.store_intent(seats_internal.payment, jsonb, timestamptz) IS
    'stores what Stripe says of a payment''s intent, and gives the payment as it is then';

-- A failure with a charge is told once for the charge. One without (3-D Secure was not passed) has nothing to know it by:
-- it is news when the intent was on its way, or has failed otherwise before.
CREATE OR REPLACE FUNCTION seats_internal.note_failure(
    was       seats_internal.payment,
    facts     jsonb,
    is_newest boolean,
    event     text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    code   text := coalesce(facts ->> 'decline_code', facts ->> 'error_code');
    object text := facts ->> 'failed_charge';
BEGIN
    IF object IS NULL THEN
        IF code IS NULL OR NOT is_newest OR facts ->> 'status' IS DISTINCT FROM 'requires_payment_method'
           OR (was.status, was.error_code, was.decline_code) IS NOT DISTINCT FROM
              (facts ->> 'status', facts ->> 'error_code', facts ->> 'decline_code') THEN
            RETURN;
        END IF;
        object := format('%s/%s', facts ->> 'id', 1 + (SELECT count(*) FROM seats_internal.payment_transaction AS t
                                                        WHERE t.payment_id = was.id AND t.kind = 'failed'));
    END IF;
    PERFORM seats_internal.note_transaction(
        was, 'failed', object, coalesce((facts ->> 'amount')::bigint, was.amount),
        coalesce(facts ->> 'currency', was.currency), facts ->> 'failed_charge', event, code);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.note_failure(seats_internal.payment, jsonb, boolean, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.note_failure(seats_internal.payment, jsonb, boolean, text) IS
    'a try to pay has failed, and can be followed by another one';

-- A cancel that has yet to be tried has nothing to do any more, and would hold up what follows in the lane (another payment of
-- the member, a refund) until its time has come: an hour, where Stripe has refused it before.
CREATE OR REPLACE FUNCTION seats_internal.end_needless_cancel(payment seats_internal.payment) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    needless bigint[] := ARRAY(SELECT o.id FROM seats_internal.outbox AS o
                                WHERE o.id = payment.cancel_call_id AND o.payment_id = payment.id
                                  AND o.state IN ('pending', 'waiting')
                                  FOR UPDATE SKIP LOCKED);
BEGIN
    IF needless <> '{}' THEN
        PERFORM seats_internal.move_to_history(needless, 'cancelled', 'intent_is_over');
        PERFORM seats_internal.reoffer_lane(payment.lane_id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_needless_cancel(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_needless_cancel(seats_internal.payment) IS
    'ends the cancel of an intent that is over, unless it is on the wire';

CREATE OR REPLACE FUNCTION seats_internal.payment_was_settled(
    payment seats_internal.payment,
    facts   jsonb,
    event   text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    currency text := coalesce(facts ->> 'currency', payment.currency);
BEGIN
    PERFORM seats_internal.resolve_alert('payment_not_cancelled:' || payment.id, 'it is ' || payment.state);
    PERFORM seats_internal.end_needless_cancel(payment);
    IF payment.state = 'succeeded' THEN
        PERFORM seats_internal.recount_refunds(payment.id);
        PERFORM seats_internal.note_transaction(
            payment, 'succeeded', payment.intent, payment.received, currency, payment.charge, event);
        PERFORM seats_internal.judge_paid(payment, currency);
        PERFORM seats_internal.read_other_payments(payment);
    ELSIF payment.state = 'canceled' THEN
        PERFORM seats_internal.note_transaction(
            payment, 'cancelled', payment.intent, payment.amount, currency, NULL, event,
            coalesce(facts ->> 'cancellation_reason', payment.cancel_reason));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.payment_was_settled(seats_internal.payment, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.payment_was_settled(seats_internal.payment, jsonb, text) IS
    'what follows from a new state of a payment, if it is one that stays';

-- Nobody is to have two intents that he can pay: the later one goes. (After a failover that has forgotten a start.) Nor
-- is one to stay of a payment that ended without any: the same start may have been sent before it was forgotten. Nor one
-- of which he would pay another sum than this payment is of. In Stripe's words for why; null: it can stay.
CREATE OR REPLACE FUNCTION seats_internal.why_unwanted(payment seats_internal.payment, facts jsonb) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT CASE
               WHEN payment.state IN ('refused', 'canceled') THEN
                   CASE WHEN seats_internal.intent_state(payment.status) <> 'canceled' THEN 'abandoned' END
               WHEN payment.state NOT IN ('payable', 'processing') THEN NULL
               WHEN r.state = 'cancelled' OR m.removed_at IS NOT NULL OR m.state IN ('waived', 'paid_outside')
                   THEN 'requested_by_customer'
               WHEN (facts ->> 'amount')::bigint <> payment.amount OR facts ->> 'currency' <> payment.currency
                    OR m.live_payment_id <> payment.id
                    OR EXISTS (SELECT FROM seats_internal.payment AS o
                                WHERE o.member_id = m.id AND o.id <> payment.id AND o.state = 'succeeded'
                                  AND o.refunded < o.received)
                   THEN 'duplicate' END
          FROM seats_internal.payment_member AS m
         -- (One by one: a plan that was made while there were few would read all requests for each answer.)
         CROSS JOIN LATERAL (SELECT q.state FROM seats_internal.payment_request AS q WHERE q.id = m.request_id LIMIT 1) AS r
         WHERE m.id = payment.member_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.why_unwanted(seats_internal.payment, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.why_unwanted(seats_internal.payment, jsonb) IS
    'why nobody is to pay an intent';

CREATE OR REPLACE FUNCTION seats_internal.cancel_if_unwanted(payment seats_internal.payment, facts jsonb)
RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unwanted seats_internal.payment;
BEGIN
    UPDATE seats_internal.payment AS p
       SET cancel_requested_at = clock_timestamp(), cancel_reason = u.reason
      FROM seats_internal.why_unwanted(payment, facts) AS u (reason)
     WHERE p.id = payment.id AND p.cancel_requested_at IS NULL AND u.reason IS NOT NULL
    RETURNING p.* INTO unwanted;
    IF FOUND THEN
        RETURN unwanted;
    END IF;
    RETURN payment;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.cancel_if_unwanted(seats_internal.payment, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cancel_if_unwanted(seats_internal.payment, jsonb) IS
    'an intent that nobody is to pay is to be cancelled; gives the payment';

-- `due_at`: Stripe has refused it before, though it should not.
CREATE OR REPLACE FUNCTION seats_internal.queue_payment_cancel(
    payment seats_internal.payment,
    due_at  timestamptz DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    call bigint := (SELECT o.id FROM seats_internal.outbox AS o WHERE o.id = payment.cancel_call_id);
BEGIN
    IF call IS NULL AND payment.intent IS NOT NULL THEN
        INSERT INTO seats_internal.outbox
            (lane_id, due_at, installation, destination, method, path, body, enqueued_by, kind, payment_id)
        SELECT payment.lane_id, queue_payment_cancel.due_at, i.uuid, payment.destination, 'POST',
               format('/v1/payment_intents/%s/cancel', payment.intent),
               seats_internal.encoded_form(jsonb_strip_nulls(jsonb_build_object(
                   'cancellation_reason', payment.cancel_reason))),
               'pg_seats', 'payment_cancel', payment.id
          FROM seats_internal.installation AS i
        RETURNING id INTO call;
        UPDATE seats_internal.payment AS p SET cancel_call_id = call WHERE p.id = payment.id;
    END IF;
    RETURN call;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.queue_payment_cancel(seats_internal.payment, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.queue_payment_cancel(seats_internal.payment, timestamptz) IS
    'leaves a cancel of a payment''s intent in the outbox, unless one is open; gives its id';

-- What Stripe knows and we do not is read.
CREATE OR REPLACE FUNCTION seats_internal.follow_intent(payment seats_internal.payment, facts jsonb, event text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- (Pending ones are in Stripe's sum, too. What is reserved for a call that has no answer yet is not.)
    known_refunds bigint := (SELECT coalesce(sum(r.amount), 0) FROM seats_internal.refund AS r
                              WHERE r.payment_id = payment.id AND r.refund IS NOT NULL
                                AND r.state IN ('pending', 'requires_action', 'succeeded'));
BEGIN
    IF payment.cancel_requested_at IS NOT NULL AND payment.state <> 'succeeded'
       -- (At a bank Stripe cancels some: a refusal holds until something else is read.)
       AND (seats_internal.intent_state(payment.status) = 'payable'
            OR seats_internal.intent_state(payment.status) = 'processing'
               AND payment.status IS DISTINCT FROM payment.cancel_refused_in) THEN
        PERFORM seats_internal.queue_payment_cancel(payment);
    END IF;
    -- (Before it is known to be paid, its read comes first: see apply_refunds.)
    IF payment.state = 'succeeded' AND (facts ->> 'charge_refunded')::bigint <> known_refunds THEN
        PERFORM seats_internal.queue_payment_read(payment.id, 'refunds', event);
    END IF;
    IF payment.state = 'succeeded' AND (facts ->> 'charge_disputed')::boolean
       AND NOT EXISTS (SELECT FROM seats_internal.payment_transaction AS t
                        WHERE t.payment_id = payment.id AND t.kind = 'disputed') THEN
        PERFORM seats_internal.queue_payment_read(payment.id, 'disputes', event);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.follow_intent(seats_internal.payment, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.follow_intent(seats_internal.payment, jsonb, text) IS
    'leaves in the outbox what an intent, as it stands, makes necessary';

-- True: the client secret that came with these facts may be given away. `as_of`: when the request left that has shown
-- them; of what is not over the latest counts, also backwards, as a debit that has failed at the bank is payable again.
CREATE OR REPLACE FUNCTION seats_internal.apply_intent(
    payment bigint,
    facts   jsonb,
    as_of   timestamptz,
    event   text DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was       seats_internal.payment;
    now_is    seats_internal.payment;
    is_newest boolean;
BEGIN
    SELECT p.* INTO was FROM seats_internal.payment AS p WHERE p.id = apply_intent.payment FOR UPDATE;
    IF was.id IS NULL OR was.state = 'left_to_original' OR facts ->> 'id' IS NULL OR facts ->> 'status' IS NULL THEN
        RETURN false;
    ELSIF was.intent <> facts ->> 'id' OR was.intent IS NULL AND EXISTS (
        SELECT FROM seats_internal.payment AS o
         WHERE o.destination = was.destination AND o.intent = facts ->> 'id') THEN
        PERFORM seats_internal.note_second_intent(was, facts);
        RETURN false;
    END IF;
    -- (A time that is still to come is of a clock that was put back since, or of a primary before this one: it says nothing.)
    is_newest := coalesce(as_of >= was.read_at OR was.read_at > clock_timestamp(), true);
    now_is := was;
    IF is_newest OR facts ->> 'status' IN ('succeeded', 'canceled')
                    AND was.state <> seats_internal.next_payment_state(was.state, facts ->> 'status') THEN
        now_is := seats_internal.store_intent(was, facts, as_of);
    END IF;
    PERFORM seats_internal.note_failure(was, facts, is_newest, event);
    -- (Between the others it goes to and fro, and the member is told by its payments as before.)
    IF now_is.state <> was.state AND now_is.state IN ('succeeded', 'canceled') THEN
        PERFORM seats_internal.payment_was_settled(now_is, facts, event);
        PERFORM seats_internal.settle_member_by_payments(now_is.member_id);
        -- (It was paid before it was known here, and what became of the money, too: a refund that has come back is in no
        -- sum. Or we have been told of that first.)
        IF now_is.state = 'succeeded' AND (was.state = 'creating' OR was.refund_is_open) THEN
            PERFORM seats_internal.queue_payment_read(now_is.id, 'refunds', event);
        END IF;
        IF now_is.state = 'succeeded' AND (was.state = 'creating' OR was.dispute_is_open) THEN
            PERFORM seats_internal.queue_payment_read(now_is.id, 'disputes', event);
        END IF;
    END IF;
    now_is := seats_internal.cancel_if_unwanted(now_is, facts);
    PERFORM seats_internal.follow_intent(now_is, facts, event);
    RETURN is_newest AND now_is.state = 'payable' AND now_is.cancel_requested_at IS NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_intent(bigint, jsonb, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_intent(bigint, jsonb, timestamptz, text) IS
    'takes over what Stripe says of a payment''s intent: payment, transaction, member, and what follows';
