// SPDX-License-Identifier: Apache-2.0
// useHoldfast in real React under StrictMode. run.mjs bundles this file once with React 18 and once with 19.
import './dom.mjs';
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import React, { StrictMode, useEffect, act } from 'react';
import { createRoot, hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { useHoldfast } from 'holdfast-client/react';
import { makeWorld, settle } from '../support/world.mjs';

const h = React.createElement;
const URL_ = 'ws://gateway.test/ws';
let world, takeOut, root, complaints, consoleError;

beforeEach(() => {
  world = makeWorld(7);
  takeOut = world.install();
  complaints = [];
  consoleError = console.error;
  console.error = (...words) => complaints.push(words.map(String).join(' '));
  document.body.innerHTML = '<div id="root"></div>';
  root = null;
});

afterEach(async () => {
  if (root) await act(async () => { root.unmount(); });
  await world.advance(20_000);
  console.error = consoleError;
  takeOut();
  assert.deepEqual(complaints, [], 'React complains about nothing');
});

const text = () => document.getElementById('root').textContent;

async function render(element) {
  await act(async () => {
    root = root || createRoot(document.getElementById('root'));
    root.render(h(StrictMode, null, element));
  });
}

/** Acts in the world, and lets React show what came of it. */
const when = (what) => act(async () => { await what(); await settle(); });

/** The first connection, its session open. */
async function opened(keys = {}) {
  const socket = world.sockets[world.sockets.length - 1];
  await when(async () => { await socket.open(); await socket.hello(keys); });
  return socket;
}

let seen; // what the last Shows returned
function Shows({ url = URL_, name = '', ...options }) {
  seen = useHoldfast(url, options);
  seen.renders = (Shows.renders = (Shows.renders || 0) + 1);
  return h('p', null, `${name}${seen.status} `);
}

test('StrictMode takes every effect out and puts it back, and there is one connection', async () => {
  await render(h(Shows));
  assert.equal(world.sockets.length, 1);
  await opened();
  assert.equal(text(), 'open ');
  await when(() => world.advance(1000));
  assert.equal(world.sockets.length, 1);
  assert.equal(world.sockets[0].closed, null);
});

test('components with the same URL share a socket, which is closed when the last one has gone', async () => {
  await render(h('div', null, h(Shows, { name: 'a ' }), h(Shows, { name: 'b ' })));
  assert.equal(world.sockets.length, 1);
  const socket = await opened();
  assert.equal(text(), 'a open b open ');
  await render(h('div', null, h(Shows, { name: 'a ' })));
  await when(() => world.advance(1000));
  assert.equal(socket.closed, null);
  await render(h('div'));
  await when(() => world.advance(10));
  assert.deepEqual(socket.closed && socket.closed[0], 1000);
  assert.deepEqual(socket.controls.filter(([verb]) => verb === 'bye').length, 1, 'the session was ended, not left to wait');
});

test('a component that replaces another in one commit inherits its connection', async () => {
  await render(h(Shows, { key: 1 }));
  const socket = await opened();
  await render(h(Shows, { key: 2 }));
  await when(() => world.advance(1000));
  assert.equal(text(), 'open ');
  assert.equal(socket.closed, null);
  assert.equal(world.sockets.length, 1);
});

test('another key or another subprotocol is another socket', async () => {
  await render(h('div', null, h(Shows), h(Shows, { key: 1, protocols: 'v1' }), h(Keyed)));
  assert.equal(world.sockets.length, 3);
  function Keyed() {
    return h('p', null, useHoldfast(URL_, { key: 'mine' }).status);
  }
});

test('messages go to the newest callback of each component, in order, and render nothing', async () => {
  const got = [];
  await render(h(Shows, { onMessage: (event) => got.push(`old ${event.data}`) }));
  const socket = await opened();
  await render(h(Shows, { onMessage: (event) => got.push(`new ${event.data}`) }));
  const before = seen.renders;
  await when(async () => { await socket.text('1'); await socket.text('2'); });
  assert.deepEqual(got, ['new 1', 'new 2']);
  assert.equal(seen.renders, before);
});

test('an event that changes nothing in the state renders nothing', async () => {
  const errors = [];
  await render(h(Shows, { onError: (event) => errors.push(event.error.code) }));
  await opened({ message_max: 10 });
  const before = seen.renders;
  await when(() => { assert.equal(seen.send('longer than that'), false); });
  assert.deepEqual(errors, ['too_big']);
  assert.equal(seen.renders, before);
});

test('bytes come as an ArrayBuffer', async () => {
  const got = [];
  await render(h(Shows, { onMessage: (event) => got.push(event.data) }));
  const socket = await opened();
  await when(() => socket.bytes(1, 0, 255));
  assert.deepEqual([...new Uint8Array(got[0])], [1, 0, 255]);
});

test('a drop that resumes is seen as reconnecting, then as recovered, and as no close', async () => {
  const events = [];
  const on = (name) => (event) => events.push(name + (event.recovered === undefined ? '' : ` ${event.recovered}`));
  await render(h(Shows, { onOpen: on('open'), onClose: on('close'), onReconnecting: on('reconnecting'), onReconnected: on('reconnected') }));
  const first = await opened();
  await when(() => first.drop());
  assert.equal(seen.status, 'reconnecting');
  assert.equal(seen.attempt, 1);
  assert.ok(seen.nextRetryAt >= world.now && seen.nextRetryAt <= world.now + 250, `${seen.nextRetryAt - world.now}`);
  assert.ok(seen.lastClose);
  let second;
  await when(async () => { second = await world.next(); });
  assert.equal(second.resume.attempt, 1);
  await when(async () => { await second.open(); await second.hello({ resumed: 1 }); await second.control('live', { sent: 0 }); });
  assert.equal(seen.status, 'open');
  assert.equal(seen.recovered, true);
  assert.equal(seen.resumes, 1);
  assert.equal(seen.attempt, 0);
  assert.equal(seen.nextRetryAt, null);
  assert.deepEqual(events, ['open', 'reconnecting', 'reconnected true']);
});

test('a session that could not be resumed is closed and opened again, with what was not acknowledged', async () => {
  const closes = [];
  let opens = 0;
  await render(h(Shows, { onClose: (event) => closes.push(event), onOpen: () => opens++ }));
  const first = await opened();
  await when(() => { seen.send('lost?'); });
  await when(() => first.drop());
  let second;
  await when(async () => { second = await world.next(); });
  await when(async () => { await second.open(); await second.hello({ resumed: 0, reason: 'unknown', session: 's2', epoch: 8 }); });
  assert.equal(seen.status, 'open');
  assert.equal(seen.recovered, false);
  assert.equal(opens, 2);
  assert.equal(closes.length, 1);
  assert.deepEqual(closes[0].unacknowledged.map((each) => [each.data, each.uncertain]), [['lost?', true]]);
});

test('what a child sends in its first effect goes when there is a session, once', async () => {
  let sent = 0;
  function Child({ send }) {
    useEffect(() => { if (sent++ === 0) assert.equal(send('early'), true); }, [send]);
    return null;
  }
  function Parent() {
    return h(Child, { send: useHoldfast(URL_).send });
  }
  await render(h(Parent));
  const socket = await opened();
  assert.deepEqual(socket.messages, ['early']);
});

test('without a URL nothing is opened; with one later it is; with another one the first is closed', async () => {
  await render(h(Shows, { url: null }));
  assert.equal(text(), 'idle ');
  assert.equal(seen.send('x'), false);
  assert.equal(seen.getSocket(), null);
  assert.equal(world.sockets.length, 0);
  await render(h(Shows, { url: URL_ }));
  const first = await opened();
  assert.equal(text(), 'open ');
  await render(h(Shows, { url: `${URL_}/other` }));
  assert.equal(text(), 'connecting ');
  await when(() => world.advance(10));
  assert.equal(first.closed[0], 1000);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.sockets[1].url, `${URL_}/other`);
  await opened();
  assert.equal(text(), 'open ');
});

