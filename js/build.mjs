// SPDX-License-Identifier: Apache-2.0
// Builds dist: index.js (ES module), index.cjs (CommonJS), and types for both; the same for react, where src/react.ts is there.
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

const entries = ['index', 'react'].filter((entry) => existsSync(`src/${entry}.ts`) || existsSync(`src/${entry}.tsx`));
for (const entry of entries) {
  for (const [format, extension] of [['esm', 'js'], ['cjs', 'cjs']]) {
    // react shares the classes of index, so it does not bring its own.
    const shared = {
      name: 'shared',
      setup(build) {
        build.onResolve({ filter: /^\.\/index\.js$/ }, () => ({ path: `./index.${extension}`, external: true }));
      },
    };
    await esbuild.build({
      entryPoints: [existsSync(`src/${entry}.ts`) ? `src/${entry}.ts` : `src/${entry}.tsx`],
      outfile: `dist/${entry}.${extension}`,
      bundle: true,
      format,
      target: 'es2018',
      platform: 'neutral',
      external: ['react'],
      plugins: entry === 'index' ? [] : [shared],
      charset: 'utf8',
      banner: { js: `// SPDX-License-Identifier: Apache-2.0\n// ${name} ${version}` },
      logLevel: 'warning',
    });
  }
}
copyFileSync('../LICENSE', 'LICENSE');
