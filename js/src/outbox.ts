// SPDX-License-Identifier: Apache-2.0
// The application's messages that nobody has acknowledged yet, in order: those on their way and those that wait. Pure.
//
// Message number n is the n-th of its session, from 1. base <= cursor <= base + list.length, and cursor <= written.
import { COST } from './protocol.js';

export type Payload = string | ArrayBuffer | Blob;

export interface Entry {
  data: Payload;
  /** Bytes of the payload. */
  size: number;
  /** ms, when it was last given to a connection. */
  at: number;
}

export class Outbox {
  /** Messages that were acknowledged. */
  base = 0;
  /** Number of the last message that the present connection was given, or that the gateway counted already. */
  cursor = 0;
  /** Number of the last message that any connection was given. */
  written = 0;
  /** Cost of everything held, and of what is on its way. */
  cost = 0;
  flight = 0;
  private list: Entry[] = [];

  get length(): number {
    return this.list.length;
  }

  /** Messages that wait to be given to a connection. */
  get waiting(): number {
    return this.list.length - (this.cursor - this.base);
  }

  add(data: Payload, size: number): void {
    this.list.push({ data, size, at: 0 });
    this.cost += size + COST;
  }

  /** The next message, when the credit (bytes of cost beyond the last acknowledgement, or one message) allows it. */
  next(credit: number, now: number): Entry | undefined {
    const entry = this.list[this.cursor - this.base];
    if (!entry || (this.flight && this.flight + entry.size + COST > credit)) return undefined;
    entry.at = now;
    this.flight += entry.size + COST;
    this.written = Math.max(this.written, ++this.cursor);
    return entry;
  }

  /** Everything up to number n was taken; false when that cannot be. The last one that went is returned for its time. */
  ack(n: number): Entry | boolean {
    if (n < this.base || n > this.cursor) return false;
    const gone = this.list.splice(0, n - this.base);
    for (const entry of gone) {
      this.cost -= entry.size + COST;
      this.flight -= entry.size + COST;
    }
    this.base = n;
    return gone.length ? gone[gone.length - 1] : true;
  }

  /** A new connection of the same session, whose gateway counted n messages; false when that cannot be. */
  rewind(n: number): boolean {
    if (n < this.base || n > this.written) return false;
    this.cursor = n;
    this.flight = this.list.slice(0, n - this.base).reduce((sum, entry) => sum + entry.size + COST, 0);
    return true;
  }

  /** Takes the first message that was never given to a connection and is larger than so many bytes. */
  takeLarger(size: number): Entry | undefined {
    for (let i = this.written - this.base; i < this.list.length; i++) {
      if (this.list[i].size > size) {
        const entry = this.list.splice(i, 1)[0];
        this.cost -= entry.size + COST;
        return entry;
      }
    }
    return undefined;
  }

  /** Counts begin anew; what is held waits again. */
  restart(): void {
    this.base = this.cursor = this.written = this.flight = 0;
  }

  /** Hands everything back, and counts begin anew. */
  takeAll(): Entry[] {
    const all = this.list;
    this.list = [];
    this.cost = 0;
    this.restart();
    return all;
  }
}
