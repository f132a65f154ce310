-- What people look at: webhook endpoints, and the events that came. No payload, no secret.

CREATE OR REPLACE VIEW seats.webhook_endpoints AS
SELECT e.name AS endpoint, e.destination, d.livemode, d.account, e.secrets AS secret_files,
       (SELECT w.received_at FROM seats_internal.webhook_event AS w
         WHERE w.endpoint = e.name ORDER BY w.received_at DESC LIMIT 1) AS last_received_at,
       c.listed_at, e.defined_at, e.defined_by
  FROM seats_internal.webhook_endpoint AS e
  LEFT JOIN seats_internal.destination AS d ON d.name = e.destination
  LEFT JOIN seats_internal.event_cursor AS c ON c.destination = e.destination;
REVOKE ALL ON seats.webhook_endpoints FROM PUBLIC;
COMMENT ON VIEW seats.webhook_endpoints IS 'where webhooks come in, and when the last one came';
COMMENT ON COLUMN seats.webhook_endpoints.secret_files IS
    'names of files in pg_seats.secrets_directory that hold the signing secrets';
COMMENT ON COLUMN seats.webhook_endpoints.listed_at IS
    'when missed events were looked for in Stripe''s list';

CREATE OR REPLACE VIEW seats.webhook_events AS
SELECT w.endpoint, w.event_id, w.type, w.outcome, t.name AS team, w.subscription, w.object_id,
       w.created, w.received_at, w.processed_at, w.tries, w.retry_at, w.error, w.idempotency_key,
       w.livemode, w.destination
  FROM seats_internal.webhook_event AS w
  LEFT JOIN seats_internal.team AS t
    ON t.destination = w.destination AND t.subscription = w.subscription;
REVOKE ALL ON seats.webhook_events FROM PUBLIC;
COMMENT ON VIEW seats.webhook_events IS 'what Stripe has told us, and what came of it';
COMMENT ON COLUMN seats.webhook_events.endpoint IS
    'list:<destination> if no webhook brought it and it was found in Stripe''s list';
COMMENT ON COLUMN seats.webhook_events.outcome IS
    'processed, stored (not yet processed: error says why), ignored (nothing follows from it), thin '
    '(the same of a v2 event), unmatched (its subscription belongs to no team), other_account, '
    'wrong_mode (of a listed event that does not say that it is of our mode)';
COMMENT ON COLUMN seats.webhook_events.created IS 'Stripe''s time, in whole seconds: gives no order';
COMMENT ON COLUMN seats.webhook_events.idempotency_key IS
    'of the request that caused it; null: Stripe itself, or somebody in the Dashboard';
