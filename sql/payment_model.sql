-- Facts about payments at random, late, twice, in another order: whatever comes, the tables agree with each other and with
-- a Stripe that is played here.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set payments :inputs '/sql/include/payments.psql'
\i :payments
\set ECHO all
-- What Stripe has: intents with what it has told of each so far, oldest first, and their refunds.
CREATE TEMPORARY TABLE intent (payment bigint PRIMARY KEY, status text, said jsonb[], at timestamptz[], refunds jsonb DEFAULT '[]', tries integer DEFAULT 0);

CREATE FUNCTION pg_temp.says(payment bigint, more jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE intent AS i
       SET at = i.at || clock_timestamp(),
           said = i.said || pg_temp.intent('pi_' || i.payment, i.status, more || jsonb_build_object(
               'amount_received', CASE i.status WHEN 'succeeded' THEN 1000 ELSE 0 END,
               'charge_refunded', (SELECT coalesce(sum((r.value ->> 'amount')::bigint), 0) FROM jsonb_array_elements(i.refunds) AS r
                                    WHERE r.value ->> 'status' IN ('pending', 'succeeded'))))
     WHERE i.payment = says.payment;
END
$$;

-- The payer, his bank, somebody in the Dashboard.
CREATE FUNCTION pg_temp.happens(payment bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    dice double precision := random();
    now_is intent;
    left_over bigint;
BEGIN
    SELECT i.* INTO now_is FROM intent AS i WHERE i.payment = happens.payment;
    IF now_is.status IN ('canceled') THEN
        RETURN;
    ELSIF now_is.status = 'succeeded' THEN
        left_over := 1000 - (SELECT coalesce(sum((r.value ->> 'amount')::bigint), 0) FROM jsonb_array_elements(now_is.refunds) AS r
                              WHERE r.value ->> 'status' <> 'failed');
        IF dice < 0.3 AND left_over > 0 THEN
            UPDATE intent AS i SET refunds = i.refunds || pg_temp.refund(format('re_%s_%s', i.payment, jsonb_array_length(i.refunds)), 'pending', ceil(random() * left_over)::bigint)
             WHERE i.payment = happens.payment;
        ELSIF dice < 0.6 AND now_is.refunds <> '[]' THEN
            UPDATE intent AS i SET refunds = jsonb_set(i.refunds, ARRAY[(jsonb_array_length(i.refunds) - 1)::text, 'status'],
                CASE i.refunds -> -1 ->> 'status' WHEN 'pending' THEN '"succeeded"' ELSE '"failed"' END::jsonb)
             WHERE i.payment = happens.payment;
        END IF;
        PERFORM pg_temp.says(payment);
        RETURN;
    END IF;
    UPDATE intent AS i
       SET tries = i.tries + (dice < 0.3)::integer,
           status = CASE WHEN dice < 0.3 THEN 'requires_payment_method' WHEN dice < 0.5 THEN 'requires_action'
                         WHEN dice < 0.7 THEN 'processing' WHEN dice < 0.95 THEN 'succeeded' ELSE 'canceled' END
     WHERE i.payment = happens.payment;
    PERFORM pg_temp.says(payment, CASE WHEN dice < 0.3 THEN jsonb_build_object(
        'error_code', 'card_declined', 'failed_charge', format('ch_%s_%s', payment, now_is.tries + 1)) ELSE '{}' END);
END
$$;

-- Something that was said comes here, perhaps once more, perhaps late; or a call is carried out.
CREATE FUNCTION pg_temp.comes(payment bigint, newest boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    which integer;
    told  intent;
    call  seats_internal.outbox;
BEGIN
    SELECT i.* INTO told FROM intent AS i WHERE i.payment = comes.payment;
    which := CASE WHEN newest THEN cardinality(told.said) ELSE ceil(random() * cardinality(told.said))::integer END;
    IF EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.payment_id = comes.payment AND o.kind = 'payment') THEN
        PERFORM pg_temp.created(payment, told.said[1], replayed => random() < 0.3);
    END IF;
    PERFORM seats_internal.apply_intent(payment, told.said[which], told.at[which]);
    SELECT o.* INTO call FROM seats_internal.outbox AS o
     WHERE o.payment_id = comes.payment AND o.kind <> 'payment' ORDER BY random() LIMIT 1;
    CASE call.kind
        WHEN 'payment_cancel' THEN
            IF told.status LIKE 'requires_%' THEN
                UPDATE intent AS i SET status = 'canceled' WHERE i.payment = comes.payment;
                PERFORM pg_temp.says(payment);
            END IF;
            SELECT i.* INTO told FROM intent AS i WHERE i.payment = comes.payment;
            PERFORM pg_temp.cancelled(payment, told.said[cardinality(told.said)], CASE WHEN told.status <> 'canceled' THEN 'payment_intent_unexpected_state' END);
        WHEN 'payment_read' THEN
            PERFORM pg_temp.ends(payment, 'payment_read', 'done', NULL);
            IF call.path = '/v1/refunds' THEN
                PERFORM seats_internal.apply_refunds(payment, jsonb_build_object('refunds', told.refunds, 'complete', true), NULL);
            END IF;
        WHEN 'refund' THEN
            PERFORM pg_temp.executes_refund(payment, told.refunds);
        ELSE NULL;
    END CASE;
END
$$;

-- Stripe refuses what is more than is left; the answer may get lost, and a list shows then what was made.
CREATE FUNCTION pg_temp.executes_refund(payment bigint, refunds jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    asked seats_internal.refund;
    made  jsonb;
BEGIN
    SELECT r.* INTO asked FROM seats_internal.refund AS r
      JOIN seats_internal.outbox AS o ON o.id = r.call_id WHERE r.payment_id = executes_refund.payment ORDER BY r.id LIMIT 1;
    SELECT l.value INTO made FROM jsonb_array_elements(refunds) AS l
     WHERE l.value ->> 'marker' LIKE (SELECT o.uuid || '-%' FROM seats_internal.outbox AS o WHERE o.id = asked.call_id);
    IF made IS NULL AND asked.amount <= 1000 - (SELECT coalesce(sum((r.value ->> 'amount')::bigint), 0)
                                                  FROM jsonb_array_elements(refunds) AS r WHERE r.value ->> 'status' <> 'failed') THEN
        made := pg_temp.refund('re_of_' || asked.id, 'pending', asked.amount, jsonb_build_object(
            'marker', (SELECT o.uuid || '-' || o.uuid || '-1' FROM seats_internal.outbox AS o WHERE o.id = asked.call_id)));
        UPDATE intent AS i SET refunds = i.refunds || made WHERE i.payment = executes_refund.payment;
        PERFORM pg_temp.says(payment);
        IF random() < 0.3 THEN
            RETURN;
        END IF;
    END IF;
    PERFORM pg_temp.refunded(payment, made, CASE WHEN made IS NULL THEN 'refused' ELSE 'done' END, CASE WHEN made IS NULL THEN 'charge_already_refunded' END);
END
$$;

-- What must be so at any time.
CREATE FUNCTION pg_temp.wrong() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('member %s is %s, paid with %s', m.reference, m.state, count(p.id))
      FROM seats_internal.payment_member AS m
      LEFT JOIN seats_internal.payment AS p ON p.member_id = m.id AND p.state = 'succeeded' AND p.refunded < p.received
     GROUP BY m.id HAVING (m.state = 'paid') <> (count(p.id) > 0)
    UNION ALL
    SELECT format('member %s has %s intents that can be paid', m.reference, count(*))
      FROM seats_internal.payment AS p JOIN seats_internal.payment_member AS m ON m.id = p.member_id
     WHERE p.state IN ('payable', 'processing') AND p.cancel_requested_at IS NULL
     GROUP BY m.id HAVING count(*) > 1
    UNION ALL
    SELECT format('payment %s is %s and live: %s', p.id, p.state, m.live_payment_id = p.id)
      FROM seats_internal.payment AS p JOIN seats_internal.payment_member AS m ON m.id = p.member_id
     WHERE m.live_payment_id = p.id AND p.state NOT IN ('creating', 'payable', 'processing')
    UNION ALL
    SELECT format('payment %s succeeded, %s transactions say so', p.id, count(t.id))
      FROM seats_internal.payment AS p
      LEFT JOIN seats_internal.payment_transaction AS t ON t.payment_id = p.id AND t.kind = 'succeeded'
     WHERE p.state = 'succeeded' GROUP BY p.id HAVING count(t.id) <> 1 OR sum(t.amount) <> p.received
    UNION ALL
    SELECT format('transaction %s has %s handlers', t.id, count(h.call_id))
      FROM seats_internal.payment_transaction AS t LEFT JOIN seats_internal.handler AS h ON h.call_id = t.id
     GROUP BY t.id HAVING count(h.call_id) <> 1
$$;

-- And once all has come: what Stripe has.
CREATE FUNCTION pg_temp.differs() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('payment %s: %s %s, refunded %s + %s; Stripe: %s, %s + %s', p.id, p.state, p.received, p.refunded, p.refund_reserved,
                  i.status, s.given, s.pending)
      FROM intent AS i JOIN seats_internal.payment AS p ON p.id = i.payment
     CROSS JOIN LATERAL (
        SELECT coalesce(sum((r.value ->> 'amount')::bigint) FILTER (WHERE r.value ->> 'status' = 'succeeded'), 0) AS given,
               coalesce(sum((r.value ->> 'amount')::bigint) FILTER (WHERE r.value ->> 'status' = 'pending'), 0) AS pending
          FROM jsonb_array_elements(i.refunds) AS r) AS s
     WHERE (p.state, p.received, p.refunded, p.refund_reserved) <>
           (seats_internal.intent_state(i.status), CASE i.status WHEN 'succeeded' THEN 1000 ELSE 0 END, s.given, s.pending)
$$;

CREATE FUNCTION pg_temp.play(seed double precision) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    member text;
    payment bigint;
    found text;
BEGIN
    PERFORM setseed(seed);
    TRUNCATE intent;
    PERFORM pg_temp.begin_payments();
    UPDATE seats_internal.payment_request SET when_paid_after_cancel = (ARRAY['ask', 'keep', 'refund'])[ceil(random() * 3)];
    FOR step IN 1 .. 100 LOOP
        member := (ARRAY['ada', 'bob', 'cyd'])[ceil(random() * 3)];
        SELECT m.live_payment_id INTO payment FROM seats_internal.payment_member AS m WHERE m.reference = member;
        -- (Now and then a second one although one is live: as after a failover.)
        IF payment IS NULL AND random() < 0.5 OR random() < 0.03 THEN
            payment := pg_temp.start(member);
            INSERT INTO intent (payment, status) VALUES (payment, 'requires_payment_method');
            PERFORM pg_temp.says(payment);
        END IF;
        SELECT i.payment INTO payment FROM intent AS i ORDER BY random() LIMIT 1;
        CONTINUE WHEN payment IS NULL;
        CASE ceil(random() * 10)
            WHEN 1 THEN PERFORM pg_temp.cancel(payment);
            WHEN 2 THEN
                BEGIN
                    PERFORM seats_internal.refund_payment('app', payment, CASE WHEN random() < 0.5 THEN ceil(random() * 1000)::bigint END);
                EXCEPTION WHEN SQLSTATE 'PS813' THEN NULL;
                END;
            WHEN 3, 4, 5 THEN PERFORM pg_temp.happens(payment);
            ELSE PERFORM pg_temp.comes(payment);
        END CASE;
        SELECT string_agg(w, '; ') INTO found FROM pg_temp.wrong() AS w;
        IF found IS NOT NULL THEN
            RETURN format('seed %s, step %s: %s', seed, step, found);
        END IF;
    END LOOP;
    FOR step IN 1 .. 12 LOOP
        PERFORM pg_temp.comes(i.payment, true) FROM intent AS i;
        PERFORM seats_internal.queue_payment_read(i.payment, 'refunds') FROM intent AS i;
    END LOOP;
    SELECT string_agg(w, '; ') INTO found FROM (SELECT * FROM pg_temp.wrong() UNION ALL SELECT * FROM pg_temp.differs()) AS f (w);
    RETURN CASE WHEN found IS NULL THEN 'all is well' ELSE format('seed %s, at the end: %s', seed, found) END;
END
$$;
BEGIN;
SELECT pg_temp.play(g / 100.0), count(*) FROM generate_series(1, 6) AS g GROUP BY 1;
ROLLBACK;
