-- What is said of amounts and currencies that cannot be. Amounts are in minor units, as Stripe counts them
-- (ground/currencies.sql).

CREATE OR REPLACE FUNCTION seats_internal.checked_currency(currency text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF currency IS NULL OR currency !~ '^[A-Za-z]{3}$' THEN
        RAISE EXCEPTION 'invalid currency: %', coalesce(quote_literal(left(seats_internal.one_line(currency), 20)), 'NULL')
            USING ERRCODE = 'PS801', HINT = 'Give its three letters: eur, usd.';
    END IF;
    RETURN lower(currency);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.checked_currency(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.checked_currency(text) IS 'a currency as Stripe writes it, or an error';

-- Nothing at all is an amount, too: it is owed by nobody.
CREATE OR REPLACE FUNCTION seats_internal.check_amount(amount bigint, currency text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rules record := seats_internal.currency_rules(currency);
    -- (For programs: see docs/drivers.md.)
    facts text := format('(currency=%s%s largest_amount=%s multiple_of=%s%s)', currency,
                         ' smallest_amount=' || rules.smallest, rules.largest, rules.multiple_of,
                         ' requested=' || amount);
BEGIN
    IF amount = 0 THEN
        RETURN;
    ELSIF coalesce(amount < 0 OR amount > rules.largest OR amount % rules.multiple_of <> 0, true) THEN
        RAISE EXCEPTION 'invalid amount: %', coalesce(amount::text, 'NULL')
            USING ERRCODE = 'PS802',
                  CONSTRAINT = CASE WHEN amount > rules.largest THEN 'largest_amount'
                                    WHEN amount > 0 THEN 'multiple_of' ELSE 'smallest_amount' END,
                  DETAIL = concat_ws(' ', CASE
                      WHEN amount < 0 THEN 'It is below zero.'
                      WHEN amount > rules.largest THEN format('Stripe takes at most %s of %s.', rules.largest, currency)
                      WHEN amount IS NOT NULL
                          THEN format('Of %s Stripe takes multiples of %s only.', currency, rules.multiple_of) END,
                      facts),
                  HINT = format('Give it in minor units, as a whole number: of %s they are %s.', currency,
                                CASE rules.decimals WHEN 0 THEN 'wholes' WHEN 3 THEN 'thousandths'
                                                    ELSE 'hundredths' END);
    ELSIF amount < rules.smallest THEN
        RAISE NOTICE 'an amount of % % is less than Stripe usually takes', amount, currency
            USING CONSTRAINT = 'smallest_amount',
                  DETAIL = format('Usually it takes %s at least %s.', rules.smallest, facts),
                  HINT = 'Stripe may refuse the payment. What it takes at least depends on the currency in which you '
                         'are paid out.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_amount(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_amount(bigint, text) IS
    'an error unless Stripe can take that amount, a notice if it is small';
