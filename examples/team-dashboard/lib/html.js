// html`<b>${name}</b>`: what is put in is escaped, unless the same tag has made it. So nothing has to be remembered: a name, or
// a word of Stripe's, that looks like markup is shown as it is. Attributes are always in quotes: escaping is for those.
export class Html {
    /** @param {string} text that needs no escaping any more */
    constructor(text) {
        this.toString = () => text;
    }
}

/** Lists are joined; null, undefined and false are nothing. @param {unknown} value @returns {string} */
const show = (value) => {
    if (Array.isArray(value)) return value.map(show).join('');
    if (value instanceof Html) return value.toString();
    return value === false ? '' : String(value ?? '').replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
};

/** @param {TemplateStringsArray} strings @param {...unknown} values */
export const html = (strings, ...values) =>
    new Html(strings.reduce((text, string, i) => text + show(values[i - 1]) + string));
