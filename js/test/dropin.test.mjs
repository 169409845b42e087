// SPDX-License-Identifier: Apache-2.0
// The socket in the place of a browser's WebSocket: constants, properties, events, errors; and what it does beyond.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as api from './.build/index.js';
import { hello, onStage } from './support/stage.mjs';

const { WebSocket, HoldfastError } = api;
const story = (name, play, options) => test(name, () => onStage(play, options));

test('the default export is the class, and its constants are those of the browser, on class and instance', () =>
  onStage(async ({ make }) => {
    assert.equal(api.default, WebSocket);
    const ws = make();
    for (const one of [WebSocket, ws]) assert.deepEqual([one.CONNECTING, one.OPEN, one.CLOSING, one.CLOSED], [0, 1, 2, 3]);
    assert.throws(() => { 'use strict'; WebSocket.OPEN = 5; });
  }));

story('readyState, url, protocol, extensions and bufferedAmount go as the browser\'s', async (stage) => {
  const ws = stage.make('http://gateway.test', ['chat']);
  await stage.settle();
  assert.deepEqual([ws.readyState, ws.url, ws.protocol, ws.extensions, ws.bufferedAmount], [0, 'ws://gateway.test/', '', '', 0]);
  await stage.greet({ protocol: 'chat' });
  assert.deepEqual([ws.readyState, ws.protocol], [1, 'chat']);
  ws.close(1000, 'done');
  assert.equal(ws.readyState, 2);
  stage.socket().closed(1000, 'done');
  assert.equal(ws.readyState, 3);
  const close = stage.events.at(-1);
  assert.deepEqual([close.type, close.code, close.reason, close.wasClean, close.willReconnect], ['close', 1000, 'done', true, false]);
});

story('addresses and subprotocols that are not valid throw a SyntaxError at once', async ({ make }) => {
  for (const url of ['', 'nonsense', 'ftp://x/', 'ws://', 'ws://a b/']) assert.throws(() => make(url), { name: 'SyntaxError' }, url);
  for (const protocols of [['a', 'a'], ['a b'], ['']]) assert.throws(() => make('ws://x/', protocols), { name: 'SyntaxError' });
});

story('without a WebSocket to connect with the constructor says so', async () => {
  const kept = globalThis.WebSocket;
  delete globalThis.WebSocket;
  try {
    assert.throws(() => new WebSocket('ws://x/', [], { transports: ['websocket'] }), /WebSocket/);
  } finally {
    if (kept) globalThis.WebSocket = kept;
  }
});

story('close takes 1000 and 3000 to 4999 only, and reasons of 123 bytes', async (stage) => {
  const ws = stage.make();
  for (const code of [0, 999, 1001, 1006, 2999, 5000]) assert.throws(() => ws.close(code), { name: 'InvalidAccessError' });
  assert.throws(() => ws.close(1000, 'é'.repeat(62)), { name: 'SyntaxError' });
  await stage.settle();
  await stage.greet();
  ws.close(3000, 'é'.repeat(61));
  assert.deepEqual(stage.Socket.wire.at(-1).close, { code: 3000, reason: 'é'.repeat(61) });
});

story('a reason with half a surrogate pair is made well-formed, not thrown for', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  ws.close(1000, 'a\ud800b');
  assert.equal(stage.sent().at(-1), '\x01bye code=1000 reason=a%EF%BF%BDb');
});

story('send before the open queues in order and never throws for it', async (stage) => {
  const ws = stage.make();
  assert.equal(ws.send('one'), true);
  assert.equal(ws.send(new Uint8Array([1, 2])), true);
  assert.equal(ws.bufferedAmount, 5);
  await stage.settle();
  await stage.greet();
  const [ack, one, two] = stage.sent();
  assert.deepEqual([ack, one, new Uint8Array(two)], ['\x01ack n=0', 'one', new Uint8Array([1, 2])]);
  assert.equal(ws.bufferedAmount, 0);
});

