# SPDX-License-Identifier: Apache-2.0
"""Sessions that outlive connections (docs/protocol.md), with a client and a backend that are driven by hand."""
import time

import pytest

from harness.hf1 import Session, secret
from harness.process import wait_for
from harness.raw import BINARY, TEXT, Timeout
from harness.tokens import token


@pytest.fixture
def session(relay):
    """A session through a fresh gateway: (gateway, session, backend's end); session.c is its connection."""
    def start(path="/", config=None, protocols=(), answer=(), headers=(), **how):
        g, b = relay(config, **how)
        s = Session(g.address, path, protocols, headers)
        c = s.knock()
        served = b.next()
        served.upgrade(answer)
        hello = s.greeted(c)
        assert hello.verb == "hello" and hello.resumed == 0, hello
        s.hello, s.backend = hello, b
        return g, s, served
    return start


# ---- opening

def test_the_first_message_is_a_hello_that_states_the_rules_and_both_positions(session):
    _, s, served = session(protocols=["chat.v1", "chat.v2"], answer=[("Sec-WebSocket-Protocol", "chat.v2")])
    h = s.hello
    assert (h.received, h.sent, h.resumed, h.protocol) == (0, 0, 0, "chat.v2")
    assert (h.window, h.buffer, h.message_max, h.beat, h.ack) == (120_000, 65536, 1 << 20, 15_000, 16384)
    assert len(h.token) == 48 and len(h.key) == 43
    assert served.head.get("sec-websocket-protocol") == "chat.v1, chat.v2"


