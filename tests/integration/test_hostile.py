# SPDX-License-Identifier: Apache-2.0
"""Strangers who mean harm, or whose code is broken. After each of them the gateway still serves the next client,
and the backend never saw what was wrong."""
import resource
import socket
import struct
import threading
import time

import pytest

from harness import raw
from harness.process import wait_for
from harness.raw import BINARY, CLOSE, CONT, PING, TEXT, close_payload, frame

MASK = b"\x11\x22\x33\x44"


@pytest.fixture
def door(gateway, backend):
    """A gateway before a plain echo; at the end it must still serve: (gateway, backend)."""
    made = []

    def start(flags=(), **how):
        b = backend(raw.echo)
        g = gateway(b.url, flags=list(flags), **how)
        made.append(g)
        return g, b
    yield start
    for g in made:
        client = g.client().open()
        client.send_text("still serving")
        client.expect_text("still serving")


def answer(g, data, slowly=False):
    """What the gateway says to these bytes: a status, or None when it just ends the connection."""
    client = g.client()
    (client.send_slowly if slowly else client.send)(data)
    try:
        return client.read_head().status
    except raw.Ended:
        return None
    finally:
        client.close()


# ---- heads

def head(*lines, upgrade=True):
    standard = ["Host: app.test", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {raw.KEY}",
                "Sec-WebSocket-Version: 13"] if upgrade else []
    return ("\r\n".join(["GET /ws HTTP/1.1", *standard, *lines]) + "\r\n\r\n").encode("latin-1")


