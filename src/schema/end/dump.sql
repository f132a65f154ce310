-- What pg_dump takes along: all rows of all tables, and where the identity sequences stand. Of a
-- partitioned table the partitions are registered; the parent has no rows. Not that a person has adopted
-- the database: a restored one is another, and who loads it piece by piece is not to be disturbed by a
-- worker, which writes nothing without that row.

DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT c.oid
          FROM pg_class AS c
         WHERE c.relnamespace = 'seats_internal'::regnamespace AND c.relkind IN ('r', 'S')
           AND c.relname <> 'adoption'
         ORDER BY c.relname
    LOOP
        PERFORM pg_extension_config_dump(relation, '');
    END LOOP;
END
$$;

-- The ring's row is made by this script, and a dump holds another one: a restore would collide with
-- it, and without it would believe that slot 0 is the newest, and empty newer partitions too early.
-- So a row that comes in takes the place of the one that is there.
CREATE FUNCTION seats_internal.replace_ring() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM seats_internal.ring;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.replace_ring() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.replace_ring() IS
    'trigger: the ring''s row of a dump takes the place of the install script''s';

CREATE TRIGGER ring_of_a_dump_replaces_ours
    BEFORE INSERT ON seats_internal.ring
    FOR EACH ROW EXECUTE FUNCTION seats_internal.replace_ring();
-- Also where the row comes by logical replication, which fires no other triggers.
ALTER TABLE seats_internal.ring ENABLE ALWAYS TRIGGER ring_of_a_dump_replaces_ours;

-- That the publisher was adopted does not come along by logical replication, either: a subscriber's worker would
-- write among the rows that come, and stop the replication.
CREATE FUNCTION seats_internal.refuse_foreign_adoption() RETURNS trigger
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

CREATE TRIGGER adoption_is_not_replicated
    BEFORE INSERT OR UPDATE OR DELETE ON seats_internal.adoption
    FOR EACH ROW EXECUTE FUNCTION seats_internal.refuse_foreign_adoption();
ALTER TABLE seats_internal.adoption ENABLE REPLICA TRIGGER adoption_is_not_replicated;
