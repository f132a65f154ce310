-- How many rows of which kind the tables have. A small table is counted by whoever looks; one that is not small by the
-- worker, some pages at a time (src/engine/counting.cpp), so that a look costs the same at a million rows. What each row
-- counts as stands once, in a view for each table: its place, what is told apart of it (destination, label, reason), an
-- amount, and since when (at) which one (id) stands there. Under these views no join: the worker's settings would read
-- the whole other side for each slice.

-- Lanes whose first call waits as designed, so that all behind it do: found from those calls, and once for each look or
-- slice. From each call of a lane its first one would be looked up again and again, past all that have left the lane while
-- somebody keeps an old snapshot (50,000 of them held the worker up for 20 seconds). Beyond 2,000 calls that wait, nobody
-- looks.
CREATE OR REPLACE VIEW seats_internal.waiting_lane AS
SELECT o.lane_id
  FROM (SELECT o.lane_id, o.state_since FROM seats_internal.outbox AS o
         WHERE o.standing = 'awaiting' ORDER BY o.standing, o.id LIMIT 2000) AS o
 WHERE o.lane_id IS NOT NULL AND o.state_since > now() - interval '25 hours'
UNION ALL
-- (Of those that are due at a time of their own these are due last.)
SELECT o.lane_id
  FROM (SELECT o.lane_id, o.reason FROM seats_internal.outbox AS o
         WHERE o.due_at > now() - interval '5 minutes' ORDER BY o.due_at DESC LIMIT 2000) AS o
 WHERE o.lane_id IS NOT NULL AND o.reason = 'stripes_limit_for_a_subscription';
REVOKE ALL ON seats_internal.waiting_lane FROM PUBLIC;
COMMENT ON VIEW seats_internal.waiting_lane IS
    'lanes whose first call waits as designed: for its payment, or until Stripe''s limit lets it go';

-- (What time alone takes from a reason, src/engine/counting.cpp knows: payment, stripes_limit, behind.)
CREATE OR REPLACE VIEW seats_internal.counted_call AS
SELECT o.ctid AS place, o.destination, o.state::text AS label,
       CASE WHEN o.installation IS DISTINCT FROM (SELECT i.uuid FROM seats_internal.installation AS i) THEN 'foreign'
            WHEN seats_internal.is_delivery(o.kind) THEN 'delivery'
            WHEN o.state = 'review' THEN 'review'
            -- As designed, but not for ever: a payment that has not come within Stripe's 23 hours is looked at, and
            -- then settled.
            WHEN o.state = 'awaiting' AND o.state_since > clock_timestamp() - interval '25 hours' THEN 'payment'
            WHEN o.state = 'awaiting' THEN 'payment_overdue'
            WHEN o.reason = 'stripes_limit_for_a_subscription'
                 AND o.due_at > clock_timestamp() - interval '5 minutes' THEN 'stripes_limit'
            WHEN o.lane_id IN (SELECT w.lane_id FROM seats_internal.waiting_lane AS w) THEN 'behind'
            WHEN o.state IN ('sending', 'carried') THEN 'sent'
            WHEN o.attempts > 0 THEN 'retrying'
            ELSE 'queued' END AS reason,
       0::bigint AS amount, o.created_at AS at, o.id
  FROM seats_internal.outbox AS o;
REVOKE ALL ON seats_internal.counted_call FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted_call IS 'calls as they are counted: destination, state, and what they wait for';

-- The amount: failed tries.
CREATE OR REPLACE VIEW seats_internal.counted_handler AS
SELECT h.ctid AS place, NULL::text AS destination,
       CASE WHEN h.installation IS DISTINCT FROM (SELECT i.uuid FROM seats_internal.installation AS i) THEN 'foreign'
            ELSE seats_internal.state_of_handler(h) END AS label,
       NULL::text AS reason, CASE WHEN h.outcome IS NULL THEN 0 ELSE h.tries + h.retries END::bigint AS amount,
       CASE WHEN h.outcome IS NOT NULL AND h.review_since IS NULL THEN h.ended_at END AS at, h.call_id AS id
  FROM seats_internal.handler AS h;
REVOKE ALL ON seats_internal.counted_handler FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted_handler IS 'handlers that have not run as they are counted: by state';

