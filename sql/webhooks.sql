-- Webhooks, as far as they need neither signature nor worker: what is told once and when that is over, what is
-- forgotten, which lists of events are due, and what happens to events that came before their team.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
DELETE FROM seats_internal.webhook_event;
DELETE FROM seats_internal.webhook_endpoint;
DELETE FROM seats_internal.event_cursor;
UPDATE seats_internal.destination SET livemode = false;
SELECT seats.define_webhook_endpoint('main', 'stripe', '{webhook_main}');
SELECT seats.define_webhook_endpoint('other', 'stripe', '{webhook_other}');
SELECT pg_temp.try($$SELECT seats.define_webhook_endpoint('square', 'stripe', '{{webhook_main},{webhook_other}}')$$);
CREATE FUNCTION pg_temp.take(endpoint text, event text, type text, subscription text,
                             livemode boolean DEFAULT false, all_secrets boolean DEFAULT true)
RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', t.http_status, t.outcome)
      FROM seats_internal.take_event(
               endpoint, 'payload',
               jsonb_build_object('id', event, 'type', type, 'created', 1790000000, 'livemode', livemode,
                                  'object_id', 'in_' || event, 'subscription_id', subscription,
                                  'invoice', jsonb_build_object('id', 'in_' || event)),
               all_secrets) AS t
$$;
CREATE FUNCTION pg_temp.events() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', w.endpoint, w.event_id, w.outcome,
                     CASE WHEN w.processed_at IS NULL THEN 'open' END, CASE WHEN w.retry_at IS NOT NULL THEN 'due' END)
      FROM seats_internal.webhook_event AS w ORDER BY w.event_id, w.endpoint
$$;
CREATE FUNCTION pg_temp.told() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', j.kind, j.detail ->> 'event', count(*))
      FROM seats_internal.journal AS j WHERE j.kind ~ '^invoice' GROUP BY j.kind, j.detail ->> 'event' ORDER BY 1
$$;
CREATE FUNCTION pg_temp.alarm() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.fingerprint, a.occurrences, coalesce(a.resolution, 'open'))
      FROM seats_internal.alert AS a ORDER BY a.id
$$;

-- Before its subscription has a team, an event is nobody's; registering has it processed. It is told once,
-- whatever number of endpoints have brought it.
SELECT pg_temp.take('main', 'evt_action', 'invoice.payment_action_required', 'sub_acme');
SELECT pg_temp.take('main', 'evt_paid', 'invoice.paid', 'sub_acme');
SELECT pg_temp.take('other', 'evt_paid', 'invoice.paid', 'sub_acme');
SELECT pg_temp.take('main', 'evt_past', 'invoice.payment_failed', 'sub_acme');
SELECT pg_temp.take('main', 'evt_else', 'invoice.paid', 'sub_else');
UPDATE seats_internal.webhook_event SET received_at = clock_timestamp() - interval '4 days' WHERE event_id = 'evt_past';
SELECT pg_temp.events();
SELECT seats.register_team('acme', 'sub_acme') > 0;
SELECT pg_temp.events();
SELECT tried FROM seats_internal.retry_events(30);
SELECT pg_temp.events();
SELECT pg_temp.told();
-- What another endpoint has brought and nobody wanted is not told yet.
SELECT pg_temp.take('other', 'evt_past', 'invoice.payment_failed', 'sub_acme');
SELECT pg_temp.told();
-- Registered again, nothing of it happens again; individuals are the same.
SELECT seats.register_team('acme', 'sub_acme') > 0;
SELECT seats.register_individual('ina', 'sub_else') > 0;
SELECT tried FROM seats_internal.retry_events(30);
SELECT pg_temp.told();

-- An event that is processed when it comes never enters the index of those that are tried again.
TRUNCATE seats_internal.webhook_event;
SELECT pg_temp.take('main', 'evt_at_once', 'invoice.paid', 'sub_acme');
SELECT pg_relation_size('seats_internal.webhook_event_unprocessed') / current_setting('block_size')::integer AS pages;
SELECT seats.replay_webhook('main', 'evt_at_once', 'to see that this shows it');
SELECT pg_relation_size('seats_internal.webhook_event_unprocessed') / current_setting('block_size')::integer AS pages;
DELETE FROM seats_internal.webhook_event;

