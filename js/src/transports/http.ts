// SPDX-License-Identifier: Apache-2.0
// Requests for the transports without WebSockets: fetch where answers can be read as they come, else XMLHttpRequest, which is all
// that React Native has for that. And the POSTs that both of these transports send with.
import { ABANDON } from '../protocol.js';
import { BINARY, CONTROL, TEXT, writeList } from '../framed.js';
import { utf8Length } from '../utf8.js';
import type { Payload } from '../outbox.js';
import type { HttpPlan, Sink } from './transport.js';

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

export function canRequest(): boolean {
  return typeof fetch === 'function' || typeof XMLHttpRequest === 'function';
}

/** Starts a request; what it returns ends it, after which nothing is told any more. */
export function request(url: string, how: Request): () => void {
  const streams = typeof ReadableStream === 'function' && typeof TextDecoder === 'function' && typeof AbortController === 'function';
  return typeof fetch === 'function' && (streams || typeof XMLHttpRequest !== 'function') ? byFetch(url, how) : byXhr(url, how);
}

function byFetch(url: string, how: Request): () => void {
  let over = false;
  const abort = typeof AbortController === 'function' ? new AbortController() : undefined;
  const { method, headers, keepalive } = how;
  const body = how.body as BodyInit | undefined;
  const init: RequestInit = { method, headers, body, keepalive, credentials: 'include', cache: 'no-store', signal: abort && abort.signal };
  const finish = (answer?: Answer) => {
    if (!over) {
      over = true;
      how.done(answer);
    }
  };
  fetch(url, init).then((response) => {
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

/** The headers that open or resume a session. */
export function opening(plan: HttpPlan, accept: string): Record<string, string> {
  const headers: Record<string, string> = { Accept: accept };
  headers[plan.offer.indexOf('hf1.r.') ? 'HF-Open' : 'HF-Resume'] = plan.offer;
  if (plan.protocols.length) headers['HF-Protocol'] = plan.protocols.join(', ');
  return headers;
}

const LIST_BYTES = 65_536;
const TRIES = 3;

interface Item {
  type: number;
  data: Payload;
  size: number;
  number: number;
}

/** What goes to the gateway beside a stream or polls: one POST at a time, in order. */
export class Poster {
  bufferedAmount = 0;
  private queue: Item[] = [];
  private busy = false;
  private next = 1;
  private stop = () => {};
  private timer: any;
  private closing: (() => void) | undefined;

  /** failed: the connection cannot go on. */
  constructor(private plan: HttpPlan, private failed: (why: string) => void) {}

  send(data: Payload, number: number): void {
    const size = typeof data === 'string' ? utf8Length(data) : data instanceof ArrayBuffer ? data.byteLength : data.size;
    this.bufferedAmount += size;
    this.push({ type: typeof data === 'string' ? TEXT : BINARY, data, size, number });
  }

  control(text: string): void {
    this.push({ type: CONTROL, data: text, size: text.length, number: 0 });
  }

  /** Calls done when everything was answered. */
  close(done: () => void): void {
    this.closing = done;
    if (!this.busy && !this.queue.length) done();
  }

  end(): void {
    this.failed = () => {};
    this.closing = undefined;
    this.queue = [];
    this.stop();
    clearTimeout(this.timer);
  }

  private push(item: Item): void {
    this.queue.push(item);
    // What is sent in one go goes in one POST.
    if (!this.busy) {
      this.busy = true;
      Promise.resolve().then(() => this.flush());
    }
  }

  private flush(): void {
    const items: Item[] = [];
    let bytes = 0;
    while (this.queue.length && (!items.length || bytes + this.queue[0].size < LIST_BYTES)) {
      bytes += this.queue[0].size;
      items.push(this.queue.shift()!);
    }
    this.busy = items.length > 0;
    if (!this.busy) {
      if (this.closing) this.closing();
      return;
    }
    Promise.all(items.map((item) => (typeof item.data === 'string' ? item.data : item.data instanceof ArrayBuffer ? item.data : item.data.arrayBuffer()))).then(
      (data) => {
        const first = items.filter((item) => item.number)[0];
        const body = writeList(items.map((item, i) => ({ type: item.type, data: typeof data[i] === 'string' ? data[i] : new Uint8Array(data[i]) })));
        this.post(items, body, first ? first.number : this.next, 1);
      },
      () => this.failed('a message could not be read'),
    );
  }

  private post(items: Item[], body: Uint8Array, seq: number, attempt: number): void {
    const bye = items.some((item) => item.type === CONTROL && /^bye /.test(item.data as string));
    const headers = { 'Content-Type': 'application/x-hf1', 'HF-Key': this.plan.key() || '', 'HF-Seq': String(seq) };
    this.stop = request(this.plan.url, {
      method: 'POST',
      headers,
      body,
      keepalive: bye && body.length < 60_000,
      done: (answer) => {
        const status = answer ? answer.status : 0;
        if (status === 200 || status === 204) {
          for (const item of items) {
            if (!item.number) continue;
            this.bufferedAmount -= item.size;
            this.next = item.number + 1;
          }
          this.flush();
        } else if (status === 429 || ((!status || status >= 500) && attempt < TRIES)) {
          const wait = +((answer && answer.header('Retry-After')) || 0) * 1000 || 300 * attempt;
          this.timer = setTimeout(() => this.post(items, body, seq, attempt + 1), wait);
        } else this.failed(`POST ${status}`);
      },
    });
  }
}

/** The part of closing that both transports share: abandons at once, or tells closed when everything that was sent has been answered. */
export function closeLink(poster: Poster, stop: () => void, sink: Sink, code = 1005, reason = ''): void {
  if (code === ABANDON) {
    stop();
    return poster.end();
  }
  poster.close(() => {
    stop();
    poster.end();
    sink.closed(code, reason, true);
  });
}
