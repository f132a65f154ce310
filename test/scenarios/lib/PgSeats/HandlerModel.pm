# What applications have asked for, with handlers, and what the handlers have written: everything in tables of the
# database, each in the transaction that it tells of, so that it is there exactly if that was committed. And the
# judge, who compares both with what the history says.
#
#   set_up_model($server, qw(shop club));     two applications, with functions of their own
#   judge_handlers($server)                   what is wrong, in words; a list
package PgSeats::HandlerModel;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT = qw(set_up_model set_trouble judge_handlers);

# proof.asked: a call, what is to run when it ends, and what operators have decided about that. proof.ran: what ran.
# (Nothing there is unique but a call that was asked for: what runs twice is to be seen, not to fail.)
my $tables = <<'END';
CREATE SCHEMA proof;
CREATE TABLE proof.asked (
    call       bigint PRIMARY KEY,
    kind       text NOT NULL,
    role       text NOT NULL DEFAULT current_user,
    on_done    text,
    on_refused text,
    tenant     text,
    seats      jsonb,                            -- what the change said: {type: [previous, asked]}
    forgets    boolean NOT NULL DEFAULT false,   -- cancelled by somebody who undoes it himself
    decided    text);                            -- about its handler, by an operator: skip, run
CREATE SEQUENCE proof.number;
CREATE TABLE proof.ran (
    number   bigint NOT NULL DEFAULT nextval('proof.number'),
    call     bigint NOT NULL,
    function text NOT NULL,
    role     text NOT NULL,
    tenant   text,
    outcome  jsonb NOT NULL,
    context  jsonb);
CREATE TABLE proof.trouble (share double precision NOT NULL);
INSERT INTO proof.trouble VALUES (0);
END

# What an application's functions do: they take a moment now and then, fail now and then, and some make another call.
my $body = <<'END';
CREATE FUNCTION SCHEMA.NAME(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    trouble double precision := (SELECT t.share FROM proof.trouble AS t);
BEGIN
    INSERT INTO proof.ran (call, function, role, tenant, outcome, context)
    VALUES (call, 'SCHEMA.NAME', session_user || ' ' || current_user, nullif(current_setting('app.tenant', true), ''),
            outcome, context);
    IF context ? 'next' THEN
        INSERT INTO proof.asked (call, kind, on_done, on_refused)
        SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', jsonb_build_object('name', context ->> 'next'),
                                  on_done => 'SCHEMA.paid', on_refused => 'SCHEMA.undone'),
               'call', 'SCHEMA.paid', 'SCHEMA.undone';
    END IF;
    IF random() < 2 * trouble THEN
        PERFORM pg_sleep(0.02);
    END IF;
    IF random() < trouble THEN
        RAISE EXCEPTION 'the application is not well'
            USING ERRCODE = (ARRAY['40001', '40P01', '55P03', 'P0001', '22012'])[1 + floor(random() * 5)::integer];
    END IF;
END $$;
END

