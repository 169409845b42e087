// SPDX-License-Identifier: Apache-2.0
// The library in headless Chromium against the real gateway and a backend that knows nothing of sessions: whatever happens to the
// connection or the page, numbered messages arrive once and in order both ways, and the backend sees one connection.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepts, backend, devtools, gateway, until } from './harness.mjs';
import { address, chromium, folder, ofPage, opened, scene, site, stage } from './scene.mjs';

test('ten cuts, each a reset: neither the page nor the backend notices', async () => {
  const { back, box } = await stage();
  const it = await opened(box);
  for (let i = 1; i <= 10; i++) {
    await it.more(3);
    box.cut();
    await it.saw('reconnected', i);
  }
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
  assert.equal(back.connections[0].closed, null);
  assert.deepEqual((await it.events()).filter((type) => type === 'open' || type === 'close' || type === 'error'), ['open']);
});

test('binary messages and texts that look like control messages arrive as they were sent', async () => {
  const { back, box } = await stage();
  const it = await opened(box, { every: 0 });
  await it.evaluate(`run.socket.send('\\x01ack n=9'); run.socket.send(new Uint8Array([0, 1, 255])); run.socket.send(new Blob(['blob'])); run.socket.send('last')`);
  const [connection] = back.connections;
  await until(() => connection.received.length === 4, () => JSON.stringify(connection.received));
  assert.deepEqual(connection.received, ['\x01ack n=9', [0, 1, 255], [...Buffer.from('blob')], 'last']);
  clearInterval(connection.timer);
  const before = await it.received();
  connection.socket.send('\x01end reason=no');
  connection.socket.send(Buffer.from([7, 0, 7]));
  await until(async () => (await it.received()) >= before + 2, 'two messages');
  assert.deepEqual((await it.evaluate(`Promise.all(run.received.map(async (data) => typeof data === 'string' ? data : [...new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data)]))`)).slice(-2),
    ['\x01end reason=no', [7, 0, 7]]);
});

test('offline for a while: it comes back when the network does, without waiting its turn', async () => {
  const { back, box } = await stage();
  const it = await opened(box, { chance: 0.9, options: JSON.stringify({ minReconnectionDelay: 60_000, maxReconnectionDelay: 60_000 }) });
  await it.more(3);
  await chromium.setOffline(true);
  scene.push(() => chromium.setOffline(false));
  box.cut();
  await it.saw('reconnecting', 2); // the first attempt has failed, the second one is 54 s away
  await chromium.setOffline(false);
  await it.saw('reconnected');
  await it.more(3);
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
});

test('another network: a connection of the old one is given up when the page comes online', async () => {
  const { back, box } = await stage();
  const it = await opened(box);
  await it.more(3);
  box.silent = true; // what was sent over the old network goes nowhere
  await chromium.setOffline(true);
  scene.push(() => chromium.setOffline(false));
  await until(() => it.evaluate('!navigator.onLine'), 'offline');
  box.silent = false;
  box.forget(); // the connections of before stay silent
  await chromium.setOffline(false);
  await it.saw('reconnected');
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
});

const HIDE = (state) => `Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => '${state}' });
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${state === 'hidden'} });
  document.dispatchEvent(new Event('visibilitychange'));`;

test('a hidden page resumes as long as its session waits', async () => {
  const { back, box } = await stage();
  const it = await opened(box);
  await it.more(3);
  await it.evaluate(HIDE('hidden'));
  box.cut();
  await it.saw('reconnected');
  await it.evaluate(HIDE('visible'));
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
});

test('a hidden page stops trying when its session cannot be there any more, and says what was lost when it is seen', async () => {
  const { back, box } = await stage(['--session-window', '1s']);
  const it = await opened(box, { options: JSON.stringify({ minReconnectionDelay: 100, maxReconnectionDelay: 200 }) });
  await it.more(3);
  await it.evaluate(HIDE('hidden'));
  box.rule = () => 'reset';
  box.cut();
  await until(() => back.connections[0].closed, 'the gateway to give the session up');
  await until(() => it.evaluate('run.socket.nextRetryAt === null'), 'no attempt to be planned');
  const tried = box.heads.length;
  assert.ok(tried > 2, `${tried} attempts`);
  await new Promise((resolve) => setTimeout(resolve, 1000)); // several attempts' time, in which none comes
  assert.equal(box.heads.length, tried);
  box.rule = () => 'pass';
  await it.evaluate(HIDE('visible'));
  await it.saw('open', 2);
  assert.deepEqual((await it.events()).filter((type) => type !== 'reconnecting'), ['open', 'close', 'open']);
  const close = await it.evaluate(`run.events.find((event) => event.type === 'close')`);
  assert.ok(close.unacknowledged > 0, 'messages were handed back');
  assert.equal(back.connections.length, 2);
});

