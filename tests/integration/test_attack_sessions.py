# SPDX-License-Identifier: Apache-2.0
"""What an attacker tried on sessions (docs/protocol.md): to take somebody else's, to break their counts, to make the gateway keep or
write more than it may, and to be read in two ways by the gateway and what is behind it."""
import os
import random
import signal
import threading
import time

import pytest

from harness import raw
from harness.fallback import CONTROL, LIST, Line, frames, request, say
from harness.hf1 import Connection, Control, Session, secret
from harness.process import wait_for
from harness.raw import CLOSE, CONT, PING, TEXT, Client, Ended, Timeout, frame
from harness.tokens import token
from test_access import asked
from test_fallback import fresh, held  # noqa: F401 (a fixture)
from test_sessions import guarded, session, with_token  # noqa: F401 (fixtures)


# ---- control messages

@pytest.mark.parametrize("text", [
    b"ack n=9007199254740991", b"ack n=9007199254740992", b"ack n=18446744073709551616", b"ack n=-1", b"ack n=+0", b"ack n=0x0", b"ack n=",
    b"ack  n=0", b"ack n=0 ", b"ack n=0 =a", b"ack n=0 a=%f", b"ack n=0 a=%ff", b"ack n=0 a=%c3", b"hello session=a", b"bye code=5000",
    b"bye code=1000 code=1000", b"\x7f", b"dance v=" + b"x" * 1016, b"auth value=" + b"x" * 16373,
], ids=lambda text: text[:24].decode("latin-1"))
def test_what_no_library_says_ends_the_session_and_nothing_else(session, text):
    g, s, served = session()
    s.c.send_frame(TEXT, b"\x01" + text)
    end = s.c.expect("end")
    assert (end.who, end.reason) == ("client", "protocol")
    assert s.c.closes().code == 1002
    served.expect_close(1001)
    assert g.ending()["cause"] == "client_protocol"


def test_what_only_a_gateway_says_is_nothing_from_a_client(session):
    _, s, served = session()
    for text in (b"live sent=0", b"goaway in=0 url=ws://evil.test/", b"end who=gateway reason=auth", b"auth-ok exp=0", b"rebound from=0 to=9 attempt=1",
                 b"close code=1000", b"gap from=0 to=1", b"coming bytes=9007199254740991", b"dance v=" + b"x" * 1015):
        s.c.send_frame(TEXT, b"\x01" + text)
    s.c.give("still here")
    served.expect_text("still here")


def test_a_control_message_in_pieces_with_pings_between_is_one(session):
    _, s, served = session()
    s.c.send_frame(TEXT, b"", fin=False)
    for piece in (b"\x01", b"", b"ack ", b"n="):
        s.c.send_frame(CONT, piece, fin=False)
        s.c.send_frame(PING, b"between")
    s.c.send_frame(CONT, b"0")
    s.c.send_frame(TEXT, b"\x01", fin=False)
    s.c.send_frame(CONT, b"\x01ack n=99")
    served.expect_text("\x01ack n=99")


def test_the_escape_does_not_count_for_the_largest_message(session):
    _, s, served = session(config={"message_max": "4KiB"})
    for whole in (b"\x01" + b"a" * 4095, b"b" * 4096):
        s.c.give(whole.decode())
        assert served.read_data().payload == whole
    s.c.send_frame(TEXT, b"\x01\x01" + b"c" * 4094, fin=False)
    s.c.send_frame(CONT, b"c")
    assert served.read_data().payload == b"\x01" + b"c" * 4095
    s.c.give("\x01" + "d" * 4096)
    assert s.c.expect("end").reason == "too_big"


def test_a_flood_of_control_messages_ends_the_session(session):
    _, s, _ = session()
    s.c.send(frame(TEXT, b"\x01ack n=0", mask=b"\0\0\0\0") * 12000)
    end = s.c.expect("end")
    assert (end.who, end.reason) == ("client", "protocol")


def test_a_flood_of_credentials_does_not_fill_the_log(session):
    g, s, served = session()
    s.c.send(frame(TEXT, b"\x01auth value=a", mask=b"\0\0\0\0") * 500)
    s.c.give("x")
    served.expect_text("x")
    lines = [line for line in g.log_lines("ws auth") if line["result"] == "ignored"]
    assert len(lines) <= 2, len(lines)


def test_a_flood_of_credentials_in_a_post_does_not_fill_the_log(held):
    s = held()
    s.sse()
    for _ in range(3):
        assert s.post(*[(CONTROL, "auth value=a")] * 2000).status == 200
    s.g.process.signal(signal.SIGHUP)
    s.g.wait_log("reload")
    lines = [line for line in s.g.log_lines("ws auth") if line["result"] == "ignored"]
    assert 1 <= len(lines) <= 5, len(lines)


@pytest.mark.parametrize("text, reason", [
    ("bye code=3000 reason=x" + "%C3%A9" * 62, "x" + "\u00e9" * 61),
    ("bye code=3000 reason=" + "%F0%9F%8C%8D" * 31, "\U0001f30d" * 30),
    ("bye code=3000 reason=" + "y" * 900, "y" * 123)])
