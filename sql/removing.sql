-- What was set up is taken away again, and a person is forgotten: each only when nothing is open.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
DELETE FROM seats_internal.webhook_endpoint;
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('guest', '{price_guest}');
SELECT count(seats.register_team('acme', 'sub_1'));
SELECT count(seats.register_individual('ina', 'sub_ina'));
SELECT pg_temp.read('acme', '{"price_team": 3}');
SELECT pg_temp.read('ina', '{}');
SELECT seats.add_member('acme', 'olga', role => 'owner');
SELECT seats.add_member('acme', 'ann', 'team', external_id => 'U1');
SELECT invite AS invite, token AS token FROM seats.invite('acme', 'Bob@example.com', 'team', actor => 'ann', external_id => 'B1') \gset
SELECT change AS change FROM seats.add_seats('acme', 'guest', 1, 'olga', 'key 1') \gset
SELECT seats.define_webhook_endpoint('main', 'stripe', '{file}');
SELECT seats.grant_call('pg_monitor', 'stripe', '{POST}', '/v1/customers');
SELECT request AS bill FROM seats.create_payment_request('dinner', 'eur',
    '[{"reference": "ann", "amount": 500}, {"reference": "Bob@example.com", "amount": 500}, {"reference": "bob", "amount": 500}]') \gset
SELECT attempt FROM seats.start_payment(seats.payment_member('dinner', 'ann'), '{"receipt_email": "Bob@example.com", "customer": "cus_1"}');
SELECT request AS lunch FROM seats.create_payment_request('lunch', 'eur', '[{"reference": "ann", "amount": 500}]') \gset
SELECT seats.settle_member(seats.payment_member('lunch', 'ann'), 'paid_outside', 'in cash');

-- While anything is open, each says what.
CREATE FUNCTION pg_temp.refused() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT pg_temp.try(format('SELECT seats.%s', call))
      FROM (VALUES (1, $c$unregister_team('acme', 'why')$c$), (2, $c$drop_seat_type('team', 'why')$c$),
                   (3, $c$drop_seat_type('guest', 'why')$c$), (4, $c$drop_destination('stripe', 'why')$c$),
                   (5, $c$erase_person('ann', 'why')$c$), (6, $c$erase_person('olga', 'why')$c$),
                   (7, $c$erase_person('ina', 'why')$c$), (8, $c$erase_person(NULL, 'why', 'bob@EXAMPLE.com')$c$))
           AS t (number, call) ORDER BY number
$$;
SELECT pg_temp.refused();
SELECT pg_temp.try(format('SELECT seats.%s', call))
  FROM (VALUES (1, $c$unregister_team('nobody', 'why')$c$), (2, $c$unregister_team('ina', 'why')$c$),
               (3, $c$unregister_team('acme', ' ')$c$), (4, $c$unregister_individual('acme', 'why')$c$),
               (5, $c$drop_seat_type('unknown', 'why')$c$), (6, $c$drop_destination('unknown', 'why')$c$),
               (7, $c$drop_webhook_endpoint('unknown', 'why')$c$), (8, $c$erase_person(NULL, 'why')$c$),
               (9, $c$erase_person('ann', NULL)$c$)) AS t (number, call) ORDER BY number;
SELECT count(*) FROM seats.members WHERE status = 'active';

