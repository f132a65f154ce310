-- What people look at: teams, seats, individuals, what became of changes, and drift.
--
-- A view that leaves rows out is a barrier: what somebody asks in his WHERE does not see them either. (The others
-- are none, because a join cannot look into one by its index.)

CREATE OR REPLACE VIEW seats.seat_types AS
SELECT s.name AS seat_type,
       ARRAY(SELECT p.price FROM seats_internal.seat_price AS p
              WHERE p.seat_type = s.name ORDER BY p.position) AS prices,
       s.largest_change, s.largest_total, s.largest_unconfirmed, s.increase_proration_behavior,
       s.increase_payment_behavior, s.decrease_proration_behavior, s.delete_at_zero, s.defined_at,
       s.defined_by
  FROM seats_internal.seat_type AS s;
REVOKE ALL ON seats.seat_types FROM PUBLIC;
COMMENT ON VIEW seats.seat_types IS 'kinds of seats: prices, limits, and how changes are billed';
COMMENT ON COLUMN seats.seat_types.largest_unconfirmed IS
    'how many seats a team may have that Stripe has not confirmed; null: any number';
COMMENT ON COLUMN seats.seat_types.prices IS 'all are counted, the first that fits a subscription is bought';

CREATE OR REPLACE VIEW seats.prices AS
SELECT p.price, l.seat_type, l.position AS list_position, i.reason AS ignored_because, k.destination,
       k.recurring_interval, k.interval_count, k.currency, k.currencies, k.unit_amount, k.active, k.metered,
       k.known_at, k.problem
  FROM (SELECT s.price FROM seats_internal.seat_price AS s
        UNION SELECT g.price FROM seats_internal.ignored_price AS g
        UNION SELECT n.price FROM seats_internal.stripe_price AS n) AS p
  LEFT JOIN seats_internal.seat_price AS l ON l.price = p.price
  LEFT JOIN seats_internal.ignored_price AS i ON i.price = p.price
  LEFT JOIN seats_internal.stripe_price AS k ON k.price = p.price;
REVOKE ALL ON seats.prices FROM PUBLIC;
COMMENT ON VIEW seats.prices IS
    'prices at Stripe: what they are for, and what is known of them, a row for each destination';
COMMENT ON COLUMN seats.prices.seat_type IS 'whose seats its items are; null: of none';
COMMENT ON COLUMN seats.prices.ignored_because IS 'why it is none of seats (see seats.ignore_prices)';
COMMENT ON COLUMN seats.prices.currencies IS
    'in which it can be had beside its own currency; null: that was not read yet';
COMMENT ON COLUMN seats.prices.unit_amount IS
    'of one seat for an interval, in minor units of its currency; null: it goes by tiers, or has a fraction';
COMMENT ON COLUMN seats.prices.known_at IS 'as of when Stripe said so; null: it was not read yet';
COMMENT ON COLUMN seats.prices.problem IS 'why it cannot be read, if so';

CREATE OR REPLACE VIEW seats.teams WITH (security_barrier) AS
SELECT t.name AS team, t.subscription, t.status, s.seat_type, s.confirmed, s.quantity, s.awaiting,
       u.used, r.reserved, s.quantity - u.used - r.reserved AS free,
       least(r.reserved, greatest(u.used + r.reserved - s.confirmed, 0)) AS billing_pending,
       s.quantity - s.confirmed AS unconfirmed,
       t.current_period_end, t.cancel_at_period_end, t.cancel_at, t.trial_end, t.paused, t.customer,
       t.destination, t.collection_method, t.base_proven_at AS proven_at,
       coalesce(t.problem, t.count_problem) AS problem, t.registered_at,
       t.registered_by
  FROM seats_internal.team AS t
  LEFT JOIN seats_internal.seat_line AS s ON s.team_id = t.id
  LEFT JOIN LATERAL (SELECT count(*)::integer AS used FROM seats_internal.member AS m
                      WHERE m.team_id = s.team_id AND m.seat_type = s.seat_type
                        AND m.status = 'active') AS u ON true
  LEFT JOIN LATERAL (SELECT count(*)::integer AS reserved FROM seats_internal.invite AS i
                      WHERE i.team_id = s.team_id AND i.seat_type = s.seat_type
                        AND i.status = 'open') AS r ON true
 WHERE t.kind = 'team';
