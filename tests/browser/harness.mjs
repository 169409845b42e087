// SPDX-License-Identifier: Apache-2.0
// What the browser tests stand on: a backend that knows nothing of sessions, the built gateway, a middlebox between browser and
// gateway that can be told what to do to connections, a server of pages, and headless Chromium. All on loopback.
import { createRequire } from 'node:module';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const require = createRequire(path.join(ROOT, 'tests/js/package.json'));
const WebSocket = require('ws');
const { WebSocketServer } = WebSocket;
const { chromium } = require('playwright-core');

const SWITCHES = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const DEADLINE = 20_000; // ms: what a loaded machine may need for anything that should happen soon

/** Waits until the condition gives something true, and returns that. */
export async function until(condition, what, within = DEADLINE) {
  const end = Date.now() + within;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${within} ms: ${typeof what === 'function' ? await what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

function listen(server) {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
}

/** A port that was free a moment ago. */
export async function freePort() {
  const server = net.createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An ordinary WebSocket server: each connection is sent s1, s2, … and what came is kept. */
export async function backend({ everyMs = 40, port = 0 } = {}) {
  const server = new WebSocketServer({ host: '127.0.0.1', port });
  await new Promise((resolve) => server.on('listening', resolve));
  const connections = [];
  server.on('connection', (socket, request) => {
    const connection = { socket, path: request.url, protocols: request.headers['sec-websocket-protocol'], received: [], sent: 0, closed: null };
    connections.push(connection);
    socket.on('message', (data, binary) => connection.received.push(binary ? [...data] : data.toString()));
    socket.on('close', (code, reason) => { connection.closed = [code, reason.toString()]; });
    socket.on('error', () => {});
    connection.timer = everyMs && setInterval(() => { if (socket.readyState === 1) socket.send(`s${++connection.sent}`); }, everyMs);
    socket.on('close', () => clearInterval(connection.timer));
  });
  return {
    connections,
    port: server.address().port,
    stop: () => { connections.forEach((each) => { clearInterval(each.timer); each.socket.terminate(); }); server.close(); },
  };
}

/** Starts a program; its output goes to a file in the folder. */
export function start(argv, folder, name, env = {}) {
  const file = path.join(folder, `${name}.log`);
  const out = fs.openSync(file, 'w');
  const child = spawn(argv[0], argv.slice(1), { stdio: ['ignore', out, out], env: { ...process.env, ...env }, cwd: ROOT });
  fs.closeSync(out);
  let ended = false;
  child.on('exit', () => { ended = true; });
  return {
    child,
    log: () => fs.readFileSync(file, 'utf8'),
    running: () => !ended,
    stop: async () => {
      if (ended) return;
      child.kill('SIGTERM');
      await until(() => { if (!ended) child.kill('SIGTERM'); return ended; }, `${name} to end`).catch(() => child.kill('SIGKILL'));
    },
  };
}

export function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

/** `holdfast serve` before the backend at that port. */
export async function gateway(folder, backendPort, flags = [], port = 0) {
  port = port || await freePort();
  const admin = await freePort();
  const program = process.env.HOLDFAST_BIN || path.join(ROOT, 'build/holdfast');
  const process_ = start([program, 'serve', '--listen', `127.0.0.1:${port}`, '--upstream', `ws://127.0.0.1:${backendPort}`,
    '--admin', `127.0.0.1:${admin}`, ...flags], folder, `holdfast-${port}-${admin}`);
  await until(async () => {
    if (!process_.running()) throw new Error(`holdfast ended\n${process_.log()}`);
    return accepts(port);
  }, () => `holdfast does not listen\n${process_.log()}`);
  return { ...process_, port, admin };
}

/** A box in the path. What it does to a connection with this request head is asked of `rule`:
 * 'pass', 'refuse' (answers 403), 'hold' (passes the request, keeps the answer back) or 'reset'. */
export async function middlebox(targetPort) {
  const box = { rule: () => 'pass', pairs: new Set(), heads: [], cuts: 0, silent: false };
  const deaf = (pair) => box.silent || pair.deaf;
  const server = net.createServer((client) => {
    const target = net.connect(targetPort, '127.0.0.1'), pair = { client, target, head: null };
    box.pairs.add(pair);
    let verdict, upgraded = false;
    const end = () => { box.pairs.delete(pair); client.destroy(); target.destroy(); };
    client.on('data', (data) => {
      // A connection that was kept carries one request after another; each is judged.
      if (verdict === undefined || (verdict !== 'refuse' && !upgraded && /^(GET|POST|OPTIONS) /.test(data.toString('latin1', 0, 8)))) {
        pair.head = data.toString('latin1').split('\r\n\r\n')[0];
        box.heads.push(pair.head);
        verdict = box.rule(pair.head);
        upgraded = isUpgrade(pair.head);
        if (verdict === 'refuse') {
          client.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
          target.destroy();
          return;
        }
        if (verdict === 'reset') { client.resetAndDestroy(); target.destroy(); return; }
      }
      if (verdict !== 'refuse' && !deaf(pair)) target.write(data);
    });
    target.on('data', (data) => { if (verdict !== 'hold' && !deaf(pair)) client.write(data); });
    client.on('close', end); target.on('close', () => { if (verdict !== 'refuse') end(); });
    client.on('error', end); target.on('error', () => { if (verdict !== 'refuse') end(); });
  });
  box.port = await listen(server);
  /** Every connection through the box ends at once, with RST on both sides. */
  box.cut = () => {
    for (const { client, target } of [...box.pairs]) { client.resetAndDestroy(); target.resetAndDestroy(); box.cuts++; }
    box.pairs.clear();
  };
  /** The connections of now neither end nor carry anything any more. */
  box.forget = () => { for (const pair of box.pairs) pair.deaf = true; };
  box.stop = () => { box.cut(); server.close(); };
  return box;
}

export const isUpgrade = (head) => /^upgrade: websocket/im.test(head);
export const isStream = (head) => /^accept:.*text\/event-stream/im.test(head);

/** Serves js/dist at /dist, the page of these tests at /page.html, a page to go to at /away.html, and a folder when asked. */
export async function pages(folder, answers = {}) {
  const places = { '/page.html': path.join(ROOT, 'tests/browser/page.html'), '/page.mjs': path.join(ROOT, 'tests/browser/page.mjs') };
  const server = http.createServer((request, response) => {
    const where = new URL(request.url, 'http://page').pathname;
    if (answers[where]) return void response.end(answers[where](request));
    if (where === '/away.html') return void response.end('<!doctype html><title>away</title>');
    const file = places[where] || (where.startsWith('/dist/') ? path.join(ROOT, 'js', where)
      : folder && path.join(folder, where === '/' ? 'index.html' : where));
    if (!file || !fs.existsSync(file)) { response.statusCode = 404; return void response.end(); }
    response.setHeader('Content-Type', /js$/.test(where) ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(fs.readFileSync(file));
  });
  const port = await listen(server);
  return { port, url: `http://127.0.0.1:${port}`, stop: () => { server.closeAllConnections(); server.close(); } };
}

/** Chromium with a profile of its own. `keep`: Playwright's switches that are taken out. */
export async function browser(folder, keep = []) {
  return chromium.launchPersistentContext(fs.mkdtempSync(path.join(folder, 'profile-')), {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    args: SWITCHES,
    ignoreDefaultArgs: keep,
  });
}

/** A tab of a Chromium of its own, driven over the DevTools protocol alone: Playwright holds each page visible, and a visible page
 * cannot be frozen. */
export async function devtools(folder, url) {
  const profile = fs.mkdtempSync(path.join(folder, 'profile-')), file = path.join(profile, 'DevToolsActivePort');
  const chrome = start([process.env.CHROMIUM || '/usr/bin/chromium', ...SWITCHES, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'],
    folder, `chromium-${path.basename(profile)}`);
  const port = await until(() => fs.existsSync(file) && fs.readFileSync(file, 'utf8').split('\n')[1] && fs.readFileSync(file, 'utf8').split('\n')[0],
    () => `Chromium does not listen\n${chrome.log()}`, 30_000);
  const tab = await until(async () => (await (await fetch(`http://127.0.0.1:${port}/json`)).json()).find((target) => target.type === 'page'), 'a tab');
  const socket = new WebSocket(tab.webSocketDebuggerUrl), waiting = new Map();
  await new Promise((resolve) => socket.on('open', resolve));
  socket.on('message', (data) => {
    const answer = JSON.parse(data);
    if (!waiting.has(answer.id)) return;
    const [resolve, reject] = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (answer.error) reject(new Error(answer.error.message)); else resolve(answer.result);
  });
  let last = 0;
  const send = (method, params = {}) => new Promise((resolve, reject) => {
    waiting.set(++last, [resolve, reject]);
    socket.send(JSON.stringify({ id: last, method, params }));
  });
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception ? exceptionDetails.exception.description : exceptionDetails.text);
    return result.value;
  };
  await send('Page.enable');
  await send('Page.navigate', { url });
  await until(() => evaluate('!!window.run'), 'the page');
  return { send, evaluate, stop: async () => { socket.close(); await chrome.stop(); } };
}

export function temporary() {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'hf-browser-'));
}

/** Whether this is prefix1, prefix2, … without a hole, a double or disorder; else where it is not. */
export function numbered(list, prefix) {
  for (let i = 0; i < list.length; i++) {
    if (list[i] !== `${prefix}${i + 1}`) return `number ${i + 1} is ${JSON.stringify(list[i])} (${list.length} in all)`;
  }
  return true;
}
