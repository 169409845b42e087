// SPDX-License-Identifier: Apache-2.0
// The machine in a seeded world: a network that delays, refuses, cuts and goes silent, a gateway that forgets sessions whose
// window ran out, an application on each side. After each run the history of both ends is exact. SEEDS=from:to runs others.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createEngine } from './.build/engine.js';
import { DEFAULTS } from './.build/options.js';
import { escapeText, readControl, textKind, writeControl } from './.build/protocol.js';

const [FROM, TO] = (process.env.SEEDS ?? '1:400').split(':').map(Number);
const BUFFER = 400;

function dice(seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  return { random, below: (n) => Math.floor(random() * n), chance: (p) => random() < p };
}

/** A gateway's side of hf1, as far as a library can tell. sent, got: what the backend said and heard, for each session. */
class Gateway {
  constructor(world, window) {
    Object.assign(this, { world, window, sessions: [], serial: 0 });
  }

  arrive(conn, offer) {
    const [, kind, token, epoch, stated, attempt] = offer.split('.');
    const open = (resumed, more) => this.attach(this.make(token, kind), conn, 0, { resumed, ...more });
    if (kind === 'o') {
      const known = this.sessions.find((s) => s.secret === token && !s.confirmed && !s.over);
      return known ? this.attach(known, conn, 0, { resumed: 1 }) : open(0);
    }
    const session = this.sessions.find((s) => s.tokens.includes(token));
    if (!session) return open(0, { reason: 'unknown' });
    if (Number(attempt) <= session.attempt) return conn.say('end', { who: 'gateway', reason: 'stale' }, 4000);
    if (session.over) return open(0, { reason: 'expired', ...(this.world.dice.chance(0.7) ? { old_received: session.got.length } : {}) });
    assert.equal(Number(epoch), session.epoch);
    session.attempt = Number(attempt);
    // With the offered token it is accepted; with the accepted one the offered one was never seen.
    session.tokens = [token];
    this.attach(session, conn, Number(stated), { resumed: 1 });
  }

  make(secret, kind) {
    const session = { secret: kind === 'o' ? secret : '', epoch: 3, tokens: [], attempt: 0, sent: [], got: [], base: 0, cursor: 0, told: 0, parked: Infinity };
    this.sessions.push(session);
    return session;
  }

  attach(session, conn, stated, more) {
    if (session.conn) session.conn.say('end', { who: 'gateway', reason: 'superseded' }, 4000);
    assert.ok(stated >= session.base && stated <= session.sent.length, `stated ${stated} of ${session.base} to ${session.sent.length}`);
    const token = `T${++this.serial}`;
    session.tokens = [...session.tokens.slice(-1), token];
    session.fresh = token;
    Object.assign(session, { conn, base: stated, cursor: stated, parked: Infinity, live: more.resumed === 1 });
    conn.session = session;
    conn.say('hello', { session: 's', token, key: 'k', epoch: session.epoch, window: this.window, buffer: BUFFER, message_max: 10_000, beat: 5000, ack: 100, received: session.got.length, sent: session.sent.length, ...more });
    this.pump(session);
    this.beat(session, conn);
  }

  beat(session, conn) {
    this.world.later(5000, () => {
      if (session.conn !== conn) return;
      conn.say('ack', { n: session.got.length });
      this.beat(session, conn);
    });
  }

  pump(session) {
    const { conn } = session;
    let flight = session.sent.slice(session.base, session.cursor).reduce((sum, data) => sum + data.length + 16, 0);
    while (conn && session.cursor < session.sent.length) {
      const data = session.sent[session.cursor];
      if (flight && flight + data.length + 16 > BUFFER) return;
      flight += data.length + 16;
      session.cursor++;
      conn.message(data);
    }
    if (conn && session.live) conn.say('live', { sent: session.sent.length });
    session.live = false;
  }

  backendSays(data) {
    const session = this.sessions.at(-1);
    if (!session || session.over) return false;
    session.sent.push(data);
    this.pump(session);
    return true;
  }

  text(conn, raw) {
    const { session } = conn;
    if (!session || session.conn !== conn) return;
    const kind = textKind(raw);
    if (kind !== 'control') {
      session.got.push(kind === 'escaped' ? raw.slice(1) : raw);
      if (this.world.dice.chance(0.5)) this.world.later(this.world.dice.below(300), () => session.conn === conn && conn.say('ack', { n: session.got.length }));
      return;
    }
    session.confirmed = true;
    session.tokens = [session.fresh];
    const c = readControl(raw.slice(1));
    if (c.verb === 'ack') {
      assert.ok(c.num.n >= session.base && c.num.n <= session.cursor, `ack ${c.num.n} with ${session.base} to ${session.cursor}`);
      session.base = c.num.n;
      this.pump(session);
    } else if (c.verb === 'bye') session.bye = true;
  }

