// What is wrong, and how much there is of everything.
import { html } from '../lib/html.js';
import { facts, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { age, count, counts as counted, words } from '../lib/words.js';

/** @import { Page, Row, Visit } from '../types.d.ts' */

const mostAlerts = 50;

// The oldest call is asked of Stripe alone: what waits for a receiver of alerts says its health.
const destinationsSql = `
    SELECT d.*, CASE WHEN d.livemode THEN 'live' WHEN NOT d.livemode THEN 'test' END AS mode,
           CASE WHEN d.proven THEN 'proven' WHEN NOT d.proven THEN 'not proven' END AS key,
           coalesce(d.halted_message, d.paused_reason, d.trouble) AS error, d.halted_reason AS reason,
           round(d.requests_per_second::numeric) || coalesce(' of ' || d.requests_per_second_limit, '') || '/s' AS rate,
           d.paused_at IS NOT NULL OR d.halted_at IS NOT NULL AS is_stopped, o.call AS oldest_call, o.created_at AS oldest_at
      FROM seats.destinations AS d
      LEFT JOIN LATERAL (SELECT * FROM seats.list_calls(jsonb_build_object('destination', d.name), most => 1)
                          WHERE d.kind = 'stripe') AS o ON o.call IS NOT NULL
     ORDER BY d.kind <> 'stripe', d.name LIMIT 101`;
const waitingSql = `
    SELECT labels ->> 'reason' AS reason, max(value) FILTER (WHERE name = 'pg_seats_waiting_calls') AS calls,
           now() - max(value) FILTER (WHERE name = 'pg_seats_oldest_waiting_seconds') * interval '1 s' AS oldest_at
      FROM seats.metrics WHERE name IN ('pg_seats_oldest_waiting_seconds', 'pg_seats_waiting_calls')
     GROUP BY 1 HAVING max(value) > 0 ORDER BY 3`;
const alertsSql = `
    SELECT * FROM seats.alerts WHERE resolved_at IS NULL
     ORDER BY acknowledged_at IS NOT NULL, array_position('{fatal,critical,warning}', severity), alert DESC LIMIT $1`;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function overview(visit) {
    const { ask, link } = visit;
    const health = await ask(
        "SELECT * FROM seats.health ORDER BY array_position('{critical,warning}', status), check_name",
    );
    const alerts = await ask(alertsSql, mostAlerts + 1);
    const destinations = await ask(destinationsSql);
    const waiting = await ask(waitingSql);
    const counts = await ask('SELECT * FROM seats.counts()');
    const [worker] = await ask('SELECT * FROM seats.worker_status');
    const wrong = health.filter(({ status }) => status !== 'ok');
    const states = counts.filter(({ what }) => what.startsWith('calls_'));
    const countedAt = states[0].as_of;
    /** @param {string} path @param {Row} row @param {string} label */
    const tile = (path, { count: number, is_more: isMore }, label) =>
        html`<a href="${link(path)}"><b>${count(number, isMore)}</b> ${label}</a>`;
    const body = html`
<ul class="tiles">${counted.map(([what, label, path]) => {
        const row = counts.find((row) => row.what === what) ?? {};
        return html`<li${row.count > 0 && html` class="some"`}>${tile(path, row, label)}</li>`;
    })}</ul>
<h2>Health</h2>
${table(visit, 'Checks that are not ok', ['status', ['check', (row) => html`<strong>${words(row.check_name)}</strong>: ${row.message}`], 'hint:what_to_do'], wrong, `All ${health.length} checks are ok.`)}
${wrong.length > 0 && html`<p class="note">The other ${health.length - wrong.length} checks are ok.</p>`}
<h2 id="alerts">Alerts</h2>
${table(visit, 'Alerts whose cause is not gone', ['severity', ['alert', ({ summary, hint }) => html`${summary}${hint && html`<p class="hint">${hint}</p>`}`], 'call first_seen_at:since occurrences:times acknowledged_by:looked_after_by', ['do', ({ state, alert }) => state === 'open' && verbButton(visit, 'acknowledge', { alert })]], alerts, 'None is open: there is nothing that a person must know and that is not over.', mostAlerts)}
<h2 id="destinations">Destinations</h2>
${table(visit, 'Where calls go', ['name state why breaker key account mode rate in_flight:on_the_wire held oldest_call oldest_at:made', ['do', ({ name, is_stopped: isStopped }) => verbButton(visit, isStopped ? 'resume' : 'pause', { destination: name })]], destinations, 'None: a superuser makes one with seats.define_destination.', 100)}
<h2>Open calls</h2>
<ul class="tiles small">${states.map((row) => html`<li>${tile(`/outbox?state=${row.what.slice(6)}`, row, row.what.slice(6))}</li>`)}</ul>
${table(visit, 'What open calls wait for', 'reason:they_wait_as calls oldest_at:the_oldest_since', waiting, '')}
<p class="note">${countedAt ? html`Counted ${age(countedAt)}.` : 'They are too many to be counted now, and no worker has done it.'}</p>
<h2>Worker</h2>
${facts(visit, 'state trouble debug_point:stands_still_at last_loop_at:seen started_at pid:process in_flight:on_the_wire ready installation', worker)}`;
    return { title: 'Overview', place: '/', body };
}
