-- enqueue_call: what it accepts, what it refuses and with which words, who may, and what the row
-- looks like.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; details text; hints text;
BEGIN
    EXECUTE command;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        details = PG_EXCEPTION_DETAIL, hints = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n  ', state || ': ' || message, nullif(details, ''), nullif(hints, ''));
END
$$;
CREATE FUNCTION pg_temp.attempt(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try('SELECT seats.enqueue_call(' || arguments || ')')
$$;

-- In a transaction that is rolled back: no worker ever sees any of it.
BEGIN;
DELETE FROM seats_internal.installation;
INSERT INTO seats_internal.destination (name, kind, base_url, secret, requests_per_second, created_by)
VALUES ('regress_stripe', 'stripe', 'http://127.0.0.1:1', 'stripe_key', 10, 'regress'),
       ('regress_alerts', 'receiver', 'http://127.0.0.1:1', NULL, 10, 'regress');

-- Without an installation nothing can be stamped.
SELECT pg_temp.attempt($$'regress_stripe', 'GET', '/v1/balance'$$);
INSERT INTO seats_internal.installation (uuid, timeline, created_by)
VALUES ('11111111-2222-4333-8444-555555555555', 1, 'regress');

-- The row.
SELECT seats.enqueue_call('regress_stripe', 'POST', '/v1/customers',
                          '{"name": "Ada & Co", "metadata": {"team": "t1"}, "items": [{"price": "p"}]}',
                          context => '{"who": "cares"}', verifier => 'list') AS id \gset
SELECT lane_id IS NULL, installation, state, destination, method, path, body, verifier, context,
       enqueued_by = current_user, eligible_xid = pg_current_xact_id(), due_at IS NULL, generation,
       tries, attempts
  FROM seats_internal.outbox WHERE id = :id;

-- A lane is made by its first call and versioned by each; the object's path is the lane of a call
-- that is proven by a read of the object.
SELECT seats.enqueue_call('regress_stripe', 'POST', '/v1/invoices', lane => 'team 1') AS a,
       seats.enqueue_call('regress_stripe', 'GET', '/v1/invoices', '{"limit": 3}', 'team 1') AS b \gset
SELECT seats.enqueue_call('regress_stripe', 'POST', '/v1/payment_intents/pi_1/cancel',
                          verifier => 'object') AS c,
       seats.enqueue_call('regress_stripe', 'POST', '/v1/checkout/sessions/cs_1/expire',
                          verifier => 'object') AS d,
       seats.enqueue_call('regress_stripe', 'POST', '/v1/subscriptions/sub_1',
                          lane => 'mine', verifier => 'object') AS e,
       seats.enqueue_call('regress_stripe', 'DELETE', '/v1/subscriptions/sub_1') AS f \gset
SELECT o.method, o.path, o.body, l.name, l.version, l.destination
  FROM seats_internal.outbox AS o LEFT JOIN seats_internal.lane AS l ON l.id = o.lane_id
 WHERE o.id IN (:a, :b, :c, :d, :e, :f) ORDER BY o.id;
SELECT :a < :b AND :b < :c;

-- Lanes that begin with a slash belong to the objects with these paths: nobody else's calls stand in
-- them, whoever may call what.
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/invoices', lane => '/v1/subscriptions/sub_1'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/subscriptions/sub_2',
                         lane => '/v1/subscriptions/sub_1'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'GET', '/v1/balance', lane => '/anything'$$);

-- What changes a registered subscription, or an item of it, goes into its team's lane, and nowhere else.
WITH made AS (
    INSERT INTO seats_internal.lane (destination, name)
    VALUES ('regress_stripe', '/v1/subscriptions/sub_team') RETURNING id)
INSERT INTO seats_internal.team (name, destination, subscription, lane_id, items, registered_by)
SELECT 'regress team', 'regress_stripe', 'sub_team', made.id,
       '[{"id": "si_other", "price": "p"}, {"id": "si_team", "price": "q"}]', 'regress' FROM made;
