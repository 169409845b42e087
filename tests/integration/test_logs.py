# SPDX-License-Identifier: Apache-2.0
"""holdfast logs, on lines that the real programs write while connections end in known ways: nginx, HAProxy, Daphne, Uvicorn, gunicorn,
Node's ws and holdfast itself. All scenes are played side by side, once; each test looks at the logs of one."""
import gzip
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness import logged, raw
from harness.gateway import BINARY, Gateway
from harness.process import Process, clean_environment, wait_for
from harness.raw import CLOSE, PING, PONG, TEXT, Client, Ended

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "logs"


def run(*words, stdin=None):
    return subprocess.run([BINARY, "logs", *map(str, words)], capture_output=True, text=True, timeout=30, input=stdin,
                          env=clean_environment({"LC_ALL": "C.UTF-8"}))


class Read:
    """What `holdfast logs --json --endings` says of these files."""

    def __init__(self, *words, stdin=None):
        done = run("--json", "--endings", *words, stdin=stdin)
        self.exit, self.err = done.returncode, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.endings = [line for line in lines if line["type"] == "ending"]
        self.summary = lines[-1]
        assert self.summary["type"] == "summary", done.stdout[-500:] + done.stderr
        assert self.summary["exit"] == self.exit
        assert self.summary["ended"] == sum(e["phase"] == "open" and e["how"] != "alive" for e in self.endings)

    def of(self, path):
        """The only ending of this path."""
        found = [e for e in self.endings if e["path"] == path]
        assert len(found) == 1, (path, found)
        return found[0]

    def told(self, path):
        e = self.of(path)
        return e["cause"], e["how"], e["who"]

    def unread(self):
        return sum(f["unread"] for f in self.summary["files"])

    def finding(self, kind, at=None, within=0.05):
        found = [f for f in self.summary["findings"] if f["kind"] == kind and
                 (at is None or abs(f["at"] - at) <= within * at)]
        assert found, (kind, at, self.summary["findings"])
        return found[0]


# ---- the application behind the proxies


def application(served):
    """Echoes, and does what the text says: close, reset, fin, stall (reads no more), flood (sends without end)."""
    served.upgrade()
    while True:
        f = served.read_frame(60)
        if f.opcode == CLOSE:
            served.send_frame(CLOSE, f.payload)
            return
        text = f.payload.decode(errors="replace")
        if text == "close":
            served.send_close(1000)
            served.read_end()
            return
        if text == "reset":
            served.reset()
            return
        if text == "fin":
            served.fin()
            served.read_end(5)
            return
        if text == "stall":
            wait_for(lambda: served.stalled, "the scene lets it go", 30)
            return
        while text == "flood":
            served.send_text("x" * 60000)
        served.send_frame(f.opcode, f.payload)


raw.Served.stalled = False


def play_endings(address):
    """One connection for each manner, its name in the path."""
    kept = [Client(address).open("/idle")]
    c = Client(address).open("/close")
    c.send_text("hi")
    c.expect_text("hi")
    c.send_close(1000)
    c.read_end()
    for name in ("close", "reset", "fin"):
        c = Client(address).open(f"/app-{name}")
        c.send_text(name)
        if name == "close":
            c.expect_close(1000)
        else:
            c.read_end()
        c.close()
    c = Client(address).open("/reset?token=secret")
    c.send_text("hi")
    c.expect_text("hi")
    c.reset()
    stalled = Client(address).open("/stall")
    stalled.send_text("stall")
    stalled.sock.settimeout(0.3)
    try:
        for _ in range(1000):
            stalled.sock.sendall(stalled.frame(TEXT, "y" * 60000))
    except OSError:
        pass  # nothing goes in any more, or the proxy has given it up
    flood = Client(address, receive_buffer=4096).open("/flood")
    flood.send_text("flood")
    return [*kept, stalled, flood]


# ---- the scenes


