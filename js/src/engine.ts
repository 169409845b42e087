// SPDX-License-Identifier: Apache-2.0
// The pure machine: what a socket does when. Time (ms, of a clock that never goes back) and everything that happened are
// arguments; what is to be done comes out as a list of actions, in order. No clock, timer, network or page in here.
// docs/protocol.md sections 3 to 8.
//
// At most one connection is the link (the one in use) and one is being dialled. A link may stay in use while its successor is
// dialled, for a climb back to WebSocket or a goaway: it is let go when the successor has said hello.
import { backoff, choose, type Endpoint } from './backoff.js';
import { Outbox, type Entry, type Payload } from './outbox.js';
import { ABANDON, COST, HF1, escapeText, openOffer, readControl, resumeOffer, textKind, writeControl, type Control } from './protocol.js';
import type { CloseCause, Ending, Transport, Undelivered, WhileHidden } from './types.js';

export interface Config {
  minDelay: number;
  maxDelay: number;
  growFactor: number;
  minUptime: number;
  connectionTimeout: number;
  maxRetries: number;
  maxMessages: number;
  maxBytes: number;
  whileHidden: WhileHidden;
  transports: Transport[];
  endpoints: number;
  sessions: boolean;
  /** From [0, 1). */
  random(): number;
  /** A new opening secret, base64url. */
  secret(): string;
  shouldReconnect?(cause: CloseCause): boolean;
}

export type Action =
  | { do: 'dial'; id: number; transport: Transport; endpoint: number; url?: string; offers: string[] }
  | { do: 'send'; id: number; data: Payload; number: number }
  | { do: 'control'; id: number; text: string }
  | { do: 'drop'; id: number; code?: number; reason?: string }
  | { do: 'auth' }
  | { do: 'fire'; type: string; init: Record<string, any> };

interface Conn {
  id: number;
  transport: Transport;
  tier: number;
  endpoint: number;
  /** It offered hf1. */
  hf: boolean;
  /** It asked for the session with this attempt and this count of received messages; 0: an opening. */
  attempt: number;
  stated: number;
  begun: number;
  opened: boolean;
  /** The subprotocol and extensions that were negotiated. */
  protocol: string;
  extensions: string;
  plain: boolean;
  /** When it became the link; when something came and went last. */
  since: number;
  heard: number;
  wrote: number;
  /** When it is given up unless something comes. */
  deadline: number;
  graced: boolean;
  /** Messages of the replay that the application has already. */
  skip: number;
  end?: Control;
  bye?: boolean;
}

interface Session {
  secret: string;
  hello?: Control;
  received: number;
  attempt: number;
}

type Phase = 'idle' | 'running' | 'closing' | 'closed';

const HELLO_MS = 5_000;
const QUICK_MS = 250;
const ACK_MS = 1_000;
const CLOSING_MS = 10_000;
const DOWNGRADE_MS = 600_000;
const PROBE_MS = 30_000;
const PROBE_MAX_MS = 600_000;
const PROBE_TIMEOUT_MS = 4_000;
/** What a window is taken for when no session was ever there. */
const WINDOW_MS = 60_000;
/** Reasons of `end` after which one does not come back by itself. */
const FINAL = /^(superseded|auth|origin|host|not_found|refused|closed)$/;

export class Engine {
  out: Action[] = [];
  phase: Phase = 'idle';
  /** The application was told `open`, and no `close` since. */
  isOpen = false;
  link: Conn | null = null;
  outbox = new Outbox();
  retries = 0;
  retryAt = Infinity;
  /** When the credentials should be renewed. */
  authAt = Infinity;
  lastClose: Ending | null = null;
  rtt: number | null = null;
  counts = { attempts: 0, connections: 0, resumes: 0, lostSessions: 0, messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0 };

