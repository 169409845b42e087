// SPDX-License-Identifier: Apache-2.0
// A WebSocket that does what the test says: a class for the option WebSocket, whose sockets note what is done with them.
export function scripted() {
  const sockets = [];
  class Scripted {
    static wire = [];
    static sockets = sockets;

    constructor(url, protocols) {
      this.url = url;
      this.protocols = protocols === undefined ? [] : [].concat(protocols);
      this.readyState = 0;
      this.protocol = '';
      this.extensions = '';
      this.bufferedAmount = 0;
      this.binaryType = 'blob';
      sockets.push(this);
      Scripted.wire.push({ connect: { protocols: this.protocols }, url });
    }

    send(data) {
      if (this.readyState !== 1) throw new Error('a send on a socket that is not open');
      Scripted.wire.push({ send: data, socket: this });
    }

    close(code, reason) {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) throw new Error(`a browser does not close with ${code}`);
      if (this.readyState >= 2) return;
      this.wasOpen = this.readyState === 1;
      this.readyState = 2;
      if (this.wasOpen) Scripted.wire.push({ close: { code: code === undefined ? 1005 : code, reason: reason || '' }, socket: this });
      else Scripted.wire.push({ abort: true, close: { code }, socket: this });
    }

    // What the test does.
    open(protocol = '') {
      this.readyState = 1;
      this.protocol = protocol;
      this.onopen?.({ type: 'open' });
    }

    receive(data) {
      if (this.readyState === 1) this.onmessage?.({ type: 'message', data });
    }

    closed(code, reason = '', wasClean = true) {
      this.readyState = 3;
      this.onclose?.({ type: 'close', code, reason, wasClean });
    }

    fail() {
      this.onerror?.({ type: 'error' });
      this.closed(1006, '', false);
    }
  }
  return Scripted;
}
