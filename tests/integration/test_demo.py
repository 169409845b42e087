# SPDX-License-Identifier: Apache-2.0
"""`holdfast demo`: ends by itself, holds what it promises, and looks right on a terminal and elsewhere.

The runs take their eight seconds side by side, once for all tests."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import urllib.error
import urllib.request

import pytest

from harness.gateway import BINARY

SECONDS = 8
LATEST = SECONDS + 5.0  # what the demo promises of its own end
ESC = "\x1b"


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "WS_", "NO_COLOR"))}
    return {**kept, "TERM": "xterm", "LC_ALL": "C.UTF-8", **more}


class Run:
    """The demo with its output in pipes."""

    def __init__(self, *words, **env):
        self.started = time.monotonic()
        self.popen = subprocess.Popen([BINARY, "demo", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=environment(**env))

    def finish(self):
        out, err = self.popen.communicate(timeout=SECONDS + 20)
        self.code = self.popen.returncode
        self.took = time.monotonic() - self.started
        self.out, self.err = out.decode(), err.decode()


class Terminal:
    """The demo on a terminal of its own, which it also controls: Ctrl-C is a byte."""

    def __init__(self, *words, columns=100, rows=40, **env):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.shown = b""

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.popen = subprocess.Popen([BINARY, "demo", *words], stdin=self.slave, stdout=self.slave,
                                      stderr=self.slave, env=environment(**env), preexec_fn=own_terminal)

    def read(self, until=None, deadline=20.0):
        """Reads until that text was shown, or to the end of the program."""
        end = time.monotonic() + deadline
        while until is None or until not in self.text():
            if not select.select([self.master], [], [], 0.05)[0]:
                if self.popen.poll() is not None:
                    break
                assert time.monotonic() < end, f"not shown: {until}\n{self.text()[-2000:]}"
                continue
            self.shown += os.read(self.master, 65536)
        return self

    def text(self):
        return self.shown.decode(errors="replace")

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def finish(self):
        self.read()
        self.code = self.popen.wait(5)

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(5)
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture(scope="module")
def runs():
    plain = Run("--seconds", str(SECONDS), TERM="xterm")
    as_json = Run("--json", f"--seconds={SECONDS}", "--clients", "3")
    terminal = Terminal("--seconds", str(SECONDS), "--clients=2", NO_COLOR="1")
    terminal.finish()
    plain.finish()
    as_json.finish()
    yield {"plain": plain, "json": as_json, "terminal": terminal}
    terminal.close()


@pytest.fixture
def terminal():
    opened = []

    def start(*words, **how):
        opened.append(Terminal(*words, **how))
        return opened[-1]
    yield start
    for one in opened:
        one.close()


def row(text, name):
    """The two numbers of a row of the summary: (plain, held)."""
    found = re.search(rf"^  {re.escape(name)} +([\d.]+)(?: s)? +([\d.]+)(?: s)?$", text, re.M)
    assert found, f"no row {name!r} in\n{text}"
    return float(found.group(1)), float(found.group(2))


def test_it_ends_by_itself_with_0_and_nothing_on_standard_error(runs):
    for run in (runs["plain"], runs["json"]):
        assert (run.code, run.err) == (0, ""), run.out
        assert run.took <= LATEST


def test_elsewhere_than_on_a_terminal_it_tells_plain_lines(runs):
    text = runs["plain"].out
    assert ESC not in text and "\r" not in text
    assert len(re.findall(r"^ *[\d.]+ s  held +\d  open$", text, re.M)) == 4
    cuts = re.findall(r"^ *([\d.]+) s  (plain|held) +(\d)  cut: connection.reset$", text, re.M)
    assert {(side, number) for _, side, number in cuts} == {(side, str(n)) for side in ("plain", "held") for n in range(1, 5)}
    assert re.search(r"^ *[\d.]+ s  plain +\d  connected again after 1\.\d+ s$", text, re.M)
    assert re.search(r"^ *[\d.]+ s  held +\d  resumed after \d\.\d+ s$", text, re.M)
    assert not re.search(r"held +\d  (connected again|failed)", text)
    assert re.search(r"plain: cut \d+ x, closes \d+, lost \d+; held: cut \d+ x, closes 0, lost 0$", text, re.M)


def test_the_summary_counts_cuts_closes_and_losses(runs):
    text = runs["plain"].out
    assert row(text, "clients") == (4, 4)
    plain_cuts, held_cuts = row(text, "connections cut")
    assert plain_cuts >= 4 and held_cuts >= 4
    assert row(text, "closes seen by the application") == (plain_cuts, 0)
    plain_seen, held_seen = row(text, "connections seen by the backend")
    assert held_seen == 4 and plain_seen > 4
    assert row(text, "closes seen by the backend") == (plain_cuts, 0)
    lost_plain, lost_held = row(text, "messages lost")
    assert lost_held == 0 and lost_plain >= 3 * plain_cuts / 2  # five chunks a second, and a second away
    assert row(text, "twice, or out of order") == (0, 0)
    assert re.search(r"^    4 x  client_\w+, 1000, by the client, held [\d.]+ s$", text, re.M), text
    assert "\nHeld. " in text


def test_the_json_summary_is_all_that_json_prints(runs):
    report = json.loads(runs["json"].out)
    plain, held = report["plain"], report["held"]
    assert report["ok"] is True and report["seconds"] == SECONDS
    assert (held["clients"], held["as_promised"], held["closes_application"], held["closes_backend"]) == (3, 3, 0, 0)
    assert (held["connections_backend"], held["messages_lost"], held["messages_disordered"]) == (3, 0, 0)
    assert held["cuts"] >= 3 and held["messages"] >= 3 * 40
    assert plain["clients"] == 3 and plain["as_promised"] == 0
    assert plain["closes_application"] == plain["cuts"] >= 3 and plain["messages_lost"] > 0
    assert plain["away_max_ms"] >= 1000
    (ending,) = report["endings"]
    assert (ending["who"], ending["code"], ending["count"]) == ("client", 1000, 3)
    assert ending["held_ms"] >= (SECONDS - 2) * 1000


def test_on_a_terminal_it_draws_a_row_for_each_client_and_restores_the_cursor(runs):
    terminal = runs["terminal"]
    text = terminal.text()
    assert terminal.code == 0
    last = text[text.rindex(f"{ESC}[?25l"):]
    for number in (1, 2):
        assert re.search(rf"plain   {number} [^\r]*✗[^\r]*cut \d x  closes \d  lost \d+", last)
        assert re.search(rf"held    {number} [^\r]*━✗[^\r]*cut \d x  closes 0  lost 0", last)
    assert text.rindex(f"{ESC}[?25h") > text.rindex(f"{ESC}[?25l")
    assert terminal.echoes()


def test_no_line_of_the_picture_is_wider_than_the_terminal(terminal):
    narrow = terminal("--seconds=8", columns=44, rows=14).read("held    1 ").read("cut 1 x", deadline=15)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", narrow.text()).split("\r\n")
    assert max(len(line.strip("\r")) for line in lines) == 44


def test_NO_COLOR_leaves_the_picture_without_colours(runs):
    assert f"{ESC}[?25l" in runs["terminal"].text()
    assert not re.search(r"\x1b\[[0-9;]*m", runs["terminal"].text())


def test_ctrl_c_ends_it_with_130_and_gives_the_terminal_back(terminal):
    shown = terminal("--seconds=30").read("cut 1 x")
    assert f"{ESC}[32m" in shown.text() and not shown.echoes()
    os.write(shown.master, b"\x03")
    shown.finish()
    assert shown.code == 130
    assert shown.text().rindex(f"{ESC}[?25h") > shown.text().rindex(f"{ESC}[?25l")
    assert shown.echoes()


def test_a_dumb_terminal_and_plain_get_lines_without_escapes(terminal):
    for shown in (terminal("--seconds=30", TERM="dumb"), terminal("--seconds=30", "--plain")):
        shown.read("held   4  open")
        assert ESC not in shown.text()
        shown.popen.send_signal(signal.SIGTERM)
        shown.finish()
        assert shown.code == 128 + signal.SIGTERM


@pytest.mark.parametrize("words, said", [
    (["--seconds", "7"], "--seconds: \"7\"; allowed: a number from 8 to 60"),
    (["--seconds"], "--seconds: \"\"; allowed"),
    (["--clients=51"], "--clients: \"51\"; allowed: a number from 1 to 50"),
    (["--clients=two"], "--clients: \"two\"; allowed"),
    (["--secondsx=9"], "no option \"--secondsx=9\""),
    (["again"], "no option \"again\""),
])
def test_a_mistake_in_the_words_is_told_with_2(words, said):
    run = Run(*words)
    run.finish()
    assert (run.code, run.out) == (2, "") and said in run.err


def test_help_names_every_option():
    run = Run("--help")
    run.finish()
    assert run.code == 0 and run.err == ""
    for word in ("--seconds", "--clients", "--plain", "--no-color", "--json", "130"):
        assert word in run.out


# ---- the pages --------------------------------------------------------------------------------------------


class Web:
    """`holdfast demo --web` on a port of the system's choice."""

    def __init__(self):
        self.popen = subprocess.Popen([BINARY, "demo", "--web=127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=environment())
        self.url = self.popen.stdout.readline().decode().split()[0].rstrip("/")

    def ask(self, path, method="GET", **headers):
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.headers["Content-Type"], refusal.read().decode()

    def stop(self):
        self.popen.send_signal(signal.SIGINT)
        self.popen.communicate(timeout=10)
        return self.popen.returncode


@pytest.fixture
def web():
    opened = Web()
    yield opened
    if opened.popen.poll() is None:
        opened.popen.kill()
        opened.popen.communicate()


def test_web_serves_the_pages_whole(web):
    for path, title in (("/", "holdfast"), ("/inbox.html", "Inbox"), ("/chat.html", "Chat")):
        status, kind, text = web.ask(path)
        assert (status, kind) == (200, "text/html; charset=utf-8")
        assert title in text and text.rstrip().endswith("</html>")
    assert web.ask("/etc/passwd")[0] == 404
    assert web.ask("/", "POST")[0] == 405
    assert web.ask("/cut", "POST", **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert web.ask("/cut", "POST", **{"Sec-Fetch-Site": "same-origin"})[0] == 200
    assert web.stop() == 0


def test_behind_web_an_answer_cut_in_the_middle_arrives_whole_in_a_session(web):
    places = json.loads(web.ask("/demo.json")[2])
    assert places["cut"] is True
    got, cuts = [], 0
    with subprocess.Popen([BINARY, "connect", "--json", places["chat"] + "?user=tester"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env=environment()) as connect:
        connect.stdin.write('{"ask":60,"every_ms":20,"text":"?"}\n')
        connect.stdin.flush()
        for line in connect.stdout:
            event = json.loads(line)
            cuts += event["event"] == "resumed"
            assert event["event"] not in ("close", "lost"), event
            if event["event"] != "message":
                continue
            message = json.loads(event["data"])
            if message.get("done"):
                break
            got.append(message["i"])
            if message["i"] in (10, 30):
                assert web.ask("/cut", "POST")[2].startswith("cut ")
        connect.stdin.close()
        connect.wait(10)
    assert got == list(range(60)) and cuts == 2


def test_a_taken_port_is_told(web):
    port = web.url.rsplit(":", 1)[1]
    run = Run(f"--web=127.0.0.1:{port}")
    run.finish()
    assert run.code == 1 and "in use" in run.err
    run = Run("--web=everywhere")
    run.finish()
    assert run.code == 2 and "allowed: an address and a port" in run.err
