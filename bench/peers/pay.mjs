// Members who click: each gets a client secret. node pay.mjs KIND CONNECTION URL API-KEY CLICKS CLIENTS FIRST
//
//   pg_seats   CALL seats.start_payment_and_wait: one statement
//   two_steps  BEGIN; seats.start_payment; COMMIT; CALL seats.fetch_client_secret: from COMMIT to the secret
//   node       a service with tables of its own and the official library: the member is locked, an attempt with its
//              idempotency key is committed, Stripe is called, the intent is stored, and the secret handed out
//
// Members are called payer-FIRST and on, each clicks once. Prints: clicks seconds cpu-of-node cpu-of-its-backends
// (seconds), and p50 and p99 in ms of what KIND measures: pg_seats and node from the click, two_steps from COMMIT.
import http from 'node:http'
import pg from 'pg'
import { measure } from './measure.mjs'

const [kind, connectionString, url, key, clicksText, clientsText, firstText] = process.argv.slice(2)
const [clicks, clients, first] = [clicksText, clientsText, firstText].map(Number)
const pool = new pg.Pool({ connectionString, application_name: 'peer', max: clients })
const admin = new pg.Client({ connectionString, application_name: 'peer admin' })
const perRequest = 5

const now = () => Number(process.hrtime.bigint()) / 1e6

// Who has one connection for himself for a moment.
async function within(work) {
  const client = await pool.connect()
  try {
    return await work(client)
  } finally {
    client.release()
  }
}

function take(row) {
  if (!row?.client_secret) throw new Error(`no client secret: ${JSON.stringify(row)}`)
}

function pgSeats(member, payer) {
  return within(async (client) => {
    const began = now()
    const { rows } = await client.query(
      { name: 'start', text: "CALL seats.start_payment_and_wait($1::bigint, $2::text, '30 s'::interval)", values: [member, payer] })
    take(rows[0])
    return now() - began
  })
}

function twoSteps(member, payer) {
  return within(async (client) => {
    await client.query('BEGIN')
    const { rows: [started] } = await client.query(
      { name: 'begin', text: 'SELECT payment FROM seats.start_payment($1::bigint)', values: [member] })
    await client.query('COMMIT')
    const committed = now()
    const { rows } = await client.query(
      { name: 'fetch', text: "CALL seats.fetch_client_secret($1::bigint, $2::text, '30 s'::interval)", values: [started.payment, payer] })
    take(rows[0])
    return now() - committed
  })
}

async function nodeService() {
  const { default: Stripe } = await import('stripe')
  const address = new URL(url)
  const stripe = new Stripe(key, {
    protocol: 'http', host: address.hostname, port: address.port, telemetry: false, maxNetworkRetries: 2,
    httpAgent: new http.Agent({ keepAlive: true, maxSockets: clients })
  })
  await admin.query(`
    CREATE TABLE IF NOT EXISTS public.bill_member (
      id bigint PRIMARY KEY, payer text NOT NULL, amount bigint NOT NULL, attempts integer NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS public.bill_payment (
      member bigint NOT NULL REFERENCES public.bill_member, attempt integer NOT NULL,
      idempotency_key uuid NOT NULL DEFAULT gen_random_uuid(), intent text UNIQUE, state text NOT NULL DEFAULT 'creating',
      created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (member, attempt))`)
  await admin.query(
    `INSERT INTO public.bill_member SELECT g, 'payer-' || g, 1250 FROM generate_series($1::bigint, $2::bigint) AS g`,
    [first, first + clicks - 1])
  return (member, payer) => within(async (client) => {
    const began = now()
    await client.query('BEGIN')
    const { rows: [found] } = await client.query(
      { name: 'lock', text: 'UPDATE public.bill_member SET attempts = attempts + 1 WHERE id = $1 AND payer = $2 RETURNING amount, attempts', values: [member, payer] })
    const { rows: [attempt] } = await client.query(
      { name: 'attempt', text: 'INSERT INTO public.bill_payment (member, attempt) VALUES ($1, $2) RETURNING idempotency_key', values: [member, found.attempts] })
    await client.query('COMMIT')
    const intent = await stripe.paymentIntents.create(
      { amount: Number(found.amount), currency: 'eur', automatic_payment_methods: { enabled: true },
        metadata: { member: String(member), attempt: String(found.attempts) } },
      { idempotencyKey: attempt.idempotency_key })
    await client.query(
      { name: 'store', text: "UPDATE public.bill_payment SET intent = $3, state = 'payable' WHERE member = $1 AND attempt = $2",
        values: [member, found.attempts, intent.id] })
    take(intent)
    return now() - began
  })
}

// Whose ids pg_seats gives; made before anything is measured. Five share a bill, and at one moment different bills are
// clicked: the members of one wait for each other's COMMIT, by design.
async function members() {
  if (kind === 'node') return Array.from({ length: clicks }, (_, i) => ({ id: first + i, payer: `payer-${first + i}` }))
  await admin.query(
    `SELECT seats.create_payment_request('bill-' || b, 'eur',
              (SELECT jsonb_agg(jsonb_build_object('reference', 'payer-' || m, 'amount', 1250))
                 FROM generate_series(b, least(b + $3 - 1, $2)) AS m))
       FROM generate_series($1::bigint, $2::bigint, $3) AS b`, [first, first + clicks - 1, perRequest])
  const { rows } = await admin.query(
    `SELECT member AS id, reference AS payer FROM seats.payment_members
      WHERE split_part(reference, '-', 2)::bigint BETWEEN $1 AND $2
      ORDER BY split_part(reference, '-', 2)::bigint % $3, member`, [first, first + clicks - 1, perRequest])
  return rows
}

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]

await admin.connect()
const click = { pg_seats: pgSeats, two_steps: twoSteps, node: kind === 'node' && await nodeService() }[kind]
const payers = await members()
await Promise.all(Array.from({ length: clients }, () => within((client) => client.query('SELECT pg_sleep(0.05)'))))
const used = await measure(admin)
const times = []
let next = 0
await Promise.all(Array.from({ length: clients }, async () => {
  while (next < payers.length) {
    const { id, payer } = payers[next++]
    times.push(await click(id, payer))
  }
}))
const spent = await used()
times.sort((a, b) => a - b)
console.log(clicks, ...spent.map((seconds) => seconds.toFixed(6)),
  percentile(times, 0.5).toFixed(3), percentile(times, 0.99).toFixed(3))
await pool.end()
await admin.end()
process.exit(0)
