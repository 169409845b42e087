# SPDX-License-Identifier: Apache-2.0
"""`holdfast chaos` on a port of its own, and a client's view of what it does."""
import json
import time

from . import raw
from .gateway import BINARY
from .process import Process, Timeout, wait_for


class Chaos(Process):
    """The box with its embedded backend, unless upstream is said. words: further options. toxics: YAML of a profile of its own."""

    def __init__(self, folder, *words, toxics=None, upstream=None, name="chaos", seed=1):
        argv = [BINARY, "chaos", "--json", "--seed", seed, *words]
        if toxics is not None:
            profile = folder / f"{name}.yaml"
            profile.write_text("toxics:\n" + toxics)
            argv += ["-c", profile]
        if upstream is not None:
            argv += ["--upstream", upstream]
        super().__init__(argv, folder, name)
        try:
            self.started = wait_for(lambda: self.line("chaos"), self.tail, 15)
        except BaseException:
            self.stop()
            raise
        self.address = None
        if "url" in self.started:
            host, _, port = self.started["url"].removeprefix("ws://").rstrip("/").rpartition(":")
            self.address = (host, int(port))
        self.api = self.started.get("api")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, grace=8.0):
        """SIGTERM ends it orderly, with nothing that a sanitizer complains of."""
        running = self.running()
        super().stop(grace)
        assert "ERROR: " not in self.err.read_text() and "runtime error" not in self.err.read_text(), self.tail()
        assert not running or self.popen.returncode == 0, f"exit code {self.popen.returncode}\n{self.tail()}"

    def lines(self, kind=None):
        if not self.running():
            raise AssertionError(f"{self.name} ended\n{self.tail()}")
        found = []
        for line in self.out.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                record = json.loads(line)
                if kind is None or record["type"] == kind:
                    found.append(record)
        return found

    def line(self, kind):
        found = self.lines(kind)
        return found[0] if found else None

    def acted(self, toxic=None):
        """What toxics did: [what]."""
        return [line["what"] for line in self.lines("acted") if toxic is None or line.get("toxic", "").startswith(toxic)]

    def client(self):
        """A WebSocket that is open."""
        return raw.Client(self.address).open()


def ending(client, patience=15.0):
    """(seconds until it ended, "fin", "reset" or a close code). Pings are answered, messages passed over."""
    begun = time.monotonic()
    try:
        while True:
            f = client.read_data(max(patience - (time.monotonic() - begun), 0.01))
            if f.opcode == raw.CLOSE:
                took = time.monotonic() - begun
                client.send_frame(raw.CLOSE, f.payload)
                client.read_end(5)
                return took, f.code
    except raw.Ended:
        return time.monotonic() - begun, client.ended
    except Timeout:
        return None, "alive"