  lost(conn) {
    const { session } = conn;
    if (!session || session.conn !== conn) return;
    session.conn = undefined;
    const parked = (session.parked = this.world.now);
    this.world.later(this.window, () => {
      if (session.parked === parked) session.over = true;
    });
  }
}

class World {
  constructor(seed) {
    this.dice = dice(seed);
    this.now = 0;
    this.events = [];
    this.order = 0;
    this.rough = true;
    this.conns = new Map();
    const { dice: d } = this;
    this.short = d.chance(0.3);
    this.gateway = new Gateway(this, this.short ? 1500 : 10_000_000);
    this.engine = createEngine({ ...DEFAULTS, transports: ['websocket'], addresses: 1, random: d.random, secret: () => 'S' + ++this.order, maxReconnectionDelay: 3000 });
    this.up = [[]];
    this.down = [[]];
    this.closes = [];
    this.serial = 0;
    this.trace = [];
  }

  later(ms, call) {
    this.events.push({ at: this.now + ms, order: ++this.order, call });
  }

  dial({ id, offers }) {
    const { dice: d, engine, gateway } = this;
    const fate = this.rough ? d.random() : 1;
    // A downgrade meets nobody here.
    if (fate < 0.1 || !offers.length) return this.later(d.below(200), () => this.toEngine(() => engine.lost(id, 1006, '', false, this.now)));
    if (fate < 0.15) return;
    const world = this;
    const lag = 1 + d.below(80);
    let cut = this.rough ? this.now + d.below(3000) : Infinity;
    let open = true;
    let clientAt = 0;
    let gatewayAt = 0;
    // One way may go silent before the connection breaks.
    const silent = this.rough && d.chance(0.15) ? this.now + d.below(2000) : Infinity;
    const conn = {
      say: (verb, pairs, code) => {
        conn.toClient('\x01' + writeControl(verb, pairs));
        if (code) conn.end(code, true);
      },
      message: (data) => conn.toClient(escapeText(data)),
      toClient(raw) {
        clientAt = Math.max(clientAt, world.now + lag + d.below(10));
        world.later(clientAt - world.now, () => open && world.now < Math.min(cut, silent) && world.toEngine(() => engine.text(id, raw, raw.length, world.now)));
      },
      toGateway(raw) {
        gatewayAt = Math.max(gatewayAt, world.now + lag + d.below(10));
        world.later(gatewayAt - world.now, () => world.now < cut && gateway.text(conn, raw));
      },
      end(code, clean) {
        world.later(Math.max(clientAt, gatewayAt) - world.now + 1, () => {
          gateway.lost(conn);
          if (open) world.toEngine(() => engine.lost(id, code, '', clean, world.now));
          open = false;
        });
      },
    };
    this.conns.set(id, { conn, close: (code) => {
      // The library listens no more behind 4499; the gateway notices later, or when the connection breaks.
      open = open && code !== 4499;
      const late = Math.max(gatewayAt, this.now) + lag;
      this.later(late - this.now, () => {
        gateway.lost(conn);
        if (open) this.toEngine(() => engine.lost(id, code ?? 1005, '', true, this.now));
        open = false;
      });
    } });
    const arrived = this.now + lag;
    this.later(lag, () => this.now < cut && gateway.arrive(conn, offers[1]));
    this.later(lag, () => open && arrived < cut && this.toEngine(() => engine.opened(id, 'hf1', '', this.now)));
    if (cut < Infinity) {
      this.later(cut - this.now + d.below(400), () => open && (open = false, this.toEngine(() => engine.lost(id, 1006, '', false, this.now))));
      this.later(cut - this.now + d.below(1200), () => gateway.lost(conn));
    }
    this.heal = () => { cut = Math.min(cut, this.now); };
  }

  toEngine(call) {
    call();
    this.drain();
  }

  drain() {
    for (let action; (action = this.engine.out.shift()); ) {
      const conn = this.conns.get(action.id);
      if (action.do === 'dial') this.dial(action);
      else if (action.do === 'send') conn?.conn.toGateway(action.data);
      else if (action.do === 'control') conn?.conn.toGateway('\x01' + action.text);
      else if (action.do === 'drop') {
        conn?.close(action.code);
        this.conns.delete(action.id);
      } else if (action.do === 'fire') this.fired(action.type, action.init);
    }
  }

