# SPDX-License-Identifier: Apache-2.0
"""Threads at libholdfast, with ThreadSanitizer: many send to one client while its connections are cut, others ask, hurry, and make and
free clients, also inside a handler."""
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
sys.dont_write_bytecode = True

from harness import servers  # noqa: E402
from harness.drops import Box  # noqa: E402
from harness.gateway import BINARY, Gateway  # noqa: E402

STORM = Path(BINARY).parent / "tests" / "clients" / "storm"


@pytest.fixture
def scene():
    with contextlib.ExitStack() as stack:
        yield stack


def test_threads_that_send_keep_their_order_while_connections_are_cut_and_clients_come_and_go(tmp_path, scene):
    echo = servers.echo(tmp_path)
    scene.callback(echo.stop)
    echo.wait()
    gateway = Gateway(tmp_path, echo.url, workers=2, env={"TSAN_OPTIONS": "halt_on_error=0 exitcode=66"})
    scene.callback(gateway.stop)
    box = Box(tmp_path, gateway.port, "--max-age", "800", "--seed", "7")
    scene.callback(box.stop)
    storm = subprocess.run([STORM, f"ws://127.0.0.1:{box.port}/", "2", "3", "200"], capture_output=True, text=True, timeout=150)
    assert "ThreadSanitizer" not in storm.stderr, storm.stderr[:6000]
    assert storm.returncode == 0, storm.stdout + storm.stderr[-3000:]
    said = json.loads(storm.stdout)
    assert said["came"] == 1200 and said["faults"] == 0
    assert box.ask("stats")["cuts"] > 4
