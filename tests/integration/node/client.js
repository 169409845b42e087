// SPDX-License-Identifier: Apache-2.0
// A client on Node's ws. argv: URL; standard input: JSON {protocols, deflate, ca, send: [{text}|{base64}], expect, close: [code, reason]}.
// Sends everything, waits for `expect` messages, closes if told to (else waits to be closed), prints one JSON line.
'use strict';
const fs = require('fs');
const WebSocket = require('ws');

const how = JSON.parse(fs.readFileSync(0, 'utf8'));
const socket = new WebSocket(process.argv[2], how.protocols || [], {
  perMessageDeflate: how.deflate ? { threshold: 0 } : false,
  ca: how.ca ? fs.readFileSync(how.ca) : undefined,
  servername: how.servername,
  headers: how.headers,
});
const result = { received: [], pings: 0 };
const finish = () => {
  if (how.close && result.received.length >= how.expect) socket.close(...how.close);
};
socket.on('open', () => {
  result.protocol = socket.protocol;
  result.extensions = socket.extensions;
  for (const item of how.send) socket.send(item.text !== undefined ? item.text : Buffer.from(item.base64, 'base64'));
  finish();
});
socket.on('message', (data, binary) => {
  result.received.push(binary ? { base64: data.toString('base64') } : { text: data.toString() });
  finish();
});
socket.on('ping', () => { result.pings += 1; });
socket.on('unexpected-response', (request, response) => {
  let body = '';
  response.on('data', (piece) => { body += piece; });
  response.on('end', () => {
    console.log(JSON.stringify({ refused: response.statusCode, body }));
    process.exit(0);
  });
});
socket.on('error', (error) => { result.error = error.message; });
socket.on('close', (code, reason) => {
  result.close = [code, reason.toString()];
  console.log(JSON.stringify(result));
});
