// SPDX-License-Identifier: Apache-2.0
// The chat: answers in many small pieces, {"i":0,"chunk":…} and at last {"done":N}; a cut in the middle is bridged by the library.
import { WebSocket } from 'holdfast-client';
import { Link, Panel, cutButton, sentence, visitor, where, withUser } from './link.js';

const QUESTIONS = ['Why do sockets die?', 'What is a heartbeat?', 'Tell me a long story'];
const WORDS = 120, EVERY_MS = 60; // what is asked for

interface Piece { i?: number; chunk?: string; done?: number }
interface Answer { box: HTMLElement; words: HTMLElement; note: HTMLElement; next: number; wrong: number; cuts: number }

const at = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const times = (n: number) => (n === 1 ? 'once' : n === 2 ? 'twice' : `${n} times`);

async function main(): Promise<void> {
  const places = await where();
  const socket = new WebSocket(withUser(places.chat, visitor()));
  const panel = new Panel(at('link')), talk = at('talk');
  const waiting: Answer[] = []; // the oldest one is being answered
  let chunks = 0, missing = 0, answers = 0;
  const link = new Link(socket, at('state'), (state) => {
    panel.strip.become(state);
    const answer = waiting[0];
    if (answer && state === 'reconnecting') {
      answer.cuts++;
      note(answer, 'the connection is away; the rest will come', 'wait');
    } else if (answer && state === 'resumed') {
      note(answer, `cut ${times(answer.cuts)}, resumed`, 'good');
    }
    answer?.box.classList.toggle('waiting', state === 'reconnecting');
    show();
  });
  cutButton(panel.button, places.cut);

  function show(): void {
    panel.say(sentence(link));
    panel.facts.set('pieces', chunks);
    panel.facts.set('answers', answers);
    panel.facts.set('cuts', link.cuts);
    panel.facts.set('missing', missing, missing ? 'bad' : 'good');
  }

  function note(answer: Answer, words: string, mood: string): void {
    answer.note.textContent = words;
    answer.note.className = mood;
  }

  function follow(): void {
    talk.scrollTop = talk.scrollHeight;
  }

  function ask(question: string): void {
    at('hints').hidden = true;
    const asked = document.createElement('div');
    asked.className = 'asked';
    asked.textContent = question;
    const answer: Answer = { box: document.createElement('div'), words: document.createElement('span'), note: document.createElement('small'),
      next: 0, wrong: 0, cuts: 0 };
    answer.box.className = 'answer running';
    answer.words.className = 'words';
    answer.box.append(answer.words, answer.note);
    talk.append(asked, answer.box);
    follow();
    waiting.push(answer);
    socket.send(JSON.stringify({ ask: WORDS, every_ms: EVERY_MS, text: question }));
  }

  socket.addEventListener('message', (event: MessageEvent) => {
    const piece: Piece = JSON.parse(event.data), answer = waiting[0];
    if (!answer) return;
    const below = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 80; // else the reader is looking at something above
    if (piece.chunk !== undefined) {
      chunks++;
      panel.strip.tick();
      answer.wrong += Math.abs((piece.i ?? answer.next) - answer.next);
      answer.next = (piece.i ?? answer.next) + 1;
      answer.words.append(piece.chunk);
    } else if (piece.done !== undefined) {
      answer.wrong += Math.abs(piece.done - answer.next);
      missing += answer.wrong;
      answers++;
      answer.box.classList.remove('running', 'waiting');
      note(answer, answer.wrong ? `${answer.wrong} pieces are missing` : `${piece.done} pieces, none missing${answer.cuts ? `; cut ${times(answer.cuts)}` : ''}`,
        answer.wrong ? 'bad' : 'good');
      waiting.shift();
    }
    if (below) follow();
    show();
  });

  for (const question of QUESTIONS) {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.className = 'button plain small';
    chip.textContent = question;
    chip.addEventListener('click', () => ask(question));
    at('chips').append(chip);
  }
  at<HTMLFormElement>('compose').addEventListener('submit', (event) => {
    event.preventDefault();
    const field = at<HTMLInputElement>('text');
    if (field.value.trim()) ask(field.value.trim());
    field.value = '';
  });
  show();
}

void main();
