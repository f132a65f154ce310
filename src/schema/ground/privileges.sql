-- Who may do what. PUBLIC may do nothing; roles are given exactly what their kind of user needs, by
-- name. The grants are ordinary ones, so \dp, pg_dump and DROP OWNED know them.
--
--   application   teams, seats, members and invites, and the views of them; webhooks and the journal;
--                 waits for its calls and reads their answers; enqueueing is granted path by path
--   payments      payment requests, what follows from them, and the views of them; webhooks and the journal; waits
--   monitor       sees every view and list, and may have calls explained
--   operator      a monitor who also has the verbs

CREATE OR REPLACE FUNCTION seats_internal.routines_of(audience text) RETURNS SETOF oid
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH wanted (audience, schema, name) AS (VALUES
        ('application', 'seats', 'wait_for_call'),
        ('application', 'seats', 'await_call'),
        ('application', 'seats', 'call_answer'),
        ('application', 'seats', 'register_team'),
        ('application', 'seats', 'add_seats'),
        ('application', 'seats', 'remove_seats'),
        ('application', 'seats', 'set_seats'),
        ('application', 'seats', 'change_seats'),
        ('application', 'seats', 'cancel_change'),
        ('application', 'seats', 'preview_change'),
        ('application', 'seats', 'preview'),
        ('application', 'seats', 'wait_for_change'),
        ('application', 'seats', 'await_change'),
        ('application', 'seats', 'change_seats_and_wait'),
        ('application', 'seats', 'receive_webhook'),
        ('application', 'seats', 'add_member'),
        ('application', 'seats', 'remove_member'),
        ('application', 'seats', 'change_member'),
        ('application', 'seats', 'invite'),
        ('application', 'seats', 'show_invite'),
        ('application', 'seats', 'accept_invite'),
        ('application', 'seats', 'revoke_invite'),
        ('application', 'seats', 'register_individual'),
        ('application', 'seats', 'read_journal'),
        ('application', 'seats', 'acknowledge_journal'),
        ('application', 'seats', 'teams_changed'),
        ('application', 'seats', 'team_page'),
        ('application', 'seats', 'team_versions'),
        ('payments',    'seats', 'create_payment_request'),
        ('payments',    'seats', 'add_payment_member'),
        ('payments',    'seats', 'remove_payment_member'),
        ('payments',    'seats', 'change_amount'),
        ('payments',    'seats', 'settle_member'),
        ('payments',    'seats', 'payment_member'),
        ('payments',    'seats', 'start_payment'),
        ('payments',    'seats', 'start_payment_and_wait'),
        ('payments',    'seats', 'fetch_client_secret'),
        ('payments',    'seats', 'cancel_payment'),
        ('payments',    'seats', 'cancel_payment_request'),
        ('payments',    'seats', 'refund_payment'),
        ('payments',    'seats', 'wait_for_call'),
        ('payments',    'seats', 'await_call'),
        ('payments',    'seats', 'receive_webhook'),
        ('payments',    'seats', 'read_journal'),
        ('payments',    'seats', 'acknowledge_journal'),
        ('call',        'seats', 'enqueue_call'),
        ('monitor',     'seats', 'explain_call'),
        ('monitor',     'seats', 'call_page'),
        ('monitor',     'seats', 'review_page'),
        ('monitor',     'seats', 'list_calls'),
        ('monitor',     'seats', 'list_history'),
        ('monitor',     'seats', 'search_journal'),
        ('monitor',     'seats', 'list_webhook_problems'),
        ('monitor',     'seats', 'list_teams'),
        ('monitor',     'seats', 'counts'),
        ('monitor',     'seats', 'count_retryable'),
        ('monitor',     'seats', 'count_replayable'),
        ('monitor',     'seats', 'metrics_text'),
        -- A view's functions run with the rights of whoever asks the view.
        ('monitor',     'seats_internal', 'worker_state'),
        ('monitor',     'seats_internal', 'destination_state'),
        ('monitor',     'seats_internal', 'metric_definitions'),
        ('monitor',     'seats_internal', 'counts_shown'),
        ('monitor',     'seats_internal', 'histograms'),
        ('monitor',     'seats_internal', 'webhook_counters'),
        ('monitor',     'seats_internal', 'up_to_thousand'),
        ('monitor',     'seats_internal', 'is_change'),
        ('monitor',     'seats_internal', 'is_delivery'),
        ('monitor',     'seats_internal', 'allowed_decisions'),
        ('monitor',     'seats_internal', 'key_lifetime'),
        ('monitor',     'seats_internal', 'verb_for'),
        ('monitor',     'seats_internal', 'function_to_run'),
        ('monitor',     'seats_internal', 'state_of_handler'),
        ('monitor',     'seats_internal', 'review_in_words'),
        ('monitor',     'seats_internal', 'handler_state'),
        ('monitor',     'seats_internal', 'seats_before_and_after'),
        ('monitor',     'seats_internal', 'severity_rank'),
        ('monitor',     'seats_internal', 'payment_state'),
        ('monitor',     'seats_internal', 'payment_sweep_setting'),
        ('monitor',     'seats_internal', 'fold'),
        ('monitor',     'seats_internal', 'fold_step'),
        ('payments',    'seats_internal', 'payment_state'),
        ('application', 'seats_internal', 'change_state'),
        ('application', 'seats_internal', 'change_result'),
        ('application', 'seats_internal', 'next_step'),
        ('application', 'seats_internal', 'currency_decimals'),
        ('application', 'seats_internal', 'destination_state'),
        ('application', 'seats_internal', 'stripe_state_of'),
        ('application', 'seats_internal', 'change_phase'),
        ('monitor',     'seats_internal', 'change_state'),
        ('monitor',     'seats_internal', 'change_result'),
        ('monitor',     'seats_internal', 'next_step'),
        ('monitor',     'seats_internal', 'currency_decimals'),
        ('monitor',     'seats_internal', 'stripe_state_of'),
        ('monitor',     'seats_internal', 'change_phase'),
        ('operator',    'seats', 'define_seat_type'),
        ('operator',    'seats', 'ignore_prices'),
        ('operator',    'seats', 'reconcile'),
        ('operator',    'seats', 'replay_webhook'),
        ('operator',    'seats', 'list_events'),
        ('operator',    'seats', 'retry'),
        ('operator',    'seats', 'retry_all'),
        ('operator',    'seats', 'replay_webhooks_all'),
        ('operator',    'seats', 'resolve_review'),
        ('operator',    'seats', 'cancel_call'),
        ('operator',    'seats', 'review_call'),
        ('operator',    'seats', 'pause'),
        ('operator',    'seats', 'resume'),
        ('operator',    'seats', 'acknowledge'),
        ('operator',    'seats', 'drop_journal_consumer'),
        ('operator',    'seats', 'drop_seat_type'),
        ('operator',    'seats', 'settle_member'),
        ('operator',    'seats', 'cancel_payment'),
        ('operator',    'seats', 'cancel_payment_request'),
        ('operator',    'seats', 'refund_payment'),
        ('operator',    'seats', 'resolve_payment'),
        ('operator',    'seats', 'reconcile_payment'),
        ('operator',    'seats', 'reconcile_payments'),
        ('operator',    'seats', 'unregister_team'),
        ('operator',    'seats', 'unregister_individual'),
        ('operator',    'seats', 'erase_person'))
    SELECT p.oid
      FROM wanted AS w
      JOIN pg_namespace AS n ON n.nspname = w.schema
      JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = w.name
     WHERE w.audience = routines_of.audience;
