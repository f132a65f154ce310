-- What Stripe says of payments, and what follows: payment, transaction, member, handler, journal, in one transaction. Facts
-- by hand, as C++ reads them from Stripe's JSON.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set payments :inputs '/sql/include/payments.psql'
\i :payments
\set ECHO all
BEGIN;
SELECT pg_temp.begin_payments();

-- Made, paid.
SELECT pg_temp.start('ada') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_ada'));
SELECT pg_temp.look(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_ada', 'processing'));
SELECT pg_temp.look(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_ada', 'succeeded', '{"amount_received": 1000, "charge": "ch_ada", "charge_refunded": 0}'), event => 'evt_1');
SELECT pg_temp.look(:p);
-- The same once more, late and out of order, changes nothing.
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_ada', 'succeeded', '{"amount_received": 1000, "charge": "ch_ada"}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_ada', 'requires_payment_method'), '1 hour');
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_ada', 'canceled'), '1 hour');
SELECT pg_temp.look(:p);

-- Declined, goes on, fails 3-D Secure twice, is paid at last. Failures are told once each.
SELECT pg_temp.start('bob') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_bob'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'requires_payment_method', '{"error_code": "card_declined", "decline_code": "insufficient_funds", "failed_charge": "ch_1"}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'requires_payment_method', '{"error_code": "card_declined", "decline_code": "insufficient_funds", "failed_charge": "ch_1"}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'requires_action', '{"next_action": "redirect_to_url"}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'requires_payment_method', '{"error_code": "payment_intent_authentication_failure"}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'requires_payment_method', '{"error_code": "payment_intent_authentication_failure"}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'requires_action', '{"next_action": "redirect_to_url"}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'requires_payment_method', '{"error_code": "payment_intent_authentication_failure"}'));
SELECT pg_temp.look(:p);
-- A debit that fails at the bank after days: backwards, and normal. What is older than that is not taken over.
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'processing'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'requires_payment_method', '{"error_code": "debit_not_authorized", "failed_charge": "py_1"}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'processing'), '1 hour');
SELECT pg_temp.look(:p);

SELECT pg_temp.explained(:p);
-- Refused; a member of whom nothing is known to be made can begin anew.
SELECT pg_temp.start('cyd') AS p \gset
SELECT pg_temp.created(:p, NULL, 'refused', 'amount_too_small');
SELECT pg_temp.look(:p);
-- Without proof: nobody is told, and the intents are listed. What turns up then is cancelled.
SELECT pg_temp.start('cyd') AS p \gset
SELECT pg_temp.created(:p, NULL, 'refused', reason => 'not_proven');
SELECT pg_temp.look(:p);
SELECT reason FROM seats_internal.payment_listing_wish;
SELECT seats_internal.apply_intent(:p, pg_temp.intent('pi_cyd'), now());
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
-- And were it paid all the same, that is money, and counts.
SELECT seats_internal.apply_intent(:p, pg_temp.intent('pi_cyd', 'succeeded', '{"amount_received": 1000}'), now());
SELECT pg_temp.look(:p);

-- A replayed create is read before its secret is given away, and says nothing of now.
SELECT pg_temp.start('dan') AS p \gset
SELECT pg_temp.explained(:p);
SELECT pg_temp.created(:p, pg_temp.intent('pi_dan'), replayed => true);
SELECT pg_temp.calls(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_dan', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);

-- Cancelled: while it is created, then by Stripe. Refused as it is under way at a bank; payable again, it goes.
SELECT pg_temp.start('eve') AS p \gset
SELECT pg_temp.cancel(:p);
SELECT pg_temp.created(:p, pg_temp.intent('pi_eve'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_eve', 'processing'), 'payment_intent_unexpected_state');
SELECT pg_temp.calls(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_eve'));
SELECT pg_temp.calls(:p);
-- Refused though it is payable: the next try waits, longer each time, and a person is told until it is over.
CREATE FUNCTION pg_temp.next_cancel(of bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(', ', 'in ' || date_trunc('minute', o.due_at - clock_timestamp() + interval '30 s'),
                     (SELECT a.severity || ' ' || a.kind || ' ' || a.occurrences FROM seats.alerts AS a
                       WHERE a.kind = 'payment_not_cancelled' AND a.resolved_at IS NULL))
      FROM seats_internal.outbox AS o WHERE o.payment_id = of AND o.kind = 'payment_cancel';
$$;
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_eve'), 'something');
SELECT pg_temp.calls(:p);
SELECT pg_temp.next_cancel(:p);
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_eve'), 'something');
SELECT pg_temp.next_cancel(:p);
UPDATE seats_internal.alert SET occurrences = 100 WHERE kind = 'payment_not_cancelled';
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_eve'), 'something');
SELECT pg_temp.next_cancel(:p);
-- Refused without a word of how it is: it is read, and the next try waits all the same.
SELECT pg_temp.cancelled(:p, NULL, 'something');
SELECT pg_temp.calls(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_eve'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_eve', 'canceled', '{"cancellation_reason": "requested_by_customer"}'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.look(:p);
SELECT pg_temp.open_alerts();

-- At a bank it is tried once for each thing that is read of it: Stripe cancels some there. A person may ask again.
SELECT pg_temp.start('vic') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_vic'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_vic', 'processing'));
DELETE FROM seats_internal.outbox WHERE kind = 'payment_read';
SELECT seats_internal.cancel_payment('app', :p, 'requested_by_customer');
SELECT pg_temp.calls(:p);
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_vic', 'processing'), 'payment_intent_unexpected_state');
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_vic', 'processing'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_vic', 'requires_capture'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.cancelled(:p, NULL, 'something');
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_vic', 'requires_capture'));
SELECT pg_temp.calls(:p);
SELECT seats_internal.cancel_payment('app', :p, 'requested_by_customer');
SELECT pg_temp.calls(:p);
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_vic', 'canceled'));
SELECT pg_temp.look(:p);

-- Paid although it was to be cancelled: asked, kept, refunded, as the request says.
SELECT pg_temp.start('fay') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_fay'));
SELECT pg_temp.cancel(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_fay', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
SELECT pg_temp.open_alerts();
SELECT pg_temp.explained(:p);
SELECT pg_temp.try(format('SELECT seats_internal.resolve_payment(%L, %s, %L, %L)', 'op', :p, 'forget', 'why'));
SELECT in_review, why, decided_with, jsonb_path_query_array(decisions, '$.decision') AS decisions, payment ->> 'received' AS received
  FROM jsonb_to_record(seats_internal.review_page('op', :p)) AS r (in_review text, why text, decided_with text, decisions jsonb, payment jsonb);
SELECT seats_internal.resolve_payment('op', :p, 'keep', 'she is right');
SELECT pg_temp.look(:p);
SELECT pg_temp.try(format('SELECT seats_internal.resolve_payment(%L, %s, %L, %L)', 'op', :p, 'keep', 'again'));
SELECT in_review, why, decided_with, jsonb_path_query_array(decisions, '$.decision') AS decisions, payment ->> 'received' AS received
  FROM jsonb_to_record(seats_internal.review_page('op', :p)) AS r (in_review text, why text, decided_with text, decisions jsonb, payment jsonb);
SELECT pg_temp.open_alerts();
UPDATE seats_internal.payment_request SET when_paid_after_cancel = 'keep';
SELECT pg_temp.start('gil') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_gil'));
SELECT pg_temp.cancel(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_gil', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
UPDATE seats_internal.payment_request SET when_paid_after_cancel = 'refund';
SELECT pg_temp.start('hal') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_hal'));
SELECT pg_temp.cancel(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_hal', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
SELECT pg_temp.refunded(:p, pg_temp.refund('re_hal'));
SELECT pg_temp.look(:p);
-- Nobody has cancelled it, as a failover has forgotten it; and its member was removed, or its request cancelled meanwhile.
SELECT pg_temp.start('una') AS p \gset
UPDATE seats_internal.payment_member SET removed_at = now() WHERE reference = 'una';
SELECT pg_temp.created(:p, pg_temp.intent('pi_una', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
-- It is refused (somebody has given back a part of it meanwhile): then a person decides.
SELECT pg_temp.refunded(:p, NULL, 'refused', 'charge_already_refunded');
SELECT pg_temp.look(:p);
UPDATE seats_internal.payment_request SET when_paid_after_cancel = 'ask', state = 'cancelled';
SELECT pg_temp.start('uwe') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_uwe', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
UPDATE seats_internal.payment_request SET when_paid_after_cancel = 'keep';
SELECT pg_temp.start('uta') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_uta', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
-- What nobody is to pay is cancelled, with the reason that is true.
SELECT pg_temp.start('uli') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_uli'));
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
UPDATE seats_internal.payment_request SET state = 'open';
SELECT pg_temp.start('ule') AS p \gset
UPDATE seats_internal.payment_member SET removed_at = now() WHERE reference = 'ule';
SELECT pg_temp.created(:p, pg_temp.intent('pi_ule')) AS may_be_given;
SELECT pg_temp.calls(:p);
-- Who has paid elsewhere, or need not pay: always asked, whatever the request's rule is.
SELECT pg_temp.start('ulf') AS p \gset
UPDATE seats_internal.payment_member SET state = 'waived' WHERE reference = 'ulf';
SELECT pg_temp.created(:p, pg_temp.intent('pi_ulf', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
SELECT seats_internal.resolve_payment('op', :p, 'keep', 'he wants to');
SELECT pg_temp.look(:p);
UPDATE seats_internal.payment_request SET when_paid_after_cancel = 'refund';
SELECT pg_temp.start('udo') AS p \gset
SELECT pg_temp.cancel(:p);
UPDATE seats_internal.payment_member SET state = 'paid_outside' WHERE reference = 'udo';
SELECT pg_temp.created(:p, pg_temp.intent('pi_udo', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
SELECT seats_internal.resolve_payment('op', :p, 'refund', 'he has paid in cash');
SELECT pg_temp.refunded(:p, pg_temp.refund('re_udo'));
SELECT pg_temp.look(:p);
-- What was transferred to an account is not given back without a word.
SELECT pg_temp.start('ida') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_ida', more => '{"has_transfer": true}'));
SELECT pg_temp.cancel(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_ida', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
SELECT in_review, why, decided_with, jsonb_path_query_array(decisions, '$.decision') AS decisions, payment ->> 'received' AS received
  FROM jsonb_to_record(seats_internal.review_page('op', :p)) AS r (in_review text, why text, decided_with text, decisions jsonb, payment jsonb);
SELECT pg_temp.try(format('SELECT seats_internal.resolve_payment(%L, %s, %L, %L)', 'op', :p, 'refund', 'why'));
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s)', 'app', :p));
SELECT repeated FROM seats_internal.refund_payment('app', :p, reverse_transfer => true, refund_application_fee => false);
SELECT pg_temp.calls(:p);
SELECT pg_temp.refunded(:p, pg_temp.refund('re_ida'));
SELECT pg_temp.look(:p);

-- Another amount, another currency.
SELECT pg_temp.start('jon') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_jon'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_jon', 'succeeded', '{"amount": 900, "amount_received": 900}'));
SELECT pg_temp.look(:p);
SELECT seats_internal.resolve_payment('op', :p, 'keep', 'a discount');
SELECT pg_temp.look(:p);
SELECT pg_temp.start('kim') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_kim'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_kim', 'succeeded', '{"amount_received": 1000, "currency": "usd"}'));
SELECT pg_temp.look(:p);
SELECT seats_internal.resolve_payment('op', :p, 'refund', 'a mistake');
SELECT pg_temp.look(:p);
SELECT pg_temp.refunded(:p, pg_temp.refund('re_kim', more => '{"currency": "usd"}'));
SELECT pg_temp.look(:p);

-- Two of a member: the later one is cancelled; if both are paid, a person decides.
SELECT pg_temp.start('lea') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_lea_1'));
SELECT pg_temp.start('lea') AS q \gset
SELECT pg_temp.created(:q, pg_temp.intent('pi_lea_2'));
SELECT pg_temp.look(:q);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_lea_1', 'succeeded', '{"amount_received": 1000}'));
UPDATE seats_internal.payment_request SET when_paid_after_cancel = 'ask';
SELECT pg_temp.was_read(:q, pg_temp.intent('pi_lea_2', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:p);
SELECT pg_temp.look(:q);
SELECT pg_temp.open_alerts();
-- A second intent of one attempt is a payment of its own: the money is the member's, and a person decides. One that can be
-- paid is to be cancelled, whatever is set; what Stripe has canceled is of no interest.
SELECT pg_temp.was_read(:q, pg_temp.intent('pi_other', 'succeeded', '{"amount_received": 1000}'));
SELECT p.id AS other FROM seats_internal.payment AS p WHERE p.intent = 'pi_other' \gset
SELECT pg_temp.was_read(:other, pg_temp.intent('pi_other', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.look(:other);
SELECT pg_temp.start('lou') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_lou'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_lou_2', 'canceled'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_lou_3'));
SELECT p.id AS other, p.attempt FROM seats_internal.payment AS p WHERE p.member_id = (SELECT o.member_id FROM seats_internal.payment AS o WHERE o.id = :p) AND p.id <> :p \gset
SELECT pg_temp.was_read(:other, pg_temp.intent('pi_lou_3'));
SELECT pg_temp.look(:other);
SELECT pg_temp.calls(:other);
SELECT pg_temp.look(:p);
-- If he pays it before that, he has paid, and the first one goes. The next attempt has a number, and a key, of its own.
SELECT pg_temp.was_read(:other, pg_temp.intent('pi_lou_3', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_lou'));
SELECT pg_temp.look(:p);
SELECT pg_temp.look(:other);
SELECT m.attempts, (SELECT count(DISTINCT p.uuid) FROM seats_internal.payment AS p WHERE p.member_id = m.id) AS names
  FROM seats_internal.payment_member AS m WHERE m.reference = 'lou';
SELECT pg_temp.open_alerts();

-- Taken back before it was sent, though a start that a failover has forgotten had sent it: what turns up is cancelled, and
-- that is tried on. What Stripe has canceled itself is not.
SELECT pg_temp.start('mia') AS p \gset
SELECT seats_internal.cancel_payment('app', :p, 'requested_by_customer');
SELECT seats_internal.queue_payment_read(:p, 'intent', intent => 'pi_mia') IS NOT NULL AS is_read;
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_mia', 'requires_action'));
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_mia'), 'something');
SELECT pg_temp.calls(:p);
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_mia', 'canceled'));
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
SELECT pg_temp.start('ned') AS p \gset
SELECT pg_temp.created(:p, NULL, 'cancelled', reason => 'cancelled_by_operator');
SELECT seats_internal.apply_intent(:p, pg_temp.intent('pi_ned'), now());
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
SELECT pg_temp.start('oda') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_oda'));
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_oda', 'canceled'));
SELECT pg_temp.look(:p);

-- An old one is paid while a later one can be: that is read, and goes.
SELECT pg_temp.start('pia') AS p \gset
SELECT pg_temp.created(:p, NULL, 'refused', reason => 'not_proven');
SELECT pg_temp.start('pia') AS q \gset
SELECT pg_temp.created(:q, pg_temp.intent('pi_pia_2'));
SELECT seats_internal.apply_intent(:p, pg_temp.intent('pi_pia_1', 'succeeded', '{"amount_received": 1000}'), now());
SELECT pg_temp.calls(:q);
SELECT pg_temp.was_read(:q, pg_temp.intent('pi_pia_2'));
SELECT pg_temp.look(:q);
SELECT pg_temp.calls(:q);

-- Of another amount or currency than he owes, as a failover has forgotten that it was begun so: nobody is given it to pay.
SELECT pg_temp.start('ron') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_ron', more => '{"amount": 1500}')) AS may_be_given;
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
SELECT pg_temp.start('sue') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_sue'), replayed => true);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_sue', more => '{"currency": "usd"}')) AS may_be_given;
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);

-- An answer that is none, and one that misses things, change nothing.
SELECT pg_temp.start('max') AS p \gset
SELECT pg_temp.created(:p, '{"object": "payment_intent", "id": "pi_max"}');
SELECT pg_temp.created(:p, NULL);
SELECT pg_temp.created(:p, pg_temp.intent('pi_max', 'a_new_status'));
SELECT pg_temp.look(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_max', 'succeeded', '{"amount_received": null, "currency": null}'));
SELECT pg_temp.look(:p);
ROLLBACK;

-- ---- refunds
BEGIN;
SELECT pg_temp.begin_payments();
SELECT pg_temp.paid('ada') AS p \gset
-- Never above what came in; the same key is the same refund.
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s, 1001)', 'app', :p));
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s, 0)', 'app', :p));
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s, reason => %L)', 'app', :p, 'a whim'));
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s, request_key => %L)', 'app', :p, k.key))
  FROM unnest(ARRAY['', ' ', E'a\nb', repeat('x', 256)]) AS k (key);
SELECT repeated FROM seats_internal.refund_payment('app', :p, 400, request_key => 'r1');
SELECT repeated FROM seats_internal.refund_payment('app', :p, 400, request_key => 'r1');
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s, 500, request_key => %L)', 'app', :p, 'r1'));
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s, 601)', 'app', :p));
SELECT repeated FROM seats_internal.refund_payment('app', :p, reason => 'duplicate');
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s)', 'app', :p));
SELECT pg_temp.look(:p);
SELECT line FROM regexp_split_to_table(pg_temp.explained(:p), '\n') AS line WHERE line ~ '^(Next|Nothing)';
SELECT pg_temp.calls(:p);
-- The list shows the first one before its call has an answer: it is that one, and no other.
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_1', 'pending', 400, jsonb_build_object('marker',
    (SELECT o.uuid || '-' || o.uuid || '-1' FROM seats_internal.outbox AS o WHERE o.payment_id = :p AND o.kind = 'refund' ORDER BY o.id LIMIT 1)))));
SELECT pg_temp.look(:p);
-- It is settled as what it is; an answer that is given again does not take it back.
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_1', 'succeeded', 400)));
SELECT pg_temp.refunded(:p, pg_temp.refund('re_1', 'pending', 400));
SELECT pg_temp.look(:p);
-- The second one is refused: what was reserved is free again.
SELECT pg_temp.refunded(:p, NULL, 'refused', 'charge_already_refunded');
SELECT pg_temp.look(:p);
SELECT pg_temp.open_alerts();
-- Somebody refunds in the Dashboard: the intent tells, the list says what.
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_ada', 'succeeded', '{"amount_received": 1000, "charge": "ch", "charge_refunded": 1000}'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_2', 'succeeded', 600), pg_temp.refund('re_1', 'succeeded', 400)));
SELECT pg_temp.look(:p);
-- It comes back, long after.
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_2', 'failed', 600, '{"failure_reason": "lost_or_stolen_card"}'), pg_temp.refund('re_1', 'succeeded', 400)));
SELECT pg_temp.look(:p);
SELECT pg_temp.open_alerts();
-- Ours, and one of the Dashboard that was faster: more than came in is not counted.
SELECT repeated FROM seats_internal.refund_payment('app', :p);
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_3', 'succeeded', 600), pg_temp.refund('re_1', 'succeeded', 400)));
SELECT pg_temp.look(:p);
SELECT pg_temp.refunded(:p, NULL, 'refused', 'charge_already_refunded');
SELECT pg_temp.look(:p);
SELECT pg_temp.refunds_of(:p);

