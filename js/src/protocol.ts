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

function wrong(what: string): never {
  throw new Error('hf1: ' + what);
}

function readValue(value: string): string {
  // Everything below 0x21 and a lone % are no part of a value.
  if (/[\x00-\x20]|%(?![0-9a-f]{2})/i.test(value)) wrong('bad value');
  return decodeURIComponent(value); // throws when it is not UTF-8
}

/** Reads the text behind the 0x01. Throws for what is a protocol error; an unknown verb is none. */
export function readControl(text: string): Control {
  const words = text.split(' ');
  const verb = words[0];
  if (!/^[a-z-]+$/.test(verb)) wrong('bad verb');
  if (utf8Length(text) + 1 > (verb === 'auth' ? 16384 : 1024)) wrong('control message too long');
  const known = Object.prototype.hasOwnProperty.call(VERBS, verb) ? VERBS[verb].split('|').map((keys) => keys.split(' ')) : [[], []];
  const control: Control = { verb, text: {}, num: {} };
  const seen: Record<string, boolean> = {};
  for (const word of words.slice(1)) {
    const pair = /^([a-z_]+)=([^]*)$/.exec(word) || wrong('bad pair');
    const key = pair[1];
    const value = readValue(pair[2]);
    const asNumber = known.some((keys) => keys.indexOf(key + '#') >= 0);
    if (!asNumber && !known.some((keys) => keys.indexOf(key) >= 0)) continue;
    if (seen['$' + key]) wrong(key + ' twice');
    seen['$' + key] = true;
    if (!asNumber) control.text[key] = value;
    else if (/^\d+$/.test(value) && +value <= (LIMITS[key] || 2 ** 53 - 1)) control.num[key] = +value;
    else wrong(key + ' is no number');
  }
  for (const key of known[0]) if (key && !seen['$' + key.replace('#', '')]) wrong(key + ' is missing');
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
