-- A review's page: a call's page, why a person must decide, what speaks for what, which decisions there are and what each does.

CREATE OR REPLACE FUNCTION seats_internal.decision_in_words(decision text, of_what text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE of_what || ' ' || decision
    WHEN 'change executed' THEN 'Stripe has done it: the seats are confirmed, with all that went along, and the subscription is read.'
    WHEN 'change not_executed' THEN 'Stripe has not done it, and cannot any more: it is planned anew on a new read, and sent under a new key.'
    WHEN 'change same_key' THEN 'Nobody knows: it is sent again under the same key, which is harmless if it had happened.'
    WHEN 'change refuse' THEN 'It is given up: the seats are undone, with all that went along, and the subscription is read.'
    WHEN 'call executed' THEN 'Stripe has done it: it is settled as done.'
    WHEN 'call not_executed' THEN 'Stripe has not done it, and cannot any more: it is sent under a new key.'
    WHEN 'call same_key' THEN 'Nobody knows: it is sent again under the same key, which is harmless if it had happened.'
    WHEN 'call refuse' THEN 'It is given up: it is settled as refused, and is not sent again.'
    WHEN 'handler retry' THEN 'It runs again, by what role and function are now.'
    WHEN 'handler skip' THEN 'It does not run: what it was to do is done, or nobody wants it.'
    WHEN 'handler run' THEN 'Another function runs instead, once, now, and as whoever decides.'
    WHEN 'payment keep' THEN 'The money stays, and counts as paid.'
    WHEN 'payment refund' THEN 'All that is left of it is given back.'
END;
REVOKE ALL ON FUNCTION seats_internal.decision_in_words(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.decision_in_words(text, text) IS
    'what a decision about a change, another call, a handler or a payment does';

-- What Stripe has told of the request, by its key; what was said when a person was called; and how the subscription stood when it
-- was read last.
CREATE OR REPLACE FUNCTION seats_internal.evidence_of(call bigint, idempotency_key text, lane text, destination text)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'events', (SELECT coalesce(jsonb_agg(to_jsonb(e) ORDER BY e.received_at), '[]')
                     FROM (SELECT w.event_id AS event, w.type, w.object_id AS object, w.created, w.received_at, w.outcome
                             FROM seats_internal.webhook_event AS w
                            WHERE w.idempotency_key = evidence_of.idempotency_key
                            ORDER BY w.received_at LIMIT 20) AS e),
        'alerts', (SELECT coalesce(jsonb_agg(to_jsonb(a) ORDER BY a.alert), '[]')
                     FROM (SELECT x.id AS alert, x.severity, x.kind, x.summary, x.hint, x.first_seen_at, x.last_seen_at,
                                  x.occurrences, x.acknowledged_by
                             FROM seats_internal.alert AS x
                            WHERE x.fingerprint = ANY (ARRAY['review:' || call, 'settling:' || call, 'handler:' || call,
                                                             'payment:' || call])
                              AND x.resolved_at IS NULL) AS a),
        'subscription', (SELECT jsonb_build_object(
                                    'subscription', t.subscription, 'status', t.status, 'read_at', t.base_proven_at,
                                    'confirmed', (SELECT jsonb_object_agg(s.seat_type, s.confirmed)
                                                    FROM seats_internal.seat_line AS s WHERE s.team_id = t.id),
                                    'drift', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                                         'aspect', d.aspect, 'local', d.local, 'stripe', d.stripe,
                                                         'cause', d.cause, 'since', d.since) ORDER BY d.aspect), '[]')
                                                FROM seats_internal.drift AS d WHERE d.team_id = t.id))
                           FROM seats_internal.lane AS l
                           JOIN seats_internal.team AS t ON t.lane_id = l.id
                          WHERE l.destination = evidence_of.destination AND l.name = evidence_of.lane));
END;
REVOKE ALL ON FUNCTION seats_internal.evidence_of(bigint, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.evidence_of(bigint, text, text, text) IS
    'what is known that helps to decide about a call in review, beside its own requests';

CREATE OR REPLACE FUNCTION seats_internal.decisions_of(
    page          jsonb,
    OUT of_what   text,
    OUT verb      text,
    OUT why       text,
    OUT decisions jsonb
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_call seats_internal.outbox;
    allowed   text[];
BEGIN
    verb := 'resolve_review';
    IF page ->> 'state' = 'review' THEN
        why := page ->> 'reason';
        SELECT o.* INTO open_call FROM seats_internal.outbox AS o WHERE o.id = (page ->> 'call')::bigint;
        of_what := CASE WHEN open_call.lines IS NOT NULL THEN 'change' ELSE 'call' END;
        allowed := seats_internal.allowed_decisions(open_call.reason, open_call.first_sent_at,
                                                    seats_internal.is_foreign(open_call));
    ELSIF page -> 'handler' ->> 'state' = 'review' THEN
        of_what := 'handler';
        why := page -> 'handler' ->> 'why';
        allowed := '{retry,skip,run}';
    ELSIF page ->> 'what' = 'payment' AND page -> 'payment' ->> 'review_since' IS NOT NULL THEN
        of_what := 'payment';
        why := page -> 'payment' ->> 'review_reason';
        verb := 'resolve_payment';
        allowed := seats_internal.allowed_payment_decisions((page ->> 'call')::bigint);
    ELSE
        verb := NULL;
    END IF;
    decisions := (SELECT coalesce(jsonb_agg(jsonb_build_object(
                             'decision', d.name, 'does', seats_internal.decision_in_words(d.name, of_what)) ORDER BY d.place), '[]')
                    FROM unnest(allowed) WITH ORDINALITY AS d (name, place));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.decisions_of(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.decisions_of(jsonb) IS 'what of a page is in review, and how it may be decided; null: nothing';

CREATE OR REPLACE FUNCTION seats_internal.review_page(caller text, call bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    page   jsonb := seats_internal.call_page(caller, call);
    review record;
BEGIN
    SELECT d.* INTO review FROM seats_internal.decisions_of(page) AS d;
    RETURN page || jsonb_build_object(
        'in_review', review.of_what, 'decisions', review.decisions,
        'decided_with', review.verb, 'why', review.why,
        'evidence', seats_internal.evidence_of(call, page ->> 'idempotency_key', page ->> 'lane', page ->> 'destination'));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.review_page(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.review_page(text, bigint) IS 'behind seats.review_page';

CREATE OR REPLACE FUNCTION seats.review_page(call bigint) RETURNS jsonb
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.review_page(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.review_page(bigint) IS
    'call_page, and of what is in review (the call, its handler, or a payment): why, the evidence, and which decisions there are and '
    'what each does. in_review is null and decisions are empty if nobody has to decide any more';
