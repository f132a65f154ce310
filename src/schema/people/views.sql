-- What people look at: members and invites. (Only teams have any, and by kind and name there is an index.)

-- (Counted once for a team, and not once for each of its invites.)
CREATE OR REPLACE VIEW seats.invites AS
SELECT i.id AS invite, t.name AS team, i.address, i.seat_type, i.role, i.status,
       coalesce(i.status = 'open' AND i.seats_up_to_it > s.confirmed, false) AS billing_pending,
       i.inviter, i.external_id, i.created_at, i.expires_at, i.settled_at, i.ended_at, i.reason,
       i.user_id, i.change_id AS change, i.invited_by
  FROM seats_internal.team AS t
 CROSS JOIN LATERAL (
    SELECT v.*, coalesce(u.used, 0) + row_number() OVER (PARTITION BY v.seat_type, v.status ORDER BY v.id)
                AS seats_up_to_it
      FROM seats_internal.invite AS v
      LEFT JOIN (SELECT m.seat_type, count(*) AS used FROM seats_internal.member AS m
                  WHERE m.team_id = t.id AND m.status = 'active'
                  GROUP BY m.seat_type) AS u ON u.seat_type = v.seat_type
     WHERE v.team_id = t.id) AS i
  LEFT JOIN seats_internal.seat_line AS s ON s.team_id = t.id AND s.seat_type = i.seat_type
 WHERE t.kind = 'team';
REVOKE ALL ON seats.invites FROM PUBLIC;
COMMENT ON VIEW seats.invites IS 'who was invited to which team, and what became of it';
COMMENT ON COLUMN seats.invites.status IS
    'open, accepted, revoked, expired, billing_failed (its seat could not be bought, or was lost), '
    'cancelled (with the team''s subscription)';
COMMENT ON COLUMN seats.invites.billing_pending IS
    'its seat is not proven by Stripe: members come first, then invites by age';
COMMENT ON COLUMN seats.invites.settled_at IS 'when its seat was first proven';
COMMENT ON COLUMN seats.invites.inviter IS 'who of the team has invited';
COMMENT ON COLUMN seats.invites.user_id IS 'who has accepted it';
COMMENT ON COLUMN seats.invites.change IS 'the change that bought a seat for it, if none was free';
COMMENT ON COLUMN seats.invites.reason IS 'why it ended as it did';

CREATE OR REPLACE VIEW seats.members AS
SELECT t.name AS team, m.user_id, m.seat_type, m.role, m.status, m.external_id, m.joined_at, m.ended_at
  FROM seats_internal.member AS m
  JOIN seats_internal.team AS t ON t.id = m.team_id AND t.kind = 'team';
REVOKE ALL ON seats.members FROM PUBLIC;
COMMENT ON VIEW seats.members IS 'who belongs to which team, and who did';
COMMENT ON COLUMN seats.members.status IS
    'active, removed, or cancelled (with the team''s subscription)';
COMMENT ON COLUMN seats.members.seat_type IS 'null: belongs to the team without using a seat';
