// SPDX-License-Identifier: Apache-2.0
// The vectors that C and TypeScript share: control messages, the escape, offers, framed lists.
import assert from 'node:assert/strict';
import test from 'node:test';
import { base64UrlEncode } from './.build/base64.js';
import { readList, writeList } from './.build/framed.js';
import { escapeText, openOffer, readControl, resumeOffer, textKind, writeControl } from './.build/protocol.js';
import { bytes, isUtf8, known, text, vectors } from './support/bytes.mjs';

for (const item of vectors('control').cases) {
  test(`control: ${item.name}`, () => {
    known(item, 'name', 'text', 'read', 'ignored', 'error', 'write');
    const raw = bytes(item.text);
    // A text that is not UTF-8 never comes out of a WebSocket: the engine refuses it before script sees it.
    if (!isUtf8(raw)) return;
    if (item.error) return assert.throws(() => readControl(raw.toString()));
    const { verb, text: texts, num } = readControl(raw.toString());
    if (item.ignored) return assert.deepEqual([texts, num], [{}, {}]);
    const read = Object.fromEntries(Object.entries(item.read).map(([key, value]) => [key, typeof value === 'number' ? value : text(value)]));
    assert.deepEqual({ verb, ...texts, ...num }, read);
    if (item.write !== undefined && ['ack', 'auth', 'bye'].includes(verb)) {
      const { verb: ignored, ...pairs } = read;
      assert.equal(writeControl(verb, pairs), text(item.write));
    }
  });
}

for (const item of vectors('escape').cases) {
  test(`escape: ${item.name}`, () => {
    known(item, 'name', 'wire', 'kind', 'app', 'control');
    const wire = text(item.wire);
    assert.equal(textKind(wire), item.kind);
    if (item.app !== undefined) {
      assert.equal(escapeText(text(item.app)), wire);
      assert.equal(item.kind === 'escaped' ? wire.slice(1) : wire, text(item.app));
    }
    if (item.control !== undefined) assert.equal(wire.slice(1), text(item.control));
  });
}

test('offers: what a library writes', () => {
  const { writes } = vectors('offers');
  assert.ok(writes.length > 0);
  for (const item of writes) {
    known(item, 'name', 'open', 'resume', 'member');
    const r = item.resume;
    const written = r ? resumeOffer(r.token, r.epoch, r.received, r.attempt) : openOffer(base64UrlEncode(bytes(item.open)));
    assert.equal(written, item.member, item.name);
  }
});

for (const item of vectors('framed').cases) {
  test(`framed: ${item.name}`, () => {
    known(item, 'name', 'bytes', 'records', 'rest', 'error');
    const raw = new Uint8Array(bytes(item.bytes));
    // The library reads whole lists only: one that is cut short is as bad as one with an unknown type.
    if (item.error || item.rest) return assert.throws(() => readList(raw));
    const types = { text: 1, binary: 2, control: 3 };
    const records = readList(raw);
    assert.deepEqual(records.map((r) => [r.type, Buffer.from(r.payload).toString('base64')]), item.records.map((r) => [types[r.type], bytes(r.payload).toString('base64')]));
    const made = writeList(item.records.map((r) => ({ type: types[r.type], data: r.type === 'binary' ? new Uint8Array(bytes(r.payload)) : text(r.payload) })));
    assert.deepEqual(Buffer.from(made), Buffer.from(raw));
  });
}
