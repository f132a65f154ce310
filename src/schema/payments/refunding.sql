-- Asking for a refund: how much there is to give back, and the call that does it. What becomes of it is in refunds.sql.

-- The copy of a database may live beside its original, under a name of its own: under that Stripe would give back once more
-- what the original gives back, too.
CREATE OR REPLACE FUNCTION seats_internal.is_of_original(payment seats_internal.payment) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT payment.installation <> i.uuid FROM seats_internal.installation AS i;
END;
REVOKE ALL ON FUNCTION seats_internal.is_of_original(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_of_original(seats_internal.payment) IS
    'whether the database has made a payment that this one is a copy of';

CREATE OR REPLACE FUNCTION seats_internal.require_own_payment(payment seats_internal.payment) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF seats_internal.is_of_original(payment) THEN
        RAISE EXCEPTION 'payment % is of the database that this one is a copy of', payment.id
            USING ERRCODE = 'PS818',
                  DETAIL = format('Installation %s has made it.', payment.installation),
                  HINT = 'Refund it there, or in Stripe''s Dashboard.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_own_payment(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_own_payment(seats_internal.payment) IS
    'an error for a payment that the original of this database has made';

-- (While a dispute has the money, and when it has taken it, Stripe gives nothing of that back.)
CREATE OR REPLACE FUNCTION seats_internal.refundable(payment seats_internal.payment) RETURNS bigint
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN greatest(0, payment.received - payment.refunded - payment.refund_reserved - payment.disputed);
REVOKE ALL ON FUNCTION seats_internal.refundable(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refundable(seats_internal.payment) IS 'what is left of a payment to give back';

CREATE OR REPLACE FUNCTION seats_internal.amount_to_refund(payment seats_internal.payment, amount bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    remaining bigint := seats_internal.refundable(payment);
BEGIN
    IF payment.state <> 'succeeded' OR remaining <= 0 OR coalesce(amount, remaining) NOT BETWEEN 1 AND remaining THEN
        RAISE EXCEPTION '% of payment % can be refunded%', coalesce(nullif(remaining, 0)::text, 'nothing'), payment.id,
            coalesce(CASE WHEN remaining > 0 THEN ', not ' || amount END, '')
            USING ERRCODE = 'PS813', CONSTRAINT = 'refundable',
                  DETAIL = format('It is %s: %s received, %s refunded, %s about to be, %s disputed', payment.state,
                                  payment.received, payment.refunded, payment.refund_reserved, payment.disputed)
                      || format(' (payment=%s received=%s refunded=%s reserved=%s disputed=%s refundable=%s%s).',
                                payment.id, payment.received, payment.refunded, payment.refund_reserved,
                                payment.disputed, remaining, ' requested=' || amount),
                  HINT = CASE WHEN payment.state <> 'succeeded' THEN 'A payment that is not paid is cancelled: '
                                  'seats.cancel_payment.'
                              WHEN payment.disputed > 0 THEN 'The payer''s bank holds what is disputed, or has given it '
                                  'back to him. The dispute is answered in Stripe''s Dashboard.'
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
    PERFORM seats_internal.require_own_payment(payment);
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
RETURN seats_internal.named_uuid(payment::text || '-' || name);
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
-- one is made again under the same key if a failover or a restore forgets it, and Stripe makes it once. That key Stripe may
-- have forgotten, too, so first it is looked for among the refunds that there are.
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
    PERFORM seats_internal.require_destination(payment.destination);
    INSERT INTO seats_internal.outbox
        (lane_id, state, installation, destination, method, path, body, verifier, enqueued_by, kind, uuid, payment_id)
    SELECT payment.lane_id,
           CASE WHEN begin_refund.name IS NULL THEN 'pending' ELSE 'verifying' END::seats_internal.outbox_state,
           i.uuid, payment.destination, 'POST', '/v1/refunds',
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
                  HINT = 'Repeat the refund as it was asked for, or give another one another key.';
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
    IF request_key IS NOT NULL THEN
        PERFORM seats_internal.check_request_key(request_key);
    END IF;
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