-- Processed once, whoever comes for it.
SELECT pg_temp.take('main', 'evt_once', 'invoice.paid', 'sub_acme');
SELECT seats_internal.process_event('main', 'evt_once');
DELETE FROM seats_internal.webhook_event;
-- What cannot be processed is tried on; the eighth time a person is told, until it is processed after all.
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, livemode, subscription, facts)
SELECT 'main', 'evt_failing', d.name, 'invoice.paid', d.livemode, 'sub_acme', '{"account": "acct_1"}'
  FROM seats_internal.destination AS d;
UPDATE seats_internal.webhook_event SET tries = 6;
SELECT seats_internal.process_event('main', 'evt_failing');
SELECT pg_temp.alarm();
SELECT seats_internal.process_event('main', 'evt_failing');
SELECT pg_temp.alarm();
UPDATE seats_internal.destination SET account = 'acct_1';
SELECT seats_internal.process_event('main', 'evt_failing');
SELECT pg_temp.alarm();
UPDATE seats_internal.destination SET account = NULL;
DELETE FROM seats_internal.alert;
DELETE FROM seats_internal.webhook_event;

-- The wrong mode: counted once an hour, and over when good events come and none of it for a day.
SELECT pg_temp.take('main', 'evt_live', 'invoice.paid', 'sub_acme', true), pg_temp.take('main', 'evt_live_2', 'invoice.paid', 'sub_acme', true);
SELECT pg_temp.alarm();
UPDATE seats_internal.alert SET last_seen_at = clock_timestamp() - interval '2 hours';
SELECT pg_temp.take('main', 'evt_live', 'invoice.paid', 'sub_acme', true);
SELECT pg_temp.take('main', 'evt_good', 'invoice.paid', 'sub_acme');
SELECT pg_temp.alarm();
UPDATE seats_internal.alert SET last_seen_at = clock_timestamp() - interval '2 days';
SELECT pg_temp.take('other', 'evt_good', 'invoice.paid', 'sub_acme');
SELECT pg_temp.alarm();
SELECT pg_temp.take('main', 'evt_good_2', 'invoice.paid', 'sub_acme');
SELECT pg_temp.alarm();
DELETE FROM seats_internal.alert;
-- A secret that cannot be read: over with the first good event for which all could be.
SELECT seats_internal.webhook_secret_missing('main', 'no such file');
SELECT pg_temp.take('main', 'evt_good_3', 'invoice.paid', 'sub_acme', all_secrets => false);
SELECT pg_temp.alarm();
SELECT pg_temp.take('main', 'evt_good_4', 'invoice.paid', 'sub_acme');
SELECT pg_temp.alarm();
-- Both when the endpoint is defined anew.
SELECT seats_internal.webhook_secret_missing('main', 'no such file');
SELECT pg_temp.take('main', 'evt_live', 'invoice.paid', 'sub_acme', true);
SELECT seats.define_webhook_endpoint('main', 'stripe', '{webhook_main}');
SELECT pg_temp.alarm();
DELETE FROM seats_internal.alert;
DELETE FROM seats_internal.webhook_event;

-- An event that does not say of which mode it is (its member is missing, null, or no boolean) is not of ours.
SELECT pg_temp.take('main', 'evt_modeless', 'invoice.paid', 'sub_acme', NULL);
SELECT seats_internal.take_listed_events('stripe', ARRAY['{"id": "evt_listed", "type": "invoice.paid", "subscription_id": "sub_acme"}']);
SELECT tried FROM seats_internal.retry_events(30);
SELECT pg_temp.events();
DELETE FROM seats_internal.webhook_event;
-- One that names an account waits until ours is known: it may be a connected one's.
CREATE FUNCTION pg_temp.take_of(account text, event text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', t.http_status, t.outcome)
      FROM seats_internal.take_event(
               'main', 'payload',
               jsonb_build_object('id', event, 'type', 'invoice.paid', 'livemode', false, 'account', account,
                                  'subscription_id', 'sub_acme', 'object_id', 'in_' || event), true) AS t
$$;
SELECT pg_temp.take_of('acct_other', 'evt_other'), pg_temp.take_of('acct_ours', 'evt_ours'), pg_temp.take_of(NULL, 'evt_mine');
SELECT DISTINCT error FROM seats_internal.webhook_event WHERE outcome = 'stored';
SELECT pg_temp.told();
UPDATE seats_internal.destination SET account = 'acct_ours';
UPDATE seats_internal.webhook_event SET retry_at = clock_timestamp() WHERE retry_at IS NOT NULL;
SELECT tried FROM seats_internal.retry_events(30);
SELECT pg_temp.events();
DELETE FROM seats_internal.alert;
DELETE FROM seats_internal.webhook_event;

-- Forgetting: a batch of each source, and whether there are more.
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, facts, received_at, processed_at)
SELECT e.name, 'evt_' || n, 'stripe', 'x', '{}', clock_timestamp() - n * interval '1 hour', clock_timestamp()
  FROM (VALUES ('main', 1500), ('other', 100), ('list:stripe', 200)) AS e (name, count), generate_series(1, e.count) AS n;
