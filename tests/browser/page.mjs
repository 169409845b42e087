// SPDX-License-Identifier: Apache-2.0
// In the page: opens the library's socket at ?url=, sends c1, c2, … and keeps what happens. window.run is what the tests read.
import { WebSocket } from './dist/index.js';

const query = new URLSearchParams(location.search);
if (query.get('chance')) Math.random = () => Number(query.get('chance')); // for a delay that is known
const run = (window.run = { lifecycle: [], received: [], sent: 0, events: [], options: JSON.parse(query.get('options') || '{}') });
const socket = (run.socket = new WebSocket(query.get('url'), [], run.options));
for (const type of ['open', 'close', 'error', 'reconnecting', 'reconnected', 'rebound']) {
  socket.addEventListener(type, (event) => run.events.push({ type, code: event.code, recovered: event.recovered, cause: event.cause, from: event.from, to: event.to,
    unacknowledged: event.unacknowledged && event.unacknowledged.length, at: Date.now() }));
}
socket.addEventListener('message', (event) => run.received.push(event.data));
const every = Number(query.get('every') || 40);
const timer = every && setInterval(() => socket.send(`c${++run.sent}`), every);
run.stop = () => clearInterval(timer);
window.addEventListener('pageshow', (event) => { run.persisted = event.persisted; });
for (const type of ['freeze', 'resume']) document.addEventListener(type, () => run.lifecycle.push(type));
