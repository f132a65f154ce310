// Whoever attacks the team's page: with a form of another site, in a frame, with another team's numbers, with markup in every
// name, with a cookie that is no longer good, or by having it started carelessly.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createSigning } from '../../examples/team-dashboard/lib/signing.js';
import { freePort, world } from './lib/world.js';

const { control, newTeam, openPage, sql, startDashboard, until } = await world();

/** A person with a cookie, who is no browser: headers and fields are as an attacker would like them. @param {any} app @param {string} origin @param {string} user */
async function visitor(app, origin, user) {
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const signedIn = await app.inject({
        method: 'POST',
        url: '/sign-in',
        headers: { ...form, origin },
        payload: new URLSearchParams({ user }).toString(),
    });
    const [cookie] = signedIn.headers['set-cookie'].split(';');
    const get = (/** @type {string} */ url) => app.inject({ url, headers: { cookie } });
    const html = (await get('/')).statusCode === 303 ? (await get('/team')).body : (await get('/')).body;
    const token = html.match(/name="token" value="([^"]+)"/)[1];
    const post = (
        /** @type {string} */ url,
        /** @type {Record<string, string>} */ fields,
        headers = /** @type {object} */ ({ origin }),
    ) =>
        app.inject({
            method: 'POST',
            url,
            headers: { ...form, cookie, ...headers },
            payload: new URLSearchParams({ token, ...fields }).toString(),
        });
    return {
        get,
        post,
        cookie,
        token,
        session: cookie.slice(cookie.indexOf('=') + 1),
        setCookie: signedIn.headers['set-cookie'],
    };
}

/** @param {string} team */
const seatsOf = async (team) =>
    (await sql(`SELECT quantity FROM seats.teams WHERE team = $1 AND seat_type = 'team'`, [team]))[0].quantity;

test('a form of another site does nothing, whatever it brings', async () => {
    const { team, owner, members } = await newTeam('csrf', { members: ['bob'] });
    const { app, origin } = await startDashboard();
    const { post, token, session } = await visitor(app, origin, owner);
    const remove = { team, user: members[0] };
    for (const headers of [
        { origin: 'https://evil.example' },
        { origin: 'null' },
        { origin: `${origin}.evil.example` },
        { referer: 'https://evil.example/form' },
        { origin, 'sec-fetch-site': 'cross-site' },
        { origin, 'sec-fetch-site': 'same-site' },
        { origin: 'https://evil.example', referer: `${origin}/team` },
        { referer: 'no address' },
        {},
    ]) {
        const answer = await post('/team/members/remove', remove, headers);
        assert.equal(answer.statusCode, 403, JSON.stringify(headers));
    }
    for (const wrong of ['', 'x', `${token}x`, session, token.toUpperCase(), 'é'.repeat(token.length)])
        assert.equal((await post('/team/members/remove', { ...remove, token: wrong })).statusCode, 403, wrong);
    // A token of somebody else's session, who is signed in just as well.
    const other = await visitor(app, origin, owner);
    assert.equal((await post('/team/members/remove', { ...remove, token: other.token })).statusCode, 403);
    // A proxy that has signed the person in may add a Bearer to whatever his browser sends.
    for (const [type, url] of [
        ['application/x-www-form-urlencoded', '/team/members/remove'],
        ['text/plain; json', `/team/members/remove?${new URLSearchParams(remove)}`],
    ]) {
        const payload = new URLSearchParams(remove).toString();
        const headers = { origin: 'https://evil.example', authorization: `Bearer ${session}`, 'content-type': type };
        assert.equal((await app.inject({ method: 'POST', url, headers, payload })).statusCode, 403, type);
    }
    const stays = await sql(`SELECT status FROM seats.members WHERE team = $1 AND user_id = $2`, [team, members[0]]);
    assert.deepEqual(stays, [{ status: 'active' }]);
    // Without an Origin a Referer of ours is enough, as old browsers send it.
    assert.equal((await post('/team/members/remove', remove, { referer: `${origin}/team` })).statusCode, 303);
});

