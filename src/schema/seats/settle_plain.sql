-- Plain settlements: a call of one change was executed as it was asked for, its own answer says so, and nothing else of
-- its team is open that this could concern. That is nearly every one. A whole batch of them is looked at by one statement
-- and written by another one, where settle_change takes some thirty for each. Whatever is unusual is left to settle_change,
-- which is the rule: of what is taken here it would have made the same (the test settle_plain compares the two).

-- Those of the answers that are plain, and what is to be written of them. What is asked here is what settle_change, and
-- all that it calls, asks on the way to its first RETURN. A lane stands in a batch once at most. (In lateral joins each is
-- looked up by its key: what the worker joins otherwise it joins by hashing, and would read everybody's. Long because it is
-- the list of all that makes one plain.)
CREATE OR REPLACE FUNCTION seats_internal.plain_settlements(
    calls           bigint[],
    facts           text[],
    proven_at       timestamptz[],
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
    OUT as_of       timestamptz,
    OUT told        seats_internal.subscription_facts
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT q.place, q.call, q.lane_id, q.team_id, q.actor,
           jsonb_strip_nulls(jsonb_build_object('change', q.call, 'team', q.name, 'lines', q.lines))
               || seats_internal.invoice_detail(q.invoice),
           q.key, q.destination, q.sent_at, q.base, q.target, q.as_of, q.f
      FROM (SELECT a.place, a.as_of, f, h.id AS call, h.lane_id, h.actor, h.lines, h.invoice, h.destination, h.base, h.target,
                   coalesce(h.first_sent_at, h.created_at) AS sent_at,
                   seats_internal.idempotency_key(h.installation, h.uuid, h.generation) AS key,
                   t.id AS team_id, t.name, l.alerts,
                   -- Its own marker is the last one, and it has asked for nothing more: it has carried nobody, nothing
                   -- came since, and there is what it has asked for, and was before what that was computed on.
                   f.marker = seats_internal.marker_of(h.uuid, h.uuid, h.generation) AND f.pending_update IS NULL
                   AND i.are_counted AND i.quantities = h.target AND l.confirmed = h.base
                   AND l.number = i.number AND l.are_there AND NOT l.are_unusual
                   -- What is known of the subscription is as it was, but for its quantities and its invoice.
                   AND t.kind = 'team' AND t.lane_id = h.lane_id AND t.subscription = f.id
                   AND t.status IN ('active', 'trialing') AND f.status = t.status
                   AND t.items IS NOT NULL AND t.prices_seen = hashtextextended(f.prices::text, 0)
                   AND t.problem IS NULL AND t.count_problem IS NULL AND NOT t.drifts AND NOT t.waits_for_price AS is_plain
              FROM unnest(calls, facts, proven_at) WITH ORDINALITY AS a (call, facts, as_of, place)
              JOIN seats_internal.outbox_history AS h ON h.id = a.call
             CROSS JOIN LATERAL jsonb_populate_record(NULL::seats_internal.subscription_facts, a.facts::jsonb) AS f
             CROSS JOIN LATERAL (SELECT m.* FROM seats_internal.team AS m WHERE m.id = h.team_id OFFSET 0) AS t
             CROSS JOIN LATERAL (
                   SELECT count(*) AS number, jsonb_object_agg(s.seat_type, s.confirmed) AS confirmed,
                          bool_and(h.target ? s.seat_type) AS are_there,
                          bool_or(s.held OR s.awaiting > 0 OR s.missing > 0) AS are_unusual,
                          array_agg(format('over_allocated:%s:%s', s.team_id, s.seat_type)) AS alerts
                     FROM seats_internal.seat_line AS s WHERE s.team_id = t.id) AS l
             CROSS JOIN LATERAL (
                   SELECT count(*) AS number, jsonb_object_agg(coalesce(p.seat_type, '?'), e.quantity) AS quantities,
                          bool_and(p.seat_type IS NOT NULL AND e.quantity BETWEEN 0 AND 1000000000) AS are_counted
                     FROM jsonb_to_recordset(f.items) AS e (price text, quantity numeric, metered boolean)
                    CROSS JOIN LATERAL (SELECT (SELECT o.seat_type FROM seats_internal.seat_price AS o
                                                 WHERE o.price = e.price) OFFSET 0) AS p (seat_type)
                    WHERE e.metered IS NOT TRUE) AS i
             WHERE h.ring = (SELECT r.slot FROM seats_internal.ring AS r) AND h.id = ANY (calls)
               -- Done, at the first attempt.
               AND h.kind = 'change' AND h.result = 'done' AND h.clean AND h.settled_by IS NULL
               AND h.reason IS NULL AND h.error IS NULL AND h.error_code IS NULL AND h.decline_code IS NULL
            OFFSET 0) AS q
     WHERE q.is_plain
       -- Nobody waits for it: no other change, which it has carried, was tried apart from or that waits for a payment …
       AND NOT EXISTS (SELECT FROM seats_internal.outbox AS o
                        WHERE o.lane_id = q.lane_id
                          AND (o.state IN ('carried', 'awaiting') OR o.splits_left IS NOT NULL) OFFSET 0)
       -- … no invite, no person, and no event that came before it.
       AND NOT EXISTS (SELECT FROM seats_internal.invite AS i
                        WHERE i.team_id = q.team_id AND i.status = 'open' AND i.settled_at IS NULL OFFSET 0)
       AND NOT EXISTS (SELECT FROM seats_internal.alert AS w
                        WHERE w.fingerprint = ANY (q.alerts) AND w.resolved_at IS NULL OFFSET 0)
       AND NOT EXISTS (SELECT FROM seats_internal.webhook_event AS e WHERE e.idempotency_key = q.key OFFSET 0)
       AND NOT EXISTS (SELECT FROM seats_internal.expected_event AS e WHERE e.idempotency_key = q.key OFFSET 0);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.plain_settlements(bigint[], text[], timestamptz[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.plain_settlements(bigint[], text[], timestamptz[]) IS
    'those of a batch''s settled changes of which nothing but the quantities is news';

-- Settles the plain ones and gives them. `seen`: up to where the journal has its numbers; null: no numbers are given. With
-- them the entries need no second look (see journal_is_numbered); has_numbered: there is something to announce.
CREATE OR REPLACE FUNCTION seats_internal.settle_plain_changes(
    calls            bigint[],
    facts            text[],
    proven_at        timestamptz[],
    run              uuid,
    seen             pg_snapshot,
    OUT settled      bigint[],
    OUT has_numbered boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    is_numbered CONSTANT boolean := coalesce(seats_internal.journal_is_numbered(seen), false);
BEGIN
    WITH plain AS MATERIALIZED (
        SELECT p.*, row_number() OVER (ORDER BY p.place) AS position
          FROM seats_internal.plain_settlements(calls, facts, proven_at) AS p),
    number AS (
        UPDATE seats_internal.ring AS r SET last_journal_number = r.last_journal_number + (SELECT count(*) FROM plain)
         WHERE is_numbered AND EXISTS (SELECT FROM plain)
        RETURNING r.last_journal_number - (SELECT count(*) FROM plain) AS before),
    entry AS (
        INSERT INTO seats_internal.journal (ring, number, kind, role, actor, call_id, lane_id, detail)
        SELECT (SELECT r.slot FROM seats_internal.ring AS r), (SELECT n.before FROM number AS n) + p.position,
               seats_internal.journal_kind('done'), 'pg_seats', p.actor, p.call, p.lane_id, p.detail
          FROM plain AS p ORDER BY p.position),
    expected AS (
        INSERT INTO seats_internal.expected_event
            (idempotency_key, destination, team_id, call_id, base, target, sent_at)
        SELECT p.key, p.destination, p.team_id, p.call, p.base, p.target, p.sent_at
          FROM plain AS p ORDER BY p.position),
    line AS (
        UPDATE seats_internal.seat_line AS s SET confirmed = (p.target ->> s.seat_type)::integer
          FROM plain AS p
         WHERE s.team_id = p.team_id AND s.team_id = ANY (ARRAY(SELECT q.team_id FROM plain AS q))
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
               base_proven_at       = p.as_of,
               base_run             = settle_plain_changes.run,
               currency             = coalesce((p.told).currency, t.currency),
               latest_invoice       = (p.told).invoice ->> 'id',
               past_due_invoice     = NULL,
               changes              = t.changes + 1
          FROM plain AS p
         WHERE t.id = p.team_id AND t.id = ANY (ARRAY(SELECT q.team_id FROM plain AS q)))
    SELECT coalesce(array_agg(p.call), '{}'), is_numbered AND count(*) > 0 INTO settled, has_numbered FROM plain AS p;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.settle_plain_changes(bigint[], text[], timestamptz[], uuid, pg_snapshot) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.settle_plain_changes(bigint[], text[], timestamptz[], uuid, pg_snapshot) IS
    'settles those changes of a batch of which nothing but the quantities is news; gives them';
