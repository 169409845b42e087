# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 5.1 to 5.4, 5.6 and 5.8: frames that pass, and frames that end the connection, from either side.

Towards a side at fault: Close 1002 and the end of TCP. Towards the other: nothing of the faulty frame, and the Close of a lost
peer."""
import os
import struct

import pytest

from harness.raw import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, frame

MASK = b"\x37\xfa\x21\x3d"  # of the examples in section 5.7
DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]


# ---- 5.1 Overview: who masks

@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_5_1_an_unmasked_frame_from_a_client_fails_the_connection(stage, opcode, chop):
    sides = stage.open("client")
    payload = close_payload(1000) if opcode == CLOSE else b"plain"
    sides.put(frame(opcode, payload), chop).refused()


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_5_1_a_masked_frame_from_the_backend_fails_the_connection(stage, opcode, chop):
    sides = stage.open("backend")
    payload = close_payload(1000) if opcode == CLOSE else b"masked"
    sides.put(frame(opcode, payload, mask=MASK), chop).refused()


def test_5_1_an_empty_frame_must_be_masked_too(stage):
    stage.open("client").put(frame(TEXT)).refused()
    stage.open("backend").put(frame(TEXT, mask=MASK)).refused()


def test_5_1_a_fragment_with_the_wrong_masking_fails_the_connection_after_a_right_one(sides):
    s = sides()
    good = s.frame(TEXT, "right", fin=False)
    wrong = frame(CONT, "wrong", mask=None if s.sender_is_client else MASK)
    s.put(good + wrong).arrives(good).refused()


def test_5_1_what_the_gateway_says_itself_is_masked_for_the_backend_and_never_for_the_client(stage):
    s = stage.open()
    s.client.send_frame(PING, "from client")
    s.served.send_frame(PING, "from backend")
    to_client, to_backend = s.client.read_frame(), s.served.read_frame()
    assert (to_client.opcode, to_client.payload, to_client.mask) == (PONG, b"from client", None)
    assert (to_backend.opcode, to_backend.payload) == (PONG, b"from backend") and to_backend.mask is not None
    s.client.send_close(1000)
    assert s.client.read_frame().mask is None
    assert s.served.read_frame().mask is not None


# ---- 5.2 Base framing protocol

@pytest.mark.parametrize("length", [0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_5_2_every_form_of_the_length_passes_byte_for_byte(sides, opcode, length):
    s = sides()
    data = s.frame(opcode, b"*" * length)
    s.put(data).arrives(data).still_open()


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 300])
def test_5_2_a_frame_may_come_in_any_pieces(sides, length):
    s = sides()
    data = s.frame(BINARY, os.urandom(length))
    s.put(data, 1).arrives(data).still_open()


@pytest.mark.parametrize("length, form", [(0, 3), (1, 3), (125, 3), (0, 9), (125, 9), (126, 9), (65535, 9)])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
def test_5_2_the_length_must_take_the_fewest_bytes(sides, opcode, length, form, chop):
    s = sides()
    s.put(s.frame(opcode, b"x" * min(length, 300), length=length, length_bytes=form), chop).refused()


@pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 5, (1 << 64) - 1])
def test_5_2_the_most_significant_bit_of_a_64_bit_length_must_be_0(sides, length, chop):
    s = sides()
    s.put(s.frame(BINARY, b"x" * 20, length=length), chop).refused()


def test_5_2_a_63_bit_length_from_the_backend_is_a_frame_that_has_only_begun(stage):
    s = stage.open("backend")
    data = s.frame(BINARY, b"x" * 20, length=(1 << 63) - 1)
    s.put(data).arrives(data)


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_5_2_a_reserved_bit_that_no_extension_defined_fails_the_connection(sides, opcode, rsv, chop):
    s = sides()
    first = s.frame(TEXT, "goes through")
    s.put(first + s.frame(opcode, close_payload(1000) if opcode == CLOSE else b"*", rsv=rsv), chop).arrives(first).refused()


@pytest.mark.parametrize("rsv", range(1, 8))
def test_5_2_a_reserved_bit_on_a_continuation_fails_the_connection(sides, rsv, chop):
    s = sides()
    first = s.frame(TEXT, "begin", fin=False)
    s.put(first + s.frame(CONT, "*", rsv=rsv), chop).arrives(first).refused()


@pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
def test_5_2_permessage_deflate_gives_a_meaning_to_rsv1_alone(sides, rsv):
    s = sides(headers=DEFLATE, answer=DEFLATE)
    s.put(s.frame(BINARY, b"\0", rsv=rsv)).refused()


@pytest.mark.parametrize("payload", [b"", b"reserved"], ids=["empty", "some"])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_5_2_a_reserved_opcode_fails_the_connection(sides, opcode, payload, chop):
    s = sides()
    first = s.frame(TEXT, "goes through")
    s.put(first + s.frame(opcode, payload) + s.frame(TEXT, "never"), chop).arrives(first).refused()


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_5_2_a_reserved_opcode_without_fin_or_within_a_message_fails_the_connection(sides, opcode):
    s = sides()
    s.put(s.frame(opcode, "x", fin=False)).refused()
    s = sides()
    first = s.frame(TEXT, "begin", fin=False)
    s.put(first + s.frame(opcode, "x")).arrives(first).refused()


def test_5_2_every_defined_opcode_has_its_meaning(sides):
    s = sides()
    data = (s.frame(TEXT, "one") + s.frame(BINARY, b"two") + s.frame(TEXT, "th", fin=False) + s.frame(CONT, "ree"))
    s.put(data + s.frame(PONG, "nobody asked")).arrives(data)
    s.put(s.frame(PING, "ping"))
    assert (s.sender.read_frame().opcode) == PONG
    s.put(s.frame(CLOSE, close_payload(1000)))
    assert s.receiver.read_frame().opcode == CLOSE


def test_5_2_frames_that_share_one_packet_are_each_read(sides):
    s = sides()
    data = b"".join(s.frame(TEXT, f"message {i}") for i in range(200))
    s.put(data).arrives(data)


# ---- 5.3 Client-to-server masking

@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4", MASK, b"\0\0\0\x80"])
def test_5_3_a_clients_payload_is_the_same_behind_any_masking_key(stage, mask):
    client = stage.echo()
    for length in (0, 1, 2, 3, 4, 5, 7, 8, 9, 125, 126, 1000):
        payload = os.urandom(length)
        client.send(frame(BINARY, payload, mask=mask))
        assert client.read_frame().payload == payload


def test_5_3_the_masking_key_that_a_client_chose_is_not_changed(stage):
    s = stage.open("client")
    data = frame(BINARY, b"x" * 1000, mask=MASK)
    s.put(data).arrives(data)


def test_5_3_the_gateway_chooses_a_fresh_masking_key_for_each_frame(stage):
    s = stage.open()
    for i in range(64):
        s.served.send_frame(PING, f"{i}")
    masks = [s.served.read_frame().mask for _ in range(64)]
    assert len(set(masks)) >= 63, masks
    differences = {struct.unpack(">I", b)[0] - struct.unpack(">I", a)[0] for a, b in zip(masks, masks[1:])}
    assert len(differences) > 60, "a key follows from the one before"
    for bit in range(32):
        ones = sum(struct.unpack(">I", m)[0] >> bit & 1 for m in masks)
        assert 8 < ones < 56, f"bit {bit} of the keys is no chance: {ones} of 64"


def test_5_3_two_connections_do_not_begin_with_the_same_masking_key(stage):
    masks = set()
    for _ in range(8):
        s = stage.open()
        s.served.send_frame(PING)
        masks.add(s.served.read_frame().mask)
    assert len(masks) >= 7


# ---- 5.4 Fragmentation

@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("pieces", [2, 3, 10])
def test_5_4_a_fragmented_message_passes_in_the_fragments_that_it_came_in(sides, opcode, pieces, chop):
    s = sides()
    data = b"".join(s.frame(CONT if i else opcode, b"piece %d" % i, fin=i == pieces - 1) for i in range(pieces))
    s.put(data, chop).arrives(data).still_open()


@pytest.mark.parametrize("empty", ["all", "first", "middle", "last"])
def test_5_4_fragments_may_be_empty(sides, empty, chop):
    s = sides()
    words = {"all": ["", "", ""], "first": ["", "b", "c"], "middle": ["a", "", "c"], "last": ["a", "b", ""]}[empty]
    data = s.frame(TEXT, words[0], fin=False) + s.frame(CONT, words[1], fin=False) + s.frame(CONT, words[2])
    s.put(data, chop).arrives(data).still_open()


def test_5_4_a_fragment_is_passed_on_before_the_message_is_whole(sides):
    s = sides()
    first = s.frame(TEXT, "now", fin=False)
    s.put(first).arrives(first)
    last = s.frame(CONT, "later")
    s.put(last).arrives(last).still_open()


@pytest.mark.parametrize("fragments", ["together", "apart"])
def test_5_4_a_ping_between_fragments_is_answered_at_once_and_the_message_stays_whole(sides, fragments, chop):
    s = sides()
    first, last = s.frame(TEXT, "begin", fin=False), s.frame(CONT, "end")
    ping = s.frame(PING, "within")
    if fragments == "together":
        s.put(first + ping + last, chop)
    else:
        s.put(first, chop).arrives(first).put(ping, chop)
    f = s.sender.read_frame()
    assert (f.opcode, f.payload) == (PONG, b"within")
    if fragments == "apart":
        s.put(last, chop).arrives(last)
    else:
        s.arrives(first + last)
    s.still_open()


def test_5_4_pings_between_all_of_five_fragments_are_all_answered_in_order(sides, chop):
    s = sides()
    data, mixed = b"", b""
    for i in range(5):
        piece = s.frame(CONT if i else TEXT, f"fragment {i}", fin=i == 4)
        data += piece
        mixed += piece + s.frame(PING, f"ping {i}")
    s.put(mixed, chop).arrives(data)
    assert [s.sender.read_frame().payload for _ in range(5)] == [b"ping %d" % i for i in range(5)]


def test_5_4_a_close_may_come_between_fragments(sides):
    s = sides()
    first = s.frame(TEXT, "begin", fin=False)
    s.put(first + s.frame(CLOSE, close_payload(1000, "enough"))).arrives(first)
    s.own_close(s.receiver, 1000, b"enough")


def test_5_4_the_gateways_pong_waits_for_the_end_of_a_frame_that_is_open(stage):
    """A frame is never split by another: the other side's frame is half delivered when the ping comes."""
    for one in ("client", "backend"):
        s = stage.open(one)  # the sender pings, the receiver has a frame half sent to it
        data = s.receiver.frame(BINARY, b"y" * 2000)
        s.receiver.send(data[:1000])
        assert s.sender.take(1000) == data[:1000]
        s.put(s.frame(PING, "now"))
        s.put(s.frame(TEXT, "behind the ping"))
        assert s.receiver.read_frame().payload == b"behind the ping"  # so the ping was read, too
        s.receiver.send(data[1000:])
        assert s.sender.take(len(data) - 1000) == data[1000:]
        f = s.sender.read_frame()
        assert (f.opcode, f.payload) == (PONG, b"now"), (one, f)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8part"], ids=["empty", "some"])