REVOKE ALL ON seats.teams FROM PUBLIC;
COMMENT ON VIEW seats.teams IS 'a row per team and seat type: how many there are, and how sure that is';
COMMENT ON COLUMN seats.teams.status IS
    'the subscription''s status in Stripe''s words; null: it was not read yet';
COMMENT ON COLUMN seats.teams.confirmed IS 'what Stripe last proved';
COMMENT ON COLUMN seats.teams.quantity IS
    'what the team has: confirmed, and every open change applied to it in order';
COMMENT ON COLUMN seats.teams.awaiting IS
    'how many of the quantity wait for a payment that Stripe has asked for';
COMMENT ON COLUMN seats.teams.used IS 'on how many of them members sit';
COMMENT ON COLUMN seats.teams.reserved IS 'how many of them open invites keep for somebody';
COMMENT ON COLUMN seats.teams.billing_pending IS
    'how many of the reserved are not proven by Stripe: the newest invites';
COMMENT ON COLUMN seats.teams.free IS
    'neither used nor reserved; negative: more are in use than there are';
COMMENT ON COLUMN seats.teams.unconfirmed IS 'quantity less confirmed: what Stripe was not told or has not answered yet';
COMMENT ON COLUMN seats.teams.proven_at IS 'as of when confirmed is known';
COMMENT ON COLUMN seats.teams.problem IS
    'why the subscription cannot be read, or its items cannot be counted, if so';

-- Two barriers and not one: the server looks through one around a UNION ALL.
CREATE OR REPLACE VIEW seats_internal.open_changes WITH (security_barrier) AS
SELECT o.id AS change, t.name AS team, l.seat_type, l.operation, l.quantity, l.previous_quantity,
       l.new_quantity,
       seats_internal.change_state(head.state::text) AS state, o.created_at,
       NULL::timestamptz AS settled_at, o.actor, o.acting_person AS person, o.enqueued_by,
       CASE WHEN o.state = 'pending' AND head.id <> o.id THEN 'behind call ' || head.id
            WHEN head.state NOT IN ('pending', 'waiting') THEN coalesce(head.reason, head.state::text)
            WHEN coalesce(w.paused_at, d.paused_at) IS NOT NULL THEN 'paused'
            WHEN d.halted_at IS NOT NULL THEN coalesce(head.reason, 'destination_halted')
            ELSE coalesce(head.reason, nullif(head.state::text, 'pending')) END AS reason,
       head.last_error AS error, head.error_code AS code, head.decline_code,
       seats_internal.next_step(head.state::text, NULL, NULL, NULL) AS next_step,
       CASE o.state WHEN 'carried' THEN head.id ELSE o.id END AS call,
       (head.payment ->> 'expires_at')::timestamptz AS payment_expires_at,
       head.payment ->> 'invoice_url' AS invoice_url, head.due_at,
       seats_internal.change_phase(
           head.state::text, head.id = o.id OR o.state = 'carried', head.reason, head.was_tried,
           seats_internal.stripe_state_of(d.halted_at IS NOT NULL, coalesce(w.paused_at, d.paused_at) IS NOT NULL,
                                          s.breaker, s.proven)) AS phase,
       CASE WHEN head.payment ? 'invoice' THEN jsonb_build_object(
           'id', head.payment -> 'invoice', 'currency', head.payment -> 'currency',
           'amount_due', head.payment -> 'amount_due') END AS invoice,
       NULL::bigint AS paid, head.payment ->> 'currency' AS currency,
       seats_internal.currency_decimals(head.payment ->> 'currency') AS currency_decimals
  FROM seats_internal.outbox AS o
  -- (A team's open changes all stand in its lane, and by that they are found. Only teams have any, and by kind and name
  -- there is an index.)
  JOIN seats_internal.team AS t ON t.lane_id = o.lane_id AND t.kind = 'team'
  LEFT JOIN seats_internal.lane AS w ON w.id = o.lane_id
  LEFT JOIN seats_internal.destination AS d ON d.name = o.destination
  LEFT JOIN seats_internal.destination_state() AS s ON s.destination = o.destination
 CROSS JOIN LATERAL jsonb_to_recordset(o.lines)
       AS l (seat_type text, operation text, quantity integer, previous_quantity integer,
             new_quantity integer)
 CROSS JOIN LATERAL (SELECT CASE WHEN o.state = 'carried' THEN h.state ELSE o.state END AS state,
                            h.id, h.reason, h.due_at, h.attempts > 0 OR h.last_error IS NOT NULL AS was_tried,
                            -- What the head waits for, those behind it do not.
                            CASE WHEN h.id = o.id OR o.state = 'carried' THEN h.last_error
                                 ELSE o.last_error END AS last_error,
                            CASE WHEN h.id = o.id OR o.state = 'carried' THEN h.error_code
                                 ELSE o.error_code END AS error_code,
                            CASE WHEN h.id = o.id OR o.state = 'carried' THEN h.decline_code
                                 ELSE o.decline_code END AS decline_code,
                            CASE WHEN h.id = o.id OR o.state = 'carried' THEN h.payment END AS payment
                       FROM seats_internal.outbox AS h
                      WHERE h.lane_id BETWEEN o.lane_id AND o.lane_id
                      ORDER BY h.lane_id, h.id LIMIT 1) AS head
 WHERE o.kind = 'change';
