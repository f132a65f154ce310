// A file of people and scrypt hashes of their passwords: a line for each, NAME:SALT:HASH.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { isPerson } from './safety.js';

/** @type {(password: string, salt: Buffer, length: number, cost: object) => Promise<Buffer>} */
const hash = promisify(scrypt);

/** @param {string} password @param {Buffer} salt */
const keyOf = (password, salt) => hash(password, salt, 32, { N: 32768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 });

/** Of nobody: an unknown name takes as long as a known one. */
const nobody = `${'A'.repeat(22)}:${'A'.repeat(43)}`;

/** @param {string} file @returns {Map<string, string>} what is stored of each name */
export function readUsers(file) {
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
        throw new Error('a name is one line of 1 to 100 characters, without a colon');
    if (password.length < 12) throw new Error('a password has at least 12 characters');
    const users = existsSync(file) ? readUsers(file) : new Map();
    const salt = randomBytes(16);
    users.set(name, `${salt.toString('base64url')}:${(await keyOf(password, salt)).toString('base64url')}`);
    const lines = [...users].map(([who, stored]) => `${who}:${stored}\n`);
    writeFileSync(`${file}.new`, lines.join(''), { mode: 0o600, flag: 'wx' });
    renameSync(`${file}.new`, file);
}

/** @param {string | undefined} stored  of a name; none: there is no such person @param {string} password */
export async function isRight(stored, password) {
    const [salt, key] = (stored ?? nobody).split(':').map((part) => Buffer.from(part, 'base64url'));
    return timingSafeEqual(await keyOf(password, salt), key) && stored !== undefined;
}