BAD_HEADS = {
    "a folded line": head("X-A: b\r\n c"),
    "a folded line with a tab": head("X-A: b\r\n\tc"),
    "a space before the colon": head("X-A : b"),
    "an empty name": head(": b"),
    "a line without a colon": head("nonsense"),
    "a name with a control": head("X\x01A: b"),
    "a value with NUL": head("X-A: b\0c"),
    "a value with a bare CR": head("X-A: b\rc"),
    "bare LF line ends": head().replace(b"\r\n", b"\n"),
    "one bare LF": head("X-A: b\nX-B: c"),
    "a value with DEL": head("X-A: b\x7fc"),
    "NUL in the target": b"GET /\0 HTTP/1.1\r\n" + head()[18:],
    "two Sec-WebSocket-Keys": head(f"Sec-WebSocket-Key: {raw.KEY}"),
    "two different keys": head("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    "two versions": head("Sec-WebSocket-Version: 13"),
    "two Hosts": head("Host: other.test"),
    "two Origins": head("Origin: https://a.test", "Origin: https://b.test"),
    "no Host": raw.request(drop=("host",)),
    "no key": raw.request(drop=("sec-websocket-key",)),
    "a key of 15 bytes": raw.request(key="AAAAAAAAAAAAAAAAAAAA"),
    "a key that is no base64": raw.request(key="!!!!!!!!!!!!!!!!!!!!!!=="),
    "an empty key": raw.request(key=""),
    "a Content-Length": head("Content-Length: 5"),
    "a Transfer-Encoding": head("Transfer-Encoding: chunked"),
    "both, the smuggler's pair": head("Content-Length: 4", "Transfer-Encoding: chunked"),
    "two Content-Lengths": head("Content-Length: 0", "Content-Length: 7"),
    "a disguised Transfer-Encoding": head("Transfer-Encoding: xchunked"),
    "a Content-Length with a plus": head("Content-Length: +0"),
    "HTTP/1.0": raw.request(first="GET /ws HTTP/1.0"),
    "HTTP/2.0": raw.request(first="GET /ws HTTP/2.0"),
    "HTTP/0.9": b"GET /ws\r\n\r\n",
    "two spaces in the request line": raw.request(first="GET  /ws HTTP/1.1"),
    "a leading empty line": b"\r\n" + head(),
    "an absolute target": raw.request(first="GET http://evil.test/ws HTTP/1.1"),
    "an authority target": raw.request(first="CONNECT evil.test:80 HTTP/1.1"),
    "a target without a slash": raw.request(first="GET ws HTTP/1.1"),
    "a fragment in the target": raw.request(first="GET /ws#x HTTP/1.1"),
    "POST": raw.request(first="POST /ws HTTP/1.1"),
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "an SSH greeting": b"SSH-2.0-OpenSSH_9.2\r\n",
    "noise": bytes(range(128, 256)) * 4,
    "a subprotocol twice": head("Sec-WebSocket-Protocol: a, a"),
    "a subprotocol that is no token": head("Sec-WebSocket-Protocol: a b"),
    "an empty subprotocol list": head("Sec-WebSocket-Protocol: "),
    "an extension list that cannot be parsed": head("Sec-WebSocket-Extensions: ;;"),
    "an Expect": head("Expect: 100-continue"),
}


@pytest.fixture(scope="module")
def shared_door(tmp_path_factory):
    """One gateway for all bad heads: (gateway, backend). It must outlive them all."""
    from harness.gateway import Gateway
    b = raw.Backend(raw.echo)
    g = Gateway(tmp_path_factory.mktemp("door"), b.url)
    yield g, b
    client = g.client().open()
    client.send_text("outlived them all")
    client.expect_text("outlived them all")
    assert b.accepted == 1, "a bad head reached the backend"
    g.stop()
    b.stop()


@pytest.mark.parametrize("name", BAD_HEADS, ids=lambda n: n.replace(" ", "_").replace(",", ""))
def test_a_bad_head_is_refused_and_never_reaches_the_backend(shared_door, name):
    g, b = shared_door
    status = answer(g, BAD_HEADS[name])
    assert status in (None, 400, 405, 426, 501, 505), status
    assert b.accepted == 0


@pytest.mark.parametrize("name", ["a folded line", "two Sec-WebSocket-Keys", "bare LF line ends", "a Transfer-Encoding", "noise"])
def test_a_bad_head_byte_by_byte_is_refused_as_well(shared_door, name):
    g, b = shared_door
    client = g.client()
    try:
        client.send_slowly(BAD_HEADS[name])
    except OSError:
        pass  # it was refused before its end
    try:
        assert client.read_head().status in (400, 405, 426)
    except raw.Ended:
        pass
    assert b.accepted == 0


def test_a_good_head_byte_by_byte_is_taken(door):
    g, _ = door()
    assert answer(g, raw.request("/ws?a=b", headers=[("X-A", "b")]), slowly=True) == 101


def test_a_head_beyond_16_kib_gets_431_and_one_below_is_taken(door):
    g, _ = door()
    assert answer(g, raw.request(headers=[("X-A", "a" * 15_000)])) == 101
    assert answer(g, raw.request(headers=[("X-A", "a" * 17_000)])) == 431
    assert answer(g, b"GET /" + b"a" * 17_000) in (431, 414, 400)
    assert answer(g, raw.request(headers=[(f"X-{i}", "b") for i in range(90)])) == 101
    assert answer(g, raw.request(headers=[(f"X-{i}", "b") for i in range(500)])) == 431


def test_a_head_that_never_ends_is_ended_after_handshake_timeout_however_it_drips(door):
    g, b = door(["--handshake-timeout", "700ms"])
    slow = g.client()
    start = time.monotonic()
    with pytest.raises((OSError, AssertionError)):
        for byte in raw.request(headers=[("X-A", "b" * 2000)]):
            slow.send(bytes([byte]))
            slow.fill(0.05)  # a byte each 50 ms
            if slow.received:
                assert slow.read_head().status == 408
                slow.read_end()
                raise raw.Ended()
    assert 0.5 < time.monotonic() - start < 3
    silent = g.client()
    assert silent.read_head(timeout=3).status == 408
    assert {e["cause"] for e in g.wait_endings(2)} == {"handshake_timeout"}
    assert b.accepted == 0


def test_half_open_handshakes_by_the_thousand_do_not_stop_real_clients(door):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    g, b = door(["--handshake-timeout", "4s"])
    before = g.process.memory()
    held = []
    for i in range(3000):
        sock = raw.dial(g.address)
        if i % 3:
            sock.sendall(b"GET /ws HTTP/1.1\r\nHost: app.test\r\nX-A: " + b"a" * (i % 500))
        held.append(sock)
    client = g.client().open()
    client.send_text("in the crowd")
    client.expect_text("in the crowd")
    client.close()
    assert (g.process.memory() - before) / 3000 < 4096, "a half-open handshake costs too much"
    endings = g.wait_endings(3001, within=12)
    assert len(endings) == 3001
    for sock in held:
        sock.close()
    wait_for(lambda: g.process.descriptors() < 100, "all descriptors are free again")


# ---- smuggling

def test_a_request_pipelined_behind_an_upgrade_is_never_served_nor_forwarded(door):
    g, b = door()
    hidden = b"GET /secret HTTP/1.1\r\nHost: app.test\r\n\r\n"
    assert answer(g, raw.request() + hidden) in (400, 101)
    seen = wait_for(lambda: g.endings(), "the connection ended")
    assert seen
    assert all(b"/secret" not in bytes(c.received) for c in b.connections)


def test_frames_pipelined_behind_the_upgrade_do_not_reach_the_backend_before_its_answer(relay):
    g, b = relay()
    client = g.client()
    client.send(raw.request() + frame(TEXT, "early", mask=MASK))
    assert client.read_head().status == 400
    assert b.accepted == 0


def test_a_request_behind_a_refused_upgrade_is_not_served_on_the_same_connection(gateway, backend):
    b = backend(lambda served: (served.answer(403, b"no"), served.read_end()))
    g = gateway(b.url)
    client = g.client()
    client.send(raw.request())
    assert client.read_head().status == 403
    assert client.read_body() == b"no"
    try:
        client.send(raw.request("/second"))
    except OSError:
        pass
    try:
        assert client.read_end() == b""
    except OSError:
        pass
    assert b.accepted == 1


def test_a_backend_cannot_split_its_response_into_two(gateway, backend):
    b = backend(lambda served: (served.send(b"HTTP/1.1 403 No\r\nX-A: b\nX-Evil: 1\r\nContent-Length: 0\r\n\r\n"), served.read_end()))
    g = gateway(b.url)
    client = g.client()
    assert client.ask().status == 502
    assert client.head.get("x-evil") is None


# ---- frames

def bits(first, second, rest=b""):
    return bytes([first, second]) + rest


BAD_FRAMES = {
    "an unmasked text frame": (frame(TEXT, "hello"), 1002),
    "an unmasked ping": (frame(PING, "x"), 1002),
    "an unmasked close": (frame(CLOSE, close_payload(1000)), 1002),
    "rsv1 without an extension": (frame(TEXT, "x", rsv=4, mask=MASK), 1002),
    "rsv2": (frame(TEXT, "x", rsv=2, mask=MASK), 1002),
    "rsv3": (frame(TEXT, "x", rsv=1, mask=MASK), 1002),
    "rsv1 on a ping": (frame(PING, "x", rsv=4, mask=MASK), 1002),
    **{f"opcode {n}": (frame(n, "x", mask=MASK), 1002) for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a 16-bit length that fits in 7": (frame(TEXT, "x", mask=MASK, length_bytes=3), 1002),
    "a 64-bit length that fits in 7": (frame(TEXT, "x", mask=MASK, length_bytes=9), 1002),
    "a 64-bit length that fits in 16": (frame(BINARY, b"x" * 300, mask=MASK, length_bytes=9), 1002),
    "a length with the highest bit": (bits(0x82, 0xff, struct.pack(">Q", 1 << 63) + MASK), 1002),
    "a length of 2^63-1": (bits(0x82, 0xff, struct.pack(">Q", (1 << 63) - 1) + MASK), 1009),
    "a length of 2^64-1": (bits(0x82, 0xff, b"\xff" * 8 + MASK), 1002),
    "a length of 2^32": (bits(0x82, 0xff, struct.pack(">Q", 1 << 32) + MASK), 1009),
    "a ping of 126 bytes": (frame(PING, b"x" * 126, mask=MASK), 1002),
    "a close of 126 bytes": (frame(CLOSE, close_payload(1000, b"x" * 124), mask=MASK), 1002),
    "a fragmented ping": (frame(PING, b"x", fin=False, mask=MASK), 1002),
    "a fragmented close": (frame(CLOSE, close_payload(1000), fin=False, mask=MASK), 1002),
    "a close of one byte": (frame(CLOSE, b"\x03", mask=MASK), 1002),
    "a continuation of nothing": (frame(CONT, "x", mask=MASK), 1002),
    "a text inside a message": (frame(TEXT, "a", fin=False, mask=MASK) + frame(TEXT, "b", mask=MASK), 1002),
    "fragments whose lengths overflow": (frame(BINARY, b"", fin=False, mask=MASK) +
                                         bits(0x00, 0xff, struct.pack(">Q", (1 << 63) - 1) + MASK), 1009),
}


@pytest.mark.parametrize("slowly", [False, True], ids=["whole", "byte_by_byte"])
@pytest.mark.parametrize("name", BAD_FRAMES, ids=lambda n: n.replace(" ", "_"))
def test_a_bad_frame_of_a_client_is_refused_and_never_reaches_the_backend(shared_raw, name, slowly):
    g, b = shared_raw
    data, code = BAD_FRAMES[name]
    client, served = g.pair(b)
    good = client.send_text("good")
    assert served.take(len(good)) == good
    try:
        (client.send_slowly if slowly else client.send)(data)
    except OSError:
        pass
    client.expect_close(code)
    client.expect_end()
    assert g.wait_endings(1)[0]["code"] == code
    if name in ("a text inside a message", "fragments whose lengths overflow"):
        assert served.read_frame().fin is False  # the good beginning
    goodbye = served.read_frame()
    assert (goodbye.opcode, goodbye.code) == (CLOSE, 1001), goodbye
    served.close()


@pytest.fixture(scope="module")
def shared_raw(tmp_path_factory):
    """One gateway and a backend that the tests drive: (gateway, backend)."""
    from harness.gateway import Gateway
    b = raw.Backend()
    g = Gateway(tmp_path_factory.mktemp("frames"), b.url)
    yield g, b
    g.stop()
    b.stop()


BAD_BACKEND_FRAMES = {
    "a masked frame": frame(TEXT, "x", mask=MASK),
    "rsv1 without an extension": frame(TEXT, "x", rsv=4),
    "opcode 3": frame(3, "x"),
    "a length with the highest bit": bits(0x82, 0x7f, struct.pack(">Q", 1 << 63)),
    "a non-minimal length": frame(TEXT, "x", length_bytes=9),
    "a ping of 126 bytes": frame(PING, b"x" * 126),
    "a continuation of nothing": frame(CONT, "x"),
    "a close of one byte": frame(CLOSE, b"\x03"),
    "HTTP instead of frames": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_BACKEND_FRAMES, ids=lambda n: n.replace(" ", "_"))
def test_a_bad_frame_of_a_backend_is_refused_and_never_reaches_the_client(shared_raw, name):
    g, b = shared_raw
    client, served = g.pair(b)
    served.send(BAD_BACKEND_FRAMES[name])
    f = client.read_frame()
    assert f.opcode == CLOSE and f.code in (1002, 1011, 1012, 1014), f
    client.send_close(f.code)
    assert client.read_end() == b""
    assert served.read_frame().code == 1002
    assert g.wait_endings(1)[0]["cause"] == "backend_protocol"


@pytest.mark.parametrize("reason", [b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"cut \xe2\x82"],
                         ids=["ff", "surrogate", "overlong", "beyond", "cut"])
def test_a_close_reason_that_is_not_utf8_is_refused(shared_raw, reason):
    g, b = shared_raw
    client, served = g.pair(b)
    client.send_close(1000, reason)
    f = client.read_data()
    assert f.code in (1002, 1007), f
    assert reason not in served.read_frame().payload
    served.close()


def test_text_that_is_not_utf8_passes_by_default_and_gives_1007_where_it_is_checked(relay):
    g, b = relay()
    client, served = g.pair(b)
    data = client.send_frame(TEXT, b"\xff\xfe")
    assert served.take(len(data)) == data, "the backend checks"
    g, b = relay({"utf8_check": True})
    for bad in (b"\xff\xfe", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"ok \xc0\xaf ok"):
        client, _ = g.pair(b)
        client.send_frame(TEXT, bad)
        client.expect_close(1007)
        client.expect_end()
    client, served = g.pair(b)
    emoji = "👋".encode()
    data = client.frame(TEXT, emoji[:2], fin=False) + client.frame(CONT, emoji[2:]) + client.frame(BINARY, b"\xff\xff")
    client.send_slowly(data)
    assert served.take(len(data)) == data, "a character may be parted over fragments, and binary is not checked"
    client.send(client.frame(TEXT, emoji[:2], fin=False) + client.frame(CONT, b"\xff"))
    client.expect_close(1007)


def test_data_behind_a_close_is_ignored(joined):
    _, client, served = joined()
    client.send(client.frame(CLOSE, close_payload(1000)) + client.frame(TEXT, "too late") + client.frame(PING, "too late"))
    served.expect_close(1000)
    assert client.read_frame().opcode == CLOSE
    served.send_close(1000)
    assert b"" == served.read_end()


def test_a_thousand_connections_that_vanish_at_every_point_leave_nothing_behind(door):
    g, b = door(workers=1)
    request, data = raw.request(), frame(BINARY, b"x" * 200, mask=MASK)
    for i in range(600):
        sock = raw.dial(g.address)
        whole = request + data
        try:
            sock.sendall(whole[:i % len(request)] if i % 2 else request)
            if i % 3 == 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        sock.close()
    endings = g.wait_endings(600)
    assert len(endings) == 600
    wait_for(lambda: not g.sessions(), "no session is left")


def test_random_bytes_after_the_handshake_never_hurt(door):
    g, b = door()
    import random
    rng = random.Random(1)
    for _ in range(100):
        with g.client() as client:
            client.open()
            try:
                client.send(rng.randbytes(rng.randrange(1, 400)))
                client.fin()
            except OSError:
                pass
            client.read_end()
    assert len(g.wait_endings(100)) == 100


def test_a_client_that_opens_and_reads_nothing_while_flooding_pings_costs_little_memory(joined):
    gateway, client, _ = joined()
    before = gateway.process.memory()
    flood = client.frame(PING, b"x" * 125, mask=MASK) * 2000
    stop = threading.Event()

    def pour():
        try:
            while not stop.is_set():
                client.sock.settimeout(0.5)
                client.sock.sendall(flood)
        except OSError:
            pass
    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    wait_for(lambda: not thread.is_alive(), "the flood is stopped by push-back or by the end", deadline=10)
    stop.set()
    assert gateway.process.memory() - before < 4 << 20


def test_a_backend_that_floods_pings_is_held_in_bounds(joined):
    gateway, client, served = joined()
    before = gateway.process.memory()

    def pour():
        try:
            served.sock.settimeout(1)
            served.sock.sendall(frame(PING, b"x" * 125) * 100_000)
        except OSError:
            pass
    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    thread.join(15)
    assert not thread.is_alive()
    assert gateway.process.memory() - before < 4 << 20
