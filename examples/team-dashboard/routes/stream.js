// GET /team/events: what changes on a team's page while somebody has it open, as server-sent events.
import { createHub } from '../lib/live.js';
import { Refused } from '../lib/safety.js';
import { parts } from '../views/team.js';

/** @import { App, Context, Person } from '../types.d.ts' */

const MOST_OF_A_PERSON = 5;
const MOST = 2000;
const MOST_UNREAD = 1024 * 1024;
const HEARTBEAT = 15_000;

/** @param {string} event @param {unknown} [data] */
const frame = (event, data = '') => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

/** @param {App} app @param {Context} context */
export default async function stream(app, { pool, listenUrl, identify, signedOut, access, load }) {
    const hub = createHub({ pool, listenUrl, log: app.log });
    const streams = /** @type {Set<{person: Person, end: (frame?: string) => void}>} */ (new Set());
    app.addHook('preClose', async () => {
        hub.close();
        for (const { end } of streams) end();
    });
    signedOut.on('session', (session) => {
        for (const { person, end } of streams) if (person.session === session) end(frame('gone'));
    });

    app.get('/team/events', async (request, reply) => {
        const { team, owner } = await access(request);
        const { person } = request;
        const own = [...streams].filter((stream) => stream.person.user === person.user);
        if (own.length >= MOST_OF_A_PERSON || streams.size >= MOST)
            throw new Refused(429, 'Too many pages are open: this one shows what is new when it is loaded again.');

        reply.hijack();
        const out = reply.raw;
        if (out.destroyed) return; // he has gone on already: its end was told before anybody listened
        const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' };
        out.writeHead(200, { .../** @type {any} */ (reply.getHeaders()), ...headers });
        out.write('retry: 2000\n\n');
        const stream = { person, end: (last = '') => void out.end(last) };
        const shown = /** @type {Record<string, string>} */ ({});
        const isSignedIn = async () => (await identify(request))?.user === person.user;

        // Asked anew each time: he may have been signed out, removed, or made something else since.
        const leave = hub.subscribe(team, async (loadPage) => {
            const now = await access(request).catch((error) => error.statusCode !== 404 && Promise.reject(error));
            if (!now || now.owner !== owner || !(await isSignedIn())) return (stream.end(frame('gone')), null);
            const page = await loadPage(person.user);
            const news = /** @type {typeof shown} */ ({});
            for (const [id, part] of Object.entries(parts(await load(request, now, page))))
                if (shown[id] !== `${part}`) shown[id] = news[id] = `${part}`;
            if (Object.keys(news).length > 0) out.write(frame('parts', news));
            if (out.writableLength > MOST_UNREAD) out.destroy();
            return page;
        });
        const beat = setInterval(async () => {
            if (out.writableLength > 0) return out.destroy(); // what was sent before was not taken yet
            if (!(await isSignedIn().catch(() => true))) return stream.end(frame('gone'));
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