story('bytes are taken as they are at the time of send', async (stage) => {
  const ws = stage.make();
  const bytes = new Uint8Array([9, 1, 2, 9]);
  ws.send(bytes.subarray(1, 3));
  ws.send(bytes.buffer);
  ws.send(new DataView(bytes.buffer, 3));
  bytes.fill(0);
  await stage.settle();
  await stage.greet();
  assert.deepEqual(stage.sent().slice(1).map((data) => [...new Uint8Array(data)]), [[1, 2], [9, 1, 2, 9], [9]]);
});

story('whatever is neither bytes nor a Blob is sent as text', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  ws.send(5);
  ws.send(null);
  ws.send({ toString: () => 'object' });
  assert.deepEqual(stage.sent().slice(1), ['5', 'null', 'object']);
});

story('a Blob goes as it is, with its size against the credit', async (stage) => {
  const ws = stage.make();
  const blob = new Blob(['abc']);
  ws.send(blob);
  assert.equal(ws.bufferedAmount, 3);
  await stage.settle();
  await stage.greet();
  assert.equal(stage.sent()[1], blob);
});

story('binary messages are Blobs by default and ArrayBuffers when asked for', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  assert.equal(ws.binaryType, 'blob');
  stage.socket().receive(new Uint8Array([1, 2]).buffer);
  const [, blob] = stage.take();
  assert.deepEqual(new Uint8Array(await blob.data.arrayBuffer()), new Uint8Array([1, 2]));
  ws.binaryType = 'arraybuffer';
  ws.binaryType = 'nonsense';
  stage.socket().receive(new Uint8Array([3]).buffer);
  assert.deepEqual(new Uint8Array(stage.take()[0].data), new Uint8Array([3]));
});

story('messages carry data, origin and target', async (stage) => {
  const ws = stage.make('wss://gateway.test:8443/ws?x=1');
  await stage.settle();
  await stage.greet();
  stage.socket().receive('hi');
  const event = stage.events.at(-1);
  assert.deepEqual([event.type, event.data, event.origin, event.lastEventId, event.target], ['message', 'hi', 'wss://gateway.test:8443', '', ws]);
  assert.ok(event instanceof api.HoldfastEvent && typeof event.timeStamp === 'number');
});

story('handlers and listeners are called in the order in which they were first set', async (stage) => {
  const ws = stage.make();
  const calls = [];
  ws.onopen = () => calls.push('old');
  ws.addEventListener('open', () => calls.push('listener'));
  ws.onopen = () => calls.push('handler');
  ws.addEventListener('open', { handleEvent(event) { calls.push(event.type, this === ws ? 'wrong' : 'object'); } });
  await stage.settle();
  await stage.greet();
  assert.deepEqual(calls, ['handler', 'listener', 'open', 'object']);
});

story('a handler that is set to null is called no more, and reads as null', async (stage) => {
  const ws = stage.make();
  const calls = [];
  assert.equal(ws.onmessage, null);
  const handler = (ws.onmessage = () => calls.push(1));
  assert.equal(ws.onmessage, handler);
  await stage.settle();
  await stage.greet();
  stage.socket().receive('a');
  ws.onmessage = null;
  assert.equal(ws.onmessage, null);
  stage.socket().receive('b');
  ws.onmessage = 'no function';
  assert.equal(ws.onmessage, null);
  assert.deepEqual(calls, [1]);
});

