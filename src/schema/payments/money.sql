-- What Stripe takes as an amount. Amounts are in minor units, as Stripe counts them: hundredths, thousandths of some
-- currencies, wholes of others.

-- `smallest` is what Stripe takes at least where the money is paid out in the same currency: a hint. The other limits are
-- Stripe's everywhere. Of a currency that is not here the general ones are known; whether there is such a one, Stripe says.
CREATE OR REPLACE FUNCTION seats_internal.currency_rules(
    currency        text,
    OUT decimals    integer,
    OUT smallest    bigint,
    OUT largest     bigint,
    OUT multiple_of bigint
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN currency = ANY ('{bif,clp,djf,gnf,jpy,kmf,krw,mga,pyg,rwf,vnd,vuv,xaf,xof,xpf}'::text[]) THEN 0
                WHEN currency = ANY ('{bhd,jod,kwd,omr,tnd}'::text[]) THEN 3
                ELSE 2 END,
           (SELECT s.amount FROM (VALUES
                ('usd', 50), ('aed', 200), ('aud', 50), ('bgn', 100), ('brl', 50), ('cad', 50), ('chf', 50),
                ('czk', 1500), ('dkk', 250), ('eur', 50), ('gbp', 30), ('hkd', 400), ('huf', 17500), ('inr', 50),
                ('jpy', 50), ('mxn', 1000), ('myr', 200), ('nok', 300), ('nzd', 50), ('pln', 200), ('ron', 200),
                ('sek', 300), ('sgd', 50), ('thb', 1000)) AS s (name, amount) WHERE s.name = currency)::bigint,
           CASE currency WHEN 'idr' THEN 999999999999 WHEN 'cop' THEN 9999999999 WHEN 'huf' THEN 9999999999
                WHEN 'inr' THEN 999999999 ELSE 99999999 END,
           CASE WHEN currency IN ('isk', 'ugx') THEN 100
                WHEN currency = ANY ('{bhd,jod,kwd,omr,tnd}'::text[]) THEN 10
                ELSE 1 END::bigint;
END;
REVOKE ALL ON FUNCTION seats_internal.currency_rules(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.currency_rules(text) IS 'what Stripe takes of a currency, in minor units';

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
