// SPDX-License-Identifier: Apache-2.0
// The machine by itself: which transport comes when, and what a move between transports does to counts.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createEngine } from './.build/engine.js';
import { DEFAULTS } from './.build/options.js';

class Machine {
  constructor(options = {}) {
    this.t = 0;
    this.secrets = 0;
    this.engine = createEngine({ ...DEFAULTS, addresses: 1, random: () => 0.5, secret: () => 'secret' + ++this.secrets, ...options });
    this.engine.start(this.t);
  }

  take(...kinds) {
    const all = this.engine.out.splice(0);
    return kinds.length ? all.filter((action) => kinds.includes(action.do)) : all;
  }

  /** The next dial, time passing until there is one. */
  dial(most = 60_000) {
    const end = this.t + most;
    for (;;) {
      const found = this.engine.out.findIndex((action) => action.do === 'dial');
      if (found >= 0) return this.engine.out.splice(found, 1)[0];
      this.t = this.engine.deadline();
      assert.ok(this.t <= end, 'nothing is dialled');
      this.engine.tick(this.t);
    }
  }

  hello(id, more = {}) {
    const keys = { session: 's', token: 'T' + id, key: 'K', epoch: 1, window: 60000, buffer: 65536, message_max: 1048576, beat: 25000, ack: 16384, received: 0, sent: 0, resumed: 0, ...more };
    this.engine.opened(id, 'hf1', '', this.t);
    this.engine.control(id, 'hello ' + Object.entries(keys).map(([key, value]) => `${key}=${value}`).join(' '), this.t);
  }

  lost(id) {
    this.engine.lost(id, 1006, '', false, this.t);
  }
}

test('two WebSocket attempts that fail are followed by one without hf1, then by an event stream', () => {
  const m = new Machine();
  const tried = [];
  for (let i = 0; i < 6; i++) {
    const dial = m.dial();
    tried.push(`${dial.transport}${dial.offers.length ? '' : ' plain'}`);
    m.lost(dial.id);
  }
  assert.deepEqual(tried, ['websocket', 'websocket', 'websocket plain', 'sse', 'websocket', 'websocket plain']);
});

test('a WebSocket attempt that is not answered at all is followed by an event stream at once', () => {
  const m = new Machine();
  m.dial();
  assert.equal(m.dial().transport, 'sse');
});

test('an event stream whose hello does not come within five seconds is buffered: long polls follow at once', () => {
  const m = new Machine({ transports: ['websocket', 'sse', 'poll'] });
  m.dial();
  const sse = m.dial();
  m.engine.opened(sse.id, 'hf1', '', m.t);
  const begun = m.t;
  const poll = m.dial();
  assert.deepEqual([poll.transport, m.t - begun], ['poll', 5000]);
  m.hello(poll.id);
  assert.equal(m.engine.link.transport, 'poll');
});

test('a gateway whose beat is nothing, or for ever, is waited for within reason', () => {
  for (const beat of [0, 2 ** 53 - 1]) {
    const m = new Machine();
    m.hello(m.dial().id, { beat });
    assert.ok(m.engine.deadline() >= m.t + 200, String(m.engine.deadline()));
  }
});

test('a stream that is refused is no stream that is buffered: WebSocket is next', () => {
  const m = new Machine();
  m.dial();
  m.lost(m.dial().id);
  assert.equal(m.dial().transport, 'websocket');
});

test('a drop of an event stream resumes as an event stream', () => {
  const m = new Machine();
  m.dial();
  m.hello(m.dial().id);
  m.lost(m.engine.link.id);
  const dial = m.dial();
  assert.deepEqual([dial.transport, dial.offers[1]], ['sse', 'hf1.r.T2.1.0.1']);
});