  private dial: Conn | null = null;
  private session!: Session;
  private failures = 0;
  private lastId = 0;
  private tier = 0;
  private blocked = 0;
  private endpoints: (Endpoint & { hello: boolean; plainUntil: number })[] = [];
  private hidden = false;
  private paused = false;
  private held = false;
  private wentOffline = false;
  private lostAt = 0;
  private ackAt = Infinity;
  private owed = 0;
  private closeAt = Infinity;
  private closeCode: number | undefined;
  private closeReason = '';
  private moveAt = Infinity;
  private moveGap = PROBE_MS;
  /** When a goaway is obeyed, and where to. */
  private leaveAt = Infinity;
  private moveUrl: string | undefined;
  /** While closing: the session was lost, why, and what the gateway had of it. */
  private lostWhy: Control | undefined;
  private samples: number[] = [];

  constructor(private config: Config) {
    for (let i = 0; i < config.endpoints; i++) {
      this.endpoints.push({ failures: 0, ended: 0, lived: 0, hello: false, plainUntil: -1 });
    }
    this.fresh();
  }

  /* ---- asked by the application -------------------------------------------------------------- */

  start(now: number): void {
    if (this.phase === 'running' || this.phase === 'closing') return;
    this.phase = 'running';
    this.retries = this.failures = 0;
    this.lostAt = now;
    this.connect(now);
  }

  /** False when it was not taken: the queue is full, the message too large, or the socket closing or closed. */
  send(data: Payload, size: number, now: number): boolean {
    if (this.phase === 'closing' || this.phase === 'closed') return false;
    const most = this.messageMax;
    if (size > most) {
      this.refuse({ data, size, at: now }, most);
      return false;
    }
    if (this.outbox.waiting >= this.config.maxMessages || this.outbox.cost - this.outbox.flight + size + COST > this.config.maxBytes) {
      this.fire('error', { code: 'queue_full', message: `the queue is full with ${this.outbox.waiting} messages`, data });
      return false;
    }
    this.outbox.add(data, size);
    this.pump(now);
    return true;
  }

  close(code: number | undefined, reason: string, now: number): void {
    if (this.phase === 'closing' || this.phase === 'closed') return;
    this.phase = 'closing';
    this.closeCode = code;
    this.closeReason = reason;
    this.closeAt = now + CLOSING_MS;
    const link = this.link;
    if (link && link.plain) this.drop(link, code, reason);
    else if (link) this.pump(now);
    else if (this.session.hello && this.outbox.length) {
      if (!this.dial) this.connect(now);
    } else this.finish(1006, '', false, 'client_close', 'client');
  }

  /** Gives the present connection up for a new one, and forgets failures: also from closed. */
  reconnect(now: number): void {
    if (this.phase === 'closing') return;
    this.failures = this.retries = 0;
    if (this.phase !== 'running') this.start(now);
    else {
      if (this.link) this.abandon(this.link, 'reconnect', 'client', now);
      this.now(now);
    }
  }

  /** Fresh credentials for the session; false when there is no session to tell. */
  auth(value: string): boolean {
    if (!this.link || this.link.plain) return false;
    this.control(this.link, writeControl('auth', { value }));
    return true;
  }

  /* ---- told by connections ------------------------------------------------------------------- */

  opened(id: number, protocol: string, extensions: string, now: number): void {
    const conn = this.dial;
    if (!conn || conn.id !== id) return;
    conn.opened = true;
    conn.heard = now;
    conn.protocol = protocol;
    conn.extensions = extensions;
    if (conn.hf && protocol === HF1) conn.deadline = now + HELLO_MS;
    else {
      // Opened only without the offers of hf1: for a while it is not asked with them again.
      if (this.config.sessions && !conn.hf) this.endpoints[conn.endpoint].plainUntil = now + DOWNGRADE_MS;
      this.goPlain(conn, now);
    }
  }

  /** A text as it came over a WebSocket. */
  text(id: number, raw: string, size: number, now: number): void {
    const conn = this.find(id, now);
    if (!conn) return;
    const kind = conn.plain ? 'plain' : textKind(raw);
    if (conn === this.dial && (kind !== 'control' || !/^.(hello|end) /.test(raw))) {
      this.noHello(conn, now);
      if (conn === this.link) this.deliver(conn, raw, size, now);
    } else if (kind === 'plain') this.deliver(conn, raw, size, now);
    else if (kind === 'escaped') this.deliver(conn, raw.slice(1), size - 1, now);
    else if (kind === 'control') this.heardControl(conn, raw.slice(1), now);
    else this.broken(conn, now);
  }

