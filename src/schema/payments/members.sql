-- Members of a request, and what they owe.

-- What stands for a member at Stripe: in metadata and, with the attempt, in idempotency keys. Lengths stand before the
-- names, so that no two pairs of them give the same text.
CREATE OR REPLACE FUNCTION seats_internal.payment_hash(request_key text, reference text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN left(encode(sha256(convert_to(
    concat_ws(':', length(request_key), request_key, length(reference), reference), 'UTF8')), 'hex'), 32);
REVOKE ALL ON FUNCTION seats_internal.payment_hash(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_hash(text, text) IS
    'made from what the application names a member of a request by: Stripe sees this instead';

CREATE OR REPLACE FUNCTION seats_internal.hash_of_members(members jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN (SELECT encode(sha256(convert_to(coalesce(
                   jsonb_object_agg(m.value ->> 'reference', m.value -> 'amount'), '{}')::text, 'UTF8')), 'hex')
          FROM jsonb_array_elements(members) AS m);
REVOKE ALL ON FUNCTION seats_internal.hash_of_members(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.hash_of_members(jsonb) IS 'the same for the same members, in whatever order';

CREATE OR REPLACE FUNCTION seats_internal.check_reference(reference text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF octet_length(reference) > 255 THEN
        RAISE EXCEPTION 'the reference of a payment member is too long'
            USING ERRCODE = 'PS803', CONSTRAINT = 'longest_reference',
                  DETAIL = format('It has more than 255 bytes (longest_reference=255 bytes=%s).', octet_length(reference)),
                  HINT = 'Give the id that the application knows the payer by.';
    ELSIF reference IS NULL OR reference !~ '[^[:space:]]' OR reference <> seats_internal.one_line(reference) THEN
        RAISE EXCEPTION 'invalid reference of a payment member'
            USING ERRCODE = 'PS803',
                  DETAIL = CASE WHEN reference IS NULL THEN 'It is NULL.'
                           ELSE format('It is %s.', quote_literal(left(seats_internal.one_line(reference), 60))) END,
                  HINT = 'Give 1 to 255 bytes without control characters: the id that the application knows the payer '
                         'by.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_reference(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_reference(text) IS 'an error unless it can be a payer''s id';

CREATE OR REPLACE FUNCTION seats_internal.most_payment_members() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 1000;
REVOKE ALL ON FUNCTION seats_internal.most_payment_members() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.most_payment_members() IS 'how many members a payment request can have';

CREATE OR REPLACE FUNCTION seats_internal.check_member_count(wanted integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := seats_internal.most_payment_members();
BEGIN
    IF wanted > most THEN
        RAISE EXCEPTION 'a payment request cannot have % members', wanted
            USING ERRCODE = 'PS803', CONSTRAINT = 'most_members',
                  DETAIL = format('It can have %s (most_members=%s requested=%s).', most, most, wanted),
                  HINT = 'Make another request for the others.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_member_count(integer) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_member_count(integer) IS 'an error if a request cannot have so many members';

CREATE OR REPLACE FUNCTION seats_internal.check_members(members jsonb, currency text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one   jsonb;
    twice text;
BEGIN
    IF jsonb_typeof(members) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'members must be an array'
            USING ERRCODE = 'PS803', HINT = 'For example [{"reference": "ann", "amount": 1250}].';
    END IF;
    PERFORM seats_internal.check_member_count(jsonb_array_length(members));
    FOR one IN SELECT m.value FROM jsonb_array_elements(members) AS m LOOP
        -- (A name that is not known may be a misspelt one, of something that matters.)
        IF jsonb_typeof(one) <> 'object' OR jsonb_typeof(one -> 'reference') IS DISTINCT FROM 'string'
           OR jsonb_typeof(one -> 'amount') IS DISTINCT FROM 'number' OR (one - '{reference,amount}'::text[]) <> '{}'
           OR one ->> 'amount' !~ '^-?[0-9]{1,18}$' THEN
            RAISE EXCEPTION 'a payment member must have a reference and an amount, and nothing else'
                USING ERRCODE = 'PS803', DETAIL = format('It is %s.', left(seats_internal.one_line(one::text), 200)),
                      HINT = 'For example {"reference": "ann", "amount": 1250}: the amount is a whole number.';
        END IF;
        PERFORM seats_internal.check_reference(one ->> 'reference');
        PERFORM seats_internal.check_amount((one ->> 'amount')::bigint, currency);
    END LOOP;
    SELECT min(m.value ->> 'reference') INTO twice FROM jsonb_array_elements(members) AS m
     GROUP BY m.value ->> 'reference' HAVING count(*) > 1 LIMIT 1;
    IF twice IS NOT NULL THEN
        RAISE EXCEPTION 'payment member % is given twice', quote_literal(twice)
            USING ERRCODE = 'PS803', HINT = 'Who pays for two owes the sum.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_members(jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_members(jsonb, text) IS 'an error unless these can be members of a request';

-- Members that are new. (No call of an application's own may name such a lane: it begins with "/", and is no path of
-- Stripe's.) The lanes are taken in the order of their names, as nobody but us knows them yet (or, after a
-- failover, nobody any more).
CREATE OR REPLACE FUNCTION seats_internal.add_members(request seats_internal.payment_request, members jsonb)
RETURNS SETOF seats_internal.payment_member
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one   record;
    added seats_internal.payment_member;
    ids   bigint[] := '{}';
BEGIN
    FOR one IN
        SELECT m.value ->> 'reference' AS reference, (m.value ->> 'amount')::bigint AS amount,
               seats_internal.payment_hash(request.request_key, m.value ->> 'reference') AS hash
          FROM jsonb_array_elements(members) AS m ORDER BY 3
    LOOP
        WITH taken AS (
            INSERT INTO seats_internal.lane AS l (destination, name)
            VALUES (request.destination, '/payments/' || one.hash)
            ON CONFLICT ON CONSTRAINT lane_is_unique_by_destination
                DO UPDATE SET version = l.version + 1, used_on = CURRENT_DATE
            RETURNING l.id)
        INSERT INTO seats_internal.payment_member AS m (request_id, lane_id, reference, hash, amount, state)
        SELECT request.id, taken.id, one.reference, one.hash, one.amount,
               CASE one.amount WHEN 0 THEN 'nothing_due' ELSE 'unpaid' END
          FROM taken
        RETURNING m.* INTO added;
        ids := ids || added.id;
        RETURN NEXT added;
    END LOOP;
    -- After a failover that has forgotten the request: who has begun to pay goes on. (Only those whose lanes we have.)
    FOR added IN
        SELECT m.* FROM seats_internal.payment_member AS m
         WHERE m.id = ANY (ids)
           AND EXISTS (SELECT FROM seats_internal.payment_stray AS s
                        WHERE s.hash = m.hash AND s.destination = request.destination)
    LOOP
        PERFORM seats_internal.take_over_strays(request, added);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.add_members(seats_internal.payment_request, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.add_members(seats_internal.payment_request, jsonb) IS
    'adds members, which were checked, to a request that is locked; gives them';

CREATE OR REPLACE FUNCTION seats_internal.require_open_request(request seats_internal.payment_request) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF request.state <> 'open' THEN
        RAISE EXCEPTION 'payment request % is cancelled', request.id
            USING ERRCODE = 'PS810', HINT = 'Make another one, with another request_key.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_open_request(seats_internal.payment_request) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_open_request(seats_internal.payment_request) IS
    'an error if the request is cancelled';

CREATE OR REPLACE FUNCTION seats_internal.require_nothing_live(member seats_internal.payment_member) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF member.live_payment_id IS NOT NULL THEN
        RAISE EXCEPTION 'payment member % has a payment that can still be paid', member.id
            USING ERRCODE = 'PS808', DETAIL = format('It is payment %s.', member.live_payment_id),
                  HINT = 'Cancel it first with seats.cancel_payment; once that is proven it is over, which may take days '
                         'if it is at the payer''s bank.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_nothing_live(seats_internal.payment_member) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_nothing_live(seats_internal.payment_member) IS
    'an error if the member has a payment that can still be paid';

CREATE OR REPLACE FUNCTION seats_internal.raise_settled_member(member seats_internal.payment_member) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'payment member % %', member.id,
        CASE WHEN member.removed_at IS NOT NULL THEN 'was removed'
             WHEN member.state IN ('paid', 'paid_other_amount') THEN 'has paid'
             WHEN member.state = 'paid_outside' THEN 'has paid elsewhere'
             WHEN member.state = 'waived' THEN 'need not pay'
             WHEN member.state = 'refunded' THEN 'has paid, and has got it back'
             ELSE 'owes nothing' END
        USING ERRCODE = 'PS809',
              DETAIL = format('It is %s.', member.state),
              HINT = CASE
                  WHEN member.removed_at IS NOT NULL THEN 'seats.add_payment_member brings it back.'
                  WHEN member.state IN ('paid', 'paid_other_amount')
                      THEN 'seats.refund_payment gives the money back.'
                  WHEN member.state IN ('paid_outside', 'waived')
                      THEN 'seats.settle_member(member, ''unpaid'', reason) takes that back.'
                  WHEN member.state = 'refunded' THEN 'If it is to pay once more, say again => true.'
                  ELSE 'seats.change_amount makes it owe something.' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_settled_member(seats_internal.payment_member) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_settled_member(seats_internal.payment_member) IS
    'the error for a member that has nothing to pay';

CREATE OR REPLACE FUNCTION seats_internal.member_detail(member seats_internal.payment_member) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_build_object('request', r.id, 'request_key', r.request_key, 'member', member.id,
                                      'amount', member.amount, 'currency', r.currency)
              FROM seats_internal.payment_request AS r WHERE r.id = member.request_id);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.member_detail(seats_internal.payment_member) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.member_detail(seats_internal.payment_member) IS
    'a member as the journal tells of it, which does not say who the payer is';

-- ---- verbs

CREATE OR REPLACE FUNCTION seats_internal.add_payment_member(
    caller       text,
    request      bigint,
    reference    text,
    amount       bigint,
    OUT member   bigint,
    OUT repeated boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    taken seats_internal.payment_request := seats_internal.take_request(request);
    found seats_internal.payment_member;
BEGIN
    PERFORM seats_internal.check_reference(reference);
    PERFORM seats_internal.check_amount(amount, taken.currency);
    SELECT m.* INTO found FROM seats_internal.payment_member AS m
     WHERE m.request_id = taken.id AND m.reference = reference;
    IF found.id IS NOT NULL AND found.removed_at IS NULL AND found.amount = amount THEN
        member := found.id;
        repeated := true;
        RETURN;
    END IF;
    PERFORM seats_internal.require_open_request(taken);
    IF found.id IS NULL AND EXISTS (SELECT FROM seats_internal.payment_member AS m
                                     WHERE m.hash = seats_internal.payment_hash(taken.request_key, reference)) THEN
        RAISE EXCEPTION 'payment request % had this member, who was erased', taken.id
            USING ERRCODE = 'PS803', HINT = 'Make another request for him, with another request_key.';
    ELSIF found.removed_at IS NOT NULL THEN
        found := seats_internal.reopen_member(found, amount);
    ELSIF found.id IS NOT NULL THEN
        RAISE EXCEPTION 'payment request % has a member % already', taken.id, quote_literal(reference)
            USING ERRCODE = 'PS803', DETAIL = format('It owes %s.', found.amount),
                  HINT = format('seats.change_amount(%s, amount) changes that.', found.id);
    ELSE
        PERFORM seats_internal.check_member_count(
            (SELECT count(*)::integer + 1 FROM seats_internal.payment_member AS m WHERE m.request_id = taken.id));
        SELECT a.* INTO found FROM seats_internal.add_members(
            taken, jsonb_build_array(jsonb_build_object('reference', reference, 'amount', amount))) AS a;
    END IF;
    PERFORM seats_internal.write_journal('payment.member_added', caller, found.id, found.lane_id, NULL,
                                         seats_internal.member_detail(found));
    member := found.id;
    repeated := false;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.add_payment_member(text, bigint, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.add_payment_member(text, bigint, text, bigint) IS 'behind seats.add_payment_member';

-- (Its attempts go on counting: Stripe remembers the keys of those that were.)
CREATE OR REPLACE FUNCTION seats_internal.reopen_member(member seats_internal.payment_member, amount bigint)
RETURNS seats_internal.payment_member
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM seats_internal.take_member_lanes(ARRAY[member.lane_id]);
    SELECT m.* INTO member FROM seats_internal.payment_member AS m WHERE m.id = member.id FOR UPDATE;
    IF amount <> member.amount THEN
        PERFORM seats_internal.require_nothing_live(member);
        IF member.state NOT IN ('unpaid', 'nothing_due', 'refunded') THEN
            member.removed_at := NULL;
            PERFORM seats_internal.raise_settled_member(member);
        END IF;
    END IF;
    UPDATE seats_internal.payment_member AS m
       SET removed_at = NULL, amount = amount
     WHERE m.id = member.id;
    PERFORM seats_internal.settle_member_by_payments(member.id);
    SELECT m.* INTO member FROM seats_internal.payment_member AS m WHERE m.id = member.id;
    RETURN member;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reopen_member(seats_internal.payment_member, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reopen_member(seats_internal.payment_member, bigint) IS
    'a member that was removed, and is added again';

CREATE OR REPLACE FUNCTION seats.add_payment_member(
    request      bigint,
    reference    text,
    amount       bigint,
    OUT member   bigint,
    OUT repeated boolean
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.add_payment_member(bigint, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.add_payment_member(bigint, text, bigint) IS
    'one more who shares the bill. reference is your id of the payer, amount what he owes in minor units; who owes 0 has '
    'nothing to do';

CREATE OR REPLACE FUNCTION seats_internal.remove_payment_member(
    caller      text,
    member      bigint,
    OUT removed boolean,
    OUT state   text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    taken seats_internal.payment_member := seats_internal.take_payment_member(member);
BEGIN
    IF taken.live_payment_id IS NOT NULL THEN
        PERFORM seats_internal.cancel_taken_payment(caller, taken.live_payment_id, 'requested_by_customer');
        SELECT m.* INTO taken FROM seats_internal.payment_member AS m WHERE m.id = member;
    END IF;
    IF taken.removed_at IS NULL THEN
        PERFORM seats_internal.write_journal('payment.member_removed', caller, taken.id, taken.lane_id, NULL,
                                             seats_internal.member_detail(taken));
    END IF;
    removed := taken.state IN ('unpaid', 'nothing_due', 'refunded', 'waived');
    state := taken.state;
    -- (That somebody has paid elsewhere, or need not, was said by a person, and is not forgotten.)
    IF taken.attempts = 0 AND taken.state IN ('unpaid', 'nothing_due') THEN
        DELETE FROM seats_internal.payment_member AS m WHERE m.id = member;
    ELSE
        UPDATE seats_internal.payment_member AS m SET removed_at = clock_timestamp()
         WHERE m.id = member AND m.removed_at IS NULL;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.remove_payment_member(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.remove_payment_member(text, bigint) IS 'behind seats.remove_payment_member';

CREATE OR REPLACE FUNCTION seats.remove_payment_member(member bigint, OUT removed boolean, OUT state text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.remove_payment_member(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.remove_payment_member(bigint) IS
    'one fewer shares the bill. A payment of his that can still be paid is to be cancelled. removed is false if there is '
    'money of his, or may be yet: state says which (paying, paid, paid_other_amount, paid_outside); give back what he has '
    'paid with seats.refund_payment';

CREATE OR REPLACE FUNCTION seats_internal.change_amount(
    caller              text,
    member              bigint,
    amount              bigint,
    OUT previous_amount bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    taken   seats_internal.payment_member := seats_internal.take_payment_member(member);
    request seats_internal.payment_request;
BEGIN
    SELECT r.* INTO request FROM seats_internal.payment_request AS r WHERE r.id = taken.request_id;
    PERFORM seats_internal.check_amount(amount, request.currency);
    previous_amount := taken.amount;
    IF amount = taken.amount THEN
        RETURN;
    END IF;
    PERFORM seats_internal.require_open_request(request);
    PERFORM seats_internal.require_nothing_live(taken);
    IF taken.state NOT IN ('unpaid', 'nothing_due', 'refunded') OR taken.removed_at IS NOT NULL THEN
        PERFORM seats_internal.raise_settled_member(taken);
    END IF;
    UPDATE seats_internal.payment_member AS m SET amount = amount WHERE m.id = member;
    PERFORM seats_internal.settle_member_by_payments(member);
    PERFORM seats_internal.write_journal(
        'payment.amount_changed', caller, member, taken.lane_id, NULL,
        seats_internal.member_detail(taken)
        || jsonb_build_object('amount', amount, 'previous_amount', previous_amount));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.change_amount(text, bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_amount(text, bigint, bigint) IS 'behind seats.change_amount';

CREATE OR REPLACE FUNCTION seats.change_amount(member bigint, amount bigint, OUT previous_amount bigint)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.change_amount(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.change_amount(bigint, bigint) IS
    'what a member owes from now on, in minor units; not while it has a payment that can still be paid, which has its '
    'amount already: cancel that first';

CREATE OR REPLACE FUNCTION seats_internal.settle_member(
    caller    text,
    member    bigint,
    how       text,
    reason    text,
    OUT state text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    taken seats_internal.payment_member;
BEGIN
    PERFORM seats_internal.require_reason(reason);
    IF how IS NULL OR how NOT IN ('paid_outside', 'waived', 'unpaid') THEN
        RAISE EXCEPTION 'a member cannot be settled as %',
            coalesce(quote_literal(left(seats_internal.one_line(how), 20)), 'NULL')
            USING ERRCODE = 'PS812',
                  HINT = 'Say paid_outside or waived; unpaid takes either back.';
    END IF;
    taken := seats_internal.take_payment_member(member);
    state := taken.state;
    IF state = how THEN
        RETURN;
    END IF;
    PERFORM seats_internal.require_nothing_live(taken);
    IF how = 'unpaid' AND taken.state NOT IN ('paid_outside', 'waived')
       OR taken.state IN ('paid', 'paid_other_amount', 'nothing_due') OR taken.removed_at IS NOT NULL THEN
        PERFORM seats_internal.raise_settled_member(taken);
    END IF;
    UPDATE seats_internal.payment_member AS m
       SET state = how, reason = CASE how WHEN 'unpaid' THEN NULL ELSE reason END, state_since = clock_timestamp()
     WHERE m.id = member;
    -- (It may have paid before, and have got it back.)
    PERFORM seats_internal.settle_member_by_payments(member);
    PERFORM seats_internal.write_journal(
        'payment.member_settled', caller, member, taken.lane_id, reason,
        seats_internal.member_detail(taken) || jsonb_build_object('how', how, 'previous_state', taken.state));
    state := (SELECT m.state FROM seats_internal.payment_member AS m WHERE m.id = member);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.settle_member(text, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.settle_member(text, bigint, text, text) IS 'behind seats.settle_member';

CREATE OR REPLACE FUNCTION seats.settle_member(member bigint, how text, reason text, OUT state text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.settle_member(bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.settle_member(bigint, text, text) IS
    'says that a member need not pay here: paid_outside or waived; unpaid takes that back. Not while it has a payment '
    'that can still be paid: cancel that first';

CREATE OR REPLACE FUNCTION seats_internal.payment_member(caller text, request_key text, reference text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT m.id FROM seats_internal.payment_request AS r
              JOIN seats_internal.payment_member AS m ON m.request_id = r.id
             WHERE r.request_key = payment_member.request_key AND m.reference = payment_member.reference);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.payment_member(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.payment_member(text, text, text) IS 'behind seats.payment_member';

CREATE OR REPLACE FUNCTION seats.payment_member(request_key text, reference text) RETURNS bigint
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.payment_member(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.payment_member(text, text) IS
    'the number of a member, by your names for the bill and the payer; null if there is none';
