-- Plain changes are planned all at once (plain_plans), others one by one (freeze_change). Over states at random, also
-- such as nobody has thought of: what the first plans, the second plans the same, and writes nothing else.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('owner', '{price_owner}', delete_at_zero => false, increase_proration_behavior => 'none',
                              decrease_proration_behavior => 'none');
SELECT seats.define_seat_type('extra', '{price_extra}', increase_payment_behavior => 'pending_if_incomplete',
                              decrease_proration_behavior => 'none');
SELECT seats.define_seat_type('old', '{price_month, price_year}', increase_proration_behavior => 'create_prorations');

-- Another run each time; what failed says which one it was.
SELECT extract(epoch FROM clock_timestamp())::integer % 100000 AS seed \gset
SELECT FROM (SELECT setseed(:seed / 100000.0)) AS s;
CREATE FUNCTION pg_temp.one_of(VARIADIC words text[]) RETURNS text LANGUAGE sql VOLATILE AS
    $$ SELECT words[1 + floor(random() * cardinality(words))::integer] $$;
CREATE FUNCTION pg_temp.happens(share double precision) RETURNS boolean LANGUAGE sql VOLATILE AS
    $$ SELECT random() < share $$;

-- A team with items, and nearly always one of seats that it is about.
CREATE FUNCTION pg_temp.make_team(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    items jsonb := '{}';
    more  jsonb := '{}';
BEGIN
    items := CASE WHEN pg_temp.happens(0.95) THEN jsonb_build_object('price_team', 1 + floor(random() * 8)) ELSE '{}'::jsonb END
        || CASE WHEN pg_temp.happens(0.3) THEN jsonb_build_object('price_owner', floor(random() * 4)) ELSE '{}'::jsonb END
        || CASE WHEN pg_temp.happens(0.3) THEN jsonb_build_object('price_extra', floor(random() * 4)) ELSE '{}'::jsonb END
        || CASE WHEN pg_temp.happens(0.3) THEN jsonb_build_object('price_month', floor(random() * 4)) ELSE '{}'::jsonb END
        || CASE WHEN pg_temp.happens(0.2) THEN jsonb_build_object('price_year', floor(random() * 4)) ELSE '{}'::jsonb END
        || CASE WHEN pg_temp.happens(0.05) THEN '{"price_of_nothing": 2}' ELSE '{}'::jsonb END;
    IF pg_temp.happens(0.1) THEN
        more := '{"collection_method": "send_invoice"}';
    END IF;
    PERFORM seats.register_team(name, 'sub_' || name);
    PERFORM pg_temp.read(name, items, more);
END
$$;

-- One to three changes of it. (What is refused is not there then.)
CREATE FUNCTION pg_temp.make_changes(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    type text;
BEGIN
    FOR n IN 1..CASE WHEN pg_temp.happens(0.8) THEN 1 ELSE 3 END LOOP
        type := pg_temp.one_of('team', 'team', 'team', 'owner', 'extra', 'old');
        BEGIN
            CASE pg_temp.one_of('add', 'add', 'add', 'remove', 'remove', 'set', 'two')
            WHEN 'add' THEN PERFORM seats.add_seats(name, type, 1 + floor(random() * 3)::integer);
            WHEN 'remove' THEN PERFORM seats.remove_seats(name, type, 1 + floor(random() * 2)::integer);
            WHEN 'set' THEN PERFORM seats.set_seats(name, type, floor(random() * 8)::integer);
            ELSE PERFORM seats.change_seats(name, '{"team": {"add": 1}, "extra": {"add": 1}}');
            END CASE;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE NOT LIKE 'PS5%' THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;

-- What else may be about a change and its team.
CREATE FUNCTION pg_temp.make_unusual(team seats_internal.team, head seats_internal.outbox) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    span interval := pg_temp.one_of('30 seconds', '50 minutes', '20 hours', '30 hours')::interval;
BEGIN
    UPDATE seats_internal.team AS t
       SET base_run = CASE WHEN pg_temp.happens(0.03) THEN gen_random_uuid() ELSE t.base_run END,
           base_proven_at = CASE WHEN pg_temp.happens(0.03) THEN NULL
                                 WHEN pg_temp.happens(0.03) THEN clock_timestamp() + interval '1 hour'
                                 WHEN pg_temp.happens(0.1) THEN clock_timestamp() - interval '40 seconds'
                                 WHEN pg_temp.happens(0.1) THEN clock_timestamp() - interval '2 minutes'
                                 ELSE t.base_proven_at END,
           count_problem = CASE WHEN pg_temp.happens(0.03) THEN 'it is odd' ELSE t.count_problem END,
           waits_for_price = pg_temp.happens(0.03),
           status = CASE WHEN pg_temp.happens(0.1) THEN 'past_due' ELSE t.status END,
           items = CASE WHEN pg_temp.happens(0.03) THEN NULL
                        WHEN pg_temp.happens(0.03) THEN t.items || t.items
                        WHEN pg_temp.happens(0.03) THEN jsonb_set(t.items, '{0, quantity}', '"2.5"')
                        WHEN pg_temp.happens(0.03) THEN jsonb_set(t.items, '{0, metered}', 'true')
                        WHEN pg_temp.happens(0.03) THEN jsonb_set(t.items, '{0, id}', 'null')
                        WHEN pg_temp.happens(0.03) THEN jsonb_set(t.items, '{0, quantity}', '77')
                        ELSE t.items END
     WHERE t.id = team.id;
    UPDATE seats_internal.seat_line AS s
       SET held = pg_temp.happens(0.02), confirmed = CASE WHEN pg_temp.happens(0.02) THEN 0 ELSE s.confirmed END
     WHERE s.team_id = team.id;
    UPDATE seats_internal.outbox AS o
       SET doubt = pg_temp.happens(0.05),
           first_sent_at = CASE WHEN pg_temp.happens(0.05) THEN clock_timestamp() - interval '2 days' END,
           splits_left = CASE WHEN pg_temp.happens(0.03) THEN 3 END, split_size = 1,
           proration_date = CASE WHEN pg_temp.happens(0.03) THEN extract(epoch FROM clock_timestamp()) END,
           base_wanted_at = CASE WHEN pg_temp.happens(0.1) THEN clock_timestamp() - interval '45 seconds'
                                 WHEN pg_temp.happens(0.05) THEN clock_timestamp() END,
           reason = CASE WHEN pg_temp.happens(0.1) THEN 'price_not_known' END,
           verifications = CASE WHEN pg_temp.happens(0.1) THEN 2 ELSE 0 END
     WHERE o.id = head.id;
    IF pg_temp.happens(0.05) THEN
        PERFORM seats.reconcile(team.name, 'an event');
    END IF;
    IF pg_temp.happens(0.05) THEN
        INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by)
        SELECT head.lane_id, head.installation, head.destination, 'POST', '/v1/x', 'a=b', 'regress';
    END IF;
    -- What was sent for it lately: the partition that is written, the one before it, and one of which nobody asks.
    IF pg_temp.happens(0.4) THEN
        INSERT INTO seats_internal.outbox_history
            (ring, id, lane_id, created_at, settled_at, uuid, result, generation, attempts, clean, destination,
             method, path, body, enqueued_by, kind, team_id)
        SELECT seats_internal.ring_slot_beside(r.slot, pg_temp.one_of('0', '0', '-1', '-2')::integer),
               nextval('seats_internal.outbox_id_seq'), team.lane_id, now(), clock_timestamp() - random() * span,
               gen_random_uuid(), 'done', 1, 1, pg_temp.happens(0.9), 'stripe', 'POST', '/v1/x',
               pg_temp.one_of('proration_behavior=always_invoice', 'proration_behavior=none'), 'regress',
               pg_temp.one_of('change', 'change', 'change', 'read'), team.id
          FROM seats_internal.ring AS r CROSS JOIN generate_series(1, pg_temp.one_of('5', '9', '10', '19', '21', '202')::integer);
    END IF;
    IF pg_temp.happens(0.3) THEN
        INSERT INTO seats_internal.attempt
            (ring, call_id, lane_id, generation, number, purpose, answered_at, verdict, reason, sent, replayed)
        SELECT seats_internal.ring_slot_beside(r.slot, pg_temp.one_of('0', '0', '-1', '-2')::integer),
               1000000 + n, team.lane_id, 1, 1, pg_temp.one_of('send', 'send', 'send', 'verify'),
               clock_timestamp() - random() * span, pg_temp.one_of('refused', 'unknown', 'again'),
               pg_temp.one_of(NULL, 'key_in_use'), pg_temp.happens(0.9), false
          FROM seats_internal.ring AS r
         CROSS JOIN generate_series(1, pg_temp.one_of('5', '9', '10', '19', '21')::integer) AS n;
    END IF;
END
$$;

-- What there is of a change and its team beside what a plan writes.
CREATE FUNCTION pg_temp.beside(change bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_array(
               to_jsonb(t), (SELECT jsonb_agg(s ORDER BY s.seat_type) FROM seats_internal.seat_line AS s WHERE s.team_id = t.id),
               (SELECT jsonb_agg(to_jsonb(o) - '{body,base,target,last_uuid,verifications,base_wanted_at}'::text[] ORDER BY o.id)
                  FROM seats_internal.outbox AS o WHERE o.lane_id = head.lane_id OR o.team_id = t.id),
               (SELECT count(*) FROM seats_internal.alert), (SELECT count(*) FROM seats_internal.journal),
               (SELECT count(*) FROM seats_internal.outbox_history))
      FROM seats_internal.outbox AS head JOIN seats_internal.team AS t ON t.id = head.team_id WHERE head.id = change
$$;
-- What freeze_change makes of it; undone again.
CREATE TYPE pg_temp.found AS (outcome text, body text, base jsonb, target jsonb, writes_nothing_else boolean);
CREATE FUNCTION pg_temp.one_by_one(change bigint) RETURNS pg_temp.found LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := pg_temp.beside(change);
    found  pg_temp.found;
BEGIN
    found.outcome := seats_internal.freeze_change(change, pg_temp.run(), '60 s');
    SELECT o.body, o.base, o.target, pg_temp.beside(change) = before
           AND CASE WHEN found.outcome = 'frozen' THEN o.last_uuid = o.uuid AND o.verifications = 0 ELSE o.last_uuid IS NULL END
      INTO found.body, found.base, found.target, found.writes_nothing_else
      FROM seats_internal.outbox AS o WHERE o.id = change;
    RAISE SQLSTATE 'UNDO1';
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
    RETURN found;
-- (Items that do not make what the team has.)
WHEN SQLSTATE 'PS105' OR invalid_text_representation THEN
    RETURN ROW('raises'::text, NULL::text, NULL::jsonb, NULL::jsonb, NULL::boolean);
END
$$;

\o /dev/null
SELECT pg_temp.make_team('t' || n) FROM generate_series(1, 700) AS n;
SELECT pg_temp.make_changes('t' || n) FROM generate_series(1, 700) AS n;
SELECT pg_temp.make_unusual(t, o) FROM seats_internal.team AS t
  JOIN seats_internal.outbox AS o ON o.id = (SELECT min(h.id) FROM seats_internal.outbox AS h WHERE h.lane_id = t.lane_id);
\o
CREATE TEMP TABLE head AS
SELECT min(o.id) AS id FROM seats_internal.outbox AS o WHERE o.lane_id IS NOT NULL GROUP BY o.lane_id;
DELETE FROM head USING seats_internal.outbox AS o WHERE o.id = head.id AND o.kind <> 'change';

CREATE FUNCTION pg_temp.compare() RETURNS TABLE (plainly text, as_one_by_one boolean, many boolean) LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS pg_temp.planned, pg_temp.found_one_by_one, pg_temp.compared;
    CREATE TEMP TABLE planned AS
    SELECT p.* FROM seats_internal.plain_plans((SELECT array_agg(h.id) FROM head AS h), pg_temp.run(), '60 s') AS p;
    CREATE TEMP TABLE found_one_by_one AS
    SELECT h.id, f.* FROM head AS h CROSS JOIN LATERAL pg_temp.one_by_one(h.id) AS f;
    CREATE TEMP TABLE compared AS
    SELECT f AS one_by_one, p AS plainly, f.outcome, p.outcome AS plain_outcome,
           CASE WHEN p.call IS NULL THEN f.outcome <> 'read'
                ELSE p.outcome = f.outcome AND f.writes_nothing_else
                     AND (p.outcome = 'read' OR (p.body, p.base, p.target) = (f.body, f.base, f.target)) END AS agrees
      FROM found_one_by_one AS f LEFT JOIN planned AS p ON p.call = f.id;
    RETURN QUERY
    SELECT coalesce(c.plain_outcome, 'left out'), bool_and(coalesce(c.agrees, false)), count(*) > 30
      FROM compared AS c GROUP BY 1 ORDER BY 1;
END
$$;
SELECT * FROM pg_temp.compare();
-- (Where they differ, this says which, of which seed.)
\set ECHO none
SELECT 'seed ' || :seed, c.one_by_one, c.plainly FROM compared AS c WHERE c.agrees IS NOT TRUE;
\set ECHO all
-- Of all that can come of a change, something was there.
SELECT c.outcome FROM compared AS c GROUP BY 1 ORDER BY 1;
-- More seats and fewer are planned like that, billed by each rule, with nearly as many calls as may be sent.
SELECT regexp_replace(p.body, '=\d+&', '=n&') AS body FROM planned AS p WHERE p.body LIKE '%price_team%' GROUP BY 1 ORDER BY 1;
SELECT count(*) > 5 AS of_others FROM planned AS p WHERE p.body NOT LIKE '%price_team%';
SELECT h.number FROM (SELECT h.team_id, count(*) AS number FROM seats_internal.outbox_history AS h GROUP BY 1) AS h
  JOIN seats_internal.outbox AS o ON o.team_id = h.team_id JOIN planned AS p ON p.call = o.id
 WHERE p.outcome = 'frozen' AND h.number IN (5, 10, 19) GROUP BY 1 ORDER BY 1;

-- When teams are to be counted anew, none is planned like that.
SELECT seats.define_seat_type('later', '{price_of_nothing}');
SELECT * FROM pg_temp.compare();
\set ECHO none
SELECT 'seed ' || :seed, c.one_by_one, c.plainly FROM compared AS c WHERE c.agrees IS NOT TRUE;
ROLLBACK;
