-- A declined card, undone
\! simulate card declined

-- Ten seats more, which Acme's card will not pay for; and in the same moment one is given back.
BEGIN;
SELECT * FROM seats.add_seats('acme', 'team', 10, actor => 'ada');
SELECT * FROM seats.remove_seats('acme', 'team', 1, actor => 'ada');
COMMIT;

-- Stripe refuses the first change, and exactly that one is undone. The other one stays: nobody
-- writes an old value back (8 + 10 - 1 was 17, and is 7 now, not 8).
CALL seats.wait_for_change(3);
CALL seats.wait_for_change(4);
SELECT change, seat_type, operation, quantity, previous_quantity, new_quantity, state, reason
  FROM seats.changes WHERE change IN (3, 4) ORDER BY change;
SELECT team, seat_type, confirmed, quantity FROM seats.teams WHERE seat_type = 'team';
\! simulate card ok
