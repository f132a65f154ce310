// What goes out and comes back unchanged, or is not believed.
import { createHmac, timingSafeEqual } from 'node:crypto';

/** @param {string} a @param {string} b */
export function isEqual(a, b) {
    const [given, right] = [Buffer.from(a), Buffer.from(b)];
    return given.length === right.length && timingSafeEqual(given, right);
}

/** @typedef {ReturnType<typeof createSigning>} Signing */

/** Each for its own purpose: what is good for one is nothing for another. @param {string} secret */
export function createSigning(secret) {
    /** @param {string} purpose @param {string} value */
    const mac = (purpose, value) => createHmac('sha256', secret).update(`${purpose}\n${value}`).digest('base64url');
    return {
        mac,
        /** @param {string} purpose @param {unknown} value */
        sign(purpose, value) {
            const encoded = Buffer.from(JSON.stringify(value)).toString('base64url');
            return `${encoded}.${mac(purpose, encoded)}`;
        },
        /** Null if it is not what was signed. @param {string} purpose @param {string} signed */
        verify(purpose, signed) {
            const [, encoded = '', given = ''] = signed.match(/^([^.]*)\.([^.]*)$/) ?? [];
            return isEqual(given, mac(purpose, encoded))
                ? JSON.parse(Buffer.from(encoded, 'base64url').toString())
                : null;
        },
    };
}
