// SPDX-License-Identifier: Apache-2.0
// The first page: one inbox twice, over the browser's WebSocket with the usual few lines that connect again, and over holdfast.
import { WebSocket as HoldfastSocket } from 'holdfast-client';
import { Facts, Link, Strip, cutButton, visitor, where, withUser } from './link.js';
import type { State } from './link.js';

/** Counts what the backend numbered: what is missing was sent while nobody listened. */
class Lane {
  readonly strip = new Strip();
  readonly facts = new Facts('facts three');
  received = 0;
  missing = 0;
  doubled = 0;
  closes = 0; // seen by the application
  cuts = 0;   // seen on the wire
  #expected = 0;

  constructor(place: HTMLElement, code: string) {
    const line = document.createElement('code');
    line.textContent = code;
    place.append(line, this.strip.canvas, this.facts.list);
    this.show();
  }

  take(data: string): void {
    const letter = JSON.parse(data);
    if (letter.type !== 'message') return;
    this.received++;
    if (typeof letter.n === 'number') {
      if (this.#expected && letter.n > this.#expected) this.missing += letter.n - this.#expected;
      if (this.#expected && letter.n < this.#expected) this.doubled++;
      this.strip.tick(!this.#expected || letter.n === this.#expected);
      this.#expected = Math.max(this.#expected, letter.n + 1);
    }
    this.show();
  }

  show(): void {
    this.facts.set('cuts', this.cuts);
    this.facts.set('closes seen', this.closes, this.closes ? 'bad' : 'good');
    this.facts.set('received', this.received);
    this.facts.set('lost', this.missing, this.missing ? 'bad' : 'good');
    this.facts.set('doubled', this.doubled, this.doubled ? 'bad' : 'good');
    this.facts.set('in order', this.doubled ? 'no' : 'yes', this.doubled ? 'bad' : 'good');
  }
}

function plain(url: string, place: HTMLElement): void {
  const lane = new Lane(place, "new WebSocket(url)"), pill = place.querySelector<HTMLElement>('.state')!;
  const say = (state: State, words: string) => {
    pill.dataset['state'] = state;
    pill.textContent = words;
    lane.strip.become(state);
    lane.show();
  };
  const open = () => {
    const socket = new WebSocket(url);
    let opened = false;
    socket.onopen = () => { opened = true; say('connected', 'connected'); };
    socket.onmessage = (event) => lane.take(event.data);
    socket.onclose = () => {
      lane.cuts += Number(opened);
      lane.closes += Number(opened);
      say('lost', 'closed, again in 1 s');
      setTimeout(open, 1000);
    };
  };
  lane.strip.become('connecting');
  open();
}

function held(url: string, place: HTMLElement): void {
  const lane = new Lane(place, "import { WebSocket } from 'holdfast-client'");
  const socket = new HoldfastSocket(url);
  const link = new Link(socket, place.querySelector<HTMLElement>('.state')!, (state) => {
    lane.strip.become(state);
    lane.cuts = link.cuts;
    lane.show();
  });
  lane.strip.become('connecting');
  socket.addEventListener('message', (event: MessageEvent) => lane.take(event.data));
  socket.addEventListener('close', () => { lane.closes++; lane.show(); });
}

async function main(): Promise<void> {
  const places = await where();
  cutButton(document.getElementById('cut') as HTMLButtonElement, places.cut);
  plain(withUser(places.plain ?? places.inbox, `${visitor()}-plain`), document.getElementById('plain')!);
  held(withUser(places.inbox, `${visitor()}-held`), document.getElementById('held')!);
}

void main();
