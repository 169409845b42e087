# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the applications run once for the whole suite, a gateway runs for one test (it starts in milliseconds)."""
import contextlib
import faulthandler
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

from harness import certs, raw, servers  # noqa: E402
from harness.gateway import BINARY, Gateway  # noqa: E402

TEST_SECONDS = 60  # no single test takes longer; one that does has hung

INBOX_SECRET = "story-a-secret-of-enough-length-0123456789"
CHAT_TOKEN = "story-b-token-0123456789"


@pytest.fixture(autouse=True)
def alarm(request):
    """Ends a test that hangs, with every thread's stack."""
    def late(*_):
        faulthandler.dump_traceback(file=sys.__stderr__)
        raise TimeoutError(f"{request.node.name} took longer than {TEST_SECONDS} s")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)


def pytest_configure(config):
    """A run that is told to stop still stops what it started."""
    def told(*_):
        pytest.exit("SIGTERM", returncode=143)
    signal.signal(signal.SIGTERM, told)


def pytest_report_header():
    return f"holdfast: {BINARY}{'' if os.path.exists(BINARY) else ' (not there)'}"


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def applications(run_folder):
    """All four applications, started side by side."""
    started = {
        "inbox": servers.inbox(run_folder, INBOX_SECRET),
        "chat": servers.chat(run_folder, CHAT_TOKEN),
        "echo": servers.echo(run_folder),
        "node": servers.node(run_folder),
    }
    try:
        for server in started.values():
            server.wait()
        yield started
    finally:
        for server in started.values():
            server.stop()


@pytest.fixture(scope="session")
def inbox(applications):
    return applications["inbox"]


@pytest.fixture(scope="session")
def chat(applications):
    return applications["chat"]


@pytest.fixture(scope="session")
def echo(applications):
    return applications["echo"]


@pytest.fixture(scope="session")
def node(applications):
    return applications["node"]


@pytest.fixture(scope="session")
def authority(run_folder):
    return certs.Authority(run_folder / "ca")


@pytest.fixture(scope="session")
def keys(run_folder):
    return certs.SigningKeys(run_folder / "keys")


@pytest.fixture
def scene():
    """An ExitStack: what a test enters is closed at its end, in reverse order."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def short_folder():
    """A folder whose path is short enough for a Unix socket."""
    import tempfile
    folder = tempfile.mkdtemp(prefix="hf")
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def gateway(tmp_path, scene):
    """gateway(upstream, …) starts one; it is stopped, and its output checked, at the end of the test."""
    def start(upstream=None, **how):
        g = Gateway(tmp_path, upstream, **how)
        scene.callback(g.stop)
        return g
    return start


@pytest.fixture
def backend(scene):
    """backend(script=None, …) starts a raw backend."""
    def start(*args, **how):
        b = raw.Backend(*args, **how)
        scene.callback(b.stop)
        return b
    return start


@pytest.fixture
def relay(gateway, backend):
    """A gateway before a raw backend that the test drives by hand: (gateway, backend)."""
    def start(config=None, **how):
        b = backend()
        return gateway(b.url, config=config, **how), b
    return start


@pytest.fixture
def joined(relay):
    """One connection through a fresh gateway: (gateway, client's end, backend's end)."""
    def start(path="/", config=None, answer=(), headers=(), **how):
        g, b = relay(config, **how)
        client, served = g.pair(b, path, answer=answer, headers=headers)
        return g, client, served
    return start
