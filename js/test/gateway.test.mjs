// SPDX-License-Identifier: Apache-2.0
// The whole library over real connections to a model gateway: cuts, sessions that are gone, WebSockets that are blocked, streams that
// are buffered. Every message arrives once and in order, both ways, over each transport.
import assert from 'node:assert/strict';
import test from 'node:test';
import Ws from 'ws';
import { WebSocket } from './.build/index.js';
import { Gateway } from './support/gateway.mjs';

/** A gateway and a socket on it; both are gone behind the test. */
async function pair(play, { gateway: how = {}, socket = {}, prepare = () => {} } = {}) {
  const gateway = await new Gateway(how).listen();
  prepare(gateway);
  const ws = new WebSocket(gateway.url, [], { WebSocket: Ws, minReconnectionDelay: 20, connectionTimeout: 2000, ...socket });
  ws.binaryType = 'arraybuffer';
  const events = [];
  for (const type of ['open', 'close', 'error', 'reconnecting', 'reconnected']) ws.addEventListener(type, (event) => events.push(event));
  const until = (what, check) =>
    new Promise((done, fail) => {
      const limit = setTimeout(() => fail(new Error(`${what} did not come; ${JSON.stringify(ws.stats())} ${JSON.stringify(ws.lastClose)} ${events.map((e) => e.type)}`)), 20_000);
      const look = () => {
        if (!check()) return setTimeout(look, 2);
        clearTimeout(limit);
        done();
      };
      look();
    });
  try {
    await play({ gateway, ws, events, until, types: () => events.map((event) => event.type) });
  } finally {
    ws.close();
    await until('the end', () => ws.readyState === 3);
    await gateway.close();
  }
}

/** Numbered messages both ways while connections are cut at random times; each side must see 1, 2, 3 … exactly. */
async function numbered({ gateway, ws, until, types }, { count = 400, cuts = 12 } = {}) {
  const up = [];
  const down = [];
  gateway.onmessage = (session, data) => {
    up.push(typeof data === 'string' ? data : data.toString('base64'));
    session.send(data);
  };
  ws.onmessage = (event) => down.push(typeof event.data === 'string' ? event.data : Buffer.from(event.data).toString('base64'));
  const wanted = [];
  const make = (n) => [`text ${n}`, `\x01${n}`, `line\nbreak\r\0 ${n}`, Buffer.from([0, n & 255, n >> 8]), `é€😀 ${n}`, ''][n % 6];
  await until('open', () => ws.readyState === 1);
  let left = cuts;
  for (let n = 1; n <= count; n++) {
    const data = make(n);
    wanted.push(typeof data === 'string' ? data : data.toString('base64'));
    assert.ok(ws.send(data));
    if (n % Math.ceil(count / (cuts + 1)) === 0 && left-- > 0) {
      gateway.cut();
      // Every other cut is left to hit whatever is under way; one between two polls is none.
      if (left % 2 && ws.stats().transport !== 'poll') await until('the drop and the resume', () => types().at(-1) === 'reconnected');
    }
    if (n % 5 === 0) await new Promise((done) => setTimeout(done, Math.random() * 12));
  }
  await until('every message', () => down.length >= count);
  assert.deepEqual(up, wanted);
  assert.deepEqual(down, wanted);
  assert.equal(gateway.opened, 1, 'one session');
  assert.deepEqual(types().filter((type) => type === 'open' || type === 'close'), ['open']);
}

test('over WebSockets that are cut nothing is lost, doubled or reordered, and the application sees no close', () =>
  pair(async (world) => {
    await numbered(world, { cuts: 20 });
    assert.ok(world.types().filter((type) => type === 'reconnected').length >= 5);
  }));

test('over event streams that are cut nothing is lost, doubled or reordered', () =>
  pair(async (world) => {
    await numbered(world);
    assert.equal(world.ws.stats().transport, 'sse');
  }, { socket: { transports: ['sse'] } }));

test('over long polls that are cut nothing is lost, doubled or reordered', () =>
  pair(async (world) => {
    await numbered(world);
    assert.equal(world.ws.stats().transport, 'poll');
  }, { socket: { transports: ['poll'] } }));

test('where WebSockets are blocked the library falls back to an event stream by itself', () =>
  pair(async (world) => {
    await numbered(world, { count: 100, cuts: 3 });
    assert.ok(world.gateway.requests.includes('GET text/event-stream'));
  }, { prepare: (gateway) => { gateway.blockWebSocket = true; } }));

test('where streams are buffered it falls back to long polls', { timeout: 30_000 }, () =>
  pair(async ({ ws, until, gateway }) => {
    await until('a poll', () => ws.stats().transport === 'poll');
    const got = [];
    ws.onmessage = (event) => got.push(event.data);
    ws.send('over polls');
    await until('the echo', () => got.length === 1);
    assert.equal(gateway.opened, 1);
  }, { prepare: (gateway) => { gateway.blockWebSocket = gateway.bufferStreams = true; } }));