-- Promise P4, looked at: quantity = confirmed, and the open changes applied to it. Of an unfolded line the id is its
-- team's.
CREATE OR REPLACE VIEW seats_internal.counted_seat_line AS
SELECT s.ctid AS place, NULL::text AS destination, v.label, NULL::text AS reason, v.amount::bigint AS amount,
       NULL::timestamptz AS at, s.team_id AS id
  FROM seats_internal.seat_line AS s
 CROSS JOIN LATERAL (
    SELECT count(*) AS reserved FROM seats_internal.invite AS i
     WHERE i.team_id = s.team_id AND i.seat_type = s.seat_type AND i.status = 'open') AS r
 CROSS JOIN LATERAL (VALUES
    ('confirmed', s.confirmed),
    ('unconfirmed', s.quantity - s.confirmed),
    ('awaiting', s.awaiting),
    ('billing_pending', CASE WHEN r.reserved > 0 THEN least(r.reserved, greatest(
        r.reserved - s.confirmed + (SELECT count(*) FROM seats_internal.member AS m
                                     WHERE m.team_id = s.team_id AND m.seat_type = s.seat_type
                                       AND m.status = 'active'), 0)) ELSE 0 END),
    ('unfolded', CASE WHEN s.quantity IS DISTINCT FROM greatest(coalesce(
        (SELECT seats_internal.fold(s.confirmed, l.operation, l.quantity ORDER BY o.id)
           FROM seats_internal.outbox AS o
          CROSS JOIN LATERAL jsonb_to_recordset(o.lines) AS l (seat_type text, operation text, quantity integer)
          WHERE o.lane_id = (SELECT t.lane_id FROM seats_internal.team AS t WHERE t.id = s.team_id)
            AND seats_internal.is_change(o.kind) AND l.seat_type = s.seat_type), s.confirmed), 0) THEN 1 END)) AS v (label, amount)
 WHERE v.amount <> 0;
REVOKE ALL ON seats_internal.counted_seat_line FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted_seat_line IS
    'seats as they are counted, by what they are; and (unfolded) lines whose quantity is not the sum that it should be';

CREATE OR REPLACE VIEW seats_internal.counted_team AS
SELECT t.ctid AS place, NULL::text AS destination, v.label, v.reason, 0::bigint AS amount, NULL::timestamptz AS at, t.id
  FROM seats_internal.team AS t
 CROSS JOIN LATERAL (VALUES
    (CASE WHEN t.kind = 'team' THEN coalesce(t.status, 'unread') END, 'status'),
    (CASE WHEN t.problem IS NOT NULL THEN 'unreadable' END, 'problem'),
    (CASE WHEN t.count_problem IS NOT NULL THEN 'uncounted' END, 'problem')) AS v (label, reason)
 WHERE v.label IS NOT NULL;
REVOKE ALL ON seats_internal.counted_team FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted_team IS
    'teams as they are counted: by the status of their subscription; and, with those of people, by what is wrong with it';

CREATE OR REPLACE VIEW seats_internal.counted_member AS
SELECT m.ctid AS place, NULL::text AS destination, 'used'::text AS label, NULL::text AS reason, 1::bigint AS amount,
       NULL::timestamptz AS at, m.id
  FROM seats_internal.member AS m
 WHERE m.status = 'active' AND m.seat_type IS NOT NULL;
REVOKE ALL ON seats_internal.counted_member FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted_member IS 'members as they are counted: those who sit on a seat';

CREATE OR REPLACE VIEW seats_internal.counted_invite AS
SELECT i.ctid AS place, NULL::text AS destination, 'reserved'::text AS label, NULL::text AS reason, 1::bigint AS amount,
       NULL::timestamptz AS at, i.id
  FROM seats_internal.invite AS i
 WHERE i.status = 'open' AND i.seat_type IS NOT NULL;
REVOKE ALL ON seats_internal.counted_invite FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted_invite IS 'invites as they are counted: those that keep a seat';

-- (Those that are over are counted by whoever reads the journal: they grow without end.)
CREATE OR REPLACE VIEW seats_internal.counted_payment AS
SELECT p.ctid AS place, p.destination, v.label, v.reason, 0::bigint AS amount, p.created_at AS at, p.id
  FROM seats_internal.payment AS p
 CROSS JOIN LATERAL (VALUES
    (CASE WHEN p.state IN ('creating', 'payable', 'processing') THEN p.state END,
     seats_internal.payment_state(p.state, p.cancel_requested_at)),
    (CASE WHEN p.review_since IS NOT NULL THEN 'review' END, 'review')) AS v (label, reason)
 WHERE v.label IS NOT NULL;
REVOKE ALL ON seats_internal.counted_payment FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted_payment IS
    'payments as they are counted: those that can still be paid by state, and (reason) as people are told it; those in '
    'review';

-- Pages up to which a table is small: of seat lines each asks for more. Changes: also whether the table was written anew
-- (VACUUM FULL, CLUSTER), which moves rows while they are counted.
CREATE OR REPLACE VIEW seats_internal.counted_table AS
SELECT t.number, t.name, p.pages, p.pages <= t.most_pages AS is_small,
       pg_stat_get_tuples_inserted(t.relation) + pg_stat_get_tuples_updated(t.relation)
           + pg_stat_get_tuples_deleted(t.relation) + pg_relation_filenode(t.relation)::bigint AS changes
  FROM (VALUES (0, 'outbox', 'seats_internal.outbox'::regclass::oid, 64),
               (1, 'handler', 'seats_internal.handler'::regclass, 64),
               (2, 'seat_line', 'seats_internal.seat_line'::regclass, 8),
               (3, 'team', 'seats_internal.team'::regclass, 64),
               (4, 'member', 'seats_internal.member'::regclass, 64),
               (5, 'invite', 'seats_internal.invite'::regclass, 64),
               (6, 'payment', 'seats_internal.payment'::regclass, 64)) AS t (number, name, relation, most_pages)
 CROSS JOIN LATERAL (
    SELECT pg_relation_size(t.relation) / current_setting('block_size')::bigint AS pages) AS p;
