-- What becomes of an invite: it is looked at, accepted, revoked, or expires.

CREATE OR REPLACE FUNCTION seats_internal.raise_invite_is_over(invite seats_internal.invite) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF invite.status = 'expired' OR invite.status = 'open' THEN
        RAISE EXCEPTION 'invite % has expired', invite.id
            USING ERRCODE = 'PS533',
                  DETAIL = format('It was good until %s.', invite.expires_at),
                  HINT = 'Invite again (seats.invite).';
    END IF;
    RAISE EXCEPTION 'invite % is %', invite.id,
        CASE invite.status WHEN 'billing_failed' THEN 'void: its seat could not be bought, or was lost'
                           ELSE invite.status END
        USING ERRCODE = 'PS534',
              DETAIL = format('That was at %s.', invite.ended_at),
              HINT = CASE invite.status WHEN 'accepted' THEN 'A token is good for one person, once.'
                     ELSE 'Invite again (seats.invite).' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_invite_is_over(seats_internal.invite) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_invite_is_over(seats_internal.invite) IS
    'the error for an invite that is no longer open';

-- What was found by a token: nothing, or an invite that may be over.
CREATE OR REPLACE FUNCTION seats_internal.require_open_invite(invite seats_internal.invite) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF invite.id IS NULL THEN
        RAISE EXCEPTION 'there is no invite with this token'
            USING ERRCODE = 'PS531',
                  HINT = 'Is it complete? When somebody is invited again, the old token no longer holds.';
    ELSIF invite.status <> 'open' OR invite.expires_at <= clock_timestamp() THEN
        PERFORM seats_internal.raise_invite_is_over(invite);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_open_invite(seats_internal.invite) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_open_invite(seats_internal.invite) IS
    'the error for a token that nobody can come with';

