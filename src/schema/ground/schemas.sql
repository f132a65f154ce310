\echo Use "CREATE EXTENSION pg_seats" to load this file. \quit

-- Everything in this script is written with its schema, and nothing of a hostile search_path is
-- looked at. CREATE SCHEMA without IF NOT EXISTS: a schema that somebody prepared is refused.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'pg_seats needs a database with encoding UTF8, and this one has %',
            pg_catalog.getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Create a database with ENCODING ''UTF8''; Stripe''s answers are UTF-8.';
    END IF;
END
$$;

CREATE SCHEMA seats;
COMMENT ON SCHEMA seats IS
    'pg_seats: the functions and views that people use; \df seats.* and \dv seats.* list them';

CREATE SCHEMA seats_internal;
COMMENT ON SCHEMA seats_internal IS
    'pg_seats: tables and functions of the engine; nobody needs a privilege here';

REVOKE ALL ON SCHEMA seats, seats_internal FROM PUBLIC;
