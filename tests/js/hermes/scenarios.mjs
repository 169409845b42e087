// SPDX-License-Identifier: Apache-2.0
// What the library does in React Native's engine, over a scripted WebSocket and scripted timers. run.mjs lowers this file and the
// packed library as React Native's build does, and runs them in the engine's own program, which has no network, no page, no URL,
// TextEncoder, EventTarget or crypto. Each scenario is printed as a line `ok NAME` or `not ok NAME: why`.
import Default, { WebSocket } from 'holdfast-client';
import { makeWorld, settle } from '../support/world.mjs';

const URL_ = 'wss://gateway.test/ws';
const scenarios = [];
const scenario = (name, play) => scenarios.push({ name, play });

function same(found, wanted, what = 'it') {
  const shown = JSON.stringify(found), right = JSON.stringify(wanted);
  if (shown !== right) throw new Error(`${what} is ${shown}, not ${right}`);
}

function holds(value, what) {
  if (!value) throw new Error(what);
}

/** A socket and everything it fires. */
function make(url = URL_, protocols = undefined, options = undefined) {
  const events = [], messages = [];
  const socket = new WebSocket(url, protocols, options);
  socket.binaryType = 'arraybuffer';
  for (const type of ['open', 'close', 'error', 'reconnecting', 'reconnected', 'rebound']) {
    socket.addEventListener(type, (event) => events.push(event));
  }
  socket.addEventListener('message', (event) => messages.push(typeof event.data === 'string' ? event.data : Array.from(new Uint8Array(event.data))));
  return { socket, events, messages, types: () => events.map((event) => event.type) };
}

/** ... whose session is open. */
async function opened(world, ...words) {
  const it = make(...words);
  it.first = await world.next();
  await it.first.open();
  await it.first.hello();
  return it;
}

async function resumed(world, received, keys = {}) {
  const next = await world.next();
  await next.open();
  await next.hello({ resumed: 1, received, ...keys });
  return next;
}

scenario('the default export is the same class, with the constants of WebSocket', async () => {
  holds(Default === WebSocket, 'two classes');
  same([WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED], [0, 1, 2, 3]);
});

scenario('it offers a session, opens at the hello, and tells the subprotocol of the backend', async (world) => {
  const { socket, types, events } = make(URL_, ['v1.app']);
  const first = await world.next();
  same(first.url, URL_);
  holds(/^hf1\.o\.[A-Za-z0-9_-]{22,}$/.test(first.offers[0]), `the first offer is ${first.offers[0]}`);
  same(first.offers[1], 'hf1');
  same(first.offers[2], 'v1.app');
  same(socket.readyState, 0);
  await first.open('hf1');
  same(types(), [], 'what was fired before the hello');
  await first.hello({ protocol: 'v1.app' });
  same(types(), ['open']);
  same([socket.readyState, socket.protocol, socket.url], [1, 'v1.app', URL_]);
  holds(events[0].target === socket, 'the event has another target');
  same(first.controls[0], ['ack', { n: '0' }], 'the answer to hello');
});

scenario('two sockets choose different secrets', async (world) => {
  make();
  const first = await world.next();
  make();
  const second = await world.next();
  holds(first.offers[0] !== second.offers[0], 'the same secret twice');
});

scenario('what is sent before it opens waits, and goes in order', async (world) => {
  const { socket } = make();
  socket.send('1');
  socket.send('2');
  const first = await world.next();
  await first.open();
  same(first.messages, []);
  await first.hello();
  socket.send('3');
  same(first.messages, ['1', '2', '3']);
});

scenario('texts, lone surrogates and other languages count their bytes in UTF-8', async (world) => {
  const { socket, first } = await opened(world);
  socket.send('grün €uro 🎉');
  same(first.messages, ['grün €uro 🎉']);
  await first.control('ack', { n: 1 });
  same(socket.bufferedAmount, 0, 'bufferedAmount');
});

scenario('bytes go as they are, from a buffer and from a part of one, and come as an ArrayBuffer', async (world) => {
  const { socket, first, messages } = await opened(world);
  socket.send(new Uint8Array([0, 1, 255]).buffer);
  socket.send(new Uint8Array([9, 8, 7, 6]).subarray(1, 3));
  same(first.messages, [[0, 1, 255], [8, 7]]);
  await first.bytes(1, 0, 1);
  same(messages, [[1, 0, 1]]);
});

