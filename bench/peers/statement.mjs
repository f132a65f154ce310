// What another queue has its users run in their transaction, as a statement for pgbench's variable :team:
//   node statement.mjs KIND CONNECTION
//
//   pgboss        exactly what pg-boss's send() runs when it is given the caller's connection
//   graphile      graphile_worker.add_job
//   graphile_queue  the same with a queue for each team, without which a team's jobs have no order
import pg from 'pg'

const [kind, connectionString] = process.argv.slice(2)
const data = "json_build_object('team', :team::integer, 'add', 1)"

async function pgboss() {
  const { default: PgBoss } = await import('pg-boss')
  const boss = new PgBoss({ connectionString, supervise: false, schedule: false })
  boss.on('error', (error) => { throw error })
  await boss.start()
  await boss.createQueue('seats')
  let statement
  const db = {
    executeSql: async (text, values) => {
      const literal = (value) => value === null || value === undefined ? 'NULL'
        : value === 'the data' || typeof value === 'object' ? data : `'${String(value).replaceAll("'", "''")}'`
      statement = text.replace(/\$(\d+)/g, (_, number) => literal(values[number - 1]))
      return { rows: [{ id: 'none' }] }
    }
  }
  await boss.send('seats', { team: 1, add: 1 }, { db })
  await boss.stop({ graceful: false, wait: true })
  return statement
}

async function graphile() {
  const { runMigrations } = await import('graphile-worker')
  await runMigrations({ connectionString })
  return `SELECT id FROM graphile_worker.add_job('seats', ${data})`
}

async function graphileQueue() {
  const statement = await graphile()
  return statement.replace(/\)$/, ", queue_name => 'team-' || :team::integer)")
}

const statement = await { pgboss, graphile, graphile_queue: graphileQueue }[kind]()
const client = new pg.Client({ connectionString })
await client.connect()
console.log(statement.replace(/\s+/g, ' ').trim().replace(/;?$/, ';'))
await client.end()
process.exit(0)
