// SPDX-License-Identifier: Apache-2.0
// The socket that applications use: the browser's WebSocket by its interface, over the engine and its transports.
import { base64UrlEncode } from './base64.js';
import { createEngine, type Action, type Engine } from './engine.js';
import { HoldfastError, domError } from './errors.js';
import { HoldfastEvent, HoldfastTarget, defineHandler, now, type EventMap } from './events.js';
import { watchPage } from './lifecycle.js';
import { DEFAULTS, type Asked, type Options } from './options.js';
import { ABANDON, COST } from './protocol.js';
import { fillRandom } from './random.js';
import { openWebSocket, type WebSocketClass } from './transports/websocket.js';
import type { HttpPlan, Link, Sink } from './transports/transport.js';
import type { Ending, Transport } from './types.js';
import { absolute, withParam } from './url.js';
import { utf8Length, wellFormed } from './utf8.js';

export type Data = string | ArrayBuffer | ArrayBufferView | Blob;
type Handler<T extends keyof EventMap> = ((this: WebSocket, event: EventMap[T]) => any) | null;

/** In one word, what the socket is at. */
export type State = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closing' | 'closed';

export interface Stats {
  state: State;
  /** Of the present connection; null without one. */
  transport: Transport | null;
  /** The gateway's name for the session, for logs; null without one. */
  session: string | null;
  attempts: number;
  /** Attempts that came to a connection, and those of them that resumed a session. */
  connections: number;
  resumes: number;
  lostSessions: number;
  /** The application's messages; those that were sent again are counted again. */
  messagesSent: number;
  messagesReceived: number;
  bytesSent: number;
  bytesReceived: number;
  /** Messages that wait to be sent, and those that were and are not acknowledged. */
  queued: number;
  unacknowledged: number;
}

const DATA_STATES = { idle: 3, connecting: 0, open: 1, reconnecting: 1, closing: 2, closed: 3 };
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Asks for a value; what is no function is there at once. */
function ask<T>(value: Asked<T>, then: (value: T) => void, failed: (error: unknown) => void): void {
  try {
    const got = typeof value === 'function' ? (value as () => T | Promise<T>)() : value;
    if (got && typeof (got as any).then === 'function') (got as Promise<T>).then(then).then(undefined, failed);
    else then(got as T);
  } catch (error) {
    failed(error);
  }
}

function list(protocols: string | string[] | null | undefined): string[] {
  const all = protocols ? (typeof protocols === 'string' ? [protocols] : protocols) : [];
  if (all.some((name, i) => !TOKEN.test(name) || all.indexOf(name) !== i)) {
    throw domError('SyntaxError', `bad subprotocols: ${all}`);
  }
  return all;
}

export class WebSocket extends HoldfastTarget {
  declare static readonly CONNECTING: 0;
  declare static readonly OPEN: 1;
  declare static readonly CLOSING: 2;
  declare static readonly CLOSED: 3;
  declare readonly CONNECTING: 0;
  declare readonly OPEN: 1;
  declare readonly CLOSING: 2;
  declare readonly CLOSED: 3;

  declare onopen: Handler<'open'>;
  declare onmessage: Handler<'message'>;
  declare onclose: Handler<'close'>;
  declare onerror: Handler<'error'>;
  declare onreconnecting: Handler<'reconnecting'>;
  declare onreconnected: Handler<'reconnected'>;
  declare onrebound: Handler<'rebound'>;
  declare onauthorized: Handler<'authorized'>;

  private engine: Engine;
  private options: Options & typeof DEFAULTS;
  private endpoints: Asked<string>[];
  private protocols: Asked<string | string[] | null | undefined>;
  private links: Record<number, Link> = {};
  private timer: any;
  private draining = false;
  private unwatch: (() => void) | null = null;
  private binary: 'blob' | 'arraybuffer';
  private address = '';
  private chosen = '';
  private extended = '';

