-- What the example needs in a database, once, as a superuser:
--
--   psql -v stripe=https://api.stripe.com -f set-up.sql
--
-- `stripe` is where calls go: Stripe itself (then with your own prices and subscription below) or the simulator. The API key
-- and the webhooks' signing secret lie in files stripe_key and stripe_webhook of pg_seats.secrets_directory. It may be run
-- again: what is there already is defined anew, or stays.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
\o /dev/null

CREATE EXTENSION IF NOT EXISTS pg_seats;
SELECT seats.create_installation() WHERE (SELECT installation FROM seats.worker_status) IS NULL;
SELECT seats.define_destination('stripe', :'stripe', 'stripe_key', livemode => false);
SELECT seats.define_webhook_endpoint('main', 'stripe', '{stripe_webhook}');

-- Two kinds of seats, that show both ways in which a bank may ask the customer to approve a payment: an owner's seat is not
-- bought then, and a team's waits up to 23 hours for the approval.
SELECT seats.define_seat_type('owner', '{price_owner}', largest_total => 10);
SELECT seats.define_seat_type('team', '{price_team}', increase_payment_behavior => 'pending_if_incomplete');

-- Who connects: the example, the operator's desk with its verbs, and the desk that only looks. They have no password:
-- give them one (\password dashboard) where the server asks for it.
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest('{dashboard,desk,watcher}'::text[]) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
SELECT seats.grant_application('dashboard');
SELECT seats.grant_operator('desk');
SELECT seats.grant_monitor('watcher');

-- A team, by the application's own id of it and its subscription at Stripe, which is read at once; and who is in it.
SELECT seats.register_team('acme', 'sub_acme') AS call \gset
CALL seats.wait_for_call(:call, '30 s');
SELECT seats.add_member('acme', 'ada', seat_type => 'owner', role => 'owner', if_absent => true);
SELECT seats.add_member('acme', 'bob', seat_type => 'team', if_absent => true);
SELECT seats.add_member('acme', 'mark', seat_type => 'team', if_absent => true);
\o
SELECT team, seat_type, quantity, used, free FROM seats.teams ORDER BY team, seat_type;
