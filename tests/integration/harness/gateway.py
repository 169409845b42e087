# SPDX-License-Identifier: Apache-2.0
"""The program under test: `holdfast serve`, started with flags or a file, asked through its admin port."""
import http.client
import json
import os
import re
import signal
import subprocess
import urllib.parse
from pathlib import Path

from .process import DEADLINE, Process, Timeout, clean_environment, free_port, wait_for
from .raw import Client, pair

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("HOLDFAST_BIN", str(ROOT / "build" / "holdfast"))
BAD_WORDS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion|HF_ASSERT")


def http_get(address, path, headers=None, method="GET"):
    """(status, headers, body) of a plain HTTP request."""
    connection = http.client.HTTPConnection(address[0], address[1], timeout=DEADLINE)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def command(*words, env=None):
    """Runs the program with these words to its end."""
    return subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True, timeout=10,
                          env=clean_environment(env))


class Gateway:
    """config: a dict written as the file (JSON is YAML); upstream: a URL for the short form; flags: more words.
    ready=False: do not wait, for a gateway that is expected to fail."""

    def __init__(self, folder, upstream=None, config=None, flags=(), env=None, listen="127.0.0.1", ready=True,
                 scheme="ws", binary=None, workers=None, admin=True):
        self.folder = Path(folder)
        self.scheme = scheme
        self.port = free_port()
        self.admin = ("127.0.0.1", free_port())
        self.host = listen
        self.listen = f"[{listen}]:{self.port}" if ":" in listen else f"{listen}:{self.port}"
        self.address = (listen, self.port)
        self.secrets = []
        self.stopped = False
        argv = [binary or BINARY, "serve"]
        self.file = None
        if config is not None:
            self.file = self.folder / f"holdfast-{self.port}.yaml"
            config = dict(config)
            config.setdefault("listen", self.listen)
            config.setdefault("admin", f"127.0.0.1:{self.admin[1]}")
            if upstream:
                config.setdefault("upstream", upstream)
            if workers:
                config.setdefault("workers", workers)
            self.write(config)
            argv += ["-c", self.file]
        else:
            argv += ["--listen", self.listen, "--upstream", upstream]
            if admin:
                argv += ["--admin", f"127.0.0.1:{self.admin[1]}"]
            if workers:
                argv += ["--workers", workers]
        argv += list(flags)
        self.process = Process(argv, self.folder, f"holdfast-{self.port}", env=env)
        if ready:
            self.wait_ready()

    def write(self, config):
        self.config = dict(config)
        self.file.write_text(json.dumps(self.config, indent=1))

    # ---- where it is
    @property
    def url(self):
        return f"{self.scheme}://{self.listen}"

    @property
    def pid(self):
        return self.process.pid

    def client(self, **how):
        return Client(self.address, **how)

    def pair(self, backend, path="/", **how):
        return pair(self.address, backend, path, **how)

    # ---- the admin port
    def get(self, path, headers=None):
        return http_get(self.admin, path, headers)

    def wait_ready(self):
        def up():
            if not self.process.running():
                raise AssertionError(f"holdfast ended with {self.process.popen.returncode}\n{self.process.tail()}")
            try:
                return self.get("/readyz")[0] == 200
            except OSError:
                return False
        wait_for(up, lambda: "/readyz is not 200\n" + self.process.tail())
        return self

    def json(self, path):
        status, _, body = self.get(path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def endings(self):
        """Newest first."""
        return self.json("/api/endings")["endings"]

    def wait_endings(self, count=1, within=DEADLINE):
        """Waits until there are `count` endings, and returns them all, newest first."""
        found = []

        def enough():
            found[:] = self.endings()
            return len(found) >= count
        wait_for(enough, lambda: f"{count} endings; have {len(found)}: {found[:5]}", within)
        return list(found)

    def ending(self, within=DEADLINE):
        """The only ending so far."""
        found = self.wait_endings(1, within)
        assert len(found) == 1, found
        return found[0]

    def sessions(self):
        return self.json("/api/sessions")["sessions"]

    def wait_sessions(self, count, within=DEADLINE):
        return wait_for(lambda: len(self.sessions()) == count or None,
                        lambda: f"{count} sessions; have {self.sessions()[:5]}", within)

    def metrics(self):
        """{'name{labels}': value}."""
        status, headers, body = self.get("/metrics")
        assert status == 200 and headers["content-type"].startswith("text/plain"), (status, headers)
        values = {}
        for line in body.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values

    def metric(self, name, **labels):
        """The sum over all series of that name whose labels hold these."""
        total, seen = 0.0, False
        for series, value in self.metrics().items():
            if series.split("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total, seen = total + value, True
        assert seen, f"no series {name} {labels}"
        return total

    # ---- the log
    def log_text(self):
        return self.process.output()

    def log_lines(self, event=None):
        """The JSON lines so far; only those of one event, when it is named."""
        lines = []
        for text in self.log_text().split("\n"):
            if text.startswith("{"):
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    pass  # the last line may be half written
        return [line for line in lines if event is None or line["event"] == event]

    def wait_log(self, event, count=1, within=DEADLINE, **fields):
        def found():
            lines = [line for line in self.log_lines(event) if all(line.get(k) == v for k, v in fields.items())]
            return lines if len(lines) >= count else None
        return wait_for(found, lambda: f"{count} log lines '{event}' {fields}\n{self.process.tail()}", within, 0.02)

    def never_shown(self, *secrets):
        """Asserts that these appear on no page and in no log, as they are and percent-encoded."""
        pages = {path: self.get(path)[2] for path in ("/metrics", "/api/sessions", "/api/endings", "/")}
        pages["log"] = self.log_text()
        for secret in secrets:
            for form in {secret, urllib.parse.quote(secret, safe="")}:
                for where, text in pages.items():
                    assert form not in text, f"a secret is shown in {where}: …{text[max(0, text.find(form) - 200):][:400]}"

    # ---- its end
    def reload(self):
        before = len(self.log_lines("reload"))
        self.process.signal(signal.SIGHUP)
        return self.wait_log("reload", before + 1)[-1]

    def stop(self):
        """Ends it at once (two SIGTERMs) and asserts that it neither crashed nor complained."""
        if self.stopped:
            return
        self.stopped = True
        died = None if self.process.running() else self.process.popen.returncode
        if died is None:
            self.process.signal(signal.SIGTERM)
            try:
                self.process.wait_exit(0.1)
            except Timeout:
                self.process.signal(signal.SIGTERM)
                try:
                    self.process.wait_exit(5)
                except Timeout:
                    self.process.stop(0)
                    raise
        self.process.stop(0)
        assert died in (None, 0), f"holdfast had ended with {died}\n{self.process.tail()}"
        assert self.process.popen.returncode in (0, -signal.SIGTERM), self.process.tail()
        assert not BAD_WORDS.search(self.log_text()), self.process.tail()
        if self.secrets:
            text = self.log_text()
            assert not any(secret in text for secret in self.secrets), "a secret is in the log"