def nginx_scene(folder):
    app = raw.Backend(application)
    n = logged.Nginx(folder, app.address[1], send_timeout="1s", more="send_timeout 1s;", top="worker_shutdown_timeout 1s;").wait()
    try:
        kept = play_endings(n.address)
        n.wait_lines("/idle")
        n.wait_lines("client timed out", "error")
        n.wait_lines("/stall HTTP/1.1\", upstream", "error")
        for c in app.connections:
            c.stalled = True  # the application goes, and nginx lets its client go
        n.wait_lines("/stall")
        beating = [Client(n.address).open("/reload") for _ in range(3)]
        stop = threading.Event()

        def beat():
            while not stop.wait(0.1):
                for c in beating:
                    try:
                        c.send_text("beat")
                    except OSError:
                        pass
        beater = threading.Thread(target=beat, daemon=True)
        beater.start()
        old = n.workers()
        n.signal_master(signal.SIGHUP)
        n.wait_lines("/reload", count=3)
        wait_for(lambda: n.workers() and not set(n.workers()) & set(old), "the old worker is gone", 15)
        killed = [Client(n.address).open("/kill") for _ in range(2)]
        os.kill(n.workers()[0], signal.SIGKILL)
        n.wait_lines("exited on signal 9", "error")
        stop.set()
        beater.join()
        for c in (*kept, *beating, *killed):
            c.close()
    finally:
        app.stop()
        n.stop()
    for name in ("combined", "timed", "json", "trailing", "error"):
        logged.keep_sample(n.log(name), f"nginx-{name}.log")
    return n


def nginx_idle_scene(folder):
    """Silent sockets that begin one after the other, and ten that their users end before."""
    app = raw.Backend(application)
    syslog = logged.Syslog(folder)
    n = logged.Nginx(folder, app.address[1], read_timeout="2s").wait()
    by_syslog = logged.Nginx(folder, app.address[1], syslog=syslog).wait()
    n.syslog = syslog.path
    try:
        sent = [Client(by_syslog.address).open("/idle") for _ in range(3)]
        silent = []
        for i in range(30):
            silent.append(Client(n.address).open("/idle"))
            if i % 3 == 0:
                c = Client(n.address).open("/user")
                c.send_text("hi")
                c.expect_text("hi")
                silent[-1].fill(0.03 + 0.02 * i)  # nothing comes: they begin at uneven times
                c.send_close(1000)
                c.read_end()
        n.wait_lines("/idle", count=30)
        syslog.wait_lines('GET /idle HTTP/1.1" 101', 3)
        for c in sent:
            c.close()
    finally:
        app.stop()
        n.stop()
        by_syslog.stop()
        syslog.stop()
    logged.keep_sample(syslog.path, "nginx-syslog.log")
    return n


def nginx_full_scene(folder):
    app = raw.Backend(application)
    n = logged.Nginx(folder, app.address[1], connections=8).wait()
    kept = []
    try:
        for i in range(6):
            try:
                kept.append(Client(n.address).open(f"/{i}"))
            except (AssertionError, OSError):
                pass
        n.wait_lines("worker_connections are not enough", "error")
        n.wait_lines("\" 101 ")
    finally:
        app.stop()
        n.stop()
    logged.keep_sample(n.log("error"), "nginx-full-error.log")
    return n


def haproxy_scene(form):
    def play(folder):
        app = raw.Backend(application)
        syslog = logged.Syslog(folder)
        h = logged.haproxy(folder, app.address[1], syslog, form=form, more="hard-stop-after 1s").wait()
        try:
            kept = play_endings(h.address)
            syslog.wait_lines("/idle|/stall|/flood", 3)
            beating = Client(h.address).open("/kill")
            h.process.signal(signal.SIGUSR1)

            def over():
                try:
                    beating.send_text("beat")  # so that it is not silent for the tunnel's second
                except OSError:
                    pass
                return any("/kill" in line for line in syslog.lines())
            wait_for(over, "the line of /kill", 15, 0.1)
            kept.append(beating)
            for c in kept:
                c.close()
        finally:
            app.stop()
            h.stop()
            syslog.stop()
        logged.keep_sample(syslog.path, f"haproxy-{form}.log")
        return syslog.path
    return play


def asgi_endings(address):
    """The same for every server: an orderly end by each side, a refusal, an exception, a reset."""
    c = Client(address).open("/close")
    c.send_text("hi")
    c.expect_text("hi")
    c.send_close(1000)
    c.read_end()
    c = Client(address).open("/app-close")
    c.send_text("close 4000")
    c.expect_close(4000)
    c.close()
    assert Client(address).ask("/reject").status == 403
    c = Client(address).open("/raise")
    c.send_text("raise")
    c.read_end()
    Client(address).open("/reset").reset()


