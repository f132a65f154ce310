-- What people look at: invites, individuals, and where Stripe says something else than we do.

-- (Counted once for a team, and not once for each of its invites.)
CREATE VIEW seats.invites AS
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
  LEFT JOIN seats_internal.seat_line AS s ON s.team_id = t.id AND s.seat_type = i.seat_type;
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

CREATE VIEW seats.individuals WITH (security_barrier) AS
SELECT t.name AS user_id, t.subscription, t.status, t.current_period_end, t.cancel_at_period_end,
       t.cancel_at, t.trial_end, t.ended_at, t.paused, t.external_id, t.customer, t.destination,
       t.collection_method, t.base_proven_at AS proven_at, t.problem, t.registered_at, t.registered_by
  FROM seats_internal.team AS t
 WHERE t.kind = 'individual';
REVOKE ALL ON seats.individuals FROM PUBLIC;
COMMENT ON VIEW seats.individuals IS 'people with a subscription of their own, as Stripe last said';
COMMENT ON COLUMN seats.individuals.status IS
    'the subscription''s status in Stripe''s words; null: it was not read yet';
COMMENT ON COLUMN seats.individuals.proven_at IS 'as of when that is known';
COMMENT ON COLUMN seats.individuals.problem IS 'why the subscription cannot be read, if so';

CREATE VIEW seats.drift AS
SELECT t.kind, t.name AS team, t.subscription, d.aspect, d.local, d.stripe, d.since, d.last_seen_at,
       d.cause, t.destination
  FROM seats_internal.drift AS d
  JOIN seats_internal.team AS t ON t.id = d.team_id;
REVOKE ALL ON seats.drift FROM PUBLIC;
COMMENT ON VIEW seats.drift IS
    'where the sweep has found something else at Stripe than here; seats.reconcile(team, reason) takes it over';
COMMENT ON COLUMN seats.drift.team IS 'the team, or the individual''s user id';
COMMENT ON COLUMN seats.drift.aspect IS 'status, or seats:<seat type>';
COMMENT ON COLUMN seats.drift.since IS 'when it was first found';
COMMENT ON COLUMN seats.drift.cause IS
    'probably: changed_at_stripe (by somebody else, and no event has told), unknown_call (in our name, '
    'but this database does not know it: lost by a failover or a restore), unsettled_change (one of '
    'ours is under way: nothing is wrong yet)';
