// SPDX-License-Identifier: Apache-2.0
// What the page goes through, told to the engine. Where there is no page (Node, React Native) nothing is listened to.
import type { Engine } from './engine.js';

/** Calls with the engine and the time, then lets the actions out. What it returns stops listening. */
export function watchPage(engine: Engine, now: () => number, drain: () => void): () => void {
  const undo: (() => void)[] = [];
  const on = (target: any, type: string, listener: (event: any) => void) => {
    const heard = (event: any) => {
      listener(event);
      drain();
    };
    target.addEventListener(type, heard);
    undo.push(() => target.removeEventListener(type, heard));
  };
  if (typeof document === 'object' && document) {
    const hidden = () => document.visibilityState === 'hidden';
    on(document, 'visibilitychange', () => engine.setHidden(now(), hidden()));
    on(document, 'freeze', () => engine.pause(now()));
    on(document, 'resume', () => engine.wake(now()));
    engine.setHidden(now(), hidden());
  }
  if (typeof addEventListener === 'function' && typeof window === 'object') {
    on(window, 'pagehide', (event) => (event.persisted ? engine.pause(now()) : engine.leave(now())));
    on(window, 'pageshow', (event) => event.persisted && engine.wake(now()));
  }
  if (typeof addEventListener === 'function' && typeof navigator === 'object') {
    on(globalThis, 'online', () => engine.online(now()));
    on(globalThis, 'offline', () => engine.offline());
  }
  return () => undo.forEach((stop) => stop());
}
