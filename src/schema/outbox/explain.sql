-- explain_call: in words for a person, what a call is, where it stands, what holds it back, what
-- happens next, and what can be done about it.

CREATE OR REPLACE FUNCTION seats_internal.since(moment timestamptz) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN format('since %s (%s)', date_trunc('second', moment),
              date_trunc('second', clock_timestamp() - moment));
REVOKE ALL ON FUNCTION seats_internal.since(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.since(timestamptz) IS 'since when, and how long that is';

CREATE OR REPLACE FUNCTION seats_internal.explain_what(
    id          bigint,
    method      text,
    path        text,
    destination text,
    lane_id     bigint,
    enqueued_by text,
    created_at  timestamptz
) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('Call %s: %s %s to %s%s, enqueued by %s at %s.', id, method, path, destination,
                  coalesce((SELECT format(', lane %s', l.name) FROM seats_internal.lane AS l
                             WHERE l.id = lane_id), ', without a lane'),
                  enqueued_by, date_trunc('second', created_at));
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.explain_what(bigint, text, text, text, bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.explain_what(bigint, text, text, text, bigint, text, timestamptz) IS
    'what a call is';

CREATE OR REPLACE FUNCTION seats_internal.explain_settled(h seats_internal.outbox_history) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat_ws(E'\n',
        seats_internal.explain_what(h.id, h.method, h.path, h.destination, h.lane_id,
                                    h.enqueued_by, h.created_at),
        'It changes seats: ' || seats_internal.change_in_words(seats_internal.facts_of_change(h.id)) || '.',
        'It is about ' || seats_internal.payment_in_words(h.payment_id) || '.',
        format('Settled as %s at %s by %s, after %s request(s)%s.', h.result,
               date_trunc('second', h.settled_at), coalesce(h.settled_by, 'the worker'),
               h.attempts, CASE WHEN h.http_status > 0
                                THEN format(' and HTTP status %s', h.http_status) ELSE '' END),
        'It went along with call ' || h.carrier_id || ', which tells more.',
        'Reason: ' || h.reason || '.',
        'Stripe''s or the transport''s words: ' || h.error,
        'Stripe''s request id: ' || h.request_id,
        CASE WHEN h.settled_by IS NOT NULL
             THEN format('Why: SELECT reason FROM seats.journal WHERE call = %s;', h.id) END,
        coalesce(seats_internal.explain_handler(h.id), 'Nothing more happens to it.'));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.explain_settled(seats_internal.outbox_history) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_settled(seats_internal.outbox_history) IS
    'what became of a settled call';

-- What holds everything of this database back.
CREATE OR REPLACE FUNCTION seats_internal.worker_obstacle() RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT CASE
        WHEN NOT EXISTS (SELECT FROM seats_internal.installation)
            THEN 'this database has no installation: a superuser calls seats.create_installation()'
        WHEN pg_is_in_recovery()
            THEN 'this server is a standby: the primary sends'
        WHEN NOT w.preloaded
            THEN 'pg_seats is not in shared_preload_libraries: there can be no worker'
        WHEN w.state = 'fenced'
            THEN 'the worker may not send: ' || coalesce(nullif(w.trouble, ''), 'fenced')
        WHEN w.state <> 'running'
            THEN 'no worker is running (' || w.state || '): see the server''s log'
        WHEN coalesce(w.debug_point, '') <> ''
            THEN 'the worker stands still for a test at ' || w.debug_point
    END
      FROM seats_internal.worker_state() AS w);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.worker_obstacle() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.worker_obstacle() IS
    'why nothing at all is sent from this database, or null';

CREATE OR REPLACE FUNCTION seats_internal.destination_obstacles(name text) RETURNS SETOF text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d seats_internal.destination;
    s record;
BEGIN
    SELECT * INTO d FROM seats_internal.destination AS x
     WHERE x.name = destination_obstacles.name;
    IF NOT FOUND THEN
        RETURN NEXT format('destination %s is not defined', name);
    END IF;
    IF d.paused_at IS NOT NULL THEN
        RETURN NEXT format('destination %s is paused %s by %s: %s', name,
                           seats_internal.since(d.paused_at), d.paused_by, d.paused_reason);
    END IF;
    IF d.halted_at IS NOT NULL THEN
        RETURN NEXT format('destination %s is halted %s (%s): %s; %s', name,
                           seats_internal.since(d.halted_at), d.halted_reason, d.halted_message,
                           CASE WHEN d.halted_needs_person
                                THEN 'put the cause right, then call seats.resume'
                                ELSE 'it resumes when a read succeeds' END);
    END IF;
    SELECT * INTO s FROM seats_internal.destination_state() AS x
     WHERE x.destination = destination_obstacles.name;
    IF NOT FOUND THEN
        RETURN;  -- the worker has not taken it up yet, or worker_obstacle() says why
    END IF;
    IF s.breaker <> 'closed' THEN
        RETURN NEXT format('destination %s does not answer (breaker %s): a read tries it from time '
                           'to time', name, s.breaker);
    ELSIF d.halted_at IS NULL AND d.kind = 'stripe' AND NOT s.proven THEN
        RETURN NEXT format('destination %s: its key is not proven yet (seats.destinations)', name);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.destination_obstacles(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.destination_obstacles(text) IS
    'why nothing is sent to a destination now';

CREATE OR REPLACE FUNCTION seats_internal.lane_obstacles(call seats_internal.outbox) RETURNS SETOF text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    l    seats_internal.lane;
    head seats_internal.outbox;
BEGIN
    SELECT * INTO l FROM seats_internal.lane AS x WHERE x.id = call.lane_id;
    IF l.paused_at IS NOT NULL THEN
        RETURN NEXT format('lane %s is paused %s by %s: %s', l.name,
                           seats_internal.since(l.paused_at), l.paused_by, l.paused_reason);
    END IF;
    SELECT * INTO head FROM seats_internal.outbox AS o
     WHERE o.lane_id BETWEEN call.lane_id AND call.lane_id ORDER BY o.lane_id, o.id LIMIT 1;
    IF head.id < call.id THEN
        RETURN NEXT format('%s call(s) of its lane come first; their first is call %s (%s %s), %s '
                           '%s%s%s',
            (SELECT CASE WHEN count(*) < 1000 THEN count(*)::text ELSE '1000 or more' END
               FROM (SELECT FROM seats_internal.outbox AS o
                      WHERE o.lane_id BETWEEN call.lane_id AND call.lane_id AND o.id < call.id
                      ORDER BY o.lane_id, o.id LIMIT 1000) AS before),
            head.id, head.method, head.path,
            CASE head.state WHEN 'review' THEN 'in review' ELSE head.state::text END,
            seats_internal.since(head.state_since), coalesce(': ' || head.reason, ''),
            CASE WHEN head.due_at > clock_timestamp()
                 THEN format(', not before %s', date_trunc('second', head.due_at)) ELSE '' END);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.lane_obstacles(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.lane_obstacles(seats_internal.outbox) IS
    'why a call is not the next of its lane, or its lane does not move';

CREATE OR REPLACE FUNCTION seats_internal.obstacles(call seats_internal.outbox) RETURNS SETOF text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF seats_internal.worker_obstacle() IS NOT NULL THEN
        RETURN NEXT seats_internal.worker_obstacle();
    END IF;
    IF seats_internal.is_foreign(call) THEN
        RETURN NEXT 'it belongs to another installation, and this one does not send it';
    END IF;
    RETURN QUERY SELECT * FROM seats_internal.destination_obstacles(call.destination);
    RETURN QUERY SELECT * FROM seats_internal.lane_obstacles(call);
    IF call.due_at > clock_timestamp() THEN
        RETURN NEXT format('it is not due before %s', date_trunc('second', call.due_at));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.obstacles(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.obstacles(seats_internal.outbox) IS
    'everything that holds an open call back now';

CREATE OR REPLACE FUNCTION seats_internal.explain_next(state seats_internal.outbox_state, due_at timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN CASE state
    WHEN 'pending'   THEN 'It is sent'
    WHEN 'carried'   THEN 'It goes along with the first call of its lane'
    WHEN 'sending'   THEN 'Its answer is waited for'
    WHEN 'waiting'   THEN 'It is sent again under the same key'
    WHEN 'verifying' THEN 'A read is to prove whether it was executed'
    WHEN 'awaiting'  THEN 'It was executed; reads follow its payment'
    WHEN 'review'    THEN 'Nothing by itself: a person must decide'
END || CASE
    WHEN state IN ('sending', 'review', 'carried') THEN '.'
    WHEN due_at > clock_timestamp()      THEN format(', at %s.', date_trunc('second', due_at))
    ELSE ', as soon as nothing holds it back.'
END;
REVOKE ALL ON FUNCTION seats_internal.explain_next(seats_internal.outbox_state, timestamptz)
    FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_next(seats_internal.outbox_state, timestamptz) IS
    'what happens to an open call without anybody doing anything';

CREATE OR REPLACE FUNCTION seats_internal.explain_sent(call seats_internal.outbox) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN CASE
    WHEN call.first_sent_at IS NULL AND NOT call.doubt THEN 'Not sent under this key.'
    ELSE format('Sent %s time(s) under its key, first at %s. %s', call.tries,
                date_trunc('second', call.first_sent_at),
                CASE WHEN call.state = 'awaiting' THEN 'It was executed.'
                     WHEN call.state = 'sending' THEN 'It is on the wire.'
                     WHEN call.doubt THEN 'It may have been executed.'
                     ELSE 'It was provably not executed.' END)
END || format(' Idempotency key: %s.', seats_internal.idempotency_key(
           call.installation, call.uuid, call.generation));
REVOKE ALL ON FUNCTION seats_internal.explain_sent(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_sent(seats_internal.outbox) IS
    'what of an open call may have reached Stripe';

CREATE OR REPLACE FUNCTION seats_internal.explain_open(call seats_internal.outbox) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat_ws(E'\n',
        seats_internal.explain_what(call.id, call.method, call.path, call.destination,
                                    call.lane_id, call.enqueued_by, call.created_at),
        'It changes seats: ' || seats_internal.change_in_words(seats_internal.facts_of_change(call.id)) || '.',
        'It is about ' || seats_internal.payment_in_words(call.payment_id) || '.',
        format('State: %s %s%s.', CASE call.state WHEN 'review' THEN 'in review'
                                                  ELSE call.state::text END,
               seats_internal.since(call.state_since), coalesce(', because of ' || call.reason, '')),
        'Stripe''s or the transport''s words: ' || call.last_error,
        seats_internal.explain_sent(call),
        'Next: ' || seats_internal.explain_next(call.state, call.due_at),
        (SELECT string_agg('Held back: ' || o || '.', E'\n')
           FROM seats_internal.obstacles(call) AS o
          WHERE call.state NOT IN ('sending', 'review')),
        seats_internal.explain_handler(call.id),
        'What you can do: ' || CASE
            WHEN seats_internal.is_foreign(call) AND call.state <> 'review'
                THEN 'If this database takes over from the original: seats.adopt_database.'
            WHEN call.state = 'review' THEN format('seats.resolve_review(%s, decision, reason) with one of: %s.',
                call.id, array_to_string(seats_internal.allowed_decisions(
                    call.reason, call.first_sent_at, seats_internal.is_foreign(call)), ', '))
            ELSE seats_internal.verb_for(call.state, call.doubt) END);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.explain_open(seats_internal.outbox) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_open(seats_internal.outbox) IS
    'where an open call stands, what holds it back, and what a person can do';

CREATE OR REPLACE FUNCTION seats_internal.explain_call(caller text, call bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_open seats_internal.outbox;
BEGIN
    SELECT o.* INTO found_open FROM seats_internal.outbox AS o WHERE o.id = call;
    IF FOUND THEN
        RETURN seats_internal.explain_open(found_open);
    END IF;
    RETURN coalesce(
        (SELECT seats_internal.explain_settled(h)
           FROM seats_internal.settled_call(call) AS h
          WHERE h.id IS NOT NULL),
        seats_internal.explain_transaction(call), seats_internal.explain_payment(call),
        seats_internal.explain_refund(call), seats_internal.explain_member(call),
        format(E'Call %s has ended more than pg_seats.history_days ago.\n', call)
            || seats_internal.explain_handler(call),
        format('There is no call %s. seats.calls lists them; settled ones leave after '
               'pg_seats.history_days.', call));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.explain_call(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.explain_call(text, bigint) IS 'behind seats.explain_call';

CREATE OR REPLACE FUNCTION seats.explain_call(call bigint) RETURNS text
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.explain_call(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.explain_call(bigint) IS
    'in words: what a call (or payment, its member, refund, or what has happened) is, where it stands and why, what holds '
    'it back, what happens next, and what a person can do';
