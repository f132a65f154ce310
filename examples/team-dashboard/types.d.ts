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
    interface FastifyReply {
        html(content: Html): FastifyReply;
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
    /** Where a form signs this person out; without it, the page has none. */
    signOutAt?: string;
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
    /** Gives user and, if you like, the others; or null. Without it whoever comes chooses a person: for a
     * demonstration only (server.js sees to it). */
    authenticate?: (request: FastifyRequest) => Promise<(Pick<Person, 'user'> & Partial<Person>) | null>;
    /** Where people are sent who are nobody yet; without it they are refused. */
    signInAt?: string;
    /** More of them: Fastify plugins that are given the context. */
    routes?: ((app: App, context: any) => Promise<void>)[];
    /** What stands at the foot of a team's page. */
    foot?: (team: string, token: string) => Html;
    /** Where the Stripe simulator is told how to behave. */
    simulator?: string | null;
    /** Where a customer gives another card. */
    cardUrl?: string | null;
    /** Whose X-Forwarded-For is believed. */
    trustProxy?: boolean | string;
    /** True, or more options of Fastify's logger. */
    logger?: boolean | object;
}

/** What routes are given: the settings, and what app.js and lib/safety.js have made of them. */
type Context = Awaited<ReturnType<typeof createContext>>;

/** All that a team's page shows, for one person and now. */
type State = Awaited<ReturnType<Context['load']>>;

/** What seats.team_page tells; each key is described in docs/pages.md. */
export interface TeamPage {
    team: string;
    version: number;
    as_of: string;
    status: string | null;
    problem: string | null;
    subscription: Record<string, any> | null;
    past_due: Invoice | null;
    stripe: 'up' | 'down' | 'paused' | 'halted' | 'unproven';
    seat_types: SeatType[];
    members: Member[];
    members_total: number;
    invites: Invite[];
    invites_total: number;
    open_changes: Change[];
    open_changes_total: number;
    last_changes: Change[];
    may: Record<'buy' | 'cancel' | 'invite' | 'manage_members', boolean>;
}

export interface SeatType {
    seat_type: string;
    quantity: number;
    confirmed: number;
    awaiting: number;
    pending: number;
    used: number;
    reserved: number;
    free: number;
    billing_pending: number;
    may_add: number;
    may_remove: number;
    limits: Record<'largest_change' | 'largest_total' | 'largest_unconfirmed', number | null>;
}

export interface Member {
    user_id: string;
    role: 'owner' | 'member';
    seat_type: string | null;
    joined_at: string;
    last_owner: boolean;
}

export interface Invite {
    invite: number;
    address: string;
    role: 'owner' | 'member';
    seat_type: string | null;
    inviter: string | null;
    created_at: string;
    expires_at: string;
    billing_pending: boolean;
}

export interface Invoice {
    invoice: string;
    amount: number;
    currency: string;
    currency_decimals: number;
    url?: string | null;
    paid?: number;
    expires_at?: string;
    shared?: boolean;
}

/** An open one has a phase, a settled one a state. */
export interface Change {
    change: number;
    lines: {
        seat_type: string;
        operation: string;
        quantity: number;
        previous_quantity: number;
        new_quantity: number;
    }[];
    phase?: string;
    state?: 'confirmed' | 'reverted' | 'cancelled';
    reason?: string | null;
    actor: string | null;
    person: string | null;
    created_at: string;
    settled_at?: string;
    next_try_at?: string | null;
    invoice: Invoice | null;
    code: string | null;
    decline_code: string | null;
    next_step: string | null;
    may_cancel?: boolean;
}
