// SPDX-License-Identifier: Apache-2.0
// Runs test files of Node's runner, prints what they say and, at the end, `N passed, N failed`.
//   node tests/js/run.mjs FILE[:ARGUMENT]…
import { spawnSync } from 'node:child_process';

let passed = 0, failed = 0;
for (const word of process.argv.slice(2)) {
  const [file, ...words] = word.split(':');
  const ran = spawnSync(process.execPath, ['--test-reporter=tap', file, ...words], { encoding: 'utf8', maxBuffer: 1 << 26, timeout: 150_000, killSignal: 'SIGKILL' });
  const number = (name) => Number((new RegExp(`^# ${name} (\\d+)$`, 'm').exec(ran.stdout) || [0, 0])[1]);
  const bad = number('fail') + number('cancelled');
  passed += number('pass');
  failed += bad || (ran.status !== 0 || number('pass') === 0 ? 1 : 0);
  if (bad || ran.status !== 0 || process.env.HF_SHOW) console.log(`---- ${word}\n${ran.stdout}${ran.stderr}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
