-- Client secrets, for whoever waits for one. As with calls (outbox/enqueue.sql), these are C functions that run as their
-- caller and have no SET clause, because a procedure with one could not commit. A secret is in no table.

-- `is_open`: what brings the secret is under way; `may_come`: there will be one, sooner or later (a payment whose create
-- waits for a person has none for long; one that was found at Stripe has no create, and is read); `may_be_given`: the payer
-- can use it now. What was laid into the slot a moment ago may be out of date: he may have confirmed in another tab.
CREATE OR REPLACE VIEW seats_internal.secret_outlook AS
SELECT p.id AS payment,
       seats_internal.payment_state(p.state, p.cancel_requested_at) AS state,
       (p.state IN ('payable', 'processing') OR p.state = 'creating' AND (open.create_is OR open.read_is))
       AND p.cancel_requested_at IS NULL AND p.review_since IS NULL AS may_come,
       open.create_is OR open.read_is AS is_open,
       p.state = 'payable' AND p.cancel_requested_at IS NULL AND p.review_since IS NULL AS may_be_given
  FROM seats_internal.payment AS p
 CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM seats_internal.outbox AS o
                    WHERE o.id = p.call_id AND o.state <> 'review') AS create_is,
           EXISTS (SELECT FROM seats_internal.outbox AS o
                    WHERE o.payment_id = p.id AND o.kind = 'payment_read' AND o.state <> 'review'
                      AND o.path = (SELECT q.path FROM seats_internal.payment_query(p.intent, 'intent') AS q))
           AS read_is) AS open;
REVOKE ALL ON seats_internal.secret_outlook FROM PUBLIC;
COMMENT ON VIEW seats_internal.secret_outlook IS 'how payments stand for who waits for their client secrets';

CREATE OR REPLACE PROCEDURE seats.start_payment_and_wait(
    member              bigint,
    payer               text,
    timeout             interval DEFAULT NULL,
    parameters          jsonb    DEFAULT '{}',
    INOUT payment       bigint   DEFAULT NULL,
    INOUT state         text     DEFAULT NULL,
    INOUT client_secret text     DEFAULT NULL
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'pg_seats_start_payment_and_wait';
REVOKE ALL ON PROCEDURE seats.start_payment_and_wait(bigint, text, interval, jsonb, bigint, text, text) FROM PUBLIC;
COMMENT ON PROCEDURE seats.start_payment_and_wait(bigint, text, interval, jsonb, bigint, text, text) IS
    'start_payment, commit, and wait for the client secret with which the payer''s browser goes on. payer must be the '
    'member''s reference, as your application knows it from its own session. client_secret is null if the time is up '
    '(state creating, payable: fetch_client_secret goes on waiting) or if the payment can no longer be paid. Holds no '
    'snapshot and no lock while it sleeps, so it may not be called inside a transaction.';

CREATE OR REPLACE PROCEDURE seats.fetch_client_secret(
    payment             bigint,
    payer               text,
    timeout             interval DEFAULT NULL,
    INOUT state         text     DEFAULT NULL,
    INOUT client_secret text     DEFAULT NULL
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'pg_seats_fetch_client_secret';
REVOKE ALL ON PROCEDURE seats.fetch_client_secret(bigint, text, interval, text, text) FROM PUBLIC;
COMMENT ON PROCEDURE seats.fetch_client_secret(bigint, text, interval, text, text) IS
    'reads a payment at Stripe and gives its client secret, for a payer who comes back, or whose start took too long. '
    'Otherwise as start_payment_and_wait';
