# SPDX-License-Identifier: Apache-2.0
"""The programs of the drop tests: the middlebox that cuts, and what the backends of numbered messages say."""
import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

from . import servers
from .gateway import ROOT, Gateway, http_get
from .process import clean_environment, wait_for

BUILD = Path(os.environ.get("DROPS_BUILD", ROOT / "build"))  # of the box and the clients, whatever gateway is under test


class Spoken:
    """A program that is told words and answers each with a line of JSON."""

    def __init__(self, argv, folder, name):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.err = folder / f"{name}.err"
        with open(self.err, "wb") as err:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, bufsize=0,
                                          env=clean_environment(), start_new_session=True)
        self.pid = self.popen.pid
        self.rest = b""

    def line(self, within):
        """The next line it says; None: there is none within that time."""
        end = time.monotonic() + within
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.popen.stdout], [], [], left)[0]:
                return None
            got = os.read(self.popen.stdout.fileno(), 65536)
            assert got, f"{self.name} ended with {self.popen.wait(10)}: {self.err.read_text()[-3000:]}"
            self.rest += got
        text, _, self.rest = self.rest.partition(b"\n")
        return json.loads(text)

    def ask(self, word, within=10):
        self.popen.stdin.write(word.encode() + b"\n")
        answer = self.line(within)
        assert answer is not None, f"{self.name} does not answer `{word}`: {self.err.read_text()[-3000:]}"
        return answer

    def stop(self):
        self.popen.stdin.close()
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(5)
        self.popen.stdout.close()
        assert self.popen.returncode == 0, f"{self.name} ended with {self.popen.returncode}: {self.err.read_text()[-3000:]}"


class Box(Spoken):
    """drops-box in front of 127.0.0.1:target; words: its options."""

    def __init__(self, folder, target, *words):
        super().__init__([BUILD / "tests/drops/drops-box", "--target", target, *words], folder, f"box-{target}")
        self.port = self.line(10)["port"]
        self.address = ("127.0.0.1", self.port)


class Clients(Spoken):
    """drops-clients to 127.0.0.1:port; words: its options. script: the clients of the npm package in its place."""

    def __init__(self, folder, port, *words, script=False):
        program = ["node", ROOT / "tests/drops/clients.mjs"] if script else [BUILD / "tests/drops/drops-clients"]
        super().__init__([*program, "--port", port, *words], folder, f"clients-{port}")

    def stats(self):
        return self.ask("stats", 30)

    def wait(self, condition, what, within):
        """Asks until condition(stats) holds; returns the stats."""
        stats = {}

        def held():
            stats.clear()
            stats.update(self.stats())
            return condition(stats)
        wait_for(held, lambda: f"{what}: {stats}", within, 0.1)
        return stats


def book(server):
    """What a backend of numbered messages saw: (totals, {session: row})."""
    status, _, body = http_get(server.address, "/report")
    assert status == 200, body
    said = json.loads(body)
    return said["total"], said["sessions"]


def cpu_seconds(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid):
    """The most resident bytes so far, or since forget_peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def hurry(*pids):
    """Raises their priority where that is permitted, so that what is measured is not other programs' time slices."""
    for pid in pids:
        try:
            os.setpriority(os.PRIO_PROCESS, pid, -15)
            Path(f"/proc/{pid}/autogroup").write_text("-15")
        except OSError:
            pass


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class Run:
    """Numbered messages both ways: clients, a box that cuts, the gateway, a backend. Use it with `with`."""

    def __init__(self, folder, kind, count, every_ms, box=(), config=None, workers=2, open_over_ms=0, words=(), log=None,
                 script=False):
        self.folder, self.kind, self.count, self.every_ms = Path(folder), kind, count, every_ms
        self.box_words, self.config, self.workers = box, config, workers
        self.words = ["--count", count, "--every", every_ms, "--open-over", open_over_ms, *words]
        self.log, self.script = log, script
        self.killed = False

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.backend = servers.numbers(self.folder, self.kind, log=self.log)
            stack.callback(lambda: self.backend.stop())
            self.backend.wait()
            self.gateway = Gateway(self.folder, self.backend.url, config=self.config or {}, workers=self.workers)
            stack.callback(self.gateway.stop)
            self.box = Box(self.folder, self.gateway.port, *self.box_words)
            stack.callback(self.box.stop)
            self.clients = Clients(self.folder, self.box.port, "--path",
                                   f"/ws/numbers/?session={{n}}&every_ms={self.every_ms}", *self.words, script=self.script)
            stack.callback(self.clients.stop)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *why):
        return self.stack.__exit__(*why)

    def finish(self, within=60):
        """Every client says its last word and closes. Returns what clients, box and backend counted."""
        self.clients.ask("end", 30)
        stats = self.clients.wait(lambda s: s["done"] == self.count, "every client has said and heard `end`", within)
        wait_for(lambda: book(self.backend)[0]["disconnects"] >= self.count, lambda: f"goodbyes: {book(self.backend)[0]}", 20, 0.2)
        return stats, self.box.ask("stats"), *book(self.backend)

    def kill_backend(self):
        """kill -9, and another process on the same port. Returns once it listens."""
        os.kill(self.backend.process.pid, signal.SIGKILL)
        self.backend.stop()
        self.killed = True
        self.backend = servers.numbers(self.folder, self.kind, port=self.backend.port, log=self.log).wait()

    def faults_of_hold(self, stats, sessions):
        """As faults, where the backend was killed once and its clients were held: the book is the second one's."""
        wrong = []
        if stats["rebounds"] != self.count:
            wrong.append(f"{stats['rebounds']} rebounds for {self.count} sessions")
        for client, start, to in stats["risks"]:
            # A session that sent nothing afterwards has no first message; one that was lost is counted below.
            first = sessions.get(str(client), {}).get("first")
            if not start <= to or first not in (None, to + 1):
                wrong.append(f"session {client}: rebound from={start} to={to}, and the first message that came was {first}")
        return wrong

    def faults(self, stats, box, total, sessions):
        """What is not as promised, each in words; nothing when all is."""
        wrong = self.faults_of_hold(stats, sessions) if self.killed else []
        for where, counts in (("the clients", stats), ("the backend", total)):
            wrong += [f"{where}: {counts[key]} messages {key}" for key in ("lost", "doubled", "reordered", "changed") if counts[key]]
        for key in ("sessions_lost", "closes_early", "end_mismatch", "refused"):
            if stats[key]:
                wrong.append(f"the clients: {key} {stats[key]} {stats['reasons']}")
        if total["sessions"] != self.count or total["connects"] != self.count:
            many = {name: row for name, row in sessions.items() if row["connects"] != 1}
            wrong.append(f"{total['connects']} backend connections for {self.count} sessions: {dict(list(many.items())[:3])}")
        if total["early"] or total["disconnects"] != self.count:
            early = {name: row for name, row in sessions.items() if row["early"]}
            wrong.append(f"the backend: {total['early']} disconnects before the end: {dict(list(early.items())[:3])}")
        if self.killed:
            return wrong
        late = [name for name, row in sessions.items() if row["first"] not in (1, None)]
        if late:
            wrong.append(f"sessions whose first message was not 1: {late[:5]}")
        if total["taken"] != stats["sent"] or total["sent"] != stats["received"]:
            wrong.append(f"client to backend: {stats['sent']} sent, {total['taken']} came; back: {total['sent']} sent, "
                         f"{stats['received']} came")
        return wrong
