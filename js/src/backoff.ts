// SPDX-License-Identifier: Apache-2.0
// When to try again: exponential backoff with full jitter. Pure. docs/protocol.md section 8.

/** ms, from 0 up to base * factor^failures, at most cap; random is from [0, 1). */
export function backoff(failures: number, base: number, factor: number, cap: number, random: number): number {
  return Math.round(random * Math.min(cap, base * Math.pow(factor, failures)));
}

/** What is known of one address of several. */
export interface Endpoint {
  /** Attempts that failed since one succeeded. */
  failures: number;
  /** Connections that ended, and the ms they lived in all. */
  ended: number;
  lived: number;
}

/** A connection that lived so long, ms, counts as one that lasts: an address that was never tried is taken for such a one. */
const LASTING = 60_000;

/** Index of the address to try: the one that failed least, of those the one whose connections live longest, of those the first. */
export function choose(endpoints: Endpoint[]): number {
  const life = (e: Endpoint) => (e.ended ? e.lived / e.ended : LASTING);
  let best = 0;
  endpoints.forEach((e, i) => {
    const b = endpoints[best];
    if (e.failures < b.failures || (e.failures === b.failures && life(e) > life(b))) best = i;
  });
  return best;
}
