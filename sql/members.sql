-- Members: who belongs to a team, who sits on which seat, and what the journal tells of it.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('guest', '{price_guest}');
SELECT seats.register_team('acme', 'sub_1') AS read \gset

-- Whoever uses no seat may be a member before the subscription was read; so the first owner can be made.
SELECT pg_temp.news() \g /dev/null
SELECT seats.add_member('acme', 'olga', role => 'owner');
SELECT pg_temp.try($$SELECT seats.add_member('acme', 'ann', 'team')$$);
SELECT pg_temp.read('acme', '{"price_team": 2}');

-- On free seats, as long as there are any. A seat that is not confirmed yet is one, too.
SELECT seats.add_member('acme', 'ann', 'team', external_id => 'U024BE7LH');
SELECT seats.add_member('acme', 'bob', 'team');
SELECT pg_temp.try($$SELECT seats.add_member('acme', 'cy', 'team')$$);
SELECT pg_temp.try($$SELECT seats.add_member('acme', 'cy', 'guest')$$);
SELECT new_quantity FROM seats.add_seats('acme', 'team', 1);
SELECT seats.add_member('acme', 'cy', 'team', 'owner');
SELECT user_id, seat_type, role, status, external_id, ended_at FROM seats.members ORDER BY user_id;
SELECT seat_type, quantity, used, free FROM seats.teams;
SELECT pg_temp.news();

-- What is refused.
SELECT pg_temp.try(format('SELECT seats.%s', call))
  FROM (VALUES (1, $$add_member('nobody', 'dan')$$),
               (2, $$add_member(NULL, 'dan')$$),
               (3, $$add_member('acme', NULL)$$),
               (4, $$add_member('acme', E' \t')$$),
               (5, $$add_member('acme', repeat('x', 256))$$),
               (6, $$add_member('acme', 'dan', role => 'admin')$$),
               (7, $$add_member('acme', 'dan', role => NULL)$$),
               (8, $$add_member('acme', 'dan', 'unknown')$$),
               (9, $$add_member('acme', 'ann', 'team')$$),
               (10, $$add_member('acme', 'ann')$$),
               (11, $$remove_member('acme', 'dan')$$),
               (12, $$remove_member('acme', NULL)$$),
               (13, $$remove_member('nobody', 'ann')$$)) AS t (number, call)
 ORDER BY number;
SELECT count(*) FROM seats.members;
-- Who is there already stays as he is, if that is all right with the caller; whoever is not is added.
SELECT * FROM seats.add_member('acme', 'ann', 'guest', 'owner', 'other', if_absent => true);
SAVEPOINT absent;
SELECT * FROM seats.add_member('acme', 'dan', external_id => 'D1', if_absent => true);
ROLLBACK TO absent;

-- Removed: the seat is free again, and the journal says what the application has to take away.
SELECT pg_temp.news() \g /dev/null
SELECT seats.remove_member('acme', 'ann', 'has left the company');
SELECT pg_temp.news();
SELECT seat_type, quantity, used, free FROM seats.teams;
SELECT user_id, status, ended_at IS NOT NULL FROM seats.members WHERE user_id = 'ann';
SELECT pg_temp.try($$SELECT seats.remove_member('acme', 'ann')$$);
-- The seat is not given back by that: somebody else may sit on it, ann herself for one.
SELECT seats.add_member('acme', 'ann', 'team');
SELECT user_id, status FROM seats.members WHERE user_id = 'ann' ORDER BY status;
SELECT seats.remove_member('acme', 'olga');
SELECT seats.remove_member('acme', 'ann');

-- Changed without leaving: nobody is kicked out of a chat for another role. What is not said stays.
SELECT pg_temp.news() \g /dev/null
SAVEPOINT change;
SELECT * FROM seats.change_member('acme', 'bob', role => 'owner', external_id => 'U777');
SELECT * FROM seats.change_member('acme', 'bob', role => 'owner');
SELECT * FROM seats.change_member('acme', 'bob', seat_type => '', external_id => '');
SELECT pg_temp.news();
SELECT seat_type, quantity, used, free FROM seats.teams;
SELECT * FROM seats.change_member('acme', 'bob', seat_type => 'team');
-- The new seat must be free; the one that he leaves is, for the next invite.
SELECT pg_temp.try(format('SELECT seats.change_member(%s)', arguments))
  FROM (VALUES (1, $$'acme', 'bob', seat_type => 'guest'$$), (2, $$'acme', 'bob', seat_type => 'unknown'$$),
               (3, $$'acme', 'bob', role => 'admin'$$), (4, $$'acme', 'nobody', role => 'owner'$$),
               (5, $$'nobody', 'bob'$$)) AS t (number, arguments) ORDER BY number;
ROLLBACK TO change;

-- The last owner does not go by mistake, nor becomes a mere member.
SELECT user_id, role FROM seats.members WHERE team = 'acme' AND status = 'active' ORDER BY user_id;
SELECT pg_temp.try($$SELECT seats.remove_member('acme', 'cy')$$);
SELECT pg_temp.try($$SELECT seats.change_member('acme', 'cy', role => 'member')$$);
SELECT role, changed FROM seats.change_member('acme', 'cy', external_id => 'C1');
SELECT role, changed FROM seats.change_member('acme', 'cy', role => 'member', last_owner => true);
SELECT role FROM seats.change_member('acme', 'cy', role => 'owner');
SELECT status FROM seats.remove_member('acme', 'cy', 'the company is wound up', last_owner => true);
ROLLBACK TO change;
SELECT new_quantity FROM seats.remove_seats('acme', 'team', 1);
SELECT pg_temp.try($$SELECT seats.remove_seats('acme', 'team', 1)$$);

-- The same person may belong to several teams.
SELECT seats.register_team('beta', 'sub_2') AS read \gset
SELECT seats.add_member('beta', 'bob', role => 'owner');
SELECT team, role FROM seats.members WHERE user_id = 'bob' ORDER BY team;

-- Nobody joins a team whose subscription is over.
SELECT pg_temp.read('beta', '{"price_team": 2}', '{"status": "canceled"}');
SELECT pg_temp.try($$SELECT seats.add_member('beta', 'eve', 'team')$$);
SELECT pg_temp.try($$SELECT seats.add_member('beta', 'eve')$$);
SELECT user_id, status FROM seats.members WHERE team = 'beta';

-- A rolled back member has never been.
SAVEPOINT before_member;
SELECT seats.remove_member('acme', 'bob');
SELECT seats.add_member('acme', 'zoe', 'team');
ROLLBACK TO SAVEPOINT before_member;
SELECT user_id FROM seats.members WHERE team = 'acme' AND status = 'active' ORDER BY user_id;
ROLLBACK;
