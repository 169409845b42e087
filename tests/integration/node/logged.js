// SPDX-License-Identifier: Apache-2.0
// A ws server that logs as many do: errors and closes by console. argv: port.
'use strict';
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), maxPayload: 1000 });
server.on('connection', (socket, request) => {
  console.log(`connected ${request.url}`);
  socket.on('message', (data) => {
    const text = data.toString();
    if (text === 'terminate') {
      socket.terminate();
    } else {
      socket.send(text);
    }
  });
  socket.on('error', (error) => console.error(error));
  socket.on('close', (code, reason) => console.log(`closed ${code} ${reason}`));
});
