# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 5.5: control frames end at each leg. A ping is answered by the gateway, a pong nobody waits for is dropped."""
import os

import pytest

from harness.raw import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload


# ---- 5.5

@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("length", [126, 127, 1000, 65536])
def test_5_5_a_control_frame_is_at_most_125_bytes_long(sides, opcode, length):
    s = sides()
    s.put(s.frame(opcode, b"\x03\xe8" + b"*" * (length - 2))).refused()


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_5_5_a_control_frame_of_126_bytes_is_refused_bytewise_too(sides, opcode):
    s = sides()
    s.put(s.frame(opcode, b"\x03\xe8" + b"*" * 124), 1).refused()


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_5_5_a_control_frame_must_not_be_fragmented(sides, opcode):
    s = sides()
    s.put(s.frame(opcode, "part", fin=False)).refused()


def test_5_5_control_frames_do_not_count_as_part_of_a_message(stage):
    s = stage.open("client", "raw-1000")
    first, last = s.frame(BINARY, b"a" * 600, fin=False), s.frame(CONT, b"b" * 400)
    s.put(first + s.frame(PING, b"p" * 125) * 4 + last).arrives(first + last)
    assert [s.client.read_frame().opcode for _ in range(4)] == [PONG] * 4
    s.still_open()


# ---- 5.5.1 Close: see test_7_closing.py for the rest

def test_5_5_1_the_answer_to_a_close_carries_its_code(sides):
    for code in (1000, 1001, 3000, 4999):
        s = sides()
        s.put(s.frame(CLOSE, close_payload(code, "bye")))
        s.own_close(s.sender, code)


def test_5_5_1_a_close_of_one_byte_fails_the_connection(sides, chop):
    s = sides()
    s.put(s.frame(CLOSE, b"\x03"), chop).refused()


@pytest.mark.parametrize("reason", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"ok \xce\xba\xe1", b"\xf4\x90\x80\x80"],
                         ids=["ff", "overlong", "surrogate", "cut", "too-large"])
def test_5_5_1_the_reason_of_a_close_must_be_utf8(sides, reason, chop):
    s = sides()
    s.put(s.frame(CLOSE, close_payload(1000, reason)), chop).refused(1007)


@pytest.mark.parametrize("behind", ["message", "fragment", "ping", "close", "garbage"])
def test_5_5_1_what_comes_behind_a_close_is_thrown_away(sides, behind):
    s = sides()
    rest = {"message": s.frame(TEXT, "too late"), "fragment": s.frame(TEXT, "too late", fin=False),
            "ping": s.frame(PING, "too late"), "close": s.frame(CLOSE, close_payload(1001)), "garbage": os.urandom(64)}[behind]
    first = s.frame(TEXT, "in time")
    s.put(first + s.frame(CLOSE, close_payload(1000, "bye")) + rest).arrives(first)
    s.own_close(s.receiver, 1000, b"bye")
    s.own_close(s.sender, 1000)
    s.goes(s.receiver)
    if s.sender is s.served:
        s.sender.fin()
    assert s.sender.read_end() == b"", "a Close is the last thing that the gateway sends"


def test_5_5_1_after_its_own_close_the_gateway_sends_no_more_data(sides):
    """The other side goes on talking when the Close of this one has been answered."""
    s = sides()
    s.put(s.frame(CLOSE, close_payload(1000)))
    s.own_close(s.sender, 1000)
    s.own_close(s.receiver, 1000)
    s.receiver.send_text("nobody hears this")
    s.goes(s.receiver)
    if s.sender is s.served:
        s.sender.fin()
    assert s.sender.read_end() == b""


# ---- 5.5.2 Ping

def test_5_5_2_a_ping_of_every_length_is_answered_with_its_payload_and_not_passed_on(sides):
    s = sides()
    for length in range(126):
        payload = os.urandom(length)
        s.put(s.frame(PING, payload))
        f = s.sender.read_frame()
        assert (f.opcode, f.payload, f.fin, f.rsv) == (PONG, payload, True, 0)
    s.still_open()  # and the receiver has seen none of them


