// SPDX-License-Identifier: Apache-2.0
// Traces of a library above a WebSocket, shared with C (tests/vectors/sessions.json), played on the whole socket with a scripted
// WebSocket and a clock of the test's own.
import assert from 'node:assert/strict';
import test from 'node:test';
import { WebSocket } from './.build/index.js';
import { bytes, known, text, vectors } from './support/bytes.mjs';
import { Clock } from './support/clock.mjs';
import { scripted } from './support/scripted.mjs';

const toData = (how) => (how.text !== undefined ? text(how.text) : new Uint8Array(bytes(how.binary)).buffer);
const shown = (data) => (typeof data === 'string' ? { text: data } : { binary: Buffer.from(data).toString('base64') });
const wanted = (how) => (how.text !== undefined ? { text: text(how.text) } : { binary: bytes(how.binary).toString('base64') });

class Player {
  constructor(item, clock) {
    this.clock = clock;
    this.Socket = scripted();
    this.app = [];
    this.names = {};
    this.step = 'the start';
    const { protocols, ...rest } = item.options;
    known(rest);
    this.ws = new WebSocket('ws://gateway.test/ws', protocols, { WebSocket: this.Socket, transports: ['websocket'] });
    this.ws.binaryType = 'arraybuffer';
    const { ws, app } = this;
    ws.onopen = () => app.push({ open: { protocol: ws.protocol } });
    ws.onmessage = (e) => app.push({ message: shown(e.data) });
    ws.onreconnecting = () => app.push({ reconnecting: {} });
    ws.onreconnected = () => app.push({ resumed: {} });
    ws.onrebound = ({ from, to, attempt }) => app.push({ rebound: { from, to, attempt } });
    ws.onerror = (e) => { this.status = e.error.status; this.error = e.error.code; };
    ws.onclose = (e) => {
      const messages = e.unacknowledged.map((m) => shown(m.data));
      const counts = { reason: e.cause, acked: e.acknowledged, sent: e.sent, old_received: e.counted };
      if (e.willReconnect) app.push({ lost: { ...counts, messages } });
      else app.push({ close: { code: e.code, reason: e.reason, end: e.cause, http: this.status, messages, counts } });
    };
  }

  /** The queue towards the wire: aborted attempts are nobody's business. */
  wire(aborts = false) {
    const { wire } = this.Socket;
    while (!aborts && wire.length && wire[0].abort) wire.shift();
    return wire;
  }

  async quiet() {
    await this.clock.settle();
    assert.deepEqual(this.wire().map(this.brief), [], `on the wire before ${this.step}`);
    // A plain connection that is lost and made again is told by close, which the traces know for sessions only.
    assert.deepEqual(this.app, [], `to the application before ${this.step}`);
  }

  brief = (entry) => (entry.connect ? { connect: entry.connect } : entry.close ? { close: entry.close } : { send: typeof entry.send === 'string' ? entry.send : shown(entry.send) });

  newest() {
    return this.Socket.sockets[this.Socket.sockets.length - 1];
  }

  async play(step, next) {
    this.step = JSON.stringify(step);
    const kind = Object.keys(step).find((key) => key !== 'after');
    if (kind === 'expect') return this.expect(step, next);
    known(step, 'open', 'fail', 'receive', 'lost', 'app', 'wait', 'sleep');
    await this.quiet();
    const socket = this.newest();
    if (kind === 'open') socket.open(step.open.protocol);
    else if (kind === 'fail') socket.fail();
    else if (kind === 'lost') socket.closed(1006, '', false);
    else if (kind === 'receive') this.receive(socket, step.receive);
    else if (kind === 'app') this.act(step.app);
    else if (kind === 'wait') await this.clock.wait(step.wait);
    else await this.clock.sleep(step.sleep);
    await this.clock.settle();
  }

  receive(socket, what) {
    known(what, 'text', 'binary', 'control', 'close');
    if (what.close) socket.closed(what.close.code, what.close.reason);
    else if (what.control !== undefined) socket.receive('\x01' + text(what.control));
    else socket.receive(toData(what));
  }

