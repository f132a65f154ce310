// Where verbs are asked for (GET, which shows what would be done) and done (POST).

import { randomUUID } from 'node:crypto';
import { html } from '../lib/html.js';
import { Refusal, whoAsks } from '../lib/safety.js';
import { allowedVerbs, use, verbs } from '../lib/verbs.js';
import { inWords, when } from '../lib/words.js';

/**
 * @import { FastifyInstance, FastifyRequest } from 'fastify'
 * @import { Page, Visit } from '../app.js'
 * @import { Database } from '../lib/database.js'
 * @import { HtmlText } from '../lib/html.js'
 * @import { Send } from './sign_in.js'
 */

/**
 * What was done, by the key of the form: so a second click, or a reload, does nothing again.
 * @typedef {{location: string, notice: HtmlText}} Done
 */

const remembered = 1000;

/** @param {Record<string, unknown>} values */
const listed = (values) =>
    Object.entries(values)
        .filter(([, value]) => value !== '' && value !== null)
        .map(([key, value]) => `${key.replaceAll('_', ' ')} ${value}`)
        .join(', ');

/** @typedef {ReturnType<typeof createActs>} Acts */

/** @param {{database: Database, link: Visit['link'], send: Send}} settings */
export function createActs({ database, link, send }) {
    /** @type {Map<string, Promise<Done>>} */
    const forms = new Map();

    /** @param {FastifyRequest} request @param {unknown} values */
    function read(request, values) {
        const { name } = /** @type {{name: string}} */ (request.params);
        if (!Object.hasOwn(verbs, name)) throw new Refusal(404, `There is no verb ${name}`);
        const sent = /** @type {Record<string, unknown>} */ (values ?? {});
        const text = (/** @type {string} */ key) => String(sent[key] ?? '').trim();
        const given = Object.fromEntries(verbs[name].takes.map((key) => [key, text(key)]));
        return { ...whoAsks(request), name, verb: verbs[name], given, reason: text('reason'), key: text('key') };
    }

    /** @param {ReturnType<typeof read>} asked @param {ReturnType<typeof inWords>} [problem] @returns {Promise<Page>} */
    async function form({ name, verb, given, reason, token }, problem) {
        const look = await database.read(async (client) => {
            if (!(await allowedVerbs(client)).has(name)) {
                throw new Refusal(403, `The role of the desk may not use ${name}: seats.grant_operator lets it`);
            }
            return verb.look?.(client, given);
        });
        const fields = { ...given, ...look?.given, token, key: randomUUID() };
        return {
            title: `${verb.label}?`,
            isFixed: true,
            status: problem?.status ?? 200,
            body: html`${problem && html`<div role="alert" class="problem"><p><strong>${problem.title}.</strong> ${problem.text}</p></div>`}
<p><strong>${verb.label}: ${listed({ ...given, ...look?.given })}</strong></p>
<p>${verb.does}</p>
${look?.says.map((line) => html`<p>${line}</p>`)}
<form method="post" action="${link(`/act/${name}`)}" class="stack">
${Object.entries(fields).map(([key, value]) => html`<input type="hidden" name="${key}" value="${value}">`)}
<label>Reason, for the journal <textarea name="reason" required maxlength="1000" rows="3">${reason}</textarea></label>
<p><button>${verb.label}</button> <a href="${link(verb.back(given))}">Leave it as it is</a></p>
</form>`,
        };
    }

    /** @param {ReturnType<typeof read>} asked @returns {Promise<Done>} */
    async function carryOut({ person, name, verb, given, reason, key }) {
        let hasRun = false;
        const log = (/** @type {object} */ outcome) =>
            console.log(JSON.stringify({ at: new Date(), person, verb: name, object: given, reason, ...outcome }));
        try {
            const row = await database.act(person, async (client) => {
                const result = await use(client, name, given, reason);
                hasRun = true;
                return result;
            });
            log({ outcome: 'done' });
            return {
                location: link(verb.back(given), { notice: key }),
                notice: html`${verb.label}: done at ${when(new Date())} UTC by ${person} (${listed({ ...given, ...row })})`,
            };
        } catch (error) {
            const { code, message } = /** @type {{code?: string, message: string}} */ (error);
            log({ outcome: hasRun ? 'unknown' : 'refused', code, message });
            if (!hasRun) throw error;
            throw new Refusal(
                409,
                'The connection broke when this was to be stored: it may be done. Look before you repeat it',
            );
        }
    }

    /** @param {string} person @param {string} key */
    const formOf = (person, key) => JSON.stringify([person, key]);

    return {
        /** @param {FastifyInstance} app */
        routes(app) {
            const path = link('/act/:name');
            app.get(path, async (request, reply) => send(request, reply, await form(read(request, request.query))));
            app.post(path, async (request, reply) => {
                const asked = read(request, request.body);
                const key = formOf(asked.person, asked.key);
                try {
                    const doing = forms.get(key) ?? carryOut(asked);
                    forms.set(key, doing);
                    for (const oldest of [...forms.keys()].slice(0, -remembered)) forms.delete(oldest);
                    return reply.redirect((await doing).location, 303);
                } catch (error) {
                    forms.delete(key);
                    const problem = inWords(error);
                    if (problem.status === 403) throw error;
                    return send(request, reply, await form(asked, problem));
                }
            });
        },

        /**
         * What a form has done, for the page that comes after it.
         * @param {FastifyRequest} request
         */
        async notice(request) {
            const { notice } = /** @type {{notice?: unknown}} */ (request.query);
            return (await forms.get(formOf(whoAsks(request).person, String(notice))))?.notice;
        },
    };
}
