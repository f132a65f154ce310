-- What receivers are told, in the format of each.
--
-- No body holds a secret, an answer of Stripe's or the body of a call. What others store for us (Slack,
-- Sentry) gets no detail either: those may name customers and link to their invoices.

CREATE OR REPLACE FUNCTION seats_internal.iso_time(at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
REVOKE ALL ON FUNCTION seats_internal.iso_time(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.iso_time(timestamptz) IS 'a time as JSON likes it';

-- The page of the operator's desk: of the call, if the news are of one.
CREATE OR REPLACE FUNCTION seats_internal.desk_link(console_url text, labels jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN rtrim(nullif(console_url, ''), '/') || coalesce('/calls/' || (labels ->> 'call'), '/');
REVOKE ALL ON FUNCTION seats_internal.desk_link(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.desk_link(text, jsonb) IS
    'where the operator''s desk shows what there are news of; null: nobody has said where the desk is';

CREATE OR REPLACE FUNCTION seats_internal.render_standard_webhook(news seats_internal.news, at timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('type', (news).type, 'timestamp', seats_internal.iso_time(at),
                          'data', (news).data || (news).labels || jsonb_strip_nulls(jsonb_build_object(
                              'url', seats_internal.desk_link(current_setting('pg_seats.console_url', true), (news).labels))))::text;
REVOKE ALL ON FUNCTION
    seats_internal.render_standard_webhook(seats_internal.news, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.render_standard_webhook(seats_internal.news, timestamptz) IS
    'news as the body of a standard webhook: type, timestamp, data';

-- Slack reads <, > and & as the beginning of links and mentions; what is compatible with it (Mattermost,
-- Rocket.Chat, Discord) calls everybody at a bare @channel. An invisible character behind each @ keeps
-- whoever may choose a name from calling anybody.
CREATE OR REPLACE FUNCTION seats_internal.render_slack(news seats_internal.news) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('text', replace(replace(replace(replace(concat_ws(E'\n',
    format('%s%s: %s', CASE (news).type WHEN 'alert.resolved' THEN 'RESOLVED '
                                        WHEN 'alert.reminder' THEN 'REMINDER ' END,
           upper((news).severity), (news).title),
    (news).hint,
    format('database %s, %s', (news).labels ->> 'database',
           concat_ws(', ', (news).type, 'alert ' || ((news).labels ->> 'alert'),
                     'call ' || ((news).labels ->> 'call'))),
    seats_internal.desk_link(current_setting('pg_seats.console_url', true), (news).labels)),
    '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '@', '@' || chr(8203)))::text;
REVOKE ALL ON FUNCTION seats_internal.render_slack(seats_internal.news) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.render_slack(seats_internal.news) IS
    'news as a message that Slack, and what is compatible with it, takes';

-- An envelope: a line of its own, a line for the item, the item. Sentry groups by the fingerprint, and
-- opens an issue again when one more event comes; so what is resolved comes under a fingerprint of its own.
CREATE OR REPLACE FUNCTION seats_internal.render_sentry(news seats_internal.news, event_id uuid, at timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id    text := replace(event_id::text, '-', '');
    event text;
BEGIN
    event := jsonb_build_object(
        'event_id', id, 'timestamp', seats_internal.iso_time(at), 'platform', 'other', 'logger', 'pg_seats',
        'level', CASE WHEN (news).type = 'alert.resolved' THEN 'info'
                      WHEN (news).severity = 'critical' THEN 'error' ELSE (news).severity END,
        'message', jsonb_build_object('formatted', (news).title),
        'fingerprint', jsonb_build_array('pg_seats', (news).labels ->> 'installation', (news).fingerprint)
                       || CASE WHEN (news).type = 'alert.resolved' THEN '["resolved"]' ELSE '[]' END::jsonb,
        -- A tag's value is a text.
        'tags', (SELECT jsonb_object_agg(l.key, l.value) FROM jsonb_each_text((news).labels) AS l
                  WHERE l.value IS NOT NULL) || jsonb_build_object('type', (news).type),
        'extra', jsonb_strip_nulls(jsonb_build_object(
            'hint', (news).hint,
            'url', seats_internal.desk_link(current_setting('pg_seats.console_url', true), (news).labels))))::text;
    RETURN concat_ws(E'\n', jsonb_build_object('event_id', id),
        jsonb_build_object('type', 'event', 'content_type', 'application/json', 'length', octet_length(event)),
        event, '');
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.render_sentry(seats_internal.news, uuid, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.render_sentry(seats_internal.news, uuid, timestamptz) IS
    'news as an envelope with one event, as Sentry takes it';
