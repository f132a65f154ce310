-- What Stripe's events tell. An event is a hint; what it says about our own calls is proof: what was
-- there before a call of ours shows whether somebody else had changed it since we had looked.

-- Our call's event says that something else stood there than our quantities were computed on: the
-- change that somebody had made in between is gone. Nobody but a person can say what is right now.
CREATE OR REPLACE FUNCTION seats_internal.alert_overwritten(
    expected seats_internal.expected_event,
    before   jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    overwritten jsonb;
    in_words    text;
    team        seats_internal.team;
BEGIN
    SELECT jsonb_object_agg(t.key, jsonb_build_object(
               'computed_on', coalesce((expected.base ->> t.key)::integer, 0),
               'found', coalesce((before ->> t.key)::integer, 0),
               'written', t.value::integer)),
           string_agg(format('%s: computed on %s, but it was %s, and %s was written', t.key,
                             coalesce(expected.base ->> t.key, '0'), coalesce(before ->> t.key, '0'),
                             t.value), '; ' ORDER BY t.key)
      INTO overwritten, in_words
      FROM jsonb_each_text(expected.target) AS t
     WHERE coalesce((before ->> t.key)::integer, 0) <> coalesce((expected.base ->> t.key)::integer, 0)
       -- What our call did not touch, it did not overwrite.
       AND t.value::integer <> coalesce((expected.base ->> t.key)::integer, 0)
       -- (A type that was dropped since cannot be counted any more.)
       AND EXISTS (SELECT FROM seats_internal.seat_type AS s WHERE s.name = t.key);
    IF overwritten IS NULL THEN
        RETURN;
    END IF;
    SELECT t.* INTO team FROM seats_internal.team AS t WHERE t.id = expected.team_id;
    PERFORM seats_internal.raise_alert(
        'overwritten:' || expected.call_id, 'critical', 'outside_change_overwritten',
        format('call %s has overwritten somebody else''s change of the seats of team %s: %s',
               expected.call_id, team.name, in_words),
        jsonb_build_object('team', team.name, 'subscription', team.subscription, 'seats', overwritten),
        'The change was made at Stripe in the moment between our read and our call. If it is to '
        'hold, make it again with seats.change_seats; then acknowledge this alert.',
        expected.call_id, expected.destination);
    PERFORM seats_internal.write_journal(
        'seats.outside_change_overwritten', 'pg_seats', expected.call_id, team.lane_id, NULL,
        jsonb_build_object('team', team.name, 'seats', overwritten));
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.alert_overwritten(seats_internal.expected_event, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.alert_overwritten(seats_internal.expected_event, jsonb) IS
    'the alert that a call of ours has overwritten somebody else''s change, with both numbers';

-- One item, of this seat type, and nothing else is counted. Not true: nothing is said. (An expression, inlined.)
CREATE OR REPLACE FUNCTION seats_internal.is_single_item(items jsonb, seat_type text, counted jsonb) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN seat_type IS NOT NULL AND jsonb_array_length(items) = 1
                 AND (items #>> '{0,metered}')::boolean IS NOT TRUE
            THEN counted = jsonb_build_object(seat_type, items #> '{0,quantity}') END;
REVOKE ALL ON FUNCTION seats_internal.is_single_item(jsonb, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_single_item(jsonb, text, jsonb) IS
    'true: a subscription''s items are one, of this seat type, and are counted as {seat type: quantity} given';

-- An event of one of our own calls. Where only other things than items changed, the target stood
-- there already.
CREATE OR REPLACE FUNCTION seats_internal.match_expected_event(facts jsonb) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken    record;
    expected seats_internal.expected_event;
BEGIN
    IF facts ->> 'type' <> 'customer.subscription.updated' THEN
        RETURN false;
    END IF;
    -- A call may make several events, and one that tells of other things than items is none to judge
    -- by while another one may come.
    IF jsonb_typeof(facts -> 'previous_items') IS DISTINCT FROM 'array' THEN
        UPDATE seats_internal.expected_event AS e SET nothing_changed = true
         WHERE e.idempotency_key = facts ->> 'idempotency_key';
        RETURN FOUND;
    END IF;
    DELETE FROM seats_internal.expected_event AS e
     WHERE e.idempotency_key = facts ->> 'idempotency_key' AND NOT EXISTS (SELECT FROM seats_internal.recount)
    RETURNING e, (SELECT p.seat_type FROM seats_internal.seat_price AS p
                     WHERE p.price = facts #>> '{previous_items,0,price}') AS seat_type INTO taken;
    IF NOT FOUND THEN
        -- Other prices are listed, and the team may not be counted by them yet: it is judged when its event is
        -- looked for.
        RETURN EXISTS (SELECT FROM seats_internal.expected_event AS e
                        WHERE e.idempotency_key = facts ->> 'idempotency_key');
    END IF;
    expected := taken.e;
    -- An event shows at most ten items: what is not among them cannot be compared. (Nearly always there is one, and it is
    -- what the call was computed on: then there is nothing to be counted.)
    IF jsonb_array_length(facts -> 'previous_items') < 10
       AND seats_internal.is_single_item(facts -> 'previous_items', taken.seat_type, expected.base) IS NOT TRUE THEN
        PERFORM seats_internal.alert_overwritten(
            expected, seats_internal.count_items(facts -> 'previous_items'));
    END IF;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.match_expected_event(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.match_expected_event(jsonb) IS
    'compares what a call of ours really changed with what it was computed on; false: not expected';

-- The call's answer has come after its event: what the event told is looked at now.
CREATE OR REPLACE FUNCTION seats_internal.match_earlier_events(idempotency_keys text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.match_expected_event(w.facts)
       FROM unnest(idempotency_keys) AS k (key)
      CROSS JOIN LATERAL (
            SELECT w.facts FROM seats_internal.webhook_event AS w
             WHERE w.idempotency_key = k.key AND w.type = 'customer.subscription.updated' LIMIT 1) AS w;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.match_earlier_events(text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.match_earlier_events(text[]) IS
    'compares calls with their events, where these came before the calls'' answers';

-- Which events to look for, if they do not come by themselves: since when, by destination. (One that came while the call's
-- answer was being stored has not seen that it was expected, nor was it seen there: it is here, and nobody has to ask.)
CREATE OR REPLACE FUNCTION seats_internal.events_to_look_for(
    after           interval,
    OUT destination text,
    OUT since       bigint
) RETURNS SETOF record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before CONSTANT timestamptz := clock_timestamp() - after;
BEGIN
    PERFORM seats_internal.match_earlier_events(ARRAY(
        SELECT e.idempotency_key FROM seats_internal.expected_event AS e WHERE e.look_at < before));
    -- Our clock and Stripe's may differ: five minutes cost a page at most.
    RETURN QUERY
        SELECT e.destination, floor(extract(epoch FROM min(e.sent_at)))::bigint - 300
          FROM seats_internal.expected_event AS e
         WHERE e.look_at < before
         GROUP BY e.destination;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.events_to_look_for(interval) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.events_to_look_for(interval) IS
    'destinations whose events of our own calls have not been seen in time; called by the worker';

-- The list was read to its end: what was not in it is looked for again, later and later, and given
-- up after a day.
CREATE OR REPLACE FUNCTION seats_internal.events_were_listed(destination text, after interval) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.resolve_alert('events_unreadable:' || destination, 'the list was read');
    UPDATE seats_internal.expected_event AS e
       SET looks = e.looks + 1,
           look_at = clock_timestamp() + after * (2 ^ least(e.looks, 16) - 1)
     WHERE e.destination = events_were_listed.destination
       AND e.look_at < (SELECT clock_timestamp() - after);
    -- Only events that tell of no items: what the call asked for stood there already.
    PERFORM seats_internal.alert_overwritten(e, e.target)
       FROM seats_internal.expected_event AS e
      WHERE e.destination = events_were_listed.destination AND e.nothing_changed AND e.looks > 1;
    DELETE FROM seats_internal.expected_event AS e
     WHERE e.destination = events_were_listed.destination AND e.nothing_changed AND e.looks > 1;
    DELETE FROM seats_internal.expected_event AS e
     WHERE e.destination = events_were_listed.destination AND e.looks > 3
       AND e.sent_at < clock_timestamp() - interval '1 day';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.events_were_listed(text, interval) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.events_were_listed(text, interval) IS
    'notes that a destination''s events were listed; called by the worker';
