// SPDX-License-Identifier: Apache-2.0
// The application of the matrix on Node's ws. argv: port, JSON: `host`, `answer` (echo, silent), `push` (a message of its own every
// so many seconds), `max` (maxPayload), and at most one fault:
//   limit [N, how, W]   the N-th message (in W seconds; 0: of the whole life) ends it: how is a close code or "terminate"
//   chunks [N, how, C]  each question is answered by C messages; with the N-th message, theirs and ours together, it ends
//   heartbeat [S, how]  ping every S seconds, and terminate what has not answered: how is "shared" (one interval for all, as
//                       in ws's README) or "own" (one for each connection, from its open on)
'use strict';
const { WebSocketServer } = require('ws');

const how = JSON.parse(process.argv[3] || '{}');
const server = new WebSocketServer({
  host: how.host || '127.0.0.1',
  port: Number(process.argv[2]),
  perMessageDeflate: false,
  maxPayload: how.max || 1 << 26,
});

function end(socket, as) {
  if (as === 'terminate') {
    socket.terminate();
  } else {
    socket.close(as, 'rate limit');
  }
}

function beat(socket) {
  if (socket.isAlive === false) {
    socket.terminate();
    return;
  }
  socket.isAlive = false;
  socket.ping();
}

function limited(socket, limit) {
  const [most, as, window] = limit;
  const seen = [];
  return () => {
    const now = Date.now();
    seen.push(now);
    while (window && seen[0] < now - window * 1000) {
      seen.shift();
    }
    if (seen.length < most) {
      return false;
    }
    end(socket, as);
    return true;
  };
}

server.on('connection', (socket) => {
  const chunks = how.chunks && how.chunks[2];
  const ends = how.limit ? limited(socket, how.limit) : how.chunks ? limited(socket, [how.chunks[0], how.chunks[1], 0]) : () => false;
  socket.isAlive = true;
  socket.on('pong', () => {
    socket.isAlive = true;
  });
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    if (ends()) {
      return;
    }
    if (chunks) {
      for (let i = 0; i < chunks; i++) {
        if (ends()) {
          return;
        }
        socket.send(`chunk ${i}`);
      }
    } else if (how.answer !== 'silent') {
      socket.send(data, { binary });
    }
  });
  if (how.push) {
    const timer = setInterval(() => socket.send('{"news":1}'), how.push * 1000);
    socket.on('close', () => clearInterval(timer));
  }
  if (how.heartbeat && how.heartbeat[1] === 'own') {
    const timer = setInterval(beat, how.heartbeat[0] * 1000, socket);
    socket.on('close', () => clearInterval(timer));
  }
});
if (how.heartbeat && how.heartbeat[1] === 'shared') {
  setInterval(() => server.clients.forEach(beat), how.heartbeat[0] * 1000);
}
