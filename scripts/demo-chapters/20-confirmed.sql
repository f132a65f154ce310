-- A change, confirmed by Stripe
-- One function, in the application's own transaction. Nothing is asked of Stripe in it: the team has
-- its seats at once, and what is owed to Stripe commits together with the application's data.
BEGIN;
SELECT * FROM seats.add_seats('acme', 'team', 3, actor => 'ada');
COMMIT;

-- A worker inside PostgreSQL takes it to Stripe. Who wants to know can wait, holding no lock.
CALL seats.wait_for_change(2);
SELECT team, seat_type, confirmed, quantity FROM seats.teams WHERE seat_type = 'team';
