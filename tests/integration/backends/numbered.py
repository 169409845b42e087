# SPDX-License-Identifier: Apache-2.0
"""What the two backends of numbered messages share: the messages, and a book of what each session saw.

    WS /ws/numbers/?session=NAME[&every_ms=M][&count=N]

From the accept on the backend sends messages 1, 2, 3, … one each `every_ms` (default 1000; 0: none), at most `count` of them, and checks that
those of the client are 1, 2, 3, … as well. `end N` from the client says that it has sent N messages; it is answered by `end M`, M being the
backend's own count, behind which nothing comes. A disconnect before that is an early one. GET /report answers the book as JSON; with NUMBERED_LOG
each connect, message and disconnect is also a line of that file, which outlives a process that is killed.

Message n is `n` with a tail whose length follows from n: sometimes binary, sometimes with a 0x01 in front, sometimes some kilobytes long. The
other side knows the same rule, so a message that was changed on its way is noticed."""
import asyncio
import json
import os
import time
from urllib.parse import parse_qs

TAIL = "abcdefghijklmnopqrstuvwxyz0123456789" * 200
LOG = os.environ.get("NUMBERED_LOG")
log_file = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if LOG else None


def message(n):
    """Text or bytes of message n."""
    tail = 4000 + n % 13 if n % 64 == 33 else n * 37 % 97
    text = f"{n} {TAIL[:tail]}"
    if n % 16 == 7:
        return "\x01" + text
    return text.encode() if n % 10 == 3 else text


def number(text):
    """What message this says it is; None: it is none."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    word = text.lstrip("\x01").split(" ", 1)[0]
    return int(word) if word.isdigit() else None


class Session:
    """What one session saw, over all connections it had; there should be one."""

    def __init__(self, name):
        self.name = name
        self.connects = self.disconnects = self.early = 0
        self.first, self.last, self.taken = None, 0, 0  # numbers of the client's messages
        self.missing = set()
        self.doubled = self.reordered = self.changed = 0
        self.sent = 0
        self.said = None  # the count that the client's `end` named
        self.ended = False
        self.codes = []

    def log(self, *words):
        if log_file is not None:
            os.write(log_file, (" ".join(map(str, (time.time(), os.getpid(), self.name, *words))) + "\n").encode())

    def connected(self):
        self.connects += 1
        self.log("connect")

    def disconnected(self, code):
        self.disconnects += 1
        self.early += not self.ended
        self.codes.append(code)
        self.log("disconnect", code)

    def take(self, text):
        n = number(text)
        self.log("take", n)
        self.taken += 1
        if n is None or text != message(n):
            self.changed += 1
            return
        if self.first is None:
            self.first, self.last = n, n
        elif n == self.last + 1:
            self.last = n
        elif n > self.last:
            self.missing.update(range(self.last + 1, n))
            self.last = n
        elif n in self.missing:
            self.missing.discard(n)
            self.reordered += 1
        else:
            self.doubled += 1

    def lost(self):
        """Messages that the client says it has sent and that did not come."""
        return len(self.missing) + max(0, (self.said or 0) - self.last)

    def report(self):
        return {"connects": self.connects, "disconnects": self.disconnects, "early": self.early, "codes": self.codes[:4],
                "first": self.first, "last": self.last, "taken": self.taken, "lost": self.lost(), "doubled": self.doubled,
                "reordered": self.reordered, "changed": self.changed, "sent": self.sent, "ended": self.ended}


sessions = {}


class Stream:
    """The backend's side of one connection: sends the numbered messages, and the last word."""

    def __init__(self, session, every, count, send):
        self.session, self.every, self.count, self.send = session, every, count, send
        self.task = asyncio.ensure_future(self.run()) if every > 0 else None

    async def run(self):
        now = asyncio.get_running_loop().time
        start = now()
        for n in range(1, self.count + 1):
            # By the clock, so that a busy process does not send fewer; but never two at once.
            await asyncio.sleep(max(self.every / 4, start + n * self.every - now()))
            if self.session.said is not None:
                break
            await self.send(message(n))
            self.session.sent = n
        if self.session.said is not None:
            await self.finish()

    async def finish(self):
        self.session.ended = True
        await self.send(f"end {self.session.sent}")

    async def came(self, text):
        """A message of the client."""
        if not isinstance(text, str) or not text.startswith("end "):
            self.session.take(text)
            return
        self.session.said = int(text[4:])
        if self.task is None or self.task.done():  # else the task finishes, behind what it is sending
            await self.finish()

    def disconnected(self, code):
        if self.task is not None:
            self.task.cancel()
        self.session.disconnected(code)


def opened(query, send):
    """The stream of a new connection, from its query string."""
    words = {k: v[0] for k, v in parse_qs(query).items()}
    name = words.get("session", "?")
    session = sessions.setdefault(name, Session(name))
    session.connected()
    return Stream(session, int(words.get("every_ms", 1000)) / 1000, int(words.get("count", 1 << 53)), send)


def report():
    total = {"sessions": len(sessions)}
    rows = {name: session.report() for name, session in sessions.items()}
    for key in ("connects", "disconnects", "early", "taken", "lost", "doubled", "reordered", "changed", "sent", "ended"):
        total[key] = sum(row[key] for row in rows.values())
    return json.dumps({"total": total, "sessions": rows})