-- For the page that a link leads to: it is opened by mail programs and previews too, so it changes nothing.
CREATE OR REPLACE FUNCTION seats_internal.show_invite(
    caller         text,
    token          text,
    OUT invite     bigint,
    OUT team       text,
    OUT seat_type  text,
    OUT role       text,
    OUT address    text,
    OUT inviter    text,
    OUT expires_at timestamptz
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    shown seats_internal.invite;
BEGIN
    SELECT i.* INTO shown FROM seats_internal.invite AS i
     WHERE i.token_hash = seats_internal.hash_of_token(token);
    PERFORM seats_internal.require_open_invite(shown);
    SELECT t.name INTO team FROM seats_internal.team AS t WHERE t.id = shown.team_id;
    invite := shown.id;
    seat_type := shown.seat_type;
    role := shown.role;
    address := shown.address;
    inviter := shown.inviter;
    expires_at := shown.expires_at;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.show_invite(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.show_invite(text, text) IS 'behind seats.show_invite';

CREATE OR REPLACE FUNCTION seats.show_invite(
    token          text,
    OUT invite     bigint,
    OUT team       text,
    OUT seat_type  text,
    OUT role       text,
    OUT address    text,
    OUT inviter    text,
    OUT expires_at timestamptz
)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.show_invite(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.show_invite(text) IS
    'what somebody is invited to who has the token, for the page that asks whether he comes; changes nothing, and has '
    'the errors of accept_invite';

CREATE OR REPLACE FUNCTION seats_internal.accept_invite(
    caller        text,
    token         text,
    user_id       text,
    external_id   text,
    OUT invite    bigint,
    OUT team      text,
    OUT seat_type text,
    OUT role      text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted   bytea := seats_internal.hash_of_token(token);
    taken    seats_internal.team;
    accepted seats_internal.invite;
BEGIN
    PERFORM seats_internal.check_id('user_id', user_id);
    SELECT t.name INTO team FROM seats_internal.invite AS i
      JOIN seats_internal.team AS t ON t.id = i.team_id
     WHERE i.token_hash = wanted;
    IF FOUND THEN
        taken := seats_internal.take_team(team);
        -- A second statement, and a new snapshot: it may have been accepted, or sent anew, meanwhile.
        SELECT i.* INTO accepted FROM seats_internal.invite AS i WHERE i.token_hash = wanted;
    END IF;
    PERFORM seats_internal.require_open_invite(accepted);
    IF EXISTS (SELECT FROM seats_internal.member AS m
                   WHERE m.team_id = taken.id AND m.user_id = accept_invite.user_id
                     AND m.status = 'active') THEN
        RAISE EXCEPTION '% is a member of team % already', quote_literal(user_id), team
            USING ERRCODE = 'PS516',
                  DETAIL = format('Invite %s stays open.', accepted.id),
                  HINT = 'Revoke it (seats.revoke_invite) if nobody else is to come.';
    END IF;
    accepted := seats_internal.end_invite(taken, accepted.id, 'accepted', 'invite.accepted', caller,
                                          NULL, user_id);
    external_id := coalesce(external_id, accepted.external_id);
    INSERT INTO seats_internal.member (team_id, user_id, seat_type, role, external_id)
    VALUES (taken.id, user_id, accepted.seat_type, accepted.role, external_id);
    PERFORM seats_internal.write_journal(
        'member.added', caller, NULL, taken.lane_id, NULL,
        jsonb_strip_nulls(jsonb_build_object(
            'team', team, 'user_id', user_id, 'seat_type', accepted.seat_type, 'role', accepted.role,
            'external_id', external_id, 'invite', accepted.id)));
    invite := accepted.id;
    seat_type := accepted.seat_type;
    role := accepted.role;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.accept_invite(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.accept_invite(text, text, text, text) IS
    'behind seats.accept_invite';

CREATE OR REPLACE FUNCTION seats.accept_invite(
    token         text,
    user_id       text,
    external_id   text DEFAULT NULL,
    OUT invite    bigint,
    OUT team      text,
    OUT seat_type text,
    OUT role      text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.accept_invite(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.accept_invite(text, text, text) IS
    'makes whoever has the token a member of the team, on the seat that was kept; once, and while the '
    'invite is open. external_id comes back in the journal when the member leaves';

CREATE OR REPLACE FUNCTION seats_internal.revoke_invite(
    caller       text,
    INOUT invite bigint,
    actor        text,
    reason       text,
    OUT team     text,
    OUT address  text,
    OUT status   text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken   seats_internal.team;
    revoked seats_internal.invite;
BEGIN
    SELECT t.name INTO team FROM seats_internal.invite AS i
      JOIN seats_internal.team AS t ON t.id = i.team_id
     WHERE i.id = revoke_invite.invite;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no invite %', coalesce(revoke_invite.invite::text, 'NULL')
            USING ERRCODE = 'PS531', HINT = 'The view seats.invites lists them.';
    END IF;
    IF actor IS NOT NULL THEN
        PERFORM seats_internal.check_id('actor', actor);
    END IF;
    taken := seats_internal.take_team(team);
    SELECT i.* INTO revoked FROM seats_internal.invite AS i WHERE i.id = revoke_invite.invite;
    IF revoked.status <> 'open' THEN
        PERFORM seats_internal.raise_invite_is_over(revoked);
    END IF;
    PERFORM seats_internal.end_invite(taken, revoked.id, 'revoked', 'invite.revoked',
                                      caller, revoke_invite.reason, actor => actor);
    address := revoked.address;
    status := 'revoked';
    PERFORM seats_internal.settle_invites(taken.id, taken.lane_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.revoke_invite(text, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.revoke_invite(text, bigint, text, text) IS
    'behind seats.revoke_invite';

CREATE OR REPLACE FUNCTION seats.revoke_invite(
    INOUT invite bigint,
    actor        text   DEFAULT NULL,
    reason       text   DEFAULT NULL,
    OUT team     text,
    OUT address  text,
    OUT status   text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.revoke_invite(bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.revoke_invite(bigint, text, text) IS
    'takes an open invite back: its token no longer holds, its seat is free again (give it back with '
    'remove_seats)';

-- Those whose time is up, the longest due first. A team that somebody holds is left for the next
-- time: accept_invite looks at the time by itself, so nothing hangs on it but the seat. `after`: what
-- was due before that has been seen to; an index is not read from its head each time.
CREATE OR REPLACE FUNCTION seats_internal.expire_invites(after timestamptz, OUT next_after timestamptz)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 500;
    due    record;
    team   seats_internal.team;
    looked integer := 0;
    held   timestamptz;
BEGIN
    next_after := clock_timestamp();
    FOR due IN
        SELECT i.id, i.team_id, i.expires_at FROM seats_internal.invite AS i
         WHERE i.status = 'open' AND i.expires_at >= after AND i.expires_at <= next_after
         ORDER BY i.expires_at LIMIT most
    LOOP
        looked := looked + 1;
        SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = due.team_id;
        IF NOT seats_internal.try_lane(team.lane_id) THEN
            held := coalesce(held, due.expires_at);
        -- Sent anew, or accepted, before the team was ours?
        ELSIF EXISTS (SELECT FROM seats_internal.invite AS i
                       WHERE i.id = due.id AND i.status = 'open' AND i.expires_at <= next_after) THEN
            PERFORM seats_internal.end_invite(team, due.id, 'expired', 'invite.expired', 'pg_seats',
                                              NULL);
            PERFORM seats_internal.settle_invites(team.id, team.lane_id);
            PERFORM seats_internal.page_changed(team.id);
        END IF;
        IF looked = most THEN
            next_after := due.expires_at;
        END IF;
    END LOOP;
    next_after := coalesce(held, next_after);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.expire_invites(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.expire_invites(timestamptz) IS
    'ends open invites whose time is up; called by the worker';

-- ---- the end of a team

-- Everybody is out: at once, whatever its changes wait for. `is_news`: the subscription was not over
-- before.
CREATE OR REPLACE FUNCTION seats_internal.end_everybody(team_id bigint, is_news boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team    seats_internal.team;
    invite  bigint;
    members bigint;
    invites bigint := 0;
BEGIN
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = end_everybody.team_id;
    WITH gone AS (
        UPDATE seats_internal.member AS m
           SET status = 'cancelled', ended_at = clock_timestamp()
         WHERE m.team_id = team.id AND m.status = 'active'
        RETURNING m.*),
    told AS (
        INSERT INTO seats_internal.journal (ring, kind, role, lane_id, reason, detail)
        SELECT ring.slot, 'member.removed', 'pg_seats', team.lane_id, 'subscription_ended',
               jsonb_strip_nulls(jsonb_build_object(
                   'team', team.name, 'user_id', g.user_id, 'seat_type', g.seat_type,
                   'role', g.role, 'external_id', g.external_id))
          FROM gone AS g CROSS JOIN seats_internal.ring)
    SELECT count(*) INTO members FROM gone;
    FOR invite IN
        SELECT i.id FROM seats_internal.invite AS i
         WHERE i.team_id = team.id AND i.status = 'open' ORDER BY i.id
    LOOP
        PERFORM seats_internal.end_invite(team, invite, 'cancelled', 'invite.failed', 'pg_seats',
                                          'subscription_ended');
        invites := invites + 1;
    END LOOP;
    PERFORM seats_internal.resolve_alert('unpaid:' || team.id, 'the subscription has ended');
    PERFORM seats_internal.resolve_alert(format('over_allocated:%s:%s', team.id, s.seat_type),
                                         'the subscription has ended')
       FROM seats_internal.seat_line AS s WHERE s.team_id = team.id;
    IF is_news OR members > 0 OR invites > 0 THEN
        RAISE LOG 'pg_seats: the subscription of team % has ended: % members removed, % invites void',
            team.name, members, invites;
        PERFORM seats_internal.write_journal(
            'team.cancelled', 'stripe', NULL, team.lane_id, 'subscription_ended',
            jsonb_build_object('team', team.name, 'subscription', team.subscription,
                               'status', team.status, 'members', members, 'invites', invites));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_everybody(bigint, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_everybody(bigint, boolean) IS
    'ends all memberships and invites of a team whose subscription is over';
