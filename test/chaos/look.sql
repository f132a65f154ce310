-- What the test keeps beside the extension, and what it looks at from outside while everything happens.
CREATE SCHEMA chaos;

-- Which change an application's transaction has made: written by that transaction itself, so that it
-- stands here exactly if it was committed.
CREATE TABLE chaos.told (
    tag    text   NOT NULL,
    team   text   NOT NULL,
    change bigint,
    CONSTRAINT told_pkey PRIMARY KEY (tag)
);

-- The journal as an application has read it, entry by entry. What comes twice raises.
CREATE TABLE chaos.feed (
    number bigint NOT NULL,
    kind   text   NOT NULL,
    call   bigint,
    CONSTRAINT feed_pkey PRIMARY KEY (number)
);

-- What invited people have in their mail.
CREATE TABLE chaos.token (
    token text NOT NULL,
    team  text NOT NULL,
    CONSTRAINT token_pkey PRIMARY KEY (token)
);

-- What changes of a team were shown to cost: the proration_dates and calls of previews.
CREATE TABLE chaos.preview (
    team text   NOT NULL,
    date bigint NOT NULL,
    call bigint NOT NULL
);

-- The sum of P4, computed another way than the extension does: the last "set" and what was added since.
CREATE FUNCTION chaos.unfolded() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH line AS (
        SELECT o.team_id, l.seat_type, l.operation, l.quantity, o.id,
               max(o.id) FILTER (WHERE l.operation = 'set')
                   OVER (PARTITION BY o.team_id, l.seat_type) AS last_set
          FROM seats_internal.outbox AS o
         CROSS JOIN LATERAL jsonb_to_recordset(o.lines)
               AS l (seat_type text, operation text, quantity integer)
         WHERE o.kind = 'change'),
    sum AS (
        SELECT s.team_id, s.seat_type, s.confirmed, s.quantity,
               coalesce(max(l.quantity) FILTER (WHERE l.id = l.last_set), s.confirmed)
                   + coalesce(sum(l.quantity) FILTER (WHERE l.id > coalesce(l.last_set, 0)), 0) AS folded,
               coalesce(string_agg(l.operation || ' ' || l.quantity, ', ' ORDER BY l.id), 'none') AS open
          FROM seats_internal.seat_line AS s
          LEFT JOIN line AS l ON l.team_id = s.team_id AND l.seat_type = s.seat_type
         GROUP BY s.team_id, s.seat_type, s.confirmed, s.quantity)
    SELECT format('P4 team %s shows %s seats of type %s, but %s are confirmed and the open changes are: %s',
                  t.name, sum.quantity, sum.seat_type, sum.confirmed, sum.open)
      FROM sum JOIN seats_internal.team AS t ON t.id = sum.team_id
     WHERE sum.quantity <> greatest(sum.folded, 0);
END;

-- What stands on a payment is what its refunds make of it, a member has one that can be paid at most, and
-- what waits for a person is told.
CREATE FUNCTION chaos.wrong_payments() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('payments payment %s has refunded %s and reserved %s of %s, and its refunds say %s and %s', p.id, p.refunded,
                  p.refund_reserved, p.received, r.given, r.reserved)
      FROM seats_internal.payment AS p
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(r.amount) FILTER (WHERE r.state = 'succeeded'), 0) AS given,
                  coalesce(sum(r.amount) FILTER (WHERE r.state IN ('reserved', 'pending', 'requires_action')), 0) AS reserved
             FROM seats_internal.refund AS r WHERE r.payment_id = p.id) AS r
     WHERE (p.refunded, p.refund_reserved) <> (least(r.given, p.received), least(r.reserved, p.received - least(r.given, p.received)))
    UNION ALL
    SELECT format('payments member %s has the payments %s that can be paid, and live_payment_id is %s', m.id,
                  coalesce(l.payments, 'none'), coalesce(m.live_payment_id::text, 'null'))
      FROM seats_internal.payment_member AS m
     CROSS JOIN LATERAL (
           SELECT string_agg(p.id::text, ', ') AS payments FROM seats_internal.payment AS p
            WHERE p.member_id = m.id AND p.state IN ('creating', 'payable', 'processing') AND p.cancel_requested_at IS NULL
              -- (One that a failover had lost, and that was found again, has no call of its own. It is read first, and only
              -- then it is known whether it can be paid. Its read is there until then, or somebody was told that it failed.)
              AND NOT (p.call_id IS NULL AND p.read_at IS NULL
                       AND (EXISTS (SELECT FROM seats_internal.outbox AS r
                                     WHERE r.kind = 'payment_read' AND r.payment_id = p.id)
                            OR EXISTS (SELECT FROM seats_internal.alert AS a
                                        WHERE a.fingerprint = 'payment_unreadable:' || p.id AND a.resolved_at IS NULL)))) AS l
     WHERE l.payments <> m.live_payment_id::text
    UNION ALL
    SELECT format('payments payment %s is in review (%s), and no alert says so', p.id, p.review_reason)
      FROM seats_internal.payment AS p
     WHERE p.review_since IS NOT NULL
       AND NOT EXISTS (SELECT FROM seats_internal.alert AS a
                        WHERE a.fingerprint = 'payment:' || p.id AND a.resolved_at IS NULL);
