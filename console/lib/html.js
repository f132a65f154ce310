// Text becomes HTML in one place: what is put into html`…` is escaped, but for what html`…` has made. Attributes must stand
// in double quotes. An array is what its elements are; null, undefined and false are nothing.
class Html {
    /** @param {string} text  that needs no escaping any more */
    constructor(text) {
        this.text = text;
    }
}
/** @typedef {Html} HtmlText */

/** @param {unknown} value @returns {string} */
function escaped(value) {
    if (value instanceof Html) return value.text;
    if (Array.isArray(value)) return value.map(escaped).join('');
    return value === false ? '' : String(value ?? '').replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
}

/** @param {TemplateStringsArray} strings @param {...unknown} values */
export const html = (strings, ...values) =>
    new Html(strings.reduce((text, string, index) => text + escaped(values[index - 1]) + string));
