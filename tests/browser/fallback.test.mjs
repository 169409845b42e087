// SPDX-License-Identifier: Apache-2.0
// Networks that let no WebSocket through, and those that buffer streams as well: the library goes over what is left, loses nothing, and
// the backend sees one WebSocket.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isStream, isUpgrade, numbered, until } from './harness.mjs';
import { chromium, opened, scene, site, stage } from './scene.mjs';

test('where WebSockets are refused it goes over Server-Sent Events, and resumes there', async () => {
  const { back, box } = await stage();
  box.rule = (head) => (isUpgrade(head) ? 'refuse' : 'pass');
  const it = await opened(box);
  assert.equal(await it.evaluate('run.socket.stats().transport'), 'sse');
  for (let i = 1; i <= 3; i++) {
    await it.more(3);
    box.cut();
    await it.saw('reconnected', i);
  }
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
});

test('where streams are buffered as well it goes over long polls, and resumes there', async () => {
  const { back, box } = await stage();
  box.rule = (head) => (isUpgrade(head) ? 'refuse' : isStream(head) ? 'hold' : 'pass');
  const it = await opened(box);
  assert.equal(await it.evaluate('run.socket.stats().transport'), 'poll');
  for (let i = 1; i <= 2; i++) {
    await it.more(3);
    box.cut();
    await it.more(3);
  }
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
});

test('a session that WebSocket is refused to in its middle goes on over Server-Sent Events', async () => {
  const { back, box } = await stage();
  const it = await opened(box, { options: JSON.stringify({ minReconnectionDelay: 100, maxReconnectionDelay: 200 }) });
  await it.more(3);
  assert.equal(await it.evaluate('run.socket.stats().transport'), 'websocket');
  box.rule = (head) => (isUpgrade(head) ? 'refuse' : 'pass');
  box.cut();
  await it.saw('reconnected');
  assert.equal(await it.evaluate('run.socket.stats().transport'), 'sse');
  await it.more(3);
  await it.exact(back.connections[0]);
  assert.equal(back.connections.length, 1);
});

test('cookies go along with streams where the gateway names the page\'s origin, and stay at home where any page may come', async () => {
  for (const named of [true, false]) {
    const { box } = await stage(named ? ['--origins', site.url] : []);
    box.rule = (head) => (isUpgrade(head) ? 'refuse' : 'pass');
    await chromium.addCookies([{ name: 'who', value: 'ada', url: site.url }]);
    const it = await opened(box);
    await it.more(3);
    const requests = box.heads.filter((head) => /^hf-(open|key):/im.test(head));
    const read = requests.filter((head) => /^(GET|POST)/.test(head));
    assert.ok(read.length >= 2, `${read.length} requests`);
    assert.deepEqual(new Set(read.map((head) => /^cookie: .*who=ada/im.test(head))), new Set([named]));
  }
});

/** In the page: an EventSource by hand and POSTs by fetch, no library at all. */
function byHand(url) {
  const run = (window.run = { received: [], gaps: [], opens: 0, statuses: [] });
  run.source = new EventSource(url);
  run.source.addEventListener('hello', (event) => {
    run.opens++;
    run.key = new URLSearchParams(event.data.replaceAll(' ', '&')).get('key');
  });
  run.source.addEventListener('message', (event) => run.received.push(event.data));
  run.source.addEventListener('gap', (event) => run.gaps.push(event.data));
  run.source.addEventListener('close', (event) => { run.closed = event.data; });
  run.post = (text) => fetch(url, { method: 'POST', headers: { 'HF-Key': run.key, 'Content-Type': 'text/plain' }, body: text })
    .then((answer) => run.statuses.push(answer.status, answer.headers.get('HF-Received')));
}

test('a browser\'s own EventSource is enough: it comes back by itself, misses nothing, and stays away when the backend has closed', async () => {
  const { back, box } = await stage(['--origins', site.url]);
  const page = await chromium.newPage();
  scene.push(() => page.close());
  await page.goto(`${site.url}/page.html?url=ws://127.0.0.1:${box.port}/none`).catch(() => {});
  await page.evaluate(byHand, `http://127.0.0.1:${box.port}/ws`);
  const hand = () => back.connections.find((each) => each.path === '/ws');
  const count = () => page.evaluate('run.received.length');
  await until(async () => (await count()) >= 3, 'the first messages');
  await page.evaluate('run.post("c1").then(() => run.post("c2"))');
  assert.deepEqual(await page.evaluate('run.statuses'), [200, '1', 200, '2']);
  for (let i = 2; i <= 3; i++) {
    box.cut();
    await until(async () => (await page.evaluate('run.opens')) >= i, `hello number ${i}`, 20_000);
    const from = await count();
    await until(async () => (await count()) >= from + 3, 'more messages');
  }
  clearInterval(hand().timer);
  await until(async () => (await count()) >= hand().sent, async () => `all ${hand().sent} messages; has ${await count()}`);
  assert.equal(numbered(await page.evaluate('run.received'), 's'), true, 'what the page received');
  assert.deepEqual(hand().received, ['c1', 'c2']);
  assert.deepEqual(await page.evaluate('run.gaps'), []);
  assert.equal(back.connections.filter((each) => each.path === '/ws').length, 1);
  hand().socket.close(4000, 'enough');
  await until(() => page.evaluate('run.closed'), 'the event close');
  assert.equal(await page.evaluate('run.closed'), 'code=4000 reason=enough');
  await until(async () => (await page.evaluate('run.source.readyState')) === 2, 'an EventSource that has given up (204)', 20_000);
  assert.equal(back.connections.filter((each) => each.path === '/ws').length, 1);
});
