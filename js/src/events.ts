// SPDX-License-Identifier: Apache-2.0
// EventTarget and events of our own, so that engines without them (React Native's) do as browsers do: listeners as functions or
// objects, `once`, `signal`, handlers that are removed or added while an event is under way, an error in one that harms no other.
import type { HoldfastError } from './errors.js';
import type { CloseCause, Transport, Undelivered } from './types.js';

const clock = () => Math.floor(typeof performance === 'object' && performance.now ? performance.now() : Date.now());
/** ms of a clock that does not go back, where the engine has one. */
export const now = () => clock();

export class HoldfastEvent {
  readonly type: string;
  target: any = null;
  currentTarget: any = null;
  readonly timeStamp = now();
  readonly bubbles = false;
  readonly cancelable = false;
  /** Nothing here can be prevented. */
  readonly defaultPrevented = false;
  /** Set by stopImmediatePropagation. */
  stopped = false;

  constructor(type: string, init?: Record<string, any>) {
    this.type = type;
    Object.assign(this, init);
  }

  preventDefault(): void {}
  stopPropagation(): void {}
  stopImmediatePropagation(): void {
    this.stopped = true;
  }
}

/** `message`. */
export interface MessageEvent extends HoldfastEvent {
  /** A string; for a binary message a Blob or an ArrayBuffer as `binaryType` says. */
  data: any;
  origin: string;
  lastEventId: string;
}

/** `close`: a session (or plain connection) is over. Not fired for a drop that is resumed. */
export interface CloseEvent extends HoldfastEvent, CloseCause {
  /** Messages that nobody acknowledged, in order. They are never sent by themselves; `send` them again in this handler to have
   *  them first in the next session. */
  unacknowledged: Undelivered[];
  /** Messages of the session that came, that were sent, and that were acknowledged. */
  received: number;
  sent: number;
  acknowledged: number;
  /** How many of the sent ones the gateway says it had; undefined: it does not know. */
  counted?: number;
}

/** `error`: an attempt before the first open failed, or a message was not taken. */
export interface ErrorEvent extends HoldfastEvent {
  error: HoldfastError;
  message: string;
}

/** `reconnecting`: the connection was lost or an attempt failed; another one follows. */
export interface ReconnectingEvent extends HoldfastEvent {
  /** Attempts since a connection was there, from 1. */
  attempt: number;
  /** ms until it. */
  delay: number;
  cause: string;
  /** The session is still hoped for. */
  resuming: boolean;
}

/** `reconnected`: the session goes on, with nothing lost. */
export interface ReconnectedEvent extends HoldfastEvent {
  recovered: true;
  attempts: number;
  /** ms without a connection. */
  downtime: number;
  transport: Transport;
}

/** `rebound`: the gateway replaced the backend's connection. Messages from+1 to `to` of this session may not have been processed;
 *  equal: none. */
export interface ReboundEvent extends HoldfastEvent {
  from: number;
  to: number;
  attempt: number;
}

/** `authorized`: fresh credentials hold until `expires` (ms since 1970, or Infinity). */
export interface AuthorizedEvent extends HoldfastEvent {
  expires: number;
}

export interface EventMap {
  open: HoldfastEvent;
  message: MessageEvent;
  close: CloseEvent;
  error: ErrorEvent;
  reconnecting: ReconnectingEvent;
  reconnected: ReconnectedEvent;
  rebound: ReboundEvent;
  authorized: AuthorizedEvent;
}
export type EventType = keyof EventMap;
export type Listener<E> = ((event: E) => void) | { handleEvent(event: E): void };
export interface ListenerOptions {
  once?: boolean;
  signal?: AbortSignal;
  capture?: boolean;
  passive?: boolean;
}

function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else setTimeout(() => { throw error; }, 0);
}

interface Entry {
  type: string;
  listener: Listener<any>;
  once: boolean;
  gone: boolean;
}

export class HoldfastTarget {
  private entries: Entry[] = [];

  addEventListener<T extends EventType>(type: T, listener: Listener<EventMap[T]> | null, options?: boolean | ListenerOptions): void;
  addEventListener(type: string, listener: Listener<any> | null, options?: boolean | ListenerOptions): void;
  addEventListener(type: string, listener: Listener<any> | null, options?: boolean | ListenerOptions): void {
    const how: ListenerOptions = typeof options === 'object' && options ? options : {};
    if (!listener || how.signal?.aborted || this.entries.some((e) => e.type === type && e.listener === listener)) return;
    this.entries.push({ type, listener, once: !!how.once, gone: false });
    how.signal?.addEventListener('abort', () => this.removeEventListener(type, listener));
  }

  removeEventListener<T extends EventType>(type: T, listener: Listener<EventMap[T]> | null, options?: boolean | ListenerOptions): void;
  removeEventListener(type: string, listener: Listener<any> | null, options?: boolean | ListenerOptions): void;
  removeEventListener(type: string, listener: Listener<any> | null): void {
    this.entries = this.entries.filter((e) => e.type !== type || e.listener !== listener || ((e.gone = true), false));
  }

  dispatchEvent(event: { type: string }): boolean {
    const e = event as HoldfastEvent;
    try {
      e.target = e.currentTarget = this;
    } catch (error) {
      // An event of the engine's own, whose target is not ours to set.
    }
    for (const entry of this.entries.slice()) {
      if (entry.type !== e.type || entry.gone) continue;
      if (entry.once) this.removeEventListener(entry.type, entry.listener);
      try {
        const { listener } = entry;
        if (typeof listener === 'function') listener.call(this, e);
        else listener.handleEvent(e);
      } catch (error) {
        report(error);
      }
      if (e.stopped) break;
    }
    return true;
  }
}

/** Gives a class the property on<type>: a handler that is called in the order in which it was first set. */
export function defineHandler(target: HoldfastTarget, type: string): void {
  const key = '_on' + type;
  Object.defineProperty(target, 'on' + type, {
    configurable: true,
    enumerable: true,
    get(this: any) {
      return this[key] ? this[key].handler : null;
    },
    set(this: any, handler: unknown) {
      const held = this[key];
      const good = typeof handler === 'function' || (typeof handler === 'object' && handler) ? handler : null;
      if (held) held.handler = good;
      if (held && !good) {
        this.removeEventListener(type, held.call);
        this[key] = null;
      } else if (!held && good) {
        const slot: any = (this[key] = { handler: good, call: (event: any) => typeof slot.handler === 'function' && slot.handler.call(this, event) });
        this.addEventListener(type, slot.call);
      }
    },
  });
}
