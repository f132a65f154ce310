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

-- (Billed like team.)
SELECT seats.define_seat_type('zeta', '{price_zeta}');

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
    deed text;
BEGIN
    FOR n IN 1..pg_temp.one_of('1', '1', '1', '1', '1', '2', '3', '4')::integer LOOP
        -- (Nearly always more of the same.)
        IF n = 1 OR pg_temp.happens(0.2) THEN
            type := pg_temp.one_of('team', 'team', 'team', 'team', 'team', 'team', 'owner', 'extra', 'old');
            deed := pg_temp.one_of('add', 'add', 'add', 'add', 'remove', 'remove', 'set', 'two');
        END IF;
        BEGIN
            CASE deed
            WHEN 'add' THEN PERFORM seats.add_seats(name, type, 1 + floor(random() * 3)::integer);
            WHEN 'remove' THEN PERFORM seats.remove_seats(name, type, 1 + floor(random() * 2)::integer);
            WHEN 'set' THEN PERFORM seats.set_seats(name, type, floor(random() * 8)::integer);
            ELSE PERFORM seats.change_seats(name, '{"team": {"add": 1}, "zeta": {"add": 1}}');
            END CASE;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE NOT LIKE 'PS5%' THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;

-- What else may be about a change and its team; how old its base is, and how long ago one was wanted.
CREATE TEMP TABLE age (team_id bigint, change bigint, of_base interval, of_wish interval);
CREATE FUNCTION pg_temp.make_unusual(team seats_internal.team, head seats_internal.outbox) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- One thing at a time, and sometimes another one, too.
    odd   text[] := ARRAY[pg_temp.one_of(
        'nothing', 'nothing', 'nothing', 'nothing', 'run', 'base', 'count_problem', 'waits', 'items', 'items', 'items', 'held',
        'confirmed', 'doubt', 'first', 'preview', 'wish', 'read', 'behind', 'behind', 'behind', 'row', 'history', 'history',
        'history', 'history', 'attempt', 'attempt', 'attempt')];
    slots smallint[] := (SELECT ARRAY[r.slot, seats_internal.ring_slot_beside(r.slot, pg_temp.one_of('0', '-1', '-2')::integer)]
                           FROM seats_internal.ring AS r);
    span  interval := pg_temp.one_of('30 seconds', '30 seconds', '50 minutes', '20 hours', '30 hours')::interval;
