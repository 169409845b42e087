# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 section 7: closing, from either side, and failing the connection."""
import array
import fcntl
import signal
import termios
import threading
import time

import pytest

from harness.process import wait_for
from harness.raw import BINARY, CLOSE, CONT, PING, TEXT, close_payload
from stage import BAD_CODES, CODES_OF_RFC_6455, GOOD_CODES

AT_ONCE = 1.2  # seconds: well below the 2 s that the gateway waits for a peer


# ---- 7.1.1 Close the WebSocket connection

def test_7_1_1_after_a_handshake_that_the_client_began_the_gateway_ends_the_clients_tcp_first_and_at_once(stage):
    s = stage.open("client")
    s.put(s.frame(CLOSE, close_payload(1000)))
    s.own_close(s.client, 1000)
    assert s.client.read_end(AT_ONCE) == b""


def test_7_1_1_after_a_handshake_that_the_backend_began_the_gateway_ends_the_clients_tcp_first_and_at_once(stage):
    s = stage.open("backend")
    s.put(s.frame(CLOSE, close_payload(1000)))
    s.own_close(s.client, 1000)
    s.client.send_close(1000)
    assert s.client.read_end(AT_ONCE) == b""


def test_7_1_1_the_gateway_lets_the_backend_end_its_tcp_first(stage):
    s = stage.open("client")
    s.put(s.frame(CLOSE, close_payload(1000)))
    s.own_close(s.served, 1000)
    s.served.send_close(1000)
    s.served.silent(0.3)
    s.served.fin()
    assert s.served.read_end(AT_ONCE) == b""


def test_7_1_1_a_backend_that_does_not_end_its_tcp_is_given_two_seconds(stage):
    s = stage.open("client")
    begun = time.monotonic()
    s.put(s.frame(CLOSE, close_payload(1000)))
    s.own_close(s.served, 1000)
    s.served.send_close(1000)
    assert s.served.read_end(4) == b""
    assert 1.0 < time.monotonic() - begun < 3.0


# ---- 7.1.2 and 7.1.4: the closing handshake

def test_7_1_2_a_side_that_never_answers_a_close_is_given_two_seconds(sides):
    s = sides()
    begun = time.monotonic()
    s.put(s.frame(CLOSE, close_payload(1000, "bye")))
    s.own_close(s.sender, 1000)
    s.own_close(s.receiver, 1000, b"bye")
    assert s.receiver.read_end(4) == b""
    assert 1.0 < time.monotonic() - begun < 3.0


def test_7_1_2_the_close_comes_behind_everything_that_was_sent_before_it(sides):
    s = sides()
    data = b"".join(s.frame(BINARY, bytes([i]) * 5000) for i in range(60))
    s.put(data + s.frame(CLOSE, close_payload(1000, "all said"))).arrives(data)
    s.own_close(s.receiver, 1000, b"all said")


def test_7_1_4_both_sides_may_send_their_close_at_the_same_time(stage):
    s = stage.open()
    s.client.send_close(4001, "client")
    s.served.send_close(4002, "backend")
    assert s.client.read_frame().opcode == CLOSE
    assert s.served.read_frame().opcode == CLOSE
    assert s.client.read_end(AT_ONCE) == b""
    s.served.fin()
    assert s.served.read_end(AT_ONCE) == b"", "each side gets one Close"


def test_7_1_4_a_conforming_backend_and_client_close_cleanly(stage):
    client = stage.echo()
    client.send_text("last")
    client.expect_text("last")
    client.send_close(1000, "done")
    client.expect_close(1000, "done")
    assert client.read_end(AT_ONCE) == b""


def test_7_1_4_a_close_waits_for_the_end_of_a_frame_that_is_open(sides):
    """The sender closes while it is itself half through with getting a frame."""
    s = sides()
    data = s.receiver.frame(BINARY, b"y" * 2000)
    s.receiver.send(data[:1000])
    assert s.sender.take(1000) == data[:1000]
    s.put(s.frame(CLOSE, close_payload(1000)))
    s.own_close(s.receiver, 1000)
    s.receiver.send(data[1000:])
    s.receiver.send_close(1000)
    assert s.sender.take(len(data) - 1000) == data[1000:]
    s.own_close(s.sender, 1000)


# ---- 7.1.5 and 7.1.6: code and reason

@pytest.mark.parametrize("code", GOOD_CODES)
def test_7_1_5_a_close_code_is_carried_to_the_other_side(sides, code):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(code)))
    f = s.own_close(s.receiver, code)
    assert f.payload == close_payload(code)
    s.own_close(s.sender, code)


