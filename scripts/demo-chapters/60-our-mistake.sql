-- A mistake of our own: the API key is revoked
\! simulate key revoked
SELECT * FROM seats.add_seats('acme', 'team', 1, actor => 'ada');

-- That is no reason to take seats away from a customer. Nothing is undone; somebody is told.
\! simulate until "SELECT state = 'halted' FROM seats.destinations"
SELECT change, quantity, state, reason FROM seats.changes WHERE change = 8;
SELECT state, severity, kind, summary FROM seats.alerts;

-- The key is good again. A read proves it, and everything goes on.
\! simulate key active
CALL seats.wait_for_change(8);
SELECT state, severity, kind, resolution FROM seats.alerts;
