// SPDX-License-Identifier: Apache-2.0
// One socket on a scripted WebSocket under a clock of the test's, with what a gateway would say.
import { WebSocket } from '../.build/index.js';
import { Clock } from './clock.mjs';
import { scripted } from './scripted.mjs';

export function hello(more = {}) {
  const keys = { session: 's1', token: 'T1', key: 'K1', epoch: 7, window: 60000, buffer: 65536, message_max: 1048576, beat: 25000, ack: 16384, received: 0, sent: 0, resumed: 0, ...more };
  return '\x01hello ' + Object.entries(keys).map(([key, value]) => `${key}=${value}`).join(' ');
}

export const TYPES = ['open', 'message', 'close', 'error', 'reconnecting', 'reconnected', 'rebound', 'authorized'];

/** Runs a test on a stage; random: what Math.random gives meanwhile. */
export async function onStage(play, { random = 0.5 } = {}) {
  const clock = new Clock().install();
  const realRandom = Math.random;
  Math.random = () => random;
  const stage = { clock, sockets: [], Socket: scripted(), events: [] };
  stage.make = (url = 'ws://gateway.test/ws', protocols, options = {}) => {
    const ws = new WebSocket(url, protocols, { WebSocket: stage.Socket, transports: ['websocket'], ...options });
    for (const type of TYPES) ws.addEventListener(type, (event) => stage.events.push(event));
    stage.sockets.push(ws);
    return ws;
  };
  stage.socket = () => stage.Socket.sockets[stage.Socket.sockets.length - 1];
  stage.types = () => stage.events.map((event) => event.type);
  stage.take = () => stage.events.splice(0);
  /** What went over the wire as messages since the last call. */
  stage.sent = () => stage.Socket.wire.splice(0).filter((entry) => entry.send !== undefined).map((entry) => entry.send);
  stage.settle = () => clock.settle();
  /** Lets the next attempt come, and no more. */
  stage.retry = () => clock.wait(Math.max(0, stage.sockets.at(-1).nextRetryAt - Date.now()));
  /** Opens the newest socket as a gateway does. */
  stage.greet = async (more) => {
    stage.socket().open('hf1');
    stage.socket().receive(hello(more));
    await clock.settle();
  };
  try {
    await clock.settle();
    await play(stage);
  } finally {
    Math.random = realRandom;
    clock.uninstall();
  }
}
