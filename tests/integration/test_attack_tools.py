# SPDX-License-Identifier: Apache-2.0
"""What hostile servers, files, pages and neighbours tried on the tools of the diagnosis: probe, diagnose, watch, chaos, logs,
lint and bench."""
import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

from harness.chaos import Chaos
from harness.connect import environment
from harness.gateway import BINARY
from harness.process import Process, free_port, wait_for

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b2J"


def run(*words, stdin="", timeout=60, env=None):
    return subprocess.run([BINARY, *map(str, words)], input=stdin, capture_output=True, text=True, errors="surrogateescape",
                          timeout=timeout, env=environment(env))


def steers(text):
    """What of a text would steer a terminal."""
    return [c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f"]


# ---- lint

def test_lint_prints_nothing_of_a_file_that_steers_the_terminal_or_forges_lines(tmp_path):
    (tmp_path / "a.conf").write_text(f'server {{ location "/ws{ESCAPES}\n/etc/x:1:1: error: forged" {{ proxy_pass http://a; }} }}\n')
    done = run("lint", tmp_path / "a.conf")
    assert done.returncode == 1 and "forged" in done.stdout
    assert steers(done.stdout) == [] and not [line for line in done.stdout.splitlines() if line.startswith("/etc/x")]


@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "folder"])
def test_lint_does_not_wait_for_an_include_that_is_no_file(tmp_path, what):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.conf").write_text(f"include {what};\nserver {{ location /ws {{ proxy_pass http://a; }} }}\n")
    done = run("lint", tmp_path / "a.conf", timeout=20)
    assert done.returncode == 2 and "it is not a file" in done.stdout


def test_lint_reads_a_pipe_that_is_named(tmp_path):
    done = run("lint", "--kind", "nginx", "/dev/stdin", stdin="server { location /ws { proxy_pass http://a; } }\n")
    assert done.returncode == 1 and "nginx-upgrade-missing" in done.stdout


@pytest.mark.parametrize("name, text", [
    ("brace.conf", "}\n" * 200000),
    ("servers.conf", "server { location /ws { proxy_pass http://a; } }\n" * 5000),
    ("haproxy.cfg", "defaults\n mode http\n timeout tunnel 1h\n" + "backend b\n  server a 127.0.0.1:80\n" * 20000),
    ("itself.conf", "include itself.conf;\n" * 50),
    ("T.conf", "# configuration file /a.conf:\n" + "include /*.conf;\n" * 30 + "a;\n" * 20000),
], ids=lambda value: value if len(value) < 20 else "")
def test_lint_ends_soon_whatever_the_file(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert run("lint", tmp_path / name, timeout=50).returncode in (0, 1, 2)


# ---- a server's side, played by hand

def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


@pytest.fixture
def hostile():
    """Starts a server; play(connection) goes on behind the 101. Its URL, with a secret in it."""
    listeners = []

    def start(play):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve(connection):
            with contextlib.suppress(OSError), connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1].decode()
                connection.sendall(f"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                                   f"{accept_key(key)}\r\n\r\n".encode())
                play(connection)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return f"ws://127.0.0.1:{listener.getsockname()[1]}/?token=s3cret"
    yield start
    for listener in listeners:
        listener.close()


def close_frame(reason):
    reason = reason.encode()
    return b"\x88" + bytes([2 + len(reason)]) + b"\x0f\xa0" + reason


# ---- probe

def test_probe_does_not_hoard_pongs_for_a_server_that_floods_and_does_not_read(hostile, tmp_path):
    def play(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        flood = (b"\x89\x7d" + b"p" * 125) * 1000
        for _ in range(1500):  # 190 MB
            connection.sendall(flood)
        connection.close()
    probe = Process([BINARY, "probe", "--hold", "60s", hostile(play)], tmp_path, "probe")
    try:
        most = 0
        while probe.running():
            with contextlib.suppress(OSError, AssertionError):
                most = max(most, probe.memory())
            time.sleep(0.02)
        sanitizer = "build-test" in str(BINARY)  # which keeps what was freed for a while
        assert probe.popen.returncode == 1 and 0 < most < (400_000_000 if sanitizer else 80_000_000)
    finally:
        probe.stop()


@pytest.mark.parametrize("words", [("probe", "--hold", "2s"), ("diagnose", "--budget", "4s", "--only", "silence")], ids=lambda w: w[0])
def test_a_close_reason_steers_no_terminal_forges_no_line_and_no_secret_is_printed(hostile, words):
    url = hostile(lambda connection: (connection.sendall(close_frame("\x1b[2J\x07\x9b31m\nforged\rover")), connection.recv(1)))
    done = run(*words, url)
    assert steers(done.stdout + done.stderr) == []
    assert not [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("forged")]
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["probe", "diagnose", "bench"])
def test_the_complaint_about_a_url_keeps_its_secrets(command):
    done = run(command, "ws://name:s3cret@127.0.0.1:1/?token=s3cret")
    assert done.returncode == 2 and "user info" in done.stderr and "s3cret" not in done.stderr + done.stdout


# ---- diagnose

SECRET_WORDS = {
    "attached": ["--token=s3cret", "-HX-Api-Key: s3cret", "--header=Cookie: id=s3cret", "--head=X-Key: s3cret", "-kHX-Other: s3cret",
                 "--compare=ws://127.0.0.1:9/?token=s3cret"],
    "apart": ["-u", "name:s3cret", "-H", "Cookie: id=s3cret", "--compare", "127.0.0.1:9/?token=s3cret",
              "--proxy", "http://name:s3cret@127.0.0.1:9"],
    "in one word": ["-uname:s3cret", "--proxy=http://name:s3cret@127.0.0.1:9"],
}


@pytest.mark.parametrize("words", SECRET_WORDS.values(), ids=SECRET_WORDS)
def test_the_report_repeats_the_words_without_their_secrets(tmp_path, words):
    report = tmp_path / "r.html"
    done = run("diagnose", "--budget", "3s", "--only", "silence", "--report", report, *words, "127.0.0.1:9/?token=s3cret")
    assert done.returncode == 3, done.stderr
    page = report.read_text()
    assert "holdfast diagnose --budget" in page and "s3cret" not in page + done.stdout + done.stderr


def test_the_report_of_a_hostile_server_holds_no_markup_of_its_own(tmp_path, hostile):
    play = lambda connection: (connection.sendall(close_frame("\"><script>alert(1)</script><img src=x onerror=a>\x1b[2J")), connection.recv(1))
    report = tmp_path / "r.html"
    done = run("diagnose", "--budget", "5s", "--only", "silence,ping", "--report", report, hostile(play))
    assert done.returncode in (1, 4), done.stderr
    page = report.read_text()
    assert "alert(1)" in page and "<script" not in page and "<img" not in page and steers(page) == []


# ---- chaos

@pytest.fixture
def chaos(tmp_path, scene):
    def start(*words, **how):
        return scene.enter_context(Chaos(tmp_path, *words, **how))
    return start


def test_chaos_does_not_hoard_answers_for_a_client_that_does_not_read(chaos):
    box = chaos(toxics="  - type: rewrite_pings\n    mode: answer\n    stream: upstream\n")
    client = box.client()
    before = box.memory()
    flood = (b"\x89\xfd\0\0\0\0" + b"p" * 125) * 1000
    for _ in range(200):  # 26 MB
        client.sock.sendall(flood)
    assert box.memory() - before < 15_000_000


def test_chaos_holds_no_more_in_small_pieces_than_in_large_ones(chaos):
    box = chaos(toxics="  - type: slicer\n    average_size: 1\n    delay: 100\n")
    client = box.client()
    before = box.memory()
    client.sock.settimeout(3)
    for _ in range(40):
        client.send_frame(2, b"x" * 65536)
    wait_for(lambda: box.memory() > before, "the box holds something")
    time.sleep(1)  # long enough for what it would take in
    assert box.memory() - before < 30_000_000


def test_names_that_the_api_was_given_steer_no_terminal(tmp_path, scene):
    port = free_port()
    box = Process([BINARY, "chaos", f"--api=127.0.0.1:{port}"], tmp_path, "chaos")
    scene.callback(box.stop)
    box.wait_listening(("127.0.0.1", port))
    body = json.dumps({"name": ESCAPES + "\n0.000  forged", "upstream": "127.0.0.1:1"})
    request = urllib.request.Request(f"http://127.0.0.1:{port}/proxies", body.encode(), {"Content-Type": "application/json"})
    assert urllib.request.urlopen(request).status == 201
    wait_for(lambda: "listening" in box.out.read_text(errors="replace"), box.tail)
    box.stop()
    text = box.out.read_text(errors="surrogateescape")
    assert steers(text) == [] and not [line for line in text.splitlines() if "forged" in line and line.startswith("0.000")]


# ---- logs

def test_a_reload_that_ends_very_many_connections_of_one_balancer_is_read_soon(tmp_path):
    # What nginx writes then: one reason and one access line for each of them, all with one address and one path.
    reason = ("2026/11/26 01:00:{:02} [info] 1#1: *{} upstream timed out (110: Connection timed out) while proxying upgraded connection, "
              'client: 10.0.0.1, server: x, request: "GET /ws HTTP/1.1", upstream: "http://127.0.0.1:9/ws", host: "h"\n')
    access = '10.0.0.1 - - [26/Nov/2026:01:00:{:02} +0000] "GET /ws HTTP/1.1" 101 5 "-" "-" {}.000\n'
    count = 60000
    (tmp_path / "error.log").write_text("".join(reason.format(i * 30 // count, i) for i in range(count)))
    (tmp_path / "access.log").write_text("".join(access.format(i * 30 // count, 60 + i % 50) for i in range(count)))
    begun = time.monotonic()
    done = run("logs", "--json", "--zone", "Z", tmp_path / "error.log", tmp_path / "access.log")
    assert time.monotonic() - begun < 25
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["ended"] == count and summary["hows"].get("timer", 0) > count * 0.9, summary


def test_logs_of_a_device_without_lines_can_be_interrupted(tmp_path):
    process = Process([BINARY, "logs", "--json", "/dev/zero"], tmp_path, "logs")
    try:
        time.sleep(0.5)
        process.signal(signal.SIGINT)
        assert process.wait_exit(10) == 4
        assert json.loads(process.out.read_text().splitlines()[-1])["type"] == "summary"
    finally:
        process.stop()


def test_logs_print_nothing_of_a_log_that_steers_the_terminal_or_forges_lines(tmp_path):
    record = {"v": 1, "type": "end", "time": "2026-11-26T01:00:00.000Z", "held_ms": 24000, "phase": "open", "how": "fault",
              "cause": "idle" + ESCAPES, "reason": ESCAPES + "\nforged\r", "path": "/" + ESCAPES + "?token=s3cret", "code": 4000}
    (tmp_path / "a.log").write_text((json.dumps(record) + "\n") * 200)
    for words in ([], ["--endings"], ["--by", "path"]):
        done = run("logs", *words, tmp_path / "a.log")
        assert done.returncode == 1 and "200 WebSockets ended" in done.stdout
        assert steers(done.stdout + done.stderr) == [] and "s3cret" not in done.stdout
        assert not [line for line in done.stdout.splitlines() if line.startswith("forged")]


def test_logs_show_no_secret_of_an_upstream_or_of_a_line_that_is_not_read(tmp_path):
    (tmp_path / "a.log").write_text(
        '2026/11/26 01:00:01 [error] 1#1: *7 upstream timed out (110: Connection timed out) while proxying upgraded connection, client: '
        '10.0.0.1, server: x, request: "GET /ws?token=s3cret HTTP/1.1", upstream: "http://u/ws?token=s3cret", host: "h"\n'
        'what is this GET /ws?token=s3cret\n')
    for words in (["--by", "upstream"], ["--by", "upstream", "--endings", "--json"]):
        done = run("logs", *words, tmp_path / "a.log")
        assert done.returncode == 1 and "http://u/ws" in done.stdout and "what is this" in done.stdout and "s3cret" not in done.stdout


# ---- watch

@pytest.fixture
def watched(tmp_path, scene, hostile):
    """A watch with a database over a target that says evil things as it closes; ask(path, method) asks its page."""
    port = free_port()
    url = hostile(lambda connection: (connection.sendall(close_frame("\"><script>a()</script>\x1b[2J\x9b31m|x=1\nforged")), connection.recv(1)))
    file = tmp_path / "watch.yaml"
    file.write_text(f"listen: 127.0.0.1:{port}\ndatabase: {tmp_path}/w.db\ntargets:\n"
                    f'  - {{url: "{url}", name: evil, backoff_max: 100ms, check_every: 1h, drop_for: 1 in 1m}}\n'
                    f"channels:\n  - {{name: c, type: command, command: [sh, -c, 'env > {tmp_path}/env.txt']}}\n")

    def start():
        watch = Process([BINARY, "watch", "-c", file], tmp_path, "watch")
        scene.callback(watch.stop)
        return watch.wait_listening(("127.0.0.1", port))

    def ask(path, method="GET"):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
    return start, ask, tmp_path


def test_watch_shows_what_a_server_says_without_markup_controls_or_secrets(watched):
    start, ask, folder = watched
    start()
    wait_for(lambda: "a()" in ask("/")[1] and (folder / "env.txt").exists(), "an ending is shown and told", 15)
    for path in ("/", "/api/endings", "/api/incidents", "/api/targets", "/metrics"):
        status, text = ask(path)
        assert status == 200 and "s3cret" not in text and steers(text) == [], path
    assert "<script" not in ask("/")[1]
    told = wait_for(lambda: (folder / "env.txt").read_text(errors="surrogateescape"), "the command was told")
    assert "s3cret" not in told and steers(told) == [] and not [line for line in told.splitlines() if line.startswith("forged")]


@pytest.mark.parametrize("target", ["%", "%zz", "%00", "other"])
def test_a_target_that_is_written_wrongly_does_not_mean_all_of_them(watched, target):
    start, ask, _ = watched
    start()
    assert ask(f"/quiet?for=1h&target={target}", "POST")[0] == 404
    assert "holdfast_watch_quiet{target=\"evil\"} 0" in ask("/metrics")[1]


def test_times_in_a_damaged_history_are_left_out(watched):
    start, ask, folder = watched
    watch = start()
    wait_for(lambda: "a()" in ask("/api/incidents")[1], "an incident", 15)
    watch.stop(15)
    with contextlib.closing(sqlite3.connect(folder / "w.db")) as db:
        db.execute("UPDATE incidents SET opened=?, last_bad=?, closed=0", (-2**63, 2**63 - 1))
        db.execute("UPDATE endings SET time=?, held_ms=1e308", (2**63 - 1,))
        db.commit()
    start()
    assert ask("/")[0] == ask("/metrics")[0] == 200 and "9999-" not in ask("/api/endings")[1]
