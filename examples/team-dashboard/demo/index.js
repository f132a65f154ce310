// The demonstration, which is no part of the application: that needs neither this directory nor the two lines of app.js that
// name it.
import { createSignIn } from './sign-in.js';
import { simulated, simulatorForm } from './simulator.js';

/** @import { Settings } from '../types.d.ts' */

/**
 * Without another way to sign in, whoever comes is whom he likes; and Stripe, where it is simulated, does as it is told.
 * @param {Settings} settings @param {import('../lib/signing.js').Signing} signing @returns {Settings}
 */
export function withDemo(settings, signing) {
    const signed = settings.authenticate ? settings : { ...settings, ...createSignIn(signing) };
    if (!settings.simulator) return signed;
    return { ...signed, routes: [...(signed.routes ?? []), simulated], foot: simulatorForm };
}
