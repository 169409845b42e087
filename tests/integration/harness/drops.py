# SPDX-License-Identifier: Apache-2.0
"""The programs of the drop tests: the middlebox that cuts, and what the backends of numbered messages say."""
import json
import os
import select
import subprocess
import time

from .gateway import ROOT, http_get
from .process import clean_environment

BUILD = ROOT / "build"  # the box and the clients are the release build's, whatever program is under test


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


class Box(Spoken):
    """drops-box in front of 127.0.0.1:target; words: its options."""

    def __init__(self, folder, target, *words):
        super().__init__([BUILD / "tests/drops/drops-box", "--target", target, *words], folder, f"box-{target}")
        self.port = self.line(10)["port"]
        self.address = ("127.0.0.1", self.port)


def book(server):
    """What a backend of numbered messages saw: (totals, {session: row})."""
    status, _, body = http_get(server.address, "/report")
    assert status == 200, body
    said = json.loads(body)
    return said["total"], said["sessions"]
