// What a person does with the team's page.
import assert from 'node:assert/strict';
import { until } from './world.js';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('./states.js').Team} Team */

/** @param {Team} team */
export const teamPath = ({ team }) => `/team?team=${encodeURIComponent(team)}`;

/** The form of a kind of seats. @param {Page} page @param {string} seatType */
export const stepper = (page, seatType) =>
    page.locator(`form[action="/team/quotes"]:has(input[name="seat_type"][value="${seatType}"])`);

/** What buys, or gives back. @param {Page} page */
export const confirmButton = (page) => page.locator('form[action="/team/seats"] button');

/**
 * Asks what it costs; is then on the page that names it, with its price.
 * @param {Page} page the team's @param {string} seatType @param {number} quantity @param {'add' | 'remove'} [operation]
 */
export async function askForPrice(page, seatType, quantity, operation = 'add') {
    const form = stepper(page, seatType);
    await form.locator('input[name=quantity]').fill(String(quantity));
    await form.locator(`button[value=${operation}]`).click();
    await page.locator('.sum').waitFor();
}

/** What stands on the page, spaces made one. @param {Page} page @param {string} [where] */
export const textOf = async (page, where = 'main') => (await page.locator(where).innerText()).replaceAll(/\s+/g, ' ');

/** Now, or when the page has been told of what goes on. @param {Page} page @param {RegExp} pattern @param {string} [where] */
export const shows = (page, pattern, where) =>
    until(async () => {
        assert.match(await textOf(page, where), pattern, `${page.url()} does not show it`);
        return true;
    });
