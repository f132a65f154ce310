-- Freeze: the open changes of a lane become one call. Called by the worker, before anything is sent.
-- Absolute quantities are computed here, and in freeze_plain.sql for the plain ones, on a base that Stripe has just proved.

-- Whether a change of which we may have forgotten that it was sent (a failover, an adoption) may be
-- sent under its own key: null, or why a person must decide. The same key makes that safe as long
-- as Stripe remembers it: had it been used, the answer would be a replay or an idempotency error.
CREATE OR REPLACE FUNCTION seats_internal.forgotten_doubt(change seats_internal.outbox, team seats_internal.team)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE
        WHEN NOT change.doubt THEN NULL
        WHEN change.first_sent_at < clock_timestamp() - seats_internal.key_lifetime()
            THEN 'not_proven'
    END;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.forgotten_doubt(seats_internal.outbox, seats_internal.team) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forgotten_doubt(seats_internal.outbox, seats_internal.team) IS
    'why a change in doubt cannot be sent under its key; null: it can';

CREATE OR REPLACE FUNCTION seats_internal.review_change(change bigint, reason text, what_happened text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox AS o
       SET state = 'review', state_since = clock_timestamp(), due_at = NULL, doubt = true,
           first_sent_at = coalesce(o.first_sent_at, o.created_at), reason = review_change.reason
     WHERE o.id = change;
    PERFORM seats_internal.raise_alert(
        'review:' || change, 'critical', 'review',
        format('seat change %s needs a person: %s', change, what_happened),
        hint => format('See seats.reviews; SELECT seats.explain_call(%s) tells more, seats.resolve_review '
                       'settles it.', change),
        call_id => change);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_change(bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_change(bigint, text, text) IS
    'puts a change that cannot be proven before a person';

CREATE OR REPLACE FUNCTION seats_internal.is_below_zero(totals jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM jsonb_each_text(totals) AS t WHERE t.value::integer < 0);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.is_below_zero(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_below_zero(jsonb) IS
    'whether totals are asked for that nobody can have';

-- The head of a lane cannot be sent as things are. Where it may have been sent before, and we have
-- forgotten it, a person decides. Gives the outcome, as freeze_change does.
CREATE OR REPLACE FUNCTION seats_internal.refuse_plan(head seats_internal.outbox, reason text, what_is_wrong text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF head.doubt THEN
        PERFORM seats_internal.review_change(head.id, 'not_proven', what_is_wrong
            || ', and whether it was sent before a failover or an adoption cannot be proven by a read');
        RETURN 'review';
    END IF;
    PERFORM seats_internal.finish_changes(ARRAY[head.id], 'refused', refuse_plan.reason, 'pg_seats',
                                          proof => 'none needed');
    PERFORM seats_internal.refold(head.team_id, head.lane_id);
    RETURN 'settled';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refuse_plan(seats_internal.outbox, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refuse_plan(seats_internal.outbox, text, text) IS
    'reverts a change that cannot be sent as things are, or puts it before a person';

-- Whether a change adds to a seat type, or takes from it, in the direction of `quantity`, and nothing else is special about
-- it. (An expression, inlined; so is the next one.)
CREATE OR REPLACE FUNCTION seats_internal.adds_alike(change seats_internal.outbox, seat_type text, quantity bigint)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN change.kind = 'change' AND change.state = 'pending' AND NOT change.doubt AND change.proration_date IS NULL
       AND jsonb_array_length(change.lines) = 1 AND change.lines -> 0 ->> 'operation' = 'add'
       AND change.lines -> 0 ->> 'seat_type' = seat_type
       AND sign((change.lines -> 0 ->> 'quantity')::bigint) = sign(quantity);
REVOKE ALL ON FUNCTION seats_internal.adds_alike(seats_internal.outbox, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.adds_alike(seats_internal.outbox, text, bigint) IS
    'whether an open change wants more, or less, of this seat type, and nothing else';

-- Whether what was proved of a team's subscription is good for this change. (What was read for this very change is, however
-- long that took. No base of the future is: the clock was set back. At a price that was shown, somebody's change at
-- Stripe since then would be on the bill, or taken back by it.)
CREATE OR REPLACE FUNCTION seats_internal.is_good_base(
    base_run  uuid,
    proven_at timestamptz,
    change    seats_internal.outbox,
    run       uuid,
    fresh_for interval,
    moment    timestamptz
) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN base_run IS NOT DISTINCT FROM run
       AND coalesce(proven_at <= moment, false)
       AND (change.proration_date IS NULL OR proven_at >= coalesce(change.base_wanted_at, change.created_at))
       AND (proven_at >= moment - fresh_for
            OR proven_at >= moment - interval '1 minute' AND coalesce(proven_at >= change.base_wanted_at, false));
REVOKE ALL ON FUNCTION seats_internal.is_good_base(
    uuid, timestamptz, seats_internal.outbox, uuid, interval, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_good_base(
    uuid, timestamptz, seats_internal.outbox, uuid, interval, timestamptz) IS
    'whether a base that was proved then, in that run, is good for a change';

-- What nearly every crowd is made of, counted in one statement: changes that all add to one seat type, or all
-- take from it, as the head does. They have one direction and one billing rule. Nothing if the head is none.
CREATE OR REPLACE FUNCTION seats_internal.plan_plain_run(
    head          seats_internal.outbox,
    base          jsonb,
    room          integer,
    OUT last_id   bigint,
    OUT last_uuid uuid,
    OUT target    jsonb,
    OUT size      integer
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH lane AS (
        SELECT o.id, o.uuid, (o.lines -> 0 ->> 'quantity')::integer AS quantity,
               (o.splits_left IS NULL) = (head.splits_left IS NULL)
               AND seats_internal.adds_alike(o, head.lines -> 0 ->> 'seat_type',
                                             (head.lines -> 0 ->> 'quantity')::bigint) AS is_plain
          FROM seats_internal.outbox AS o
         WHERE o.lane_id = head.lane_id AND o.id >= head.id
         ORDER BY o.id LIMIT room),
    run AS (
        SELECT l.id, l.uuid, bool_and(coalesce(l.is_plain, false)) OVER earlier AS is_plain,
               coalesce((base ->> (head.lines -> 0 ->> 'seat_type'))::bigint, 0)
               + sum(l.quantity) OVER earlier AS total,
               (row_number() OVER earlier)::integer AS size
          FROM lane AS l WINDOW earlier AS (ORDER BY l.id))
    -- (What would lead below zero is looked at by itself.)
    SELECT r.id, r.uuid, base || jsonb_build_object(head.lines -> 0 ->> 'seat_type', r.total), r.size
      INTO last_id, last_uuid, target, size
      FROM run AS r
     WHERE r.is_plain AND r.total BETWEEN 0 AND 2147483647
     ORDER BY r.id DESC LIMIT 1;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.plan_plain_run(seats_internal.outbox, jsonb, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.plan_plain_run(seats_internal.outbox, jsonb, integer) IS
    'the run of changes from the head on that add to, or take from, the same seat type, and what they lead to';

-- The longest run of changes, from the head on, that can go in one call: same direction, same
-- billing rules. A previewed change goes alone. Of changes that were refused together, as many as
-- their last answer left to be tried (see count_split). (Long because one loop has it all: what ends a run.)
CREATE OR REPLACE FUNCTION seats_internal.plan_call(
    head        seats_internal.outbox,
    base        jsonb,
    OUT last_id   bigint,
    OUT last_uuid uuid,
    OUT target    jsonb,
    OUT rises     boolean,
    OUT seat_type text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    most_carried CONSTANT integer := 10000;
    -- Of those that are looked at one by one: the team is locked meanwhile.
    most_mixed CONSTANT integer := 500;
    room    integer := most_carried;
    plain   record;
    change  record;
    after   jsonb;
    billed  record;
    rules   text;
BEGIN
    target := base;
    IF head.splits_left IS NOT NULL THEN
        room := head.split_size;
    END IF;
    IF room > 1 THEN
        SELECT p.* INTO plain FROM seats_internal.plan_plain_run(head, base, room) AS p;
        IF plain.last_id IS NOT NULL THEN
            last_id := plain.last_id;
            last_uuid := plain.last_uuid;
            target := plain.target;
            room := room - plain.size;
            SELECT b.* INTO billed FROM seats_internal.billed_type(base, target) AS b;
            rules := billed.rules;
            rises := billed.rises;
        END IF;
    END IF;
    room := least(room, most_mixed);
    FOR change IN
        SELECT o.id, o.uuid, o.kind, o.state, o.doubt, o.lines, o.proration_date, o.splits_left
          FROM seats_internal.outbox AS o
         WHERE o.lane_id = head.lane_id AND o.id >= head.id AND o.id > coalesce(last_id, 0)
         ORDER BY o.id
    LOOP
        -- (A change in doubt is in nobody's company: its key belongs to it alone.)
        EXIT WHEN change.kind <> 'change' OR change.state <> 'pending' OR room = 0
            OR last_id IS NOT NULL
               AND (head.proration_date IS NOT NULL OR change.proration_date IS NOT NULL
                    OR head.doubt OR change.doubt
                    OR (change.splits_left IS NULL) <> (head.splits_left IS NULL));
        after := seats_internal.apply_lines(target, change.lines);
        -- (Alone, it is not sent at all.)
        EXIT WHEN last_id IS NOT NULL
              AND (seats_internal.is_below_zero(after)
                   OR jsonb_array_length(change.lines) > 1 AND seats_internal.mixes_billing(target, after));
        SELECT b.* INTO billed FROM seats_internal.billed_type(target, after) AS b;
        EXIT WHEN rules IS NOT NULL AND billed.rules IS NOT NULL
              AND (rules, rises) IS DISTINCT FROM (billed.rules, billed.rises);
        IF rules IS NULL THEN
            rules := billed.rules;
            rises := billed.rises;
        END IF;
        target := after;
        last_id := change.id;
        last_uuid := change.uuid;
        room := room - 1;
    END LOOP;
    -- Billed by what it comes to: changes that raise one type and lower another may undo each other.
    SELECT b.rises, b.seat_type INTO rises, seat_type FROM seats_internal.billed_type(base, target) AS b;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.plan_call(seats_internal.outbox, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.plan_call(seats_internal.outbox, jsonb) IS
    'which changes go in one call, and what it asks for; rises is null if it would change nothing';

-- One lane, which is locked. The outcome:
--   frozen   the call can be sent
--   read     the base is not proven, or not lately: read the subscription first
--   settled  something was settled without a call; look at the lane again
--   waits    until the row's due_at
--   review   a person must decide
-- (Long because it is the list of what keeps a call from being sent, in the order in which that must be asked. Who adds to it
-- adds it to what plain_plans leaves out.)
CREATE OR REPLACE FUNCTION seats_internal.freeze_change(change bigint, run uuid, fresh_for interval)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head    seats_internal.outbox;
    team    seats_internal.team;
    proven  jsonb;
    plan    record;
    prices  jsonb;
    billing jsonb;
    problem text;
    until   timestamptz;
    moment  timestamptz := clock_timestamp();
BEGIN
    SELECT o.* INTO head FROM seats_internal.outbox AS o
     WHERE o.id = change AND o.state = 'pending' AND o.body = '';
    IF NOT FOUND THEN
        RETURN 'settled';
    END IF;
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = head.team_id;
    IF NOT seats_internal.is_good_base(team.base_run, team.base_proven_at, head, run, fresh_for, moment)
       OR EXISTS (SELECT FROM seats_internal.outbox AS r
                   WHERE r.team_id = team.id AND r.kind = 'read'
                     AND r.created_at > team.base_proven_at) THEN
        UPDATE seats_internal.outbox AS o SET base_wanted_at = clock_timestamp() WHERE o.id = head.id;
        RETURN 'read';
    END IF;
    -- What is proved must be counted by the prices that are listed now.
    IF seats_internal.recount_now(team.id) THEN
        RETURN 'settled';
    END IF;
    problem := seats_internal.forgotten_doubt(head, team);
    IF problem IS NOT NULL THEN
        PERFORM seats_internal.review_change(head.id, problem,
            'whether it was sent before a failover or an adoption cannot be proven by a read');
        RETURN 'review';
    END IF;

    SELECT coalesce(jsonb_object_agg(s.seat_type, s.confirmed), '{}') INTO proven
      FROM seats_internal.seat_line AS s WHERE s.team_id = team.id;
    IF head.proration_date IS NOT NULL AND (
       head.context ->> 'items' IS DISTINCT FROM seats_internal.hash_of_items(team.items)
       OR EXISTS (SELECT FROM jsonb_to_recordset(head.lines) AS l (seat_type text, previous_quantity integer)
                   WHERE l.previous_quantity IS DISTINCT FROM coalesce((proven ->> l.seat_type)::integer, 0))) THEN
        RETURN seats_internal.refuse_plan(head, 'base_moved',
                                          'the seats are not those that it was previewed on');
    END IF;

    plan := seats_internal.plan_call(head, proven);
    IF seats_internal.is_below_zero(plan.target) THEN
        RETURN seats_internal.refuse_plan(head, 'no_longer_valid',
                                          'there are fewer seats than it takes away');
    ELSIF seats_internal.mixes_billing(proven, plan.target) THEN
        RETURN seats_internal.refuse_plan(head, 'billed_by_different_rules',
                                          'what it adds is billed by other rules than what it takes away');
    END IF;
    SELECT c.prices, c.reason INTO prices, problem
      FROM seats_internal.prices_for_call(team, head, proven, plan.target, plan.rises) AS c;
    IF problem IS NOT NULL THEN
        RETURN 'waits';
    ELSIF plan.rises IS NULL THEN
        PERFORM seats_internal.finish_run(head.lane_id, head.id, plan.last_id, 'done',
                                              'nothing_to_change', proof => 'none needed');
        PERFORM seats_internal.refold(team.id, team.lane_id);
        RETURN 'settled';
    END IF;
    billing := seats_internal.billing_parameters(team, plan.seat_type, plan.rises, head.proration_date);
    until := seats_internal.budget_wait(team.id, team.lane_id,
                                        billing ->> 'proration_behavior' = 'always_invoice');
    IF until IS NOT NULL THEN
        UPDATE seats_internal.outbox AS o SET due_at = until, reason = 'stripes_limit_for_a_subscription'
         WHERE o.id = head.id;
        RETURN 'waits';
    END IF;

    UPDATE seats_internal.outbox AS o
       SET body = seats_internal.encoded_form(
               jsonb_build_object('items', seats_internal.item_parameters(
                   team.items, proven, plan.target, prices,
                   billing ->> 'payment_behavior' IS DISTINCT FROM 'pending_if_incomplete'))
               || billing),
           base = proven, target = plan.target,
           last_id = nullif(plan.last_id, head.id), last_uuid = plan.last_uuid, verifications = 0
     WHERE o.id = head.id;
    IF plan.last_id <> head.id THEN
        UPDATE seats_internal.outbox AS o
           SET state = 'carried', state_since = clock_timestamp()
         WHERE o.lane_id = head.lane_id AND o.id > head.id AND o.id <= plan.last_id;
    END IF;
    RETURN 'frozen';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.freeze_change(bigint, uuid, interval) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.freeze_change(bigint, uuid, interval) IS
    'makes the call of a lane whose first row is a seat change, or says why not';

-- Those of `calls` that are seat changes and not yet frozen, in the order of their lanes, which are locked until the commit
-- (the worker has them already); applications wait for that. So what is not planned in that time is left for later.
CREATE OR REPLACE FUNCTION seats_internal.freeze_changes(
    calls       bigint[],
    run         uuid,
    fresh_for   interval,
    time_for    interval DEFAULT '20 ms',
    OUT call    bigint,
    OUT outcome text
) RETURNS SETOF record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stop_at timestamptz;
    lane_id bigint;
BEGIN
    FOR call, lane_id IN
        SELECT o.id, o.lane_id
          FROM seats_internal.outbox AS o
         WHERE o.id = ANY (calls) AND o.kind = 'change' AND o.state = 'pending' AND o.body = ''
         ORDER BY o.lane_id
    LOOP
        -- (freeze_change looks at the row again: what was committed before the lock was got is seen.)
        outcome := CASE WHEN clock_timestamp() >= stop_at THEN 'later'
                        WHEN NOT seats_internal.try_lane(lane_id) THEN 'locked'
                        ELSE seats_internal.freeze_change(call, run, fresh_for) END;
        -- (Of what is sent, the worker's own statement tells.)
        IF outcome IN ('settled', 'waits', 'review') THEN
            PERFORM seats_internal.page_of_lane_changed(lane_id);
        END IF;
        stop_at := coalesce(stop_at, clock_timestamp() + time_for);
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.freeze_changes(bigint[], uuid, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.freeze_changes(bigint[], uuid, interval, interval) IS
    'makes calls of the seat changes among these rows, and says what came of each; called by the worker';

-- A call that provably did nothing falls apart into its changes, which are planned anew, on a new
-- base and with what has come since. Whoever calls this refolds: what could not be taken back while it
-- was on its way can be now. Gives the call as it was; null: there is none.
CREATE OR REPLACE FUNCTION seats_internal.dissolve_call(call bigint, is_refused boolean)
RETURNS seats_internal.outbox
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head      seats_internal.outbox;
    size      integer;
    forgotten boolean;
BEGIN
    SELECT o.* INTO head FROM seats_internal.outbox AS o
     WHERE o.id = call AND o.kind = 'change' AND o.state = 'pending' AND o.body <> '';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Only a failover or an adoption puts a carried change in doubt: what comes next may have been
    -- done already, under the first one's next key as well.
    SELECT count(*), coalesce(bool_or(o.doubt) FILTER (WHERE o.state = 'carried'), false)
      INTO size, forgotten FROM seats_internal.outbox AS o
     WHERE o.lane_id = head.lane_id AND o.id >= head.id
       AND o.id <= coalesce(head.last_id, head.id);
    UPDATE seats_internal.outbox AS o
       SET state = 'pending', state_since = clock_timestamp(), body = '', base = NULL,
           base_wanted_at = NULL,
           target = NULL, last_id = NULL, last_uuid = NULL, payment = NULL, marker = NULL,
           reason = head.reason, last_error = head.last_error, error_code = head.error_code,
           decline_code = head.decline_code,
           doubt = o.doubt OR forgotten,
           first_sent_at = CASE WHEN o.doubt OR forgotten THEN coalesce(o.first_sent_at, o.created_at)
                           END,
           splits_left = CASE WHEN is_refused THEN coalesce(o.splits_left, 4) ELSE o.splits_left END
     WHERE o.lane_id = head.lane_id AND o.id >= head.id
       AND o.id <= coalesce(head.last_id, head.id);
    IF is_refused THEN
        PERFORM seats_internal.count_split(head.lane_id, size);
    END IF;
    RETURN head;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.dissolve_call(bigint, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.dissolve_call(bigint, boolean) IS
    'takes a call of seat changes apart again; refused: its changes are tried in smaller calls';

-- `facts`: the subscription as the read has shown it that proved that nothing was executed.
CREATE OR REPLACE FUNCTION seats_internal.dissolve_calls(
    calls     bigint[],
    refused   bigint[],
    facts     text[]        DEFAULT NULL,
    proven_at timestamptz[] DEFAULT NULL,
    run       uuid          DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    dissolved record;
    head      seats_internal.outbox;
BEGIN
    FOR dissolved IN
        SELECT c.call, c.facts::jsonb AS facts, c.proven_at
          FROM unnest(calls, facts, proven_at) AS c (call, facts, proven_at)
    LOOP
        head := seats_internal.dissolve_call(dissolved.call, dissolved.call = ANY (refused));
        CONTINUE WHEN head.id IS NULL;
        IF dissolved.facts IS NOT NULL THEN
            PERFORM seats_internal.read_settled(head.team_id, dissolved.facts, dissolved.proven_at, run);
        ELSIF head.reason = 'proven_not_executed' THEN
            -- Not all of its items were in the answer that proved it: they are read before the next call.
            UPDATE seats_internal.team AS t SET base_proven_at = NULL WHERE t.id = head.team_id;
        END IF;
        PERFORM seats_internal.refold(head.team_id, head.lane_id);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.dissolve_calls(bigint[], bigint[], text[], timestamptz[], uuid) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.dissolve_calls(bigint[], bigint[], text[], timestamptz[], uuid) IS
    'takes calls of seat changes apart that have done nothing, and refolds; of those in refused, the changes are tried in smaller calls; called by the worker';
