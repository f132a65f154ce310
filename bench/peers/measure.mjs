// What peers are measured with: time on a processor, of this process and of its backends (application_name 'peer').
import { readFileSync } from 'node:fs'

function processorTime(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9
  } catch {
    return 0
  }
}

export async function backendTime(client) {
  const { rows } = await client.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'peer'")
  return rows.reduce((sum, { pid }) => sum + processorTime(pid), 0)
}

// Returns the function that tells, in seconds: what has passed since, what node and what its backends have used.
export async function measure(client) {
  const backends = await backendTime(client)
  const own = process.cpuUsage()
  const start = process.hrtime.bigint()
  return async () => {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9
    const { user, system } = process.cpuUsage(own)
    return [seconds, (user + system) / 1e6, await backendTime(client) - backends]
  }
}