COMMENT ON VIEW seats_internal.open_changes IS 'of seats.changes those that are open';

CREATE OR REPLACE VIEW seats_internal.settled_changes WITH (security_barrier) AS
SELECT h.id AS change, t.name AS team, l.seat_type, l.operation, l.quantity, l.previous_quantity,
       l.new_quantity,
       seats_internal.change_result(h.result) AS state, h.created_at, h.settled_at, h.actor,
       h.acting_person AS person, h.enqueued_by,
       h.reason, h.error, h.error_code, h.decline_code,
       seats_internal.next_step(h.result, h.reason, h.error_code, h.decline_code) AS next_step,
       coalesce(h.carrier_id, h.id) AS call, NULL::timestamptz AS payment_expires_at, NULL AS invoice_url,
       NULL::timestamptz AS due_at, NULL AS phase, h.invoice,
       (h.invoice ->> 'amount_paid')::bigint AS paid, h.invoice ->> 'currency' AS currency,
       seats_internal.currency_decimals(h.invoice ->> 'currency') AS currency_decimals
  FROM seats_internal.outbox_history AS h
  JOIN seats_internal.team AS t ON t.id = h.team_id AND t.kind = 'team'
 CROSS JOIN LATERAL jsonb_to_recordset(h.lines)
       AS l (seat_type text, operation text, quantity integer, previous_quantity integer,
             new_quantity integer)
 WHERE h.kind = 'change' AND h.ring = ANY ('{0,1,2,3,4,5,6,7}'::smallint[]);
COMMENT ON VIEW seats_internal.settled_changes IS 'of seats.changes those that are settled';

CREATE OR REPLACE VIEW seats.changes WITH (security_barrier) AS
SELECT o.* FROM seats_internal.open_changes AS o
UNION ALL
SELECT s.* FROM seats_internal.settled_changes AS s;
REVOKE ALL ON seats.changes FROM PUBLIC;
COMMENT ON VIEW seats.changes IS 'changes of seats, open and settled, a row for each seat type that they change';
COMMENT ON COLUMN seats.changes.quantity IS 'added (negative: removed), or what it was set to';
COMMENT ON COLUMN seats.changes.previous_quantity IS 'what the application saw before it';
COMMENT ON COLUMN seats.changes.new_quantity IS 'what the application saw after it';
COMMENT ON COLUMN seats.changes.state IS
    'pending (Stripe has not been told, or not answered), awaiting_payment, in_review (a person must '
    'decide), confirmed, reverted (undone), cancelled';
COMMENT ON COLUMN seats.changes.reason IS
    'why it is still pending (null: it is next, as soon as its destination takes calls), or why it ended '
    'as it did';
