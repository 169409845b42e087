// SPDX-License-Identifier: Apache-2.0
// A page for React to render into; imported before React itself.
import { createRequire } from 'node:module';

const { JSDOM } = createRequire(process.env.HF_TESTS_JS + '/package.json')('jsdom');
const { window } = new JSDOM('<!doctype html><div id="root"></div>', { url: 'http://127.0.0.1/' });
for (const name of ['window', 'document', 'HTMLElement', 'Node', 'Event', 'navigator']) {
  Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true, writable: true });
}
// React's act posts itself messages, and a real port would keep the process alive for ever.
globalThis.MessageChannel = class {
  port1 = { onmessage: null };
  port2 = { postMessage: () => setImmediate(() => this.port1.onmessage({})) };
};
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