test('every form that changes something asks for token and origin', async () => {
    const { team, owner } = await newTeam('forms');
    const { app, origin } = await startDashboard();
    const { cookie } = await visitor(app, origin, owner);
    const routes = [...app.printRoutes({ commonPrefix: false }).matchAll(/(\S+) \(.*POST.*\)/g)];
    const paths = [
        '/team/quotes',
        '/team/seats',
        '/team/cancel',
        '/team/invites',
        '/team/invites/revoke',
        '/team/members/role',
        '/team/members/remove',
        '/team/simulator',
        '/sign-out',
        '/invites/x',
    ];
    assert.equal(
        routes.length,
        paths.length + 2,
        'a new form belongs in this list; /sign-in and /webhooks/stripe look after themselves',
    );
    for (const url of paths)
        for (const type of ['application/x-www-form-urlencoded', 'application/json']) {
            const payload = type.includes('json') ? JSON.stringify({ team }) : `team=${encodeURIComponent(team)}`;
            const answer = await app.inject({
                method: 'POST',
                url,
                headers: { cookie, origin, 'content-type': type },
                payload,
            });
            assert.equal(answer.statusCode, 403, `${url} ${type}: ${answer.body.slice(0, 200)}`);
        }
    assert.equal(
        (
            await app.inject({
                method: 'POST',
                url: '/sign-in',
                payload: `user=${owner}`,
                headers: { 'content-type': 'application/x-www-form-urlencoded' },
            })
        ).statusCode,
        403,
    );
});

test('a browser sends no form of another page, and shows ours in no frame', async () => {
    const { team, owner, members } = await newTeam('frames', { members: ['bob'] });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${team}` });
    const token = await page.locator('input[name=token]').first().getAttribute('value');
    // Same site, other origin: the strictest cookie would come along with this one.
    const port = await freePort();
    const evil = createServer((_, response) =>
        response
            .setHeader('content-type', 'text/html')
            .end(
                `<form method="post" action="${origin}/team/members/remove"><input name="token" value="${token}"><input name="team" value="${team}"><input name="user" value="${members[0]}"><button>Win</button></form><iframe src="${origin}/team?team=${team}"></iframe>`,
            ),
    ).listen(port, '127.0.0.1');
    try {
        await page.goto(`http://127.0.0.1:${port}/`);
        await until(() => page.frames().length === 2);
        const framed = page.frames()[1];
        await framed.waitForLoadState();
        assert.doesNotMatch(
            await framed.locator('body').innerText(),
            /Seats of|Who are you/,
            'nothing of ours is in the frame',
        );
        await page.getByRole('button', { name: 'Win' }).click();
        await page.waitForURL(`${origin}/**`);
        assert.match(await page.locator('main').innerText(), /did not come from a page of/);
        const stays = await sql(`SELECT status FROM seats.members WHERE team = $1 AND user_id = $2`, [
            team,
            members[0],
        ]);
        assert.deepEqual(stays, [{ status: 'active' }]);
    } finally {
        evil.close();
    }
});

test('headers and cookie are strict on every answer', async () => {
    const { team, owner } = await newTeam('headers');
    const { app, origin } = await startDashboard();
    const { get, post, setCookie } = await visitor(app, origin, owner);
    assert.match(setCookie, /^__Host-session=[\w.-]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    const answers = [
        await get(`/team?team=${team}`),
        await get('/nowhere'),
        await get('/team?team=other'),
        await post('/team/members/role', { team, user: 'x', role: 'y' }),
        await app.inject('/sign-in'),
        await app.inject('/team'),
        await app.inject({ method: 'POST', url: '/team/seats' }),
    ];
    for (const { headers, statusCode } of answers) {
        const policy = headers['content-security-policy'];
        for (const part of [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ])
            assert.ok(policy.split('; ').includes(part), `${statusCode}: ${part}`);
        assert.equal(headers['cache-control'], 'no-store');
        assert.equal(headers['x-content-type-options'], 'nosniff');
        assert.equal(headers['referrer-policy'], 'strict-origin');
        assert.doesNotMatch(policy, /unsafe|\*|http:/);
    }
});

test('a session is no longer good once it is ended, changed, or too old', async (t) => {
    const { team, owner } = await newTeam('sessions');
    const { app, origin } = await startDashboard();
    const { get, post, session } = await visitor(app, origin, owner);
    const page = `/team?team=${team}`;
    const as = (/** @type {string} */ value) =>
        app.inject({ url: page, headers: { authorization: `Bearer ${value}` } });
    assert.equal((await as(session)).statusCode, 200);
    const [value, mac] = session.split('.');
    const forged = Buffer.from(JSON.stringify({ user: owner, until: 9e15 })).toString('base64url');
    for (const wrong of ['', 'x', `${value}.`, `${forged}.${mac}`, `${value}.${mac}.`.slice(0, -2), `${value}x.${mac}`])
        assert.equal((await as(wrong)).statusCode, 401, wrong);
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 13 * 3600_000 });
    assert.equal((await as(session)).statusCode, 401, 'after twelve hours');
    t.mock.timers.reset();
    assert.equal((await as(session)).statusCode, 200);
    assert.equal((await post('/sign-out', {})).statusCode, 303);
    assert.equal((await as(session)).statusCode, 401, 'after signing out, wherever else it is known');
    assert.equal((await get(page)).statusCode, 303);
});