COMMENT ON COLUMN seats.changes.error IS 'Stripe''s or the transport''s words';
COMMENT ON COLUMN seats.changes.code IS 'Stripe''s code of that error, if it has one';
COMMENT ON COLUMN seats.changes.decline_code IS 'why a card was declined, in Stripe''s word, if the bank has said so';
COMMENT ON COLUMN seats.changes.next_step IS
    'what can be done about it: pay_invoice (at invoice_url), authenticate (the bank wants 3-D Secure), '
    'other_payment_method, add_payment_method, correct_card, try_later, ask_again (the seats have changed, or '
    'it was not paid in time), new_subscription, release_schedule; null: nothing';
COMMENT ON COLUMN seats.changes.person IS
    'who has asked for it where people share a role of the database: what pg_seats.person was set to';
COMMENT ON COLUMN seats.changes.call IS
    'the call that took it to Stripe, or will: seats.explain_call(call) tells more';
COMMENT ON COLUMN seats.changes.due_at IS
    'not before then Stripe is told, or asked again; null: as soon as the changes before it are settled';
COMMENT ON COLUMN seats.changes.invoice_url IS
    'where the payment that it waits for can be made';
COMMENT ON COLUMN seats.changes.invoice IS
    'the invoice that its call has made, as of its end: {id, currency, total, amount_due, amount_paid, status, shared: '
    'true if it is that of other changes as well}, amounts in minor units; while it waits for its payment {id, currency, '
    'amount_due}; null: it has made none, or that is not proven';
COMMENT ON COLUMN seats.changes.paid IS
    'what was paid of that invoice when the change was settled, of the whole call; null: nothing is known';
COMMENT ON COLUMN seats.changes.currency IS 'of its invoice';
COMMENT ON COLUMN seats.changes.currency_decimals IS 'with how many decimals amounts of that currency are written';
COMMENT ON COLUMN seats.changes.phase IS
    'of an open change, what it is doing, in a word for a page: queued, sent (Stripe was asked, and has not answered), '
    'retrying (it is asked again, at due_at), stripe_down (it is next, and Stripe does not answer, or nothing is sent '
    'there now), limit_used_up (Stripe takes no more changes of this subscription until due_at), awaiting_payment, '
    'in_review; null: it is settled';

CREATE OR REPLACE VIEW seats.drift AS
SELECT t.kind, t.name AS team, t.subscription, d.aspect, d.local, d.stripe, d.since, d.last_seen_at,
       d.cause, t.destination
  FROM seats_internal.drift AS d
  JOIN seats_internal.team AS t ON t.id = d.team_id;
REVOKE ALL ON seats.drift FROM PUBLIC;
COMMENT ON VIEW seats.drift IS
    'where the sweep has found something else at Stripe than here; seats.reconcile(team, reason) takes it over';
COMMENT ON COLUMN seats.drift.team IS 'the team, or the individual''s user id';
COMMENT ON COLUMN seats.drift.aspect IS 'status, or seats:<seat type>';
COMMENT ON COLUMN seats.drift.since IS 'when it was first found';
COMMENT ON COLUMN seats.drift.cause IS
    'probably: changed_at_stripe (by somebody else, and no event has told), unknown_call (in our name, '
    'but this database does not know it: lost by a failover or a restore), unsettled_change (one of '
    'ours is under way: nothing is wrong yet)';

CREATE OR REPLACE VIEW seats.individuals WITH (security_barrier) AS
SELECT t.name AS user_id, t.subscription, t.status, t.current_period_end, t.cancel_at_period_end,
       t.cancel_at, t.trial_end, t.ended_at, t.paused, t.external_id, t.customer, t.destination,
       t.collection_method, t.base_proven_at AS proven_at, t.problem, t.registered_at, t.registered_by
  FROM seats_internal.team AS t
 WHERE t.kind = 'individual';
REVOKE ALL ON seats.individuals FROM PUBLIC;
COMMENT ON VIEW seats.individuals IS 'people with a subscription of their own, as Stripe last said';
COMMENT ON COLUMN seats.individuals.status IS
    'the subscription''s status in Stripe''s words; null: it was not read yet';
COMMENT ON COLUMN seats.individuals.proven_at IS 'as of when that is known';
COMMENT ON COLUMN seats.individuals.problem IS 'why the subscription cannot be read, if so';
