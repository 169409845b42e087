# SPDX-License-Identifier: Apache-2.0
"""Behind, and in front of, a real nginx and a real HAProxy that cut silent connections after 5 s. An idle connection dies
there without heartbeats and lives with them. All cases wait side by side, so the file costs one wait."""
import threading
import time

import pytest

from harness import raw, servers
from harness.process import accepts, wait_for
from harness.raw import CLOSE, PING, PONG, Client, Ended

HELD = 12.0  # seconds, with a limit of 5


def answering(peer, seconds):
    """Plays an idle application or client: answers pings, says nothing. Returns how long it lived, and the Close's code."""
    start = time.monotonic()
    try:
        while True:
            left = seconds - (time.monotonic() - start)
            if left <= 0:
                return seconds, None
            f = peer.read_frame(left)
            if f.opcode == PING:
                peer.send_frame(PONG, f.payload)
            elif f.opcode == CLOSE:
                return time.monotonic() - start, f.code
    except Ended:
        return time.monotonic() - start, "tcp"
    except AssertionError:
        return seconds, None


def idle_app(served):
    served.upgrade()
    answering(served, 3600)


CASES = [(box, place, interval) for box in ("nginx", "haproxy") for place in ("before", "behind")
         for interval in ("0s", "1s")]


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """(box, place, heartbeat interval) -> (seconds lived, how it ended, its ending record); place is the box's."""
    from harness.gateway import Gateway
    folder = tmp_path_factory.mktemp("boxes")
    app = raw.Backend(idle_app)
    running, results, failures = [app], {}, []

    def run(case):
        box, place, interval = case
        make = {"nginx": servers.nginx, "haproxy": servers.haproxy}[box]
        try:
            flags = ["--heartbeat-interval", interval]  # the timeout stays 10 s, longer than the interval
            if place == "before":
                gateway = Gateway(folder, app.url, flags=flags)
                running.append(gateway)
                proxy = make(folder, gateway.port)
                running.append(proxy)
                client = Client(proxy.wait().address).open("/ws")
            else:
                proxy = make(folder, app.address[1])
                running.append(proxy)
                gateway = Gateway(folder, proxy.wait().url, flags=flags)
                running.append(gateway)
                client = Client(gateway.address).open("/ws")
            lived, how = answering(client, HELD)
            ending = gateway.wait_endings(1, 3)[0] if how else None
            sessions = gateway.sessions()
            client.close()
            results[case] = (lived, how, ending, sessions)
        except Exception as error:  # shown by the test of that case
            results[case] = error
            failures.append(error)
    threads = [threading.Thread(target=run, args=(case,)) for case in CASES]
    for t in threads:
        t.start()
    for t in threads:
        t.join(40)
    yield results
    for thing in reversed(running):
        thing.stop()


def outcome(lives, case):
    if isinstance(lives[case], Exception):
        raise lives[case]
    return lives[case]


@pytest.mark.parametrize("box", ["nginx", "haproxy"])
def test_an_idle_connection_through_a_box_before_the_gateway_dies_without_heartbeats(lives, box):
    lived, how, ending, _ = outcome(lives, (box, "before", "0s"))
    assert 4 < lived < 8 and how is not None
    assert ending["who"] != "backend" and ending["silent_rx_ms"] >= 4000, ending


@pytest.mark.parametrize("box", ["nginx", "haproxy"])
def test_an_idle_connection_through_a_box_before_the_gateway_lives_with_heartbeats(lives, box):
    lived, how, _, sessions = outcome(lives, (box, "before", "1s"))
    assert (lived, how) == (HELD, None) and len(sessions) == 1


@pytest.mark.parametrize("box", ["nginx", "haproxy"])
def test_an_idle_connection_through_a_box_behind_the_gateway_dies_without_heartbeats_and_the_client_is_told(lives, box):
    lived, how, ending, _ = outcome(lives, (box, "behind", "0s"))
    assert 4 < lived < 8 and how == 1012
    assert ending["who"] == "backend", ending


@pytest.mark.parametrize("box", ["nginx", "haproxy"])
def test_an_idle_connection_through_a_box_behind_the_gateway_lives_with_heartbeats(lives, box):
    lived, how, _, sessions = outcome(lives, (box, "behind", "1s"))
    assert (lived, how) == (HELD, None) and len(sessions) == 1


@pytest.mark.parametrize("make", [servers.nginx, servers.haproxy])
def test_a_refusal_of_the_app_passes_the_gateway_and_the_box(tmp_path, gateway, inbox, scene, make):
    g = gateway(inbox.url)
    proxy = make(tmp_path, g.port)
    scene.callback(proxy.stop)
    wait_for(lambda: accepts(proxy.address), "the box listens")
    assert Client(proxy.address).ask("/ws/inbox/?token=no").status == 403