  fired(type, init) {
    if (type === 'message') this.down.at(-1).push(init.data);
    else if (type === 'close') {
      this.closes.push(init);
      this.up.push([]);
      this.down.push([]);
    } else assert.notEqual(init.code, 'too_big');
  }

  clientSays() {
    const data = (this.dice.chance(0.2) ? '\x01' : '') + 'u' + ++this.serial + 'x'.repeat(this.dice.below(150));
    this.up.at(-1).push(data);
    this.toEngine(() => this.engine.send(data, data.length, this.now));
  }

  step() {
    const { engine } = this;
    this.events.sort((a, b) => a.at - b.at || a.order - b.order);
    const due = engine.deadline();
    if (!this.events.length || due < this.events[0].at) {
      // Timers are late at times, and the machine may sleep.
      this.now = Math.max(this.now, due + (this.rough && this.dice.chance(0.02) ? this.dice.below(20_000) : this.dice.below(3)));
      this.toEngine(() => engine.tick(this.now));
    } else {
      const event = this.events.shift();
      this.now = Math.max(this.now, event.at);
      event.call();
    }
  }

  settled() {
    const session = this.gateway.sessions.at(-1);
    return this.engine.link && session && !session.over && this.engine.outbox.length === 0 && session.base === session.sent.length && this.engine.link.id && session.conn;
  }

  run() {
    this.toEngine(() => this.engine.start(this.now));
    const n = 20 + this.dice.below(60);
    for (let i = 0; i < n; i++) {
      this.later(this.dice.below(20_000), () => this.clientSays());
      this.later(this.dice.below(20_000), () => this.gateway.backendSays((this.dice.chance(0.2) ? '\x01' : '') + 'd' + ++this.serial + 'y'.repeat(this.dice.below(150))));
    }
    for (let i = 0; this.now < 20_000; i++) {
      assert.ok(i < 20_000, 'it runs in circles');
      this.step();
    }
    // Then the network is good, and everything comes to rest.
    this.rough = false;
    this.heal?.();
    for (let i = 0; !this.settled(); i++) {
      assert.ok(i < 20_000 && this.now < 400_000, `it does not come to rest: ${this.engine.outbox.length} here`);
      this.step();
    }
  }

  judge() {
    const { engine, gateway, closes } = this;
    assert.ok(this.short || !closes.length, 'a session was lost within its window');
    // Of each session that the application had: what it was told is what the gateway knows.
    const used = gateway.sessions.filter((s) => s.confirmed || s === gateway.sessions.at(-1));
    closes.forEach((close, i) => {
      const said = this.up[i];
      assert.deepEqual(close.unacknowledged.map((m) => m.data), said.slice(close.acknowledged), 'what was not acknowledged comes back, all of it, in order');
      const session = used.find((s) => s.got.length && said.includes(s.got[0])) ?? { got: [] };
      assert.deepEqual(session.got, said.slice(0, session.got.length), 'the backend heard a beginning of what was said');
      assert.ok(close.acknowledged <= session.got.length && session.got.length <= close.sent, `${close.acknowledged} <= ${session.got.length} <= ${close.sent}`);
      for (const message of close.unacknowledged) if (!message.uncertain) assert.ok(message.number > session.got.length, 'what certainly did not arrive did not');
    });
    const last = gateway.sessions.at(-1);
    assert.deepEqual(last.got, this.up.at(-1), 'the backend heard what was said');
    assert.deepEqual(this.down.at(-1), last.sent, 'the application heard what the backend said');
    assert.equal(engine.outbox.base, last.got.length);
  }
}

test(`seeds ${FROM} to ${TO}: nothing is lost, doubled or reordered, and what a lost session says of itself is true`, () => {
  let drops = 0;
  let lost = 0;
  for (let seed = FROM; seed <= TO; seed++) {
    const world = new World(seed);
    try {
      world.run();
      world.judge();
    } catch (error) {
      error.message = `seed ${seed}: ${error.message}`;
      throw error;
    }
    drops += world.engine.counts.resumes;
    lost += world.closes.length;
  }
  console.log(`# ${drops} resumes, ${lost} sessions lost`);
  if (TO - FROM > 50) assert.ok(drops > 500 && lost > 20, 'the world is rough enough to prove something');
});
