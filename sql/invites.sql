-- Members and invites: who may, what is refused and with which words, whose seat is proven, and what
-- becomes of everybody when seats are lost or the subscription ends.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
RESET client_min_messages;
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET intervalstyle = 'postgres';
\pset format unaligned
\pset tuples_only on
\pset null '-'

CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; details text; hints text;
BEGIN
    EXECUTE command;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        details = PG_EXCEPTION_DETAIL, hints = PG_EXCEPTION_HINT;
    RETURN regexp_replace(concat_ws(E'\n  ', state || ': ' || message, nullif(details, ''),
                                    nullif(hints, '')),
                          '20\d\d-\d\d-\d\d [0-9:.+-]+( \w+)?', '(time)', 'g');
END
$$;

-- In transactions that are rolled back: no worker ever sees any of it.
BEGIN;
DELETE FROM seats_internal.installation;
INSERT INTO seats_internal.installation (uuid, timeline, created_by)
VALUES ('11111111-2222-4333-8444-555555555555', 1, 'regress');
INSERT INTO seats_internal.destination (name, kind, base_url, secret, requests_per_second, created_by)
VALUES ('regress_stripe', 'stripe', 'http://127.0.0.1:1', 'stripe_key', 10, 'regress');
SELECT seats.define_seat_type('team', '{price_team}');
ALTER SEQUENCE seats_internal.invite_id_seq RESTART 1;
ALTER SEQUENCE seats_internal.team_id_seq RESTART 1;

-- What the worker does with a read of the subscription.
CREATE FUNCTION pg_temp.stripe_says(team text, quantity integer, status text DEFAULT 'active',
                                    subscription text DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
    SELECT seats_internal.read_settled(
               t.id, jsonb_build_object(
                   'id', coalesce(stripe_says.subscription, t.subscription),
                   'status', stripe_says.status, 'livemode', false,
                   'items', jsonb_build_array(jsonb_build_object(
                       'id', 'si_1', 'price', 'price_team', 'quantity', stripe_says.quantity))),
               clock_timestamp(), 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee')
      FROM seats_internal.team AS t WHERE t.name = stripe_says.team
$$;
-- What it does when a change ends.
CREATE FUNCTION pg_temp.settle(change bigint, result text, reason text) RETURNS void LANGUAGE sql AS $$
    SELECT seats_internal.finish_changes(ARRAY[change], result, reason, 'pg_seats');
    SELECT seats_internal.refold(t.id, t.lane_id) FROM seats_internal.team AS t WHERE t.name = 'acme'
$$;
CREATE FUNCTION pg_temp.seats() RETURNS text LANGUAGE sql AS $$
    SELECT format('confirmed %s, quantity %s: used %s, reserved %s, free %s, pending %s', confirmed,
                  quantity, used, reserved, free, billing_pending)
      FROM seats.teams WHERE team = 'acme' AND seat_type = 'team'
$$;
CREATE FUNCTION pg_temp.invites() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', address, status, CASE WHEN billing_pending THEN 'pending' END,
                     CASE WHEN settled_at IS NOT NULL THEN '(settled)' END, reason)
      FROM seats.invites WHERE team = 'acme' ORDER BY invite
$$;
-- The journal since the last look.
CREATE FUNCTION pg_temp.news() RETURNS SETOF text LANGUAGE sql AS $$
    WITH seen AS (SELECT coalesce(nullif(current_setting('regress.seen', true), ''), '0')::bigint AS id),
    fresh AS MATERIALIZED (SELECT j.* FROM seats_internal.journal AS j, seen WHERE j.id > seen.id),
    next AS MATERIALIZED (SELECT set_config('regress.seen', max(id)::text, false) FROM fresh)
    SELECT concat_ws(' ', f.kind, f.detail - '{change,lines,team,subscription}'::text[], f.reason,
                     'by ' || f.actor)
      FROM fresh AS f, next WHERE f.kind ~ '^(invite|member|team|individual)' ORDER BY f.id
$$;

-- A team that was not read yet, and one that does not exist.
SELECT seats.register_team('acme', 'sub_acme') > 0;
SELECT pg_temp.try($$SELECT seats.invite('acme', 'a@example.com', 'team')$$);
SELECT pg_temp.try($$SELECT seats.invite('nobody', 'a@example.com', 'team')$$);
SELECT pg_temp.stripe_says('acme', 3);
SELECT seats.add_member('acme', 'olga', 'team', 'owner', 'chat-olga');
SELECT pg_temp.seats();

-- What is refused.
SELECT pg_temp.try($$SELECT seats.invite('acme', '  ', 'team')$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'a@example.com', 'team', 'king')$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'a@example.com', 'desk')$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'a@example.com', 'team', expires => '1 second')$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'a@example.com', 'team', expires => NULL)$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'a@example.com', 'team', expires => '2 years')$$);

