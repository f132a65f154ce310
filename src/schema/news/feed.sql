-- The journal as an application's feed. A consumer reads on from the last entry that it has
-- acknowledged. Numbers are given after the commit (seats_internal.number_journal; of some, with the worker's own), without
-- a gap, so whoever reads in order of number skips nothing; what is read and not acknowledged comes again.
-- docs/journal.md tells which kinds there are.

-- The least number that is still kept; the next one that will be given, if there is none.
CREATE OR REPLACE FUNCTION seats_internal.oldest_journal_number() RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT min(j.number) FROM seats_internal.journal AS j),
                    (SELECT ring.last_journal_number + 1 FROM seats_internal.ring));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.oldest_journal_number() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.oldest_journal_number() IS
    'the least number of the journal that retention has left';

-- Two applications that happen to choose the same name must not swallow each other's entries. A role
-- that is gone leaves its consumers to whoever comes next.
CREATE OR REPLACE FUNCTION seats_internal.require_consumer(caller text, consumer seats_internal.journal_consumer)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles AS r
                WHERE r.rolname = consumer.owner AND NOT pg_has_role(caller, r.oid, 'MEMBER')) THEN
        RAISE EXCEPTION 'consumer % of the journal belongs to role %', quote_ident(consumer.name),
                        quote_ident(consumer.owner)
            USING ERRCODE = 'PS541',
                  DETAIL = format('The current role is %I.', caller),
                  HINT = 'Read under a name of your own, or become a member of that role.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_consumer(text, seats_internal.journal_consumer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_consumer(text, seats_internal.journal_consumer) IS
    'an error unless the caller may read under the consumer''s name';

