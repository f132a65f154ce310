-- Invoices as pages show them: amounts in minor units, of which the currency has so many decimals.

CREATE OR REPLACE FUNCTION seats_internal.invoice_for_page(invoice jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN invoice || jsonb_build_object('currency_decimals', seats_internal.currency_decimals(invoice ->> 'currency'));
REVOKE ALL ON FUNCTION seats_internal.invoice_for_page(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_for_page(jsonb) IS
    'an invoice as pages show it: with the decimals of its currency';

CREATE OR REPLACE FUNCTION seats_internal.page_past_due(invoice jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN seats_internal.invoice_for_page(jsonb_build_object(
        'invoice', invoice -> 'id', 'url', invoice -> 'url', 'amount', invoice -> 'amount_due',
        'currency', invoice -> 'currency'));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_past_due(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_past_due(jsonb) IS
    'the invoice that a subscription is past due with, as a page shows it';

CREATE OR REPLACE FUNCTION seats_internal.page_payment(payment jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN seats_internal.invoice_for_page(jsonb_build_object(
        'invoice', payment -> 'invoice', 'url', payment -> 'invoice_url', 'amount', payment -> 'amount_due',
        'currency', payment -> 'currency', 'expires_at', payment -> 'expires_at'));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_payment(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_payment(jsonb) IS
    'the invoice of a change that waits for its payment, as a page shows it';

CREATE OR REPLACE FUNCTION seats_internal.page_invoice(invoice jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN seats_internal.invoice_for_page(jsonb_build_object(
        'invoice', invoice -> 'id', 'amount', invoice -> 'total', 'paid', invoice -> 'amount_paid',
        'currency', invoice -> 'currency', 'shared', coalesce((invoice -> 'shared')::boolean, false)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.page_invoice(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.page_invoice(jsonb) IS
    'the invoice that a change''s call has made, as a page shows it';
