-- What people are told: health pages only for what somebody can do something about, every hint leads to
-- the row, and whoever decides about seats is told whose and how many.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('owner', '{price_owner}');
SELECT count(seats.register_team(t, 'sub_' || t)) FROM unnest('{limited,unpaid,doubtful}'::text[]) AS t;
SELECT pg_temp.read(t, '{"price_team": 5, "price_owner": 1}') FROM unnest('{limited,unpaid,doubtful}'::text[]) AS t;
SELECT count(seats.add_member(t, 'olga', role => 'owner')) FROM unnest('{limited,unpaid,doubtful}'::text[]) AS t;
CREATE FUNCTION pg_temp.checks() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' | ', check_name, status, regexp_replace(message, 'is .* old$', 'is <time> old'), hint)
      FROM seats.health WHERE check_name IN ('oldest_call', 'reviews', 'seats', 'foreign_calls')
$$;
CREATE FUNCTION pg_temp.blocked() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' | ', lane, call, state, reason, round(extract(epoch FROM until - now()) / 3600) || ' h',
                     waiting_behind || ' behind', what_to_do)
      FROM seats.blocked_lanes ORDER BY lane
$$;

-- Stripe's limit for a subscription is used up until tomorrow; another team's customer has not paid yet.
SELECT change AS limited FROM seats.add_seats('limited', 'team', 1, 'olga') \gset
SELECT change AS behind FROM seats.add_seats('limited', 'team', 2, 'olga') \gset
SELECT change AS unpaid FROM seats.add_seats('unpaid', 'team', 3, 'olga') \gset
SELECT change AS behind_unpaid FROM seats.add_seats('unpaid', 'team', 1, 'olga') \gset
SELECT pg_temp.blocked();

-- A change that was not tried says what it waits for, where somebody has to do with that: a pause, a halt.
CREATE FUNCTION pg_temp.reasons() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', team, state, coalesce(regexp_replace(reason, '[0-9]+', 'N'), 'is next')), ', ' ORDER BY change)
      FROM seats.changes
$$;
SELECT pg_temp.reasons();
SELECT destination, name AS lane FROM seats_internal.lane WHERE name ~ 'sub_limited$' \gset
SELECT paused FROM seats.pause(:'destination', 'ticket 17', :'lane');
SELECT pg_temp.reasons();
SELECT paused FROM seats.resume(:'destination', 'ticket 17', :'lane');
UPDATE seats_internal.destination SET halted_at = now(), halted_reason = 'unauthorized' WHERE name = :'destination';
SELECT pg_temp.reasons();
SELECT paused FROM seats.pause(:'destination', 'ticket 17');
SELECT pg_temp.reasons();
SELECT paused FROM seats.resume(:'destination', 'ticket 17');

UPDATE seats_internal.outbox AS o
   SET created_at = now() - interval '3 hours', state_since = now() - interval '3 hours',
       due_at = CASE WHEN o.id = :limited THEN now() + interval '20 hours' END,
       reason = CASE WHEN o.id = :limited THEN 'stripes_limit_for_a_subscription'
                     WHEN o.id = :unpaid THEN 'awaiting_payment' END,
       state = CASE WHEN o.id = :unpaid THEN 'awaiting' ELSE 'pending' END::seats_internal.outbox_state,
       payment = CASE WHEN o.id = :unpaid THEN jsonb_build_object(
           'expires_at', now() + interval '20 hours', 'invoice', 'in_1', 'invoice_url', 'https://pay.example') END;
SELECT pg_temp.checks();
SELECT pg_temp.blocked();
-- (A busy machine takes a second or two for it.)
SELECT regexp_replace(pg_temp.plain(line), '03:00:0\d', '03:00:00') AS plain
  FROM regexp_split_to_table(seats.explain_call(:behind), '\n') AS line
 WHERE line ~ '^It changes|lane come first';

-- When its time has come, and nothing happens, somebody is told, and which call it is.
UPDATE seats_internal.outbox AS o SET due_at = now() - interval '1 hour' WHERE o.id = :limited;
SELECT pg_temp.checks();
-- Stripe lets a payment expire within a day: what waits for longer is stuck.
UPDATE seats_internal.outbox AS o SET state_since = now() - interval '2 days' WHERE o.id = :unpaid;
DELETE FROM seats_internal.outbox AS o WHERE o.id IN (:limited, :behind);
SELECT line FROM pg_temp.checks() AS line WHERE line ~ '^oldest_call';

-- A review is about somebody's seats: frozen, with all that its call carries; or not planned yet.
SELECT change AS head FROM seats.change_seats('doubtful', '{"team": {"add": 2}, "owner": {"add": 1}}', 'olga') \gset
SELECT seats.add_member('doubtful', 'anna', role => 'owner');
SELECT change AS carried FROM seats.add_seats('doubtful', 'team', 1, 'anna') \gset
SELECT pg_temp.freeze(:head);
SELECT seats_internal.review_change(:head, 'not_proven', 'nothing proves anything');
SELECT team, seats, actor, changes, call = :head AS is_head, decisions
  FROM seats.reviews;
