-- metrics: numbers for a monitoring system. Whatever there can be much of comes from seats_internal.counted, from shared
-- memory or by an index with a bound, so that a scrape costs the same at a million rows. Ages are as of the count: what has
-- gone since does not grow older. What is not known (nobody has counted it, no worker runs) is absent: a zero would lie.

-- (metric: as in seats_internal.metric_definitions; part: of a histogram.)
CREATE OR REPLACE VIEW seats_internal.metric_value AS
WITH worker AS MATERIALIZED (SELECT * FROM seats_internal.worker_state()),
counted AS MATERIALIZED (SELECT * FROM seats_internal.counted),
counted_table AS MATERIALIZED (SELECT c.table_name, c.counted_at FROM counted AS c WHERE c.label IS NULL),
destination AS MATERIALIZED (SELECT * FROM seats.destinations),
-- What holds back calls that nothing else does.
waiting AS MATERIALIZED (
    SELECT CASE WHEN c.reason NOT IN ('queued', 'retrying') THEN c.reason
                WHEN d.state IN ('halted', 'paused') THEN d.state
                WHEN d.state = 'interrupted' THEN 'stripe_down'
                ELSE c.reason END AS reason, c.rows, extract(epoch FROM c.counted_at - c.oldest_at) AS age
      FROM counted AS c LEFT JOIN destination AS d ON d.name = c.destination
     WHERE c.table_name = 'outbox')
SELECT 'pg_seats_info' AS metric, '' AS part, jsonb_build_object('version', e.extversion) AS labels,
       1::double precision AS value
  FROM pg_extension AS e WHERE e.extname = 'pg_seats'
UNION ALL
SELECT m.metric, '', m.labels, m.value::double precision
  FROM worker AS w
 CROSS JOIN LATERAL (VALUES
     ('pg_seats_worker_up', '{}'::jsonb, CASE w.state WHEN 'running' THEN 1 ELSE 0 END),
     ('pg_seats_standby', '{}', CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END),
     ('pg_seats_worker_last_loop_age_seconds', '{}', extract(epoch FROM clock_timestamp() - w.last_loop_at)),
     ('pg_seats_in_flight', '{}', CASE WHEN w.pid IS NOT NULL THEN w.in_flight END),
     ('pg_seats_ready', '{}', CASE WHEN w.pid IS NOT NULL THEN w.ready END)) AS m (metric, labels, value)
 WHERE m.value IS NOT NULL
UNION ALL
SELECT m.metric, '', m.labels, m.value
  FROM worker AS w
 CROSS JOIN LATERAL (VALUES
     ('pg_seats_loops_total', '{}'::jsonb, w.loops),
     ('pg_seats_transactions_total', '{}', w.transactions),
     ('pg_seats_wakes_total', '{}', w.wakes),
     ('pg_seats_claims_total', '{}', w.claims),
     ('pg_seats_frozen_total', '{}', w.frozen),
     ('pg_seats_sent_total', '{}', w.sent),
     ('pg_seats_reads_total', '{}', w.reads),
     ('pg_seats_answers_total', '{"verdict": "done"}', w.done),
     ('pg_seats_answers_total', '{"verdict": "refused"}', w.refused),
     ('pg_seats_answers_total', '{"verdict": "again"}', w.again),
     ('pg_seats_answers_total', '{"verdict": "unknown"}', w.unknown),
     ('pg_seats_answers_total', '{"verdict": "halted"}', w.halted),
     ('pg_seats_reviews_total', '{}', w.reviews),
     ('pg_seats_settle_failures_total', '{}', w.settle_failures),
     ('pg_seats_row_errors_total', '{}', w.row_errors),
     ('pg_seats_handlers_done_total', '{}', w.handlers_done),
     ('pg_seats_handlers_failed_total', '{}', w.handlers_failed)) AS m (metric, labels, value)
 WHERE w.preloaded
UNION ALL
SELECT 'pg_seats_' || h.name || '_seconds', p.part, p.labels, p.value
  FROM seats_internal.histograms() AS h
 CROSS JOIN LATERAL (VALUES
     ('_bucket', jsonb_build_object('le', h.le), h.count::double precision),
     ('_sum', '{}', h.seconds),
     ('_count', '{}', CASE WHEN h.seconds IS NOT NULL THEN h.count END)) AS p (part, labels, value)
 WHERE p.value IS NOT NULL
