-- Taking over a copy. Whatever was open may have been sent by the original since, or is
-- being sent by it now, so nothing is sent again before proof or a person's decision.

CREATE OR REPLACE FUNCTION seats_internal.doubt_open_calls() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    doubted bigint;
BEGIN
    -- A seat change that was never planned has no body that could be sent again: the read before its
    -- planning, and its key, tell whether the original has sent it. Reads leave nothing behind.
    -- What receivers were told twice they know by its id.
    UPDATE seats_internal.outbox AS o
       SET state         = CASE WHEN o.state = 'carried' THEN 'carried'
                                WHEN o.kind = ANY (seats_internal.never_in_doubt())
                                     OR o.kind = ANY (seats_internal.planned_kinds()) AND o.body = ''
                                THEN 'pending'
                                ELSE 'verifying' END::seats_internal.outbox_state,
           state_since   = clock_timestamp(),
           doubt         = o.kind <> ALL (seats_internal.never_in_doubt()),
           first_sent_at = coalesce(o.first_sent_at, o.created_at),
           last_sent_at  = clock_timestamp(),
           due_at        = NULL,
           eligible_xid  = pg_current_xact_id(),
           reason        = 'adopted'
     WHERE o.state <> 'review';
    GET DIAGNOSTICS doubted = ROW_COUNT;
    RETURN doubted;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.doubt_open_calls() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.doubt_open_calls() IS
    'every open call becomes unknown, and is verified before anything else happens to it';

CREATE OR REPLACE FUNCTION seats_internal.review_open_calls(new_installation uuid) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reviewed bigint;
BEGIN
    -- The original tells its receivers by itself.
    PERFORM seats_internal.forget_deliveries();
    UPDATE seats_internal.outbox AS o
       SET state        = CASE WHEN o.state = 'carried' THEN 'carried'
                               WHEN o.kind = ANY (seats_internal.never_in_doubt()) THEN 'pending'
                               ELSE 'review' END::seats_internal.outbox_state,
           state_since  = clock_timestamp(),
           doubt        = o.kind <> ALL (seats_internal.never_in_doubt()),
           due_at       = NULL,
           eligible_xid = pg_current_xact_id(),
           reason       = 'adopted_copy',
           installation = new_installation;
    GET DIAGNOSTICS reviewed = ROW_COUNT;
    IF reviewed > 0 THEN
        PERFORM seats_internal.raise_alert(
            'adopted_copy', 'critical', 'review',
            format('%s open call(s) came with the copy that was adopted and wait for a decision',
                   reviewed),
            jsonb_build_object('calls', reviewed),
            'The original may carry them out. For each row of seats.reviews call '
            'seats.resolve_review: refuse what is the original''s, not_executed only with proof.');
    END IF;
    RETURN reviewed;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_open_calls(uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_open_calls(uuid) IS
    'every open call goes to review, under the new identity of an adopted copy';

-- Logical replication brings rows and leaves sequences where they are.
CREATE OR REPLACE FUNCTION seats_internal.raise_sequences() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    numbered record;
    last     bigint;
BEGIN
    FOR numbered IN
        SELECT c.relname, a.attname,
               pg_get_serial_sequence(format('seats_internal.%I', c.relname), a.attname) AS sequence
          FROM pg_class AS c
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attidentity <> ''
         WHERE c.relnamespace = 'seats_internal'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition
    LOOP
        EXECUTE format('SELECT max(t.%I) FROM seats_internal.%I AS t', numbered.attname, numbered.relname)
           INTO last;
        IF last > coalesce(pg_sequence_last_value(numbered.sequence::regclass), 0) THEN
            PERFORM setval(numbered.sequence::regclass, last);
        END IF;
    END LOOP;
    -- Settled calls have left the outbox, and keep their ids.
    -- What payments are made of is numbered by the same sequence.
    SELECT max(n.id) INTO last
      FROM (SELECT max(h.id) AS id FROM seats_internal.outbox_history AS h
            UNION ALL SELECT max(r.id) FROM seats_internal.payment_request AS r
            UNION ALL SELECT max(m.id) FROM seats_internal.payment_member AS m
            UNION ALL SELECT max(p.id) FROM seats_internal.payment AS p
            UNION ALL SELECT max(t.id) FROM seats_internal.payment_transaction AS t
            UNION ALL SELECT max(f.id) FROM seats_internal.refund AS f) AS n;
    IF last > coalesce(pg_sequence_last_value('seats_internal.outbox_id_seq'), 0) THEN
        PERFORM setval('seats_internal.outbox_id_seq', last);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_sequences() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_sequences() IS
    'no id is given twice in a database whose rows came without its sequences';

CREATE OR REPLACE FUNCTION seats_internal.adopt_database(
    caller            text,
    reason            text,
    replaces_original boolean,
    OUT installation  uuid,
    OUT calls         bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former   uuid;
    handlers bigint;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'adopt_database');
    PERFORM seats_internal.require_reason(adopt_database.reason);
    SELECT i.uuid INTO former FROM seats_internal.installation AS i FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this database has no installation to adopt'
            USING ERRCODE = 'PS109', HINT = 'Call seats.create_installation().';
    ELSIF replaces_original IS NULL THEN
        RAISE EXCEPTION 'say whether this database replaces its original'
            USING ERRCODE = 'PS008',
                  HINT = 'true: the original is gone and never sends again; false: it lives on, and '
                         'this is a copy (a test system, say).';
    END IF;

    PERFORM seats_internal.raise_sequences();
    installation := CASE WHEN replaces_original THEN former ELSE gen_random_uuid() END;
    UPDATE seats_internal.installation AS i
       SET uuid = adopt_database.installation, timeline = seats_internal.current_timeline(),
           page_changes = greatest(i.page_changes + 1, seats_internal.page_start());
    calls := CASE WHEN replaces_original THEN seats_internal.doubt_open_calls()
                  ELSE seats_internal.review_open_calls(installation) END;
    PERFORM seats_internal.adopt_payments(replaces_original);
    handlers := seats_internal.adopt_handlers(replaces_original, installation);
    PERFORM seats_internal.write_journal(
        'installation.adopted', caller, NULL, NULL, adopt_database.reason,
        jsonb_build_object('replaces_original', replaces_original, 'former', former,
                           'installation', installation, 'calls', calls, 'handlers', handlers));
    PERFORM seats_internal.give_right_to_send(installation);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.adopt_database(text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.adopt_database(text, text, boolean) IS
    'behind seats.adopt_database';

CREATE OR REPLACE FUNCTION seats.adopt_database(
    reason            text,
    replaces_original boolean,
    OUT installation  uuid,
    OUT calls         bigint
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.adopt_database(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.adopt_database(text, boolean) IS
    'lets a copied, moved or restored database send: under its old identity if it replaces the '
    'original (open calls are verified), else under a new one (open calls go to review); '
    'superusers only';

-- That the publisher was adopted does not come along by logical replication, either: a subscriber's worker would
-- write among the rows that come, and stop the replication.
CREATE OR REPLACE FUNCTION seats_internal.refuse_foreign_adoption() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refuse_foreign_adoption() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refuse_foreign_adoption() IS
    'trigger: that the publisher was adopted says nothing about its subscriber';

CREATE OR REPLACE TRIGGER adoption_is_not_replicated
    BEFORE INSERT OR UPDATE OR DELETE ON seats_internal.adoption
    FOR EACH ROW EXECUTE FUNCTION seats_internal.refuse_foreign_adoption();
ALTER TABLE seats_internal.adoption ENABLE REPLICA TRIGGER adoption_is_not_replicated;