def wait_output(process, wanted, count=1):
    wait_for(lambda: process.output().count(wanted) >= count, lambda: f"{count} times {wanted!r} in\n{process.tail()}", 20)


def daphne_scene(folder):
    s = logged.daphne(folder, "--ping-interval", "1", "--ping-timeout", "1").wait()
    try:
        asgi_endings(s.address)
        deaf = Client(s.address).open("/no-pong")
        deaf.read_end(20)
        wait_output(s.process, "WSDISCONNECT /no-pong")
        last = Client(s.address).open("/term")
        wait_output(s.process, "WSCONNECT /term")
    finally:
        s.stop()
    last.close()
    logged.keep_sample(s.process.out, "daphne.log")
    logged.keep_sample(s.process.err, "daphne-err.log")
    return s.process


def uvicorn_scene(folder):
    s = logged.uvicorn(folder, "--use-colors", "--ws-ping-interval", "1", "--ws-ping-timeout", "1").wait()
    try:
        asgi_endings(s.address)
        Client(s.address).open("/no-pong").read_end(20)
        wait_output(s.process, "connection closed", 6)
        last = [Client(s.address).open("/term") for _ in range(2)]
        wait_output(s.process, "connection open", 7)
        s.process.signal(signal.SIGTERM)
        s.process.wait_exit(20)
    finally:
        s.stop()
    for c in last:
        c.close()
    logged.keep_sample(s.process.err, "uvicorn.log")
    return s.process


def gunicorn_scene(folder):
    s = logged.gunicorn(folder, "--timeout", "2", "-w", "1").wait()
    try:
        asgi_endings(s.address)
        wait_output(s.process, "connection closed", 5)
        blocked, other = Client(s.address).open("/block"), Client(s.address).open("/other")
        blocked.send_text("block 30")
        other.read_end(20)
        wait_output(s.process, "was terminated due to signal")
        wait_output(s.process, "Application startup complete", 2)
        last = Client(s.address).open("/hup")
        wait_output(s.process, '"WebSocket /hup" [accepted]')
        s.process.signal(signal.SIGHUP)
        wait_output(s.process, "Worker exiting")
    finally:
        s.stop()
    for c in (blocked, other, last):
        c.close()
    logged.keep_sample(s.process.err, "gunicorn.log")
    return s.process


def node_scene(folder):
    s = logged.node(folder).wait()
    try:
        for bad, code in ((lambda c: c.send_text("x" * 2000), 1009), (lambda c: c.send_frame(TEXT, b"\xff\xff"), 1007),
                          (lambda c: c.send_frame(TEXT, b"aa", mask=None), 1002), (lambda c: c.send_frame(TEXT, b"aa", rsv=4), 1002)):
            c = Client(s.address).open("/bad")
            bad(c)
            c.expect_close(code)
            c.close()
        wait_output(s.process, "WS_ERR_UNEXPECTED_RSV_1")
    finally:
        s.stop()
    logged.keep_sample(s.process.err, "node.log")
    return s.process


def limiter(served):
    """Counts what it sends: after the 20th chunk it is over, as a limiter that was meant for requests."""
    served.upgrade()
    if served.head.target != "/limited":
        application_loop(served)
        return
    sent = 0
    while True:
        f = served.read_frame(60)
        if f.opcode != TEXT:
            return
        for _ in range(int(f.payload)):
            served.send_text("chunk")
            sent += 1
            if sent == 20:
                served.send_close(1008, "rate limit")
                served.read_end()
                return


def application_loop(served):
    while True:
        f = served.read_frame(60)
        if f.opcode == CLOSE:
            served.send_frame(CLOSE, f.payload)
            served.read_end()
            return
        if f.opcode == PING:
            served.send_frame(PONG, f.payload)
        elif f.payload == b"reset":
            served.reset()
            return
        elif f.payload == b"fin":
            served.fin()
            served.read_end()
            return


