-- Receivers: how they are defined, and what they are told of alerts and of the journal, in each format.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
-- Where pg_seats is not preloaded, each session is warned once.
SET client_min_messages = error;
SET datestyle = 'ISO';
SET timezone = 'UTC';
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; details text; hints text;
BEGIN
    EXECUTE command;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        details = PG_EXCEPTION_DETAIL, hints = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n  ', state || ': ' || message, nullif(details, ''), nullif(hints, ''));
END
$$;

-- In a transaction that is rolled back: no worker ever sees any of it.
BEGIN;
CREATE ROLE regress_seats_admin SUPERUSER;
CREATE ROLE regress_seats_nobody;
SET ROLE regress_seats_admin;
TRUNCATE seats_internal.journal;
DELETE FROM seats_internal.alert;
DELETE FROM seats_internal.installation;
INSERT INTO seats_internal.installation (uuid, timeline, created_by)
VALUES ('11111111-2222-4333-8444-555555555555', 1, 'regress');
UPDATE seats_internal.ring SET slot = 0, last_journal_number = 100;
SELECT seats.define_destination('regress_stripe', 'http://127.0.0.1:9', 'test_key', livemode => false);

-- What is refused.
SELECT pg_temp.try(format('SELECT seats.define_receiver(%s)', arguments)) FROM (VALUES
    (1, $$'bad name!', 'https://a.example', 'slack'$$),
    (2, $$'r', NULL, 'slack'$$),
    (3, $$'r', 'https://a.example', 'pager'$$),
    (4, $$'r', 'https://a.example', NULL$$),
    (5, $$'r', 'https://a.example', 'standard_webhook'$$),
    (6, $$'r', 'https://a.example', 'sentry'$$),
    (7, $$'r', 'https://a.example', 'slack', minimum_severity => 'terrible'$$),
    (8, $$'r', 'https://a.example', 'slack', journal_kinds => '{member.removed,Member}'$$),
    (9, $$'r', 'https://a.example', 'slack', journal_kinds => '{m*}'$$),
    (10, $$'r', 'https://a.example', 'slack', minimum_severity => NULL$$),
    (11, $$'r', 'http://a.example', 'slack'$$),
    (12, $$'r', 'https://a.example?x=1', 'slack'$$),
    (13, $$'r', 'https://a.example', 'slack', '../key'$$),
    (14, $$'r', 'https://a.example', 'standard_webhook', 'whsec_AAAAAAAAAAAAAAAAAAAA'$$),
    (15, $$'regress_stripe', 'https://a.example', 'slack'$$),
    -- Whoever knows these may post.
    (16, $$'r', 'https://hooks.slack.com/services/T00/B00/verysecret', 'slack'$$),
    (17, $$'r', 'https://chat.example/hooks/verysecret', 'slack', 'slack_url'$$),
    (18, $$'r', 'https://discord.com/api/webhooks/1/verysecret/slack', 'slack'$$),
    (19, $$'r', 'https://discord.com/api/v10/webhooks/1/verysecret/slack', 'slack'$$),
    (20, $$'r', 'https://hooks.slack.com/workflows/T00/A00/1/verysecret', 'slack'$$),
    (21, $$'r', 'https://hooks.slack.com/triggers/T00/1/verysecret', 'slack'$$),
    (22, $$'r', 'https://chat.example/team/hooks/verysecret', 'slack'$$)) AS c (n, arguments)
 ORDER BY n;
SELECT pg_temp.try($$SELECT seats.drop_receiver('regress_stripe', 'x')$$);
SELECT seats.define_receiver('hook', 'https://a.example/hooks/', 'standard_webhook', 'hook_secret',
                             journal_kinds => '{member.*,call.refused}');
SELECT pg_temp.try($$SELECT seats.define_destination('hook', 'https://a.example', 'k', livemode => true)$$);
SELECT pg_temp.try($$SELECT seats.drop_receiver('hook', ' ')$$);
RESET ROLE;
GRANT USAGE ON SCHEMA seats TO regress_seats_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA seats TO regress_seats_nobody;
SET ROLE regress_seats_nobody;
SELECT pg_temp.try($$SELECT seats.define_receiver('r', 'https://a.example', 'slack')$$);
SELECT pg_temp.try($$SELECT seats.drop_receiver('hook', 'x')$$);
RESET ROLE;
SET ROLE regress_seats_admin;

