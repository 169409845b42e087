// SPDX-License-Identifier: Apache-2.0
// A backend on Node's ws: echo with permessage-deflate and subprotocols. argv: port.
// "close CODE REASON" closes so, "headers" answers the request, "terminate" drops the TCP connection.
'use strict';
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  perMessageDeflate: { threshold: 0 },
  maxPayload: 1 << 26,
  handleProtocols: (offered) => ['v2.echo', 'v1.echo'].find((p) => offered.has(p)) || false,
});
server.on('connection', (socket, request) => {
  socket.on('message', (data, binary) => {
    const text = binary ? '' : data.toString();
    if (text.startsWith('close')) {
      const [, code, ...reason] = text.split(' ');
      socket.close(code ? Number(code) : undefined, reason.join(' ') || undefined);
    } else if (text === 'headers') {
      socket.send(JSON.stringify({ path: request.url, headers: request.rawHeaders }));
    } else if (text === 'terminate') {
      socket.terminate();
    } else {
      socket.send(data, { binary });
    }
  });
  socket.on('error', () => {});
});
