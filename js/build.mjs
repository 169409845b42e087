// SPDX-License-Identifier: Apache-2.0
// Builds dist: index.js (ES module), index.cjs (CommonJS), and types for both; the same for the parts fallback, which index loads when
// it needs it, and react, where src/react.ts is there.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
process.chdir(here);
const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'));
rmSync('dist', { recursive: true, force: true });

// Types first: a type error builds nothing. Types of the CommonJS files name each other by .cjs.
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', '.', '--emitDeclarationOnly'], { stdio: 'inherit' });
const folders = ['dist', 'dist/transports'];
for (const folder of folders) {
  for (const file of readdirSync(folder).filter((one) => one.endsWith('.d.ts'))) {
    const text = readFileSync(`${folder}/${file}`, 'utf8');
    writeFileSync(`${folder}/${file.replace(/\.ts$/, '.cts')}`, text.replace(/(['"]\.\.?\/[^'"]+)\.js(['"])/g, '$1.cjs$2'));
  }
}

const source = (entry) => ['ts', 'tsx'].map((kind) => `src/${entry}.${kind}`).find(existsSync);
for (const entry of ['index', 'fallback', 'react'].filter(source)) {
  for (const [format, extension] of [['esm', 'js'], ['cjs', 'cjs']]) {
    // The entries name each other's files; only types and small helpers are in more than one.
    const apart = {
      name: 'apart',
      setup(build) {
        build.onResolve({ filter: /^\.\/(index|fallback)\.js$/ }, ({ path }) => ({ path: path.replace(/js$/, extension), external: true }));
      },
    };
    await esbuild.build({
      entryPoints: [source(entry)],
      outfile: `dist/${entry}.${extension}`,
      bundle: true,
      format,
      target: 'es2020',
      platform: 'neutral',
      external: ['react'],
      plugins: [apart],
      supported: { 'dynamic-import': format === 'esm' },
      charset: 'utf8',
      banner: { js: `// SPDX-License-Identifier: Apache-2.0\n// ${name} ${version}` },
      logLevel: 'warning',
    });
  }
}
copyFileSync('../LICENSE', 'LICENSE');