-- A free seat. The token is 256 bits, and is stored nowhere.
SELECT invite, token ~ '^[A-Za-z0-9_-]{43}$' AS fits, change IS NULL AS unbought, billing_pending, token
  FROM seats.invite('acme', ' Anna@example.com ', 'team', actor => 'olga', external_id => 'crm-7') \gset a_
SELECT :a_invite, :'a_fits', :'a_unbought', :'a_billing_pending';
SELECT count(*) FROM seats_internal.invite AS i
 WHERE i.token_hash = sha256(:'a_token'::bytea) AND to_jsonb(i)::text NOT LIKE '%' || :'a_token' || '%';
SELECT pg_temp.seats();

-- The same person again: the same invite, another token; the old one no longer holds.
SELECT invite, token FROM seats.invite('acme', 'anna@EXAMPLE.com', 'team') \gset b_
SELECT :b_invite = :a_invite, :'b_token' <> :'a_token';
SELECT pg_temp.try(format('SELECT seats.accept_invite(%L, %L)', :'a_token', 'anna'));
-- But not for something else.
SELECT pg_temp.try($$SELECT seats.invite('acme', 'anna@example.com', 'team', 'owner')$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'anna@example.com', NULL)$$);
-- A repeated request gives the same invite and no token.
SELECT invite, repeated FROM seats.invite('acme', 'bob@example.com', 'team', request_key => 'k1') \gset c_
SELECT invite = :c_invite, token, change, billing_pending, repeated, :'c_repeated' AS first_time
  FROM seats.invite('acme', 'bob@example.com', 'team', request_key => 'k1');
SELECT pg_temp.try($$SELECT seats.invite('acme', 'bill@example.com', 'team', request_key => 'k1')$$);
SELECT pg_temp.seats();

-- No seat is free.
SELECT pg_temp.try($$SELECT seats.invite('acme', 'carl@example.com', 'team')$$);
SELECT pg_temp.try($$SELECT seats.add_member('acme', 'carl', 'team')$$);
SELECT pg_temp.try($$SELECT seats.remove_seats('acme', 'team', 1, 'olga')$$);
-- An invite to no seat needs none.
SELECT billing_pending FROM seats.invite('acme', 'guest@example.com', NULL);

-- Shown to whoever has the token, in a transaction that could change nothing.
SAVEPOINT shown;
SET LOCAL transaction_read_only = on;
SELECT invite = :a_invite, team, seat_type, role, address, inviter, expires_at > now() FROM seats.show_invite(:'b_token');
SELECT pg_temp.try(format('SELECT seats.show_invite(%L)', :'a_token'));
SELECT pg_temp.try($$SELECT seats.show_invite(NULL)$$);
ROLLBACK TO shown;

-- Accepted, once.
SELECT invite = :a_invite, team, seat_type, role FROM seats.accept_invite(:'b_token', 'anna');
SELECT pg_temp.try(format('SELECT seats.accept_invite(%L, %L)', :'b_token', 'eve'));
SELECT pg_temp.try(format('SELECT seats.show_invite(%L)', :'b_token'));
SELECT pg_temp.try($$SELECT seats.accept_invite('nonsense', 'eve')$$);
SELECT pg_temp.try($$SELECT seats.accept_invite(NULL, 'eve')$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'a@example.com', 'team', actor => E'olga\nstripe')$$);
SELECT user_id, seat_type, role, status, external_id FROM seats.members WHERE team = 'acme' ORDER BY user_id;
SELECT pg_temp.seats();

-- Revoked: the seat is free again.
SELECT seats.revoke_invite(:c_invite, 'olga', 'a mistake');
SELECT pg_temp.try(format('SELECT seats.revoke_invite(%s)', :c_invite));
SELECT pg_temp.try($$SELECT seats.revoke_invite(999)$$);
SELECT pg_temp.seats();