-- In words.
SELECT pg_temp.explained(:p);
SELECT pg_temp.explained(r.id) FROM seats_internal.refund AS r WHERE r.refund = 're_2';
SELECT pg_temp.explained(t.id) FROM seats_internal.payment_transaction AS t WHERE t.kind = 'refund_failed';
SELECT pg_temp.explained(r.call_id) FROM seats_internal.refund AS r WHERE r.refund = 're_1';
SELECT pg_temp.explained(p.member_id) FROM seats_internal.payment AS p WHERE p.id = :p;
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s)', 'app', member_id)) FROM seats_internal.payment WHERE id = :p;

-- He has got it back, and begins to pay once more; then the refund comes back, and what he could pay is not to be paid.
SELECT pg_temp.paid('ben') AS p \gset
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_ben', 'succeeded')));
SELECT pg_temp.start('ben') AS q \gset
SELECT pg_temp.created(:q, pg_temp.intent('pi_ben_2'));
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_ben', 'failed')));
SELECT pg_temp.was_read(:q, pg_temp.intent('pi_ben_2'));
SELECT pg_temp.look(:q);

-- Told of a refund before the payment itself is known to be paid (its read is slow): first that, whatever comes in first.
SELECT pg_temp.start('dora') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_dora'));
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_dora', 'failed', 300)));
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_dora', 'needs_response'));
SELECT pg_temp.look(:p);
SELECT pg_temp.calls(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_dora', 'succeeded', '{"amount_received": 1000, "charge": "ch", "charge_refunded": 0}'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_dora', 'failed', 300)));
SELECT pg_temp.look(:p);
-- Who has got it all back and owes nothing any more is done with.
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_dora_2', 'succeeded', 1000)));
SELECT pg_temp.look(:p);
SELECT seats_internal.change_amount('app', p.member_id, 0) FROM seats_internal.payment AS p WHERE p.id = :p;
SELECT pg_temp.look(:p);

