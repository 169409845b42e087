# SPDX-License-Identifier: Apache-2.0
"""Sessions that outlive connections (docs/protocol.md), with a client and a backend that are driven by hand."""
import pytest

from harness.hf1 import Connection, Session, secret
from harness.process import wait_for
from harness.raw import BINARY, TEXT, Timeout

STATES = "/api/sessions"


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
