// SPDX-License-Identifier: Apache-2.0
// Networks that let no WebSocket through, and those that buffer streams as well: the library goes over what is left, loses nothing, and
// the backend sees one WebSocket.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isStream, isUpgrade } from './harness.mjs';
import { chromium, opened, site, stage } from './scene.mjs';

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
