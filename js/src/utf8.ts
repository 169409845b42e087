// SPDX-License-Identifier: Apache-2.0
// UTF-8 for engines that bring no TextEncoder or TextDecoder. Lone surrogates become U+FFFD, as a WebSocket sends them;
// bytes that are not UTF-8 become U+FFFD as well.

/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    // A pair is 4 bytes in 2 units; everything else above U+07FF is 3 bytes in 1.
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) (bytes += 2), i++;
    else bytes += 2;
  }
  return bytes;
}

export function utf8Encode(text: string): Uint8Array {
  const out = new Uint8Array(utf8Length(text));
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let point = text.codePointAt(i)!;
    if (point > 0xffff) i++;
    if (point >= 0xd800 && point < 0xe000) point = 0xfffd;
    if (point < 0x80) out[at++] = point;
    else {
      let shift = point < 0x800 ? 6 : point < 0x10000 ? 12 : 18;
      out[at++] = ((0xff00 >> (shift / 6 + 1)) & 0xff) | (point >> shift);
      while ((shift -= 6) >= 0) out[at++] = 0x80 | ((point >> shift) & 0x3f);
    }
  }
  return out;
}

export function utf8Decode(bytes: Uint8Array): string {
  if (typeof TextDecoder === 'function') return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  let text = '';
  for (let i = 0; i < bytes.length; ) {
    const head = bytes[i++];
    if (head < 0x80) {
      text += String.fromCharCode(head);
      continue;
    }
    let left = head >= 0xc2 && head < 0xe0 ? 1 : head >= 0xe0 && head < 0xf0 ? 2 : head >= 0xf0 && head < 0xf5 ? 3 : 0;
    let point = left ? head & (0x3f >> left) : 0xfffd;
    const least = [0, 0x80, 0x800, 0x10000][left];
    let good = left > 0;
    for (; left > 0 && good; left--) {
      if ((bytes[i] & 0xc0) === 0x80) point = (point << 6) | (bytes[i++] & 0x3f);
      else good = false;
    }
    if (!good || point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) point = 0xfffd;
    text += String.fromCodePoint(point);
  }
  return text;
}