def test_a_goodbye_that_is_too_long_for_a_close_is_cut_between_characters(session, text, reason):
    _, s, served = session()
    s.c.send_frame(TEXT, b"\x01" + text.encode())
    served.expect_close(3000, reason)
    assert s.c.closes().reason == reason


# ---- whose session it is

@pytest.mark.parametrize("one, other", [("a" * 255 + "lice", "a" * 255 + "mallory"), ("\u00e9" * 127 + "xa", "\u00e9" * 127 + "xb")])
def test_principals_whose_names_begin_alike_are_not_one(guarded, keys, one, other):
    _, s, served = guarded(token(keys, sub=one))
    served.send_text("for one alone")
    s.cut()
    c = with_token(s, token(keys, sub=other)).knock_again()
    s.backend.next().upgrade()
    hello = s.greeted(c)
    assert (hello.resumed, hello.reason) == (0, "auth")


def test_principals_whom_the_application_names_alike_at_the_beginning_are_not_one(gateway, backend):
    def script(served):
        served.answer(204, b"", [("X-Auth-Subject", "a" * 255 + served.head.get("authorization")[7:])])
        served.read_end()
    ask, b = backend(script), backend()
    g = gateway(b.url, config={"auth": "callout", "callout": {"url": ask.url + "/auth"}})
    s = Session(g.address, headers=[("Authorization", "Bearer alice")])
    c = s.knock()
    b.next().upgrade()
    s.greeted(c)
    s.c.say("auth", value="alice")
    s.c.expect("auth-ok")
    s.c.say("auth", value="mallory")
    assert s.c.expect("end").reason == "auth"


def test_a_stolen_token_opens_nothing_on_another_path_or_from_another_origin(gateway, backend):
    b = backend()
    g = gateway(config={"upstream": b.url, "routes": [{"path": "/a", "origins": ["https://app.example"]}, {"path": "/b"}]})
    home = [("Origin", "https://app.example")]
    s = Session(g.address, "/a", headers=home)
    c = s.knock()
    served = b.next().upgrade()
    s.greeted(c)
    served.send_text("for a alone")
    s.cut()
    s.path, s.headers = "/b", []
    c = s.knock_again()
    b.next().upgrade()
    mine = s.token, s.epoch
    hello = Session.greeted(s, c)
    assert (hello.resumed, hello.reason) == (0, "auth")
    s.token, s.epoch = mine
    s.path, s.headers = "/a", [("Origin", "https://evil.example")]
    end = s.greeted(s.knock_again())
    assert (end.verb, end.reason) == ("end", "origin")
    s.headers = home
    assert s.greeted(s.knock_again()).resumed == 1
    assert s.message().payload == b"for a alone"


def test_one_secret_from_many_at_once_and_at_two_workers_makes_one_backend_connection(gateway, backend):
    b = backend()
    g = gateway(b.url, workers=2)
    for round in range(1, 4):
        word, crowd = secret(), []
        for _ in range(8):
            c = Connection(g.address)
            c.send_request("/", [("Sec-WebSocket-Protocol", f"hf1, hf1.o.{word}")])
            crowd.append(c)
        b.next().upgrade()
        greeted = 0
        for c in crowd:
            try:
                c.read_head(2)
                greeted += c.next(2).verb == "hello"
            except (Ended, Timeout):
                pass
        assert greeted >= 1 and b.accepted == round


