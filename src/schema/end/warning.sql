-- Made once: an event trigger cannot be replaced.

CREATE EVENT TRIGGER pg_seats_warns_of_drop ON ddl_command_start WHEN TAG IN ('DROP EXTENSION')
    EXECUTE FUNCTION seats_internal.warn_of_drop();
COMMENT ON EVENT TRIGGER pg_seats_warns_of_drop IS
    'DROP EXTENSION pg_seats warns while calls are open';
