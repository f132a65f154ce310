-- What Stripe says about a subscription, and what follows from it. `facts` are the known fields of
-- its JSON, as C++ has read them (src/core/subscription.hpp).

-- Something may have changed at Stripe: read the subscription, once, whoever asks however often. A
-- read that is on the wire may have left too early, so another one follows it. Waits for nobody, so
-- that a webhook can do it while the team is locked.
CREATE OR REPLACE FUNCTION seats_internal.queue_read(team seats_internal.team, caller text, reason text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    read bigint;
BEGIN
    -- A read that was not sent yet will see what we know of. (Not one of a subscription that the team
    -- had before.) One that somebody has locked is not counted on: he may be the worker, who is just
    -- settling it along with another one that has left too early, or one who rolls back. Reads too
    -- many are settled together. created_at says since when it must be read. A sweep may leave
    -- differences as they are; anybody else wants them taken over.
    UPDATE seats_internal.outbox AS o
       SET created_at = clock_timestamp(),
           context = CASE WHEN queue_read.reason = 'sweep' THEN o.context
                          ELSE jsonb_build_object('because', queue_read.reason) END
     WHERE o.id = (SELECT r.id FROM seats_internal.outbox AS r
                    WHERE r.team_id = team.id AND r.kind = 'read'
                      AND r.state NOT IN ('sending', 'review')
                      AND r.beside_lane_id = team.lane_id
                    ORDER BY r.id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING o.id INTO read;
    IF NOT FOUND THEN
        INSERT INTO seats_internal.outbox
            (installation, destination, method, path, body, enqueued_by, kind, team_id,
             beside_lane_id, context, created_at)
        SELECT i.uuid, team.destination, 'GET', '/v1/subscriptions/' || team.subscription,
               'expand[0]=latest_invoice', caller,
               'read', team.id, team.lane_id, jsonb_build_object('because', queue_read.reason),
               clock_timestamp()
          FROM seats_internal.installation AS i
        RETURNING id INTO read;
    END IF;
    RETURN read;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.queue_read(seats_internal.team, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.queue_read(seats_internal.team, text, text) IS
    'leaves a read of a team''s subscription in the outbox, unless one is waiting there';

CREATE OR REPLACE FUNCTION seats_internal.is_terminal(status text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(status IN ('canceled', 'incomplete_expired'), false);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.is_terminal(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_terminal(text) IS 'a subscription that never comes back';

-- Makes a team's confirmed quantities what Stripe has proved. `expected` is what we thought they
-- would be: what differs from it was changed by somebody else. Gives what it found them: as before,
-- as expected, or changed.
CREATE OR REPLACE FUNCTION seats_internal.confirm_quantities(
    team     seats_internal.team,
    counted  jsonb,
    expected jsonb,
    call_id  bigint
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outside jsonb;
    is_news boolean;
BEGIN
    -- As almost always: nothing but our own call has changed anything.
    IF counted = expected THEN
        UPDATE seats_internal.seat_line AS s SET confirmed = (counted ->> s.seat_type)::integer
         WHERE s.team_id = team.id AND s.confirmed <> (counted ->> s.seat_type)::integer;
        is_news := FOUND;
        IF counted = (SELECT coalesce(jsonb_object_agg(s.seat_type, s.confirmed), '{}')
                        FROM seats_internal.seat_line AS s WHERE s.team_id = team.id) THEN
            RETURN CASE WHEN is_news THEN 'as expected' ELSE 'as before' END;
        END IF;
    END IF;
    SELECT jsonb_object_agg(e.key, jsonb_build_object(
               'expected', e.value::integer, 'found', coalesce((counted ->> e.key)::integer, 0)))
      INTO outside
      FROM jsonb_each_text(expected || (SELECT coalesce(jsonb_object_agg(c.key, coalesce(expected -> c.key, '0')), '{}')
                                          FROM jsonb_each(counted) AS c)) AS e
     WHERE e.value::integer <> coalesce((counted ->> e.key)::integer, 0);
    IF outside IS NOT NULL THEN
        PERFORM seats_internal.write_journal(
            'seats.changed_outside', 'stripe', call_id, team.lane_id, NULL,
            jsonb_build_object('team', team.name, 'seats', outside));
    END IF;
    INSERT INTO seats_internal.seat_line AS s (team_id, seat_type, confirmed, quantity)
    SELECT team.id, c.key, c.value::integer, c.value::integer
      FROM jsonb_each_text(counted) AS c
    ON CONFLICT ON CONSTRAINT seat_line_pkey DO UPDATE SET confirmed = excluded.confirmed
     WHERE s.confirmed <> excluded.confirmed;
    UPDATE seats_internal.seat_line AS s
       SET confirmed = 0
     WHERE s.team_id = team.id AND s.confirmed <> 0 AND NOT counted ? s.seat_type;
    RETURN 'changed';
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.confirm_quantities(seats_internal.team, jsonb, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.confirm_quantities(seats_internal.team, jsonb, jsonb, bigint) IS
    'stores what Stripe has proved, and tells the journal what somebody else has changed';

-- `proven_at`: the facts are at least as new as that. Without `expected`, everything that differs
-- from what was confirmed is news. (Long because what is known of a subscription is stored here, a line for each,
-- and whatever looks at it as it was before comes behind. settle_plain_changes stores the same lines: who adds one here
-- adds it there.)
CREATE OR REPLACE FUNCTION seats_internal.apply_facts(
    team      seats_internal.team,
    facts     jsonb,
    proven_at timestamptz,
    run       uuid,
    expected  jsonb  DEFAULT NULL,
    call_id   bigint DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What is over never comes back: a read that was on its way when the end was told is older.
    new_status  text := CASE WHEN seats_internal.is_terminal(team.status) THEN team.status
                             ELSE facts ->> 'status' END;
    count       record;
    new_problem text;
    prices      bigint := hashtextextended((facts -> 'prices')::text, 0);
    found_it    text;
BEGIN
    IF team.kind = 'team' THEN
        count := seats_internal.count_team(team, facts -> 'items', expected);
        IF NOT seats_internal.is_terminal(new_status) THEN
            new_problem := seats_internal.count_problem(count.unlisted, count.impossible);
        END IF;
    END IF;
    UPDATE seats_internal.team AS t
       SET status               = new_status,
           customer             = coalesce(facts ->> 'customer', t.customer),
           livemode             = (facts ->> 'livemode')::boolean,
           collection_method    = facts ->> 'collection_method',
           cancel_at_period_end = coalesce((facts ->> 'cancel_at_period_end')::boolean, false),
           cancel_at            = to_timestamp((facts ->> 'cancel_at')::double precision),
           current_period_end   = to_timestamp((facts ->> 'current_period_end')::double precision),
           trial_end            = to_timestamp((facts ->> 'trial_end')::double precision),
           ended_at             = to_timestamp((facts ->> 'ended_at')::double precision),
           schedule             = facts ->> 'schedule',
           paused               = coalesce((facts ->> 'paused')::boolean, false),
           items                = facts -> 'items',
           base_proven_at       = apply_facts.proven_at,
           base_run             = apply_facts.run,
           problem              = NULL,
           count_problem        = new_problem,
           currency             = coalesce(facts ->> 'currency', t.currency),
           latest_invoice       = facts #>> '{invoice,id}',
           past_due_invoice     = CASE WHEN seats_internal.is_past_due(new_status)
                                       THEN seats_internal.past_due_invoice(t.destination, t.past_due_invoice, facts) END,
           prices_seen          = prices,
           changes              = t.changes + 1
     WHERE t.id = team.id;
    IF team.problem IS NOT NULL THEN
        PERFORM seats_internal.resolve_alert('subscription:' || team.id, 'the subscription was read');
    END IF;
    IF seats_internal.is_past_due(team.status) AND NOT seats_internal.is_past_due(new_status) THEN
        PERFORM seats_internal.resolve_alert('unpaid:' || team.id, 'the subscription is ' || new_status);
    END IF;
    IF team.status IS DISTINCT FROM new_status THEN
        PERFORM seats_internal.write_journal(
            'subscription.status', 'stripe', call_id, team.lane_id, NULL,
            jsonb_build_object(team.kind, team.name, 'subscription', team.subscription,
                               'from', team.status, 'to', new_status));
    END IF;
    IF team.drifts THEN
        PERFORM seats_internal.forget_drift(team.id);
    END IF;
    IF team.kind <> 'team' THEN
        RETURN 'as before';
    END IF;
    IF new_problem IS NOT NULL OR team.count_problem IS NOT NULL THEN
        PERFORM seats_internal.apply_count_problem(team, count.held, new_problem);
    END IF;
    found_it := seats_internal.confirm_quantities(
        team, count.counted,
        coalesce(expected, CASE WHEN team.items IS NULL THEN count.counted
                                ELSE (SELECT coalesce(jsonb_object_agg(s.seat_type, s.confirmed), '{}')
                                        FROM seats_internal.seat_line AS s
                                       WHERE s.team_id = team.id) END),
        call_id);
    -- What has waited for a price was taken back.
    IF team.waits_for_price AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                                             WHERE o.lane_id = team.lane_id AND o.kind = 'change') THEN
        PERFORM seats_internal.wait_for_price(team, NULL, NULL, NULL);
    END IF;
    -- (Almost always the prices are those of the last time.)
    IF prices IS DISTINCT FROM team.prices_seen OR team.items IS NULL THEN
        PERFORM seats_internal.note_prices(team, facts -> 'items', facts -> 'prices', proven_at);
    END IF;
    RETURN found_it;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.apply_facts(
    seats_internal.team, jsonb, timestamptz, uuid, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.apply_facts(
    seats_internal.team, jsonb, timestamptz, uuid, jsonb, bigint) IS
    'makes a team what Stripe says of its subscription; the caller refolds';

-- The subscription is over: nothing of what is open can come true any more, and whoever was in the
-- team is out of it. What was sent and is in doubt is left to its own proof; nobody waits for that.
CREATE OR REPLACE FUNCTION seats_internal.end_team(
    team_id       bigint,
    lane_id       bigint,
    former_status text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change record;
BEGIN
    -- Calls with all that they carry, and all others at once: thousands may have gathered.
    FOR change IN
        SELECT o.id, o.last_id FROM seats_internal.outbox AS o
         WHERE o.lane_id = end_team.lane_id AND o.kind = 'change' AND o.last_id IS NOT NULL
           AND (o.state = 'pending' AND NOT o.doubt OR o.state = 'awaiting')
         ORDER BY o.id
    LOOP
        PERFORM seats_internal.finish_run(end_team.lane_id, change.id, change.last_id, 'refused',
                                          'subscription_ended', proof => 'read');
    END LOOP;
    PERFORM seats_internal.finish_changes(
        ARRAY(SELECT o.id FROM seats_internal.outbox AS o
               WHERE o.lane_id = end_team.lane_id AND o.kind = 'change'
                 AND (o.state = 'pending' AND NOT o.doubt OR o.state = 'awaiting')),
        'refused', 'subscription_ended', 'pg_seats', proof => 'read');
    PERFORM seats_internal.fail_older_snapshots(end_team.lane_id);
    PERFORM seats_internal.end_everybody(
        end_team.team_id, NOT seats_internal.is_terminal(end_team.former_status));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_team(bigint, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_team(bigint, bigint, text) IS
    'reverts what can no longer come true, because the subscription is over, and ends memberships and invites';

-- ---- markers: what they prove is in markers.sql

-- (Where rows are taken for sending the statement itself says it, as MARKER in src/engine/claim.cpp: a function would
-- be called for each of them.)
CREATE OR REPLACE FUNCTION seats_internal.marker_of(first_uuid uuid, last_uuid uuid, generation integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN first_uuid::text || '-' || last_uuid::text || '-' || generation::text;
REVOKE ALL ON FUNCTION seats_internal.marker_of(uuid, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.marker_of(uuid, uuid, integer) IS
    'what a call of these changes leaves at Stripe';

CREATE OR REPLACE FUNCTION seats_internal.first_of_marker(marker text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN marker ~ '^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-){2}[0-9]+$'
            THEN left(marker, 36)::uuid END;
REVOKE ALL ON FUNCTION seats_internal.first_of_marker(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.first_of_marker(text) IS
    'the first change that a marker speaks of, or null';

CREATE OR REPLACE FUNCTION seats_internal.last_of_marker(marker text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN marker ~ '^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-){2}[0-9]+$'
            THEN substr(marker, 38, 36)::uuid END;
REVOKE ALL ON FUNCTION seats_internal.last_of_marker(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.last_of_marker(text) IS
    'the last change that a marker speaks of, or null';

CREATE OR REPLACE FUNCTION seats_internal.payment_of(facts jsonb) RETURNS jsonb
LANGUAGE sql STABLE
RETURN jsonb_strip_nulls(jsonb_build_object(
    'expires_at', to_timestamp((facts #>> '{pending_update,expires_at}')::double precision),
    'invoice', facts #>> '{invoice,id}',
    'invoice_url', facts #>> '{invoice,url}',
    'amount_due', (facts #>> '{invoice,amount_due}')::bigint,
    'currency', facts #>> '{invoice,currency}'));
REVOKE ALL ON FUNCTION seats_internal.payment_of(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_of(jsonb) IS
    'what a change waits for: the invoice, where to pay how much, and until when';

-- Reads that were left at the same time as the one that has gone through, and want to know nothing
-- newer: it has answered them all.
CREATE OR REPLACE FUNCTION seats_internal.finish_reads(team_id bigint, proven_at timestamptz) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT FROM seats_internal.move_to_history(
        ARRAY(SELECT r.id FROM seats_internal.outbox AS r
               WHERE r.team_id = finish_reads.team_id AND r.kind = 'read' AND r.state IN ('pending', 'waiting')
                 AND r.created_at < finish_reads.proven_at
               FOR UPDATE SKIP LOCKED),
        'done', 'answered_by_another_read', with_error => false, proof => 'read');
END;
REVOKE ALL ON FUNCTION seats_internal.finish_reads(bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.finish_reads(bigint, timestamptz) IS
    'settles the waiting reads of a team that are older than one that has gone through';

-- A read of the subscription that went through. The lane is locked, and nothing of it is on the wire.
-- `call` is the read itself; null: it was read for a change. (Of such, plain_settlements takes those of which nothing is
-- news: who adds a question here makes it one there.)
CREATE OR REPLACE FUNCTION seats_internal.read_settled(
    team_id   bigint,
    facts     jsonb,
    proven_at timestamptz,
    run       uuid,
    call      bigint DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team     seats_internal.team;
    read     seats_internal.outbox_history;
    proven   record;
    expected jsonb;
    is_plain boolean := true;
    found_it text;
BEGIN
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = read_settled.team_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF read_settled.call IS NOT NULL THEN
        -- It went into the partition that is being written, in this transaction.
        SELECT h.* INTO read FROM seats_internal.outbox_history AS h
         WHERE h.ring = (SELECT r.slot FROM seats_internal.ring AS r) AND h.id = read_settled.call;
    END IF;
    IF facts ->> 'id' <> team.subscription THEN
        RETURN;
    ELSIF read.kind = 'read' AND read.context ->> 'because' = 'sweep' THEN
        -- (Not in one condition: where there is no such read, AND would go on after the null.)
        IF NOT seats_internal.sweep_takes_over(team, facts) THEN
            RETURN;
        END IF;
    END IF;
    -- (What is hardly ever so is asked first: this is done before every change of an idle team.)
    IF EXISTS (SELECT FROM seats_internal.outbox AS o
                WHERE o.team_id = team.id AND o.kind = 'read' AND o.state IN ('pending', 'waiting')) THEN
        PERFORM seats_internal.finish_reads(team.id, proven_at);
    END IF;
    IF facts ->> 'marker' IS NOT NULL THEN
        proven := seats_internal.apply_marker(team, facts, NULL);
        expected := proven.expected;
        is_plain := NOT proven.is_news;
    END IF;
    IF jsonb_typeof(facts -> 'pending_update') = 'object'
       OR EXISTS (SELECT FROM seats_internal.outbox AS o
                   WHERE o.lane_id = team.lane_id AND o.state = 'awaiting') THEN
        PERFORM seats_internal.apply_pending_update(team, facts);
        is_plain := false;
    END IF;
    found_it := seats_internal.apply_facts(team, facts, proven_at, run, expected);
    IF team.status IS NULL THEN
        -- The first read: of events that came while the registration was not committed, too.
        PERFORM seats_internal.retry_unmatched(team.destination, team.subscription);
    END IF;
    IF team.kind = 'individual' THEN
        PERFORM seats_internal.end_individual(team, facts ->> 'status');
        RETURN;
    ELSIF seats_internal.is_terminal(facts ->> 'status') THEN
        PERFORM seats_internal.end_team(team.id, team.lane_id, team.status);
    ELSIF read_settled.call IS NULL AND is_plain AND found_it = 'as before'
        AND NOT EXISTS (SELECT FROM seats_internal.seat_line AS s
                         WHERE s.team_id = team.id AND s.missing > 0) THEN
        RETURN;  -- the base of a change: nothing has changed, so the fold has not
    END IF;
    PERFORM seats_internal.refold(team.id, team.lane_id);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.read_settled(bigint, jsonb, timestamptz, uuid, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.read_settled(bigint, jsonb, timestamptz, uuid, bigint) IS
    'makes a team what a read of its subscription says';

-- (A subscription that the team had before is nobody's problem any more.)
CREATE OR REPLACE FUNCTION seats_internal.read_failed(lane_id bigint, problem text, lasts boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team seats_internal.team;
BEGIN
    UPDATE seats_internal.team AS t
       SET problem = read_failed.problem, changes = t.changes + 1
     WHERE t.lane_id = read_failed.lane_id
    RETURNING t.* INTO team;
    IF FOUND AND lasts THEN
        PERFORM seats_internal.raise_alert(
            'subscription:' || team.id, 'critical', 'subscription_unreadable',
            format('the subscription of %s %s cannot be read: %s', team.kind, team.name, problem),
            jsonb_build_object(team.kind, team.name, 'subscription', team.subscription),
            'See the column problem of seats.teams, or of seats.individuals. Is it the right id, and of '
            'the account that the destination''s key belongs to? seats.reconcile reads it again.', destination => team.destination);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.read_failed(bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.read_failed(bigint, text, boolean) IS
    'the subscription of this lane cannot be read; lasts: a person should know';
