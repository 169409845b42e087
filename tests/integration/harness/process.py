# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping real programs: each in its own process group, its output in a file of the test's folder.

Nothing here sleeps for luck: every wait polls a condition and has a deadline."""
import errno
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

DEADLINE = 8.0  # seconds: what a loaded machine may need for anything that should happen at once


class Timeout(AssertionError):
    pass


def wait_for(condition, what, deadline=DEADLINE, every=0.01):
    """Polls until condition() is true and returns its value; exceptions from it are the caller's."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"not within {deadline} s: {what() if callable(what) else what}")
        time.sleep(every)


_given = set()
_ports = random.Random(os.getpid() ^ time.time_ns())


def free_port():
    """A port nobody listens on, below the range the kernel takes for outgoing connections, and given only once."""
    while True:
        port = _ports.randrange(12000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                raise
        _given.add(port)
        return port


def accepts(address):
    """True when something listens there; address is (host, port) or a Unix socket's path."""
    family = socket.AF_UNIX if isinstance(address, str) else (
        socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    with socket.socket(family) as probe:
        probe.settimeout(2)
        try:
            probe.connect(address)
            return True
        except OSError:
            return False


def clean_environment(more=None):
    """Ours without what a person's shell says to holdfast or to the old limiter, and with `more`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "WS_"))}
    return {**clean, **{k: str(v) for k, v in (more or {}).items()}}


class Process:
    """A program that was started, and its output so far."""

    def __init__(self, argv, folder, name, env=None, cwd=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.out = Path(folder) / f"{name}.out"
        self.err = Path(folder) / f"{name}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                          env=clean_environment(env), cwd=cwd, start_new_session=True)
        self.pid = self.popen.pid

    def output(self):
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def tail(self):
        return f"--- {self.name}: {' '.join(self.argv)}\n" + self.output()[-4000:]

    def running(self):
        return self.popen.poll() is None

    def wait_listening(self, address, deadline=30.0):
        def up():
            if not self.running():
                raise AssertionError(f"{self.name} ended with {self.popen.returncode}\n{self.tail()}")
            return accepts(address)
        wait_for(up, lambda: f"{self.name} does not listen on {address}\n{self.tail()}", deadline, 0.02)
        return self

    def signal(self, number):
        self.popen.send_signal(number)

    def wait_exit(self, deadline=DEADLINE):
        try:
            return self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} still runs after {deadline} s\n{self.tail()}") from None

    def stop(self, grace=5.0):
        """SIGTERM, then SIGKILL to the whole group: nothing that a test started outlives it."""
        if self.running():
            self.popen.terminate()
            try:
                self.popen.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait(5)

    def memory(self):
        """Resident bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
