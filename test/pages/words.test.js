// What the example says, without a browser: there are words for all that the database can say, and sums are Stripe's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { confirmPage } from '../../examples/team-dashboard/views/confirm.js';
import { mostAtOnce, teamPage } from '../../examples/team-dashboard/views/team.js';
import { money, say, seats, tell, whatOf, when } from '../../examples/team-dashboard/lib/words.js';

/** @param {string} file */
const read = (file) => readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');
/** The first column of the table that begins with these words. @param {string} file @param {string} head */
const column = (file, head) => {
    const table = read(file).split(`\n| ${head}`)[1].split('\n\n')[0];
    return [...table.matchAll(/^\| (.+?) \|/gm)].flatMap(([, cell]) =>
        [...cell.matchAll(/`(\w+)`/g)].map(([, word]) => word),
    );
};
const reader = { locale: 'en-US', cardUrl: null, access: { team: 'acme', actor: 'ada', owner: true } };
const lines = [{ seat_type: 'team', operation: 'add', quantity: 2, previous_quantity: 5, new_quantity: 7 }];
const base = { change: 1, lines, actor: 'ada', person: null, created_at: '2026-11-30T14:02:00Z', invoice: null };
const change = /** @type {any} */ ({ ...base, code: null, decline_code: null, next_step: null });
const plain = (/** @type {unknown} */ told) =>
    String(told)
        .replace(/<[^>]+>/g, '')
        .replace(/\s+/g, ' ')
        .trim();

test('each phase of docs/pages.md has words, and none is left with a gap', () => {
    const phases = column('pages.md', 'phase | say');
    assert.equal(phases.length, 7);
    for (const phase of phases) {
        const text = plain(tell({ ...change, phase }, reader));
        assert.match(text, /\w+.*\./, phase);
        assert.doesNotMatch(text, /undefined|null|\{|\}/, phase);
    }
});