test('without a session that is known, a token is good for one person all the same', async () => {
    const { team, owner, members } = await newTeam('sessionless', { members: ['bob'] });
    const authenticate = async (/** @type {any} */ { headers, cookies }) => ({
        user: headers['x-user'],
        session: cookies.none,
    });
    const { app } = await startDashboard({ authenticate });
    const tokens = [owner, members[0]].map(async (user) => {
        const { body } = await app.inject({ url: `/team?team=${team}`, headers: { 'x-user': user } });
        return body.match(/name="token" value="([^"]+)"/)?.[1];
    });
    const [one, other] = await Promise.all(tokens);
    assert.ok(one && other && one !== other);
});

test('what was signed for one purpose is good for no other', () => {
    const { mac, sign, verify } = createSigning('a secret');
    assert.deepEqual(verify('quote', sign('quote', { call: '1' })), { call: '1' });
    assert.equal(verify('session', sign('quote', { call: '1' })), null);
    assert.notEqual(mac('form', 'x'), mac('session', 'x'));
});

test('who signs in goes to a page of ours, whatever the address says', async () => {
    const { app, origin } = await startDashboard();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', origin };
    for (const next of [
        'https://evil.example/',
        '//evil.example',
        '/\\evil.example',
        '/.//evil.example',
        'https://',
        '\\\\evil.example',
        'javascript:alert(1)',
        `${origin}@evil.example`,
        '/\t/evil.example',
    ]) {
        const payload = new URLSearchParams({ user: 'eve', next }).toString();
        const { headers: answer } = await app.inject({ method: 'POST', url: '/sign-in', headers, payload });
        const location = String(answer.location);
        assert.ok(location.startsWith(`${origin}/`), `${next} leads to ${location}`);
    }
});

test("other teams' numbers are as if there were none", async () => {
    const mine = await newTeam('mine');
    const theirs = await newTeam('theirs', { members: ['bob'] });
    const { app, origin } = await startDashboard();
    const { get, post } = await visitor(app, origin, mine.owner);
    await control(`customers/${theirs.customer}`, { card: 'requires_action' });
    const [{ change }] = await sql(`SELECT change FROM seats.add_seats($1, 'team', 1, $2)`, [
        theirs.team,
        theirs.owner,
    ]);
    const [{ invite, token }] = await sql(`SELECT invite, token FROM seats.invite($1, 'x@example.com', 'team')`, [
        theirs.team,
    ]);

    const nobody = await get('/team?team=no-such-team-at-all');
    const events = await get(`/team/events?team=${theirs.team}`);
    assert.match(events.body, /^event: gone\ndata: ""\n\n$/);
    assert.equal(events.body, (await get('/team/events?team=no-such-team-at-all')).body);
    for (const answer of [
        await get(`/team?team=${theirs.team}`),
        await post('/team/seats', { team: theirs.team, seat_type: 'team', quantity: '1', operation: 'add', key: 'k' }),
        await post('/team/quotes', { team: theirs.team, seat_type: 'team', quantity: '1', operation: 'add' }),
        await post('/team/members/remove', { team: theirs.team, user: theirs.members[0] }),
        await post('/team/members/role', { team: theirs.team, user: theirs.members[0], role: 'owner' }),
        await post('/team/invites', { team: theirs.team, address: 'y@example.com', seat_type: 'team' }),
    ]) {
        assert.equal(answer.statusCode, 404);
        assert.equal(
            answer.body.match(/<p>.*?<\/p>/)[0],
            nobody.body.match(/<p>.*?<\/p>/)[0],
            'no hint whether there is such a team',
        );
    }
    for (const answer of [
        await post('/team/cancel', { team: mine.team, change: String(change) }),
        await post('/team/invites/revoke', { team: mine.team, invite: String(invite) }),
        await post('/team/invites/revoke', { team: mine.team, invite: 'NaN' }),
        await post('/team/members/remove', { team: mine.team, user: theirs.members[0] }),
    ])
        assert.equal(answer.statusCode, 404);
    const shown = await get(`/team?team=${mine.team}&change=${change}`);
    assert.ok(!shown.body.includes(theirs.owner) && !shown.body.includes(theirs.team));
    assert.equal(
        (await app.inject({ url: `/invites/${token}` })).statusCode,
        303,
        'who is not signed in sees nothing of it',
    );
    assert.equal(await seatsOf(theirs.team), 6);
    const [{ status }] = await sql('SELECT status FROM seats.invites WHERE invite = $1', [invite]);
    assert.equal(status, 'open');
});

