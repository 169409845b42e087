# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 sections 4 to 8 and RFC 7692 section 7, through the running gateway: one test for a rule, named for its section.

One gateway, one raw backend and one echo serve the whole run. HOLDFAST_BIN names another program than build/holdfast."""
import faulthandler
import os
import signal
import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.gateway import BINARY  # noqa: E402
from stage import Stage  # noqa: E402

TEST_SECONDS = 60  # one that takes longer has hung


def pytest_report_header():
    return f"holdfast: {BINARY}{'' if os.path.exists(BINARY) else ' (not there)'}"


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("run"))
    yield stage
    stage.stop()


@pytest.fixture
def stage(whole_run, request):
    def late(*_):
        faulthandler.dump_traceback(file=sys.__stderr__)
        raise TimeoutError(f"{request.node.name} took longer than {TEST_SECONDS} s")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(TEST_SECONDS)
    yield whole_run
    signal.alarm(0)
    whole_run.end_test()


@pytest.fixture(params=["client", "backend"], ids=["by-client", "by-backend"])
def sides(stage, request):
    """sides(route="raw", …) opens a connection on which the client, or the backend, is the sender."""
    return lambda route="raw", **how: stage.open(request.param, route, **how)


@pytest.fixture(params=[0, 1], ids=["whole", "bytewise"])
def chop(request):
    return request.param
