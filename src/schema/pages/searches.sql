-- More lists for an operator's console: entries of the journal, events that wait, teams by the beginning of their name.

-- ---- the journal, newest first

CREATE OR REPLACE FUNCTION seats_internal.walk_journal(
    filter        jsonb,
    before_number bigint,
    most          integer,
    OUT numbers   bigint[],
    OUT looked_to bigint
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looks   CONSTANT integer := seats_internal.most_looked_at();
    in_lane CONSTANT bigint := seats_internal.filtered_lane(filter);
    looked  integer := 0;
    found   record;
BEGIN
    numbers := '{}';
    FOR found IN
        SELECT j.number,
               (in_lane IS NULL OR j.lane_id = in_lane) AND seats_internal.value_fits(filter, 'kind', j.kind)
               AND seats_internal.value_fits(filter, 'role', j.role) AND seats_internal.value_fits(filter, 'actor', j.actor)
               AND seats_internal.value_fits(filter, 'person', j.detail ->> 'person')
               AND seats_internal.value_fits(filter, 'call', j.call_id::text) AS fits
          FROM seats_internal.journal AS j
         WHERE j.number < coalesce(before_number, 9223372036854775807)
         ORDER BY j.number DESC LIMIT looks
    LOOP
        looked := looked + 1;
        looked_to := found.number;
        numbers := CASE WHEN found.fits THEN numbers || found.number ELSE numbers END;
        EXIT WHEN cardinality(numbers) = most;
    END LOOP;
    looked_to := CASE WHEN looked = looks OR cardinality(numbers) = most THEN looked_to END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.walk_journal(jsonb, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.walk_journal(jsonb, bigint, integer) IS
    'numbers of entries that a filter lets through, and where to go on; null: there are no more';

CREATE OR REPLACE FUNCTION seats_internal.search_journal(
    caller          text,
    filter          jsonb,
    before_number   bigint,
    most            integer,
    OUT number      bigint,
    OUT at          timestamptz,
    OUT kind        text,
    OUT role        text,
    OUT actor       text,
    OUT person      text,
    OUT call        bigint,
    OUT destination text,
    OUT lane        text,
    OUT team        text,
    OUT reason      text,
    OUT detail      jsonb,
    OUT looked_to   bigint
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    walk record;
BEGIN
    PERFORM seats_internal.require_filter(filter, '{team,destination,lane,kind,role,actor,person,call}');
    PERFORM seats_internal.require_page(most);
    SELECT * INTO walk FROM seats_internal.walk_journal(filter, before_number, most);
    RETURN QUERY
        SELECT j.number, j.at, j.kind, j.role, j.actor, j.detail ->> 'person', j.call_id, l.destination, l.name,
               (SELECT t.name FROM seats_internal.team AS t WHERE t.lane_id = j.lane_id AND t.kind = 'team'),
               j.reason, j.detail, NULL::bigint
          FROM seats_internal.journal AS j
          LEFT JOIN LATERAL (SELECT x.destination, x.name FROM seats_internal.lane AS x
                              WHERE x.id = j.lane_id LIMIT 1) AS l ON true
         WHERE j.number = ANY (walk.numbers) ORDER BY j.number DESC;
    IF walk.looked_to IS NOT NULL THEN
        looked_to := walk.looked_to;
        RETURN NEXT;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.search_journal(text, jsonb, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.search_journal(text, jsonb, bigint, integer) IS 'behind seats.search_journal';

CREATE OR REPLACE FUNCTION seats.search_journal(
    filter          jsonb   DEFAULT '{}',
    before_number   bigint  DEFAULT NULL,
    most            integer DEFAULT 100,
    OUT number      bigint,
    OUT at          timestamptz,
    OUT kind        text,
    OUT role        text,
    OUT actor       text,
    OUT person      text,
    OUT call        bigint,
    OUT destination text,
    OUT lane        text,
    OUT team        text,
    OUT reason      text,
    OUT detail      jsonb,
    OUT looked_to   bigint
) RETURNS SETOF record
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.search_journal(jsonb, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.search_journal(jsonb, bigint, integer) IS
    'entries of the journal, newest first, by a filter {team, destination and lane, kind, role, actor, person, call}, and at '
    'most so many. A last row without a number says in looked_to before which to go on; without it that was all';

-- ---- webhook events that wait

CREATE OR REPLACE FUNCTION seats_internal.list_webhook_problems(
    caller                 text,
    OUT endpoint           text,
    OUT destination        text,
    OUT type               text,
    OUT error              text,
    OUT events             bigint,
    OUT is_more            boolean,
    OUT oldest_received_at timestamptz,
    OUT next_try_at        timestamptz,
    OUT an_event           text
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
        WITH stored AS MATERIALIZED (
            SELECT w.endpoint, w.destination, w.type, w.error, w.received_at, w.retry_at, w.event_id
              FROM seats_internal.webhook_event AS w
             WHERE w.retry_at IS NOT NULL
             ORDER BY w.retry_at LIMIT seats_internal.most_looked_at())
        SELECT s.endpoint, s.destination, s.type, s.error, count(*),
               (SELECT count(*) FROM stored) = seats_internal.most_looked_at(), min(s.received_at), min(s.retry_at),
               min(s.event_id)
          FROM stored AS s
         GROUP BY s.endpoint, s.destination, s.type, s.error
         ORDER BY count(*) DESC, min(s.received_at);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.list_webhook_problems(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.list_webhook_problems(text) IS 'behind seats.list_webhook_problems';

CREATE OR REPLACE FUNCTION seats.list_webhook_problems(
    OUT endpoint           text,
    OUT destination        text,
    OUT type               text,
    OUT error              text,
    OUT events             bigint,
    OUT is_more            boolean,
    OUT oldest_received_at timestamptz,
    OUT next_try_at        timestamptz,
    OUT an_event           text
) RETURNS SETOF record
LANGUAGE c STABLE ROWS 10 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.list_webhook_problems() FROM PUBLIC;
COMMENT ON FUNCTION seats.list_webhook_problems() IS
    'events that could not be processed, by what they failed of, with the id of one; is_more: it has looked at 10,000, and '
    'there may be others';

-- ---- teams by the beginning of their name

-- In the order of bytes, in which all that begin alike stand together: so the first ones from there on are enough.
CREATE OR REPLACE FUNCTION seats_internal.list_teams(
    caller           text,
    prefix           text,
    after_team       text,
    most             integer,
    OUT team         text,
    OUT status       text,
    OUT problem      text,
    OUT destination  text,
    OUT subscription text
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
BEGIN
    PERFORM seats_internal.require_page(most);
    RETURN QUERY
        SELECT f.name, f.status, f.problem, f.destination, f.subscription
          FROM (SELECT t.name, t.status, t.problem, t.destination, t.subscription
                  FROM seats_internal.team AS t
                 WHERE t.kind = 'team' AND t.name ~>=~ coalesce(prefix, '') AND t.name ~>~ coalesce(after_team, '')
                 ORDER BY t.name USING ~<~ LIMIT most) AS f
         WHERE starts_with(f.name, coalesce(prefix, ''))
         ORDER BY f.name USING ~<~;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.list_teams(text, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.list_teams(text, text, text, integer) IS 'behind seats.list_teams';

CREATE OR REPLACE FUNCTION seats.list_teams(
    prefix           text    DEFAULT '',
    after_team       text    DEFAULT '',
    most             integer DEFAULT 100,
    OUT team         text,
    OUT status       text,
    OUT problem      text,
    OUT destination  text,
    OUT subscription text
) RETURNS SETOF record
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.list_teams(text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.list_teams(text, text, integer) IS
    'teams whose name begins so, at most so many, in the order of its bytes: go on after the last one';
