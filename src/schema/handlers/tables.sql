-- Handlers: functions of the application's own that run when a call has ended. Not rows of the outbox: they must not
-- hold up calls, and a lane's head is its lowest open row.

CREATE TABLE seats_internal.handler (
    call_id              bigint      NOT NULL,
    installation         uuid        NOT NULL,
    lane_id              bigint,
    role                 text        NOT NULL,
    role_oid             oid         NOT NULL,
    on_done              text,
    on_done_owner        text,
    on_done_owner_oid    oid,
    on_refused           text,
    on_refused_owner     text,
    on_refused_owner_oid oid,
    settings             jsonb       NOT NULL DEFAULT '{}',
    context              jsonb,
    created_at           timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- From the end of its call on.
    outcome              jsonb,
    ended_at             timestamptz,
    due_at               timestamptz,
    tries                integer     NOT NULL DEFAULT 0,
    retries              integer     NOT NULL DEFAULT 0,
    starts               smallint    NOT NULL DEFAULT 0,
    careful              boolean     NOT NULL DEFAULT false,
    review_since         timestamptz,
    review_reason        text,
    error                text,
    error_code           text,
    error_context        text,
    failed_at            timestamptz,
    CONSTRAINT handler_pkey PRIMARY KEY (call_id)
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000
);
CREATE INDEX handler_by_lane ON seats_internal.handler (lane_id, call_id) WHERE lane_id IS NOT NULL;
CREATE INDEX handler_to_run ON seats_internal.handler (call_id) WHERE outcome IS NOT NULL AND review_since IS NULL;
CREATE INDEX handler_in_review ON seats_internal.handler (lane_id, call_id) WHERE review_since IS NOT NULL;
COMMENT ON TABLE seats_internal.handler IS
    'the functions that are to run when a call has ended: a row of each call that names one, deleted by the '
    'transaction in which its function runs';
COMMENT ON COLUMN seats_internal.handler.call_id IS 'the row of the outbox, or of its history';
COMMENT ON COLUMN seats_internal.handler.installation IS 'stamp of the installation that runs it: a copy does not';
COMMENT ON COLUMN seats_internal.handler.role IS 'who has enqueued the call, and as whom the function runs';
COMMENT ON COLUMN seats_internal.handler.role_oid IS
    'with the name: another role of this name is another role. After a restore it is another one everywhere, until '
    'the database is adopted';
COMMENT ON COLUMN seats_internal.handler.on_done IS 'the function if the call is done, qualified and quoted';
COMMENT ON COLUMN seats_internal.handler.on_refused IS 'the function if the call is refused or cancelled';
COMMENT ON COLUMN seats_internal.handler.settings IS '{name: value}, set again while the function runs';
COMMENT ON COLUMN seats_internal.handler.outcome IS 'what became of the call, for the function; null: it is open';
COMMENT ON COLUMN seats_internal.handler.due_at IS 'not before; null: at once';
COMMENT ON COLUMN seats_internal.handler.tries IS 'how often it failed by its own fault';
COMMENT ON COLUMN seats_internal.handler.retries IS 'how often it lost against others: deadlocks and the like';
COMMENT ON COLUMN seats_internal.handler.starts IS 'how often it was begun and nothing was heard of it since';
COMMENT ON COLUMN seats_internal.handler.careful IS
    'has taken too long, or waited for a lock: does not get the last process';
COMMENT ON COLUMN seats_internal.handler.review_since IS 'since when a person must decide; null: he need not';
COMMENT ON COLUMN seats_internal.handler.error_code IS 'SQLSTATE of the last failure';

CREATE TABLE seats_internal.compensated_call (
    call_id  bigint      NOT NULL,
    uuid     uuid        NOT NULL,
    ended_at timestamptz NOT NULL,
    CONSTRAINT compensated_call_pkey PRIMARY KEY (call_id)
);
CREATE INDEX compensated_call_by_uuid ON seats_internal.compensated_call (uuid);
CREATE INDEX compensated_call_by_age ON seats_internal.compensated_call (ended_at);
COMMENT ON TABLE seats_internal.compensated_call IS
    'calls that were refused or cancelled and have an on_refused: should Stripe execute one after all, a person must know';

-- As the verbs take it.
CREATE TYPE seats_internal.named_handlers AS (
    on_done       text,
    on_refused    text,
    context       jsonb,
    keep_settings text[]
);
COMMENT ON TYPE seats_internal.named_handlers IS
    'which functions are to run at the end of what is enqueued, with what; null (all of it): none';

CREATE TABLE seats_internal.handler_grant (
    function   text        NOT NULL,
    owner      text        NOT NULL,
    owner_oid  oid         NOT NULL,
    role       text        NOT NULL,
    role_oid   oid         NOT NULL,
    granted_by text        NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT handler_grant_pkey PRIMARY KEY (function, role)
);
COMMENT ON TABLE seats_internal.handler_grant IS
    'functions that run as a role although they belong to another one: as long as they belong to that very one';
