-- A number of a team's page: pages that stay open ask for it again and again, and load the page only when it has risen.

CREATE OR REPLACE FUNCTION seats_internal.page_version(lane bigint) RETURNS bigint
LANGUAGE sql STABLE
RETURN (SELECT l.version FROM seats_internal.lane AS l WHERE l.id = page_version.lane);
REVOKE ALL ON FUNCTION seats_internal.page_version(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_version(bigint) IS
    'of the page of the team in this lane: it rises whenever the page would show something else';
