-- What receivers are told, and when. The worker looks (deliver_news) whenever there may be news, at most
-- once a second. It compares the alerts to which something has happened with what each receiver was told of
-- them, and goes on where it has stopped, so nothing is missed for good; a delivery is an outbox row like any other.

-- Alerts.

-- What of these alerts is due to be told to a receiver, or will be if nothing changes. Once per fingerprint
-- and period, except that a severity that rises is news at once; what is fatal and not acknowledged comes
-- again. A receiver is not told by itself that it does not answer. (OFFSET 0: each alert is looked
-- up, and what the receiver was told of it. A join, or id = ANY, that was planned while the tables were small
-- reads all of them.)
CREATE OR REPLACE FUNCTION seats_internal.alert_news(
    r               seats_internal.receiver,
    period          interval,
    reminder        interval,
    alerts          bigint[],
    OUT alert_id    bigint,
    OUT fingerprint text,
    OUT rank        integer,
    OUT type        text,
    OUT due_at      timestamptz
) RETURNS SETOF record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (a.id) a.id, a.fingerprint, seats_internal.severity_rank(a.severity), n.type, n.due_at
      FROM (SELECT DISTINCT u.id FROM unnest(alerts) AS u (id)) AS l
     CROSS JOIN LATERAL (SELECT a.* FROM seats_internal.alert AS a WHERE a.id = l.id OFFSET 0) AS a
      LEFT JOIN LATERAL (
        SELECT t.* FROM seats_internal.alert_told AS t
         WHERE t.receiver = r.name AND t.fingerprint = a.fingerprint OFFSET 0) AS t ON true
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
    SELECT a.id, a.fingerprint, seats_internal.severity_rank(a.severity), 'alert.resolved',
           '-infinity'::timestamptz
      FROM (SELECT DISTINCT u.id FROM unnest(alerts) AS u (id)) AS l
     CROSS JOIN LATERAL (SELECT a.* FROM seats_internal.alert AS a WHERE a.id = l.id OFFSET 0) AS a
     WHERE a.resolved_at IS NOT NULL
       AND a.id = (SELECT t.alert_id FROM seats_internal.alert_told AS t
                    WHERE t.receiver = r.name AND t.fingerprint = a.fingerprint
                      AND t.resolved_told_at IS NULL);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.alert_news(seats_internal.receiver, interval, interval, bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.alert_news(seats_internal.receiver, interval, interval, bigint[]) IS
    'what a receiver is to be told of these alerts, and from when on';

CREATE OR REPLACE FUNCTION seats_internal.news_of_alert(a seats_internal.alert, type text) RETURNS seats_internal.news
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

CREATE OR REPLACE FUNCTION seats_internal.note_told(
    r        seats_internal.receiver,
    reminder interval,
    alerts   bigint[],
    delivery bigint
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a seats_internal.alert;
BEGIN
    FOR a IN
        SELECT known.* FROM unnest(alerts) AS u (id)
         CROSS JOIN LATERAL (SELECT f.* FROM seats_internal.alert AS f WHERE f.id = u.id OFFSET 0) AS known
         WHERE known.resolved_at IS NOT NULL
    LOOP
        UPDATE seats_internal.alert_told AS t
           SET resolved_told_at = clock_timestamp(), resolved_delivery_id = delivery
         WHERE t.receiver = r.name AND t.fingerprint = a.fingerprint AND t.alert_id = a.id;
    END LOOP;
    INSERT INTO seats_internal.alert_told AS t
        (receiver, fingerprint, alert_id, severity, occurrences, told_at, due_at, delivery_id)
    SELECT r.name, known.fingerprint, known.id, known.severity, known.occurrences, clock_timestamp(),
           CASE WHEN known.severity = 'fatal' AND known.acknowledged_at IS NULL
                THEN clock_timestamp() + reminder END,
           delivery
      FROM unnest(alerts) AS u (id)
     CROSS JOIN LATERAL (SELECT f.* FROM seats_internal.alert AS f WHERE f.id = u.id OFFSET 0) AS known
     WHERE known.resolved_at IS NULL
    ON CONFLICT ON CONSTRAINT alert_told_pkey DO UPDATE
       SET alert_id = excluded.alert_id, severity = excluded.severity,
           occurrences = excluded.occurrences, told_at = excluded.told_at, due_at = excluded.due_at,
           delivery_id = excluded.delivery_id, resolved_told_at = NULL, resolved_delivery_id = NULL;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.note_told(seats_internal.receiver, interval, bigint[], bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_told(seats_internal.receiver, interval, bigint[], bigint) IS
    'remembers that a receiver was told of these alerts, as they are now, by this delivery';

-- What does not fit into the minute: one delivery for all of it.
CREATE OR REPLACE FUNCTION seats_internal.news_of_many(alerts bigint[], types text[]) RETURNS seats_internal.news
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
             CROSS JOIN LATERAL (SELECT f.* FROM seats_internal.alert AS f WHERE f.id = n.id OFFSET 0) AS a
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

-- Which alerts a receiver has to look at: those to which something has happened, and those whose time has
-- come, the worst first, at most `most` (plus as many that are resolved). Its positions move on.
CREATE OR REPLACE FUNCTION seats_internal.alerts_to_look_at(
    INOUT r          seats_internal.receiver,
    at               timestamptz,
    most             integer,
    OUT alerts       bigint[],
    OUT there_is_more boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    severities constant text[] := '{info,warning,critical,fatal}';
    ids    bigint[];
    passed bigint;
    due    tid[];
BEGIN
    alerts := '{}';
    FOR level IN REVERSE 4 .. 1 LOOP
        IF level >= seats_internal.severity_rank(r.minimum_severity) THEN
            SELECT array_agg(n.id), max(n.number) INTO ids, passed
              FROM (SELECT a.id, a.number FROM seats_internal.alert AS a
                     WHERE a.severity = severities[level] AND a.resolved_at IS NULL
                       AND a.number > r.alert_numbers[level]
                     ORDER BY a.number LIMIT most - cardinality(alerts)) AS n;
            IF passed IS NOT NULL THEN
                r.alert_numbers[level] := passed;
                alerts := alerts || ids;
            END IF;
        END IF;
        -- Whether their time has come is asked anew; until that is found, nothing is due. (Nobody else
        -- changes these rows: the receiver is locked.)
        SELECT array_agg(n.place),
               array_agg(coalesce((SELECT a.id FROM seats_internal.alert AS a
                                    WHERE a.fingerprint = n.fingerprint AND a.resolved_at IS NULL),
                                  n.alert_id))
          INTO due, ids
          FROM (SELECT t.ctid AS place, t.fingerprint, t.alert_id FROM seats_internal.alert_told AS t
                 WHERE t.receiver = r.name AND t.severity = severities[level] AND t.due_at <= at
                 ORDER BY t.due_at LIMIT most - cardinality(alerts)) AS n;
        IF due IS NOT NULL THEN
            UPDATE seats_internal.alert_told AS t SET due_at = NULL WHERE t.ctid = ANY (due);
            alerts := alerts || ids;
        END IF;
    END LOOP;
    there_is_more := cardinality(alerts) >= most;
    SELECT array_agg(n.id), max(n.number), there_is_more OR count(*) = most
      INTO ids, passed, there_is_more
      FROM (SELECT a.id, a.number FROM seats_internal.alert AS a
             WHERE a.resolved_at IS NOT NULL AND a.number > r.resolved_number
             ORDER BY a.number LIMIT most) AS n;
    r.resolved_number := coalesce(passed, r.resolved_number);
    alerts := alerts || ids;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.alerts_to_look_at(
    seats_internal.receiver, timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.alerts_to_look_at(
    seats_internal.receiver, timestamptz, integer) IS
    'alerts to which something has happened since a receiver looked last, or whose time has come';

-- When the first alert is due that a receiver was told of.
CREATE OR REPLACE FUNCTION seats_internal.next_alert_at(r seats_internal.receiver) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT min((SELECT t.due_at FROM seats_internal.alert_told AS t
                         WHERE t.receiver = r.name AND t.severity = s.severity AND t.due_at IS NOT NULL
                         ORDER BY t.due_at LIMIT 1))
              FROM unnest('{info,warning,critical,fatal}'::text[]) AS s (severity));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.next_alert_at(seats_internal.receiver) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.next_alert_at(seats_internal.receiver) IS
    'when time alone may make news for a receiver';

-- The worst first; beyond `most` in a minute one summary, and then nothing until the minute is over: not
-- even a look. Gives when to look again, if time alone makes news.
CREATE OR REPLACE FUNCTION seats_internal.deliver_alerts(
    r        seats_internal.receiver,
    period   interval,
    reminder interval,
    most     integer
) RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now      timestamptz := clock_timestamp();
    looked   record;
    alerts   bigint[];
    types    text[];
    later    text[];
    later_at timestamptz[];
    single   integer;
    told     seats_internal.alert;
BEGIN
    IF r.minute_began_at + interval '1 minute' <= now THEN
        r.minute_began_at := now;
        r.told_in_minute := 0;
    END IF;
    IF r.told_in_minute > most THEN
        RETURN r.minute_began_at + interval '1 minute';
    END IF;
    SELECT l.* INTO looked FROM seats_internal.alerts_to_look_at(r, now, 2000) AS l;
    IF looked.alerts = '{}' THEN
        RETURN seats_internal.next_alert_at(r);
    END IF;
    SELECT coalesce(array_agg(n.alert_id ORDER BY n.rank DESC, n.alert_id)
                        FILTER (WHERE n.due_at <= now), '{}'),
           coalesce(array_agg(n.type ORDER BY n.rank DESC, n.alert_id)
                        FILTER (WHERE n.due_at <= now), '{}'),
           array_agg(n.fingerprint) FILTER (WHERE n.due_at > now),
           array_agg(n.due_at) FILTER (WHERE n.due_at > now)
      INTO alerts, types, later, later_at
      FROM seats_internal.alert_news(r, period, reminder, looked.alerts) AS n;
    -- What is due later was told before in any case: there is a row.
    FOR i IN 1 .. coalesce(cardinality(later), 0) LOOP
        UPDATE seats_internal.alert_told AS t SET due_at = later_at[i]
         WHERE t.receiver = r.name AND t.fingerprint = later[i];
    END LOOP;
    single := least(cardinality(alerts), most - r.told_in_minute);
    FOR i IN 1 .. single LOOP
        SELECT a.* INTO told FROM seats_internal.alert AS a WHERE a.id = alerts[i];
        PERFORM seats_internal.note_told(r, reminder, ARRAY[told.id], seats_internal.enqueue_delivery(
            r, seats_internal.news_of_alert(told, types[i])));
    END LOOP;
    IF cardinality(alerts) > single THEN
        PERFORM seats_internal.note_told(r, reminder, alerts[single + 1:], seats_internal.enqueue_delivery(
            r, seats_internal.news_of_many(alerts[single + 1:], types[single + 1:])));
    END IF;
    UPDATE seats_internal.receiver AS known
       SET alert_numbers = (looked.r).alert_numbers, resolved_number = (looked.r).resolved_number,
           minute_began_at = r.minute_began_at,
           told_in_minute = CASE WHEN cardinality(alerts) > single THEN most + 1
                                 ELSE r.told_in_minute + single END
     WHERE known.name = r.name;
    RETURN CASE WHEN looked.there_is_more THEN now ELSE seats_internal.next_alert_at(r) END;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.deliver_alerts(seats_internal.receiver, interval, interval, integer) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.deliver_alerts(seats_internal.receiver, interval, interval, integer) IS
    'tells a receiver what is new of alerts; gives when to look again';

-- The journal.

CREATE OR REPLACE FUNCTION seats_internal.is_chosen(kind text, chosen text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN kind = ANY (chosen) OR '*' = ANY (chosen) OR split_part(kind, '.', 1) || '.*' = ANY (chosen);
REVOKE ALL ON FUNCTION seats_internal.is_chosen(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_chosen(text, text[]) IS
    'is this kind of the journal among the chosen ones?';

-- Every chosen entry, in order, at most `most` at once. True if there are more.
CREATE OR REPLACE FUNCTION seats_internal.deliver_journal(r seats_internal.receiver, most integer) RETURNS boolean
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
        SELECT j.number, j.at, j.kind, j.role, j.actor, j.call_id, j.reason, j.detail,
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
                'kind', entry.kind, 'at', seats_internal.iso_time(entry.at), 'role', entry.role,
                'actor', entry.actor, 'team', entry.team, 'individual', entry.individual, 'reason', entry.reason,
                'detail', entry.detail)))::seats_internal.news,
            jsonb_build_object('journal_number', entry.number));
    END LOOP;
    IF passed > r.journal_number THEN
        UPDATE seats_internal.receiver AS known SET journal_number = passed WHERE known.name = r.name;
    END IF;
    RETURN told >= most OR seen = looked_at;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.deliver_journal(seats_internal.receiver, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.deliver_journal(seats_internal.receiver, integer) IS
    'tells a receiver the chosen entries of the journal; true if there are more';

-- Called by the worker. A receiver with two hundred deliveries in its lane gets no more until it has taken
-- some: what it is still to be told stands in the tables of alerts and journal, and is not forgotten there.
-- One that somebody is just defining anew is left for the next time: that commit wakes the worker.
CREATE OR REPLACE FUNCTION seats_internal.deliver_news(
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
    IF EXISTS (SELECT FROM seats_internal.receiver) AND seats_internal.number_alerts(2000) THEN
        next_at := clock_timestamp();
    END IF;
    FOR r IN SELECT known.* FROM seats_internal.receiver AS known
              ORDER BY known.name FOR NO KEY UPDATE SKIP LOCKED LOOP
        SELECT most_waiting - count(*) INTO room FROM seats_internal.outbox AS o WHERE o.lane_id = r.lane_id;
        CONTINUE WHEN room <= 0;
        next_at := least(next_at, seats_internal.deliver_alerts(r, period, reminder, most));
        IF seats_internal.deliver_journal(r, least(room, 100)::integer) THEN
            next_at := clock_timestamp();
        END IF;
        enqueued := enqueued OR most_waiting - room < (SELECT count(*) FROM seats_internal.outbox AS o
                                                        WHERE o.lane_id = r.lane_id);
    END LOOP;
    look_in := CASE WHEN next_at IS NOT NULL
                    THEN greatest(extract(epoch FROM next_at - clock_timestamp()), 0) END;
    -- What is over and was told is remembered as long as it could keep the same from being told again.
    -- (The condition is the index's.)
    DELETE FROM seats_internal.alert_told AS t
     WHERE t.ctid = ANY (ARRAY(
        SELECT old.ctid FROM seats_internal.alert_told AS old
         WHERE old.resolved_told_at IS NOT NULL AND old.due_at IS NULL
           AND old.told_at < clock_timestamp() - period
         ORDER BY old.told_at LIMIT 2000));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.deliver_news(interval, interval, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.deliver_news(interval, interval, integer) IS
    'puts into the outbox what receivers are to be told; gives in how many seconds to look again, null: not before there is news; called by the worker';

-- No lock on the lane: nobody but the worker puts deliveries into it.
CREATE OR REPLACE FUNCTION seats_internal.enqueue_delivery(
    r       seats_internal.receiver,
    news    seats_internal.news,
    context jsonb DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id uuid        := gen_random_uuid();
    at timestamptz := clock_timestamp();
    i  seats_internal.installation;
    delivery bigint;
BEGIN
    SELECT known.* INTO i FROM seats_internal.installation AS known;
    news.title := seats_internal.one_line(news.title);
    news.hint := seats_internal.one_line(news.hint);
    news.labels := jsonb_build_object('database', current_database(), 'installation', i.uuid)
                   || coalesce(news.labels, '{}');
    INSERT INTO seats_internal.outbox
        (lane_id, uuid, installation, destination, method, path, body, enqueued_by, kind, context)
    VALUES (r.lane_id, id, i.uuid, r.name, 'POST', r.path,
            CASE r.format WHEN 'standard_webhook' THEN seats_internal.render_standard_webhook(news, at)
                          WHEN 'slack' THEN seats_internal.render_slack(news)
                          ELSE seats_internal.render_sentry(news, id, at) END,
            'pg_seats', 'delivery', enqueue_delivery.context)
    RETURNING outbox.id INTO delivery;
    RETURN delivery;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.enqueue_delivery(seats_internal.receiver, seats_internal.news, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.enqueue_delivery(seats_internal.receiver, seats_internal.news, jsonb) IS
    'puts one delivery into the outbox; gives its id';
