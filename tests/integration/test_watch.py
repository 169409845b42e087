# SPDX-License-Identifier: Apache-2.0
"""`holdfast watch`: real servers that die, restart, answer late or run out of their certificate; receivers of alerts; pages and history."""
import asyncio
import contextlib
import datetime
import http.client
import http.server
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time

import pytest
import websockets
from harness import servers
from harness.certs import openssl
from harness.connect import environment
from harness.gateway import BINARY
from harness.process import Process, free_port, wait_for

PATIENCE = 20.0


class Server:
    """A WebSocket server in a thread, which a test ends, cuts and holds up."""

    def __init__(self, port=None, context=None):
        self.port = port or free_port()
        self.context = context
        self.loop = asyncio.new_event_loop()
        self.sockets = set()
        self.accepted = 0
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    async def _serve(self, ws, path=None):
        self.sockets.add(ws)
        self.accepted += 1
        with contextlib.suppress(websockets.ConnectionClosed, OSError):
            async for message in ws:
                await ws.send(message)
        self.sockets.discard(ws)

    def start(self):
        async def listen():
            return await websockets.serve(self._serve, "127.0.0.1", self.port, ssl=self.context, ping_interval=None)
        self.server = self.call(listen())

    def close_all(self, code, reason=""):
        async def close():
            await asyncio.gather(*(ws.close(code, reason) for ws in list(self.sockets)))
        self.call(close())

    def restart(self, told):
        """Those at the path `told` are told with 1012, the others are cut behind it."""
        async def restart():
            everyone = list(self.sockets)
            await asyncio.gather(*(ws.close(1012, "deploy") for ws in everyone if ws.path == told))
            for ws in everyone:
                ws.transport.abort()
        self.call(restart())

    def cut_all(self):
        async def cut():
            for ws in list(self.sockets):
                ws.transport.abort()
        self.call(cut())

    def hold_up(self, seconds):
        """Nothing is answered for so long."""
        self.loop.call_soon_threadsafe(lambda: time.sleep(seconds))

    def end(self):
        """Everything open is cut, without the Close that the library would send, and it listens no more."""
        async def end():
            for ws in list(self.sockets):
                ws.transport.abort()
            self.server.close()
        self.call(end())

    @property
    def url(self):
        return f"{'wss' if self.context else 'ws'}://127.0.0.1:{self.port}/ws"

    def stop(self):
        self.end()
        self.call(self.server.wait_closed())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture
def server(scene):
    def start(**how):
        s = Server(**how)
        scene.callback(s.stop)
        return s
    return start


class Receiver:
    """Takes posts; those to /json are refused with the statuses that wait, and not counted."""

    def __init__(self):
        self.posts, self.statuses = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                status = outer.statuses.pop(0) if outer.statuses and self.path == "/json" else 200
                if status == 200:
                    outer.posts.append((self.path, json.loads(body)))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def at(self, path):
        return [body for where, body in list(self.posts) if where == path]

    def alerts(self, notice=None, kind=None):
        return [a for a in self.at("/json") if notice in (None, a["notice"]) and kind in (None, a["kind"])]

    def wait(self, notice, kind, count=1):
        return wait_for(lambda: len(self.alerts(notice, kind)) >= count and self.alerts(notice, kind),
                        lambda: f"{count} {notice} {kind}; there were {[(a['notice'], a['kind']) for a in self.alerts()]}", PATIENCE)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(scene):
    r = Receiver()
    scene.callback(r.stop)
    return r