test('listeners: once, signal, the same one twice, removal while the event is under way', () =>
  onStage(async ({ make }) => {
    const ws = make();
    const calls = [];
    const twice = () => calls.push('twice');
    const removed = () => calls.push('removed');
    const stop = new AbortController();
    ws.addEventListener('x', () => { calls.push('first'); ws.removeEventListener('x', removed); ws.addEventListener('x', () => calls.push('late')); }, { once: true });
    ws.addEventListener('x', twice);
    ws.addEventListener('x', twice, true);
    ws.addEventListener('x', removed);
    ws.addEventListener('x', () => calls.push('signal'), { signal: stop.signal });
    ws.addEventListener('x', () => calls.push('never'), { signal: AbortSignal.abort() });
    ws.addEventListener('x', null);
    ws.dispatchEvent(new api.HoldfastEvent('x'));
    assert.deepEqual(calls.splice(0), ['first', 'twice', 'signal']);
    stop.abort();
    ws.dispatchEvent(new api.HoldfastEvent('x'));
    assert.deepEqual(calls, ['twice', 'late']);
  }));

story('stopImmediatePropagation keeps the event from the listeners behind', async ({ make }) => {
  const ws = make();
  const calls = [];
  ws.addEventListener('x', (event) => event.stopImmediatePropagation());
  ws.addEventListener('x', () => calls.push(1));
  ws.dispatchEvent(new api.HoldfastEvent('x'));
  assert.deepEqual(calls, []);
});

story('a listener that throws harms no other, and its error is reported', async (stage) => {
  const ws = stage.make();
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  try {
    ws.addEventListener('x', () => { throw new Error('mine'); });
    ws.addEventListener('x', () => reported.push('next'));
    ws.dispatchEvent(new api.HoldfastEvent('x'));
  } finally {
    delete globalThis.reportError;
  }
  assert.deepEqual(reported, ['mine', 'next']);
});

story('what an event handler sends goes out behind what was sent before', async (stage) => {
  const ws = stage.make();
  ws.onopen = () => { ws.send('from open'); ws.close(1000); };
  ws.send('first');
  await stage.settle();
  await stage.greet();
  assert.deepEqual(stage.sent(), ['\x01ack n=0', 'first', 'from open', '\x01bye code=1000']);
});

story('close before the open says bye at the hello, behind what was sent, and open is never fired', async (stage) => {
  const ws = stage.make();
  ws.send('one');
  await stage.settle();
  stage.socket().open('hf1');
  ws.close(4000, 'left');
  assert.equal(ws.readyState, 2);
  stage.socket().receive(hello());
  assert.deepEqual(stage.sent(), ['\x01ack n=0', 'one', '\x01bye code=4000 reason=left']);
  stage.socket().closed(4000, 'left');
  assert.deepEqual([stage.types(), ws.readyState, stage.events[0].code, stage.events[0].unacknowledged], [['close'], 3, 4000, []]);
});

story('close before the open of an attempt that fails, or is not answered, is over with it', async (stage) => {
  for (const fails of [true, false]) {
    const ws = stage.make();
    ws.send('one');
    await stage.settle();
    ws.close();
    if (fails) stage.socket().fail();
    else await stage.clock.wait(10_000);
    const [close, ...more] = stage.take();
    assert.deepEqual([close.type, close.code, close.unacknowledged.map((m) => m.data), more.length, ws.readyState], ['close', 1006, ['one'], 0, 3]);
  }
});

story('attempts that fail before the first open fire error and reconnecting, not close', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  stage.socket().fail();
  const [error, reconnecting] = stage.take();
  assert.deepEqual([error.type, error.error.code, error.error instanceof HoldfastError, reconnecting.type], ['error', 'connection_failed', true, 'reconnecting']);
  assert.deepEqual([reconnecting.attempt, reconnecting.delay, reconnecting.cause, reconnecting.resuming], [1, 500, 'failed', false]);
  assert.deepEqual([ws.readyState, ws.state, ws.retryCount, ws.nextRetryAt], [0, 'connecting', 1, Date.now() + 500]);
  await stage.clock.wait(500);
  await stage.greet();
  assert.deepEqual(stage.types(), ['open']);
  assert.deepEqual([ws.retryCount, ws.nextRetryAt], [0, null]);
});

