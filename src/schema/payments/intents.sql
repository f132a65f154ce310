-- The truth about a payment: what Stripe says of its intent, whoever has asked (its create, a cancel, a read, a list).
-- `facts` are the known fields of its JSON, as C++ has read them. Whoever calls this has the member's lane.

-- What is new at Stripe, and unknown here, can neither be paid nor given up: it waits for a read that says more.
CREATE OR REPLACE FUNCTION seats_internal.intent_state(status text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN status IN ('requires_payment_method', 'requires_confirmation', 'requires_action') THEN 'payable'
    WHEN status IN ('succeeded', 'canceled') THEN status
    ELSE 'processing' END;
REVOKE ALL ON FUNCTION seats_internal.intent_state(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.intent_state(text) IS 'what a status of Stripe''s means here';

-- Only what is over stays so, and money that has come in comes before all else. A payment that was refused, as Stripe had
-- made no intent, is not paid by one that shows up later.
CREATE OR REPLACE FUNCTION seats_internal.next_payment_state(state text, status text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN 'succeeded' IN (state, status) THEN 'succeeded'
    WHEN state IN ('canceled', 'refused') THEN state
    ELSE seats_internal.intent_state(status) END;
REVOKE ALL ON FUNCTION seats_internal.next_payment_state(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.next_payment_state(text, text) IS
    'the state of a payment of which Stripe says this now';

-- `touched_at`: the payer has gone on.
CREATE OR REPLACE FUNCTION seats_internal.store_intent(
    payment seats_internal.payment,
    facts   jsonb,
    as_of   timestamptz
) RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_state text := seats_internal.next_payment_state(payment.state, facts ->> 'status');
    stored    seats_internal.payment;
BEGIN
    UPDATE seats_internal.payment AS p
       SET intent = facts ->> 'id', status = facts ->> 'status', state = new_state,
           next_action = facts ->> 'next_action', error_code = facts ->> 'error_code',
           decline_code = facts ->> 'decline_code', charge = coalesce(facts ->> 'charge', p.charge),
           has_transfer = p.has_transfer OR coalesce((facts ->> 'has_transfer')::boolean, false),
           -- (What is known to be given back, or is about to be, was received.)
           received = greatest(
               coalesce((facts ->> 'amount_received')::bigint,
                        CASE WHEN new_state = 'succeeded' THEN (facts ->> 'amount')::bigint END,
                        CASE WHEN new_state = 'succeeded' THEN p.amount END, 0),
               p.refunded + p.refund_reserved, CASE WHEN p.state = 'succeeded' THEN p.received END),
           read_at = CASE WHEN p.read_at > clock_timestamp() THEN as_of ELSE greatest(p.read_at, as_of) END,
           heard_at = clock_timestamp(),
           touched_at = CASE WHEN (p.status, p.error_code, p.decline_code) IS NOT DISTINCT FROM
                                  (facts ->> 'status', facts ->> 'error_code', facts ->> 'decline_code')
                             THEN p.touched_at ELSE clock_timestamp() END,
           state_since = CASE WHEN p.state = new_state THEN p.state_since ELSE clock_timestamp() END
     WHERE p.id = payment.id
    RETURNING p.* INTO stored;
    RETURN stored;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.store_intent(seats_internal.payment, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.store_intent(seats_internal.payment, jsonb, timestamptz) IS
    'stores what Stripe says of a payment''s intent, and gives the payment as it is then';

-- A failure with a charge is told once for the charge. One without (3-D Secure was not passed) has nothing to know it by:
-- it is news when the intent was on its way, or has failed otherwise before.
CREATE OR REPLACE FUNCTION seats_internal.note_failure(
    was       seats_internal.payment,
    facts     jsonb,
    is_newest boolean,
    event     text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    code   text := coalesce(facts ->> 'decline_code', facts ->> 'error_code');
    object text := facts ->> 'failed_charge';
BEGIN
    IF object IS NULL THEN
        IF code IS NULL OR NOT is_newest OR facts ->> 'status' IS DISTINCT FROM 'requires_payment_method'
           OR (was.status, was.error_code, was.decline_code) IS NOT DISTINCT FROM
              (facts ->> 'status', facts ->> 'error_code', facts ->> 'decline_code') THEN
            RETURN;
        END IF;
        object := format('%s/%s', facts ->> 'id', 1 + (SELECT count(*) FROM seats_internal.payment_transaction AS t
                                                        WHERE t.payment_id = was.id AND t.kind = 'failed'));
    END IF;
    PERFORM seats_internal.note_transaction(
        was, 'failed', object, coalesce((facts ->> 'amount')::bigint, was.amount),
        coalesce(facts ->> 'currency', was.currency), facts ->> 'failed_charge', event, code);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.note_failure(seats_internal.payment, jsonb, boolean, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.note_failure(seats_internal.payment, jsonb, boolean, text) IS
    'a try to pay has failed, and can be followed by another one';

-- A cancel that has yet to be tried has nothing to do any more, and would hold up what follows in the lane (another payment of
-- the member, a refund) until its time has come: an hour, where Stripe has refused it before.
CREATE OR REPLACE FUNCTION seats_internal.end_needless_cancel(payment seats_internal.payment) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    needless bigint[] := ARRAY(SELECT o.id FROM seats_internal.outbox AS o
                                WHERE o.id = payment.cancel_call_id AND o.payment_id = payment.id
                                  AND o.state IN ('pending', 'waiting')
                                  FOR UPDATE SKIP LOCKED);
BEGIN
    IF needless <> '{}' THEN
        PERFORM seats_internal.move_to_history(needless, 'cancelled', 'intent_is_over');
        PERFORM seats_internal.reoffer_lane(payment.lane_id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_needless_cancel(seats_internal.payment) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_needless_cancel(seats_internal.payment) IS
    'ends the cancel of an intent that is over, unless it is on the wire';

CREATE OR REPLACE FUNCTION seats_internal.payment_was_settled(
    payment seats_internal.payment,
    facts   jsonb,
    event   text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    currency text := coalesce(facts ->> 'currency', payment.currency);
BEGIN
    PERFORM seats_internal.resolve_alert('payment_not_cancelled:' || payment.id, 'it is ' || payment.state);
    PERFORM seats_internal.end_needless_cancel(payment);
    IF payment.state = 'succeeded' THEN
        PERFORM seats_internal.recount_refunds(payment.id);
        PERFORM seats_internal.note_transaction(
            payment, 'succeeded', payment.intent, payment.received, currency, payment.charge, event);
        PERFORM seats_internal.judge_paid(payment, currency);
        PERFORM seats_internal.read_other_payments(payment);
    ELSIF payment.state = 'canceled' THEN
        PERFORM seats_internal.note_transaction(
            payment, 'cancelled', payment.intent, payment.amount, currency, NULL, event,
            coalesce(facts ->> 'cancellation_reason', payment.cancel_reason));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.payment_was_settled(seats_internal.payment, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.payment_was_settled(seats_internal.payment, jsonb, text) IS
    'what follows from a new state of a payment, if it is one that stays';

-- Nobody is to have two intents that he can pay: the later one goes. (After a failover that has forgotten a start.) Nor
-- is one to stay of a payment that ended without any: the same start may have been sent before it was forgotten. Nor one
-- of which he would pay another sum than this payment is of. In Stripe's words for why; null: it can stay.
CREATE OR REPLACE FUNCTION seats_internal.why_unwanted(payment seats_internal.payment, facts jsonb) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT CASE
               WHEN payment.state IN ('refused', 'canceled') THEN
                   CASE WHEN seats_internal.intent_state(payment.status) <> 'canceled' THEN 'abandoned' END
               WHEN payment.state NOT IN ('payable', 'processing') THEN NULL
               WHEN r.state = 'cancelled' OR m.removed_at IS NOT NULL OR m.state IN ('waived', 'paid_outside')
                   THEN 'requested_by_customer'
               WHEN (facts ->> 'amount')::bigint <> payment.amount OR facts ->> 'currency' <> payment.currency
                    OR m.live_payment_id <> payment.id
                    OR EXISTS (SELECT FROM seats_internal.payment AS o
                                WHERE o.member_id = m.id AND o.id <> payment.id AND o.state = 'succeeded'
                                  AND o.refunded < o.received)
                   THEN 'duplicate' END
          FROM seats_internal.payment_member AS m
          JOIN seats_internal.payment_request AS r ON r.id = m.request_id
         WHERE m.id = payment.member_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.why_unwanted(seats_internal.payment, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.why_unwanted(seats_internal.payment, jsonb) IS
    'why nobody is to pay an intent';

CREATE OR REPLACE FUNCTION seats_internal.cancel_if_unwanted(payment seats_internal.payment, facts jsonb)
RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unwanted seats_internal.payment;
BEGIN
    UPDATE seats_internal.payment AS p
       SET cancel_requested_at = clock_timestamp(), cancel_reason = u.reason
      FROM seats_internal.why_unwanted(payment, facts) AS u (reason)
     WHERE p.id = payment.id AND p.cancel_requested_at IS NULL AND u.reason IS NOT NULL
    RETURNING p.* INTO unwanted;
    IF FOUND THEN
        RETURN unwanted;
    END IF;
    RETURN payment;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.cancel_if_unwanted(seats_internal.payment, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cancel_if_unwanted(seats_internal.payment, jsonb) IS
    'an intent that nobody is to pay is to be cancelled; gives the payment';

-- `due_at`: Stripe has refused it before, though it should not.
CREATE OR REPLACE FUNCTION seats_internal.queue_payment_cancel(
    payment seats_internal.payment,
    due_at  timestamptz DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    call bigint := (SELECT o.id FROM seats_internal.outbox AS o WHERE o.id = payment.cancel_call_id);
BEGIN
    IF call IS NULL AND payment.intent IS NOT NULL THEN
        INSERT INTO seats_internal.outbox
            (lane_id, due_at, installation, destination, method, path, body, enqueued_by, kind, payment_id)
        SELECT payment.lane_id, queue_payment_cancel.due_at, i.uuid, payment.destination, 'POST',
               format('/v1/payment_intents/%s/cancel', payment.intent),
               seats_internal.encoded_form(jsonb_strip_nulls(jsonb_build_object(
                   'cancellation_reason', payment.cancel_reason))),
               'pg_seats', 'payment_cancel', payment.id
          FROM seats_internal.installation AS i
        RETURNING id INTO call;
        UPDATE seats_internal.payment AS p SET cancel_call_id = call WHERE p.id = payment.id;
    END IF;
    RETURN call;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.queue_payment_cancel(seats_internal.payment, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.queue_payment_cancel(seats_internal.payment, timestamptz) IS
    'leaves a cancel of a payment''s intent in the outbox, unless one is open; gives its id';

-- What Stripe knows and we do not is read.
CREATE OR REPLACE FUNCTION seats_internal.follow_intent(payment seats_internal.payment, facts jsonb, event text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- (Pending ones are in Stripe's sum, too. What is reserved for a call that has no answer yet is not.)
    known_refunds bigint := (SELECT coalesce(sum(r.amount), 0) FROM seats_internal.refund AS r
                              WHERE r.payment_id = payment.id AND r.refund IS NOT NULL
                                AND r.state IN ('pending', 'requires_action', 'succeeded'));
BEGIN
    IF payment.cancel_requested_at IS NOT NULL AND payment.state <> 'succeeded'
       -- (At a bank Stripe cancels some: a refusal holds until something else is read.)
       AND (seats_internal.intent_state(payment.status) = 'payable'
            OR seats_internal.intent_state(payment.status) = 'processing'
               AND payment.status IS DISTINCT FROM payment.cancel_refused_in) THEN
        PERFORM seats_internal.queue_payment_cancel(payment);
    END IF;
    -- (Before it is known to be paid, its read comes first: see apply_refunds.)
    IF payment.state = 'succeeded' AND (facts ->> 'charge_refunded')::bigint <> known_refunds THEN
        PERFORM seats_internal.queue_payment_read(payment.id, 'refunds', event);
    END IF;
    IF payment.state = 'succeeded' AND (facts ->> 'charge_disputed')::boolean
       AND NOT EXISTS (SELECT FROM seats_internal.payment_transaction AS t
                        WHERE t.payment_id = payment.id AND t.kind = 'disputed') THEN
        PERFORM seats_internal.queue_payment_read(payment.id, 'disputes', event);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.follow_intent(seats_internal.payment, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.follow_intent(seats_internal.payment, jsonb, text) IS
    'leaves in the outbox what an intent, as it stands, makes necessary';

-- True: the client secret that came with these facts may be given away. `as_of`: when the request left that has shown
-- them; of what is not over the latest counts, also backwards, as a debit that has failed at the bank is payable again.
CREATE OR REPLACE FUNCTION seats_internal.apply_intent(
    payment bigint,
    facts   jsonb,
    as_of   timestamptz,
    event   text DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was       seats_internal.payment;
    now_is    seats_internal.payment;
    is_newest boolean;
BEGIN
    SELECT p.* INTO was FROM seats_internal.payment AS p WHERE p.id = apply_intent.payment FOR UPDATE;
    IF was.id IS NULL OR was.state = 'left_to_original' OR facts ->> 'id' IS NULL OR facts ->> 'status' IS NULL THEN
        RETURN false;
    ELSIF was.intent <> facts ->> 'id' OR was.intent IS NULL AND EXISTS (
        SELECT FROM seats_internal.payment AS o
         WHERE o.destination = was.destination AND o.intent = facts ->> 'id') THEN
        PERFORM seats_internal.note_second_intent(was, facts);
        RETURN false;
    END IF;
    -- (A time that is still to come is of a clock that was put back since, or of a primary before this one: it says nothing.)
    is_newest := coalesce(as_of >= was.read_at OR was.read_at > clock_timestamp(), true);
    now_is := was;
    IF is_newest OR facts ->> 'status' IN ('succeeded', 'canceled')
                    AND was.state <> seats_internal.next_payment_state(was.state, facts ->> 'status') THEN
        now_is := seats_internal.store_intent(was, facts, as_of);
    END IF;
    PERFORM seats_internal.note_failure(was, facts, is_newest, event);
    -- (Between the others it goes to and fro, and the member is told by its payments as before.)
    IF now_is.state <> was.state AND now_is.state IN ('succeeded', 'canceled') THEN
        PERFORM seats_internal.payment_was_settled(now_is, facts, event);
        PERFORM seats_internal.settle_member_by_payments(now_is.member_id);
        -- (It was paid before it was known here, and what became of the money, too: a refund that has come back is in no
        -- sum. Or we have been told of that first.)
        IF now_is.state = 'succeeded' AND (was.state = 'creating' OR was.refund_is_open) THEN
            PERFORM seats_internal.queue_payment_read(now_is.id, 'refunds', event);
        END IF;
        IF now_is.state = 'succeeded' AND (was.state = 'creating' OR was.dispute_is_open) THEN
            PERFORM seats_internal.queue_payment_read(now_is.id, 'disputes', event);
        END IF;
    END IF;
    now_is := seats_internal.cancel_if_unwanted(now_is, facts);
    PERFORM seats_internal.follow_intent(now_is, facts, event);
    RETURN is_newest AND now_is.state = 'payable' AND now_is.cancel_requested_at IS NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_intent(bigint, jsonb, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_intent(bigint, jsonb, timestamptz, text) IS
    'takes over what Stripe says of a payment''s intent: payment, transaction, member, and what follows';

-- ---- what calls have brought

-- Of one attempt there is one intent, unless its key was forgotten before its answer came. The other one becomes a payment
-- of its own, that is to be cancelled: if somebody has paid it, the money is his, and a person decides.
CREATE OR REPLACE FUNCTION seats_internal.note_second_intent(payment seats_internal.payment, facts jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF payment.state = 'creating' AND payment.intent IS NULL THEN
        PERFORM seats_internal.payment_was_not_made(payment, 'refused', 'intent_is_known');
    END IF;
    IF EXISTS (SELECT FROM seats_internal.payment AS p
                WHERE p.destination = payment.destination AND p.intent = facts ->> 'id') THEN
        RETURN;
    END IF;
    PERFORM seats_internal.note_stray(payment.destination, facts || jsonb_build_object(
                'installation', seats_internal.require_installation(), 'hash', m.hash, 'attempt', payment.attempt))
       FROM seats_internal.payment_member AS m WHERE m.id = payment.member_id;
    PERFORM seats_internal.take_over_strays(r, m)
       FROM seats_internal.payment_member AS m
       JOIN seats_internal.payment_request AS r ON r.id = m.request_id
      WHERE m.id = payment.member_id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.note_second_intent(seats_internal.payment, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_second_intent(seats_internal.payment, jsonb) IS
    'an intent that a payment cannot have, as it has another, or another has it; the lane is held';

-- No intent came of it: refused (by Stripe, by a person, or as nothing proves that there is one) or cancelled before it
-- was sent. Without proof nothing is told: another start may follow.
CREATE OR REPLACE FUNCTION seats_internal.payment_was_not_made(
    payment seats_internal.payment,
    result  text,
    reason  text,
    code    text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.payment AS p
       SET state = CASE result WHEN 'cancelled' THEN 'canceled' ELSE 'refused' END, state_since = clock_timestamp(),
           error_code = CASE WHEN result <> 'cancelled'
                             THEN coalesce(payment_was_not_made.code, payment_was_not_made.reason) END
     WHERE p.id = payment.id AND p.state = 'creating'
    RETURNING p.* INTO payment;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM seats_internal.settle_member_by_payments(payment.member_id);
    IF result = 'cancelled' THEN
        PERFORM seats_internal.note_transaction(
            payment, 'cancelled', payment.uuid::text, payment.amount, payment.currency, NULL, NULL,
            coalesce(payment.cancel_reason, reason));
        RETURN;
    ELSIF reason IN ('not_proven', 'intent_is_known') THEN
        PERFORM seats_internal.want_intents_listed(payment.destination, payment.created_at, 'a create was not proven');
    ELSE
        PERFORM seats_internal.note_transaction(
            payment, 'failed', payment.uuid::text, payment.amount, payment.currency, NULL, NULL, payment.error_code);
    END IF;
    PERFORM seats_internal.write_journal(
        'payment.refused', 'stripe', payment.id, payment.lane_id, payment_was_not_made.reason,
        seats_internal.payment_detail(payment) || jsonb_strip_nulls(jsonb_build_object('code', code)));
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.payment_was_not_made(seats_internal.payment, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.payment_was_not_made(seats_internal.payment, text, text, text) IS
    'a payment''s create has ended, and there is no intent';

-- True: the client secret may be given away. What a replayed answer says was so when it was given first.
CREATE OR REPLACE FUNCTION seats_internal.payment_created(
    call       bigint,
    payment    bigint,
    result     text,
    facts      jsonb,
    as_of      timestamptz,
    replayed   boolean,
    error      text,
    error_code text
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target        seats_internal.payment;
    may_be_given  boolean;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = payment_created.payment FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF result <> 'done' THEN
        PERFORM seats_internal.payment_was_not_made(
            target, result, coalesce((SELECT h.reason FROM seats_internal.settled_call(call) AS h), error), error_code);
        RETURN false;
    ELSIF facts ->> 'id' IS NULL THEN
        -- (By a person's word: that there is one is all that is known.)
        PERFORM seats_internal.want_intents_listed(target.destination, target.created_at, 'an intent is not known');
        RETURN false;
    ELSIF NOT coalesce(replayed, false) THEN
        RETURN seats_internal.apply_intent(payment, facts, as_of);
    END IF;
    PERFORM seats_internal.apply_intent(payment, facts, least(as_of, target.created_at));
    PERFORM seats_internal.queue_payment_read(payment, 'intent');
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_created(
    bigint, bigint, text, jsonb, timestamptz, boolean, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_created(
    bigint, bigint, text, jsonb, timestamptz, boolean, text, text) IS
    'a payment''s create has ended; called by the worker, which has the lane, or where a person ends it';

-- (How often it was refused is how often the alert has been raised.)
CREATE OR REPLACE FUNCTION seats_internal.try_cancel_again(payment seats_internal.payment, call bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    alert bigint := seats_internal.raise_alert(
        'payment_not_cancelled:' || payment.id, 'warning', 'payment_not_cancelled',
        format('payment %s (%s) is to be cancelled and can still be paid, as Stripe refuses that: %s', payment.id,
               payment.intent, coalesce((SELECT h.error FROM seats_internal.settled_call(call) AS h), 'no reason given')),
        seats_internal.payment_detail(payment),
        'Cancel it in Stripe''s Dashboard. Until then its member can begin no other payment. It is tried on, at last '
        'every hour.', call, payment.destination);
    tries CONSTANT integer := (SELECT a.occurrences FROM seats_internal.alert AS a WHERE a.id = alert);
BEGIN
    PERFORM seats_internal.queue_payment_cancel(
        payment, clock_timestamp() + least(interval '1 hour', interval '5 minutes' * tries));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.try_cancel_again(seats_internal.payment, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.try_cancel_again(seats_internal.payment, bigint) IS
    'Stripe has refused to cancel what can still be paid: a person is told, and it is tried again later and later';

-- A cancel that Stripe refuses mostly brings the intent as it is, which says what there is to do. If it is payable all the
-- same, or nothing says that it is not, the next try waits: otherwise the read that follows would begin a round without end.
CREATE OR REPLACE FUNCTION seats_internal.payment_cancel_settled(
    call       bigint,
    payment    bigint,
    facts      jsonb,
    as_of      timestamptz,
    error_code text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target seats_internal.payment;
    is_now text;
BEGIN
    SELECT p.* INTO target FROM seats_internal.payment AS p WHERE p.id = payment_cancel_settled.payment FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM seats_internal.stray_cancel_settled(call, facts, error_code);
        RETURN;
    ELSIF error_code = 'resource_missing' THEN
        -- (Stripe keeps intents, but a sandbox can be emptied: nobody can pay it any more.)
        PERFORM seats_internal.resolve_alert('payment_unreadable:' || payment, 'Stripe has no such intent any more');
        facts := jsonb_build_object('id', target.intent, 'status', 'canceled');
    END IF;
    is_now := coalesce(facts ->> 'status', target.status);
    IF is_now IN ('succeeded', 'canceled') THEN
        PERFORM seats_internal.resolve_alert('payment_not_cancelled:' || payment, 'it is ' || is_now);
    ELSIF target.state NOT IN ('succeeded', 'left_to_original') THEN
        UPDATE seats_internal.payment AS p SET cancel_refused_in = is_now WHERE p.id = target.id;
        IF seats_internal.intent_state(is_now) = 'payable' THEN
            PERFORM seats_internal.try_cancel_again(target, call);
        END IF;
    END IF;
    IF facts ->> 'id' IS NULL THEN
        PERFORM seats_internal.queue_payment_read(payment, 'intent');
    ELSE
        PERFORM seats_internal.apply_intent(payment, facts, as_of);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_cancel_settled(
    bigint, bigint, jsonb, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_cancel_settled(
    bigint, bigint, jsonb, timestamptz, text) IS
    'a cancel of an intent has ended; called by the worker, which has the lane';
