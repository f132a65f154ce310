-- Starting a payment: the one that can still be paid, or a new one, whose intent the worker makes. What goes to Stripe is
-- made from what the application names and from nothing else: a start that a failover has forgotten meets the same intent
-- when the payer clicks again.

CREATE OR REPLACE FUNCTION seats_internal.named_uuid(name text) RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN encode(substr(sha256(convert_to(name, 'UTF8')), 1, 16), 'hex')::uuid;
REVOKE ALL ON FUNCTION seats_internal.named_uuid(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.named_uuid(text) IS
    'the same for the same name, so that what a failover has forgotten is made again under the same key';

CREATE OR REPLACE FUNCTION seats_internal.payment_uuid(installation uuid, hash text, attempt integer) RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN seats_internal.named_uuid(concat_ws('-', installation, hash, attempt));
REVOKE ALL ON FUNCTION seats_internal.payment_uuid(uuid, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_uuid(uuid, text, integer) IS
    'what a payment''s idempotency key and its marker at Stripe are made from';

-- For the application and its pages: one that is to be cancelled can no longer be gone on with.
CREATE OR REPLACE FUNCTION seats_internal.payment_state(state text, cancel_requested_at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cancel_requested_at IS NOT NULL AND state IN ('creating', 'payable', 'processing') THEN 'canceling'
            ELSE state END;
REVOKE ALL ON FUNCTION seats_internal.payment_state(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_state(text, timestamptz) IS 'a payment''s state as people are told it';

-- ---- parameters

CREATE OR REPLACE FUNCTION seats_internal.raise_wrong_parameter(name text, problem text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'invalid parameters of a payment'
        USING ERRCODE = 'PS812',
              DETAIL = format('%s %s.', quote_literal(left(seats_internal.one_line(name), 60)), problem),
              HINT = 'There can be: customer, receipt_email, description, statement_descriptor_suffix, '
                     'setup_future_usage, on_behalf_of, transfer_data, application_fee_amount. Amount, currency, capture '
                     'and metadata are pg_seats''s; the payer confirms.';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_wrong_parameter(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_wrong_parameter(text, text) IS
    'the error for what a payment cannot be started with';

-- `rule`: longest_parameter, in bytes, or largest_parameter.
CREATE OR REPLACE FUNCTION seats_internal.raise_parameter_limit(name text, rule text, most bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'invalid parameters of a payment'
        USING ERRCODE = 'PS812', CONSTRAINT = rule,
              DETAIL = format('%s has at most %s%s (parameter=%s %s=%s).', quote_literal(name), most,
                              CASE rule WHEN 'longest_parameter' THEN ' bytes' END, name, rule, most),
              HINT = CASE rule WHEN 'longest_parameter' THEN 'Shorten it.'
                               ELSE 'It is a part of what the payer pays.' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_parameter_limit(text, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_parameter_limit(text, text, bigint) IS
    'the error for a parameter of a payment that is too long, or too large';

-- `most`: an amount of it, so nothing above what is paid.
CREATE OR REPLACE FUNCTION seats_internal.check_share(name text, share jsonb, most bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(share) <> 'number' OR share #>> '{}' !~ '^[0-9]{1,18}$' THEN
        PERFORM seats_internal.raise_wrong_parameter(name, 'is no whole number');
    ELSIF (share #>> '{}')::bigint > most THEN
        PERFORM seats_internal.raise_parameter_limit(name, 'largest_parameter', most);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_share(text, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_share(text, jsonb, bigint) IS 'an error unless it is a part of an amount';

-- Whoever gives something wrong here is told at once, and not by Stripe, when he no longer listens.
CREATE OR REPLACE FUNCTION seats_internal.check_payment_parameters(parameters jsonb, amount bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one record;
BEGIN
    IF jsonb_typeof(parameters) IS DISTINCT FROM 'object' THEN
        PERFORM seats_internal.raise_wrong_parameter('parameters', 'must be an object');
    END IF;
    FOR one IN SELECT p.key, p.value, p.value #>> '{}' AS word FROM jsonb_each(parameters) AS p LOOP
        CASE
            WHEN one.key = 'transfer_data' THEN
                IF jsonb_typeof(one.value) <> 'object' OR (one.value - '{destination,amount}'::text[]) <> '{}'
                   OR coalesce(one.value ->> 'destination' !~ '^acct_[A-Za-z0-9]{1,100}$', true) THEN
                    PERFORM seats_internal.raise_wrong_parameter(one.key, 'is not {"destination": "acct_…", "amount": …}');
                ELSIF one.value ? 'amount' THEN
                    PERFORM seats_internal.check_share('transfer_data[amount]', one.value -> 'amount', amount);
                END IF;
            WHEN one.key = 'application_fee_amount' THEN
                PERFORM seats_internal.check_share(one.key, one.value, amount);
            WHEN one.key NOT IN ('customer', 'receipt_email', 'description', 'statement_descriptor_suffix',
                                 'setup_future_usage', 'on_behalf_of') THEN
                PERFORM seats_internal.raise_wrong_parameter(one.key, 'is not known');
            WHEN jsonb_typeof(one.value) <> 'string' THEN
                PERFORM seats_internal.raise_wrong_parameter(one.key, 'is not a text');
            WHEN one.key = 'customer' AND one.word !~ '^cus_[A-Za-z0-9]{1,100}$'
                 OR one.key = 'on_behalf_of' AND one.word !~ '^acct_[A-Za-z0-9]{1,100}$' THEN
                PERFORM seats_internal.raise_wrong_parameter(one.key, 'is no such id of Stripe''s');
            WHEN one.key = 'setup_future_usage' AND one.word NOT IN ('on_session', 'off_session') THEN
                PERFORM seats_internal.raise_wrong_parameter(one.key, 'is neither on_session nor off_session');
            WHEN one.key = 'receipt_email' AND (one.word !~ '^[^@[:space:]]+@[^@[:space:]]+$' OR length(one.word) > 800) THEN
                PERFORM seats_internal.raise_wrong_parameter(one.key, 'is no address');
            WHEN one.key = 'description' AND octet_length(one.word) > 1000 THEN
                PERFORM seats_internal.raise_parameter_limit(one.key, 'longest_parameter', 1000);
            WHEN one.key = 'statement_descriptor_suffix' AND octet_length(one.word) > 22 THEN
                PERFORM seats_internal.raise_parameter_limit(one.key, 'longest_parameter', 22);
            WHEN one.key = 'statement_descriptor_suffix' AND one.word !~ '^[ -~]+$' THEN
                PERFORM seats_internal.raise_wrong_parameter(one.key, 'is not letters of ASCII');
            ELSE
                NULL;
        END CASE;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_payment_parameters(jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_payment_parameters(jsonb, bigint) IS
    'an error unless a payment of that amount can be started with these parameters';

-- (jsonb has its keys in an order of its own, which is always the same; so the same words give the same bytes.)
CREATE OR REPLACE FUNCTION seats_internal.payment_body(payment seats_internal.payment, hash text) RETURNS text
LANGUAGE sql STABLE
RETURN seats_internal.encoded_form(payment.parameters || jsonb_build_object(
    'amount', payment.amount, 'currency', payment.currency, 'capture_method', 'automatic',
    'automatic_payment_methods', jsonb_build_object('enabled', true),
    'metadata', jsonb_build_object('pg_seats_installation', payment.installation, 'pg_seats_member', hash,
                                   'pg_seats_attempt', payment.attempt)));
REVOKE ALL ON FUNCTION seats_internal.payment_body(seats_internal.payment, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_body(seats_internal.payment, text) IS
    'the body of the request that makes a payment''s intent';

-- ---- beginning

-- The member's lane is held. `found`: the intent is there already; only then another payment of his may be live.
-- `cancelled`: the reason for which it is not to be paid.
CREATE OR REPLACE FUNCTION seats_internal.insert_payment(
    request    seats_internal.payment_request,
    member     seats_internal.payment_member,
    parameters jsonb,
    found      seats_internal.payment_stray DEFAULT NULL,
    cancelled  text DEFAULT NULL
) RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    installation CONSTANT uuid := seats_internal.require_installation();
    attempt      CONSTANT integer := coalesce(found.attempt, member.attempts + 1);
    is_over      CONSTANT boolean := coalesce(found.status = 'canceled', false);
    made         seats_internal.payment;
BEGIN
    INSERT INTO seats_internal.payment AS p
        (id, call_id, member_id, lane_id, destination, installation, attempt, uuid, intent, amount, currency,
         parameters, has_transfer, state, status, abandon_after, cancel_requested_at, cancel_reason)
    SELECT nextval('seats_internal.outbox_id_seq'),
           CASE WHEN found.intent IS NULL THEN nextval('seats_internal.outbox_id_seq') END,
           member.id, member.lane_id, request.destination, installation, attempt,
           seats_internal.payment_uuid(installation, member.hash, attempt), found.intent,
           coalesce(found.amount, member.amount), coalesce(found.currency, request.currency), parameters,
           parameters ? 'transfer_data', CASE WHEN is_over THEN 'canceled' ELSE 'creating' END, found.status,
           request.abandon_after,
           CASE WHEN cancelled IS NOT NULL THEN clock_timestamp() END, cancelled
    RETURNING p.* INTO made;
    -- (Who has paid elsewhere meanwhile, or need not pay, stays so.)
    PERFORM seats_internal.settle_member_by_payments(member.id);
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.insert_payment(
    seats_internal.payment_request, seats_internal.payment_member, jsonb, seats_internal.payment_stray, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.insert_payment(
    seats_internal.payment_request, seats_internal.payment_member, jsonb, seats_internal.payment_stray, text) IS
    'a new attempt of a member, which is locked';

CREATE OR REPLACE FUNCTION seats_internal.begin_payment(
    caller     text,
    request    seats_internal.payment_request,
    member     seats_internal.payment_member,
    parameters jsonb
) RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made seats_internal.payment;
BEGIN
    PERFORM seats_internal.require_destination(request.destination);
    made := seats_internal.insert_payment(request, member, parameters);
    INSERT INTO seats_internal.outbox
        (id, lane_id, installation, destination, method, path, body, verifier, enqueued_by, kind, uuid, payment_id)
    VALUES (made.call_id, made.lane_id, made.installation, made.destination, 'POST', '/v1/payment_intents',
            seats_internal.payment_body(made, member.hash), 'list', caller, 'payment', made.uuid, made.id);
    PERFORM seats_internal.write_journal(
        'payment.started', caller, made.id, made.lane_id, NULL,
        seats_internal.member_detail(member) || jsonb_build_object('payment', made.id, 'attempt', made.attempt,
                                                                   'call', made.call_id));
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.begin_payment(
    text, seats_internal.payment_request, seats_internal.payment_member, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.begin_payment(
    text, seats_internal.payment_request, seats_internal.payment_member, jsonb) IS
    'a new payment of a member, which is locked, and the call that makes its intent';

-- What a click meets: the payment that is live, or the one that has succeeded, or nothing. (A click on what was paid
-- meanwhile, in another tab, is no mistake of anybody's.)
CREATE OR REPLACE FUNCTION seats_internal.present_payment(member seats_internal.payment_member, again boolean)
RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present seats_internal.payment;
BEGIN
    IF member.live_payment_id IS NOT NULL THEN
        UPDATE seats_internal.payment AS p
           SET touched_at = clock_timestamp()
         WHERE p.id = member.live_payment_id AND p.cancel_requested_at IS NULL;
        SELECT p.* INTO present FROM seats_internal.payment AS p WHERE p.id = member.live_payment_id;
    ELSIF member.state IN ('paid', 'paid_other_amount') AND NOT again THEN
        SELECT p.* INTO present FROM seats_internal.payment AS p
         WHERE p.member_id = member.id AND p.state = 'succeeded' AND p.refunded < p.received
         ORDER BY p.attempt DESC LIMIT 1;
    END IF;
    RETURN present;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.present_payment(seats_internal.payment_member, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.present_payment(seats_internal.payment_member, boolean) IS
    'the payment of a member, which is locked, that stands in the way of a new one; null: none does';

CREATE OR REPLACE FUNCTION seats_internal.start_payment(
    caller       text,
    member       bigint,
    parameters   jsonb,
    again        boolean,
    OUT payment  bigint,
    OUT call     bigint,
    OUT attempt  integer,
    OUT state    text,
    OUT repeated boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    taken   seats_internal.payment_member := seats_internal.take_payment_member(member);
    request seats_internal.payment_request;
    started seats_internal.payment;
BEGIN
    SELECT r.* INTO request FROM seats_internal.payment_request AS r WHERE r.id = taken.request_id;
    parameters := coalesce(parameters, '{}');
    PERFORM seats_internal.check_payment_parameters(parameters, taken.amount);
    started := seats_internal.present_payment(taken, coalesce(again, false));
    repeated := started.id IS NOT NULL;
    IF NOT repeated THEN
        PERFORM seats_internal.require_open_request(request);
        IF taken.removed_at IS NOT NULL OR taken.amount = 0
           OR NOT (taken.state = 'unpaid' OR taken.state = 'refunded' AND coalesce(again, false)) THEN
            PERFORM seats_internal.raise_settled_member(taken);
        END IF;
        started := seats_internal.take_over_strays(request, taken);
        IF started.id IS NULL THEN
            SELECT m.* INTO taken FROM seats_internal.payment_member AS m WHERE m.id = member;
            started := seats_internal.begin_payment(caller, request, taken, parameters);
        END IF;
    END IF;
    payment := started.id;
    call := started.call_id;
    attempt := started.attempt;
    state := seats_internal.payment_state(started.state, started.cancel_requested_at);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.start_payment(text, bigint, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.start_payment(text, bigint, jsonb, boolean) IS 'behind seats.start_payment';

CREATE OR REPLACE FUNCTION seats.start_payment(
    member       bigint,
    parameters   jsonb   DEFAULT '{}',
    again        boolean DEFAULT false,
    OUT payment  bigint,
    OUT call     bigint,
    OUT attempt  integer,
    OUT state    text,
    OUT repeated boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.start_payment(bigint, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.start_payment(bigint, jsonb, boolean) IS
    'begins to pay what a member owes: gives the payment that can still be paid, or has been, if there is one (repeated), '
    'however many ask at once, and else makes one. parameters: customer, receipt_email, description, '
    'statement_descriptor_suffix, setup_future_usage, on_behalf_of, transfer_data, application_fee_amount. Who has got '
    'back all he has paid pays once more with again => true';
