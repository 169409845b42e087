// SPDX-License-Identifier: Apache-2.0
// What a page goes through: hidden, frozen, kept in the back-forward cache, left, offline, with timers that are late.
import assert from 'node:assert/strict';
import test from 'node:test';
import { onStage } from './support/stage.mjs';

/** A page around the stage: document, window and navigator with listeners. */
function onPage(name, play) {
  test(name, () =>
    onStage(async (stage) => {
      const listeners = [];
      const target = {
        addEventListener: (type, listener) => listeners.push([type, listener]),
        removeEventListener: (type, listener) => listeners.splice(listeners.findIndex(([t, l]) => t === type && l === listener), 1),
      };
      const put = { document: { ...target, visibilityState: 'visible' }, window: { ...target }, navigator: { onLine: true }, ...target };
      const kept = Object.keys(put).map((key) => [key, Object.getOwnPropertyDescriptor(globalThis, key)]);
      for (const [key, value] of Object.entries(put)) Object.defineProperty(globalThis, key, { value, configurable: true, writable: true });
      stage.page = async (type, event = {}) => {
        listeners.filter(([t]) => t === type).forEach(([, listener]) => listener({ type, ...event }));
        await stage.settle();
      };
      stage.hide = async (hidden) => {
        put.document.visibilityState = hidden ? 'hidden' : 'visible';
        await stage.page('visibilitychange');
      };
      stage.listeners = listeners;
      try {
        await play(stage);
      } finally {
        for (const [key, was] of kept) {
          if (was) Object.defineProperty(globalThis, key, was);
          else delete globalThis[key];
        }
      }
    }),
  );
}

const drop = (stage) => stage.socket().closed(1006, '', false);
const attempts = (stage) => stage.Socket.sockets.length;

onPage('while hidden, attempts go on until the window would run out, then none until visible', async (stage) => {
  stage.make();
  await stage.settle();
  await stage.greet({ window: 20_000 });
  await stage.hide(true);
  drop(stage);
  for (let i = 0; i < 40 && stage.clock.at < 60_000; i++) {
    await stage.clock.wait(1000);
    if (stage.socket().readyState === 0) stage.socket().fail();
  }
  const within = attempts(stage);
  assert.ok(within >= 4, `${within} attempts within the window`);
  await stage.clock.wait(600_000);
  assert.equal(attempts(stage), within);
  await stage.hide(false);
  assert.equal(attempts(stage), within + 1);
  assert.match(stage.socket().protocols[0], /^hf1\.r\./, 'the gateway is asked for the session all the same');
});

onPage('whileHidden always goes on, never waits at once', async (stage) => {
  for (const [whileHidden, grows] of [['always', true], ['never', false]]) {
    const ws = stage.make(undefined, [], { whileHidden });
    await stage.settle();
    await stage.greet({ window: 1000 });
    await stage.hide(true);
    drop(stage);
    const before = attempts(stage);
    await stage.clock.wait(30_000);
    assert.equal(attempts(stage) > before, grows, whileHidden);
    await stage.hide(false);
    assert.ok(attempts(stage) > before);
    ws.close();
    stage.socket().closed(1006);
  }
});

onPage('becoming visible does not wait for the backoff', async (stage) => {
  stage.make(undefined, [], { sessions: false });
  await stage.settle();
  for (let i = 0; i < 5; i++) {
    stage.socket().fail();
    await stage.retry();
  }
  stage.socket().fail();
  const before = attempts(stage);
  await stage.hide(true);
  await stage.hide(false);
  assert.equal(attempts(stage), before + 1);
});

onPage('a page that goes for good says bye; one that is kept abandons its connection and resumes when it is shown', async (stage) => {
  stage.make();
  await stage.settle();
  await stage.greet();
  stage.sent();
  await stage.page('pagehide', { persisted: true });
  assert.deepEqual(stage.Socket.wire.splice(0).map((e) => e.close?.code), [4499]);
  await stage.clock.wait(30_000);
  assert.equal(attempts(stage), 1, 'nothing is tried meanwhile');
  await stage.page('pageshow', { persisted: true });
  assert.equal(attempts(stage), 2);
  await stage.greet({ resumed: 1, token: 'T2' });
  assert.deepEqual(stage.types(), ['open', 'reconnecting', 'reconnected']);
  stage.sent();
  await stage.page('pagehide', { persisted: false });
  assert.equal(stage.Socket.wire[0].send, '\x01bye code=1001');
  assert.equal(stage.Socket.wire[1].close.code, 1000);
  stage.socket().closed(1000);
  await stage.clock.wait(60_000);
  assert.deepEqual(stage.types(), ['open', 'reconnecting', 'reconnected'], 'a page that is gone is told nothing');
  assert.equal(attempts(stage), 2);
});

