// SPDX-License-Identifier: Apache-2.0
// A connection over a WebSocket: the engine's own, or a class with its interface.
import { ABANDON, MARK } from '../protocol.js';
import type { Link, Sink } from './transport.js';

/** The part of the browser's WebSocket that is needed of a class given in its place. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  readonly extensions: string;
  readonly readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(data: any): void;
  close(code?: number, reason?: string): void;
}
export type WebSocketClass = new (url: string, protocols?: string | string[]) => WebSocketLike;

export function openWebSocket(Class: WebSocketClass, url: string, protocols: string[], sink: Sink): Link {
  const socket = protocols.length ? new Class(url, protocols) : new Class(url);
  let over = false;
  const end = (code: number, reason: string, clean: boolean) => {
    if (!over) {
      over = true;
      sink.closed(code, reason, clean);
    }
  };
  try {
    socket.binaryType = 'arraybuffer';
  } catch (error) {
    // React Native without its Blob module.
  }
  socket.onopen = () => over || sink.opened(socket.protocol || '', socket.extensions || '');
  socket.onmessage = (event) => {
    if (over) return;
    if (typeof event.data === 'string') sink.text(event.data);
    else sink.message(event.data);
  };
  // The reason is in the close that follows, as far as anyone is told.
  socket.onerror = () => {};
  socket.onclose = (event) => end(event.code || 1006, event.reason || '', !!event.wasClean);
  return {
    get bufferedAmount() {
      return socket.bufferedAmount || 0;
    },
    send(data) {
      socket.send(data);
    },
    control(text) {
      if (socket.readyState === 1) socket.send(MARK + text);
    },
    close(code, reason) {
      if (code === ABANDON) over = true;
      if (code === undefined) socket.close();
      else socket.close(code, reason);
    },
  };
}
