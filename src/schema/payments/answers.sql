-- What the calls of payments have brought: an intent, or none; a second one of the same attempt; the end of a cancel, or its
-- next try. Called by the worker, which has the member's lane. (Reads: reading.sql; refunds: refunds.sql.)

-- Of one attempt there is one intent, unless its key was forgotten before its answer came. The other one becomes a payment
-- of its own, that is to be cancelled: if somebody has paid it, the money is his, and a person decides.
CREATE OR REPLACE FUNCTION seats_internal.note_second_intent(payment seats_internal.payment, facts jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF payment.state = 'creating' AND payment.intent IS NULL THEN
        PERFORM seats_internal.payment_was_not_made(payment, 'refused', 'intent_is_known');
    END IF;
    IF EXISTS (SELECT FROM seats_internal.payment AS p
                WHERE p.destination = payment.destination AND p.intent = facts ->> 'id') THEN
        RETURN;
    END IF;
    PERFORM seats_internal.note_stray(payment.destination, facts || jsonb_build_object(
                'installation', seats_internal.require_installation(), 'hash', m.hash, 'attempt', payment.attempt))
       FROM seats_internal.payment_member AS m WHERE m.id = payment.member_id;
    PERFORM seats_internal.take_over_strays(r, m)
       FROM seats_internal.payment_member AS m
       JOIN seats_internal.payment_request AS r ON r.id = m.request_id
      WHERE m.id = payment.member_id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.note_second_intent(seats_internal.payment, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_second_intent(seats_internal.payment, jsonb) IS
    'an intent that a payment cannot have, as it has another, or another has it; the lane is held';

-- No intent came of it: refused (by Stripe, by a person, or as nothing proves that there is one) or cancelled before it
-- was sent. Without proof nothing is told: another start may follow.
CREATE OR REPLACE FUNCTION seats_internal.payment_was_not_made(
    payment seats_internal.payment,
    result  text,
    reason  text,
    code    text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.payment AS p
       SET state = CASE result WHEN 'cancelled' THEN 'canceled' ELSE 'refused' END, state_since = clock_timestamp(),
           error_code = CASE WHEN result <> 'cancelled'
                             THEN coalesce(payment_was_not_made.code, payment_was_not_made.reason) END
     WHERE p.id = payment.id AND p.state = 'creating'
    RETURNING p.* INTO payment;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM seats_internal.settle_member_by_payments(payment.member_id);
    IF result = 'cancelled' THEN
        PERFORM seats_internal.note_transaction(
            payment, 'cancelled', payment.uuid::text, payment.amount, payment.currency, NULL, NULL,
            coalesce(payment.cancel_reason, reason));
        RETURN;
    ELSIF reason IN ('not_proven', 'intent_is_known') THEN
        PERFORM seats_internal.want_intents_listed(payment.destination, payment.created_at, 'a create was not proven');
    ELSE
        PERFORM seats_internal.note_transaction(
            payment, 'failed', payment.uuid::text, payment.amount, payment.currency, NULL, NULL, payment.error_code);
    END IF;
    PERFORM seats_internal.write_journal(
        'payment.refused', 'stripe', payment.id, payment.lane_id, payment_was_not_made.reason,
        seats_internal.payment_detail(payment) || jsonb_strip_nulls(jsonb_build_object('code', code)));
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.payment_was_not_made(seats_internal.payment, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.payment_was_not_made(seats_internal.payment, text, text, text) IS
    'a payment''s create has ended, and there is no intent';

-- True: the client secret may be given away. What a replayed answer says was so when it was given first.
CREATE OR REPLACE FUNCTION seats_internal.payment_created(
    call       bigint,
    payment    bigint,
    result     text,
    facts      jsonb,
    as_of      timestamptz,
    replayed   boolean,
    error      text,
    error_code text
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target        seats_internal.payment;
    may_be_given  boolean;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = payment_created.payment FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF result <> 'done' THEN
        PERFORM seats_internal.payment_was_not_made(
            target, result, coalesce((SELECT h.reason FROM seats_internal.settled_call(call) AS h), error), error_code);
        RETURN false;
    ELSIF facts ->> 'id' IS NULL THEN
        -- (By a person's word: that there is one is all that is known.)
        PERFORM seats_internal.want_intents_listed(target.destination, target.created_at, 'an intent is not known');
        RETURN false;
    ELSIF NOT coalesce(replayed, false) THEN
        RETURN seats_internal.apply_intent(payment, facts, as_of);
    END IF;
    PERFORM seats_internal.apply_intent(payment, facts, least(as_of, target.created_at));
    PERFORM seats_internal.queue_payment_read(payment, 'intent');
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_created(
    bigint, bigint, text, jsonb, timestamptz, boolean, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_created(
    bigint, bigint, text, jsonb, timestamptz, boolean, text, text) IS
    'a payment''s create has ended; called by the worker, which has the lane, or where a person ends it';

-- (How often it was refused is how often the alert has been raised.)
CREATE OR REPLACE FUNCTION seats_internal.try_cancel_again(payment seats_internal.payment, call bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    alert bigint := seats_internal.raise_alert(
        'payment_not_cancelled:' || payment.id, 'warning', 'payment_not_cancelled',
        format('payment %s (%s) is to be cancelled and can still be paid, as Stripe refuses that: %s', payment.id,
               payment.intent, coalesce((SELECT h.error FROM seats_internal.settled_call(call) AS h), 'no reason given')),
        seats_internal.payment_detail(payment),
        'Cancel it in Stripe''s Dashboard. Until then its member can begin no other payment. It is tried on, at last '
        'every hour.', call, payment.destination);
    tries CONSTANT integer := (SELECT a.occurrences FROM seats_internal.alert AS a WHERE a.id = alert);
BEGIN
    PERFORM seats_internal.queue_payment_cancel(
        payment, clock_timestamp() + least(interval '1 hour', interval '5 minutes' * tries));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.try_cancel_again(seats_internal.payment, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.try_cancel_again(seats_internal.payment, bigint) IS
    'Stripe has refused to cancel what can still be paid: a person is told, and it is tried again later and later';

-- A cancel that Stripe refuses mostly brings the intent as it is, which says what there is to do. If it is payable all the
-- same, or nothing says that it is not, the next try waits: otherwise the read that follows would begin a round without end.
CREATE OR REPLACE FUNCTION seats_internal.payment_cancel_settled(
    call       bigint,
    payment    bigint,
    facts      jsonb,
    as_of      timestamptz,
    error_code text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
    is_now text;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = payment_cancel_settled.payment FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM seats_internal.stray_cancel_settled(call, facts, error_code);
        RETURN;
    ELSIF error_code = 'resource_missing' THEN
        -- (Stripe keeps intents, but a sandbox can be emptied: nobody can pay it any more.)
        PERFORM seats_internal.resolve_alert('payment_unreadable:' || payment, 'Stripe has no such intent any more');
        facts := jsonb_build_object('id', target.intent, 'status', 'canceled');
    END IF;
    is_now := coalesce(facts ->> 'status', target.status);
    IF is_now IN ('succeeded', 'canceled') THEN
        PERFORM seats_internal.resolve_alert('payment_not_cancelled:' || payment, 'it is ' || is_now);
    ELSIF target.state NOT IN ('succeeded', 'left_to_original') THEN
        UPDATE seats_internal.payment AS p SET cancel_refused_in = is_now WHERE p.id = target.id;
        IF seats_internal.intent_state(is_now) = 'payable' THEN
            PERFORM seats_internal.try_cancel_again(target, call);
        END IF;
    END IF;
    IF facts ->> 'id' IS NULL THEN
        PERFORM seats_internal.queue_payment_read(payment, 'intent');
    ELSE
        PERFORM seats_internal.apply_intent(payment, facts, as_of);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_cancel_settled(
    bigint, bigint, jsonb, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_cancel_settled(
    bigint, bigint, jsonb, timestamptz, text) IS
    'a cancel of an intent has ended; called by the worker, which has the lane';
