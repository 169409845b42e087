# SPDX-License-Identifier: Apache-2.0
"""Heartbeats on the wire, each leg for itself."""
import threading
import time

import pytest

from harness import raw
from harness.process import wait_for
from harness.raw import BINARY, CLOSE, PING, PONG, TEXT, Ended, frame


def beats(*flags):
    words = []
    for name, value in zip(flags[::2], flags[1::2]):
        words += [f"--heartbeat-{name}", value]
    return words


def listen(peer, seconds, answer=True, say_every=None):
    """Reads a peer for so long: (times of its pings, the frame that ended it or None). say_every: it talks on its own."""
    start, pings, spoken = time.monotonic(), [], time.monotonic()
    while True:
        left = start + seconds - time.monotonic()
        if left <= 0:
            return pings, None
        try:
            f = peer.read_frame(min(left, say_every or left))
        except Ended:
            return pings, "tcp"
        except AssertionError:
            f = None
        if f is not None and f.opcode == PING:
            pings.append(time.monotonic() - start)
            if answer:
                peer.send_frame(PONG, f.payload)
        elif f is not None and f.opcode == CLOSE:
            return pings, f
        if say_every and time.monotonic() - spoken >= say_every:
            spoken = time.monotonic()
            peer.send_text("talk")


def side_by_side(*calls):
    """Runs them in threads; their results in order."""
    results = [None] * len(calls)

    def run(i, call):
        results[i] = call()
    threads = [threading.Thread(target=run, args=(i, c)) for i, c in enumerate(calls)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def gaps(times):
    return [b - a for a, b in zip([0.0] + times, times)]


@pytest.mark.parametrize("timeout", ["100ms", "10s"])
def test_pings_keep_their_interval_whether_the_timeout_is_shorter_or_longer(joined, timeout):
    _, client, served = joined(flags=beats("interval", "200ms", "timeout", timeout, "jitter", "0"))
    for pings, end in side_by_side(lambda: listen(client, 2), lambda: listen(served, 2)):
        assert end is None and 7 <= len(pings) <= 10, (pings, end)
        assert max(gaps(pings)) < 0.4, pings


def test_the_jitter_spreads_the_pings_by_its_share_and_only_earlier(joined):
    _, client, served = joined(flags=beats("interval", "200ms", "timeout", "1s", "jitter", "50"))
    (pings, _), _ = side_by_side(lambda: listen(client, 2), lambda: listen(served, 2))
    seen = gaps(pings)
    assert all(0.09 <= gap <= 0.26 for gap in seen), seen
    assert max(seen) - min(seen) > 0.02, f"no spread: {seen}"


def test_each_leg_has_its_own_interval(joined):
    _, client, served = joined(flags=beats("client-interval", "150ms", "backend-interval", "600ms", "jitter", "0"))
    (to_client, _), (to_backend, _) = side_by_side(lambda: listen(client, 2), lambda: listen(served, 2))
    assert 10 <= len(to_client) <= 14 and 2 <= len(to_backend) <= 4, (to_client, to_backend)


def test_interval_0_means_no_ping_at_all(joined):
    _, client, served = joined(flags=beats("interval", "0s"))
    side_by_side(lambda: client.silent(0.7), lambda: served.silent(0.7))


def test_a_connection_that_talks_both_ways_needs_no_ping(joined):
    _, client, served = joined(flags=beats("interval", "400ms", "timeout", "1s", "jitter", "0"))
    (to_client, one), (to_backend, two) = side_by_side(
        lambda: listen(client, 1.5, say_every=0.1), lambda: listen(served, 1.5, say_every=0.1))
    assert (to_client, to_backend, one, two) == ([], [], None, None)


def test_a_side_that_only_listens_is_pinged_although_it_is_sent_much(joined):
    """Nothing was heard of it for the interval: what is sent to it proves nothing."""
    _, client, served = joined(flags=beats("interval", "300ms", "timeout", "1s", "jitter", "0"))
    (to_client, _), _ = side_by_side(lambda: listen(client, 1.5), lambda: listen(served, 1.5, say_every=0.05))
    assert 3 <= len(to_client) <= 6, to_client


def test_any_byte_is_a_sign_of_life_not_only_a_pong(joined):
    gateway, client, served = joined(flags=beats("interval", "200ms", "timeout", "300ms"))
    (_, one), (_, two) = side_by_side(lambda: listen(client, 1.5, answer=False, say_every=0.1), lambda: listen(served, 1.5))
    assert (one, two) == (None, None)
    assert gateway.sessions()


def test_a_backend_that_does_not_answer_is_given_up_and_the_client_is_told_1012(joined):
    gateway, client, served = joined(flags=beats("interval", "200ms", "timeout", "300ms"))
    (_, told), _ = side_by_side(lambda: listen(client, 4), lambda: listen(served, 1, answer=False))
    assert told is not None and told.code == 1012
    ending = gateway.ending()
    assert (ending["cause"], ending["who"]) == ("backend_heartbeat", "backend"), ending
    assert 400 <= ending["silent_rx_ms"] <= 1500, ending


def test_a_backend_that_is_busy_with_one_long_frame_is_alive(joined):
    """Bytes of half a frame are a sign of life, and no ping is put inside the frame that goes to the client."""
    gateway, client, served = joined(flags=beats("interval", "200ms", "timeout", "400ms"))
    data = frame(BINARY, bytes(1500))

    def drip():
        for i in range(0, len(data), 100):
            served.send(data[i:i + 100])
            try:
                served.read_frame(0.1)  # a ping, which it cannot answer inside its frame
            except AssertionError:
                pass
    thread = threading.Thread(target=drip)
    thread.start()
    got = client.take(len(data), timeout=8)
    thread.join()
    assert got == data
    assert gateway.sessions()


def test_the_round_trip_of_each_leg_is_shown(joined):
    gateway, client, served = joined(flags=beats("interval", "100ms", "timeout", "2s"))

    def slow(peer):
        f = peer.read_frame()
        assert f.opcode == PING
        try:
            peer.read_frame(0.15)  # it thinks before it answers
        except AssertionError:
            pass
        peer.send_frame(PONG, f.payload)
    side_by_side(lambda: slow(client), lambda: listen(served, 0.6))
    client.send_close(1000)
    rtt = gateway.ending()["rtt_ms"]
    assert 100 <= rtt < 1500, rtt


def test_a_client_that_is_held_back_by_the_backend_is_not_judged(joined):
    """The gateway does not read the client, because the backend takes nothing: that is not the client's silence."""
    gateway, client, served = joined(flags=[*beats("client-interval", "200ms", "client-timeout", "300ms",
                                                   "backend-interval", "0s"), "--send-timeout", "20s"])

    def pour():
        try:
            while True:
                client.send(frame(BINARY, bytes(500_000), mask=b"\0\0\0\0"))
        except OSError:
            pass
    threading.Thread(target=pour, daemon=True).start()
    start = time.monotonic()
    wait_for(lambda: time.monotonic() - start > 2 or gateway.endings(), "two seconds pass, or it ends", every=0.1)
    assert gateway.endings() == [], gateway.endings()
    assert len(gateway.sessions()) == 1


def test_the_edge_heartbeat_leaves_other_texts_and_fragments_alone(gateway, backend):
    b = backend()
    g = gateway(config={"upstream": b.url, "app_heartbeat": {"match": "ping", "answer": "pong"}})
    client, served = g.pair(b)
    client.send_text("ping")
    client.expect_text("pong")
    data = client.frame(TEXT, "pin", fin=False) + client.frame(0, "g") + client.frame(BINARY, b"ping") + client.frame(TEXT, "pings")
    data += client.frame(TEXT, "Ping")
    client.send(data)
    assert served.take(len(data)) == data
    client.send_slowly(client.frame(TEXT, "ping"))
    client.expect_text("pong")
