-- What each metric is: the one source of seats.metrics, of seats.metrics_text(), of the files in monitoring/ and of the
-- table in docs/metrics.md. In the order in which they are shown. A histogram shows as name_bucket (with le beside its
-- labels), name_sum and name_count.

CREATE OR REPLACE FUNCTION seats_internal.metric_definitions(
    OUT name   text,
    OUT type   text,
    OUT help   text,
    OUT labels text[]
) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 64
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES
    -- The worker. Absent where there is none: zeros would lie.
    ('pg_seats_info', 'gauge', 'Always 1; which version of the extension is installed', '{version}'::text[]),
    ('pg_seats_worker_up', 'gauge',
     'Whether the worker of this database runs and may send: 1, else 0', '{}'),
    ('pg_seats_standby', 'gauge', 'Whether this server is a standby, on which there is no worker: 1, else 0', '{}'),
    ('pg_seats_worker_last_loop_age_seconds', 'gauge', 'How long ago the worker was last seen at work', '{}'),
    ('pg_seats_in_flight', 'gauge', 'Requests on the wire', '{}'),
    ('pg_seats_ready', 'gauge', 'Calls that the worker has in memory and that are not on the wire', '{}'),
    ('pg_seats_loops_total', 'counter', 'Rounds of the worker', '{}'),
    ('pg_seats_transactions_total', 'counter', 'Transactions of the worker', '{}'),
    ('pg_seats_wakes_total', 'counter', 'How often something woke the worker', '{}'),
    ('pg_seats_claims_total', 'counter', 'Transactions that took calls to be sent', '{}'),
    ('pg_seats_frozen_total', 'counter', 'Calls that were taken to be sent', '{}'),
    ('pg_seats_sent_total', 'counter', 'Requests sent', '{}'),
    ('pg_seats_reads_total', 'counter', 'Requests that verified or probed', '{}'),
    ('pg_seats_answers_total', 'counter', 'Answers, by what they mean', '{verdict}'),
    ('pg_seats_reviews_total', 'counter', 'Calls that went to a person', '{}'),
    ('pg_seats_settle_failures_total', 'counter', 'Batches of answers that could not be stored at once', '{}'),
    ('pg_seats_row_errors_total', 'counter', 'Database errors that were charged to a call', '{}'),
    ('pg_seats_handlers_done_total', 'counter', 'Handlers that have run, and are committed', '{}'),
    ('pg_seats_handlers_failed_total', 'counter', 'Tries of handlers that came to nothing', '{}'),
    ('pg_seats_enqueue_to_wire_seconds', 'histogram',
     'From the start of the transaction that enqueued a call until its first request leaves: what it waits for that '
     'transaction''s end, for its turn in its lane and for its destination is part of it. (When it committed is known '
     'to nobody.)', '{}'),
    ('pg_seats_stripe_answer_seconds', 'histogram',
     'From sending a request to Stripe until its answer is there, or none will come', '{}'),
    ('pg_seats_settle_seconds', 'histogram', 'From an answer until what it means is committed', '{}'),
    -- The outbox, as it was last counted.
    ('pg_seats_outbox_calls', 'gauge', 'Calls that are owed and not settled, by state', '{destination,state}'),
    ('pg_seats_oldest_waiting_seconds', 'gauge',
     'Age of the oldest unsettled call of those that wait for this reason; 0: there is none. queued, sent and retrying are '
     'on their way; payment, stripes_limit, and what is behind such a call of its lane, wait as designed', '{reason}'),
    ('pg_seats_waiting_calls', 'gauge', 'Unsettled calls that wait for this reason', '{reason}'),
    ('pg_seats_counted_age_seconds', 'gauge',
     'How old the count of a table''s rows is; 0: it is small, and counted whenever somebody looks', '{table}'),
    ('pg_seats_outbox_dead_rows', 'gauge', 'Dead rows in the outbox, as the statistics have it', '{}'),
    ('pg_seats_oldest_snapshot_transactions', 'gauge',
     'How many transactions ago the oldest snapshot was taken: vacuum removes nothing newer', '{}'),
    ('pg_seats_table_rows', 'gauge', 'Rows of a table, as the statistics have it', '{table}'),
    -- Where calls go.
    ('pg_seats_destination_state', 'gauge', '1 for the state in which a destination is, 0 for all others',
     '{destination,state}'),
    ('pg_seats_destination_in_flight', 'gauge', 'Requests on the wire to a destination', '{destination}'),
    ('pg_seats_destination_held', 'gauge', 'Calls that are ready, and that a destination does not take now',
     '{destination}'),
    ('pg_seats_destination_requests_per_second', 'gauge', 'The pace at which it is sent to: what 429s have left of it',
     '{destination}'),
    -- Teams and seats.
    ('pg_seats_seats', 'gauge',
     'Seats of all teams: confirmed by Stripe; unconfirmed: bought and not confirmed (below 0: being given back); awaiting '
     'a payment; used by members; reserved by invites; billing_pending: reserved and not confirmed', '{state}'),
    ('pg_seats_teams', 'gauge', 'Teams by the status of their subscription, in Stripe''s words; unread: not known yet',
     '{status}'),
    ('pg_seats_team_problems', 'gauge',
     'Subscriptions of teams and people that cannot be read, or not be counted as seats', '{problem}'),
    ('pg_seats_unfolded_lines', 'gauge',
     'Seat lines whose quantity is not what is confirmed with the open changes applied: a mistake of pg_seats', '{}'),
    ('pg_seats_drift', 'gauge', 'Where Stripe has something else than we do; more than 1000 count as 1000', '{aspect}'),
    -- Webhooks.
    ('pg_seats_webhook_events_total', 'counter', 'Webhooks that came in, by what came of them at once', '{outcome}'),
    ('pg_seats_webhook_lag_seconds', 'gauge',
     'How long the newest event was on its way: from Stripe''s time of it (whole seconds) until it came', '{endpoint}'),
    ('pg_seats_webhook_newest_age_seconds', 'gauge', 'How long ago the newest event came', '{endpoint}'),
    ('pg_seats_webhook_unprocessed', 'gauge',
     'Events that came and are not processed yet; more than 1000 count as 1000', '{}'),
    ('pg_seats_webhook_oldest_unprocessed_seconds', 'gauge',
     'How long ago the oldest of them came (of the first 1000 that are to be tried); 0: there is none', '{}'),
    -- Handlers.
    ('pg_seats_handlers', 'gauge',
     'Handlers that have not run, by state; one that runs just now was waiting, or failed, and counts there, too',
     '{state}'),
    ('pg_seats_handlers_oldest_seconds', 'gauge',
     'How long ago the call has ended whose handler has waited longest; 0: none waits', '{}'),
    ('pg_seats_handlers_failed_tries', 'gauge', 'Failed tries of those handlers that have not run yet', '{}'),
    -- Payments.
    ('pg_seats_payments', 'gauge', 'Payments that can still be paid, by state', '{state}'),
    ('pg_seats_payments_in_review', 'gauge',
     'Payments that wait for a person''s decision', '{}'),
    ('pg_seats_payments_oldest_creating_seconds', 'gauge',
     'Age of the oldest payment that has no intent yet; 0: there is none', '{}'),
    ('pg_seats_payment_listing_holds_creates', 'gauge',
     'Whether no intent is made before those are listed that were forgotten: 1, else 0', '{destination}'),
    ('pg_seats_payment_listing_age_seconds', 'gauge', 'How long ago the intents were last listed to the end',
     '{destination}'),
    ('pg_seats_payment_listing_overdue', 'gauge',
     'Whether the daily list of intents has not come to its end for two days: 1, else 0', '{destination}'),
    ('pg_seats_payment_strays', 'gauge',
     'Intents at Stripe that can be paid, and that no payment here has; more than 1000 count as 1000', '{destination}'),
    -- What people are told.
    ('pg_seats_alerts_open', 'gauge', 'Alerts whose cause is not gone; more than 1000 count as 1000', '{severity}'),
    ('pg_seats_alerts_unacknowledged', 'gauge',
     'Those of them that nobody has acknowledged, as health counts them; more than 1000 count as 1000', '{severity}'),
    ('pg_seats_journal_numbering_lag_seconds', 'gauge',
     'Age of the oldest of the last 200 journal entries that has no number yet; 0: all have theirs', '{}'),
    ('pg_seats_journal_consumer_behind', 'gauge', 'Journal entries that an application has not acknowledged',
     '{consumer}'),
    ('pg_seats_journal_consumer_oldest_unread_seconds', 'gauge', 'Age of the first of them; 0: there is none',
     '{consumer}'),
    ('pg_seats_journal_consumer_has_lost_entries', 'gauge',
     'Whether entries are gone that it had not acknowledged: 1, else 0', '{consumer}');
END;
REVOKE ALL ON FUNCTION seats_internal.metric_definitions() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.metric_definitions() IS
    'the metrics: name, type, help and names of labels; a histogram shows as its _bucket, _sum and _count';
