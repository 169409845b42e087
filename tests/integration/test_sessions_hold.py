# SPDX-License-Identifier: Apache-2.0
"""Backends that are killed and started anew under `on_backend_loss: hold`: clients with and without sessions see no close, and sessions are
told which of their messages are uncertain, which the backends' own books confirm."""
import os
import signal
import time

import pytest

from harness import servers
from harness.drops import Clients, Run, book
from harness.process import wait_for

BACKENDS = ["daphne", "uvicorn"]


def log_of(path):
    """{session: [[numbers that came over its first backend process], [over the next], …]}, and the words of disconnects."""
    seen, disconnects, order = {}, [], []
    for line in path.read_text().splitlines():
        _, pid, name, *words = line.split()
        if pid not in order:
            order.append(pid)
        if words[0] == "take":
            of = seen.setdefault(name, [])
            while len(of) <= order.index(pid):
                of.append([])
            of[order.index(pid)].append(int(words[1]))
        elif words[0] == "disconnect":
            disconnects.append((order.index(pid), name, words[1]))
    return seen, disconnects


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("cuts", [False, True], ids=["steady", "cut"])
def test_clients_of_a_backend_that_is_killed_and_restarted_under_hold_see_no_close(tmp_path, scene, kind, cuts):
    count, log = 20, tmp_path / "book"
    box = ["--max-age", 3000 if cuts else 0, "--seed", 11]
    with Run(tmp_path, kind, count, 100, box, config={"on_backend_loss": "hold"}, log=log) as run:
        plain = Clients(tmp_path, run.gateway.port, "--kind", "plain", "--count", count, "--every", 100, "--restarts", "--path",
                        "/ws/numbers/?session=p{n}&every_ms=100")
        scene.callback(plain.stop)
        for clients in (run.clients, plain):
            clients.wait(lambda s: s["received"] > 10 * count, "messages flow", 20)
        os.kill(run.backend.process.pid, signal.SIGKILL)
        run.backend.stop()
        sent = run.clients.stats()["sent"]
        run.clients.wait(lambda s: s["sent"] > sent + 5 * count, "clients go on sending into the hold", 10)
        run.backend = servers.numbers(tmp_path, kind, port=run.backend.port, log=log).wait()
        stats = run.clients.wait(lambda s: s["rebounds"] == count, "every session has got another backend connection", 30)
        received = stats["received"], plain.stats()["received"]
        for clients, before in zip((run.clients, plain), received):
            clients.wait(lambda s: s["received"] > before + 10 * count, "messages flow again", 20)
        run.box.ask("quiet")
        plain.ask("end")
        plain_stats = plain.wait(lambda s: s["done"] == count, "the plain clients have ended", 30)
        run.clients.ask("end")
        stats = run.clients.wait(lambda s: s["done"] == count, "the clients have ended", 30)
        for s in (stats, plain_stats):
            assert (s["closes_early"], s["sessions_lost"]) == (0, 0), s
            assert (s["lost"], s["doubled"], s["reordered"], s["changed"]) == (0, 0, 0, 0), s
        assert (stats["rebounds"], plain_stats["restarts"]) == (count, count), (stats, plain_stats)
        total, _ = book(run.backend)
        assert (total["connects"], total["early"]) == (2 * count, 0), total
        wait_for(lambda: len(log_of(log)[1]) == 2 * count, "goodbyes are in the book")
        seen, _ = log_of(log)
        for client, start, to in stats["risks"]:
            first, second = seen[str(client)]
            assert second == list(range(to + 1, to + 1 + len(second))), (client, start, to, second[:3])
            assert first == list(range(1, len(first) + 1)) and start <= len(first) <= to, (client, start, to, first[-3:])




def test_a_crowd_that_is_held_asks_the_backend_that_came_back_in_turn(relay):
    g, b = relay({"on_backend_loss": "hold", "hold": {"backoff_max": "100ms"}}, workers=1)
    pairs = [g.pair(b) for _ in range(200)]
    for _, served in pairs:
        served.reset()
    wait_for(lambda: b.waiting.qsize() >= 128, lambda: f"{b.waiting.qsize()} ask")
    time.sleep(0.5)  # no more come while none is answered
    assert b.waiting.qsize() == 128
    came = []
    for _ in range(200):
        came.append(b.next())
        came[-1].upgrade()
    for client, _ in pairs:
        client.send_text("still here")
    for served in came:
        served.expect_text("still here")
