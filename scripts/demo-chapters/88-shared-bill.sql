-- A bill that three share
-- Ann, Bob and Cy have dined, and each pays his part in his own browser. The request is made in the application's own
-- transaction; it names a function that runs whenever somebody has paid, or has got money back: that one looks at what there
-- is now.
CREATE TABLE share (payer text PRIMARY KEY, paid bigint NOT NULL DEFAULT 0);
INSERT INTO share VALUES ('ann'), ('bob'), ('cy');
CREATE FUNCTION public.share_has_changed(transaction bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS $$
    UPDATE public.share AS s
       SET paid = (SELECT sum(p.received - p.refunded) FROM seats.payments AS p WHERE p.reference = s.payer)
     WHERE s.payer = outcome ->> 'reference';
$$;
SELECT repeated FROM seats.create_payment_request('dinner', 'eur',
    '[{"reference": "ann", "amount": 1250}, {"reference": "bob", "amount": 1250}, {"reference": "cy", "amount": 2000}]',
    when_paid_after_cancel => 'refund',
    on_paid => 'public.share_has_changed', on_refunded => 'public.share_has_changed');

-- Ann clicks on "Pay". What her browser needs comes back in the same call, and is stored nowhere.
CALL seats.start_payment_and_wait(seats.payment_member('dinner', 'ann'), 'ann') \gset ann_
SELECT :'ann_state' AS state, left(:'ann_client_secret', 3) AS begins, length(:'ann_client_secret') > 20 AS has_secret;
\! simulate payer ann pays
\! simulate until "SELECT state = 'paid' FROM seats.payment_members WHERE reference = 'ann'"

-- Bob's card is declined. That ends nothing: he clicks again, and it is the same payment.
CALL seats.start_payment_and_wait(seats.payment_member('dinner', 'bob'), 'bob') \gset bob_
\! simulate payer bob declined
\! simulate until "SELECT decline_code IS NOT NULL FROM seats.payments WHERE reference = 'bob'"
SELECT state, decline_code FROM seats.payments WHERE reference = 'bob';
CALL seats.start_payment_and_wait(seats.payment_member('dinner', 'bob'), 'bob') \gset again_
SELECT :again_payment = :bob_payment AS same_payment, :'again_state' AS state;

-- Another card, whose bank asks him first (3-D Secure).
\! simulate payer bob asked
\! simulate until "SELECT next_action IS NOT NULL FROM seats.payments WHERE reference = 'bob'"
SELECT state, status FROM seats.payments WHERE reference = 'bob';
\! simulate payer bob approves
\! simulate until "SELECT state = 'paid' FROM seats.payment_members WHERE reference = 'bob'"

-- Cy pays by debit, which takes days, and the others would rather invite him. Cancelling is a wish: the bank has it.
CALL seats.start_payment_and_wait(seats.payment_member('dinner', 'cy'), 'cy') \gset cy_
\! simulate payer cy debits
\! simulate until "SELECT state = 'processing' FROM seats.payments WHERE reference = 'cy'"
SELECT state FROM seats.cancel_payment(:cy_payment);

-- Days later the money comes in all the same. This request says that it is given back.
\! simulate payer cy pays
\! simulate until "SELECT state = 'refunded' FROM seats.payment_members WHERE reference = 'cy'"

-- And Ann has not had the dessert.
SELECT repeated FROM seats.refund_payment(:ann_payment, 250, request_key => 'no dessert');
\! simulate until "SELECT state = 'succeeded' FROM seats.refunds WHERE refund_key = 'no dessert'"
SELECT reference, amount, state FROM seats.payment_members ORDER BY reference;
SELECT reference, kind, amount, currency FROM seats.payment_transactions ORDER BY reference, transaction;
\! simulate until "SELECT sum(paid) = 2250 FROM share"
SELECT * FROM share ORDER BY payer;

-- The client secrets were handed out, and the database does not have them:
SELECT count(*) AS with_secret FROM seats_internal.outbox_history AS h
 WHERE position(:'ann_client_secret' IN h::text) > 0;