END;
REVOKE ALL ON FUNCTION seats_internal.routines_of(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.routines_of(text) IS
    'what each kind of user may call, beyond what the kinds below it may';

-- By which of its functions a role is known to be a user of each kind.
CREATE OR REPLACE FUNCTION seats_internal.audience_marks(OUT audience text, OUT routine oid) RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT m.audience, p.oid
      FROM (VALUES ('application', 'register_team'), ('payments', 'start_payment'), ('monitor', 'explain_call'),
                   ('operator', 'retry')) AS m (audience, name)
      JOIN pg_namespace AS n ON n.nspname = 'seats'
      JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = m.name;
END;
REVOKE ALL ON FUNCTION seats_internal.audience_marks() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.audience_marks() IS 'a function that each kind of user may call, and no other kind';

CREATE OR REPLACE FUNCTION seats_internal.audiences_of(role text) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT ARRAY(SELECT m.audience FROM seats_internal.audience_marks() AS m
                  WHERE has_function_privilege(role, m.routine, 'EXECUTE'));
END;
REVOKE ALL ON FUNCTION seats_internal.audiences_of(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.audiences_of(text) IS
    'what kinds of user a role is, by itself or as a member of others';

CREATE OR REPLACE FUNCTION seats_internal.require_role(role text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        RAISE EXCEPTION 'there is no role %', coalesce(quote_ident(role), 'NULL')
            USING ERRCODE = 'PS201',
                  HINT = 'Give the role''s exact name; PUBLIC is no role, and gets nothing.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_role(text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_role(text) IS 'an error unless the role exists';

CREATE OR REPLACE FUNCTION seats_internal.grant_routines(audience text, role text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    routine regprocedure;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA seats TO %I', role);
    FOR routine IN SELECT * FROM seats_internal.routines_of(audience) LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', routine, role);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.grant_routines(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.grant_routines(text, text) IS 'EXECUTE for one kind of user';

-- USAGE goes with the last privilege, so that a role of two kinds keeps what the other one needs.
CREATE OR REPLACE FUNCTION seats_internal.revoke_routines(audience text, role text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN SELECT * FROM seats_internal.routines_of(audience) LOOP
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %I', routine, role);
    END LOOP;
    IF NOT EXISTS (
        SELECT FROM pg_roles AS r,
               (SELECT proacl FROM pg_proc WHERE pronamespace = 'seats'::regnamespace
                UNION ALL
                SELECT relacl FROM pg_class WHERE relnamespace = 'seats'::regnamespace) AS o (acl),
               aclexplode(o.acl) AS a
         WHERE r.rolname = role AND a.grantee = r.oid) THEN
        EXECUTE format('REVOKE USAGE ON SCHEMA seats FROM %I', role);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.revoke_routines(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.revoke_routines(text, text) IS
    'takes EXECUTE from one kind of user, and USAGE if nothing is left';

-- Applications show their users what they have; alerts, journal and the outbox are not theirs.
CREATE OR REPLACE FUNCTION seats_internal.grant_views(audience text, role text, give boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view_name regclass;
BEGIN
    FOR view_name IN
        SELECT oid FROM pg_class
         WHERE relnamespace = 'seats'::regnamespace AND relkind = 'v'
           AND (audience IN ('monitor', 'operator')
                OR audience = 'application'
                   AND relname IN ('teams', 'changes', 'members', 'invites', 'individuals', 'seat_types', 'prices')
                OR audience = 'payments'
                   AND relname IN ('payment_requests', 'payment_members', 'payments', 'payment_transactions',
                                   'refunds'))
    LOOP
        EXECUTE format(CASE WHEN give THEN 'GRANT SELECT ON %s TO %I'
                            ELSE 'REVOKE SELECT ON %s FROM %I' END, view_name, role);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.grant_views(text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.grant_views(text, text, boolean) IS
    'SELECT on the views of schema seats that are for this kind of user';

CREATE OR REPLACE FUNCTION seats_internal.change_privileges(
    caller   text,
    verb     text,
    audience text,
    role     text,
    give     boolean
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one text;
BEGIN
    PERFORM seats_internal.require_superuser(caller, verb);
    PERFORM seats_internal.require_role(change_privileges.role);
    PERFORM seats_internal.grant_views(audience, change_privileges.role, give);
    FOREACH one IN ARRAY CASE audience WHEN 'operator' THEN ARRAY['operator', 'monitor']
                                       ELSE ARRAY[audience] END LOOP
        IF give THEN
            PERFORM seats_internal.grant_routines(one, change_privileges.role);
        ELSE
            PERFORM seats_internal.revoke_routines(one, change_privileges.role);
        END IF;
    END LOOP;
    -- Kinds share views: what the role needs as the other kind that it is, it keeps.
    FOR one IN
        SELECT other.audience
          FROM seats_internal.audience_marks() AS other
          JOIN pg_proc AS p ON p.oid = other.routine
          JOIN pg_roles AS r ON r.rolname = change_privileges.role
         WHERE NOT give
           AND (other.audience <> 'operator' OR change_privileges.audience IN ('application', 'payments'))
           AND EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = r.oid)
    LOOP
        PERFORM seats_internal.grant_views(one, change_privileges.role, true);
        PERFORM seats_internal.grant_routines(one, change_privileges.role);
    END LOOP;
    PERFORM seats_internal.write_journal(
        'privilege.' || CASE WHEN give THEN 'granted' ELSE 'revoked' END, caller, NULL, NULL, NULL,
        jsonb_build_object('role', change_privileges.role, 'kind', audience));
    RETURN change_privileges.role;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.change_privileges(text, text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.change_privileges(text, text, text, text, boolean) IS
    'grants or revokes what one kind of user needs; gives the role';

CREATE OR REPLACE FUNCTION seats_internal.grant_application(caller text, INOUT role text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.change_privileges(caller, 'grant_application', 'application', role, true);
END;
REVOKE ALL ON FUNCTION seats_internal.grant_application(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.grant_application(text, text) IS
    'behind seats.grant_application';

CREATE OR REPLACE FUNCTION seats_internal.revoke_application(caller text, INOUT role text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.change_privileges(caller, 'revoke_application', 'application', role, false);
END;
REVOKE ALL ON FUNCTION seats_internal.revoke_application(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.revoke_application(text, text) IS
    'behind seats.revoke_application';

CREATE OR REPLACE FUNCTION seats_internal.grant_payments(caller text, INOUT role text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.change_privileges(caller, 'grant_payments', 'payments', role, true);
END;
REVOKE ALL ON FUNCTION seats_internal.grant_payments(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.grant_payments(text, text) IS 'behind seats.grant_payments';

CREATE OR REPLACE FUNCTION seats_internal.revoke_payments(caller text, INOUT role text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.change_privileges(caller, 'revoke_payments', 'payments', role, false);
END;
REVOKE ALL ON FUNCTION seats_internal.revoke_payments(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.revoke_payments(text, text) IS 'behind seats.revoke_payments';

CREATE OR REPLACE FUNCTION seats_internal.grant_monitor(caller text, INOUT role text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.change_privileges(caller, 'grant_monitor', 'monitor', role, true);
END;
REVOKE ALL ON FUNCTION seats_internal.grant_monitor(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.grant_monitor(text, text) IS 'behind seats.grant_monitor';

CREATE OR REPLACE FUNCTION seats_internal.revoke_monitor(caller text, INOUT role text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.change_privileges(caller, 'revoke_monitor', 'monitor', role, false);
END;
REVOKE ALL ON FUNCTION seats_internal.revoke_monitor(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.revoke_monitor(text, text) IS 'behind seats.revoke_monitor';

CREATE OR REPLACE FUNCTION seats_internal.grant_operator(caller text, INOUT role text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.change_privileges(caller, 'grant_operator', 'operator', role, true);
END;
REVOKE ALL ON FUNCTION seats_internal.grant_operator(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.grant_operator(text, text) IS 'behind seats.grant_operator';

CREATE OR REPLACE FUNCTION seats_internal.revoke_operator(caller text, INOUT role text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT seats_internal.change_privileges(caller, 'revoke_operator', 'operator', role, false);
END;
REVOKE ALL ON FUNCTION seats_internal.revoke_operator(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.revoke_operator(text, text) IS 'behind seats.revoke_operator';

CREATE OR REPLACE FUNCTION seats.grant_application(INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.grant_application(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.grant_application(text) IS
    'lets a role register teams and individuals, change seats, members and invites, receive webhooks, '
    'follow the journal, wait for its calls and read their answers; other calls of Stripe''s are granted '
    'by grant_call; superusers only';

CREATE OR REPLACE FUNCTION seats.revoke_application(INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.revoke_application(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.revoke_application(text) IS 'takes back what grant_application gave';

CREATE OR REPLACE FUNCTION seats.grant_payments(INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.grant_payments(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.grant_payments(text) IS
    'lets a role make payment requests, start, cancel and refund payments, get client secrets for its payers, receive '
    'webhooks and follow the journal; superusers only';

CREATE OR REPLACE FUNCTION seats.revoke_payments(INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.revoke_payments(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.revoke_payments(text) IS 'takes back what grant_payments gave';

CREATE OR REPLACE FUNCTION seats.grant_monitor(INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.grant_monitor(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.grant_monitor(text) IS
    'lets a role look at every view and have calls explained; superusers only';

CREATE OR REPLACE FUNCTION seats.revoke_monitor(INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.revoke_monitor(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.revoke_monitor(text) IS 'takes back what grant_monitor gave';

CREATE OR REPLACE FUNCTION seats.grant_operator(INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.grant_operator(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.grant_operator(text) IS
    'lets a role do all that a monitor may, use the verbs on calls, destinations, alerts and events, and '
    'define kinds of seats; superusers only';

CREATE OR REPLACE FUNCTION seats.revoke_operator(INOUT role text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.revoke_operator(text) FROM PUBLIC;
COMMENT ON FUNCTION seats.revoke_operator(text) IS
    'takes back what grant_operator gave; a role that is to stay a monitor is granted that again';
