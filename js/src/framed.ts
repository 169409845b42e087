// SPDX-License-Identifier: Apache-2.0
// The framed list of POSTs and polls: type (1 byte) | length (4 bytes, big-endian) | payload. docs/protocol.md section 9.
import { utf8Encode } from './utf8.js';

export const TEXT = 1;
export const BINARY = 2;
export const CONTROL = 3;

export interface Framed {
  type: number;
  payload: Uint8Array;
}

export function writeList(list: { type: number; data: string | Uint8Array }[]): Uint8Array {
  const parts = list.map((item) => (typeof item.data === 'string' ? utf8Encode(item.data) : item.data));
  const out = new Uint8Array(parts.reduce((sum, part) => sum + 5 + part.length, 0));
  let at = 0;
  parts.forEach((part, i) => {
    out[at] = list[i].type;
    new DataView(out.buffer).setUint32(at + 1, part.length);
    out.set(part, at + 5);
    at += 5 + part.length;
  });
  return out;
}

/** The items of a whole list; throws when it is cut short or holds an unknown type. */
export function readList(bytes: Uint8Array): Framed[] {
  const list: Framed[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const type = bytes[at];
    const end = at + 5 <= bytes.length ? at + 5 + view.getUint32(at + 1) : Infinity;
    if (type < TEXT || type > CONTROL || end > bytes.length) throw new Error('a framed list that cannot be read');
    list.push({ type, payload: bytes.slice(at + 5, end) });
    at = end;
  }
  return list;
}