story('backoff doubles from the base to the cap, and is a random part of that', async (stage) => {
  stage.make(undefined, [], { minReconnectionDelay: 100, maxReconnectionDelay: 1000, reconnectionDelayGrowFactor: 3, sessions: false });
  await stage.settle();
  const delays = [];
  for (let i = 0; i < 5; i++) {
    stage.socket().fail();
    delays.push(stage.take().at(-1).delay);
    await stage.clock.wait(delays.at(-1));
  }
  assert.deepEqual(delays, [50, 150, 450, 500, 500]);
});

story('a drop that resumes fires reconnecting and reconnected, and is no close for readyState', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  stage.take();
  await stage.clock.wait(7000);
  stage.socket().closed(1006, '', false);
  assert.deepEqual([ws.readyState, ws.state], [1, 'reconnecting']);
  ws.send('meanwhile');
  await stage.clock.wait(125);
  stage.sent();
  await stage.greet({ token: 'T2', resumed: 1 });
  const [reconnecting, reconnected] = stage.take();
  assert.deepEqual([reconnecting.type, reconnecting.resuming, reconnecting.cause], ['reconnecting', true, 'lost']);
  assert.deepEqual([reconnected.type, reconnected.recovered, reconnected.attempts, reconnected.downtime, reconnected.transport], ['reconnected', true, 1, 125, 'websocket']);
  assert.deepEqual(stage.sent(), ['\x01ack n=0', 'meanwhile']);
  const { cause, who, code, held_ms, silent_rx_ms, unacked, transport } = ws.lastClose;
  assert.deepEqual([cause, who, code, held_ms, silent_rx_ms, unacked, transport], ['lost', 'network', 1006, 7000, 7000, 0, 'websocket']);
});

story('a session that could not be resumed fires close with counts and what is unacknowledged, then open', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  for (const data of ['one', 'two', 'three']) ws.send(data);
  stage.socket().receive('\x01ack n=1');
  stage.socket().receive('in');
  stage.socket().closed(1006, '', false);
  ws.send('four');
  await stage.clock.wait(125);
  stage.take();
  ws.onclose = (event) => event.unacknowledged.filter((message) => !message.uncertain).forEach((message) => ws.send(message.data));
  stage.sent();
  await stage.greet({ session: 's2', resumed: 0, reason: 'expired', old_received: 2 });
  const [close, open] = stage.take();
  assert.deepEqual([close.type, open.type], ['close', 'open']);
  assert.deepEqual([close.cause, close.who, close.willReconnect, close.acknowledged, close.sent, close.received, close.counted], ['expired', 'gateway', true, 1, 3, 1, 2]);
  assert.deepEqual(close.unacknowledged, [{ data: 'two', number: 2, uncertain: true }, { data: 'three', number: 3, uncertain: false }, { data: 'four', number: 4, uncertain: false }]);
  assert.deepEqual(stage.sent(), ['\x01ack n=0', 'three', 'four']);
});

story('the queue is bounded in messages: send says no, and error has the message', async (stage) => {
  const ws = stage.make(undefined, [], { maxEnqueuedMessages: 2 });
  assert.deepEqual([ws.send('a'), ws.send('b'), ws.send('c')], [true, true, false]);
  await stage.settle();
  const [error] = stage.take();
  assert.deepEqual([error.type, error.error.code, error.error.data], ['error', 'queue_full', 'c']);
  await stage.greet();
  assert.deepEqual(stage.sent().slice(1), ['a', 'b']);
  assert.equal(ws.send('d'), true);
});

story('the queue is bounded in bytes, 16 for each message beside its payload', async (stage) => {
  const ws = stage.make(undefined, [], { maxEnqueuedBytes: 40 });
  assert.deepEqual([ws.send('é'), ws.send('1234567'), ws.send('123456'), ws.send('')], [true, false, true, false]);
  await stage.settle();
});

