-- Setting up: an extension, a destination, kinds of seats, a team
-- Acme is a customer already. At Stripe it pays for 1 owner seat and 5 team seats, with the
-- subscription sub_acme. Here, Stripe is a simulator; the API key lies in a file beside the server.
CREATE EXTENSION pg_seats;
SELECT seats.create_installation();
SELECT seats.define_destination('stripe', :'stripe', 'stripe_key', livemode => false);

-- A kind of seats is a price at Stripe, and rules.
SELECT seats.define_seat_type('owner', '{price_owner}');
SELECT seats.define_seat_type('team', '{price_team}', largest_change => 20);

-- 'acme' is the application's own id of the team. Its subscription is read at once; that is call 1.
SELECT seats.register_team('acme', 'sub_acme') AS call;
CALL seats.wait_for_call(1);

-- Ada owns the team, so she may buy. She sits on the owner seat.
SELECT seats.add_member('acme', 'ada', seat_type => 'owner', role => 'owner');
SELECT team, seat_type, confirmed, quantity, used, free FROM seats.teams ORDER BY seat_type;
