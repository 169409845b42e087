// SPDX-License-Identifier: Apache-2.0
// What users get: the built package's size and files, and a clean project that takes it from `npm pack` with tsc, esbuild and Node.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const folder = mkdtempSync(join(tmpdir(), 'holdfast-client-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const run = (words, cwd = folder) => {
  const { status, stdout, stderr } = spawnSync(words[0], words.slice(1), { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  if (status !== 0) throw new Error(`${words.join(' ')}\n${stdout}${stderr}`);
  return stdout;
};
const put = (name, text) => writeFileSync(join(folder, name), text);
const described = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

test('the core is under 10 kB (10,000 bytes) minified and compressed with gzip -9', async () => {
  const { outputFiles } = await esbuild.build({ entryPoints: [join(root, 'dist/index.js')], minify: true, format: 'esm', write: false });
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  console.log(`# ${bytes} bytes`);
  assert.ok(bytes < 10_000, `${bytes} bytes`);
});

test('the package depends on nothing at run time, and its import names the ES module', () => {
  assert.deepEqual([described.dependencies, described.optionalDependencies], [undefined, undefined]);
  assert.match(described.exports['.'].import, /^\.\/dist\/index\.js$/);
  assert.match(readFileSync(join(root, described.exports['.'].import), 'utf8'), /^export \{/m);
});

test('what was built reads no environment and evaluates no text', () => {
  for (const name of readdirSync(join(root, 'dist')).filter((one) => /\.c?js$/.test(one))) {
    assert.doesNotMatch(readFileSync(join(root, 'dist', name), 'utf8'), /process\.env|import\.meta\.env|\beval\(|new Function/, name);
  }
});

test('a clean project takes the package from npm pack', () => {
  const [{ filename, files }] = JSON.parse(run(['npm', 'pack', '--json', '--pack-destination', folder], root));
  const names = files.map((file) => file.path);
  for (const name of ['package.json', 'README.md', 'LICENSE', 'dist/index.js', 'dist/index.cjs', 'dist/index.d.ts', 'dist/index.d.cts', 'dist/fallback.js']) assert.ok(names.includes(name), name);
  assert.ok(names.every((name) => /^(dist\/|package\.json$|README\.md$|LICENSE$)/.test(name)), names.join(' '));
  put('package.json', JSON.stringify({ name: 'clean', private: true }));
  run(['npm', 'install', '--offline', '--no-audit', '--no-fund', join(folder, filename)]);
  assert.ok(existsSync(join(folder, 'node_modules/holdfast-client/dist/index.js')));
});

const PROGRAM = `
import Default, { WebSocket, HoldfastError, wsUrl, type CloseEvent, type Options, type ReconnectingEvent } from 'holdfast-client';
const options: Options = { minReconnectionDelay: 500, token: async () => 'jwt', whileHidden: 'always', startClosed: true, WebSocket: class {} as any };
const ws: WebSocket = new WebSocket(wsUrl('https://api.example.com/', '/ws/'), ['chat'], options);
ws.onmessage = (event) => { const data: unknown = event.data; void data; };
ws.addEventListener('close', (event: CloseEvent) => event.unacknowledged.forEach((message) => ws.send(message.data)));
ws.addEventListener('reconnecting', (event: ReconnectingEvent) => void (event.delay + event.attempt));
ws.onerror = ({ error }) => void (error instanceof HoldfastError && error.code);
const cause: string | undefined = ws.lastClose?.cause;
const next: number | null = ws.nextRetryAt;
const ready: boolean = ws.readyState === WebSocket.OPEN || ws.readyState === ws.OPEN;
export { Default, cause, next, ready };
`;

for (const [name, module, moduleResolution, file] of [
  ['bundler', 'esnext', 'bundler', 'program.ts'],
  ['node16, as an ES module', 'node16', 'node16', 'program.mts'],
  ['node16, as CommonJS', 'node16', 'node16', 'program.cts'],
]) {
  test(`tsc takes it, strict, with moduleResolution ${name}`, () => {
    put(file, PROGRAM);
    const flags = ['--strict', '--noEmit', '--target', 'es2020', '--lib', 'es2020,dom'];
    run([process.execPath, tsc, ...flags, '--module', module, '--moduleResolution', moduleResolution, file]);
  });
}

test('tsc refuses what is wrong', () => {
  put('wrong.mts', "import { WebSocket } from 'holdfast-client';\nnew WebSocket('ws://x/', [], { whileHidden: 'sometimes' });\n");
  assert.throws(() => run([process.execPath, tsc, '--strict', '--noEmit', '--module', 'node16', '--moduleResolution', 'node16', 'wrong.mts']), /sometimes/);
});

test('esbuild bundles it for a browser, the fallback apart where it may split', async () => {
  put('page.js', "import { WebSocket } from 'holdfast-client';\nglobalThis.ws = new WebSocket('wss://x/');\n");
  const build = (more) => esbuild.build({ absWorkingDir: folder, entryPoints: ['page.js'], bundle: true, write: false, outdir: 'out', format: 'esm', logLevel: 'silent', ...more });
  const whole = await build({ splitting: false });
  assert.equal(whole.warnings.length, 0);
  const split = await build({ splitting: true });
  assert.ok(split.outputFiles.length >= 2);
});

const nodes = [process.execPath, ...['x64', 'arm64'].map((cpu) => `${root}test/node18/node_modules/node-linux-${cpu}/bin/node`).filter(existsSync)];
for (const node of nodes) {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  const body = "const ws = new WebSocket('ws://127.0.0.1:1/', [], { WebSocket: class {}, startClosed: true }); if (!(ws instanceof WebSocket) || WebSocket.OPEN !== 1 || D !== WebSocket) process.exit(3); console.log('good');";
  test(`Node ${version} imports and requires it`, () => {
    put('take.mjs', `import D, { WebSocket } from 'holdfast-client';\n${body}`);
    put('take.cjs', `const { WebSocket, default: D } = require('holdfast-client');\n${body}`);
    for (const file of ['take.mjs', 'take.cjs']) assert.equal(run([node, file]).trim(), 'good');
  });

  test(`Node ${version} loads the fallback when it needs it, as an ES module and as CommonJS`, () => {
    // Nobody listens on port 1: the attempt is made by the fallback and fails, which takes the file to be found and to run.
    const tried = "const ws = new WebSocket('ws://127.0.0.1:1/', [], { transports: ['poll'], maxRetries: 0 }); ws.onclose = () => console.log(ws.lastClose.transport, ws.lastClose.cause);";
    put('poll.mjs', `import { WebSocket } from 'holdfast-client';\n${tried}`);
    put('poll.cjs', `const { WebSocket } = require('holdfast-client');\n${tried}`);
    for (const file of ['poll.mjs', 'poll.cjs']) assert.equal(run([node, file]).trim(), 'poll failed');
  });
}