story('a message beyond message_max that waited for the hello is told, and the others go', async (stage) => {
  const ws = stage.make();
  ws.send('12345678');
  ws.send('ok');
  await stage.settle();
  await stage.greet({ message_max: 5 });
  assert.deepEqual(stage.sent(), ['\x01ack n=0', 'ok']);
  const [error] = stage.take();
  assert.deepEqual([error.type, error.error.code, error.error.data], ['error', 'too_big', '12345678']);
});

story('send on a socket that is closing or closed says no', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  ws.close();
  assert.equal(ws.send('late'), false);
  stage.socket().closed(1005, '');
  assert.equal(ws.send('later'), false);
});

story('after maxRetries failed attempts the socket closes for good and hands the queue back', async (stage) => {
  const ws = stage.make(undefined, [], { maxRetries: 2, sessions: false });
  ws.send('kept');
  await stage.settle();
  for (let i = 0; i < 3; i++) {
    stage.socket().fail();
    await stage.clock.wait(60_000);
  }
  assert.deepEqual(stage.types(), ['error', 'reconnecting', 'error', 'reconnecting', 'error', 'close']);
  const close = stage.events.at(-1);
  assert.deepEqual([close.code, close.willReconnect, close.unacknowledged.map((m) => m.data)], [1006, false, ['kept']]);
  assert.equal(ws.readyState, 3);
  assert.equal(stage.Socket.sockets.length, 3);
});

story('startClosed waits for reconnect, and reconnect opens a closed socket again', async (stage) => {
  const ws = stage.make(undefined, [], { startClosed: true });
  await stage.clock.wait(10_000);
  assert.deepEqual([stage.Socket.sockets.length, ws.readyState, ws.state], [0, 3, 'idle']);
  ws.reconnect();
  await stage.settle();
  await stage.greet();
  ws.close(1000);
  stage.socket().closed(1000);
  assert.equal(ws.readyState, 3);
  ws.reconnect();
  await stage.settle();
  assert.equal(ws.readyState, 0);
  await stage.greet();
  assert.equal(ws.readyState, 1);
  assert.equal(stage.Socket.sockets.length, 2);
});

story('reconnect on an open session abandons the connection and resumes at once', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  const old = stage.socket();
  ws.reconnect();
  await stage.settle();
  assert.notEqual(stage.socket(), old);
  assert.match(stage.socket().protocols[0], /^hf1\.r\.T1\.7\.0\.1$/);
  old.receive('ignored');
  await stage.greet({ resumed: 1, token: 'T2' });
  assert.deepEqual(stage.types(), ['open', 'reconnecting', 'reconnected']);
});

story('url, protocols and token may be functions, also async, and are asked before every attempt', async (stage) => {
  let asked = 0;
  const ws = stage.make(async () => `wss://gateway${++asked}.test/ws?a=1`, () => ['v' + asked], { token: () => Promise.resolve('t&' + asked) });
  await stage.settle();
  assert.deepEqual([stage.socket().url, stage.socket().protocols[2]], ['wss://gateway1.test/ws?a=1&token=t%261', 'v1']);
  assert.equal(ws.url, 'wss://gateway1.test/ws?a=1');
  await stage.greet();
  stage.socket().closed(1006, '', false);
  await stage.clock.wait(250);
  assert.deepEqual([stage.socket().url, stage.socket().protocols[2]], ['wss://gateway2.test/ws?a=1&token=t%262', 'v2']);
});

story('a function that fails, or says what is no address, is a failed attempt', async (stage) => {
  const answers = [() => { throw new Error('no token'); }, () => Promise.reject(new Error('offline')), () => 'nonsense', async () => 'nonsense', () => 'ws://gateway.test/'];
  stage.make(() => answers.shift()());
  await stage.settle();
  for (let i = 0; i < 4; i++) await stage.retry();
  assert.deepEqual(stage.types(), ['error', 'reconnecting', 'error', 'reconnecting', 'error', 'reconnecting', 'error', 'reconnecting']);
  assert.deepEqual(stage.events.filter((e) => e.type === 'error').slice(0, 4).map((e) => /no token|offline|nonsense/.exec(e.message)?.[0]), ['no token', 'offline', 'nonsense', 'nonsense']);
  assert.equal(stage.Socket.sockets[0].url, 'ws://gateway.test/');
});

