-- Setting up: the installation, destinations, and taking over a copy.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
-- Where pg_seats is not preloaded, each session is warned once.
SET client_min_messages = error;
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET intervalstyle = 'postgres';
\pset format unaligned
\pset tuples_only on

-- Runs a statement and shows what it raised; times and uuids are of no interest here.
CREATE FUNCTION pg_temp.plain(words text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace($1,
        '\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d(:\d\d)?', '<time>', 'g'),
        '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', '<uuid>', 'g'),
        '\((\d+ days? ?)?[0-9:]{8}\)', '(<age>)', 'g')
$$;
CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; details text; hints text;
BEGIN
    EXECUTE command;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        details = PG_EXCEPTION_DETAIL, hints = PG_EXCEPTION_HINT;
    RETURN pg_temp.plain(concat_ws(E'\n  ', state || ': ' || message, nullif(details, ''),
                                   nullif(hints, '')));
END
$$;

-- In a transaction that is rolled back: no worker ever sees any of it.
BEGIN;
CREATE ROLE regress_seats_admin SUPERUSER;
SET ROLE regress_seats_admin;
DELETE FROM seats_internal.installation;
DELETE FROM seats_internal.outbox;
DELETE FROM seats_internal.destination;

-- create_installation: once.
SELECT pg_temp.try('SELECT seats.adopt_database($$no reason yet$$, true)');
SELECT seats.create_installation() AS created \gset
SELECT uuid = :'created' FROM seats_internal.installation;
SELECT timeline > 0, created_by FROM seats_internal.installation;
SELECT pg_temp.try('SELECT seats.create_installation()');

-- define_destination: defaults, and what is kept when it is defined again.
SELECT seats.define_destination('regress_live', 'https://api.stripe.com/', 'live_key',
                                livemode => true);
SELECT seats.define_destination('regress_test', 'http://127.0.0.1:9', 'test_key', livemode => false,
                                account => 'acct_1');
SELECT pg_temp.try($$SELECT seats.define_destination('regress_alerts', 'https://example.com/alerts',
                                                     NULL, kind => 'receiver')$$);
SELECT name, kind, base_url, secret, account, livemode, api_version, requests_per_second,
       probe_path, created_by
  FROM seats_internal.destination ORDER BY name;
UPDATE seats_internal.destination SET paused_at = now() WHERE name = 'regress_test';
SELECT seats.define_destination('regress_test', 'http://localhost:10/', 'other_key',
                                livemode => false, requests_per_second => 5);
SELECT base_url, secret, account, requests_per_second, paused_at IS NOT NULL
  FROM seats_internal.destination WHERE name = 'regress_test';

-- What is refused.
SELECT pg_temp.try(format('SELECT seats.define_destination(%s)', arguments))
  FROM (VALUES (1, $$'bad name!', 'https://a.example', 'k', livemode => true$$),
               (2, $$'d', 'http://example.com', 'k', livemode => true$$),
               (3, $$'d', 'https://user@example.com', 'k', livemode => true$$),
               (4, $$'d', 'https://a.example', '../k', livemode => true$$),
               (5, $$'d', 'https://a.example', 'installation.5', livemode => true$$),
               (6, $$'d', 'https://a.example', 'sk_live_0123456789abcdef0123', livemode => true$$),
               (7, $$'d', 'https://a.example', NULL, livemode => true$$),
               (8, $$'d', 'https://a.example', 'k'$$),
               (9, $$'d', 'https://a.example', 'k', kind => 'mail', livemode => true$$),
               (10, $$'d', 'https://a.example', 'k', livemode => true, requests_per_second => 'NaN'$$),
               (11, $$'d', 'https://a.example', 'k', livemode => true, probe_path => 'v1'$$),
               (12, $$'d', 'https://a.example', 'k', livemode => true, api_version => E'a\nb'$$))
       AS t (number, arguments)
 ORDER BY number;

-- Calls in doubt are verified in the account and mode that they were sent to.
INSERT INTO seats_internal.outbox (id, destination, method, path, body, enqueued_by, installation,
                                   state, doubt, first_sent_at)
SELECT id, 'regress_test', 'POST', '/v1/customers', '', 'somebody', uuid,
       state::seats_internal.outbox_state, doubt, now()
  FROM seats_internal.installation,
       (VALUES (1000001, 'waiting', true), (1000002, 'pending', false), (1000003, 'review', true))
       AS o (id, state, doubt);
UPDATE seats_internal.outbox SET first_sent_at = NULL WHERE id = 1000002;
SELECT pg_temp.try($$SELECT seats.define_destination('regress_test', 'http://localhost:10/',
    'other_key', livemode => true)$$);
SELECT seats.define_destination('regress_test', 'http://localhost:11/', 'other_key',
                                livemode => false);

-- adopt_database, instead of the original: the identity stays, and everything open is verified.
SELECT pg_temp.try('SELECT seats.adopt_database($$ $$, true)');
SELECT pg_temp.try('SELECT seats.adopt_database($$moved$$, NULL)');
SELECT uuid AS former FROM seats_internal.installation \gset
UPDATE seats_internal.installation SET timeline = 0;
SELECT installation = :'former', calls FROM seats.adopt_database('moved to another server', true);
SELECT uuid = :'former', timeline > 0 FROM seats_internal.installation;
SELECT id, state, doubt, first_sent_at IS NOT NULL AS has_first, due_at, reason,
       eligible_xid = pg_current_xact_id() AS arrives, installation = :'former' AS same
  FROM seats_internal.outbox ORDER BY id;

-- As a copy: another identity, and a person decides about each.
SELECT installation <> :'former', calls FROM seats.adopt_database('a copy for tests', false);
SELECT o.id, o.state, o.doubt, o.reason, o.installation = i.uuid AS ours
  FROM seats_internal.outbox AS o, seats_internal.installation AS i ORDER BY o.id;
SELECT severity, kind, summary, detail FROM seats.alerts
 WHERE state = 'open' AND summary LIKE '%copy%';
SELECT call, decisions FROM seats.reviews ORDER BY call;
SELECT kind, role, reason, detail - 'installation' - 'former' - 'api_version' AS detail
  FROM seats_internal.journal
 WHERE written_xid = pg_current_xact_id() ORDER BY id;
ROLLBACK;
