// SPDX-License-Identifier: Apache-2.0
// The climb back to WebSocket on the real gateway. It takes the half minute that it takes, so one Node is enough.
import assert from 'node:assert/strict';
import test from 'node:test';
import { missing, withGateway, withSocket } from './support/real.mjs';

test('where a proxy refuses WebSockets the library comes through by an event stream, and climbs back when it can', { skip: missing, timeout: 90_000 }, () =>
  withGateway(({ url, box, backend }) => {
    box.noUpgrade = true;
    return withSocket(url, {}, async (ws, { types, until }) => {
      const down = [];
      ws.onmessage = (event) => down.push(event.data);
      await until('open', () => ws.readyState === 1);
      assert.equal(ws.stats().transport, 'sse');
      ws.send('by stream');
      await until('the echo', () => down.length === 1);
      box.noUpgrade = false;
      await until('the climb back', () => ws.stats().transport === 'websocket', 45_000);
      ws.send('by socket');
      await until('the echo', () => down.length === 2);
      assert.deepEqual([down, backend.connections], [['by stream', 'by socket'], 1]);
      assert.deepEqual(types().filter((type) => type !== 'error' && type !== 'reconnecting'), ['open']);
    });
  }));
