// The same POSTs, made by somebody else's queue: node peer.mjs KIND CONNECTION URL API-KEY CALLS ON-WIRE
//
//   graphile   graphile-worker: each job stores its result by one INSERT
//   pgboss     pg-boss: jobs are fetched in batches, each is completed with its answer as output
//
// Fills its queue, then measures from the start of work until the last result is stored. Prints:
// calls seconds cpu-of-node cpu-of-its-backends (seconds).
import pg from 'pg'
import { Agent, request } from 'undici'
import { measure } from './measure.mjs'

const [kind, connectionString, url, key, callsText, onWireText] = process.argv.slice(2)
const calls = Number(callsText)
const onWire = Number(onWireText)
const agent = new Agent({ connections: onWire, pipelining: 1 })
const admin = new pg.Client({ connectionString, application_name: 'peer admin' })
const body = (n) => `name=bench+${n}&description=a+customer+of+the+benchmark`

// Every queue below has so many connections.
const connections = 10

async function post(n, attempt) {
  const answer = await request(`${url}/v1/customers`, {
    method: 'POST',
    dispatcher: agent,
    headers: {
      authorization: `Bearer ${key}`,
      'stripe-version': '2026-05-27.dahlia',
      'content-type': 'application/x-www-form-urlencoded',
      'idempotency-key': attempt
    },
    body: body(n)
  })
  const text = await answer.body.text()
  // (A queue would try again and again.)
  if (answer.statusCode !== 200) {
    console.error(`status ${answer.statusCode}: ${text}`)
    process.exit(1)
  }
  return { status: answer.statusCode, text }
}

// Tells when as many as `calls` are stored.
function counter() {
  let stored = 0
  let finish
  const finished = new Promise((resolve) => { finish = resolve })
  return { finished, add: (n = 1) => { stored += n; if (stored >= calls) finish() } }
}

async function graphile() {
  const { run, runMigrations, Logger } = await import('graphile-worker')
  const pgPool = new pg.Pool({ connectionString, application_name: 'peer', max: connections })
  const fail = (error) => { throw error }
  pgPool.on('error', fail)
  pgPool.on('connect', (client) => client.on('error', fail))
  await runMigrations({ pgPool })
  await admin.query('TRUNCATE graphile_worker._private_jobs')
  await admin.query(`CREATE TABLE IF NOT EXISTS public.peer_result
    (id bigint PRIMARY KEY, http_status integer, answer text, settled_at timestamptz DEFAULT now());
    TRUNCATE public.peer_result`)
  await admin.query(
    `SELECT count(graphile_worker.add_job('post', json_build_object('n', g, 'key', gen_random_uuid())))
       FROM generate_series(1, ${calls}) AS g`)
  await admin.query('VACUUM ANALYZE graphile_worker._private_jobs')
  const done = counter()
  const begin = async () => run({
    pgPool,
    concurrency: onWire,
    noHandleSignals: true,
    noPreparedStatements: false,
    preset: {
      worker: {
        concurrentJobs: onWire,
        localQueue: { size: 2 * onWire },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0
      }
    },
    logger: new Logger(() => () => {}),
    taskList: {
      post: async ({ n, key: attempt }, helpers) => {
        const { status, text } = await post(n, attempt)
        await helpers.query(
          'INSERT INTO public.peer_result (id, http_status, answer) VALUES ($1, $2, $3)',
          [n, status, text])
        done.add()
      }
    }
  })
  return { begin, finished: done.finished, end: async (runner) => { await runner.stop(); await pgPool.end() } }
}

async function pgboss() {
  const { default: PgBoss } = await import('pg-boss')
  const boss = new PgBoss({
    connectionString, application_name: 'peer', max: connections,
    supervise: false, schedule: false
  })
  boss.on('error', (error) => { throw error })
  await boss.start()
  await boss.createQueue('post')
  for (let from = 1; from <= calls; from += 1000) {
    const count = Math.min(1000, calls - from + 1)
    await boss.insert(Array.from({ length: count }, (_, i) => ({ name: 'post', data: { n: from + i } })))
  }
  await admin.query('VACUUM ANALYZE pgboss.job')
  const done = counter()
  let going = true
  // Fetches when half of the places are free; every job is completed with its own answer.
  const begin = async () => {
    let busy = 0
    let wake = () => {}
    const work = async (job) => {
      const { text } = await post(job.data.n, job.id)
      await boss.complete('post', job.id, JSON.parse(text))
      done.add()
    }
    const loop = async () => {
      while (going) {
        if (busy > onWire / 2) {
          await new Promise((resolve) => { wake = resolve })
          continue
        }
        const jobs = await boss.fetch('post', { batchSize: onWire - busy })
        if (!jobs || jobs.length === 0) return
        busy += jobs.length
        for (const job of jobs) work(job).finally(() => { busy--; wake() })
      }
    }
    return loop()
  }
  return {
    begin: async () => { begin() },
    finished: done.finished,
    end: async () => { going = false; await boss.stop({ graceful: false, wait: true }) }
  }
}

await admin.connect()
const queue = await { graphile, pgboss }[kind]()
const used = await measure(admin)
const runner = await queue.begin()
await queue.finished
console.log(calls, ...(await used()).map((seconds) => seconds.toFixed(6)))
await queue.end(runner)
await admin.end()
await agent.close()
process.exit(0)
