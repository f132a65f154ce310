// What a test of a page needs: the server and the simulator (they run already, see README.md), teams of its own, the
// dashboard and the desk in this process, a browser. One world a test file; whatever a test opens ends with the test,
// and what it made Stripe do for all is taken back.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, afterEach } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { chromium } from 'playwright-core';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('playwright-core').Browser} Browser */
/** @typedef {Awaited<ReturnType<typeof world>>} World */

const root = new URL('../../../', import.meta.url);
const axeText = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

/**
 * Waits until a condition gives something true, and gives that; what is still thrown when the time is up, is thrown.
 * @template T
 * @param {() => T | Promise<T>} condition
 * @param {{timeout?: number, what?: string}} [options]
 * @returns {Promise<T>}
 */
export async function until(condition, { timeout = 15_000, what = String(condition) } = {}) {
    const end = Date.now() + timeout;
    for (;;) {
        let trouble;
        try {
            const result = await condition();
            if (result) return result;
        } catch (error) {
            trouble = error;
        }
        if (Date.now() > end) throw trouble ?? new Error(`this has not come true within ${timeout} ms: ${what}`);
        await setTimeout(25);
    }
}

/** What a person would meet that cannot see, or not well: axe finds nothing. @param {Page} page */
export async function axe(page) {
    await page.evaluate(axeText);
    const found = await page.evaluate(async () => {
        const { violations } = await /** @type {any} */ (globalThis).axe.run();
        return violations.map((/** @type {any} */ rule) => ({
            rule: rule.id,
            help: rule.help,
            where: rule.nodes.map((/** @type {any} */ node) => `${node.target.join(' ')}: ${node.failureSummary}`),
        }));
    });
    assert.deepEqual(found, [], `axe finds something on ${page.url()}`);
}

/** Nothing is cut off or has to be scrolled sideways. @param {Page} page */
export async function fitsItsWidth(page) {
    const wide = await page.evaluate(() => {
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return [];
        return [...document.querySelectorAll('body *')]
            .filter((element) => element.getBoundingClientRect().right > width + 0.5)
            .map((element) => `${element.tagName}.${element.className} "${element.textContent?.trim().slice(0, 40)}"`);
    });
    assert.deepEqual(wide, [], `wider than the window: ${page.url()}`);
}

/** @returns {Promise<number>} */
export function freePort() {
    return new Promise((resolve, reject) => {
        const server = createServer();
        server.once('error', reject);
        server.listen(0, '127.0.0.1', () => {
            const address = server.address();
            server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
        });
    });
}

