-- An invite, while Stripe is down
-- Acme tidies up first: Bob gets a team seat, and the empty ones are given back. Now none is free.
SELECT seats.add_member('acme', 'bob', seat_type => 'team', external_id => 'chat-7');
SELECT * FROM seats.set_seats('acme', 'team', 1, actor => 'ada');
CALL seats.wait_for_change(9);

-- Ada invites Carol. Her seat is kept and, as none is free, bought, whether Stripe answers or not.
-- The token goes into Carol's mail; the database keeps its hash only.
\! simulate stripe down
SELECT * FROM seats.invite('acme', 'carol@example.com', 'team', actor => 'ada', buy => true) \gset
SELECT :invite AS invite, :change AS change, :'billing_pending' AS billing_pending, length(:'token') AS token_length;
SELECT seat_type, confirmed, quantity, used, reserved, free, billing_pending
  FROM seats.teams WHERE seat_type = 'team';

-- Stripe is back, and it settles by itself. (Had the card been declined, the invite would have ended.)
\! simulate stripe up
\! simulate until "SELECT NOT billing_pending FROM seats.invites"
SELECT * FROM seats.accept_invite(:'token', 'carol', external_id => 'chat-8');
SELECT seat_type, confirmed, quantity, used, reserved, free, billing_pending
  FROM seats.teams WHERE seat_type = 'team';