def test_the_backend_hears_nothing_of_hf1_and_is_offered_no_extension(session):
    _, _, served = session(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
    assert served.head.get("sec-websocket-protocol") is None
    assert served.head.get("sec-websocket-extensions") is None
    assert b"hf1" not in served.head.raw


def test_messages_pass_both_ways_byte_for_byte(session):
    _, s, served = session()
    s.c.give("hello")
    s.c.give(b"\x00\x01\x02" * 1000)
    served.expect_text("hello")
    f = served.read_data()
    assert (f.opcode, f.payload) == (BINARY, b"\x00\x01\x02" * 1000)
    served.send_text("welcome")
    served.send_frame(BINARY, b"\xff" * 300)
    assert s.message().payload == b"welcome"
    m = s.message()
    assert (m.opcode, m.payload) == (BINARY, b"\xff" * 300)


# ---- resuming

def test_a_session_whose_connection_is_cut_goes_on_where_it_was(session):
    g, s, served = session()
    served.send_text("one")
    assert s.message().payload == b"one"
    s.c.give("eins")
    served.expect_text("eins")
    s.cut()
    served.send_text("two")
    served.send_text("three")
    hello = s.resume()
    assert (hello.verb, hello.resumed, hello.received, hello.sent) == ("hello", 1, 1, 3)
    assert s.message().payload == b"two"
    assert s.message().payload == b"three"
    assert s.c.expect("live").sent == 3
    s.c.give("zwei")
    served.expect_text("zwei")
    assert len(s.backend.connections) == 1


def test_a_hello_that_was_lost_is_asked_for_again_with_the_token_before_it(session):
    _, s, served = session()
    s.cut()
    second = s.knock_again()
    second.read_head()
    second.reset()  # its hello, and the token in it, never arrive
    served.send_text("while away")
    assert s.resume().resumed == 1
    assert s.message().payload == b"while away"


def test_the_first_control_message_makes_the_new_token_the_only_one(session):
    _, s, _ = session()
    old = s.token
    s.cut()
    assert s.resume().resumed == 1  # and answered with an ack
    end = s.greeted(s.knock_again(token=old))
    assert (end.verb, end.who, end.reason) == ("end", "gateway", "stale")


def test_an_attempt_that_was_overtaken_is_stale_and_the_session_is_untouched(session):
    g, s, served = session()
    s.cut()
    assert s.resume(attempt=7).resumed == 1
    late = s.knock_again(attempt=7)
    c = s.c
    end = s.greeted(late)
    assert (end.verb, end.reason) == ("end", "stale")
    assert late.closes().code == 1008
    served.send_text("still here")
    s.c = c
    assert s.message().payload == b"still here"
    g.wait_log("ws end", cause="session_stale")


def test_the_newest_connection_takes_over_though_the_old_one_looks_alive(session):
    _, s, served = session()
    old = s.c
    assert s.resume().resumed == 1
    end = old.expect("end")
    assert (end.who, end.reason) == ("gateway", "superseded")
    assert old.closes().code == 1008
    s.c.give("from the new one")
    served.expect_text("from the new one")


def test_what_still_arrives_on_an_old_connection_is_ignored(session):
    _, s, served = session()
    old = s.c
    assert s.resume().received == 0
    old.give("too late")
    s.c.give("in time")
    served.expect_text("in time")


def test_a_connection_dropped_in_the_middle_of_the_replay_is_followed_by_one_that_gets_the_rest(session):
    _, s, served = session()
    s.cut()
    for i in range(500):
        served.send_text(f"{i}" + "x" * 200)
    s.resume()
    for i in range(100):
        assert s.message().payload.startswith(str(i).encode())
    s.cut()
    s.resume()
    for i in range(100, 500):
        assert s.message().payload == (f"{i}" + "x" * 200).encode()
        if i % 50 == 0:
            s.c.say("ack", n=s.received)
    assert 100 < (s.c.live or s.c.expect("live").sent) <= 500


def test_what_the_client_sent_and_the_gateway_counted_is_not_asked_for_again(session):
    _, s, served = session()
    for i in range(10):
        s.c.give(f"m{i}")
    for i in range(10):
        served.expect_text(f"m{i}")
    s.cut()
    assert s.resume().received == 10


def test_half_a_message_of_a_client_is_dropped_and_never_counted(session):
    _, s, served = session()
    data = s.c.frame(TEXT, "whole") + s.c.frame(TEXT, "half of a message")[:-5]
    s.c.send(data)
    served.expect_text("whole")
    s.cut()
    assert s.resume().received == 1
    s.c.give("half of a message")
    served.expect_text("half of a message")


def test_numbers_that_the_session_never_gave_open_a_new_one(session):
    _, s, served = session()
    s.cut()
    c = s.knock_again(received=5)
    s.backend.next().upgrade()
    hello = s.greeted(c)
    assert (hello.resumed, hello.reason) == (0, "unknown")


def test_a_forged_token_opens_a_new_session_and_the_old_one_lives(session):
    _, s, served = session()
    token = s.token
    forged = token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB")
    s.c.reset()
    c = s.knock_again(token=forged)
    s.backend.next().upgrade()
    other = Session(s.address)
    hello = other.greeted(c)
    assert (hello.resumed, hello.reason) == (0, "unknown")
    assert s.resume(token=token).resumed == 1


def test_counts_of_another_epoch_say_nothing(session):
    _, s, _ = session()
    s.cut()
    c = s.knock_again(epoch=s.epoch + 1)
    s.backend.next().upgrade()
    hello = s.greeted(c)
    assert (hello.resumed, hello.reason) == (0, "epoch")


def test_an_idle_session_without_a_message_resumes(session):
    _, s, _ = session()
    s.cut()
    hello = s.resume()
    assert (hello.resumed, hello.received, hello.sent) == (1, 0, 0)
    assert s.c.expect("live").sent == 0


def test_twice_within_a_moment(session):
    _, s, served = session()
    for _ in range(2):
        s.cut()
        assert s.resume().resumed == 1
    s.c.give("x")
    served.expect_text("x")


# ---- joining

def test_an_opening_whose_answer_was_lost_is_joined_and_the_backend_sees_one_connection(relay):
    g, b = relay()
    s = Session(g.address)
    first = s.knock()
    served = b.next()
    first.reset()  # before the backend has answered
    second = s.knock()
    served.upgrade()
    served.send_text("first words")
    hello = s.greeted(second)
    assert (hello.verb, hello.resumed, hello.received) == ("hello", 1, 0)
    assert s.message().payload == b"first words"
    assert len(b.connections) == 1


def test_two_openings_in_a_row_may_be_lost_before_their_hello(relay):
    g, b = relay()
    s = Session(g.address)
    for turn in range(2):
        c = s.knock()
        if turn == 0:
            served = b.next()
            served.upgrade()
            served.send_text("kept")
        c.read_head()
        c.reset()
    assert s.open().resumed == 1
    assert s.message().payload == b"kept"
    assert len(b.connections) == 1


def test_nobody_joins_once_the_client_has_been_heard(session):
    _, s, served = session()
    s.c.give("x")
    served.expect_text("x")
    c = s.knock()
    s.backend.next().upgrade()
    assert s.greeted(c).resumed == 0


# ---- endings

def test_a_session_that_waits_longer_than_its_window_is_expired_and_its_counts_are_told(session):
    g, s, served = session(config={"session": {"window": "300ms"}})
    s.c.give("counted")
    served.expect_text("counted")
    s.cut()
    served.expect_close(1001)
    c = s.knock_again()
    s.backend.next().upgrade()
    hello = s.greeted(c)
    assert (hello.resumed, hello.reason, hello.old_received) == (0, "expired", 1)
    assert g.wait_log("ws end", cause="session_expired")[0]["messages_client"] == 1


def test_a_page_that_is_left_is_waited_for_only_a_moment(session):
    g, s, served = session(config={"session": {"leave": "200ms", "window": "1h"}})
    s.c.send_close(1001)
    assert s.c.closes().code == 1001
    served.expect_close(1001)
    g.wait_log("ws end", cause="session_expired")


@pytest.mark.parametrize("code", [None, 1012, 1013, 4499])
def test_a_close_that_says_nothing_of_the_application_parks(session, code):
    _, s, served = session()
    s.c.send_close(code)
    s.c.closes()
    served.send_text("waited for")
    assert s.resume().resumed == 1
    assert s.message().payload == b"waited for"


def test_bye_brings_code_and_reason_to_the_backend_behind_every_message(session):
    g, s, served = session()
    s.c.send(s.c.frame(TEXT, "last words") + s.c.frame(TEXT, b"\x01bye code=4321 reason=enough%20of%20it"))
    served.expect_text("last words")
    served.expect_close(4321, "enough of it")
    assert s.c.expect("ack").n == 1
    assert s.c.closes().code == 4321
    assert g.ending()["cause"] == "client_close"


@pytest.mark.parametrize("code", [1000, 3000, 4000, 4400, 4401, 4409, 4999])
def test_a_clients_own_code_ends_the_session_and_goes_to_the_backend(session, code):
    _, s, served = session()
    s.c.send_close(code, "mine")
    served.expect_close(code, "mine")
    assert s.c.closes().code == code


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3999, 4400, 4401, 4409])
def test_the_backends_close_arrives_as_it_came_behind_all_its_messages(session, code):
    g, s, served = session()
    served.send(served.frame(TEXT, "one") + served.frame(TEXT, "two"))
    served.send_close(code, "so it is")
    assert s.message().payload == b"one"
    assert s.message().payload == b"two"
    close = s.c.closes()
    assert (close.code, close.reason) == (code, "so it is")
    served.expect_close(code)
    s.c.send_close(code)
    end = g.ending()
    assert (end["cause"], end["code"]) == ("backend_close", code)


