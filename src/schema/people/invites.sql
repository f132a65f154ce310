-- Invites: a seat that is kept for somebody who was asked to come. Everything here happens with the
-- team locked, as with changes of seats, so an invite that is accepted, one that is revoked and a
-- seat that is lost come one after the other.

-- 256 bits from the server's strong random numbers: three uuids have 366 of them.
CREATE OR REPLACE FUNCTION seats_internal.new_token() RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
RETURN rtrim(translate(encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
                                     || uuid_send(gen_random_uuid())), 'base64'), '+/', '-_'), '=');
REVOKE ALL ON FUNCTION seats_internal.new_token() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.new_token() IS 'a token that nobody can guess, fit for a URL';

CREATE OR REPLACE FUNCTION seats_internal.hash_of_token(token text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN sha256(convert_to(token, 'UTF8'));
REVOKE ALL ON FUNCTION seats_internal.hash_of_token(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.hash_of_token(text) IS 'what is stored of a token';

CREATE OR REPLACE FUNCTION seats_internal.invite_detail(team seats_internal.team, invite seats_internal.invite)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_strip_nulls(jsonb_build_object(
    'team', (team).name, 'invite', (invite).id, 'address', (invite).address,
    'seat_type', (invite).seat_type, 'role', (invite).role, 'inviter', (invite).inviter,
    'external_id', (invite).external_id, 'user_id', (invite).user_id, 'change', (invite).change_id));
REVOKE ALL ON FUNCTION
    seats_internal.invite_detail(seats_internal.team, seats_internal.invite) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invite_detail(seats_internal.team, seats_internal.invite) IS
    'an invite as the journal tells of it';

-- The seat that it kept is free again.
CREATE OR REPLACE FUNCTION seats_internal.end_invite(
    team       seats_internal.team,
    invite     bigint,
    new_status text,
    kind       text,
    role       text,
    reason     text,
    user_id    text DEFAULT NULL,
    actor      text DEFAULT NULL
) RETURNS seats_internal.invite
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended seats_internal.invite;
BEGIN
    UPDATE seats_internal.invite AS i
       SET status = new_status, reason = end_invite.reason, ended_at = clock_timestamp(),
           user_id = end_invite.user_id
     WHERE i.id = end_invite.invite AND i.status = 'open'
    RETURNING i.* INTO ended;
    PERFORM seats_internal.write_journal(end_invite.kind, end_invite.role, NULL, team.lane_id,
                                         end_invite.reason, seats_internal.invite_detail(team, ended),
                                         end_invite.actor);
    RETURN ended;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.end_invite(seats_internal.team, bigint, text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.end_invite(seats_internal.team, bigint, text, text, text, text, text, text) IS
    'ends an open invite, and tells the journal';

-- ---- what quantities mean for invites; called by refold

-- What is confirmed goes to members first, and then to the oldest open invites. Whoever is told once
-- that the seat is there is not told again.
CREATE OR REPLACE FUNCTION seats_internal.settle_invites(team_id bigint, lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team   seats_internal.team;
    invite seats_internal.invite;
BEGIN
    IF NOT EXISTS (SELECT FROM seats_internal.invite AS i
                    WHERE i.team_id = settle_invites.team_id AND i.status = 'open'
                      AND i.settled_at IS NULL) THEN
        RETURN;
    END IF;
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = settle_invites.team_id;
    FOR invite IN
        UPDATE seats_internal.invite AS i
           SET settled_at = clock_timestamp()
          FROM (SELECT o.id, row_number() OVER (PARTITION BY o.seat_type ORDER BY o.id) AS place,
                       s.confirmed - (SELECT count(*) FROM seats_internal.member AS m
                                       WHERE m.team_id = o.team_id AND m.seat_type = o.seat_type
                                         AND m.status = 'active') AS covered
                  FROM seats_internal.invite AS o
                  JOIN seats_internal.seat_line AS s
                    ON s.team_id = o.team_id AND s.seat_type = o.seat_type
                 WHERE o.team_id = settle_invites.team_id AND o.status = 'open') AS p
         -- (The team again: the worker joins by hashing, and would read everybody's invites.)
         WHERE i.team_id = settle_invites.team_id AND i.status = 'open' AND i.id = p.id
           AND i.settled_at IS NULL AND p.place <= p.covered
        RETURNING i.*
    LOOP
        PERFORM seats_internal.write_journal(
            'invite.settled', 'pg_seats', NULL, settle_invites.lane_id, NULL,
            seats_internal.invite_detail(team, invite));
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.settle_invites(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.settle_invites(bigint, bigint) IS
    'tells the journal of invites whose seat Stripe has proved';

-- There are that many seats too few. Gives how many invites have lost theirs.
CREATE OR REPLACE FUNCTION seats_internal.fail_invites(
    team_id   bigint,
    lane_id   bigint,
    seat_type text,
    missing   integer
) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team   seats_internal.team;
    invite record;
    failed bigint[] := '{}';
BEGIN
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = fail_invites.team_id;
    FOR invite IN
        SELECT i.id, CASE WHEN c.result IN ('refused', 'cancelled') THEN coalesce(c.reason, c.result)
                          ELSE 'seat_lost' END AS reason
          FROM seats_internal.invite AS i
         CROSS JOIN LATERAL seats_internal.settled_call(i.change_id) AS c
         WHERE i.team_id = fail_invites.team_id AND i.seat_type = fail_invites.seat_type
           AND i.status = 'open'
         ORDER BY i.id DESC
         LIMIT missing
    LOOP
        PERFORM seats_internal.end_invite(team, invite.id, 'billing_failed', 'invite.failed',
                                          'pg_seats', invite.reason);
        failed := failed || invite.id;
    END LOOP;
    IF failed <> '{}' THEN
        PERFORM seats_internal.raise_alert(
            format('invites_failed:%s:%s', team.id, seat_type), 'warning', 'invite_failed',
            format('team %s has lost seats of type %s that were kept for %s of its open invites',
                   team.name, seat_type, cardinality(failed)),
            jsonb_build_object('team', team.name, 'seat_type', seat_type, 'invites', failed),
            'Their links no longer work. When there are seats again, invite once more; the view '
            'seats.invites tells whom.');
    END IF;
    RETURN cardinality(failed);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.fail_invites(bigint, bigint, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.fail_invites(bigint, bigint, text, integer) IS
    'ends the newest open invites, for whom there are no seats any more';

-- ---- inviting

CREATE OR REPLACE FUNCTION seats_internal.check_invite(address text, role text, expires interval, actor text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.check_id('address', address);
    IF actor IS NOT NULL THEN
        PERFORM seats_internal.check_id('actor', actor);
    END IF;
    PERFORM seats_internal.check_role(role);
    IF expires IS NULL OR expires < interval '1 minute' OR expires > interval '1 year' THEN
        RAISE EXCEPTION 'invalid time for an invite to expire'
            USING ERRCODE = 'PS530',
                  DETAIL = format('It is %s.', coalesce(expires::text, 'NULL')),
                  HINT = 'Give an interval between 1 minute and 1 year.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_invite(text, text, interval, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_invite(text, text, interval, text) IS
    'an error unless these can be an invite''s';

-- A free seat, or one that is bought for it; gives the change that buys it.
CREATE OR REPLACE FUNCTION seats_internal.reserve_seat(
    caller    text,
    team      seats_internal.team,
    seat_type text,
    actor     text,
    buy       boolean,
    handlers  seats_internal.named_handlers
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    quantity integer;
    change   bigint;
BEGIN
    SELECT s.quantity INTO quantity FROM seats_internal.seat_line AS s
     WHERE s.team_id = team.id AND s.seat_type = reserve_seat.seat_type;
    IF buy AND coalesce(quantity, 0) <= seats_internal.seats_in_use(team.id, seat_type) THEN
        change := (seats_internal.make_change(
            caller, 'invite', team.name,
            jsonb_build_array(jsonb_build_object('seat_type', seat_type, 'operation', 'add',
                                                 'quantity', 1)),
            actor, NULL, NULL, handlers) ->> 'change')::bigint;
    END IF;
    -- (Where more are in use than there are, one more does not help.)
    PERFORM seats_internal.require_free_seat(team, seat_type);
    RETURN change;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reserve_seat(
    text, seats_internal.team, text, text, boolean, seats_internal.named_handlers) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reserve_seat(
    text, seats_internal.team, text, text, boolean, seats_internal.named_handlers) IS
    'makes sure of a free seat for an invite, if need be by buying one';

-- The open invite of this person, if there is one. The team is locked.
CREATE OR REPLACE FUNCTION seats_internal.open_invite(
    team      seats_internal.team,
    address   text,
    seat_type text,
    role      text
) RETURNS seats_internal.invite
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_one seats_internal.invite;
BEGIN
    SELECT i.* INTO open_one FROM seats_internal.invite AS i
     WHERE i.team_id = team.id AND lower(i.address) = lower(open_invite.address) AND i.status = 'open';
    IF open_one.expires_at <= clock_timestamp() THEN
        PERFORM seats_internal.end_invite(team, open_one.id, 'expired', 'invite.expired', 'pg_seats',
                                          NULL);
        RETURN NULL;
    ELSIF open_one.seat_type IS DISTINCT FROM seat_type OR open_one.role <> role THEN
        IF open_one.id IS NOT NULL THEN
            RAISE EXCEPTION '% is invited to team % already, but otherwise', address, team.name
                USING ERRCODE = 'PS532',
                      DETAIL = format('Invite %s is for the role %s and %s.', open_one.id, open_one.role,
                                      coalesce('a seat of type ' || open_one.seat_type, 'no seat')),
                      HINT = 'Revoke that one first (seats.revoke_invite).';
        END IF;
    END IF;
    RETURN open_one;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.open_invite(seats_internal.team, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.open_invite(seats_internal.team, text, text, text) IS
    'somebody''s open invite to a team, or null; an error if it is for something else';

-- (For one invite. The views seats.invites, for each of a team's, and seats.teams, for how many there are, say the
-- same where they have counted already: a function would count anew, or be called for every row. The test `invites`
-- compares them.)
CREATE OR REPLACE FUNCTION seats_internal.is_billing_pending(invite seats_internal.invite) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((invite).status = 'open' AND (invite).seat_type IS NOT NULL
           AND (SELECT count(*) FROM seats_internal.invite AS older
                 WHERE older.team_id = (invite).team_id AND older.seat_type = (invite).seat_type
                   AND older.status = 'open' AND older.id < (invite).id)
               + (SELECT count(*) FROM seats_internal.member AS m
                   WHERE m.team_id = (invite).team_id AND m.seat_type = (invite).seat_type
                     AND m.status = 'active')
               >= (SELECT s.confirmed FROM seats_internal.seat_line AS s
                    WHERE s.team_id = (invite).team_id AND s.seat_type = (invite).seat_type), false);
END;
REVOKE ALL ON FUNCTION seats_internal.is_billing_pending(seats_internal.invite) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_billing_pending(seats_internal.invite) IS
    'whether an invite''s seat is not proven by Stripe: members come first, then invites by age';

-- (Long because it is three things with the same answer: a request that was made before, an invite that is open and
-- is renewed, and a new one.)
CREATE OR REPLACE FUNCTION seats_internal.invite(
    caller              text,
    team                text,
    address             text,
    seat_type           text,
    role                text,
    actor               text,
    buy                 boolean,
    expires             interval,
    external_id         text,
    request_key         text,
    on_done             text,
    on_refused          text,
    context             jsonb,
    keep_settings       text[],
    OUT invite          bigint,
    OUT token           text,
    OUT change          bigint,
    OUT billing_pending boolean,
    OUT repeated        boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    person    text := btrim(address);
    taken     seats_internal.team := seats_internal.take_team(team);
    arguments jsonb;
    known     jsonb;
    made      seats_internal.invite;
    handlers  seats_internal.named_handlers := ROW(on_done, on_refused, context, keep_settings);
BEGIN
    PERFORM seats_internal.check_invite(person, role, expires, actor);
    IF request_key IS NOT NULL THEN
        arguments := jsonb_strip_nulls(jsonb_build_object(
            'address', person, 'seat_type', seat_type, 'role', role, 'actor', actor, 'buy', buy,
            -- (As a number: how an interval is written depends on the session.)
            'expires', extract(epoch FROM expires), 'external_id', external_id)
            || seats_internal.handlers_of_request(handlers));
        known := seats_internal.known_request(taken, 'invite', request_key, arguments);
        IF known IS NOT NULL THEN
            repeated := true;
            SELECT i.* INTO made FROM seats_internal.invite AS i WHERE i.id = (known ->> 'invite')::bigint;
            invite := made.id;
            change := made.change_id;
            billing_pending := seats_internal.is_billing_pending(made);
            RETURN;
        END IF;
    END IF;
    repeated := false;
    PERFORM seats_internal.check_team_is_open(taken);
    token := seats_internal.new_token();
    made := seats_internal.open_invite(taken, person, seat_type, role);
    IF made.id IS NOT NULL THEN
        UPDATE seats_internal.invite AS i
           SET token_hash = seats_internal.hash_of_token(token), expires_at = clock_timestamp() + expires,
               external_id = coalesce(external_id, i.external_id)
         WHERE i.id = made.id
        RETURNING i.* INTO made;
        PERFORM seats_internal.write_journal(
            'invite.repeated', caller, NULL, taken.lane_id, NULL,
            seats_internal.invite_detail(taken, made), actor);
    ELSE
        IF seat_type IS NOT NULL THEN
            change := seats_internal.reserve_seat(caller, taken, seat_type, actor, buy, handlers);
        END IF;
        INSERT INTO seats_internal.invite AS i
            (team_id, address, seat_type, role, external_id, inviter, invited_by, token_hash, change_id,
             expires_at)
        VALUES (taken.id, person, seat_type, role, external_id, actor, caller,
                seats_internal.hash_of_token(token), change, clock_timestamp() + expires)
        RETURNING i.* INTO made;
        IF NOT seats_internal.is_billing_pending(made) THEN
            UPDATE seats_internal.invite AS i SET settled_at = clock_timestamp() WHERE i.id = made.id;
        END IF;
        PERFORM seats_internal.write_journal(
            'invite.created', caller, NULL, taken.lane_id, NULL,
            seats_internal.invite_detail(taken, made), actor);
    END IF;
    -- (What is wrong with them is to show also where no seat had to be bought.)
    IF change IS NULL AND NOT (handlers IS NULL) THEN
        PERFORM seats_internal.checked_handlers(caller, handlers);
    END IF;
    invite := made.id;
    change := made.change_id;
    billing_pending := seats_internal.is_billing_pending(made);
    IF request_key IS NOT NULL THEN
        INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, result)
        VALUES (taken.id, 'invite', request_key, arguments, jsonb_build_object('invite', invite));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.invite(
    text, text, text, text, text, text, boolean, interval, text, text, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invite(
    text, text, text, text, text, text, boolean, interval, text, text, text, text, jsonb, text[]) IS 'behind seats.invite';

CREATE OR REPLACE FUNCTION seats.invite(
    team                text,
    address             text,
    seat_type           text,
    role                text     DEFAULT 'member',
    actor               text     DEFAULT NULL,
    buy                 boolean  DEFAULT false,
    expires             interval DEFAULT '7 days',
    external_id         text     DEFAULT NULL,
    request_key         text     DEFAULT NULL,
    on_done             text     DEFAULT NULL,
    on_refused          text     DEFAULT NULL,
    context             jsonb    DEFAULT NULL,
    keep_settings       text[]   DEFAULT NULL,
    OUT invite          bigint,
    OUT token           text,
    OUT change          bigint,
    OUT billing_pending boolean,
    OUT repeated        boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.invite(
    text, text, text, text, text, boolean, interval, text, text, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.invite(
    text, text, text, text, text, boolean, interval, text, text, text, text, jsonb, text[]) IS
    'keeps a seat for somebody and gives a token, once, with which accept_invite makes a member. Takes '
    'a free seat, or with buy => true buys one if there is none (actor must then be an owner; otherwise '
    'it is not checked). The same address again: the same invite with a new token, which replaces the '
    'old one. on_done, on_refused, context and keep_settings are those of the change that buys, as in add_seats: '
    'where none is made, nothing of it runs';