def test_5_4_control_frames_must_not_be_fragmented(sides, opcode, payload, chop):
    s = sides()
    s.put(s.frame(opcode, payload, fin=False) + s.frame(CONT, "rest"), chop).refused()


@pytest.mark.parametrize("fin", [True, False], ids=["fin", "more"])
@pytest.mark.parametrize("payload", [b"", b"lost"], ids=["empty", "some"])
def test_5_4_a_continuation_with_nothing_to_continue_fails_the_connection(sides, fin, payload, chop):
    s = sides()
    s.put(s.frame(CONT, payload, fin=fin) + s.frame(TEXT, "never"), chop).refused()


@pytest.mark.parametrize("fin", [True, False], ids=["fin", "more"])
def test_5_4_a_continuation_behind_a_finished_message_fails_the_connection(sides, fin, chop):
    s = sides()
    whole = s.frame(TEXT, "whole")
    s.put(whole + s.frame(CONT, "more", fin=fin), chop).arrives(whole).refused()
    s = sides()
    parts = s.frame(TEXT, "in", fin=False) + s.frame(CONT, "two")
    s.put(parts + s.frame(CONT, "three", fin=fin), chop).arrives(parts).refused()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False], ids=["fin", "more"])
def test_5_4_fragments_of_two_messages_must_not_be_mixed(sides, opcode, fin, chop):
    s = sides()
    first = s.frame(TEXT, "begin", fin=False)
    s.put(first + s.frame(opcode, "another", fin=fin), chop).arrives(first).refused()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_5_4_a_message_of_fragments_is_echoed_whole_by_a_conforming_backend(stage, opcode, chop):
    client = stage.echo()
    data = (client.frame(opcode, "fragment1", fin=False) + client.frame(PING, "x") + client.frame(CONT, "", fin=False) +
            client.frame(CONT, "fragment2"))
    client.send_slowly(data, chop or len(data))
    pong, message = client.read_frame(), client.read_frame()
    assert (pong.opcode, pong.payload) == (PONG, b"x")
    assert (message.opcode, message.payload, message.fin) == (opcode, b"fragment1fragment2", True)


