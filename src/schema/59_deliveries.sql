-- What receivers are told, and when. The worker looks (tell_receivers) whenever there may be news, at most
-- once a second. It compares the open alerts with what each receiver was told of them, so nothing that is
-- missed once is missed for good; a delivery is an outbox row like any other.
--
-- No body holds a secret, an answer of Stripe's or the body of a call. What others store for us (Slack,
-- Sentry) gets no detail either: those may name customers and link to their invoices.

CREATE TYPE seats_internal.news AS (
    type        text,        -- alert.opened, …; of the journal: the entry's kind
    fingerprint text,        -- what belongs together, for Sentry
    severity    text,
    title       text,        -- one line
    hint        text,
    labels      jsonb,       -- what may be told to anybody: numbers and names of our own
    data        jsonb        -- what a receiver of ours is told
);
COMMENT ON TYPE seats_internal.news IS 'something that a receiver is told';

-- Rendering: one function for each format.

CREATE FUNCTION seats_internal.iso_time(at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
REVOKE ALL ON FUNCTION seats_internal.iso_time(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.iso_time(timestamptz) IS 'a time as JSON likes it';

CREATE FUNCTION seats_internal.render_standard_webhook(news seats_internal.news, at timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('type', (news).type, 'timestamp', seats_internal.iso_time(at),
                          'data', (news).data || (news).labels)::text;
REVOKE ALL ON FUNCTION
    seats_internal.render_standard_webhook(seats_internal.news, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.render_standard_webhook(seats_internal.news, timestamptz) IS
    'news as the body of a standard webhook: type, timestamp, data';

-- Slack reads <, > and & as the beginning of links and mentions.
CREATE FUNCTION seats_internal.render_slack(news seats_internal.news) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object('text', replace(replace(replace(concat_ws(E'\n',
    format('%s%s: %s', CASE (news).type WHEN 'alert.resolved' THEN 'RESOLVED '
                                        WHEN 'alert.reminder' THEN 'REMINDER ' END,
           upper((news).severity), (news).title),
    (news).hint,
    format('database %s, %s', (news).labels ->> 'database',
           concat_ws(', ', (news).type, 'alert ' || ((news).labels ->> 'alert'),
                     'call ' || ((news).labels ->> 'call')))),
    '&', '&amp;'), '<', '&lt;'), '>', '&gt;'))::text;
REVOKE ALL ON FUNCTION seats_internal.render_slack(seats_internal.news) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.render_slack(seats_internal.news) IS
    'news as a message that Slack, and what is compatible with it, takes';

-- An envelope: a line of its own, a line for the item, the item. Sentry groups by the fingerprint, and
-- opens an issue again when one more event comes; so what is resolved comes under a fingerprint of its own.
CREATE FUNCTION seats_internal.render_sentry(news seats_internal.news, event_id uuid, at timestamptz)
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
        'extra', jsonb_strip_nulls(jsonb_build_object('hint', (news).hint)))::text;
    RETURN concat_ws(E'\n', jsonb_build_object('event_id', id),
        jsonb_build_object('type', 'event', 'content_type', 'application/json', 'length', octet_length(event)),
        event, '');
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.render_sentry(seats_internal.news, uuid, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.render_sentry(seats_internal.news, uuid, timestamptz) IS
    'news as an envelope with one event, as Sentry takes it';

-- No lock on the lane: nobody but the worker puts deliveries into it.
CREATE FUNCTION seats_internal.enqueue_delivery(
    r    seats_internal.receiver,
    news seats_internal.news
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id uuid        := gen_random_uuid();
    at timestamptz := clock_timestamp();
    i  seats_internal.installation;
BEGIN
    SELECT known.* INTO i FROM seats_internal.installation AS known;
    news.labels := jsonb_build_object('database', current_database(), 'installation', i.uuid)
                   || coalesce(news.labels, '{}');
    INSERT INTO seats_internal.outbox
        (lane_id, uuid, installation, destination, method, path, body, enqueued_by, kind)
    VALUES (r.lane_id, id, i.uuid, r.name, 'POST', r.path,
            CASE r.format WHEN 'standard_webhook' THEN seats_internal.render_standard_webhook(news, at)
                          WHEN 'slack' THEN seats_internal.render_slack(news)
                          ELSE seats_internal.render_sentry(news, id, at) END,
            'pg_seats', 'delivery');
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.enqueue_delivery(seats_internal.receiver, seats_internal.news) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.enqueue_delivery(seats_internal.receiver, seats_internal.news) IS
    'puts one delivery into the outbox';

-- Alerts.

-- What is due to be told to a receiver, or will be if nothing changes. Once per fingerprint and period,
-- except that a severity that rises is news at once; what is fatal and not acknowledged comes again. A
-- receiver is not told by itself that it does not answer.
CREATE FUNCTION seats_internal.alert_news(
    r            seats_internal.receiver,
    period       interval,
    reminder     interval,
    OUT alert_id bigint,
    OUT type     text,
    OUT due_at   timestamptz
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (a.id) a.id, n.type, n.due_at
      FROM seats_internal.alert AS a
      LEFT JOIN seats_internal.alert_told AS t ON t.receiver = r.name AND t.fingerprint = a.fingerprint
     CROSS JOIN LATERAL (
        SELECT seats_internal.severity_rank(a.severity) > seats_internal.severity_rank(t.severity) AS is_worse,
               t.alert_id IS NOT DISTINCT FROM a.id AS is_known) AS s
     CROSS JOIN LATERAL (VALUES
        ('alert.opened', CASE WHEN NOT s.is_known
                              THEN CASE WHEN t.receiver IS NULL OR s.is_worse THEN '-infinity'
                                        ELSE t.told_at + period END END),
        ('alert.severity_raised', CASE WHEN s.is_known AND s.is_worse THEN '-infinity'::timestamptz END),
        ('alert.repeated', CASE WHEN s.is_known AND a.acknowledged_at IS NULL AND a.occurrences > t.occurrences
                                THEN t.told_at + period END),
        ('alert.reminder', CASE WHEN s.is_known AND a.acknowledged_at IS NULL AND a.severity = 'fatal'
                                THEN t.told_at + reminder END)) AS n (type, due_at)
     WHERE a.resolved_at IS NULL AND n.due_at IS NOT NULL
       AND seats_internal.severity_rank(a.severity) >= seats_internal.severity_rank(r.minimum_severity)
       AND a.fingerprint <> 'receiver:' || r.name
     ORDER BY a.id, n.due_at, n.type DESC;
    RETURN QUERY
    SELECT a.id, 'alert.resolved', '-infinity'::timestamptz
      FROM seats_internal.alert_told AS t
      JOIN seats_internal.alert AS a ON a.id = t.alert_id
     WHERE t.receiver = r.name AND t.resolved_told_at IS NULL AND a.resolved_at IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.alert_news(seats_internal.receiver, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.alert_news(seats_internal.receiver, interval, interval) IS
    'what a receiver is to be told of alerts, and from when on';

CREATE FUNCTION seats_internal.news_of_alert(a seats_internal.alert, type text) RETURNS seats_internal.news
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN ROW(
    type, (a).fingerprint, (a).severity, (a).summary,
    CASE type WHEN 'alert.resolved' THEN (a).resolution ELSE (a).hint END,
    jsonb_strip_nulls(jsonb_build_object('alert', (a).id, 'kind', (a).kind, 'call', (a).call_id,
                                         'destination', (a).destination)),
    jsonb_strip_nulls(jsonb_build_object(
        'fingerprint', (a).fingerprint, 'severity', (a).severity, 'summary', (a).summary, 'hint', (a).hint,
        'detail', (a).detail, 'occurrences', (a).occurrences,
        'first_seen_at', seats_internal.iso_time((a).first_seen_at),
        'last_seen_at', seats_internal.iso_time((a).last_seen_at),
        'resolved_at', seats_internal.iso_time((a).resolved_at),
        'resolution', (a).resolution)))::seats_internal.news;
REVOKE ALL ON FUNCTION seats_internal.news_of_alert(seats_internal.alert, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.news_of_alert(seats_internal.alert, text) IS
    'an alert as it is told to receivers';

CREATE FUNCTION seats_internal.note_told(r seats_internal.receiver, alerts bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.alert_told AS t
       SET resolved_told_at = clock_timestamp()
      FROM seats_internal.alert AS a
     WHERE a.id = ANY (alerts) AND a.resolved_at IS NOT NULL
       AND t.receiver = r.name AND t.fingerprint = a.fingerprint AND t.alert_id = a.id;
    INSERT INTO seats_internal.alert_told AS t
        (receiver, fingerprint, alert_id, severity, occurrences, told_at)
    SELECT r.name, a.fingerprint, a.id, a.severity, a.occurrences, clock_timestamp()
      FROM seats_internal.alert AS a
     WHERE a.id = ANY (alerts) AND a.resolved_at IS NULL
    ON CONFLICT ON CONSTRAINT alert_told_pkey DO UPDATE
       SET alert_id = excluded.alert_id, severity = excluded.severity,
           occurrences = excluded.occurrences, told_at = excluded.told_at, resolved_told_at = NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.note_told(seats_internal.receiver, bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_told(seats_internal.receiver, bigint[]) IS
    'remembers that a receiver was told of these alerts, as they are now';

-- What does not fit into the minute: one delivery for all of it.
CREATE FUNCTION seats_internal.news_of_many(alerts bigint[], types text[]) RETURNS seats_internal.news
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    worst  text;
    counts jsonb;
    words  text;
BEGIN
    SELECT (array_agg(c.severity ORDER BY seats_internal.severity_rank(c.severity) DESC))[1],
           jsonb_agg(jsonb_build_object('type', c.type, 'severity', c.severity, 'kind', c.kind, 'count', c.n)
                     ORDER BY c.n DESC, c.kind, c.type),
           string_agg(format('%s × %s (%s, %s)', c.n, c.kind, c.severity, c.type), '; ' ORDER BY c.n DESC, c.kind, c.type)
      INTO worst, counts, words
      FROM (SELECT n.type, a.severity, a.kind, count(*) AS n
              FROM unnest(alerts, types) AS n (id, type)
              JOIN seats_internal.alert AS a ON a.id = n.id
             GROUP BY n.type, a.severity, a.kind) AS c;
    RETURN ROW('alert.summary', 'summary', worst,
               format('%s more alerts: %s', cardinality(alerts), left(words, 500)),
               'See seats.alerts.', '{}'::jsonb,
               jsonb_build_object('severity', worst, 'alerts', cardinality(alerts), 'counts', counts)
              )::seats_internal.news;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.news_of_many(bigint[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.news_of_many(bigint[], text[]) IS
    'many alerts as one piece of news: how many of which kind';

-- The worst first; beyond `most` in a minute one summary, and then nothing until the minute is over.
-- Gives when to look again, if time alone makes news.
CREATE FUNCTION seats_internal.tell_alerts(
    r        seats_internal.receiver,
    period   interval,
    reminder interval,
    most     integer
) RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now     timestamptz := clock_timestamp();
    alerts  bigint[];
    types   text[];
    next_at timestamptz;
    single  integer;
BEGIN
    SELECT array_agg(n.alert_id ORDER BY seats_internal.severity_rank(a.severity) DESC, n.alert_id)
               FILTER (WHERE n.due_at <= now),
           array_agg(n.type ORDER BY seats_internal.severity_rank(a.severity) DESC, n.alert_id)
               FILTER (WHERE n.due_at <= now),
           min(n.due_at) FILTER (WHERE n.due_at > now)
      INTO alerts, types, next_at
      FROM seats_internal.alert_news(r, period, reminder) AS n
      JOIN seats_internal.alert AS a ON a.id = n.alert_id;
    IF alerts IS NULL THEN
        RETURN next_at;
    END IF;
    IF r.minute_began_at + interval '1 minute' <= now THEN
        r.minute_began_at := now;
        r.told_in_minute := 0;
    END IF;
    IF r.told_in_minute > most THEN
        RETURN least(next_at, r.minute_began_at + interval '1 minute');
    END IF;
    single := least(cardinality(alerts), most - r.told_in_minute);
    PERFORM seats_internal.enqueue_delivery(r, seats_internal.news_of_alert(a, n.type))
       FROM unnest(alerts[:single], types[:single]) WITH ORDINALITY AS n (id, type, position)
       JOIN seats_internal.alert AS a ON a.id = n.id
      ORDER BY n.position;
    IF cardinality(alerts) > single THEN
        PERFORM seats_internal.enqueue_delivery(
            r, seats_internal.news_of_many(alerts[single + 1:], types[single + 1:]));
    END IF;
    UPDATE seats_internal.receiver AS known
       SET minute_began_at = r.minute_began_at,
           told_in_minute = CASE WHEN cardinality(alerts) > single THEN most + 1
                                 ELSE r.told_in_minute + single END
     WHERE known.name = r.name;
    PERFORM seats_internal.note_told(r, alerts);
    -- What was told has a time of its own to come again.
    RETURN (SELECT min(n.due_at) FROM seats_internal.alert_news(r, period, reminder) AS n);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.tell_alerts(seats_internal.receiver, interval, interval, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.tell_alerts(seats_internal.receiver, interval, interval, integer) IS
    'tells a receiver what is new of alerts; gives when to look again';

-- The journal.

CREATE FUNCTION seats_internal.is_chosen(kind text, chosen text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN kind = ANY (chosen) OR '*' = ANY (chosen) OR split_part(kind, '.', 1) || '.*' = ANY (chosen);
REVOKE ALL ON FUNCTION seats_internal.is_chosen(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_chosen(text, text[]) IS
    'is this kind of the journal among the chosen ones?';

-- Every chosen entry, in order, at most `most` at once. True if there are more.
CREATE FUNCTION seats_internal.tell_journal(r seats_internal.receiver, most integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looked_at constant integer := 1000;
    entry  record;
    passed bigint  := r.journal_number;
    seen   integer := 0;
    told   integer := 0;
BEGIN
    IF r.journal_kinds = '{}' THEN
        RETURN false;
    END IF;
    -- No join: LIMIT must reach the index, and a hash join would read all teams and the whole backlog.
    FOR entry IN
        SELECT j.number, j.at, j.kind, j.actor, j.call_id, j.reason, j.detail,
               coalesce(j.detail ->> 'team', seats_internal.name_of_payer(j.lane_id, 'team')) AS team,
               coalesce(j.detail ->> 'individual',
                        seats_internal.name_of_payer(j.lane_id, 'individual')) AS individual
          FROM seats_internal.journal AS j
         WHERE j.number > r.journal_number
         ORDER BY j.number
         LIMIT looked_at
    LOOP
        EXIT WHEN told >= most;
        seen := seen + 1;
        passed := entry.number;
        CONTINUE WHEN NOT seats_internal.is_chosen(entry.kind, r.journal_kinds);
        told := told + 1;
        PERFORM seats_internal.enqueue_delivery(r, ROW(
            entry.kind, entry.kind, 'info',
            concat_ws(' ', entry.kind, 'of team ' || entry.team, 'of individual ' || entry.individual,
                      '(' || entry.reason || ')'), NULL,
            jsonb_strip_nulls(jsonb_build_object('number', entry.number, 'call', entry.call_id)),
            jsonb_strip_nulls(jsonb_build_object(
                'kind', entry.kind, 'at', seats_internal.iso_time(entry.at), 'actor', entry.actor,
                'team', entry.team, 'individual', entry.individual, 'reason', entry.reason,
                'detail', entry.detail)))::seats_internal.news);
    END LOOP;
    IF passed > r.journal_number THEN
        UPDATE seats_internal.receiver AS known SET journal_number = passed WHERE known.name = r.name;
    END IF;
    RETURN told >= most OR seen = looked_at;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.tell_journal(seats_internal.receiver, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tell_journal(seats_internal.receiver, integer) IS
    'tells a receiver the chosen entries of the journal; true if there are more';

-- Called by the worker. A receiver with two hundred deliveries in its lane gets no more until it has taken
-- some: what it is still to be told stands in the tables of alerts and journal, and is not forgotten there.
-- One that somebody is just defining anew is left for the next time: that commit wakes the worker.
CREATE FUNCTION seats_internal.tell_receivers(
    period      interval,
    reminder    interval,
    most        integer,
    OUT enqueued boolean,
    OUT look_in double precision
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most_waiting constant integer := 200;
    r       seats_internal.receiver;
    room    bigint;
    next_at timestamptz;
BEGIN
    enqueued := false;
    FOR r IN SELECT known.* FROM seats_internal.receiver AS known
              ORDER BY known.name FOR NO KEY UPDATE SKIP LOCKED LOOP
        SELECT most_waiting - count(*) INTO room FROM seats_internal.outbox AS o WHERE o.lane_id = r.lane_id;
        CONTINUE WHEN room <= 0;
        next_at := least(next_at, seats_internal.tell_alerts(r, period, reminder, most));
        IF seats_internal.tell_journal(r, least(room, 100)::integer) THEN
            next_at := clock_timestamp();
        END IF;
        enqueued := enqueued OR most_waiting - room < (SELECT count(*) FROM seats_internal.outbox AS o
                                                        WHERE o.lane_id = r.lane_id);
    END LOOP;
    look_in := CASE WHEN next_at IS NOT NULL
                    THEN greatest(extract(epoch FROM next_at - clock_timestamp()), 0) END;
    -- What is over and was told is remembered as long as it could keep the same from being told again.
    DELETE FROM seats_internal.alert_told AS t
     WHERE t.resolved_told_at IS NOT NULL AND t.told_at < clock_timestamp() - period;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.tell_receivers(interval, interval, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tell_receivers(interval, interval, integer) IS
    'puts into the outbox what receivers are to be told; gives in how many seconds to look again, null: not before there is news; called by the worker';
