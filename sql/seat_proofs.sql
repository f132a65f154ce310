-- Proof: whoever proves that a call of seat changes was executed, or was not, the same follows from it.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('owner', '{price_owner}');
CREATE FUNCTION pg_temp.team(name text, items jsonb, more jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM seats.register_team(name, 'sub_' || name);
    PERFORM pg_temp.read(name, team.items, more);
    PERFORM pg_temp.news();
END
$$;
CREATE FUNCTION pg_temp.marker(first bigint, last bigint, generation integer DEFAULT 1) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('marker', concat_ws('-', f.uuid, l.uuid, marker.generation))
      FROM seats_internal.outbox AS f, seats_internal.outbox AS l WHERE f.id = first AND l.id = last
$$;
-- As the worker leaves it: sent, and no answer has come; or proven not to be executed.
CREATE FUNCTION pg_temp.in_doubt(change bigint, state text DEFAULT 'waiting') RETURNS void LANGUAGE sql AS $$
    UPDATE seats_internal.outbox AS o
       SET state = in_doubt.state::seats_internal.outbox_state, doubt = true, first_sent_at = clock_timestamp()
     WHERE o.id = change
$$;
CREATE FUNCTION pg_temp.not_executed(change bigint, facts jsonb DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE seats_internal.outbox AS o
       SET state = 'pending', doubt = false, first_sent_at = NULL, generation = o.generation + 1,
           reason = 'proven_not_executed'
     WHERE o.id = change;
    PERFORM seats_internal.dissolve_calls(ARRAY[change], '{}', ARRAY[facts::text], ARRAY[clock_timestamp()],
                                          pg_temp.run());
END
$$;

-- A removal is in doubt, and somebody lowers the quantity at Stripe: there are not enough seats for it, and
-- nobody can tell yet. Once it is proven not to be executed it is void.
SELECT pg_temp.team('impossible', '{"price_team": 5}');
SELECT change AS a FROM seats.remove_seats('impossible', 'team', 3) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.read('impossible', '{"price_team": 1}');
SELECT pg_temp.seats('impossible'), s.missing
  FROM seats_internal.seat_line AS s JOIN seats_internal.team AS t ON t.id = s.team_id AND t.name = 'impossible';
SELECT pg_temp.changes('impossible');
SELECT pg_temp.not_executed(:a);
SELECT pg_temp.changes('impossible');
SELECT pg_temp.seats('impossible');
-- So it is when a person says so.
SELECT pg_temp.team('review', '{"price_team": 5}');
SELECT change AS a FROM seats.remove_seats('review', 'team', 3) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a, 'review');
SELECT pg_temp.read('review', '{"price_team": 1}');
SELECT seats.resolve_review(:a, 'not_executed', 'not to be seen in the Dashboard') \g /dev/null
SELECT pg_temp.changes('review');
SELECT pg_temp.seats('review');
-- Wherever else one stands that is impossible, pending and free of doubt, it is taken back when it is looked
-- at: by the read before its call, and by whoever plans the call.
SELECT pg_temp.team('late', '{"price_team": 5}');
SELECT change AS a FROM seats.remove_seats('late', 'team', 3) \gset
SELECT pg_temp.in_doubt(:a, 'pending');
SELECT pg_temp.read('late', '{"price_team": 1}');
UPDATE seats_internal.outbox SET doubt = false WHERE id = :a;
SELECT seats_internal.read_settled(t.id, pg_temp.facts(t.subscription, '{"price_team": 1}'), clock_timestamp(),
                                  pg_temp.run()) FROM seats_internal.team AS t WHERE t.name = 'late';
SELECT pg_temp.changes('late');
SELECT pg_temp.seats('late');
SELECT pg_temp.team('planned', '{"price_team": 5}');
SELECT change AS a FROM seats.remove_seats('planned', 'team', 1) \gset
SELECT change AS b FROM seats.remove_seats('planned', 'team', 2) \gset
UPDATE seats_internal.seat_line AS s SET confirmed = 2
  FROM seats_internal.team AS t WHERE t.id = s.team_id AND t.name = 'planned';
SELECT pg_temp.freeze(:a);
SELECT base, target, last_id FROM seats_internal.outbox WHERE id = :a;
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_planned', '{"price_team": 1}'));
SELECT pg_temp.read('planned', '{"price_team": 1}');
SELECT pg_temp.changes('planned');
SELECT pg_temp.team('alone', '{"price_team": 5}');
SELECT change AS a FROM seats.remove_seats('alone', 'team', 2) \gset
UPDATE seats_internal.seat_line AS s SET confirmed = 1
  FROM seats_internal.team AS t WHERE t.id = s.team_id AND t.name = 'alone';
SELECT pg_temp.freeze(:a);
SELECT pg_temp.changes('alone');
SELECT pg_temp.seats('alone');
-- One that we may have forgotten to have sent is a person's to decide.
SELECT change AS a FROM seats.remove_seats('alone', 'team', 1) \gset
SELECT pg_temp.in_doubt(:a, 'pending');
SELECT pg_temp.read('alone', '{"price_team": 0}');
SELECT pg_temp.freeze(:a);
SELECT pg_temp.changes('alone');
SELECT pg_temp.alerts();

-- The answer is lost, and a read that somebody else has asked for shows our marker: the change is settled as
-- by its answer. Its event is waited for, and tells what somebody had changed before it.
CREATE FUNCTION pg_temp.event(marker jsonb, previous jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'type', 'customer.subscription.updated',
        'idempotency_key', format('11111111-2222-4333-8444-555555555555-%s-%s', left(marker ->> 'marker', 36),
                                  substr(marker ->> 'marker', 75)),
        'previous_items', pg_temp.facts('', previous) -> 'items')
$$;
SELECT pg_temp.alerts() \g /dev/null
SELECT seats.acknowledge(id, 'seen') FROM seats_internal.alert \g /dev/null
SELECT pg_temp.team('lost', '{"price_team": 5, "price_owner": 1}');
SELECT change AS a FROM seats.add_seats('lost', 'team', 1) \gset
SELECT change AS b FROM seats.add_seats('lost', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :b) AS marker \gset
SELECT pg_temp.read('lost', '{"price_team": 7, "price_owner": 1}', :'marker');
SELECT pg_temp.changes('lost');
SELECT pg_temp.seats('lost');
SELECT pg_temp.news();
SELECT call_id = :a AS of_it, base, target FROM seats_internal.expected_event;
SELECT seats_internal.match_expected_event(pg_temp.event(:'marker', '{"price_team": 9, "price_owner": 1}'));
SELECT pg_temp.plain(summary) FROM seats_internal.alert WHERE kind = 'outside_change_overwritten';
-- The quantities are what the call asked for, even if what was read before it was executed was taken over:
-- nobody else has changed them since.
SELECT change AS a FROM seats.add_seats('lost', 'team', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :a) AS marker \gset
SELECT pg_temp.read('lost', '{"price_team": 12, "price_owner": 1}');
SELECT pg_temp.news() \g /dev/null
SELECT pg_temp.read('lost', '{"price_team": 9, "price_owner": 1}', :'marker');
SELECT pg_temp.seats('lost');
SELECT pg_temp.news();
SELECT seats_internal.match_expected_event(pg_temp.event(:'marker', '{"price_team": 12, "price_owner": 1}'));
SELECT pg_temp.plain(summary) FROM seats_internal.alert WHERE kind = 'outside_change_overwritten' ORDER BY id DESC LIMIT 1;
-- A call that was given up for another one, or another run of changes than the one that was frozen: what it
-- was computed on is not known any more.
SELECT change AS a FROM seats.add_seats('lost', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :a) AS marker \gset
UPDATE seats_internal.outbox SET generation = 2 WHERE id = :a;
SELECT pg_temp.read('lost', '{"price_team": 10, "price_owner": 1}', :'marker');
SELECT change AS a FROM seats.add_seats('lost', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT change AS b FROM seats.add_seats('lost', 'team', 1) \gset
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :b) AS marker \gset
SELECT pg_temp.read('lost', '{"price_team": 12, "price_owner": 1}', :'marker');
SELECT pg_temp.changes('lost');
SELECT pg_temp.seats('lost');
SELECT count(*) FROM seats_internal.expected_event;
-- Executed and not paid for: a person is told, as by the answer.
SELECT change AS a FROM seats.add_seats('lost', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :a) AS marker \gset
SELECT pg_temp.read('lost', '{"price_team": 13, "price_owner": 1}', :'marker' || jsonb_build_object(
    'status', 'past_due', 'invoice', '{"id": "in_1", "status": "open", "url": "https://pay.example/in_1"}'::jsonb));
SELECT summary FROM seats_internal.alert WHERE kind = 'confirmed_unpaid';
-- Of changes that were refused together, one call less is left.
SELECT pg_temp.team('divided', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('divided', 'team', 1) \gset
SELECT change AS b FROM seats.add_seats('divided', 'team', 1) \gset
SELECT change AS c FROM seats.add_seats('divided', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT seats_internal.dissolve_calls(ARRAY[:a], ARRAY[:a]);
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :a) AS marker \gset
SELECT splits_left FROM seats_internal.outbox WHERE id IN (:b, :c);
SELECT pg_temp.read('divided', '{"price_team": 6}', :'marker');
SELECT splits_left FROM seats_internal.outbox WHERE id IN (:b, :c);
SELECT pg_temp.changes('divided');

-- Our next change's marker stands there already when the answer to this one is replayed (a failover has
-- forgotten both): all of it is ours, and nobody else has changed anything.
SELECT pg_temp.team('replayed', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('replayed', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT change AS b FROM seats.add_seats('replayed', 'team', 2) \gset
SELECT pg_temp.marker(:b, :b) AS marker \gset
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_replayed', '{"price_team": 8}', :'marker'));
SELECT pg_temp.changes('replayed');
SELECT pg_temp.seats('replayed');
SELECT pg_temp.news();
-- What somebody has changed since is told of, with what we thought it would be.
SELECT change AS a FROM seats.add_seats('replayed', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT change AS b FROM seats.add_seats('replayed', 'team', 2) \gset
SELECT pg_temp.marker(:b, :b) AS marker \gset
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_replayed', '{"price_team": 14}', :'marker'));
SELECT pg_temp.seats('replayed');
SELECT pg_temp.news();

-- Somebody changes a line that our call does not touch, and a read takes that over before the call's outcome is
-- known: it is told of by the read, and not again by whatever proves the call (a replay, our marker, a person).
SELECT pg_temp.team('untouched', '{"price_team": 5, "price_owner": 3}');
SELECT change AS a FROM seats.add_seats('untouched', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :a) AS marker \gset
SELECT pg_temp.read('untouched', '{"price_team": 5, "price_owner": 13}');
SELECT pg_temp.news();
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_untouched', '{"price_team": 6, "price_owner": 13}', :'marker'));
SELECT pg_temp.news();
SELECT change AS a FROM seats.add_seats('untouched', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :a) AS marker \gset
SELECT pg_temp.read('untouched', '{"price_team": 6, "price_owner": 9}');
SELECT pg_temp.news();
SELECT pg_temp.read('untouched', '{"price_team": 7, "price_owner": 9}', :'marker');
SELECT pg_temp.news();
SELECT change AS a FROM seats.add_seats('untouched', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a, 'review');
SELECT pg_temp.marker(:a, :a) AS marker \gset
SELECT pg_temp.read('untouched', '{"price_team": 7, "price_owner": 4}');
SELECT pg_temp.news();
SELECT seats.resolve_review(:a, 'executed', 'to be seen in the Dashboard') \g /dev/null
SELECT pg_temp.seats('untouched');
SELECT pg_temp.read('untouched', '{"price_team": 8, "price_owner": 4}', :'marker');
SELECT pg_temp.news();
-- A line that it does touch is what it asked for, whatever was read before; what is otherwise is told of.
SELECT change AS a FROM seats.add_seats('untouched', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.marker(:a, :a) AS marker \gset
SELECT pg_temp.read('untouched', '{"price_team": 20, "price_owner": 4}');
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_untouched', '{"price_team": 9, "price_owner": 5}', :'marker'));
SELECT pg_temp.news();
SELECT pg_temp.seats('untouched');

-- Proven not to be executed by a read that shows something new: that is what the next try is computed on.
SELECT pg_temp.team('newer', '{"price_team": 5}');
SELECT change AS a FROM seats.add_seats('newer', 'team', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.not_executed(:a, pg_temp.facts('sub_newer', '{"price_team": 9}'));
SELECT pg_temp.seats('newer');
SELECT pg_temp.news();
SELECT pg_temp.freeze(:a);
SELECT base, target FROM seats_internal.outbox WHERE id = :a;
-- And what has become impossible by it is not tried again; what the former base would not have allowed is.
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_newer', '{"price_team": 11}'));
SELECT change AS a FROM seats.remove_seats('newer', 'team', 4) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.read('newer', '{"price_team": 1}');
SELECT pg_temp.seats('newer');
SELECT pg_temp.not_executed(:a, pg_temp.facts('sub_newer', '{"price_team": 6}'));
SELECT pg_temp.changes('newer');
SELECT pg_temp.seats('newer');
-- Where not all items were in that answer, the next try reads first.
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.not_executed(:a);
SELECT pg_temp.freeze(:a);

-- Below zero: whoever removes more, or sets what may turn out to be less than is in use, is refused; whoever
-- adds is not.
SELECT pg_temp.team('below', '{"price_team": 5}');
SELECT seats.add_member('below', user_id, 'team') FROM unnest('{ann,bob}'::text[]) AS user_id \g /dev/null
SELECT change AS a FROM seats.remove_seats('below', 'team', 3) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.in_doubt(:a);
SELECT pg_temp.read('below', '{"price_team": 1}');
SELECT pg_temp.seats('below'), s.missing
  FROM seats_internal.seat_line AS s JOIN seats_internal.team AS t ON t.id = s.team_id AND t.name = 'below';
SELECT pg_temp.try($$SELECT seats.remove_seats('below', 'team', 7)$$);
SELECT pg_temp.try($$SELECT seats.set_seats('below', 'team', 1)$$);
SELECT pg_temp.try($$SELECT seats.add_seats('below', 'team', 51)$$);
SELECT previous_quantity, new_quantity FROM seats.add_seats('below', 'team', 1);
SELECT previous_quantity, new_quantity FROM seats.set_seats('below', 'team', 2);
SELECT pg_temp.changes('below');

-- Seats that rise and seats that fall in one call: where only one of the two is prorated, it would credit
-- in full what is to be kept until the end of the period.
SELECT seats.define_seat_type('kept', '{price_kept}', decrease_proration_behavior => 'none') \g /dev/null
SELECT seats.define_seat_type('too', '{price_too}', decrease_proration_behavior => 'none') \g /dev/null
SELECT pg_temp.team('mixed', '{"price_kept": 5, "price_too": 5}');
SELECT pg_temp.try($$SELECT seats.change_seats('mixed', '{"kept": {"add": 2}, "too": {"remove": 1}}')$$);
SELECT pg_temp.try($$SELECT seats.change_seats('mixed', '{"kept": {"set": 7}, "too": {"set": 4}}')$$);
SELECT pg_temp.seats('mixed');
SELECT change AS a FROM seats.change_seats('mixed', '{"kept": {"remove": 1}, "too": {"remove": 1}}') \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.asked(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_mixed', '{"price_kept": 4, "price_too": 4}'));
-- What types are set to may have become another direction when its turn comes: then it is reverted, and it
-- goes along with nobody.
SELECT change AS a FROM seats.add_seats('mixed', 'kept', 1) \gset
SELECT change AS b FROM seats.change_seats('mixed', '{"kept": {"set": 7}, "too": {"set": 6}}') \gset
SELECT pg_temp.read('mixed', '{"price_kept": 4, "price_too": 8}');
SELECT pg_temp.freeze(:a);
SELECT pg_temp.asked(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_mixed', '{"price_kept": 5, "price_too": 8}'));
SELECT pg_temp.freeze(:b);
SELECT pg_temp.changes('mixed');
SELECT pg_temp.seats('mixed');

-- Every quantity is what the fold makes of it, after all of this.
SELECT status, message FROM seats.health WHERE check_name = 'seats';
ROLLBACK;
