// SPDX-License-Identifier: Apache-2.0
// A connection over long polls, with POSTs the other way. docs/protocol.md section 9.
import { BINARY, CONTROL, readList, type Framed } from '../framed.js';
import { HF1 } from '../protocol.js';
import { utf8Decode } from '../utf8.js';
import { Poster, closeLink, opening, request, type Answer } from './http.js';
import type { HttpPlan, Link, Sink } from './transport.js';

const TRIES = 3;
const HELD_MS = 100;
const ACCEPT = 'application/x-hf1';

export function openPoll(plan: HttpPlan, sink: Sink): Link {
  let over = false;
  let leaving = false;
  let greeted = false;
  let stop = () => {};
  let timer: any;
  const end = (code: number, reason: string, clean: boolean) => {
    if (over) return;
    quit();
    poster.end();
    sink.closed(code, reason, clean);
  };
  const quit = () => {
    over = true;
    clearTimeout(timer);
    stop();
  };
  const poster = new Poster(plan, (why) => end(1006, why, false));

  const take = (answer: Answer) => {
    let list: Framed[];
    try {
      list = readList(new Uint8Array(answer.body));
    } catch (error) {
      return end(1006, 'a list that cannot be read', false);
    }
    sink.alive();
    // A list whose answer was lost comes again: what was received already is passed over.
    let number = +(answer.header('HF-Seq') || 0) || plan.received() + 1;
    for (const { type, payload } of list) {
      if (over) return;
      if (type === CONTROL) sink.control(utf8Decode(payload));
      else if (number++ <= plan.received()) continue;
      else sink.message(type === BINARY ? (payload.buffer as ArrayBuffer) : utf8Decode(payload));
    }
  };

  const poll = (attempt: number) => {
    if (greeted && plan.held()) {
      timer = setTimeout(() => poll(attempt), HELD_MS);
      return;
    }
    const headers = greeted ? { Accept: ACCEPT, 'HF-Key': plan.key() || '', 'HF-Received': String(plan.received()) } : opening(plan, ACCEPT);
    stop = request(plan.url, {
      method: 'GET',
      headers,
      done: (answer) => {
        const status = answer ? answer.status : 0;
        if (status === 200) {
          if (!greeted) {
            greeted = true;
            sink.opened(HF1, '');
          }
          take(answer!);
          if (!over) poll(1);
        } else if (greeted && (!status || status === 429 || status >= 500) && attempt < TRIES) {
          timer = setTimeout(() => poll(attempt + 1), 300 * attempt);
        } else if (!leaving) end(1006, `HTTP ${status}`, false);
      },
    });
  };
  poll(1);

  let acked = false;
  return {
    get bufferedAmount() {
      return poster.bufferedAmount;
    },
    send: (data, number) => poster.send(data, number),
    control(text) {
      // The next poll acknowledges; only the first time it is said, so that the token is taken up.
      if (acked && /^ack /.test(text)) return;
      acked = true;
      poster.control(text);
    },
    close(code, reason) {
      leaving = true;
      closeLink(poster, quit, sink, code, reason);
    },
  };
}