SELECT seats.define_receiver('slack', 'https://b.example', 'slack', 'slack_url', 'critical');
SELECT seats.define_receiver('sentry', 'https://c.example:444/prefix', 'sentry', 'dsn', 'warning');
SELECT seats.define_receiver('journal', 'https://d.example/x', 'slack', minimum_severity => NULL,
                             journal_kinds => '{*}');
SELECT name, format, url, secret_file, minimum_severity, journal_kinds, waiting, journal_number
  FROM seats.receivers ORDER BY name;
SELECT seats.define_receiver('slack', 'https://b.example/path', 'slack', minimum_severity => 'fatal');
SELECT name, format, url, secret_file, minimum_severity FROM seats.receivers WHERE name = 'slack';
SELECT seats.define_receiver('slack', 'https://b.example', 'slack', 'slack_url', 'critical');
SELECT kind, role, detail FROM seats_internal.journal WHERE kind ~ '^receiver' ORDER BY id;

-- What they are told: now, and after some time.
TRUNCATE seats_internal.journal;
CREATE FUNCTION pg_temp.tell(most integer DEFAULT 10) RETURNS text LANGUAGE sql AS $$
    SELECT format('enqueued: %s, again in: %s h', t.enqueued,
                  coalesce(round(t.look_in::numeric / 3600, 1)::text, '-'))
      FROM seats_internal.deliver_news('1 hour', '4 hours', $1) AS t
$$;
CREATE FUNCTION pg_temp.let_time_pass(hours double precision) RETURNS void LANGUAGE sql AS $$
    UPDATE seats_internal.alert_told SET told_at = told_at - $1 * interval '1 hour',
                                         due_at = due_at - $1 * interval '1 hour';
    UPDATE seats_internal.receiver SET minute_began_at = '-infinity'
$$;
-- Takes what there is out of the outbox.
CREATE FUNCTION pg_temp.deliveries() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT format('%s %s: %s', o.destination, o.path, regexp_replace(regexp_replace(regexp_replace(o.body,
                   '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', '<time>', 'g'), '"(alert)": "?\d+"?', '"\1": <id>', 'g'),
                   '"[0-9a-f]{32}"|"length": \d+', '<id or length>', 'g'))
          FROM seats_internal.outbox AS o WHERE o.kind = 'delivery' ORDER BY o.destination, o.id;
    DELETE FROM seats_internal.outbox WHERE kind = 'delivery';
END
$$;
SELECT pg_temp.tell();
SELECT seats_internal.raise_alert('one', 'warning', 'test', 'größer < & "x"', '{"team": "acme"}', 'look', 17,
                                  'stripe') > 0;
SELECT pg_temp.tell();
-- What a receiver has not taken for long is no call that waits.
SAVEPOINT long_ago;
UPDATE seats_internal.outbox SET created_at = clock_timestamp() - interval '20 minutes' WHERE kind = 'delivery';
SELECT check_name, status FROM seats.health WHERE check_name IN ('deliveries', 'oldest_call') ORDER BY check_name;
ROLLBACK TO long_ago;
SELECT replace(pg_temp.deliveries(), current_database(), '<database>');
SELECT pg_temp.tell();
SELECT pg_temp.deliveries();

