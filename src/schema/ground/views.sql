-- What people look at: the worker, destinations, and who may enqueue which calls.

CREATE OR REPLACE VIEW seats.worker_status AS
SELECT (SELECT i.uuid FROM seats_internal.installation AS i) AS installation, w.state, w.trouble,
       w.pid, w.started_at, w.last_loop_at, clock_timestamp() - w.last_loop_at AS last_loop_age,
       w.in_flight, w.ready, w.reading_backlog, w.claims, w.frozen, w.sent, w.reads, w.done,
       w.refused, w.again, w.unknown, w.halted, w.reviews, w.settle_failures, w.row_errors,
       w.handlers_done, w.handlers_failed, w.wakes, w.launcher_pid, w.preloaded, w.debug_point
  FROM seats_internal.worker_state() AS w;
REVOKE ALL ON seats.worker_status FROM PUBLIC;
COMMENT ON VIEW seats.worker_status IS
    'the worker of this database: one row; counters count since the server''s start';
COMMENT ON COLUMN seats.worker_status.state IS
    'running, fenced (runs, but may not send), starting, none, or not preloaded';
COMMENT ON COLUMN seats.worker_status.trouble IS
    'the last thing that went wrong with the loop itself';
COMMENT ON COLUMN seats.worker_status.in_flight IS 'requests on the wire';
COMMENT ON COLUMN seats.worker_status.ready IS 'calls it has in memory that are not on the wire';
COMMENT ON COLUMN seats.worker_status.reading_backlog IS
    'it reads calls from the table in order of id';
COMMENT ON COLUMN seats.worker_status.claims IS 'transactions that took calls to be sent';
COMMENT ON COLUMN seats.worker_status.frozen IS 'calls that were taken to be sent';
COMMENT ON COLUMN seats.worker_status.reads IS 'requests that verified or probed';
COMMENT ON COLUMN seats.worker_status.done IS
    'answers by verdict: done, refused, again, unknown, halted';
COMMENT ON COLUMN seats.worker_status.settle_failures IS
    'batches of answers that could not be stored at once';
COMMENT ON COLUMN seats.worker_status.row_errors IS 'database errors that were charged to a call';
COMMENT ON COLUMN seats.worker_status.handlers_done IS 'handlers that have run, and are committed';
COMMENT ON COLUMN seats.worker_status.handlers_failed IS
    'tries of handlers that came to nothing: failed, timed out, or ended with their process';
COMMENT ON COLUMN seats.worker_status.debug_point IS
    'where it stands still for a test; otherwise empty';

CREATE OR REPLACE VIEW seats.destinations AS
SELECT d.name,
       CASE WHEN d.halted_at IS NOT NULL THEN 'halted'
            WHEN d.paused_at IS NOT NULL THEN 'paused'
            WHEN s.destination IS NULL THEN 'not taken up'
            WHEN s.breaker <> 'closed' THEN 'interrupted'
            WHEN NOT s.proven THEN 'unproven'
            ELSE 'open' END AS state,
       d.kind, d.base_url, d.secret AS secret_file, d.account, d.livemode, d.api_version,
       d.probe_path, d.requests_per_second AS requests_per_second_limit, s.requests_per_second,
       s.breaker, s.proven, nullif(s.trouble, '') AS trouble, s.in_flight, s.held, d.paused_at, d.paused_by, d.paused_reason,
       d.halted_at, d.halted_reason, d.halted_message, d.halted_needs_person, d.created_at,
       d.created_by
  FROM seats_internal.destination AS d
  LEFT JOIN seats_internal.destination_state() AS s ON s.destination = d.name;
REVOKE ALL ON seats.destinations FROM PUBLIC;
COMMENT ON VIEW seats.destinations IS 'where calls go, and whether they go there now';
COMMENT ON COLUMN seats.destinations.state IS
    'open, paused (by a person), halted (our own mistake or configuration), interrupted (it does '
    'not answer), unproven (its key was not probed yet), not taken up (the worker does not know '
    'it yet, or there is none)';
COMMENT ON COLUMN seats.destinations.secret_file IS
    'name of the file in pg_seats.secrets_directory that holds the API key';
COMMENT ON COLUMN seats.destinations.account IS 'the account that the key must belong to';
COMMENT ON COLUMN seats.destinations.requests_per_second_limit IS 'as defined';
COMMENT ON COLUMN seats.destinations.requests_per_second IS 'as slowed down by 429s';
COMMENT ON COLUMN seats.destinations.breaker IS
    'closed (sends), open (interrupted) or half_open (a read tries it)';
COMMENT ON COLUMN seats.destinations.proven IS 'the key was probed: right account, right mode';
COMMENT ON COLUMN seats.destinations.trouble IS
    'why its key was not proven yet, or why it does not answer: the words of the last failure';
COMMENT ON COLUMN seats.destinations.held IS 'calls that are ready, but not taken now';
COMMENT ON COLUMN seats.destinations.halted_needs_person IS
    'it does not resume when a read succeeds: seats.resume is needed';

CREATE OR REPLACE VIEW seats.call_grants AS
SELECT g.grantee AS role, g.destination, g.method, g.path AS path_pattern, g.granted_by, g.granted_at
  FROM seats_internal.call_grant AS g;
REVOKE ALL ON seats.call_grants FROM PUBLIC;
COMMENT ON VIEW seats.call_grants IS
    'who may enqueue which calls: what seats.grant_call gave and seats.revoke_call takes back';
COMMENT ON COLUMN seats.call_grants.path_pattern IS
    '* stands for one segment, a final ** for all that follow';