UNION ALL
-- (Also what is of no destination any more, or of more of them than are counted apart.)
SELECT 'pg_seats_outbox_calls', '', jsonb_build_object('destination', d.name, 'state', s.state), coalesce(sum(c.rows), 0)
  FROM counted_table AS t
 CROSS JOIN (SELECT d.name FROM destination AS d
             UNION SELECT c.destination FROM counted AS c
                    WHERE c.table_name = 'outbox' AND c.label IS NOT NULL) AS d
 CROSS JOIN unnest(enum_range(NULL::seats_internal.outbox_state)::text[]) AS s (state)
  LEFT JOIN counted AS c ON c.table_name = 'outbox' AND c.destination = d.name AND c.label = s.state
 WHERE t.table_name = 'outbox'
 GROUP BY d.name, s.state
UNION ALL
SELECT m.metric, '', jsonb_build_object('reason', r.reason), m.value
  FROM counted_table AS t
 CROSS JOIN unnest('{queued,sent,retrying,behind,payment,payment_overdue,stripes_limit,review,halted,paused,stripe_down,'
                   'delivery,foreign}'::text[]) AS r (reason)
 CROSS JOIN LATERAL (
    SELECT greatest(max(w.age), 0) AS oldest, coalesce(sum(w.rows), 0) AS calls
      FROM waiting AS w WHERE w.reason = r.reason) AS w
 CROSS JOIN LATERAL (VALUES ('pg_seats_oldest_waiting_seconds', w.oldest),
                            ('pg_seats_waiting_calls', w.calls)) AS m (metric, value)
 WHERE t.table_name = 'outbox'
UNION ALL
SELECT 'pg_seats_counted_age_seconds', '', jsonb_build_object('table', t.table_name),
       greatest(extract(epoch FROM clock_timestamp() - t.counted_at), 0)
  FROM counted_table AS t
UNION ALL
SELECT m.metric, '', m.labels, m.value
  FROM (VALUES ('outbox', 'seats_internal.outbox'::regclass::oid),
               ('outbox_history', 'seats_internal.outbox_history'::regclass),
               ('handler', 'seats_internal.handler'::regclass), ('team', 'seats_internal.team'::regclass),
               ('seat_line', 'seats_internal.seat_line'::regclass), ('member', 'seats_internal.member'::regclass),
               ('invite', 'seats_internal.invite'::regclass), ('payment', 'seats_internal.payment'::regclass),
               ('webhook_event', 'seats_internal.webhook_event'::regclass),
               ('journal', 'seats_internal.journal'::regclass), ('alert', 'seats_internal.alert'::regclass))
           AS n (name, relation)
 CROSS JOIN LATERAL (
    SELECT sum(pg_stat_get_live_tuples(r.oid)) AS live, sum(pg_stat_get_dead_tuples(r.oid)) AS dead
      FROM (SELECT n.relation UNION ALL
            SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = n.relation) AS r (oid)) AS t
 CROSS JOIN LATERAL (VALUES
     ('pg_seats_table_rows', jsonb_build_object('table', n.name), t.live),
     ('pg_seats_outbox_dead_rows', '{}', CASE WHEN n.name = 'outbox' THEN t.dead END)) AS m (metric, labels, value)
 WHERE m.value IS NOT NULL
UNION ALL
SELECT 'pg_seats_oldest_snapshot_transactions', '', '{}', coalesce(s.age, 0) FROM seats_internal.oldest_snapshot AS s
UNION ALL
SELECT 'pg_seats_destination_state', '', jsonb_build_object('destination', d.name, 'state', replace(s.state, ' ', '_')),
       CASE WHEN d.state = s.state THEN 1 ELSE 0 END
  FROM destination AS d
 CROSS JOIN unnest('{open,paused,halted,interrupted,unproven,not taken up}'::text[]) AS s (state)
UNION ALL
SELECT m.metric, '', jsonb_build_object('destination', d.name), m.value
  FROM destination AS d
 CROSS JOIN LATERAL (VALUES
     ('pg_seats_destination_in_flight', d.in_flight),
     ('pg_seats_destination_held', d.held),
     ('pg_seats_destination_requests_per_second', d.requests_per_second)) AS m (metric, value)
 WHERE m.value IS NOT NULL
UNION ALL
SELECT 'pg_seats_seats', '', jsonb_build_object('state', s.state), coalesce(sum(c.amount), 0)
  FROM (VALUES ('seat_line', 'confirmed'), ('seat_line', 'unconfirmed'), ('seat_line', 'awaiting'), ('member', 'used'),
               ('invite', 'reserved'), ('seat_line', 'billing_pending')) AS s (table_name, state)
  JOIN counted_table AS t ON t.table_name = s.table_name
  LEFT JOIN counted AS c ON c.table_name = s.table_name AND c.label = s.state
 GROUP BY s.state
