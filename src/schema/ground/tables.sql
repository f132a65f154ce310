-- Who we are, where calls go, and who may enqueue which.

CREATE TABLE seats_internal.installation (
    singleton   boolean     NOT NULL DEFAULT true,
    uuid        uuid        NOT NULL,
    timeline    integer     NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text        NOT NULL,
    doubted_at  timestamptz,
    page_changes bigint     NOT NULL DEFAULT 0,
    CONSTRAINT installation_pkey PRIMARY KEY (singleton),
    CONSTRAINT installation_is_one_row CHECK (singleton)
);
COMMENT ON TABLE seats_internal.installation IS
    'the identity under which this database sends; a file in the secrets directory must say the same';
COMMENT ON COLUMN seats_internal.installation.doubted_at IS
    'when it was last restored, or failed over: something may be forgotten since; null: never';
COMMENT ON COLUMN seats_internal.installation.page_changes IS
    'a part of the version of every team''s page: raised by verbs, for what all of them may show';

-- In no dump (end/dump.sql), so a database that was loaded from one has no such row, also where the file
-- of its own past is still there. Nobody but the two functions that a person calls writes it.
CREATE TABLE seats_internal.adoption (
    singleton   boolean     NOT NULL DEFAULT true,
    uuid        uuid        NOT NULL,
    CONSTRAINT adoption_pkey PRIMARY KEY (singleton),
    CONSTRAINT adoption_is_one_row CHECK (singleton)
);
COMMENT ON TABLE seats_internal.adoption IS
    'the installation as which a person has set up or adopted this very database; neither dumped nor replicated';

CREATE TABLE seats_internal.destination (
    name                text        NOT NULL,
    kind                text        NOT NULL DEFAULT 'stripe',
    base_url            text        NOT NULL,
    secret              text,
    account             text,
    livemode            boolean,
    api_version         text,
    requests_per_second double precision NOT NULL,
    probe_path          text        NOT NULL DEFAULT '/v1/account',
    created_at          timestamptz NOT NULL DEFAULT now(),
    created_by          text        NOT NULL,
    paused_at           timestamptz,
    paused_by           text,
    paused_reason       text,
    halted_at           timestamptz,
    halted_reason       text,
    halted_message      text,
    halted_needs_person boolean     NOT NULL DEFAULT false,
    crashes             smallint    NOT NULL DEFAULT 0,
    CONSTRAINT destination_pkey PRIMARY KEY (name),
    CONSTRAINT destination_kind_is_known CHECK (kind IN ('stripe', 'receiver')),
    CONSTRAINT destination_stripe_has_a_secret CHECK (kind <> 'stripe' OR secret IS NOT NULL),
    CONSTRAINT destination_rate_is_positive CHECK (requests_per_second > 0)
);
COMMENT ON TABLE seats_internal.destination IS
    'where calls go; secret is the name of a file in the secrets directory, never the secret';
COMMENT ON COLUMN seats_internal.destination.crashes IS
    'how often in a row the worker crashed while it read the answer to a probe or a list of events';

CREATE TABLE seats_internal.call_grant (
    grantee     text    NOT NULL,
    destination text    NOT NULL,
    method      text    NOT NULL,
    path        text    NOT NULL,
    granted_by  text    NOT NULL,
    granted_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT call_grant_pkey PRIMARY KEY (grantee, destination, method, path)
);
COMMENT ON TABLE seats_internal.call_grant IS
    'who may enqueue which calls; roles by name, because an OID means another role after a restore';
