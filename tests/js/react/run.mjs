// SPDX-License-Identifier: Apache-2.0
// Bundles the hook's tests with each React and runs them.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const here = path.dirname(fileURLToPath(import.meta.url)), tools = path.join(here, '..'), js = path.join(tools, '../../js');
const require = createRequire(path.join(tools, 'package.json'));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hf-react-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

process.env.HF_TESTS_JS = tools;
const which = process.argv[2];
const react = path.join(tools, which === '18' ? 'react18' : '', 'node_modules');
const out = path.join(folder, `hook-react${which}.cjs`);
await require('esbuild').build({
  entryPoints: [path.join(here, 'hook.test.mjs')], bundle: true, outfile: out, format: 'cjs', platform: 'node', target: 'node18', logLevel: 'error',
  define: { 'process.env.NODE_ENV': '"development"' }, sourcemap: 'inline',
  alias: { react: path.join(react, 'react'), 'react-dom': path.join(react, 'react-dom'), 'holdfast-client/react': path.join(js, 'dist/react.js') },
});
await import(out);