-- A clock that was put back: what is known is of a time that is still to come, and the next read counts all the same.
SELECT pg_temp.start('emil') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_emil'));
UPDATE seats_internal.payment AS p SET read_at = clock_timestamp() + interval '1 hour' WHERE p.id = :p;
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_emil', 'processing'));
SELECT pg_temp.look(:p);
SELECT p.read_at < clock_timestamp() AS is_past FROM seats_internal.payment AS p WHERE p.id = :p;

-- ---- a copy of the database gives back nothing of its original's
SELECT pg_temp.start('uma') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_uma'));
SELECT pg_temp.cancel(:p);
UPDATE seats_internal.payment SET installation = '00000000-0000-0000-0000-000000000001' WHERE id = :p;
UPDATE seats_internal.payment_request SET when_paid_after_cancel = 'refund';
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_uma', 'succeeded', '{"amount_received": 1000}'));
UPDATE seats_internal.payment_request SET when_paid_after_cancel = 'ask';
SELECT pg_temp.look(:p);
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s)', 'app', :p));
SELECT pg_temp.try(format('SELECT seats_internal.resolve_payment(%L, %s, %L, %L)', 'op', :p, 'refund', 'why'));
SELECT pg_temp.try(format('SELECT seats_internal.resolve_payment(%L, %s, %L, %L)', 'op', :p, 'keep', 'why'));

