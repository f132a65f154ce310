-- What can be done about a change after it was made: take it back, look at Stripe again.

CREATE OR REPLACE FUNCTION seats_internal.raise_no_such_change(change bigint) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settled seats_internal.outbox_history := seats_internal.settled_call(change);
BEGIN
    IF settled.kind IS DISTINCT FROM 'change' THEN
        RAISE EXCEPTION 'there is no change %', coalesce(change::text, 'NULL')
            USING ERRCODE = 'PS514', HINT = 'The view seats.changes lists them.';
    END IF;
    RAISE EXCEPTION 'change % is %', change, seats_internal.change_result(settled.result)
        USING ERRCODE = 'PS515',
              DETAIL = format('It was settled at %s.', settled.settled_at),
              HINT = CASE settled.result WHEN 'done' THEN 'Make another change that undoes it.'
                     ELSE 'There is nothing left to take back.' END;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.raise_no_such_change(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.raise_no_such_change(bigint) IS
    'the error for a change that is settled or does not exist';

-- What can be taken back, and how: one that was not sent, or, by voiding its invoice, one that waits for its payment and went
-- to Stripe alone. (The page of a team asks, too.)
CREATE OR REPLACE FUNCTION seats_internal.is_unsent(state seats_internal.outbox_state, doubt boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN state = 'pending' AND NOT doubt;
REVOKE ALL ON FUNCTION seats_internal.is_unsent(seats_internal.outbox_state, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.is_unsent(seats_internal.outbox_state, boolean) IS
    'whether nothing of a change can have reached Stripe';

CREATE OR REPLACE FUNCTION seats_internal.can_be_voided(state seats_internal.outbox_state, last_id bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN state = 'awaiting' AND last_id IS NULL;
REVOKE ALL ON FUNCTION seats_internal.can_be_voided(seats_internal.outbox_state, bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.can_be_voided(seats_internal.outbox_state, bigint) IS
    'whether a change waits for a payment that is for it alone';

-- Voiding its invoice makes Stripe drop what waits for the payment. Whether it did is read, because
-- the customer may pay at the same moment.
CREATE OR REPLACE FUNCTION seats_internal.void_invoice(change seats_internal.outbox, caller text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF change.cancelled_by IS NOT NULL THEN
        RETURN;
    ELSIF change.payment ->> 'invoice' IS NULL THEN
        RAISE EXCEPTION 'the invoice that change % waits for is not known', change.id
            USING ERRCODE = 'PS515',
                  HINT = 'Void it in Stripe''s Dashboard: the change is then reverted by itself.';
    END IF;
    UPDATE seats_internal.outbox AS o SET cancelled_by = caller
     WHERE o.id = change.id;
    INSERT INTO seats_internal.outbox
        (installation, destination, method, path, body, enqueued_by, kind, team_id, context)
    VALUES (change.installation, change.destination, 'POST',
            seats_internal.checked_path(format('/v1/invoices/%s/void', change.payment ->> 'invoice')), '', caller, 'void',
            change.team_id, jsonb_build_object('change', change.id));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.void_invoice(seats_internal.outbox, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.void_invoice(seats_internal.outbox, text) IS
    'takes back a change that waits for its payment, by voiding its invoice';

CREATE OR REPLACE FUNCTION seats_internal.cancel_change(
    caller      text,
    change      bigint,
    actor       text,
    run_handler boolean,
    OUT state   text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    team   seats_internal.team;
    locked seats_internal.outbox;
BEGIN
    SELECT t.* INTO team FROM seats_internal.outbox AS o
      JOIN seats_internal.team AS t ON t.id = o.team_id
     WHERE o.id = change AND o.kind = 'change';
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_such_change(change);
    END IF;
    team := seats_internal.take_team(team.name);
    PERFORM seats_internal.check_actor(team, actor, caller);
    SELECT o.* INTO locked FROM seats_internal.outbox AS o WHERE o.id = change FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM seats_internal.raise_no_such_change(change);
    END IF;
    IF NOT run_handler THEN
        PERFORM seats_internal.forget_on_refused(change);
    END IF;
    IF seats_internal.can_be_voided(locked.state, locked.last_id) THEN
        PERFORM seats_internal.void_invoice(locked, caller);
        state := 'awaiting_payment';
    ELSIF seats_internal.is_unsent(locked.state, locked.doubt) THEN
        -- Frozen, and not taken up by the worker yet: those that it carries are planned anew.
        PERFORM seats_internal.dissolve_call(change, false);
        PERFORM seats_internal.finish_changes(ARRAY[change], 'cancelled', 'cancelled', caller, NULL, caller, actor,
                                              'none needed');
        PERFORM seats_internal.refold(team.id, team.lane_id);
        PERFORM seats_internal.check_unconfirmed(team, r, s.quantity, s.confirmed)
           FROM jsonb_to_recordset(locked.lines) AS l (seat_type text, previous_quantity integer, new_quantity integer)
           JOIN seats_internal.seat_type AS r ON r.name = l.seat_type AND r.largest_unconfirmed IS NOT NULL
           JOIN seats_internal.seat_line AS s ON s.team_id = team.id AND s.seat_type = l.seat_type
          WHERE l.new_quantity < l.previous_quantity;
        PERFORM seats_internal.reoffer_lane(team.lane_id);
        state := 'cancelled';
    ELSE
        RAISE EXCEPTION 'change % can no longer be cancelled', change
            USING ERRCODE = 'PS515',
                  DETAIL = CASE
                      WHEN locked.state IN ('carried', 'awaiting') THEN
                          'It went to Stripe in one call with other changes.'
                      WHEN locked.state = 'review' THEN 'It is in review.'
                      ELSE 'It is on its way to Stripe.' END,
                  HINT = CASE WHEN locked.state = 'review'
                         THEN 'An operator decides it: seats.resolve_review.'
                         ELSE 'Make another change that undoes it; it takes its turn.' END;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.cancel_change(text, bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.cancel_change(text, bigint, text, boolean) IS 'behind seats.cancel_change';

CREATE OR REPLACE FUNCTION seats.cancel_change(
    change      bigint,
    actor       text    DEFAULT NULL,
    run_handler boolean DEFAULT true,
    OUT state   text
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_application_entry';
REVOKE ALL ON FUNCTION seats.cancel_change(bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.cancel_change(bigint, text, boolean) IS
    'takes a change back: at once while nothing of it was sent (state cancelled); while it waits for '
    'its payment by voiding the invoice (state awaiting_payment until Stripe has said so). With '
    'run_handler => false its on_refused does not run: you take back yourself what hangs on it';

CREATE OR REPLACE FUNCTION seats_internal.reconcile(caller text, team text, reason text, kind text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_team seats_internal.team;
BEGIN
    PERFORM seats_internal.require_reason(reconcile.reason);
    PERFORM seats_internal.require_installation();
    -- An individual's subscription can be read as well; a team of the same name comes first, unless
    -- the kind is said.
    SELECT t.* INTO found_team FROM seats_internal.team AS t
     WHERE t.kind IN ('team', 'individual') AND t.name = reconcile.team
       AND (reconcile.kind IS NULL OR t.kind = reconcile.kind)
     ORDER BY t.kind DESC LIMIT 1;
    IF NOT FOUND AND reconcile.kind <> 'team' THEN
        RAISE EXCEPTION 'there is no % %', reconcile.kind, coalesce(quote_literal(team), 'NULL')
            USING ERRCODE = 'PS501',
                  HINT = 'The kind is team or individual; the views seats.teams and seats.individuals '
                         'list them.';
    ELSIF NOT FOUND THEN
        PERFORM seats_internal.raise_no_such_team(team);
    END IF;
    PERFORM seats_internal.write_journal('operator.reconcile', caller, NULL, found_team.lane_id,
                                         reconcile.reason, jsonb_build_object(found_team.kind, team));
    RETURN seats_internal.queue_read(found_team, caller, 'reconcile');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.reconcile(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.reconcile(text, text, text, text) IS 'behind seats.reconcile';

CREATE OR REPLACE FUNCTION seats.reconcile(team text, reason text, kind text DEFAULT NULL) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.reconcile(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.reconcile(text, text, text) IS
    'reads a team''s subscription (or an individual''s, if no team has the name, or kind says so) now '
    'and takes over what Stripe says; gives the read''s id, for wait_for_call';
