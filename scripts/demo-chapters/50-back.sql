-- Stripe is back
\! simulate stripe up

-- Nobody has to do anything. The three changes go in one call: one request, one invoice.
CALL seats.wait_for_change(7);
SELECT change, seat_type, quantity, state, call FROM seats.changes WHERE change > 4 ORDER BY change;
SELECT team, seat_type, confirmed, quantity, unconfirmed FROM seats.teams ORDER BY seat_type;

-- What Stripe itself says it has executed since the demo began:
\! simulate ledger
