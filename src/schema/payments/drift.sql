-- What the database has forgotten, or never knew: creates wait until it is found, and what cannot be used is cancelled.

-- After a failover, a restore or an adoption. What was forgotten is younger than what is known.
CREATE OR REPLACE FUNCTION seats_internal.payments_are_in_doubt(reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.payment_listing AS l (destination, holds_creates, wanted_since, wanted_reason)
    SELECT d.name, true,
           coalesce(greatest((SELECT max(p.created_at) FROM seats_internal.payment AS p
                               WHERE p.destination = d.name),
                             (SELECT k.listed_until FROM seats_internal.payment_listing AS k
                               WHERE k.destination = d.name)),
                    (SELECT i.created_at FROM seats_internal.installation AS i))
               - seats_internal.listing_margin(),
           payments_are_in_doubt.reason
      FROM seats_internal.destination AS d
     WHERE d.kind = 'stripe'
       AND (EXISTS (SELECT FROM seats_internal.payment_request AS r WHERE r.destination = d.name)
            OR EXISTS (SELECT FROM seats_internal.payment_listing AS k WHERE k.destination = d.name))
    ON CONFLICT ON CONSTRAINT payment_listing_pkey DO UPDATE
       SET holds_creates = true, wanted_reason = excluded.wanted_reason,
           -- (What the daily listing goes back to for strays, no payer is to wait for.)
           wanted_since = least(l.wanted_since, excluded.wanted_since,
                                CASE WHEN l.wanted_reason IS NOT NULL THEN l.listing_from END),
           -- (A page of a listing that was under way is of no use: it may have passed by what was forgotten.)
           listing_from = NULL, listing_until = NULL, cursor = NULL, found = 0;
    DELETE FROM seats_internal.outbox AS o WHERE o.kind = 'payment_list';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payments_are_in_doubt(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payments_are_in_doubt(text) IS
    'payments may have been begun that are forgotten here: no intent is made before they are listed; called by the worker';

-- An adopted copy has payments that are the original's, and are told to its webhooks.
CREATE OR REPLACE FUNCTION seats_internal.adopt_payments(replaces_original boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT replaces_original THEN
        UPDATE seats_internal.payment AS p
           SET state = 'left_to_original', state_since = clock_timestamp()
         WHERE p.state IN ('creating', 'payable', 'processing');
        PERFORM seats_internal.settle_member_by_payments(m.id)
           FROM seats_internal.payment_member AS m WHERE m.live_payment_id IS NOT NULL;
        DELETE FROM seats_internal.payment_stray;
        DELETE FROM seats_internal.payment_listing_wish;
        DELETE FROM seats_internal.payment_listing;
        DELETE FROM seats_internal.outbox AS o WHERE o.kind IN ('payment_read', 'payment_list', 'payment_cancel');
    END IF;
    PERFORM seats_internal.payments_are_in_doubt('adopted');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.adopt_payments(boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.adopt_payments(boolean) IS
    'what becomes of payments in a database that is adopted: the original''s stay the original''s';

-- Creates that are about to be sent, and are not to be: gives them. While a payment's intent is being read that was
-- found, its create waits, too; once it is known, the create has nothing to do. `is_locked`: somebody has a create, and
-- is not waited for; when he has done, it is looked at here again before it is sent.
CREATE OR REPLACE FUNCTION seats_internal.hold_creates(ids bigint[]) RETURNS TABLE (id bigint, is_locked boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    creates bigint[] := ARRAY(SELECT o.id FROM seats_internal.outbox AS o
                               WHERE o.id = ANY (ids) AND o.kind = 'payment'
                                 FOR UPDATE SKIP LOCKED);
    useless bigint[];
BEGIN
    RETURN QUERY
        SELECT o.id, true FROM seats_internal.outbox AS o
         WHERE o.id = ANY (ids) AND o.kind = 'payment' AND o.id <> ALL (creates);
    SELECT array_agg(o.id) INTO useless
      FROM seats_internal.outbox AS o
      JOIN seats_internal.payment AS p ON p.id = o.payment_id
     WHERE o.id = ANY (creates) AND o.first_sent_at IS NULL AND NOT o.doubt AND p.intent IS NOT NULL;
    IF useless IS NOT NULL THEN
        PERFORM seats_internal.move_to_history(useless, 'cancelled', 'intent_is_known');
        RETURN QUERY SELECT u.id, false FROM unnest(useless) AS u (id);
    END IF;
    RETURN QUERY
        UPDATE seats_internal.outbox AS o
           SET due_at = clock_timestamp() + interval '2 seconds', reason = 'intents_are_listed_first'
          FROM seats_internal.payment AS p
         WHERE o.id = ANY (creates) AND p.id = o.payment_id AND p.intent IS NULL
           AND (EXISTS (SELECT FROM seats_internal.payment_listing AS l
                         WHERE l.destination = o.destination AND l.holds_creates)
                OR EXISTS (SELECT FROM seats_internal.outbox AS r
                            WHERE r.kind = 'payment_read' AND r.payment_id = p.id AND r.state <> 'review'))
        RETURNING o.id, false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.hold_creates(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.hold_creates(bigint[]) IS
    'those of the creates that are not to be sent now, as what was forgotten is looked for, or as somebody has them; called '
    'by the worker';

-- ---- strays

-- A request that nobody has made again within an hour is not coming: with pg_seats.payment_sweep = cancel its intents go.
CREATE OR REPLACE FUNCTION seats_internal.cancel_strays(destination text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stray seats_internal.payment_stray;
    call  bigint;
BEGIN
    FOR stray IN
        SELECT s.* FROM seats_internal.nobodys_intent AS s
         WHERE s.destination = cancel_strays.destination AND seats_internal.intent_state(s.status) = 'payable'
           AND s.first_seen < clock_timestamp() - interval '1 hour'
           AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.id = s.cancel_call_id)
         ORDER BY s.intent LIMIT 1000 FOR UPDATE SKIP LOCKED
    LOOP
        INSERT INTO seats_internal.outbox
            (installation, destination, method, path, body, enqueued_by, kind)
        SELECT i.uuid, stray.destination, 'POST', format('/v1/payment_intents/%s/cancel', stray.intent),
               seats_internal.encoded_form('{"cancellation_reason": "abandoned"}'), 'pg_seats', 'payment_cancel'
          FROM seats_internal.installation AS i
        RETURNING id INTO call;
        UPDATE seats_internal.payment_stray AS s SET cancel_call_id = call
         WHERE s.destination = stray.destination AND s.intent = stray.intent;
        PERFORM seats_internal.write_journal(
            'payment.stray_cancelled', 'pg_seats', call, NULL, NULL,
            jsonb_build_object('destination', stray.destination, 'intent', stray.intent, 'amount', stray.amount,
                               'currency', stray.currency, 'created', stray.created));
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.cancel_strays(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cancel_strays(text) IS
    'cancels a destination''s strays that somebody could still pay';

CREATE OR REPLACE FUNCTION seats_internal.stray_cancel_settled(call bigint, facts jsonb) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE seats_internal.payment_stray AS s
       SET status = coalesce(facts ->> 'status', s.status),
           received = coalesce((facts ->> 'amount_received')::bigint, s.received), last_seen = clock_timestamp()
     WHERE s.cancel_call_id = call AND s.intent = facts ->> 'id';
END;
REVOKE ALL ON FUNCTION seats_internal.stray_cancel_settled(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.stray_cancel_settled(bigint, jsonb) IS 'the cancel of a stray has ended';

-- Told when all were listed: one alert for those that can be paid, and one each for those that were.
CREATE OR REPLACE FUNCTION seats_internal.tell_of_strays(destination text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payable integer;
    stray   seats_internal.payment_stray;
BEGIN
    IF seats_internal.payment_sweep_setting() = 'cancel' THEN
        PERFORM seats_internal.cancel_strays(destination);
    END IF;
    SELECT count(*) INTO payable FROM seats_internal.nobodys_intent AS s
     WHERE s.destination = tell_of_strays.destination AND s.status NOT IN ('succeeded', 'canceled');
    IF payable > 0 THEN
        PERFORM seats_internal.raise_alert(
            'payment_strays:' || destination, 'warning', 'payment_strays',
            format('%s payment intent(s) of destination %s can be paid and belong to no payment here', payable, destination),
            jsonb_build_object('destination', destination, 'intents', payable),
            'See seats.payment_drift. Whoever makes the request again, with the same request_key, has them back. With '
            'pg_seats.payment_sweep = cancel they are cancelled after an hour, at the next daily listing.',
            destination => destination);
    ELSE
        PERFORM seats_internal.resolve_alert('payment_strays:' || destination, 'there are none any more');
    END IF;
    FOR stray IN
        SELECT s.* FROM seats_internal.nobodys_intent AS s
         WHERE s.destination = tell_of_strays.destination AND s.status = 'succeeded'
         ORDER BY s.intent LIMIT 100
    LOOP
        PERFORM seats_internal.raise_alert(
            'stray_paid:' || stray.intent, 'critical', 'stray_paid',
            format('intent %s was paid, and belongs to no payment here', stray.intent),
            jsonb_build_object('destination', stray.destination, 'intent', stray.intent, 'received', stray.received,
                               'currency', stray.currency, 'attempt', stray.attempt),
            'The database has forgotten whose it is. Make the request again with the same request_key and member: the '
            'money is his then. Or refund it in Stripe''s Dashboard.', destination => stray.destination);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.tell_of_strays(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tell_of_strays(text) IS
    'has people told of intents that no payment here has, and cancels them if that is set';
