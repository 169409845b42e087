// SPDX-License-Identifier: Apache-2.0
// The real gateway, `holdfast serve`, between a backend on ws and a middlebox that breaks connections when it is told to.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import Ws, { WebSocketServer } from 'ws';
import { WebSocket } from '../.build/index.js';
import { reset } from './gateway.mjs';

export const BINARY = process.env.HOLDFAST_BIN ?? fileURLToPath(new URL('../../../build/holdfast', import.meta.url));
export const missing = existsSync(BINARY) ? false : `${BINARY} is not built`;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.on('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export async function eventually(what, check, ms = 20_000) {
  for (const begun = Date.now(); !check(); ) {
    if (Date.now() - begun > ms) throw new Error(`${typeof what === 'function' ? what() : what} did not come in ${ms} ms`);
    await new Promise((done) => setTimeout(done, 3));
  }
}

/** Passes bytes on. cut() resets what is open, `closed` refuses what is new, `noUpgrade` refuses WebSockets as some proxies do. */
class Middlebox {
  constructor(port) {
    Object.assign(this, { port, pairs: new Set(), closed: false, noUpgrade: false, passed: 0 });
    this.server = net.createServer((client) => this.take(client));
  }

  async listen() {
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    this.address = `127.0.0.1:${this.server.address().port}`;
    return this;
  }

  take(client) {
    client.on('error', () => {});
    if (this.closed) return reset(client);
    this.passed++;
    const peer = net.connect(this.port, '127.0.0.1');
    const pair = [client, peer];
    this.pairs.add(pair);
    for (const one of pair) {
      one.setNoDelay(true);
      one.on('error', () => {});
      one.on('close', () => {
        this.pairs.delete(pair);
        pair.forEach((other) => other.destroy());
      });
    }
    client.on('data', (bytes) => {
      if (this.noUpgrade && /^Upgrade: *websocket/im.test(bytes.toString('latin1'))) client.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      else peer.write(bytes);
    });
    peer.pipe(client);
    client.on('end', () => peer.end());
  }

  cut() {
    for (const pair of this.pairs) pair.forEach(reset);
  }
}

/** play gets {box, backend, url}; flags are of `holdfast serve`; each connection of the backend is served by onpeer(peer). */
export async function withGateway(play, { flags = [], onpeer } = {}) {
  const backend = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: (all) => (all.has('chat') ? 'chat' : false), verifyClient: ({ req }) => !/refuse/.test(req.url) });
  await new Promise((done) => backend.on('listening', done));
  Object.assign(backend, { connections: 0, closes: [], got: [], peers: [] });
  backend.on('connection', (peer, request) => {
    backend.connections++;
    backend.peers.push(peer);
    peer.on('close', (code, reason) => backend.closes.push([code, reason.toString()]));
    peer.on('error', () => {});
    if (onpeer) onpeer(peer, backend, request);
    else {
      peer.on('message', (data, binary) => {
        backend.got.push(binary ? data : data.toString());
        peer.send(data, { binary });
      });
    }
  });
  const port = await freePort();
  const gateway = spawn(BINARY, ['serve', '--listen', `127.0.0.1:${port}`, '--upstream', `http://127.0.0.1:${backend.address().port}`, '--workers', '2', ...flags], { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } });
  let said = '';
  for (const stream of [gateway.stdout, gateway.stderr]) stream.on('data', (text) => { said += text; });
  const gone = new Promise((done) => gateway.on('exit', done));
  const box = await new Middlebox(port).listen();
  try {
    await eventually(() => `the gateway: ${said}`, () => gateway.exitCode !== null || reachable(port));
    if (gateway.exitCode !== null) throw new Error('the gateway ended');
    await play({ box, backend, url: `ws://${box.address}/ws`, said: () => said });
  } catch (error) {
    error.message += `\n${said.slice(-3000)}`;
    throw error;
  } finally {
    box.closed = true;
    box.cut();
    box.server.close();
    gateway.kill('SIGKILL');
    await gone;
    backend.clients.forEach((peer) => peer.terminate());
    backend.close();
  }
}

const tries = new Map();
function reachable(port) {
  if (!tries.has(port)) {
    tries.set(port, false);
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => {
      tries.set(port, true);
      socket.destroy();
    });
    socket.on('error', () => tries.delete(port));
  }
  return tries.get(port);
}

/** A socket whose events are noted; closed behind the test. */
export async function withSocket(url, more, play, protocols = []) {
  const ws = new WebSocket(url, protocols, { WebSocket: Ws, minReconnectionDelay: 20, ...more });
  ws.binaryType = 'arraybuffer';
  const events = [];
  for (const type of ['open', 'close', 'error', 'reconnecting', 'reconnected', 'rebound']) ws.addEventListener(type, (event) => events.push(event));
  const types = () => events.map((event) => event.type);
  const until = (what, check, ms) => eventually(() => `${what}: ${types()} ${JSON.stringify(ws.stats())} ${JSON.stringify(ws.lastClose)};`, check, ms);
  try {
    await play(ws, { events, types, until });
  } finally {
    ws.close();
    await until('the end', () => ws.readyState === 3);
  }
}
