-- The invoice of a change, and the one that is to be paid while a team is past due: what is proven, and nothing else.
\set ECHO none
\getenv inputs PG_ABS_SRCDIR
\set helpers :inputs '/sql/include/seats.psql'
\i :helpers
\set ECHO all
BEGIN;
SELECT pg_temp.begin_seats();
SELECT seats.define_seat_type('team', '{price_team}');
SELECT seats.define_seat_type('late', '{price_late}', increase_payment_behavior => 'pending_if_incomplete');
CREATE FUNCTION pg_temp.team(name text, more jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM seats.register_team(name, 'sub_' || name);
    PERFORM pg_temp.read(name, '{"price_team": 5}', more);
    PERFORM pg_temp.news();
END
$$;
CREATE FUNCTION pg_temp.invoice(id text, status text, total bigint DEFAULT 1250, currency text DEFAULT 'usd')
RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'status', status, 'url', 'https://pay.example/' || id, 'total', total,
        'amount_due', greatest(total, 0), 'amount_paid', CASE status WHEN 'paid' THEN greatest(total, 0) ELSE 0 END,
        'currency', currency)
$$;
-- A change that is answered with this invoice, which C++ takes for its own, or does not.
CREATE FUNCTION pg_temp.buy(team text, seats integer, invoice jsonb, is_own boolean DEFAULT true) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    bought bigint := (SELECT s.change FROM seats.add_seats(team, 'team', seats) AS s);
BEGIN
    PERFORM pg_temp.freeze(bought);
    PERFORM pg_temp.settle(bought, 'done', pg_temp.facts('sub_' || team, jsonb_build_object('price_team', (
                SELECT t.quantity FROM seats.teams AS t WHERE t.team = buy.team AND t.seat_type = 'team')),
            jsonb_build_object('invoice', invoice)), NULL,
        invoice - 'url' || jsonb_build_object('made_by_call', is_own));
    RETURN bought;
END
$$;
CREATE FUNCTION pg_temp.told(change bigint) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s paid %s %s (%s)', c.state, c.invoice, c.paid, c.currency, c.currency_decimals)
      FROM seats.changes AS c WHERE c.change = told.change
$$;

-- Its own: as the answer shows it, to the smallest unit of its currency.
SELECT pg_temp.team('buys');
SELECT pg_temp.told(pg_temp.buy('buys', 1, pg_temp.invoice('in_1', 'paid')));
SELECT pg_temp.news();
SELECT pg_temp.told(pg_temp.buy('buys', 1, pg_temp.invoice('in_2', 'paid', 1250, 'jpy')));
SELECT pg_temp.told(pg_temp.buy('buys', 1, pg_temp.invoice('in_3', 'paid', 12500, 'kwd')));
-- Nothing to pay; a credit; and one that is open still (allow_unpaid, or sent).
SELECT pg_temp.told(pg_temp.buy('buys', 1, pg_temp.invoice('in_4', 'paid', 0)));
SELECT pg_temp.told(pg_temp.buy('buys', 1, pg_temp.invoice('in_5', 'paid', -999)));
SELECT pg_temp.told(pg_temp.buy('buys', 1, pg_temp.invoice('in_6', 'open')));
-- The one that was there before the call is none of its own, whatever else fits; nor is what C++ takes for another's.
SELECT pg_temp.told(pg_temp.buy('buys', 1, pg_temp.invoice('in_6', 'paid')));
SELECT pg_temp.told(pg_temp.buy('buys', 1, pg_temp.invoice('in_7', 'paid'), false));
SELECT pg_temp.told(pg_temp.buy('buys', 1, NULL));
SELECT count(*) FILTER (WHERE n LIKE '%invoice%'), count(*) FROM pg_temp.news() AS n;
SELECT seats_internal.invoice_for_page(h.invoice) FROM seats_internal.outbox_history AS h
 WHERE h.invoice ->> 'id' IN ('in_2', 'in_3') ORDER BY h.id;
SELECT seats_internal.invoice_for_page('{"id": "in_1"}'), seats_internal.invoice_for_page(NULL) IS NULL AS none;

-- Changes that went together share it.
SELECT pg_temp.team('crowd');
SELECT change AS a FROM seats.add_seats('crowd', 'team', 1) \gset
SELECT change AS b FROM seats.add_seats('crowd', 'team', 2) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_crowd', '{"price_team": 8}'), NULL,
                      pg_temp.invoice('in_8', 'paid') || '{"made_by_call": true}');