def test_the_backends_close_waits_behind_what_the_client_has_not_got(session):
    g, s, served = session()
    s.cut()
    for i in range(20):
        served.send_text(f"late {i}")
    served.send_close(4400, "done")
    served.expect_close(4400)
    wait_for(lambda: g.sessions()[0]["state"] == "closing" or None, "the session to be closing")
    s.resume()
    for i in range(10):
        assert s.message().payload == f"late {i}".encode()
    s.cut()
    s.resume()
    for i in range(10, 20):
        assert s.message().payload == f"late {i}".encode()
    close = s.c.closes()
    assert (close.code, close.reason) == (4400, "done")


def test_a_close_that_was_lost_comes_again(session):
    _, s, served = session()
    served.send_text("x")
    assert s.message().payload == b"x"
    served.send_close(4400, "done")
    s.c.closes()
    s.cut()  # without an answer
    assert s.resume().resumed == 1
    assert s.c.closes().code == 4400


def test_a_connection_that_is_given_up_while_the_backends_close_arrives_has_not_got_it(session):
    g, s, served = session()
    served.send(served.frame(TEXT, "before the end") + served.frame(8, b"\x11\x30enough"))
    s.c.message()  # arrived, but not where it counts
    s.c.send_close(4499)
    s.c.closes()
    s.c.read_end()
    assert not g.endings()
    assert s.resume().resumed == 1
    assert s.message().payload == b"before the end"
    assert (s.c.closes().code, len(s.backend.connections)) == (4400, 1)


def test_after_an_end_a_resume_is_told_that_it_was_closed_and_the_backend_is_left_alone(session):
    g, s, served = session()
    s.c.say("bye", code=1000)
    s.c.closes()
    g.wait_endings(1)
    hello = s.greeted(s.knock_again(), ack=False)
    assert (hello.resumed, hello.reason, hello.old_received) == (0, "closed", 0)
    end = s.c.expect("end")
    assert (end.who, end.reason) == ("client", "closed")
    assert len(s.backend.connections) == 1


def test_a_backend_that_is_lost_is_told_with_its_name(session):
    g, s, served = session()
    served.send_text("x")
    assert s.message().payload == b"x"
    served.reset()
    end = s.c.expect("end")
    assert (end.who, end.reason) == ("backend", "backend_lost")
    assert s.c.closes().code == 1012
    assert g.ending()["cause"] in ("backend_reset", "backend_fin")


def test_refusals_are_told_inside(relay):
    g, b = relay()
    s = Session(g.address)
    c = s.knock()
    b.next().answer(403, b"no")
    end = s.greeted(c)
    assert (end.verb, end.who, end.reason, end.http) == ("end", "backend", "auth", 403)
    assert c.closes().code == 1008
    assert g.ending()["cause"] == "backend_refused"


def test_the_gateways_own_refusal_is_told_inside(gateway, backend):
    b = backend()
    g = gateway(b.url, config={"origins": ["https://app.example.com"]})
    s = Session(g.address, headers=[("Origin", "https://evil.example.com")])
    end = s.open()
    assert (end.verb, end.who, end.reason, end.http) == ("end", "gateway", "origin", 403)
    assert not b.connections


def test_a_backend_that_cannot_be_reached_is_told_inside_with_advice(gateway, backend):
    b = backend()
    b.sock.close()
    g = gateway(b.url, config={"connect_tries": 1})
    end = Session(g.address).open()
    assert (end.verb, end.reason, end.http) == ("end", "unavailable", 502)
    assert end.retry > 0


# ---- counting and credit

def test_the_gateway_acknowledges_what_the_backend_took_within_a_second(session):
    _, s, served = session()
    s.c.give("one")
    served.expect_text("one")
    assert s.c.expect("ack", timeout=3).n == 1


def test_an_ack_comes_at_once_when_a_quarter_of_the_credit_is_used(session):
    _, s, served = session(config={"session": {"beat": "1h"}})
    s.c.give(b"x" * 16384)
    assert served.read_data().payload == b"x" * 16384
    assert s.c.expect("ack", timeout=0.7).n == 1


def test_the_gateway_beats_though_nothing_happens(session):
    _, s, _ = session(config={"session": {"beat": "200ms"}})
    for _ in range(3):
        assert s.c.expect("ack", timeout=2).n == 0


def test_a_client_that_exceeds_its_credit_breaks_the_protocol(relay):
    g, b = relay({"session": {"buffer": "4KiB"}, "limits": {"messages_per_minute": 1, "messages_burst": 1}})
    s = Session(g.address)
    c = s.knock()
    b.next().upgrade()
    s.greeted(c)
    for _ in range(6):
        s.c.give(b"x" * 1000)  # the first passes, the others wait
    end = s.c.expect("end")
    assert end.reason == "protocol"
    assert s.c.closes().code == 1002


def test_one_message_of_any_permitted_size_fits_the_credit(session):
    _, s, served = session(config={"session": {"buffer": "4KiB"}})
    big = bytes(range(256)) * 2000
    s.c.give(big)
    assert served.read_data().payload == big
    assert s.c.expect("ack").n == 1


def test_a_message_above_message_max_ends_the_session(session):
    g, s, _ = session(config={"message_max": "32KiB"})
    s.c.give(b"x" * 32769)
    end = s.c.expect("end")
    assert end.reason == "too_big"
    assert s.c.closes().code == 1009
    assert g.ending()["cause"] == "message_too_big"


def test_the_gateway_keeps_to_the_clients_credit(session):
    _, s, served = session(config={"session": {"buffer": "8KiB"}})
    for i in range(30):
        served.send_frame(BINARY, bytes([i]) * 1000)
    for i in range(8):
        assert s.message().payload == bytes([i]) * 1000
    with pytest.raises(Timeout):
        s.c.message(timeout=0.5)
    s.c.say("ack", n=8)
    for i in range(8, 16):
        assert s.message().payload == bytes([i]) * 1000


