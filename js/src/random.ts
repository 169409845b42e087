// SPDX-License-Identifier: Apache-2.0
// Random bytes for the opening secret.

/** Fills with the engine's good randomness; where there is none (React Native without a polyfill) with Math.random, which is
 *  why the option `randomBytes` exists. */
export function fillRandom(bytes: Uint8Array): void {
  const good = typeof crypto === 'object' && crypto && crypto.getRandomValues;
  if (good) crypto.getRandomValues(bytes);
  else for (let i = 0; i < bytes.length; i++) bytes[i] = Math.random() * 256;
}
