# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 section 6 and 10.4: messages arrive whole, in order, both ways, and no larger than allowed."""
import os
import threading
import zlib

import pytest

from harness.raw import BINARY, CONT, PING, PONG, TEXT, frame
from stage import converse

ZERO_MASK = b"\0\0\0\0"
KIB, MIB = 1024, 1024 * 1024


# ---- 6.1 Sending and 6.2 receiving data

@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 65535, 65536, 65537])
def test_6_1_a_message_of_any_length_is_echoed(stage, opcode, length):
    client = stage.echo()
    client.send_frame(opcode, b"*" * length)
    f = client.read_frame()
    assert (f.opcode, f.payload, f.fin) == (opcode, b"*" * length, True)


@pytest.mark.parametrize("length, chop", [(0, 1), (1, 1), (125, 1), (126, 1), (1000, 1), (65535, 997), (65536, 997), (65536, 127)])
def test_6_1_a_message_is_echoed_in_whatever_pieces_it_comes(stage, length, chop):
    client = stage.echo()
    payload = os.urandom(length)
    client.send_slowly(client.frame(BINARY, payload), chop)
    assert client.read_frame(20).payload == payload


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB], ids=["64K", "256K", "1M", "4M", "16M"])
def test_6_1_a_large_message_in_one_frame_is_echoed(stage, opcode, size):
    client = stage.echo()
    payload = (b"0123456789abcde\n" * (size // 16))
    f = echo_large(client, frame(opcode, payload, mask=ZERO_MASK), size)
    assert f.opcode == opcode and f.payload == payload


def echo_large(client, data, size):
    """The one frame that comes back."""
    whole = converse(client, data, 10 + size)
    client.at -= len(whole)
    return client.read_frame()


@pytest.mark.parametrize("fragment", [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB])
def test_6_1_a_message_of_1_mib_in_fragments_is_echoed_whole(stage, fragment):
    client = stage.echo()
    payload = os.urandom(MIB)
    pieces = [payload[i:i + fragment] for i in range(0, MIB, fragment)]
    data = b"".join(frame(CONT if i else BINARY, piece, fin=i == len(pieces) - 1, mask=ZERO_MASK) for i, piece in enumerate(pieces))
    assert echo_large(client, data, MIB).payload == payload


def test_6_1_a_message_of_16_mib_in_fragments_of_64_kib_is_echoed_whole(stage):
    client = stage.echo()
    payload = os.urandom(16 * MIB)
    data = b"".join(frame(CONT if at else BINARY, payload[at:at + 64 * KIB], fin=at + 64 * KIB == len(payload), mask=ZERO_MASK)
                    for at in range(0, len(payload), 64 * KIB))
    assert echo_large(client, data, len(payload)).payload == payload


@pytest.mark.parametrize("chop", [64, 128, 256, 512, 1024, 2048])
def test_6_1_a_message_of_1_mib_that_comes_in_small_pieces_is_echoed(stage, chop):
    client = stage.echo()
    payload = os.urandom(MIB // 4 if chop < 256 else MIB)
    assert converse(client, frame(BINARY, payload, mask=ZERO_MASK), 10 + len(payload), chop)[10:] == payload


@pytest.mark.parametrize("size, chop", [(64 * KIB, 1000), (MIB, 1460), (16 * MIB, 65536), (16 * MIB, 300001)])
def test_6_2_a_large_frame_of_either_side_arrives_byte_for_byte(sides, size, chop):
    s = sides("raw-64m")
    data = s.frame(BINARY, os.urandom(size), mask=ZERO_MASK if s.sender_is_client else None)
    thread = threading.Thread(target=s.put, args=(data, chop), daemon=True)
    thread.start()
    assert s.receiver.take(len(data), 20) == data
    thread.join(10)
    s.still_open()


@pytest.mark.parametrize("length", [0, 16, 64, 256, 1024, 4096])
def test_6_1_a_thousand_messages_are_echoed_in_their_order(stage, length):
    client = stage.echo()
    payloads = [(b"%d " % i + b"*" * length)[:max(length, 5)] for i in range(1000)]
    data = b"".join(frame(TEXT, p, mask=ZERO_MASK) for p in payloads)
    expect = b"".join(frame(TEXT, p) for p in payloads)
    assert converse(client, data, len(expect)) == expect


def test_6_1_both_sides_may_talk_at_the_same_time(stage):
    s = stage.open()
    up = b"".join(s.client.frame(BINARY, os.urandom(3000)) for _ in range(300))
    down = b"".join(s.served.frame(BINARY, os.urandom(3000)) for _ in range(300))
    threads = [threading.Thread(target=peer.send, args=(data,), daemon=True) for peer, data in ((s.client, up), (s.served, down))]
    for thread in threads:
        thread.start()
    got_up = []
    reader = threading.Thread(target=lambda: got_up.append(s.served.take(len(up), 20)), daemon=True)
    reader.start()
    assert s.client.take(len(down), 20) == down
    reader.join(20)
    assert got_up == [up]


def test_6_2_a_frame_from_the_backend_that_is_masked_is_not_a_message(stage):
    stage.open("backend").put(frame(TEXT, "masked", mask=b"abcd")).refused()


# ---- 10.4 Limits of the implementation: message_max and frame_max, and 7.4.1's 1009

def test_10_4_a_message_of_exactly_message_max_passes_and_one_byte_more_is_refused_with_1009(stage):
    s = stage.open("client", "raw-1000")
    for length in (999, 1000):
        data = s.frame(BINARY, b"x" * length)
        s.put(data).arrives(data)
    s.put(s.frame(BINARY, b"x" * 1001)).refused(1009)


def test_10_4_a_message_that_is_too_large_is_refused_by_its_head_alone(stage):
    for length in (1001, 65536, 1 << 40, (1 << 63) - 1):
        s = stage.open("client", "raw-1000")
        s.put(s.frame(BINARY, b"", length=length)).refused(1009)


@pytest.mark.parametrize("pieces", [[500, 500], [999, 1], [1000, 0], [0, 1000], [0, 0, 1000], [1] * 1000])
def test_10_4_fragments_that_come_to_message_max_pass(stage, pieces, chop):
    if chop and len(pieces) > 100:
        chop = 50
    s = stage.open("client", "raw-1000")
    data = b"".join(s.frame(CONT if i else TEXT, b"f" * n, fin=i == len(pieces) - 1) for i, n in enumerate(pieces))
    s.put(data, chop).arrives(data).still_open()


@pytest.mark.parametrize("pieces", [[500, 501], [999, 2], [1000, 1], [0, 1001], [333, 333, 335], [1] * 1001])
def test_10_4_fragments_that_come_to_more_than_message_max_are_refused_at_the_one_that_is_too_much(stage, pieces, chop):
    if chop and len(pieces) > 100:
        chop = 50
    s = stage.open("client", "raw-1000")
    frames = [s.frame(CONT if i else TEXT, b"f" * n, fin=i == len(pieces) - 1) for i, n in enumerate(pieces)]
    good = b"".join(frames[:-1])
    s.put(good + frames[-1], chop).arrives(good).refused(1009)


def test_10_4_each_message_is_measured_anew(stage):
    s = stage.open("client", "raw-1000")
    data = b"".join(s.frame(BINARY, b"x" * 1000) + s.frame(TEXT, b"y" * 600, fin=False) + s.frame(CONT, b"z" * 400) for _ in range(5))
    s.put(data).arrives(data).still_open()


def test_10_4_a_frame_of_exactly_frame_max_passes_and_one_byte_more_is_refused_with_1009(stage):
    s = stage.open("client", "raw-frame-100")
    data = s.frame(BINARY, b"x" * 100)
    s.put(data).arrives(data).put(s.frame(BINARY, b"x" * 101)).refused(1009)
    s = stage.open("client", "raw-frame-100")
    data = b"".join(s.frame(CONT if i else BINARY, b"x" * 100, fin=i == 9) for i in range(10))
    s.put(data).arrives(data).still_open()
    first = s.frame(BINARY, b"x", fin=False)
    s.put(first + s.frame(CONT, b"x" * 101)).arrives(first).refused(1009)


def test_10_4_frame_max_does_not_forbid_control_frames(stage):
    s = stage.open("client", "raw-frame-100")
    s.put(s.frame(PING, b"p" * 125))
    f = s.client.read_frame()
    assert (f.opcode, len(f.payload)) == (PONG, 125)


def test_10_4_the_default_of_message_max_is_1_mib_inclusive(stage):
    s = stage.open("client", "raw")
    data = s.frame(BINARY, b"x" * MIB, mask=ZERO_MASK)
    threading.Thread(target=s.put, args=(data,), daemon=True).start()
    s.arrives(data).put(s.frame(BINARY, b"", length=MIB + 1)).refused(1009)


@pytest.mark.parametrize("route", ["raw-1000", "raw-frame-100"])
def test_10_4_what_the_backend_sends_is_not_limited(stage, route):
    s = stage.open("backend", route)
    data = s.frame(BINARY, b"x" * 300_000) + s.frame(TEXT, b"y" * 900, fin=False) + s.frame(CONT, b"z" * 900)
    s.put(data).arrives(data).still_open()


def test_10_4_of_a_compressed_message_the_bytes_on_the_wire_count(stage):
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = (deflater.compress(b"a" * 100_000) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(small) < 1000
    how = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    s = stage.open("client", "raw-1000", headers=how, answer=how)
    data = s.frame(TEXT, small, rsv=4)
    s.put(data).arrives(data)
    s.put(s.frame(TEXT, b"x" * 1001, rsv=4)).refused(1009)
