-- Events about payments, and intents that were forgotten here: what is read, what is found again, what waits meanwhile.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set payments :inputs '/sql/include/payments.psql'
\i :payments
\set ECHO all
BEGIN;
SELECT pg_temp.begin_payments();
SELECT uuid AS ours FROM seats_internal.installation \gset
CREATE FUNCTION pg_temp.event(type text, facts jsonb) RETURNS text LANGUAGE sql AS $$
    INSERT INTO seats_internal.webhook_event
        (endpoint, event_id, destination, type, created, livemode, idempotency_key, facts)
    SELECT 'main', 'evt_' || (SELECT count(*) FROM seats_internal.webhook_event), d.name, $1, now(), d.livemode,
           $2 ->> 'idempotency_key', $2
      FROM seats_internal.destination AS d WHERE d.name = (SELECT min(r.destination) FROM seats_internal.payment_request AS r);
    SELECT seats_internal.apply_event(w) FROM seats_internal.webhook_event AS w
     WHERE w.event_id = 'evt_' || (SELECT count(*) - 1 FROM seats_internal.webhook_event);
$$;
CREATE FUNCTION pg_temp.reads() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', o.kind, o.path, regexp_replace(o.body, 'gte\]=[0-9]+', 'gte]='), o.context ->> 'what') FROM seats_internal.outbox AS o
     WHERE o.kind IN ('payment_read', 'payment_list', 'payment_cancel') ORDER BY o.id;
$$;

-- By the intent, once for a burst; by our metadata before the answer; nothing of other people's.
SELECT pg_temp.start('ada') AS p \gset
SELECT m.hash FROM seats_internal.payment AS p JOIN seats_internal.payment_member AS m ON m.id = p.member_id WHERE p.id = :p \gset
SELECT pg_temp.event('payment_intent.succeeded', jsonb_build_object('payment_intent_id', 'pi_ada', 'installation', :'ours', 'hash', :'hash', 'attempt', 1));
SELECT pg_temp.reads();
SELECT pg_temp.created(:p, pg_temp.intent('pi_ada'));
DELETE FROM seats_internal.outbox WHERE kind = 'payment_read';
SELECT pg_temp.event('payment_intent.processing', '{"payment_intent_id": "pi_ada"}');
SELECT pg_temp.event('payment_intent.succeeded', '{"payment_intent_id": "pi_ada"}');
SELECT pg_temp.event('refund.failed', '{"payment_intent_id": "pi_ada"}');
SELECT pg_temp.event('charge.dispute.created', '{"payment_intent_id": "pi_ada"}');
SELECT pg_temp.event('payment_intent.succeeded', '{"payment_intent_id": "pi_other"}');
SELECT pg_temp.event('charge.refunded', '{"payment_intent_id": null}');
SELECT pg_temp.reads();
-- Told of a refund before it is known to be paid: the intent is read first. Of what is paid, the refunds alone.
DELETE FROM seats_internal.outbox WHERE kind = 'payment_read';
SELECT pg_temp.event('charge.refunded', '{"payment_intent_id": "pi_ada"}');
SELECT pg_temp.reads();
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_ada', 'succeeded', '{"amount_received": 1000}'));
DELETE FROM seats_internal.outbox WHERE kind = 'payment_read';
SELECT pg_temp.event('charge.refunded', '{"payment_intent_id": "pi_ada"}');
SELECT pg_temp.reads();
-- Ours, and forgotten: a list is wanted.
SELECT pg_temp.event('payment_intent.succeeded', jsonb_build_object('payment_intent_id', 'pi_lost', 'installation', :'ours', 'hash', repeat('0', 32), 'attempt', 1));
SELECT destination, reason FROM seats_internal.payment_listing_wish;
-- The intent of an invoice has the key of the change of seats that has made it; it is nobody's payment.
CREATE FUNCTION pg_temp.by_our_key(type text, object text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.event(type, jsonb_build_object('payment_intent_id', 'pi_invoice', 'object_type', object,
               'idempotency_key', i.uuid || '-' || gen_random_uuid() || '-1'))
      FROM seats_internal.installation AS i
$$;
SELECT pg_temp.by_our_key('payment_intent.succeeded', 'payment_intent');
SELECT pg_temp.by_our_key('charge.refunded', 'charge');
SELECT pg_temp.by_our_key('refund.failed', 'refund');
-- It may be older than its event; of a refund's intent that is not known.
SELECT pg_temp.event('payment_intent.succeeded', jsonb_build_object('payment_intent_id', 'pi_lost', 'installation', :'ours', 'hash', repeat('0', 32), 'attempt', 1,
    'payment_intent', jsonb_build_object('created', extract(epoch FROM now() - interval '40 days'))));
SELECT now() - min(since) FROM seats_internal.payment_listing_wish;
DELETE FROM seats_internal.payment_listing_wish;
SELECT pg_temp.event('refund.failed', jsonb_build_object('payment_intent_id', 'pi_lost', 'installation', :'ours', 'hash', repeat('0', 32), 'attempt', 1));
SELECT date_trunc('minute', now() - since) FROM seats_internal.payment_listing_wish;
DELETE FROM seats_internal.outbox WHERE kind IN ('payment_read', 'payment_list', 'payment_cancel');

-- After a failover creates wait for the list.
SELECT pg_temp.start('bob') AS b \gset
DELETE FROM seats_internal.event_cursor;
SELECT seats_internal.payments_are_in_doubt('failover or restore');
-- Events, too, are listed at once.
SELECT count(*) FROM seats_internal.event_cursor WHERE requested_at IS NOT NULL;
SELECT count(*) AS held FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) WHERE o.payment_id = :b;
SELECT seats_internal.sweep_payments(10, '{}');
SELECT pg_temp.reads();
SELECT m.hash FROM seats_internal.payment AS p JOIN seats_internal.payment_member AS m ON m.id = p.member_id WHERE p.id = :b \gset
SELECT h.id AS page FROM seats_internal.move_to_history(
    ARRAY(SELECT o.id FROM seats_internal.outbox AS o WHERE o.kind = 'payment_list'), 'done', NULL) AS h \gset
