// What Stripe has told: where it comes in, what could not be processed and of what it failed, and what came last.
import { html } from '../lib/html.js';
import { filterOf, filters, notAll, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { count } from '../lib/words.js';

/** @import { Page, Row, Visit } from '../types.d.ts' */

const most = 20;
const newestSql = `
    SELECT e.* FROM unnest($1::text[]) AS n (name) CROSS JOIN LATERAL (
           SELECT * FROM seats.webhook_events WHERE endpoint = n.name ORDER BY received_at DESC LIMIT $2) AS e
     ORDER BY e.received_at DESC LIMIT $2`;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function webhooks(visit) {
    const { ask, query } = visit;
    const endpoints = await ask('SELECT * FROM seats.webhook_endpoints ORDER BY endpoint LIMIT 100');
    const problems = await ask('SELECT * FROM seats.list_webhook_problems() LIMIT 100');
    const { endpoint, event } = filterOf(query, 'endpoint event');
    // Each endpoint's newest ones, by its index; what is found in Stripe's list has an endpoint of its own.
    const names = [...new Set(endpoints.flatMap((row) => [row.endpoint, `list:${row.destination}`]))];
    const events = event
        ? await ask('SELECT * FROM seats.webhook_events WHERE event_id = $1 LIMIT 100', event)
        : await ask(newestSql, endpoint ? [endpoint] : names, most);
    /** @param {Row} row */
    const one = (row) => verbButton(visit, 'replay_webhook', { endpoint: row.endpoint, event_id: row.event_id });
    const body = html`<h2>Endpoints</h2>
${table(visit, 'Where webhooks come in', ['endpoint destination last_received_at:last_received listed_at:list_was_read secret_files', ['list', ({ destination }) => verbButton(visit, 'list_events', { destination })]], endpoints, 'None is defined: seats.define_webhook_endpoint.')}
<h2>Not processed</h2>
${table(visit, 'Events that could not be processed, by what they failed of', [['events', (row) => count(row.events, row.is_more)], 'error type endpoint oldest_received_at:oldest next_try_at', ['one of them', (row) => html`${one({ ...row, event_id: row.an_event })} <code>${row.an_event}</code>`], ['all', (row) => verbButton(visit, 'replay_webhooks_all', { filter: JSON.stringify(filterOf(row, 'endpoint type error')) })]], problems, 'All that came was processed.')}
${problems[0]?.is_more && notAll('10,000 were looked at, those that are due first.')}
<h2>${event ? 'Event' : 'Last ones'}</h2>
${filters(visit, '/webhooks', 'endpoint event', { choices: { endpoint: names } })}
${table(visit, 'Events', ['received_at type outcome team error tries retry_at:next_try event_id:event object_id:object endpoint', ['again', one]], events, 'No such event has come.')}
${!event && events.length >= most && notAll(`these are the newest ${most}; an older one is found by its id.`)}`;
    return { title: 'Webhooks', place: '/webhooks', body };
}