test('an owner who was made a member may do nothing any more, with the page still open', async () => {
    const { team, owner } = await newTeam('demoted');
    await sql(`SELECT seats.add_member($1, 'second-' || $1, role => 'owner')`, [team]);
    const { app, origin } = await startDashboard();
    const { get, post } = await visitor(app, origin, owner);
    assert.match((await get(`/team?team=${team}`)).body, /name="operation" value="add"/);
    await sql(`SELECT seats.change_member($1, $2, role => 'member')`, [team, owner]);
    const { body } = await get(`/team?team=${team}`);
    assert.doesNotMatch(body, /name="operation"|Invite somebody|Remove/);
    for (const answer of [
        await post('/team/seats', { team, seat_type: 'team', quantity: '1', operation: 'add', key: 'k' }),
        await post('/team/quotes', { team, seat_type: 'team', quantity: '1', operation: 'add' }),
        await post('/team/members/remove', { team, user: `second-${team}` }),
        await post('/team/members/role', { team, user: owner, role: 'owner' }),
        await post('/team/invites', { team, address: 'y@example.com', seat_type: 'team', role: 'owner' }),
    ])
        assert.equal(answer.statusCode, 403);
    assert.equal(await seatsOf(team), 5);
    await sql('SELECT seats.remove_member($1, $2)', [team, owner]);
    assert.equal((await get(`/team?team=${team}`)).statusCode, 404);
});