test('a page that was in the back-forward cache goes on with its session', async () => {
  const { back, box } = await stage();
  const it = await opened(box);
  await it.more(3);
  await it.evaluate('window.mark = 1');
  await it.page.goto(`${site.url}/away.html`);
  await it.page.evaluate('history.back()');
  await until(() => it.page.evaluate('window.mark === 1').catch(() => false), 'the same page again');
  assert.equal(await it.evaluate('run.persisted'), true);
  await it.saw('reconnected');
  await it.more(3);
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
});

test('a page that goes for good ends its session at once', async () => {
  const { back, box } = await stage();
  const it = await opened(box);
  await it.more(3);
  await it.page.close();
  await until(() => back.connections[0].closed, 'the backend to see the Close');
});

test('a frozen page whose connection died meanwhile resumes when it is thawed', async () => {
  const { back, box } = await stage();
  const tab = await devtools(folder, address(box));
  scene.push(tab.stop);
  const it = ofPage(null, tab.evaluate);
  await it.saw('open');
  await it.more(3);
  await tab.send('Page.setWebLifecycleState', { state: 'frozen' });
  const sent = await tab.evaluate('run.sent');
  box.cut();
  await until(() => back.connections[0].sent > back.connections[0].received.length + 10, 'the backend to go on alone');
  assert.ok(await tab.evaluate('run.sent') <= sent + 1, 'the page stood still');
  await tab.send('Page.setWebLifecycleState', { state: 'active' });
  await tab.send('Page.bringToFront');
  await it.saw('reconnected');
  await it.more(3);
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
  assert.deepEqual(await tab.evaluate('run.lifecycle'), ['freeze', 'resume']);
});

test('a duplicated tab has a session of its own, and neither takes the other one over', async () => {
  const { back, box } = await stage();
  const it = await opened(box);
  await it.more(3);
  const [page] = await Promise.all([chromium.waitForEvent('page'), it.evaluate('void window.open(location.href)')]);
  scene.push(() => page.close());
  const other = ofPage(page);
  await until(() => page.evaluate('!!window.run').catch(() => false), 'the page');
  await other.saw('open');
  await other.more(3);
  box.cut();
  await it.saw('reconnected');
  await other.saw('reconnected');
  assert.equal(back.connections.length, 2);
  await it.exact(back.connections[0]);
  await other.exact(back.connections[1]);
});

test('the gateway is gone for a moment and comes back without its sessions: the page is told, once', async () => {
  const { back, gate, box } = await stage();
  const it = await opened(box);
  await it.more(3);
  gate.child.kill('SIGKILL');
  await until(async () => !(await accepts(gate.port)), 'the gateway to be gone');
  const again = await gateway(folder, back.port, [], gate.port);
  scene.push(again.stop);
  await it.saw('open', 2);
  assert.deepEqual((await it.events()).filter((type) => type === 'open' || type === 'close' || type === 'reconnected'), ['open', 'close', 'open']);
  await until(() => back.connections.length === 2, 'a second connection to the backend');
});

test('a backend that is killed and started again under hold: the page sees no close, only what may not have been processed', async () => {
  const { back, box } = await stage(['--on-backend-loss', 'hold']);
  const it = await opened(box);
  await it.more(3);
  await it.evaluate('run.stop()');
  const { port } = back;
  back.stop();
  const other = await backend({ port });
  scene.push(other.stop);
  await it.saw('rebound');
  await it.more(3);
  await it.evaluate(`run.socket.send('to the new one')`);
  assert.deepEqual((await it.events()).filter((type) => type !== 'rebound'), ['open']);
  const { from, to } = await it.evaluate(`run.events.find((event) => event.type === 'rebound')`);
  const had = back.connections[0].received.length, sent = await it.evaluate('run.sent');
  assert.ok(from <= had && had <= to && to <= sent, `${from} to ${to}; the old one had ${had} of ${sent}`);
  const rest = Array.from({ length: sent - to }, (_, i) => `c${to + i + 1}`);
  await until(() => other.connections[0].received.length > rest.length, 'the rest at the new one');
  assert.deepEqual(other.connections[0].received, [...rest, 'to the new one'], 'what the old one may have had is not sent again');
});
