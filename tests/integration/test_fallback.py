# SPDX-License-Identifier: Apache-2.0
"""Sessions without WebSockets (docs/protocol.md section 9): event streams, POSTs, long polls, preflights, and who may do what."""
import base64
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import jwt
import pytest

from harness import raw, servers
from harness.drops import cpu_seconds
from harness.fallback import CONTROL, EVENTS, LIST, TEXT, Events, Line, frames, pairs, request, say
from harness.hf1 import Connection
from harness.process import wait_for
from harness.raw import Client

SITE = "https://app.example"


def fresh():
    return "hf1.o." + base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


class Held:
    """A session of a gateway before a raw backend: the backend's end and what the hello said."""

    def __init__(self, g, b, path="/"):
        self.g, self.b, self.path, self.attempt = g, b, path, 0
        self.line = Line(g.address)
        self.hello = self.served = None

    def greeted(self, hello):
        self.hello = hello
        return self

    @property
    def key(self):
        return self.hello["key"]

    def sse(self, *headers, by_hand=False):
        self.attempt += 1
        offer = [] if by_hand else [("HF-Open", fresh())] if self.hello is None else [("HF-Resume", self.resume(self.received))]
        return self.begin(Events(self.g.address).start(self.path, offer + list(headers)))

    received = 0

    def resume(self, received, attempt=None):
        return f"hf1.r.{self.hello['token']}.{self.hello['epoch']}.{received}.{attempt or self.attempt}"

    def begin(self, events):
        first = self.served is None
        if first:
            self.served = self.b.next().upgrade()
        head = events.read_head()
        assert head.status == 200, f"{head!r}{events.unread()!r}"
        self.greeted(events.event("hello").pairs)
        assert self.hello["resumed"] == ("0" if first else "1"), self.hello
        self.stream = events  # a socket that nobody holds is closed
        return events

    def post(self, *messages, seq=None, **how):
        return self.line.post(self.key, frames(*messages), self.path, seq=seq, **how)

    def ack(self, n):
        answer = self.post((CONTROL, f"ack n={n}"))
        assert answer.status == 200, answer
        return answer

    def expect(self, *texts):
        for text in texts:
            self.served.expect_text(text)


def parked(g, count=1):
    wait_for(lambda: g.metric("holdfast_sessions_parked_total") >= count, "the session parks")


@pytest.fixture
def held(relay):
    def start(config=None, path="/", **how):
        g, b = relay(config or {}, **how)
        return Held(g, b, path)
    return start


# ---- event streams

def test_an_event_stream_begins_with_padding_and_hello_and_carries_messages_both_ways(held):
    s = held()
    e = s.sse()
    assert e.head.get("content-type") == EVENTS and e.head.get("cache-control") == "no-store, no-transform"
    assert e.head.get("x-accel-buffering") == "no"
    body = bytes(e.received).split(b"\r\n\r\n", 1)[1]
    assert body[:1] == b":" and body.index(b"\n\n") + 2 == 2048
    s.served.send_text("one")
    s.served.send_text("two\nlines\n")
    s.served.send_text("with \r in it")
    s.served.send_frame(raw.BINARY, b"\0\1\2")
    first = e.event()
    assert (first.data, first.id) == ("one", f"{s.hello['token']}.{s.hello['epoch']}.1")
    assert e.event().data == "two\nlines\n"
    assert e.event("text64").payload == b"with \r in it"
    binary = e.event("binary")
    assert binary.payload == b"\0\1\2" and binary.id.endswith(".4")
    assert s.post("from the client", b"\1\2", "\x01not a control", seq=1).get("hf-received") == "3"
    s.expect("from the client")
    assert s.served.read_data().payload == b"\1\2"
    s.expect("\x01not a control")
    assert e.event("ack").pairs["n"] in ("1", "2", "3")


def test_the_backend_sees_the_handshake_a_browser_would_have_sent(held):
    s = held(path="/ws/chat?token=abc")
    s.sse(("HF-Protocol", "v2.chat, v1.chat"), ("Cookie", "a=b"), ("Origin", SITE), ("Cache-Control", "no-cache"), ("hf_extra", "x"))
    head = s.served.head
    assert head.first == "GET /ws/chat?token=abc HTTP/1.1"
    assert head.get("upgrade") == "websocket" and head.get("sec-websocket-version") == "13" and head.get("sec-websocket-key")
    assert head.get("sec-websocket-protocol") == "v2.chat, v1.chat"
    assert head.get("sec-websocket-extensions") is None
    assert (head.get("cookie"), head.get("origin"), head.get("host")) == ("a=b", SITE, "app.test")
    assert not [name for name, _ in head.fields if re.match("hf|accept$|last-event", name)], head


def test_the_subprotocol_that_the_backend_chose_is_in_the_hello(relay):
    g, b = relay()
    e = Events(g.address).start("/", [("HF-Protocol", "v1.echo")])
    b.next().upgrade([("Sec-WebSocket-Protocol", "v1.echo")])
    e.read_head()
    assert e.event("hello").pairs["protocol"] == "v1.echo"


def test_a_stream_that_was_cut_resumes_where_it_was_and_the_backend_sees_nothing(held):
    s = held()
    e = s.sse()
    s.ack(0)
    s.served.send_text("1")
    s.served.send_text("2")
    assert e.messages(2) == ["1", "2"]
    e.reset()
    s.served.send_text("3")
    s.received = 1
    e = s.sse()
    assert e.messages(2) == ["2", "3"]
    s.served.send_text("4")
    assert e.event().data == "4"
    assert s.b.accepted == 1


def test_an_opening_whose_hello_was_lost_is_joined_by_its_secret(relay):
    g, b = relay()
    secret = fresh()
    first = Events(g.address).start("/", [("HF-Open", secret)])
    served = b.next()
    first.reset()
    second = Events(g.address).start("/", [("HF-Open", secret)])
    served.upgrade()
    served.send_text("for whoever comes")
    second.read_head()
    second.event("hello")
    assert second.event().data == "for whoever comes" and b.accepted == 1


def test_an_eventsource_by_hand_resumes_by_last_event_id(held):
    s = held()
    e = s.sse(by_hand=True)
    for n in range(1, 6):
        s.served.send_text(f"{n}")
    assert e.messages(5) == ["1", "2", "3", "4", "5"]
    third = f"{s.hello['token']}.{s.hello['epoch']}.3"
    e.reset()
    again = Events(s.g.address).start("/", [("Last-Event-ID", third)])
    s.begin(again)
    assert again.messages(2) == ["4", "5"]
    # Not one event in between: the id of the stream before is good once more.
    again.reset()
    third_time = s.begin(Events(s.g.address).start("/", [("Last-Event-ID", third)]))
    assert third_time.messages(2) == ["4", "5"]
    assert s.b.accepted == 1


def test_an_eventsource_by_hand_is_never_stopped_by_credit_and_is_told_of_a_gap(held):
    s = held({"session": {"buffer": "16KiB"}})
    e = s.sse(by_hand=True)
    first = f"{s.hello['token']}.{s.hello['epoch']}.1"
    text = "x" * 1000
    for n in range(64):  # four times the credit, and nobody acknowledges
        s.served.send_text(f"{n:04}{text}")
    got = e.messages(64)
    assert [t[:4] for t in got] == [f"{n:04}" for n in range(64)]
    e.reset()
    again = s.begin(Events(s.g.address).start("/", [("Last-Event-ID", first)]))
    gap = again.event("gap").pairs
    assert gap["from"] == "2" and int(gap["to"]) > 2
    rest = again.messages(64 - int(gap["to"]))
    assert rest[0][:4] == f"{int(gap['to']):04}" and rest[-1][:4] == "0063"
    assert len(rest) * 1020 >= 8000, "the newest half of the credit is promised"