def be_limited(address, i):
    """Asks for chunks, a few at a time, at a pace of its own, until it is cut off."""
    c = Client(address).open("/limited")
    try:
        while True:
            c.send_text(str(3 + i % 5))
            end = time.monotonic() + 0.05 + 0.06 * i
            while time.monotonic() < end:
                if not c.fill(end - time.monotonic()):
                    continue
                while len(c.received) > c.at:
                    f = c.read_frame()
                    if f.opcode == CLOSE:
                        c.send_frame(CLOSE, f.payload)
                        c.read_end()
                        return
    except (Ended, OSError):
        pass


def be_a_user(address, i):
    c = Client(address).open("/limited")
    c.send_text(str(1 + i))
    for _ in range(1 + i):
        c.read_frame()
    c.send_close(1000)
    c.read_end()


def holdfast_scene(form):
    def play(folder):
        app = raw.Backend(limiter)
        gateway = Gateway(folder, app.url, flags=["--log-format", form, "--heartbeat-interval", "0s"])
        try:
            c = Client(gateway.address).open("/close?token=secret")
            c.send_close(1000)
            c.read_end()
            for name in ("reset", "fin"):
                c = Client(gateway.address).open(f"/app-{name}")
                c.send_text(name)
                c.read_end()
            Client(gateway.address).open("/reset").reset()
            everyone = [threading.Thread(target=play, args=(gateway.address, i)) for i in range(12) for play in (be_limited, be_a_user)]
            for t in everyone:
                t.start()
            for t in everyone:
                t.join()
            gateway.wait_endings(28, 20)
        finally:
            app.stop()
            gateway.stop()
        logged.keep_sample(gateway.process.err, f"holdfast-{form}.log")
        return gateway.process.err
    return play


SCENES = {"nginx": nginx_scene, "nginx-idle": nginx_idle_scene, "nginx-full": nginx_full_scene,
          **{f"haproxy-{form}": haproxy_scene(form) for form in ("rfc3164", "rfc5424", "raw")},
          "daphne": daphne_scene, "uvicorn": uvicorn_scene, "gunicorn": gunicorn_scene, "node": node_scene,
          "holdfast-text": holdfast_scene("text"), "holdfast-json": holdfast_scene("json")}


@pytest.fixture(scope="module")
def scene_of(tmp_path_factory):
    """scene_of(name): what the scene left; its exception is raised in the test that asks for it."""
    folder = tmp_path_factory.mktemp("logs")
    results = {}
    logged.node_ready()

    def play(name):
        try:
            results[name] = SCENES[name](folder)
        except BaseException as error:  # shown by the test of that scene
            results[name] = error
    threads = [threading.Thread(target=play, args=(name,)) for name in SCENES]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    def get(name):
        if isinstance(results[name], BaseException):
            raise results[name]
        return results[name]
    return get


# ---- nginx


@pytest.mark.parametrize("log", ["timed", "json", "trailing", "combined"])
def test_nginx_access_and_error_log_together_tell_what_ended_each_connection(scene_of, log):
    n = scene_of("nginx")
    read = Read(n.log(log), n.log("error"))
    assert read.exit == 1 and read.unread() == 0
    assert read.told("/idle") == ("nginx-proxy-read-60s", "timer", "path")
    assert read.told("/flood") == ("nginx-send-timeout-60s", "timer", "path")
    assert read.told("/app-reset") == ("nginx-upstream-rst", "rst", "server")
    assert read.told("/reset") == ("unknown", "rst", "client")
    for path in ("/close", "/app-close", "/app-fin"):
        assert read.told(path) == ("unknown", "unknown", "unknown")
    assert read.of("/stall")["cause"] == ("nginx-proxy-send-60s" if log in ("timed", "json") else "nginx-proxy-read-60s")
    assert sum(e["path"] == "/reload" for e in read.endings) == 3
    if log == "combined":
        assert read.summary["aged"] == 0 and read.of("/idle")["held_ms"] is None
    else:
        assert read.summary["aged"] == read.summary["ended"]
        assert 1000 <= read.of("/idle")["held_ms"] < 3000


def test_nginx_restarts_are_told_with_what_they_ended(scene_of):
    n = scene_of("nginx")
    restarts = {r["what"]: r for r in Read(n.log(), n.log("error")).summary["restarts"]}
    assert any("nginx was reloaded" in what for what in restarts)
    assert any("killed" in what and r["cause"] == "nginx-stop-or-crash" for what, r in restarts.items())
    assert sum(r["endings"] for what, r in restarts.items() if "worker went" in what) >= 3


