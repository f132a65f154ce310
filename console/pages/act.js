// Where verbs are asked for (GET, which shows what would be done) and done (POST).
import { randomUUID } from 'node:crypto';
import { html } from '../lib/html.js';
import { reasonField } from '../lib/parts.js';
import { audit, refusal } from '../lib/safety.js';
import { allowedVerbs, use, verbs } from '../lib/verbs.js';
import { inWords, when, words } from '../lib/words.js';

/**
 * @import { FastifyInstance, FastifyRequest } from 'fastify'
 * @import { Page, Visit } from '../types.d.ts'
 * @import { Database } from '../lib/database.js'
 * @import { HtmlText } from '../lib/html.js'
 * @typedef {ReturnType<typeof read>} Asked
 */

const mostForms = 1000;

/** @param {FastifyRequest} request @param {unknown} values  of its query or its body */
function read(request, values) {
    const { name } = /** @type {{name: string}} */ (request.params);
    const verb = verbs.get(name);
    if (!verb) throw refusal(404, `There is no verb ${name}`);
    const text = (/** @type {string} */ key) => String(Object(values)[key] ?? '').trim();
    const given = Object.fromEntries(verb.takes.split(' ').map((key) => [key, text(key)]));
    const back = verb.back.replace(/:(\w+)/, (_, key) => encodeURIComponent(given[key]));
    return { ...request.asker, name, verb, given, back, reason: text('reason'), key: text('key') };
}

/** @param {Record<string, unknown>} values */
const listed = (values) =>
    Object.entries(values)
        .filter(([, value]) => value !== '' && value !== null)
        .map(([key, value]) => `${words(key)} ${value}`)
        .join(', ');

/** @param {FastifyInstance} app @param {{database: Database, link: Visit['link']}} settings */
export function createActs(app, { database, link }) {
    /**
     * What was done, by the key of the form: so a second click, or a reload, does nothing again.
     * @type {Map<string, Promise<{location: string, notice: HtmlText}>>}
     */
    const forms = new Map();
    const formOf = (/** @type {string} */ person, /** @type {unknown} */ key) => JSON.stringify([person, key]);

    /** @param {Asked} asked @param {ReturnType<typeof inWords>} [problem] @returns {Promise<Page>} */
    async function form({ name, verb, given, back, reason, token }, problem) {
        const { known, says, does } = await database.read(async (client) => {
            const does = (await allowedVerbs(client)).get(name);
            if (!does) throw refusal(403, `The role of the desk may not use ${name}: seats.grant_operator lets it`);
            const look = await verb.look?.(client, given);
            return { known: { ...given, ...look?.given }, says: look?.says ?? [], does };
        });
        const body = html`${problem && html`<p role="alert" class="banner bad"><strong>${problem.title}.</strong> ${problem.text}</p>`}
<p><strong>${verb.label}: ${listed(known)}</strong></p>
${says.map((line) => html`<p>${line}</p>`)}
<form method="post" action="${link(`/act/${name}`)}" class="stack">
${Object.entries({ ...known, token, key: randomUUID() }).map(([key, value]) => html`<input type="hidden" name="${key}" value="${value}">`)}
${reasonField(reason)}
<p><button>${verb.label}</button> <a href="${link(back)}">Leave it as it is</a></p>
</form>
<p class="note"><code>seats.${name}</code> ${does}.</p>`;
        return { title: `${verb.label}?`, isFixed: true, status: problem?.status, body };
    }

    /** @param {Asked} asked */
    async function carryOut({ person, name, verb, given, back, reason, key }) {
        let hasRun = false;
        const log = (/** @type {object} */ outcome) => audit({ person, verb: name, object: given, reason, ...outcome });
        try {
            const row = await database.act(person, async (client) => {
                const result = await use(client, name, { ...given, reason });
                hasRun = true;
                return result;
            });
            log({ outcome: 'done' });
            const what = listed({ ...given, ...row });
            const notice = html`${verb.label}: done at ${when(new Date())} UTC by ${person} (${what})`;
            return { location: link(back, { notice: key }), notice };
        } catch (error) {
            const { code, message } = /** @type {{code?: string, message: string}} */ (error);
            log({ outcome: hasRun ? 'unknown' : 'refused', code, message });
            if (!hasRun) throw error;
            throw refusal(409, 'The connection broke at the end: it may be done. Look before you repeat it');
        }
    }

    const path = link('/act/:name');
    app.get(path, async (request, reply) => reply.page(await form(read(request, request.query))));
    app.post(path, async (request, reply) => {
        const asked = read(request, request.body);
        const key = formOf(asked.person, asked.key);
        try {
            const doing = forms.get(key) ?? carryOut(asked);
            forms.set(key, doing);
            for (const oldest of [...forms.keys()].slice(0, -mostForms)) forms.delete(oldest);
            return reply.redirect((await doing).location, 303);
        } catch (error) {
            forms.delete(key);
            const problem = inWords(error);
            if (problem.status === 403) throw error;
            return reply.page(await form(asked, problem));
        }
    });

    /** What a form has done, for the page that comes after it. @param {FastifyRequest} request */
    return async (request) => (await forms.get(formOf(request.asker.person, Object(request.query).notice)))?.notice;
}
