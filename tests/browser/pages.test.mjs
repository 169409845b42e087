// SPDX-License-Identifier: Apache-2.0
// The example pages, as the program holds them, with the applications they were made for: the inbox on Django Channels and Daphne, the
// chat on FastAPI and Uvicorn, both behind the gateway and a box that cuts.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, accepts, freePort, gateway, middlebox, pages, start, until } from './harness.mjs';
import { chromium, folder, scene } from './scene.mjs';

const PYTHON = '/usr/bin/python3', BACKENDS = path.join(ROOT, 'tests/integration/backends'), SECRET = 'a-secret-of-the-inbox-of-enough-length', TOKEN = 'a-token';
const servers = {};

before(async () => {
  const env = { PYTHONPATH: BACKENDS, PYTHONDONTWRITEBYTECODE: '1', INBOX_SECRET: SECRET, CHAT_TOKEN: TOKEN };
  for (const [name, argv] of [['inbox', ['daphne', '-b', '127.0.0.1', '-p']], ['chat', ['uvicorn', '--host', '127.0.0.1', '--port']]]) {
    const port = await freePort();
    servers[name] = { port, ...start([PYTHON, '-m', argv[0], ...argv.slice(1), String(port), `${name}:application`], folder, name, env) };
  }
  for (const server of Object.values(servers)) await until(() => accepts(server.port), () => server.log(), 40_000);
});

after(async () => {
  for (const server of Object.values(servers)) await server.stop();
});

function jsonWebToken() {
  const part = (what) => Buffer.from(typeof what === 'string' ? what : JSON.stringify(what)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + 600 })}`;
  return `${signed}.${crypto.createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

/** The page with its server, whose box cuts at POST /cut. */
async function visit(name, query, look = {}) {
  const gate = await gateway(folder, servers[name].port);
  scene.push(gate.stop);
  const box = await middlebox(gate.port);
  scene.push(box.stop);
  /** The gateway is killed, and one that knows no session takes its place. */
  box.restart = async () => {
    gate.child.kill('SIGKILL');
    await until(async () => !(await accepts(gate.port)), 'the gateway to be gone');
    scene.push((await gateway(folder, servers[name].port, [], gate.port)).stop);
  };
  const site = await pages(path.join(ROOT, 'src/tools/pages'), {
    '/demo.json': () => JSON.stringify({ [name]: `ws://127.0.0.1:${box.port}${query}`, cut: true }),
    '/cut': (request) => { assert.equal(request.method, 'POST'); box.cut(); return ''; },
  });
  scene.push(site.stop);
  const page = await chromium.newPage();
  scene.push(() => page.close());
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  if (look.size) await page.setViewportSize(look.size);
  await page.goto(`${site.url}/${name}.html`);
  await page.locator("#state[data-state=connected]").waitFor();
  return { page, box };
}

const fact = (page, name) => page.evaluate((name) => [...document.querySelectorAll('.facts div')].find((row) => row.firstChild.textContent === name).lastChild.textContent, name);

test('the chat on Uvicorn: an answer that is cut three times arrives whole', async () => {
  const { page, box } = await visit('chat', `/ws/chat?token=${TOKEN}`);
  await page.getByText('Why do sockets die?').click();
  for (let i = 1; i <= 3; i++) {
    const before = Number(await fact(page, 'pieces'));
    await until(async () => Number(await fact(page, 'pieces')) >= before + 5, 'five more pieces');
    await page.getByRole('button', { name: 'Cut my connection' }).click();
    await until(() => box.cuts === i, 'the cut');
    await until(async () => (await fact(page, 'cuts')) === String(i), 'the page to see it');
    await page.locator('#state[data-state=resumed]').waitFor();
  }
  await page.getByText('120 pieces, none missing; cut 3 times').waitFor();
  const words = await page.locator('.answer .words').textContent();
  assert.equal(words, Array.from({ length: 120 }, (_, i) => `word ${i} `).join(''));
  assert.deepEqual([await fact(page, 'missing'), await fact(page, 'answers')], ['0', '1']);
  assert.deepEqual(page.complaints, []);
});

test('the inbox on Daphne: what is written while the connection is away arrives, once, and counts as unread', async () => {
  const { page, box } = await visit('inbox', `/ws/inbox/?token=${jsonWebToken()}`, { size: { width: 320, height: 640 } });
  const write = async (text) => { await page.getByPlaceholder('Write to yourself').fill(text); await page.keyboard.press('Enter'); };
  await write('before');
  await page.getByText('before', { exact: true }).waitFor();
  box.rule = () => 'reset';
  await page.getByRole('button', { name: 'Cut my connection' }).click();
  await page.locator('#state[data-state=reconnecting]').waitFor();
  await write('meanwhile');
  box.rule = () => 'pass';
  await page.getByText('meanwhile', { exact: true }).waitFor();
  assert.deepEqual(await page.locator('.letters p').allTextContents(), ['meanwhile', 'before']);
  assert.equal(await page.title(), '(2) Inbox');
  await page.getByRole('button', { name: 'Mark all read' }).click();
  assert.equal(await page.title(), 'Inbox');
  assert.ok(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), 'nothing sticks out of a phone');
  assert.deepEqual(page.complaints, []);
});

test('the inbox says so when its session is lost, with how many of its messages may be, and goes on with a new one', async () => {
  const { page, box } = await visit('inbox', `/ws/inbox/?token=${jsonWebToken()}`);
  box.rule = () => 'reset';
  box.silent = true; // what goes now never arrives
  await page.getByPlaceholder('Write to yourself').fill('lost with its session');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Cut my connection' }).click();
  await page.locator('#state[data-state=reconnecting]').waitFor();
  box.silent = false;
  await box.restart();
  box.rule = () => 'pass';
  await page.getByText(/^A session was lost; [12] of your messages may not have arrived/).waitFor({ timeout: 20_000 });
  await page.locator('#state[data-state=connected]').waitFor();
  assert.deepEqual(page.complaints, []);
});

test('the demo\'s first page: the same cuts close the plain side and lose its messages, and the held side sees nothing', async () => {
  const port = await freePort();
  const program = process.env.HOLDFAST_BIN || path.join(ROOT, 'build/holdfast');
  const demo = start([program, 'demo', `--web=127.0.0.1:${port}`], folder, 'demo');
  scene.push(demo.stop);
  await until(() => accepts(port), () => demo.log());
  const page = await chromium.newPage();
  scene.push(() => page.close());
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(`http://127.0.0.1:${port}/`);
  const side = (name) => page.evaluate((name) => Object.fromEntries([...document.querySelectorAll(`#${name} .facts div`)].map((row) => [row.firstChild.textContent, row.lastChild.textContent])), name);
  await until(async () => Number((await side('held')).received) >= 2 && Number((await side('plain')).received) >= 2, 'messages on both sides');
  for (let i = 1; i <= 3; i++) {
    await page.getByRole('button', { name: 'Cut both connections' }).click();
    await until(async () => Number((await side('held')).cuts) >= i && Number((await side('plain')).cuts) >= i, 'the cut on both sides');
    await page.locator('#plain .state[data-state=connected]').waitFor();
    await page.locator('#held .state:is([data-state=resumed], [data-state=connected])').waitFor();
  }
  await until(async () => Number((await side('plain')).lost) > 0, 'the plain side to lose a message');
  const held = await side('held'), plain = await side('plain');
  assert.deepEqual([held['closes seen'], held.lost, held.doubled, held['in order']], ['0', '0', '0', 'yes']);
  assert.ok(Number(plain['closes seen']) >= 3);
  assert.deepEqual(complaints, []);
});
