-- Enqueueing calls and waiting for them. C functions that run as their caller, because the caller's
-- name and rights are what counts; inside they act on our tables as the extension's owner. None has
-- a SET clause: their statements name every schema, and a procedure with one could not commit.

CREATE OR REPLACE FUNCTION seats.enqueue_call(
    destination   text,
    method        text,
    path          text,
    parameters    jsonb  DEFAULT '{}',
    lane          text   DEFAULT NULL,
    context       jsonb  DEFAULT NULL,
    verifier      text   DEFAULT NULL,
    on_done       text   DEFAULT NULL,
    on_refused    text   DEFAULT NULL,
    keep_settings text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'pg_seats_enqueue_call';
REVOKE ALL ON FUNCTION seats.enqueue_call(
    text, text, text, jsonb, text, jsonb, text, text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats.enqueue_call(
    text, text, text, jsonb, text, jsonb, text, text, text, text[]) IS
    'enqueues a call of Stripe''s API in this transaction and returns its id: it is sent once, if the '
    'transaction commits. Calls of one lane are made in order, calls without a lane in any. verifier '
    'says how an unknown outcome is proven: ''object'' reads the path''s object (whose path is the '
    'lane, unless one is given), ''list'' searches the list into which the call creates; without one '
    'Stripe''s events are searched. Where nothing proves anything, a person is '
    'asked. on_done and on_refused name functions of yours, schema.function(bigint, jsonb, jsonb), that '
    'run as you when the call is done, or refused or cancelled: with its id, the outcome and your '
    'context, and with those of your settings set that keep_settings names. Granted with grant_call().';

CREATE OR REPLACE PROCEDURE seats.wait_for_call(
    call              bigint,
    timeout           interval DEFAULT NULL,
    INOUT state       text     DEFAULT NULL,
    INOUT http_status integer  DEFAULT NULL,
    INOUT reason      text     DEFAULT NULL,
    handlers          boolean  DEFAULT false
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'pg_seats_wait_for_call';
REVOKE ALL ON PROCEDURE seats.wait_for_call(bigint, interval, text, integer, text, boolean) FROM PUBLIC;
COMMENT ON PROCEDURE seats.wait_for_call(bigint, interval, text, integer, text, boolean) IS
    'commits, then sleeps until the call is settled (done, refused, cancelled), stands (review, '
    'awaiting) or the time is up; state says which. With handlers it goes on until what was to run at '
    'the call''s end is committed; if that is not so when the time is up, or needs a person, state is '
    'handler_waiting or handler_in_review. Holds no snapshot and no lock while it sleeps, so it may not '
    'be called inside a transaction.';

CREATE OR REPLACE FUNCTION seats.await_call(
    call            bigint,
    timeout         interval DEFAULT NULL,
    handlers        boolean  DEFAULT false,
    OUT state       text,
    OUT http_status integer,
    OUT reason      text
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'pg_seats_await_call';
REVOKE ALL ON FUNCTION seats.await_call(bigint, interval, boolean) FROM PUBLIC;
COMMENT ON FUNCTION seats.await_call(bigint, interval, boolean) IS
    'wait_for_call for drivers that cannot CALL, at most 30 seconds. It holds the snapshot of its '
    'query while it waits, so vacuum removes nothing newer, and read locks on the outbox until the '
    'transaction ends.';

CREATE OR REPLACE FUNCTION seats.call_answer(call bigint) RETURNS json
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'pg_seats_call_answer';
REVOKE ALL ON FUNCTION seats.call_answer(bigint) FROM PUBLIC;
COMMENT ON FUNCTION seats.call_answer(bigint) IS
    'Stripe''s answer to a settled call, client secrets removed; null if it is not settled, or its '
    'answer was not JSON';