-- Ann leaves; Bob comes, and leaves. Who reads the journal must have read of it before it is gone.
SELECT user_id FROM seats.change_member('acme', 'ann', external_id => 'U2');
SELECT user_id FROM seats.remove_member('acme', 'ann', 'left');
SELECT team FROM seats.accept_invite(:'token', 'bob');
SELECT user_id FROM seats.remove_member('acme', 'bob');
SELECT state FROM seats.cancel_change(:change, 'olga');
-- (She can pay: nothing is under way, and yet she must be known.)
SAVEPOINT payable;
DELETE FROM seats_internal.outbox WHERE kind = 'payment';
SELECT pg_temp.try($$SELECT seats.erase_person('ann', 'she asks us to')$$);
ROLLBACK TO payable;
SELECT * FROM seats.cancel_payment_request(:bill, 'nobody came');
INSERT INTO seats_internal.journal_consumer (name, acknowledged, owner) VALUES ('chat', 0, 'regress');
SELECT pg_temp.try($$SELECT seats.erase_person('ann', 'she asks us to')$$);
DELETE FROM seats_internal.journal_consumer;
-- (What receivers were told: with his address as it was written, or in the words of an alert; another one's.)
INSERT INTO seats_internal.outbox_history
    (ring, id, created_at, settled_at, uuid, result, generation, attempts, clean, destination, method, path, body,
     enqueued_by, kind)
SELECT r.slot, 9000000 + t.number, now(), now(), gen_random_uuid(), 'done', 1, 1, true, 'slack', 'POST', '/', t.body, 'x', 'delivery'
  FROM seats_internal.ring AS r,
       (VALUES (1, '{"type": "invite.created", "data": {"detail": {"address": "Bob@Example.com"}}}'),
               (2, seats_internal.render_slack(ROW('alert.opened', '', 'critical', 'change 7 of team acme, which ann wants, needs a person',
                                                   '', '{}', '{}'))),
               (3, seats_internal.render_slack(ROW('invite.created', '', 'info', 'for bob@example.com', '', '{}', '{}'))),
               (4, '{"text": "of joann and hannah"}')) AS t (number, body);
INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result)
SELECT t.id, 'add_seats', 'key 2', '{"actor": "ann"}', '{}' FROM seats_internal.team AS t WHERE t.name = 'acme';
SELECT members, invites, payment_members, journal_entries, instead ~ '^erased-[0-9a-f-]{36}$' AS tells_nothing
  FROM seats.erase_person('ann', 'she asks us to');
SELECT members, invites, payment_members FROM seats.erase_person('bob', 'he asks us to');
SELECT id, body FROM seats_internal.outbox_history WHERE id > 9000000 ORDER BY id;
CREATE FUNCTION pg_temp.hidden(words text) RETURNS text LANGUAGE sql AS
    $$ SELECT regexp_replace($1, 'erased-[0-9a-f-]{36}', '<erased>', 'g') $$;
SELECT pg_temp.hidden(concat_ws(' ', user_id, seat_type, role, status, external_id)) FROM seats.members ORDER BY joined_at, ended_at, user_id;
SELECT pg_temp.hidden(concat_ws(' ', address, status, inviter, external_id, user_id)) FROM seats.invites;
SELECT kind, pg_temp.hidden(concat_ws(' ', actor, detail - 'team' - 'seat_type' - 'invite'))
  FROM seats_internal.journal WHERE written_xid = pg_current_xact_id() AND kind ~ '^(member|invite|person)' ORDER BY id;