SELECT pg_temp.told(:a);
SELECT pg_temp.told(:b);
SELECT pg_temp.news();
-- What was refused has none.
SELECT change AS a FROM seats.add_seats('crowd', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
SELECT pg_temp.settle(:a, 'refused', NULL, 'payment_failed');
SELECT pg_temp.told(:a);

-- A change that waits for its payment: of what; and as it is when a read shows it paid, whoever has asked for that.
CREATE FUNCTION pg_temp.waits(team text, invoice jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    bought bigint := (SELECT s.change FROM seats.add_seats(team, 'late', 3) AS s);
BEGIN
    PERFORM pg_temp.freeze(bought);
    UPDATE seats_internal.outbox AS o SET state = 'awaiting', reason = 'awaiting_payment' WHERE o.id = bought;
    PERFORM seats_internal.await_payment(bought, pg_temp.facts('sub_' || team, '{"price_team": 5}', jsonb_build_object(
        'invoice', invoice, 'pending_update', jsonb_build_object('expires_at', 1800000000, 'marker', pg_temp.marker(bought)))),
        clock_timestamp(), pg_temp.run());
    RETURN bought;
END
$$;
CREATE FUNCTION pg_temp.marker(change bigint) RETURNS text LANGUAGE sql AS
    $$ SELECT format('%s-%s-1', o.uuid, o.uuid) FROM seats_internal.outbox AS o WHERE o.id = change $$;
SELECT pg_temp.team('waits');
SELECT pg_temp.waits('waits', pg_temp.invoice('in_9', 'open')) AS a \gset
SELECT pg_temp.told(:a);
SELECT pg_temp.news();
-- Another invoice was made since: it is none of this change's.
SELECT pg_temp.read('waits', '{"price_team": 5}', jsonb_build_object('invoice', pg_temp.invoice('in_10', 'open', 77),
    'pending_update', jsonb_build_object('expires_at', 1800000000, 'marker', pg_temp.marker(:a))));
SELECT pg_temp.told(:a);
SELECT pg_temp.read('waits', '{"price_team": 5, "price_late": 3}', jsonb_build_object(
    'invoice', pg_temp.invoice('in_9', 'paid'), 'marker', pg_temp.marker(:a)));
SELECT pg_temp.told(:a);
SELECT pg_temp.news();
-- A read of its own shows it paid, and a later invoice: then it is known what had to be paid, and no more.
SELECT pg_temp.team('waits2');
SELECT pg_temp.waits('waits2', pg_temp.invoice('in_11', 'open')) AS a \gset
SELECT pg_temp.settle(:a, 'done', pg_temp.facts('sub_waits2', '{"price_team": 5, "price_late": 3}'), 'proven_by_marker',
                      pg_temp.invoice('in_12', 'paid', 77) || '{"made_by_call": false}');
SELECT pg_temp.told(:a);
-- An operator's word proves no invoice.
SELECT change AS a FROM seats.add_seats('waits2', 'team', 1) \gset
SELECT pg_temp.freeze(:a);
UPDATE seats_internal.outbox SET state = 'review', doubt = true, first_sent_at = now() WHERE id = :a;
SELECT seats.resolve_review(:a, 'executed', 'seen in the Dashboard');
SELECT pg_temp.told(:a);

-- ---- past due
CREATE FUNCTION pg_temp.due(team text) RETURNS text LANGUAGE sql AS $$
    SELECT t.status || ': ' || coalesce(t.past_due_invoice::text, 'none') FROM seats_internal.team AS t WHERE t.name = team
$$;
CREATE FUNCTION pg_temp.shows(team text, status text, invoice jsonb, more jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.read(team, '{"price_team": 5}', jsonb_build_object('status', status, 'invoice', invoice) || more);
    RETURN pg_temp.due(team);
END
$$;
SELECT pg_temp.team('due');
SELECT pg_temp.shows('due', 'active', pg_temp.invoice('in_20', 'open'));
SELECT pg_temp.shows('due', 'past_due', pg_temp.invoice('in_20', 'open'));
-- The draft of the next renewal is none to pay, nor is what a pending update waits for; a mere id tells nothing.
SELECT pg_temp.shows('due', 'past_due', pg_temp.invoice('in_21', 'draft', 500));
SELECT pg_temp.shows('due', 'past_due', pg_temp.invoice('in_22', 'open', 77), '{"pending_update": {"expires_at": 1800000000}}');
SELECT pg_temp.shows('due', 'past_due', '{"id": "in_20"}');
SELECT pg_temp.shows('due', 'unpaid', NULL);
-- A later one that is open takes its place; one that is paid is none to pay.
SELECT pg_temp.shows('due', 'unpaid', pg_temp.invoice('in_21', 'open', 500));
SELECT pg_temp.shows('due', 'past_due', pg_temp.invoice('in_21', 'paid', 500));
SELECT pg_temp.shows('due', 'incomplete', pg_temp.invoice('in_23', 'open'));
SELECT pg_temp.shows('due', 'active', pg_temp.invoice('in_23', 'open'));
-- (Of one that an event has told of, a read shows that a pending update waits for it.)
SELECT pg_temp.shows('due', 'past_due', pg_temp.invoice('in_23', 'open'));
SELECT pg_temp.shows('due', 'past_due', pg_temp.invoice('in_23', 'open'), '{"pending_update": {"expires_at": 1800000000}}');
-- Paid in part: what is left.
SELECT pg_temp.shows('due', 'past_due', pg_temp.invoice('in_25', 'open') || '{"amount_paid": 1000}');
-- With another subscription everything is another's.
SELECT pg_temp.shows('due', 'past_due', pg_temp.invoice('in_24', 'open'));
SELECT seats.register_team('due', 'sub_due_2');
SELECT past_due_invoice, latest_invoice FROM seats_internal.team WHERE name = 'due';

-- Events tell of others than the latest one.
UPDATE seats_internal.destination SET livemode = false, account = 'acct_1';
CREATE FUNCTION pg_temp.event(team text, id text, type text, invoice jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    taken seats_internal.webhook_event;
BEGIN
    INSERT INTO seats_internal.webhook_event
        (endpoint, event_id, destination, type, livemode, object_id, subscription, facts, outcome, processed_at)
    VALUES ('main', event.id, 'stripe', event.type, false, event.invoice ->> 'id', 'sub_' || event.team,
            jsonb_build_object('type', event.type, 'invoice', event.invoice), 'processed', clock_timestamp())
    RETURNING * INTO taken;
    RETURN seats_internal.apply_event(taken) || ', ' || pg_temp.due(team);
END
$$;
SELECT pg_temp.team('told');
-- While nothing is past due, a payment that has failed is the next read's business.
SELECT pg_temp.event('told', 'evt_1', 'invoice.payment_failed', pg_temp.invoice('in_30', 'open'));
SELECT pg_temp.shows('told', 'past_due', pg_temp.invoice('in_31', 'draft', 500));
SELECT pg_temp.event('told', 'evt_2', 'invoice.payment_failed', pg_temp.invoice('in_30', 'open'));
-- What is known is not taken for less by an event of another one; its own end is its end.
SELECT pg_temp.event('told', 'evt_3', 'invoice.payment_failed', pg_temp.invoice('in_32', 'open', 77));
SELECT pg_temp.event('told', 'evt_4', 'invoice.paid', pg_temp.invoice('in_32', 'paid', 77));
SELECT pg_temp.event('told', 'evt_5', 'invoice.paid', pg_temp.invoice('in_30', 'paid'));
-- An older event comes late: what is paid, void or written off is not to pay.
SELECT pg_temp.event('told', 'evt_6', 'invoice.payment_failed', pg_temp.invoice('in_30', 'open'));
SELECT pg_temp.event('told', 'evt_7', 'invoice.payment_action_required', pg_temp.invoice('in_33', 'open'));
SELECT pg_temp.event('told', 'evt_8', 'invoice.voided', pg_temp.invoice('in_33', 'void'));
SELECT pg_temp.event('told', 'evt_9', 'invoice.payment_failed', pg_temp.invoice('in_33', 'open'));
SELECT pg_temp.event('told', 'evt_10', 'invoice.payment_failed', pg_temp.invoice('in_34', 'open'));
SELECT pg_temp.event('told', 'evt_11', 'invoice.marked_uncollectible', pg_temp.invoice('in_34', 'uncollectible'));
SELECT pg_temp.event('told', 'evt_12', 'invoice.payment_failed', pg_temp.invoice('in_34', 'open'));
-- Nothing to pay: not open, no failure, or a pending update's.
SELECT pg_temp.event('told', 'evt_13', 'invoice.payment_failed', pg_temp.invoice('in_35', 'uncollectible'));
SELECT pg_temp.shows('told', 'past_due', pg_temp.invoice('in_31', 'draft', 500));
SELECT pg_temp.waits('told', pg_temp.invoice('in_36', 'open', 77)) AS a \gset
UPDATE seats_internal.team SET status = 'past_due' WHERE name = 'told';
SELECT pg_temp.event('told', 'evt_14', 'invoice.payment_failed', pg_temp.invoice('in_36', 'open', 77));
-- Its subscription ends: nothing is to pay any more.
SELECT pg_temp.event('told', 'evt_15', 'invoice.payment_failed', pg_temp.invoice('in_37', 'open'));
SELECT seats_internal.end_by_event(t, '{"id": "sub_told", "status": "canceled"}') FROM seats_internal.team AS t WHERE t.name = 'told';
SELECT pg_temp.due('told');
ROLLBACK;
