// SPDX-License-Identifier: Apache-2.0
// A connection over Server-Sent Events, with POSTs the other way. docs/protocol.md section 9.
import { base64Decode } from '../base64.js';
import { utf8Decode } from '../utf8.js';
import { HF1 } from '../protocol.js';
import { openHttp, opening, refused } from './http.js';
import type { HttpPlan, Link, Sink } from './transport.js';

/** Reads a stream of events, in pieces of any size. */
export class EventReader {
  /** Of the line that has no end yet, in pieces: each is looked through once. */
  private parts: string[] = [];
  /** A CR at the end, of which it is not known whether an LF follows. */
  private cr = '';
  private type = '';
  private data: string[] = [];

  constructor(private event: (type: string, data: string) => void) {}

  feed(text: string): void {
    const ends = /\r\n|\n|\r(?!$)/g;
    let from = 0;
    text = this.cr + text;
    for (let end; (end = ends.exec(text)); from = end.index + end[0].length) {
      this.parts.push(text.slice(from, end.index));
      this.line(this.parts.splice(0).join(''));
    }
    this.cr = text.length > from && text[text.length - 1] === '\r' ? '\r' : '';
    this.parts.push(text.slice(from, text.length - this.cr.length));
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