  /** Any other message of the application: binary, or told apart from control messages already. */
  message(id: number, data: Payload, size: number, now: number): void {
    const conn = this.find(id, now);
    if (!conn) return;
    if (conn === this.dial) this.noHello(conn, now);
    if (conn === this.link) this.deliver(conn, data, size, now);
  }

  /** A control message, without its 0x01. */
  controlText(id: number, text: string, now: number): void {
    const conn = this.find(id, now);
    if (conn) this.heardControl(conn, text, now);
  }

  /** A sign of life that is no message. */
  alive(id: number, now: number): void {
    this.find(id, now);
  }

  /** The connection is over. */
  lost(id: number, code: number, reason: string, clean: boolean, now: number): void {
    if (this.dial && this.dial.id === id) this.dialFailed(this.dial, code, reason, now, false);
    else if (this.link && this.link.id === id) this.linkLost(this.link, code, reason, clean, now);
  }

  /* ---- told by the page ---------------------------------------------------------------------- */

  setHidden(hidden: boolean, now: number): void {
    this.hidden = hidden;
    if (!hidden) this.wake(now);
  }

  offline(): void {
    this.wentOffline = true;
  }

  /** The network is back. The old connection belonged to the old one. */
  online(now: number): void {
    if (this.wentOffline && this.link && !this.link.plain) this.abandon(this.link, 'offline', 'network', now);
    this.wentOffline = false;
    this.wake(now);
  }

  /** The page is frozen or kept in the back-forward cache: the session parks. */
  pause(now: number): void {
    this.paused = true;
    if (this.link && !this.link.plain && this.phase === 'running') this.abandon(this.link, 'paused', 'client', now);
  }

  wake(now: number): void {
    this.paused = false;
    this.now(now);
  }

  /** The page goes for good. */
  leave(now: number): void {
    const link = this.link;
    if (this.phase === 'closed') return;
    if (link && !link.plain && !link.bye) this.sayBye(link, 1001, '', now);
    this.phase = 'closed';
    this.retryAt = this.closeAt = this.moveAt = Infinity;
    this.link = this.dial = null;
  }

  /* ---- time ---------------------------------------------------------------------------------- */

  /** When tick is due next; Infinity: not at all. */
  deadline(): number {
    return Math.min(
      this.paused ? Infinity : this.retryAt,
      this.link ? Math.min(this.link.deadline, this.ackAt, this.authAt, this.leaveAt, this.dial ? Infinity : this.moveAt) : Infinity,
      this.dial ? this.dial.deadline : Infinity,
      this.closeAt,
    );
  }

  tick(now: number): void {
    if (now >= this.closeAt) return this.finish(1006, '', false, 'timeout', 'network');
    if (this.dial && now >= this.dial.deadline) {
      const dial = this.dial;
      if (dial.hf && dial.opened && !dial.end) this.noHello(dial, now);
      else {
        this.drop(dial, ABANDON);
        this.dialFailed(dial, 1006, 'timeout', now, true);
      }
    }
    if (this.link && now >= this.link.deadline) this.silent(this.link, now);
    if (this.link && now >= this.ackAt) this.ack(this.link, now);
    if (this.link && now >= this.authAt) {
      this.authAt = Infinity;
      this.out.push({ do: 'auth' });
    }
    if (this.link && !this.dial && now >= this.moveAt) {
      this.moveAt = Infinity;
      this.connect(now, 0);
    }
    if (this.link && now >= this.leaveAt) this.abandon(this.link, 'goaway', 'gateway', now);
    if (now >= this.retryAt && !this.paused) {
      if (this.mayTry(now)) this.connect(now);
      else {
        this.held = true;
        this.retryAt = Infinity;
      }
    }
  }

  /* ---- inside -------------------------------------------------------------------------------- */

  /** Of the present or the last session, ms; undefined without one. */
  get window(): number | undefined {
    return this.session.hello && this.session.hello.num.window;
  }

  get messageMax(): number {
    const link = this.link;
    return this.session.hello && !(link && link.plain) ? this.session.hello.num.message_max : Infinity;
  }

  get received(): number {
    return this.session.received;
  }

