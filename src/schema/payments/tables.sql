-- Payments: a request that a group shares, what each member owes, one payment after the other for it, and what really
-- happened. A number names one thing: requests, members, payments, transactions and refunds have theirs from the
-- outbox's sequence, so that a transaction can have a handler, and a payment be explained, like a call.

CREATE TABLE seats_internal.payment_request (
    id                     bigint      NOT NULL DEFAULT nextval('seats_internal.outbox_id_seq'),
    destination            text        NOT NULL,
    request_key            text        NOT NULL,
    currency               text        NOT NULL,
    title                  text,
    state                  text        NOT NULL DEFAULT 'open',
    version                bigint      NOT NULL DEFAULT 1,
    when_paid_after_cancel text        NOT NULL DEFAULT 'ask',
    abandon_after          interval,
    created_at             timestamptz NOT NULL DEFAULT now(),
    created_by             text        NOT NULL,
    -- As whom the functions for what happens run, with what: as of a call's handlers.
    role                   text        NOT NULL,
    role_oid               oid         NOT NULL,
    settings               jsonb       NOT NULL DEFAULT '{}',
    context                jsonb,
    arguments              jsonb       NOT NULL,
    CONSTRAINT payment_request_pkey PRIMARY KEY (id),
    CONSTRAINT payment_request_has_one_key UNIQUE (request_key),
    CONSTRAINT payment_request_state_is_known CHECK (state IN ('open', 'cancelled')),
    CONSTRAINT payment_request_is_paid_after_cancel_somehow CHECK (when_paid_after_cancel IN ('ask', 'refund', 'keep'))
) WITH (fillfactor = 70);
COMMENT ON TABLE seats_internal.payment_request IS
    'a bill that members share. Its row is updated first by each verb; the worker never touches it';
COMMENT ON COLUMN seats_internal.payment_request.request_key IS
    'the application''s name for it: what Stripe''s idempotency keys are made from';
COMMENT ON COLUMN seats_internal.payment_request.when_paid_after_cancel IS
    'what becomes of money that comes in although nobody was to pay it any more: ask a person, refund, keep';
COMMENT ON COLUMN seats_internal.payment_request.abandon_after IS
    'a payment that nobody has gone on with for so long is cancelled; null: none is';
COMMENT ON COLUMN seats_internal.payment_request.arguments IS 'what the same request_key must repeat';

-- One function for each kind of fact, as it was checked when the request was made.
CREATE TABLE seats_internal.payment_handler (
    request_id bigint NOT NULL,
    fact       text   NOT NULL,
    function   text   NOT NULL,
    owner      text   NOT NULL,
    owner_oid  oid    NOT NULL,
    CONSTRAINT payment_handler_pkey PRIMARY KEY (request_id, fact),
    CONSTRAINT payment_handler_is_of_a_request FOREIGN KEY (request_id)
        REFERENCES seats_internal.payment_request (id) ON DELETE CASCADE,
    CONSTRAINT payment_handler_fact_is_known CHECK (fact IN ('paid', 'failed', 'cancelled', 'refunded', 'disputed'))
);
COMMENT ON TABLE seats_internal.payment_handler IS
    'the application''s functions for what happens to payments of a request, once for each transaction';

CREATE TABLE seats_internal.payment_member (
    id              bigint      NOT NULL DEFAULT nextval('seats_internal.outbox_id_seq'),
    request_id      bigint      NOT NULL,
    lane_id         bigint      NOT NULL,
    reference       text        NOT NULL,
    hash            text        NOT NULL,
    amount          bigint      NOT NULL,
    state           text        NOT NULL DEFAULT 'unpaid',
    attempts        integer     NOT NULL DEFAULT 0,
    live_payment_id bigint,
    reason          text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    state_since     timestamptz NOT NULL DEFAULT now(),
    removed_at      timestamptz,
    CONSTRAINT payment_member_pkey PRIMARY KEY (id),
    CONSTRAINT payment_member_is_of_a_request FOREIGN KEY (request_id)
        REFERENCES seats_internal.payment_request (id),
    CONSTRAINT payment_member_is_once_in_a_request UNIQUE (request_id, reference),
    CONSTRAINT payment_member_has_one_hash UNIQUE (hash),
    CONSTRAINT payment_member_owes_no_less_than_nothing CHECK (amount >= 0),
    CONSTRAINT payment_member_state_is_known CHECK (state IN
        ('unpaid', 'paying', 'paid', 'paid_other_amount', 'refunded', 'paid_outside', 'waived', 'nothing_due'))
) WITH (fillfactor = 70);
CREATE INDEX payment_member_by_lane ON seats_internal.payment_member (lane_id);
COMMENT ON TABLE seats_internal.payment_member IS
    'what a member of a request owes. Whoever changes it, or a payment of it, has its lane''s row: the worker, too, which '
    'passes by a lane that somebody holds';
