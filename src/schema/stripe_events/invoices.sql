-- What events tell of the invoice that a team has to pay while its subscription is past due. A read shows the latest
-- invoice only: that another one could not be paid, or is paid by now, nobody but its event tells.

-- (An expression, inlined where events are looked for by their index.)
CREATE OR REPLACE FUNCTION seats_internal.ends_of_invoices() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{invoice.paid,invoice.voided,invoice.marked_uncollectible}'::text[];
REVOKE ALL ON FUNCTION seats_internal.ends_of_invoices() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.ends_of_invoices() IS 'types of events that tell that an invoice is over';

-- Of an invoice that is over, whatever order events come in.
CREATE OR REPLACE FUNCTION seats_internal.invoice_is_over(destination text, invoice text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM seats_internal.webhook_event AS w
                    WHERE w.destination = invoice_is_over.destination AND w.object_id = invoice_is_over.invoice
                      AND w.type = ANY (seats_internal.ends_of_invoices()));
END;
REVOKE ALL ON FUNCTION seats_internal.invoice_is_over(text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.invoice_is_over(text, text) IS
    'whether an event has told that an invoice is paid, void or written off';

-- (What waits for a pending update's invoice is told of that one otherwise.) An invoice that is known stays until it is
-- over, or a read shows a later one. A team that is locked is left to the worker's next try.
CREATE OR REPLACE FUNCTION seats_internal.note_invoice(
    event seats_internal.webhook_event,
    team  seats_internal.team
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    invoice  jsonb   := event.facts -> 'invoice';
    is_known boolean := team.past_due_invoice ->> 'id' = invoice ->> 'id';
    is_over  boolean := event.type = ANY (seats_internal.ends_of_invoices());
BEGIN
    IF is_over AND is_known IS NOT TRUE
       OR NOT is_over
          AND (team.past_due_invoice IS NOT NULL OR NOT seats_internal.is_past_due(team.status)
               OR event.type <> ALL ('{invoice.payment_failed,invoice.payment_action_required}'::text[])
               OR invoice ->> 'status' IS DISTINCT FROM 'open'
               OR seats_internal.invoice_is_over(event.destination, invoice ->> 'id')
               OR EXISTS (SELECT FROM seats_internal.outbox AS o
                           WHERE o.lane_id = team.lane_id AND o.payment ->> 'invoice' = invoice ->> 'id')) THEN
        RETURN;
    ELSIF NOT seats_internal.try_lane(team.lane_id) THEN
        RAISE EXCEPTION 'the team is locked' USING ERRCODE = 'lock_not_available';
    END IF;
    UPDATE seats_internal.team AS t
       SET past_due_invoice = CASE WHEN NOT is_over THEN seats_internal.invoice_to_pay(invoice) END,
           changes = t.changes + 1
     WHERE t.id = team.id AND t.past_due_invoice ->> 'id' IS NOT DISTINCT FROM team.past_due_invoice ->> 'id'
       AND (is_over OR seats_internal.is_past_due(t.status));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.note_invoice(
    seats_internal.webhook_event, seats_internal.team) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.note_invoice(
    seats_internal.webhook_event, seats_internal.team) IS
    'what an event of an invoice tells of the one that a team has to pay while it is past due';