-- What was forgotten of his is read, and his create waits for that; what is nobody's is told; another database's is not ours.
SELECT seats_internal.payments_were_listed(:page, 'stripe', jsonb_build_object(
    'object', 'intents', 'has_more', false, 'last_id', 'pi_foreign', 'intents', jsonb_build_array(
        pg_temp.intent('pi_bob', 'succeeded', jsonb_build_object('installation', :'ours', 'hash', :'hash', 'attempt', 1)),
        pg_temp.intent('pi_paid', 'succeeded', jsonb_build_object('installation', :'ours', 'hash', repeat('1', 32), 'attempt', 1)),
        pg_temp.intent('pi_lost', 'requires_action', jsonb_build_object('installation', :'ours', 'hash', repeat('2', 32), 'attempt', 1)),
        pg_temp.intent('pi_foreign', 'succeeded', jsonb_build_object('installation', gen_random_uuid(), 'hash', repeat('3', 32), 'attempt', 1)))));
SELECT holds_creates, wanted_since IS NULL AS done, listed_until IS NOT NULL AS listed FROM seats_internal.payment_listing;
SELECT intent, member, status FROM seats.payment_drift ORDER BY intent;
SELECT seats_internal.tell_of_listings(10);
SELECT kind, summary FROM seats.alerts WHERE kind IN ('stray_paid', 'payment_strays') ORDER BY kind;
SELECT pg_temp.reads();
SELECT count(*) AS held FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) WHERE o.payment_id = :b AND o.kind = 'payment';
-- Once the intent is known, the create has nothing to do.
SELECT pg_temp.was_read(:b, pg_temp.intent('pi_bob', 'succeeded', '{"amount_received": 1000}'));
SELECT count(*) AS not_sent FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) WHERE o.payment_id = :b AND o.kind = 'payment';
SELECT h.result, h.reason FROM seats_internal.outbox_history AS h WHERE h.payment_id = :b AND h.kind = 'payment';
SELECT p.state, m.state AS member FROM seats_internal.payment AS p JOIN seats_internal.payment_member AS m ON m.id = p.member_id WHERE p.id = :b;
-- What is forgotten of a start: who has paid elsewhere meanwhile, or is gone, or whose request is, has nothing to pay. Else
-- he goes on.
CREATE FUNCTION pg_temp.forgotten(reference text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    started bigint := pg_temp.start(reference);
    payer   bigint := (SELECT p.member_id FROM seats_internal.payment AS p WHERE p.id = started);
BEGIN
    DELETE FROM seats_internal.outbox AS o WHERE o.payment_id = started;
    DELETE FROM seats_internal.payment AS p WHERE p.id = started;
    UPDATE seats_internal.payment_member AS m
       SET attempts = m.attempts - 1, live_payment_id = NULL, state = 'unpaid' WHERE m.id = payer;
    RETURN payer;
END
$$;
CREATE FUNCTION pg_temp.listed(payer bigint, seen text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    facts   jsonb := pg_temp.intent(seen, more => (
        SELECT jsonb_build_object('installation', i.uuid, 'hash', m.hash, 'attempt', m.attempts + 1)
          FROM seats_internal.payment_member AS m, seats_internal.installation AS i WHERE m.id = payer));
    started bigint;
BEGIN
    PERFORM seats_internal.take_listed_intent('stripe', facts);
    PERFORM seats_internal.look_after_strays(10, '');
    SELECT p.id INTO started FROM seats_internal.payment AS p WHERE p.intent = seen;
    PERFORM pg_temp.was_read(started, facts);
    RETURN concat_ws(E'\n', pg_temp.look(started), pg_temp.calls(started));
END
$$;
SELECT pg_temp.forgotten('eve') AS m \gset
SELECT seats_internal.settle_member('app', :m, 'paid_outside', 'in cash');
SELECT pg_temp.listed(:m, 'pi_eve');
SELECT pg_temp.start('fay') AS p \gset
SELECT pg_temp.created(:p, NULL, 'refused');
SELECT pg_temp.forgotten('fay') AS m \gset
SELECT seats_internal.remove_payment_member('app', :m);
SELECT pg_temp.listed(:m, 'pi_fay');
SELECT pg_temp.forgotten('gus') AS m \gset
SELECT pg_temp.listed(:m, 'pi_gus');
-- Of two attempts the later one may be listed first, and of one attempt there may be two intents.
CREATE FUNCTION pg_temp.stray(payer bigint, intent text, attempt integer, status text) RETURNS void LANGUAGE sql AS $$
    SELECT seats_internal.take_listed_intent('stripe', pg_temp.intent(stray.intent, stray.status, jsonb_build_object(
               'installation', i.uuid, 'hash', m.hash, 'attempt', stray.attempt)))
      FROM seats_internal.payment_member AS m, seats_internal.installation AS i WHERE m.id = payer;
$$;
CREATE FUNCTION pg_temp.attempts(payer bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', p.attempt, p.intent, p.state, p.status, p.cancel_reason,
                                CASE WHEN p.id = m.live_payment_id THEN 'live' END), E'\n' ORDER BY p.attempt)
      FROM seats_internal.payment AS p JOIN seats_internal.payment_member AS m ON m.id = p.member_id
     WHERE m.id = payer
$$;
SELECT pg_temp.forgotten('ira') AS m \gset
SELECT pg_temp.stray(:m, 'pi_ira_2', 2, 'requires_payment_method');
SELECT is_given FROM seats_internal.look_after_strays(10, '');
SELECT pg_temp.stray(:m, 'pi_ira_1', 1, 'succeeded');
SELECT pg_temp.stray(:m, 'pi_ira_1b', 1, 'requires_payment_method');
SELECT pg_temp.stray(:m, 'pi_ira_3', 3, 'canceled');
SELECT is_given FROM seats_internal.look_after_strays(10, '');
SELECT pg_temp.attempts(:m);
SELECT count(*) FROM seats.payment_drift WHERE intent ~ 'ira';
-- What is canceled already is told like any other.
SELECT t.kind, t.object, t.amount FROM seats.payment_transactions AS t WHERE t.member = :m;
-- What a payment knows otherwise is seen, until it is read.
SELECT pg_temp.start('kim') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_kim'));
CREATE FUNCTION pg_temp.lists_kim(more jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT seats_internal.take_listed_intent('stripe', pg_temp.intent('pi_kim') || jsonb_build_object(
               'installation', i.uuid, 'hash', m.hash, 'attempt', 1) || more)
      FROM seats_internal.payment_member AS m, seats_internal.installation AS i WHERE m.reference = 'kim';
    SELECT seats_internal.forget_strays('{pi_kim}');
    SELECT string_agg(concat_ws(' ', d.payment = (SELECT p.id FROM seats_internal.payment AS p WHERE p.intent = 'pi_kim'),
                                d.differs, d.status, d.amount, d.received, d.currency), E'\n')
      FROM seats.payment_drift AS d WHERE d.intent = 'pi_kim';
$$;
SELECT pg_temp.lists_kim('{}');
SELECT pg_temp.calls(:p);
SELECT pg_temp.lists_kim('{"status": "succeeded", "amount_received": 900, "amount": 900, "currency": "usd"}');
SELECT pg_temp.calls(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_kim', 'succeeded', '{"amount": 900, "amount_received": 900, "currency": "usd"}'));
SELECT count(*) FROM seats.payment_drift WHERE intent = 'pi_kim';
SELECT seats_internal.forget_strays('{pi_kim}');
SELECT count(*) FROM seats_internal.payment_stray WHERE intent = 'pi_kim';
SELECT pg_temp.lists_kim('{"status": "succeeded", "amount_received": 900, "amount": 900, "currency": "usd"}');
-- An intent that Stripe no longer has is told, and ends when somebody cancels it: the member can pay anew.
SELECT pg_temp.start('leo') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_leo', 'processing'));
SELECT seats.reconcile_payment(:p, 'a test') IS NOT NULL AS is_read;
SELECT seats_internal.payment_not_read(pg_temp.ends(:p, 'payment_read', 'refused', 'not_found'), :p, 'no such payment_intent');
SELECT regexp_replace(a.hint, '\d+', '<payment>', 'g') FROM seats.alerts AS a WHERE a.kind = 'payment_unreadable';
DELETE FROM seats_internal.outbox WHERE payment_id = :p;
SELECT seats.cancel_payment(:p);
SELECT pg_temp.cancelled(:p, NULL, 'resource_missing');
SELECT pg_temp.look(:p);
SELECT count(*) FROM seats_internal.outbox WHERE payment_id = :p;
SELECT state FROM seats.alerts WHERE kind = 'payment_unreadable';
-- A create may have been started while its intent became a stray: that is the one.
SELECT pg_temp.start('jan') AS p \gset
SELECT m.id AS m FROM seats_internal.payment_member AS m WHERE m.reference = 'jan' \gset
INSERT INTO seats_internal.payment_stray (destination, intent, installation, hash, attempt, status, amount, received, currency)
SELECT 'stripe', 'pi_jan', :'ours', m.hash, 1, 'requires_payment_method', 1000, 0, 'eur'
  FROM seats_internal.payment_member AS m WHERE m.id = :m;
SELECT is_given FROM seats_internal.look_after_strays(10, '');
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_jan'));
SELECT pg_temp.attempts(:m);
-- It is not made again meanwhile.
SELECT pg_temp.start('lea') AS p \gset
INSERT INTO seats_internal.payment_stray (destination, intent, installation, hash, attempt, status, amount, received, currency)
SELECT 'stripe', 'pi_lea', :'ours', m.hash, 1, 'canceled', 1000, 0, 'eur'
  FROM seats_internal.payment_member AS m WHERE m.reference = 'lea';
SELECT h.is_locked AS held FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) AS h WHERE o.payment_id = :p;
SELECT o.kind, o.path FROM seats_internal.outbox AS o WHERE o.payment_id = :p ORDER BY o.id;
-- Until it turns out to be gone, as a sandbox can be emptied.
SELECT pg_temp.start('lou') AS q \gset
INSERT INTO seats_internal.payment_stray (destination, intent, installation, hash, attempt, status, amount, received, currency)
SELECT 'stripe', 'pi_lou', :'ours', m.hash, 1, 'requires_payment_method', 1000, 0, 'eur'
  FROM seats_internal.payment_member AS m WHERE m.reference = 'lou';
SELECT is_given FROM seats_internal.look_after_strays(10, '');
UPDATE seats_internal.outbox SET error_code = 'resource_missing' WHERE payment_id = :q AND kind = 'payment_read';
SELECT seats_internal.payment_not_read(pg_temp.ends(:q, 'payment_read', 'refused', 'resource_missing'), :q, 'no such payment_intent');
SELECT count(*) FROM seats_internal.payment_stray WHERE intent = 'pi_lou';
SELECT count(*) FROM seats.alerts WHERE kind = 'payment_unreadable' AND state = 'open';
SELECT count(*) FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) AS h WHERE o.payment_id = :q;
SELECT seats_internal.cancel_payment('app', :q, 'requested_by_customer');
-- Nor is it over when it is cancelled: what was not sent here may have been sent before a failover.
SELECT seats_internal.cancel_payment('app', :p, 'requested_by_customer');
-- A start gives way to an intent of a later attempt, which becomes its member's first if somebody had him when it was listed.
SELECT pg_temp.start('mia') AS p \gset
SELECT m.id AS m FROM seats_internal.payment_member AS m WHERE m.reference = 'mia' \gset
SELECT pg_temp.stray(:m, 'pi_mia', 2, 'requires_payment_method');
SELECT h.is_locked AS held FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) AS h WHERE o.payment_id = :p;
SELECT pg_temp.attempts(:m);
SELECT count(*) FROM seats_internal.outbox WHERE payment_id = :p;
-- So does one that the worker has met before it knew of the failover; should it have been sent by the former primary, and
-- show up later, it is looked for.
SELECT pg_temp.start('mel') AS p \gset
SELECT m.id AS m FROM seats_internal.payment_member AS m WHERE m.reference = 'mel' \gset
UPDATE seats_internal.outbox SET doubt = true, first_sent_at = created_at, last_sent_at = clock_timestamp() WHERE payment_id = :p;
UPDATE seats_internal.installation SET doubted_at = clock_timestamp();
SELECT pg_temp.stray(:m, 'pi_mel', 2, 'requires_payment_method');
SELECT h.is_locked AS held FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) AS h WHERE o.payment_id = :p;
SELECT pg_temp.attempts(:m);
SELECT reason, due_at > clock_timestamp() + interval '10 minutes' AS later FROM seats_internal.payment_listing_wish WHERE reason LIKE 'a start%';
-- Not one that was sent since, and may have made an intent: then the other one is too many.
SELECT pg_temp.start('moe') AS p \gset
SELECT m.id AS m FROM seats_internal.payment_member AS m WHERE m.reference = 'moe' \gset
UPDATE seats_internal.outbox SET first_sent_at = clock_timestamp(), last_sent_at = clock_timestamp(), doubt = true WHERE payment_id = :p;
SELECT pg_temp.stray(:m, 'pi_moe', 2, 'requires_payment_method');
SELECT is_given FROM seats_internal.look_after_strays(10, '');
SELECT h.is_locked AS held FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) AS h WHERE o.payment_id = :p;
SELECT pg_temp.attempts(:m);
UPDATE seats_internal.outbox SET first_sent_at = NULL, last_sent_at = NULL, doubt = false WHERE payment_id = :p;
DELETE FROM seats_internal.payment_listing_wish;
SELECT pg_temp.start('max') AS p \gset
SELECT seats_internal.payments_are_in_doubt('failover');
SELECT seats_internal.cancel_payment('app', :p, 'requested_by_customer');
UPDATE seats_internal.payment_listing SET holds_creates = false, wanted_since = NULL, wanted_reason = NULL;
UPDATE seats_internal.payment SET cancel_requested_at = NULL, cancel_reason = NULL WHERE id = :p;
SELECT seats_internal.cancel_payment('app', :p, 'requested_by_customer');
-- A cancel may be on its way when somebody takes a stray over: it is not given away, and read when that has ended.
SELECT pg_temp.forgotten('kay') AS m \gset
INSERT INTO seats_internal.payment_stray (destination, intent, installation, hash, attempt, status, amount, received, currency, first_seen)
SELECT 'stripe', 'pi_kay', :'ours', m.hash, 1, 'requires_payment_method', 1000, 0, 'eur', now() - interval '2 hours'
  FROM seats_internal.payment_member AS m WHERE m.id = :m;
