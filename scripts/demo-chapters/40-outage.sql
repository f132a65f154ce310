-- Stripe is down
\! simulate stripe down

-- The application does not notice: three customers click, three transactions commit.
SELECT * FROM seats.add_seats('acme', 'team', 2, actor => 'ada');
SELECT * FROM seats.add_seats('acme', 'owner', 1, actor => 'ada');
SELECT * FROM seats.add_seats('acme', 'team', 4, actor => 'ada');

-- Nothing is lost and nothing is hidden: what is pending, since when, and why.
\! simulate until "SELECT state = 'interrupted' FROM seats.destinations"
SELECT change, seat_type, quantity, new_quantity, state, reason, error
  FROM seats.changes WHERE state = 'pending' ORDER BY change;
SELECT team, seat_type, confirmed, quantity, unconfirmed FROM seats.teams ORDER BY seat_type;
SELECT check_name, status, message, hint FROM seats.health WHERE status <> 'ok';
