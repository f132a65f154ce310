// A file of people and scrypt hashes of their passwords, and who of them is signed in.

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Refusal, hostName, isLoopback } from './safety.js';

/** @import { FastifyReply, FastifyRequest } from 'fastify' */

const hours = 12;
const cost = { N: 32768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
const hash = /** @type {(password: string, salt: Buffer, length: number, cost: object) => Promise<Buffer>} */ (
    promisify(scrypt)
);

/** Of nobody: an unknown name takes as long as a known one. */
const nobody = `${'A'.repeat(22)}:${'A'.repeat(43)}`;

/** @param {string} file @returns {Map<string, string>} what is stored of each name */
export function readUsers(file) {
    if (statSync(file).mode & 0o077) throw new Error(`${file} can be read by others than its owner: chmod 600 ${file}`);
    return new Map(
        readFileSync(file, 'utf8')
            .split('\n')
            .filter((line) => line !== '')
            .map((line, index) => {
                const [, name, stored] = /^([^:]+):([\w-]{22}:[\w-]{43})$/.exec(line) ?? [];
                if (!name) throw new Error(`line ${index + 1} of ${file} is none that --add-user has written`);
                return [name, stored];
            }),
    );
}

/**
 * Adds a person, or gives one another password. Nobody ever sees half of the file, nor its owner's neighbours any of it.
 * @param {string} file
 * @param {string} name
 * @param {string} password
 */
export async function addUser(file, name, password) {
    if (!/^[^\p{Cc}:]{1,50}$/u.test(name)) throw new Error('a name has 1 to 50 characters, and no colon');
    if (password.length < 12) throw new Error('a password has at least 12 characters');
    const users = existsSync(file) ? readUsers(file) : new Map();
    const salt = randomBytes(16);
    const key = await hash(password, salt, 32, cost);
    users.set(name, `${salt.toString('base64url')}:${key.toString('base64url')}`);
    const written = `${file}.${process.pid}`;
    writeFileSync(written, [...users].map(([who, stored]) => `${who}:${stored}\n`).join(''), {
        mode: 0o600,
        flag: 'wx',
    });
    renameSync(written, file);
}

/**
 * Sessions end after twelve hours, when the desk ends, and when the person's line in the file is another one or gone.
 * @param {string} file
 * @param {string} signInAt
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
    const cookie = (/** @type {FastifyRequest} */ request) => (isLoopback(hostName(request)) ? 'desk' : '__Host-desk');
    // (Asked before Fastify has read the cookies.)
    const session = (/** @type {FastifyRequest} */ request) =>
        request.server.parseCookie(request.headers.cookie ?? '')[cookie(request)] ?? '';

    return {
        signInAt,
        session,
        person(/** @type {FastifyRequest} */ request) {
            const found = sessions.get(session(request));
            return found && found.until > Date.now() && current().get(found.name) === found.stored ? found.name : null;
        },
        /**
         * @param {FastifyRequest} request
         * @param {FastifyReply} reply
         * @param {string} name
         * @param {string} password
         * @returns {Promise<boolean>}
         */
        async signIn(request, reply, name, password) {
            const isSecure = !isLoopback(hostName(request));
            if (isSecure && request.headers.origin?.startsWith('http:')) {
                throw new Refusal(
                    403,
                    'A password goes over https only, or to this machine: put a proxy with TLS before the desk',
                );
            }
            const stored = current().get(name);
            const [salt, key] = (stored ?? nobody).split(':').map((part) => Buffer.from(part, 'base64url'));
            const isRight = timingSafeEqual(await hash(password, salt, 32, cost), key);
            if (!isRight || stored === undefined) return false;
            for (const [id, { until }] of sessions) if (until < Date.now()) sessions.delete(id);
            const id = randomBytes(32).toString('base64url');
            sessions.set(id, { name, stored, until: Date.now() + hours * 3600_000 });
            reply.setCookie(cookie(request), id, { path: '/', httpOnly: true, sameSite: 'lax', secure: isSecure });
            return true;
        },
        /**
         * @param {FastifyRequest} request
         * @param {FastifyReply} reply
         */
        signOut(request, reply) {
            sessions.delete(session(request));
            reply.clearCookie(cookie(request), { path: '/', secure: !isLoopback(hostName(request)) });
        },
    };
}

/** @typedef {ReturnType<typeof byUsers>} Users */
