-- Taking away again what was set up: teams, individuals, kinds of seats, destinations, endpoints. Each
-- refuses while something is open, and says what; nothing is cancelled at Stripe by it.

-- `cannot`: what is refused, as a sentence; `counts` and `words`: of what there is how much.
CREATE FUNCTION seats_internal.require_unused(cannot text, counts bigint[], words text[], hint text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    uses text := (SELECT string_agg(format('%s %s', u.number, u.word), ', ')
                    FROM unnest(counts, words) AS u (number, word) WHERE u.number > 0);
BEGIN
    IF uses IS NOT NULL THEN
        RAISE EXCEPTION '% yet', cannot
            USING ERRCODE = 'PS537', DETAIL = format('There are: %s.', uses), HINT = hint;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_unused(text, bigint[], text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_unused(text, bigint[], text[], text) IS
    'an error that says what is still open, unless all counts are zero';

-- ---- teams and individuals

CREATE FUNCTION seats_internal.unregister(caller text, gone seats_internal.team, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- First, so that the sweep, which holds the team while it wants it read, is over.
    DELETE FROM seats_internal.team AS t WHERE t.id = gone.id;
    -- A read leaves nothing behind; one that is on the wire finds no team.
    DELETE FROM seats_internal.outbox AS o
     WHERE o.team_id = gone.id AND o.kind = 'read' AND o.state IN ('pending', 'waiting');
    PERFORM seats_internal.require_unused(
        format('%s %L cannot be unregistered', gone.kind, gone.name),
        ARRAY[(SELECT count(*) FROM seats_internal.outbox AS o
                WHERE (o.lane_id = gone.lane_id OR o.team_id = gone.id) AND o.kind <> 'read'),
              (SELECT count(*) FROM seats_internal.member AS m
                WHERE m.team_id = gone.id AND m.status = 'active'),
              (SELECT count(*) FROM seats_internal.invite AS i
                WHERE i.team_id = gone.id AND i.status = 'open')],
        '{open call(s),member(s),open invite(s)}',
        'Let the calls be settled (seats.blocked_lanes) or cancel them, remove the members (seats.members; '
        'the application then reads in the journal what to take away), revoke the invites (seats.invites).');
    DELETE FROM seats_internal.seat_line AS s WHERE s.team_id = gone.id;
    DELETE FROM seats_internal.member AS m WHERE m.team_id = gone.id;
    DELETE FROM seats_internal.invite AS i WHERE i.team_id = gone.id;
    DELETE FROM seats_internal.request_key AS k WHERE k.team_id = gone.id;
    DELETE FROM seats_internal.expected_event AS e WHERE e.team_id = gone.id;
    DELETE FROM seats_internal.drift AS d WHERE d.team_id = gone.id;
    PERFORM seats_internal.resolve_alert(a.fingerprint, gone.kind || ' unregistered')
       FROM seats_internal.alert AS a
      WHERE a.resolved_at IS NULL
        AND split_part(a.fingerprint, ':', 1) IN ('subscription', 'unpaid', 'drift', 'over_allocated',
                                                  'invites_failed', 'uncounted', 'no_price', 'unknown_marker')
        AND split_part(a.fingerprint, ':', 2) = gone.id::text;
    PERFORM seats_internal.write_journal(
        gone.kind || '.unregistered', caller, NULL, gone.lane_id, reason,
        jsonb_strip_nulls(jsonb_build_object(
            gone.kind, gone.name, 'subscription', gone.subscription, 'customer', gone.customer,
            'destination', gone.destination, 'status', gone.status)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.unregister(text, seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.unregister(text, seats_internal.team, text) IS
    'forgets a team or an individual, whose lane is locked';

CREATE FUNCTION seats_internal.unregister_team(
    caller           text,
    INOUT team       text,
    reason           text,
    OUT subscription text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone seats_internal.team;
BEGIN
    PERFORM seats_internal.require_reason(unregister_team.reason);
    gone := seats_internal.take_team(team);
    PERFORM seats_internal.unregister(caller, gone, unregister_team.reason);
    subscription := gone.subscription;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.unregister_team(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.unregister_team(text, text, text) IS 'behind seats.unregister_team';

CREATE FUNCTION seats.unregister_team(INOUT team text, reason text, OUT subscription text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.unregister_team(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.unregister_team(text, text) IS
    'forgets a team, its former members and invites; refused while it has open calls, members or open '
    'invites. Its subscription goes on at Stripe: cancel it there';

CREATE FUNCTION seats_internal.unregister_individual(
    caller           text,
    INOUT user_id    text,
    reason           text,
    OUT subscription text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone seats_internal.team;
BEGIN
    PERFORM seats_internal.require_reason(unregister_individual.reason);
    UPDATE seats_internal.lane AS l SET version = l.version + 1
      FROM seats_internal.team AS t
     WHERE t.kind = 'individual' AND t.name = user_id AND l.id = t.lane_id;
    SELECT t.* INTO gone FROM seats_internal.team AS t WHERE t.kind = 'individual' AND t.name = user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no individual %', coalesce(quote_literal(user_id), 'NULL')
            USING ERRCODE = 'PS501', HINT = 'The view seats.individuals lists them.';
    END IF;
    PERFORM seats_internal.unregister(caller, gone, unregister_individual.reason);
    subscription := gone.subscription;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.unregister_individual(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.unregister_individual(text, text, text) IS
    'behind seats.unregister_individual';

CREATE FUNCTION seats.unregister_individual(INOUT user_id text, reason text, OUT subscription text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.unregister_individual(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.unregister_individual(text, text) IS
    'forgets a person with a subscription of their own; refused while calls are open. The subscription '
    'goes on at Stripe: cancel it there';

-- ---- what was defined

CREATE FUNCTION seats_internal.drop_seat_type(caller text, INOUT seat_type text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    prices text[];
BEGIN
    PERFORM seats_internal.require_reason(drop_seat_type.reason);
    PERFORM seats_internal.require_seat_type(drop_seat_type.seat_type);
    PERFORM FROM seats_internal.seat_type AS s WHERE s.name = drop_seat_type.seat_type FOR UPDATE;
    -- Lines of zero seats go with it. (Who is just adding to one holds it: this waits, and then sees it. Who
    -- makes a new one is held up by the foreign key until this is over, and fails.)
    DELETE FROM seats_internal.seat_line AS s
     WHERE s.seat_type = drop_seat_type.seat_type
       AND (s.confirmed, s.quantity, s.awaiting, s.missing) = (0, 0, 0, 0);
    PERFORM seats_internal.require_unused(
        format('seat type %L cannot be dropped', drop_seat_type.seat_type),
        ARRAY[(SELECT count(*) FROM seats_internal.seat_line AS s
                WHERE s.seat_type = drop_seat_type.seat_type),
              (SELECT count(*) FROM seats_internal.outbox AS o
                WHERE o.kind = 'change' AND o.lines @> jsonb_build_array(jsonb_build_object(
                    'seat_type', drop_seat_type.seat_type))),
              (SELECT count(*) FROM seats_internal.member AS m
                WHERE m.seat_type = drop_seat_type.seat_type AND m.status = 'active'),
              (SELECT count(*) FROM seats_internal.invite AS i
                WHERE i.seat_type = drop_seat_type.seat_type AND i.status = 'open')],
        '{team(s) with such seats,open change(s),member(s) on such a seat,open invite(s)}',
        'See seats.teams, seats.changes, seats.members and seats.invites. Give the seats back '
        '(seats.set_seats), let the changes be settled.');
    PERFORM seats_internal.list_prices(drop_seat_type.seat_type, '{}');
    DELETE FROM seats_internal.seat_type AS s WHERE s.name = drop_seat_type.seat_type;
    PERFORM seats_internal.write_journal(
        'seat_type.dropped', caller, NULL, NULL, drop_seat_type.reason,
        jsonb_build_object('seat_type', drop_seat_type.seat_type));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.drop_seat_type(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.drop_seat_type(text, text, text) IS 'behind seats.drop_seat_type';

CREATE FUNCTION seats.drop_seat_type(INOUT seat_type text, reason text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.drop_seat_type(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.drop_seat_type(text, text) IS
    'forgets a kind of seats and its prices; refused while a team has such seats, or a change, a member or '
    'an open invite is about one';

CREATE FUNCTION seats_internal.drop_webhook_endpoint(
    caller          text,
    INOUT name      text,
    reason          text,
    OUT destination text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'drop_webhook_endpoint');
    PERFORM seats_internal.require_reason(drop_webhook_endpoint.reason);
    DELETE FROM seats_internal.webhook_endpoint AS e WHERE e.name = drop_webhook_endpoint.name
    RETURNING e.destination INTO destination;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no webhook endpoint %', coalesce(quote_literal(name), 'NULL')
            USING ERRCODE = 'PS601', HINT = 'seats.webhook_endpoints lists them.';
    END IF;
    PERFORM seats_internal.require_unused(
        format('webhook endpoint %L cannot be dropped', name),
        ARRAY[(SELECT count(*) FROM seats_internal.webhook_event AS w
                WHERE w.endpoint = name AND w.retry_at IS NOT NULL)],
        '{event(s) that came and were not processed yet}',
        'The column error of seats.webhook_events says why; the worker tries them again.');
    PERFORM seats_internal.resolve_alert(a.fingerprint, 'the endpoint was dropped')
       FROM seats_internal.alert AS a
      WHERE a.fingerprint IN ('webhook_secret:' || name, 'webhook_mode:' || name) AND a.resolved_at IS NULL;
    PERFORM seats_internal.write_journal(
        'webhook_endpoint.dropped', caller, NULL, NULL, drop_webhook_endpoint.reason,
        jsonb_build_object('endpoint', name, 'destination', destination));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.drop_webhook_endpoint(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.drop_webhook_endpoint(text, text, text) IS
    'behind seats.drop_webhook_endpoint';

CREATE FUNCTION seats.drop_webhook_endpoint(INOUT name text, reason text, OUT destination text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.drop_webhook_endpoint(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.drop_webhook_endpoint(text, text) IS
    'webhooks come in there no longer; refused while events of it are not processed. What came stays, as '
    'long as the history; superusers only';

CREATE FUNCTION seats_internal.drop_destination(caller text, INOUT name text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place seats_internal.destination;
BEGIN
    PERFORM seats_internal.require_superuser(caller, 'drop_destination');
    PERFORM seats_internal.require_reason(drop_destination.reason);
    PERFORM seats_internal.require_destination(name);
    DELETE FROM seats_internal.destination AS d WHERE d.name = drop_destination.name
    RETURNING d.* INTO place;
    IF place.kind = 'receiver' THEN
        RAISE EXCEPTION 'destination % is a receiver of alerts', name
            USING ERRCODE = 'PS548', HINT = 'seats.drop_receiver(name, reason) forgets it.';
    END IF;
    PERFORM seats_internal.require_unused(
        format('destination %I cannot be dropped', name),
        ARRAY[(SELECT count(*) FROM seats_internal.outbox AS o WHERE o.destination = drop_destination.name),
              (SELECT count(*) FROM seats_internal.team AS t
                WHERE t.destination = drop_destination.name AND t.kind = 'team'),
              (SELECT count(*) FROM seats_internal.team AS t
                WHERE t.destination = drop_destination.name AND t.kind = 'individual'),
              (SELECT count(*) FROM seats_internal.webhook_endpoint AS e WHERE e.destination = drop_destination.name),
              (SELECT count(*) FROM seats_internal.call_grant AS g WHERE g.destination = drop_destination.name)],
        '{open call(s),team(s),individual(s),webhook endpoint(s),grant(s) of calls}',
        'See seats.outbox, seats.teams, seats.individuals, seats.webhook_endpoints and seats.call_grants.');
    DELETE FROM seats_internal.event_cursor AS c WHERE c.destination = drop_destination.name;
    DELETE FROM seats_internal.stripe_price AS p WHERE p.destination = drop_destination.name;
    -- Whoever defines another one of this name begins with lanes that go.
    UPDATE seats_internal.lane AS l
       SET version = l.version + 1, paused_at = NULL, paused_by = NULL, paused_reason = NULL
     WHERE l.destination = drop_destination.name AND l.paused_at IS NOT NULL;
    PERFORM seats_internal.resolve_alert(a.fingerprint, 'the destination was dropped')
       FROM seats_internal.alert AS a WHERE a.destination = drop_destination.name AND a.resolved_at IS NULL;
    PERFORM seats_internal.write_journal(
        'destination.dropped', caller, NULL, NULL, drop_destination.reason,
        jsonb_build_object('destination', name, 'account', place.account, 'livemode', place.livemode));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.drop_destination(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.drop_destination(text, text, text) IS 'behind seats.drop_destination';

CREATE FUNCTION seats.drop_destination(INOUT name text, reason text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.drop_destination(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.drop_destination(text, text) IS
    'forgets where calls went; refused while open calls, teams, individuals, webhook endpoints or grants of '
    'calls name it; superusers only';

-- ---- the extension itself

CREATE FUNCTION seats_internal.warn_of_drop() RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_calls bigint;
BEGIN
    -- (What is dropped is known only afterwards, when the tables are gone. Who may not look may not drop.)
    IF strpos(lower(current_query()), 'pg_seats') > 0
       AND has_schema_privilege('seats_internal', 'USAGE') THEN
        SELECT count(*) INTO open_calls FROM seats_internal.outbox AS o WHERE o.kind NOT IN ('read', 'delivery');
        IF open_calls > 0 THEN
            RAISE WARNING 'pg_seats is dropped while % call(s) are open', open_calls
                USING DETAIL = 'What was not sent never will be, and of what was sent nobody hears the answer. '
                               'They stand in seats.outbox.',
                      HINT = 'ROLLBACK if you can, let them be settled, and drop it then. docs/operations.md '
                             'has a section on removing.';
        END IF;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.warn_of_drop() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.warn_of_drop() IS
    'event trigger: says what is lost with the extension, before it is dropped';

CREATE EVENT TRIGGER pg_seats_warns_of_drop ON ddl_command_start WHEN TAG IN ('DROP EXTENSION')
    EXECUTE FUNCTION seats_internal.warn_of_drop();
COMMENT ON EVENT TRIGGER pg_seats_warns_of_drop IS
    'DROP EXTENSION pg_seats warns while calls are open';
