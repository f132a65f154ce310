-- What a change would cost, asked of Stripe before it is made, and whether it may be made at that price. What people see of
-- a preview stands in pages/previews.sql.
--
-- A preview is two calls of Stripe's create_preview, which changes nothing. The one whose id is given shows the invoice on
-- which the change appears first; the other one, `renewal`, what a regular period costs with it. What they were made of is
-- kept in the first one's context:
--
--   lines             what was asked for, as change_seats reads it
--   quantities        {seat type: quantity} that the application saw
--   items             the subscription's items, hashed
--   includes_pending  open changes of others were in them: they are priced, too
--   proration_date    as of when Stripe prorates; the change gives the same
--   period_end        of the subscription's period (seconds), or null
--   proration         always_invoice, create_prorations, or none (also during a trial, which costs nothing)
--   renews            whether there is a period after this one
--   renewal           the other call; null: there is no such period

CREATE OR REPLACE FUNCTION seats_internal.has_open_changes(lane_id bigint) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.lane_id = has_open_changes.lane_id AND o.kind = 'change');
REVOKE ALL ON FUNCTION seats_internal.has_open_changes(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.has_open_changes(bigint) IS
    'whether a subscription has changes of seats that are not settled';

CREATE OR REPLACE FUNCTION seats_internal.seats_of(team_id bigint, OUT confirmed jsonb, OUT quantities jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(s.seat_type, s.confirmed), '{}'),
           coalesce(jsonb_object_agg(s.seat_type, s.quantity), '{}')
      FROM seats_internal.seat_line AS s WHERE s.team_id = seats_of.team_id;
END;
REVOKE ALL ON FUNCTION seats_internal.seats_of(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.seats_of(bigint) IS '{seat type: quantity} of a team, as Stripe has it and as it will be';

-- (In whatever order Stripe names them. Also those that are no seats: what somebody has changed of them is on the bill, too.)
CREATE OR REPLACE FUNCTION seats_internal.hash_of_items(items jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT md5(jsonb_agg(i.item ORDER BY i.item ->> 'id')::text) FROM jsonb_array_elements(items) AS i (item));
REVOKE ALL ON FUNCTION seats_internal.hash_of_items(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.hash_of_items(jsonb) IS
    'what the items of a subscription are, to be compared: a bill depends on all of them';

-- (What an application enqueues itself has no team, whatever its context says.)
CREATE OR REPLACE FUNCTION seats_internal.open_renewal(team_id bigint, context jsonb) RETURNS bigint
LANGUAGE sql STABLE
RETURN CASE WHEN team_id IS NOT NULL AND jsonb_typeof(context -> 'preview' -> 'renewal') = 'number'
            THEN (SELECT o.id FROM seats_internal.outbox AS o
                   WHERE o.id = (open_renewal.context -> 'preview' ->> 'renewal')::bigint) END;
REVOKE ALL ON FUNCTION seats_internal.open_renewal(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.open_renewal(bigint, jsonb) IS
    'of a preview''s call: the other one, which asks what a period costs, if it is open';

-- Which prices a preview's new items have, or an error.
CREATE OR REPLACE FUNCTION seats_internal.prices_for_preview(
    team      seats_internal.team,
    confirmed jsonb,
    target    jsonb
) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- (What was known of a price once is good enough for a preview.)
    choice record := seats_internal.choose_prices(team, confirmed, target, interval '100 years');
BEGIN
    IF choice.why_not IS NOT NULL THEN
        PERFORM seats_internal.raise_no_price(team, choice.why_not);
    ELSIF choice.not_known IS NOT NULL THEN
        RAISE EXCEPTION 'it is not known yet which price a new item would have'
            USING ERRCODE = 'PS529',
                  DETAIL = format('Nothing is known of %s.', array_to_string(choice.not_known, ', ')),
                  HINT = 'Listed prices are read at once: ask again in a moment. The view seats.prices tells more.';
    END IF;
    RETURN choice.prices;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.prices_for_preview(seats_internal.team, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.prices_for_preview(seats_internal.team, jsonb, jsonb) IS
    'which prices new items would have, or an error';

CREATE OR REPLACE FUNCTION seats_internal.enqueue_preview(
    caller   text,
    team     seats_internal.team,
    asked    jsonb,
    context  jsonb,
    OUT call bigint
)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO seats_internal.outbox
        (installation, destination, method, path, body, enqueued_by, team_id, context)
    VALUES (seats_internal.require_installation(), team.destination, 'POST', '/v1/invoices/create_preview',
            seats_internal.encoded_form(jsonb_strip_nulls(
                jsonb_build_object('customer', team.customer, 'subscription', team.subscription) || asked)),
            caller, team.id, context)
    RETURNING id;
END;
REVOKE ALL ON FUNCTION seats_internal.enqueue_preview(text, seats_internal.team, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.enqueue_preview(text, seats_internal.team, jsonb, jsonb) IS
    'leaves a call of create_preview in the outbox';

-- What a period costs is asked first, so that it is there when the other is. (Where nothing is prorated Stripe takes no
-- proration_date.)
CREATE OR REPLACE FUNCTION seats_internal.enqueue_previews(
    caller    text,
    team      seats_internal.team,
    items     jsonb,
    proration text,
    kept      jsonb,
    OUT call  bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    renews  boolean := NOT team.cancel_at_period_end AND coalesce(team.cancel_at > team.current_period_end, true);
    renewal bigint;
BEGIN
    IF renews THEN
        renewal := seats_internal.enqueue_preview(
            caller, team,
            jsonb_build_object('preview_mode', 'recurring',
                               'subscription_details', jsonb_build_object('items', items)),
            '{"preview": "renewal"}');
    END IF;
    call := seats_internal.enqueue_preview(
        caller, team,
        jsonb_build_object('subscription_details', jsonb_build_object(
            'items', items, 'proration_behavior', proration,
            'proration_date', CASE WHEN proration <> 'none' THEN kept -> 'proration_date' END)),
        jsonb_build_object('preview', kept || jsonb_build_object(
            'proration', proration, 'renews', renews, 'renewal', renewal)));
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.enqueue_previews(text, seats_internal.team, jsonb, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.enqueue_previews(text, seats_internal.team, jsonb, text, jsonb) IS
    'leaves the calls of a preview in the outbox, and gives the first';

CREATE OR REPLACE FUNCTION seats_internal.period_end(team seats_internal.team) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(extract(epoch FROM team.current_period_end))::bigint;
REVOKE ALL ON FUNCTION seats_internal.period_end(seats_internal.team) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.period_end(seats_internal.team) IS
    'when a subscription''s period ends, in seconds, as Stripe has it';

-- What a change would cost now. The preview and the change share a proration_date, because Stripe
-- prorates to the second.
CREATE OR REPLACE FUNCTION seats_internal.preview_change(
    caller             text,
    team               text,
    changes            jsonb,
    OUT call           bigint,
    OUT proration_date bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_team seats_internal.team;
    head       seats_internal.outbox;  -- as the change would be
    seats      record;
    target     jsonb;
    billed     record;
BEGIN
    PERFORM seats_internal.require_installation();
    SELECT t.* INTO found_team FROM seats_internal.team AS t
     WHERE t.kind = 'team' AND t.name = preview_change.team;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_such_team(team);
    END IF;
    PERFORM seats_internal.check_team_is_open(found_team);
    -- (One statement: a change that is made meanwhile is in both or in neither.)
    SELECT s.*, seats_internal.has_open_changes(found_team.lane_id) AS pending INTO seats
      FROM seats_internal.seats_of(found_team.id) AS s;
    head.lines := (SELECT jsonb_agg(to_jsonb(c)) FROM seats_internal.read_changes(changes) AS c);
    target := seats_internal.apply_lines(seats.quantities, head.lines);
    SELECT b.* INTO billed FROM seats_internal.billed_type(seats.confirmed, target) AS b;
    PERFORM seats_internal.require_seat_type(t.key) FROM jsonb_object_keys(target) AS t (key);
    IF billed.seat_type IS NULL
       OR EXISTS (SELECT FROM jsonb_each_text(target) AS t WHERE t.value::integer < 0) THEN
        RAISE EXCEPTION 'there is nothing to preview'
            USING ERRCODE = 'PS505',
                  DETAIL = format('Stripe knows of %s, and would have %s.', seats.confirmed, target),
                  HINT = 'Give changes that lead to other quantities than these, none below zero.';
    END IF;
    IF jsonb_array_length(head.lines) > 1 THEN
        PERFORM seats_internal.check_one_rule((
            SELECT jsonb_agg(l.line || jsonb_build_object(
                       'previous_quantity', coalesce((seats.quantities ->> (l.line ->> 'seat_type'))::integer, 0),
                       'new_quantity', target -> (l.line ->> 'seat_type')))
              FROM jsonb_array_elements(head.lines) AS l (line)));
    END IF;
    IF seats_internal.what_hinders(found_team, head, seats.confirmed, target, billed.rises) IS NOT NULL THEN
        PERFORM seats_internal.raise_not_counted(found_team);
    END IF;
    proration_date := floor(extract(epoch FROM clock_timestamp()))::bigint;
    call := seats_internal.enqueue_previews(
        caller, found_team,
        seats_internal.item_parameters(
            found_team.items, seats.confirmed, target,
            seats_internal.prices_for_preview(found_team, seats.confirmed, target), true),
        seats_internal.proration_behavior_now(found_team, seats.confirmed, target),
        jsonb_build_object(
            'lines', head.lines, 'quantities', seats.quantities, 'items', seats_internal.hash_of_items(found_team.items),
            'includes_pending', seats.pending, 'proration_date', proration_date,
            'period_end', seats_internal.period_end(found_team)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.preview_change(text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.preview_change(text, text, jsonb) IS 'behind seats.preview_change';

CREATE OR REPLACE FUNCTION seats.preview_change(
    team               text,
    changes            jsonb,
    OUT call           bigint,
    OUT proration_date bigint
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.preview_change(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats.preview_change(text, jsonb) IS
    'asks Stripe what a change would cost now; wait_for_call(call), then seats.preview(call) tells it in columns, and '
    'change_seats with the proration_date makes the change at that price';

-- Stripe prorates within the period; and nobody means a price of yesterday.
CREATE OR REPLACE FUNCTION seats_internal.preview_expires_at(preview jsonb) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(to_timestamp((preview ->> 'proration_date')::bigint) + interval '1 day',
             to_timestamp((preview ->> 'period_end')::bigint));
REVOKE ALL ON FUNCTION seats_internal.preview_expires_at(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.preview_expires_at(jsonb) IS 'until when a change may be made at the price of a preview';

-- How what a preview shows would be prorated now.
CREATE OR REPLACE FUNCTION seats_internal.proration_behavior_now(team seats_internal.team, before jsonb, after jsonb)
RETURNS text
LANGUAGE sql STABLE
RETURN CASE WHEN team.status = 'trialing' THEN 'none'
            ELSE (SELECT split_part(b.rules, ' ', 1) FROM seats_internal.billed_type(before, after) AS b) END;
REVOKE ALL ON FUNCTION seats_internal.proration_behavior_now(seats_internal.team, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.proration_behavior_now(seats_internal.team, jsonb, jsonb) IS
    'always_invoice, create_prorations, or none: how a change of seats is prorated as the subscription is now';

-- Why a change cannot be made at the price of this preview (any more); null: it can. The words are those of
-- seats.preview's column `code`, and the names of errors. (A type that it never had, or has nothing of, is the same.)
CREATE OR REPLACE FUNCTION seats_internal.preview_problem(preview jsonb, team seats_internal.team) RETURNS text
LANGUAGE sql STABLE
RETURN CASE
    WHEN seats_internal.preview_expires_at(preview) <= clock_timestamp() OR seats_internal.is_terminal(team.status)
      OR (preview ->> 'period_end')::bigint IS DISTINCT FROM seats_internal.period_end(team) THEN 'preview_expired'
    WHEN EXISTS (SELECT FROM seats_internal.seat_line AS s
                  WHERE s.team_id = team.id
                    AND s.quantity <> coalesce((preview -> 'quantities' ->> s.seat_type)::integer, 0)) THEN 'base_moved'
    WHEN (preview ->> 'includes_pending')::boolean OR seats_internal.has_open_changes(team.lane_id) THEN 'changes_pending'
    WHEN preview ->> 'items' IS DISTINCT FROM seats_internal.hash_of_items(team.items) THEN 'base_moved'
    WHEN preview ->> 'proration' IS DISTINCT FROM seats_internal.proration_behavior_now(
             team, preview -> 'quantities', seats_internal.apply_lines(preview -> 'quantities', preview -> 'lines'))
        THEN 'preview_expired' END;
REVOKE ALL ON FUNCTION seats_internal.preview_problem(jsonb, seats_internal.team) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.preview_problem(jsonb, seats_internal.team) IS
    'why a change cannot be made at the price of a preview: preview_expired, base_moved or changes_pending; null: it can';

-- The answer of a preview's call, if it is one: an invoice, in the mode of the subscription. Null otherwise. (That there is
-- no next invoice is an answer, too, where none is to come.)
CREATE OR REPLACE FUNCTION seats_internal.previewed_invoice(settled seats_internal.outbox_history, livemode boolean)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    invoice jsonb;
BEGIN
    IF settled.result = 'done' AND settled.answer IS NOT NULL THEN
        invoice := seats_internal.answer_as_jsonb(settled.answer);
    ELSIF settled.error_code = 'invoice_upcoming_none' AND settled.context -> 'preview' -> 'renews' = 'false' THEN
        RETURN '{}';
    END IF;
    RETURN CASE WHEN jsonb_typeof(invoice) = 'object' AND invoice ->> 'object' = 'invoice'
                 AND coalesce(invoice -> 'livemode' = to_jsonb(livemode), livemode IS NULL) THEN invoice END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.previewed_invoice(seats_internal.outbox_history, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.previewed_invoice(seats_internal.outbox_history, boolean) IS
    'the invoice that a preview''s call has shown; null: there is none, or none of this mode';

-- (Of a day at most, by the team's index. Values are compared as jsonb: other calls have other contexts.)
CREATE OR REPLACE FUNCTION seats_internal.answered_previews(team seats_internal.team, proration_date bigint)
RETURNS SETOF jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.context -> 'preview'
      FROM seats_internal.outbox_history AS h
     WHERE h.ring = ANY (seats_internal.ring_slots())
       AND h.team_id = team.id AND h.kind = 'call' AND h.settled_at >= clock_timestamp() - interval '25 hours'
       AND h.path = '/v1/invoices/create_preview'
       AND h.context -> 'preview' -> 'proration_date' = to_jsonb(answered_previews.proration_date)
       AND seats_internal.previewed_invoice(h, team.livemode) IS NOT NULL;
END;
REVOKE ALL ON FUNCTION seats_internal.answered_previews(seats_internal.team, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.answered_previews(seats_internal.team, bigint) IS
    'what a team''s previews with this date were made of, as far as Stripe has answered them with a price';

-- What was shown must be what is bought: the same change, of the same seats, with nobody else's in it. The team is locked.
CREATE OR REPLACE FUNCTION seats_internal.check_preview(
    team           seats_internal.team,
    wanted         jsonb,
    proration_date bigint
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lines   jsonb := (SELECT jsonb_agg(w.value - 'expected' ORDER BY w.number)
                        FROM jsonb_array_elements(wanted) WITH ORDINALITY AS w (value, number));
    preview jsonb;
    problem text;
BEGIN
    IF proration_date < extract(epoch FROM clock_timestamp()) - 86400 THEN
        problem := 'preview_expired';
    ELSE
        -- (Of several that were made in one second nobody knows which was shown: each must be good.)
        SELECT p.preview, p.problem INTO preview, problem
          FROM (SELECT a.preview, seats_internal.preview_problem(a.preview, team) AS problem
                  FROM seats_internal.answered_previews(team, proration_date) AS a (preview)
                 WHERE a.preview -> 'lines' = lines) AS p
         ORDER BY p.problem LIMIT 1;
        IF NOT FOUND THEN
            problem := 'no_such_preview';
        END IF;
    END IF;
    IF problem IS NOT NULL THEN
        PERFORM seats_internal.raise_preview_problem(problem, team, preview, proration_date);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.check_preview(seats_internal.team, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.check_preview(seats_internal.team, jsonb, bigint) IS
    'an error unless a preview of this change has shown what it costs, and that is still so';

CREATE OR REPLACE FUNCTION seats_internal.raise_preview_problem(
    problem        text,
    team           seats_internal.team,
    preview        jsonb,
    proration_date bigint
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    again CONSTANT text := 'Preview it again, show what it costs now, and give the proration_date of that; or none.';
BEGIN
    IF problem = 'preview_expired' THEN
        RAISE EXCEPTION 'the preview has expired'
            USING ERRCODE = 'PS538', HINT = again,
                  DETAIL = CASE WHEN preview IS NULL THEN 'It is more than a day old.'
                                WHEN seats_internal.preview_expires_at(preview) <= clock_timestamp()
                                    THEN format('It was good until %s.', seats_internal.preview_expires_at(preview))
                                WHEN (preview ->> 'period_end')::bigint IS DISTINCT FROM seats_internal.period_end(team)
                                    THEN 'The subscription''s period is another one by now.'
                                ELSE 'It would be billed by other rules by now.' END;
    ELSIF problem = 'base_moved' THEN
        RAISE EXCEPTION 'the seats of team % are not those that the change was previewed on', team.name
            USING ERRCODE = 'PS513', HINT = again,
                  DETAIL = CASE WHEN preview ->> 'items' IS DISTINCT FROM seats_internal.hash_of_items(team.items)
                           THEN 'The items of its subscription were changed since. ' ELSE '' END
                           || format('It was previewed on %s, and there are %s.', preview -> 'quantities',
                                     (SELECT s.quantities FROM seats_internal.seats_of(team.id) AS s));
    ELSIF problem = 'changes_pending' THEN
        RAISE EXCEPTION 'team % has other changes of seats that Stripe has not confirmed', team.name
            USING ERRCODE = 'PS539',
                  DETAIL = CASE WHEN (preview ->> 'includes_pending')::boolean
                           THEN 'They are in what was previewed, so that it is not the price of this change alone.'
                           ELSE 'What this change costs depends on what becomes of them.' END,
                  HINT = 'Preview it again when they are settled; or make the change without a proration_date, at what it '
                         'costs then.';
    END IF;
    RAISE EXCEPTION 'there is no preview of this change with that proration_date'
        USING ERRCODE = 'PS525', HINT = again,
              DETAIL = CASE WHEN EXISTS (SELECT FROM seats_internal.answered_previews(team, proration_date))
                       THEN 'The preview with it is of another change.'
                       ELSE format('Stripe has answered none of team %s with the date %s.', team.name, proration_date) END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_preview_problem(text, seats_internal.team, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_preview_problem(text, seats_internal.team, jsonb, bigint) IS
    'the error for a change that cannot be made at the price of a preview';
