-- Payments in words, for explain_call (outbox/explain.sql): calls, payments, refunds and what has happened have numbers of
-- one kind, so whoever has a number need not know of what it is.

CREATE OR REPLACE FUNCTION seats_internal.payment_in_words(payment bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('payment %s of %s %s%s (attempt %s of member %s, request %s), which is %s', p.id, p.amount, p.currency,
                  ', ' || p.intent, p.attempt, m.id, r.request_key,
                  p.state || CASE WHEN p.cancel_requested_at IS NOT NULL
                                       AND p.state IN ('creating', 'payable', 'processing')
                                  THEN ' and to be cancelled' ELSE '' END)
      FROM seats_internal.payment AS p
      JOIN seats_internal.payment_member AS m ON m.id = p.member_id
      JOIN seats_internal.payment_request AS r ON r.id = m.request_id
     WHERE p.id = payment_in_words.payment;
END;
REVOKE ALL ON FUNCTION seats_internal.payment_in_words(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_in_words(bigint) IS 'which payment it is, and how it stands; null: none';

-- What happens next without anybody doing anything, or what a person can do.
CREATE OR REPLACE FUNCTION seats_internal.explain_next_of_payment(payment seats_internal.payment) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN CASE
    WHEN payment.review_since IS NOT NULL
        THEN format('In review %s: %s. What you can do: seats.resolve_payment(%s, decision, reason) with one of: keep, '
                    'refund.', seats_internal.since(payment.review_since), CASE payment.review_reason
                        WHEN 'paid_after_cancel' THEN 'nobody was to pay it any more, and it was paid all the same'
                        WHEN 'paid_other_amount' THEN 'another amount came in'
                        WHEN 'paid_twice' THEN 'its member has paid with another one, too'
                        ELSE payment.review_reason END, payment.id)
    WHEN payment.state = 'creating' AND payment.call_id IS NOT NULL
        THEN format('Next: call %s makes its intent; seats.explain_call(%s) tells how that stands.', payment.call_id,
                    payment.call_id)
    WHEN payment.state = 'creating' THEN 'Next: a read shows what has become of its intent.'
    WHEN payment.cancel_requested_at IS NOT NULL AND payment.state = 'payable'
        THEN format('Next: call %s cancels it; seats.explain_call(%1$s) tells how that stands.', payment.cancel_call_id)
    WHEN payment.cancel_requested_at IS NOT NULL AND payment.state = 'processing'
        THEN 'Next: the payer''s bank decides, which may take days; should it refuse, it is cancelled.'
    WHEN payment.state = 'payable' THEN 'Next: the payer goes on. What you can do: seats.cancel_payment.'
    WHEN payment.state = 'processing' THEN 'Next: the payer''s bank decides, which may take days.'
    WHEN payment.refund_reserved > 0 THEN 'Next: its refund; seats.refunds tells how that stands.'
    WHEN payment.dispute_is_open
        THEN 'Next: the dispute is decided, which may take weeks. What you can do: give evidence in Stripe''s Dashboard.'
    WHEN payment.state = 'succeeded' AND seats_internal.refundable(payment) > 0
        THEN 'Nothing more happens to it. What you can do: seats.refund_payment.'
    ELSE 'Nothing more happens to it.' END;
REVOKE ALL ON FUNCTION seats_internal.explain_next_of_payment(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_next_of_payment(seats_internal.payment) IS
    'what happens to a payment, or what a person can do about it';

CREATE OR REPLACE FUNCTION seats_internal.explain_payment(payment bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = explain_payment.payment;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN concat_ws(E'\n',
        format('This is %s %s.', seats_internal.payment_in_words(target.id), seats_internal.since(target.state_since)),
        CASE WHEN target.read_at IS NOT NULL
             THEN format('Stripe''s status is %s, as read at %s%s.', target.status,
                         date_trunc('second', target.read_at), '; the payer''s next step: ' || target.next_action) END,
        'It has failed last with: ' || nullif(concat_ws(', ', target.error_code, target.decline_code), '') || '.',
        CASE WHEN target.received > 0
             THEN format('Received %s, refunded %s, about to be refunded %s, held back by disputes %s.', target.received,
                         target.refunded, target.refund_reserved, target.disputed) END,
        (SELECT string_agg(format('%s: %s %s %s (%s)%s', date_trunc('second', t.happened_at), t.kind, t.amount, t.currency,
                                  t.object, ', ' || t.reason), E'\n' ORDER BY t.id)
           FROM seats_internal.payment_transaction AS t WHERE t.payment_id = target.id),
        seats_internal.explain_next_of_payment(target));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.explain_payment(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_payment(bigint) IS
    'where a payment stands and what has happened to it; null: there is none of this number';

CREATE OR REPLACE FUNCTION seats_internal.explain_member(member bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format(E'This is a member of request %s, who owes %s %s and is %s %s%s.\n%s', r.request_key, m.amount, r.currency,
                  m.state, seats_internal.since(m.state_since), ', and was removed at '
                      || date_trunc('second', m.removed_at),
                  coalesce('Payments: '
                      || (SELECT string_agg(format('%s (%s)', p.id, p.state), ', ' ORDER BY p.id)
                            FROM seats_internal.payment AS p WHERE p.member_id = m.id)
                      || '. seats.explain_call tells how each stands.', 'There is no payment.'))
      FROM seats_internal.payment_member AS m
      JOIN seats_internal.payment_request AS r ON r.id = m.request_id
     WHERE m.id = explain_member.member;
END;
REVOKE ALL ON FUNCTION seats_internal.explain_member(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_member(bigint) IS
    'how a member stands, and which payments are its; null: there is none of this number';

CREATE OR REPLACE FUNCTION seats_internal.explain_transaction(transaction bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT concat_ws(E'\n',
               format('This has happened at %s: %s %s %s (%s)%s.', date_trunc('second', t.happened_at), t.kind, t.amount,
                      t.currency, t.object, ', ' || t.reason),
               'It is about ' || seats_internal.payment_in_words(t.payment_id) || '.',
               coalesce(seats_internal.explain_handler(t.id), 'No function of the application''s waits to run for it.'))
      FROM seats_internal.payment_transaction AS t WHERE t.id = transaction;
END;
REVOKE ALL ON FUNCTION seats_internal.explain_transaction(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_transaction(bigint) IS
    'what has happened to a payment, and whose function runs for it; null: there is none of this number';

CREATE OR REPLACE FUNCTION seats_internal.explain_refund(refund bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT concat_ws(E'\n',
               format('This is a refund of %s %s%s, asked for by %s at %s; it is %s %s%s.', r.amount, r.currency,
                      ', ' || r.refund, r.asked_by, date_trunc('second', r.created_at), r.state,
                      seats_internal.since(r.state_since), ': ' || r.failure_reason),
               'It is about ' || seats_internal.payment_in_words(r.payment_id) || '.',
               CASE WHEN r.state = 'reserved'
                    THEN format('Next: call %s; seats.explain_call(%s) tells how that stands.', r.call_id, r.call_id)
                    WHEN r.state IN ('pending', 'requires_action') THEN 'Next: Stripe, or the bank, decides.' END)
      FROM seats_internal.refund AS r WHERE r.id = explain_refund.refund;
END;
REVOKE ALL ON FUNCTION seats_internal.explain_refund(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_refund(bigint) IS
    'where a refund stands; null: there is none of this number';
