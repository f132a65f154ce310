-- What people look at: the calls. No view shows a body, an answer, a context or a secret. Columns
-- may be added; what stands here is not taken away.
--
-- Names of partitions' rings stand in the conditions on the history: its key is (ring, id), and with
-- the ring named a single call is found by the key.

CREATE OR REPLACE VIEW seats.outbox AS
SELECT o.id AS call, o.state::text AS state, o.state_since, o.destination, l.name AS lane, o.method, o.path,
       o.generation, o.attempts, o.doubt, o.created_at, o.enqueued_by, o.first_sent_at,
       o.last_sent_at, o.due_at, o.reason, o.last_error AS error, o.request_id,
       concat_ws('-', o.installation, o.uuid, o.generation) AS idempotency_key
  FROM seats_internal.outbox AS o
  LEFT JOIN seats_internal.lane AS l ON l.id = o.lane_id;
REVOKE ALL ON seats.outbox FROM PUBLIC;
COMMENT ON VIEW seats.outbox IS 'calls that are owed and not yet settled';
COMMENT ON COLUMN seats.outbox.state IS
    'pending (not sent), carried (a seat change that goes along with the first call of its lane), '
    'sending (on the wire), waiting (for its next try, same key), verifying (a read is to prove what '
    'happened), awaiting (executed, waits for its payment), review (a person must decide)';
COMMENT ON COLUMN seats.outbox.lane IS
    'calls of one lane are sent one after the other; null: no order';
COMMENT ON COLUMN seats.outbox.generation IS
    'rises only after proof that the key before it did nothing';
COMMENT ON COLUMN seats.outbox.attempts IS 'requests made for it, counted before each';
COMMENT ON COLUMN seats.outbox.doubt IS 'it may have been executed already';
COMMENT ON COLUMN seats.outbox.first_sent_at IS 'first use of the current key';
COMMENT ON COLUMN seats.outbox.due_at IS 'nothing is done before that; null: as soon as possible';
COMMENT ON COLUMN seats.outbox.reason IS 'one word for why it stands where it stands';
COMMENT ON COLUMN seats.outbox.error IS 'Stripe''s or the transport''s words at its last request';
COMMENT ON COLUMN seats.outbox.request_id IS
    'Stripe''s id of the last request, to search for in the Dashboard';
COMMENT ON COLUMN seats.outbox.idempotency_key IS 'the key of the current generation';

CREATE OR REPLACE VIEW seats.outbox_history AS
SELECT h.id AS call, h.result, h.settled_at, h.settled_by, h.destination, l.name AS lane, h.method, h.path,
       h.generation, h.attempts, nullif(h.http_status, 0) AS http_status,
       h.duration_ms * interval '1 millisecond' AS duration, h.created_at, h.enqueued_by,
       h.first_sent_at, h.reason, h.error, h.request_id,
       concat_ws('-', h.installation, h.uuid, h.generation) AS idempotency_key
  FROM seats_internal.outbox_history AS h
  LEFT JOIN seats_internal.lane AS l ON l.id = h.lane_id
 WHERE h.ring = ANY ('{0,1,2,3,4,5,6,7}'::smallint[]);
REVOKE ALL ON seats.outbox_history FROM PUBLIC;
COMMENT ON VIEW seats.outbox_history IS
    'settled calls, as long as pg_seats.history_days keeps them';
COMMENT ON COLUMN seats.outbox_history.result IS
    'done (executed), refused (not executed, and never will be) or cancelled (taken back unsent)';
COMMENT ON COLUMN seats.outbox_history.settled_by IS 'the operator, if a person settled it';
COMMENT ON COLUMN seats.outbox_history.duration IS 'of the request that settled it';
COMMENT ON COLUMN seats.outbox_history.first_sent_at IS 'first use of the last key';
COMMENT ON COLUMN seats.outbox_history.request_id IS 'Stripe''s id of the request that settled it';

CREATE OR REPLACE VIEW seats.calls AS
SELECT o.call, o.state, o.destination, o.lane, o.method, o.path, o.generation, o.attempts,
       o.created_at, o.enqueued_by, o.first_sent_at, NULL::timestamptz AS settled_at,
       NULL::integer AS http_status, o.request_id, o.reason, o.error, o.idempotency_key
  FROM seats.outbox AS o
UNION ALL
SELECT h.call, h.result, h.destination, h.lane, h.method, h.path, h.generation, h.attempts,
       h.created_at, h.enqueued_by, h.first_sent_at, h.settled_at, h.http_status, h.request_id,
       h.reason, h.error, h.idempotency_key
  FROM seats.outbox_history AS h;
REVOKE ALL ON seats.calls FROM PUBLIC;
COMMENT ON VIEW seats.calls IS
    'open and settled calls together; seats.explain_call(call) tells the rest';
COMMENT ON COLUMN seats.calls.state IS
    'a state of seats.outbox, or a result of seats.outbox_history';
COMMENT ON COLUMN seats.calls.settled_at IS 'null: it is open';
COMMENT ON COLUMN seats.calls.http_status IS 'of the answer that settled it';

