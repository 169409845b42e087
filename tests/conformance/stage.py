# SPDX-License-Identifier: Apache-2.0
"""The gateway between a client and a backend that are both the test's own, or with a conforming echo behind it.

Nearly every rule holds for both directions, so a test is written once for a sender and a receiver: Sides says who is who, and
what each must get when the sender breaks a rule."""
import contextlib
import itertools
import threading
import zlib
from pathlib import Path

from harness import raw
from harness.gateway import Gateway
from harness.process import Process, free_port
from harness.raw import CLOSE, Client

HERE = Path(__file__).resolve().parent

CODES_OF_RFC_6455 = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011]
CODES_OF_THE_REGISTRY = [1012, 1013, 1014]
CODES_OF_APPLICATIONS = [3000, 3001, 3500, 3999, 4000, 4001, 4500, 4999]
GOOD_CODES = CODES_OF_RFC_6455 + CODES_OF_THE_REGISTRY + CODES_OF_APPLICATIONS
BAD_CODES = [0, 1, 2, 500, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1100, 1500, 1999, 2000, 2001, 2500, 2998, 2999, 5000, 5001,
             9999, 32768, 65534, 65535]


class Sides:
    """One open connection through the gateway. The sender is the side that the test looks at; the receiver the other one."""

    def __init__(self, client, served, sender):
        self.client, self.served = client, served
        self.sender_is_client = sender == "client"
        self.sender, self.receiver = (client, served) if self.sender_is_client else (served, client)
        # What the receiver is told when the sender is lost or at fault.
        self.lost_code = 1001 if self.sender_is_client else 1012

    def put(self, data, chop=0):
        """Sends bytes whole or in pieces of `chop`. A gateway that has seen enough may end the connection meanwhile."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if chop:
                self.sender.send_slowly(data, chop)
            else:
                self.sender.send(data)
        return self

    def frame(self, *words, **bits):
        return self.sender.frame(*words, **bits)

    def arrives(self, data):
        """The receiver gets exactly these bytes next: nothing is unmasked, put together or cut."""
        got = self.receiver.take(len(data))
        assert got == data, (got[:100], data[:100])
        return self

    def own_close(self, peer, code, reason=None):
        """The next frame for this peer is a Close of the gateway, masked as RFC 6455 5.1 demands."""
        f = peer.read_frame()
        assert f.opcode == CLOSE and f.fin and f.rsv == 0, f
        assert f.code == code, f
        assert (f.mask is None) == (peer is self.client), f
        if reason is not None:
            assert f.payload[2:] == reason, f
        return f

    def refused(self, code=1002):
        """The sender gets a Close with that code and the end of TCP; the receiver gets nothing but the Close of a lost peer."""
        self.own_close(self.sender, code)
        assert self.sender.read_end() == b"", "the sender is told more than one Close"
        self.own_close(self.receiver, self.lost_code)
        self.goes(self.receiver)
        return self

    def refused_within_a_frame(self, sent_before, code):
        """As refused(), but a frame is open at the receiver: it gets a beginning of it and the end of TCP, never a Close."""
        self.own_close(self.sender, code)
        assert self.sender.read_end() == b""
        got = self.receiver.read_end()
        assert sent_before.startswith(got), (got, sent_before)

    def goes(self, peer):
        """This peer answers the Close that it got and leaves; nothing else came for it."""
        peer.send_close(1000)
        if peer is self.served:
            peer.fin()  # the gateway is its client, and a client waits for the server's end: RFC 6455 7.1.1
        assert peer.read_end() == b"", "something came behind the Close"

    def still_open(self):
        """Both directions still carry messages."""
        for one, other in ((self.client, self.served), (self.served, self.client)):
            data = one.send_text("still here")
            got = other.take(len(data))
            assert got == data, got
        return self


class Stage:
    ROUTES = {
        "raw": {},
        "raw-utf8": {"utf8_check": True},
        "raw-1000": {"message_max": "1000B"},
        "raw-frame-100": {"message_max": "1000B", "frame_max": "100B"},
        "raw-64m": {"message_max": "64MiB"},
        "raw-origin": {"origins": ["https://app.test"]},
        "raw-beat": {"heartbeat": {"interval": "60ms", "timeout": "60s", "jitter": 0}},
        "echo": {"message_max": "64MiB"},
        "echo-utf8": {"message_max": "64MiB", "utf8_check": True},
        "echo-tight": {"message_max": "64MiB"},
        "nobody": {},
    }

    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count(1)
        self.backend = raw.Backend()
        ports = free_port(), free_port()
        self.echo_process = Process(["/usr/bin/python3", HERE / "echo_server.py", *ports], folder, "echo")
        where = {"raw": self.backend.url, "echo": f"http://127.0.0.1:{ports[0]}", "echo-tight": f"http://127.0.0.1:{ports[1]}",
                 "nobody": f"http://127.0.0.1:{free_port()}"}
        self.routes = [{"path": f"/{name}", "upstream": where.get(name) or where[name.split("-")[0]], **how}
                       for name, how in self.ROUTES.items()]
        self.old_gateways = []
        for port in ports:
            self.echo_process.wait_listening(("127.0.0.1", port))
        self.gateway = self.start()
        self.open_now = []

    def start(self):
        # A bad answer of the raw backend must not take it out of use for the next test.
        return Gateway(self.folder, config={"routes": self.routes, "health": {"fails": 0}, "workers": 2})

    def peer(self, peer):
        self.open_now.append(peer)
        return peer

    def dial(self):
        return self.peer(Client(self.gateway.address))

    def target(self, route):
        return f"/{route}?n={next(self.numbers)}"

    def next_served(self, target):
        """The backend's end of the connection with that target; those of earlier tests are thrown away."""
        while True:
            served = self.peer(self.backend.next())
            if served.head.target == target:
                return served

    def ask(self, route="raw", **how):
        """Sends a handshake that the gateway answers itself: the answer's head; `client` is whom it came to."""
        client = self.dial()
        client.send(raw.request(self.target(route), **how))
        head = client.read_head()
        head.client = client
        return head

    def knock(self, route="raw", **how):
        """Sends a handshake that reaches the raw backend: (client, served), nothing answered yet."""
        client, target = self.dial(), self.target(route)
        client.send(raw.request(target, **how))
        return client, self.next_served(target)

    def open(self, sender="client", route="raw", answer=(), **how):
        client, served = self.knock(route, **how)
        served.upgrade(answer)
        head = client.read_head()
        assert head.status == 101, head
        return Sides(client, served, sender)

    def echo(self, route="echo", **how):
        return self.dial().open(self.target(route), **how)

    def end_test(self):
        for peer in self.open_now:
            with contextlib.suppress(OSError):
                peer.close()
        self.open_now.clear()
        self.backend.connections.clear()
        if not self.gateway.process.running():
            broken, self.gateway = self.gateway, self.start()
            broken.stopped = True
            raise AssertionError(f"the gateway ended with {broken.process.popen.returncode}\n{broken.process.tail()}")

    def stop(self):
        self.backend.stop()
        self.echo_process.stop(1)
        self.gateway.stop()


