// SPDX-License-Identifier: Apache-2.0
// Clients of the npm package in one Node, which send and check the same numbered messages as clients.c, answer the same commands on standard
// input with the same counts, as far as the package has them.
//
//   node clients.mjs --port PORT [--path PATH] [--count N] [--every MS] [--open-over MS] [--transports websocket,sse,poll]
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { WebSocket } from '../../js/dist/index.js';

const Ws = createRequire(new URL('../../js/package.json', import.meta.url))('ws');
const words = Object.fromEntries(process.argv.slice(2).join(' ').split('--').filter(Boolean).map((pair) => pair.trim().split(' ')));
const how = { path: '/', count: 1, every: 1000, 'open-over': 0, transports: 'websocket', ...words };
const [count, every, openOver] = [how.count, how.every, how['open-over']].map(Number);

const TAIL = 'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(200);
const seen = { started: 0, sent: 0, received: 0, full: 0, refused: 0, lost: 0, doubled: 0, reordered: 0, changed: 0, opens: 0, resumed: 0,
  reconnecting: 0, rebounds: 0, sessions_lost: 0, closes: 0, closes_early: 0, handed_back: 0, at_risk: 0, endings: 0, end_mismatch: 0,
  away_max_ms: 0 };
const reasons = {};
const clients = [];
let away = 0;
let ending = false;

/** Text or bytes of message n: tests/integration/backends/numbered.py. */
function make(n) {
  const text = `${n} ${TAIL.slice(0, n % 64 === 33 ? 4000 + (n % 13) : (n * 37) % 97)}`;
  if (n % 16 === 7) return '\x01' + text;
  return n % 10 === 3 ? Buffer.from(text) : text;
}

class Client {
  constructor(number) {
    Object.assign(this, { number, sent: 0, last: 0, missing: new Set(), standing: false, ending: false, finished: false, closed: false });
    this.socket = new WebSocket(`ws://127.0.0.1:${how.port}${how.path.replace('{n}', number)}`, [], { WebSocket: Ws, transports: how.transports.split(',') });
    this.socket.binaryType = 'arraybuffer';
    for (const type of ['open', 'message', 'reconnecting', 'reconnected', 'rebound', 'close']) this.socket.addEventListener(type, (event) => this[`on_${type}`](event));
  }

  opened() {
    return this.standing && this.socket.stats().state === 'open';
  }

  on_open() {
    seen.opens++;
    Object.assign(this, { standing: true, sent: 0, last: 0, ending: false });
    this.missing.clear();
  }

  on_reconnecting() {
    seen.reconnecting++;
  }

  on_reconnected(event) {
    seen.resumed++;
    away += event.downtime;
    seen.away_max_ms = Math.max(seen.away_max_ms, Math.round(event.downtime));
  }

  on_rebound(event) {
    seen.rebounds++;
    seen.at_risk += event.to - event.from;
    this.last = 0;
    this.missing.clear();
  }

  on_close(event) {
    this.standing = false;
    seen.closes++;
    this.closed = true;
    if (this.finished) return;
    seen.closes_early++;
    seen.sessions_lost++;
    seen.handed_back += event.unacknowledged.length;
    const why = `close ${event.code} ${event.cause ?? ''}`;
    reasons[why] = (reasons[why] ?? 0) + 1;
  }

  on_message({ data }) {
    const text = typeof data === 'string' ? data : Buffer.from(data).toString();
    if (text.startsWith('end ')) {
      const said = Number(text.slice(4));
      seen.endings++;
      if (this.last < said) seen.lost += said - this.last;
      else if (this.last > said) seen.end_mismatch++;
      this.finished = true;
      this.socket.close(1000, 'done');
      return;
    }
    const n = parseInt(text.replace('\x01', ''), 10);
    seen.received++;
    const wanted = make(n || 0);
    if (!n || typeof wanted !== typeof data && typeof data === 'string' || text !== wanted.toString()) {
      seen.changed++;
    } else if (n > this.last) {
      for (let i = this.last + 1; i < n; i++) this.missing.add(i);
      seen.lost += n - this.last - 1;
      this.last = n;
    } else if (this.missing.delete(n)) {
      seen.lost--;
      seen.reordered++;
    } else seen.doubled++;
  }

  next() {
    if (!this.standing || this.ending) return;
    if (this.socket.send(make(this.sent + 1))) {
      this.sent++;
      seen.sent++;
    } else seen.full++;
  }

  end() {
    if (this.standing && !this.ending) this.ending = this.socket.send(`end ${this.sent}`);
  }
}

const begun = Date.now();
let ticks = 0;
setInterval(() => {
  const now = Date.now() - begun;
  while (seen.started < count && (openOver === 0 || seen.started < (now * count) / openOver)) clients.push(new Client(seen.started++));
  for (const due = Math.floor((now * count) / every); ticks < due; ticks++) if (!ending) clients[ticks % count]?.next();
  if (ending) clients.forEach((client) => client.end());
}, 5);

createInterface({ input: process.stdin }).on('line', (word) => {
  if (word === 'end') ending = true;
  const open = clients.filter((client) => client.opened()).length;
  const done = clients.filter((client) => client.finished && client.closed).length;
  console.log(JSON.stringify({ ...seen, open, done, away_mean_ms: Math.round(seen.resumed ? away / seen.resumed : 0), reasons }));
}).on('close', () => process.exit(0));