  /** It is still wanted. */
  dials(id: number): boolean {
    return !!this.dial && this.dial.id === id;
  }

  /** A successor of the link has stated a position, which must stay: nothing is acknowledged meanwhile. */
  get withheld(): boolean {
    return !!this.link && !!this.dial && this.dial.attempt > 0;
  }

  get sessionName(): string | undefined {
    return this.session.hello && this.session.hello.text.session;
  }

  get sessionKey(): string | undefined {
    return this.session.hello && this.session.hello.text.key;
  }

  private fire(type: string, init: Record<string, any>): void {
    this.out.push({ do: 'fire', type, init });
  }

  private fresh(): void {
    this.session = { secret: this.config.secret(), received: 0, attempt: 0 };
    this.owed = 0;
    this.ackAt = this.authAt = Infinity;
  }

  private find(id: number, now: number): Conn | null {
    const conn = this.link && this.link.id === id ? this.link : this.dial && this.dial.id === id ? this.dial : null;
    if (conn) {
      conn.heard = now;
      conn.graced = false;
      if (conn === this.link && !conn.end) this.patience(conn, now, 0);
    }
    return conn;
  }

  private beat(): number {
    return this.session.hello ? this.session.hello.num.beat : Infinity;
  }

  /** docs/protocol.md section 5: anything within two beats, and more time for a large message that was announced. */
  private patience(conn: Conn, now: number, bytes: number): void {
    conn.deadline = conn.plain ? Infinity : now + 2 * this.beat() + (bytes / 2048) * 1000;
  }

  private mayTry(now: number): boolean {
    const how = this.config.whileHidden;
    return !this.hidden || how === 'always' || (how === 'window' && now - this.lostAt < (this.window || WINDOW_MS));
  }

  /** Tries at once when an attempt is waited for. */
  private now(now: number): void {
    if (this.paused || (this.retryAt === Infinity && !this.held)) return;
    if (this.link || this.dial || (this.phase !== 'running' && this.phase !== 'closing')) return;
    if (this.mayTry(now)) this.connect(now);
  }

  private connect(now: number, tier = this.tier, hf?: boolean): void {
    const url = this.moveUrl;
    const endpoint = this.link ? this.link.endpoint : choose(this.endpoints);
    const at = this.endpoints[endpoint];
    const session = this.session;
    this.moveUrl = undefined;
    this.retryAt = Infinity;
    this.held = false;
    this.counts.attempts++;
    const transport = this.config.transports[tier];
    hf = this.config.sessions && (transport !== 'websocket' || (hf !== undefined ? hf : !!session.hello || now >= at.plainUntil));
    const attempt = session.hello ? ++session.attempt : 0;
    const timeout = this.link ? Math.min(PROBE_TIMEOUT_MS, this.config.connectionTimeout) : this.config.connectionTimeout;
    const conn: Conn = {
      id: ++this.lastId,
      transport,
      tier,
      endpoint,
      hf,
      attempt,
      stated: session.received,
      begun: now,
      opened: false,
      protocol: '',
      extensions: '',
      plain: false,
      since: now,
      heard: now,
      wrote: now,
      deadline: now + timeout,
      graced: false,
      skip: 0,
    };
    this.dial = conn;
    const hello = session.hello;
    const offer = hello ? resumeOffer(hello.text.token, hello.num.epoch, session.received, attempt) : openOffer(session.secret);
    this.out.push({ do: 'dial', id: conn.id, transport: conn.transport, endpoint, url, offers: hf ? [HF1, offer] : [] });
  }

  private control(conn: Conn, text: string): void {
    this.out.push({ do: 'control', id: conn.id, text });
  }

  private drop(conn: Conn, code?: number, reason?: string): void {
    this.out.push({ do: 'drop', id: conn.id, code, reason });
  }

  /** Nothing that shows a gateway came: section 3. */
  private noHello(conn: Conn, now: number): void {
    const at = this.endpoints[conn.endpoint];
    if (conn.attempt || conn.transport !== 'websocket' || at.hello) {
      at.hello = false;
      this.drop(conn, ABANDON);
      this.dialFailed(conn, 1006, 'no hello', now, true);
      return;
    }
    at.plainUntil = now + DOWNGRADE_MS;
    this.goPlain(conn, now);
  }