def test_5_4_an_intermediary_does_not_change_the_fragments_where_an_extension_is_in_use(sides):
    s = sides(headers=DEFLATE, answer=DEFLATE)
    data = (s.frame(TEXT, b"\xf2\x48\xcd", fin=False, rsv=4) + s.frame(CONT, b"", fin=False) +
            s.frame(CONT, b"\xc9\xc9\x07\x00"))
    s.put(data).arrives(data).still_open()


# ---- 5.6 Data frames

def test_5_6_binary_payload_is_not_looked_at(stage):
    s = stage.open("client", "raw-utf8")
    everything = bytes(range(256)) * 8
    for _ in range(2):
        data = s.frame(BINARY, everything)
        s.put(data).arrives(data)
        parts = s.frame(BINARY, b"\xff\xc0", fin=False) + s.frame(CONT, b"\x80\xfe")
        s.put(parts).arrives(parts)
    s.still_open()


def test_5_6_text_stays_text_and_binary_stays_binary(stage):
    client = stage.echo()
    for opcode in (TEXT, BINARY, TEXT, BINARY):
        client.send_frame(opcode, "κόσμε")
        f = client.read_frame()
        assert (f.opcode, f.payload) == (opcode, "κόσμε".encode())


# ---- 5.7 Examples

def test_5_7_the_examples_of_the_section_pass(stage):
    s = stage.open("backend")
    for example in ("810548656c6c6f", "010348656c80026c6f", "827e0100" + "61" * 256, "827f0000000000010000" + "62" * 65536):
        data = bytes.fromhex(example)
        s.put(data).arrives(data)
    s = stage.open("client")
    masked_hello = bytes.fromhex("818537fa213d7f9f4d5158")
    s.put(masked_hello).arrives(masked_hello)
    s.put(bytes.fromhex("898537fa213d7f9f4d5158"))  # a masked ping "Hello"
    assert s.sender.take(7) == bytes.fromhex("8a0548656c6c6f")


# ---- 5.8 Extensibility

def test_5_8_what_was_not_negotiated_is_a_fault_although_the_client_offered_it(sides):
    s = sides(headers=DEFLATE, answer=())
    s.put(s.frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)).refused()