END;

-- What must be so at every moment; a line for each thing that is not. One statement, one snapshot.
CREATE FUNCTION chaos.look() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT u.* FROM chaos.unfolded() AS u
    UNION ALL
    SELECT w.* FROM chaos.wrong_payments() AS w
    UNION ALL
    SELECT format('P4 team %s has %s members on %s seats of type %s, and no alert says so', t.name, m.used,
                  s.quantity, s.seat_type)
      FROM (SELECT m.team_id, m.seat_type, count(*) AS used FROM seats_internal.member AS m
             WHERE m.status = 'active' AND m.seat_type IS NOT NULL GROUP BY m.team_id, m.seat_type) AS m
      JOIN seats_internal.seat_line AS s ON s.team_id = m.team_id AND s.seat_type = m.seat_type
      JOIN seats_internal.team AS t ON t.id = m.team_id
     WHERE m.used > s.quantity
       AND NOT EXISTS (SELECT FROM seats_internal.alert AS a
                        WHERE a.fingerprint = format('over_allocated:%s:%s', m.team_id, m.seat_type)
                          AND a.resolved_at IS NULL)
    UNION ALL
    SELECT format('P2 call %s is in review (%s), and no alert says so', o.id, o.reason)
      FROM seats_internal.outbox AS o
     WHERE o.state = 'review'
       AND NOT EXISTS (SELECT FROM seats_internal.alert AS a
                        WHERE a.resolved_at IS NULL
                          AND (a.call_id = o.id OR starts_with(a.fingerprint, 'form:')))
    UNION ALL
    SELECT format('P2 the handler of call %s is in review (%s), and no alert says so', r.call_id, r.review_reason)
      FROM seats_internal.handler AS r
     WHERE r.review_since IS NOT NULL
       AND NOT EXISTS (SELECT FROM seats_internal.alert AS a WHERE a.resolved_at IS NULL AND a.call_id = r.call_id)
    UNION ALL
    SELECT format('P4 the call of change %s asks for fewer than no seats: %s', o.id, o.target)
      FROM seats_internal.outbox AS o, jsonb_each_text(o.target) AS t
     WHERE t.value::integer < 0
    UNION ALL
    -- (Seen once that may be a moment between two; seen twice, with the same start, it is not.)
    SELECT format('P6 the worker waits in a transaction (%s) since %s', a.wait_event, a.xact_start)
      FROM pg_stat_activity AS a
     WHERE a.backend_type = 'pg_seats worker' AND a.wait_event_type IN ('Extension', 'Activity')
       AND (a.xact_start IS NOT NULL OR a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL)
       AND coalesce(current_setting('pg_seats.debug_point', true), '') = ''
    UNION ALL
    SELECT format('P6 a session that waits for a change holds a snapshot: %s, since %s', a.query, a.query_start)
      FROM pg_stat_activity AS a
     WHERE a.query LIKE 'CALL seats.wait\_for\_%' AND a.state = 'active'
       AND a.wait_event_type = 'Extension' AND a.backend_xmin IS NOT NULL;
END;