sub set_up_model
{
	my ($server, @roles) = @_;
	$server->sql($tables);
	foreach my $role (@roles)
	{
		$server->sql("CREATE ROLE $role LOGIN; CREATE SCHEMA $role AUTHORIZATION $role;
			GRANT USAGE ON SCHEMA proof TO $role;
			GRANT ALL ON ALL TABLES IN SCHEMA proof TO $role; GRANT ALL ON ALL SEQUENCES IN SCHEMA proof TO $role;
			SELECT seats.grant_application('$role'); SELECT seats.grant_call('$role', 'stripe', '{POST}', '/v1/**');");
		$server->sql("SET ROLE $role; " . ($body =~ s/SCHEMA/$role/gr =~ s/NAME/$_/gr)) foreach qw(paid undone);
	}
	# What an operator lets run instead, with his own rights.
	$server->sql(<<'END');
CREATE FUNCTION proof.by_hand(call bigint, outcome jsonb, context jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO proof.ran (call, function, role, outcome, context)
    VALUES (call, 'proof.by_hand', session_user || ' ' || current_user, outcome, context)
$$;
END
	return;
}

# So large a share of the handlers' runs fails from now on.
sub set_trouble { my ($server, $share) = @_; $server->sql("UPDATE proof.trouble SET share = $share"); return }

# Everything that is not as it must be, once nothing is open. One statement.
my $judgement = <<'END';
WITH history AS MATERIALIZED (
    SELECT h.* FROM seats_internal.outbox_history AS h WHERE h.kind IN ('call', 'change') AND h.path <> '/v1/invoices/create_preview'),
wanted AS MATERIALIZED (
    SELECT a.*, h.result, h.reason, h.lane_id,
           CASE WHEN h.result IS NULL OR a.decided = 'skip' THEN NULL
                WHEN a.decided = 'run' THEN 'proof.by_hand'
                WHEN h.result = 'done' THEN a.on_done
                WHEN NOT a.forgets THEN a.on_refused END AS function,
           (SELECT count(*) FROM proof.ran AS r WHERE r.call = a.call) AS times
      FROM proof.asked AS a LEFT JOIN history AS h ON h.id = a.call),
-- What was taken back, by a person, because other changes made it impossible, or unsent at the end of its subscription,
-- ends out of turn.
in_turn AS (
    SELECT w.lane_id, w.call, lag(w.call) OVER (PARTITION BY w.lane_id ORDER BY r.number) AS before
      FROM wanted AS w JOIN proof.ran AS r ON r.call = w.call
     WHERE w.lane_id IS NOT NULL AND w.result <> 'cancelled'
       AND coalesce(w.reason, '') NOT IN ('no_longer_valid', 'subscription_ended'))
SELECT format('%s %s was committed, and there is no trace of its end', w.kind, w.call)
  FROM wanted AS w WHERE w.result IS NULL
UNION ALL
SELECT format('%s %s is there, and no committed transaction has asked for it', h.kind, h.id)
  FROM history AS h WHERE h.id NOT IN (SELECT a.call FROM proof.asked AS a)
UNION ALL
SELECT format('call %s has run, which nobody has asked for', r.call)
  FROM proof.ran AS r WHERE r.call NOT IN (SELECT a.call FROM proof.asked AS a)
UNION ALL
SELECT format('the handler of %s %s (%s, %s) is to be %s, and has run %s times', w.kind, w.call, w.result, w.reason,
              coalesce(w.function, 'none'), w.times)
  FROM wanted AS w WHERE w.times <> CASE WHEN w.function IS NULL THEN 0 ELSE 1 END
UNION ALL
SELECT format('%s ran for %s %s, as %s, tenant %s, with the outcome %s; it is to be %s by %s, tenant %s: %s, %s', r.function,
              w.kind, r.call, r.role, r.tenant, r.outcome, w.function, w.role, w.tenant, w.result, w.reason)
  FROM proof.ran AS r JOIN wanted AS w ON w.call = r.call
 WHERE w.function IS NOT NULL
   AND (r.function <> w.function OR r.outcome ->> 'result' <> w.result OR r.outcome ->> 'reason' IS DISTINCT FROM w.reason
        OR w.decided IS NULL AND (r.role <> w.role || ' ' || w.role OR r.tenant IS DISTINCT FROM w.tenant))
UNION ALL
SELECT format('change %s was told %s, and its handler %s', w.call, w.seats, r.outcome -> 'lines')
  FROM wanted AS w JOIN proof.ran AS r ON r.call = w.call
 WHERE w.seats IS NOT NULL AND w.seats IS DISTINCT FROM (
    SELECT jsonb_object_agg(l.seat_type, jsonb_build_array(l.previous_quantity, l.asked_quantity))
      FROM jsonb_to_recordset(r.outcome -> 'lines') AS l (seat_type text, previous_quantity integer, asked_quantity integer))
UNION ALL
SELECT format('in lane %s the handler of %s ran before that of %s', t.lane_id, t.before, t.call)
  FROM in_turn AS t WHERE t.before > t.call
END

sub judge_handlers { my ($server) = @_; return split /\n/, $server->sql($judgement) }

1;
