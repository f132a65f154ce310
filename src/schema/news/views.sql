-- What people look at: alerts, the journal, and who is told of them.

CREATE OR REPLACE VIEW seats.alerts AS
SELECT a.id AS alert, CASE WHEN a.resolved_at IS NOT NULL THEN 'resolved'
                  WHEN a.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE 'open' END AS state,
       a.severity, a.kind, a.summary, a.hint, a.detail, a.call_id AS call, a.destination, a.first_seen_at,
       a.last_seen_at, a.occurrences, a.acknowledged_at, a.acknowledged_by, a.resolved_at,
       a.resolution
  FROM seats_internal.alert AS a;
REVOKE ALL ON seats.alerts FROM PUBLIC;
COMMENT ON VIEW seats.alerts IS
    'what a person must know; each new one is also a NOTIFY pg_seats_alert';
COMMENT ON COLUMN seats.alerts.state IS
    'open, acknowledged (somebody looks after it) or resolved (its cause is gone)';
COMMENT ON COLUMN seats.alerts.severity IS 'info, warning, critical or fatal; it only rises';
COMMENT ON COLUMN seats.alerts.occurrences IS 'how often it was seen since it was opened';

CREATE OR REPLACE VIEW seats.journal AS
SELECT j.number, j.at, j.kind, j.role, j.actor, j.call_id AS call, l.destination, l.name AS lane, j.reason,
       j.detail
  FROM seats_internal.journal AS j
  LEFT JOIN seats_internal.lane AS l ON l.id = j.lane_id;
REVOKE ALL ON seats.journal FROM PUBLIC;
COMMENT ON VIEW seats.journal IS
    'append-only: who did what and what came of it; read on from the last number you have seen';
COMMENT ON COLUMN seats.journal.number IS
    'given by the worker when its entry is committed, without gaps that fill later; null: not yet numbered';
COMMENT ON COLUMN seats.journal.role IS
    'who acted: the role that called the function; pg_seats: the worker; stripe: seen there';
COMMENT ON COLUMN seats.journal.actor IS
    'whom the application has named: who asked for the change or the invite, or took it back';
COMMENT ON COLUMN seats.journal.reason IS 'a person''s reason, or the worker''s word for it';

CREATE OR REPLACE VIEW seats.receivers AS
SELECT r.name, r.format, d.base_url || r.path AS url, d.secret AS secret_file, r.minimum_severity,
       r.journal_kinds, o.waiting, o.oldest_waiting_at, o.last_error, r.journal_number, r.defined_at,
       r.defined_by
  FROM seats_internal.receiver AS r
  JOIN seats_internal.destination AS d ON d.name = r.name
 CROSS JOIN LATERAL (
    SELECT count(*) AS waiting, min(w.created_at) AS oldest_waiting_at,
           (array_agg(w.last_error ORDER BY w.id))[1] AS last_error
      FROM (SELECT x.id, x.created_at, x.last_error FROM seats_internal.outbox AS x
             WHERE x.lane_id BETWEEN r.lane_id AND r.lane_id ORDER BY x.lane_id, x.id LIMIT 1000) AS w) AS o;
REVOKE ALL ON seats.receivers FROM PUBLIC;
COMMENT ON VIEW seats.receivers IS 'who is told of alerts and of entries of the journal, over HTTP';
COMMENT ON COLUMN seats.receivers.waiting IS 'deliveries that it has not taken yet; 1000: these, or more';
COMMENT ON COLUMN seats.receivers.last_error IS 'why the first of them was not taken when it was tried last';
COMMENT ON COLUMN seats.receivers.journal_number IS 'the journal is handed over up to this number';

-- (The ring's row is asked for by itself: joined, an empty statistic makes thousands of it, and the view
-- health so dear that it is compiled first.)
CREATE OR REPLACE VIEW seats.journal_consumers AS
SELECT c.name AS consumer, c.owner, c.acknowledged,
       greatest((SELECT r.last_journal_number FROM seats_internal.ring AS r) - c.acknowledged, 0) AS behind,
       n.at AS oldest_unread_at,
       coalesce(n.number, (SELECT r.last_journal_number + 1 FROM seats_internal.ring AS r))
           > c.acknowledged + 1 AS has_lost_entries,
       c.registered_at, c.acknowledged_at, c.acknowledged_by
  FROM seats_internal.journal_consumer AS c
  LEFT JOIN LATERAL (SELECT j.at, j.number FROM seats_internal.journal AS j
                      WHERE j.number > c.acknowledged
                      ORDER BY j.number LIMIT 1) AS n ON true;
REVOKE ALL ON seats.journal_consumers FROM PUBLIC;
COMMENT ON VIEW seats.journal_consumers IS 'who reads the journal as a feed, and how far each has come';
COMMENT ON COLUMN seats.journal_consumers.owner IS 'the role that read under this name first';
COMMENT ON COLUMN seats.journal_consumers.acknowledged IS 'the last entry that it is done with';
COMMENT ON COLUMN seats.journal_consumers.behind IS 'how many entries come after that one';
COMMENT ON COLUMN seats.journal_consumers.oldest_unread_at IS 'when the first of those was written';
COMMENT ON COLUMN seats.journal_consumers.has_lost_entries IS
    'retention has removed entries that it had not acknowledged';
