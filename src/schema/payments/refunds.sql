-- What becomes of refunds: what Stripe says of them counts, also of those that somebody has made in its Dashboard. Asking for
-- one is in refunding.sql.

-- What stands on the payment is what its refunds make of it. (Between two reads one may have failed and another one been
-- made, so what does not fit is cut.)
CREATE OR REPLACE FUNCTION seats_internal.recount_refunds(payment bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given    bigint;
    reserved bigint;  -- what there is of open ones
BEGIN
    SELECT coalesce(sum(r.amount) FILTER (WHERE r.state = 'succeeded'), 0),
           coalesce(sum(r.amount) FILTER (WHERE r.state IN ('reserved', 'pending', 'requires_action')), 0)
      INTO given, reserved
      FROM seats_internal.refund AS r WHERE r.payment_id = recount_refunds.payment;
    UPDATE seats_internal.payment AS p
       SET refunded = least(given, p.received), refund_reserved = least(reserved, p.received - least(given, p.received)),
           refund_is_open = reserved > 0, heard_at = clock_timestamp()
     WHERE p.id = recount_refunds.payment;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.recount_refunds(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.recount_refunds(bigint) IS
    'makes of a payment''s sums what its refunds say';

-- A refund goes on and never back, whatever comes late: an answer that is given again says what was so at first.
CREATE OR REPLACE FUNCTION seats_internal.refund_rank(state text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE state WHEN 'refused' THEN 0 WHEN 'reserved' THEN 1 WHEN 'succeeded' THEN 3 WHEN 'failed' THEN 4
                  WHEN 'canceled' THEN 4 ELSE 2 END;
REVOKE ALL ON FUNCTION seats_internal.refund_rank(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refund_rank(text) IS 'how far a refund has come';

-- Which of a payment's refunds it is, as Stripe names it: known by its id, or, before that, by the marker of its call,
-- or it is new here. (It may be known by both: a list has shown what a failover had forgotten, and then it was asked for
-- once more, and Stripe has said the same again. That is one.)
CREATE OR REPLACE FUNCTION seats_internal.find_refund(payment seats_internal.payment, facts jsonb, call bigint)
RETURNS seats_internal.refund
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known seats_internal.refund;
    asked seats_internal.refund;
BEGIN
    SELECT r.* INTO known FROM seats_internal.refund AS r
     WHERE r.payment_id = payment.id AND r.refund = facts ->> 'id';
    IF known.call_id IS NOT NULL THEN
        RETURN known;
    END IF;
    SELECT r.* INTO asked FROM seats_internal.refund AS r
     WHERE r.payment_id = payment.id AND r.refund IS NULL
       AND (r.call_id = find_refund.call
            OR starts_with(facts ->> 'marker', coalesce(
                (SELECT o.uuid FROM seats_internal.outbox AS o WHERE o.id = r.call_id),
                (SELECT h.uuid FROM seats_internal.settled_call(r.call_id) AS h))::text || '-'))
     ORDER BY r.id LIMIT 1;
    IF asked.id IS NULL AND known.id IS NULL THEN
        INSERT INTO seats_internal.refund AS r
            (payment_id, refund, marker, amount, currency, state, reason, asked_by)
        VALUES (payment.id, facts ->> 'id', facts ->> 'marker', (facts ->> 'amount')::bigint,
                coalesce(facts ->> 'currency', payment.currency), 'reserved', facts ->> 'reason', 'stripe')
        RETURNING r.* INTO known;
    ELSIF asked.id IS NOT NULL AND known.id IS NOT NULL THEN
        DELETE FROM seats_internal.refund AS r WHERE r.id = known.id;
        UPDATE seats_internal.refund AS r
           SET state = known.state, state_since = known.state_since, failure_reason = known.failure_reason
         WHERE r.id = asked.id
        RETURNING r.* INTO asked;
    END IF;
    RETURN CASE WHEN asked.id IS NOT NULL THEN asked ELSE known END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.find_refund(seats_internal.payment, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.find_refund(seats_internal.payment, jsonb, bigint) IS
    'the row of a refund of Stripe''s, which is made if nobody here has asked for it';

CREATE OR REPLACE FUNCTION seats_internal.apply_refund(
    payment seats_internal.payment,
    facts   jsonb,
    event   text,
    call    bigint DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    status text := CASE WHEN facts ->> 'status' IN ('requires_action', 'succeeded', 'failed', 'canceled')
                        THEN facts ->> 'status' ELSE 'pending' END;
    was    seats_internal.refund;
    detail jsonb;
BEGIN
    IF facts ->> 'id' IS NULL OR coalesce((facts ->> 'amount')::bigint, 0) <= 0 THEN
        RETURN;
    END IF;
    was := seats_internal.find_refund(payment, facts, call);
    UPDATE seats_internal.refund AS r
       SET refund = facts ->> 'id', amount = (facts ->> 'amount')::bigint,
           state = n.state, failure_reason = coalesce(facts ->> 'failure_reason', r.failure_reason),
           state_since = CASE WHEN r.state = n.state THEN r.state_since ELSE clock_timestamp() END
      FROM (SELECT CASE WHEN seats_internal.refund_rank(status) >= seats_internal.refund_rank(was.state)
                        THEN status ELSE was.state END AS state) AS n
     WHERE r.id = was.id
    RETURNING n.state INTO status;
    detail := jsonb_strip_nulls(jsonb_build_object('refund', facts ->> 'id', 'refund_number', was.id,
                                                   'refund_key', was.request_key));
    IF status = 'succeeded' THEN
        PERFORM seats_internal.note_transaction(payment, 'refunded', facts ->> 'id', (facts ->> 'amount')::bigint,
            coalesce(facts ->> 'currency', was.currency), facts ->> 'charge', event, facts ->> 'reason', detail);
    ELSIF status IN ('failed', 'canceled') THEN
        PERFORM seats_internal.refund_has_failed(payment, was, facts, event, detail);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.apply_refund(seats_internal.payment, jsonb, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.apply_refund(seats_internal.payment, jsonb, text, bigint) IS
    'takes over what Stripe says of one refund';

CREATE OR REPLACE FUNCTION seats_internal.refund_has_failed(
    payment seats_internal.payment,
    refund  seats_internal.refund,
    facts   jsonb,
    event   text,
    detail  jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    why text := coalesce(facts ->> 'failure_reason', facts ->> 'status');
BEGIN
    IF seats_internal.note_transaction(
        payment, 'refund_failed', facts ->> 'id', (facts ->> 'amount')::bigint,
        coalesce(facts ->> 'currency', refund.currency), facts ->> 'charge', event, why, detail) THEN
        PERFORM seats_internal.raise_alert(
            'refund_failed:' || refund.id, 'critical', 'refund_failed',
            format('refund %s of payment %s has failed: %s; the payer does not have his money', facts ->> 'id',
                   payment.id, why),
            seats_internal.payment_detail(payment) || detail,
            format('Give it back in another way, or try again: SELECT * FROM seats.refund_payment(%s, amount).',
                   payment.id),
            refund.id, payment.destination);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refund_has_failed(
    seats_internal.payment, seats_internal.refund, jsonb, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refund_has_failed(
    seats_internal.payment, seats_internal.refund, jsonb, text, jsonb) IS
    'a refund was not paid out, or has come back: transaction and alert';

-- (Where a list is empty there is nothing that would have to be told, and what is canceled is never paid. Otherwise either
-- would be read for ever: as soon as somebody has had the refunds of what is payable read, say.)
CREATE OR REPLACE FUNCTION seats_internal.waits_until_paid(payment seats_internal.payment, facts jsonb, what text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN payment.status IS DISTINCT FROM 'canceled'
       AND (coalesce(facts -> what, '[]') <> '[]' OR NOT coalesce((facts ->> 'complete')::boolean, false));
REVOKE ALL ON FUNCTION seats_internal.waits_until_paid(seats_internal.payment, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.waits_until_paid(seats_internal.payment, jsonb, text) IS
    'whether a page of refunds or disputes is to be read again when its payment, which is not known to be paid, is';

-- One after the other: each notes its own transactions. What was not paid as far as is known here is read first, however
-- long that takes: on_refunded is not to run before on_paid. That read asks for the refunds again.
CREATE OR REPLACE FUNCTION seats_internal.apply_refunds(payment bigint, facts jsonb, event text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = apply_refunds.payment FOR UPDATE;
    IF NOT FOUND OR target.state = 'left_to_original' THEN
        RETURN;
    ELSIF target.state <> 'succeeded' THEN
        UPDATE seats_internal.payment AS p
           SET refund_is_open = seats_internal.waits_until_paid(target, facts, 'refunds')
                             OR p.refund_is_open AND facts ->> 'after' IS NOT NULL
         WHERE p.id = target.id
        RETURNING p.* INTO target;
        IF target.refund_is_open THEN
            PERFORM seats_internal.queue_payment_read(target.id, 'intent', event);
        END IF;
        RETURN;
    END IF;
    PERFORM seats_internal.apply_refund(target, l.value, event)
       FROM jsonb_array_elements(facts -> 'refunds') WITH ORDINALITY AS l (value, number)
      ORDER BY l.value ->> 'created', l.number DESC;
    IF (facts ->> 'complete')::boolean THEN
        PERFORM seats_internal.miss_refunds(target);
    END IF;
    PERFORM seats_internal.refunds_have_changed(target);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_refunds(bigint, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_refunds(bigint, jsonb, text) IS
    'takes over a page of a payment''s refunds';

-- A person has said of a call that it was executed, and a list of all refunds shows none of it.
CREATE OR REPLACE FUNCTION seats_internal.miss_refunds(payment seats_internal.payment) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missed seats_internal.refund;
BEGIN
    FOR missed IN
        UPDATE seats_internal.refund AS r
           SET state = 'refused', failure_reason = 'not_found', state_since = clock_timestamp()
         WHERE r.payment_id = payment.id AND r.state = 'reserved' AND r.refund IS NULL
           AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.id = r.call_id)
        RETURNING r.*
    LOOP
        PERFORM seats_internal.refund_was_refused(payment, missed);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.miss_refunds(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.miss_refunds(seats_internal.payment) IS
    'refunds whose call has ended, and which Stripe does not have';

CREATE OR REPLACE FUNCTION seats_internal.refunds_have_changed(payment seats_internal.payment) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was_given_back boolean := payment.received > 0 AND payment.refunded = payment.received;
    is_given_back  boolean;
BEGIN
    PERFORM seats_internal.recount_refunds(payment.id);
    is_given_back := (SELECT p.refunded = p.received FROM seats_internal.payment AS p WHERE p.id = payment.id);
    IF is_given_back AND payment.review_since IS NOT NULL THEN
        PERFORM seats_internal.end_payment_review(payment, 'refunded', 'all of it was refunded');
    ELSIF was_given_back AND NOT is_given_back THEN
        -- (He may have begun to pay once more.)
        PERFORM seats_internal.read_other_payments(payment);
    END IF;
    PERFORM seats_internal.settle_member_by_payments(payment.member_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refunds_have_changed(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refunds_have_changed(seats_internal.payment) IS
    'payment and member follow from the refunds: with all of it given back nothing is left to decide, and he may pay again';

-- Called by the worker, which has the lane, or where a person ends the call. Refused frees what was reserved, unless a
-- list has shown meanwhile that Stripe has made it.
CREATE OR REPLACE FUNCTION seats_internal.refund_settled(
    call       bigint,
    payment    bigint,
    result     text,
    facts      jsonb,
    error      text,
    error_code text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
    freed  seats_internal.refund;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = refund_settled.payment FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    ELSIF result <> 'done' THEN
        UPDATE seats_internal.refund AS r
           SET state = 'refused', state_since = clock_timestamp(),
               failure_reason = coalesce(refund_settled.error_code, refund_settled.error, refund_settled.result)
         WHERE r.payment_id = target.id AND r.call_id = refund_settled.call AND r.refund IS NULL
           AND r.state = 'reserved'
        RETURNING r.* INTO freed;
        IF FOUND THEN
            PERFORM seats_internal.refund_was_refused(target, freed);
        END IF;
    ELSIF facts ->> 'id' IS NULL THEN
        PERFORM seats_internal.queue_payment_read(payment, 'refunds');
    ELSE
        PERFORM seats_internal.apply_refund(target, facts, NULL, call);
    END IF;
    PERFORM seats_internal.refunds_have_changed(target);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refund_settled(
    bigint, bigint, text, jsonb, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refund_settled(
    bigint, bigint, text, jsonb, text, text) IS
    'the call of a refund has ended';

CREATE OR REPLACE FUNCTION seats_internal.refund_was_refused(
    payment seats_internal.payment,
    refund  seats_internal.refund
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_disputed CONSTANT boolean := coalesce(refund.failure_reason = 'charge_disputed', false);
BEGIN
    PERFORM seats_internal.write_journal(
        'payment.refund_refused', 'stripe', refund.id, payment.lane_id, refund.failure_reason,
        seats_internal.payment_detail(payment) || jsonb_strip_nulls(jsonb_build_object(
            'amount', refund.amount, 'refund_number', refund.id, 'refund_key', refund.request_key)));
    -- (Told once for all that are tried against a dispute.)
    PERFORM seats_internal.raise_alert(
        'refund_failed:' || CASE WHEN is_disputed THEN payment.id ELSE refund.id END,
        CASE WHEN is_disputed THEN 'warning' ELSE 'critical' END, 'refund_failed',
        format('a refund of payment %s was refused: %s; %s', payment.id, refund.failure_reason,
               CASE WHEN is_disputed THEN 'whose the money is, its dispute says'
                    ELSE 'the payer does not have his money' END),
        seats_internal.payment_detail(payment), format('SELECT seats.explain_call(%s) tells more.', refund.call_id),
        refund.id, payment.destination);
    IF is_disputed THEN
        PERFORM seats_internal.queue_payment_read(payment.id, 'disputes');
    END IF;
    -- (Somebody has given back a part of it meanwhile, perhaps: what is left then, a read tells.)
    PERFORM seats_internal.queue_payment_read(payment.id, 'refunds');
    IF refund.asked_by = 'pg_seats' THEN
        PERFORM seats_internal.review_payment(
            payment, 'critical', 'paid_after_cancel',
            format('payment %s was to be given back by its request''s rule, and that was refused: %s', payment.id,
                   refund.failure_reason));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.refund_was_refused(seats_internal.payment, seats_internal.refund) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.refund_was_refused(seats_internal.payment, seats_internal.refund) IS
    'Stripe has made no refund: journal and alert; what nobody but a rule has asked for, a person decides';