-- Expired: refused at once, and ended by the worker. Long after, the address is free again.
SELECT invite, token FROM seats.invite('acme', 'dora@example.com', 'team', expires => '1 minute') \gset d_
UPDATE seats_internal.invite SET expires_at = clock_timestamp() - interval '1 second' WHERE id = :d_invite;
SELECT pg_temp.try(format('SELECT seats.accept_invite(%L, %L)', :'d_token', 'dora'));
SELECT pg_temp.try(format('SELECT seats.show_invite(%L)', :'d_token'));
SELECT pg_temp.seats();
SELECT next_after <= clock_timestamp() FROM seats_internal.expire_invites('-infinity');
SELECT pg_temp.seats();
SELECT pg_temp.try(format('SELECT seats.accept_invite(%L, %L)', :'d_token', 'dora'));
SELECT invite AS e_invite, token AS d_token FROM seats.invite('acme', 'dora@example.com', 'team') \gset
UPDATE seats_internal.invite SET expires_at = clock_timestamp() - interval '1 second' WHERE id = :e_invite;
SELECT invite > :e_invite FROM seats.invite('acme', 'dora@example.com', 'team');
-- Somebody who is a member already may leave it to others.
SELECT token AS f_token FROM seats.invite('acme', 'dora@example.com', 'team') \gset
SELECT pg_temp.try(format('SELECT seats.accept_invite(%L, %L)', :'f_token', 'anna'));
SELECT pg_temp.invites();
SELECT pg_temp.news();

-- ---- bought seats: confirmed 3, used 2 (olga, anna), reserved 1 (dora)
SELECT invite AS g_invite, change AS g_change, billing_pending AS is_pending
  FROM seats.invite('acme', 'emil@example.com', 'team', buy => true, actor => 'olga') \gset
SELECT :'is_pending', (SELECT change FROM seats.invites WHERE invite = :g_invite) = :g_change;
SELECT change AS h_change, token AS h_token
  FROM seats.invite('acme', 'fritz@example.com', 'team', buy => true, actor => 'olga') \gset
SELECT pg_temp.seats();
SELECT pg_temp.invites();

-- Computed, not stored: whoever comes first uses what is proven, and the newest wait.
SAVEPOINT computed;
SELECT seats.accept_invite(:'h_token', 'fritz') IS NOT NULL;
SELECT pg_temp.seats();
SELECT pg_temp.invites();
-- … so when the seats are refused, those are void that are left, and members stay.
SELECT pg_temp.settle(:h_change, 'refused', 'card_declined');
SELECT pg_temp.seats();
SELECT pg_temp.settle(:g_change, 'refused', 'card_declined');
SELECT pg_temp.seats();
SELECT pg_temp.invites();
SELECT kind, summary, state FROM seats.alerts WHERE kind IN ('invite_failed', 'over_allocated') ORDER BY alert;
ROLLBACK TO computed;

-- One of two is refused: the newest goes, though the older change was refused.
SAVEPOINT refused;
SELECT pg_temp.settle(:g_change, 'refused', 'card_declined');
SELECT pg_temp.seats();
SELECT pg_temp.invites();
SELECT pg_temp.news();
SELECT pg_temp.try(format('SELECT seats.accept_invite(%L, %L)', :'h_token', 'fritz'));
ROLLBACK TO refused;

-- A seat that somebody leaves settles the oldest that waits; Stripe settles the rest; each is told once.
SAVEPOINT settled;
SELECT count(*) FROM pg_temp.news();
SELECT seats.remove_member('acme', 'anna', 'left');
SELECT pg_temp.seats();
SELECT pg_temp.invites();
SELECT pg_temp.stripe_says('acme', 4);
SELECT pg_temp.stripe_says('acme', 3);
SELECT pg_temp.stripe_says('acme', 4);
SELECT pg_temp.seats();
SELECT pg_temp.invites();
SELECT pg_temp.news();
ROLLBACK TO settled;

-- So does one that somebody gives up without leaving.
SAVEPOINT given_up;
SELECT changed FROM seats.change_member('acme', 'anna', seat_type => '');
SELECT pg_temp.invites();
ROLLBACK TO given_up;

-- Taken back by its buyer: as refused.
SAVEPOINT cancelled;
SELECT state FROM seats.cancel_change(:h_change, 'olga');
SELECT pg_temp.seats();
SELECT pg_temp.invites();
ROLLBACK TO cancelled;

-- Somebody else takes seats away at Stripe: unsent changes are not in vain.
SAVEPOINT outside;
SELECT pg_temp.stripe_says('acme', 1);
SELECT pg_temp.seats();
SELECT pg_temp.invites();
SELECT pg_temp.stripe_says('acme', 0);
SELECT pg_temp.seats();
-- Where more are in use than there are, one more does not help: nothing is bought.
SELECT seats.cancel_change(:g_change, 'olga'), seats.cancel_change(:h_change, 'olga');
SELECT pg_temp.seats();
SELECT kind, summary, state FROM seats.alerts WHERE kind IN ('invite_failed', 'over_allocated') ORDER BY alert;
SELECT pg_temp.try($$SELECT seats.invite('acme', 'gerd@example.com', 'team', buy => true, actor => 'olga')$$);
SELECT pg_temp.seats();
-- With the subscription ends what there was to do about it.
SELECT pg_temp.stripe_says('acme', 0, 'canceled');
SELECT kind, state FROM seats.alerts WHERE kind = 'over_allocated' ORDER BY alert;
ROLLBACK TO outside;

