-- Listing intents: those that were made for payments here, and are forgotten here (after a failover or a restore) or
-- were never known. Newest first, a page at a time, with a cursor that survives; each page is a row of the outbox.

-- Clocks differ, and an intent may be older than what is told of it.
CREATE OR REPLACE FUNCTION seats_internal.listing_margin() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN interval '1 hour';
REVOKE ALL ON FUNCTION seats_internal.listing_margin() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.listing_margin() IS
    'how much further back than seems necessary intents are listed';

-- A page behind `cursor`, or the first one.
CREATE OR REPLACE FUNCTION seats_internal.queue_payment_page(
    listing seats_internal.payment_listing,
    due_at  timestamptz DEFAULT NULL
) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO seats_internal.outbox
        (installation, destination, method, path, body, enqueued_by, kind, due_at, context)
    SELECT i.uuid, (listing).destination, 'GET', '/v1/payment_intents',
           seats_internal.encoded_form(jsonb_strip_nulls(jsonb_build_object(
               'created', jsonb_build_object('gte', floor(extract(epoch FROM (listing).listing_from))::bigint),
               'limit', 100, 'starting_after', (listing).cursor))),
           'pg_seats', 'payment_list', queue_payment_page.due_at,
           jsonb_build_object('until', (listing).listing_until, 'cursor', (listing).cursor)
      FROM seats_internal.installation AS i;
