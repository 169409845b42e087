// SPDX-License-Identifier: Apache-2.0
// How a page shows its connection: the state in words, a strip of the last half minute, counts, and the button that cuts it.

export type State = 'connecting' | 'connected' | 'reconnecting' | 'resumed' | 'lost' | 'closed';

const SECONDS = 30; // what the strip shows

/** The last half minute of a connection as a strip: away in amber, lost in red, a tick for each message. */
export class Strip {
  readonly canvas = document.createElement('canvas');
  #spans: { from: number; state: State }[] = [];
  #ticks: { at: number; good: boolean }[] = [];

  constructor() {
    this.canvas.className = 'strip';
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', 'The last half minute of the connection');
    const draw = () => { this.#draw(); setTimeout(() => requestAnimationFrame(draw), 60); };
    requestAnimationFrame(draw);
  }

  become(state: State): void {
    this.#spans.push({ from: Date.now(), state });
    const old = Date.now() - SECONDS * 1000;
    while (this.#spans.length > 1 && this.#spans[1]!.from < old) this.#spans.shift();
  }

  tick(good = true): void {
    this.#ticks.push({ at: Date.now(), good });
    if (this.#ticks.length > 2000) this.#ticks.splice(0, 1000);
  }

  #draw(): void {
    const { canvas } = this;
    const width = canvas.clientWidth, height = canvas.clientHeight, scale = window.devicePixelRatio || 1;
    if (!width) return;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const context = canvas.getContext('2d')!;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas), colour = (name: string) => style.getPropertyValue(name).trim();
    const now = Date.now(), x = (at: number) => width - ((now - at) / (SECONDS * 1000)) * width;
    this.#spans.forEach((span, i) => {
      const end = this.#spans[i + 1]?.from ?? now;
      const away = span.state === 'reconnecting' || span.state === 'connecting';
      const bad = span.state === 'lost' || span.state === 'closed';
      context.fillStyle = colour(bad ? '--bad' : away ? '--wait' : '--accent');
      context.globalAlpha = bad || away ? 0.85 : 0.16;
      const left = Math.max(0, x(span.from));
      context.fillRect(left, 0, Math.max(x(end) - left, bad || away ? 2 : 0), height);
    });
    for (const tick of this.#ticks) {
      const at = x(tick.at);
      if (at < 0) continue;
      context.globalAlpha = 0.9;
      context.fillStyle = colour(tick.good ? '--accent' : '--bad');
      context.fillRect(at - 0.75, tick.good ? height * 0.38 : height * 0.12, 1.5, height * (tick.good ? 0.36 : 0.76));
    }
    context.globalAlpha = 1;
  }
}

/** A list of facts: set() by name, in the order in which they were first set. */
export class Facts {
  readonly list = document.createElement('dl');
  #values = new Map<string, HTMLElement>();

  constructor(className = 'facts') {
    this.list.className = className;
  }

  set(name: string, value: string | number, mood: '' | 'good' | 'bad' = ''): void {
    let shown = this.#values.get(name);
    if (!shown) {
      const row = document.createElement('div'), term = document.createElement('dt');
      shown = document.createElement('dd');
      term.textContent = name;
      row.append(term, shown);
      this.list.append(row);
      this.#values.set(name, shown);
    }
    shown.parentElement!.className = mood;
    if (shown.textContent !== String(value)) shown.textContent = String(value);
  }
}

/** What the page needs of holdfast-client's socket. */
export interface Held {
  readonly nextRetryAt: number | null;
  addEventListener(type: string, listener: (event: any) => void): void;
}

/** The state of a held socket, shown in a pill; `told` hears of each change. */
export class Link {
  state: State = 'connecting';
  cuts = 0;      // connections that were lost
  resumed = 0;   // of those, how many went on as if nothing had been
  uncertain = 0; // messages of ours that may not have arrived, since their session was lost
  longest = 0;   // ms away, at most
  #since = Date.now();
  #pill: HTMLElement;
  #socket: Held;
  #told: (state: State) => void;