  /** url: an absolute ws:, wss:, http: or https: address, relative ones where there is a page. Throws a SyntaxError for an address or
   *  subprotocols that are not valid, and an Error when no transport is to be had; nothing of the network throws. */
  constructor(url: Asked<string>, protocols?: Asked<string | string[] | null | undefined>, options: Options = {}) {
    super();
    const given: any = { ...DEFAULTS };
    for (const key of Object.keys(options)) if ((options as any)[key] !== undefined) given[key] = (options as any)[key];
    const o: Options & typeof DEFAULTS = (this.options = given);
    this.endpoints = [url].concat(o.endpoints || []);
    this.protocols = protocols;
    this.endpoints.forEach((one) => typeof one === 'function' || (this.address = this.address || absolute(one)));
    if (typeof protocols !== 'function') list(protocols);
    this.binary = typeof Blob === 'function' && !(typeof navigator === 'object' && navigator.product === 'ReactNative') ? 'blob' : 'arraybuffer';
    const requests = o.sessions && (typeof fetch === 'function' || typeof XMLHttpRequest === 'function');
    const transports = o.transports.filter((t) => (t === 'websocket' ? this.Class() : requests));
    if (!transports.length) throw new Error('no WebSocket: give the option WebSocket');
    this.engine = createEngine({
      ...o,
      transports,
      addresses: this.endpoints.length,
      random: Math.random,
      secret: () => {
        const bytes = new Uint8Array(18);
        (o.randomBytes || fillRandom)(bytes);
        return base64UrlEncode(bytes);
      },
    });
    if (!o.startClosed) {
      this.engine.start(now());
      this.watch();
      // Handlers are set behind the constructor: nothing is told before.
      Promise.resolve().then(() => this.drain());
    }
  }

  /* ---- as the browser's --------------------------------------------------------------------- */

  /** The address in use or last used, without the token; empty until a function has said it. */
  get url(): string {
    return this.address;
  }

  get readyState(): number {
    return DATA_STATES[this.state];
  }

  /** The subprotocol that the backend chose. */
  get protocol(): string {
    return this.chosen;
  }

  get extensions(): string {
    return this.extended;
  }

  /** Bytes of messages that have not been given to the network. */
  get bufferedAmount(): number {
    const { outbox } = this.engine;
    const waiting = outbox.cost - outbox.flight - COST * outbox.waiting;
    return Object.keys(this.links).reduce((sum, id) => sum + this.links[+id].bufferedAmount, waiting);
  }

  /** `blob` as in browsers, where there are Blobs; `arraybuffer` on React Native. */
  get binaryType(): 'blob' | 'arraybuffer' {
    return this.binary;
  }

  set binaryType(type: 'blob' | 'arraybuffer') {
    if (type === 'blob' || type === 'arraybuffer') this.binary = type;
  }

  /** Sends, or queues while there is no connection. False: it was not taken, because the queue is full or the message too large (`error`
   *  says so), or because the socket is closing or closed. */
  send(data: Data): boolean {
    let payload: string | ArrayBuffer | Blob;
    let size: number;
    if (data instanceof ArrayBuffer) {
      payload = data.slice(0);
      size = data.byteLength;
    } else if (ArrayBuffer.isView(data)) {
      payload = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer;
      size = data.byteLength;
    } else if (typeof Blob === 'function' && data instanceof Blob) {
      payload = data;
      size = data.size;
    } else {
      payload = String(data);
      size = utf8Length(payload);
    }
    const taken = this.engine.send(payload, size, now());
    this.drain();
    return taken;
  }