END;
REVOKE ALL ON FUNCTION seats_internal.queue_payment_page(seats_internal.payment_listing, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.queue_payment_page(seats_internal.payment_listing, timestamptz) IS
    'leaves the next page of a listing in the outbox';

-- From when on: what is wanted, what came after the last listing, how far a listing was to go that was cut off, and strays
-- that may still be paid, which are looked at again (not for ever, and not while payers wait: what a failover has forgotten
-- is young).
CREATE OR REPLACE FUNCTION seats_internal.begin_listing(destination text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    begun seats_internal.payment_listing;
BEGIN
    UPDATE seats_internal.payment_listing AS l
       SET listing_from = least(
               l.listing_from,
               least(l.wanted_since,
                     coalesce(l.listed_until, (SELECT min(r.created_at) FROM seats_internal.payment_request AS r
                                                WHERE r.destination = l.destination), clock_timestamp()),
                     CASE WHEN NOT l.holds_creates
                          THEN (SELECT min(greatest(s.created, clock_timestamp() - interval '30 days'))
                                  FROM seats_internal.nobodys_intent AS s
                                 WHERE s.destination = l.destination AND s.status NOT IN ('succeeded', 'canceled'))
                          END) - seats_internal.listing_margin()),
           listing_until = clock_timestamp(), cursor = NULL, found = 0, wanted_since = NULL, is_refused = false
     WHERE l.destination = begin_listing.destination
    RETURNING l.* INTO begun;
    PERFORM seats_internal.queue_payment_page(begun);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.begin_listing(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.begin_listing(text) IS 'begins to list a destination''s intents';

CREATE OR REPLACE FUNCTION seats_internal.payment_sweep_setting() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN coalesce(current_setting('pg_seats.payment_sweep', true), 'report');
REVOKE ALL ON FUNCTION seats_internal.payment_sweep_setting() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_sweep_setting() IS
    'the setting pg_seats.payment_sweep: off, report or cancel';

CREATE OR REPLACE FUNCTION seats_internal.note_wishes() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH wishes AS (
        DELETE FROM seats_internal.payment_listing_wish AS w WHERE w.due_at <= clock_timestamp() RETURNING w.*)
    INSERT INTO seats_internal.payment_listing AS l (destination, wanted_since, wanted_reason)
    SELECT w.destination, min(w.since), (array_agg(w.reason ORDER BY w.since))[1]
      FROM wishes AS w GROUP BY w.destination
    ON CONFLICT ON CONSTRAINT payment_listing_pkey DO UPDATE
       SET wanted_since = least(l.wanted_since, excluded.wanted_since),
           wanted_reason = coalesce(l.wanted_reason, excluded.wanted_reason);
END;
REVOKE ALL ON FUNCTION seats_internal.note_wishes() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_wishes() IS
    'makes what is to be listed out of what was wanted; called by the worker';

-- The worker's chore: listings that are wanted, or due (once a day where members pay), and reads of payments that are not
-- over and of which nothing was heard for a day. `reached`: destinations that can be sent to. True: there is something to
-- send.
CREATE OR REPLACE FUNCTION seats_internal.sweep_payments(most integer, reached text[]) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a_day_ago CONSTANT timestamptz := clock_timestamp() - interval '1 day';
    one     record;
    is_sent boolean := false;
BEGIN
    PERFORM seats_internal.note_contacts(reached);
    PERFORM seats_internal.note_wishes();
    IF NOT EXISTS (SELECT FROM seats_internal.payment_request)
       AND NOT EXISTS (SELECT FROM seats_internal.payment_listing) THEN
        RETURN is_sent;
    END IF;
    IF seats_internal.payment_sweep_setting() <> 'off' THEN
        INSERT INTO seats_internal.payment_listing (destination)
        SELECT d.name FROM seats_internal.destination AS d
         WHERE NOT EXISTS (SELECT FROM seats_internal.payment_listing AS l WHERE l.destination = d.name)
           AND EXISTS (SELECT FROM seats_internal.payment_request AS r WHERE r.destination = d.name)
        ON CONFLICT ON CONSTRAINT payment_listing_pkey DO NOTHING;
    END IF;
    FOR one IN
        SELECT l.destination FROM seats_internal.payment_listing AS l
          JOIN seats_internal.destination AS d ON d.name = l.destination
         -- (One that is under way and has no page was cut off: a person has cancelled its page, or given it up.)
         WHERE (l.wanted_since IS NOT NULL OR l.listing_until IS NOT NULL OR l.holds_creates
                OR coalesce(l.finished_at < a_day_ago, true) AND seats_internal.payment_sweep_setting() <> 'off'
                   AND seats_internal.takes_payments(l.destination))
           AND (NOT l.is_refused OR seats_internal.takes_payments(l.destination))
           AND d.halted_at IS NULL AND d.paused_at IS NULL
           AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                            WHERE o.kind = 'payment_list' AND o.destination = l.destination)
         FOR NO KEY UPDATE OF l SKIP LOCKED
    LOOP
        PERFORM seats_internal.begin_listing(one.destination);
        is_sent := true;
    END LOOP;
    RETURN seats_internal.read_silent_payments(most) OR is_sent;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.sweep_payments(integer, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.sweep_payments(integer, text[]) IS
    'has intents listed, and payments read, that are due; called by the worker';

-- ---- what was listed

-- (What is over may have been another amount from the beginning, which a person has decided about.)
CREATE OR REPLACE FUNCTION seats_internal.intent_differences(payment seats_internal.payment, facts jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT nullif(array_agg(d.aspect ORDER BY d.aspect), '{}')
      FROM (VALUES ('status', (payment).status IS DISTINCT FROM facts ->> 'status'),
                   ('received', (payment).received <> (facts ->> 'amount_received')::bigint),
                   ('amount', (payment).state IN ('creating', 'payable', 'processing')
                              AND (payment).amount <> (facts ->> 'amount')::bigint),
                   ('currency', (payment).state IN ('creating', 'payable', 'processing')
                                AND (payment).currency <> facts ->> 'currency')) AS d (aspect, is_other)
     WHERE d.is_other;
END;
REVOKE ALL ON FUNCTION seats_internal.intent_differences(seats_internal.payment, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.intent_differences(seats_internal.payment, jsonb) IS
    'what Stripe says of a payment''s intent otherwise than it is known here; null: nothing';

-- What is known otherwise, or not yet known to its payment, is read: one way for all that Stripe says. (Until then people
-- can see it.)
CREATE OR REPLACE FUNCTION seats_internal.take_listed_intent(destination text, facts jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known   seats_internal.payment;
    differs text[];
BEGIN
    SELECT p.* INTO known FROM seats_internal.payment AS p
     WHERE p.intent = facts ->> 'id';
    IF FOUND THEN
        -- (Another destination of the same account has it: its own list compares it.)
        IF known.destination <> take_listed_intent.destination THEN
            RETURN;
        END IF;
        differs := seats_internal.intent_differences(known, facts);
        IF differs IS NOT NULL AND known.state <> 'left_to_original' THEN
            PERFORM seats_internal.note_stray(destination, facts, differs);
            PERFORM seats_internal.queue_payment_read(known.id, 'intent');
        END IF;
        RETURN;
    END IF;
    known := seats_internal.payment_of_metadata(destination, facts);
    IF known.id IS NOT NULL AND known.intent IS NULL THEN
        PERFORM seats_internal.queue_payment_read(known.id, 'intent', intent => facts ->> 'id');
    ELSE
        PERFORM seats_internal.note_stray(destination, facts);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_listed_intent(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_listed_intent(text, jsonb) IS 'compares an intent of a list with what is known';

CREATE OR REPLACE FUNCTION seats_internal.payments_were_listed(
    call        bigint,
    destination text,
    facts       jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked   jsonb := (SELECT h.context FROM seats_internal.settled_call(call) AS h);
    listing seats_internal.payment_listing;
    one     jsonb;
BEGIN
    SELECT l.* INTO listing FROM seats_internal.payment_listing AS l
     WHERE l.destination = payments_were_listed.destination FOR UPDATE;
    -- (Another listing was begun since, or is to be: this page is of the one before.)
    IF listing.listing_until IS NULL OR listing.listing_until IS DISTINCT FROM (asked ->> 'until')::timestamptz
       OR listing.cursor IS DISTINCT FROM asked ->> 'cursor' THEN
        RETURN;
    END IF;
    FOR one IN
        SELECT i.value FROM jsonb_array_elements(facts -> 'intents') AS i
         WHERE i.value ->> 'installation' = (SELECT n.uuid::text FROM seats_internal.installation AS n)
           AND i.value ->> 'hash' IS NOT NULL AND i.value ->> 'attempt' IS NOT NULL
           AND i.value ->> 'status' IS NOT NULL
         ORDER BY (i.value ->> 'attempt')::integer
    LOOP
        PERFORM seats_internal.take_listed_intent(destination, one);
    END LOOP;
    PERFORM seats_internal.give_strays_back(
        ARRAY(SELECT i.value ->> 'id' FROM jsonb_array_elements(facts -> 'intents') AS i));
    IF (facts ->> 'has_more')::boolean AND facts ->> 'last_id' IS DISTINCT FROM listing.cursor THEN
        UPDATE seats_internal.payment_listing AS l
           SET cursor = facts ->> 'last_id', found = l.found + jsonb_array_length(facts -> 'intents'),
               error = NULL, is_to_be_told = l.is_to_be_told OR l.error IS NOT NULL
         WHERE l.destination = listing.destination
        RETURNING l.* INTO listing;
        -- In the background, unless payers wait for it.
        PERFORM seats_internal.queue_payment_page(
            listing, CASE WHEN NOT listing.holds_creates THEN clock_timestamp() + interval '500 ms' END);
    ELSE
        PERFORM seats_internal.finish_listing(listing);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payments_were_listed(bigint, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payments_were_listed(bigint, text, jsonb) IS
    'takes a page of a destination''s intents, and asks for the next one; called by the worker';

-- A person has said that a create was executed, and there is no such intent: who is to pay starts again. What was made a
-- moment ago a list may not show, so it is looked for once more; and so is that whose member somebody has just now.
CREATE OR REPLACE FUNCTION seats_internal.end_what_was_not_found(listing seats_internal.payment_listing) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a_moment CONSTANT interval := '15 minutes';
    target seats_internal.payment;
BEGIN
    FOR target IN
        SELECT p.* FROM seats_internal.payment AS p
         WHERE p.state = 'creating' AND p.intent IS NULL AND p.destination = listing.destination
           AND p.created_at >= listing.listing_from
           AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                            WHERE o.payment_id = p.id AND o.kind IN ('payment', 'payment_read'))
         ORDER BY p.lane_id
    LOOP
        IF target.created_at < listing.listing_until - a_moment AND seats_internal.try_lane(target.lane_id) THEN
            PERFORM seats_internal.payment_was_not_made(target, 'refused', 'not_proven');
        ELSE
            PERFORM seats_internal.want_intents_listed(
                target.destination, target.created_at, 'an intent is not known', clock_timestamp() + a_moment);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_what_was_not_found(seats_internal.payment_listing) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_what_was_not_found(seats_internal.payment_listing) IS
    'payments that are to have an intent, which is not among all that were listed, were not made';

CREATE OR REPLACE FUNCTION seats_internal.finish_listing(listing seats_internal.payment_listing) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.payment_listing AS l
       SET holds_creates = false, listing_from = NULL, listing_until = NULL, cursor = NULL,
           listed_until = greatest(l.listed_until, listing.listing_until), finished_at = clock_timestamp(),
           error = NULL, is_to_be_told = true,
           wanted_reason = CASE WHEN l.wanted_since IS NOT NULL THEN l.wanted_reason END
     WHERE l.destination = listing.destination;
    PERFORM seats_internal.end_what_was_not_found(listing);
    IF listing.holds_creates THEN
        -- (One that somebody has comes when its own time is up.)
        UPDATE seats_internal.outbox AS o
           SET due_at = NULL, eligible_xid = pg_current_xact_id(), reason = NULL
         WHERE o.id = ANY (ARRAY(
            SELECT c.id FROM seats_internal.outbox AS c
             WHERE c.due_at IS NOT NULL AND c.kind = 'payment' AND c.destination = listing.destination
               AND c.reason = 'intents_are_listed_first'
               FOR NO KEY UPDATE SKIP LOCKED));
        PERFORM seats_internal.write_journal(
            'payments.listed', 'pg_seats', NULL, NULL, listing.wanted_reason,
            jsonb_build_object('destination', listing.destination, 'since', listing.listing_from));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.finish_listing(seats_internal.payment_listing) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.finish_listing(seats_internal.payment_listing) IS
    'all intents were listed: creates may go on';

-- For good. It is begun anew, as the intent may be gone that the cursor names. Creates that are held stay held. Where nobody
-- pays, a key that may not list intents is no mistake: nobody is told, until somebody is to pay.
CREATE OR REPLACE FUNCTION seats_internal.payments_not_listed(call bigint, destination text, error text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked   jsonb := (SELECT h.context FROM seats_internal.settled_call(call) AS h);
    listing seats_internal.payment_listing;
BEGIN
    UPDATE seats_internal.payment_listing AS l
       SET cursor = NULL, found = 0, error = coalesce(payments_not_listed.error, 'no answer'), is_to_be_told = true
     WHERE l.destination = payments_not_listed.destination AND l.listing_until = (asked ->> 'until')::timestamptz
    RETURNING l.* INTO listing;
    IF NOT FOUND THEN
        RETURN;
    ELSIF NOT seats_internal.takes_payments(listing.destination) THEN
        UPDATE seats_internal.payment_listing AS l
           SET is_refused = true, is_to_be_told = false WHERE l.destination = listing.destination;
        RETURN;
    END IF;
    PERFORM seats_internal.queue_payment_page(listing, clock_timestamp() + interval '1 minute');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payments_not_listed(bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payments_not_listed(bigint, text, text) IS
    'a page of a destination''s intents cannot be had: a person is told; called by the worker';

CREATE OR REPLACE FUNCTION seats_internal.reconcile_payments(
    caller            text,
    INOUT destination text,
    reason            text,
    INOUT since       timestamptz
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.require_reason(reason);
    destination := seats_internal.only_destination(destination);
    since := coalesce(
        since, (SELECT l.listed_until FROM seats_internal.payment_listing AS l
                 WHERE l.destination = reconcile_payments.destination),
        clock_timestamp() - interval '30 days');
    PERFORM seats_internal.want_intents_listed(destination, since, reason);
    PERFORM seats_internal.write_journal('operator.reconcile_payments', caller, NULL, NULL, reason,
                                         jsonb_build_object('destination', destination, 'since', since));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reconcile_payments(text, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reconcile_payments(text, text, text, timestamptz) IS
    'behind seats.reconcile_payments';

CREATE OR REPLACE FUNCTION seats.reconcile_payments(
    INOUT destination text,
    reason            text,
    INOUT since       timestamptz DEFAULT NULL
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.reconcile_payments(text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats.reconcile_payments(text, text, timestamptz) IS
    'has a destination''s payment intents listed that were made since then (null: since the last listing), and compared '
    'with what is known here; destination null: the only one';

CREATE OR REPLACE FUNCTION seats_internal.reconcile_payment(caller text, payment bigint, reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
    read   bigint;
BEGIN
    PERFORM seats_internal.require_reason(reason);
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = reconcile_payment.payment;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_payment_thing('payment', payment);
    END IF;
    PERFORM seats_internal.write_journal('operator.reconcile_payment', caller, payment, target.lane_id, reason,
                                         jsonb_build_object('payment', payment, 'intent', target.intent));
    read := seats_internal.queue_payment_read(payment, 'intent', caller => caller);
    PERFORM seats_internal.queue_payment_read(payment, 'refunds', caller => caller);
    PERFORM seats_internal.queue_payment_read(payment, 'disputes', caller => caller);
    RETURN read;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reconcile_payment(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reconcile_payment(text, bigint, text) IS 'behind seats.reconcile_payment';

CREATE OR REPLACE FUNCTION seats.reconcile_payment(payment bigint, reason text) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.reconcile_payment(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.reconcile_payment(bigint, text) IS
    'has a payment''s intent, refunds and disputes read at Stripe; gives the read''s id, for wait_for_call (null: no intent '
    'is known yet)';
