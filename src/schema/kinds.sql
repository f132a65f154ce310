-- The kinds of rows of the outbox: what a room that is not theirs has to know of them.

-- can_be_in_doubt: it makes a difference whether it was executed, so that is proven before it is sent again. is_planned:
-- it has no body before its call is planned.
CREATE OR REPLACE FUNCTION seats_internal.kinds(
    OUT kind            text,
    OUT can_be_in_doubt boolean,
    OUT is_planned      boolean
) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('call',           true,  false),
           ('change',         true,  true),
           ('read',           false, false),  -- of a subscription
           ('price',          false, false),  -- a read of a price
           ('void',           true,  false),  -- of the invoice that a change waits for
           ('delivery',       false, false),  -- to a receiver, who knows it by its id
           ('payment',        true,  false),  -- makes a PaymentIntent
           ('payment_cancel', false, false),  -- cancels one; does nothing the second time
           ('payment_read',   false, false),  -- of one, of its refunds, or of its disputes
           ('payment_list',   false, false),  -- a page of all of them
           ('refund',         true,  false);
END;
REVOKE ALL ON FUNCTION seats_internal.kinds() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.kinds() IS
    'the kinds of rows of the outbox, and what rooms that are not theirs have to know of them';

-- As arrays: asked once for a statement and not for each row. Of a kind that is not in the list, the careful answer.
CREATE OR REPLACE FUNCTION seats_internal.never_in_doubt() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT k.kind FROM seats_internal.kinds() AS k WHERE NOT k.can_be_in_doubt);
REVOKE ALL ON FUNCTION seats_internal.never_in_doubt() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.never_in_doubt() IS
    'kinds of rows that may be sent again at any time';

CREATE OR REPLACE FUNCTION seats_internal.planned_kinds() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT k.kind FROM seats_internal.kinds() AS k WHERE k.is_planned);
REVOKE ALL ON FUNCTION seats_internal.planned_kinds() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.planned_kinds() IS
    'kinds of rows that have no body before their call is planned';

-- For whoever looks up where a row stands (src/functions/call_state.cpp), and for pages. (It is inlined: indexes by kind serve it.)
CREATE OR REPLACE FUNCTION seats_internal.is_change(kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN kind = 'change';
REVOKE ALL ON FUNCTION seats_internal.is_change(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_change(text) IS
    'a change of seats, which is told of in other words than a call';

CREATE OR REPLACE FUNCTION seats_internal.is_delivery(kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN kind = 'delivery';
REVOKE ALL ON FUNCTION seats_internal.is_delivery(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_delivery(text) IS 'owed to a receiver, and not to Stripe';

CREATE OR REPLACE FUNCTION seats_internal.is_shared(kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN kind = 'read';
REVOKE ALL ON FUNCTION seats_internal.is_shared(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_shared(text) IS
    'everybody''s who has asked for it, and not only of the one who enqueued it';

-- What follows from the end of a row that had no answer. (What follows from an answer is the worker's business.)
CREATE OR REPLACE FUNCTION seats_internal.row_was_settled(call seats_internal.outbox_history) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE call.kind
        WHEN 'change' THEN PERFORM seats_internal.settle_change(call.id, NULL, NULL, NULL);
        WHEN 'void' THEN PERFORM seats_internal.void_settled(call.id);
        WHEN 'payment' THEN PERFORM seats_internal.payment_created(
            call.id, call.payment_id, call.result, NULL, NULL, false, call.error, call.error_code);
        WHEN 'payment_cancel' THEN PERFORM seats_internal.payment_cancel_settled(
            call.id, call.payment_id, NULL, NULL, call.error_code);
        WHEN 'payment_read' THEN PERFORM seats_internal.payment_not_read(
            call.id, call.payment_id, coalesce(call.error, call.reason));
        WHEN 'refund' THEN PERFORM seats_internal.refund_settled(
            call.id, call.payment_id, call.result, NULL, call.error, call.error_code);
        ELSE NULL;
    END CASE;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.row_was_settled(seats_internal.outbox_history) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.row_was_settled(seats_internal.outbox_history) IS
    'what the end of a row does, when a person or the worker says it and not an answer';
