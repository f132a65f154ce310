-- The plain way of settling changes and reads for them, beside settle_change and read_settled, which are the rule: whatever
-- has happened to a team, its call and what Stripe says, both leave the same. First each oddity by itself, with what the plain
-- way makes of it; then several of them together, by chance, in batches of several teams.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}', largest_change => 1000000);
SELECT seats.define_seat_type('owner', '{price_owner}');
SELECT seats.define_seat_type('late', '{price_late}');
SELECT seats.ignore_prices('{price_ignored}', 'the test wants it');
\set ECHO none

-- ---- what may be odd

CREATE TEMP TABLE oddity (number integer GENERATED ALWAYS AS IDENTITY, name text, place text, command text);
-- Of the facts: an expression over `facts`, `call` (the history's row) and `team`.
INSERT INTO oddity (name, place, command) VALUES
    ('nothing', 'facts', $$facts$$),
    ('another quantity', 'facts', $$jsonb_set(facts, '{items,0,quantity}', to_jsonb((facts #>> '{items,0,quantity}')::integer + 1))$$),
    ('an impossible quantity', 'facts', $$jsonb_set(facts, '{items,0,quantity}', '2000000000')$$),
    ('no quantity', 'facts', $$jsonb_set(facts, '{items,0,quantity}', 'null')$$),
    ('an unlisted price', 'facts', $$jsonb_set(facts, '{items,9}', '{"id": "si_9", "price": "price_9", "quantity": 1, "metered": false}')$$),
    ('an ignored price', 'facts', $$jsonb_set(facts, '{items,9}', '{"id": "si_9", "price": "price_ignored", "quantity": 1, "metered": false}')$$),
    ('a metered item', 'facts', $$jsonb_set(facts, '{items,9}', '{"id": "si_9", "price": "price_9", "quantity": null, "metered": true}')$$),
    ('a metered item of a listed price', 'facts', $$jsonb_set(facts, '{items,9}', '{"id": "si_9", "price": "price_team", "quantity": 7, "metered": true}')$$),
    ('an item of another type', 'facts', $$jsonb_set(facts, '{items,9}', '{"id": "si_9", "price": "price_late", "quantity": 2, "metered": false}')$$),
    ('an item of another type, without seats', 'facts', $$jsonb_set(facts, '{items,9}', '{"id": "si_9", "price": "price_late", "quantity": 0, "metered": false}')$$),
    ('two items of a type', 'facts', $$jsonb_set(jsonb_set(facts, '{items,9}', '{"id": "si_9", "price": "price_team", "quantity": 1, "metered": false}'),
                                               '{items,0,quantity}', to_jsonb((facts #>> '{items,0,quantity}')::integer - 1))$$),
    ('two items of a type, of twice as many seats', 'facts', $$jsonb_set(facts, '{items,9}', '{"id": "si_9", "metered": false}' || jsonb_build_object(
                                                  'price', 'price_team', 'quantity', (SELECT i -> 'quantity' FROM jsonb_array_elements(facts -> 'items') AS i WHERE i ->> 'price' = 'price_team')))$$),
    ('an item has gone', 'facts', $$facts #- '{items,0}'$$),
    ('no items', 'facts', $$jsonb_set(facts, '{items}', '[]')$$),
    ('a price of other terms', 'facts', $$jsonb_set(facts, '{prices,0,unit_amount}', '1100')$$),
    ('no prices', 'facts', $$facts - 'prices'$$),
    ('no marker', 'facts', $$facts - 'marker'$$),
    ('a marker of nobody', 'facts', $$jsonb_set(facts, '{marker}', '"11111111-1111-4111-8111-111111111111-11111111-1111-4111-8111-111111111111-1"')$$),
    ('its marker, of more', 'facts', $$jsonb_set(facts, '{marker}', to_jsonb((call).uuid || '-11111111-1111-4111-8111-111111111111-1'))$$),
    ('its marker, of another generation', 'facts', $$jsonb_set(facts, '{marker}', to_jsonb((call).uuid || '-' || (call).uuid || '-2'))$$),
    ('its pending update', 'facts', $$jsonb_set(facts, '{pending_update}', jsonb_build_object('marker', facts -> 'marker', 'items', '[]'::jsonb, 'expires_at', 2000000000))$$),
    ('somebody''s pending update', 'facts', $$jsonb_set(facts, '{pending_update}', '{"items": [], "expires_at": 2000000000}')$$),
    ('past due', 'facts', $$jsonb_set(facts, '{status}', '"past_due"')$$),
    ('past due, with an open invoice', 'facts', $$facts || '{"status": "past_due", "invoice": {"id": "in_2", "status": "open", "amount_due": 500, "amount_paid": 0, "currency": "usd", "url": null}}'$$),
    ('over', 'facts', $$facts || '{"status": "canceled", "ended_at": 1700000000}'$$),
    ('on trial', 'facts', $$facts || '{"status": "trialing", "trial_end": 2000000000}'$$),
    ('a paid invoice', 'facts', $$facts || '{"invoice": {"id": "in_3", "status": "paid", "amount_due": 500, "amount_paid": 500}}'$$),
    ('other terms', 'facts', $$facts || '{"cancel_at_period_end": true, "cancel_at": 2000000000, "current_period_end": 1999999999, "schedule": "sub_sched_1", "paused": true, "livemode": true, "collection_method": "send_invoice", "currency": "eur", "customer": "cus_2"}'$$),
    ('terms that are not known', 'facts', $$facts || '{"cancel_at_period_end": null, "current_period_end": null, "paused": null, "livemode": null, "collection_method": null, "currency": null, "customer": null}'$$),
    ('no facts', 'facts', $$NULL$$);
-- Of the call in the history.
INSERT INTO oddity (name, place, command)
SELECT o.name, 'row', format('UPDATE seats_internal.outbox_history AS h SET %s WHERE h.id = $1', o.command)
  FROM (VALUES ('not the first attempt', 'clean = false, attempts = 2'),
               ('settled by a person', $$settled_by = 'ops', clean = false, proof = 'person'$$),
               ('refused', $$result = 'refused', reason = 'payment_failed', error = 'no', error_code = 'card_declined'$$),
               ('cancelled', $$result = 'cancelled', reason = 'operator'$$),
               ('proven by an event', $$reason = 'proven_by_event'$$),
               ('with a word of an error', $$error_code = 'late'$$),
               ('with an invoice', $$invoice = '{"id": "in_4", "total": 300, "amount_paid": 300, "currency": "usd", "status": "paid"}'$$),
               ('of a base that is forgotten', 'base = NULL, target = NULL'),
               ('never sent, as far as is known', 'first_sent_at = NULL'),
               ('under a second key', 'generation = 2'),
               ('of nobody', 'actor = NULL')) AS o (name, command);
-- Of its team ($2) and its lane ($3).
INSERT INTO oddity (name, place, command) VALUES
    ('its attempt has waited for a payment', 'row', $$WITH a AS (INSERT INTO seats_internal.attempt (ring, call_id, lane_id, generation, number, purpose, verdict, sent, replayed)
        SELECT r.slot, $1, $3, 1, 1, 'send', 'awaiting', true, false FROM seats_internal.ring AS r) UPDATE seats_internal.outbox_history SET clean = false WHERE id = $1$$),
    ('changed outside meanwhile', 'row', $$UPDATE seats_internal.seat_line SET confirmed = confirmed + 1 WHERE team_id = $2$$),
    ('a line is held', 'row', $$UPDATE seats_internal.seat_line SET held = true WHERE team_id = $2$$),
    ('a line awaits', 'row', $$UPDATE seats_internal.seat_line SET awaiting = 1 WHERE team_id = $2$$),
    ('seats are missing', 'row', $$UPDATE seats_internal.seat_line SET missing = 1 WHERE team_id = $2$$),
    ('a line without an item', 'row', $$INSERT INTO seats_internal.seat_line (team_id, seat_type, confirmed, quantity) VALUES ($2, 'late', 0, 0) ON CONFLICT DO NOTHING$$),
    ('a line has gone', 'row', $$DELETE FROM seats_internal.seat_line WHERE team_id = $2 AND seat_type = 'owner'$$),
    ('the quantity was changed by hand', 'row', $$UPDATE seats_internal.seat_line SET quantity = quantity + 1 WHERE team_id = $2$$),
    ('was past due', 'row', $$UPDATE seats_internal.team SET status = 'past_due', past_due_invoice = '{"id": "in_1"}' WHERE id = $2$$),
    ('was over', 'row', $$UPDATE seats_internal.team SET status = 'canceled' WHERE id = $2$$),
    ('was never read', 'row', $$UPDATE seats_internal.team SET items = NULL, status = NULL, prices_seen = NULL WHERE id = $2$$),
    ('its items are forgotten', 'row', $$UPDATE seats_internal.team SET items = NULL WHERE id = $2$$),
    ('could not be read', 'row', $$WITH a AS (SELECT seats_internal.raise_alert('subscription:' || $2, 'critical', 'subscription_unreadable', 'x')) UPDATE seats_internal.team SET problem = 'x' FROM a WHERE id = $2$$),
    ('could not be counted', 'row', $$WITH a AS (SELECT seats_internal.raise_alert('uncounted:' || $2, 'critical', 'seats_not_counted', 'x')) UPDATE seats_internal.team SET count_problem = 'x' FROM a WHERE id = $2$$),
    ('drifts', 'row', $$WITH a AS (INSERT INTO seats_internal.drift (team_id, aspect, cause) VALUES ($2, 'seats:team', 'x')) UPDATE seats_internal.team SET drifts = true WHERE id = $2$$),
    ('waits for a price', 'row', $$WITH a AS (SELECT seats_internal.raise_alert('no_price:' || $2, 'critical', 'no_price_fits', 'x')) UPDATE seats_internal.team SET waits_for_price = true FROM a WHERE id = $2$$),
    ('its prices were others', 'row', $$UPDATE seats_internal.team SET prices_seen = 1 WHERE id = $2$$),
    ('its prices were not seen', 'row', $$UPDATE seats_internal.team SET prices_seen = NULL WHERE id = $2$$),
    ('another subscription', 'row', $$UPDATE seats_internal.team SET subscription = 'sub_other_' || $2 WHERE id = $2$$),
    ('an invite waits', 'row', $$INSERT INTO seats_internal.invite (team_id, address, seat_type, role, invited_by, token_hash, expires_at)
        VALUES ($2, 'bo', 'team', 'member', 'x', sha256($2::text::bytea), now() + interval '1 day')$$),
    ('an invite that is settled', 'row', $$INSERT INTO seats_internal.invite (team_id, address, seat_type, role, invited_by, token_hash, expires_at, settled_at)
        VALUES ($2, 'cy', 'team', 'member', 'x', sha256(($2 || 's')::bytea), now() + interval '1 day', now())$$),
    ('an invite that was revoked', 'row', $$INSERT INTO seats_internal.invite (team_id, address, seat_type, role, invited_by, token_hash, expires_at, status)
        VALUES ($2, 'cy', 'team', 'member', 'x', sha256(($2 || 'r')::bytea), now() + interval '1 day', 'revoked')$$),
    ('more members than seats', 'row', $$INSERT INTO seats_internal.member (team_id, user_id, seat_type, role) SELECT $2, 'm' || g, 'team', 'member' FROM generate_series(1, 40) AS g$$),
    ('over-allocated', 'row', $$SELECT seats_internal.raise_alert(format('over_allocated:%s:team', $2), 'warning', 'over_allocated', 'x')$$),
    ('unpaid', 'row', $$SELECT seats_internal.raise_alert('unpaid:' || $2, 'warning', 'confirmed_unpaid', 'x')$$),
    ('a change behind it', 'row', $$SELECT FROM pg_temp.behind($1, 'pending')$$),
    ('a change that it has carried', 'row', $$SELECT FROM pg_temp.behind($1, 'carried')$$),
    ('a carried change behind another one', 'row', $$SELECT pg_temp.behind($1, 'pending'), pg_temp.behind($1, 'carried')$$),
    ('a change behind it waits for a payment', 'row', $$SELECT FROM pg_temp.behind($1, 'awaiting')$$),
    ('a change behind it is in review', 'row', $$SELECT FROM pg_temp.behind($1, 'review')$$),
    ('a change behind it was refused with it', 'row', $$SELECT pg_temp.behind($1, 'pending', 3)$$),
    ('a change behind it has no call left', 'row', $$SELECT pg_temp.behind($1, 'pending', 1)$$),
    ('its event has come', 'row', $$INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, idempotency_key, facts)
        SELECT 'main', 'evt_' || $1, 'stripe', 'customer.subscription.updated', k.key,
               jsonb_build_object('type', 'customer.subscription.updated', 'idempotency_key', k.key,
                   'previous_items', '[{"id": "si_price_team", "price": "price_team", "quantity": 1}]'::jsonb)
          FROM seats_internal.outbox_history AS h, seats_internal.idempotency_key(h.installation, h.uuid, h.generation) AS k (key) WHERE h.id = $1$$),
    ('its event is expected', 'row', $$INSERT INTO seats_internal.expected_event (idempotency_key, destination, team_id, call_id, base, target, sent_at)
        SELECT seats_internal.idempotency_key(h.installation, h.uuid, h.generation), 'stripe', $2, $1, '{}', '{}', now() FROM seats_internal.outbox_history AS h WHERE h.id = $1$$),
    ('a read waits', 'row', $$INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, beside_lane_id)
        SELECT NULL, i.uuid, 'stripe', 'GET', '/v1/x', '', 'x', 'read', $2, $3 FROM seats_internal.installation AS i$$),
    ('a read is on its way', 'row', $$INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, beside_lane_id, state)
        SELECT NULL, i.uuid, 'stripe', 'GET', '/v1/x', 'x=y', 'x', 'read', $2, $3, 'sending' FROM seats_internal.installation AS i$$),
    ('a marker that is known', 'row', $$INSERT INTO seats_internal.lane_marker (lane_id, marker) VALUES ($3, '11111111-1111-4111-8111-111111111111-11111111-1111-4111-8111-111111111111-1')$$),
    ('other prices are listed', 'row', $$INSERT INTO seats_internal.recount (prices) VALUES ('{"price_x": null}')$$);

INSERT INTO oddity (name, place, command) VALUES
    ('its items twice', 'facts', $$jsonb_set(facts, '{items}', (facts -> 'items') || (facts -> 'items'))$$),
    ('fewer than no seats', 'facts', $$jsonb_set(facts, '{items,0,quantity}', '-1')$$),
    ('nobody knows whether it is metered', 'facts', $$jsonb_set(facts, '{items,0,metered}', 'null')$$),
    ('an item without a price', 'facts', $$jsonb_set(facts, '{items,9}', '{"id": "si_9", "price": null, "quantity": 0, "metered": false}')$$),
    ('its marker, written otherwise', 'facts', $$jsonb_set(facts, '{marker}', to_jsonb((call).uuid || '-' || (call).uuid || '-01'))$$),
    ('an empty pending update', 'facts', $$facts || '{"pending_update": {}}'$$),
    ('its types have changed places', 'row', $$UPDATE seats_internal.seat_price SET position = position + 100,
        seat_type = CASE seat_type WHEN 'team' THEN 'owner' WHEN 'owner' THEN 'team' ELSE seat_type END$$),
    ('its price is another type''s', 'row', $$UPDATE seats_internal.seat_price SET seat_type = 'owner', position = 500 WHERE price = 'price_team'$$),
    ('is an individual', 'row', $$UPDATE seats_internal.team SET kind = 'individual' WHERE id = $2$$),
    ('is in another lane', 'row', $$UPDATE seats_internal.team SET lane_id = 100000 + $2 WHERE id = $2$$),
    ('was on trial', 'row', $$UPDATE seats_internal.team SET status = 'trialing' WHERE id = $2$$),
    ('its other line was changed outside', 'row', $$UPDATE seats_internal.seat_line SET confirmed = confirmed + 1 WHERE team_id = $2 AND seat_type = 'owner'$$),
    ('its call is in another partition', 'row', $$UPDATE seats_internal.outbox_history SET ring = seats_internal.ring_slot_beside(ring, -1) WHERE id = $1$$),
    ('a read is to be tried again', 'row', $$INSERT INTO seats_internal.outbox
        (lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, beside_lane_id, state, created_at)
        SELECT NULL, i.uuid, 'stripe', 'GET', '/v1/x', 'x=y', 'x', 'read', $2, $3, 'waiting', now() - interval '1 hour'
          FROM seats_internal.installation AS i$$);

-- A change that stands behind another one, whose call is in the history.
CREATE FUNCTION pg_temp.behind(call bigint, state text, splits_left integer DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO seats_internal.outbox
        (lane_id, installation, destination, method, path, body, enqueued_by, kind, team_id, lines, state, actor,
         first_sent_at, reason, base, target, payment, doubt, splits_left, split_size)
    SELECT h.lane_id, h.installation, h.destination, h.method, h.path, CASE WHEN $2 IN ('awaiting', 'review') THEN 'x=y' ELSE '' END,
           'x', 'change', h.team_id, '[{"seat_type": "team", "operation": "add", "quantity": 2}]', $2::seats_internal.outbox_state, 'ada',
           now(), NULL, CASE $2 WHEN 'awaiting' THEN '{"team": 1}'::jsonb END, CASE $2 WHEN 'awaiting' THEN '{"team": 3}'::jsonb END,
           CASE $2 WHEN 'awaiting' THEN '{"invoice": "in_9"}'::jsonb END, $2 = 'review', $3, $3 - 1
      FROM (SELECT h.lane_id, h.installation, h.destination, h.method, h.path, h.team_id
              FROM seats_internal.outbox_history AS h WHERE h.id = $1
            UNION ALL
            SELECT o.lane_id, o.installation, o.destination, o.method, o.path, o.team_id
              FROM seats_internal.outbox AS o WHERE o.id = $1) AS h
    RETURNING id
$$;

-- ---- what there is

-- All that a settlement may write, one text a row. Ids and times that are drawn anew are of no interest.
CREATE FUNCTION pg_temp.all_there_is(as_of timestamptz) RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(regexp_replace(a.what, '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00', '<time>', 'g') ORDER BY a.what COLLATE "C")
      FROM (SELECT 'journal ' || (to_jsonb(j) - '{id,at,number,written_xid}'::text[])::text AS what
              FROM seats_internal.journal AS j WHERE j.written_xid = pg_current_xact_id()
            UNION ALL SELECT 'team ' || to_jsonb(t)::text || (t.base_proven_at = as_of) FROM seats_internal.team AS t
            UNION ALL SELECT 'line ' || to_jsonb(s)::text FROM seats_internal.seat_line AS s
            UNION ALL SELECT 'outbox ' || (to_jsonb(o) - '{id,uuid,eligible_xid}'::text[])::text || coalesce(o.beside_lane_id, o.id)
              FROM seats_internal.outbox AS o
            UNION ALL SELECT 'history ' || to_jsonb(h)::text FROM seats_internal.outbox_history AS h
            UNION ALL SELECT 'expected ' || (to_jsonb(e) - 'look_at')::text || (e.sent_at = coalesce(h.first_sent_at, h.created_at))
              FROM seats_internal.expected_event AS e LEFT JOIN seats_internal.outbox_history AS h ON h.id = e.call_id
            UNION ALL SELECT 'alert ' || (to_jsonb(w) - '{id,number}'::text[])::text FROM seats_internal.alert AS w
            UNION ALL SELECT 'invite ' || to_jsonb(i)::text FROM seats_internal.invite AS i
            UNION ALL SELECT 'member ' || to_jsonb(m)::text FROM seats_internal.member AS m
            UNION ALL SELECT 'drift ' || to_jsonb(d)::text FROM seats_internal.drift AS d
            UNION ALL SELECT 'price ' || to_jsonb(p)::text FROM seats_internal.stripe_price AS p
            UNION ALL SELECT 'marker ' || to_jsonb(k)::text FROM seats_internal.lane_marker AS k
            UNION ALL SELECT 'lane ' || to_jsonb(l)::text FROM seats_internal.lane AS l
            UNION ALL SELECT 'ring ' || (to_jsonb(r) - 'last_journal_number')::text FROM seats_internal.ring AS r) AS a
$$;

-- ---- settling both ways

CREATE TYPE pg_temp.batch AS (calls bigint[], teams bigint[], facts text[], times timestamptz[]);

-- A change of each team: its call is done, or its subscription was read for it; what is odd about each team, by the numbers
-- of oddities, two for each.
CREATE FUNCTION pg_temp.make_batch(oddities integer[], are_reads boolean) RETURNS pg_temp.batch LANGUAGE plpgsql AS $$
DECLARE
    batch   pg_temp.batch := ('{}', '{}', '{}', '{}');
    changes bigint[] := '{}';
    one     record;
    odd     record;
    call    seats_internal.outbox_history;
    said    jsonb;
    former  jsonb;
BEGIN
    -- (All calls first: what is odd of one team may be everybody's.)
    FOR one IN SELECT t.id, t.name, row_number() OVER (ORDER BY t.id) AS place FROM seats_internal.team AS t ORDER BY t.id LOOP
        changes := changes || CASE one.place % 3
            WHEN 0 THEN (SELECT c.change FROM seats.remove_seats(one.name, 'team', 1, 'ada') AS c)
            ELSE (SELECT c.change FROM seats.add_seats(one.name, 'team', 2, 'ada') AS c) END;
        IF NOT are_reads AND pg_temp.freeze(changes[one.place]) <> 'frozen' THEN
            RAISE 'not frozen: %', one.name;
        END IF;
    END LOOP;
    FOR one IN SELECT t.*, row_number() OVER (ORDER BY t.id) AS place FROM seats_internal.team AS t ORDER BY t.id LOOP
        IF are_reads THEN
            call := NULL;
            SELECT o.id, o.uuid INTO call.id, call.uuid FROM seats_internal.outbox AS o WHERE o.id = changes[one.place];
            SELECT jsonb_object_agg(s.seat_type, s.confirmed) INTO call.target FROM seats_internal.seat_line AS s
             WHERE s.team_id = one.id;
        ELSE
            PERFORM pg_temp.to_history(changes[one.place], 'done');
            SELECT h.* INTO call FROM seats_internal.outbox_history AS h WHERE h.id = changes[one.place];
        END IF;
        said := pg_temp.facts(one.subscription,
                    (SELECT jsonb_object_agg('price_' || g.key, g.value) FROM jsonb_each(call.target) AS g),
                    pg_temp.prices() || jsonb_build_object('pending_update', NULL,
                        'marker', CASE WHEN NOT are_reads THEN call.uuid || '-' || call.uuid || '-1' END));
        FOR odd IN SELECT o.* FROM pg_temp.oddity AS o
                    WHERE o.number IN (oddities[2 * one.place - 1], oddities[2 * one.place]) ORDER BY o.number LOOP
            IF odd.place = 'facts' THEN
                former := said;
                EXECUTE 'SELECT ' || odd.command || ' FROM (SELECT $1 AS facts, $2 AS call) AS x' INTO said USING said, call;
                said := coalesce(said, CASE WHEN are_reads THEN former END);
            ELSE
                EXECUTE odd.command USING call.id, one.id, one.lane_id;
            END IF;
        END LOOP;
        batch.calls := batch.calls || CASE WHEN are_reads THEN 0 ELSE call.id END;
        batch.teams := batch.teams || one.id;
        batch.facts := batch.facts || said::text;
        batch.times := batch.times || clock_timestamp();
    END LOOP;
    RETURN batch;
END
$$;
CREATE FUNCTION pg_temp.prices() RETURNS jsonb LANGUAGE sql AS $$
    SELECT '{"prices": [{"id": "price_team", "interval": "month", "interval_count": 1, "currency": "usd", "unit_amount": 1000,
                         "active": true, "metered": false}]}'::jsonb
$$;

-- Nothing of it stays. Gives which of them were plain, and what differs.
CREATE FUNCTION pg_temp.compare(oddities integer[], are_reads boolean, OUT plain boolean[], OUT differences text[])
LANGUAGE plpgsql AS $$
DECLARE
    batch  pg_temp.batch;
    before text[];
    after  text[];
BEGIN
    batch := pg_temp.make_batch(oddities, are_reads);
    BEGIN
        IF are_reads THEN
            PERFORM seats_internal.read_settled(b.team, b.facts::jsonb, b.at, pg_temp.run())
               FROM unnest(batch.teams, batch.facts, batch.times) AS b (team, facts, at);
        ELSE
            PERFORM seats_internal.settle_change(b.call, b.facts::jsonb, b.at, pg_temp.run())
               FROM unnest(batch.calls, batch.facts, batch.times) AS b (call, facts, at);
        END IF;
        before := pg_temp.all_there_is(batch.times[1]);
        RAISE EXCEPTION USING ERRCODE = 'PSX01';
    EXCEPTION WHEN SQLSTATE 'PSX01' THEN NULL;
    END;
    plain := ARRAY(SELECT p.place IS NOT NULL
                     FROM unnest(batch.teams) WITH ORDINALITY AS b (team, place)
                     LEFT JOIN seats_internal.plain_settlements(batch.calls, batch.teams, batch.facts,
                                 (SELECT r.slot FROM seats_internal.ring AS r)) AS p ON p.place = b.place
                    ORDER BY b.place);
    PERFORM seats_internal.changes_settled(batch.calls, batch.teams, batch.facts, batch.times, pg_temp.run(), NULL);
    after := pg_temp.all_there_is(batch.times[1]);
    differences := ARRAY(SELECT 'lost: ' || l.what FROM (SELECT unnest(before) EXCEPT ALL SELECT unnest(after)) AS l (what))
                || ARRAY(SELECT 'more: ' || m.what FROM (SELECT unnest(after) EXCEPT ALL SELECT unnest(before)) AS m (what));
    RAISE EXCEPTION USING ERRCODE = 'PSX02';
EXCEPTION WHEN SQLSTATE 'PSX02' THEN NULL;
END
$$;

-- Six teams, of which every second one has seats of two types.
SELECT seats.register_team('team' || g, 'sub_' || g) FROM generate_series(1, 6) AS g;
INSERT INTO seats_internal.member (team_id, user_id, role) SELECT t.id, 'ada', 'owner' FROM seats_internal.team AS t;
SELECT pg_temp.read('team' || g, CASE WHEN g % 2 = 0 THEN '{"price_team": 50, "price_owner": 2}' ELSE '{"price_team": 50}' END::jsonb, pg_temp.prices())
  FROM generate_series(1, 6) AS g;
DELETE FROM seats_internal.recount;
\set ECHO all

-- Each oddity by itself, of a team with two types of seats: is its call plain, and is a read? Nothing may differ.
SELECT o.name, CASE WHEN c.plain[2] THEN 'plain' ELSE '-' END AS call, CASE WHEN r.plain[2] THEN 'plain' ELSE '-' END AS read,
       c.differences, r.differences
  FROM pg_temp.oddity AS o
 CROSS JOIN LATERAL pg_temp.compare(ARRAY[NULL, NULL, o.number], false) AS c
 CROSS JOIN LATERAL pg_temp.compare(ARRAY[NULL, NULL, o.number], true) AS r
 ORDER BY o.number;
-- Some are odd together only, and some are not, as what a read shows of the lane's own last call.
SELECT p.names, c.plain[2] AS call, r.plain[2] AS read, c.differences, r.differences
  FROM (VALUES ('{was past due,past due}'::text[]), ('{was past due,"past due, with an open invoice"}'),
               ('{was over,over}'), ('{a marker of nobody,a marker that is known}')) AS p (names)
 CROSS JOIN LATERAL (SELECT ARRAY[NULL, NULL]::integer[] || array_agg(o.number) AS oddities FROM pg_temp.oddity AS o
                      WHERE o.name = ANY (p.names)) AS o
 CROSS JOIN LATERAL pg_temp.compare(o.oddities, false) AS c
 CROSS JOIN LATERAL pg_temp.compare(o.oddities, true) AS r;
-- Several of them, by chance, of each of six teams.
SELECT setseed(0.14);
SELECT are_reads, count(*) AS batches, sum(c.plain_ones) BETWEEN 40 AND 200 AS many_are_plain,
       min(c.differences) FILTER (WHERE c.differences <> '{}') AS differences
  FROM (SELECT c.differences, m.are_reads, (SELECT count(*) FROM unnest(c.plain) AS p WHERE p) AS plain_ones
          FROM generate_series(1, 40) AS g
         CROSS JOIN (VALUES (false), (true)) AS m (are_reads)
         CROSS JOIN LATERAL (SELECT array_agg(CASE WHEN random() < 0.5
                                                   THEN 1 + floor(random() * (SELECT count(*) FROM pg_temp.oddity))::integer END)
                               FROM generate_series(1, 12) WHERE g > 0 AND m.are_reads IS NOT NULL) AS r (oddities)
         CROSS JOIN LATERAL pg_temp.compare(r.oddities, m.are_reads) AS c) AS c
 GROUP BY are_reads ORDER BY are_reads;

-- Numbers: at once, one after the other, where all that was committed has its own; else none, and the worker gives them later.
CREATE FUNCTION pg_temp.numbers(seen pg_snapshot) RETURNS TABLE (kind text, number bigint) LANGUAGE plpgsql AS $$
DECLARE
    batch pg_temp.batch := pg_temp.make_batch(ARRAY[NULL, NULL, 2, NULL], false);
    moved bigint := (SELECT r.last_journal_number FROM seats_internal.ring AS r);
    told  boolean;
BEGIN
    SELECT s.has_numbered INTO told
      FROM seats_internal.changes_settled(batch.calls, batch.teams, batch.facts, batch.times, pg_temp.run(), seen) AS s;
    RETURN QUERY
    SELECT j.kind, j.number - moved FROM seats_internal.journal AS j
     WHERE j.call_id = ANY (batch.calls) ORDER BY j.number, j.kind;
    RETURN QUERY SELECT 'told: ' || told, (SELECT r.last_journal_number FROM seats_internal.ring AS r) - moved;
END
$$;
SELECT numbered >= 0 FROM seats_internal.number_journal('1:1:');
SELECT * FROM pg_temp.numbers('1:1:');
SELECT * FROM pg_temp.numbers('1:1:');
SELECT numbered > 0 FROM seats_internal.number_journal('1:1:');
SELECT * FROM pg_temp.numbers(NULL);
ROLLBACK;
