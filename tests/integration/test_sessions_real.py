# SPDX-License-Identifier: Apache-2.0
"""Sessions with real processes: clients of libholdfast through a middlebox that cuts every connection at a random age, the gateway, and
unmodified applications under Daphne and Uvicorn. `make drops` is the long form of the first test."""
import time

import pytest

from harness.drops import Run

BACKENDS = ["daphne", "uvicorn"]
# Silence is noticed in seconds, for boxes that swallow everything.
QUICK = {"session": {"beat": "1s"}}


def run_for(run, seconds):
    """Lets it run; fails at once when a program of it ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(0.5, max(0, end - time.monotonic())))  # the length of the run is what is tested
        run.clients.stats()


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_hundred_sessions_whose_connections_are_all_reset_within_3_s_lose_nothing(tmp_path, kind):
    count = 120
    with Run(tmp_path, kind, count, 500, ["--max-age", 3000, "--seed", 3], open_over_ms=2000) as run:
        run_for(run, 10)
        run.box.ask("quiet")
        stats, box, total, sessions = run.finish()
        assert run.faults(stats, box, total, sessions) == []
        assert box["cuts"] > 2 * count and box["cut_before_answer"] > 0 and stats["resumed"] > 2 * count, (box, stats)
        assert stats["sent"] > 10 * count and stats["received"] > 10 * count, stats


@pytest.mark.parametrize("mode", ["blackhole", "mix"])
def test_sessions_lose_nothing_however_their_connections_end(tmp_path, mode):
    count = 60
    box = ["--mode", mode, "--max-age", 3000, "--seed", 5]
    with Run(tmp_path, "uvicorn", count, 300, box, open_over_ms=1000, config=QUICK, words=["--patience", 1500]) as run:
        run_for(run, 8)
        run.box.ask("quiet")
        stats, box, total, sessions = run.finish()
        assert run.faults(stats, box, total, sessions) == []
        assert box["cuts"] > count and stats["resumed"] > count, (box, stats)


def test_sessions_over_tls_lose_nothing_while_the_gateway_reloads_every_second(tmp_path, authority):
    count = 60
    cert, key = authority.leaf("127.0.0.1", label="drops")
    config = {"tls": {"cert": str(cert), "key": str(key)}}
    with Run(tmp_path, "uvicorn", count, 300, ["--max-age", 3000, "--seed", 7], open_over_ms=1000, config=config,
             words=["--ca", authority.cert]) as run:
        for _ in range(6):
            run_for(run, 1)
            assert run.gateway.reload()["level"] == "info"
        run.box.ask("quiet")
        stats, box, total, sessions = run.finish()
        assert run.faults(stats, box, total, sessions) == []
        assert box["cuts"] > count and stats["resumed"] > count, (box, stats)
