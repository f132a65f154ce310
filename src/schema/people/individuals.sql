-- Individuals: people with a subscription of their own. No seats, no members: what counts is the
-- subscription's status.

CREATE OR REPLACE FUNCTION seats_internal.refuse_individual(name text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM seats_internal.team AS t
                WHERE t.kind = 'individual' AND t.name = refuse_individual.name) THEN
        RAISE EXCEPTION '% is an individual, not a team', quote_literal(name)
            USING ERRCODE = 'PS535',
                  DETAIL = 'An individual has a subscription of its own, and neither seats nor members.',
                  HINT = 'The view seats.individuals lists them; seats.register_team makes a team.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.refuse_individual(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.refuse_individual(text) IS
    'an error if a name that is no team''s is an individual''s';

CREATE OR REPLACE FUNCTION seats_internal.register_individual(
    caller       text,
    user_id      text,
    subscription text,
    customer     text,
    destination  text,
    external_id  text
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM seats_internal.check_id('user_id', user_id);
    RETURN seats_internal.register(caller, 'individual', user_id, subscription, customer, destination,
                                   external_id);
END
$$;
REVOKE ALL ON FUNCTION
    seats_internal.register_individual(text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION
    seats_internal.register_individual(text, text, text, text, text, text) IS
    'behind seats.register_individual';

CREATE OR REPLACE FUNCTION seats.register_individual(
    user_id      text,
    subscription text,
    customer     text DEFAULT NULL,
    destination  text DEFAULT NULL,
    external_id  text DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.register_individual(text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.register_individual(text, text, text, text, text) IS
    'links a person with a subscription of their own, which is read at once: gives that read''s id, '
    'for wait_for_call. The view seats.individuals shows what Stripe says of it; when it ends, the '
    'journal says individual.ended with the external id';

CREATE OR REPLACE FUNCTION seats_internal.end_individual(individual seats_internal.team, new_status text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF seats_internal.is_terminal(new_status)
       AND NOT seats_internal.is_terminal(individual.status) THEN
        PERFORM seats_internal.write_journal(
            'individual.ended', 'stripe', NULL, individual.lane_id, 'subscription_ended',
            jsonb_strip_nulls(jsonb_build_object(
                'individual', individual.name, 'subscription', individual.subscription,
                'status', new_status, 'external_id', individual.external_id)));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.end_individual(seats_internal.team, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.end_individual(seats_internal.team, text) IS
    'tells the journal that an individual''s subscription is over, if it was not before';

CREATE OR REPLACE FUNCTION seats_internal.unregister_individual(
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

CREATE OR REPLACE FUNCTION seats.unregister_individual(INOUT user_id text, reason text, OUT subscription text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.unregister_individual(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.unregister_individual(text, text) IS
    'forgets a person with a subscription of their own; refused while calls are open. The subscription '
    'goes on at Stripe: cancel it there';
