// SPDX-License-Identifier: Apache-2.0
// The fallback transports where only XMLHttpRequest is there, as on React Native: no fetch, no streams, no text codecs, no Blobs.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { WebSocket } from './.build/index.js';
import { Gateway } from './support/gateway.mjs';
import { eventually } from './support/real.mjs';
import { XMLHttpRequest } from './support/xhr.mjs';

const MISSING = ['fetch', 'ReadableStream', 'TextEncoder', 'TextDecoder', 'AbortController', 'Blob', 'URL', 'EventTarget', 'Event', 'DOMException', 'crypto', 'WebSocket', 'reportError', 'atob', 'btoa'];
const kept = MISSING.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);

before(() => {
  for (const name of MISSING) Object.defineProperty(globalThis, name, { value: undefined, configurable: true, writable: true });
  globalThis.XMLHttpRequest = XMLHttpRequest;
});
after(() => {
  for (const [name, was] of kept) {
    if (was) Object.defineProperty(globalThis, name, was);
    else delete globalThis[name];
  }
  // Node keeps the handles of some sockets that were cut while they connected: the process would not end by itself.
  setTimeout(() => process.exit(), 500).unref();
});

const make = (n) => [`text ${n}`, `\x01${n}`, `line\nbreak\r\0 ${n}`, new Uint8Array([0, n & 255, n >> 8]), `é€😀 ${n}`, ''][n % 6];
const brief = (data) => (typeof data === 'string' ? data : [...new Uint8Array(data)].join());

for (const transport of ['sse', 'poll']) {
  test(`${transport} by XMLHttpRequest: cut after cut, nothing is lost, doubled or reordered`, { timeout: 60_000 }, async () => {
    const gateway = await new Gateway().listen();
    const ws = new WebSocket(gateway.url, [], { transports: [transport], minReconnectionDelay: 20, connectionTimeout: 2000 });
    try {
      assert.equal(ws.binaryType, 'arraybuffer');
      const up = [];
      const down = [];
      const wanted = [];
      const types = [];
      for (const type of ['open', 'close', 'reconnected']) ws.addEventListener(type, () => types.push(type));
      gateway.onmessage = (session, data) => {
        up.push(brief(data));
        session.send(data);
      };
      ws.onmessage = (event) => down.push(brief(event.data));
      await eventually('open', () => ws.readyState === 1);
      for (let n = 1; n <= 120; n++) {
        wanted.push(brief(make(n)));
        assert.ok(ws.send(make(n)));
        if (n % 20 === 0) {
          gateway.cut();
          // A cut between two polls is none.
          if (transport !== 'poll') await eventually('the resume', () => types.at(-1) === 'reconnected');
        }
        if (n % 5 === 0) await new Promise((done) => setTimeout(done, 3));
      }
      await eventually(() => `every echo ${JSON.stringify([ws.stats(), ws.lastClose])}`, () => down.length >= wanted.length);
      assert.deepEqual([up, down], [wanted, wanted]);
      assert.equal(types.includes('close'), false);
      ws.close(4001, 'enough é');
      await eventually('the end', () => ws.readyState === 3);
      assert.deepEqual(gateway.byes, [{ code: 4001, reason: 'enough é' }]);
    } finally {
      ws.close();
      await gateway.close();
    }
  });
}

test('without DOMException errors have the same names', () => {
  assert.throws(() => new WebSocket('nonsense'), { name: 'SyntaxError' });
  const ws = new WebSocket('ws://127.0.0.1:1/', [], { transports: ['poll'], startClosed: true });
  assert.throws(() => ws.close(1), { name: 'InvalidAccessError' });
});