def test_an_error_log_alone_tells_the_reasons_without_ages(scene_of):
    read = Read(scene_of("nginx").log("error"))
    assert sorted(e["cause"] for e in read.endings) == ["nginx-proxy-read-60s", "nginx-proxy-read-60s", "nginx-send-timeout-60s",
                                                        "nginx-upstream-rst", "unknown"]
    assert read.summary["aged"] == 0


def test_an_access_log_alone_names_no_cause_and_says_what_would(scene_of):
    n = scene_of("nginx-idle")
    read = Read(n.log())
    assert {e["cause"] for e in read.endings} == {"unknown"}
    finding = read.finding("age", 2.0)
    assert finding["class"] == "inconclusive" and finding["told"] == [] and finding["count"] >= 28
    assert "diagnose" in finding["next"]
    text = run(n.log()).stdout
    assert "ages alone do not tell them apart" in text and "error_log FILE info" in text


def test_with_the_error_log_the_peak_is_an_idle_timer(scene_of):
    n = scene_of("nginx-idle")
    finding = Read(n.log(), n.log("error")).finding("age", 2.0)
    assert finding["class"] == "idle_timer"
    assert finding["told"][0]["id"] == "nginx-proxy-read-60s" and finding["told"][0]["share"] > 0.9


def test_nginx_by_syslog_is_read_as_well(scene_of):
    read = Read(scene_of("nginx-idle").syslog)
    assert read.unread() == 0 and read.summary["ended"] == 3
    assert {(e["cause"], e["path"]) for e in read.endings} == {("nginx-proxy-read-60s", "/idle")}
    assert all(1000 <= e["held_ms"] < 4000 for e in read.endings)


def test_the_text_for_people_has_the_curve_in_braille_or_in_ascii(scene_of):
    n = scene_of("nginx-idle")
    braille, ascii_ = run(n.log()).stdout, run("--ascii", n.log()).stdout
    assert any("\u2801" <= c <= "\u28ff" for c in braille) and ascii_.isascii()
    assert "100 %|" in ascii_ and "^ 2.0" in ascii_.replace("2.00", "2.0")


def test_worker_connections_that_ran_out_are_a_limit_that_was_hit(scene_of):
    n = scene_of("nginx-full")
    read = Read(n.log(), n.log("error"))
    assert [limit["cause"] for limit in read.summary["limits"]] == ["nginx-worker-connections"]


def test_a_log_format_is_read_as_the_configuration_has_it(scene_of):
    n = scene_of("nginx")
    read = Read("--nginx-format", f"log_format timed '{logged.TIMED}';", n.log("timed"))
    assert read.summary["aged"] == read.summary["ended"] > 8
    assert read.of("/idle")["upstream"].startswith("127.0.0.1:")


# ---- HAProxy


@pytest.mark.parametrize("form", ["rfc3164", "rfc5424", "raw"])
def test_haproxy_tells_who_ended_it_by_its_termination_state(scene_of, form):
    read = Read(scene_of(f"haproxy-{form}"))
    assert read.unread() == 0 and read.exit == 1
    for path in ("/idle", "/stall", "/flood"):
        assert read.told(path) == ("haproxy-tunnel", "timer", "path")
        assert 900 <= read.of(path)["held_ms"] < 5000
    assert read.told("/app-reset")[1:] == ("rst", "server")
    assert read.told("/reset")[1:] == ("rst", "client")
    assert read.told("/close") == ("unknown", "fin", "unknown")
    assert read.told("/kill") == ("haproxy-admin-kill", "killed", "path")
    assert any("HAProxy" in r["what"] for r in read.summary["restarts"])


# ---- Python's servers


def test_daphne_pairs_by_address_and_tells_refusals_and_exceptions(scene_of):
    p = scene_of("daphne")
    read = Read(p.out, p.err)
    assert read.unread() == 0
    assert read.summary["ended"] == 6 and read.summary["refused"] == 1
    assert 1000 <= read.of("/no-pong")["held_ms"] < 20000
    assert read.summary["refusals"] == [{"status": "403 /reject", "count": 1}]
    assert any("the application tripped" in e["reason"] for e in read.summary["errors"])


