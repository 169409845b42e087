// SPDX-License-Identifier: Apache-2.0
// Runs test files of Node's runner, prints what they say when they fail and, at the end, `N passed, N failed`.
//   node tests/js/run.mjs [--together] FILE[:ARGUMENT]…
// With --together the files run side by side: for those that mostly wait.
import { spawn } from 'node:child_process';

const SECONDS = 200;

function run(word) {
  const [file, ...words] = word.split(':');
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--test-reporter=tap', file, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
    const timer = setTimeout(() => { output += `\nended after ${SECONDS} s\n`; child.kill('SIGKILL'); }, SECONDS * 1000);
    child.on('close', (code) => {
      clearTimeout(timer);
      const number = (name) => Number((new RegExp(`^# ${name} (\\d+)$`, 'm').exec(output) || [0, 0])[1]);
      const failed = number('fail') + number('cancelled');
      resolve({ word, output, passed: number('pass'), failed: failed || (code !== 0 || number('pass') === 0 ? 1 : 0) });
    });
  });
}

const words = process.argv.slice(2).filter((word) => word !== '--together');
const results = [];
if (process.argv.includes('--together')) results.push(...await Promise.all(words.map(run)));
else for (const word of words) results.push(await run(word));
for (const { word, output, failed } of results) if (failed) console.log(`---- ${word}\n${output}`);
const sum = (name) => results.reduce((all, result) => all + result[name], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') ? 1 : 0;
