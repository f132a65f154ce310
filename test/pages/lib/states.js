// What a team can be in, each brought about by what Stripe does, or somebody: docs/pages.md. What is done to Stripe as a
// whole ends with the test (world.js).

/** @typedef {Awaited<ReturnType<import('./world.js').World['newTeam']>>} Team */

/** @param {Pick<import('./world.js').World, 'sql' | 'control' | 'until'>} world */
export function createStates({ sql, control, until }) {
    /** @param {Team} team @param {string} [actor] @returns {Promise<any>} */
    const page = async ({ team, owner }, actor = owner) =>
        (await sql('SELECT seats.team_page($1, $2) AS page', [team, actor]))[0].page;

    /** @param {Team} team @param {number} [quantity] @param {string} [seatType] @returns {Promise<number>} the change */
    const buy = async ({ team, owner }, quantity = 2, seatType = 'team') =>
        Number(
            (
                await sql('SELECT change FROM seats.add_seats($1, $2, $3, actor => $4)', [
                    team,
                    seatType,
                    quantity,
                    owner,
                ])
            )[0].change,
        );

    /** @param {Team} team @param {string} phase of a change that is under way */
    const inPhase = (team, phase) =>
        until(async () => (await page(team)).open_changes.find((/** @type {any} */ change) => change.phase === phase), {
            what: `a change of ${team.team} is ${phase}`,
        });

    /** @param {Team} team @param {number} change @param {string} [phase] that is an end, too; gives how it has ended */
    const settled = (team, change, phase) =>
        until(
            async () => {
                const { last_changes, open_changes } = await page(team);
                return [...last_changes, ...open_changes].find(
                    (/** @type {any} */ shown) => shown.change === change && (shown.state || shown.phase === phase),
                );
            },
            { what: `change ${change} of ${team.team} is settled` },
        );

    /** What only a read finds, is found at once. @param {Team} team */
    const readAgain = async ({ team }) => {
        const [{ call }] = await sql(`SELECT seats.reconcile($1, 'a test looks') AS call`, [team]);
        await sql(`CALL seats.wait_for_call(${Number(call)})`);
    };

    /** Somebody changes the subscription in Stripe's Dashboard. @param {Team} team @param {object} change */
    const inDashboard = async (team, change) => {
        await control(`subscriptions/${team.subscription}`, change);
        await readAgain(team);
    };

    /** What happens to the next requests that would change this subscription. @param {Team} team @param {object} fault */
    const fault = (team, fault) =>
        control('faults', { match: { method: 'POST', path: `/v1/subscriptions/${team.subscription}` }, ...fault });

    /** @param {Team} team @param {string} card as the simulator names it */
    const card = (team, card) => control(`customers/${team.customer}`, { card });

    const make = {
        /** @param {Team} team */
        async sent(team) {
            await fault(team, { fault: 'hang' });
            await buy(team);
            await inPhase(team, 'sent');
        },
        /** Behind another one. @param {Team} team */
        async queued(team) {
            await make.sent(team);
            await buy(team, 1);
            await inPhase(team, 'queued');
        },
        /** @param {Team} team */
        async retrying(team) {
            await fault(team, { fault: 'error_500', times: -1 });
            await buy(team);
            await inPhase(team, 'retrying');
        },
        /** @param {Team} team */
        async stripeDown(team) {
            await control('outage', { mode: 'refuse' });
            await buy(team);
            await inPhase(team, 'stripe_down');
        },
        /** Stripe takes ten invoices of a subscription a minute. @param {Team} team */
        async limitUsedUp(team) {
            for (let bought = 0; bought <= 10; bought++) await settled(team, await buy(team, 1), 'limit_used_up');
        },
        /** The bank wants her to approve it. @param {Team} team */
        async awaitingPayment(team) {
            await card(team, 'requires_action');
            await buy(team);
            return inPhase(team, 'awaiting_payment');
        },
        /** What we send is wrong, so a person looks at it. @param {Team} team */
        async inReview(team) {
            await fault(team, { fault: 'unknown_parameter', param: 'items', times: -1 });
            await buy(team);
            await inPhase(team, 'in_review');
        },
        /** An owner's seat, which is not bought unpaid. @param {Team} team @param {string} [what] as the simulator names it */
        async declined(team, what = 'insufficient_funds') {
            await card(team, what);
            return settled(team, await buy(team, 1, 'owner'));
        },
        /** @param {Team} team */
        async halted(team) {
            await control('keys', { key: 'sk_test_simulator', state: 'revoked' });
            await buy(team);
            await until(async () => (await page(team)).stripe === 'halted', { what: 'Stripe is halted' });
        },
        /** @param {Team} team */
        cancelled: (team) => inDashboard(team, { cancel: true }),
        /** @param {Team} team */
        endsWithPeriod: (team) => inDashboard(team, { cancel_at_period_end: true }),
        /** Its renewal could not be paid: of a team that pays by the day. @param {Team} team */
        async pastDue(team) {
            await card(team, 'declined');
            await control('clock', { advance: 86_400 + 60 });
            await control('clock', { advance: -86_400 - 60 });
            await readAgain(team);
        },
        /** @param {Team} team */
        problem: (team) =>
            inDashboard(team, { add: [{ price: 'price_of_something_else', unit_amount: 500, interval: 'month' }] }),
        /** @param {Team} team @param {number} quantity */
        seatsChanged: (team, quantity) => inDashboard(team, { quantities: { [team.items.team]: quantity } }),
    };

    return { page, buy, inPhase, settled, readAgain, inDashboard, fault, card, ...make };
}
