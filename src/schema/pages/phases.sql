-- In a word each: whether Stripe takes calls, and what an open change is doing. They are told to people who know nothing of
-- lanes and calls, so there are few words, and each means something else for whoever waits.

-- (A halt and a pause are a person's business, and end when a person says so, or a read succeeds; a destination that does
-- not answer is tried again by itself. One that the worker does not know yet, or whose key was not probed, is unproven:
-- that lasts for a moment after a start, or as long as there is no worker.)
CREATE OR REPLACE FUNCTION seats_internal.stripe_state_of(
    is_halted boolean,
    is_paused boolean,
    breaker   text,
    is_proven boolean
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN is_halted THEN 'halted'
            WHEN is_paused THEN 'paused'
            WHEN breaker <> 'closed' THEN 'down'
            WHEN is_proven THEN 'up'
            ELSE 'unproven' END;
REVOKE ALL ON FUNCTION seats_internal.stripe_state_of(boolean, boolean, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.stripe_state_of(boolean, boolean, text, boolean) IS
    'whether a destination takes calls: up, down (it does not answer), paused, halted or unproven';

CREATE OR REPLACE FUNCTION seats_internal.stripe_state(destination text) RETURNS text
LANGUAGE sql VOLATILE
RETURN (SELECT seats_internal.stripe_state_of(d.halted_at IS NOT NULL, d.paused_at IS NOT NULL, s.breaker, s.proven)
          FROM seats_internal.destination AS d
          LEFT JOIN seats_internal.destination_state() AS s ON s.destination = d.name
         WHERE d.name = stripe_state.destination);
REVOKE ALL ON FUNCTION seats_internal.stripe_state(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.stripe_state(text) IS
    'whether a destination takes calls: up, down (it does not answer), paused, halted or unproven; null: there is none of that name';

-- `state`, `reason` and `was_tried` are those of the call that the change goes in; `is_next`: nothing of its lane is before it.
CREATE OR REPLACE FUNCTION seats_internal.change_phase(
    state     text,
    is_next   boolean,
    reason    text,
    was_tried boolean,
    stripe    text
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN state = 'review' THEN 'in_review'
            WHEN state = 'awaiting' THEN 'awaiting_payment'
            WHEN state IN ('sending', 'verifying') THEN 'sent'
            WHEN NOT is_next THEN 'queued'
            WHEN reason = 'stripes_limit_for_a_subscription' THEN 'limit_used_up'
            WHEN stripe IN ('halted', 'paused', 'down') THEN 'stripe_down'
            WHEN state = 'waiting' OR was_tried THEN 'retrying'
            ELSE 'queued' END;
REVOKE ALL ON FUNCTION seats_internal.change_phase(text, boolean, text, boolean, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_phase(text, boolean, text, boolean, text) IS
    'what an open change is doing: in_review, awaiting_payment, sent, limit_used_up, stripe_down, retrying or queued';
