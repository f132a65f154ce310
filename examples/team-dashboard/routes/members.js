// Who belongs to a team, and who is asked to.

/** @import { App, Context } from '../types.d.ts' */

/** @param {App} app @param {Context} context */
export default async function members(app, context) {}