test('markup in every name and in what Stripe says is shown as it is', async () => {
    const evil = '<img src=x onerror="document.title=1">\'"&<script>document.title=2</script>';
    const { team, owner } = await newTeam(`<b>${evil}`, { owner: `own${evil}`, members: [`mem${evil}`] });
    await sql(`SELECT seats.invite($1, $2, 'team', actor => $3)`, [team, `inv${evil}`, owner]);
    await control('faults', {
        match: { method: 'POST', path: '/v1/subscriptions/*' },
        fault: 'declined_402',
        code: evil,
        decline_code: evil,
    });
    await sql(`SELECT seats.add_seats($1, 'team', 1, actor => $2)`, [team, owner]);
    await until(
        async () =>
            (
                await sql(`SELECT count(*)::int AS n FROM seats.changes WHERE team = $1 AND state = 'reverted'`, [team])
            )[0].n === 1,
    );
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${encodeURIComponent(team)}` });
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.locator('#part-history li').waitFor();
    const text = await page.locator('body').innerText();
    for (const name of [team, owner, `mem${evil}`, `inv${evil}`]) assert.ok(text.includes(name), `shown: ${name}`);
    assert.equal(await page.locator('main img, main script, main b b').count(), 0);
    assert.match(await page.title(), /^Seats of /);
    // The stream brings the same, and it becomes the same.
    await sql(`SELECT seats.add_member($1, $2, 'team')`, [team, `late${evil}`]);
    await page.getByText(`late${evil}`).first().waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    await page.goto(`${origin}/team?team=${encodeURIComponent(evil)}`);
    assert.equal(await page.locator('main img, main script').count(), 0);
});

test("only Stripe's own pages are linked to, and for owners only", async () => {
    const { team, owner, members } = await newTeam('links', { card: 'requires_action', members: ['bob'] });
    const { app, origin, pool } = await startDashboard();
    const { get } = await visitor(app, origin, owner);
    const member = await visitor(app, origin, members[0]);
    const linksFor = async (/** @type {typeof get} */ as) =>
        [...(await as(`/team?team=${team}`)).body.matchAll(/href="([^"/][^"]*)"/g)]
            .map(([, link]) => link)
            .filter((link) => link !== '#main');
    await sql(`SELECT seats.add_seats($1, 'team', 1, actor => $2)`, [team, owner]);
    await until(
        async () =>
            (await sql(`SELECT state FROM seats.changes WHERE team = $1`, [team]))[0].state === 'awaiting_payment',
    );
    const links = await linksFor(get);
    assert.equal(links.length, 1, 'where it is paid');
    assert.match(links[0], /^https:\/\/(invoice|pay|hooks)\.stripe\.com\//);
    assert.deepEqual(await linksFor(member.get), []);

    let url = '';
    const query = pool.query.bind(pool);
    pool.query = /** @type {any} */ (
        async (/** @type {[any, any]} */ ...asked) => {
            const result = /** @type {any} */ (await query(...asked));
            const page = result.rows[0]?.page;
            if (page)
                Object.assign(page, {
                    status: 'past_due',
                    open_changes: [],
                    past_due: { invoice: 'in_1', url, amount: 1999, currency: 'usd', currency_decimals: 2 },
                });
            return result;
        }
    );
    for (const wrong of [
        'http://invoice.stripe.com/i/1',
        'https://invoice.stripe.com.evil.example/i/1',
        'https://evil.example/invoice.stripe.com/',
        'https://invoice.stripe.com@evil.example/',
        'https://invoice.stripe.com:8443/i/1',
        'https://invoicestripe.com/',
        'https://evil.example\\.stripe.com/',
        'javascript:alert(1)//https://invoice.stripe.com/',
        ' https://invoice.stripe.com/i/1',
        '//invoice.stripe.com/i/1',
        '',
    ]) {
        url = wrong;
        assert.deepEqual(await linksFor(get), [], wrong);
    }
    url = 'https://invoice.stripe.com/i/acct_1/test_2?s=ap&x="><script>';
    assert.deepEqual(await linksFor(get), [
        'https://invoice.stripe.com/i/acct_1/test_2?s=ap&#38;x=&#34;&#62;&#60;script&#62;',
    ]);
    assert.match((await get(`/team?team=${team}`)).body, /<b>\$19\.99<\/b> is overdue/);
    assert.deepEqual(await linksFor(member.get), []);
});

test('whoever asks too often is told to wait, and others are not', async () => {
    const { team, owner } = await newTeam('limits');
    const other = await newTeam('others');
    const { app, origin } = await startDashboard();
    const { get, post } = await visitor(app, origin, owner);
    const invite = (/** @type {number} */ n) =>
        post('/team/invites', { team, address: `a${n}@example.com`, seat_type: 'team' });
    const codes = [];
    for (let n = 0; n < 21; n++) codes.push((await invite(n)).statusCode);
    assert.equal(codes[20], 429);
    assert.ok(!codes.slice(0, 20).includes(429));
    const shown = [];
    for (let n = 0; n < 11; n++) shown.push((await get(`/invites/${n}`)).statusCode);
    assert.deepEqual([...new Set(shown.slice(0, 10))], [404]);
    assert.equal(shown[10], 429, 'tokens are not to be guessed');
    assert.match((await get('/invites/12')).body, /Too often/);
    const bought = [];
    for (let n = 0; n < 21; n++)
        bought.push(
            (await post('/team/seats', { team, seat_type: 'none', quantity: '1', operation: 'add', key: `k${n}` }))
                .statusCode,
        );
    assert.equal(bought[20], 429);
    assert.ok(!bought.slice(0, 20).includes(429));
    const priced = [];
    const quote = { team, seat_type: 'none', quantity: '1', operation: 'add' };
    for (let n = 0; n < 31; n++) priced.push((await post('/team/quotes', quote)).statusCode);
    assert.deepEqual([priced.indexOf(429), priced.length], [30, 31]);
    // What a team may is used up for its other owners, too, but not for them elsewhere.
    await sql(`SELECT seats.add_member(team, $3, role => 'owner') FROM unnest(ARRAY[$1, $2]) AS team`, [
        team,
        other.team,
        `too-${team}`,
    ]);
    const too = await visitor(app, origin, `too-${team}`);
    assert.equal((await too.post('/team/quotes', quote)).statusCode, 429);
    assert.equal((await too.post('/team/quotes', { ...quote, team: other.team })).statusCode, 422);
    const they = await visitor(app, origin, other.owner);
    assert.equal(
        (await they.post('/team/invites', { team: other.team, address: 'a@example.com', seat_type: 'team' }))
            .statusCode,
        201,
    );
});

test('what is too large, or no form, is refused in words that tell nothing of the inside', async () => {
    const { team, owner } = await newTeam('sizes');
    const { app, origin, pool } = await startDashboard();
    const { get, post, cookie } = await visitor(app, origin, owner);
    assert.equal((await post('/team/invites', { team, address: 'x'.repeat(20_000) })).statusCode, 413);
    const odd = (/** @type {string} */ type, /** @type {string} */ payload) =>
        app.inject({
            method: 'POST',
            url: '/team/invites',
            headers: { cookie, origin, 'content-type': type },
            payload,
        });
    assert.equal((await odd('application/json', '{"token":')).statusCode, 400);
    assert.equal((await odd('application/json', '{"__proto__":{"token":1}}')).statusCode, 400);
    assert.equal((await odd('text/xml', '<a/>')).statusCode, 415);
    assert.equal((await post('/team/invites', { team: 'a\0b', address: 'x' })).statusCode, 422);
    assert.equal((await get('/team?team=a&team=b')).statusCode, 422);
    for (const language of ['de-DE-DE', '*', '', 'x'.repeat(5000), 'en-u-nu', '<b>'])
        assert.equal(
            (await app.inject({ url: `/team?team=${team}`, headers: { cookie, 'accept-language': language } }))
                .statusCode,
            200,
            language,
        );
    for (const user of [' spaced ', `<b>'"&+%`]) {
        await sql('SELECT seats.add_member($1, $2)', [team, user]);
        assert.equal((await post('/team/members/remove', { team, user })).statusCode, 303, `removed: ${user}`);
    }
    assert.equal((await get('/team?team=%00')).statusCode, 422);
    assert.equal((await get('/invites/%00')).statusCode, 422);
    for (const invite of ['1.5', '1e300'])
        assert.equal((await post('/team/invites/revoke', { team, invite })).statusCode, 422, invite);
    assert.equal((await post('/team/members/role', { team, user: owner, role: 'king' })).statusCode, 422);
    const query = pool.query;
    pool.query = /** @type {any} */ (async () => Promise.reject(new Error('password=hunter2 at /srv/app/secret.js:1')));
    const failed = await get(`/team?team=${team}`);
    pool.query = query;
    assert.equal(failed.statusCode, 500);
    assert.doesNotMatch(failed.body, /hunter2|secret\.js|Error/);
});

