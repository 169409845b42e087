// SPDX-License-Identifier: Apache-2.0
// What is thrown for wrong use, by the names that the browser's WebSocket uses, and what `error` events carry.

/** code: `connection_failed` (an attempt failed before the first open), `refused` (the gateway or the backend said no),
 *  `queue_full`, `too_big` (both: the message in `data` was not taken). */
export class HoldfastError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly data?: unknown,
    /** Of `refused`: the HTTP status the refusal would have had. */
    readonly status?: number,
  ) {
    super(message);
    this.name = 'HoldfastError';
  }
}

/** A DOMException where there is one, else an Error of that name. */
export function domError(name: string, message: string): Error {
  if (typeof DOMException === 'function') return new DOMException(message, name);
  const error = new Error(message);
  error.name = name;
  return error;
}
