# SPDX-License-Identifier: Apache-2.0
"""WebSocket by hand, both roles: every bit of every byte is the test's own, and every byte that came is kept.

A Peer is one end of one connection. Client() makes the client's end; Backend listens and hands out the server's ends."""
import base64
import hashlib
import os
import queue
import select
import socket
import struct
import threading
import time

from .process import Timeout, free_port

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3
PATIENCE = 10.0


class Ended(AssertionError):
    """The peer's TCP ended where more bytes were expected."""


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def xor(payload, mask):
    if not payload:
        return b""
    n = len(payload)
    long_mask = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(long_mask, "big")).to_bytes(n, "big")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=None, length_bytes=None, length=None):
    """The bytes of one frame. mask: 4 bytes, or None for an unmasked one. length_bytes 1, 3 or 9 forces a (perhaps
    not minimal) form of the length; length lies about it."""
    if isinstance(payload, str):
        payload = payload.encode()
    said = len(payload) if length is None else length
    form = length_bytes or (1 if said < 126 else 3 if said < 65536 else 9)
    bit = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    if form == 1:
        head += bytes([bit | said])
    elif form == 3:
        head += bytes([bit | 126]) + struct.pack(">H", said)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", said)
    if mask is not None:
        head += mask
        payload = xor(payload, mask)
    return head + payload


def close_payload(code=None, reason=b""):
    if code is None:
        return b""
    return struct.pack(">H", code) + (reason.encode() if isinstance(reason, str) else reason)


class Frame:
    def __init__(self, raw, fin, rsv, opcode, mask, payload):
        self.raw, self.fin, self.rsv, self.opcode, self.mask, self.payload = raw, fin, rsv, opcode, mask, payload

    @property
    def code(self):
        assert self.opcode == CLOSE, self
        return struct.unpack(">H", self.payload[:2])[0] if self.payload else 1005

    @property
    def reason(self):
        assert self.opcode == CLOSE, self
        return self.payload[2:].decode()

    def __repr__(self):
        return (f"Frame(opcode={self.opcode}, fin={self.fin}, rsv={self.rsv}, masked={self.mask is not None}, "
                f"{len(self.payload)} bytes: {self.payload[:80]!r})")