-- A second session of the same consumer waits until the first one's transaction ends: if that one
-- acknowledges what it has read, nothing is worked on twice. The entries are read in a statement of
-- their own, after the lock, or they would be those of before the wait.
CREATE OR REPLACE FUNCTION seats_internal.take_consumer(caller text, consumer text)
RETURNS seats_internal.journal_consumer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken seats_internal.journal_consumer;
BEGIN
    SELECT c.* INTO taken FROM seats_internal.journal_consumer AS c
     WHERE c.name = consumer FOR NO KEY UPDATE;
    IF FOUND THEN
        PERFORM seats_internal.require_consumer(caller, taken);
    END IF;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_consumer(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_consumer(text, text) IS
    'locks a consumer of the journal and gives it; null if there is none of this name';

CREATE OR REPLACE FUNCTION seats_internal.register_consumer(caller text, consumer text)
RETURNS seats_internal.journal_consumer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF consumer IS NULL OR consumer !~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$' THEN
        RAISE EXCEPTION 'invalid name of a consumer of the journal'
            USING ERRCODE = 'PS545',
                  HINT = 'Give 1 to 63 letters, digits, ".", "_", ":" or "-"; a name for each part of '
                         'the application that reads on its own.';
    END IF;
    -- It begins with the oldest entry that there is: what it has missed before, it has not missed.
    INSERT INTO seats_internal.journal_consumer (name, acknowledged, owner)
    VALUES (consumer, seats_internal.oldest_journal_number() - 1, caller)
    ON CONFLICT ON CONSTRAINT journal_consumer_pkey DO NOTHING;
    RETURN seats_internal.take_consumer(caller, consumer);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.register_consumer(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.register_consumer(text, text) IS
    'makes a new consumer of the journal, locked; it begins with the oldest entry that is kept';

-- An application that acts on what becomes of a team must not take a person of the same name for it.
CREATE OR REPLACE FUNCTION seats_internal.name_of_payer(lane_id bigint, kind text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT t.name FROM seats_internal.team AS t
             WHERE t.lane_id = name_of_payer.lane_id AND t.kind = name_of_payer.kind);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.name_of_payer(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.name_of_payer(bigint, text) IS
    'the name of the team, or of the individual, that a lane belongs to; null: of none of this kind';

-- Who takes payments learns nothing of teams and their members, nor who has those of who pays. How the installation is set
-- up, who was granted what and what operators did is for those who may see the view seats.journal.
CREATE OR REPLACE FUNCTION seats_internal.kinds_for(audiences text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT k.kind FROM seats_internal.journal_kinds() AS k WHERE k.audience = ANY (audiences));
REVOKE ALL ON FUNCTION seats_internal.kinds_for(text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.kinds_for(text[]) IS 'kinds of entries of the journal that these audiences may read';

CREATE OR REPLACE FUNCTION seats_internal.audience_of_lane(lane bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN EXISTS (SELECT FROM seats_internal.payment_member AS m WHERE m.lane_id = lane) THEN 'payments'
                ELSE 'application' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.audience_of_lane(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.audience_of_lane(bigint) IS
    'who may read what becomes of the calls of a lane, and of those without one';

CREATE OR REPLACE FUNCTION seats_internal.require_all_kept(reader seats_internal.journal_consumer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    next_kept bigint;
BEGIN
    -- Numbers have no gap, so one that is missing was removed. (Not only below all others: an entry
    -- that was committed late lies among older ones, and leaves with them.)
    SELECT coalesce((SELECT min(j.number) FROM seats_internal.journal AS j WHERE j.number > reader.acknowledged),
                    ring.last_journal_number + 1)
      INTO next_kept FROM seats_internal.ring;
    IF next_kept > reader.acknowledged + 1 THEN
        RAISE EXCEPTION 'consumer % has not read entries that are gone', quote_ident(reader.name)
            USING ERRCODE = 'PS542',
                  DETAIL = format('It has acknowledged number %s; the next entry that is kept is %s.',
                                  reader.acknowledged, next_kept),
                  HINT = format('pg_seats.history_days was too short for its absence. Compare the '
                                'application''s state with seats.teams, seats.members and '
                                'seats.changes, then go on: SELECT '
                                'seats.acknowledge_journal(%L, %s).', reader.name, next_kept - 1);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_all_kept(seats_internal.journal_consumer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_all_kept(seats_internal.journal_consumer) IS
    'an error if entries are gone that a consumer of the journal has not read';

CREATE OR REPLACE FUNCTION seats_internal.read_journal(
    caller     text,
    consumer   text,
    max_entries integer,
    OUT number bigint,
    OUT at     timestamptz,
    OUT kind   text,
    OUT role   text,
    OUT actor  text,
    OUT call   bigint,
    OUT lane   text,
    OUT team   text,
    OUT individual text,
    OUT reason text,
    OUT detail jsonb
) RETURNS SETOF record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reader    seats_internal.journal_consumer;
    sees_all  boolean := has_table_privilege(caller, 'seats.journal', 'SELECT');
    audiences text[]  := seats_internal.audiences_of(caller);
    own       text[]  := seats_internal.kinds_for(audiences);
    of_lanes  text[]  := seats_internal.kinds_for('{lane}');
    entry     seats_internal.journal;
    passed    bigint;
    given     integer := 0;
    is_end    boolean;
BEGIN
    IF max_entries IS NULL OR max_entries NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'max_entries must be between 1 and 10000' USING ERRCODE = 'PS544',
            HINT = 'Read again for more, after acknowledging what was read.';
    END IF;
    reader := seats_internal.take_consumer(caller, consumer);
    IF reader.name IS NULL THEN
        reader := seats_internal.register_consumer(caller, consumer);
    END IF;
    passed := reader.acknowledged;
    PERFORM seats_internal.require_all_kept(reader);
    -- No joins: a plan that does not know the limit would hash all lanes and teams for a hundred rows.
    <<batches>>
    LOOP
        is_end := true;
        FOR entry IN
            SELECT e.* FROM seats_internal.journal AS e
             WHERE e.number > passed ORDER BY e.number LIMIT greatest(max_entries, 100)
        LOOP
            is_end := false;
            EXIT batches WHEN entry.number <> passed + 1;
            passed := entry.number;
            CONTINUE WHEN NOT (sees_all OR entry.kind = ANY (own)
                               OR entry.kind = ANY (of_lanes)
                                  AND seats_internal.audience_of_lane(entry.lane_id) = ANY (audiences));
            number := entry.number;  at := entry.at;          kind := entry.kind;
            role := entry.role;      actor := entry.actor;    call := entry.call_id;
            reason := entry.reason;  detail := entry.detail;
            lane := (SELECT l.name FROM seats_internal.lane AS l WHERE l.id = entry.lane_id);
            team := coalesce(detail ->> 'team', seats_internal.name_of_payer(entry.lane_id, 'team'));
            individual := coalesce(detail ->> 'individual',
                                   seats_internal.name_of_payer(entry.lane_id, 'individual'));
            RETURN NEXT;
            given := given + 1;
            EXIT batches WHEN given = max_entries;
        END LOOP;
        EXIT WHEN is_end;
    END LOOP;
    -- What it may not read, it need not acknowledge.
    IF given = 0 AND passed > reader.acknowledged THEN
        UPDATE seats_internal.journal_consumer AS c SET acknowledged = passed WHERE c.name = reader.name;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.read_journal(text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.read_journal(text, text, integer) IS 'behind seats.read_journal';

CREATE OR REPLACE FUNCTION seats.read_journal(
    consumer   text,
    max_entries integer DEFAULT 100,
    OUT number bigint,
    OUT at     timestamptz,
    OUT kind   text,
    OUT role   text,
    OUT actor  text,
    OUT call   bigint,
    OUT lane   text,
    OUT team   text,
    OUT individual text,
    OUT reason text,
    OUT detail jsonb
) RETURNS SETOF record
LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.read_journal(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats.read_journal(text, integer) IS
    'the journal''s entries above what the consumer has acknowledged, in order of number; a name that '
    'is new begins with the oldest one. Another session of the same consumer waits until this '
    'transaction ends. Who may not see the view seats.journal gets what is for applications (grant_application), or '
    'for those who take payments (grant_payments). LISTEN pg_seats_journal tells when to read.';

CREATE OR REPLACE FUNCTION seats_internal.acknowledge_journal(
    caller           text,
    INOUT consumer   text,
    number           bigint,
    OUT acknowledged bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    reader seats_internal.journal_consumer := seats_internal.take_consumer(caller, consumer);
    newest bigint;
BEGIN
    IF reader.name IS NULL THEN
        RAISE EXCEPTION 'the journal has no consumer %', coalesce(quote_ident(consumer), 'NULL')
            USING ERRCODE = 'PS540',
                  HINT = 'seats.journal_consumers lists them; seats.read_journal(consumer) makes one.';
    END IF;
    SELECT ring.last_journal_number INTO newest FROM seats_internal.ring;
    IF number IS NULL OR number < 0 OR number > newest THEN
        RAISE EXCEPTION 'the journal has no entry %', coalesce(number::text, 'NULL')
            USING ERRCODE = 'PS543', DETAIL = format('The newest one is %s.', newest),
                  HINT = 'Acknowledge the number of the last entry that was read and is done with.';
    END IF;
    -- An acknowledgement that comes twice, or late, takes nothing back.
    UPDATE seats_internal.journal_consumer AS c
       SET acknowledged = number, acknowledged_at = clock_timestamp(), acknowledged_by = caller,
           owner = CASE WHEN EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = c.owner)
                        THEN c.owner ELSE caller END
     WHERE c.name = reader.name AND c.acknowledged < number;
    acknowledged := greatest(reader.acknowledged, number);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.acknowledge_journal(text, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.acknowledge_journal(text, text, bigint) IS
    'behind seats.acknowledge_journal';

CREATE OR REPLACE FUNCTION seats.acknowledge_journal(
    INOUT consumer   text,
    number           bigint,
    OUT acknowledged bigint
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.acknowledge_journal(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.acknowledge_journal(text, bigint) IS
    'the consumer is done with the journal up to this number: read_journal goes on after it';

CREATE OR REPLACE FUNCTION seats_internal.drop_journal_consumer(
    caller           text,
    INOUT consumer   text,
    reason           text,
    OUT acknowledged bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.require_reason(drop_journal_consumer.reason);
    DELETE FROM seats_internal.journal_consumer AS c WHERE c.name = consumer
    RETURNING c.acknowledged INTO acknowledged;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the journal has no consumer %', coalesce(quote_ident(consumer), 'NULL')
            USING ERRCODE = 'PS540', HINT = 'seats.journal_consumers lists them.';
    END IF;
    PERFORM seats_internal.write_journal(
        'journal_consumer.dropped', caller, NULL, NULL, drop_journal_consumer.reason,
        jsonb_build_object('consumer', consumer, 'acknowledged', acknowledged));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.drop_journal_consumer(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.drop_journal_consumer(text, text, text) IS
    'behind seats.drop_journal_consumer';

CREATE OR REPLACE FUNCTION seats.drop_journal_consumer(
    INOUT consumer   text,
    reason           text,
    OUT acknowledged bigint
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.drop_journal_consumer(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.drop_journal_consumer(text, text) IS
    'forgets a consumer of the journal that is no longer there; health stops asking after it';