COMMENT ON COLUMN seats_internal.payment_member.lane_id IS 'its own lane: the order of its calls, and its lock';
COMMENT ON COLUMN seats_internal.payment_member.reference IS 'the application''s name of the payer; never sent to Stripe';
COMMENT ON COLUMN seats_internal.payment_member.hash IS
    'of request_key and reference: what stands in metadata at Stripe, and in idempotency keys';
COMMENT ON COLUMN seats_internal.payment_member.attempts IS 'how many payments were begun for it';
COMMENT ON COLUMN seats_internal.payment_member.live_payment_id IS
    'the one payment that can still be paid, or may be; null: none';
COMMENT ON COLUMN seats_internal.payment_member.removed_at IS 'a member that has paid, or may, is closed and not deleted';

CREATE TABLE seats_internal.payment (
    id                  bigint      NOT NULL DEFAULT nextval('seats_internal.outbox_id_seq'),
    member_id           bigint      NOT NULL,
    lane_id             bigint      NOT NULL,
    destination         text        NOT NULL,
    installation        uuid        NOT NULL,
    attempt             integer     NOT NULL,
    uuid                uuid        NOT NULL,
    call_id             bigint,
    intent              text,
    amount              bigint      NOT NULL,
    currency            text        NOT NULL,
    parameters          jsonb       NOT NULL DEFAULT '{}',
    state               text        NOT NULL DEFAULT 'creating',
    status              text,
    next_action         text,
    error_code          text,
    decline_code        text,
    charge              text,
    has_transfer        boolean     NOT NULL DEFAULT false,
    received            bigint      NOT NULL DEFAULT 0,
    refunded            bigint      NOT NULL DEFAULT 0,
    refund_reserved     bigint      NOT NULL DEFAULT 0,
    disputed            bigint      NOT NULL DEFAULT 0,
    refund_is_open      boolean     NOT NULL DEFAULT false,
    dispute_is_open     boolean     NOT NULL DEFAULT false,
    read_at             timestamptz,
    heard_at            timestamptz NOT NULL DEFAULT now(),
    cancel_requested_at timestamptz,
    cancel_reason       text,
    cancel_call_id      bigint,
    cancel_refused_in   text,
    review_since        timestamptz,
    review_reason       text,
    abandon_after       interval,
    created_at          timestamptz NOT NULL DEFAULT now(),
    touched_at          timestamptz NOT NULL DEFAULT now(),
    state_since         timestamptz NOT NULL DEFAULT now(),
    is_unfinished       boolean     NOT NULL GENERATED ALWAYS AS (
        intent IS NOT NULL
        AND (state IN ('creating', 'payable', 'processing')
             OR state IN ('refused', 'canceled') AND coalesce(status, '') <> 'canceled'
             OR refund_is_open OR dispute_is_open)) STORED,
    -- (In UTC: otherwise it would depend on a setting, and could be stored nowhere.)
    abandon_at          timestamp   GENERATED ALWAYS AS (timezone('UTC', touched_at) + abandon_after) STORED,
    CONSTRAINT payment_pkey PRIMARY KEY (id),
    CONSTRAINT payment_is_of_a_member FOREIGN KEY (member_id) REFERENCES seats_internal.payment_member (id),
    CONSTRAINT payment_attempt_is_once UNIQUE (member_id, attempt),
    CONSTRAINT payment_has_one_intent UNIQUE (intent, destination),
    CONSTRAINT payment_has_one_uuid UNIQUE (uuid),
    CONSTRAINT payment_state_is_known CHECK (state IN
        ('creating', 'payable', 'processing', 'succeeded', 'canceled', 'refused', 'left_to_original')),
    CONSTRAINT payment_refunds_fit CHECK (refunded + refund_reserved <= received)
) WITH (fillfactor = 70);
CREATE INDEX payment_by_lane ON seats_internal.payment (lane_id);
-- (Not by the destination first: before anything is known of how many there are, the one intent of a destination would be
-- looked for among all of them.)
CREATE INDEX payment_by_creation ON seats_internal.payment (created_at);
CREATE INDEX payment_is_live ON seats_internal.payment (touched_at)
    WHERE state IN ('creating', 'payable', 'processing');
