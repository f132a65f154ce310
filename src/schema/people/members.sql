-- Who belongs to a team. A member may sit on a seat; an owner may buy.

CREATE OR REPLACE FUNCTION seats_internal.require_free_seat(team seats_internal.team, seat_type text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    quantity integer;
    used     integer := seats_internal.seats_in_use(team.id, seat_type);
    reserved integer;
BEGIN
    PERFORM seats_internal.require_seat_type(seat_type);
    SELECT s.quantity INTO quantity FROM seats_internal.seat_line AS s
     WHERE s.team_id = team.id AND s.seat_type = require_free_seat.seat_type;
    IF coalesce(quantity, 0) <= used THEN
        reserved := seats_internal.seats_reserved(team.id, seat_type);
        RAISE EXCEPTION 'team % has no free seat of type %', team.name, seat_type
            USING ERRCODE = 'PS518', CONSTRAINT = 'free_seats',
                  DETAIL = format('It has %s, and %s are in use%s (seat_type=%s quantity=%s in_use=%s reserved=%s).',
                                  coalesce(quantity, 0), used,
                                  CASE WHEN reserved > 0 THEN format(
                                      ', %s of them reserved by open invites', reserved) ELSE '' END,
                                  seat_type, coalesce(quantity, 0), used, reserved),
                  HINT = 'Buy one first (seats.add_seats).';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_free_seat(seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_free_seat(seats_internal.team, text) IS
    'an error unless the team, which is locked, has a free seat of the type';

CREATE OR REPLACE FUNCTION seats_internal.check_role(role text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF role IS NULL OR role NOT IN ('owner', 'member') THEN
        RAISE EXCEPTION 'the role must be owner or member'
            USING ERRCODE = 'PS524', DETAIL = format('It is %s.', coalesce(quote_literal(role), 'NULL')),
                  HINT = 'An owner may buy seats, a member may not.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_role(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_role(text) IS 'an error unless a member can have this role';

-- Without an owner nobody of the team can buy any more, or make another one an owner.
CREATE OR REPLACE FUNCTION seats_internal.check_not_last_owner(
    team   seats_internal.team,
    member seats_internal.member,
    verb   text
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF member.role = 'owner' AND NOT EXISTS (
        SELECT FROM seats_internal.member AS m
         WHERE m.team_id = team.id AND m.status = 'active' AND m.role = 'owner' AND m.id <> member.id) THEN
        RAISE EXCEPTION '% is the last owner of team %', quote_literal(member.user_id), team.name
            USING ERRCODE = 'PS536',
                  DETAIL = 'Without an owner nobody of the team can change its seats.',
                  HINT = format('Make another member an owner first (seats.change_member); or say '
                                'last_owner => true to seats.%s, if it is no mistake.', verb);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_not_last_owner(
    seats_internal.team, seats_internal.member, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_not_last_owner(
    seats_internal.team, seats_internal.member, text) IS
    'an error if the member is the only owner of the team, which is locked';

CREATE OR REPLACE FUNCTION seats_internal.require_member(team seats_internal.team, user_id text)
RETURNS seats_internal.member
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    member seats_internal.member;
BEGIN
    SELECT m.* INTO member FROM seats_internal.member AS m
     WHERE m.team_id = team.id AND m.user_id = require_member.user_id AND m.status = 'active';
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is no active member of team %', coalesce(quote_literal(user_id), 'NULL'), team.name
            USING ERRCODE = 'PS517', HINT = 'The view seats.members lists them.';
    END IF;
    RETURN member;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_member(seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_member(seats_internal.team, text) IS
    'an active member of the team, which is locked, or an error';

-- A seat of this type is free again.
CREATE OR REPLACE FUNCTION seats_internal.seat_was_freed(team seats_internal.team, seat_type text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF seat_type IS NOT NULL THEN
        PERFORM seats_internal.alert_over_allocation(
            team.id, s.seat_type, s.quantity, seats_internal.seats_in_use(team.id, s.seat_type))
           FROM seats_internal.seat_line AS s
          WHERE s.team_id = team.id AND s.seat_type = seat_was_freed.seat_type;
        PERFORM seats_internal.settle_invites(team.id, team.lane_id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.seat_was_freed(seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.seat_was_freed(seats_internal.team, text) IS
    'what follows when a member no longer sits on a seat of this type';

CREATE OR REPLACE FUNCTION seats_internal.add_member(
    caller            text,
    INOUT team        text,
    INOUT user_id     text,
    INOUT seat_type   text,
    INOUT role        text,
    INOUT external_id text,
    if_absent         boolean,
    OUT added         boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken seats_internal.team := seats_internal.take_team(team);
    known seats_internal.member;
BEGIN
    PERFORM seats_internal.check_id('user_id', user_id);
    PERFORM seats_internal.check_role(role);
    SELECT m.* INTO known FROM seats_internal.member AS m
     WHERE m.team_id = taken.id AND m.user_id = add_member.user_id AND m.status = 'active';
    IF FOUND AND if_absent THEN
        seat_type := known.seat_type;
        role := known.role;
        external_id := known.external_id;
        added := false;
        RETURN;
    ELSIF FOUND THEN
        RAISE EXCEPTION '% is a member of team % already', quote_literal(user_id), team
            USING ERRCODE = 'PS516',
                  DETAIL = format('The role is %s, and %s.', known.role,
                                  coalesce('the seat of type ' || known.seat_type, 'there is no seat')),
                  HINT = 'seats.change_member changes a member; if_absent => true leaves as it is who is '
                         'there already.';
    END IF;
    IF seat_type IS NOT NULL OR seats_internal.is_terminal(taken.status) THEN
        PERFORM seats_internal.check_team_is_open(taken);
    END IF;
    IF seat_type IS NOT NULL THEN
        PERFORM seats_internal.require_free_seat(taken, seat_type);
    END IF;
    INSERT INTO seats_internal.member (team_id, user_id, seat_type, role, external_id)
    VALUES (taken.id, add_member.user_id, add_member.seat_type, add_member.role, add_member.external_id);
    PERFORM seats_internal.write_journal(
        'member.added', caller, NULL, taken.lane_id, NULL,
        jsonb_strip_nulls(jsonb_build_object('team', team, 'user_id', user_id, 'seat_type', seat_type,
                                             'role', role, 'external_id', external_id)));
    added := true;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.add_member(text, text, text, text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.add_member(text, text, text, text, text, text, boolean) IS
    'behind seats.add_member';

CREATE OR REPLACE FUNCTION seats.add_member(
    INOUT team        text,
    INOUT user_id     text,
    INOUT seat_type   text    DEFAULT NULL,
    INOUT role        text    DEFAULT 'member',
    INOUT external_id text    DEFAULT NULL,
    if_absent         boolean DEFAULT false,
    OUT added         boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.add_member(text, text, text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.add_member(text, text, text, text, text, boolean) IS
    'makes somebody a member of a team, on a free seat of the type, or on none if it is null; role '
    'owner may buy seats; external_id comes back in the journal when the member leaves. With if_absent '
    'somebody who is a member already stays as he is, and added says false';

CREATE OR REPLACE FUNCTION seats_internal.end_member(
    member     seats_internal.member,
    team       seats_internal.team,
    new_status text,
    caller     text,
    reason     text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.member AS m
       SET status = new_status, ended_at = clock_timestamp()
     WHERE m.id = member.id;
    PERFORM seats_internal.write_journal(
        'member.removed', caller, NULL, team.lane_id, reason,
        jsonb_strip_nulls(jsonb_build_object(
            'team', team.name, 'user_id', member.user_id, 'seat_type', member.seat_type,
            'role', member.role, 'external_id', member.external_id)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_member(
    seats_internal.member, seats_internal.team, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_member(
    seats_internal.member, seats_internal.team, text, text, text) IS
    'ends a membership, and tells the journal what the application has to take away';

CREATE OR REPLACE FUNCTION seats_internal.remove_member(
    caller          text,
    INOUT team      text,
    INOUT user_id   text,
    reason          text,
    last_owner      boolean,
    OUT seat_type   text,
    OUT role        text,
    OUT external_id text,
    OUT status      text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken  seats_internal.team := seats_internal.take_team(team);
    leaves seats_internal.member;
BEGIN
    leaves := seats_internal.require_member(taken, user_id);
    IF last_owner IS NOT TRUE THEN
        PERFORM seats_internal.check_not_last_owner(taken, leaves, 'remove_member');
    END IF;
    seat_type := leaves.seat_type;
    role := leaves.role;
    external_id := leaves.external_id;
    status := 'removed';
    PERFORM seats_internal.end_member(leaves, taken, status, caller, remove_member.reason);
    PERFORM seats_internal.seat_was_freed(taken, leaves.seat_type);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.remove_member(text, text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.remove_member(text, text, text, text, boolean) IS
    'behind seats.remove_member';

CREATE OR REPLACE FUNCTION seats.remove_member(
    INOUT team      text,
    INOUT user_id   text,
    reason          text    DEFAULT NULL,
    last_owner      boolean DEFAULT false,
    OUT seat_type   text,
    OUT role        text,
    OUT external_id text,
    OUT status      text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.remove_member(text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.remove_member(text, text, text, boolean) IS
    'ends a membership: the seat is free again (give it back with remove_seats), and the journal says '
    'member.removed with the external id. The last owner leaves only with last_owner => true';

CREATE OR REPLACE FUNCTION seats_internal.change_member(
    caller            text,
    INOUT team        text,
    INOUT user_id     text,
    INOUT role        text,
    INOUT seat_type   text,
    INOUT external_id text,
    last_owner        boolean,
    OUT changed       boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken  seats_internal.team := seats_internal.take_team(team);
    before seats_internal.member := seats_internal.require_member(taken, user_id);
BEGIN
    role := coalesce(role, before.role);
    seat_type := CASE WHEN seat_type IS NULL THEN before.seat_type ELSE nullif(seat_type, '') END;
    external_id := CASE WHEN external_id IS NULL THEN before.external_id ELSE nullif(external_id, '') END;
    PERFORM seats_internal.check_role(role);
    IF role <> 'owner' AND last_owner IS NOT TRUE THEN
        PERFORM seats_internal.check_not_last_owner(taken, before, 'change_member');
    END IF;
    changed := (role, seat_type, external_id)
               IS DISTINCT FROM (before.role, before.seat_type, before.external_id);
    IF NOT changed THEN
        RETURN;
    END IF;
    IF seat_type IS DISTINCT FROM before.seat_type AND seat_type IS NOT NULL THEN
        PERFORM seats_internal.check_team_is_open(taken);
        PERFORM seats_internal.require_free_seat(taken, seat_type);
    END IF;
    UPDATE seats_internal.member AS m
       SET role = change_member.role, seat_type = change_member.seat_type,
           external_id = change_member.external_id
     WHERE m.id = before.id;
    PERFORM seats_internal.write_journal(
        'member.changed', caller, NULL, taken.lane_id, NULL,
        jsonb_strip_nulls(jsonb_build_object(
            'team', team, 'user_id', user_id, 'seat_type', seat_type, 'role', role,
            'external_id', external_id))
        || jsonb_build_object('before', jsonb_build_object(
            'seat_type', before.seat_type, 'role', before.role, 'external_id', before.external_id)));
    IF seat_type IS DISTINCT FROM before.seat_type THEN
        PERFORM seats_internal.seat_was_freed(taken, before.seat_type);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.change_member(text, text, text, text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.change_member(text, text, text, text, text, text, boolean) IS
    'behind seats.change_member';

CREATE OR REPLACE FUNCTION seats.change_member(
    INOUT team        text,
    INOUT user_id     text,
    INOUT role        text    DEFAULT NULL,
    INOUT seat_type   text    DEFAULT NULL,
    INOUT external_id text    DEFAULT NULL,
    last_owner        boolean DEFAULT false,
    OUT changed       boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.change_member(text, text, text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.change_member(text, text, text, text, text, boolean) IS
    'gives a member another role, another seat (which must be free), another external id, without '
    'leaving. What is null, or left out, stays as it is; an empty text takes away. The journal says '
    'member.changed. The last owner stays one, unless last_owner => true';
