-- Making a request: what a group owes, and what is to run when something happens to a payment.

CREATE OR REPLACE FUNCTION seats_internal.check_request_key(request_key text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF request_key IS NULL OR request_key !~ '[^[:space:]]' OR octet_length(request_key) > 255
       OR request_key <> seats_internal.one_line(request_key) THEN
        RAISE EXCEPTION 'invalid request_key'
            USING ERRCODE = 'PS817',
                  DETAIL = CASE WHEN request_key IS NULL THEN 'It is NULL.'
                           ELSE format('It is %s.', quote_literal(left(seats_internal.one_line(request_key), 60))) END,
                  HINT = 'Give 1 to 255 bytes without control characters: your own name for what is asked for, the same '
                         'whenever it is asked for again.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_request_key(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_request_key(text) IS
    'an error unless it can be the key of a payment request, or of a refund';

-- One row for each kind of fact of which a function is named.
CREATE OR REPLACE FUNCTION seats_internal.checked_payment_handlers(
    named       jsonb,
    role        text,
    role_oid    oid
) RETURNS SETOF seats_internal.payment_handler
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found   seats_internal.payment_handler;
    checked record;
    one     record;
BEGIN
    FOR one IN SELECT n.key AS fact, n.value AS function FROM jsonb_each_text(named) AS n
                WHERE n.value IS NOT NULL ORDER BY n.key LOOP
        checked := seats_internal.checked_handler('on_' || one.fact, one.function, role, role_oid);
        found.fact := one.fact;
        found.function := checked.function;
        found.owner := checked.owner;
        found.owner_oid := checked.owner_oid;
        RETURN NEXT found;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.checked_payment_handlers(jsonb, text, oid) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_payment_handlers(jsonb, text, oid) IS
    'functions for what happens to payments, as they are stored, without their request; or an error';

-- {"paid": on_paid, …}, with context and kept settings checked.
CREATE OR REPLACE FUNCTION seats_internal.check_payment_handlers(
    named         jsonb,
    context       jsonb,
    keep_settings text[]
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    largest CONSTANT integer := 1048576;
    kept jsonb;
BEGIN
    IF jsonb_strip_nulls(named) = '{}' AND NOT (context IS NULL AND keep_settings IS NULL) THEN
        RAISE EXCEPTION '% is given, and no handler',
            CASE WHEN keep_settings IS NULL THEN 'context' ELSE 'keep_settings' END
            USING ERRCODE = 'PS704',
                  HINT = 'Name a function in on_paid, on_failed, on_cancelled, on_refunded or on_disputed.';
    ELSIF octet_length(context::text) > largest THEN
        RAISE EXCEPTION 'the context is larger than 1 MB' USING ERRCODE = 'PS106';
    END IF;
    kept := seats_internal.kept_settings(keep_settings);
    IF octet_length(kept::text) > largest THEN
        RAISE EXCEPTION 'the settings that are to be kept are larger than 1 MB' USING ERRCODE = 'PS106';
    END IF;
    RETURN kept;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_payment_handlers(jsonb, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_payment_handlers(jsonb, jsonb, text[]) IS
    'the settings that are kept for a request''s functions, or an error';

CREATE OR REPLACE FUNCTION seats_internal.check_request(
    request_key            text,
    title                  text,
    when_paid_after_cancel text,
    abandon_after          interval
) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.check_request_key(request_key);
    IF octet_length(title) > 1000 THEN
        RAISE EXCEPTION 'the title of a payment request is too long'
            USING ERRCODE = 'PS812', CONSTRAINT = 'longest_title',
                  DETAIL = format('It has more than 1000 bytes (longest_title=1000 bytes=%s).', octet_length(title)),
                  HINT = 'Shorten it.';
    ELSIF title <> seats_internal.one_line(title) THEN
        RAISE EXCEPTION 'invalid title'
            USING ERRCODE = 'PS812', HINT = 'Give it without line breaks, tabs and other control characters.';
    ELSIF when_paid_after_cancel IS NULL OR when_paid_after_cancel NOT IN ('ask', 'refund', 'keep') THEN
        RAISE EXCEPTION 'invalid when_paid_after_cancel: %',
            coalesce(quote_literal(left(seats_internal.one_line(when_paid_after_cancel), 20)), 'NULL')
            USING ERRCODE = 'PS812', HINT = 'It is ask, refund or keep.';
    ELSIF abandon_after < interval '1 minute' OR abandon_after > interval '10 years' THEN
        RAISE EXCEPTION 'invalid abandon_after: %', abandon_after
            USING ERRCODE = 'PS812', HINT = 'Give a minute at least, or null: payments then wait for ever.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_request(text, text, text, interval) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_request(text, text, text, interval) IS
    'an error unless a payment request can have these properties';

CREATE OR REPLACE FUNCTION seats_internal.create_payment_request(
    caller                 text,
    request_key            text,
    currency               text,
    members                jsonb,
    title                  text,
    destination            text,
    when_paid_after_cancel text,
    abandon_after          interval,
    on_paid                text,
    on_failed              text,
    on_cancelled           text,
    on_refunded            text,
    on_disputed            text,
    context                jsonb,
    keep_settings          text[],
    OUT request            bigint,
    OUT repeated           boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place    text;
    unit     text := seats_internal.checked_currency(currency);
    named    CONSTANT jsonb := jsonb_build_object(
        'paid', on_paid, 'failed', on_failed, 'cancelled', on_cancelled, 'refunded', on_refunded,
        'disputed', on_disputed);
    settings jsonb;
    wanted   jsonb;
    made     seats_internal.payment_request;
BEGIN
    PERFORM seats_internal.require_installation();
    PERFORM seats_internal.check_request(request_key, title, when_paid_after_cancel, abandon_after);
    -- (One that is repeated is where it was, however many destinations there are by now.)
    place := seats_internal.only_destination(coalesce(destination, (
        SELECT r.destination FROM seats_internal.payment_request AS r WHERE r.request_key = request_key)));
    PERFORM seats_internal.check_members(members, unit);
    settings := seats_internal.check_payment_handlers(named, context, keep_settings);
    -- (Members may be many, and the context long, or somebody's: their hashes will do.)
    wanted := jsonb_strip_nulls(jsonb_build_object(
        'currency', unit, 'title', title, 'destination', place, 'when_paid_after_cancel', when_paid_after_cancel,
        'abandon_after', abandon_after, 'handlers', named, 'keep_settings', to_jsonb(keep_settings),
        'context_hash', encode(sha256(convert_to(context::text, 'UTF8')), 'hex'),
        'members_hash', seats_internal.hash_of_members(members)));
    INSERT INTO seats_internal.payment_request AS r
        (destination, request_key, currency, title, when_paid_after_cancel, abandon_after, created_by, role, role_oid,
         settings, context, arguments)
    SELECT place, request_key, unit, title, when_paid_after_cancel, abandon_after, caller, caller, a.oid, settings,
           context, wanted
      FROM pg_roles AS a WHERE a.rolname = caller
    ON CONFLICT ON CONSTRAINT payment_request_has_one_key DO NOTHING
    RETURNING r.* INTO made;
    IF made.id IS NULL THEN
        request := seats_internal.known_payment_request(request_key, wanted);
        repeated := true;
        RETURN;
    END IF;
    INSERT INTO seats_internal.payment_handler (request_id, fact, function, owner, owner_oid)
    SELECT made.id, h.fact, h.function, h.owner, h.owner_oid
      FROM seats_internal.checked_payment_handlers(named, made.role, made.role_oid) AS h;
    PERFORM seats_internal.write_journal(
        'payment.requested', caller, made.id, NULL, NULL, jsonb_strip_nulls(jsonb_build_object(
            'request', made.id, 'request_key', request_key, 'currency', unit, 'destination', place, 'title', title,
            'members', jsonb_array_length(members))));
    PERFORM seats_internal.add_members(made, members);
    request := made.id;
    repeated := false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.create_payment_request(
    text, text, text, jsonb, text, text, text, interval, text, text, text, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.create_payment_request(
    text, text, text, jsonb, text, text, text, interval, text, text, text, text, text, jsonb, text[]) IS
    'behind seats.create_payment_request';

-- (A statement of its own: whoever has made it may have committed while the insert waited.)
CREATE OR REPLACE FUNCTION seats_internal.known_payment_request(request_key text, arguments jsonb) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known seats_internal.payment_request;
BEGIN
    SELECT r.* INTO known FROM seats_internal.payment_request AS r
     WHERE r.request_key = known_payment_request.request_key;
    IF known.arguments IS DISTINCT FROM known_payment_request.arguments THEN
        RAISE EXCEPTION 'there is another payment request with this request_key'
            USING ERRCODE = 'PS807',
                  DETAIL = format('Request %s, made at %s, differs in: %s.', known.id, known.created_at,
                      (SELECT string_agg(replace(coalesce(o.key, n.key), '_hash', ''), ', '
                                         ORDER BY coalesce(o.key, n.key))
                         FROM jsonb_each(known.arguments) AS o
                         FULL JOIN jsonb_each(known_payment_request.arguments) AS n ON n.key = o.key
                        WHERE o.value IS DISTINCT FROM n.value)),
                  HINT = 'Repeat the request as it was made, or give another bill another key. What members owe is '
                         'changed with seats.change_amount and seats.add_payment_member.';
    END IF;
    RETURN known.id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.known_payment_request(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.known_payment_request(text, jsonb) IS
    'the payment request that was made with this key, or an error if it was another one';

CREATE OR REPLACE FUNCTION seats.create_payment_request(
    request_key            text,
    currency               text,
    members                jsonb,
    title                  text     DEFAULT NULL,
    destination            text     DEFAULT NULL,
    when_paid_after_cancel text     DEFAULT 'ask',
    abandon_after          interval DEFAULT NULL,
    on_paid                text     DEFAULT NULL,
    on_failed              text     DEFAULT NULL,
    on_cancelled           text     DEFAULT NULL,
    on_refunded            text     DEFAULT NULL,
    on_disputed            text     DEFAULT NULL,
    context                jsonb    DEFAULT NULL,
    keep_settings          text[]   DEFAULT NULL,
    OUT request            bigint,
    OUT repeated           boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.create_payment_request(
    text, text, jsonb, text, text, text, interval, text, text, text, text, text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.create_payment_request(
    text, text, jsonb, text, text, text, interval, text, text, text, text, text, jsonb, text[]) IS
    'a bill that a group shares: members is [{"reference": "ann", "amount": 1250}, …], in minor units of one currency. '
    'The same request_key gives the same request again. when_paid_after_cancel says what becomes of money that comes in '
    'although its payment was to be cancelled: ask (a person), refund, keep. A payment with which nobody has gone on for '
    'abandon_after is cancelled. on_paid, on_failed, on_cancelled, on_refunded and on_disputed name functions of yours, '
    'schema.function(bigint, jsonb, jsonb), that run as you once for each such transaction, with its id, what has '
    'happened and your context';
