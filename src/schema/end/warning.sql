-- An event trigger cannot be replaced. (Only the extension's own counts: a stranger's of that name is an error.)

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_event_trigger AS e
          JOIN pg_depend AS d ON d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e'
          JOIN pg_extension AS x ON d.refclassid = 'pg_extension'::regclass AND x.oid = d.refobjid
         WHERE e.evtname = 'pg_seats_warns_of_drop' AND x.extname = 'pg_seats') THEN
        CREATE EVENT TRIGGER pg_seats_warns_of_drop ON ddl_command_start WHEN TAG IN ('DROP EXTENSION')
            EXECUTE FUNCTION seats_internal.warn_of_drop();
        COMMENT ON EVENT TRIGGER pg_seats_warns_of_drop IS
            'DROP EXTENSION pg_seats warns while calls are open';
    END IF;
END
$$;
