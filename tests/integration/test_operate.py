# SPDX-License-Identifier: Apache-2.0
"""Running it: signals, the admin port, one ending record for each connection, logs."""
import datetime
import json
import re
import signal
import time

import pytest

from harness import raw
from harness.gateway import BINARY, command, http_get
from harness.process import free_port, wait_for
from harness.raw import TEXT

FIELDS = {"cause", "who", "code", "reason", "held_ms", "silent_rx_ms", "silent_tx_ms", "rtt_ms", "unacked"}


# ---- the end

def test_sigterm_drains_says_1012_to_everybody_spread_over_the_time_and_exits_with_0(gateway, backend):
    b = backend(raw.echo)
    g = gateway(b.url, flags=["--drain", "1500ms"])
    clients = [g.client().open() for _ in range(20)]
    g.wait_sessions(20)
    start = time.monotonic()
    g.process.signal(signal.SIGTERM)
    wait_for(lambda: g.get("/readyz")[0] == 503, "/readyz says 503")
    assert g.get("/healthz")[0] == 200, "it is still alive"
    times = []
    for client in clients:
        client.expect_close(1012)
        times.append(time.monotonic() - start)
        client.send_close(1012)
        client.expect_end()
    assert g.process.wait_exit(5) == 0
    took = time.monotonic() - start
    assert 0.3 < took < 4, took
    assert times[-1] - times[0] >= 0.2 or max(times) > 0.5, f"goodbyes came all at once: {times}"
    ends = [line for line in g.log_lines("ws end")]
    assert len(ends) == 20 and {(e["cause"], e["who"], e["code"]) for e in ends} == {("drain", "gateway", 1012)}
    g.stopped = True


def test_a_goodbye_waits_for_the_end_of_the_frame_that_is_being_forwarded(relay):
    g, b = relay(flags=["--drain", "200ms"])
    client, served = g.pair(b)
    data = served.frame(TEXT, "x" * 2000)
    served.send(data[:1000])
    client.take(1000)
    g.process.signal(signal.SIGTERM)
    served.expect_close(1001)
    served.send(data[1000:])
    assert client.take(len(data) - 1000) == data[1000:]
    client.expect_close(1012)
    client.send_close(1012)
    served.send_close(1001)
    served.close()
    assert g.process.wait_exit(4) == 0


def test_while_it_drains_no_new_connection_is_taken(gateway, backend):
    g = gateway(backend(raw.echo).url, flags=["--drain", "2s"])
    held = g.client().open()
    g.process.signal(signal.SIGTERM)
    wait_for(lambda: g.get("/readyz")[0] == 503, "/readyz says 503")
    with pytest.raises((OSError, AssertionError)):
        g.client().open()
    held.expect_close(1012)


def test_a_drain_with_nobody_connected_ends_at_once(gateway, backend):
    g = gateway(backend().url, flags=["--drain", "30s"])
    g.process.signal(signal.SIGTERM)
    assert g.process.wait_exit(3) == 0


def test_a_second_sigterm_ends_at_once(gateway, backend):
    g = gateway(backend(raw.echo).url, flags=["--drain", "60s"])
    clients = [g.client().open() for _ in range(5)]
    g.process.signal(signal.SIGTERM)
    wait_for(lambda: g.get("/readyz")[0] == 503, "/readyz says 503")
    g.process.signal(signal.SIGTERM)
    g.process.wait_exit(3)
    assert len(g.log_lines("ws end")) == 5
    for client in clients:
        client.read_end(2)


def test_when_the_process_is_killed_everyone_just_sees_tcp_end(gateway, backend):
    b = backend()
    g = gateway(b.url)
    client, served = g.pair(b)
    g.process.popen.kill()
    g.process.popen.wait()
    g.stopped = True
    client.expect_end()
    served.expect_end()


# ---- reload

