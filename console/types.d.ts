// Types that more than one file needs, for tsc and for editors: nothing of it runs.
import type { Pool, PoolClient } from 'pg';
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { HtmlText } from './lib/html.js';

declare module 'fastify' {
    interface FastifyRequest {
        /** Who asks, and what this person's forms carry; '' is nobody, on what anybody may see. */
        asker: { person: string; token: string };
    }
    interface FastifyReply {
        page(page: Page): FastifyReply;
    }
    interface FastifyContextConfig {
        /** anybody may see it */
        open?: boolean;
    }
}

interface Settings {
    /** of openPool (lib/database.js) */
    pool: Pool;
    /** where the desk stands, '/desk' say; '' is the root */
    prefix?: string;
    /** names under which browsers reach the desk, without a port */
    hosts: string[];
    /** how it knows who asks */
    authentication: Authentication;
    /** Fastify's; none if it is left out */
    logger?: any;
}

/** A row of any view or list: what has the same name is the same everywhere. */
type Row = Record<string, any>;

/** What a page is given. */
interface Visit {
    /** gives rows, in a transaction that can only read */
    ask: (sql: string, ...values: unknown[]) => Promise<Row[]>;
    /** of the path */
    params: Record<string, string>;
    query: Record<string, string>;
    /** with prefix and query */
    link: (path: string, query?: Record<string, string | number | null | undefined>) => string;
    /** verbs that the role of the desk may use, and what each does */
    may: Map<string, string>;
}

/** What a page gives. */
interface Page {
    title: string;
    /** which of the pages of the navigation it is */
    place?: string;
    body: HtmlText;
    /** what was done just before */
    notice?: HtmlText;
    /** it shows a form, or an error, and does not refresh itself */
    isFixed?: boolean;
    status?: number;
}

/** A column that is made for one table. */
type Made = [label: string, cell: (row: Row) => unknown];
/** 'call state_since:since': fields, and what they are called if otherwise; or some of them, and made ones. */
type Columns = string | (string | Made)[];

/** How the desk knows who asks. */
interface Authentication {
    /** null: nobody it knows */
    person: (request: FastifyRequest) => string | null;
    /** what a form's token is good for, beside the person */
    session?: (request: FastifyRequest) => string;
    /** where people are sent who are nobody yet; without it they are refused */
    signInAt?: string;
    /** of the pages for that */
    routes?: FastifyPluginAsync;
}

/** What a verb is given, by the names of the function's arguments. */
type Given = Record<string, string>;
/** What is to be known before it is done, in sentences; and what the database is to be told that was seen. */
type Look = (client: PoolClient, given: Given) => Promise<{ given?: Given; says: string[] }>;
interface Verb {
    /** of its buttons */
    label: string;
    /** the function's arguments, beside the reason */
    takes: string;
    /** the page where it stands */
    back: string;
    look?: Look;
}

/** What words.json has. */
interface Words {
    /** pages of the navigation, by their path */
    places: Record<string, string>;
    /** what of seats.counts() the overview shows, what it is called, and where it is listed */
    counts: string[][];
    /** values of filters that are chosen from a list */
    choices: Record<string, string[]>;
    /** words of the database's, by how they are coloured */
    tones: Record<string, string>;
    verbs: Record<string, Omit<Verb, 'look'>>;
    /** by SQLSTATE, or by what else went wrong; {said} is the error's own text, which it is without another one */
    errors: Record<string, [status: number, title: string, text?: string]>;
}

export type { Authentication, Columns, Given, Look, Made, Page, Row, Settings, Verb, Visit, Words };
