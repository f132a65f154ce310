-- Strays: intents with our metadata that no payment here has. Those whose member is here become payments of his, as soon as
-- nobody has him; the others are told, and cancelled if that is set.

-- `is_second`: another payment has its attempt. Nobody is to pay it, then, nor one of another sum than is owed, nor one
-- whose cancel is on its way. (What Stripe makes of it, a read shows.)
CREATE OR REPLACE FUNCTION seats_internal.take_over_stray(
    request   seats_internal.payment_request,
    member    bigint,
    stray     seats_internal.payment_stray,
    is_second boolean
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner  seats_internal.payment_member;
    cancel bigint := (SELECT o.id FROM seats_internal.outbox AS o WHERE o.id = stray.cancel_call_id);
    taken  seats_internal.payment;
BEGIN
    SELECT m.* INTO owner FROM seats_internal.payment_member AS m WHERE m.id = take_over_stray.member;
    IF is_second THEN
        stray.attempt := owner.attempts + 1;
    END IF;
    taken := seats_internal.insert_payment(
        request, owner, '{}', stray,
        CASE WHEN stray.status IN ('succeeded', 'canceled') THEN NULL
             WHEN is_second OR (stray.amount, stray.currency) IS DISTINCT FROM (owner.amount, request.currency)
                 THEN 'duplicate'
             WHEN cancel IS NOT NULL THEN 'abandoned' END);
    IF cancel IS NOT NULL THEN
        UPDATE seats_internal.payment AS p SET cancel_call_id = cancel WHERE p.id = taken.id;
    END IF;
    PERFORM seats_internal.write_journal(
        'payment.found', 'pg_seats', taken.id, taken.lane_id, NULL,
        seats_internal.member_detail(owner) || jsonb_build_object(
            'payment', taken.id, 'attempt', taken.attempt, 'intent', stray.intent, 'status', stray.status));
    IF taken.state = 'creating' THEN
        PERFORM seats_internal.queue_payment_read(taken.id, 'intent');
    ELSE
        PERFORM seats_internal.payment_was_settled(taken, '{}', NULL);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_over_stray(
    seats_internal.payment_request, bigint, seats_internal.payment_stray, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_over_stray(
    seats_internal.payment_request, bigint, seats_internal.payment_stray, boolean) IS
    'makes a stray a payment of its member, which is locked';

-- What has become of them a read tells: money that came in meanwhile, too. Of one attempt there may be two (its key was
-- forgotten, or a person has said that there was none): the second one gets the next number that is free, when all others
-- have theirs.
CREATE OR REPLACE FUNCTION seats_internal.take_over_strays(
    request seats_internal.payment_request,
    member  seats_internal.payment_member
) RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    second boolean;
    stray  seats_internal.payment_stray;
    known  seats_internal.payment;
    live   seats_internal.payment;
BEGIN
    FOREACH second IN ARRAY '{false,true}'::boolean[] LOOP
        FOR stray IN
            SELECT s.* FROM seats_internal.payment_stray AS s
             WHERE s.hash = member.hash AND s.destination = request.destination
               AND s.installation = seats_internal.require_installation()
               AND NOT EXISTS (SELECT FROM seats_internal.payment AS p WHERE p.intent = s.intent)
             ORDER BY s.attempt, s.created, s.intent
               -- (It is not cancelled meanwhile. A listing that writes it does not wait for this lock.)
               FOR KEY SHARE
        LOOP
            SELECT p.* INTO known FROM seats_internal.payment AS p
             WHERE p.member_id = member.id AND p.attempt = stray.attempt;
            IF known.id IS NULL THEN
                PERFORM seats_internal.take_over_stray(request, member.id, stray, false);
            ELSIF second AND known.intent IS NULL THEN
                PERFORM seats_internal.queue_payment_read(known.id, 'intent', intent => stray.intent);
            ELSIF second AND stray.status <> 'canceled' THEN
                PERFORM seats_internal.take_over_stray(request, member.id, stray, true);
            END IF;
        END LOOP;
    END LOOP;
    SELECT p.* INTO live
      FROM seats_internal.payment_member AS m
      JOIN seats_internal.payment AS p ON p.id = m.live_payment_id
     WHERE m.id = member.id;
    RETURN live;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.take_over_strays(seats_internal.payment_request, seats_internal.payment_member) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.take_over_strays(seats_internal.payment_request, seats_internal.payment_member) IS
    'intents at Stripe that were forgotten here become payments of their member, which is locked; gives the one that may '
    'be paid yet, or null';

CREATE OR REPLACE FUNCTION seats_internal.note_stray(
    destination text,
    facts       jsonb,
    differs     text[] DEFAULT NULL
) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO seats_internal.payment_stray AS s
        (destination, intent, installation, hash, attempt, status, amount, received, currency, created, differs)
    VALUES (note_stray.destination, facts ->> 'id', (facts ->> 'installation')::uuid, facts ->> 'hash',
            (facts ->> 'attempt')::integer, facts ->> 'status', (facts ->> 'amount')::bigint,
            (facts ->> 'amount_received')::bigint, facts ->> 'currency',
            to_timestamp((facts ->> 'created')::double precision), note_stray.differs)
    ON CONFLICT ON CONSTRAINT payment_stray_pkey DO UPDATE
       SET status = excluded.status, amount = excluded.amount, received = excluded.received,
           currency = excluded.currency, differs = excluded.differs, last_seen = clock_timestamp();
END;
REVOKE ALL ON FUNCTION seats_internal.note_stray(text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_stray(text, jsonb, text[]) IS
    'stores an intent that no payment here has, or whose payment knows something else';

-- True: there is something to send.
CREATE OR REPLACE FUNCTION seats_internal.give_strays_back(intents text[]) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ours     CONSTANT uuid := seats_internal.require_installation();
    one      record;
    is_given boolean := false;
BEGIN
    FOR one IN
        SELECT DISTINCT m.id, m.lane_id
          FROM seats_internal.nobodys_intent AS s
          JOIN seats_internal.payment_member AS m ON m.hash = s.hash
          JOIN seats_internal.payment_request AS r ON r.id = m.request_id AND r.destination = s.destination
         WHERE s.intent = ANY (intents) AND s.installation = ours
           AND (s.status <> 'canceled'
                OR NOT EXISTS (SELECT FROM seats_internal.payment AS p
                                WHERE p.member_id = m.id AND p.attempt = s.attempt))
         ORDER BY m.lane_id
    LOOP
        CONTINUE WHEN NOT seats_internal.try_lane(one.lane_id);
        PERFORM seats_internal.take_over_strays(r, m)
           FROM seats_internal.payment_member AS m
           JOIN seats_internal.payment_request AS r ON r.id = m.request_id
          WHERE m.id = one.id;
        -- Whatever else of his can be paid: only one of them is to stay.
        PERFORM seats_internal.queue_payment_read(p.id, 'intent') FROM seats_internal.payment AS p
          WHERE p.member_id = one.id AND p.state IN ('payable', 'processing');
        is_given := true;
    END LOOP;
    PERFORM seats_internal.forget_strays(intents);
    RETURN is_given;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.give_strays_back(text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.give_strays_back(text[]) IS
    'makes those of these intents that are strays payments of their members where nobody has these, and forgets those that '
    'are none any more; after each page of a list';

-- The worker's chore, for those whose member somebody had when they were listed. There may be very many that nobody comes
-- for: each time the next ones behind `after` are looked at, and '' is the beginning.
CREATE OR REPLACE FUNCTION seats_internal.look_after_strays(most integer, INOUT after text, OUT is_given boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    intents text[] := ARRAY(SELECT s.intent FROM seats_internal.payment_stray AS s
                             WHERE s.intent > look_after_strays.after
                             ORDER BY s.intent FETCH FIRST (most) ROWS WITH TIES);
BEGIN
    after := CASE WHEN cardinality(intents) < most THEN '' ELSE intents[cardinality(intents)] END;
    is_given := seats_internal.give_strays_back(intents);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.look_after_strays(integer, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.look_after_strays(integer, text) IS
    'gives strays back, a part of them at a time: true if there is something to send; called by the worker';

-- (One whose cancel is on its way stays until that has ended: its payment is read then. Nobody's lock is waited for, nor
-- that of who looks at its alert: payers wait for the page of a list that this is a part of.)
CREATE OR REPLACE FUNCTION seats_internal.forget_strays(intents text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stray seats_internal.payment_stray;
    told  bigint;
BEGIN
    FOR stray IN
        SELECT s.* FROM seats_internal.payment_stray AS s
         WHERE s.intent = ANY (intents)
           AND (s.status IN ('canceled', 'succeeded') AND s.last_seen < clock_timestamp() - interval '90 days'
                AND NOT EXISTS (SELECT FROM seats_internal.alert AS a
                                 WHERE a.fingerprint = 'stray_paid:' || s.intent AND a.resolved_at IS NULL)
                OR EXISTS (SELECT FROM seats_internal.payment AS p
                            WHERE p.intent = s.intent
                              AND (s.differs IS NULL OR p.read_at >= s.last_seen)))
           AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.id = s.cancel_call_id)
           FOR UPDATE SKIP LOCKED
    LOOP
        told := (SELECT a.id FROM seats_internal.alert AS a
                  WHERE a.fingerprint = 'stray_paid:' || stray.intent AND a.resolved_at IS NULL);
        PERFORM FROM seats_internal.alert AS a WHERE a.id = told FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN told IS NOT NULL AND NOT FOUND;
        DELETE FROM seats_internal.payment_stray AS s
         WHERE s.destination = stray.destination AND s.intent = stray.intent;
        IF told IS NOT NULL THEN
            PERFORM seats_internal.resolve_alert('stray_paid:' || stray.intent, 'it belongs to a payment now');
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_strays(text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_strays(text[]) IS
    'removes what is no stray any more: a payment has it and knows what was listed, or it was canceled long ago; called by '
    'the worker';

-- (One that its member's own destination lists, too, becomes his by that list.)
CREATE OR REPLACE FUNCTION seats_internal.destination_of_stray(hash text, destination text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.destination
      FROM seats_internal.payment_member AS m
      JOIN seats_internal.payment_request AS r ON r.id = m.request_id
      LEFT JOIN seats_internal.destination AS his ON his.name = r.destination
      LEFT JOIN seats_internal.destination AS its ON its.name = destination_of_stray.destination
     WHERE m.hash = destination_of_stray.hash
       AND (r.destination = destination_of_stray.destination
            OR (his.account, his.livemode) = (its.account, its.livemode));
END;
REVOKE ALL ON FUNCTION seats_internal.destination_of_stray(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.destination_of_stray(text, text) IS
    'over which destination, of the same account, the member pays whose stray it is; null: there is none';

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
           AND coalesce(seats_internal.destination_of_stray(s.hash, s.destination), s.destination) = s.destination
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

-- (A sandbox can be emptied: what is gone nobody can pay.)
CREATE OR REPLACE FUNCTION seats_internal.stray_cancel_settled(call bigint, facts jsonb, error_code text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- (Somebody may have taken it over meanwhile.)
    SELECT seats_internal.queue_payment_read(p.id, 'intent')
      FROM seats_internal.payment_stray AS s
      JOIN seats_internal.payment AS p ON p.intent = s.intent
     WHERE s.cancel_call_id = call;
    UPDATE seats_internal.payment_stray AS s
       SET status = CASE error_code WHEN 'resource_missing' THEN 'canceled' ELSE coalesce(facts ->> 'status', s.status) END,
           received = coalesce((facts ->> 'amount_received')::bigint, s.received), last_seen = clock_timestamp()
     WHERE s.cancel_call_id = call AND (s.intent = facts ->> 'id' OR error_code = 'resource_missing');
END;
REVOKE ALL ON FUNCTION seats_internal.stray_cancel_settled(bigint, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.stray_cancel_settled(bigint, jsonb, text) IS 'the cancel of a stray has ended';

-- Each once: whoever acknowledges that has settled it.
CREATE OR REPLACE FUNCTION seats_internal.tell_of_paid_strays(most integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stray seats_internal.payment_stray;
BEGIN
    FOR stray IN
        SELECT s.* FROM seats_internal.nobodys_intent AS s
         WHERE s.status = 'succeeded' AND s.told_at IS NULL
           AND seats_internal.destination_of_stray(s.hash, s.destination) IS NULL
         ORDER BY s.destination, s.intent LIMIT most FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        PERFORM seats_internal.raise_alert(
            'stray_paid:' || stray.intent, 'critical', 'stray_paid',
            format('intent %s was paid, and belongs to no payment here', stray.intent),
            jsonb_build_object('destination', stray.destination, 'intent', stray.intent, 'received', stray.received,
                               'currency', stray.currency, 'attempt', stray.attempt),
            'The database has forgotten whose it is. Make the request again with the same request_key and member: the '
            'money is his then. Or refund it in Stripe''s Dashboard, and acknowledge this.',
            destination => stray.destination);
        UPDATE seats_internal.payment_stray AS s SET told_at = clock_timestamp()
         WHERE s.destination = stray.destination AND s.intent = stray.intent;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.tell_of_paid_strays(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tell_of_paid_strays(integer) IS
    'has people told of intents that were paid and that no payment here has, at most so many; called by the worker';

-- (What is a member's becomes his as soon as nobody has him.)
CREATE OR REPLACE FUNCTION seats_internal.tell_of_strays(destination text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payable integer;
BEGIN
    IF seats_internal.payment_sweep_setting() = 'cancel' THEN
        PERFORM seats_internal.cancel_strays(destination);
    END IF;
    SELECT count(*) INTO payable FROM seats_internal.nobodys_intent AS s
     WHERE s.destination = tell_of_strays.destination AND s.status NOT IN ('succeeded', 'canceled')
       AND NOT EXISTS (SELECT FROM seats_internal.payment_member AS m
                        WHERE m.hash = s.hash
                          AND seats_internal.destination_of_stray(m.hash, s.destination) IS NOT NULL);
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
END
$$;
REVOKE ALL ON FUNCTION seats_internal.tell_of_strays(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tell_of_strays(text) IS
    'has people told of intents that no payment here has, and cancels them if that is set';

-- The worker's chore, in a transaction of its own: it waits for whoever acknowledges one of these alerts, and no payer does.
-- When all were listed, one alert for those that can be paid, and one each for those that were.
CREATE OR REPLACE FUNCTION seats_internal.tell_of_listings(most integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one seats_internal.payment_listing;
BEGIN
    FOR one IN
        UPDATE seats_internal.payment_listing AS l SET is_to_be_told = false WHERE l.is_to_be_told RETURNING l.*
    LOOP
        IF one.error IS NOT NULL THEN
            PERFORM seats_internal.raise_alert(
                'payments_unlisted:' || one.destination, 'critical', 'payments_unlisted',
                format('payment intents of destination %s cannot be listed: %s', one.destination, one.error),
                jsonb_build_object('destination', one.destination, 'holds_creates', one.holds_creates),
                'A restricted key needs the permission PaymentIntents: Read. Without it nobody can begin to pay after a '
                'failover, and strays are not found. It is tried on, every minute.', destination => one.destination);
            CONTINUE;
        END IF;
        PERFORM seats_internal.resolve_alert('payments_unlisted:' || one.destination, 'they could be listed');
        IF one.listing_until IS NULL THEN
            PERFORM seats_internal.tell_of_strays(one.destination);
            -- (Nobody pays here, and none of it is listed daily.)
            DELETE FROM seats_internal.payment_listing AS l
             WHERE l.destination = one.destination AND l.wanted_since IS NULL
               AND NOT seats_internal.takes_payments(l.destination);
        END IF;
    END LOOP;
    PERFORM seats_internal.tell_of_paid_strays(most);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.tell_of_listings(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tell_of_listings(integer) IS
    'tells people what lists of intents have shown, or that they cannot be had; called by the worker';
