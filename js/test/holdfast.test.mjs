// SPDX-License-Identifier: Apache-2.0
// The library, the real gateway and an ordinary WebSocket backend, over each transport, through a middlebox that cuts.
import assert from 'node:assert/strict';
import test from 'node:test';
import { eventually, missing, withGateway, withSocket } from './support/real.mjs';

const TRANSPORTS = ['websocket', 'sse', 'poll'];
const options = { skip: missing, timeout: 60_000 };

const brief = (data) => (typeof data === 'string' ? data : Buffer.from(data).toString('base64'));
const make = (n) => [`text ${n}`, `\x01${n}`, `line\nbreak\r\0 ${n}`, Buffer.from([0, n & 255, n >> 8]), `é€😀 ${n}`, '', '\x01\x01', 'x'.repeat(3000)][n % 8];

for (const transport of TRANSPORTS) {
  test(`${transport}: cut after cut, nothing is lost, doubled or reordered; the backend sees one connection, and the close at its end`, options, () =>
    withGateway(({ url, box, backend }) =>
      withSocket(url, { transports: [transport] }, async (ws, { events, types, until }) => {
        const down = [];
        const wanted = [];
        ws.onmessage = (event) => down.push(brief(event.data));
        await until('open', () => ws.readyState === 1);
        for (let n = 1; n <= 600; n++) {
          wanted.push(brief(make(n)));
          assert.ok(ws.send(make(n)));
          if (n % 40 === 0) {
            box.cut();
            if (n % 80 === 0 && transport !== 'poll') await until('the resume', () => types().at(-1) === 'reconnected');
          }
          if (n % 8 === 0) await new Promise((done) => setTimeout(done, Math.random() * 10));
        }
        await until('every echo', () => down.length >= wanted.length);
        assert.deepEqual(backend.got.map(brief), wanted);
        assert.deepEqual(down, wanted);
        assert.equal(ws.stats().transport, transport);
        assert.deepEqual([backend.connections, backend.closes], [1, []]);
        ws.close(4001, 'enough');
        await until('the close', () => ws.readyState === 3);
        await eventually('the close at the backend', () => backend.closes.length === 1);
        assert.deepEqual(backend.closes, [[4001, 'enough']]);
        const close = events.at(-1);
        assert.deepEqual([close.code, close.reason, close.unacknowledged], [4001, 'enough', []]);
        assert.deepEqual(types().filter((type) => !type.startsWith('reconnect')), ['open', 'close']);
      }),
    ));

  test(`${transport}: the backend's own close arrives behind its messages, as it was said`, options, () =>
    withGateway(({ url }) =>
      withSocket(url, { transports: [transport] }, async (ws, { events, until }) => {
        const down = [];
        ws.onmessage = (event) => down.push(event.data);
        await until('the close', () => ws.readyState === 3);
        assert.deepEqual(down, ['first', 'second']);
        const { code, reason, willReconnect } = events.at(-1);
        assert.deepEqual([code, reason, willReconnect], [4002, 'over', false]);
      }), { onpeer: (peer) => { peer.send('first'); peer.send('second'); peer.close(4002, 'over'); } }));

  test(`${transport}: the subprotocol is the backend's choice`, options, () =>
    withGateway(({ url }) =>
      withSocket(url, { transports: [transport] }, async (ws, { until }) => {
        await until('open', () => ws.readyState === 1);
        assert.equal(ws.protocol, 'chat');
      }, ['other', 'chat'])));

  test(`${transport}: what a refused handshake says reaches the application, and is not tried for ever`, options, () =>
    withGateway(({ url }) =>
      withSocket(url + '/refuse', { transports: [transport] }, async (ws, { events, types, until }) => {
        await until('the close', () => ws.readyState === 3);
        assert.deepEqual(types(), ['error', 'close']);
        assert.deepEqual([events[0].error.code, events[0].error.status], ['refused', 401]);
      })));
}

test('a session whose window ran out is told by close with its counts, and a new one opens', options, () =>
  withGateway(({ url, box, backend }) =>
    withSocket(url, { transports: ['websocket'] }, async (ws, { events, types, until }) => {
      await until('open', () => ws.readyState === 1);
      ws.send('one');
      await until('its ack', () => ws.stats().unacknowledged === 0);
      box.closed = true;
      box.cut();
      ws.send('two');
      await eventually('the end of the window', () => backend.closes.length === 1);
      box.closed = false;
      await until('another open', () => types().filter((type) => type === 'open').length === 2);
      const close = events.find((event) => event.type === 'close');
      assert.deepEqual([close.cause, close.willReconnect, close.acknowledged, close.counted], ['expired', true, 1, 1]);
      assert.deepEqual(close.unacknowledged, [{ data: 'two', number: 2, uncertain: false }]);
      assert.equal(backend.connections, 2);
    }), { flags: ['--session-window', '300ms'] }));

test('on a route that holds, a backend that is lost is a rebound and no close', options, () =>
  withGateway(({ url, backend }) =>
    withSocket(url, { transports: ['websocket'] }, async (ws, { types, until }) => {
      const down = [];
      ws.onmessage = (event) => down.push(event.data);
      ws.send('before');
      await until('the echo', () => down.length === 1);
      backend.peers[0].terminate();
      await until('rebound', () => types().includes('rebound'));
      ws.send('behind');
      await until('the echo', () => down.length === 2);
      assert.deepEqual([down, backend.connections, types()], [['before', 'behind'], 2, ['open', 'rebound']]);
    }), { flags: ['--on-backend-loss', 'hold'] }));

test('a page that comes back with another transport finds the same session', options, () =>
  withGateway(({ url, box, backend }) =>
    withSocket(url, {}, async (ws, { types, until }) => {
      const down = [];
      ws.onmessage = (event) => down.push(event.data);
      await until('open', () => ws.readyState === 1);
      ws.send('one');
      await until('the echo', () => down.length === 1);
      box.noUpgrade = true;
      box.cut();
      ws.send('two');
      await until('the echo', () => down.length === 2);
      assert.deepEqual([ws.stats().transport, backend.connections, types().filter((type) => type !== 'reconnecting')], ['sse', 1, ['open', 'reconnected']]);
    })));
