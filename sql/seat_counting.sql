-- Counting: what of a subscription's items is seats, and what happens when that cannot be said.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_month,price_legacy}');
SELECT seats.define_seat_type('owner', '{price_owner}');
SELECT pg_temp.recount();

-- A team of each case's own; and how it stands: seats, what is held, the problem.
CREATE FUNCTION pg_temp.team(name text, items jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM seats.register_team(name, 'sub_' || name);
    PERFORM pg_temp.read(name, team.items);
END
$$;
CREATE FUNCTION pg_temp.standing(name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT pg_temp.seats(name);
    RETURN QUERY SELECT 'held: ' || string_agg(s.seat_type, ', ' ORDER BY s.seat_type)
                   FROM seats_internal.seat_line AS s JOIN seats_internal.team AS t ON t.id = s.team_id
                  WHERE t.name = standing.name AND s.held HAVING count(*) > 0;
    RETURN QUERY SELECT DISTINCT 'problem: ' || t.problem FROM seats.teams AS t
                  WHERE t.team = standing.name AND t.problem IS NOT NULL;
END
$$;

-- Somebody moves the subscription to a new price (the item stays, or another one takes its place). Nobody
-- knows how many seats that is: the team keeps what it had, members, invites and all.
SELECT pg_temp.team('moved', '{"price_month": 5, "price_owner": 1}');
SELECT user_id FROM seats.add_member('moved', 'ada', 'team', 'owner');
SELECT token IS NOT NULL FROM seats.invite('moved', 'bo@example.com', 'team', actor => 'ada');
SELECT new_quantity FROM seats.remove_seats('moved', 'team', 2);
SELECT pg_temp.news() \g /dev/null
SELECT pg_temp.read('moved', '{"price_year": 5, "price_owner": 1}');
SELECT pg_temp.standing('moved');
SELECT pg_temp.news();
SELECT pg_temp.alerts();
SELECT detail, hint FROM seats_internal.alert WHERE kind = 'seats_not_counted';
SELECT status, message FROM seats.health WHERE check_name = 'uncounted_subscriptions';
SELECT status, count(*) FROM seats.invites WHERE team = 'moved' GROUP BY 1;
-- Nothing is bought; and of what is held nothing is given back. (Of what is counted as ever, it is.)
SELECT pg_temp.try($$SELECT seats.add_seats('moved', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.add_seats('moved', 'owner', 1)$$);
-- Nor is it told what that would cost.
SELECT pg_temp.try($$SELECT seats.preview_change('moved', '{"team": {"add": 1}}')$$);
SELECT pg_temp.try($$SELECT seats.remove_seats('moved', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.remove_seats('moved', 'owner', 1)$$);
-- What was asked for before that waits, visibly. (It is not undone, and nothing is guessed.)
SELECT pg_temp.freeze(min(o.id)) FROM seats_internal.outbox AS o WHERE o.kind = 'change';
SELECT seat_type, state, reason, due_at > clock_timestamp() FROM seats.changes WHERE team = 'moved' ORDER BY change;
-- The next read says the same: it stays so, and is told once. Only what is held is kept.
SELECT pg_temp.read('moved', '{"price_year": 6, "price_owner": 2}');
SELECT pg_temp.standing('moved');
SELECT pg_temp.news();
SELECT occurrences FROM seats_internal.alert WHERE kind = 'seats_not_counted';
-- A sweep takes it for no drift.
SELECT seats_internal.differences(t, pg_temp.facts('sub_moved', '{"price_year": 6, "price_owner": 2}'))
  FROM seats_internal.team AS t WHERE t.name = 'moved';
-- The type lists the price: counted, and what has waited is looked at now.
SELECT seats.define_seat_type('team', '{price_month,price_legacy,price_year}');
SELECT pg_temp.standing('moved');
SELECT pg_temp.recount();
SELECT pg_temp.standing('moved');
SELECT seat_type, state, due_at FROM seats.changes WHERE team = 'moved' ORDER BY change;
SELECT pg_temp.alerts();
SELECT status FROM seats.health WHERE check_name = 'uncounted_subscriptions';
SELECT pg_temp.freeze(min(o.id)) FROM seats_internal.outbox AS o WHERE o.kind = 'change';

-- Another item in the place of the one that is gone; the other line of the same type is left.
SELECT pg_temp.team('replaced', '{"price_month": 5, "price_legacy": 2}');
SELECT pg_temp.read('replaced', '{"price_new": 5, "price_legacy": 2}');
SELECT pg_temp.standing('replaced');
SELECT pg_temp.read('replaced', '{"price_new": 5, "price_legacy": 3}');
SELECT pg_temp.standing('replaced');
-- Somebody moves it back: it counts as ever.
SELECT pg_temp.read('replaced', '{"price_month": 4, "price_legacy": 3}');
SELECT pg_temp.standing('replaced');
SELECT pg_temp.alerts();
SELECT new_quantity FROM seats.add_seats('replaced', 'team', 1);

-- An add-on takes nobody's place: every line counts as ever, but nothing is bought until somebody says
-- that it is none of seats.
SELECT pg_temp.team('addon', '{"price_month": 5, "price_addon": 1}');
SELECT pg_temp.standing('addon');
SELECT pg_temp.try($$SELECT seats.add_seats('addon', 'team', 1)$$);
SELECT pg_temp.read('addon', '{"price_month": 4, "price_addon": 1}');
SELECT pg_temp.standing('addon');
SELECT pg_temp.try($$SELECT seats.ignore_prices('{}', 'it is an add-on')$$);
SELECT pg_temp.try($$SELECT seats.ignore_prices('{price_addon}', ' ')$$);
SELECT pg_temp.try($$SELECT seats.ignore_prices('{price_addon,price_month}', 'it is an add-on')$$);
SELECT pg_temp.try($$SELECT seats.ignore_prices('{price_addon,..}', 'it is an add-on')$$);
SELECT pg_temp.news() \g /dev/null
SELECT seats.ignore_prices('{price_addon}', 'it is an add-on');
SELECT pg_temp.recount();
SELECT pg_temp.standing('addon');
SELECT pg_temp.alerts();
SELECT new_quantity FROM seats.add_seats('addon', 'team', 1);
-- Taken back; or listed after all.
SELECT seats.ignore_prices('{price_addon}', 'not so', ignore => false);
SELECT pg_temp.recount();
SELECT pg_temp.standing('addon');
SELECT seats.ignore_prices('{price_addon}', 'it is an add-on');
SELECT seats.define_seat_type('extra', '{price_addon}');
SELECT pg_temp.recount();
SELECT pg_temp.standing('addon');
SELECT price FROM seats_internal.ignored_price;
SELECT pg_temp.news();

-- A price that a type no longer lists, though teams have it: the same.
SELECT seats.define_seat_type('owner', '{price_owner_new}');
SELECT pg_temp.recount();
SELECT pg_temp.standing('moved');
SELECT seats.define_seat_type('owner', '{price_owner_new,price_owner}');
SELECT pg_temp.recount();
SELECT pg_temp.standing('moved');

-- Our own call has been executed on an item that somebody had moved a moment before: what it has bought is
-- there.
SELECT pg_temp.team('crossed', '{"price_month": 5}');
SELECT change AS bought FROM seats.add_seats('crossed', 'team', 2) \gset
SELECT pg_temp.freeze(:bought);
SELECT pg_temp.settle(:bought, 'done', pg_temp.facts('sub_crossed', '{"price_newest": 7}'));
SELECT pg_temp.standing('crossed');
-- Registered with another subscription, it starts anew.
SELECT seats.register_team('crossed', 'sub_other') IS NOT NULL;
SELECT pg_temp.alerts();
SELECT pg_temp.read('crossed', '{"price_month": 3}');
SELECT pg_temp.standing('crossed');
-- And a subscription that is over has no such problem.
SELECT pg_temp.read('crossed', '{"price_newest": 3}');
SELECT pg_temp.standing('crossed');
SELECT pg_temp.read('crossed', '{"price_newest": 3}', '{"status": "canceled"}');
SELECT pg_temp.alerts();

-- Quantities that cannot be ones are no numbers of ours: below zero, too large alone or together, missing.
CREATE FUNCTION pg_temp.read_items(name text, items jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT pg_temp.read(name, '{}', jsonb_build_object('items', items))
$$;
SELECT pg_temp.team('odd', '{"price_month": 5, "price_owner": 1}');
SELECT pg_temp.read('odd', '{"price_month": -1, "price_owner": 2}');
SELECT pg_temp.standing('odd');
SELECT pg_temp.try($$SELECT seats.add_seats('odd', 'team', 1)$$);
SELECT pg_temp.read('odd', '{"price_month": 5, "price_owner": 2}');
SELECT pg_temp.standing('odd');
SELECT pg_temp.read('odd', '{"price_month": 3000000000, "price_owner": 2}');
SELECT pg_temp.standing('odd');
SELECT pg_temp.read('odd', '{"price_month": 600000000, "price_legacy": 600000000, "price_owner": 2}');
SELECT pg_temp.standing('odd');
SELECT pg_temp.read_items('odd', '[{"id": "si_1", "price": "price_month", "quantity": null, "metered": false},
    {"id": "si_2", "price": "price_owner", "quantity": 9223372036854775807, "metered": false}]');
SELECT pg_temp.standing('odd');
SELECT pg_temp.read_items('odd', '[{"id": "si_1", "price": "price_month", "quantity": 1000000000, "metered": false},
    {"id": "si_2", "price": "price_owner", "quantity": 0, "metered": false},
    {"id": "si_3", "price": "price_usage", "quantity": null, "metered": true}]');
SELECT pg_temp.standing('odd');
-- At the first read nothing is known of the line: there is none.
SELECT pg_temp.team('odd_at_first', '{"price_month": -3, "price_owner": 1}');
SELECT pg_temp.standing('odd_at_first');
-- Of an item with nothing it does not matter what it is.
SELECT pg_temp.read('odd_at_first', '{"price_month": 3, "price_owner": 1, "price_whatever": 0}');
SELECT pg_temp.standing('odd_at_first');
-- An item without a price is none that anybody has listed.
SELECT pg_temp.read_items('odd_at_first', '[{"id": "si_1", "price": null, "quantity": 1}]');
SELECT pg_temp.standing('odd_at_first');

-- Recounting: only the teams that have an affected price, whoever is locked is tried again. The others are
-- not touched.
CREATE TEMP TABLE versions AS SELECT l.id, l.version FROM seats_internal.lane AS l;
SELECT seats.define_seat_type('extra', '{price_addon}', 7);
SELECT count(*) FROM seats_internal.recount;
SELECT seats.define_seat_type('extra', '{price_addon2,price_addon}');
SELECT prices FROM seats_internal.recount;
SELECT seats.define_seat_type('extra', '{price_addon2}');
SELECT pg_temp.recount();
SELECT t.name FROM seats_internal.lane AS l JOIN versions AS v USING (id) JOIN seats_internal.team AS t ON t.lane_id = l.id
 WHERE l.version <> v.version;
SELECT count(*) FROM seats_internal.recount;
-- A change that is planned before the worker has come to its team is planned on the new count.
SELECT pg_temp.team('early', '{"price_month": 5, "price_extra": 3}');
SELECT seats.define_seat_type('extra', '{price_addon2,price_extra}');
SELECT change AS early FROM seats.remove_seats('early', 'team', 1) \gset
SELECT pg_temp.freeze(:early);
SELECT pg_temp.standing('early');
SELECT pg_temp.freeze(:early);
SELECT base, target FROM seats_internal.outbox WHERE id = :early;
SELECT pg_temp.recount();

-- A price is listed while a call is on its way, and once more before its event has come: what it has found and
-- asked for is counted otherwise, too, and nobody else has changed anything.
CREATE FUNCTION pg_temp.executed(call bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT pg_temp.facts('sub_relisted', '{"price_month": 6, "price_first": 3, "price_second": 2}')
           || jsonb_build_object('marker', concat_ws('-', o.uuid, o.uuid, o.generation))
      FROM seats_internal.outbox AS o WHERE o.id = call
$$;
CREATE FUNCTION pg_temp.event_of(call bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT seats_internal.match_expected_event(jsonb_build_object(
               'type', 'customer.subscription.updated', 'idempotency_key', e.idempotency_key, 'previous_items',
               pg_temp.facts('', '{"price_month": 5, "price_first": 3, "price_second": 2}') -> 'items'))
      FROM seats_internal.expected_event AS e WHERE e.call_id = call
$$;
SELECT seats.ignore_prices('{price_first,price_second}', 'not sold as seats') \g /dev/null
SELECT pg_temp.team('relisted', '{"price_month": 5, "price_first": 3, "price_second": 2}');
SELECT change AS relisted FROM seats.add_seats('relisted', 'team', 1) \gset
SELECT pg_temp.freeze(:relisted);
SELECT pg_temp.executed(:relisted) AS executed \gset
SELECT pg_temp.news() \g /dev/null
SAVEPOINT listed;
SELECT seats.define_seat_type('team', '{price_month,price_legacy,price_year,price_first}') \g /dev/null
-- (The worker settles the answer before it has come to the team with counting anew.)
SELECT cardinality(seats_internal.take_lanes(ARRAY[t.lane_id], NULL)) FROM seats_internal.team AS t WHERE t.name = 'relisted';
SELECT pg_temp.standing('relisted');
SELECT base, target FROM seats_internal.outbox WHERE id = :relisted;
SELECT pg_temp.settle(:relisted, 'done', :'executed');
SELECT seats.define_seat_type('team', '{price_month,price_legacy,price_year,price_first,price_second}') \g /dev/null
SELECT pg_temp.event_of(:relisted);
SELECT pg_temp.recount();
SELECT pg_temp.standing('relisted');
SELECT a FROM pg_temp.news() AS a WHERE a NOT LIKE 'seat_type.defined%';
SELECT base, target FROM seats_internal.expected_event WHERE call_id = :relisted;
SELECT pg_temp.event_of(:relisted);
SELECT count(*) FROM seats_internal.expected_event WHERE call_id = :relisted;
SELECT count(*) FROM seats_internal.alert WHERE kind = 'outside_change_overwritten';
-- A person says that it was executed: nothing of what was counted meanwhile is lost.
ROLLBACK TO listed;
SELECT seats.define_seat_type('team', '{price_month,price_legacy,price_year,price_first}') \g /dev/null
SELECT pg_temp.recount();
UPDATE seats_internal.outbox SET state = 'review', doubt = true, first_sent_at = now() WHERE id = :relisted;
SELECT state FROM seats.resolve_review(:relisted, 'executed', 'seen in the Dashboard');
SELECT pg_temp.standing('relisted');

-- A price goes to another seat type while a call is on its way: the seats that are being bought, or given back, are of that
-- one now, and nobody else has changed anything.
ROLLBACK TO listed;
SELECT seats.define_seat_type('extra', '{price_extra}') \g /dev/null
SELECT pg_temp.recount();
SELECT pg_temp.team('handed_on', '{"price_month": 5, "price_owner_new": 2}');
SELECT pg_temp.team('handed_back', '{"price_month": 5, "price_legacy": 2}');
SELECT change AS handed_on FROM seats.add_seats('handed_on', 'team', 3) \gset
SELECT change AS handed_back FROM seats.remove_seats('handed_back', 'team', 4) \gset
SELECT pg_temp.freeze(c), pg_temp.asked(c) FROM unnest(ARRAY[:handed_on, :handed_back]) AS c;
UPDATE seats_internal.outbox SET state = 'sending' WHERE id = ANY (ARRAY[:handed_on, :handed_back]);
SELECT pg_temp.news() \g /dev/null
SELECT seats.define_seat_type('team', '{price_year,price_legacy}') \g /dev/null
SELECT seats.define_seat_type('extra', '{price_extra,price_month}') \g /dev/null
SELECT pg_temp.recount();
SELECT base, target FROM seats_internal.outbox WHERE id = ANY (ARRAY[:handed_on, :handed_back]) ORDER BY id;
SELECT pg_temp.settle(:handed_on, 'done', pg_temp.facts('sub_handed_on', '{"price_month": 8, "price_owner_new": 2}')
       || jsonb_build_object('marker', concat_ws('-', o.uuid, o.uuid, o.generation)))
  FROM seats_internal.outbox AS o WHERE o.id = :handed_on;
SELECT pg_temp.settle(:handed_back, 'done', pg_temp.facts('sub_handed_back', '{"price_month": 3}')
       || jsonb_build_object('marker', concat_ws('-', o.uuid, o.uuid, o.generation)))
  FROM seats_internal.outbox AS o WHERE o.id = :handed_back;
SELECT pg_temp.seats('handed_on'), pg_temp.seats('handed_back');
SELECT a FROM pg_temp.news() AS a WHERE a NOT LIKE 'seat_type.defined%';
ROLLBACK TO listed;

-- However many prices there are, those of the items are looked up.
INSERT INTO seats_internal.seat_price (price, seat_type, position)
SELECT 'price_' || g, 'extra', g FROM generate_series(10, 5000) AS g;
SELECT seq_tup_read AS before FROM pg_stat_xact_all_tables WHERE relid = 'seats_internal.seat_price'::regclass \gset
SELECT seats_internal.count_items('[{"price": "price_month", "quantity": 2}, {"price": "price_4000", "quantity": 1}]');
SELECT seq_tup_read - :before AS read FROM pg_stat_xact_all_tables WHERE relid = 'seats_internal.seat_price'::regclass;

-- How many unconfirmed seats a team may have.
SELECT pg_temp.try($$SELECT seats.define_seat_type('team', '{price_month}', largest_unconfirmed => 0)$$);
SELECT seats.define_seat_type('team', '{price_month,price_legacy,price_year}', largest_unconfirmed => 10);
SELECT pg_temp.team('trusted', '{"price_month": 5}');
SELECT new_quantity FROM seats.add_seats('trusted', 'team', 8);
SELECT pg_temp.try($$SELECT seats.add_seats('trusted', 'team', 3)$$);
SELECT new_quantity FROM seats.add_seats('trusted', 'team', 2);
UPDATE seats_internal.outbox AS o SET due_at = clock_timestamp() + interval '1 hour', reason = 'stripes_limit_for_a_subscription'
  FROM seats_internal.team AS t WHERE t.name = 'trusted' AND o.lane_id = t.lane_id
   AND o.id = (SELECT min(h.id) FROM seats_internal.outbox AS h WHERE h.lane_id = t.lane_id);
SELECT pg_temp.try($$SELECT seats.change_seats('trusted', '{"team": {"add": 1}, "owner": {"add": 1}}')$$);
SELECT pg_temp.try($$SELECT seats.set_seats('trusted', 'team', 16)$$);
SELECT quantity, state, reason LIKE 'stripes%' AS limited, due_at > clock_timestamp() + interval '50 minutes' AS later
  FROM seats.changes WHERE team = 'trusted' ORDER BY change;
-- What is given back may always be. Confirmed, there is room again.
SELECT new_quantity FROM seats.remove_seats('trusted', 'team', 4);
SELECT new_quantity FROM seats.add_seats('trusted', 'team', 4);
-- (Whoever takes it back that they are given back has them again, and they are none that Stripe has confirmed.)
SELECT change AS given_back FROM seats.remove_seats('trusted', 'team', 3) \gset
SELECT seats.cancel_change(:given_back);
SELECT change AS given_back FROM seats.remove_seats('trusted', 'team', 3) \gset
SELECT new_quantity FROM seats.add_seats('trusted', 'team', 2);
SELECT pg_temp.try(format('SELECT seats.cancel_change(%s)', :given_back));
SELECT largest_unconfirmed FROM seats.seat_types WHERE seat_type = 'team';

-- A purchase that was asked for before waits, too, whatever type it is of: what stands there unlisted may be that.
SELECT pg_temp.team('bought', '{"price_month": 5, "price_owner": 1}');
SELECT change AS bought FROM seats.add_seats('bought', 'owner', 1) \gset
SELECT pg_temp.read('bought', '{"price_new": 5, "price_owner": 1}');
SELECT pg_temp.standing('bought');
SELECT pg_temp.freeze(:bought);
SELECT state, reason FROM seats.changes WHERE change = :bought;
SELECT seats.cancel_change(:bought) \g /dev/null
SELECT pg_temp.read('bought', '{"price_month": 5, "price_owner": 1}');

SELECT status, message FROM seats.health WHERE check_name = 'seats';
ROLLBACK;
