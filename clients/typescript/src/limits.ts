/**
 * How long things take and how much there may be of them: milliseconds, unless said otherwise. A module without imports,
 * whose numbers a bundler puts where they are used.
 */

/** How often a connection says something whose server does not say how often. */
export const HEARTBEAT = 15_000;
/** How long a connection may take to be made, a POST, and the application to give a token; the answer to a sign of life, */
export const FIRST = 15_000;
export const PATIENCE = 10_000;
/** and that where there is reason to believe that the connection is dead. */
export const DOUBT = 4_000;
/** An attempt that is older may have begun in a network that is no more. */
export const OLD = 1_000;
/** A connection that lasts so long has worked. */
export const WORKED = 2_000;
/** Silence in which a connection was cut that is worth to be told from a cut by chance. */
export const IDLE = 1_000;
/** A token that ends again so soon after it was renewed is renewed without haste. */
export const RENEWAL = 10_000;
/** How often in a row the server may refuse a token, and the close code of its errors that say so. */
export const DENIALS = 3;
export const UNAUTHORIZED = 4401;
/** How long a client that is closed takes to send what was said before. */
export const FAREWELL = 2_000;
/** The longest that a server is given the word on how long to stay away. */
export const WAIT_MAX = 60_000;
/** How long a call may take unless told. */
export const TIMEOUT = 30_000;
/** The longest time that every platform's timers take. */
export const LONGEST = 2 ** 31 - 1;

/** Items that may wait for a loop, unless told. */
export const QUEUE = 256;
/** Messages that may be sent without a sign that they were applied, before one is asked for. */
export const UNCONFIRMED = 64;
/** How long a subscription waits that was refused and may succeed later. */
export const AGAIN = 2_000;
/** Bytes that may wait to be written to a socket before more messages are put behind them. */
export const UNSENT = 64 << 10;
/** When to look again whether there is room. */
export const ROOM = 50;
/** Subscriptions that are asked for in one call: as many as a session may name unless it is configured otherwise. */
export const TOGETHER = 128;

/** A leader of which nothing was heard for so long is asked whether it lives; and how often, in vain. */
export const QUIET = 2_000;
export const ASKED = 2;
/** Calls and notifications that may wait for a tab that leads. */
export const WAITING = 1024;

/** How long one has before the next is tried as well. */
export const HEAD_START = 1_000;
/** How long a better one has to show itself, while what the present one brings waits. */
export const PROOF = 3_000;
/** When a better one is tried for the first time, and the longest wait. */
export const UPGRADE = 30_000;
export const UPGRADE_MAX = 600_000;
/** Connections that broke soon or fell silent, in a row, after which a transport that has worked is doubted. */
export const STRIKES = 3;
export const SOON = 2_000;

/** How long a page of a long poll may wait for something to say, in seconds. */
export const PAGE = 20;
