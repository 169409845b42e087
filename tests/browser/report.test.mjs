// SPDX-License-Identifier: Apache-2.0
// The report of `holdfast diagnose`, as the program writes it, in a browser: nothing is loaded from elsewhere, nothing overlaps, and it can
// be read on a phone, in the dark and without scripts. HOLDFAST_SHOTS names a folder for its pictures.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ROOT } from './harness.mjs';
import { chromium, folder, scene } from './scene.mjs';

const require = createRequire(path.join(ROOT, 'tests/js/package.json'));
const { WebSocketServer } = require('ws');
const HOLDFAST = process.env.HOLDFAST_BIN ?? path.join(ROOT, 'build/holdfast');
const file = path.join(folder, 'report.html');
const REASON = 'too <b>quiet</b> & "dead"';
const LOOKS = [[1200, 'light'], [1200, 'dark'], [390, 'light'], [390, 'dark']];

/** A server whose connections die after 1.2 s without a message or ping. */
before(async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await new Promise((resolve) => server.on('listening', resolve));
  server.on('connection', (socket) => {
    let timer;
    const heard = () => { clearTimeout(timer); timer = setTimeout(() => socket.close(4000, REASON), 1200); };
    for (const event of ['message', 'ping', 'pong']) socket.on(event, heard);
    socket.on('message', (data) => socket.send(data.toString()));
    socket.on('error', () => {});
    heard();
  });
  await new Promise((resolve, reject) => {
    execFile(HOLDFAST, ['diagnose', '-q', '--budget', '12s', '--report', file, `ws://127.0.0.1:${server.address().port}/?token=secret`],
      { timeout: 60_000 }, (error, out, err) => (error && ![1, 4].includes(error.code) ? reject(new Error(`${error.message} ${out} ${err}`)) : resolve()));
  });
  server.close();
  for (const socket of server.clients) socket.terminate();
});

async function visit(width, colors) {
  const page = await chromium.newPage();
  scene.push(() => page.close());
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme: colors });
  page.asked = [];
  page.complaints = [];
  page.on('request', (request) => page.asked.push(request.url()));
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.goto(pathToFileURL(file).href);
  if (process.env.HOLDFAST_SHOTS) await page.screenshot({ path: path.join(process.env.HOLDFAST_SHOTS, `report-${colors}-${width}.png`), fullPage: true });
  return page;
}

/** Relative luminance and contrast, as WCAG has them. */
const contrast = (a, b) => {
  const light = (color) => color.match(/[\d.]+/g).slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};

test('it says what was found, and what strangers wrote stays text', async () => {
  const page = await visit(1200, 'light');
  assert.match(await page.locator('h1').innerText(), /idle timer of 1\.(2|2\d|3) s/); // setTimeout is late, never early
  const text = await page.locator('main').innerText();
  assert.ok(text.includes('idle_timer') && text.includes(REASON), 'the class and the reason');
  assert.ok(!text.includes('secret'), 'the token is not shown');
  assert.equal(await page.locator('main b').count(), 0);
  assert.deepEqual(page.asked, [pathToFileURL(file).href], 'nothing is asked for but the file');
  assert.deepEqual(page.complaints, []);
});

test('every picture has a name for those who do not see it, and marks that can be read', async () => {
  const page = await visit(1200, 'light');
  const names = await page.evaluate(() => [...document.querySelectorAll('svg')].map((svg) => svg.getAttribute('aria-labelledby').split(' ').map((id) => document.getElementById(id).textContent)));
  assert.equal(names.length, 5);
  for (const [title, description] of names) assert.ok(title.length > 5 && description.length > 30);
  assert.ok(await page.locator('svg .death > title').count() > 2);
});

for (const [width, colors] of LOOKS) {
  test(`nothing overlaps or runs out of the page at ${width} px in ${colors}`, async () => {
    const page = await visit(width, colors);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'the page itself does not scroll sideways');
    const over = await page.evaluate(() => {
      const found = [];
      for (const svg of document.querySelectorAll('svg')) {
        const frame = svg.getBoundingClientRect();
        const labels = [...svg.querySelectorAll('text')].map((node) => ({ text: node.textContent, ...node.getBoundingClientRect().toJSON() }));
        for (const [i, a] of labels.entries()) {
          if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1) found.push(`outside: ${a.text}`);
          for (const b of labels.slice(i + 1)) {
            if (a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom) found.push(`${a.text} | ${b.text}`);
          }
        }
      }
      return found;
    });
    assert.deepEqual(over, []);
    const [text, soft, back] = await page.evaluate(() => [getComputedStyle(document.body).color, getComputedStyle(document.querySelector('.kicker')).color, getComputedStyle(document.body).backgroundColor]);
    assert.ok(contrast(text, back) > 7 && contrast(soft, back) > 4.5, `${text} and ${soft} on ${back}`);
  });
}
