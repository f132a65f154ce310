// GET /team/events: what changes on a team's page while somebody has it open, as server-sent events.
import { createHub } from '../lib/live.js';
import { Refused, field } from '../lib/safety.js';
import { parts, rightsOf } from '../views/team.js';

/** @import { Access, App, Context, Person, Request } from '../types.d.ts' */

const MOST_OF_A_PERSON = 5;
const MOST = 2000;
const MOST_UNREAD = 1024 * 1024;
const HEARTBEAT = 15_000;
const TYPE = 'text/event-stream; charset=utf-8';

/** @param {string} event @param {unknown} [data] */
const frame = (event, data = '') => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

/** @param {App} app @param {Context} context */
export default async function stream(app, { pool, listenUrl, identify, sessions, access, load }) {
    const hub = createHub({ pool, listenUrl, log: app.log });
    const streams = /** @type {Set<{person: Person, end: (frame?: string) => void}>} */ (new Set());
    app.addHook('preClose', async () => {
        hub.close();
        for (const { end } of streams) end();
    });
    sessions.on('ended', (session) => {
        for (const { person, end } of streams) if (person.session === session) end(frame('gone'));
    });

    /** As what he may listen; null: not at all. @param {Request} request @returns {Promise<Access | null>} */
    const admit = async (request) => {
        const person = await identify(request);
        if (!person) return null;
        request.person = person;
        return access(request).catch((error) => (error.statusCode < 500 ? null : Promise.reject(error)));
    };

    // (Whoever may not is told by the stream itself: a browser's EventSource cannot tell a 404 from a 502.)
    app.get('/team/events', { config: { open: true } }, async (request, reply) => {
        const admitted = await admit(request);
        if (!admitted) return reply.type(TYPE).send(frame('gone'));
        const { person } = request;
        const own = [...streams].filter((stream) => stream.person.user === person.user);
        // (One that stands behind another on the same connection is never told that it has closed.)
        if (own.length >= MOST_OF_A_PERSON || streams.size >= MOST || !reply.raw.socket)
            throw new Refused(429, 'Too many pages are open: this one shows what is new when it is loaded again.');

        const rights = field(request, 'rights');
        reply.hijack();
        const out = reply.raw.on('error', () => out.destroy()); // what was still told after the end
        if (out.destroyed) return; // he has gone on already: its end was told before anybody listened
        const headers = { 'content-type': TYPE, 'x-accel-buffering': 'no' };
        out.writeHead(200, { .../** @type {any} */ (reply.getHeaders()), ...headers });
        out.write('retry: 2000\n\n');
        const stream = { person, end: (last = '') => void out.end(last) };
        const shown = /** @type {Record<string, string>} */ ({});

        const leave = hub.subscribe(admitted.team, async (loadPage) => {
            // Asked anew each time: he may have been signed out, removed, or made something else since, or be elsewhere now.
            const now = await admit(request);
            const state = now?.team === admitted.team && (await load(request, now, await loadPage(now.actor)));
            // (With other rights it is another page, with other forms, and the browser loads that.)
            if (!state || (rights && rights !== rightsOf(state))) return (stream.end(frame('gone')), null);
            const news = /** @type {typeof shown} */ ({});
            for (const [id, part] of Object.entries(parts(state)))
                if (shown[id] !== `${part}`) shown[id] = news[id] = `${part}`;
            if (Object.keys(news).length > 0) out.write(frame('parts', news));
            if (out.writableLength > MOST_UNREAD) out.destroy();
            return state.page;
        });
        const beat = setInterval(async () => {
            if (out.writableLength > 0) return out.destroy(); // what was sent before was not taken yet
            if (!(await identify(request).catch(() => true))) return stream.end(frame('gone'));
            out.write(hub.isFresh() ? frame('alive') : ':\n\n');
        }, HEARTBEAT);
        streams.add(stream);
        out.on('close', () => {
            clearInterval(beat);
            streams.delete(stream);
            leave();
        });
    });
}
