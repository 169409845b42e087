// SPDX-License-Identifier: Apache-2.0
// The React hook: messages by callback, the state of the connection through useSyncExternalStore, one socket for each URL however
// many components use it. It touches no page, so it serves React Native as well; nothing is opened while rendering or on a server.
import { useCallback, useId, useInsertionEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { WebSocket, type Asked, type Data, type Ending, type EventMap, type Options, type State } from './index.js';

type Handled = 'open' | 'message' | 'close' | 'error' | 'reconnecting' | 'reconnected' | 'rebound';

/** What a component sees of the connection. The object is another one only when something in it has changed. */
export interface HoldfastState {
  /** The socket's own word; `idle` as well when there is no URL. `connecting`: there is no session yet, or none any more.
   *  `reconnecting`: the session waits, and so does what is sent. `closed`: nobody tries any more; `reconnect()` does. */
  readonly status: State;
  /** The attempt under way or waited for, from 1; 0 while connected. */
  readonly attempt: number;
  /** When it comes, as Date.now() would say; null when none is waited for. */
  readonly nextRetryAt: number | null;
  /** True after a drop that resumed, with nothing lost; false after a session that could not be resumed; null before either. */
  readonly recovered: boolean | null;
  /** How often the session was resumed since the socket was made. */
  readonly resumes: number;
  /** How the latest connection ended. */
  readonly lastClose: Ending | null;
}

/** Callbacks; each may be another one at every render. */
export type HoldfastHandlers = { [K in Handled as `on${Capitalize<K>}`]?: (event: EventMap[K]) => void };

export interface UseHoldfastOptions extends HoldfastHandlers {
  /** Subprotocols. */
  protocols?: string | string[];
  /** What bytes come as. Default `arraybuffer`, on every engine. */
  binaryType?: 'blob' | 'arraybuffer';
  /** Options of the socket; those of the component that opens it count. A `token` that is a function may be another one at every
   *  render. */
  socket?: Options;
  /** Components with the same URL, protocols and key share a socket. A URL that is a function is shared by its key alone; without
   *  one it belongs to this component. */
  key?: string;
}

export interface UseHoldfast extends HoldfastState {
  /** Sends, or keeps what cannot go yet until it can. False: it was not taken, since there is no URL, the component is gone, or
   *  the queue is full. */
  send(data: Data): boolean;
  /** Closes the socket for every component that shares it. */
  close(code?: number, reason?: string): void;
  /** Tries at once, also when the socket was closed. */
  reconnect(): void;
  /** The shared socket, for what the hook does not say; null while there is none. */
  getSocket(): WebSocket | null;
}

const IDLE: HoldfastState = { status: 'idle', attempt: 0, nextRetryAt: null, recovered: null, resumes: 0, lastClose: null };
const CONNECTING: HoldfastState = { ...IDLE, status: 'connecting' };
const HANDLED: Handled[] = ['open', 'message', 'close', 'error', 'reconnecting', 'reconnected', 'rebound'];

/** A component that uses a socket. */
interface Member {
  notify(): void;
  options: UseHoldfastOptions;
  url: Asked<string> | null | undefined;
}

interface Me extends Member {
  at: Shared | null;
  /** What was sent before there was a socket; null from then on. */
  waits: Data[] | null;
}

/** A socket and those who use it. It is closed when the last one has gone and the present task is over: what StrictMode takes
 *  out and puts back, and what a change of pages hands on, keeps its socket. */
class Shared {
  readonly members: Member[] = [];
  readonly socket: WebSocket;
  state: HoldfastState = CONNECTING;
  private going: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly key: string, first: Member) {
    this.members.push(first);
    const { url, options } = first;
    // A function is asked of whoever is there when an attempt is made, so that it is that component's newest one.
    const now = () => this.members[0] || first;
    const ask = <T>(value: Asked<T>) => (typeof value === 'function' ? (value as () => T | Promise<T>)() : value);
    const { token } = options.socket || {};
    this.socket = new WebSocket(
      typeof url === 'function' ? () => ask(now().url!) : url!,
      options.protocols,
      typeof token === 'function' ? { ...options.socket, token: () => ask((now().options.socket || {}).token) } : options.socket,
    );
    this.socket.binaryType = options.binaryType || 'arraybuffer';
    for (const type of HANDLED) this.listen(type);
  }

  /** The state is right before anybody hears of the event; the components are told first, then their handlers. */
  private listen<K extends Handled>(type: K): void {
    const name = `on${type[0]!.toUpperCase()}${type.slice(1)}` as keyof HoldfastHandlers;
    this.socket.addEventListener(type, (event) => {
      if (type !== 'message') this.look(event as EventMap[Handled]);
      for (const member of this.members.slice()) {
        const handler = member.options[name] as ((event: EventMap[K]) => void) | undefined;
        if (handler && this.members.indexOf(member) >= 0) apart(() => handler(event));
      }
    });
  }

  /** Takes up what the socket says of itself, and what this event says. */
  look(event?: { type: string }): void {
    const { socket, state: old } = this;
    const state: HoldfastState = {
      status: socket.state,
      attempt: socket.retryCount,
      nextRetryAt: socket.nextRetryAt,
      recovered: event && event.type === 'reconnected' ? true : event && event.type === 'close' ? false : old.recovered,
      resumes: socket.stats().resumes,
      lastClose: socket.lastClose,
    };
    if ((Object.keys(state) as (keyof HoldfastState)[]).every((key) => state[key] === old[key])) return;
    this.state = state;
    for (const member of this.members.slice()) member.notify();
  }

  join(member: Member): void {
    clearTimeout(this.going);
    this.going = undefined;
    if (this.members.indexOf(member) < 0) this.members.push(member);
  }

  part(member: Member): void {
    this.members.splice(this.members.indexOf(member), 1);
    if (this.members.length) return;
    this.going = setTimeout(() => {
      if (shared.get(this.key) === this) shared.delete(this.key);
      this.socket.close(1000);
    }, 0);
  }
}

