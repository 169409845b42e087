// SPDX-License-Identifier: Apache-2.0
// Requests for the transports without WebSockets: fetch where answers can be read as they come, else XMLHttpRequest, which is all
// that React Native has for that. And the POSTs that both of these transports send with.
import { ABANDON, writeControl } from '../protocol.js';
import { BINARY, CONTROL, TEXT, writeList } from '../framed.js';
import { utf8Length } from '../utf8.js';
import type { Payload } from '../outbox.js';
import type { HttpPlan, Link, Sink } from './transport.js';

export interface Answer {
  status: number;
  header(name: string): string | null;
  /** The body as bytes; empty when it was read in parts. */
  body: ArrayBuffer;
}

export interface Request {
  method: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  /** The page may be gone before it is answered. */
  keepalive?: boolean;
  /** The head of the answer came. */
  head?(answer: Answer): void;
  /** Text of the body as it comes. */
  part?(text: string): void;
  /** Everything came, or nothing will: then without an answer. */
  done(answer?: Answer): void;
}

const NOTHING = new ArrayBuffer(0);
export const LIST = 'application/x-hf1';

/** Starts a request; what it returns ends it, after which nothing is told any more. */
export function request(url: string, how: Request): () => void {
  const streams = typeof ReadableStream === 'function' && typeof TextDecoder === 'function' && typeof AbortController === 'function';
  return typeof fetch === 'function' && (streams || typeof XMLHttpRequest !== 'function') ? byFetch(url, how) : byXhr(url, how);
}

/** Whether cookies go along, by the origin of the address. A gateway that lets the pages of every origin in allows none of them
 *  cookies, and an answer that script may not read looks like none: until there was one, it is tried in turn with and without. */
const cookies: Record<string, { on: boolean; sure: boolean }> = {};

function byFetch(url: string, how: Request): () => void {
  let over = false;
  const origin = /^\w+:\/\/[^/?]+/.exec(url)![0];
  const known = (cookies[origin] = cookies[origin] || { on: true, sure: false });
  const abort = typeof AbortController === 'function' ? new AbortController() : undefined;
  const { method, headers, keepalive } = how;
  const body = how.body as BodyInit | undefined;
  const init: RequestInit = { method, headers, body, keepalive, cache: 'no-store', signal: abort && abort.signal };
  const finish = (answer?: Answer) => {
    if (!over) {
      over = true;
      how.done(answer);
    }
  };
  // Opening twice opens one session; nothing else is sent twice, since the first one may have arrived.
  const opens = 'HF-Open' in headers;
  const send = (): Promise<Response> =>
    fetch(url, { ...init, credentials: known.on ? 'include' : 'same-origin' }).catch((error) => {
      if (known.sure || over) throw error;
      known.on = !known.on;
      if (known.on || !opens) throw error;
      return send();
    });
  send().then((response) => {
    known.sure = true;
    const answer: Answer = { status: response.status, header: (name) => response.headers.get(name), body: NOTHING };
    if (over) return;
    if (how.head) how.head(answer);
    if (!how.part) {
      return response.arrayBuffer().then((bytes) => {
        answer.body = bytes;
        finish(answer);
      });
    }
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    const read = (): Promise<void> =>
      reader.read().then((piece) => {
        if (over) return;
        if (piece.done) return finish(answer);
        how.part!(decoder.decode(piece.value, { stream: true }));
        return read();
      });
    return read();
  }).catch(() => finish());
  return () => {
    over = true;
    if (abort) abort.abort();
  };
}

function byXhr(url: string, how: Request): () => void {
  const xhr = new XMLHttpRequest();
  let over = false;
  let seen = 0;
  const answer = (): Answer => ({
    status: xhr.status,
    header: (name) => xhr.getResponseHeader(name),
    body: how.part ? NOTHING : xhr.response || NOTHING,
  });
  const parts = () => {
    if (over || !how.part || xhr.readyState < 3) return;
    const text = xhr.responseText;
    if (text.length > seen) how.part(text.slice(seen, (seen = text.length)));
  };
  xhr.open(how.method, url);
  xhr.withCredentials = true;
  xhr.responseType = how.part ? 'text' : 'arraybuffer';
  Object.keys(how.headers).forEach((name) => xhr.setRequestHeader(name, how.headers[name]));
  xhr.onreadystatechange = () => {
    if (xhr.readyState === 2 && !over && how.head) how.head(answer());
    parts();
  };
  xhr.onprogress = parts;
  xhr.onload = () => {
    parts();
    if (!over) how.done(answer());
    over = true;
  };
  xhr.onerror = xhr.onabort = xhr.ontimeout = () => {
    if (!over) how.done();
    over = true;
  };
  xhr.send(how.body as any);
  return () => {
    over = true;
    xhr.abort();
  };
}