UNION ALL
SELECT 'pg_seats_teams', '', jsonb_build_object('status', s.status), coalesce(sum(c.rows), 0)
  FROM counted_table AS t
 CROSS JOIN (SELECT unnest('{unread,incomplete,incomplete_expired,trialing,active,past_due,canceled,unpaid,paused}'::text[])
             UNION SELECT c.label FROM counted AS c
                    WHERE c.table_name = 'team' AND c.reason = 'status') AS s (status)
  LEFT JOIN counted AS c ON c.table_name = 'team' AND c.reason = 'status' AND c.label = s.status
 WHERE t.table_name = 'team'
 GROUP BY s.status
UNION ALL
SELECT 'pg_seats_team_problems', '', jsonb_build_object('problem', p.problem), coalesce(sum(c.rows), 0)
  FROM counted_table AS t
 CROSS JOIN unnest('{unreadable,uncounted}'::text[]) AS p (problem)
  LEFT JOIN counted AS c ON c.table_name = 'team' AND c.reason = 'problem' AND c.label = p.problem
 WHERE t.table_name = 'team'
 GROUP BY p.problem
UNION ALL
SELECT 'pg_seats_unfolded_lines', '', '{}', coalesce(sum(c.rows), 0)
  FROM counted_table AS t
  LEFT JOIN counted AS c ON c.table_name = 'seat_line' AND c.label = 'unfolded'
 WHERE t.table_name = 'seat_line'
 GROUP BY t.table_name
UNION ALL
SELECT 'pg_seats_drift', '', jsonb_build_object('aspect', a.aspect), count(d.aspect)
  FROM unnest('{status,seats}'::text[]) AS a (aspect)
  LEFT JOIN (SELECT split_part(d.aspect, ':', 1) AS aspect FROM seats_internal.drift AS d LIMIT 1000) AS d
    ON d.aspect = a.aspect
 GROUP BY a.aspect
UNION ALL
SELECT 'pg_seats_webhook_events_total', '', jsonb_build_object('outcome', c.outcome), c.count
  FROM seats_internal.webhook_counters() AS c
UNION ALL
SELECT m.metric, '', jsonb_build_object('endpoint', e.name), m.value
  FROM seats_internal.webhook_endpoint AS e
 CROSS JOIN LATERAL (
    SELECT w.received_at, w.created FROM seats_internal.webhook_event AS w
     WHERE w.endpoint = e.name ORDER BY w.received_at DESC LIMIT 1) AS n
 CROSS JOIN LATERAL (VALUES
     ('pg_seats_webhook_lag_seconds', greatest(extract(epoch FROM n.received_at - n.created), 0)),
     ('pg_seats_webhook_newest_age_seconds', extract(epoch FROM clock_timestamp() - n.received_at))) AS m (metric, value)
 WHERE m.value IS NOT NULL
UNION ALL
SELECT m.metric, '', '{}', m.value
  FROM (SELECT count(*) AS events, coalesce(extract(epoch FROM clock_timestamp() - min(e.received_at)), 0) AS oldest
          FROM (SELECT e.received_at FROM seats_internal.webhook_event AS e
                 WHERE e.retry_at IS NOT NULL ORDER BY e.retry_at LIMIT 1000) AS e) AS e
 CROSS JOIN LATERAL (VALUES ('pg_seats_webhook_unprocessed', e.events),
                            ('pg_seats_webhook_oldest_unprocessed_seconds', e.oldest)) AS m (metric, value)
UNION ALL
-- (Those that run have been counted as waiting, or failed.)
SELECT 'pg_seats_handlers', '', jsonb_build_object('state', s.state),
       CASE WHEN s.state = 'running'
            THEN (SELECT count(*) FROM seats_internal.handler_state() AS h WHERE h.call IS NOT NULL)
            ELSE coalesce(sum(c.rows), 0) END
  FROM counted_table AS t
 CROSS JOIN unnest('{open,waiting,running,failed,review}'::text[]) AS s (state)
  LEFT JOIN counted AS c ON c.table_name = 'handler' AND c.label = s.state
 WHERE t.table_name = 'handler'
 GROUP BY s.state
UNION ALL
SELECT m.metric, '', '{}', m.value
  FROM (SELECT greatest(extract(epoch FROM max(c.counted_at - c.oldest_at)
                                    FILTER (WHERE c.label IN ('waiting', 'failed'))), 0) AS oldest,
               coalesce(sum(c.amount), 0) AS failures
          FROM counted AS c WHERE c.table_name = 'handler' HAVING count(*) > 0) AS h
 CROSS JOIN LATERAL (VALUES ('pg_seats_handlers_oldest_seconds', h.oldest),
                            ('pg_seats_handlers_failed_tries', h.failures)) AS m (metric, value)
