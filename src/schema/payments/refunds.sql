-- Refunds: what is asked for here is reserved before it is sent, so that never more is given back than came in; what Stripe
-- says of refunds counts, also of those that somebody has made in its Dashboard.

-- What stands on the payment is what its refunds make of it. (Between two reads one may have failed and another one been
-- made, so what does not fit is cut.)
CREATE OR REPLACE FUNCTION seats_internal.recount_refunds(payment bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given    bigint;
    reserved bigint;
BEGIN
    SELECT coalesce(sum(r.amount) FILTER (WHERE r.state = 'succeeded'), 0),
           coalesce(sum(r.amount) FILTER (WHERE r.state IN ('reserved', 'pending', 'requires_action')), 0)
      INTO given, reserved
      FROM seats_internal.refund AS r WHERE r.payment_id = recount_refunds.payment;
    UPDATE seats_internal.payment AS p
       SET refunded = least(given, p.received), refund_reserved = least(reserved, p.received - least(given, p.received))
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

-- One after the other: each notes its own transactions.
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
    'takes over a list of a payment''s refunds';

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
BEGIN
    PERFORM seats_internal.recount_refunds(payment.id);
    IF payment.review_since IS NOT NULL
       AND EXISTS (SELECT FROM seats_internal.payment AS p WHERE p.id = payment.id AND p.refunded = p.received) THEN
        PERFORM seats_internal.end_payment_review(payment, 'refunded', 'all of it was refunded');
    END IF;
    PERFORM seats_internal.settle_member_by_payments(payment.member_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refunds_have_changed(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refunds_have_changed(seats_internal.payment) IS
    'payment and member follow from the refunds; with all of it given back nothing is left to decide';

-- Called by the worker, which has the lane, or where a person ends the call. Refused frees what was reserved, unless a
-- list has shown meanwhile that Stripe has made it.
CREATE OR REPLACE FUNCTION seats_internal.refund_settled(
    call       bigint,
    payment    bigint,
    result     text,
    facts      jsonb,
    as_of      timestamptz,
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
    bigint, bigint, text, jsonb, timestamptz, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refund_settled(
    bigint, bigint, text, jsonb, timestamptz, text, text) IS
    'the call of a refund has ended';

CREATE OR REPLACE FUNCTION seats_internal.refund_was_refused(
    payment seats_internal.payment,
    refund  seats_internal.refund
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.write_journal(
        'payment.refund_refused', 'stripe', refund.id, payment.lane_id, refund.failure_reason,
        seats_internal.payment_detail(payment) || jsonb_strip_nulls(jsonb_build_object(
            'amount', refund.amount, 'refund_number', refund.id, 'refund_key', refund.request_key)));
    PERFORM seats_internal.raise_alert(
        'refund_failed:' || refund.id, 'critical', 'refund_failed',
        format('a refund of payment %s was refused: %s; the payer does not have his money', payment.id,
               refund.failure_reason),
        seats_internal.payment_detail(payment), format('SELECT seats.explain_call(%s) tells more.', refund.call_id),
        refund.id, payment.destination);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.refund_was_refused(seats_internal.payment, seats_internal.refund) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.refund_was_refused(seats_internal.payment, seats_internal.refund) IS
    'Stripe has made no refund: journal and alert';

-- ---- asking for one

CREATE OR REPLACE FUNCTION seats_internal.amount_to_refund(payment seats_internal.payment, amount bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    remaining bigint := payment.received - payment.refunded - payment.refund_reserved;
BEGIN
    IF payment.state <> 'succeeded' OR remaining <= 0 OR coalesce(amount, remaining) NOT BETWEEN 1 AND remaining THEN
        RAISE EXCEPTION '% of payment % can be refunded, not %', remaining, payment.id,
            coalesce(amount::text, 'anything')
            USING ERRCODE = 'PS813',
                  DETAIL = format('It is %s: %s received, %s refunded, %s about to be.', payment.state,
                                  payment.received, payment.refunded, payment.refund_reserved),
                  HINT = CASE WHEN payment.state <> 'succeeded' THEN 'A payment that is not paid is cancelled: '
                                  'seats.cancel_payment.'
                              ELSE 'seats.refunds shows what was given back; an amount of null is all that is left.' END;
    END IF;
    RETURN coalesce(amount, remaining);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.amount_to_refund(seats_internal.payment, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.amount_to_refund(seats_internal.payment, bigint) IS
    'what is to be refunded, or an error if that is more than is left';

CREATE OR REPLACE FUNCTION seats_internal.check_refund(
    payment                seats_internal.payment,
    reason                 text,
    reverse_transfer       boolean,
    refund_application_fee boolean
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF reason NOT IN ('duplicate', 'fraudulent', 'requested_by_customer') THEN
        RAISE EXCEPTION 'Stripe knows no such reason of a refund: %', quote_literal(left(reason, 100))
            USING ERRCODE = 'PS812', HINT = 'One of: duplicate, fraudulent, requested_by_customer; or null.';
    ELSIF payment.has_transfer AND (reverse_transfer IS NULL OR refund_application_fee IS NULL) THEN
        RAISE EXCEPTION 'payment % was transferred to an account, and nothing says who gives it back', payment.id
            USING ERRCODE = 'PS814',
                  DETAIL = 'Otherwise Stripe takes the refund from your own balance and leaves the account its part.',
                  HINT = 'Say reverse_transfer and refund_application_fee: true or false.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.check_refund(seats_internal.payment, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.check_refund(seats_internal.payment, text, boolean, boolean) IS
    'an error unless a refund can be asked for like this';

CREATE OR REPLACE FUNCTION seats_internal.refund_uuid(payment uuid, name text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN encode(substr(sha256(convert_to(payment::text || '-' || name, 'UTF8')), 1, 16), 'hex')::uuid;
REVOKE ALL ON FUNCTION seats_internal.refund_uuid(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refund_uuid(uuid, text) IS
    'what a refund''s idempotency key and its marker at Stripe are made from; null without a name';

CREATE OR REPLACE FUNCTION seats_internal.refund_name(request_key text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 'asked-' || request_key;
REVOKE ALL ON FUNCTION seats_internal.refund_name(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refund_name(text) IS
    'the name of a refund that the application has named; refunds that are made otherwise are named otherwise';

-- With the member's lane locked, and everything checked. `name`: what tells it from other refunds of the payment. What has
-- one is made again under the same key if a failover forgets it, and Stripe makes it once.
CREATE OR REPLACE FUNCTION seats_internal.begin_refund(
    caller                 text,
    payment                seats_internal.payment,
    amount                 bigint,
    reason                 text,
    name                   text,
    request_key            text    DEFAULT NULL,
    reverse_transfer       boolean DEFAULT NULL,
    refund_application_fee boolean DEFAULT NULL
) RETURNS seats_internal.refund
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    call  bigint;
    begun seats_internal.refund;
BEGIN
    INSERT INTO seats_internal.outbox
        (lane_id, installation, destination, method, path, body, verifier, enqueued_by, kind, uuid, payment_id)
    SELECT payment.lane_id, i.uuid, payment.destination, 'POST', '/v1/refunds',
           seats_internal.encoded_form(jsonb_strip_nulls(jsonb_build_object(
               'payment_intent', payment.intent, 'amount', amount, 'reason', begin_refund.reason,
               'reverse_transfer', begin_refund.reverse_transfer,
               'refund_application_fee', begin_refund.refund_application_fee))),
           'list', caller, 'refund',
           coalesce(seats_internal.refund_uuid(payment.uuid, begin_refund.name), gen_random_uuid()), payment.id
      FROM seats_internal.installation AS i
    RETURNING id INTO call;
    INSERT INTO seats_internal.refund AS r
        (payment_id, request_key, call_id, amount, currency, reason, reverse_transfer, refund_application_fee, asked_by)
    SELECT payment.id, begin_refund.request_key, call, begin_refund.amount, t.currency, begin_refund.reason,
           begin_refund.reverse_transfer, begin_refund.refund_application_fee, caller
      FROM seats_internal.payment_transaction AS t
     WHERE t.payment_id = payment.id AND t.kind = 'succeeded'
    RETURNING r.* INTO begun;
    PERFORM seats_internal.recount_refunds(payment.id);
    PERFORM seats_internal.write_journal(
        'payment.refund_requested', caller, begun.id, payment.lane_id, begin_refund.reason,
        seats_internal.payment_detail(payment) || jsonb_strip_nulls(jsonb_build_object(
            'amount', begun.amount, 'currency', begun.currency, 'refund_number', begun.id, 'refund_key',
            begun.request_key)));
    RETURN begun;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.begin_refund(
    text, seats_internal.payment, bigint, text, text, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.begin_refund(
    text, seats_internal.payment, bigint, text, text, text, boolean, boolean) IS
    'reserves a refund and leaves its call in the outbox';

-- The same request_key again is the same refund, also one that was forgotten here and found again at Stripe; something
-- else under it is a mistake.
CREATE OR REPLACE FUNCTION seats_internal.repeated_refund(
    payment                seats_internal.payment,
    amount                 bigint,
    reason                 text,
    request_key            text,
    reverse_transfer       boolean,
    refund_application_fee boolean
) RETURNS seats_internal.refund
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    marked text := seats_internal.refund_uuid(payment.uuid, seats_internal.refund_name(request_key)) || '-';
    former seats_internal.refund;
BEGIN
    UPDATE seats_internal.refund AS r
       SET request_key = repeated_refund.request_key, reverse_transfer = repeated_refund.reverse_transfer,
           refund_application_fee = repeated_refund.refund_application_fee
     WHERE r.payment_id = payment.id AND r.call_id IS NULL AND r.request_key IS NULL AND starts_with(r.marker, marked);
    SELECT r.* INTO former FROM seats_internal.refund AS r
     WHERE r.payment_id = payment.id AND r.request_key = repeated_refund.request_key;
    IF FOUND AND (coalesce(repeated_refund.amount, former.amount), repeated_refund.reason,
                  repeated_refund.reverse_transfer, repeated_refund.refund_application_fee)
                 IS DISTINCT FROM
                 (former.amount, former.reason, former.reverse_transfer, former.refund_application_fee) THEN
        RAISE EXCEPTION 'request_key % is that of another refund of payment %', quote_literal(request_key), payment.id
            USING ERRCODE = 'PS807',
                  DETAIL = format('Refund %s of %s %s, asked for at %s.', former.id, former.amount, former.currency,
                                  former.created_at),
                  HINT = 'The same request repeats the same arguments; another one has another key.';
    END IF;
    RETURN former;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.repeated_refund(
    seats_internal.payment, bigint, text, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.repeated_refund(
    seats_internal.payment, bigint, text, text, boolean, boolean) IS
    'the refund that was asked for under this request_key, or null';

CREATE OR REPLACE FUNCTION seats_internal.refund_payment(
    caller                 text,
    payment                bigint,
    amount                 bigint  DEFAULT NULL,
    reason                 text    DEFAULT NULL,
    request_key            text    DEFAULT NULL,
    reverse_transfer       boolean DEFAULT NULL,
    refund_application_fee boolean DEFAULT NULL,
    OUT refund             bigint,
    OUT call               bigint,
    OUT repeated           boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked seats_internal.payment := seats_internal.take_payment(payment);
    asked  seats_internal.refund;
BEGIN
    PERFORM seats_internal.check_refund(locked, reason, reverse_transfer, refund_application_fee);
    asked := seats_internal.repeated_refund(locked, amount, reason, request_key, reverse_transfer,
                                            refund_application_fee);
    repeated := asked.id IS NOT NULL;
    IF NOT repeated THEN
        asked := seats_internal.begin_refund(
            caller, locked, seats_internal.amount_to_refund(locked, amount), reason,
            seats_internal.refund_name(request_key), request_key, reverse_transfer, refund_application_fee);
    END IF;
    refund := asked.id;
    call := asked.call_id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refund_payment(
    text, bigint, bigint, text, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refund_payment(
    text, bigint, bigint, text, text, boolean, boolean) IS
    'behind seats.refund_payment';

CREATE OR REPLACE FUNCTION seats.refund_payment(
    payment                bigint,
    amount                 bigint  DEFAULT NULL,
    reason                 text    DEFAULT NULL,
    request_key            text    DEFAULT NULL,
    reverse_transfer       boolean DEFAULT NULL,
    refund_application_fee boolean DEFAULT NULL,
    OUT refund             bigint,
    OUT call               bigint,
    OUT repeated           boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.refund_payment(bigint, bigint, text, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.refund_payment(bigint, bigint, text, text, boolean, boolean) IS
    'gives a payment back, or a part of it; an amount of null is all that is left. It is reserved at once, so that never '
    'more is given back than came in, and freed if Stripe refuses. The same request_key gives the same refund. reason: '
    'duplicate, fraudulent, requested_by_customer. Where the payment was transferred to an account, reverse_transfer and '
    'refund_application_fee must be said';