class Head:
    """A request or response head, as it came."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw.decode("latin-1").split("\r\n")
        self.first = lines[0]
        self.fields = []
        for line in lines[1:]:
            if line:
                name, _, value = line.partition(":")
                self.fields.append((name.lower(), value.strip()))

    @property
    def status(self):
        return int(self.first.split(" ")[1])

    @property
    def target(self):
        return self.first.split(" ")[1]

    def all(self, name):
        return [v for n, v in self.fields if n == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def __repr__(self):
        return self.raw.decode("latin-1")


class Peer:
    """One end of a connection. `received` holds every byte that ever came."""

    def __init__(self, sock, masks):
        self.sock = sock
        self.masks = masks          # whether the frames it sends are masked
        self.received = bytearray()
        self.at = 0                 # how much of received was looked at
        self.ended = None           # None, "fin" or "reset"
        self.head = None            # the other side's head

    # ---- bytes
    def send(self, data):
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(data)
        return self

    def send_slowly(self, data, size=1):
        """In pieces of size bytes, each its own segment."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(data), size):
            self.send(data[i:i + size])
        return self

    def fill(self, timeout):
        """Reads what comes next; False when nothing came within timeout. Raises Ended at the end."""
        if self.ended:
            raise Ended(f"the peer's TCP ended ({self.ended}); unread: {bytes(self.received[self.at:])[:200]!r}")
        self.sock.settimeout(max(timeout, 0.0001))
        try:
            data = self.sock.recv(262144)
        except (socket.timeout, TimeoutError, BlockingIOError):
            return False
        except (ConnectionResetError, BrokenPipeError):
            self.ended = "reset"
            raise Ended("the peer's TCP was reset") from None
        except OSError as error:
            if type(error).__name__.startswith("SSL"):
                self.ended = "fin"
                raise Ended(f"TLS ended: {error}") from None
            raise
        if not data:
            self.ended = "fin"
            raise Ended(f"the peer's TCP ended; unread: {bytes(self.received[self.at:])[:200]!r}")
        self.received += data
        return True

    def need(self, n, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while len(self.received) - self.at < n:
            left = end - time.monotonic()
            if left <= 0 or not self.fill(left):
                raise Timeout(f"waited for {n} bytes, have {bytes(self.received[self.at:])[:200]!r}")
        return self

    def take(self, n, timeout=PATIENCE):
        self.need(n, timeout)
        data = bytes(self.received[self.at:self.at + n])
        self.at += n
        return data

    def unread(self):
        return bytes(self.received[self.at:])

    def read_end(self, timeout=PATIENCE):
        """Reads to the end of TCP; returns the bytes before it that were not looked at yet."""
        end = time.monotonic() + timeout
        try:
            while True:
                left = end - time.monotonic()
                if left <= 0 or not self.fill(left):
                    raise Timeout(f"the TCP connection did not end; unread: {self.unread()[:200]!r}")
        except Ended:
            rest = self.unread()
            self.at = len(self.received)
            return rest

    def silent(self, seconds):
        """Asserts that nothing comes for so long (for what must not happen)."""
        before = len(self.received)
        try:
            came = self.fill(seconds)
        except Ended:
            raise AssertionError(f"the connection ended ({self.ended}) where silence was expected") from None
        assert not came, f"came: {bytes(self.received[before:])[:200]!r}"

    # ---- heads
    def read_head(self, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while True:
            i = self.received.find(b"\r\n\r\n", self.at)
            if i >= 0:
                self.head = Head(bytes(self.received[self.at:i + 2]))
                self.at = i + 4
                return self.head
            left = end - time.monotonic()
            if left <= 0 or not self.fill(left):
                raise Timeout(f"no head; have {self.unread()[:300]!r}")

    def read_body(self, timeout=PATIENCE):
        length = self.head.get("content-length")
        if length is not None:
            return self.take(int(length), timeout)
        return self.read_end(timeout)

    # ---- frames
    def frame(self, opcode, payload=b"", mask="default", **bits):
        if mask == "default":
            mask = os.urandom(4) if self.masks else None
        return frame(opcode, payload, mask=mask, **bits)

    def send_frame(self, opcode, payload=b"", **bits):
        data = self.frame(opcode, payload, **bits)
        self.send(data)
        return data

    def send_text(self, text, **bits):
        return self.send_frame(TEXT, text, **bits)

    def send_close(self, code=None, reason=b""):
        return self.send_frame(CLOSE, close_payload(code, reason))

    def read_frame(self, timeout=PATIENCE):
        end = time.monotonic() + timeout

        def left():
            return max(end - time.monotonic(), 0.001)
        start = self.at
        b0, b1 = self.take(2, left())
        n = b1 & 127
        if n == 126:
            n = struct.unpack(">H", self.take(2, left()))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.take(8, left()))[0]
        mask = self.take(4, left()) if b1 & 128 else None
        payload = self.take(n, left())
        raw = bytes(self.received[start:self.at])
        return Frame(raw, bool(b0 & 128), (b0 >> 4) & 7, b0 & 15, mask, xor(payload, mask) if mask else payload)

    def read_data(self, timeout=PATIENCE):
        """The next frame that is no ping; pings are answered on the way, as any endpoint does."""
        end = time.monotonic() + timeout
        while True:
            f = self.read_frame(max(end - time.monotonic(), 0.001))
            if f.opcode == PING:
                self.send_frame(PONG, f.payload)
            elif f.opcode != PONG:
                return f

    def expect_text(self, text, timeout=PATIENCE):
        f = self.read_data(timeout)
        assert (f.opcode, f.payload) == (TEXT, text.encode() if isinstance(text, str) else text), f
        return f

    def expect_close(self, code, reason=None, timeout=PATIENCE):
        f = self.read_data(timeout)
        assert f.opcode == CLOSE, f
        assert f.code == code, f
        if reason is not None:
            assert f.payload[2:] == (reason.encode() if isinstance(reason, str) else reason), f
        return f

    def expect_end(self, timeout=PATIENCE):
        rest = self.read_end(timeout)
        assert rest == b"", rest
        return self

    # ---- ends
    def fin(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def dial(address, timeout=PATIENCE, receive_buffer=None, source=None):
    """address: (host, port) or a Unix socket's path."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        sock.bind((source, 0))
    sock.settimeout(timeout)
    sock.connect(address)
    if not isinstance(address, str):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def request(path="/", host="app.test", headers=(), key=KEY, drop=(), first=None):
    """The bytes of an opening handshake. headers: pairs that are added; drop: standard ones left out, by lower-case name."""
    standard = [("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13")]
    lines = [first or f"GET {path} HTTP/1.1"]
    lines += [f"{n}: {v}" for n, v in standard if n.lower() not in drop]
    lines += [f"{n}: {v}" for n, v in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Client(Peer):
    def __init__(self, address, tls=None, server_name=None, before=b"", receive_buffer=None, source=None):
        sock = dial(address, receive_buffer=receive_buffer, source=source)
        if before:
            sock.sendall(before)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=server_name, suppress_ragged_eofs=True)
        super().__init__(sock, masks=True)

    def ask(self, path="/", **how):
        """Sends the handshake and reads the answer's head."""
        self.send(request(path, **how))
        return self.read_head()

    def open(self, path="/", **how):
        head = self.ask(path, **how)
        if head.status != 101:
            raise AssertionError(f"refused: {head!r}\n{self.unread()!r}")
        assert head.get("sec-websocket-accept") == accept_for(how.get("key", KEY)), head
        return self


class Served(Peer):
    """A backend's end of a connection; head is the request that came."""

    def __init__(self, sock, peer):
        super().__init__(sock, masks=False)
        self.peer = peer

    def upgrade(self, headers=(), accept=None, before=b""):
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Accept: {accept or accept_for(self.head.get('sec-websocket-key'))}"]
        lines += [f"{n}: {v}" for n, v in headers]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + before)
        return self

    def answer(self, status, body=b"", headers=(), reason="Because"):
        lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"]
        lines += [f"{n}: {v}" for n, v in headers]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        return self


class Backend:
    """A listening raw backend. Each connection's head is read, then:
    script None: the connection is put in a queue, for next();
    else script(connection) runs in a thread of its own; an AssertionError or Ended in it is kept in `errors`."""

    def __init__(self, script=None, path=None, tls=None, port=None, receive_buffer=None, host="127.0.0.1"):
        self.script, self.tls = script, tls
        self.connections, self.errors = [], []
        self.waiting = queue.Queue()
        if path:
            self.address = str(path)
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(self.address)
            self.url = f"unix:{self.address}"
        else:
            self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if receive_buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.sock.bind((host, port or free_port()))
            self.address = self.sock.getsockname()[:2]
            name = f"[{host}]" if ":" in host else host
            self.url = f"{'https' if tls else 'http'}://{name}:{self.address[1]}"
        self.sock.listen(4096)
        self.open = True
        self.accepted = 0
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while self.open:
            try:
                readable, _, _ = select.select([self.sock], [], [], 0.2)
                if not readable:
                    continue
                sock, peer = self.sock.accept()
            except (OSError, ValueError):
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(sock, peer), daemon=True).start()

    def _serve(self, sock, peer):
        try:
            if not isinstance(self.address, str):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock.settimeout(PATIENCE)
                sock = self.tls.wrap_socket(sock, server_side=True)
            connection = Served(sock, peer)
            connection.read_head()
        except (OSError, AssertionError) as error:
            self.errors.append(error)
            return
        self.connections.append(connection)
        if self.script is None:
            self.waiting.put(connection)
            return
        try:
            self.script(connection)
        except (Ended, OSError):
            pass
        except AssertionError as error:
            self.errors.append(error)
        finally:
            connection.close()

    def next(self, timeout=PATIENCE):
        """The next connection whose request came; nothing was answered yet."""
        try:
            return self.waiting.get(timeout=timeout)
        except queue.Empty:
            raise Timeout("no connection came to the backend") from None

    def stop(self):
        self.open = False
        self.sock.close()
        for connection in self.connections:
            try:
                connection.close()
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def echo(connection):
    """A script: a plain, correct echo."""
    connection.upgrade()
    while True:
        f = connection.read_frame(3600)
        if f.opcode == CLOSE:
            connection.send_frame(CLOSE, f.payload)
            connection.read_end()
            return
        if f.opcode == PING:
            connection.send_frame(PONG, f.payload)
        elif f.opcode != PONG:
            connection.send_frame(f.opcode, f.payload, fin=f.fin, rsv=f.rsv)


def pair(address, backend, path="/", answer=(), **how):
    """A client and the backend's end behind it, both past the handshake."""
    client = Client(address)
    client.send(request(path, **how))
    served = backend.next()
    served.upgrade(answer)
    head = client.read_head()
    assert head.status == 101, head
    return client, served
