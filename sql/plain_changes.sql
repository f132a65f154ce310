-- A change of seats in the plain case is made by the library, everything else in SQL: over random states both do
-- the same, and what one of them refuses, the other refuses with the same words.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
CREATE ROLE regress_seats_shop;
CREATE ROLE regress_seats_desk;
SELECT seats.grant_application('regress_seats_shop');
SELECT seats.grant_application('regress_seats_desk');
SELECT seats.grant_operator('regress_seats_desk');
GRANT ALL ON SCHEMA public TO regress_seats_shop, regress_seats_desk;
SELECT seats.define_seat_type('team', '{price_team}', 10);
SELECT seats.define_seat_type('owner', '{price_owner}', 5, 12, largest_unconfirmed => 6);
SELECT seats.define_seat_type('other', '{price_other}');
SELECT seats.register_team('acme', 'sub_1') \g /dev/null
SELECT seats.register_individual('ann', 'vip', 'sub_2') \g /dev/null
SELECT pg_temp.read('acme', '{"price_team": 5, "price_owner": 1}');
CREATE TEMP TABLE acme ON COMMIT DROP AS SELECT id, lane_id, items FROM seats_internal.team WHERE name = 'acme';

-- What a call leaves behind, and what it gives or raises; all of it is undone. Of ids and locks only what can be compared:
-- a new row is 0, and a lane is locked or not.
CREATE FUNCTION pg_temp.outcome(caller text, command text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    outcome  jsonb;
    gave     jsonb;
    state    text; message text; details text; hints text; rule text;
    before   bigint := (SELECT l.version FROM seats_internal.lane AS l JOIN acme AS a ON a.lane_id = l.id);
BEGIN
    IF caller IS NOT NULL THEN
        PERFORM set_config('role', caller, true);
    END IF;
    EXECUTE format('SELECT to_jsonb(c) FROM %s AS c', command) INTO gave;
    PERFORM set_config('role', 'none', true);
    SELECT jsonb_build_object(
               'gave', gave || jsonb_build_object('change', 0),
               'its own' , gave -> 'change' = to_jsonb((SELECT max(o.id) FROM seats_internal.outbox AS o)),
               'rows', (SELECT jsonb_agg(to_jsonb(o) || '{"id": 0, "uuid": 0}' ORDER BY o.id) FROM seats_internal.outbox AS o),
               'lines', (SELECT jsonb_agg(to_jsonb(l) ORDER BY l.team_id, l.seat_type) FROM seats_internal.seat_line AS l),
               'teams', (SELECT jsonb_agg(to_jsonb(t) ORDER BY t.id) FROM seats_internal.team AS t),
               'handlers', (SELECT jsonb_agg(to_jsonb(h) || '{"call_id": 0}') FROM seats_internal.handler AS h),
               'keys', (SELECT jsonb_agg(to_jsonb(k) || jsonb_build_object('result', k.result || '{"change": 0}')
                                         ORDER BY k.function_name, k.request_key)
                          FROM seats_internal.request_key AS k),
               'locked', (SELECT l.version > before FROM seats_internal.lane AS l JOIN acme AS a ON a.lane_id = l.id),
               'steps', (SELECT l.version - before FROM seats_internal.lane AS l JOIN acme AS a ON a.lane_id = l.id))
      INTO outcome;
    RAISE EXCEPTION 'undone' USING ERRCODE = 'ZZ001';
EXCEPTION
    WHEN SQLSTATE 'ZZ001' THEN
        RETURN outcome;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, details = PG_EXCEPTION_DETAIL,
            hints = PG_EXCEPTION_HINT, rule = CONSTRAINT_NAME;
        RETURN jsonb_build_object('raised', state, 'words', jsonb_build_array(message, details, hints, rule));
END
$$;

CREATE FUNCTION pg_temp.one_of(VARIADIC of_these text[]) RETURNS text LANGUAGE sql VOLATILE AS
    $$ SELECT of_these[1 + floor(random() * cardinality(of_these))::integer] $$;
-- Mostly the first.
CREATE FUNCTION pg_temp.mostly(VARIADIC of_these text[]) RETURNS text LANGUAGE sql VOLATILE AS
    $$ SELECT CASE WHEN random() < 0.9 THEN of_these[1] ELSE pg_temp.one_of(VARIADIC of_these) END $$;

-- A state of everything that a change looks at; mostly nothing is wrong with it.
CREATE FUNCTION pg_temp.draw_state() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    is_first boolean := random() < 0.15;
BEGIN
    DELETE FROM seats_internal.member;
    DELETE FROM seats_internal.invite;
    DELETE FROM seats_internal.request_key;
    DELETE FROM seats_internal.seat_line;
    DELETE FROM seats_internal.outbox;
    INSERT INTO seats_internal.member (team_id, user_id, role, status, ended_at)
    SELECT a.id, 'ada', pg_temp.mostly('owner', 'member'), s.status, CASE WHEN s.status <> 'active' THEN now() END
      FROM acme AS a, pg_temp.mostly('active', 'removed', 'cancelled') AS s (status);
    INSERT INTO seats_internal.member (team_id, user_id, role, status, seat_type, ended_at)
    SELECT a.id, 'user ' || g, 'member', s.status, pg_temp.mostly('team', 'owner'),
           CASE WHEN s.status <> 'active' THEN now() END
      FROM acme AS a, generate_series(1, floor(random() * 4)::integer) AS g, pg_temp.mostly('active', 'removed') AS s (status);
    INSERT INTO seats_internal.invite (team_id, address, seat_type, role, invited_by, token_hash, status, expires_at)
    SELECT a.id, 'x' || g, 'team', 'member', 'x', sha256(random()::text::bytea), pg_temp.mostly('open', 'expired'), now()
      FROM acme AS a, generate_series(1, floor(random() * 3)::integer) AS g;
    INSERT INTO seats_internal.seat_line (team_id, seat_type, quantity, confirmed, missing, held)
    SELECT a.id, t.name, CASE WHEN t.missing > 0 THEN 0 WHEN random() < 0.02 THEN 2147483640 ELSE floor(random() * 14) END,
           CASE WHEN random() < 0.05 OR is_first AND t.name = 'team' THEN 0 ELSE floor(random() * 14) END, t.missing, random() < 0.15
      FROM acme AS a,
           (SELECT n.name, pg_temp.mostly('0', '1', '3')::integer AS missing
              FROM (VALUES ('team'), ('owner')) AS n (name) WHERE random() < 0.9) AS t;
    UPDATE seats_internal.team AS t
       SET status = pg_temp.mostly('active', 'trialing', 'past_due', 'unpaid', 'incomplete', 'canceled', NULL),
           items = CASE WHEN is_first THEN jsonb_path_query_array(a.items, '$[*] ? (@.price != "price_team")')
                        WHEN random() < 0.95 THEN a.items END,
           -- (A line is held while its subscription cannot be counted.)
           count_problem = CASE WHEN EXISTS (SELECT FROM seats_internal.seat_line AS l WHERE l.held) THEN 'nobody knows the price'
                           ELSE pg_temp.mostly(NULL, 'nobody knows the price') END
      FROM acme AS a WHERE t.id = a.id;
    UPDATE seats_internal.seat_type AS s
       SET largest_change = pg_temp.mostly('10', '3')::integer,
           largest_total = pg_temp.mostly(NULL, '8', '12')::integer,
           largest_unconfirmed = pg_temp.mostly(NULL, '1', '4')::integer;
    -- (The first seats of a type: a price is needed, and there may be none that fits.)
    UPDATE seats_internal.stripe_price AS p SET currency = CASE WHEN is_first THEN pg_temp.one_of('usd', 'eur') ELSE 'usd' END;
    PERFORM set_config('pg_seats.person', pg_temp.mostly('', 'bea'), true);
END
$$;
-- The arguments of a call.
CREATE FUNCTION pg_temp.draw_arguments() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN format('%L, %L, %s, %L, %L, %s, %L, %L, %L::jsonb, %L',
        pg_temp.mostly('acme', 'nobody', 'ann', NULL), pg_temp.mostly('team', 'owner', 'other', 'unknown', NULL),
        coalesce(pg_temp.mostly((1 + floor(random() * 5))::text, '0', '-1', '11', '1000000', '1000001', NULL), 'NULL'),
        pg_temp.mostly('ada', 'bob', NULL, '', repeat('x', 300)),
        CASE WHEN random() < 0.3 THEN pg_temp.mostly('click', 'known', 'another', '', repeat('x', 255), repeat('x', 256)) END,
        coalesce(CASE WHEN random() < 0.1 THEN pg_temp.one_of(
            (SELECT l.quantity::text FROM seats_internal.seat_line AS l WHERE l.seat_type = 'team'), '3', '4') END, 'NULL'),
        CASE WHEN random() < 0.05 THEN 'public.noted' END, CASE WHEN random() < 0.02 THEN 'public.noted' END,
        CASE WHEN random() < 0.05 THEN '{"order": 1}' END, CASE WHEN random() < 0.02 THEN '{}' END);
END
$$;
-- The same of change_seats: mostly of one line.
CREATE FUNCTION pg_temp.draw_lines() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN format('%L, %L::jsonb, %L, %L, %L::jsonb, %s, NULL, NULL, NULL, NULL',
        pg_temp.mostly('acme', 'nobody', 'ann', NULL),
        pg_temp.mostly(
            format('{%s: {%s: %s}}', to_json(pg_temp.mostly('team', 'owner', 'other', 'unknown', '')),
                   to_json(pg_temp.one_of('add', 'remove', 'set', pg_temp.mostly('add', 'double', ''))),
                   pg_temp.mostly((1 + floor(random() * 5))::text, '0', '-1', '2.0', '1.5', '1e1', '1000001', '10000000000', '"3"',
                                  'null', '[2]', '{"add": 1}')),
            '{"team": {"add": 1}, "owner": {"add": 1}}', '{"team": {"add": 1, "set": 2}}', '{"team": {}}', '{"team": 3}', '{}', '[]',
            '[{"team": {"add": 1}}]', '"team"', NULL),
        pg_temp.mostly('ada', 'bob', NULL),
        CASE WHEN random() < 0.3 THEN pg_temp.mostly('click', 'known', '') END,
        CASE WHEN random() < 0.1 THEN pg_temp.one_of('{"team": 3}', '{"other": 3}', '{}') END,
        CASE WHEN random() < 0.03 THEN '1700000000' ELSE 'NULL' END);
END
$$;
CREATE FUNCTION pg_temp.compare(times integer, OUT same bigint, OUT other jsonb, OUT made bigint, OUT plain bigint,
                                OUT refused bigint, OUT words bigint) LANGUAGE plpgsql AS $$
DECLARE
    verb      text;
    caller    text;
    arguments text;
    as_plain  jsonb;
    as_sql    jsonb;
    codes     text[] := '{}';
BEGIN
    same := 0; made := 0; plain := 0; refused := 0;
    FOR number IN 1 .. times LOOP
        PERFORM pg_temp.draw_state();
        verb := pg_temp.one_of('add_seats', 'remove_seats', 'set_seats', 'change_seats');
        caller := pg_temp.mostly('regress_seats_shop', 'regress_seats_desk');
        arguments := CASE verb WHEN 'change_seats' THEN pg_temp.draw_lines() ELSE pg_temp.draw_arguments() END;
        -- Asked before: with the same arguments, or with others.
        IF arguments ~ '''(known|another)''' AND pg_temp.outcome(caller, format('seats.%s(%s)', verb, arguments)) ? 'gave' THEN
            EXECUTE format('SELECT FROM seats_internal.%s(%L, %s)', verb, caller,
                           replace(arguments, '''another''', '''known'''));
            arguments := replace(arguments, '''another''', '''known''');
            IF random() < 0.5 THEN
                arguments := regexp_replace(arguments, ', \d+,', ', 2,');
            END IF;
        END IF;
        as_plain := pg_temp.outcome(caller, format('seats.%s(%s)', verb, arguments));
        as_sql := pg_temp.outcome(NULL, format('seats_internal.%s(%L, %s)', verb, caller, arguments));
        IF as_plain - 'steps' = as_sql - 'steps' THEN
            same := same + 1;
        ELSIF other IS NULL THEN
            other := jsonb_build_object('verb', verb, 'arguments', arguments, 'plain', as_plain, 'sql', as_sql);
        END IF;
        IF as_sql ? 'gave' THEN
            made := made + 1;
            plain := plain + ((as_plain ->> 'steps') = '1')::integer;
        ELSE
            refused := refused + 1;
            codes := CASE WHEN codes @> ARRAY[as_sql ->> 'raised'] THEN codes ELSE codes || (as_sql ->> 'raised') END;
        END IF;
    END LOOP;
    words := cardinality(codes);
END
$$;
CREATE FUNCTION public.noted(bigint, jsonb, jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
SELECT setseed(0.14);
SELECT same, other, made > 300 AS many_made, plain > 200 AS many_plain, made - plain > 40 AS many_not, refused > 300 AS many_refused,
       words > 10 AS in_many_ways
  FROM pg_temp.compare(1500);
ROLLBACK;