test('a climb back to WebSocket keeps the stream until the hello, gives what came on it once, and withholds acks', () => {
  const m = new Machine();
  m.dial();
  m.hello(m.dial().id);
  const sse = m.engine.link.id;
  m.engine.message(sse, 'one', 3, m.t);
  m.take();
  const probe = m.dial();
  assert.deepEqual([probe.transport, probe.offers[1]], ['websocket', 'hf1.r.T2.1.1.1']);
  m.take();
  // Between the position that was stated and the hello the stream goes on.
  m.engine.message(sse, 'two', 3, m.t);
  m.t += 1500;
  m.engine.tick(m.t);
  assert.deepEqual(m.take().map((a) => a.init?.data ?? a.do), ['two']);
  m.hello(probe.id, { resumed: 1, sent: 3 });
  for (const data of ['two', 'three']) m.engine.text(probe.id, data, data.length, m.t);
  m.engine.text(probe.id, '\x01live sent=3', 12, m.t);
  const actions = m.take();
  assert.deepEqual(actions.filter((a) => a.do === 'fire').map((a) => a.init.data), ['three'], 'and no reconnecting, no reconnected');
  assert.deepEqual(actions.filter((a) => a.do === 'drop').map((a) => [a.id, a.code]), [[sse, 4499]]);
  assert.deepEqual(actions.filter((a) => a.do === 'control').map((a) => [a.id, a.text]), [[probe.id, 'ack n=2']]);
  assert.equal(m.engine.link.transport, 'websocket');
});

test('a climb back that fails leaves the stream as it was, and comes again later and later', () => {
  const m = new Machine();
  m.dial();
  m.hello(m.dial().id);
  const sse = m.engine.link.id;
  const times = [];
  for (let i = 0; i < 3; i++) {
    const begun = m.t;
    let probe;
    while (!probe) {
      m.engine.alive(sse, m.t);
      probe = m.take('dial')[0];
      if (!probe) m.engine.tick((m.t += 1000));
    }
    times.push(m.t - begun);
    m.lost(probe.id);
    assert.equal(m.engine.link.id, sse);
  }
  assert.deepEqual(times, [30_000, 60_000, 120_000]);
});

test('superseded by a later attempt of its own whose hello was lost, the library resumes', () => {
  const m = new Machine();
  m.dial();
  m.hello(m.dial().id);
  const sse = m.engine.link.id;
  let probe;
  while (!(probe = m.take('dial')[0])) {
    m.engine.alive(sse, m.t);
    m.engine.tick((m.t += 1000));
  }
  m.engine.control(sse, 'end who=gateway reason=superseded', m.t);
  m.lost(probe.id);
  m.lost(sse);
  assert.equal(m.engine.phase, 'running');
  assert.match(m.dial().offers[1], /^hf1\.r\.T2\.1\.0\.2$/);
});

test('a stream told by the gateway to end is resumed there where it stood when the session is to go on', () => {
  const m = new Machine({ transports: ['sse'] });
  m.hello(m.dial().id, { resumed: 0 });
  const { id } = m.engine.link;
  m.engine.control(id, 'close code=4000 reason=own', m.t);
  const close = m.take('fire').at(-1);
  assert.deepEqual([close.type, close.init.code, close.init.reason, close.init.willReconnect], ['close', 4000, 'own', false]);
});

test('a rebound that comes again in a list is told once', () => {
  const m = new Machine({ transports: ['poll'] });
  m.hello(m.dial().id);
  for (const attempt of [1, 1, 2]) m.engine.control(m.engine.link.id, `rebound from=0 to=${attempt} attempt=${attempt}`, m.t);
  assert.deepEqual(m.take('fire').filter((a) => a.type === 'rebound').map((a) => a.init.to), [1, 2]);
});

test('every deadline is followed by a tick that moves it', () => {
  const m = new Machine();
  for (let i = 0; i < 2000; i++) {
    const due = m.engine.deadline();
    if (due === Infinity) break;
    assert.ok(due >= m.t);
    m.t = due;
    m.engine.tick(m.t);
    const again = m.engine.deadline();
    assert.ok(again > due || m.take().length > 0, 'a tick that does nothing would be asked for again at once');
    for (const action of m.take('dial')) if (i % 3) m.lost(action.id);
  }
});
