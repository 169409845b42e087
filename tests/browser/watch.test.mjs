// SPDX-License-Identifier: Apache-2.0
// The status page of `holdfast watch` in headless Chromium: without scripts, in light and dark, on a phone, with what strangers wrote in it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, accepts, backend, browser, freePort, start, temporary, until } from './harness.mjs';

const folder = temporary(), SHOTS = process.env.HOLDFAST_SHOTS;
let chromium, back, watch, url;

before(async () => {
  chromium = await browser(folder);
  back = await backend({ everyMs: 0 });
  const port = await freePort(), nobody = await freePort(), file = path.join(folder, 'watch.yaml');
  fs.writeFileSync(file, `listen: 127.0.0.1:${port}
ping_every: 50ms
check_every: 200ms
backoff_max: 100ms
recover: 1h
targets:
  - {url: 'ws://127.0.0.1:${back.port}/a?token=hush', name: 'chat <img src=x onerror=alert(1)>'}
  - {url: 'ws://127.0.0.1:${back.port}/b', name: quiet one, connections: 2}
  - {url: 'ws://127.0.0.1:${nobody}/', name: nobody}
`);
  watch = start([process.env.HOLDFAST_BIN || path.join(ROOT, 'build/holdfast'), 'watch', '-c', file], folder, 'watch');
  await until(() => accepts(port), () => watch.log());
  url = `http://127.0.0.1:${port}/`;
  const held = () => back.connections.filter((each) => each.path.startsWith('/a') && !each.closed);
  for (let n = 0; n < 4; n++) {
    await until(() => held().length > 0, 'a connection to be held');
    const [first] = held();
    first.socket.close(4000, '</ul><script>alert(1)</script>');
    await until(() => first.closed, 'it to be closed');
  }
  await until(async () => (await (await fetch(`${url}api/targets`)).json()).targets.filter((each) => each.state === 'up' && each.check?.success).length === 2,
    'two targets to be up');
  await until(async () => (await (await fetch(`${url}api/endings`)).json()).endings.some((each) => each.judged === 'premature' && !each.check), 'a drop of a held connection');
  await until(async () => (await (await fetch(`${url}api/incidents`)).json()).incidents.length >= 2, 'a drop and a refused connection to be incidents');
});

after(async () => {
  await chromium.close();
  await watch.stop();
  back.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function open({ colorScheme = 'light', width = 1100, scripts = true } = {}) {
  const page = await chromium.newPage();
  const seen = { requests: [], complaints: [] };
  page.on('request', (request) => seen.requests.push(request.url()));
  page.on('console', (message) => seen.complaints.push(message.text()));
  page.on('pageerror', (error) => seen.complaints.push(String(error)));
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize({ width, height: 900 });
  if (!scripts) await (await page.context().newCDPSession(page)).send('Emulation.setScriptExecutionDisabled', { value: true });
  await page.goto(url);
  return { page, seen };
}

/** The contrast of every text that is seen against what lies behind it: [ratio, text], the poorest first. */
const contrasts = (page) => page.evaluate(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgba('white');
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || ['STYLE', 'TITLE', 'DESC'].includes(element.tagName.toUpperCase())) continue;
    const style = getComputedStyle(element);
    const a = light(rgba(element.closest('svg') ? style.fill : style.color)), b = light(behind(element));
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0]);
});

test('without scripts it tells the state of each target, and nothing is asked of anybody else', async () => {
  const { page, seen } = await open({ scripts: false });
  assert.deepEqual(await page.locator('.badge').allTextContents(), ['up', 'up 2/2', 'down']);
  assert.match(await page.locator('header').textContent(), /2 of 3 up, 2 open incidents/);
  assert.equal(await page.locator('svg[aria-label^="Last 24 hours: up"]').count(), 3);
  assert.match(await page.locator('svg[aria-label^="Share of connections that still live"]').first().getAttribute('aria-label'), /\d of \d ended/);
  assert.equal(await page.locator('svg[aria-label^="The last"] polyline, svg[aria-label^="The last"]').count() > 0, true);
  assert.deepEqual(seen.requests.filter((each) => each !== url && !each.startsWith('data:')), []);
  await page.close();
});

test('what strangers wrote is text', async () => {
  const { page, seen } = await open();
  assert.equal(await page.locator('h2').first().textContent(), 'chat <img src=x onerror=alert(1)>');
  assert.equal(await page.locator('img, script, iframe').count(), 0);
  assert.match(await page.locator('.list').first().textContent(), /<script>alert\(1\)<\/script>/);
  assert.match(await page.locator('.list li.open').first().textContent(), /drop/);
  assert.equal((await page.content()).includes('hush'), false);
  assert.deepEqual(seen.complaints, []);
  await page.close();
});

for (const colorScheme of ['light', 'dark']) {
  test(`all of it can be read in ${colorScheme}`, async () => {
    const { page } = await open({ colorScheme });
    const poor = (await contrasts(page)).filter(([ratio]) => ratio < 4.5); // WCAG 2.2 1.4.3
    assert.deepEqual(poor, []);
    if (SHOTS) await page.screenshot({ path: path.join(SHOTS, `watch-${colorScheme}.png`), fullPage: true });
    await page.close();
  });
}

test('on a phone nothing has to be scrolled sideways', async () => {
  const { page } = await open({ width: 360 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 360, `${width} pixels wide`);
  if (SHOTS) await page.screenshot({ path: path.join(SHOTS, 'watch-phone.png'), fullPage: true });
  await page.close();
});
