-- What lists and bulk verbs have in common: a filter is {key: value}, from keys that each names, so that what somebody has
-- looked at is what he then acts on. A list looks at so many rows at most and says how far it has come; the next page goes
-- on there.

CREATE OR REPLACE FUNCTION seats_internal.require_filter(filter jsonb, keys text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(filter) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a filter is an object' USING ERRCODE = 'PS411',
            HINT = format('For example {"%s": "…"}; {} for all. Its keys: %s.', keys[1], array_to_string(keys, ', '));
    END IF;
    SELECT string_agg(quote_ident(f.key), ', ' ORDER BY f.key) INTO wrong FROM jsonb_each(filter) AS f WHERE f.key <> ALL (keys);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'a filter here has no key %', wrong USING ERRCODE = 'PS411',
            HINT = format('Its keys: %s.', array_to_string(keys, ', '));
    END IF;
    SELECT string_agg(quote_ident(f.key), ', ' ORDER BY f.key) INTO wrong
      FROM jsonb_each(filter) AS f WHERE jsonb_typeof(f.value) <> 'string';
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'what a filter has for % is no text', wrong USING ERRCODE = 'PS411',
            HINT = 'Leave a key out that does not matter.';
    END IF;
    -- (It is compared with what each of thousands of rows has.)
    IF octet_length(filter::text) > 16384 THEN
        RAISE EXCEPTION 'a filter of % bytes is too large', octet_length(filter::text) USING ERRCODE = 'PS411',
            HINT = 'What it could find is shorter: at most 16384 bytes are taken.';
    ELSIF filter ? 'team' AND filter ? 'lane' THEN
        RAISE EXCEPTION 'a filter has a team or a lane, not both' USING ERRCODE = 'PS411',
            HINT = 'A team has one lane; seats.calls shows it.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_filter(jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_filter(jsonb, text[]) IS
    'an error unless a filter has these keys only, and texts for them';

CREATE OR REPLACE FUNCTION seats_internal.require_page(most integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF most IS NULL OR most NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'a page has 1 to 1000 rows' USING ERRCODE = 'PS412',
            HINT = 'Ask for the next page from what the last row says in looked_to.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_page(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_page(integer) IS 'an error unless a page may have so many rows';

CREATE OR REPLACE FUNCTION seats_internal.most_looked_at() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 10000;
REVOKE ALL ON FUNCTION seats_internal.most_looked_at() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.most_looked_at() IS
    'at how many rows one page of a list looks, and how many a bulk verb changes';

-- Null: the filter names neither lane nor team.
CREATE OR REPLACE FUNCTION seats_internal.filtered_lane(filter jsonb) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lane bigint;
BEGIN
    IF filter ? 'team' THEN
        SELECT t.lane_id INTO lane FROM seats_internal.team AS t WHERE t.kind = 'team' AND t.name = filter ->> 'team';
        IF NOT FOUND THEN
            PERFORM seats_internal.raise_no_such_team(filter ->> 'team');
        END IF;
    ELSIF filter ? 'lane' THEN
        SELECT l.id INTO lane FROM seats_internal.lane AS l
         WHERE l.destination = filter ->> 'destination' AND l.name = filter ->> 'lane';
        IF NOT FOUND THEN
            RAISE EXCEPTION '%',
                CASE WHEN filter ? 'destination' THEN format('destination %I has no lane %I', filter ->> 'destination', filter ->> 'lane')
                     ELSE format('of which destination is lane %I?', filter ->> 'lane') END
                USING ERRCODE = 'PS408', HINT = 'A filter with a lane names its destination, too; seats.calls shows them.';
        END IF;
    END IF;
    RETURN lane;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.filtered_lane(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.filtered_lane(jsonb) IS 'the lane that a filter names, by itself or as a team''s';

CREATE OR REPLACE FUNCTION seats_internal.filtered_state(filter jsonb) RETURNS seats_internal.outbox_state
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (filter ->> 'state')::seats_internal.outbox_state;
EXCEPTION WHEN invalid_text_representation THEN
    RAISE EXCEPTION 'an open call has no state %', quote_literal(filter ->> 'state') USING ERRCODE = 'PS411',
        HINT = 'States: ' || array_to_string(enum_range(NULL::seats_internal.outbox_state), ', ')
               || '. What is settled is in seats.list_history.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.filtered_state(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.filtered_state(jsonb) IS 'the state that a filter names, or an error';

-- A single expression each, so that they are inlined: they are asked of every row that is looked at.
CREATE OR REPLACE FUNCTION seats_internal.value_fits(filter jsonb, key text, value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN filter ->> key IS NULL OR value = filter ->> key;
REVOKE ALL ON FUNCTION seats_internal.value_fits(jsonb, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.value_fits(jsonb, text, text) IS 'whether a filter lets a value through, under this key';

CREATE OR REPLACE FUNCTION seats_internal.call_fits(call seats_internal.outbox, filter jsonb, lane bigint)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (lane IS NULL OR (call).lane_id = lane)
       AND seats_internal.value_fits(filter, 'destination', (call).destination)
       AND seats_internal.value_fits(filter, 'state', (call).state::text)
       AND seats_internal.value_fits(filter, 'reason', (call).reason)
       AND seats_internal.value_fits(filter, 'error_code', (call).error_code);
REVOKE ALL ON FUNCTION seats_internal.call_fits(seats_internal.outbox, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.call_fits(seats_internal.outbox, jsonb, bigint) IS
    'whether a filter, whose lane was looked up, lets an open call through';
