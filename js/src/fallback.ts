// SPDX-License-Identifier: Apache-2.0
// The transports without WebSockets, as a part of the package that is loaded only when it is needed.
export { openPoll } from './transports/poll.js';
export { openSse } from './transports/sse.js';