SELECT seats_internal.cancel_strays('stripe');
SELECT s.cancel_call_id AS call FROM seats_internal.payment_stray AS s WHERE s.intent = 'pi_kay' \gset
SELECT state FROM seats.start_payment(:m);
SELECT pg_temp.attempts(:m);
-- Who goes on with one that was found waits for its read.
SELECT pg_temp.forgotten('nan') AS n \gset
SELECT pg_temp.stray(:n, 'pi_nan', 1, 'requires_payment_method');
SELECT payment AS p FROM seats.start_payment(:n) \gset
SELECT state, may_come, is_open, may_be_given FROM seats_internal.secret_outlook WHERE payment = :p;
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_nan'));
SELECT state, may_come, is_open, may_be_given FROM seats_internal.secret_outlook WHERE payment = :p;
SELECT p.id AS p FROM seats_internal.payment AS p WHERE p.member_id = :m \gset
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_kay'));
SELECT is_given FROM seats_internal.look_after_strays(10, '');
SELECT pg_temp.calls(:p);
SELECT count(*) FROM seats_internal.move_to_history(ARRAY[:call], 'done', NULL);
SELECT seats_internal.payment_cancel_settled(:call, NULL, pg_temp.intent('pi_kay', 'canceled'), now(), NULL);
SELECT pg_temp.calls(:p);
SELECT is_given FROM seats_internal.look_after_strays(10, '');
SELECT count(*) FROM seats_internal.payment_stray WHERE intent = 'pi_kay';
SELECT pg_temp.forgotten('hal') AS m \gset
SELECT seats_internal.cancel_payment_request('app', r.id, 'nobody comes') FROM seats_internal.payment_request AS r;
SELECT pg_temp.listed(:m, 'pi_hal');
UPDATE seats_internal.payment_request SET state = 'open';
DELETE FROM seats_internal.outbox WHERE kind IN ('payment_read', 'payment_cancel');
-- A list that cannot be had is asked for again, and told.
SELECT seats_internal.want_intents_listed('stripe', now(), 'test');
SELECT seats_internal.sweep_payments(10, '{}');
SELECT h.id AS page FROM seats_internal.move_to_history(
    ARRAY(SELECT o.id FROM seats_internal.outbox AS o WHERE o.kind = 'payment_list'), 'refused', 'forbidden') AS h \gset