CREATE INDEX payment_is_abandoned ON seats_internal.payment (abandon_at)
    WHERE abandon_at IS NOT NULL AND state IN ('creating', 'payable') AND cancel_requested_at IS NULL;
CREATE INDEX payment_is_unfinished ON seats_internal.payment (heard_at) WHERE is_unfinished;
CREATE INDEX payment_in_review ON seats_internal.payment (review_since) WHERE review_since IS NOT NULL;
COMMENT ON TABLE seats_internal.payment IS
    'an attempt of a member to pay: one PaymentIntent. Of a member at most one is creating, payable or processing';
COMMENT ON COLUMN seats_internal.payment.uuid IS
    'made from installation, the member''s hash and the attempt: the outbox row of its create has it, and so key and marker';
COMMENT ON COLUMN seats_internal.payment.call_id IS 'the call that creates the intent; null: it was found at Stripe';
COMMENT ON COLUMN seats_internal.payment.parameters IS 'the application''s, as they were sent';
COMMENT ON COLUMN seats_internal.payment.state IS
    'creating: no intent is known yet; payable: the payer can go on; processing: at his bank, for days perhaps; succeeded, '
    'canceled: for ever; refused: no intent was made; left_to_original: the database that this one is a copy of has it';
COMMENT ON COLUMN seats_internal.payment.status IS 'Stripe''s, as last read';
COMMENT ON COLUMN seats_internal.payment.next_action IS 'the type of what the payer has to do next; never its URL';
COMMENT ON COLUMN seats_internal.payment.received IS 'what Stripe has received, in minor units';
COMMENT ON COLUMN seats_internal.payment.refund_reserved IS 'refunds that are under way; freed if one fails';
COMMENT ON COLUMN seats_internal.payment.disputed IS 'what disputes hold back, or have taken';
COMMENT ON COLUMN seats_internal.payment.read_at IS 'when the request left whose answer was taken over last';
COMMENT ON COLUMN seats_internal.payment.abandon_after IS 'its request''s, which never changes';
COMMENT ON COLUMN seats_internal.payment.abandon_at IS
    'when it is cancelled if nobody goes on with it before, in UTC; null: never';
COMMENT ON COLUMN seats_internal.payment.heard_at IS
    'when Stripe has last said something of it, or was last asked because it had not';
COMMENT ON COLUMN seats_internal.payment.is_unfinished IS
    'something of it will yet come to an end at Stripe: it is read when nothing was heard of it for a day';
COMMENT ON COLUMN seats_internal.payment.review_reason IS
    'paid_after_cancel, paid_other_amount, paid_twice; once it is decided: kept (it counts as paid, whatever came in) or '
    'refunded';
COMMENT ON COLUMN seats_internal.payment.cancel_requested_at IS 'it is to be cancelled; that may take days';
COMMENT ON COLUMN seats_internal.payment.cancel_refused_in IS
    'Stripe''s status in which it has refused last to cancel it';

