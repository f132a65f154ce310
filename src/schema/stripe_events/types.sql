-- The types of Stripe's events that something follows from; others are stored. docs/webhooks.md tells people to send
-- these (the stage `format` compares), and the worker lists these (missed_events_to_list).
--
-- of_price: what is known of a price is read again. of_payment: what of a payment is read. Of all others, the
-- subscription is. looks_at_awaiting: the payment that a change waits for may have come, or its time may be over.
-- journal_kind: it is told to applications.
CREATE OR REPLACE FUNCTION seats_internal.webhook_types(
    OUT type              text,
    OUT of_price          boolean,
    OUT looks_at_awaiting boolean,
    OUT journal_kind      text,
    OUT of_payment        text
) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('customer.subscription.created',                false, false, NULL,                              NULL),
           ('customer.subscription.updated',                false, false, NULL,                              NULL),
           ('customer.subscription.deleted',                false, false, NULL,                              NULL),
           ('customer.subscription.paused',                 false, false, NULL,                              NULL),
           ('customer.subscription.resumed',                false, false, NULL,                              NULL),
           ('customer.subscription.pending_update_applied', false, true,  NULL,                              NULL),
           ('customer.subscription.pending_update_expired', false, true,  NULL,                              NULL),
           ('customer.subscription.trial_will_end',         false, false, 'subscription.trial_will_end',     NULL),
           ('invoice.paid',                                 false, true,  'invoice.paid',                    NULL),
           ('invoice.payment_failed',                       false, false, 'invoice.payment_failed',          NULL),
           ('invoice.payment_action_required',              false, false, 'invoice.payment_action_required', NULL),
           ('invoice.voided',                               false, true,  NULL,                              NULL),
           ('invoice.marked_uncollectible',                 false, false, NULL,                              NULL),
           ('price.updated',                                true,  false, NULL,                              NULL),
           ('price.deleted',                                true,  false, NULL,                              NULL),
           ('payment_intent.succeeded',                     false, false, NULL,                              'intent'),
           ('payment_intent.payment_failed',                false, false, NULL,                              'intent'),
           ('payment_intent.canceled',                      false, false, NULL,                              'intent'),
           ('payment_intent.processing',                    false, false, NULL,                              'intent'),
           ('payment_intent.requires_action',               false, false, NULL,                              'intent'),
           ('charge.refunded',                              false, false, NULL,                              'refunds'),
           ('refund.created',                               false, false, NULL,                              'refunds'),
           ('refund.updated',                               false, false, NULL,                              'refunds'),
           ('refund.failed',                                false, false, NULL,                              'refunds'),
           ('charge.dispute.created',                       false, false, NULL,                              'disputes'),
           ('charge.dispute.updated',                       false, false, NULL,                              'disputes'),
           ('charge.dispute.closed',                        false, false, NULL,                              'disputes'),
           ('charge.dispute.funds_withdrawn',               false, false, NULL,                              'disputes'),
           ('charge.dispute.funds_reinstated',              false, false, NULL,                              'disputes');
END;
REVOKE ALL ON FUNCTION seats_internal.webhook_types() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.webhook_types() IS
    'the types of events that something follows from; others are stored';

-- (Where an expression calls it, the server puts its result in its place once in a session: to look a type up there costs
-- next to nothing.)
CREATE OR REPLACE FUNCTION seats_internal.webhook_types_by_name() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_object_agg(t.type, jsonb_strip_nulls(to_jsonb(t))) FROM seats_internal.webhook_types() AS t;
END;
REVOKE ALL ON FUNCTION seats_internal.webhook_types_by_name() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.webhook_types_by_name() IS
    'the types of events that something follows from, {type: {of_price, looks_at_awaiting, …}}';
