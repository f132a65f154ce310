-- What people look at: requests, members, payments and what has happened to them. (And, behind all functions as a view must
-- be, what those of strays ask.)

CREATE OR REPLACE VIEW seats.payment_requests AS
SELECT r.id AS request, r.request_key, r.destination, r.title, r.currency, r.state, r.when_paid_after_cancel,
       r.abandon_after, r.created_at, r.created_by, m.members, m.settled, m.amount, m.received, m.refunded
  FROM seats_internal.payment_request AS r
 CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE m.removed_at IS NULL) AS members,
           count(*) FILTER (WHERE m.removed_at IS NULL AND m.state NOT IN ('unpaid', 'paying', 'refunded')) AS settled,
           coalesce(sum(m.amount) FILTER (WHERE m.removed_at IS NULL), 0)::bigint AS amount,
           coalesce(sum(p.received), 0)::bigint AS received, coalesce(sum(p.refunded), 0)::bigint AS refunded
      FROM seats_internal.payment_member AS m
      LEFT JOIN LATERAL (
        SELECT sum(p.received) AS received, sum(p.refunded) AS refunded
          FROM seats_internal.payment AS p
         WHERE p.member_id = m.id AND p.currency = r.currency) AS p ON true
     WHERE m.request_id = r.id) AS m;
REVOKE ALL ON seats.payment_requests FROM PUBLIC;
COMMENT ON VIEW seats.payment_requests IS 'bills that members share, and how much of them has come in';
COMMENT ON COLUMN seats.payment_requests.state IS 'open, or cancelled: nobody can begin to pay';
COMMENT ON COLUMN seats.payment_requests.settled IS 'how many members have nothing to pay any more';
COMMENT ON COLUMN seats.payment_requests.amount IS 'what its members owe in all, in minor units';
COMMENT ON COLUMN seats.payment_requests.received IS 'what has come in, in its currency, what was given back included';

CREATE OR REPLACE VIEW seats.payment_members AS
SELECT m.id AS member, m.request_id AS request, r.request_key, m.reference, m.amount, r.currency, m.state,
       m.live_payment_id AS payment, m.attempts, m.reason, m.created_at, m.state_since, m.removed_at
  FROM seats_internal.payment_member AS m
  JOIN seats_internal.payment_request AS r ON r.id = m.request_id;
REVOKE ALL ON seats.payment_members FROM PUBLIC;
COMMENT ON VIEW seats.payment_members IS 'who owes what of a payment request';
COMMENT ON COLUMN seats.payment_members.reference IS 'the application''s id of the payer';
COMMENT ON COLUMN seats.payment_members.state IS
    'unpaid, paying (a payment can still be paid), paid, paid_other_amount (than he owes), refunded (all of it), '
    'paid_outside and waived (by settle_member), nothing_due';
COMMENT ON COLUMN seats.payment_members.payment IS 'the one payment that can still be paid, or may be; null: none';
COMMENT ON COLUMN seats.payment_members.reason IS 'why it was settled by hand';
COMMENT ON COLUMN seats.payment_members.removed_at IS 'he no longer shares the bill';

CREATE OR REPLACE VIEW seats.payments AS
SELECT p.id AS payment, m.request_id AS request, r.request_key, p.member_id AS member, m.reference, p.attempt,
       p.destination, p.intent, p.amount, p.currency,
       seats_internal.payment_state(p.state, p.cancel_requested_at) AS state,
       p.status, p.next_action, p.error_code, p.decline_code, p.charge, p.received, p.refunded, p.refund_reserved,
       p.disputed, p.call_id AS call, p.cancel_call_id AS cancel_call, p.cancel_requested_at, p.cancel_reason,
       p.review_since, p.review_reason, p.created_at, p.touched_at, p.state_since, p.read_at
  FROM seats_internal.payment AS p
  JOIN seats_internal.payment_member AS m ON m.id = p.member_id
  JOIN seats_internal.payment_request AS r ON r.id = m.request_id;
REVOKE ALL ON seats.payments FROM PUBLIC;
COMMENT ON VIEW seats.payments IS 'attempts of members to pay: each is a PaymentIntent of Stripe''s';
COMMENT ON COLUMN seats.payments.state IS
    'creating (Stripe has not made it yet), payable (the payer can go on, also after a decline), processing (at his bank, '
    'for days perhaps), canceling (it is to be cancelled), succeeded, canceled, refused (Stripe has made none), '
    'left_to_original (the database that this one is a copy of has it)';
COMMENT ON COLUMN seats.payments.status IS 'the intent''s, as Stripe has said it last';
COMMENT ON COLUMN seats.payments.next_action IS 'the type of what the payer has to do next; never its URL';
COMMENT ON COLUMN seats.payments.error_code IS 'of the last try that failed, or why there is no intent';
COMMENT ON COLUMN seats.payments.received IS 'what Stripe has received, in minor units';
COMMENT ON COLUMN seats.payments.refund_reserved IS 'refunds that are under way';
COMMENT ON COLUMN seats.payments.disputed IS 'what disputes hold back, or have taken';
COMMENT ON COLUMN seats.payments.call IS 'the call that makes the intent; null: it was found at Stripe';
COMMENT ON COLUMN seats.payments.review_since IS 'since when a person must decide (seats.resolve_payment)';
COMMENT ON COLUMN seats.payments.touched_at IS 'when somebody has last gone on with it';