def test_uvicorn_counts_its_ends_and_pairs_only_what_is_certain(scene_of):
    read = Read(scene_of("uvicorn").err)
    assert read.unread() == 0
    assert read.summary["ended"] == 7 and read.summary["refused"] == 1 and read.summary["aged"] == 0
    assert sum(e["cause"] == "uvicorn-sigterm" for e in read.endings) == 2
    assert [e["cause"] for e in read.summary["errors"]] == ["uvicorn-app-exception"]


def test_gunicorn_names_the_connections_that_a_blocked_worker_took_along(scene_of):
    read = Read(scene_of("gunicorn").err)
    assert read.unread() == 0
    assert read.told("/block") == ("gunicorn-worker-timeout", "killed", "server")
    assert read.told("/other") == ("gunicorn-worker-timeout", "killed", "server")
    assert any(r["cause"] == "gunicorn-worker-timeout" and r["endings"] >= 2 for r in read.summary["restarts"])
    assert read.summary["ended"] == 7


# ---- Node, holdfast


def test_node_tells_broken_rules_with_their_codes(scene_of):
    read = Read(scene_of("node").err)
    assert read.unread() == 0 and read.exit == 1
    assert sorted(e["cause"] for e in read.summary["errors"]) == ["proto-1002", "proto-1002", "proto-1007", "ws-max-payload"]


def test_the_json_lines_of_probe_are_read(scene, tmp_path):
    def refuse(served):
        served.upgrade()
        served.send_close(1011, "keepalive ping timeout")
        served.read_end()
    app = raw.Backend(refuse)
    scene.callback(app.stop)
    said = subprocess.run([BINARY, "probe", "--json", "--hold", "5s", app.url.replace("http", "ws")], capture_output=True, text=True,
                          timeout=30, env=clean_environment()).stdout
    nobody = subprocess.run([BINARY, "probe", "--json", "--hold", "1s", "ws://127.0.0.1:1/"], capture_output=True, text=True, timeout=30,
                            env=clean_environment()).stdout
    read = Read("-", stdin=said + nobody)
    assert read.unread() == 0 and read.summary["ended"] == 1 and read.summary["refused"] == 1
    assert read.endings[0]["how"] == "close" and read.endings[0]["code"] == 1011


@pytest.mark.parametrize("form", ["text", "json"])
def test_holdfasts_own_log_is_read_with_all_that_it_knows(scene_of, form):
    read = Read(scene_of(f"holdfast-{form}"))
    assert read.unread() == 0 and read.summary["ended"] == 28
    assert read.told("/close") == ("client_close", "close", "client")
    assert read.told("/app-reset") == ("backend_reset", "rst", "server")
    assert read.told("/app-fin") == ("backend_fin", "fin", "server")
    assert read.told("/reset") == ("client_reset", "rst", "client")
    limited = [e for e in read.endings if e["path"] == "/limited" and e["code"] == 1008]
    assert len(limited) == 12 and {e["messages_got"] for e in limited} == {20}
    assert read.finding("messages_down", 20)["class"] == "message_limit"
    assert "secret" not in json.dumps(read.summary) + json.dumps(read.endings)


# ---- options


def test_paths_times_and_dimensions(scene_of):
    n = scene_of("nginx")
    assert {e["path"] for e in Read("--path", "/re", n.log()).endings} == {"/reset", "/reload"}
    assert Read("--path", "/nowhere", n.log()).exit == 4
    assert Read("--since", "1h", n.log()).summary["ended"] > 8
    later = Read("--since", "2100-01-01", n.log())
    assert later.summary["ended"] == 0 and later.summary["left_out"] > 8 and later.exit == 4
    by = Read("--by", "path", "--top", "1", n.log()).summary["by"]
    assert by == [{"path": "/reload", "count": 3}]
    assert Read("--by", "code", scene_of("holdfast-json")).summary["by"][0]["code"] in ("1000", "1008")


def test_gzip_and_standard_input(scene_of, tmp_path):
    n = scene_of("nginx")
    packed = tmp_path / "timed.log.1.gz"
    packed.write_bytes(gzip.compress(n.log().read_bytes()))
    plain = Read(n.log()).summary
    for read in (Read(packed), Read("-", stdin=n.log().read_text())):
        assert read.summary["ended"] == plain["ended"] and read.summary["causes"] == plain["causes"]
    packed.write_bytes(packed.read_bytes()[:200])
    cut = Read(packed)
    assert any("gzip" in u["why"] for u in cut.summary["files"][0]["not_read"])