def test_a_message_of_the_backend_larger_than_the_credit_is_announced_and_sent_whole(session):
    _, s, served = session(config={"session": {"buffer": "4KiB"}})
    big = bytes(range(256)) * 4000
    served.send_frame(BINARY, big)
    coming = s.c.next()
    assert (coming.verb, coming.bytes) == ("coming", len(big))
    assert s.message().payload == big


@pytest.mark.parametrize("n,why", [(1, "beyond"), (10_000, "beyond")])
def test_an_ack_beyond_what_was_sent_breaks_the_protocol(session, n, why):
    _, s, _ = session()
    s.c.say("ack", n=n)
    assert s.c.expect("end").reason == "protocol"
    assert s.c.closes().code == 1002


def test_an_ack_that_goes_back_breaks_the_protocol(session):
    _, s, served = session()
    for text in "ab":
        served.send_text(text)
        s.message()
    s.c.say("ack", n=2)
    s.c.say("ack", n=1)
    assert s.c.expect("end").reason == "protocol"


# ---- the escape

@pytest.mark.parametrize("payload", [b"\x01", b"\x01\x01", b"\x01x", b"\x01ack n=1", b"\x01\x01bye code=1000"])
def test_a_text_that_begins_with_the_mark_passes_unchanged_both_ways(session, payload):
    _, s, served = session()
    s.c.give(payload, TEXT)
    f = served.read_data()
    assert (f.opcode, f.payload) == (TEXT, payload)
    served.send_frame(TEXT, payload)
    assert s.message().payload == payload


def test_the_escape_holds_over_fragments_and_single_bytes(session):
    _, s, served = session()
    escaped = b"\x01\x01rest"
    s.c.send(s.c.frame(TEXT, escaped[:1], fin=False) + s.c.frame(0, escaped[1:2], fin=False) + s.c.frame(0, escaped[2:]))
    served.expect_text(b"\x01rest")
    s.c.send_slowly(s.c.frame(TEXT, escaped))
    served.expect_text(b"\x01rest")
    served.send(served.frame(TEXT, b"\x01", fin=False) + served.frame(0, b"", fin=False) + served.frame(0, b"two"))
    assert s.message().payload == b"\x01two"


def test_a_text_of_the_mark_alone_breaks_the_protocol(session):
    _, s, _ = session()
    s.c.send_frame(TEXT, b"\x01")
    assert s.c.expect("end").reason == "protocol"


def test_empty_messages_and_binary_marks_are_the_applications(session):
    _, s, served = session()
    for opcode, payload in ((TEXT, b""), (BINARY, b""), (BINARY, b"\x01"), (BINARY, b"\x01ack n=9")):
        s.c.send_frame(opcode, payload)
        f = served.read_data()
        assert (f.opcode, f.payload) == (opcode, payload)
        served.send_frame(opcode, payload)
        m = s.message()
        assert (m.opcode, m.payload) == (opcode, payload)


@pytest.mark.parametrize("text", [b"\x01ack", b"\x01ack n=x", b"\x01ack n=1 n=1", b"\x01ack n=%zz", b"\x01Ack n=0", b"\x01 ack n=0"])
def test_a_control_message_that_cannot_be_read_breaks_the_protocol(session, text):
    _, s, _ = session()
    s.c.send_frame(TEXT, text)
    assert s.c.expect("end").reason == "protocol"


def test_verbs_and_keys_of_a_later_version_are_ignored(session):
    _, s, served = session()
    s.c.send_frame(TEXT, b"\x01dance step=1")
    s.c.send_frame(TEXT, b"\x01ack n=0 colour=blue")
    s.c.give("x")
    served.expect_text("x")


# ---- rates, heartbeats, a backend that does not read

def test_a_rate_limit_delays_and_withholds_the_ack_but_the_client_is_still_read(relay):
    g, b = relay({"limits": {"messages_per_minute": 60, "messages_burst": 1}, "session": {"beat": "1h"}})
    s = Session(g.address)
    c = s.knock()
    served = b.next()
    served.upgrade()
    s.greeted(c)
    s.c.give("one")
    s.c.give("two")
    served.expect_text("one")
    s.c.send_frame(9, b"are you there")
    while True:
        f = s.c.read_frame()
        if f.opcode == 10:
            break
        assert b"n=2" not in f.payload
    served.expect_text("two", timeout=3)
    wait_for(lambda: s.c.expect("ack").n == 2 or None, "the ack of the second", 5)


def test_an_application_heartbeat_is_answered_at_the_edge_and_counts_both_ways(session):
    _, s, served = session(config={"app_heartbeat": {"match": '{"type":"ping"}', "answer": '{"type":"pong"}'}})
    s.c.give('{"type":"ping"}')
    assert s.message().payload == b'{"type":"pong"}'
    s.c.give("real")
    served.expect_text("real")
    s.cut()
    hello = s.resume()
    assert (hello.received, hello.sent) == (2, 1)


def test_a_backend_that_reads_nothing_makes_the_queue_wait_and_nothing_is_lost(relay, backend, gateway):
    b = backend(receive_buffer=4096)
    g = gateway(b.url, config={"send_timeout": "1m"})
    s = Session(g.address)
    c = s.knock()
    served = b.next()
    served.upgrade()
    s.greeted(c)
    sent, acked = 0, 0
    payload = b"x" * 4000
    for _ in range(2000):
        while (sent + 1 - acked) * (len(payload) + 16) > 65536:
            try:
                acked = s.c.expect("ack", timeout=0.6).n
            except Timeout:
                break
        else:
            s.c.give(sent.to_bytes(4, "big") + payload[4:])
            sent += 1
            continue
        break
    assert 10 < sent < 2000
    s.cut()
    hello = s.resume()
    assert (hello.resumed, hello.received) == (1, sent)
    for i in range(sent):
        assert served.read_data().payload[:4] == i.to_bytes(4, "big")