const LIST_BYTES = 65_536;

interface Item {
  type: number;
  data: Payload;
  size: number;
  number: number;
}

/** What both transports have in common: POSTs for what is sent, one at a time and in order, and the ways in which it ends.
 *  start is given a function for requests, of which one runs at a time beside the POSTs, and one that ends the connection. */
export function openHttp(
  plan: HttpPlan,
  sink: Sink,
  start: (get: (headers: Record<string, string>, how: Omit<Request, 'method' | 'headers'>) => void, end: (why: string) => void) => void,
): Link {
  let over = false;
  let leaving = false;
  let busy = false;
  let queue: Item[] = [];
  let next = 1;
  let key = '';
  let bufferedAmount = 0;
  const stops: (() => void)[] = [];
  const end = (code: number, reason: string, clean: boolean) => {
    if (over) return;
    quit();
    sink.closed(code, reason, clean);
  };
  const quit = () => {
    over = true;
    stops.forEach((stop) => stop());
  };
  let finish = () => {};

  const push = (type: number, data: Payload, size: number, number: number) => {
    key = plan.key() || key;
    queue.push({ type, data, size, number });
    // What is sent in one go goes in one POST.
    if (!busy) Promise.resolve().then(flush);
    busy = true;
  };
  const flush = () => {
    let bytes = 0;
    const end = queue.findIndex((item, i) => (bytes += item.size) > LIST_BYTES && i > 0);
    const items = queue.splice(0, end < 0 ? queue.length : end);
    busy = items.length > 0;
    if (!busy) finish();
    else Promise.all(items.map(({ data }) => (typeof data === 'object' && 'arrayBuffer' in data ? data.arrayBuffer() : data))).then((data) => post(items, data), () => failed('a Blob that cannot be read'));
  };
  const failed = (why: string) => end(1006, why, false);
  const post = (items: Item[], data: (string | ArrayBuffer)[]) => {
    const body = writeList(data.map((one, i) => ({ type: items[i].type, data: typeof one === 'string' ? one : new Uint8Array(one) })));
    const numbers = items.map((item) => item.number).filter(Boolean);
    if (over) return;
    key = plan.key() || key; // the session may be over when its last words are posted
    stops[1] = request(plan.url, {
      method: 'POST',
      headers: { 'Content-Type': LIST, 'HF-Key': key, 'HF-Seq': String(numbers[0] || next) },
      body,
      // The page may be gone before it is answered.
      keepalive: leaving && body.length < LIST_BYTES / 2,
      done: (answer) => {
        // Whatever went wrong: the next connection says what came.
        if (!answer || answer.status >= 300) return failed('POST ' + (answer ? answer.status : ''));
        items.forEach((item) => (bufferedAmount -= item.number && item.size));
        next = (numbers.pop() || next - 1) + 1;
        flush();
      },
    });
  };

  start(
    (headers, how) => {
      if (!over) stops[0] = request(plan.url, { method: 'GET', headers, ...how });
    },
    (why) => leaving || failed(why),
  );
  return {
    get bufferedAmount() {
      return bufferedAmount;
    },
    send(data, number) {
      const size = typeof data === 'string' ? utf8Length(data) : 'size' in data ? data.size : data.byteLength;
      bufferedAmount += size;
      push(typeof data === 'string' ? TEXT : BINARY, data, size, number);
    },
    control: (text) => push(CONTROL, text, text.length, 0),
    close(code = 1005, reason = '') {
      if (code === ABANDON) return quit();
      leaving = true;
      finish = () => end(code, reason, true);
      if (!busy) finish();
    },
  };
}

/** An opening or a resume was answered with something else than a hello: section 9. */
export function refused(sink: Sink, answer: Answer): string {
  const reason = answer.header('HF-Reason');
  const retry = +(answer.header('Retry-After') || 0) * 1000 || undefined;
  if (reason) sink.control(writeControl('end', { who: 'gateway', reason, http: answer.status, retry }));
  return 'HTTP ' + answer.status;
}

/** The headers that open or resume a session. */
export function opening(plan: HttpPlan, accept: string): Record<string, string> {
  const headers: Record<string, string> = { Accept: accept, [plan.offer.indexOf('hf1.r.') ? 'HF-Open' : 'HF-Resume']: plan.offer };
  if (plan.protocols.length) headers['HF-Protocol'] = plan.protocols.join(', ');
  return headers;
}