story('an answer that comes when it is no longer wanted connects nothing', async (stage) => {
  let answer;
  const ws = stage.make(() => new Promise((done) => { answer = done; }));
  await stage.settle();
  ws.close();
  answer('ws://gateway.test/');
  await stage.settle();
  assert.equal(stage.Socket.sockets.length, 0);
  assert.deepEqual(stage.types(), ['close']);
});

story('of several addresses the next one is tried when one fails, and the one whose connections last is preferred', async (stage) => {
  stage.make('ws://a.test/', [], { endpoints: ['ws://b.test/', () => 'ws://c.test/'], sessions: false });
  const host = () => /\w+(?=\.test)/.exec(stage.socket().url)[0];
  await stage.settle();
  const tried = [];
  for (let i = 0; i < 3; i++) {
    tried.push(host());
    stage.socket().fail();
    await stage.retry();
  }
  assert.deepEqual(tried, ['a', 'b', 'c']);
  const live = async (ms) => {
    const at = host();
    stage.socket().open('');
    await stage.clock.wait(ms);
    stage.socket().closed(1006, '', false);
    await stage.retry();
    return at;
  };
  assert.equal(await live(20_000), 'a');
  assert.equal(host(), 'a', 'the others failed last');
  stage.socket().fail();
  await stage.retry();
  assert.equal(await live(50_000), 'b');
});

story('an address whose connections are short is left for one that was not tried, and then the better one is kept', async (stage) => {
  stage.make('ws://a.test/', [], { endpoints: ['ws://b.test/'], sessions: false });
  await stage.settle();
  const hosts = [];
  for (const ms of [24_000, 600_000, 600_000]) {
    hosts.push(/\w+(?=\.test)/.exec(stage.socket().url)[0]);
    stage.socket().open('');
    await stage.clock.wait(ms);
    stage.socket().closed(1006, '', false);
    await stage.retry();
  }
  assert.deepEqual(hosts, ['a', 'b', 'b']);
});

story('without a gateway a drop is close, reconnecting and open, and what waited is sent', async (stage) => {
  const ws = stage.make(undefined, ['chat']);
  await stage.settle();
  stage.socket().open('chat');
  ws.send('one');
  stage.socket().closed(1006, '', false);
  assert.equal(ws.readyState, 0);
  ws.send('two');
  await stage.clock.wait(1000);
  stage.socket().open('chat');
  assert.deepEqual(stage.types(), ['open', 'close', 'reconnecting', 'open']);
  const close = stage.events[1];
  assert.deepEqual([close.code, close.willReconnect, close.unacknowledged], [1006, true, []]);
  assert.deepEqual(stage.sent(), ['one', 'two']);
});

story('a plain connection whose server closes with 1000 or a code of its own is not made again', async (stage) => {
  const ws = stage.make(undefined, []);
  await stage.settle();
  stage.socket().open('');
  stage.socket().closed(4001, 'go');
  await stage.clock.wait(60_000);
  assert.deepEqual(stage.types(), ['open', 'close']);
  assert.equal(ws.readyState, 3);
});

story('where a gateway appears behind a plain connection, the session counts from its own beginning', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  stage.socket().open('');
  stage.socket().receive('down');
  for (const data of ['a', 'b', 'c']) ws.send(data);
  stage.socket().closed(1006, '', false);
  await stage.retry();
  await stage.greet();
  stage.sent();
  ws.send('d');
  stage.socket().receive('\x01ack n=1');
  stage.socket().receive('more');
  await stage.clock.wait(1000);
  assert.deepEqual(stage.sent(), ['d', '\x01ack n=1']);
  assert.equal(ws.stats().unacknowledged, 0);
});

