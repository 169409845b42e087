// SPDX-License-Identifier: Apache-2.0
// What every browser test has: a stage that is cleared behind it, pages that are asked, and what it must have come to.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, afterEach, before } from 'node:test';
import { backend, browser, gateway, middlebox, numbered, pages, temporary, until } from './harness.mjs';

export const folder = temporary();
export let site, chromium, scene = [];

before(async () => {
  site = await pages();
  chromium = await browser(folder, ['--disable-back-forward-cache']);
});

afterEach(async () => {
  for (const end of scene.splice(0).reverse()) await end();
});

after(async () => {
  await chromium.close();
  site.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

/** A backend, a gateway before it and a box before that. */
export async function stage(flags = []) {
  const back = await backend();
  scene.push(back.stop);
  const gate = await gateway(folder, back.port, flags);
  scene.push(gate.stop);
  const box = await middlebox(gate.port);
  scene.push(box.stop);
  return { back, gate, box };
}

export const address = (box, query = {}) =>
  `${site.url}/page.html?${new URLSearchParams({ url: `ws://127.0.0.1:${box.port}/ws`, ...query })}`;

/** A page with a socket that is open. */
export async function opened(box, query = {}) {
  const page = await chromium.newPage();
  scene.push(() => page.close());
  page.on('pageerror', (error) => { page.complaint = error; });
  await page.goto(address(box, query));
  const it = ofPage(page);
  await it.saw('open');
  return it;
}

/** What can be asked of the page, and what it must have come to. */
export function ofPage(page, evaluate = (what) => page.evaluate(what)) {
  const it = {
    page,
    evaluate,
    events: () => evaluate('run.events.map((event) => event.type)'),
    count: async (type) => (await it.events()).filter((each) => each === type).length,
    saw: (type, times = 1) => until(async () => (await it.count(type)) >= times, async () => `${times} × ${type}; have ${JSON.stringify(await evaluate('run.events'))}`),
    received: () => evaluate('run.received.length'),
    /** So many more messages have come. */
    more: async (n, within) => {
      const from = await it.received();
      await until(async () => (await it.received()) >= from + n, async () => `${n} more messages; ${JSON.stringify(await evaluate('[run.events, run.socket.lastClose]'))}`, within);
    },
    /** Both ends stop sending; then nothing is missing, doubled or out of order on either. */
    exact: async (connection) => {
      clearInterval(connection.timer);
      await evaluate('run.stop()');
      const sent = await evaluate('run.sent');
      await until(async () => (await it.received()) >= connection.sent && connection.received.length >= sent,
        async () => `the rest: the page has ${await it.received()} of ${connection.sent}, the backend ${connection.received.length} of ${sent}`);
      assert.equal(numbered(await evaluate('run.received'), 's'), true, 'what the page received');
      assert.equal(numbered(connection.received, 'c'), true, 'what the backend received');
      assert.equal(await it.received(), connection.sent);
      assert.equal(connection.received.length, sent);
      assert.ok(sent > 0 && connection.sent > 0);
      if (page) assert.equal(page.complaint, undefined);
    },
  };
  return it;
}
