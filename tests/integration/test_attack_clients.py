# SPDX-License-Identifier: Apache-2.0
"""What a hostile gateway or proxy tried on `holdfast connect` and the library beneath it."""
import socket
import subprocess
import threading

import pytest

from harness.connect import Connect, environment
from harness.gateway import BINARY
from harness.process import wait_for
from harness.raw import TEXT, BINARY as BYTES

HELLO = ("\x01hello session=s token={token} key=k epoch=1 window=60000 buffer={buffer} message_max=1000 beat={beat} ack=16384 "
         "received={received} sent={sent} resumed={resumed}")


def hello(token="t", buffer=65536, beat=15000, received=0, sent=0, resumed=0):
    return HELLO.format(**locals())


@pytest.fixture
def connect(scene):
    def start(*words, **how):
        c = Connect(*words, **how)
        scene.callback(lambda: (c.popen.kill(), c.popen.wait()))
        return c
    return start


@pytest.fixture
def greeted(backend, connect):
    """A client that was greeted by a gateway that the test plays: (client, gateway, its end)."""
    def start(*words, **keys):
        b = backend()
        c = connect(b.url, *words)
        served = b.next()
        served.upgrade([("Sec-WebSocket-Protocol", "hf1")])
        served.send_text(hello(**keys))
        c.next("open")
        return c, b, served
    return start


def test_goaway_does_not_send_a_client_to_a_socket_of_its_own_machine(greeted, short_folder):
    trap = socket.socket(socket.AF_UNIX)
    trap.bind(str(short_folder / "trap"))
    trap.listen()
    trap.settimeout(0.3)
    _, b, served = greeted()
    served.send_text(f"\x01goaway in=1 url=unix:{short_folder}/trap")
    again = b.next()
    assert "hf1.r.t.1.0.1" in again.head.get("sec-websocket-protocol")
    with pytest.raises(TimeoutError):
        trap.accept()
    trap.close()


def test_goaway_is_followed_to_another_address(greeted, backend):
    other = backend()
    _, _, served = greeted()
    served.send_text(f"\x01goaway in=1 url={other.url}/")
    assert "hf1.r.t.1.0.1" in other.next().head.get("sec-websocket-protocol")


@pytest.mark.parametrize("said", [
    "\x01hello", "\x01", "\x01ack n=1", "\x01ack n=9007199254740991", "\x01ack n=-1", hello(), "\x01Hello", "\x01ack n=0 n=0",
    "\x01dance v=" + "x" * 2000, "\x01ack n=%", "\x01end who=gateway reason=limit http=1000", "\x01end who=gateway"],
    ids=lambda said: repr(said[:24]))
def test_a_gateway_that_breaks_the_protocol_is_given_up_and_the_session_resumed(greeted, said):
    c, b, served = greeted()
    served.send_text(said)
    served.expect_text("\x01ack n=0")
    served.expect_close(4499)
    assert c.next("reconnecting")["cause"]
    again = b.next()
    assert "hf1.r.t.1.0.1" in again.head.get("sec-websocket-protocol")
    again.upgrade([("Sec-WebSocket-Protocol", "hf1")])
    again.send_text(hello(token="u", resumed=1))
    c.next("resumed")


@pytest.mark.parametrize("first", ["buffer=-1", "beat=9007199254740992", "epoch=x", "resumed=2", "received=1"])
def test_a_hello_that_cannot_be_is_no_hello(backend, connect, first):
    b = backend()
    c = connect(b.url)
    served = b.next()
    served.upgrade([("Sec-WebSocket-Protocol", "hf1")])
    key = first.split("=")[0]
    served.send_text(" ".join(first if word.startswith(key + "=") else word for word in hello().split(" ")))
    served.expect_close(4499)
    assert c.next("reconnecting")["cause"]


def test_numbers_at_the_edge_are_taken_and_the_session_lives(greeted):
    most = 2 ** 53 - 1
    c, _, served = greeted(buffer=most, beat=most)
    served.send_text(f"\x01coming bytes={most}")
    served.send_text(f"\x01auth-ok exp={most}")
    served.send_text(f"\x01rebound from={most} to={most} attempt={most}")
    served.send_text("still here")
    assert c.message() == "still here"
    served.send_text(f"\x01end who=gateway reason=limit retry={most}")
    served.send_close(1013)
    assert c.next("reconnecting")["delay_ms"] > 0


def test_a_flood_of_empty_and_unknown_things_harms_nobody(greeted):
    c, _, served = greeted()
    for _ in range(3000):
        served.send_frame(TEXT, b"\x01dance a=b")
        served.send_frame(9, b"x")
    served.send_text("still here")
    assert c.message(20) == "still here"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 " + b"a" * 70000 + b"\r\n\r\n", b"HTTP/1.1 101 Switching\r\n" + b"X: " + b"y" * 70000, b"HTTP/1.1 101 Switching\r\n" + b"X: y\r\n" * 3000,
    b"SSH-2.0-OpenSSH\r\n", b"\0" * 5000, b"HTTP/1.1 999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"HTTP/1.1 403 No\r\nContent-Length: 99999999999999999999\r\n\r\nx", b"HTTP/1.1 403 \x1b]0;evil\x07\r\n\r\n", b"HTTP/1.1 100 Go\r\n\r\n" * 2000,
], ids=lambda a: repr(a[:30]))
@pytest.mark.parametrize("as_proxy", [False, True], ids=["server", "proxy"])
def test_an_answer_that_is_none_fails_the_attempt_and_shows_no_control_bytes(answer, as_proxy):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                s, _ = listener.accept()
                s.settimeout(5)
                s.recv(65536)
                s.sendall(answer)
                s.shutdown(socket.SHUT_WR)
                s.recv(65536)
                s.close()
            except OSError:
                if listener.fileno() < 0:
                    return
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    words = ["ws://host.test/", "--proxy", f"http://{address}"] if as_proxy else [f"ws://{address}/"]
    p = subprocess.Popen([BINARY, "connect", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    try:
        line = p.stderr.readline()
        assert line.strip(), "it says what happened"
        assert all(byte >= 0x20 or byte in b"\n\t" for byte in line), line
    finally:
        p.terminate()
        _, rest = p.communicate(timeout=10)
        listener.close()
    assert b"Sanitizer" not in rest and b"runtime error" not in rest, rest


def test_what_a_stranger_says_is_shown_and_not_obeyed(backend):
    b = backend()
    p = subprocess.Popen([BINARY, "connect", b.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    served = b.next()
    served.upgrade([("Sec-WebSocket-Protocol", "hf1")])
    evil = "%1B]0;evil%07%C2%9B2J%0D%0Aforged%7F"
    served.send_text(hello().replace("session=s", "session=" + evil) + " protocol=" + evil)
    served.send_text(f"\x01rebound from=0 to=0 attempt=1 note={evil}")
    served.send_text("\x1b[2J\x07\x9b2J\x7f\u009b")
    served.send_frame(BYTES, b"\x1b[2J")
    served.send_text(f"\x01end who={evil} reason={evil}")
    served.send_close(4000, "\x1b[2J\x07")
    shown = []

    def said():
        shown.append(p.stderr.readline())
        return sum(map(len, shown)) > 0 and len(shown) >= 2
    wait_for(said, "it says what happened")
    p.terminate()
    out, err = p.communicate(timeout=10)
    assert b"2J" in out, "into a pipe a message goes as it came"
    for text in [b"".join(shown) + err]:
        assert b"\x1b" not in text and b"\x07" not in text and b"\xc2\x9b" not in text and b"\x7f" not in text and b"\r" not in text, text
        assert b"\nforged" not in text, text