  private goPlain(conn: Conn, now: number): void {
    if (this.phase === 'closing') {
      this.drop(conn, this.closeCode, this.closeReason);
      this.dial = null;
      return this.finish(1006, '', false, 'no_gateway', 'network');
    }
    if (this.session.hello) this.loseSession(1006, '', false, 'no_gateway', 'network');
    conn.plain = true;
    this.attach(conn, now);
    this.patience(conn, now, 0);
    this.tellOpen(conn.protocol, conn, now);
  }

  private attach(conn: Conn, now: number): void {
    const old = this.link;
    if (old) this.drop(old, ABANDON);
    this.dial = null;
    this.link = conn;
    conn.since = now;
    conn.deadline = Infinity;
    this.tier = conn.tier;
    this.endpoints[conn.endpoint].failures = 0;
    this.counts.connections++;
    if (!conn.tier) this.blocked = 0;
    if (!old || !conn.tier) this.moveGap = PROBE_MS;
    this.moveAt = conn.tier ? now + this.moveGap : Infinity;
  }

  private tellOpen(protocol: string, conn: Conn, now: number): void {
    this.isOpen = true;
    this.fire('open', { protocol, extensions: conn.extensions });
    this.pump(now);
  }

  private hello(conn: Conn, c: Control, now: number): void {
    const session = this.session;
    const asked = conn.attempt > 0;
    const recovered = asked && c.num.resumed === 1;
    const old = this.link;
    if (recovered && (c.num.epoch !== session.hello!.num.epoch || c.num.sent < conn.stated || !this.outbox.rewind(c.num.received))) {
      return this.broken(conn, now);
    }
    if (!asked && (c.num.received || (c.num.sent && !c.num.resumed))) return this.broken(conn, now);
    if (asked && !recovered) {
      const reason = c.text.reason || 'unknown';
      if (this.phase === 'closing') {
        // Section 8: the messages that were to be delivered are lost; the new session is not wanted.
        this.lostWhy = c;
        this.attach(conn, now);
        return this.sayBye(conn, this.closeCode, this.closeReason, now);
      }
      this.loseSession(1006, '', false, reason, 'gateway', c.num.old_received);
    }
    if (!recovered) this.outbox.restart();
    const down = now - this.lostAt;
    const attempts = this.retries;
    this.endpoints[conn.endpoint].hello = true;
    this.session.hello = c;
    this.sample(now - conn.begun);
    this.attach(conn, now);
    this.patience(conn, now, 0);
    this.ackAt = Infinity;
    conn.skip = recovered ? this.session.received - conn.stated : 0;
    this.ack(conn, now);
    if (recovered) {
      this.counts.resumes++;
      this.failures = this.retries = 0;
      if (!old && this.phase === 'running') this.fire('reconnected', { recovered: true, attempts, downtime: down, transport: conn.transport });
      this.pump(now);
    } else {
      for (let e; (e = this.outbox.takeLarger(c.num.message_max)); ) this.refuse(e, c.num.message_max);
      this.tellOpen(c.text.protocol || '', conn, now);
    }
  }

  private refuse(entry: Entry, most: number): void {
    this.fire('error', { code: 'too_big', message: `a message of ${entry.size} bytes; at most ${most} are taken`, data: entry.data });
  }

  private pump(now: number): void {
    const link = this.link;
    if (!link || link.bye || link.end) return;
    const credit = link.plain ? Infinity : this.session.hello!.num.buffer;
    for (let e; (e = this.outbox.next(credit, now)); ) {
      link.wrote = now;
      this.counts.messagesSent++;
      this.counts.bytesSent += e.size;
      const data = !link.plain && link.transport === 'websocket' && typeof e.data === 'string' ? escapeText(e.data) : e.data;
      this.out.push({ do: 'send', id: link.id, data, number: this.outbox.cursor });
    }
    if (link.plain) this.outbox.ack(this.outbox.cursor);
    else if (this.phase === 'closing' && !this.outbox.waiting) this.sayBye(link, this.closeCode, this.closeReason, now);
  }

