-- The journal: who did what, and what came of it
-- Append-only, numbered after the commit: an application can follow it as a feed of events.
SELECT number, kind, role, actor, call, reason
  FROM seats.journal ORDER BY number;

-- All is well again:
SELECT status, count(*) AS checks FROM seats.health GROUP BY status;