  act(what) {
    known(what, 'send', 'refused', 'close');
    if (what.close) {
      this.closing = true;
      return this.ws.close(what.close.code, what.close.reason);
    }
    assert.equal(this.ws.send(toData(what.send)), !what.refused, this.step);
  }

  async expect(step, next) {
    known(step, 'expect', 'after');
    const queue = () => (step.expect.app ? this.app : this.wire(!!step.expect.close));
    if (step.after) {
      const [least, most] = step.after;
      const begun = this.clock.at;
      await this.clock.settle();
      while (!queue().length) {
        const timer = this.clock.next();
        assert.ok(timer && timer.due - begun <= most, `nothing came within ${most} ms for ${this.step}`);
        await this.clock.wait(Math.max(0, timer.due - this.clock.at));
      }
      assert.ok(this.clock.at - begun >= least - 1, `after ${this.clock.at - begun} ms came ${this.step}`);
    }
    await this.clock.settle();
    if (step.expect.app?.lost && (this.closing || next?.expect?.app?.close)) {
      // When it is over, the browser-like interface says it with the close.
      this.lost = step.expect.app.lost;
      return;
    }
    const entry = queue().shift();
    if (this.lost && entry?.close) {
      this.compareApp({ lost: { ...entry.close.counts, messages: entry.close.messages } }, { lost: this.lost });
      this.lost = undefined;
    }
    assert.ok(entry, `nothing came for ${this.step}`);
    if (step.expect.app) this.compareApp(entry, step.expect.app);
    else this.compareWire(entry, step.expect);
  }

  compareApp(entry, want) {
    const kind = Object.keys(want)[0];
    assert.equal(Object.keys(entry)[0], kind, `${JSON.stringify(entry)} came for ${this.step}`);
    const expected = { ...want[kind] };
    if (kind === 'message') return assert.deepEqual(entry.message, wanted(expected), this.step);
    if (expected.messages) expected.messages = expected.messages.map(wanted);
    for (const key of Object.keys(expected)) assert.deepEqual(entry[kind][key], expected[key], `${key} of ${this.step}: ${JSON.stringify(entry)}`);
  }

  compareWire(entry, want) {
    known(want, 'connect', 'send', 'close');
    const brief = JSON.stringify(this.brief(entry));
    if (want.connect) {
      assert.ok(entry.connect, `${brief} came for ${this.step}`);
      assert.equal(entry.connect.protocols.length, want.connect.protocols.length, `${brief} came for ${this.step}`);
      want.connect.protocols.forEach((member, i) => this.member(entry.connect.protocols[i], member));
    } else if (want.send) {
      assert.ok(entry.send !== undefined, `${brief} came for ${this.step}`);
      const expected = want.send.control !== undefined ? { text: '\x01' + text(want.send.control) } : wanted(want.send);
      assert.deepEqual(shown(entry.send), expected, this.step);
      assert.equal(entry.socket, this.newest(), 'on the newest connection');
    } else {
      assert.ok(entry.close, `${brief} came for ${this.step}`);
      for (const key of Object.keys(want.close)) assert.equal(entry.close[key], want.close[key], `${key} of ${this.step}: ${brief}`);
    }
  }

  member(got, want) {
    const name = /\{(\w+)\}/.exec(want)?.[1];
    if (!name) return assert.equal(got, want, this.step);
    const found = new RegExp('^' + want.replace(/[.]/g, '\\.').replace(/\{\w+\}/, '([A-Za-z0-9_-]+)') + '$').exec(got);
    assert.ok(found, `${got} for ${want}`);
    if (this.names[name] !== undefined) assert.equal(found[1], this.names[name], this.step);
    else if (name.startsWith('new')) assert.ok(!Object.values(this.names).includes(found[1]), `${want} is not new`);
    this.names[name] = found[1];
  }
}

for (const item of vectors('sessions').cases) {
  test(`session: ${item.name}`, async () => {
    known(item, 'name', 'options', 'steps');
    const clock = new Clock().install();
    try {
      const player = new Player(item, clock);
      await clock.settle();
      for (const [i, step] of item.steps.entries()) await player.play(step, item.steps[i + 1]);
      player.step = 'the end';
      assert.equal(player.lost, undefined, 'a loss that was never told');
      await player.quiet();
    } finally {
      clock.uninstall();
    }
  });
}
