// Text becomes HTML in one place: what is put into html`…` is escaped, but for what html`…` has made.

const escapes = /** @type {Record<string, string>} */ ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' });

/** What is HTML already. Nothing makes one but html`…`. */
class Html {
    /** @param {string} text */
    constructor(text) {
        this.text = text;
    }
}

/** @typedef {Html} HtmlText */

/** @param {unknown} value @returns {string} */
function escaped(value) {
    if (value instanceof Html) return value.text;
    if (Array.isArray(value)) return value.map(escaped).join('');
    return String(value === false ? '' : (value ?? '')).replace(/[&<>"]/g, (character) => escapes[character]);
}

/**
 * Attributes must stand in double quotes. An array is what its elements are; null, undefined and false are nothing.
 * @param {TemplateStringsArray} strings @param {...unknown} values
 */
export const html = (strings, ...values) =>
    new Html(strings.reduce((text, string, index) => text + escaped(values[index - 1]) + string));
