-- The keys under which Stripe knows requests, and how long it is trusted to know them.

-- The key under which Stripe knows a request. (The library makes it in the same way, core/identity.)
CREATE OR REPLACE FUNCTION seats_internal.idempotency_key(installation uuid, call uuid, generation integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(installation::text || '-', '') || call::text || '-' || generation::text;
REVOKE ALL ON FUNCTION seats_internal.idempotency_key(uuid, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.idempotency_key(uuid, uuid, integer) IS
    'the key of a call''s requests of one generation';

CREATE OR REPLACE FUNCTION seats_internal.key_lifetime() RETURNS interval
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN coalesce(current_setting('pg_seats.key_lifetime', true), '20h')::interval;
REVOKE ALL ON FUNCTION seats_internal.key_lifetime() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.key_lifetime() IS
    'the setting pg_seats.key_lifetime, its default where the library is not loaded';
