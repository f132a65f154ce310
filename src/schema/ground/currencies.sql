-- Stripe's currencies: the one table of them. Amounts are in minor units, as Stripe counts them: hundredths, thousandths
-- of some currencies, wholes of others. (Not as Intl, ISO or a bank counts them: of HUF, ISK and UGX Stripe has hundredths.)

-- (An expression, which is inlined where amounts are shown.)
CREATE OR REPLACE FUNCTION seats_internal.currency_decimals(currency text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN currency = ANY ('{bif,clp,djf,gnf,jpy,kmf,krw,mga,pyg,rwf,vnd,vuv,xaf,xof,xpf}'::text[]) THEN 0
            WHEN currency = ANY ('{bhd,jod,kwd,omr,tnd}'::text[]) THEN 3
            WHEN currency IS NOT NULL THEN 2 END;
REVOKE ALL ON FUNCTION seats_internal.currency_decimals(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.currency_decimals(text) IS 'of how many decimals of a currency Stripe counts the last one';

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
    SELECT coalesce(seats_internal.currency_decimals(currency), 2),
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