test('an invite is shown by a link, and accepted by a button only; its token is in no log', async () => {
    const { team, owner } = await newTeam('tokens');
    const log = /** @type {string[]} */ ([]);
    const { app, origin } = await startDashboard({
        logger: { level: 'debug', stream: { write: (/** @type {string} */ line) => log.push(line) } },
    });
    const { post } = await visitor(app, origin, owner);
    const made = await post('/team/invites', { team, address: 'eve@example.com', seat_type: 'team', role: 'member' });
    const [, token] = made.body.match(/\/invites\/([\w-]+)/) ?? [];
    assert.ok(token);
    const { get, post: send } = await visitor(app, origin, `eve-${team}`);
    await app.inject(`/invites/${token}`);
    await app.inject(`/sign-in?next=${encodeURIComponent(`/invites/${token}`)}`);
    for (const _ of [1, 2]) assert.match((await get(`/invites/${token}`)).body, new RegExp(`Join ${team}`));
    assert.equal((await app.inject({ method: 'HEAD', url: `/invites/${token}` })).statusCode, 401);
    const [{ status }] = await sql('SELECT status FROM seats.invites WHERE team = $1', [team]);
    assert.equal(status, 'open', 'looking at it changes nothing');
    assert.equal((await send(`/invites/${token}`, {})).statusCode, 303);
    assert.equal((await send(`/invites/${token}`, {})).statusCode, 404, 'once');
    await get(`/invites/${token}x`);
    for (const path of [
        '%69nvites/',
        'invites//',
        '/invites/',
        'invites%2f',
        'INVITES/',
        'sign-in?next=%252Finvites%252F',
    ])
        await get(`/${path}${token}`);
    assert.ok(log.length > 10, 'requests are logged');
    assert.ok(!log.some((line) => line.includes(token)), 'without the token');
});

