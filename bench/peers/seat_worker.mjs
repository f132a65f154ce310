// Changes of seats, taken to Stripe by an outbox worker as teams write it for themselves, with Stripe's own library:
//   node seat_worker.mjs CONNECTION URL API-KEY SUBSCRIPTION-PREFIX TEAMS ON-WIRE
//
// Rows are fetched in batches with FOR UPDATE SKIP LOCKED and leased, so that no transaction is open while Stripe is
// asked. For each the subscription is retrieved (Stripe takes absolute quantities), updated under the row's idempotency
// key, and what came of it is stored in one transaction: the team, the row that is gone, its place in the history with
// the answer. Tuned: keep-alive, prepared statements, as many at once as may be on the wire, the next batch when half of
// the places are free, and the three writes in one statement, so that each change takes one round trip.
// Not there, and part of pg_seats' numbers: order and folding of a team's changes, proof after a lost answer, Stripe's
// limits, retries by what the error means, the journal.
//
// Prints: changes seconds cpu-of-node cpu-of-its-backends (seconds).
import http from 'node:http'
import pg from 'pg'
import Stripe from 'stripe'
import { measure } from './measure.mjs'

const [connectionString, url, key, prefix, teamsText, onWireText] = process.argv.slice(2)
const [teams, onWire] = [teamsText, onWireText].map(Number)
const pool = new pg.Pool({ connectionString, application_name: 'peer', max: 10 })
const admin = new pg.Client({ connectionString, application_name: 'peer admin' })
const address = new URL(url)
const stripe = new Stripe(key, {
  protocol: 'http', host: address.hostname, port: address.port, telemetry: false, maxNetworkRetries: 2,
  httpAgent: new http.Agent({ keepAlive: true, maxSockets: onWire })
})

async function fill() {
  await admin.query(`
    CREATE TABLE IF NOT EXISTS public.team (
      id bigint PRIMARY KEY, subscription text NOT NULL UNIQUE, item text NOT NULL, seats integer NOT NULL,
      confirmed integer NOT NULL, status text, confirmed_at timestamptz) WITH (fillfactor = 70);
    CREATE TABLE IF NOT EXISTS public.seat_outbox (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, team_id bigint NOT NULL REFERENCES public.team,
      delta integer NOT NULL, idempotency_key uuid NOT NULL DEFAULT gen_random_uuid(), attempts integer NOT NULL DEFAULT 0,
      leased_until timestamptz, created_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 70);
    CREATE TABLE IF NOT EXISTS public.seat_history (
      id bigint PRIMARY KEY, team_id bigint NOT NULL, delta integer NOT NULL, idempotency_key uuid NOT NULL,
      attempts integer NOT NULL, created_at timestamptz NOT NULL, settled_at timestamptz NOT NULL DEFAULT now(),
      quantity integer NOT NULL, request_id text, invoice text, answer jsonb NOT NULL);
    CREATE INDEX IF NOT EXISTS seat_history_by_team ON public.seat_history (team_id, settled_at);
    TRUNCATE public.seat_outbox, public.seat_history`)
  await admin.query(
    `INSERT INTO public.team SELECT g, $1::text || g, 'si_' || split_part($1, '_', 2) || '_' || g, 5, 5
       FROM generate_series(1, $2::bigint) AS g ON CONFLICT DO NOTHING`, [prefix, teams])
  const { rows } = await admin.query('SELECT id, subscription, item FROM public.team')
  await admin.query('INSERT INTO public.seat_outbox (team_id, delta) SELECT g, 1 FROM generate_series(1, $1::bigint) AS g', [teams])
  await admin.query('VACUUM ANALYZE public.team, public.seat_outbox')
  return rows
}

const lease = {
  name: 'lease',
  text: `UPDATE public.seat_outbox AS o SET attempts = o.attempts + 1, leased_until = now() + interval '1 minute'
           FROM (SELECT id FROM public.seat_outbox WHERE leased_until IS NULL OR leased_until < now()
                  ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) AS due, public.team AS t
          WHERE o.id = due.id AND t.id = o.team_id
         RETURNING o.id, o.delta, o.idempotency_key, t.subscription, t.item`
}
const store = {
  name: 'store',
  text: `WITH gone AS (DELETE FROM public.seat_outbox WHERE id = $1 RETURNING *),
              kept AS (INSERT INTO public.seat_history
                          (id, team_id, delta, idempotency_key, attempts, created_at, quantity, request_id, invoice, answer)
                       SELECT id, team_id, delta, idempotency_key, attempts, created_at, $2, $3, $4, $5 FROM gone)
         UPDATE public.team AS t SET seats = $2, confirmed = $2, status = $6, confirmed_at = now() FROM gone WHERE t.id = gone.team_id`
}

async function change(row) {
  const before = await stripe.subscriptions.retrieve(row.subscription)
  const item = before.items.data.find(({ id }) => id === row.item)
  if (!item) throw new Error(`${row.subscription} has no item ${row.item}`)
  const after = await stripe.subscriptions.update(
    row.subscription,
    { items: [{ id: row.item, quantity: item.quantity + row.delta }], proration_behavior: 'always_invoice',
      payment_behavior: 'error_if_incomplete', expand: ['latest_invoice'] },
    { idempotencyKey: row.idempotency_key })
  const { quantity } = after.items.data.find(({ id }) => id === row.item)
  await pool.query({
    ...store,
    values: [row.id, quantity, after.lastResponse.requestId, after.latest_invoice?.id ?? null, JSON.stringify(after), after.status]
  })
}

async function work() {
  let busy = 0
  let stored = 0
  let wake = () => {}
  while (stored < teams) {
    const batch = busy > onWire / 2 ? [] : (await pool.query({ ...lease, values: [onWire - busy] })).rows
    busy += batch.length
    for (const row of batch) {
      change(row).then(() => { busy--; stored++; wake() }, (error) => { console.error(error); process.exit(1) })
    }
    // (Whoever ended while the batch was fetched has woken nobody; where nobody is left, nobody will.)
    if (batch.length === 0 && busy > 0) await new Promise((resolve) => { wake = resolve })
  }
}

await admin.connect()
await fill()
const used = await measure(admin)
await work()
console.log(teams, ...(await used()).map((seconds) => seconds.toFixed(6)))
await pool.end()
await admin.end()
process.exit(0)