UPDATE seats_internal.webhook_event SET processed_at = NULL, retry_at = 'infinity' WHERE event_id = 'evt_1490';
SELECT seats_internal.forget_events(8);
SELECT endpoint, count(*), max(clock_timestamp() - received_at) < '8 days' AS is_done FROM seats_internal.webhook_event GROUP BY endpoint ORDER BY endpoint;
SELECT seats_internal.forget_events(8);
SELECT endpoint, count(*), max(clock_timestamp() - received_at) < '8 days' AS is_done FROM seats_internal.webhook_event GROUP BY endpoint ORDER BY endpoint;
DELETE FROM seats_internal.webhook_event;

-- Which lists are due. Ages in minutes: where it begins, and where it ends (-: now).
CREATE FUNCTION pg_temp.due() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('%s: from %s to %s', m.destination,
                  round((extract(epoch FROM clock_timestamp()) - m.since) / 60),
                  coalesce(round((extract(epoch FROM clock_timestamp()) - m.until) / 60)::text, '-'))
      FROM seats_internal.missed_events_to_list() AS m
$$;
CREATE FUNCTION pg_temp.webhook_came(minutes integer) RETURNS void LANGUAGE sql AS $$
    DELETE FROM seats_internal.webhook_event;
    INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, facts, received_at, processed_at)
    VALUES ('main', 'evt_x', 'stripe', 'x', '{}', clock_timestamp() - minutes * interval '1 minute', clock_timestamp())
$$;
-- Just defined; silent for an hour since; a webhook came; for a day they come.
SELECT pg_temp.due();
UPDATE seats_internal.webhook_endpoint SET defined_at = clock_timestamp() - interval '100 minutes';
SELECT pg_temp.due();
SELECT pg_temp.webhook_came(10);
SELECT pg_temp.due();
UPDATE seats_internal.webhook_endpoint SET defined_at = clock_timestamp() - interval '1500 minutes';
SELECT pg_temp.due();
-- A page moves nothing; the end of the list does, and what is known is not taken again.
SELECT extract(epoch FROM clock_timestamp())::bigint AS now \gset
SELECT seats_internal.take_listed_events('stripe', ARRAY[
    jsonb_build_object('id', 'evt_x', 'type', 'x', 'created', :now - 60 * 10),
    jsonb_build_object('id', 'evt_y', 'type', 'x', 'created', :now - 60 * 20)]::text[]);
SELECT count(*) FROM seats_internal.event_cursor;
SELECT seats_internal.missed_events_were_listed('stripe', 0, false, :now - 60 * 10);
SELECT pg_temp.due();
-- Silence since; webhooks that come, and the last list a day ago: it begins where that has ended.
SELECT pg_temp.webhook_came(70);
UPDATE seats_internal.event_cursor SET listed_at = clock_timestamp() - interval '65 minutes';
SELECT pg_temp.due();
SELECT pg_temp.webhook_came(1);
SELECT pg_temp.due();
UPDATE seats_internal.event_cursor SET listed_at = clock_timestamp() - interval '25 hours', since = :now - 60 * 1500;
SELECT pg_temp.due();
SELECT seats_internal.missed_events_were_listed('stripe', 0, false, NULL);
SELECT pg_temp.due();
SELECT seats.list_events('stripe', 'a person wants it');
SELECT pg_temp.due();
SELECT seats_internal.missed_events_were_listed('stripe', 0, false, :now);
SELECT pg_temp.due();

-- A list that is refused.
SELECT seats_internal.events_are_unreadable('stripe', 'a restricted key');
SELECT pg_temp.alarm();
SELECT seats_internal.events_were_listed('stripe', '1 minute');
SELECT pg_temp.alarm();
ROLLBACK;
