-- Checks that many verbs share. Public functions are doors (src/functions/README.md); the rules stand in the
-- function of the same name behind them.

CREATE OR REPLACE FUNCTION seats_internal.checked_base_url(url text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_checked_base_url';
REVOKE ALL ON FUNCTION seats_internal.checked_base_url(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_base_url(text) IS
    'the URL as it is to be stored, or an error: https, or http to a loopback address';

CREATE OR REPLACE FUNCTION seats_internal.checked_path(path text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_checked_path';
REVOKE ALL ON FUNCTION seats_internal.checked_path(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_path(text) IS 'the same path, or an error';

CREATE OR REPLACE FUNCTION seats_internal.checked_path_pattern(pattern text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_checked_path_pattern';
REVOKE ALL ON FUNCTION seats_internal.checked_path_pattern(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_path_pattern(text) IS 'the same pattern, or an error';

CREATE OR REPLACE FUNCTION seats_internal.encoded_form(parameters jsonb) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_seats_encoded_form';
REVOKE ALL ON FUNCTION seats_internal.encoded_form(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.encoded_form(jsonb) IS
    'parameters as the body of a request to Stripe';

CREATE OR REPLACE FUNCTION seats_internal.require_superuser(caller text, verb text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = caller AND rolsuper) THEN
        RAISE EXCEPTION '% is for superusers', verb
            USING ERRCODE = 'PS001',
                  DETAIL = format('The current role is %I.', caller),
                  HINT = 'It decides where money is moved or who may move it. Ask a database '
                         'administrator to call it.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_superuser(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_superuser(text, text) IS
    'an error unless the caller is a superuser';

CREATE OR REPLACE FUNCTION seats_internal.require_reason(reason text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF reason IS NULL OR reason !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'a reason is needed'
            USING ERRCODE = 'PS002',
                  HINT = 'Say why, for whoever reads the journal later: a ticket, or what was seen '
                         'in Stripe''s Dashboard.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_reason(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_reason(text) IS 'an error if the reason is blank';

-- A name that can be a file's: the secrets directory also holds the right to send.
CREATE OR REPLACE FUNCTION seats_internal.check_secret_name(secret text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF secret !~ '^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$' OR secret ~ '^installation[.]'
       OR secret ~ '^((sk|rk|pk)_(live|test)|whsec)_' THEN
        RAISE EXCEPTION 'invalid name of a secret''s file'
            USING ERRCODE = 'PS004',
                  HINT = 'Give the name of a file in pg_seats.secrets_directory that holds the secret, '
                         'not the secret itself and not a path: letters, digits, ".", "_" and "-", not '
                         'starting with "." or "installation.".';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_secret_name(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_secret_name(text) IS
    'an error unless it can be the name of a file in the secrets directory';

CREATE OR REPLACE FUNCTION seats_internal.is_operator(caller text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN has_function_privilege(caller, 'seats.retry(bigint, text)'::regprocedure, 'EXECUTE');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.is_operator(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_operator(text) IS
    'whether a role has been given what seats.grant_operator gives';

-- What users of an application have written stands in messages of several lines: nobody may add a line of
-- his own, or turn the direction of writing. (The characters are those of safe_text() in C++.)
CREATE OR REPLACE FUNCTION seats_internal.one_line(words text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
-- (No E'' with these: in a database of another encoding the script would not even be parsed, and nobody
-- told that UTF8 is what is missing.)
RETURN regexp_replace(words, '[[:cntrl:]\u2028\u2029\u202a-\u202e\u2066-\u2069]', ' ', 'g');
REVOKE ALL ON FUNCTION seats_internal.one_line(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.one_line(text) IS 'a text without line breaks and control characters';

CREATE OR REPLACE FUNCTION seats_internal.check_id(what text, id text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF id IS NULL OR id !~ '[^[:space:]]' OR octet_length(id) > 255 THEN
        RAISE EXCEPTION '% must have 1 to 255 bytes, and not only spaces', what
            USING ERRCODE = 'PS520',
                  DETAIL = CASE WHEN id IS NULL THEN 'It is NULL.'
                           ELSE format('It has %s bytes.', octet_length(id)) END,
                  HINT = 'Give the id that the application knows it by.';
    ELSIF id <> seats_internal.one_line(id) THEN
        RAISE EXCEPTION '% must not have line breaks or other control characters', what
            USING ERRCODE = 'PS520',
                  DETAIL = format('It is %s.', quote_literal(left(seats_internal.one_line(id), 60))),
                  HINT = 'It is shown to people, in messages of several lines.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_id(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_id(text, text) IS 'an error unless it can be an id';

-- Ids of Stripe's go into paths and bodies.
CREATE OR REPLACE FUNCTION seats_internal.check_stripe_id(what text, id text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF id IS NULL OR id !~ '^[A-Za-z0-9_.:-]{1,255}$' OR id ~ '^[.]+$' THEN
        RAISE EXCEPTION 'that cannot be the id of a %', what
            USING ERRCODE = 'PS520',
                  DETAIL = format('It is %s.', coalesce(quote_literal(left(id, 60)), 'NULL')),
                  HINT = 'Copy it from Stripe''s Dashboard, or from an answer of its API.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_stripe_id(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_stripe_id(text, text) IS
    'an error unless it can be an id of Stripe''s';

-- `cannot`: what is refused, as a sentence; `counts` and `words`: of what there is how much.
CREATE OR REPLACE FUNCTION seats_internal.require_unused(cannot text, counts bigint[], words text[], hint text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    uses text := (SELECT string_agg(format('%s %s', u.number, u.word), ', ')
                    FROM unnest(counts, words) AS u (number, word) WHERE u.number > 0);
BEGIN
    IF uses IS NOT NULL THEN
        RAISE EXCEPTION '% yet', cannot
            USING ERRCODE = 'PS537', DETAIL = format('There are: %s.', uses), HINT = hint;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_unused(text, bigint[], text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_unused(text, bigint[], text[], text) IS
    'an error that says what is still open, unless all counts are zero';