def test_sighup_takes_a_new_configuration_and_drops_nobody(gateway, backend):
    old, new = backend(raw.echo), backend(raw.echo)
    g = gateway(config={"upstream": old.url})
    client = g.client().open()
    g.write({**g.config, "upstream": new.url, "message_max": "10B"})
    g.reload()
    client.send_text("older than the reload, and longer than ten bytes")
    client.expect_text("older than the reload, and longer than ten bytes")
    late = g.client().open()
    assert (old.accepted, new.accepted) == (1, 1)
    late.send_text("eleven bytes")
    late.expect_close(1009)


def test_a_broken_new_configuration_is_named_and_the_old_one_stays(gateway, backend):
    b = backend(raw.echo)
    g = gateway(config={"upstream": b.url})
    client = g.client().open()
    g.file.write_text("listen: 127.0.0.1:1\nupstraem: http://127.0.0.1:1\n")
    g.process.signal(signal.SIGHUP)
    wait_for(lambda: "upstraem" in g.log_text() or None, "the error is logged")
    assert re.search(r"yaml:2:1", g.log_text())
    client.send_text("x")
    client.expect_text("x")
    g.client().open()


def test_a_key_that_takes_a_restart_is_named_when_a_reload_changes_it(gateway, backend):
    g = gateway(config={"upstream": backend(raw.echo).url, "workers": 1})
    g.write({**g.config, "workers": 2})
    g.process.signal(signal.SIGHUP)
    said = [line["message"] for line in g.wait_log("reload", 2)]
    assert said == ["workers changes with a restart only", "the new configuration is in force"]


def test_reloads_under_traffic_lose_no_message(gateway, backend):
    g = gateway(config={"upstream": backend(raw.echo).url}, workers=2)
    clients = [g.client().open() for _ in range(10)]
    for round in range(10):
        g.process.signal(signal.SIGHUP)
        for client in clients:
            client.send_text(f"round {round}")
        for client in clients:
            client.expect_text(f"round {round}")
    wait_for(lambda: len(g.log_lines("reload")) >= 1, "a reload is logged")
    assert len(g.sessions()) == 10


def test_sigusr1_reopens_the_log_file(gateway, backend, tmp_path):
    log = tmp_path / "holdfast.log"
    g = gateway(backend(raw.echo).url, flags=["--log-file", str(log), "--log-format", "json"])
    g.client().open().send_close(1000)
    wait_for(lambda: '"ws end"' in log.read_text(), "the first line")
    log.rename(tmp_path / "holdfast.log.1")
    g.process.signal(signal.SIGUSR1)
    wait_for(log.exists, "the file is made anew")
    g.client().open().send_close(4000, "second")
    wait_for(lambda: '"second"' in log.read_text(), "the second line is in the new file")
    assert '"second"' not in (tmp_path / "holdfast.log.1").read_text()


# ---- the admin port

def test_healthz_and_readyz_answer_200(gateway, backend):
    g = gateway(backend().url)
    assert g.get("/healthz")[0] == 200 and g.get("/readyz")[0] == 200
    assert g.get("/nothing-here")[0] == 404
    assert http_get(g.admin, "/healthz", method="POST")[0] == 405


def test_metrics_are_prometheus_text_with_help_type_and_bounded_labels(gateway, backend):
    b = backend(raw.echo)
    g = gateway(b.url)
    for i in range(30):
        client = g.client().open(f"/path/{i}?user={i}")
        client.send_text("x")
        client.expect_text("x")
        client.send_close(3000 + i, f"reason {i}")
    g.wait_endings(30)
    _, headers, body = g.get("/metrics")
    assert headers["content-type"].startswith("text/plain")
    names = set()
    for line in body.splitlines():
        if line.startswith("# HELP ") or line.startswith("# TYPE "):
            names.add(line.split(" ")[2])
        elif line:
            assert re.fullmatch(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="(\\.|[^"\\\n])*",?)*\})? [-+0-9.eEInfNa]+', line), line
            name = line.split("{")[0].split(" ")[0]
            assert re.sub("_(bucket|sum|count)$", "", name) in names or name in names, f"{name} has no HELP or TYPE"
            assert name.startswith(("holdfast_", "process_")), name
    assert "reason 7" not in body and "/path/7" not in body and "3007" not in body, "labels are not bounded"
    assert any('cause="client_close"' in line and line.endswith(" 30") for line in body.splitlines()), body


