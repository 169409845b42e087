// SPDX-License-Identifier: Apache-2.0
// A clock that only the test moves: replaces setTimeout, clearTimeout, performance.now and Date.now.
const real = { setTimeout, clearTimeout, setImmediate, performance, dateNow: Date.now };

export class Clock {
  constructor(start = 1_000) {
    this.at = start;
    this.timers = new Map();
    this.last = 0;
  }

  install() {
    const clock = this;
    globalThis.setTimeout = (call, ms = 0, ...args) => {
      const id = ++clock.last;
      clock.timers.set(id, { due: clock.at + Math.max(0, Number(ms) || 0), id, call: () => call(...args) });
      return id;
    };
    globalThis.clearTimeout = (id) => clock.timers.delete(id);
    Object.defineProperty(globalThis, 'performance', { value: { now: () => clock.at }, configurable: true, writable: true });
    Date.now = () => 1_700_000_000_000 + clock.at;
    return this;
  }

  uninstall() {
    globalThis.setTimeout = real.setTimeout;
    globalThis.clearTimeout = real.clearTimeout;
    Object.defineProperty(globalThis, 'performance', { value: real.performance, configurable: true, writable: true });
    Date.now = real.dateNow;
  }

  /** Lets promises and what they start run. */
  async settle() {
    for (let i = 0; i < 3; i++) await new Promise((done) => real.setImmediate(done));
  }

  next() {
    let first = null;
    for (const timer of this.timers.values()) if (!first || timer.due < first.due || (timer.due === first.due && timer.id < first.id)) first = timer;
    return first;
  }

  /** Time passes, every timer fires when it is due. */
  async wait(ms) {
    const end = this.at + ms;
    await this.settle();
    for (let timer; (timer = this.next()) && timer.due <= end; ) {
      this.timers.delete(timer.id);
      this.at = Math.max(this.at, timer.due);
      timer.call();
      await this.settle();
    }
    this.at = end;
  }

  /** Time jumps; what was due fires behind it, late. */
  async sleep(ms) {
    this.at += ms;
    for (let timer; (timer = this.next()) && timer.due <= this.at; ) {
      this.timers.delete(timer.id);
      timer.call();
      await this.settle();
    }
  }
}
