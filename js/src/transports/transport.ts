// SPDX-License-Identifier: Apache-2.0
// What a transport offers to the socket, and what it tells it.
import type { Payload } from '../outbox.js';

/** One connection. Nothing is told any more after `closed`, nor after `close` was called with ABANDON or without a code. */
export interface Link {
  /** The application's message number n of its session, as it goes over the wire. */
  send(data: Payload, number: number): void;
  /** A control message without its 0x01. */
  control(text: string): void;
  /** After everything that was sent. */
  close(code?: number, reason?: string): void;
  /** Bytes that were given to send and have not left. */
  readonly bufferedAmount: number;
}

export interface Sink {
  opened(protocol: string, extensions: string): void;
  /** A text as it stands on a WebSocket. */
  text(raw: string): void;
  /** A message that is the application's for certain. */
  message(data: string | ArrayBuffer): void;
  control(text: string): void;
  alive(): void;
  closed(code: number, reason: string, clean: boolean): void;
}

/** What an HTTP transport needs to know beside its URL. */
export interface HttpPlan {
  /** Of the gateway: http or https. */
  url: string;
  /** The second offer: hf1.o.… or hf1.r.… */
  offer: string;
  /** The application's subprotocols. */
  protocols: string[];
  /** Secret key of the session, once hello has said it. */
  key(): string;
  /** Messages that were received. */
  received(): number;
  /** Nothing may be acknowledged now: a successor of this connection has stated a position. */
  held(): boolean;
}
