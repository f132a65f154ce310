-- Lists for an operator's console, by key and with a bound. The last row of a page has only looked_to, where the next page
-- goes on; without such a row that was all. So a page may have no other row: nothing that fits was among those that were
-- looked at. (Plans are made once in a session, perhaps while there was next to nothing: they may then only be such as cost
-- the same when there are millions, as those of team_page. The settings hold for what a list calls, too.)

-- ---- open calls

-- By the lane, by the index of what stands, or, for what is on its way, from the oldest on.
CREATE OR REPLACE FUNCTION seats_internal.walk_calls(
    filter        jsonb,
    after_call    bigint,
    most          integer,
    OUT calls     bigint[],
    OUT looked_to bigint
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looks   CONSTANT integer := seats_internal.most_looked_at();
    in_lane CONSTANT bigint := seats_internal.filtered_lane(filter);
    stands  seats_internal.outbox_state := seats_internal.filtered_state(filter);
    looked  integer := 0;
    found   record;
BEGIN
    calls := '{}';
    stands := CASE WHEN stands >= 'waiting' THEN stands END;  -- as outbox.standing has it
    FOR found IN
        (SELECT o.id, seats_internal.call_fits(o, filter, in_lane) AS fits FROM seats_internal.outbox AS o
          WHERE in_lane IS NOT NULL AND o.lane_id BETWEEN in_lane AND in_lane AND o.id > after_call
          ORDER BY o.lane_id, o.id LIMIT looks)
        UNION ALL
        (SELECT o.id, seats_internal.call_fits(o, filter, in_lane) FROM seats_internal.outbox AS o
          WHERE in_lane IS NULL AND o.standing = stands AND o.id > after_call
          ORDER BY o.standing, o.id LIMIT looks)
        UNION ALL
        (SELECT o.id, seats_internal.call_fits(o, filter, in_lane) FROM seats_internal.outbox AS o
          WHERE in_lane IS NULL AND stands IS NULL AND o.id > after_call
          ORDER BY o.id LIMIT looks)
    LOOP
        looked := looked + 1;
        looked_to := found.id;
        calls := CASE WHEN found.fits THEN calls || found.id ELSE calls END;
        EXIT WHEN cardinality(calls) = most;
    END LOOP;
    looked_to := CASE WHEN looked = looks OR cardinality(calls) = most THEN looked_to END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.walk_calls(jsonb, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.walk_calls(jsonb, bigint, integer) IS
    'open calls that a filter lets through, and where to go on; null: there are no more';

CREATE OR REPLACE FUNCTION seats_internal.list_calls(
    caller          text,
    filter          jsonb,
    after_call      bigint,
    most            integer,
    OUT call        bigint,
    OUT state       text,
    OUT state_since timestamptz,
    OUT destination text,
    OUT lane        text,
    OUT team        text,
    OUT method      text,
    OUT path        text,
    OUT attempts    integer,
    OUT due_at      timestamptz,
    OUT reason      text,
    OUT error       text,
    OUT error_code  text,
    OUT created_at  timestamptz,
    OUT enqueued_by text,
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
    PERFORM seats_internal.require_filter(filter, '{state,destination,lane,team,reason,error_code}');
    PERFORM seats_internal.require_page(most);
    SELECT * INTO walk FROM seats_internal.walk_calls(filter, coalesce(after_call, 0), most);
    RETURN QUERY
        SELECT o.id, o.state::text, o.state_since, o.destination,
               (SELECT l.name FROM seats_internal.lane AS l WHERE l.id = o.lane_id),
               (SELECT t.name FROM seats_internal.team AS t WHERE t.lane_id = o.lane_id AND t.kind = 'team'),
               o.method, o.path, o.attempts, o.due_at, o.reason, o.last_error, o.error_code, o.created_at, o.enqueued_by,
               NULL::bigint
          FROM seats_internal.outbox AS o
         WHERE o.id = ANY (walk.calls) ORDER BY o.id;
    IF walk.looked_to IS NOT NULL THEN
        looked_to := walk.looked_to;
        RETURN NEXT;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.list_calls(text, jsonb, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.list_calls(text, jsonb, bigint, integer) IS 'behind seats.list_calls';

CREATE OR REPLACE FUNCTION seats.list_calls(
    filter          jsonb   DEFAULT '{}',
    after_call      bigint  DEFAULT 0,
    most            integer DEFAULT 100,
    OUT call        bigint,
    OUT state       text,
    OUT state_since timestamptz,
    OUT destination text,
    OUT lane        text,
    OUT team        text,
    OUT method      text,
    OUT path        text,
    OUT attempts    integer,
    OUT due_at      timestamptz,
    OUT reason      text,
    OUT error       text,
    OUT error_code  text,
    OUT created_at  timestamptz,
    OUT enqueued_by text,
    OUT looked_to   bigint
) RETURNS SETOF record
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.list_calls(jsonb, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.list_calls(jsonb, bigint, integer) IS
    'open calls from the oldest on, by a filter {state, destination, lane, team, reason, error_code}, and at most so many. A '
    'last row without a call says in looked_to after which call to go on; without it that was all';

-- ---- settled calls

-- Newest first, by id: each partition is asked by its key. What one of them was not looked at any further for is left to the
-- next page.
CREATE OR REPLACE FUNCTION seats_internal.list_history(
    caller          text,
    filter          jsonb,
    before_call     bigint,
    most            integer,
    OUT call        bigint,
    OUT result      text,
    OUT settled_at  timestamptz,
    OUT settled_by  text,
    OUT destination text,
    OUT lane        text,
    OUT team        text,
    OUT method      text,
    OUT path        text,
    OUT attempts    integer,
    OUT http_status integer,
    OUT reason      text,
    OUT error       text,
    OUT error_code  text,
    OUT created_at  timestamptz,
    OUT enqueued_by text,
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
    slots CONSTANT smallint[] := seats_internal.ring_slots();
    looks integer := seats_internal.most_looked_at() / cardinality(slots);
    found record;
BEGIN
    PERFORM seats_internal.require_filter(filter, '{result,destination,reason,error_code}');
    PERFORM seats_internal.require_page(most);
    looks := CASE filter WHEN '{}' THEN least(looks, most) ELSE looks END;
    WITH looked AS MATERIALIZED (
        SELECT s.slot, h.id, h.fits, row_number() OVER (PARTITION BY s.slot ORDER BY h.id DESC) AS place
          FROM unnest(slots) AS s (slot)
         CROSS JOIN LATERAL (
            SELECT x.id, seats_internal.value_fits(filter, 'result', x.result)
                         AND seats_internal.value_fits(filter, 'destination', x.destination)
                         AND seats_internal.value_fits(filter, 'reason', x.reason)
                         AND seats_internal.value_fits(filter, 'error_code', x.error_code) AS fits
              FROM seats_internal.outbox_history AS x
             WHERE x.ring = s.slot AND x.id < coalesce(before_call, 9223372036854775807)
             ORDER BY x.ring DESC, x.id DESC LIMIT looks) AS h)
    SELECT array_agg(g.slot ORDER BY g.id DESC) AS slots, array_agg(g.id ORDER BY g.id DESC) AS calls, max(b.id) AS looked_to
      INTO found
      FROM (SELECT max(l.id) AS id FROM looked AS l WHERE l.place = looks) AS b
      LEFT JOIN LATERAL (
        SELECT l.slot, l.id FROM looked AS l
         WHERE l.fits AND l.id >= coalesce(b.id, 0) ORDER BY l.id DESC LIMIT most) AS g ON true;
    RETURN QUERY
        SELECT h.id, h.result, h.settled_at, h.settled_by, h.destination,
               (SELECT l.name FROM seats_internal.lane AS l WHERE l.id = h.lane_id),
               (SELECT t.name FROM seats_internal.team AS t WHERE t.lane_id = h.lane_id AND t.kind = 'team'),
               h.method, h.path, h.attempts, nullif(h.http_status, 0), h.reason, h.error, h.error_code, h.created_at,
               h.enqueued_by, NULL::bigint
          FROM unnest(found.slots, found.calls) AS f (slot, id)
         CROSS JOIN LATERAL (SELECT x.* FROM seats_internal.outbox_history AS x
                              WHERE x.ring = f.slot AND x.id = f.id LIMIT 1) AS h
         ORDER BY h.id DESC;
    looked_to := coalesce(found.calls[most], found.looked_to);
    IF looked_to IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.list_history(text, jsonb, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.list_history(text, jsonb, bigint, integer) IS 'behind seats.list_history';

CREATE OR REPLACE FUNCTION seats.list_history(
    filter          jsonb   DEFAULT '{}',
    before_call     bigint  DEFAULT NULL,
    most            integer DEFAULT 100,
    OUT call        bigint,
    OUT result      text,
    OUT settled_at  timestamptz,
    OUT settled_by  text,
    OUT destination text,
    OUT lane        text,
    OUT team        text,
    OUT method      text,
    OUT path        text,
    OUT attempts    integer,
    OUT http_status integer,
    OUT reason      text,
    OUT error       text,
    OUT error_code  text,
    OUT created_at  timestamptz,
    OUT enqueued_by text,
    OUT looked_to   bigint
) RETURNS SETOF record
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.list_history(jsonb, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.list_history(jsonb, bigint, integer) IS
    'settled calls from the newest number on, by a filter {result, destination, reason, error_code}, and at most so many. A last '
    'row without a call says in looked_to before which call to go on; without it that was all';