def test_the_backends_pings_are_answered_while_its_client_is_away(session):
    _, s, served = session()
    s.cut()
    served.send_frame(9, b"parked?")
    f = served.read_frame()
    while f.opcode == 9:
        f = served.read_frame()
    assert (f.opcode, f.payload) == (10, b"parked?")


def test_a_chatty_backend_is_not_read_beyond_park_bytes_and_nothing_is_lost(session):
    g, s, served = session(config={"session": {"park_bytes": "64KiB", "buffer": "16KiB"}})
    import threading
    s.cut()
    wait_for(lambda: g.sessions()[0]["state"] == "parked" or None, "the session to be parked")
    count = 3000
    sender = threading.Thread(target=lambda: [served.send_frame(BINARY, i.to_bytes(4, "big") + b"y" * 4000) for i in range(count)],
                              daemon=True)
    sender.start()
    wait_for(lambda: g.sessions()[0]["journal_bytes"] > 60_000 or None, "the journal to fill")
    assert g.sessions()[0]["journal_bytes"] < 200_000
    s.resume()
    for i in range(count):
        assert s.message(timeout=20).payload[:4] == i.to_bytes(4, "big")
        if i % 3 == 2:
            s.c.say("ack", n=s.received)
    sender.join(10)


def test_a_backend_that_is_not_read_is_looked_at_so_that_its_pings_are_answered(session):
    g, s, served = session(config={"session": {"park_bytes": "1KiB"}, "heartbeat": {"interval": "0"}})
    s.cut()
    wait_for(lambda: g.sessions()[0]["state"] == "parked" or None, "the session to be parked")
    for i in range(4):
        served.send_text(f"{i}" + "x" * 600)
    wait_for(lambda: g.sessions()[0]["backend"]["held"] or None, "the backend not to be read")
    served.send_frame(9, b"anybody?")
    f = served.read_frame(timeout=9)
    assert (f.opcode, f.payload) == (10, b"anybody?")
    s.resume()
    for i in range(4):
        assert s.message().payload[:1] == str(i).encode()


def test_heartbeats_of_a_client_that_takes_no_answer_end_its_session(session):
    beat = {"app_heartbeat": {"match": '{"type":"ping"}', "answer": '{"type":"pong"}'}, "session": {"buffer": "16KiB"}}
    g, s, _ = session(config=beat)
    for _ in range(4000):
        s.c.give('{"type":"ping"}')
    while True:
        thing = s.c.next()
        if getattr(thing, "verb", None) == "end":
            break
    assert thing.reason == "overflow"
    assert g.ending()["messages_client"] < 2500


def test_a_large_message_is_announced_once_however_long_it_waits(session):
    g, s, served = session(config={"session": {"buffer": "16MiB"}})
    served.send_frame(BINARY, b"a" * 12_000_000)  # more than the sockets on its way hold
    served.send_frame(BINARY, b"b" * 70_000)
    for i in range(200):
        served.send_text(f"{i}")
    wait_for(lambda: g.sessions()[0]["sent"] == 202 or None, "the gateway to have all of them")
    announced = []
    while s.received < 202:
        thing = s.c.next()
        if getattr(thing, "verb", None) == "coming":
            announced.append(thing.bytes)
        s.received += not hasattr(thing, "verb")
    assert announced == [12_000_000, 70_000]


# ---- drain

def test_a_drain_says_goaway_first_and_then_ends_the_session(session):
    import signal
    g, s, served = session(config={"drain": "1s"})
    g.process.signal(signal.SIGTERM)
    goaway = s.c.expect("goaway")
    assert 0 <= getattr(goaway, "in") <= 1000
    end = s.c.expect("end")
    assert (end.who, end.reason) == ("gateway", "drain")
    assert s.c.closes().code == 1012
    served.expect_close(1001)


def test_a_client_that_says_bye_and_is_lost_has_its_messages_delivered_all_the_same(session):
    _, s, served = session(config={"limits": {"messages_per_minute": 60, "messages_burst": 1}})
    s.c.give("one")
    s.c.give("two")  # a second later
    s.c.say("bye", code=4321, reason="done")
    served.expect_text("one")
    s.cut()
    served.expect_text("two", timeout=3)
    served.expect_close(4321)


# ---- several workers

def test_a_session_is_found_from_every_worker(relay):
    g, b = relay(workers=4)
    sessions = []
    for i in range(12):
        s = Session(g.address)
        c = s.knock()
        served = b.next()
        served.upgrade()
        assert s.greeted(c).resumed == 0
        sessions.append((s, served))
    for i, (s, served) in enumerate(sessions * 3):
        s.cut()
        served.send_text(f"round {i}")
        assert s.resume().resumed == 1
        assert s.message().payload == f"round {i}".encode()
    assert len(b.connections) == 12


# ---- a backend that comes back

HOLD = {"on_backend_loss": "hold", "hold": {"backoff_max": "100ms"}, "heartbeat": {"interval": "100ms", "timeout": "5s"}}


def pongs(peer, count=1):
    """Answers so many pings of the gateway."""
    while count:
        f = peer.read_frame()
        if f.opcode == 9:
            peer.send_frame(10, f.payload)
            count -= 1


def test_a_client_is_held_while_its_backend_restarts_and_nothing_is_written_twice(session):
    g, s, served = session(config=HOLD)
    s.c.give("before")
    served.expect_text("before")
    served.reset()
    s.c.give("meanwhile")
    again = s.backend.next().upgrade()
    again.expect_text("meanwhile")
    rebound = s.c.expect("rebound")
    assert (getattr(rebound, "from"), rebound.to, rebound.attempt) == (0, 1, 1)
    again.send_text("I am back")
    assert s.message().payload == b"I am back"
    assert g.sessions()[0]["state"] == "attached"