SELECT seats_internal.payments_not_listed(:page, 'stripe', 'no permission');
SELECT seats_internal.tell_of_listings(10);
SELECT kind, due_at > clock_timestamp() AS later FROM seats_internal.outbox WHERE kind = 'payment_list';
SELECT summary FROM seats.alerts WHERE kind = 'payments_unlisted';
SELECT seats_internal.finish_listing(l) FROM seats_internal.payment_listing AS l;
-- One whose page was cancelled is begun again, as far back as it was to go, and creates wait until it is through.
SELECT seats_internal.want_intents_listed('stripe', now() - interval '20 days', 'test');
SELECT seats_internal.want_intents_listed('stripe', now() - interval '19 days', 'it is in that already');
SELECT destination, reason FROM seats_internal.payment_listing_wish;
SELECT seats_internal.payments_are_in_doubt('failover or restore');
-- (The answer of a page that was under way, and is gone, says nothing.)
SELECT seats_internal.payments_were_listed(0, 'stripe', '{"object": "intents", "has_more": false, "intents": []}');
SELECT holds_creates FROM seats_internal.payment_listing;
SELECT seats_internal.sweep_payments(10, '{}');
SELECT listing_from AS begun FROM seats_internal.payment_listing \gset
SELECT count(*) AS cancelled FROM seats_internal.move_to_history(
    ARRAY(SELECT o.id FROM seats_internal.outbox AS o WHERE o.kind = 'payment_list'), 'cancelled', 'by a person');
