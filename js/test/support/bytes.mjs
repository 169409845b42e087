// SPDX-License-Identifier: Apache-2.0
// Bytes as the shared vectors write them: tests/vectors/README.md.
import { readFileSync } from 'node:fs';

export function bytes(written) {
  if (typeof written === 'string') return Buffer.from(written);
  if (Array.isArray(written)) return Buffer.concat(written.map(bytes));
  if (written.base64 !== undefined) return Buffer.from(written.base64, 'base64');
  return Buffer.concat(Array.from({ length: written.times }, () => bytes(written.repeat)));
}

export const text = (written) => bytes(written).toString('utf8');

export const isUtf8 = (buffer) => Buffer.compare(Buffer.from(buffer.toString('utf8')), buffer) === 0;

export function vectors(name) {
  return JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), 'utf8'));
}

/** A key that a runner does not know is a failure. */
export function known(object, ...keys) {
  for (const key of Object.keys(object)) if (!keys.includes(key)) throw new Error(`a key that this runner does not know: ${key}`);
}