story('shouldReconnect decides, knowing the cause and what would be done without it', async (stage) => {
  const asked = [];
  const ws = stage.make(undefined, [], { shouldReconnect: (cause) => { asked.push([cause.code, cause.cause, cause.willReconnect]); return cause.code === 4401; } });
  await stage.settle();
  stage.socket().open('');
  stage.socket().closed(4401, 'expired');
  await stage.clock.wait(60_000);
  stage.socket().open('');
  stage.socket().closed(1006, '', false);
  assert.deepEqual(asked, [[4401, 'backend_close', false], [1006, 'lost', true]]);
  assert.equal(ws.readyState, 3);
});

story('a handshake that fails twice is tried without the offers of hf1, which is remembered for ten minutes', async (stage) => {
  stage.make(undefined, ['chat']);
  await stage.settle();
  stage.socket().fail();
  await stage.clock.wait(2000);
  stage.socket().fail();
  await stage.settle();
  assert.deepEqual(stage.socket().protocols, ['chat']);
  stage.socket().open('chat');
  await stage.clock.wait(60_000);
  stage.socket().closed(1006, '', false);
  await stage.clock.wait(1000);
  assert.deepEqual(stage.socket().protocols, ['chat']);
  stage.socket().open('chat');
  await stage.clock.wait(600_000);
  stage.socket().closed(1006, '', false);
  await stage.clock.wait(1000);
  assert.equal(stage.socket().protocols[1], 'hf1');
});

story('where a hello was seen once there is no downgrade', async (stage) => {
  const ws = stage.make();
  await stage.settle();
  await stage.greet();
  stage.socket().receive('\x01end who=backend reason=backend_lost');
  stage.socket().closed(1012);
  for (let i = 0; i < 6; i++) {
    await stage.clock.wait(60_000);
    assert.equal(stage.socket().protocols[1], 'hf1');
    stage.socket().fail();
  }
  ws.close();
});

story('an attempt that is not answered in connectionTimeout has failed', async (stage) => {
  const ws = stage.make(undefined, [], { connectionTimeout: 3000 });
  await stage.clock.wait(2999);
  assert.deepEqual(stage.types(), []);
  await stage.clock.wait(1);
  assert.deepEqual(stage.types(), ['error', 'reconnecting']);
  assert.equal(ws.lastClose.cause, 'timeout');
  assert.equal(stage.Socket.wire.at(-1).abort, true);
});

story('rtt is the shortest of the latest times to an acknowledgement, and stats count', async (stage) => {
  const ws = stage.make();
  assert.equal(ws.rtt, null);
  await stage.settle();
  await stage.clock.wait(80);
  await stage.greet();
  assert.equal(ws.rtt, 80);
  ws.send('one');
  await stage.clock.wait(30);
  stage.socket().receive('\x01ack n=1');
  assert.equal(ws.rtt, 30);
  stage.socket().receive('abc');
  ws.send('two!');
  const { state, transport, session, attempts, connections, messagesSent, messagesReceived, bytesSent, bytesReceived, queued, unacknowledged } = ws.stats();
  assert.deepEqual([state, transport, session, attempts, connections, messagesSent, messagesReceived, bytesSent, bytesReceived, queued, unacknowledged], ['open', 'websocket', 's1', 1, 1, 2, 1, 7, 3, 0, 1]);
});

story('auth gives the session fresh credentials, and a token function is asked again before they expire', async (stage) => {
  let n = 0;
  const ws = stage.make(undefined, [], { token: () => 'jwt' + ++n });
  await stage.settle();
  await stage.greet();
  stage.sent();
  ws.auth();
  assert.deepEqual(stage.sent(), ['\x01auth value=jwt2']);
  stage.socket().receive(`\x01auth-ok exp=${Math.round(Date.now() / 1000) + 20}`);
  assert.equal(stage.events.at(-1).type, 'authorized');
  await stage.clock.wait(17_000);
  assert.deepEqual(stage.sent(), ['\x01auth value=jwt3']);
  ws.auth('by hand');
  assert.deepEqual(stage.sent(), ['\x01auth value=by%20hand']);
});