def test_rebound_says_what_the_backend_had_read_five_seconds_before_it_was_last_heard_of(session):
    _, s, served = session(config={**HOLD, "heartbeat": {"interval": "100ms", "timeout": "20s"}})
    s.c.give("read for certain")
    served.expect_text("read for certain")
    begun = time.monotonic()
    while time.monotonic() < begun + 5.5:
        pongs(served, 2)
    s.c.give("perhaps not")
    served.expect_text("perhaps not")
    served.send_close(1012)
    s.backend.next().upgrade()
    rebound = s.c.expect("rebound")
    assert (getattr(rebound, "from"), rebound.to) == (1, 2)


def test_a_parked_client_learns_of_the_rebound_behind_what_was_sent_before_it(session):
    _, s, served = session(config=HOLD)
    s.cut()
    served.send_text("from the first")
    pongs(served)
    served.reset()
    again = s.backend.next().upgrade()
    again.send_text("from the second")
    pongs(again)
    hello = s.resume()
    assert (hello.resumed, hello.sent) == (1, 2)
    assert s.message().payload == b"from the first"
    assert s.c.expect("rebound").attempt == 1
    assert s.message().payload == b"from the second"


def test_a_close_that_is_the_applications_word_is_not_held(session):
    _, s, served = session(config=HOLD)
    served.send_close(4400, "mine")
    assert s.c.closes().code == 4400


def test_the_prologue_goes_first_and_its_replies_are_not_counted(session):
    config = {**HOLD, "on_backend_loss": "prologue",
              "prologue": {"match": ['{"type":"subscribe"'], "drop_replies": 1, "wait": "30s"}}
    _, s, served = session(config=config)
    s.c.give('{"type":"subscribe","to":1}')
    s.c.give("other")
    served.expect_text('{"type":"subscribe","to":1}')
    served.expect_text("other")
    served.send_text("subscribed")
    assert s.message().payload == b"subscribed"
    served.reset()
    s.c.give("waits")
    again = s.backend.next().upgrade()
    again.expect_text('{"type":"subscribe","to":1}')
    again.send_text("subscribed again")
    again.expect_text("waits")
    again.send_text("news")
    s.c.expect("rebound")
    assert s.message().payload == b"news"
    s.cut()
    assert s.resume().sent == 2


def test_a_backend_that_refuses_afterwards_ends_the_session_as_gone(session):
    g, s, served = session(config=HOLD)
    served.reset()
    s.backend.next().answer(403)
    end = s.c.expect("end")
    assert (end.who, end.reason) == ("backend", "backend_gone")
    assert s.c.closes().code == 1012
    assert g.ending()["cause"] == "backend_gone"


def test_a_backend_that_does_not_come_back_in_time_is_told_as_lost(session):
    g, s, _ = session(config={**HOLD, "hold": {"time": "300ms"}})
    s.backend.stop()
    end = s.c.expect("end")
    assert (end.who, end.reason) == ("backend", "backend_lost")
    assert s.c.closes().code == 1012
    assert g.ending()["cause"] == "hold_expired"


# ---- who may come back

def with_token(s, token, path="/ws"):
    s.path = f"{path}?token={token}"
    return s


@pytest.fixture
def guarded(gateway, backend, keys):
    """A session on a route that asks for tokens: (gateway, session, backend's end)."""
    def start(token, config=None):
        b = backend()
        g = gateway(b.url, config={"auth": "jwt", "jwt": {"keys": [{"alg": "HS256", "file": str(keys.private["HS256"])}], "leeway": "0s"},
                                   **(config or {})})
        s = Session(g.address, f"/ws?token={token}")
        c = s.knock()
        served = b.next()
        served.upgrade()
        assert s.greeted(c).verb == "hello"
        s.backend = b
        return g, s, served
    return start


def test_a_resume_by_another_principal_is_no_resume(guarded, keys):
    _, s, served = guarded(token(keys, sub="alice"))
    served.send_text("for alice alone")
    s.cut()
    c = with_token(s, token(keys, sub="mallory")).knock_again()
    s.backend.next().upgrade()
    hello = s.greeted(c)
    assert (hello.resumed, hello.reason, hello.sent) == (0, "auth", 0)


def test_a_resume_without_credentials_is_refused_and_never_a_new_session(guarded, keys):
    _, s, _ = guarded(token(keys, sub="alice"))
    s.cut()
    s.path = "/ws"
    end = s.resume()
    assert (end.verb, end.who, end.reason, end.http) == ("end", "gateway", "auth", 401)
    assert s.backend.accepted == 1


def test_an_opening_secret_joins_nobody_for_another_principal(guarded, keys):
    _, s, _ = guarded(token(keys, sub="alice"))
    other = Session(s.address, f"/ws?token={token(keys, sub='mallory')}")
    other.secret = s.secret
    c = other.knock()
    s.backend.next().upgrade()
    assert other.greeted(c).resumed == 0


def test_fresh_credentials_in_band_move_the_expiry(guarded, keys):
    _, s, served = guarded(token(keys, sub="alice", lives=2))
    fresh = token(keys, sub="alice", lives=3600)
    s.c.say("auth", value=fresh)
    ok = s.c.expect("auth-ok")
    assert ok.exp > time.time() + 3000
    over = time.time() + 2.5
    wait_for(lambda: time.time() > over or None, "the first token to be over")
    s.c.give("still here")
    served.expect_text("still here")


def test_a_session_never_outlives_its_newest_credential(guarded, keys):
    g, s, _ = guarded(token(keys, sub="alice", lives=2))
    end = s.c.expect("end", timeout=5)
    assert end.reason == "auth"
    assert s.c.closes().code == 4401
    assert g.ending()["cause"] == "token_expired"


def test_fresh_credentials_of_another_principal_end_the_session(guarded, keys):
    _, s, _ = guarded(token(keys, sub="alice"))
    s.c.say("auth", value=token(keys, sub="mallory"))
    assert s.c.expect("end").reason == "auth"