-- A removal that is not sent yet is taken back before an invite is: it was asked for when the invite
-- could not be.
SAVEPOINT removal;
SELECT seats.revoke_invite(:g_invite);
SELECT new_quantity FROM seats.remove_seats('acme', 'team', 1, 'olga');
SELECT pg_temp.settle(:h_change, 'refused', 'card_declined');
SELECT pg_temp.seats();
SELECT pg_temp.invites();
ROLLBACK TO removal;

-- ---- all combinations of confirmed, used and reserved: the newest reservations beyond confirmed
SAVEPOINT combinations;
DELETE FROM seats_internal.invite;
DELETE FROM seats_internal.member;
SELECT id AS team_id FROM seats_internal.team WHERE name = 'acme' \gset
INSERT INTO seats_internal.invite (team_id, address, seat_type, role, invited_by, token_hash, expires_at)
SELECT :team_id, n::text, 'team', 'member', 'regress', n::text::bytea, 'infinity' FROM generate_series(1, 4) AS n;
INSERT INTO seats_internal.member (team_id, user_id, seat_type, role)
SELECT :team_id, n::text, 'team', 'member' FROM generate_series(1, 4) AS n;
CREATE FUNCTION pg_temp.combination(team_id bigint, c integer, u integer, r integer) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    shown text;
BEGIN
    UPDATE seats_internal.seat_line AS s SET confirmed = c, quantity = 8 WHERE s.team_id = combination.team_id;
    UPDATE seats_internal.member SET status = CASE WHEN user_id::integer <= u THEN 'active' ELSE 'removed' END;
    UPDATE seats_internal.invite SET status = CASE WHEN address::integer <= r THEN 'open' ELSE 'revoked' END;
    SELECT concat(string_agg(CASE WHEN i.billing_pending THEN 'p' ELSE '.' END, '' ORDER BY i.invite),
                  ' ', (SELECT t.billing_pending FROM seats.teams AS t WHERE t.team = 'acme'),
                  CASE WHEN bool_or(i.billing_pending <> seats_internal.is_billing_pending(raw))
                       THEN ' the two do not agree' END)
      INTO shown
      FROM seats.invites AS i JOIN seats_internal.invite AS raw ON raw.id = i.invite
     WHERE i.status = 'open';
    RETURN shown;
END
$$;
SELECT format('confirmed %s, used %s: ', c, u) || string_agg(pg_temp.combination(:team_id, c, u, r), ', ' ORDER BY r)
  FROM generate_series(0, 5) AS c, generate_series(0, 4, 2) AS u, generate_series(0, 4) AS r
 GROUP BY c, u ORDER BY c, u;
ROLLBACK TO combinations;

-- ---- the subscription ends
SELECT count(*) FROM pg_temp.news();
SELECT seats.add_member('acme', 'nina', role => 'member');
SELECT seats.register_team('acme', 'sub_acme') > 0;
-- A read of a former subscription is nobody's business, also when it says that it is over.
SELECT pg_temp.stripe_says('acme', 0, 'canceled', 'sub_former');
SELECT pg_temp.seats();
SELECT pg_temp.stripe_says('acme', 0, 'canceled');
SELECT pg_temp.seats();
SELECT pg_temp.invites();
SELECT user_id, status, external_id FROM seats.members WHERE team = 'acme' ORDER BY user_id;
SELECT DISTINCT state, reason FROM seats.changes WHERE team = 'acme';
SELECT pg_temp.news();
-- Told once.
SELECT pg_temp.stripe_says('acme', 0, 'canceled');
SELECT pg_temp.news();
SELECT pg_temp.try($$SELECT seats.add_seats('acme', 'team', 1, 'olga')$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'late@example.com', 'team')$$);
SELECT pg_temp.try($$SELECT seats.invite('acme', 'late@example.com', NULL)$$);
SELECT pg_temp.try($$SELECT seats.add_member('acme', 'late')$$);
SELECT pg_temp.try(format('SELECT seats.accept_invite(%L, %L)', :'h_token', 'fritz'));
ROLLBACK;
