-- metrics_text: seats.metrics as Prometheus reads it (its text exposition format).

CREATE OR REPLACE FUNCTION seats_internal.labels_in_text(labels jsonb, names text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT '{' || string_agg(
               format('%s="%s"', n.name,
                      replace(replace(replace(labels ->> n.name, E'\\', E'\\\\'), '"', E'\\"'), E'\n', E'\\n')),
               ',' ORDER BY n.place) || '}'
      FROM unnest(names) WITH ORDINALITY AS n (name, place)
     WHERE labels ? n.name);
REVOKE ALL ON FUNCTION seats_internal.labels_in_text(jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.labels_in_text(jsonb, text[]) IS 'a metric''s labels as Prometheus reads them; null: none';

CREATE OR REPLACE FUNCTION seats_internal.metrics_text(caller text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
-- (The plan is kept as long as the session lives. What it finds by an index while tables are small it is to find so when
-- they are not.)
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
BEGIN
    RETURN (
        WITH value AS MATERIALIZED (SELECT * FROM seats_internal.metric_value)
        SELECT string_agg(
                   format(E'# HELP %s %s\n# TYPE %s %s\n', d.name, replace(d.help, E'\\', E'\\\\'), d.name, d.type) || v.lines,
                   '' ORDER BY d.place)
          FROM (SELECT m.*, row_number() OVER () AS place FROM seats_internal.metric_definitions() AS m) AS d
         CROSS JOIN LATERAL (
            SELECT string_agg(
                       format(E'%s%s%s %s\n', v.metric, v.part,
                              seats_internal.labels_in_text(v.labels, d.labels || '{le}'::text[]), v.value),
                       -- (Buckets before sum and count, and in their order.)
                       '' ORDER BY v.part <> '_bucket', v.part DESC, (v.labels ->> 'le')::double precision, v.labels::text)
                       AS lines
              FROM value AS v WHERE v.metric = d.name) AS v
         WHERE v.lines IS NOT NULL);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.metrics_text(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.metrics_text(text) IS 'behind seats.metrics_text';

CREATE OR REPLACE FUNCTION seats.metrics_text() RETURNS text
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.metrics_text() FROM PUBLIC;
COMMENT ON FUNCTION seats.metrics_text() IS
    'seats.metrics with help and types, as Prometheus reads it: what an application answers to GET /metrics';
