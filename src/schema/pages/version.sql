-- A number of a team's page: pages that stay open ask for it again and again, and load the page only when it has risen.
--
-- It is the sum of five that only rise, each in a row that whoever raises it writes anyway, or has to himself:
--
--   lane.version               verbs, which all take the lane
--   lane_marker.changes        what is sent, and what comes of it; whoever writes it has the call's own row already, so that
--                              the worker, which writes it all the time, waits for nobody there
--   team.changes               what is read of a subscription, invites that expire, and what else is nobody's verb
--   installation.page_changes  what all pages show, and verbs or events have changed: kinds of seats, destinations, prices. (The
--                              worker keeps off it: their transactions may stay open for long.)
--   ring.page_changes          what all pages show, and the worker has found: what prices are like; what the history forgets
--
-- Each is raised in the transaction that changes the page, by an update of its row. So of two snapshots the later one never
-- has less, and one that shows another page has more. What is in no table (whether Stripe answers) is not in it.

-- A version for a page that is new, or of which nobody knows any more how far it had come (its team was unregistered, a
-- failover has lost commits): microseconds, as no page is changed more often than that.
CREATE OR REPLACE FUNCTION seats_internal.page_start() RETURNS bigint
LANGUAGE sql VOLATILE
RETURN (extract(epoch FROM clock_timestamp() - timestamptz '2026-01-01 00:00:00+00') * 1000000)::bigint;
REVOKE ALL ON FUNCTION seats_internal.page_start() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_start() IS 'where versions of pages begin: above all that were there before';

-- (Each row is looked up by its key: a join could read all of them for one team.)
CREATE OR REPLACE VIEW seats_internal.page_of_team AS
SELECT t.lane_id, t.kind, t.name, t.destination, o.own_changes,
       o.own_changes + coalesce((SELECT i.page_changes FROM seats_internal.installation AS i), 0)
                     + (SELECT r.page_changes FROM seats_internal.ring AS r) AS version
  FROM seats_internal.team AS t
 CROSS JOIN LATERAL (
    SELECT t.changes + (SELECT l.version FROM seats_internal.lane AS l WHERE l.id = t.lane_id)
           + coalesce((SELECT m.changes FROM seats_internal.lane_marker AS m WHERE m.lane_id = t.lane_id), 0))
       AS o (own_changes);
REVOKE ALL ON seats_internal.page_of_team FROM PUBLIC;
COMMENT ON VIEW seats_internal.page_of_team IS
    'of each team the version of its page, and how much of it is of this page alone';

CREATE OR REPLACE FUNCTION seats_internal.page_version(lane bigint) RETURNS bigint
LANGUAGE sql STABLE
RETURN (SELECT p.version FROM seats_internal.page_of_team AS p WHERE p.lane_id = page_version.lane);
REVOKE ALL ON FUNCTION seats_internal.page_version(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_version(bigint) IS
    'of the page of the team in this lane: it rises whenever the page would show something else';

-- ---- raising it, where no statement does that anyway

CREATE OR REPLACE FUNCTION seats_internal.page_changed(team_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.team AS t SET changes = t.changes + 1 WHERE t.id = page_changed.team_id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_changed(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_changed(bigint) IS 'raises the version of a team''s page; null: nobody''s';

CREATE OR REPLACE FUNCTION seats_internal.page_of_lane_changed(lane_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.team AS t SET changes = t.changes + 1 WHERE t.lane_id = page_of_lane_changed.lane_id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_of_lane_changed(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_of_lane_changed(bigint) IS
    'raises the version of the page of the team in this lane, if there is one';

-- (Of what the worker sends and stores, src/engine/pages.cpp says the same.)
CREATE OR REPLACE FUNCTION seats_internal.calls_of_pages_changed(lanes bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.lane_marker AS m (lane_id, changes)
    SELECT t.lane_id, 1 FROM seats_internal.team AS t WHERE t.lane_id = ANY (lanes)
    ON CONFLICT ON CONSTRAINT lane_marker_pkey DO UPDATE SET changes = m.changes + 1;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.calls_of_pages_changed(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.calls_of_pages_changed(bigint[]) IS
    'raises the version of the pages of the teams in these lanes, for whoever holds the rows of their calls';

CREATE OR REPLACE FUNCTION seats_internal.all_pages_changed() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.installation AS i SET page_changes = i.page_changes + 1;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.all_pages_changed() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.all_pages_changed() IS 'raises the version of every team''s page, for verbs and events';

CREATE OR REPLACE FUNCTION seats_internal.worker_changed_all_pages() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.ring AS r SET page_changes = r.page_changes + 1;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.worker_changed_all_pages() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.worker_changed_all_pages() IS
    'raises the version of every team''s page, for the worker alone';
