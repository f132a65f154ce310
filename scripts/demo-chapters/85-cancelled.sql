-- The subscription is cancelled
\! simulate dashboard cancel

-- Its members lose their seats at once. The application reads the journal as a feed, under a name of
-- its own, and knows by external_id whom to remove from its chat.
\! simulate until "SELECT count(number) = 1 FROM seats.journal WHERE kind = 'team.cancelled'"
BEGIN;
SELECT number, kind, team, detail ->> 'user_id' AS user_id, detail ->> 'external_id' AS external_id
  FROM seats.read_journal('chat-sync', 100) WHERE kind IN ('member.removed', 'team.cancelled');
SELECT seats.acknowledge_journal('chat-sync', 30);      -- read, and done with, up to this number
COMMIT;

-- And nobody can buy any more. (The demo ends at an error, except at this one.)
\set ON_ERROR_STOP off
SELECT * FROM seats.add_seats('acme', 'team', 1, actor => 'ada');
\set ON_ERROR_STOP on
