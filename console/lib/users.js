// A file of people and scrypt hashes of their passwords, and who of them is signed in.

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Refusal, hostName, isLoopback, isPerson } from './safety.js';

/** @import { FastifyReply, FastifyRequest } from 'fastify' */
/** @typedef {ReturnType<typeof byUsers>} Users */

const sessionHours = 12;
const hash = /** @type {(password: string, salt: Buffer, length: number, cost: object) => Promise<Buffer>} */ (
    promisify(scrypt)
);
/** @param {string} password @param {Buffer} salt */
const keyOf = (password, salt) => hash(password, salt, 32, { N: 32768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 });

/** Of nobody: an unknown name takes as long as a known one. */
const nobody = `${'A'.repeat(22)}:${'A'.repeat(43)}`;

/** @param {string} file @returns {Map<string, string>} what is stored of each name */
function readUsers(file) {
    if (statSync(file).mode & 0o077) throw new Error(`others than its owner can read ${file}: chmod 600 ${file}`);
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return new Map(
        lines.map((line, index) => {
            const [, name, stored] = /^([^:]+):([\w-]{22}:[\w-]{43})$/.exec(line) ?? [];
            if (!name) throw new Error(`line ${index + 1} of ${file} is none that --add-user has written`);
            return [name, stored];
        }),
    );
}

/**
 * Adds a person, or gives one another password. Nobody sees half of the file, and others than its owner nothing of it.
 * @param {string} file @param {string} name @param {string} password
 */
export async function addUser(file, name, password) {
    if (!isPerson(name) || name.includes(':'))
        throw new Error('a name has 1 to 100 characters, in one line, without a colon');
    if (password.length < 12) throw new Error('a password has at least 12 characters');
    const users = existsSync(file) ? readUsers(file) : new Map();
    const salt = randomBytes(16);
    const key = await keyOf(password, salt);
    users.set(name, `${salt.toString('base64url')}:${key.toString('base64url')}`);
    const lines = [...users].map(([who, stored]) => `${who}:${stored}\n`);
    writeFileSync(`${file}.new`, lines.join(''), { mode: 0o600, flag: 'wx' });
    renameSync(`${file}.new`, file);
}

/**
 * Sessions end after twelve hours, with the desk, and when the person's line in the file is another one or gone.
 * @param {string} file @param {string} signInAt
 */
export function byUsers(file, signInAt) {
    /** @type {Map<string, {name: string, stored: string, until: number}>} */
    const sessions = new Map();
    let users = readUsers(file);
    let readAt = statSync(file).mtimeMs;

    function current() {
        const { mtimeMs } = statSync(file);
        if (mtimeMs !== readAt) [users, readAt] = [readUsers(file), mtimeMs];
        return users;
    }
    // Browsers keep a __Host- cookie only where they trust the way, and not all of them trust http to the loopback.
    const isPlain = (/** @type {FastifyRequest} */ request) => isLoopback(hostName(request));
    const cookie = (/** @type {FastifyRequest} */ request) => (isPlain(request) ? 'desk' : '__Host-desk');
    const session = (/** @type {FastifyRequest} */ request) =>
        new RegExp(`(?:^|; ?)${cookie(request)}=([\\w-]+)`).exec(request.headers.cookie ?? '')?.[1] ?? '';
    /** @param {FastifyRequest} request @param {FastifyReply} reply @param {string} value */
    const setCookie = (request, reply, value) => {
        const ways = `Path=/; HttpOnly; SameSite=Lax${isPlain(request) ? '' : '; Secure'}${value ? '' : '; Max-Age=0'}`;
        reply.header('Set-Cookie', `${cookie(request)}=${value}; ${ways}`);
    };

    return {
        signInAt,
        session,
        person(/** @type {FastifyRequest} */ request) {
            const found = sessions.get(session(request));
            return found && found.until > Date.now() && current().get(found.name) === found.stored ? found.name : null;
        },
        /** @param {FastifyRequest} request @param {FastifyReply} reply @param {string} name @param {string} password */
        async signIn(request, reply, name, password) {
            if (!isPlain(request) && !request.headers.origin?.startsWith('https:')) {
                throw new Refusal(
                    403,
                    'Passwords go over https, or to this machine only: the desk needs a proxy with TLS',
                );
            }
            const stored = current().get(name);
            const [salt, key] = (stored ?? nobody).split(':').map((part) => Buffer.from(part, 'base64url'));
            if (!timingSafeEqual(await keyOf(password, salt), key) || stored === undefined) return false;
            for (const [id, { until }] of sessions) if (until < Date.now()) sessions.delete(id);
            const id = randomBytes(32).toString('base64url');
            sessions.set(id, { name, stored, until: Date.now() + sessionHours * 3600_000 });
            setCookie(request, reply, id);
            return true;
        },
        /** @param {FastifyRequest} request @param {FastifyReply} reply */
        signOut(request, reply) {
            sessions.delete(session(request));
            setCookie(request, reply, '');
        },
    };
}
