// SPDX-License-Identifier: Apache-2.0
// A scripted world for the library: a clock that stands still until it is told to go on, timers that hang on it, chance from
// a seed, and a WebSocket whose other end the test plays. It needs nothing of an engine beyond the language and Promise, so that
// it runs in Node and, lowered by Babel, in React Native's engine.

/** Lets everything that was promised happen, without any time passing. */
export async function settle() {
  for (let i = 0; i < 40; i++) await null;
}

export function makeWorld(seed = 1) {
  let random = seed >>> 0;
  const world = {
    now: 1_700_000_000_000,
    timers: [],
    sockets: [],
    nextTimer: 1,
    seed: (value) => { random = value >>> 0; },
    random: () => { // a linear congruence is chance enough for a backoff
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      return random / 4294967296;
    },
    setTimeout: (call, ms = 0, ...words) => {
      const id = world.nextTimer++;
      world.timers.push({ id, at: world.now + Math.max(0, Number(ms) || 0), call: () => call(...words) });
      return id;
    },
    setInterval: (call, ms = 0, ...words) => {
      const id = world.nextTimer++;
      const every = Math.max(1, Number(ms) || 0);
      const timer = { id, at: world.now + every, call: () => { timer.at = world.now + every; world.timers.push(timer); call(...words); } };
      world.timers.push(timer);
      return id;
    },
    clearTimer: (id) => { world.timers = world.timers.filter((timer) => timer.id !== id); },
    /** Time passes; what falls due on the way happens at its moment, each with what it promised. */
    advance: async (ms) => {
      const end = world.now + ms;
      await settle();
      for (let turns = 0; ; turns++) {
        if (turns === 20_000) throw new Error('timers go round in circles');
        const due = world.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
        if (!due) break;
        world.timers.splice(world.timers.indexOf(due), 1);
        world.now = Math.max(world.now, due.at);
        due.call();
        await settle();
      }
      world.now = end;
    },
    /** Time passes until the library opens its next connection: that one's other end. */
    next: async (within = 60_000) => {
      const before = world.sockets.length;
      await settle();
      const end = world.now + within;
      while (world.sockets.length === before) {
        const due = world.timers.map((timer) => timer.at).sort((a, b) => a - b)[0];
        if (due === undefined || due > end) throw new Error(`no connection was opened within ${within} ms`);
        await world.advance(due - world.now);
      }
      return world.sockets[world.sockets.length - 1];
    },
    /** Puts the world in place of the engine's own clock, timers and chance; the result takes it out again. */
    install: () => {
      const scope = globalThis;
      const kept = { setTimeout: scope.setTimeout, clearTimeout: scope.clearTimeout, setInterval: scope.setInterval,
        clearInterval: scope.clearInterval, WebSocket: scope.WebSocket, XMLHttpRequest: scope.XMLHttpRequest };
      const { now } = Date;
      const chance = Math.random;
      Object.assign(scope, { setTimeout: world.setTimeout, clearTimeout: world.clearTimer, setInterval: world.setInterval,
        clearInterval: world.clearTimer, WebSocket: world.WebSocket });
      Date.now = () => world.now;
      const clock = typeof performance === 'object' ? performance : null;
      if (clock) Object.defineProperty(clock, 'now', { value: () => world.now - 1_600_000_000_000, configurable: true, writable: true });
      Math.random = world.random;
      return () => {
        Object.assign(scope, kept);
        Date.now = now;
        if (clock) delete clock.now;
        Math.random = chance;
      };
    },
  };
  world.requests = [];
  world.WebSocket = scriptedWebSocket(world);
  world.XMLHttpRequest = scriptedRequest(world);
  return world;
}

