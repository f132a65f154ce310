-- What the database may have forgotten, or missed: when that is, and that creates wait until it was looked for. (How it is
-- looked for is in listing.sql, what becomes of it in strays.sql.)

-- An outage that is longer is followed by a listing. (A worker looks every ten minutes at least.)
CREATE OR REPLACE FUNCTION seats_internal.long_outage() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN interval '15 minutes';
REVOKE ALL ON FUNCTION seats_internal.long_outage() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.long_outage() IS
    'for how long nothing can be sent without a listing being wanted after it';

CREATE OR REPLACE FUNCTION seats_internal.takes_payments(destination text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM seats_internal.payment_request AS r WHERE r.destination = takes_payments.destination)
       OR EXISTS (SELECT FROM seats_internal.payment_stray AS s
                   WHERE s.destination = takes_payments.destination AND s.status NOT IN ('succeeded', 'canceled')
                     AND NOT EXISTS (SELECT FROM seats_internal.payment AS p WHERE p.intent = s.intent));
REVOKE ALL ON FUNCTION seats_internal.takes_payments(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.takes_payments(text) IS
    'whether members pay over a destination: only then its intents are listed daily';

-- Whoever was away for long (the destination, the worker, the server) has missed something: intents that were made
-- meanwhile are listed, and events that nobody has brought.
CREATE OR REPLACE FUNCTION seats_internal.note_contacts(reached text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT d.name, c.reached_at
          FROM seats_internal.destination AS d
          LEFT JOIN seats_internal.destination_contact AS c ON c.destination = d.name
         WHERE d.name = ANY (reached) AND d.kind = 'stripe'
           AND (c.reached_at IS NULL
                OR c.reached_at NOT BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp())
    LOOP
        IF one.reached_at < clock_timestamp() - seats_internal.long_outage()
           AND seats_internal.payment_sweep_setting() <> 'off' AND seats_internal.takes_payments(one.name) THEN
            PERFORM seats_internal.want_intents_listed(one.name, one.reached_at, 'nothing could be sent for long');
            PERFORM seats_internal.ask_for_missed_events(one.name);
        END IF;
        INSERT INTO seats_internal.destination_contact AS c (destination, reached_at)
        VALUES (one.name, clock_timestamp())
        ON CONFLICT ON CONSTRAINT destination_contact_pkey DO UPDATE SET reached_at = excluded.reached_at;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.note_contacts(text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_contacts(text[]) IS
    'notes which destinations can be sent to, and has listed what may have been missed; called by the worker';

-- After a failover, a restore or an adoption. What was forgotten is younger than what is known: than the youngest payment,
-- the last listing, the last time that the worker could send. Where nothing of payments is known, the first of them may be
-- forgotten.
CREATE OR REPLACE FUNCTION seats_internal.payments_are_in_doubt(reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.installation AS i SET doubted_at = clock_timestamp();
    INSERT INTO seats_internal.payment_listing AS l (destination, holds_creates, wanted_since, wanted_reason)
    SELECT d.name, true,
           coalesce(greatest((SELECT max(p.created_at) FROM seats_internal.payment AS p
                               WHERE p.destination = d.name),
                             (SELECT k.listed_until FROM seats_internal.payment_listing AS k
                               WHERE k.destination = d.name),
                             (SELECT c.reached_at FROM seats_internal.destination_contact AS c
                               WHERE c.destination = d.name)),
                    (SELECT i.created_at FROM seats_internal.installation AS i))
               - seats_internal.listing_margin(),
           payments_are_in_doubt.reason
      FROM seats_internal.destination AS d
     WHERE d.kind = 'stripe'
    ON CONFLICT ON CONSTRAINT payment_listing_pkey DO UPDATE
       SET holds_creates = true, wanted_reason = excluded.wanted_reason, is_refused = false,
           -- (What the daily listing goes back to for strays, no payer is to wait for.)
           wanted_since = least(l.wanted_since, excluded.wanted_since,
                                CASE WHEN l.wanted_reason IS NOT NULL THEN l.listing_from END),
           -- (A page of a listing that was under way is of no use: it may have passed by what was forgotten.)
           listing_from = NULL, listing_until = NULL, cursor = NULL, found = 0;
    DELETE FROM seats_internal.outbox AS o WHERE o.kind = 'payment_list';
    -- Refunds, cancels and what payers have done: a listing shows no such thing.
    PERFORM seats_internal.ask_for_missed_events(d.name)
       FROM seats_internal.destination AS d
      WHERE d.kind = 'stripe'
        AND (EXISTS (SELECT FROM seats_internal.payment_request AS r WHERE r.destination = d.name)
             OR EXISTS (SELECT FROM seats_internal.webhook_endpoint AS e WHERE e.destination = d.name)
             OR EXISTS (SELECT FROM seats_internal.event_cursor AS c WHERE c.destination = d.name));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payments_are_in_doubt(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payments_are_in_doubt(text) IS
    'payments may have been begun that are forgotten here: no intent is made before they are listed; called by the worker';

-- What was forgotten may be the destination itself, and what was begun to be paid there: whoever defines it again within a
-- month finds that before anybody pays.
CREATE OR REPLACE FUNCTION seats_internal.doubt_new_destination(destination text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO seats_internal.payment_listing (destination, holds_creates, wanted_since, wanted_reason)
    SELECT doubt_new_destination.destination, true, i.created_at - seats_internal.listing_margin(), 'failover or restore'
      FROM seats_internal.installation AS i
     WHERE i.doubted_at > clock_timestamp() - interval '30 days'
    ON CONFLICT ON CONSTRAINT payment_listing_pkey DO NOTHING;
END;
REVOKE ALL ON FUNCTION seats_internal.doubt_new_destination(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.doubt_new_destination(text) IS
    'a destination that is defined after a failover or a restore may have been there before: its intents are listed first';

-- An adopted copy has payments that are the original's, and are told to its webhooks. Under its own name it has made none
-- yet, so that there is nothing that could be forgotten.
CREATE OR REPLACE FUNCTION seats_internal.adopt_payments(replaces_original boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF replaces_original THEN
        PERFORM seats_internal.payments_are_in_doubt('adopted');
    ELSE
        UPDATE seats_internal.installation AS i SET doubted_at = NULL;
        UPDATE seats_internal.payment AS p
           SET state = 'left_to_original', state_since = clock_timestamp()
         WHERE p.state IN ('creating', 'payable', 'processing');
        -- (What becomes of their money is told there, too.)
        UPDATE seats_internal.payment AS p
           SET refund_is_open = false, dispute_is_open = false WHERE p.refund_is_open OR p.dispute_is_open;
        PERFORM seats_internal.settle_member_by_payments(m.id)
           FROM seats_internal.payment_member AS m WHERE m.live_payment_id IS NOT NULL;
        DELETE FROM seats_internal.payment_stray;
        DELETE FROM seats_internal.payment_listing_wish;
        DELETE FROM seats_internal.payment_listing;
        DELETE FROM seats_internal.outbox AS o WHERE o.kind IN ('payment_read', 'payment_list', 'payment_cancel');
        PERFORM seats_internal.resolve_alert(a.fingerprint, 'it is left to the original')
           FROM seats_internal.alert AS a
          WHERE a.resolved_at IS NULL AND a.kind IN (
            'payment_unreadable', 'payment_not_cancelled', 'payment_disputed', 'payments_unlisted', 'payment_strays',
            'stray_paid');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.adopt_payments(boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.adopt_payments(boolean) IS
    'what becomes of payments in a database that is adopted: the original''s stay the original''s';

-- A start that could be sent now, while its member has an intent that was found: there would be two that he can pay, and a
-- cancel of the one that was found would wait behind the start in their lane. He may have the secret of that one in his
-- browser: he clicks again, and has it, or, if it is not to be paid, another one once it is over. (A start that was sent since
-- the last failover may have an intent of its own, and does not give way. Of one that was sent before, all intents were
-- listed; should it show up later, it is cancelled then.) True: it is not sent now.
CREATE OR REPLACE FUNCTION seats_internal.gives_way_to_found(started bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payment seats_internal.payment;
    create_call seats_internal.outbox;
BEGIN
    SELECT p.* INTO payment FROM seats_internal.payment AS p
     WHERE p.id = started
       AND EXISTS (SELECT FROM seats_internal.payment AS f
                    WHERE f.member_id = p.member_id AND f.id <> p.id AND f.call_id IS NULL
                      AND f.state IN ('creating', 'payable', 'processing'));
    SELECT o.* INTO create_call FROM seats_internal.outbox AS o
     WHERE o.id = payment.call_id
       AND (o.first_sent_at IS NULL
            OR o.last_sent_at <= (SELECT i.doubted_at FROM seats_internal.installation AS i));
    IF NOT FOUND THEN
        RETURN false;
    ELSIF NOT seats_internal.try_lane(payment.lane_id) THEN
        UPDATE seats_internal.outbox AS o
           SET due_at = clock_timestamp() + interval '2 seconds', reason = 'intents_are_listed_first'
         WHERE o.id = create_call.id;
        RETURN true;
    END IF;
    UPDATE seats_internal.payment AS p
       SET cancel_requested_at = coalesce(p.cancel_requested_at, clock_timestamp()),
           cancel_reason = coalesce(p.cancel_reason, 'duplicate')
     WHERE p.id = payment.id
    RETURNING p.* INTO payment;
    PERFORM seats_internal.move_to_history(ARRAY[create_call.id], 'cancelled', 'intent_is_known');
    PERFORM seats_internal.payment_was_not_made(payment, 'cancelled', 'intent_is_known');
    PERFORM seats_internal.reoffer_lane(payment.lane_id);
    IF create_call.first_sent_at IS NOT NULL THEN
        PERFORM seats_internal.want_intents_listed(payment.destination, payment.created_at, 'a start that gave way',
                                                   clock_timestamp() + interval '15 minutes');
    END IF;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.gives_way_to_found(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.gives_way_to_found(bigint) IS
    'ends a payment whose create, which is locked, was not sent, if its member has an intent at Stripe that was found';

-- Creates that are about to be sent, and are not to be: gives them. While a payment's intent is being read that was
-- found, its create waits, too; once it is known, the create has nothing to do. Nor has it beside another intent of its
-- member. `is_locked`: somebody has a create, and is not waited for; when he has done, it is looked at here again before it
-- is sent.
CREATE OR REPLACE FUNCTION seats_internal.hold_creates(ids bigint[]) RETURNS TABLE (id bigint, is_locked boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    creates  bigint[] := ARRAY(SELECT o.id FROM seats_internal.outbox AS o
                                WHERE o.id = ANY (ids) AND o.kind = 'payment'
                                  FOR UPDATE SKIP LOCKED);
    -- (Named table by table: joined by their keys alone, all payments and members would be read at each claim.)
    payments bigint[] := ARRAY(SELECT o.payment_id FROM seats_internal.outbox AS o WHERE o.id = ANY (creates));
    members  bigint[] := ARRAY(SELECT p.member_id FROM seats_internal.payment AS p WHERE p.id = ANY (payments));
    useless  bigint[];
BEGIN
    RETURN QUERY
        SELECT o.id, true FROM seats_internal.outbox AS o
         WHERE o.id = ANY (ids) AND o.kind = 'payment' AND o.id <> ALL (creates);
    SELECT array_agg(o.id) INTO useless
      FROM seats_internal.outbox AS o
      JOIN seats_internal.payment AS p ON p.id = o.payment_id
     WHERE o.id = ANY (creates) AND p.id = ANY (payments)
       AND o.first_sent_at IS NULL AND NOT o.doubt AND p.intent IS NOT NULL;
    IF useless IS NOT NULL THEN
        PERFORM seats_internal.move_to_history(useless, 'cancelled', 'intent_is_known');
        RETURN QUERY SELECT u.id, false FROM unnest(useless) AS u (id);
    END IF;
    -- Whose member somebody had when they were listed.
    PERFORM seats_internal.give_strays_back(s.intents)
       FROM (SELECT array_agg(n.intent) AS intents FROM seats_internal.nobodys_intent AS n
              WHERE n.hash = ANY (ARRAY(SELECT h.hash FROM seats_internal.payment_member AS h WHERE h.id = ANY (members)))) AS s
      WHERE s.intents IS NOT NULL;
    -- (Somebody has him still, and a create is not to leave beside its own intent.)
    PERFORM seats_internal.queue_payment_read(p.id, 'intent', intent => s.intent)
       FROM seats_internal.payment AS p
       JOIN seats_internal.payment_member AS m ON m.id = p.member_id
       JOIN seats_internal.nobodys_intent AS s
         ON s.hash = m.hash AND s.attempt = p.attempt AND s.destination = p.destination
        AND s.installation = p.installation
      WHERE p.id = ANY (payments) AND m.id = ANY (members) AND p.intent IS NULL
        AND s.hash = ANY (ARRAY(SELECT h.hash FROM seats_internal.payment_member AS h WHERE h.id = ANY (members)));
    RETURN QUERY
        UPDATE seats_internal.outbox AS o
           -- (The end of a listing makes them due.)
           SET due_at = clock_timestamp() + CASE WHEN w.is_read THEN interval '2 seconds' ELSE interval '1 minute' END,
               reason = 'intents_are_listed_first'
          FROM seats_internal.payment AS p
         CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM seats_internal.payment_listing AS l
                            WHERE l.destination = p.destination AND l.holds_creates) AS is_listed,
                   EXISTS (SELECT FROM seats_internal.outbox AS r
                            WHERE r.kind = 'payment_read' AND r.payment_id = p.id AND r.state <> 'review')
                   OR EXISTS (SELECT FROM seats_internal.nobodys_intent AS s
                               WHERE s.hash = (SELECT m.hash FROM seats_internal.payment_member AS m WHERE m.id = p.member_id)
                                 AND s.destination = p.destination AND s.installation = p.installation
                                 AND s.status <> 'canceled') AS is_read) AS w
         WHERE o.id = ANY (creates) AND p.id = ANY (payments) AND p.id = o.payment_id AND p.intent IS NULL AND (w.is_listed OR w.is_read)
        RETURNING o.id, false;
    RETURN QUERY
        SELECT o.id, false FROM seats_internal.outbox AS o
         WHERE o.id = ANY (creates) AND (o.due_at IS NULL OR o.due_at <= clock_timestamp())
           AND seats_internal.gives_way_to_found(o.payment_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.hold_creates(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.hold_creates(bigint[]) IS
    'those of the creates that are not to be sent now, as what was forgotten is looked for, or as somebody has them; called '
    'by the worker';