def test_another_backend_is_asked_with_the_newest_credentials_though_the_first_are_over(guarded, keys):
    first = token(keys, sub="alice", lives=2)
    _, s, served = guarded(first, config={**HOLD, "heartbeat": {"interval": "0"}})
    assert first in served.head.target
    over = time.time() + 2.5
    fresh = token(keys, sub="alice", lives=3600)
    s.c.say("auth", value=fresh)
    s.c.expect("auth-ok")
    wait_for(lambda: time.time() > over or None, "the first token to be over")
    served.reset()
    again = s.backend.next()
    assert fresh in again.head.target
    again.upgrade().reset()
    s.cut()
    third = s.backend.next().upgrade()
    newest = token(keys, sub="alice", lives=7200)
    assert with_token(s, newest).resume().resumed == 1
    third.reset()
    assert newest in s.backend.next().head.target


def test_the_application_is_asked_again_about_fresh_credentials(gateway, backend):
    seen = []

    def script(served):
        seen.append(served.head)
        served.answer(403 if served.head.get("authorization") == "Bearer bad" else 204, b"", [("X-Auth-Subject", "carol")])
        served.read_end()
    ask, b = backend(script), backend()
    g = gateway(b.url, config={"auth": "callout", "callout": {"url": ask.url + "/auth"}})
    s = Session(g.address)
    c = s.knock()
    b.next().upgrade()
    assert s.greeted(c).verb == "hello"
    s.c.say("auth", value="good")
    assert s.c.expect("auth-ok").exp == 0
    assert seen[-1].all("authorization") == ["Bearer good"]
    s.c.say("auth", value="bad")
    assert s.c.expect("end").reason == "auth"


def test_another_backend_gets_what_the_application_said_of_the_newest_credentials(gateway, backend):
    def script(served):
        who = served.head.get("authorization") or "nobody"
        served.answer(204, b"", [("X-Auth-Subject", "carol"), ("X-Auth-Plan", who[-5:])])
        served.read_end()
    ask, b = backend(script), backend()
    g = gateway(b.url, config={**HOLD, "auth": "callout", "callout": {"url": ask.url + "/auth", "copy": ["X-Auth-Plan"]}})
    s = Session(g.address, headers=[("Authorization", "Bearer first")])
    c = s.knock()
    served = b.next().upgrade()
    assert (served.head.all("authorization"), served.head.all("x-auth-plan")) == (["Bearer first"], ["first"])
    s.greeted(c)
    s.c.say("auth", value="fresh")
    s.c.expect("auth-ok")
    served.reset()
    again = b.next()
    assert (again.head.all("authorization"), again.head.all("x-auth-plan")) == (["Bearer fresh"], ["fresh"])


def test_a_resume_takes_the_place_of_a_connection_in_the_limits(relay):
    g, b = relay({"limits": {"address_connections": 1}})
    s = Session(g.address)
    c = s.knock()
    b.next().upgrade()
    s.greeted(c)
    s.cut()
    assert s.resume().resumed == 1
    end = Session(g.address).open()
    assert (end.verb, end.reason, end.http) == ("end", "limit", 429)


def test_a_resume_that_comes_to_nothing_gets_no_session_beyond_a_limit(relay):
    g, b = relay({"limits": {"address_connections": 1}})
    s = Session(g.address)
    c = s.knock()
    b.next().upgrade()
    s.greeted(c)
    end = s.greeted(s.knock_again(epoch=s.epoch + 1))  # the token is good: it would take the place of its own
    assert (end.verb, end.reason, end.http) == ("end", "limit", 429)
    assert b.accepted == 1


def test_a_goodbye_whose_connection_is_lost_still_brings_what_was_before_it(relay):
    g, b = relay({"limits": {"messages_per_minute": 60, "messages_burst": 1}})
    s = Session(g.address)
    c = s.knock()
    served = b.next().upgrade()
    s.greeted(c)
    s.c.send(s.c.frame(TEXT, "first") + s.c.frame(TEXT, "waits a second") + s.c.frame(TEXT, b"\x01bye code=1000"))
    served.expect_text("first")
    s.c.fin()
    served.expect_text("waits a second")
    served.expect_close(1000)


# ---- caps

def test_the_one_that_waited_longest_makes_room_for_another_of_its_address(relay):
    g, b = relay({"session": {"parked_per_address": 2}}, workers=1)
    sessions = []
    for _ in range(3):
        s = Session(g.address)
        c = s.knock()
        b.next().upgrade()
        s.greeted(c)
        sessions.append(s)
        wait_for(lambda: g.metric("holdfast_sessions", state="attached") >= 1 or None, "it to be attached")
        s.cut()
        wait_for(lambda: g.metric("holdfast_sessions", state="attached") == 0 or None, "it to be parked")
    assert g.ending()["cause"] == "session_limit"
    assert sessions[1].resume().resumed == 1 and sessions[2].resume().resumed == 1
    c = sessions[0].knock_again()
    b.next().upgrade()
    assert sessions[0].greeted(c).reason == "expired"


def test_what_one_address_lets_wait_is_bounded_in_bytes(relay):
    g, b = relay({"session": {"parked_bytes_per_address": "200KiB"}}, workers=1)
    ends = []
    for i in range(2):
        s = Session(g.address)
        c = s.knock()
        served = b.next().upgrade()
        s.greeted(c)
        s.cut()
        ends.append((s, served))
    wait_for(lambda: g.metric("holdfast_sessions", state="parked") == 2 or None, "both to be parked")
    ends[0][1].send_frame(BINARY, b"x" * 150_000)
    ends[1][1].send_frame(BINARY, b"x" * 100_000)
    assert g.ending()["cause"] == "session_overflow"
    assert ends[1][0].resume().resumed == 1
    c = ends[0][0].knock_again()
    b.next().upgrade()
    hello = ends[0][0].greeted(c)
    assert (hello.reason, hello.old_received) == ("overflow", 0)