REVOKE ALL ON seats_internal.counted_table FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted_table IS
    'the tables whose rows are counted; changes: what the statistics say, to see whether there were any';

-- (The places stand there for the planner, too: he would count all of a large table, and have that compiled first.)
--
-- A table that was counted has a row without label beside those of its kinds; where there is none, its rows were not
-- counted: it is large, and no worker runs, or has come so far.
CREATE OR REPLACE VIEW seats_internal.counted AS
WITH counted_table AS MATERIALIZED (SELECT * FROM seats_internal.counted_table)
SELECT t.name AS table_name, NULL::text AS destination, NULL::text AS label, NULL::text AS reason, 0::bigint AS rows,
       0::bigint AS amount, NULL::timestamptz AS oldest_at, NULL::bigint AS oldest_id, clock_timestamp() AS counted_at
  FROM counted_table AS t WHERE t.is_small
UNION ALL
SELECT t.name, s.destination, s.label, s.reason, s.rows, s.amount, s.oldest_at, s.oldest_id, s.counted_at
  FROM seats_internal.counts_shown() AS s
  JOIN counted_table AS t ON t.number = s.table_number
 WHERE NOT t.is_small
UNION ALL
SELECT 'outbox', c.destination, c.label, c.reason, count(*), sum(c.amount)::bigint, min(c.at),
       (array_agg(c.id ORDER BY c.at, c.id))[1], clock_timestamp()
  FROM seats_internal.counted_call AS c
 WHERE (SELECT t.is_small FROM counted_table AS t WHERE t.name = 'outbox') AND c.place < '(64,0)'::tid
 GROUP BY c.destination, c.label, c.reason
UNION ALL
SELECT 'handler', c.destination, c.label, c.reason, count(*), sum(c.amount)::bigint, min(c.at),
       (array_agg(c.id ORDER BY c.at, c.id))[1], clock_timestamp()
  FROM seats_internal.counted_handler AS c
 WHERE (SELECT t.is_small FROM counted_table AS t WHERE t.name = 'handler') AND c.place < '(64,0)'::tid
 GROUP BY c.destination, c.label, c.reason
UNION ALL
SELECT 'seat_line', c.destination, c.label, c.reason, count(*), sum(c.amount)::bigint, min(c.at),
       (array_agg(c.id ORDER BY c.at, c.id))[1], clock_timestamp()
  FROM seats_internal.counted_seat_line AS c
 WHERE (SELECT t.is_small FROM counted_table AS t WHERE t.name = 'seat_line') AND c.place < '(8,0)'::tid
 GROUP BY c.destination, c.label, c.reason
UNION ALL
SELECT 'team', c.destination, c.label, c.reason, count(*), sum(c.amount)::bigint, min(c.at),
       (array_agg(c.id ORDER BY c.at, c.id))[1], clock_timestamp()
  FROM seats_internal.counted_team AS c
 WHERE (SELECT t.is_small FROM counted_table AS t WHERE t.name = 'team') AND c.place < '(64,0)'::tid
 GROUP BY c.destination, c.label, c.reason
UNION ALL
SELECT 'member', c.destination, c.label, c.reason, count(*), sum(c.amount)::bigint, min(c.at),
       (array_agg(c.id ORDER BY c.at, c.id))[1], clock_timestamp()
  FROM seats_internal.counted_member AS c
 WHERE (SELECT t.is_small FROM counted_table AS t WHERE t.name = 'member') AND c.place < '(64,0)'::tid
 GROUP BY c.destination, c.label, c.reason
UNION ALL
SELECT 'invite', c.destination, c.label, c.reason, count(*), sum(c.amount)::bigint, min(c.at),
       (array_agg(c.id ORDER BY c.at, c.id))[1], clock_timestamp()
  FROM seats_internal.counted_invite AS c
 WHERE (SELECT t.is_small FROM counted_table AS t WHERE t.name = 'invite') AND c.place < '(64,0)'::tid
 GROUP BY c.destination, c.label, c.reason
UNION ALL
SELECT 'payment', c.destination, c.label, c.reason, count(*), sum(c.amount)::bigint, min(c.at),
       (array_agg(c.id ORDER BY c.at, c.id))[1], clock_timestamp()
  FROM seats_internal.counted_payment AS c
 WHERE (SELECT t.is_small FROM counted_table AS t WHERE t.name = 'payment') AND c.place < '(64,0)'::tid
 GROUP BY c.destination, c.label, c.reason;
REVOKE ALL ON seats_internal.counted FROM PUBLIC;
COMMENT ON VIEW seats_internal.counted IS
    'how many rows of which kind the tables have: a row for each kind, and one without label for each table that was counted';
