-- Forgetting a person: ids and addresses in members, invites, shares of bills, history and journal become a word that
-- tells nothing. What else happened stays as it is.

-- The words of the journal about a person. `addresses` are in lower case.
CREATE OR REPLACE FUNCTION seats_internal.erased_detail(detail jsonb, person text, addresses text[], instead text)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE
        WHEN detail ->> 'user_id' = person OR lower(detail ->> 'address') = ANY (addresses)
        THEN detail - 'external_id' #- '{before,external_id}' ELSE detail END
    || CASE WHEN detail ->> 'user_id' = person THEN jsonb_build_object('user_id', instead) ELSE '{}' END
    || CASE WHEN lower(detail ->> 'address') = ANY (addresses)
            THEN jsonb_build_object('address', instead) ELSE '{}' END
    || CASE WHEN detail ->> 'inviter' = person THEN jsonb_build_object('inviter', instead) ELSE '{}' END
    || CASE WHEN detail ->> 'actor' = person THEN jsonb_build_object('actor', instead) ELSE '{}' END
    || CASE WHEN detail ->> 'person' = person THEN jsonb_build_object('person', instead) ELSE '{}' END
    || CASE WHEN detail ->> 'individual' = person THEN jsonb_build_object('individual', instead) ELSE '{}' END;
