// SPDX-License-Identifier: Apache-2.0
// UTF-8 for engines that bring no TextEncoder or TextDecoder. Lone surrogates become U+FFFD, as a WebSocket sends them.

/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Each half of a pair is 2 of its 4 bytes; a lone half is the 3 bytes of U+FFFD.
    const paired = unit >> 10 === 0x36 ? text.charCodeAt(i + 1) >> 10 === 0x37 : unit >> 10 === 0x37 && text.charCodeAt(i - 1) >> 10 === 0x36;
    bytes += unit < 0x80 ? 1 : unit < 0x800 || paired ? 2 : 3;
  }
  return bytes;
}

/** The text with U+FFFD in place of lone surrogates. */
export function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (found) => (found[1] ? found : '\ufffd'));
}

export function utf8Encode(text: string): Uint8Array {
  if (typeof TextEncoder === 'function') return new TextEncoder().encode(text);
  const escaped = encodeURIComponent(wellFormed(text));
  const out: number[] = [];
  for (let i = 0; i < escaped.length; i++) {
    if (escaped[i] === '%') out.push(parseInt(escaped.substr((i += 2) - 1, 2), 16));
    else out.push(escaped.charCodeAt(i));
  }
  return new Uint8Array(out);
}

/** Without a TextDecoder bytes that are not UTF-8 throw a URIError: the gateway sends none. */
export function utf8Decode(bytes: Uint8Array): string {
  if (typeof TextDecoder === 'function') return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  let escaped = '';
  for (let i = 0; i < bytes.length; i++) escaped += '%' + (bytes[i] + 256).toString(16).slice(1);
  return decodeURIComponent(escaped);
}
