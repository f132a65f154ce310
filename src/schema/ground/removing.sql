-- Removing the extension itself. (What was set up is taken away where it is set up.)

CREATE OR REPLACE FUNCTION seats_internal.warn_of_drop() RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_calls bigint;
    handlers   bigint;
    payments   bigint;
BEGIN
    -- (What is dropped is known only afterwards, when the tables are gone. Who may not look may not drop.)
    IF strpos(lower(current_query()), 'pg_seats') > 0
       AND has_schema_privilege('seats_internal', 'USAGE')
       AND has_function_privilege('seats_internal.never_in_doubt()', 'EXECUTE') THEN
        SELECT count(*) INTO open_calls FROM seats_internal.outbox AS o
         WHERE o.kind <> ALL (seats_internal.never_in_doubt());
        IF open_calls > 0 THEN
            RAISE WARNING 'pg_seats is dropped while % call(s) are open', open_calls
                USING DETAIL = 'What was not sent never will be, and of what was sent nobody hears the answer. '
                               'They stand in seats.outbox.',
                      HINT = 'ROLLBACK if you can, let them be settled, and drop it then. docs/operations.md '
                             'has a section on removing.';
        END IF;
        SELECT count(*) INTO handlers FROM seats_internal.handler AS h WHERE h.outcome IS NOT NULL;
        IF handlers > 0 THEN
            RAISE WARNING 'pg_seats is dropped while % handler(s) have not run', handlers
                USING DETAIL = 'Their calls have ended, and what the application wanted to do then is not done. They '
                               'stand in seats.handlers.',
                      HINT = 'ROLLBACK if you can, let them run, or decide them (seats.reviews), and drop it then.';
        END IF;
        SELECT count(*) INTO payments FROM seats_internal.payment AS p
         WHERE p.is_unfinished OR p.state = 'creating' OR p.review_since IS NOT NULL;
        IF payments > 0 THEN
            RAISE WARNING 'pg_seats is dropped while % payment(s) are not over', payments
                USING DETAIL = 'Their payers can still pay, or money is on its way to them or is disputed, or a person is to '
                               'decide. They stand in seats.payments and seats.refunds.',
                      HINT = 'ROLLBACK if you can, cancel them (seats.cancel_payment_request), let them end, and drop it '
                             'then.';
        END IF;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seats_internal.warn_of_drop() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.warn_of_drop() IS
    'event trigger: says what is lost with the extension, before it is dropped';
