-- Waiting for changes. As with calls (outbox/enqueue.sql), these are C functions that run as their
-- caller and have no SET clause, because a procedure with one could not commit.

CREATE OR REPLACE PROCEDURE seats.wait_for_change(
    change       bigint,
    timeout      interval DEFAULT NULL,
    INOUT state  text     DEFAULT NULL,
    INOUT reason text     DEFAULT NULL,
    handlers     boolean  DEFAULT false
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'pg_seats_wait_for_change';
REVOKE ALL ON PROCEDURE seats.wait_for_change(bigint, interval, text, text, boolean) FROM PUBLIC;
COMMENT ON PROCEDURE seats.wait_for_change(bigint, interval, text, text, boolean) IS
    'commits, then sleeps until the change is settled (confirmed, reverted, cancelled), stands '
    '(awaiting_payment, in_review) or the time is up (pending). With handlers it goes on until what was '
    'to run at the change''s end is committed; if that is not so when the time is up, or needs a person, '
    'state is handler_waiting or handler_in_review. Holds no snapshot and no lock while it sleeps, so it '
    'may not be called inside a transaction.';

CREATE OR REPLACE FUNCTION seats.await_change(
    change     bigint,
    timeout    interval DEFAULT NULL,
    handlers   boolean  DEFAULT false,
    OUT state  text,
    OUT reason text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'pg_seats_await_change';
REVOKE ALL ON FUNCTION seats.await_change(bigint, interval, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.await_change(bigint, interval, boolean) IS
    'wait_for_change for drivers that cannot CALL, at most 30 seconds. It holds the snapshot of its '
    'query while it waits, so vacuum removes nothing newer.';

CREATE OR REPLACE PROCEDURE seats.change_seats_and_wait(
    team           text,
    changes        jsonb,
    actor          text     DEFAULT NULL,
    request_key    text     DEFAULT NULL,
    expected       jsonb    DEFAULT NULL,
    proration_date bigint   DEFAULT NULL,
    timeout        interval DEFAULT NULL,
    INOUT change   bigint   DEFAULT NULL,
    INOUT state    text     DEFAULT NULL,
    INOUT reason   text     DEFAULT NULL,
    INOUT repeated boolean  DEFAULT NULL,
    on_done        text     DEFAULT NULL,
    on_refused     text     DEFAULT NULL,
    context        jsonb    DEFAULT NULL,
    keep_settings  text[]   DEFAULT NULL,
    handlers       boolean  DEFAULT false
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'pg_seats_change_seats_and_wait';
REVOKE ALL ON PROCEDURE seats.change_seats_and_wait(
    text, jsonb, text, text, jsonb, bigint, interval, bigint, text, text,
    boolean, text, text, jsonb, text[], boolean) FROM PUBLIC;
COMMENT ON PROCEDURE seats.change_seats_and_wait(
    text, jsonb, text, text, jsonb, bigint, interval, bigint, text, text,
    boolean, text, text, jsonb, text[], boolean) IS
    'change_seats, commit, and wait_for_change in one';