def test_sessions_show_who_is_connected_where_and_since_when(gateway, backend):
    b = backend()
    g = gateway(config={"routes": [{"path": "/ws/", "name": "chat", "upstream": b.url}]})
    held = g.pair(b, "/ws/room?token=hidden-token-value")
    g.wait_sessions(1)
    session = g.sessions()[0]
    assert session["route"] == "chat" and session["address"] == "127.0.0.1"
    assert "hidden-token-value" not in json.dumps(session) and "/ws/room" in json.dumps(session)
    assert b.url in json.dumps(session)
    held[0].close()
    g.wait_sessions(0)


def test_the_admin_port_off_loopback_demands_its_token(gateway, backend):
    b = backend()
    g = gateway(b.url, config={"admin": "0.0.0.0:0"}, ready=False)
    assert g.process.wait_exit() != 0, "without a token there is no admin off loopback"
    g.stopped = True
    port = free_port()
    g = gateway(b.url, config={"admin": f"0.0.0.0:{port}", "admin_token": "a-long-admin-token-of-mine"}, ready=False)
    g.admin = ("127.0.0.1", port)
    wait_for(lambda: reachable(g), "the admin port answers")
    for path in ("/metrics", "/api/sessions", "/api/endings"):
        assert g.get(path)[0] == 401, path
        assert g.get(path, {"Authorization": "Bearer wrong"})[0] in (401, 403), path
        assert g.get(path, {"Authorization": "Bearer a-long-admin-token-of-mine"})[0] == 200, path
    assert "a-long-admin-token-of-mine" not in g.log_text()


def reachable(g):
    try:
        g.get("/healthz")
        return True
    except OSError:
        return False


def test_the_admin_port_survives_garbage_and_slow_readers(gateway, backend):
    g = gateway(backend().url)
    for data in (b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"\x16\x03\x01"):
        c = raw.Client(g.admin)
        c.send(data)
    held = [raw.Client(g.admin) for _ in range(50)]
    assert g.get("/healthz")[0] == 200
    del held


# ---- one ending for each connection

def ways_to_end(g, b):
    """Ends connections in every way; yields (expected cause, thing to do)."""
    def close_by_client(c, s):
        c.send_close(1000, "bye")

    def close_by_backend(c, s):
        s.send_close(4000, "no")

    def client_fin(c, s):
        c.fin()

    def client_reset(c, s):
        c.reset()

    def backend_fin(c, s):
        s.close()

    def backend_reset(c, s):
        s.reset()

    def client_breaks_a_rule(c, s):
        c.send(b"\xff\xff\xff\xff")

    def backend_breaks_a_rule(c, s):
        s.send(b"\xff\xff\xff\xff")

    def too_big(c, s):
        c.send(raw.frame(TEXT, b"", mask=b"abcd", length=1 << 30))
    return [("client_close", close_by_client), ("backend_close", close_by_backend), ("client_fin", client_fin),
            ("client_reset", client_reset), ("backend_fin", backend_fin), ("backend_reset", backend_reset),
            ("client_protocol", client_breaks_a_rule), ("backend_protocol", backend_breaks_a_rule),
            (("message_too_big", "frame_too_big"), too_big)]