def test_a_storm_of_takeovers_leaves_one_session_that_lost_nothing(session):
    g, s, served = session(config={"session": {"window": "30s"}})
    lock, attempts, until = threading.Lock(), iter(range(1, 10 ** 6)), time.monotonic() + 1.5

    def storm(seed):
        luck = random.Random(seed)
        while time.monotonic() < until:
            c = Connection(g.address)
            try:
                with lock:
                    offer = f"hf1.r.{s.token}.{s.epoch}.{s.received}.{next(attempts)}"
                    c.send_request("/", [("Sec-WebSocket-Protocol", f"hf1, {offer}")])
                    c.read_head(5)
                    hello = c.next(5)
                    assert hello.verb == "hello" and hello.resumed == 1, hello
                    s.take_hello(hello)
                    if luck.random() < 0.7:
                        c.say("ack", n=s.received)
                if luck.random() < 0.3:
                    c.send_frame(TEXT, b"\x01ack n=0", fin=False)
                if luck.random() < 0.3:
                    c.send_frame(CLOSE, b"\x03\xe9")
            except (Ended, OSError):
                pass
            finally:
                c.reset() if luck.random() < 0.7 else c.close()
    crowd = [threading.Thread(target=storm, args=(seed,)) for seed in range(3)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    served.send_text("for the last one")
    hello = s.resume(attempt=next(attempts))
    assert (hello.resumed, hello.received) == (1, 0), hello
    assert s.message().payload == b"for the last one"
    assert s.backend.accepted == 1


# ---- bodies and memory

def half_a_post(s, key=None, length=900_000):
    line = Line(s.g.address)
    line.send(request("POST", "/", [("HF-Key", key or s.key), ("Content-Type", "application/octet-stream"), ("Content-Length", length)]) + b"x" * 1000)
    return line


def test_bodies_that_never_come_are_few_for_one_session(held):
    s = held()
    s.sse()
    waiting = [half_a_post(s) for _ in range(4)]
    wait_for(lambda: s.g.metric("holdfast_fallback_posts_total") >= 4 or None, "four POSTs are on their way")
    answer = half_a_post(s).read_answer()
    assert (answer.status, answer.get("hf-reason"), answer.get("retry-after"), answer.get("connection")) == (429, "credit", "1", "close"), answer
    waiting.pop().reset()

    def again():
        return s.line.text(s.key, "room again").status == 200 or setattr(s, "line", Line(s.g.address))
    wait_for(again, "the place of the one that left")
    s.expect("room again")
    s.sse()
    posts = s.g.metric("holdfast_fallback_posts_total")
    waiting.append(half_a_post(s))
    wait_for(lambda: s.g.metric("holdfast_fallback_posts_total") > posts or None, "it is on its way again")
    answer = half_a_post(s).read_answer()
    assert answer.status == 429, "a new stream makes no new room"


def test_a_body_for_nobody_is_read_and_bounded(held):
    s = held()
    line = Line(s.g.address)
    line.send(request("POST", "/", [("HF-Key", "nobody"), ("Content-Type", LIST), ("Content-Length", 65536)]) + b"x" * 65536)
    assert line.read_answer().status == 404
    line.send(request("POST", "/", [("HF-Key", "nobody"), ("Content-Type", LIST), ("Transfer-Encoding", "chunked")]))
    line.send(b"".join(b"4000\r\n" + b"x" * 0x4000 + b"\r\n" for _ in range(5)))
    assert line.read_answer().status == 413


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"], ids=lambda bad: bad.hex())
def test_a_text_in_a_list_that_is_not_utf8_goes_to_no_backend(held, bad):
    s = held()
    s.sse()
    answer = s.post("before", (1, bad), "behind", seq=1)
    assert (answer.status, answer.get("hf-reason"), answer.get("hf-received")) == (400, "protocol", "1"), answer
    s.expect("before")
    assert s.post("in order", seq=2).status == 200
    s.expect("in order")


# ---- heads that mean two things

@pytest.mark.parametrize("lines", [
    "HF-Protocol: a\nX-Evil: 1", "HF-Protocol: a\rX-Evil: 1", "HF-Protocol: a\r\n X-Evil: 1", "HF-Protocol: a\x0bb", "HF-Protocol: a b",
    'HF-Protocol: "a, b"', "HF-Protocol: hf1, hf1.r.x.1.1.1", "HF-Open: x y", "HF-Open: hf1.o.short", "HF-Resume: hf1.r.x.-1.0.1",
    "HF-Resume: hf1.r.x.1.9007199254740992.1", "HF-Open: hf1.o.AAAAAAAAAAAAAAAAAAAAAA\r\nHF-Open: hf1.o.AAAAAAAAAAAAAAAAAAAAAA", "Host: b",
    "Last-Event-ID: a\x00b", "Origin: https://a.example\r\nOrigin: https://b.example", "Origin: https://a.example\x01",
    "Content-Length: 5", "Transfer-Encoding: chunked", "HF-Protocol: " + ",".join(f"a{i}" for i in range(1200)),
], ids=lambda lines: lines[:40].encode().hex() if "\x00" in lines else lines[:40].replace("\r\n", " | ").replace("\n", " ^ ").replace("\r", " < "))
@pytest.mark.parametrize("accept", [LIST, "text/event-stream"])
def test_a_head_that_could_put_a_line_into_the_backends_is_refused(relay, accept, lines):
    g, b = relay()
    client = Client(g.address)
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n{lines}\r\n\r\n".encode("latin-1"))
    head = client.read_head()
    assert head.status == 400 and head.get("connection") == "close", head
    assert b.accepted == 0


@pytest.mark.parametrize("first", ["HEAD / HTTP/1.1\r\nHost: a", "GET http://b/ HTTP/1.1\r\nHost: a", "GET / HTTP/1.0", "OPTIONS * HTTP/1.1\r\nHost: a"])
def test_odd_requests_open_nothing_and_end_the_connection(relay, first):
    g, b = relay()
    client = Client(g.address)
    client.send(f"{first}\r\nAccept: {LIST}\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n\r\n".encode())
    head = client.read_head()
    assert head.status in (400, 426) and "close" in head.get("connection"), head
    assert b.accepted == 0


def test_the_opaque_origin_is_nobodys(relay):
    g, b = relay({"origins": ["https://app.example"]})
    for method, more in (("GET", []), ("OPTIONS", [("Access-Control-Request-Method", "POST")])):
        for origin in ("null", "https://app.example.evil.test", "https://app.example:444", "http://app.example", "https://evil@app.example", ""):
            answer = Line(g.address).request(method, "/", [("Accept", LIST), ("Origin", origin), *more])
            assert answer.status == 403, (method, origin, answer)
            assert answer.get("access-control-allow-origin") is None and answer.get("vary") == "Origin", answer
    assert b.accepted == 0
