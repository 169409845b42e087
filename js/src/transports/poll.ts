// SPDX-License-Identifier: Apache-2.0
// A connection over long polls, with POSTs the other way. docs/protocol.md section 9.
import { BINARY, CONTROL, readList } from '../framed.js';
import { ABANDON, HF1, writeControl } from '../protocol.js';
import { utf8Decode } from '../utf8.js';
import { LIST, openHttp, opening, refused, type Answer } from './http.js';
import type { HttpPlan, Link, Sink } from './transport.js';

const HELD_MS = 100;

export function openPoll(plan: HttpPlan, sink: Sink): Link {
  let left = false;
  let polling = false;
  let received = 0; // of the session that the polls are for, which may be over when its last words are posted
  const link = openHttp(plan, sink, (get, end) => {
    let greeted = false;
    const take = (answer: Answer) => {
      // A list whose answer was lost comes again: what was received already is passed over.
      let number = +(answer.header('HF-Seq') || 0) || plan.received() + 1;
      for (const { type, payload } of readList(new Uint8Array(answer.body))) {
        received = plan.received();
        if (type === CONTROL) sink.control(utf8Decode(payload));
        else if (number++ > plan.received()) sink.message(type === BINARY ? (payload.buffer as ArrayBuffer) : utf8Decode(payload));
      }
    };
    const poll = () => {
      if (left) return;
      if (greeted && plan.held()) {
        setTimeout(poll, HELD_MS);
        return;
      }
      polling = true;
      get(greeted ? { Accept: LIST, 'HF-Key': plan.key(), 'HF-Received': String(plan.received()) } : opening(plan, LIST), {
        done: (answer) => {
          polling = false;
          if (!answer) return end('');
          if (answer.status !== 200) return end(greeted ? 'HTTP ' + answer.status : refused(sink, answer));
          if (!greeted) sink.opened(HF1, '');
          greeted = true;
          sink.alive();
          try {
            take(answer);
          } catch (error) {
            end('a list that cannot be read');
          }
          poll();
        },
      });
    };
    poll();
  });
  // Polls acknowledge; an acknowledgement by POST could come behind a later one of a poll. The last one, with no poll to follow, goes.
  const { control, close } = link;
  link.control = (text) => {
    if (!/^ack /.test(text)) control(text);
  };
  link.close = (code, reason) => {
    left = true;
    if (code !== ABANDON && !polling) control(writeControl('ack', { n: Math.max(received, plan.received()) }));
    close(code, reason);
  };
  return link;
}