def test_each_connection_leaves_exactly_one_record_within_a_second_that_names_its_cause(relay):
    g, b = relay()
    n = 0
    for expected, act in ways_to_end(g, b):
        client, served = g.pair(b, "/ws?token=abcdefghijklmnop")
        act(client, served)
        n += 1
        endings = g.wait_endings(n, within=1.0)
        assert len(endings) == n
        e = endings[0]
        assert FIELDS <= set(e), FIELDS - set(e)
        assert e["cause"] == expected or e["cause"] in expected, (act.__name__, e)
        assert e["who"] in ("client", "backend", "gateway", "network")
        assert e["held_ms"] >= 0 and e["unacked"] >= 0
        for peer in (client, served):
            if peer.sock.fileno() >= 0:
                peer.close()
    assert len(g.wait_endings(n)) == n
    lines = g.wait_log("ws end", n)
    assert len(lines) == n and all(FIELDS <= set(line) for line in lines)
    assert g.sessions() == []


def test_refused_handshakes_leave_one_record_each_as_well(relay):
    g, b = relay()
    b.script = lambda served: served.answer(403, b"no")
    refusals = [dict(drop=("sec-websocket-key",)), dict(first="GET /.. HTTP/1.1"), {}]
    for how in refusals:
        with g.client() as client:
            client.ask(**how)
            client.read_body()
    with g.client() as client:
        client.send(b"GET / HT")
    endings = g.wait_endings(4)
    assert len(endings) == 4
    assert {e["cause"] for e in endings} == {"handshake_bad", "backend_refused", "client_gone"}, endings


def test_a_thousand_connections_leave_a_thousand_records_newest_first(gateway, backend):
    b = backend(raw.echo)
    g = gateway(b.url, workers=2)
    for batch in range(10):
        clients = [g.client().open() for _ in range(100)]
        for i, client in enumerate(clients):
            client.send_close(4000, f"{batch * 100 + i}")
        for client in clients:
            client.expect_close(4000)
        g.wait_endings((batch + 1) * 100)
    endings = g.endings()
    assert len(endings) == 1000
    assert sorted(int(e["reason"]) for e in endings) == list(range(1000))
    times = [datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp() for e in endings]
    assert all(later - earlier > -0.1 for later, earlier in zip(times, times[1:])), "newest first"
    assert len(g.wait_log("ws end", 1000)) == 1000


def test_the_record_says_how_long_it_was_held_and_how_long_each_way_was_silent(gateway, backend):
    b = backend()
    g = gateway(b.url)
    client, served = g.pair(b)
    served.silent(0.5)
    client.send_text("once")
    served.read_data()
    served.silent(0.5)
    client.fin()
    e = g.ending()
    assert 900 <= e["held_ms"] <= 2500, e
    assert 400 <= e["silent_rx_ms"] <= 2000, e
    assert 900 <= e["silent_tx_ms"] <= 2500, e
    assert e["rtt_ms"] is None or e["rtt_ms"] < 100, e


def test_logs_are_text_lines_where_that_is_asked_for(gateway, backend):
    g = gateway(backend(raw.echo).url, flags=["--log-format", "text"])
    g.client().open("/ws?token=abcdefghijklmn").send_close(4000, "by hand = \"quoted\"")
    line = wait_for(lambda: [t for t in g.log_text().splitlines() if " ws end " in t], "the line of the ending")[0]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info ws end ", line), line
    assert "cause=client_close" in line and "code=4000" in line and "abcdefghijklmn" not in line


def test_a_strangers_text_cannot_forge_a_log_line(gateway, backend):
    g = gateway(backend(raw.echo).url)
    evil = 'x\n{"event":"ws end","cause":"forged"}\r\n\x1b[31m\u2028"\\'
    client = g.client().open("/a%22b")
    client.send_close(4000, evil)
    line = g.wait_log("ws end")[0]
    assert line["reason"] == evil and line["cause"] == "client_close"
    assert len(g.log_lines("ws end")) == 1 and "\x1b" not in g.log_text()
    assert g.ending()["reason"] == evil


# ---- no leaks

