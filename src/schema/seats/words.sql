-- What a person is told of a change of seats who has to decide about it: whose seats, how many before
-- and after, and who has asked for them.

-- Reads no table, so that a view can ask it for somebody who may not read any. Of a call that was
-- planned it says what Stripe had and what the call asks for, with all that it carries; of any other
-- what the application saw.
CREATE OR REPLACE FUNCTION seats_internal.seats_before_and_after(lines jsonb, base jsonb, target jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_object_agg(s.seat_type, jsonb_build_object('previous_quantity', s.before, 'new_quantity', s.after))
      FROM (SELECT t.key AS seat_type, coalesce((base ->> t.key)::bigint, 0) AS before, t.value::bigint AS after
              FROM jsonb_each_text(target) AS t
             WHERE t.value::bigint <> coalesce((base ->> t.key)::bigint, 0)
            UNION ALL
            SELECT l.seat_type, l.previous_quantity, l.new_quantity
              FROM jsonb_to_recordset(lines)
                   AS l (seat_type text, previous_quantity bigint, new_quantity bigint)
             WHERE target IS NULL) AS s;
END;
REVOKE ALL ON FUNCTION seats_internal.seats_before_and_after(jsonb, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.seats_before_and_after(jsonb, jsonb, jsonb) IS
    'of a change of seats: {seat type: {previous_quantity, new_quantity}}';

-- {team, seats, actor, changes}, or null if the call is no change of seats.
CREATE OR REPLACE FUNCTION seats_internal.facts_of_change(call bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head   seats_internal.outbox;
    ended  seats_internal.outbox_history;
    actors text;
    number bigint;
BEGIN
    SELECT o.* INTO head FROM seats_internal.outbox AS o WHERE o.id = call;
    IF NOT FOUND THEN
        ended := seats_internal.settled_call(call);
        head.kind := ended.kind;
        head.team_id := ended.team_id;
        head.lines := ended.lines;
        head.base := ended.base;
        head.target := ended.target;
        actors := coalesce(ended.actor, ended.enqueued_by);
    ELSIF head.kind = 'change' THEN
        SELECT string_agg(DISTINCT coalesce(o.actor, o.enqueued_by), ', '), count(*) INTO actors, number
          FROM seats_internal.outbox AS o
         WHERE o.lane_id = head.lane_id AND o.id BETWEEN head.id AND coalesce(head.last_id, head.id);
    END IF;
    IF head.kind IS DISTINCT FROM 'change' THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'team', (SELECT t.name FROM seats_internal.team AS t WHERE t.id = head.team_id),
        'seats', seats_internal.seats_before_and_after(head.lines, head.base, head.target),
        'actor', actors, 'changes', nullif(number, 1)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.facts_of_change(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.facts_of_change(bigint) IS
    'whose seats a call changes, how many before and after, and who has asked for it';

CREATE OR REPLACE FUNCTION seats_internal.change_in_words(facts jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN format('team %s, %s, asked for by %s', facts ->> 'team',
              coalesce((SELECT string_agg(format('seats of type %s from %s to %s', s.key,
                                                 s.value ->> 'previous_quantity', s.value ->> 'new_quantity'),
                                          ', ' ORDER BY s.key)
                          FROM jsonb_each(facts -> 'seats') AS s), 'no seats'),
              facts ->> 'actor')
       || coalesce(' in ' || (facts ->> 'changes') || ' changes', '');
REVOKE ALL ON FUNCTION seats_internal.change_in_words(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_in_words(jsonb) IS 'facts_of_change as a person reads them';

-- ---- what the application can do about a change that did not go through

-- A word for it; null: nothing, or nothing that we know of. `result`: of the history, or awaiting. (An expression, as the two
-- below, so that it is inlined where lists are shown.)
CREATE OR REPLACE FUNCTION seats_internal.next_step(result text, reason text, error_code text, decline_code text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN result = 'awaiting' THEN 'pay_invoice'
    WHEN result IS DISTINCT FROM 'refused' THEN NULL
    WHEN reason IN ('no_longer_valid', 'base_moved', 'proration_date', 'payment_did_not_come') THEN 'ask_again'
    WHEN reason IN ('subscription_ended', 'object_is_terminal') THEN 'new_subscription'
    WHEN reason = 'managed_by_schedule' THEN 'release_schedule'
    WHEN reason = 'payment_method_missing' THEN 'add_payment_method'
    WHEN reason IS DISTINCT FROM 'payment_failed' THEN NULL
    WHEN error_code IN ('subscription_payment_intent_requires_action', 'invoice_payment_intent_requires_action',
                        'payment_intent_action_required', 'payment_intent_authentication_failure',
                        'authentication_required')
         OR decline_code = 'authentication_required' THEN 'authenticate'
    WHEN coalesce(decline_code, error_code) IN
         ('processing_error', 'issuer_not_available', 'try_again_later', 'reenter_transaction',
          'card_decline_rate_limit_exceeded', 'payment_intent_rate_limit_exceeded') THEN 'try_later'
    WHEN coalesce(decline_code, error_code) ~ '^(incorrect|invalid)_(number|cvc|zip|address|expiry_(month|year))$'
        THEN 'correct_card'
    ELSE 'other_payment_method'
END;
REVOKE ALL ON FUNCTION seats_internal.next_step(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.next_step(text, text, text, text) IS
    'what can be done about a change that was refused or waits for its payment, in a word';

-- (An expression as well, and STABLE: of what is said to be IMMUTABLE and calls what is not nothing is inlined, and what
-- is not inlined is parsed anew by each statement that calls it.)
CREATE OR REPLACE FUNCTION seats_internal.error_detail(
    result       text,
    reason       text,
    error        text,
    error_code   text,
    decline_code text
) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_strip_nulls(jsonb_build_object(
    'error', error, 'code', error_code, 'decline_code', decline_code,
    'next_step', seats_internal.next_step(result, reason, error_code, decline_code)));
REVOKE ALL ON FUNCTION seats_internal.error_detail(text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.error_detail(text, text, text, text, text) IS
    'why a change did not go through, as the journal tells of it';

-- The words of the application: what is it to it that a change waits for its second try?
CREATE OR REPLACE FUNCTION seats_internal.change_state(state text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE state WHEN 'awaiting' THEN 'awaiting_payment' WHEN 'review' THEN 'in_review'
                  ELSE 'pending' END;
REVOKE ALL ON FUNCTION seats_internal.change_state(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_state(text) IS
    'a state of the outbox as an application sees it';

CREATE OR REPLACE FUNCTION seats_internal.change_result(result text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE result WHEN 'done' THEN 'confirmed' WHEN 'refused' THEN 'reverted' ELSE result END;
REVOKE ALL ON FUNCTION seats_internal.change_result(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_result(text) IS
    'a result of the history as an application sees it';
