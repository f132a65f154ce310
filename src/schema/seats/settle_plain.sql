-- Plain settlements: a call of one change was executed as it was asked for, its own answer says so, and nothing else of
-- its team is open that this could concern; or the subscription was read for a change, and is as it was. That is nearly
-- every one. A whole batch of them is looked at and written by one statement, where settle_change and read_settled take some
-- thirty for each. Whatever is unusual is left to these two, which are the rule: of what is taken here they would have made
-- the same (the test settle_plain compares them).

-- Of what Stripe says of teams' subscriptions: where everything is as it was, but perhaps the quantities and the invoice,
-- nothing is odd about the team, and what of it is open is nobody's concern who only settles. With what is counted, of types
-- that the team has a line of, each once. (OFFSET 0 keeps each lookup one by its key: a hash join would read everybody's. The
-- function is without a path, so that it is inlined.)
CREATE OR REPLACE FUNCTION seats_internal.usual_teams(
    teams          bigint[],
    facts          text[],
    OUT place      bigint,
    OUT team_id    bigint,
    OUT name       text,
    OUT lane_id    bigint,
    OUT confirmed  jsonb,
    OUT quantities jsonb,
    OUT told       seats_internal.subscription_facts
) RETURNS SETOF record
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT u.place, u.id, u.name, u.lane_id, u.confirmed, u.quantities, u.told
      FROM (SELECT a.place, t.id, t.name, t.lane_id, l.confirmed, i.quantities, f AS told, l.alerts,
                   t.kind = 'team' AND t.subscription = f.id
                   AND t.status IN ('active', 'trialing') AND f.status = t.status AND f.pending_update IS NULL
                   AND t.items IS NOT NULL AND t.prices_seen = hashtextextended(f.prices::text, 0)
                   AND t.problem IS NULL AND t.count_problem IS NULL AND NOT t.drifts AND NOT t.waits_for_price
                   AND i.are_counted AND l.number = i.number AND l.are_counted AND NOT l.are_odd AS is_usual
              FROM unnest(teams, facts) WITH ORDINALITY AS a (team, facts, place)
             CROSS JOIN LATERAL (SELECT m.* FROM seats_internal.team AS m WHERE m.id = a.team OFFSET 0) AS t
             CROSS JOIN LATERAL jsonb_populate_record(NULL::seats_internal.subscription_facts, a.facts::jsonb) AS f
             CROSS JOIN LATERAL (
                   SELECT count(*) AS number, jsonb_object_agg(coalesce(p.seat_type, '?'), e.quantity) AS quantities,
                          bool_and(p.seat_type IS NOT NULL AND e.quantity BETWEEN 0 AND 1000000000) AS are_counted
                     FROM jsonb_to_recordset(f.items) AS e (price text, quantity numeric, metered boolean)
                    CROSS JOIN LATERAL (SELECT (SELECT o.seat_type FROM seats_internal.seat_price AS o
                                                 WHERE o.price = e.price) OFFSET 0) AS p (seat_type)
                    WHERE e.metered IS NOT TRUE) AS i
             CROSS JOIN LATERAL (
                   SELECT count(*) AS number, jsonb_object_agg(s.seat_type, s.confirmed) AS confirmed,
                          bool_and(i.quantities ? s.seat_type) AS are_counted,
                          bool_or(s.held OR s.awaiting > 0 OR s.missing > 0) AS are_odd,
                          array_agg('over_allocated:' || s.team_id || ':' || s.seat_type) AS alerts
                     FROM seats_internal.seat_line AS s WHERE s.team_id = t.id) AS l
            OFFSET 0) AS u
     WHERE u.is_usual
       -- No other change that was carried, is tried apart from others, or waits for a payment; and nobody sits too much.
       AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                        WHERE o.lane_id = u.lane_id
                          AND (o.state IN ('carried', 'awaiting') OR o.splits_left IS NOT NULL) OFFSET 0)
       AND NOT EXISTS (SELECT FROM seats_internal.alert AS w
                        WHERE w.fingerprint = ANY (u.alerts) AND w.resolved_at IS NULL OFFSET 0);
