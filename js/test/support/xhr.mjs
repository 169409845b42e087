// SPDX-License-Identifier: Apache-2.0
// An XMLHttpRequest over Node's http, as far as React Native's goes: progress of texts, bytes as ArrayBuffers, abort.
import http from 'node:http';
import net from 'node:net';

export class XMLHttpRequest {
  readyState = 0;
  status = 0;
  responseText = '';
  responseType = '';
  response = '';
  headers = {};

  open(method, url) {
    Object.assign(this, { method, url });
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  getResponseHeader(name) {
    return this.answer?.headers[name.toLowerCase()] ?? null;
  }

  become(state) {
    this.readyState = state;
    this.onreadystatechange?.();
  }

  send(body) {
    const parts = [];
    const failed = () => {
      if (this.readyState === 4) return;
      this.become(4);
      if (!this.aborted) this.onerror?.();
    };
    this.request = http.request(this.url.replace(/^ws/, 'http'), { method: this.method, headers: this.headers, createConnection: (to) => (this.socket = net.connect(to)).unref() }, (answer) => {
      this.answer = answer;
      this.status = answer.statusCode;
      this.become(2);
      if (this.responseType === 'text') answer.setEncoding('utf8');
      answer.on('data', (part) => {
        if (this.aborted) return;
        if (this.responseType !== 'text') return parts.push(part);
        this.responseText += part;
        this.become(3);
        this.onprogress?.();
      });
      answer.on('end', () => {
        if (this.aborted) return;
        const bytes = Buffer.concat(parts);
        if (this.responseType !== 'text') this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
        this.become(4);
        this.onload?.();
      });
      answer.on('aborted', failed);
      answer.on('error', failed);
    });
    this.request.on('error', failed);
    this.request.end(body);
  }

  abort() {
    this.aborted = true;
    this.request?.destroy();
    // Node forgets a socket whose request is destroyed while it connects.
    this.socket?.destroy();
  }
}