def test_what_cannot_be_read_is_named_by_file_and_line(tmp_path):
    log = tmp_path / "mixed.log"
    log.write_text("hello\n127.0.0.1 - - [26/Nov/2026:01:21:25 +0000] \"GET /a HTTP/1.1\" 101 0 \"-\" \"-\" 60.000\nworld\n")
    done = run(log)
    assert f"{log}:1: no format that is known: hello" in done.stdout and f"{log}:3:" in done.stdout
    assert "1 read, 2 not" in done.stdout and done.returncode == 0


@pytest.mark.parametrize("words, exit, said", [
    ([], 2, "no file is named"), (["/nowhere/a.log"], 2, "No such file"), (["--by", "colour", "/dev/null"], 2, "cause, path"),
    (["--format", "apache", "/dev/null"], 2, "no such format"), (["--since", "soon", "/dev/null"], 2, "neither a time"),
    (["--nginx-format", "$request", "/dev/null"], 2, "$status"), (["/dev/null"], 4, ""), (["--help"], 0, "")])
def test_mistakes_and_nothing_have_their_exit_codes(words, exit, said):
    done = run(*words)
    assert done.returncode == exit and said in done.stderr, done


# ---- following


def line_of(age, path="/live", at=None):
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at or time.time()))
    return f'10.0.0.1 - - [{at}] "GET {path} HTTP/1.1" 101 7 "-" "-" rt={age:.3f}\n'


def test_follow_goes_on_over_rotation_and_truncation_and_sums_up_at_ctrl_c(tmp_path, scene):
    log = tmp_path / "access.log"
    log.write_text(line_of(1, "/before"))
    p = Process([BINARY, "logs", "-f", "--json", "--endings", log], tmp_path, "follow")
    scene.callback(p.stop)

    def paths():
        return [json.loads(line)["path"] for line in p.out.read_text().splitlines() if '"ending"' in line]

    def wait_path(path):
        wait_for(lambda: path in paths(), lambda: f"{path} in {paths()}\n{p.tail()}")
    wait_path("/before")
    with open(log, "a") as file:
        file.write(line_of(2, "/appended")[:-20])
        file.flush()
        file.write(line_of(2, "/appended")[-20:])
    wait_path("/appended")
    log.rename(tmp_path / "access.log.1")
    with open(tmp_path / "access.log.1", "a") as file:
        file.write(line_of(3, "/late"))
    wait_path("/late")
    log.write_text(line_of(4, "/rotated") + line_of(4.5, "/rotated-too"))
    wait_path("/rotated-too")
    with open(log, "w") as file:  # truncated, and shorter than it was
        file.write(line_of(5, "/truncated"))
    wait_path("/truncated")
    p.signal(signal.SIGINT)
    assert p.wait_exit() in (0, 1)
    summary = json.loads(p.out.read_text().splitlines()[-1])
    assert summary["type"] == "summary" and summary["ended"] == 6


def test_follow_says_a_peak_when_it_comes_to_stand_out(tmp_path, scene):
    log = tmp_path / "access.log"
    log.write_text("".join(line_of(1 + 7.3 * i, at=1.7e9 + 97 * i) for i in range(12)))
    p = Process([BINARY, "logs", "-f", "--json", log], tmp_path, "follow-peak")
    scene.callback(p.stop)
    with open(log, "a") as file:
        file.write("".join(line_of(60, at=1.7e9 + 2000 + 97 * i) for i in range(40)))
    wait_for(lambda: '"finding"' in p.out.read_text(), p.tail, 20)
    finding = json.loads(next(line for line in p.out.read_text().splitlines() if '"finding"' in line))
    assert finding["kind"] == "age" and finding["at"] == 60 and finding["count"] >= 40
    p.signal(signal.SIGINT)
    assert p.wait_exit() == 1


# ---- the samples


def test_every_committed_sample_is_read_to_its_last_line():
    samples = sorted(VECTORS.glob("*.log"))
    assert len(samples) >= 15
    for sample in samples:
        read = Read(sample)
        assert read.unread() == 0, (sample.name, read.summary["files"])