-- What really happened. Money in these rows is money at Stripe.
CREATE TABLE seats_internal.payment_transaction (
    id          bigint      NOT NULL DEFAULT nextval('seats_internal.outbox_id_seq'),
    payment_id  bigint      NOT NULL,
    kind        text        NOT NULL,
    object      text        NOT NULL,
    amount      bigint      NOT NULL,
    currency    text        NOT NULL,
    charge      text,
    event       text,
    reason      text,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT payment_transaction_pkey PRIMARY KEY (id),
    CONSTRAINT payment_transaction_is_of_a_payment FOREIGN KEY (payment_id) REFERENCES seats_internal.payment (id),
    CONSTRAINT payment_transaction_happens_once UNIQUE (payment_id, kind, object),
    CONSTRAINT payment_transaction_kind_is_known CHECK (kind IN
        ('succeeded', 'failed', 'cancelled', 'refunded', 'refund_failed', 'disputed', 'dispute_won', 'dispute_lost'))
);
COMMENT ON TABLE seats_internal.payment_transaction IS
    'what really happened to payments, as Stripe has said it; append-only';
COMMENT ON COLUMN seats_internal.payment_transaction.object IS
    'Stripe''s id of what it is about: the intent, the failed charge, the refund, the dispute';
COMMENT ON COLUMN seats_internal.payment_transaction.event IS 'of Stripe''s that has told it first; null: a read has';

CREATE TABLE seats_internal.refund (
    id                     bigint      NOT NULL DEFAULT nextval('seats_internal.outbox_id_seq'),
    payment_id             bigint      NOT NULL,
    request_key            text,
    call_id                bigint,
    refund                 text,
    marker                 text,
    amount                 bigint      NOT NULL,
    currency               text        NOT NULL,
    state                  text        NOT NULL DEFAULT 'reserved',
    reason                 text,
    reverse_transfer       boolean,
    refund_application_fee boolean,
    failure_reason         text,
    asked_by               text        NOT NULL,
    created_at             timestamptz NOT NULL DEFAULT now(),
    state_since            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refund_pkey PRIMARY KEY (id),
    CONSTRAINT refund_is_of_a_payment FOREIGN KEY (payment_id) REFERENCES seats_internal.payment (id),
    CONSTRAINT refund_is_known_once UNIQUE (payment_id, refund),
    CONSTRAINT refund_has_one_key UNIQUE (payment_id, request_key),
    CONSTRAINT refund_gives_something CHECK (amount > 0),
    CONSTRAINT refund_state_is_known CHECK (state IN
        ('reserved', 'pending', 'requires_action', 'succeeded', 'failed', 'canceled', 'refused'))
);
COMMENT ON TABLE seats_internal.refund IS
    'refunds: asked for here (with a call), or found at Stripe (without)';
COMMENT ON COLUMN seats_internal.refund.marker IS
    'of the call that has made it, where it was found at Stripe and that call is not known here; null: none of ours has';
COMMENT ON COLUMN seats_internal.refund.state IS
    'reserved: its call has no answer yet; refused: Stripe made none; the others are Stripe''s';

-- How far the lists of intents were read, by destination; and those that nobody here knows.
CREATE TABLE seats_internal.payment_listing (
    destination    text        NOT NULL,
    holds_creates  boolean     NOT NULL DEFAULT false,
    wanted_since   timestamptz,
    wanted_reason  text,
    listing_from   timestamptz,
    listing_until  timestamptz,
    cursor         text,
    found          integer     NOT NULL DEFAULT 0,
    listed_until   timestamptz,
    finished_at    timestamptz,
    is_refused     boolean     NOT NULL DEFAULT false,
    error          text,
    is_to_be_told  boolean     NOT NULL DEFAULT false,
    CONSTRAINT payment_listing_pkey PRIMARY KEY (destination)
) WITH (fillfactor = 70);
COMMENT ON TABLE seats_internal.payment_listing IS
    'how far a destination''s intents were listed, newest first, and why they are to be listed again';
COMMENT ON COLUMN seats_internal.payment_listing.holds_creates IS
    'after a failover, restore or adoption: no intent is made before those that were forgotten are found';
COMMENT ON COLUMN seats_internal.payment_listing.wanted_since IS
    'a listing from this time on is wanted; null: only the daily one';