-- What was paid, and how, stays.
SELECT m.request_key, pg_temp.hidden(m.reference), m.amount, m.state, m.reason FROM seats.payment_members AS m ORDER BY m.member;
SELECT parameters FROM seats_internal.payment;
SELECT pg_temp.try(format('SELECT seats.add_payment_member(%s, %L, 500)', :lunch, 'ann'));
SELECT repeated FROM seats.create_payment_request('lunch', 'eur', '[{"reference": "ann", "amount": 500}]');
-- Nothing of them is left anywhere.
CREATE FUNCTION pg_temp.tables_with(word text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    name  text;
    found bigint;
BEGIN
    FOR name IN SELECT relname FROM pg_class
                 WHERE relnamespace = 'seats_internal'::regnamespace AND relkind = 'r' ORDER BY relname LOOP
        EXECUTE format('SELECT count(*) FROM seats_internal.%I AS t WHERE strpos(lower(to_jsonb(t)::text), %L) > 0',
                       name, '"' || lower(word) || '"') INTO found;
        IF found > 0 THEN
            RETURN NEXT word || ' in ' || name;
        END IF;
    END LOOP;
END
$$;
SELECT pg_temp.tables_with(word) FROM unnest('{ann,bob,U1,U2,B1,bob@example.com}'::text[]) AS word;
SELECT regexp_replace(pg_temp.tables_with('olga'), '_\d$', '') ;
-- The journal is still nobody's to change.
SELECT regexp_replace(pg_temp.try($$UPDATE seats_internal.journal SET kind = 'x' WHERE written_xid = pg_current_xact_id()$$),
                      'entry \d+', 'entry <n>');

-- And the rest, from the inside out.
SELECT status FROM seats.remove_member('acme', 'olga', last_owner => true);
SELECT pg_temp.try($$SELECT seats.drop_seat_type('guest', 'not sold any more')$$);
SELECT seat_type FROM seats.seat_types ORDER BY seat_type;
SAVEPOINT whole;
SELECT seats.unregister_team('acme', 'they are no customers of ours any more');
SELECT count(*) FROM seats.teams;
SELECT seats.drop_seat_type('team', 'not sold any more');
ROLLBACK TO whole;
SELECT pg_temp.read('acme', '{"price_team": 0}');
SELECT seats.drop_seat_type('team', 'not sold any more');
SELECT seats.unregister_team('acme', 'they are no customers of ours any more');
SELECT seats.unregister_individual('ina', 'no more');
SELECT pg_temp.try($$SELECT seats.drop_destination('stripe', 'moved')$$);
INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, facts, retry_at)
VALUES ('main', 'evt_1', 'stripe', 'invoice.paid', '{}', now());
SELECT pg_temp.try($$SELECT seats.drop_webhook_endpoint('main', 'moved')$$);
UPDATE seats_internal.webhook_event SET retry_at = NULL WHERE endpoint = 'main';
SELECT seats.drop_webhook_endpoint('main', 'moved');
SELECT seats.revoke_call('pg_monitor', 'stripe', '{POST}', '/v1/customers');
SELECT count(*) FROM seats.call_grants WHERE destination = 'stripe';
SELECT seats.drop_destination('stripe', 'moved');
SELECT pg_temp.news() \g /dev/null
SELECT team FROM seats.teams UNION ALL SELECT user_id FROM seats.individuals
UNION ALL SELECT name FROM seats.destinations WHERE name = 'stripe' UNION ALL SELECT endpoint FROM seats.webhook_endpoints;
SELECT j.kind, j.reason, j.detail FROM seats_internal.journal AS j
 WHERE written_xid = pg_current_xact_id() AND kind ~ '(unregistered|dropped)$' ORDER BY j.id;
ROLLBACK;

-- Nobody is told any longer of a team that is gone; and of the last seat of a kind that is gone before its event
-- has come it is not said that somebody else had changed it.
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}') \g /dev/null
SELECT seats.define_seat_type('guest', '{price_guest}') \g /dev/null
SELECT seats.register_team('acme', 'sub_1') \g /dev/null
SELECT pg_temp.read('acme', '{"price_team": 3, "price_guest": 1}');
SELECT change AS last FROM seats.remove_seats('acme', 'guest', 1) \gset
SELECT pg_temp.freeze(:last);
SELECT pg_temp.settle(:last, 'done', pg_temp.facts('sub_1', '{"price_team": 3}'));
SELECT seats.drop_seat_type('guest', 'not sold any more');
SELECT seats_internal.alert_overwritten(e, seats_internal.count_items(
           pg_temp.facts('', '{"price_team": 3, "price_guest": 1}') -> 'items'))
  FROM seats_internal.expected_event AS e WHERE e.call_id = :last;
SELECT pg_temp.alerts();
SELECT pg_temp.read('acme', '{"price_team": 3, "price_new": 1}');
UPDATE seats_internal.team SET waits_for_price = true WHERE name = 'acme';
SELECT seats_internal.raise_alert('no_price:' || id, 'critical', 'no_price_fits', 'none fits')
  FROM seats_internal.team WHERE name = 'acme' \g /dev/null
SELECT a FROM pg_temp.alerts() AS a;
SELECT seats.unregister_team('acme', 'they are no customers of ours any more');
SELECT a FROM pg_temp.alerts() AS a;
ROLLBACK;

-- DROP EXTENSION says what is lost, while it can still be rolled back.
BEGIN;
SELECT pg_temp.begin_seats();
INSERT INTO seats_internal.outbox (destination, method, path, body, enqueued_by)
VALUES ('stripe', 'POST', '/v1/customers', '', 'regress');
SET client_min_messages = warning;
\set VERBOSITY terse
DROP EXTENSION pg_seats;
ROLLBACK;
