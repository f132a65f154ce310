-- Which teams something has happened to, for pages that stay open: they ask again for what they show of these. No consumer,
-- and nothing to acknowledge: who streams keeps the number, and after a restart begins with the newest one, and with whole
-- pages. LISTEN pg_seats_journal is only what wakes him.

CREATE OR REPLACE FUNCTION seats_internal.require_number_kept(after_number bigint, newest bigint) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF after_number < 0 OR after_number > newest THEN
        RAISE EXCEPTION 'the journal has no entry %', after_number
            USING ERRCODE = 'PS543', DETAIL = format('The newest one is %s.', newest),
                  HINT = 'After a failover that has lost commits numbers go back. Load what is shown anew, and go on from '
                         'seats.teams_changed(), which gives the newest number.';
    ELSIF after_number < newest
          AND (SELECT min(j.number) FROM seats_internal.journal AS j WHERE j.number > after_number)
              IS DISTINCT FROM after_number + 1 THEN
        RAISE EXCEPTION 'entries of the journal after number % are gone', after_number
            USING ERRCODE = 'PS542', DETAIL = format('The newest one is %s.', newest),
                  HINT = 'Load what is shown anew, and go on from seats.teams_changed(), which gives the newest number.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_number_kept(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_number_kept(bigint, bigint) IS
    'an error unless the journal has all entries after this number';

CREATE OR REPLACE FUNCTION seats_internal.teams_changed(
    caller       text,
    after_number bigint,
    max_entries  integer,
    OUT number   bigint,
    OUT team     text
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    newest bigint := (SELECT ring.last_journal_number FROM seats_internal.ring);
BEGIN
    IF max_entries IS NULL OR max_entries NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'max_entries must be between 1 and 10000' USING ERRCODE = 'PS544',
            HINT = 'Ask again for more, from the number of the last row.';
    END IF;
    PERFORM seats_internal.require_number_kept(after_number, newest);
    -- (The name is asked for row by row: a plan that does not know the limit would hash all teams for a hundred rows.)
    RETURN QUERY
        WITH entry AS MATERIALIZED (
            SELECT j.number AS place,
                   (SELECT t.name FROM seats_internal.team AS t
                     WHERE t.lane_id = j.lane_id AND t.kind = 'team') AS name
              FROM seats_internal.journal AS j
             WHERE j.number > after_number
             ORDER BY j.number LIMIT max_entries)
        SELECT max(e.place), e.name FROM entry AS e WHERE e.name IS NOT NULL GROUP BY e.name
        UNION ALL
        SELECT coalesce(max(e.place), after_number, newest), NULL FROM entry AS e
         ORDER BY 1, 2;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.teams_changed(text, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.teams_changed(text, bigint, integer) IS 'behind seats.teams_changed';

CREATE OR REPLACE FUNCTION seats.teams_changed(
    after_number bigint  DEFAULT NULL,
    max_entries  integer DEFAULT 1000,
    OUT number   bigint,
    OUT team     text
) RETURNS SETOF record
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.teams_changed(bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.teams_changed(bigint, integer) IS
    'which teams the journal tells of after this number, each once, with the number of its last entry. The last row has no team: '
    'go on from its number. Without a number: that row alone, with the newest one';