COMMENT ON COLUMN seats_internal.payment_listing.listing_from IS
    'of the listing that is under way: intents that were made since then';
COMMENT ON COLUMN seats_internal.payment_listing.listing_until IS 'when it was begun; null: none is under way';
COMMENT ON COLUMN seats_internal.payment_listing.cursor IS 'the last intent of the page before; null: the first page';
COMMENT ON COLUMN seats_internal.payment_listing.found IS 'how many intents its pages have had so far';
COMMENT ON COLUMN seats_internal.payment_listing.listed_until IS 'until when intents were listed to the end';
COMMENT ON COLUMN seats_internal.payment_listing.finished_at IS 'when a listing has last come to its end';
COMMENT ON COLUMN seats_internal.payment_listing.is_refused IS
    'Stripe has refused it where nobody pays: it is tried again when somebody is to';

COMMENT ON COLUMN seats_internal.payment_listing.error IS 'why the last page could not be had; null: it could';
COMMENT ON COLUMN seats_internal.payment_listing.is_to_be_told IS
    'people are to be told of its strays, or of its error, apart from it: payers do not wait for who looks at an alert';

-- (Restored, or on a new primary, it also tells how young what was forgotten is.)
CREATE TABLE seats_internal.destination_contact (
    destination text        NOT NULL,
    reached_at  timestamptz NOT NULL,
    CONSTRAINT destination_contact_pkey PRIMARY KEY (destination)
) WITH (fillfactor = 50);
COMMENT ON TABLE seats_internal.destination_contact IS
    'when the worker was there last and could send to a destination, to within a minute; written by it alone';

-- The worker reads and changes payment_listing all the time: who wants a listing leaves a row here, and locks nothing.
CREATE TABLE seats_internal.payment_listing_wish (
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    destination text        NOT NULL,
    since       timestamptz NOT NULL,
    reason      text        NOT NULL,
    due_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT payment_listing_wish_pkey PRIMARY KEY (id)
);
COMMENT ON TABLE seats_internal.payment_listing_wish IS
    'listings of intents that are wanted, until the worker has noted them in payment_listing';

CREATE TABLE seats_internal.payment_stray (
    destination    text        NOT NULL,
    intent         text        NOT NULL,
    installation   uuid,
    hash           text,
    attempt        integer,
    status         text        NOT NULL,
    amount         bigint,
    received       bigint,
    currency       text,
    created        timestamptz,
    first_seen     timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen      timestamptz NOT NULL DEFAULT clock_timestamp(),
    cancel_call_id bigint,
    differs        text[],
    told_at        timestamptz,
    CONSTRAINT payment_stray_pkey PRIMARY KEY (intent, destination)
);
CREATE INDEX payment_stray_is_paid ON seats_internal.payment_stray (destination, intent)
    WHERE status = 'succeeded' AND told_at IS NULL;
CREATE INDEX payment_stray_is_payable ON seats_internal.payment_stray (destination)
    WHERE status NOT IN ('succeeded', 'canceled');
CREATE INDEX payment_stray_by_hash ON seats_internal.payment_stray (hash, attempt);
COMMENT ON TABLE seats_internal.payment_stray IS
    'intents with our metadata that no payment here has: of a start that was forgotten, or lost. start_payment takes one '
    'over instead of making another. And those whose payment knows something else, until it is read';
COMMENT ON COLUMN seats_internal.payment_stray.created IS 'when Stripe has made it';
COMMENT ON COLUMN seats_internal.payment_stray.first_seen IS
    'when it was listed first: what is young may yet be asked for again';
COMMENT ON COLUMN seats_internal.payment_stray.last_seen IS 'when Stripe has last said what stands here';
COMMENT ON COLUMN seats_internal.payment_stray.cancel_call_id IS 'the call that cancels it; null: none';
COMMENT ON COLUMN seats_internal.payment_stray.told_at IS 'when people were told that it was paid: once, whatever they do';
COMMENT ON COLUMN seats_internal.payment_stray.differs IS
    'what was listed otherwise than its payment has it; null: no payment had it when it was listed';
