-- A seat bought in Stripe's Dashboard
-- Stripe tells of it by webhook. The application's endpoint (here it is scripts/demo-chapters/relay)
-- hands the raw body and its signature to seats.receive_webhook, and answers what that says. The
-- signing secret lies in a file beside the API key.
SELECT seats.define_webhook_endpoint('main', 'stripe', '{stripe_webhook}');
\! simulate webhooks on

-- Somebody at Acme's bookkeeping buys two seats, where pg_seats cannot see it:
\! simulate dashboard team 4

-- An event is a hint only: the subscription is read, and what that shows is true.
\! simulate until "SELECT confirmed = 4 FROM seats.teams WHERE seat_type = 'team'"
SELECT endpoint, type, outcome, team FROM seats.webhook_events;
SELECT seat_type, confirmed, quantity, used, free FROM seats.teams WHERE seat_type = 'team';
