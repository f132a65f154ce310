-- health: a row per check, with what to do. Its cost does not grow with the tables: whatever there can be much of it takes
-- from seats_internal.counted, or by an index with a bound. Ages are as of the count: what has gone since does not grow older.

CREATE OR REPLACE VIEW seats_internal.oldest_snapshot AS
SELECT max(s.age) AS age
  FROM (SELECT age(a.backend_xmin) FROM pg_stat_activity AS a
         WHERE a.pid <> pg_backend_pid() AND a.backend_xmin IS NOT NULL
        UNION ALL
        SELECT age(r.xmin) FROM pg_replication_slots AS r WHERE r.xmin IS NOT NULL
        UNION ALL
        SELECT age(p.transaction) FROM pg_prepared_xacts AS p) AS s (age);
REVOKE ALL ON seats_internal.oldest_snapshot FROM PUBLIC;
COMMENT ON VIEW seats_internal.oldest_snapshot IS
    'how many transactions ago the oldest snapshot was taken that keeps vacuum from removing rows';

-- What a person must decide is found by an index, and not by the worker's count: it is told of at once, and also while
-- there is no worker. (In the index's order: where there are no statistics, a whole table would be read for a thousand rows.)
CREATE OR REPLACE VIEW seats_internal.found_reviews AS
SELECT (SELECT count(*)
          FROM (SELECT FROM seats_internal.outbox AS o WHERE o.standing = 'review' ORDER BY o.standing, o.id LIMIT 1001) AS x)
           AS calls,
       (SELECT count(*)
          FROM (SELECT FROM seats_internal.handler AS h WHERE h.review_since IS NOT NULL ORDER BY h.lane_id, h.call_id
                 LIMIT 1001) AS x)
           AS handlers,
       (SELECT count(*)
          FROM (SELECT FROM seats_internal.payment AS p WHERE p.review_since IS NOT NULL ORDER BY p.review_since LIMIT 1001) AS x)
           AS payments;
REVOKE ALL ON seats_internal.found_reviews FROM PUBLIC;
COMMENT ON VIEW seats_internal.found_reviews IS
    'how much waits for a person''s decision, counted to a thousand: 1001 means that there is more';

CREATE OR REPLACE VIEW seats.health AS
WITH counted AS MATERIALIZED (SELECT * FROM seats_internal.counted),
found AS MATERIALIZED (SELECT * FROM seats_internal.found_reviews),
outbox AS MATERIALIZED (
    SELECT count(*) > 0 AS is_counted, max(c.counted_at) AS counted_at,
           max(c.counted_at - c.oldest_at) FILTER (WHERE c.reason = 'delivery') AS oldest_delivery,
           coalesce(sum(c.rows) FILTER (WHERE c.reason = 'foreign'), 0) AS foreign_rows,
           max(c.counted_at - c.oldest_at) FILTER (WHERE u.is_unsettled) AS oldest,
           (array_agg(c.oldest_id ORDER BY c.oldest_at, c.oldest_id) FILTER (WHERE u.is_unsettled))[1] AS oldest_call
      FROM counted AS c
     -- (What waits as designed: for its payment, until Stripe's limit lets it go, or behind such a call.)
     CROSS JOIN LATERAL (
        SELECT c.reason IN ('queued', 'retrying', 'sent', 'payment_overdue') AND c.label <> 'carried')
            AS u (is_unsettled)
     WHERE c.table_name = 'outbox'),
worker AS MATERIALIZED (
    SELECT w.*, pg_is_in_recovery() AS standby,
           clock_timestamp() - w.last_loop_at
               > interval '1 minute'
                 + 3 * coalesce(current_setting('pg_seats.safety_poll', true), '30s')::interval
               AS stands_still
      FROM seats_internal.worker_state() AS w),
-- Of calls that have ended.
handler AS MATERIALIZED (
    SELECT max(c.counted_at - c.oldest_at) AS oldest,
           (array_agg(c.oldest_id ORDER BY c.oldest_at, c.oldest_id) FILTER (WHERE c.oldest_at IS NOT NULL))[1] AS call_id,
           count(*) > 0 AS is_counted
      FROM counted AS c
     WHERE c.table_name = 'handler' AND c.label IS DISTINCT FROM 'foreign'),
creating AS MATERIALIZED (
    SELECT c.destination, max(c.counted_at - c.oldest_at) AS age,
           (array_agg(c.oldest_id ORDER BY c.oldest_at, c.oldest_id))[1] AS payment
      FROM counted AS c
     WHERE c.table_name = 'payment' AND c.label = 'creating'
     GROUP BY c.destination),
payment AS MATERIALIZED (
    SELECT one.is_counted, c.payment AS oldest, c.age AS creating
      FROM (SELECT count(*) > 0 AS is_counted
              FROM counted AS c WHERE c.table_name = 'payment') AS one
      LEFT JOIN LATERAL (SELECT * FROM creating AS c ORDER BY c.age DESC, c.payment LIMIT 1) AS c ON true),
payment_listing AS MATERIALIZED (
    SELECT l.destination, l.holds_creates, l.wanted_reason, l.found, l.finished_at, c.held, s.strays,
           EXISTS (SELECT FROM seats_internal.overdue_listing AS o WHERE o.destination = l.destination) AS is_overdue
      FROM seats_internal.payment_listing AS l
     CROSS JOIN LATERAL (
        SELECT max(c.age) AS held FROM creating AS c WHERE c.destination = l.destination) AS c
     CROSS JOIN LATERAL (
        SELECT count(*) AS strays
          FROM (SELECT FROM seats_internal.nobodys_intent AS s
                 -- (Of what was paid there is an alert.)
                 WHERE s.destination = l.destination AND s.status NOT IN ('succeeded', 'canceled')
                 LIMIT 1001) AS s) AS s
     -- (After a failover they are listed, too, where nobody has ever paid.)
     WHERE s.strays > 0
        OR EXISTS (SELECT FROM seats_internal.payment_request AS r WHERE r.destination = l.destination)),
-- (It may have run since.)
oldest_handler AS MATERIALIZED (
    SELECT h.call_id, h.error_code, h.error, h.lane_id
      FROM handler AS o
     CROSS JOIN LATERAL (SELECT * FROM seats_internal.handler AS h WHERE h.call_id = o.call_id LIMIT 1) AS h),
unfolded AS MATERIALIZED (
    SELECT coalesce(sum(c.rows) FILTER (WHERE c.label = 'unfolded'), 0) AS lines, count(*) > 0 AS is_counted,
           (SELECT t.name FROM seats_internal.team AS t
             WHERE t.id = min(c.oldest_id) FILTER (WHERE c.label = 'unfolded')) AS team
      FROM counted AS c WHERE c.table_name = 'seat_line')
SELECT 'preloaded' AS check_name,
       CASE WHEN w.preloaded THEN 'ok' ELSE 'critical' END AS status,
       CASE WHEN w.preloaded THEN 'pg_seats is in shared_preload_libraries'
            ELSE 'pg_seats is not in shared_preload_libraries: there can be no worker' END AS message,
       CASE WHEN NOT w.preloaded
            THEN 'Add pg_seats to shared_preload_libraries and restart the server.' END AS hint
  FROM worker AS w
UNION ALL
SELECT 'worker',
       CASE WHEN w.standby THEN 'ok'
            WHEN w.state NOT IN ('running', 'fenced', 'starting') THEN 'critical'
            WHEN w.state = 'starting' OR w.stands_still OR w.debug_point <> ''
                 OR w.state = 'running' AND w.trouble <> '' THEN 'warning'
            ELSE 'ok' END,
       CASE WHEN w.standby THEN 'this is a standby: the primary''s worker sends'
            WHEN w.stands_still THEN format('last seen at %s', w.last_loop_at)
            ELSE concat_ws('; ', w.state, nullif(w.trouble, ''), nullif(w.debug_point, '')) END,
       CASE WHEN NOT w.standby AND (w.state NOT IN ('running', 'fenced') OR w.stands_still
                                    OR w.state = 'running' AND w.trouble <> '')
            THEN 'See seats.worker_status; the server''s log tells more.' END
  FROM worker AS w
UNION ALL
SELECT 'installation',
       CASE WHEN i.uuid IS NULL OR w.state = 'fenced' THEN 'critical' ELSE 'ok' END,
       CASE WHEN i.uuid IS NULL THEN 'this database has no installation and sends nothing'
            WHEN w.state = 'fenced' THEN 'this database may not send: ' || w.trouble
            ELSE 'installation ' || i.uuid END,
       CASE WHEN i.uuid IS NULL THEN 'A superuser calls seats.create_installation().'
            WHEN w.state = 'fenced' AND (w.trouble LIKE 'it is a copy:%'
                                         OR w.trouble LIKE '%/installation.%does not exist%')
            THEN 'If this is a copy, or was moved or restored: seats.adopt_database(reason, '
                 'replaces_original).'
            WHEN w.state = 'fenced'
            THEN 'Put right what the message says; the worker sees it within a second.' END
  FROM worker AS w LEFT JOIN seats_internal.installation AS i ON true
UNION ALL
SELECT 'destination ' || d.name,
       CASE d.state WHEN 'open' THEN 'ok' WHEN 'halted' THEN 'critical' ELSE 'warning' END,
       CASE d.state
            WHEN 'halted' THEN format('halted (%s): %s', d.halted_reason, d.halted_message)
            WHEN 'paused' THEN format('paused by %s: %s', d.paused_by, d.paused_reason)
            WHEN 'interrupted' THEN concat('it does not answer (', d.trouble,
                                           '); a read tries it from time to time')
            WHEN 'unproven' THEN CASE WHEN d.kind = 'stripe'
                                      THEN concat_ws(': ', 'its key was not proven yet', d.trouble)
                                      ELSE 'its secret cannot be used: nothing is sent to it' END
            WHEN 'not taken up' THEN 'the worker does not know it yet, or there is none'
            ELSE d.state END,
       CASE WHEN d.state = 'halted' AND NOT d.halted_needs_person
            THEN 'Put the cause right: it resumes when a read succeeds.'
            WHEN d.state IN ('halted', 'paused')
            THEN 'seats.resume(destination, reason), when the cause is gone.'
            WHEN d.state = 'interrupted'
            THEN 'Calls wait, and go on by themselves when it answers.'
            WHEN d.state = 'unproven' AND d.kind = 'stripe' AND d.trouble IS NOT NULL
            THEN 'Is base_url right, is it reachable from this server, and is its certificate one that '
                 'the server trusts (pg_seats.ca_file)? It is tried again by itself.'
            WHEN d.state = 'unproven'
            THEN format('Is there a file %s in pg_seats.secrets_directory, readable by the server only, and with '
                        'what belongs there?%s', d.secret_file,
                        CASE WHEN d.kind <> 'stripe' THEN ' The alert receiver_fails says more.' END) END
  FROM seats.destinations AS d
UNION ALL
SELECT 'reviews', CASE WHEN r.calls > 0 THEN 'critical' ELSE 'ok' END,
       format('%s call(s) wait for a person''s decision', seats_internal.up_to_thousand(r.calls)),
       CASE WHEN r.calls > 0 THEN 'See seats.reviews; decide with seats.resolve_review.' END
  FROM found AS r
UNION ALL
SELECT 'handlers',
       CASE WHEN r.handlers > 0 THEN 'critical' WHEN h.oldest > interval '1 minute' THEN 'warning' ELSE 'ok' END,
       CASE WHEN r.handlers = 0 AND h.is_counted AND h.oldest IS NULL THEN 'every handler of a call that has ended has run'
            ELSE concat_ws('; ',
                CASE WHEN r.handlers > 0
                     THEN format('%s handler(s) wait for a person''s decision',
                                 seats_internal.up_to_thousand(r.handlers)) END,
                CASE WHEN NOT h.is_counted THEN 'they are many, and nobody has counted them yet' END,
                CASE WHEN h.oldest IS NOT NULL
                     THEN format('the oldest that is to run, of call %s, waits for %s', h.call_id,
                                 date_trunc('second', h.oldest)) END,
                CASE WHEN o.error IS NOT NULL THEN format('it has failed (%s: %s)', o.error_code, left(o.error, 200))
                     WHEN h.oldest > interval '1 minute' AND current_setting('pg_seats.handler_workers', true) = '0'
                     THEN 'pg_seats.handler_workers is 0'
                     ELSE coalesce(
                         (SELECT format('that of call %s, of the same lane, comes first', e.call_id)
                            FROM seats_internal.handler AS e
                           WHERE e.lane_id = o.lane_id AND e.call_id < o.call_id AND e.outcome IS NOT NULL
                           ORDER BY e.call_id LIMIT 1),
                         (SELECT max(s.trouble) FROM seats_internal.handler_state() AS s WHERE s.state = 'wanted'))
                     END) END,
       CASE WHEN r.handlers > 0
            THEN 'See seats.reviews and seats.handlers. Remove the cause, then seats.resolve_review: retry, skip, or run '
                 'another function.'
            WHEN h.oldest > interval '1 minute'
            THEN format('SELECT seats.explain_call(%s) tells why. See seats.handlers.', h.call_id) END
  FROM handler AS h CROSS JOIN found AS r LEFT JOIN oldest_handler AS o ON true
UNION ALL
SELECT 'oldest_call',
       CASE WHEN o.oldest > interval '1 hour' THEN 'critical'
            WHEN o.oldest > interval '5 minutes' OR NOT o.is_counted AND NOT w.standby THEN 'warning' ELSE 'ok' END,
       CASE WHEN NOT o.is_counted THEN 'calls are many, and nobody has counted them yet'
            WHEN o.oldest IS NULL THEN 'nothing is waiting'
            ELSE concat_ws('; ',
                format('the oldest unsettled call, %s, is %s old', o.oldest_call, date_trunc('second', o.oldest)),
                CASE WHEN o.counted_at < clock_timestamp() - interval '1 minute'
                     THEN format('counted at %s', date_trunc('second', o.counted_at)) END) END,
       CASE WHEN o.oldest > interval '5 minutes'
            THEN format('SELECT seats.explain_call(%s) tells what holds it back. See seats.outbox, '
                        'seats.blocked_lanes and seats.destinations.', o.oldest_call)
            WHEN NOT o.is_counted AND NOT w.standby
            THEN 'The worker counts them: see the check worker.' END
  FROM outbox AS o CROSS JOIN worker AS w
UNION ALL
SELECT 'deliveries', CASE WHEN o.oldest_delivery > interval '10 minutes' THEN 'warning' ELSE 'ok' END,
       CASE WHEN o.is_counted
            THEN coalesce('the oldest delivery that a receiver has not taken is '
                          || date_trunc('second', o.oldest_delivery) || ' old', 'receivers have taken everything')
            ELSE 'calls are many, and nobody has counted them yet' END,
       CASE WHEN o.oldest_delivery > interval '10 minutes'
            THEN 'See seats.receivers; what it is to be told stands in seats.alerts and seats.journal.' END
  FROM outbox AS o
UNION ALL
SELECT 'seats', CASE WHEN u.lines > 0 THEN 'critical' ELSE 'ok' END,
       CASE WHEN NOT u.is_counted THEN 'seat lines are many, and nobody has looked at them yet' ELSE
       format('%s seat line(s) whose quantity is not what is confirmed with the open changes applied',
              u.lines) || coalesce('; one of them is of team ' || quote_literal(u.team), '') END,
       CASE WHEN u.lines > 0
            THEN 'That is a mistake of pg_seats, or somebody has changed its tables: please report it. '
                 'Compare seats.teams with seats.changes; seats.reconcile(team, reason) computes a '
                 'team''s quantities anew.' END
  FROM unfolded AS u
UNION ALL
SELECT 'payments',
       CASE WHEN r.payments > 0 THEN 'critical' WHEN p.creating > interval '5 minutes' THEN 'warning' ELSE 'ok' END,
       concat_ws('; ', format('%s payment(s) wait for a person''s decision', seats_internal.up_to_thousand(r.payments)),
                 CASE WHEN NOT p.is_counted THEN 'payments are many, and nobody has counted them yet' END,
                 CASE WHEN p.oldest IS NOT NULL
                      THEN format('the oldest that has no intent yet, %s, waits for %s', p.oldest,
                                  date_trunc('second', p.creating)) END),
       CASE WHEN r.payments > 0
            THEN 'See seats.payments, where review_since is not null; decide with seats.resolve_payment.'
            WHEN p.creating > interval '5 minutes'
            THEN format('SELECT seats.explain_call(%s) tells what holds it back.', p.oldest) END
  FROM payment AS p CROSS JOIN found AS r
UNION ALL
SELECT 'payment_listing ' || l.destination,
       CASE WHEN l.holds_creates AND l.held > interval '10 minutes' THEN 'critical'
            WHEN l.holds_creates OR l.is_overdue OR l.strays > 0 THEN 'warning' ELSE 'ok' END,
       concat_ws('; ',
           CASE WHEN l.holds_creates THEN format('no intent is made before those are listed that were forgotten '
                                                 '(%s); %s found so far', l.wanted_reason, l.found) END,
           format('%s intent(s) at Stripe that can be paid, and that no payment here has',
                  seats_internal.up_to_thousand(l.strays)),
           CASE WHEN l.finished_at IS NULL THEN 'its intents were never listed to the end'
                ELSE format('its intents were last listed at %s', date_trunc('second', l.finished_at)) END),
       CASE WHEN l.holds_creates
            THEN 'It goes on by itself once Stripe answers: see seats.destinations.'
            WHEN l.strays > 0
            THEN 'See seats.payment_drift. pg_seats.payment_sweep = cancel has them cancelled.'
            WHEN l.is_overdue
            THEN 'Does Stripe answer (seats.destinations), and may the key list PaymentIntents?' END
  FROM payment_listing AS l
UNION ALL
SELECT 'unreadable_subscriptions', CASE WHEN t.teams > 0 THEN 'critical' ELSE 'ok' END,
       CASE WHEN t.is_counted THEN format('%s subscription(s) that cannot be read', t.teams)
            ELSE 'teams are many, and nobody has counted them yet' END,
       CASE WHEN t.teams > 0
            THEN 'See the column problem of seats.teams and seats.individuals, where it is not null.' END
  FROM (SELECT coalesce(sum(c.rows) FILTER (WHERE c.label = 'unreadable' AND c.reason = 'problem'), 0) AS teams,
               count(*) > 0 AS is_counted
          FROM counted AS c WHERE c.table_name = 'team') AS t
UNION ALL
SELECT 'uncounted_subscriptions', CASE WHEN t.teams > 0 THEN 'critical' ELSE 'ok' END,
       CASE WHEN t.is_counted THEN format('%s subscription(s) with items that cannot be counted as seats', t.teams)
            ELSE 'teams are many, and nobody has counted them yet' END,
       CASE WHEN t.teams > 0
            THEN 'See the column problem of seats.teams. seats.define_seat_type lists a price that is '
                 'one of seats, seats.ignore_prices(prices, reason) says that it is none.' END
  FROM (SELECT coalesce(sum(c.rows) FILTER (WHERE c.label = 'uncounted' AND c.reason = 'problem'), 0) AS teams,
               count(*) > 0 AS is_counted
          FROM counted AS c WHERE c.table_name = 'team') AS t
UNION ALL
SELECT 'webhooks',
       CASE WHEN count(*) FILTER (WHERE e.tries >= 8) > 0 THEN 'critical'
            WHEN count(*) > 0 THEN 'warning' ELSE 'ok' END,
       format('%s event(s) that came and could not be processed yet', seats_internal.up_to_thousand(count(*))),
       CASE WHEN count(*) > 0
            THEN 'The column error of seats.webhook_events says why (outcome stored, tries > 0); the '
                 'worker tries them again.' END
  FROM (SELECT e.tries FROM seats_internal.webhook_event AS e
         WHERE e.retry_at IS NOT NULL ORDER BY e.retry_at LIMIT 1001) AS e
 WHERE e.tries > 0
UNION ALL
SELECT 'foreign_calls', CASE WHEN o.foreign_rows > 0 THEN 'warning' ELSE 'ok' END,
       CASE WHEN o.is_counted
            THEN format('%s call(s) of another installation, which this one does not send', o.foreign_rows)
            ELSE 'calls are many, and nobody has counted them yet' END,
       CASE WHEN o.foreign_rows > 0
            THEN 'See seats.outbox: their idempotency_key begins with another installation''s id. If this '
                 'database takes over from the original: seats.adopt_database.' END
  FROM outbox AS o
UNION ALL
SELECT 'alerts',
       CASE WHEN count(*) > 1000 OR max(seats_internal.severity_rank(a.severity)) > 2 THEN 'critical'
            WHEN max(seats_internal.severity_rank(a.severity)) = 2 THEN 'warning' ELSE 'ok' END,
       format('%s open alert(s) that nobody has acknowledged', seats_internal.up_to_thousand(count(*))),
       CASE WHEN count(*) > 0
            THEN 'See seats.alerts, state open; seats.acknowledge says that you look after one.' END
  FROM (SELECT a.severity, a.acknowledged_at FROM seats_internal.alert AS a WHERE a.resolved_at IS NULL LIMIT 1001) AS a
 WHERE a.acknowledged_at IS NULL
UNION ALL
SELECT 'journal consumer ' || c.consumer,
       CASE WHEN c.has_lost_entries THEN 'critical'
            WHEN c.oldest_unread_at < clock_timestamp() - interval '1 hour' THEN 'warning'
            ELSE 'ok' END,
       CASE WHEN c.has_lost_entries
            THEN format('it has not read entries that are gone: it was done up to number %s', c.acknowledged)
            WHEN c.behind > 0
            THEN format('%s entries behind, the oldest of %s', c.behind, date_trunc('second', c.oldest_unread_at))
            ELSE 'it has read everything' END,
       CASE WHEN c.has_lost_entries
            THEN 'Compare the application''s state with seats.teams, seats.members and seats.changes, '
                 'then let it go on with seats.acknowledge_journal.'
            WHEN c.oldest_unread_at < clock_timestamp() - interval '1 hour'
            THEN 'See seats.journal_consumers. Is the application running? Entries leave after '
                 'pg_seats.history_days. If it is gone for good: seats.drop_journal_consumer(consumer, reason).' END
  FROM seats.journal_consumers AS c
UNION ALL
SELECT 'old_snapshots', CASE WHEN s.age > 200000 THEN 'warning' ELSE 'ok' END,
       format('the oldest snapshot is %s transactions old', coalesce(s.age, 0)),
       CASE WHEN s.age > 200000
            THEN 'Vacuum can remove nothing newer, and the outbox grows: look for old transactions '
                 'in pg_stat_activity, pg_prepared_xacts and pg_replication_slots.' END
  FROM seats_internal.oldest_snapshot AS s
UNION ALL
SELECT 'dead_rows', CASE WHEN t.n_dead_tup > 100000 THEN 'warning' ELSE 'ok' END,
       format('%s dead rows in the outbox, last autovacuum %s', t.n_dead_tup,
              coalesce(date_trunc('second', t.last_autovacuum)::text, 'never')),
       CASE WHEN t.n_dead_tup > 100000
            THEN 'Is autovacuum running, and does the check old_snapshots say ok?' END
  FROM pg_stat_all_tables AS t
 WHERE t.relid = 'seats_internal.outbox'::regclass;
REVOKE ALL ON seats.health FROM PUBLIC;
COMMENT ON VIEW seats.health IS 'a row per check: is all well, and if not, what to do';
COMMENT ON COLUMN seats.health.status IS 'ok, warning or critical';