-- Short: receiver, type, fingerprint.
CREATE FUNCTION pg_temp.told() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT concat_ws(' ', o.destination, o.body::jsonb ->> 'type', o.body::jsonb #>> '{data,fingerprint}')
          FROM seats_internal.outbox AS o WHERE o.kind = 'delivery' AND o.destination = 'hook' ORDER BY o.id;
    RETURN QUERY SELECT format('%s: %s', o.destination, count(*))
          FROM seats_internal.outbox AS o WHERE o.kind = 'delivery' AND o.destination <> 'hook'
         GROUP BY o.destination ORDER BY o.destination;
    DELETE FROM seats_internal.outbox WHERE kind = 'delivery';
END
$$;
-- Again within the period: nothing; after it, once.
SELECT seats_internal.raise_alert('one', 'warning', 'test', 'one') > 0;
SELECT pg_temp.tell();
SELECT pg_temp.told();
SELECT pg_temp.let_time_pass(1.1);
SELECT pg_temp.tell();
SELECT pg_temp.told();
SELECT pg_temp.let_time_pass(1.1);
SELECT pg_temp.tell();
SELECT pg_temp.told();
-- Worse: at once.
SELECT seats_internal.raise_alert('one', 'fatal', 'test', 'one') > 0;
SELECT pg_temp.tell();
SELECT pg_temp.told();
-- Fatal: reminders, until somebody acknowledges it.
SELECT pg_temp.let_time_pass(4.1);
SELECT pg_temp.tell();
SELECT pg_temp.told();
SELECT (seats.acknowledge(alert, 'on it')).state FROM seats.alerts WHERE state = 'open';
SELECT pg_temp.let_time_pass(4.1);
SELECT pg_temp.tell();
SELECT pg_temp.told();
-- Over, back within the period, and after it.
UPDATE seats_internal.alert_told SET told_at = clock_timestamp();
SELECT seats_internal.resolve_alert('one', 'gone');
SELECT pg_temp.tell();
SELECT pg_temp.told();
SELECT seats_internal.raise_alert('one', 'warning', 'test', 'one') > 0;
SELECT pg_temp.tell();
SELECT pg_temp.told();
SELECT pg_temp.let_time_pass(1.1);
SELECT pg_temp.tell();
SELECT pg_temp.told();
-- What came and went unseen is not told; a receiver is not told of itself.
SELECT seats_internal.raise_alert('unseen', 'fatal', 'test', 'x') > 0;
SELECT seats_internal.resolve_alert('unseen', 'gone');
SELECT seats_internal.raise_alert('receiver:hook', 'warning', 'receiver_fails', 'x') > 0;
SELECT pg_temp.tell();
SELECT pg_temp.told();
SELECT seats_internal.resolve_alert('receiver:hook', 'gone');
SELECT seats_internal.resolve_alert('one', 'gone');
SELECT pg_temp.tell();
SELECT pg_temp.told();
-- What is over is forgotten when it can keep nothing from being told any more.
SELECT pg_temp.let_time_pass(1.1);
SELECT pg_temp.tell();
SELECT count(*) FROM seats_internal.alert_told;

-- A storm: so many one by one, the worst first, and one summary; then nothing for a minute.
SELECT count(seats_internal.raise_alert('storm:' || n, CASE n WHEN 9 THEN 'fatal' ELSE 'warning' END,
                                        CASE n % 2 WHEN 0 THEN 'even' ELSE 'odd' END, 'x'))
  FROM generate_series(1, 9) AS n;
SELECT pg_temp.tell(3);
SELECT body::jsonb #- '{timestamp}' #- '{data,installation}' #- '{data,database}' FROM seats_internal.outbox
 WHERE destination = 'hook' AND body::jsonb ->> 'type' = 'alert.summary';
SELECT pg_temp.told();
SELECT seats_internal.raise_alert('after', 'warning', 'test', 'x') > 0;
SELECT seats_internal.resolve_alert('storm:1', 'gone');
SELECT pg_temp.tell(3);
SELECT pg_temp.told();
UPDATE seats_internal.receiver SET minute_began_at = minute_began_at - interval '1 minute';
SELECT pg_temp.tell(3);
SELECT pg_temp.told();

-- The journal: chosen kinds, in order, from the definition on.
SELECT seats_internal.write_journal('member.removed', 'stripe', NULL, NULL, 'cancelled',
                                    '{"team": "acme", "external_id": "chat-1"}');
SELECT seats_internal.write_journal('change.confirmed', 'pg_seats', 18, NULL, NULL, '{"team": "acme"}');
SELECT seats_internal.write_journal('call.refused', 'pg_seats', 19, NULL, 'payment_failed');
SELECT pg_temp.tell();
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT pg_temp.tell();
SELECT replace(pg_temp.deliveries(), current_database(), '<database>');
SELECT pg_temp.tell();
SELECT pg_temp.deliveries();
SELECT name, journal_number - (SELECT last_journal_number FROM seats_internal.ring) FROM seats.receivers
 WHERE journal_kinds <> '{}' ORDER BY name;

-- Who was told nothing of the journal is told what comes from when its kinds were first given.
SELECT seats.define_receiver('slack', 'https://b.example', 'slack', 'slack_url', 'critical', '{member.removed}');
SELECT seats_internal.write_journal('member.removed', 'x', NULL, NULL, 'new', '{"team": "acme"}');
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT pg_temp.tell();
SELECT destination, body::jsonb ->> 'text' ~ '^INFO: member.removed of team acme \(new\)' FROM seats_internal.outbox
 WHERE kind = 'delivery' AND destination = 'slack';
DELETE FROM seats_internal.outbox WHERE kind = 'delivery';
SELECT seats.define_receiver('slack', 'https://b.example', 'slack', 'slack_url', 'critical');

-- A person's entries name no team.
INSERT INTO seats_internal.lane (id, destination, name) VALUES (-1, 'regress_stripe', '/v1/subscriptions/sub_1');
INSERT INTO seats_internal.team (kind, name, destination, subscription, lane_id, registered_by)
VALUES ('individual', 'acme', 'regress_stripe', 'sub_1', -1, 'regress');
SELECT seats_internal.write_journal('member.removed', 'x', NULL, -1, NULL);
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT pg_temp.tell();
SELECT body::jsonb #> '{data,team}', body::jsonb #> '{data,individual}' FROM seats_internal.outbox
 WHERE kind = 'delivery' AND destination = 'hook';
DELETE FROM seats_internal.outbox WHERE kind = 'delivery';

-- What a look costs is what it tells of: neither all teams are read nor the whole backlog.
INSERT INTO seats_internal.lane (id, destination, name)
SELECT -1000 - n, 'regress_stripe', 'many:' || n FROM generate_series(1, 1000) AS n;
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, registered_by)
SELECT 'many:' || n, 'regress_stripe', 'many:' || n, -1000 - n, 'regress' FROM generate_series(1, 1000) AS n;
SELECT count(seats_internal.write_journal('member.removed', 'x', NULL, -1000 - n, NULL))
  FROM generate_series(1, 1000) AS n;