test('a session that the gateway has forgotten is told by close, with what is uncertain, and a new one opens', () =>
  pair(async ({ gateway, ws, events, until, types }) => {
    await until('open', () => ws.readyState === 1);
    gateway.onmessage = () => {};
    gateway.options.delay = 60_000;
    ws.send('one');
    await until('its count', () => [...gateway.sessions.values()][0].counted === 1);
    gateway.forget();
    await until('another open', () => types().filter((type) => type === 'open').length === 2);
    assert.deepEqual(types(), ['open', 'reconnecting', 'close', 'open']);
    const { cause, willReconnect, sent, acknowledged, unacknowledged } = events[2];
    assert.deepEqual([cause, willReconnect, sent, acknowledged, unacknowledged], ['unknown', true, 1, 0, [{ data: 'one', number: 1, uncertain: true }]]);
  }));

for (const transport of ['websocket', 'sse', 'poll']) {
  test(`close delivers what was sent before, then bye with code and reason: ${transport}`, () =>
    pair(async ({ gateway, ws, events, until }) => {
      const up = [];
      gateway.onmessage = (session, data) => up.push(data);
      await until('open', () => ws.readyState === 1);
      for (let n = 0; n < 50; n++) ws.send(`m${n}`);
      ws.close(4001, 'enough');
      await until('the close', () => ws.readyState === 3);
      assert.equal(up.length, 50);
      assert.deepEqual(gateway.byes, [{ code: 4001, reason: 'enough' }]);
      const { code, reason, unacknowledged } = events.at(-1);
      assert.deepEqual([code, reason, unacknowledged], [4001, 'enough', []]);
    }, { socket: { transports: [transport] } }));
}

for (const transport of ['sse', 'poll']) {
  test(`the last messages before the backend's Close are acknowledged, though the session is over: ${transport}`, () =>
    pair(async ({ gateway, ws, events, until }) => {
      let at;
      gateway.onmessage = (session) => {
        at = session;
        session.send('one');
        session.send('two');
        session.conn.control('close', { code: 4002, reason: 'done' });
      };
      await until('open', () => ws.readyState === 1);
      ws.send('go');
      await until('the close', () => ws.readyState === 3);
      assert.deepEqual([events.at(-1).code, events.at(-1).reason], [4002, 'done']);
      await until('the acknowledgement', () => at.base === 2);
    }, { socket: { transports: [transport] } }));
}

test('a message larger than the credit goes, and the credit is kept to', () =>
  pair(async ({ ws, until }) => {
    await until('open', () => ws.readyState === 1);
    const got = [];
    ws.onmessage = (event) => got.push(event.data.length);
    for (const length of [10_000, 20, 5_000, 1]) ws.send('x'.repeat(length));
    await until('the echoes', () => got.length === 4);
    assert.deepEqual(got, [10_000, 20, 5_000, 1]);
  }, { gateway: { buffer: 1000 } }));

test('a Blob goes over POSTs as its bytes, in order', () =>
  pair(async ({ ws, until }) => {
    await until('open', () => ws.readyState === 1);
    const got = [];
    ws.onmessage = (event) => got.push(typeof event.data === 'string' ? event.data : Buffer.from(event.data).toString());
    ws.send('before');
    ws.send(new Blob(['blob']));
    ws.send('behind');
    await until('the echoes', () => got.length === 3);
    assert.deepEqual(got, ['before', 'blob', 'behind']);
  }, { socket: { transports: ['sse'] } }));

test('credentials are renewed in-band over each transport', () =>
  pair(async ({ gateway, ws, until }) => {
    await until('open', () => ws.readyState === 1);
    let told = 0;
    ws.onauthorized = () => told++;
    ws.auth('fresh');
    await until('authorized', () => told === 1);
    assert.deepEqual(gateway.credentials, ['fresh']);
  }, { socket: { transports: ['poll'] } }));

test('a server that takes the first subprotocol, whatever it is, is opened at once as an ordinary one', async () => {
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((done) => server.on('listening', done));
  server.on('connection', (peer) => peer.on('message', (data, binary) => peer.send(data, { binary })));
  const ws = new WebSocket(`ws://127.0.0.1:${server.address().port}/`, [], { WebSocket: Ws });
  const events = [];
  for (const type of ['open', 'error', 'reconnecting']) ws.addEventListener(type, () => events.push(type));
  try {
    const got = new Promise((done) => (ws.onmessage = (event) => done(event.data)));
    ws.send('hi');
    assert.equal(await got, 'hi');
    assert.deepEqual([events, ws.protocol, ws.stats().session], [['open'], '', null]);
  } finally {
    ws.close();
    server.clients.forEach((peer) => peer.terminate());
    server.close();
  }
});

test('an ordinary WebSocket server that knows nothing of hf1 is served as one, with its subprotocol', async () => {
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: (all) => (all.has('chat') ? 'chat' : false) });
  await new Promise((done) => server.on('listening', done));
  server.on('connection', (peer) => peer.on('message', (data, binary) => peer.send(data, { binary })));
  const ws = new WebSocket(`ws://127.0.0.1:${server.address().port}/`, ['chat'], { WebSocket: Ws });
  try {
    const got = new Promise((done) => (ws.onmessage = (event) => done(event.data)));
    ws.send('\x01 as it is');
    assert.equal(await got, '\x01 as it is');
    assert.deepEqual([ws.protocol, ws.stats().session], ['chat', null]);
  } finally {
    ws.close();
    server.clients.forEach((peer) => peer.terminate());
    server.close();
  }
});
