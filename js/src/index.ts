// SPDX-License-Identifier: Apache-2.0
// holdfast-client: a WebSocket whose session outlives its connections.
export { WebSocket, WebSocket as default, type Data, type State, type Stats } from './socket.js';
export type { Asked, Options } from './options.js';
export type { CloseCause, Ending, Transport, Undelivered, WhileHidden } from './types.js';
export { HoldfastError } from './errors.js';
export { wsUrl } from './url.js';
export { HoldfastEvent } from './events.js';
export type {
  AuthorizedEvent,
  CloseEvent,
  ErrorEvent,
  EventMap,
  EventType,
  Listener,
  ListenerOptions,
  MessageEvent,
  ReboundEvent,
  ReconnectedEvent,
  ReconnectingEvent,
} from './events.js';
export type { WebSocketClass, WebSocketLike } from './transports/websocket.js';
