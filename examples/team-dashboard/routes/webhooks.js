// Where Stripe tells what has happened: no cookie and no token, the signature says who it is.
import pg from 'pg';
import { largestWebhook, webhooks } from '../lib/pg-seats.js';

/** @import { App, Context } from '../types.d.ts' */

/** @param {App} app @param {Context} context */
export default async function stripe(app, { pool }) {
    // A pool of its own: events come in also while pages hold every connection of theirs.
    const own = new pg.Pool({ ...pool.options, password: pool.options.password, max: 4 });
    const log = (/** @type {unknown} */ err) =>
        app.log.error({ err }, 'a webhook was not received, or a connection is lost');
    own.on('error', log);
    app.addHook('onClose', () => own.end());

    const receive = webhooks(own, 'main', log);
    // For this route only: what is signed are the bytes as they came, whatever type they are said to be.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: largestWebhook }, (request, body, done) =>
        done(null, body),
    );
    app.post('/webhooks/stripe', { config: { open: true } }, async (request, reply) => {
        const body = /** @type {Buffer | undefined} */ (request.body) ?? Buffer.alloc(0);
        const { status, outcome } = await receive(body, request.headers['stripe-signature']);
        return reply.code(status).type('text/plain').send(outcome);
    });
}
