// SPDX-License-Identifier: Apache-2.0
// The pure machine: what a socket does when. Time (ms, of a clock that never goes back) and everything that happened are
// arguments; what is to be done comes out as a list of actions, in order. No clock, timer, network or page in here.
// docs/protocol.md sections 3 to 8.
//
// At most one connection is the link (the one in use) and one is being dialled. A link may stay in use while its successor is
// dialled, for a climb back to WebSocket: it is let go when the successor has said hello. The state is variables of one function,
// not fields, because every minifier shortens those.
import { backoff, choose, type Endpoint } from './backoff.js';
import { Outbox, type Payload } from './outbox.js';
import { ABANDON, COST, HF1, escapeText, openOffer, readControl, resumeOffer, textKind, writeControl, type Control } from './protocol.js';
import type { Options } from './options.js';
import type { CloseCause, Ending, Transport, Undelivered } from './types.js';

/** Of the options what the machine needs, under their names. */
export interface Config extends Required<Pick<Options, Needed>>, Pick<Options, 'shouldReconnect'> {
  /** How many addresses there are. */
  addresses: number;
  /** From [0, 1). */
  random(): number;
  /** A new opening secret, base64url. */
  secret(): string;
}
type Needed =
  | 'minReconnectionDelay' | 'maxReconnectionDelay' | 'reconnectionDelayGrowFactor' | 'minUptime' | 'connectionTimeout' | 'maxRetries'
  | 'maxEnqueuedMessages' | 'maxEnqueuedBytes' | 'whileHidden' | 'transports' | 'sessions';

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
  /** Index of the transport among those that may be used. */
  tier: number;
  endpoint: number;
  /** It offered hf1. */
  hf: boolean;
  /** It asked for the session with this attempt and this count of received messages; 0: an opening. */
  attempt: number;
  stated: number;
  /** Its connection is being made: who is at the other end may know of it. */
  made?: boolean;
  opened?: boolean;
  /** The subprotocol and extensions that were negotiated. */
  extensions?: string;
  /** There is no gateway at its end. */
  plain?: boolean;
  /** When it was begun, then when it became the link; when something came and went last. */
  since: number;
  heard: number;
  wrote: number;
  /** When it is given up unless something comes. */
  deadline: number;
  /** It had its grace for a timer that was late. */
  graced?: boolean;
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
  /** The attempt of the newest rebound. */
  rebound: number;
}

/** How something ended, before it is known whether one comes back. */
type Why = Omit<CloseCause, 'willReconnect'>;
type Phase = 'idle' | 'running' | 'closing' | 'closed';
export type Engine = ReturnType<typeof createEngine>;

const HELLO_MS = 5_000;
const QUICK_MS = 250;
const BEAT_MIN_MS = 100;
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