/** What an engine's own WebSocket is to the library: both ways to listen, and not a single event by itself. */
function scriptedWebSocket(world) {
  return class ScriptedWebSocket {
    static CONNECTING = 0;
    static OPEN = 1;
    static CLOSING = 2;
    static CLOSED = 3;

    constructor(url, protocols) {
      this.url = String(url);
      this.offers = protocols === undefined ? [] : [].concat(protocols);
      this.openedAt = world.now;
      this.readyState = 0;
      this.protocol = '';
      this.extensions = '';
      this.bufferedAmount = 0;
      this.binaryType = 'blob';
      this.listeners = {};
      this.sent = [];     // everything the library sent, as it was sent
      this.closed = null; // [code, reason] when the library closed it
      world.sockets.push(this);
    }

    addEventListener(type, listener) {
      const list = this.listeners[type] || (this.listeners[type] = []);
      if (!list.includes(listener)) list.push(listener);
    }

    removeEventListener(type, listener) {
      this.listeners[type] = (this.listeners[type] || []).filter((each) => each !== listener);
    }

    fire(type, fields) {
      const event = { type, target: this, currentTarget: this, ...fields };
      if (typeof this[`on${type}`] === 'function') this[`on${type}`](event);
      for (const listener of (this.listeners[type] || []).slice()) {
        if (typeof listener === 'function') listener.call(this, event); else listener.handleEvent(event);
      }
    }

    send(data) {
      if (this.readyState === 0) throw new Error('InvalidStateError');
      if (this.readyState === 1) this.sent.push(copied(data));
    }

    close(code, reason) {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) throw new Error('InvalidAccessError');
      if (this.readyState >= 2) return;
      this.readyState = 2;
      this.closed = [code, reason];
    }

    // ---- what the test plays

    /** The handshake succeeds. */
    open(protocol = this.offers.includes('hf1') ? 'hf1' : this.offers[0] || '') {
      this.readyState = 1;
      this.protocol = protocol;
      this.fire('open', {});
      return settle();
    }

    text(data) {
      this.fire('message', { data, origin: '', lastEventId: '' });
      return settle();
    }

    bytes(...values) {
      if (this.binaryType !== 'arraybuffer') throw new Error(`binaryType is ${this.binaryType}: this engine has no Blob`);
      return this.text(new Uint8Array(values).buffer);
    }

    control(verb, keys = {}) {
      return this.text(`\x01${[verb, ...Object.keys(keys).map((key) => `${key}=${encodeURIComponent(keys[key])}`)].join(' ')}`);
    }

    hello(keys = {}) {
      return this.control('hello', { session: 's1', token: `token${world.sockets.length}`, key: 'key', epoch: 7, window: 120000,
        buffer: 65536, message_max: 1048576, beat: 10000, ack: 16384, received: 0, sent: 0, resumed: 0, ...keys });
    }

    /** The connection ends, in the manner of React Native: an error first when nobody said goodbye. */
    drop(code = 1006, reason = '') {
      const failed = code === 1006 && this.readyState !== 2;
      this.readyState = 3;
      if (failed) this.fire('error', { message: 'the connection was lost' });
      this.fire('close', { code, reason, wasClean: code !== 1006 });
      return settle();
    }

    /** [verb, {key: value}] of every control message the library sent. */
    get controls() {
      return this.sent.filter((data) => typeof data === 'string' && data[0] === '\x01' && data[1] !== '\x01').map((data) => {
        const [verb, ...pairs] = data.slice(1).split(' ');
        const keys = {};
        for (const pair of pairs) {
          const at = pair.indexOf('=');
          keys[pair.slice(0, at)] = decodeURIComponent(pair.slice(at + 1));
        }
        return [verb, keys];
      });
    }

    /** What the application sent, the escape taken off; binary messages as lists of bytes. */
    get messages() {
      return this.sent.filter((data) => typeof data !== 'string' || data[0] !== '\x01' || data[1] === '\x01')
        .map((data) => (typeof data === 'string' && data[0] === '\x01' ? data.slice(1) : data));
    }

    /** hf1.r.<token>.<epoch>.<S>.<attempt>, taken apart; undefined when this was an opening. */
    get resume() {
      const offer = this.offers.find((each) => each.startsWith('hf1.r.'));
      if (!offer) return undefined;
      const [, , token, epoch, received, attempt] = offer.split('.');
      return { token, epoch, received: Number(received), attempt: Number(attempt) };
    }
  };
}

/** What React Native has for requests, as far as the library needs it; the test plays the server. */
function scriptedRequest(world) {
  return class ScriptedRequest {
    constructor() {
      this.readyState = 0;
      this.status = 0;
      this.responseText = '';
      this.response = null;
      this.responseType = '';
      this.headers = {};
      this.aborted = false;
      world.requests.push(this);
    }

    open(method, url) {
      Object.assign(this, { method, url, readyState: 1 });
    }

    setRequestHeader(name, value) {
      this.headers[name.toLowerCase()] = value;
    }

    getResponseHeader(name) {
      return this.answered && this.answered[name.toLowerCase()] !== undefined ? this.answered[name.toLowerCase()] : null;
    }

    send(body) {
      this.body = body === undefined || body === null ? null : copied(body);
    }

    abort() {
      this.aborted = true;
    }

    // ---- what the test plays

    head(status, headers) {
      Object.assign(this, { status, answered: headers, readyState: 2 });
      if (this.onreadystatechange) this.onreadystatechange();
      return settle();
    }

    part(text) {
      this.readyState = 3;
      this.responseText += text;
      if (this.onreadystatechange) this.onreadystatechange();
      return settle();
    }

    end(bytes) {
      this.readyState = 4;
      if (bytes) this.response = new Uint8Array(bytes).buffer;
      if (this.onreadystatechange) this.onreadystatechange();
      if (this.onload) this.onload();
      return settle();
    }

    fail() {
      this.readyState = 4;
      if (this.onerror) this.onerror();
      return settle();
    }
  };
}

function copied(data) {
  if (typeof data === 'string') return data;
  if (data instanceof ArrayBuffer) return Array.from(new Uint8Array(data));
  if (ArrayBuffer.isView(data)) return Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  throw new Error(`send() of a ${Object.prototype.toString.call(data)}`);
}