CREATE FUNCTION pg_temp.lane_of(method text, path text, parameters jsonb DEFAULT '{}', lane text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    call bigint := seats.enqueue_call('regress_stripe', method, path, parameters, lane);
BEGIN
    RETURN (SELECT l.name FROM seats_internal.outbox AS o
              LEFT JOIN seats_internal.lane AS l ON l.id = o.lane_id WHERE o.id = call);
END
$$;
SELECT pg_temp.lane_of('POST', '/v1/customers/cus_1/sources', lane => '/v1/customers/cus_1');
SELECT pg_temp.lane_of('POST', '/v1/subscriptions/sub_team'),
       pg_temp.lane_of('DELETE', '/v1/subscriptions/sub_team'),
       pg_temp.lane_of('POST', '/v1/subscriptions/sub_team', lane => '/v1/subscriptions/sub_team'),
       pg_temp.lane_of('POST', '/v1/subscription_items/si_team', '{"quantity": 3}'),
       pg_temp.lane_of('DELETE', '/v1/subscription_items/si_team'),
       pg_temp.lane_of('POST', '/v1/subscription_items', '{"price": "p", "subscription": "sub_team"}');
SELECT pg_temp.lane_of('POST', '/v1/subscription_items/si_nobody', lane => 'mine'),
       pg_temp.lane_of('POST', '/v1/subscription_items', '{"subscription": "sub_nobody"}', 'mine'),
       pg_temp.lane_of('POST', '/v1/subscription_items', '{"not_subscription": "sub_team"}', 'mine'),
       pg_temp.lane_of('GET', '/v1/subscription_items/si_team', lane => 'mine');
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/subscription_items/si_team', lane => 'mine'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/subscription_items', '{"subscription": "sub_team"}',
                         'mine'$$);

-- Metadata that is no object takes our marker away: not where there may be one.
SELECT parameters, pg_temp.attempt(format($$'regress_stripe', 'POST', '/v1/subscriptions/sub_team', %L$$, parameters))
  FROM unnest('{"{\"metadata\": \"\"}","{\"a\": 1, \"metadata\": null}","{\"metadata\": \"x\"}","{\"metadata\": 0}","{\"metadata\": false}"}'::text[]) AS parameters;
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers/cus_1', '{"metadata": null}'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', '{"metadata": null}', verifier => 'list'$$);
SELECT pg_temp.attempt(arguments) LIKE 'ok%'
  FROM unnest(ARRAY[
      $$'regress_stripe', 'POST', '/v1/customers', '{"metadata": null}'$$,
      $$'regress_stripe', 'POST', '/v1/customers/cus_1', '{"metadata": {}}'$$,
      $$'regress_stripe', 'POST', '/v1/customers/cus_1', '{"metadata": {"key": ""}}'$$,
      $$'regress_stripe', 'POST', '/v1/customers/cus_1', '{"my_metadata": null}'$$,
      $$'regress_stripe', 'GET', '/v1/customers/cus_1', '{"metadata": null}'$$]) AS arguments;

-- NULL parameters are none.
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', NULL, NULL, NULL, NULL$$);

