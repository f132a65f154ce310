// GET /team/events: what changes on a team's page while somebody has it open, as server-sent events.
import { randomUUID } from 'node:crypto';
import { createHub } from '../lib/live.js';
import { Refused } from '../lib/safety.js';
import { parts } from '../views/team.js';

const MOST_OF_A_PERSON = 5;
const MOST = 2000;
const HEARTBEAT = 15_000;
const MOST_UNREAD = 1024 * 1024;

/** @import { Access, App, Context, Person } from '../types.d.ts' */

/** @param {App} app @param {Context} context */
export default async function stream(app, { pool, listenUrl, identify, signedOut, access, load }) {
    const hub = createHub({ pool, listenUrl, log: app.log });
    const streams = /** @type {Set<{person: Person, end: (event?: string) => void}>} */ (new Set());
    app.addHook('preClose', async () => {
        hub.close();
        for (const { end } of streams) end();
    });
    signedOut.on('session', (/** @type {string} */ session) => {
        for (const { person, end } of streams) if (person.session === session) end('gone');
    });

    app.get('/team/events', async (request, reply) => {
        const { team, owner } = await access(request);
        const { person } = request;
        const own = [...streams].filter((stream) => stream.person.user === person.user);
        if (own.length >= MOST_OF_A_PERSON || streams.size >= MOST)
            throw new Refused(
                429,
                'Too many pages are open already. This one shows what is new when it is loaded again.',
            );

        reply.hijack();
        const out = reply.raw;
        const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' };
        out.writeHead(200, { .../** @type {any} */ (reply.getHeaders()), ...headers });
        out.write('retry: 2000\n\n');
        const shown = /** @type {Record<string, string>} */ ({});
        const key = randomUUID(); // the same each time, or all forms would be news

        /** @param {string} event @param {unknown} [data] */
        const send = (event, data = '') => {
            out.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
            if (out.writableLength > MOST_UNREAD) out.destroy();
        };
        const end = (event = '') => {
            if (event) send(event);
            out.end();
        };

        /** Asked anew each time: he may have been signed out, removed, or made something else since. */
        const mayStill = async () => {
            if ((await identify(request))?.user !== person.user) return false;
            const now = await access(request).catch((error) =>
                error.statusCode === 404 ? null : Promise.reject(error),
            );
            return now?.owner === owner;
        };

        const leave = hub.subscribe(team, async (loadPage) => {
            if (!(await mayStill())) return (end('gone'), null);
            const page = await loadPage(person.user);
            const state = await load(request, /** @type {Access} */ (request.access), page);
            const news = /** @type {typeof shown} */ ({});
            for (const [id, part] of Object.entries(parts({ ...state, key })))
                // (What was refused is told by a page in a notice of its own, of which this stream knows nothing.)
                if (shown[id] !== `${part}` && (id !== 'notice' || state.change)) shown[id] = news[id] = `${part}`;
            if (Object.keys(news).length > 0) send('parts', news);
            return page;
        });
        const beat = setInterval(async () => {
            if (out.writableLength > 0) return out.destroy(); // what was sent before was not taken yet
            const known = await identify(request).catch(() => person);
            if (!known) return end('gone');
            hub.isFresh() ? send('alive') : out.write(':\n\n');
        }, HEARTBEAT);
        const open = { person, end };
        streams.add(open);
        out.on('close', () => {
            clearInterval(beat);
            streams.delete(open);
            leave();
        });
    });
}
