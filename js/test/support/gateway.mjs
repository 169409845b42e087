// SPDX-License-Identifier: Apache-2.0
// A model of a gateway for tests: hf1 over WebSockets (by ws), event streams and long polls, one process, no backend but a function.
// It keeps the rules of docs/protocol.md that a library can notice, and does on demand what networks do: cut, refuse, buffer.
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { WebSocketServer } from 'ws';
import { readList, writeList } from '../.build/framed.js';
import { escapeText, readControl, textKind, writeControl } from '../.build/protocol.js';

const id = (bytes) => randomBytes(bytes).toString('base64url');

/** Not resetAndDestroy: of a socket that is shutting down Node would keep the handle for ever. */
export const reset = (socket) => socket.destroy();

class Session {
  constructor(gateway, secret) {
    Object.assign(this, { gateway, secret, name: id(6), key: id(32), epoch: 1, journal: [], base: 0, cursor: 0, counted: 0, taken: 0, attempt: 0, confirmed: false, offered: '', accepted: '' });
    gateway.opened++;
  }

  get sent() {
    return this.base + this.journal.length;
  }

  send(data) {
    this.journal.push(data);
    this.pump();
  }

  /** Towards the client within the credit, or one message. */
  pump() {
    const cost = (data) => Buffer.byteLength(data) + 16;
    let flight = this.journal.slice(0, this.cursor - this.base).reduce((sum, data) => sum + cost(data), 0);
    while (this.conn && this.cursor < this.sent) {
      const data = this.journal[this.cursor - this.base];
      if (flight && flight + cost(data) > this.gateway.options.buffer) return;
      flight += cost(data);
      this.conn.message(data, ++this.cursor);
    }
    if (this.conn && this.replaying) this.conn.control('live', { sent: this.sent });
    this.replaying = false;
  }

  attach(conn, stated, more = {}) {
    if (this.conn) this.conn.end({ who: 'gateway', reason: 'superseded' }, 4000);
    this.conn = conn;
    conn.session = this;
    if (stated < this.base) throw new Error(`stated ${stated}, but ${this.base} was acknowledged`);
    this.journal.splice(0, stated - this.base);
    this.base = this.cursor = stated;
    this.offered = id(36);
    const { window, buffer, message_max, beat, ack } = this.gateway.options;
    conn.control('hello', { session: this.name, token: this.offered, key: this.key, epoch: this.epoch, window, buffer, message_max, beat, ack, received: this.counted, sent: this.sent, resumed: more.resumed ?? 1, ...more });
    this.replaying = more.resumed !== 0;
    this.pump();
  }

  heard(conn, verb, num, text) {
    this.confirmed = true;
    this.accepted = this.offered;
    if (verb === 'ack') this.acknowledge(num.n);
    else if (verb === 'auth') {
      this.gateway.credentials.push(text.value);
      conn.control('auth-ok', { exp: 0 });
    } else if (verb === 'bye') {
      this.bye = { code: num.code, reason: text.reason };
      this.over = 'closed';
      this.gateway.byes.push(this.bye);
    }
  }

  acknowledge(n) {
    if (n < this.base || n > this.sent) throw new Error(`ack ${n} with ${this.base} to ${this.sent}`);
    this.journal.splice(0, n - this.base);
    this.base = n;
    this.pump();
  }

  message(data) {
    this.counted++;
    this.gateway.onmessage(this, data);
    this.due ??= setTimeout(() => {
      this.due = undefined;
      this.taken = this.counted;
      this.conn?.control('ack', { n: this.taken });
    }, this.gateway.options.delay).unref();
  }

  lost(conn) {
    if (this.conn === conn) this.conn = undefined;
  }
}