UNION ALL
SELECT 'pg_seats_payments', '', jsonb_build_object('state', s.state), coalesce(sum(c.rows), 0)
  FROM counted_table AS t
 CROSS JOIN unnest('{creating,payable,processing,canceling}'::text[]) AS s (state)
  LEFT JOIN counted AS c ON c.table_name = 'payment' AND c.reason = s.state
 WHERE t.table_name = 'payment'
 GROUP BY s.state
UNION ALL
SELECT 'pg_seats_payments_in_review', '', '{}', coalesce(sum(c.rows) FILTER (WHERE c.label = 'review'), 0)
  FROM counted AS c WHERE c.table_name = 'payment' HAVING count(*) > 0
UNION ALL
SELECT 'pg_seats_payments_oldest_creating_seconds', '', '{}',
       greatest(extract(epoch FROM max(c.counted_at - c.oldest_at) FILTER (WHERE c.label = 'creating')), 0)
  FROM counted AS c WHERE c.table_name = 'payment' HAVING count(*) > 0
UNION ALL
SELECT m.metric, '', jsonb_build_object('destination', l.destination), m.value
  FROM seats_internal.payment_listing AS l
 CROSS JOIN LATERAL (VALUES
     ('pg_seats_payment_listing_holds_creates', CASE WHEN l.holds_creates THEN 1 ELSE 0 END::numeric),
     ('pg_seats_payment_listing_age_seconds', extract(epoch FROM clock_timestamp() - l.finished_at)),
     ('pg_seats_payment_listing_overdue',
      (SELECT count(*) FROM seats_internal.overdue_listing AS o WHERE o.destination = l.destination)),
     ('pg_seats_payment_strays',
      (SELECT count(*)
         FROM (SELECT FROM seats_internal.nobodys_intent AS s
                WHERE s.destination = l.destination AND s.status NOT IN ('succeeded', 'canceled') LIMIT 1000) AS s)))
         AS m (metric, value)
 WHERE m.value IS NOT NULL
UNION ALL
SELECT m.metric, '', jsonb_build_object('severity', a.severity), m.value
  FROM (SELECT s.severity, count(a.severity) AS open,
               count(a.severity) FILTER (WHERE a.acknowledged_at IS NULL) AS unacknowledged
          FROM unnest('{info,warning,critical,fatal}'::text[]) AS s (severity)
          LEFT JOIN (SELECT a.severity, a.acknowledged_at FROM seats_internal.alert AS a
                      WHERE a.resolved_at IS NULL LIMIT 1000) AS a ON a.severity = s.severity
         GROUP BY s.severity) AS a
 CROSS JOIN LATERAL (VALUES ('pg_seats_alerts_open', a.open),
                            ('pg_seats_alerts_unacknowledged', a.unacknowledged)) AS m (metric, value)
UNION ALL
SELECT 'pg_seats_journal_numbering_lag_seconds', '', '{}',
       coalesce(extract(epoch FROM clock_timestamp() - min(j.at) FILTER (WHERE j.number IS NULL)), 0)
  FROM (SELECT j.at, j.number FROM seats_internal.journal AS j
         WHERE j.ring = (SELECT r.slot FROM seats_internal.ring AS r) ORDER BY j.id DESC LIMIT 200) AS j
UNION ALL
SELECT m.metric, '', jsonb_build_object('consumer', c.consumer), m.value
  FROM seats.journal_consumers AS c
 CROSS JOIN LATERAL (VALUES
     ('pg_seats_journal_consumer_behind', c.behind),
     ('pg_seats_journal_consumer_oldest_unread_seconds',
      coalesce(extract(epoch FROM clock_timestamp() - c.oldest_unread_at), 0)),
     ('pg_seats_journal_consumer_has_lost_entries', CASE WHEN c.has_lost_entries THEN 1 ELSE 0 END)) AS m (metric, value);
REVOKE ALL ON seats_internal.metric_value FROM PUBLIC;
COMMENT ON VIEW seats_internal.metric_value IS 'the numbers of seats.metrics, each with the metric that it is of';

-- (What has no definition is no metric: sql/metrics.sql compares them.)
CREATE OR REPLACE VIEW seats.metrics AS
SELECT v.metric || v.part AS name, v.labels, v.value
  FROM seats_internal.metric_definitions() AS d
  JOIN seats_internal.metric_value AS v ON v.metric = d.name;
REVOKE ALL ON seats.metrics FROM PUBLIC;
COMMENT ON VIEW seats.metrics IS
    'numbers for a monitoring system, named as Prometheus likes it; totals and histograms count since the server''s start';
COMMENT ON COLUMN seats.metrics.labels IS 'names and values of the labels; may be empty';
