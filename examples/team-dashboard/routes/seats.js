// Buying seats and giving them back: a price is asked for, one page names it, one form makes the change. What a form carries
// may be made up, or old: change_seats judges all of it.
import { describe } from '../lib/pg-seats.js';
import { Refused, field, isJson } from '../lib/safety.js';
import { confirmPage } from '../views/confirm.js';
import { teamAt } from '../views/page.js';
import { mostAtOnce } from '../views/team.js';

/** @import { Access, App, Context, Request } from '../types.d.ts' */
/** @typedef {import('fastify').FastifyReply} Reply */
/** @typedef {import('../views/confirm.js').Quote} Quote */

/** Null if it is not there. @param {Request} request @param {string} name @param {number} least @param {number} most */
function whole(request, name, least, most) {
    const text = field(request, name);
    if (text === '') return null;
    if (/^\d{1,12}$/.test(text) && Number(text) >= least && Number(text) <= most) return Number(text);
    throw new Refused(422, `${name} is a whole number from ${least} to ${most}.`, 'PS505');
}

/** What is to be changed, and as change_seats is told. @param {Request} request */
function wanted(request) {
    const seat_type = field(request, 'seat_type');
    const operation = field(request, 'operation') || 'add';
    const quantity = whole(request, 'quantity', 1, mostAtOnce);
    if (quantity === null) throw new Refused(422, 'How many seats?', 'PS505');
    if (operation !== 'add' && operation !== 'remove') throw new Refused(422, 'Add, or remove?', 'PS519');
    return { seat_type, operation, quantity, changes: JSON.stringify({ [seat_type]: { [operation]: quantity } }) };
}

const changeSql = `
    SELECT change, seats, repeated
      FROM seats.change_seats($1, $2, actor => $3, request_key => $4, expected => $5, proration_date => $6)`;

/** @param {App} app @param {Context} context */
export default async function seats(app, { ask, asOwner, limits, load, sign, verify }) {
    /** Asks Stripe what it costs. @param {Request} request @param {Access} may @param {Quote['seen']} [seen] */
    async function askForPrice(request, may, seen) {
        await limits.previews(request);
        const { changes, ...asked } = wanted(request);
        const { page } = await load(request, may);
        const type = page.seat_types.find(({ seat_type }) => seat_type === asked.seat_type);
        const [what, most = mostAtOnce] =
            asked.operation === 'add' ? ['added', type?.may_add] : ['given back', type?.may_remove];
        if (asked.quantity > most) throw new Refused(422, `At most ${most} can be ${what} now.`, 'PS505');
        const asking = await ask('SELECT * FROM seats.preview_change($1, $2)', may.team, changes);
        const { call, proration_date: at } = asking[0];
        const quote = { team: may.team, call, at: Number(at), ...asked, expected: type?.quantity ?? 0, seen };
        return { quote, address: `/team/quotes/${call}?q=${sign('quote', quote)}` };
    }

    /** @param {Request} request @param {Reply} reply @param {Access} may @param {{quote: Quote, address: string}} asked */
    async function show(request, reply, may, { quote, address }) {
        const state = await load(request, may);
        const [price] = await ask('SELECT * FROM seats.preview($1)', quote.call);
        // What a plan costs is said where all its prices are alike, old ones too: which the team has is not known here.
        const plans = await ask(
            `SELECT DISTINCT CASE currency WHEN $3 THEN unit_amount * $2 END AS amount, currency,
                    CASE interval_count WHEN 1 THEN 'a ' || recurring_interval
                    ELSE format('every %s %ss', interval_count, recurring_interval) END AS period
               FROM seats.prices WHERE seat_type = $1`,
            quote.seat_type,
            quote.quantity,
            state.page.subscription?.currency,
        );
        const asked = { quote, address, price, plan: plans.length === 1 ? plans[0] : null };
        return reply.html(confirmPage(asked, state));
    }

    app.post('/team/quotes', async (request, reply) => {
        const { address } = await askForPrice(request, await asOwner(request));
        return reply.redirect(address, 303);
    });

    app.get('/team/quotes/:call', async (request, reply) => {
        const quote = verify('quote', field(request, 'q'));
        if (quote?.call !== /** @type {any} */ (request.params).call) throw new Refused(404, 'There is no such page.');
        Object.assign(/** @type {any} */ (request.query), { team: quote.team });
        return show(request, reply, await asOwner(request), { quote, address: request.url });
    });

    app.post('/team/seats', async (request, reply) => {
        const may = await asOwner(request);
        await limits.purchases(request);
        const key = request.headers['idempotency-key'] || field(request, 'key');
        if (!key) throw new Refused(422, 'Send an Idempotency-Key: what is sent twice with it is done once.', 'PS520');
        const { seat_type, changes } = wanted(request);
        const quantity = whole(request, 'expected', 0, 1e6);
        const expected = quantity === null ? null : JSON.stringify({ [seat_type]: quantity });
        const values = [may.team, changes, may.actor, key, expected, whole(request, 'proration_date', 0, 1e11)];
        const made = await ask(changeSql, ...values).catch(async (error) => {
            // The page, or its price, was out of date: the price is asked for anew, and nothing was done.
            if (isJson(request) || !/^PS5(10|13|25|38|39)$/.test(describe(error).code ?? '')) throw error;
            const at = new Date(Date.parse(field(request, 'seen_at')) || Date.now()).toISOString();
            reply.code(409);
            await show(request, reply, may, await askForPrice(request, may, at));
        });
        if (!made) return reply;
        const [{ change, seats, repeated }] = made;
        if (!isJson(request))
            return reply.redirect(teamAt(may.team, { change, ...(repeated && { did: 'again' }) }), 303);
        const [{ state }] = await ask('SELECT state FROM seats.changes WHERE change = $1', change);
        return reply.code(202).send({ change: Number(change), seat_type, ...seats[seat_type], repeated, state });
    });

    app.post('/team/cancel', async (request, reply) => {
        const { team, actor } = await asOwner(request);
        const change = whole(request, 'change', 1, 1e12);
        const own = await ask('SELECT team FROM seats.changes WHERE change = $1 AND team = $2', change, team);
        if (own.length === 0) throw new Refused(404, 'There is no such change.', 'PS514');
        await ask('SELECT seats.cancel_change($1, $2)', change, actor);
        return reply.redirect(teamAt(team, { change, did: 'back' }), 303);
    });
}