export class Gateway {
  constructor(options = {}) {
    this.options = { window: 60000, buffer: 65536, message_max: 1 << 20, beat: 25000, ack: 1000, poll: 500, delay: 5, ...options };
    Object.assign(this, { sessions: new Map(), sockets: new Set(), opened: 0, byes: [], credentials: [], requests: [], blockWebSocket: false, bufferStreams: false, onmessage: (session, data) => session.send(data) });
    this.http = http.createServer((request, response) => this.serve(request, response));
    this.http.keepAliveTimeout = 0;
    this.http.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.ws = new WebSocketServer({ noServer: true, handleProtocols: () => 'hf1', perMessageDeflate: false });
    this.http.on('upgrade', (request, socket, head) => {
      this.requests.push(request.url);
      if (this.blockWebSocket) return socket.destroy();
      this.ws.handleUpgrade(request, socket, head, (ws) => this.webSocket(ws, request));
    });
  }

  async listen() {
    await new Promise((done) => this.http.listen(0, '127.0.0.1', done));
    this.url = `ws://127.0.0.1:${this.http.address().port}/ws`;
    return this;
  }

  async close() {
    for (const session of this.sessions.values()) clearTimeout(session.due);
    const closed = new Promise((done) => this.http.close(done));
    this.cut();
    await closed;
  }

  /** Every connection breaks. */
  cut() {
    for (const socket of this.sockets) reset(socket);
  }

  /** The gateway forgets, as after a restart. */
  forget() {
    this.sessions.clear();
    this.cut();
  }

  arrive(conn, offers) {
    const offer = offers.find((one) => one.startsWith('hf1.')) ?? '';
    const [, kind, token, , stated, attempt] = offer.split('.');
    const all = [...this.sessions.values()];
    if (kind === 'o') {
      const known = all.find((session) => session.secret === token && !session.confirmed);
      const session = known ?? this.make(token);
      return session.attach(conn, 0, { resumed: known ? 1 : 0 });
    }
    const session = all.find((one) => one.offered === token || one.accepted === token);
    if (session && Number(attempt) <= session.attempt) return conn.end({ who: 'gateway', reason: 'stale' }, 4000);
    if (session) session.attempt = Number(attempt);
    if (!session || session.over) return this.make('').attach(conn, 0, { resumed: 0, reason: session?.over ?? 'unknown', old_received: session?.counted });
    session.attach(conn, Number(stated));
  }

  make(secret) {
    const session = new Session(this, secret);
    this.sessions.set(session.key, session);
    return session;
  }

  webSocket(ws, request) {
    const conn = {
      control: (verb, pairs) => ws.send('\x01' + writeControl(verb, pairs)),
      message: (data) => ws.send(typeof data === 'string' ? escapeText(data) : data),
      end: (pairs, code) => {
        conn.control('end', pairs);
        ws.close(code);
        conn.session = undefined;
      },
    };
    ws.on('error', () => {});
    ws.on('close', () => conn.session?.lost(conn));
    ws.on('message', (data, binary) => {
      const { session } = conn;
      if (!session || session.conn !== conn) return;
      const text = data.toString();
      const kind = binary ? 'binary' : textKind(text);
      if (kind === 'binary') session.message(data);
      else if (kind !== 'control') session.message(kind === 'escaped' ? text.slice(1) : text);
      else {
        const c = readControl(text.slice(1));
        session.heard(conn, c.verb, c.num, c.text);
      }
    });
    this.arrive(conn, request.headers['sec-websocket-protocol'].split(/, */));
  }

  serve(request, response) {
    this.requests.push(`${request.method} ${request.headers.accept ?? ''}`);
    response.setHeader('Cache-Control', 'no-store, no-transform');
    response.setHeader('Access-Control-Allow-Origin', request.headers.origin ?? '*');
    const session = this.sessions.get(request.headers['hf-key']);
    if (request.headers['hf-key'] !== undefined && !session) return this.answer(response, 404);
    if (request.method === 'POST') return this.post(request, response, session);
    if (request.headers.accept === 'text/event-stream') return this.stream(request, response);
    return this.poll(request, response, session);
  }

