# SPDX-License-Identifier: Apache-2.0
"""`holdfast connect` as a program that is talked to: with --json through pipes, or on a terminal of its own."""
import fcntl
import json
import os
import pty
import queue
import select
import struct
import subprocess
import termios
import threading
import time

from .gateway import BINARY
from .process import DEADLINE, Timeout, clean_environment, wait_for

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def environment(more=None):
    """Ours without the proxies of the machine."""
    clean = clean_environment(more)
    given = {k for k in (more or {})}
    return {k: v for k, v in clean.items() if k.lower() not in PROXIES or k in given}


class Connect:
    """holdfast connect --json WORDS: `events` come as dicts; `say` is a line of its input."""

    def __init__(self, *words, env=None):
        self.popen = subprocess.Popen([BINARY, "connect", "--json", *map(str, words)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(env))
        self.waiting = queue.Queue()
        self.history = []
        self.errors = []
        self.readers = [threading.Thread(target=self._read, daemon=True),
                        threading.Thread(target=lambda: self.errors.append(self.popen.stderr.read().decode()), daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read(self):
        for line in self.popen.stdout:
            self.waiting.put(json.loads(line))
        self.waiting.put(None)

    def say(self, text):
        self.popen.stdin.write(text.encode() + b"\n")
        self.popen.stdin.flush()

    def next(self, kind, within=DEADLINE):
        """The next event of this kind; those before it are in `history`."""
        end = time.monotonic() + within
        while True:
            try:
                event = self.waiting.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                raise Timeout(f"no event {kind} within {within} s; there were {self.history[-6:]}") from None
            assert event is not None, f"it ended without an event {kind}: {self.history[-6:]} {self.errors}"
            self.history.append(event)
            if event["event"] == kind:
                return event

    def message(self, within=DEADLINE):
        return self.next("message", within)["data"]

    def finish(self, within=DEADLINE):
        """Ends its input. (exit code, all events)"""
        if not self.popen.stdin.closed:
            self.popen.stdin.close()
        code = self.popen.wait(within)
        for reader in self.readers:
            reader.join(within)
        while not self.waiting.empty():
            event = self.waiting.get()
            if event is not None:
                self.history.append(event)
        text = "".join(self.errors)
        assert "Sanitizer" not in text and "runtime error" not in text, text
        return code, self.history

    def kinds(self):
        return [event["event"] for event in self.history if event["event"] != "state"]

    def stop(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(5)
        for pipe in (self.popen.stdin, self.popen.stdout):
            pipe.close()


class Terminal:
    """holdfast connect WORDS on a terminal of 100 columns; `screen` is everything that was written."""

    def __init__(self, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.clear()
            os.environ.update(environment({"TERM": "xterm", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}))
            os.execv(BINARY, [BINARY, "connect", *map(str, words)])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.screen = b""
        self.rest = b""  # written, and not waited for yet
        self.code = None

    def type(self, keys):
        """Once the line is edited: before, the terminal takes keys by itself."""
        wait_for(lambda: not termios.tcgetattr(self.fd)[3] & termios.ICANON, "the line is edited")
        os.write(self.fd, keys.encode())

    def wait(self, text, within=DEADLINE):
        """Reads until the text was written since the last wait; returns what came up to and with it."""
        wanted, end = text.encode(), time.monotonic() + within
        while wanted not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise Timeout(f"{text!r} was not written within {within} s, but {self.rest!r}")
            try:
                got = os.read(self.fd, 4096)
            except OSError:
                got = b""
            assert got, f"it ended before it wrote {text!r}: {self.rest!r}"
            self.rest += got
            self.screen += got
        at = self.rest.index(wanted) + len(wanted)
        came, self.rest = self.rest[:at], self.rest[at:]
        return came.decode(errors="replace")

    def finish(self, within=DEADLINE):
        """Reads to its end; its exit code."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.screen += os.read(self.fd, 4096)
                    continue
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                return self.code
        raise Timeout(f"it still runs: {self.screen[-500:]!r}")

    def stop(self):
        if self.code is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
            self.code = -9
        os.close(self.fd)