CREATE OR REPLACE VIEW seats.attempts AS
SELECT a.call_id AS call, a.generation, a.number, a.purpose, a.answered_at,
       a.duration_ms * interval '1 millisecond' AS duration, a.verdict, a.reason,
       nullif(a.http_status, 0) AS http_status, a.request_id, a.error, a.sent, a.replayed
  FROM seats_internal.attempt AS a
UNION ALL
SELECT h.id, h.generation, h.attempts, 'send', h.settled_at,
       h.duration_ms * interval '1 millisecond', h.result, h.reason, nullif(h.http_status, 0),
       h.request_id, h.error, true, false
  FROM seats_internal.outbox_history AS h
 WHERE h.clean AND h.ring = ANY ('{0,1,2,3,4,5,6,7}'::smallint[]);
REVOKE ALL ON seats.attempts FROM PUBLIC;
COMMENT ON VIEW seats.attempts IS 'the requests that were made for calls, and what came of each';
COMMENT ON COLUMN seats.attempts.number IS '1 for the first request that was made for the call, and so on';
COMMENT ON COLUMN seats.attempts.purpose IS
    'send: the call itself; otherwise the read that verified it';
COMMENT ON COLUMN seats.attempts.verdict IS
    'what the answer meant: done, awaiting, refused, again (not executed now), unknown (may have '
    'been executed), halted (our own mistake or configuration)';
COMMENT ON COLUMN seats.attempts.sent IS 'a byte of it may have left';
COMMENT ON COLUMN seats.attempts.replayed IS 'Stripe gave the answer of an earlier request again';

-- These two cost what they show, whatever else is in the outbox: what stands is found by its index, the first of a lane
-- and what waits behind it by the lane's. So nothing is joined whose other side could be read from end to end. (The lane
-- is named by its bounds where its order counts: with an equality the primary key would do for the order.)
CREATE OR REPLACE VIEW seats.blocked_lanes AS
SELECT o.destination, l.name AS lane, o.id AS call, o.state::text AS state, o.state_since AS since,
       clock_timestamp() - o.state_since AS blocked_for,
       CASE WHEN l.paused_at IS NOT NULL THEN 'paused' ELSE o.reason END AS reason,
       CASE WHEN l.paused_at IS NOT NULL THEN l.paused_reason ELSE o.last_error END AS error,
       CASE WHEN l.paused_at IS NOT NULL OR o.state = 'review' THEN NULL
            WHEN o.state = 'awaiting' THEN (o.payment ->> 'expires_at')::timestamptz
            ELSE o.due_at END AS until,
       (SELECT count(*)
          FROM (SELECT FROM seats_internal.outbox AS c
                 WHERE c.lane_id BETWEEN o.lane_id AND o.lane_id AND c.id > o.id
                 ORDER BY c.lane_id, c.id LIMIT 1000) AS behind) AS waiting_behind,
       CASE WHEN l.paused_at IS NOT NULL THEN 'The lane is paused: seats.resume ends that.'
            WHEN o.installation IS DISTINCT FROM (SELECT i.uuid FROM seats_internal.installation AS i)
                 AND o.state <> 'review'
            THEN 'It is another installation''s: seats.adopt_database, if this one takes over.'
            WHEN o.state = 'pending' AND o.reason = 'stripes_limit_for_a_subscription'
            THEN 'Nothing: Stripe allows a subscription only so many invoices. It goes by itself at that '
                 'time, and takes along what waits behind it.'
            WHEN o.state = 'awaiting' AND o.payment ? 'invoice_url'
            THEN 'The customer can pay (invoice_url in seats.changes), or seats.cancel_change takes it '
                 'back; seats.retry looks now whether it is paid.'
            ELSE seats_internal.verb_for(o.state, o.doubt) END AS what_to_do
  FROM (SELECT s.lane_id FROM seats_internal.outbox AS s
         WHERE s.standing = ANY ('{waiting,verifying,awaiting,review}') AND s.lane_id IS NOT NULL
         UNION
        SELECT s.lane_id FROM seats_internal.outbox AS s
         WHERE s.due_at > statement_timestamp() AND s.state = 'pending' AND s.lane_id IS NOT NULL
         UNION
        SELECT p.id FROM seats_internal.lane AS p WHERE p.paused_at IS NOT NULL) AS found
 CROSS JOIN LATERAL (
    SELECT x.name, x.paused_at, x.paused_reason FROM seats_internal.lane AS x WHERE x.id = found.lane_id LIMIT 1) AS l
 CROSS JOIN LATERAL (
    SELECT h.* FROM seats_internal.outbox AS h
     WHERE h.lane_id BETWEEN found.lane_id AND found.lane_id ORDER BY h.lane_id, h.id LIMIT 1) AS o
 WHERE o.state NOT IN ('pending', 'sending') OR l.paused_at IS NOT NULL
       OR o.state = 'pending' AND o.due_at > clock_timestamp();
REVOKE ALL ON seats.blocked_lanes FROM PUBLIC;
COMMENT ON VIEW seats.blocked_lanes IS
    'lanes that do not move: paused, or their first call is neither on its way nor simply next. Some wait '
    'as designed: for a payment, or for Stripe''s limit';