  answer(response, status, body = '', headers = {}) {
    response.writeHead(status, headers);
    response.end(body);
  }

  post(request, response, session) {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      let number = Number(request.headers['hf-seq']);
      if (session.over) return this.answer(response, 410);
      for (const { type, payload } of readList(new Uint8Array(Buffer.concat(parts)))) {
        const text = Buffer.from(payload).toString();
        if (type === 3) {
          const c = readControl(text);
          session.heard(session.conn ?? { control() {} }, c.verb, c.num, c.text);
        } else if (number > session.counted + 1) return this.answer(response, 409);
        else if (number++ > session.counted) session.message(type === 1 ? text : Buffer.from(payload));
      }
      this.answer(response, 200, '', { 'HF-Received': session.counted });
    });
  }

  stream(request, response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    if (this.bufferStreams) return response.write(':');
    const event = (type, data) => response.write((type ? `event: ${type}\n` : '') + `data: ${data.split('\n').join('\ndata: ')}\n\n`);
    const conn = {
      control: (verb, pairs) => event(verb, writeControl('', pairs).slice(1)),
      message: (data, number) => {
        response.write(`id: ${conn.session.offered}.1.${number}\n`);
        if (typeof data !== 'string') event('binary', data.toString('base64'));
        else if (/[\r\0]/.test(data)) event('text64', Buffer.from(data).toString('base64'));
        else event('', data);
      },
      end: (pairs) => {
        conn.control('end', pairs);
        response.end();
        conn.session = undefined;
      },
    };
    response.write(`:${' '.repeat(2048)}\n\n`);
    response.on('close', () => conn.session?.lost(conn));
    this.arrive(conn, [request.headers['hf-open'] ?? request.headers['hf-resume']]);
  }

  poll(request, response, session) {
    if (!session) {
      const conn = { list: [], answered: 0 };
      const item = (data, number) => ({ type: typeof data === 'string' ? 1 : 2, data: typeof data === 'string' ? data : new Uint8Array(data), number });
      conn.flush = () => {
        if (!conn.waiting || !conn.list.length) return;
        clearTimeout(conn.timer);
        const { waiting } = conn;
        const list = conn.list.splice(0);
        const numbers = list.map(({ number }) => number).filter(Boolean);
        conn.waiting = undefined;
        conn.answered = numbers.at(-1) ?? conn.answered;
        this.answer(waiting, 200, Buffer.from(writeList(list)), { 'Content-Type': 'application/x-hf1', ...(numbers.length ? { 'HF-Seq': numbers[0] } : {}) });
      };
      conn.control = (verb, pairs) => {
        conn.list.push({ type: 3, data: writeControl(verb, pairs) });
        setImmediate(conn.flush);
      };
      conn.message = (data, number) => {
        conn.list.push(item(data, number));
        setImmediate(conn.flush);
      };
      conn.end = (pairs) => conn.control('end', pairs);
      // What the last answer held and was not received goes again.
      conn.again = (received) => {
        const { journal, base } = conn.session;
        const missed = journal.slice(received - base, conn.answered - base);
        conn.list.unshift(...missed.map((data, i) => item(data, received + i + 1)));
        conn.answered = received;
      };
      conn.waiting = response;
      return this.arrive(conn, [request.headers['hf-open'] ?? request.headers['hf-resume']]);
    }
    const { conn } = session;
    if (!conn?.list) return this.answer(response, 409);
    const received = Number(request.headers['hf-received']);
    if (conn.waiting) this.answer(conn.waiting, 200);
    conn.waiting = response;
    if (received < conn.answered) conn.again(received);
    session.acknowledge(received);
    setImmediate(conn.flush);
    clearTimeout(conn.timer);
    conn.timer = setTimeout(() => {
      if (conn.waiting === response) {
        conn.waiting = undefined;
        this.answer(response, 200);
      }
    }, this.options.poll);
    conn.timer.unref?.();
  }
}
