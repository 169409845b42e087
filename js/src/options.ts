// SPDX-License-Identifier: Apache-2.0
// What a socket can be told, and the defaults.
import type { CloseCause, Transport, WhileHidden } from './types.js';
import type { WebSocketClass } from './transports/websocket.js';

/** A value, or a function that is asked before every attempt and may be async. A function that fails is a failed attempt. */
export type Asked<T> = T | (() => T | Promise<T>);

/** The first eleven are reconnecting-websocket's, with its names. Times are in milliseconds. */
export interface Options {
  /** The class to connect with; default: the engine's own. Needed on Node before 22 (for example `ws`), unless `transports` names
   *  others only. */
  WebSocket?: WebSocketClass;
  /** The base of the backoff: the n-th attempt (from 0) comes within a random 0 to base * factor^n. Default 1000; above 0. */
  minReconnectionDelay?: number;
  /** The cap of the backoff. Default 30000; at least minReconnectionDelay. */
  maxReconnectionDelay?: number;
  /** Default 2; at least 1. */
  reconnectionDelayGrowFactor?: number;
  /** A connection that lasted so long resets the backoff. Default 5000; at least 0. */
  minUptime?: number;
  /** An attempt that is not answered for so long has failed. Default 10000; above 0. */
  connectionTimeout?: number;
  /** Failed attempts in a row after which the socket closes for good. Default Infinity. */
  maxRetries?: number;
  /** Messages that may wait to be sent; the next `send` returns false and fires `error`. Default Infinity. */
  maxEnqueuedMessages?: number;
  /** Does not connect before `reconnect()` is called. Default false. */
  startClosed?: boolean;
  /** Writes what happens to the console, without messages and secrets. Default false. */
  debug?: boolean;
  /** Writes it there instead. */
  debugLogger?: (...words: unknown[]) => void;

  /** Bytes that may wait to be sent, 16 for each message beside its payload. Default 16 MiB. */
  maxEnqueuedBytes?: number;
  /** Credentials for the gateway or backend: put into the query of the URL, as the parameter `tokenParam`, at every attempt. */
  token?: Asked<string | null | undefined>;
  /** Default `token`. */
  tokenParam?: string;
  /** More addresses of the same service. The one that fails least and whose connections live longest is preferred. */
  endpoints?: Asked<string>[];
  /** In the order in which they are tried. Default websocket, sse, poll. Without sessions (`sessions: false`, no gateway in the
   *  path) only websocket is of use. */
  transports?: Transport[];
  /** Default `window`. */
  whileHidden?: WhileHidden;
  /** Asked when a session or a plain connection is over; true: a new one is opened. Default: `cause.willReconnect`, which is
   *  false for codes 1000, 1008 and 3000 to 4999 of the backend and for refusals. */
  shouldReconnect?: (cause: CloseCause) => boolean;
  /** False: an ordinary reconnecting WebSocket; sessions are not asked for. Default true. */
  sessions?: boolean;
  /** Fills with random bytes that nobody can guess. Default: crypto.getRandomValues, and Math.random where an engine lacks it. */
  randomBytes?: (bytes: Uint8Array) => void;
}

export const DEFAULTS = {
  minReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  reconnectionDelayGrowFactor: 2,
  minUptime: 5_000,
  connectionTimeout: 10_000,
  maxRetries: Infinity,
  maxEnqueuedMessages: Infinity,
  maxEnqueuedBytes: 16_777_216,
  tokenParam: 'token',
  transports: ['websocket', 'sse', 'poll'] as Transport[],
  whileHidden: 'window' as WhileHidden,
  sessions: true,
};
