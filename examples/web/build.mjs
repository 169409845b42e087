// SPDX-License-Identifier: Apache-2.0
// Builds the example pages: each is one file that needs no other. `node examples/web/build.mjs` writes them to src/tools/pages,
// from where `holdfast demo` serves them; with --check it only says whether they are up to date. js/dist must have been built.
import { createRequire } from 'node:module';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const here = path.dirname(fileURLToPath(import.meta.url)), root = path.join(here, '..', '..'), target = path.join(root, 'src', 'tools', 'pages');
const esbuild = createRequire(path.join(root, 'js', 'package.json'))('esbuild');
const library = path.join(root, 'js', JSON.parse(readFileSync(path.join(root, 'js', 'package.json'), 'utf8')).exports['.'].import);
const shared = { absWorkingDir: here, tsconfigRaw: '{}', bundle: true, minify: true, write: false, legalComments: 'none', charset: 'utf8', target: 'es2020', logLevel: 'error' };

export async function pages() {
  const style = (await esbuild.build({ ...shared, entryPoints: ['src/style.css'], target: 'chrome111' })).outputFiles[0].text.trim();
  const made = {};
  for (const name of ['index', 'inbox', 'chat']) {
    const script = (await esbuild.build({ ...shared, entryPoints: [`src/${name}.ts`], format: 'iife', alias: { 'holdfast-client': library } }))
      .outputFiles[0].text.trim().replace(/<\/script/g, '<\\/script');
    made[`${name}.html`] = readFileSync(path.join(here, `${name}.html`), 'utf8').replace('/*style*/', () => style).replace('/*script*/', () => script);
  }
  return made;
}

const check = process.argv.includes('--check');
let stale = 0;
if (!check) execFileSync(process.execPath, [path.join(root, 'js/node_modules/typescript/bin/tsc'), '-p', here], { stdio: 'inherit' });
mkdirSync(target, { recursive: true });
for (const [name, text] of Object.entries(await pages())) {
  const file = path.join(target, name);
  let old = '';
  try { old = readFileSync(file, 'utf8'); } catch { /* not there yet */ }
  if (old === text) continue;
  if (check) {
    console.log(`src/tools/pages/${name} is not what its sources give: run node examples/web/build.mjs`);
    stale++;
  } else {
    writeFileSync(file, text);
    console.log(`wrote src/tools/pages/${name}, ${Buffer.byteLength(text)} bytes`);
  }
}
process.exitCode = stale ? 1 : 0;
