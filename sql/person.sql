-- Who acts, where several share a role of the database: in the journal's entries of what they do, and of nothing else.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_seats;
SET client_min_messages = error;
\pset format unaligned
\pset tuples_only on
BEGIN;
SELECT seats.create_installation() IS NOT NULL WHERE NOT EXISTS (SELECT FROM seats_internal.installation);
SELECT seats.define_destination('regress_person', 'http://127.0.0.1:9', 'test_key', livemode => false) IS NOT NULL;
CREATE FUNCTION pg_temp.said() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', j.kind, j.role = current_user, coalesce(j.detail ->> 'person', '-'))
      FROM seats_internal.journal AS j ORDER BY j.id DESC LIMIT 1
$$;
-- Nobody has said anything.
SELECT seats.pause('regress_person', 'a look') IS NOT NULL;
SELECT pg_temp.said();
SET LOCAL pg_seats.person = 'Carol Kühn';
SELECT seats.resume('regress_person', 'all is well') IS NOT NULL;
SELECT pg_temp.said();
-- What Stripe has told, in whichever session, and what the worker does is nobody's.
SELECT seats_internal.write_journal('invoice.paid', 'stripe', NULL, NULL, NULL);
SELECT pg_temp.said();
SELECT seats_internal.write_journal('call.review', 'pg_seats', NULL, NULL, NULL);
SELECT pg_temp.said();
-- Who is to be forgotten is forgotten here, too.
SET LOCAL pg_seats.person = 'Dan';
SELECT journal_entries FROM seats.erase_person('Carol Kühn', 'she asks us to');
SELECT kind, j.detail ->> 'person' ~ '^erased-' AS tells_nothing FROM seats_internal.journal AS j WHERE j.kind = 'destination.resumed' AND j.detail ->> 'person' IS NOT NULL;
-- With the transaction it is over.
SAVEPOINT before;
SET LOCAL pg_seats.person = E'Carol\nKühn';
ROLLBACK TO before;
SET LOCAL pg_seats.person = E'Carol\x7f';
ROLLBACK TO before;
SELECT set_config('pg_seats.person', repeat('ü', 101), true);
ROLLBACK TO before;
SELECT length(set_config('pg_seats.person', repeat('ü', 100), true));
ROLLBACK;
SELECT current_setting('pg_seats.person') = '' AS nobody;
-- In no file: the worker would act in somebody's name.
ALTER SYSTEM SET pg_seats.person = 'Carol';