class Watch:
    def __init__(self, folder, name, text, words=(), env=None):
        self.port = free_port()
        self.file = folder / f"{name}.yaml"
        self.write(text)
        self.process = Process([BINARY, "watch", "-c", self.file, "--listen", f"127.0.0.1:{self.port}", *words], folder, name,
                               env=environment(env))
        self.process.wait_listening(("127.0.0.1", self.port))

    def write(self, text):
        self.file.write_text(text)

    def request(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers={"Host": f"127.0.0.1:{self.port}", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def get(self, path):
        status, body, _ = self.request(path)
        assert status == 200, (path, status, body)
        return body

    def targets(self):
        return {t["name"]: t for t in json.loads(self.get("/api/targets"))["targets"]}

    def wait_state(self, name, state):
        wait_for(lambda: self.targets()[name]["state"] == state, lambda: f"{name} {state}: {self.targets()[name]}", PATIENCE, 0.05)

    def metric(self, series):
        for line in self.get("/metrics").splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def stop(self):
        if self.process.running():
            self.process.signal(signal.SIGTERM)
            assert self.process.wait_exit(15) == 0, self.process.tail()
        text = self.process.output()
        assert "Sanitizer" not in text and "runtime error" not in text, text


@pytest.fixture
def watch(tmp_path, scene):
    started = []

    def start(text, *words, env=None):
        w = Watch(tmp_path, f"watch{len(started)}", text, words, env)
        started.append(w)
        scene.callback(w.process.stop)
        scene.callback(w.stop)
        return w
    return start


FAST = """ping_every: 100ms
check_every: 0
backoff_max: 200ms
recover: 300ms
connect_for: 2 in 1m
"""


def with_json(receiver, more=""):
    return f"channels:\n  - {{name: json, type: json, url: '{receiver.url}/json', retry_max: 50ms}}\n{more}"


# ---- alerts

def test_kill_9_of_the_backend_is_told_once_to_every_channel_and_its_return_too(watch, receiver, tmp_path, run_folder):
    port = free_port()
    backend = servers.echo(run_folder, port).wait()
    spoken = tmp_path / "command.log"
    receiver.statuses = [500]  # the first attempt fails; it is tried again
    w = watch(FAST + f"public_url: http://status.example/\ntargets:\n  - {{url: 'ws://127.0.0.1:{port}/', name: echo}}\n" + with_json(receiver, f"""
  - {{name: slack, type: slack, url: '{receiver.url}/slack'}}
  - {{name: am, type: alertmanager, url: '{receiver.url}/am', resend: 1s}}
  - name: command
    type: command
    command: [sh, -c, 'printf "%s %s %s\\n" "$HOLDFAST_NOTICE" "$HOLDFAST_KIND" "$HOLDFAST_SUMMARY" >>{spoken}']
"""))
    w.wait_state("echo", "up")
    os.killpg(backend.process.pid, signal.SIGKILL)
    drop = receiver.wait("alert", "drop")[0]
    assert drop["target"] == "echo" and drop["severity"] == "critical" and drop["page"] == "http://status.example/"
    assert "ended by the other side" in drop["summary"] and drop["closed"] is None and drop["evidence"] and drop["advice"]
    refused = receiver.wait("alert", "connect")[0]
    assert "refused" in refused["summary"] and "listens" in refused["advice"]
    w.wait_state("echo", "down")
    wait_for(lambda: len(receiver.at("/am/api/v2/alerts")) >= 4, "Alertmanager is told again of what is open", PATIENCE)
    for alert in (body[0] for body in receiver.at("/am/api/v2/alerts")):
        assert set(alert["labels"]) == {"alertname", "kind", "severity", "target"} and alert["endsAt"] > alert["startsAt"]
    backend = servers.echo(run_folder, port).wait()
    try:
        assert receiver.wait("recovery", "connect")[0]["closed"] is not None
        receiver.wait("recovery", "drop")
        wait_for(lambda: "recovery drop" in spoken.read_text(), "the command heard of the recovery", PATIENCE)
        assert [len(receiver.alerts("alert", kind)) for kind in ("drop", "connect", "slow")] == [1, 1, 0]
        assert not receiver.alerts("reminder")
        ended = [a for body in receiver.at("/am/api/v2/alerts") for a in body if a["labels"]["kind"] == "drop"][-1]
        wait_for(lambda: [a for body in receiver.at("/am/api/v2/alerts") for a in body if a["labels"]["kind"] == "drop"][-1]["endsAt"] <=
                 datetime.datetime.utcnow().isoformat(timespec="milliseconds") + "Z", f"Alertmanager was told of the end: {ended}", PATIENCE)
        texts = [post["text"] for post in receiver.at("/slack")]
        assert any(t.startswith("echo: ended by") for t in texts) and any(t.startswith("echo: over: ") for t in texts), texts
        assert spoken.read_text().startswith("alert drop ended by the other side")
        assert w.metric('holdfast_watch_alerts_lost_total{channel="json"}') == 0
        assert re.search(r'holdfast_watch_drops_total\{target="echo",cause="[a-z0-9-]+",who="[a-z]+",code="1006",judged="premature"\} 1\n', w.get("/metrics"))
        assert w.metric('holdfast_watch_up{target="echo"}') == 1
        page = w.get("/")
        assert "1 of 1</b> up" in page and "ended by the other side" in page and "over after" in page
    finally:
        backend.stop()


def test_a_restart_goes_on_where_it_was_and_tells_nothing_twice(watch, receiver, server, tmp_path):
    s = server()
    db = tmp_path / "watch.db"
    text = FAST + f"database: {db}\ntargets: [{{url: '{s.url}', name: a}}]\n" + with_json(receiver)
    w = watch(text)
    w.wait_state("a", "up")
    s.end()
    receiver.wait("alert", "connect")
    w.stop()
    with contextlib.closing(sqlite3.connect(db)) as opened:
        assert opened.execute("SELECT count(*) FROM endings WHERE target='a' AND judged='premature'").fetchone()[0] == 1
        assert opened.execute("SELECT count(*) FROM incidents WHERE kind='connect' AND closed=0 AND told=1").fetchone()[0] == 1
        assert opened.execute("SELECT sum(up_ms) FROM minutes").fetchone()[0] > 0
        assert opened.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    before = len(receiver.alerts("alert"))
    w = watch(text)
    endings = json.loads(w.get("/api/endings?target=a"))["endings"]
    assert any(e["judged"] == "premature" for e in endings)
    assert [i["kind"] for i in json.loads(w.get("/api/incidents"))["incidents"] if i["closed"] is None].count("connect") == 1
    wait_for(lambda: w.metric('holdfast_watch_connect_failures_total{target="a"}') > 2, "it tried", PATIENCE)
    s.start()
    receiver.wait("recovery", "connect")
    w.wait_state("a", "up")
    assert len(receiver.alerts("alert")) == before
    assert w.metric("holdfast_watch_history_works") == 1


def test_a_server_that_says_it_restarts_is_excused_and_another_close_is_not(watch, receiver, server):
    s = server()
    w = watch(FAST + f"deploy_hold: 600ms\ntargets: [{{url: '{s.url}', name: a, connections: 2}}, {{url: '{s.url}/2', name: b}}]\n" + with_json(receiver))
    w.wait_state("a", "up")
    w.wait_state("b", "up")
    s.restart("/ws")
    wait_for(lambda: s.accepted >= 6, "they came back", PATIENCE)
    wait_for(lambda: w.metric('holdfast_watch_quiet{target="a"}') == 0, "the hold is over", PATIENCE)
    w.wait_state("a", "up")
    s.close_all(1011, "<script>alert(1)</script>")
    alert = receiver.wait("alert", "drop")[0]
    assert "1011" in alert["summary"] and "<script>" in alert["summary"]
    assert not receiver.alerts("alert", "connect") and len(receiver.alerts("alert", "drop")) <= 2  # one of each target
    judged = [e["judged"] for e in json.loads(w.get("/api/endings?target=a"))["endings"]]
    assert judged.count("restart") == 2 and judged.count("premature") == 2
    page = w.get("/")
    assert "<script" not in page and "&lt;script&gt;" in page


def test_a_ping_that_takes_too_long_is_told_and_that_it_is_over(watch, receiver, server):
    s = server()
    w = watch(FAST + f"max_rtt: 400ms\nslow_for: 1\ntargets: [{{url: '{s.url}', name: a}}]\n" + with_json(receiver))
    w.wait_state("a", "up")
    s.hold_up(0.8)
    alert = receiver.wait("alert", "slow")[0]
    assert alert["severity"] == "warning" and "at most 400 ms are allowed" in alert["summary"]
    receiver.wait("recovery", "slow")
    assert w.metric('holdfast_watch_rtt_seconds_count{target="a"}') > 3
    assert "polyline" in w.get("/")


def test_quiet_holds_alerts_back_and_what_is_still_wrong_behind_it_is_told(watch, receiver, server):
    s = server()
    w = watch(FAST + f"targets: [{{url: '{s.url}', name: a}}]\n" + with_json(receiver))
    w.wait_state("a", "up")
    assert w.request("/quiet?target=nobody", "POST")[0] == 404
    assert w.request("/quiet?for=soon", "POST")[0] == 400
    assert w.request("/quiet", "GET")[0] == 405
    assert w.request("/quiet", "POST", Origin="https://evil.example")[0] == 403
    assert w.request("/quiet?target=a&for=1h", "POST")[0] == 200
    s.end()
    wait_for(lambda: w.targets()["a"]["incidents"] == ["connect"], "the incident is open, and held back", PATIENCE)
    assert not receiver.alerts() and w.targets()["a"]["quiet"] is True and "held back" in w.get("/")
    assert w.request("/quiet?target=a&for=0", "POST")[0] == 200
    receiver.wait("alert", "connect")
    assert not receiver.alerts("alert", "drop")  # it was excused
    w.process.signal(signal.SIGUSR2)
    wait_for(lambda: w.targets()["a"]["quiet"], "SIGUSR2 makes it quiet", PATIENCE)


def test_a_connection_that_we_renew_is_no_drop(watch, receiver, server):
    s = server()
    w = watch(FAST + f"renew: 1s\ntargets: [{{url: '{s.url}', name: a}}]\n" + with_json(receiver))
    wait_for(lambda: s.accepted >= 2, "it is made anew", PATIENCE)
    w.wait_state("a", "up")
    assert [e["judged"] for e in json.loads(w.get("/api/endings"))["endings"]] == ["ours"] * (s.accepted - 1)
    assert not receiver.posts and "drops_total{" not in w.get("/metrics")


def test_a_watch_that_stood_still_blames_nobody(watch, receiver, server):
    s = server()
    w = watch(FAST + f"answer_timeout: 1s\nmax_rtt: 500ms\nslow_for: 1\ntargets: [{{url: '{s.url}', name: a}}]\n" + with_json(receiver))
    w.wait_state("a", "up")
    wait_for(lambda: (w.metric('holdfast_watch_rtt_seconds_count{target="a"}') or 0) > 12, "it has been held for more than a tick", PATIENCE, 0.1)
    w.process.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    wait_for(lambda: time.monotonic() - stopped > 5.5, "5.5 s to go by", 15, 0.1)
    s.cut_all()
    w.process.signal(signal.SIGCONT)
    wait_for(lambda: "was not run for" in w.process.output(), "it says so", PATIENCE)
    wait_for(lambda: s.accepted >= 2, "it is held anew", PATIENCE)
    w.wait_state("a", "up")
    assert w.targets()["a"]["quiet"] is True and w.targets()["a"]["incidents"] == [] and not receiver.posts


# ---- certificates

@pytest.fixture(scope="module")
def short_certificate(run_folder):
    cert, key = run_folder / "short.pem", run_folder / "short.key"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 5, "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def test_a_certificate_that_runs_out_soon_is_told(watch, receiver, server, short_certificate):
    cert, context = short_certificate
    s = server(context=context)
    w = watch(FAST +
              f"cacert: {cert}\ntargets: [{{url: '{s.url}', name: a}}]\n" + with_json(receiver))
    alert = receiver.wait("alert", "certificate")[0]
    assert re.fullmatch(r"the certificate runs out in (4\.9|5\.0) days", alert["summary"]) and alert["severity"] == "warning"
    left = w.metric('probe_ssl_earliest_cert_expiry{target="a"}') - time.time()
    assert 4.9 * 86400 < left < 5.1 * 86400
    assert "days left" in w.get("/")
    once = run("--once", "--hold", "100ms", "--cacert", cert, s.url)
    assert once.returncode == 1 and "WARNING" in once.stdout and "certificate runs out" in once.stdout
    assert run("--once", "--hold", "100ms", "--cacert", cert, "--certificate-days", "2", s.url).returncode == 0
    untrusted = run("--once", "--hold", "100ms", s.url)
    assert untrusted.returncode == 2 and "CRITICAL" in untrusted.stdout


# ---- one look

def run(*words, env=None):
    return subprocess.run([BINARY, "watch", *map(str, words)], capture_output=True, text=True, timeout=50, env=environment(env),
                          stdin=subprocess.DEVNULL)


PERFDATA = r"'(?:[^']|'')+'=-?[\d.]+s?;[\d.:]*;[\d.:]*;[\d.:]*"


def test_once_ends_with_the_codes_and_the_line_of_a_monitoring_plugin(server):
    s, nobody = server(), f"ws://127.0.0.1:{free_port()}/"
    good = run("--once", "--hold", "200ms", s.url)
    assert good.returncode == 0 and good.stderr == ""
    assert re.fullmatch(rf"WEBSOCKET OK - {re.escape(s.url)}: held \d+ ms \|(?: {PERFDATA}){{3}}(?:;0)?\n", good.stdout), good.stdout
    slow = run("--once", "--hold", "200ms", "--max-rtt", "1ms", "--max-connect", "1ms", s.url)
    late = run("--once", "--hold", "200ms", "--ping-every", "50ms", "--max-rtt", "1ms", s.url)
    assert slow.returncode in (0, 1) and late.returncode in (0, 1)
    refused = run("--once", "--hold", "200ms", nobody)
    assert refused.returncode == 2 and refused.stdout.startswith("WEBSOCKET CRITICAL - ") and "refused" in refused.stdout
    assert "|" not in refused.stdout, "nothing was measured"
    both = run("--once", "--hold", "200ms", s.url, nobody)
    lines = both.stdout.splitlines()
    assert both.returncode == 2 and len(lines) == 3 and "1 of 2 targets are good" in lines[0]
    assert lines[1].startswith("OK - ") and lines[2].startswith("CRITICAL - ")
    unknown = run("--once", "--hold", "soon", s.url)
    assert unknown.returncode == 3 and unknown.stdout.startswith("WEBSOCKET UNKNOWN - ")
    nothing = run("--once")
    assert nothing.returncode == 3 and nothing.stdout.startswith("WEBSOCKET UNKNOWN - ")
    told = [json.loads(line) for line in run("--once", "--json", "--hold", "200ms", s.url, nobody).stdout.splitlines()]
    assert [line["type"] for line in told] == ["check", "check", "once"]
    assert [line["level"] for line in told] == ["OK", "CRITICAL", "CRITICAL"] and told[0]["rtt_ms"] > 0


def test_once_says_that_a_connection_dropped_and_that_one_was_slow(server):
    s = server()
    hasty = threading.Thread(target=lambda: (wait_for(lambda: s.sockets, "it is there", PATIENCE), s.cut_all()))
    hasty.start()
    dropped = run("--once", "--hold", "10s", s.url)
    hasty.join()
    assert dropped.returncode == 2 and "CRITICAL" in dropped.stdout and "after" in dropped.stdout
    busy = threading.Thread(target=lambda: (wait_for(lambda: s.sockets, "it is there", PATIENCE), s.hold_up(0.5)))
    busy.start()
    slow = run("--once", "--hold", "1s", "--ping-every", "50ms", "--max-rtt", "200ms", s.url)
    busy.join()
    assert slow.returncode == 1 and "WARNING" in slow.stdout and "at most 200 ms" in slow.stdout


# ---- pages

def parsed_metrics(text):
    """{series: value}; asserts what the format 0.0.4 demands."""
    family, types, series = None, {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in types, f"{family} begins twice"
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == family
            types[family] = line.split(" ")[3]
        else:
            found = re.fullmatch(r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)', line)
            assert found, line
            name = found.group(1)
            bare = re.sub("_(bucket|sum|count)$", "", name) if types[family] == "histogram" else name
            assert bare == family, line
            key = name + (found.group(2) or "")
            assert key not in series, f"{key} is there twice"
            series[key] = float(found.group(3))
    return series


def test_metrics_are_in_the_format_whatever_a_target_is_called(watch, server):
    s = server()
    w = watch(FAST.replace("check_every: 0", "check_every: 100ms") + f"targets:\n  - {{url: '{s.url}', name: 'a \"b\" \\c'}}\n" +
              f"  - {{url: 'ws://127.0.0.1:{free_port()}/', name: nobody}}\n")
    label = r'target="a \"b\" \\c"'
    wait_for(lambda: w.metric(f"probe_success{{{label}}}") == 1, "a check went well", PATIENCE)
    wait_for(lambda: w.metric('probe_success{target="nobody"}') == 0, "a check failed", PATIENCE)
    wait_for(lambda: w.metric(f"holdfast_watch_up{{{label}}}") == 1, "a connection is held", PATIENCE)
    wait_for(lambda: w.metric('holdfast_watch_incident_open{target="nobody",kind="connect"}') == 1, "an incident is open", PATIENCE)
    wait_for(lambda: w.metric(f"holdfast_watch_rtt_seconds_count{{{label}}}") > 0, "a ping was answered", PATIENCE)
    series = parsed_metrics(w.get("/metrics"))
    assert series[f"holdfast_watch_up{{{label}}}"] == 1 and series['holdfast_watch_up{target="nobody"}'] == 0
    assert 0 < series[f"probe_duration_seconds{{{label}}}"] < 10
    for phase in ("dns", "tcp", "upgrade", "ping"):
        assert series[f'holdfast_watch_phase_seconds{{{label},phase="{phase}"}}'] >= 0
    counts = [v for k, v in series.items() if k.startswith("holdfast_watch_rtt_seconds_bucket{" + label)]
    assert counts == sorted(counts) and counts[-1] == series[f"holdfast_watch_rtt_seconds_count{{{label}}}"] > 0
    assert series['holdfast_watch_incident_open{target="nobody",kind="connect"}'] == 1
    assert series["holdfast_watch_history_works"] == 0


def test_pages_are_for_this_machine_and_whoever_has_the_token(watch, server):
    s = server()
    text = FAST + f"targets: [{{url: '{s.url}?token=hush&x=1', name: a}}]\n"
    w = watch(text)
    w.wait_state("a", "up")
    assert w.request("/", Host="evil.example")[0] == 403 and w.request("/", Host="localhost:1")[0] == 200
    status, page, headers = w.request("/")
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"
    assert "hush" not in page and "hush" not in w.get("/api/targets") and "token=***" in page
    assert not re.search(r"(src|href)=.?(https?:)?//", page)
    assert w.request("/nowhere")[0] == 404 and w.request("/", "POST")[0] == 405
    assert w.request("/api/endings?limit=0")[0] == 400 and w.request("/api/endings?target=x")[0] == 404
    assert w.get("/healthz") == "ok\n" and json.loads(w.get("/api/incidents")) == {"v": 1, "incidents": []}
    closed = watch("token_env: WATCH_TOKEN\n" + text, env={"WATCH_TOKEN": "a-long-token"})
    assert closed.request("/")[0] == 401 and closed.request("/metrics")[0] == 401 and closed.request("/healthz")[0] == 200
    assert closed.request("/metrics", Authorization="Bearer a-long-token")[0] == 200


# ---- operating it

def test_check_tells_every_mistake_with_its_place(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("min_hold: 5\ntargets:\n  - url: ws://h/\n    pingevery: 1s\n  - {name: x}\n")
    done = run("-c", file, "--check")
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert any(line.startswith(f"{file}:4:5: \"pingevery\" is not a known key; the nearest is ping_every") for line in lines), lines
    assert any(line.startswith(f"{file}:1:11: min_hold: \"5\" is a number without a unit") for line in lines), lines
    assert any(f"{file}:5:5: targets: an entry has no url" in line for line in lines), lines
    assert run("-c", tmp_path / "none.yaml").returncode == 2
    assert run("--no-such-option").returncode == 2
    file.write_text("targets: [ws://127.0.0.1:1/]\n")
    good = run("-c", file, "--check")
    assert good.returncode == 0 and "1 target" in good.stdout


def test_a_reload_leaves_targets_that_are_the_same_undisturbed(watch, server):
    a, b, c = server(), server(), server()
    entry = "  - {{url: '{}', name: {}}}\n"
    w = watch(FAST + "targets:\n" + entry.format(a.url, "a") + entry.format(b.url, "b"))
    w.wait_state("a", "up")
    w.wait_state("b", "up")
    w.write("targets: [nonsense")
    w.process.signal(signal.SIGHUP)
    wait_for(lambda: "everything stays as it was" in w.process.output(), "the mistake is told", PATIENCE)
    assert set(w.targets()) == {"a", "b"}
    w.write(FAST + "targets:\n" + entry.format(a.url, "a") + entry.format(c.url, "c"))
    w.process.signal(signal.SIGHUP)
    wait_for(lambda: set(w.targets()) == {"a", "c"}, "the targets are those of the file", PATIENCE)
    w.wait_state("c", "up")
    wait_for(lambda: not b.sockets, "b is let go", PATIENCE)
    assert a.accepted == 1 and w.targets()["a"]["state"] == "up"
    w.write(FAST + "message_every: 50ms\ntargets:\n" + entry.format(a.url, "a"))
    w.process.signal(signal.SIGHUP)
    wait_for(lambda: a.accepted == 2, "a changed, and is held anew", PATIENCE)


def test_systemd_is_told_and_json_lines_are_all_that_goes_to_standard_output(watch, server, short_folder):
    s = server()
    path = str(short_folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(PATIENCE)
        w = watch(FAST.replace("check_every: 0", "check_every: 100ms") + f"targets: [{{url: '{s.url}', name: a}}]\n", "--json",
                  env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
        assert notify.recv(100) == b"READY=1"
        assert notify.recv(100) == b"WATCHDOG=1"
        w.wait_state("a", "up")
        wait_for(lambda: w.targets()["a"]["check"], "a check was made", PATIENCE)
        s.cut_all()
        wait_for(lambda: '"type":"ending"' in w.process.out.read_text(), "the ending is a line", PATIENCE)
        w.stop()
        left = set()
        with contextlib.suppress(OSError):
            notify.settimeout(0)
            while True:
                left.add(notify.recv(100))
        assert b"STOPPING=1" in left
    lines = [json.loads(line) for line in w.process.out.read_text().splitlines()]
    assert {"ending", "alert", "check"} <= {line["type"] for line in lines}
    assert all(line["v"] == 1 and line["target"] == "a" for line in lines)
    ending = next(line for line in lines if line["type"] == "ending")
    assert ending["judged"] == "premature" and ending["code"] == 1006 and ending["how"] in ("rst", "fin")


def test_watching_goes_on_when_the_history_cannot_be_written(watch, receiver, server, tmp_path):
    s = server()
    w = watch(FAST + f"database: {tmp_path}/not/there/watch.db\ntargets: [{{url: '{s.url}', name: a}}]\n" + with_json(receiver))
    w.wait_state("a", "up")
    assert "watching goes on without history" in w.process.output() and "cannot be opened or written" in w.get("/")
    s.cut_all()
    receiver.wait("alert", "drop")
    assert w.metric("holdfast_watch_history_works") == 0
    (tmp_path / "not" / "there").mkdir(parents=True)
    wait_for(lambda: w.metric("holdfast_watch_history_works") == 1, "what waited is written", PATIENCE, 0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / "not/there/watch.db")) as db:
        wait_for(lambda: db.execute("SELECT count(*) FROM endings").fetchone()[0] >= 1, "the ending is there", PATIENCE, 0.1)


def test_the_manual_page_has_every_option_and_is_set_without_complaint():
    page = (servers.HERE.parents[1] / "man" / "holdfast-watch.1").read_text().replace("\\-", "-")
    helped = run("--help").stdout
    for option in ("--once", "--hold", "--json", "--check", "--db", "--keys"):
        assert option in page and option in helped, option
    for key in re.findall(r"^\| `(\w+)` ", (servers.HERE.parents[1] / "docs" / "watch.md").read_text().split("## Keys", 1)[1], re.M):
        assert f".B {key}\n" in page, key
    set_by = subprocess.run(["groff", "-man", "-Tutf8", "-ww", servers.HERE.parents[1] / "man" / "holdfast-watch.1"], capture_output=True, text=True)
    assert set_by.returncode == 0 and set_by.stderr == ""
