-- Alerts and the journal.
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
-- One open alert per fingerprint: it counts, its severity only rises, and a rise is news.
CREATE VIEW regress_alert AS
SELECT severity, kind, summary, detail, hint, occurrences, announced, acknowledged_by, resolution
  FROM seats_internal.alert WHERE fingerprint = 'regress' ORDER BY id;
SELECT seats_internal.raise_alert('regress', 'warning', 'test', 'it happened') AS first \gset
SELECT * FROM regress_alert;
UPDATE seats_internal.alert SET announced = true, acknowledged_at = now(), acknowledged_by = 'me'
 WHERE fingerprint = 'regress';
SELECT seats_internal.raise_alert('regress', 'info', 'test', 'again', '{"n": 2}', 'look') = :first;
SELECT * FROM regress_alert;
SELECT seats_internal.raise_alert('regress', 'critical', 'test', 'and worse') = :first;
SELECT * FROM regress_alert;
SELECT seats_internal.resolve_alert('regress', 'gone');
SELECT seats_internal.resolve_alert('regress', 'twice');
SELECT seats_internal.raise_alert('regress', 'info', 'test', 'back') > :first;
SELECT * FROM regress_alert;
SELECT pg_temp.try('SELECT seats_internal.raise_alert($$x$$, $$terrible$$, $$test$$, $$y$$)') ~ '^23514';

-- acknowledge
SELECT pg_temp.try(format('SELECT seats.acknowledge(%s, %L)', :first, ' '));
SELECT replace(pg_temp.try(format('SELECT seats.acknowledge(%s, %L)', :first, 'seen')),
               ' ' || :first || ' ', ' <id> ');
SELECT alert AS second FROM seats.alerts WHERE state = 'open' AND summary = 'back' \gset
SELECT state FROM seats.acknowledge(:second, 'I look after it');
SELECT state, acknowledged_by FROM seats.alerts WHERE alert = :second;
SELECT replace(pg_temp.try(format('SELECT seats.acknowledge(%s, %L)', :second, 'seen')),
               ' ' || :second || ' ', ' <id> ');
SELECT pg_temp.try('SELECT seats.acknowledge(-1, $$x$$)');

-- The journal is append-only; numbering is the one thing that may happen to an entry.
SELECT seats_internal.write_journal('regress.test', 'me', 1, NULL, 'a reason', '{"a": 1}');
SELECT seats_internal.write_journal('regress.test', 'me', NULL, NULL, NULL);
SELECT j.ring = ring.slot, j.kind, j.role, j.actor, j.call_id, j.reason, j.detail, j.number
  FROM seats_internal.journal AS j, seats_internal.ring
 WHERE j.kind = 'regress.test' ORDER BY j.id;
CREATE FUNCTION pg_temp.try_entry(change text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(pg_temp.try(change || ' WHERE kind = ''regress.test'' AND call_id = 1'),
                          'entry \d+', 'entry <id>')
$$;
SELECT pg_temp.try_entry('UPDATE seats_internal.journal SET actor = ''other''');
SELECT pg_temp.try_entry('UPDATE seats_internal.journal SET actor = ''other'', number = 7');
SELECT pg_temp.try_entry('UPDATE seats_internal.journal SET number = NULL');
SELECT pg_temp.try_entry('UPDATE seats_internal.journal SET ring = (ring + 1) % 8, number = 7');
SELECT pg_temp.try_entry('DELETE FROM seats_internal.journal');
SELECT pg_temp.try_entry(format('DELETE FROM seats_internal.journal_%s', slot))
  FROM seats_internal.ring;
SELECT pg_temp.try_entry('UPDATE seats_internal.journal SET number = 9000001');
SELECT pg_temp.try_entry('UPDATE seats_internal.journal SET number = 9000002');
SELECT number, kind, role, actor, call, reason, detail FROM seats.journal
 WHERE kind = 'regress.test' ORDER BY number;

-- A row for the ring that comes in, from a dump, takes the place of the one that is there.
INSERT INTO seats_internal.ring (slot, since) VALUES (5, '2020-01-01 00:00Z');
SELECT slot, since = '2020-01-01 00:00Z' FROM seats_internal.ring;
SELECT seats_internal.write_journal('regress.test', 'me', 2, NULL, NULL);
SELECT tableoid::regclass FROM seats_internal.journal WHERE kind = 'regress.test' AND call_id = 2;
ROLLBACK;