  private sayBye(link: Conn, code: number | undefined, reason: string, now: number): void {
    link.bye = true;
    if (this.owed) this.ack(link, now);
    this.control(link, writeControl('bye', { code: code || 0, reason: reason || undefined }));
    // Script may close with 1000 and 3000 to 4999 only.
    this.drop(link, code && code < 3000 ? 1000 : code, reason);
  }

  private ack(link: Conn, now: number): void {
    if (link.plain || link.bye) return;
    if (this.withheld) {
      this.ackAt = now + ACK_MS;
      return;
    }
    this.owed = 0;
    this.ackAt = Infinity;
    link.wrote = now;
    this.control(link, writeControl('ack', { n: this.session.received }));
  }

  private deliver(conn: Conn, data: Payload, size: number, now: number): void {
    if (conn !== this.link) return;
    if (conn.skip > 0) {
      conn.skip--;
      return;
    }
    if (!conn.plain && this.owed && this.owed + size + COST > this.session.hello!.num.buffer) return this.broken(conn, now);
    this.counts.messagesReceived++;
    this.counts.bytesReceived += size;
    this.session.received++;
    if (this.phase === 'running') this.fire('message', { data });
    if (conn.plain) return;
    this.owed += size + COST;
    if (this.owed >= this.session.hello!.num.ack) this.ack(conn, now);
    else if (this.ackAt === Infinity) this.ackAt = now + ACK_MS;
  }

  private heardControl(conn: Conn, text: string, now: number): void {
    let c: Control;
    try {
      c = readControl(text);
    } catch (error) {
      return this.broken(conn, now);
    }
    if (c.verb === 'end') {
      conn.end = c;
      conn.deadline = now + HELLO_MS;
      return;
    }
    if ((c.verb === 'hello') !== (conn === this.dial)) return this.broken(conn, now);
    switch (c.verb) {
      case 'hello':
        return this.hello(conn, c, now);
      case 'ack': {
        const gone = this.outbox.ack(c.num.n);
        if (!gone) return this.broken(conn, now);
        if (gone !== true) this.sample(now - gone.at);
        return this.pump(now);
      }
      case 'live':
        if (c.num.sent !== this.session.received) this.broken(conn, now);
        return;
      case 'coming':
        return this.patience(conn, now, c.num.bytes);
      case 'rebound':
        return this.fire('rebound', { from: c.num.from, to: c.num.to, attempt: c.num.attempt });
      case 'goaway':
        this.moveUrl = c.text.url;
        this.leaveAt = now + Math.round(this.config.random() * c.num.in * 0.9);
        return;
      case 'auth-ok': {
        const exp = c.num.exp;
        return this.fire('authorized', { expires: exp ? exp * 1000 : Infinity });
      }
      case 'close':
        if (conn.transport === 'websocket') return;
        if (this.owed) this.ack(conn, now);
        this.drop(conn, 1000);
        return this.linkLost(conn, c.num.code || 1005, c.text.reason || '', true, now);
    }
  }

  private sample(ms: number): void {
    this.samples.push(ms);
    if (this.samples.length > 8) this.samples.shift();
    this.rtt = Math.min(...this.samples);
  }

  private silent(link: Conn, now: number): void {
    if (link.end) {
      this.drop(link, ABANDON);
      return this.linkLost(link, 1006, '', false, now);
    }
    if (now - link.deadline > this.beat() && !link.graced) {
      // The timer was late, not the gateway: throttled, or the machine slept.
      link.graced = true;
      link.deadline = now + this.beat();
      return;
    }
    this.abandon(link, 'silent', 'network', now);
  }

  /** The gateway broke the protocol. */
  private broken(conn: Conn, now: number): void {
    if (conn === this.dial) {
      this.drop(conn, ABANDON);
      this.dialFailed(conn, ABANDON, 'protocol', now, false);
    } else this.abandon(conn, 'protocol', 'gateway', now);
  }

  private abandon(link: Conn, cause: string, who: string, now: number): void {
    this.drop(link, ABANDON);
    this.linkDown(link, ABANDON, '', now, cause, who);
    this.resume(now);
  }