REVOKE ALL ON FUNCTION seats_internal.erased_detail(jsonb, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.erased_detail(jsonb, text, text[], text) IS
    'a detail of the journal without this person; the same, if it does not tell of him';

-- What would still be needed.
CREATE OR REPLACE FUNCTION seats_internal.require_done_with(person text, addresses text[]) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    newest bigint;
BEGIN
    SELECT CASE WHEN bool_or(j.number IS NULL) THEN 9223372036854775807 ELSE max(j.number) END INTO newest
      FROM seats_internal.journal AS j
     WHERE j.actor = person
        OR seats_internal.erased_detail(j.detail, person, addresses, '') <> j.detail;
    PERFORM seats_internal.require_unused(
        format('%s cannot be erased', coalesce(quote_literal(person), 'the address')),
        ARRAY[(SELECT count(*) FROM seats_internal.member AS m
                WHERE m.user_id = person AND m.status = 'active'),
              (SELECT count(*) FROM seats_internal.invite AS i
                WHERE lower(i.address) = ANY (addresses) AND i.status = 'open'),
              (SELECT count(*) FROM seats_internal.team AS t
                WHERE t.kind = 'individual' AND t.name = person),
              (SELECT count(*) FROM seats_internal.outbox AS o WHERE person IN (o.actor, o.acting_person)),
              (SELECT count(*) FROM seats_internal.handler AS w, seats_internal.settled_call(w.call_id) AS h
                WHERE w.outcome IS NOT NULL AND h.actor = person),
              seats_internal.count_open_shares(person, addresses),
              seats_internal.count_deliveries_about(person, addresses),
              (SELECT count(*) FROM seats_internal.journal_consumer AS c WHERE c.acknowledged < newest)],
        '{active membership(s),open invite(s),individual(s) with a subscription,open change(s) asked for,'
        'handler(s) of his changes that have not run,share(s) of bills that are not settled,delivery(ies) to receivers,'
        'consumer(s) of the journal that have not read what it tells}',
        'Remove the member, revoke the invites, unregister the individual, take him out of bills, and let the changes, '
        'payments, handlers, deliveries and consumers get through (seats.members, seats.invites, seats.individuals, '
        'seats.changes, seats.payment_members, seats.handlers, seats.receivers, seats.journal_consumers).');
END
$$;
REVOKE ALL ON FUNCTION seats_internal.require_done_with(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.require_done_with(text, text[]) IS
    'an error while something is open that needs to know this person';

CREATE OR REPLACE FUNCTION seats_internal.erase_in_history(person text, addresses text[], instead text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox_history AS h
       SET actor = CASE WHEN h.actor = person THEN instead ELSE h.actor END,
           acting_person = CASE WHEN h.acting_person = person THEN instead ELSE h.acting_person END
     WHERE person IN (h.actor, h.acting_person);
    PERFORM seats_internal.forget_what_was_told_about(person, addresses);
    -- (Not deleted: the same request once more is still no new one.)
    UPDATE seats_internal.request_key AS k
       SET arguments = seats_internal.erased_detail(k.arguments, person, addresses, instead)
     WHERE seats_internal.erased_detail(k.arguments, person, addresses, instead) <> k.arguments;
    UPDATE seats_internal.alert AS a
       SET summary = a.kind || ' (of a person who was erased)', detail = a.detail - 'actor'
     WHERE person = ANY (string_to_array(a.detail ->> 'actor', ', '));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.erase_in_history(text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.erase_in_history(text, text[], text) IS
    'forgets a person in what was settled, in repeated requests and in alerts';

-- Whose page names him shows something else. Their lanes are taken, as by every verb: the worker waits for no team's row.
CREATE OR REPLACE FUNCTION seats_internal.take_pages_that_name(person text, addresses text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lanes bigint[];
BEGIN
    lanes := ARRAY(SELECT t.lane_id FROM seats_internal.team AS t
                    WHERE t.id IN (SELECT i.team_id FROM seats_internal.invite AS i
                                    WHERE i.inviter = person OR i.user_id = person OR lower(i.address) = ANY (addresses)
                                   UNION ALL SELECT m.team_id FROM seats_internal.member AS m WHERE m.user_id = person
                                   UNION ALL SELECT h.team_id FROM seats_internal.outbox_history AS h
                                              WHERE person IN (h.actor, h.acting_person)));
    PERFORM FROM seats_internal.lane AS l WHERE l.id = ANY (lanes) ORDER BY l.id FOR NO KEY UPDATE;
    UPDATE seats_internal.lane AS l SET version = l.version + 1 WHERE l.id = ANY (lanes);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.take_pages_that_name(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.take_pages_that_name(text, text[]) IS
    'locks the teams whose members, invites or settled changes name a person, and raises the versions of their pages';

CREATE OR REPLACE FUNCTION seats_internal.erase_person(
    caller              text,
    user_id             text,
    reason              text,
    address             text,
    OUT instead         text,
    OUT members         bigint,
    OUT invites         bigint,
    OUT payment_members bigint,
    OUT journal_entries bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    addresses text[];
BEGIN
    PERFORM seats_internal.require_reason(erase_person.reason);
    IF erase_person.user_id IS NOT NULL OR erase_person.address IS NULL THEN
        PERFORM seats_internal.check_id('user_id', erase_person.user_id);
    END IF;
    addresses := ARRAY(SELECT DISTINCT lower(btrim(a.address))
                         FROM (SELECT i.address FROM seats_internal.invite AS i
                                WHERE i.user_id = erase_person.user_id
                               UNION ALL SELECT erase_person.address) AS a
                        WHERE a.address IS NOT NULL);
    PERFORM seats_internal.take_payer(erase_person.user_id, addresses);
    PERFORM seats_internal.take_pages_that_name(erase_person.user_id, addresses);
    PERFORM seats_internal.require_done_with(erase_person.user_id, addresses);
    instead := 'erased-' || gen_random_uuid();
    UPDATE seats_internal.member AS m SET user_id = instead, external_id = NULL
     WHERE m.user_id = erase_person.user_id;
    GET DIAGNOSTICS members = ROW_COUNT;
    UPDATE seats_internal.invite AS i
       SET address = CASE WHEN lower(i.address) = ANY (addresses) THEN instead ELSE i.address END,
           external_id = CASE WHEN lower(i.address) = ANY (addresses) THEN NULL ELSE i.external_id END,
           user_id = CASE WHEN i.user_id = erase_person.user_id THEN instead ELSE i.user_id END,
           inviter = CASE WHEN i.inviter = erase_person.user_id THEN instead ELSE i.inviter END
     WHERE lower(i.address) = ANY (addresses) OR i.user_id = erase_person.user_id
        OR i.inviter = erase_person.user_id;
    GET DIAGNOSTICS invites = ROW_COUNT;
    payment_members := seats_internal.erase_payer(erase_person.user_id, addresses, instead);
    PERFORM seats_internal.erase_in_history(erase_person.user_id, addresses, instead);
    -- The one change that the journal's trigger lets pass.
    PERFORM set_config('seats_internal.erases', 'on', true);
    UPDATE seats_internal.journal AS j
       SET actor = CASE WHEN j.actor = erase_person.user_id THEN instead ELSE j.actor END,
           detail = seats_internal.erased_detail(j.detail, erase_person.user_id, addresses, instead)
     WHERE j.actor = erase_person.user_id
        OR seats_internal.erased_detail(j.detail, erase_person.user_id, addresses, instead) <> j.detail;
    GET DIAGNOSTICS journal_entries = ROW_COUNT;
    PERFORM set_config('seats_internal.erases', 'off', true);
    PERFORM seats_internal.write_journal(
        'person.erased', caller, NULL, NULL, erase_person.reason,
        jsonb_build_object('instead', instead, 'members', members, 'invites', invites,
                           'payment_members', payment_members, 'journal_entries', journal_entries));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.erase_person(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.erase_person(text, text, text, text) IS 'behind seats.erase_person';

CREATE OR REPLACE FUNCTION seats.erase_person(
    user_id             text,
    reason              text,
    address             text DEFAULT NULL,
    OUT instead         text,
    OUT members         bigint,
    OUT invites         bigint,
    OUT payment_members bigint,
    OUT journal_entries bigint
)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pg_seats_entry';
REVOKE ALL ON FUNCTION seats.erase_person(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION seats.erase_person(text, text, text) IS
    'puts a word that tells nothing in the place of a person''s id and addresses (those of his invites, and '
    'the one that is given) in members, invites, changes, payment members and the journal; refused while something is open '
    'that needs them. Reasons that people have written are not looked at';
