-- Cancelling payments. What was never sent is taken back at once; of an intent at Stripe only Stripe can say that it is
-- canceled, so the wish is noted, and whoever applies an intent's facts goes after it until that is proven.

CREATE OR REPLACE FUNCTION seats_internal.check_cancel_reason(reason text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF reason IS NULL OR reason NOT IN ('duplicate', 'fraudulent', 'requested_by_customer', 'abandoned') THEN
        RAISE EXCEPTION 'Stripe does not know the reason %',
            coalesce(quote_literal(left(seats_internal.one_line(reason), 60)), 'NULL')
            USING ERRCODE = 'PS812',
                  HINT = 'Give duplicate, fraudulent, requested_by_customer or abandoned.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_cancel_reason(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_cancel_reason(text) IS
    'an error unless Stripe knows it as a reason of a cancel';

-- A create that was not sent here may have been sent before a failover that has forgotten it: until that is looked for, or
-- while what was found is read, nobody knows.
CREATE OR REPLACE FUNCTION seats_internal.may_be_forgotten(payment seats_internal.payment) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM seats_internal.installation AS i WHERE i.timeline <> seats_internal.current_timeline())
        OR EXISTS (SELECT FROM seats_internal.payment_listing AS l
                    WHERE l.destination = payment.destination AND l.holds_creates)
        OR EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.kind = 'payment_read' AND o.payment_id = payment.id)
        OR EXISTS (SELECT FROM seats_internal.payment_member AS m
                     JOIN seats_internal.nobodys_intent AS s ON s.hash = m.hash AND s.attempt = payment.attempt
                    WHERE m.id = payment.member_id AND s.destination = payment.destination);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.may_be_forgotten(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.may_be_forgotten(seats_internal.payment) IS
    'whether a payment''s intent may have been made before a failover';

-- (The row is locked before it is looked at: the worker marks it before it sends it.)
CREATE OR REPLACE FUNCTION seats_internal.take_back_create(caller text, payment seats_internal.payment) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM seats_internal.outbox AS o
      WHERE o.id = payment.call_id AND o.state IN ('pending', 'waiting') AND NOT o.doubt FOR UPDATE;
    IF NOT FOUND OR seats_internal.may_be_forgotten(payment) THEN
        RETURN false;
    END IF;
    PERFORM FROM seats_internal.move_to_history(ARRAY[payment.call_id], 'cancelled', 'cancelled', settled_by => caller,
                                                proof => 'none needed');
    PERFORM seats_internal.payment_was_not_made(payment, 'cancelled', 'cancelled');
    PERFORM seats_internal.reoffer_lane(payment.lane_id);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_back_create(text, seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_back_create(text, seats_internal.payment) IS
    'ends a payment of whose create provably nothing was executed; false: it may have been';

-- The member is locked. Gives the payment's state as people are told it.
CREATE OR REPLACE FUNCTION seats_internal.cancel_taken_payment(caller text, payment bigint, reason text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target  seats_internal.payment;
    is_new  boolean;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = payment FOR UPDATE;
    IF target.state NOT IN ('creating', 'payable', 'processing') THEN
        RETURN target.state;
    END IF;
    is_new := target.cancel_requested_at IS NULL;
    UPDATE seats_internal.payment AS p
       SET cancel_requested_at = coalesce(p.cancel_requested_at, clock_timestamp()),
           cancel_reason = coalesce(p.cancel_reason, reason)
     WHERE p.id = payment
    RETURNING p.* INTO target;
    IF is_new THEN
        PERFORM seats_internal.write_journal(
            'payment.cancel_requested', caller, target.id, target.lane_id, target.cancel_reason,
            seats_internal.member_detail(m) || jsonb_build_object('payment', target.id, 'attempt', target.attempt))
           FROM seats_internal.payment_member AS m WHERE m.id = target.member_id;
    END IF;
    IF target.state = 'creating' AND target.intent IS NULL THEN
        PERFORM seats_internal.take_back_create(caller, target);
    ELSE
        -- (At a bank it is mostly refused. But some can be cancelled there, and what cannot be read may be gone.)
        PERFORM seats_internal.queue_payment_cancel(target);
    END IF;
    RETURN (SELECT seats_internal.payment_state(p.state, p.cancel_requested_at)
              FROM seats_internal.payment AS p WHERE p.id = payment);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.cancel_taken_payment(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cancel_taken_payment(text, bigint, text) IS
    'cancels a payment whose member is locked, or notes that it is to be cancelled; gives its state';

CREATE OR REPLACE FUNCTION seats_internal.cancel_payment(caller text, payment bigint, reason text, OUT state text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.check_cancel_reason(reason);
    PERFORM seats_internal.take_payment(payment);
    state := seats_internal.cancel_taken_payment(caller, payment, reason);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.cancel_payment(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cancel_payment(text, bigint, text) IS 'behind seats.cancel_payment';

CREATE OR REPLACE FUNCTION seats.cancel_payment(
    payment   bigint,
    reason    text DEFAULT 'requested_by_customer',
    OUT state text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.cancel_payment(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.cancel_payment(bigint, text) IS
    'cancels a payment: at once while nothing of it was sent (state canceled), else as soon as Stripe has proved it '
    '(canceling until then, for days if it is at the payer''s bank). One that is over stays what it is: succeeded is '
    'given back with seats.refund_payment. reason: duplicate, fraudulent, requested_by_customer or abandoned';

CREATE OR REPLACE FUNCTION seats_internal.cancel_payment_request(
    caller        text,
    request       bigint,
    reason        text,
    OUT cancelled integer,
    OUT requested integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    taken seats_internal.payment_request;
    live  bigint[];
BEGIN
    PERFORM seats_internal.require_reason(reason);
    taken := seats_internal.take_request(request);
    PERFORM seats_internal.take_member_lanes(ARRAY(
        SELECT m.lane_id FROM seats_internal.payment_member AS m WHERE m.request_id = taken.id));
    UPDATE seats_internal.payment_request AS r SET state = 'cancelled' WHERE r.id = taken.id;
    live := ARRAY(SELECT m.live_payment_id FROM seats_internal.payment_member AS m
                   WHERE m.request_id = taken.id AND m.live_payment_id IS NOT NULL ORDER BY m.id);
    SELECT count(*) FILTER (WHERE c.state = 'canceled'), count(*) FILTER (WHERE c.state <> 'canceled')
      INTO cancelled, requested
      FROM unnest(live) AS l (payment)
     CROSS JOIN LATERAL (
        SELECT seats_internal.cancel_taken_payment(caller, l.payment, 'requested_by_customer') AS state) AS c;
    IF taken.state = 'open' THEN
        PERFORM seats_internal.write_journal(
            'payment.request_cancelled', caller, taken.id, NULL, reason, jsonb_build_object(
                'request', taken.id, 'request_key', taken.request_key, 'cancelled', cancelled,
                'requested', requested));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.cancel_payment_request(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cancel_payment_request(text, bigint, text) IS
    'behind seats.cancel_payment_request';

CREATE OR REPLACE FUNCTION seats.cancel_payment_request(
    request       bigint,
    reason        text,
    OUT cancelled integer,
    OUT requested integer
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.cancel_payment_request(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.cancel_payment_request(bigint, text) IS
    'nobody can begin to pay this request any more; of the payments that can still be paid so many were cancelled at '
    'once, and so many are to be. What was paid stays so: seats.refund_payment gives it back';
