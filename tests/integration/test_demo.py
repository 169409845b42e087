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
    """The two numbers of a row of the summary: (direct, held)."""
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
    cuts = re.findall(r"^ *([\d.]+) s  direct +(\d)  cut after ([\d.]+) s: 1006, connection reset$", text, re.M)
    assert sorted(number for _, number, _ in cuts) == ["1", "2", "3", "4"]
    assert all(2.5 <= float(life) <= 4.5 for _, _, life in cuts)
    assert len(re.findall(r"^ *[\d.]+ s  held +\d  open$", text, re.M)) == 4
    assert not re.search(r"held +\d  (cut|failed)", text)
    assert "has streamed chunks 1 to 5; alive: 0 of 4 direct, 4 of 4 held" in text


def test_the_summary_counts_what_was_cut_held_and_lost(runs):
    text = runs["plain"].out
    assert row(text, "connections") == (4, 4)
    assert row(text, "cut by a middlebox") == (4, 0)
    assert row(text, "held to the end") == (0, 4)
    direct_life, held_life = row(text, "median life")
    assert 2.5 <= direct_life <= 4.5 and held_life >= SECONDS - 2
    assert row(text, "messages lost") == (20, 0)  # five chunks for each of the dead
    assert row(text, "twice, or out of order") == (0, 0)
    assert "4 x held    client_close, 1000, by the client" in text
    assert "\nHeld. " in text


def test_the_json_summary_is_all_that_json_prints(runs):
    report = json.loads(runs["json"].out)
    direct, held = report["direct"], report["held"]
    assert report["ok"] is True and report["seconds"] == SECONDS
    assert (direct["connections"], direct["cut"], direct["held"]) == (3, 3, 0)
    assert (held["connections"], held["cut"], held["held"]) == (3, 0, 3)
    assert 2500 <= direct["life_min_ms"] <= direct["life_max_ms"] <= 4500
    assert (direct["messages_lost"], held["messages_lost"], held["messages_disordered"]) == (15, 0, 0)
    assert held["messages"] == 3 * (5 + 2)  # the chunks, and the answers to hello and to the last question
    # A silence of 3 s kills: at least a ping every 3 s on each leg; at most one every 0.9 s.
    for leg in ("pings_client", "pings_backend"):
        assert direct[leg] == 0
        assert 3 * (SECONDS // 3) <= held[leg] <= 3 * (SECONDS / 0.9 + 2)
    assert report["middlebox_cuts"] == {"direct": 3, "held": 0}
    (ending,) = report["endings"]
    assert (ending["cause"], ending["who"], ending["code"], ending["count"]) == ("client_close", "client", 1000, 3)
    assert ending["held_ms"] >= (SECONDS - 2) * 1000 and ending["rtt_ms"] > 0


def test_on_a_terminal_it_draws_a_row_for_each_client_and_restores_the_cursor(runs):
    terminal = runs["terminal"]
    text = terminal.text()
    assert terminal.code == 0
    last = text[text.rindex(f"{ESC}[?25l"):]
    assert re.search(r"direct  1 [^\r]*✗ +cut after 3\.\d s: 1006, no Close", last)
    for number in (1, 2):
        assert re.search(rf"held    {number} [^\r]*┿[^\r]*● ?[^\r]*pings \d+\+\d+  messages 7", last)
    assert text.rindex(f"{ESC}[?25h") > text.rindex(f"{ESC}[?25l")
    assert terminal.echoes()


def test_no_line_of_the_picture_is_wider_than_the_terminal(terminal):
    narrow = terminal("--seconds=8", columns=44, rows=14).read("held    1 ").read("cut after", deadline=15)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", narrow.text()).split("\r\n")
    assert max(len(line.strip("\r")) for line in lines) == 44


def test_NO_COLOR_leaves_the_picture_without_colours(runs):
    assert f"{ESC}[?25l" in runs["terminal"].text()
    assert not re.search(r"\x1b\[[0-9;]*m", runs["terminal"].text())


def test_ctrl_c_ends_it_with_130_and_gives_the_terminal_back(terminal):
    shown = terminal("--seconds=30").read("pings 1+1")
    assert f"{ESC}[32m" in shown.text() and not shown.echoes()
    os.write(shown.master, b"\x03")
    shown.finish()
    assert shown.code == 130
    assert shown.text().rindex(f"{ESC}[?25h") > shown.text().rindex(f"{ESC}[?25l")
    assert shown.echoes()


def test_a_dumb_terminal_and_plain_get_lines_without_escapes(terminal):
    for shown in (terminal("--seconds=30", TERM="dumb"), terminal("--seconds=30", "--plain")):
        shown.read("held    4  open")
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
