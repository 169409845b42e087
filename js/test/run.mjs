// SPDX-License-Identifier: Apache-2.0
// Runs the tests of the package: on this Node, and on Node 18 where test/node18 is installed. What was built lies in dist.
//
//     node test/run.mjs [name...]      files of test/ whose name contains one of these; default: all
//
// The last line is `N passed, N failed[, N skipped]`. Tests that need the gateway find it by HOLDFAST_BIN, else in ../build.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
await import('./build.mjs');
const wanted = process.argv.slice(2);
const files = readdirSync(here)
  .filter((name) => name.endsWith('.test.mjs') && (!wanted.length || wanted.some((word) => name.includes(word))))
  .map((name) => here + name);
const node18 = ['x64', 'arm64'].map((cpu) => `${here}node18/node_modules/node-linux-${cpu}/bin/node`).find(existsSync);
const nodes = [[process.execPath, process.version]];
if (node18) nodes.push([node18, 'v18']);

const total = { pass: 0, fail: 0, skipped: 0 };
for (const [node, version] of nodes) {
  // pack tries every Node by itself; climb takes half a minute, which once is enough; Node 18 does not end behind xhr's cut sockets.
  const own = node === process.execPath ? files : files.filter((name) => !/(pack|climb|xhr)\.test\.mjs$/.test(name));
  if (!own.length) continue;
  const { stdout, stderr, status } = spawnSync(node, ['--test', '--test-reporter=tap', ...own], { encoding: 'utf8', maxBuffer: 1 << 28, timeout: 240_000, stdio: ['ignore', 'pipe', 'pipe'] });
  const count = Object.fromEntries([...stdout.matchAll(/^# (pass|fail|skipped|cancelled) (\d+)/gm)].map(([, what, n]) => [what, Number(n)]));
  const failed = (count.fail ?? 0) + (count.cancelled ?? 0);
  if (failed || status !== 0 || !count.pass) {
    console.log(`==== Node ${version}`);
    // Of a file's report only what failed is of interest.
    const parts = stdout.split(/^(?= *# Subtest: )/m).filter((part) => /^ *not ok /m.test(part));
    console.log(parts.join('').slice(0, 60_000) || stdout.slice(-5_000), stderr.slice(-5_000));
  }
  total.pass += count.pass ?? 0;
  total.fail += failed || (status !== 0 || !count.pass ? 1 : 0);
  total.skipped += count.skipped ?? 0;
}
console.log(`${total.pass} passed, ${total.fail} failed${total.skipped ? `, ${total.skipped} skipped` : ''}`);
process.exit(total.fail ? 1 : 0);
