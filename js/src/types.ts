// SPDX-License-Identifier: Apache-2.0
// The types that applications see.
import type { Payload } from './outbox.js';

/** How a connection is made. */
export type Transport = 'websocket' | 'sse' | 'poll';

/** What is done about a lost connection while the page is hidden: `window` tries until the session's window would have run
 *  out and then waits for the page to be visible, `always` goes on, `never` waits at once. */
export type WhileHidden = 'window' | 'always' | 'never';

/** A message that nobody acknowledged before its session was lost. The library never sends it by itself. */
export interface Undelivered {
  /** As it was given to `send`; bytes as an ArrayBuffer. */
  data: Payload;
  /** It was the n-th message of its session, from 1. */
  number: number;
  /** True: the other end may have had it. False: it certainly had not. */
  uncertain: boolean;
}

/** Why a session or a plain connection ended. */
export interface CloseCause {
  /** Close code; 1006 when there was none. */
  code: number;
  reason: string;
  wasClean: boolean;
  /** One word: `lost`, `silent`, `timeout`, `failed`, `backend_close`, `client_close`, `no_gateway`, or a reason of the gateway's such as
   *  `expired`, `unknown`, `superseded`, `auth`. */
  cause: string;
  /** On whose side it lies: `client`, `network`, `gateway` or `backend`. */
  who: string;
  /** A new session will be opened. */
  willReconnect: boolean;
}

/** How the latest connection ended, or the latest attempt failed. Times are in milliseconds. */
export interface Ending {
  cause: string;
  who: string;
  code: number;
  reason: string;
  transport: Transport;
  /** How long it was in use; 0 for an attempt that failed. */
  held_ms: number;
  /** How long nothing had come, and nothing been sent. */
  silent_rx_ms: number;
  silent_tx_ms: number;
  rtt_ms: number | null;
  /** Messages that were sent and not acknowledged. */
  unacked: number;
}