COMMENT ON COLUMN seats.blocked_lanes.call IS
    'the first call of the lane, which holds up the others';
COMMENT ON COLUMN seats.blocked_lanes.until IS
    'when something happens by itself: it is sent or looked at, or its payment expires; null: at once, or '
    'when a person says so';
COMMENT ON COLUMN seats.blocked_lanes.waiting_behind IS
    'how many calls wait behind it; 1000: these, or more';
COMMENT ON COLUMN seats.blocked_lanes.what_to_do IS 'what a person can do about it';

CREATE OR REPLACE VIEW seats.reviews AS
SELECT o.id AS call, o.destination,
       (SELECT l.name FROM seats_internal.lane AS l WHERE l.id = o.lane_id) AS lane,
       (SELECT t.name FROM seats_internal.team AS t WHERE t.id = o.team_id) AS team,
       seats_internal.seats_before_and_after(o.lines, o.base, o.target) AS seats, run.actor, run.changes,
       o.method, o.path, o.state_since AS since,
       clock_timestamp() - o.state_since AS waiting_for, o.reason, o.last_error AS error, o.doubt,
       o.attempts, o.created_at, o.enqueued_by, o.first_sent_at, o.request_id,
       concat_ws('-', o.installation, o.uuid, o.generation) AS idempotency_key,
       (SELECT count(*)
          FROM (SELECT FROM seats_internal.outbox AS c
                 WHERE c.lane_id BETWEEN o.lane_id AND o.lane_id AND c.id > o.id
                 ORDER BY c.lane_id, c.id LIMIT 1000) AS behind) AS waiting_behind,
       seats_internal.allowed_decisions(
           o.reason, o.first_sent_at,
           o.installation IS DISTINCT FROM (SELECT i.uuid FROM seats_internal.installation AS i))
           AS decisions,
       NULL::text AS handler
  FROM seats_internal.outbox AS o
 CROSS JOIN LATERAL (
    SELECT string_agg(DISTINCT coalesce(c.actor, c.enqueued_by), ', ') AS actor,
           nullif(count(*), 0) AS changes
      FROM seats_internal.outbox AS c
     WHERE o.lines IS NOT NULL AND c.lane_id = o.lane_id
       AND c.id BETWEEN o.id AND coalesce(o.last_id, o.id)) AS run
 WHERE o.standing = 'review'
UNION ALL
-- (The history may have forgotten the call.)
SELECT w.call_id, h.destination, (SELECT l.name FROM seats_internal.lane AS l WHERE l.id = w.lane_id),
       (SELECT t.name FROM seats_internal.team AS t WHERE t.id = h.team_id),
       seats_internal.seats_before_and_after(h.lines, h.base, h.target),
       h.actor, CASE WHEN h.lines IS NOT NULL THEN 1 END, h.method, h.path, w.review_since,
       clock_timestamp() - w.review_since, w.review_reason, seats_internal.review_in_words(w, w.review_reason), false,
       w.tries + w.retries, w.created_at, w.role, h.first_sent_at, h.request_id, concat_ws('-', h.installation, h.uuid, h.generation),
       (SELECT count(*)
          FROM (SELECT FROM seats_internal.handler AS b
                 WHERE b.lane_id BETWEEN w.lane_id AND w.lane_id AND b.call_id > w.call_id AND b.outcome IS NOT NULL
                 ORDER BY b.lane_id, b.call_id LIMIT 1000) AS behind),
       '{retry,skip,run}', seats_internal.function_to_run(w)
  FROM seats_internal.handler AS w
  LEFT JOIN LATERAL (
    SELECT x.* FROM seats_internal.outbox_history AS x
     WHERE x.ring = ANY ('{0,1,2,3,4,5,6,7}'::smallint[]) AND x.id = w.call_id LIMIT 1) AS h ON true
 WHERE w.review_since IS NOT NULL;
REVOKE ALL ON seats.reviews FROM PUBLIC;
COMMENT ON VIEW seats.reviews IS
    'calls, and handlers of calls that have ended, that a person must decide with seats.resolve_review';
COMMENT ON COLUMN seats.reviews.team IS 'whose seats it changes; null: it is no change of seats';
COMMENT ON COLUMN seats.reviews.seats IS
    '{seat type: {previous_quantity, new_quantity}}: what Stripe had, and what the call asks for';
COMMENT ON COLUMN seats.reviews.actor IS 'who has asked for it: the members, or the roles, if none was named';
COMMENT ON COLUMN seats.reviews.changes IS 'how many changes of seats are decided with it';
COMMENT ON COLUMN seats.reviews.doubt IS 'it may have been executed';
COMMENT ON COLUMN seats.reviews.waiting_behind IS
    'how many calls of its lane wait for the decision; of a handler: how many handlers; 1000: these, or more';
COMMENT ON COLUMN seats.reviews.decisions IS 'what seats.resolve_review takes for it now';
COMMENT ON COLUMN seats.reviews.handler IS
    'the function that was to run because the call has ended; null: it is the call itself that must be decided';