END;
REVOKE ALL ON FUNCTION seats_internal.usual_teams(bigint[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.usual_teams(bigint[], text[]) IS
    'those of the teams of which, by what Stripe says of their subscriptions, nothing but quantities can be news';

-- Those of a batch that are plain, and what is to be written of them. What is asked of a call is what settle_change, and all
-- that it calls, asks on the way to its first RETURN; of a read (its call is 0) what read_settled asks on the way to its last
-- one. A lane stands in a batch once at most. (`slot`: the partition that is being written. As a parameter it leaves one of
-- the history's partitions in the plan before it is started; looked up within it, all eight are opened for each batch.)
CREATE OR REPLACE FUNCTION seats_internal.plain_settlements(
    calls           bigint[],
    teams           bigint[],
    facts           text[],
    slot            smallint,
    OUT place       bigint,
    OUT call        bigint,
    OUT lane_id     bigint,
    OUT team_id     bigint,
    OUT actor       text,
    OUT detail      jsonb,
    OUT key         text,
    OUT destination text,
    OUT sent_at     timestamptz,
    OUT base        jsonb,
    OUT target      jsonb,
    OUT told        seats_internal.subscription_facts
) RETURNS SETOF record
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT u.place, c.id, u.lane_id, u.team_id, c.actor,
           jsonb_strip_nulls(jsonb_build_object('change', c.id, 'team', u.name, 'lines', c.lines))
               || seats_internal.invoice_detail(c.invoice),
           c.key, c.destination, c.sent_at, c.base, c.target, u.told
      FROM seats_internal.usual_teams(teams, facts) AS u
      LEFT JOIN LATERAL (
           SELECT h.id, h.lane_id, h.team_id, h.actor, h.lines, h.invoice, h.destination, h.base, h.target,
                  coalesce(h.first_sent_at, h.created_at) AS sent_at,
                  seats_internal.idempotency_key(h.installation, h.uuid, h.generation) AS key,
                  seats_internal.marker_of(h.uuid, h.uuid, h.generation) AS marker
             FROM seats_internal.outbox_history AS h
            WHERE h.ring = plain_settlements.slot AND h.id = calls[u.place]
              -- Done, at the first attempt.
              AND h.kind = 'change' AND h.result = 'done' AND h.clean AND h.settled_by IS NULL
              AND h.reason IS NULL AND h.error IS NULL AND h.error_code IS NULL AND h.decline_code IS NULL
           OFFSET 0) AS c ON true
     WHERE CASE WHEN calls[u.place] = 0 THEN
               u.quantities = u.confirmed
               AND ((u.told).marker IS NULL
                    OR (u.told).marker = (SELECT m.marker FROM seats_internal.lane_marker AS m WHERE m.lane_id = u.lane_id))
               -- No other read that it answers, too.
               AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                                WHERE o.team_id = u.team_id AND o.kind = 'read'
                                  AND o.state IN ('pending', 'waiting') OFFSET 0)
           ELSE
               -- There is what it has asked for, and was before what that was computed on. Its own marker is the last one,
               -- and names no other change: it has carried nobody, and nothing came since.
               u.quantities = c.target AND u.confirmed = c.base AND (u.told).marker = c.marker
               AND u.team_id = c.team_id AND u.lane_id = c.lane_id
               -- No invite waits for it, and its event has not come before it.
               AND NOT EXISTS (SELECT FROM seats_internal.invite AS i
                                WHERE i.team_id = u.team_id AND i.status = 'open' AND i.settled_at IS NULL OFFSET 0)
               AND NOT EXISTS (SELECT FROM seats_internal.webhook_event AS e WHERE e.idempotency_key = c.key OFFSET 0)
               AND NOT EXISTS (SELECT FROM seats_internal.expected_event AS e WHERE e.idempotency_key = c.key OFFSET 0)
           END;
END;
REVOKE ALL ON FUNCTION seats_internal.plain_settlements(bigint[], bigint[], text[], smallint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.plain_settlements(bigint[], bigint[], text[], smallint) IS
    'those of a batch''s settled changes, and reads for changes, of which nothing but the quantities is news';

-- Settles the plain ones and gives their places. `seen`: up to where the journal has its numbers; null: no numbers are given.
-- With them the entries need no second look (see journal_is_numbered); has_numbered: there is something to announce.
CREATE OR REPLACE FUNCTION seats_internal.settle_plain_changes(
    calls            bigint[],
    teams            bigint[],
    facts            text[],
    proven_at        timestamptz[],
    run              uuid,
    seen             pg_snapshot,
    OUT places       bigint[],
    OUT has_numbered boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    is_numbered  CONSTANT boolean := coalesce(seats_internal.journal_is_numbered(seen), false);
    current_slot CONSTANT smallint := (SELECT r.slot FROM seats_internal.ring AS r);
BEGIN
    WITH plain AS MATERIALIZED (
        SELECT p.*, count(p.call) OVER (ORDER BY p.place) AS position
          FROM seats_internal.plain_settlements(calls, teams, facts, current_slot) AS p),
    number AS (
        UPDATE seats_internal.ring AS r SET last_journal_number = r.last_journal_number + (SELECT count(p.call) FROM plain AS p)
         WHERE is_numbered AND EXISTS (SELECT FROM plain AS p WHERE p.call IS NOT NULL)
        RETURNING r.last_journal_number - (SELECT count(p.call) FROM plain AS p) AS before),
    entry AS (
        INSERT INTO seats_internal.journal (ring, number, kind, role, actor, call_id, lane_id, detail)
        SELECT current_slot, (SELECT n.before FROM number AS n) + p.position,
               seats_internal.journal_kind('done'), 'pg_seats', p.actor, p.call, p.lane_id, p.detail
          FROM plain AS p WHERE p.call IS NOT NULL ORDER BY p.place),
    expected AS (
        INSERT INTO seats_internal.expected_event
            (idempotency_key, destination, team_id, call_id, base, target, sent_at)
        SELECT p.key, p.destination, p.team_id, p.call, p.base, p.target, p.sent_at
          FROM plain AS p WHERE p.call IS NOT NULL ORDER BY p.place),
    line AS (
        UPDATE seats_internal.seat_line AS s SET confirmed = (p.target ->> s.seat_type)::integer
          FROM plain AS p
         WHERE s.team_id = p.team_id AND s.team_id = ANY (ARRAY(SELECT q.team_id FROM plain AS q WHERE q.call IS NOT NULL))
           AND s.confirmed <> (p.target ->> s.seat_type)::integer),
    -- (What apply_facts stores of them, where the status and the prices are those of the last time.)
    team AS (
        UPDATE seats_internal.team AS t
           SET customer             = coalesce((p.told).customer, t.customer),
               livemode             = (p.told).livemode,
               collection_method    = (p.told).collection_method,
               cancel_at_period_end = coalesce((p.told).cancel_at_period_end, false),
               cancel_at            = to_timestamp((p.told).cancel_at),
               current_period_end   = to_timestamp((p.told).current_period_end),
               trial_end            = to_timestamp((p.told).trial_end),
               ended_at             = to_timestamp((p.told).ended_at),
               schedule             = (p.told).schedule,
               paused               = coalesce((p.told).paused, false),
               items                = (p.told).items,
               base_proven_at       = proven_at[p.place],
               base_run             = settle_plain_changes.run,
               currency             = coalesce((p.told).currency, t.currency),
               latest_invoice       = (p.told).invoice ->> 'id',
               past_due_invoice     = NULL,
               changes              = t.changes + 1
          FROM plain AS p
         WHERE t.id = p.team_id AND t.id = ANY (ARRAY(SELECT q.team_id FROM plain AS q)))
    SELECT coalesce(array_agg(p.place), '{}'), is_numbered AND count(p.call) > 0 INTO places, has_numbered FROM plain AS p;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.settle_plain_changes(bigint[], bigint[], text[], timestamptz[], uuid, pg_snapshot) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.settle_plain_changes(bigint[], bigint[], text[], timestamptz[], uuid, pg_snapshot) IS
    'settles those of a batch of which nothing but the quantities is news; gives their places';
