// SPDX-License-Identifier: Apache-2.0
// base64 without atob and btoa, which React Native's engine does not have.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** base64url without padding. */
export function base64UrlEncode(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const word = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
    for (let j = 0; j < Math.min(4, bytes.length - i + 1); j++) text += (ALPHABET + '-_')[(word >> (18 - 6 * j)) & 63];
  }
  return text;
}

/** Ordinary base64, with or without padding; characters of another alphabet are skipped. */
export function base64Decode(text: string): Uint8Array {
  const out: number[] = [];
  let word = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const six = (ALPHABET + '+/').indexOf(text[i]);
    if (six < 0) continue;
    word = ((word << 6) | six) & 0xfff;
    bits += 6;
    if (bits >= 8) out.push((word >> (bits -= 8)) & 255);
  }
  return new Uint8Array(out);
}
