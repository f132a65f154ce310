-- The end of the script: PUBLIC has nothing. Types are open to PUBLIC by default; everything else is
-- revoked where it is made, and the script fails if that was forgotten. Row types are left alone:
-- they are of use only to whoever may use the schema, and pg_dump would warn of each of them
-- ("unsupported pg_init_privs entry").

DO $$
DECLARE
    type_name regtype;
    public_can text;
BEGIN
    FOR type_name IN
        SELECT t.oid
          FROM pg_type AS t
         WHERE t.typnamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
           AND t.typelem = 0 AND t.typrelid = 0
    LOOP
        EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC', type_name);
    END LOOP;

    SELECT string_agg(o.what, ', ' ORDER BY o.what) INTO public_can
      FROM (SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner))
              FROM pg_proc
             WHERE pronamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
            UNION ALL
            SELECT oid::regclass::text, coalesce(relacl, acldefault('r', relowner))
              FROM pg_class
             WHERE relnamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
               AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            UNION ALL
            SELECT oid::regtype::text, coalesce(typacl, acldefault('T', typowner))
              FROM pg_type
             WHERE typnamespace IN ('seats'::regnamespace, 'seats_internal'::regnamespace)
               AND typelem = 0 AND typrelid = 0
            UNION ALL
            SELECT nspname, coalesce(nspacl, acldefault('n', nspowner))
              FROM pg_namespace
             WHERE nspname IN ('seats', 'seats_internal')) AS o (what, acl)
     WHERE EXISTS (SELECT FROM aclexplode(o.acl) AS a WHERE a.grantee = 0);
    IF public_can IS NOT NULL THEN
        RAISE EXCEPTION 'PUBLIC has privileges on: %', public_can
            USING HINT = 'A REVOKE is missing in the install script.';
    END IF;
END
$$;
