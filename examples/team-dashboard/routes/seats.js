// Buying seats and giving them back: a price is asked for, one page names it, one form makes the change. What forms carry may
// have been made up: change_seats judges all of it again.
import { describe } from '../lib/pg-seats.js';
import { Refused, field } from '../lib/safety.js';
import { confirmPage } from '../views/confirm.js';

/** @import { Access, App, Context, Request } from '../types.d.ts' */
/** @typedef {import('fastify').FastifyReply} Reply */
/** @typedef {import('../views/confirm.js').Quote} Quote */

const stale = ['PS510', 'PS513', 'PS525', 'PS538', 'PS539'];

/** @param {Request} request @param {string} name @param {number} most @returns {number | null} null: not given */
function whole(request, name, most, least = 0) {
    const text = field(request, name);
    if (text === '') return null;
    if (!/^\d{1,12}$/.test(text) || Number(text) > most || Number(text) < least)
        throw new Refused(422, `${name} must be a whole number from ${least} to ${most}.`, 'PS505');
    return Number(text);
}

/** What is to be changed. @param {Request} request */
function wanted(request) {
    const quantity = whole(request, 'quantity', 50, 1);
    const operation = field(request, 'operation') || 'add';
    if (quantity === null) throw new Refused(422, 'How many seats?', 'PS505');
    if (operation !== 'add' && operation !== 'remove') throw new Refused(422, 'Seats are added or removed.', 'PS519');
    return { seat_type: field(request, 'seat_type'), operation: /** @type {'add' | 'remove'} */ (operation), quantity };
}

/** A change of a team as its page has it, also when it is none of the last ones. @param {any} pool @param {any} page @param {number} id */
export async function findChange(pool, page, id) {
    const listed = [...page.open_changes, ...page.last_changes].find((change) => change.change === id);
    if (listed || !Number.isSafeInteger(id)) return listed ?? null;
    const { rows } = await pool.query('SELECT * FROM seats.changes WHERE change = $1 AND team = $2', [id, page.team]);
    return rows.length > 0 ? { ...rows[0], lines: rows, invoice: null } : null;
}

/** @param {App} app @param {Context} context */
export default async function seats(app, { pool, access, limits, load, sign, verify }) {
    /** @param {Request} request */
    const owner = async (request) => {
        const may = await access(request);
        if (!may.owner) throw new Refused(403, 'Only an owner of the team may do that.', 'PS509');
        return may;
    };

    /** Asks Stripe what it costs. @param {Request} request @param {Access} may @param {Quote['seen']} [seen] */
    async function ask(request, may, seen) {
        await limits.previews(request);
        const { seat_type, operation, quantity } = wanted(request);
        const { page } = await load(request, may);
        const type = page.seat_types.find((/** @type {any} */ one) => one.seat_type === seat_type);
        const most = operation === 'add' ? type?.may_add : type?.may_remove;
        if (quantity > (most ?? 50))
            throw new Refused(
                422,
                `At most ${most} of these seats can be ${operation === 'add' ? 'added' : 'given back'} now.`,
                'PS505',
            );
        const changes = JSON.stringify({ [seat_type]: { [operation]: quantity } });
        const asked = await pool.query('SELECT * FROM seats.preview_change($1, $2)', [may.team, changes]);
        const { call, proration_date } = asked.rows[0];
        /** @type {Quote} */
        const quote = {
            team: may.team,
            call,
            at: Number(proration_date),
            seat_type,
            operation,
            quantity,
            expected: type?.quantity ?? 0,
            seen,
        };
        return { quote, address: `/team/quotes/${call}?q=${sign('quote', JSON.stringify(quote))}` };
    }

    /** @param {Request} request @param {Reply} reply @param {{quote: Quote, address: string}} asked */
    async function show(request, reply, { quote, address }) {
        const state = await load(request, /** @type {Access} */ (request.access));
        const price = (await pool.query('SELECT * FROM seats.preview($1)', [quote.call])).rows[0];
        // What the plan costs is said where it is one price; of several nobody knows here which the team has.
        const plans = await pool.query(
            `SELECT DISTINCT unit_amount, currency, recurring_interval, interval_count FROM seats.prices
              WHERE seat_type = $1 AND active LIMIT 2`,
            [quote.seat_type],
        );
        const plan = plans.rows.length === 1 ? plans.rows[0] : null;
        return reply.type('text/html; charset=utf-8').send(String(confirmPage({ quote, address, price, plan }, state)));
    }

    app.post('/team/quotes', async (request, reply) =>
        reply.redirect((await ask(request, await owner(request))).address, 303),
    );

    app.get('/team/quotes/:call', async (request, reply) => {
        const signed = field(request, 'q');
        /** @type {Quote | null} */
        const quote = JSON.parse(verify('quote', signed) ?? 'null');
        if (!quote || quote.call !== /** @type {any} */ (request.params).call)
            throw new Refused(404, 'There is no such page.');
        Object.assign(/** @type {any} */ (request.query), { team: quote.team });
        await owner(request);
        return show(request, reply, { quote, address: request.url });
    });

    app.post('/team/seats', async (request, reply) => {
        const { team, actor } = await owner(request);
        await limits.purchases(request);
        const isJson = /json/.test(request.headers['content-type'] ?? '');
        const key = isJson ? String(request.headers['idempotency-key'] ?? '') : field(request, 'key');
        if (!key) throw new Refused(422, 'Send an Idempotency-Key, so that what is sent twice is done once.', 'PS520');
        const { seat_type, operation, quantity } = wanted(request);
        const expected = whole(request, 'expected', 1e6);
        let made;
        try {
            made = await pool.query(
                `SELECT change, seats, repeated FROM seats.change_seats($1, $2, actor => $3, request_key => $4, expected => $5,
                   proration_date => $6)`,
                [
                    team,
                    JSON.stringify({ [seat_type]: { [operation]: quantity } }),
                    actor,
                    key,
                    expected === null ? null : JSON.stringify({ [seat_type]: expected }),
                    whole(request, 'proration_date', 1e11),
                ],
            );
        } catch (error) {
            if (isJson || !stale.includes(describe(error).code ?? '')) throw error;
            const at = field(request, 'seen_at');
            const seen = { quantity: expected ?? 0, at: isNaN(Date.parse(at)) ? new Date().toISOString() : at };
            reply.code(409);
            return show(request, reply, await ask(request, { team, actor, owner: true }, seen));
        }
        const { change, seats, repeated } = made.rows[0];
        if (!isJson)
            return reply.redirect(
                `/team?team=${encodeURIComponent(team)}&change=${change}${repeated ? '&did=again' : ''}`,
                303,
            );
        const { rows } = await pool.query('SELECT state FROM seats.changes WHERE change = $1 LIMIT 1', [change]);
        return reply.code(202).send({
            change: Number(change),
            seat_type,
            ...seats[seat_type],
            repeated,
            state: rows[0]?.state ?? 'pending',
        });
    });

    app.post('/team/cancel', async (request, reply) => {
        const { team, actor } = await owner(request);
        const change = whole(request, 'change', 1e12);
        const own = await pool.query('SELECT FROM seats.changes WHERE change = $1 AND team = $2', [change, team]);
        if (own.rowCount === 0) throw new Refused(404, 'There is no such change.', 'PS514');
        await pool.query('SELECT seats.cancel_change($1, $2)', [change, actor]);
        return reply.redirect(`/team?team=${encodeURIComponent(team)}&change=${change}&did=back`, 303);
    });
}
