# SPDX-License-Identifier: Apache-2.0
"""Sessions without WebSockets by hand: requests on a connection that stays, event streams, and framed lists."""
import base64
import struct
import time
import urllib.parse

from .raw import Client, Ended, Timeout, PATIENCE

TEXT, BINARY, CONTROL = 1, 2, 3
LIST = "application/x-hf1"
EVENTS = "text/event-stream"
SECRET = "hf1.o." + base64.urlsafe_b64encode(bytes(range(24))).decode().rstrip("=")


def frames(*items):
    """A framed list: (type, payload) pairs; a text alone is a text message, bytes alone a binary one."""
    out = b""
    for item in items:
        kind, payload = item if isinstance(item, tuple) else (TEXT if isinstance(item, str) else BINARY, item)
        payload = payload.encode() if isinstance(payload, str) else payload
        out += struct.pack(">BI", kind, len(payload)) + payload
    return out


def items(body):
    found, at = [], 0
    while at < len(body):
        kind, length = struct.unpack_from(">BI", body, at)
        payload = body[at + 5:at + 5 + length]
        assert kind in (TEXT, BINARY, CONTROL) and len(payload) == length, body
        found.append((kind, payload if kind == BINARY else payload.decode()))
        at += 5 + length
    return found


def pairs(text):
    """The keys and values of a control message or an event's data, verb or not."""
    return {k: urllib.parse.unquote(v) for k, v in (word.split("=", 1) for word in text.split(" ") if "=" in word)}


class Answer:
    def __init__(self, head, body):
        self.head, self.body, self.status = head, body, head.status

    def get(self, name, default=None):
        return self.head.get(name, default)

    @property
    def items(self):
        return items(self.body)

    @property
    def messages(self):
        return [payload for kind, payload in self.items if kind != CONTROL]

    @property
    def controls(self):
        return [payload for kind, payload in self.items if kind == CONTROL]

    def control(self, verb):
        found = [pairs(text) for text in self.controls if text.split(" ")[0] == verb]
        return found[0] if found else None

    def __repr__(self):
        return f"{self.head!r}\n{self.body[:300]!r}"


def request(method, path="/", headers=(), body=None, host="app.test", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", f"Host: {host}"]
    lines += [f"{n}: {v}" for n, v in (headers.items() if isinstance(headers, dict) else headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


class Line(Client):
    """A connection that carries one request after the other."""

    def read_answer(self, timeout=PATIENCE, empty=False):
        head = self.read_head(timeout)
        return Answer(head, b"" if empty or head.status in (204, 304) else self.read_body(timeout))

    def request(self, method, path="/", headers=(), body=None, timeout=PATIENCE, **how):
        self.send(request(method, path, headers, body, **how))
        return self.read_answer(timeout)

    def post(self, key, body, path="/", seq=None, type=LIST, headers=(), timeout=PATIENCE):
        more = [("HF-Key", key), ("Content-Type", type)] + ([("HF-Seq", seq)] if seq is not None else []) + list(headers)
        return self.request("POST", path, more, body, timeout)

    def text(self, key, text, path="/", **how):
        return self.post(key, text.encode(), path, type="text/plain", **how)

    def open_poll(self, path="/", offer=("HF-Open", SECRET), headers=(), timeout=PATIENCE):
        return self.request("GET", path, [("Accept", LIST)] + ([offer] if offer else []) + list(headers), timeout=timeout)

    def poll(self, key, received, path="/", headers=(), timeout=PATIENCE):
        self.start_poll(key, received, path, headers)
        return self.read_answer(timeout)

    def start_poll(self, key, received, path="/", headers=()):
        self.send(request("GET", path, [("Accept", LIST), ("HF-Key", key), ("HF-Received", received)] + list(headers)))


class Event:
    def __init__(self, name, data, id):
        self.name, self.data, self.id = name, data, id

    @property
    def pairs(self):
        return pairs(self.data)

    @property
    def payload(self):
        return base64.b64decode(self.data)

    def __repr__(self):
        return f"Event({self.name} {self.id} {self.data!r})"


class Events(Client):
    """An event stream."""

    def start(self, path="/", headers=(), accept=EVENTS, **how):
        self.buffer, self.last_id, self.started = b"", "", time.monotonic()
        self.send(request("GET", path, [("Accept", accept)] + list(headers), **how))
        return self

    def open(self, path="/", headers=(), **how):
        """Up to the hello, which it keeps."""
        self.start(path, headers, **how)
        head = self.read_head()
        assert head.status == 200 and head.get("content-type") == EVENTS, head
        self.hello = self.event("hello").pairs
        return self

    def lines(self, timeout):
        end = time.monotonic() + timeout
        while True:
            i = self.received.find(b"\n\n", self.at)
            if i >= 0:
                block = bytes(self.received[self.at:i])
                self.at = i + 2
                return block.decode().split("\n")
            left = end - time.monotonic()
            if left <= 0 or not self.fill(left):
                raise Timeout(f"no event; have {self.unread()[:300]!r}")

    def any(self, timeout=PATIENCE):
        """The next event, as a browser's parser reads it."""
        while True:
            name, data = "message", []
            for line in self.lines(timeout):
                field, _, value = line.partition(":")
                value = value[1:] if value.startswith(" ") else value
                if field == "data":
                    data.append(value)
                elif field == "event":
                    name = value
                elif field == "id":
                    self.last_id = value
            if data:
                return Event(name, "\n".join(data), self.last_id)

    def event(self, name="message", timeout=PATIENCE):
        """The next event of that name; acknowledgements are passed over."""
        end = time.monotonic() + timeout
        while True:
            event = self.any(max(end - time.monotonic(), 0.001))
            if event.name == name:
                return event
            assert event.name in ("ack", "live", "coming"), event

    def messages(self, count, timeout=PATIENCE):
        return [self.event(timeout=timeout).data for _ in range(count)]


def say(line, key, text, path="/", **how):
    """A POST of one text that must go well."""
    answer = line.text(key, text, path, **how)
    assert answer.status == 200, answer
    return answer

