// SPDX-License-Identifier: Apache-2.0
// A connection over Server-Sent Events, with POSTs the other way. docs/protocol.md section 9.
import { base64Decode } from '../base64.js';
import { utf8Decode } from '../utf8.js';
import { HF1 } from '../protocol.js';
import { openHttp, opening, refused } from './http.js';
import type { HttpPlan, Link, Sink } from './transport.js';

/** Reads a stream of events, in pieces of any size. */
export class EventReader {
  private rest = '';
  private type = '';
  private data: string[] = [];

  constructor(private event: (type: string, data: string) => void) {}

  feed(text: string): void {
    // What waits has no end of a line in it but a CR at its end: a line in many pieces is not looked through again and again.
    let at = Math.max(0, this.rest.length - 1);
    this.rest += text;
    let from = 0;
    for (;;) {
      const match = /\r\n|\n|\r(?!$)/g;
      match.lastIndex = at;
      const end = match.exec(this.rest);
      if (!end) break;
      this.line(this.rest.slice(from, end.index));
      at = from = end.index + end[0].length;
    }
    this.rest = this.rest.slice(from);
  }

  private line(line: string): void {
    if (!line) {
      if (this.data.length) this.event(this.type, this.data.join('\n'));
      this.type = '';
      this.data = [];
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') this.data.push(value);
    else if (field === 'event') this.type = value;
  }
}

export function openSse(plan: HttpPlan, sink: Sink): Link {
  const reader = new EventReader((type, data) => {
    if (!type || type === 'message') sink.message(data);
    else if (type === 'binary') sink.message(base64Decode(data).buffer as ArrayBuffer);
    else if (type === 'text64') sink.message(utf8Decode(base64Decode(data)));
    else sink.control(data ? `${type} ${data}` : type);
  });
  return openHttp(plan, sink, (get, end) =>
    get(opening(plan, 'text/event-stream'), {
      head: (answer) => {
        if (answer.status === 200 && /^text\/event-stream/i.test(answer.header('Content-Type') || '')) sink.opened(HF1, '');
        else end(refused(sink, answer));
      },
      part: (text) => {
        sink.alive();
        reader.feed(text);
      },
      done: () => end(''),
    }),
  );
}