SELECT seats_internal.sweep_payments(10, '{}');
SELECT kind, context ->> 'cursor' AS cursor FROM seats_internal.outbox WHERE kind = 'payment_list';
SELECT holds_creates, listing_from = :'begun' AS as_before FROM seats_internal.payment_listing;
-- Strays that are older are looked at by the daily one, for which no payer waits.
SELECT listing_from > now() - interval '21 days' AS no_further FROM seats_internal.payment_listing;
-- Who has been told that one was paid, and has settled that, is not told again.
SELECT seats.acknowledge((SELECT a.alert FROM seats.alerts AS a WHERE a.kind = 'stray_paid'), 'refunded in the Dashboard') IS NOT NULL AS done;
SELECT seats_internal.tell_of_listings(10);
SELECT state FROM seats.alerts WHERE kind = 'stray_paid';
INSERT INTO seats_internal.payment_stray (destination, intent, status, received, currency)
SELECT 'stripe', 'pi_told_' || n, 'succeeded', 1000, 'eur' FROM generate_series(1, 150) AS n;
SELECT seats_internal.tell_of_listings(100);
SELECT seats_internal.tell_of_listings(100);
SELECT count(*) FROM seats.alerts WHERE kind = 'stray_paid' AND state = 'open';
DELETE FROM seats_internal.payment_stray WHERE intent ~ 'pi_told';
-- Strays are cancelled after an hour.
UPDATE seats_internal.payment_stray SET first_seen = now() - interval '2 hours';
SELECT seats_internal.cancel_strays('stripe');
SELECT path, body FROM seats_internal.outbox WHERE kind = 'payment_cancel';
-- One that is gone can be paid by nobody.
SELECT s.intent, s.cancel_call_id AS call FROM seats_internal.payment_stray AS s WHERE s.cancel_call_id IS NOT NULL LIMIT 1 \gset gone_
SELECT seats_internal.payment_cancel_settled(:gone_call, NULL, NULL, NULL, 'resource_missing');
SELECT status FROM seats_internal.payment_stray WHERE intent = :'gone_intent';
DELETE FROM seats_internal.outbox WHERE kind IN ('payment_list', 'payment_cancel');
SELECT seats_internal.finish_listing(l) FROM seats_internal.payment_listing AS l;
-- After a long outage, whoever was away, intents are listed that were made meanwhile, and events that nobody has brought.
CREATE FUNCTION pg_temp.wanted() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', (SELECT count(*) FROM seats_internal.outbox AS o WHERE o.kind = 'payment_list'), 'pages, from',
                     (SELECT date_trunc('minute', now() - l.listing_from) FROM seats_internal.payment_listing AS l), 'ago; events',
                     (SELECT count(*) FROM seats_internal.event_cursor AS c WHERE c.requested_at IS NOT NULL))