scenario('bytes that the application changes after send are sent as they were', async (world) => {
  const { socket } = make();
  const bytes = new Uint8Array([1, 2, 3]);
  socket.send(bytes);
  socket.send(bytes.buffer);
  bytes[0] = 99;
  const first = await world.next();
  await first.open();
  await first.hello();
  same(first.messages, [[1, 2, 3], [1, 2, 3]]);
});

scenario('a text that begins with the control mark is escaped both ways', async (world) => {
  const { socket, first, messages } = await opened(world);
  socket.send('\x01ack n=5');
  same(first.sent[first.sent.length - 1], '\x01\x01ack n=5');
  await first.text('\x01\x01hello');
  await first.text('plain');
  same(messages, ['\x01hello', 'plain']);
});

scenario('a drop resumes: reconnecting, reconnected, and neither close nor open', async (world) => {
  const it = await opened(world);
  await it.first.text('s1');
  it.socket.send('c1');
  it.socket.send('c2');
  await it.first.control('ack', { n: 1 });
  await it.first.drop();
  same(it.types(), ['open', 'reconnecting']);
  const next = await resumed(world, 1, { sent: 3 });
  same(next.resume, { token: 'token1', epoch: '7', received: 1, attempt: 1 }, 'the offer');
  same(it.types(), ['open', 'reconnecting', 'reconnected']);
  same(it.events[2].recovered, true, 'recovered');
  same(next.messages, ['c2'], 'what was sent again');
  await next.text('s2');
  await next.text('s3');
  await next.control('live', { sent: 3 });
  same(it.messages, ['s1', 's2', 's3']);
  same(it.socket.readyState, 1);
});

scenario('the first attempt after a drop comes within 250 ms', async (world) => {
  const { first } = await opened(world);
  const at = world.now;
  await first.drop();
  const next = await world.next(250);
  holds(next.openedAt - at <= 250, `${next.openedAt - at} ms`);
});

