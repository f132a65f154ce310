-- What a change would cost, in columns: from the answers of a preview's calls (seats/previews.sql says which they are).
-- Stripe's own totals are taken, and nothing is added up; what an answer does not hold, or holds in another shape, is null.

-- Whether a call may be seen is asked as wait_for_call and call_answer ask it (src/functions/call_state.cpp).
CREATE OR REPLACE FUNCTION seats_internal.may_see_call(caller text, enqueued_by text) RETURNS boolean
LANGUAGE sql STABLE
RETURN seats_internal.is_operator(caller)
       OR EXISTS (SELECT FROM pg_catalog.pg_roles AS r
                   WHERE r.rolname = enqueued_by AND pg_catalog.pg_has_role(caller, r.oid, 'USAGE'));
REVOKE ALL ON FUNCTION seats_internal.may_see_call(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.may_see_call(text, text) IS
    'whether a role may see what a role has enqueued: it has its privileges, or is an operator''s';

-- (Fifteen digits: any amount of Stripe's, and no error for what is none, nor for the sum of many.)
CREATE OR REPLACE FUNCTION seats_internal.amount_of(value jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(value) = 'number' AND value::text ~ '^-?[0-9]{1,15}$' THEN value::text::bigint END;
REVOKE ALL ON FUNCTION seats_internal.amount_of(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.amount_of(jsonb) IS 'an amount of Stripe''s; null if it is none';

-- Taxes that Stripe could not compute (it lacks an address, say) are not known, though the list of them is empty.
CREATE OR REPLACE FUNCTION seats_internal.tax_of(invoice jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(invoice -> 'total_taxes') = 'array'
             AND (invoice -> 'automatic_tax' ->> 'enabled' IS DISTINCT FROM 'true'
                  OR invoice -> 'automatic_tax' ->> 'status' = 'complete')
            THEN (SELECT CASE WHEN count(*) = count(seats_internal.amount_of(t.value -> 'amount'))
                              THEN coalesce(sum(seats_internal.amount_of(t.value -> 'amount')), 0) END
                    FROM jsonb_array_elements(invoice -> 'total_taxes') AS t (value))::bigint END;
REVOKE ALL ON FUNCTION seats_internal.tax_of(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.tax_of(jsonb) IS 'the taxes in an invoice''s total; null if that is not known';

-- Where nothing is left to be invoiced at once, an answer may be the next regular invoice instead; that one is not paid now.
CREATE OR REPLACE FUNCTION seats_internal.shows_next_period(invoice jsonb, period_end bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(invoice #> '{lines,data}') = 'array'
            THEN EXISTS (SELECT FROM jsonb_array_elements(invoice #> '{lines,data}') AS l (line)
                          WHERE l.line #> '{parent,subscription_item_details,proration}' = 'false'
                            AND seats_internal.amount_of(l.line #> '{period,start}') >= period_end) END;
REVOKE ALL ON FUNCTION seats_internal.shows_next_period(jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.shows_next_period(jsonb, bigint) IS
    'whether an invoice has lines of the period that begins then';

-- When something is to be paid for a change. `due`: what the invoice that is made at once asks for; where none is, it does
-- not matter. (Where collection is paused an invoice is made, and nobody is charged.)
CREATE OR REPLACE FUNCTION seats_internal.charged_when(
    proration         text,
    renews            boolean,
    is_paused         boolean,
    collection_method text,
    due               bigint
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN is_paused THEN 'nothing'
            WHEN proration = 'none' AND NOT renews THEN 'nothing'
            WHEN proration <> 'always_invoice' THEN 'at_renewal'
            WHEN due <= 0 THEN 'nothing'
            WHEN due > 0 AND collection_method = 'send_invoice' THEN 'by_invoice'
            WHEN due > 0 AND collection_method = 'charge_automatically' THEN 'now' END;
REVOKE ALL ON FUNCTION seats_internal.charged_when(text, boolean, boolean, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.charged_when(text, boolean, boolean, text, bigint) IS
    'when something is to be paid for a change: now, by_invoice, at_renewal or nothing; null: that is not known';

-- The amounts of a preview. `period`: what a regular period costs, as an invoice, or null.
CREATE OR REPLACE FUNCTION seats_internal.preview_amounts(
    preview                jsonb,
    team                   seats_internal.team,
    invoice                jsonb,
    period                 jsonb,
    OUT due_now            bigint,
    OUT credit             bigint,
    OUT tax                bigint,
    OUT total              bigint,
    OUT next_renewal_total bigint,
    OUT currency           text,
    OUT charged_when       text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    proration CONSTANT text := CASE
        WHEN preview ->> 'proration' = 'always_invoice'
             AND seats_internal.shows_next_period(invoice, (preview ->> 'period_end')::bigint) THEN 'create_prorations'
        ELSE preview ->> 'proration' END;
    renews    CONSTANT boolean := (preview ->> 'renews')::boolean;
    due       bigint := seats_internal.amount_of(invoice -> 'amount_due');
    balance   CONSTANT bigint := seats_internal.amount_of(invoice -> 'starting_balance');  -- below zero: a credit
BEGIN
    currency := CASE WHEN invoice ->> 'currency' ~ '^[a-z]{3}$' THEN invoice ->> 'currency' END;
    charged_when := seats_internal.charged_when(
        proration, renews, team.paused,
        coalesce(invoice ->> 'collection_method', team.collection_method), due);
    -- (At once nothing is asked for, unless an invoice is made at once.)
    due_now := CASE WHEN proration = 'always_invoice' AND NOT team.paused THEN due ELSE 0 END;
    IF proration = 'none' AND NOT renews THEN
        currency := coalesce(currency, team.currency);
        credit := 0;
        tax := 0;
        total := 0;
        RETURN;
    END IF;
    total := seats_internal.amount_of(invoice -> 'total');
    tax := seats_internal.tax_of(invoice);
    -- (What is too little to be charged is owed later: no credit has paid it.)
    credit := CASE WHEN total < 0 THEN -total
                   WHEN due = 0 AND total + balance > 0 THEN greatest(-balance, 0)
                   ELSE total - due END;
    IF renews AND period -> 'currency' = invoice -> 'currency' THEN
        next_renewal_total := seats_internal.amount_of(period -> 'total');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.preview_amounts(jsonb, seats_internal.team, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.preview_amounts(jsonb, seats_internal.team, jsonb, jsonb) IS
    'the amounts of a preview, from Stripe''s own totals; what is not known is null';

-- Whether it is there, and what is wrong. What a period costs is waited for, but not for long: it is tried again like any
-- other call, and all else is known. (So does who waits for the call: src/functions/wait.cpp.)
CREATE OR REPLACE FUNCTION seats_internal.preview_state(
    settled   seats_internal.outbox_history,
    invoice   jsonb,
    problem   text,
    OUT state text,
    OUT code  text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    state := CASE
        WHEN settled.id IS NULL THEN 'pending'
        WHEN invoice IS NULL THEN 'failed'
        WHEN problem IN ('preview_expired', 'base_moved') THEN 'expired'
        WHEN settled.settled_at > clock_timestamp() - interval '5 s'
             AND seats_internal.open_renewal(settled.team_id, settled.context) IS NOT NULL THEN 'pending'
        ELSE 'ready' END;
    code := CASE state
        WHEN 'failed' THEN CASE settled.result WHEN 'done' THEN 'unexpected_answer'
                           ELSE coalesce(settled.error_code, settled.reason, settled.result) END
        WHEN 'pending' THEN NULL
        ELSE problem END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.preview_state(seats_internal.outbox_history, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.preview_state(seats_internal.outbox_history, jsonb, text) IS
    'how far a preview is: pending, ready, failed or expired; and why not, or why it can be looked at only';

-- The call of a preview, open (then without an end) or settled, if the caller may see it; or an error.
CREATE OR REPLACE FUNCTION seats_internal.require_preview(caller text, call bigint) RETURNS seats_internal.outbox_history
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found seats_internal.outbox_history := seats_internal.settled_call(call);
BEGIN
    IF found.id IS NULL THEN
        SELECT o.enqueued_by, o.path, o.team_id, o.context INTO found.enqueued_by, found.path, found.team_id, found.context
          FROM seats_internal.outbox AS o WHERE o.id = call;
    END IF;
    IF found.path IS NULL OR NOT seats_internal.may_see_call(caller, found.enqueued_by) THEN
        RAISE EXCEPTION 'there is no call %', coalesce(call::text, 'NULL')
            USING ERRCODE = 'PS120',
                  DETAIL = 'It never existed, is older than pg_seats.history_days, or belongs to a role whose privileges '
                           'you do not have.',
                  HINT = 'Give the call that seats.preview_change has returned.';
    -- (What an application enqueues itself has no team, whatever its context says.)
    ELSIF found.path <> '/v1/invoices/create_preview' OR found.team_id IS NULL
          OR jsonb_typeof(found.context -> 'preview') <> 'object' THEN
        RAISE EXCEPTION 'call % is not that of a preview', call
            USING ERRCODE = 'PS120', HINT = 'Give the call that seats.preview_change has returned.';
    END IF;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_preview(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_preview(text, bigint) IS 'the call of a preview that the caller may see, or an error';

CREATE OR REPLACE FUNCTION seats_internal.preview(
    caller                 text,
    call                   bigint,
    OUT state              text,
    OUT due_now            bigint,
    OUT credit             bigint,
    OUT tax                bigint,
    OUT total              bigint,
    OUT next_renewal_total bigint,
    OUT next_renewal_at    timestamptz,
    OUT currency           text,
    OUT currency_decimals  integer,
    OUT charged_when       text,
    OUT expires_at         timestamptz,
    OUT includes_pending   boolean,
    OUT proration_date     bigint,
    OUT code               text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settled seats_internal.outbox_history := seats_internal.require_preview(caller, call);
    preview jsonb := settled.context -> 'preview';
    team    seats_internal.team;
    invoice jsonb;
    period  jsonb;
BEGIN
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = settled.team_id;
    invoice := seats_internal.previewed_invoice(settled, team.livemode);
    SELECT s.state, s.code INTO state, code
      FROM seats_internal.preview_state(settled, invoice, seats_internal.preview_problem(preview, team)) AS s;
    proration_date := (preview ->> 'proration_date')::bigint;
    expires_at := seats_internal.preview_expires_at(preview);
    includes_pending := (preview ->> 'includes_pending')::boolean;
    next_renewal_at := CASE WHEN (preview ->> 'renews')::boolean THEN to_timestamp((preview ->> 'period_end')::bigint) END;
    IF state NOT IN ('ready', 'expired') THEN
        RETURN;
    END IF;
    period := seats_internal.previewed_invoice(
        seats_internal.settled_call((preview ->> 'renewal')::bigint), team.livemode);
    SELECT a.due_now, a.credit, a.tax, a.total, a.next_renewal_total, a.currency, a.charged_when
      INTO due_now, credit, tax, total, next_renewal_total, currency, charged_when
      FROM seats_internal.preview_amounts(preview, team, invoice, period) AS a;
    currency_decimals := seats_internal.currency_decimals(currency);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.preview(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.preview(text, bigint) IS 'behind seats.preview';

CREATE OR REPLACE FUNCTION seats.preview(
    call                   bigint,
    OUT state              text,
    OUT due_now            bigint,
    OUT credit             bigint,
    OUT tax                bigint,
    OUT total              bigint,
    OUT next_renewal_total bigint,
    OUT next_renewal_at    timestamptz,
    OUT currency           text,
    OUT currency_decimals  integer,
    OUT charged_when       text,
    OUT expires_at         timestamptz,
    OUT includes_pending   boolean,
    OUT proration_date     bigint,
    OUT code               text
)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.preview(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.preview(bigint) IS
    'what a change would cost, of the call that preview_change has returned: state pending, ready, failed or expired; '
    'amounts in minor units, of which currency has currency_decimals; charged_when now, by_invoice, at_renewal or nothing; '
    'code says why change_seats would not take the proration_date, or why there is no preview';