$$;
DELETE FROM seats_internal.event_cursor;
DELETE FROM seats_internal.payment_stray;
UPDATE seats_internal.payment_listing SET listed_until = now();
INSERT INTO seats_internal.destination_contact (destination, reached_at) VALUES ('stripe', now() - interval '14 minutes');
SELECT seats_internal.sweep_payments(10, '{stripe}');
SELECT pg_temp.wanted();
SELECT reached_at > now() AS is_there FROM seats_internal.destination_contact;
UPDATE seats_internal.destination_contact SET reached_at = now() - interval '2 hours';
SELECT seats_internal.sweep_payments(10, '{}');
SELECT pg_temp.wanted();
SELECT seats_internal.sweep_payments(10, '{stripe}');
SELECT pg_temp.wanted();
-- A person's word that a create was executed is not enough: who is to pay starts again. A listing knows only what it covers.
DELETE FROM seats_internal.outbox WHERE kind IN ('payment', 'payment_list');
SELECT pg_temp.start('lia') AS p \gset
SELECT pg_temp.created(:p, NULL);
SELECT reason FROM seats_internal.payment_listing_wish ORDER BY since LIMIT 1;
DELETE FROM seats_internal.payment_listing_wish;
-- (What was made a moment ago a list may not show: it is listed once more, when that is over.)
UPDATE seats_internal.payment_listing SET listing_from = now() - interval '59 minutes', listing_until = now(), wanted_since = NULL;
SELECT seats_internal.finish_listing(l) FROM seats_internal.payment_listing AS l;
SELECT seats_internal.finish_listing(l) FROM seats_internal.payment_listing AS l;
SELECT pg_temp.look(:p);
SELECT seats_internal.note_wishes();
SELECT w.reason, date_trunc('minute', w.due_at - clock_timestamp() + interval '30 seconds') AS due_in, l.wanted_since
  FROM seats_internal.payment_listing_wish AS w JOIN seats_internal.payment_listing AS l ON l.destination = w.destination;