@pytest.mark.parametrize("length", [0, 1, 5, 125])
def test_5_5_2_a_ping_that_comes_bytewise_is_answered(sides, length):
    s = sides()
    s.put(s.frame(PING, b"\xfe" * length), 1)
    f = s.sender.read_frame()
    assert (f.opcode, f.payload) == (PONG, b"\xfe" * length)
    s.still_open()


def test_5_5_2_ten_pings_at_once_get_ten_pongs_in_their_order(sides, chop):
    s = sides()
    s.put(b"".join(s.frame(PING, f"payload-{i}") for i in range(10)), chop)
    assert [(f.opcode, f.payload) for f in (s.sender.read_frame() for _ in range(10))] == [
        (PONG, b"payload-%d" % i) for i in range(10)]
    s.still_open()


def test_5_5_2_pings_between_messages_do_not_disturb_them(sides):
    s = sides()
    data, mixed = b"", b""
    for i in range(50):
        message = s.frame(TEXT, f"message {i}")
        data += message
        mixed += s.frame(PING, f"{i}") + message
    s.put(mixed).arrives(data)
    assert [s.sender.read_frame().payload for _ in range(50)] == [b"%d" % i for i in range(50)]


def test_5_5_2_pings_of_a_conforming_client_are_answered_while_the_backend_echoes(stage):
    client = stage.echo()
    for i in range(20):
        client.send(client.frame(PING, f"{i}") + client.frame(TEXT, f"t{i}"))
        frames = {(f.opcode, f.payload) for f in (client.read_frame(), client.read_frame())}
        assert frames == {(PONG, b"%d" % i), (TEXT, b"t%d" % i)}


def test_5_5_2_the_gateways_own_ping_is_a_whole_short_frame_on_each_leg_and_any_pong_answers_it(stage):
    s = stage.open(route="raw-beat")
    for peer in (s.client, s.served):
        f = peer.read_frame()
        assert f.opcode == PING and f.fin and f.rsv == 0 and len(f.payload) <= 125, f
        assert (f.mask is None) == (peer is s.client)
        peer.send_frame(PONG, f.payload)
    for peer in (s.client, s.served):
        f = peer.read_frame()  # the next one
        assert f.opcode == PING
        peer.send_frame(PONG, b"another payload")
        assert peer.read_frame().opcode == PING


def test_5_5_2_the_gateways_own_ping_waits_for_the_end_of_a_frame_that_is_open(stage):
    for sender in ("client", "backend"):
        s = stage.open(sender, "raw-beat")
        data = s.frame(BINARY, b"z" * 3000)
        s.put(data[:1500])
        while True:  # pings that came before the frame
            f = s.receiver.take(1)
            s.receiver.at -= 1
            if f == data[:1]:
                break
            assert s.receiver.read_frame().opcode == PING
        s.arrives(data[:1500])
        s.receiver.silent(0.2)  # three intervals
        s.put(data[1500:]).arrives(data[1500:])
        assert s.receiver.read_frame().opcode == PING


# ---- 5.5.3 Pong

@pytest.mark.parametrize("payload", [b"", b"unsolicited", b"\0" * 8, b"\xff" * 8, b"*" * 125],
                         ids=["empty", "some", "eight-zeros", "eight-ones", "125"])
def test_5_5_3_a_pong_that_nobody_asked_for_is_dropped_without_an_answer(sides, payload, chop):
    s = sides()
    s.put(s.frame(PONG, payload), chop).still_open()


def test_5_5_3_unsolicited_pongs_with_a_ping_among_them_get_one_answer(sides, chop):
    s = sides()
    pongs = b"".join(s.frame(PONG, f"{i}") for i in range(5))
    s.put(pongs + s.frame(PING, "this one") + pongs, chop)
    f = s.sender.read_frame()
    assert (f.opcode, f.payload) == (PONG, b"this one")
    s.still_open()


def test_5_5_3_a_pong_within_a_fragmented_message_is_dropped_too(sides):
    s = sides()
    first, last = s.frame(TEXT, "be", fin=False), s.frame(CONT, "gin")
    s.put(first + s.frame(PONG, "x") + last).arrives(first + last).still_open()
