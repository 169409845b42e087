# SPDX-License-Identifier: Apache-2.0
"""`holdfast bench`: its numbers against what the server counted, the omission it does not make, and the ledger of what ended."""
import json
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from harness import raw, servers
from harness.connect import environment
from harness.gateway import BINARY
from harness.process import free_port, wait_for
from harness.raw import CLOSE, PING, PONG, TEXT


class Benched:
    def __init__(self, done):
        self.code, self.err = done.returncode, done.stderr
        self.lines = [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def summary(self):
        assert self.lines and self.lines[-1]["type"] == "summary" and self.lines[-1]["v"] == 1, (self.lines, self.err)
        return self.lines[-1]


def run(*words):
    return subprocess.run([BINARY, "bench", *map(str, words)], capture_output=True, text=True, timeout=50, env=environment(),
                          stdin=subprocess.DEVNULL)


def bench(*words):
    return Benched(run("--json", *words))


def ws(backend):
    return backend.url.replace("http", "ws", 1)


# ---- the modes, before real servers

@pytest.mark.parametrize("kind", ["echo", "node"])
def test_echo_sends_again_when_the_answer_came(request, kind):
    server = request.getfixturevalue(kind)
    b = bench("-c", "4", "--threads", "2", "-d", "700ms", "--size", "200B", server.ws)
    s = b.summary
    assert b.code == 0, s
    assert s["opened"] == 4 and s["sent"] == s["answered"] > 50 and s["unanswered"] == s["extra"] == s["dropped"] == 0
    assert s["bytes_sent"] == s["bytes_got"] == 200 * s["sent"]
    h = s["latency_ms"]
    assert h["count"] == s["answered"] and 0 < h["min"] <= h["p50"] <= h["p90"] <= h["p99"] <= h["p99_9"] <= h["p99_99"] <= h["max"]
    assert s["handshake_ms"]["count"] == 4


def test_a_rate_is_kept_and_its_messages_are_spread_over_all_connections(backend):
    seen = {}

    def script(connection):
        connection.upgrade()
        while True:
            frame = connection.read_frame()
            if frame.opcode == CLOSE:
                connection.send_frame(CLOSE, frame.payload)
                return
            seen[id(connection)] = seen.get(id(connection), 0) + 1
            connection.send_frame(TEXT, frame.payload)
    b = backend(script)
    r = bench("-M", "rate", "--rate", "100", "-c", "5", "--threads", "2", "-d", "1s", ws(b))
    s = r.summary
    assert r.code == 0 and s["sent"] == s["answered"] == 100, s
    assert sorted(seen.values()) == [20] * 5
    assert s["uncorrected_ms"]["max"] <= s["latency_ms"]["max"] and s["late_ms"]["count"] == 100


def test_an_open_loop_does_not_leave_out_what_had_to_wait(backend):
    """The server sleeps for 600 ms once: a closed loop would have measured one slow answer, the schedule has sixty."""
    def script(connection):
        connection.upgrade()
        count = 0
        while True:
            frame = connection.read_frame()
            if frame.opcode == CLOSE:
                connection.send_frame(CLOSE, frame.payload)
                return
            count += 1
            if count == 20:
                time.sleep(0.6)
            connection.send_frame(TEXT, frame.payload)
    b = backend(script)
    closed = bench("-c", "1", "-d", "1s", ws(b)).summary
    open_loop = bench("-M", "rate", "--rate", "100", "-c", "1", "-d", "1200ms", ws(b)).summary
    assert closed["latency_ms"]["max"] >= 600 and closed["latency_ms"]["p90"] < 100
    assert open_loop["latency_ms"]["max"] >= 600 and open_loop["latency_ms"]["p90"] > 150, open_loop


def test_messages_that_are_due_while_nothing_is_sent_count_from_when_they_were_due(tmp_path):
    """The bench itself is held up (SIGSTOP): what went out late was late, and only the corrected latency says so."""
    server = servers.echo(tmp_path)
    server.wait()
    try:
        process = subprocess.Popen([BINARY, "bench", "--json", "-M", "rate", "--rate", "200", "-c", "2", "-d", "2s", server.ws],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        assert json.loads(process.stdout.readline())["type"] == "start"
        assert json.loads(process.stdout.readline())["sent"] > 0
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=30)
    finally:
        server.stop()
    s = json.loads(out.splitlines()[-1])
    assert s["sent"] == s["answered"] == 400, (s, err)
    assert s["late_ms"]["max"] > 300 and s["latency_ms"]["max"] > 300
    assert s["latency_ms"]["p90"] > s["uncorrected_ms"]["p90"]


def test_a_storm_is_handshakes_and_each_is_closed_in_order(backend):
    codes = []

    def script(connection):
        connection.upgrade()
        frame = connection.read_frame()
        codes.append(frame.code)
        connection.send_frame(CLOSE, frame.payload)
    b = backend(script)
    r = bench("-M", "storm", "--rate", "50", "-c", "10", "-d", "1s", ws(b))
    s = r.summary
    assert r.code == 0 and 47 <= s["opened"] <= 50 and s["failed"] == 0 and s["handshake_ms"]["count"] == s["opened"], s
    wait_for(lambda: len(codes) == s["opened"], "the Closes come")
    assert set(codes) == {1000}
    fast = bench("-M", "storm", "-c", "4", "-d", "500ms", ws(b)).summary
    assert fast["opened"] > 25 and fast["rate"] == pytest.approx(fast["opened"] / fast["measured_s"], rel=0.01)


def test_a_stream_is_counted_while_it_is_measured(echo):
    r = bench("-M", "stream", "--say", "chunks 200000", "-c", "2", "-d", "500ms", echo.ws)
    s = r.summary
    assert r.code == 0 and s["got"] > 100 and s["bytes_got"] > 6 * s["got"] and s["gap_ms"]["count"] > 100 and s["sent"] == 0


def test_held_connections_are_pinged_and_counted(echo):
    r = bench("-M", "hold", "--ping", "100ms", "-c", "20", "-d", "700ms", echo.ws)
    s = r.summary
    assert r.code == 0 and s["opened"] == 20 and s["latency_ms"]["count"] >= 20 * 3


def test_it_goes_through_nginx_and_over_tls(tmp_path, scene, echo, authority, backend):
    nginx = servers.nginx(tmp_path, echo.port)
    scene.callback(nginx.stop)
    nginx.wait()
    assert bench("-c", "3", "-d", "300ms", nginx.ws).code == 0
    b = backend(raw.echo, tls=authority.server_context("localhost"))
    r = bench("-c", "2", "-d", "300ms", "--cacert", authority.cert, f"wss://localhost:{b.address[1]}/")
    assert r.code == 0 and r.summary["answered"] > 5


def test_uvicorn_and_daphne_answer_under_load(tmp_path, scene):
    for kind in ("uvicorn", "daphne"):
        server = servers.numbers(tmp_path, kind)
        scene.callback(server.stop)
        server.wait()
        s = bench("-c", "3", "-d", "400ms", "-m", "5:hello", server.ws + "/ws/numbers/").summary
        assert s["opened"] == 3 and s["failed"] == 0, (kind, s)


# ---- what ends

def test_the_ledger_says_how_many_ended_at_which_age_how_and_by_whom(backend):
    def script(connection):
        connection.upgrade()
        threading.Timer(0.3, lambda: connection.send_close(1012, b"restart")).start()
        while True:
            frame = connection.read_frame()
            if frame.opcode == CLOSE:
                return
            if frame.opcode == PING:
                connection.send_frame(PONG, frame.payload)
    b = backend(script)
    r = bench("-M", "hold", "-c", "6", "-d", "900ms", "--no-reconnect", ws(b))
    s = r.summary
    assert r.code == 1 and s["dropped"] == 6 and len(s["drops"]) == 1, s
    d = s["drops"][0]
    assert (d["count"], d["how"], d["code"], d["reason"], d["who"]) == (6, "close", 1012, "restart", "server")
    assert 250 <= d["age_min_ms"] <= d["age_median_ms"] <= d["age_max_ms"] < 3000
    text = run("-M", "hold", "-c", "6", "-d", "600ms", "--no-reconnect", ws(b))
    assert text.returncode == 1 and re.search(r"^ *6 +close +1012 .* server: restart", text.stdout, re.M), text.stdout


def test_what_was_under_way_on_a_lost_connection_is_not_answered_and_it_comes_again(backend):
    def script(connection):
        connection.upgrade()
        for _ in range(3):
            connection.send_frame(TEXT, connection.read_frame().payload)
        connection.read_frame()
        connection.reset()
    b = backend(script)
    s = bench("-c", "2", "-d", "1800ms", ws(b)).summary
    assert s["dropped"] >= 4 and s["unanswered"] == s["dropped"] and s["answered"] == 3 * s["dropped"], s
    assert {d["how"] for d in s["drops"]} == {"rst"}


def test_refusals_are_counted_and_when_nothing_opens_it_ends_with_3(backend):
    b = backend(lambda c: c.answer(503, b"busy"))
    r = bench("-c", "3", "-d", "300ms", ws(b))
    assert r.code == 3 and r.summary["failed"] >= 3 and r.summary["drops"][0]["http"] == 503
    r = bench("-c", "2", "-d", "300ms", f"ws://127.0.0.1:{free_port()}")
    assert r.code == 3 and r.summary["drops"][0]["how"] == "refused"


def test_a_server_that_does_not_answer_is_a_finding(backend):
    def script(connection):
        connection.upgrade()
        while connection.read_frame().opcode != CLOSE:
            pass
    b = backend(script)
    r = bench("-M", "rate", "--rate", "20", "-c", "2", "-d", "500ms", "--answer-timeout", "300ms", ws(b))
    assert r.code == 1 and r.summary["answered"] == 0 and r.summary["unanswered"] == r.summary["sent"] == 10
    text = run("-d", "300ms", "--answer-timeout", "200ms", "-c", "1", ws(b))
    assert text.returncode == 1 and "nothing was answered" in text.stdout


def test_messages_beside_the_answers_are_told_and_do_not_pass_for_them(backend):
    def script(connection):
        connection.upgrade()
        while True:
            frame = connection.read_frame()
            if frame.opcode == CLOSE:
                connection.send_frame(CLOSE, frame.payload)
                return
            connection.send_frame(TEXT, frame.payload)
            connection.send_frame(TEXT, frame.payload)
    b = backend(script)
    s = bench("-M", "rate", "--rate", "50", "-c", "1", "-d", "500ms", ws(b)).summary
    assert s["answered"] == 25 and s["extra"] == 25 and s["latency_ms"]["count"] == 25, s


def test_an_interrupt_ends_it_with_what_there_was(echo):
    process = subprocess.Popen([BINARY, "bench", "-d", "1h", "-c", "2", echo.ws], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment())
    assert process.stdout.readline().startswith("echo ")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "2 connections opened" in out and "p99.99" in out and "\033" not in out + err


# ---- words

@pytest.mark.parametrize("words, complaint", [
    (["-c", "11", "-M", "hold", "ws://example.test"], "--allow-load"), (["ws://example.test"], "--allow-load"),
    (["-M", "rate", "--rate", "11", "ws://192.0.2.1"], "--allow-load"), (["-M", "storm", "ws://[2001:db8::1]"], "--allow-load"),
    (["--proxy", "http://192.0.2.1:3128", "ws://127.0.0.1"], "--allow-load"), (["-M", "rate", "ws://127.0.0.1"], "wants --rate"),
    (["--rate", "5", "ws://127.0.0.1"], "--mode rate"), (["-M", "what", "ws://127.0.0.1"], "storm"), ([], "which URL?"),
    (["-c", "0", "ws://127.0.0.1"], "from 1"), (["-d", "5", "ws://127.0.0.1"], "a time has a unit"), (["--rate", "x", "ws://127.0.0.1"], "above 0"),
    (["-m", "a", "--size", "1KiB", "ws://127.0.0.1"], "one of them"), (["--threads", "65", "ws://127.0.0.1"], "1 to 64"),
])
def test_a_mistake_in_the_words_is_said_and_nobody_is_loaded_by_it(words, complaint):
    done = run(*words)
    assert done.returncode == 2 and complaint in done.stderr and done.stdout == "", done


def test_a_little_is_allowed_anywhere(backend):
    b = backend(raw.echo)
    r = bench("-M", "rate", "--rate", "10", "-c", "2", "-d", "300ms", "--resolve", f"app.test:{b.address[1]}:127.0.0.1",
              f"ws://app.test:{b.address[1]}/")
    assert r.code == 0 and r.summary["answered"] == 3


def test_help_names_every_option_and_so_does_the_manual():
    text = run("--help").stdout
    page = (servers.HERE.parents[1] / "man" / "holdfast-bench.1").read_text().replace("\\-", "-")
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert len(options) > 25
    assert not [option for option in options if option not in page]