test('each reason and each next step of docs/sql-reference.md has words', () => {
    const steps = column('sql-reference.md', 'next_step | means');
    assert.ok(steps.includes('authenticate') && steps.length >= 8);
    for (const step of steps.filter((step) => step !== 'pay_invoice' && step !== 'invoice_url'))
        if (/^[a-z_]+$/.test(step)) assert.ok(say('next_steps', step), step);
    const corrected = tell({ ...change, state: 'reverted', code: 'incorrect_cvc', next_step: 'correct_card' }, reader);
    assert.match(plain(corrected), /nothing was charged\. The card&#39;s number, date, code or address is not right/);
    const reasons = [
        'payment_failed',
        'payment_did_not_come',
        'no_longer_valid',
        'billed_by_different_rules',
        'base_moved',
    ];
    for (const reason of [
        ...reasons,
        'proration_date',
        'subscription_ended',
        'payment_method_missing',
        'refused_by_operator',
    ]) {
        const text = plain(tell({ ...change, state: 'reverted', reason }, reader));
        assert.match(text, /^Undone: nothing was bought, and nothing was charged\. \w/, reason);
        assert.doesNotMatch(text, /Stripe has refused it/, reason);
    }
});

test('nothing is called paid that Stripe has not said was', () => {
    const invoice = { invoice: 'in_1', amount: 3000, paid: 0, currency: 'usd', currency_decimals: 2, shared: false };
    const settled = (/** @type {object} */ more) =>
        plain(tell({ ...change, state: 'confirmed', invoice: { ...invoice, ...more } }, reader));
    assert.equal(settled({}), 'Confirmed. An invoice of $30.00 was made.');
    assert.equal(settled({ paid: 3000 }), 'Confirmed. $30.00 was paid.');
    assert.match(settled({ paid: 3000, shared: true }), /together with other changes/);
    assert.match(settled({ amount: -1000 }), /^Confirmed\. \$10\.00 is a credit .*invoices.*nothing is paid back/);
    assert.equal(plain(tell({ ...change, state: 'confirmed' }, reader)), 'Confirmed.');
    assert.equal(
        plain(tell({ ...change, state: 'cancelled', invoice: /** @type {any} */ (invoice) }, reader)),
        'Taken back: nothing has changed.',
    );
});

test("sums are in Stripe's minor units, whatever Intl thinks of a currency", () => {
    assert.equal(money(3000, 'usd', 2, 'en-US'), '$30.00');
    assert.equal(money('3000', 'usd', 2, 'en-US'), '$30.00', 'as pg gives a bigint');
    assert.equal(money(123456, 'huf', 2, 'en-US'), 'HUF\u00a01,234.56', 'Stripe has hundredths of it');
    assert.equal(money(123400, 'isk', null, 'en-US'), 'ISK\u00a01,234');
    assert.equal(money(1234, 'jpy', null, 'ja-JP'), '￥1,234');
    assert.equal(money(1234, 'kwd', null, 'en-US'), 'KWD\u00a01.234');
    assert.equal(money(123456, 'eur', 2, 'de-DE'), '1.234,56\u00a0€');
    assert.equal(money(0, 'usd', 2, 'en-US'), '$0.00');
    for (const unknown of [null, undefined])
        assert.equal(money(unknown, 'usd', 2, 'en-US'), null, 'unknown is no zero');
    assert.equal(money(5, null, 2, 'en-US'), null);
});

test('numbers and times read as they are said', () => {
    assert.equal(seats(1, 'team'), '1 team seat');
    assert.equal(plain(whatOf({ lines, phase: 'sent' })), '2 team seats are being added (5 → 7)');
    assert.equal(plain(whatOf({ lines })), 'bought 2 team seats (5 → 7)');
    assert.equal(plain(whatOf({ lines, state: 'reverted' })), 'wanted to buy 2 team seats (5 → 7)');
    const fewer = [{ ...lines[0], previous_quantity: 5, new_quantity: 4 }];
    assert.equal(plain(whatOf({ lines: fewer, phase: 'sent' })), '1 team seat is being given back (5 → 4)');
    const day = `${when('2026-12-30T23:30:00Z', 'en-US', 'day')}`;
    assert.equal(day, '<time datetime="2026-12-30T23:30:00.000Z" data-as="day">December 30, 2026</time>');
    assert.match(`${when(new Date(), 'de-DE')}`, />\d\d:\d\d UTC<\/time>/);
    assert.match(`${when('2020-01-02T03:04:00Z', 'en-GB')}`, />2 January at 03:04 UTC<\/time>/);
});

test('a price of which things are not known says so, and never a number instead', () => {
    const page = { team: 'acme', as_of: '2026-11-30T14:02:03Z', status: 'active', stripe: 'up', subscription: {} };
    const seat_types = [{ seat_type: 'team', quantity: 5 }];
    const known = {
        state: 'ready',
        code: null,
        due_now: '2000',
        total: '2000',
        tax: '0',
        credit: '0',
        currency: 'usd',
    };
    const later = {
        next_renewal_total: '9000',
        next_renewal_at: '2026-12-30T00:00:00Z',
        expires_at: '2026-12-01T14:00:00Z',
    };
    const quote = {
        team: 'acme',
        call: '1',
        at: 1796047320,
        seat_type: 'team',
        operation: 'add',
        quantity: 2,
        expected: 5,
    };
    /** @param {object} price @param {object} [more] */
    const shown = (price, more) => {
        const state = {
            ...reader,
            token: 't',
            person: { name: 'ada' },
            page: { ...page, seat_types, open_changes: [], last_changes: [] },
        };
        const asked = {
            quote: { ...quote, ...more },
            address: '/',
            plan: null,
            price: { ...known, ...later, ...price },
        };
        const text = plain(`${confirmPage(asked, /** @type {any} */ (state))}`.split('<main')[1]);
        assert.doesNotMatch(text, /undefined|null|NaN|\{\w+\}|1970|\s0(?![\d.])/, JSON.stringify(price));
        return text;
    };
    for (const charged_when of ['now', 'by_invoice', 'at_renewal', 'nothing', null, 'a new word'])
        for (const name of [...Object.keys(known), ...Object.keys(later)].filter(
            (name) => !/^(state|code|expires_at)$/.test(name),
        ))
            for (const operation of ['add', 'remove']) shown({ charged_when, [name]: null }, { operation });
    assert.match(shown({ charged_when: 'now' }), /\$20\.00 charged to your card now.*Buy 2 team seats for \$20\.00/);
    assert.match(shown({ charged_when: 'by_invoice' }), /\$20\.00 on an invoice that is sent to you now/);
    assert.match(shown({ charged_when: null }), /Stripe does not say when this is charged/);
    assert.match(shown({ charged_when: 'now', due_now: null }), /a sum that is not known charged/);
    assert.match(shown({ charged_when: 'now', tax: null }), /Taxes in it ?not known/);
    assert.match(
        shown({ charged_when: 'nothing', total: '-2000', credit: '2000' }),
        /\$20\.00 as a credit for later invoices/,
    );
    assert.match(shown({ charged_when: 'at_renewal', total: '-300', credit: '300' }), /is a credit of \$3\.00/);
    assert.match(
        shown({ charged_when: 'nothing', credit: '2000' }),
        /Nothing is charged: your credit pays the \$20\.00/,
    );
    assert.doesNotMatch(
        shown({ charged_when: 'nothing', credit: '500' }),
        /your credit pays/,
        'where nobody is charged',
    );
    assert.match(
        shown({ charged_when: 'now', due_now: '1500', credit: '500' }),
        /in all\$20\.00Paid by your credit\$5\.00/,
    );
    const renewal = (/** @type {string} */ total) => shown({ charged_when: 'at_renewal', total });
    assert.match(renewal('9500'), /is \$95\.00.*\$5\.00 more than usual, for what is left of this period/);
    assert.match(renewal('8500'), /is \$85\.00.*\$5\.00 less than usual, for what is left of this period/);
    assert.doesNotMatch(renewal('9000'), /On that invoice/);
    assert.match(shown({ state: 'expired', code: 'base_moved' }), /no longer good.*Ask for the price again/);
    assert.match(shown({ state: 'failed', code: 'resource_missing' }), /could not say.*at the plan.+s price/);
    assert.match(shown({ state: 'pending' }), /Stripe is asked what this costs/);
    assert.match(shown({ state: 'pending' }, { at: quote.at - 60 }), /cannot be asked for now.*at the plan.+s price/);
    assert.match(
        shown({ charged_when: 'now', code: 'changes_pending' }),
        /these sums count them, too.*at the plan.+s price/,
    );
});

test('a page offers no more seats at once than it takes, whatever the type allows', () => {
    const type = { seat_type: 'team', quantity: 300, confirmed: 300, awaiting: 0, pending: 0, used: 0, reserved: 0 };
    const page = {
        team: 'acme',
        status: 'active',
        stripe: 'up',
        may: { buy: true },
        seat_types: [{ ...type, free: 300, billing_pending: 0, may_add: 200, may_remove: 300 }],
        ...{ members: [], invites: [], open_changes: [], last_changes: [] },
    };
    const shown = String(teamPage(/** @type {any} */ ({ ...reader, page, person: { user: 'ada' }, token: 'x' })));
    assert.equal(mostAtOnce, 50);
    assert.match(shown, /name="quantity" value="1" min="1" max="50"/);
    assert.match(plain(shown), /You can add up to 50, or give back up to 50\./);
});
