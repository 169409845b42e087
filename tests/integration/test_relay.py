# SPDX-License-Identifier: Apache-2.0
"""What the relay does to the bytes: nothing. Both ends are raw sockets, so each sentence is about the wire itself."""
import hashlib
import os
import threading

import pytest

from harness import raw
from harness.process import wait_for
from harness.raw import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, frame

SIZES = (0, 1, 125, 126, 127, 4096, 65535, 65536, 300_000)
REASON = "čas vypršel, ahoj 👋"
CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4401, 4999)


def frames_of_every_kind(peer):
    """Whole messages of all sizes, and a fragmented one."""
    data = b""
    for n in SIZES:
        data += peer.frame(BINARY, os.urandom(n)) + peer.frame(TEXT, "é" * (n // 2))
    return data + peer.frame(TEXT, "one ", fin=False) + peer.frame(CONT, "", fin=False) + peer.frame(CONT, "two")


# ---- payloads

def test_every_frame_of_a_client_reaches_the_backend_byte_for_byte_under_the_clients_own_mask(joined):
    _, client, served = joined()
    data = frames_of_every_kind(client) + client.frame(TEXT, "a zero mask", mask=b"\0\0\0\0")
    client.send(data)
    assert served.take(len(data)) == data


def test_every_frame_of_a_backend_reaches_the_client_byte_for_byte(joined):
    _, client, served = joined()
    data = frames_of_every_kind(served) + served.frame(BINARY, os.urandom(3_000_000))
    threading.Thread(target=served.send, args=(data,), daemon=True).start()
    assert client.take(len(data)) == data


def test_both_directions_stay_byte_identical_when_every_byte_comes_alone(joined):
    _, client, served = joined()
    up = client.frame(TEXT, "hello") + client.frame(BINARY, b"x" * 300)
    down = served.frame(TEXT, "hello") + served.frame(BINARY, b"x" * 300)
    client.send_slowly(up)
    served.send_slowly(down)
    assert served.take(len(up)) == up
    assert client.take(len(down)) == down


def test_a_frame_is_forwarded_while_it_comes_and_is_not_collected_first(joined):
    _, client, served = joined()
    data = client.frame(BINARY, os.urandom(200_000))
    client.send(data[:100_000])
    assert served.take(90_000) == data[:90_000]  # it is here although the rest was not sent yet
    client.send(data[100_000:])
    assert served.take(len(data) - 90_000) == data[90_000:]


def test_a_fragment_is_forwarded_before_the_message_is_complete(joined):
    _, client, served = joined()
    first = client.send_frame(TEXT, "begin", fin=False)
    assert served.take(len(first)) == first
    last = client.send_frame(CONT, "end")
    assert served.take(len(last)) == last


def test_frames_that_come_with_the_backends_101_are_delivered(relay):
    gateway, backend = relay()
    client = gateway.client()
    client.send(raw.request())
    backend.next().upgrade(before=frame(TEXT, "first word"))
    assert client.read_head().status == 101
    client.expect_text("first word")


def test_a_hundred_thousand_small_messages_pass_in_order(joined):
    _, client, served = joined()
    data = b"".join(served.frame(TEXT, f"chunk {i}") for i in range(100_000))
    threading.Thread(target=served.send, args=(data,), daemon=True).start()
    assert client.take(len(data)) == data


# ---- control frames

def test_a_ping_of_a_client_is_answered_by_the_gateway_with_its_payload_and_never_forwarded(joined):
    _, client, served = joined()
    for payload in (b"", b"x", os.urandom(125)):
        client.send_frame(PING, payload)
        pong = client.read_frame()
        assert (pong.opcode, pong.payload, pong.mask) == (PONG, payload, None)
    marker = client.send_text("marker")
    assert served.take(len(marker)) == marker  # nothing came before it


def test_a_ping_of_a_backend_is_answered_by_the_gateway_with_its_payload_and_never_forwarded(joined):
    _, client, served = joined()
    for payload in (b"", b"x", os.urandom(125)):
        served.send_frame(PING, payload)
        pong = served.read_frame()
        assert (pong.opcode, pong.payload) == (PONG, payload)
        assert pong.mask is not None, "RFC 6455 5.3: a client's frames are masked"
    marker = served.send_text("marker")
    assert client.take(len(marker)) == marker


def test_a_pong_that_nobody_asked_for_is_not_forwarded(joined):
    _, client, served = joined()
    client.send_frame(PONG, b"unsolicited")
    served.send_frame(PONG, b"unsolicited")
    up, down = client.send_text("up"), served.send_text("down")
    assert served.take(len(up)) == up
    assert client.take(len(down)) == down


def test_a_ping_between_fragments_is_answered_at_once_and_the_message_stays_whole(joined):
    _, client, served = joined()
    first = client.frame(TEXT, "begin ", fin=False)
    last = client.frame(CONT, "end")
    client.send(first + client.frame(PING, b"between") + last)
    assert client.read_frame().payload == b"between"
    assert served.take(len(first + last)) == first + last


def test_a_ping_of_a_backend_inside_a_long_stream_to_the_client_is_answered(joined):
    _, client, served = joined()
    first, last = served.frame(BINARY, os.urandom(70_000), fin=False), served.frame(CONT, b"end")
    served.send(first + served.frame(PING, b"mid") + last)
    assert client.take(len(first + last)) == first + last
    assert served.read_frame().payload == b"mid"


# ---- the Close handshake

@pytest.mark.parametrize("reason", ["", REASON, "r" * 123], ids=["empty", "utf8", "longest"])
def test_a_clients_close_reaches_the_backend_with_code_and_reason_byte_for_byte(relay, reason):
    gateway, backend = relay()
    for code in CODES:
        client, served = gateway.pair(backend)
        client.send_close(code, reason)
        got = served.read_frame()
        assert (got.opcode, got.payload) == (CLOSE, close_payload(code, reason))
        assert got.mask is not None
        served.send_close(code, reason)
        client.expect_close(code)
        client.expect_end()
        served.close()


@pytest.mark.parametrize("reason", ["", REASON, "r" * 123], ids=["empty", "utf8", "longest"])
def test_a_backends_close_reaches_the_client_with_code_and_reason_byte_for_byte(relay, reason):
    gateway, backend = relay()
    for code in CODES:
        client, served = gateway.pair(backend)
        served.send_close(code, reason)
        got = client.read_frame()
        assert (got.opcode, got.payload, got.mask) == (CLOSE, close_payload(code, reason), None)
        client.send_close(code, reason)
        served.expect_close(code)
        client.expect_end()
        served.close()


def test_an_empty_close_stays_empty_both_ways(relay):
    gateway, backend = relay()
    client, served = gateway.pair(backend)
    client.send_close()
    assert served.read_frame().payload == b""
    served.send_close()
    assert client.read_frame().payload == b""
    client, served = gateway.pair(backend)
    served.send_close()
    assert client.read_frame().payload == b""
    client.send_close()
    assert served.read_frame().payload == b""


def test_after_the_close_handshake_the_gateway_ends_the_clients_tcp_without_being_asked(joined):
    _, client, served = joined()
    served.send_close(1000)
    client.expect_close(1000)
    client.send_close(1000)
    client.expect_end(timeout=1.5)  # RFC 6455 7.1.1: the server ends it


def test_a_client_that_never_answers_a_close_is_given_two_seconds_at_most(joined):
    gateway, client, served = joined()
    served.send_close(1000, "done")
    client.expect_close(1000, "done")
    client.expect_end(timeout=3)
    assert gateway.ending()["held_ms"] < 3000


def test_a_backend_that_never_answers_a_close_is_given_two_seconds_at_most(joined):
    gateway, client, served = joined()
    client.send_close(1000, "done")
    served.expect_close(1000, "done")
    served.expect_end(timeout=3)
    client.expect_close(1000)
    client.expect_end(timeout=3)


def test_what_a_side_sent_before_its_close_is_all_delivered_before_the_close(joined):
    _, client, served = joined()
    data = b"".join(served.frame(BINARY, os.urandom(50_000)) for _ in range(40))

    def send():
        served.send(data + served.frame(CLOSE, close_payload(1000, "all said")))
    threading.Thread(target=send, daemon=True).start()
    assert client.take(len(data)) == data
    client.expect_close(1000, "all said")


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
def test_a_close_code_that_no_endpoint_may_send_is_refused_with_1002_on_both_legs(relay, code):
    gateway, backend = relay()
    client, served = gateway.pair(backend)
    client.send_close(code)
    client.expect_close(1002)
    client.expect_end()
    assert served.read_data().code not in (code, 1005, 1006, 1015)
    client, served = gateway.pair(backend)
    served.send_close(code)
    got = client.read_data()
    assert got.opcode == CLOSE and got.code not in (code, 1005, 1006, 1015), got
    served.expect_close(1002)


# ---- a leg lost without a Close

def test_the_client_gets_1012_when_the_backends_tcp_ends(joined):
    _, client, served = joined()
    served.send_text("last words")
    served.close()
    client.expect_text("last words")
    client.expect_close(1012)
    client.expect_end()


def test_the_client_gets_1012_when_the_backends_tcp_is_reset(joined):
    gateway, client, served = joined()
    served.reset()
    client.expect_close(1012)
    client.expect_end()
    assert gateway.ending()["who"] == "backend"


def test_the_backend_gets_1001_when_the_clients_tcp_ends(joined):
    _, client, served = joined()
    client.send_text("last words")
    client.fin()
    assert served.read_data().payload == b"last words"
    served.expect_close(1001)
    served.expect_end()


def test_the_backend_gets_1001_when_the_clients_tcp_is_reset(joined):
    gateway, client, served = joined()
    client.reset()
    served.expect_close(1001)
    served.expect_end()
    assert gateway.ending()["who"] == "client"


def test_a_client_that_dies_inside_a_frame_leaves_the_backend_only_the_end_of_tcp(joined):
    _, client, served = joined()
    half = client.frame(BINARY, b"x" * 1000)[:500]
    client.send(half)
    assert served.take(400) == half[:400]
    client.close()
    assert served.read_end() == half[400:], "no Close can be put inside a frame"


def test_a_backend_that_dies_inside_a_frame_leaves_the_client_only_the_end_of_tcp(joined):
    _, client, served = joined()
    half = served.frame(BINARY, b"x" * 1000)[:500]
    served.send(half)
    assert client.take(400) == half[:400]
    served.close()
    assert client.read_end() == half[400:]


def test_between_two_fragments_a_close_can_still_be_sent(joined):
    _, client, served = joined()
    first = served.send_frame(TEXT, "begin", fin=False)
    assert client.take(len(first)) == first
    served.close()
    client.expect_close(1012)


def test_a_client_that_ends_its_sending_without_a_close_has_ended_and_what_it_sent_whole_is_delivered(joined):
    _, client, served = joined()
    data = b"".join(client.frame(BINARY, os.urandom(30_000)) for _ in range(20))
    client.send(data)
    client.fin()
    assert served.take(len(data)) == data
    served.expect_close(1001)
    served.expect_end(timeout=3)
    client.read_end(timeout=3)


def test_a_close_waits_for_the_end_of_the_frame_that_is_being_forwarded(joined):
    _, client, served = joined()
    data = served.frame(BINARY, os.urandom(2000))
    served.send(data[:1000])
    assert client.take(1000) == data[:1000]
    client.send_close(1000, "enough")
    served.expect_close(1000, "enough")
    served.send(data[1000:] + frame(CLOSE, close_payload(1000, "enough")))
    assert client.take(len(data) - 1000) == data[1000:], "the frame is whole"
    client.expect_close(1000)
    client.expect_end()


def test_a_close_of_the_backend_waits_for_the_end_of_the_clients_frame(joined):
    _, client, served = joined()
    data = client.frame(BINARY, os.urandom(2000))
    client.send(data[:1000])
    assert served.take(1000) == data[:1000]
    served.send_close(4000, "enough")
    client.expect_close(4000, "enough")
    client.send(data[1000:] + client.frame(CLOSE, close_payload(4000)))
    assert served.take(len(data) - 1000) == data[1000:]
    served.expect_close(4000)


def test_closes_that_cross_each_other_end_both_legs(joined):
    gateway, client, served = joined()
    client.send_close(4001, "client")
    served.send_close(4002, "backend")
    assert client.read_frame().opcode == CLOSE
    assert served.read_frame().opcode == CLOSE
    client.expect_end()
    served.close()
    assert gateway.ending()["code"] in (4001, 4002)


# ---- back-pressure

MEGABYTES = 50


def slow_reader(gateway, source, sink, make):
    """Sends 50 MB of frames into a side nobody reads; returns how the gateway's memory grew, then reads it all."""
    before = gateway.process.memory()
    pieces = [make(os.urandom(1 << 19)) for _ in range(MEGABYTES * 2)]
    sent = []

    def pour():
        for piece in pieces:
            source.sock.settimeout(50)
            source.sock.sendall(piece)
            sent.append(len(piece))
    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    stuck_at = None

    def stuck():  # the sender makes no progress between two looks
        nonlocal stuck_at
        now = (len(sent), socket_queue(source.sock))
        same, stuck_at = now == stuck_at, now
        return same and len(sent) > 0
    wait_for(stuck, "the sender stopped", every=0.3)
    assert thread.is_alive(), "50 MB went into a side nobody reads"
    growth = gateway.process.memory() - before
    digest, total = hashlib.sha256(), sum(map(len, pieces))
    while total:
        data = sink.take(min(total, 1 << 20), timeout=20)
        digest.update(data)
        total -= len(data)
        del sink.received[:sink.at]
        sink.at = 0
    assert digest.digest() == hashlib.sha256(b"".join(pieces)).digest()
    return growth


def socket_queue(sock):
    import array
    import fcntl
    import termios
    left = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left)
    return left[0]


def test_a_client_that_does_not_read_holds_the_backend_back_and_costs_the_gateway_no_memory(joined):
    gateway, client, served = joined()
    assert slow_reader(gateway, served, client, lambda data: frame(BINARY, data)) < 8 << 20


def test_a_backend_that_does_not_read_holds_the_client_back_and_costs_the_gateway_no_memory(joined):
    gateway, client, served = joined()
    assert slow_reader(gateway, client, served, lambda data: frame(BINARY, data, mask=b"\0\0\0\0")) < 8 << 20


@pytest.mark.parametrize("stuck", ["client", "backend"])
def test_a_side_that_stays_stuck_is_ended_after_send_timeout(relay, stuck):
    gateway, backend = relay({"send_timeout": "1s"})
    client, served = gateway.pair(backend)
    source, mask = (served, None) if stuck == "client" else (client, b"\0\0\0\0")

    def pour():
        try:
            while True:
                source.send(frame(BINARY, bytes(1 << 20), mask=mask))
        except OSError:
            pass
    threading.Thread(target=pour, daemon=True).start()
    ending = gateway.wait_endings(1, within=10)[0]
    assert (ending["cause"], ending["who"]) == (f"{stuck}_stuck", stuck), ending
    assert 1000 <= ending["held_ms"] < 8000 and (ending["unacked"] > 0 or stuck == "backend"), ending


def test_one_direction_that_is_stuck_does_not_stop_the_other(joined):
    _, client, served = joined()

    def pour():
        try:
            while True:
                served.send(frame(BINARY, bytes(1 << 20)))
        except OSError:
            pass
    threading.Thread(target=pour, daemon=True).start()  # into a client that does not read
    message = client.send_text("the other way is free")
    assert served.take(len(message)) == message
