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
