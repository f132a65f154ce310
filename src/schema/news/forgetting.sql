-- Taking back what receivers are still to be told, and forgetting what they were told of somebody.

-- Where somebody else tells the receivers.
CREATE OR REPLACE FUNCTION seats_internal.forget_deliveries() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM seats_internal.outbox AS o WHERE o.kind = 'delivery';
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_deliveries() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_deliveries() IS
    'takes back whatever receivers are still to be told';

-- Whether a message to a receiver names this person: in JSON, perhaps in the middle of a sentence, and as Slack
-- is told it (see render_slack). Not as a part of another word: ids may be short.
CREATE OR REPLACE FUNCTION seats_internal.names_person(body text, person text, addresses text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN EXISTS (
    SELECT FROM unnest(addresses || person) AS n (word)
     CROSS JOIN LATERAL (VALUES (word), (replace(replace(replace(replace(
         word, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '@', '@' || chr(8203)))) AS r (rendered)
     CROSS JOIN LATERAL (SELECT to_json(lower(rendered))::text AS quoted) AS j
     WHERE lower(body) ~ ('(^|[^[:alnum:]])'
                          || regexp_replace(substr(quoted, 2, length(quoted) - 2), E'([^[:alnum:]])', E'\\\\\\1', 'g')
                          || '($|[^[:alnum:]])'));
REVOKE ALL ON FUNCTION seats_internal.names_person(text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.names_person(text, text, text[]) IS
    'whether the body of a delivery names a person, or one of the addresses';

CREATE OR REPLACE FUNCTION seats_internal.count_deliveries_about(person text, addresses text[]) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT count(*) FROM seats_internal.outbox AS o
             WHERE o.kind = 'delivery' AND seats_internal.names_person(o.body, person, addresses));
END
$$;
REVOKE ALL ON FUNCTION seats_internal.count_deliveries_about(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.count_deliveries_about(text, text[]) IS
    'how many deliveries that nobody has taken yet name a person, or one of the addresses';

-- Of the journal, and of alerts.
CREATE OR REPLACE FUNCTION seats_internal.forget_what_was_told_about(person text, addresses text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE seats_internal.outbox_history AS h
       SET body = '', answer = NULL
     WHERE h.kind = 'delivery' AND seats_internal.names_person(h.body, person, addresses);
END
$$;
REVOKE ALL ON FUNCTION seats_internal.forget_what_was_told_about(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.forget_what_was_told_about(text, text[]) IS
    'forgets the words of deliveries that name a person, or one of the addresses';