-- ---- disputes
SELECT pg_temp.paid('bob') AS p \gset
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'succeeded', '{"amount_received": 1000, "charge": "ch", "charge_refunded": 0, "charge_disputed": true}'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_1', 'warning_needs_response'));
SELECT pg_temp.look(:p);
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_1', 'needs_response'));
SELECT pg_temp.look(:p);
SELECT pg_temp.open_alerts();
SELECT line FROM regexp_split_to_table(pg_temp.explained(:p), '\n') AS line WHERE line ~ '^(Next|Nothing)';
-- What his bank holds nobody gives back.
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s, 1)', 'app', :p));
UPDATE seats_internal.payment SET review_since = now(), review_reason = 'paid_twice' WHERE id = :p;
SELECT in_review, why, decided_with, jsonb_path_query_array(decisions, '$.decision') AS decisions, payment ->> 'received' AS received
  FROM jsonb_to_record(seats_internal.review_page('op', :p)) AS r (in_review text, why text, decided_with text, decisions jsonb, payment jsonb);
SELECT pg_temp.try(format('SELECT seats_internal.resolve_payment(%L, %s, %L, %L)', 'op', :p, 'refund', 'why'));
UPDATE seats_internal.payment SET review_since = NULL, review_reason = NULL WHERE id = :p;
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_1', 'won'));
SELECT pg_temp.look(:p);
-- Stripe knows of another one: that is read, and told once.
SELECT pg_temp.refunded(:p, NULL, 'refused', 'charge_disputed')
  FROM generate_series(1, 2) AS n CROSS JOIN LATERAL seats_internal.refund_payment('app', :p, n) AS r;
