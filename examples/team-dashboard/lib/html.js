// html`<b>${name}</b>`: what is put in is escaped, unless it was made by the same tag. So nothing has to be remembered:
// a name, a word of Stripe's or an address that looks like markup is shown as it is.

/** A piece of HTML that needs no escaping any more. */
export class Html {
    /** @param {string} text */
    constructor(text) {
        this.text = text;
    }
    toString() {
        return this.text;
    }
}

const entities = /** @type {Record<string, string>} */ ({
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
});

/** @param {unknown} value @returns {string} */
const show = (value) => {
    if (value instanceof Html) return value.text;
    if (Array.isArray(value)) return value.map(show).join('');
    if (value === null || value === undefined || value === false) return '';
    return String(value).replace(/[&<>"']/g, (character) => entities[character]);
};

/**
 * Attributes are always in quotes: escaping is for those. Lists are joined; null, undefined and false are nothing.
 * @param {TemplateStringsArray} strings @param {...unknown} values @returns {Html}
 */
export const html = (strings, ...values) =>
    new Html(strings.reduce((text, string, i) => text + show(values[i - 1]) + string));
