-- A coupon comes back by itself
-- What pg_seats undoes are seats. Of an application's own data it knows nothing, so the application names
-- a function of its own: it runs when the call has ended, once, as the role that has made the call.
CREATE TABLE coupon (code text PRIMARY KEY, uses_left integer NOT NULL);
CREATE TABLE booking (number integer PRIMARY KEY, coupon text NOT NULL, state text NOT NULL DEFAULT 'unpaid');
INSERT INTO coupon VALUES ('SPRING', 1);
CREATE FUNCTION public.give_back(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    used text;
BEGIN
    UPDATE public.booking AS b SET state = outcome ->> 'result'
     WHERE b.number = (context ->> 'booking')::integer AND b.state = 'unpaid'
    RETURNING b.coupon INTO STRICT used;
    UPDATE public.coupon AS c SET uses_left = c.uses_left + 1 WHERE c.code = used;
END
$$;

-- Booking, coupon and charge are one transaction. Acme's card will not pay for it.
\! simulate card declined
BEGIN;
UPDATE coupon SET uses_left = uses_left - 1 WHERE code = 'SPRING';
INSERT INTO booking (number, coupon) VALUES (1, 'SPRING');
SELECT seats.enqueue_call('stripe', 'POST', '/v1/payment_intents',
    '{"amount": 4000, "currency": "usd", "customer": "cus_acme", "payment_method": "pm_card_visa",
      "confirm": true, "off_session": true}',
    on_refused => 'public.give_back', context => '{"booking": 1}') AS call \gset
COMMIT;
SELECT uses_left FROM coupon;

-- Who is told that it is refused can expect that the coupon is good again.
CALL seats.wait_for_call(:call, handlers => true);
SELECT b.number, b.state, c.code, c.uses_left FROM booking AS b JOIN coupon AS c ON c.code = b.coupon;
\! simulate card ok