scenario('attempts that fail come at growing random distances, each with a reconnecting event', async (world) => {
  const it = await opened(world);
  await it.first.drop();
  let gaps = [], last = world.now;
  for (let i = 0; i < 8; i++) {
    const next = await world.next();
    gaps.push(next.openedAt - last);
    last = next.openedAt;
    same(next.resume.attempt, i + 1, 'the attempt');
    await next.drop();
  }
  holds(gaps[0] <= 250, `the first after ${gaps[0]} ms`);
  gaps.slice(1).forEach((gap, i) => holds(gap <= Math.min(30_000, 1000 * 2 ** i) + 250, `number ${i + 2} after ${gap} ms`));
  same(it.events.filter((event) => event.type === 'reconnecting').map((event) => event.attempt), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  same(it.socket.readyState === 3, false, 'it gave up');
  await resumed(world, 0);
  same(it.types().slice(-1), ['reconnected']);
});

scenario('what is sent while the connection is away goes at the resume', async (world) => {
  const it = await opened(world);
  await it.first.drop();
  it.socket.send('kept');
  same((await resumed(world, 0)).messages, ['kept']);
});

scenario('many drops: every message once and in order, both ways', async (world) => {
  const it = await opened(world);
  let at = it.first, sent = 0, got = [], s = 0, taken = 0;
  for (let round = 0; round < 25; round++) {
    for (let i = 0; i < 3; i++) it.socket.send(`c${++sent}`);
    await settle();
    const arrived = round % 4; // so many of this connection's messages reached the gateway
    got = got.concat(at.messages.slice(0, arrived));
    await at.text(`s${++s}`);
    await at.drop();
    at = await resumed(world, got.length, { sent: s + 1 });
    await at.text(`s${++s}`);
    await at.control('live', { sent: s });
    taken = got.length;
    await at.control('ack', { n: taken });
  }
  got = got.concat(at.messages);
  same(got, Array.from({ length: sent }, (_, i) => `c${i + 1}`));
  same(it.messages, Array.from({ length: s }, (_, i) => `s${i + 1}`));
  same(it.types().filter((type) => type === 'close' || type === 'open'), ['open']);
});

scenario('a session that could not be resumed is closed and opened, its messages handed back and not sent again', async (world) => {
  const it = await opened(world);
  it.socket.send('had');
  it.socket.send('perhaps');
  it.socket.send('lost');
  await it.first.control('ack', { n: 1 });
  await it.first.drop();
  it.socket.send('never went');
  const next = await world.next();
  await next.open();
  await next.hello({ resumed: 0, reason: 'expired', session: 's2', epoch: 8, old_received: 2 });
  same(it.types(), ['open', 'reconnecting', 'close', 'open']);
  const close = it.events[2];
  same([close.cause, close.willReconnect], ['expired', true]);
  same(close.unacknowledged.map((each) => [each.data, each.uncertain]), [['perhaps', true], ['lost', false], ['never went', false]]);
  same(next.messages, []);
  it.socket.send('anew');
  same(next.messages, ['anew']);
});

scenario('silence for more than two beats is a lost connection', async (world) => {
  const it = await opened(world);
  await world.advance(15_000);
  await it.first.control('ack', { n: 0 });
  await world.advance(19_000);
  same(it.types(), ['open']);
  await world.advance(2_000);
  same(it.first.closed, [4499, it.first.closed && it.first.closed[1]], 'the Close');
  same(it.types(), ['open', 'reconnecting']);
  same(world.sockets.length, 2);
});

scenario('close says bye with code and reason, and fires close once', async (world) => {
  const it = await opened(world);
  it.socket.close(4401, 'signed out');
  same(it.first.controls[it.first.controls.length - 1], ['bye', { code: '4401', reason: 'signed out' }]);
  same(it.first.closed, [4401, 'signed out']);
  await it.first.text('on its way already');
  await world.advance(3_000);
  await it.first.drop(4401, 'signed out');
  await world.advance(60_000);
  same(it.types(), ['open', 'close']);
  same([it.events[1].code, it.events[1].reason, it.events[1].wasClean], [4401, 'signed out', true]);
  same(world.sockets.length, 1);
});

scenario('the close of the backend is the application\'s, and final for 4000 and more', async (world) => {
  const it = await opened(world);
  await it.first.drop(4003, 'banned');
  await world.advance(60_000);
  same(it.types(), ['open', 'close']);
  same([it.events[1].code, it.events[1].reason, it.events[1].willReconnect], [4003, 'banned', false]);
  same(it.socket.readyState, 3);
  same(world.sockets.length, 1);
});

scenario('a session that was taken over does not come back by itself', async (world) => {
  const it = await opened(world);
  await it.first.control('end', { who: 'gateway', reason: 'superseded' });
  await it.first.drop(1000);
  await world.advance(60_000);
  same(world.sockets.length, 1);
  same(it.events[it.events.length - 1].cause, 'superseded');
});

scenario('without a gateway it is an ordinary WebSocket that reconnects', async (world) => {
  const it = make(URL_, 'chat');
  const first = await world.next();
  await first.open('chat');
  same(it.types(), ['open']);
  await first.text('\x01not a control message here');
  same(it.messages, ['\x01not a control message here']);
  it.socket.send('\x01as it is');
  same(first.sent, ['\x01as it is']);
  await first.drop();
  same(it.types().slice(1, 2), ['close']);
  const second = await world.next();
  await second.open('chat');
  same(it.types().slice(-1), ['open']);
});

scenario('the URL may be an async function, asked before every attempt', async (world) => {
  let asked = 0;
  const it = make(async () => `${URL_}?token=${++asked}`);
  const first = await world.next();
  same(first.url, `${URL_}?token=1`);
  await first.open();
  await first.hello();
  await first.drop();
  same((await world.next()).url, `${URL_}?token=2`);
  same(it.types(), ['open', 'reconnecting']);
});

scenario('handlers and listeners: on…, addEventListener with once, removeEventListener, objects', async (world) => {
  const { socket, first } = await opened(world);
  const heard = [];
  const listener = (event) => heard.push(`listener ${event.data}`);
  socket.onmessage = (event) => heard.push(`on ${event.data}`);
  socket.addEventListener('message', listener);
  socket.addEventListener('message', listener);
  socket.addEventListener('message', { handleEvent: (event) => heard.push(`object ${event.data}`) });
  socket.addEventListener('message', (event) => heard.push(`once ${event.data}`), { once: true });
  await first.text('1');
  socket.removeEventListener('message', listener);
  socket.onmessage = null;
  await first.text('2');
  same(heard, ['on 1', 'listener 1', 'object 1', 'once 1', 'object 2']);
});

scenario('stats, rtt, lastClose and nextRetryAt tell how it went', async (world) => {
  const it = await opened(world);
  await it.first.drop();
  holds(it.socket.nextRetryAt >= world.now && it.socket.nextRetryAt <= world.now + 250, `nextRetryAt is ${it.socket.nextRetryAt}`);
  holds(it.socket.lastClose && it.socket.lastClose.cause, 'lastClose names no cause');
  await resumed(world, 0);
  same(it.socket.nextRetryAt, null);
  same(it.socket.stats().resumes, 1);
});

/** The next request that the library makes; connections that it opens meanwhile are refused. */
async function request(world, within = 60_000) {
  const before = world.requests.length, end = world.now + within;
  let at = world.sockets.length;
  await settle();
  while (world.requests.length === before) {
    for (; at < world.sockets.length; at++) await world.sockets[at].drop();
    if (world.requests.length > before) break;
    if (world.now > end) throw new Error(`no request within ${within} ms`);
    await world.advance(50);
  }
  return world.requests[before];
}

/** The framed list of docs/protocol.md section 9, written by hand: [type, bytes]. */
const framed = (...list) => [].concat(...list.map(([type, bytes]) => [type, 0, 0, bytes.length >> 8, bytes.length & 255, ...bytes]));
const ascii = (text) => Array.from(text, (c) => c.charCodeAt(0));
const HELLO = 'session=s1 token=t1 key=k1 epoch=7 window=120000 buffer=65536 message_max=1048576 beat=10000 ack=16384 received=0 sent=0 resumed=0';

scenario('where no WebSocket gets through it goes over a stream of events and POSTs, by XMLHttpRequest', async (world) => {
  globalThis.XMLHttpRequest = world.XMLHttpRequest;
  const it = make(URL_, 'v1.app');
  const stream = await request(world);
  same([stream.method, stream.url, stream.headers.accept, stream.headers['hf-protocol']], ['GET', 'https://gateway.test/ws', 'text/event-stream', 'v1.app']);
  holds(/^hf1\.o\./.test(stream.headers['hf-open']), 'it opens no session');
  await stream.head(200, { 'content-type': 'text/event-stream' });
  await stream.part(`:${' '.repeat(2048)}\n\nevent: hello\nda`);
  await stream.part(`ta: ${HELLO}\n\nid: t1.7.1\ndata: two\ndata: lines\n\nevent: binary\ndata: AP8=\n\nevent: text64\ndata: YQ1i\n\n`);
  same(it.types().slice(-1), ['open']);
  same(it.messages, ['two\nlines', [0, 255], 'a\rb']);
  it.socket.send('gr\u00fcn \u20ac');
  it.socket.send(new Uint8Array([7, 0]));
  await settle();
  let posts = world.requests.filter((each) => each.method === 'POST');
  same([posts[0].url, posts[0].headers['hf-key'], posts[0].headers['content-type']], ['https://gateway.test/ws', 'k1', 'application/x-hf1']);
  await posts[0].head(200, { 'hf-received': '0' });
  await posts[0].end([]);
  posts = world.requests.filter((each) => each.method === 'POST');
  const sent = [].concat(...posts.map((each) => each.body));
  const wanted = framed([1, [0x67, 0x72, 0xc3, 0xbc, 0x6e, 0x20, 0xe2, 0x82, 0xac]], [2, [7, 0]]);
  holds(JSON.stringify(sent).indexOf(JSON.stringify(wanted).slice(1, -1)) >= 0, `the messages are not in ${JSON.stringify(sent)}`);
  await stream.fail();
  same(it.types().slice(-1), ['reconnecting']);
  const again = await request(world);
  holds(/^hf1\.r\.t1\.7\.3\.\d+$/.test(again.headers['hf-resume']), `the resume is ${again.headers['hf-resume']}`);
});

scenario('where a stream brings nothing it goes over polls', async (world) => {
  globalThis.XMLHttpRequest = world.XMLHttpRequest;
  const it = make();
  const stream = await request(world);
  const poll = await request(world, 6_000);
  holds(stream.aborted, 'the stream is still there');
  same(poll.headers.accept, 'application/x-hf1');
  same(poll.headers['hf-open'], stream.headers['hf-open'], 'the secret');
  await poll.head(200, {});
  await poll.end(framed([3, ascii(`hello ${HELLO}`)], [1, [0xe2, 0x82, 0xac]], [2, [1, 2]]));
  same(it.types().slice(-1), ['open']);
  same(it.messages, ['\u20ac', [1, 2]]);
  await settle();
  const found = world.requests.filter((each) => each.method === 'GET').slice(-1)[0];
  same([found.headers['hf-key'], found.headers['hf-received']], ['k1', '2']);
});

async function main() {
  let failed = 0;
  for (const { name, play } of scenarios) {
    const world = makeWorld(11);
    const takeOut = world.install();
    try {
      await play(world);
      print(`ok ${name}`);
    } catch (error) {
      failed++;
      print(`not ok ${name}: ${String(error && error.stack || error).replace(/\n/g, ' | ')}`);
    } finally {
      takeOut();
    }
  }
  print(`scenarios ${scenarios.length}`);
}

main();
