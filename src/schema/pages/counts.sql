-- The numbers on an operator's desk. Nothing is counted that may be large: calls are counted by the worker
-- (health/counted.sql), all else by an index, to a thousand.

CREATE OR REPLACE FUNCTION seats_internal.counts(
    caller      text,
    OUT what    text,
    OUT count   bigint,
    OUT is_more boolean,
    OUT as_of   timestamptz
) RETURNS SETOF record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    most CONSTANT integer := 1000;
BEGIN
    RETURN QUERY
        SELECT b.what, least(b.found, most)::bigint, b.found > most, seats_internal.time_of_snapshot()
          FROM (VALUES
            ('reviews',
             (SELECT count(*) FROM (SELECT FROM seats_internal.outbox AS o WHERE o.standing = 'review'
                                     LIMIT most + 1) AS x)),
            ('handlers_in_review',
             (SELECT count(*) FROM (SELECT FROM seats_internal.handler AS h WHERE h.review_since IS NOT NULL
                                     LIMIT most + 1) AS x)),
            ('payments_in_review',
             (SELECT count(*) FROM (SELECT FROM seats_internal.payment AS p WHERE p.review_since IS NOT NULL
                                     LIMIT most + 1) AS x)),
            ('handlers_to_run',
             (SELECT count(*) FROM (SELECT FROM seats_internal.handler AS h
                                     WHERE h.outcome IS NOT NULL AND h.review_since IS NULL LIMIT most + 1) AS x)),
            ('webhooks_to_process',
             (SELECT count(*) FROM (SELECT FROM seats_internal.webhook_event AS w WHERE w.retry_at IS NOT NULL
                                     LIMIT most + 1) AS x)),
            ('paused_lanes',
             (SELECT count(*) FROM (SELECT FROM seats_internal.lane AS l WHERE l.paused_at IS NOT NULL
                                     LIMIT most + 1) AS x)),
            ('alerts',
             (SELECT count(*) FROM (SELECT FROM seats_internal.alert AS a
                                     WHERE a.resolved_at IS NULL AND a.acknowledged_at IS NULL LIMIT most + 1) AS x))) AS b (what, found);
    -- (Null: the outbox is too large to be counted now, and no worker has counted it.)
    RETURN QUERY
        WITH counted AS MATERIALIZED (
            SELECT c.label, c.rows, c.counted_at FROM seats_internal.counted AS c WHERE c.table_name = 'outbox')
        SELECT 'calls_' || s.state,
               CASE WHEN t.at IS NOT NULL
                    THEN coalesce((SELECT sum(c.rows) FROM counted AS c WHERE c.label = s.state::text), 0) END::bigint,
               false, t.at
          FROM unnest(enum_range(NULL::seats_internal.outbox_state)) WITH ORDINALITY AS s (state, place)
         CROSS JOIN (SELECT max(c.counted_at) AS at FROM counted AS c WHERE c.label IS NULL) AS t
         ORDER BY s.place;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.counts(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.counts(text) IS 'behind seats.counts';

CREATE OR REPLACE FUNCTION seats.counts(
    OUT what    text,
    OUT count   bigint,
    OUT is_more boolean,
    OUT as_of   timestamptz
) RETURNS SETOF record
LANGUAGE c VOLATILE ROWS 15 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.counts() FROM PUBLIC;
COMMENT ON FUNCTION seats.counts() IS
    'how much waits for a person, or at all, in numbers that cost the same whatever there is: what a person must decide, handlers, '
    'events, alerts that nobody looks after and paused lanes are counted to 1000 (is_more: there are more), calls by their state '
    'as the worker has counted them (as_of; null: it has not)';