def converse(client, data, expect, chop=0, wait=20):
    """Sends data while it reads `expect` bytes, so that neither side can stand still for the other."""
    sender = threading.Thread(target=lambda: client.send_slowly(data, chop) if chop else client.send(data), daemon=True)
    sender.start()
    got = client.take(expect, wait)
    sender.join(wait)
    return got


class Deflate:
    """permessage-deflate of the test's own client: RFC 7692 7.2 over zlib."""

    TAIL = b"\x00\x00\xff\xff"

    def __init__(self, client_bits=15, server_bits=15, client_forgets=False, server_forgets=False, level=6):
        self.client_bits, self.server_bits = client_bits, server_bits
        self.client_forgets, self.server_forgets, self.level = client_forgets, server_forgets, level
        self.deflater = self.inflater = None

    def compress(self, data):
        if self.deflater is None or self.client_forgets:
            # zlib's raw deflate has no window of 8 bits; without matches there is no distance that could exceed it.
            strategy = zlib.Z_HUFFMAN_ONLY if self.client_bits == 8 else zlib.Z_DEFAULT_STRATEGY
            self.deflater = zlib.compressobj(self.level, zlib.DEFLATED, -max(self.client_bits, 9), 8, strategy)
        out = self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(self.TAIL)
        return out[:-4]

    def decompress(self, data):
        """Fails when the server looks back further than its window, or into a message it should have forgotten."""
        if self.inflater is None or self.server_forgets:
            self.inflater = zlib.decompressobj(-self.server_bits)
        return self.inflater.decompress(data + self.TAIL)


def agreed(head):
    """{parameter: value or True} of the answer's permessage-deflate; None when there is none."""
    value = head.get("sec-websocket-extensions")
    if value is None:
        return None
    name, *params = [part.strip() for part in value.split(";")]
    assert name == "permessage-deflate", value
    return {k: (v or True) for k, _, v in (p.partition("=") for p in params)}


def offer(**params):
    """The header of an offer: True stands for a parameter without value, None or False for none."""
    text = "permessage-deflate"
    for name, value in params.items():
        if value is True:
            text += f"; {name}"
        elif value not in (None, False):
            text += f"; {name}={value}"
    return [("Sec-WebSocket-Extensions", text)]
