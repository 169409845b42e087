# SPDX-License-Identifier: Apache-2.0
"""The middlebox that cuts does what the drop tests believe it does."""
import select
import socket
import struct
import threading
import time

import pytest

from harness.drops import Box

MAX_AGE = 400  # ms
COUNT = 60


class Pairs:
    """COUNT connections through a box: what each end sees."""

    def __init__(self, tmp_path, scene, *words, greeting=b""):
        self.greeting = greeting  # what the far end sends at once
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=COUNT)
        scene.callback(self.listener.close)
        self.served = []
        scene.callback(lambda: [s.close() for s in self.served])
        self.box = Box(tmp_path, self.listener.getsockname()[1], *words)
        scene.callback(self.box.stop)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                served = self.listener.accept()[0]
                self.served.append(served)
                self.greet(served)
        except OSError:
            pass

    def greet(self, served):
        try:
            served.sendall(self.greeting)
        except OSError:
            pass  # cut already

    def open(self, scene, count=COUNT):
        clients = [socket.create_connection(self.box.address) for _ in range(count)]
        for c in clients:
            scene.callback(c.close)
        return clients


def end_of(s, within):
    """"fin", "rst", or None while it stands; what comes before is thrown away."""
    stop = time.monotonic() + within
    while True:
        if not select.select([s], [], [], max(0, stop - time.monotonic()))[0]:
            return None
        try:
            if s.recv(65536) == b"":
                return "fin"
        except ConnectionResetError:
            return "rst"


def ends_of(sockets, within):
    stop = time.monotonic() + within
    return [end_of(s, max(0, stop - time.monotonic())) for s in sockets]


def test_a_box_that_does_not_cut_passes_every_byte_on_in_both_directions(tmp_path, scene):
    pairs = Pairs(tmp_path, scene, "--max-age", "0")
    (client,) = pairs.open(scene, 1)
    sent = bytes(range(256)) * 40000  # beyond what the sockets hold

    def echo():
        while not pairs.served:
            time.sleep(0.001)
        served = pairs.served[0]
        time.sleep(0.3)  # so that the box has to hold bytes back
        while got := served.recv(65536):
            served.sendall(got)
        served.shutdown(socket.SHUT_WR)

    def write():
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
    for work in (echo, write):
        threading.Thread(target=work, daemon=True).start()
    came = bytearray()
    while got := client.recv(65536):
        came += got
    assert came == sent
    counts = pairs.box.ask("stats")
    assert (counts["accepted"], counts["cuts"], counts["bytes_from_clients"]) == (1, 0, len(sent)), counts


@pytest.mark.parametrize("mode, near, far", [("rst", {"rst"}, {"rst"}), ("fin", {"fin"}, {"fin"}), ("blackhole", {None}, {None}),
                                             ("half", {"rst", None}, {"rst", None})])
def test_every_connection_is_cut_before_its_maximum_age_in_the_manner_asked_for(tmp_path, scene, mode, near, far):
    pairs = Pairs(tmp_path, scene, "--min-age", MAX_AGE // 2, "--max-age", MAX_AGE, "--early", "0", "--mode", mode)
    clients = pairs.open(scene)
    time.sleep(MAX_AGE / 1000 + 0.1)  # the age itself is what is tested
    seen = list(zip(ends_of(clients, 0.1), ends_of(pairs.served, 0.1)))
    counts = pairs.box.ask("stats")
    assert counts["cuts"] == counts[mode] == COUNT, counts
    assert {a for a, _ in seen} == near and {b for _, b in seen} == far, seen
    if mode == "half":  # exactly one of the two ends hears of it
        assert len([1 for c in clients if end_of(c, 0)]) + len([1 for s in pairs.served if end_of(s, 0)]) == COUNT
    if mode in ("blackhole", "half"):
        standing = [(c, i) for i, c in enumerate(clients) if end_of(c, 0) is None]
        for c, _ in standing:
            c.sendall(b"x" * 1000)  # goes nowhere, without an error
        assert not [1 for s in pairs.served if select.select([s], [], [], 0)[0] and s.recv(1) not in (b"",)]


def test_early_cuts_come_at_once_or_inside_the_first_bytes(tmp_path, scene):
    pairs = Pairs(tmp_path, scene, "--max-age", "60000", "--early", "100", "--seed", "7", greeting=b"z" * 3000)
    clients = pairs.open(scene)
    alive = []
    for c in clients:
        try:
            c.sendall(b"y" * 3000)
            alive.append(c)
        except OSError:
            pass
    assert set(ends_of(alive, 3)) == {"rst"}
    counts = pairs.box.ask("stats")
    assert counts["cuts"] == counts["accepted"] == COUNT and 0 < counts["cut_at_once"] < COUNT / 4, counts
    assert counts["bytes_from_clients"] + counts["bytes_from_target"] <= (1200 + 3000) * COUNT, counts


def test_cut_cuts_all_at_one_instant_and_quiet_ends_all_cutting(tmp_path, scene):
    pairs = Pairs(tmp_path, scene, "--max-age", "0")
    clients = pairs.open(scene)
    while pairs.box.ask("stats")["accepted"] < COUNT or len(pairs.served) < COUNT:
        time.sleep(0.01)
    begun = time.monotonic()
    assert pairs.box.ask("cut")["cuts"] == COUNT
    assert ends_of(clients + pairs.served, 1) == ["rst"] * 2 * COUNT and time.monotonic() - begun < 1
    other = Pairs(tmp_path, scene, "--max-age", "200")
    other.box.ask("quiet")
    assert ends_of(other.open(scene), 0.4) == [None] * COUNT


def test_a_reset_of_either_end_is_passed_on(tmp_path, scene):
    pairs = Pairs(tmp_path, scene, "--max-age", "0")
    for near in (True, False):
        (client,) = pairs.open(scene, 1)
        client.sendall(b"1")
        while not pairs.served:
            time.sleep(0.001)
        served = pairs.served.pop()
        assert served.recv(1) == b"1"
        gone, left = (client, served) if near else (served, client)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        assert end_of(left, 3) == "rst"