def test_a_thousand_connections_of_all_kinds_leak_no_descriptor(relay):
    g, b = relay(workers=1)
    ways = ways_to_end(g, b)
    with g.client() as c:
        c.ask("/..")
    g.wait_endings(1)
    before = g.process.descriptors()
    for i in range(200):
        client, served = g.pair(b)
        ways[i % len(ways)][1](client, served)
        for peer in (client, served):
            if peer.sock.fileno() >= 0:
                peer.close()
    g.wait_endings(201)
    wait_for(lambda: g.process.descriptors() <= before, lambda: f"{g.process.descriptors()} descriptors, were {before}")


def test_accepting_goes_on_after_the_descriptors_ran_out(gateway, backend, tmp_path):
    """The limit is set low by the shell that starts it; when it is reached the process lives, and recovers."""
    b = backend(raw.echo)
    wrapper = tmp_path / "low"
    wrapper.write_text(f"#!/bin/sh\nulimit -n 64\nexec {BINARY} \"$@\"\n")
    wrapper.chmod(0o755)
    g = gateway(b.url, binary=str(wrapper), workers=1)
    assert re.search(r"descriptor|open files", g.log_text()), "a low limit is said at the start"
    flood = []
    for _ in range(100):
        c = g.client()
        c.send(raw.request())
        flood.append(c)
    wait_for(lambda: g.process.running() and g.process.descriptors() >= 60, "the descriptors ran out")
    for c in flood:
        c.close()

    def works():
        try:
            with g.client() as c:
                c.sock.settimeout(1)
                return c.open()
        except (AssertionError, OSError):
            return False
    wait_for(works, "it accepts again")


# ---- the command itself

def test_version_and_help_answer_and_exit_with_0():
    done = command("--version")
    assert done.returncode == 0 and re.match(r"holdfast \d+\.\d+\.\d+", done.stdout), done
    for words in (["--help"], ["serve", "--help"]):
        done = command(*words)
        assert done.returncode == 0 and "holdfast" in done.stdout, words
    assert "--heartbeat-interval" in command("serve", "--help").stdout


def test_errors_in_a_file_name_line_column_value_and_what_is_allowed(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("listen: 127.0.0.1:1\nupstream: http://127.0.0.1:1\nheartbeat:\n  interval: 25\n  timeoot: 1s\nworkers: many\n")
    done = command("serve", "-c", file, "--check")
    assert done.returncode != 0
    errors = done.stderr
    assert re.search(r"bad\.yaml:4:\d+: .*25", errors) and re.search(r"bad\.yaml:5:\d+: .*timeoot.*timeout", errors, re.S)
    assert re.search(r"bad\.yaml:6:\d+: .*many", errors)


def test_check_prints_a_configuration_that_checks_again(tmp_path):
    file = tmp_path / "good.yaml"
    file.write_text("listen: [\"127.0.0.1:1\"]\nroutes:\n  - {path: /ws/, upstream: \"http://127.0.0.1:1\"}\n")
    first = command("serve", "-c", file, "--check")
    assert first.returncode == 0, first.stderr
    again = tmp_path / "again.yaml"
    again.write_text(first.stdout)
    second = command("serve", "-c", again, "--check")
    assert second.returncode == 0 and second.stdout == first.stdout


def test_an_unknown_flag_names_the_nearest_one():
    done = command("serve", "--upstream", "http://127.0.0.1:1", "--hartbeat-interval", "1s")
    assert done.returncode != 0 and "--heartbeat-interval" in done.stderr


def test_a_taken_port_is_said_and_ends_with_an_error(tmp_path):
    import socket
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = command("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--upstream", "http://127.0.0.1:1")
        assert done.returncode != 0 and str(taken.getsockname()[1]) in done.stderr


def test_what_is_left_open_is_said_at_the_start(gateway, backend):
    g = gateway(backend().url)
    assert re.search(r"[Oo]rigin", g.log_text())
