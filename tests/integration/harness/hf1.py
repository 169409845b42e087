# SPDX-License-Identifier: Apache-2.0
"""An hf1 client by hand (docs/protocol.md), over the raw WebSocket of raw.py: it does what a test tells it and nothing by
itself, but that it keeps what the protocol needs for a resume."""
import base64
import os
import time
import urllib.parse

from .raw import BINARY, CLOSE, PATIENCE, PING, PONG, TEXT, Client, accept_for, KEY


def secret():
    return base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()


def read_control(text):
    """b"verb key=value …" as (verb, {key: value}), numbers as ints."""
    verb, *pairs = text.decode().split(" ")
    keys = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        value = urllib.parse.unquote(value)
        keys[key] = int(value) if value.isdigit() else value
    return verb, keys


class Control:
    def __init__(self, verb, keys):
        self.verb, self.keys = verb, keys

    def __getattr__(self, name):
        try:
            return self.__dict__["keys"][name]
        except KeyError:
            raise AttributeError(f"{self.verb} has no {name}: {self.keys}") from None

    def __repr__(self):
        return f"{self.verb} {self.keys}"


class Message:
    def __init__(self, opcode, payload):
        self.opcode, self.payload = opcode, payload

    def __repr__(self):
        return f"message {self.opcode} {self.payload[:60]!r} ({len(self.payload)} bytes)"


class Connection(Client):
    """One connection of a session."""
    live = None  # what `live` said, once it has come

    def ask_hf1(self, path="/", offers=(), headers=(), **how):
        offered = ", ".join(["hf1", *offers])
        self.send_request(path, [("Sec-WebSocket-Protocol", offered), *headers], **how)
        head = self.read_head()
        assert head.status == 101, f"{head!r}\n{self.unread()!r}"
        assert head.get("sec-websocket-accept") == accept_for(KEY), head
        assert head.get("sec-websocket-protocol") == "hf1", head
        assert head.get("sec-websocket-extensions") is None, head
        return self

    def send_request(self, path, headers, **how):
        from .raw import request
        self.send(request(path, headers=headers, **how))

    def next(self, timeout=PATIENCE):
        """The next thing that is not a ping: a Control, a Message, or the frame of a Close."""
        end = time.monotonic() + timeout
        opcode, payload = None, b""
        while True:
            f = self.read_frame(max(end - time.monotonic(), 0.001))
            if f.opcode == PING:
                self.send_frame(PONG, f.payload)
                continue
            if f.opcode == PONG:
                continue
            if f.opcode == CLOSE:
                return f
            opcode = f.opcode or opcode
            payload += f.payload
            if not f.fin:
                continue
            if opcode == TEXT and payload[:1] == b"\x01":
                if payload[1:2] == b"\x01":
                    return Message(TEXT, payload[1:])
                control = Control(*read_control(payload[1:]))
                if control.verb == "live":
                    self.live = control.sent
                return control
            return Message(opcode, payload)

    def expect(self, verb, timeout=PATIENCE):
        """The next control message with that verb; an `ack` or `coming` in between is passed over."""
        end = time.monotonic() + timeout
        while True:
            thing = self.next(max(end - time.monotonic(), 0.001))
            if isinstance(thing, Control) and thing.verb == verb:
                return thing
            if not (isinstance(thing, Control) and thing.verb in ("ack", "coming")):
                raise AssertionError(f"wanted {verb}, got {thing}")

    def message(self, timeout=PATIENCE):
        """The next message of the application."""
        end = time.monotonic() + timeout
        while True:
            thing = self.next(max(end - time.monotonic(), 0.001))
            if isinstance(thing, Message):
                return thing
            if not (isinstance(thing, Control) and thing.verb in ("ack", "coming", "live")):
                raise AssertionError(f"wanted a message, got {thing}")

    def closes(self, timeout=PATIENCE):
        """The Close that comes next; acknowledgements in between are passed over."""
        end = time.monotonic() + timeout
        while True:
            thing = self.next(max(end - time.monotonic(), 0.001))
            if not isinstance(thing, (Control, Message)):
                return thing
            if not (isinstance(thing, Control) and thing.verb in ("ack", "coming", "live")):
                raise AssertionError(f"wanted a Close, got {thing}")

    def say(self, verb, **keys):
        text = " ".join([verb, *(f"{k}={urllib.parse.quote(str(v), safe=chr(33) + chr(39) + '()*-._~')}" for k, v in keys.items())])
        return self.send_frame(TEXT, b"\x01" + text.encode())

    def give(self, payload, opcode=None):
        """A message of the application, escaped when it must be."""
        opcode = opcode or (TEXT if isinstance(payload, str) else BINARY)
        payload = payload.encode() if isinstance(payload, str) else payload
        if opcode == TEXT and payload[:1] == b"\x01":
            payload = b"\x01" + payload
        return self.send_frame(opcode, payload)


class Session:
    """What a client keeps over its connections. `c` is the present one."""

    def __init__(self, address, path="/", protocols=(), headers=(), joinable=True, **how):
        self.address, self.path, self.protocols, self.headers, self.how = address, path, list(protocols), list(headers), how
        self.secret = secret() if joinable else None
        self.token, self.epoch, self.key, self.attempt = None, None, None, 0
        self.received = 0
        self.c = None

    def knock(self):
        """Sends the first opening's request; its answer is not read."""
        c = Connection(self.address, **self.how)
        offers = ["hf1"] + ([f"hf1.o.{self.secret}"] if self.secret else []) + self.protocols
        c.send_request(self.path, [("Sec-WebSocket-Protocol", ", ".join(offers)), *self.headers])
        return c

    def greeted(self, c, ack=True):
        """Reads the answer to a request: hello, or whatever came in its place."""
        head = c.read_head()
        assert head.status == 101 and head.get("sec-websocket-protocol") == "hf1", f"{head!r}\n{c.unread()!r}"
        self.c = c
        thing = c.next()
        if isinstance(thing, Control) and thing.verb == "hello":
            self.take_hello(thing)
            if ack:
                c.say("ack", n=self.received)
        return thing

    def take_hello(self, hello):
        self.token, self.epoch, self.key = hello.token, hello.epoch, hello.key
        if not hello.resumed:
            self.received = 0

    def open(self, ack=True):
        return self.greeted(self.knock(), ack)

    def resume_offer(self, token=None, received=None, attempt=None, epoch=None):
        self.attempt = attempt if attempt is not None else self.attempt + 1
        return (f"hf1.r.{token or self.token}.{self.epoch if epoch is None else epoch}."
                f"{self.received if received is None else received}.{self.attempt}")

    def knock_again(self, **numbers):
        c = Connection(self.address, **self.how)
        offers = ["hf1", self.resume_offer(**numbers)] + self.protocols
        c.send_request(self.path, [("Sec-WebSocket-Protocol", ", ".join(offers)), *self.headers])
        return c

    def resume(self, ack=True, **numbers):
        return self.greeted(self.knock_again(**numbers), ack)

    def message(self, timeout=PATIENCE):
        m = self.c.message(timeout)
        self.received += 1
        return m

    def cut(self):
        self.c.reset()
