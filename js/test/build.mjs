// SPDX-License-Identifier: Apache-2.0
// Makes test/.build: the sources as JavaScript, file by file, for tests that look inside.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const entries = readdirSync(`${root}/src`, { recursive: true }).filter((name) => /\.tsx?$/.test(name));
await esbuild.build({
  entryPoints: entries.map((name) => `${root}/src/${name}`),
  outdir: `${root}/test/.build`,
  outbase: `${root}/src`,
  format: 'esm',
  target: 'es2020',
  tsconfig: `${root}/tsconfig.json`,
  jsx: 'automatic',
  sourcemap: 'inline',
  logLevel: 'error',
});
