-- Events about payments. An event is a hint: what has become of the intent, its refunds and disputes, a read tells. So
-- order, duplicates and delays do not matter, and a burst is one read. Nobody's lock is waited for.

-- By its intent; else by what we wrote into its metadata, or by the key of the request that has made it: an event may be
-- here before the answer.
CREATE OR REPLACE FUNCTION seats_internal.payment_of_event(event seats_internal.webhook_event)
RETURNS seats_internal.payment
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_one seats_internal.payment;
BEGIN
    SELECT p.* INTO found_one FROM seats_internal.payment AS p
     WHERE p.destination = event.destination AND p.intent = event.facts ->> 'payment_intent_id';
    IF NOT FOUND THEN
        found_one := seats_internal.payment_of_metadata(event.destination, event.facts);
    END IF;
    IF found_one.id IS NULL AND seats_internal.is_own_key(event.idempotency_key) THEN
        SELECT p.* INTO found_one FROM seats_internal.payment AS p
         WHERE p.uuid = substr(event.idempotency_key, 38, 36)::uuid AND p.destination = event.destination;
    END IF;
    RETURN found_one;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_of_event(seats_internal.webhook_event) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_of_event(seats_internal.webhook_event) IS
    'the payment that an event is about; null: none that is known here';

-- True: our own call has caused it, whose answer, or verification, tells all of it. What is in doubt is looked for now.
-- (What was refused or given up, and was executed all the same, a read must tell.)
CREATE OR REPLACE FUNCTION seats_internal.is_told_by_call(payment seats_internal.payment, key text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    calls bigint[];
    one   record;
BEGIN
    IF NOT seats_internal.is_own_key(key) THEN
        RETURN false;
    END IF;
    SELECT array_agg(c.id) INTO calls
      FROM (SELECT payment.call_id AS id
            UNION ALL SELECT payment.cancel_call_id
            UNION ALL SELECT r.call_id FROM seats_internal.refund AS r WHERE r.payment_id = payment.id) AS c
     WHERE c.id IS NOT NULL;
    SELECT o.id, o.generation, o.state::text AS state, o.doubt INTO one FROM seats_internal.outbox AS o
     WHERE o.id = ANY (calls) AND o.uuid = substr(key, 38, 36)::uuid;
    IF NOT FOUND THEN
        SELECT h.id, h.generation, h.result AS state, false AS doubt INTO one
          FROM seats_internal.outbox_history AS h
         WHERE h.ring = ANY (seats_internal.ring_slots()) AND h.id = ANY (calls)
           AND h.uuid = substr(key, 38, 36)::uuid;
    END IF;
    IF one.id IS NULL OR one.generation <> substr(key, 75)::integer THEN
        RETURN false;
    ELSIF one.doubt AND one.state IN ('waiting', 'verifying') THEN
        PERFORM seats_internal.verify_now(one.id);
        RETURN true;
    END IF;
    RETURN one.state IN ('sending', 'done');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.is_told_by_call(seats_internal.payment, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_told_by_call(seats_internal.payment, text) IS
    'whether an idempotency key is of a call of this payment that tells by itself what it has done';

-- Gives the outcome. `what`: what of the payment is to be read.
CREATE OR REPLACE FUNCTION seats_internal.apply_payment_event(event seats_internal.webhook_event, what text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    intent  text := event.facts ->> 'payment_intent_id';
    payment seats_internal.payment;
BEGIN
    IF intent IS NULL THEN
        RETURN CASE WHEN (event.facts ->> 'thin')::boolean THEN 'thin' ELSE 'ignored' END;
    END IF;
    payment := seats_internal.payment_of_event(event);
    IF payment.id IS NOT NULL THEN
        IF payment.intent <> intent THEN
            -- (A second intent of one attempt: the read makes it a stray.)
            PERFORM seats_internal.queue_payment_read(payment.id, 'intent', event.event_id, intent => intent);
        ELSIF NOT seats_internal.is_told_by_call(payment, event.idempotency_key) THEN
            -- (First whether it was paid: nobody is to be told of a refund before that.)
            PERFORM seats_internal.queue_payment_read(payment.id, w.what, event.event_id, intent => intent)
               FROM unnest(CASE WHEN payment.state = 'succeeded' THEN ARRAY[apply_payment_event.what]
                                WHEN payment.intent IS NULL OR apply_payment_event.what = 'intent' THEN '{intent}'
                                ELSE ARRAY['intent', apply_payment_event.what] END) WITH ORDINALITY AS w (what, number)
              ORDER BY w.number;
        END IF;
        RETURN 'processed';
    ELSIF (event.facts ->> 'installation')::uuid = (SELECT i.uuid FROM seats_internal.installation AS i)
          AND event.facts ->> 'hash' IS NOT NULL AND event.facts ->> 'attempt' IS NOT NULL
          -- (Intents and charges have what we wrote into them. That of the invoice for a seat has our key, too.)
          OR event.facts ->> 'object_type' IN ('refund', 'dispute')
             AND seats_internal.is_own_key(event.idempotency_key) THEN
        -- Ours, and forgotten: a list tells how many there are, from when this one was made. (An event of a refund does not
        -- say that. What is older than the last listing that one has shown.)
        PERFORM seats_internal.want_intents_listed(
            event.destination,
            coalesce(to_timestamp((event.facts -> 'payment_intent' ->> 'created')::double precision),
                     (SELECT l.listed_until FROM seats_internal.payment_listing AS l
                       WHERE l.destination = event.destination),
                     clock_timestamp() - interval '30 days'),
            'an event has told of an intent that is not known here');
        RETURN 'unmatched';
    END IF;
    RETURN 'ignored';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_payment_event(seats_internal.webhook_event, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_payment_event(seats_internal.webhook_event, text) IS
    'has read what an event about a payment hints at, and gives the outcome';