def test_a_session_that_was_closed_answers_204_to_an_eventsource(held):
    s = held()
    e = s.sse(by_hand=True)
    s.served.send_text("last")
    last = e.event().id
    s.served.send_close(1000, "done")
    close = e.event("close").pairs
    assert (close["code"], close["reason"]) == ("1000", "done")
    e.read_end()
    e.close()
    s.served.expect_close(1000)
    wait_for(lambda: s.g.endings(), "the ending", 5)
    again = Events(s.g.address).start("/", [("Last-Event-ID", last)])
    assert again.read_head().status == 204
    assert s.b.accepted == 1


def test_what_comes_while_no_session_is_there_is_an_ordinary_status_that_script_can_read(relay):
    g, b = relay({"origins": [SITE]})
    e = Events(g.address).start("/", [("Origin", SITE)])
    b.next().answer(403, b"no")
    head = e.read_head()
    assert head.status == 403 and head.get("hf-reason") == "auth", head
    assert head.get("access-control-allow-origin") == SITE and head.get("access-control-allow-credentials") == "true"
    assert "HF-Reason" in head.get("access-control-expose-headers")
    assert b"auth" in e.read_body()


def test_a_backend_that_is_not_there_is_a_502_with_retry_after(gateway):
    port = socket.create_server(("127.0.0.1", 0))
    address = port.getsockname()
    port.close()
    g = gateway(f"http://127.0.0.1:{address[1]}", config={"connect_tries": 1})
    for accept in (EVENTS, LIST):
        answer = Line(g.address).request("GET", "/", [("Accept", accept)])
        assert answer.status == 502 and answer.get("retry-after") == "1" and answer.get("hf-reason") == "unavailable", answer


def test_a_backend_that_comes_back_is_told_by_an_event_in_its_place(gateway, backend):
    b = backend()
    g = gateway(b.url, config={"on_backend_loss": "hold"})
    s = Held(g, b)
    e = s.sse()
    s.served.send_text("1")
    assert s.post("a", seq=1).status == 200
    s.expect("a")
    s.served.reset()
    assert s.post("b", seq=2).get("hf-received") == "2"
    s.served = b.next().upgrade()
    s.served.send_text("2")
    assert e.event().data == "1"
    rebound = e.event("rebound").pairs
    assert (rebound["from"], rebound["to"]) in (("0", "1"), ("1", "1")), rebound
    assert e.event().data == "2"
    s.expect("b")


def test_a_client_that_reads_nothing_is_given_up_and_its_session_waits(held):
    s = held({"send_timeout": "300ms", "tcp": {"notsent_lowat": "4KiB"}, "session": {"buffer": "4MiB"}})
    secret = fresh()
    e = Events(s.g.address, receive_buffer=4096).start("/", [("HF-Open", secret)])
    s.begin(e)
    for _ in range(30):
        s.served.send_text("x" * 100000)
    parked(s.g)
    s.attempt, s.received = 1, 0
    again = s.sse()
    assert len(again.event().data) == 100000


def test_a_slow_client_gets_all_of_it_before_the_stream_ends(held):
    s = held({"session": {"buffer": "4MiB"}})
    e = Events(s.g.address, receive_buffer=4096)
    s.begin(e.start("/", [("HF-Open", fresh())]))
    s.served.send_text("x" * 3000000)
    wait_for(lambda: s.g.sessions()[0]["sent"] == 1, "the gateway has the message")
    s.served.reset()
    s.g.wait_endings(1)
    time.sleep(2.5)  # a client that is busy for longer than a Close is waited for
    event = e.event(timeout=20)
    assert len(event.data) == 3000000
    assert e.event("end").pairs["reason"] == "backend_lost"
    assert e.read_end() == b""


# ---- POST

def test_posts_are_counted_once_and_repeats_are_answered_as_done(held):
    s = held()
    s.sse()
    assert s.post("1", "2", seq=1).get("hf-received") == "2"
    assert s.post("1", "2", "3", seq=1).get("hf-received") == "3"
    assert s.post("3", seq=3).get("hf-received") == "3"
    gap = s.post("5", seq=5)
    assert gap.status == 409 and gap.get("hf-received") == "3" and gap.get("hf-reason") == "gap" and b"HF-Seq" in gap.body
    assert s.line.text(s.key, "4", seq=4).get("hf-received") == "4"
    assert s.line.text(s.key, "4", seq=4).get("hf-received") == "4"
    assert s.line.text(s.key, "5").get("hf-received") == "5"
    assert s.line.post(s.key, b"\0six", type="application/octet-stream").get("hf-received") == "6"
    s.expect("1", "2", "3", "4", "5")
    assert s.served.read_data().payload == b"\0six"


def test_an_empty_post_is_an_empty_message(held):
    s = held()
    s.sse()
    assert s.line.text(s.key, "").get("hf-received") == "1"
    s.expect("")


