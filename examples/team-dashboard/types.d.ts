// Types that more than one file needs, for tsc and for editors: nothing of it runs. A file says /** @import { Context } from '../types.d.ts' */.
import type { FastifyRequest } from 'fastify';
import type { Pool } from 'pg';
import type { createContext } from './app.js';

declare module 'fastify' {
    // What the hooks of lib/safety.js put on each request.
    interface FastifyRequest {
        person: Person;
        access: Access | null;
    }
    interface FastifyContextConfig {
        /** Nobody has to be signed in, and the route looks after itself. */
        open?: boolean;
    }
}

type Request = FastifyRequest;
type App = import('fastify').FastifyInstance;
type Html = import('./lib/html.js').Html;

/** Who is signed in. */
interface Person {
    user: string;
    name: string;
    /** What the tokens of this person's forms are bound to. */
    session: string;
    by: 'cookie' | 'bearer';
}

/** As what this person may see the team, at this moment. */
interface Access {
    team: string;
    actor: string;
    owner: boolean;
}

/** What createApp is given. */
interface Settings {
    /** It may lead through a pooler in transaction mode. */
    pool: Pool;
    /** A direct connection, for LISTEN. */
    listenUrl: string;
    /** What browsers call us: https://seats.example.com */
    origin: string;
    sessionSecret: string;
    /** Gives user and, if you like, name and session; or null. Without it whoever comes chooses a person: for a
     * demonstration only (server.js sees to it). */
    authenticate?: (request: FastifyRequest) => Promise<{ user: string; name?: string; session?: string } | null>;
    /** Where the Stripe simulator is told how to behave. */
    simulator?: string | null;
    /** Where a customer gives another card. */
    cardUrl?: string | null;
    /** Whose X-Forwarded-For is believed. */
    trustProxy?: boolean | string;
    logger?: boolean;
}

/** What routes are given: the settings, and what app.js and lib/safety.js have made of them. */
type Context = Awaited<ReturnType<typeof createContext>>;

/** All that a team's page shows, for one person and now. */
type State = Awaited<ReturnType<Context['load']>>;