CREATE OR REPLACE VIEW seats.payment_transactions AS
SELECT t.id AS transaction, t.payment_id AS payment, p.member_id AS member, m.request_id AS request, r.request_key,
       m.reference, t.kind, t.amount, t.currency, t.object, t.charge, t.reason, t.event, t.happened_at
  FROM seats_internal.payment_transaction AS t
  JOIN seats_internal.payment AS p ON p.id = t.payment_id
  JOIN seats_internal.payment_member AS m ON m.id = p.member_id
  JOIN seats_internal.payment_request AS r ON r.id = m.request_id;
REVOKE ALL ON seats.payment_transactions FROM PUBLIC;
COMMENT ON VIEW seats.payment_transactions IS 'what really happened to payments';
COMMENT ON COLUMN seats.payment_transactions.kind IS
    'succeeded, failed, cancelled, refunded, refund_failed, disputed, dispute_won, dispute_lost';
COMMENT ON COLUMN seats.payment_transactions.object IS
    'Stripe''s id of what it is about: intent, charge, refund or dispute';
COMMENT ON COLUMN seats.payment_transactions.reason IS
    'in Stripe''s word: why it was declined, cancelled, given back or disputed';

CREATE OR REPLACE VIEW seats.refunds AS
SELECT f.id AS refund, f.payment_id AS payment, p.member_id AS member, m.request_id AS request, r.request_key,
       m.reference, f.refund AS stripe_refund, f.amount, f.currency, f.state, f.reason, f.failure_reason,
       f.request_key AS refund_key, f.call_id AS call, f.asked_by, f.created_at, f.state_since
  FROM seats_internal.refund AS f
  JOIN seats_internal.payment AS p ON p.id = f.payment_id
  JOIN seats_internal.payment_member AS m ON m.id = p.member_id
  JOIN seats_internal.payment_request AS r ON r.id = m.request_id;
REVOKE ALL ON seats.refunds FROM PUBLIC;
COMMENT ON VIEW seats.refunds IS 'what was given back, here or in Stripe''s Dashboard';
COMMENT ON COLUMN seats.refunds.state IS
    'reserved (its call has no answer yet), pending, requires_action, succeeded, failed, canceled, refused (Stripe has '
    'made none)';
COMMENT ON COLUMN seats.refunds.stripe_refund IS 'Stripe''s id of it';
COMMENT ON COLUMN seats.refunds.refund_key IS 'the request_key that it was asked for with';
COMMENT ON COLUMN seats.refunds.call IS 'the call that makes it; null: it was found at Stripe';

-- (An application that takes a stray over leaves its row: the worker would wait for whoever has deleted it. Stripe gives an
-- id once: of two destinations of one account, the list of either shows what was paid over the other.)
CREATE OR REPLACE VIEW seats_internal.nobodys_intent AS
SELECT s.* FROM seats_internal.payment_stray AS s
 WHERE NOT EXISTS (SELECT FROM seats_internal.payment AS p
                    WHERE p.intent = s.intent);
REVOKE ALL ON seats_internal.nobodys_intent FROM PUBLIC;
COMMENT ON VIEW seats_internal.nobodys_intent IS 'strays that no payment has taken over';

-- (Where nobody has ever paid, or the setting is off, there is no daily list.)
CREATE OR REPLACE VIEW seats_internal.overdue_listing AS
SELECT l.destination FROM seats_internal.payment_listing AS l
 WHERE l.finished_at < clock_timestamp() - interval '2 days' AND seats_internal.payment_sweep_setting() <> 'off'
   AND EXISTS (SELECT FROM seats_internal.payment_request AS r WHERE r.destination = l.destination);
REVOKE ALL ON seats_internal.overdue_listing FROM PUBLIC;
COMMENT ON VIEW seats_internal.overdue_listing IS
    'destinations whose daily list of intents has not come to its end for two days';

CREATE OR REPLACE VIEW seats.payment_drift AS
SELECT s.destination, s.intent, coalesce(p.member_id, m.id) AS member, p.id AS payment, s.differs, s.attempt, s.status,
       s.amount, s.received, s.currency, s.created, s.first_seen, s.last_seen, s.cancel_call_id AS cancel_call
  FROM seats_internal.payment_stray AS s
  LEFT JOIN seats_internal.payment AS p ON p.intent = s.intent
  LEFT JOIN seats_internal.payment_member AS m ON m.hash = s.hash
 WHERE p.id IS NULL OR s.differs IS NOT NULL AND coalesce(p.read_at < s.last_seen, true);
REVOKE ALL ON seats.payment_drift FROM PUBLIC;
COMMENT ON VIEW seats.payment_drift IS
    'payment intents at Stripe that were made for payments of this database, and that no payment here has, or of which a '
    'payment here knows something else, until it is read';
COMMENT ON COLUMN seats.payment_drift.member IS 'whose it was to be; null: his request is not known, either';
COMMENT ON COLUMN seats.payment_drift.payment IS 'the payment that knows something else; null: none has it';
COMMENT ON COLUMN seats.payment_drift.differs IS 'of what: status, amount, received, currency';
COMMENT ON COLUMN seats.payment_drift.status IS 'Stripe''s, as it was listed last';
COMMENT ON COLUMN seats.payment_drift.cancel_call IS
    'the call that cancels it (pg_seats.payment_sweep = cancel); null: none';
