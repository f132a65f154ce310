-- A team's page: whatever a person is shown of a team, in one call and out of one snapshot. Codes and numbers, no sentences:
-- how it is said is the page's affair. docs/pages.md tells of each key.

-- What was committed by then is in it. (A transaction that looks at one state all the time has looked when it began.)
CREATE OR REPLACE FUNCTION seats_internal.time_of_snapshot() RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN current_setting('transaction_isolation') IN ('read committed', 'read uncommitted')
                THEN statement_timestamp() ELSE transaction_timestamp() END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.time_of_snapshot() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.time_of_snapshot() IS
    'a moment of which a statement sees all that was committed by then';

-- (Its plans are made once in a session, perhaps while there was next to nothing: they may then only be such as cost the
-- same when there are millions of others. Times are UTC, whatever the session's zone.)
CREATE OR REPLACE FUNCTION seats_internal.team_page(caller text, team text, actor text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    shown   seats_internal.team;
    acts    boolean;
    is_open boolean;
    stripe  text;
    people  record;
    guests  record;
    changes record;
BEGIN
    SELECT t.* INTO shown FROM seats_internal.team AS t WHERE t.kind = 'team' AND t.name = team;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_such_team(team);
    ELSIF actor IS NOT NULL THEN
        PERFORM seats_internal.check_id('actor', actor);
    END IF;
    acts := actor IS NULL OR seats_internal.may_change_seats(shown.id, actor, caller);
    is_open := seats_internal.team_is_open(shown);
    stripe := seats_internal.stripe_state(shown.destination);
    people := seats_internal.page_members(shown.id);
    guests := seats_internal.page_invites(shown.id, people.used);
    changes := seats_internal.page_open_changes(shown, stripe, acts);
    RETURN jsonb_build_object(
        'team', shown.name,
        'version', seats_internal.page_version(shown.lane_id),
        'as_of', seats_internal.time_of_snapshot(),
        'status', shown.status,
        'problem', coalesce(shown.problem, shown.count_problem),
        'subscription', jsonb_build_object(
            'current_period_end', shown.current_period_end, 'cancel_at_period_end', shown.cancel_at_period_end,
            'cancel_at', shown.cancel_at, 'trial_end', shown.trial_end, 'collection_method', shown.collection_method,
            'currency', shown.currency),
        'past_due', seats_internal.page_past_due(shown.past_due_invoice),
        'stripe', stripe,
        'seat_types', seats_internal.page_seat_types(shown, people.used, guests.reserved, acts AND is_open),
        'members', people.members,
        'members_total', people.total,
        'invites', guests.invites,
        'invites_total', guests.total,
        'open_changes', changes.changes,
        'open_changes_total', changes.total,
        'last_changes', seats_internal.page_last_changes(shown.id),
        'may', jsonb_build_object(
            'buy', acts AND is_open, 'cancel', acts, 'invite', acts AND is_open,
            'manage_members', acts AND NOT seats_internal.is_terminal(shown.status)));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.team_page(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.team_page(text, text, text) IS 'behind seats.team_page';

CREATE OR REPLACE FUNCTION seats.team_page(team text, actor text DEFAULT NULL) RETURNS jsonb
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pg_seats_quiet_entry';
REVOKE ALL ON FUNCTION seats.team_page(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.team_page(text, text) IS
    'all that a page shows of a team, in one call: its subscription, seats by type with what may be added and removed now, '
    'members, open invites, open changes and what they wait for, the last settled ones, and what this actor may do. '
    'Without an actor: what an owner may. version rises whenever the page would show something else';
