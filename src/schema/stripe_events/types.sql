-- The types of Stripe's events that something follows from; others are stored. docs/webhooks.md tells people to send
-- these (the stage `format` compares), and the worker lists these (missed_events_to_list),
-- of which Stripe takes 20 at once.
--
-- of_price: what is known of a price is read again; of all others, the subscription. looks_at_awaiting: the payment that
-- a change waits for may have come, or its time may be over. journal_kind: it is told to applications.
CREATE OR REPLACE FUNCTION seats_internal.webhook_types(
    OUT type              text,
    OUT of_price          boolean,
    OUT looks_at_awaiting boolean,
    OUT journal_kind      text
) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('customer.subscription.created',                false, false, NULL),
           ('customer.subscription.updated',                false, false, NULL),
           ('customer.subscription.deleted',                false, false, NULL),
           ('customer.subscription.paused',                 false, false, NULL),
           ('customer.subscription.resumed',                false, false, NULL),
           ('customer.subscription.pending_update_applied', false, true,  NULL),
           ('customer.subscription.pending_update_expired', false, true,  NULL),
           ('customer.subscription.trial_will_end',         false, false, 'subscription.trial_will_end'),
           ('invoice.paid',                                 false, true,  'invoice.paid'),
           ('invoice.payment_failed',                       false, false, 'invoice.payment_failed'),
           ('invoice.payment_action_required',              false, false, 'invoice.payment_action_required'),
           ('price.updated',                                true,  false, NULL),
           ('price.deleted',                                true,  false, NULL);
END;
REVOKE ALL ON FUNCTION seats_internal.webhook_types() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.webhook_types() IS
    'the types of events that something follows from; others are stored';
