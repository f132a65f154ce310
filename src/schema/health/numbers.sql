-- What the worker has counted and measured, as it stands in shared memory; and what stands for a number that nobody has
-- counted to its end.

CREATE OR REPLACE FUNCTION seats_internal.counts_shown(
    OUT table_number integer,
    OUT destination  text,
    OUT label        text,
    OUT reason       text,
    OUT rows         bigint,
    OUT amount       bigint,
    OUT oldest_at    timestamptz,
    OUT oldest_id    bigint,
    OUT counted_at   timestamptz
) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 50
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pg_seats_counts_shown';
REVOKE ALL ON FUNCTION seats_internal.counts_shown() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.counts_shown() IS
    'what this database''s worker has counted of tables that are not small: of each table a row without label, and one for each kind of its rows; nothing where no worker runs';

CREATE OR REPLACE FUNCTION seats_internal.histograms(
    OUT name    text,
    OUT le      text,
    OUT count   bigint,
    OUT seconds double precision
) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 60
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pg_seats_histograms';
REVOKE ALL ON FUNCTION seats_internal.histograms() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.histograms() IS
    'what this database''s worker has measured since the server''s start: how often it took no longer than le seconds; in the row +Inf also all seconds together';

CREATE OR REPLACE FUNCTION seats_internal.webhook_counters(
    OUT outcome text,
    OUT count   bigint
) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 15
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pg_seats_webhook_counters';
REVOKE ALL ON FUNCTION seats_internal.webhook_counters() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.webhook_counters() IS
    'how many webhooks this database has taken since the server''s start, by what came of them at once; nothing where pg_seats is not preloaded';

-- Whoever counts up to a bound counts one more than he tells.
CREATE OR REPLACE FUNCTION seats_internal.up_to_thousand(count bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN count > 1000 THEN '1,000+' ELSE count::text END;
REVOKE ALL ON FUNCTION seats_internal.up_to_thousand(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.up_to_thousand(bigint) IS 'a count in words: from 1,001 on nobody has counted further';
