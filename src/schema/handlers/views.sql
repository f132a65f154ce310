-- Handlers that have not run, and whose functions may be whose handlers. No view shows a context, or an outcome.

CREATE OR REPLACE VIEW seats.handlers AS
SELECT h.call_id AS call, l.name AS lane, h.role, h.on_done, h.on_refused, h.outcome ->> 'result' AS result,
       CASE WHEN h.outcome IS NOT NULL THEN seats_internal.function_to_run(h) END AS function,
       CASE WHEN s.call IS NOT NULL AND seats_internal.state_of_handler(h) IN ('waiting', 'failed') THEN 'running'
            ELSE seats_internal.state_of_handler(h) END AS state,
       s.running_since, s.pid, h.tries, h.retries, CASE WHEN s.call IS NULL THEN h.due_at END AS next_try_at, h.error,
       h.error_code, h.error_context, h.failed_at, h.review_since, h.review_reason,
       CASE WHEN h.outcome IS NOT NULL
            THEN (SELECT nullif(min(e.call_id), h.call_id) FROM seats_internal.handler AS e
                   WHERE e.lane_id = h.lane_id AND e.call_id <= h.call_id AND e.outcome IS NOT NULL) END AS behind,
       h.created_at, h.ended_at
  FROM seats_internal.handler AS h
  LEFT JOIN seats_internal.lane AS l ON l.id = h.lane_id
  LEFT JOIN seats_internal.handler_state() AS s ON s.call = h.call_id;
REVOKE ALL ON seats.handlers FROM PUBLIC;
COMMENT ON VIEW seats.handlers IS
    'functions of the application''s own that are to run when a call has ended, and have not run';
COMMENT ON COLUMN seats.handlers.call IS 'the call, or change of seats';
COMMENT ON COLUMN seats.handlers.role IS 'who has enqueued it: as whom the function runs';
COMMENT ON COLUMN seats.handlers.on_done IS 'the function for a call that is done';
COMMENT ON COLUMN seats.handlers.on_refused IS 'the function for a call that is refused or cancelled';
COMMENT ON COLUMN seats.handlers.result IS 'of the call: done, refused or cancelled; null: it has not ended';
COMMENT ON COLUMN seats.handlers.function IS 'which of the two is to run; null: the call has not ended';
COMMENT ON COLUMN seats.handlers.state IS
    'open (its call has not ended), waiting, running, failed (waits for its next try), review (a person must decide: '
    'seats.resolve_review)';
COMMENT ON COLUMN seats.handlers.pid IS 'the process in which it runs';
COMMENT ON COLUMN seats.handlers.tries IS 'how often it has failed by its own fault: the fifth time it goes to review';
COMMENT ON COLUMN seats.handlers.retries IS 'how often it has lost against others: deadlocks, locks, serialisation';
COMMENT ON COLUMN seats.handlers.next_try_at IS 'not before; null: as soon as a process is free';
COMMENT ON COLUMN seats.handlers.error IS 'what its last failure said';
COMMENT ON COLUMN seats.handlers.error_code IS 'SQLSTATE of its last failure';
COMMENT ON COLUMN seats.handlers.error_context IS 'its detail and hint, and where in the function it came up';
COMMENT ON COLUMN seats.handlers.review_reason IS
    'why a person must decide; seats.explain_call(call) says it in a sentence';
COMMENT ON COLUMN seats.handlers.behind IS 'the call of its lane whose handler has to run first; null: none';
COMMENT ON COLUMN seats.handlers.ended_at IS 'when its call has ended';

CREATE OR REPLACE VIEW seats.handler_grants AS
SELECT g.function, g.owner, g.role, g.granted_by, g.granted_at
  FROM seats_internal.handler_grant AS g;
REVOKE ALL ON seats.handler_grants FROM PUBLIC;
COMMENT ON VIEW seats.handler_grants IS
    'functions that are a role''s handlers although they belong to another one: what seats.grant_handler gave and '
    'seats.revoke_handler takes back';
COMMENT ON COLUMN seats.handler_grants.owner IS 'to whom the function must belong';
COMMENT ON COLUMN seats.handler_grants.role IS 'as whom it runs';
