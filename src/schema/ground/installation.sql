-- The installation: under which identity this database sends, and its right to.

CREATE OR REPLACE FUNCTION seats_internal.current_timeline() RETURNS integer
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pg_seats_current_timeline';
REVOKE ALL ON FUNCTION seats_internal.current_timeline() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.current_timeline() IS
    'the timeline that this server writes on; an error on a standby';

CREATE OR REPLACE FUNCTION seats_internal.write_installation_file(uuid uuid) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'pg_seats_write_installation_file';
REVOKE ALL ON FUNCTION seats_internal.write_installation_file(uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.write_installation_file(uuid) IS
    'writes the right to send into the secrets directory, at the commit; for create_installation and adopt_database';

-- Two halves: the file tells a copy of the data directory from its original, the row a database that was
-- loaded from a dump from one that was not.
CREATE OR REPLACE FUNCTION seats_internal.give_right_to_send(installation uuid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO seats_internal.adoption (uuid) VALUES (give_right_to_send.installation)
        ON CONFLICT (singleton) DO UPDATE SET uuid = excluded.uuid;
    -- Written at the commit, because a file cannot be rolled back.
    PERFORM seats_internal.write_installation_file(give_right_to_send.installation);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.give_right_to_send(uuid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.give_right_to_send(uuid) IS
    'makes this very database the one that may send for an installation; at a person''s word only';

CREATE OR REPLACE FUNCTION seats_internal.create_installation(caller text) RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_uuid uuid;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'create_installation');
    INSERT INTO seats_internal.installation (uuid, timeline, created_by)
    VALUES (gen_random_uuid(), seats_internal.current_timeline(), caller)
    ON CONFLICT (singleton) DO NOTHING
    RETURNING installation.uuid INTO new_uuid;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this database has its installation already'
            USING ERRCODE = 'PS003',
                  DETAIL = (SELECT format('It was created by %I at %s.', i.created_by, i.created_at)
                              FROM seats_internal.installation AS i),
                  HINT = 'If this database is a copy, or was moved or restored, call '
                         'seats.adopt_database(reason, replaces_original).';
    END IF;
    PERFORM seats_internal.write_journal('installation.created', caller, NULL, NULL, NULL,
                                         jsonb_build_object('installation', new_uuid));
    PERFORM seats_internal.give_right_to_send(new_uuid);
    RETURN new_uuid;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.create_installation(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.create_installation(text) IS 'behind seats.create_installation';

CREATE OR REPLACE FUNCTION seats.create_installation() RETURNS uuid
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.create_installation() FROM PUBLIC;
COMMENT ON FUNCTION seats.create_installation() IS
    'gives this database its identity and the right to send; once, by a superuser';

CREATE OR REPLACE FUNCTION seats_internal.require_installation() RETURNS uuid
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own uuid := (SELECT i.uuid FROM seats_internal.installation AS i);
BEGIN
    IF own IS NULL THEN
        RAISE EXCEPTION 'this database has no installation of pg_seats yet'
            USING ERRCODE = 'PS109',
                  HINT = 'A superuser must run seats.create_installation() once.';
    END IF;
    RETURN own;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_installation() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_installation() IS
    'the installation''s uuid, or an error if there is none';
