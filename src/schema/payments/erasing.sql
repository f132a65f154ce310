-- Forgetting a payer (people/erasing.sql): what is said of money stays, and whose it was becomes a word that tells nothing.
-- The hash stays, too: it is what Stripe has instead of his id, and without the id it says nothing of him.

-- His memberships, whether the application names payers by their ids or by their addresses (which are in lower case).
CREATE OR REPLACE FUNCTION seats_internal.members_of_payer(person text, addresses text[])
RETURNS SETOF seats_internal.payment_member
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT m.* FROM seats_internal.payment_member AS m
     WHERE m.reference = person OR lower(m.reference) = ANY (addresses);
END;
REVOKE ALL ON FUNCTION seats_internal.members_of_payer(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.members_of_payer(text, text[]) IS 'the shares of bills that are a person''s';

-- Who is asked to pay must be known by his name; so must he be by functions that have yet to run.
CREATE OR REPLACE FUNCTION seats_internal.count_open_shares(person text, addresses text[]) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT count(*)
      FROM seats_internal.members_of_payer(person, addresses) AS m
      JOIN seats_internal.payment_request AS r ON r.id = m.request_id
     WHERE m.live_payment_id IS NOT NULL
        OR m.state = 'unpaid' AND m.removed_at IS NULL AND r.state = 'open'
        OR EXISTS (SELECT FROM seats_internal.handler AS h WHERE h.lane_id = m.lane_id)
        OR EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.lane_id = m.lane_id);
END;
REVOKE ALL ON FUNCTION seats_internal.count_open_shares(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_open_shares(text, text[]) IS
    'shares of bills that a person is to pay, or of which a payment, a refund or a handler is open';

-- Before it is looked at what is open of him: somebody may have him just now, who begins a payment.
CREATE OR REPLACE FUNCTION seats_internal.take_payer(person text, addresses text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.take_request(r.request_id)
       FROM (SELECT DISTINCT m.request_id FROM seats_internal.members_of_payer(person, addresses) AS m
              ORDER BY m.request_id) AS r;
    PERFORM seats_internal.take_member_lanes(ARRAY(
        SELECT m.lane_id FROM seats_internal.members_of_payer(person, addresses) AS m));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_payer(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_payer(text, text[]) IS 'locks the shares of bills that are a person''s, and the bills';

-- (Somebody may stand in one bill under his id and under his address: names stay different. They are locked.)
CREATE OR REPLACE FUNCTION seats_internal.erase_payer(person text, addresses text[], instead text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    erased bigint[] := ARRAY(SELECT m.id FROM seats_internal.members_of_payer(person, addresses) AS m);
BEGIN
    UPDATE seats_internal.payment AS p
       SET parameters = p.parameters - '{receipt_email,description}'::text[]
     WHERE p.member_id = ANY (erased);
    UPDATE seats_internal.payment_member AS m
       SET reference = concat_ws('-', instead, nullif(n.number, 1))
      FROM (SELECT e.id, row_number() OVER (PARTITION BY e.request_id ORDER BY e.id) AS number
              FROM seats_internal.payment_member AS e WHERE e.id = ANY (erased)) AS n
     WHERE m.id = n.id;
    RETURN cardinality(erased);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.erase_payer(text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.erase_payer(text, text[], text) IS
    'puts another word in the place of a payer''s id, and forgets what his payments say of him; gives of how many shares';