BEGIN
    IF pg_temp.happens(0.1) THEN
        odd := odd || pg_temp.one_of('run', 'base', 'count_problem', 'items', 'held', 'doubt', 'first', 'preview', 'wish', 'history');
    END IF;
    INSERT INTO age
    SELECT team.id, head.id, CASE WHEN 'base' = ANY (odd) THEN pg_temp.one_of(NULL, '-1 hour', '20 s', '2 minutes', '3 hours')
                                  ELSE '20 s' END::interval,
           CASE WHEN 'wish' = ANY (odd) THEN pg_temp.one_of('10 s', '4 hours') ELSE pg_temp.one_of('30 s', NULL) END::interval;
    UPDATE seats_internal.team AS t
       SET base_run = CASE WHEN 'run' = ANY (odd) THEN gen_random_uuid() ELSE t.base_run END,
           count_problem = CASE WHEN 'count_problem' = ANY (odd) THEN 'it is odd' ELSE t.count_problem END,
           waits_for_price = 'waits' = ANY (odd),
           items = CASE WHEN 'items' <> ALL (odd) THEN t.items
                        ELSE CASE pg_temp.one_of('none', 'twice', 'half', 'metered', 'no id', 'other')
                             WHEN 'none' THEN NULL
                             WHEN 'twice' THEN t.items || jsonb_set(t.items, '{0, quantity}', '0')
                             WHEN 'half' THEN jsonb_set(t.items, '{0, quantity}', '2.5')
                             WHEN 'metered' THEN jsonb_set(t.items, '{0, metered}', 'true')
                             WHEN 'no id' THEN jsonb_set(t.items, '{0, id}', 'null')
                             ELSE (SELECT jsonb_agg(i || '{"quantity": 77}') FROM jsonb_array_elements(t.items) AS i) END END
     WHERE t.id = team.id;
    UPDATE seats_internal.seat_line AS s
       SET held = 'held' = ANY (odd), confirmed = CASE WHEN 'confirmed' = ANY (odd) THEN 0 ELSE s.confirmed END
     WHERE s.team_id = team.id;
    UPDATE seats_internal.outbox AS o
       SET doubt = odd && ARRAY['doubt', 'first'],
           first_sent_at = CASE WHEN 'first' = ANY (odd) THEN clock_timestamp() - interval '2 days' END,
           splits_left = CASE WHEN pg_temp.happens(0.05) THEN 3 END, split_size = 1,
           proration_date = CASE WHEN 'preview' = ANY (odd) THEN extract(epoch FROM clock_timestamp()) END,
           reason = CASE WHEN pg_temp.happens(0.1) THEN 'price_not_known' END,
           verifications = CASE WHEN pg_temp.happens(0.1) THEN 2 ELSE 0 END
     WHERE o.id = head.id;
    UPDATE seats_internal.outbox AS o
       SET doubt = pg_temp.happens(0.2), splits_left = CASE WHEN pg_temp.happens(0.4) THEN 3 END, split_size = 1,
           proration_date = CASE WHEN pg_temp.happens(0.4) THEN extract(epoch FROM clock_timestamp()) END
     WHERE 'behind' = ANY (odd) AND o.lane_id = head.lane_id AND o.id > head.id AND o.kind = 'change';
    IF 'read' = ANY (odd) THEN
        PERFORM seats.reconcile(team.name, 'an event');
    END IF;
    IF 'row' = ANY (odd) THEN
        INSERT INTO seats_internal.outbox (lane_id, installation, destination, method, path, body, enqueued_by)
        SELECT head.lane_id, head.installation, head.destination, 'POST', '/v1/x', 'a=b', 'regress';
    END IF;
    -- What was sent for it lately: in the partition that is written, the one before it, and one of which nobody asks.
    IF 'history' = ANY (odd) THEN
        INSERT INTO seats_internal.outbox_history
            (ring, id, lane_id, created_at, settled_at, uuid, result, generation, attempts, clean, destination,
             method, path, body, enqueued_by, kind, team_id)
        SELECT slots[pg_temp.one_of('1', '2', '2')::integer], nextval('seats_internal.outbox_id_seq'), team.lane_id, now(),
               clock_timestamp() - random() * span, gen_random_uuid(), 'done', 1, 1, pg_temp.happens(0.95), 'stripe', 'POST',
               '/v1/x', CASE WHEN pg_temp.happens(0.1) THEN 'a=b' ELSE 'proration_behavior=always_invoice' END, 'regress',
               CASE WHEN pg_temp.happens(0.05) THEN 'read' ELSE 'change' END, team.id
          FROM generate_series(1, pg_temp.one_of('5', '10', '12', '14', '19', '19', '30', '210')::integer);
    END IF;
    IF 'attempt' = ANY (odd) THEN
        INSERT INTO seats_internal.attempt
            (ring, call_id, lane_id, generation, number, purpose, answered_at, verdict, reason, sent, replayed)
        SELECT slots[pg_temp.one_of('1', '2')::integer], 1000000 + n, team.lane_id, 1, 1,
               CASE WHEN pg_temp.happens(0.1) THEN 'verify' ELSE 'send' END, clock_timestamp() - random() * span,
               CASE WHEN pg_temp.happens(0.1) THEN 'again' ELSE 'refused' END,
               CASE WHEN pg_temp.happens(0.1) THEN 'key_in_use' END, pg_temp.happens(0.95), false
          FROM generate_series(1, pg_temp.one_of('5', '12', '19', '24', '30')::integer) AS n;
    END IF;
END
$$;