  constructor(socket: Held, pill: HTMLElement, told: (state: State) => void = () => {}) {
    this.#socket = socket;
    this.#pill = pill;
    this.#told = told;
    socket.addEventListener('open', () => this.#become('connected'));
    socket.addEventListener('reconnecting', () => {
      if (this.state === 'connected' || this.state === 'resumed') {
        this.cuts++;
        this.#become('reconnecting');
      }
      this.#say();
    });
    socket.addEventListener('reconnected', () => {
      this.resumed++;
      this.#become('resumed');
    });
    socket.addEventListener('close', (event: { willReconnect: boolean; unacknowledged: unknown[] }) => {
      this.uncertain += event.unacknowledged.length;
      this.#become(event.willReconnect ? 'lost' : 'closed');
    });
    setInterval(() => this.#say(), 200);
    this.#say();
  }

  get away(): boolean {
    return this.state !== 'connected' && this.state !== 'resumed';
  }

  #become(state: State): void {
    if (this.state === 'reconnecting') this.longest = Math.max(this.longest, Date.now() - this.#since);
    this.state = state;
    this.#since = Date.now();
    this.#told(state);
    this.#say();
  }

  #say(): void {
    if (this.state === 'resumed' && Date.now() - this.#since > 4000) this.#become('connected');
    const next = this.#socket.nextRetryAt, seconds = next ? Math.ceil((next - Date.now()) / 1000) : 0;
    const words: Record<State, string> = {
      connecting: seconds > 1 ? `connecting in ${seconds} s` : 'connecting',
      connected: 'connected',
      reconnecting: seconds > 1 ? `reconnecting in ${seconds} s` : 'reconnecting',
      resumed: 'resumed, nothing lost',
      lost: seconds > 1 ? `session lost, a new one in ${seconds} s` : 'session lost',
      closed: 'closed',
    };
    this.#pill.dataset['state'] = this.state;
    if (this.#pill.textContent !== words[this.state]) this.#pill.textContent = words[this.state];
  }
}

/** Where the sockets are: what the page's server says, else the server itself; `?ws=` in the page's address wins. */
export interface Where { inbox: string; chat: string; plain: string | null; cut: boolean }

export async function where(): Promise<Where> {
  const base = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;
  const found: Where = { inbox: `${base}/ws/inbox/`, chat: `${base}/ws/chat`, plain: null, cut: false };
  try {
    const answer = await fetch('demo.json', { cache: 'no-store' });
    if (answer.ok) Object.assign(found, await answer.json());
  } catch { /* a server without it: the defaults */ }
  const own = new URLSearchParams(location.search).get('ws');
  return own ? { ...found, inbox: own, chat: own } : found;
}

/** A name for this visitor, so that the backend can number his messages however often he connects. */
export function visitor(): string {
  let name = sessionStorage.getItem('visitor');
  if (!name) sessionStorage.setItem('visitor', (name = Math.random().toString(36).slice(2, 10)));
  return name;
}

export function withUser(url: string, user: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}user=${encodeURIComponent(user)}`;
}

/** A button that has the page's server cut the connections; gone where that server cannot. */
export function cutButton(button: HTMLButtonElement, can: boolean): void {
  button.hidden = !can;
  button.addEventListener('click', () => {
    button.disabled = true;
    fetch('cut', { method: 'POST' }).catch(() => {}).finally(() => { button.disabled = false; });
  });
}

/** The panel beside a page: what the connection went through, in words, as a strip and in numbers. */
export class Panel {
  readonly strip = new Strip();
  readonly facts = new Facts();
  readonly button = document.createElement('button');
  #words = document.createElement('p');

  constructor(place: HTMLElement) {
    const title = document.createElement('h2'), legend = document.createElement('div');
    title.textContent = 'Connection';
    this.#words.className = 'say';
    legend.className = 'legend';
    for (const [name, colour] of [['connected', 'accent'], ['away', 'wait'], ['lost', 'bad']] as const) {
      const word = document.createElement('span'), dot = document.createElement('i');
      dot.style.background = `var(--${colour})`;
      word.append(dot, name);
      legend.append(word);
    }
    this.button.className = 'button cut small';
    this.button.type = 'button';
    this.button.textContent = 'Cut my connection';
    place.append(title, this.#words, this.strip.canvas, legend, this.facts.list, this.button);
  }

  say(words: string): void {
    if (this.#words.textContent !== words) this.#words.textContent = words;
  }
}

/** What the panel says of a held connection, in one sentence. */
export function sentence(link: Link): string {
  const times = (n: number) => (n === 1 ? 'once' : n === 2 ? 'twice' : `${n} times`);
  switch (link.state) {
    case 'connecting': return 'Reaching the server.';
    case 'reconnecting': return 'The connection is gone. What you send is kept, and what was sent to you waits at the gateway.';
    case 'closed': return 'The session has ended.';
    case 'lost': return 'The session could not be resumed: what was sent to you meanwhile is lost. A new one follows.';
    default:
      if (link.uncertain) return `A session was lost; ${link.uncertain} of your messages may not have arrived.`;
      return link.cuts === 0 ? 'One session since you opened this page.'
        : `Cut ${times(link.cuts)} and resumed ${times(link.resumed)}: still the same session.`;
  }
}
