// SPDX-License-Identifier: Apache-2.0
// The words of hf1: control messages, the escape, and what is offered before there is a connection.
// docs/protocol.md sections 2 to 4.
import { utf8Length } from './utf8.js';

export const HF1 = 'hf1';
export const MARK = '\x01';
/** The code of a Close for a connection that is given up while the session is to go on. */
export const ABANDON = 4499;
/** What a message costs against a credit beside its payload, bytes. */
export const COST = 16;

/** The largest value of a number, where it is not 2^53 - 1. */
const LIMITS: Record<string, number> = { resumed: 1, code: 4999, http: 999 };
/** verb: needed keys | other keys. A key with # is a number. */
const VERBS: Record<string, string> = {
  hello:
    'session token key epoch# window# buffer# message_max# beat# ack# received# sent# resumed#|protocol reason old_received#',
  ack: 'n#|',
  live: 'sent#|',
  coming: 'bytes#|',
  rebound: 'from# to# attempt#|',
  goaway: 'in#|url',
  auth: 'value|',
  'auth-ok': 'exp#|',
  bye: 'code#|reason',
  end: 'who reason|code# http# retry#',
  close: 'code#|reason',
  gap: 'from# to#|',
};

export interface Control {
  verb: string;
  /** Texts, decoded. */
  text: Record<string, string>;
  /** Numbers. */
  num: Record<string, number>;
}

/** Reads the text behind the 0x01. Throws for what is a protocol error; an unknown verb is none. */
export function readControl(text: string): Control {
  const [verb, ...words] = text.split(' ');
  const [needed, more] = (Object.keys(VERBS).indexOf(verb) < 0 ? '|' : VERBS[verb]).split('|').map((keys) => keys.split(' '));
  const control: Control = { verb, text: {}, num: {} };
  const seen: string[] = [''];
  let good = /^[a-z-]+$/.test(verb) && utf8Length(text) < (verb === 'auth' ? 16384 : 1024);
  for (const word of words) {
    // Everything below 0x21 is no part of a value.
    const [, key, raw] = /^([a-z_]+)=([^\x00-\x20]*)$/.exec(word) || [];
    if (!key) throw 0;
    const value = decodeURIComponent(raw); // throws for a bad escape, and for what is not UTF-8
    const known = needed.concat(more).filter((name) => name.replace('#', '') === key)[0];
    if (!known) continue;
    good = good && seen.indexOf(known) < 0;
    seen.push(known);
    if (known === key) control.text[key] = value;
    else {
      control.num[key] = +value;
      good = good && /^\d+$/.test(value) && +value <= (LIMITS[key] || 2 ** 53 - 1);
    }
  }
  if (!good || needed.some((name) => seen.indexOf(name) < 0)) throw 0;
  return control;
}

/** Writes the text behind the 0x01; absent values are left out. */
export function writeControl(verb: string, pairs: Record<string, string | number | undefined>): string {
  let text = verb;
  for (const key of Object.keys(pairs)) {
    const value = pairs[key];
    if (value !== undefined) text += ` ${key}=${encodeURIComponent(value)}`;
  }
  return text;
}

export type TextKind = 'plain' | 'escaped' | 'control' | 'bad';

/** Of a whole text message that came over an hf1 connection. */
export function textKind(text: string): TextKind {
  return text[0] !== MARK ? 'plain' : text.length === 1 ? 'bad' : text[1] === MARK ? 'escaped' : 'control';
}

/** An application's text as it goes over an hf1 connection. */
export function escapeText(text: string): string {
  return text[0] === MARK ? MARK + text : text;
}

export function openOffer(secret: string): string {
  return `hf1.o.${secret}`;
}

export function resumeOffer(token: string, epoch: number, received: number, attempt: number): string {
  return `hf1.r.${token}.${epoch}.${received}.${attempt}`;
}