SELECT pg_temp.plain(line)
  FROM regexp_split_to_table(seats.explain_call(:head), '\n') AS line WHERE line ~ '^It changes';
SELECT summary, detail ->> 'team' AS team, detail -> 'seats' AS seats
  FROM seats.alerts WHERE kind = 'review';
-- (The alert of an answer that cannot be stored, as the worker raises it; and of a call that is none of seats.)
SELECT seats_internal.raise_alert('settling:' || :unpaid, 'critical', 'settling_failed', 'Stripe has answered',
                                  call_id => :unpaid) > 0;
SELECT seats_internal.raise_alert('review:0', 'critical', 'review', 'call 0 needs a person', call_id => 0) > 0;
SELECT summary, detail FROM seats.alerts WHERE kind = 'settling_failed' OR call = 0 ORDER BY kind;
SELECT seats.resolve_review(:head, 'refuse', 'given up');
SELECT pg_temp.plain(line)
  FROM regexp_split_to_table(seats.explain_call(:head), '\n') AS line WHERE line ~ '^It changes';

-- Whose line it is that does not add up.
UPDATE seats_internal.seat_line AS s SET quantity = 9 FROM seats_internal.team AS t
 WHERE t.id = s.team_id AND t.name = 'doubtful' AND s.seat_type = 'owner';
SELECT line FROM pg_temp.checks() AS line WHERE line ~ '^seats';

-- ---- functions of the application's for the end of a call

CREATE FUNCTION public.regress_settled(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION public.regress_undo(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION pg_temp.untimed(words text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(pg_temp.plain(words), '\d\d:\d\d:\d\d', '<duration>', 'g')
$$;
CREATE FUNCTION pg_temp.handlers() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT pg_temp.untimed(concat_ws(' | ', status, message, hint)) FROM seats.health WHERE check_name = 'handlers'
$$;
CREATE FUNCTION pg_temp.explained(call bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(pg_temp.untimed(line), 'as role [^ ,:]+', 'as role <role>')
      FROM regexp_split_to_table(seats.explain_call(call), '\n') AS line
     WHERE line ~ '^(When it ends|Its handler|It has failed|  |Call \d+ has ended|What you can do|Nothing more)' OR line ~ 'handler'
$$;
SELECT seats.register_team('handled', 'sub_handled') > 0;
SELECT pg_temp.read('handled', '{"price_team": 5}');
SELECT change AS first FROM seats.add_seats('handled', 'team', 1, on_done => 'public.regress_settled',
                                            on_refused => 'public.regress_undo') \gset
SELECT change AS second FROM seats.add_seats('handled', 'team', 1, on_refused => 'public.regress_undo') \gset
SELECT change AS third FROM seats.add_seats('handled', 'team', 1, on_done => 'public.regress_settled') \gset
SELECT pg_temp.explained(:first);
SELECT pg_temp.explained(:second);
SELECT pg_temp.handlers();
SELECT state FROM seats.cancel_change(:first);
SELECT state FROM seats.cancel_change(:second);
-- Of the third there is nothing to be done if it is cancelled.
SELECT state FROM seats.cancel_change(:third);
SELECT pg_temp.explained(:third);
SELECT pg_temp.explained(:first);
SELECT pg_temp.explained(:second);
SELECT pg_temp.handlers();
-- A minute is too long, and whoever looks is told why.
UPDATE seats_internal.handler SET ended_at = ended_at - interval '2 minutes' WHERE call_id = :second;
SELECT pg_temp.handlers();
SELECT retry_ms > 0 FROM seats_internal.handler_failed(
    :first, 'P0001', 'no such coupon', E'It is SPRING.\nHINT: Make it anew.',
    E'PL/pgSQL function regress_undo(bigint,jsonb,jsonb) line 3 at RAISE\nSQL statement "SELECT …"', false);
UPDATE seats_internal.handler SET due_at = now() + interval '1 hour', ended_at = ended_at - interval '3 minutes'
 WHERE call_id = :first;
SELECT pg_temp.explained(:first);
SELECT pg_temp.explained(:second);
SELECT pg_temp.handlers();
SELECT name, labels ->> 'state' AS state, CASE WHEN name ~ 'seconds' THEN value > 100 ELSE value > 0 END AS has_some
  FROM seats.metrics WHERE name ~ '^pg_seats_handlers' AND value > 0 ORDER BY name, labels;
-- Then a person must decide.
SELECT seats_internal.review_handlers(ARRAY[:first], 'failed');
SELECT pg_temp.explained(:first);
-- The history may have forgotten the call.
SAVEPOINT remembered;
DELETE FROM seats_internal.outbox_history WHERE id = :first;
SELECT pg_temp.explained(:first);
ROLLBACK TO remembered;
SELECT pg_temp.explained(:second);
SELECT pg_temp.handlers();
DELETE FROM seats_internal.handler WHERE call_id IN (:first, :second);
SELECT pg_temp.explained(:first);
SELECT pg_temp.handlers();
ROLLBACK;