def test_7_1_5_no_code_is_carried_as_an_empty_close(sides, chop):
    s = sides()
    s.put(s.frame(CLOSE), chop)
    assert s.own_close(s.receiver, 1005).payload == b""
    assert s.own_close(s.sender, 1005).payload == b"", "and answered with one"


@pytest.mark.parametrize("reason", ["r", "Normal Closure", "Grüße, κόσμε 𝄞 \0", "r" * 122, "r" * 123, "é" * 61],
                         ids=["one", "ascii", "utf8", "122", "123", "two-byte"])
def test_7_1_6_a_reason_is_carried_byte_for_byte(sides, reason, chop):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(1000, reason)), chop)
    assert s.own_close(s.receiver, 1000).payload == close_payload(1000, reason)
    assert s.own_close(s.sender, 1000).payload[:2] == close_payload(1000)


def test_7_1_6_a_reason_of_124_bytes_does_not_fit_into_a_control_frame(sides):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(1000, b"r" * 124))).refused()


def test_7_1_6_the_reasons_of_the_gateway_are_short_utf8(sides):
    s = sides()
    s.put(s.frame(3, "reserved opcode"))
    for peer, code in ((s.sender, 1002), (s.receiver, s.lost_code)):
        f = s.own_close(peer, code)
        assert len(f.payload) <= 125 and f.payload[2:].decode("utf-8") is not None


# ---- 7.1.7 Fail the WebSocket connection

def test_7_1_7_a_connection_that_failed_is_told_why_and_ended_at_once(sides):
    s = sides()
    s.put(s.frame(TEXT, "x", rsv=2))
    f = s.own_close(s.sender, 1002)
    assert f.payload[2:], "the reason says what was wrong"
    assert s.sender.read_end(AT_ONCE) == b""


def test_7_1_7_nothing_more_of_a_failed_side_is_processed_not_even_a_close(sides):
    s = sides()
    s.put(s.frame(5) + s.frame(TEXT, "never") + s.frame(PING, "never") + s.frame(CLOSE, close_payload(4000, "never"))).refused()


def test_7_1_7_data_that_comes_behind_the_failure_does_not_reset_the_close_away(sides):
    s = sides()
    s.put(s.frame(3))
    for _ in range(20):
        s.put(s.frame(BINARY, b"x" * 10000))
    s.refused()


def test_7_1_7_a_failure_within_a_fragmented_message_ends_it_unfinished(sides):
    s = sides()
    first = s.frame(TEXT, "never finished", fin=False)
    s.put(first).arrives(first).put(s.frame(TEXT, "another")).refused()


FAULTS = {"opcode": (3, b"x", 1002), "control-length": (PING, b"x" * 200, 1002), "code": (CLOSE, close_payload(1005), 1002),
          "reason": (CLOSE, close_payload(1000, b"\xff"), 1007), "one-byte": (CLOSE, b"x", 1002), "continuation": (CONT, b"x", 1002)}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("before", [0, 65530, 131070, 300_000])
def test_7_1_7_whatever_comes_in_one_packet_with_a_fault_the_ending_is_the_same(sides, fault, before):
    """The fault stands anywhere in what the gateway reads at once, with more behind it than it reads at once."""
    opcode, payload, code = FAULTS[fault]
    s = sides()
    good = s.frame(BINARY, b"x" * before) if before else b""
    reader = threading.Thread(target=s.put, args=(good + s.frame(opcode, payload) + s.frame(BINARY, b"never" * 60_000),), daemon=True)
    reader.start()
    s.arrives(good).refused(code)
    reader.join(10)


def test_7_1_7_a_fault_at_the_beginning_of_as_much_as_can_be_read_at_once(stage, sides):
    """The gateway stands still until its receive queue, widened by what came before, is full."""
    s = sides("raw-64m")
    wide = s.frame(BINARY, b"x" * (8 << 20), **({"mask": bytes(4)} if s.sender_is_client else {}))
    sender = threading.Thread(target=s.put, args=(wide,), daemon=True)
    sender.start()
    s.arrives(wide)
    sender.join(10)
    stage.gateway.process.signal(signal.SIGSTOP)
    try:
        sender = threading.Thread(target=s.put, args=(s.frame(3, b"x" * 2_000_000),), daemon=True)
        sender.start()
        wait_for(standstill(s.sender.sock, sender), "as much as fits is sent", every=0.02)
    finally:
        stage.gateway.process.signal(signal.SIGCONT)
    s.refused()
    sender.join(10)
    stage.open().still_open()


def standstill(sock, sender):
    """A condition: all was sent, or as many bytes wait to be acknowledged as the last time that it was asked."""
    seen = []

    def is_still():
        left = array.array("i", [0])
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left)
        seen.append(left[0])
        return seen[-2:-1] == [left[0]] and (left[0] > 0 or not sender.is_alive())
    return is_still


