-- Disputes: the bank takes the money back until somebody has decided, or for good.

-- What disputes hold back, or have taken: those that were not won.
CREATE OR REPLACE FUNCTION seats_internal.recount_disputes(payment bigint) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE seats_internal.payment AS p
       SET disputed = (SELECT coalesce(sum(t.amount), 0)
                         FROM seats_internal.payment_transaction AS t
                        WHERE t.payment_id = p.id AND t.kind = 'disputed'
                          AND NOT EXISTS (SELECT FROM seats_internal.payment_transaction AS w
                                           WHERE w.payment_id = p.id AND w.kind = 'dispute_won'
                                             AND w.object = t.object))
     WHERE p.id = payment;
END;
REVOKE ALL ON FUNCTION seats_internal.recount_disputes(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.recount_disputes(bigint) IS
    'makes of a payment''s sum what its disputes say';

CREATE OR REPLACE FUNCTION seats_internal.dispute_is_over(status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN coalesce(status IN ('won', 'lost', 'warning_closed', 'prevented'), false);
REVOKE ALL ON FUNCTION seats_internal.dispute_is_over(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.dispute_is_over(text) IS 'whether nothing more is to come of a dispute';

-- A warning (an inquiry) takes no money, and neither does what was prevented: a person is told, and that is all.
CREATE OR REPLACE FUNCTION seats_internal.apply_dispute(payment seats_internal.payment, facts jsonb, event text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    status   text   := coalesce(facts ->> 'status', '');
    amount   bigint := coalesce((facts ->> 'amount')::bigint, payment.received);
    currency text   := coalesce(facts ->> 'currency', payment.currency);
    detail   jsonb  := jsonb_strip_nulls(jsonb_build_object('dispute', facts ->> 'id', 'status', status));
BEGIN
    IF NOT starts_with(status, 'warning_') AND status <> 'prevented' THEN
        PERFORM seats_internal.note_transaction(payment, 'disputed', facts ->> 'id', amount, currency,
                                                facts ->> 'charge', event, facts ->> 'reason', detail);
    END IF;
    IF status IN ('won', 'lost') THEN
        PERFORM seats_internal.note_transaction(payment, 'dispute_' || status, facts ->> 'id', amount, currency,
                                                facts ->> 'charge', event, facts ->> 'reason', detail);
    END IF;
    IF seats_internal.dispute_is_over(status) THEN
        PERFORM seats_internal.resolve_alert('dispute:' || (facts ->> 'id'), 'the dispute is ' || status);
    ELSE
        PERFORM seats_internal.raise_alert(
            'dispute:' || (facts ->> 'id'), 'warning', 'payment_disputed',
            format('payment %s is disputed (%s, %s %s): %s', payment.id, facts ->> 'id', amount, currency,
                   coalesce(facts ->> 'reason', 'no reason given')),
            seats_internal.payment_detail(payment) || detail,
            'Stripe''s Dashboard says until when evidence can be given; it is resolved when the dispute is closed.',
            payment.id, payment.destination);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.apply_dispute(seats_internal.payment, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.apply_dispute(seats_internal.payment, jsonb, text) IS
    'takes over what Stripe says of one dispute';

CREATE OR REPLACE FUNCTION seats_internal.apply_disputes(payment bigint, facts jsonb, event text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = apply_disputes.payment FOR UPDATE;
    IF NOT FOUND OR target.state = 'left_to_original' THEN
        RETURN;
    ELSIF target.state <> 'succeeded' THEN  -- as apply_refunds
        UPDATE seats_internal.payment AS p
           SET dispute_is_open = seats_internal.waits_until_paid(target, facts, 'disputes')
                              OR p.dispute_is_open AND facts ->> 'after' IS NOT NULL
         WHERE p.id = target.id
        RETURNING p.* INTO target;
        IF target.dispute_is_open THEN
            PERFORM seats_internal.queue_payment_read(target.id, 'intent', event);
        END IF;
        RETURN;
    END IF;
    PERFORM seats_internal.apply_dispute(target, l.value, event)
       FROM jsonb_array_elements(facts -> 'disputes') WITH ORDINALITY AS l (value, number)
      WHERE l.value ->> 'id' IS NOT NULL
      ORDER BY l.value ->> 'created', l.number DESC;
    PERFORM seats_internal.recount_disputes(target.id);
    UPDATE seats_internal.payment AS p
       SET heard_at = clock_timestamp(),
           dispute_is_open = p.dispute_is_open AND facts ->> 'after' IS NOT NULL
                             OR EXISTS (SELECT FROM jsonb_array_elements(facts -> 'disputes') AS l
                                         WHERE l.value ->> 'id' IS NOT NULL
                                           AND NOT seats_internal.dispute_is_over(l.value ->> 'status'))
     WHERE p.id = target.id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_disputes(bigint, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_disputes(bigint, jsonb, text) IS
    'takes over a page of a payment''s disputes';
