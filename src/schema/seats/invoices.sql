-- Invoices: which one a call of changes has made, and which one a team that is past due has to pay. Amounts are
-- Stripe's, in minor units. A subscription names its latest invoice only, whoever has made it: nothing is guessed.

CREATE OR REPLACE FUNCTION seats_internal.invoice_to_keep(invoice jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_build_object('id', invoice -> 'id', 'currency', invoice -> 'currency', 'total', invoice -> 'total',
                          'amount_due', invoice -> 'amount_due', 'amount_paid', invoice -> 'amount_paid',
                          'status', invoice -> 'status');
REVOKE ALL ON FUNCTION seats_internal.invoice_to_keep(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_to_keep(jsonb) IS 'what is kept of the invoice of a change';

-- Of a call's own answer, where the team's latest invoice was `known` before. (An expression: the worker's statement has it
-- for each call that it ends.)
CREATE OR REPLACE FUNCTION seats_internal.invoice_made(invoice jsonb, known text) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN (invoice ->> 'made_by_call')::boolean AND (known = invoice ->> 'id') IS NOT TRUE
            THEN seats_internal.invoice_to_keep(invoice) END;
REVOKE ALL ON FUNCTION seats_internal.invoice_made(jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_made(jsonb, text) IS
    'the invoice that a call''s answer shows, if the call has made it; else null';

-- `invoice`: of the call's own answer (made_by_call), or else the latest one as a read has shown it. The call's own is
-- none that was known before; one that a payment was waited for (`payment`) is known by its id, and what is not known of
-- its end is null.
CREATE OR REPLACE FUNCTION seats_internal.invoice_of_call(
    invoice   jsonb,
    payment   jsonb,
    team_id   bigint,
    is_shared boolean
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shared CONSTANT jsonb := CASE WHEN is_shared THEN '{"shared": true}' ELSE '{}' END;
BEGIN
    IF payment ->> 'invoice' IS NOT NULL THEN
        RETURN shared || CASE WHEN invoice ->> 'id' = payment ->> 'invoice' THEN seats_internal.invoice_to_keep(invoice)
                              ELSE seats_internal.invoice_to_keep(seats_internal.invoice_of_payment(payment)) END;
    END IF;
    RETURN shared || seats_internal.invoice_made(invoice, (
        SELECT t.latest_invoice FROM seats_internal.team AS t WHERE t.id = invoice_of_call.team_id));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.invoice_of_call(jsonb, jsonb, bigint, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_of_call(jsonb, jsonb, bigint, boolean) IS
    'the invoice of a call of changes that was executed; null: it has made none, or that is not proven';

CREATE OR REPLACE FUNCTION seats_internal.invoice_of_payment(payment jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN payment ->> 'invoice' IS NOT NULL
            THEN jsonb_build_object('id', payment -> 'invoice', 'currency', payment -> 'currency',
                                    'amount_due', payment -> 'amount_due') END;
REVOKE ALL ON FUNCTION seats_internal.invoice_of_payment(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_of_payment(jsonb) IS
    'what is known of the invoice whose payment a change waits for, or has waited for';

-- As the journal tells of it: flat, as in all entries that are about an invoice. (STABLE, and so inlined: see error_detail.)
CREATE OR REPLACE FUNCTION seats_internal.invoice_detail(invoice jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN invoice IS NULL THEN '{}'::jsonb
            ELSE jsonb_strip_nulls(jsonb_build_object(
                'invoice', invoice -> 'id', 'total', invoice -> 'total', 'paid', invoice -> 'amount_paid',
                'currency', invoice -> 'currency', 'invoice_is_shared', invoice -> 'shared')) END;
REVOKE ALL ON FUNCTION seats_internal.invoice_detail(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_detail(jsonb) IS 'a change''s invoice as the journal tells of it';

CREATE OR REPLACE FUNCTION seats_internal.is_past_due(status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(status IN ('past_due', 'unpaid', 'incomplete'), false);
REVOKE ALL ON FUNCTION seats_internal.is_past_due(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_past_due(text) IS 'a subscription whose latest invoice was not paid when it was to be';

-- (What was paid of it already is not to be paid again.)
CREATE OR REPLACE FUNCTION seats_internal.invoice_to_pay(invoice jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('id', invoice -> 'id', 'url', invoice -> 'url', 'currency', invoice -> 'currency',
                          'amount_due', (invoice ->> 'amount_due')::bigint - coalesce((invoice ->> 'amount_paid')::bigint, 0));
REVOKE ALL ON FUNCTION seats_internal.invoice_to_pay(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_to_pay(jsonb) IS 'what a team is told of an invoice that it has to pay';

-- Of a subscription that is past_due, unpaid or incomplete: its latest invoice, if that is open. (With a pending update
-- that one may be the update's; and a read may be older than the event that has told that it is paid.) While the latest
-- one is not, a draft of the next renewal say, what was known is kept.
CREATE OR REPLACE FUNCTION seats_internal.past_due_invoice(destination text, known jsonb, facts jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    latest jsonb := facts -> 'invoice';
BEGIN
    IF latest ->> 'status' = 'open' AND coalesce(facts -> 'pending_update', 'null') = 'null'
       AND NOT seats_internal.invoice_is_over(destination, latest ->> 'id') THEN
        RETURN seats_internal.invoice_to_pay(latest);
    ELSIF latest ->> 'status' IS NOT NULL AND latest ->> 'id' = known ->> 'id' THEN
        RETURN NULL;
    END IF;
    RETURN known;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.past_due_invoice(text, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.past_due_invoice(text, jsonb, jsonb) IS
    'the invoice that a team has to pay after a read of its subscription; null: none, or it is not known';
