// What is wrong, and how much there is of everything.

import { html } from '../lib/html.js';
import { facts, notAll, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { age, count, words } from '../lib/words.js';

/**
 * @import { Visit, Page } from '../app.js'
 * @import { Row } from '../lib/parts.js'
 */

const mostAlerts = 50;

/** What is counted, what it is called, and where it is listed. */
const tiles = [
    ['reviews', 'calls to decide', '/reviews'],
    ['handlers_in_review', 'handlers to decide', '/reviews'],
    ['payments_in_review', 'payments to decide', '/reviews'],
    ['alerts', 'open alerts', '/#alerts'],
    ['paused_lanes', 'paused lanes', '/outbox?show=blocked&reason=paused'],
    ['webhooks_to_process', 'events not processed', '/webhooks'],
    ['handlers_to_run', 'handlers to run', '/journal?kind=handler.failed'],
];

/** Where one goes from a check that is not ok, by the beginning of its name. @type {[check: string, path: string][]} */
const places = [
    ['reviews', '/reviews'],
    ['handlers', '/reviews'],
    ['payments', '/reviews'],
    ['oldest_call', '/outbox?show=blocked'],
    ['webhooks', '/webhooks'],
    ['alerts', '/#alerts'],
    ['destination ', '/#destinations'],
];

/** @param {Visit} visit @returns {Promise<Page>} */
export async function overview(visit) {
    const { client, link } = visit;
    /** @param {string} sql @param {unknown[]} values */
    const ask = async (sql, ...values) => (await client.query(sql, values)).rows;
    const health = await ask(
        "SELECT * FROM seats.health ORDER BY array_position('{critical,warning}', status), check_name",
    );
    const alerts = await ask(
        `SELECT * FROM seats.alerts WHERE resolved_at IS NULL
          ORDER BY acknowledged_at IS NOT NULL, array_position('{fatal,critical,warning}', severity), alert DESC LIMIT $1`,
        mostAlerts + 1,
    );
    const destinations = await ask(
        `SELECT d.*, CASE WHEN d.livemode THEN 'live' WHEN NOT d.livemode THEN 'test' END AS mode,
                CASE WHEN d.proven THEN 'proven' WHEN NOT d.proven THEN 'not proven' END AS key,
                coalesce(d.halted_message, d.paused_reason, d.trouble) AS error, d.halted_reason AS reason,
                round(d.requests_per_second::numeric) || coalesce(' of ' || d.requests_per_second_limit, '') || '/s' AS rate,
                d.paused_at IS NOT NULL OR d.halted_at IS NOT NULL AS is_stopped,
                o.call AS oldest_call, o.created_at AS oldest_at
           FROM seats.destinations AS d
           LEFT JOIN LATERAL (SELECT * FROM seats.list_calls(jsonb_build_object('destination', d.name), most => 1)
                               WHERE d.kind = 'stripe') AS o ON o.call IS NOT NULL
          ORDER BY d.kind <> 'stripe', d.name LIMIT 100`,
    );
    const waiting = await ask(
        `SELECT labels ->> 'reason' AS reason, max(value) FILTER (WHERE name = 'pg_seats_waiting_calls') AS calls,
                now() - max(value) FILTER (WHERE name = 'pg_seats_oldest_waiting_seconds') * interval '1 s' AS oldest_at
           FROM seats.metrics WHERE name IN ('pg_seats_oldest_waiting_seconds', 'pg_seats_waiting_calls')
          GROUP BY 1 HAVING max(value) > 0 ORDER BY 3`,
    );
    const counts = await ask('SELECT * FROM seats.counts()');
    const [worker] = await ask('SELECT * FROM seats.worker_status');

    const wrong = health.filter(({ status }) => status !== 'ok');
    const states = counts.filter(({ what }) => what.startsWith('calls_'));
    const countedAt = states[0].as_of;
    /** @param {Row} check */
    const checked = ({ check_name: name, message }) => {
        const [, path] = places.find(([beginning]) => name.startsWith(beginning)) ?? [];
        return html`${path ? html`<a href="${link(path)}">${words(name)}</a>` : words(name)}: ${message}`;
    };
    const body = html`
<ul class="tiles">${tiles.map(([what, label, path]) => {
        const { count: number, is_more: isMore } = counts.find((row) => row.what === what);
        return html`<li${number > 0 && html` class="some"`}><a href="${link(path)}"><b>${count(number, isMore)}</b> ${label}</a></li>`;
    })}</ul>
<h2>Health</h2>
${table(visit, 'Checks that are not ok', ['status', ['check', checked], ['what to do', ({ hint }) => hint]], wrong, `All ${health.length} checks are ok.`)}
${wrong.length > 0 && html`<p class="note">The other ${health.length - wrong.length} checks are ok.</p>`}
<h2 id="alerts">Alerts</h2>
${table(
    visit,
    'Alerts whose cause is not gone',
    [
        'severity',
        ['alert', ({ summary, hint }) => html`${summary}${hint && html`<p class="hint">${hint}</p>`}`],
        'call first_seen_at:since occurrences:times acknowledged_by:looked_after_by',
        ['do', ({ state, alert }) => state === 'open' && verbButton(visit, 'acknowledge', { alert })],
    ],
    alerts.slice(0, mostAlerts),
    'None is open: there is nothing that a person must know and that is not over.',
)}${alerts.length > mostAlerts && notAll(`these ${mostAlerts} matter most; seats.alerts has the others.`)}
<h2 id="destinations">Destinations</h2>
${table(
    visit,
    'Where calls go',
    [
        'name state why breaker key account mode rate in_flight:on_the_wire held oldest_call oldest_at:of',
        [
            'do',
            ({ name, is_stopped: stopped }) => verbButton(visit, stopped ? 'resume' : 'pause', { destination: name }),
        ],
    ],
    destinations,
    'None: a superuser makes one with seats.define_destination.',
)}
<h2>Open calls</h2>
<ul class="tiles small">${states.map(
        ({ what, count: number }) =>
            html`<li><a href="${link('/outbox', { state: what.slice(6) })}"><b>${count(number)}</b> ${what.slice(6)}</a></li>`,
    )}</ul>
${table(visit, 'What open calls wait for', ['reason:they_wait_as calls oldest_at:the_oldest_since'], waiting, '')}
<p class="note">${countedAt ? html`Counted ${age(countedAt)}.` : 'They are too many to be counted now, and no worker has done it.'}</p>
<h2>Worker</h2>
${facts(visit, ['state trouble debug_point:stands_still_at last_loop_at:seen started_at pid:process in_flight:on_the_wire ready installation'], worker)}`;
    return { title: 'Overview', place: '/', body };
}