-- What there is of a change and its team beside what a plan writes.
CREATE FUNCTION pg_temp.beside(change bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_array(
               to_jsonb(t), (SELECT jsonb_agg(s ORDER BY s.seat_type) FROM seats_internal.seat_line AS s WHERE s.team_id = t.id),
               (SELECT jsonb_agg(to_jsonb(o) - '{body,base,target,last_id,last_uuid,verifications,base_wanted_at,state,state_since}'::text[] ORDER BY o.id)
                  FROM seats_internal.outbox AS o WHERE o.lane_id = head.lane_id),
               (SELECT count(*) FROM seats_internal.alert))
      FROM seats_internal.outbox AS head JOIN seats_internal.team AS t ON t.id = head.team_id WHERE head.id = change
$$;
-- What freeze_change makes of it; undone again.
CREATE TYPE pg_temp.found AS (outcome text, body text, base jsonb, target jsonb, last_id bigint, last_uuid uuid,
                              writes_nothing_else boolean);
CREATE FUNCTION pg_temp.one_by_one(change bigint, fresh_for interval) RETURNS pg_temp.found LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := pg_temp.beside(change);
    found  pg_temp.found;
BEGIN
    found.outcome := seats_internal.freeze_change(change, pg_temp.run(), fresh_for);
    SELECT o.body, o.base, o.target, o.last_id, o.last_uuid,
           pg_temp.beside(change) = before AND o.state = 'pending'
           AND (found.outcome <> 'frozen' OR o.verifications = 0)
           AND (SELECT coalesce(bool_and((c.state = 'carried') = coalesce(c.id <= o.last_id, false)), true)
                  FROM seats_internal.outbox AS c WHERE c.lane_id = o.lane_id AND c.id > o.id)
      INTO found.body, found.base, found.target, found.last_id, found.last_uuid, found.writes_nothing_else
      FROM seats_internal.outbox AS o WHERE o.id = change;
    RAISE SQLSTATE 'UNDO1';
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
    RETURN found;
-- (Items that do not make what the team has.)
WHEN SQLSTATE 'PS105' OR invalid_text_representation THEN
    found.outcome := 'raises';
    RETURN found;
END
$$;

\o /dev/null
SELECT pg_temp.make_team('t' || n) FROM generate_series(1, 800) AS n;
SELECT pg_temp.make_changes('t' || n) FROM generate_series(1, 800) AS n;
SELECT pg_temp.make_unusual(t, o) FROM seats_internal.team AS t
  JOIN seats_internal.outbox AS o ON o.id = (SELECT min(h.id) FROM seats_internal.outbox AS h WHERE h.lane_id = t.lane_id);
\o
ANALYZE seats_internal.outbox, seats_internal.team, seats_internal.attempt, seats_internal.outbox_history;
CREATE TEMP TABLE head AS
SELECT min(o.id) AS id FROM seats_internal.outbox AS o WHERE o.lane_id IS NOT NULL GROUP BY o.lane_id;
DELETE FROM head USING seats_internal.outbox AS o WHERE o.id = head.id AND o.kind <> 'change';

CREATE FUNCTION pg_temp.compare(fresh_for interval) RETURNS TABLE (plainly text, as_one_by_one boolean, many boolean)
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE seats_internal.team AS t SET base_proven_at = clock_timestamp() - a.of_base FROM age AS a WHERE a.team_id = t.id;
    UPDATE seats_internal.outbox AS o SET base_wanted_at = clock_timestamp() - a.of_wish FROM age AS a WHERE a.change = o.id;
    UPDATE seats_internal.outbox AS o SET created_at = clock_timestamp() - interval '10 s' WHERE o.kind = 'read';
    DROP TABLE IF EXISTS pg_temp.planned, pg_temp.found_one_by_one, pg_temp.compared;
    CREATE TEMP TABLE planned AS
    SELECT p.* FROM seats_internal.plain_plans((SELECT array_agg(h.id) FROM head AS h), pg_temp.run(), fresh_for) AS p;
    CREATE TEMP TABLE found_one_by_one AS
    SELECT h.id, f.* FROM head AS h CROSS JOIN LATERAL pg_temp.one_by_one(h.id, fresh_for) AS f;
    CREATE TEMP TABLE compared AS
    SELECT f AS one_by_one, p AS plainly, f.outcome, p.outcome AS plain_outcome,
           CASE WHEN p.call IS NULL THEN f.outcome <> 'read'
                ELSE p.outcome = f.outcome AND f.writes_nothing_else
                     AND (p.outcome = 'read' OR (p.body, p.base, p.target, p.last_uuid) = (f.body, f.base, f.target, f.last_uuid)
                            AND p.last_id IS NOT DISTINCT FROM f.last_id) END AS agrees
      FROM found_one_by_one AS f LEFT JOIN planned AS p ON p.call = f.id;
    RETURN QUERY
    SELECT coalesce(c.plain_outcome, 'left out'), bool_and(coalesce(c.agrees, false)), count(*) > 30
      FROM compared AS c GROUP BY 1 ORDER BY 1;
END
$$;
SELECT * FROM pg_temp.compare('1 hour');
-- (Where they differ, this says which, of which seed.)
\set ECHO none
SELECT 'seed ' || :seed, c.one_by_one, c.plainly FROM compared AS c WHERE c.agrees IS NOT TRUE;
\set ECHO all
-- Of all that can come of a change, something was there.
SELECT c.outcome FROM compared AS c WHERE c.outcome <> 'raises' GROUP BY 1 ORDER BY 1;
-- More seats and fewer are planned like that, billed by each rule, with nearly as many calls as may be sent.
SELECT regexp_replace(p.body, '=\d+&', '=n&') AS body FROM planned AS p WHERE p.body LIKE '%price_team%' GROUP BY 1 ORDER BY 1;
-- More of the same go in one call.
SELECT count(*) > 20 AS carry FROM planned AS p WHERE p.last_id IS NOT NULL;
SELECT count(*) > 5 AS of_others FROM planned AS p WHERE p.body NOT LIKE '%price_team%';
SELECT h.number FROM (SELECT h.team_id, count(*) AS number FROM seats_internal.outbox_history AS h GROUP BY 1) AS h
  JOIN seats_internal.outbox AS o ON o.team_id = h.team_id JOIN planned AS p ON p.call = o.id
 WHERE p.outcome = 'frozen' AND h.number IN (5, 10, 19) GROUP BY 1 ORDER BY 1;

-- A base that is trusted no time at all is good for whom it was read.
SELECT * FROM pg_temp.compare('-1 s');
\set ECHO none
SELECT 'seed ' || :seed, c.one_by_one, c.plainly FROM compared AS c WHERE c.agrees IS NOT TRUE;
\set ECHO all
-- When teams are to be counted anew, none is planned like that.
SELECT seats.define_seat_type('later', '{price_of_nothing}');
SELECT * FROM pg_temp.compare('1 hour');
\set ECHO none
SELECT 'seed ' || :seed, c.one_by_one, c.plainly FROM compared AS c WHERE c.agrees IS NOT TRUE;
ROLLBACK;
