# SPDX-License-Identifier: Apache-2.0
"""hf1 from the text of docs/protocol.md, by hand: the client's side of one connection, where the test says every message. It shares
nothing with src/, so that a misreading there is not read the same way here."""
import base64
import os
import urllib.parse

from .raw import BINARY, CLOSE, PATIENCE, TEXT, Client, request

NUMBERS = {"epoch", "window", "buffer", "message_max", "beat", "ack", "received", "sent", "resumed", "old_received", "n", "bytes",
           "from", "to", "attempt", "in", "exp", "code", "http", "retry"}


def secret():
    """A fresh opening offer."""
    return "hf1.o." + base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()


def parse(text):
    """(verb, keys) of a control message without its 0x01."""
    verb, *pairs = text.decode().split(" ")
    keys = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        assert key not in keys, text
        keys[key] = int(value) if key in NUMBERS else urllib.parse.unquote(value, errors="strict")
    return verb, keys


def build(verb, **keys):
    safe = "-_.!~*'()"  # what encodeURIComponent leaves as it is
    return ("\x01" + " ".join([verb, *(f"{k.rstrip('_')}={urllib.parse.quote(str(v), safe=safe)}" for k, v in keys.items())])).encode()


class Wire(Client):
    """One connection that speaks hf1. After `greeted` its hello is in `hello`."""

    newest_ack = -1  # the n of the last ack that was read

    def begin(self, path="/", offer=None, protocols=(), headers=()):
        """Sends the handshake only."""
        offers = ", ".join(["hf1", *([offer] if offer else []), *protocols])
        self.send(request(path, headers=[("Sec-WebSocket-Protocol", offers), *headers]))
        return self

    def switched(self):
        head = self.read_head()
        assert head.status == 101 and head.get("sec-websocket-protocol") == "hf1", (head, self.unread())
        assert head.get("sec-websocket-extensions") is None, head
        return self

    def greeted(self, timeout=PATIENCE):
        self.switched()
        verb, self.hello = self.control(timeout)
        assert verb == "hello", (verb, self.hello)
        return self

    # ---- what comes
    def read(self, timeout=PATIENCE):
        """("control", verb, keys), ("message", TEXT or BINARY, payload) or ("close", code, reason)."""
        f = self.read_data(timeout)
        assert f.fin and not f.rsv and f.opcode in (TEXT, BINARY, CLOSE), f
        if f.opcode == CLOSE:
            return "close", f.code, f.reason
        if f.opcode == TEXT and f.payload[:1] == b"\x01":
            if f.payload[1:2] != b"\x01":
                verb, keys = parse(f.payload[1:])
                if verb == "ack":
                    assert keys["n"] >= self.newest_ack, (keys, self.newest_ack)
                    self.newest_ack = keys["n"]
                return "control", verb, keys
            return "message", TEXT, f.payload[1:]
        return "message", f.opcode, f.payload

    def control(self, timeout=PATIENCE):
        """The next thing that comes, which must be a control message: (verb, keys)."""
        what, verb, keys = self.read(timeout)
        assert what == "control", (what, verb, keys)
        return verb, keys

    def expect(self, verb, timeout=PATIENCE, **keys):
        """The next thing that comes but acks must be this; returns its keys."""
        while True:
            came = self.read(timeout)
            if came[:2] != ("control", "ack") or verb == "ack":
                break
        assert came[:2] == ("control", verb), came
        assert {k: came[2].get(k.rstrip("_")) for k in keys} == keys, came
        return came[2]

    def message(self, timeout=PATIENCE):
        """The payload of the next message; acks on the way are passed over."""
        while True:
            came = self.read(timeout)
            if came[:2] != ("control", "ack"):
                break
        assert came[0] == "message", came
        return came[2]

    def expect_messages(self, *payloads):
        for payload in payloads:
            assert self.message() == (payload.encode() if isinstance(payload, str) else payload)

    def acked(self, n, timeout=PATIENCE):
        """Waits until n was acknowledged; nothing but acks may come."""
        while self.newest_ack < n:
            verb, keys = self.control(timeout)
            assert verb == "ack" and keys["n"] <= n, (verb, keys)
        return self

    def closing(self, code, reason=None, timeout=PATIENCE):
        """The next thing that comes but acks is this Close; it is answered, and TCP ends."""
        while True:
            came = self.read(timeout)
            if came[:2] != ("control", "ack"):
                break
        assert came[:2] == ("close", code), came
        assert reason is None or came[2] == reason, came
        self.send_close(code)
        self.read_end(timeout)
        return self

    # ---- what is said
    def say(self, verb, **keys):
        self.send_frame(TEXT, build(verb, **keys))
        return self

    def post(self, *payloads):
        """Application messages: a str is a text, bytes are binary."""
        for payload in payloads:
            if isinstance(payload, str):
                self.send_frame(TEXT, ("\x01" + payload if payload[:1] == "\x01" else payload).encode())
            else:
                self.send_frame(BINARY, payload)
        return self

    def resume_offer(self, received, attempt, epoch=None):
        """What a later connection offers to go on from here."""
        return f"hf1.r.{self.hello['token']}.{self.hello['epoch'] if epoch is None else epoch}.{received}.{attempt}"
