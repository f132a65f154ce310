-- Numbers for the journal and for alerts, given after the commit (but for what the worker writes when nothing waits for a
-- number), and NOTIFY. Called by the worker.

-- Numbers are given after the commit of an entry, by the one worker, so whoever reads by number
-- never skips an entry that commits late, and no long writer holds the others up. What `seen` saw
-- has its number already; of what it did not see, the transactions that were running are named one
-- by one: from the oldest one on, one long writer would have everything since read again and again.
-- Returns how many were numbered, and what was seen this time.
CREATE OR REPLACE FUNCTION seats_internal.number_journal(
    seen          pg_snapshot,
    OUT numbered  bigint,
    OUT seen_now  pg_snapshot
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    running xid8[] := ARRAY(SELECT pg_snapshot_xip(number_journal.seen));
    entries bigint[];
    writers xid8[];
    base    bigint;
BEGIN
    seen_now := pg_current_snapshot();
    SELECT coalesce(array_agg(j.id ORDER BY j.id), '{}'), array_agg(DISTINCT j.written_xid)
      INTO entries, writers
      FROM (SELECT n.id, n.written_xid FROM seats_internal.journal AS n
             WHERE n.written_xid >= pg_snapshot_xmax(number_journal.seen) AND n.number IS NULL
             UNION ALL
            SELECT n.id, n.written_xid FROM seats_internal.journal AS n
             WHERE n.written_xid = ANY (running) AND n.number IS NULL) AS j;
    numbered := cardinality(entries);
    IF numbered = 0 THEN
        RETURN;
    END IF;
    UPDATE seats_internal.ring
       SET last_journal_number = last_journal_number + numbered
    RETURNING last_journal_number - numbered INTO base;
    UPDATE seats_internal.journal AS j
       SET number = base + entry.position
      FROM unnest(entries) WITH ORDINALITY AS entry (id, position)
     WHERE j.id = entry.id AND j.number IS NULL AND j.written_xid = ANY (writers);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.number_journal(pg_snapshot) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.number_journal(pg_snapshot) IS
    'numbers the journal''s committed entries; called by the worker';

-- Whether all that was committed has its number. What the worker writes itself may have its number at once then, in the
-- transaction that moves last_journal_number: nobody else gives numbers meanwhile, and what is committed later than that
-- transaction's entries gets later ones. (Else they wait for number_journal: what was committed before them comes first.)
-- Null: it is not known what was seen.
CREATE OR REPLACE FUNCTION seats_internal.journal_is_numbered(seen pg_snapshot) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    running xid8[] := ARRAY(SELECT pg_snapshot_xip(seen));
BEGIN
    IF EXISTS (SELECT FROM seats_internal.journal AS n
                WHERE n.written_xid >= pg_snapshot_xmax(seen) AND n.number IS NULL) THEN
        RETURN false;
    END IF;
    -- (A question of its own: each opens the journal's eight partitions, and mostly nobody was writing.)
    IF cardinality(running) = 0 THEN
        RETURN true;
    END IF;
    RETURN NOT EXISTS (SELECT FROM seats_internal.journal AS n
                        WHERE n.written_xid = ANY (running) AND n.number IS NULL);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.journal_is_numbered(pg_snapshot) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.journal_is_numbered(pg_snapshot) IS
    'whether no committed entry of the journal waits for its number; called by the worker';

-- Alerts have numbers like the journal's entries, given after the commit, but a new one whenever something
-- has happened to them: so a receiver looks at each once, and what stays as it is costs nothing. What is open
-- and bad comes first; what somebody has locked is numbered the next time. True if there are more.
CREATE OR REPLACE FUNCTION seats_internal.number_alerts(most integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    alerts bigint[];
    base   bigint;
BEGIN
    SELECT coalesce(array_agg(n.id ORDER BY n.id), '{}') INTO alerts
      FROM (SELECT a.id FROM seats_internal.alert AS a WHERE a.number IS NULL
             ORDER BY (a.resolved_at IS NOT NULL), (a.severity NOT IN ('critical', 'fatal')), a.id
             LIMIT most FOR NO KEY UPDATE SKIP LOCKED) AS n;
    IF alerts = '{}' THEN
        RETURN false;
    END IF;
    UPDATE seats_internal.ring SET last_alert_number = last_alert_number + cardinality(alerts)
    RETURNING last_alert_number - cardinality(alerts) INTO base;
    UPDATE seats_internal.alert AS a
       SET number = base + n.position
      FROM unnest(alerts) WITH ORDINALITY AS n (id, position)
     WHERE a.id = n.id AND a.number IS NULL;
    RETURN cardinality(alerts) = most;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.number_alerts(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.number_alerts(integer) IS
    'numbers alerts to which something has happened; true if there are more';

-- In a transaction of its own: a full notification queue raises at commit, and must take nothing
-- else along. Whoever can connect may listen, so numbers are all that is told; who may see more looks it up.
CREATE OR REPLACE FUNCTION seats_internal.announce(journal_too boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    news record;
BEGIN
    FOR news IN
        UPDATE seats_internal.alert AS a
           SET announced = true
         WHERE NOT a.announced
        RETURNING a.id
    LOOP
        PERFORM pg_notify('pg_seats_alert', news.id::text);
    END LOOP;
    IF announce.journal_too THEN
        PERFORM pg_notify('pg_seats_journal', ring.last_journal_number::text)
           FROM seats_internal.ring;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.announce(boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.announce(boolean) IS
    'NOTIFY pg_seats_alert and pg_seats_journal; called by the worker';
