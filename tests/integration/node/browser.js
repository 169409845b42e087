// SPDX-License-Identifier: Apache-2.0
// Headless Chromium as a client. argv: URL of a page (its origin is the sockets'); standard input: JSON list of
// {url, protocols, send: [{text}|{base64}], expect, close: [code, reason]}; all run side by side in one page.
// Prints one JSON list of results.
'use strict';
const fs = require('fs');
const { chromium } = require('playwright-core');

const inPage = (jobs) => Promise.all(jobs.map((how) => new Promise((resolve) => {
  const result = { received: [] };
  const socket = new WebSocket(how.url, how.protocols || []);
  socket.binaryType = 'arraybuffer';
  const finish = () => {
    if (how.close && result.received.length >= how.expect) socket.close(...how.close);
  };
  socket.onopen = () => {
    result.protocol = socket.protocol;
    result.extensions = socket.extensions;
    for (const item of how.send) {
      socket.send(item.text !== undefined ? item.text : Uint8Array.from(atob(item.base64), (c) => c.charCodeAt(0)));
    }
    finish();
  };
  socket.onmessage = (event) => {
    result.received.push(typeof event.data === 'string' ? { text: event.data }
      : { base64: btoa(String.fromCharCode(...new Uint8Array(event.data))) });
    finish();
  };
  socket.onclose = (event) => {
    result.close = [event.code, event.reason];
    result.clean = event.wasClean;
    resolve(result);
  };
})));

(async () => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    const page = await browser.newPage();
    await page.goto(process.argv[2]);
    console.log(JSON.stringify(await page.evaluate(inPage, JSON.parse(fs.readFileSync(0, 'utf8')))));
  } finally {
    await browser.close();
  }
})().catch((error) => { console.error(error); process.exit(1); });
