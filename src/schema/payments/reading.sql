-- Reads of payments: of the intent, its refunds, its disputes. Whatever hints that something may have changed (an event,
-- a person, a replayed answer) leaves a read, and the read's answer is what counts.

-- As queue_read does it for subscriptions: a read that was not sent yet will see what we know of; one that is on the
-- wire may have left too early, so another one follows it. Waits for nobody. `intent`: where an event names another one
-- than is known here. `page`: of a list, {"after": an id, "complete": whether the pages before were}; null: the first one.
-- Gives null where no intent is known, so the call that makes it will tell.
CREATE OR REPLACE FUNCTION seats_internal.queue_payment_read(
    payment bigint,
    what    text,
    event   text DEFAULT NULL,
    caller  text DEFAULT 'pg_seats',
    intent  text DEFAULT NULL,
    page    jsonb DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
    query  record;
    read   bigint;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = queue_payment_read.payment;
    target.intent := coalesce(queue_payment_read.intent, target.intent);
    IF target.intent IS NULL OR target.state = 'left_to_original' THEN
        RETURN NULL;
    END IF;
    SELECT q.path, seats_internal.encoded_form(q.parameters) AS body INTO query
      FROM seats_internal.payment_query(target.intent, what, page ->> 'after') AS q;
    UPDATE seats_internal.outbox AS o
       SET created_at = clock_timestamp(),
           context = o.context || jsonb_strip_nulls(jsonb_build_object('event', queue_payment_read.event))
     WHERE o.id = (SELECT r.id FROM seats_internal.outbox AS r
                    WHERE r.payment_id = target.id AND r.kind = 'payment_read'
                      AND r.state NOT IN ('sending', 'review') AND (r.path, r.body) = (query.path, query.body)
                    ORDER BY r.id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING o.id INTO read;
    IF NOT FOUND THEN
        INSERT INTO seats_internal.outbox
            (installation, destination, method, path, body, enqueued_by, kind, payment_id, beside_lane_id, context,
             created_at)
        SELECT i.uuid, target.destination, 'GET', query.path, query.body, queue_payment_read.caller, 'payment_read',
               target.id, target.lane_id,
               jsonb_strip_nulls(jsonb_build_object('what', what, 'event', queue_payment_read.event))
               || coalesce(page, '{}'),
               clock_timestamp()
          FROM seats_internal.installation AS i
        RETURNING id INTO read;
    END IF;
    RETURN read;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.queue_payment_read(bigint, text, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.queue_payment_read(bigint, text, text, text, text, jsonb) IS
    'leaves a read of a payment''s intent, refunds or disputes in the outbox, unless one is waiting there; gives its id';

CREATE OR REPLACE FUNCTION seats_internal.payment_query(
    intent         text,
    what           text,
    after          text DEFAULT NULL,
    OUT path       text,
    OUT parameters jsonb
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE what WHEN 'intent' THEN '/v1/payment_intents/' || intent ELSE '/v1/' || what END,
           CASE what WHEN 'intent' THEN '{"expand": ["latest_charge"]}'::jsonb
                     ELSE jsonb_strip_nulls(jsonb_build_object('payment_intent', intent, 'limit', 100,
                                                               'starting_after', after)) END;
END;
REVOKE ALL ON FUNCTION seats_internal.payment_query(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_query(text, text, text) IS
    'how an intent is read, or a page of its refunds or disputes';

-- Anybody may have written it there: it is ours if all of it fits.
CREATE OR REPLACE FUNCTION seats_internal.payment_of_metadata(destination text, facts jsonb)
RETURNS seats_internal.payment
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_one seats_internal.payment;
BEGIN
    SELECT p.* INTO found_one
      FROM seats_internal.payment_member AS m
      JOIN seats_internal.payment AS p ON p.member_id = m.id
     WHERE m.hash = facts ->> 'hash' AND p.attempt = (facts ->> 'attempt')::integer
       AND p.installation = (facts ->> 'installation')::uuid
       AND p.destination = payment_of_metadata.destination;
    RETURN found_one;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_of_metadata(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_of_metadata(text, jsonb) IS
    'the payment that is named by what we wrote into the metadata of an intent; null: none that is known here';

-- For whoever wants the client secret: he goes on with it.
--
-- It takes the lane, and not the request before it, as the verbs do: it decides nothing by the request or its members and
-- changes neither, so it need not hold up a whole bill for everybody who loads his page again. Behind the lane it takes
-- only what its holder may: the payment, and rows of the outbox. So nobody who has the request first can wait in a circle
-- with it.
CREATE OR REPLACE FUNCTION seats_internal.queue_secret_read(payment bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.lane AS l SET version = l.version + 1
      FROM seats_internal.payment AS p
     WHERE p.id = queue_secret_read.payment AND l.id = p.lane_id;
    UPDATE seats_internal.payment AS p
       SET touched_at = clock_timestamp()
     WHERE p.id = queue_secret_read.payment;
    RETURN seats_internal.queue_payment_read(payment, 'intent');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.queue_secret_read(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.queue_secret_read(bigint) IS
    'somebody waits for a payment''s client secret: gives the read to wait for; null: its open create is enough';

-- What is not over, and of which nothing was heard for a day, as an event was lost, or the read that it has caused has
-- failed. (One that cannot be read has its turn a day later, like any other, and keeps nobody from his.) True: there is
-- something to send.
CREATE OR REPLACE FUNCTION seats_internal.read_silent_payments(most integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    silent  seats_internal.payment;
    is_sent boolean := false;
BEGIN
    FOR silent IN
        SELECT p.* FROM seats_internal.payment AS p
         WHERE p.is_unfinished AND p.heard_at < clock_timestamp() - interval '1 day'
         ORDER BY p.heard_at LIMIT most
    LOOP
        CONTINUE WHEN NOT seats_internal.try_lane(silent.lane_id);
        UPDATE seats_internal.payment AS p SET heard_at = clock_timestamp() WHERE p.id = silent.id;
        PERFORM seats_internal.queue_payment_read(silent.id, w.what)
           FROM (VALUES (1, 'intent', silent.state <> 'succeeded'), (2, 'refunds', silent.refund_is_open),
                        (3, 'disputes', silent.dispute_is_open)) AS w (number, what, is_wanted)
          WHERE w.is_wanted ORDER BY w.number;
        is_sent := true;
    END LOOP;
    RETURN is_sent;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.read_silent_payments(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.read_silent_payments(integer) IS
    'has payments read that are not over, and of which nothing was heard for a day, at most so many; called by the worker';

-- With money of a member's in hand whatever else of his can be paid is not to be, and the facts of each say so of it.
CREATE OR REPLACE FUNCTION seats_internal.read_other_payments(payment seats_internal.payment) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.queue_payment_read(o.id, 'intent') FROM seats_internal.payment AS o
      WHERE o.member_id = payment.member_id AND o.id <> payment.id AND o.state IN ('payable', 'processing')
        AND o.cancel_requested_at IS NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.read_other_payments(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.read_other_payments(seats_internal.payment) IS
    'has the other payments of a member read that can still be paid';

-- Only a listing can find what nobody knows the id of.
CREATE OR REPLACE FUNCTION seats_internal.want_intents_listed(
    destination text,
    since       timestamptz,
    reason      text,
    due_at      timestamptz DEFAULT clock_timestamp()
) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO seats_internal.payment_listing_wish (destination, since, reason, due_at)
    SELECT want_intents_listed.destination, want_intents_listed.since, want_intents_listed.reason,
           want_intents_listed.due_at
     WHERE NOT EXISTS (SELECT FROM seats_internal.payment_listing_wish AS w
                        WHERE w.destination = want_intents_listed.destination
                          AND w.since <= want_intents_listed.since AND w.due_at <= want_intents_listed.due_at);
END;
REVOKE ALL ON FUNCTION seats_internal.want_intents_listed(text, timestamptz, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.want_intents_listed(text, timestamptz, text, timestamptz) IS
    'the intents that were made since then are to be listed, as soon as that is due';

-- Gives the facts of a page with what is known of the list: `complete` with its last page, if all of them were; `after`
-- where it is not the first one. (A page that leads to itself ends the list, as something that it is not.)
CREATE OR REPLACE FUNCTION seats_internal.read_next_page(payment bigint, asked jsonb, facts jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_complete boolean := (facts ->> 'complete')::boolean AND coalesce((asked ->> 'complete')::boolean, true);
BEGIN
    IF facts ->> 'next' IS NOT NULL AND facts ->> 'next' IS DISTINCT FROM asked ->> 'after' THEN
        PERFORM seats_internal.queue_payment_read(
            payment, facts ->> 'object', asked ->> 'event',
            page => jsonb_build_object('after', facts ->> 'next', 'complete', is_complete));
    END IF;
    RETURN facts || jsonb_build_object('complete', is_complete AND facts ->> 'next' IS NULL, 'after', asked ->> 'after');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.read_next_page(bigint, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.read_next_page(bigint, jsonb, jsonb) IS
    'leaves the read of the next page of a payment''s refunds or disputes in the outbox, if there is one';

-- True: the client secret of this answer may be given away.
CREATE OR REPLACE FUNCTION seats_internal.payment_was_read(
    call    bigint,
    payment bigint,
    facts   jsonb,
    as_of   timestamptz
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked jsonb := coalesce((SELECT h.context FROM seats_internal.settled_call(call) AS h), '{}');
    event text  := asked ->> 'event';
BEGIN
    PERFORM seats_internal.resolve_alert('payment_unreadable:' || payment, 'it was read');
    CASE facts ->> 'object'
        WHEN 'payment_intent' THEN
            RETURN seats_internal.apply_intent(payment, facts, as_of, event);
        WHEN 'refunds' THEN
            PERFORM seats_internal.apply_refunds(
                payment, seats_internal.read_next_page(payment, asked, facts), event);
        WHEN 'disputes' THEN
            PERFORM seats_internal.apply_disputes(
                payment, seats_internal.read_next_page(payment, asked, facts), event);
        ELSE
            PERFORM seats_internal.payment_not_read(call, payment, 'the answer is not what was asked for');
    END CASE;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_was_read(bigint, bigint, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_was_read(bigint, bigint, jsonb, timestamptz) IS
    'takes over what a read has shown; called by the worker, which has the lane';

CREATE OR REPLACE FUNCTION seats_internal.payment_not_read(call bigint, payment bigint, error text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = payment_not_read.payment;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- (A stray that is gone, as a sandbox can be emptied, is none: what waits for its read, a create or a cancel, goes on.)
    DELETE FROM seats_internal.payment_stray AS s
     USING seats_internal.settled_call(call) AS h
     WHERE h.error_code = 'resource_missing' AND h.path = '/v1/payment_intents/' || s.intent
       AND s.destination = target.destination AND s.intent IS DISTINCT FROM target.intent;
    IF FOUND THEN
        RETURN;
    END IF;
    PERFORM seats_internal.raise_alert(
        'payment_unreadable:' || target.id, 'critical', 'payment_unreadable',
        format('payment %s (%s) cannot be read: %s', target.id, target.intent, coalesce(error, 'no answer')),
        seats_internal.payment_detail(target),
        format('Look at it in Stripe''s Dashboard. When the cause is gone: SELECT seats.reconcile_payment(%s, reason). If '
               'Stripe has no such intent any more, SELECT seats.cancel_payment(%1$s) ends it.', target.id),
        call, target.destination);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_not_read(bigint, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_not_read(bigint, bigint, text) IS
    'a read of a payment has failed for good: a person is told; called by the worker';
