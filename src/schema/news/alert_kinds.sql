-- All kinds of alerts. What each means and what to do about it is told in docs/operations.md, whose table the stage
-- `format` compares with this list; each scenario looks at its end whether one has come that is not here. raise_alert()
-- refuses nothing: it must never fail a settlement.
--
-- has_happened: it tells of something that has no cause that could go, so it ends with being acknowledged.
CREATE OR REPLACE FUNCTION seats_internal.alert_kinds(
    OUT kind         text,
    OUT severity     text,
    OUT has_happened boolean
) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('destination_halted',         'critical', false),
           ('destination_unreachable',    'warning',  false),
           ('clock_skew',                 'warning',  false),
           ('review',                     'critical', false),
           ('settling_failed',            'critical', false),
           ('compensation_failed',        'fatal',    false),
           ('handler_failed',             'critical', false),
           ('compensation_given_up',      'fatal',    false),
           ('handler_stuck',              'critical', false),
           ('handlers_not_started',       'critical', false),
           ('executed_after_refusal',     'critical', true),
           ('fenced',                     'critical', false),
           ('subscription_unreadable',    'critical', false),
           ('outside_change_overwritten', 'critical', true),
           ('unknown_marker',             'critical', true),
           ('seats_not_counted',          'critical', false),
           ('no_price_fits',              'critical', false),
           ('confirmed_unpaid',           'warning',  true),
           ('over_allocated',             'warning',  false),
           ('invite_failed',              'warning',  true),
           ('drift',                      'warning',  false),
           ('superseded_call_executed',   'critical', true),
           ('webhook_failed',             'critical', false),
           ('webhook_secret_unreadable',  'critical', true),
           ('webhook_wrong_mode',         'critical', true),
           ('webhooks_silent',            'warning',  false),
           ('events_unreadable',          'warning',  false),
           ('too_many_missed_events',     'critical', true),
           ('payment_unreadable',         'critical', false),
           ('payment_not_cancelled',      'warning',  false),
           ('paid_after_cancel',          'critical', false),
           ('paid_other_amount',          'critical', false),
           ('paid_twice',                 'critical', false),
           ('refund_failed',              'critical', true),
           ('payment_disputed',           'warning',  false),
           ('payments_unlisted',          'critical', false),
           ('payment_strays',             'warning',  false),
           ('stray_paid',                 'critical', true),
           ('receiver_fails',             'warning',  false);
END;
REVOKE ALL ON FUNCTION seats_internal.alert_kinds() FROM PUBLIC;
COMMENT ON FUNCTION seats_internal.alert_kinds() IS 'the kinds of alerts';