UPDATE seats_internal.payment_listing_wish SET due_at = due_at - interval '15 minutes';
SELECT seats_internal.note_wishes();
SELECT wanted_since = now() AS is_wanted FROM seats_internal.payment_listing;
UPDATE seats_internal.payment SET created_at = now() - interval '1 hour' WHERE id = :p;
UPDATE seats_internal.payment_listing SET listing_from = now() - interval '59 minutes', listing_until = now();
SELECT seats_internal.finish_listing(l) FROM seats_internal.payment_listing AS l;
SELECT pg_temp.look(:p);
UPDATE seats_internal.payment_listing SET listing_from = now() - interval '2 hours', listing_until = now();
SELECT seats_internal.finish_listing(l) FROM seats_internal.payment_listing AS l;
SELECT pg_temp.look(:p);
-- A database that takes the place of its original may have forgotten some; a copy leaves payments to it, and has made none.
SELECT pg_temp.start('cy') AS c \gset
SELECT seats_internal.adopt_payments(true);
SELECT holds_creates, wanted_reason FROM seats_internal.payment_listing;
SELECT pg_temp.start('max') AS p \gset
UPDATE seats_internal.payment_member SET state = 'waived' WHERE reference = 'max';
SELECT seats_internal.payment_not_read(NULL, :p, 'gone');
SELECT pg_temp.paid('ned') AS d \gset
SELECT refund > 0 AS asked FROM seats_internal.refund_payment('app', :d, 300);
SELECT seats_internal.queue_payment_read(:d, 'disputes') IS NOT NULL AS is_read;
SELECT pg_temp.disputes_read(:d, pg_temp.dispute('dp_ned', 'needs_response'));
SELECT is_unfinished FROM seats_internal.payment WHERE id = :d;
SELECT seats_internal.adopt_payments(false);
SELECT is_unfinished FROM seats_internal.payment WHERE id = :d;
SELECT pg_temp.open_alerts();
SELECT resolution FROM seats_internal.alert WHERE fingerprint = 'payment_unreadable:' || :p;
SELECT state, live_payment_id FROM seats_internal.payment_member WHERE reference = 'max';
SELECT p.state, m.state AS member, m.live_payment_id FROM seats_internal.payment AS p JOIN seats_internal.payment_member AS m ON m.id = p.member_id WHERE p.id = :c;
SELECT count(*) FROM seats_internal.payment_listing;
ROLLBACK;

-- Where nobody has paid yet, the first start may be what was forgotten. A key that may not list is no mistake before somebody
-- is to pay.
BEGIN;
SELECT pg_temp.begin_payments();
DELETE FROM seats_internal.payment_handler;
DELETE FROM seats_internal.payment_request;
SELECT seats_internal.sweep_payments(10, '{stripe}');
SELECT count(*) FROM seats_internal.payment_listing;
UPDATE seats_internal.destination_contact SET reached_at = now() - interval '10 minutes';
SELECT seats_internal.payments_are_in_doubt('failover or restore');
SELECT holds_creates, now() - wanted_since AS since FROM seats_internal.payment_listing;
SELECT seats_internal.sweep_payments(10, '{}');
SELECT h.id AS page FROM seats_internal.move_to_history(
    ARRAY(SELECT o.id FROM seats_internal.outbox AS o WHERE o.kind = 'payment_list'), 'refused', 'forbidden') AS h \gset
SELECT seats_internal.payments_not_listed(:page, 'stripe', 'no permission');
SELECT seats_internal.tell_of_listings(10);
SELECT seats_internal.sweep_payments(10, '{}');
SELECT count(*) AS pages FROM seats_internal.outbox WHERE kind = 'payment_list';
SELECT count(*) AS told FROM seats.alerts WHERE kind = 'payments_unlisted';
SELECT count(*) AS told FROM seats.health WHERE check_name ~ 'payment_listing';
INSERT INTO seats_internal.payment_request (destination, request_key, currency, created_by, role, role_oid, arguments)
VALUES ('stripe', 'lunch', 'eur', 'app', 'app', 0, '{}');
SELECT pg_temp.start('ada') AS p \gset
SELECT h.is_locked AS held FROM seats_internal.outbox AS o, seats_internal.hold_creates(ARRAY[o.id]) AS h;
SELECT due_at > now() + interval '50 seconds' AS listing_wakes_it FROM seats_internal.outbox WHERE kind = 'payment';
SELECT seats_internal.sweep_payments(10, '{}');
SELECT count(*) AS pages FROM seats_internal.outbox WHERE kind = 'payment_list';
DELETE FROM seats_internal.payment;
DELETE FROM seats_internal.payment_member;
DELETE FROM seats_internal.payment_request;
SELECT seats_internal.finish_listing(l) FROM seats_internal.payment_listing AS l;
SELECT seats_internal.tell_of_listings(10);
SELECT count(*) FROM seats_internal.payment_listing;
ROLLBACK;

