// SPDX-License-Identifier: Apache-2.0
// Addresses, without the class URL, which React Native's engine does not have in full.
import { domError } from './errors.js';

/** Puts an address together from a base that may come from a build's environment and a path, with slashes at either end forgiven.
 *  `https://api.example.com/` and `/ws/inbox/` give `wss://api.example.com/ws/inbox/`. http becomes ws; a base without a scheme
 *  gets wss, or ws for localhost and loopback addresses. Throws when the base is empty. */
export function wsUrl(base: string | undefined | null, path = ''): string {
  let text = (base || '').trim();
  if (!text) throw domError('SyntaxError', 'wsUrl: the base is empty');
  if (!/^\w+:\/\//.test(text)) {
    text = text.replace(/^\/+/, '');
    text = (/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])([:/]|$)/i.test(text) ? 'ws://' : 'wss://') + text;
  }
  text = text.replace(/^http/i, 'ws').replace(/\/+$/, '');
  path = path.replace(/^\/+/, '');
  return path && /^[?#]/.test(path) ? text + path : `${text}/${path}`;
}

/** An absolute ws or wss address, as the browser's WebSocket makes it. Throws a SyntaxError for anything else. */
export function absolute(url: string): string {
  let text = String(url).trim();
  if (!/^[a-z][a-z0-9+.-]*:/i.test(text) && typeof location === 'object' && location && location.href) text = new URL(text, location.href).href;
  text = text.replace(/^(http|ws)(s?):/i, (_, _kind, s) => `ws${s.toLowerCase()}:`).replace(/#.*$/, '');
  if (!/^wss?:\/\/[^/?\s]+[^\s]*$/i.test(text)) throw domError('SyntaxError', `bad URL: ${url}`);
  return /^\w+:\/\/[^/?]+$/.test(text) ? text + '/' : text;
}

/** Appends a parameter to the query. */
export function withParam(url: string, name: string, value: string): string {
  return `${url}${url.indexOf('?') < 0 ? '?' : '&'}${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
}