SELECT pg_temp.calls(:p);
SELECT pg_temp.open_alerts();
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_2', 'lost'));
SELECT pg_temp.look(:p);
SELECT pg_temp.open_alerts();

-- ---- reads: one for a burst; while one is on the wire, a second one waits
SELECT seats_internal.queue_payment_read(:p, 'intent') = seats_internal.queue_payment_read(:p, 'intent', 'evt_2');
SELECT seats_internal.queue_payment_read(:p, 'refunds') = seats_internal.queue_payment_read(:p, 'disputes');
UPDATE seats_internal.outbox SET state = 'sending' WHERE kind = 'payment_read';
SELECT seats_internal.queue_secret_read(:p) = seats_internal.queue_payment_read(:p, 'intent');
SELECT pg_temp.calls(:p);
-- An event may name an intent that nobody here knows of.
SELECT pg_temp.start('fay') AS q \gset
SELECT seats_internal.queue_payment_read(:q, 'intent');
SELECT seats_internal.queue_payment_read(:q, 'intent', intent => 'pi_fay') = seats_internal.queue_payment_read(:q, 'intent', 'evt_3', intent => 'pi_fay');
SELECT pg_temp.calls(:q);
-- One that cannot be made is told, until one can.
SELECT seats_internal.payment_not_read(1, :p, 'No such payment_intent');
SELECT pg_temp.open_alerts();
SELECT pg_temp.was_read(:p, '{"object": "unknown"}');
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_bob', 'succeeded', '{"amount_received": 1000}'));
SELECT pg_temp.open_alerts();