const shared = new Map<string, Shared>();

/** What a handler throws is told as if nobody had called it, and keeps nothing from the others. */
function apart(call: () => void): void {
  try {
    call();
  } catch (error) {
    setTimeout(() => { throw error; }, 0);
  }
}

/**
 * A socket that outlives its connections, for a component.
 *
 * ```tsx
 * const { status, send } = useHoldfast('wss://example.org/ws/inbox/', { onMessage: (event) => add(JSON.parse(event.data)) });
 * ```
 *
 * @param url As the socket takes it: a text, or a function that gives one, asked before every attempt. `null` or
 *  `undefined`: no socket for now.
 */
export function useHoldfast(url: Asked<string> | null | undefined, options: UseHoldfastOptions = {}): UseHoldfast {
  const own = useId();
  const none = url === null || url === undefined;
  const key = none ? '' : JSON.stringify([url, options.protocols || null,
    options.key !== undefined ? options.key : typeof url === 'function' ? `:${own}` : null]);
  const [me] = useState<Me>(() => ({ notify: () => undefined, options, url, at: null, waits: [] }));
  useInsertionEffect(() => {
    me.options = options;
    me.url = url;
  });

  const subscribe = useCallback((notify: () => void) => {
    if (!key) return () => undefined;
    me.notify = notify;
    let at = shared.get(key);
    if (at) at.join(me);
    else shared.set(key, (at = new Shared(key, me)));
    me.at = at;
    const waits = me.waits || [];
    me.waits = null;
    for (const data of waits) at.socket.send(data);
    return () => {
      me.at = null;
      at.part(me);
    };
  }, [key, me]);
  const snapshot = () => (key ? (shared.get(key) || { state: CONNECTING }).state : IDLE);
  const state = useSyncExternalStore(subscribe, snapshot, () => (key ? CONNECTING : IDLE));

  const calls = useMemo(() => {
    const at = () => me.at || shared.get(key) || null;
    return {
      send(data: Data): boolean {
        const where = at();
        if (where) return where.socket.send(data);
        // A child's effects run before ours: what it sends there goes when we have a socket.
        if (!key || !me.waits) return false;
        me.waits.push(data);
        return true;
      },
      close(code?: number, reason?: string): void {
        const where = at();
        if (!where) return;
        where.socket.close(code, reason);
        where.look();
      },
      reconnect(): void {
        const where = at();
        if (!where) return;
        where.socket.reconnect();
        where.look();
      },
      getSocket: () => (at() || { socket: null }).socket,
    };
  }, [key, me]);
  return useMemo(() => ({ ...state, ...calls }), [state, calls]);
}
