-- Taking requests, members and payments. The order is everywhere: the request, the members' lanes by id, and then, in a
-- second statement with a new snapshot, what is there. A member's lane is its lock; whoever has it may write the member,
-- its payments and refunds. The worker takes lanes, too, and never a request.

-- (Their numbers are of one kind, so one may have been taken for another's.)
CREATE OR REPLACE FUNCTION seats_internal.raise_no_payment_thing(what text, id bigint) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mistaken text := CASE
        WHEN EXISTS (SELECT FROM seats_internal.payment_request AS r WHERE r.id = raise_no_payment_thing.id)
            THEN 'payment request'
        WHEN EXISTS (SELECT FROM seats_internal.payment_member AS m WHERE m.id = raise_no_payment_thing.id)
            THEN 'payment member'
        WHEN EXISTS (SELECT FROM seats_internal.payment AS p WHERE p.id = raise_no_payment_thing.id) THEN 'payment' END;
BEGIN
    RAISE EXCEPTION 'there is no % %', CASE what WHEN 'request' THEN 'payment request' WHEN 'member' THEN 'payment member'
                                                 ELSE what END, coalesce(id::text, 'NULL')
        USING ERRCODE = CASE what WHEN 'request' THEN 'PS804' WHEN 'member' THEN 'PS805' ELSE 'PS806' END,
              HINT = coalesce('It is the number of a ' || mistaken || '. ', '')
                  || format('The view seats.%s lists them.', CASE what
                      WHEN 'request' THEN 'payment_requests' WHEN 'member' THEN 'payment_members'
                      ELSE 'payments' END);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_no_payment_thing(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_no_payment_thing(text, bigint) IS
    'the error for a request, member or payment that does not exist';

CREATE OR REPLACE FUNCTION seats_internal.take_request(request bigint) RETURNS seats_internal.payment_request
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken seats_internal.payment_request;
BEGIN
    UPDATE seats_internal.payment_request AS r SET version = r.version + 1 WHERE r.id = request
    RETURNING r.* INTO taken;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_payment_thing('request', request);
    END IF;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_request(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_request(bigint) IS
    'locks a payment request until the end of the transaction, and gives it; all of its verbs begin so';

-- (The version moves: whoever has an older snapshot gets a serialisation failure instead of what was.)
CREATE OR REPLACE FUNCTION seats_internal.take_member_lanes(lanes bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.lane AS l SET version = l.version + 1, used_on = CURRENT_DATE
      FROM (SELECT o.id FROM seats_internal.lane AS o WHERE o.id = ANY (lanes) ORDER BY o.id FOR UPDATE) AS taken
     WHERE l.id = taken.id;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_member_lanes(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_member_lanes(bigint[]) IS
    'locks lanes by their ids; whoever calls this has the request';

CREATE OR REPLACE FUNCTION seats_internal.take_payment_member(member bigint) RETURNS seats_internal.payment_member
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken seats_internal.payment_member;
BEGIN
    SELECT m.* INTO taken FROM seats_internal.payment_member AS m WHERE m.id = member;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_payment_thing('member', member);
    END IF;
    PERFORM seats_internal.take_request(taken.request_id);
    PERFORM seats_internal.take_member_lanes(ARRAY[taken.lane_id]);
    SELECT m.* INTO taken FROM seats_internal.payment_member AS m WHERE m.id = member FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_payment_thing('member', member);
    END IF;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_payment_member(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_payment_member(bigint) IS
    'locks a member, behind its request, and gives it as it is then';

CREATE OR REPLACE FUNCTION seats_internal.take_payment(payment bigint) RETURNS seats_internal.payment
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken seats_internal.payment;
BEGIN
    SELECT p.* INTO taken FROM seats_internal.payment AS p WHERE p.id = take_payment.payment;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_payment_thing('payment', take_payment.payment);
    END IF;
    PERFORM seats_internal.take_payment_member(taken.member_id);
    SELECT p.* INTO taken FROM seats_internal.payment AS p WHERE p.id = take_payment.payment FOR UPDATE;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_payment(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_payment(bigint) IS
    'locks a payment, behind its request and member, and gives it as it is then';

-- A number names one thing, so who mixes up a member's and a payment's is told so. (Nothing is locked: who a payer is never
-- changes.)
CREATE OR REPLACE FUNCTION seats_internal.check_payer(what text, id bigint, payer text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    member bigint := coalesce((SELECT p.member_id FROM seats_internal.payment AS p WHERE p.id = check_payer.id),
                              check_payer.id);
BEGIN
    IF NOT EXISTS (SELECT FROM seats_internal.payment_member AS m
                    WHERE m.id = member AND m.reference = check_payer.payer) THEN
        -- (Who asks for somebody else's learns nothing of whether there is one.)
        RAISE EXCEPTION 'there is nothing that % is to pay there',
            coalesce(quote_literal(left(seats_internal.one_line(payer), 60)), 'NULL')
            USING ERRCODE = 'PS811',
                  HINT = 'Give the payer as your application knows it, from its own session and not from the request: it '
                         'must be the member''s reference.';
    ELSIF what = 'payment' AND member = id THEN
        RAISE EXCEPTION 'there is no payment %', id
            USING ERRCODE = 'PS806', DETAIL = 'It is the number of a payment member.',
                  HINT = format('CALL seats.start_payment_and_wait(%s, payer) takes a member, and gives the payment, too.', id);
    ELSIF what = 'member' AND member <> id THEN
        RAISE EXCEPTION 'there is no payment member %', id
            USING ERRCODE = 'PS805', DETAIL = format('It is a payment of member %s.', member),
                  HINT = format('CALL seats.fetch_client_secret(%s, payer) takes a payment.', id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_payer(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_payer(text, bigint, text) IS
    'an error unless there is such a member, or payment, and this is its payer';