-- ---- nobody goes on
SELECT pg_temp.start('cyd') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_cyd'));
UPDATE seats_internal.payment SET abandon_after = '1 day';
SELECT seats_internal.abandon_payments(10);
SELECT pg_temp.look(:p);
UPDATE seats_internal.payment SET touched_at = now() - interval '2 days';
SELECT seats_internal.abandon_payments(1);
SELECT seats_internal.abandon_payments(1);
SELECT pg_temp.calls(:p);
SELECT pg_temp.look(:p);

-- (That of fay was not sent; but an event has told of it, so it may have been, before a failover.)
SELECT pg_temp.look(:q);
SELECT pg_temp.explained(:p);
SELECT pg_temp.explained(p.cancel_call_id) FROM seats_internal.payment AS p WHERE p.id = :p;

-- ---- what a person ends without an answer
SELECT pg_temp.start('dan') AS p \gset
SELECT seats_internal.settle_by_hand('op', (SELECT call_id FROM seats_internal.payment WHERE id = :p), 'cancelled', 'cancelled_by_operator', 'none needed');
SELECT pg_temp.look(:p);
SELECT pg_temp.paid('eve') AS p \gset
SELECT seats_internal.settle_by_hand('op', (SELECT r.call FROM seats_internal.refund_payment('app', :p) AS r), 'done', 'executed', 'person');
SELECT pg_temp.calls(:p);
SELECT pg_temp.look(:p);
-- He was wrong.
SELECT pg_temp.refunds_read(:p, '[]');
SELECT pg_temp.look(:p);
SELECT pg_temp.refunds_of(:p);
SELECT kind, role, reason, detail - '{payment,member,request}'::text[] FROM seats_internal.journal WHERE kind LIKE '%payment%' ORDER BY id;
ROLLBACK;

