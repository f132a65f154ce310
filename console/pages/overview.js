import { html } from '../lib/html.js';

/** @import { Visit, Page } from '../app.js' */

/**
 * @param {Visit} visit
 * @returns {Promise<Page>}
 */
export async function overview({ client }) {
    const { rows } = await client.query("SELECT * FROM seats.health WHERE status <> 'ok'");
    return {
        title: 'Overview',
        place: '/',
        body: html`${rows.map((row) => html`<p>${row.status}: ${row.message} ${row.hint}</p>`)}`,
    };
}
