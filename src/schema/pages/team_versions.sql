-- What pages that stay open ask for, all together: a program that serves ten thousand asks a dozen times, every few seconds.

CREATE OR REPLACE FUNCTION seats_internal.team_versions(
    caller      text,
    teams       text[],
    OUT team    text,
    OUT version bigint,
    OUT stripe  text
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 1000;
BEGIN
    IF cardinality(teams) > most THEN
        RAISE EXCEPTION '% teams are too many', cardinality(teams)
            USING ERRCODE = 'PS549', DETAIL = format('At most %s are taken at once.', most),
                  HINT = 'Ask for them in several calls.';
    END IF;
    -- (Each name is looked up by itself: a plan for any number of names would read all teams for a few of them.)
    RETURN QUERY
        SELECT shown.name, shown.version,
               seats_internal.stripe_state_of(shown.is_halted, shown.is_paused, s.breaker, s.proven)
          FROM (SELECT DISTINCT n.name FROM unnest(teams) AS n (name)) AS asked
         CROSS JOIN LATERAL (
            SELECT p.name, p.version, d.name AS destination, d.halted_at IS NOT NULL AS is_halted,
                   d.paused_at IS NOT NULL AS is_paused
              FROM seats_internal.page_of_team AS p
              JOIN seats_internal.destination AS d ON d.name = p.destination
             WHERE p.kind = 'team' AND p.name = asked.name
             LIMIT 1) AS shown
          LEFT JOIN seats_internal.destination_state() AS s ON s.destination = shown.destination;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.team_versions(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.team_versions(text, text[]) IS 'behind seats.team_versions';

CREATE OR REPLACE FUNCTION seats.team_versions(
    teams       text[],
    OUT team    text,
    OUT version bigint,
    OUT stripe  text
) RETURNS SETOF record
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.team_versions(text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.team_versions(text[]) IS
    'of each of these teams a number that rises whenever its page would show something else, and whether Stripe takes calls: '
    'up, down (it does not answer), paused, halted, or unproven. At most 1000 teams; one that does not exist is not there';