test('a URL that is a function is asked before every attempt, the newest one', async () => {
  await render(h(Shows, { url: () => `${URL_}?token=1` }));
  await when(() => settle());
  assert.equal(world.sockets.length, 1);
  assert.equal(world.sockets[0].url, `${URL_}?token=1`);
  const first = await opened();
  await render(h(Shows, { url: async () => `${URL_}?token=2` }));
  await when(() => world.advance(10));
  assert.equal(first.closed, null, 'another function is no other URL');
  await when(() => first.drop());
  await when(async () => { await world.next(); });
  assert.equal(world.sockets[1].url, `${URL_}?token=2`);
});

test('a token that is a function is asked before every attempt, the newest one', async () => {
  await render(h(Shows, { socket: { token: () => 'one' } }));
  await when(() => settle());
  assert.equal(world.sockets[0].url, `${URL_}?token=one`);
  const first = await opened();
  await render(h(Shows, { socket: { token: async () => 'two' } }));
  assert.equal(first.closed, null);
  await when(() => first.drop());
  await when(async () => { await world.next(); });
  assert.equal(world.sockets[1].url, `${URL_}?token=two`);
});

test('a callback that throws keeps nothing from the others', async () => {
  const got = [];
  await render(h('div', null, h(Shows, { onMessage: () => { throw new Error('thrown on purpose'); } }),
    h(Shows, { onMessage: (event) => got.push(event.data) })));
  const socket = await opened();
  await when(() => socket.text('1'));
  assert.deepEqual(got, ['1']);
  await assert.rejects(world.advance(1), /thrown on purpose/, 'it is told as an error that nobody caught');
});

test('send, close and reconnect stay the same functions; close ends it for all, reconnect begins anew', async () => {
  await render(h('div', null, h(Shows, { name: 'a ' }), h(Shows, { name: 'b ' })));
  const first = await opened();
  const { send, close, reconnect } = seen;
  await when(() => close(4400, 'enough'));
  assert.equal(text(), 'a closing b closing ');
  assert.deepEqual(first.controls[first.controls.length - 1], ['bye', { code: '4400', reason: 'enough' }]);
  await when(() => first.drop(4400, 'enough'));
  assert.equal(text(), 'a closed b closed ');
  assert.equal(seen.send('late'), false);
  await when(() => reconnect());
  assert.equal(text(), 'a connecting b connecting ');
  await opened();
  assert.equal(text(), 'a open b open ');
  assert.deepEqual([seen.send, seen.close, seen.reconnect], [send, close, reconnect]);
});

test('after the component is gone, send says that it took nothing', async () => {
  await render(h(Shows));
  await opened();
  const { send } = seen;
  await render(h('div'));
  await when(() => world.advance(10));
  assert.equal(send('late'), false);
});

test('on a server it renders as connecting and opens nothing; the page takes it over without a mismatch', async () => {
  const html = renderToString(h(StrictMode, null, h(Shows)));
  assert.match(html, /connecting/);
  assert.match(renderToString(h(Shows, { url: null })), /idle/);
  assert.equal(world.sockets.length, 0);
  document.getElementById('root').innerHTML = html;
  await act(async () => { root = hydrateRoot(document.getElementById('root'), h(StrictMode, null, h(Shows)),
    { onRecoverableError: (error) => complaints.push(String(error)) }); });
  assert.equal(world.sockets.length, 1);
  await opened();
  assert.equal(text(), 'open ');
});
