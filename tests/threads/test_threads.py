# SPDX-License-Identifier: Apache-2.0
"""Threads against each other: two workers under load, while the main thread reloads, reopens its log, answers the admin
port and drains. Run by tests/run with a build that has ThreadSanitizer: a race anywhere is reported in the log and makes the exit code
other than 0, and Gateway.stop refuses both. The load is bench's, which checks every byte that comes back."""
import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
sys.dont_write_bytecode = True

from harness.certs import Authority  # noqa: E402
from harness import raw  # noqa: E402
from harness.gateway import Gateway  # noqa: E402
from harness.hf1 import Session  # noqa: E402
from harness.process import Process, free_port, wait_for  # noqa: E402

BENCH = ROOT / "build" / "bench"
PATIENCE = 60  # seconds: ThreadSanitizer makes everything ten times slower


class Load:
    """bench-load: connections that are open when it says ready, and work that begins at a word."""

    def __init__(self, port, *words):
        self.popen = subprocess.Popen([str(BENCH / "bench-load"), "--port", str(port), "--timeout", str(PATIENCE), *words],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said = []

    def ready(self):
        line = self.popen.stdout.readline()
        assert line.startswith("ready"), line
        return self

    def begin(self):
        self.popen.stdin.write("go\n")
        self.popen.stdin.flush()
        self.reader = threading.Thread(target=lambda: self.said.append(self.popen.stdout.readline()))
        self.reader.start()
        return self

    def working(self):
        return self.reader.is_alive()

    def result(self):
        self.reader.join(PATIENCE)
        assert not self.reader.is_alive(), "the load did not end"
        return json.loads(self.said[0])

    def end(self):
        self.popen.stdin.close()
        self.popen.wait(PATIENCE)


def stop(g):
    """Ends the gateway; what ThreadSanitizer reported, if anything, is what the test fails with."""
    try:
        g.stop()
    except AssertionError:
        reports = re.findall(r"^WARNING: ThreadSanitizer.*?^SUMMARY[^\n]*", g.log_text(), re.S | re.M)
        if reports:
            raise AssertionError("\n\n".join(reports[:3])) from None
        raise


@pytest.fixture
def scene():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def gateway(tmp_path, scene):
    """A gateway with two workers before bench's backend."""
    port = free_port()
    backend = Process([BENCH / "bench-backend", port], tmp_path, "backend")
    scene.callback(backend.stop, 0)
    backend.wait_listening(("127.0.0.1", port))
    config = {
        "upstream": f"http://127.0.0.1:{port}", "drain": "200ms", "log": {"level": "debug"},
        "heartbeat": {"interval": "50ms", "timeout": "30s"},
        "limits": {"total_connections": 100000, "address_connections": 100000, "route_connections": 100000,
                   "address_handshakes_per_second": 100000, "messages_per_minute": 100000000,
                   "route_handshakes_per_second": 100000, "total_handshakes_per_second": 100000},
    }
    g = Gateway(tmp_path, config=config, workers=2, env={"TSAN_OPTIONS": "halt_on_error=0 exitcode=66"})
    scene.callback(stop, g)
    return g


def start(scene, g, *words):
    load = Load(g.port, *words)
    scene.callback(load.popen.kill)
    return load.ready().begin()


def both_workers_have_some(g):
    return all(g.metric("holdfast_worker_connections_open", worker=n) > 0 for n in "01")


def test_workers_under_load_race_with_no_reload_and_no_admin_page(gateway, scene):
    g = gateway
    quiet = [scene.enter_context(g.client().open("/hold")) for _ in range(8)]
    echo = start(scene, g, "--mode", "echo", "--connections", "40", "--messages", "20000", "--size", "64")
    assert both_workers_have_some(g)
    openings = start(scene, g, "--mode", "handshake", "--connections", "8", "--messages", "400", "--size", "64")
    reloads = 0
    while echo.working() or openings.working() or reloads < 10:
        g.config["message_max"] = f"{1 + reloads % 3}MiB"
        g.config["heartbeat"]["interval"] = f"{50 + reloads % 7}ms"
        g.write(g.config)
        g.process.signal(signal.SIGHUP)
        reloads += 1
        wait_for(lambda: g.metric("holdfast_config_reloads_total") >= reloads, "the reload", PATIENCE)
        for path in ("/api/sessions", "/api/endings", "/metrics", "/readyz"):
            assert g.get(path)[0] == 200
    assert echo.result()["errors"] == 0 and openings.result()["errors"] == 0
    assert g.metric("holdfast_config_reload_failures_total") == 0
    assert g.metric("holdfast_pings_sent_client_total") > 0
    echo.end()
    openings.end()
    for client in quiet:
        client.send_close(1000)
    wait_for(lambda: g.metric("holdfast_worker_connections_open") == 0, "nothing is open", PATIENCE)


def test_certificates_and_listeners_change_under_handshakes(tmp_path, gateway, scene):
    g = gateway
    authority = Authority(tmp_path / "ca")
    certificates = [authority.leaf("one.example"), authority.leaf("two.example")]
    other = free_port()
    handshakes = start(scene, g, "--mode", "handshake", "--connections", "8", "--messages", "600", "--size", "64")
    turn = 0
    while handshakes.working() or turn < 6:
        cert, key = certificates[turn % 2]
        g.config["listen"] = [g.listen] + ([{"address": f"127.0.0.1:{other}", "tls": [{"cert": str(cert), "key": str(key)}]}]
                                           if turn % 3 else [])
        g.write(g.config)
        g.process.signal(signal.SIGHUP)
        turn += 1
        wait_for(lambda: g.metric("holdfast_config_reloads_total") >= turn, "the reload", PATIENCE)
    assert handshakes.result()["errors"] == 0
    handshakes.end()


def test_a_drain_races_with_neither_worker(gateway, scene):
    g = gateway
    clients = [scene.enter_context(g.client().open("/hold")) for _ in range(40)]
    assert both_workers_have_some(g)
    g.process.signal(signal.SIGUSR1)
    g.process.signal(signal.SIGTERM)
    for client in clients:
        client.expect_close(1012, timeout=PATIENCE)
    wait_for(lambda: not g.process.running(), "the gateway ends", PATIENCE)
    assert g.process.popen.returncode == 0, g.process.tail()
    ends = g.log_lines("ws end")
    assert len(ends) == 40 and {line["cause"] for line in ends} == {"drain"}


def live_a_while(address, rounds, counts):
    """One session: each round a message there and back, a cut, and a resume, at whichever worker the kernel chooses."""
    s = Session(address)
    assert s.open().verb == "hello"
    for i in range(rounds):
        s.c.give(f"round {i}")
        assert s.message(PATIENCE).payload == f"round {i}".encode()
        s.cut()
        hello = s.resume()
        assert (hello.resumed, hello.received, hello.sent) == (1, i + 1, i + 1), hello
    s.c.say("bye", code=1000)
    assert s.c.closes(PATIENCE).code == 1000
    counts.append(rounds)


def test_sessions_move_between_workers_while_the_configuration_and_the_pages_change(tmp_path, scene):
    b = raw.Backend(raw.echo)
    scene.callback(b.stop)
    g = Gateway(tmp_path, b.url, config={"session": {"beat": "100ms", "memory": "2MiB"}}, workers=2,
                env={"TSAN_OPTIONS": "halt_on_error=0 exitcode=66"})
    scene.callback(stop, g)
    counts = []
    threads = [threading.Thread(target=live_a_while, args=(g.address, 20, counts)) for _ in range(12)]
    for thread in threads:
        thread.start()
    reloads = 0
    while any(thread.is_alive() for thread in threads) or reloads < 5:
        g.config["session"]["window"] = f"{60 + reloads % 5}s"
        g.write(g.config)
        g.process.signal(signal.SIGHUP)
        reloads += 1
        wait_for(lambda: g.metric("holdfast_config_reloads_total") >= reloads, "the reload", PATIENCE)
        for path in ("/api/sessions", "/api/endings", "/metrics"):
            assert g.get(path)[0] == 200
    assert counts == [20] * 12
    assert g.metric("holdfast_session_resumes_total", outcome="ok") == 240
    assert len(b.connections) == 12


def test_a_drain_finds_sessions_that_are_attached_parked_and_on_their_way(tmp_path, scene):
    b = raw.Backend(raw.echo)
    scene.callback(b.stop)
    g = Gateway(tmp_path, b.url, config={"drain": "200ms"}, workers=2, env={"TSAN_OPTIONS": "halt_on_error=0 exitcode=66"})
    scene.callback(stop, g)
    sessions = [Session(g.address) for _ in range(20)]
    for i, s in enumerate(sessions):
        assert s.open().verb == "hello"
        if i % 2:
            s.cut()
    under_way = [s.knock_again() for s in sessions[1::4]]
    g.process.signal(signal.SIGTERM)
    for s in sessions[::2]:
        assert s.c.expect("goaway", PATIENCE) and s.c.expect("end", PATIENCE).reason == "drain"
    wait_for(lambda: not g.process.running(), "the gateway ends", PATIENCE)
    assert g.process.popen.returncode == 0, g.process.tail()
    for c in under_way:
        c.close()
