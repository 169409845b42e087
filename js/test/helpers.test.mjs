// SPDX-License-Identifier: Apache-2.0
// What the library brings for engines that lack it: UTF-8, base64, addresses; and the reader of event streams.
import assert from 'node:assert/strict';
import test from 'node:test';
import { backoff, choose } from './.build/backoff.js';
import { base64Decode, base64UrlEncode } from './.build/base64.js';
import { EventReader } from './.build/transports/sse.js';
import { absolute, withParam } from './.build/url.js';
import { utf8Decode, utf8Encode, utf8Length, wellFormed } from './.build/utf8.js';

const TEXTS = ['', 'a', 'é', '€', '😀', 'a\0b', '\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff', '😀'.repeat(3) + 'x', '%41+ &', '\ufeffbom'];
const LONE = ['\ud83d', '\ude00', 'a\ud83db', '\ude00\ud83d', '\ud83d\ud83d\ude00', '\ud83d\ude00\ude00'];

function without(names, play) {
  const kept = names.map((name) => globalThis[name]);
  names.forEach((name) => { globalThis[name] = undefined; });
  try {
    play();
  } finally {
    names.forEach((name, i) => { globalThis[name] = kept[i]; });
  }
}

test('utf8Length is what Node counts, lone surrogates as U+FFFD', () => {
  for (const text of [...TEXTS, ...LONE]) assert.equal(utf8Length(text), Buffer.byteLength(text), JSON.stringify(text));
});

test('wellFormed replaces lone surrogates only', () => {
  for (const text of TEXTS) assert.equal(wellFormed(text), text);
  for (const text of LONE) assert.equal(wellFormed(text), Buffer.from(text).toString());
});

test('UTF-8 goes there and back with the codecs of the engine and without', () => {
  const check = () => {
    for (const text of [...TEXTS, ...LONE]) {
      const bytes = utf8Encode(text);
      assert.deepEqual(Buffer.from(bytes), Buffer.from(text), JSON.stringify(text));
      assert.equal(utf8Decode(bytes), Buffer.from(text).toString());
    }
  };
  check();
  without(['TextEncoder', 'TextDecoder'], check);
});

test('base64 is read as Node writes it, and base64url is written as Node does', () => {
  for (let length = 0; length < 40; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 89 + length * 31) & 255);
    assert.deepEqual(base64Decode(Buffer.from(bytes).toString('base64')), bytes);
    assert.equal(base64UrlEncode(bytes), Buffer.from(bytes).toString('base64url'));
  }
});

test('an event stream is read the same whole, in halves and byte by byte, with any kind of line end', () => {
  const wanted = [['hello', 'a=1 b=2'], ['', 'one\n\ntwo '], ['', ''], ['binary', 'AAE='], ['', ' x:y']];
  const stream = ':padding\n\nevent: hello\ndata: a=1 b=2\n\nid: t.1.1\ndata: one\ndata:\ndata: two \n\ndata\n\nevent: nothing\n\nevent:binary\ndata:AAE=\nretry: 5\n\ndata:  x:y\n\n';
  for (const text of [stream, stream.replace(/\n/g, '\r\n'), stream.replace(/\n/g, '\r') + ':']) {
    for (const size of [text.length, Math.ceil(text.length / 2), 7, 1]) {
      const got = [];
      const reader = new EventReader((type, data) => got.push([type, data]));
      for (let i = 0; i < text.length; i += size) reader.feed(text.slice(i, i + size));
      assert.deepEqual(got, wanted, JSON.stringify([size, text.slice(0, 20)]));
    }
  }
});

test('a line in very many pieces takes as long as they are, not as their square', () => {
  const got = [];
  const reader = new EventReader((type, data) => got.push(data.length));
  const piece = 'x'.repeat(256);
  const since = performance.now();
  reader.feed('data:');
  for (let i = 0; i < 60_000; i++) reader.feed(piece);
  reader.feed('\r');
  reader.feed('\r\n');
  assert.deepEqual(got, [60_000 * 256]);
  assert.ok(performance.now() - since < 3_000, 'it was looked through again and again');
});

test('addresses become what a WebSocket is given', () => {
  assert.equal(absolute('HTTPS://x.test'), 'wss://x.test/');
  assert.equal(absolute('http://x.test/a?b#c'), 'ws://x.test/a?b');
  assert.equal(absolute('ws://[::1]:80/x'), 'ws://[::1]:80/x');
  globalThis.location = { href: 'https://page.test/app/index.html' };
  try {
    assert.equal(absolute('/ws/inbox/'), 'wss://page.test/ws/inbox/');
    assert.equal(absolute('//other.test/ws'), 'wss://other.test/ws');
  } finally {
    delete globalThis.location;
  }
  assert.throws(() => absolute('/ws'), { name: 'SyntaxError' });
  assert.equal(withParam('ws://x/?a=1', 'to ken', 'é&'), 'ws://x/?a=1&to%20ken=%C3%A9%26');
});

test('backoff is a random part of an exponential up to its cap', () => {
  assert.deepEqual([0, 1, 5, 2000].map((n) => backoff(n, 1000, 2, 30_000, 0.999999)), [1000, 2000, 30_000, 30_000]);
  assert.equal(backoff(3, 1000, 2, 30_000, 0), 0);
});

test('of addresses the one that failed least is chosen, then the one whose connections last, then the first', () => {
  const at = (failures, ended, lived) => ({ failures, ended, lived });
  assert.equal(choose([at(0, 0, 0), at(0, 0, 0)]), 0);
  assert.equal(choose([at(1, 0, 0), at(0, 1, 5)]), 1);
  assert.equal(choose([at(0, 2, 48_000), at(0, 1, 50_000)]), 1);
  assert.equal(choose([at(0, 1, 90_000), at(0, 0, 0)]), 0);
});
