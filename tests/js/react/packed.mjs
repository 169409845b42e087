// SPDX-License-Identifier: Apache-2.0
// holdfast-client/react as a project gets it that installed the packed package: its types by tsc, its files by import and require.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const here = path.dirname(fileURLToPath(import.meta.url)), tools = path.join(here, '..'), js = path.join(tools, '../../js');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hf-packed-')), modules = path.join(folder, 'node_modules');

before(() => {
  const made = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], { cwd: js, encoding: 'utf8' }).trim().split('\n').pop();
  fs.mkdirSync(path.join(modules, 'holdfast-client'), { recursive: true });
  execFileSync('tar', ['xzf', path.join(folder, made), '--strip-components=1', '-C', path.join(modules, 'holdfast-client')]);
  fs.mkdirSync(path.join(modules, '@types'));
  fs.symlinkSync(path.join(js, 'node_modules/@types/react'), path.join(modules, '@types/react'));
  fs.symlinkSync(path.join(js, 'node_modules/csstype'), path.join(modules, 'csstype'));
  fs.symlinkSync(path.join(tools, 'node_modules/react'), path.join(modules, 'react'));
});

after(() => fs.rmSync(folder, { recursive: true, force: true }));

const COMPONENT = `
import { WebSocket, type Undelivered } from 'holdfast-client';
import { useHoldfast, type HoldfastState, type UseHoldfastOptions } from 'holdfast-client/react';

const options: UseHoldfastOptions = {
  protocols: ['v1'],
  key: 'inbox',
  socket: { maxEnqueuedMessages: 100 },
  onMessage: (event) => { const text: string = event.data; void text; },
  onClose: (event) => { const kept: Undelivered[] = event.unacknowledged; void kept; },
  onReconnecting: (event) => { const ms: number = event.delay; void ms; },
  onReconnected: (event) => { const yes: true = event.recovered; void yes; },
  onError: (event) => { const code: string = event.error.code; void code; },
};

export function Inbox({ url }: { url: string | null }) {
  const { status, nextRetryAt, send, close, reconnect, getSocket, ...state } = useHoldfast(url, options);
  const same: HoldfastState = { status, nextRetryAt, ...state };
  const socket: WebSocket | null = getSocket();
  useHoldfast(async () => 'wss://example.org/', { key: 'other' });
  useHoldfast(undefined);
  // @ts-expect-error: a status that is none
  if (status === 'opened') close(1000, 'bye');
  // @ts-expect-error: nothing to send
  send({ type: 'ping' });
  // @ts-expect-error: the state is not to be written
  same.status = 'open';
  const taken: boolean = send(new Uint8Array([1]));
  return <button onClick={() => reconnect()}>{status === 'reconnecting' ? nextRetryAt : String(taken && socket?.rtt)}</button>;
}
`;

for (const [module, resolution] of [['esnext', 'bundler'], ['node16', 'node16']]) {
  test(`a component that uses the hook is checked by tsc (${resolution})`, () => {
    fs.writeFileSync(path.join(folder, 'inbox.tsx'), COMPONENT);
    const tsc = spawnSync(process.execPath, [path.join(js, 'node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--skipLibCheck', '--types', 'react', '--jsx', 'react-jsx', '--target', 'es2020',
      '--module', module, '--moduleResolution', resolution, '--lib', 'es2020,dom', 'inbox.tsx'], { cwd: folder, encoding: 'utf8' });
    assert.equal(tsc.stdout, '');
    assert.equal(tsc.status, 0);
  });
}

test('import and require both give the hook, each over the package\'s own socket of that kind', () => {
  const node = (file, text) => {
    fs.writeFileSync(path.join(folder, file), text);
    return execFileSync(process.execPath, [file], { cwd: folder, encoding: 'utf8' }).trim();
  };
  const check = 'console.log(typeof useHoldfast, typeof WebSocket, WebSocket.OPEN)';
  assert.equal(node('one.mjs', `import { useHoldfast } from 'holdfast-client/react'; import { WebSocket } from 'holdfast-client'; ${check}`), 'function function 1');
  assert.equal(node('one.cjs', `const { useHoldfast } = require('holdfast-client/react'); const { WebSocket } = require('holdfast-client'); ${check}`), 'function function 1');
  for (const kind of ['js', 'cjs']) {
    const text = fs.readFileSync(path.join(modules, `holdfast-client/dist/react.${kind}`), 'utf8');
    assert.match(text, new RegExp(`["']\\./index\\.${kind}["']`), 'the hook brings no second copy of the socket');
    assert.ok(text.length < 10_000, `${text.length} characters`);
  }
});
