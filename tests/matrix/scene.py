# SPDX-License-Identifier: Apache-2.0
"""A scene: the programs of one killer on free ports, and what happens in them while they are watched."""
import contextlib
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "integration"))

from harness import raw, servers  # noqa: E402,F401
from harness.process import Process, free_port, wait_for  # noqa: E402,F401

PYTHON = servers.PYTHON
APPS = HERE / "apps"
BINARY = Path(os.environ.get("HOLDFAST_BIN", ROOT / "build" / "holdfast"))


# The drawn parameters that are times of the killer, which `--stretch` makes longer.
TIMES = {"timer", "period", "grace", "first", "interval", "timeout", "age", "after", "seconds", "blocked", "noise_mean"}
LOAD = """
import time
while True:
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass
    time.sleep(0.04)
"""  # a third of a core


class CannotRun(Exception):
    """What this machine does not permit or have; the killer is skipped, and says why."""


class Scene:
    """What one run of a killer starts, from one seed. After it was set up: url, options (what a person who asks would say),
    truth (or a function that gives it when the run is over), budget (seconds for diagnose)."""

    def __init__(self, name, seed, noise=False, stretch=1):
        self.name, self.seed, self.noise, self.stretch = name, seed, noise, stretch
        self.random = random.Random(f"{name} {seed}")
        self.stack = contextlib.ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="hfm")))
        self.options, self.truth, self.budget, self.url = [], None, 45, None
        self.facts = {}  # what was drawn, for the report of a failure

    @staticmethod
    def noisy(name, seed, share):
        """Whether a run has noise: a random of its own, so that the parameters are the same with and without."""
        return random.Random(f"noise {name} {seed}").random() < share

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def draw(self, name, low, high, digits=2):
        """A random parameter, noted; whole numbers with digits=0."""
        value = round(self.random.uniform(low, high), digits) if digits else self.random.randint(low, high)
        if name in TIMES and self.stretch != 1:
            value = round(value * self.stretch, digits) if digits else max(1, round(value * self.stretch))
        self.facts[name] = value
        return value

    def choose(self, name, *values):
        value = self.random.choice(values)
        self.facts[name] = value
        return value

    def keep(self, thing):
        """Stops it at the end of the scene."""
        self.stack.callback(thing.stop)
        return thing

    def server(self, name, argv, env=None, port=None):
        return self.keep(servers.Server(self.folder, name, argv, port or free_port(), env, APPS))

    def settled(self):
        """What is true, when the run is over."""
        return self.truth() if callable(self.truth) else self.truth

    def said(self):
        """What the programs wrote, for the report of a failure."""
        return "".join(f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}\n" for path in sorted(self.folder.glob("*.err"))
                       if path.stat().st_size)

    # The applications. None pings unless it is told to, none closes what is idle.

    def python_env(self, app):
        return {"MATRIX_APP": json.dumps(app), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(APPS)}

    def uvicorn(self, app=None, *words, host="127.0.0.1", before=()):
        port = free_port()
        pings = () if "--ws-ping-interval" in words else ("--ws-ping-interval", "3600")
        return self.server("uvicorn", [*before, PYTHON, "-m", "uvicorn", "--host", host, "--port", port, "--log-level", "warning",
                                       *pings, *words, "asgi:application"], self.python_env(app or {}), port)

    def daphne(self, app=None, *words):
        port = free_port()
        pings = () if "--ping-interval" in words else ("--ping-interval", "3600")
        return self.server("daphne", [PYTHON, "-m", "daphne", "-b", "127.0.0.1", "-p", port, "-v", "0", *pings, *words,
                                      "asgi:application"], self.python_env(app or {}), port)

    def gunicorn(self, app, *words):
        port = free_port()
        return self.server("gunicorn", [PYTHON, "-m", "gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-b", f"127.0.0.1:{port}",
                                        *words, "asgi:application"], self.python_env(app), port)

    def node(self, how=None):
        port = free_port()
        return self.server("node", ["node", APPS / "node.js", port, json.dumps(how or {})],
                           {"NODE_PATH": str(servers.node_ready() / "node_modules")}, port)

    def application(self):
        """A healthy one, which answers or does not."""
        answer = self.choose("answer", "echo", "silent")
        kind = self.choose("application", "uvicorn", "daphne", "node")
        return {"uvicorn": self.uvicorn, "daphne": self.daphne, "node": self.node}[kind]({"answer": answer}).wait()

    def box(self, target, **how):
        """The middlebox in front of a server."""
        port = free_port()
        words = {"listen": port, "target": target, "seed": self.seed, **how}
        return self.server("box", [PYTHON, HERE / "box.py", json.dumps(words)], port=port).wait()

    def chaos(self, target, profile, *words):
        """`holdfast chaos` with that profile in front of a server."""
        port = free_port()
        return self.server("chaos", [BINARY, "chaos", "--profile", profile, "--listen", f"127.0.0.1:{port}", "--upstream",
                                     f"127.0.0.1:{target}", "--seed", self.seed, *words], port=port).wait()

    def ask(self, server, path="/"):
        """What diagnose is told to look at, behind some noise when that is wanted."""
        port = server.port
        if self.noise:
            if self.choose("noise_load", True, False, False):
                self.server("load", [PYTHON, "-c", LOAD], port=1)
            port = self.box(port, drop=self.draw("noise_drop", 0.03, 0.12), mean=self.draw("noise_mean", 3, 12),
                            jitter=self.draw("noise_jitter", 0.005, 0.03, 3)).port
        self.url = f"ws://127.0.0.1:{port}{path}"

    def every(self, seconds, act, first=None):
        """Calls act() at an even beat until the scene ends; the instants stand in the list that is returned."""
        instants, ended = [], threading.Event()
        begun = time.monotonic() + (seconds if first is None else first)

        def run():
            count = 0
            while not ended.wait(max(0.0, begun + count * seconds - time.monotonic())):
                instants.append(time.time())
                act()
                count += 1
        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def stop():
            ended.set()
            thread.join(10)
        self.stack.callback(stop)
        return instants

    def log_of(self, name="faults"):
        """(path, function that reads it as [(time, process, word)])"""
        path = self.folder / f"{name}.log"

        def lines():
            if not path.exists():
                return []
            return [(float(t), int(pid), word) for t, pid, word in (line.split() for line in path.read_text().splitlines())]
        return str(path), lines


def signal_of(server, number):
    def act():
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.process.pid, number)
    return act