onPage('a frozen page parks its session, and resumes it when it goes on', async (stage) => {
  stage.make();
  await stage.settle();
  await stage.greet();
  await stage.page('freeze');
  assert.equal(stage.Socket.wire.at(-1).close.code, 4499);
  await stage.page('resume');
  assert.match(stage.socket().protocols[0], /^hf1\.r\.T1\.7\.0\.1$/);
});

onPage('after an offline the connection is replaced at once, without it nothing happens', async (stage) => {
  stage.make();
  await stage.settle();
  await stage.greet();
  await stage.page('online');
  assert.equal(attempts(stage), 1);
  await stage.page('offline');
  assert.equal(attempts(stage), 1);
  await stage.page('online');
  assert.equal(attempts(stage), 2);
  assert.match(stage.socket().protocols[0], /^hf1\.r\./);
});

onPage('online does not wait for the backoff', async (stage) => {
  stage.make(undefined, [], { sessions: false });
  await stage.settle();
  for (let i = 0; i < 5; i++) {
    stage.socket().fail();
    await stage.retry();
  }
  stage.socket().fail();
  const before = attempts(stage);
  await stage.page('online');
  assert.equal(attempts(stage), before + 1);
});

onPage('silence for two beats gives the connection up, and the session is resumed', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet({ beat: 10_000 });
  for (let i = 0; i < 3; i++) {
    await stage.clock.wait(19_999);
    stage.socket().receive('\x01ack n=0');
  }
  await stage.clock.wait(19_999);
  assert.deepEqual(stage.types(), ['open']);
  await stage.clock.wait(1);
  assert.deepEqual(stage.types(), ['open', 'reconnecting']);
  assert.deepEqual([ws.lastClose.cause, ws.lastClose.silent_rx_ms], ['silent', 20_000]);
});

onPage('a timer that fires more than a beat late gives the connection another beat', async (stage) => {
  stage.make();
  await stage.settle();
  await stage.greet({ beat: 10_000 });
  await stage.clock.sleep(3_600_000);
  assert.deepEqual(stage.types(), ['open'], 'the machine slept: the gateway did not');
  await stage.clock.wait(9_999);
  stage.socket().receive('\x01ack n=0');
  await stage.clock.wait(10_001);
  assert.deepEqual(stage.types(), ['open']);
  await stage.clock.sleep(3_600_000);
  await stage.clock.wait(10_000);
  assert.deepEqual(stage.types(), ['open', 'reconnecting'], 'and nothing came');
});

onPage('a large message that was announced gets the time it needs', async (stage) => {
  stage.make();
  await stage.settle();
  await stage.greet({ beat: 10_000 });
  stage.socket().receive('\x01coming bytes=204800');
  await stage.clock.wait(119_000);
  assert.deepEqual(stage.types(), ['open']);
  await stage.clock.wait(1_000);
  assert.deepEqual(stage.types(), ['open', 'reconnecting']);
});

onPage('a socket that is closed listens to the page no more', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  assert.ok(stage.listeners.length > 5);
  ws.close();
  stage.socket().closed(1005);
  await stage.settle();
  assert.equal(stage.listeners.length, 0);
});

onPage('setHidden does for an application without a page what visibility does', async (stage) => {
  const ws = stage.make(undefined, [], { whileHidden: 'never' });
  await stage.settle();
  await stage.greet();
  ws.setHidden(true);
  drop(stage);
  await stage.clock.wait(60_000);
  assert.equal(attempts(stage), 1);
  ws.setHidden(false);
  await stage.settle();
  assert.equal(attempts(stage), 2);
});