SELECT numbered FROM seats_internal.number_journal('1:1:');
CREATE FUNCTION pg_temp.rows_read(name text) RETURNS bigint LANGUAGE sql AS $$
    SELECT sum(s.seq_tup_read + coalesce(s.idx_tup_fetch, 0))::bigint FROM pg_stat_xact_all_tables AS s
     WHERE s.schemaname = 'seats_internal' AND s.relname ~ ('^' || $1 || '(_\d)?$')
$$;
-- As the worker plans.
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_nestloop = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL plan_cache_mode = force_generic_plan;
DISCARD PLANS;
SELECT pg_temp.rows_read('team') AS teams, pg_temp.rows_read('journal') AS entries \gset
SELECT pg_temp.tell();
SELECT count(*), count(DISTINCT body::jsonb #>> '{data,team}') FROM seats_internal.outbox
 WHERE kind = 'delivery' AND destination = 'hook';
SELECT pg_temp.rows_read('team') - :teams < 500, pg_temp.rows_read('journal') - :entries < 500;
SELECT pg_temp.rows_read('team') AS teams, pg_temp.rows_read('journal') AS entries \gset
SELECT count(DISTINCT j.team) FROM seats.read_journal('regress', 30) AS j;
SELECT pg_temp.rows_read('team') - :teams < 100, pg_temp.rows_read('journal') - :entries < 100;
DELETE FROM seats_internal.outbox WHERE kind = 'delivery';
UPDATE seats_internal.receiver SET journal_number = (SELECT last_journal_number FROM seats_internal.ring);

-- Alerts that stay as they are cost nothing, however many are open; of many that are new so many are looked at
-- at a time, the worst first, and the next look is not far.
INSERT INTO seats_internal.alert (fingerprint, severity, kind, summary)
SELECT 'open:' || n, 'warning', 'open', 'x' FROM generate_series(1, 3000) AS n;
SELECT seats_internal.raise_alert('burning', 'fatal', 'test', 'x') > 0;
CREATE FUNCTION pg_temp.new_minute() RETURNS void LANGUAGE sql AS $$
    UPDATE seats_internal.receiver SET minute_began_at = '-infinity'
$$;
CREATE FUNCTION pg_temp.summaries() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT concat_ws(' ', o.body::jsonb ->> 'type', o.body::jsonb #>> '{data,severity}', o.body::jsonb #>> '{data,alerts}')
          FROM seats_internal.outbox AS o WHERE o.kind = 'delivery' AND o.destination = 'hook' ORDER BY o.id;
    DELETE FROM seats_internal.outbox WHERE kind = 'delivery';
END
$$;
SELECT pg_temp.new_minute();
SELECT pg_temp.tell(2);
SELECT pg_temp.summaries();
SELECT pg_temp.tell(2);
SELECT pg_temp.summaries();
SELECT pg_temp.new_minute();
SELECT pg_temp.tell(2);
SELECT pg_temp.summaries();
SELECT pg_temp.new_minute();
SELECT pg_temp.tell(2);
SELECT pg_temp.summaries();
SELECT pg_temp.rows_read('alert') AS alerts, pg_temp.rows_read('alert_told') AS told \gset
SELECT seats_internal.write_journal('member.removed', 'x', NULL, NULL, NULL);
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT pg_temp.tell();
SELECT pg_temp.rows_read('alert') - :alerts < 500, pg_temp.rows_read('alert_told') - :told < 500;
SELECT pg_temp.summaries();
-- What comes again is found by its time.
UPDATE seats_internal.alert SET occurrences = occurrences + 1 WHERE fingerprint = 'open:7';
SELECT pg_temp.tell();
SELECT pg_temp.let_time_pass(1.1);
SELECT pg_temp.rows_read('alert') AS alerts, pg_temp.rows_read('alert_told') AS told \gset
SELECT pg_temp.tell();
SELECT pg_temp.rows_read('alert') - :alerts < 500, pg_temp.rows_read('alert_told') - :told < 500;
SELECT pg_temp.told();
-- Who wants to be told of more is told of what is open, and of nothing twice.
SELECT seats_internal.raise_alert('low', 'info', 'test', 'x') > 0;
SELECT pg_temp.tell();
SELECT pg_temp.told();
SELECT seats.define_receiver('hook', 'https://a.example/hooks/', 'standard_webhook', 'hook_secret', 'info',
                             '{member.*,call.refused}');
SELECT pg_temp.new_minute();
SELECT count(pg_temp.tell()) FROM generate_series(1, 3);
SELECT pg_temp.told();
SELECT seats_internal.resolve_alert(fingerprint, 'gone') FROM seats_internal.alert WHERE fingerprint ~ '^open:(1|2)$';
DELETE FROM seats_internal.alert WHERE fingerprint ~ '^open:';
SELECT pg_temp.tell();

-- Another URL, or another format: what waits is made anew.
SELECT seats.define_receiver('moved', 'https://old.example/old', 'slack', NULL, 'critical', '{member.*}');
SELECT seats_internal.raise_alert('known', 'critical', 'test', 'x') > 0;
SELECT pg_temp.tell() ~ '^enqueued: t';
DELETE FROM seats_internal.outbox WHERE kind = 'delivery';
SELECT seats_internal.resolve_alert('known', 'gone');
SELECT seats_internal.raise_alert('waits', 'critical', 'test', 'x') > 0;
SELECT seats_internal.write_journal('member.removed', 'x', NULL, NULL, 'first', '{"team": "acme"}');
SELECT seats_internal.write_journal('other.thing', 'x', NULL, NULL, NULL);
SELECT seats_internal.write_journal('member.removed', 'x', NULL, NULL, 'second', '{"team": "acme"}');
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT pg_temp.tell() ~ '^enqueued: t';
CREATE FUNCTION pg_temp.waiting() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', o.path, left(o.body::jsonb ->> 'text', 9), o.body::jsonb ->> 'type',
                     o.body::jsonb #>> '{data,fingerprint}', o.body::jsonb #>> '{data,reason}')
      FROM seats_internal.outbox AS o WHERE o.destination = 'moved' ORDER BY o.id
$$;
SELECT pg_temp.waiting();
-- The same again leaves it alone.
SELECT seats.define_receiver('moved', 'https://old.example/old', 'slack', NULL, 'critical', '{member.*}');
SELECT waiting FROM seats.receivers WHERE name = 'moved';
SELECT seats.define_receiver('moved', 'https://new.example/new', 'standard_webhook', 'moved_secret', 'critical',
                             '{member.*}');
SELECT waiting FROM seats.receivers WHERE name = 'moved';
SELECT pg_temp.new_minute();
SELECT pg_temp.tell() ~ '^enqueued: t';
SELECT pg_temp.waiting();
SELECT pg_temp.new_minute();
SELECT pg_temp.tell() ~ '^enqueued: f';
SELECT seats.drop_receiver('moved', 'no longer used');
TRUNCATE seats_internal.journal;
UPDATE seats_internal.receiver SET journal_number = (SELECT last_journal_number FROM seats_internal.ring);
DELETE FROM seats_internal.outbox WHERE kind = 'delivery';

-- One that has two hundred deliveries waiting gets no more; the journal keeps them.
SELECT count(seats_internal.write_journal('member.added', 'x', NULL, NULL, NULL)) FROM generate_series(1, 350);
SELECT numbered FROM seats_internal.number_journal('1:1:');
SELECT count(pg_temp.tell()) FROM generate_series(1, 5);
SELECT name, waiting FROM seats.receivers ORDER BY name;
DELETE FROM seats_internal.outbox WHERE kind = 'delivery';
SELECT count(pg_temp.tell()) FROM generate_series(1, 5);
SELECT name, waiting FROM seats.receivers ORDER BY name;

-- An adopted copy leaves the original's deliveries alone; a database that replaces it sends them.
SELECT count(seats_internal.doubt_open_calls()) FROM (SELECT) AS x;
SELECT DISTINCT state, doubt FROM seats_internal.outbox WHERE kind = 'delivery';
SELECT seats_internal.review_open_calls('22222222-2222-4333-8444-555555555555') = 0;
SELECT count(*) FROM seats_internal.outbox WHERE kind = 'delivery';

SELECT seats.drop_receiver('hook', 'no longer used');
SELECT name FROM seats.receivers ORDER BY name;
SELECT name FROM seats.destinations WHERE name = 'hook';
SELECT kind, role, reason, detail FROM seats_internal.journal WHERE kind = 'receiver.dropped';

-- What users have written makes no line of its own, and calls nobody.
SELECT seats_internal.one_line(E'a\nb\r\u2028c\u202ed\u0085e\tf äöü');
SELECT seats_internal.raise_alert('forged', 'critical', 'regress', E'team x\nFATAL: @channel pay <!here>', hint => E'one\ntwo') > 0;
SELECT summary, hint FROM seats.alerts WHERE kind = 'regress' ORDER BY alert DESC LIMIT 1;
SELECT seats_internal.render_slack(ROW('alert.opened', 'f', 'critical', 'team x FATAL: @channel pay <!here>', NULL,
                                       '{"database": "d"}', '{}')::seats_internal.news) AS message \gset
SELECT :'message'::jsonb ->> 'text' ~ '@channel|<!here>' AS calls, replace(:'message'::jsonb ->> 'text', E'\u200b', '<nothing>');
-- A link to the operator's desk, where somebody has said where it is.
SELECT coalesce(seats_internal.desk_link(url, labels), 'none')
  FROM (VALUES (1, '', '{"call": "7"}'::jsonb), (2, NULL, '{"call": "7"}'), (3, 'https://desk.example.com', '{"call": "7"}'),
               (4, 'https://desk.example.com/ops/', '{"call": "7"}'), (5, 'https://desk.example.com', '{"call": null}'),
               (6, 'https://desk.example.com', '{}')) AS t (number, url, labels) ORDER BY number;
SELECT pg_temp.try(format('SELECT seats_internal.check_id(%L, %L)', 'actor', E'olga\nFATAL: all is lost'));
ROLLBACK;