def test_a_post_in_chunks_and_one_that_asks_first_are_taken(held):
    s = held()
    s.sse()
    line = Line(s.g.address)
    line.send(request("POST", "/", [("HF-Key", s.key), ("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")]))
    line.send_slowly(b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n")
    assert line.read_answer().get("hf-received") == "1"
    line.send(request("POST", "/", [("HF-Key", s.key), ("Content-Type", "text/plain"), ("Content-Length", 5), ("Expect", "100-continue")]))
    assert line.read_head().status == 100
    line.send(b"hello")
    assert line.read_answer().get("hf-received") == "2"
    s.expect("abcdefg", "hello")


def test_requests_that_follow_each_other_without_waiting_are_answered_in_order(held):
    s = held()
    s.sse()
    line = Line(s.g.address)
    head = [("HF-Key", s.key), ("Content-Type", "text/plain")]
    line.send(b"".join(request("POST", "/", head, f"{n}".encode()) for n in range(20)))
    assert [line.read_answer().get("hf-received") for _ in range(20)] == [f"{n}" for n in range(1, 21)]
    s.expect(*(f"{n}" for n in range(20)))


def test_a_slow_post_that_a_new_connection_overtakes_is_taken_not_at_all(held):
    s = held()
    e = s.sse()
    s.ack(0)
    line = Line(s.g.address)
    body = frames("old 1", "old 2")
    line.send(request("POST", "/", [("HF-Key", s.key), ("Content-Type", LIST), ("HF-Seq", 1), ("Content-Length", len(body))]) + body[:8])
    wait_for(lambda: s.g.metric("holdfast_fallback_posts_total") >= 2, "the gateway has the POST's head")
    e.reset()
    s.sse()
    assert s.hello["received"] == "0"
    assert s.post("new 1", seq=1).get("hf-received") == "1"
    line.send(body[8:])
    late = line.read_answer()
    assert late.status == 409 and late.get("hf-reason") == "superseded", late
    s.expect("new 1")
    assert s.post("new 2", seq=2).get("hf-received") == "2"
    s.expect("new 2")


def test_keys_that_are_wrong_gone_or_of_another_path_are_told_apart(held):
    s = held({"routes": [{"path": "/a", "session": {"window": "1s"}}, {"path": "/b"}]}, path="/a")
    e = s.sse()
    assert s.line.text("nonsense", "x", "/a").status == 404
    other = s.key[:-1] + ("A" if s.key[-1] != "A" else "Q")
    wrong = s.line.text(other, "x", "/a")
    assert wrong.status == 404 and wrong.get("hf-reason") == "unknown", wrong
    assert s.line.text(s.key, "x", "/b").status == 404
    assert say(s.line, s.key, "right", "/a").get("hf-received") == "1"
    e.reset()
    parked(s.g)
    waits = s.line.text(s.key, "x", "/a")
    assert waits.status == 409 and waits.get("hf-reason") == "detached", waits
    s.g.wait_endings(1)
    gone = s.line.text(s.key, "x", "/a")
    assert gone.status == 410 and gone.get("hf-reason") == "expired", gone


def test_what_is_too_big_is_413_and_what_has_no_credit_is_429(held):
    s = held({"message_max": "2KiB", "session": {"buffer": "16KiB"}})
    s.sse()
    big = s.post("x" * 2049, seq=1)
    assert big.status == 413 and big.get("hf-reason") == "too_big" and big.get("hf-received") == "0", big
    huge = Line(s.g.address)
    huge.send(request("POST", "/", [("HF-Key", s.key), ("Content-Type", LIST), ("HF-Seq", 1), ("Content-Length", 10**15)]))
    assert huge.read_answer().status == 413
    assert s.post("x" * 2048, seq=1).get("hf-received") == "1"
    assert len(s.served.read_data().payload) == 2048


def test_a_backend_that_reads_nothing_makes_posts_429_and_loses_none(gateway, backend):
    b = backend(receive_buffer=4096)
    g = gateway(b.url, config={"session": {"buffer": "16KiB"}})
    s = Held(g, b)
    e = s.sse()
    number, refused = 1, None
    while refused is None and number < 2000:
        answer = s.post(f"{number:05}" + "x" * 4000, seq=number)
        if answer.status == 200:
            number += 1
        else:
            refused = answer
    assert refused is not None and refused.status == 429 and refused.get("retry-after") == "1", refused
    assert refused.get("hf-received") == str(number - 1) and refused.get("hf-reason") == "credit"
    for n in range(1, number):
        assert s.served.read_data().payload[:5] == b"%05d" % n
    e.event("ack")
    wait_for(lambda: s.post(f"{number:05}", seq=number).status == 200, "there is credit again")


def test_bye_by_post_closes_the_backend_with_its_code(held):
    s = held()
    e = s.sse()
    assert s.post("last words", (CONTROL, "bye code=3001 reason=enough"), seq=1).status == 200
    s.expect("last words")
    s.served.expect_close(3001, "enough")
    s.served.send_close(3001)
    e.read_end()
    assert s.g.ending()["cause"] == "client_close"
    assert s.line.text(s.key, "x").status == 410


@pytest.mark.parametrize("body", [b"\x04\0\0\0\0", b"\x01\0\0\0\x05abc", b"\x01\0", b"\x01\xff\xff\xff\xff"],
                         ids=["no such type", "cut", "half a head", "a length beyond all"])
def test_a_list_that_cannot_be_read_is_400_and_hurts_nobody(held, body):
    s = held()
    s.sse()
    assert s.line.post(s.key, frames("one") + body, seq=1).status == 400
    assert s.line.text(s.key, "two").get("hf-received") == "2"
    s.expect("one", "two")


def test_a_text_that_is_not_utf8_is_400(held):
    s = held()
    s.sse()
    assert s.line.post(s.key, b"\xff\xfe", type="text/plain").status == 400
    assert say(s.line, s.key, "ü").get("hf-received") == "1"


# ---- long polls

def opened(g, b, path="/", offer=None):
    line = Line(g.address)
    line.send(request("GET", path, [("Accept", LIST), offer or ("HF-Open", fresh())]))
    served = b.next().upgrade()
    answer = line.read_answer()
    assert answer.status == 200 and answer.get("content-type") == LIST, answer
    return line, served, answer.control("hello")


def test_polls_bring_messages_and_acknowledge_them(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    assert hello["resumed"] == "0"
    served.send_text("one")
    first = line.poll(hello["key"], 0)
    assert (first.messages, first.get("hf-seq")) == (["one"], "1")
    line.start_poll(hello["key"], 1)
    line.silent(0.2)
    served.send_text("two")
    second = line.read_answer()
    assert (second.messages, second.get("hf-seq")) == (["two"], "2")
    assert Line(g.address).post(hello["key"], frames("up"), seq=1).get("hf-received") == "1"
    served.expect_text("up")


def test_a_poll_that_nothing_comes_for_is_answered_with_an_empty_list(relay):
    g, b = relay({"fallback": {"poll": "300ms"}})
    line, served, hello = opened(g, b)
    began = time.monotonic()
    answer = line.poll(hello["key"], 0)
    assert answer.body == b"" and answer.get("hf-seq") == "1" and 0.25 < time.monotonic() - began < 3


def test_a_list_whose_answer_was_lost_comes_again(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    for n in range(1, 4):
        served.send_text(f"{n}")
    got = []
    while len(got) < 3:  # acknowledges nothing: each poll brings all again
        answer = line.poll(hello["key"], 0)
        assert answer.get("hf-seq") == "1"
        got = answer.messages
    assert got == ["1", "2", "3"]
    line.reset()
    again = Line(g.address).poll(hello["key"], 1)
    assert (again.messages, again.get("hf-seq")) == (["2", "3"], "2")
    rest = Line(g.address)
    rest.start_poll(hello["key"], 3)
    rest.silent(0.2)
    served.send_text("4")
    assert rest.read_answer().messages == ["4"]


def test_only_one_poll_waits_and_the_second_answers_the_first(relay):
    g, b = relay()
    first, served, hello = opened(g, b)
    first.start_poll(hello["key"], 0)
    second = Line(g.address)
    wait_for(lambda: g.metric("holdfast_fallback_polls_total") >= 2, "the gateway has the first poll")
    second.start_poll(hello["key"], 0)
    assert first.read_answer().body == b""
    served.send_text("for the second")
    assert second.read_answer().messages == ["for the second"]


def test_a_session_that_nobody_polls_is_parked_and_comes_back_by_resume(relay):
    g, b = relay({"fallback": {"poll": "200ms"}, "log": {"level": "debug"}})
    line, served, hello = opened(g, b)
    parked(g)
    assert '"cause":"client_silent"' in g.log_text()
    served.send_text("meanwhile")
    gone = line.poll(hello["key"], 0)
    assert gone.status == 409 and gone.get("hf-reason") == "detached", gone
    back = line.open_poll(offer=("HF-Resume", f"hf1.r.{hello['token']}.{hello['epoch']}.0.1"))
    got = list(back.messages)
    assert back.control("hello")["resumed"] == "1"
    while not got:
        got += line.poll(back.control("hello")["key"], 0).messages
    assert got == ["meanwhile"] and b.accepted == 1


def test_the_backends_close_comes_in_a_list_behind_the_last_message(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    served.send_text("last")
    served.send_close(4003, "so long")
    got = []
    while not any(text.startswith("close ") for kind, text in got if kind == CONTROL):
        messages = len([1 for kind, _ in got if kind != CONTROL])
        got += line.poll(hello["key"], messages).items
    assert [text for kind, text in got if kind == TEXT] == ["last"]
    close = pairs([text for kind, text in got if kind == CONTROL and text.startswith("close ")][0])
    assert (close["code"], close["reason"]) == ("4003", "so long")
    final = line.poll(hello["key"], 1)
    assert final.status == 410 and final.get("hf-reason") == "closed", final
    served.expect_close(4003)
    assert g.ending()["cause"] == "backend_close"


def test_nobody_joins_a_session_that_was_polled(relay):
    g, b = relay()
    offer = ("HF-Open", fresh())
    line, served, hello = opened(g, b, offer=offer)
    line.start_poll(hello["key"], 0)
    wait_for(lambda: g.metric("holdfast_fallback_polls_total") >= 2, "the gateway has the poll")
    other = opened(g, b, offer=offer)[2]
    assert other["session"] != hello["session"] and b.accepted == 2


def test_a_connection_that_resumed_beyond_a_limit_may_open_a_session_when_there_is_room_again(relay):
    g, b = relay({"limits": {"address_connections": 1}}, workers=1)
    _, served, hello = opened(g, b)
    line = Line(g.address)
    back = line.open_poll(offer=("HF-Resume", f"hf1.r.{hello['token']}.{hello['epoch']}.0.1"))
    assert back.status == 200 and back.control("hello")["resumed"] == "1"
    assert line.post(hello["key"], frames((CONTROL, "bye code=1000"))).status == 200
    served.expect_close(1000)
    g.wait_endings(1)
    line.send(request("GET", "/", [("Accept", LIST), ("HF-Open", fresh())]))
    b.next().upgrade()
    assert line.read_answer().status == 200


def test_a_session_resumed_by_polls_says_hello_once_and_then_waits(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    served.send_text("1")
    served.send_text("2")
    got = []
    while len(got) < 2:
        got += line.poll(hello["key"], len(got)).messages
    back = line.open_poll(offer=("HF-Resume", f"hf1.r.{hello['token']}.{hello['epoch']}.2.1"))
    assert back.control("hello")["resumed"] == "1" and back.messages == []
    controls = list(back.controls)
    line.start_poll(hello["key"], 2)
    served.send_text("3")
    answer = line.read_answer()
    while not answer.messages:
        controls += answer.controls
        answer = line.poll(hello["key"], 2)
    assert (answer.messages, answer.get("hf-seq")) == (["3"], "3")
    controls += answer.controls
    assert len([text for text in controls if text.startswith("hello ")]) == 1, controls


def test_bye_answers_the_poll_that_waits(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    line.start_poll(hello["key"], 0)
    assert Line(g.address).post(hello["key"], frames((CONTROL, "bye code=1000")), seq=1).status == 200
    served.expect_close(1000)
    served.send_close(1000)
    last = line.read_answer()
    while last.status == 200:  # acknowledgements, perhaps
        last = line.poll(hello["key"], 0)
    assert last.status == 410 and last.get("hf-reason") == "closed", last


def test_messages_larger_than_any_buffer_pass_by_stream_and_by_polls(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    text = "0123456789" * 300000  # 3 MB
    served.send_text(text)
    answer = line.poll(hello["key"], 0, timeout=20)
    while not answer.messages:
        answer = line.poll(hello["key"], 0, timeout=20)
    assert answer.messages == [text]
    e = Events(g.address).open("/", [("HF-Resume", f"hf1.r.{hello['token']}.{hello['epoch']}.0.1")])
    assert e.event(timeout=20).data == text


def test_a_rebound_that_a_lost_list_may_have_held_is_told_once_more(gateway, backend):
    b = backend()
    g = gateway(b.url, config={"on_backend_loss": "hold"})
    line, served, hello = opened(g, b)
    served.reset()
    b.next().upgrade()
    told = []
    for _ in range(3):
        answer = line.poll(hello["key"], 0)
        told.append([text for text in answer.controls if text.startswith("rebound ")])
        if sum(map(len, told)) >= 2:
            break
    rebounds = [text for texts in told for text in texts]
    assert len(rebounds) == 2 and rebounds[0] == rebounds[1], told
    line.start_poll(hello["key"], 0)
    try:
        line.read_head(0.3)
    except raw.Timeout:
        return
    assert not any(text.startswith("rebound ") for text in frames_of(line)), "a third time"


def frames_of(line):
    from harness.fallback import items
    return [payload for kind, payload in items(line.read_body()) if kind == CONTROL]


def test_an_acknowledgement_beyond_what_was_sent_ends_the_session(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    answer = line.poll(hello["key"], 5)
    assert answer.status == 200 and answer.control("end")["reason"] == "protocol", answer
    assert g.ending()["cause"] == "client_protocol"


def test_many_messages_arrive_by_polls_in_order_and_once(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    count = 3000

    def stream():
        for n in range(count):
            served.send_text(f"{n}:" + "x" * (n % 700))
    sender = threading.Thread(target=stream)
    sender.start()
    got = []
    while len(got) < count:
        answer = line.poll(hello["key"], len(got))
        assert answer.status == 200 and int(answer.get("hf-seq")) == len(got) + 1, answer
        got += answer.messages
    sender.join()
    assert [int(text.split(":")[0]) for text in got] == list(range(count))


# ---- from one transport to another

def test_a_session_goes_over_all_transports_and_loses_and_doubles_nothing(relay):
    from harness.hf1 import Session
    g, b = relay({"workers": 2})
    sent, got = 0, []
    seen = []

    def serve(served):
        while True:
            f = served.read_data(30)
            if f.opcode == raw.CLOSE:
                return
            seen.append(f.payload.decode())
            served.send_text("echo " + f.payload.decode())

    def more(n):
        nonlocal sent
        first = sent + 1
        sent += n
        return [f"{i}" for i in range(first, sent + 1)]

    ws = Session(g.address)
    c = ws.knock()
    served = b.next().upgrade()
    threading.Thread(target=lambda: _quiet(serve, served), daemon=True).start()
    ws.greeted(c)
    for text in more(5):
        ws.c.give(text)
    got += [ws.message().payload.decode() for _ in range(3)]  # two are on their way
    hello = {"token": ws.token, "epoch": ws.epoch, "key": ws.key}
    for turn in range(2):
        # WebSocket → events, the WebSocket still open
        ws.attempt += 1
        e = Events(g.address).open("/", [("HF-Resume", f"hf1.r.{hello['token']}.{hello['epoch']}.{len(got)}.{ws.attempt}")])
        assert e.hello["resumed"] == "1" and int(e.hello["received"]) == sent, e.hello
        hello = e.hello
        line = Line(g.address)
        batch = more(4)
        assert line.post(hello["key"], frames((CONTROL, f"ack n={len(got)}"), *batch), seq=sent - 3).get("hf-received") == str(sent)
        got += e.messages(4)
        e.reset()
        # events → polls
        ws.attempt += 1
        a = line.open_poll(offer=("HF-Resume", f"hf1.r.{hello['token']}.{hello['epoch']}.{len(got)}.{ws.attempt}"))
        hello = a.control("hello")
        assert hello["resumed"] == "1" and int(hello["received"]) == sent
        got += a.messages
        post = Line(g.address)
        batch = more(4)
        assert post.post(hello["key"], frames((CONTROL, f"ack n={len(got)}"), *batch), seq=sent - 3).status == 200
        while len(got) < sent - 2:
            a = line.poll(hello["key"], len(got))
            skip = len(got) + 1 - int(a.get("hf-seq"))
            got += a.messages[skip:]
        # polls → WebSocket
        ws.token, ws.epoch, ws.received = hello["token"], hello["epoch"], len(got)
        back = ws.resume()
        assert back.resumed == 1 and back.received == sent
        for text in more(3):
            ws.c.give(text)
        got += [ws.message().payload.decode() for _ in range(sent - len(got))]
        hello = {"token": ws.token, "epoch": ws.epoch, "key": ws.key}
    assert seen == [f"{n}" for n in range(1, sent + 1)]
    assert got == [f"echo {n}" for n in range(1, sent + 1)]
    assert b.accepted == 1


def _quiet(run, *args):
    try:
        run(*args)
    except (raw.Ended, OSError):
        pass


def test_requests_for_sessions_of_two_workers_share_one_connection(gateway, backend):
    b = backend(raw.echo)
    g = gateway(b.url, workers=2, config={"workers": 2})
    streams = [Events(g.address).open("/", [("HF-Open", fresh())]) for _ in range(16)]
    workers = {base64.urlsafe_b64decode(e.hello["key"] + "=")[7] for e in streams}
    assert workers == {0, 1}, "sixteen coins fell on one side"
    shared = Line(g.address)
    for turn in range(5):
        for i, e in enumerate(streams):
            say(shared, e.hello["key"], f"{turn} to {i}")
    for i, e in enumerate(streams):
        assert e.messages(5) == [f"{turn} to {i}" for turn in range(5)]
    pollers = []
    for _ in range(6):
        hello = shared.open_poll(offer=("HF-Open", fresh())).control("hello")
        pollers.append(hello["key"])
    for i, key in enumerate(pollers):
        say(shared, key, f"poll {i}")
    for i, key in enumerate(pollers):
        got = []
        while not got:
            got = shared.poll(key, 0).messages
        assert got == [f"poll {i}"]
    # All of it at once, without waiting for an answer.
    head = [("Content-Type", "text/plain")]
    shared.send(b"".join(request("POST", "/", head + [("HF-Key", e.hello["key"])], b"burst") for e in streams))
    assert [shared.read_answer().status for _ in streams] == [200] * len(streams)
    for e in streams:
        assert e.event().data == "burst"
    assert g.metric("holdfast_moves_total") > 10


def test_a_websocket_and_a_stream_of_one_session_find_its_worker_wherever_they_arrive(gateway, backend):
    from harness.hf1 import Session
    b = backend(raw.echo)
    g = gateway(b.url, workers=2, config={"workers": 2})
    for _ in range(6):
        ws = Session(g.address)
        ws.open()
        ws.c.give("hello")
        assert ws.message().payload == b"hello"
        for _ in range(4):
            ws.cut()
            assert ws.resume().resumed == 1
            ws.c.give("again")
            assert ws.message().payload == b"again"
    assert b.accepted == 6


# ---- all of it at random

class Wanderer:
    """A client as a library would be, that changes its transport and loses connections at random."""

    def __init__(self, g, seed):
        self.g, self.random = g, random.Random(seed)
        self.secret, self.attempt = fresh(), 0
        self.token = self.epoch = self.key = None
        self.got, self.sent, self.acked = [], [], 0     # sent: what was made, acked: C as it is known
        self.tries = 0

    @property
    def offer(self):
        if self.token is None:
            return ("HF-Open", self.secret)
        self.attempt += 1
        return ("HF-Resume", f"hf1.r.{self.token}.{self.epoch}.{len(self.got)}.{self.attempt}")

    def greet(self, hello):
        assert self.token is None or (hello["resumed"] == "1" and hello["epoch"] == self.epoch), hello
        self.token, self.epoch, self.key = hello["token"], hello["epoch"], hello["key"]
        assert self.acked <= int(hello["received"]) <= len(self.sent), (hello, self.acked, len(self.sent))
        self.acked = int(hello["received"])

    def post(self, line, cut):
        """Posts what lies beyond C, perhaps some of what does not, and perhaps dies on the way."""
        for _ in range(self.random.randrange(3)):
            self.sent.append(f"up {len(self.sent) + 1}")
        first = max(1, self.acked + 1 - self.random.randrange(3))
        batch = self.sent[first - 1:first + 5]
        body = frames((CONTROL, f"ack n={len(self.got)}"), *batch)
        data = request("POST", "/", [("HF-Key", self.key), ("HF-Seq", first), ("Content-Type", LIST)], body)
        if cut:
            line.send(data[:self.random.randrange(len(data))])
            line.reset()
            raise raw.Ended("cut")
        line.send(data)
        answer = line.read_answer()
        assert answer.status == 200, answer
        self.acked = max(self.acked, int(answer.get("hf-received")))

    def stream(self, cut):
        e = Events(self.g.address).start("/", [self.offer])
        head = e.read_head()
        assert head.status == 200, head
        self.greet(e.event("hello").pairs)
        if len(self.got) < self.acked:  # one that takes nothing three times in a row is taken for poisoned
            self.got.append(e.event().data)
        line = Line(self.g.address)
        for _ in range(self.random.randrange(1, 6)):
            self.post(line, cut and self.random.random() < 0.2)
            while len(self.got) < self.acked - 3:
                self.got.append(e.event().data)
        if cut:
            e.reset()
        else:
            e.close()

    def polls(self, cut):
        line = Line(self.g.address)
        first = line.open_poll(offer=self.offer)
        assert first.status == 200, first
        self.greet(first.control("hello"))
        self.got += first.messages
        other = Line(self.g.address)
        if len(self.got) < self.acked:
            answer = line.poll(self.key, len(self.got))
            self.got += answer.messages[len(self.got) + 1 - int(answer.get("hf-seq")):]
        for _ in range(self.random.randrange(1, 6)):
            self.post(other, cut and self.random.random() < 0.2)
            if len(self.got) < self.acked:
                if cut and self.random.random() < 0.3:
                    line.start_poll(self.key, len(self.got))
                    line.reset()
                    line = Line(self.g.address)
                answer = line.poll(self.key, len(self.got))
                assert answer.status == 200, answer
                self.got += answer.messages[len(self.got) + 1 - int(answer.get("hf-seq")):]

    def websocket(self, cut):
        c = Connection(self.g.address)
        c.ask_hf1("/", [self.offer[1]])
        hello = c.next()
        assert hello.verb == "hello", hello
        self.greet({key: str(value) for key, value in hello.keys.items()})
        c.say("ack", n=len(self.got))
        given = self.acked
        for _ in range(self.random.randrange(1, 6)):
            for _ in range(self.random.randrange(3)):
                self.sent.append(f"up {len(self.sent) + 1}")
            for text in self.sent[given:]:
                c.give(text)
            given = len(self.sent)
            while len(self.got) < given - self.random.randrange(3):
                self.got.append(c.message().payload.decode())
            if self.random.random() < 0.5:
                c.say("ack", n=len(self.got))
        if cut:
            c.reset()
        else:
            c.close()

    def step(self):
        self.tries += 1
        try:
            self.random.choice((self.stream, self.polls, self.websocket))(self.random.random() < 0.6)
        except (raw.Ended, OSError):
            pass

    def finish(self):
        e = Events(self.g.address).start("/", [self.offer])
        e.read_head()
        self.greet(e.event("hello").pairs)
        line = Line(self.g.address)
        while self.acked < len(self.sent):
            self.post(line, False)
        while len(self.got) < len(self.sent):
            self.got.append(e.event().data)


@pytest.mark.parametrize("seed", range(6))
def test_clients_that_wander_and_die_on_the_way_lose_and_double_nothing(gateway, backend, seed):
    heard = {}

    def serve(served):
        served.upgrade()
        mine = heard.setdefault(served.head.target, [])
        while True:
            f = served.read_data(60)
            if f.opcode == raw.CLOSE:
                return
            mine.append(f.payload.decode())
            served.send_text("down " + f.payload.decode())
    b = backend(serve)
    g = gateway(b.url, config={"workers": 2})
    w = Wanderer(g, seed)
    for _ in range(60):
        w.step()
    w.finish()
    assert heard["/"] == w.sent == [f"up {n}" for n in range(1, len(w.sent) + 1)]
    assert w.got == [f"down {text}" for text in w.sent]
    assert b.accepted == 1 and len(w.sent) > 60, "one backend connection through it all"


# ---- who may

def test_a_preflight_is_answered_for_allowed_origins_only(relay):
    g, b = relay({"origins": [SITE], "fallback": {"max_age": "5m"}})
    line = Line(g.address)
    ask = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "hf-key,content-type")]
    yes = line.request("OPTIONS", "/", [("Origin", SITE)] + ask)
    assert yes.status == 204 and yes.get("access-control-allow-origin") == SITE
    assert yes.get("access-control-allow-methods") == "GET, POST" and yes.get("access-control-max-age") == "300"
    assert {"hf-key", "hf-seq", "content-type", "hf-resume"} <= set(yes.get("access-control-allow-headers").lower().split(", "))
    no = Line(g.address).request("OPTIONS", "/", [("Origin", "https://evil.example")] + ask)
    assert no.status == 403 and no.get("access-control-allow-origin") is None
    assert line.request("OPTIONS", "/", [("Origin", SITE)] + ask).status == 204, "the connection goes on"
    assert b.accepted == 0


def test_a_connection_is_kept_for_sessions_and_not_for_strangers(relay):
    g, b = relay()
    line, served, hello = opened(g, b)
    say(line, hello["key"], "x")
    strangers = [Line(g.address) for _ in range(3)]
    ask = [("Origin", SITE), ("Access-Control-Request-Method", "POST")]
    assert strangers[0].request("OPTIONS", "/", ask).status == 204
    assert strangers[1].text("nonsense", "x").status == 404
    assert strangers[2].poll(hello["key"][:-2] + "AA", 0).status == 404
    began = time.monotonic()
    for stranger in strangers:
        assert stranger.read_end(8) == b""
    assert time.monotonic() - began > 3
    say(line, hello["key"], "y")
    served.expect_text("x")
    served.expect_text("y")


def test_another_origin_opens_nothing_and_reads_nothing(relay):
    g, b = relay({"origins": [SITE]})
    for accept in (EVENTS, LIST):
        answer = Line(g.address).request("GET", "/", [("Accept", accept), ("Origin", "https://evil.example")])
        assert answer.status == 403 and answer.get("access-control-allow-origin") is None, answer
    assert b.accepted == 0
    assert {e["cause"] for e in g.endings()} == {"origin_refused"}


def test_where_every_origin_may_none_may_bring_cookies(relay):
    g, b = relay()
    e = Events(g.address).start("/", [("Origin", "https://anyone.example")])
    b.next().upgrade()
    head = e.read_head()
    assert head.get("access-control-allow-origin") == "*" and head.get("access-control-allow-credentials") is None


def test_a_page_of_the_gateways_own_origin_needs_no_origin_header(relay):
    g, b = relay({"origins": ["https://app.test"], "missing_origin": "refuse"})
    refused = Line(g.address).request("GET", "/", [("Accept", EVENTS)])
    assert refused.status == 403
    other = Line(g.address).request("GET", "/", [("Accept", EVENTS), ("Sec-Fetch-Site", "same-origin")], host="other.test")
    assert other.status == 403
    e = Events(g.address).start("/", [("Sec-Fetch-Site", "same-origin")])
    served = b.next().upgrade()
    assert served.head.get("origin") == "http://app.test"
    assert e.read_head().status == 200


def test_a_trusted_proxy_says_which_host_a_page_of_the_same_origin_asked_for(relay):
    g, b = relay({"origins": ["https://app.test"], "trusted_proxies": ["127.0.0.1"]})
    front = [("Accept", EVENTS), ("Sec-Fetch-Site", "same-origin"), ("X-Forwarded-Host", "app.test"), ("X-Forwarded-Proto", "https")]
    e = Line(g.address)
    e.send(request("GET", "/", front, host="inner:8800"))
    served = b.next().upgrade()
    assert served.head.get("origin") == "https://app.test"
    assert e.read_head().status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_elsewhere_cannot_hide_its_origin(relay, site):
    g, b = relay({"origins": ["https://app.test"]})
    answer = Line(g.address).request("GET", "/", [("Accept", EVENTS), ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors")])
    assert answer.status == 403, answer
    assert Events(g.address).start("/", [("Sec-Fetch-Site", "none")]) and b.next()


def test_tokens_are_asked_for_as_they_are_of_a_websocket(relay, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-enough-length-0123456789")
    g, b = relay({"auth": "jwt", "jwt": {"from": ["query", "header", "subprotocol"],
                                         "keys": [{"alg": "HS256", "file": str(secret)}]}})
    token = make_token(secret.read_text(), "ada")
    refused = Line(g.address).request("GET", "/", [("Accept", EVENTS)])
    assert refused.status == 401 and b.accepted == 0
    for where in (("/?token=" + token, []), ("/", [("Authorization", f"Bearer {token}")]),
                  ("/", [("HF-Protocol", f"chat, bearer.{token}")])):
        e = Events(g.address).start(where[0], where[1])
        served = b.next().upgrade()
        assert e.read_head().status == 200
        assert served.head.get("sec-websocket-protocol") in (None, "chat")


def make_token(secret, subject):
    return jwt.encode({"sub": subject, "exp": int(time.time()) + 600}, secret, algorithm="HS256")


def test_a_session_is_only_its_principals(relay, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-enough-length-0123456789")
    g, b = relay({"auth": "jwt", "jwt": {"keys": [{"alg": "HS256", "file": str(secret)}]}})
    e = Events(g.address).start("/?token=" + make_token(secret.read_text(), "ada"), [("HF-Open", fresh())])
    b.next().upgrade()
    e.read_head()
    hello = e.event("hello").pairs
    thief = Events(g.address).start("/?token=" + make_token(secret.read_text(), "eve"),
                                    [("HF-Resume", f"hf1.r.{hello['token']}.{hello['epoch']}.0.1")])
    b.next().upgrade()
    assert thief.read_head().status == 200
    assert thief.event("hello").pairs["reason"] == "auth"
    e.silent(0.1)


@pytest.mark.parametrize("accept", [EVENTS, LIST])
def test_the_application_is_asked_and_its_refusal_can_be_read_by_script(gateway, backend, accept):
    answers = [(403, [], b"not you"), (204, [("X-Auth-Subject", "ada")], b"")]
    asked = []

    def ask(served):
        asked.append(served.head)
        status, headers, body = answers[len(asked) - 1]
        served.answer(status, body, headers)
    application, b = backend(ask), backend(raw.echo)
    g = gateway(b.url, config={"auth": "callout", "origins": [SITE], "callout": {"url": application.url + "/auth", "copy": ["X-Auth-Subject"]}})
    get = [("Accept", accept), ("Origin", SITE), ("HF-Open", fresh())]
    no = Line(g.address).request("GET", "/", get)
    assert no.status == 403 and no.body == b"not you" and no.get("access-control-allow-origin") == SITE, no
    yes = Line(g.address)
    yes.send(request("GET", "/", get))
    assert yes.read_head().status == 200
    assert b.connections[0].head.get("x-auth-subject") == "ada"
    assert not [name for head in asked for name, _ in head.fields if name.startswith("hf-")], "the secret is nobody's but ours"


def test_fallback_can_be_switched_off(relay):
    g, b = relay({"fallback": {"enabled": False}})
    for headers in ([("Accept", EVENTS)], [("Accept", LIST)], [("Accept", LIST), ("HF-Key", "k"), ("HF-Received", 0)]):
        assert Line(g.address).request("GET", "/", headers).status == 426
    assert b.accepted == 0


def test_other_requests_get_426_and_a_sentence_that_helps(relay):
    g, b = relay()
    for method, headers in (("GET", []), ("GET", [("Accept", "text/html")]), ("POST", [("Content-Type", "text/plain")]),
                            ("PUT", [("HF-Key", "x")]), ("OPTIONS", []), ("DELETE", [("Accept", EVENTS)])):
        answer = Line(g.address).request(method, "/", headers)
        assert answer.status == 426 and b"text/event-stream" in answer.body and answer.get("upgrade") == "websocket", (method, answer)
    assert b.accepted == 0


# ---- life of the gateway

def test_a_connection_that_moves_between_workers_takes_its_tls_along(gateway, backend, authority, tmp_path):
    cert, key = authority.leaf("app.test", label="app")
    b = backend(raw.echo)
    g = gateway(b.url, config={"workers": 2, "tls": {"cert": str(cert), "key": str(key)}}, scheme="wss")
    context = authority.client_context()
    secure = {"tls": context, "server_name": "app.test"}
    streams = [Events(g.address, **secure).open("/", [("HF-Open", fresh())]) for _ in range(6)]
    line = Line(g.address, **secure)
    for turn in range(4):
        for e in streams:
            say(line, e.hello["key"], f"{turn}" + "x" * 10000)
    for e in streams:
        assert [text[0] for text in e.messages(4)] == ["0", "1", "2", "3"]
    assert g.metric("holdfast_moves_total") > 5


def test_a_drain_lets_idle_connections_go_and_answers_polls_and_streams(gateway, backend):
    b = backend(raw.echo)
    g = gateway(b.url, config={"workers": 2, "drain": "1s"})
    e = Events(g.address).open("/", [("HF-Open", fresh())])
    idle = Line(g.address)
    poller = Line(g.address)
    hello = poller.open_poll(offer=("HF-Open", fresh())).control("hello")
    say(idle, hello["key"], "x")
    got = []
    while not got:
        got = poller.poll(hello["key"], 0).messages
    poller.start_poll(hello["key"], 1)
    g.process.signal(signal.SIGTERM)
    assert idle.read_end() == b""
    assert "in" in e.event("goaway").pairs
    answer = poller.read_answer()
    assert answer.status == 200 and answer.controls, answer
    assert answer.get("connection") == "close"
    poller.read_end()
    e.read_end()
    g.process.wait_exit(6)


def test_a_reload_lets_connections_go_on_under_todays_rules(relay):
    g, b = relay({})
    line = Line(g.address)
    hello = opened(g, b)[2]
    say(line, hello["key"], "before")
    g.write({**g.config, "origins": [SITE]})
    g.reload()
    refused = line.text(hello["key"], "from elsewhere", headers=[("Origin", "https://evil.example")])
    assert refused.status == 403, refused


def test_sessions_without_websockets_count_in_the_limits_on_connections(relay):
    g, b = relay({"limits": {"address_connections": 2}, "origins": [SITE]})
    s = [opened(g, b) for _ in range(2)]
    third = Line(g.address).request("GET", "/", [("Accept", EVENTS), ("Origin", SITE)])
    assert third.status == 429 and third.get("retry-after") and third.get("access-control-allow-origin") == SITE, third
    # A resume takes the place of its own session, and polls and POSTs are no connections.
    line, served, hello = s[0]
    back = Events(g.address).open("/", [("HF-Resume", f"hf1.r.{hello['token']}.{hello['epoch']}.0.1")])
    assert back.hello["resumed"] == "1"
    for _ in range(5):
        say(Line(g.address), back.hello["key"], "x")


def test_credentials_are_renewed_in_a_post_and_the_session_ends_when_they_are_not(relay, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-enough-length-0123456789")
    g, b = relay({"auth": "jwt", "jwt": {"leeway": "0", "keys": [{"alg": "HS256", "file": str(secret)}]}})

    def short(lives):
        return jwt.encode({"sub": "ada", "exp": int(time.time() + lives)}, secret.read_text(), algorithm="HS256")
    e = Events(g.address).start("/?token=" + short(3), [("HF-Open", fresh())])
    b.next().upgrade()
    e.read_head()
    hello = e.event("hello").pairs
    line = Line(g.address)
    assert line.post(hello["key"], frames((CONTROL, "auth value=" + short(5))), seq=1).status == 200
    assert int(e.event("auth-ok").pairs["exp"]) > time.time() + 3
    end = e.event("end", timeout=15).pairs
    assert end["reason"] == "auth", end
    e.read_end()
    assert Line(g.address).text(hello["key"], "x").status == 410
    assert g.ending()["cause"] == "token_expired"


def test_no_key_token_or_secret_is_ever_shown(held):
    s = held({"log": {"level": "debug"}})
    secret = fresh()
    e = s.begin(Events(s.g.address).start("/?token=hush-hush", [("HF-Open", secret)]))
    say(s.line, s.key, "x", "/?token=hush-hush")
    s.g.never_shown(s.key, s.hello["token"], secret.split(".")[2], "hush-hush")
    e.reset()
    parked(s.g)
    s.g.never_shown(s.key, s.hello["token"], secret.split(".")[2], "hush-hush")


# ---- requests that mean two things

SMUGGLED = "POST / HTTP/1.1\r\nHost: app.test\r\nHF-Key: {key}\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize("tail", [
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "Content-Length: 4, 4\r\n\r\nabcd",
    "Content-Length: +4\r\n\r\nabcd",
    "Content-Length: 0x4\r\n\r\nabcd",
    "Content-Length: 4\x0b\r\n\r\nabcd",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\tchunked\x0c\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 99999999999999999999\r\n\r\nabcd",
    "Transfer-Encoding: chunked\r\n\r\n4 \r\nabcd\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n4\nabcd\n0\n\n",
    "Transfer-Encoding: chunked\r\n\r\n4\r\nabcdX\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabcd",
    "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nX" + "y" * 20000 + ": z\r\n\r\n",
    "Content-Length: 4\r\nExpect: 200-ok\r\n\r\nabcd",
    "Content-Length: 4\r\nContent-Encoding: gzip\r\n\r\nabcd",
], ids=lambda tail: tail.split("\r\n\r\n")[0][:60].replace("\r\n", " | ") + " / " + str(len(tail)))
def test_a_body_that_could_be_bounded_in_two_ways_ends_the_connection(held, tail):
    s = held()
    s.sse()
    line = Line(s.g.address)
    hidden = SMUGGLED.format(key=s.key) + "Content-Length: 8\r\n\r\nsmuggled"
    line.send((SMUGGLED.format(key=s.key) + tail + hidden).encode("latin-1"))
    answer = line.read_answer()
    assert answer.status in (400, 413, 415, 417), answer
    assert answer.get("connection") == "close", answer
    assert line.read_end() == b"", "nothing behind it is answered"
    assert say(s.line, s.key, "ordinary").get("hf-received") == "1"
    s.expect("ordinary")


def test_noise_in_requests_hurts_nobody_else(held):
    s = held()
    s.sse()
    line, served, hello = opened(s.g, s.b)
    noise = random.Random(7)
    good = request("POST", "/", [("HF-Key", s.key), ("HF-Seq", 1), ("Content-Type", LIST), ("Transfer-Encoding", "chunked")])
    bodies = [b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) for body in (frames("a", b"b"), frames((CONTROL, "ack n=0"), "c"))]
    for _ in range(150):
        data = bytearray(good + noise.choice(bodies))
        keep = len(good) if noise.random() < 0.6 else 0  # the head as it is, the body broken
        for _ in range(noise.randrange(1, 4)):
            at = noise.randrange(keep, len(data))
            data[at:at + noise.randrange(3)] = bytes(noise.choice(b"\0\r\n :;,0123456789abcdefxHF\xff") for _ in range(noise.randrange(3)))
        broken = Line(s.g.address)
        try:
            broken.send(bytes(data))
            broken.fin()
            broken.read_end()
        except (raw.Ended, OSError):
            pass
        broken.close()
    # The noise had the key of its own session, which it may have ended.
    assert s.line.text(s.key, "still here?").status in (200, 410)
    say(Line(s.g.address), hello["key"], "still here")
    served.expect_text("still here")
    served.send_text("so am I")
    got = []
    while not got:
        got = line.poll(hello["key"], 0).messages
    assert got == ["so am I"]


def test_a_get_that_attaches_has_no_body(relay):
    g, b = relay()
    for tail in ("Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
        client = Client(g.address)
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept: {EVENTS}\r\n{tail}".encode())
        assert client.read_head().status == 400
    assert b.accepted == 0


def test_a_body_that_never_comes_holds_nothing_up_and_a_client_that_leaves_is_forgotten(held):
    s = held()
    s.sse()
    slow = Line(s.g.address)
    slow.send(request("POST", "/", [("HF-Key", s.key), ("Content-Type", "text/plain"), ("Content-Length", 10)]) + b"abc")
    say(s.line, s.key, "overtakes")
    s.expect("overtakes")
    slow.reset()
    say(s.line, s.key, "and on")
    s.expect("and on")


# ---- real programs

def curl(*words, timeout=20):
    return subprocess.run(["curl", "-sS", "--noproxy", "*", "-m", str(timeout), *map(str, words)], capture_output=True, text=True,
                          timeout=timeout + 5)


def test_curl_is_enough_to_talk_to_a_real_backend(gateway, echo, scene, tmp_path):
    g = gateway(echo.url)
    url = f"http://127.0.0.1:{g.port}/"
    stream = subprocess.Popen(["curl", "-sSN", "--noproxy", "*", "-H", f"Accept: {EVENTS}", url], stdout=subprocess.PIPE, text=True)
    scene.callback(stream.wait)
    scene.callback(stream.kill)
    lines = iter(stream.stdout.readline, "")

    def wanted(prefix):
        return next(line.rstrip("\n") for line in lines if line.startswith(prefix))
    assert wanted("event: ") == "event: hello"
    key = pairs(wanted("data: ")[6:])["key"]
    done = curl("-i", "-H", f"HF-Key: {key}", "-H", "Content-Type: text/plain", "--data-binary", "hello from a shell", url)
    assert "HTTP/1.1 200 OK" in done.stdout and "HF-Received: 1" in done.stdout, done
    assert wanted("data: hello") == "data: hello from a shell"
    assert wanted("event: ack")
    big = "b" * 200000  # curl asks with Expect: 100-continue above some size
    (tmp_path / "big").write_text(big)
    sent = curl("-i", "-H", f"HF-Key: {key}", "-H", "Content-Type: text/plain", "-H", "Expect: 100-continue", "--data-binary",
                f"@{tmp_path / 'big'}", url)
    assert "HF-Received: 2" in sent.stdout, sent
    assert wanted("data: bbb") == "data: " + big


def test_an_inbox_on_daphne_is_served_without_websockets(gateway, inbox):
    from conftest import INBOX_SECRET
    g = gateway(inbox.url)
    path = "/ws/inbox/?token=" + make_token(INBOX_SECRET, "ada")
    e = Events(g.address).open(path, [("HF-Open", fresh()), ("Origin", SITE)], host="app.example")
    assert '"type": "welcome"' in e.event().data
    line = Line(g.address)
    say(line, e.hello["key"], '{"type":"ping"}', path)
    assert e.event().data == '{"type": "pong"}'
    e.reset()
    say_again = Events(g.address).open(path, [("HF-Resume", f"hf1.r.{e.hello['token']}.{e.hello['epoch']}.2.1"), ("Origin", SITE)],
                                       host="app.example")
    assert say_again.hello["resumed"] == "1"
    say(line, e.hello["key"], '{"type":"say","text":"still here"}', path)
    assert "still here" in say_again.event().data
    refused = Line(g.address).request("GET", "/ws/inbox/?token=wrong", [("Accept", EVENTS)])
    assert refused.status == 403 and refused.get("hf-reason") == "auth", refused


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_polls_and_posts_pass_an_nginx_that_buffers(gateway, echo, run_folder, scene, buffering):
    g = gateway(echo.url)
    n = servers.nginx_plain(run_folder, g.port, buffering)
    scene.callback(n.stop)
    n.wait()
    front = Line(n.address)
    hello = front.open_poll(offer=("HF-Open", fresh())).control("hello")
    other = Line(n.address)
    got = []
    for i in range(5):
        say(other, hello["key"], f"{i}")
    while len(got) < 5:
        answer = front.poll(hello["key"], len(got))
        assert int(answer.get("hf-seq")) == len(got) + 1
        got += answer.messages
    assert got == [f"{i}" for i in range(5)]


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_an_event_stream_passes_an_nginx_with_buffering_on_or_off(gateway, echo, run_folder, scene, buffering):
    g = gateway(echo.url)
    n = servers.nginx_plain(run_folder, g.port, buffering)
    scene.callback(n.stop)
    n.wait()
    e = Events(n.address).start("/", [("HF-Open", fresh())])
    head = e.read_head()
    assert head.status == 200
    hello = None
    end = time.monotonic() + 5
    while hello is None and time.monotonic() < end:  # nginx puts its own chunks between
        found = re.search(rb"event: hello\ndata: ([^\n]+)\n\n", bytes(e.received))
        hello = found and pairs(found.group(1).decode())
        if hello is None:
            e.fill(1)
    assert hello, "the hello came at once"
    say(Line(n.address), hello["key"], "through nginx")
    wait_for(lambda: e.fill(0.5) and b"data: through nginx\n" in bytes(e.received), "the message")


def test_a_backends_close_that_nobody_fetches_costs_no_processor_time(relay):
    g, b = relay({"session": {"beat": "100ms"}, "fallback": {"poll": "700ms"}})
    line = Line(g.address)
    line.send(request("GET", "/", [("Accept", LIST), ("HF-Open", fresh())]))
    served = b.next().upgrade()
    line.read_answer()
    served.send_close(4000)
    wait_for(lambda: g.sessions()[0]["state"] == "closing" or None, "the Close to wait")
    before = cpu_seconds(g.pid)
    wait_for(lambda: g.sessions()[0]["transport"] is None or None, "the polls to be given up")
    assert cpu_seconds(g.pid) - before < 0.2