-- ---- refunds that are forgotten
-- A failover forgets one that Stripe has made: asked for again it has the same key, and Stripe makes no other.
BEGIN;
SELECT pg_temp.begin_payments();
SELECT pg_temp.paid('zoe') AS p \gset
CREATE FUNCTION pg_temp.keys(payment bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(o.uuid::text, ' ' ORDER BY o.id) FROM seats_internal.outbox AS o WHERE o.payment_id = keys.payment AND o.kind = 'refund'
$$;
SAVEPOINT failover;
SELECT repeated FROM seats_internal.refund_payment('app', :p, 300, request_key => 'r1');
SELECT repeated FROM seats_internal.refund_payment('app', :p, 100, request_key => 'r2');
SELECT pg_temp.keys(:p) AS keys, split_part(pg_temp.keys(:p), ' ', 2) AS key_2 \gset
ROLLBACK TO failover;
SELECT repeated FROM seats_internal.refund_payment('app', :p, 300, request_key => 'r1');
SELECT repeated FROM seats_internal.refund_payment('app', :p, 100, request_key => 'r2');
SELECT pg_temp.keys(:p) = :'keys' AS same_keys, split_part(:'keys', ' ', 1) <> :'key_2' AS each_its_own;
ROLLBACK TO failover;
-- It was read meanwhile, as somebody's; it is one, whoever comes first.
SELECT seats_internal.queue_payment_read(:p, 'refunds') IS NOT NULL AS is_read;
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_r1', 'succeeded', 300)));
SELECT repeated FROM seats_internal.refund_payment('app', :p, 300, request_key => 'r1');
SELECT pg_temp.look(:p);
SELECT pg_temp.refunded(:p, pg_temp.refund('re_r1', 'pending', 300));
SELECT pg_temp.look(:p);
SELECT pg_temp.refunds_of(:p);
-- With our marker it is known whose it is, and nothing is sent.
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_r2', 'succeeded', 100, jsonb_build_object('marker', :'key_2' || '-' || :'key_2' || '-1'))));
SELECT repeated, call IS NULL AS not_sent FROM seats_internal.refund_payment('app', :p, 100, request_key => 'r2');
SELECT pg_temp.try(format('SELECT seats_internal.refund_payment(%L, %s, 200, request_key => %L)', 'app', :p, 'r2'));
SELECT pg_temp.calls(:p);
SELECT pg_temp.look(:p);
-- Without a name each is another one.
SELECT repeated FROM seats_internal.refund_payment('app', :p, 50);
SELECT repeated FROM seats_internal.refund_payment('app', :p, 50);
SELECT count(DISTINCT uuid) FROM seats_internal.outbox WHERE payment_id = :p AND kind = 'refund';
ROLLBACK;

-- ---- a copy that leaves to its original what can still be paid: what a member has paid otherwise, or was let off, stays
BEGIN;
SELECT pg_temp.begin_payments();
SELECT pg_temp.paid('ada') AS p, pg_temp.start('ada') AS q, pg_temp.start('bob') AS r, pg_temp.start('cyd') AS s \gset
UPDATE seats_internal.payment_member AS m SET live_payment_id = :q WHERE m.reference = 'ada';
UPDATE seats_internal.payment_member AS m SET state = 'waived' WHERE m.reference = 'bob';
SELECT seats_internal.adopt_payments(false);
SELECT pg_temp.look(p) FROM unnest(ARRAY[:p, :q, :r, :s]) WITH ORDINALITY AS l (p, number) ORDER BY l.number;
ROLLBACK;

-- ---- what nothing is heard of for a day is read: what can be paid, a refund that is on its way, a dispute that is open
BEGIN;
SELECT pg_temp.begin_payments();
CREATE FUNCTION pg_temp.silent(most integer DEFAULT 100) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'something is read' WHERE seats_internal.read_silent_payments(most);
    RETURN QUERY
        WITH reads AS (DELETE FROM seats_internal.outbox AS o WHERE o.kind = 'payment_read' RETURNING o.*)
        SELECT concat_ws(' ', m.reference, r.path, split_part(r.body, '&', 1)) FROM reads AS r
          JOIN seats_internal.payment AS p ON p.id = r.payment_id
          JOIN seats_internal.payment_member AS m ON m.id = p.member_id ORDER BY m.reference, r.id;
END
$$;
CREATE FUNCTION pg_temp.a_day_passes() RETURNS void LANGUAGE sql AS $$
    UPDATE seats_internal.payment SET heard_at = clock_timestamp() - interval '25 hours' + id * interval '1 second'
$$;
SELECT pg_temp.start('ada') AS a, pg_temp.paid('bob') AS b, pg_temp.paid('cyd') AS c, pg_temp.start('dan') AS d \gset
SELECT pg_temp.created(:d, pg_temp.intent('pi_dan'));
SELECT pg_temp.refunds_read(:b, jsonb_build_array(pg_temp.refund('re_bob', 'pending', 300)));
SELECT pg_temp.disputes_read(:c, pg_temp.dispute('dp_cyd', 'warning_needs_response'));
SELECT pg_temp.silent();
SELECT pg_temp.a_day_passes();
SELECT pg_temp.silent();
-- Each once a day, whether the read succeeds or not: so those that fail keep nobody from his turn.
SELECT pg_temp.silent();
SELECT pg_temp.a_day_passes();
SELECT pg_temp.silent(2);
SELECT pg_temp.silent(2);
SELECT pg_temp.silent(2);
-- And what is over no more.
SELECT pg_temp.refunds_read(:b, jsonb_build_array(pg_temp.refund('re_bob', 'failed', 300)));
SELECT pg_temp.disputes_read(:c, pg_temp.dispute('dp_cyd', 'needs_response'));
SELECT pg_temp.a_day_passes();
SELECT pg_temp.silent();
SELECT pg_temp.disputes_read(:c, pg_temp.dispute('dp_cyd', 'lost'));
SELECT pg_temp.was_read(:d, pg_temp.intent('pi_dan', 'canceled'));
SELECT pg_temp.a_day_passes();
SELECT pg_temp.silent();
-- An intent that nobody is to pay, and that is at the payer's bank, when its cancel has failed.
SELECT pg_temp.created(:a, NULL, 'refused', reason => 'not_proven');
SELECT seats_internal.apply_intent(:a, pg_temp.intent('pi_ada', 'processing'), now());
SELECT pg_temp.a_day_passes();
SELECT pg_temp.silent();
ROLLBACK;

-- ---- more refunds than one page holds: page after page, and what no page of them shows is not there
BEGIN;
SELECT pg_temp.begin_payments();
SELECT pg_temp.paid('ada') AS p \gset
CREATE FUNCTION pg_temp.page(payment bigint, first integer, last integer, next text, complete boolean DEFAULT true) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.was_read(payment, jsonb_build_object('object', 'refunds', 'complete', complete, 'next', next, 'refunds', (
        SELECT jsonb_agg(pg_temp.refund('re_' || n, 'succeeded', 2) ORDER BY n DESC) FROM generate_series(first, last) AS n)));
    SELECT format('refunded %s; %s', p.refunded, pg_temp.calls(p.id)) FROM seats_internal.payment AS p WHERE p.id = payment;
$$;
-- (A person has said that this one was made.)
SELECT seats_internal.settle_by_hand('op', (SELECT r.call FROM seats_internal.refund_payment('app', :p, 10) AS r), 'done', 'executed', 'person');
SELECT pg_temp.page(:p, 51, 150, 're_51');
SELECT state FROM seats_internal.refund WHERE asked_by = 'app';
SAVEPOINT second;
SELECT pg_temp.page(:p, 1, 50, NULL);
SELECT state FROM seats_internal.refund WHERE asked_by = 'app';
ROLLBACK TO second;
-- One that could not be read may be that one.
SELECT pg_temp.page(:p, 26, 50, 're_26', false);
SELECT pg_temp.page(:p, 1, 25, NULL);
SELECT state FROM seats_internal.refund WHERE asked_by = 'app';
-- A page that leads to itself is the last one.
SELECT seats_internal.queue_payment_read(:p, 'refunds', page => '{"after": "re_26"}') IS NOT NULL AS is_read;
SELECT pg_temp.page(:p, 1, 25, 're_26');
-- Of disputes, one that is open on an earlier page stays so.
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_2', 'needs_response'));
SELECT seats_internal.queue_payment_read(:p, 'disputes', page => '{"after": "dp_2"}') IS NOT NULL AS is_read;
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_1', 'lost'));
SELECT dispute_is_open FROM seats_internal.payment WHERE id = :p;
-- Who has what is payable read wants to know, and there is nothing: nothing is read for ever.
SELECT pg_temp.start('eli') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_eli'));
SELECT seats_internal.reconcile_payment('op', :p, 'a question') IS NOT NULL AS is_read;
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_eli'));
SELECT pg_temp.refunds_read(:p, '[]');
SELECT pg_temp.was_read(:p, '{"object": "disputes", "complete": true, "disputes": []}');
SELECT pg_temp.calls(:p);
SELECT refund_is_open, dispute_is_open FROM seats_internal.payment WHERE id = :p;
-- What there is waits until it is paid, and no longer where it never is.
SELECT seats_internal.reconcile_payment('op', :p, 'a question') IS NOT NULL AS is_read;
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_eli'));
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_eli')));
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_eli', 'needs_response'));
SELECT pg_temp.calls(:p);
SELECT refund_is_open, dispute_is_open FROM seats_internal.payment WHERE id = :p;
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_eli', 'canceled'));
UPDATE seats_internal.payment SET heard_at = now() - interval '2 days' WHERE id = :p;
SELECT seats_internal.read_silent_payments(10);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_eli', 'canceled'));
SELECT pg_temp.refunds_read(:p, jsonb_build_array(pg_temp.refund('re_eli')));
SELECT pg_temp.disputes_read(:p, pg_temp.dispute('dp_eli', 'needs_response'));
SELECT pg_temp.calls(:p);
SELECT is_unfinished FROM seats_internal.payment WHERE id = :p;
-- Cancelled in the Dashboard, as Stripe has refused it here: the next payment does not wait for the next try.
SELECT pg_temp.start('oda') AS p \gset
SELECT pg_temp.created(:p, pg_temp.intent('pi_oda'));
SELECT seats_internal.cancel_payment('app', :p, 'requested_by_customer');
SELECT pg_temp.cancelled(:p, pg_temp.intent('pi_oda'), 'something');
SELECT pg_temp.calls(:p);
SELECT pg_temp.was_read(:p, pg_temp.intent('pi_oda', 'canceled'), event => 'evt_oda');
SELECT pg_temp.calls(:p);
SELECT h.result, h.reason FROM seats_internal.outbox_history AS h WHERE h.payment_id = :p AND h.kind = 'payment_cancel' ORDER BY h.id;
ROLLBACK;