story('rebound tells which messages may not have been processed', async (stage) => {
  stage.make();
  await stage.settle();
  await stage.greet();
  stage.socket().receive('\x01rebound from=3 to=5 attempt=1');
  const { type, from, to, attempt } = stage.events.at(-1);
  assert.deepEqual([type, from, to, attempt], ['rebound', 3, 5, 1]);
});

story('a goaway with an address is followed there, but never from wss to ws', async (stage) => {
  for (const [url, expected] of [['wss://other.test/', 'wss://other.test/'], ['ws://other.test/', 'wss://gateway.test/ws']]) {
    const ws = stage.make('wss://gateway.test/ws');
    await stage.settle();
    await stage.greet();
    stage.socket().receive(`\x01goaway in=1000 url=${encodeURIComponent(url)}`);
    await stage.clock.wait(1250);
    assert.equal(stage.socket().url, expected);
    ws.close();
  }
});

story('the debug log names no secret', async (stage) => {
  const words = [];
  const ws = stage.make('wss://gateway.test/ws?own=SECRET-QUERY', [], { token: 'SECRET-JWT', debug: true, debugLogger: (...some) => words.push(...some) });
  await stage.settle();
  await stage.greet({ token: 'SECRET-TOKEN', key: 'SECRET-KEY' });
  ws.send('SECRET-MESSAGE');
  stage.socket().closed(1006, '', false);
  await stage.clock.wait(250);
  assert.ok(words.includes('reconnecting'));
  assert.doesNotMatch(words.join(' '), /SECRET|hf1\./);
});

story('secrets differ, have 144 bits, and come from randomBytes where that is given', async (stage) => {
  stage.make();
  stage.make();
  stage.make(undefined, [], { randomBytes: (bytes) => bytes.fill(255) });
  await stage.settle();
  const secrets = stage.Socket.sockets.map((s) => s.protocols[0]);
  // Node 18 has no global crypto: there the option is the way.
  if (globalThis.crypto) assert.notEqual(secrets[0], secrets[1]);
  assert.match(secrets[0], /^hf1\.o\.[\w-]{24}$/);
  assert.equal(secrets[2], 'hf1.o.' + '_'.repeat(24));
});

test('wsUrl puts addresses together and forgives slashes', () => {
  const cases = [
    ['https://api.example.com/', '/ws/inbox/', 'wss://api.example.com/ws/inbox/'],
    ['https://api.example.com', 'ws/inbox/', 'wss://api.example.com/ws/inbox/'],
    ['wss://ws.example.com//', '//ws/inbox/?token=1', 'wss://ws.example.com/ws/inbox/?token=1'],
    ['http://localhost:8000/api/', 'ws', 'ws://localhost:8000/api/ws'],
    ['ws.example.com', '/ws/', 'wss://ws.example.com/ws/'],
    ['//ws.example.com', '/ws/', 'wss://ws.example.com/ws/'],
    ['localhost:8000', '/ws/', 'ws://localhost:8000/ws/'],
    ['127.0.0.1:8000', 'ws', 'ws://127.0.0.1:8000/ws'],
    [' wss://ws.example.com ', '', 'wss://ws.example.com/'],
    ['wss://ws.example.com/chat', '?room=1', 'wss://ws.example.com/chat?room=1'],
  ];
  for (const [base, path, url] of cases) assert.equal(api.wsUrl(base, path), url);
  for (const base of [undefined, null, '', '  ']) assert.throws(() => api.wsUrl(base, '/ws'), { name: 'SyntaxError' });
});