  private note(conn: Conn, code: number, reason: string, now: number, cause: string, who: string): Ending {
    return (this.lastClose = {
      cause,
      who,
      code,
      reason,
      transport: conn.transport,
      held_ms: conn === this.dial ? 0 : now - conn.since,
      silent_rx_ms: now - conn.heard,
      silent_tx_ms: now - conn.wrote,
      rtt_ms: this.rtt,
      unacked: this.outbox.cursor - this.outbox.base,
    });
  }

  private linkDown(link: Conn, code: number, reason: string, now: number, cause: string, who: string): void {
    this.note(link, code, reason, now, cause, who);
    const at = this.endpoints[link.endpoint];
    at.ended++;
    at.lived += now - link.since;
    if (now - link.since >= this.config.minUptime) this.failures = this.retries = 0;
    this.link = null;
    this.lostAt = now;
    this.ackAt = this.authAt = this.moveAt = this.leaveAt = Infinity;
  }

  /** Goes on with the session, or with its successor that is being dialled already. */
  private resume(now: number): void {
    if (!this.dial) this.schedule(now, true);
  }

  private linkLost(link: Conn, code: number, reason: string, clean: boolean, now: number): void {
    const end = link.end;
    if (this.lostWhy) {
      this.linkDown(link, code, reason, now, 'client_close', 'client');
      return this.finish(code, reason, clean, this.lostWhy.text.reason || 'unknown', 'gateway', this.lostWhy.num.old_received);
    }
    if (this.phase === 'closing' && (link.plain || code !== 1006 || !this.outbox.length)) {
      this.linkDown(link, code, reason, now, 'client_close', 'client');
      // Script sees no ack behind its own Close: the code says whether everything was taken (section 8).
      if (code === (this.closeCode || 1005)) this.outbox.ack(this.outbox.cursor);
      return this.finish(code, reason, clean, 'client_close', 'client');
    }
    if (end && !(end.text.reason === 'superseded' && this.session.attempt > link.attempt)) {
      this.linkDown(link, code, reason, now, end.text.reason, end.text.who);
      const final = FINAL.test(end.text.reason);
      return this.over(code, reason, clean, end.text.reason, end.text.who, !final, now, end.num.retry);
    }
    if (!link.plain && (code === 1006 || code === ABANDON || end)) {
      this.linkDown(link, code, reason, now, 'lost', 'network');
      return this.resume(now);
    }
    const cause = code === 1006 ? 'lost' : 'backend_close';
    const who = code === 1006 ? 'network' : 'backend';
    this.linkDown(link, code, reason, now, cause, who);
    const final = code === 1000 || code === 1008 || (code >= 3000 && code < 5000 && code !== ABANDON);
    this.over(code, reason, clean, cause, who, !final, now);
  }

  /** A session, or a plain connection, is over. */
  private over(code: number, reason: string, clean: boolean, cause: string, who: string, again: boolean, now: number, retry = 0): void {
    if (this.dial) {
      this.drop(this.dial, ABANDON);
      this.dial = null;
    }
    if (this.phase === 'closing') return this.finish(code, reason, clean, cause, who);
    if (this.config.shouldReconnect) again = this.config.shouldReconnect({ code, reason, wasClean: clean, cause, who, willReconnect: again });
    if (!again) return this.finish(code, reason, clean, cause, who);
    if (this.session.hello) this.loseSession(code, reason, clean, cause, who);
    else {
      this.tellClose(code, reason, clean, cause, who, true, true);
      this.fresh();
    }
    this.schedule(now, false, retry);
  }

  /** The session is lost: the application is told, gets back what nobody acknowledged, and a new one begins. */
  private loseSession(code: number, reason: string, clean: boolean, cause: string, who: string, counted?: number): void {
    this.counts.lostSessions++;
    this.tellClose(code, reason, clean, cause, who, true, false, counted);
    this.fresh();
  }