test('server.js starts nothing that would be unsafe', async () => {
    const file = fileURLToPath(new URL('../../examples/team-dashboard/server.js', import.meta.url));
    const safe = {
        DATABASE_URL: 'postgresql:///nowhere',
        SIMULATOR: 'http://127.0.0.1:1',
        PORT: '0',
        PUBLIC_ORIGIN: 'http://127.0.0.1:3000',
    };
    const module = fileURLToPath(import.meta.url);
    const library = fileURLToPath(new URL('../../examples/team-dashboard/lib/html.js', import.meta.url));
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (taken.address());
    for (const [changed, words] of /** @type {[Record<string, string>, RegExp][]} */ ([
        [{ DATABASE_URL: '' }, /DATABASE_URL/],
        [{ SIMULATOR: '' }, /AUTHENTICATE/],
        [{ HOST: '0.0.0.0' }, /AUTHENTICATE/],
        [{ HOST: '::' }, /AUTHENTICATE/],
        [{ SIMULATOR: 'https://api.stripe.com' }, /SIMULATOR/],
        [{ SIMULATOR: 'http://127.0.0.1.evil.example' }, /SIMULATOR/],
        [{ PUBLIC_ORIGIN: 'http://seats.example.com' }, /https/],
        [{ PUBLIC_ORIGIN: 'https://seats.example.com/path' }, /PUBLIC_ORIGIN/],
        [{ PUBLIC_ORIGIN: 'https://seats.example.com' }, /AUTHENTICATE/], // a proxy on this machine leads everybody here
        [{ AUTHENTICATE: file.replace('server.js', 'lib/html.js'), SESSION_SECRET: 'x'.repeat(32) }, /default export/], // else everybody would choose who he is
        [{ SIMULATOR: '', AUTHENTICATE: module }, /SESSION_SECRET/],
        [{ SIMULATOR: '', AUTHENTICATE: module, SESSION_SECRET: 'short' }, /SESSION_SECRET/],
        // A module that says nothing of who is signed in would have everybody choose.
        [{ SIMULATOR: '', AUTHENTICATE: library, SESSION_SECRET: 'x'.repeat(32) }, /AUTHENTICATE .* default export/],
        [
            { SIMULATOR: '', AUTHENTICATE: '/nowhere.js', SESSION_SECRET: 'x'.repeat(32) },
            /Cannot find module .*nowhere/,
        ],
        [{ TRUST_PROXY: 'banana' }, /banana/],
        [{ PORT: String(port) }, /already in use .*PORT/],
    ])) {
        const child = execFile(process.execPath, [file], {
            env: { PATH: process.env.PATH, ...safe, ...changed },
            timeout: 10_000,
        });
        let said = '';
        child.stderr?.on('data', (text) => (said += text));
        const [code] = await once(child, 'close');
        assert.equal(code, 1, `${JSON.stringify(changed)}: ${said}`);
        assert.match(said, /^not started: /);
        assert.match(said, words);
    }
    taken.close();
});

test('a program that repeats an invite is told so, and has the link once', async () => {
    const { team, owner } = await newTeam('programs');
    const { app, origin } = await startDashboard();
    const { session } = await visitor(app, origin, owner);
    const ask = (/** @type {object} */ payload, key = 'k1') =>
        app.inject({
            method: 'POST',
            url: '/team/invites',
            headers: { authorization: `Bearer ${session}`, 'idempotency-key': key },
            payload: { team, seat_type: 'team', ...payload },
        });
    const first = await ask({ address: 'ann@example.com' });
    assert.equal(first.statusCode, 201);
    assert.match(first.json().link, new RegExp(`^${origin}/invites/`));
    assert.equal(typeof first.json().invite, 'number', 'as the number of a change is');
    const again = await ask({ address: 'ann@example.com' });
    const { invite, link, repeated } = again.json();
    assert.deepEqual({ invite, link, repeated }, { invite: first.json().invite, link: null, repeated: true });
    const other = await ask({ address: 'bob@example.com' });
    assert.deepEqual([other.statusCode, other.json().error.code], [422, 'PS511']);
    const none = await ask({ address: 'bob@example.com', seat_type: 'none' }, 'k2');
    assert.deepEqual([none.statusCode, none.json().error.code], [422, 'PS504']);
});
