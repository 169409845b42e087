# SPDX-License-Identifier: Apache-2.0
"""`holdfast probe`: what it says of connections that open, hold and end, before real servers and before ones that misbehave."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest
from harness import raw, servers
from harness.connect import environment
from harness.gateway import BINARY
from harness.process import Process, free_port, wait_for
from harness.raw import CLOSE, PING, PONG, TEXT

RECORD = {"cause", "who", "how", "phase", "code", "reason", "http", "errno", "held_ms", "silent_rx_ms", "silent_tx_ms", "unsure_ms",
          "rtt_ms", "unacked", "retransmits", "messages_sent", "messages_got", "bytes_sent", "bytes_got", "pings_sent", "pongs_got",
          "pings_got", "pongs_sent"}


class Probed:
    def __init__(self, done):
        self.code, self.err = done.returncode, done.stderr
        self.lines = [json.loads(line) for line in done.stdout.splitlines()]
        for line in self.lines:
            assert line["v"] == 1 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line

    def of(self, kind):
        return [line for line in self.lines if line["type"] == kind]

    @property
    def end(self):
        assert len(self.of("end")) == 1, self.lines
        assert RECORD <= set(self.of("end")[0])
        return self.of("end")[0]


def run(*words, env=None):
    return subprocess.run([BINARY, "probe", *map(str, words)], capture_output=True, text=True, timeout=50, env=environment(env),
                          stdin=subprocess.DEVNULL)


def probe(*words, env=None):
    return Probed(run("--json", *words, env=env))


def ws(backend):
    return backend.url.replace("http", "ws", 1)


# ---- holding

def test_a_held_connection_tells_its_phases_its_round_trips_and_ends_with_0(echo):
    p = probe("--hold", "700ms", "--ping", "100ms", "--say", "hello", "--print", echo.ws + "/?token=secret")
    assert p.code == 0 and [line["type"] for line in p.lines] == ["start", "open", "message", "end", "summary"]
    assert p.of("start")[0]["url"].endswith("/?token=***")
    opened = p.of("open")[0]
    assert opened["address"] == f"127.0.0.1:{echo.port}"
    assert all(opened[key] >= 0 for key in ("dns_ms", "tcp_ms", "upgrade_ms")) and opened["tls_ms"] is None
    assert p.of("message")[0]["data"] == "hello"
    assert (p.end["how"], p.end["who"], p.end["cause"], p.end["code"]) == ("ended_by_us", "us", "none", 1000)
    assert p.end["held_ms"] >= 700 and p.end["pings_sent"] == p.end["pongs_got"] >= 3
    assert p.end["messages_sent"] == p.end["messages_got"] == 1 and p.end["rtt_ms"] > 0
    s = p.of("summary")[0]
    assert (s["opened"], s["held"], s["ended_early"]) == (1, 1, 0) and s["rtt_min_ms"] <= s["rtt_median_ms"] <= s["rtt_max_ms"]


def test_without_a_heartbeat_that_was_named_nothing_is_sent(backend):
    b = backend()
    p = Process([BINARY, "probe", "--hold", "300ms", "--no-check", ws(b)], "/tmp", f"probe-{os.getpid()}", env=environment())
    served = b.next()
    served.upgrade()
    frame = served.read_frame()
    assert frame.opcode == CLOSE and frame.code == 1000
    served.close()
    p.stop(2)


@pytest.mark.parametrize("name", ["echo", "node", "chat", "inbox"])
def test_it_holds_before_each_real_server(request, name, applications):
    paths = {"chat": "/ws/chat", "inbox": "/ws/inbox/"}
    server = applications[name]
    p = probe("--hold", "300ms", "--ping", "100ms", server.ws + paths.get(name, "/"))
    if name in paths:  # these want a token first; what they answer instead is a status that a browser hides, or a Close
        assert p.code in (1, 3) and p.end["how"] in ("status", "close"), p.lines
    else:
        assert p.code == 0 and p.end["pongs_got"] >= 1


def test_many_are_started_staggered_and_counted(echo):
    p = probe("-n", "5", "--stagger", "50ms", "--hold", "300ms", echo.ws)
    assert p.code == 0 and len(p.of("open")) == len(p.of("end")) == 5
    assert p.of("summary")[0]["held"] == 5


def test_messages_go_out_in_their_interval_padded_to_their_size(backend):
    b = backend()
    p = Process([BINARY, "probe", "--hold", "2s", "-m", '{"a":1}', "--every", "50ms", "--size", "20B", ws(b)], "/tmp",
                f"probe-m-{os.getpid()}", env=environment())
    served = b.next()
    served.upgrade()
    for _ in range(3):
        frame = served.read_frame()
        assert frame.opcode == TEXT and frame.payload == b'{"a":1}             '
    served.close()
    p.stop(2)


@pytest.mark.parametrize("policy, answer", [("answer", b"abc"), ("empty", b""), ("late:300ms", b"abc"), ("ignore", None)])
def test_the_servers_pings_are_treated_as_it_was_told(backend, policy, answer):
    b = backend()
    p = Process([BINARY, "probe", "--hold", "900ms", "--no-check", "--pong", policy, ws(b)], "/tmp", f"probe-p-{os.getpid()}",
                env=environment())
    served = b.next()
    served.upgrade()
    begun = time.monotonic()
    served.send_frame(PING, b"abc")
    frame = served.read_frame()
    if answer is None:
        assert frame.opcode == CLOSE
    else:
        assert frame.opcode == PONG and frame.payload == answer
        assert "late" not in policy or time.monotonic() - begun > 0.29
    served.close()
    p.stop(2)


# ---- ends

def test_a_close_is_told_with_its_code_and_reason(echo):
    p = probe("--say", "close 4003 go away", echo.ws)
    assert p.code == 1
    assert (p.end["how"], p.end["code"], p.end["reason"], p.end["who"]) == ("close", 4003, "go away", "server")


def test_fin_and_reset_and_a_broken_protocol_are_told_apart(backend):
    def script(connection):
        connection.upgrade()
        what = connection.read_frame().payload
        if what == b"fin":
            connection.sock.shutdown(socket.SHUT_WR)
            connection.read_frame()
        elif what == b"rst":
            connection.reset()
        else:
            connection.send(b"\x83\x00")
            connection.read_frame()
    b = backend(script)
    for word, how, code in (("fin", "fin", 1006), ("rst", "rst", 1006), ("fault", "fault", 1002)):
        p = probe("--say", word, ws(b))
        assert p.code == 1 and (p.end["how"], p.end["code"]) == (how, code), (word, p.end)
        assert p.end["who"] == ("server" if how == "fault" else "unknown") or p.end["cause"] != "unknown"


def test_a_server_that_falls_silent_is_given_up_and_the_stall_is_told_before(backend):
    def script(connection):
        connection.upgrade()
        connection.send_frame(PONG, connection.read_frame().payload)
        time.sleep(20)
    b = backend(script)
    p = probe("--ping", "100ms", "--answer-timeout", "600ms", "--hold", "20s", ws(b))
    assert p.code == 1 and p.end["how"] == "silence" and len(p.of("stalled")) == 1
    assert p.end["held_ms"] >= 600 and p.end["unsure_ms"] >= 600
    assert p.lines.index(p.of("stalled")[0]) < p.lines.index(p.end)


def test_a_silent_hold_counts_only_when_a_ping_at_its_end_is_answered(backend):
    def script(connection):
        connection.upgrade()
        while connection.read_frame().opcode != CLOSE:  # pings are not answered
            pass
    b = backend(script)
    held = ("--hold", "1200ms", "--answer-timeout", "400ms")
    assert probe(*held, ws(b)).end["how"] == "silence"
    assert probe(*held, "--no-check", ws(b)).end["how"] == "ended_by_us"


def test_nginx_ends_a_silent_one_at_its_timeout_and_pings_keep_it(tmp_path, echo, scene):
    nginx = servers.nginx(tmp_path, echo.port, read_timeout="1s")
    scene.callback(nginx.stop)
    nginx.wait()
    silent = probe("--hold", "20s", nginx.ws)
    assert silent.code == 1 and silent.end["how"] in ("fin", "close") and 900 <= silent.end["held_ms"] <= 5000
    assert silent.of("open")[0]["server"].startswith("nginx")
    kept = probe("--hold", "1800ms", "--ping", "300ms", nginx.ws)
    assert kept.code == 0 and kept.end["held_ms"] >= 1800


def test_a_server_that_gives_up_a_client_without_pongs_is_named(scene, tmp_path):
    port = free_port()
    uvicorn = servers.Server(tmp_path, "uvicorn-ping", [servers.PYTHON, "-m", "uvicorn", "--host", "127.0.0.1", "--port", port,
                                                        "--ws-ping-interval", "0.5", "--ws-ping-timeout", "0.5", "--log-level",
                                                        "warning", "numbers_fastapi:application"], port,
                             {"PYTHONDONTWRITEBYTECODE": "1"}, servers.HERE / "backends")
    scene.callback(uvicorn.stop)
    uvicorn.wait()
    path = "/ws/numbers/"
    p = probe("--until-drop", "--no-pong", uvicorn.ws + path)
    assert p.code == 1 and p.end["how"] == "close" and p.end["code"] == 1011 and 900 <= p.end["held_ms"] <= 6000, p.lines
    assert p.end["pings_got"] >= 1 and p.end["pongs_sent"] == 0


def test_forever_opens_each_again_until_it_is_interrupted(backend):
    b = backend(lambda c: (c.upgrade(), c.send_close(1012, b"restart")))
    process = subprocess.Popen([BINARY, "probe", "--json", "--forever", ws(b)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment())
    wait_for(lambda: b.accepted >= 3, "it comes again")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    lines = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 1 and lines[-1]["type"] == "summary" and lines[-1]["ended_early"] >= 2, (lines[-1], err)
    assert {line["life"] for line in lines if line["type"] == "end"} >= {1, 2}


def test_an_interrupt_ends_it_orderly_with_what_there_was(echo):
    process = subprocess.Popen([BINARY, "probe", "--hold", "1h", "--ping", "50ms", echo.ws], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stdout.readline().startswith("ws://") and process.stdout.readline().startswith("open")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and out.startswith("held") and "round trips" in out and "\033" not in out + err


# ---- what does not open

@pytest.mark.parametrize("status, headers, body, meaning", [
    (403, [], b"Forbidden", "Origin"),
    (401, [("WWW-Authenticate", "Bearer")], b"", "Credentials"),
    (404, [], b"Not Found", "path"),
    (426, [("Upgrade", "websocket")], b"", "Upgrade"),
    (301, [("Location", "https://app.test/ws")], b"", "use wss:"),
    (302, [("Location", "https://sso.test/login?next=/ws")], b"", "login page"),
    (200, [("Content-Type", "text/html")], b"<html><title>Welcome</title><form><input type=\"password\"></form>", "captive portal"),
    (503, [("Retry-After", "5")], b"<h1>busy</h1>", "balancer"),
    (400, [], b"The plain HTTP request was sent to HTTPS port", "use wss:"),
])
def test_a_refused_handshake_tells_the_status_that_a_browser_hides_and_what_it_means(backend, status, headers, body, meaning):
    b = backend(lambda c: c.answer(status, body, headers))
    p = probe(ws(b) + "/ws")
    assert p.code == 3 and (p.end["how"], p.end["http"], p.end["phase"]) == ("status", status, "upgrade")
    assert meaning in p.end["meaning"], p.end["meaning"]
    assert p.end["body"] == body.decode() and all(p.end["headers"].get(name) == value for name, value in headers)
    text = run(ws(b) + "/ws")
    assert text.returncode == 3 and f"answered with {status}" in text.stdout and meaning in text.stdout


def test_a_strangers_answer_cannot_write_to_the_terminal(backend):
    b = backend(lambda c: c.answer(500, b"\x1b]0;owned\x07<b>oops</b>\x9b31m", [("Server", "x\x80y")], reason="Bad"))
    text = run(ws(b))
    assert text.returncode == 3 and "oops" in text.stdout and "\x1b" not in text.stdout and "\x9b" not in text.stdout


def test_nobody_there_no_name_and_no_tls_are_said_plainly(backend, echo):
    nobody = probe(f"ws://127.0.0.1:{free_port()}")
    assert nobody.code == 3 and (nobody.end["how"], nobody.end["phase"]) == ("refused", "tcp")
    name = probe("ws://no-such-name.invalid/")
    assert name.code == 3 and name.end["how"] == "no_name"
    tls = probe(f"wss://127.0.0.1:{echo.port}")
    assert tls.code == 3 and (tls.end["how"], tls.end["phase"]) == ("tls", "tls") and tls.end["reason"]
    assert "use ws:" in tls.end["meaning"]
    b = backend(lambda c: time.sleep(20))
    slow = probe("--connect-timeout", "300ms", ws(b))
    assert slow.code == 3 and (slow.end["how"], slow.end["phase"]) == ("slow", "upgrade")


def test_a_port_that_wants_tls_or_is_no_http_server_is_explained(authority, backend):
    b = backend(tls=authority.server_context("localhost"))
    p = probe(ws(b).replace("wss", "ws"))
    assert p.code == 3 and "use wss:" in p.end["meaning"], p.end
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def greet():
            sock, _ = listener.accept()
            sock.recv(4096)
            sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            sock.close()
        threading.Thread(target=greet, daemon=True).start()
        p = probe(f"ws://127.0.0.1:{listener.getsockname()[1]}")
    assert p.code == 3 and p.end["how"] == "status" and "no HTTP server" in p.end["meaning"] and "not understood" in p.end["text"]


def test_tls_is_verified_and_tells_when_the_certificate_ends(authority, backend):
    b = backend(raw.echo, tls=authority.server_context("localhost"))
    url = f"wss://localhost:{b.address[1]}/"
    unknown = probe(url)
    assert unknown.code == 3 and unknown.end["how"] == "tls" and "certificate" in unknown.end["reason"]
    other = probe("--cacert", authority.cert, "--connect-to", "127.0.0.1", url.replace("localhost", "other.test"))
    assert other.code == 3 and "mismatch" in other.end["reason"]
    for words in (["--cacert", authority.cert], ["-k"]):
        p = probe("--hold", "200ms", *words, url)
        opened = p.of("open")[0]
        assert p.code == 0 and opened["tls_ms"] > 0 and opened["certificate_expires"].endswith("Z")


def test_resolve_and_connect_to_choose_the_address_and_keep_the_name(backend):
    b = backend(raw.echo)
    port = b.address[1]
    for words, url in ((["--resolve", f"app.test:{port}:127.0.0.1"], f"ws://app.test:{port}/"),
                       (["--connect-to", f"127.0.0.1:{port}"], "ws://app.test/")):
        assert probe("--hold", "100ms", *words, url).code == 0
    assert [c.head.get("host") for c in b.connections] == [f"app.test:{port}", "app.test"]


def test_a_proxy_is_asked_and_its_refusal_is_told(backend, echo):
    seen = []

    def proxy(sock):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(4096)
        seen.append(head)
        if b"Proxy-Authorization" not in head:
            sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            sock.close()
            return
        up = socket.create_connection(("127.0.0.1", echo.port))
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            for s in select.select([sock, up], [], [])[0]:
                data = s.recv(65536)
                if not data:
                    return
                (up if s is sock else sock).sendall(data)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            while True:
                try:
                    threading.Thread(target=proxy, args=(listener.accept()[0],), daemon=True).start()
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        p = probe("--proxy", f"http://127.0.0.1:{port}", "ws://app.test:80/")
        assert p.code == 3 and p.end["http"] == 407 and "proxy wants credentials" in p.end["meaning"]
        p = probe("--hold", "200ms", "--proxy", f"http://me:pw@127.0.0.1:{port}", "ws://app.test:80/")
        assert p.code == 0 and seen[-1].startswith(b"CONNECT app.test:80 ")
        listener.shutdown(socket.SHUT_RDWR)


# ---- words

@pytest.mark.parametrize("words, complaint", [
    ([], "which URL?"), (["ws://a", "ws://b"], "one URL"), (["--hold", "5", "ws://a"], "a time has a unit"),
    (["-n", "0", "ws://a"], "from 1 to 100000"), (["--pong", "maybe", "ws://a"], "late:TIME"), (["-H", "nothing", "ws://a"], "NAME:VALUE"),
    (["ftp://a"], "ftp://a"), (["--cacert", "/nowhere.pem", "wss://a"], "/nowhere.pem"), (["--token-query", "t", "ws://a"], "--token"),
    (["-H", "X: a\nb", "ws://a"], "control characters"), (["--resolve", "a:b", "ws://a"], "HOST:PORT:ADDRESS"), (["--nonsense", "ws://a"], "--nonsense"),
    (["-n", "101", "ws://192.0.2.1"], "--allow-load"),
])
def test_a_mistake_in_the_words_is_said_and_ends_with_2(words, complaint):
    done = run(*words)
    assert done.returncode == 2 and complaint in done.stderr and "--help" in done.stderr and done.stdout == ""


def test_help_names_every_option_and_so_does_the_manual():
    text = run("--help").stdout
    page = (servers.HERE.parents[1] / "man" / "holdfast-probe.1").read_text().replace("\\-", "-")
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert len(options) > 30
    assert not [option for option in options if option not in page]


def test_on_a_terminal_the_open_ones_are_drawn_and_taken_off_again(echo):
    main, other = pty.openpty()
    env = environment({"TERM": "xterm"})
    env.pop("NO_COLOR", None)
    process = subprocess.Popen([BINARY, "probe", "--hold", "1200ms", "--ping", "100ms", "-n", "2", echo.ws], stdout=other, stderr=other,
                               stdin=subprocess.DEVNULL, env=env)
    os.close(other)
    seen = b""
    while True:
        try:
            more = os.read(main, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    os.close(main)
    assert process.wait(timeout=20) == 0
    text = seen.decode()
    assert re.search(r"2 open, 0 opening", text) and "rtt" in text and "\033[32mheld" in text
    assert text.rstrip().splitlines()[-1].startswith("round trips")