  /** keep: what was not sent waits for the next connection. */
  private tellClose(code: number, reason: string, clean: boolean, cause: string, who: string, again: boolean, keep: boolean, counted?: number): void {
    const { base, written } = this.outbox;
    const unacknowledged: Undelivered[] = (keep ? [] : this.outbox.takeAll()).map(({ data }, i) => {
      const number = base + i + 1;
      return { data, number, uncertain: number <= (counted === undefined ? written : counted) };
    });
    const { received } = this.session;
    this.isOpen = false;
    const init = { code, reason, wasClean: clean, cause, who, willReconnect: again };
    this.fire('close', { ...init, received, sent: written, acknowledged: base, counted, unacknowledged });
  }

  private finish(code: number, reason: string, clean: boolean, cause: string, who: string, counted?: number): void {
    if (this.link) this.drop(this.link, ABANDON);
    if (this.dial) this.drop(this.dial, ABANDON);
    this.link = this.dial = null;
    this.phase = 'closed';
    this.held = false;
    this.lostWhy = undefined;
    this.retryAt = this.closeAt = this.moveAt = Infinity;
    this.tellClose(code, reason, clean, cause, who, false, false, counted);
    this.fresh();
  }

  /** After a connection that had a hello the first attempt comes soon. */
  private schedule(now: number, quick: boolean, least = 0): void {
    const { config } = this;
    if (this.retries >= config.maxRetries) {
      const last = this.lastClose!;
      return this.finish(1006, '', false, last.cause, last.who);
    }
    const random = config.random();
    let delay = quick ? Math.round(random * QUICK_MS) : backoff(this.failures++, config.minDelay, config.growFactor, config.maxDelay, random);
    if (delay < least) delay = Math.round(least + random * QUICK_MS);
    this.retries++;
    this.retryAt = now + delay;
    if (this.phase === 'running') this.fire('reconnecting', { attempt: this.retries, delay, cause: this.lastClose!.cause, resuming: !!this.session.hello });
  }

  private dialFailed(conn: Conn, code: number, reason: string, now: number, timedOut: boolean): void {
    const at = this.endpoints[conn.endpoint];
    const end = conn.end;
    const cause = end ? end.text.reason : reason === 'protocol' ? reason : timedOut ? 'timeout' : 'failed';
    const who = end ? end.text.who : 'network';
    this.note(conn, code, end ? '' : reason, now, cause, who);
    this.dial = null;
    if (this.link) {
      // The successor failed; the link goes on.
      this.moveGap = Math.min(this.moveGap * 2, PROBE_MAX_MS);
      if (!FINAL.test(cause)) this.moveAt = now + this.moveGap;
      return;
    }
    if (end) return this.refused(conn, end, code, reason, now);
    at.failures++;
    const buffered = conn.tier > 0 && timedOut && conn.tier + 1 < this.config.transports.length;
    if (!conn.tier && conn.hf === this.config.sessions) this.blocked += timedOut ? 2 : 1;
    if (this.blocked > 1 && !conn.opened && !timedOut && conn.hf && !conn.attempt && !at.hello && conn.transport === 'websocket') {
      // Section 3, downgrade: perhaps it is the offers that are refused.
      return this.connect(now, conn.tier, false);
    }
    this.tier = buffered ? conn.tier + 1 : !conn.tier && this.blocked > 1 && this.config.transports.length > 1 ? 1 : 0;
    if (conn.tier && !buffered) this.blocked = 1;
    if (buffered) return this.connect(now);
    this.failed(`the connection could not be made: ${reason || cause}`, now, 0);
  }

  private failed(message: string, now: number, least: number): void {
    if (!this.isOpen && this.phase === 'running') this.fire('error', { code: 'connection_failed', message });
    this.schedule(now, false, least);
  }

  /** `end` came in place of a hello. */
  private refused(conn: Conn, end: Control, code: number, reason: string, now: number): void {
    const why = end.text.reason;
    if (why === 'stale' && conn.attempt && conn.attempt < this.session.attempt) return this.failed(why, now, 0);
    const again = !FINAL.test(why);
    if (!again || (why === 'stale' && conn.attempt)) {
      if (!this.isOpen && this.phase === 'running') this.fire('error', { code: 'refused', message: `refused: ${why}`, status: end.num.http });
      return this.over(code, reason, true, why, end.text.who, again, now, end.num.retry);
    }
    this.failed(`refused: ${why}`, now, end.num.retry || 0);
  }
}
