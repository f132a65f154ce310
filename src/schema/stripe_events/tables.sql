-- What Stripe sends: from where it comes in, every event that came, and those of our own calls that are waited for.

CREATE TABLE seats_internal.webhook_endpoint (
    name        text        NOT NULL,
    destination text        NOT NULL,
    secrets     text[]      NOT NULL,
    defined_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    defined_by  text        NOT NULL,
    CONSTRAINT webhook_endpoint_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE seats_internal.webhook_endpoint IS
    'where webhooks come in, and which account and mode they must be of: those of the destination';
COMMENT ON COLUMN seats_internal.webhook_endpoint.secrets IS
    'names of files in the secrets directory, never secrets; several while a secret is rolled';

-- By endpoint and id: an event is taken once, however often it is delivered. No CHECK: its error
-- would print the row.
CREATE TABLE seats_internal.webhook_event (
    endpoint        text        NOT NULL,
    event_id        text        NOT NULL,
    destination     text        NOT NULL,
    type            text        NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    processed_at    timestamptz,
    outcome         text        NOT NULL DEFAULT 'stored',
    tries           integer     NOT NULL DEFAULT 0,
    retry_at        timestamptz,
    error           text,
    created         timestamptz,
    livemode        boolean,
    object_id       text,
    subscription    text,
    idempotency_key text,
    facts           jsonb       NOT NULL,
    payload         bytea,
    CONSTRAINT webhook_event_pkey PRIMARY KEY (event_id, endpoint)
);
COMMENT ON TABLE seats_internal.webhook_event IS
    'events as they came in, and what came of each; kept as long as the history';
COMMENT ON COLUMN seats_internal.webhook_event.endpoint IS
    'the webhook endpoint, or list:<destination> if it was not sent but found in Stripe''s list';
COMMENT ON COLUMN seats_internal.webhook_event.processed_at IS 'null: the worker tries it again at retry_at';
COMMENT ON COLUMN seats_internal.webhook_event.retry_at IS
    'null: it is processed (by the transaction that has brought it, nearly always)';
COMMENT ON COLUMN seats_internal.webhook_event.created IS 'Stripe''s time of it, in whole seconds: gives no order';
COMMENT ON COLUMN seats_internal.webhook_event.facts IS 'its known fields, as C++ has read them (src/core/event.hpp)';
COMMENT ON COLUMN seats_internal.webhook_event.payload IS
    'as it came, client secrets removed, for people: we read the facts. Null if it was found in a list, or ignored as it came';

CREATE INDEX webhook_event_unprocessed ON seats_internal.webhook_event (retry_at)
    WHERE retry_at IS NOT NULL;
-- (By their time they are looked for, and by nothing else: whoever wants one of them says `(endpoint = …) IS TRUE`, which
-- keeps its plan, made while there were few, from reading all of an endpoint in here.)
CREATE INDEX webhook_event_by_time ON seats_internal.webhook_event (endpoint, received_at);
CREATE INDEX webhook_event_by_subscription ON seats_internal.webhook_event (subscription)
    WHERE subscription IS NOT NULL;
-- (Whether an invoice is over is all that is looked up by an object. Each index costs every event that it holds.)
CREATE INDEX webhook_event_by_invoice ON seats_internal.webhook_event (object_id)
    WHERE type = ANY ('{invoice.paid,invoice.voided,invoice.marked_uncollectible}'::text[]);
CREATE INDEX webhook_event_by_key ON seats_internal.webhook_event (idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- Types that nothing follows from, and of which events came all the same.
CREATE TABLE seats_internal.unknown_type (
    destination text        NOT NULL,
    type        text        NOT NULL,
    told_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT unknown_type_pkey PRIMARY KEY (destination, type)
);
COMMENT ON TABLE seats_internal.unknown_type IS
    'types of events that nothing follows from, and of which the journal has told; forgotten with the history';

-- How far Stripe's list of events was read, where webhooks are missing.
CREATE TABLE seats_internal.event_cursor (
    destination  text   NOT NULL,
    since        bigint,
    listed_at    timestamptz,
    requested_at timestamptz,
    CONSTRAINT event_cursor_pkey PRIMARY KEY (destination)
);
COMMENT ON TABLE seats_internal.event_cursor IS
    'how far a destination''s list of events was read, and whether somebody wants it read now';
COMMENT ON COLUMN seats_internal.event_cursor.since IS
    'Stripe''s time (unix) of the newest event of the last list that was read to its end';

-- Stripe tells of every change, also of ours, and of what was there before it. So the event of a
-- call of ours shows whether somebody else had changed the same thing between our read and our call.
CREATE TABLE seats_internal.expected_event (
    idempotency_key text        NOT NULL,
    destination     text        NOT NULL,
    team_id         bigint      NOT NULL,
    call_id         bigint      NOT NULL,
    base            jsonb       NOT NULL,
    target          jsonb       NOT NULL,
    sent_at         timestamptz NOT NULL,
    nothing_changed boolean     NOT NULL DEFAULT false,
    looks           integer     NOT NULL DEFAULT 0,
    look_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT expected_event_pkey PRIMARY KEY (idempotency_key)
);
CREATE INDEX expected_event_by_team ON seats_internal.expected_event (team_id);
CREATE INDEX expected_event_by_age ON seats_internal.expected_event (look_at);
-- The few that are judged, or given up, once a list was read.
CREATE INDEX expected_event_changed_nothing ON seats_internal.expected_event (destination)
    WHERE nothing_changed;
CREATE INDEX expected_event_looked_for ON seats_internal.expected_event (destination, sent_at)
    WHERE looks > 3;
COMMENT ON COLUMN seats_internal.expected_event.nothing_changed IS
    'an event of the call was seen that tells of no changed items';
COMMENT ON TABLE seats_internal.expected_event IS
    'executed calls whose event at Stripe was not seen yet: it tells what they really changed';