-- What was forgotten may be a destination, too: defined again, it has its intents listed before anybody pays there.
BEGIN;
SELECT pg_temp.begin_payments();
CREATE FUNCTION pg_temp.defines(name text) RETURNS text LANGUAGE sql AS $$
    SELECT seats.define_destination(name, 'http://127.0.0.1:9', 'test_key', livemode => false);
    SELECT (SELECT concat_ws(' ', 'holds', l.holds_creates, 'from the beginning', l.wanted_since < i.created_at, l.wanted_reason)
              FROM seats_internal.payment_listing AS l, seats_internal.installation AS i WHERE l.destination = name);
$$;
SELECT pg_temp.defines('early');
SELECT seats_internal.payments_are_in_doubt('failover or restore');
SELECT pg_temp.defines('late');
UPDATE seats_internal.payment_listing SET wanted_since = NULL, wanted_reason = NULL, holds_creates = false WHERE destination = 'late';
SELECT pg_temp.defines('late');
UPDATE seats_internal.installation SET doubted_at = now() - interval '31 days';
SELECT pg_temp.defines('later');
UPDATE seats_internal.installation SET doubted_at = now();
SELECT seats_internal.adopt_payments(false);
SELECT pg_temp.defines('of_the_copy');
ROLLBACK;

-- Two destinations of one account (two keys, with other permissions): each lists the intents of both. What is paid over the
-- one is not nobody's over the other.
BEGIN;
SELECT pg_temp.begin_payments();
SELECT uuid AS ours FROM seats_internal.installation \gset
UPDATE seats_internal.destination SET account = 'acct_1', livemode = false WHERE name = 'stripe';
SELECT name FROM seats.define_destination('second', 'http://127.0.0.1:9', 'test_key', account => 'acct_1', livemode => false);
SELECT name FROM seats.define_destination('foreign', 'http://127.0.0.1:9', 'test_key', account => 'acct_2', livemode => false);
SELECT pg_temp.start('ada') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_ada'));
SELECT pg_temp.start('bob') AS b \gset
CREATE FUNCTION pg_temp.lists(destination text, intent text, status text, payer text) RETURNS void LANGUAGE sql AS $$
    SELECT seats_internal.take_listed_intent(lists.destination, pg_temp.intent(lists.intent, lists.status, jsonb_build_object(
               'installation', i.uuid, 'hash', encode(sha256(convert_to(lists.payer, 'UTF8')), 'hex'), 'attempt', 1)))
      FROM seats_internal.installation AS i;
    UPDATE seats_internal.payment_stray SET first_seen = now() - interval '2 hours';
    INSERT INTO seats_internal.payment_listing (destination) VALUES (lists.destination) ON CONFLICT DO NOTHING;
    SELECT seats_internal.finish_listing(l) FROM seats_internal.payment_listing AS l WHERE l.destination = lists.destination;
    SELECT seats_internal.cancel_strays(lists.destination);
    SELECT seats_internal.tell_of_listings(10);
$$;
SELECT pg_temp.lists('second', 'pi_ada', 'requires_payment_method', 'ada');
SELECT count(*) FROM seats_internal.payment_stray;
SELECT seats_internal.takes_payments('second');
-- What is being made, and has no answer yet.
SELECT pg_temp.lists('second', 'pi_bob', 'requires_payment_method', 'bob');
SELECT count(*) FROM seats.alerts WHERE kind IN ('stray_paid', 'payment_strays');
SELECT path FROM seats_internal.outbox WHERE kind = 'payment_cancel';
SELECT pg_temp.created(:b, pg_temp.intent('pi_bob'));
SELECT count(*) FROM seats.payment_drift;
-- Of another account it can only be one whose bill was made over another destination before: nobody has the money.
SELECT pg_temp.lists('foreign', 'pi_ada_2', 'succeeded', 'ada');
SELECT kind, detail ->> 'destination' AS destination FROM seats.alerts WHERE kind IN ('stray_paid', 'payment_strays');
-- However many there are, some of them are looked at at a time.
INSERT INTO seats_internal.payment_stray (destination, intent, status)
SELECT d.name, 'pi_' || n, 'canceled' FROM generate_series(11, 15) AS n, unnest('{second,foreign}'::text[]) AS d (name);
DELETE FROM seats_internal.payment_stray WHERE intent !~ '^pi_1[1-5]$';
SELECT after FROM seats_internal.look_after_strays(3, '') \gset
SELECT :'after' AS after;
SELECT after FROM seats_internal.look_after_strays(3, :'after') \gset
SELECT :'after' AS after;
SELECT after = '' AS from_the_beginning FROM seats_internal.look_after_strays(3, :'after');
ROLLBACK;