export async function world() {
    const directory = process.env.PGHOST ?? '';
    if (!existsSync(`${directory}/control-port`)) {
        throw new Error('PGHOST is no directory of scripts/demo --empty: see test/pages/README.md');
    }
    const stripe = `http://127.0.0.1:${readFileSync(`${directory}/stripe-port`, 'utf8').trim()}`;
    const simulator = `http://127.0.0.1:${readFileSync(`${directory}/control-port`, 'utf8').trim()}`;
    const admin = new pg.Pool({ user: 'postgres', max: 4 });
    /** @type {Browser | undefined} */
    let browser;
    /** What this test has opened, the newest last. @type {(() => Promise<unknown>)[]} */
    let opened = [];
    /** @type {Page[]} */
    let pages = [];
    let touched = false;

    /**
     * One statement, as the superuser.
     * @param {string} text
     * @param {unknown[]} [values]
     * @returns {Promise<any[]>} its rows
     */
    async function sql(text, values) {
        return (await admin.query(text, values)).rows;
    }

    /**
     * Has the simulator do something (test/stripe/README.md, Control): POST with a body, else GET.
     * @param {string} path below /_control/
     * @param {object} [body]
     * @param {string} [method]
     * @returns {Promise<any>}
     */
    async function control(path, body, method = body ? 'POST' : 'GET') {
        if (method !== 'GET') touched = true;
        const response = await fetch(`${simulator}/_control/${path}`, {
            method,
            ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        });
        const answer = await response.text();
        assert.ok(response.ok, `${method} ${path}: ${response.status} ${answer}`);
        return answer ? JSON.parse(answer) : null;
    }

    /** Whatever a test has made Stripe do to all ends with it, also where it has failed. */
    async function stripeWorksAgain() {
        if (!touched) return;
        touched = false;
        await control('outage', { mode: 'none' });
        await control('faults', undefined, 'DELETE');
        await control('release', {});
        await control('keys', { key: 'sk_test_simulator', state: 'active' });
        await control('limits', { invoices_per_minute: 10, invoices_per_day: 20, quantity_updates_per_hour: 200 });
        touched = false;
        await sql(`SELECT seats.resume(name, reason => 'the test is over') FROM seats.destinations
                WHERE name = 'stripe' AND (halted_at IS NOT NULL OR paused_at IS NOT NULL)`);
    }

    /** The extension, seat types, roles: as examples/team-dashboard/set-up.sql makes them, once for all tests. */
    async function setUp() {
        const [{ there }] = await sql(`SELECT to_regrole('dashboard') IS NOT NULL AS there`);
        if (there) return;
        const file = fileURLToPath(new URL('examples/team-dashboard/set-up.sql', root));
        const variables = ['-v', 'ON_ERROR_STOP=1', '-v', `stripe=${stripe}`];
        await promisify(execFile)('psql', ['-X', '-q', ...variables, '-U', 'postgres', '-f', file]);
    }

    /**
     * A team of this test alone, with a customer and a subscription of its own, read already. Names get an ending, so that
     * no two meet; the team that is given back has them all.
     * @param {string} name
     * @param {{seats?: number, ownerSeats?: number, owner?: string, members?: string[], currency?: string, card?: string, interval?: string,
     *   plain?: boolean, subscription?: object}} [options]
     *   plain: names as they are given, for pictures. subscription: more of what the simulator's `subscriptions` takes.
     */
    async function newTeam(name, options = {}) {
        const {
            seats = 5,
            ownerSeats = 1,
            owner = 'ada',
            members = [],
            currency = 'usd',
            card = 'ok',
            interval = 'month',
        } = options;
        const ending = randomBytes(3).toString('hex');
        const full = (/** @type {string} */ word) => (options.plain ? word : `${word}-${ending}`);
        const suffix = (currency === 'usd' ? '' : `_${currency}`) + (interval === 'month' ? '' : `_${interval}`);
        const team = {
            team: full(name),
            owner: full(owner),
            members: members.map(full),
            subscription: `sub_${ending}`,
            customer: `cus_${ending}`,
            /** ids of the subscription's items, and the prices in them */
            items: { owner: `si_owner_${ending}`, team: `si_team_${ending}` },
            prices: { owner: `price_owner${suffix}`, team: `price_team${suffix}` },
        };
        if (suffix) await listPrices(team.prices);
        const item = { interval };
        await control('subscriptions', {
            id: team.subscription,
            customer: team.customer,
            currency,
            card,
            items: [
                {
                    ...item,
                    id: team.items.owner,
                    price: team.prices.owner,
                    unit_amount: 2000,
                    quantity: ownerSeats,
                },
                { ...item, id: team.items.team, price: team.prices.team, unit_amount: 1000, quantity: seats },
            ],
            ...options.subscription,
        });
        const [{ call }] = await sql('SELECT seats.register_team($1, $2) AS call', [team.team, team.subscription]);
        await sql(`CALL seats.wait_for_call(${Number(call)})`);
        await sql(`SELECT seats.add_member($1, $2, seat_type => 'owner', role => 'owner')`, [team.team, team.owner]);
        for (const member of team.members) {
            await sql(`SELECT seats.add_member($1, $2, seat_type => 'team')`, [team.team, member]);
        }
        return team;
    }

    /** Prices of another currency count as the seats they are, until the test ends. @param {Record<string, string>} prices */
    async function listPrices(prices) {
        ending(() => definePrices(prices, false));
        await definePrices(prices, true);
    }

    /** @param {Record<string, string>} prices @param {boolean} listed */
    async function definePrices(prices, listed) {
        for (const [type, price] of Object.entries(prices)) {
            await sql(
                `SELECT seats.define_seat_type(seat_type, array_remove(prices, $2) || CASE WHEN $3 THEN ARRAY[$2] ELSE '{}' END,
                          largest_change, largest_total, increase_proration_behavior, increase_payment_behavior,
                          decrease_proration_behavior, delete_at_zero => delete_at_zero,
                          largest_unconfirmed => largest_unconfirmed)
                   FROM seats.seat_types WHERE seat_type = $1`,
                [type, price, listed],
            );
        }
    }

    /**
     * The example, on a port of its own. Options are settings of createApp; `role` is who it is at the database.
     * @param {Partial<import('../../../examples/team-dashboard/types.d.ts').Settings> & {port?: number, role?: string}} [options]
     */
    async function startDashboard({ port, role = 'dashboard', pool: given, ...settings } = {}) {
        const { createApp } = await import('../../../examples/team-dashboard/app.js');
        port ??= await freePort();
        const origin = settings.origin ?? `http://127.0.0.1:${port}`;
        const pool = given ?? new pg.Pool({ user: role, max: 10 });
        const app = await createApp({
            pool,
            listenUrl: `postgresql:///?host=${encodeURIComponent(directory)}&user=${role}&dbname=${process.env.PGDATABASE}`,
            origin,
            sessionSecret: 'a secret of this test, long enough to be one',
            simulator,
            logger: false,
            ...settings,
        });
        await app.listen({ port, host: '127.0.0.1' });
        return { origin, pool, app, close: ending(() => app.close(), given ? undefined : pool) };
    }

    /**
     * The operator's desk, on a port of its own. Options are settings of createDesk; `role` may be `watcher`, and `person`
     * is who acts.
     * @param {Partial<import('../../../console/types.d.ts').Settings> & {port?: number, role?: string,
     *   person?: string}} [options]
     */
    async function startDesk({ port, role = 'desk', person = 'carol', pool: given, ...settings } = {}) {
        const { createDesk } = await import('../../../console/app.js');
        const { openPool } = await import('../../../console/lib/database.js');
        const { asPerson } = await import('../../../console/lib/safety.js');
        port ??= await freePort();
        const pool = given ?? openPool({ user: role });
        const authentication = settings.authentication ?? asPerson(person);
        const app = createDesk({ pool, hosts: ['127.0.0.1'], authentication, ...settings });
        await app.listen({ port, host: '127.0.0.1' });
        return {
            origin: `http://127.0.0.1:${port}`,
            pool,
            app,
            close: ending(() => app.close(), given ? undefined : pool),
        };
    }

    /** Ends once, when the test says so, or else with it. @param {() => Promise<unknown>} close @param {pg.Pool} [pool] */
    function ending(close, pool) {
        /** @type {Promise<void> | undefined} */
        let ended;
        const end = () =>
            (ended ??= (async () => {
                await close();
                await pool?.end();
            })());
        opened.push(end);
        return end;
    }

    async function theBrowser() {
        browser ??= await chromium.launch({
            executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
            args: ['--disable-gpu'],
        });
        return browser;
    }

    /**
     * Chromium can leave the closing of a page unanswered that is just being loaded. Then the browser goes, and the next
     * test has another one.
     * @param {import('playwright-core').BrowserContext} context
     */
    async function closeWindows(context) {
        const answered = context.close().then(
            () => true,
            () => true, // it went with its browser
        );
        if (await Promise.race([answered, setTimeout(10_000, false, { ref: false })])) return;
        console.log('a browser that does not close its pages is ended');
        const stuck = browser;
        browser = undefined;
        await stuck?.close();
    }

    /**
     * A window of a browser of its own (cookies, too), at `path`, signed in as `user` where one is given.
     * @param {string} origin
     * @param {{user?: string, path?: string, dark?: boolean, width?: number, height?: number, locale?: string,
     *   javascript?: boolean, reducedMotion?: boolean, beside?: Page}} [options]
     *   beside: another tab of that page's browser, signed in as it is.
     * @returns {Promise<Page>}
     */
    async function openPage(origin, options = {}) {
        const { user, path = '/', dark, width = 1280, height = width < 600 ? 844 : 900, locale = 'en-US' } = options;
        const context =
            options.beside?.context() ??
            (await (
                await theBrowser()
            ).newContext({
                viewport: { width, height },
                colorScheme: dark ? 'dark' : 'light',
                reducedMotion: options.reducedMotion ? 'reduce' : 'no-preference',
                locale,
                timezoneId: 'Europe/Berlin',
                javaScriptEnabled: options.javascript ?? true,
            }));
        if (!options.beside) ending(() => closeWindows(context));
        const page = await context.newPage();
        pages.push(page);
        page.setDefaultTimeout(15_000);
        if (user && !options.beside) await signIn(context, origin, user);
        await page.goto(origin + path);
        return page;
    }

    afterEach(async (context) => {
        const { passed, name } = /** @type {{passed?: boolean, name: string}} */ (/** @type {unknown} */ (context));
        const place = process.env.PAGES_PICTURES;
        if (passed === false && place) {
            for (const [index, page] of pages.entries()) {
                const file = `${place}/${name.replaceAll(/[^\w-]+/g, '_').slice(0, 60)}-${index + 1}.png`;
                await page.screenshot({ path: file, fullPage: true }).catch(() => {});
            }
        }
        const ends = opened.reverse();
        opened = [];
        pages = [];
        for (const end of ends) await end();
        await stripeWorksAgain();
    });
    after(async () => {
        await browser?.close();
        await admin.end();
    });

    await setUp();
    return {
        sql,
        control,
        newTeam,
        startDashboard,
        startDesk,
        openPage,
        axe,
        until,
        browser: theBrowser,
        simulator,
        stripe,
    };
}

/**
 * Signs in as the form of the demo's own page does, without opening that.
 * @param {import('playwright-core').BrowserContext} context
 * @param {string} origin
 * @param {string} user
 */
async function signIn(context, origin, user) {
    const answer = await context.request.post(`${origin}/sign-in`, {
        form: { user, next: '/' },
        headers: { origin },
        maxRedirects: 0,
    });
    assert.equal(answer.status(), 303, `${user} is signed in`);
}
