-- Of a team's page: who belongs to the team, and who is to come. Both lists are bounded, and read no further than by the
-- team's own index; how many there are is counted, as the verbs of members count them.

CREATE OR REPLACE FUNCTION seats_internal.page_members(
    team_id     bigint,
    OUT members jsonb,
    OUT total   bigint,
    OUT used    jsonb
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owners bigint;
BEGIN
    SELECT coalesce(sum(c.members), 0), coalesce(sum(c.owners), 0),
           coalesce(jsonb_object_agg(c.seat_type, c.members) FILTER (WHERE c.seat_type IS NOT NULL), '{}')
      INTO total, owners, used
      FROM (SELECT m.seat_type, count(*) AS members, count(*) FILTER (WHERE m.role = 'owner') AS owners
              FROM seats_internal.member AS m
             WHERE m.team_id = page_members.team_id AND m.status = 'active'
             GROUP BY m.seat_type) AS c;
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'user_id', l.user_id, 'role', l.role, 'seat_type', l.seat_type, 'joined_at', l.joined_at,
               'last_owner', l.role = 'owner' AND owners = 1) ORDER BY l.user_id), '[]')
      INTO members
      FROM (SELECT m.user_id, m.role, m.seat_type, m.joined_at FROM seats_internal.member AS m
             WHERE m.team_id = page_members.team_id AND m.status = 'active'
             ORDER BY m.user_id LIMIT 500) AS l;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_members(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_members(bigint) IS
    'the first 500 active members of a team, how many there are, and {seat type: how many of them sit on such a seat}';

-- What is confirmed goes to members first, then to the oldest invites: as the view seats.invites says it. No token is known
-- here, and its hash is nobody's business.
CREATE OR REPLACE FUNCTION seats_internal.page_invites(
    team_id      bigint,
    used         jsonb,
    OUT invites  jsonb,
    OUT total    bigint,
    OUT reserved jsonb
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    confirmed jsonb := (SELECT jsonb_object_agg(s.seat_type, s.confirmed) FROM seats_internal.seat_line AS s
                         WHERE s.team_id = page_invites.team_id);
BEGIN
    SELECT coalesce(sum(c.invites), 0),
           coalesce(jsonb_object_agg(c.seat_type, c.invites) FILTER (WHERE c.seat_type IS NOT NULL), '{}')
      INTO total, reserved
      FROM (SELECT i.seat_type, count(*) AS invites FROM seats_internal.invite AS i
             WHERE i.team_id = page_invites.team_id AND i.status = 'open'
             GROUP BY i.seat_type) AS c;
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'invite', l.id, 'address', l.address, 'seat_type', l.seat_type, 'role', l.role,
               'billing_pending', coalesce(coalesce((used ->> l.seat_type)::bigint, 0) + l.place
                                           > (confirmed ->> l.seat_type)::bigint, false),
               'inviter', l.inviter, 'created_at', l.created_at, 'expires_at', l.expires_at) ORDER BY l.id), '[]')
      INTO invites
      FROM (SELECT i.id, i.address, i.seat_type, i.role, i.inviter, i.created_at, i.expires_at,
                   row_number() OVER (PARTITION BY i.seat_type ORDER BY i.id) AS place
              FROM seats_internal.invite AS i
             WHERE i.team_id = page_invites.team_id AND i.status = 'open'
             ORDER BY i.id LIMIT 500) AS l;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_invites(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_invites(bigint, jsonb) IS
    'the 500 oldest open invites to a team, how many there are, and {seat type: how many of them keep such a seat}';
