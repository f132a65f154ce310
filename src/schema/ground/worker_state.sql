-- What the worker of this database says about itself. Read from shared memory, never from a table:
-- a row that changes with every call would be the hottest of all.

CREATE OR REPLACE FUNCTION seats_internal.worker_state(
    OUT pid             integer,
    OUT state           text,
    OUT started_at      timestamptz,
    OUT last_loop_at    timestamptz,
    OUT in_flight       integer,
    OUT ready           integer,
    OUT reading_backlog boolean,
    OUT debug_point     text,
    OUT trouble         text,
    OUT claims          bigint,
    OUT frozen          bigint,
    OUT sent            bigint,
    OUT reads           bigint,
    OUT done            bigint,
    OUT refused         bigint,
    OUT again           bigint,
    OUT unknown         bigint,
    OUT halted          bigint,
    OUT reviews         bigint,
    OUT settle_failures bigint,
    OUT wakes           bigint,
    OUT row_errors      bigint,
    OUT handlers_done   bigint,
    OUT handlers_failed bigint,
    OUT loops           bigint,
    OUT transactions    bigint,
    OUT launcher_pid    integer,
    OUT preloaded       boolean
) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pg_seats_worker_state';
REVOKE ALL ON FUNCTION seats_internal.worker_state() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.worker_state() IS
    'this database''s worker: one row always; state is none, starting, running, fenced or not preloaded, and the counters count since the server''s start';

CREATE OR REPLACE FUNCTION seats_internal.destination_state(
    OUT destination         text,
    OUT breaker             text,
    OUT proven              boolean,
    OUT requests_per_second double precision,
    OUT in_flight           integer,
    OUT held                integer,
    OUT trouble             text
) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 16
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pg_seats_destination_state';
REVOKE ALL ON FUNCTION seats_internal.destination_state() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.destination_state() IS
    'the destinations as this database''s worker sees them: breaker closed, open or half_open; proven: the key is the right account''s; held: ready, but not sent now';