def test_7_1_7_a_fault_is_told_behind_the_end_of_a_frame_that_is_open(sides):
    """The sender breaks a rule while it is itself half through with getting a frame."""
    s = sides()
    data = s.receiver.frame(BINARY, b"y" * 2000)
    s.receiver.send(data[:1000])
    assert s.sender.take(1000) == data[:1000]
    s.put(s.frame(3, "x"))
    s.own_close(s.receiver, s.lost_code)
    s.receiver.send(data[1000:])
    assert s.sender.take(len(data) - 1000) == data[1000:]
    s.own_close(s.sender, 1002)
    assert s.sender.read_end() == b""


def test_7_1_7_a_fault_within_a_frame_that_the_other_side_never_ends_is_told_by_the_end_of_tcp(sides):
    s = sides()
    data = s.receiver.frame(BINARY, b"y" * 2000)
    s.receiver.send(data[:1000])
    assert s.sender.take(1000) == data[:1000]
    s.put(s.frame(3, "x"))
    s.own_close(s.receiver, s.lost_code)
    s.receiver.fin()
    assert s.sender.read_end(3) == b""


@pytest.mark.parametrize("late", ["fault", "data", "ping", "half"])
def test_7_1_7_a_side_that_breaks_a_rule_instead_of_answering_a_close_is_ended(sides, late):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(1000)))
    s.own_close(s.receiver, 1000)
    other = s.receiver
    other.send({"fault": other.frame(3, b"x"), "data": other.frame(TEXT, "late") * 3, "ping": other.frame(PING, "late"),
                "half": other.frame(BINARY, b"x" * 500)[:100]}[late])
    other.fin()
    assert other.read_end(3) == b"", "after its Close the gateway sends nothing"
    s.own_close(s.sender, 1000)


# ---- 7.2 Abnormal closures

def test_7_2_1_a_side_that_loses_its_tcp_leaves_the_other_a_close_that_says_so(sides):
    s = sides()
    data = s.frame(TEXT, "last words")
    s.put(data)
    s.sender.fin()
    s.arrives(data)
    s.own_close(s.receiver, s.lost_code)
    s.goes(s.receiver)


def test_7_2_1_a_side_that_is_reset_leaves_the_other_a_close_that_says_so(sides):
    s = sides()
    s.sender.reset()
    s.own_close(s.receiver, s.lost_code)
    s.goes(s.receiver)


def test_7_2_1_a_side_that_is_lost_in_the_middle_of_a_frame_leaves_the_other_the_end_of_tcp_alone(sides):
    s = sides()
    half = s.frame(BINARY, b"z" * 1000)[:600]
    s.put(half).arrives(half)
    s.sender.fin()
    assert s.receiver.read_end() == b""


def test_7_2_1_a_head_that_was_cut_off_reaches_nobody(sides):
    s = sides()
    s.put(s.frame(BINARY, b"z" * 300)[:3])
    s.sender.fin()
    s.own_close(s.receiver, s.lost_code)
    s.goes(s.receiver)


def test_7_2_1_after_its_own_close_a_side_may_lose_its_tcp_without_more_ado(sides):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(4000, "gone")))
    s.sender.reset()
    s.own_close(s.receiver, 4000, b"gone")
    s.goes(s.receiver)


# ---- 7.3 Normal closure

@pytest.mark.parametrize("behind", [b"", b"more"])
def test_7_3_each_side_may_begin_the_closing_handshake_at_any_time(sides, behind):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(1000)) + behind)
    s.own_close(s.sender, 1000)
    s.own_close(s.receiver, 1000)
    s.goes(s.receiver)


# ---- 7.4 Status codes

@pytest.mark.parametrize("code", CODES_OF_RFC_6455)
def test_7_4_1_the_codes_of_the_section_are_taken_bytewise_too(sides, code):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(code, "why")), 1)
    s.own_close(s.receiver, code, b"why")


@pytest.mark.parametrize("code", BAD_CODES)
def test_7_4_2_a_code_that_no_endpoint_may_send_fails_the_connection(sides, code):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(code, "why")), 0 if code % 2 else 1).refused()


def test_7_4_1_the_gateway_never_sends_a_code_that_is_only_for_reports(sides):
    """Nothing that happens to one side makes the other see 1005, 1006 or 1015."""
    def lost(s):
        s.sender.reset()

    def failed(s):
        s.put(s.frame(15))

    def cut(s):
        s.put(s.frame(TEXT, "x" * 50)[:1])
        s.sender.fin()
    for happens in (lost, failed, cut):
        s = sides()
        happens(s)
        f = s.receiver.read_frame()
        assert f.opcode == CLOSE and len(f.payload) >= 2 and f.code in GOOD_CODES, f
