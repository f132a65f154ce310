-- What pg_dump takes along: all rows of all tables, and where the identity sequences stand. Of a
-- partitioned table the partitions are registered; the parent has no rows.

DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT c.oid
          FROM pg_class AS c
         WHERE c.relnamespace = 'seats_internal'::regnamespace AND c.relkind IN ('r', 'S')
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