def test_all_sessions_together_keep_to_the_session_memory(relay):
    g, b = relay({"session": {"memory": "1MiB"}}, workers=1)
    served = []
    for _ in range(6):
        s = Session(g.address)
        c = s.knock()
        served.append(b.next().upgrade())
        s.greeted(c)
        s.cut()
    wait_for(lambda: g.metric("holdfast_sessions", state="parked") == 6 or None, "all to be parked")
    for end in served:
        end.send_frame(BINARY, b"x" * 300_000)
    ends = g.wait_endings(3)
    assert {e["cause"] for e in ends} == {"session_overflow"}
    wait_for(lambda: g.metric("holdfast_session_held_bytes") <= 1 << 20 or None, "the memory to be kept to")


def test_large_messages_count_against_the_session_memory_in_full(relay):
    g, b = relay({"session": {"memory": "2MiB"}}, workers=1)
    served = []
    for _ in range(5):
        s = Session(g.address)
        c = s.knock()
        served.append(b.next().upgrade())
        s.greeted(c)
        s.cut()
    wait_for(lambda: g.metric("holdfast_sessions", state="parked") == 5 or None, "all to be parked")
    for end in served:
        end.send_frame(BINARY, b"x" * 900_000)
    ends = g.wait_endings(3)
    assert {e["cause"] for e in ends} == {"session_overflow"}
    wait_for(lambda: 0 < g.metric("holdfast_session_held_bytes") <= 2 << 20 or None, "the memory to be kept to")


def test_messages_that_are_not_whole_count_to_the_session_memory_too(relay):
    g, b = relay({"session": {"memory": "1MiB"}, "message_max": "900KiB"}, workers=1)
    sessions = []
    for _ in range(4):
        s = Session(g.address)
        c = s.knock()
        b.next().upgrade()
        s.greeted(c)
        sessions.append(s)
    lost = 0
    for s in sessions:
        try:
            s.c.send(s.c.frame(BINARY, b"x" * 800_000)[:-1])  # the last byte never comes
        except OSError:
            lost += 1
    wait_for(lambda: g.metric("holdfast_session_connections_lost_total", cause="out_of_resources") >= 1 or None,
             "one to be let go")
    assert g.metric("holdfast_session_passing_bytes") <= (1 << 20) * 5 // 4
    assert g.metric("holdfast_sessions") == 4


# ---- poison

def test_a_message_that_costs_ten_connections_ends_the_session(session):
    g, s, served = session()
    served.send_text("good")
    assert s.message().payload == b"good"
    s.c.say("ack", n=1)
    served.send_text("poison")
    for _ in range(9):
        s.c.message()  # it came, and killed the client before it was counted
        s.cut()
        assert s.resume().resumed == 1
    s.c.message()
    s.cut()
    c = s.knock_again()
    s.backend.next().upgrade()
    hello = s.greeted(c)
    assert (hello.resumed, hello.reason) == (0, "poison")
    assert g.ending()["cause"] == "session_poison"


# ---- what people see

def test_a_session_shows_itself_and_no_secret_of_it(session):
    g, s, served = session()
    s.c.give("x")
    served.expect_text("x")
    served.send_text("y")
    s.message()
    shown = g.sessions()[0]
    assert (shown["state"], shown["transport"], shown["received"], shown["sent"], shown["acknowledged"]) == \
        ("attached", "websocket", 1, 1, 0)
    assert g.metric("holdfast_session_messages_at_risk") == 1
    s.cut()
    wait_for(lambda: g.metric("holdfast_sessions", state="parked") == 1 or None, "the session to be parked")
    old = s.token
    s.resume()
    assert g.metric("holdfast_session_resumes_total", outcome="ok") == 1
    g.never_shown(s.token, old, s.key, s.secret)


def test_a_backend_that_asks_is_told_which_session_it_serves_and_nobody_else_says_it(session):
    _, s, served = session(config={**HOLD, "session": {"header": "X-Holdfast-Session"}},
                           headers=[("X-Holdfast-Session", "forged"), ("x_holdfast_session", "forged")])
    assert served.head.all("x-holdfast-session") == [s.hello.session]
    assert served.head.get("x_holdfast_session") is None
    served.reset()
    assert s.backend.next().head.all("x-holdfast-session") == [s.hello.session]


def test_connections_that_were_lost_are_counted_by_cause(session):
    g, s, _ = session()
    s.cut()
    s.resume()
    assert g.metric("holdfast_session_connections_lost_total", cause="client_reset") == 1


def test_a_session_resumes_over_tls_at_every_worker(gateway, backend, authority, tmp_path):
    b = backend()
    cert, key = authority.leaf("app.test")
    g = gateway(b.url, config={"tls": {"cert": str(cert), "key": str(key)}}, workers=3)
    s = Session(g.address, tls=authority.client_context(), server_name="app.test")
    c = s.knock()
    served = b.next().upgrade()
    s.greeted(c)
    for i in range(10):
        s.c.sock.close()
        served.send_text(f"round {i}")
        assert s.resume().resumed == 1
        assert s.message().payload == f"round {i}".encode()


def test_a_route_without_sessions_relays_and_hides_the_offers(gateway, backend):
    b = backend()
    g = gateway(b.url, config={"session": {"enabled": False}})
    c = g.client()
    from harness.raw import request
    c.send(request(headers=[("Sec-WebSocket-Protocol", f"hf1, hf1.o.{secret()}, chat")]))
    served = b.next()
    assert served.head.get("sec-websocket-protocol") == "chat"
    served.upgrade([("Sec-WebSocket-Protocol", "chat")])
    assert c.read_head().get("sec-websocket-protocol") == "chat"
