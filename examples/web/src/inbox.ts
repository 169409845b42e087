// SPDX-License-Identifier: Apache-2.0
// The inbox: what a browser page over a Django Channels backend looks like. Of the connection it knows one line, the import.
import { WebSocket } from 'holdfast-client';
import { Link, Panel, cutButton, sentence, visitor, where, withUser } from './link.js';

const HEARTBEAT_MS = 10_000;
const KEPT = 200; // messages on the page

interface Letter { type: string; n?: number; from?: string; text?: string; at?: number }

const at = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

async function main(): Promise<void> {
  const places = await where();
  const socket = new WebSocket(withUser(places.inbox, visitor()));
  const panel = new Panel(at('link'));
  let received = 0, missing = 0, doubled = 0, expected = 0, unread = 0, awayUntil = 0, pinged = 0, pong = 0;
  const link = new Link(socket, at('state'), (state) => {
    panel.strip.become(state);
    if (state === 'resumed') awayUntil = Date.now() + 300; // what comes at once now was sent while the connection was away
    show();
  });
  cutButton(panel.button, places.cut);

  function show(): void {
    panel.say(sentence(link));
    panel.facts.set('received', received);
    panel.facts.set('cuts', link.cuts);
    panel.facts.set('lost', missing, missing ? 'bad' : 'good');
    panel.facts.set('doubled', doubled, doubled ? 'bad' : 'good');
    panel.facts.set('longest away', link.longest ? `${(link.longest / 1000).toFixed(1)} s` : '–');
    panel.facts.set('heartbeat', pong ? `${pong} ms` : '–');
    const badge = at('unread');
    badge.textContent = String(unread);
    badge.dataset['count'] = String(unread);
    document.title = unread ? `(${unread}) Inbox` : 'Inbox';
    at<HTMLButtonElement>('read').disabled = unread === 0;
    at('nothing').hidden = at('letters').childElementCount > 0;
  }

  socket.addEventListener('message', (event: MessageEvent) => {
    const letter: Letter = JSON.parse(event.data);
    if (letter.type === 'pong') {
      pong = Math.max(1, Math.round(performance.now() - pinged));
    } else if (letter.type === 'message') {
      received++;
      if (letter.n !== undefined) {
        if (expected && letter.n > expected) missing += letter.n - expected;
        if (expected && letter.n < expected) doubled++;
        expected = Math.max(expected, letter.n + 1);
      }
      unread++;
      panel.strip.tick();
      add(letter, Date.now() < awayUntil);
    }
    show();
  });

  function add(letter: Letter, held: boolean): void {
    const from = letter.from ?? 'You', item = document.createElement('li');
    const face = document.createElement('span'), name = document.createElement('b'), time = document.createElement('time'), text = document.createElement('p');
    let hue = 0;
    for (const letter of from) hue = (hue * 31 + letter.charCodeAt(0)) % 360;
    face.className = 'face';
    face.style.background = `hsl(${hue} 42% 35%)`;
    face.textContent = from.slice(0, 1);
    face.setAttribute('aria-hidden', 'true');
    name.textContent = from;
    time.textContent = new Date(letter.at ?? Date.now()).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
    text.textContent = letter.text ?? '';
    item.className = 'unread new';
    item.append(face, name, time, text);
    if (held) {
      const note = document.createElement('span');
      note.className = 'held';
      note.textContent = 'arrived after the cut';
      item.append(note);
    }
    item.addEventListener('click', () => {
      if (!item.classList.contains('unread')) return;
      item.classList.remove('unread');
      unread--;
      show();
    });
    const list = at('letters');
    list.prepend(item);
    while (list.childElementCount > KEPT) list.lastElementChild!.remove();
  }

  at('read').addEventListener('click', () => {
    document.querySelectorAll('.letters .unread').forEach((item) => item.classList.remove('unread'));
    unread = 0;
    show();
  });
  at<HTMLFormElement>('compose').addEventListener('submit', (event) => {
    event.preventDefault();
    const field = at<HTMLInputElement>('text');
    if (!field.value.trim()) return;
    socket.send(JSON.stringify({ type: 'say', text: field.value.trim() })); // connected or not: it is kept until it can go
    field.value = '';
  });
  const beat = () => {
    if (link.away) return; // a heartbeat that was kept would measure the cut
    pinged = performance.now();
    socket.send(JSON.stringify({ type: 'ping' }));
  };
  socket.addEventListener('open', beat);
  setInterval(beat, HEARTBEAT_MS);
  show();
}

void main();
