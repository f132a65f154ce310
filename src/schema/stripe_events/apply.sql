-- What an event does. It is a hint: what is so now, a read of the subscription tells. So it does not
-- matter in which order events come, how often, how late, or which of two of the same second is the
-- newer one. Nothing here waits for a team's lock.

-- Whose subscription it is.
CREATE OR REPLACE FUNCTION seats_internal.team_of_subscription(destination text, subscription text)
RETURNS seats_internal.team
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team seats_internal.team;
BEGIN
    SELECT t.* INTO team FROM seats_internal.team AS t
     WHERE t.destination = team_of_subscription.destination
       AND t.subscription = team_of_subscription.subscription;
    RETURN team;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.team_of_subscription(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.team_of_subscription(text, text) IS
    'the team that a subscription belongs to now; null: none';

-- An event says that the call was executed; whether it did what it was to do, a read must tell. In
-- doubt, it is read now instead of at the time that was planned.
CREATE OR REPLACE FUNCTION seats_internal.verify_now(call bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lane_id bigint;
BEGIN
    UPDATE seats_internal.outbox AS o
       SET state = 'verifying', due_at = NULL, eligible_xid = pg_current_xact_id(),
           state_since = CASE o.state WHEN 'verifying' THEN o.state_since ELSE clock_timestamp() END
     WHERE o.id = call AND o.state IN ('waiting', 'verifying') AND o.doubt
    RETURNING o.lane_id INTO lane_id;
    PERFORM seats_internal.calls_of_pages_changed(ARRAY[lane_id]);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.verify_now(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.verify_now(bigint) IS
    'has a call in doubt verified at once';

-- The event has come before the worker knew that it does not know.
CREATE OR REPLACE FUNCTION seats_internal.verify_if_told(calls bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.verify_now(o.id)
       FROM seats_internal.outbox AS o
      WHERE o.id = ANY (calls) AND o.doubt AND o.state = 'waiting'
        AND EXISTS (SELECT FROM seats_internal.webhook_event AS w
                     WHERE w.idempotency_key
                           = seats_internal.idempotency_key(o.installation, o.uuid, o.generation));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.verify_if_told(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.verify_if_told(bigint[]) IS
    'has those of the calls verified now of which an event has told; called by the worker';

CREATE OR REPLACE FUNCTION seats_internal.alert_superseded(
    team       seats_internal.team,
    call       bigint,
    key        text,
    generation integer
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.raise_alert(
        'superseded:' || key, 'critical', 'superseded_call_executed',
        format('call %s of team %s was executed under a key that had been given up for another one', call, team.name),
        jsonb_build_object('team', team.name, 'subscription', team.subscription, 'key', key,
                           'generation_now', generation),
        'It was proven not to be executed, and was: perhaps twice. Compare the team''s seats and '
        'invoices at Stripe with seats.changes and seats.attempts, then acknowledge this alert.',
        call, team.destination);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.alert_superseded(seats_internal.team, bigint, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.alert_superseded(seats_internal.team, bigint, text, integer) IS
    'the alert that Stripe executed a generation of a call that was taken for dead';

-- An event that our own call has caused. True: it tells nothing that the call's answer, or its
-- verification, does not tell.
CREATE OR REPLACE FUNCTION seats_internal.apply_event_of_call(team seats_internal.team, facts jsonb)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key        text    := facts ->> 'idempotency_key';
    call_uuid  uuid    := substr(key, 38, 36)::uuid;
    generation integer := substr(key, 75)::integer;
    head       record;
BEGIN
    IF seats_internal.match_expected_event(facts) THEN
        RETURN true;
    END IF;
    -- On the wire, in doubt or awaiting is only the first row of a lane.
    SELECT o.id, o.uuid, o.generation, o.state::text AS state, o.doubt INTO head
      FROM seats_internal.outbox AS o
     WHERE o.lane_id = team.lane_id
     ORDER BY o.id LIMIT 1;
    IF head.uuid IS DISTINCT FROM call_uuid THEN
        SELECT h.id, h.uuid, h.generation, h.result AS state, false AS doubt INTO head
          FROM seats_internal.outbox_history AS h
         WHERE h.ring = ANY (seats_internal.ring_slots()) AND h.team_id = team.id
           AND h.uuid = call_uuid
         ORDER BY h.settled_at DESC LIMIT 1;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    IF generation < head.generation AND facts ->> 'type' = 'customer.subscription.updated' THEN
        PERFORM seats_internal.alert_superseded(team, head.id, key, head.generation);
        RETURN false;
    ELSIF generation <> head.generation THEN
        RETURN false;
    ELSIF head.doubt AND head.state IN ('waiting', 'verifying') THEN
        PERFORM seats_internal.verify_now(head.id);
        RETURN true;
    END IF;
    -- (What went to review, or was refused, and was executed after all: a read finds our marker.)
    RETURN head.state IN ('sending', 'awaiting', 'done');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_event_of_call(seats_internal.team, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_event_of_call(seats_internal.team, jsonb) IS
    'what an event of our own call proves; true: nothing has to be read because of it';

-- An idempotency key of the shape of ours, and of which call it is; else null. (An expression, inlined.)
CREATE OR REPLACE FUNCTION seats_internal.call_of_key(key text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]{1,9}$'
            THEN substr(key, 38, 36)::uuid END;
REVOKE ALL ON FUNCTION seats_internal.call_of_key(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.call_of_key(text) IS
    'which call an idempotency key is of; null: it is of another shape than ours';

CREATE OR REPLACE FUNCTION seats_internal.is_own_key(key text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN seats_internal.call_of_key(key) IS NOT NULL
           AND left(key, 36) = (SELECT i.uuid::text FROM seats_internal.installation AS i) IS TRUE;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.is_own_key(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_own_key(text) IS
    'whether an idempotency key is one of this installation''s';

-- What an application must act on, or wants to tell its users. Of the same fact there may be several
-- events, and several endpoints may bring each.
CREATE OR REPLACE FUNCTION seats_internal.journal_event(
    event seats_internal.webhook_event,
    team  seats_internal.team,
    kind  text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM seats_internal.webhook_event AS w
                   WHERE w.event_id = event.event_id AND w.destination = event.destination
                     AND w.endpoint <> event.endpoint AND w.outcome = 'processed')
       OR kind = 'invoice.paid'
          AND EXISTS (SELECT FROM seats_internal.webhook_event AS w
                       WHERE w.destination = event.destination AND w.type = 'invoice.paid'
                         AND w.object_id = event.object_id AND w.event_id <> event.event_id
                         AND w.outcome = 'processed') THEN
        RETURN;
    END IF;
    PERFORM seats_internal.write_journal(
        kind, 'stripe', NULL, team.lane_id, NULL,
        jsonb_strip_nulls(jsonb_build_object(
            team.kind, team.name, 'subscription', team.subscription, 'event', event.event_id,
            'trial_end', to_timestamp((event.facts #>> '{subscription,trial_end}')::double precision),
            'invoice', event.facts #>> '{invoice,id}',
            'invoice_url', event.facts #>> '{invoice,url}',
            'amount_due', (event.facts #>> '{invoice,amount_due}')::bigint,
            'currency', event.facts #>> '{invoice,currency}',
            'billing_reason', event.facts #>> '{invoice,billing_reason}')));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.journal_event(
    seats_internal.webhook_event, seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.journal_event(
    seats_internal.webhook_event, seats_internal.team, text) IS
    'journal entries of what an application must act on';

-- What nobody has asked for: told once for each type, so that whoever sends too much learns of it.
CREATE OR REPLACE FUNCTION seats_internal.journal_unknown_type(event seats_internal.webhook_event) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.unknown_type (destination, type) VALUES (event.destination, event.type)
    ON CONFLICT ON CONSTRAINT unknown_type_pkey DO NOTHING;
    IF FOUND THEN
        PERFORM seats_internal.write_journal(
            'webhook.unknown_type', 'stripe', NULL, NULL, NULL,
            jsonb_build_object('type', event.type, 'endpoint', event.endpoint, 'event', event.event_id));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.journal_unknown_type(seats_internal.webhook_event) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.journal_unknown_type(seats_internal.webhook_event) IS
    'the journal entry of the first event of a type that nothing follows from';

-- A payment that a change waits for may have come, or its time may be over: look now.
CREATE OR REPLACE FUNCTION seats_internal.look_at_awaiting(team seats_internal.team) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox AS o
       SET due_at = NULL, eligible_xid = pg_current_xact_id()
     WHERE o.id = (SELECT h.id FROM seats_internal.outbox AS h
                    WHERE h.lane_id = team.lane_id ORDER BY h.id LIMIT 1)
       AND o.state = 'awaiting';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.look_at_awaiting(seats_internal.team) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.look_at_awaiting(seats_internal.team) IS
    'has a change that waits for its payment looked at now';

-- A subscription that is over never comes back, so for that the event is as good as a read: members go
-- at once, also while nothing can be read (a halted destination, say). A team that is locked is left
-- to the worker's next try.
CREATE OR REPLACE FUNCTION seats_internal.end_by_event(team seats_internal.team, facts jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former seats_internal.team;
BEGIN
    IF NOT seats_internal.try_lane(team.lane_id) THEN
        RAISE EXCEPTION 'the team is locked' USING ERRCODE = 'lock_not_available';
    END IF;
    SELECT t.* INTO former FROM seats_internal.team AS t
     WHERE t.id = team.id AND t.subscription = facts ->> 'id';
    IF former.id IS NULL OR seats_internal.is_terminal(former.status) THEN
        RETURN;
    END IF;
    UPDATE seats_internal.team AS t
       SET status = facts ->> 'status', base_proven_at = NULL, past_due_invoice = NULL,
           ended_at = to_timestamp((facts ->> 'ended_at')::double precision)
     WHERE t.id = former.id;
    PERFORM seats_internal.write_journal(
        'subscription.status', 'stripe', NULL, former.lane_id, NULL,
        jsonb_build_object(former.kind, former.name, 'subscription', former.subscription,
                           'from', former.status, 'to', facts ->> 'status'));
    IF former.kind = 'individual' THEN
        PERFORM seats_internal.end_individual(former, facts ->> 'status');
    ELSE
        PERFORM seats_internal.end_team(former.id, former.lane_id, former.status);
        PERFORM seats_internal.refold(former.id, former.lane_id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_by_event(seats_internal.team, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_by_event(seats_internal.team, jsonb) IS
    'what follows at once from an event that tells of the end of a subscription';

CREATE OR REPLACE FUNCTION seats_internal.wake_for_webhooks() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_wake_for_webhooks';
REVOKE ALL ON FUNCTION seats_internal.wake_for_webhooks() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.wake_for_webhooks() IS
    'wakes the worker at this transaction''s commit, to process events that are due';

-- The subscription has a team now, or its first read has gone through. What came before (at a checkout invoices do, often) is processed after
-- all: a read tells the status, but not that an invoice was paid or wants an action. Older than Stripe's own
-- retries is past.
CREATE OR REPLACE FUNCTION seats_internal.retry_unmatched(destination text, subscription text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.webhook_event AS w
       SET processed_at = NULL, outcome = 'stored', retry_at = clock_timestamp()
     WHERE w.ctid = ANY (ARRAY(
               SELECT u.ctid FROM seats_internal.webhook_event AS u
                WHERE u.subscription = retry_unmatched.subscription
                  AND u.destination = retry_unmatched.destination AND u.outcome = 'unmatched'
                  AND u.received_at > clock_timestamp() - interval '3 days'
                FOR UPDATE SKIP LOCKED));
    IF FOUND THEN
        PERFORM seats_internal.wake_for_webhooks();
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.retry_unmatched(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.retry_unmatched(text, text) IS
    'has the events processed that a subscription had before somebody registered it';

-- Gives the outcome: processed, ignored (a type, or an object, that nothing follows from), thin (the
-- same of a thin event), unmatched (a subscription that no team has, an intent that no payment has), other_account,
-- wrong_mode.
CREATE OR REPLACE FUNCTION seats_internal.apply_event(event seats_internal.webhook_event) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
DECLARE
    thin    boolean := coalesce((event.facts ->> 'thin')::boolean, false);
    -- (Thin events, v2, have a prefix.)
    known   jsonb   := seats_internal.webhook_types_by_name()
                       -> CASE WHEN thin THEN regexp_replace(event.type, '^v1[.]', '') ELSE event.type END;
    call    uuid    := seats_internal.call_of_key(event.idempotency_key);
    ours    record;
    team    seats_internal.team;
    is_own  boolean;
    is_told boolean := false;
BEGIN
    -- One look at all that it may be about.
    SELECT d.account, d.livemode, (SELECT i.uuid::text FROM seats_internal.installation AS i) AS installation,
           c.uuid IS NOT NULL AS is_compensated, u.type IS NOT NULL AS is_unknown, t AS team
      INTO ours
      FROM seats_internal.destination AS d
      LEFT JOIN seats_internal.compensated_call AS c ON c.uuid = call
      LEFT JOIN seats_internal.unknown_type AS u ON u.destination = d.name AND u.type = event.type
      LEFT JOIN seats_internal.team AS t ON t.destination = d.name AND t.subscription = event.subscription
     WHERE d.name = event.destination;
    -- Of another account's, or another mode's, nothing follows.
    IF event.livemode IS DISTINCT FROM ours.livemode THEN
        RETURN 'wrong_mode';
    ELSIF event.facts ->> 'account' IS NOT NULL AND ours.account IS NULL THEN
        RAISE EXCEPTION 'the event names an account, and that of destination % is not known yet',
            event.destination USING ERRCODE = 'PS604',
            HINT = 'It is known once the worker has read it with the API key.';
    ELSIF event.facts ->> 'account' <> ours.account THEN
        RETURN 'other_account';
    END IF;
    is_own := call IS NOT NULL AND left(event.idempotency_key, 36) = ours.installation IS TRUE;
    IF is_own AND ours.is_compensated THEN
        PERFORM seats_internal.look_for_late_execution(event.idempotency_key, event.type);
    END IF;
    IF known IS NULL AND NOT (thin AND event.type ~ '^(v1[.])?customer[.]subscription[.]') THEN
        IF NOT ours.is_unknown THEN
            PERFORM seats_internal.journal_unknown_type(event);
        END IF;
        RETURN CASE WHEN thin THEN 'thin' ELSE 'ignored' END;
    ELSIF (known -> 'of_price')::boolean THEN
        RETURN CASE WHEN seats_internal.renew_price(event.destination, event.facts ->> 'object_id')
                    THEN 'processed' ELSE 'ignored' END;
    ELSIF known ? 'of_payment' THEN
        RETURN seats_internal.apply_payment_event(event, known ->> 'of_payment');
    ELSIF event.subscription IS NULL THEN
        RETURN CASE WHEN thin THEN 'thin' ELSE 'ignored' END;
    END IF;
    team := ours.team;
    IF team.id IS NULL THEN
        -- Its team may be being registered at this moment.
        IF NOT seats_internal.try_lock(
                   seats_internal.registration_lock(event.destination, event.subscription), true) THEN
            RAISE EXCEPTION 'its subscription is being registered' USING ERRCODE = 'lock_not_available';
        END IF;
        team := seats_internal.team_of_subscription(event.destination, event.subscription);
        IF team.id IS NULL THEN
            RETURN 'unmatched';
        END IF;
    END IF;
    -- The same event over another endpoint, at this very moment.
    IF NOT seats_internal.try_lock(hashtextextended(event.destination || ' ' || event.event_id, 0), false) THEN
        RAISE EXCEPTION 'the same event is being processed' USING ERRCODE = 'lock_not_available';
    END IF;
    IF is_own THEN
        is_told := seats_internal.apply_event_of_call(team, event.facts);
    END IF;
    IF (known -> 'looks_at_awaiting')::boolean THEN
        PERFORM seats_internal.look_at_awaiting(team);
    END IF;
    IF jsonb_typeof(event.facts -> 'invoice') = 'object' THEN
        PERFORM seats_internal.note_invoice(event, team);
    END IF;
    IF seats_internal.is_terminal(event.facts #>> '{subscription,status}') THEN
        PERFORM seats_internal.end_by_event(team, event.facts -> 'subscription');
    END IF;
    IF NOT is_told THEN
        PERFORM seats_internal.queue_read(team, 'pg_seats', event.type);
    END IF;
    IF known ? 'journal_kind' THEN
        PERFORM seats_internal.journal_event(event, team, known ->> 'journal_kind');
    END IF;
    RETURN 'processed';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_event(seats_internal.webhook_event) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_event(seats_internal.webhook_event) IS
    'does what follows from an event, and gives the outcome';