export function createEngine(config: Config) {
  const out: Action[] = [];
  const outbox = new Outbox();
  const counts = { attempts: 0, connections: 0, resumes: 0, lostSessions: 0, messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0 };
  const endpoints: (Endpoint & { hello?: boolean; plainUntil: number })[] = [];
  for (let i = 0; i < config.addresses; i++) endpoints.push({ failures: 0, ended: 0, lived: 0, plainUntil: -1 });
  const samples: number[] = [];
  /** The time that the latest call came with. */
  let t = 0;
  let phase: Phase = 'idle';
  /** The application was told `open`, and no `close` since. */
  let isOpen = false;
  let link: Conn | null = null;
  let dial: Conn | null = null;
  let session!: Session;
  let lastClose: Ending | null = null;
  let rtt: number | null = null;
  /** Attempts since there was a connection, and what the backoff counts. */
  let retries = 0;
  let failures = 0;
  let lastId = 0;
  /** The transport to try, and how often the first one has failed in a row. */
  let tier = 0;
  let blocked = 0;
  let hidden = false;
  let paused = false;
  /** An attempt is due and waits for the page. */
  let held = false;
  let wentOffline = false;
  let lostAt = 0;
  /** Cost of what came and was not acknowledged. */
  let owed = 0;
  let closeCode: number | undefined;
  let closeReason = '';
  let moveGap = PROBE_MS;
  let moveUrl: string | undefined;
  /** While closing: the session was lost, why, and what the gateway had of it. */
  let lostWhy: Control | undefined;
  /** When is due: an attempt, an acknowledgement, fresh credentials, the move to a better transport, what goaway asked for, the end
   *  of closing. */
  let retryAt = Infinity;
  let ackAt = Infinity;
  let silences = 0;
  let authAt = Infinity;
  let moveAt = Infinity;
  let leaveAt = Infinity;
  let closeAt = Infinity;

  const fire = (type: string, init: Record<string, any>) => {
    out.push({ do: 'fire', type, init });
  };
  const control = ({ id }: Conn, verb: string, pairs: Record<string, string | number | undefined>) => {
    out.push({ do: 'control', id, text: writeControl(verb, pairs) });
  };
  const drop = ({ id }: Conn, code?: number, reason?: string) => {
    out.push({ do: 'drop', id, code, reason });
  };
  const fail = (code: string, message: string, more?: Record<string, any>) => fire('error', { code, message, ...more });
  const because = (cause: string, who: string, code = 1006, reason = '', wasClean = false): Why => ({ code, reason, wasClean, cause, who });
  const hello = () => session.hello!.num;

  function fresh(): void {
    session = { secret: config.secret(), received: 0, attempt: 0, rebound: 0 };
    owed = 0;
  }

  /** The connection of that number, if it still counts; it has shown life. */
  function find(id: number, now: number): Conn | null {
    t = now;
    const conn = link?.id === id ? link : dial?.id === id ? dial : null;
    if (conn) {
      conn.heard = t;
      conn.graced = false;
      if (conn === link && !conn.end) patience(conn, 0);
    }
    return conn;
  }

  /** docs/protocol.md section 5: anything within two beats, and more time for a large message that was announced. */
  function patience(conn: Conn, bytes: number): void {
    conn.deadline = conn.plain ? Infinity : t + 2 * hello().beat + (bytes / 2048) * 1000;
  }

  const window = () => session.hello?.num.window ?? WINDOW_MS;
  const mayTry = () => !paused && (!hidden || config.whileHidden === 'always' || (config.whileHidden === 'window' && t - lostAt < window()));
  /** A successor of the link has stated a position, which must stay: nothing is acknowledged meanwhile. */
  const withheld = () => !!link && !!dial;

  /** Tries at once when an attempt is waited for. */
  function hurry(): void {
    if ((held || retryAt < Infinity) && mayTry()) connect();
  }

  function connect(to = tier, hf?: boolean): void {
    const url = moveUrl;
    const endpoint = link ? link.endpoint : choose(endpoints);
    const said = session.hello;
    const transport = config.transports[to];
    moveUrl = undefined;
    retryAt = Infinity;
    held = false;
    counts.attempts++;
    if (hf === undefined || transport !== 'websocket') hf = !!said || transport !== 'websocket' || t >= endpoints[endpoint].plainUntil;
    hf = hf && config.sessions;
    const attempt = said ? ++session.attempt : 0;
    // A box that buffers a stream may keep its head back as well.
    const most = link ? PROBE_TIMEOUT_MS : config.transports[tier] === 'sse' ? HELLO_MS : Infinity;
    const deadline = t + Math.min(most, config.connectionTimeout);
    const id = ++lastId;
    dial = { id, transport, tier: to, endpoint, hf, attempt, stated: session.received, since: t, heard: t, wrote: t, deadline, skip: 0 };
    const offer = said ? resumeOffer(said.text.token, said.num.epoch, session.received, attempt) : openOffer(session.secret);
    out.push({ do: 'dial', id, transport, endpoint, url, offers: hf ? [HF1, offer] : [] });
  }

  /** Nothing that shows a gateway came: section 3. */
  function noHello(conn: Conn, protocol: string): void {
    const at = endpoints[conn.endpoint];
    if (conn.attempt || conn.transport !== 'websocket' || at.hello) {
      at.hello = false;
      drop(conn, ABANDON);
      return dialFailed(conn, 'no hello', true);
    }
    at.plainUntil = t + DOWNGRADE_MS;
    goPlain(conn, protocol);
  }

  function goPlain(conn: Conn, protocol: string): void {
    if (phase === 'closing') {
      drop(conn, closeCode, closeReason);
      dial = null;
      return finish(because('no_gateway', 'network'));
    }
    if (session.hello) loseSession(because('no_gateway', 'network'));
    conn.plain = true;
    attach(conn);
    tellOpen(protocol, conn);
  }

  function attach(conn: Conn): void {
    if (link) drop(link, ABANDON);
    if (!link || !conn.tier) moveGap = PROBE_MS;
    dial = null;
    link = conn;
    conn.since = t;
    patience(conn, 0);
    tier = conn.tier;
    endpoints[conn.endpoint].failures = 0;
    counts.connections++;
    if (!tier) blocked = 0;
    ackAt = Infinity;
    moveAt = tier ? t + moveGap : Infinity;
  }

  function tellOpen(protocol: string, conn: Conn): void {
    if (phase === 'running') {
      isOpen = true;
      fire('open', { protocol, extensions: conn.extensions });
    }
    pump();
  }

  function heardHello(conn: Conn, c: Control): void {
    const { num } = c;
    const asked = conn.attempt > 0;
    const recovered = asked && num.resumed === 1;
    const old = link;
    if (recovered ? num.epoch !== hello().epoch || num.sent < conn.stated || !outbox.rewind(num.received) : !asked && (num.received || (num.sent && !num.resumed))) {
      return broken(conn);
    }
    if (!recovered) {
      if (asked && phase === 'closing') {
        // Section 8: the messages that were to be delivered are lost; the new session is not wanted.
        lostWhy = c;
        attach(conn);
        return sayBye(conn, closeCode, closeReason);
      }
      if (asked) loseSession(because(c.text.reason || 'unknown', 'gateway'), num.old_received);
      outbox.restart();
    }
    num.beat = Math.max(num.beat, BEAT_MIN_MS); // a gateway that says none is no reason to come back at once for ever
    const init = { recovered: true, attempts: retries, downtime: t - lostAt, transport: conn.transport };
    sample(t - conn.since);
    session.hello = c;
    endpoints[conn.endpoint].hello = true;
    silences = 0;
    conn.skip = recovered ? session.received - conn.stated : 0;
    attach(conn);
    ack(conn);
    if (recovered) {
      counts.resumes++;
      failures = retries = 0;
      if (!old && phase === 'running') fire('reconnected', init);
      return pump();
    }
    for (let entry; (entry = outbox.takeLarger(num.message_max)); ) tooBig(entry.data, entry.size, num.message_max);
    tellOpen(c.text.protocol || '', conn);
  }

  const tooBig = (data: Payload, size: number, most: number) => fail('too_big', `a message of ${size} bytes; at most ${most}`, { data });

  /** Sends what waits and may go, then says bye when that is what comes next. */
  function pump(): void {
    if (!link || link.bye || link.end) return;
    const { id, plain, transport } = link;
    for (let entry; (entry = outbox.next(plain ? Infinity : hello().buffer, t)); ) {
      link.wrote = t;
      counts.messagesSent++;
      counts.bytesSent += entry.size;
      const data = !plain && transport === 'websocket' && typeof entry.data === 'string' ? escapeText(entry.data) : entry.data;
      out.push({ do: 'send', id, data, number: outbox.cursor });
    }
    if (plain) outbox.ack(outbox.cursor);
    else if (phase === 'closing' && !outbox.waiting) sayBye(link, closeCode, closeReason);
  }

  function sayBye(conn: Conn, code = 0, reason: string): void {
    if (owed) ack(conn);
    conn.bye = true;
    control(conn, 'bye', { code, reason: reason || undefined });
    // Script may close with 1000 and 3000 to 4999 only.
    drop(conn, code ? (code < 3000 ? 1000 : code) : undefined, reason);
  }

  function ack(conn: Conn): void {
    if (conn.bye) {
      ackAt = Infinity; // what came behind it is acknowledged to nobody
      return;
    }
    if (withheld()) {
      ackAt = t + ACK_MS;
      return;
    }
    owed = 0;
    ackAt = Infinity;
    conn.wrote = t;
    control(conn, 'ack', { n: session.received });
  }

  function deliver(conn: Conn, data: Payload, size: number): void {
    if (conn.skip) {
      conn.skip--;
      return;
    }
    const cost = size + COST;
    if (!conn.plain && owed && owed + cost > hello().buffer) return broken(conn);
    counts.messagesReceived++;
    counts.bytesReceived += size;
    session.received++;
    if (phase === 'running') fire('message', { data });
    if (conn.plain) return;
    owed += cost;
    if (owed >= hello().ack) ack(conn);
    else if (ackAt === Infinity) ackAt = t + ACK_MS;
  }

  function heardControl(conn: Conn, text: string): void {
    let c: Control;
    try {
      c = readControl(text);
    } catch (error) {
      return broken(conn);
    }
    const { verb, num } = c;
    if (verb === 'end') {
      conn.end = c;
      conn.deadline = t + HELLO_MS;
    } else if ((verb === 'hello') !== (conn === dial)) broken(conn);
    else if (verb === 'hello') heardHello(conn, c);
    else if (verb === 'ack') {
      const gone = outbox.ack(num.n);
      if (!gone) return broken(conn);
      if (gone !== true) sample(t - gone.at);
      pump();
    } else if (verb === 'live') {
      if (num.sent !== session.received) broken(conn);
    } else if (verb === 'coming') patience(conn, num.bytes);
    else if (verb === 'rebound') {
      if (num.attempt > session.rebound) fire(verb, num);
      session.rebound = num.attempt;
    } else if (verb === 'goaway') {
      moveUrl = c.text.url;
      leaveAt = t + Math.round(config.random() * num.in * 0.9);
    } else if (verb === 'auth-ok') fire('authorized', { expires: num.exp ? num.exp * 1000 : Infinity });
    else if (verb === 'close' && conn.transport !== 'websocket') {
      if (owed) ack(conn);
      drop(conn, 1000);
      linkLost(conn, num.code || 1005, c.text.reason || '', true);
    }
  }

  function sample(ms: number): void {
    samples.push(ms);
    if (samples.length > 8) samples.shift();
    rtt = Math.min(...samples);
  }

  function silent(conn: Conn): void {
    if (conn.end) {
      drop(conn, ABANDON);
      linkLost(conn, 1006, '', false);
    } else if (t - conn.deadline > hello().beat && !conn.graced) {
      // The timer was late, not the gateway: throttled, or the machine slept.
      conn.graced = true;
      conn.deadline = t + hello().beat;
    } else abandon(conn, 'silent', 'network');
  }

  /** The gateway broke the protocol. */
  function broken(conn: Conn): void {
    if (conn === dial) {
      drop(conn, ABANDON);
      dialFailed(conn, 'protocol');
    } else abandon(conn, 'protocol', 'gateway');
  }

  function abandon(conn: Conn, cause: string, who: string): void {
    drop(conn, ABANDON);
    linkDown(conn, because(cause, who, ABANDON));
    resume();
  }

  function note(conn: Conn, { cause, who, code, reason }: Why): void {
    lastClose = {
      cause,
      who,
      code,
      reason,
      transport: conn.transport,
      held_ms: conn === dial ? 0 : t - conn.since,
      silent_rx_ms: t - conn.heard,
      silent_tx_ms: t - conn.wrote,
      rtt_ms: rtt,
      unacked: outbox.cursor - outbox.base,
    };
  }

  function linkDown(conn: Conn, why: Why): void {
    const life = t - conn.since;
    const at = endpoints[conn.endpoint];
    note(conn, why);
    at.ended++;
    at.lived += life;
    if (life >= config.minUptime) failures = retries = 0;
    link = null;
    lostAt = t;
    ackAt = authAt = moveAt = leaveAt = Infinity;
  }

  /** Goes on with the session, or with the successor that is being dialled already. */
  function resume(): void {
    if (!dial) schedule(true);
  }

  function linkLost(conn: Conn, code: number, reason: string, clean: boolean): void {
    const { end, plain } = conn;
    const lost = code === 1006;
    let why = lost || code === ABANDON ? because('lost', 'network', code, reason, clean) : because('backend_close', 'backend', code, reason, clean);
    let final = code === 1000 || code === 1008 || (code >= 3000 && code < 5000 && code !== ABANDON);
    if (phase === 'closing' && (plain || lostWhy || !lost || !outbox.length)) {
      linkDown(conn, (why = lostWhy ? because(lostWhy.text.reason || 'unknown', 'gateway', code, reason, clean) : because('client_close', 'client', code, reason, clean)));
      // Script sees no ack behind its own Close: the code says whether everything was taken (section 8).
      if (code === (closeCode || 1005) && !lostWhy) outbox.ack(outbox.cursor);
      return finish(why, lostWhy?.num.old_received);
    }
    if (end) {
      why = because(end.text.reason, end.text.who, code, reason, clean);
      final = FINAL.test(why.cause);
    }
    linkDown(conn, why);
    // What superseded this connection may have been a later one of our own.
    const own = end?.text.reason === 'superseded' && session.attempt > conn.attempt;
    if (!plain && (own || (!end && why.cause === 'lost'))) resume();
    else over(why, !final, end?.num.retry);
  }

  /** A session, or a plain connection, is over. */
  function over(why: Why, again: boolean, retry = 0): void {
    if (dial) drop(dial, ABANDON);
    dial = null;
    if (phase === 'running' && config.shouldReconnect) again = config.shouldReconnect({ ...why, willReconnect: again });
    if (!again || phase === 'closing') return finish(why);
    if (session.hello) loseSession(why);
    else {
      tellClose(why, true, true);
      fresh();
    }
    schedule(false, retry);
  }

  /** The session is lost: the application is told, gets back what nobody acknowledged, and a new one begins. */
  function loseSession(why: Why, counted?: number): void {
    counts.lostSessions++;
    tellClose(why, true, false, counted);
    fresh();
  }

  /** keep: what was not sent waits for the next connection. */
  function tellClose(why: Why, willReconnect: boolean, keep: boolean, counted?: number): void {
    const { base, written } = outbox;
    const unacknowledged: Undelivered[] = (keep ? [] : outbox.takeAll()).map(({ data }, i) => {
      const number = base + i + 1;
      return { data, number, uncertain: number <= (counted === undefined ? written : counted) };
    });
    isOpen = false;
    fire('close', { ...why, willReconnect, received: session.received, sent: written, acknowledged: base, counted, unacknowledged });
  }

  function finish(why: Why, counted?: number): void {
    if (link) drop(link, ABANDON);
    if (dial) drop(dial, ABANDON);
    stop();
    lostWhy = undefined;
    tellClose(why, false, false, counted);
    fresh();
  }

  function stop(): void {
    link = dial = null;
    phase = 'closed';
    held = false;
    retryAt = ackAt = authAt = moveAt = leaveAt = closeAt = Infinity;
  }

  /** quick: after a connection that had a hello the first attempt comes soon. */
  function schedule(quick: boolean, least = 0): void {
    const { cause, who } = lastClose!;
    if (retries >= config.maxRetries) return finish(because(cause, who));
    const random = config.random();
    let delay = quick ? Math.round(random * QUICK_MS) : backoff(failures++, config.minReconnectionDelay, config.reconnectionDelayGrowFactor, config.maxReconnectionDelay, random);
    if (delay < least) delay = Math.round(least + random * QUICK_MS);
    retries++;
    if (paused) held = true;
    else retryAt = t + delay;
    if (phase === 'running') fire('reconnecting', { attempt: retries, delay, cause, resuming: !!session.hello });
  }

  function dialFailed(conn: Conn, reason: string, timedOut?: boolean, code = 1006): void {
    const at = endpoints[conn.endpoint];
    const { end, attempt } = conn;
    const others = config.transports.length;
    const cause = end ? end.text.reason : reason === 'protocol' ? reason : timedOut ? 'timeout' : 'failed';
    const why = because(cause, end?.text.who ?? (code ? 'network' : 'client'), code || 1006, end ? '' : reason);
    note(conn, why);
    dial = null;
    if (link) {
      // The successor failed; the link goes on.
      moveGap = Math.min(moveGap * 2, PROBE_MAX_MS);
      if (!FINAL.test(cause)) moveAt = t + moveGap;
      return;
    }
    if (phase === 'closing' && (!session.hello || !outbox.length)) return finish(because('client_close', 'client'));
    let least = 0;
    if (end) {
      const final = FINAL.test(cause);
      const stale = cause === 'stale' && attempt > 0;
      least = end.num.retry;
      if (final || (stale && attempt === session.attempt)) {
        if (!isOpen && phase === 'running') fail('refused', cause, { status: end.num.http });
        return over(why, !final, least);
      }
    } else {
      at.failures++;
      const next = conn.tier + 1;
      if (conn.tier) {
        // What begins but brings nothing is buffered on the way; anything else is tried from the top again.
        blocked = 1;
        tier = timedOut && next < others ? next : 0;
        if (tier) return connect();
      } else {
        if (conn.hf === config.sessions && code) blocked += timedOut ? 2 : 1;
        if (blocked > 1 && code && !conn.opened && !timedOut && conn.hf && !attempt && !at.hello && conn.transport === 'websocket') {
          // Section 3, downgrade: perhaps it is the offers that are refused.
          return connect(0, false);
        }
        tier = blocked > 1 && others > 1 ? 1 : 0;
      }
    }
    if (!isOpen && phase === 'running') fail('connection_failed', reason || cause);
    schedule(false, least);
  }

  function start(now: number): void {
    t = lostAt = now;
    if (phase === 'running' || phase === 'closing') return;
    phase = 'running';
    retries = failures = 0;
    connect();
  }

  function wake(now: number): void {
    t = now;
    paused = false;
    hurry();
  }

  fresh();

  return {
    out,
    outbox,
    counts,
    get phase() {
      return phase;
    },
    get isOpen() {
      return isOpen;
    },
    get link() {
      return link;
    },
    get retries() {
      return retries;
    },
    get retryAt() {
      return retryAt;
    },
    get lastClose() {
      return lastClose;
    },
    get rtt() {
      return rtt;
    },
    get session() {
      return session;
    },
    withheld,
    deadline: () => Math.min(retryAt, ackAt, authAt, moveAt, leaveAt, closeAt, link?.deadline ?? Infinity, dial?.deadline ?? Infinity),
    dials: (id: number) => dial?.id === id,

    /* ---- asked by the application ------------------------------------------------------------ */

    start,

    /** False when it was not taken: the queue is full, the message too large, or the socket closing or closed. */
    send(data: Payload, size: number, now: number): boolean {
      t = now;
      if (phase === 'closing' || phase === 'closed') return false;
      const most = session.hello?.num.message_max ?? Infinity;
      if (size > most) tooBig(data, size, most);
      else if (outbox.waiting >= config.maxEnqueuedMessages || outbox.cost - outbox.flight + size + COST > config.maxEnqueuedBytes) {
        fail('queue_full', 'the queue is full', { data });
      } else {
        outbox.add(data, size);
        pump();
        return true;
      }
      return false;
    },

    close(code: number | undefined, reason: string, now: number): void {
      t = now;
      if (phase === 'closing' || phase === 'closed') return;
      const idle = phase === 'idle';
      phase = idle ? 'closed' : 'closing';
      closeCode = code;
      closeReason = reason;
      if (idle) return;
      closeAt = t + CLOSING_MS;
      if (link) {
        if (link.plain) drop(link, code, reason);
        else pump();
      } else if (dial?.made && dial.hf) return; // its hello is answered with bye, so that no session is left behind
      else if (!session.hello || !outbox.length) finish(because('client_close', 'client'));
      else if (!dial) connect();
    },

    /** Gives the present connection up for a new one, and forgets failures: also from closed. */
    reconnect(now: number): void {
      if (phase !== 'running') return start(now);
      t = now;
      failures = retries = 0;
      if (link && !link.plain) abandon(link, 'reconnect', 'client');
      else if (link) {
        drop(link, ABANDON);
        linkDown(link, because('reconnect', 'client', ABANDON));
        over(because('reconnect', 'client', ABANDON), true);
      }
      hurry();
    },

    /** Fresh credentials for the session; false when there is no session to tell. */
    auth(value: string): boolean {
      if (!link || link.plain) return false;
      control(link, 'auth', { value });
      return true;
    },

    made(id: number): void {
      if (dial?.id === id) dial.made = true;
    },

    /** When the credentials should be renewed. */
    renewAt(at: number): void {
      authAt = at;
    },

    /* ---- told by connections ----------------------------------------------------------------- */

    opened(id: number, protocol: string, extensions: string, now: number): void {
      const conn = find(id, now);
      if (!conn || conn !== dial) return;
      conn.opened = true;
      conn.extensions = extensions;
      if (conn.hf && protocol === HF1) conn.deadline = t + HELLO_MS;
      else {
        // Opened only without the offers of hf1: for a while it is not asked with them again.
        if (config.sessions && !conn.hf) endpoints[conn.endpoint].plainUntil = t + DOWNGRADE_MS;
        // A server that takes whatever comes first took the offer.
        goPlain(conn, /^hf1\./.test(protocol) ? '' : protocol);
      }
    },

    /** A text as it came over a WebSocket. */
    text(id: number, raw: string, size: number, now: number): void {
      const conn = find(id, now);
      if (!conn) return;
      let kind = conn.plain ? 'plain' : textKind(raw);
      if (conn === dial && (kind !== 'control' || !/^.(hello|end) /.test(raw))) {
        noHello(conn, HF1);
        kind = 'plain';
        if (conn !== link) return;
      }
      if (kind === 'plain') deliver(conn, raw, size);
      else if (kind === 'escaped') deliver(conn, raw.slice(1), size - 1);
      else if (kind === 'control') heardControl(conn, raw.slice(1));
      else broken(conn);
    },

    /** Any other message of the application: binary, or told apart from control messages already. */
    message(id: number, data: Payload, size: number, now: number): void {
      const conn = find(id, now);
      if (conn && conn === dial) noHello(conn, HF1);
      if (conn && conn === link) deliver(conn, data, size);
    },

    /** A control message, without its 0x01. */
    control(id: number, text: string, now: number): void {
      const conn = find(id, now);
      if (conn) heardControl(conn, text);
    },

    /** A sign of life that is no message. */
    alive: find,

    /** The connection is over. code 0: it was never tried, because the application's own functions failed. */
    lost(id: number, code: number, reason: string, clean: boolean, now: number): void {
      t = now;
      if (dial?.id === id) dialFailed(dial, reason, false, code);
      else if (link?.id === id) linkLost(link, code, reason, clean);
    },

    /* ---- told by the page -------------------------------------------------------------------- */

    setHidden(now: number, is: boolean): void {
      t = now;
      hidden = is;
      hurry();
    },

    offline(): void {
      wentOffline = true;
    },

    /** The network is back. The old connection belonged to the old one. */
    online(now: number): void {
      t = now;
      if (wentOffline && link && !link.plain) abandon(link, 'offline', 'network');
      wentOffline = false;
      hurry();
    },

    /** The page is frozen or kept in the back-forward cache: the session parks. */
    pause(now: number): void {
      t = now;
      paused = true;
      if (link && !link.plain && phase === 'running') abandon(link, 'paused', 'client');
      if (retryAt < Infinity) held = true;
      retryAt = Infinity;
    },

    wake,

    /** The page goes for good. */
    leave(now: number): void {
      t = now;
      if (link && !link.plain && !link.bye) sayBye(link, 1001, '');
      stop();
    },

    /* ---- time -------------------------------------------------------------------------------- */

    tick(now: number): void {
      t = now;
      if (t >= closeAt) return finish(because('timeout', 'network'));
      if (dial && t >= dial.deadline) {
        const conn = dial;
        // Silence may be a path that died: it is believed when it comes again.
        if (conn.hf && conn.opened && !conn.end && silences++) noHello(conn, HF1);
        else {
          drop(conn, ABANDON);
          dialFailed(conn, 'timeout', true);
        }
      }
      if (link && t >= link.deadline) silent(link);
      if (link && t >= ackAt) ack(link);
      if (t >= authAt) {
        authAt = Infinity;
        out.push({ do: 'auth' });
      }
      if (t >= moveAt) {
        moveAt = Infinity;
        connect(0);
      }
      if (link && t >= leaveAt) abandon(link, 'goaway', 'gateway');
      if (t >= retryAt) {
        if (mayTry()) connect();
        else {
          held = true;
          retryAt = Infinity;
        }
      }
    },
  };
}