-- What is refused.
SELECT pg_temp.attempt($$NULL, 'POST', '/v1/customers'$$);
SELECT pg_temp.attempt($$'regress_stripe', NULL, '/v1/customers'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', NULL$$);
SELECT pg_temp.attempt($$'nowhere', 'POST', '/v1/customers'$$);
SELECT pg_temp.attempt($$'regress_alerts', 'POST', '/v1/customers'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'post', '/v1/customers'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'PATCH', '/v1/customers'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', 'v1/customers'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/../v1/account'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers?x=1'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v2/core/events'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', '[1]'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', '{"a": 1.5}'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', '{"a": []}'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', '{"metadata": {"pg_seats": "x"}}'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/checkout/sessions',
    '{"subscription_data": {"metadata": {"pg_seats": "x"}}}'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', '{"description": "pg_seats [pg_seats]"}'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers',
    jsonb_build_object('description', repeat('x', 1024 * 1024))$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', '{}', NULL,
    jsonb_build_object('context', repeat('x', 1024 * 1024))$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', lane => E' \t'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', lane => ''$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', lane => repeat('é', 128)$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', lane => repeat('é', 127)$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', verifier => 'magic'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'GET', '/v1/customers/cus_1', verifier => 'object'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'DELETE', '/v1/customers/cus_1', verifier => 'object'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers', verifier => 'object'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/checkout/sessions', verifier => 'object'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/checkout/sessions', verifier => 'list'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers/cus_1', verifier => 'list'$$);

-- Who may: superusers, and roles with a grant that fits destination, method and path.
CREATE ROLE regress_seats_shop;
CREATE ROLE regress_seats_clerk IN ROLE regress_seats_shop;
CREATE ROLE regress_seats_nobody;
CREATE ROLE regress_seats_outsider NOINHERIT IN ROLE regress_seats_shop;
GRANT USAGE ON SCHEMA seats TO regress_seats_shop, regress_seats_clerk, regress_seats_nobody,
    regress_seats_outsider;
GRANT EXECUTE ON FUNCTION seats.enqueue_call TO regress_seats_shop, regress_seats_nobody,
    regress_seats_outsider;
SELECT seats.grant_call('regress_seats_shop', 'regress_stripe', '{POST}', '/v1/customers/*');
SELECT seats.grant_call('regress_seats_shop', 'regress_stripe', '{GET}', '/v1/**');
-- A grant whose role is gone is nobody's.
INSERT INTO seats_internal.call_grant (grantee, destination, method, path, granted_by)
VALUES ('regress_seats_gone', 'regress_stripe', 'DELETE', '/v1/**', 'regress');

SET ROLE regress_seats_clerk;
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers/cus_1'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'GET', '/v1/invoices/in_1/lines'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers/cus_1/sources'$$);
SELECT pg_temp.attempt($$'regress_stripe', 'DELETE', '/v1/customers/cus_1'$$);
SELECT pg_temp.attempt($$'regress_alerts', 'POST', '/v1/customers/cus_1'$$);
SELECT pg_temp.attempt($$'unknown', 'POST', '/v1/customers/cus_1'$$);
SET ROLE regress_seats_nobody;
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers/cus_1'$$);
SET ROLE regress_seats_outsider;
SELECT pg_temp.attempt($$'regress_stripe', 'POST', '/v1/customers/cus_1'$$);
RESET ROLE;

-- The caller's name is stored, and the caller is himself again afterwards: nothing on our tables is
-- his.
SET ROLE regress_seats_clerk;
SELECT seats.enqueue_call('regress_stripe', 'POST', '/v1/customers/cus_1', lane => 'clerk') AS clerk \gset
SELECT current_user;
SELECT pg_temp.try('SELECT count(*) FROM seats_internal.outbox');
RESET ROLE;
SELECT enqueued_by FROM seats_internal.outbox WHERE id = :clerk;

-- Inside a SECURITY DEFINER function the caller is its owner.
CREATE FUNCTION public.regress_seats_by_shop() RETURNS bigint LANGUAGE sql SECURITY DEFINER
    AS $$ SELECT seats.enqueue_call('regress_stripe', 'POST', '/v1/customers/cus_1') $$;
ALTER FUNCTION public.regress_seats_by_shop() OWNER TO regress_seats_shop;
GRANT EXECUTE ON FUNCTION public.regress_seats_by_shop() TO regress_seats_nobody;
SET ROLE regress_seats_nobody;
SELECT public.regress_seats_by_shop() AS by_shop \gset
RESET ROLE;
SELECT enqueued_by FROM seats_internal.outbox WHERE id = :by_shop;

-- Somebody else's search_path, with operators and a table of his own, decides nothing.
CREATE SCHEMA regress_seats_evil;
CREATE FUNCTION regress_seats_evil.steal(bigint, integer) RETURNS bigint LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'evil operator runs as %', current_user; END $$;
CREATE OPERATOR regress_seats_evil.+ (LEFTARG = bigint, RIGHTARG = integer,
    FUNCTION = regress_seats_evil.steal);
CREATE FUNCTION regress_seats_evil.steal(text, text) RETURNS boolean LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'evil operator runs as %', current_user; END $$;
CREATE OPERATOR regress_seats_evil.= (LEFTARG = text, RIGHTARG = text,
    FUNCTION = regress_seats_evil.steal);
CREATE TABLE regress_seats_evil.lane (id text);
GRANT USAGE ON SCHEMA regress_seats_evil TO regress_seats_clerk;
SET search_path = regress_seats_evil, pg_temp, pg_catalog;
SET ROLE regress_seats_clerk;
SELECT seats.enqueue_call('regress_stripe', 'POST', '/v1/customers/cus_1', lane => 'clerk') > 0;
RESET ROLE;
RESET search_path;

-- In a read-only transaction, and after an error in a subtransaction, everything is as it should be.
SAVEPOINT read_only;
SET TRANSACTION READ ONLY;
SELECT seats.enqueue_call('regress_stripe', 'POST', '/v1/customers', lane => 'ro');
ROLLBACK TO read_only;
SELECT count(*) FROM seats_internal.lane WHERE name = 'ro';
ROLLBACK;
