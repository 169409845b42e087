// SPDX-License-Identifier: Apache-2.0
// Packs the package, bundles what a React Native application gets of it with the scenarios, lowers the bundle with Babel 7 and
// React Native's own preset, and runs it in Hermes, once as bytecode. Each scenario is a test.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const here = path.dirname(fileURLToPath(import.meta.url)), tools = path.join(here, '..'), js = path.join(tools, '../../js');
const require = createRequire(path.join(tools, 'package.json'));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hf-hermes-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

/** The package as `npm pack` makes it, unpacked. */
function packed() {
  const made = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], { cwd: js, encoding: 'utf8' }).trim().split('\n').pop();
  execFileSync('tar', ['xzf', path.join(folder, made), '-C', folder]);
  return path.join(folder, 'package');
}

async function bundled(library) {
  const { exports } = JSON.parse(fs.readFileSync(path.join(library, 'package.json'), 'utf8'));
  const result = await require('esbuild').build({
    entryPoints: [path.join(here, 'scenarios.mjs')], bundle: true, write: false, format: 'iife', target: 'esnext', charset: 'utf8',
    alias: { 'holdfast-client': path.join(library, exports['.'].import) },
  });
  return result.outputFiles[0].text;
}

/** As Metro has it done: the preset of React Native, told that the engine is Hermes or not. */
async function lowered(code, profile) {
  const { transformAsync } = require('@babel/core');
  const preset = [require.resolve('@react-native/babel-preset'), { enableBabelRuntime: false, unstable_transformProfile: profile }];
  const result = await transformAsync(code, { presets: [preset], configFile: false, babelrc: false, compact: false, filename: path.join(folder, 'bundle.js'),
    cwd: tools, sourceType: 'script' });
  return result.code;
}

/** What React Native puts around an application: a window that is no page. */
const AROUND = 'var window = globalThis, global = globalThis, self = globalThis, navigator = { product: "ReactNative" };\n';

const [hermes, hermesc] = ['hermes', 'hermesc'].map((name) =>
  path.join(tools, 'node_modules/hermes-engine-cli', process.platform === 'darwin' ? 'osx-bin' : 'linux64-bin', name));
for (const program of [hermes, hermesc]) fs.chmodSync(program, 0o755);
const code = await bundled(packed());

for (const profile of ['hermes-stable', 'default']) {
  const file = path.join(folder, `${profile}.js`);
  fs.writeFileSync(file, AROUND + await lowered(code, profile));
  // What is lowered for Hermes is compiled as well, as for a release; the other runs from its source, as while one develops.
  const compiled = profile === 'hermes-stable' && file.replace(/js$/, 'hbc');
  if (compiled) execFileSync(hermesc, ['-w', '-O', '-emit-binary', '-out', compiled, file]);
  const ran = spawnSync(hermes, compiled ? ['-b', compiled] : ['-w', file], { encoding: 'utf8', timeout: 60_000 });
  const lines = ran.stdout.split('\n').filter(Boolean), results = lines.filter((line) => /^(not )?ok /.test(line));
  test(`Hermes runs every scenario to its end (lowered for ${profile})`, () => {
    assert.equal(ran.status, 0, ran.stdout + ran.stderr);
    assert.equal(lines[lines.length - 1], `scenarios ${results.length}`, ran.stdout + ran.stderr);
    assert.ok(results.length > 15);
  });
  for (const line of results) {
    test(`${line.replace(/^(not )?ok /, '').split(': ')[0]} (${profile})`, () => assert.match(line, /^ok /));
  }
}
