-- Invoices: what a change's call has made, and what is to be paid. Amounts are Stripe's, in minor units.

-- With how many decimals its amounts are written.
CREATE OR REPLACE FUNCTION seats_internal.invoice_for_page(invoice jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN invoice || jsonb_build_object('currency_decimals', CASE WHEN invoice ->> 'currency' IS NOT NULL
        THEN (SELECT r.decimals FROM seats_internal.currency_rules(invoice ->> 'currency') AS r) END);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.invoice_for_page(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_for_page(jsonb) IS
    'an invoice as pages show it: with the decimals of its currency';
