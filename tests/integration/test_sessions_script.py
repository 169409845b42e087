# SPDX-License-Identifier: Apache-2.0
"""The npm package in Node through a middlebox that cuts every connection at a random age, the gateway, and unmodified applications, over
each of its transports. `node js/build.mjs` must have been run; tests/run does."""
import time

import pytest

from harness.drops import Run


@pytest.mark.parametrize("kind, transports", [("daphne", "websocket"), ("uvicorn", "sse"), ("uvicorn", "poll")])
def test_clients_of_the_package_lose_nothing_over_any_transport(tmp_path, kind, transports):
    count = 40
    with Run(tmp_path, kind, count, 300, ["--max-age", 3000, "--early", 3, "--seed", 9], open_over_ms=1000, script=True,
             words=["--transports", transports]) as run:
        end = time.monotonic() + 8
        while time.monotonic() < end:
            time.sleep(0.5)  # the length of the run is what is tested
            run.clients.stats()
        run.box.ask("quiet")
        stats, box, total, sessions = run.finish()
        assert run.faults(stats, box, total, sessions) == []
        assert box["cuts"] > count and stats["resumed"] > count, (box, stats)