  /** code: 1000 or 3000 to 4999, else an InvalidAccessError; reason: at most 123 bytes, else a SyntaxError. Messages that were
   *  sent before are delivered first, for 10 s at most. */
  close(code?: number, reason?: string): void {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
      throw domError('InvalidAccessError', `bad code: ${code}`);
    }
    const words = wellFormed(reason === undefined ? '' : String(reason));
    if (utf8Length(words) > 123) throw domError('SyntaxError', 'the reason is too long');
    this.engine.close(code, words, now());
    this.drain();
  }

  /* ---- and more ------------------------------------------------------------------------------ */

  get state(): State {
    const { phase, isOpen, link } = this.engine;
    return phase !== 'running' ? phase : !isOpen ? 'connecting' : link ? 'open' : 'reconnecting';
  }

  /** Attempts since there was a connection. */
  get retryCount(): number {
    return this.engine.link ? 0 : this.engine.retries;
  }

  /** How the latest connection ended; null before the first one did. */
  get lastClose(): Ending | null {
    return this.engine.lastClose;
  }

  /** The shortest of the last eight times from sending to acknowledgement, ms; null before the first. */
  get rtt(): number | null {
    return this.engine.rtt;
  }

  /** When the next attempt comes, ms since 1970; null when none is waited for. */
  get nextRetryAt(): number | null {
    const at = this.engine.retryAt;
    return at === Infinity ? null : Math.round(Date.now() + Math.max(0, at - now()));
  }

  stats(): Stats {
    const { engine } = this;
    const { outbox, link } = engine;
    return {
      state: this.state,
      transport: link?.transport ?? null,
      session: engine.session.hello?.text.session ?? null,
      ...engine.counts,
      queued: outbox.waiting,
      unacknowledged: outbox.length - outbox.waiting,
    };
  }

  /** Connects anew at once and forgets failures: opens a socket that is closed or was started closed, resumes one that is open.
   *  Code and reason are accepted for reconnecting-websocket's sake: nothing of a session that goes on is closed. */
  reconnect(_code?: number, _reason?: string): void {
    this.engine.reconnect(now());
    this.watch();
    this.drain();
  }

  /** Gives the session fresh credentials: this value, or what the option `token` says now. `authorized` tells that they hold. */
  auth(value?: string): void {
    const given = value !== undefined ? value : this.options.token;
    ask<string | null | undefined>(
      given,
      (token) => {
        if (token) this.engine.auth(token);
        this.drain();
      },
      (error) => this.log('token', error),
    );
  }

  /** For what has no page, such as React Native's AppState: the application went to the background or came back. */
  setHidden(hidden: boolean): void {
    this.engine.setHidden(now(), hidden);
    this.drain();
  }

  /* ---- inside -------------------------------------------------------------------------------- */

  private Class(): WebSocketClass | undefined {
    const own = (globalThis as any).WebSocket;
    return this.options.WebSocket || (typeof own === 'function' && own !== WebSocket ? own : undefined);
  }

  private watch(): void {
    if (!this.unwatch) this.unwatch = watchPage(this.engine, now, () => this.drain());
  }

  private log(...words: unknown[]): void {
    if (this.options.debug) (this.options.debugLogger || console.log)('holdfast', ...words);
  }

  /** Carries out what the engine wants, in order, and sets the timer. */
  private drain(): void {
    if (this.draining) return;
    this.draining = true;
    const { engine } = this;
    for (let action; (action = engine.out.shift()); ) this.act(action);
    this.draining = false;
    clearTimeout(this.timer);
    const due = engine.deadline();
    if (due !== Infinity) {
      this.timer = setTimeout(() => {
        engine.tick(now());
        this.drain();
      }, Math.min(Math.max(0, Math.ceil(due - now())), 0x7fffffff));
    }
    if (engine.phase === 'closed' && this.unwatch) {
      this.unwatch();
      this.unwatch = null;
    }
  }

  private act(action: Action): void {
    switch (action.do) {
      case 'dial':
        return this.dial(action);
      case 'fire':
        return this.fire(action.type, action.init);
      case 'auth':
        return this.auth();
    }
    const link = this.links[action.id];
    if (!link) return;
    try {
      if (action.do === 'send') link.send(action.data, action.number);
      else if (action.do === 'control') link.control(action.text);
      else {
        link.close(action.code, action.reason);
        if (action.code === ABANDON) delete this.links[action.id];
      }
    } catch (error) {
      // A connection that is over and has not said so yet: its end is on the way.
      this.log('connection', error);
    }
  }

  private fire(type: string, init: Record<string, any>): void {
    this.log(type, init.code || init.cause || '');
    if (type === 'open') {
      this.chosen = init.protocol;
      this.extended = init.extensions;
      init = {};
    } else if (type === 'error') init = { message: init.message, error: new HoldfastError(init.code, init.message, init.data, init.status) };
    else if (type === 'message') {
      let data = init.data;
      if (typeof data !== 'string' && this.binary === 'blob') {
        try {
          data = new Blob([data]);
        } catch (error) {
          // An engine whose Blobs cannot be made from bytes.
        }
      }
      const origin = /^\w+:\/\/[^/?]+/.exec(this.address);
      init = { data, origin: origin ? origin[0] : '', lastEventId: '', source: null, ports: [] };
    } else if (type === 'authorized' && typeof this.options.token === 'function') {
      this.engine.renewAt(now() + Math.max(1_000, (init.expires - Date.now()) * 0.8));
    }
    this.dispatchEvent(new HoldfastEvent(type, init));
  }

  private dial({ id, transport, endpoint, url: moved, offers }: Action & { do: 'dial' }): void {
    const { engine, options, links } = this;
    const told = <A extends any[]>(tell: (...args: A) => void) => (...args: A) => {
      tell(...args);
      this.drain();
    };
    const failed = told((error: unknown) => {
      this.log('attempt', error);
      engine.lost(id, 0, error instanceof Error ? error.message : String(error), false, now());
    });
    const sink: Sink = {
      opened: told((protocol, extensions) => engine.opened(id, protocol, extensions, now())),
      text: told((raw) => engine.text(id, raw, utf8Length(raw), now())),
      message: told((data) => engine.message(id, data, typeof data === 'string' ? utf8Length(data) : data.byteLength, now())),
      control: told((text) => engine.control(id, text, now())),
      alive: told(() => engine.alive(id, now())),
      closed: told((code, reason, clean) => {
        delete links[id];
        engine.lost(id, code, reason, clean, now());
      }),
    };
    // Where goaway points to is as safe as what is in use, or it is not gone to.
    if (!moved || moved.split(':')[0] !== this.address.split(':')[0]) moved = '';
    ask(moved || this.endpoints[endpoint], (url) =>
      ask(this.protocols, (protocols) =>
        ask(options.token, (token) => {
          if (!engine.dials(id)) return;
          const all = list(protocols);
          this.address = absolute(url);
          const full = token ? withParam(this.address, options.tokenParam, token) : this.address;
          this.log('connect', transport, this.address.split('?')[0]);
          engine.made(id);
          if (transport === 'websocket') {
            links[id] = openWebSocket(this.Class()!, full, offers.reverse().concat(all), sink);
            return;
          }
          const plan: HttpPlan = {
            url: full.replace(/^ws/i, 'http'),
            offer: offers[1],
            protocols: all,
            key: () => engine.session.hello?.text.key ?? '',
            received: () => engine.session.received,
            held: engine.withheld,
          };
          import('./fallback.js').then(({ openPoll, openSse }) => {
            if (engine.dials(id)) links[id] = (transport === 'sse' ? openSse : openPoll)(plan, sink);
          }).catch(failed);
        }, failed), failed), failed);
  }
}

['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'].forEach((name, value) => {
  for (const one of [WebSocket, WebSocket.prototype]) Object.defineProperty(one, name, { value, enumerable: true });
});
for (const type of ['open', 'message', 'close', 'error', 'reconnecting', 'reconnected', 'rebound', 'authorized']) {
  defineHandler(WebSocket.prototype, type);
}
